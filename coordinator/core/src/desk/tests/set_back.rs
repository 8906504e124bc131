//! The clock of the coordinator's machine is set back: what ends, ends nevertheless, and what fills again fills (DESIGN §10.4).

use super::super::super::incident::Outcome as Harm;
use super::super::super::people::PersonChange;
use super::incidents::open;
use super::*;

/// Sets the clock back by this, and lets it go on for `ms`, with a round every second.
fn set_back(office: &mut Office, back_ms: u64, ms: u64) {
    office.now = UtcMillis(office.now.0.saturating_sub(back_ms));
    office.pass(0);
    (0..ms / 1_000).for_each(|_| office.pass(1_000));
}

/// The time by which the API judges.
fn judged(office: &Office) -> UtcMillis {
    office.state.not_before(office.now)
}

/// The sample: a machine token with an hour left lived on for a year, as long as the clock was behind. No record is written meanwhile.
#[test]
fn sec_13_tokens_and_sessions_end_while_the_clock_is_behind() {
    for back_ms in [2 * HOUR_MS, 365 * DAY_MS, NOW.0] {
        let mut office = Office::new();
        office.give("admin", account("op", &[AccessRole::Operator], None));
        let expires_at = office.now.plus_ms(HOUR_MS);
        let (proof, issuer) = (None, None);
        let token_sha256 = Digest([60; 32]);
        office.give("op", Command::OpenSession { user: id("op"), token_sha256, expires_at, proof, issuer });
        let token = PersonChange::TokenMade {
            token_sha256: Digest([80; 32]),
            id: "token-80".into(),
            name: "nightly".into(),
            permissions: vec![super::super::super::access::Permission::Read],
            expires_at,
            display: None,
        };
        office.give("op", Command::ChangePerson { user: id("op"), change: token, reason: None });
        assert_eq!(office.state.access_of(&id("op"), judged(&office)), (1, 1));
        set_back(&mut office, back_ms, HOUR_MS);
        assert!(judged(&office) < expires_at, "an eighth slower, until the clock has caught up");
        set_back(&mut office, 0, HOUR_MS / 7 + 1_000);
        assert!(judged(&office) > office.state.last_record_at, "time goes on without a record");
        assert_eq!(office.state.access_of(&id("op"), judged(&office)), (0, 0), "{back_ms} ms behind");
    }
}

/// Ends the process, and starts it again with what its disk holds.
fn restart(office: &mut Office) {
    office.state = State::from_snapshot(&office.state.to_snapshot().expect("encodes")).expect("decodes");
    office.restart();
    office.pass(0);
}

/// The sample: a coordinator whose clock is behind was started again and again, and its time began each time where the last record was: a token that
/// had expired was valid again. Now a record keeps the time; an end in order forgets nothing, a crash ten minutes.
#[test]
fn sec_13_restarts_revive_nothing_while_the_clock_is_behind() {
    let mut office = Office::new();
    office.pass(1_000);
    let began = judged(&office);
    set_back(&mut office, 365 * DAY_MS, 1_000);
    for hour in 1..=3 {
        set_back(&mut office, 0, HOUR_MS);
        let (before, kept) = (judged(&office), office.state.last_record_at);
        assert!(before.since_ms(kept) < 10 * 60_000, "a record is no older than ten minutes");
        // It crashes: what had passed since the last record is forgotten.
        restart(&mut office);
        assert!(judged(&office) >= kept && before.since_ms(judged(&office)) < 10 * 60_000);
        assert!(judged(&office).since_ms(began) > hour * (HOUR_MS / 8 * 7 - 11 * 60_000));
    }
    let before = judged(&office);
    let round = office.desk.finish(&mut office.state, office.now).expect("applies");
    office.entries.extend(round.entries);
    restart(&mut office);
    assert!(judged(&office) >= before, "an orderly end forgets nothing");
    assert_eq!(office.notices(crate::notice::NoticeKind::ClockBehind).len(), 1, "said once");
    let kept = office.records().iter().filter(|record| record.action == "clock.still-behind").count();
    assert!((10..30).contains(&kept), "{kept} records in three hours");
    office.now = judged(&office).plus_ms(1_000);
    office.pass(1_000);
    assert!(!office.state.clock_behind);
}

/// Budgets by the hour and the day fill again, and what was only counted is written.
#[test]
fn sec_13_budgets_fill_while_the_clock_is_behind() {
    let mut office = Office::new();
    office.give("admin", account("nurse", &[AccessRole::HospitalStaff], Some("H-1")));
    let open = |n: usize| open(&format!("I-{n}"), Harm::NoHarm, &[device(1, 1)]);
    (0..20).for_each(|n| office.give("nurse", open(n)));
    office.refuses("nurse", open(20), "incident-budget", "in an hour");
    set_back(&mut office, DAY_MS, 1_000);
    office.refuses("nurse", open(20), "incident-budget", "in an hour");
    let counted = |office: &Office| office.records().iter().filter(|r| r.action == "refusal.count").count();
    let refused = Refusal::forbidden("enrolment-refused", "no");
    let denied = Command::Denied { action: "gateway.enrol", object: "gateway/GW-9".into(), refusal: refused };
    let stranger = Actor { kind: ActorKind::Anonymous, id: "x".into(), roles: vec![] };
    let flood = Submission { network: Some("192.0.2.1".into()), ..Submission::new(stranger, denied) };
    office.flood(&vec![flood; 100]);
    set_back(&mut office, 0, 80_000);
    assert_eq!(counted(&office), 1, "the minute of the flood is over");
    set_back(&mut office, 0, HOUR_MS / 7 * 8 + 1_000);
    office.give("nurse", open(21));
}

/// At its end, too, a coordinator whose clock is behind dates no record back.
#[test]
fn sec_13_the_last_records_of_a_stop_are_not_dated_back() {
    let mut office = Office::new();
    let refused = Refusal::forbidden("enrolment-refused", "no");
    let denied = Command::Denied { action: "gateway.enrol", object: "gateway/GW-9".into(), refusal: refused };
    let stranger = Actor { kind: ActorKind::Anonymous, id: "x".into(), roles: vec![] };
    let flood = Submission { network: Some("192.0.2.1".into()), ..Submission::new(stranger, denied) };
    office.flood(&vec![flood; 100]);
    let last = office.state.last_record_at;
    let round = office.desk.finish(&mut office.state, UtcMillis(last.0 - DAY_MS)).expect("applies");
    let records: Vec<_> = round.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record")).collect();
    assert!(!records.is_empty() && records.iter().all(|record| record.at_ms >= last.0), "{records:?}");
}
