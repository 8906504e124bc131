//! Segment files: the truth of the audit log.
//!
//! A file `N.log` is named by the index of its first entry and holds frames of `kind and length u32 BE ‖ first 8 bytes of the
//! leaf hash ‖ payload`. The first frame of every append is marked, by a bit and by the complement of its checksum, so that a write that the power cut tore can be told from
//! damage: only the last append of a log can be torn. Files are only appended to, and count once they are synced. The one
//! exception is disposal after retention, which replaces a whole file by one whose disposed entries are their leaf hashes.
//!
//! Beside it `N.idx` holds where each frame starts, u32 BE an entry. It follows from the segment and is rebuilt when it is
//! missing or does not fit.

use std::io;

use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::tlog::{Hash, leaf_hash};

use crate::commit::Place;
use crate::disk::{Disk, SharedFile, remove_if_there, replace};

/// First bytes of a segment file.
pub const SEGMENT_MAGIC: &[u8; 8] = b"MDFMLOG1";
const MAGIC_BYTES: u64 = 8;
const HEADER_BYTES: usize = 12;
/// Marks the first frame of an append.
const FIRST_OF_APPEND: u32 = 1 << 30;
/// Marks a frame whose payload is the leaf hash of an entry disposed of.
const DISPOSED: u32 = 1 << 31;
const LENGTH_MASK: u32 = (1 << 24) - 1;
/// Bytes read at once when a file is read through.
const READ_BYTES: usize = 1 << 20;

/// What stands at a position of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An entry's bytes.
    Bytes(Vec<u8>),
    /// Disposed of after its retention; its hash stays.
    Disposed(Hash),
}

impl Entry {
    /// The bytes, unless disposed of.
    pub fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Disposed(_) => None,
        }
    }
    /// The entry's leaf hash.
    pub fn leaf(&self) -> Hash {
        match self {
            Self::Bytes(bytes) => leaf_hash(bytes),
            Self::Disposed(leaf) => *leaf,
        }
    }
}

/// A frame as read from a file.
pub(crate) struct Frame<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) leaf: Hash,
    pub(crate) disposed: bool,
    pub(crate) first_of_append: bool,
    pub(crate) bytes: u64,
}

impl Frame<'_> {
    pub(crate) fn to_entry(&self) -> Entry {
        if self.disposed { Entry::Disposed(self.leaf) } else { Entry::Bytes(self.payload.to_vec()) }
    }
}

/// A frame for an entry.
pub(crate) fn push_frame(buffer: &mut Vec<u8>, entry: &[u8], leaf: &Hash, first_of_append: bool) {
    let length = u32::try_from(entry.len()).unwrap_or(LENGTH_MASK);
    push_header(buffer, length, leaf, first_of_append);
    buffer.extend_from_slice(entry);
}

/// A frame for an entry disposed of.
pub(crate) fn push_disposed(buffer: &mut Vec<u8>, leaf: &Hash, first_of_append: bool) {
    push_header(buffer, 32 | DISPOSED, leaf, first_of_append);
    buffer.extend_from_slice(leaf);
}

/// The frame of one entry, as an append of its own; what exports are made of.
pub fn frame(entry: &Entry) -> Vec<u8> {
    let mut buffer = Vec::new();
    match entry {
        Entry::Bytes(bytes) => push_frame(&mut buffer, bytes, &leaf_hash(bytes), true),
        Entry::Disposed(leaf) => push_disposed(&mut buffer, leaf, true),
    }
    buffer
}

fn push_header(buffer: &mut Vec<u8>, word: u32, leaf: &Hash, first_of_append: bool) {
    let word = if first_of_append { word | FIRST_OF_APPEND } else { word };
    buffer.extend_from_slice(&word.to_be_bytes());
    buffer.extend_from_slice(&checksum(leaf, first_of_append));
}

fn checksum(leaf: &Hash, first_of_append: bool) -> [u8; 8] {
    std::array::from_fn(|i| if first_of_append { !leaf[i] } else { leaf[i] })
}

