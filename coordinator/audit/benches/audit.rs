//! The audit store at the size of years: appends beside the plain file and sled, start, proofs, search, verification, a report's
//! reading. Run by `make bench-audit`; figures in `docs/benchmarks.md`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and a failure ends it")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use mdfm_audit::{AuditLog, Field, LogError, Options, Order, Query, SearchIndex, verify_copy};
use mdfm_shared::digest::Digest;
use mdfm_shared::record::{Actor, ActorKind, AuditRecord, Outcome, document_text};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{Event, EventKind, InstallState, TelemetryBatch};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{NoteSigner, WitnessPolicy};

const GROUP: usize = 1_024;

fn signer() -> NoteSigner {
    NoteSigner::new("bench.example/log", SecretKey::from_seed([1; 32])).unwrap()
}

/// A record of about 300 bytes with what real ones differ in: people, hospitals, devices, actions, words.
fn record(i: u64) -> Vec<u8> {
    const ACTIONS: [&str; 6] =
        ["device.silent", "device.returned", "session.open", "audit.search", "directive.serial", "hospital.policy"];
    const WORDS: [&str; 5] = ["battery low", "routine look", "night shift", "door open", "pump replaced"];
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let id = format!("user-{}", mixed % 500);
    let actor =
        Actor { kind: ActorKind::User, id, roles: vec![["QA", "Operator", "Clinical"][(mixed % 3) as usize].into()] };
    let outcome = if mixed.is_multiple_of(40) { Outcome::Refused } else { Outcome::Accepted };
    let object = format!("device/DEV-{:06}", mixed % 100_000);
    let action = ACTIONS[(mixed % 6) as usize];
    AuditRecord {
        reason: Some(WORDS[(mixed % 5) as usize].into()),
        site: Some(format!("HOSP-{:03}", mixed % 300)),
        ..AuditRecord::new(UtcMillis(1_700_000_000_000 + i * 20), &actor, action, &object, outcome)
    }
    .to_bytes()
}

fn rate(n: u64, time: Duration) -> f64 {
    n as f64 / time.as_secs_f64()
}

fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The floor: records of a group into a plain file, one fdatasync.
fn plain_file(dir: &Path, records: &[Vec<u8>]) -> f64 {
    let file = File::create(dir.join("plain")).unwrap();
    let (start, mut at) = (Instant::now(), 0);
    for group in records.chunks(GROUP) {
        let bytes = group.concat();
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        at += bytes.len() as u64;
    }
    rate(records.len() as u64, start.elapsed())
}

/// The embedded store that we did not choose for the log, in the same groups.
fn embedded_store(dir: &Path, records: &[Vec<u8>]) -> f64 {
    let db = sled::open(dir.join("sled")).unwrap();
    let start = Instant::now();
    for (g, group) in records.chunks(GROUP).enumerate() {
        let mut batch = sled::Batch::default();
        for (i, record) in group.iter().enumerate() {
            batch.insert(((g * GROUP + i) as u64).to_be_bytes().to_vec(), record.clone());
        }
        db.apply_batch(batch).unwrap();
        db.flush().unwrap();
    }
    rate(records.len() as u64, start.elapsed())
}

/// Many writers, each waiting until its records are durable, one thread that appends what waits: the coordinator's own way.
fn group_commit(dir: &Path, records: &[Vec<u8>], writers: usize, each: usize) -> (f64, Duration) {
    let mut log = AuditLog::open(&dir.join(format!("group-{writers}-{each}")), signer(), Options::default()).unwrap();
    let (jobs, queue) = sync_channel::<(&[Vec<u8>], std::sync::mpsc::SyncSender<()>)>(4_096);
    let start = Instant::now();
    let share = records.len() / writers;
    let worst = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|w| {
                let jobs = jobs.clone();
                let mine = &records[w * share..(w + 1) * share];
                scope.spawn(move || {
                    let mut times = Vec::new();
                    for part in mine.chunks(each) {
                        let (reply, done) = sync_channel(1);
                        let asked = Instant::now();
                        jobs.send((part, reply)).unwrap();
                        done.recv().unwrap();
                        times.push(asked.elapsed());
                    }
                    times
                })
            })
            .collect();
        drop(jobs);
        while let Ok(first) = queue.recv() {
            let mut waiting = vec![first];
            while waiting.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                waiting.push(next);
            }
            let group: Vec<&Vec<u8>> = waiting.iter().flat_map(|(part, _)| part.iter()).collect();
            log.append(&group).unwrap();
            waiting.into_iter().for_each(|(_, reply)| reply.send(()).unwrap());
        }
        let mut times: Vec<Duration> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        percentile(&mut times, 0.99)
    });
    (rate((share * writers) as u64, start.elapsed()), worst)
}

