//! What somebody asks of a deployment: strategy, phases and rules. Checked here, recorded as it was asked.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Finish;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GroupId, HospitalId, RecallId};
use mdfm_shared::manifest::is_label;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Role;
use serde::{Deserialize, Serialize};

use super::super::Refusal;
use super::window::{self, WEEKLY_MAX, Weekly};

/// Phases of one deployment.
pub const PHASES_MAX: usize = 20;
/// Hospitals with windows of their own in one request: they must fit one record of the log.
const GIVEN_WINDOWS_MAX: usize = 256;
/// Longest monitoring time: a year.
const MONITORING_MS_MAX: u64 = 366 * 86_400_000;
/// Canaries in one hospital.
const CANARIES_MAX: u32 = 100;
/// Daily reports of one deployment.
const DAILY_REPORTS_MAX: u32 = 366;

/// How a deployment goes about; `deployment-strategies` of the founding documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Strategy {
    /// Hospitals phase by phase.
    Progressive,
    /// A few devices first, then hospitals phase by phase.
    Canary,
    /// All at once, watched closely.
    Emergency,
    /// In the hospitals' maintenance windows.
    Scheduled,
}

impl Strategy {
    /// Its name, as plans have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Progressive => "Progressive",
            Self::Canary => "Canary",
            Self::Emergency => "Emergency",
            Self::Scheduled => "Scheduled",
        }
    }
}

/// Which devices a phase reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reach {
    /// Whole hospitals, up to the phase's percentage.
    Hospitals,
    /// These devices, and so many more in each hospital that has none of them.
    Canaries { named: BTreeSet<DeviceId>, per_hospital: u32 },
    /// So many devices in each hospital of the next phase.
    CanariesOfNext { per_hospital: u32 },
}

/// One phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSpec {
    pub name: String,
    /// Hospitals of this cohort come first after the named ones; `all` prefers none.
    pub cohort: String,
    /// Share of all hospitals reached when this phase is open, in percent.
    pub percentage: f64,
    /// Hospitals that must be in this phase.
    pub target_hospitals: Vec<HospitalId>,
    pub reach: Reach,
    /// Highest share of failed devices, in percent.
    pub max_error_rate_percent: f64,
    /// Highest number of failed devices; where it is given, it counts instead of the rate.
    pub max_errors: Option<u32>,
    /// Time under observation after the last device of the phase settled, in milliseconds.
    pub monitoring_ms: u64,
    /// Share of the phase's devices that must have settled before monitoring starts and at the gate, in percent.
    pub min_reporting_percent: f64,
    /// Hours that devices must have been observed on the new firmware, all together.
    pub min_device_hours: f64,
    /// Who must sign before the phase passes; none where the strategy asks for nobody.
    pub validation: Option<Role>,
}

/// When devices may be activated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "rule")]
pub enum WindowRule {
    /// At any time, whatever hospitals registered. Only deployments that were created before [`Self::Registered`] existed have it.
    Anytime,
    /// In the windows that the hospital registered, or at any time if it registered none.
    Registered { finish: Finish },
    /// At any time, whatever hospitals registered, for the reason that somebody gave.
    Ignored { reason: String },
    /// In the windows given here, or else in those that the hospital registered.
    Windows {
        given: BTreeMap<HospitalId, Vec<Weekly>>,
        finish: Finish,
        /// Whether a given window counts only inside those that the hospital registered. `false` only in deployments that were
        /// created before the field existed, or with a reason to ignore what is registered.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps_registered: bool,
        /// Why the given windows replace those that the hospital registered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ignored_because: Option<String>,
    },
}

impl WindowRule {
    /// Whether devices of some hospital may have to wait for a window.
    pub fn has_windows(&self) -> bool {
        matches!(self, Self::Registered { .. } | Self::Windows { .. })
    }

    /// Why windows that hospitals registered are ignored; `None` if they are kept.
    pub fn ignored_because(&self) -> Option<&str> {
        match self {
            Self::Ignored { reason } => Some(reason),
            Self::Windows { ignored_because, .. } => ignored_because.as_deref(),
            Self::Anytime | Self::Registered { .. } => None,
        }
    }
}

/// Whose consent a hospital's devices need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConsentRule {
    /// Of the staff of those hospitals that registered that they are to be asked.
    AsRegistered,
    /// Of every hospital's staff.
    Every,
}

/// Whether devices registered later join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Membership {
    Fixed,
    Dynamic,
}

/// What silent devices that were not on trial do to the deployment. Those on trial always count as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnSilence {
    /// They hold the gate.
    Hold,
    /// They count as failed at once.
    Fail,
}

