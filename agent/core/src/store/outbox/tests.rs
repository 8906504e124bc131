//! Tests of the outbox.

use mdfm_shared::telemetry::Severity;

use super::super::memory::Memory;
use super::*;

fn load(store: &Memory, epoch: u64) -> Outbox {
    let gateway = "GW-1".parse().expect("good id");
    let limits = OutboxLimits { bytes_max: 64 * 1024, age_ms_max: 86_400_000 };
    Outbox::load(store, gateway, SecretKey::from_seed([1; 32]), epoch, limits).expect("loads").outbox
}
fn event(text: &str) -> [(Option<DeviceId>, EventKind); 1] {
    [(None, EventKind::Refused { what: "x".into(), reason: text.into() })]
}
fn ack(sequence: u64) -> CommitAck {
    CommitAck { gateway: "GW-1".parse().expect("good id"), epoch: 1, sequence, log_size: 0 }
}
const T: MonotonicMs = MonotonicMs(1_000_000);

fn batches(store: &Memory, outbox: &mut Outbox, now: MonotonicMs) -> Vec<(Digest, TelemetryBatch)> {
    let frames = outbox.due(now, store).expect("reads");
    let signed = frames.iter().map(|f| wire::decode::<Signed<TelemetryBatch>>(f).expect("own frame"));
    signed.map(|s| (s.digest(), s.decode_unverified().expect("own"))).collect()
}
fn sent(store: &Memory, outbox: &mut Outbox, now: MonotonicMs) -> usize {
    batches(store, outbox, now).len()
}
/// Acknowledges everything, as often as something waits; returns all events in their order, and checks the chain.
fn drain(store: &mut Memory, outbox: &mut Outbox) -> Vec<Event> {
    let (mut all, mut last) = (Vec::new(), None);
    for _ in 0..10_000 {
        if outbox.depth() == 0 {
            return all;
        }
        for (digest, batch) in batches(store, outbox, T) {
            assert!(batch.is_bounded());
            assert!(last.is_none_or(|(d, n)| (d, n + 1) == (batch.previous, batch.sequence)), "the chain is whole");
            last = Some((digest, batch.sequence));
            all.extend(batch.events);
        }
        let writes = outbox.acknowledge(T, &ack(outbox.made())).expect("signs");
        store.commit(writes).expect("commits");
    }
    panic!("does not empty");
}

