//! The shell of the cores: one thread that decides, logs and only then answers.
//!
//! It takes commands from everywhere, checks each against the state, lets the rollout engine and the directives follow,
//! writes all records with one fsync, and answers. The state's lock is held until the records are durable, so nobody ever
//! reads what a crash could take back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::Duration;

use mdfm_audit::{AuditLog, LogReader};
use mdfm_shared::id::GatewayId;
use mdfm_shared::network::network;
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::sign::SecretKey;
use mdfm_shared::time::UtcMillis;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;
use crate::keeper::{Copies, Keeper};
use crate::pki;
use crate::store::ReadModel;
use mdfm_coordinator_core::desk::{Outbound, Submission};
use mdfm_coordinator_core::engine::{self, Engine};
use mdfm_coordinator_core::expiry::ExpiryKind;
use mdfm_coordinator_core::presence::Presence;
use mdfm_coordinator_core::retention::Expired;
use mdfm_coordinator_core::urgency::Room;
use mdfm_coordinator_core::{Command, Refusal, State, refusal};

/// Commands decided and made durable together at most.
const BATCH_COMMANDS_MAX: usize = 256;
/// Messages to the fleet that may wait.
pub(crate) const OUTBOUND_MAX: usize = 16_384;
/// Commands that may wait.
const QUEUE_COMMANDS_MAX: usize = 4_096;
/// Refusals among them; more are only counted, so that a flood of them leaves places for commands.
const QUEUE_REFUSALS_MAX: u64 = 1_024;
/// Longest time between two rounds.
const TICK_MS: u64 = 1_000;
/// Entries after which the state is to be kept again at the earliest: a start or a report need not replay more.
const KEEP_EVERY_ENTRIES: u64 = 5_000;
/// Devices for each of which one more entry is waited for: to keep a large state takes longer than to replay as many.
const KEEP_EVERY_DEVICES: u64 = 10;
/// Pause between two looks at a disposal under way.
const DISPOSAL_PAUSE_MS: u64 = 20;

enum Job {
    Submission(Box<Submission>, oneshot::Sender<Result<(), Refusal>>),
    /// A checkpoint with the cosignatures that witnesses gave so far.
    Cosigned(String),
    /// A confirmed disposal, with what it takes away.
    Dispose(String, Box<Expired>),
    /// Finish what is under way and end.
    Stop(oneshot::Sender<()>),
}

/// The handle that everyone else holds.
#[derive(Clone)]
pub(crate) struct Runner {
    jobs: SyncSender<Job>,
    state: Arc<RwLock<State>>,
    copies: Copies,
    pub(crate) log: LogReader,
    presence: Arc<Mutex<Presence>>,
    rounds: Arc<AtomicU64>,
    room: Arc<AtomicU8>,
    refusals: Arc<WaitingRefusals>,
}

/// Refusals on their way to their record.
#[derive(Default)]
struct WaitingRefusals {
    waiting: AtomicU64,
    /// Those that found no place since the last round.
    dropped: AtomicU64,
}

/// What the thread keeps to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) engine: engine::Limits,
    /// Bytes of the log's disk that stay free always.
    pub(crate) reserve_bytes: u64,
    /// Bytes above those that are for what stops harm.
    pub(crate) safety_bytes: u64,
}