/// Length of the payload that a header announces; none if no frame can have it.
fn payload_length(word: u32) -> Option<usize> {
    let n = (word & LENGTH_MASK) as usize;
    let stray = word & !(LENGTH_MASK | FIRST_OF_APPEND | DISPOSED) != 0;
    let fits = if word & DISPOSED != 0 { n == 32 } else { (1..=LOG_ENTRY_BYTES_MAX).contains(&n) };
    (fits && !stray).then_some(n)
}

/// The frame at the start of `bytes`; none if it is not whole or does not match its checksum.
fn parse_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let word = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let payload = rest.get(..payload_length(word)?)?;
    let disposed = word & DISPOSED != 0;
    let leaf = if disposed { payload.try_into().ok()? } else { leaf_hash(payload) };
    let first_of_append = word & FIRST_OF_APPEND != 0;
    let bytes = (HEADER_BYTES + payload.len()) as u64;
    (checksum(&leaf, first_of_append) == header[4..]).then_some(Frame {
        payload,
        leaf,
        disposed,
        first_of_append,
        bytes,
    })
}

/// Whether the frames begin an append, and not its rest.
pub(crate) fn begins_append(frames: &[u8]) -> bool {
    frames.first_chunk::<4>().is_some_and(|word| u32::from_be_bytes(*word) & FIRST_OF_APPEND != 0)
}

/// Where each frame of a group begins, and its leaf hash; `None` unless they are whole frames of one append and nothing else.
pub(crate) fn frames_of(mut bytes: &[u8]) -> Option<(Vec<u64>, Vec<Hash>)> {
    let (mut starts, mut leaves, mut at) = (Vec::new(), Vec::new(), 0);
    while !bytes.is_empty() {
        let frame = parse_frame(bytes)?;
        if frame.first_of_append != leaves.is_empty() {
            return None;
        }
        starts.push(at);
        leaves.push(frame.leaf);
        at += frame.bytes;
        bytes = &bytes[HEADER_BYTES + frame.payload.len()..];
    }
    Some((starts, leaves))
}

/// Reads a segment file from a position on, frame by frame, with one large read at a time.
pub(crate) struct FrameReader<'a> {
    file: &'a SharedFile,
    length: u64,
    buffer: Vec<u8>,
    /// Position in the file of the buffer's start.
    at: u64,
    used: usize,
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(file: &'a SharedFile, from: u64, to: u64) -> Self {
        Self { file, length: to, buffer: Vec::new(), at: from, used: 0 }
    }
    /// Position of the next frame.
    pub(crate) fn position(&self) -> u64 {
        self.at + self.used as u64
    }
    fn fill(&mut self, want: usize) -> io::Result<()> {
        if self.buffer.len() - self.used >= want {
            return Ok(());
        }
        let from = self.position();
        let left = usize::try_from(self.length.saturating_sub(from)).unwrap_or(usize::MAX);
        self.buffer.resize(left.min(READ_BYTES.max(want)), 0);
        self.file.read_exact_at(&mut self.buffer, from)?;
        (self.at, self.used) = (from, 0);
        Ok(())
    }
    /// The next frame; none at the end of the file. Damage is an error of its own.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Frame<'_>, Damage>>> {
        let at = self.position();
        if at >= self.length {
            return Ok(None);
        }
        self.fill(HEADER_BYTES)?;
        let header = self.buffer[self.used..].first_chunk::<4>();
        let n = header.map(|h| u32::from_be_bytes(*h)).and_then(payload_length);
        let Some(n) = n else { return Ok(Some(Err(Damage { at }))) };
        self.fill(HEADER_BYTES + n)?;
        match parse_frame(&self.buffer[self.used..]) {
            None => Ok(Some(Err(Damage { at }))),
            Some(frame) => {
                self.used += frame.bytes as usize;
                Ok(Some(Ok(frame)))
            }
        }
    }
}

