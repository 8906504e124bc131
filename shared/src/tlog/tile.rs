//! Tiles (C2SP tlog-tiles): how a log is cut into static resources, their paths and their contents. No storage.

use std::fmt;

use super::{Hash, node_hash};
use crate::limits::LOG_ENTRY_BYTES_MAX;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Binary levels that one tile spans.
pub const TILE_HEIGHT: u32 = 8;
/// Tile levels at most.
const LEVELS_MAX: u32 = 64;

/// A resource of a log below its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TilePath {
    /// Hashes `index · 256` and on of tile level `level`; `width` of them.
    Hashes {
        /// Tile level: each hash covers 256^level entries.
        level: u32,
        /// Number of the tile in its level.
        index: u64,
        /// 1 to 256; 256 for a full tile.
        width: u64,
    },
    /// Entries `index · 256` and on; `width` of them.
    Entries {
        /// Number of the bundle.
        index: u64,
        /// 1 to 256; 256 for a full bundle.
        width: u64,
    },
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Hashes { level, index, width } => {
                write!(f, "tile/{level}/")?;
                (*index, *width)
            }
            Self::Entries { index, width } => {
                write!(f, "tile/entries/")?;
                (*index, *width)
            }
        };
        let mut groups = vec![format!("{:03}", index % 1_000)];
        let mut rest = index / 1_000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1_000));
            rest /= 1_000;
        }
        groups.reverse();
        write!(f, "{}", groups.join("/"))?;
        if width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// A decimal without sign or leading zeros.
fn plain(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

impl TilePath {
    /// Reads a path, which must be the one spelling.
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, plain(width).filter(|w| (1..TILE_WIDTH).contains(w))?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        let groups: Vec<&str> = number.split('/').collect();
        for (i, group) in groups.iter().enumerate() {
            let digits = if i + 1 < groups.len() { group.strip_prefix('x')? } else { group };
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
        }
        let parsed = match kind {
            "entries" => Self::Entries { index, width },
            level => {
                let level = u32::try_from(plain(level)?).ok().filter(|l| *l < LEVELS_MAX)?;
                Self::Hashes { level, index, width }
            }
        };
        // Superfluous groups, `x000/001`, spell what has another spelling.
        (parsed.to_string() == path).then_some(parsed)
    }

    /// Whether a log of `size` entries has the resource.
    pub fn exists(&self, size: u64) -> bool {
        let (row, index, width) = match self {
            Self::Hashes { level, index, width } => (size.checked_shr(TILE_HEIGHT * level).unwrap_or(0), index, width),
            Self::Entries { index, width } => (size, index, width),
        };
        index.checked_mul(TILE_WIDTH).and_then(|from| from.checked_add(*width)).is_some_and(|to| to <= row)
    }
}

/// Every resource that a log of `size` entries has and one of `known` entries had not, the partial ones of `size` included.
pub fn tiles_between(known: u64, size: u64) -> Vec<TilePath> {
    let mut paths = Vec::new();
    let mut row = |make: &dyn Fn(u64, u64) -> TilePath, from: u64, to: u64| {
        paths.extend((from / TILE_WIDTH..to / TILE_WIDTH).map(|index| make(index, TILE_WIDTH)));
        if !to.is_multiple_of(TILE_WIDTH) && to > from {
            paths.push(make(to / TILE_WIDTH, to % TILE_WIDTH));
        }
    };
    row(&|index, width| TilePath::Entries { index, width }, known, size);
    for level in 0.. {
        let (from, to) = (known >> (TILE_HEIGHT * level), size >> (TILE_HEIGHT * level));
        if to == 0 {
            break;
        }
        row(&|index, width| TilePath::Hashes { level, index, width }, from, to);
    }
    paths
}

/// Root of the complete subtree over `hashes`, whose number is a power of two.
pub fn fold_complete(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row.first().copied().unwrap_or_default()
}

/// Adds an entry to a bundle: its length in 16 bits and its bytes.
pub fn push_to_bundle(bundle: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(&entry[..usize::from(length)]);
}

