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
mod displays;
mod disposal;
mod fleet_link;
mod https;
mod keeper;
#[cfg(test)]
mod log_v1_tests;
mod notify;
mod outward;
mod pki;
mod public_files;
mod quickstart;
#[cfg(test)]
mod records_tests;
mod report;
mod runner;
mod scrub;
mod server;
mod store;
mod syslog;
mod traces;
mod witness;

pub use server::{Arguments, command, run};
