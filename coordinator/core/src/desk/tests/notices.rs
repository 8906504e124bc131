//! Who is told of what: read off the records that the desk makes.

use std::collections::BTreeSet;

use super::super::super::notice::{self, Notice, NoticeKind, NoticeRule, Webhook};
use super::super::super::people::PersonChange;
use super::super::super::settings::Settings;
use super::*;

/// An installation with people, and how many of its records are behind us.
fn office() -> Office {
    let mut office = Office::new();
    for (name, role, hospital) in [
        ("admin", AccessRole::Admin, None),
        ("operator", AccessRole::Operator, None),
        ("nurse-1", AccessRole::HospitalStaff, Some("H-1")),
        ("nurse-2", AccessRole::HospitalStaff, Some("H-2")),
    ] {
        office.give("admin", account(name, &[role], hospital));
    }
    office.entries.clear();
    office
}

fn notices_of(office: &mut Office) -> Vec<Notice> {
    let entries = std::mem::take(&mut office.entries);
    let records = entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record"));
    records.flat_map(|record| notice::of(&office.state, &record)).collect()
}

fn who(office: &Office, notices: &[Notice], kind: NoticeKind) -> BTreeSet<String> {
    let of_kind = notices.iter().filter(|n| n.kind == kind);
    of_kind.flat_map(|n| notice::recipients(&office.state, n)).map(|(user, _)| user.to_string()).collect()
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn a_release_is_news_for_approvers_and_staff_of_the_hospital() {
    let mut office = office();
    office.upload(&release(40, FirmwareClass::Standard, 3));
    let notices = notices_of(&mut office);
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0].subject, "firmware FW-40 waits for your approval");
    let approvers = ["user-clinical", "user-qa", "user-regulatory"];
    assert!(names(&approvers).is_subset(&who(&office, &notices, NoticeKind::ApprovalRequested)));

    let policy = Command::SetHospitalPolicy { hospital: id("H-2"), windows: vec![], consent_required: true };
    office.give("operator", policy);
    office.deploy("D-1", &all(22, "")).expect("approved");
    let notices = notices_of(&mut office);
    assert_eq!(who(&office, &notices, NoticeKind::DeploymentStarted), names(&["operator"]));
    assert_eq!(who(&office, &notices, NoticeKind::DevicesJoined), names(&["nurse-1", "nurse-2"]));
    assert_eq!(who(&office, &notices, NoticeKind::ConsentRequested), names(&["nurse-2"]), "who is asked alone");

    let pause = Command::Pause { deployment: id("D-1"), reason: "pump of H-1 beeps".into() };
    office.give("clinical", pause);
    let notices = notices_of(&mut office);
    assert!(who(&office, &notices, NoticeKind::DeploymentPaused).is_superset(&names(&["nurse-1", "operator"])));
    assert!(
        !notices[0].subject.contains("beeps"),
        "the reason may name another hospital: it is no part of the subject"
    );
}

#[test]
fn p11_300d_a_locked_account_is_told_to_the_administrators_and_a_changed_one_to_its_owner() {
    let mut office = office();
    let refusal = Refusal::new(refusal::Class::Unauthenticated, "locked", "too many tries");
    let object = "user/user-qa".to_owned();
    let denied = Command::Denied { action: "session.open", object, refusal };
    office.attempt("somebody", denied).expect_err("it is a refusal");
    let notices = notices_of(&mut office);
    assert_eq!(who(&office, &notices, NoticeKind::AccountLocked), names(&["admin"]));
    assert!(notices[0].subject.contains("user/user-qa"), "{notices:?}");
    let change = PersonChange::SecondFactorRemoved;
    office.give("admin", Command::ChangePerson { user: id("user-qa"), change, reason: Some("lost".into()) });
    let notices = notices_of(&mut office);
    assert_eq!(who(&office, &notices, NoticeKind::AccountChanged), names(&["user-qa"]), "whatever the rules say");
    assert_eq!(notices[0].detail, "lost");
}

