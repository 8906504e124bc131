//! Making a patch: finds what of the image stands in the base, exactly or nearly.
//!
//! Places that are equal for [`KEY_BYTES`] are found by an index over the base. Between two such places, each side is carried on as
//! long as more bytes are equal than not; in programs, most of what differs there are addresses, and their differences repeat. The
//! same idea as bsdiff's, with an index in place of a sorted list of suffixes: it takes a fraction of the time and memory and finds the
//! same places but for very short ones.

use std::io;

use super::{Kind, SEGMENT_BYTES, put_varint, zigzag};

/// Equal bytes that make two places worth a look.
const KEY_BYTES: usize = 16;
/// Places of the base in the index; of a larger base every second, fourth… is taken.
const INDEX_PLACES_MAX: usize = 1 << 26;
/// Equal bytes by which another place must beat the one that would follow anyhow.
const ADVANTAGE_BYTES: usize = 12;
/// Equal bytes that are copied; fewer among differing ones are added zeroes.
const COPY_BYTES_MIN: usize = 128;

/// Gives the segments of a patch, one after the other, to `write`.
///
/// # Errors
/// What `write` says.
pub fn make(base: &[u8], image: &[u8], write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let index = Index::new(base);
    let mut segments = Segments::new(base, image, write);
    // What is written of the image, and where in the base it would go on.
    let (mut done, mut follow) = (0, 0_isize);
    let mut at = 0;
    while let Some(place) = next_place(&index, base, image, at, follow) {
        let shift = place.base as isize - place.image as isize;
        let (mut ahead, mut back) =
            (ahead(base, image, done, place.image, follow), behind(base, image, done, &place, shift));
        if ahead + back > place.image - done {
            let overlap = (ahead + back) - (place.image - done);
            let from = place.image - back;
            let split = split(base, image, from, overlap, follow, shift);
            ahead = from + split - done;
            back = place.image - (from + split);
        }
        segments.alike(done, ahead, follow)?;
        segments.new_bytes(done + ahead, place.image - back)?;
        done = place.image - back;
        follow = shift;
        at = place.image + place.len;
    }
    let ahead = ahead(base, image, done, image.len(), follow);
    segments.alike(done, ahead, follow)?;
    segments.new_bytes(done + ahead, image.len())?;
    segments.end()
}

/// Equal bytes in both.
struct Place {
    base: usize,
    image: usize,
    len: usize,
}

/// The next place at or behind `at` that is better than going on in the base as it would follow.
fn next_place(index: &Index, base: &[u8], image: &[u8], mut at: usize, follow: isize) -> Option<Place> {
    while at + KEY_BYTES <= image.len() {
        let following = at.checked_add_signed(follow).map_or(0, |b| equal_len(base, b, image, at));
        if following >= KEY_BYTES {
            at += following;
            continue;
        }
        let Some(found) = index.find(base, image, at) else {
            at += 1;
            continue;
        };
        let len = equal_len(base, found, image, at);
        let anyhow = (at..at + len).filter(|i| is_equal(base, image, *i, follow)).count();
        if len >= anyhow + ADVANTAGE_BYTES {
            return Some(Place { base: found, image: at, len });
        }
        at += 1;
    }
    None
}

