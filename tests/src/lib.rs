//! A whole installation as real processes on loopback: coordinator, agents, simulated devices, and people with `mdfmctl`.
//!
//! Used by the end-to-end tests and by the demonstration. Everything goes the way that people go: keys are made offline, tokens
//! are handed over, roles sign in and sign.

mod api;
mod browser;
#[cfg(test)]
mod decoders;
mod impostor;
mod lossy;
mod people;
mod plain;
mod process;
mod receiver;
mod terminal;
mod world;

pub use api::{Api, Session};
pub use browser::Browser;
pub use impostor::{Consistency, Impostor};
pub use lossy::Losses;
pub use people::Role;
pub use plain::check_errors;
pub use process::{Checked, Process, checked_end, free_port, program};
pub use receiver::{Call, Receiver};
pub use terminal::{Screen, Terminal};
pub use world::{Front, Kind, Layout, World, device_id, gateway_id, hospital_id, slots_section, write_private};

use std::time::{Duration, Instant};

use anyhow::bail;

/// Looks until `look` gives a value; waits for a level, never for a moment.
///
/// # Errors
/// The time is over, or looking failed permanently.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if started.elapsed() > limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
