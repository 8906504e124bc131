//! What the coordinator states about a report: from which records it was made.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::sign::Document;
use crate::time::UtcMillis;

/// The signed statement of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportStatement {
    /// Which report.
    pub kind: String,
    /// What it is about; empty for the whole system.
    pub subject: String,
    /// SHA-256 of the facts as the JSON report has them, byte for byte.
    pub facts_sha256: Digest,
    /// Name of the audit log.
    pub log: String,
    /// Records that the report was made from: the first so many.
    pub log_size: u64,
    /// Root over them.
    pub root: Digest,
    /// When.
    pub made_at: UtcMillis,
}

impl Document for ReportStatement {
    const TYPE: &'static str = "report";
}
