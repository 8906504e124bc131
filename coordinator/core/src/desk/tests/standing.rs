//! Changes of somebody's standing and what they end; who replaces a gateway; what people of one hospital are shown.

use mdfm_shared::telemetry::Severity;

use super::super::super::access::Permission;
use super::super::super::notice::{self, NoticeKind, NoticeRule};
use super::super::super::people::{PersonChange, RECOVERY_CODES, WallDisplay};
use super::super::super::rollout::sight::{is_seen_by, status_for, tally_for};
use super::super::super::settings::Settings;
use super::*;

fn change(user: &str, change: PersonChange) -> Command {
    Command::ChangePerson { user: id(user), change, reason: Some("x".into()) }
}

/// An installation with an operator who has a session, a token, a second factor and a signing key.
fn office() -> Office {
    let mut office = Office::new();
    office.give("admin", account("admin", &[AccessRole::Admin], None));
    office.give("admin", account("op", &[AccessRole::Operator, AccessRole::Auditor], None));
    let factor = |n: u8, session| PersonChange::SecondFactorSet {
        secret: Digest([n; 32]),
        recovery: (0..RECOVERY_CODES as u8).map(|c| Digest([100 + c; 32])).collect(),
        step: 1,
        session,
    };
    let session = open(&mut office, "op", 60, None).expect("no second factor yet");
    office.give("op", change("op", factor(70, session)));
    let key = PersonChange::SigningKeySet { public_key: "ed25519:x".into(), sealed: Digest([71; 32]) };
    office.give("op", change("op", key));
    office.give("op", change("op", token("nightly", 80)));
    assert_eq!(office.state.access_of(&id("op"), office.now), (1, 1));
    office
}

fn token(name: &str, n: u8) -> PersonChange {
    PersonChange::TokenMade {
        token_sha256: Digest([n; 32]),
        id: format!("token-{n}"),
        name: name.into(),
        permissions: vec![super::super::super::access::Permission::Read],
        expires_at: NOW.plus_ms(DAY_MS),
        display: None,
    }
}

