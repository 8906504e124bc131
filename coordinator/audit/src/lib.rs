//! The audit log on disk: append-only segments, the Merkle tree over them, signed checkpoints, search, disposal after
//! retention, self-check, copies and evidence that outsiders verify.
//!
//! The segments are the truth. Everything else in the directory follows from them and is made anew when it is missing or
//! damaged: where frames start (`*.idx`), the tree's hashes (`tree/*`), the search index (`*.terms`).

mod disk;
mod log;
mod rows;
mod scrub;
mod search;
mod segment;

pub use log::{AuditLog, LogError, LogReader, Options};
pub use scrub::{Finding, Scrub};
pub use search::{CONDITIONS_MAX, Field, Order, Page, Query, SearchIndex, is_record};
pub use segment::{Entry, SEGMENT_MAGIC};
