//! Waits that last longer than people want: who is notified of them, how often, and of their end.

use std::collections::BTreeSet;

use mdfm_shared::fixture::page::symptom;
use mdfm_shared::telemetry::REFUSED_WAITING;
use mdfm_shared::trust::Freshness;
use mdfm_shared::waiting::{WaitCode, Waiting};

use super::*;
use crate::expiry::{Expiry, ExpiryKind};
use crate::long_wait::WaitLimit;
use crate::notice::{self, Notice, NoticeKind, NoticeRule, Webhook};
use crate::settings::Settings;

const MINUTE_MS: u64 = 60_000;

impl Office {
    /// An installation with an operator and a nurse in each of two hospitals.
    fn with_people() -> Self {
        let mut office = Self::new();
        for (name, role, hospital) in [
            ("operator", AccessRole::Operator, None),
            ("auditor", AccessRole::Auditor, None),
            ("nurse-1", AccessRole::HospitalStaff, Some("H-1")),
            ("nurse-2", AccessRole::HospitalStaff, Some("H-2")),
        ] {
            let account = Command::CreateUser {
                user: id(name),
                printed_name: name.into(),
                roles: vec![role],
                hospital: hospital.map(id),
                credential: Digest([1; 32]),
            };
            office.give("admin", account);
        }
        office
    }

    /// Time passes in steps in which every deployment is looked at.
    fn wait_for(&mut self, minutes: u64) {
        for _ in 0..minutes {
            self.live(MINUTE_MS);
            for _ in 0..self.state.deployments.len() {
                self.live(1_000);
            }
        }
    }

    /// Long waits of which people were notified, with those who hear of each.
    fn long(&self) -> Vec<(Notice, BTreeSet<String>)> {
        let all = self.records().into_iter().flat_map(|record| notice::of(&self.state, &record));
        let long = all.filter(|notice| notice.kind == NoticeKind::LongWait);
        let with = |notice: Notice| {
            let who = notice::recipients(&self.state, &notice).into_keys().map(|user| user.to_string()).collect();
            (notice, who)
        };
        long.map(with).collect()
    }

    fn long_subjects(&self) -> Vec<String> {
        self.long().into_iter().map(|(notice, _)| notice.subject).collect()
    }

    fn rules(&mut self, rules: Vec<NoticeRule>) {
        let settings = Settings { notices: rules, ..Settings::default() };
        self.give("admin", Command::SetSettings { settings, reason: "x".into() });
    }

    fn every_gateway_says(&mut self, code: &WaitCode) {
        for h in 1..=4 {
            self.gateway_says(h, 2, code);
        }
    }

    /// The gateway of hospital `h` says what its first devices wait for.
    fn gateway_says(&mut self, h: usize, devices: usize, code: &WaitCode) {
        for d in 1..=devices {
            let reason = Waiting::new(code.clone(), "").since(Some(NOW)).to_event_text();
            let kind = EventKind::Refused { what: REFUSED_WAITING.into(), reason };
            self.tell(h, vec![Reported { device: Some(device(h, d)), at: self.now, kind }]);
        }
    }

    fn program_restarts(&mut self) {
        self.desk = Desk::new(key(12), 60_000, self.now);
    }
}

