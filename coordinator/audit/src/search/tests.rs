//! Search against the plain answer, over several segments, growing, damaged, after disposal.

use std::ops::ControlFlow;

use mdfm_shared::record::{Actor, ActorKind, AuditRecord, Outcome, document_text};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{Event, EventKind, Severity, TelemetryBatch};
use mdfm_shared::time::UtcMillis;
use serde_json::json;

use super::*;
use crate::disk::sim::SimDisk;
use crate::log::tests::signer;
use crate::{AuditLog, Options};

const DAY_MS: u64 = 86_400_000;

/// A log of `n` records with known properties, over several segments.
fn record(i: u64) -> AuditRecord {
    let roles = if i.is_multiple_of(5) { vec!["QA".into(), "Admin".into()] } else { vec!["Operator".into()] };
    let actor = Actor { kind: ActorKind::User, id: format!("user-{}", i % 7), roles };
    let outcome = if i.is_multiple_of(11) { Outcome::Refused } else { Outcome::Accepted };
    let object = format!("device/DEV-{}", i % 50);
    let action = if i.is_multiple_of(2) { "device.register" } else { "device.silent" };
    AuditRecord {
        reason: i.is_multiple_of(3).then(|| format!("Pump {} was replaced by Zoë", i % 9)),
        site: Some(format!("HOSP-{}", i % 4)),
        event: Some(json!({ "type": "x", "deployment": format!("DEP-{}", i % 3), "n": [1, 2.5, null, true] })),
        ..AuditRecord::new(UtcMillis(i * 1_000), &actor, action, &object, outcome)
    }
}

fn log_of(n: u64) -> (SimDisk, AuditLog) {
    let disk = SimDisk::default();
    let options = Options { segment_bytes: 60_000, reserve_bytes: 0 };
    let mut log = AuditLog::open_on(Arc::new(disk.clone()), signer(), options, Box::new(crate::commit::LocalDisk))
        .expect("opens");
    for i in 0..n {
        log.append(&[record(i).to_bytes()]).expect("appends");
    }
    (disk, log)
}

fn found(index: &SearchIndex, query: &Query) -> Vec<u64> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let page = index.search(query, Order::Oldest { from }, 7).expect("searches");
        all.extend(page.records.iter().map(|(i, _)| *i));
        match page.next {
            Some(next) => {
                assert!(next > from, "it goes on");
                from = next;
            }
            None => return all,
        }
    }
}

fn query(fields: &[(Field, &str)]) -> Query {
    Query { fields: fields.iter().map(|(f, v)| (*f, (*v).to_owned())).collect(), ..Query::default() }
}

#[test]
fn p11_10b_records_are_found_by_every_side_and_by_all_together() {
    let (_, log) = log_of(2_000);
    let index = SearchIndex::open(log.reader()).expect("opens");
    assert!(log.reader().segments().expect("reads").len() > 4);
    let expect = |wanted: &dyn Fn(u64) -> bool| (0..2_000).filter(|i| wanted(*i)).collect::<Vec<u64>>();
    for (asked, wanted) in [
        (query(&[]), &(|_| true) as &dyn Fn(u64) -> bool),
        (query(&[(Field::Actor, "user-3")]), &|i| i % 7 == 3),
        (query(&[(Field::Role, "Admin")]), &|i| i % 5 == 0),
        (query(&[(Field::Action, "device.silent")]), &|i| i % 2 == 1),
        (query(&[(Field::Action, "device.*")]), &|_| true),
        (query(&[(Field::Object, "device/DEV-4*")]), &|i| i % 50 == 4 || i % 50 >= 40),
        (query(&[(Field::Device, "DEV-4")]), &|i| i % 50 == 4),
        (query(&[(Field::Hospital, "HOSP-2")]), &|i| i % 4 == 2),
        (query(&[(Field::Deployment, "DEP-1")]), &|i| i % 3 == 1),
        (query(&[(Field::Outcome, "refused")]), &|i| i % 11 == 0),
        (query(&[(Field::Outcome, "refused"), (Field::Hospital, "HOSP-1")]), &|i| i % 11 == 0 && i % 4 == 1),
        (query(&[(Field::Actor, "user-3"), (Field::Actor, "user-4")]), &|_| false),
        (query(&[(Field::Actor, "nobody")]), &|_| false),
        (Query { text: Some("PUMP 6".into()), ..Query::default() }, &|i| i % 3 == 0 && i % 9 == 6),
        (Query { text: Some("zoë".into()), ..Query::default() }, &|i| i % 3 == 0),
        (Query { since_ms: Some(500_000), until_ms: Some(700_000), ..Query::default() }, &|i| (500..700).contains(&i)),
        (Query { since_ms: Some(1_990_001), ..query(&[(Field::Outcome, "accepted")]) }, &|i| i > 1_990 && i % 11 != 0),
    ] {
        let wanted = expect(wanted);
        assert_eq!(found(&index, &asked), wanted, "{asked:?}");
        let mut every = Vec::new();
        index
            .each(&asked, u64::MAX, |i, _| {
                every.push(i);
                Ok::<(), LogError>(())
            })
            .expect("reads");
        assert_eq!(every, wanted, "each: {asked:?}");
        let newest = index.search(&asked, Order::Newest { before: u64::MAX }, 5).expect("searches");
        let backwards: Vec<u64> = wanted.iter().rev().take(5).copied().collect();
        assert_eq!(newest.records.iter().map(|(i, _)| *i).collect::<Vec<_>>(), backwards, "newest: {asked:?}");
        assert_eq!(newest.next.is_some(), wanted.len() > 5, "{asked:?}");
        if let Some(before) = newest.next {
            let more = index.search(&asked, Order::Newest { before }, 1).expect("searches");
            assert_eq!(more.records.first().map(|(i, _)| *i), wanted.iter().rev().nth(5).copied());
        }
    }
    assert_eq!(index.size_at(1_234_999).expect("reads"), 1_235);
    assert_eq!(index.size_at(1_234_000).expect("reads"), 1_235);
    assert_eq!(index.size_at(10 * DAY_MS).expect("reads"), 2_000);
}

