//! Chains that do not continue: what the log says of it, what the gateway is answered, and how it goes on.

use mdfm_shared::directive::ChainRefusal;
use mdfm_shared::fixture::page::symptom;
use mdfm_shared::limits::EPOCHS_A_DAY;
use mdfm_shared::telemetry::Severity;

use super::super::super::dispatch;
use super::super::super::fleet::{AnomalyKind, Gateway as HeldGateway};
use super::super::super::notice::{self, NoticeKind};
use super::*;

fn gateway() -> GatewayId {
    id("GW-1")
}

fn held(office: &Office) -> &HeldGateway {
    &office.state.gateways[&gateway()]
}

/// Gateway 1 signs a batch of its own making; returns its digest too.
fn batch(epoch: u64, sequence: u64, previous: Digest, code: &str) -> (Digest, Command) {
    let kind = EventKind::DeviceError { severity: Severity::Warning, code: code.into(), message: "m".into() };
    let events = vec![Reported { device: Some(device(1, 1)), at: NOW, kind }];
    let signed = signed(&TelemetryBatch { gateway: gateway(), epoch, sequence, previous, events }, &[51]);
    (signed.digest(), Command::Telemetry { gateway: gateway(), batch: signed.into() })
}

fn grow(office: &mut Office, batches: u64) {
    for _ in 0..batches {
        let chain = held(office).chain.clone();
        office.give("x", batch(chain.epoch, chain.sequence + 1, chain.last(), "E").1);
    }
}

fn acknowledges(office: &Office) -> bool {
    dispatch::acknowledgement(&office.state, &gateway()).is_some()
}

#[test]
fn fld_6_an_epoch_begins_behind_the_head_and_is_notified() {
    let mut office = Office::new();
    grow(&mut office, 3);
    let before = held(&office).chain.clone();
    office.refuses("x", batch(1, 2, Digest([9; 32]), "older").1, telemetry::FORK, "differs");
    assert_eq!(held(&office).telemetry_state(), symptom("The telemetry", "refused").words());
    office.refuses("x", batch(2, 1, Digest([9; 32]), "E").1, telemetry::EPOCH, "behind another");
    office.refuses("x", batch(2, 2, before.last(), "E").1, telemetry::GAP, "next is 1.4");
    office.refuses("x", batch(5_000, 1, before.last(), "E").1, telemetry::EPOCH, "behind another");
    let (first, command) = batch(2, 1, before.last(), "again");
    office.give("x", command);
    let now = held(&office);
    assert_eq!((now.chain.epoch, now.chain.sequence, now.chain.last()), (2, 1, first));
    assert_eq!(
        (now.telemetry_state(), now.anomalies.last().map(|a| a.kind)),
        ("continued", Some(AnomalyKind::SetBack))
    );
    assert!(!now.anomalies.iter().any(|a| now.stands(a)), "it is healed");
    let shown = symptom("The telemetry", "telemetry.epoch");
    let record = office.records().into_iter().find(|r| r.action == shown.words()).expect("recorded");
    let event = record.event.as_ref().expect("an event");
    assert_eq!((event["previousSequence"].as_u64(), event["epoch"].as_u64()), (Some(3), Some(2)));
    assert_eq!(event["head"], before.last().to_string());
    let notices = notice::of(&office.state, &record);
    assert_eq!(notices.iter().map(|n| n.kind).collect::<Vec<_>>(), [NoticeKind::GatewayAnomaly]);
    // What was signed before comes too late, and the new epoch goes on.
    office.refuses("x", batch(1, 4, before.last(), "E").1, telemetry::EPOCH, "ended");
    assert_eq!(held(&office).telemetry_state(), "continued", "that takes nothing from what goes on");
    let findings = |office: &Office| office.records().iter().filter(|r| r.action == "telemetry.anomaly").count();
    let found = findings(&office);
    let itself = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
    let late = |sequence| Submission::new(itself.clone(), batch(1, sequence, before.last(), "E").1);
    assert!(office.flood(&(4..40).map(late).collect::<Vec<_>>()).iter().all(Result::is_err));
    assert_eq!(findings(&office), found, "one finding");
    assert!(held(&office).anomalies.iter().any(|a| a.kind == AnomalyKind::Epoch && a.epoch == 1), "and it is named");
    grow(&mut office, 1);
    let mut replayed = State::default();
    for entry in &office.entries {
        replayed.apply(&AuditRecord::from_bytes(entry).expect("own record")).expect("replays");
    }
    assert_eq!(replayed.gateways[&gateway()], *held(&office), "the log replays to the same");
}