fn rule(codes: &[WaitCode], after_minutes: Option<u32>, role: AccessRole) -> NoticeRule {
    NoticeRule {
        kinds: vec![NoticeKind::LongWait],
        roles: vec![role],
        hospitals: vec![],
        email: false,
        waits: Some(WaitLimit { codes: codes.to_vec(), after_minutes }),
    }
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn fld_14_a_long_wait_gives_one_notice_and_one_at_its_end() {
    let mut office = Office::with_people();
    let policy = Command::SetHospitalPolicy { hospital: id("H-2"), windows: vec![], consent_required: true };
    office.give("operator", policy);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(2, 1, "D-1", InstallState::Staged, None);
    office.wait_for(200);
    assert_eq!(office.long_subjects(), Vec::<String>::new(), "nobody is bothered for less than four hours");
    office.wait_for(60);
    let long = office.long();
    let wanted = "deployment D-1 has waited longer than 4 hours: the hospital's consent is missing (consent)";
    assert_eq!(office.long_subjects(), [wanted]);
    assert_eq!(long[0].1, names(&["operator", "nurse-2"]), "who is asked, and who runs the rollout");
    assert!(long[0].0.detail.contains("mdfmctl consent"), "{}", long[0].0.detail);
    office.program_restarts();
    office.wait_for(300);
    assert_eq!(office.long_subjects().len(), 1, "once, also over a restart");
    office.staff_say(2, "D-1", &[(true, office.now.since_ms(NOW))]);
    office.wait_for(20);
    let subjects = office.long_subjects();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects[1].starts_with("deployment D-1: nothing waits longer than 4 hours any more"), "{subjects:?}");
    assert_eq!(office.long()[1].1, names(&["operator", "nurse-2"]), "who heard of its beginning");
    office.wait_for(60);
    assert_eq!(office.long_subjects().len(), 2, "its end is said once");
    let actions: BTreeSet<String> = office.records().into_iter().map(|record| record.action).collect();
    assert!(actions.contains(symptom("The coordinator does nothing", "wait.long").words()));
    assert!(actions.contains(symptom("The coordinator does nothing", "wait.ended").words()));
    let kind = serde_json::to_value(NoticeKind::LongWait).expect("a word");
    assert_eq!(kind, symptom("The coordinator does nothing", "longWait").words());
}

#[test]
fn fld_14_a_fleet_that_waits_for_one_reason_is_one_notice() {
    let mut office = Office::with_people();
    office.rules(vec![rule(&[], None, AccessRole::Operator), rule(&[], None, AccessRole::HospitalStaff)]);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.every_gateway_says(&WaitCode::NoRoom);
    office.wait_for(250);
    let long = office.long();
    assert_eq!(long.len(), 1, "{:?}", office.long_subjects());
    assert!(long[0].0.detail.starts_with("8 devices of 4 hospitals wait: "), "{}", long[0].0.detail);
    assert!(!long[0].0.subject.contains("DEV-"), "the subject names nothing that others may not see");
    assert_eq!(long[0].1, names(&["operator", "nurse-1", "nurse-2"]));
    office.wait_for(600);
    assert_eq!(office.long().len(), 1);
}

#[test]
fn fld_14_a_hospital_that_waits_later_hears_once() {
    let mut office = Office::with_people();
    let no_room = &[WaitCode::NoRoom];
    office
        .rules(vec![rule(no_room, Some(30), AccessRole::Operator), rule(no_room, Some(30), AccessRole::HospitalStaff)]);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.gateway_says(1, 2, &WaitCode::NoRoom);
    office.wait_for(35);
    office.gateway_says(2, 1, &WaitCode::NoRoom);
    office.wait_for(5);
    let heard: Vec<_> = office.long().into_iter().map(|(_, who)| who).collect();
    assert_eq!(heard, [names(&["operator", "nurse-1"]), names(&["nurse-2"])]);
    // Twice as many are news for the vendor, and not for those who know.
    office.gateway_says(2, 2, &WaitCode::NoRoom);
    office.gateway_says(3, 2, &WaitCode::NoRoom);
    office.wait_for(5);
    let heard: Vec<_> = office.long().into_iter().map(|(_, who)| who).collect();
    assert_eq!(heard[2..], [names(&["operator"])]);
    let detail = office.long().pop().expect("the third").0.detail;
    assert!(detail.starts_with("6 devices of 3 hospitals wait: "), "{detail}");
}

