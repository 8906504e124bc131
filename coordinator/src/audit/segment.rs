//! Segment files: the truth of the audit log.
//!
//! A file is named by the index of its first entry and holds frames of `length u32 BE ‖ first 8 bytes of the leaf hash ‖
//! entry`. Files are only appended to; an entry counts once `fdatasync` has returned.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::tlog::leaf_hash;

const MAGIC: &[u8; 8] = b"MDFMLOG1";
const FRAME_HEADER_BYTES: usize = 12;
/// A new file is begun above this size.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// The first place where a file is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// Bytes of the file that are good.
    pub(super) good_bytes: u64,
}

/// One file of entries.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    first: u64,
    /// Where each entry's frame starts.
    offsets: Vec<u64>,
    bytes: u64,
}

fn name(first: u64) -> String {
    format!("{first:020}.log")
}

/// The segment files of `dir` in order of their first entry.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let first =
            path.extension().filter(|e| *e == "log").and_then(|_| path.file_stem()?.to_str()?.parse::<u64>().ok());
        if let Some(first) = first {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

impl Segment {
    /// Makes an empty file, durable together with its name.
    pub(super) fn create(dir: &Path, first: u64) -> io::Result<Self> {
        let path = dir.join(name(first));
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.write_all(MAGIC)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(Self { path, file, first, offsets: Vec::new(), bytes: MAGIC.len() as u64 })
    }

    /// Reads a file from its start, handing every good entry to `each`; stops at the first damage.
    pub(super) fn scan<E>(
        path: &Path,
        first: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(Self, Option<Damage>), E>
    where
        E: From<io::Error>,
    {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut segment = Self { path: path.to_owned(), file: file.try_clone()?, first, offsets: Vec::new(), bytes: 0 };
        let mut reader = io::BufReader::with_capacity(1 << 20, &mut file);
        let mut magic = [0; 8];
        if length < 8 || reader.read_exact(&mut magic).is_err() || &magic != MAGIC {
            return Ok((segment, Some(Damage { good_bytes: 0 })));
        }
        segment.bytes = 8;
        let mut entry = Vec::new();
        while segment.bytes < length {
            let damage = Some(Damage { good_bytes: segment.bytes });
            let mut header = [0; FRAME_HEADER_BYTES];
            if length - segment.bytes < FRAME_HEADER_BYTES as u64 {
                return Ok((segment, damage));
            }
            reader.read_exact(&mut header)?;
            let n = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if n == 0 || n > LOG_ENTRY_BYTES_MAX || length - segment.bytes < (FRAME_HEADER_BYTES + n) as u64 {
                return Ok((segment, damage));
            }
            entry.resize(n, 0);
            reader.read_exact(&mut entry)?;
            if leaf_hash(&entry)[..8] != header[4..] {
                return Ok((segment, damage));
            }
            each(segment.first + segment.offsets.len() as u64, &entry)?;
            segment.offsets.push(segment.bytes);
            segment.bytes += (FRAME_HEADER_BYTES + n) as u64;
        }
        Ok((segment, None))
    }

    /// Cuts the file back to its good bytes.
    pub(super) fn truncate(&mut self, damage: Damage) -> io::Result<()> {
        if damage.good_bytes < 8 {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(MAGIC)?;
        } else {
            self.file.set_len(damage.good_bytes)?;
        }
        self.bytes = damage.good_bytes.max(8);
        self.file.sync_all()
    }

    /// Appends entries with one write and one `fdatasync`; they are durable when this returns.
    pub(super) fn append(&mut self, entries: &[Vec<u8>]) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(entries.iter().map(|e| e.len() + FRAME_HEADER_BYTES).sum());
        let mut offsets = Vec::with_capacity(entries.len());
        for entry in entries {
            offsets.push(self.bytes + buffer.len() as u64);
            let n = u32::try_from(entry.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
            buffer.extend_from_slice(&n.to_be_bytes());
            buffer.extend_from_slice(&leaf_hash(entry)[..8]);
            buffer.extend_from_slice(entry);
        }
        self.file.write_all_at(&buffer, self.bytes)?;
        self.file.sync_data()?;
        self.bytes += buffer.len() as u64;
        self.offsets.extend(offsets);
        Ok(())
    }

    /// Reads one entry, checking it again.
    pub(super) fn read(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(offset) = index.checked_sub(self.first).and_then(|i| self.offsets.get(i as usize)) else {
            return Ok(None);
        };
        let mut header = [0; FRAME_HEADER_BYTES];
        self.file.read_exact_at(&mut header, *offset)?;
        let n = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let mut entry = vec![0; n.min(LOG_ENTRY_BYTES_MAX)];
        self.file.read_exact_at(&mut entry, offset + FRAME_HEADER_BYTES as u64)?;
        if leaf_hash(&entry)[..8] != header[4..] {
            let text = format!("entry {index} in {} does not match its checksum", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Some(entry))
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }
    pub(super) fn len(&self) -> u64 {
        self.offsets.len() as u64
    }
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= SEGMENT_BYTES_MAX
    }
}
