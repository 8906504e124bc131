//! Signed notes (C2SP signed-note), Ed25519 signatures of type 0x01.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::limits::NOTE_SIGNATURES_MAX;
use crate::sign::{PublicKey, SecretKey};

const TYPE_ED25519: u8 = 1;
const DASH: &str = "\u{2014} ";

/// Why a note or its key is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A verifier or signer key not of the form `name+id+key`.
    #[error("note key is not of the form name+id+base64, or its id does not fit")]
    Key,
    /// The bytes are no note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// The known key signed something else.
    #[error("the note's signature by {0} is not valid: the text was altered")]
    BadSignature(String),
    /// The known key has not signed.
    #[error("the note is not signed by {0}")]
    Unsigned(String),
    /// Another key that has the known key's name has signed, the known one has not.
    #[error("the note is not signed by the key given for {0}, but by another key of that name")]
    OtherKey(String),
    /// Too few witnesses have seen it.
    #[error("the checkpoint is cosigned by {found} of the witnesses that the trust root names, {needed} are needed")]
    Witnesses {
        /// Witnesses that cosigned.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// The text is no checkpoint of this log.
    #[error("not a checkpoint of this log: {0}")]
    Checkpoint(&'static str),
}

/// A key that verifies notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    id: [u8; 4],
    key: PublicKey,
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.chars().any(char::is_whitespace)
}

pub(super) fn key_id(name: &str, kind: u8, key: &PublicKey) -> [u8; 4] {
    let hash: [u8; 32] =
        Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key.bytes()).finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The text of a verifier key of one kind.
pub(super) fn vkey(name: &str, id: [u8; 4], kind: u8, key: &PublicKey) -> String {
    format!("{name}+{}+{}", hex::encode(id), STANDARD.encode([&[kind], key.bytes().as_slice()].concat()))
}

/// Takes a verifier key of one kind apart; the id must fit.
pub(super) fn parse_vkey(vkey: &str, kind: u8) -> Result<(String, [u8; 4], PublicKey), NoteError> {
    let mut parts = vkey.splitn(3, '+');
    let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key);
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Key)?;
    let key = bytes.strip_prefix(&[kind]).ok_or(NoteError::Key)?;
    let key = PublicKey::ed25519(key.try_into().map_err(|_| NoteError::Key)?).map_err(|_| NoteError::Key)?;
    let found = key_id(name, kind, &key);
    if is_name(name) && id == hex::encode(found) { Ok((name.to_owned(), found, key)) } else { Err(NoteError::Key) }
}

impl NoteKey {
    /// The key called `name`.
    ///
    /// # Errors
    /// The name is empty or has white space or a plus sign.
    pub fn new(name: &str, key: PublicKey) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Key);
        }
        Ok(Self { name: name.to_owned(), id: key_id(name, TYPE_ED25519, &key), key })
    }

    /// Reads a verifier key, `name+id+base64`; the id must fit.
    ///
    /// # Errors
    /// Any other text, type or id.
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let (name, id, key) = parse_vkey(vkey, TYPE_ED25519)?;
        Ok(Self { name, id, key })
    }

    /// The verifier key's text.
    pub fn to_vkey(&self) -> String {
        vkey(&self.name, self.id, TYPE_ED25519, &self.key)
    }

    /// The key's name, for a log its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a note: returns its text if this key signed it. Signatures by other keys are ignored.
    ///
    /// # Errors
    /// See [`NoteError`].
    pub fn open<'a>(&self, note: &'a [u8]) -> Result<&'a str, NoteError> {
        let Note { text, signatures } = Note::parse(note)?;
        let mut signed = false;
        for signature in signatures.iter().filter(|s| s.name == self.name && s.key_id == self.id) {
            if !self.key.verify(text.as_bytes(), &signature.bytes) {
                return Err(NoteError::BadSignature(self.name.clone()));
            }
            signed = true;
        }
        match signed {
            true => Ok(text),
            false if signatures.iter().any(|s| s.name == self.name) => Err(NoteError::OtherKey(self.name.clone())),
            false => Err(NoteError::Unsigned(self.name.clone())),
        }
    }
}

/// One signature line.
pub(super) struct SignatureLine<'a> {
    pub(super) line: &'a str,
    pub(super) name: &'a str,
    pub(super) key_id: [u8; 4],
    pub(super) bytes: Vec<u8>,
}

/// A note taken apart; nothing of it verified. Lines that stand there twice count once.
pub(super) struct Note<'a> {
    pub(super) text: &'a str,
    pub(super) signatures: Vec<SignatureLine<'a>>,
}

impl<'a> Note<'a> {
    pub(super) fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Malformed("control character"));
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed("no empty line before the signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("no newline at the end"))?;
        let mut seen = BTreeSet::new();
        let mut signatures = Vec::new();
        for (i, line) in lines.split('\n').enumerate() {
            if i >= NOTE_SIGNATURES_MAX {
                return Err(NoteError::Malformed("too many signatures"));
            }
            if seen.insert(line) {
                signatures.push(SignatureLine::parse(line)?);
            }
        }
        Ok(Self { text, signatures })
    }
}

impl<'a> SignatureLine<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, NoteError> {
        let bad = || NoteError::Malformed("signature line");
        let (name, encoded) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or_else(bad)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| bad())?;
        let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
        if !is_name(name) || signature.is_empty() {
            return Err(bad());
        }
        Ok(Self { line, name, key_id: *key_id, bytes: signature.to_vec() })
    }
}

