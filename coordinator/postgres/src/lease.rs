//! The lease in PostgreSQL: one row a log, by the server's own clock, over a connection of its own, so that neither a long append nor a long decision
//! keeps a renewal waiting.

use std::time::Duration;

use mdfm_audit::lease::{Lease, Term, Timing};
use tokio_postgres::types::ToSql;

use crate::commit::{Settings, check_durability, check_session};
use crate::connect::{Connection, PgError};
use crate::schema::uuid;

/// Plain, not an upsert: a row that does not match is not locked, so that candidates do not stand in the way of appends. It changes the epoch, so that it
/// waits for an append that is under way: that group is in the log, or it never will be.
const TAKE: &str = "\
UPDATE mdfm.leader SET epoch = epoch + 1, term = $2::text::uuid, node = $3, backend_pid = NULL, until = clock_timestamp() + $4::bigint * interval '1 ms'
 WHERE log_id = $1 AND until < clock_timestamp() RETURNING epoch";

const RENEW: &str = "\
UPDATE mdfm.leader SET until = clock_timestamp() + $4::bigint * interval '1 ms' WHERE log_id = $1 AND epoch = $2 AND term = $3::text::uuid RETURNING epoch";

const GIVE_UP: &str = "UPDATE mdfm.leader SET until = '-infinity' WHERE log_id = $1 AND epoch = $2 AND term = $3::text::uuid RETURNING epoch";

/// One node's way to the lease.
pub struct PgLease {
    settings: Settings,
    lease_ms: i64,
    /// Longest time for an answer.
    within: Duration,
    /// `None` after an error.
    connection: Option<Connection>,
}

impl PgLease {
    /// The lease of the log that `settings` name. Nothing is asked yet.
    pub fn new(settings: Settings, timing: Timing) -> Self {
        // Two attempts to renew it have room before its holder has to stop.
        let within = Duration::from_millis(timing.lead_ms.saturating_sub(timing.renew_every_ms) / 2);
        Self { settings, lease_ms: i64::try_from(timing.lease_ms).unwrap_or(i64::MAX), within, connection: None }
    }

    /// The connection; made again where the last one failed.
    fn connection(&mut self) -> Result<&Connection, PgError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let name = format!("mdfm-lease-{}", self.settings.node);
                let connection = Connection::open(&self.settings.url, &self.settings.tls, &name)?;
                check_session(&connection)?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Does something on the connection, whose commits are as durable as the server makes them or not. After an error the connection is dropped:
    /// whatever was under way on it is not trusted.
    fn on<T>(&mut self, is_durable: bool, act: impl FnOnce(&Connection) -> Result<T, PgError>) -> Result<T, PgError> {
        let within = self.within;
        let connection = self.connection()?;
        // A renewal that is lost with the server harms nobody, and must not wait for a standby: its holder would lose the lease because a standby is slow.
        let commit = if is_durable { "on" } else { "off" };
        // Whoever waits for an append that waits for its standby gives up before it is given up: otherwise each attempt would leave a backend behind.
        let set = format!("SET synchronous_commit = {commit}; SET lock_timeout = {}", within.as_millis() / 2);
        let set = connection.ask(within, async |client| client.batch_execute(&set).await);
        let done = set.and_then(|()| act(connection));
        let warnings = connection.take_warnings();
        let done = if warnings.is_empty() { done } else { Err(PgError::NotDurable(warnings.join("; "))) };
        if done.is_err() {
            self.connection = None;
        }
        done
    }

    /// Lets the server change the lease; returns the epoch of the row, if it changed.
    fn change(&mut self, is_durable: bool, sql: &str, rest: &[&(dyn ToSql + Sync)]) -> Result<Option<i64>, PgError> {
        let (log_id, within) = (self.settings.log_id, self.within);
        let row = self.on(is_durable, |connection| {
            connection.ask(within, async |client| {
                let parameters: Vec<&(dyn ToSql + Sync)> =
                    std::iter::once(&log_id as &(dyn ToSql + Sync)).chain(rest.iter().copied()).collect();
                client.query_opt(sql, &parameters).await
            })
        })?;
        Ok(row.map(|row| row.get(0)))
    }
}

impl Lease for PgLease {
    type Error = PgError;

    fn take(&mut self) -> Result<Option<Term>, PgError> {
        // A term on a server that could lose what it acknowledges is not begun.
        let durability = self.settings.durability;
        self.on(true, |connection| check_durability(connection, durability))?;
        let (name, node, lease_ms) = (uuid()?, self.settings.node.clone(), self.lease_ms);
        let epoch = self.change(true, TAKE, &[&name, &node, &lease_ms])?;
        Ok(epoch.map(|epoch| Term { epoch, name }))
    }

    fn renew(&mut self, term: &Term) -> Result<bool, PgError> {
        let lease_ms = self.lease_ms;
        Ok(self.change(false, RENEW, &[&term.epoch, &term.name, &lease_ms])?.is_some())
    }

    fn give_up(&mut self, term: &Term) -> Result<(), PgError> {
        self.change(false, GIVE_UP, &[&term.epoch, &term.name]).map(drop)
    }
}
