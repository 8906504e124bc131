//! What ends at a known time, and a clock that was set back.

use super::*;
use crate::expiry::{Expiry, ExpiryKind, near};
use crate::notice::{self, Notice, NoticeKind};
use crate::people::PersonChange;

impl Office {
    /// Objects that people were warned of so far, in order.
    fn warned(&self) -> Vec<String> {
        self.records().into_iter().filter(|r| r.action == "expiry.warn").map(|r| r.object).collect()
    }
    pub(super) fn notices(&self, kind: NoticeKind) -> Vec<Notice> {
        let all = self.records().into_iter().flat_map(|record| notice::of(&self.state, &record));
        all.filter(|notice| notice.kind == kind).collect()
    }
    /// The program starts again: what it knows, it knows from its log.
    pub(super) fn restart(&mut self) {
        self.desk = Desk::new(key(12), 60_000, self.now);
    }
    fn certificate(&mut self, days: u64) {
        let at = self.now.plus_ms(days * DAY_MS);
        self.presence.certificates = vec![Expiry::new(ExpiryKind::ServerCertificate, "certificate/server", "", at)];
    }
}

#[test]
fn fld_17_the_own_certificate_is_warned_of_in_five_steps() {
    let mut office = Office::new();
    office.certificate(40);
    let mut seen = Vec::new();
    for day in 0..=45_u64 {
        office.restart();
        office.pass(if day == 0 { 60_000 } else { DAY_MS });
        office.pass(60_000);
        let warned = office.warned().into_iter().filter(|o| o == "certificate/server").count();
        if seen.last().is_none_or(|(_, last)| *last != warned) {
            seen.push((day, warned));
        }
    }
    let days: Vec<u64> = seen.iter().skip(1).map(|(day, _)| *day).collect();
    assert_eq!((seen.len(), days.len()), (6, 5), "30, 14, 7, 1 and 0 days, each once: {seen:?}");
    let subjects: Vec<String> = office.notices(NoticeKind::TrustExpiring).into_iter().map(|n| n.subject).collect();
    assert!(
        subjects.contains(&"the coordinator's certificate expires in less than 30 days".to_owned()),
        "{subjects:?}"
    );
    assert!(subjects.contains(&"the coordinator's certificate expires in less than 1 day".to_owned()), "{subjects:?}");
    assert!(subjects.contains(&"the coordinator's certificate has expired".to_owned()), "{subjects:?}");
    let words = near(&office.state, &office.presence, office.now)[0].0.words(office.now);
    assert!(words.contains("mdfm-coordinator renew-certificate"), "{words}");
    // Another one is warned of on its own.
    let before = office.warned().len();
    office.certificate(6);
    office.pass(60_000);
    assert_eq!(office.warned().len(), before + 1);
}

#[test]
fn fld_17_gateways_tokens_and_training_are_warned_of() {
    let mut office = Office::new();
    let account = Command::CreateUser {
        user: id("qa-2"),
        printed_name: "Q".into(),
        roles: vec![AccessRole::Qa],
        hospital: None,
        credential: Digest([1; 32]),
    };
    office.give("admin", account);
    let change = |change| Command::ChangePerson { user: id("qa-2"), change, reason: Some("x".into()) };
    let token = PersonChange::TokenMade {
        token_sha256: Digest([80; 32]),
        id: "token-80".into(),
        name: "nightly".into(),
        permissions: vec![crate::access::Permission::Read],
        expires_at: office.now.plus_ms(20 * DAY_MS),
        display: None,
    };
    office.give("qa-2", change(token));
    let until = office.now.plus_ms(8 * DAY_MS);
    office.give("admin", change(PersonChange::TrainingConfirmed { until }));
    office.pass(60_000);
    assert_eq!(office.warned(), ["user/qa-2"], "14 days; a token in the first half of its life is not near its end");
    office.pass(11 * DAY_MS);
    assert!(office.warned().contains(&"token/token-80".to_owned()));
    let person = |n: &Notice| n.person.as_ref().is_some_and(|p| p.as_str() == "qa-2");
    assert!(office.notices(NoticeKind::TrustExpiring).iter().all(person), "whose it is");
    let gateways = |office: &Office| office.warned().iter().filter(|o| o.starts_with("gateway/")).count();
    office.pass(60 * DAY_MS);
    assert_eq!(gateways(&office), 0, "agents renew 30 days before the end");
    office.pass(5 * DAY_MS);
    assert_eq!(gateways(&office), 4, "those that did not are named");
    office.pass(60_000);
    assert_eq!(gateways(&office), 4, "once");
}

#[test]
fn fld_25_a_clock_set_back_is_said_and_dates_no_record_back() {
    let mut office = Office::new();
    office.pass(60_000);
    let last = office.state.last_record_at;
    let (behind, before) = (UtcMillis(last.0 - 2 * HOUR_MS), office.entries.len());
    office.restart();
    let submission = Submission::new(person("operator"), create("D-1", &all(22, "")));
    let round = office.desk.round(&mut office.state, behind, &mut office.presence, &[submission]).expect("applies");
    assert_eq!(round.answers, [Ok(())]);
    office.entries.extend(round.entries);
    let new: Vec<AuditRecord> = office.records().split_off(before);
    assert!(new.len() > 2 && new.iter().all(|record| record.at_ms >= last.0), "none is dated before the last");
    assert_eq!(new[0].action, "clock.behind", "it is said first");
    let notices = office.notices(NoticeKind::ClockBehind);
    assert_eq!(notices.len(), 1, "once");
    assert!(notices[0].detail.contains("check the time service"), "{}", notices[0].detail);
    assert!(office.state.clock_behind && office.deployment("D-1").created_at >= last);
    office.now = last.plus_ms(60_000);
    office.pass(1_000);
    assert!(!office.state.clock_behind);
}