/// The entries of a bundle; none if it is not whole.
pub fn entries_of_bundle(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if rest.len() < length || entries.len() >= TILE_WIDTH as usize || length > LOG_ENTRY_BYTES_MAX {
            return None;
        }
        let (entry, rest) = rest.split_at(length);
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(level: u32, index: u64, width: u64) -> TilePath {
        TilePath::Hashes { level, index, width }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        for (path, tile) in [
            ("tile/0/000", hashes(0, 0, 256)),
            ("tile/0/999", hashes(0, 999, 256)),
            ("tile/1/x001/000", hashes(1, 1_000, 256)),
            ("tile/0/x001/x234/067", hashes(0, 1_234_067, 256)),
            ("tile/5/x123/x456/078.p/2", hashes(5, 123_456_078, 2)),
            ("tile/63/000.p/255", hashes(63, 0, 255)),
            ("tile/entries/000.p/3", TilePath::Entries { index: 0, width: 3 }),
            ("tile/entries/x001/000", TilePath::Entries { index: 1_000, width: 256 }),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(TilePath::parse(path), Some(tile), "{path}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "tile/5/123/456/078",
            "tile/-1/x123/x456/078",
            "tile/3/-1/123/456/078",
            "tile/0/x1/067",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/001/",
            "tile/0/x000/001",
            "tile/00/000",
            "tile/64/000",
            "tile/0/1",
            "tile/0/+01",
            "tile/0/000.p/",
            "tile/0/../000",
            "tile/entries/x99999999999999999999999/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile//000",
            "/tile/0/000",
        ] {
            assert_eq!(TilePath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_log_has_exactly_the_tiles_of_its_size() {
        let of = |size| -> Vec<String> {
            tiles_between(0, size)
                .iter()
                .filter(|t| matches!(t, TilePath::Hashes { .. }))
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(of(0), Vec::<String>::new());
        assert_eq!(of(1), ["tile/0/000.p/1"]);
        assert_eq!(of(256), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(of(257), ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
        for (size, full, partial) in
            [(65_536, vec![256, 1, 0], vec![0, 0, 1]), (70_000, vec![273, 1, 0], vec![112, 17, 1])]
        {
            for level in 0..3 {
                let tiles = tiles_between(0, size);
                let widths = tiles.iter().filter_map(|t| match t {
                    TilePath::Hashes { level: l, width, .. } if *l == level => Some(*width),
                    _ => None,
                });
                let (whole, part): (Vec<u64>, Vec<u64>) = widths.partition(|w| *w == TILE_WIDTH);
                assert_eq!(whole.len(), full[level as usize], "{size} level {level}");
                assert_eq!(part.first().copied().unwrap_or(0), partial[level as usize], "{size} level {level}");
            }
        }
        for tile in tiles_between(0, 70_000) {
            assert!(tile.exists(70_000) && TilePath::parse(&tile.to_string()) == Some(tile));
        }
        assert!(!hashes(0, 273, 113).exists(70_000) && !hashes(3, 0, 1).exists(70_000));
        let grown = tiles_between(70_000, 70_001);
        assert_eq!(
            grown,
            [TilePath::Entries { index: 273, width: 113 }, hashes(0, 273, 113)],
            "only what changed is rebuilt"
        );
    }

    #[test]
    fn bundles_are_read_back_and_broken_ones_are_not() {
        let mut bundle = Vec::new();
        ["one", "two", "three"].iter().for_each(|e| push_to_bundle(&mut bundle, e.as_bytes()));
        assert_eq!(hex::encode(&bundle), "00036f6e65000374776f00057468726565");
        let entries = entries_of_bundle(&bundle).expect("whole");
        assert_eq!(entries, [b"one".as_slice(), b"two", b"three"]);
        assert_eq!(entries_of_bundle(&bundle[..bundle.len() - 1]), None);
        assert_eq!(entries_of_bundle(&[0]), None);
        let long: Vec<u8> = std::iter::repeat_n([0, 0], 257).flatten().collect();
        assert_eq!(entries_of_bundle(&long), None);
    }
}
