//! What both daemons owe the system they run on: journald with fields, systemd's notifications, exit codes that tell causes
//! apart, and secrets that only their owner can read. No domain, no protocol.

mod certificate;
mod config;
mod exit;
mod logging;
mod secret;
mod watchdog;

pub use certificate::{Validity, validity};
pub use config::with_hint;
pub use exit::{Exit, Stop, finish};
pub use logging::{LevelError, LogLevel, start_logging};
pub use secret::{credential_or, read_secret};
pub use watchdog::{Watchdog, ready, stopping};
