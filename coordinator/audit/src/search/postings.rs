//! Which entries of one segment have which key: growing in memory for the newest segment, a checksummed file for each of the
//! others.
//!
//! A file `N.terms` holds: magic, the segment's bytes and entries, the time span of every 256 entries, then the posting lists,
//! then the sorted keys with where their list is, then every 128th key, then SHA-256 over all of it. It follows from the
//! segment.

use std::collections::HashMap;
use std::io;

use roaring::RoaringBitmap;
use sha2::{Digest as _, Sha256};

use super::terms::Skimmed;
use crate::disk::{Disk, SharedFile, replace};

const MAGIC: &[u8; 8] = b"MDFMTRM1";
const HEADER_BYTES: usize = 48;
const DIGEST_BYTES: usize = 32;
/// Entries whose times are summed up in one span.
pub(crate) const SPAN_ENTRIES: u32 = 256;
/// Keys between two that are held in memory.
const SPARSE: usize = 128;
/// Lists up to this length are kept as plain numbers.
const PLAIN_MAX: usize = 8;

/// Earliest and latest time of some entries, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) earliest: u64,
    pub(crate) latest: u64,
}

/// The newest segment's postings.
#[derive(Default)]
pub(crate) struct Growing {
    pub(crate) count: u32,
    spans: Vec<Span>,
    postings: HashMap<Vec<u8>, Vec<u32>>,
}

impl Growing {
    /// Adds the next entry; none for one that is no record, or disposed of.
    pub(crate) fn push(&mut self, skimmed: Option<Skimmed>) {
        if self.count.is_multiple_of(SPAN_ENTRIES) {
            self.spans.push(Span { earliest: u64::MAX, latest: 0 });
        }
        if let Some(Skimmed { at_ms, keys }) = skimmed {
            if let Some(span) = self.spans.last_mut() {
                span.earliest = span.earliest.min(at_ms);
                span.latest = span.latest.max(at_ms);
            }
            for key in keys {
                self.postings.entry(key).or_default().push(self.count);
            }
        }
        self.count += 1;
    }

    /// Writes the file of a segment that is full.
    pub(crate) fn write(self, disk: &dyn Disk, name: &str, segment_bytes: u64) -> io::Result<()> {
        let mut keys: Vec<(Vec<u8>, Vec<u32>)> = self.postings.into_iter().collect();
        keys.sort_unstable();
        let mut file = vec![0; HEADER_BYTES];
        for span in &self.spans {
            file.extend_from_slice(&span.earliest.to_be_bytes());
            file.extend_from_slice(&span.latest.to_be_bytes());
        }
        let mut dictionary = Vec::new();
        let mut sparse = Vec::new();
        for (i, (key, list)) in keys.iter().enumerate() {
            if i % SPARSE == 0 {
                push_bytes(&mut sparse, key);
                sparse.extend_from_slice(&(dictionary.len() as u64).to_be_bytes());
            }
            push_bytes(&mut dictionary, key);
            let at = file.len() as u64;
            if list.len() <= PLAIN_MAX {
                list.iter().for_each(|n| file.extend_from_slice(&n.to_be_bytes()));
            } else {
                let mut bitmap = RoaringBitmap::from_sorted_iter(list.iter().copied()).map_err(io::Error::other)?;
                bitmap.optimize();
                bitmap.serialize_into(&mut file)?;
            }
            let length = u32::try_from(file.len() as u64 - at).map_err(io::Error::other)?;
            dictionary.extend_from_slice(&at.to_be_bytes());
            dictionary.extend_from_slice(&length.to_be_bytes());
            dictionary.extend_from_slice(&u32::try_from(list.len()).map_err(io::Error::other)?.to_be_bytes());
        }
        let dictionary_at = file.len() as u64;
        file.extend_from_slice(&dictionary);
        let sparse_at = file.len() as u64;
        file.extend_from_slice(&sparse);
        let header = [
            u64::from_be_bytes(*MAGIC),
            segment_bytes,
            u64::from(self.count),
            dictionary_at,
            sparse_at,
            keys.len() as u64,
        ];
        file[..HEADER_BYTES].copy_from_slice(header.map(u64::to_be_bytes).as_flattened());
        let digest = Sha256::digest(&file);
        file.extend_from_slice(&digest);
        replace(disk, name, &file)
    }
}

fn push_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    buffer.extend_from_slice(bytes);
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(taken)
}
fn take_key<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let n = usize::from(take(bytes, 1)?[0]);
    take(bytes, n)
}
fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*take(bytes, 8)?.first_chunk()?))
}
fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*take(bytes, 4)?.first_chunk()?))
}

/// Where a key's list is in the file, and how many entries it has.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    length: u32,
    count: u32,
}

/// A full segment's postings, on disk.
pub(crate) struct Full {
    file: SharedFile,
    pub(crate) segment_bytes: u64,
    pub(crate) count: u64,
    spans: Vec<Span>,
    /// Every 128th key with where it stands in the dictionary.
    sparse: Vec<(Vec<u8>, u64)>,
    dictionary_at: u64,
    sparse_at: u64,
}

impl Full {
    /// Opens a file after checking all of it; none if it is missing or not what was written.
    pub(crate) fn open(disk: &dyn Disk, name: &str) -> io::Result<Option<Self>> {
        let file = match disk.open(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Self::parse(file, &bytes))
    }

