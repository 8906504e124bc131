//! The desk on a small fleet: four hospitals with two devices each, and releases of every class.

use mdfm_shared::directive::Finish;
use mdfm_shared::fixture::{NOW, SUBMITTER, approval, key, roster, signed};
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, HospitalId, RecallId, UserId};
use mdfm_shared::manifest::{FirmwareClass, Manifest};
use mdfm_shared::sbom::Part;
use mdfm_shared::telemetry::{Event as Reported, EventKind, FirmwareReport, InstallState, TelemetryBatch};
use mdfm_shared::trust::{Revocation, Role, Roster};

use super::super::access::AccessRole;
use super::super::firmware::FirmwareStatus;
use super::super::fleet::NewDevice;
use super::super::recall::{self, Criteria, RecallAction};
use super::super::rollout::duty::DutyKind;
use super::super::rollout::request::DeploymentJson;
use super::super::rollout::window::Weekly;
use super::super::rollout::{Deployment, FirstFailure, OrderedBack, PhaseStatus, Status, plan};
use super::*;
use crate::people::accounts_of;

use crate::fixture::*;

#[test]
fn a_dry_run_names_every_device_and_pins_the_plan() {
    let mut office = Office::new();
    let draft = |office: &Office| {
        plan::draft(&office.state, office.now, &person("operator"), &id("dry-run"), &request(PILOT_FIRST))
            .expect("a plan")
    };
    let shown = draft(&office);
    assert_eq!(shown.members.iter().map(|m| m.devices.len()).sum::<usize>(), 8);
    assert_eq!(shown.members.iter().filter(|m| m.phase == 0).map(|m| m.hospital.as_str()).collect::<Vec<_>>(), ["H-1"]);
    assert_eq!(draft(&office), shown, "the same question, the same answer");
    assert!(office.state.deployments.is_empty());
    let pinned = PILOT_FIRST.replacen('{', &format!(r#"{{ "planDigest": "{}","#, shown.new.plan), 1);
    office.give("operator", new_device(2, 3));
    let refusal = office.deploy("D-1", &pinned).expect_err("the fleet changed");
    assert_eq!(refusal.code, "plan-changed");
    let pinned = PILOT_FIRST.replacen('{', &format!(r#"{{ "planDigest": "{}","#, draft(&office).new.plan), 1);
    office.deploy("D-1", &pinned).expect("as shown");
    assert_eq!(office.deployment("D-1").devices.len(), 9);
}

#[test]
fn seed_strat_plans_that_make_no_sense_are_refused_when_they_are_made() {
    let mut office = Office::new();
    let phase = |text: &str| format!(r#"{{ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [{text}] }}"#);
    let whole = r#"{ "hospitalCohort": "all", "percentage": 100 }"#;
    for (json, words) in [
        (phase(r#"{ "hospitalCohort": "all", "percentage": 101 }"#), "phases[0].percentage"),
        (phase(r#"{ "hospitalCohort": "all", "percentage": 0 }"#), "phases[0].percentage"),
        (phase(&format!("{whole}, {whole}")), "phases[1].percentage: must rise"),
        (phase(&[whole; 21].join(",")), "phases: must be 1 to 20"),
        (phase(r#"{ "hospitalCohort": "", "percentage": 100 }"#), "phases[0].name"),
        (
            phase(r#"{ "hospitalCohort": "all", "percentage": 100, "targetHospitals": ["H-9"] }"#),
            "there is no hospital H-9",
        ),
        (
            phase(
                r#"{ "hospitalCohort": "a", "percentage": 50, "targetHospitals": ["H-1"] },
                   { "hospitalCohort": "b", "percentage": 100, "targetHospitals": ["H-1"] }"#,
            ),
            "phases[1].targetHospitals: H-1 is named in two phases",
        ),
        (all(22, r#""targetDevices": ["DEV-9-9"],"#), "there is no device DEV-9-9"),
        (all(22, r#""targetDevices": [],"#), "targetDevices: no device"),
        (all(22, r#""supersedes": ["D-9"],"#), "supersedes: D-9 is not an active deployment"),
        (all(9, ""), "there is no firmware FW-9"),
        (r#"{ "firmwareId": "FW-22", "strategy": "Canary", "canaryDevices": ["DEV-9-9"] }"#.into(), "DEV-9-9"),
        (
            r#"{ "firmwareId": "FW-22", "strategy": "Canary", "canaryDevices": ["DEV-1-1"], "targetDevices": ["DEV-2-1"] }"#
                .into(),
            "canaryDevices: DEV-1-1 is not part of this deployment",
        ),
        (all(22, r#""targetRecall": "R-9","#), "there is no recall R-9"),
    ] {
        let refusal = office.deploy("D-1", &json).expect_err(words);
        assert!(refusal.detail.contains(words), "{refusal}");
    }
    let elsewhere =
        Command::RegisterHospital { hospital: id("H-5"), name: "Five".into(), cohort: None, timezone: None };
    office.give("operator", elsewhere);
    let Command::RegisterDevice(new) = new_device(5, 1) else { unreachable!("a device") };
    office.give("operator", Command::RegisterDevice(new));
    let refusal = office.deploy("D-1", &all(22, "")).expect_err("no gateway");
    assert!(refusal.detail.contains("DEV-5-1 has no gateway"), "{refusal}");
    office.deploy("D-1", &all(22, r#""targetDevices": ["DEV-1-1", "DEV-1-1"],"#)).expect("twice the same is one");
    assert_eq!(office.deployment("D-1").devices.len(), 1);
}

#[test]
fn conflicting_deployments_are_refused_and_a_newer_one_takes_over_safely() {
    let mut office = Office::new();
    office.deploy("D-1", PILOT_FIRST).expect("approved");
    office.refuses("operator", create("D-2", &all(22, "")), "deployment-conflict", "active deployment D-1");
    let takes = |firmware, more: &str| all(firmware, &format!(r#""supersedes": ["D-1"], {more}"#));
    office.refuses("operator", create("D-2", &takes(22, "")), "not-newer", "same or a newer release");
    office.release(23, FirmwareClass::Standard, 3);
    office.report(1, 1, "D-1", InstallState::Probation, Some(22));
    let without = r#""targetDevices": ["DEV-1-2"],"#;
    office.refuses(
        "operator",
        create("D-2", &takes(23, without)),
        "deployment-conflict",
        "DEV-1-1 of deployment D-1 is in flight",
    );
    office.deploy("D-2", &takes(23, "")).expect("newer, and takes everybody along");
    assert_eq!(office.deployment("D-1").status, Status::Superseded { by: id("D-2") });
    assert!(office.desired(1).iter().all(|w| w.deployment.as_str() == "D-2"));
    office.report(1, 1, "D-2", InstallState::Activating, None);
    let back = Command::Rollback {
        deployment: id("D-2"),
        scope: Scope::Deployment,
        cause: OrderedBack::Safety,
        reason: "x".into(),
    };
    office.give("operator", back);
    office.release(24, FirmwareClass::Standard, 3);
    office.report(1, 1, "D-2", InstallState::RollingBack, None);
    office.refuses(
        "operator",
        create("D-3", &all(24, r#""supersedes": ["D-2"],"#)),
        "deployment-conflict",
        "wait until it has ended",
    );
}

#[test]
fn hospitals_that_want_to_be_asked_wait_for_their_own_staff() {
    let mut office = Office::new();
    let policy = Command::SetHospitalPolicy { hospital: id("H-2"), windows: vec![], consent_required: true };
    office.give("operator", policy);
    for (name, hospital) in [("nurse-2", "H-2"), ("nurse-3", "H-3")] {
        office.give(
            "admin",
            Command::CreateUser {
                user: id(name),
                printed_name: name.into(),
                roles: vec![AccessRole::HospitalStaff],
                hospital: Some(id(hospital)),
                credential: Digest([1; 32]),
            },
        );
    }
    office.deploy("D-1", &all(22, "")).expect("approved");
    assert_eq!((office.actions(1), office.actions(2)), (vec!["install"; 2], vec!["hold"; 2]));
    let consent = |hospital: &str, given| Command::Consent {
        deployment: id("D-1"),
        hospital: id(hospital),
        given,
        reason: "night shift agrees".into(),
    };
    office.refuses("nurse-3", consent("H-2", true), "other-hospital", "nurse-3 belongs to H-3");
    office.refuses("nurse-2", consent("H-2", false), "wrong-step", "has not consented");
    office.give("nurse-2", consent("H-2", true));
    assert_eq!(office.actions(2), ["install"; 2]);
    office.refuses("nurse-2", consent("H-2", true), "wrong-step", "has consented already");
    office.give("nurse-2", consent("H-2", false));
    assert_eq!(office.actions(2), ["hold"; 2], "they changed their mind");
    // On-site staff take back their own hospital, and no other.
    let back = |hospital: &str| Command::Rollback {
        deployment: id("D-1"),
        scope: Scope::Hospital { hospital: id(hospital) },
        cause: OrderedBack::Operational,
        reason: "not now".into(),
    };
    office.refuses("nurse-3", back("H-1"), "other-hospital", "decides for that hospital alone");
    office.give("nurse-3", back("H-3"));
    assert_eq!((office.actions(3), office.actions(1)), (vec!["rollback"; 2], vec!["install"; 2]));
    let everything = Command::Rollback {
        deployment: id("D-1"),
        scope: Scope::Deployment,
        cause: OrderedBack::Safety,
        reason: "x".into(),
    };
    office.refuses("nurse-3", everything, "other-hospital", "nurse-3 belongs to H-3");
    office.refuses(
        "admin",
        Command::CreateUser {
            user: id("both"),
            printed_name: "Both".into(),
            roles: vec![AccessRole::HospitalStaff, AccessRole::Operator],
            hospital: Some(id("H-1")),
            credential: Digest([1; 32]),
        },
        "invalid-field",
        "hospitalId",
    );
    // Somebody may ask every hospital.
    let mut office = Office::new();
    office.deploy("D-1", &all(22, r#""hospitalConsent": "every","#)).expect("approved");
    assert_eq!(office.actions(1), ["hold"; 2]);
}

fn nightly(start: u32, end: u32) -> Vec<Weekly> {
    (1..=7)
        .map(|weekday| Weekly { weekday, start_s: start * 3_600, end_s: end * 3_600, timezone: "Europe/Berlin".into() })
        .collect()
}

#[test]
fn seed_strat_scheduled_directives_carry_the_windows_of_their_life() {
    let mut office = Office::new();
    let scheduled = r#"{ "firmwareId": "FW-22", "strategy": "Scheduled" }"#;
    office.refuses("operator", create("D-1", scheduled), "invalid-field", "H-1 has no maintenance window");
    for h in 1..=4 {
        let policy = Command::SetHospitalPolicy {
            hospital: id(&format!("H-{h}")),
            windows: nightly(2, 4),
            consent_required: false,
        };
        office.give("operator", policy);
    }
    office.deploy("D-1", scheduled).expect("approved");
    let desired = office.desired(1);
    let Action::InstallWithin { windows, finish, .. } = &desired[0].action else { panic!("{desired:?}") };
    assert_eq!((windows.len(), *finish), (1, Finish::Inside), "one night within the day that a directive lives");
    assert_eq!(windows[0].closes_at.since_ms(windows[0].opens_at), 2 * HOUR_MS);
    assert!(windows[0].opens_at > office.now);
    // A day later it is the next night's.
    office.live(DAY_MS);
    let next = office.desired(1);
    let Action::InstallWithin { windows: later, .. } = &next[0].action else { panic!("{next:?}") };
    assert_eq!(later[0].opens_at.since_ms(windows[0].opens_at), DAY_MS);
    // A confirmed device is bound to no window any more.
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    assert_eq!(office.actions(1), ["install", "within"]);
    // Nobody takes the last window away from under a deployment.
    let none = Command::SetHospitalPolicy { hospital: id("H-1"), windows: vec![], consent_required: false };
    office.refuses("operator", none, "windows-in-use", "it would never end");
    let bad = Command::SetHospitalPolicy {
        hospital: id("H-1"),
        windows: vec![Weekly { timezone: "Mars/Olympus_Mons".into(), ..nightly(2, 4)[0].clone() }],
        consent_required: false,
    };
    office.refuses("operator", bad, "invalid-field", "is no IANA time zone");
}

#[test]
fn windows_too_short_for_the_work_are_refused() {
    let mut office = Office::new();
    let mut slow = release(30, FirmwareClass::Standard, 3);
    slow.health.probation_ms = 5 * HOUR_MS;
    office.upload(&slow);
    Role::ALL.into_iter().for_each(|role| office.approve(&slow, role).expect("approved"));
    let window = r#""maintenanceWindows": [ { "hospitalId": "H-1", "dayOfWeek": "Sunday", "startTime": "02:00", "endTime": "06:00", "timezone": "America/New_York" } ]"#;
    let json = |more: &str| {
        format!(
            r#"{{ "firmwareId": "FW-30", "strategy": "Scheduled", "targetDevices": ["DEV-1-1"], {window} {more} }}"#
        )
    };
    office.refuses("operator", create("D-1", &json("")), "invalid-field", "no window of H-1 is long enough");
    office.deploy("D-1", &json(r#", "pauseOutsideWindow": false"#)).expect("work may go on after the window");
    let elsewhere = json("").replace("DEV-1-1", "DEV-2-1");
    office.refuses("operator", create("D-2", &elsewhere), "invalid-field", "H-1 has no device in this deployment");
}

#[test]
fn devices_registered_later_join_if_the_operator_says_so() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, r#""membership": "dynamic","#)).expect("approved");
    office.give("operator", new_device(2, 3));
    assert_eq!(office.deployment("D-1").devices.len(), 9);
    assert_eq!(office.actions(2), ["install"; 3]);
    assert_eq!(office.deployment("D-1").phases[0].tally.devices, 9);
    let back = Command::Rollback {
        deployment: id("D-1"),
        scope: Scope::Hospital { hospital: id("H-2") },
        cause: OrderedBack::Operational,
        reason: "no".into(),
    };
    office.give("operator", back);
    office.give("operator", new_device(2, 4));
    assert_eq!(office.deployment("D-1").devices.len(), 9, "a hospital that was taken back takes nobody");
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.give("operator", new_device(2, 3));
    assert_eq!(office.deployment("D-1").devices.len(), 8, "fixed unless said otherwise");
}

#[test]
fn seed_strat_pause_resume_abort_and_their_directives() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    office.report(1, 2, "D-1", InstallState::Probation, Some(22));
    let deployment: DeploymentId = id("D-1");
    office.give("operator", Command::Pause { deployment: deployment.clone(), reason: "look".into() });
    assert_eq!(office.actions(2), ["hold"; 2]);
    office.refuses(
        "operator",
        Command::Pause { deployment: deployment.clone(), reason: "x".into() },
        "wrong-step",
        "cannot be paused",
    );
    office.give("operator", Command::Resume { deployment: deployment.clone(), reason: "fine".into() });
    assert_eq!(office.actions(2), ["install"; 2]);
    office.refuses(
        "operator",
        Command::Abort { deployment: deployment.clone(), reason: " ".into() },
        "invalid-field",
        "reason",
    );
    office.give("operator", Command::Abort { deployment: deployment.clone(), reason: "enough".into() });
    assert_eq!(office.actions(1), ["install", "rollback"], "who is done stays, who is half-way goes back");
    office.report(1, 2, "D-1", InstallState::RolledBack, Some(21));
    assert!(matches!(office.deployment("D-1").status, Status::Aborted { .. }));
    office.refuses("operator", Command::Resume { deployment, reason: "x".into() }, "wrong-step", "cannot be resumed");
    // The next one may have them.
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-2", &all(23, "")).expect("nothing stands in the way");
}

#[test]
fn part_of_a_deployment_goes_back_by_directive() {
    let mut office = Office::new();
    office.deploy("D-1", PILOT_FIRST).expect("approved");
    let back = |scope| Command::Rollback {
        deployment: id("D-1"),
        scope,
        cause: OrderedBack::Operational,
        reason: "a doubt".into(),
    };
    office.give("operator", back(Scope::Device { device: device(1, 2) }));
    assert_eq!(office.actions(1), ["install", "rollback"]);
    office.refuses("operator", back(Scope::Device { device: id("DEV-9-9") }), "not-found", "DEV-9-9");
    office.refuses("operator", back(Scope::Hospital { hospital: id("H-9") }), "not-found", "H-9");
    office.refuses("operator", back(Scope::Phase { phase: 1 }), "wrong-step", "has not been opened");
    office.give("operator", back(Scope::Phase { phase: 0 }));
    assert_eq!(office.actions(1), ["rollback"; 2]);
    assert!(
        matches!(&office.deployment("D-1").status, Status::Paused { reason } if reason.contains("a phase was rolled back"))
    );
}

#[test]
fn an_approval_that_no_longer_counts_stops_what_runs_and_what_would_start() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let mut changed = roster();
    changed.version = 2;
    changed.entries[1].revoked = Some(Revocation { at: UtcMillis(0), log_size: 0 });
    office.give("admin", add_roster(signed(&changed, &[11])));
    let status = &office.deployment("D-1").status;
    assert!(
        matches!(status, Status::Paused { reason } if reason.contains("approval of FW-22 by user-qa as QA no longer counts")),
        "{status:?}"
    );
    assert_eq!(office.actions(1), ["hold"; 2]);
    let deployment: DeploymentId = id("D-1");
    office.refuses(
        "operator",
        Command::Resume { deployment: deployment.clone(), reason: "x".into() },
        "approval-lost",
        "user-qa",
    );
    office.give("operator", Command::Abort { deployment, reason: "not approved any more".into() });
    office.refuses("operator", create("D-2", &all(22, "")), "approval-lost", "user-qa");
}

#[test]
fn seed_appr_approvals_expire_and_a_changed_manifest_starts_anew() {
    let mut office = Office::new();
    let mut manifest = release(40, FirmwareClass::Standard, 3);
    office.upload(&manifest);
    office.approve(&manifest, Role::Clinical).expect("in time");
    let status = |office: &Office| office.state.firmware[&id::<FirmwareId>("FW-40")].status;
    office.pass(30 * DAY_MS - 1);
    assert_eq!(status(&office), FirmwareStatus::PendingApproval);
    office.pass(1_001);
    assert_eq!(status(&office), FirmwareStatus::ApprovalExpired);
    let refusal = office.approve(&manifest, Role::Qa).expect_err("too late");
    assert_eq!(refusal.code, "wrong-step");
    // The same manifest, asked for again: every approval anew, none from before.
    let attach = |m: &Manifest| Command::AttachManifest { firmware: m.firmware_id.clone(), manifest: signed(m, &[10]) };
    office.give(SUBMITTER, attach(&manifest));
    office.give("operator", sbom(id("FW-40")));
    let old = approval(signed(&manifest, &[10]).digest(), "user-clinical", Role::Clinical);
    let command = Command::Approve { firmware: id("FW-40"), approval: signed(&old, &[21]) };
    office.refuses("user-clinical", command, "approval-refused", "before approvals were asked for");
    office.approve(&manifest, Role::Clinical).expect("anew");
    // Any change is another manifest: what was approved is approved no more.
    manifest.health.probation_ms += 1;
    office.give(SUBMITTER, attach(&manifest));
    assert!(office.state.firmware[&id::<FirmwareId>("FW-40")].approvals.is_empty());
    office.give("operator", sbom(id("FW-40")));
    for role in Role::ALL {
        office.approve(&manifest, role).expect("all anew");
    }
    assert_eq!(status(&office), FirmwareStatus::Approved);
    manifest.health.probation_ms += 1;
    office.refuses(SUBMITTER, attach(&manifest), "wrong-step", "approved");
}

#[test]
fn seed_strat_emergency_needs_its_class_and_its_window() {
    let mut office = Office::new();
    let emergency = |n: u64, more: &str| format!(r#"{{ "firmwareId": "FW-{n}", "strategy": "Emergency" {more} }}"#);
    office.refuses("operator", create("D-1", &emergency(22, "")), "not-an-emergency", "approved as a standard release");
    // Two hours apart: within the trust root's four, beyond this deployment's one.
    let manifest = release(50, FirmwareClass::Emergency, 3);
    office.upload(&manifest);
    office.approve(&manifest, Role::Clinical).expect("first");
    office.pass(2 * HOUR_MS);
    office.approve(&manifest, Role::Regulatory).expect("second");
    office.refuses(
        "operator",
        create("D-1", &emergency(50, r#", "approvalWindow": "PT1H""#)),
        "approval-window",
        "7200000 ms apart",
    );
    office.deploy("D-1", &emergency(50, r#", "approvalWindow": "PT4H""#)).expect("in the window");
    assert_eq!(office.deployment("D-1").plan.first_failure, FirstFailure::Hold, "nothing is known of what runs");
    assert!((1..=4).all(|h| office.actions(h) == ["install"; 2]), "all at once");
    // Half an hour late the approvals are asked for again.
    let late = release(51, FirmwareClass::Emergency, 3);
    office.upload(&late);
    office.approve(&late, Role::Clinical).expect("first");
    office.pass(4 * HOUR_MS + 1_001);
    assert_eq!(office.state.firmware[&id::<FirmwareId>("FW-51")].status, FirmwareStatus::ApprovalExpired);
}

/// Whether the release closes a hole decides what its first failure does.
#[test]
fn seed_strat_emergency_a_release_without_a_security_fix_rolls_back_on_the_first_failure() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "done".into() });
    office.release(60, FirmwareClass::Emergency, 3);
    office.deploy("D-2", r#"{ "firmwareId": "FW-60", "strategy": "Emergency" }"#).expect("approved");
    assert_eq!(
        office.deployment("D-2").plan.first_failure,
        FirstFailure::RollBack,
        "the same security version as what runs"
    );
    office.live(1_000);
    office.report(1, 1, "D-2", InstallState::Activating, None);
    // Three missed intervals of ten seconds on trial are a failure.
    office.pass(31_000);
    assert!(
        matches!(office.deployment("D-2").status, Status::RollingBack { .. }),
        "{:?}",
        office.deployment("D-2").status
    );
    assert_eq!(office.actions(4), ["rollback"; 2]);
    let kinds: Vec<DutyKind> = office.deployment("D-2").duties.iter().map(|d| d.kind).collect();
    assert_eq!(kinds, [DutyKind::FdaNotification, DutyKind::CorrectionDecision]);
    let done = |duty| Command::FulfilDuty { deployment: id("D-2"), duty, reference: "806 report 17".into() };
    office.give("user-regulatory", done(0));
    office.refuses("user-regulatory", done(0), "wrong-step", "user-regulatory fulfilled it");
    office.refuses("user-regulatory", done(7), "not-found", "duty 8");
}

#[test]
fn seed_mon_silence_is_noticed_and_so_is_the_return() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(60_000);
    office.pass(60_000);
    assert_eq!(office.deployment("D-1").phases[0].tally.silent, 0);
    office.pass(1_001);
    assert_eq!(office.deployment("D-1").phases[0].tally.silent, 8);
    office.live(1_001);
    assert_eq!(office.deployment("D-1").phases[0].tally.silent, 0);
}

#[test]
fn fda_806_a_recall_finds_its_devices_and_follows_them_to_the_last() {
    let mut office = Office::new();
    let sbom =
        |sha256| Command::AttachSbom { firmware: id("FW-22"), sha256, components: vec![Part::new("openssl", None)] };
    office.refuses("operator", sbom(Digest([1; 32])), "digest-mismatch", "not the bill of materials that was signed");
    office.refuses("operator", sbom(Digest([200; 32])), "wrong-step", "already");
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=3, "D-1", 22);
    office.report(4, 1, "D-1", InstallState::Staging, None);

    let criteria = |spoil: fn(&mut Criteria)| {
        let mut criteria = Criteria { model: MODEL.into(), ..Criteria::default() };
        spoil(&mut criteria);
        criteria
    };
    let open = |name: &str, criteria, action| Command::OpenRecall {
        recall: id(name),
        criteria,
        action,
        reason: "CVE-2026-1".into(),
    };
    for (criteria, words) in [
        (criteria(|c| c.model = "Other".into()), "deviceModel"),
        (criteria(|c| c.releases = Some((9, 1))), "releaseTo"),
        (criteria(|c| c.component = Some(("log4j".into(), None))), "no bill of materials on record names"),
        (criteria(|c| c.versions = vec!["9.9.9".into()]), "no firmware and no device fits"),
        (criteria(|c| c.component = Some(("openssl".into(), Some("1.1".into())))), "no firmware and no device fits"),
    ] {
        office.refuses("operator", open("R-0", criteria, RecallAction::Quarantine), "invalid-field", words);
    }
    let by_part = criteria(|c| c.component = Some(("openssl".into(), Some("3.0.1".into()))));
    office.give("user-regulatory", open("R-1", by_part, RecallAction::Replace));
    let left =
        |office: &Office, name: &str| recall::outstanding(&office.state, &office.state.recalls[&id::<RecallId>(name)]);
    assert_eq!(left(&office, "R-1").len(), 8, "six run it, one is installing it, one was asked and may begin");
    assert_eq!(office.state.firmware[&id::<FirmwareId>("FW-22")].status, FirmwareStatus::Withdrawn);
    assert!(matches!(office.deployment("D-1").status, Status::Aborting { .. }));
    assert_eq!(office.actions(4)[0], "rollback");
    office.refuses("operator", create("D-2", &all(22, "")), "not-approved", "withdrawn");
    office.report(4, 1, "D-1", InstallState::Idle, None);
    office.report(4, 2, "D-1", InstallState::Idle, Some(1));
    assert_eq!(left(&office, "R-1").len(), 6);
    let close = Command::CloseRecall { recall: id("R-1") };
    office.refuses("user-regulatory", close.clone(), "recall-outstanding", "6 devices");

    // The replacement goes to the devices of the recall, and to no other.
    office.release(70, FirmwareClass::Recall, 3);
    office
        .deploy("D-2", r#"{ "firmwareId": "FW-70", "strategy": "Emergency", "targetRecall": "R-1" }"#)
        .expect("approved");
    assert_eq!(office.deployment("D-2").devices.len(), 6);
    office.confirm(1..=2, "D-2", 70);
    assert_eq!(left(&office, "R-1"), [device(3, 1), device(3, 2)], "the two that are away");
    office.confirm(3..=3, "D-2", 70);
    office.give("user-regulatory", close.clone());
    office.refuses("user-regulatory", close, "wrong-step", "closed it");
}

#[test]
fn seed_inv_a_recall_by_release_number_label_or_udi_reaches_what_fits_and_rolls_it_back() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    let open = |name: &str, criteria, action| Command::OpenRecall {
        recall: id(name),
        criteria,
        action,
        reason: "defect".into(),
    };
    let model = || MODEL.to_owned();
    let by_udi = Criteria { model: model(), udi_prefix: Some("(01)00880122".into()), ..Criteria::default() };
    office.give("operator", open("R-1", by_udi, RecallAction::Quarantine));
    assert_eq!(office.state.recalls[&id::<RecallId>("R-1")].found, 2);
    assert_eq!(
        office.state.firmware[&id::<FirmwareId>("FW-22")].status,
        FirmwareStatus::Approved,
        "good on other devices"
    );
    let quarantine = recall::Quarantine::new(&office.state);
    let of = |h| quarantine.of(&device(h, 1), &office.state.devices[&device(h, 1)]).map(RecallId::as_str);
    assert_eq!((of(2), of(3)), (Some("R-1"), None));
    // What never was released from here is known by its label alone.
    office.give("operator", new_device(1, 9));
    let by_label = Criteria { model: model(), versions: vec!["2.1.0".into()], ..Criteria::default() };
    office.give("operator", open("R-2", by_label, RecallAction::Quarantine));
    assert_eq!(office.state.recalls[&id::<RecallId>("R-2")].found, 1);
    let by_number = Criteria { model: model(), releases: Some((20, 22)), ..Criteria::default() };
    office.give("operator", open("R-3", by_number, RecallAction::RollBack));
    assert!(
        matches!(&office.deployment("D-1").status, Status::RollingBack { reason } if reason == "recall R-3: defect")
    );
    assert!((2..=4).all(|h| office.actions(h) == ["rollback"; 2]));
    for h in 1..=4 {
        (1..=2).for_each(|d| office.report(h, d, "D-1", InstallState::RolledBack, Some(21)));
    }
    office.give("operator", Command::CloseRecall { recall: id("R-3") });
}

#[test]
fn p11_10a_whatever_happened_replays_to_the_same_state() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, r#""membership": "dynamic","#)).expect("approved");
    office.give("operator", new_device(2, 3));
    office.confirm(1..=1, "D-1", 22);
    office.live(HOUR_MS);
    let back = Command::Rollback {
        deployment: id("D-1"),
        scope: Scope::Hospital { hospital: id("H-3") },
        cause: OrderedBack::Operational,
        reason: "a doubt".into(),
    };
    office.give("operator", back);
    office.pass(3 * HOUR_MS);
    let mut again = State::default();
    for entry in &office.entries {
        again.apply(&AuditRecord::from_bytes(entry).expect("own record")).expect("replays");
    }
    let value = |state: &State| serde_json::to_value(state).expect("state encodes");
    assert_eq!(value(&again), value(&office.state));
    let hospital: HospitalId = id("H-2");
    assert_eq!(again.main_gateway(&hospital), office.state.main_gateway(&hospital), "indexes too");
    assert_eq!(again.devices_of(&id("GW-2")), office.state.devices_of(&id("GW-2")));
}

/// What is said on a gateway comes late, perhaps: the last word counts, and consent from before a withdrawal is no consent.
#[test]
fn consent_from_a_gateway_counts_once_and_never_against_a_later_word() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, r#""hospitalConsent": "every","#)).expect("approved");
    office.staff_say(1, "D-1", &[(true, 10)]);
    assert_eq!(office.actions(1), ["install"; 2]);
    let given = office.deployment("D-1").hospitals[&id("H-1")].consent.clone().expect("given");
    assert_eq!((given.by.as_str(), given.at), ("root on GW-1", NOW.plus_ms(10)));
    assert_eq!(office.actions(2), ["hold"; 2], "a gateway speaks for its own hospital");
    office.staff_say(2, "D-1", &[(true, 10), (false, 20)]);
    assert_eq!(office.actions(2), ["hold"; 2], "of two words in one batch the last one");
    office.pass(1_000);
    let withdraw = Command::Consent { deployment: id("D-1"), hospital: id("H-1"), given: false, reason: "no".into() };
    office.give("operator", withdraw);
    office.staff_say(1, "D-1", &[(true, 500)]);
    assert_eq!(office.actions(1), ["hold"; 2], "said before it was taken back, and late");
    office.staff_say(1, "D-1", &[(true, 2_000)]);
    assert_eq!(office.actions(1), ["install"; 2]);
    office.staff_say(1, "D-9", &[(true, 2_000)]);
}

/// The longest words that anybody may write, and the most phases, still make records that the log takes.
#[test]
fn every_record_fits_an_entry_of_the_log() {
    let mut office = Office::new();
    let phases: Vec<String> = (1..=20)
        .map(|i| format!(r#"{{ "hospitalCohort": "all", "percentage": {}, "monitoringDuration": "PT1S" }}"#, i * 5))
        .collect();
    let json = format!(r#"{{ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [{}] }}"#, phases.join(","));
    office.deploy("D-1", &json).expect("approved");
    // Each of these characters takes six bytes in JSON.
    let reason = || format!("x{}", "\u{1}".repeat(4_095));
    let deployment: DeploymentId = id("D-1");
    office.give("operator", Command::Pause { deployment: deployment.clone(), reason: reason() });
    office.give("operator", Command::Resume { deployment: deployment.clone(), reason: reason() });
    office.give("operator", Command::Pause { deployment: deployment.clone(), reason: reason() });
    office.give("operator", Command::Abort { deployment, reason: reason() });
    let largest = office.entries.iter().map(Vec::len).max().expect("some");
    assert!(largest <= LOG_ENTRY_BYTES_MAX, "{largest}");
    assert!(largest > 40_000, "else this shows nothing: {largest}");
}

/// More devices behind one gateway than a directive can hold: that gateway gets none, the others theirs.
#[test]
fn a_gateway_with_too_many_devices_stops_no_other() {
    let mut office = Office::new();
    for i in 0..400 {
        let Command::RegisterDevice(new) = new_device(1, 3) else { unreachable!("a device") };
        let name = format!("{}{i:05}", "D".repeat(59));
        office
            .give("operator", Command::RegisterDevice(NewDevice { device: id(&name), serial: name, udi: None, ..new }));
    }
    office.deploy("D-1", &all(22, "")).expect("approved");
    assert_eq!((office.actions(1).len(), office.actions(2)), (0, vec!["install"; 2]));
}

#[test]
fn fda_806_a_recall_by_udi_alone_ends_with_the_last_device() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "done".into() });
    let criteria = Criteria { model: MODEL.into(), udi_prefix: Some("(01)00880122".into()), ..Criteria::default() };
    let open =
        Command::OpenRecall { recall: id("R-1"), criteria, action: RecallAction::Replace, reason: "batch".into() };
    office.give("operator", open);
    office.release(70, FirmwareClass::Recall, 3);
    office
        .deploy("D-2", r#"{ "firmwareId": "FW-70", "strategy": "Emergency", "targetRecall": "R-1" }"#)
        .expect("approved");
    assert_eq!(office.deployment("D-2").devices.len(), 2);
    let close = Command::CloseRecall { recall: id("R-1") };
    office.report(2, 1, "D-2", InstallState::Confirmed, Some(70));
    office.refuses("operator", close.clone(), "recall-outstanding", "1 device,");
    office.report(2, 2, "D-2", InstallState::Confirmed, Some(70));
    office.give("operator", close);
}

mod authority;
mod budgets;
mod chains;
mod command_line;
mod expiries;
mod forgotten;
mod groups;
mod incidents;
mod inventory;
mod least_view;
mod long_waits;
mod notices;
mod on_site;
mod pages;
mod parts;
mod reach;
mod retention;
mod revoked;
mod set_back;
mod signers;
mod standing;
mod steps;
mod trail;
mod trust;
mod wait_codes;
mod waits;
