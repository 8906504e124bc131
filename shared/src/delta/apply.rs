//! Applying a patch, segment by segment.

use std::io::{self, Read};

use super::{DeltaError, Kind, SEGMENT_BYTES, take_varint, unzigzag};

/// The image that a patch starts from.
pub trait Base {
    /// Reads exactly `buffer`, from byte `offset` on.
    ///
    /// # Errors
    /// It cannot be read, or ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Base for &[u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let from = self.get(at..at + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from);
        Ok(())
    }
}

/// A patch being applied.
pub struct Patcher<R, B> {
    /// The segments, out of their frame.
    segments: R,
    base: B,
    base_bytes: u64,
    image_bytes: u64,
    /// Bytes of the image that the segments so far make.
    made: u64,
    /// The end of the last order in the base.
    base_at: u64,
    group: Vec<u8>,
    piece: Vec<u8>,
}

impl<R: Read, B: Base> Patcher<R, B> {
    /// Of the segments of a patch, out of their frame; the lengths are those of the header.
    pub fn new(segments: R, base: B, base_bytes: u64, image_bytes: u64) -> Self {
        Self { segments, base, base_bytes, image_bytes, made: 0, base_at: 0, group: Vec::new(), piece: Vec::new() }
    }

    /// The next piece of the image that has bytes at or behind `from`, and where it begins; none at the end of the image. Pieces
    /// before are passed over without the base being read.
    ///
    /// # Errors
    /// The patch is damaged, or patch or base cannot be read.
    pub fn next(&mut self, from: u64) -> Result<Option<(u64, &[u8])>, DeltaError> {
        while self.made < self.image_bytes {
            let begin = self.made;
            self.segment(from)?;
            if self.made > from {
                let skip = usize::try_from(from.saturating_sub(begin)).unwrap_or(usize::MAX);
                return Ok(Some((begin.max(from), &self.piece[skip..])));
            }
        }
        Ok(None)
    }

    /// Reads a segment; makes its piece of the image unless that ends before `from`.
    fn segment(&mut self, from: u64) -> Result<(), DeltaError> {
        let mut lengths = [0; 12];
        self.segments.read_exact(&mut lengths)?;
        let length = |at: usize| u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]);
        let [orders, differences, new] = [0, 4, 8].map(|at| length(at) as usize);
        // An order makes one byte at least and has eleven at most, or twenty with its distance.
        if orders > SEGMENT_BYTES || differences > SEGMENT_BYTES || new > SEGMENT_BYTES - differences {
            return Err(DeltaError::Malformed("a segment is too large"));
        }
        self.group.resize(orders + differences + new, 0);
        self.segments.read_exact(&mut self.group)?;
        let (orders, rest) = self.group.split_at(orders);
        let total = total(orders)?;
        let end = self.made + total as u64;
        if end > self.image_bytes {
            return Err(DeltaError::Malformed("it makes something longer than the image"));
        }
        let (mut differences, mut new) = rest.split_at(differences);
        let is_wanted = end > from;
        self.piece.resize(if is_wanted { total } else { 0 }, 0);
        let mut orders = orders;
        let mut at = 0;
        while !orders.is_empty() {
            let (kind, len, distance) = take_order(&mut orders)?;
            if kind != Kind::New {
                let begin = self.base_at.checked_add_signed(distance);
                let begin = begin.filter(|b| b.checked_add(len as u64).is_some_and(|end| end <= self.base_bytes));
                let begin = begin.ok_or(DeltaError::Malformed("an order reaches beyond the base"))?;
                self.base_at = begin + len as u64;
                if is_wanted {
                    self.base.read_exact_at(&mut self.piece[at..at + len], begin)?;
                }
            }
            let from = match kind {
                Kind::Copy => None,
                Kind::Add => Some(take(&mut differences, len)?),
                Kind::New => Some(take(&mut new, len)?),
            };
            if let Some(from) = from.filter(|_| is_wanted) {
                let piece = self.piece[at..at + len].iter_mut().zip(from);
                match kind {
                    Kind::Add => piece.for_each(|(byte, difference)| *byte = byte.wrapping_add(*difference)),
                    _ => piece.for_each(|(byte, new)| *byte = *new),
                }
            }
            at += len;
        }
        if !differences.is_empty() || !new.is_empty() {
            return Err(DeltaError::Malformed("bytes are left over"));
        }
        self.made = end;
        Ok(())
    }
}

/// Bytes of the image that the orders make.
fn total(mut orders: &[u8]) -> Result<usize, DeltaError> {
    let mut total = 0;
    while !orders.is_empty() {
        total += take_order(&mut orders)?.1;
        if total > SEGMENT_BYTES {
            return Err(DeltaError::Malformed("a segment makes more than a segment may"));
        }
    }
    if total == 0 { Err(DeltaError::Malformed("a segment makes nothing")) } else { Ok(total) }
}

/// Kind, length and distance of the next order.
fn take_order(orders: &mut &[u8]) -> Result<(Kind, usize, i64), DeltaError> {
    let order = take_varint(orders)?;
    let kind = Kind::of(order).ok_or(DeltaError::Malformed("an order is of an unknown kind"))?;
    let len = usize::try_from(order >> 2).ok().filter(|len| *len <= SEGMENT_BYTES);
    let len = len.ok_or(DeltaError::Malformed("a segment makes more than a segment may"))?;
    if len == 0 {
        return Err(DeltaError::Malformed("an order makes nothing"));
    }
    let distance = if kind == Kind::New { 0 } else { unzigzag(take_varint(orders)?) };
    Ok((kind, len, distance))
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], DeltaError> {
    let (taken, rest) =
        bytes.split_at_checked(len).ok_or(DeltaError::Malformed("it has fewer bytes than it orders"))?;
    *bytes = rest;
    Ok(taken)
}
