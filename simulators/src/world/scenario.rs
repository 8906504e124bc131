//! What happens in a world: written in TOML by people, or made up from a seed. Everything is explicit, so that a failing world can
//! be shrunk to the few events that it needs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rng::Rng;

/// Hospitals, gateways and devices of one world at most.
const SIZE_MAX: usize = 64;
/// Witnesses of one world at most.
const WITNESSES_MAX: usize = 16;

/// A world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What it shows, for people.
    #[serde(default)]
    pub(super) about: String,
    /// Seed of delays, losses and small hesitations.
    pub(super) seed: u64,
    /// Time in which the events happen; then the world behaves, and everything must come to rest.
    pub(super) stormy_s: u64,
    /// Time for that.
    pub(super) calm_s: u64,
    pub(super) fleet: Fleet,
    #[serde(default)]
    pub(super) network: Network,
    /// Who means harm, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) adversary: Option<Adversary>,
    /// Who must see the audit log grow before gateways trust it, if anybody must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) witnesses: Option<Witnesses>,
    /// How long documents of authority live, and what people withdraw or order back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<Authority>,
    /// Releases, the first with release number 22.
    #[serde(default)]
    pub(super) release: Vec<Release>,
    #[serde(default)]
    pub(super) deploy: Vec<Deploy>,
    #[serde(default)]
    pub(super) event: Vec<Happening>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fleet {
    pub(super) hospitals: usize,
    pub(super) gateways_per_hospital: usize,
    pub(super) devices_per_gateway: usize,
    /// Hospitals whose staff want to be asked, 1 for the first.
    #[serde(default)]
    pub(super) asked: BTreeSet<usize>,
    /// Maintenance windows of every hospital, in seconds after the start.
    #[serde(default)]
    pub(super) windows_s: Vec<(u64, u64)>,
    /// How far the clocks of gateways run too fast or too slow, in millionths; each has its own part of it.
    #[serde(default)]
    pub(super) drift_ppm_max: u32,
    /// Devices that speak version 1 of the device protocol, 1 for the first of the fleet: they send each fault once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) version_1: BTreeSet<usize>,
}

/// Who means harm. Numbers are 1 for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "camelCase")]
pub(super) enum Adversary {
    /// Holds one gateway with its key from then on: its agent is gone, its word is the adversary's.
    Gateway { gateway: usize, from_s: u64 },
    /// Holds the coordinator's keys and speaks to every gateway beside the real coordinator.
    Coordinator { from_s: u64 },
    /// Sets clocks back; the events say which and how far.
    Clocks,
}

/// Witnesses of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Witnesses {
    pub(super) number: usize,
    /// How many of them must have cosigned.
    pub(super) threshold: usize,
}

/// What people sign beside approvals. Without it a world has one roster that never expires, and no withdrawals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authority {
    /// Roster and withdrawals expire so long after they were signed.
    pub(super) life_s: u64,
    /// When the next version of both is signed.
    pub(super) renewals_s: Vec<u64>,
    /// When which release is withdrawn, 1 for the first.
    #[serde(default)]
    pub(super) withdraw: Vec<(u64, usize)>,
    /// When which release is ordered back whatever its recall window says.
    #[serde(default)]
    pub(super) order_back: Vec<(u64, usize)>,
}

/// One device in so many speaks protocol version 1, in a made-up world.
const VERSION_1_ONE_IN: u64 = 5;

/// The line between gateways and coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Network {
    pub(super) drop: f64,
    pub(super) duplicate: f64,
    pub(super) delay_ms_max: u64,
    /// Messages to the fleet of one round of the coordinator that find room; any number without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outbound_max: Option<usize>,
}

impl Default for Network {
    fn default() -> Self {
        Self { drop: 0.0, duplicate: 0.0, delay_ms_max: 100, outbound_max: None }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// When it is uploaded.
    pub(super) at_s: u64,
    /// `standard`, `emergency` or `recall`.
    pub(super) class: String,
    /// Hesitation of each approver.
    #[serde(default)]
    pub(super) approve_after_s: u64,
    /// Roles that never sign: Clinical, QA, Regulatory.
    #[serde(default)]
    pub(super) withheld: Vec<String>,
    pub(super) security_version: u32,
    /// Recall window of the manifest; the default of the product without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recall_window_s: Option<u64>,
    /// What is wrong with it, by device (1 for the first of the fleet).
    #[serde(default)]
    pub(super) flaw: Vec<(usize, Flaw)>,
}

/// What a device does with new firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Flaw {
    /// Its boot loader falls back.
    NoBoot,
    /// It measures something else.
    WrongDigest,
    /// Its boot loader does not vouch.
    Insecure,
    /// It says nothing more until it is booted again.
    Silent,
    /// It reports an error after some seconds.
    Error,
    /// It reports a danger to patients after some seconds.
    Critical,
    /// It reports an error long after it was confirmed.
    LateError,
}

