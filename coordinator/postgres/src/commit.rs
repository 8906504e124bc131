//! The append: one statement, one row a group, fenced by the leader's term and by the size and root of the tail that the writer knows.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mdfm_audit::commit::{Chunk, Commit, CommitError, Group, NoteKind, Place, Standing, Tail};
use mdfm_audit::lease::{Standing as Lead, Term};
use mdfm_shared::tlog::{Frontier, Hash};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::connect::{Connection, PgError, Tls};
use crate::lead::Leadership;

/// An append that is not answered within this is looked for.
const APPEND: Duration = Duration::from_secs(3);
/// Longest time for any other statement.
const ASK: Duration = Duration::from_secs(10);
/// Pause before the server is tried again, while an answer is looked for.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest time that one look for an answer goes on.
const LOOK: Duration = Duration::from_secs(15);
/// Frames of one group, in bytes.
const GROUP_BYTES_MAX: usize = 64 << 20;
/// Groups that one read returns.
const CHUNKS_MAX: i64 = 64;
/// The durability of the server is looked at again after this time.
const DURABILITY_AGAIN: Duration = Duration::from_secs(60);

const INSERT: &str = "\
INSERT INTO mdfm.log_chunk (log_id, first, count, epoch, before, root, frames)
SELECT $1::smallint, $2::bigint, $3::int, $4::bigint, $5::bytea, $6::bytea, $7::bytea
  FROM (SELECT 1 FROM mdfm.leader WHERE log_id = $1 AND epoch = $4 AND term = $8::text::uuid FOR KEY SHARE) l
 WHERE EXISTS (SELECT 1 FROM (SELECT first + count AS size, root FROM mdfm.log_chunk WHERE log_id = $1 ORDER BY first DESC LIMIT 1) t
                WHERE t.size = $2 AND t.root = $5)
    OR ($2 = 0 AND NOT EXISTS (SELECT 1 FROM mdfm.log_chunk WHERE log_id = $1))";

/// Leader and tail in one snapshot.
const FIND: &str = "\
SELECT l.epoch, l.term::text, t.size, t.root
  FROM (SELECT $1::smallint AS log_id) o
  LEFT JOIN mdfm.leader l ON l.log_id = o.log_id
  LEFT JOIN LATERAL (SELECT first + count AS size, root FROM mdfm.log_chunk WHERE log_id = o.log_id ORDER BY first DESC LIMIT 1) t ON true";

/// Writes nothing new, and is answered only when everything before it is as durable as the server makes it.
const FLUSH: &str =
    "UPDATE mdfm.leader SET backend_pid = pg_backend_pid() WHERE log_id = $1 AND epoch = $2 AND term = $3::text::uuid";

const NOTE: &str = "\
INSERT INTO mdfm.log_note (log_id, kind, size, epoch, note)
SELECT $1::smallint, $2::text, $3::bigint, $4::bigint, $5::text
  FROM (SELECT 1 FROM mdfm.leader WHERE log_id = $1 AND epoch = $4 AND term = $6::text::uuid FOR KEY SHARE) l
ON CONFLICT (log_id, kind, size) DO UPDATE SET note = EXCLUDED.note, epoch = EXCLUDED.epoch, at = clock_timestamp()";

const READ: &str = "\
SELECT first, count, before, root, frames FROM mdfm.log_chunk
 WHERE log_id = $1 AND first >= coalesce((SELECT max(first) FROM mdfm.log_chunk WHERE log_id = $1 AND first <= $2), 0)
 ORDER BY first LIMIT $3";

/// How what PostgreSQL acknowledges survives the loss of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It waits for at least this number of standbys; this is checked.
    Synchronous {
        /// Standbys that must be connected.
        standbys_min: u32,
    },
    /// The operator of a managed server says that it does; nothing shows it.
    Managed,
    /// It does not: one server.
    Single,
}

/// Which log, and where.
#[derive(Clone)]
pub struct Settings {
    /// The connection string; several hosts are allowed.
    pub url: String,
    /// How the server is known.
    pub tls: Tls,
    /// The name of this coordinator.
    pub node: String,
    /// The number of the log.
    pub log_id: i16,
    /// What the server must do before it acknowledges.
    pub durability: Durability,
}

