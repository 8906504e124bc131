//! The coordinator of the world: what its thread decides, by the same calls, with a log in memory and no clock of its own.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_coordinator_core::desk::{DeskError, GATEWAY_BYTES_PER_DAY, Outbound, Submission};
use mdfm_coordinator_core::engine::{Committed, Engine, Limits};
use mdfm_coordinator_core::fleet::Gateway;
use mdfm_coordinator_core::presence::Presence;
use mdfm_coordinator_core::rollout::spec::ConsentRule;
use mdfm_coordinator_core::rollout::{Deployment, PhaseStatus, Status};
use mdfm_coordinator_core::{Command, Refusal, State, authority, dispatch, heartbeat, refusal, telemetry};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId, HospitalId};
use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::observed::ObservedDevice;
use mdfm_shared::record::{Actor, ActorKind, AuditRecord};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{InstallState, TelemetryBatch};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Checkpoint, Hash, LogSource, LogWriter, NoteSigner, Tree};
use mdfm_shared::trust::Role;
use mdfm_shared::wire::{self, Topic};

use super::act::{Act, commands, person};

/// Where two states differ first; none where they are the same.
fn difference(replayed: &serde_json::Value, live: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match (replayed, live) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let null = Value::Null;
                difference(a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null)).map(|at| format!("{key}.{at}"))
            })
        }
        (a, b) => (a != b).then(|| format!(" {a} instead of {b}")),
    }
}

/// A deployment as far as the world asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeploymentReport {
    /// Its status in one word, as the API spells it.
    pub(super) status: &'static str,
    /// Why, where there is a reason.
    pub(super) reason: String,
    /// The phase being worked on, 0 for the first.
    pub(super) current: u32,
    /// Who must sign now.
    pub(super) awaits: Option<Role>,
    /// Whether its gate can never hold: its devices are done and none shows anything of the release.
    pub(super) shows_nothing: bool,
    /// Hospitals that have not agreed and must.
    pub(super) unasked: Vec<HospitalId>,
    /// Devices, their phase, whether it is open, and what they last reported.
    pub(super) devices: BTreeMap<DeviceId, DeviceReport>,
}

/// One device of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeviceReport {
    /// 0 for the first.
    pub(super) phase: u32,
    /// Whether the phase has been opened.
    pub(super) open: bool,
    /// As last reported.
    pub(super) state: Option<InstallState>,
    /// Whether it is taken as silent.
    pub(super) silent: bool,
}

/// A message to the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Where to.
    pub(super) topic: Topic,
    /// Whether the broker keeps it for whoever comes later.
    pub(super) retained: bool,
    /// The frame.
    pub(super) payload: Vec<u8>,
}

/// The audit log in memory. Its power can be cut in the middle of a write.
struct Log {
    tree: Tree,
    entries: Vec<Vec<u8>>,
    signer: NoteSigner,
    signed: Option<(Checkpoint, String)>,
    published: Option<(Checkpoint, String)>,
    /// So many records of the next write reach the disk before the power is cut.
    cut: Option<usize>,
    is_off: bool,
}

/// Why the log in memory takes nothing.
enum LogError {
    /// The power was cut.
    Cut,
    /// What no log would take.
    Defect(String),
}

impl LogSource for Log {
    fn newest(&self) -> Option<(Checkpoint, String)> {
        self.published.clone()
    }
    fn bytes_of(&self, index: u64) -> Option<Vec<u8>> {
        self.entries.get(usize::try_from(index).ok()?).cloned()
    }
    fn proof_of(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.tree.inclusion(index, size)
    }
}

