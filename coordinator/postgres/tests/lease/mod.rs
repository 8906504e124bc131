//! Who leads: the lease in a real PostgreSQL, in this process and in several that are killed and stopped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use mdfm_audit::lease::{Lease, Standing};
use mdfm_postgres::{Leadership, PgLease, Timing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

/// A short lease, so that the tests need not wait for long.
const LEASE_MS: u64 = 2_000;
/// Names the process that a test starts: node, port, log and directory.
const NODE: &str = "MDFM_TEST_NODE";

fn timing() -> Timing {
    Timing::of_lease(LEASE_MS)
}

fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

fn log_of(cluster: &Cluster, name: &str) -> i16 {
    let id = LOGS.fetch_add(1, Ordering::Relaxed);
    migrate(&Cluster::url(cluster.port), &Tls::Loopback, id, &format!("{name}.example"), "key").expect("migrates");
    id
}

fn settings_at(port: u16, id: i16, node: &str) -> Settings {
    let durability = Durability::Synchronous { standbys_min: 1 };
    Settings { url: Cluster::url(port), tls: Tls::Loopback, node: node.into(), log_id: id, durability }
}

fn leads(leadership: &Leadership) -> bool {
    matches!(leadership.standing(), Standing::Leads(_))
}

#[test]
fn a_lease_is_held_by_one_until_it_runs_out() {
    if !is_there("a_lease_is_held_by_one_until_it_runs_out") {
        return;
    }
    let mut cluster = Cluster::start("lease");
    let id = log_of(&cluster, "lease");
    let [mut one, mut two] = ["fw-1", "fw-2"].map(|node| PgLease::new(settings_at(cluster.port, id, node), timing()));
    let first = one.take().expect("answers").expect("nobody holds it");
    assert_eq!(first.epoch, 1);
    assert_eq!((one.take().expect("answers"), two.take().expect("answers")), (None, None), "it is held");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(LEASE_MS * 3 / 2) {
        assert!(one.renew(&first).expect("answers"));
        assert_eq!(two.take().expect("answers"), None, "renewed");
        std::thread::sleep(Duration::from_millis(LEASE_MS / 5));
    }
    std::thread::sleep(Duration::from_millis(LEASE_MS + 100));
    let second = two.take().expect("answers").expect("it ran out");
    assert_eq!(second.epoch, 2);
    assert!(!one.renew(&first).expect("answers"), "another term has begun");
    one.give_up(&first).expect("answers");
    assert_eq!(one.take().expect("answers"), None, "who holds no lease gives none up");
    two.give_up(&second).expect("answers");
    let third = one.take().expect("answers").expect("given up");
    assert_eq!(third.epoch, 3);
    // A term of the same epoch with another name is another one: a server that lost a takeover gives an epoch out twice.
    let twin = mdfm_postgres::Term { name: second.name.clone(), ..third.clone() };
    assert!(!two.renew(&twin).expect("answers"));
    // A lease is renewed without the standby, and not begun.
    cluster.kill_standby();
    cluster
        .until("primary without a standby", |cluster| cluster.psql("SELECT count(*) FROM pg_stat_replication") == "0");
    assert!(one.renew(&third).expect("a slow standby costs no lease"));
    let refused = two.take().expect_err("what this server acknowledges could be lost");
    assert!(matches!(refused, PgError::NotDurable(_)), "{refused}");
}

#[test]
fn c3_a_leader_that_is_cut_off_stops_before_the_next_begins() {
    if !is_there("c3_a_leader_that_is_cut_off_stops_before_the_next_begins") {
        return;
    }
    let cluster = Cluster::start("c3");
    let (id, way) = (log_of(&cluster, "c3"), Way::to(cluster.port));
    let start = |port: u16, node: &str| {
        let lease = PgLease::new(settings_at(port, id, node), timing());
        Arc::new(Leadership::start(lease, timing()).expect("starts"))
    };
    let one = start(way.port, "fw-1");
    let term = one.wait(Duration::from_secs(30)).expect("leads");
    let store = PgCommit::lead(settings_at(way.port, id, "fw-1"), Arc::clone(&one)).expect("connects");
    let mut log = open(&dir("c3-one"), store).expect("opens");
    log.append(&[b"one"]).expect("appends");
    let two = start(cluster.port, "fw-2");
    assert_eq!(two.wait(Duration::from_millis(LEASE_MS * 2)), None, "the lease is renewed");
    assert!(leads(&one));
    // The line is dead, and nobody says so.
    way.swallow();
    let stopped = until("the one that is cut off stops", || !leads(&one));
    assert!(!leads(&two), "nobody decides now");
    assert_eq!(one.standing(), Standing::Lapsed(term.clone()));
    let refused = log.append(&[b"two"]).expect_err("its lease has lapsed");
    assert!(matches!(refused, LogError::Commit(CommitError::Lapsed { epoch: 1 })), "{refused:?}");
    let begun = until("the other one begins", || leads(&two));
    eprintln!("cut off: stops after {} ms, the next begins {} ms later", stopped.as_millis(), begun.as_millis());
    assert!(begun > Duration::from_millis(20), "there is a time in which nobody decides");
    // Were it deaf to its own clock, the server would refuse its group: the fence needs no clock.
    let deaf = PgCommit::open(settings_at(cluster.port, id, "fw-1"), term).expect("connects");
    let mut deaf = open(&dir("c3-deaf"), deaf).expect("opens");
    let refused = deaf.append(&[b"two"]).expect_err("another term");
    assert!(matches!(refused, LogError::Commit(CommitError::Deposed { epoch: 2 })), "{refused:?}");
    let store = PgCommit::lead(settings_at(cluster.port, id, "fw-2"), Arc::clone(&two)).expect("connects");
    let mut next = open(&dir("c3-two"), store).expect("opens");
    assert_eq!(next.append(&[b"two, by the next one"]).expect("appends"), 1);
    // Whoever ends gives its lease up: the next need not wait for it to run out.
    drop((next, deaf, log));
    let three = start(cluster.port, "fw-3");
    drop(Arc::into_inner(two).expect("the last handle"));
    let begun = until("the third one begins", || leads(&three));
    assert!(begun < Duration::from_millis(LEASE_MS), "after {} ms", begun.as_millis());
}

/// A coordinator's process, and what it said when.
struct Node {
    name: String,
    child: Child,
    said: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Node {
    fn start(cluster: &Cluster, id: i16, name: &str, copy: &std::path::Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "lease::a_node_leads_and_acknowledges_what_is_in_the_log", "--nocapture"]);
        command.env(NODE, format!("{name} {} {id} {}", cluster.port, copy.display()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let said = Arc::<Mutex<Vec<(Instant, String)>>>::default();
        let (own, lines) = (Arc::clone(&said), BufReader::new(child.stdout.take().expect("piped")).lines());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                own.lock().expect("not poisoned").push((Instant::now(), line));
            }
        });
        Self { name: name.into(), child, said }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it is there");
    }

    fn acks(&self) -> Vec<(Instant, Ack)> {
        let said = self.said.lock().expect("not poisoned");
        said.iter().filter_map(|(at, line)| Some((*at, Ack::of(line)?))).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// A group that was acknowledged: its index, the epoch that it was written in, its text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ack {
    index: u64,
    epoch: u64,
    text: String,
}