#[test]
fn devices_inside_signed_telemetry_are_found() {
    let (_, mut log) = log_of(3);
    let error = |device: &str, message: &str| Event {
        device: Some(device.parse().expect("good id")),
        at: UtcMillis(5),
        kind: EventKind::DeviceError { severity: Severity::Error, code: "E-17".into(), message: message.into() },
    };
    let batch = TelemetryBatch {
        gateway: "GW-1".parse().expect("good id"),
        epoch: 1,
        sequence: 1,
        previous: mdfm_shared::digest::Digest([0; 32]),
        events: vec![error("DEV-77", "occlusion alarm"), error("DEV-78", "fine")],
    };
    let signed = Signed::sign(&batch, &[&SecretKey::from_seed([4; 32])]).expect("small");
    let actor = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
    let telemetry = AuditRecord {
        event: Some(json!({ "type": "telemetryCommitted", "gateway": "GW-1" })),
        document: Some(document_text(&signed)),
        ..AuditRecord::new(UtcMillis(9_000), &actor, "telemetry.commit", "gateway/GW-1", Outcome::Accepted)
    };
    log.append(&[telemetry.to_bytes(), b"not a record".to_vec(), record(5).to_bytes()]).expect("appends");
    let index = SearchIndex::open(log.reader()).expect("opens");
    for asked in [
        query(&[(Field::Device, "DEV-77"), (Field::Gateway, "GW-1")]),
        query(&[(Field::Event, "deviceError"), (Field::Device, "DEV-78")]),
        Query { text: Some("e-17 occlusion".into()), ..Query::default() },
    ] {
        assert_eq!(found(&index, &asked), [3], "{asked:?}");
    }
    assert_eq!(found(&index, &query(&[(Field::Device, "DEV-5")])), [5], "what is no record hides nothing behind it");
}

#[test]
fn the_index_grows_with_the_log_and_is_made_anew_when_it_is_lost_or_damaged() {
    let (disk, mut log) = log_of(1_000);
    let index = SearchIndex::open(log.reader()).expect("opens");
    (1_000..1_600).for_each(|i| {
        log.append(&[record(i).to_bytes()]).expect("appends");
        if i % 97 == 0 {
            assert_eq!(
                index.search(&query(&[]), Order::Newest { before: u64::MAX }, 1).expect("searches").records[0].0,
                i
            );
        }
    });
    let asked = query(&[(Field::Actor, "user-3")]);
    let wanted: Vec<u64> = (0..1_600).filter(|i| i % 7 == 3).collect();
    assert_eq!(found(&index, &asked), wanted);
    let files: Vec<String> = disk.files().into_iter().filter(|f| f.ends_with(".terms")).collect();
    assert!(files.len() > 3);
    for name in &files {
        let good = disk.bytes_of(name);
        for at in (0..good.len()).step_by(good.len() / 23) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            disk.set_bytes(name, &bad);
            let findings = log.reader().scrub(|_| ControlFlow::Continue(())).expect("reads").findings;
            assert!(findings.iter().any(|f| f.file == *name && f.derived), "{name} byte {at}");
            let index = SearchIndex::open(log.reader()).expect("opens");
            assert_eq!(found(&index, &asked), wanted);
            assert_eq!(disk.bytes_of(name), good, "rebuilt, to the byte");
        }
        disk.unlink(name);
    }
    assert_eq!(found(&SearchIndex::open(log.reader()).expect("opens"), &asked), wanted);
}

#[test]
fn seed_ret_what_was_disposed_of_is_found_no_more() {
    let (disk, mut log) = log_of(1_000);
    let index = SearchIndex::open(log.reader()).expect("opens");
    let gone: std::collections::BTreeSet<u64> = (0..500).filter(|i| i % 7 == 3).collect();
    log.dispose(&gone).expect("disposes");
    let wanted: Vec<u64> = (500..1_000).filter(|i| i % 7 == 3).collect();
    index.catch_up().expect("reads");
    assert_eq!(found(&index, &query(&[(Field::Actor, "user-3")])), wanted);
    let word = [b"w".as_slice(), b"zo\xc3\xab"].concat();
    let first = disk.files().into_iter().find(|f| f.ends_with(".terms")).expect("there is one");
    assert!(disk.bytes_of(&first).windows(word.len()).any(|w| w == word), "words of those that stay are there");
}
