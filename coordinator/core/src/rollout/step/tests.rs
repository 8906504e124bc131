//! The engine on one deployment of three phases: what it does on its own, and what stops it.

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, HospitalId};
use mdfm_shared::telemetry::{FAULTS_COUNTED, InstallState, Severity};
use mdfm_shared::trust::Role;

use super::super::request::DeploymentJson;
use super::super::spec::OnSilence;
use super::super::{
    FirstFailure, GateRecord, GivenValidation, Members, NewDeployment, OrderedBack, Scope, duty::DutyKind,
};
use super::*;

const T0: UtcMillis = UtcMillis(1_700_000_000_000);
const HOUR_MS: u64 = 3_600_000;
/// Devices of the three phases.
const DEVICES: [usize; 3] = [10, 200, 1_000];
/// The seed's phases.
pub(in super::super) const SEED: &str = r#"{ "firmwareId": "FW-1", "strategy": "Progressive" }"#;

struct Rollout {
    deployment: Deployment,
    now: UtcMillis,
    actions: Vec<&'static str>,
    reasons: Vec<String>,
}

fn device(phase: usize, i: usize) -> DeviceId {
    format!("DEV-{phase}-{i:04}").parse().expect("a good id")
}
fn hospital(phase: usize) -> HospitalId {
    format!("H-{phase}").parse().expect("a good id")
}
/// Devices are named after their hospital's number.
fn hospital_of(device: &DeviceId) -> Option<HospitalId> {
    format!("H-{}", device.as_str().split('-').nth(1)?).parse().ok()
}

/// Each hospital has one gateway.
fn origin(device: &DeviceId) -> Option<Origin> {
    let hospital = hospital_of(device)?;
    let gateway = format!("GW-{hospital}").parse().ok();
    Some(Origin { hospital, gateway })
}

/// A plan in the API's JSON, as it is recorded.
pub(in super::super) fn plan(json: &str, first_failure: FirstFailure, members: u32) -> NewDeployment {
    let json: DeploymentJson = serde_json::from_str(json).expect("JSON");
    let request = json.parse(None).expect("a good request");
    request.spec.check().expect("makes sense");
    NewDeployment {
        deployment: "D-1".parse().expect("a good id"),
        firmware: request.firmware,
        model: "CardiacMonitor-X200".into(),
        manifest: Digest([1; 32]),
        security_version: 1,
        created_by: "operator".into(),
        spec: request.spec,
        first_failure,
        raises_security: first_failure == FirstFailure::Hold,
        members,
        plan: Digest([2; 32]),
    }
}

impl Rollout {
    /// The seed's phases, each with its devices.
    fn new() -> Self {
        Self::of(SEED, FirstFailure::ByGate, &DEVICES)
    }

    fn of(json: &str, first_failure: FirstFailure, devices: &[usize]) -> Self {
        let plan = plan(json, first_failure, devices.iter().sum::<usize>() as u32);
        let mut rollout =
            Self { deployment: Deployment::new(plan, T0), now: T0, actions: Vec::new(), reasons: Vec::new() };
        let members = devices
            .iter()
            .enumerate()
            .map(|(phase, n)| Members {
                hospital: hospital(phase),
                phase: phase as u32,
                devices: (0..*n).map(|i| device(phase, i)).collect(),
            })
            .collect();
        rollout.apply(&Change::MembersJoined { members });
        rollout
    }

    fn apply(&mut self, change: &Change) {
        self.deployment.apply(self.now, change, &hospital_of);
        self.settle();
    }

    /// Applies what the engine proposes until it proposes nothing.
    fn settle(&mut self) {
        for _ in 0..30 {
            let Some((action, change, reason)) = next(&self.deployment, self.now, &origin) else { return };
            self.deployment.apply(self.now, &change, &hospital_of);
            self.actions.push(action);
            self.reasons.push(reason);
        }
        panic!("the engine does not come to rest: {:?}", self.actions);
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.settle();
    }

    fn report(&mut self, phase: usize, i: usize, state: InstallState) {
        self.deployment.report_state(self.now, &device(phase, i), state, FAULTS_COUNTED);
        self.settle();
    }

    fn error(&mut self, phase: usize, i: usize, severity: Severity) {
        self.deployment.report_error(self.now, &device(phase, i), severity, "E: alarm");
        self.settle();
    }

    fn confirm_all_but(&mut self, phase: usize, left_out: usize) {
        let n = self.deployment.phases[phase].tally.devices as usize;
        for i in left_out..n {
            self.deployment.report_state(self.now, &device(phase, i), InstallState::Confirmed, FAULTS_COUNTED);
        }
        self.settle();
    }