#[test]
fn fld_14_a_rule_for_some_hospitals_hides_no_other() {
    let of_second = |after_minutes| NoticeRule {
        hospitals: vec![id("H-2")],
        ..rule(&[WaitCode::NoRoom], Some(after_minutes), AccessRole::Operator)
    };
    let heard = |office: &Office| office.long().into_iter().map(|(_, who)| who).collect::<Vec<_>>();
    // Their hospital waits later than another, of which they did not want to hear.
    let mut office = Office::with_people();
    office.rules(vec![of_second(30)]);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.gateway_says(1, 2, &WaitCode::NoRoom);
    office.wait_for(35);
    office.gateway_says(2, 1, &WaitCode::NoRoom);
    office.wait_for(5);
    assert_eq!(heard(&office), [names(&[]), names(&["operator"])]);
    // Who hears of one hospital early hears later of all, unless there is no other.
    for (others, later) in [(true, names(&["operator"])), (false, names(&[]))] {
        let mut office = Office::with_people();
        office.rules(vec![of_second(30), rule(&[WaitCode::NoRoom], Some(240), AccessRole::Operator)]);
        office.deploy("D-1", &all(22, "")).expect("approved");
        office.gateway_says(2, 1, &WaitCode::NoRoom);
        if others {
            office.gateway_says(1, 1, &WaitCode::NoRoom);
        }
        office.wait_for(250);
        assert_eq!(heard(&office), [names(&["operator"]), later], "{others}");
    }
}

#[test]
fn fld_14_a_restart_does_not_end_what_the_fleet_waits_for() {
    let mut office = Office::with_people();
    let mut version = 1;
    let mut renew = |office: &mut Office, days: u64| {
        version += 1;
        let expires_at = office.now.plus_ms(days * DAY_MS);
        let freshness = Freshness { issued_at: office.now, expires_at, withdrawals_version: 0 };
        let roster = signed(&Roster { version, freshness: Some(freshness), ..roster() }, &[11]);
        office.give("admin", Command::AddRoster { roster, accept_alterations: true, reason: None });
    };
    renew(&mut office, 1);
    let limit = |minutes, role| rule(&[WaitCode::TrustNotFresh], Some(minutes), role);
    office.rules(vec![limit(60, AccessRole::Operator), limit(90, AccessRole::Auditor)]);
    office.deploy("D-1", &all(22, "")).expect("fresh");
    office.live(DAY_MS);
    office.wait_for(100);
    let noticed = office.long_subjects();
    assert_eq!(noticed.len(), 2, "{noticed:?}");
    office.program_restarts();
    office.wait_for(120);
    assert_eq!(office.long_subjects(), noticed, "neither an end nor a second notice");
    renew(&mut office, 90);
    office.wait_for(20);
    let subjects = office.long_subjects();
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    assert!(subjects[2..].iter().all(|s| s.contains("nothing waits longer than")), "{subjects:?}");
}

#[test]
fn fld_14_waits_that_come_and_go_are_not_repeated() {
    let mut office = Office::with_people();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.every_gateway_says(&WaitCode::NoRoom);
    office.wait_for(250);
    for _ in 0..12 {
        office.report(1, 1, "D-1", InstallState::Fetching, None);
        office.wait_for(10);
        office.every_gateway_says(&WaitCode::NoRoom);
        office.wait_for(10);
    }
    assert_eq!(office.long_subjects().len(), 1, "{:?}", office.long_subjects());
    // Gone for longer, and here again: another wait, after as long a time.
    for d in 1..=2 {
        for h in 1..=4 {
            office.report(h, d, "D-1", InstallState::Fetching, None);
        }
    }
    office.wait_for(20);
    assert_eq!(office.long_subjects().len(), 2, "it has ended");
    // A gateway that says that it waits since long ago waits since the last end.
    let lies = Waiting::new(WaitCode::NoRoom, "").since(Some(UtcMillis(1))).to_event_text();
    let kind = EventKind::Refused { what: REFUSED_WAITING.into(), reason: lies };
    office.tell(1, vec![Reported { device: Some(device(1, 1)), at: office.now, kind }]);
    office.wait_for(230);
    assert_eq!(office.long_subjects().len(), 2, "{:?}", office.long_subjects());
    office.wait_for(20);
    assert_eq!(office.long_subjects().len(), 3);
}