/// The first place where a file is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Position in the file.
    pub(crate) at: u64,
}

/// One file of entries with its index of positions.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) file: SharedFile,
    pub(crate) index: SharedFile,
}

pub(crate) fn log_name(first: u64) -> String {
    format!("{first:020}.log")
}
pub(crate) fn index_name(first: u64) -> String {
    format!("{first:020}.idx")
}
pub(crate) fn terms_name(first: u64) -> String {
    format!("{first:020}.terms")
}

/// First entries of the segment files in order.
pub(crate) fn list(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    let mut found: Vec<u64> = disk
        .list("")?
        .iter()
        .filter_map(|name| {
            let first = name.strip_suffix(".log")?.parse().ok()?;
            (log_name(first) == *name).then_some(first)
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

impl Segment {
    /// Makes an empty file, durable together with its name.
    pub(crate) fn create(disk: &dyn Disk, first: u64) -> io::Result<Self> {
        remove_if_there(disk, &index_name(first))?;
        let file = disk.create(&log_name(first))?;
        file.write_all_at(SEGMENT_MAGIC, 0)?;
        file.sync()?;
        let index = disk.create(&index_name(first))?;
        disk.sync_dir("")?;
        Ok(Self { first, count: 0, bytes: MAGIC_BYTES, file, index })
    }

    /// Opens a file of which the first `count` entries are trusted to be indexed, without reading it through; none if the
    /// index does not fit, or the file does not begin as a segment does.
    pub(crate) fn open_trusting(disk: &dyn Disk, first: u64, count: Option<u64>) -> io::Result<Option<Self>> {
        let file = disk.open(&log_name(first))?;
        let index = match disk.open(&index_name(first)) {
            Ok(index) => index,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let length = file.len()?;
        let indexed = index.len()? / 4;
        let whole = count.is_none();
        let count = count.unwrap_or(indexed);
        if !begins_well(&file, length)? || indexed < count || (whole && index.len()? % 4 != 0) {
            return Ok(None);
        }
        let mut segment = Self { first, count, bytes: MAGIC_BYTES, file, index };
        if count > 0 {
            let last = segment.offset(count - 1)?;
            let Some(frame_bytes) = segment.frame_bytes_at(last, length)? else { return Ok(None) };
            segment.bytes = last + frame_bytes;
        }
        Ok((!whole || segment.bytes == length).then_some(segment))
    }

    /// Opens a file by reading it through, and makes its index anew; the damage where reading stops. None if the file does not
    /// begin as a segment does.
    pub(crate) fn open_scanning(disk: &dyn Disk, first: u64) -> io::Result<Option<(Self, Option<Damage>)>> {
        let file = disk.open(&log_name(first))?;
        let length = file.len()?;
        if !begins_well(&file, length)? {
            return Ok(None);
        }
        let mut found = Scan { count: 0, bytes: MAGIC_BYTES, offsets: Vec::new(), damage: None };
        found.read_on(&file)?;
        // An index that is there is trusted below the checkpoint, so it gets its name only when it is whole.
        replace(disk, &index_name(first), &found.offsets)?;
        let index = disk.open(&index_name(first))?;
        Ok(Some((Self { first, count: found.count, bytes: found.bytes, file, index }, found.damage)))
    }

    /// Reads on from the last known entry to the end of the file, indexing what it finds; the damage where it stops.
    pub(crate) fn scan_on(&mut self) -> io::Result<Option<Damage>> {
        let mut found = Scan { count: self.count, bytes: self.bytes, offsets: Vec::new(), damage: None };
        found.read_on(&self.file)?;
        self.index.set_len(self.count * 4)?;
        self.index.write_all_at(&found.offsets, self.count * 4)?;
        self.index.sync()?;
        (self.count, self.bytes) = (found.count, found.bytes);
        Ok(found.damage)
    }

    /// Whether a whole frame that began an append stands anywhere after a position: then what is before was once durable.
    pub(crate) fn has_append_after(&self, damage: Damage) -> io::Result<bool> {
        let length = self.file.len()?;
        let left = usize::try_from(length.saturating_sub(damage.at)).unwrap_or(usize::MAX);
        let mut rest = vec![0; left];
        self.file.read_exact_at(&mut rest, damage.at)?;
        Ok((1..left).any(|i| parse_frame(&rest[i..]).is_some_and(|f| f.first_of_append)))
    }

    /// Cuts the file back to what is known.
    pub(crate) fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.sync()
    }

    /// Appends frames that are already laid out; durable when this returns, unless they are durable elsewhere.
    pub(crate) fn append(&mut self, frames: &[u8], offsets: &[u8], entries: u64, place: Place) -> io::Result<()> {
        self.file.write_all_at(frames, self.bytes)?;
        match place {
            Place::Here => self.file.sync()?,
            Place::Elsewhere => {}
        }
        self.index.write_all_at(offsets, self.count * 4)?;
        self.bytes += frames.len() as u64;
        self.count += entries;
        Ok(())
    }

    fn offset(&self, position: u64) -> io::Result<u64> {
        let mut offset = [0; 4];
        self.index.read_exact_at(&mut offset, position * 4)?;
        Ok(u64::from(u32::from_be_bytes(offset)))
    }

    fn frame_bytes_at(&self, offset: u64, length: u64) -> io::Result<Option<u64>> {
        if offset < MAGIC_BYTES || offset + HEADER_BYTES as u64 > length {
            return Ok(None);
        }
        let mut word = [0; 4];
        self.file.read_exact_at(&mut word, offset)?;
        let bytes = payload_length(u32::from_be_bytes(word)).map(|n| (HEADER_BYTES + n) as u64);
        Ok(bytes.filter(|b| offset + b <= length))
    }

    /// Where the frame of an entry starts and ends by the index.
    pub(crate) fn span(&self, index: u64) -> io::Result<(u64, u64)> {
        let position = index - self.first;
        let from = self.offset(position)?;
        let to = if position + 1 < self.count { self.offset(position + 1)? } else { self.bytes };
        Ok((from, to))
    }

    /// One entry with its leaf hash; none if the frame there does not match its checksum.
    pub(crate) fn read(&self, index: u64) -> io::Result<Option<(Entry, Hash)>> {
        let (from, to) = self.span(index)?;
        let bytes_max = (HEADER_BYTES + LOG_ENTRY_BYTES_MAX) as u64;
        let Some(n) = to.checked_sub(from).filter(|n| *n <= bytes_max) else { return Ok(None) };
        let mut bytes = vec![0; n as usize];
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(parse_frame(&bytes).filter(|f| f.bytes == n).map(|frame| (frame.to_entry(), frame.leaf)))
    }
}

/// What reading a file through gives.
struct Scan {
    count: u64,
    bytes: u64,
    offsets: Vec<u8>,
    damage: Option<Damage>,
}

impl Scan {
    fn read_on(&mut self, file: &SharedFile) -> io::Result<()> {
        let mut reader = FrameReader::new(file, self.bytes, file.len()?);
        loop {
            let at = reader.position();
            match reader.next()? {
                None => return Ok(()),
                Some(Err(damage)) => {
                    self.damage = Some(damage);
                    return Ok(());
                }
                Some(Ok(frame)) => {
                    let offset = u32::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
                    self.offsets.extend_from_slice(&offset.to_be_bytes());
                    self.count += 1;
                    self.bytes = at + frame.bytes;
                }
            }
        }
    }
}

fn begins_well(file: &SharedFile, length: u64) -> io::Result<bool> {
    let mut magic = [0; 8];
    if length < MAGIC_BYTES {
        return Ok(false);
    }
    file.read_exact_at(&mut magic, 0)?;
    Ok(&magic == SEGMENT_MAGIC)
}
