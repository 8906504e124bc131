//! The engine on one deployment of three phases: what it does on its own, and what stops it.

use std::collections::BTreeSet;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::trust::Role;

use super::super::{GivenValidation, NewDeployment, PhaseSpec};
use super::*;

const T0: UtcMillis = UtcMillis(1_700_000_000_000);
const HOUR_MS: u64 = 3_600_000;
/// Devices of the three phases.
const DEVICES: [usize; 3] = [10, 200, 1_000];

struct Rollout {
    deployment: Deployment,
    now: UtcMillis,
    actions: Vec<&'static str>,
    reasons: Vec<String>,
}

fn device(phase: usize, i: usize) -> DeviceId {
    format!("DEV-{phase}-{i:04}").parse().expect("a good id")
}

impl Rollout {
    /// The seed's phases, each with its devices.
    fn new() -> Self {
        let spec = |name: &str, percentage, max_error_rate_percent, hours, validation| PhaseSpec {
            name: name.into(),
            cohort: "all".into(),
            percentage,
            target_hospitals: Vec::new(),
            max_error_rate_percent,
            monitoring_ms: hours * HOUR_MS,
            validation,
        };
        let plan = NewDeployment {
            deployment: "D-1".parse().expect("a good id"),
            firmware: "FW-1".parse().expect("a good id"),
            manifest: Digest([1; 32]),
            security_version: 1,
            created_by: "operator".into(),
            phases: vec![
                spec("Pilot", 10.0, 1.0, 72, Role::Clinical),
                spec("Regional", 50.0, 0.5, 48, Role::Qa),
                spec("Full", 100.0, 0.1, 24, Role::Regulatory),
            ],
            plan: (0..3).map(|i| BTreeSet::from([format!("H-{i}").parse().expect("a good id")])).collect(),
            devices: DEVICES
                .iter()
                .enumerate()
                .flat_map(|(phase, n)| (0..*n).map(move |i| (device(phase, i), phase as u32)))
                .collect(),
        };
        let mut rollout =
            Self { deployment: Deployment::new(plan, T0), now: T0, actions: Vec::new(), reasons: Vec::new() };
        rollout.settle();
        rollout
    }

    /// Applies what the engine proposes until it proposes nothing.
    fn settle(&mut self) {
        for _ in 0..20 {
            let Some((action, change, reason)) = next(&self.deployment, self.now) else { return };
            self.deployment.apply(self.now, &change);
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
        self.deployment.devices.get_mut(&device(phase, i)).expect("a device").state = Some(state);
        self.settle();
    }

    fn confirm_all_but(&mut self, phase: usize, left_out: usize) {
        for i in left_out..DEVICES[phase] {
            self.deployment.devices.get_mut(&device(phase, i)).expect("a device").state = Some(InstallState::Confirmed);
        }
        self.settle();
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
        self.deployment.apply(self.now, &Change::ValidationSigned { phase, validation });
        self.settle();
    }

    fn gate(&self, phase: usize) -> &super::super::GateRecord {
        self.deployment.gates[phase].as_ref().expect("a gate record")
    }

    /// Whether the engine has called the phase back; done at once where no device has begun.
    fn is_called_back(&self) -> bool {
        matches!(self.deployment.status, Status::RollingBack { .. } | Status::RolledBack { .. })
    }
}

#[test]
fn seed_strat_three_phases_three_gates_three_signatures() {
    let mut rollout = Rollout::new();
    assert!(rollout.deployment.is_open(0) && !rollout.deployment.is_open(1));
    for (phase, hours) in [(0, 72), (1, 48), (2, 24)] {
        rollout.confirm_all_but(phase, 0);
        rollout.pass(hours * HOUR_MS - 1);
        assert!(rollout.deployment.gates[phase].is_none(), "phase {phase}: a millisecond is left");
        rollout.pass(1);
        assert!(rollout.gate(phase).passed, "{}", rollout.gate(phase).explanation);
        assert!(!rollout.deployment.is_open(phase as u32 + 1), "the signature is missing");
        rollout.validate(phase as u32);
    }
    assert_eq!(rollout.deployment.status, Status::Completed);
    assert_eq!(
        rollout.actions,
        [
            "deployment.phase.open",
            "deployment.phase.monitor",
            "deployment.gate",
            "deployment.phase.pass",
            "deployment.phase.open",
            "deployment.phase.monitor",
            "deployment.gate",
            "deployment.phase.pass",
            "deployment.phase.open",
            "deployment.phase.monitor",
            "deployment.gate",
            "deployment.phase.pass",
            "deployment.complete",
        ]
    );
}

#[test]
fn monitoring_starts_when_the_last_device_settled() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 1);
    rollout.pass(1_000 * HOUR_MS);
    assert!(matches!(rollout.deployment.phases[0], PhaseStatus::Deploying { .. }), "one device has not reported");
    rollout.report(0, 0, InstallState::Confirmed);
    rollout.pass(72 * HOUR_MS - 1);
    assert!(rollout.deployment.gates[0].is_none());
}

