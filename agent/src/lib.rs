//! The agent of a hospital gateway: verifies, stages, activates when it is safe, watches, and rolls back on its own.
//!
//! `installer` is the core (pure, one state machine a device), `trust` what this gateway believes, `gateway` puts them together;
//! `runner` is their shell, `bring` what brings images.
//! `link` leads to the coordinator, `device` to the devices, `local` to on-site staff, `store` keeps what must survive.

mod bring;
mod clock;
mod config;
mod conformance;
mod device;
mod device_files;
mod disk;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod image;
mod installer;
mod link;
mod local;
#[cfg(test)]
mod power_cut;
pub mod rehearsal;
mod runner;
mod service;
mod store;
mod trust;
mod trusted_time;

pub use service::{Arguments, command, run};