const FLAWS: [Flaw; 7] =
    [Flaw::NoBoot, Flaw::WrongDigest, Flaw::Insecure, Flaw::Silent, Flaw::Error, Flaw::Critical, Flaw::LateError];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deploy {
    pub(super) at_s: u64,
    /// 1 for the first release.
    pub(super) release: usize,
    /// The API's JSON without `firmwareId`.
    pub(super) json: String,
    /// Hesitation of whoever signs at the gates.
    #[serde(default)]
    pub(super) sign_after_s: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Happening {
    pub(super) at_s: u64,
    #[serde(flatten)]
    pub(super) what: What,
}

/// Everything that the world can do to the system. Numbers are 1 for the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub(super) enum What {
    /// A gateway's line breaks for a time.
    LineDown { gateway: usize, for_s: u64 },
    /// An agent is killed and started again.
    AgentKilled { gateway: usize, for_s: u64 },
    /// A gateway loses power: its devices go on.
    GatewayPowerCut { gateway: usize, for_s: u64 },
    /// A gateway loses power in the middle of the n-th write from now; the write is on disk, or not.
    PowerCutWhileWriting { gateway: usize, n: u32, kept: bool },
    /// A gateway's wall clock jumps.
    ClockJump { gateway: usize, by_s: i64 },
    /// The coordinator loses power in the middle of its next write, of which so many records are on disk.
    CoordinatorCutWhileWriting { kept: usize, for_s: u64 },
    /// The coordinator dies and comes back.
    CoordinatorKilled { for_s: u64 },
    /// A witness answers nothing for a time.
    WitnessAway { witness: usize, for_s: u64 },
    /// The broker forgets everything.
    BrokerForgets,
    /// A patient is connected for a time.
    Patient { device: usize, for_s: u64 },
    /// A device loses power and boots again.
    DevicePowerCut { device: usize },
    /// The local line of a device breaks for a time.
    DeviceUnplugged { device: usize, for_s: u64 },
    /// A device reports a fault whatever it runs: `warning`, `error`, `critical`.
    Fault { device: usize, severity: String },
    /// Somebody orders something: `pause`, `resume`, `abort`, `rollBack`.
    Order { deployment: usize, order: String },
    /// One hospital is rolled back.
    HospitalBack { deployment: usize, hospital: usize },
    /// A gateway's disk is put back, after a time, to what it is now; the gateway is off for a time.
    SetBack { gateway: usize, after_s: u64, for_s: u64 },
    /// A copy of a gateway takes its place at the coordinator again and again.
    Copied { gateway: usize, turns: u32 },
    /// A gateway is enrolled again, on its own disk or on that of another machine.
    EnrolledAgain { gateway: usize, new_disk: bool },
    /// Another device, with another serial number and the factory's firmware, stands in a device's place.
    DeviceExchanged { device: usize },
    /// Somebody flashes the factory's firmware by hand.
    DeviceFlashed { device: usize },
    /// A device is plugged into another gateway for a time, of which the registry knows nothing.
    CableMoved { device: usize, gateway: usize, for_s: u64 },
    /// A device boots again and again, some seconds apart.
    CrashLoop { device: usize, boots: u32 },
    /// Staff beside a device hold it as it is, and release it after a time.
    HeldOnSite { device: usize, for_s: u64 },
}

