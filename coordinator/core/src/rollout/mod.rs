//! The rollout engine: one state machine per deployment. Decisions are events; [`step`](step::step) makes them from the
//! state and the time alone, so replaying the log gives the same rollout.

pub mod command;
pub mod duty;
pub mod evidence;
pub mod fitness;
pub mod foresight;
pub mod gate;
pub mod plan;
pub mod request;
mod shares;
pub mod sight;
pub mod spec;
pub mod step;
pub mod tally;
mod trigger;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GatewayId, HospitalId, UserId};
use mdfm_shared::telemetry::{FAULTS_COUNTED, InstallState, ROLLBACK_ORDERED, SET_BACK, Severity};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Role;
use serde::{Deserialize, Serialize};

pub use duty::Duty;
pub use gate::{Figures, GateRecord};
pub use spec::{CriticalReach, DeploymentRequest, PhaseSpec, Reach, Spec, Strategy, Targets};
pub use tally::Tally;

use super::series::Series;
use shares::{Home, Mark, Shares};

/// The finest spacing of a phase's counts over time: ten seconds.
const FIGURES_SPACING_MS: u64 = 10_000;

/// What the first failed device does, whatever the gates say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FirstFailure {
    /// Nothing by itself.
    ByGate,
    /// Every device goes back.
    RollBack,
    /// Nothing more is activated until somebody decides: going back would bring back the hole that the release closes.
    Hold,
}

/// What is fixed when a deployment is made. Its devices follow in records of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewDeployment {
    pub deployment: DeploymentId,
    pub firmware: FirmwareId,
    pub model: String,
    pub manifest: Digest,
    pub security_version: u32,
    pub created_by: String,
    pub spec: Spec,
    pub first_failure: FirstFailure,
    /// Whether some device ran a lower security version when the plan was made. Such a release goes back beyond one hospital
    /// only by a person's order. False in deployments that were created before the field existed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raises_security: bool,
    /// Devices that the records to follow name.
    pub members: u32,
    /// Digest of rules and devices: what a dry run showed.
    pub plan: Digest,
}

/// Devices of one hospital that are in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    pub hospital: HospitalId,
    pub phase: u32,
    pub devices: Vec<DeviceId>,
}

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub enum Status {
    /// Its plan is being recorded; no device has been touched.
    Planned,
    /// The current phase is being worked on.
    Running,
    /// Staging goes on, nothing is activated.
    Paused { reason: String },
    /// Every device of the opened phases goes back.
    RollingBack { reason: String },
    /// Every device of the opened phases is back, or never left, or raised an alarm.
    RolledBack { reason: String },
    /// Devices in flight go back, those that are done stay, the others are left alone.
    Aborting { reason: String },
    /// As `Aborting`, and no device is in flight.
    Aborted { reason: String },
    /// A newer deployment took over its devices.
    Superseded { by: DeploymentId },
    /// Every phase passed.
    Completed,
}

/// Where a phase stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub enum PhaseStatus {
    /// No device of it has been touched.
    Pending,
    /// Its devices are being updated.
    Deploying { since: UtcMillis },
    /// Enough devices settled or fell silent; the monitoring time runs.
    Monitoring { since: UtcMillis },
    /// The gate held; the named role must sign.
    AwaitingValidation { since: UtcMillis },
    /// Signed where a signature is asked for; the next phase may open.
    Passed { at: UtcMillis },
    /// Its devices were ordered back; nothing follows it.
    OrderedBack { at: UtcMillis },
}

/// Why a device was ordered back alone, with its hospital or with its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderedBack {
    /// Doubts about the firmware: the device counts as failed.
    Safety,
    /// Something else, for example a hospital's request: the device leaves the count.
    Operational,
    /// The hospital went back because of a fault on one gateway of it: its devices leave the count of their phase, and those
    /// that failed are counted apart. Only the engine gives this cause.
    Contained,
}

/// Where a device stands: who vouches for what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub hospital: HospitalId,
    /// `None` for a device that no gateway serves any more.
    pub gateway: Option<GatewayId>,
}

/// A fault reported by one source, and what was done about it: its hospital went back and the deployment was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Containment {
    /// The gateway that reported it.
    pub source: Option<GatewayId>,
    /// The device that it was about.
    pub device: DeviceId,
    /// What was reported.
    pub fault: String,
    pub at: UtcMillis,
}