/// One writer that waits for each record, beside one fdatasync of as many bytes.
fn single(dir: &Path, records: &[Vec<u8>]) -> (Duration, Duration) {
    let mut log = AuditLog::open(&dir.join("single"), signer(), Options::default()).unwrap();
    let file = File::create(dir.join("single-floor")).unwrap();
    let (mut ours, mut floor, mut at) = (Vec::new(), Vec::new(), 0);
    for record in records.iter().take(2_000) {
        let start = Instant::now();
        file.write_all_at(record, at).unwrap();
        file.sync_data().unwrap();
        floor.push(start.elapsed());
        at += record.len() as u64;
        let start = Instant::now();
        log.append(std::slice::from_ref(record)).unwrap();
        ours.push(start.elapsed());
    }
    (percentile(&mut ours, 0.5), percentile(&mut floor, 0.5))
}

fn bytes_in(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        bytes += if path.is_dir() { bytes_in(&path) } else { path.metadata().unwrap().len() };
    }
    bytes
}

fn search(index: &SearchIndex, size: u64) {
    let is = |field: Field, value: &str| (field, value.to_owned());
    let query = |fields: Vec<(Field, String)>, text: Option<&str>, span: Option<(u64, u64)>| Query {
        fields,
        text: text.map(str::to_owned),
        since_ms: span.map(|s| s.0),
        until_ms: span.map(|s| s.1),
    };
    let middle = 1_700_000_000_000 + size / 2 * 20;
    let mut all = Vec::new();
    for round in 0..20_u64 {
        let user = format!("user-{}", round * 7 % 500);
        let device = format!("DEV-{:06}", round * 4_999 % 100_000);
        let hospital = format!("HOSP-{:03}", round * 13 % 300);
        for (name, query) in [
            ("one device", query(vec![is(Field::Device, &device)], None, None)),
            ("actor and refused", query(vec![is(Field::Actor, &user), is(Field::Outcome, "refused")], None, None)),
            (
                "role, action, hospital",
                query(
                    vec![is(Field::Role, "QA"), is(Field::Action, "device.*"), is(Field::Hospital, &hospital)],
                    None,
                    None,
                ),
            ),
            ("words", query(vec![is(Field::Hospital, &hospital)], Some("pump replaced"), None)),
            ("an hour", query(vec![is(Field::Actor, &user)], None, Some((middle, middle + 3_600_000)))),
            ("nothing", query(vec![is(Field::Actor, &user), is(Field::Actor, "user-499")], None, None)),
        ] {
            for order in [Order::Newest { before: u64::MAX }, Order::Oldest { from: 0 }] {
                let start = Instant::now();
                let page = index.search(&query, order, 100).unwrap();
                all.push((start.elapsed(), name, page.records.len()));
            }
        }
    }
    let mut times: Vec<Duration> = all.iter().map(|(t, _, _)| *t).collect();
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    println!("search, pages of 100: p50 {:.2} ms, p99 {:.2} ms", ms(p50), ms(p99));
    for name in ["one device", "actor and refused", "role, action, hospital", "words", "an hour", "nothing"] {
        let mut times: Vec<Duration> = all.iter().filter(|(_, n, _)| *n == name).map(|(t, _, _)| *t).collect();
        println!("  {name}: p99 {:.2} ms", ms(percentile(&mut times, 0.99)));
    }
}

/// Telemetry of one device's confirmation, as a gateway sends it.
fn telemetry(i: u64, document: &str) -> Vec<u8> {
    let gateway = format!("GW-{:05}", i % 10_000);
    let actor = Actor { kind: ActorKind::Gateway, id: gateway.clone(), roles: vec![] };
    let event =
        serde_json::json!({ "type": "telemetryCommitted", "gateway": gateway, "epoch": 1, "sequence": i / 10_000 + 1 });
    let now = UtcMillis(1_700_000_000_000 + i);
    AuditRecord {
        event: Some(event),
        document: Some(document.to_owned()),
        ..AuditRecord::new(now, &actor, "telemetry.commit", &format!("gateway/{gateway}"), Outcome::Accepted)
    }
    .to_bytes()
}

/// What a report on a deployment of a million devices reads: each device's telemetry found, read, decoded.
fn deployment_telemetry(dir: &Path) {
    let kind = EventKind::StateChanged {
        state: InstallState::Confirmed,
        manifest: Digest([7; 32]),
        deployment: "D-1".parse().unwrap(),
        running: None,
        detail: "proved healthy".into(),
    };
    let events = vec![Event { device: Some("DEV-000001".parse().unwrap()), at: UtcMillis(1), kind }];
    let gateway = "GW-00001".parse().unwrap();
    let batch = TelemetryBatch { gateway, epoch: 1, sequence: 1, previous: Digest([0; 32]), events };
    let document = document_text(&Signed::sign(&batch, &[&SecretKey::from_seed([2; 32])]).unwrap());
    let mut log = AuditLog::open(dir, signer(), Options::default()).unwrap();
    for from in (0..1_000_000_u64).step_by(GROUP) {
        let group: Vec<Vec<u8>> = (from..1_000_000.min(from + GROUP as u64)).map(|i| telemetry(i, &document)).collect();
        log.append(&group).unwrap();
    }
    let index = SearchIndex::open(log.reader()).unwrap();
    let fields = vec![(Field::Deployment, "D-1".to_owned()), (Field::Action, "telemetry.commit".to_owned())];
    let (start, mut found) = (Instant::now(), 0_u64);
    index
        .each(&Query { fields, ..Query::default() }, u64::MAX, |_, bytes| {
            let record = AuditRecord::from_bytes(bytes).unwrap();
            let batch = record.document::<TelemetryBatch>().unwrap().decode_unverified().unwrap();
            found += batch.events.len() as u64;
            Ok::<(), LogError>(())
        })
        .unwrap();
    println!(
        "a deployment's {found} telemetry records found, read and decoded: {:.2} s",
        start.elapsed().as_secs_f64()
    );
}