impl LogWriter for Log {
    type Error = LogError;
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), LogError> {
        if let Some(large) = entries.iter().find(|e| e.len() > LOG_ENTRY_BYTES_MAX) {
            return Err(LogError::Defect(format!("a record of {} bytes fits no entry of the log", large.len())));
        }
        let cut = self.cut.take();
        for entry in entries.iter().take(cut.unwrap_or(usize::MAX)) {
            self.tree.push(entry);
            self.entries.push(entry.clone());
        }
        self.is_off = cut.is_some();
        if self.is_off { Err(LogError::Cut) } else { Ok(()) }
    }
    fn sign(&mut self) -> Result<(Checkpoint, String), LogError> {
        if let Some(signed) = self.signed.as_ref().filter(|(c, _)| c.size == self.tree.size()) {
            return Ok(signed.clone());
        }
        let origin = self.signer.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: self.tree.size(), root: self.tree.root() };
        let note = checkpoint.sign(&self.signer).map_err(|e| LogError::Defect(e.to_string()))?;
        Ok(self.signed.insert((checkpoint, note)).clone())
    }
    fn publish(&mut self, note: &str) -> Result<(), LogError> {
        let checkpoint = Checkpoint::open(note.as_bytes(), self.signer.key());
        let checkpoint = checkpoint.map_err(|e| LogError::Defect(format!("a published checkpoint: {e}")))?;
        if self.tree.root_at(checkpoint.size) != Some(checkpoint.root) {
            return Err(LogError::Defect("a published checkpoint is of another log".into()));
        }
        if self.published.as_ref().is_none_or(|(held, _)| held.size <= checkpoint.size) {
            self.published = Some((checkpoint, note.to_owned()));
        }
        Ok(())
    }
    fn published(&self) -> Option<(Checkpoint, String)> {
        self.published.clone()
    }
    fn dispose(&mut self, _entries: &BTreeSet<u64>) -> Result<(), LogError> {
        Err(LogError::Defect("nobody in this world keeps records for a limited time".into()))
    }
}

/// What is wrong with the coordinator itself.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator's core is broken: {0}")]
pub(super) struct Broken(pub(super) String);

impl From<DeskError> for Broken {
    fn from(error: DeskError) -> Self {
        Self(format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string)))
    }
}

/// A coordinator.
pub(super) struct Coordinator {
    engine: Engine,
    state: State,
    log: Log,
    presence: Presence,
    online_key: SecretKey,
    limits: Limits,
    messages: Vec<Message>,
    /// Checkpoints that were signed since the witnesses took the last one.
    signed: Option<String>,
    /// Messages that one round may put out; what finds no room is passed over and said again.
    outbound_max: usize,
}

fn unanswered() -> Refusal {
    Refusal::new(refusal::Class::Unavailable, "busy", "no answer: the power was cut")
}

fn gateway_actor(gateway: &GatewayId) -> Actor {
    Actor { kind: ActorKind::Gateway, id: gateway.to_string(), roles: vec![] }
}

impl Coordinator {
    /// An empty installation.
    pub(super) fn new(online_key: SecretKey, signer: NoteSigner, silence_ms: u64, now: UtcMillis) -> Self {
        let limits = Limits { silence_ms, gateway_bytes_per_day: GATEWAY_BYTES_PER_DAY };
        let log = Log {
            tree: Tree::default(),
            entries: Vec::new(),
            signer,
            signed: None,
            published: None,
            cut: None,
            is_off: false,
        };
        Self {
            engine: Engine::new(online_key.clone(), limits, now),
            state: State::default(),
            log,
            presence: Presence::default(),
            online_key,
            limits,
            messages: Vec::new(),
            signed: None,
            outbound_max: usize::MAX,
        }
    }

    /// Bounds the messages that one round may put out.
    pub(super) fn set_outbound_max(&mut self, max: usize) {
        self.outbound_max = max;
    }

    /// Cuts the power in the middle of the next write: `kept` of its records are on disk, nobody is answered.
    pub(super) fn cut_while_writing(&mut self, kept: usize) {
        self.log.cut = Some(kept);
    }

    /// Whether the power was cut; [`Self::restart`] brings it back.
    pub(super) fn is_off(&self) -> bool {
        self.log.is_off
    }

    /// Dies and starts again from its log; what was in memory alone is gone, and everything is said again.
    ///
    /// # Errors
    /// The log does not replay to the same state.
    pub(super) fn restart(&mut self, now: UtcMillis) -> Result<(), Broken> {
        let mut state = State::default();
        for entry in &self.log.entries {
            let record = AuditRecord::from_bytes(entry).map_err(|e| Broken(e.to_string()))?;
            state.apply(&record).map_err(|e| Broken(format!("replay: {e}")))?;
        }
        let value = |state: &State| serde_json::to_value(state).map_err(|e| Broken(e.to_string()));
        let (replayed, live) = (value(&state)?, value(&self.state)?);
        // What was in memory before a cut was said to nobody: the disk alone counts.
        if let Some(at) = difference(&replayed, &live).filter(|_| !self.log.is_off) {
            return Err(Broken(format!("replaying the log gives another state: {at}")));
        }
        // What was kept of a state is that state.
        let kept = state.to_snapshot().and_then(|bytes| State::from_snapshot(&bytes));
        let kept = kept.map_err(|e| Broken(format!("keeping the state: {e}")))?;
        if let Some(at) = difference(&value(&kept)?, &replayed) {
            return Err(Broken(format!("a kept state is another state: {at}")));
        }
        self.state = kept;
        self.engine = Engine::new(self.online_key.clone(), self.limits, now);
        self.presence = Presence::default();
        self.messages.clear();
        self.signed = None;
        self.log.is_off = false;
        self.tell_everything();
        Ok(())
    }