#[test]
fn console_a_display_reads_for_a_month_and_does_nothing() {
    let mut office = office();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let display = |permissions: &[Permission], days: u64, deployment: &str| {
        let PersonChange::TokenMade { token_sha256, id: token, name, .. } = token("left wall", 90) else {
            panic!("a token")
        };
        let display = Some(WallDisplay { deployment: id(deployment), network: [192, 0, 2, 7].into() });
        let (permissions, expires_at) = (permissions.to_vec(), NOW.plus_ms(days * DAY_MS));
        change("op", PersonChange::TokenMade { token_sha256, id: token, name, permissions, expires_at, display })
    };
    for (refused, code) in [
        (display(&[Permission::Read], 32, "D-1"), "invalid-field"),
        (display(&[Permission::Read, Permission::ReadAll], 7, "D-1"), "invalid-field"),
        (display(&[], 7, "D-1"), "invalid-field"),
        (display(&[Permission::Read], 7, "D-404"), "not-found"),
    ] {
        assert_eq!(office.attempt("op", refused).expect_err("refused").code, code);
    }
    office.give("op", display(&[Permission::Read], 7, "D-1"));
    let kept = serde_json::to_string(&office.state.tokens).expect("JSON");
    assert!(kept.contains(r#""display":{"deployment":"D-1","network":"192.0.2.7"}"#), "{kept}");
}

fn open(office: &mut Office, user: &str, n: u8, issuer: Option<&str>) -> Result<Digest, Refusal> {
    let token_sha256 = Digest([n; 32]);
    let expires_at = office.now.plus_ms(HOUR_MS);
    let command = Command::OpenSession {
        user: id(user),
        token_sha256,
        expires_at,
        proof: None,
        issuer: issuer.map(str::to_owned),
    };
    office.attempt(user, command).map(|()| token_sha256)
}

#[test]
fn sec_11_every_change_of_standing_ends_what_it_must() {
    use PersonChange as P;
    let own = Some(Digest([60; 32]));
    let roles = |roles: &[AccessRole]| P::RolesSet { roles: roles.to_vec(), hospital: None };
    let password =
        |own, resealed, ends_tokens| P::PasswordSet { credential: Digest([9; 32]), own, resealed, ends_tokens };
    // Who does it, what, and what is left: sessions, tokens, signing keys.
    let table = [
        ("admin", P::SecondFactorRemoved, (0, 0, false)),
        ("admin", password(None, None, false), (0, 0, false)),
        ("op", password(own, Some(Digest([8; 32])), true), (1, 0, true)),
        ("op", password(own, Some(Digest([8; 32])), false), (1, 1, true)),
        ("admin", P::SessionsEnded, (0, 0, true)),
        ("admin", P::Disabled, (0, 0, true)),
        ("admin", roles(&[AccessRole::Auditor]), (1, 0, true)),
        ("admin", roles(&[AccessRole::Operator, AccessRole::Auditor, AccessRole::Qa]), (1, 1, true)),
        ("admin", P::TokenRevoked { id: "token-80".into() }, (1, 0, true)),
        ("admin", P::SubjectLinked { subject: Some("s".into()), issuer: Some("https://a".into()) }, (1, 1, true)),
        ("admin", P::TrainingConfirmed { until: NOW.plus_ms(DAY_MS) }, (1, 1, true)),
    ];
    for (by, what, (sessions, tokens, has_key)) in table {
        let mut office = office();
        let shown = format!("{what:?}");
        office.give(by, change("op", what));
        assert_eq!(office.state.access_of(&id("op"), office.now), (sessions, tokens), "{shown}");
        assert_eq!(office.state.users[&id("op")].signing_key.is_some(), has_key, "{shown}");
        // What ended stays so when the standing comes back.
        if tokens == 0 && !shown.contains("Disabled") {
            office.give("admin", change("op", roles(&[AccessRole::Operator, AccessRole::Auditor])));
            assert_eq!(office.state.access_of(&id("op"), office.now).1, 0, "{shown}");
            office.give("op", change("op", token("again", 81)));
        }
    }
    let mut office = office();
    let refused = office.attempt("op", change("op", PersonChange::TokenRevoked { id: "mdfm_a-secret".into() }));
    let refused = refused.expect_err("no such id");
    assert!(!refused.detail.contains("secret"), "what was given may be the token itself: {refused}");
}

#[test]
fn sec_11_a_replaced_factor_is_shown_again_in_other_sessions() {
    let mut office = office();
    let expires_at = office.now.plus_ms(HOUR_MS);
    let (proof, token_sha256) = (Some(super::super::super::people::Proof::Code(2)), Digest([61; 32]));
    office.give("op", Command::OpenSession { user: id("op"), token_sha256, expires_at, proof, issuer: None });
    let shown = |office: &Office, n: u8| office.state.sessions[&Digest([n; 32])].shown_at.is_some();
    assert!(shown(&office, 60) && shown(&office, 61));
    let recovery = (0..RECOVERY_CODES as u8).map(|c| Digest([120 + c; 32])).collect();
    let set = PersonChange::SecondFactorSet { secret: Digest([72; 32]), recovery, step: 3, session: token_sha256 };
    office.give("op", change("op", set));
    assert!(!shown(&office, 60) && shown(&office, 61));
}

#[test]
fn sec_21_a_subject_belongs_to_the_provider_that_gave_it() {
    let mut office = office();
    let (old, new) = ("https://old.example", "https://new.example");
    let link = |subject: &str, issuer: Option<&str>| PersonChange::SubjectLinked {
        subject: Some(subject.into()),
        issuer: issuer.map(str::to_owned),
    };
    let linked = |office: &Office, issuer: &str| office.state.linked(issuer, "sub-1").map(|(id, _)| id.to_string());
    // A link of a log of before: it has no provider, and belongs to the first that the log shows.
    let written =
        serde_json::json!({ "type": "personChanged", "user": "op", "change": "subjectLinked", "subject": "sub-1" });
    let event: Event = serde_json::from_value(written.clone()).expect("old records replay");
    assert_eq!(serde_json::to_value(&event).expect("encodes"), written, "and are written as they were");
    office.give("admin", change("op", link("sub-1", None)));
    // An upgrade and another provider in one step: nothing says whose the link is, so it is nobody's.
    for issuer in [old, new] {
        assert_eq!(open(&mut office, "op", 62, Some(issuer)).expect_err("no provider").code, "single-sign-on");
    }
    office.give("admin", account("qa-3", &[AccessRole::Qa], None));
    office.give("admin", change("qa-3", link("sub-3", Some(new))));
    open(&mut office, "qa-3", 61, Some(new)).expect("linked with this provider");
    assert_eq!(
        (linked(&office, old), linked(&office, new)),
        (None, None),
        "a link with a provider says nothing of others"
    );
    // A log that shows a sign-in by such a link says whose it is.
    let opened = Event::SessionOpened {
        user: id("op"),
        token_sha256: Digest([62; 32]),
        expires_at: office.now.plus_ms(HOUR_MS),
        proof: None,
        issuer: Some(old.into()),
    };
    let record = AuditRecord::from_bytes(office.entries.last().expect("one")).expect("own record");
    let event = serde_json::to_value(&opened).expect("encodes");
    let record = AuditRecord { event: Some(event), ..record };
    office.state.apply(&record).expect("applies");
    assert_eq!((linked(&office, old), linked(&office, new)), (Some("op".into()), None));
    let refused = open(&mut office, "op", 63, Some(new)).expect_err("another provider calls somebody else so");
    assert_eq!(refused.code, "single-sign-on");
    // The same text of another provider may be somebody else's.
    office.give("admin", account("qa-2", &[AccessRole::Qa], None));
    office.refuses("admin", change("qa-2", link("sub-1", Some(old))), "subject-taken", "op is linked with it already");
    office.give("admin", change("qa-2", link("sub-1", Some(new))));
    assert_eq!((linked(&office, old), linked(&office, new)), (Some("op".into()), Some("qa-2".into())));
    open(&mut office, "qa-2", 64, Some(new)).expect("linked with this provider");
    // A link that is taken away or changed ends what was opened by it.
    let unlink = PersonChange::SubjectLinked { subject: None, issuer: None };
    office.give("admin", change("qa-2", unlink));
    assert_eq!(office.state.access_of(&id("qa-2"), office.now), (0, 0));
    open(&mut office, "qa-2", 65, Some(new)).expect_err("no link any more");
    assert_eq!(open(&mut office, "op", 66, Some(old)), Ok(Digest([66; 32])), "others sign in as before");
}

#[test]
fn sec_4_only_who_may_replaces_a_gateway_and_everybody_hears() {
    let mut office = office();
    office.entries.clear();
    let token = |gateway: &str, n: u8, replaces| Command::IssueToken {
        gateway: id(gateway),
        secret_sha256: Digest([n; 32]),
        expires_at: NOW.plus_ms(HOUR_MS),
        replaces,
    };
    office.refuses("op/token/t", token("GW-1", 90, false), "gateway-enrolled", "replaces it");
    office.give("op", token("GW-1", 90, true));
    let (gateway, telemetry_key) = (id("GW-1"), key(51).public());
    let held = office.state.gateways[&gateway].credentials.clone();
    assert!(held.is_some(), "until somebody uses it the gateway goes on");
    let enrol = Command::Enrol {
        gateway: gateway.clone(),
        secret_sha256: Digest([90; 32]),
        telemetry_key,
        certificate_sha256: Digest([7; 32]),
    };
    office.give("x", enrol);
    office.give("op", Command::RegisterGateway { gateway: id("GW-9"), hospital: id("H-1") });
    office.give("op/token/t", token("GW-9", 91, false));
    let entries = std::mem::take(&mut office.entries);
    let records = entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record"));
    let notices: Vec<_> = records.flat_map(|record| notice::of(&office.state, &record)).collect();
    let replaced: Vec<_> = notices.iter().filter(|n| n.kind == NoticeKind::GatewayReplaced).collect();
    let subjects: Vec<&str> = replaced.iter().map(|n| n.subject.as_str()).collect();
    assert_eq!(subjects.len(), 2, "a new gateway is no news: {subjects:?}");
    assert!(subjects[0].starts_with("op made an enrolment token for gateway GW-1"), "{subjects:?}");
    assert!(subjects[1].contains("was enrolled again"), "{subjects:?}");
    // Also where the rules are older than this kind of notice.
    let rule = NoticeRule {
        kinds: vec![NoticeKind::StoreDamaged],
        roles: vec![AccessRole::Auditor],
        hospitals: vec![],
        email: false,
        waits: None,
    };
    let settings = Settings { notices: vec![rule], ..Settings::default() };
    office.give("admin", Command::SetSettings { settings, reason: "x".into() });
    let recipients = notice::recipients(&office.state, replaced[0]);
    assert!(recipients.contains_key(&id("admin")) && recipients.contains_key(&id("op")), "{recipients:?}");
}

#[test]
fn sec_19_people_of_a_hospital_read_of_their_own_devices_alone() {
    let mut office = office();
    for h in [1, 2] {
        let hospital = format!("H-{h}");
        office.give("admin", account(&format!("nurse-{h}"), &[AccessRole::HospitalStaff], Some(&hospital)));
    }
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Probation, Some(22));
    let kind =
        EventKind::DeviceError { severity: Severity::Critical, code: "E-7".into(), message: "pump 3 stalls".into() };
    office.tell(1, vec![Reported { device: Some(device(1, 1)), at: office.now, kind }]);
    let seen = |office: &Office, own: Option<&str>| {
        let own = own.map(id::<HospitalId>);
        let status = status_for(&office.state, office.deployment("D-1"), own.as_ref());
        serde_json::to_string(&status).expect("encodes")
    };
    let (own, other) = (seen(&office, Some("H-1")), seen(&office, Some("H-2")));
    let name = device(1, 1).to_string();
    assert!(!other.contains(&name) && !other.contains("pump 3"), "{other}");
    let stopped = seen(&office, None).contains("reason");
    assert!(!stopped || own.contains("pump 3 stalls"), "the hospital itself reads it: {own}");
    // What somebody writes may name anything.
    office.deploy("D-2", &all(22, "")).expect_err("one at a time");
    let reason = format!("{name} of H-1 beeps");
    let paused = Command::Pause { deployment: id("D-1"), reason: reason.clone() };
    if office.attempt("operator", paused).is_ok() {
        assert!(seen(&office, None).contains(&reason) && !seen(&office, Some("H-2")).contains("H-1"));
    }
    // Nor does a refusal say more.
    let consent =
        Command::Consent { deployment: id("D-1"), hospital: id("H-2"), given: false, reason: "not now".into() };
    let back =
        |scope| Command::Rollback { deployment: id("D-1"), scope, cause: OrderedBack::Safety, reason: "x".into() };
    let elsewhere = Scope::Device { device: device(1, 1) };
    let unknown = Scope::Device { device: id("DEV-made-up") };
    let said = |office: &mut Office, command| office.attempt("nurse-2", command).expect_err("refused").to_string();
    assert_eq!(
        said(&mut office, back(elsewhere)).replace(&name, "X"),
        said(&mut office, back(unknown)).replace("DEV-made-up", "X")
    );
    for command in [consent, back(Scope::Hospital { hospital: id("H-1") }), back(Scope::Deployment)] {
        let text = said(&mut office, command);
        assert!(!text.contains(&name) && !text.contains("pump 3"), "{text}");
    }
    assert!(
        is_seen_by(office.deployment("D-1"), Some(&id("H-2")))
            && !is_seen_by(office.deployment("D-1"), Some(&id("H-9")))
    );
}

#[test]
fn sec_19_staff_read_no_count_of_other_hospitals() {
    let mut office = office();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Probation, Some(22));
    office.confirm(2..=2, "D-1", 22);
    let tally = |own: Option<&str>| {
        let own = own.map(id::<HospitalId>);
        tally_for(&office.state, office.deployment("D-1"), 0, own.as_ref())
    };
    let (all, first, second) = (tally(None), tally(Some("H-1")), tally(Some("H-2")));
    assert_eq!(all, office.deployment("D-1").phases[0].tally);
    assert_eq!((first.devices, first.confirmed, first.begun), (2, 0, 1));
    assert_eq!((second.devices, second.confirmed), (2, 2));
    assert!(all.devices > first.devices + second.devices);
}

