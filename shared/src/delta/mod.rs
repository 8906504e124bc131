//! Deltas: how an image is made out of another one that the gateway holds, `mdfm-delta-1`.
//!
//! A patch is a [`Header`] and, behind it, one zstd frame (RFC 8878) with a window of at most [`WINDOW_BYTES_MAX`]. Its content is a row
//! of segments; each makes at most [`SEGMENT_BYTES`] of the image and holds three lengths of 32 bits (little-endian) and then the bytes
//! that they count:
//!
//! 1. orders, each a varint (LEB128) `length << 2 | kind`: [`Kind::Copy`] and [`Kind::Add`] are followed by a zigzag varint, the distance in
//!    the base from the end of the order before; `Add` adds one difference byte to each byte of the base, modulo 256, as bsdiff does
//!    (Percival, "Naive differences of executable code", 2003); [`Kind::New`] takes new bytes;
//! 2. the difference bytes;
//! 3. the new bytes.
//!
//! Whoever applies a patch holds a window and a segment in memory, and no image. That the result is what the manifest names is for its
//! SHA-256 to say, not for the patch.

mod apply;
mod make;

use crate::digest::Digest;

pub use apply::{Base, Patcher};
pub use make::make;

/// The name of the format in a manifest.
pub const FORMAT: &str = "mdfm-delta-1";
/// Bytes of an image made by one segment.
pub const SEGMENT_BYTES: usize = 512 << 10;
/// Bytes that a decoder of the frame must remember.
pub const WINDOW_BYTES_MAX: u64 = 2 << 20;
/// Bytes of an encoded [`Header`].
pub const HEADER_BYTES: usize = 88;

const MAGIC: [u8; 8] = *b"mdfmdlt1";

/// What a patch says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// SHA-256 of the image that it starts from.
    pub base_sha256: Digest,
    /// That image's length.
    pub base_bytes: u64,
    /// SHA-256 of the image that it makes.
    pub image_sha256: Digest,
    /// That image's length.
    pub image_bytes: u64,
}

/// What an order does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Copy,
    Add,
    New,
}

impl Kind {
    fn of(order: u64) -> Option<Self> {
        [Self::Copy, Self::Add, Self::New].into_iter().find(|k| *k as u64 == order & 3)
    }
}

