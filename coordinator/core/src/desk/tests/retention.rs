//! What is kept how long, what may go, and that the state never misses it; and gateways whose telemetry chain is not as it must
//! be.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::telemetry::Severity;

use super::super::super::fleet::{AnomalyKind, DeviceChange};
use super::super::super::group::{Group, Members};
use super::super::super::retention::{Expired, Judge, Judged, Terms, list_digest};
use super::*;

const YEAR_MS: u64 = 366 * DAY_MS;

impl Office {
    pub(super) fn records(&self) -> Vec<AuditRecord> {
        self.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record")).collect()
    }

    fn expired(&self) -> Expired {
        let mut last = BTreeMap::new();
        for record in self.records() {
            if let Some(id) = record.object.strip_prefix("deployment/") {
                last.insert(id.parse().expect("good id"), UtcMillis(record.at_ms));
            }
        }
        let mut judge = Judge::new(&self.state, self.now, &last);
        self.records().iter().enumerate().for_each(|(i, record)| judge.look(i as u64, record));
        judge.expired()
    }

    /// The state that a replay without some entries gives.
    fn replayed_without(&self, gone: &BTreeSet<u64>) -> serde_json::Value {
        let mut state = State::default();
        for (i, record) in self.records().iter().enumerate() {
            if gone.contains(&(i as u64)) {
                state.log_size += 1;
            } else {
                state.apply(record).unwrap_or_else(|e| panic!("entry {i} {}: {e}", record.action));
            }
        }
        serde_json::to_value(&state).expect("encodes")
    }

    fn retire(&mut self, h: usize, d: usize) {
        self.give("operator", Command::RetireDevice { device: device(h, d), reason: "worn out".into() });
    }

    fn dispose(&mut self, name: &str) -> Expired {
        let expired = self.expired();
        let judged = Judged {
            at: self.now,
            log_size: self.state.log_size,
            entries: expired.entries.len() as u64,
            list_sha256: list_digest(&expired.entries),
        };
        let reason = String::from("terms are over");
        let disposal = name.to_owned();
        self.give(
            "regulatory",
            Command::ProposeDisposal { disposal: disposal.clone(), judged, reason: reason.clone() },
        );
        let confirm = Command::ConfirmDisposal { disposal: disposal.clone(), reason };
        self.refuses("regulatory", confirm.clone(), "same-person", "another person");
        self.give("admin", confirm);
        let Expired { devices, deployments, .. } = expired.clone();
        self.give("x", Command::CarriedOut { disposal, devices, deployments });
        expired
    }

    /// Forty days of operation: a deployment to everything, errors, sign-ins, a refusal.
    fn operated() -> Self {
        let mut office = Self::new();
        let qa = Command::CreateUser {
            user: id("qa"),
            printed_name: "QA".into(),
            roles: vec![AccessRole::Qa],
            hospital: None,
            credential: Digest([9; 32]),
        };
        office.give("admin", qa);
        for i in 0..3 {
            let session = Command::OpenSession {
                user: id("qa"),
                token_sha256: Digest([i; 32]),
                expires_at: office.now.plus_ms(HOUR_MS),
                proof: None,
                issuer: None,
            };
            office.give("qa", session);
        }
        let change = DeviceChange { serial: Some("SN-9".into()), ..DeviceChange::default() };
        office.give("operator", Command::ChangeDevice { device: device(3, 1), change, reason: "misread".into() });
        let members = Members::Listed([device(1, 1), device(3, 1)].into());
        let set = Group { name: "Ward".into(), members };
        office.give("operator", Command::SetGroup { group: id("G-1"), set, reason: "as agreed".into() });
        office.deploy("D-1", &all(22, "")).expect("approved");
        office.refuses("operator", create("D-1", &all(22, "")), "exists", "D-1");
        office.confirm(1..=4, "D-1", 22);
        (0..3).for_each(|_| office.live(HOUR_MS));
        office.give("operator", Command::Abort { deployment: id("D-1"), reason: "enough of them have it".into() });
        (0..40).for_each(|_| office.live(DAY_MS));
        let kind = EventKind::DeviceError { severity: Severity::Warning, code: "W".into(), message: "m".into() };
        office.tell(2, vec![Reported { device: Some(device(2, 1)), at: office.now, kind }]);
        office
    }
}

