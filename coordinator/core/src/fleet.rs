//! Hospitals, gateways and devices.

use std::collections::{BTreeMap, VecDeque};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId, HospitalId};
use mdfm_shared::limits::EPOCHS_A_DAY;
use mdfm_shared::manifest::is_label;
use mdfm_shared::observed::ObservationDigest;
use mdfm_shared::sign::PublicKey;
use mdfm_shared::telemetry::{FirmwareReport, InstallState};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::waiting::Waiting;
use serde::{Deserialize, Serialize};

use super::inventory::{self, DifferenceKind, Expected, Noted};
use super::on_site::HeldOnSite;
use super::rollout::spec::check_windows;
use super::rollout::window::{self, Weekly};
use super::{Event, Proposal, Refusal, State, rollout};

/// A gateway that claims to follow a higher serial than this has gone mad or lies; it harms only itself.
const SERIAL_MAX: u64 = 1 << 53;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hospital {
    pub name: String,
    /// The cohort that rollout phases name, for example `pilot`.
    pub cohort: Option<String>,
    /// IANA time zone.
    pub timezone: Option<String>,
    /// When its devices may be changed by deployments that keep to maintenance windows.
    pub windows: Vec<Weekly>,
    /// Whether its staff want to be asked before each deployment.
    pub consent_required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    pub hospital: HospitalId,
    pub token: Option<PendingToken>,
    pub credentials: Option<Credentials>,
    pub revoked: bool,
    pub chain: Chain,
    pub directive: Option<IssuedDirective>,
    /// Highest directive serial that the gateway is known to have seen beyond ours; the next one must be above it.
    pub serial_seen: u64,
    /// Where in the log it enrolled first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled_at: Option<u64>,
    /// What was wrong with its telemetry chain, the newest last.
    pub anomalies: Vec<Anomaly>,
    /// What its chain has gone through beside being continued.
    #[serde(default)]
    pub healing: Healing,
}

const DAY_MS: u64 = 86_400_000;

/// How a gateway's chain was refused and went on in new epochs since the enrolment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healing {
    /// The finding for which batches are refused, and since when; `None` once a batch was committed again.
    pub refused: Option<(AnomalyKind, UtcMillis)>,
    /// Since when the gateway may begin no epoch before a person has enrolled it again.
    pub held_since: Option<UtcMillis>,
    /// When the epochs of the last day were begun.
    pub epochs: Vec<UtcMillis>,
    /// Whether what comes now was recorded before the epoch, and may be older than what is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carries_older: bool,
}

impl Healing {
    /// Whether the gateway has begun as many epochs within a day as it may without a person.
    pub fn is_exhausted(&self, now: UtcMillis) -> bool {
        self.held_since.is_some() || self.epochs.iter().filter(|at| now.since_ms(**at) < DAY_MS).count() >= EPOCHS_A_DAY
    }

    /// An epoch was begun.
    pub fn begin(&mut self, at: UtcMillis) {
        self.epochs.retain(|begun| at.since_ms(*begun) < DAY_MS);
        self.epochs.push(at);
        self.refused = None;
        self.carries_older = false;
    }
}

/// What is wrong with a telemetry chain (ATT-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AnomalyKind {
    /// Two different batches, both signed, for one place in the chain: the gateway was copied or set back.
    Fork,
    /// Later batches come, an earlier one does not: it is withheld or lost.
    Gap,
    /// A batch so old that nobody can tell any more whether it is the one committed.
    Stale,
    /// The same batches come again and again although they were acknowledged.
    Repeats,
    /// Two peers connect with one certificate and take each other's place: the gateway's key was copied.
    Clone,
    /// A batch of an epoch that has ended, or one that begins an epoch behind another batch than the head.
    Epoch,
    /// The gateway began a new epoch behind the head: it was set back, or a copy of it had gone on. Every device is reported again.
    SetBack,
    /// The gateway begins too many epochs: two machines may use one identity. It begins no more before it is enrolled again.
    Held,
    /// It holds as many connections as it may, and opens more: another one may use its key.
    Crowded,
    /// Its certificate is used over HTTPS from two networks at once. Usual for a site with two lines; otherwise its key was copied.
    TwoNetworks,
}

