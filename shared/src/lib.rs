//! The vocabulary and the rules that every part of the firmware manager obeys.
//!
//! Nothing here opens a file or a socket, reads a clock or draws a random number: bytes and times come in, checked values
//! go out. Start at [`sign`] (the envelope), then [`trust`] (who may sign what), [`tlog`] (the audit log's proofs) and
//! [`wire`] (what travels where).

pub mod action;
pub mod bundle;
pub mod delta;
pub mod device;
pub mod digest;
pub mod directive;
pub mod enrol;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixture;
pub mod id;
pub mod json;
pub mod limits;
pub mod manifest;
pub mod network;
pub mod observed;
pub mod record;
pub mod report;
pub mod sbom;
pub mod sign;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod tlog;
pub mod trust;
pub mod version;
pub mod waiting;
pub mod wire;
