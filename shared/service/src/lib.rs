//! What both daemons owe the system they run on: journald with fields, systemd's notifications, exit codes that tell causes
//! apart, and secrets that only their owner can read. No domain, no protocol.

mod certificate;
mod config;
mod descriptors;
mod exit;
mod file;
mod logging;
mod secret;
mod watchdog;

pub use certificate::{Validity, common_name, validity};
pub use config::{load_config, with_hint};
pub use descriptors::raise_descriptors;
pub use exit::{Exit, Stop, finish};
pub use file::atomic_write;
pub use logging::{LevelError, LogLevel, start_logging, take_up_level};
pub use secret::{credential_or, read_secret};
pub use watchdog::{Watchdog, ready, stopping};