/// What a rollback reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Scope {
    Device { device: DeviceId },
    Hospital { hospital: HospitalId },
    Phase { phase: u32 },
    Deployment,
}

/// One device's way through the deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceProgress {
    pub phase: u32,
    /// As last reported for this deployment; none before its first report.
    pub state: Option<InstallState>,
    /// Errors that it reported on the new firmware.
    pub errors: u32,
    pub critical: Option<Box<str>>,
    pub silent: bool,
    pub ordered_back: Option<OrderedBack>,
    /// Called back, and refused: it waits for a rollback order.
    pub stays: bool,
    /// Since when it has been observed on the new firmware, in milliseconds after the deployment began.
    pub observed_since_ms: Option<u64>,
    /// It left, or is leaving, the release because it was ordered to: that says nothing about the release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_by_order: bool,
    /// It confirmed the release, and its own fault counters covered the whole trial: no fault that it found can be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counts_faults: bool,
    /// It ran the release, or tried to, whatever it says now: somebody may have given it other firmware by hand since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_run: bool,
    /// It ran the release, and somebody has exchanged it or given it other firmware since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_by_hand: bool,
    /// Whether it may have begun, while no state of it has reached the log.
    #[serde(default, skip_serializing_if = "Asked::is_no")]
    pub asked: Asked,
    /// Where it is registered.
    #[serde(skip)]
    home: Home,
    /// It left the release, or was on its way back, and has not confirmed it since: it is not activated again in this deployment, whatever its
    /// gateway remembers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_gone_back: bool,
    /// It left the release because of a failure, and has not confirmed it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed_on_trial: bool,
}

/// What is known of a device of which no state for a deployment has reached the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Asked {
    /// No directive has asked for the release: it has not begun. Also of a device whose state is known.
    #[default]
    No,
    /// A directive asks for the release: its gateway reports how far it is.
    Yes,
    /// A directive asked, and the gateway of then has lost its state or serves the device no more: it may run the release, on trial.
    Lost,
}

impl Asked {
    /// Whether nothing was asked, so that records of most devices leave it out.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_no(&self) -> bool {
        *self == Self::No
    }
}

impl DeviceProgress {
    /// Whether the device left the firmware that it ran when the deployment began, or has begun to.
    pub fn is_moved(&self) -> bool {
        self.has_run || !matches!(self.state, None | Some(InstallState::Idle | InstallState::Failed))
    }
    fn new(phase: u32, home: Home) -> Self {
        Self {
            phase,
            home,
            state: None,
            errors: 0,
            critical: None,
            silent: false,
            ordered_back: None,
            stays: false,
            observed_since_ms: None,
            left_by_order: false,
            counts_faults: false,
            has_run: false,
            left_by_hand: false,
            asked: Asked::No,
            has_gone_back: false,
            failed_on_trial: false,
        }
    }

    /// Whether the device counts as failed against a gate.
    pub fn has_failed(&self) -> bool {
        let returned = matches!(self.state, Some(InstallState::RollingBack | InstallState::RolledBack));
        self.state.is_some_and(InstallState::is_failure) && !(returned && self.left_by_order)
            || self.failed_on_trial
            || self.errors > 0
            || self.critical.is_some()
            || self.ordered_back == Some(OrderedBack::Safety)
    }

    /// Whether the device was taken out of its phase's count.
    pub fn is_withdrawn(&self) -> bool {
        matches!(self.ordered_back, Some(OrderedBack::Operational | OrderedBack::Contained)) || self.has_left()
    }

    /// Whether the device runs other firmware than the release by somebody's hand, which says nothing about the release. One that failed
    /// before counts as failed.
    pub fn has_left(&self) -> bool {
        self.left_by_hand && !self.has_failed()
    }

    /// Whether the device is between the order to boot the release and its confirmation, or on its way back.
    pub fn is_on_trial(&self) -> bool {
        matches!(self.state, Some(InstallState::Activating | InstallState::Probation | InstallState::RollingBack))
    }
}

/// What a hospital's staff said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    pub by: String,
    pub reason: String,
    pub at: UtcMillis,
}