impl AnomalyKind {
    /// What is wrong, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fork => "two different batches for one place in its chain",
            Self::Gap => "a batch is withheld or lost",
            Self::Stale => "a batch so old that nothing confirms it",
            Self::Repeats => "it repeats batches that were acknowledged",
            Self::Clone => "two peers use its certificate at once",
            Self::Epoch => "a batch of an epoch that has ended",
            Self::SetBack => "it was set back, and began a new epoch",
            Self::Held => "it begins too many epochs, and is held",
            Self::Crowded => "it holds as many connections as it may, and opens more",
            Self::TwoNetworks => "its certificate is used from two networks at once",
        }
    }
}

/// One finding about a gateway's telemetry chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anomaly {
    pub kind: AnomalyKind,
    pub at: UtcMillis,
    pub epoch: u64,
    /// Of the batch that came.
    pub sequence: u64,
    /// The next one that would fit.
    pub expected: u64,
}

/// Findings kept for each gateway; the log has all of them.
const ANOMALIES_MAX: usize = 16;
/// Digests of committed batches kept for each gateway, to tell a repeat from a fork.
const DIGESTS_MAX: usize = 32;

impl Gateway {
    /// Adds a finding; the oldest goes.
    pub fn note(&mut self, anomaly: Anomaly) {
        if matches!(anomaly.kind, AnomalyKind::Crowded | AnomalyKind::TwoNetworks) {
            // Of these the newest alone: no thief's connections take the place of other findings.
            self.anomalies.retain(|a| a.kind != anomaly.kind);
        }
        if self.anomalies.len() >= ANOMALIES_MAX {
            self.anomalies.remove(0);
        }
        match anomaly.kind {
            // The gateway has gone on since: what was still on its way, or what a copy says, takes nothing from that.
            AnomalyKind::Epoch if anomaly.epoch < self.chain.epoch => {}
            AnomalyKind::Fork | AnomalyKind::Stale | AnomalyKind::Epoch => {
                self.healing.refused.get_or_insert((anomaly.kind, anomaly.at));
            }
            AnomalyKind::Held => {
                self.healing.refused = Some((anomaly.kind, anomaly.at));
                self.healing.held_since.get_or_insert(anomaly.at);
            }
            AnomalyKind::Gap
            | AnomalyKind::Repeats
            | AnomalyKind::Clone
            | AnomalyKind::SetBack
            | AnomalyKind::Crowded
            | AnomalyKind::TwoNetworks => {}
        }
        self.anomalies.push(anomaly);
    }

    /// Whether a finding still stands: not a gap that was filled, nor a fork that a new epoch has ended.
    pub fn stands(&self, anomaly: &Anomaly) -> bool {
        let passed = (self.chain.epoch, self.chain.sequence) >= (anomaly.epoch, anomaly.expected);
        match anomaly.kind {
            AnomalyKind::Gap => !passed,
            AnomalyKind::Fork | AnomalyKind::Stale => {
                self.healing.refused.is_some() || anomaly.epoch >= self.chain.epoch
            }
            AnomalyKind::Epoch => self.healing.refused.is_some(),
            AnomalyKind::Held => self.healing.held_since.is_some(),
            // The last two are of a moment.
            AnomalyKind::SetBack | AnomalyKind::Crowded | AnomalyKind::TwoNetworks => false,
            AnomalyKind::Repeats | AnomalyKind::Clone => true,
        }
    }

    /// The words for how its telemetry stands: `continued`, `refused` or `held`.
    pub fn telemetry_state(&self) -> &'static str {
        match (self.healing.held_since, self.healing.refused) {
            (Some(_), _) => "held",
            (None, Some(_)) => "refused",
            (None, None) => "continued",
        }
    }
}

