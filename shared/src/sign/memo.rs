//! Signatures that were judged before, for worlds in virtual time: there many agents verify the same documents in one process.
//!
//! Without the feature `simulation` nothing is kept. With it something is kept only inside [`remembering`], in that thread; the
//! simulators alone ask for the feature and call it (`tests/tidy/rules.rs`). No caller can put an answer in: an entry is made by
//! strict verification itself, or by signing, and names key, signature and message by one digest.

#[cfg(feature = "simulation")]
mod kept;

#[cfg(feature = "simulation")]
pub use kept::remembering;
#[cfg(feature = "simulation")]
pub(super) use kept::{signed, verified};

/// What `strictly` says.
#[cfg(not(feature = "simulation"))]
pub(super) fn verified(_: &[u8; 32], _: &[u8], _: &[u8; 64], strictly: impl FnOnce() -> bool) -> bool {
    strictly()
}

/// A signature was made.
#[cfg(not(feature = "simulation"))]
pub(super) fn signed(_: &[u8; 32], _: &[u8], _: &[u8; 64]) {}