/// The writer of a term.
pub struct PgCommit {
    settings: Settings,
    term: Term,
    /// Whether the lease of the term is held; `None` for a term that began by force.
    leadership: Option<Arc<Leadership>>,
    /// `None` after an error: whatever was under way on it is not trusted.
    line: Option<Line>,
}

/// A connection with its prepared statements.
struct Line {
    connection: Connection,
    insert: Statement,
    checked_at: Instant,
}

/// What stands in the server.
struct Found {
    leader: Option<(i64, String)>,
    tail: Tail,
}

fn unsure(error: PgError) -> CommitError {
    CommitError::Unsure(io::Error::other(error))
}

fn failed(error: PgError) -> CommitError {
    CommitError::Io(io::Error::other(error))
}

fn hash(bytes: &[u8]) -> Result<Hash, CommitError> {
    bytes.try_into().map_err(|_| failed(PgError::Schema(format!("a root of {} bytes in PostgreSQL", bytes.len()))))
}

fn number(n: u64) -> Result<i64, CommitError> {
    i64::try_from(n).map_err(|error| CommitError::Io(io::Error::other(error)))
}

fn size_of(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}

impl Line {
    fn open(settings: &Settings) -> Result<Self, PgError> {
        let name = format!("mdfm-append-{}", settings.node);
        let connection = Connection::open(&settings.url, &settings.tls, &name)?;
        check_session(&connection)?;
        check_durability(&connection, settings.durability)?;
        let insert = connection.ask(ASK, async |client| client.prepare(INSERT).await)?;
        Ok(Self { connection, insert, checked_at: Instant::now() })
    }
}

/// Refuses a pooler that hands each transaction to another session: what is set once must hold for every statement.
pub(crate) fn check_session(connection: &Connection) -> Result<(), PgError> {
    let seen = connection.ask(ASK, async |client| {
        client.batch_execute("SET mdfm.session = 'mine'").await?;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let row = client.query_one("SELECT pg_backend_pid(), current_setting('mdfm.session', true)", &[]).await?;
            seen.push((row.get::<_, i32>(0), row.get::<_, Option<String>>(1)));
        }
        Ok(seen)
    })?;
    let is_one = seen.iter().all(|(pid, set)| *pid == seen[0].0 && set.as_deref() == Some("mine"));
    if is_one {
        return Ok(());
    }
    Err(PgError::Pooled(
        "the connection to PostgreSQL goes through a pooler in transaction mode (PgBouncer?); name the server itself in `url_file`".into(),
    ))
}

/// Refuses a server that could lose what it acknowledges.
pub(crate) fn check_durability(connection: &Connection, durability: Durability) -> Result<(), PgError> {
    let Durability::Synchronous { standbys_min } = durability else { return Ok(()) };
    let query = "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), current_setting('fsync'), \
                 (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))";
    let row = connection.ask(ASK, async |client| client.query_one(query, &[]).await)?;
    let [commit, names, fsync]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
    let standbys = size_of(&row, 3);
    let wrong = if names.is_empty() {
        Some("`synchronous_standby_names` is empty, so that it waits for no standby".to_owned())
    } else if !matches!(commit.as_str(), "on" | "remote_apply") {
        Some(format!("`synchronous_commit` is {commit}, it must be on or remote_apply"))
    } else if fsync != "on" {
        Some("`fsync` is off".to_owned())
    } else if standbys < u64::from(standbys_min) {
        Some(format!("{standbys} synchronous standbys are connected, {standbys_min} must be"))
    } else {
        None
    };
    wrong.map_or(Ok(()), |wrong| {
        let what = format!(
            "{wrong}; connect a synchronous standby, or set `durability` to \"managed\" or \"single\" if you know why"
        );
        Err(PgError::NotDurable(what))
    })
}

impl PgCommit {
    /// The writer of a term that [`begin_term`](crate::begin_term) began.
    ///
    /// # Errors
    /// The server cannot be reached, or is not as `settings` demand.
    pub fn open(settings: Settings, term: Term) -> Result<Self, PgError> {
        let line = Line::open(&settings)?;
        Ok(Self { settings, term, leadership: None, line: Some(line) })
    }

