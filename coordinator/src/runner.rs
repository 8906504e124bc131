//! The shell of the cores: one thread that decides, logs and only then answers.
//!
//! It takes commands from everywhere, checks each against the state, lets the rollout engine and the directives follow,
//! writes all records with one fsync, and answers. The state's lock is held until the records are durable, so nobody ever
//! reads what a crash could take back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};
use std::time::Duration;

use mdfm_shared::id::GatewayId;
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::sign::SecretKey;
use mdfm_shared::time::UtcMillis;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::{AuditLog, LogReader};
use crate::clock;
use crate::domain::desk::{Desk, Outbound, Round, Seen, Wish};
use crate::domain::{Command, Refusal, State, refusal};

/// Commands decided and made durable together at most.
const BATCH_COMMANDS_MAX: usize = 256;
/// Messages to the fleet that may wait.
pub(crate) const OUTBOUND_MAX: usize = 16_384;
/// Commands that may wait.
const QUEUE_COMMANDS_MAX: usize = 4_096;
/// Time between signed checkpoints while the log grows.
const CHECKPOINT_INTERVAL_MS: u64 = 10_000;
/// Longest time between two rounds.
const TICK_MS: u64 = 1_000;

struct Job {
    wish: Wish,
    reply: oneshot::Sender<Result<(), Refusal>>,
}

/// When each device was last reported attached.
pub(crate) type Liveness = Arc<Mutex<Seen>>;

/// The handle that everyone else holds.
#[derive(Clone)]
pub(crate) struct Runner {
    jobs: SyncSender<Job>,
    state: Arc<RwLock<State>>,
    pub(crate) log: LogReader,
    pub(crate) liveness: Liveness,
    rounds: Arc<AtomicU64>,
}

/// Nobody that could be authenticated, under the name or address that it came with.
pub(crate) fn anonymous(claimed: &str) -> Actor {
    Actor { kind: ActorKind::Anonymous, id: claimed.to_owned(), roles: vec![] }
}

/// A gateway as an actor.
pub(crate) fn gateway_actor(id: &GatewayId) -> Actor {
    Actor { kind: ActorKind::Gateway, id: id.to_string(), roles: vec![] }
}

impl Runner {
    /// Starts the thread.
    pub(crate) fn start(
        log: AuditLog,
        state: State,
        online_key: SecretKey,
        silence_limit_ms: u64,
        outbound: mpsc::Sender<Outbound>,
        revocations: watch::Sender<u64>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_COMMANDS_MAX);
        let state = Arc::new(RwLock::new(state));
        let liveness = Liveness::default();
        let reader = log.reader();
        let rounds = Arc::new(AtomicU64::new(0));
        let mut worker = Worker {
            log,
            state: Arc::clone(&state),
            desk: Desk::new(online_key, silence_limit_ms, clock::now()),
            outbound,
            passed_over: false,
            revocations,
            liveness: Arc::clone(&liveness),
            rounds: Arc::clone(&rounds),
            next_checkpoint: UtcMillis(0),
        };
        std::thread::Builder::new().name("runner".into()).spawn(move || worker.run(&queue))?;
        Ok(Self { jobs, state, log: reader, liveness, rounds })
    }

    /// The state; hold it briefly, every write waits for it.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        // A poisoned lock means that the runner thread panicked, and that ends the process.
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Rounds of the deciding thread so far; it makes one a second at least.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Submits a command; the answer comes when it is durable, or refused.
    ///
    /// # Errors
    /// The refusal, or unavailable when too many commands wait.
    pub(crate) async fn submit(&self, actor: Actor, address: Option<String>, command: Command) -> Result<(), Refusal> {
        let unavailable = |detail: &str| Refusal::new(refusal::Class::Unavailable, "busy", detail);
        let (reply, answer) = oneshot::channel();
        self.jobs
            .try_send(Job { wish: Wish { actor, address, command }, reply })
            .map_err(|_| unavailable("too many commands are waiting; try again in a moment"))?;
        answer.await.unwrap_or_else(|_| Err(unavailable("the coordinator is stopping; try again in a moment")))
    }
}

