//! The agent of a hospital gateway: verifies, stages, activates when it is safe, watches, and rolls back on its own.
//!
//! The crate `mdfm-agent-core` decides; `runner` is its shell, `bring` what brings images.
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
mod image;
mod link;
mod local;
#[cfg(test)]
mod power_cut;
mod runner;
mod self_test;
mod service;
mod store;
mod vendor;

pub use service::{Arguments, command, run};