/// An order of a person is why a deployment ended, whatever had held it before.
#[test]
fn sec_19_staff_read_that_an_order_ended_a_deployment() {
    let mut office = office();
    for h in [1, 2] {
        let hospital = format!("H-{h}");
        office.give("admin", account(&format!("nurse-{h}"), &[AccessRole::HospitalStaff], Some(&hospital)));
    }
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Probation, Some(22));
    let kind =
        EventKind::DeviceError { severity: Severity::Critical, code: "E-7".into(), message: "pump 3 stalls".into() };
    office.tell(1, vec![Reported { device: Some(device(1, 1)), at: office.now, kind }]);
    let own = id::<HospitalId>("H-2");
    let seen = |office: &Office| {
        serde_json::to_string(&status_for(&office.state, office.deployment("D-1"), Some(&own))).expect("encodes")
    };
    assert!(seen(&office).contains("held after a fault in another hospital"), "{}", seen(&office));
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "H-1 asked for it".into() });
    let ended = seen(&office);
    assert!(ended.contains("ordered by the vendor") && !ended.contains("another hospital"), "{ended}");
    assert!(!ended.contains("H-1"), "{ended}");
}

#[test]
fn cli_14_damage_of_the_log_has_the_action_of_the_page() {
    let damage = crate::event::Damage { file: "log/0".into(), position: 1, entry: 2, what: "checksum".into() };
    let shown = mdfm_shared::fixture::page::symptom("The coordinator does nothing", "audit.damage");
    assert_eq!(Command::NoteDamage(damage).describe().0, shown.words());
}