    fn silent(&mut self, phase: usize, i: usize) {
        self.apply(&Change::DeviceSilent { device: device(phase, i), last_seen: T0 });
    }

    fn validate(&mut self, phase: u32) {
        let validation = GivenValidation {
            user: "somebody".parse().expect("a good id"),
            printed_name: "Some Body".into(),
            role: Role::Clinical,
            meaning: "I validate".into(),
            reason: "well".into(),
            at: self.now,
        };
        self.apply(&Change::ValidationSigned { phase, validation });
    }

    /// A phase from start to end, without a failure.
    fn finish(&mut self, phase: usize) {
        self.confirm_all_but(phase, 0);
        self.pass(self.deployment.plan.spec.phases[phase].monitoring_ms);
        self.validate(phase as u32);
    }

    fn gate(&self, phase: usize) -> &GateRecord {
        self.deployment.phases[phase].gate.as_ref().expect("a gate record")
    }

    fn status(&self, phase: usize) -> &PhaseStatus {
        &self.deployment.phases[phase].status
    }

    /// Whether that hospital alone has gone back and everything else is held.
    fn is_contained(&self, phase: usize) -> bool {
        matches!(self.deployment.status, Status::Paused { .. })
            && self.deployment.contained.keys().eq([&hospital(phase)])
    }

    /// Whether the engine has called the phase back; done at once where no device has begun.
    fn is_called_back(&self) -> bool {
        matches!(self.deployment.status, Status::RollingBack { .. } | Status::RolledBack { .. })
    }

    fn says(&self, words: &str) -> bool {
        self.reasons.iter().any(|r| r.contains(words))
    }
}

#[test]
fn seed_strat_three_phases_three_gates_three_signatures() {
    let mut rollout = Rollout::new();
    assert!(rollout.deployment.is_open(0) && !rollout.deployment.is_open(1));
    for (phase, hours) in [(0, 72), (1, 48), (2, 24)] {
        rollout.confirm_all_but(phase, 0);
        rollout.pass(hours * HOUR_MS - 1);
        assert!(rollout.deployment.phases[phase].gate.is_none(), "phase {phase}: a millisecond is left");
        rollout.pass(1);
        assert!(rollout.gate(phase).passed, "{}", rollout.gate(phase).explanation);
        assert_eq!(rollout.gate(phase).monitored_ms, hours * HOUR_MS);
        assert!(!rollout.deployment.is_open(phase as u32 + 1), "the signature is missing");
        rollout.validate(phase as u32);
    }
    assert_eq!(rollout.deployment.status, Status::Completed);
    let phase = ["deployment.phase.open", "deployment.phase.monitor", "deployment.gate", "deployment.phase.pass"];
    let expected: Vec<&str> = phase.into_iter().cycle().take(12).chain(["deployment.complete"]).collect();
    assert_eq!(rollout.actions, expected);
}

#[test]
fn monitoring_starts_when_the_last_device_settled() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 1);
    rollout.pass(1_000 * HOUR_MS);
    assert!(matches!(rollout.status(0), PhaseStatus::Deploying { .. }), "one device has not reported");
    rollout.report(0, 0, InstallState::Confirmed);
    rollout.pass(72 * HOUR_MS - 1);
    assert!(rollout.deployment.phases[0].gate.is_none());
}

#[test]
fn invariant_4_no_device_outside_the_opened_phases() {
    let rollout = Rollout::new();
    assert_eq!(rollout.deployment.sum(|t| t.devices) as usize, DEVICES[0]);
    assert_eq!(rollout.deployment.opened().map(|(i, _, _)| i).collect::<Vec<_>>(), [0]);
}

#[test]
fn seed_strat_an_error_rate_over_the_gate_rolls_back_at_any_time() {
    // 1 of 10 is 10 %, over the pilot's 1 %.
    for state in [InstallState::Failed, InstallState::RollingBack, InstallState::RolledBack] {
        let mut rollout = Rollout::new();
        rollout.report(0, 0, state);
        assert!(rollout.is_called_back(), "{state:?}");
        assert!(rollout.says("10.000 % is over the gate of 1 %"));
    }
    // In the second phase 1 of 200 is 0.5 %: exactly the limit is within it, 2 are over.
    let mut rollout = Rollout::new();
    rollout.finish(0);
    rollout.report(1, 0, InstallState::RolledBack);
    assert_eq!(rollout.deployment.status, Status::Running);
    rollout.report(1, 1, InstallState::RolledBack);
    assert!(rollout.is_contained(1), "the pilot's hospital stays");
    // An opened phase stays watched while a later one is worked on.
    let mut rollout = Rollout::new();
    rollout.finish(0);
    rollout.error(0, 0, Severity::Warning);
    assert!(!rollout.is_called_back(), "a warning is no error");
    rollout.error(0, 0, Severity::Error);
    assert!(rollout.is_contained(0));
}