    /// The broker forgot everything: everything is said again.
    pub(super) fn tell_everything(&mut self) {
        for outbound in dispatch::everything(&self.state, &self.log, self.state.last_record_at) {
            self.tell(&outbound);
        }
    }

    fn tell(&mut self, outbound: &Outbound) {
        let now = self.state.last_record_at;
        if let Some((topic, payload)) = dispatch::message(&self.state, &self.log, now, outbound) {
            if let Outbound::RollbackOrders(gateway) = outbound {
                let orders = authority::orders_for(&self.state, gateway, now);
                self.presence.orders_sent(now, gateway, orders, Digest::of(&payload));
            }
            self.messages.push(Message { topic, retained: true, payload });
        }
    }

    fn round(&mut self, now: UtcMillis, submissions: Vec<Submission>) -> Result<Vec<Result<(), Refusal>>, Broken> {
        let nobody_is_answered = submissions.iter().map(|_| Err(unanswered())).collect();
        if self.log.is_off {
            return Ok(nobody_is_answered);
        }
        let batch = self.engine.handle(&mut self.state, now, &mut self.presence, submissions)?;
        let Committed { answers, outbound, checkpoint, .. } =
            match self.engine.commit(&self.state, batch, &mut self.log) {
                Ok(committed) => committed,
                Err(LogError::Cut) => {
                    self.messages.clear();
                    return Ok(nobody_is_answered);
                }
                Err(LogError::Defect(what)) => return Err(Broken(what)),
            };
        self.signed = checkpoint.or(self.signed.take());
        self.put_out(outbound);
        Ok(answers)
    }

    fn put_out(&mut self, outbound: Vec<Outbound>) {
        let (mut taken, max) = (Vec::new(), self.outbound_max);
        self.engine.tell(outbound, |message| {
            let has_room = taken.len() < max;
            if has_room {
                taken.push(message);
            }
            has_room
        });
        for outbound in taken {
            match outbound {
                Outbound::Everything => self.tell_everything(),
                outbound => self.tell(&outbound),
            }
        }
    }

    /// The checkpoint that was signed last, for the witnesses; once.
    pub(super) fn take_signed(&mut self) -> Option<String> {
        self.signed.take()
    }

    /// Witnesses cosigned a checkpoint.
    ///
    /// # Errors
    /// A defect of the core.
    pub(super) fn cosigned(&mut self, note: &str) -> Result<(), Broken> {
        if self.log.is_off {
            return Ok(());
        }
        match self.engine.handle_cosigned(&self.state, note, &mut self.log) {
            Ok(messages) => self.put_out(messages),
            Err(LogError::Cut) => {}
            Err(LogError::Defect(what)) => return Err(Broken(what)),
        }
        Ok(())
    }