impl Gateway {
    /// The highest serial that the gateway may have seen.
    pub fn last_serial(&self) -> u64 {
        self.directive.as_ref().map_or(0, |d| d.serial).max(self.serial_seen)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingToken {
    pub secret_sha256: Digest,
    pub expires_at: UtcMillis,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub telemetry_key: String,
    /// SHA-256 of the DER of the client certificate that the front door lets in for this gateway.
    pub certificate_sha256: Digest,
    /// The one with which it asked for that, and until when it is let in too: a gateway may lose power, or the answer, between getting
    /// the new one and keeping it.
    #[serde(default)]
    pub previous: Option<(Digest, UtcMillis)>,
    /// When the certificate was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_at: Option<UtcMillis>,
}

/// For so long the certificate before a renewed one is let in.
const RENEWAL_OVERLAP_MS: u64 = 7 * 86_400_000;
/// A gateway gets a new certificate so often at most: each is a record of the log.
const RENEWAL_INTERVAL_MS: u64 = 30 * 60_000;

impl Credentials {
    /// Whether the front door lets this certificate in.
    pub fn admits(&self, certificate_sha256: Digest, now: UtcMillis) -> bool {
        certificate_sha256 == self.certificate_sha256
            || self.previous.is_some_and(|(previous, until)| certificate_sha256 == previous && now < until)
    }
}

/// Where a gateway's telemetry chain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    pub epoch: u64,
    /// Highest committed sequence; 0 for none.
    pub sequence: u64,
    /// Digests of the last committed batches of the epoch, the newest last.
    digests: VecDeque<Digest>,
    /// Head of the epoch before, which the first batch of an epoch names that the gateway began itself.
    #[serde(default = "no_digest")]
    base: Digest,
}

fn no_digest() -> Digest {
    Digest([0; 32])
}

impl Chain {
    /// The chain of an epoch in which nothing has come yet.
    pub fn new(epoch: u64) -> Self {
        Self { epoch, sequence: 0, digests: VecDeque::new(), base: no_digest() }
    }
    /// The chain of an epoch that begins behind the head of another.
    pub fn behind(epoch: u64, head: Digest) -> Self {
        Self { base: head, ..Self::new(epoch) }
    }
    /// Digests of the last committed batches of the epoch, the newest last.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.digests.iter()
    }
    /// The next batch is committed.
    pub fn push(&mut self, epoch: u64, sequence: u64, digest: Digest) {
        if self.digests.len() >= DIGESTS_MAX {
            self.digests.pop_front();
        }
        self.digests.push_back(digest);
        (self.epoch, self.sequence) = (epoch, sequence);
    }
    /// Remembers the last batch alone: the records of the others may be gone.
    pub fn forget_all_but_last(&mut self) {
        self.digests.drain(..self.digests.len().saturating_sub(1));
    }
    /// Digest of the last committed batch, which the next one names; zeroes before the first of an enrolment.
    pub fn last(&self) -> Digest {
        self.digests.back().copied().unwrap_or(self.base)
    }
    /// Digest of a committed batch of the epoch, while it is remembered.
    pub fn digest_of(&self, sequence: u64) -> Option<Digest> {
        let back = usize::try_from(self.sequence.checked_sub(sequence)?).ok()?;
        self.digests.get(self.digests.len().checked_sub(back + 1)?).copied()
    }
}