/// The founding documents, read literally.
#[test]
fn seed_strat_one_critical_error_rolls_back_whatever_the_rate() {
    let json = r#"{ "firmwareId": "FW-1", "strategy": "Progressive", "criticalReach": "deployment" }"#;
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &DEVICES);
    rollout.finish(0);
    rollout.finish(1);
    rollout.report(2, 0, InstallState::Probation);
    rollout.error(2, 0, Severity::Critical);
    assert!(rollout.is_called_back(), "1 of 1000 would be within 0.1 %");
    assert!(rollout.says("critical error on DEV-2-0000: E: alarm"));
}

/// The record names the device that stopped the deployment, not one that had been taken out before.
#[test]
fn the_device_with_the_critical_error_is_named() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    let taken_out =
        Change::OrderedBack { scope: Scope::Device { device: device(0, 0) }, cause: OrderedBack::Operational };
    rollout.apply(&taken_out);
    rollout.error(0, 0, Severity::Critical);
    assert!(!rollout.is_called_back());
    rollout.error(0, 5, Severity::Critical);
    assert!(rollout.is_called_back() && rollout.says("critical error on DEV-0-0005"), "no other hospital was reached");
}

#[test]
fn seed_mon_a_silent_device_counts_as_failed_and_holds_the_gate() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 1);
    rollout.silent(0, 0);
    rollout.pass(72 * HOUR_MS);
    let gate = rollout.gate(0).clone();
    assert_eq!((gate.passed, gate.silent, gate.failed, gate.reported), (false, 1, 0, 9), "{}", gate.explanation);
    assert!(gate.explanation.contains("1 of 10 devices failed or fell silent (10.000 %, limit 1 %)"));
    // The same figures again are no new record.
    let records = rollout.actions.iter().filter(|a| **a == "deployment.gate").count();
    rollout.pass(HOUR_MS);
    assert_eq!(rollout.actions.iter().filter(|a| **a == "deployment.gate").count(), records);
    // Heard of again and confirmed, the gate holds.
    rollout.apply(&Change::DeviceReturned { device: device(0, 0) });
    rollout.report(0, 0, InstallState::Confirmed);
    assert!(rollout.gate(0).passed, "{}", rollout.gate(0).explanation);
}

/// A device that falls silent between the order to boot and its confirmation has failed, as far as anybody knows.
#[test]
fn seed_strat_silence_on_trial_counts_at_once_and_other_silence_if_asked_for() {
    for (state, stops) in [
        (InstallState::Staged, false),
        (InstallState::Activating, true),
        (InstallState::Probation, true),
        (InstallState::Confirmed, false),
    ] {
        let mut rollout = Rollout::new();
        rollout.report(0, 0, state);
        rollout.silent(0, 0);
        assert_eq!(rollout.is_called_back(), stops, "{state:?}");
    }
    let mut rollout = Rollout::of(
        r#"{ "firmwareId": "FW-1", "strategy": "Progressive", "onSilence": "fail" }"#,
        FirstFailure::ByGate,
        &DEVICES,
    );
    assert_eq!(rollout.deployment.plan.spec.on_silence, OnSilence::Fail);
    rollout.silent(0, 0);
    assert!(rollout.is_called_back());
}

#[test]
fn a_gate_never_passes_when_nobody_reported() {
    let mut rollout = Rollout::new();
    rollout.deployment.plan.spec.phases[0].max_error_rate_percent = 100.0;
    for i in 0..DEVICES[0] {
        rollout.silent(0, i);
    }
    rollout.pass(72 * HOUR_MS);
    assert_eq!((rollout.gate(0).passed, rollout.gate(0).reported), (false, 0));
    assert_eq!(rollout.gate(0).explanation, "no device has reported; the phase does not advance");
    assert_eq!(rollout.deployment.status, Status::Running, "silence alone proves no harm either");
}

#[test]
fn a_gate_that_the_fleet_is_too_small_to_prove_says_so() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.pass(72 * HOUR_MS);
    let gate = rollout.gate(0);
    assert!(gate.passed && !gate.proved);
    // 1 - 0.05^(1/10), and the smallest n with 0.99^n <= 0.05.
    assert!((gate.upper_bound_percent - 25.887).abs() < 0.01, "{}", gate.upper_bound_percent);
    assert!(gate.explanation.contains("299 devices without failure"), "{}", gate.explanation);
    assert!(gate.explanation.contains("the signature of Clinical decides"), "{}", gate.explanation);
    // 299 devices without failure do prove one percent.
    let mut rollout = Rollout::of(SEED, FirstFailure::ByGate, &[299, 1, 1]);
    rollout.confirm_all_but(0, 0);
    rollout.pass(72 * HOUR_MS);
    assert!(rollout.gate(0).proved);
    assert!(rollout.gate(0).explanation.starts_with("the error rate is below 1 % with 95 % confidence"));
}

