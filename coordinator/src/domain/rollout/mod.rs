//! The rollout engine: one state machine per deployment. Decisions are events; [`step`](step::step) makes them from the
//! state and the time alone, so replaying the log gives the same rollout.

pub(crate) mod command;
pub(crate) mod gate;
pub(crate) mod plan;
pub(crate) mod step;

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, HospitalId, UserId};
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Role;
use serde::{Deserialize, Serialize};

pub(crate) use gate::GateRecord;

/// A deployment as somebody asks for it; the API has parsed the seed's spellings into this.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeploymentRequest {
    pub(crate) firmware: FirmwareId,
    /// Only these devices; none for every device of the firmware's model.
    pub(crate) target_devices: Option<Vec<DeviceId>>,
    pub(crate) phases: Vec<PhaseSpec>,
}

/// One phase of a Progressive rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhaseSpec {
    pub(crate) name: String,
    /// Hospitals of this cohort come first after the named ones; `all` prefers none.
    pub(crate) cohort: String,
    /// Share of all hospitals reached when this phase is open, in percent.
    pub(crate) percentage: f64,
    /// Hospitals that must be in this phase.
    pub(crate) target_hospitals: Vec<HospitalId>,
    /// Highest share of failed devices, in percent.
    pub(crate) max_error_rate_percent: f64,
    /// Time under observation after the last device of the phase settled, in milliseconds.
    pub(crate) monitoring_ms: u64,
    /// Who must sign before the phase passes.
    pub(crate) validation: Role,
}

/// Everything that is fixed when a deployment is made; membership never changes afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewDeployment {
    pub(crate) deployment: DeploymentId,
    pub(crate) firmware: FirmwareId,
    pub(crate) manifest: Digest,
    pub(crate) security_version: u32,
    pub(crate) created_by: String,
    pub(crate) phases: Vec<PhaseSpec>,
    /// The hospitals that each phase adds.
    pub(crate) plan: Vec<BTreeSet<HospitalId>>,
    /// The phase of each device.
    pub(crate) devices: BTreeMap<DeviceId, u32>,
}

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub(crate) enum Status {
    /// The current phase is being worked on.
    Running,
    /// Staging goes on, nothing is activated.
    Paused,
    /// Every device of the opened phases goes back.
    RollingBack { reason: String },
    /// Every device of the opened phases is back, or never left, or raised an alarm.
    RolledBack { reason: String },
    /// Every phase passed.
    Completed,
}

/// Where a phase stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub(crate) enum PhaseStatus {
    /// No device of it has been touched.
    Pending,
    /// Its devices are being updated.
    Deploying { since: UtcMillis },
    /// Every device settled or fell silent; the monitoring time runs.
    Monitoring { since: UtcMillis },
    /// The gate held; the named role must sign.
    AwaitingValidation { since: UtcMillis },
    /// Signed; the next phase may open.
    Passed { at: UtcMillis },
}

/// One device's way through the deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceProgress {
    pub(crate) phase: u32,
    /// As last reported for this deployment; none before its first report.
    pub(crate) state: Option<InstallState>,
    /// Errors that it reported on the new firmware.
    pub(crate) errors: u32,
    pub(crate) critical: Option<String>,
    pub(crate) silent: bool,
}

impl DeviceProgress {
    /// Whether the device counts as failed against a gate.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.is_some_and(InstallState::is_failure) || self.errors > 0 || self.critical.is_some()
    }
    fn is_settled(&self) -> bool {
        self.silent || self.state.is_some_and(InstallState::is_settled)
    }
}

/// A signature that let a phase pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GivenValidation {
    pub(crate) user: UserId,
    pub(crate) printed_name: String,
    pub(crate) role: Role,
    pub(crate) meaning: String,
    pub(crate) reason: String,
    pub(crate) at: UtcMillis,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deployment {
    pub(crate) plan: NewDeployment,
    pub(crate) created_at: UtcMillis,
    pub(crate) status: Status,
    /// The phase being worked on.
    pub(crate) current: u32,
    pub(crate) phases: Vec<PhaseStatus>,
    pub(crate) gates: Vec<Option<GateRecord>>,
    pub(crate) validations: Vec<Option<GivenValidation>>,
    pub(crate) devices: BTreeMap<DeviceId, DeviceProgress>,
}

