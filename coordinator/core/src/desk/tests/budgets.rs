//! What a flood leaves in the log: a handful of records and a count, whoever makes it.

use mdfm_shared::fixture::page::symptom;
use mdfm_shared::telemetry::Severity;

use super::super::super::fleet::AnomalyKind;
use super::super::super::notice;
use super::*;

impl Office {
    /// One round with these submissions; returns the answers.
    pub(super) fn flood(&mut self, submissions: &[Submission]) -> Vec<Result<(), Refusal>> {
        let round = self.desk.round(&mut self.state, self.now, &mut self.presence, submissions).expect("applies");
        self.entries.extend(round.entries);
        round.answers
    }

    fn actions_since(&self, entry: usize) -> Vec<(String, Outcome)> {
        let records = self.entries[entry..].iter().map(|e| AuditRecord::from_bytes(e).expect("own record"));
        records.map(|r| (r.action, r.outcome)).collect()
    }
}

fn actor(kind: ActorKind, id: &str) -> Actor {
    Actor { kind, id: id.into(), roles: vec!["HospitalStaff".into()] }
}

fn boot() -> EventKind {
    EventKind::DeviceError { severity: Severity::Warning, code: "E".into(), message: "m".into() }
}

fn denied(code: &'static str) -> Command {
    let refusal = Refusal::forbidden(code, "may not");
    Command::Denied { action: "device.retire", object: "device/DEV-1-1".into(), refusal }
}

#[test]
fn sec_1_strangers_share_a_record_whatever_they_claim() {
    let mut office = Office::new();
    let before = office.entries.len();
    let submissions: Vec<Submission> = (0..5_000)
        .map(|n| Submission {
            network: Some("192.0.2.1".into()),
            ..Submission::new(actor(ActorKind::Anonymous, &format!("GW-{n}")), denied("enrolment-refused"))
        })
        .collect();
    assert!(office.flood(&submissions).iter().all(|a| a.as_ref().is_err_and(|r| r.code == "enrolment-refused")));
    assert_eq!(office.actions_since(before).len(), 1, "whatever ids they claim");
    office.pass(61_000);
    let actions = office.actions_since(before);
    assert_eq!(actions.last(), Some(&("refusal.count".to_owned(), Outcome::Refused)));
    let record = AuditRecord::from_bytes(office.entries.last().expect("one")).expect("own record");
    assert_eq!(record.event.as_ref().expect("the count")["count"], 4_999);
    assert_eq!((record.actor.id.as_str(), record.object.as_str()), ("192.0.2.1", "network/192.0.2.1"));
    // The log replays to the same state.
    let mut replayed = State::default();
    for entry in &office.entries {
        replayed.apply(&AuditRecord::from_bytes(entry).expect("own record")).expect("replays");
    }
    assert_eq!(replayed.log_size, office.state.log_size);
    office.deploy("D-1", &all(22, "")).expect("nobody else is concerned");
}

#[test]
fn sec_1_denials_of_a_nurse_are_counted_and_written_at_the_end() {
    let mut office = Office::new();
    let before = office.entries.len();
    let machine = |n: usize| ["nurse", "nurse/token/1", "nurse", "nurse/token/2"][n % 4];
    let submissions: Vec<Submission> =
        (0..500).map(|n| Submission::new(actor(ActorKind::User, machine(n)), denied("permission"))).collect();
    office.flood(&submissions);
    assert_eq!(office.actions_since(before).len(), 10, "five of hers, and five of all of her machines");
    let round = office.desk.finish(&mut office.state, office.now).expect("applies");
    let records: Vec<_> = round.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record")).collect();
    let actors: Vec<_> = records.iter().map(|r| (r.actor.id.as_str(), r.object.as_str())).collect();
    assert_eq!(actors, [("nurse", "user/nurse"), ("nurse/token", "user/nurse")]);
    assert!(records.iter().all(|r| r.reason.as_deref().is_some_and(|why| why.starts_with("counted: 245 refusals"))));
}

#[test]
fn sec_1_with_little_room_refusals_are_only_counted() {
    let mut office = Office::new();
    let before = office.entries.len();
    office.desk.set_room(Room::Last);
    let submission = Submission {
        network: Some("192.0.2.1".into()),
        ..Submission::new(actor(ActorKind::Anonymous, "x"), denied("x"))
    };
    office.flood(std::slice::from_ref(&submission));
    office.pass(61_000);
    assert_eq!(office.entries.len(), before);
    office.desk.set_room(Room::Ample);
    office.pass(1_000);
    assert_eq!(office.actions_since(before), [("refusal.count".to_owned(), Outcome::Refused)]);
}