#[test]
fn fld_14_rules_say_which_waits_after_how_long_and_to_whom() {
    let mut office = Office::with_people();
    let with = |rules: Vec<NoticeRule>| Command::SetSettings {
        settings: Settings { notices: rules, ..Settings::default() },
        reason: "x".into(),
    };
    let bad = |codes: &[WaitCode], minutes| with(vec![rule(codes, minutes, AccessRole::Operator)]);
    office.refuses("admin", bad(&[], Some(4)), "invalid-field", "afterMinutes must be 5 to 43200");
    office.refuses("admin", bad(&[], Some(43_201)), "invalid-field", "afterMinutes must be 5 to 43200");
    let unknown = WaitCode::from("gatewaysilent".to_owned());
    office.refuses("admin", bad(&[unknown], None), "invalid-field", "there is no reason \"gatewaysilent\"");
    let misplaced = NoticeRule { kinds: vec![NoticeKind::DutyOpened], ..rule(&[], None, AccessRole::Operator) };
    office.refuses("admin", with(vec![misplaced]), "invalid-field", "belongs to a rule for longWait");
    // Operators first, auditors later; operators are not notified again by the rule that includes them.
    let later = NoticeRule {
        roles: vec![AccessRole::Auditor, AccessRole::Operator],
        ..rule(&[WaitCode::NoRoom], Some(120), AccessRole::Auditor)
    };
    office.rules(vec![rule(&[WaitCode::NoRoom], Some(30), AccessRole::Operator), later]);
    let secret = Digest([5; 32]);
    let set = Webhook { url: "https://one.example/".into(), kinds: vec![], hospitals: vec![], secret };
    office.give("admin", Command::SetWebhook { webhook: "one".into(), set, reason: "x".into() });
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.every_gateway_says(&WaitCode::NoRoom);
    office.wait_for(35);
    let long = office.long();
    assert_eq!((long.len(), &long[0].1), (1, &names(&["operator"])));
    assert_eq!(notice::webhooks(&office.state, &long[0].0).count(), 1);
    office.wait_for(100);
    let long = office.long();
    assert_eq!((long.len(), &long[1].1), (2, &names(&["auditor"])), "each person once");
    assert_eq!(notice::webhooks(&office.state, &long[1].0).count(), 0, "a program once");
    // Never, and what a rule does not name.
    let mut office = Office::with_people();
    office
        .rules(vec![rule(&[], Some(0), AccessRole::Operator), rule(&[WaitCode::InUse], Some(5), AccessRole::Auditor)]);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.every_gateway_says(&WaitCode::NoRoom);
    office.wait_for(300);
    assert_eq!(office.long_subjects(), Vec::<String>::new());
}

#[test]
fn fld_14_a_wait_that_no_rule_asks_for_is_forgotten() {
    let mut office = Office::with_people();
    office.rules(vec![rule(&[WaitCode::NoRoom], Some(30), AccessRole::Operator)]);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.every_gateway_says(&WaitCode::NoRoom);
    office.wait_for(40);
    assert_eq!(office.long().len(), 1);
    office.rules(vec![rule(&[WaitCode::NoRoom], Some(600), AccessRole::Operator)]);
    assert_eq!(office.state.long_waits, Default::default());
    let replayed = office.records().iter().fold(State::default(), |mut state, record| {
        state.apply(record).expect("replays");
        state
    });
    assert_eq!(replayed.long_waits, office.state.long_waits, "the log alone says what was noted");
}

