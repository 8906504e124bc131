//! A deployment as the founding documents write it in JSON: four strategies, two spellings, and what we added to them.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::directive::Finish;
use mdfm_shared::id::HospitalId;
use mdfm_shared::trust::Role;
use serde::Deserialize;

use super::super::{Refusal, reason};
use super::fitness::nearest;
use super::spec::{
    ConsentRule, CriticalReach, DeploymentRequest, Membership, OnSilence, PhaseSpec, Reach, Spec, StatusReports,
    Strategy, Targets, WindowRule,
};
use super::window::{self, Weekly};

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
/// Days of round-the-clock monitoring, and of daily reports, after an emergency deployment (the seed).
const EMERGENCY_DAYS: u32 = 7;
/// Characters that an error repeats of a word that is not known.
const WORD_CHARS_SHOWN: usize = 64;

/// A deployment as somebody writes it; unknown fields are refused.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentJson {
    #[serde(default)]
    firmware_id: Option<String>,
    /// `Progressive` (also `ProgressiveHospital`), `Canary`, `Emergency` or `Scheduled`.
    strategy: String,
    /// Device ids, or `all` (the default) for every device of the firmware's model.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    target_devices: Option<TargetsJson>,
    /// The devices of the firmware's model in this group, instead of `targetDevices`.
    #[serde(default)]
    target_group: Option<String>,
    /// The devices that this recall still waits for, instead of `targetDevices`.
    #[serde(default)]
    target_recall: Option<String>,
    #[serde(default, alias = "rolloutPhases")]
    phases: Option<Vec<PhaseJson>>,
    /// Canary: the devices that go first.
    #[serde(default)]
    canary_devices: Vec<String>,
    /// Canary: so many devices in each hospital that has none of the named ones.
    #[serde(default)]
    canary_devices_per_hospital: Option<u32>,
    #[serde(default)]
    canary_monitoring_days: Option<f64>,
    /// ISO 8601; instead of `canaryMonitoringDays`.
    #[serde(default)]
    canary_monitoring: Option<String>,
    #[serde(default)]
    validation_gate: Option<ValidationGateJson>,
    /// Emergency: longest time between the first and the last approval, ISO 8601.
    #[serde(default)]
    approval_window: Option<String>,
    /// A device on trial that is unheard of for three such intervals counts as silent, ISO 8601.
    #[serde(default)]
    monitoring_interval: Option<String>,
    /// Whether the first failed device stops the deployment.
    #[serde(default)]
    auto_rollback: Option<bool>,
    /// How far a fault on the devices of one gateway reaches without a person: `hospital`, `sources` (the default) or
    /// `deployment` (the default of Emergency with `autoRollback`).
    #[serde(default)]
    critical_reach: Option<String>,
    #[serde(default)]
    fda_notification_required: Option<bool>,
    /// Emergency: time under observation after the last device settled, ISO 8601; seven days by default.
    #[serde(default)]
    post_deployment_monitoring: Option<String>,
    /// Emergency: time between the status reports that are owed, ISO 8601; a day by default.
    #[serde(default)]
    status_report_interval: Option<String>,
    /// Windows by hospital; hospitals without one keep to those that they registered.
    #[serde(default)]
    maintenance_windows: Vec<WindowJson>,
    /// Whether work must end inside its window, or only begin there. Given without windows, the registered ones count.
    #[serde(default)]
    pause_outside_window: Option<bool>,
    /// Whether the windows that hospitals registered are ignored, as in an emergency; they are kept by default.
    #[serde(default)]
    ignore_windows: Option<bool>,
    /// Why they are ignored; needed with `ignoreWindows`.
    #[serde(default)]
    ignore_windows_reason: Option<String>,
    /// `asRegistered` (the default) or `every`.
    #[serde(default)]
    hospital_consent: Option<String>,
    /// `fixed` (the default) or `dynamic`: devices registered later join.
    #[serde(default)]
    membership: Option<String>,
    /// `hold` (the default) or `fail`: what silent devices that were not on trial do.
    #[serde(default)]
    on_silence: Option<String>,
    /// Active deployments of older firmware that this one takes over from.
    #[serde(default)]
    supersedes: Vec<String>,
    /// The digest that a dry run showed; refused if the plan would be another one now.
    #[serde(default)]
    plan_digest: Option<String>,
    /// The same as `dryRun` in the query. Tools give it here: a coordinator that does not know it refuses it and does nothing.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TargetsJson {
    Named(Vec<String>),
    Word(String),
}

