//! Parts of the coordinator's addresses: nothing that is typed becomes another path or another query than the command's own.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Characters of a part that no id type describes, such as the id of a webhook or of a legal hold.
const PART_CHARS_MAX: usize = 200;

/// One segment of a path. It is percent-encoded where it is written into an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Part(String);

/// Why a text cannot be a segment of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an id has 1 to {PART_CHARS_MAX} characters, no blank, control character or slash, and does not begin with a dot"
)]
pub(crate) struct PartError;

impl Part {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Part {
    type Err = PartError;
    fn from_str(text: &str) -> Result<Self, PartError> {
        let is_bad = |c: char| c.is_whitespace() || mdfm_shared::text::is_unsafe(c) || matches!(c, '/' | '\\');
        let fits = !text.is_empty() && text.chars().count() <= PART_CHARS_MAX;
        if !fits || text.starts_with('.') || text.contains(is_bad) {
            return Err(PartError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

/// An object of the audit log, `kind/id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    kind: String,
    id: Part,
}

/// Why a text does not name an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an object is written kind/ID, for example device/D-1")]
pub(crate) struct ObjectError;

impl Object {
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }
    pub(crate) fn id(&self) -> &str {
        self.id.as_str()
    }
    /// As records name it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.kind, self.id.as_str())
    }
}

impl FromStr for Object {
    type Err = ObjectError;
    fn from_str(text: &str) -> Result<Self, ObjectError> {
        let (kind, id) = text.split_once('/').ok_or(ObjectError)?;
        if kind.is_empty() || kind.len() > 32 || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(ObjectError);
        }
        Ok(Self { kind: kind.to_owned(), id: id.parse().map_err(|_| ObjectError)? })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// Percent-encodes a value of a path or a query (RFC 3986).
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_23_ids_make_no_other_address() {
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", "a b", "a\n", "\u{202e}a", &"a".repeat(PART_CHARS_MAX + 1)] {
            assert!(bad.parse::<Part>().is_err(), "{bad:?}");
            assert!(format!("device/{bad}").parse::<Object>().is_err(), "{bad:?}");
        }
        for (good, written) in [("LH-1", "LH-1"), ("a?dryRun=x#y", "a%3FdryRun%3Dx%23y"), ("ä%2f", "%C3%A4%252f")] {
            assert_eq!(good.parse::<Part>().expect(good).to_string(), written);
        }
        for bad in ["device", "/D-1", "de vice/D-1", "../D-1", "device/.."] {
            assert!(bad.parse::<Object>().is_err(), "{bad:?}");
        }
        let object: Object = "device/D-1".parse().expect("an object");
        assert_eq!((object.to_string(), object.name()), ("device/D-1".to_owned(), "device/D-1".to_owned()));
    }
}
