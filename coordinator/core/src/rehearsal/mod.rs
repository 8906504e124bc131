//! The coordinator's pure half for the virtual-time world: the same core, a log in memory, no clock of its own.

mod engine;

use std::collections::BTreeMap;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GatewayId, HospitalId};
use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::manifest::Manifest;
use mdfm_shared::record::{Actor, ActorKind, AuditRecord};
use mdfm_shared::sign::{PublicKey, SecretKey, Signed};
use mdfm_shared::telemetry::{InstallState, TelemetryBatch};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Checkpoint, Hash, LogSource, NoteSigner, Tree};
use mdfm_shared::trust::{Approval, Role, RollbackOrder, Roster, RosterEntry, TrustRoot, Validation, Withdrawals};
use mdfm_shared::wire::{self, Topic};

use crate::access::AccessRole;
use crate::desk::{Desk, DeskError, Outbound, Wish};
use crate::dispatch;
use crate::fleet::NewDevice;
use crate::people::PersonChange;
use crate::presence::Presence;
use crate::rollout::request::{DeploymentJson, WindowJson};
use crate::rollout::spec::ConsentRule;
use crate::rollout::{Deployment, OrderedBack, PhaseStatus, Scope, Status};
use crate::{Command, Refusal, State, authority, heartbeat, telemetry};

pub use engine::{Engine, StatusEvent};

/// Time between signed checkpoints while the log grows.
const CHECKPOINT_INTERVAL_MS: u64 = 10_000;

/// Where two states differ first; none where they are the same.
fn difference(replayed: &serde_json::Value, live: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match (replayed, live) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let null = Value::Null;
                difference(a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null)).map(|at| format!("{key}.{at}"))
            })
        }
        (a, b) => (a != b).then(|| format!(" {a} instead of {b}")),
    }
}

/// What people wish, as the API takes it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of the API")]
pub enum Act {
    /// Publishes a trust root.
    TrustRoot(Signed<TrustRoot>),
    /// Publishes a roster.
    Roster(Signed<Roster>),
    /// Publishes withdrawals.
    Withdrawals(Signed<Withdrawals>),
    /// Publishes an order to go back.
    RollbackOrder(Signed<RollbackOrder>),
    /// Registers a hospital.
    Hospital { hospital: HospitalId, cohort: Option<String> },
    /// Sets its windows, in the API's JSON, and whether its staff want to be asked.
    HospitalPolicy { hospital: HospitalId, windows_json: String, consent_required: bool },
    /// Registers and enrols a gateway.
    Gateway { gateway: GatewayId, hospital: HospitalId, key: PublicKey },
    /// Enrols a gateway again, which ends the enrolment of before.
    EnrolAgain { gateway: GatewayId, key: PublicKey },
    /// Registers a device.
    Device { device: DeviceId, model: String, hospital: HospitalId, gateway: GatewayId, version: String },
    /// Describes a firmware and stores its image.
    Firmware { firmware: FirmwareId, version: String, model: String, sha256: Digest, size_bytes: u64 },
    /// Attaches the manifest.
    Manifest { firmware: FirmwareId, manifest: Signed<Manifest> },
    /// Approves.
    Approve { firmware: FirmwareId, approval: Signed<Approval> },
    /// Starts a deployment written in the API's JSON.
    Deploy { deployment: DeploymentId, json: String },
    /// Signs at a gate.
    Validate { deployment: DeploymentId, validation: Signed<Validation> },
    /// Pauses.
    Pause { deployment: DeploymentId },
    /// Resumes.
    Resume { deployment: DeploymentId },
    /// Aborts.
    Abort { deployment: DeploymentId },
    /// Rolls everything back.
    RollBack { deployment: DeploymentId },
    /// Rolls one hospital back for a reason that says nothing about the firmware.
    RollBackHospital { deployment: DeploymentId, hospital: HospitalId },
    /// A hospital's staff agree.
    Consent { deployment: DeploymentId, hospital: HospitalId },
}

