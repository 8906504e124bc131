//! How long the rounds of the deciding thread take at the size of a whole vendor, by what they are about.
//!
//! Engine, presence, records and signatures are the coordinator's own; the log hashes each record and keeps none. A round's
//! time is the processor time of its thread, without the disk: on a machine that does nothing else it is the time for which
//! the state is held. What other threads do beside it is done but not counted: signatures of telemetry are checked ahead, and
//! heartbeats enter the presence directly.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use mdfm_coordinator_core::desk::{GATEWAY_BYTES_PER_DAY, Outbound, Submission};
use mdfm_coordinator_core::engine::{Engine, Limits};
use mdfm_coordinator_core::presence::Presence;
use mdfm_coordinator_core::telemetry::Received;
use mdfm_coordinator_core::{Command, State};
use mdfm_service::output::note;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::sign::{SecretKey, Signed, Verifier};
use mdfm_shared::telemetry::{
    DeviceHeartbeat, Event, EventKind, FAULTS_COUNTED, FirmwareReport, Heartbeat, InstallState, TelemetryBatch,
};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Checkpoint, Frontier, Hash, LogWriter, NoteSigner, leaf_hash};

use super::super::act::{Act, commands, person};
use super::super::rng::Rng;
use super::super::setup::{self, START};
use super::{Fleet, WALK, release};

/// Commands that the coordinator's thread decides in one round at most.
const SUBMISSIONS_MAX: usize = 256;
/// Time between two heartbeats of a gateway, in seconds.
const BEAT_S: u64 = 60;
/// A device that is not heard of for so long is silent, in milliseconds.
const SILENCE_MS: u64 = 300_000;
/// Seconds in which the gateways begin to install,
const BEGIN_S: u64 = 600;
/// and seconds that a step of it takes at most.
const STEP_S_MAX: u64 = 100;
/// After these seconds one gateway in twenty is cut off for ever.
const CUT_S: u64 = 300;
const CUT_ONE_IN: usize = 20;
/// Seconds that are watched: until the last device is done and silence was noticed in the monitoring time too.
const WATCHED_S: u64 = 1_800;
/// Seconds that are watched after a person's order.
const ORDERED_S: u64 = 120;
/// When this begins: after every time that the rollout before it took.
const BEGIN: UtcMillis = UtcMillis(START.0 + 30 * 86_400_000);
/// Every device in one phase, whatever fails: so that as much as possible happens at once.
const DEPLOYMENT: &str = r#"{ "firmwareId": "FW-2", "strategy": "Progressive", "phases": [
    { "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 100, "monitoringDuration": "PT24H" } ] }"#;

/// What a round is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A person's command, with whatever follows in the same round.
    Person,
    /// Batches of telemetry.
    Telemetry,
    /// Directives that follow from something decided before.
    Directives,
    /// Other records, among them silences.
    Records,
    /// A look at the clock that finds nothing to record.
    Look,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Person, Self::Telemetry, Self::Directives, Self::Records, Self::Look];

    /// The kind, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Person => "a person's command",
            Self::Telemetry => "telemetry",
            Self::Directives => "directives",
            Self::Records => "other records",
            Self::Look => "nothing to record",
        }
    }

    /// The kind, in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Telemetry => "telemetry",
            Self::Directives => "directives",
            Self::Records => "records",
            Self::Look => "look",
        }
    }
}

/// What the rounds took.
pub(super) struct Measured {
    /// Nanoseconds of each round, by kind.
    pub(super) by_kind: BTreeMap<Kind, Histogram<u64>>,
    /// Nanoseconds of every round.
    pub(super) all: Histogram<u64>,
    /// Orders that reach every gateway, with the time until the last directive for them was signed.
    pub(super) orders: Vec<(&'static str, Duration)>,
    /// The state as bytes: how long that takes, and how many they are.
    pub(super) snapshot: (Duration, usize),
}

/// A log that hashes what it is given and keeps nothing.
struct Log {
    frontier: Frontier,
    signer: NoteSigner,
    published: Option<(Checkpoint, String)>,
}

impl LogWriter for Log {
    type Error = anyhow::Error;
    fn append(&mut self, entries: &[Vec<u8>]) -> anyhow::Result<()> {
        entries.iter().for_each(|entry| self.frontier.push(leaf_hash(entry)));
        Ok(())
    }
    fn sign(&mut self) -> anyhow::Result<(Checkpoint, String)> {
        let origin = self.signer.key().name().to_owned();
        let root: Hash = self.frontier.root();
        let checkpoint = Checkpoint { origin, size: self.frontier.size(), root };
        let signed = checkpoint.sign(&self.signer)?;
        Ok((checkpoint, signed))
    }
    fn publish(&mut self, note: &str) -> anyhow::Result<()> {
        self.published = Some((Checkpoint::open(note.as_bytes(), self.signer.key())?, note.to_owned()));
        Ok(())
    }
    fn published(&self) -> Option<(Checkpoint, String)> {
        self.published.clone()
    }
    fn dispose(&mut self, _entries: &BTreeSet<u64>) -> anyhow::Result<()> {
        anyhow::bail!("nobody keeps records for a limited time here")
    }
}

/// What this thread has used of a processor.
fn processor_time() -> anyhow::Result<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The deciding thread without its queue and its disk.
struct Thread {
    engine: Engine,
    state: State,
    presence: Presence,
    log: Log,
    now: UtcMillis,
    by_kind: BTreeMap<Kind, Histogram<u64>>,
    all: Histogram<u64>,
}

impl Thread {
    fn start(state: State, now: UtcMillis) -> anyhow::Result<Self> {
        let limits = Limits { silence_ms: SILENCE_MS, gateway_bytes_per_day: GATEWAY_BYTES_PER_DAY };
        Ok(Self {
            engine: Engine::new(setup::online_key(), limits, now),
            state,
            presence: Presence::started(now),
            log: Log { frontier: Frontier::default(), signer: setup::log_signer(), published: None },
            now,
            by_kind: BTreeMap::new(),
            all: Histogram::new(3)?,
        })
    }