/// Why a patch cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// It is no patch, or is damaged.
    #[error("the patch is damaged: {0}")]
    Malformed(&'static str),
    /// The patch or the base could not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Header {
    /// The bytes at the beginning of a patch.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let parts: [&[u8]; 5] = [
            &MAGIC,
            &self.base_sha256.0,
            &self.base_bytes.to_le_bytes(),
            &self.image_sha256.0,
            &self.image_bytes.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        bytes
    }

    /// Reads the beginning of a patch.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, DeltaError> {
        let digest = |at: usize| bytes[at..at + 32].try_into().map(Digest);
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes);
        let wrong = |_| DeltaError::Malformed("it does not begin like one");
        if bytes[..8] != MAGIC {
            return Err(DeltaError::Malformed("it does not begin like one"));
        }
        Ok(Self {
            base_sha256: digest(8).map_err(wrong)?,
            base_bytes: number(40).map_err(wrong)?,
            image_sha256: digest(48).map_err(wrong)?,
            image_bytes: number(80).map_err(wrong)?,
        })
    }
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, DeltaError> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(DeltaError::Malformed("an order ends in its middle"))?;
        *bytes = rest;
        n |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(DeltaError::Malformed("a number is too long"))
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patch(base: &[u8], image: &[u8]) -> Vec<u8> {
        let mut patch = Vec::new();
        make(base, image, |segment| {
            patch.extend_from_slice(segment);
            Ok(())
        })
        .expect("makes");
        patch
    }

    fn apply(base: &[u8], image_bytes: u64, patch: &[u8], from: u64) -> Result<Vec<u8>, DeltaError> {
        let mut patcher = Patcher::new(patch, base, base.len() as u64, image_bytes);
        let mut made = Vec::new();
        while let Some((offset, piece)) = patcher.next(from)? {
            assert_eq!(offset, from + made.len() as u64);
            made.extend_from_slice(piece);
        }
        Ok(made)
    }

    /// Bytes in which what is near is alike, as in programs.
    fn program(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let step = |state: &mut u64| {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *state
        };
        (0..len).map(|_| step(&mut state).to_le_bytes()[3]).collect()
    }

    #[test]
    fn an_image_whose_addresses_all_moved_becomes_a_small_patch() {
        let base = program(7, 300_000);
        // Forty bytes in, and every address behind them, one in each sixty-four bytes, is forty higher.
        let mut image = base[..1_000].to_vec();
        image.extend([0xcc; 40]);
        image.extend_from_slice(&base[1_000..]);
        for address in image[1_040..].chunks_mut(64) {
            address[0] = address[0].wrapping_add(40);
        }
        let patch = patch(&base, &image);
        let new: usize = patch.iter().filter(|b| ![0, 40].contains(*b)).count();
        assert!(new < 400, "{new} bytes are neither as before nor moved by forty");
        assert_eq!(apply(&base, image.len() as u64, &patch, 0).expect("applies"), image);
    }

    #[test]
    fn equal_images_and_moved_blocks_cost_next_to_nothing() {
        let base = program(1, 4 << 20);
        let same = patch(&base, &base);
        assert!(same.len() < 200, "{} bytes for no change", same.len());
        let swapped: Vec<u8> = base[2 << 20..].iter().chain(&base[..2 << 20]).copied().collect();
        let moved = patch(&base, &swapped);
        assert!(moved.len() < 300, "{} bytes for two halves swapped", moved.len());
        assert_eq!(apply(&base, swapped.len() as u64, &moved, 0).expect("applies"), swapped);
        assert_eq!(apply(&base, swapped.len() as u64, &moved, 3_000_001).expect("goes on"), swapped[3_000_001..]);
    }

    /// A base of other length than said, orders beyond it, lengths beyond every bound: an error, never more than was asked for.
    #[test]
    fn att_6_a_patch_that_lies_is_refused_before_it_makes_too_much() {
        let segment = |orders: &[u8], differences: &[u8], new: &[u8]| {
            let mut bytes = Vec::new();
            for part in [orders, differences, new] {
                bytes.extend((part.len() as u32).to_le_bytes());
            }
            [bytes, orders.to_vec(), differences.to_vec(), new.to_vec()].concat()
        };
        let copy = |len: u64, distance: i64| {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, len << 2);
            put_varint(&mut bytes, zigzag(distance));
            bytes
        };
        let base = [5; 100];
        for (bytes, says) in [
            (segment(&copy(101, 0), &[], &[]), "beyond the base"),
            (segment(&copy(10, -1), &[], &[]), "beyond the base"),
            (segment(&copy(10, i64::MAX), &[], &[]), "beyond the base"),
            (segment(&copy(u64::MAX >> 2, 0), &[], &[]), "more than a segment"),
            (segment(&copy(0, 0), &[], &[]), "nothing"),
            (segment(&[3], &[], &[]), "unknown"),
            (segment(&[0xff; 11], &[], &[]), "too long"),
            (segment(&[], &[], &[]), "nothing"),
            (segment(&[10 << 2 | 2], &[], &[1; 9]), "fewer"),
            (segment(&[10 << 2 | 1, 0], &[1; 11], &[]), "left over"),
            (segment(&[copy(90, 0), copy(90, -90)].concat(), &[], &[]), "longer than the image"),
            ((u32::MAX).to_le_bytes().repeat(3), "too large"),
        ] {
            let error = apply(&base, 120, &bytes, 0).expect_err(says).to_string();
            assert!(error.contains(says), "{error}; expected {says}");
        }
        let short = apply(&base, 80, &segment(&copy(40, 0), &[], &[]), 0).expect_err("ends early");
        assert!(matches!(short, DeltaError::Io(_)), "{short}");
    }

    proptest! {
        #[test]
        fn every_pair_of_images_comes_back(
            base in proptest::collection::vec(0_u8..4, 0..3_000),
            cuts in proptest::collection::vec((0_usize..3_000, 0_usize..600, any::<u8>()), 0..12),
            from in 0_u64..4_000,
        ) {
            let mut image = base.clone();
            for (at, len, byte) in cuts {
                let at = at.min(image.len());
                let end = (at + len).min(image.len());
                match byte % 3 {
                    0 => drop(image.drain(at..end)),
                    1 => image.splice(at..at, std::iter::repeat_n(byte, len / 8)).for_each(drop),
                    _ => image[at..end].iter_mut().step_by(7).for_each(|b| *b = b.wrapping_add(byte)),
                }
            }
            let patch = patch(&base, &image);
            let from = from.min(image.len() as u64);
            let made = apply(&base, image.len() as u64, &patch, from).expect("applies");
            prop_assert_eq!(made, &image[usize::try_from(from).expect("small")..]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = apply(&[1; 50], 60, &bytes, 0);
        }
    }
}