#[test]
fn invariant_4_no_device_outside_the_opened_phases() {
    let rollout = Rollout::new();
    assert_eq!(rollout.deployment.opened().count(), DEVICES[0]);
    assert!(rollout.deployment.opened().all(|(_, p)| p.phase == 0));
}

#[test]
fn seed_strat_an_error_rate_over_the_gate_rolls_back_at_any_time() {
    // 1 of 10 is 10 %, over the pilot's 1 %.
    for state in [InstallState::Failed, InstallState::RollingBack, InstallState::RolledBack] {
        let mut rollout = Rollout::new();
        rollout.report(0, 0, state);
        assert!(rollout.is_called_back(), "{state:?}");
        assert!(rollout.reasons.iter().any(|r| r.contains("10.000 % is over the gate of 1 %")));
    }
    // In the second phase 1 of 200 is 0.5 %: exactly the limit is within it, 2 are over.
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.pass(72 * HOUR_MS);
    rollout.validate(0);
    rollout.report(1, 0, InstallState::RolledBack);
    assert_eq!(rollout.deployment.status, Status::Running);
    rollout.report(1, 1, InstallState::RolledBack);
    assert!(rollout.is_called_back());
    // An opened phase stays watched while a later one is worked on.
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 0);
    rollout.pass(72 * HOUR_MS);
    rollout.validate(0);
    rollout.deployment.devices.get_mut(&device(0, 0)).expect("a device").errors = 1;
    rollout.settle();
    assert!(rollout.is_called_back());
}

#[test]
fn seed_strat_one_critical_error_rolls_back_whatever_the_rate() {
    let mut rollout = Rollout::new();
    for phase in 0..2 {
        rollout.confirm_all_but(phase, 0);
        rollout.pass(72 * HOUR_MS);
        rollout.validate(phase as u32);
    }
    rollout.report(2, 0, InstallState::Probation);
    rollout.deployment.devices.get_mut(&device(2, 0)).expect("a device").critical = Some("E: alarm".into());
    rollout.settle();
    assert!(rollout.is_called_back(), "1 of 1000 would be within 0.1 %");
    assert!(rollout.reasons.iter().any(|r| r.starts_with("critical error on DEV-2-0000")));
}

#[test]
fn seed_mon_a_silent_device_counts_as_failed_and_holds_the_gate() {
    let mut rollout = Rollout::new();
    rollout.confirm_all_but(0, 1);
    rollout.deployment.apply(rollout.now, &Change::DeviceSilent { device: device(0, 0), last_seen: T0 });
    rollout.settle();
    rollout.pass(72 * HOUR_MS);
    let gate = rollout.gate(0).clone();
    assert_eq!((gate.passed, gate.silent, gate.failed, gate.reported), (false, 1, 0, 9), "{}", gate.explanation);
    // The same figures again are no new record.
    let records = rollout.actions.iter().filter(|a| **a == "deployment.gate").count();
    rollout.pass(HOUR_MS);
    assert_eq!(rollout.actions.iter().filter(|a| **a == "deployment.gate").count(), records);
    // Heard of again and confirmed, the gate holds.
    rollout.deployment.apply(rollout.now, &Change::DeviceReturned { device: device(0, 0) });
    rollout.report(0, 0, InstallState::Confirmed);
    assert!(rollout.gate(0).passed, "{}", rollout.gate(0).explanation);
}

#[test]
fn a_gate_never_passes_when_nobody_reported() {
    let mut rollout = Rollout::new();
    rollout.deployment.plan.phases[0].max_error_rate_percent = 100.0;
    for i in 0..DEVICES[0] {
        rollout.deployment.apply(rollout.now, &Change::DeviceSilent { device: device(0, i), last_seen: T0 });
    }
    rollout.settle();
    rollout.pass(72 * HOUR_MS);
    assert_eq!((rollout.gate(0).passed, rollout.gate(0).reported), (false, 0));
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
}

#[test]
fn a_paused_deployment_advances_nothing_and_still_rolls_back() {
    let mut rollout = Rollout::new();
    rollout.deployment.apply(rollout.now, &Change::Paused);
    rollout.confirm_all_but(0, 0);
    rollout.pass(1_000 * HOUR_MS);
    assert_eq!(rollout.deployment.status, Status::Paused);
    assert!(matches!(rollout.deployment.phases[0], PhaseStatus::Deploying { .. }));
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
    assert!(rollout.reasons.iter().any(|r| r.contains("1 need hands")));
    rollout.pass(1_000 * HOUR_MS);
    assert!(matches!(rollout.deployment.status, Status::RolledBack { .. }), "nothing follows on its own");
}

#[test]
fn a_phase_that_adds_no_hospital_passes_without_a_signature() {
    let mut rollout = Rollout::new();
    rollout.deployment.devices.retain(|_, p| p.phase != 1);
    rollout.deployment.plan.plan[1].clear();
    rollout.confirm_all_but(0, 0);
    rollout.pass(72 * HOUR_MS);
    rollout.validate(0);
    assert_eq!(rollout.deployment.current, 2);
}
