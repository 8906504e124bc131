//! The world itself: one thread, one queue of events, time that jumps to the next of them.
//!
//! Fault model. Between coordinator and gateways anything may be lost, repeated, delayed and reordered, and the line may break.
//! Agents and coordinator may die at any event and come back with what was durable; a gateway may lose power in the middle of
//! a write, which then is on disk or is not (batches are atomic); wall clocks of gateways jump. Devices reboot, are unplugged,
//! carry patients and run flawed firmware. What must hold all the same stands in `oracle.rs`.

mod adversary;
mod devices;
mod faults;
mod gateways;
mod line;
mod on_site;
mod papers;
mod people;
mod set_back;
mod truth;
mod ward;
mod witness;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use self::set_back::Snapshot;
use mdfm_agent_core::gateway::Fetched;
use mdfm_agent_core::installer::Now;
use mdfm_agent_core::store::memory::Memory;
use mdfm_shared::device::{Command, FaultMessage, PROTOCOL_VERSION, Report};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId, HospitalId};
use mdfm_shared::sign::{Signed, remembering};
use mdfm_shared::telemetry::FirmwareReport;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::tlog::Hash;
use mdfm_shared::trust::{Role, TrustRoot, Withdrawals};
use mdfm_shared::wire::Topic;

use super::act::Act;
use super::agent::{Agent, Enrolment, enrolled_disk};
use super::coordinator::Coordinator;
use super::device::Device;
use super::oracle::{Broken, Oracle};
use super::rng::Rng;
use super::scenario::{Flaw, Scenario};
use super::setup::{self, START};
use witness::Panel;

/// Time between two reports of a device.
const REPORT_MS: u64 = 2_000;
/// Time between two heartbeats of a gateway.
const HEARTBEAT_MS: u64 = 10_000;
/// A device unheard of for so long is silent.
const SILENCE_MS: u64 = 60_000;
/// Time between two looks of people at their screens.
const PEOPLE_MS: u64 = 5_000;
/// A fault found so long before the end is in the log by then.
const SETTLED_MS: u64 = 120_000;
/// Events of one world at most: more would be a loop of our own making.
const EVENTS_MAX: u64 = 20_000_000;

#[derive(Debug)]
enum Event {
    GatewayWake { gateway: usize, life: u64 },
    GatewayStart { gateway: usize },
    LineUp { gateway: usize },
    ToGateway { gateway: usize, connection: u64, topic: String, payload: Vec<u8> },
    ToCoordinator { gateway: usize, connection: u64, topic: Topic, payload: Vec<u8> },
    Fetched { gateway: usize, life: u64, sha256: Digest },
    Proof { gateway: usize, life: u64, hashes: Option<Vec<Hash>> },
    Staged { device: usize, firmware: FirmwareReport },
    DeviceTick { device: usize },
    Report { device: usize, life: u64, report: Box<Report> },
    Fault { device: usize, life: u64, fault: FaultMessage },
    Order { device: usize, command: Command },
    CoordinatorTick,
    CoordinatorStart,
    Happens(usize),
    PatientLeaves { device: usize },
    PluggedIn { device: usize },
    CableBack { device: usize },
    Crash { device: usize, left: u32 },
    Hold { device: usize, for_s: u64 },
    Release { device: usize },
    Upload(usize),
    Deploy(usize),
    People,
    Adversary,
    Paper(papers::Paper),
    PutBack { gateway: usize, snapshot: usize, for_ms: u64 },
    Copy { copy: usize, step: u32 },
    Witnesses,
    Calm,
    Look,
}

struct Queued {
    at_ms: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.number) == (other.at_ms, other.number)
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.number).cmp(&(other.at_ms, other.number))
    }
}

struct Gateway {
    id: GatewayId,
    hospital: HospitalId,
    enrolment: Enrolment,
    agent: Option<Agent>,
    /// What is on disk while the agent is not running.
    disk: Memory,
    devices: BTreeMap<DeviceId, usize>,
    boot: u64,
    booted_at_ms: u64,
    skew_ms: i64,
    drift_ppm: i64,
    /// Grows with every start of the agent; what was under way in an earlier life is gone.
    life: u64,
    /// Whether the line is whole.
    line: bool,
    /// Grows with every connection; none while there is none.
    connection: Option<u64>,
    connections: u64,
    /// When the last message down and the last message up arrive.
    last_ms: [u64; 2],
    wanted: BTreeSet<Digest>,
    cache: BTreeSet<Digest>,
    wakes_at_ms: Option<u64>,
    /// Newest report of each device that reached the agent in this life.
    heard: BTreeMap<DeviceId, Report>,
}

