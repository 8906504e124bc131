//! The agent's durable state on a disk: one file of atomic batches, and a lock that keeps a second process out.

#[cfg(test)]
mod flood_tests;
mod lock;
mod log;
#[cfg(test)]
mod state_v1_tests;

pub(crate) use lock::{LOCK, StateLock};
pub(crate) use log::LogStore;

/// The state file with these bytes in it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    log::fuzz(bytes);
}
