//! Each reason that the coordinator itself knows, provoked, with its code and its words.

use mdfm_shared::fixture::root;
use mdfm_shared::telemetry::{DeviceHeartbeat, Heartbeat, REFUSED_ROLLBACK, Severity};
use mdfm_shared::waiting::{WaitCode, Waiting};

use super::*;
use crate::rollout::sight::status_for;
use crate::rollout::window::Weekly;
use crate::waiting::{Sight, Wait};

impl Office {
    fn view(&self) -> Sight<'_> {
        Sight { state: &self.state, presence: &self.presence, now: self.now }
    }
    /// What a deployment waits for with this code.
    fn reason(&self, code: &WaitCode) -> Waiting {
        let waits = self.view().of_deployment(&id("D-1"), self.deployment("D-1"), None);
        let codes: Vec<String> = waits.iter().map(|wait| wait.waiting.code.to_string()).collect();
        let found = waits.into_iter().find(|wait| wait.waiting.code == *code);
        found.unwrap_or_else(|| panic!("{code} is not among {codes:?}")).waiting
    }
    /// What a device waits for.
    fn of(&self, h: usize, d: usize) -> Waiting {
        self.view().of_device(&device(h, d)).expect("waits")
    }
    /// A heartbeat of a hospital's gateway, with its first device.
    fn beat(&mut self, h: usize, sequence: u64, attached: bool, in_use: bool) {
        let beat = DeviceHeartbeat { device: device(h, 1), state: InstallState::Staged, attached, in_use };
        let heartbeat = Heartbeat {
            gateway: id(&format!("GW-{h}")),
            epoch: 1,
            sequence,
            at: self.now,
            root_version: 1,
            roster_version: 1,
            directive_serial: 1,
            checkpoint_size: 0,
            missing_releases: vec![],
            outbox_depth: 0,
            devices: vec![],
            held_trust: None,
            observed: None,
        };
        assert!(self.presence.heard(self.now, &heartbeat));
        self.presence.seen(self.now, &beat);
    }
    fn fails(&mut self, detail: &str) -> Waiting {
        let manifest = self.deployment("D-1").plan.manifest;
        let (state, deployment) = (InstallState::Failed, id("D-1"));
        let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail: detail.into() };
        self.tell(1, vec![Reported { device: Some(device(1, 1)), at: self.now, kind }]);
        self.of(1, 1)
    }
    fn started(json: &str) -> Self {
        let mut office = Self::new();
        office.deploy("D-1", json).expect("approved");
        office
    }
}

#[test]
fn fld_14_monitoring_and_signatures_are_reasons() {
    let mut office = Office::started(&all(22, ""));
    let devices = office.reason(&WaitCode::Devices);
    assert_eq!((devices.text().as_str(), devices.since), ("devices of the phase are not done", Some(office.now)));
    office.confirm(1..=4, "D-1", 22);
    office.live(1_000);
    let monitoring = office.reason(&WaitCode::Monitoring);
    assert_eq!(monitoring.text(), "the monitoring time of the phase is not over");
    assert_eq!(monitoring.until, monitoring.since.map(|since| since.plus_ms(HOUR_MS)));
    office.live(HOUR_MS + 1_000);
    let signature = office.reason(&WaitCode::Signature);
    assert_eq!(signature.text(), "the signature for the phase is missing: Regulatory");
    assert!(signature.since.is_some_and(|since| since <= office.now));
}

#[test]
fn fld_14_a_gate_that_does_not_hold_says_what_it_lacks() {
    let json = r#"{ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 50, "monitoringDuration": "PT1H", "minDeviceHours": 1000 } ] }"#;
    let mut office = Office::started(json);
    office.confirm(1..=4, "D-1", 22);
    office.live(1_000);
    office.live(HOUR_MS + 1_000);
    let gate = office.reason(&WaitCode::Gate);
    assert!(gate.text().starts_with("the gate of the phase does not hold: "), "{gate}");
    assert!(gate.text().contains("observed for less than 1000 device-hours"), "{gate}");
    assert!(gate.since.is_some_and(|since| since <= office.now), "since the monitoring time was over");
}

