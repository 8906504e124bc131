//! The coordinator: approvals, rollouts and the audit log behind one HTTPS and MQTT port.
//!
//! `domain` is the core (pure), `runner` its shell; `audit` and `store` keep what must last; `api`, `broker` and `fleet_link`
//! are the ways in and out. `server` puts them together.

mod access;
mod api;
mod audit;
mod broker;
mod clock;
mod config;
mod domain;
mod fleet_link;
mod pki;
pub mod rehearsal;
mod runner;
mod server;
mod store;

pub use server::{Arguments, run};