/// A deployment as far as the world asks.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentReport {
    /// Its status in one word, as the API spells it.
    pub status: &'static str,
    /// Why, where there is a reason.
    pub reason: String,
    /// The phase being worked on, 0 for the first.
    pub current: u32,
    /// Who must sign now.
    pub awaits: Option<Role>,
    /// Hospitals that have not agreed and must.
    pub unasked: Vec<HospitalId>,
    /// Devices, their phase, whether it is open, and what they last reported.
    pub devices: BTreeMap<DeviceId, DeviceReport>,
}

/// One device of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceReport {
    /// 0 for the first.
    pub phase: u32,
    /// Whether the phase has been opened.
    pub open: bool,
    /// As last reported.
    pub state: Option<InstallState>,
    /// Whether it is taken as silent.
    pub silent: bool,
}

/// A message to the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub topic: Topic,
    /// Whether the broker keeps it for whoever comes later.
    pub retained: bool,
    /// The frame.
    pub payload: Vec<u8>,
}

struct Log {
    tree: Tree,
    entries: Vec<Vec<u8>>,
    signer: NoteSigner,
    checkpoint: Option<(Checkpoint, String)>,
}

impl LogSource for Log {
    fn newest(&self) -> Option<(Checkpoint, String)> {
        self.checkpoint.clone()
    }
    fn bytes_of(&self, index: u64) -> Option<Vec<u8>> {
        self.entries.get(usize::try_from(index).ok()?).cloned()
    }
    fn proof_of(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.tree.inclusion(index, size)
    }
}

impl Log {
    fn append(&mut self, entry: Vec<u8>) {
        self.tree.push(&entry);
        self.entries.push(entry);
    }

    fn sign(&mut self) -> Option<String> {
        if self.checkpoint.as_ref().is_some_and(|(c, _)| c.size == self.tree.size()) {
            return None;
        }
        let origin = self.signer.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: self.tree.size(), root: self.tree.root() };
        let note = checkpoint.sign(&self.signer).ok()?;
        self.checkpoint = Some((checkpoint, note.clone()));
        Some(note)
    }
}

/// What a rehearsal finds wrong with the coordinator itself.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator's core is broken: {0}")]
pub struct Broken(String);

impl From<DeskError> for Broken {
    fn from(error: DeskError) -> Self {
        Self(format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string)))
    }
}

/// A coordinator.
#[expect(missing_debug_implementations, reason = "holds keys and every document of a fleet")]
pub struct Coordinator {
    desk: Desk,
    state: State,
    log: Log,
    presence: Presence,
    online_key: SecretKey,
    silence_limit_ms: u64,
    next_checkpoint: UtcMillis,
    messages: Vec<Message>,
    /// So many records of the next round reach the disk before the power is cut.
    cut: Option<usize>,
    is_off: bool,
}

fn refusal(detail: &str) -> Refusal {
    Refusal::new(crate::refusal::Class::Unavailable, "busy", detail)
}

fn person(id: &str) -> Actor {
    Actor { kind: ActorKind::User, id: id.to_owned(), roles: vec![] }
}

impl Coordinator {
    /// An empty installation.
    pub fn new(online_key: SecretKey, signer: NoteSigner, silence_limit_ms: u64, now: UtcMillis) -> Self {
        Self {
            desk: Desk::new(online_key.clone(), silence_limit_ms, now),
            state: State::default(),
            log: Log { tree: Tree::default(), entries: Vec::new(), signer, checkpoint: None },
            presence: Presence::default(),
            online_key,
            silence_limit_ms,
            next_checkpoint: UtcMillis(0),
            messages: Vec::new(),
            cut: None,
            is_off: false,
        }
    }

    /// Cuts the power in the middle of the next write: `kept` of its records are on disk, nobody is answered.
    pub fn cut_while_writing(&mut self, kept: usize) {
        self.cut = Some(kept);
    }