fn actions(office: &Office, gone: &BTreeSet<u64>) -> BTreeSet<String> {
    let records = office.records();
    gone.iter().map(|i| records[*i as usize].action.clone()).collect()
}

#[test]
fn seed_ret_records_go_after_their_term_and_not_a_day_before() {
    let mut office = Office::operated();
    assert!(!office.deployment("D-1").is_active(), "{:?}", office.deployment("D-1").status);
    assert_eq!(office.expired(), Expired::default());
    let refused_at = office.now;
    office.pass(7 * YEAR_MS - 41 * DAY_MS);
    assert_eq!(office.expired(), Expired::default(), "a day before");
    office.pass(42 * DAY_MS);
    let gone = office.expired();
    assert_eq!(
        actions(&office, &gone.entries),
        BTreeSet::from(["session.open", "directive.issue"].map(str::to_owned)),
        "sign-ins and directives that asked for nothing go; what is about firmware, devices and deployments stays"
    );
    // Devices live: their records and their deployment's have no end yet.
    office.pass(30 * YEAR_MS);
    assert!(!actions(&office, &office.expired().entries).contains("telemetry.commit"));
    (1..=4).for_each(|h| (1..=2).for_each(|d| office.retire(h, d)));
    office.pass(7 * YEAR_MS - DAY_MS);
    assert!(office.expired().devices.is_empty());
    office.pass(2 * DAY_MS);
    let gone = office.expired();
    assert_eq!((gone.devices.len(), gone.deployments.len()), (8, 1));
    let records = office.records();
    let stay: BTreeSet<&str> = (0..records.len())
        .filter(|i| !gone.entries.contains(&(*i as u64)))
        .map(|i| records[i].action.as_str())
        .collect();
    for forever in ["firmware.approve", "firmware.manifest", "trust.root.add", "gateway.enrol", "hospital.register"] {
        assert!(stay.contains(forever), "{forever}");
    }
    let refusal = records.iter().position(|r| r.outcome == Outcome::Refused).expect("one");
    assert!(gone.entries.contains(&(refusal as u64)), "a refusal about a deployment lives as long as the deployment");
    assert!(office.now.since_ms(refused_at) > 40 * YEAR_MS);
}

#[test]
fn seed_ret_the_state_never_misses_what_was_disposed_of() {
    let mut office = Office::operated();
    office.retire(1, 1);
    office.retire(2, 2);
    office.pass(8 * YEAR_MS);
    let first = office.dispose("X-1");
    assert!(!first.entries.is_empty() && first.devices.is_empty(), "their deployment is about living devices too");
    let live = |office: &Office| serde_json::to_value(&office.state).expect("encodes");
    assert!(office.replayed_without(&first.entries) == live(&office), "the first disposal");
    (1..=4).for_each(|h| {
        (1..=2).filter(|d| (h, *d) != (1, 1) && (h, *d) != (2, 2)).for_each(|d| office.retire(h, d));
    });
    office.pass(12 * YEAR_MS);
    let second = office.dispose("X-2");
    assert_eq!((second.devices.len(), second.deployments.len()), (8, 1));
    let gone: BTreeSet<u64> = first.entries.union(&second.entries).copied().collect();
    assert!(office.replayed_without(&gone) == live(&office), "both");
    assert!(office.state.devices.is_empty() && office.state.devices_of(&id("GW-1")).is_empty());
    let telemetry = |gone: &BTreeSet<u64>| {
        let records = office.records();
        (0..records.len()).filter(|i| records[*i].action == "telemetry.commit" && !gone.contains(&(*i as u64))).count()
    };
    assert_eq!(telemetry(&gone), 4, "the newest batch of each gateway, its chain goes on from it");
    office.give("operator", new_device(1, 7));
    assert_eq!(office.state.devices_of(&id("GW-1")), [device(1, 7)], "life goes on");
    assert_eq!(
        State::from_snapshot(&office.state.to_snapshot().expect("encodes")).map(|s| s.log_size).ok(),
        Some(office.state.log_size)
    );
}

