//! What both daemons owe the system they run on: journald with fields, systemd's notifications, exit codes that tell causes
//! apart, secrets that only their owner can read, and the limits that every listener keeps. No domain, no protocol.

mod admission;
mod bucket;
mod certificate;
pub mod command_line;
mod config;
mod descriptors;
mod directory;
mod exit;
mod file;
mod input;
mod lines;
mod listener;
mod logging;
pub mod output;
mod pace;
mod secret;
pub mod terminal;
mod watchdog;

pub use admission::{ConnectionLimits, Connections, Held, RateOf, Refused, Stage, Standing};
pub use bucket::Bucket;
pub use certificate::{Validity, common_name, validity};
pub use config::{load_config, load_config_with, with_hint};
pub use descriptors::raise_descriptors;
pub use directory::{check_directory, free_bytes};
pub use exit::{Exit, STOPPED_AT_ONCE, Stop, finish};
pub use file::{atomic_write, atomic_write_like, make_directory_like, open_lock, remove_durably, write_new_secret};
pub use input::{INPUT_BYTES_MAX, InputError, open_input, open_regular, read_input, read_input_text};
pub use lines::Lines;
pub use listener::listen;
pub use logging::{LevelError, LogLevel, start_logging, take_up_level};
pub use pace::Paced;
pub use secret::{check_private, credential_or, read_secret, read_secret_or_input, read_secrets};
pub use watchdog::{Watchdog, ready, stopping};
