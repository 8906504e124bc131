//! The suite of every store on a real PostgreSQL with a synchronous standby, and what only PostgreSQL can do wrong.

mod lease;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI16, Ordering};
use std::time::{Duration, Instant};

use mdfm_audit::commit::{Chunk, Commit, CommitError, conformance};
use mdfm_audit::{AuditLog, LogError, Options};
use mdfm_postgres::{Durability, PgCommit, PgError, Settings, Tls, begin_term, migrate};
use mdfm_shared::sign::SecretKey;
use mdfm_shared::tlog::NoteSigner;
use server::{Cluster, Way, free_port, is_there};

static LOGS: AtomicI16 = AtomicI16::new(1);

/// One log in a cluster, behind a way that loses answers.
struct Log {
    cluster: Arc<Cluster>,
    way: Way,
    id: i16,
}

fn settings(way: &Way, id: i16) -> Settings {
    let durability = Durability::Synchronous { standbys_min: 1 };
    Settings { url: Cluster::url(way.port), tls: Tls::Loopback, node: "fw-1".into(), log_id: id, durability }
}

impl Log {
    fn new(cluster: Arc<Cluster>) -> Self {
        let id = LOGS.fetch_add(1, Ordering::Relaxed);
        let way = Way::to(cluster.port);
        migrate(&Cluster::url(cluster.port), &Tls::Loopback, id, &format!("log-{id}.example"), "key")
            .expect("migrates");
        Self { cluster, way, id }
    }

    fn lead(&self) -> PgCommit {
        let term = begin_term(&Cluster::url(self.way.port), &Tls::Loopback, self.id, "fw-1").expect("a term");
        PgCommit::open(settings(&self.way, self.id), term).expect("connects")
    }

    fn size(&self) -> String {
        self.cluster
            .psql(&format!("SELECT coalesce(max(first + count), 0) FROM mdfm.log_chunk WHERE log_id = {}", self.id))
    }
}

impl conformance::Stores for Log {
    fn lead(&mut self) -> Box<dyn Commit> {
        Box::new(Self::lead(self))
    }
    fn lose_answer(&mut self, is_stored: bool) {
        self.way.lose(!is_stored);
    }
    fn lose_tail(&mut self, groups: usize) {
        let id = self.id;
        self.cluster.psql(&format!(
            "DELETE FROM mdfm.log_chunk WHERE log_id = {id} AND first IN \
             (SELECT first FROM mdfm.log_chunk WHERE log_id = {id} ORDER BY first DESC LIMIT {groups})"
        ));
    }
    fn all(&mut self) -> Vec<Chunk> {
        let sql = "SELECT first || ' ' || count || ' ' || encode(before, 'hex') || ' ' || encode(root, 'hex') || ' ' || \
                   encode(frames, 'hex') FROM mdfm.log_chunk WHERE log_id = ";
        let rows = self.cluster.psql(&format!("{sql} {} ORDER BY first", self.id));
        let hash = |text: &str| hex::decode(text).expect("hex").try_into().expect("32 bytes");
        let chunk = |row: &str| {
            let all: Vec<&str> = row.split(' ').collect();
            let n = |at: usize| all[at].parse().expect("a number");
            let frames = hex::decode(all[4]).expect("hex");
            Chunk { first: n(0), count: n(1), before: hash(all[2]), root: hash(all[3]), frames }
        };
        rows.lines().map(chunk).collect()
    }
}

fn dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("mdfm-pg-copy-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn open(dir: &std::path::Path, store: PgCommit) -> Result<AuditLog, LogError> {
    let signer = NoteSigner::new("log.example", SecretKey::from_seed([1; 32])).expect("a name");
    AuditLog::open_with(dir, signer, Options::default(), Box::new(store))
}

#[test]
fn postgresql_does_what_a_store_must() {
    if !is_there("postgresql_does_what_a_store_must") {
        return;
    }
    let cluster = Arc::new(Cluster::start("suite"));
    conformance::check(&dir("suite"), &mut || Box::new(Log::new(Arc::clone(&cluster))));
}

#[test]
fn c7_without_its_standby_nothing_is_acknowledged_or_lost() {
    if !is_there("c7_without_its_standby_nothing_is_acknowledged_or_lost") {
        return;
    }
    let mut cluster = Cluster::start("c7");
    let (id, copy) = (LOGS.fetch_add(1, Ordering::Relaxed), dir("c7"));
    migrate(&Cluster::url(cluster.port), &Tls::Loopback, id, "c7.example", "key").expect("migrates");
    let way = Way::to(cluster.port);
    let term = begin_term(&Cluster::url(way.port), &Tls::Loopback, id, "fw-1").expect("a term");
    let mut log = open(&copy, PgCommit::open(settings(&way, id), term).expect("connects")).expect("opens");
    log.append(&[b"before"]).expect("appends");
    cluster.kill_standby();
    let appending = std::thread::spawn(move || (log.append(&[b"meanwhile"]).map_err(|e| format!("{e:?}")), log));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        assert!(!appending.is_finished(), "nothing is answered without a standby");
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.start_standby();
    let (answer, log) = appending.join().expect("goes on");
    assert_eq!(answer, Ok(1), "after {} s", begun.elapsed().as_secs());
    assert_eq!(log.reader().size(), 2);
    let size =
        cluster.psql(&format!("SELECT max(first + count) || ' ' || count(*) FROM mdfm.log_chunk WHERE log_id = {id}"));
    assert_eq!(size, "2 2", "once");
}

