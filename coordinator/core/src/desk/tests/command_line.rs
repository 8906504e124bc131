//! What people met at the command line, where the coordinator is at fault.

use serde_json::json;

use super::*;
use crate::fleet::{DeviceChange, PolicyChange};
use crate::rollout::Members;
use crate::rollout::fitness;
use crate::rollout::foresight::{Foreseen, foresee};
use crate::rollout::spec::WindowRule;

fn window(weekday: i8, start_h: u32, end_h: u32) -> Weekly {
    Weekly { weekday, start_s: start_h * 3_600, end_s: end_h * 3_600, timezone: "Europe/Berlin".into() }
}

fn policy(change: PolicyChange) -> Command {
    Command::ChangeHospitalPolicy { hospital: id("H-1"), change, reason: "agreed on the ward".into() }
}

fn draft(office: &Office, json: &str) -> Result<plan::Draft, Refusal> {
    plan::draft(&office.state, office.now, &person("operator"), &id("dry-run"), &request(json))
}

fn with_windows(office: &mut Office, windows: Vec<Weekly>) {
    office.give("operator", Command::SetHospitalPolicy { hospital: id("H-1"), windows, consent_required: false });
}

#[test]
fn cli_3_a_policy_changes_only_in_what_is_named() {
    let mut office = Office::new();
    let (first, second) = (window(7, 2, 6), window(3, 2, 4));
    // Each once, however often it is named.
    let add = vec![first.clone(), second.clone(), first.clone()];
    let change = PolicyChange { add, ..PolicyChange::default() };
    office.give("operator", policy(change));
    let held = |office: &Office| office.state.hospitals[&id::<HospitalId>("H-1")].clone();
    office.give("operator", policy(PolicyChange { consent_required: Some(true), ..PolicyChange::default() }));
    assert_eq!((held(&office).windows.len(), held(&office).consent_required), (2, true), "consent wipes no window");
    office.give("operator", policy(PolicyChange { remove: vec![first.clone()], ..PolicyChange::default() }));
    assert_eq!((held(&office).windows, held(&office).consent_required), (vec![second.clone()], true));
    office.refuses("operator", policy(PolicyChange::default()), "no-change", "has these values already");
    let again = PolicyChange { add: vec![second.clone()], ..PolicyChange::default() };
    office.refuses("operator", policy(again), "no-change", "has these values already");
    let absent = PolicyChange { remove: vec![first], ..PolicyChange::default() };
    office.refuses("operator", policy(absent), "invalid-field", "no such window");
    let both = PolicyChange { windows: Some(vec![]), add: vec![second], ..PolicyChange::default() };
    office.refuses("operator", policy(both), "invalid-field", "one or the other");
    office.give("operator", policy(PolicyChange { windows: Some(vec![]), ..PolicyChange::default() }));
    assert_eq!((held(&office).windows, held(&office).consent_required), (vec![], true));
}

#[test]
fn cli_4_registered_windows_are_kept_by_default() {
    let mut office = Office::new();
    with_windows(&mut office, nightly(2, 4));
    office.deploy("D-1", &all(22, "")).expect("approved");
    assert_eq!(office.actions(1), ["within"; 2], "it registered windows");
    assert_eq!(office.actions(2), ["install"; 2], "it registered none");
    // The next day's windows follow without an act.
    office.live(DAY_MS);
    assert_eq!(office.actions(1), ["within"; 2]);
}