impl What {
    /// What it names by number.
    fn numbers(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::LineDown { gateway, .. }
            | Self::AgentKilled { gateway, .. }
            | Self::GatewayPowerCut { gateway, .. }
            | Self::PowerCutWhileWriting { gateway, .. }
            | Self::ClockJump { gateway, .. }
            | Self::SetBack { gateway, .. }
            | Self::Copied { gateway, .. }
            | Self::EnrolledAgain { gateway, .. } => vec![("gateway", *gateway)],
            Self::CableMoved { device, gateway, .. } => vec![("device", *device), ("gateway", *gateway)],
            Self::DeviceExchanged { device }
            | Self::DeviceFlashed { device }
            | Self::CrashLoop { device, .. }
            | Self::HeldOnSite { device, .. }
            | Self::Patient { device, .. }
            | Self::DevicePowerCut { device }
            | Self::DeviceUnplugged { device, .. }
            | Self::Fault { device, .. } => vec![("device", *device)],
            Self::WitnessAway { witness, .. } => vec![("witness", *witness)],
            Self::Order { deployment, .. } => vec![("deployment", *deployment)],
            Self::HospitalBack { deployment, hospital } => vec![("deployment", *deployment), ("hospital", *hospital)],
            Self::CoordinatorCutWhileWriting { .. } | Self::CoordinatorKilled { .. } | Self::BrokerForgets => {
                Vec::new()
            }
        }
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What makes no sense.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        let fleet = &scenario.fleet;
        for (what, n) in [
            ("hospitals", fleet.hospitals),
            ("gateways_per_hospital", fleet.gateways_per_hospital),
            ("devices_per_gateway", fleet.devices_per_gateway),
        ] {
            anyhow::ensure!((1..=SIZE_MAX).contains(&n), "fleet.{what} must be 1 to {SIZE_MAX}");
        }
        let Witnesses { number, threshold } = scenario.witnesses.unwrap_or_default();
        anyhow::ensure!(number <= WITNESSES_MAX, "witnesses.number must be at most {WITNESSES_MAX}");
        anyhow::ensure!(threshold <= number, "witnesses.threshold must be at most witnesses.number");
        for deploy in &scenario.deploy {
            anyhow::ensure!(
                (1..=scenario.release.len()).contains(&deploy.release),
                "there is no release {}",
                deploy.release
            );
        }
        for (_, release) in scenario.authority.iter().flat_map(|a| a.withdraw.iter().chain(&a.order_back)) {
            anyhow::ensure!((1..=scenario.release.len()).contains(release), "there is no release {release}");
        }
        if let Some(Adversary::Gateway { gateway, .. }) = scenario.adversary {
            anyhow::ensure!((1..=scenario.gateways()).contains(&gateway), "there is no gateway {gateway}");
        }
        for happening in &scenario.event {
            for (what, n) in happening.what.numbers() {
                let most = match what {
                    "gateway" => scenario.gateways(),
                    "device" => scenario.devices(),
                    "hospital" => fleet.hospitals,
                    "witness" => scenario.witnesses.unwrap_or_default().number,
                    _ => scenario.deploy.len(),
                };
                anyhow::ensure!((1..=most).contains(&n), "event at {} s: there is no {what} {n}", happening.at_s);
            }
        }
        Ok(scenario)
    }

    pub(super) fn to_toml(&self) -> String {
        toml::to_string(self).expect("plain structs encode")
    }

    pub(super) fn gateways(&self) -> usize {
        self.fleet.hospitals * self.fleet.gateways_per_hospital
    }
    pub(super) fn devices(&self) -> usize {
        self.gateways() * self.fleet.devices_per_gateway
    }

    /// A small world made up from a seed.
    pub(super) fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let fleet = Fleet {
            hospitals: rng.between(1, 4) as usize,
            gateways_per_hospital: rng.between(1, 2) as usize,
            devices_per_gateway: rng.between(1, 3) as usize,
            asked: BTreeSet::new(),
            windows_s: Vec::new(),
            drift_ppm_max: if rng.one_in(2) { 500 } else { 0 },
            version_1: BTreeSet::new(),
        };
        let rough = rng.one_in(2);
        let network = Network {
            drop: if rough { 0.3 } else { 0.0 },
            duplicate: if rough { 0.2 } else { 0.0 },
            delay_ms_max: if rough { 3_000 } else { 200 },
            outbound_max: None,
        };
        let mut scenario = Self {
            about: format!("made up from seed {seed}"),
            seed,
            stormy_s: 900,
            calm_s: 1_500,
            fleet,
            network,
            adversary: None,
            witnesses: None,
            authority: None,
            release: Vec::new(),
            deploy: Vec::new(),
            event: Vec::new(),
        };
        let devices = scenario.devices();
        // Drawn apart, so that everything else of a seed's world stays what it was.
        let mut versions = Rng::new(seed, 6);
        scenario.fleet.version_1 = (1..=devices).filter(|_| versions.one_in(VERSION_1_ONE_IN)).collect();
        let releases = rng.between(1, 2);
        for n in 0..releases {
            let strategy = *rng.pick(&["Progressive", "Canary", "Emergency", "Scheduled"]);
            let at_s = 5 + n * 400;
            scenario.release.push(Release {
                at_s,
                class: if strategy == "Emergency" { "emergency" } else { "standard" }.into(),
                approve_after_s: rng.between(0, 20),
                withheld: if rng.one_in(12) { vec!["Regulatory".into()] } else { Vec::new() },
                recall_window_s: None,
                security_version: if rng.one_in(2) { 1 } else { 2 + n as u32 },
                flaw: random_flaws(&mut rng, devices),
            });
            let json = random_plan(&mut rng, strategy, &mut scenario.fleet);
            let release = scenario.release.len();
            scenario.deploy.push(Deploy { at_s: at_s + 60, release, json, sign_after_s: rng.between(0, 60) });
        }
        if rng.one_in(4) {
            scenario.fleet.asked.insert(rng.between(1, scenario.fleet.hospitals as u64) as usize);
        }
        for _ in 0..rng.between(0, 14) {
            let at_s = rng.between(1, scenario.stormy_s);
            let what =
                random_event(&mut rng, scenario.gateways(), devices, scenario.fleet.hospitals, scenario.deploy.len());
            scenario.event.push(Happening { at_s, what });
        }
        scenario.event.sort_by_key(|e| e.at_s);
        scenario
    }

    /// A made-up world in which a gateway is set back, copied, enrolled again or replaced.
    pub(super) fn set_back(seed: u64) -> Self {
        let mut scenario = Self::random(seed);
        scenario.about = format!("made up from seed {seed}, with gateways set back");
        set_backs(&mut scenario);
        scenario.event.sort_by_key(|e| e.at_s);
        scenario
    }

    /// A made-up world with witnesses, some of whom are away at times, and with little room for messages to the fleet.
    pub(super) fn witnessed(seed: u64) -> Self {
        let mut scenario = Self::random(seed);
        let mut rng = Rng::new(seed, 8);
        scenario.about = format!("made up from seed {seed}, with witnesses");
        let number = rng.between(1, 4) as usize;
        scenario.witnesses = Some(Witnesses { number, threshold: rng.between(1, number as u64) as usize });
        for _ in 0..rng.between(0, 6) {
            let what =
                What::WitnessAway { witness: rng.between(1, number as u64) as usize, for_s: rng.between(1, 300) };
            scenario.event.push(Happening { at_s: rng.between(1, scenario.stormy_s), what });
        }
        scenario.network.outbound_max = rng.one_in(2).then(|| rng.between(1, 6) as usize);
        scenario.event.sort_by_key(|e| e.at_s);
        scenario
    }

    /// A made-up world with an adversary, who is the only cause of trouble where the rules ask for the cause.
    pub(super) fn hostile(seed: u64) -> Self {
        let mut scenario = Self::random(seed);
        let mut rng = Rng::new(seed, 3);
        scenario.about = format!("made up from seed {seed}, with an adversary");
        let from_s = rng.between(1, 500);
        match seed % 3 {
            0 => {
                scenario.fleet.hospitals = scenario.fleet.hospitals.max(2);
                scenario.network = Network { delay_ms_max: 200, ..Network::default() };
                scenario.fleet.windows_s = scenario.fleet.windows_s.iter().map(|_| (1, 7_200)).take(1).collect();
                scenario.release.iter_mut().for_each(|r| r.flaw.clear());
                scenario.event.retain(|e| {
                    matches!(
                        e.what,
                        What::Patient { .. }
                            | What::BrokerForgets
                            | What::CoordinatorKilled { .. }
                            | What::CoordinatorCutWhileWriting { .. }
                    )
                });
                let gateway = rng.between(1, scenario.gateways() as u64) as usize;
                scenario.adversary = Some(Adversary::Gateway { gateway, from_s });
            }
            1 => scenario.adversary = Some(Adversary::Coordinator { from_s }),
            _ => {
                scenario.adversary = Some(Adversary::Clocks);
                for _ in 0..rng.between(1, 4) {
                    let gateway = rng.between(1, scenario.gateways() as u64) as usize;
                    // An hour, a day, a year, ten years, give or take.
                    let by_s = -(*rng.pick(&[3_600, 86_400, 31_536_000, 315_360_000]) + rng.between(0, 1_800) as i64);
                    let at_s = rng.between(1, scenario.stormy_s);
                    scenario.event.push(Happening { at_s, what: What::ClockJump { gateway, by_s } });
                }
                scenario.event.sort_by_key(|e| e.at_s);
            }
        }
        if rng.one_in(2) {
            scenario.add_authority(&mut rng);
        }
        scenario
    }

    /// Documents that expire, releases that are withdrawn, recall windows that end, orders that reach further.
    fn add_authority(&mut self, rng: &mut Rng) {
        let life_s = rng.between(200, 900);
        let mut renewals_s = Vec::new();
        let mut at_s = 0;
        while at_s < self.stormy_s {
            // Mostly in time, at times too late.
            at_s += life_s * rng.between(50, 130) / 100;
            // The last ones are signed once every clock is right again.
            renewals_s.push(if at_s < self.stormy_s { at_s } else { self.stormy_s + 5 });
        }
        let releases = self.release.len();
        let mut some = |one_in: u64| {
            let at_s = rng.between(100, self.stormy_s);
            let release = rng.between(1, releases as u64) as usize;
            rng.one_in(one_in).then_some((at_s, release)).into_iter().collect()
        };
        let (withdraw, order_back) = (some(2), some(3));
        self.release.iter_mut().for_each(|r| r.recall_window_s = Some(rng.between(0, 300)));
        self.authority = Some(Authority { life_s, renewals_s, withdraw, order_back });
    }
}

