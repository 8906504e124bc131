//! PostgreSQL as the place where groups of the audit log become durable (decision 0047).
//!
//! One row a group, inserted by one statement under the fence of the leader's term. This crate knows SQL and the audit store's [`Commit`]; it knows
//! nothing of what records mean. `commit` is the append, `connect` the one connection that it owns, `schema` the tables, `lease` who may write, `lead` the
//! thread that asks (decision 0049).
//!
//! [`Commit`]: mdfm_audit::commit::Commit

mod commit;
mod connect;
mod lead;
mod lease;
mod schema;

pub use commit::{Durability, PgCommit, Settings};
pub use connect::{PgError, Tls};
pub use lead::Leadership;
pub use lease::PgLease;
pub use mdfm_audit::lease::{Term, Timing};
pub use schema::{begin_term, migrate};