struct Site {
    id: DeviceId,
    /// Where it is plugged in.
    gateway: usize,
    /// Where it is registered.
    home: usize,
    device: Device,
    plugged: bool,
    /// The firmware that a device of protocol version 1 ran when its gateway missed a fault: nobody can know of it.
    missed_fault: Option<Digest>,
}

/// What became of a world.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What was found wrong.
    pub(super) broken: Option<Broken>,
    /// What happened, line by line.
    pub(super) transcript: Vec<String>,
    pub(super) events: u64,
    /// Devices on trial, rollbacks and deployments that came to an end, so that a run of many worlds shows that it tries something.
    pub(super) activations: u64,
    pub(super) rollbacks: u64,
    pub(super) endings: BTreeMap<&'static str, u64>,
}

pub(super) struct World<'a> {
    scenario: &'a Scenario,
    now_ms: u64,
    number: u64,
    queue: BinaryHeap<Reverse<Queued>>,
    rng: Rng,
    /// Fates of the coordinator's statements about chains: in a stream of their own they leave the rest of a world as it was.
    chain_rng: Rng,
    coordinator: Coordinator,
    coordinator_up: bool,
    /// How long the coordinator stays off after the cut that is set.
    cut_for_s: u64,
    /// What the broker retains.
    retained: BTreeMap<String, Vec<u8>>,
    gateways: Vec<Gateway>,
    sites: Vec<Site>,
    /// What is wrong with which image on which device.
    flaws: BTreeMap<(Digest, usize), Flaw>,
    /// What there is to know of each device, since the calm.
    steady: Vec<Option<truth::Steady>>,
    /// Within this time the coordinator must know it.
    known_within_ms: u64,
    deployments: Vec<Option<DeploymentId>>,
    /// Approvals that are still to be given: when, release, role.
    to_approve: Vec<(u64, usize, Role)>,
    /// When a gate was first seen waiting.
    waiting: BTreeMap<(usize, u32), u64>,
    logged: usize,
    calm: bool,
    oracle: Oracle,
    /// The withdrawals that were signed, the newest last, and the version of the newest roster.
    withdrawals: Vec<Withdrawals>,
    roster_version: u64,
    malice: adversary::Malice,
    /// Disks that come back, with the enrolment that they are of.
    snapshots: Vec<Snapshot>,
    copies: Vec<set_back::Copy>,
    panel: Panel,
    /// Index of the record of the last approval of each firmware.
    approved_at: BTreeMap<String, u64>,
    /// Enrolments after the first one of each gateway.
    enrolments: u64,
    /// Hospitals that a person took out of a deployment because of the adversary.
    left_out: BTreeSet<(usize, HospitalId)>,
    transcript: Vec<String>,
    activations: u64,
    rollbacks: u64,
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a good id")
}

/// Runs a world to its end, or to the first thing that is wrong.
pub(super) fn run(scenario: &Scenario) -> Outcome {
    // Each agent of a world verifies the same documents.
    remembering(|| run_through(scenario))
}