/// The last directive signed for a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedDirective {
    pub serial: u64,
    pub issued_at: UtcMillis,
    pub expires_at: UtcMillis,
    /// Base64 of its frame.
    pub document: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub model: String,
    pub serial: String,
    /// Unique device identifier (21 CFR 830), as on the label.
    pub udi: Option<String>,
    pub hospital: HospitalId,
    /// The gateway it attaches to where one is named; otherwise the main one of its hospital.
    pub gateway: Option<GatewayId>,
    /// What it runs, as registered and then as reported.
    pub firmware_version: String,
    pub running_sha256: Option<Digest>,
    /// Security version of what it runs, as reported.
    pub running_security_version: Option<u32>,
    /// What it ran before that, as reported: where a rollback leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    pub install: Option<Install>,
    /// Security version below which the device accepts nothing more.
    pub security_floor: u32,
    pub last_error: Option<String>,
    /// The newest deployment that it is part of, apart from ended ones that never moved it.
    pub deployment: Option<DeploymentId>,
    /// The last deployment before that one which moved it to other firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_by: Option<DeploymentId>,
    /// Out of service permanently; its records expire from then on.
    pub retired_at: Option<UtcMillis>,
    /// Hardware revision, as registered or accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// What it is expected to run; `None` in states kept by versions that did not compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Differences from what gateways observe whose beginning is recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub differences: BTreeMap<DifferenceKind, Noted>,
    /// Claims of other gateways that somebody looked at and did not accept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dismissed: BTreeMap<GatewayId, ObservationDigest>,
    /// What its gateway last said that it waits for; the next state of its installation ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Whether staff on site hold it as it is, until they release it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_on_site: Option<HeldOnSite>,
}

impl Device {
    /// It runs this firmware; what it ran before is where a rollback leads.
    pub fn set_running(&mut self, running: &FirmwareReport) {
        if let (Some(sha256), Some(security_version)) = (self.running_sha256, self.running_security_version)
            && sha256 != running.sha256
        {
            let version = std::mem::take(&mut self.firmware_version);
            self.previous = Some(Previous { version, sha256, security_version });
        }
        self.firmware_version.clone_from(&running.version);
        self.running_sha256 = Some(running.sha256);
        self.running_security_version = Some(running.security_version);
    }

    /// A deployment has ended without moving it: the one that did is its newest again.
    pub fn leave(&mut self, ended: &DeploymentId) {
        if self.deployment.as_ref() == Some(ended) && self.moved_by.is_some() {
            self.deployment = self.moved_by.take();
        }
    }

    /// A device as it is registered: nothing has been heard of it.
    pub fn new(new: NewDevice) -> Self {
        let NewDevice { model, serial, udi, hospital, gateway, firmware_version, hardware, .. } = new;
        let expected = Some(Expected { version: firmware_version.clone(), sha256: None });
        Self {
            model,
            serial,
            udi,
            hospital,
            gateway,
            firmware_version,
            running_sha256: None,
            running_security_version: None,
            previous: None,
            install: None,
            security_floor: 0,
            last_error: None,
            deployment: None,
            moved_by: None,
            retired_at: None,
            hardware,
            expected,
            differences: BTreeMap::new(),
            dismissed: BTreeMap::new(),
            waiting: None,
            held_on_site: None,
        }
    }
}

/// Firmware that a device ran before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Previous {
    pub version: String,
    pub sha256: Digest,
    pub security_version: u32,
}

/// The last installation that the gateway reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    pub state: InstallState,
    pub manifest: Digest,
    pub detail: String,
    /// Times on the gateway's clock.
    pub since: UtcMillis,
    /// From the start of the last rollback to its end, once it ended.
    pub rollback_ms: Option<u64>,
    /// When it was confirmed first: reports that repeat it do not move it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<UtcMillis>,
}

/// A device to register.
#[derive(Debug, Clone)]
pub struct NewDevice {
    pub device: DeviceId,
    pub model: String,
    pub serial: String,
    pub udi: Option<String>,
    pub hospital: HospitalId,
    pub gateway: Option<GatewayId>,
    pub firmware_version: String,
    pub hardware: Option<String>,
}

/// What may change of a device while it is in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Particulars {
    pub serial: String,
    pub udi: Option<String>,
    pub hospital: HospitalId,
    pub gateway: Option<GatewayId>,
}

