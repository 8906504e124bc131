//! A gateway with one device and a coordinator that keeps its chain: the state is put back, and everything is known again.

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{ChainHead, ChainRefusal, RefusedBatch};
use mdfm_shared::fixture::{NOW, key, signed, signed_root};
use mdfm_shared::id::DeviceId;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{Event, EventKind, FirmwareReport, Heartbeat, InstallState, TelemetryBatch};
use mdfm_shared::time::MonotonicMs;
use mdfm_shared::wire::{self, Topic};

use super::super::{Gateway, Output, Seat, Who};
use crate::installer::Now;
use crate::store::memory::Memory;
use crate::store::{OutboxLimits, Store as _, owner_write};
use crate::trust::Trust;

const COORDINATOR: u8 = 12;

fn device() -> DeviceId {
    "DEV-1".parse().expect("a good id")
}

fn firmware(n: u8) -> FirmwareReport {
    FirmwareReport {
        version: format!("2.{n}.0"),
        release_number: u64::from(n),
        security_version: 1,
        sha256: Digest([n; 32]),
    }
}

/// What a coordinator keeps of one gateway.
#[derive(Default)]
struct Vendor {
    epoch: u64,
    committed: Vec<Digest>,
    base: Option<Digest>,
    log_size: u64,
    events: Vec<Event>,
    refused: usize,
    epochs: usize,
    heartbeats: Vec<Heartbeat>,
}

impl Vendor {
    fn head(&self) -> Digest {
        self.committed.last().copied().or(self.base).unwrap_or(Digest([0; 32]))
    }

    fn take(&mut self, frame: &[u8]) -> ChainHead {
        let sent: Signed<TelemetryBatch> = wire::decode(frame).expect("a frame");
        let batch = sent.decode_unverified().expect("a batch");
        let next = self.committed.len() as u64 + 1;
        let begins = batch.epoch > self.epoch && batch.sequence == 1 && batch.previous == self.head();
        let continues = batch.epoch == self.epoch && batch.sequence == next && batch.previous == self.head();
        let mut refused = None;
        if begins || continues {
            if begins {
                (self.base, self.epoch) = (Some(self.head()), batch.epoch);
                self.committed.clear();
                self.epochs += 1;
            }
            self.committed.push(sent.digest());
            self.log_size += 1;
            self.events.extend(batch.events);
        } else if !self.committed.contains(&sent.digest()) {
            self.refused += 1;
            let reason = if batch.epoch < self.epoch { ChainRefusal::Epoch } else { ChainRefusal::Fork };
            refused = Some(RefusedBatch { batch: sent.digest(), reason, committed: self.committed.clone() });
        }
        ChainHead {
            gateway: "GW-1".parse().expect("a good id"),
            epoch: self.epoch,
            sequence: self.committed.len() as u64,
            head: self.head(),
            log_size: self.log_size,
            refused,
        }
    }
}

struct Site {
    gateway: Gateway<Memory>,
    vendor: Vendor,
    now: Now,
    boot: u8,
    running: u8,
}

impl Site {
    fn new() -> Self {
        let first = signed_root();
        let mut store = Memory::default();
        let writes = Trust::enrol(&[wire::encode(&first)], first.digest()).expect("a good root");
        store.commit(writes).expect("commits");
        let now = Now { mono: MonotonicMs(10_000), utc: NOW };
        let gateway = start(store, 1, 1, &key(40), now);
        let vendor = Vendor { epoch: 1, ..Vendor::default() };
        let mut site = Self { gateway, vendor, now, boot: 1, running: 1 };
        site.gateway.link_up(now);
        site.live(5);
        site
    }

    /// The gateway boots with this disk, enrolled in this epoch.
    fn boot(&mut self, store: Memory, epoch: u64, own: &SecretKey) {
        self.boot += 1;
        self.now.mono = MonotonicMs(500);
        self.gateway = start(store, epoch, self.boot, own, self.now);
        self.gateway.link_up(self.now);
    }