    /// One round; returns how long it took.
    fn round(&mut self, kind: Option<Kind>, submissions: Vec<Submission>) -> anyhow::Result<Duration> {
        let size = self.log.frontier.size();
        let begun = processor_time()?;
        let batch = self.engine.handle(&mut self.state, self.now, &mut self.presence, submissions)?;
        let committed = self.engine.commit(&self.state, batch, &mut self.log)?;
        let took = processor_time()?.saturating_sub(begun);
        if let Some(refusal) = committed.answers.into_iter().find_map(Result::err) {
            anyhow::bail!("refused: {refusal}");
        }
        let directs = committed.outbound.iter().any(|o| matches!(o, Outbound::Directive(_)));
        let found = match (directs, self.log.frontier.size() > size) {
            (true, _) => Kind::Directives,
            (false, true) => Kind::Records,
            (false, false) => Kind::Look,
        };
        let ns = u64::try_from(took.as_nanos())?;
        self.all.record(ns)?;
        self.by_kind.entry(kind.unwrap_or(found)).or_insert(Histogram::new(3)?).record(ns)?;
        Ok(took)
    }

    /// Rounds until nothing is due; returns how long they took together.
    fn settle(&mut self) -> anyhow::Result<Duration> {
        let mut took = self.round(None, Vec::new())?;
        while self.engine.deadline(&self.state).is_some_and(|at| at <= self.now) {
            took += self.round(None, Vec::new())?;
        }
        Ok(took)
    }

    /// A person orders something that reaches every gateway; returns the time until nothing follows from it.
    fn order(&mut self, act: Act) -> anyhow::Result<Duration> {
        let commands = commands(&self.state, self.now, act)?;
        let submissions = commands.into_iter().map(|command| Submission::new(person("operator"), command)).collect();
        Ok(self.round(Some(Kind::Person), submissions)? + self.settle()?)
    }
}

/// A gateway as far as it speaks.
struct Speaker {
    id: GatewayId,
    devices: Vec<DeviceId>,
    epoch: u64,
    batches: u64,
    last: Digest,
    beats: u64,
    /// How far its devices are.
    state: InstallState,
    is_cut: bool,
}

impl Speaker {
    fn beat(&mut self, presence: &mut Presence, now: UtcMillis) {
        self.beats += 1;
        let heartbeat = Heartbeat {
            gateway: self.id.clone(),
            epoch: self.epoch,
            sequence: self.beats,
            at: now,
            root_version: 1,
            roster_version: 1,
            directive_serial: 0,
            checkpoint_size: 0,
            missing_releases: Vec::new(),
            outbox_depth: 0,
            devices: Vec::new(),
            held_trust: None,
            observed: None,
        };
        presence.heard(now, &heartbeat);
        for device in &self.devices {
            let beat = DeviceHeartbeat { device: device.clone(), state: self.state, attached: true, in_use: false };
            presence.seen(now, &beat);
        }
    }