/// Other particulars; what is none stays, and an inner none takes away.
#[derive(Debug, Clone, Default)]
pub struct DeviceChange {
    pub serial: Option<String>,
    pub udi: Option<Option<String>>,
    pub hospital: Option<HospitalId>,
    pub gateway: Option<Option<GatewayId>>,
}

fn check_particulars(state: &State, particulars: &Particulars) -> Result<(), Refusal> {
    for (field, text) in [("serialNumber", Some(&particulars.serial)), ("udi", particulars.udi.as_ref())] {
        if text.is_some_and(|t| !is_label(t)) {
            return Err(Refusal::invalid(field, "must be 1 to 128 printable characters"));
        }
    }
    state.need_hospital(&particulars.hospital)?;
    if let Some(gateway) = &particulars.gateway
        && state.need_gateway(gateway)?.hospital != particulars.hospital
    {
        return Err(Refusal::invalid("gatewayId", format!("gateway {gateway} stands in another hospital")));
    }
    Ok(())
}

/// Corrects what is known of a device, or moves it: not while a deployment counts it where it stands.
pub(super) fn change_device(
    state: &State,
    id: &DeviceId,
    change: &DeviceChange,
    reason: &str,
) -> Result<Vec<Proposal>, Refusal> {
    let held = state.need_device(id)?;
    if held.retired_at.is_some() {
        return Err(Refusal::conflict(
            "device-retired",
            format!("device {id} is retired; its records stay as they are"),
        ));
    }
    let hospital = change.hospital.clone().unwrap_or_else(|| held.hospital.clone());
    let moves = hospital != held.hospital;
    let particulars = Particulars {
        serial: change.serial.clone().unwrap_or_else(|| held.serial.clone()),
        udi: change.udi.clone().unwrap_or_else(|| held.udi.clone()),
        // A device that moves leaves its gateway behind.
        gateway: change.gateway.clone().unwrap_or_else(|| held.gateway.clone().filter(|_| !moves)),
        hospital,
    };
    check_particulars(state, &particulars)?;
    if (&particulars.serial, &particulars.udi, &particulars.hospital, &particulars.gateway)
        == (&held.serial, &held.udi, &held.hospital, &held.gateway)
    {
        return Err(Refusal::conflict("no-change", format!("device {id} has these values already")));
    }
    // What was registered twice before this was refused may be corrected in part.
    if (&particulars.serial, &particulars.udi) != (&held.serial, &held.udi) {
        let udi = particulars.udi.as_ref().filter(|_| particulars.udi != held.udi);
        inventory::check_unique(state, id, &held.model, &particulars.serial, udi)?;
    }
    let is_moved = moves || particulars.gateway != held.gateway;
    if let Some((deployment, _)) = state.latest_deployment(id).filter(|(_, d)| is_moved && d.is_active()) {
        let detail = format!("device {id} is part of {deployment}, which is not over; move it afterwards");
        return Err(Refusal::conflict("device-in-deployment", detail));
    }
    let moved = Device {
        hospital: particulars.hospital.clone(),
        gateway: particulars.gateway.clone(),
        serial: particulars.serial.clone(),
        udi: particulars.udi.clone(),
        ..held.clone()
    };
    let event = Event::DeviceChanged { device: id.clone(), particulars };
    let mut proposals = vec![Proposal::new("device.change", format!("device/{id}"), event).because(reason)];
    if moves {
        // Where it is now, a deployment may be on its way that takes in who comes later.
        proposals.extend(rollout::plan::joins(state, id, &moved));
    }
    Ok(proposals)
}

pub(super) fn register_hospital(
    state: &State,
    hospital: &HospitalId,
    name: &str,
    cohort: Option<&str>,
    timezone: Option<&str>,
) -> Result<Event, Refusal> {
    if state.hospitals.contains_key(hospital) {
        return Err(Refusal::exists("hospital", hospital));
    }
    check_hospital(name, cohort, timezone)?;
    Ok(Event::HospitalRegistered {
        hospital: hospital.clone(),
        name: name.to_owned(),
        cohort: cohort.map(str::to_owned),
        timezone: timezone.map(str::to_owned),
    })
}