    /// The writer of the term that this coordinator leads in: it writes only while the lease is held.
    ///
    /// # Errors
    /// It does not lead; or as [`Self::open`].
    pub fn lead(settings: Settings, leadership: Arc<Leadership>) -> Result<Self, PgError> {
        let Lead::Leads(term) = leadership.standing() else { return Err(PgError::NotLeading) };
        let line = Line::open(&settings)?;
        Ok(Self { settings, term, leadership: Some(leadership), line: Some(line) })
    }

    /// Whether it may write, by its own clock. The store refuses what is of an older term in any case.
    fn check_lease(&self) -> Result<(), CommitError> {
        self.leadership.as_ref().map_or(Ok(()), |leadership| leadership.check(&self.term))
    }

    /// The connection; made again where the last one failed, and the server's durability looked at again from time to time.
    fn line(&mut self) -> Result<&Line, PgError> {
        let line = match self.line.take() {
            Some(mut line) => {
                if line.checked_at.elapsed() >= DURABILITY_AGAIN {
                    check_durability(&line.connection, self.settings.durability)?;
                    line.checked_at = Instant::now();
                }
                line
            }
            None => Line::open(&self.settings)?,
        };
        Ok(self.line.insert(line))
    }

    /// Lets go of a connection on which something went wrong, without a word to the server.
    fn drop_line(&mut self) {
        self.line = None;
    }

    fn insert(&mut self, group: &Group<'_>) -> Result<u64, CommitError> {
        let (first, before, root) = (number(group.first())?, group.before(), group.root());
        let count = i32::try_from(group.count()).map_err(|error| CommitError::Io(io::Error::other(error)))?;
        if group.frames().len() > GROUP_BYTES_MAX {
            return Err(CommitError::Io(io::Error::other(format!("a group of {} bytes", group.frames().len()))));
        }
        let (log_id, term, frames) = (self.settings.log_id, self.term.clone(), group.frames());
        let (before, root) = (&before[..], &root[..]);
        // Nothing is under way before this.
        let line = self.line().map_err(failed)?;
        let inserted = line.connection.ask(APPEND, async |client| {
            let parameters: [&(dyn ToSql + Sync); 8] =
                [&log_id, &first, &count, &term.epoch, &before, &root, &frames, &term.name];
            client.execute(&line.insert, &parameters).await
        });
        let warnings = line.connection.take_warnings();
        match inserted {
            Ok(rows) if warnings.is_empty() => Ok(rows),
            // It may have ended to wait for its standby.
            Ok(_) => {
                self.drop_line();
                Err(unsure(PgError::NotDurable(warnings.join("; "))))
            }
            Err(error) => {
                self.drop_line();
                Err(unsure(error))
            }
        }
    }

    fn find(&mut self) -> Result<Found, PgError> {
        let log_id = self.settings.log_id;
        let line = self.line()?;
        let found = line.connection.ask(ASK, async |client| client.query_one(FIND, &[&log_id]).await);
        let row = match found {
            Ok(row) => row,
            Err(error) => {
                self.drop_line();
                return Err(error);
            }
        };
        let leader = row.get::<_, Option<i64>>(0).zip(row.get::<_, Option<String>>(1));
        let tail = match (row.get::<_, Option<i64>>(2), row.get::<_, Option<&[u8]>>(3)) {
            (Some(size), Some(root)) => {
                let root =
                    root.try_into().map_err(|_| PgError::Schema("a root of another length in PostgreSQL".into()))?;
                Tail { size: u64::try_from(size).unwrap_or(0), root }
            }
            _ => Tail { size: 0, root: Frontier::default().root() },
        };
        Ok(Found { leader, tail })
    }

