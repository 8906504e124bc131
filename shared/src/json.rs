//! JSON from people and their programs: a byte-order mark is passed over, and a key that stands twice in one object is refused by its name, because
//! readers differ in which of the two they take (RFC 8259 §4).

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// U+FEFF in UTF-8, as editors put it before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How the error for a key that stands twice begins.
pub const DUPLICATE_KEY: &str = "duplicate key";
/// Characters of a key that an error repeats.
const KEY_CHARS_MAX: usize = 64;

/// The bytes behind a byte-order mark, or all of them.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The text behind a byte-order mark, or all of it.
pub fn text_without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads a document.
///
/// # Errors
/// It is not JSON, an object has a key twice, or it is not a `T`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let bytes = without_mark(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Unique.deserialize(&mut reader)?;
    reader.end()?;
    serde_json::from_slice(bytes)
}

/// The error for a key that stands twice.
pub(crate) fn duplicate<E: serde::de::Error>(key: &str) -> E {
    let shown: String = key.chars().take(KEY_CHARS_MAX).collect();
    E::custom(format_args!("{DUPLICATE_KEY} {shown:?}"))
}

/// Any value whose objects have each key once.
#[derive(Clone, Copy)]
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(duplicate(&key));
            }
            keys.insert(key);
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn fld_24_a_key_that_stands_twice_is_refused_by_name() {
        let read = |text: &str| from_slice::<Value>(text.as_bytes());
        for (text, key) in [
            (r#"{"a":1,"a":1}"#, "\"a\""),
            (r#"{"phases":[{"name":"x"},{"name":"y","percent":1,"percent":100}]}"#, "\"percent\""),
            (r#"{"a":{"b":{}},"\u0061":2}"#, "\"a\""),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("{DUPLICATE_KEY} {key}")) && error.contains("line 1"), "{error}");
        }
        let long = format!(r#"{{"{0}":1,"{0}":2}}"#, "k".repeat(10_000));
        assert!(read(&long).expect_err("twice").to_string().len() < 200);
        assert_eq!(read(r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).expect("once each")["b"][1]["a"], 2);
        assert!(read("{} {}").is_err() && read("").is_err() && read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn fld_24_a_byte_order_mark_is_passed_over() {
        assert_eq!(from_slice::<Value>(b"\xef\xbb\xbf{\"a\":1}").expect("reads"), json!({ "a": 1 }));
        assert!(from_slice::<Value>(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err(), "one is enough");
        assert_eq!((text_without_mark("\u{feff}a = 1"), text_without_mark("a")), ("a = 1", "a"));
    }

    proptest! {
        #[test]
        fn what_has_no_key_twice_reads_as_before(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}:,\"ab01 ]{0,40}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                if let Ok(value) = from_slice::<Value>(bytes) {
                    prop_assert_eq!(value, serde_json::from_slice::<Value>(without_mark(bytes)).expect("reads"));
                }
            }
        }
    }
}