/// A hospital's part in the deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The phase in which its devices are, but for canaries.
    pub phase: u32,
    pub devices: u32,
    /// None until its staff agreed, and again if they changed their mind.
    pub consent: Option<Consent>,
    /// When consent was last taken back: what was said on a gateway before and arrives late does not give it again.
    pub withdrawn_at: Option<UtcMillis>,
    /// Whether the whole hospital was ordered back: devices registered later do not join.
    pub ordered_back: bool,
}

/// A signature that let a phase pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenValidation {
    pub user: UserId,
    pub printed_name: String,
    pub role: Role,
    pub meaning: String,
    pub reason: String,
    pub at: UtcMillis,
}

/// A phase on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    pub status: PhaseStatus,
    pub gate: Option<GateRecord>,
    pub validation: Option<GivenValidation>,
    pub tally: Tally,
    /// What the gate would have been asked about, over time.
    pub figures: Series<Figures>,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    pub plan: NewDeployment,
    pub created_at: UtcMillis,
    pub status: Status,
    /// The phase being worked on.
    pub current: u32,
    pub phases: Vec<Phase>,
    pub hospitals: BTreeMap<HospitalId, Part>,
    pub devices: BTreeMap<DeviceId, DeviceProgress>,
    /// Failed devices that somebody accepted by resuming a deployment that had stopped for them.
    pub accepted_failures: u32,
    pub duties: Vec<Duty>,
    /// Hospitals that went back because of a fault on one gateway of theirs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contained: BTreeMap<HospitalId, Containment>,
    /// When it was paused, and by whom; `None` while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// When it began to be rolled back or aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_back_at: Option<UtcMillis>,
    /// Devices whose failure or silence changed since [`Self::take_changed`] was asked; nothing that is recorded follows from it alone.
    #[serde(skip)]
    changed: BTreeSet<DeviceId>,
    #[serde(skip)]
    shares: Shares,
}

/// That a deployment was paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paused {
    pub at: UtcMillis,
    /// The actor of the record; `None` before the record was applied.
    pub by: Option<String>,
}

/// A change of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    MembersJoined {
        members: Vec<Members>,
    },
    PhaseOpened {
        phase: u32,
    },
    MonitoringStarted {
        phase: u32,
    },
    GateEvaluated {
        record: GateRecord,
    },
    ValidationSigned {
        phase: u32,
        validation: GivenValidation,
    },
    PhasePassed {
        phase: u32,
    },
    Completed,
    Paused {
        reason: String,
    },
    Resumed,
    Aborted {
        reason: String,
    },
    AbortFinished,
    Superseded {
        by: DeploymentId,
    },
    RollbackStarted {
        reason: String,
    },
    RolledBack,
    OrderedBack {
        scope: Scope,
        cause: OrderedBack,
    },
    /// A fault of one source: its hospital goes back, everything else is held until somebody decides.
    Contained {
        hospital: HospitalId,
        source: Option<GatewayId>,
        device: DeviceId,
        fault: String,
    },
    DeviceSilent {
        device: DeviceId,
        last_seen: UtcMillis,
    },
    DeviceReturned {
        device: DeviceId,
    },
    ConsentGiven {
        hospital: HospitalId,
        consent: Consent,
    },
    ConsentWithdrawn {
        hospital: HospitalId,
    },
    DutyOpened {
        duty: Duty,
    },
    DutyFulfilled {
        duty: u32,
        fulfilment: duty::Fulfilment,
    },
}

impl Status {
    /// Its name for people.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused { .. } => "paused",
            Self::RollingBack { .. } => "being rolled back",
            Self::RolledBack { .. } => "rolled back",
            Self::Aborting { .. } => "being aborted",
            Self::Aborted { .. } => "aborted",
            Self::Superseded { .. } => "superseded",
            Self::Completed => "complete",
        }
    }
}

impl PhaseStatus {
    /// When it began, where that is known.
    pub fn since(&self) -> Option<UtcMillis> {
        match self {
            Self::Pending => None,
            Self::Deploying { since } | Self::Monitoring { since } | Self::AwaitingValidation { since } => Some(*since),
            Self::Passed { at } | Self::OrderedBack { at } => Some(*at),
        }
    }

