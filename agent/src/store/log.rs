//! The store on disk: one file of records, each a whole batch, written and synced before the next is begun.
//!
//! A record is `magic (4) · length (4) · sequence (8) · check (8) · batch`, little-endian; the check is the beginning of the SHA-256 of
//! sequence and batch. The file is lengthened ahead of its records, so that a commit neither changes its length nor meets a full
//! disk. The last record may be torn by a power cut: it was never acknowledged and is cut off. Anything else that is wrong is
//! damage, and the agent says so instead of going on with half of its memory. Why this and not sled: `docs/decisions/0013`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mdfm_agent_core::store::{Store, StoreError, Write};
use sha2::{Digest as _, Sha256};

use crate::disk::{DiskFile, DiskHandle, Open, read_exact_at};

const FILE: &str = "state.log";
const NEW: &str = "state.log.new";
const ASIDE: &str = "state.log.damaged";
const MAGIC: [u8; 4] = *b"MDS1";
const HEADER_BYTES: usize = 24;
/// The file is lengthened by so much at once.
const GROW_BYTES: u64 = 256 * 1024;
/// Below this a file is not worth rewriting.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// It is rewritten when it is so many times longer than what it says.
const COMPACT_FACTOR: u64 = 4;
/// A file longer than this was not written here.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// State in a directory.
pub(crate) struct LogStore {
    disk: DiskHandle,
    dir: PathBuf,
    file: Box<dyn DiskFile>,
    content: BTreeMap<String, Vec<u8>>,
    /// Bytes of keys and values.
    live_bytes: u64,
    /// Where the next record goes.
    end: u64,
    len_bytes: u64,
    sequence: u64,
    /// Not rewritten before it is so long, after a try that failed.
    compact_at: u64,
}

fn check(sequence: u64, batch: &[u8]) -> [u8; 8] {
    let hash = Sha256::new().chain_update(sequence.to_le_bytes()).chain_update(batch).finalize();
    hash[..8].try_into().expect("a SHA-256 has 32 bytes")
}

/// Key length (2), key, then 0 for a removal, or 1, value length (4) and value; for each write.
fn encode_batch(writes: &[Write]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in writes {
        let key_len = u16::try_from(key.len()).expect("keys are short names of our own");
        bytes.extend_from_slice(&key_len.to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        match value {
            None => bytes.push(0),
            Some(value) => {
                bytes.push(1);
                let len = u32::try_from(value.len()).expect("values are frames, which are bounded");
                bytes.extend_from_slice(&len.to_le_bytes());
                bytes.extend_from_slice(value);
            }
        }
    }
    bytes
}

fn decode_batch(mut bytes: &[u8]) -> Option<Vec<Write>> {
    let mut writes = Vec::new();
    while !bytes.is_empty() {
        let (key_len, rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*key_len)))?;
        let key = std::str::from_utf8(key).ok()?.to_owned();
        let (kind, rest) = rest.split_first()?;
        let (value, rest) = match kind {
            0 => (None, rest),
            1 => {
                let (len, rest) = rest.split_first_chunk::<4>()?;
                let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
                (Some(value.to_vec()), rest)
            }
            _ => return None,
        };
        writes.push((key, value));
        bytes = rest;
    }
    Some(writes)
}

fn record(sequence: u64, writes: &[Write]) -> Vec<u8> {
    let batch = encode_batch(writes);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + batch.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u32::try_from(batch.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&check(sequence, &batch));
    bytes.extend_from_slice(&batch);
    bytes
}

/// The sequence and the batch of the record at the beginning of `bytes`; none if there is no whole one.
fn parse(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let number = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes);
    let len = u32::from_le_bytes(header[4..8].try_into().ok()?) as usize;
    let batch = rest.get(..len)?;
    let sequence = number(8).ok()?;
    (header[..4] == MAGIC && header[16..24] == check(sequence, batch)).then_some((sequence, batch))
}

/// What a file says: its content, where its records end, and the last sequence.
struct Replayed {
    content: BTreeMap<String, Vec<u8>>,
    end: usize,
    sequence: u64,
}

fn replay(bytes: &[u8]) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed { content: BTreeMap::new(), end: 0, sequence: 0 };
    while let Some((sequence, batch)) = parse(&bytes[replayed.end..]) {
        if sequence != replayed.sequence + 1 {
            return Err(StoreError::Damaged { at: replayed.end as u64 });
        }
        let writes = decode_batch(batch).ok_or_else(|| StoreError::Decode { key: format!("record {sequence}") })?;
        apply(&mut replayed.content, writes);
        replayed.sequence = sequence;
        replayed.end += HEADER_BYTES + batch.len();
    }
    // One commit at a time is on its way: behind a torn one there is none.
    let rest = &bytes[replayed.end..];
    let magics = (1..rest.len()).filter(|i| rest[*i..].starts_with(&MAGIC));
    for i in magics {
        if parse(&rest[i..]).is_some_and(|(sequence, _)| sequence > replayed.sequence) {
            return Err(StoreError::Damaged { at: replayed.end as u64 });
        }
    }
    Ok(replayed)
}