/// Gateways that are set back, copied, enrolled again or replaced; from a stream of its own, so that everything else of a seed stays as it
/// was.
fn set_backs(scenario: &mut Scenario) {
    let mut rng = Rng::new(scenario.seed, 5);
    // In every second world the disk is that of a moment when a release was on its way: what is asked and seen then decides.
    let mut orders = Rng::new(scenario.seed, 7);
    if orders.one_in(2) {
        put_back_under_way(scenario, &mut orders);
    }
    for _ in 0..rng.between(1, 2) {
        let gateway = rng.between(1, scenario.gateways() as u64) as usize;
        let at_s = rng.between(1, 700);
        let what = match rng.between(1, 5) {
            1 | 2 => What::SetBack { gateway, after_s: rng.between(1, 190), for_s: rng.between(0, 60) },
            3 => What::Copied { gateway, turns: rng.between(1, 2) as u32 },
            n => What::EnrolledAgain { gateway, new_disk: n == 4 },
        };
        scenario.event.push(Happening { at_s, what });
    }
    // A gateway that forgets a trial watches it again, and a device says these faults once.
    let is_lasting = |flaw: &Flaw| !matches!(flaw, Flaw::Error | Flaw::Critical | Flaw::LateError);
    scenario.release.iter_mut().for_each(|release| release.flaw.retain(|(_, flaw)| is_lasting(flaw)));
}