    /// Its name for people.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Pending => "not opened yet",
            Self::Deploying { .. } => "being deployed",
            Self::Monitoring { .. } => "being monitored",
            Self::AwaitingValidation { .. } => "awaiting a signature",
            Self::Passed { .. } => "passed",
            Self::OrderedBack { .. } => "ordered back",
        }
    }
}

impl Deployment {
    pub fn new(plan: NewDeployment, at: UtcMillis) -> Self {
        let phase = Phase {
            status: PhaseStatus::Pending,
            gate: None,
            validation: None,
            tally: Tally::default(),
            figures: Series::new(FIGURES_SPACING_MS),
        };
        Self {
            created_at: at,
            status: Status::Planned,
            current: 0,
            phases: vec![phase; plan.spec.phases.len()],
            hospitals: BTreeMap::new(),
            devices: BTreeMap::new(),
            accepted_failures: 0,
            duties: Vec::new(),
            contained: BTreeMap::new(),
            paused: None,
            called_back_at: None,
            changed: BTreeSet::new(),
            shares: Shares::default(),
            plan,
        }
    }

    /// Whether the phase has been opened.
    pub fn is_open(&self, phase: u32) -> bool {
        self.phases.get(phase as usize).is_some_and(|p| p.status != PhaseStatus::Pending)
    }

    /// The devices that it moved: an ended deployment says nothing of the others any more.
    pub fn moved(&self) -> impl Iterator<Item = &DeviceId> {
        self.devices.iter().filter(|(_, p)| p.is_moved()).map(|(device, _)| device)
    }

    /// Whether the deployment still has work to do.
    pub fn is_active(&self) -> bool {
        match self.status {
            Status::Planned
            | Status::Running
            | Status::Paused { .. }
            | Status::RollingBack { .. }
            | Status::Aborting { .. } => true,
            Status::RolledBack { .. } | Status::Aborted { .. } | Status::Superseded { .. } | Status::Completed => false,
        }
    }

    /// The counts of the opened phases.
    pub fn opened(&self) -> impl Iterator<Item = (u32, &PhaseSpec, &Phase)> {
        (0_u32..)
            .zip(self.plan.spec.phases.iter().zip(&self.phases))
            .map(|(i, (spec, phase))| (i, spec, phase))
            .filter(|(_, _, phase)| phase.status != PhaseStatus::Pending)
    }

    /// One of the counts, over the opened phases.
    pub fn sum(&self, count: fn(&Tally) -> u32) -> u32 {
        self.opened().map(|(_, _, phase)| count(&phase.tally)).sum()
    }

    /// Milliseconds since the deployment began.
    pub fn age_ms(&self, now: UtcMillis) -> u64 {
        now.since_ms(self.created_at)
    }

    /// A device is registered elsewhere, or not any more.
    pub(super) fn place(&mut self, device: &DeviceId, hospital: Option<&HospitalId>) {
        let Some(progress) = self.devices.get_mut(device) else { return };
        let on_silence = self.plan.spec.on_silence;
        self.shares.leave(device, Mark::of(progress, on_silence));
        progress.home = self.shares.home(hospital);
        self.shares.join(device, Mark::of(progress, on_silence));
    }

    /// Makes what is not kept with the state again; `hospital_of` says where a device is registered.
    pub(super) fn index(&mut self, hospital_of: &dyn Fn(&DeviceId) -> Option<HospitalId>) {
        let mut shares = Shares::default();
        for (device, progress) in &mut self.devices {
            progress.home = shares.home(hospital_of(device).as_ref());
            shares.join(device, Mark::of(progress, self.plan.spec.on_silence));
        }
        self.shares = shares;
    }