    /// Whether the power was cut; [`Self::restart`] brings it back.
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// Dies and starts again from its log; what was in memory alone is gone, and everything is told anew.
    ///
    /// # Errors
    /// The log does not replay to the same state.
    pub fn restart(&mut self, now: UtcMillis) -> Result<(), Broken> {
        let mut state = State::default();
        for entry in &self.log.entries {
            let record = AuditRecord::from_bytes(entry).map_err(|e| Broken(e.to_string()))?;
            state.apply(&record).map_err(|e| Broken(format!("replay: {e}")))?;
        }
        let value = |state: &State| serde_json::to_value(state).map_err(|e| Broken(e.to_string()));
        let (replayed, live) = (value(&state)?, value(&self.state)?);
        // What was in memory before a cut was told to nobody: the disk alone counts.
        if let Some(at) = difference(&replayed, &live).filter(|_| !self.is_off) {
            return Err(Broken(format!("replaying the log gives another state: {at}")));
        }
        // What was kept of a state is that state.
        let kept = state.to_snapshot().and_then(|bytes| State::from_snapshot(&bytes));
        let kept = kept.map_err(|e| Broken(format!("keeping the state: {e}")))?;
        if let Some(at) = difference(&value(&kept)?, &replayed) {
            return Err(Broken(format!("a kept state is another state: {at}")));
        }
        self.state = kept;
        self.desk = Desk::new(self.online_key.clone(), self.silence_limit_ms, now);
        self.presence = Presence::default();
        self.messages.clear();
        self.is_off = false;
        self.tell_everything();
        Ok(())
    }