fn equal_len(base: &[u8], base_at: usize, image: &[u8], image_at: usize) -> usize {
    let (a, b) = (base.get(base_at..).unwrap_or_default(), &image[image_at..]);
    let words = a.chunks_exact(32).zip(b.chunks_exact(32)).take_while(|(a, b)| a == b).count() * 32;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

fn is_equal(base: &[u8], image: &[u8], at: usize, shift: isize) -> bool {
    at.checked_add_signed(shift).and_then(|b| base.get(b)) == image.get(at)
}

/// How far behind `done` the image is still like the base at `shift`: where equal bytes have the greatest lead over others.
fn ahead(base: &[u8], image: &[u8], done: usize, end: usize, shift: isize) -> usize {
    let inside = |i: &usize| i.checked_add_signed(shift).is_some_and(|b| b < base.len());
    let (mut lead, mut best, mut len) = (0_isize, 0, 0);
    for i in (done..end).take_while(inside) {
        lead += if is_equal(base, image, i, shift) { 1 } else { -1 };
        if lead > best {
            (best, len) = (lead, i + 1 - done);
        }
    }
    len
}

/// The same from a place towards the beginning.
fn behind(base: &[u8], image: &[u8], done: usize, place: &Place, shift: isize) -> usize {
    let inside = |i: &usize| i.checked_add_signed(shift).is_some();
    let (mut lead, mut best, mut len) = (0_isize, 0, 0);
    for i in (done..place.image).rev().take_while(inside) {
        lead += if is_equal(base, image, i, shift) { 1 } else { -1 };
        if lead > best {
            (best, len) = (lead, place.image - i);
        }
    }
    len
}

/// Of `overlap` bytes from `from` on that both shifts explain: how many the first explains better than the second the rest.
fn split(base: &[u8], image: &[u8], from: usize, overlap: usize, first: isize, second: isize) -> usize {
    let (mut lead, mut best, mut len) = (0_isize, 0, 0);
    for i in 0..overlap {
        lead += isize::from(is_equal(base, image, from + i, first));
        lead -= isize::from(is_equal(base, image, from + i, second));
        if lead > best {
            (best, len) = (lead, i + 1);
        }
    }
    len
}

/// Where in the base a key stands.
struct Index {
    places: Vec<u32>,
    step: usize,
    shift: u32,
}

impl Index {
    fn new(base: &[u8]) -> Self {
        let step = base.len().div_ceil(INDEX_PLACES_MAX).max(1).next_power_of_two();
        let slots = (base.len() / step).next_power_of_two().max(1 << 10);
        let shift = u64::BITS - slots.trailing_zeros();
        let mut index = Self { places: vec![0; slots], step, shift };
        // The first of equal ones stays: written last.
        for n in (0..(base.len() + 1).saturating_sub(KEY_BYTES).div_ceil(step)).rev() {
            let slot = index.slot(&base[n * step..]);
            index.places[slot] = u32::try_from(n + 1).unwrap_or(0);
        }
        index
    }

    fn slot(&self, bytes: &[u8]) -> usize {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let mixed =
            word(0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word(8).wrapping_mul(0xc2b2_ae3d_27d4_eb4f).rotate_left(31);
        usize::try_from(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift).unwrap_or(0)
    }

    fn find(&self, base: &[u8], image: &[u8], at: usize) -> Option<usize> {
        let key = &image[at..at + KEY_BYTES];
        let n = usize::try_from(self.places[self.slot(key)]).ok()?.checked_sub(1)?;
        let place = n * self.step;
        (base.get(place..place + KEY_BYTES) == Some(key)).then_some(place)
    }
}

/// Orders on their way into segments.
struct Segments<'a, W> {
    base: &'a [u8],
    image: &'a [u8],
    write: W,
    orders: Vec<u8>,
    differences: Vec<u8>,
    new: Vec<u8>,
    made: usize,
    base_at: usize,
}

impl<'a, W: FnMut(&[u8]) -> io::Result<()>> Segments<'a, W> {
    fn new(base: &'a [u8], image: &'a [u8], write: W) -> Self {
        let none = Vec::new;
        Self { base, image, write, orders: none(), differences: none(), new: none(), made: 0, base_at: 0 }
    }

    /// `len` bytes of the image that are like the base at `shift`.
    fn alike(&mut self, at: usize, len: usize, shift: isize) -> io::Result<()> {
        let end = at + len;
        let mut added = at;
        let mut i = at;
        while i < end {
            let equal = i.checked_add_signed(shift).map_or(0, |b| equal_len(self.base, b, &self.image[..end], i));
            if equal >= COPY_BYTES_MIN {
                self.order(Kind::Add, added, i, shift)?;
                self.order(Kind::Copy, i, i + equal, shift)?;
                added = i + equal;
            }
            i += equal.max(1);
        }
        self.order(Kind::Add, added, end, shift)
    }

    fn new_bytes(&mut self, at: usize, end: usize) -> io::Result<()> {
        self.order(Kind::New, at, end, 0)
    }

    /// An order for these bytes of the image, split where segments end.
    fn order(&mut self, kind: Kind, mut at: usize, end: usize, shift: isize) -> io::Result<()> {
        while at < end {
            // Twenty bytes are the longest order.
            if self.made == SEGMENT_BYTES || self.orders.len() + 20 > SEGMENT_BYTES {
                self.flush()?;
            }
            let len = (end - at).min(SEGMENT_BYTES - self.made);
            put_varint(&mut self.orders, (len as u64) << 2 | kind as u64);
            let image = &self.image[at..at + len];
            if kind == Kind::New {
                self.new.extend_from_slice(image);
            } else {
                let from = at.checked_add_signed(shift).unwrap_or(0);
                put_varint(&mut self.orders, zigzag(from as i64 - self.base_at as i64));
                self.base_at = from + len;
                if kind == Kind::Add {
                    let base = &self.base[from..from + len];
                    self.differences.extend(image.iter().zip(base).map(|(i, b)| i.wrapping_sub(*b)));
                }
            }
            self.made += len;
            at += len;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut segment = Vec::with_capacity(12 + self.orders.len() + self.differences.len() + self.new.len());
        let groups = [&mut self.orders, &mut self.differences, &mut self.new];
        for group in &groups {
            segment.extend_from_slice(&u32::try_from(group.len()).map_err(io::Error::other)?.to_le_bytes());
        }
        for group in groups {
            segment.append(group);
        }
        self.made = 0;
        (self.write)(&segment)
    }

    fn end(mut self) -> io::Result<()> {
        if self.made > 0 { self.flush() } else { Ok(()) }
    }
}