    /// Changes one device and the counts of its phase with it.
    fn change(&mut self, at: UtcMillis, device: &DeviceId, change: impl FnOnce(&mut DeviceProgress)) {
        let now_ms = self.age_ms(at);
        let on_silence = self.plan.spec.on_silence;
        let Some(progress) = self.devices.get_mut(device) else { return };
        let Some(phase) = self.phases.get_mut(progress.phase as usize) else { return };
        phase.tally.remove(progress);
        let counted_faults = progress.counts_faults;
        let before = (progress.has_failed(), progress.silent);
        let mark = Mark::of(progress, on_silence);
        change(progress);
        self.shares.update(device, mark, Mark::of(progress, on_silence));
        if before != (progress.has_failed(), progress.silent) {
            self.changed.insert(device.clone());
        }
        let on_new = matches!(progress.state, Some(InstallState::Probation | InstallState::Confirmed));
        match (progress.observed_since_ms, on_new && !progress.silent && !progress.left_by_hand) {
            (None, true) => progress.observed_since_ms = Some(now_ms),
            (Some(since), false) => {
                phase.tally.observed(now_ms.saturating_sub(since), counted_faults);
                progress.observed_since_ms = None;
            }
            (None, false) | (Some(_), true) => {}
        }
        phase.tally.add(progress);
        phase.figures.push(at, Figures::of(&phase.tally));
    }

    /// Devices whose failure or silence changed, `max` of them at most.
    pub(super) fn take_changed(&mut self, max: usize) -> Vec<DeviceId> {
        std::iter::from_fn(|| self.changed.pop_first()).take(max).collect()
    }

    /// Whether [`Self::take_changed`] returns more.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Forgets what [`Self::take_changed`] would return.
    pub(super) fn forget_changed(&mut self) {
        self.changed.clear();
    }

    /// Whether the release may go back beyond one hospital without a person.
    pub fn only_a_person_rolls_back(&self) -> bool {
        self.plan.raises_security || self.plan.first_failure == FirstFailure::Hold
    }

    /// A device's gateway reported a state for this deployment, with the reason in the agent's words.
    pub fn report_state(&mut self, at: UtcMillis, device: &DeviceId, state: InstallState, detail: &str) {
        let is_over = matches!(
            self.status,
            Status::RollingBack { .. } | Status::RolledBack { .. } | Status::Aborting { .. } | Status::Aborted { .. }
        );
        // Deployments from before this distinction keep the counts that their reports were made of.
        let counts_apart = self.plan.spec.critical_reach.is_some();
        self.change(at, device, |progress| {
            let is_ordered = match progress.ordered_back {
                Some(OrderedBack::Contained) => true,
                Some(OrderedBack::Safety | OrderedBack::Operational) => counts_apart,
                None => counts_apart && is_over,
            };
            // A device that had failed before the order reached it says so.
            let is_set_back = detail.contains(SET_BACK);
            progress.left_by_order = match state {
                InstallState::RollingBack => is_set_back || (is_ordered && detail.contains(ROLLBACK_ORDERED)),
                InstallState::RolledBack => {
                    is_set_back || (is_ordered && (progress.left_by_order || detail.contains(ROLLBACK_ORDERED)))
                }
                _ => false,
            };
            // What an older state of the gateway says later takes none of it back.
            progress.failed_on_trial = match state {
                InstallState::RolledBack => counts_apart && (progress.failed_on_trial || !progress.left_by_order),
                InstallState::Confirmed => false,
                _ => progress.failed_on_trial,
            };
            // A device that says again that it is confirmed still stays.
            progress.stays &= state == InstallState::Confirmed;
            // A device that says again that it is confirmed does not repeat how its faults are known.
            let is_confirmed = state == InstallState::Confirmed;
            progress.counts_faults = is_confirmed && (progress.counts_faults || detail.contains(FAULTS_COUNTED));
            progress.has_run |= state.has_run();
            progress.has_gone_back = match state {
                InstallState::RollingBack | InstallState::RolledBack => true,
                InstallState::Confirmed => false,
                _ => progress.has_gone_back,
            };
            let ran = matches!(progress.state, Some(InstallState::Probation | InstallState::Confirmed));
            progress.left_by_hand = match state {
                InstallState::Idle => !is_over && (progress.left_by_hand || ran),
                InstallState::Confirmed => progress.left_by_hand,
                _ => false,
            };
            progress.state = Some(state);
            progress.asked = Asked::No;
            progress.silent = false;
        });
    }

    /// Whether the device may have begun without a state in the log.
    pub(super) fn set_asked(&mut self, at: UtcMillis, device: &DeviceId, asked: Asked) {
        self.change(at, device, |progress| progress.asked = asked);
    }