    fn parse(file: SharedFile, bytes: &[u8]) -> Option<Self> {
        let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST_BYTES)?)?;
        if Sha256::digest(content).as_slice() != digest || !content.starts_with(MAGIC) {
            return None;
        }
        let mut header = content.get(8..HEADER_BYTES)?;
        let [segment_bytes, count, dictionary_at, sparse_at, keys] = std::array::from_fn(|_| take_u64(&mut header));
        let (count, sparse_at) = (count?, sparse_at?);
        let mut rest = content.get(HEADER_BYTES..)?;
        let mut spans = Vec::new();
        for _ in 0..count.div_ceil(u64::from(SPAN_ENTRIES)) {
            spans.push(Span { earliest: take_u64(&mut rest)?, latest: take_u64(&mut rest)? });
        }
        let mut rest = content.get(usize::try_from(sparse_at).ok()?..)?;
        let mut sparse = Vec::new();
        for _ in 0..keys?.div_ceil(SPARSE as u64) {
            sparse.push((take_key(&mut rest)?.to_vec(), take_u64(&mut rest)?));
        }
        Some(Self {
            file,
            segment_bytes: segment_bytes?,
            count,
            spans,
            sparse,
            dictionary_at: dictionary_at?,
            sparse_at,
        })
    }

    /// The file's bytes are still what was written.
    pub(crate) fn is_whole(disk: &dyn Disk, name: &str) -> io::Result<bool> {
        Ok(Self::open(disk, name)?.is_some())
    }

    /// Calls `each` with the keys of the block that begins at the sparse key `i`, until it says stop.
    fn block(&self, i: usize, each: &mut dyn FnMut(&[u8], Place) -> bool) -> io::Result<()> {
        let Some((_, from)) = self.sparse.get(i) else { return Ok(()) };
        let to = self.sparse.get(i + 1).map_or(self.sparse_at - self.dictionary_at, |(_, to)| *to);
        let mut block = vec![0; usize::try_from(to.saturating_sub(*from)).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut block, self.dictionary_at + from)?;
        let mut rest = block.as_slice();
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        while !rest.is_empty() {
            let key = take_key(&mut rest).ok_or_else(bad)?;
            let at = take_u64(&mut rest).ok_or_else(bad)?;
            let length = take_u32(&mut rest).ok_or_else(bad)?;
            let count = take_u32(&mut rest).ok_or_else(bad)?;
            if !each(key, Place { at, length, count }) {
                break;
            }
        }
        Ok(())
    }

    fn list(&self, place: Place) -> io::Result<RoaringBitmap> {
        let Place { at, length, count } = place;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        if count as usize <= PLAIN_MAX {
            let numbers = bytes.chunks_exact(4).filter_map(|c| Some(u32::from_be_bytes(*c.first_chunk()?)));
            return RoaringBitmap::from_sorted_iter(numbers).map_err(io::Error::other);
        }
        RoaringBitmap::deserialize_from(bytes.as_slice())
    }
}

/// Postings of one segment, wherever they are.
pub(crate) trait Postings {
    /// Entries, counted from the segment's first, that have the key.
    fn having(&self, key: &[u8]) -> io::Result<RoaringBitmap>;
    /// Entries that have any key that begins so.
    fn having_prefix(&self, prefix: &[u8]) -> io::Result<RoaringBitmap>;
    /// The times of every 256 entries.
    fn spans(&self) -> &[Span];
    /// Entries in the segment.
    fn count(&self) -> u32;
}

impl Postings for Growing {
    fn having(&self, key: &[u8]) -> io::Result<RoaringBitmap> {
        let list = self.postings.get(key).map_or(&[][..], Vec::as_slice);
        RoaringBitmap::from_sorted_iter(list.iter().copied()).map_err(io::Error::other)
    }
    fn having_prefix(&self, prefix: &[u8]) -> io::Result<RoaringBitmap> {
        let lists = self.postings.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(lists.flat_map(|(_, list)| list.iter().copied()).collect())
    }
    fn spans(&self) -> &[Span] {
        &self.spans
    }
    fn count(&self) -> u32 {
        self.count
    }
}

impl Postings for Full {
    fn having(&self, key: &[u8]) -> io::Result<RoaringBitmap> {
        let i = self.sparse.partition_point(|(first, _)| first.as_slice() <= key);
        let mut found = None;
        if i > 0 {
            self.block(i - 1, &mut |at_key, place| {
                if at_key == key {
                    found = Some(place);
                }
                at_key < key
            })?;
        }
        found.map_or_else(|| Ok(RoaringBitmap::new()), |place| self.list(place))
    }
    fn having_prefix(&self, prefix: &[u8]) -> io::Result<RoaringBitmap> {
        let mut lists = Vec::new();
        let first = self.sparse.partition_point(|(key, _)| key.as_slice() <= prefix).saturating_sub(1);
        for i in first..self.sparse.len() {
            let mut beyond = false;
            self.block(i, &mut |key, place| {
                if key.starts_with(prefix) {
                    lists.push(place);
                } else {
                    beyond = key > prefix;
                }
                !beyond
            })?;
            if beyond {
                break;
            }
        }
        let mut all = RoaringBitmap::new();
        for place in lists {
            all |= self.list(place)?;
        }
        Ok(all)
    }
    fn spans(&self) -> &[Span] {
        &self.spans
    }
    fn count(&self) -> u32 {
        u32::try_from(self.count).unwrap_or(u32::MAX)
    }
}