fn check_hospital(name: &str, cohort: Option<&str>, timezone: Option<&str>) -> Result<(), Refusal> {
    for (field, text) in [("name", Some(name)), ("cohort", cohort)] {
        if text.is_some_and(|t| !is_label(t)) {
            return Err(Refusal::invalid(field, "must be 1 to 128 printable characters"));
        }
    }
    if let Some(name) = timezone.filter(|name| window::zone(name).is_none()) {
        let problem = format!("{name:?} is no IANA time zone, for example America/New_York");
        return Err(Refusal::invalid("timezone", problem));
    }
    Ok(())
}

/// Other particulars of a hospital; what is none stays, and an inner none takes away.
#[derive(Debug, Clone, Default)]
pub struct HospitalChange {
    pub name: Option<String>,
    pub cohort: Option<Option<String>>,
    pub timezone: Option<Option<String>>,
}

/// Corrects what is known of a hospital. Deployments under way keep the phases that they gave their hospitals.
pub(super) fn change_hospital(state: &State, id: &HospitalId, change: &HospitalChange) -> Result<Event, Refusal> {
    let held = state.need_hospital(id)?;
    let name = change.name.clone().unwrap_or_else(|| held.name.clone());
    let cohort = change.cohort.clone().unwrap_or_else(|| held.cohort.clone());
    let timezone = change.timezone.clone().unwrap_or_else(|| held.timezone.clone());
    check_hospital(&name, cohort.as_deref(), timezone.as_deref())?;
    if (&name, &cohort, &timezone) == (&held.name, &held.cohort, &held.timezone) {
        return Err(Refusal::conflict("no-change", format!("no change: hospital {id} has these values already")));
    }
    Ok(Event::HospitalChanged { hospital: id.clone(), name, cohort, timezone })
}

/// Sets when a hospital's devices may be changed, and whether its staff want to be asked.
pub(super) fn set_hospital_policy(
    state: &State,
    hospital: &HospitalId,
    windows: &[Weekly],
    consent_required: bool,
) -> Result<Event, Refusal> {
    state.need_hospital(hospital)?;
    check_windows("maintenanceWindows", windows)?;
    if windows.is_empty() {
        let running = state.deployments.iter().find(|(_, d)| {
            d.is_active()
                && d.hospitals.contains_key(hospital)
                && d.plan.spec.windows_of(hospital, &[]).is_some_and(|(given, _)| given.is_empty())
        });
        if let Some((id, _)) = running {
            let detail = format!("deployment {id} runs in the windows of {hospital}; it would never end without one");
            return Err(Refusal::conflict("windows-in-use", detail));
        }
    }
    Ok(Event::HospitalPolicySet { hospital: hospital.clone(), windows: windows.to_vec(), consent_required })
}

/// What is to change of a hospital's policy; what is not named stays.
#[derive(Debug, Clone, Default)]
pub struct PolicyChange {
    /// All windows, in place of those that are registered.
    pub windows: Option<Vec<Weekly>>,
    pub add: Vec<Weekly>,
    pub remove: Vec<Weekly>,
    pub consent_required: Option<bool>,
}

