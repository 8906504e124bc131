//! What must hold whatever happens: the invariants of the design, asked after every event, and what must be true at rest.

use std::collections::{BTreeMap, BTreeSet};

use super::agent::Agent;
use super::coordinator::DeploymentReport;
use mdfm_shared::device::{FaultCounts, FaultLevel};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GatewayId, HospitalId};
use mdfm_shared::record::{ActorKind, AuditRecord, Outcome};
use mdfm_shared::telemetry::{ERROR_REBOOTS, EventKind, InstallState, TelemetryBatch};
use mdfm_shared::time::UtcMillis;

use super::authority::Authority;
use super::held::Held;
use super::scenario::{Adversary, Flaw, Scenario};
use super::setup::{self, START};

/// From the start of a rollback to its end, or to an alarm, while the device can be reached (the seed).
const ROLLBACK_MS_MAX: u64 = 5 * 60_000;
/// Windows are written to the second.
const WINDOW_SLACK_MS: u64 = 1_000;

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(String);

impl Broken {
    pub(super) fn new(what: &str) -> Self {
        Self(what.to_owned())
    }
}

impl From<super::coordinator::Broken> for Broken {
    fn from(error: super::coordinator::Broken) -> Self {
        Self(error.to_string())
    }
}

macro_rules! must {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(Broken(format!($($words)*)));
        }
    };
}

/// What a device is known to be doing.
struct Seen {
    state: InstallState,
    /// Time spent in a rollback while the device could be reached, and when that was last added to.
    rolling_back_ms: u64,
    looked_at_ms: u64,
}

/// The one who watches.
pub(super) struct Oracle {
    windows: Vec<(UtcMillis, UtcMillis)>,
    /// Whether some deployment of this world is not bound to windows.
    anytime: bool,
    approved: BTreeSet<FirmwareId>,
    approvals: BTreeMap<FirmwareId, BTreeSet<String>>,
    images: BTreeMap<Digest, FirmwareId>,
    good: BTreeSet<Digest>,
    devices: BTreeMap<DeviceId, Seen>,
    /// Committed batches of each gateway: epoch, sequence, and the digest of the last.
    committed: BTreeMap<GatewayId, (u64, u64, Digest)>,
    /// Digests of all of them.
    batches: BTreeSet<Digest>,
    /// Devices whose gateway may have forgotten what it had not reported.
    set_back: BTreeSet<DeviceId>,
    /// Those that have not reported since.
    unseen: BTreeSet<DeviceId>,
    /// Gateways that were enrolled again, and begin a chain of their own.
    enrolled_again: BTreeSet<GatewayId>,
    /// Gateways that began an epoch.
    epochs: BTreeSet<GatewayId>,
    /// Devices that the log says were told to boot a new slot.
    logged_activations: BTreeMap<DeviceId, u64>,
    ordered: BTreeMap<DeviceId, BTreeSet<Digest>>,
    /// Faults of each device in the log, by the gateway that reported them.
    faults: BTreeMap<(GatewayId, DeviceId), u64>,
    adversary: Option<Adversary>,
    /// The hospital of the gateway that the adversary holds, where its word may move nobody else.
    confined: Option<HospitalId>,
    /// Whether a person has ordered anything back.
    ordered_by_a_person: bool,
    /// Who may decide what.
    pub(super) authority: Authority,
    /// What staff hold on site.
    pub(super) held: Held,
}