#[test]
fn every_gate_record_holds_what_it_was_computed_from() {
    let mut rollout = Rollout::new();
    rollout.finish(0);
    rollout.confirm_all_but(1, 1);
    rollout.report(1, 0, InstallState::RolledBack);
    rollout.pass(48 * HOUR_MS);
    let gate = rollout.gate(1).clone();
    assert!(gate.passed, "exactly the limit is within it: {}", gate.explanation);
    assert_eq!((gate.phase, gate.devices, gate.withdrawn, gate.pending, gate.critical), (1, 200, 0, 0, 0));
    assert_eq!((gate.reported, gate.failed, gate.silent), (200, 1, 0));
    assert!((gate.error_rate_percent - 0.5).abs() < 1e-9 && (gate.max_error_rate_percent - 0.5).abs() < 1e-9);
    assert!((gate.reporting_percent - 100.0).abs() < 1e-9);
    assert!((gate.device_hours - 199.0 * 48.0).abs() < 1e-6, "{}", gate.device_hours);
    assert_eq!((gate.monitoring_ms, gate.monitored_ms), (48 * HOUR_MS, 48 * HOUR_MS));
}

/// With a smaller demand the phase goes on without its last devices, and they are in no rate.
#[test]
fn monitoring_starts_with_as_many_devices_as_the_phase_demands() {
    let json = r#"{ "firmwareId": "FW-1", "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "minReportingPercent": 80, "maxErrorRatePercent": 20 } ] }"#;
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[10]);
    rollout.confirm_all_but(0, 3);
    assert!(matches!(rollout.status(0), PhaseStatus::Deploying { .. }), "7 of 10");
    rollout.report(0, 2, InstallState::Failed);
    assert!(matches!(rollout.status(0), PhaseStatus::Monitoring { .. }), "8 of 10");
    rollout.pass(24 * HOUR_MS);
    let gate = rollout.gate(0).clone();
    assert_eq!((gate.passed, gate.pending, gate.reported, gate.failed), (true, 2, 8, 1), "{}", gate.explanation);
    assert!((gate.error_rate_percent - 12.5).abs() < 1e-9, "1 of 8 observed");
    // Fewer at the gate than when monitoring began: a confirmed device starts again with a newer report.
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[10]);
    rollout.confirm_all_but(0, 2);
    rollout.report(0, 2, InstallState::Staged);
    rollout.pass(24 * HOUR_MS);
    assert!(rollout.gate(0).explanation.contains("fewer than 80 % of the devices have settled"));
    assert!(!rollout.gate(0).passed);
}

#[test]
fn a_gate_waits_for_the_device_hours_that_it_demands() {
    let json = r#"{ "firmwareId": "FW-1", "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H", "minDeviceHours": 20 } ] }"#;
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[10]);
    rollout.confirm_all_but(0, 0);
    rollout.pass(HOUR_MS);
    assert!(!rollout.gate(0).passed && rollout.gate(0).explanation.contains("less than 20 device-hours"));
    // A silent device is not being observed.
    rollout.silent(0, 0);
    rollout.pass(HOUR_MS);
    assert!(!rollout.gate(0).passed, "19 device-hours");
    rollout.apply(&Change::DeviceReturned { device: device(0, 0) });
    rollout.pass(HOUR_MS / 10);
    assert!(rollout.gate(0).passed, "{}", rollout.gate(0).explanation);
    assert!((rollout.gate(0).device_hours - 20.0).abs() < 1e-6, "{}", rollout.gate(0).device_hours);
}

/// A phase of so many devices, all of them confirmed and clean, of which `version_1` do not count their faults.
fn with_version_1(devices: usize, version_1: usize, min_hours: u32) -> Rollout {
    let json = format!(
        r#"{{ "firmwareId": "FW-1", "strategy": "Progressive", "phases": [
        {{ "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H", "maxErrorRatePercent": 1,
           "minDeviceHours": {min_hours} }} ] }}"#
    );
    let mut rollout = Rollout::of(&json, FirstFailure::ByGate, &[devices]);
    for i in 0..devices {
        let detail = if i < version_1 { "faults are known by its events alone" } else { FAULTS_COUNTED };
        rollout.deployment.report_state(rollout.now, &device(0, i), InstallState::Confirmed, detail);
    }
    rollout.settle();
    rollout
}