/// Where the thread's words go.
pub(crate) struct Outlets {
    /// Messages to the fleet.
    pub(crate) outbound: mpsc::Sender<Outbound>,
    /// Grows whenever a gateway's certificate ends, by its revocation or by another enrolment; the front door closes the connections that showed it.
    pub(crate) revocations: watch::Sender<u64>,
    /// Every checkpoint that is signed, for the witnesses.
    pub(crate) checkpoints: watch::Sender<Option<String>>,
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
        read_model: ReadModel,
        online_key: SecretKey,
        limits: Limits,
        outlets: Outlets,
    ) -> std::io::Result<Self> {
        let Outlets { outbound, revocations, checkpoints } = outlets;
        clock::watch(state.last_record_at);
        let (jobs, queue) = sync_channel(QUEUE_COMMANDS_MAX);
        let state = Arc::new(RwLock::new(state));
        let presence = Arc::new(Mutex::new(Presence::started(clock::now())));
        let reader = log.reader();
        let rounds = Arc::new(AtomicU64::new(0));
        let room = Arc::new(AtomicU8::new(Room::Ample as u8));
        let refusals = Arc::<WaitingRefusals>::default();
        let keeper = Keeper::start(reader.clone(), read_model)?;
        let copies = keeper.copies();
        let mut worker = Worker {
            log,
            state: Arc::clone(&state),
            engine: Engine::new(online_key, limits.engine, clock::now()),
            limits,
            outbound,
            revocations,
            presence: Arc::clone(&presence),
            rounds: Arc::clone(&rounds),
            room: Arc::clone(&room),
            refusals: Arc::clone(&refusals),
            checkpoints,
            kept_size: Some(reader.size()),
            keeper,
        };
        std::thread::Builder::new().name("runner".into()).spawn(move || worker.run(&queue))?;
        Ok(Self { jobs, state, copies, log: reader, presence, rounds, room, refusals })
    }

    /// The state; hold it briefly, every write waits for it.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        // A poisoned lock means that the runner thread panicked, and that ends the process.
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A copy of the state at the end of the log, for whoever looks at all of it. Made beside the deciding thread: even to write the state down takes
    /// seconds where the fleet is large.
    ///
    /// # Errors
    /// The log cannot be read or replayed.
    pub(crate) fn copy_of_state(&self) -> anyhow::Result<State> {
        self.copies.newest()
    }

    /// The time by which everything is judged that ends: sessions, tokens, what was shown, lock-outs, training, documents, certificates of gateways. It
    /// is the time of records: it never goes back, and goes on while somebody has set the clock back. Not to be asked for while the state is
    /// held: then it is [`State::not_before`].
    pub(crate) fn now(&self) -> UtcMillis {
        self.state().not_before(clock::now())
    }

    /// Who is there; hold it briefly, every heartbeat waits for it. Taken after the state where both are needed.
    pub(crate) fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes the certificate that somebody showed whom the coordinator called: people are warned before it ends.
    pub(crate) fn note_certificate(&self, kind: ExpiryKind, label: &str, der: &[u8]) {
        if let Some(expires_at) = pki::not_after(der) {
            self.presence().showed(kind, label, expires_at);
        }
    }

    /// Rounds of the deciding thread so far; it makes one a second at least.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// How much room the log's disk has.
    pub(crate) fn room(&self) -> Room {
        let known = [Room::Gone, Room::Last, Room::Near];
        known.get(usize::from(self.room.load(Ordering::Relaxed))).copied().unwrap_or(Room::Ample)
    }

    /// Whether there is room on the disk for every kind of record.
    pub(crate) fn is_writable(&self) -> bool {
        self.room() == Room::Ample
    }

    /// Submits a command; the answer comes when it is durable, or refused.
    ///
    /// # Errors
    /// The refusal, or unavailable when too many commands wait.
    pub(crate) async fn submit(&self, actor: Actor, address: Option<String>, command: Command) -> Result<(), Refusal> {
        self.submit_this(Submission { address, ..Submission::new(actor, command) }).await
    }

    /// As [`Self::submit`], with what the submission depends on.
    ///
    /// # Errors
    /// The same, and that its object has changed.
    pub(crate) async fn submit_this(&self, mut submission: Submission) -> Result<(), Refusal> {
        // The one place where limits learn where a command comes from.
        let address = submission.address.as_deref().and_then(|a| a.parse::<SocketAddr>().ok());
        submission.network = address.map(|a| network(a.ip()).to_string());
        let Some(_place) = self.place_of(&submission) else {
            let Command::Denied { refusal, .. } = submission.command else { return Ok(()) };
            return Err(refusal);
        };
        let unavailable = |detail: &str| Refusal::new(refusal::Class::Unavailable, "busy", detail);
        let (reply, answer) = oneshot::channel();
        self.jobs
            .try_send(Job::Submission(Box::new(submission), reply))
            .map_err(|_| unavailable("too many commands are waiting; try again in a moment"))?;
        answer.await.unwrap_or_else(|_| Err(unavailable("the coordinator is stopping; try again in a moment")))
    }

    /// A place for a refusal on its way to its record; `None` if it is counted at once, as too many wait.
    fn place_of(&self, submission: &Submission) -> Option<RefusalPlace> {
        if !matches!(submission.command, Command::Denied { .. }) {
            return Some(RefusalPlace(None));
        }
        let place = RefusalPlace(Some(Arc::clone(&self.refusals)));
        if self.refusals.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE_REFUSALS_MAX {
            return Some(place);
        }
        self.refusals.dropped.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// As [`Self::submit`] from a thread that may wait for its turn; the answer comes later.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) fn post(
        &self,
        actor: Actor,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<(), Refusal>>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let submission = Submission::new(actor, command);
        let stopping = |_| Refusal::new(refusal::Class::Unavailable, "busy", "the coordinator is stopping");
        self.jobs.send(Job::Submission(Box::new(submission), reply)).map_err(stopping)?;
        Ok(answer)
    }

    /// Hands over a checkpoint with cosignatures; it is published when it has enough.
    pub(crate) fn cosigned(&self, note: String) {
        // When the queue is full the next checkpoint will do.
        let _ = self.jobs.try_send(Job::Cosigned(note));
    }

    /// Lets the payloads of a confirmed disposal be taken away, piece by piece.
    pub(crate) fn dispose(&self, disposal: String, expired: Expired) {
        if self.jobs.try_send(Job::Dispose(disposal, Box::new(expired))).is_err() {
            tracing::warn!("too many commands wait; the disposal goes on at the next start");
        }
    }

    /// Ends the thread when everything submitted is durable, a checkpoint covers it and the state is kept.
    pub(crate) async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        let jobs = self.jobs.clone();
        let sent = tokio::task::spawn_blocking(move || jobs.send(Job::Stop(reply)).is_ok()).await;
        if sent.unwrap_or(false) {
            let _ = done.await;
        }
    }
}