fn run_through(scenario: &Scenario) -> Outcome {
    let mut world = World::new(scenario);
    let mut events = 0;
    let broken = loop {
        match world.step() {
            Ok(true) if events < EVENTS_MAX => events += 1,
            Ok(true) => break Some(Broken::new("the world does not come to an end")),
            Ok(false) => break world.end().err(),
            Err(broken) => break Some(broken),
        }
    };
    if let Some(broken) = &broken {
        world.say("world", &format!("BROKEN: {broken}"));
    }
    let mut endings = BTreeMap::new();
    for id in world.deployments.iter().flatten() {
        if let Some(report) = world.coordinator.deployment(id) {
            *endings.entry(report.status).or_default() += 1;
        }
    }
    Outcome {
        broken,
        events,
        endings,
        activations: world.activations,
        rollbacks: world.rollbacks,
        transcript: world.transcript,
    }
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut coordinator = Coordinator::new(setup::online_key(), setup::log_signer(), SILENCE_MS, START);
        coordinator.set_outbound_max(scenario.network.outbound_max.unwrap_or(usize::MAX));
        let watch = scenario.witnesses.unwrap_or_default();
        let mut world = Self {
            scenario,
            now_ms: 0,
            number: 0,
            queue: BinaryHeap::new(),
            rng: Rng::new(scenario.seed, 2),
            chain_rng: Rng::new(scenario.seed, 6),
            coordinator,
            coordinator_up: true,
            cut_for_s: 0,
            retained: BTreeMap::new(),
            gateways: Vec::new(),
            sites: Vec::new(),
            flaws: BTreeMap::new(),
            steady: vec![None; scenario.devices()],
            known_within_ms: truth::known_within_ms(&scenario.network),
            deployments: vec![None; scenario.deploy.len()],
            to_approve: Vec::new(),
            waiting: BTreeMap::new(),
            logged: 0,
            calm: false,
            oracle: Oracle::new(scenario),
            withdrawals: Vec::new(),
            roster_version: 0,
            malice: adversary::Malice::new(scenario.seed),
            snapshots: Vec::new(),
            copies: Vec::new(),
            panel: Panel::new(watch.number, watch.threshold),
            approved_at: BTreeMap::new(),
            enrolments: 0,
            left_out: BTreeSet::new(),
            transcript: Vec::new(),
            activations: 0,
            rollbacks: 0,
        };
        world.install();
        world
    }

    fn trust_root(&self) -> Signed<TrustRoot> {
        setup::trust_root(self.scenario.witnesses)
    }

    fn utc(&self) -> UtcMillis {
        START.plus_ms(self.now_ms)
    }

    fn clocks(&self, gateway: usize) -> Now {
        let g = &self.gateways[gateway];
        let drifted = |ms: u64| ms.saturating_add_signed(ms as i64 * g.drift_ppm / 1_000_000);
        let up_ms = drifted(self.now_ms.saturating_sub(g.booted_at_ms));
        let utc = START.plus_ms(drifted(self.now_ms));
        Now { mono: MonotonicMs(1_000_000 + up_ms), utc: UtcMillis(utc.0.saturating_add_signed(g.skew_ms)) }
    }

    fn say(&mut self, who: &str, what: &str) {
        let (s, ms) = (self.now_ms / 1_000, self.now_ms % 1_000);
        self.transcript.push(format!("{s:>5}.{ms:03} {who:<12} {what}"));
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.number += 1;
        self.queue.push(Reverse(Queued { at_ms: self.now_ms + ms, number: self.number, event }));
    }

    fn act(&mut self, actor: &str, act: Act) -> Result<bool, Broken> {
        if !self.coordinator_up {
            return Ok(false);
        }
        let answer = self.coordinator.act(self.utc(), actor, act)?;
        self.spread()?;
        match answer {
            Ok(()) => Ok(true),
            Err(refusal) => {
                self.say(actor, &format!("refused: {refusal}"));
                Ok(false)
            }
        }
    }

    fn install(&mut self) {
        let must =
            |done: Result<bool, Broken>| assert!(matches!(done, Ok(true)), "the installation is accepted: {done:?}");
        must(self.act("admin", Act::TrustRoot(self.trust_root())));
        if self.scenario.authority.is_some() {
            must(self.renew(None));
        } else {
            must(self.act("admin", Act::Roster(setup::roster(1, None))));
        }
        let fleet = self.scenario.fleet.clone();
        let pinned = self.trust_root().digest();
        let roots = self.coordinator.trust_roots();
        for h in 1..=fleet.hospitals {
            let hospital: HospitalId = id(&format!("H-{h}"));
            let cohort = (h == 1).then(|| "pilot".to_owned());
            must(self.act("operator", Act::Hospital { hospital: hospital.clone(), cohort }));
            let windows_json = super::oracle::windows_json(&fleet.windows_s);
            let consent_required = fleet.asked.contains(&h);
            must(
                self.act(
                    "operator",
                    Act::HospitalPolicy { hospital: hospital.clone(), windows_json, consent_required },
                ),
            );
            for g in 1..=fleet.gateways_per_hospital {
                let n = self.gateways.len();
                let gateway: GatewayId = id(&format!("GW-{h}-{g}"));
                let key = setup::key(100 + n as u8);
                let act = Act::Gateway { gateway: gateway.clone(), hospital: hospital.clone(), key: key.public() };
                must(self.act("operator", act));
                let enrolment = Enrolment {
                    gateway: gateway.clone(),
                    epoch: 1,
                    key,
                    trust_root: pinned,
                    heartbeat_ms: HEARTBEAT_MS,
                };
                let most = i64::from(fleet.drift_ppm_max);
                let drift_ppm = self.rng.between(0, 2 * u64::from(fleet.drift_ppm_max)) as i64 - most;
                self.gateways.push(Gateway {
                    id: gateway.clone(),
                    hospital: hospital.clone(),
                    enrolment,
                    agent: None,
                    disk: enrolled_disk(&roots, pinned).expect("our own root"),
                    devices: BTreeMap::new(),
                    boot: 1,
                    booted_at_ms: 0,
                    skew_ms: 0,
                    drift_ppm,
                    life: 0,
                    line: true,
                    connection: None,
                    connections: 0,
                    last_ms: [0; 2],
                    wanted: BTreeSet::new(),
                    cache: BTreeSet::new(),
                    wakes_at_ms: None,
                    heard: BTreeMap::new(),
                });
                for d in 1..=fleet.devices_per_gateway {
                    let device: DeviceId = id(&format!("DEV-{h}-{g}-{d}"));
                    must(self.act("operator", setup::new_device(&device, &hospital, &gateway)));
                    let boot_ms = self.rng.between(1_000, 8_000);
                    let is_version_1 = self.scenario.fleet.version_1.contains(&(self.sites.len() + 1));
                    let protocol = if is_version_1 { 1 } else { PROTOCOL_VERSION };
                    self.gateways[n].devices.insert(device.clone(), self.sites.len());
                    self.sites.push(Site {
                        device: Device::new(device.as_str(), setup::factory(), boot_ms, protocol),
                        id: device,
                        gateway: n,
                        home: n,
                        plugged: true,
                        missed_fault: None,
                    });
                }
                let start = self.rng.between(0, 2_000);
                self.after(start, Event::GatewayStart { gateway: n });
            }
        }
        for device in 0..self.sites.len() {
            let first = self.rng.between(0, REPORT_MS);
            self.after(first, Event::DeviceTick { device });
        }
        for (i, release) in self.scenario.release.iter().enumerate() {
            self.after(release.at_s * 1_000, Event::Upload(i));
        }
        for (i, deploy) in self.scenario.deploy.iter().enumerate() {
            self.after(deploy.at_s * 1_000, Event::Deploy(i));
        }
        for (i, happening) in self.scenario.event.iter().enumerate() {
            self.after(happening.at_s * 1_000, Event::Happens(i));
        }
        self.after(0, Event::CoordinatorTick);
        self.after(PEOPLE_MS, Event::People);
        self.await_adversary();
        self.await_papers();
        self.after(self.scenario.stormy_s * 1_000, Event::Calm);
    }

    /// The next event; false when the time is over.
    fn step(&mut self) -> Result<bool, Broken> {
        let Some(Reverse(next)) = self.queue.pop() else { return Ok(false) };
        if next.at_ms > (self.scenario.stormy_s + self.scenario.calm_s) * 1_000 {
            return Ok(false);
        }
        self.now_ms = next.at_ms;
        self.happen(next.event)?;
        if self.coordinator_up && self.coordinator.is_off() {
            self.say("coordinator", "loses power while it writes");
            self.coordinator_down(self.cut_for_s)?;
        }
        Ok(true)
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::GatewayWake { gateway, life } => {
                if self.gateways[gateway].life == life && self.gateways[gateway].wakes_at_ms == Some(self.now_ms) {
                    self.gateways[gateway].wakes_at_ms = None;
                    return self.with_agent(gateway, |agent, now| agent.work(now));
                }
            }
            Event::GatewayStart { gateway } => self.start_agent(gateway)?,
            Event::LineUp { gateway } => {
                self.gateways[gateway].line = true;
                self.connect(gateway)?;
            }
            Event::ToGateway { gateway, connection, topic, payload } => {
                if self.gateways[gateway].connection == Some(connection) {
                    let held =
                        self.gateways[gateway].agent.as_ref().map(|agent| (agent.epoch(), agent.unacknowledged()));
                    self.with_agent(gateway, |agent, now| agent.message(now, &topic, &payload))?;
                    return held.map_or(Ok(()), |before| self.check_freed(gateway, &before));
                }
            }
            Event::ToCoordinator { gateway, connection, topic, payload } => {
                // What was sent arrives even if the line broke since; what was sent to a dead coordinator does not.
                if self.coordinator_up && self.gateways[gateway].connections >= connection {
                    self.coordinator.hear(self.utc(), &topic, &payload)?;
                    self.spread()?;
                }
            }
            Event::Fetched { gateway, life, sha256 } => {
                if self.gateways[gateway].life == life {
                    let there =
                        self.gateways[gateway].connection.is_some() || self.gateways[gateway].cache.contains(&sha256);
                    if there {
                        self.gateways[gateway].cache.insert(sha256);
                    }
                    let fetched = if there { Fetched::Whole } else { Fetched::Later };
                    return self.with_agent(gateway, |agent, now| agent.image(now, sha256, fetched));
                }
            }
            Event::Proof { gateway, life, hashes } => {
                if self.gateways[gateway].life == life {
                    return self.with_agent(gateway, |agent, now| agent.consistency(now, hashes.as_deref()));
                }
            }
            Event::Staged { device, firmware } => self.staged(device, firmware),
            Event::DeviceTick { device } => self.device_tick(device),
            Event::Report { device, life, report } => {
                let (gateway, name) = (self.sites[device].gateway, self.sites[device].id.clone());
                if self.gateways[gateway].life == life {
                    self.gateways[gateway].heard.insert(name.clone(), (*report).clone());
                    self.oracle.seen(&name);
                    return self.with_agent(gateway, |agent, now| agent.device_report(now, &name, *report));
                }
            }
            Event::Fault { device, life, fault } => {
                let (gateway, name) = (self.sites[device].gateway, self.sites[device].id.clone());
                if self.gateways[gateway].life == life {
                    self.with_agent(gateway, |agent, now| agent.device_fault(now, &name, fault))?;
                }
                if self.gateways[gateway].life != life {
                    self.miss_fault(device);
                }
            }
            Event::Order { device, command } => self.obey(device, &command)?,
            Event::CoordinatorTick => {
                if self.coordinator_up {
                    self.coordinator.tick(self.utc())?;
                    self.spread()?;
                }
                let wait = self.coordinator.deadline().map_or(1_000, |at| at.since_ms(self.utc()).clamp(10, 1_000));
                self.after(wait, Event::CoordinatorTick);
            }
            Event::CoordinatorStart => {
                self.say("coordinator", "starts again and replays its log");
                self.coordinator.restart(self.utc())?;
                self.coordinator_up = true;
                self.retained.clear();
                self.spread()?;
                for gateway in 0..self.gateways.len() {
                    self.connect(gateway)?;
                }
            }
            Event::Happens(i) => {
                let what = self.scenario.event[i].what.clone();
                self.happens(what)?;
            }
            Event::PatientLeaves { device } => {
                self.sites[device].device.in_use = false;
                let name = self.sites[device].id.to_string();
                self.say(&name, "the patient leaves");
            }
            Event::PluggedIn { device } => self.sites[device].plugged = true,
            Event::CableBack { device } => self.cable_back(device),
            Event::Crash { device, left } => self.crash(device, left),
            Event::Hold { device, for_s } => self.hold_on_site(device, for_s)?,
            Event::Release { device } => self.release_on_site(device)?,
            Event::Upload(i) => self.upload(i)?,
            Event::Deploy(i) => self.deploy(i)?,
            Event::People => {
                self.people()?;
                self.enrol_held_again()?;
                self.after(PEOPLE_MS, Event::People);
            }
            Event::Adversary => self.adversary()?,
            Event::Paper(paper) => self.sign_paper(paper)?,
            Event::PutBack { gateway, snapshot, for_ms } => self.put_back(gateway, snapshot, for_ms),
            Event::Copy { copy, step } => self.copy_step(copy, step)?,
            Event::Witnesses => self.witnesses_answer()?,
            Event::Look => self.look()?,
            Event::Calm => {
                self.calm = true;
                self.after(0, Event::Look);
                self.say("world", "from here on the world behaves");
                self.copies.iter_mut().for_each(|copy| copy.is_up = false);
                for gateway in 0..self.gateways.len() {
                    self.gateways[gateway].line = true;
                    self.gateways[gateway].skew_ms = 0;
                    self.connect(gateway)?;
                }
                (0..self.sites.len()).for_each(|device| self.cable_back(device));
                self.release_all_on_site();
                self.sites.iter_mut().for_each(|s| {
                    s.plugged = true;
                    s.device.in_use = false;
                });
            }
        }
        Ok(())
    }

    /// Whether the log says of a device what it runs, and where its installation stands.
    fn known_as_it_is(&self, device: usize) -> Result<(), Broken> {
        let site = &self.sites[device];
        let running = site.device.running(&Self::flaw_of(&self.flaws, device)).sha256;
        self.oracle.known(&site.id, running, self.coordinator.device(&site.id))
    }

    /// Whether everything came to rest as it must.
    fn end(&mut self) -> Result<(), Broken> {
        for i in 0..self.deployments.len() {
            let Some(deployment) = self.deployments[i].clone() else { continue };
            let Some(report) = self.coordinator.deployment(&deployment) else { continue };
            let hostile = self.hostile().map(|g| &self.gateways[g].devices);
            self.oracle.ended(&deployment, &report, &|device| hostile.is_some_and(|d| d.contains_key(device)))?;
        }
        let hostile = self.hostile();
        for (n, gateway) in self.gateways.iter().enumerate() {
            if hostile == Some(n) {
                continue;
            }
            let agent = gateway.agent.as_ref().ok_or_else(|| Broken::new(&format!("{} is not running", gateway.id)))?;
            let (epoch, committed) = self.coordinator.committed(&gateway.id).unwrap_or_default();
            self.oracle.drained(&gateway.id, agent, (epoch, committed))?;
            if self.oracle.needless_epoch(&gateway.id, &mut gateway.devices.keys()) {
                return Err(Broken::new(&format!("{} began an epoch without a cause", gateway.id)));
            }
            let state = self.coordinator.telemetry_state(&gateway.id);
            if state != Some("continued") {
                return Err(Broken::new(&format!("the telemetry of {} is {state:?} at the end", gateway.id)));
            }
        }
        for (n, _) in self.sites.iter().enumerate().filter(|(_, site)| hostile != Some(site.gateway)) {
            self.known_as_it_is(n)?;
        }
        for (n, site) in self.sites.iter().enumerate().filter(|(_, s)| hostile != Some(s.gateway)) {
            let flaws = Self::flaw_of(&self.flaws, n);
            let running = site.device.running(&flaws).sha256;
            // What a device of version 1 said to nobody, nobody can judge; it weighs less in gates for that.
            let flaw = flaws(running).filter(|_| site.missed_fault != Some(running));
            let logged = self.coordinator.device(&site.id).and_then(|(_, state)| state);
            let is_settled = site.device.fault_at_ms + SETTLED_MS < self.now_ms;
            if let Some(level) =
                site.device.fault_level().filter(|_| is_settled && !self.oracle.is_unseen(&site.id, logged))
            {
                let agent = self.gateways[site.gateway].agent.as_ref();
                let seen = agent.and_then(|a| a.faults_seen(&site.id));
                self.oracle.faults(&site.id, &self.gateways[site.gateway].id, level, seen, site.device.faults_found)?;
            }
            let on_trial = site.device.is_on_trial();
            self.oracle.at_rest(&site.id, running, site.device.permanent.sha256, on_trial, (flaw, logged))?;
            self.observed_at_the_end(n)?;
        }
        Ok(())
    }
}
