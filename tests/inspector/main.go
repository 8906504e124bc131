// An inspector who does not trust our code: reads a static copy of the audit log with the Go project's own implementation of
// signed notes and Merkle trees (golang.org/x/mod/sumdb), and checks checkpoint, every entry, and proofs of both kinds.
//
// Usage: main DIRECTORY VERIFIER-KEY
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "not good:", err)
		os.Exit(1)
	}
}

// Tiles as files: the paths of C2SP tlog-tiles have no height in them.
type tiles struct{ dir string }

func (t tiles) Height() int                                { return 8 }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte)        {}
func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range want {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func bundle(dir string, n, size int64) [][]byte {
	width := size - n*256
	if width > 256 {
		width = 256
	}
	path := strings.Replace(tlog.Tile{H: 8, L: 0, N: n, W: int(width)}.Path(), "tile/8/0/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(dir, path))
	must(err)
	var entries [][]byte
	for len(data) > 0 {
		length := int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	if int64(len(entries)) != width {
		must(fmt.Errorf("bundle %d holds %d entries", n, len(entries)))
	}
	return entries
}

func main() {
	dir, vkey := os.Args[1], os.Args[2]
	verifier, err := note.NewVerifier(vkey)
	must(err)
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	must(err)
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		must(fmt.Errorf("checkpoint of %q", lines[0]))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	rootBytes, err := base64.StdEncoding.DecodeString(lines[2])
	must(err)
	var root tlog.Hash
	copy(root[:], rootBytes)

	// The reader checks every tile against the root before it gives a hash.
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles{dir})
	var entries [][]byte
	for n := int64(0); n*256 < size; n++ {
		entries = append(entries, bundle(dir, n, size)...)
	}
	var indexes []int64
	for i := int64(0); i < size; i++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, i))
	}
	hashes, err := reader.ReadHashes(indexes)
	must(err)
	for i, entry := range entries {
		if tlog.RecordHash(entry) != hashes[i] {
			must(fmt.Errorf("entry %d is not the one that the log holds", i))
		}
		var record map[string]interface{}
		must(json.NewDecoder(bytes.NewReader(entry)).Decode(&record))
		if record["action"] == nil || record["at"] == nil || record["actor"] == nil {
			must(fmt.Errorf("entry %d does not say who, what and when", i))
		}
	}
	for i := int64(0); i < size; i += 1 + size/40 {
		proof, err := tlog.ProveRecord(size, i, reader)
		must(err)
		must(tlog.CheckRecord(proof, size, root, i, hashes[i]))
		old := i + 1
		oldRoot, err := tlog.TreeHash(old, reader)
		must(err)
		tree, err := tlog.ProveTree(size, old, reader)
		must(err)
		must(tlog.CheckTree(tree, size, root, old, oldRoot))
	}
	fmt.Printf("%d entries lead to the signed root\n", size)
}