/// A refusal that waits, if it is one.
struct RefusalPlace(Option<Arc<WaitingRefusals>>);

impl Drop for RefusalPlace {
    fn drop(&mut self) {
        if let Some(refusals) = &self.0 {
            refusals.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Worker {
    log: AuditLog,
    state: Arc<RwLock<State>>,
    engine: Engine,
    outbound: mpsc::Sender<Outbound>,
    revocations: watch::Sender<u64>,
    presence: Arc<Mutex<Presence>>,
    rounds: Arc<AtomicU64>,
    room: Arc<AtomicU8>,
    refusals: Arc<WaitingRefusals>,
    limits: Limits,
    checkpoints: watch::Sender<Option<String>>,
    /// Size of the log when the keeper was last asked to keep the state; `None` where it is to be as soon as it can.
    kept_size: Option<u64>,
    keeper: Keeper,
}

/// What a round of waiting brought.
#[derive(Default)]
struct Waited {
    submissions: Vec<(Submission, oneshot::Sender<Result<(), Refusal>>)>,
    cosigned: Option<String>,
    stop: Option<oneshot::Sender<()>>,
}

/// A failure after which memory and disk could disagree: only a restart, which replays the log, is safe.
fn die(what: &str, error: &(dyn std::error::Error + 'static)) -> ! {
    tracing::error!(error, "{what}; stopping, the log will be replayed at the next start");
    mdfm_service::output::note(format_args!("mdfm-coordinator: {what}: {error}"));
    std::process::exit(mdfm_service::STOPPED_AT_ONCE.into());
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Job>) {
        loop {
            let Ok(waited) = self.wait(queue) else { return };
            self.rounds.fetch_add(1, Ordering::Relaxed);
            let now = clock::now();
            self.look_at_the_disk();
            match self.refusals.dropped.swap(0, Ordering::Relaxed) {
                0 => {}
                dropped => {
                    let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                    self.engine.count_dropped(&state, now, dropped);
                }
            }
            let (submissions, replies) = waited.submissions.into_iter().unzip();
            self.round(now, submissions, replies);
            if let Some(note) = waited.cosigned {
                self.take_cosigned(&note);
            }
            self.go_on_disposing();
            if let Some(done) = waited.stop {
                self.finish();
                let _ = done.send(());
                return;
            }
        }
    }

    fn look_at_the_disk(&mut self) {
        let free =
            self.log.free_bytes().unwrap_or_else(|error| die("the disk of the audit log cannot be asked", &error));
        let room = Room::of(free, self.limits.reserve_bytes, self.limits.safety_bytes);
        if self.room.swap(room as u8, Ordering::Relaxed) != room as u8 {
            match room {
                Room::Ample => tracing::info!("the disk of the audit log has room again"),
                Room::Near | Room::Last | Room::Gone => tracing::error!(free, "{}", engine::no_room(room).detail),
            }
        }
        self.engine.set_room(room);
    }

    fn round(
        &mut self,
        now: UtcMillis,
        submissions: Vec<Submission>,
        replies: Vec<oneshot::Sender<Result<(), Refusal>>>,
    ) {
        let state = Arc::clone(&self.state);
        let mut state = state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let decided = {
            let mut presence = self.presence.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.engine.handle(&mut state, now, &mut presence, submissions)
        };
        let batch = decided.unwrap_or_else(|error| die("a round of decisions went wrong", &error));
        let committed = self.engine.commit(&state, batch, &mut self.log);
        let committed = committed.unwrap_or_else(|error| die("the audit log cannot be written", &error));
        let keep_every = KEEP_EVERY_ENTRIES + state.devices.len() as u64 / KEEP_EVERY_DEVICES;
        drop(state);
        if committed.revoked > 0 {
            self.revocations.send_modify(|n| *n += committed.revoked);
        }
        if let Some(note) = committed.checkpoint {
            self.checkpoints.send_if_modified(|held| {
                let is_new = held.as_ref() != Some(&note);
                *held = Some(note);
                is_new
            });
        }
        self.tell(committed.outbound);
        for (reply, answer) in replies.into_iter().zip(committed.answers) {
            // Who asked may have gone; the record stands.
            let _ = reply.send(answer);
        }
        let size = self.log.reader().size();
        if self.kept_size.is_none_or(|kept| size >= kept + keep_every) && self.keeper.keep(size) {
            self.kept_size = Some(size);
        }
    }

    /// Hands messages to the fleet link.
    fn tell(&mut self, messages: Vec<Outbound>) {
        self.engine.tell(messages, |message| self.outbound.try_send(message).is_ok());
    }

    fn wait(&mut self, queue: &Receiver<Job>) -> Result<Waited, ()> {
        let now = clock::now();
        let deadline = {
            let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.engine.deadline(&state)
        };
        let patience = match deadline {
            _ if self.engine.is_disposing() => DISPOSAL_PAUSE_MS,
            Some(at) => at.since_ms(now).clamp(1, TICK_MS),
            None => TICK_MS,
        };
        let mut waited = Waited::default();
        let mut next = match queue.recv_timeout(Duration::from_millis(patience)) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(()),
        };
        while let Some(job) = next {
            match job {
                Job::Submission(submission, reply) => waited.submissions.push((*submission, reply)),
                Job::Cosigned(note) => waited.cosigned = Some(note),
                Job::Dispose(disposal, expired) => self.engine.dispose(disposal, *expired, self.log.reader().size()),
                Job::Stop(done) => {
                    waited.stop = Some(done);
                    break;
                }
            }
            if waited.submissions.len() >= BATCH_COMMANDS_MAX {
                break;
            }
            next = queue.try_recv().ok();
        }
        Ok(waited)
    }

    /// Publishes a checkpoint that witnesses cosigned, when they are enough, and whatever waited for it.
    fn take_cosigned(&mut self, note: &str) {
        let messages = {
            let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.engine.handle_cosigned(&state, note, &mut self.log)
        };
        self.tell(messages.unwrap_or_else(|error| die("a checkpoint cannot be published", &error)));
    }

    /// Takes the next payloads of a confirmed disposal away, and records its end.
    fn go_on_disposing(&mut self) {
        let done = self.engine.go_on_disposing(&mut self.log);
        let done = done.unwrap_or_else(|error| die("records cannot be disposed of", &error));
        if let Some(submission) = done {
            self.round(clock::now(), vec![submission], Vec::new());
            // What was kept before knows more than a replay would: it is replaced as soon as the keeper is free.
            self.kept_size = None;
        }
    }

    fn finish(&mut self) {
        let state = Arc::clone(&self.state);
        let mut state = state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let counted = self.engine.finish(&mut state, clock::now());
        let counted = counted.unwrap_or_else(|error| die("a round of decisions went wrong", &error));
        if let Err(error) = self.engine.commit(&state, counted, &mut self.log) {
            die("the audit log cannot be written", &error);
        }
        if let Err(error) = self.engine.close(&state, &mut self.log) {
            tracing::error!(%error, "the last checkpoint cannot be signed");
        }
        drop(state);
        let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.keeper.close(&state, self.log.root());
    }
}