/// Changes what is named of a hospital's windows, and whether its staff want to be asked.
pub(super) fn change_hospital_policy(
    state: &State,
    hospital: &HospitalId,
    change: &PolicyChange,
) -> Result<Event, Refusal> {
    let held = state.need_hospital(hospital)?;
    let PolicyChange { windows, add, remove, consent_required } = change;
    if windows.is_some() && !(add.is_empty() && remove.is_empty()) {
        let problem = "replaces all windows; addWindows and removeWindows change some of them: give one or the other";
        return Err(Refusal::invalid("maintenanceWindows", problem));
    }
    let mut next = windows.clone().unwrap_or_else(|| held.windows.clone());
    for window in remove {
        let Some(at) = next.iter().position(|held| held == window) else {
            let problem = format!("{hospital} has no such window; its windows are shown by: hospitals policy show");
            return Err(Refusal::invalid("removeWindows", problem));
        };
        next.remove(at);
    }
    for window in add {
        if !next.contains(window) {
            next.push(window.clone());
        }
    }
    let consent_required = consent_required.unwrap_or(held.consent_required);
    if next == held.windows && consent_required == held.consent_required {
        return Err(Refusal::conflict(
            "no-change",
            format!("the policy of hospital {hospital} has these values already"),
        ));
    }
    set_hospital_policy(state, hospital, &next, consent_required)
}

pub(super) fn register_gateway(state: &State, gateway: &GatewayId, hospital: &HospitalId) -> Result<Event, Refusal> {
    if state.gateways.contains_key(gateway) {
        return Err(Refusal::exists("gateway", gateway));
    }
    state.need_hospital(hospital)?;
    Ok(Event::GatewayRegistered { gateway: gateway.clone(), hospital: hospital.clone() })
}

pub(super) fn issue_token(
    state: &State,
    gateway: &GatewayId,
    secret_sha256: Digest,
    expires_at: UtcMillis,
    replaces: bool,
) -> Result<Event, Refusal> {
    let held = state.need_gateway(gateway)?;
    if held.credentials.is_some() && !replaces {
        let detail = format!(
            "gateway {gateway} is enrolled, and whoever uses a token replaces it: only a person who has just shown the second factor \
             makes one (mdfmctl second-factor show)"
        );
        return Err(Refusal::forbidden("gateway-enrolled", detail));
    }
    if held.revoked {
        return Err(Refusal::conflict(
            "gateway-revoked",
            format!("gateway {gateway} is revoked permanently; register a new one"),
        ));
    }
    state.need_root()?;
    Ok(Event::EnrolmentTokenIssued { gateway: gateway.clone(), secret_sha256, expires_at })
}

/// Checks the one-time token with which somebody wants to enrol as a gateway.
///
/// # Errors
/// One answer for every cause: a stranger learns nothing from it.
pub fn check_token<'a>(
    state: &'a State,
    now: UtcMillis,
    gateway: &GatewayId,
    secret_sha256: Digest,
) -> Result<&'a Gateway, Refusal> {
    let is_token = |t: &PendingToken| t.secret_sha256 == secret_sha256 && now < t.expires_at;
    let held = state.gateways.get(gateway).filter(|g| !g.revoked && g.token.as_ref().is_some_and(is_token));
    held.ok_or_else(|| {
        let detail = "the enrolment token is unknown, used or expired; ask the vendor's operator for a new one";
        Refusal::forbidden("enrolment-refused", detail)
    })
}

pub(super) fn enrol(
    state: &State,
    now: UtcMillis,
    gateway: &GatewayId,
    secret_sha256: Digest,
    telemetry_key: &PublicKey,
    certificate_sha256: Digest,
) -> Result<Event, Refusal> {
    let held = check_token(state, now, gateway, secret_sha256)?;
    Ok(Event::GatewayEnrolled {
        gateway: gateway.clone(),
        epoch: held.chain.epoch.saturating_add(1),
        telemetry_key: telemetry_key.to_string(),
        certificate_sha256,
    })
}