/// The samples: the figures of a gate, and how many devices a pause holds in other hospitals.
#[test]
fn sec_19_staff_read_no_figure_of_a_gate_or_a_pause() {
    let json = r#"{ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [
        { "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 50, "monitoringDuration": "PT1H", "minDeviceHours": 1000 } ] }"#;
    let mut office = Office::started(json);
    office.confirm(1..=4, "D-1", 22);
    office.live(1_000);
    office.live(HOUR_MS + 1_000);
    let seen = |office: &Office, own: Option<&str>| {
        let own = own.map(id::<HospitalId>);
        office.view().of_deployment(&id("D-1"), office.deployment("D-1"), own.as_ref()).remove(0)
    };
    let gate = seen(&office, Some("H-2"));
    assert_eq!(
        (gate.waiting.code.name(), gate.waiting.text().as_str()),
        ("gate", "the gate of the phase does not hold")
    );
    office.report(1, 1, "D-1", InstallState::RolledBack, Some(21));
    office.give("operator", Command::Pause { deployment: id("D-1"), reason: "a question".into() });
    let (all, first, second) = (seen(&office, None), seen(&office, Some("H-1")), seen(&office, Some("H-2")));
    assert_eq!((all.held, first.held, second.held), (8, 2, 2));
    let failures = |wait: &Wait| wait.how.iter().any(|how| how.contains("the failures that stand"));
    assert!(failures(&all) && failures(&first) && !failures(&second), "{second:?}");
    let fault =
        EventKind::DeviceError { severity: Severity::Critical, code: "E-7".into(), message: "pump 3 stalls".into() };
    office.tell(3, vec![Reported { device: Some(device(3, 1)), at: office.now, kind: fault }]);
    let contained = |own| seen(&office, own).how.iter().any(|how| how.contains("the hospitals that went back"));
    assert_eq!((contained(None), contained(Some("H-3")), contained(Some("H-2"))), (true, true, false));
}

#[test]
fn fld_14_approvals_and_trust_that_do_not_hold_are_reasons() {
    let mut office = Office::started(&all(22, ""));
    let mut changed = roster();
    changed.version = 2;
    changed.entries[1].revoked = Some(Revocation { at: UtcMillis(0), log_size: 0 });
    office.give("admin", add_roster(signed(&changed, &[11])));
    let lost = office.reason(&WaitCode::Approvals);
    assert!(lost.text().starts_with("approvals of the release no longer count: "), "{lost}");
    assert!(lost.text().contains("by user-qa as QA no longer counts"), "{lost}");
    let waits = office.view().of_deployment(&id("D-1"), office.deployment("D-1"), Some(&id("H-1")));
    let shown = waits.iter().find(|wait| wait.waiting.code == WaitCode::Approvals).expect("named");
    assert_eq!(shown.waiting.text(), "approvals of the release no longer count", "whose is for the vendor's people");
    assert_eq!(office.of(1, 1).text(), "the deployment is paused");
    let mut office = Office::started(&all(22, ""));
    let mut next = root(2);
    next.registrar.keys = vec![key(77).public()];
    office.give("admin", Command::AddTrustRoot { root: signed(&next, &[1, 2]) });
    let trust = office.reason(&WaitCode::TrustNotFresh);
    assert!(trust.text().starts_with("a trust document has expired or is missing: roster"), "{trust}");
}

#[test]
fn fld_14_a_device_that_stays_waits_for_a_rollback_order() {
    let mut office = Office::started(&all(22, ""));
    office.confirm(1..=4, "D-1", 22);
    let (scope, cause) = (Scope::Deployment, OrderedBack::Safety);
    office.give("operator", Command::Rollback { deployment: id("D-1"), scope, cause, reason: "a doubt".into() });
    let called = office.reason(&WaitCode::Devices);
    assert_eq!(called.text(), "devices of the phase are not done");
    let kind = EventKind::Refused { what: REFUSED_ROLLBACK.into(), reason: "the recall window is over".into() };
    office.tell(1, vec![Reported { device: Some(device(1, 1)), at: office.now, kind }]);
    let waiting = office.of(1, 1);
    assert_eq!(waiting.code, WaitCode::RollbackOrder);
    assert!(waiting.text().starts_with("the device goes back by a rollback order alone: "), "{waiting}");
}

#[test]
fn fld_14_windows_use_and_absence_without_the_agents_word() {
    let mut office = Office::new();
    let windows = vec![Weekly { weekday: 7, start_s: 2 * 3_600, end_s: 3 * 3_600, timezone: "UTC".into() }];
    let policy = |windows| Command::SetHospitalPolicy { hospital: id("H-1"), windows, consent_required: false };
    office.give("operator", policy(windows));
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Staged, None);
    office.report(2, 1, "D-1", InstallState::Staged, None);
    let window = office.of(1, 1);
    assert_eq!(window.code, WaitCode::Window);
    let opens = window.until.expect("known");
    assert_eq!(window.text(), format!("the maintenance window is closed: the next one opens at {opens}"));
    assert!(opens.to_string().ends_with("T02:00:00.000Z"), "{opens}");
    office.beat(2, 1, true, true);
    assert_eq!(office.of(2, 1).text(), "the device is in use");
    assert_eq!(office.of(2, 1).code, WaitCode::InUse);
    office.pass(20_000);
    office.beat(2, 2, false, false);
    let absent = office.of(2, 1);
    assert_eq!(absent.text(), "the device is not connected to its gateway");
    assert_eq!((absent.code, absent.since), (WaitCode::DeviceNotConnected, Some(UtcMillis(office.now.0 - 20_000))));
    office.pass(600_000);
    let silent = office.of(2, 1);
    assert_eq!(
        (silent.code.clone(), silent.text().as_str()),
        (WaitCode::GatewaySilent, "the gateway is not heard of: GW-2")
    );
    // A gateway that was never heard since a start long ago is as silent as any.
    office.presence = Presence::started(office.now);
    office.pass(2 * HOUR_MS);
    assert_eq!(office.view().of_device(&device(2, 1)), None, "it may beat once an hour");
    office.pass(2 * HOUR_MS);
    assert_eq!(office.of(2, 1).code, WaitCode::GatewaySilent);
}