#[test]
fn fld_6_an_epoch_that_lost_its_first_batch_goes_on() {
    let mut office = Office::new();
    grow(&mut office, 2);
    let head = held(&office).chain.last();
    let (digest, command) = batch(2, 1, head, "again");
    office.give("x", command.clone());
    let cut = office
        .entries
        .iter()
        .rposition(|e| AuditRecord::from_bytes(e).expect("own record").action == "telemetry.epoch");
    let mut state = State::default();
    for entry in &office.entries[..=cut.expect("recorded")] {
        state.apply(&AuditRecord::from_bytes(entry).expect("own record")).expect("replays");
    }
    office.state = state;
    assert_eq!((held(&office).chain.epoch, held(&office).chain.sequence, held(&office).chain.last()), (2, 0, head));
    office.give("x", command);
    assert_eq!(held(&office).chain.last(), digest);
}

#[test]
fn fld_6_a_refused_chain_costs_a_bounded_number_of_records() {
    let mut office = Office::new();
    grow(&mut office, 40);
    let before = office.entries.len();
    let gateway_itself = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
    let again = |sequence| Submission::new(gateway_itself.clone(), batch(1, sequence, Digest([9; 32]), "older").1);
    let window: Vec<Submission> = (30..46).map(again).collect();
    for _ in 0..720 {
        // An agent of an earlier version sends its window again every five seconds.
        assert!(office.flood(&window).iter().all(Result::is_err));
        office.pass(5_000);
    }
    let telemetry = |r: &AuditRecord| r.action.starts_with("telemetry") || r.action == "refusal.count";
    let records: Vec<_> = office.records().into_iter().skip(before).filter(telemetry).collect();
    assert!(records.len() <= 6, "{} records in an hour", records.len());
    assert_eq!(held(&office).telemetry_state(), "refused");
}

#[test]
fn fld_7_while_batches_are_refused_no_number_is_acknowledged() {
    let mut office = Office::new();
    grow(&mut office, 40);
    assert!(acknowledges(&office));
    let (refused, command) = batch(1, 39, Digest([9; 32]), "older");
    office.refuses("x", command, telemetry::FORK, "differs");
    // The next ones of the same history are ahead of the chain: an earlier version freed by the answer to them.
    office.refuses("x", batch(1, 43, Digest([9; 32]), "older").1, telemetry::GAP, "next is 1.41");
    assert!(!acknowledges(&office), "nobody frees what was refused");
    let head =
        dispatch::chain_head(&office.state, &gateway(), Some((refused, Some(ChainRefusal::Fork)))).expect("known");
    assert_eq!((head.epoch, head.sequence, head.head), (1, 40, held(&office).chain.last()));
    let answer = head.refused.as_ref().expect("an answer");
    assert_eq!((answer.batch, answer.committed.len(), answer.committed.last()), (refused, 32, Some(&head.head)));
    assert!(head.is_bounded());
    grow(&mut office, 1);
    assert!(acknowledges(&office), "the chain goes on");
}

#[test]
fn fld_6_a_repeat_behind_an_unknown_head_is_answered() {
    let mut office = Office::new();
    grow(&mut office, 5);
    let chain = held(&office).chain.clone();
    let answer = |digest| dispatch::chain_head(&office.state, &gateway(), Some((digest, None))).expect("known").refused;
    assert_eq!(answer(chain.last()), None, "the head itself proves it");
    // A copy may have sent it, and gone on: the sender knows no later one.
    let sent = chain.digest_of(3).expect("kept");
    let committed = answer(sent).expect("an answer").committed;
    assert_eq!((committed.contains(&sent), committed.last()), (true, Some(&chain.last())));
}

