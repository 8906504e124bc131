//! Marks of requests for the audit log: keyed (HMAC-SHA-256, RFC 2104), because a plain digest of a body lets every reader of the log confirm a
//! guess of the password in it. The key is kept beside the log and never in it.

use mdfm_shared::digest::Digest;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// The key of all marks.
#[derive(Clone)]
pub(crate) struct MarkKey(Key);

impl MarkKey {
    /// A fresh key as its file has it.
    pub(crate) fn fresh_text() -> Result<String, getrandom::Error> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(hex::encode(bytes))
    }

    /// The key of a file's text; `None` if that is not 64 hexadecimal digits.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let bytes = hex::decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
        Some(Self(Key::new(HMAC_SHA256, &bytes)))
    }

    /// The mark of these parts for one purpose. Each part is preceded by its length, so that no two lists of parts have one mark by construction.
    pub(crate) fn mark(&self, purpose: &str, parts: &[&[u8]]) -> Digest {
        let mut text = format!("mdfm {purpose}\n").into_bytes();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(sign(&self.0, &text).as_ref());
        Digest(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_2_a_mark_depends_on_key_purpose_and_every_part() {
        let key = |digit: &str| MarkKey::from_text(&digit.repeat(64)).expect("a key");
        let mark = key("1").mark("content", &[b"ab", b"c"]);
        assert_eq!(mark, key("1").mark("content", &[b"ab", b"c"]));
        for other in [
            key("2").mark("content", &[b"ab", b"c"]),
            key("1").mark("key", &[b"ab", b"c"]),
            key("1").mark("content", &[b"a", b"bc"]),
            key("1").mark("content", &[b"abc"]),
        ] {
            assert_ne!(mark, other);
        }
        assert!(MarkKey::from_text("abc").is_none() && MarkKey::from_text(&"1".repeat(62)).is_none());
        assert!(MarkKey::from_text(&MarkKey::fresh_text().expect("randomness")).is_some());
    }
}