#[test]
fn c8_a_cancelled_wait_is_no_success() {
    if !is_there("c8_a_cancelled_wait_is_no_success") {
        return;
    }
    let mut cluster = Cluster::start("c8");
    let (id, copy) = (LOGS.fetch_add(1, Ordering::Relaxed), dir("c8"));
    migrate(&Cluster::url(cluster.port), &Tls::Loopback, id, "c8.example", "key").expect("migrates");
    let way = Way::to(cluster.port);
    let term = begin_term(&Cluster::url(way.port), &Tls::Loopback, id, "fw-1").expect("a term");
    let mut log = open(&copy, PgCommit::open(settings(&way, id), term).expect("connects")).expect("opens");
    log.append(&[b"before"]).expect("appends");
    cluster.kill_standby();
    let appending = std::thread::spawn(move || (log.append(&[b"meanwhile"]).map_err(|e| format!("{e:?}")), log));
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'mdfm-append-fw-1'";
    cluster.until("append that waits for its standby", |cluster| cluster.psql(waits) != "0");
    let cancelled = cluster.psql(
        "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'mdfm-append-fw-1'",
    );
    assert_eq!(cancelled, "1");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!appending.is_finished(), "PostgreSQL answered with success and a warning; that is not durable");
    cluster.start_standby();
    let (answer, _) = appending.join().expect("goes on");
    assert_eq!(answer, Ok(1));
    let size =
        cluster.psql(&format!("SELECT max(first + count) || ' ' || count(*) FROM mdfm.log_chunk WHERE log_id = {id}"));
    assert_eq!(size, "2 2", "once");
}

#[test]
fn c13_another_log_and_c6_a_server_that_could_lose_are_refused() {
    if !is_there("c13_another_log_and_c6_a_server_that_could_lose_are_refused") {
        return;
    }
    let mut cluster = Cluster::start("c13");
    let url = Cluster::url(cluster.port);
    migrate(&url, &Tls::Loopback, 1, "log.example", "key").expect("migrates");
    migrate(&url, &Tls::Loopback, 1, "log.example", "key").expect("twice is as once");
    for (id, origin, key) in [(1, "other.example", "key"), (1, "log.example", "another key"), (2, "log.example", "key")]
    {
        let refused = migrate(&url, &Tls::Loopback, id, origin, key).expect_err("another log");
        assert!(matches!(&refused, PgError::Schema(text) if text.contains("log")), "{refused}");
    }
    cluster.psql("INSERT INTO mdfm.schema (version, program) VALUES (3, 'a newer one')");
    let refused = migrate(&url, &Tls::Loopback, 3, "log-3.example", "key").expect_err("tables of a newer program");
    assert!(refused.to_string().contains("version 3"), "{refused}");
    assert_eq!(cluster.psql("SELECT count(*) FROM mdfm.log"), "1", "nothing is changed in them");
    // Tables of the first version, as a program of before left them.
    cluster.psql("DELETE FROM mdfm.schema WHERE version > 1");
    cluster.psql("DELETE FROM mdfm.leader");
    cluster.psql("ALTER TABLE mdfm.leader DROP COLUMN until");
    migrate(&url, &Tls::Loopback, 1, "log.example", "key").expect("migrates");
    let tables = "SELECT (SELECT string_agg(version::text, ',' ORDER BY version) FROM mdfm.schema) || ' ' || epoch || ' ' || until FROM mdfm.leader";
    assert_eq!(cluster.psql(tables), "1,2 0 -infinity");
    let way = Way::to(cluster.port);
    let term = begin_term(&url, &Tls::Loopback, 1, "fw-1").expect("a term");
    let open = |standbys_min| {
        let durability = Durability::Synchronous { standbys_min };
        PgCommit::open(Settings { durability, ..settings(&way, 1) }, term.clone()).map(drop)
    };
    open(1).expect("one standby is there");
    let refused = open(2).expect_err("two are not");
    assert!(refused.to_string().contains("1 synchronous standbys are connected, 2 must be"), "{refused}");
    cluster.psql("ALTER SYSTEM SET synchronous_standby_names = ''");
    cluster.psql("SELECT pg_reload_conf()");
    cluster.until("server without a standby", |cluster| cluster.psql("SHOW synchronous_standby_names").is_empty());
    let refused = open(1).expect_err("it waits for nobody");
    assert!(refused.to_string().contains("synchronous_standby_names"), "{refused}");
    cluster.kill_standby();
}

#[test]
fn a_server_that_is_not_there_is_said_by_name() {
    let settings = Settings {
        url: Cluster::url(free_port()),
        tls: Tls::Loopback,
        node: "fw-1".into(),
        log_id: 1,
        durability: Durability::Single,
    };
    let term = mdfm_postgres::Term { epoch: 1, name: "00000000-0000-4000-8000-000000000000".into() };
    let refused = PgCommit::open(settings, term).err().expect("nobody listens");
    assert!(matches!(refused, PgError::Server(_)), "{refused:?}");
}

#[test]
fn c2_a_writer_that_slept_writes_nothing() {
    if !is_there("c2_a_writer_that_slept_writes_nothing") {
        return;
    }
    let log = Log::new(Arc::new(Cluster::start("c2")));
    let (first, second) = (dir("c2-first"), dir("c2-second"));
    let mut old = open(&first, log.lead()).expect("opens");
    old.append(&[b"one"]).expect("appends");
    let mut new = open(&second, log.lead()).expect("opens");
    let refused = old.append(&[b"two"]).expect_err("deposed");
    assert!(matches!(refused, LogError::Commit(CommitError::Deposed { epoch: 2 })), "{refused:?}");
    new.append(&[b"two, by the new one"]).expect("appends");
    assert_eq!((log.size().as_str(), new.reader().size()), ("2", 2));
}