#[test]
fn fld_26_a_device_that_cannot_prove_silence_proves_no_gate() {
    // 299 clean trials prove one percent (rule of three, exact form); 298 and one of version 1 do not.
    let mut rollout = with_version_1(299, 0, 0);
    rollout.pass(HOUR_MS);
    assert!(rollout.gate(0).proved && rollout.gate(0).passed, "{}", rollout.gate(0).explanation);
    let mut rollout = with_version_1(299, 1, 0);
    rollout.pass(HOUR_MS);
    let gate = rollout.gate(0);
    assert!(gate.passed && !gate.proved && gate.proved_clean == 298, "{}", gate.explanation);
    assert!(gate.explanation.contains("1 of the 299 devices cannot prove"), "{}", gate.explanation);
    mdfm_shared::fixture::page::symptom("What a device says", "… of the …").assert_in(&gate.explanation);
    // A fleet of version 1 goes on as before: what was observed decides, and nothing counts as proved.
    let mut rollout = with_version_1(3_000, 3_000, 0);
    rollout.pass(HOUR_MS);
    let gate = rollout.gate(0);
    assert!(gate.passed && !gate.proved && gate.error_rate_percent == 0.0, "{}", gate.explanation);
    assert!((gate.upper_bound_percent - 100.0).abs() < f64::EPSILON);
}

#[test]
fn fld_26_hours_of_version_1_count_at_half() {
    let mut rollout = with_version_1(10, 10, 20);
    rollout.pass(2 * HOUR_MS);
    assert!(!rollout.gate(0).passed && rollout.gate(0).explanation.contains("less than 20 device-hours"));
    rollout.pass(2 * HOUR_MS);
    assert!(rollout.gate(0).passed, "{}", rollout.gate(0).explanation);
    assert!((rollout.gate(0).device_hours - 20.0).abs() < 1e-6 && rollout.gate(0).counted_device_hours < 1e-6);
    // One half each: the silent one is not observed, and its hours keep their weight.
    let mut rollout = with_version_1(2, 1, 0);
    rollout.pass(HOUR_MS / 2);
    rollout.silent(0, 1);
    rollout.pass(HOUR_MS / 2);
    let gate = rollout.gate(0);
    assert!((gate.device_hours - 1.0).abs() < 1e-6, "half an hour in full, one hour at half: {}", gate.device_hours);
    assert_eq!((gate.silent, gate.proved_clean), (1, 0));
}

#[test]
fn fld_26_a_repeated_confirmation_keeps_the_proof_and_an_error_ends_it() {
    let mut rollout = with_version_1(2, 0, 0);
    rollout.deployment.report_state(rollout.now, &device(0, 0), InstallState::Confirmed, "rollback refused");
    rollout.error(0, 1, Severity::Error);
    assert_eq!(rollout.deployment.phases[0].tally.proved_clean, 1);
    rollout.report(0, 0, InstallState::RolledBack);
    assert_eq!(rollout.deployment.phases[0].tally.proved_clean, 0);
}

#[test]
fn a_gate_that_counts_errors_tolerates_so_many_and_no_more() {
    let json = r#"{ "firmwareId": "FW-1", "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "maxErrors": 2, "maxErrorRatePercent": 0 } ] }"#;
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[100]);
    rollout.confirm_all_but(0, 2);
    rollout.report(0, 0, InstallState::Failed);
    rollout.report(0, 1, InstallState::Failed);
    rollout.pass(24 * HOUR_MS);
    assert!(rollout.gate(0).passed && !rollout.gate(0).proved, "{}", rollout.gate(0).explanation);
    assert!(rollout.gate(0).explanation.starts_with("2 of 100 devices failed, at most 2 may"));
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[100]);
    rollout.confirm_all_but(0, 3);
    (0..3).for_each(|i| rollout.silent(0, i));
    rollout.pass(24 * HOUR_MS);
    assert!(
        !rollout.gate(0).passed
            && rollout.gate(0).explanation.contains("3 of 100 devices failed or fell silent, limit 2")
    );
    rollout.report(0, 0, InstallState::Failed);
    rollout.report(0, 1, InstallState::Failed);
    assert!(!rollout.is_called_back());
    rollout.report(0, 2, InstallState::Failed);
    assert!(rollout.is_called_back() && rollout.says("3 of 100 devices failed, at most 2 may"));
}