fn main() {
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let size = number("RECORDS", 10_000_000);
    let dir = std::env::var("BENCH_DIR").map_or_else(|_| PathBuf::from("target/bench-audit"), PathBuf::from);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    deployment_telemetry(&dir.join("deployment"));
    if size == 0 {
        return;
    }

    let records: Vec<Vec<u8>> = (0..1 << 19).map(record).collect();
    let mean = records.iter().map(Vec::len).sum::<usize>() / records.len();
    println!("records of {mean} bytes, groups of {GROUP}");
    for round in 1..=3 {
        let floor = plain_file(&dir, &records);
        let store = embedded_store(&dir.join(format!("{round}")), &records[..1 << 17]);
        let (sixteen, late) = group_commit(&dir.join(format!("{round}")), &records, 64, 16);
        let (one, late_one) = group_commit(&dir.join(format!("{round}")), &records[..1 << 17], 64, 1);
        let (ours, sync) = single(&dir.join(format!("{round}")), &records);
        println!(
            "round {round}: plain file {floor:.0}/s, sled {store:.0}/s; 64 writers of 16 records {sixteen:.0}/s (p99 {:.2} ms), \
             of 1 record {one:.0}/s (p99 {:.2} ms); single writer p50 {:.3} ms, one fdatasync {:.3} ms",
            ms(late),
            ms(late_one),
            ms(ours),
            ms(sync)
        );
        let _ = std::fs::remove_dir_all(dir.join(format!("{round}")));
    }
    drop(records);

    let log_dir = dir.join("log");
    let mut log = AuditLog::open(&log_dir, signer(), Options::default()).unwrap();
    let start = Instant::now();
    let mut payload = 0;
    for from in (0..size).step_by(GROUP) {
        let group: Vec<Vec<u8>> = (from..size.min(from + GROUP as u64)).map(record).collect();
        payload += group.iter().map(|r| r.len() as u64).sum::<u64>();
        log.append(&group).unwrap();
    }
    let (_, note) = log.sign_checkpoint().unwrap();
    log.publish(&note).unwrap();
    println!("{size} records made and appended in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let index = SearchIndex::open(log.reader()).unwrap();
    println!("search index made from nothing in {:.1} s", start.elapsed().as_secs_f64());
    let stored = bytes_in(&log_dir);
    println!(
        "{:.1} bytes on disk a record of {:.1}: {:.3} times its size, index included",
        stored as f64 / size as f64,
        payload as f64 / size as f64,
        stored as f64 / payload as f64
    );
    drop((index, log));

    let start = Instant::now();
    let log = AuditLog::open(&log_dir, signer(), Options::default()).unwrap();
    let opened = start.elapsed();
    let index = SearchIndex::open(log.reader()).unwrap();
    println!("start: log {:.2} s, with the search index {:.2} s", opened.as_secs_f64(), start.elapsed().as_secs_f64());

    let reader = log.reader();
    let mut times = Vec::new();
    for i in 0..5_000_u64 {
        let at = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % size;
        let start = Instant::now();
        reader.proof_file(at).unwrap().unwrap();
        times.push(start.elapsed());
    }
    println!(
        "inclusion proof: p50 {:.3} ms, p99 {:.3} ms",
        ms(percentile(&mut times, 0.5)),
        ms(percentile(&mut times, 0.99))
    );
    search(&index, size);

    let start = Instant::now();
    let mut read = 0_u64;
    index
        .each(&Query::default(), size.min(1_000_000), |_, bytes| {
            read += u64::from(AuditRecord::from_bytes(bytes).is_ok());
            Ok::<(), LogError>(())
        })
        .unwrap();
    println!("reading {read} records as a report does: {:.2} s", start.elapsed().as_secs_f64());

    let start = Instant::now();
    let found = verify_copy(&log_dir, signer().key(), &WitnessPolicy::default()).unwrap();
    println!("verification of {} records offline: {:.1} s", found.entries, start.elapsed().as_secs_f64());
    let _ = std::fs::remove_dir_all(&dir);
}
