//! Software bills of materials as tools write them: CycloneDX 1.2 to 1.7 and SPDX 2.2, 2.3 and 3.0, in JSON. A document is read once, from its first
//! byte to its last; what is kept of it is bounded, and so is its nesting.

mod cyclonedx;
mod find;
mod read;
mod spdx;

pub use find::{PartQuery, QueryError};

use std::io::Read;

use serde::{Deserialize, Serialize};

/// Bytes of one document.
pub const DOCUMENT_BYTES_MAX: u64 = 64 << 20;
/// Different parts of one document.
pub const PARTS_MAX: usize = 50_000;
/// Bytes of the names, versions and identifiers of all parts of one document.
pub const PARTS_BYTES_MAX: usize = 12 << 20;
/// Bytes of the name, version and identifiers of one part.
pub const PART_BYTES_MAX: usize = 24 << 10;
/// Bytes of one name, version or identifier.
pub const FIELD_BYTES_MAX: usize = 2_048;
/// Package URLs, and CPE names, of one part.
pub const IDENTIFIERS_MAX: usize = 32;

/// A part that a document names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Name without its group.
    pub name: String,
    /// Version label.
    pub version: Option<String>,
    /// Group, namespace, scope or vendor that the name belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Package URLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purls: Vec<String>,
    /// CPE names, 2.3 or 2.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpes: Vec<String>,
    /// Who supplies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
}

impl Part {
    /// A part with a name and a version alone.
    pub fn new(name: impl Into<String>, version: Option<&str>) -> Self {
        let version = version.map(str::to_owned);
        Self { name: name.into(), version, group: None, purls: Vec::new(), cpes: Vec::new(), supplier: None }
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let one = [Some(&self.name), self.version.as_ref(), self.group.as_ref(), self.supplier.as_ref()];
        one.into_iter().flatten().chain(&self.purls).chain(&self.cpes)
    }

    /// Bytes of everything that it says.
    pub fn bytes(&self) -> usize {
        self.texts().map(String::len).sum()
    }

    /// Checks that each text is within its bounds and printable, and that all together are within theirs.
    ///
    /// # Errors
    /// Which field is not.
    pub fn check(&self) -> Result<(), SbomError> {
        let name: String = self.name.chars().take(64).collect();
        if self.name.trim().is_empty() {
            return Err(SbomError::Malformed("a part has no name".into()));
        }
        if self.texts().any(|t| t.len() > FIELD_BYTES_MAX) {
            return Err(SbomError::TooLarge(format!(
                "the part {name:?}: a field has more than {FIELD_BYTES_MAX} bytes"
            )));
        }
        if self.texts().any(|t| t.chars().any(char::is_control)) {
            return Err(SbomError::Malformed(format!("the part {name:?}: a field has control characters")));
        }
        if self.purls.len() > IDENTIFIERS_MAX || self.cpes.len() > IDENTIFIERS_MAX {
            return Err(SbomError::TooLarge(format!("the part {name:?}: more than {IDENTIFIERS_MAX} identifiers")));
        }
        if self.bytes() > PART_BYTES_MAX {
            return Err(SbomError::TooLarge(format!(
                "the part {name:?}: its texts have more than {PART_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }

    /// As one reads it: group, name and version.
    pub fn words(&self) -> String {
        let group = self.group.as_ref().map(|g| format!("{g}/")).unwrap_or_default();
        let version = self.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
        format!("{group}{}{version}", self.name)
    }
}

/// What was read of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// Format and version, such as `CycloneDX 1.6`.
    pub format: String,
    /// Different parts, in their order.
    pub parts: Vec<Part>,
    /// Other documents that this one names for parts that it does not list itself; they are not read.
    pub elsewhere: Vec<String>,
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// Not JSON, or not the JSON of its format.
    #[error("the bill of materials cannot be read: {0}")]
    Malformed(String),
    /// A format, or a version of one, that is not read.
    #[error("{0} is not read; CycloneDX 1.2 to 1.7 and SPDX 2.2, 2.3 and 3.0 in JSON are")]
    Format(String),
    /// A bound was met.
    #[error("the bill of materials is too large: {0}")]
    TooLarge(String),
    /// It has no part at all.
    #[error("the bill of materials names no part")]
    Empty,
    /// The source ended early or failed.
    #[error("the bill of materials cannot be read: {0}")]
    Io(#[source] std::io::Error),
}

/// Reads a document from its first byte to its last.
///
/// # Errors
/// See [`SbomError`].
pub fn read(source: impl Read) -> Result<Sbom, SbomError> {
    read::document(source)
}

#[cfg(test)]
mod tests;