    /// Somebody acts.
    ///
    /// # Errors
    /// The outer error is a defect of the core; the inner one the refusal, in words.
    pub(super) fn act(&mut self, now: UtcMillis, actor: &str, act: Act) -> Result<Result<(), String>, Broken> {
        let commands = match commands(&self.state, now, act) {
            Ok(commands) => commands,
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        for command in commands {
            let submission = Submission::new(person(actor), command);
            if let Some(Err(refusal)) = self.round(now, vec![submission])?.pop() {
                return Ok(Err(refusal.to_string()));
            }
        }
        Ok(Ok(()))
    }

    /// A message from a gateway.
    ///
    /// # Errors
    /// A defect of the core.
    pub(super) fn hear(&mut self, now: UtcMillis, topic: &Topic, payload: &[u8]) -> Result<(), Broken> {
        match topic {
            Topic::Telemetry(gateway) => {
                let Ok(batch) = wire::decode::<Signed<TelemetryBatch>>(payload) else { return Ok(()) };
                let digest = batch.digest();
                let command = Command::Telemetry { gateway: gateway.clone(), batch: batch.into() };
                let answer = self.round(now, vec![Submission::new(gateway_actor(gateway), command)])?.pop();
                let refused = match answer {
                    Some(Ok(())) => None,
                    Some(Err(refusal)) if refusal.code == telemetry::ALREADY_COMMITTED => Some((digest, None)),
                    Some(Err(refusal)) => match telemetry::chain_refusal(refusal.code) {
                        Some(reason) => Some((digest, Some(reason))),
                        None => return Ok(()),
                    },
                    None => return Ok(()),
                };
                self.send_head(gateway, refused);
                Ok(())
            }
            Topic::Heartbeat(gateway) => {
                let Ok(signed) = wire::decode(payload) else { return Ok(()) };
                let Ok(Some(heartbeat)) = heartbeat::check(&self.state, gateway, &signed) else { return Ok(()) };
                let Ok(answer) = heartbeat::hear(&self.state, &mut self.presence, now, gateway, &heartbeat) else {
                    return Ok(());
                };
                for outbound in answer.outbound {
                    self.tell(&outbound);
                }
                if answer.head {
                    self.send_head(gateway, None);
                }
                if let Some(question) = answer.question
                    && let Ok(signed) = Signed::sign(&question, &[&self.online_key])
                {
                    let topic = Topic::Question(question.gateway);
                    self.messages.push(Message { topic, retained: false, payload: wire::encode(&signed) });
                }
                if let Some(command) = answer.command {
                    self.round(now, vec![Submission::new(gateway_actor(gateway), command)])?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send_head(&mut self, gateway: &GatewayId, not_taken: Option<dispatch::NotTaken>) {
        let documents = dispatch::chain_documents(&self.state, gateway, not_taken);
        if let Ok(messages) = documents.sign(&self.online_key) {
            let message = |(topic, payload)| Message { topic, retained: false, payload };
            self.messages.extend(messages.into_iter().map(message));
        }
    }

    /// A gateway says that it is there, or the broker that its connection broke.
    pub(super) fn connection(&mut self, now: UtcMillis, gateway: &GatewayId, stands: bool) {
        self.presence.connection(now, gateway, stands);
    }

    /// Time passed.
    ///
    /// # Errors
    /// A defect of the core.
    pub(super) fn tick(&mut self, now: UtcMillis) -> Result<(), Broken> {
        self.round(now, Vec::new()).map(drop)
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<UtcMillis> {
        self.engine.deadline(&self.state)
    }

    /// What goes out to the fleet now.
    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// The proof that the log of size `old` became the one of size `new`.
    pub(super) fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        self.log.tree.consistency(old, new)
    }

    /// The entries of the audit log.
    pub(super) fn entries(&self) -> &[Vec<u8>] {
        &self.log.entries
    }

    /// The frames of the trust roots, version 1 first.
    pub(super) fn trust_roots(&self) -> Vec<Vec<u8>> {
        let messages = (0..self.state.roots.len()).map(Outbound::TrustRoot);
        messages
            .filter_map(|o| dispatch::message(&self.state, &self.log, self.state.last_record_at, &o))
            .map(|(_, frame)| frame)
            .collect()
    }

    /// Highest committed batch of a gateway: epoch and sequence.
    pub(super) fn committed(&self, gateway: &GatewayId) -> Option<(u64, u64)> {
        self.state.gateways.get(gateway).map(|g| (g.chain.epoch, g.chain.sequence))
    }

    /// What the log says of a device: the firmware that it runs, and where its installation stands.
    pub(super) fn device(&self, id: &DeviceId) -> Option<(Option<Digest>, Option<InstallState>)> {
        let device = self.state.devices.get(id)?;
        Some((device.running_sha256, device.install.as_ref().map(|install| install.state)))
    }

    /// How the telemetry of a gateway stands: `continued`, `refused` or `held`.
    pub(super) fn telemetry_state(&self, gateway: &GatewayId) -> Option<&'static str> {
        self.state.gateways.get(gateway).map(Gateway::telemetry_state)
    }

    /// What is observed of a device as people see it, and the gateway that says so.
    pub(super) fn observed(&self, device: &DeviceId) -> Option<(GatewayId, ObservedDevice)> {
        let (gateway, claim) = self.state.observed(device)?;
        Some((gateway.clone(), claim.observed.clone()))
    }

    /// What lists, recalls and reports take a device to run.
    pub(super) fn running(&self, device: &DeviceId) -> Option<Digest> {
        self.state.devices.get(device)?.running_sha256
    }

    /// Whether a gateway may be asked about another state of a device now.
    pub(super) fn may_ask(&self, now: UtcMillis, gateway: &GatewayId, device: &DeviceId) -> bool {
        self.presence.questions.asks_at(gateway, device) <= now
    }

    /// Version of the withdrawals that were posted last; 0 before the first.
    pub(super) fn withdrawals_version(&self) -> u64 {
        self.state.authority.withdrawals.as_ref().map_or(0, |held| held.version)
    }

    /// In what the two sides of a device differ, in words.
    pub(super) fn differences(&self, device: &DeviceId) -> Vec<String> {
        let Some(held) = self.state.devices.get(device) else { return Vec::new() };
        let found = self.state.differences(self.state.last_record_at, device, held);
        found.into_iter().map(|(kind, d)| format!("{}: {} / {}", kind.words(), d.registered, d.observed)).collect()
    }

    /// One deployment.
    pub(super) fn deployment(&self, id: &DeploymentId) -> Option<DeploymentReport> {
        let deployment = self.state.deployments.get(id)?;
        Some(report(&self.state, deployment))
    }
}

/// The status in one word, and why.
pub(super) fn status(deployment: &Deployment) -> (&'static str, String) {
    match &deployment.status {
        Status::Planned => ("planned", String::new()),
        Status::Running => ("running", String::new()),
        Status::Paused { reason } => ("paused", reason.clone()),
        Status::RollingBack { reason } => ("rollingBack", reason.clone()),
        Status::RolledBack { reason } => ("rolledBack", reason.clone()),
        Status::Aborting { reason } => ("aborting", reason.clone()),
        Status::Aborted { reason } => ("aborted", reason.clone()),
        Status::Superseded { by } => ("superseded", by.to_string()),
        Status::Completed => ("completed", String::new()),
    }
}

/// Who must sign now.
pub(super) fn awaits(deployment: &Deployment) -> Option<Role> {
    let current = deployment.current as usize;
    match (&deployment.status, deployment.phases.get(current).map(|p| &p.status)) {
        (Status::Running, Some(PhaseStatus::AwaitingValidation { .. })) => {
            deployment.plan.spec.phases.get(current).and_then(|p| p.validation)
        }
        _ => None,
    }
}

/// Whether the gate that is judged now can never hold, nor its signature be given: every device was exchanged or flashed by hand.
fn shows_nothing(deployment: &Deployment) -> bool {
    let Some(phase) = deployment.phases.get(deployment.current as usize) else { return false };
    let is_judged = match &phase.status {
        PhaseStatus::Monitoring { .. } => phase.gate.as_ref().is_some_and(|gate| !gate.passed),
        PhaseStatus::AwaitingValidation { .. } => true,
        _ => false,
    };
    let tally = &phase.tally;
    let runs = tally.confirmed + tally.failed + tally.silent + tally.in_flight;
    is_judged && runs == 0 && tally.reported + tally.left > 0
}

fn report(state: &State, deployment: &Deployment) -> DeploymentReport {
    let (status, reason) = status(deployment);
    let asked = |h: &HospitalId| {
        deployment.plan.spec.consent == ConsentRule::Every || state.hospitals.get(h).is_some_and(|h| h.consent_required)
    };
    DeploymentReport {
        status,
        reason,
        current: deployment.current,
        awaits: awaits(deployment),
        shows_nothing: shows_nothing(deployment),
        unasked: deployment
            .hospitals
            .iter()
            .filter(|(h, p)| p.consent.is_none() && asked(h))
            .map(|(h, _)| h.clone())
            .collect(),
        devices: deployment
            .devices
            .iter()
            .map(|(id, p)| {
                let open = deployment.is_open(p.phase);
                (id.clone(), DeviceReport { phase: p.phase, open, state: p.state, silent: p.silent })
            })
            .collect(),
    }
}