#[test]
fn cli_4_windows_are_ignored_only_with_a_reason() {
    let mut office = Office::new();
    with_windows(&mut office, nightly(2, 4));
    let parse = |json: &str| serde_json::from_str::<DeploymentJson>(json).expect("JSON").parse(None);
    for (more, words) in [
        (r#""ignoreWindows": true,"#, "ignoreWindowsReason"),
        (r#""ignoreWindows": true, "ignoreWindowsReason": " ","#, "ignoreWindowsReason"),
        (r#""ignoreWindowsReason": "alarms fail","#, "without ignoreWindows"),
        (r#""ignoreWindows": true, "ignoreWindowsReason": "x", "pauseOutsideWindow": true,"#, "contradicts"),
    ] {
        let refusal = parse(&all(22, more)).expect_err(words);
        assert!(refusal.detail.contains(words), "{refusal}");
    }
    let emergency = all(22, r#""ignoreWindows": true, "ignoreWindowsReason": "alarms fail","#);
    let shown = draft(&office, &emergency).expect("a plan");
    let registered = office.state.hospitals[&id::<HospitalId>("H-1")].windows.clone();
    assert_eq!(shown.new.spec.ignored_windows(&id("H-1"), &registered), registered);
    assert_eq!(shown.new.spec.windows.ignored_because(), Some("alarms fail"));
    office.deploy("D-1", &emergency).expect("approved");
    assert_eq!(office.actions(1), ["install"; 2]);
    let record = office.entries.iter().find(|e| String::from_utf8_lossy(e).contains("deployment.create"));
    assert!(String::from_utf8_lossy(record.expect("its record")).contains("alarms fail"), "the log says why");
}

#[test]
fn cli_4_given_windows_count_inside_the_registered_ones() {
    let mut office = Office::new();
    with_windows(&mut office, nightly(2, 4));
    let scheduled = |start: &str, end: &str, more: &str| {
        let given: Vec<_> = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
            .map(|day| {
                json!({ "hospitalId": "H-1", "dayOfWeek": day, "startTime": start, "endTime": end,
                        "timezone": "Europe/Berlin" })
            })
            .into();
        let given = serde_json::to_string(&given).expect("JSON");
        format!(
            r#"{{ "firmwareId": "FW-22", "strategy": "Scheduled", "targetDevices": ["DEV-1-1"], {more}
                 "maintenanceWindows": {given} }}"#
        )
    };
    let outside = draft(&office, &scheduled("10:00", "12:00", "")).expect_err("by day");
    assert!(outside.detail.contains("ignoreWindows with a reason"), "{outside}");
    let by_day = scheduled("10:00", "12:00", r#""ignoreWindows": true, "ignoreWindowsReason": "the ward is empty","#);
    draft(&office, &by_day).expect("with a reason");
    office.deploy("D-1", &scheduled("03:00", "06:00", "")).expect("they share an hour");
    let desired = office.desired(1);
    let Action::InstallWithin { windows, .. } = &desired[0].action else { panic!("{desired:?}") };
    assert_eq!(windows[0].closes_at.since_ms(windows[0].opens_at), HOUR_MS, "what both allow");
}

#[test]
fn cli_4_deployments_of_earlier_logs_keep_their_rule() {
    let anytime: WindowRule = serde_json::from_value(json!({ "rule": "anytime" })).expect("of an earlier log");
    assert_eq!(anytime, WindowRule::Anytime);
    let old = json!({ "rule": "windows", "given": {}, "finish": "inside" });
    let windows: WindowRule = serde_json::from_value(old.clone()).expect("of an earlier log");
    let is_old = matches!(windows, WindowRule::Windows { keeps_registered: false, ignored_because: None, .. });
    assert!(is_old, "{windows:?}");
    assert_eq!(serde_json::to_value(&windows).expect("encodes"), old, "and is written as it was");
}

#[test]
fn cli_5_nothing_is_signed_or_done_without_a_reason() {
    let mut office = Office::new();
    let manifest = release(23, FirmwareClass::Standard, 3);
    office.upload(&manifest);
    let mut blind = approval(signed(&manifest, &[10]).digest(), "user-qa", Role::Qa);
    for blank in ["", "   ", "\u{200b}"] {
        (blind.reason, blind.at) = (blank.into(), office.now);
        let approval = signed(&blind, &[22]);
        let approve = Command::Approve { firmware: id("FW-23"), approval };
        office.refuses("user-qa", approve, "invalid-field", "reason");
        for command in [
            Command::RevokeGateway { gateway: id("GW-1"), reason: blank.into() },
            Command::RetireDevice { device: device(1, 1), reason: blank.into() },
            Command::WithdrawFirmware { firmware: id("FW-22"), reason: blank.into() },
            Command::RemoveWebhook { webhook: "w".into(), reason: blank.into() },
            Command::Reject { firmware: id("FW-23"), role: Role::Qa, reason: blank.into(), shown: None },
            policy(PolicyChange { consent_required: Some(true), ..PolicyChange::default() }),
        ] {
            let command = match command {
                Command::ChangeHospitalPolicy { hospital, change, .. } => {
                    Command::ChangeHospitalPolicy { hospital, change, reason: blank.into() }
                }
                other => other,
            };
            office.refuses("user-qa", command, "invalid-field", "reason");
        }
    }
}

/// Four devices in the pilot: one that goes back is a quarter of them.
fn pilot_of_four() -> Office {
    let mut office = Office::new();
    office
        .deploy(
            "D-1",
            r#"{ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [
        { "hospitalCohort": "pilot", "percentage": 50, "maxErrorRatePercent": 1 },
        { "hospitalCohort": "all", "percentage": 100 } ] }"#,
        )
        .expect("approved");
    for h in 1..=4 {
        for d in 1..=2 {
            if office.deployment("D-1").devices.get(&device(h, d)).is_some_and(|p| p.phase == 0) {
                office.report(h, d, "D-1", InstallState::Confirmed, Some(22));
            }
        }
    }
    office
}

fn preview(office: &Office, cause: OrderedBack) -> Foreseen {
    let (actor, scope) = (person("operator"), Scope::Device { device: device(1, 1) });
    let command = Command::Rollback { deployment: id("D-1"), scope, cause, reason: "screen flickers".into() };
    let proposals = crate::decide(&office.state, office.now, &actor, &command).expect("may be ordered");
    foresee(&office.state, office.now, &id("D-1"), &proposals).expect("there is such a deployment")
}

#[test]
fn cli_8_a_rollback_says_first_what_it_counts_as() {
    let mut office = pilot_of_four();
    let firmware = preview(&office, OrderedBack::Safety);
    assert!(firmware.is_escalated(), "{firmware:?}");
    let back = firmware.back.values().map(BTreeSet::len).sum::<usize>();
    assert_eq!((firmware.ordered.len(), back), (1, 2), "its hospital follows");
    assert!(firmware.reactions.iter().any(|(_, reason)| reason.contains("25")), "{firmware:?}");
    let operational = preview(&office, OrderedBack::Operational);
    assert!(!operational.is_escalated(), "{operational:?}");
    assert_eq!(operational.back.values().map(BTreeSet::len).sum::<usize>(), 1);
    assert_eq!(office.deployment("D-1").status, Status::Running, "a preview changes nothing");
    // What was foreseen is what happens.
    let order = |cause| Command::Rollback {
        deployment: id("D-1"),
        scope: Scope::Device { device: device(1, 1) },
        cause,
        reason: "screen flickers".into(),
    };
    office.give("operator", order(OrderedBack::Operational));
    assert_eq!(office.deployment("D-1").status, Status::Running);
    let mut office = pilot_of_four();
    office.give("operator", order(OrderedBack::Safety));
    assert!(matches!(office.deployment("D-1").status, Status::Paused { .. }));
    assert!(office.actions(1).iter().all(|action| *action == "rollback"), "{:?}", office.actions(1));
}

#[test]
fn cli_9_a_cohort_that_nobody_is_in_is_refused() {
    let office = Office::new();
    let plan = |cohort: &str| {
        let phase = format!(r#"{{ "hospitalCohort": "{cohort}", "percentage": 25 }}"#);
        format!(
            r#"{{ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [
                {phase}, {{ "hospitalCohort": "all", "percentage": 100 }} ] }}"#
        )
    };
    let refusal = draft(&office, &plan("pilto")).expect_err("a typo");
    assert!(refusal.detail.contains(r#"no hospital is in the cohort "pilto"; did you mean "pilot"?"#), "{refusal}");
    let notes = |json: &str| {
        let shown = draft(&office, json).expect("a plan");
        fitness::notes(&office.state, &shown.new.spec.phases, &shown.members)
    };
    assert_eq!(notes(&plan("pilot")), Vec::<String>::new());
    // More hospitals than the cohort has: the others are named.
    let half = plan("pilot").replace("25", "50");
    assert!(notes(&half)[0].contains("without being of that cohort: H-"), "{:?}", notes(&half));
}

#[test]
fn cli_9_devices_that_cannot_take_a_release_are_named() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=1, "D-1", 22);
    office.state.devices.get_mut(&device(2, 1)).expect("a device").security_floor = 9;
    let older = Manifest { release_number: 21, sha256: Digest([21; 32]), ..release(21, FirmwareClass::Standard, 3) };
    let newer = Manifest { minimum_release: 23, ..release(30, FirmwareClass::Standard, 9) };
    let members: Vec<Members> =
        vec![Members { hospital: id("H-1"), phase: 0, devices: vec![device(1, 1), device(2, 1), device(3, 1)] }];
    let why = |manifest: &Manifest| -> Vec<(String, String)> {
        let refusing = fitness::refusing(&office.state, &members, manifest);
        refusing.into_iter().map(|(d, because)| (d.to_string(), because)).collect()
    };
    let found = why(&older);
    assert_eq!(found[0], ("DEV-1-1".into(), "it runs release number 22, this one is 21: not above it".into()));
    assert!(found[1].1.contains("security floor is 9") && found.len() == 2, "{found:?}");
    assert!(why(&newer)[0].1.contains("needs at least 23 first"), "{:?}", why(&newer));
}