pub(super) fn renew(
    state: &State,
    now: UtcMillis,
    gateway: &GatewayId,
    presented: Digest,
    certificate_sha256: Digest,
) -> Result<Event, Refusal> {
    let held = state.need_gateway(gateway)?;
    let credentials = held.credentials.as_ref().filter(|c| !held.revoked && c.admits(presented, now));
    let credentials = credentials.ok_or_else(|| {
        Refusal::forbidden(
            "not-enrolled",
            format!("gateway {gateway} is not enrolled with this certificate, or is revoked"),
        )
    })?;
    let recent = |until: UtcMillis| until.since_ms(now) > RENEWAL_OVERLAP_MS - RENEWAL_INTERVAL_MS;
    if credentials.previous.is_some_and(|(_, until)| recent(until)) {
        let detail = format!("gateway {gateway} got a certificate less than half an hour ago; try again later");
        return Err(Refusal::conflict("renewed-lately", detail));
    }
    Ok(Event::CertificateRenewed {
        gateway: gateway.clone(),
        certificate_sha256,
        previous_sha256: presented,
        previous_until: now.plus_ms(RENEWAL_OVERLAP_MS),
        is_repeated: credentials.previous.is_some_and(|(_, until)| now < until),
    })
}

pub(super) fn revoke(state: &State, gateway: &GatewayId) -> Result<Event, Refusal> {
    if state.need_gateway(gateway)?.revoked {
        return Err(Refusal::conflict("gateway-revoked", format!("gateway {gateway} is revoked already")));
    }
    Ok(Event::GatewayRevoked { gateway: gateway.clone() })
}

/// The gateway follows a serial that this coordinator never gave: it was restored from a backup, or somebody else holds its key.
/// Without a higher one the gateway would refuse every directive to come.
pub(super) fn note_serial(state: &State, gateway: &GatewayId, serial: u64) -> Result<Event, Refusal> {
    let held = state.need_gateway(gateway)?;
    if serial <= held.last_serial() || serial > SERIAL_MAX {
        return Err(Refusal::invalid(
            "directiveSerial",
            format!("{serial} is not above {}, or absurd", held.last_serial()),
        ));
    }
    Ok(Event::DirectiveSerialSeen { gateway: gateway.clone(), serial })
}

pub fn register_device(state: &State, new: &NewDevice) -> Result<Vec<Proposal>, Refusal> {
    if state.devices.contains_key(&new.device) {
        return Err(Refusal::exists("device", &new.device));
    }
    for (field, text) in [("modelNumber", &new.model), ("currentFirmwareVersion", &new.firmware_version)] {
        if !is_label(text) {
            return Err(Refusal::invalid(field, "must be 1 to 128 printable characters"));
        }
    }
    let particulars = Particulars {
        serial: new.serial.clone(),
        udi: new.udi.clone(),
        hospital: new.hospital.clone(),
        gateway: new.gateway.clone(),
    };
    check_particulars(state, &particulars)?;
    if new.hardware.as_ref().is_some_and(|text| !is_label(text)) {
        return Err(Refusal::invalid("hardwareRevision", "must be 1 to 128 printable characters"));
    }
    inventory::check_unique(state, &new.device, &new.model, &new.serial, new.udi.as_ref())?;
    let event = Event::DeviceRegistered {
        device: new.device.clone(),
        model: new.model.clone(),
        serial: new.serial.clone(),
        udi: new.udi.clone(),
        hospital: new.hospital.clone(),
        gateway: new.gateway.clone(),
        firmware_version: new.firmware_version.clone(),
        hardware: new.hardware.clone(),
    };
    let mut proposals = vec![Proposal::new("device.register", format!("device/{}", new.device), event)];
    proposals.extend(rollout::plan::joins(state, &new.device, &Device::new(new.clone())));
    Ok(proposals)
}

/// Takes a device out of service permanently.
pub(super) fn retire(state: &State, id: &DeviceId) -> Result<Event, Refusal> {
    if state.need_device(id)?.retired_at.is_some() {
        return Err(Refusal::conflict("device-retired", format!("device {id} is retired already")));
    }
    if let Some((deployment, _)) = state.latest_deployment(id).filter(|(_, d)| d.is_active()) {
        let detail = format!("device {id} is part of {deployment}, which is not over");
        return Err(Refusal::conflict("device-in-deployment", detail));
    }
    Ok(Event::DeviceRetired { device: id.clone() })
}
