//! The audit log: entries in fsynced segment files, the Merkle tree over them, signed checkpoints.

mod log;
mod segment;

pub(crate) use log::{AuditLog, LogError, LogReader};
