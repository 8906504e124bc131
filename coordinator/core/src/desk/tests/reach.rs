//! How far the word of one gateway reaches (DESIGN §10.1), and what the class of a release asks of its deployment.

use mdfm_shared::telemetry::{ROLLBACK_ORDERED, Severity};

use super::super::super::notice::{self, NoticeKind, NoticeRule};
use super::super::super::settings::Settings;
use super::*;

#[test]
fn sec_4_a_second_gateway_takes_no_device_from_the_first() {
    let mut office = Office::new();
    let hospital: HospitalId = id("H-1");
    for (gateway, h) in [("GW-0", 0), ("GW-9", 9)] {
        office.give("op", Command::RegisterGateway { gateway: id(gateway), hospital: hospital.clone() });
        assert_eq!(office.state.gateway_of(&device(1, 1)), Some(&id("GW-1")), "registered, not enrolled");
        office.enrol(h);
        assert_eq!(office.state.gateway_of(&device(1, 1)), Some(&id("GW-1")), "enrolled later");
        assert!(office.state.devices_of(&id(gateway)).is_empty());
    }
    office.deploy("D-1", &all(22, "")).expect("approved");
    assert_eq!((office.actions(1).len(), office.actions(9).len()), (2, 0));
    // A restart changes nothing; the end of the first does.
    let again = State::from_snapshot(&office.state.to_snapshot().expect("JSON")).expect("a state");
    assert_eq!(again.gateway_of(&device(1, 1)), Some(&id("GW-1")));
    office.give("admin", Command::RevokeGateway { gateway: id("GW-1"), reason: "stolen".into() });
    assert_eq!(office.state.gateway_of(&device(1, 1)), Some(&id("GW-0")));
}

impl Office {
    fn say(&mut self, h: usize, d: usize, deployment: &str, state: InstallState, detail: &str) {
        let manifest = self.deployment(deployment).plan.manifest;
        let (deployment, detail) = (id(deployment), detail.to_owned());
        let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail };
        self.tell(h, vec![Reported { device: Some(device(h, d)), at: self.now, kind }]);
    }

    /// Every device says what it left the factory with; one gateway may say something else.
    fn adopt(&mut self, security_version: impl Fn(usize) -> u32) {
        for h in 1..=4 {
            let firmware = FirmwareReport {
                version: "2.21.0".into(),
                release_number: 21,
                security_version: security_version(h),
                sha256: Digest([21; 32]),
            };
            let kind = EventKind::DeviceAdopted { model: MODEL.into(), hardware: "B".into(), firmware };
            let adopted = |d| Reported { device: Some(device(h, d)), at: NOW, kind: kind.clone() };
            self.tell(h, vec![adopted(1), adopted(2)]);
        }
    }

    fn fault(&mut self, h: usize, d: usize, severity: Severity) {
        let kind = EventKind::DeviceError { severity, code: "E-7".into(), message: "no alarm tone".into() };
        self.tell(h, vec![Reported { device: Some(device(h, d)), at: self.now, kind }]);
    }

    /// The devices of a hospital follow an order to go back.
    fn follow_back(&mut self, h: usize, deployment: &str) {
        for d in 1..=2 {
            self.say(h, d, deployment, InstallState::RollingBack, ROLLBACK_ORDERED);
            self.say(h, d, deployment, InstallState::RolledBack, &format!("left because: {ROLLBACK_ORDERED}"));
        }
    }

    fn order(&mut self, scope: Scope, cause: OrderedBack) -> Result<(), Refusal> {
        let back = Command::Rollback { deployment: id("D-1"), scope, cause, reason: "doubts".into() };
        self.attempt("operator", back)
    }

    fn resume_first(&mut self) -> Result<(), Refusal> {
        self.attempt("operator", Command::Resume { deployment: id("D-1"), reason: "sensor, not firmware".into() })
    }

    fn is_held(&self) -> bool {
        matches!(self.deployment("D-1").status, Status::Paused { .. })
    }

    fn is_called_back(&self) -> bool {
        matches!(self.deployment("D-1").status, Status::RollingBack { .. } | Status::RolledBack { .. })
    }
}

const BACK: [&str; 2] = ["rollback"; 2];
const HELD: [&str; 2] = ["hold"; 2];
const ON: [&str; 2] = ["install"; 2];

/// All four hospitals reached: three confirmed, one device of the fourth on trial.
fn reached(more: &str) -> Office {
    let mut office = Office::new();
    office.adopt(|_| 3);
    office.deploy("D-1", &all(22, more)).expect("approved");
    office.confirm(1..=3, "D-1", 22);
    office.report(4, 1, "D-1", InstallState::Probation, Some(22));
    office
}