/// A signature line of `name` over `signature` by the key `id`, with its newline.
pub(super) fn signature_line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    format!("{DASH}{name} {}\n", STANDARD.encode([id.as_slice(), signature].concat()))
}

/// A key that signs notes.
#[derive(Debug, Clone)]
pub struct NoteSigner {
    key: NoteKey,
    secret: SecretKey,
}

impl NoteSigner {
    /// The signer called `name`.
    ///
    /// # Errors
    /// The name is empty or has white space or a plus sign.
    pub fn new(name: &str, secret: SecretKey) -> Result<Self, NoteError> {
        Ok(Self { key: NoteKey::new(name, secret.public())?, secret })
    }
    /// The verifying half.
    pub fn key(&self) -> &NoteKey {
        &self.key
    }
    /// Signs `text`, which must end in a newline.
    ///
    /// # Errors
    /// The text cannot be a note's.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        if !text.ends_with('\n') || text.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Malformed("text must be lines without control characters"));
        }
        let line = signature_line(&self.key.name, self.key.id, &self.secret.sign(text.as_bytes()));
        Ok(format!("{text}\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_SIGNATURE: &str =
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    const ENOCH_LINE: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    fn note() -> String {
        format!("{TEXT}\n{DASH}PeterNeumann {PETER_SIGNATURE}\n{ENOCH_LINE}")
    }
    fn peter() -> NoteKey {
        NoteKey::parse(PETER).expect("published key")
    }

    #[test]
    fn published_notes_open_and_keys_round_trip() {
        assert_eq!(peter().open(note().as_bytes()), Ok(TEXT));
        assert_eq!(peter().to_vkey(), PETER);
        let enoch = NoteKey::parse("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop").expect("good");
        assert_eq!(enoch.open(note().as_bytes()), Ok(TEXT));
        let foo =
            NoteKey::parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").expect("good");
        let text = "This is an example message.\n";
        let line = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=";
        assert_eq!(foo.open(format!("{text}\n{DASH}example.com/foo {line}\n").as_bytes()), Ok(text));
    }

    #[test]
    fn signing_gives_the_published_signature() {
        let skey = STANDARD.decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").expect("base64");
        let seed: [u8; 32] = skey[1..].try_into().expect("seed");
        let signer = NoteSigner::new("PeterNeumann", SecretKey::from_seed(seed)).expect("good name");
        assert_eq!(signer.key(), &peter());
        assert_eq!(signer.sign(TEXT), Ok(format!("{TEXT}\n{DASH}PeterNeumann {PETER_SIGNATURE}\n")));
        assert!(signer.sign("no newline").is_err());
    }

    #[test]
    fn every_published_bad_note_is_refused() {
        let good = note();
        let line = format!("{DASH}PeterNeumann {PETER_SIGNATURE}\n");
        let mut inserted = PETER_SIGNATURE.to_owned();
        inserted.insert_str(40, "AAAA");
        for (why, bad) in [
            ("text alone", TEXT.to_owned()),
            ("no signature line", format!("{TEXT}\n")),
            ("last newline missing", good.trim_end().to_owned()),
            ("control character", format!("\u{1}{good}")),
            ("name with a space", format!("{good}{DASH}Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pA==\n")),
            ("unexpected line", format!("{good}Unexpected line.\n")),
            ("too many", format!("{TEXT}\n{}", line.repeat(NOTE_SIGNATURES_MAX + 1))),
        ] {
            assert!(matches!(peter().open(bad.as_bytes()), Err(NoteError::Malformed(_))), "{why}");
        }
        let mut not_utf8 = good.clone().into_bytes();
        not_utf8.insert(0, 0xff);
        assert_eq!(peter().open(&not_utf8), Err(NoteError::Malformed("not UTF-8")));
        let altered = format!("{TEXT}\n{DASH}PeterNeumann {inserted}\n");
        assert_eq!(peter().open(altered.as_bytes()), Err(NoteError::BadSignature("PeterNeumann".into())));
        let only_enoch = format!("{TEXT}\n{ENOCH_LINE}");
        assert_eq!(peter().open(only_enoch.as_bytes()), Err(NoteError::Unsigned("PeterNeumann".into())));
    }

    #[test]
    fn cli_13_another_key_of_the_same_name_is_named_as_that() {
        let signer = |seed| NoteSigner::new("log.example", SecretKey::from_seed([seed; 32])).expect("a name");
        let note = signer(1).sign(TEXT).expect("a text");
        let refused = signer(2).key().open(note.as_bytes());
        assert_eq!(refused, Err(NoteError::OtherKey("log.example".into())));
        assert!(refused.is_err_and(|e| e.to_string().contains("not signed by the key given")));
    }

    #[test]
    fn no_part_and_no_neighbour_of_a_key_is_a_key() {
        for i in 0..PETER.len() {
            assert!(NoteKey::parse(&PETER[..i]).is_err());
            assert!(i == 0 || NoteKey::parse(&PETER[i..]).is_err());
            let mut bytes = PETER.as_bytes().to_vec();
            bytes[i] += 1;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                assert!(NoteKey::parse(text).is_err(), "{text}");
            }
        }
    }
}