    /// What is known of a device that has gone on to other firmware, which its gateway, put back, cannot say more of; `None` if that is
    /// known better. `is_newest` says that no later deployment has the device. How a trial ended is not known: it counts as failed.
    pub fn state_of_overtaken(&self, device: &DeviceId, is_newest: bool) -> Option<InstallState> {
        match self.devices.get(device)?.state? {
            InstallState::Fetching | InstallState::Verified | InstallState::Staging | InstallState::Staged => {
                Some(InstallState::Idle)
            }
            InstallState::Activating | InstallState::Probation => Some(InstallState::Failed),
            InstallState::RollingBack | InstallState::RollbackFailed => Some(InstallState::RolledBack),
            InstallState::Confirmed => is_newest.then_some(InstallState::Idle),
            InstallState::Idle | InstallState::Failed | InstallState::RolledBack => None,
        }
    }

    /// What a device runs, that is or is not the release, was observed.
    pub fn report_running(&mut self, at: UtcMillis, device: &DeviceId, is_release: bool) {
        let is_news = |p: &DeviceProgress| p.state == Some(InstallState::Confirmed) && p.left_by_hand == is_release;
        if self.devices.get(device).is_some_and(is_news) {
            self.change(at, device, |progress| progress.left_by_hand = !is_release);
        }
    }

    /// A device was called back and refused.
    pub fn report_stays(&mut self, at: UtcMillis, device: &DeviceId) {
        self.change(at, device, |progress| progress.stays = true);
    }

    /// A device reported an error on the new firmware.
    pub fn report_error(&mut self, at: UtcMillis, device: &DeviceId, severity: Severity, text: &str) {
        self.change(at, device, |progress| match severity {
            Severity::Warning => {}
            Severity::Error => progress.errors = progress.errors.saturating_add(1),
            Severity::Critical => progress.critical = Some(text.into()),
        });
    }

    fn join(&mut self, members: &[Members], hospital_of: &dyn Fn(&DeviceId) -> Option<HospitalId>) {
        for Members { hospital, phase, devices } in members {
            let whole = self.plan.spec.phases.get(*phase as usize).is_some_and(|p| p.reach == Reach::Hospitals);
            let new = Part { phase: *phase, devices: 0, consent: None, withdrawn_at: None, ordered_back: false };
            let part = self.hospitals.entry(hospital.clone()).or_insert(new);
            if whole {
                part.phase = *phase;
            }
            for device in devices {
                let progress = DeviceProgress::new(*phase, self.shares.home(hospital_of(device).as_ref()));
                self.shares.join(device, Mark::of(&progress, self.plan.spec.on_silence));
                if let Some(phase) = self.phases.get_mut(*phase as usize) {
                    phase.tally.add(&progress);
                }
                part.devices += 1;
                self.devices.insert(device.clone(), progress);
            }
        }
        if self.status == Status::Planned && self.devices.len() >= self.plan.members as usize {
            self.status = Status::Running;
        }
    }

    /// Marks devices as ordered back; of a hospital, those that are registered still.
    fn order_back(
        &mut self,
        at: UtcMillis,
        scope: &Scope,
        cause: OrderedBack,
        hospital_of: &dyn Fn(&DeviceId) -> Option<HospitalId>,
    ) {
        let reached: Vec<DeviceId> = match scope {
            Scope::Device { device } => vec![device.clone()],
            Scope::Hospital { hospital } => {
                if let Some(part) = self.hospitals.get_mut(hospital) {
                    part.ordered_back = true;
                }
                let home = self.shares.known(hospital);
                let of = self.devices.iter().filter(|(_, p)| Some(p.home) == home).map(|(d, _)| d.clone());
                of.filter(|device| hospital_of(device).is_some()).collect()
            }
            Scope::Phase { phase } => {
                self.set(*phase, PhaseStatus::OrderedBack { at });
                self.devices.iter().filter(|(_, p)| p.phase == *phase).map(|(d, _)| d.clone()).collect()
            }
            Scope::Deployment => Vec::new(),
        };
        for device in reached {
            self.change(at, &device, |progress| {
                let keeps = match (progress.ordered_back, cause) {
                    (Some(OrderedBack::Contained), _) => true,
                    (Some(OrderedBack::Operational), OrderedBack::Contained) => true,
                    (None | Some(_), _) => false,
                };
                if !keeps {
                    progress.ordered_back = Some(cause);
                }
            });
        }
    }