/// A phase as somebody writes it.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PhaseJson {
    #[serde(default)]
    name: Option<String>,
    hospital_cohort: String,
    percentage: f64,
    #[serde(default)]
    target_hospitals: Vec<String>,
    #[serde(default)]
    max_error_rate_percent: Option<f64>,
    /// Number of failed devices that are tolerated; counts instead of the rate.
    #[serde(default)]
    max_errors: Option<u32>,
    #[serde(default)]
    monitoring_duration_hours: Option<f64>,
    /// ISO 8601, for example `PT72H`; instead of `monitoringDurationHours`.
    #[serde(default)]
    monitoring_duration: Option<String>,
    /// Who signs at the gate: Clinical, QA or Regulatory.
    #[serde(default)]
    validation_role: Option<String>,
    /// Share of the devices that must have settled; 100 by default.
    #[serde(default)]
    min_reporting_percent: Option<f64>,
    /// Hours of observation on the new firmware, all devices together.
    #[serde(default)]
    min_device_hours: Option<f64>,
    /// So many devices of each hospital of this phase go first, as a phase of their own that tolerates no error.
    #[serde(default)]
    canary_devices_per_hospital: Option<u32>,
    /// How long they are watched, ISO 8601; as long as the phase by default.
    #[serde(default)]
    canary_monitoring: Option<String>,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidationGateJson {
    #[serde(default)]
    max_errors: Option<u32>,
    #[serde(default)]
    requires_staff_validation: Option<bool>,
}

/// A weekly window of one hospital as somebody writes it.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowJson {
    /// Needed in a deployment; a hospital's own windows are its own.
    #[serde(default)]
    hospital_id: Option<String>,
    day_of_week: String,
    start_time: String,
    end_time: String,
    timezone: String,
}

impl WindowJson {
    /// The window, checked.
    ///
    /// # Errors
    /// Which field of `field` cannot be read.
    pub fn parse(&self, field: &str) -> Result<Weekly, Refusal> {
        let bad = |name: &str, text: &str, wanted: &str| {
            Refusal::invalid(&format!("{field}.{name}"), format!("{text:?} is not {wanted}"))
        };
        let time =
            |name: &str, text: &str| window::time_of_day(text).ok_or_else(|| bad(name, text, "a time, HH:MM:SS"));
        Ok(Weekly {
            weekday: window::weekday(&self.day_of_week)
                .ok_or_else(|| bad("dayOfWeek", &self.day_of_week, "a day of the week in English"))?,
            start_s: time("startTime", &self.start_time)?,
            end_s: time("endTime", &self.end_time)?,
            timezone: self.timezone.clone(),
        })
    }
}

/// A weekly window as it is shown.
pub fn window_text(window: &Weekly) -> serde_json::Value {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let time = |s: u32| format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60);
    serde_json::json!({
        "dayOfWeek": DAYS.get(usize::try_from(window.weekday - 1).unwrap_or(0)).copied().unwrap_or("?"),
        "startTime": time(window.start_s),
        "endTime": time(window.end_s),
        "timezone": window.timezone,
    })
}

fn id<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|e| Refusal::invalid(field, e))
}

fn duration_ms(field: &str, text: &str) -> Result<u64, Refusal> {
    let span: jiff::SignedDuration = match text.parse() {
        Ok(duration) => duration,
        // Days have no fixed length in the calendar; here a day is 24 hours.
        Err(first) => text
            .parse::<jiff::Span>()
            .ok()
            .filter(|s| s.get_years() == 0 && s.get_months() == 0)
            .and_then(|s| s.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok())
            .ok_or_else(|| Refusal::invalid(field, format!("{text:?} is no ISO 8601 duration: {first}")))?,
    };
    u64::try_from(span.as_millis()).map_err(|_| Refusal::invalid(field, format!("{text:?} is negative")))
}