impl Ack {
    fn of(line: &str) -> Option<Self> {
        let (index, text) = line.strip_prefix("ack ")?.split_once(' ')?;
        let epoch = text.split(' ').nth(1)?.parse().ok()?;
        Some(Self { index: index.parse().ok()?, epoch, text: text.into() })
    }
}

/// The processes of the tests below begin here as well.
#[test]
fn a_node_leads_and_acknowledges_what_is_in_the_log() {
    if let Ok(of) = std::env::var(NODE) {
        return run_node(&of);
    }
    if !is_there("a_node_leads_and_acknowledges_what_is_in_the_log") {
        return;
    }
    let cluster = Cluster::start("node");
    let (id, copy) = (log_of(&cluster, "node"), dir("node-fw-1"));
    let nodes = [Node::start(&cluster, id, "fw-1", &copy)];
    let (_, _, first) = leader(&nodes, 0, 10);
    assert_eq!((first.index, first.epoch), (0, 1));
    nodes[0].signal(Signal::SIGKILL);
    std::thread::sleep(Duration::from_millis(200));
    let acks: Vec<Ack> = nodes[0].acks().into_iter().map(|(_, ack)| ack).collect();
    check(&cluster, id, &acks);
}

/// A coordinator's process: it appends whenever it leads, and says what was acknowledged.
fn run_node(of: &str) {
    let of: Vec<&str> = of.split(' ').collect();
    let (name, port, id) = (of[0], of[1].parse().expect("a port"), of[2].parse().expect("a log"));
    let settings = settings_at(port, id, name);
    let leadership = Leadership::start(PgLease::new(settings.clone(), timing()), timing()).expect("starts");
    let leadership = Arc::new(leadership);
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("somebody listens");
    };
    loop {
        let Some(term) = leadership.wait(Duration::from_secs(1)) else { continue };
        let opened = PgCommit::lead(settings.clone(), Arc::clone(&leadership))
            .map_err(|error| error.to_string())
            .and_then(|store| open(std::path::Path::new(of[3]), store).map_err(|error| error.to_string()));
        let mut log = match opened {
            Ok(log) => log,
            Err(error) => {
                say(format!("cannot open: {error}"));
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        for n in 0_u64.. {
            let text = format!("{name} {} {n}", term.epoch);
            match log.append(&[text.as_bytes()]) {
                Ok(index) => say(format!("ack {index} {text}")),
                Err(LogError::Commit(CommitError::Lapsed { .. })) => say(format!("lapsed {n}")),
                Err(error) => {
                    say(format!("stopped: {error}"));
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Everything that was acknowledged stands in the log, once and where it was said to be; terms follow each other.
fn check(cluster: &Cluster, id: i16, acks: &[Ack]) {
    let term = begin_term(&Cluster::url(cluster.port), &Tls::Loopback, id, "check").expect("a term");
    let store = PgCommit::open(settings_at(cluster.port, id, "check"), term).expect("connects");
    let copy = dir(&format!("check-{id}"));
    let log = open(&copy, store).expect("opens");
    let mut held = BTreeMap::new();
    let read = log.reader().each(0, u64::MAX, |index, entry| -> Result<(), LogError> {
        held.insert(index, String::from_utf8_lossy(entry.unwrap_or_default()).into_owned());
        Ok(())
    });
    read.expect("reads");
    let mut answered = BTreeMap::new();
    for ack in acks {
        assert_eq!(held.get(&ack.index), Some(&ack.text), "acknowledged at {}", ack.index);
        assert_eq!(answered.insert(ack.index, &ack.text), None, "two acknowledged {}", ack.index);
    }
    let epochs: Vec<u64> =
        held.values().map(|text| text.split(' ').nth(1).unwrap_or("").parse().unwrap_or(0)).collect();
    assert!(epochs.is_sorted() && epochs.first() > Some(&0), "no group of an older term behind one of a newer one");
    let texts: std::collections::BTreeSet<&String> = held.values().collect();
    assert_eq!(texts.len(), held.len(), "no group stands twice");
    let _ = std::fs::remove_dir_all(copy);
}

/// The node that leads, once it has had `n` groups acknowledged in a term later than `epoch`; with the first of them.
fn leader(nodes: &[Node], epoch: u64, n: usize) -> (usize, Instant, Ack) {
    let found = |node: &Node| {
        let acks: Vec<_> = node.acks().into_iter().filter(|(_, ack)| ack.epoch > epoch).collect();
        acks.first().cloned().filter(|_| acks.len() >= n)
    };
    until("a leader", || nodes.iter().any(|node| found(node).is_some()));
    let all = nodes.iter().enumerate().filter_map(|(i, node)| found(node).map(|(at, ack)| (i, at, ack)));
    all.max_by_key(|(_, _, ack)| ack.epoch).expect("there is one")
}

#[test]
fn c1_a_killed_leader_loses_nothing_that_it_acknowledged() {
    const KILLS: usize = 8;
    if !is_there("c1_a_killed_leader_loses_nothing_that_it_acknowledged") {
        return;
    }
    let cluster = Cluster::start("c1");
    let id = log_of(&cluster, "c1");
    let names = ["fw-1", "fw-2", "fw-3"];
    let start = |name: &str| Node::start(&cluster, id, name, &std::env::temp_dir().join(copy_of("c1", name)));
    names.iter().for_each(|name| drop(dir(&format!("c1-{name}"))));
    let mut nodes = names.map(start);
    let (mut acks, mut took, mut epoch) = (Vec::new(), Vec::new(), 0);
    for round in 0..KILLS {
        let (i, _, ack) = leader(&nodes, epoch, 10 + round * 7);
        epoch = ack.epoch;
        nodes[i].signal(Signal::SIGKILL);
        let killed = Instant::now();
        // Its last words are read to the end.
        let _ = nodes[i].child.wait();
        std::thread::sleep(Duration::from_millis(50));
        acks.extend(nodes[i].acks().into_iter().map(|(_, ack)| ack));
        let name = nodes[i].name.clone();
        nodes[i] = start(&name);
        let (_, at, next) = leader(&nodes, epoch, 1);
        assert!(next.epoch > epoch);
        took.push(at.saturating_duration_since(killed).as_millis());
    }
    for node in &nodes {
        node.signal(Signal::SIGKILL);
    }
    std::thread::sleep(Duration::from_millis(200));
    acks.extend(nodes.iter().flat_map(|node| node.acks().into_iter().map(|(_, ack)| ack)));
    took.sort_unstable();
    eprintln!(
        "killed {KILLS} times: {} groups acknowledged, the next after {took:?} ms (lease {LEASE_MS} ms)",
        acks.len()
    );
    assert!(acks.len() > KILLS * 10);
    check(&cluster, id, &acks);
}

fn copy_of(test: &str, name: &str) -> String {
    format!("mdfm-pg-copy-{test}-{name}-{}", std::process::id())
}

#[test]
fn c2_a_leader_that_stood_still_writes_nothing_and_follows() {
    if !is_there("c2_a_leader_that_stood_still_writes_nothing_and_follows") {
        return;
    }
    let cluster = Cluster::start("c2-lease");
    let id = log_of(&cluster, "c2-lease");
    let names = ["fw-1", "fw-2"];
    names.iter().for_each(|name| drop(dir(&format!("c2-lease-{name}"))));
    let nodes =
        names.map(|name| Node::start(&cluster, id, name, &std::env::temp_dir().join(copy_of("c2-lease", name))));
    let mut epoch = 0;
    for round in 0..3 {
        let (i, _, first) = leader(&nodes, epoch, 20);
        nodes[i].signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(100));
        let before = nodes[i].acks().len();
        let (other, _, next) = leader(&nodes, first.epoch, 20);
        assert_ne!(other, i, "round {round}");
        let led_until = nodes[other].acks().last().expect("acknowledged").1.index;
        nodes[i].signal(Signal::SIGCONT);
        let lines = || nodes[i].said.lock().expect("not poisoned").len();
        let said = lines();
        until("it finds out", || lines() > said);
        until("the other one goes on", || nodes[other].acks().last().is_some_and(|(_, a)| a.index > led_until + 20));
        let late: Vec<Ack> = nodes[i].acks().into_iter().skip(before).map(|(_, ack)| ack).collect();
        // One answer may have been on its way when it was stopped: that group is in the log from before.
        assert!(late.len() <= 1 && late.iter().all(|ack| ack.index < next.index), "round {round}: {late:?}");
        epoch = first.epoch;
    }
    for node in &nodes {
        node.signal(Signal::SIGKILL);
    }
    std::thread::sleep(Duration::from_millis(200));
    let acks: Vec<Ack> = nodes.iter().flat_map(|node| node.acks().into_iter().map(|(_, ack)| ack)).collect();
    check(&cluster, id, &acks);
}