    /// As [`Self::find`], until the server answers or it took too long.
    fn look(&mut self) -> Result<Found, PgError> {
        let begun = Instant::now();
        loop {
            match self.find() {
                Ok(found) => return Ok(found),
                Err(error) if begun.elapsed() >= LOOK => return Err(error),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "looking for the answer to an append")
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn judge(&self, found: &Found, group: &Group<'_>) -> Result<Standing, CommitError> {
        let is_ours =
            found.leader.as_ref().is_some_and(|(epoch, name)| (*epoch, name) == (self.term.epoch, &self.term.name));
        if !is_ours {
            let epoch = found.leader.as_ref().map_or(0, |(epoch, _)| *epoch);
            if let Some(leadership) = &self.leadership {
                leadership.deposed(&self.term);
            }
            return Err(CommitError::Deposed { epoch: u64::try_from(epoch).unwrap_or(0) });
        }
        let Tail { size, root } = found.tail;
        match size {
            size if size == group.first() + group.count() && root == group.root() => Ok(Standing::Stands),
            size if size == group.first() && root == group.before() => Ok(Standing::Before),
            size if size < group.first() => Err(CommitError::TailLost { held: group.first(), found: size }),
            _ => Err(CommitError::Forked { at: group.first() }),
        }
    }

    /// Waits until everything that stands in the server is as durable as the server makes it.
    fn flush(&mut self) -> Result<(), CommitError> {
        let (log_id, term) = (self.settings.log_id, self.term.clone());
        let line = self.line().map_err(unsure)?;
        let flushed = line
            .connection
            .ask(APPEND, async |client| client.execute(FLUSH, &[&log_id, &term.epoch, &term.name]).await);
        let warnings = line.connection.take_warnings();
        match flushed {
            Ok(1) if warnings.is_empty() => Ok(()),
            Ok(_) => {
                self.drop_line();
                Err(unsure(PgError::NotDurable(warnings.join("; "))))
            }
            Err(error) => {
                self.drop_line();
                Err(unsure(error))
            }
        }
    }
}

impl Commit for PgCommit {
    fn place(&self) -> Place {
        Place::Elsewhere
    }

    fn commit(&mut self, group: &Group<'_>) -> Result<(), CommitError> {
        self.check_lease()?;
        if self.insert(group)? == 1 {
            return Ok(());
        }
        // Nothing was written: why not?
        let found = self.find().map_err(failed)?;
        match self.judge(&found, group)? {
            // Both say that it could have been written: whoever wrote it, it was not this statement.
            Standing::Stands | Standing::Before => Err(CommitError::Forked { at: group.first() }),
        }
    }

    fn resolve(&mut self, group: &Group<'_>) -> Result<Standing, CommitError> {
        let found = self.look().map_err(unsure)?;
        let standing = self.judge(&found, group)?;
        if standing == Standing::Stands {
            // It can be seen; that its standby has it is another matter.
            self.flush()?;
        }
        Ok(standing)
    }

    fn note(&mut self, kind: NoteKind, size: u64, note: &str) -> Result<(), CommitError> {
        let (log_id, term, size) = (self.settings.log_id, self.term.clone(), number(size)?);
        self.check_lease()?;
        let line = self.line().map_err(failed)?;
        let noted = line.connection.ask(ASK, async |client| {
            client.execute(NOTE, &[&log_id, &kind.name(), &size, &term.epoch, &note, &term.name]).await
        });
        match noted {
            Ok(1) => Ok(()),
            Ok(_) => {
                let found = self.find().map_err(failed)?;
                let epoch = found.leader.map_or(0, |(epoch, _)| epoch);
                Err(CommitError::Deposed { epoch: u64::try_from(epoch).unwrap_or(0) })
            }
            Err(error) => {
                self.drop_line();
                Err(failed(error))
            }
        }
    }

    fn tail(&mut self) -> Result<Option<Tail>, CommitError> {
        Ok(Some(self.find().map_err(failed)?.tail))
    }

    fn chunks(&mut self, from: u64) -> Result<Vec<Chunk>, CommitError> {
        let (log_id, record) = (self.settings.log_id, number(from)?);
        let line = self.line().map_err(failed)?;
        let read = line.connection.ask(ASK, async |client| client.query(READ, &[&log_id, &record, &CHUNKS_MAX]).await);
        let rows = match read {
            Ok(rows) => rows,
            Err(error) => {
                self.drop_line();
                return Err(failed(error));
            }
        };
        let chunk = |row: Row| {
            Ok(Chunk {
                first: size_of(&row, 0),
                count: u64::try_from(row.get::<_, i32>(1)).unwrap_or(0),
                before: hash(row.get(2))?,
                root: hash(row.get(3))?,
                frames: row.get(4),
            })
        };
        let mut chunks = rows.into_iter().map(chunk).collect::<Result<Vec<Chunk>, CommitError>>()?;
        // The first one may end right before the record.
        chunks.retain(|chunk| chunk.end() > from);
        Ok(chunks)
    }
}