/// How far a fault on the devices of one gateway reaches, before a person decides (DESIGN §10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum CriticalReach {
    /// Its hospital goes back, everything else is held. However many hospitals report faults, only a person rolls back the rest.
    Hospital,
    /// As `Hospital` for the first source; a second one in another hospital rolls back every opened phase.
    Sources,
    /// Every opened phase goes back.
    Deployment,
}

/// Status reports that are owed at intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReports {
    pub interval_ms: u64,
    pub count: u32,
}

/// The rules of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    pub strategy: Strategy,
    pub phases: Vec<PhaseSpec>,
    pub windows: WindowRule,
    pub consent: ConsentRule,
    pub membership: Membership,
    /// The group whose devices are meant: those registered later join only if they are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    pub on_silence: OnSilence,
    /// Whether the first failed device stops the deployment whatever the gates say.
    pub auto_rollback: bool,
    /// A device on trial that is not heard of for three such intervals counts as silent; none for the coordinator's limit.
    pub monitoring_interval_ms: Option<u64>,
    pub fda_notification: bool,
    pub status_reports: Option<StatusReports>,
    /// Longest time between the first and the last approval of the firmware; none for the trust root's.
    pub approval_window_ms: Option<u64>,
    /// `None` only in deployments that were created before the field existed; see [`Self::critical_reach`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_reach: Option<CriticalReach>,
}

/// Which devices a deployment is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Every device of the firmware's model.
    All,
    Named(Vec<DeviceId>),
    /// Those of the firmware's model in the group that the rules name.
    Group,
    /// The devices that a recall still waits for.
    Recall(RecallId),
}

/// A deployment as somebody asks for it; the API has parsed the seed's spellings into this.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentRequest {
    pub firmware: FirmwareId,
    pub targets: Targets,
    pub spec: Spec,
    /// Active deployments that this one takes over from.
    pub supersedes: BTreeSet<DeploymentId>,
    /// Digest of the plan that was shown before; none to take whatever the plan is now.
    pub pinned: Option<Digest>,
}

fn check_share(field: &str, percent: f64) -> Result<(), Refusal> {
    if (0.0..=100.0).contains(&percent) { Ok(()) } else { Err(Refusal::invalid(field, "must be 0 to 100")) }
}

fn check_phase(i: usize, phase: &PhaseSpec, reached: &mut f64) -> Result<(), Refusal> {
    let field = |name: &str| format!("phases[{i}].{name}");
    if !is_label(&phase.name) || !is_label(&phase.cohort) {
        let problem = "name and hospitalCohort must be 1 to 128 printable characters";
        return Err(Refusal::invalid(&field("name"), problem));
    }
    match &phase.reach {
        Reach::Hospitals => {
            if !(phase.percentage > *reached && phase.percentage <= 100.0) {
                let problem =
                    format!("must rise from phase to phase, up to 100; found {} after {reached}", phase.percentage);
                return Err(Refusal::invalid(&field("percentage"), problem));
            }
            *reached = phase.percentage;
        }
        Reach::Canaries { named, per_hospital } => {
            if named.is_empty() && *per_hospital == 0 {
                return Err(Refusal::invalid("canaryDevices", "name devices, or how many in each hospital"));
            }
            check_canaries(*per_hospital)?;
        }
        Reach::CanariesOfNext { per_hospital } => check_canaries((*per_hospital).max(1))?,
    }
    check_share(&field("maxErrorRatePercent"), phase.max_error_rate_percent)?;
    check_share(&field("minReportingPercent"), phase.min_reporting_percent)?;
    if phase.min_reporting_percent <= 0.0 {
        return Err(Refusal::invalid(&field("minReportingPercent"), "must be above 0: silence proves nothing"));
    }
    if !(0.0..=1e12).contains(&phase.min_device_hours) {
        return Err(Refusal::invalid(&field("minDeviceHours"), "must be 0 or more"));
    }
    if phase.monitoring_ms > MONITORING_MS_MAX {
        return Err(Refusal::invalid(&field("monitoringDuration"), "must be at most 366 days"));
    }
    Ok(())
}

fn check_canaries(per_hospital: u32) -> Result<(), Refusal> {
    if per_hospital > CANARIES_MAX {
        return Err(Refusal::invalid("canaryDevicesPerHospital", format!("must be at most {CANARIES_MAX}")));
    }
    Ok(())
}

/// Checks weekly windows as somebody gave them under `field`.
pub fn check_windows(field: &str, windows: &[Weekly]) -> Result<(), Refusal> {
    if windows.len() > WEEKLY_MAX {
        return Err(Refusal::invalid(field, format!("at most {WEEKLY_MAX} windows a hospital")));
    }
    for window in windows {
        if window::zone(&window.timezone).is_none() {
            let problem = format!("{:?} is no IANA time zone, for example America/New_York", window.timezone);
            return Err(Refusal::invalid(&format!("{field}.timezone"), problem));
        }
        if !(1..=7).contains(&window.weekday) || window.start_s >= 86_400 || window.end_s > 86_400 {
            return Err(Refusal::invalid(field, "weekday 1 to 7, times within one day"));
        }
    }
    Ok(())
}