#[test]
fn a_critical_error_holds_the_gate_by_itself() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.deployment.plan.spec.phases[0].max_error_rate_percent = 100.0;
    rollout.now = rollout.now.plus_ms(72 * HOUR_MS);
    // Asked before the trigger has been.
    rollout.deployment.report_error(rollout.now, &device(0, 0), Severity::Critical, "E");
    let record = gate::evaluate(&rollout.deployment, 0, rollout.now).expect("monitored");
    assert_eq!((record.passed, record.critical), (false, 1));
    assert!(record.explanation.contains("a critical error stands"));
    let early = UtcMillis(rollout.now.0 - 1);
    let record = gate::evaluate(&rollout.deployment, 0, early).expect("monitored");
    assert!(record.explanation.contains("monitored for less than 259200 s"), "{}", record.explanation);
}

#[test]
fn a_paused_deployment_advances_nothing_and_still_rolls_back() {
    let mut rollout = Rollout::new();
    rollout.apply(&Change::Paused { reason: "lunch".into() });
    rollout.confirm_all_but(0, 0);
    rollout.pass(1_000 * HOUR_MS);
    assert!(matches!(rollout.deployment.status, Status::Paused { .. }));
    assert!(matches!(rollout.status(0), PhaseStatus::Deploying { .. }));
    rollout.report(0, 0, InstallState::RolledBack);
    assert!(rollout.is_called_back());
}

#[test]
fn a_rollback_ends_when_every_opened_device_is_back_or_raised_an_alarm() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 2);
    rollout.report(0, 0, InstallState::Probation);
    rollout.report(0, 1, InstallState::RollingBack);
    assert!(rollout.is_called_back());
    for i in 2..DEVICES[0] {
        rollout.report(0, i, InstallState::RolledBack);
    }
    rollout.report(0, 1, InstallState::RollbackFailed);
    assert!(matches!(rollout.deployment.status, Status::RollingBack { .. }), "one is still on trial");
    rollout.report(0, 0, InstallState::RolledBack);
    assert!(matches!(rollout.deployment.status, Status::RolledBack { .. }));
    assert!(rollout.says("1 need manual intervention"));
    rollout.pass(1_000 * HOUR_MS);
    assert!(matches!(rollout.deployment.status, Status::RolledBack { .. }), "nothing follows on its own");
}

#[test]
fn a_phase_that_adds_no_device_passes_without_a_signature() {
    let mut rollout = Rollout::of(SEED, FirstFailure::ByGate, &[10, 0, 5]);
    rollout.finish(0);
    assert_eq!(rollout.deployment.current, 2);
}

#[test]
fn an_aborted_deployment_waits_for_what_is_in_flight() {
    let mut rollout = Rollout::new();
    rollout.report(0, 0, InstallState::Confirmed);
    rollout.report(0, 1, InstallState::Activating);
    rollout.apply(&Change::Aborted { reason: "ordered".into() });
    assert!(matches!(rollout.deployment.status, Status::Aborting { .. }));
    rollout.report(0, 1, InstallState::RolledBack);
    assert!(matches!(&rollout.deployment.status, Status::Aborted { reason } if reason == "ordered"));
    assert!(!rollout.deployment.is_active());
}

#[test]
fn a_plan_that_was_not_completely_recorded_is_ended_before_it_begins() {
    let mut rollout = Rollout::of(SEED, FirstFailure::ByGate, &[1]);
    rollout.deployment = Deployment::new(NewDeployment { members: 2, ..rollout.deployment.plan.clone() }, T0);
    rollout.settle();
    assert!(matches!(rollout.deployment.status, Status::Aborted { .. }), "{:?}", rollout.deployment.status);
    assert!(!rollout.deployment.is_open(0));
}

/// A device, a hospital or a phase goes back alone; doubts about the firmware count, other reasons take devices out of the count.
#[test]
fn seed_strat_part_of_a_deployment_goes_back_alone() {
    let ordered = |scope: Scope, cause| Change::OrderedBack { scope, cause };
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.apply(&ordered(Scope::Device { device: device(0, 3) }, OrderedBack::Operational));
    assert_eq!(rollout.deployment.status, Status::Running);
    rollout.report(0, 3, InstallState::RolledBack);
    rollout.pass(72 * HOUR_MS);
    let gate = rollout.gate(0);
    assert_eq!((gate.passed, gate.devices, gate.withdrawn, gate.failed), (true, 9, 1, 0), "{}", gate.explanation);

    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.apply(&ordered(Scope::Device { device: device(0, 3) }, OrderedBack::Safety));
    assert!(rollout.is_called_back(), "1 of 10 failed");

    let mut rollout = Rollout::new();
    rollout.finish(0);
    rollout.confirm_all_but(1, 0);
    rollout.apply(&ordered(Scope::Hospital { hospital: hospital(0) }, OrderedBack::Operational));
    assert_eq!(rollout.deployment.phases[0].tally.withdrawn, 10);
    assert!(rollout.deployment.hospitals[&hospital(0)].ordered_back);
    assert!(!rollout.deployment.hospitals[&hospital(1)].ordered_back);
    assert_eq!(rollout.deployment.phases[1].tally.withdrawn, 0);

    // Nothing follows a phase that went back; its failures stop nothing more.
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.apply(&ordered(Scope::Phase { phase: 0 }, OrderedBack::Safety));
    assert_eq!(rollout.deployment.status, Status::Running);
    assert!(matches!(rollout.status(0), PhaseStatus::OrderedBack { .. }));
    rollout.pass(1_000 * HOUR_MS);
    assert!(!rollout.deployment.is_open(1));
}