#[test]
fn fld_17_certificates_of_others_are_warned_of() {
    let mut office = Office::new();
    let days = |office: &Office, days: u64| office.now.plus_ms(days * DAY_MS);
    let secret = Digest([5; 32]);
    let set = Webhook { url: "https://one.example/".into(), kinds: vec![], hospitals: vec![], secret };
    office.give("admin", Command::SetWebhook { webhook: "one".into(), set, reason: "x".into() });
    let (mail, hook) = (ExpiryKind::MailCertificate, ExpiryKind::WebhookCertificate);
    office.presence.calls(mail, "mail.example:587");
    office.presence.showed(mail, "mail.example:587", days(&office, 40));
    office.presence.showed(hook, "one", days(&office, 6));
    office.presence.showed(hook, "nobody", days(&office, 1));
    let of = |office: &Office, action: &str| -> Vec<String> {
        let all = office.records().into_iter().filter(|r| r.action == action);
        all.map(|r| r.reason.unwrap_or_default()).collect()
    };
    office.pass(60_000);
    office.pass(60_000);
    assert_eq!(of(&office, "certificate.seen").len(), 2, "a webhook that is not set is not recorded");
    let warned = of(&office, symptom("The coordinator does nothing", "expiry.warn").words());
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].starts_with("the certificate of the receiver of webhook one expires at "), "{warned:?}");
    symptom("The coordinator does nothing", "… expires at").assert_in(&warned[0]);
    // The end is known from the log, though nobody was called since the start.
    office.presence = Presence::default();
    office.presence.calls(mail, "mail.example:587");
    office.program_restarts();
    office.pass(11 * DAY_MS);
    let warned = of(&office, "expiry.warn");
    assert!(warned.iter().any(|w| w.contains("the mail server mail.example:587 expires at ")), "{warned:?}");
    // A server that is not in the configuration any more is nobody's news.
    office.presence = Presence::default();
    let before = of(&office, "expiry.warn").len();
    office.pass(28 * DAY_MS);
    let mail_ends = |office: &Office| of(office, "expiry.warn").iter().filter(|w| w.contains("mail.example")).count();
    assert_eq!(mail_ends(&office), 1, "{before}");
    // Another certificate at each call does not fill the log.
    let seen = of(&office, "certificate.seen").len();
    for n in 0..600 {
        let end = days(&office, 400 - n % 2);
        office.presence.showed(hook, "one", end);
        office.pass(30_000);
    }
    assert!(of(&office, "certificate.seen").len() <= seen + 6, "{}", of(&office, "certificate.seen").len() - seen);
    // A receiver whose certificate ends a little earlier or later each time is one matter.
    let (before, base) = (of(&office, "expiry.warn").len(), days(&office, 6));
    for n in 0..48 {
        office.presence.showed(hook, "one", UtcMillis(base.0 - (n + n % 2 * 3) * 1_000));
        office.pass(HOUR_MS);
    }
    assert_eq!(of(&office, "expiry.warn").len(), before + 1, "at seven days");
    office.pass(5 * DAY_MS);
    assert_eq!(of(&office, "expiry.warn").len(), before + 2, "at the end: the program was not there in between");
    office.give("admin", Command::RemoveWebhook { webhook: "one".into(), reason: "x".into() });
    office.presence.forget(hook, "one");
    assert!(office.state.seen_certificates.values().all(|held| held.kind != hook));
    let all: Vec<Expiry> = crate::expiry::all(&office.state, &office.presence, office.now);
    assert!(all.iter().all(|expiry| expiry.kind != hook));
    // Another receiver under the same name, which has shown nothing.
    let seen = of(&office, "certificate.seen").len();
    let set = Webhook { url: "https://two.example/".into(), kinds: vec![], hospitals: vec![], secret };
    office.give("admin", Command::SetWebhook { webhook: "one".into(), set, reason: "x".into() });
    office.pass(2 * DAY_MS);
    assert_eq!(of(&office, "certificate.seen").len(), seen, "what the one before showed counts no more");
}
