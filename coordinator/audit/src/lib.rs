//! The audit log on disk: append-only segments, the Merkle tree over them, signed checkpoints, search, disposal after
//! retention, self-check, copies and evidence that outsiders verify.
//!
//! The segments are the truth. Everything else in the directory follows from them and is rebuilt when it is missing or
//! damaged: where frames start (`*.idx`), the tree's hashes (`tree/*`), the search index (`*.terms`).

pub mod commit;
mod disk;
mod evidence;
pub mod lease;
mod log;
mod publish;
mod rows;
mod scrub;
mod search;
mod segment;
mod verify;

pub use evidence::{
    EVIDENCE_BYTES_MAX, EVIDENCE_FORMAT, EVIDENCE_RECORDS_MAX, Evidence, EvidenceError, EvidenceFindings,
    EvidenceRecord,
};
pub use log::{AuditLog, LogError, LogReader, Options};
pub use publish::Published;
pub use scrub::{Finding, Scrub};
pub use search::{CONDITIONS_MAX, Field, Matcher, Order, Page, Query, SearchIndex};
pub use segment::{Entry, SEGMENT_MAGIC, frame};
pub use verify::{Verified, VerifyError, read_copy, verify_copy};