fn apply(content: &mut BTreeMap<String, Vec<u8>>, writes: Vec<Write>) {
    for (key, value) in writes {
        match value {
            Some(value) => content.insert(key, value),
            None => content.remove(&key),
        };
    }
}

fn live_bytes(content: &BTreeMap<String, Vec<u8>>) -> u64 {
    content.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
}

impl LogStore {
    /// Opens or makes the state of a directory, recovering from any crash.
    ///
    /// # Errors
    /// The disk, or a file that is damaged or was not written by this program.
    pub(crate) fn open(disk: &DiskHandle, dir: &Path) -> Result<Self, StoreError> {
        let failed = |what| move |source| StoreError::Disk { what, source };
        disk.create_dir(dir).map_err(failed("made"))?;
        let path = dir.join(FILE);
        let mut file = disk.open(&path, Open::Create).map_err(failed("opened"))?;
        let len_bytes = file.len_bytes().map_err(failed("read"))?;
        if len_bytes > FILE_BYTES_MAX {
            return Err(StoreError::Damaged { at: FILE_BYTES_MAX });
        }
        let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
        read_exact_at(&*file, &mut bytes, 0).map_err(failed("read"))?;
        let Replayed { content, end, sequence } = replay(&bytes)?;
        if bytes[end..].iter().any(|b| *b != 0) {
            file.write_at(&vec![0; bytes.len() - end], end as u64).map_err(failed("cut at a torn record"))?;
            file.sync().map_err(failed("synced"))?;
        }
        // The name must be durable before anything is acknowledged in the file.
        disk.sync_dir(dir).map_err(failed("synced"))?;
        let live_bytes = live_bytes(&content);
        Ok(Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            file,
            content,
            live_bytes,
            end: end as u64,
            len_bytes,
            sequence,
            compact_at: 0,
        })
    }

    /// Puts a file that cannot be read aside, so that a gateway can be enrolled anew; the old bytes stay for whoever looks into it.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn put_aside(disk: &DiskHandle, dir: &Path) -> Result<(), StoreError> {
        let failed = |source| StoreError::Disk { what: "put aside", source };
        disk.rename(&dir.join(FILE), &dir.join(ASIDE)).map_err(failed)?;
        disk.sync_dir(dir).map_err(failed)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if end > self.len_bytes {
            let grown = end.next_multiple_of(GROW_BYTES);
            let zeroes = vec![0; usize::try_from(grown - self.len_bytes).map_err(io::Error::other)?];
            self.file.write_at(&zeroes, self.len_bytes)?;
            self.file.sync()?;
            self.len_bytes = grown;
        }
        self.file.write_at(bytes, self.end)?;
        self.file.sync()?;
        self.end = end;
        Ok(())
    }

    /// Writes what is live into a new file; gives the file with where its records end and its length.
    fn write_new(&self) -> io::Result<(Box<dyn DiskFile>, u64, u64)> {
        let writes: Vec<Write> = self.content.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
        let mut bytes = record(1, &writes);
        let end = bytes.len() as u64;
        bytes.resize(usize::try_from(end.next_multiple_of(GROW_BYTES)).map_err(io::Error::other)?, 0);
        let new = self.dir.join(NEW);
        let mut file = self.disk.open(&new, Open::Create)?;
        file.set_len(0)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        Ok((file, end, bytes.len() as u64))
    }

    /// A new file takes the place of the old. Where there is no room for it the old one goes on; once the names change there is no way
    /// back, and a failure is one.
    fn compact(&mut self) -> io::Result<()> {
        let (file, end, len_bytes) = match self.write_new() {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(%error, "the agent's state cannot be rewritten shorter; going on with the long file");
                self.compact_at = self.end.saturating_mul(2);
                return Ok(());
            }
        };
        self.disk.rename(&self.dir.join(NEW), &self.dir.join(FILE))?;
        self.disk.sync_dir(&self.dir)?;
        (self.file, self.end, self.len_bytes, self.sequence, self.compact_at) = (file, end, len_bytes, 1, 0);
        Ok(())
    }
}

impl Store for LogStore {
    fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let bytes = record(self.sequence + 1, &writes);
        self.append(&bytes).map_err(|source| StoreError::Disk { what: "written", source })?;
        self.sequence += 1;
        for (key, value) in &writes {
            let before = self.content.get(key).map_or(0, |v| key.len() + v.len()) as u64;
            let after = value.as_ref().map_or(0, |v| key.len() + v.len()) as u64;
            self.live_bytes = (self.live_bytes + after).saturating_sub(before);
        }
        apply(&mut self.content, writes);
        if self.end >= self.compact_at
            && self.end > COMPACT_BYTES_MIN.max(self.live_bytes.saturating_mul(COMPACT_FACTOR))
        {
            self.compact().map_err(|source| StoreError::Disk { what: "rewritten", source })?;
        }
        Ok(())
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.content.get(key).cloned())
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let all = self.content.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(all.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// Reads these bytes as a file.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    let _ = replay(bytes);
    // Behind a good check too.
    let _ = decode_batch(bytes);
}

#[cfg(test)]
mod tests;
