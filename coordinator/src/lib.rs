//! The coordinator: approvals, rollouts and the audit log behind one HTTPS and MQTT port.
//!
//! `mdfm_coordinator_core` is the core (pure), `runner` its shell; `store` keeps what must last beside the audit log; `api`, `broker` and `fleet_link`
//! are the ways in and out. `server` puts them together.

mod access;
mod api;
mod backup;
mod broker;
mod clock;
mod config;
mod counters;
mod cursor;
mod disposal;
mod fleet_link;
mod https;
#[cfg(test)]
mod log_v1_tests;
mod notify;
mod outward;
mod pki;
mod public_files;
mod quickstart;
mod report;
mod runner;
mod scrub;
mod server;
mod store;
mod syslog;
mod traces;
mod witness;

pub use server::{Arguments, command, run};