    /// The broker forgot everything: everything is told again.
    pub fn tell_everything(&mut self) {
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

    fn round(&mut self, now: UtcMillis, wishes: &[Wish]) -> Result<Vec<Result<(), Refusal>>, Broken> {
        let unanswered = || Ok(wishes.iter().map(|_| Err(refusal("no answer: the power was cut"))).collect());
        if self.is_off {
            return unanswered();
        }
        let mut round = self.desk.round(&mut self.state, now, &self.presence, wishes)?;
        if let Some(large) = round.entries.iter().find(|e| e.len() > LOG_ENTRY_BYTES_MAX) {
            return Err(Broken(format!("a record of {} bytes fits no entry of the log", large.len())));
        }
        if !round.entries.is_empty()
            && let Some(kept) = self.cut.take()
        {
            round.entries.truncate(kept);
            round.entries.into_iter().for_each(|e| self.log.append(e));
            self.messages.clear();
            self.is_off = true;
            return unanswered();
        }
        round.entries.into_iter().for_each(|e| self.log.append(e));
        let released = round.outbound.iter().any(|o| matches!(o, Outbound::Release(_) | Outbound::RollbackOrders(_)));
        if released || now >= self.next_checkpoint {
            self.next_checkpoint = now.plus_ms(CHECKPOINT_INTERVAL_MS);
            if let Some(note) = self.log.sign() {
                self.tell(&Outbound::Checkpoint(note));
            }
        }
        for outbound in round.outbound {
            self.tell(&outbound);
        }
        Ok(round.answers)
    }

    /// Somebody wishes something.
    ///
    /// # Errors
    /// The outer error is a defect of the core; the inner one the refusal, in words.
    pub fn act(&mut self, now: UtcMillis, actor: &str, act: Act) -> Result<Result<(), String>, Broken> {
        let commands = match commands(&self.state, now, act) {
            Ok(commands) => commands,
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        for command in commands {
            let wish = Wish::new(person(actor), command);
            if let Some(Err(refusal)) = self.round(now, &[wish])?.pop() {
                return Ok(Err(refusal.to_string()));
            }
        }
        Ok(Ok(()))
    }

    /// A message from a gateway.
    ///
    /// # Errors
    /// A defect of the core.
    pub fn hear(&mut self, now: UtcMillis, topic: &Topic, payload: &[u8]) -> Result<(), Broken> {
        match topic {
            Topic::Telemetry(gateway) => {
                let Ok(batch) = wire::decode::<Signed<TelemetryBatch>>(payload) else { return Ok(()) };
                let actor = Actor { kind: ActorKind::Gateway, id: gateway.to_string(), roles: vec![] };
                let digest = batch.digest();
                let command = Command::Telemetry { gateway: gateway.clone(), batch: batch.into() };
                let answer = self.round(now, &[Wish::new(actor, command)])?.pop();
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
                    let actor = Actor { kind: ActorKind::Gateway, id: gateway.to_string(), roles: vec![] };
                    self.round(now, &[Wish::new(actor, command)])?;
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
    pub fn connection(&mut self, now: UtcMillis, gateway: &GatewayId, stands: bool) {
        self.presence.connection(now, gateway, stands);
    }

    /// Time passed.
    ///
    /// # Errors
    /// A defect of the core.
    pub fn tick(&mut self, now: UtcMillis) -> Result<(), Broken> {
        self.round(now, &[]).map(drop)
    }

    /// When [`Self::tick`] has something to do.
    pub fn deadline(&self) -> UtcMillis {
        self.desk.deadline(&self.state)
    }

    /// What goes out to the fleet now.
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// The proof that the log of size `old` became the one of size `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        self.log.tree.consistency(old, new)
    }

    /// The entries of the audit log.
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.log.entries
    }

    /// The frames of the trust roots, version 1 first.
    pub fn trust_roots(&self) -> Vec<Vec<u8>> {
        let messages = (0..self.state.roots.len()).map(Outbound::TrustRoot);
        messages
            .filter_map(|o| dispatch::message(&self.state, &self.log, self.state.last_record_at, &o))
            .map(|(_, frame)| frame)
            .collect()
    }

    /// Highest committed batch of a gateway: epoch and sequence.
    pub fn committed(&self, gateway: &GatewayId) -> Option<(u64, u64)> {
        self.state.gateways.get(gateway).map(|g| (g.chain.epoch, g.chain.sequence))
    }

    /// What the log says of a device: the firmware that it runs, and where its installation stands.
    pub fn device(&self, id: &DeviceId) -> Option<(Option<Digest>, Option<InstallState>)> {
        let device = self.state.devices.get(id)?;
        Some((device.running_sha256, device.install.as_ref().map(|install| install.state)))
    }

    /// How the telemetry of a gateway stands: `continued`, `refused` or `held`.
    pub fn telemetry_state(&self, gateway: &GatewayId) -> Option<&'static str> {
        self.state.gateways.get(gateway).map(crate::fleet::Gateway::telemetry_state)
    }

    /// What is observed of a device as people see it, and the gateway that says so.
    pub fn observed(&self, device: &DeviceId) -> Option<(GatewayId, mdfm_shared::observed::ObservedDevice)> {
        let (gateway, claim) = self.state.observed(device)?;
        Some((gateway.clone(), claim.observed.clone()))
    }

    /// What lists, recalls and reports take a device to run.
    pub fn running(&self, device: &DeviceId) -> Option<Digest> {
        self.state.devices.get(device)?.running_sha256
    }

    /// In what the two sides of a device differ, in words.
    pub fn differences(&self, device: &DeviceId) -> Vec<String> {
        let Some(held) = self.state.devices.get(device) else { return Vec::new() };
        let found = self.state.differences(self.state.last_record_at, device, held);
        found.into_iter().map(|(kind, d)| format!("{}: {} / {}", kind.words(), d.registered, d.observed)).collect()
    }

    /// One deployment.
    pub fn deployment(&self, id: &DeploymentId) -> Option<DeploymentReport> {
        let deployment = self.state.deployments.get(id)?;
        Some(report(&self.state, deployment))
    }
}

/// The status in one word, and why.
fn status(deployment: &Deployment) -> (&'static str, String) {
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
fn awaits(deployment: &Deployment) -> Option<Role> {
    let current = deployment.current as usize;
    match (&deployment.status, deployment.phases.get(current).map(|p| &p.status)) {
        (Status::Running, Some(PhaseStatus::AwaitingValidation { .. })) => {
            deployment.plan.spec.phases.get(current).and_then(|p| p.validation)
        }
        _ => None,
    }
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

/// The accounts with which the people of a roster sign: each is known, and trained, to an administrator.
pub fn accounts_of<'a>(entries: impl IntoIterator<Item = &'a RosterEntry>) -> Vec<Command> {
    let mut commands = Vec::new();
    for entry in entries {
        let identity = PersonChange::IdentityVerified { by: "admin".into(), evidence: "seen in person".into() };
        commands.push(Command::CreateUser {
            user: entry.user.clone(),
            printed_name: entry.printed_name.clone(),
            roles: vec![AccessRole::Regulatory],
            hospital: None,
            credential: Digest([0; 32]),
        });
        commands.push(Command::ChangePerson { user: entry.user.clone(), change: identity, reason: None });
    }
    commands
}

fn commands(state: &State, now: UtcMillis, act: Act) -> Result<Vec<Command>, Refusal> {
    let json = |e: serde_json::Error| Refusal::document("malformed-body", e);
    let reason = || "rehearsed".to_owned();
    Ok(vec![match act {
        Act::TrustRoot(root) => Command::AddTrustRoot { root },
        Act::Roster(roster) => {
            let is_new = |e: &RosterEntry| !state.users.contains_key(&e.user);
            let people = roster.decode_unverified().map(|r| r.entries).unwrap_or_default();
            let accounts = accounts_of(people.iter().filter(|e| is_new(e)));
            return Ok(accounts
                .into_iter()
                .chain([Command::AddRoster { roster, accept_alterations: true, reason: None }])
                .collect());
        }
        Act::Withdrawals(withdrawals) => Command::AddWithdrawals { withdrawals },
        Act::RollbackOrder(order) => Command::AddRollbackOrder { order },
        Act::Hospital { hospital, cohort } => {
            let name = hospital.to_string();
            Command::RegisterHospital { hospital, name, cohort, timezone: None }
        }
        Act::HospitalPolicy { hospital, windows_json, consent_required } => {
            let windows: Vec<WindowJson> = serde_json::from_str(&windows_json).map_err(json)?;
            let windows = windows.iter().map(|w| w.parse("maintenanceWindows")).collect::<Result<_, _>>()?;
            Command::SetHospitalPolicy { hospital, windows, consent_required }
        }
        Act::Gateway { gateway, hospital, key } => {
            let secret_sha256 = Digest::of(gateway.as_str().as_bytes());
            let expires_at = now.plus_ms(1_000);
            let certificate_sha256 = secret_sha256;
            return Ok(vec![
                Command::RegisterGateway { gateway: gateway.clone(), hospital },
                Command::IssueToken { gateway: gateway.clone(), secret_sha256, expires_at, replaces: false },
                Command::Enrol { gateway, secret_sha256, telemetry_key: key, certificate_sha256 },
            ]);
        }
        Act::EnrolAgain { gateway, key } => {
            let secret_sha256 = Digest::of(format!("{gateway} at {now}").as_bytes());
            let (expires_at, certificate_sha256) = (now.plus_ms(1_000), secret_sha256);
            return Ok(vec![
                Command::IssueToken { gateway: gateway.clone(), secret_sha256, expires_at, replaces: true },
                Command::Enrol { gateway, secret_sha256, telemetry_key: key, certificate_sha256 },
            ]);
        }
        Act::Device { device, model, hospital, gateway, version } => Command::RegisterDevice(NewDevice {
            hardware: None,
            serial: device.to_string(),
            device,
            model,
            udi: None,
            hospital,
            gateway: Some(gateway),
            firmware_version: version,
        }),
        Act::Firmware { firmware, version, model, sha256, size_bytes } => {
            return Ok(vec![
                Command::CreateFirmware { firmware: firmware.clone(), version, model, release_notes: String::new() },
                Command::StoreImage { firmware, sha256, size_bytes },
            ]);
        }
        Act::Manifest { firmware, manifest } => Command::AttachManifest { firmware, manifest },
        Act::Approve { firmware, approval } => Command::Approve { firmware, approval },
        Act::Deploy { deployment, json: text } => {
            let parsed: DeploymentJson = serde_json::from_str(&text).map_err(json)?;
            Command::CreateDeployment { deployment, request: Box::new(parsed.parse(None)?) }
        }
        Act::Validate { deployment, validation } => Command::Validate { deployment, validation },
        Act::Pause { deployment } => Command::Pause { deployment, reason: reason() },
        Act::Resume { deployment } => Command::Resume { deployment, reason: reason() },
        Act::Abort { deployment } => Command::Abort { deployment, reason: reason() },
        Act::RollBack { deployment } => {
            Command::Rollback { deployment, scope: Scope::Deployment, cause: OrderedBack::Safety, reason: reason() }
        }
        Act::RollBackHospital { deployment, hospital } => Command::Rollback {
            deployment,
            scope: Scope::Hospital { hospital },
            cause: OrderedBack::Operational,
            reason: reason(),
        },
        Act::Consent { deployment, hospital } => {
            Command::Consent { deployment, hospital, given: true, reason: reason() }
        }
    }])
}