fn optional_ms(field: &str, text: Option<&str>) -> Result<Option<u64>, Refusal> {
    text.map(|t| duration_ms(field, t)).transpose()
}

fn hours_ms(field: &str, hours: f64) -> Result<u64, Refusal> {
    if !(0.0..=24.0 * 366.0).contains(&hours) {
        return Err(Refusal::invalid(field, format!("must be 0 to 8784 hours, found {hours}")));
    }
    Ok((hours * HOUR_MS as f64).round() as u64)
}

/// The seed's figures for a phase that does not give its own: those of the cohort, or of the place.
fn defaults(cohort: &str, index: usize, count: usize) -> (f64, f64, Role) {
    match (cohort, index) {
        ("pilot", _) => (1.0, 72.0, Role::Clinical),
        ("regional", _) => (0.5, 48.0, Role::Qa),
        ("all", _) => (0.1, 24.0, Role::Regulatory),
        (_, i) if i + 1 == count => (0.1, 24.0, Role::Regulatory),
        (_, 0) => (1.0, 72.0, Role::Clinical),
        _ => (0.5, 48.0, Role::Qa),
    }
}

/// One phase, and the phase of its canaries before it where it has some. `pace` shortens the default monitoring times.
fn phases(list: &[PhaseJson], pace: f64) -> Result<Vec<PhaseSpec>, Refusal> {
    let mut all = Vec::new();
    for (i, phase) in list.iter().enumerate() {
        let (max_error, hours, role) = defaults(&phase.hospital_cohort, i, list.len());
        let field = |name: &str| format!("phases[{i}].{name}");
        let monitoring_ms = match (&phase.monitoring_duration, phase.monitoring_duration_hours) {
            (Some(_), Some(_)) => {
                let problem = "give monitoringDuration or monitoringDurationHours, not both";
                return Err(Refusal::invalid(&field("monitoringDuration"), problem));
            }
            (Some(text), None) => duration_ms(&field("monitoringDuration"), text)?,
            (None, given) => hours_ms(&field("monitoringDurationHours"), given.unwrap_or(hours * pace))?,
        };
        let whole = PhaseSpec {
            name: phase.name.clone().unwrap_or_else(|| phase.hospital_cohort.clone()),
            cohort: phase.hospital_cohort.clone(),
            percentage: phase.percentage,
            target_hospitals: phase
                .target_hospitals
                .iter()
                .map(|h| id(&field("targetHospitals"), h))
                .collect::<Result<_, _>>()?,
            reach: Reach::Hospitals,
            max_error_rate_percent: phase.max_error_rate_percent.unwrap_or(max_error),
            max_errors: phase.max_errors,
            monitoring_ms,
            min_reporting_percent: phase.min_reporting_percent.unwrap_or(100.0),
            min_device_hours: phase.min_device_hours.unwrap_or(0.0),
            validation: Some(match &phase.validation_role {
                Some(text) => id(&field("validationRole"), text)?,
                None => role,
            }),
        };
        if let Some(per_hospital) = phase.canary_devices_per_hospital {
            let watched = optional_ms(&field("canaryMonitoring"), phase.canary_monitoring.as_deref())?;
            all.push(PhaseSpec {
                name: format!("{} canaries", whole.name),
                reach: Reach::CanariesOfNext { per_hospital },
                target_hospitals: Vec::new(),
                max_errors: Some(0),
                monitoring_ms: watched.unwrap_or(monitoring_ms),
                min_device_hours: 0.0,
                validation: Some(Role::Clinical),
                ..whole.clone()
            });
        }
        all.push(whole);
    }
    Ok(all)
}

/// The seed's three phases.
fn progressive() -> Vec<PhaseJson> {
    [("Pilot", "pilot", 10.0), ("Regional", "regional", 50.0), ("Full", "all", 100.0)]
        .map(|(name, cohort, percentage)| PhaseJson {
            name: Some(name.into()),
            hospital_cohort: cohort.into(),
            percentage,
            target_hospitals: Vec::new(),
            max_error_rate_percent: None,
            max_errors: None,
            monitoring_duration_hours: None,
            monitoring_duration: None,
            validation_role: None,
            min_reporting_percent: None,
            min_device_hours: None,
            canary_devices_per_hospital: None,
            canary_monitoring: None,
        })
        .into()
}