#[test]
fn att_11_batches_chain_survive_a_restart_and_go_out_in_order() {
    let mut store = Memory::default();
    let mut outbox = load(&store, 1);
    for text in ["a", "b"] {
        let writes = outbox.add(UtcMillis(5), event(text)).expect("small");
        store.commit(writes).expect("commits");
    }
    drop(outbox);
    let mut outbox = load(&store, 1);
    let writes = outbox.add(UtcMillis(6), event("c")).expect("small");
    store.commit(writes).expect("commits");
    let batches = batches(&store, &mut outbox, T);
    assert_eq!(batches.iter().map(|(_, b)| b.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(batches[0].1.previous, Digest([0; 32]));
    assert_eq!(batches[1].1.previous, batches[0].0);
}

#[test]
fn only_a_signed_ack_frees_and_silence_sends_again() {
    let mut store = Memory::default();
    let mut outbox = load(&store, 1);
    for text in ["a", "b", "c"] {
        let writes = outbox.add(UtcMillis(5), event(text)).expect("small");
        store.commit(writes).expect("commits");
    }
    assert_eq!(sent(&store, &mut outbox, T), 3);
    assert_eq!(sent(&store, &mut outbox, T.plus_ms(1)), 0);
    let writes = outbox.acknowledge(T, &ack(1)).expect("signs");
    assert_eq!(writes, [(batch_key(1), None)]);
    assert_eq!(sent(&store, &mut outbox, T.plus_ms(RESEND_MS)), 2, "b and c again");
    assert!(outbox.acknowledge(T, &CommitAck { epoch: 2, ..ack(3) }).expect("signs").is_empty(), "another epoch's ack");
    outbox.acknowledge(T, &ack(u64::MAX)).expect("signs");
    assert_eq!((outbox.depth(), outbox.bytes(), sent(&store, &mut outbox, T)), (0, 0, 0));
    assert_eq!(outbox.deadline(), None);
}

#[test]
fn sec_14_a_new_epoch_takes_over_what_was_not_acknowledged() {
    let mut store = Memory::default();
    let gateway: GatewayId = "GW-1".parse().expect("good id");
    let key = SecretKey::from_seed([1; 32]);
    let mut outbox = Outbox::load(&store, gateway, key, 1, OutboxLimits::default()).expect("loads").outbox;
    let many = (0..WINDOW_BATCHES * 2 * BATCH_EVENTS_MAX as u64).flat_map(|_| event(&"x".repeat(5_000)));
    let writes = outbox.add(UtcMillis(5), many).expect("cut to size");
    store.commit(writes).expect("commits");
    assert_eq!(sent(&store, &mut outbox, T) as u64, WINDOW_BATCHES);
    let writes = outbox.acknowledge(T, &ack(3)).expect("signs");
    store.commit(writes).expect("commits");
    assert_eq!(sent(&store, &mut outbox, T), 3);
    let Loaded { outbox: mut next, writes, begins_again } = {
        let gateway = "GW-1".parse().expect("good id");
        Outbox::load(&store, gateway, SecretKey::from_seed([1; 32]), 2, OutboxLimits::default()).expect("loads")
    };
    store.commit(writes).expect("commits");
    assert!(begins_again);
    assert_eq!(next.made(), 0, "the sealed ones were of another chain");
    let left = WINDOW_BATCHES as usize * 2 * BATCH_EVENTS_MAX - 3 * BATCH_EVENTS_MAX;
    let writes = next.settle(UtcMillis(6)).expect("signs");
    store.commit(writes).expect("commits");
    let acknowledged = |outbox: &mut Outbox, store: &mut Memory| {
        let writes = outbox.acknowledge(T, &CommitAck { epoch: 2, ..ack(u64::MAX) }).expect("signs");
        store.commit(writes).expect("commits");
    };
    let mut events = 0;
    while next.depth() > 0 {
        events += batches(&store, &mut next, T).iter().map(|(_, b)| b.events.len()).sum::<usize>();
        acknowledged(&mut next, &mut store);
    }
    assert_eq!(events, left + 2, "what was not acknowledged goes into the new chain, between two marks");
}

#[test]
fn sec_14_another_key_starts_a_new_chain_in_the_same_epoch() {
    let mut store = Memory::default();
    let mut outbox = load(&store, 1);
    let writes = outbox.add(UtcMillis(5), event("a")).expect("small");
    store.commit(writes).expect("commits");
    let (gateway, key) = ("GW-1".parse().expect("good id"), SecretKey::from_seed([2; 32]));
    let Loaded { mut outbox, writes, .. } =
        Outbox::load(&store, gateway, key.clone(), 1, OutboxLimits::default()).expect("loads");
    store.commit(writes).expect("commits");
    let writes = outbox.add(UtcMillis(6), event("b")).expect("small");
    store.commit(writes).expect("commits");
    let sealed = store.scan("outbox/").expect("reads");
    assert!(!sealed.is_empty() && sealed.iter().all(|(_, bytes)| is_signed_by(bytes, &key)));
    let events: usize = batches(&store, &mut outbox, T).iter().map(|(_, b)| b.events.len()).sum();
    assert_eq!(events, 4, "what was not acknowledged is reported under the new key, behind two marks");
}

fn fault(severity: Severity, n: u64) -> (Option<DeviceId>, EventKind) {
    let kind = EventKind::DeviceError { severity, code: "E".into(), message: format!("{n} {}", "x".repeat(200)) };
    (Some("DEV-1".parse().expect("good id")), kind)
}
fn kept() -> (Option<DeviceId>, EventKind) {
    (None, EventKind::LocalAction { command: "hold".into(), uid: 7 })
}

#[test]
fn sec_10_a_full_outbox_drops_faults_and_keeps_acts() {
    let mut store = Memory::default();
    let mut outbox = load(&store, 1);
    for n in 0..20_000 {
        let severity = if n % 50 == 0 { Severity::Critical } else { Severity::Error };
        let mut events = vec![fault(severity, n)];
        if n % 500 == 0 {
            events.push(kept());
        }
        let writes = outbox.add(UtcMillis(n), events).expect("signs");
        store.commit(writes).expect("commits");
        assert!(outbox.bytes() < 64 * 1024 + 2_000, "{}", outbox.bytes());
        if n % 3_000 == 2_999 {
            let before = (outbox.bytes(), outbox.depth(), outbox.made());
            outbox = load(&store, 1);
            assert_eq!((outbox.bytes(), outbox.depth(), outbox.made()), before, "a restart finds the same");
        }
    }
    let stored: usize = store.content.values().map(Vec::len).sum();
    assert!(stored < 80 * 1024, "{stored} bytes are stored");
    let events = drain(&mut store, &mut outbox);
    let count = |is: fn(&EventKind) -> bool| events.iter().filter(|e| is(&e.kind)).count();
    assert_eq!(count(|k| matches!(k, EventKind::LocalAction { .. })), 40, "every act of a person");
    let critical = |k: &EventKind| matches!(k, EventKind::DeviceError { severity: Severity::Critical, .. });
    assert!(count(critical) >= CRITICAL_KEPT, "{}", count(critical));
    let summaries: Vec<&Event> =
        events.iter().filter(|e| matches!(&e.kind, EventKind::Refused { what, .. } if what == "flood")).collect();
    assert_eq!(summaries.len(), 1, "one summary a device");
    let EventKind::Refused { reason, .. } = &summaries[0].kind else { unreachable!() };
    let faults = count(|k| matches!(k, EventKind::DeviceError { .. }));
    assert!(reason.starts_with(&format!("{} events between ", 20_000 - faults)), "{reason}");
    assert!(store.content.keys().all(|k| k == CHAIN_KEY), "nothing is left behind");
}

#[test]
fn sec_10_old_faults_are_dropped_and_counted() {
    let mut store = Memory::default();
    let mut outbox = load(&store, 1);
    let sealed = (0..SEALED_MAX as u64).map(|n| fault(Severity::Error, n)).collect::<Vec<_>>();
    for one in sealed {
        let writes = outbox.add(UtcMillis(0), [one]).expect("signs");
        store.commit(writes).expect("commits");
    }
    let counts = Counts::default();
    let writes = outbox.count((UtcMillis(0), UtcMillis(0)), None, &counts).expect("signs");
    store.commit(writes).expect("commits");
    let writes = outbox.add(UtcMillis(1), [fault(Severity::Error, 1), kept()]).expect("signs");
    store.commit(writes).expect("commits");
    let writes = outbox.add(UtcMillis(2 * 86_400_000), [kept()]).expect("signs");
    store.commit(writes).expect("commits");
    let events = drain(&mut store, &mut outbox);
    let faults = events.iter().filter(|e| matches!(e.kind, EventKind::DeviceError { .. })).count();
    assert_eq!(faults, SEALED_MAX, "what is sealed stays");
    assert_eq!(events.iter().filter(|e| matches!(e.kind, EventKind::LocalAction { .. })).count(), 2);
    let reason = events.iter().find_map(|e| match &e.kind {
        EventKind::Refused { what, reason } if what == "flood" && e.device.is_some() => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.is_some_and(|r| r.starts_with("1 event between")), "counted");
}

#[test]
fn sec_10_texts_of_four_byte_characters_fit_a_batch() {
    let mut store = Memory::default();
    let mut outbox = load(&store, 1);
    let wide = "\u{10348}".repeat(5_000);
    for _ in 0..200 {
        let kind = EventKind::DeviceError { severity: Severity::Critical, code: wide.clone(), message: wide.clone() };
        let writes = outbox.add(UtcMillis(5), [(None, kind)]).expect("within the bound of a document");
        store.commit(writes).expect("commits");
    }
    assert!(!drain(&mut store, &mut outbox).is_empty());
}