#[test]
fn sec_3_one_source_sends_back_its_hospital_and_holds_the_rest() {
    let mut office = reached("");
    office.fault(4, 1, Severity::Critical);
    assert!(office.is_held());
    assert_eq!(office.actions(4), BACK, "its device and its hospital go back at once");
    assert!((1..=3).all(|h| office.actions(h) == HELD), "every other device is held");
    let found = &office.deployment("D-1").contained[&id::<HospitalId>("H-4")];
    assert_eq!((found.source.as_ref().map(GatewayId::as_str), found.device.as_str()), (Some("GW-4"), "DEV-4-1"));
    // Whatever else the same source says moves nobody else.
    office.fault(4, 2, Severity::Critical);
    office.say(4, 2, "D-1", InstallState::RollbackFailed, "needs manual intervention");
    office.pass(DAY_MS);
    assert!(office.is_held() && (1..=3).all(|h| office.actions(h) == HELD));
    // A person lets it go on: without the hospital, and with its failures named.
    office.follow_back(4, "D-1");
    office.resume_first().expect("a person decides");
    assert!((1..=3).all(|h| office.actions(h) == ON) && office.actions(4) == BACK);
    office.live(HOUR_MS);
    office.live(HOUR_MS);
    let gate = office.deployment("D-1").phases[0].gate.clone().expect("judged");
    assert!(gate.passed, "{}", gate.explanation);
    assert_eq!((gate.devices, gate.withdrawn, gate.contained, gate.contained_failed, gate.failed), (6, 2, 2, 1, 0));
    assert!(gate.explanation.contains("2 devices went back with their hospital"), "{}", gate.explanation);
}

#[test]
fn sec_3_a_second_hospital_rolls_back_every_opened_phase() {
    let mut office = reached("");
    office.fault(4, 1, Severity::Critical);
    office.fault(2, 1, Severity::Critical);
    assert!(office.is_called_back() && (1..=4).all(|h| office.actions(h) == BACK));
    let Status::RollingBack { reason } = &office.deployment("D-1").status else { panic!("not rolling back") };
    assert!(reason.contains("DEV-2-1") && reason.contains("after H-4"), "{reason}");
    // Also after somebody took the first one for a false alarm.
    let mut office = reached("");
    office.fault(4, 1, Severity::Critical);
    office.resume_first().expect("a person decides");
    office.fault(2, 1, Severity::Critical);
    assert!(office.is_called_back());
    // And by a person's order alone.
    let mut office = reached("");
    office.fault(4, 1, Severity::Critical);
    office.order(Scope::Deployment, OrderedBack::Safety).expect("one act away");
    assert!((1..=4).all(|h| office.actions(h) == BACK));
}