#[test]
fn sec_1_telemetry_beyond_the_allowance_waits_and_is_not_lost() {
    let mut office = Office::new();
    office.desk = Desk::new(key(12), 60_000, NOW).with_gateway_bytes(100_000);
    let gateway: GatewayId = id("GW-1");
    let next = |office: &Office| {
        let kind = EventKind::DeviceError { severity: Severity::Warning, code: "E".into(), message: "m".repeat(200) };
        let chain = &office.state.gateways[&id::<GatewayId>("GW-1")].chain;
        let batch = TelemetryBatch {
            gateway: id("GW-1"),
            epoch: chain.epoch,
            sequence: chain.sequence + 1,
            previous: chain.last(),
            events: vec![Reported { device: Some(device(1, 1)), at: office.now, kind }],
        };
        let command = Command::Telemetry { gateway: id("GW-1"), batch: signed(&batch, &[51]).into() };
        Submission::new(actor(ActorKind::Gateway, "GW-1"), command)
    };
    let mut taken = 0;
    let held_back = loop {
        let submission = next(&office);
        match office.flood(std::slice::from_ref(&submission)).remove(0) {
            Ok(()) => taken += 1,
            Err(refusal) => break (submission, refusal),
        }
    };
    assert!((30..80).contains(&taken), "{taken} batches");
    assert_eq!(held_back.1.code, symptom("Somebody is refused", "record-budget").words());
    let before = office.entries.len();
    office.flood(&vec![held_back.0.clone(); 500]);
    assert!(office.entries.len() - before <= 1, "the flood itself leaves nothing");
    assert_eq!(office.state.gateways[&gateway].chain.sequence, taken, "what was taken stands");
    // Another gateway is not concerned, and the same batch is taken when the allowance has filled.
    office.tell(2, vec![Reported { device: Some(device(2, 1)), at: office.now, kind: boot() }]);
    office.pass(3_600_000);
    assert_eq!(office.flood(std::slice::from_ref(&held_back.0)), [Ok(())]);
}

#[test]
fn sec_23_a_clone_is_an_anomaly_once_an_hour() {
    let mut office = Office::new();
    let before = office.entries.len();
    let networks = vec!["192.0.2.1".into(), "192.0.2.2".into()];
    let clone = Command::NoteUse { gateway: id("GW-1"), kind: AnomalyKind::Clone, networks };
    let submission = Submission::new(system(), clone);
    for _ in 0..10 {
        assert_eq!(office.flood(std::slice::from_ref(&submission)), [Ok(())]);
        office.now = office.now.plus_ms(60_000);
    }
    let shown = symptom("A gateway does not connect", "gateway.clone");
    assert_eq!(shown.words(), symptom("The telemetry", "gateway.clone").words());
    assert_eq!(office.actions_since(before), [(shown.words().to_owned(), Outcome::Accepted)]);
    let anomalies = &office.state.gateways[&id::<GatewayId>("GW-1")].anomalies;
    assert_eq!(anomalies.iter().map(|a| a.kind).collect::<Vec<_>>(), [AnomalyKind::Clone]);
    office.now = office.now.plus_ms(HOUR_MS);
    office.flood(std::slice::from_ref(&submission));
    assert_eq!(office.actions_since(before).len(), 2);
    office.tell(1, vec![Reported { device: Some(device(1, 1)), at: office.now, kind: boot() }]);
}

#[test]
fn sec_23_a_crowd_is_recorded_hourly_and_two_networks_daily() {
    let crowded = symptom("The telemetry", "gateway.crowded");
    let apart = symptom("The telemetry", "gateway.two-networks");
    for (kind, shown, records, notices) in
        [(AnomalyKind::Crowded, crowded, 48, 48), (AnomalyKind::TwoNetworks, apart, 2, 0)]
    {
        let action = shown.words();
        let mut office = Office::new();
        let before = office.entries.len();
        let networks = vec!["192.0.2.1".into(), "192.0.2.2".into()];
        let found = [Submission::new(system(), Command::NoteUse { gateway: id("GW-1"), kind, networks })];
        for _ in 0..2 * 24 * 12 {
            assert_eq!(office.flood(&found), [Ok(())]);
            office.now = office.now.plus_ms(HOUR_MS / 12);
        }
        let found = office.actions_since(before).into_iter().filter(|(found, _)| found == action).count();
        let gateway = &office.state.gateways[&id::<GatewayId>("GW-1")];
        let entries = office.entries[before..].iter().map(|e| AuditRecord::from_bytes(e).expect("own record"));
        let sent = entries.flat_map(|record| notice::of(&office.state, &record)).count();
        assert_eq!((found, sent), (records, notices), "{action}");
        assert_eq!(gateway.anomalies.len(), 1, "other findings keep their places");
        assert!(!gateway.stands(&gateway.anomalies[0]), "it is of a moment");
    }
}

#[test]
fn sec_23_a_gateway_enrolled_again_ends_its_old_connections() {
    let mut office = Office::new();
    let secret_sha256 = Digest([99; 32]);
    let expires_at = office.now.plus_ms(1_000);
    let token = Command::IssueToken { gateway: id("GW-1"), secret_sha256, expires_at, replaces: true };
    office.give("operator", token);
    let telemetry_key = key(51).public();
    let enrol =
        Command::Enrol { gateway: id("GW-1"), secret_sha256, telemetry_key, certificate_sha256: Digest([7; 32]) };
    let submission = Submission::new(actor(ActorKind::Anonymous, "GW-1"), enrol);
    let round = office.desk.round(&mut office.state, office.now, &mut office.presence, &[submission]).expect("applies");
    assert_eq!((round.answers, round.revoked), (vec![Ok(())], 1));
}