    fn live(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now.mono = self.now.mono.plus_ms(1_000);
            self.now.utc = self.now.utc.plus_ms(1_000);
            self.gateway.work(self.now).expect("no disk fails");
            let report = report(self.running);
            self.gateway.device_report(self.now, &device(), report).expect("no disk fails");
            self.gateway.work(self.now).expect("no disk fails");
            while let Some(output) = self.gateway.next_output() {
                match output {
                    Output::Publish(Topic::Telemetry(gateway), frame) => {
                        let head = signed(&self.vendor.take(&frame), &[COORDINATOR]);
                        let topic = Topic::Chain(gateway).to_string();
                        self.gateway.message(self.now, &topic, &wire::encode(&head)).expect("no disk fails");
                    }
                    Output::Publish(Topic::Heartbeat(_), frame) => {
                        let sent: Signed<Heartbeat> = wire::decode(&frame).expect("own frame");
                        self.vendor.heartbeats.push(sent.decode_unverified().expect("own"));
                    }
                    _ => {}
                }
            }
        }
    }

    fn disk(&self) -> Memory {
        self.gateway.store().clone()
    }

    /// Firmware that was reported as a baseline.
    fn adopted(&self) -> Vec<String> {
        let versions = self.vendor.events.iter().filter_map(|e| match &e.kind {
            EventKind::DeviceAdopted { firmware, .. } => Some(firmware.version.clone()),
            _ => None,
        });
        versions.collect()
    }

    fn status(&self) -> serde_json::Value {
        self.gateway.status(self.now)
    }
}

fn start(store: Memory, epoch: u64, boot: u8, own: &SecretKey, now: Now) -> Gateway<Memory> {
    let who = Who {
        gateway: "GW-1".parse().expect("a good id"),
        epoch,
        key: own.clone(),
        trust_root: signed_root().digest(),
        heartbeat_ms: 1_000,
        outbox: OutboxLimits::default(),
    };
    Gateway::start(who, store, [Seat { device: device(), slot_is_here: false }], [boot; 16], now).expect("starts")
}

