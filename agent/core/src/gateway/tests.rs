//! A gateway without a line, beside a device that floods it.

use mdfm_shared::device::{Fault, FaultLevel, FaultMessage, StagedReport};
use mdfm_shared::directive::CommitAck;
use mdfm_shared::fixture::{key, signed_root};
use mdfm_shared::telemetry::{Event, FirmwareReport, Severity, TelemetryBatch};

use super::*;
use crate::installer::OnSite;
use crate::store::memory::Memory;

const T0: u64 = 1_750_000_000_000;

fn device(n: u8) -> DeviceId {
    format!("DEV-{n}").parse().expect("a good id")
}

pub(super) fn now(ms: u64) -> Now {
    Now { mono: MonotonicMs(1_000 + ms), utc: UtcMillis(T0 + ms) }
}

pub(super) fn start(store: Memory, at: Now) -> Gateway<Memory> {
    let who = Who {
        gateway: "GW-1".parse().expect("a good id"),
        epoch: 1,
        key: key(40),
        trust_root: signed_root().digest(),
        heartbeat_ms: 10_000,
        outbox: OutboxLimits { bytes_max: 1 << 20, ..OutboxLimits::default() },
    };
    let seats = [1, 2].map(|n| Seat { device: device(n), slot_is_here: false });
    Gateway::start(who, store, seats, [1; 16], at).expect("starts")
}

pub(super) fn enrolled() -> Memory {
    let root = signed_root();
    let mut store = Memory::default();
    let writes = Trust::enrol(&[wire::encode(&root)], root.digest()).expect("a good root");
    store.commit(writes).expect("commits");
    store
}

fn report(boot_count: u64, words: &str) -> Report {
    let running =
        FirmwareReport { version: words.into(), release_number: 1, security_version: 1, sha256: Digest([1; 32]) };
    let staged =
        StagedReport { sha256: Digest([9; 32]), written_bytes: boot_count, complete: boot_count.is_multiple_of(2) };
    Report {
        model: words.into(),
        serial: words.into(),
        hardware: words.into(),
        boot_count,
        running,
        confirmed: true,
        secure_boot: boot_count.is_multiple_of(3),
        in_use: boot_count.is_multiple_of(5),
        staged: Some(staged),
        last_order: boot_count,
        last_refusal: Some(Refusal { order: boot_count, code: words.into(), message: words.into() }),
        protocol: 1,
        faults: None,
    }
}

/// Takes everything that the gateway would send, acknowledging it as it comes.
pub(super) fn drain(gateway: &mut Gateway<Memory>, mut at: Now) -> Vec<Event> {
    gateway.link_up(at);
    let (mut events, mut next) = (Vec::new(), 1);
    for _ in 0..100_000 {
        gateway.work(at).expect("works");
        let mut last = None;
        while let Some(output) = gateway.next_output() {
            let Output::Publish(Topic::Telemetry(_), frame) = output else { continue };
            let signed: Signed<TelemetryBatch> = wire::decode(&frame).expect("its own");
            let batch = signed.decode_unverified().expect("its own");
            assert_eq!(batch.sequence, next, "no gap");
            next += 1;
            last = Some(batch.sequence);
            events.extend(batch.events);
        }
        let Some(sequence) = last else { return events };
        let ack = CommitAck { gateway: "GW-1".parse().expect("a good id"), epoch: 1, sequence, log_size: 9 };
        let signed = Signed::sign(&ack, &[&key(12)]).expect("signs");
        let topic = Topic::Ack("GW-1".parse().expect("a good id")).to_string();
        gateway.message(at, &topic, &wire::encode(&signed)).expect("takes");
        at = Now { mono: at.mono.plus_ms(1), utc: at.utc };
    }
    panic!("does not end");
}

const MESSAGES: u64 = 20_000;