/// One phase that reaches every hospital.
fn everybody(name: &str, monitoring_ms: u64, validation: Role) -> PhaseSpec {
    PhaseSpec {
        name: name.into(),
        cohort: "all".into(),
        percentage: 100.0,
        target_hospitals: Vec::new(),
        reach: Reach::Hospitals,
        max_error_rate_percent: 0.1,
        max_errors: None,
        monitoring_ms,
        min_reporting_percent: 100.0,
        min_device_hours: 0.0,
        validation: Some(validation),
    }
}

/// The word of a field with two words, the first of them the default.
fn word<T>(field: &str, text: Option<&str>, words: [(&str, T); 2]) -> Result<T, Refusal> {
    let [(first, default), (second, other)] = words;
    match text {
        None => Ok(default),
        Some(text) if text == first => Ok(default),
        Some(text) if text == second => Ok(other),
        Some(text) => Err(Refusal::invalid(field, format!("{text:?} is neither {first} nor {second}"))),
    }
}

impl DeploymentJson {
    /// Whether the plan is only to be shown.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn strategy(&self) -> Result<Strategy, Refusal> {
        let known = [
            ("Progressive", Strategy::Progressive),
            ("ProgressiveHospital", Strategy::Progressive),
            ("Canary", Strategy::Canary),
            ("Emergency", Strategy::Emergency),
            ("Scheduled", Strategy::Scheduled),
        ];
        let given = self.strategy.as_str();
        known.iter().find(|(word, _)| word.eq_ignore_ascii_case(given)).map(|(_, strategy)| *strategy).ok_or_else(
            || {
                let meant = nearest(given, known.iter().map(|(word, _)| *word));
                let meant = meant.map_or_else(String::new, |word| format!("; did you mean {word:?}?"));
                let shown: String = given.chars().take(WORD_CHARS_SHOWN).collect();
                let problem = format!("{shown:?} is not known; use Progressive, Canary, Emergency or Scheduled{meant}");
                Refusal::invalid("strategy", problem)
            },
        )
    }

    fn targets(&self) -> Result<Targets, Refusal> {
        match (&self.target_devices, &self.target_recall, &self.target_group) {
            (None, None, Some(_)) => Ok(Targets::Group),
            (None, Some(recall), None) => Ok(Targets::Recall(id("targetRecall", recall)?)),
            (None, None, None) => Ok(Targets::All),
            (Some(TargetsJson::Word(word)), None, None) if word == "all" => Ok(Targets::All),
            (Some(TargetsJson::Word(word)), None, None) => {
                let problem = format!("must be a list of device ids or \"all\", found {word:?}");
                Err(Refusal::invalid("targetDevices", problem))
            }
            (Some(TargetsJson::Named(names)), None, None) => {
                Ok(Targets::Named(names.iter().map(|n| id("targetDevices", n)).collect::<Result<_, _>>()?))
            }
            _ => Err(Refusal::invalid("targetDevices", "give one of targetDevices, targetGroup and targetRecall")),
        }
    }

    /// Words that another strategy uses are refused, not passed over.
    fn check_words(&self, strategy: Strategy) -> Result<(), Refusal> {
        let canary = !self.canary_devices.is_empty()
            || self.canary_devices_per_hospital.is_some()
            || self.canary_monitoring_days.is_some()
            || self.canary_monitoring.is_some()
            || self.validation_gate.is_some();
        let emergency = self.approval_window.is_some()
            || self.post_deployment_monitoring.is_some()
            || self.status_report_interval.is_some();
        for (given, needed, words) in [
            (canary, Strategy::Canary, "canaryDevices, canaryMonitoring and validationGate"),
            (emergency, Strategy::Emergency, "approvalWindow, postDeploymentMonitoring and statusReportInterval"),
        ] {
            if given && strategy != needed {
                return Err(Refusal::invalid("strategy", format!("{words} belong to {}", needed.name())));
            }
        }
        if strategy == Strategy::Emergency && self.phases.is_some() {
            return Err(Refusal::invalid("phases", "an emergency deployment reaches everybody at once"));
        }
        Ok(())
    }

    fn phases(&self, strategy: Strategy) -> Result<Vec<PhaseSpec>, Refusal> {
        match strategy {
            Strategy::Progressive => phases(self.phases.as_deref().unwrap_or(&progressive()), 1.0),
            Strategy::Canary => {
                let mut all = vec![self.canary_phase()?];
                // Half the seed's times: the canaries were watched before.
                all.extend(phases(self.phases.as_deref().unwrap_or(&progressive()), 0.5)?);
                Ok(all)
            }
            Strategy::Emergency => {
                let watched = optional_ms("postDeploymentMonitoring", self.post_deployment_monitoring.as_deref())?;
                let monitoring_ms = watched.unwrap_or(u64::from(EMERGENCY_DAYS) * DAY_MS);
                let all = everybody("Everybody", monitoring_ms, Role::Regulatory);
                let max_errors = self.auto_rollback.unwrap_or(true).then_some(0);
                Ok(vec![PhaseSpec { max_errors, ..all }])
            }
            Strategy::Scheduled => match &self.phases {
                Some(given) => phases(given, 1.0),
                None => Ok(vec![everybody("In the windows", DAY_MS, Role::Clinical)]),
            },
        }
    }

    fn canary_phase(&self) -> Result<PhaseSpec, Refusal> {
        let monitoring_ms = match (&self.canary_monitoring, self.canary_monitoring_days) {
            (Some(_), Some(_)) => {
                let problem = "give canaryMonitoring or canaryMonitoringDays, not both";
                return Err(Refusal::invalid("canaryMonitoring", problem));
            }
            (Some(text), None) => duration_ms("canaryMonitoring", text)?,
            (None, days) => hours_ms("canaryMonitoringDays", days.unwrap_or(7.0) * 24.0)?,
        };
        let named: BTreeSet<_> =
            self.canary_devices.iter().map(|d| id("canaryDevices", d)).collect::<Result<_, _>>()?;
        let per_hospital = self.canary_devices_per_hospital.unwrap_or(u32::from(named.is_empty()));
        let gate = self.validation_gate.as_ref();
        let staff = gate.and_then(|g| g.requires_staff_validation).unwrap_or(true);
        Ok(PhaseSpec {
            name: "Canary".into(),
            reach: Reach::Canaries { named, per_hospital },
            max_errors: Some(gate.and_then(|g| g.max_errors).unwrap_or(0)),
            validation: staff.then_some(Role::Clinical),
            ..everybody("Canary", monitoring_ms, Role::Clinical)
        })
    }

    fn critical_reach(&self, auto_rollback: bool, strategy: Strategy) -> Result<CriticalReach, Refusal> {
        match self.critical_reach.as_deref() {
            // The founding documents, read literally: an emergency that rolls back automatically rolls back everything.
            None if strategy == Strategy::Emergency && auto_rollback => Ok(CriticalReach::Deployment),
            None | Some("sources") => Ok(CriticalReach::Sources),
            Some("hospital") => Ok(CriticalReach::Hospital),
            Some("deployment") => Ok(CriticalReach::Deployment),
            Some(other) => {
                let problem = format!("{other:?} is not known; use hospital, sources or deployment");
                Err(Refusal::invalid("criticalReach", problem))
            }
        }
    }

    /// Why the windows that hospitals registered are ignored; `None` if they are kept.
    fn ignored_because(&self) -> Result<Option<String>, Refusal> {
        match (self.ignore_windows.unwrap_or(false), &self.ignore_windows_reason) {
            (false, None) => Ok(None),
            (true, Some(reason)) => {
                reason::check("ignoreWindowsReason", reason)?;
                Ok(Some(reason.clone()))
            }
            (true, None) => {
                let problem = "is missing: why may the windows that hospitals registered be ignored?";
                Err(Refusal::invalid("ignoreWindowsReason", problem))
            }
            (false, Some(_)) => Err(Refusal::invalid("ignoreWindowsReason", "is given without ignoreWindows")),
        }
    }

    fn windows(&self, strategy: Strategy) -> Result<WindowRule, Refusal> {
        let ignored_because = self.ignored_because()?;
        let finish = if self.pause_outside_window.unwrap_or(true) { Finish::Inside } else { Finish::Anytime };
        if self.maintenance_windows.is_empty() {
            let asks_for_windows = strategy == Strategy::Scheduled || self.pause_outside_window.is_some();
            return match ignored_because {
                Some(_) if asks_for_windows => {
                    let problem = "contradicts the strategy Scheduled and pauseOutsideWindow, which keep to the registered windows; \
                                   give maintenanceWindows, or leave one of them out";
                    Err(Refusal::invalid("ignoreWindows", problem))
                }
                Some(reason) => Ok(WindowRule::Ignored { reason }),
                None if asks_for_windows => {
                    let given = BTreeMap::new();
                    Ok(WindowRule::Windows { given, finish, keeps_registered: true, ignored_because: None })
                }
                None => Ok(WindowRule::Registered { finish }),
            };
        }
        let mut given: BTreeMap<HospitalId, Vec<Weekly>> = BTreeMap::new();
        for (i, window) in self.maintenance_windows.iter().enumerate() {
            let field = format!("maintenanceWindows[{i}]");
            let hospital = window
                .hospital_id
                .as_deref()
                .ok_or_else(|| Refusal::invalid(&format!("{field}.hospitalId"), "is missing: whose window is it?"))?;
            given.entry(id(&format!("{field}.hospitalId"), hospital)?).or_default().push(window.parse(&field)?);
        }
        Ok(WindowRule::Windows { given, finish, keeps_registered: ignored_because.is_none(), ignored_because })
    }

    /// The request, its fields read; `firmware_in_query` counts if the document names none, and must not contradict it.
    ///
    /// # Errors
    /// The first field that cannot be read, and why.
    pub fn parse(&self, firmware_in_query: Option<&str>) -> Result<DeploymentRequest, Refusal> {
        let strategy = self.strategy()?;
        self.check_words(strategy)?;
        let firmware = match (self.firmware_id.as_deref(), firmware_in_query) {
            (Some(document), Some(query)) if document != query => {
                let problem = format!("is {document:?} in the document and {query:?} in the query; name one release");
                return Err(Refusal::invalid("firmwareId", problem));
            }
            (Some(firmware), _) | (None, Some(firmware)) => firmware,
            (None, None) => {
                return Err(Refusal::invalid("firmwareId", "is missing: which firmware shall be deployed?"));
            }
        };
        let emergency = strategy == Strategy::Emergency;
        let interval = optional_ms("monitoringInterval", self.monitoring_interval.as_deref())?;
        let reports = optional_ms("statusReportInterval", self.status_report_interval.as_deref())?;
        let auto_rollback = self.auto_rollback.unwrap_or(emergency);
        let spec = Spec {
            strategy,
            phases: self.phases(strategy)?,
            windows: self.windows(strategy)?,
            consent: word(
                "hospitalConsent",
                self.hospital_consent.as_deref(),
                [("asRegistered", ConsentRule::AsRegistered), ("every", ConsentRule::Every)],
            )?,
            membership: word(
                "membership",
                self.membership.as_deref(),
                [("fixed", Membership::Fixed), ("dynamic", Membership::Dynamic)],
            )?,
            group: self.target_group.as_deref().map(|g| id("targetGroup", g)).transpose()?,
            on_silence: word(
                "onSilence",
                self.on_silence.as_deref(),
                [("hold", OnSilence::Hold), ("fail", OnSilence::Fail)],
            )?,
            auto_rollback,
            monitoring_interval_ms: interval.or(emergency.then_some(10_000)),
            fda_notification: self.fda_notification_required.unwrap_or(emergency),
            status_reports: emergency
                .then(|| StatusReports { interval_ms: reports.unwrap_or(DAY_MS), count: EMERGENCY_DAYS }),
            approval_window_ms: optional_ms("approvalWindow", self.approval_window.as_deref())?,
            critical_reach: Some(self.critical_reach(auto_rollback, strategy)?),
        };
        Ok(DeploymentRequest {
            firmware: id("firmwareId", firmware)?,
            targets: self.targets()?,
            spec,
            supersedes: self.supersedes.iter().map(|d| id("supersedes", d)).collect::<Result<_, _>>()?,
            pinned: self.plan_digest.as_deref().map(|d| id("planDigest", d)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests;
