//! The tables, and a term that begins by force.

use std::time::Duration;

use mdfm_audit::lease::Term;

use crate::connect::{Connection, PgError, Tls};

/// What makes the tables of each version out of those of the version before, from version 1 on.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("lease.sql")];
/// The version of the tables that this program needs.
const VERSION: i32 = MIGRATIONS.len() as i32;
/// Longest time that the tables may take to be made.
const MIGRATE: Duration = Duration::from_secs(60);
const ASK: Duration = Duration::from_secs(10);

/// A random UUID (RFC 9562, version 4).
pub(crate) fn uuid() -> Result<String, PgError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| PgError::Io(std::io::Error::other(error)))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// Makes the tables where they are missing, and the row of a log; the log's name and key must be those of before.
///
/// # Errors
/// PostgreSQL, tables of another version, or another log under this number.
pub fn migrate(url: &str, tls: &Tls, log_id: i16, origin: &str, vkey: &str) -> Result<(), PgError> {
    let connection = Connection::open(url, tls, "mdfm-migrate")?;
    let program = concat!("mdfm ", env!("CARGO_PKG_VERSION"));
    let found = connection.ask(MIGRATE, async |client| {
        client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7236673)").await?;
        let made = client.query_one("SELECT to_regclass('mdfm.schema') IS NOT NULL", &[]).await?.get::<_, bool>(0);
        let newest = "SELECT coalesce(max(version), 0) FROM mdfm.schema";
        let mut version = if made { client.query_one(newest, &[]).await?.get::<_, i32>(0) } else { 0 };
        let missing = usize::try_from(version).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(missing) {
            client.batch_execute(migration).await?;
            version += 1;
            client.execute("INSERT INTO mdfm.schema (version, program) VALUES ($1, $2)", &[&version, &program]).await?;
        }
        if version != VERSION {
            client.batch_execute("ROLLBACK").await?;
            return Ok((version, None));
        }
        let new = "INSERT INTO mdfm.log (log_id, origin, vkey) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        client.execute(new, &[&log_id, &origin, &vkey]).await?;
        // Its lease, which nobody holds.
        let lease = "INSERT INTO mdfm.leader (log_id, epoch, term, node) SELECT log_id, 0, gen_random_uuid(), '' FROM mdfm.log \
                     ON CONFLICT DO NOTHING";
        client.execute(lease, &[]).await?;
        let held = client.query_opt("SELECT origin, vkey FROM mdfm.log WHERE log_id = $1", &[&log_id]).await?;
        client.batch_execute("COMMIT").await?;
        Ok((version, held.map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)))))
    })?;
    match found {
        (version, _) if version != VERSION => Err(PgError::Schema(format!(
            "the tables in PostgreSQL are of version {version}, this program needs {VERSION}; use the program that goes with them"
        ))),
        (_, Some((o, v))) if (o.as_str(), v.as_str()) == (origin, vkey) => Ok(()),
        (_, Some((other, _))) => Err(PgError::Schema(format!(
            "log {log_id} in PostgreSQL is {other:?} with another key, this coordinator's is {origin:?}; name the right database"
        ))),
        (_, None) => Err(PgError::Schema(format!("the log {origin:?} has another number than {log_id} in PostgreSQL"))),
    }
}

/// Begins a term whatever lease is held: whoever led before writes nothing from now on. For a person who knows why, and for tests.
///
/// # Errors
/// PostgreSQL, or a log that [`migrate`] did not make.
pub fn begin_term(url: &str, tls: &Tls, log_id: i16, node: &str) -> Result<Term, PgError> {
    let connection = Connection::open(url, tls, "mdfm-lead")?;
    let name = uuid()?;
    // Waits for an append that is under way: its group is in the log, or it never will be.
    let take = "INSERT INTO mdfm.leader (log_id, epoch, term, node) VALUES ($1, 1, $2::text::uuid, $3) \
                ON CONFLICT (log_id) DO UPDATE SET epoch = leader.epoch + 1, term = EXCLUDED.term, node = EXCLUDED.node, \
                backend_pid = NULL RETURNING epoch";
    let row = connection.ask(ASK, async |client| client.query_one(take, &[&log_id, &name, &node]).await)?;
    match connection.take_warnings().pop() {
        Some(warning) => Err(PgError::NotDurable(warning)),
        None => Ok(Term { epoch: row.get(0), name }),
    }
}