    /// What it reports of all its devices at once.
    fn report(&mut self, now: UtcMillis, step: InstallState, news: &News) -> anyhow::Result<Submission> {
        self.state = step;
        self.batches += 1;
        let running = matches!(step, InstallState::Probation | InstallState::Confirmed).then(|| news.firmware.clone());
        let event = |device: &DeviceId| Event {
            device: Some(device.clone()),
            at: now,
            kind: EventKind::StateChanged {
                state: step,
                manifest: news.manifest,
                deployment: news.deployment.clone(),
                running: running.clone(),
                detail: FAULTS_COUNTED.into(),
            },
        };
        let batch = TelemetryBatch {
            gateway: self.id.clone(),
            epoch: self.epoch,
            sequence: self.batches,
            previous: self.last,
            events: self.devices.iter().map(event).collect(),
        };
        let signed = Signed::sign(&batch, &[&news.key])?;
        self.last = signed.digest();
        let batch = Received::check(signed, &news.verifier);
        let actor = Actor { kind: ActorKind::Gateway, id: self.id.to_string(), roles: vec![] };
        Ok(Submission::new(actor, Command::Telemetry { gateway: self.id.clone(), batch }))
    }
}

/// What the gateways report of.
struct News {
    deployment: DeploymentId,
    manifest: Digest,
    firmware: FirmwareReport,
    key: SecretKey,
    verifier: Verifier,
}

fn speakers(fleet: &Fleet, state: &State) -> anyhow::Result<Vec<Speaker>> {
    let of = |(g, id): (usize, &GatewayId)| {
        let chain = &state.gateways.get(id).context("a gateway")?.chain;
        Ok(Speaker {
            id: id.clone(),
            devices: fleet.sites[fleet.first[g]..fleet.first[g + 1]].iter().map(|s| s.device.clone()).collect(),
            epoch: chain.epoch,
            batches: chain.sequence,
            last: chain.last(),
            beats: 0,
            state: InstallState::Idle,
            is_cut: false,
        })
    };
    fleet.gateways.iter().enumerate().map(of).collect()
}

/// Runs a second deployment on a fleet, second by second, with everything at once.
pub(super) fn measure(mut fleet: Fleet, seed: u64) -> anyhow::Result<Measured> {
    let second = release();
    let manifest = fleet.publish(2, &second, BEGIN)?;
    let state = std::mem::take(&mut fleet.engine).into_state();
    let mut speakers = speakers(&fleet, &state)?;
    let mut thread = Thread::start(state, BEGIN)?;
    let mut orders = vec![("start", thread.settle()?)];
    speakers.iter_mut().for_each(|speaker| speaker.beat(&mut thread.presence, BEGIN));
    let deployment: DeploymentId = "D-2".parse()?;
    let deploy = Act::Deploy { deployment: deployment.clone(), json: DEPLOYMENT.to_owned() };
    orders.push(("deploy", thread.order(deploy)?));
    let plain = setup::manifest(2, &second);
    let key = setup::key(99);
    let news = News {
        deployment: deployment.clone(),
        manifest,
        firmware: FirmwareReport {
            version: plain.version,
            release_number: plain.release_number,
            security_version: plain.security_version,
            sha256: plain.sha256,
        },
        verifier: Verifier::try_from(&key.public())?,
        key,
    };
    let mut rng = Rng::new(seed, 5);
    let mut steps: BinaryHeap<Reverse<(u64, u32, u8)>> = BinaryHeap::new();
    for g in 0..speakers.len() {
        steps.push(Reverse((rng.between(1, BEGIN_S), u32::try_from(g)?, 0)));
    }
    note(format_args!("watching a second rollout for {WATCHED_S} seconds"));
    for s in 1..=WATCHED_S {
        if s == CUT_S {
            speakers.iter_mut().step_by(CUT_ONE_IN).for_each(|speaker| speaker.is_cut = true);
        }
        thread.now = BEGIN.plus_ms(s * 1_000);
        let mut due = Vec::new();
        while let Some(Reverse((_, g, step))) = steps.peek().filter(|Reverse((at, ..))| *at <= s).copied() {
            steps.pop();
            let speaker = &mut speakers[g as usize];
            let Some(state) = WALK.get(usize::from(step)).filter(|_| !speaker.is_cut) else { continue };
            due.push(speaker.report(thread.now, *state, &news)?);
            steps.push(Reverse((s + rng.between(5, STEP_S_MAX), g, step + 1)));
        }
        beats(&mut speakers, &mut thread, s);
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(SUBMISSIONS_MAX));
            thread.round(Some(Kind::Telemetry), std::mem::replace(&mut due, rest))?;
        }
        thread.settle()?;
    }
    let mut begun = WATCHED_S;
    for (name, act) in [
        ("pause", Act::Pause { deployment: deployment.clone() }),
        ("resume", Act::Resume { deployment: deployment.clone() }),
        ("roll back", Act::RollBack { deployment }),
    ] {
        note(format_args!("{name}"));
        orders.push((name, thread.order(act)?));
        for s in begun + 1..=begun + ORDERED_S {
            thread.now = BEGIN.plus_ms(s * 1_000);
            beats(&mut speakers, &mut thread, s);
            thread.settle()?;
        }
        begun += ORDERED_S;
    }
    let started = processor_time()?;
    let bytes = thread.state.to_snapshot()?.len();
    let snapshot = (processor_time()?.saturating_sub(started), bytes);
    Ok(Measured { by_kind: thread.by_kind, all: thread.all, orders, snapshot })
}

/// The heartbeats of one second.
fn beats(speakers: &mut [Speaker], thread: &mut Thread, s: u64) {
    let first = usize::try_from(s % BEAT_S).unwrap_or(0);
    let due = speakers.iter_mut().skip(first).step_by(BEAT_S as usize).filter(|speaker| !speaker.is_cut);
    due.for_each(|speaker| speaker.beat(&mut thread.presence, thread.now));
}