#[test]
fn a_phase_that_lost_every_device_proves_nothing_and_waits_for_a_decision() {
    let mut rollout = Rollout::new();
    let back =
        Change::OrderedBack { scope: Scope::Hospital { hospital: hospital(0) }, cause: OrderedBack::Operational };
    rollout.apply(&back);
    assert!(matches!(&rollout.deployment.status, Status::Paused { reason } if reason.contains("was taken out")));
    rollout.apply(&Change::Resumed);
    assert!(matches!(rollout.deployment.status, Status::Paused { .. }), "resuming changes nothing of it");
    assert!(!rollout.deployment.is_open(1));
}

/// A device whose floor has risen cannot go back: nobody waits for it, and the record says so.
#[test]
fn a_rollback_does_not_wait_for_devices_that_must_stay() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.apply(&Change::RollbackStarted { reason: "ordered".into() });
    for i in 1..DEVICES[0] {
        rollout.report(0, i, InstallState::RolledBack);
    }
    assert!(matches!(rollout.deployment.status, Status::RollingBack { .. }));
    rollout.deployment.report_stays(rollout.now, &device(0, 0));
    rollout.report(0, 0, InstallState::Confirmed);
    assert!(matches!(rollout.deployment.status, Status::RolledBack { .. }));
    assert!(rollout.says("0 need manual intervention, 1 stay on it"));
}

const EMERGENCY: &str = r#"{ "firmwareId": "FW-1", "strategy": "Emergency", "targetDevices": "all", "approvalWindow": "PT4H",
    "monitoringInterval": "PT10S", "autoRollback": true, "fdaNotificationRequired": true }"#;

#[test]
fn seed_strat_emergency_the_first_failure_calls_everybody_back() {
    let mut rollout = Rollout::of(EMERGENCY, FirstFailure::RollBack, &[10_000]);
    rollout.report(0, 0, InstallState::Probation);
    assert_eq!(rollout.deployment.status, Status::Running);
    rollout.report(0, 0, InstallState::RollingBack);
    assert!(rollout.is_called_back() && rollout.says("1 device failed; the first failure ends this deployment"));
}

/// A release that closes a hole is not undone by its first failure; whoever resumes accepts the failures that stand.
#[test]
fn seed_strat_emergency_a_security_fix_waits_for_a_decision_instead() {
    let mut rollout = Rollout::of(EMERGENCY, FirstFailure::Hold, &[100]);
    rollout.confirm_all_but(0, 2);
    rollout.report(0, 0, InstallState::RolledBack);
    assert!(matches!(&rollout.deployment.status, Status::Paused { reason } if reason.contains("resume or roll back")));
    rollout.pass(HOUR_MS);
    assert!(matches!(rollout.deployment.status, Status::Paused { .. }));
    rollout.apply(&Change::Resumed);
    assert_eq!((rollout.deployment.status.clone(), rollout.deployment.accepted_failures), (Status::Running, 1));
    rollout.report(0, 1, InstallState::Probation);
    rollout.silent(0, 1);
    assert!(matches!(rollout.deployment.status, Status::Paused { .. }), "the second one is another decision");
    rollout.apply(&Change::Resumed);
    rollout.apply(&Change::DeviceReturned { device: device(0, 1) });
    rollout.report(0, 1, InstallState::Confirmed);
    rollout.pass(7 * 24 * HOUR_MS);
    assert!(rollout.gate(0).passed, "{}", rollout.gate(0).explanation);
    rollout.report(0, 1, InstallState::Confirmed);
    rollout.error(0, 5, Severity::Critical);
    assert!(rollout.is_called_back(), "a danger to patients needs no decision");
}

