//! The shell of the cores: one thread that decides, logs and only then answers.
//!
//! It takes commands from everywhere, checks each against the state, lets the rollout engine and the directives follow,
//! writes all records with one fsync, and answers. The state's lock is held until the records are durable, so nobody ever
//! reads what a crash could take back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};
use std::time::Duration;

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Directive;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::record::{Actor, ActorKind, AuditRecord, Outcome, document_text};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::time::UtcMillis;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::{AuditLog, LogReader};
use crate::clock;
use crate::domain::fleet::Gateway;
use crate::domain::rollout::{self, PhaseStatus, Status};
use crate::domain::{self, Command, Event, Heard, Proposal, Refusal, State, directive, refusal, telemetry};

/// Commands decided and made durable together at most.
const BATCH_COMMANDS_MAX: usize = 256;
/// Messages to the fleet that may wait.
pub(crate) const OUTBOUND_MAX: usize = 16_384;
/// Commands that may wait.
const QUEUE_COMMANDS_MAX: usize = 4_096;
/// Rounds of the engine after one batch; more would be a loop of its own making.
const ENGINE_ROUNDS_MAX: usize = 1_000;
/// Time between signed checkpoints while the log grows.
const CHECKPOINT_INTERVAL_MS: u64 = 10_000;
/// Time between looks at renewals and liveness.
const TICK_MS: u64 = 1_000;
/// Refusals of one cause by one gateway or stranger are recorded once in this time; the flood itself is no record.
const REFUSAL_INTERVAL_MS: u64 = 1_000;
/// Characters of a refusal's cause that its record keeps.
const REASON_CHARS_MAX: usize = 2_000;
/// Room for the rest of a record beside its event and document.
const RECORD_OVERHEAD_BYTES: usize = 8 * 1024;

/// What must be told to the fleet because the state moved.
#[derive(Debug, Clone)]
pub(crate) enum Outbound {
    Directive(GatewayId),
    Release(Digest),
    TrustRoot(usize),
    Roster,
    Checkpoint(String),
    /// Everything that the broker should hold: messages were passed over because too many waited.
    Everything,
}

struct Job {
    actor: Actor,
    address: Option<String>,
    command: Command,
    reply: oneshot::Sender<Result<(), Refusal>>,
}

/// When each device was last reported attached; volatile, what follows from it is logged.
pub(crate) type Liveness = Arc<Mutex<BTreeMap<DeviceId, UtcMillis>>>;

/// The handle that everyone else holds.
#[derive(Clone)]
pub(crate) struct Runner {
    jobs: SyncSender<Job>,
    state: Arc<RwLock<State>>,
    pub(crate) log: LogReader,
    pub(crate) liveness: Liveness,
    rounds: Arc<AtomicU64>,
}

/// The system as an actor.
pub(crate) fn system() -> Actor {
    Actor { kind: ActorKind::System, id: "coordinator".into(), roles: vec![] }
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
            online_key,
            silence_limit_ms,
            outbound,
            passed_over: false,
            revocations,
            liveness: Arc::clone(&liveness),
            started_at: clock::now(),
            rounds: Arc::clone(&rounds),
            refusals: BTreeMap::new(),
            next_tick: UtcMillis(0),
            next_checkpoint: UtcMillis(0),
            directives_dirty: true,
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
            .try_send(Job { actor, address, command, reply })
            .map_err(|_| unavailable("too many commands are waiting; try again in a moment"))?;
        answer.await.unwrap_or_else(|_| Err(unavailable("the coordinator is stopping; try again in a moment")))
    }
}