#[test]
fn an_attacker_cannot_flood_the_administrators() {
    let mut office = office();
    let mut quiet = notice::Quiet::default();
    let mut heard = 0;
    for _ in 0..100 {
        office.pass(10_000);
        let refusal = Refusal::new(refusal::Class::Unauthenticated, "locked", "too many tries");
        let denied = Command::Denied { action: "session.open", object: "user/user-qa".into(), refusal };
        office.flood(&[Submission::new(person("somebody"), denied)])[0].as_ref().expect_err("it is a refusal");
        heard += notices_of(&mut office).iter().filter(|n| quiet.admits(n)).count();
    }
    assert_eq!(heard, 2, "a hundred tries in a quarter of an hour and a little more");
}

#[test]
fn rules_and_webhooks_say_who_is_told_by_role_and_hospital() {
    let mut office = office();
    let hospital = Command::RegisterHospital { hospital: id("H-5"), name: "Five".into(), cohort: None, timezone: None };
    office.give("operator", hospital);
    let rule = NoticeRule {
        kinds: vec![NoticeKind::DeploymentPaused],
        roles: vec![AccessRole::Operator],
        hospitals: vec![id("H-5")],
        email: true,
        waits: None,
    };
    let with = |rules: Vec<NoticeRule>| Command::SetSettings {
        settings: Settings { notices: rules, ..Settings::default() },
        reason: "x".into(),
    };
    office.refuses("admin", with(vec![NoticeRule { roles: vec![], ..rule.clone() }]), "invalid-field", "roles");
    let unknown = NoticeRule { hospitals: vec![id("H-9")], ..rule.clone() };
    office.refuses("admin", with(vec![unknown]), "not-found", "H-9");
    office.give("admin", with(vec![rule]));
    let hook = |url: &str, hospital: &str| Command::SetWebhook {
        webhook: format!("hook-{hospital}"),
        set: Webhook {
            url: url.into(),
            kinds: vec![NoticeKind::DeploymentPaused],
            hospitals: vec![id(hospital)],
            secret: Digest([5; 32]),
        },
        reason: "x".into(),
    };
    office.refuses("admin", hook("http://plain.example/", "H-1"), "invalid-field", "https");
    office.give("admin", hook("https://one.example/", "H-1"));
    office.give("admin", hook("https://five.example/", "H-5"));
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.give("clinical", Command::Pause { deployment: id("D-1"), reason: "x".into() });
    let notices = notices_of(&mut office);
    let paused: Vec<&Notice> = notices.iter().filter(|n| n.kind == NoticeKind::DeploymentPaused).collect();
    assert_eq!(paused.len(), 1);
    assert!(notice::recipients(&office.state, paused[0]).is_empty(), "H-5 has no device in it");
    let called: Vec<&String> = notice::webhooks(&office.state, paused[0]).map(|(id, _)| id).collect();
    assert_eq!(called, ["hook-H-1"]);
    office.give("admin", Command::RemoveWebhook { webhook: "hook-H-1".into(), reason: "x".into() });
    office.refuses(
        "admin",
        Command::RemoveWebhook { webhook: "hook-H-1".into(), reason: "x".into() },
        "not-found",
        "hook",
    );
}

/// Whoever has a gateway's key can take its place by two renewals: people are notified of the second, while the gateway's own certificate is still let in.
#[test]
fn sec_23_a_second_renewal_within_a_week_is_notified() {
    let mut office = office();
    let renew = |from: u8, to: u8| Command::RenewCertificate {
        gateway: id("GW-1"),
        presented: Digest([from; 32]),
        certificate_sha256: Digest([to; 32]),
    };
    office.give("x", renew(8, 9));
    let notices = notices_of(&mut office);
    assert_eq!(
        who(&office, &notices, NoticeKind::GatewayAnomaly),
        names(&[]),
        "as every gateway does, every two months"
    );
    office.pass(3_600_000);
    office.give("x", renew(9, 10));
    let notices = notices_of(&mut office);
    assert_eq!(who(&office, &notices, NoticeKind::GatewayAnomaly), names(&["admin", "operator"]));
    assert!(notices.iter().any(|n| n.subject.contains("GW-1 renewed its certificate twice")), "{notices:?}");
    office.pass(8 * 86_400_000);
    notices_of(&mut office);
    office.give("x", renew(10, 11));
    let notices = notices_of(&mut office);
    assert_eq!(who(&office, &notices, NoticeKind::GatewayAnomaly), names(&[]));
}