struct Worker {
    log: AuditLog,
    state: Arc<RwLock<State>>,
    desk: Desk,
    outbound: mpsc::Sender<Outbound>,
    /// Whether messages were passed over since everything was last said.
    passed_over: bool,
    /// Grows with every revocation; the front door closes the gateway's connections.
    revocations: watch::Sender<u64>,
    liveness: Liveness,
    rounds: Arc<AtomicU64>,
    next_checkpoint: UtcMillis,
}

/// A failure after which memory and disk could disagree: only a restart, which replays the log, is safe.
fn die(what: &str, error: &(dyn std::error::Error + 'static)) -> ! {
    tracing::error!(error, "{what}; stopping, the log will be replayed at the next start");
    #[expect(clippy::print_stderr, reason = "last words before the process ends")]
    {
        eprintln!("mdfm-coordinator: {what}: {error}");
    }
    std::process::exit(70);
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Job>) {
        loop {
            let jobs = match self.wait(queue) {
                Ok(jobs) => jobs,
                Err(()) => return,
            };
            self.rounds.fetch_add(1, Ordering::Relaxed);
            let now = clock::now();
            let state = Arc::clone(&self.state);
            let mut state = state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            let (wishes, replies): (Vec<Wish>, Vec<_>) = jobs.into_iter().map(|j| (j.wish, j.reply)).unzip();
            let decided = {
                let seen = self.liveness.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                self.desk.round(&mut state, now, &seen, &wishes)
            };
            let mut round = decided.unwrap_or_else(|error| die("a round of decisions went wrong", &error));
            if !round.entries.is_empty()
                && let Err(error) = self.log.append(&round.entries)
            {
                die("the audit log cannot be written", &error);
            }
            self.checkpoint(&mut round, now);
            drop(state);
            if round.revoked > 0 {
                self.revocations.send_modify(|n| *n += round.revoked);
            }
            self.tell(round.outbound);
            for (reply, answer) in replies.into_iter().zip(round.answers) {
                // Who asked may have gone; the record stands.
                let _ = reply.send(answer);
            }
        }
    }

    /// Hands messages to the fleet link. It is bounded: what finds no room is passed over, and everything is said again as soon
    /// as there is room, for only the newest state counts.
    fn tell(&mut self, messages: Vec<Outbound>) {
        for message in messages {
            self.passed_over |= self.outbound.try_send(message).is_err();
        }
        if self.passed_over && self.outbound.try_send(Outbound::Everything).is_ok() {
            tracing::warn!("too many messages to the fleet were waiting; everything is said again");
            self.passed_over = false;
        }
    }

    fn wait(&self, queue: &Receiver<Job>) -> Result<Vec<Job>, ()> {
        let now = clock::now();
        let deadline = {
            let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.desk.deadline(&state)
        };
        let patience = Duration::from_millis(deadline.since_ms(now).clamp(1, TICK_MS));
        let mut jobs = match queue.recv_timeout(patience) {
            Ok(job) => vec![job],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return Err(()),
        };
        while jobs.len() < BATCH_COMMANDS_MAX
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        Ok(jobs)
    }

    /// Signs a checkpoint when one is due, or at once when a release was announced: its proofs need one.
    fn checkpoint(&mut self, round: &mut Round, now: UtcMillis) {
        let wanted = round.outbound.iter().any(|o| matches!(o, Outbound::Release(_)));
        if !wanted && now < self.next_checkpoint {
            return;
        }
        self.next_checkpoint = now.plus_ms(CHECKPOINT_INTERVAL_MS);
        let before = self.log.reader().checkpoint().map(|(c, _)| c.size);
        match self.log.sign_checkpoint() {
            Ok((checkpoint, note)) if Some(checkpoint.size) != before => {
                round.outbound.insert(0, Outbound::Checkpoint(note));
            }
            Ok(_) => {}
            Err(error) => die("the log's checkpoint cannot be signed", &error),
        }
    }
}
