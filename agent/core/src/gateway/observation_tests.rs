//! Observed states on their way: digests in heartbeats, answers to questions.

use mdfm_shared::fixture::{key, signed_root};
use mdfm_shared::observed::ObservationDigest;
use mdfm_shared::telemetry::{Event, FirmwareReport, TelemetryBatch};

use super::*;
use crate::store::memory::Memory;

const T0: u64 = 1_750_000_000_000;

fn device(n: u8) -> DeviceId {
    format!("DEV-{n}").parse().expect("a good id")
}
fn own() -> GatewayId {
    "GW-1".parse().expect("a good id")
}
fn now(ms: u64) -> Now {
    Now { mono: MonotonicMs(1_000 + ms), utc: UtcMillis(T0 + ms) }
}

fn start() -> Gateway<Memory> {
    let root = signed_root();
    let mut disk = Memory::default();
    disk.commit(Trust::enrol(&[wire::encode(&root)], root.digest()).expect("a good root")).expect("commits");
    let who = Who {
        gateway: own(),
        epoch: 1,
        key: key(40),
        trust_root: root.digest(),
        heartbeat_ms: 10_000,
        outbox: OutboxLimits::default(),
    };
    let seats = [1, 2].map(|n| Seat { device: device(n), slot_is_here: false });
    Gateway::start(who, disk, seats, [1; 16], now(0)).expect("starts")
}

fn report(serial: &str, boot_count: u64) -> Report {
    Report {
        model: "M".into(),
        serial: serial.into(),
        hardware: "B".into(),
        boot_count,
        running: FirmwareReport {
            version: "1".into(),
            release_number: 1,
            security_version: 1,
            sha256: Digest([1; 32]),
        },
        confirmed: true,
        secure_boot: true,
        in_use: false,
        staged: None,
        last_order: 0,
        last_refusal: None,
        protocol: 1,
        faults: None,
    }
}

/// What the gateway sends: its last heartbeat, and the events of its batches.
fn sent(gateway: &mut Gateway<Memory>, at: Now) -> (Option<Heartbeat>, Vec<Event>) {
    gateway.work(at).expect("works");
    let (mut beat, mut events) = (None, Vec::new());
    while let Some(output) = gateway.next_output() {
        let Output::Publish(topic, frame) = output else { continue };
        match topic {
            Topic::Heartbeat(_) => {
                let signed: Signed<Heartbeat> = wire::decode(&frame).expect("its own");
                beat = Some(signed.decode_unverified().expect("its own"));
            }
            Topic::Telemetry(_) => {
                let signed: Signed<TelemetryBatch> = wire::decode(&frame).expect("its own");
                events.extend(signed.decode_unverified().expect("its own").events);
            }
            _ => {}
        }
    }
    (beat, events)
}

fn ask(gateway: &mut Gateway<Memory>, at: Now, heartbeat: u64, signer: u8) {
    let request = ObservationRequest { gateway: own(), epoch: 1, heartbeat, devices: vec![device(1), device(2)] };
    let frame = wire::encode(&Signed::sign(&request, &[&key(signer)]).expect("small"));
    gateway.message(at, &Topic::Question(own()).to_string(), &frame).expect("takes");
}

fn observations(events: &[Event]) -> Vec<(Option<DeviceId>, ObservationDigest)> {
    let of = |event: &Event| match &event.kind {
        EventKind::DeviceObserved { digest, observed } => {
            assert_eq!(observed.digest(), *digest);
            Some((event.device.clone(), *digest))
        }
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn fld_4_a_question_is_answered_with_signed_telemetry() {
    let mut gateway = start();
    gateway.device_report(now(1), &device(1), report("SN-1", 5)).expect("takes");
    gateway.link_up(now(10));
    let (beat, _) = sent(&mut gateway, now(10));
    let beat = beat.expect("the first heartbeat");
    assert_eq!((beat.observed, beat.held_trust), (None, None), "this coordinator may be older");
    gateway.questions_granted(now(20));
    let (beat, _) = sent(&mut gateway, now(300));
    let beat = beat.expect("soon");
    let observed = beat.observed.expect("granted");
    assert_eq!((observed.len(), observed[1]), (2, ObservationDigest::NONE), "the second was never seen");
    ask(&mut gateway, now(400), beat.sequence, 13);
    assert_eq!(observations(&sent(&mut gateway, now(400)).1), [], "only the coordinator asks");
    ask(&mut gateway, now(500), beat.sequence, 12);
    assert_eq!(observations(&sent(&mut gateway, now(500)).1), [(Some(device(1)), observed[0])]);
    let (made, _) = gateway.outbox();
    for heartbeat in [beat.sequence, beat.sequence + 1_000] {
        ask(&mut gateway, now(70_000), heartbeat, 12);
        assert_eq!(gateway.outbox().0, made, "an earlier question, sent again, or of a heartbeat that was never sent");
    }
}

#[test]
fn fld_4_a_change_brings_the_next_heartbeat_forward() {
    let mut gateway = start();
    gateway.device_report(now(1), &device(1), report("SN-1", 5)).expect("takes");
    gateway.link_up(now(10));
    gateway.questions_granted(now(10));
    let (beat, _) = sent(&mut gateway, now(300));
    let before = beat.expect("soon").observed.expect("granted");
    gateway.device_report(now(2_000), &device(1), report("SN-77", 1)).expect("takes");
    let (beat, _) = sent(&mut gateway, now(2_300));
    let after = beat.expect("not after ten seconds").observed.expect("granted");
    assert_ne!(before[0], after[0]);
}

#[test]
fn fld_19_displaced_connections_are_reported_once() {
    let mut gateway = start();
    gateway.device_report(now(1), &device(1), report("SN-1", 5)).expect("takes");
    gateway.link_up(now(10));
    for n in 0..300 {
        gateway.device_displaced(now(1_000 + n * 200), &device(1)).expect("takes");
    }
    let (_, events) = sent(&mut gateway, now(62_000));
    let shown = mdfm_shared::fixture::page::symptom("The inventory", "connections displace");
    let is_said = |e: &&Event| matches!(&e.kind, EventKind::Refused { reason, .. } if shown.is_in(reason));
    assert_eq!(events.iter().filter(is_said).count(), 1);
}