/// A disk that is copied while a release is prepared or on trial, and put back once the device is further, is silent or away; people
/// order the deployment back behind that.
fn put_back_under_way(scenario: &mut Scenario, rng: &mut Rng) {
    let deployment = rng.between(1, scenario.deploy.len() as u64) as usize;
    let Deploy { at_s: from_s, release, .. } = scenario.deploy[deployment - 1];
    let gateway = rng.between(1, scenario.gateways() as u64) as usize;
    let per_gateway = scenario.fleet.devices_per_gateway;
    let device = (gateway - 1) * per_gateway + rng.between(1, per_gateway as u64) as usize;
    let (at_s, after_s, for_s) = (from_s + rng.between(0, 60), rng.between(5, 120), rng.between(0, 60));
    let back_s = at_s + after_s + for_s;
    scenario.event.push(Happening { at_s, what: What::SetBack { gateway, after_s, for_s } });
    match rng.between(1, 3) {
        1 => scenario.release[release - 1].flaw.push((device, Flaw::Silent)),
        2 => {
            let what = What::DeviceUnplugged { device, for_s: rng.between(30, 400) };
            scenario.event.push(Happening { at_s: back_s - rng.between(0, for_s), what });
        }
        _ => {}
    }
    if rng.one_in(2) {
        let order = (*rng.pick(&["abort", "rollBack"])).to_owned();
        let at_s = at_s + rng.between(1, after_s + for_s + 60);
        scenario.event.push(Happening { at_s, what: What::Order { deployment, order } });
    }
}