impl Spec {
    /// How far one source reaches; [`CriticalReach::Sources`] where the deployment does not say.
    pub fn critical_reach(&self) -> CriticalReach {
        self.critical_reach.unwrap_or(CriticalReach::Sources)
    }

    /// Checks everything that does not depend on the fleet.
    ///
    /// # Errors
    /// The first field that makes no sense, and why.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.phases.is_empty() || self.phases.len() > PHASES_MAX {
            return Err(Refusal::invalid("phases", format!("must be 1 to {PHASES_MAX}")));
        }
        let mut reached = 0.0;
        for (i, phase) in self.phases.iter().enumerate() {
            check_phase(i, phase, &mut reached)?;
        }
        for pair in self.phases.windows(2) {
            if matches!(pair[0].reach, Reach::CanariesOfNext { .. }) && pair[1].reach != Reach::Hospitals {
                return Err(Refusal::invalid("phases", "canaries of a phase must be followed by the phase itself"));
            }
        }
        if matches!(self.phases.last().map(|p| &p.reach), Some(Reach::CanariesOfNext { .. })) {
            return Err(Refusal::invalid("phases", "the last phase has canaries and no devices"));
        }
        let mut named = BTreeSet::new();
        for (i, hospital) in
            self.phases.iter().enumerate().flat_map(|(i, p)| p.target_hospitals.iter().map(move |h| (i, h)))
        {
            if !named.insert(hospital) {
                let problem = format!("{hospital} is named in two phases; a hospital is in one");
                return Err(Refusal::invalid(&format!("phases[{i}].targetHospitals"), problem));
            }
        }
        if let WindowRule::Windows { given, .. } = &self.windows {
            if given.len() > GIVEN_WINDOWS_MAX {
                let problem = format!("for at most {GIVEN_WINDOWS_MAX} hospitals; register the others' own windows");
                return Err(Refusal::invalid("maintenanceWindows", problem));
            }
            for windows in given.values() {
                check_windows("maintenanceWindows", windows)?;
            }
        }
        if self.monitoring_interval_ms.is_some_and(|ms| !(1_000..=3_600_000).contains(&ms)) {
            return Err(Refusal::invalid("monitoringInterval", "must be one second to one hour"));
        }
        if self.status_reports.is_some_and(|r| r.interval_ms < 1_000 || r.count > DAILY_REPORTS_MAX) {
            return Err(Refusal::invalid("statusReportInterval", "must be one second or more, at most 366 reports"));
        }
        Ok(())
    }

    /// The weekly windows in which devices of a hospital with these registered ones may be activated; none for any time.
    pub fn windows_of<'a>(&'a self, hospital: &HospitalId, registered: &'a [Weekly]) -> Option<(&'a [Weekly], Finish)> {
        match &self.windows {
            WindowRule::Anytime | WindowRule::Ignored { .. } => None,
            WindowRule::Registered { finish } => (!registered.is_empty()).then_some((registered, *finish)),
            WindowRule::Windows { given, finish, .. } => {
                Some((given.get(hospital).map_or(registered, Vec::as_slice), *finish))
            }
        }
    }

    /// The spans in which a device of that hospital may be activated from `now` until `until`.
    pub fn spans_of(
        &self,
        hospital: &HospitalId,
        registered: &[Weekly],
        now: UtcMillis,
        until: UtcMillis,
        max: usize,
    ) -> Option<(Vec<mdfm_shared::directive::Window>, Finish)> {
        let (weekly, finish) = self.windows_of(hospital, registered)?;
        let is_kept = matches!(self.windows, WindowRule::Windows { keeps_registered: true, .. });
        if !is_kept || registered.is_empty() || weekly == registered {
            return Some((window::spans(weekly, now, until, max), finish));
        }
        let all = |windows| window::spans(windows, now, until, usize::MAX);
        let mut kept = window::common(&all(weekly), &all(registered));
        kept.truncate(max);
        Some((kept, finish))
    }

    /// The windows that a hospital registered and that this deployment does not keep.
    pub fn ignored_windows<'a>(&self, hospital: &HospitalId, registered: &'a [Weekly]) -> &'a [Weekly] {
        let is_ignored = match &self.windows {
            WindowRule::Anytime | WindowRule::Ignored { .. } => true,
            WindowRule::Registered { .. } | WindowRule::Windows { keeps_registered: true, .. } => false,
            WindowRule::Windows { given, .. } => given.get(hospital).is_some_and(|given| given != registered),
        };
        if is_ignored { registered } else { &[] }
    }
}