#[test]
fn seed_ret_a_legal_hold_keeps_what_it_names_and_all_that_it_needs() {
    let mut office = Office::operated();
    (1..=4).for_each(|h| (1..=2).for_each(|d| office.retire(h, d)));
    let hold =
        |object: &str| Command::PlaceHold { hold: "LH-1".into(), object: object.into(), reason: "a claim".into() };
    office.refuses("regulatory", hold("everything"), "invalid-field", "object");
    let held = device(1, 1);
    let hold_device = format!("device/{held}");
    for unknown in ["device/H1-D1", "hospital/H-9", "gateway/GW-9", "deployment/D-9", "user/nobody"] {
        office.refuses("regulatory", hold(unknown), "not-found", "there is no");
    }
    office.give("regulatory", hold(&hold_device));
    office.pass(12 * YEAR_MS);
    let gone = office.dispose("X-1");
    assert!(office.replayed_without(&gone.entries) == serde_json::to_value(&office.state).expect("encodes"));
    assert!(office.state.devices.contains_key(&held), "it stays as it was");
    let stays = |wanted: &dyn Fn(&AuditRecord) -> bool| {
        office.records().iter().enumerate().any(|(i, r)| wanted(r) && !gone.entries.contains(&(i as u64)))
    };
    assert!(stays(&|r| r.action == "device.register" && r.object == hold_device));
    assert!(stays(&|r| r.action == "telemetry.commit" && r.object == "gateway/GW-1"));
    assert!(stays(&|r| r.action == "deployment.create"), "the deployment that it was part of is its story too");
    assert!(!stays(&|r| r.action == "session.open"));
    office.give("regulatory", Command::ReleaseHold { hold: "LH-1".into(), reason: "settled".into() });
    office.give(
        "admin",
        Command::CreateUser {
            user: id("operator"),
            printed_name: "Operator".into(),
            roles: vec![AccessRole::Operator],
            hospital: None,
            credential: Digest([1; 32]),
        },
    );
    office.give(
        "regulatory",
        Command::PlaceHold { hold: "LH-U".into(), object: "user/operator".into(), reason: "r".into() },
    );
    let more = office.dispose("X-1b");
    let all: BTreeSet<u64> = gone.entries.union(&more.entries).copied().collect();
    assert!(office.replayed_without(&all) == serde_json::to_value(&office.state).expect("encodes"));
    assert!(
        !office.state.devices.contains_key(&held)
            && office
                .records()
                .iter()
                .enumerate()
                .any(|(i, r)| { r.action == "device.register" && !all.contains(&(i as u64)) }),
        "what a person did stays on record, the device is gone"
    );
    office.refuses(
        "regulatory",
        Command::ProposeDisposal {
            disposal: "X-1".into(),
            judged: Judged { at: office.now, log_size: 1, entries: 1, list_sha256: Digest([0; 32]) },
            reason: "again".into(),
        },
        "exists",
        "X-1",
    );
    office.give("regulatory", Command::PlaceHold { hold: "LH-2".into(), object: "*".into(), reason: "all".into() });
    assert_eq!(office.expired(), Expired::default());
    let newer = Judged { at: NOW, log_size: 1, entries: 1, list_sha256: Digest([0; 32]) };
    let propose = Command::ProposeDisposal { disposal: "X-2".into(), judged: newer, reason: "r".into() };
    office.give("regulatory", propose);
    let confirm = Command::ConfirmDisposal { disposal: "X-2".into(), reason: "r".into() };
    office.refuses("admin", confirm, "hold", "propose it again");
    // What cannot be confirmed any more is in nobody's way.
    let again = |name: &str, office: &Office| Command::ProposeDisposal {
        disposal: name.into(),
        judged: Judged { at: office.now, log_size: office.state.log_size, entries: 1, list_sha256: Digest([0; 32]) },
        reason: "r".into(),
    };
    office.give("regulatory", again("X-3", &office));
    let terms = Terms { audit_years: 30, ..Terms::default() };
    office.give("admin", Command::SetRetention { terms, reason: "policy".into() });
    let confirm = |name: &str| Command::ConfirmDisposal { disposal: name.into(), reason: "r".into() };
    office.refuses("admin", confirm("X-3"), "terms-changed", "propose it again");
    office.give("regulatory", again("X-4", &office));
    office.give("admin", confirm("X-4"));
    office.refuses("regulatory", again("X-5", &office), "disposal-open", "under way");
}