/// The weekly windows, in the API's JSON, that are these spans after the start of the world.
pub(super) fn windows_json(windows_s: &[(u64, u64)]) -> String {
    let time = |s: u64| {
        let of_day = (START.0 / 1_000 + s) % 86_400;
        format!("{:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60)
    };
    let windows: Vec<String> = windows_s
        .iter()
        .map(|(from, until)| {
            format!(
                r#"{{ "dayOfWeek": "Monday", "startTime": "{}", "endTime": "{}", "timezone": "UTC" }}"#,
                time(*from),
                time(*until)
            )
        })
        .collect();
    format!("[{}]", windows.join(","))
}

/// The hospital in which the adversary's word must stay: no plan of the world reaches further.
fn confined(scenario: &Scenario) -> Option<HospitalId> {
    let Some(Adversary::Gateway { gateway, .. }) = scenario.adversary else { return None };
    let reaches_all =
        |json: &str| json.contains(r#""criticalReach": "deployment""#) || json.contains(r#""autoRollback": true"#);
    let hospital = (gateway - 1) / scenario.fleet.gateways_per_hospital + 1;
    (!scenario.deploy.iter().any(|d| reaches_all(&d.json))).then(|| format!("H-{hospital}").parse().expect("a good id"))
}

impl Oracle {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let span = |(from, until): &(u64, u64)| (START.plus_ms(from * 1_000), START.plus_ms(until * 1_000));
        let images = scenario.release.iter().enumerate().map(|(i, release)| {
            let manifest = setup::manifest(i + 1, release);
            (manifest.sha256, manifest.firmware_id)
        });
        let mut authority = Authority::default();
        for (i, release) in scenario.release.iter().enumerate() {
            let manifest = setup::manifest(i + 1, release);
            authority.release(manifest.sha256, setup::signed_manifest(&manifest).digest(), manifest.recall_window());
        }
        Self {
            windows: scenario.fleet.windows_s.iter().map(span).collect(),
            anytime: scenario.deploy.iter().any(|d| d.json.contains("ignoreWindows")),
            approved: BTreeSet::new(),
            approvals: BTreeMap::new(),
            images: images.collect(),
            good: [setup::factory().sha256].into(),
            devices: BTreeMap::new(),
            committed: BTreeMap::new(),
            batches: BTreeSet::new(),
            set_back: BTreeSet::new(),
            unseen: BTreeSet::new(),
            enrolled_again: BTreeSet::new(),
            epochs: BTreeSet::new(),
            logged_activations: BTreeMap::new(),
            ordered: BTreeMap::new(),
            faults: BTreeMap::new(),
            adversary: scenario.adversary,
            confined: confined(scenario),
            ordered_by_a_person: false,
            authority,
            held: Held::default(),
        }
    }

    /// Whether somebody else speaks with the coordinator's keys.
    pub(super) fn is_deceived(&self) -> bool {
        matches!(self.adversary, Some(Adversary::Coordinator { .. }))
    }

    pub(super) fn is_approved(&self, firmware: &FirmwareId) -> bool {
        self.approved.contains(firmware)
    }

    /// A record of the audit log.
    pub(super) fn record(&mut self, record: &AuditRecord) -> Result<(), Broken> {
        if record.outcome != Outcome::Accepted {
            return Ok(());
        }
        match record.action.as_str() {
            // Orders for one hospital move that hospital alone.
            "deployment.rollback" | "deployment.abort" if record.actor.kind == ActorKind::User => {
                let reaches_all = |e: &serde_json::Value| e.to_string().contains("rollbackStarted");
                self.ordered_by_a_person |=
                    record.action == "deployment.abort" || record.event.as_ref().is_some_and(reaches_all);
            }
            "firmware.approve" => {
                let Some(firmware) = record.object.strip_prefix("firmware/").and_then(|f| f.parse().ok()) else {
                    return Ok(());
                };
                let people: &mut BTreeSet<String> = self.approvals.entry(firmware).or_default();
                must!(people.insert(record.actor.id.clone()), "invariant 1: {} approved twice", record.actor.id);
            }
            "firmware.approved" => {
                let Some(firmware) = record.object.strip_prefix("firmware/").and_then(|f| f.parse().ok()) else {
                    return Ok(());
                };
                let people = self.approvals.get(&firmware).map_or(0, BTreeSet::len);
                must!(people >= 2, "invariant 1: {firmware} was approved by {people} people");
                let image = self.images.iter().find(|(_, f)| **f == firmware).map(|(d, _)| *d);
                self.good.extend(image);
                self.approved.insert(firmware);
            }
            "telemetry.epoch" => {
                let gateway = record.object.strip_prefix("gateway/").and_then(|g| g.parse().ok());
                self.epochs.extend(gateway);
            }
            "telemetry.commit" => {
                let signed = record.document::<TelemetryBatch>().ok();
                let batch = signed.as_ref().and_then(|d| d.decode_unverified().ok());
                let (Some(signed), Some(batch)) = (signed, batch) else {
                    return Err(Broken::new("a committed batch does not decode"));
                };
                let none = (0, 0, Digest([0; 32]));
                if !self.committed.contains_key(&batch.gateway) {
                    // It was enrolled again before it had reported anything: that is its first chain.
                    self.enrolled_again.remove(&batch.gateway);
                }
                let (epoch, sequence, head) = self.committed.get(&batch.gateway).copied().unwrap_or(none);
                let (expected, previous) = match () {
                    () if batch.epoch == epoch || epoch == 0 => (sequence + 1, head),
                    // A new enrolment begins a chain of its own; an epoch that the gateway began names the head.
                    () if self.enrolled_again.remove(&batch.gateway) => (1, none.2),
                    () => (1, head),
                };
                must!(
                    (batch.sequence, batch.previous) == (expected, previous) && batch.epoch >= epoch,
                    "invariant 6: batch {}.{} of {} was committed after {epoch}.{sequence}",
                    batch.epoch,
                    batch.sequence,
                    batch.gateway
                );
                self.batches.insert(signed.digest());
                self.committed.insert(batch.gateway.clone(), (batch.epoch, batch.sequence, signed.digest()));
                for event in batch.events {
                    self.held.logged(&event);
                    // Reboots are counted by the gateway; the device says nothing of them.
                    if let (Some(device), EventKind::DeviceError { code, .. }) = (&event.device, &event.kind)
                        && code != ERROR_REBOOTS
                    {
                        *self.faults.entry((batch.gateway.clone(), device.clone())).or_default() += 1;
                    }
                    if let (Some(device), EventKind::StateChanged { state: InstallState::Activating, .. }) =
                        (event.device, event.kind)
                    {
                        *self.logged_activations.entry(device).or_default() += 1;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// An agent orders a device to boot a new image. `clock` is the gateway's trusted time.
    pub(super) fn activation(
        &mut self,
        device: &DeviceId,
        hospital: &HospitalId,
        sha256: Digest,
        open: bool,
        in_use: bool,
        clock: UtcMillis,
    ) -> Result<(), Broken> {
        let firmware = self.images.get(&sha256);
        must!(
            firmware.is_some_and(|f| self.approved.contains(f)),
            "invariant 1: {device} is activated on {firmware:?}, which is not approved"
        );
        must!(!in_use, "invariant 2: {device} is activated in use");
        must!(!self.held.is_held(device), "DESIGN 10.7: {device} is activated while it is held on site");
        if matches!(self.adversary, Some(Adversary::Coordinator { .. })) {
            // Whoever holds the online key decides where and when, but never what.
            self.ordered.entry(device.clone()).or_default().insert(sha256);
            return Ok(());
        }
        must!(open, "invariant 4: {device} in {hospital} is activated outside every opened phase");
        if !self.windows.is_empty() && !self.anytime {
            let inside = |(from, until): &(UtcMillis, UtcMillis)| {
                *from <= clock.plus_ms(WINDOW_SLACK_MS) && clock <= until.plus_ms(WINDOW_SLACK_MS)
            };
            must!(self.windows.iter().any(inside), "{device} is activated at {clock}, outside every window");
        }
        self.ordered.entry(device.clone()).or_default().insert(sha256);
        Ok(())
    }

    /// An agent orders a device back.
    pub(super) fn way_back(&self, device: &DeviceId, hospital: &HospitalId, in_use: bool) -> Result<(), Broken> {
        must!(!in_use, "invariant 2: {device} is rolled back in use");
        if let Some(confined) = &self.confined {
            must!(
                hospital == confined || self.ordered_by_a_person,
                "DESIGN 10.1: {device} in {hospital} goes back on the word of one gateway in {confined}"
            );
        }
        Ok(())
    }

    /// A device as it is.
    pub(super) fn device(&self, device: &DeviceId, permanent: Digest, reboots_in_use: u32) -> Result<(), Broken> {
        must!(reboots_in_use == 0, "invariant 2: {device} was rebooted in use");
        must!(self.good.contains(&permanent), "invariant 3: {device} has no verified slot to start from");
        Ok(())
    }

    /// Where an installation stands as its agent sees it; gives the state before, if it moved.
    pub(super) fn state(
        &mut self,
        device: &DeviceId,
        state: InstallState,
        now_ms: u64,
        free: bool,
    ) -> Result<Option<InstallState>, Broken> {
        let seen = self.devices.entry(device.clone()).or_insert(Seen {
            state: InstallState::Idle,
            rolling_back_ms: 0,
            looked_at_ms: now_ms,
        });
        if state == InstallState::RollingBack && seen.state == state && free {
            // Reports come every other second; longer pauses were those of a dead gateway.
            seen.rolling_back_ms += (now_ms - seen.looked_at_ms).min(3_000);
        } else if state != InstallState::RollingBack {
            seen.rolling_back_ms = 0;
        }
        seen.looked_at_ms = now_ms;
        must!(
            seen.rolling_back_ms < ROLLBACK_MS_MAX,
            "invariant 5: {device} is on its way back for {} s and could be reached",
            seen.rolling_back_ms / 1_000
        );
        let before = std::mem::replace(&mut seen.state, state);
        Ok((before != state).then_some(before))
    }

    /// A deployment after the calm.
    pub(super) fn ended(
        &self,
        id: &DeploymentId,
        report: &DeploymentReport,
        is_hostile: &dyn Fn(&DeviceId) -> bool,
    ) -> Result<(), Broken> {
        if matches!(self.adversary, Some(Adversary::Coordinator { .. })) {
            return Ok(());
        }
        let others_are_done = report.devices.iter().filter(|(device, _)| !is_hostile(device)).all(|(_, p)| {
            let settled = p.state.is_none_or(InstallState::is_settled);
            settled && (report.status == "aborting" || p.state != Some(InstallState::Confirmed))
        });
        if matches!(report.status, "rollingBack" | "aborting")
            && report.devices.keys().any(is_hostile)
            && others_are_done
        {
            // One gateway that never answers keeps its own devices waiting, and nobody else's.
            return Ok(());
        }
        let ended = matches!(report.status, "completed" | "rolledBack" | "aborted" | "superseded");
        must!(
            ended,
            "liveness: {id} is {} ({}) in phase {} at the end",
            report.status,
            report.reason,
            report.current + 1
        );
        for (device, progress) in report.devices.iter().filter(|(device, _)| !is_hostile(device)) {
            must!(
                progress.open || progress.state.is_none(),
                "invariant 4: {device} of {id} is {:?} and its phase {} was never opened",
                progress.state,
                progress.phase + 1
            );
            let settled = progress.state.is_none_or(InstallState::is_settled) || report.status == "superseded";
            must!(settled, "liveness: {device} of {id} is {:?} at the end", progress.state);
        }
        Ok(())
    }

    /// A gateway after the calm: everything that it reported is in the log.
    pub(super) fn drained(
        &self,
        gateway: &GatewayId,
        agent: &Agent,
        (epoch, committed): (u64, u64),
    ) -> Result<(), Broken> {
        let known = self.committed.get(gateway).map_or(0, |(_, sequence, _)| *sequence);
        must!(known == committed, "invariant 6: {gateway} committed {committed}, the log holds {known}");
        must!(agent.epoch() == epoch, "{gateway} is in epoch {}, the coordinator in {epoch}", agent.epoch());
        let (made, waiting) = agent.outbox();
        must!(
            made == committed && waiting == 0,
            "invariant 6: {gateway} made {made} batches, {committed} are in the log, {waiting} wait"
        );
        Ok(())
    }

    /// The gateway of these devices may forget what it had not reported: it is set back, copied or replaced.
    pub(super) fn set_back<'a>(&mut self, devices: impl Iterator<Item = &'a DeviceId>) {
        let devices: Vec<DeviceId> = devices.cloned().collect();
        self.unseen.extend(devices.iter().cloned());
        self.set_back.extend(devices);
    }

    /// A device reported to its gateway.
    pub(super) fn seen(&mut self, device: &DeviceId) {
        self.unseen.remove(device);
    }

    /// A gateway was enrolled again.
    pub(super) fn enrolled_again(&mut self, gateway: &GatewayId) {
        self.enrolled_again.insert(gateway.clone());
    }

    /// A gateway freed batches because the coordinator said that it holds them.
    pub(super) fn freed<'a>(
        &self,
        gateway: &GatewayId,
        mut digests: impl Iterator<Item = &'a Digest>,
    ) -> Result<(), Broken> {
        let lost = digests.find(|digest| !self.batches.contains(digest));
        must!(lost.is_none(), "FLD-7: {gateway} freed batch {lost:?}, which is not in the log");
        Ok(())
    }

    /// What the log says of a device after the calm.
    pub(super) fn known(
        &self,
        device: &DeviceId,
        running: Digest,
        known: Option<(Option<Digest>, Option<InstallState>)>,
    ) -> Result<(), Broken> {
        let own = self.devices.get(device).map_or(InstallState::Idle, |seen| seen.state);
        let Some((known, state)) = known else { return Err(Broken::new("a device is unknown to the coordinator")) };
        // The log says that it needs manual intervention: its gateway was set back, and the device has not reported since.
        if self.is_unseen(device, state) {
            return Ok(());
        }
        must!(
            known == Some(running) || own == InstallState::RollbackFailed,
            "DESIGN 10.5: {device} runs {running}, the log says {known:?} ({state:?}, its gateway {own:?})"
        );
        // A gateway that forgot an installation has nothing to say of it, and one that refused a release returns to what it confirmed before.
        // One that never began what is called back says so, whatever stands there of an earlier release; a device that runs it all the same
        // needs manual intervention.
        let has_ended = matches!(own, InstallState::Confirmed | InstallState::Failed | InstallState::RolledBack);
        let returned = has_ended && matches!(state, Some(InstallState::Idle | InstallState::RollbackFailed))
            || own == InstallState::Confirmed && state == Some(InstallState::Failed);
        must!(
            own == InstallState::Idle || returned || state == Some(own),
            "DESIGN 10.5: the installation of {device} is {own:?}, the log says {state:?}"
        );
        Ok(())
    }

    /// Whether the log says that a device needs manual intervention of which its gateway knows nothing any more.
    pub(super) fn is_unseen(&self, device: &DeviceId, logged: Option<InstallState>) -> bool {
        logged == Some(InstallState::RollbackFailed) && self.unseen.contains(device)
    }

    /// The faults of a device of protocol version 2 after the calm: none of its boot was missed, none is in the log twice, unless its
    /// gateway was set back and had not kept that it reported it.
    pub(super) fn faults(
        &self,
        device: &DeviceId,
        gateway: &GatewayId,
        level: &FaultLevel,
        seen: Option<(&str, FaultCounts)>,
        found: u64,
    ) -> Result<(), Broken> {
        must!(
            seen == Some((&level.boot, level.counts)),
            "FLD-26: {device} counted {:?} in {}, its gateway knows of {seen:?}",
            level.counts,
            level.boot
        );
        let logged = self.faults.get(&(gateway.clone(), device.clone())).copied().unwrap_or(0);
        must!(
            logged >= level.counts.total() && (logged <= found || self.set_back.contains(device)),
            "FLD-26: {device} found {found} faults, {} of them since its boot; the log holds {logged}",
            level.counts.total()
        );
        Ok(())
    }

    /// Whether a gateway began an epoch without a cause.
    pub(super) fn needless_epoch<'a>(
        &self,
        gateway: &GatewayId,
        mut devices: impl Iterator<Item = &'a DeviceId>,
    ) -> bool {
        self.epochs.contains(gateway) && !devices.any(|device| self.set_back.contains(device))
    }

    /// A device after the calm.
    pub(super) fn at_rest(
        &self,
        device: &DeviceId,
        running: Digest,
        permanent: Digest,
        on_trial: bool,
        (flaw, logged): (Option<Flaw>, Option<InstallState>),
    ) -> Result<(), Broken> {
        let state = self.devices.get(device).map_or(InstallState::Idle, |s| s.state);
        let is_unseen = self.is_unseen(device, logged);
        let is_alarm = state == InstallState::RollbackFailed || is_unseen;
        must!(
            (!on_trial && running == permanent) || is_alarm,
            "invariant 3: {device} is {state:?}, in the log {logged:?}, and left on trial"
        );
        must!(self.good.contains(&permanent), "invariant 3: {device} rests on firmware that nobody approved");
        must!(
            is_unseen && on_trial || flaw.is_none_or(|f| matches!(f, Flaw::LateError)),
            "invariant 3: {device} was confirmed on firmware with the flaw {flaw:?}"
        );
        for sha256 in self.ordered.get(device).into_iter().flatten() {
            must!(
                self.logged_activations.contains_key(device) || self.set_back.contains(device),
                "invariant 6: {device} was activated on {sha256} and the log does not know"
            );
        }
        Ok(())
    }
}