impl Scenario {
    /// A made-up world in which people exchange devices, flash them by hand and move cables.
    pub(super) fn ward(seed: u64) -> Self {
        let mut scenario = Self::random(seed);
        let mut rng = Rng::new(seed, 5);
        scenario.about = format!("made up from seed {seed}, with hands in the ward");
        hands(&mut scenario, &mut rng);
        scenario.event.sort_by_key(|e| e.at_s);
        scenario
    }

    /// A made-up world with hands in the ward, in which gateways are set back, copied, enrolled again or replaced too.
    pub(super) fn mixed(seed: u64) -> Self {
        let mut scenario = Self::set_back(seed);
        scenario.about = format!("made up from seed {seed}, with hands in the ward and gateways set back");
        hands(&mut scenario, &mut Rng::new(seed, 9));
        scenario.event.sort_by_key(|e| e.at_s);
        scenario
    }
}

impl Scenario {
    /// A made-up world in which staff hold devices on site around the time at which they would be activated, with everything of a mixed one.
    pub(super) fn held(seed: u64) -> Self {
        let mut scenario = Self::mixed(seed);
        let mut rng = Rng::new(seed, 10);
        scenario.about = format!("made up from seed {seed}, with devices held on site and gateways set back");
        for _ in 0..rng.between(1, 3) {
            hold_on_site(&mut scenario, &mut rng);
        }
        scenario.event.sort_by_key(|e| e.at_s);
        scenario
    }
}

/// A device is held on site while a release is on its way to it; in two of three cases the gateway's disk of a moment before comes back while
/// it is held.
fn hold_on_site(scenario: &mut Scenario, rng: &mut Rng) {
    let Deploy { at_s: from_s, .. } = *rng.pick(&scenario.deploy);
    let device = rng.between(1, scenario.devices() as u64) as usize;
    let gateway = (device - 1) / scenario.fleet.devices_per_gateway + 1;
    let (at_s, for_s) = (from_s + rng.between(0, 90), rng.between(60, 400));
    scenario.event.push(Happening { at_s, what: What::HeldOnSite { device, for_s } });
    if !rng.one_in(3) {
        let before_s = rng.between(1, 40);
        let after_s = before_s + rng.between(3, 80);
        let what = What::SetBack { gateway, after_s, for_s: rng.between(0, 30) };
        scenario.event.push(Happening { at_s: at_s - before_s, what });
    }
}

/// People exchange devices, flash them by hand and move cables; devices boot again and again.
fn hands(scenario: &mut Scenario, rng: &mut Rng) {
    let (devices, gateways) = (scenario.devices() as u64, scenario.gateways() as u64);
    for _ in 0..rng.between(1, 5) {
        let device = rng.between(1, devices) as usize;
        let what = match rng.between(1, 5) {
            1 | 2 => What::DeviceExchanged { device },
            3 => What::DeviceFlashed { device },
            4 => What::CableMoved { device, gateway: rng.between(1, gateways) as usize, for_s: rng.between(5, 300) },
            _ => What::CrashLoop { device, boots: rng.between(2, 8) as u32 },
        };
        scenario.event.push(Happening { at_s: rng.between(1, scenario.stormy_s - 60), what });
    }
}

fn random_flaws(rng: &mut Rng, devices: usize) -> Vec<(usize, Flaw)> {
    let mut flaws = Vec::new();
    for device in 1..=devices {
        if rng.one_in(8) {
            flaws.push((device, *rng.pick(&FLAWS)));
        }
    }
    flaws
}