#[test]
fn seed_ret_terms_only_grow() {
    let mut office = Office::new();
    let terms = |audit_years| Command::SetRetention {
        terms: Terms { audit_years, ..Terms::default() },
        reason: "policy 7".into(),
    };
    office.refuses("admin", terms(6), "invalid-field", "auditYears");
    office.give("admin", terms(15));
    office.refuses("admin", terms(14), "invalid-field", "only grow");
    office.refuses("admin", terms(10_000), "invalid-field", "200");
    assert_eq!(office.state.retention.audit_years, 15);
}

/// Gateway 1 signs a batch of its own making.
fn batch(office: &Office, epoch: u64, sequence: u64, previous: Digest, code: &str) -> Command {
    let kind = EventKind::DeviceError { severity: Severity::Warning, code: code.into(), message: "m".into() };
    let events = vec![Reported { device: Some(device(1, 1)), at: office.now, kind }];
    let gateway: GatewayId = id("GW-1");
    let batch = TelemetryBatch { gateway: gateway.clone(), epoch, sequence, previous, events };
    Command::Telemetry { gateway, batch: signed(&batch, &[51]).into() }
}

#[test]
fn att_11_forks_gaps_and_set_back_gateways_are_alarms_and_repeats_are_not() {
    let mut office = Office::new();
    let mut sent = Vec::new();
    for i in 1..=40 {
        let previous = office.state.gateways[&id::<GatewayId>("GW-1")].chain.last();
        sent.push(batch(&office, 1, i, previous, "E"));
        office.give("x", sent[i as usize - 1].clone());
    }
    let found = |office: &Office| -> Vec<(AnomalyKind, u64)> {
        let gateway = &office.state.gateways[&id::<GatewayId>("GW-1")];
        gateway.anomalies.iter().map(|a| (a.kind, a.sequence)).collect()
    };
    office.refuses("x", sent[39].clone(), telemetry::ALREADY_COMMITTED, "before");
    office.refuses("x", sent[20].clone(), telemetry::ALREADY_COMMITTED, "before");
    assert_eq!(found(&office), [], "a repeat is what happens every day");
    let other = batch(&office, 1, 30, Digest([9; 32]), "another story");
    office.refuses("x", other.clone(), telemetry::FORK, "differs");
    assert_eq!(found(&office), [(AnomalyKind::Fork, 30)]);
    office.pass(10_000);
    office.refuses("x", other, telemetry::FORK, "differs");
    assert_eq!(found(&office).len(), 1, "said once");
    office.refuses("x", batch(&office, 1, 41, Digest([9; 32]), "E"), telemetry::FORK, "chain");
    office.refuses("x", sent[2].clone(), telemetry::STALE, "older");
    assert_eq!(found(&office)[1..], [(AnomalyKind::Fork, 41), (AnomalyKind::Stale, 3)]);
    // An earlier batch is withheld.
    let late = batch(&office, 1, 43, Digest([9; 32]), "E");
    office.refuses("x", late.clone(), telemetry::GAP, "next is 1.41");
    assert_eq!(found(&office).len(), 3, "it may come yet");
    office.live(61_000);
    office.refuses("x", late, telemetry::GAP, "next is 1.41");
    let gateway = office.state.gateways[&id::<GatewayId>("GW-1")].clone();
    let gap = gateway.anomalies.last().expect("found");
    assert_eq!((gap.kind, gap.expected), (AnomalyKind::Gap, 41));
    assert!(gateway.stands(gap));
    office.give("x", batch(&office, 1, 41, gateway.chain.last(), "E"));
    assert!(!office.state.gateways[&id::<GatewayId>("GW-1")].stands(gap), "it came");
    let alarms = office.records().iter().filter(|r| r.action == "telemetry.anomaly").count();
    assert_eq!(alarms, 4, "each is in the log");
}