/// A change of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Change {
    PhaseOpened { phase: u32 },
    MonitoringStarted { phase: u32 },
    GateEvaluated { record: GateRecord },
    ValidationSigned { phase: u32, validation: GivenValidation },
    PhasePassed { phase: u32 },
    Completed,
    Paused,
    Resumed,
    RollbackStarted { reason: String },
    RolledBack,
    DeviceSilent { device: DeviceId, last_seen: UtcMillis },
    DeviceReturned { device: DeviceId },
}

impl Deployment {
    pub(crate) fn new(plan: NewDeployment, at: UtcMillis) -> Self {
        let n = plan.phases.len();
        let progress = |phase| DeviceProgress { phase, state: None, errors: 0, critical: None, silent: false };
        let devices = plan.devices.iter().map(|(d, phase)| (d.clone(), progress(*phase))).collect();
        Self {
            created_at: at,
            status: Status::Running,
            current: 0,
            phases: vec![PhaseStatus::Pending; n],
            gates: vec![None; n],
            validations: vec![None; n],
            devices,
            plan,
        }
    }

    /// Whether the phase has been opened.
    pub(crate) fn is_open(&self, phase: u32) -> bool {
        self.phases.get(phase as usize).is_some_and(|p| *p != PhaseStatus::Pending)
    }

    /// Whether the deployment still has work to do.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused | Status::RollingBack { .. })
    }

    /// The devices of opened phases.
    pub(crate) fn opened(&self) -> impl Iterator<Item = (&DeviceId, &DeviceProgress)> {
        self.devices.iter().filter(|(_, p)| self.is_open(p.phase))
    }

    /// The devices of one phase.
    pub(crate) fn in_phase(&self, phase: u32) -> impl Iterator<Item = &DeviceProgress> {
        self.devices.values().filter(move |p| p.phase == phase)
    }

    /// Moves the deployment; the only place where it changes by its own events.
    pub(crate) fn apply(&mut self, at: UtcMillis, change: &Change) {
        match change {
            Change::PhaseOpened { phase } => {
                self.current = *phase;
                self.set(*phase, PhaseStatus::Deploying { since: at });
            }
            Change::MonitoringStarted { phase } => self.set(*phase, PhaseStatus::Monitoring { since: at }),
            Change::GateEvaluated { record } => {
                if record.passed {
                    self.set(record.phase, PhaseStatus::AwaitingValidation { since: at });
                }
                if let Some(slot) = self.gates.get_mut(record.phase as usize) {
                    *slot = Some(record.clone());
                }
            }
            Change::ValidationSigned { phase, validation } => {
                if let Some(slot) = self.validations.get_mut(*phase as usize) {
                    *slot = Some(validation.clone());
                }
            }
            Change::PhasePassed { phase } => self.set(*phase, PhaseStatus::Passed { at }),
            Change::Completed => self.status = Status::Completed,
            Change::Paused => self.status = Status::Paused,
            Change::Resumed => self.status = Status::Running,
            Change::RollbackStarted { reason } => self.status = Status::RollingBack { reason: reason.clone() },
            Change::RolledBack => {
                if let Status::RollingBack { reason } = &self.status {
                    self.status = Status::RolledBack { reason: reason.clone() };
                }
            }
            Change::DeviceSilent { device, .. } => {
                if let Some(progress) = self.devices.get_mut(device) {
                    progress.silent = true;
                }
            }
            Change::DeviceReturned { device } => {
                if let Some(progress) = self.devices.get_mut(device) {
                    progress.silent = false;
                }
            }
        }
    }

    fn set(&mut self, phase: u32, status: PhaseStatus) {
        if let Some(slot) = self.phases.get_mut(phase as usize) {
            *slot = status;
        }
    }
}