fn random_plan(rng: &mut Rng, strategy: &str, fleet: &mut Fleet) -> String {
    let limit = *rng.pick(&[0.1, 20.0, 50.0, 100.0]);
    let phases = format!(
        r#""phases": [
        {{ "hospitalCohort": "pilot", "percentage": 25, "maxErrorRatePercent": {limit}, "monitoringDuration": "PT40S" }},
        {{ "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": {limit}, "monitoringDuration": "PT30S" }} ]"#
    );
    let dynamic = if rng.one_in(3) { r#""membership": "dynamic", "# } else { "" };
    match strategy {
        "Canary" => format!(
            r#"{{ "strategy": "Canary", "canaryDevicesPerHospital": 1, "canaryMonitoring": "PT30S", {dynamic}{phases} }}"#
        ),
        "Emergency" => format!(
            r#"{{ "strategy": "Emergency", "autoRollback": {}, "postDeploymentMonitoring": "PT60S",
            "statusReportInterval": "PT60S" }}"#,
            rng.one_in(2)
        ),
        "Scheduled" => {
            // One early window, and one that lasts until everything is over.
            fleet.windows_s = vec![(rng.between(100, 400), rng.between(420, 800)), (1_000, 7_200)];
            format!(r#"{{ "strategy": "Scheduled", "pauseOutsideWindow": {}, {phases} }}"#, rng.one_in(2))
        }
        _ => {
            let silence = if rng.one_in(3) { "fail" } else { "hold" };
            format!(r#"{{ "strategy": "Progressive", "onSilence": "{silence}", {dynamic}{phases} }}"#)
        }
    }
}

fn random_event(rng: &mut Rng, gateways: usize, devices: usize, hospitals: usize, deployments: usize) -> What {
    let gateway = rng.between(1, gateways as u64) as usize;
    let device = rng.between(1, devices as u64) as usize;
    let for_s = rng.between(1, 200);
    match rng.between(1, 18) {
        1 | 2 => What::LineDown { gateway, for_s },
        3 => What::AgentKilled { gateway, for_s: for_s / 4 },
        4 => What::GatewayPowerCut { gateway, for_s: for_s / 2 },
        5 | 6 => What::PowerCutWhileWriting { gateway, n: rng.between(0, 12) as u32, kept: rng.one_in(2) },
        7 => What::ClockJump { gateway, by_s: for_s as i64 * 20 - 2_000 },
        8 => What::CoordinatorKilled { for_s: for_s / 4 },
        9 => What::BrokerForgets,
        18 => What::CoordinatorCutWhileWriting { kept: rng.between(0, 3) as usize, for_s: for_s / 8 },
        10 | 11 => What::Patient { device, for_s },
        12 => What::DevicePowerCut { device },
        13 => What::DeviceUnplugged { device, for_s: for_s / 4 },
        14 => What::Fault { device, severity: (*rng.pick(&["warning", "error", "critical"])).into() },
        15 | 16 => What::Order {
            deployment: rng.between(1, deployments as u64) as usize,
            order: (*rng.pick(&["pause", "resume", "abort", "rollBack"])).into(),
        },
        _ => What::HospitalBack {
            deployment: rng.between(1, deployments as u64) as usize,
            hospital: rng.between(1, hospitals as u64) as usize,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_world_can_be_written_down_and_read_again() {
        for seed in 0..50 {
            let scenario = Scenario::random(seed);
            assert_eq!(Scenario::parse(&scenario.to_toml()).expect("reads"), scenario, "seed {seed}");
            assert_eq!(Scenario::random(seed), scenario);
            let ward = Scenario::ward(seed);
            assert_eq!(Scenario::parse(&ward.to_toml()).expect("reads"), ward, "seed {seed}");
            let mixed = Scenario::mixed(seed);
            assert_eq!(Scenario::parse(&mixed.to_toml()).expect("reads"), mixed, "seed {seed}");
            let held = Scenario::held(seed);
            assert_eq!(Scenario::parse(&held.to_toml()).expect("reads"), held, "seed {seed}");
            let witnessed = Scenario::witnessed(seed);
            assert_eq!(Scenario::parse(&witnessed.to_toml()).expect("reads"), witnessed, "seed {seed}");
            let hostile = Scenario::hostile(seed);
            assert_eq!(Scenario::parse(&hostile.to_toml()).expect("reads"), hostile, "seed {seed}");
        }
    }

    #[test]
    fn absurd_worlds_are_refused() {
        let good = Scenario::random(1);
        let empty = Scenario { fleet: Fleet { hospitals: 0, ..good.fleet.clone() }, ..good.clone() };
        assert!(Scenario::parse(&empty.to_toml()).is_err());
        let mut nothing = good;
        nothing.deploy[0].release = 9;
        assert!(Scenario::parse(&nothing.to_toml()).is_err());
        let mut nobody = Scenario::random(1);
        nobody.event = vec![Happening { at_s: 1, what: What::DevicePowerCut { device: 0 } }];
        assert!(Scenario::parse(&nobody.to_toml()).is_err());
    }
}
