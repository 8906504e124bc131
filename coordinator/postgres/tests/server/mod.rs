//! A PostgreSQL of this machine's packages with one synchronous standby, in a directory of its own and as a user without rights, and a way to it that
//! loses answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where Debian puts the programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const PATIENCE: Duration = Duration::from_secs(60);

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port of this machine").port()
}

/// Whether the tests can run; says by name what is skipped where they cannot, and fails where they must (`MDFM_MUST_CLUSTER=1`).
pub(crate) fn is_there(test: &str) -> bool {
    let is_there = Path::new(PROGRAMS).join("initdb").exists();
    if !is_there {
        eprintln!("{test}: skipped, PostgreSQL 15 is not installed (apt-get install postgresql)");
        assert!(std::env::var_os("MDFM_MUST_CLUSTER").is_none(), "PostgreSQL 15 must be installed here");
    }
    is_there
}

/// One server.
struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // As a power cut: what it acknowledged must be there all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Primary and standby.
pub(crate) struct Cluster {
    dir: PathBuf,
    pub(crate) port: u16,
    pub(crate) standby_port: u16,
    primary: Option<Server>,
    standby: Option<Server>,
}

impl Cluster {
    pub(crate) fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("mdfm-pg-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("makes the directory");
        if nix::unistd::geteuid().is_root() {
            let user = nix::unistd::User::from_name("postgres").expect("users").expect("the package's user");
            nix::unistd::chown(&dir, Some(user.uid), Some(user.gid)).expect("gives the directory away");
        }
        let mut cluster = Self { dir, port: free_port(), standby_port: free_port(), primary: None, standby: None };
        let data = cluster.path("primary");
        cluster.call(
            "initdb",
            &["--pgdata", &data, "--username", "mdfm", "--auth", "trust", "--no-sync", "--encoding", "UTF8"],
        );
        cluster.start_primary();
        cluster.psql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'");
        let primary = format!("host=127.0.0.1 port={} user=mdfm application_name=s1", cluster.port);
        let copy = cluster.path("standby");
        cluster.call(
            "pg_basebackup",
            &["--pgdata", &copy, "--dbname", &primary, "--write-recovery-conf", "--no-sync", "--checkpoint", "fast"],
        );
        cluster.start_standby();
        cluster.psql("SELECT pg_reload_conf()");
        cluster.until("a synchronous standby", |cluster| {
            cluster.psql("SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')") == "1"
        });
        cluster
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// A program of PostgreSQL, as a user without rights: it refuses to run as root.
    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let path = format!("{PROGRAMS}/{name}");
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", &path]);
            command
        } else {
            Command::new(&path)
        };
        command.args(arguments).current_dir(&self.dir).stdin(Stdio::null());
        command
    }

    fn call(&self, name: &str, arguments: &[&str]) {
        let output = self.program(name, arguments).output().expect("starts");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn serve(&self, data: &str, port: u16) -> Server {
        let (data, port, sockets) = (self.path(data), port.to_string(), self.dir.display().to_string());
        let log = std::fs::File::create(self.dir.join(format!("{port}.log"))).expect("a log");
        let settings = [
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=on",
            "-c",
            "shared_buffers=32MB",
            "-c",
            "wal_receiver_status_interval=1",
        ];
        let mut command = self.program("postgres", &["-D", &data, "-p", &port, "-k", &sockets]);
        let child = command.args(settings).stdout(Stdio::null()).stderr(log).spawn().expect("starts");
        Server { child }
    }

    /// Starts a server; again where what is left of the one before has not ended yet.
    fn start_one(&self, data: &str, port: u16) -> Server {
        let begun = Instant::now();
        loop {
            let mut server = self.serve(data, port);
            while server.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                if self.answers(port) {
                    return server;
                }
                assert!(begun.elapsed() < PATIENCE, "{data} does not answer");
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(begun.elapsed() < PATIENCE, "{data} does not start");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub(crate) fn start_primary(&mut self) {
        self.primary = Some(self.start_one("primary", self.port));
    }

    pub(crate) fn start_standby(&mut self) {
        self.standby = Some(self.start_one("standby", self.standby_port));
    }

    pub(crate) fn kill_standby(&mut self) {
        self.standby = None;
    }

    fn answers(&self, port: u16) -> bool {
        self.ask(port, "SELECT 1").is_ok_and(|answer| answer == "1")
    }

    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "no {what} after {} s", PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self, port: u16, sql: &str) -> Result<String, String> {
        let (sockets, port) = (self.dir.display().to_string(), port.to_string());
        let of = ["-X", "-A", "-t", "-q", "-h", &sockets, "-p", &port, "-U", "mdfm", "-d", "postgres", "-c", sql];
        let output = self.program("psql", &of).output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// What the primary answers to an operator.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.ask(self.port, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// How a program connects, over whichever port leads there.
    pub(crate) fn url(port: u16) -> String {
        format!("host=127.0.0.1 port={port} user=mdfm dbname=postgres")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (self.standby, self.primary) = (None, None);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

const PASSES: u8 = 0;
/// The next question reaches the server; its answer is lost.
const LOSES_ANSWER: u8 = 1;
/// The next question is lost.
const LOSES_QUESTION: u8 = 2;

/// Everything is lost from now on, and no connection ends.
const SWALLOWS: u8 = 3;

/// A way to the server that loses something when a test asks for it.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) port: u16,
    mode: Arc<AtomicU8>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let port = listener.local_addr().expect("an address").port();
        let way = Self { port, mode: Arc::new(AtomicU8::new(PASSES)), open: Arc::default() };
        let own = way.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (Ok(near_2), Ok(far_2)) = (near.try_clone(), far.try_clone()) else { continue };
                if let Ok(mut open) = own.open.lock() {
                    open.extend([near.try_clone(), far.try_clone()].into_iter().flatten());
                }
                let (up, down) = (own.clone(), own.clone());
                std::thread::spawn(move || up.copy(near, far, LOSES_QUESTION));
                std::thread::spawn(move || down.copy(far_2, near_2, LOSES_ANSWER));
            }
        });
        way
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, loses: u8) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n) = from.read(&mut buffer) {
            let is_lost = self.mode.compare_exchange(loses, PASSES, Ordering::SeqCst, Ordering::SeqCst).is_ok();
            if n > 0 && self.mode.load(Ordering::SeqCst) == SWALLOWS {
                continue;
            }
            if n == 0 || is_lost || to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Loses the answer to the next question, or the question.
    pub(crate) fn lose(&self, is_question: bool) {
        self.mode.store(if is_question { LOSES_QUESTION } else { LOSES_ANSWER }, Ordering::SeqCst);
    }

    /// Loses everything from now on; no connection ends.
    pub(crate) fn swallow(&self) {
        self.mode.store(SWALLOWS, Ordering::SeqCst);
    }
}