struct Worker {
    log: AuditLog,
    state: Arc<RwLock<State>>,
    online_key: SecretKey,
    silence_limit_ms: u64,
    outbound: mpsc::Sender<Outbound>,
    /// Whether messages were passed over since everything was last said.
    passed_over: bool,
    /// Grows with every revocation; the front door closes the gateway's connections.
    revocations: watch::Sender<u64>,
    liveness: Liveness,
    started_at: UtcMillis,
    rounds: Arc<AtomicU64>,
    refusals: BTreeMap<(String, &'static str), UtcMillis>,
    next_tick: UtcMillis,
    next_checkpoint: UtcMillis,
    directives_dirty: bool,
}

/// Records of one round, not yet durable, and what the fleet must hear afterwards.
#[derive(Default)]
struct Round {
    entries: Vec<Vec<u8>>,
    outbound: Vec<Outbound>,
    revoked: u64,
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
            let mut round = Round::default();
            let mut answers = Vec::with_capacity(jobs.len());
            for Job { actor, address, command, reply } in jobs {
                answers.push((reply, self.handle(&mut state, &mut round, now, &actor, address, &command)));
            }
            if now >= self.next_tick {
                self.next_tick = now.plus_ms(TICK_MS);
                self.watch_liveness(&mut state, &mut round, now);
            }
            self.follow(&mut state, &mut round, now);
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
            for (reply, answer) in answers {
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
            rollout::step::deadline(&state).map_or(self.next_tick, |(at, _)| at.min(self.next_tick))
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

    fn handle(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        actor: &Actor,
        address: Option<String>,
        command: &Command,
    ) -> Result<(), Refusal> {
        let proposals = domain::decide(state, now, actor, command)
            .and_then(|p| if p.iter().all(fits_one_entry) { Ok(p) } else { Err(too_large()) });
        match proposals {
            Ok(proposals) => {
                for proposal in proposals {
                    self.record(state, round, now, actor, address.clone(), proposal);
                }
                Ok(())
            }
            Err(refusal) => {
                self.record_refusal(state, round, now, actor, address, command, &refusal);
                Err(refusal)
            }
        }
    }

    /// Makes a record of a change and applies it.
    fn record(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        actor: &Actor,
        address: Option<String>,
        proposal: Proposal,
    ) {
        let shows_change = !matches!(
            proposal.event,
            Event::TelemetryCommitted { .. } | Event::DirectiveIssued { .. } | Event::SessionOpened { .. }
        );
        let view = |state: &State| if shows_change { state.view(&proposal.object) } else { None };
        let mut record = AuditRecord {
            address,
            reason: proposal.reason.clone(),
            before: view(state),
            event: serde_json::to_value(&proposal.event).ok(),
            document: proposal.document.clone(),
            ..AuditRecord::new(now, actor, proposal.action, &proposal.object, Outcome::Accepted)
        };
        if let Err(error) = state.apply(&record) {
            die("an event that was just decided cannot be applied", &error);
        }
        record.after = view(state);
        report(&record, shows_change);
        round.entries.push(record.to_bytes());
        self.announce(state, round, &proposal.event);
    }

    /// What the fleet must hear because of an event.
    fn announce(&mut self, state: &State, round: &mut Round, event: &Event) {
        match event {
            Event::TrustRootAdded { .. } => round.outbound.push(Outbound::TrustRoot(state.roots.len() - 1)),
            Event::RosterAdded { .. } => round.outbound.push(Outbound::Roster),
            Event::GatewayRevoked { .. } => round.revoked += 1,
            Event::DeploymentCreated(new) => {
                round.outbound.push(Outbound::Release(new.manifest));
                self.directives_dirty = true;
            }
            Event::DeploymentChanged { .. }
            | Event::GatewayEnrolled { .. }
            | Event::DeviceRegistered { .. }
            | Event::DirectiveSerialSeen { .. } => {
                self.directives_dirty = true;
            }
            Event::DirectiveIssued { gateway, .. } => round.outbound.push(Outbound::Directive(gateway.clone())),
            _ => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one record has that many facts")]
    fn record_refusal(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        actor: &Actor,
        address: Option<String>,
        command: &Command,
        refusal: &Refusal,
    ) {
        if matches!(refusal.code, telemetry::ALREADY_COMMITTED | telemetry::GAP) {
            return;
        }
        if matches!(actor.kind, ActorKind::Gateway | ActorKind::Anonymous) {
            let key = (actor.id.clone(), refusal.code);
            if self.refusals.get(&key).is_some_and(|at| now.since_ms(*at) < REFUSAL_INTERVAL_MS) {
                return;
            }
            if self.refusals.len() >= QUEUE_COMMANDS_MAX {
                self.refusals.clear();
            }
            self.refusals.insert(key, now);
        }
        let (action, object) = command.describe();
        let detail: String = refusal.detail.chars().take(REASON_CHARS_MAX).collect();
        let record = AuditRecord {
            address,
            reason: Some(format!("{}: {detail}", refusal.code)),
            ..AuditRecord::new(now, actor, action, &object, Outcome::Refused)
        };
        if let Err(error) = state.apply(&record) {
            die("a refusal cannot be recorded", &error);
        }
        round.entries.push(record.to_bytes());
    }

    /// Lets the engine do what follows, then signs directives for the gateways whose wishes changed.
    fn follow(&mut self, state: &mut State, round: &mut Round, now: UtcMillis) {
        for _ in 0..ENGINE_ROUNDS_MAX {
            let proposals = rollout::step::step(state, now);
            if proposals.is_empty() {
                break;
            }
            for proposal in proposals {
                self.record(state, round, now, &system(), None, proposal);
            }
        }
        if !self.directives_dirty && now.0 % 60_000 >= TICK_MS {
            return;
        }
        self.directives_dirty = false;
        for (gateway, devices) in directive::compose(state) {
            if !directive::is_due(state, &gateway, &devices, now) {
                continue;
            }
            let serial = state.gateways.get(&gateway).map_or(0, Gateway::last_serial) + 1;
            let expires_at = now.plus_ms(directive::LIFETIME_MS);
            let document = Directive { gateway: gateway.clone(), serial, issued_at: now, expires_at, devices };
            match Signed::sign(&document, &[&self.online_key]) {
                Ok(signed) => {
                    let event = Event::DirectiveIssued { gateway: gateway.clone(), serial, issued_at: now, expires_at };
                    let proposal = Proposal::new("directive.issue", format!("gateway/{gateway}"), event)
                        .with(document_text(&signed));
                    self.record(state, round, now, &system(), None, proposal);
                }
                Err(error) => tracing::error!(%gateway, %error, "directive cannot be signed"),
            }
        }
    }

    /// Commands the changes that heartbeats, or their absence, mean for devices of phases being worked on.
    fn watch_liveness(&mut self, state: &mut State, round: &mut Round, now: UtcMillis) {
        let mut commands = Vec::new();
        {
            let seen = self.liveness.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (id, deployment) in &state.deployments {
                if deployment.status != Status::Running {
                    continue;
                }
                let since = match deployment.phases.get(deployment.current as usize) {
                    Some(PhaseStatus::Deploying { since } | PhaseStatus::Monitoring { since }) => *since,
                    _ => continue,
                };
                for (device, progress) in &deployment.devices {
                    if progress.phase != deployment.current || progress.has_failed() {
                        continue;
                    }
                    let last_seen = seen.get(device).copied().unwrap_or_default();
                    let known = last_seen.max(self.started_at).max(since);
                    let silent = now.since_ms(known) > self.silence_limit_ms;
                    let heard = match (silent, progress.silent) {
                        (true, false) => Heard::Silent,
                        (false, true) if last_seen > self.started_at => Heard::Again,
                        _ => continue,
                    };
                    let (deployment, device) = (id.clone(), device.clone());
                    commands.push(Command::NoteLiveness { deployment, device, last_seen, heard });
                }
            }
        }
        for command in commands {
            // A refusal is recorded like any other.
            let _ = self.handle(state, round, now, &system(), None, &command);
        }
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

/// A record as a line of the journal, with fields to search by; what every gateway does all day only at level debug.
fn report(record: &AuditRecord, is_change: bool) {
    let (kind, id) = record.object.split_once('/').unwrap_or(("", record.object.as_str()));
    let of = |wanted: &str| (kind == wanted).then_some(id);
    let (gateway, device, deployment) = (of("gateway"), of("device"), of("deployment"));
    let (event, actor, object) = (record.action.as_str(), record.actor.id.as_str(), record.object.as_str());
    let reason = record.reason.as_deref().unwrap_or_default();
    if is_change {
        tracing::info!(event, gateway, device, deployment, actor, "{event} of {object}: {reason}");
    } else {
        tracing::debug!(event, gateway, device, deployment, actor, "{event} of {object}: {reason}");
    }
}

fn fits_one_entry(proposal: &Proposal) -> bool {
    let event = serde_json::to_vec(&proposal.event).map_or(usize::MAX, |e| e.len());
    let document = proposal.document.as_ref().map_or(0, String::len);
    event.saturating_add(document) <= LOG_ENTRY_BYTES_MAX - RECORD_OVERHEAD_BYTES
}

fn too_large() -> Refusal {
    Refusal::new(
        refusal::Class::TooLarge,
        "record-too-large",
        "the change does not fit one record of the audit log; split it into smaller ones",
    )
}