#[test]
fn sec_10_three_days_offline_beside_a_flooding_device() {
    let three_days = 3 * 86_400_000;
    let mut gateway = start(enrolled(), now(0));
    let words = "\u{1b}]52;c;\u{202e}\u{10348}".repeat(400);
    for n in 0..MESSAGES {
        let at = now(n * (three_days / MESSAGES));
        let (hostile, own) = (device(1), format!("{n} {words}"));
        let done = match n % 4 {
            0 => gateway.device_fault(
                at,
                &hostile,
                Fault {
                    severity: if n % 64 == 0 { Severity::Critical } else { Severity::Error },
                    code: own.clone(),
                    message: own,
                },
            ),
            1 => gateway.device_malformed(at, &hostile, &Malformed::with("a message that is not JSON", own)),
            2 => gateway.device_report(at, &hostile, report(n, &own)),
            _ => gateway.device_malformed(at, &hostile, &Malformed::new("connected with a wrong secret")),
        };
        done.and_then(|()| gateway.work(at)).expect("goes on");
        while gateway.next_output().is_some() {}
        if n % (MESSAGES / 5) == MESSAGES / 10 {
            let acted = gateway.on_site(at, &device(1), OnSite::Hold("by a nurse".into()), 7).expect("writes");
            assert!(acted.is_ok(), "{acted:?}");
            gateway = start(gateway.store().clone(), at);
        }
    }
    let waiting = gateway.outbox.bytes();
    assert!(waiting <= (1 << 20) + 64 * 1024, "{waiting} bytes wait");
    // A good device beside it is still seen, and a person's act is not lost.
    let at = now(three_days + 1);
    let fault = Fault { severity: Severity::Critical, code: "E-1".into(), message: "pump".into() };
    gateway.device_fault(at, &device(2), fault).expect("takes");
    let events = drain(&mut gateway, at);
    let of = |d: u8| events.iter().filter(move |e| e.device == Some(device(d)));
    assert!(of(2).any(|e| matches!(&e.kind, EventKind::DeviceError { code, .. } if code == "E-1")));
    assert_eq!(events.iter().filter(|e| matches!(e.kind, EventKind::LocalAction { .. })).count(), 5);
    assert!(of(1).any(|e| matches!(&e.kind, EventKind::Refused { what, .. } if what == "flood")), "the cut is counted");
}

#[test]
fn sec_10_a_flood_never_hides_a_critical_fault_from_the_installer() {
    let mut gateway = start(enrolled(), now(0));
    let fault = |severity, n: u32| Fault { severity, code: format!("E-{n}"), message: String::new() };
    for n in 0..500 {
        gateway.device_fault(now(1), &device(1), fault(Severity::Warning, n)).expect("takes");
    }
    gateway.device_fault(now(1), &device(1), fault(Severity::Critical, 1_000)).expect("takes");
    let events = drain(&mut gateway, now(2));
    let faults = events.iter().filter(|e| matches!(e.kind, EventKind::DeviceError { .. })).count();
    assert!((60..=81).contains(&faults), "{faults}");
    let critical = |e: &Event| matches!(&e.kind, EventKind::DeviceError { code, .. } if code == "E-1000");
    assert!(events.iter().any(critical), "it is recorded too");
}

#[test]
fn cli_14_bad_fault_counters_are_reported_as_on_the_page() {
    let mut bad = Report { protocol: 2, faults: None, ..report(1, "words") };
    let malformed = devices::remove_bad_level(&mut bad).expect("it must report counters");
    mdfm_shared::fixture::page::symptom("What a device says", "its report has no valid")
        .assert_in(&malformed.to_string());
}

#[test]
fn fld_26_a_numbered_event_is_recorded_once() {
    let mut gateway = start(enrolled(), now(0));
    let fault = Fault { severity: Severity::Error, code: "E-1".into(), message: "pump".into() };
    let mut level = FaultLevel::new("boot 1");
    level.add(fault.clone());
    let numbered = FaultMessage { fault: fault.clone(), number: Some(1) };
    let counted = Report { protocol: 2, faults: Some(level), ..report(1, "words") };
    // The event comes first, before the gateway has seen any report of the device; then both again, and once more after a restart.
    for at in 1..4 {
        gateway.device_fault(now(at), &device(1), numbered.clone()).expect("takes");
        gateway.device_report(now(at), &device(1), counted.clone()).expect("takes");
        if at == 2 {
            gateway = start(gateway.store().clone(), now(at));
        }
    }
    // A device whose reports carry no counters: its events are all that there is.
    gateway.device_report(now(5), &device(2), report(1, "words")).expect("takes");
    gateway.device_fault(now(5), &device(2), numbered).expect("takes");
    gateway.device_fault(now(6), &device(2), fault).expect("takes");
    let events = drain(&mut gateway, now(7));
    let faults = |d: u8| {
        let is_fault = |e: &&mdfm_shared::telemetry::Event| {
            e.device == Some(device(d)) && matches!(e.kind, EventKind::DeviceError { .. })
        };
        events.iter().filter(is_fault).count()
    };
    assert_eq!((faults(1), faults(2)), (1, 2));
}