#[test]
fn seed_strat_emergency_owes_a_notification_and_seven_daily_reports() {
    let mut rollout = Rollout::of(EMERGENCY, FirstFailure::RollBack, &[10]);
    assert_eq!(rollout.deployment.duties[0].kind, DutyKind::FdaNotification);
    rollout.confirm_all_but(0, 0);
    for day in 1..=9_u64 {
        rollout.pass(24 * HOUR_MS);
        let reports: Vec<_> = rollout
            .deployment
            .duties
            .iter()
            .filter_map(|d| if let DutyKind::StatusReport { number } = d.kind { Some((number, d)) } else { None })
            .collect();
        assert_eq!(reports.len() as u64, day.min(7), "day {day}");
        let (number, newest) = reports.last().expect("one at least");
        assert_eq!(u64::from(*number), day.min(7));
        assert!(newest.draft.contains("10 devices in opened phases: 10 confirmed, 0 failed"), "{}", newest.draft);
        assert_eq!(newest.due_at, T0.plus_ms((u64::from(*number) + 1) * 24 * HOUR_MS));
    }
    assert!(matches!(rollout.status(0), PhaseStatus::AwaitingValidation { .. }));
    // Progressive deployments owe none of it.
    assert!(Rollout::new().deployment.duties.is_empty());
}

#[test]
fn fda_806_a_rollback_opens_a_decision_that_somebody_must_take() {
    let mut rollout = Rollout::new();
    rollout.report(0, 0, InstallState::Activating);
    rollout.report(0, 0, InstallState::RollingBack);
    assert!(rollout.is_called_back());
    let duty = rollout.deployment.duties.first().expect("a duty");
    assert_eq!((duty.kind, duty.fulfilled.is_none()), (DutyKind::CorrectionDecision, true));
    assert!(duty.draft.contains("10.000 % is over the gate"), "{}", duty.draft);
    // Where no device had begun there is nothing to decide.
    let mut rollout = Rollout::new();
    rollout.apply(&Change::RollbackStarted { reason: "changed our mind".into() });
    assert!(rollout.is_called_back() && rollout.deployment.duties.is_empty());
}

#[test]
fn seed_strat_canaries_are_watched_for_seven_days_and_tolerate_no_error() {
    let json = r#"{ "firmwareId": "FW-1", "strategy": "Canary", "canaryDevices": ["DEV-0-0000", "DEV-0-0001"],
        "canaryMonitoringDays": 7, "validationGate": { "maxErrors": 0, "requiresStaffValidation": true } }"#;
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[2, 10, 200, 1_000]);
    rollout.confirm_all_but(0, 0);
    rollout.pass(7 * 24 * HOUR_MS - 1);
    assert!(rollout.deployment.phases[0].gate.is_none());
    rollout.pass(1);
    assert!(rollout.gate(0).passed && rollout.gate(0).max_errors == Some(0));
    assert!(!rollout.deployment.is_open(1), "clinical staff must sign");
    rollout.validate(0);
    assert!(rollout.deployment.is_open(1));
    let times: Vec<u64> = rollout.deployment.plan.spec.phases[1..].iter().map(|p| p.monitoring_ms / HOUR_MS).collect();
    assert_eq!(times, [36, 24, 12], "half the seed's times");
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[2, 10, 200, 1_000]);
    rollout.report(0, 0, InstallState::Probation);
    rollout.error(0, 0, Severity::Error);
    assert!(rollout.is_called_back() && !rollout.deployment.is_open(1));
}

#[test]
fn a_phase_that_asks_for_nobody_passes_by_its_gate_alone() {
    let json = r#"{ "firmwareId": "FW-1", "strategy": "Canary", "canaryMonitoring": "PT1H",
        "validationGate": { "requiresStaffValidation": false } }"#;
    let mut rollout = Rollout::of(json, FirstFailure::ByGate, &[2, 10, 200, 1_000]);
    rollout.confirm_all_but(0, 0);
    rollout.pass(HOUR_MS);
    assert!(rollout.deployment.is_open(1) && rollout.says("nobody needs to sign"));
}

/// Counting as reports come gives what counting everything would.
#[test]
fn the_counts_are_those_of_the_devices() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 5);
    rollout.deployment.plan.spec.phases[0].max_error_rate_percent = 100.0;
    rollout.report(0, 0, InstallState::Failed);
    rollout.report(0, 1, InstallState::Probation);
    rollout.silent(0, 1);
    rollout.silent(0, 2);
    rollout.report(0, 3, InstallState::RollbackFailed);
    rollout.silent(0, 0);
    let tally = rollout.deployment.phases[0].tally;
    assert_eq!((tally.devices, tally.confirmed, tally.failed, tally.silent), (10, 5, 2, 2));
    assert_eq!((tally.reported, tally.accounted, tally.silent_on_trial), (6, 9, 1));
    assert_eq!((tally.begun, tally.in_flight, tally.away, tally.alarms), (8, 1, 6, 1));
    let mut counted = super::super::Tally::default();
    rollout.deployment.devices.values().filter(|p| p.phase == 0).for_each(|p| counted.add(p));
    assert_eq!(counted, tally);
}