#[test]
fn fld_14_failures_of_any_agent_have_a_code_and_their_words() {
    let mut office = Office::started(&all(22, ""));
    for (detail, code) in [
        ("the device did not take the image: /dev/x is a link (slotUnusable)", WaitCode::SlotUnusable),
        ("in quarantine after several failed installations", WaitCode::Quarantine),
        ("image refused: the image is longer than the 7 bytes signed", WaitCode::ImageRefused),
        ("the device refused to boot the image", WaitCode::DeviceRefuses),
        ("the device contradicted itself", WaitCode::DeviceFails),
        ("wrong model: the release is for A, the device is a B", WaitCode::ReleaseRefused),
    ] {
        let waiting = office.fails(detail);
        assert_eq!((&waiting.code, waiting.text()), (&code, format!("{}: {detail}", code.summary())));
        assert_eq!(waiting.since, Some(office.now));
    }
    office.report(1, 1, "D-1", InstallState::RollbackFailed, None);
    let alarm = office.of(1, 1);
    assert_eq!(alarm.code, WaitCode::ManualIntervention);
    assert!(alarm.text().starts_with("the device could not be shown to run good firmware"), "{alarm}");
}

#[test]
fn a_rollout_that_changed_nothing_is_not_rolled_back() {
    let mut office = Office::started(&all(22, ""));
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    let deployment = office.state.deployments.get_mut(&id::<DeploymentId>("D-1")).expect("made");
    deployment.status = Status::Completed;
    let back = |scope| Command::Rollback {
        deployment: id("D-1"),
        scope,
        cause: OrderedBack::Safety,
        reason: "a doubt".into(),
    };
    let words = "there is nothing to roll back";
    office.refuses("operator", back(Scope::Hospital { hospital: id("H-2") }), "nothing-to-roll-back", words);
    office.refuses("operator", back(Scope::Device { device: device(1, 2) }), "nothing-to-roll-back", words);
    office.give("operator", back(Scope::Device { device: device(1, 1) }));
}

#[test]
fn an_order_of_a_person_is_named_as_one_and_ends_a_pause() {
    let mut office = Office::started(&all(22, ""));
    let (scope, cause) = (Scope::Phase { phase: 0 }, OrderedBack::Operational);
    office.give("operator", Command::Rollback { deployment: id("D-1"), scope, cause, reason: "DEV-2-1 beeps".into() });
    let own: HospitalId = id("H-1");
    let Status::Paused { reason } = status_for(&office.state, office.deployment("D-1"), Some(&own)) else {
        panic!("it is paused")
    };
    assert_eq!(reason, "ordered by the vendor's operations staff", "as every other order");
    assert!(office.deployment("D-1").paused.is_some());
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "enough".into() });
    let deployment = office.deployment("D-1");
    assert_eq!((&deployment.paused, deployment.called_back_at), (&None, Some(office.now)));
}

#[test]
fn fld_14_a_chain_that_is_refused_is_a_reason() {
    let mut office = Office::started(&all(22, ""));
    office.report(2, 1, "D-1", InstallState::Staging, None);
    let (gateway, chain) = (id::<GatewayId>("GW-2"), office.state.gateways[&id::<GatewayId>("GW-2")].chain.clone());
    let kind = EventKind::AgentStarted { version: "1".into() };
    let events = vec![Reported { device: None, at: office.now, kind }];
    let (epoch, sequence, previous) = (chain.epoch, chain.sequence, Digest([9; 32]));
    let batch = TelemetryBatch { gateway: gateway.clone(), epoch, sequence, previous, events };
    let command = Command::Telemetry { gateway, batch: signed(&batch, &[52]).into() };
    office.refuses("x", command, crate::telemetry::FORK, "differs");
    let waiting = office.of(2, 1);
    assert_eq!(
        (waiting.code.clone(), waiting.text().as_str(), waiting.since),
        (
            WaitCode::TelemetryRefused,
            "what the gateway reports is not taken into the log: GW-2 is refused",
            Some(office.now)
        )
    );
    office.report(2, 1, "D-1", InstallState::Staged, None);
    assert_eq!(office.view().of_device(&device(2, 1)), None, "it goes on");
}