    /// Moves the deployment; the only place where it changes by its own events. `hospital_of` says where a device is registered.
    pub fn apply(&mut self, at: UtcMillis, change: &Change, hospital_of: &dyn Fn(&DeviceId) -> Option<HospitalId>) {
        match change {
            Change::Paused { .. } | Change::Contained { .. } => self.paused = Some(Paused { at, by: None }),
            Change::Resumed => self.paused = None,
            Change::Aborted { .. } | Change::RollbackStarted { .. } => {
                self.paused = None;
                self.called_back_at = Some(at);
            }
            Change::Superseded { .. } => self.paused = None,
            _ => {}
        }
        match change {
            Change::MembersJoined { members } => self.join(members, hospital_of),
            Change::PhaseOpened { phase } => {
                self.current = *phase;
                self.set(*phase, PhaseStatus::Deploying { since: at });
            }
            Change::MonitoringStarted { phase } => self.set(*phase, PhaseStatus::Monitoring { since: at }),
            Change::GateEvaluated { record } => {
                if record.passed {
                    self.set(record.phase, PhaseStatus::AwaitingValidation { since: at });
                }
                if let Some(phase) = self.phases.get_mut(record.phase as usize) {
                    phase.gate = Some(record.clone());
                }
            }
            Change::ValidationSigned { phase, validation } => {
                if let Some(phase) = self.phases.get_mut(*phase as usize) {
                    phase.validation = Some(validation.clone());
                }
            }
            Change::PhasePassed { phase } => self.set(*phase, PhaseStatus::Passed { at }),
            Change::Completed => self.status = Status::Completed,
            Change::Paused { reason } => self.status = Status::Paused { reason: reason.clone() },
            Change::Resumed => {
                self.status = Status::Running;
                self.accepted_failures = self.sum(|t| t.failed + t.silent_on_trial);
            }
            Change::Aborted { reason } => self.status = Status::Aborting { reason: reason.clone() },
            Change::AbortFinished => {
                if let Status::Aborting { reason } = &self.status {
                    self.status = Status::Aborted { reason: reason.clone() };
                }
            }
            Change::Superseded { by } => self.status = Status::Superseded { by: by.clone() },
            Change::RollbackStarted { reason } => self.status = Status::RollingBack { reason: reason.clone() },
            Change::RolledBack => {
                if let Status::RollingBack { reason } = &self.status {
                    self.status = Status::RolledBack { reason: reason.clone() };
                }
            }
            Change::OrderedBack { scope, cause } => self.order_back(at, scope, *cause, hospital_of),
            Change::Contained { hospital, source, device, fault } => {
                self.order_back(
                    at,
                    &Scope::Hospital { hospital: hospital.clone() },
                    OrderedBack::Contained,
                    hospital_of,
                );
                let reason = format!("{fault}; {hospital} goes back, everything else waits for a decision");
                self.status = Status::Paused { reason };
                let found = Containment { source: source.clone(), device: device.clone(), fault: fault.clone(), at };
                self.contained.insert(hospital.clone(), found);
            }
            Change::DeviceSilent { device, .. } => self.change(at, device, |p| p.silent = true),
            Change::DeviceReturned { device } => self.change(at, device, |p| p.silent = false),
            Change::ConsentGiven { hospital, consent } => {
                if let Some(part) = self.hospitals.get_mut(hospital) {
                    part.consent = Some(consent.clone());
                }
            }
            Change::ConsentWithdrawn { hospital } => {
                if let Some(part) = self.hospitals.get_mut(hospital) {
                    part.consent = None;
                    part.withdrawn_at = Some(at);
                }
            }
            Change::DutyOpened { duty } => self.duties.push(duty.clone()),
            Change::DutyFulfilled { duty, fulfilment } => {
                if let Some(duty) = self.duties.get_mut(*duty as usize) {
                    duty.fulfilled = Some(fulfilment.clone());
                }
            }
        }
    }

    fn set(&mut self, phase: u32, status: PhaseStatus) {
        if let Some(phase) = self.phases.get_mut(phase as usize) {
            phase.status = status;
        }
    }
}