#[test]
fn cli_18_a_change_that_changes_nothing_is_no_record() {
    let mut office = Office::new();
    let before = office.entries.len();
    let change = DeviceChange { serial: Some("SN-1-1".into()), ..DeviceChange::default() };
    let same = Command::ChangeDevice { device: device(1, 1), change, reason: "checked".into() };
    office.refuses("operator", same, "no-change", "has these values already");
    let records = office.entries[before..].iter().filter(|e| String::from_utf8_lossy(e).contains("\"accepted\""));
    assert_eq!(records.count(), 0);
}

#[test]
fn cli_9_an_unapproved_release_names_the_missing_roles() {
    let mut office = Office::new();
    let manifest = release(40, FirmwareClass::Standard, 3);
    office.upload(&manifest);
    let missing = |office: &mut Office, roles: &str| {
        let words = format!("missing: the approval as {roles}");
        office.refuses("operator", create("D-1", &all(40, "")), "not-approved", &words);
    };
    missing(&mut office, "Clinical, QA, Regulatory");
    office.approve(&manifest, Role::Qa).expect("approved");
    missing(&mut office, "Clinical, Regulatory");
}

/// `GET /api/v1/roles` is where `mdfmctl tokens add` learns the names of permissions: it lists those that some role has.
#[test]
fn cli_23_every_permission_is_listed_with_a_role() {
    use crate::access::{AccessRole, Permission};
    for permission in Permission::ALL {
        assert!(AccessRole::ALL.into_iter().any(|role| permission.is_granted_to(role)), "{permission}");
    }
    let names: std::collections::BTreeSet<String> =
        Permission::ALL.iter().map(|p| p.to_string().to_lowercase()).collect();
    assert_eq!(names.len(), Permission::ALL.len(), "names differ in more than case");
}