fn report(n: u8) -> mdfm_shared::device::Report {
    mdfm_shared::device::Report {
        model: "CardiacMonitor-X200".into(),
        serial: "SN-1".into(),
        hardware: "B".into(),
        boot_count: u64::from(n),
        running: firmware(n),
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

#[test]
fn fld_6_a_gateway_from_a_snapshot_heals_and_reports_all_again() {
    let mut site = Site::new();
    let snapshot = site.disk();
    for _ in 0..3 {
        let at = site.now;
        let act = crate::installer::OnSite::Hold("by a nurse".into());
        site.gateway.on_site(at, &device(), act, 7).expect("writes").expect("held");
        site.live(2);
    }
    let before = site.vendor.committed.len();
    assert!(before >= 4);
    // Meanwhile somebody flashed the device; the disk of before comes back.
    site.running = 5;
    site.boot(snapshot.clone(), 1, &key(40));
    site.gateway.work(site.now).expect("no disk fails");
    site.live(20);
    assert_eq!((site.vendor.epochs, site.vendor.epoch), (1, 2));
    // No more than the batches that were under way when the first answer came.
    assert!(site.vendor.refused <= 3, "{} refusals", site.vendor.refused);
    assert_eq!(site.adopted().last().map(String::as_str), Some("2.5.0"), "the device is known as it is");
    assert_eq!(site.vendor.heartbeats.last().map(|h| h.epoch), Some(2), "heartbeats count by the new epoch");
    assert_eq!(site.gateway.outbox().1, 0, "everything is acknowledged");
    assert_eq!(
        (site.status()["telemetryRefused"].clone(), site.status()["telemetryEpoch"].clone()),
        (false.into(), 2.into())
    );
    let chain =
        site.vendor.events.iter().filter(|e| matches!(&e.kind, EventKind::Refused { what, .. } if what == "chain"));
    assert_eq!(chain.count(), 1, "it says what happened, once");
    // A second snapshot later: the same again.
    site.boot(snapshot, 1, &key(40));
    site.live(20);
    assert_eq!((site.vendor.epochs, site.vendor.epoch, site.gateway.outbox().1), (2, 3, 0));
    // It goes on in its epoch over a restart.
    let disk = site.disk();
    site.boot(disk, 1, &key(40));
    site.live(3);
    assert_eq!((site.vendor.epochs, site.gateway.epoch(), site.gateway.outbox().1), (2, 3, 0));
}

#[test]
fn fld_6_two_copies_begin_a_bounded_number_of_epochs() {
    let mut site = Site::new();
    let copy = site.disk();
    let mut disks = [copy.clone(), copy];
    for turn in 0..60 {
        let disk = disks[turn % 2].clone();
        site.boot(disk, 1, &key(40));
        site.live(8);
        disks[turn % 2] = site.disk();
    }
    assert_eq!(site.vendor.epochs, 2 * mdfm_shared::limits::EPOCHS_A_DAY, "each as many as it may in a day");
    let held = site.status();
    assert!(held["telemetry"].as_str().is_some_and(|t| t.contains("refused since")), "{held}");
    assert_eq!(held["telemetryRefused"], true);
}

#[test]
fn fld_8_enrolment_again_keeps_the_backlog_and_reports_all() {
    let mut site = Site::new();
    site.gateway.link_down();
    let at = site.now;
    let act = crate::installer::OnSite::Hold("by a nurse".into());
    site.gateway.on_site(at, &device(), act, 7).expect("writes").expect("held");
    site.live(90);
    // What `enrol --again` writes, at another coordinator, which counts its epochs from 1.
    let mut disk = site.disk();
    disk.commit(vec![owner_write(key(40).public().id())]).expect("commits");
    site.vendor = Vendor { epoch: 1, ..Vendor::default() };
    site.boot(disk, 1, &key(41));
    site.live(5);
    let kinds: Vec<&str> = site.vendor.events.iter().map(|e| e.kind.name()).collect();
    assert!(kinds.contains(&"localAction"), "what was not acknowledged is not lost: {kinds:?}");
    assert_eq!(site.adopted(), ["2.1.0"], "the new coordinator knows what the device runs");
    assert_eq!((site.vendor.refused, site.gateway.outbox().1), (0, 0));
    let disk = site.disk();
    site.boot(disk, 1, &key(41));
    site.live(5);
    assert_eq!(site.adopted().len(), 1, "once");
}

#[test]
fn fld_8_an_absent_device_is_reported_when_it_is_back() {
    let mut site = Site::new();
    let mut disk = site.disk();
    disk.commit(vec![owner_write(key(40).public().id())]).expect("commits");
    site.vendor = Vendor { epoch: 2, ..Vendor::default() };
    for _ in 0..3 {
        site.boot(disk, 2, &key(41));
        // Killed before the device says anything.
        site.gateway.work(site.now).expect("no disk fails");
        while site.gateway.next_output().is_some() {}
        disk = site.disk();
    }
    site.boot(disk, 2, &key(41));
    site.live(8);
    assert_eq!(site.adopted(), ["2.1.0"]);
    assert_eq!(site.gateway.states().map(|(_, s)| s).collect::<Vec<_>>(), [InstallState::Idle]);
}

#[test]
fn fld_6_a_put_back_gateway_forgets_what_it_observed() {
    let mut site = Site::new();
    let disk = site.disk();
    let held = |site: &Site| site.gateway.store().get(&super::observation_key(&device())).expect("reads").is_some();
    for is_seen in [false, true] {
        site.boot(disk.clone(), 1, &key(40));
        if is_seen {
            site.live(1);
        }
        let writes = site.gateway.mark_due(site.now);
        site.gateway.store.commit(writes).expect("commits");
        assert_eq!(held(&site), is_seen, "what this process saw stands");
    }
}
