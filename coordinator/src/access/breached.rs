//! Passwords that are known from breaches (NIST SP 800-63B §3.1.1.2): a file of SHA-1 hashes in order, one a line as `HASH` or `HASH:COUNT`, as the
//! public collections give them. It may be large: a search reads a few blocks of it.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Characters of a SHA-1 hash in hexadecimal.
const HASH_CHARS: usize = 40;
/// Longest line looked at.
const LINE_BYTES_MAX: u64 = 128;

/// The list; none where the operator gave none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breached(Option<PathBuf>);

impl Breached {
    /// The list in a file.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self(file)
    }

    /// Whether there is a list.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the list has the password.
    ///
    /// # Errors
    /// The file cannot be read, or is no such list.
    pub(crate) fn contains(&self, password: &str) -> io::Result<bool> {
        let Some(file) = &self.0 else { return Ok(false) };
        let wanted = hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()));
        let mut file = mdfm_service::open_regular(file, u64::MAX).map_err(io::Error::other)?.into_inner();
        let end = file.seek(SeekFrom::End(0))?;
        search(&mut file, end, &wanted)
    }
}

/// The hash on the first whole line at or after `position`; none at the end.
fn line_after(file: &mut (impl Read + Seek), position: u64) -> io::Result<Option<(u64, String)>> {
    let mut start = position;
    // From one byte earlier: a line that begins right here is whole.
    file.seek(SeekFrom::Start(position.saturating_sub(1)))?;
    let mut reader = BufReader::with_capacity(4 * LINE_BYTES_MAX as usize, file);
    let mut line = Vec::new();
    if position > 0 {
        let skipped = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        start = position - 1 + skipped as u64;
        line.clear();
    }
    (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let hash = line.get(..HASH_CHARS).filter(|h| h.iter().all(u8::is_ascii_hexdigit));
    let text = hash.map(|h| String::from_utf8_lossy(h).to_ascii_uppercase());
    let text = text.ok_or_else(|| io::Error::other(format!("byte {start}: no line of hashes")))?;
    Ok(Some((start, text)))
}

fn search(file: &mut (impl Read + Seek), end: u64, wanted: &str) -> io::Result<bool> {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        match line_after(file, middle)? {
            Some((_, found)) if found == wanted => return Ok(true),
            Some((start, found)) if found.as_str() < wanted && start < high => low = start + 1,
            _ => high = middle,
        }
    }
    Ok(matches!(line_after(file, low)?, Some((_, found)) if found == wanted))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn p11_300b_exactly_the_hashes_of_the_list_are_found(
            hashes in proptest::collection::btree_set("[0-9A-F]{40}", 0..60), counts in any::<bool>(), other in "[0-9A-F]{40}",
        ) {
            let lines: String = hashes.iter().enumerate()
                .map(|(i, h)| if counts { format!("{h}:{}\r\n", i * i * 7_919) } else { format!("{h}\n") }).collect();
            let mut file = Cursor::new(lines.as_bytes());
            for hash in &hashes {
                prop_assert!(search(&mut file, lines.len() as u64, hash)?, "{hash}");
            }
            prop_assert_eq!(search(&mut file, lines.len() as u64, &other)?, hashes.contains(&other));
        }
    }

    #[test]
    fn what_is_no_list_is_said_to_be_none() {
        let text = b"password\nletmein\n";
        assert!(search(&mut Cursor::new(text), text.len() as u64, &"A".repeat(HASH_CHARS)).is_err());
    }
}