#[test]
fn sec_3_a_plan_may_reach_less_or_everything() {
    let mut office = reached(r#""criticalReach": "hospital","#);
    office.fault(4, 1, Severity::Critical);
    office.fault(2, 1, Severity::Critical);
    assert!(office.is_held() && office.actions(2) == BACK && office.actions(4) == BACK);
    assert!(office.actions(1) == HELD && office.actions(3) == HELD);
    let mut office = reached(r#""criticalReach": "deployment","#);
    office.fault(4, 1, Severity::Critical);
    assert!(office.is_called_back() && (1..=4).all(|h| office.actions(h) == BACK));
    let json: DeploymentJson = serde_json::from_str(&all(22, r#""criticalReach": "planet","#)).expect("JSON");
    let refusal = json.parse(None).expect_err("no such reach");
    assert!(refusal.detail.contains("use hospital, sources or deployment"), "{refusal}");
    let emergency = |more: &str| request(&format!(r#"{{ "firmwareId": "FW-22", "strategy": "Emergency" {more} }}"#));
    assert_eq!(emergency("").spec.critical_reach(), rollout::CriticalReach::Deployment, "the seed read literally");
    assert_eq!(emergency(r#", "autoRollback": false"#).spec.critical_reach(), rollout::CriticalReach::Sources);
}

/// A release that closes a hole stays beyond the hospital, whatever the plan and however many sources say.
#[test]
fn sec_3_a_security_fix_goes_back_only_by_a_persons_order() {
    for reach in ["sources", "deployment"] {
        let mut office = Office::new();
        office.deploy("D-0", &all(22, "")).expect("approved");
        office.confirm(1..=4, "D-0", 22);
        office.give("operator", Command::Abort { deployment: id("D-0"), reason: "done".into() });
        office.release(23, FirmwareClass::Standard, 4);
        let json = all(23, &format!(r#""criticalReach": "{reach}","#));
        office.deploy("D-1", &json).expect("approved");
        assert!(office.deployment("D-1").plan.raises_security);
        for h in 1..=4 {
            office.report(h, 1, "D-1", InstallState::Probation, Some(23));
        }
        office.fault(1, 1, Severity::Critical);
        office.fault(2, 1, Severity::Critical);
        assert!(office.is_held(), "{reach}");
        assert!(office.actions(1) == BACK && office.actions(2) == BACK);
        assert!(office.actions(3) == HELD && office.actions(4) == HELD);
        office.order(Scope::Deployment, OrderedBack::Safety).expect("a person may");
        assert!((1..=4).all(|h| office.actions(h) == BACK));
    }
}

/// A gateway that claims a high security version does not make the fix an ordinary release.
#[test]
fn sec_3_one_gateway_cannot_claim_a_fix_away() {
    let mut office = Office::new();
    office.adopt(|h| if h == 1 { u32::MAX } else { 2 });
    office.deploy("D-1", &all(22, r#""autoRollback": true,"#)).expect("approved");
    assert!(office.deployment("D-1").plan.raises_security);
    assert_eq!(office.deployment("D-1").plan.first_failure, FirstFailure::Hold);
}

/// Failures, silence and staff orders of one hospital are one source too, however few devices a gate counts.
#[test]
fn sec_3_failures_of_one_hospital_move_no_other() {
    // 8 devices, 10 % allowed: one failure is over the gate, and so is what every other hospital could say.
    let strict = r#""phases": [ { "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 10,
        "monitoringDuration": "PT1H" } ]"#;
    let json = format!(r#"{{ "firmwareId": "FW-22", "strategy": "Progressive", {strict} }}"#);
    let begin = || {
        let mut office = Office::new();
        office.adopt(|_| 3);
        office.deploy("D-1", &json).expect("approved");
        office.confirm(1..=3, "D-1", 22);
        office
    };
    let contained =
        |office: &Office| office.is_held() && office.actions(4) == BACK && (1..=3).all(|h| office.actions(h) == HELD);
    let mut office = begin();
    office.say(4, 1, "D-1", InstallState::Failed, "refused");
    assert!(contained(&office), "{:?}", office.deployment("D-1").status);
    let mut office = begin();
    office.say(4, 1, "D-1", InstallState::Probation, "");
    office.fault(4, 1, Severity::Error);
    assert!(contained(&office));
    // One gateway loses its line while its device is on trial.
    let mut office = begin();
    office.live(1_000);
    office.say(4, 1, "D-1", InstallState::Probation, "");
    let at = office.now.plus_ms(61_000);
    (1..=3).for_each(|h| (1..=2).for_each(|d| office.presence.attach(device(h, d), at)));
    office.pass(61_000);
    assert!(contained(&office), "{:?}", office.deployment("D-1").status);
    // Staff of a hospital call their own device back for safety.
    let mut office = begin();
    let nurse = Command::CreateUser {
        user: id("nurse-4"),
        printed_name: "nurse-4".into(),
        roles: vec![AccessRole::HospitalStaff],
        hospital: Some(id("H-4")),
        credential: Digest([1; 32]),
    };
    office.give("admin", nurse);
    let back = Command::Rollback {
        deployment: id("D-1"),
        scope: Scope::Device { device: device(4, 1) },
        cause: OrderedBack::Safety,
        reason: "alarm".into(),
    };
    office.give("nurse-4", back);
    assert!(contained(&office), "{:?}", office.deployment("D-1").status);
    // A second hospital that is over the gate by itself is no single word any more.
    office.say(2, 1, "D-1", InstallState::RollingBack, "error budget spent");
    assert!(office.is_called_back(), "{:?}", office.deployment("D-1").status);
}

/// One natural failure elsewhere is not enough for a gateway that makes up many.
#[test]
fn sec_3_a_gate_must_fail_without_the_worst_hospital() {
    let mut office = reached("");
    // 50 % of 8 are allowed: 1 natural failure, 2 + 2 made up by one hospital in two steps.
    office.say(1, 1, "D-1", InstallState::Failed, "no room");
    office.say(4, 1, "D-1", InstallState::Failed, "made up");
    office.say(4, 2, "D-1", InstallState::Failed, "made up");
    assert_eq!(office.deployment("D-1").status, Status::Running, "3 of 8");
    office.say(3, 1, "D-1", InstallState::Failed, "no room");
    office.say(3, 2, "D-1", InstallState::Failed, "no room");
    // 5 of 8; without the worst hospital 3 of 6, which is within the gate.
    assert!(office.is_held() && !office.is_called_back(), "{:?}", office.deployment("D-1").status);
    assert_eq!(office.deployment("D-1").contained.len(), 1);
}

/// Going back by order is no failure of the release, and the same release may come again.
#[test]
fn sec_3_devices_that_went_back_by_order_may_take_it_again() {
    let mut office = reached("");
    office.say(4, 1, "D-1", InstallState::RollingBack, "error budget of 0 spent in probation");
    office.say(4, 1, "D-1", InstallState::RolledBack, "left because: error budget of 0 spent in probation");
    office.order(Scope::Deployment, OrderedBack::Safety).expect("a person may");
    (1..=2).for_each(|h| office.follow_back(h, "D-1"));
    let tally = office.deployment("D-1").phases[0].tally;
    assert_eq!((tally.failed, tally.away), (1, 2), "only the one that failed itself");
    // One gateway never answers: it blocks its own devices and nobody else's.
    office.refuses("operator", create("D-2", &all(22, "")), "deployment-conflict", "DEV-3-1");
    let two = r#""targetDevices": ["DEV-1-1", "DEV-1-2", "DEV-2-1", "DEV-2-2"],"#;
    office.deploy("D-2", &all(22, two)).expect("the same release again");
    assert!((1..=2).all(|h| office.actions(h) == ON) && office.actions(3) == BACK);
    office.confirm(1..=2, "D-2", 22);
    assert_eq!(office.deployment("D-2").phases[0].tally.confirmed, 4);
}

#[test]
fn sec_3_clinical_and_regulatory_are_always_notified() {
    let mut office = reached("");
    let rules = vec![NoticeRule {
        kinds: vec![NoticeKind::DutyOpened],
        roles: vec![AccessRole::Operator],
        hospitals: vec![],
        email: false,
        waits: None,
    }];
    let settings = Settings { notices: rules, ..office.state.settings.clone() };
    office.state.settings = settings;
    office.entries.clear();
    office.fault(4, 1, Severity::Critical);
    let records: Vec<AuditRecord> =
        office.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record")).collect();
    let notices: Vec<_> = records.iter().flat_map(|r| notice::of(&office.state, r)).collect();
    let contained = notices.iter().find(|n| n.kind == NoticeKind::DeploymentContained).expect("a notice");
    assert_eq!(contained.at, office.now, "in the same round as the report");
    let told = notice::recipients(&office.state, contained);
    for user in ["user-clinical", "user-regulatory"] {
        assert_eq!(told.get(&id(user)), Some(&true), "{user} by mail too: {told:?}");
    }
    // A correction may be reportable: somebody must decide.
    let duty = office.deployment("D-1").duties.last().expect("a duty").clone();
    assert_eq!(duty.kind, DutyKind::CorrectionDecision);
    assert!(duty.draft.contains("rolled back in H-4"), "{}", duty.draft);
}

/// Records of deployments that were made before the field existed decode, and one source reaches one hospital.
#[test]
fn sec_3_deployments_of_older_logs_get_the_safe_reach() {
    let office = reached("");
    let mut old = serde_json::to_value(office.deployment("D-1")).expect("encodes");
    old["plan"]["spec"].as_object_mut().expect("a spec").remove("criticalReach");
    for tally in ["contained", "containedFailed"] {
        old["phases"][0]["tally"].as_object_mut().expect("a tally").remove(tally);
    }
    let mut old: Deployment = serde_json::from_value(old).expect("an older record decodes");
    assert_eq!(old.plan.spec.critical_reach(), rollout::CriticalReach::Sources);
    assert!(!serde_json::to_string(&old.plan).expect("encodes").contains("criticalReach"), "it encodes as it was");
    let mut office = reached("");
    old.index(&|device| office.state.devices.get(device).map(|d| d.hospital.clone()));
    office.state.deployments.insert(id("D-1"), old);
    office.fault(4, 1, Severity::Critical);
    assert!(office.is_held() && office.actions(4) == BACK);
}

/// One deployment at a time answers for a device: what went back with its hospital takes the same release once that one has ended.
#[test]
fn sec_3_a_hospital_that_went_back_stays_bound_to_the_end() {
    let mut office = reached("");
    office.fault(4, 1, Severity::Critical);
    office.follow_back(4, "D-1");
    office.resume_first().expect("goes on without it");
    let healthy = r#""targetDevices": ["DEV-4-2"],"#;
    let again = create("D-2", &all(22, healthy));
    office.refuses("operator", again, "deployment-conflict", "takes this release once that deployment has ended");
    office.release(23, FirmwareClass::Standard, 3);
    let newer = create("D-2", &all(23, healthy));
    office.refuses("operator", newer, "deployment-conflict", "name it in supersedes");
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "done elsewhere".into() });
    office.pass(HOUR_MS);
    assert!(!office.deployment("D-1").is_active(), "{:?}", office.deployment("D-1").status);
    office.deploy("D-2", &all(22, healthy)).expect("free again");
}

#[test]
fn sec_3_nobody_can_order_what_only_the_engine_may() {
    let mut office = reached("");
    let refusal = office.order(Scope::Hospital { hospital: id("H-1") }, OrderedBack::Contained).expect_err("refused");
    assert!(refusal.detail.contains("must be safety or operational"), "{refusal}");
    office.order(Scope::Hospital { hospital: id("H-1") }, OrderedBack::Operational).expect("a good order");
    assert_eq!(office.actions(1), BACK);
}

fn emergency(n: u64, more: &str) -> String {
    format!(r#"{{ "firmwareId": "FW-{n}", "strategy": "Emergency" {more} }}"#)
}

/// A release that QA never saw is deployed as an emergency, soon and with its reports, or not at all.
#[test]
fn sec_8_an_emergency_release_cannot_be_deployed_otherwise() {
    let mut office = Office::new();
    office.release(50, FirmwareClass::Emergency, 3);
    for json in [
        all(50, ""),
        r#"{ "firmwareId": "FW-50", "strategy": "Canary", "canaryDevicesPerHospital": 1 }"#.to_owned(),
        r#"{ "firmwareId": "FW-50", "strategy": "Scheduled", "maintenanceWindows": [] }"#.to_owned(),
    ] {
        office.refuses("operator", create("D-1", &json), "emergency-only", "without QA");
    }
    let off = emergency(50, r#", "fdaNotificationRequired": false"#);
    office.refuses("operator", create("D-1", &off), "invalid-field", "fdaNotificationRequired");
    let rare = emergency(50, r#", "statusReportInterval": "P30D""#);
    office.refuses("operator", create("D-1", &rare), "invalid-field", "statusReportInterval");
    // A recall had its QA, and may be brought either way.
    office.release(51, FirmwareClass::Recall, 3);
    office.deploy("D-1", &all(51, "")).expect("a good deployment");
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "x".into() });
    office.deploy("D-2", &emergency(50, "")).expect("as it was approved");
    assert_eq!(office.deployment("D-2").duties[0].kind, DutyKind::FdaNotification);
}

/// Who watches for no time at all owes the reports all the same.
#[test]
fn sec_8_a_completed_emergency_owes_its_daily_reports() {
    let mut office = Office::new();
    office.release(50, FirmwareClass::Emergency, 3);
    office.deploy("D-1", &emergency(50, r#", "postDeploymentMonitoring": "PT0S""#)).expect("an emergency");
    let reports = |office: &Office| {
        let duties = office.deployment("D-1").duties.iter();
        duties.filter(|duty| matches!(duty.kind, DutyKind::StatusReport { .. })).count()
    };
    for day in 1..=8 {
        office.pass(DAY_MS);
        assert_eq!(reports(&office), day.min(7), "after {day} days");
    }
    let mut deployment = office.deployment("D-1").clone();
    deployment.status = rollout::Status::Completed;
    deployment.duties.retain(|duty| !matches!(duty.kind, DutyKind::StatusReport { .. }));
    office.state.deployments.insert(id("D-1"), deployment);
    office.pass(DAY_MS);
    assert!(reports(&office) > 0, "also once it has completed");
}

#[test]
fn sec_8_an_emergency_begins_soon_after_its_last_approval() {
    let mut office = Office::new();
    office.release(50, FirmwareClass::Emergency, 3);
    office.pass(4 * HOUR_MS + 1);
    office.refuses("operator", create("D-1", &emergency(50, "")), "emergency-late", "within 4 hours");
    office.release(51, FirmwareClass::Emergency, 3);
    office.pass(4 * HOUR_MS);
    office.deploy("D-1", &emergency(51, "")).expect("in time");
    // A pause is no way around: agents begin nothing after a week, and nobody resumes.
    office.give("operator", Command::Pause { deployment: id("D-1"), reason: "lunch".into() });
    office.pass(DAY_MS);
    office.resume_first().expect("still an emergency");
    office.give("operator", Command::Pause { deployment: id("D-1"), reason: "lunch".into() });
    office.pass(6 * DAY_MS);
    let refusal = office.resume_first().expect_err("no emergency any more");
    assert_eq!(refusal.code, "emergency-late", "{refusal}");
    office.order(Scope::Deployment, OrderedBack::Safety).expect("the way back is open");
}