/// Repeats are usual; ten in each second for a minute are not explained by lost acknowledgements.
#[test]
fn att_11_acknowledged_batches_again_and_again_are_a_finding() {
    let mut office = Office::new();
    grow(&mut office, 1);
    let head = held(&office).chain.last();
    let (last, sent) = batch(1, 2, head, "E");
    office.give("x", sent.clone());
    let itself = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
    let repeat = |office: &mut Office, times: usize| {
        let again = vec![Submission::new(itself.clone(), sent.clone()); times];
        assert!(office.flood(&again).iter().all(Result::is_err));
    };
    let found = |office: &Office| held(office).anomalies.iter().map(|a| (a.kind, a.sequence)).collect::<Vec<_>>();
    repeat(&mut office, 599);
    assert_eq!(found(&office), []);
    office.pass(60_000);
    repeat(&mut office, 599);
    assert_eq!(found(&office), [], "each minute is counted alone");
    repeat(&mut office, 1);
    assert_eq!(found(&office), [(AnomalyKind::Repeats, 2)]);
    office.pass(60_000);
    repeat(&mut office, 1_200);
    assert_eq!(found(&office).len(), 1, "once an hour");
    office.pass(3_600_000);
    repeat(&mut office, 600);
    assert_eq!(found(&office).len(), 2);
    assert_eq!((held(&office).telemetry_state(), held(&office).chain.last()), ("continued", last));
}

#[test]
fn fld_6_a_gateway_that_begins_too_many_epochs_is_held() {
    let mut office = Office::new();
    grow(&mut office, 1);
    for n in 0..EPOCHS_A_DAY as u64 {
        let chain = held(&office).chain.clone();
        office.give("x", batch(chain.epoch + 1, 1, chain.last(), &format!("{n}")).1);
        office.pass(60_000);
    }
    let chain = held(&office).chain.clone();
    let next = batch(chain.epoch + 1, 1, chain.last(), "one more").1;
    for _ in 0..5 {
        office.refuses("x", next.clone(), telemetry::HELD, "two machines");
    }
    let anomaly = symptom("The telemetry", "telemetry.anomaly");
    let alarms = |office: &Office| office.records().iter().filter(|r| r.action == anomaly.words()).count();
    assert_eq!(alarms(&office), 1, "one finding");
    assert_eq!(held(&office).anomalies.last().map(|a| a.kind), Some(AnomalyKind::Held));
    let shown = symptom("The telemetry", "held");
    assert_eq!((held(&office).telemetry_state(), held(&office).chain.epoch), (shown.words(), chain.epoch));
    // Whoever holds the chain now goes on; no epoch begins a day later either.
    grow(&mut office, 2);
    office.pass(2 * DAY_MS);
    let chain = held(&office).chain.clone();
    office.refuses("x", batch(chain.epoch + 1, 1, chain.last(), "later").1, telemetry::HELD, "two machines");
    // A person enrols it again.
    let secret_sha256 = Digest([99; 32]);
    let expires_at = office.now.plus_ms(1_000);
    office.give("operator", Command::IssueToken { gateway: gateway(), secret_sha256, expires_at, replaces: true });
    let telemetry_key = key(51).public();
    let certificate_sha256 = Digest([7; 32]);
    office.give("x", Command::Enrol { gateway: gateway(), secret_sha256, telemetry_key, certificate_sha256 });
    assert_eq!(held(&office).telemetry_state(), "continued");
    let epoch = held(&office).chain.epoch;
    office.give("x", batch(epoch, 1, Digest([0; 32]), "new").1);
}

#[test]
fn fld_6_a_state_kept_by_an_earlier_version_loads() {
    let mut office = Office::new();
    grow(&mut office, 2);
    let mut kept: serde_json::Value =
        serde_json::from_slice(&office.state.to_snapshot().expect("keeps")).expect("JSON");
    let gateway = &mut kept["gateways"]["GW-1"];
    gateway.as_object_mut().expect("an object").remove("healing");
    gateway["chain"].as_object_mut().expect("an object").remove("base");
    let loaded = State::from_snapshot(&serde_json::to_vec(&kept).expect("JSON")).expect("loads");
    assert_eq!(loaded.gateways[&self::gateway()], *held(&office));
}

/// A gateway of a snapshot reports behind the head in a new epoch what its disk still held, and goes on.
#[test]
fn fld_6_what_an_older_disk_still_held_sets_no_device_back() {
    use InstallState as S;
    use mdfm_shared::telemetry::{CARRIED_BEGIN, CARRIED_END, REFUSED_CARRIED, UNSEEN};
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let (manifest, start) = (office.deployment("D-1").plan.manifest, office.now);
    let running = |n: u64| FirmwareReport {
        version: format!("2.{n}.0"),
        release_number: n,
        security_version: 3,
        sha256: Digest([n as u8; 32]),
    };
    let event = |d, s: u64, kind| Reported { device: Some(device(1, d)), at: start.plus_ms(s * 1_000), kind };
    let changed = |d, s, state, running: Option<FirmwareReport>| {
        let (deployment, detail) = (id("D-1"), String::new());
        event(d, s, EventKind::StateChanged { state, manifest, deployment, running, detail })
    };
    let adopted = |d, s, n| {
        let (model, hardware) = (MODEL.to_owned(), "B".to_owned());
        event(d, s, EventKind::DeviceAdopted { model, hardware, firmware: running(n) })
    };
    let mark = |reason: &str| {
        let kind = EventKind::Refused { what: REFUSED_CARRIED.into(), reason: reason.into() };
        Reported { device: None, at: start, kind }
    };
    let state = |office: &Office, d| {
        let installed = office.state.devices[&device(1, d)].install.as_ref().map(|i| i.state);
        assert_eq!(installed, office.deployment("D-1").devices[&device(1, d)].state);
        installed
    };
    office.tell(1, vec![changed(1, 30, S::Activating, None), changed(2, 40, S::Probation, Some(running(22)))]);
    let chain = held(&office).chain.clone();
    let fault = EventKind::DeviceError { severity: Severity::Error, code: "E".into(), message: "m".into() };
    let mut events = vec![
        mark(CARRIED_BEGIN),
        changed(1, 10, S::Fetching, None),
        changed(1, 20, S::Staging, None),
        adopted(2, 5, 20),
        changed(2, 20, S::Failed, None),
        event(2, 21, fault),
    ];
    let batch = |sequence, previous, events: Vec<Reported>| {
        let signed = signed(&TelemetryBatch { gateway: gateway(), epoch: 2, sequence, previous, events }, &[51]);
        Command::Telemetry { gateway: gateway(), batch: signed.into() }
    };
    office.give("x", batch(1, chain.last(), std::mem::take(&mut events)));
    assert!(held(&office).healing.carries_older);
    let errors = |office: &Office, d| office.deployment("D-1").devices[&device(1, d)].errors;
    assert_eq!((state(&office, 1), state(&office, 2)), (Some(S::Activating), Some(S::Probation)));
    assert_eq!((errors(&office, 2), &*office.state.devices[&device(1, 2)].firmware_version), (1, "2.22.0"));
    // What the later life of the older disk did before it learned that is newer, and counts.
    let last = held(&office).chain.last();
    office.give("x", batch(2, last, vec![changed(2, 50, S::RollingBack, None), mark(CARRIED_END)]));
    assert_eq!(state(&office, 2), Some(S::RollingBack));
    assert!(!held(&office).healing.carries_older);
    // Behind the mark the gateway is believed, also with a clock that was set back meanwhile.
    office.tell(1, vec![changed(2, 1, S::RolledBack, Some(running(1)))]);
    assert_eq!(state(&office, 2), Some(S::RolledBack));
    let (deployment, detail) = (id("D-1"), UNSEEN.to_owned());
    let unseen = EventKind::StateChanged { state: S::Idle, manifest, deployment, running: None, detail };
    office.tell(1, vec![event(1, 700, unseen)]);
    assert_eq!(state(&office, 1), Some(S::RollbackFailed), "it had the order to boot, and nobody watches it");
}
