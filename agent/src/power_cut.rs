//! The whole of a gateway with a device on one disk, and the power cut at every single change of that disk: during an installation, a
//! confirmation, a rollback by the device's own fault, one by a directive and a rollback order, the taking of a trust root and of
//! withdrawals, commits of the outbox and the cleaning of the cache. After each cut the gateway starts again and must end where it ends without one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mdfm_agent_core::gateway::{Fetched, Gateway, Output, Seat, Who};
use mdfm_agent_core::installer::Now;
use mdfm_agent_core::store::{OutboxLimits, Store as _};
use mdfm_agent_core::trust::Trust;
use mdfm_shared::device::Command;
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, CommitAck, DeviceDirective, Directive};
use mdfm_shared::fixture::{
    Log, NOW, SUBMITTER, approvals, key, log_signer, manifest, record, role, root, roster, signed, signed_root,
};
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::record::Outcome as LogOutcome;
use mdfm_shared::sign::{KeySet, Signed};
use mdfm_shared::telemetry::{EventKind, Heartbeat, InstallState, NEEDS_ROLLBACK_ORDER, TelemetryBatch};
use mdfm_shared::time::MonotonicMs;
use mdfm_shared::trust::{OrderSigner, Role, RollbackOrder, Withdrawal, Withdrawals};
use mdfm_shared::wire::{self, Topic};
use tokio::sync::mpsc;

use crate::device::{
    Attached as _, Driven, LocalDevice, Pair, Reboot, Said, SlotsConfig, SlotsDevice, Staging, ToDevice, Way, boot,
    measured,
};
use crate::disk::DiskHandle;
use crate::disk::model::Model;
use crate::image::{ImageCache, ImageError};
use crate::store::LogStore;

const TICK_MS: u64 = 250;
/// Ticks after which a run that has not ended hangs.
const TICKS_MAX: u64 = 4_000;
const IMAGE_BYTES: usize = 150_000;
const PIECE_BYTES: usize = 64 * 1024;
const COORDINATOR: u8 = 12;
/// The image whose firmware reports an error on trial.
const BAD: u8 = 3;

fn gateway_id() -> GatewayId {
    "GW-1".parse().expect("a good id")
}
fn device_id() -> DeviceId {
    "DEV-1".parse().expect("a good id")
}
fn image(n: u8) -> Vec<u8> {
    (0..IMAGE_BYTES).map(|i| (i % 251) as u8 ^ n).collect()
}
fn config() -> SlotsConfig {
    SlotsConfig {
        dir: "/slots".into(),
        model: "CardiacMonitor-X200".into(),
        serial: "SN-1".into(),
        hardware: "B".into(),
        pair: vec![Pair { name: "main".into(), a: "/flash/a".into(), b: "/flash/b".into() }],
        reboot: vec!["unused".into()],
        factory: crate::device::Factory { version: "2.1.0".into(), release_number: 1, security_version: 1 },
    }
}

/// That the device is to boot; it does so at the next tick.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Reboot for Switch {
    fn reboot(&mut self) -> io::Result<()> {
        self.0.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// The vendor's side: everything that it publishes, and what has arrived there. It never loses power.
struct Vendor {
    log: Log,
    releases: BTreeMap<u8, (Digest, Vec<u8>)>,
    root: Option<Vec<u8>>,
    directive: Option<Vec<u8>>,
    withdrawals: Option<Vec<u8>>,
    orders: Option<Vec<u8>>,
    serial: u64,
    /// Sequence and digest of the last batch.
    received: (u64, Digest),
    events: Vec<EventKind>,
}

impl Vendor {
    fn new() -> Self {
        let mut vendor = Self {
            log: Log::new(log_signer()),
            releases: BTreeMap::new(),
            root: None,
            directive: None,
            withdrawals: None,
            orders: None,
            serial: 0,
            received: (0, Digest([0; 32])),
            events: Vec::new(),
        };
        for n in [2, BAD, 4, 5] {
            let mut manifest = manifest();
            manifest.firmware_id = format!("FW-{n}").parse().expect("a good id");
            manifest.version = format!("2.{n}.0");
            manifest.release_number = u64::from(n);
            manifest.sha256 = Digest::of(&image(n));
            manifest.components[0].sha256 = manifest.sha256;
            manifest.components[0].size_bytes = IMAGE_BYTES as u64;
            manifest.health.probation_ms = 2_000;
            manifest.health.silence_limit_ms = 30_000;
            // The way back from it by the directive alone ends at once.
            manifest.recall_window_ms = Some(0);
            let signed = signed(&manifest, &[10]);
            let (digest, evidence) = vendor.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
            vendor.releases.insert(n, (digest, wire::encode(&evidence)));
        }
        vendor
    }

    fn direct(&mut self, deployment: &str, action: Action) {
        self.serial += 1;
        let device = DeviceDirective {
            device: device_id(),
            deployment: deployment.parse().expect("a good id"),
            phase: 0,
            action,
            security_floor: 0,
        };
        let directive = Directive {
            gateway: gateway_id(),
            serial: self.serial,
            issued_at: NOW,
            expires_at: NOW.plus_ms(86_400_000),
            devices: vec![device],
        };
        self.directive = Some(wire::encode(&signed(&directive, &[COORDINATOR])));
    }

    fn digest(&self, n: u8) -> Digest {
        self.releases[&n].0
    }

    /// Two people let the device leave release 4.
    fn order_back(&mut self) {
        let signer = |user: &str, role| OrderSigner {
            user: user.parse().expect("a good id"),
            printed_name: format!("{user} Printed"),
            role,
        };
        let order = RollbackOrder {
            label: "recall-1".into(),
            releases: vec![self.digest(4)],
            devices: vec![device_id()],
            below_floor: false,
            meaning: "I order the devices back".into(),
            reason: "alarm limits lost".into(),
            issued_at: NOW,
            expires_at: NOW.plus_ms(86_400_000),
            signers: vec![signer("user-clinical", Role::Clinical), signer("user-regulatory", Role::Regulatory)],
        };
        let at = self.log.append(record("user-clinical", &signed(&order, &[21, 23]), LogOutcome::Accepted));
        self.orders = Some(wire::encode(&vec![self.log.order_evidence(at)]));
    }

    /// Release `n` is withdrawn.
    fn withdraw(&mut self, n: u8) {
        let withdrawal = Withdrawal { manifest: self.digest(n), reason: "alarm limits lost".into(), at: NOW };
        let expires_at = NOW.plus_ms(86_400_000);
        let document = Withdrawals { version: 1, issued_at: NOW, expires_at, releases: vec![withdrawal] };
        self.withdrawals = Some(wire::encode(&signed(&document, &[10])));
    }

    /// Takes telemetry as the coordinator does: each batch once, in the order of its chain.
    fn take(&mut self, frame: &[u8]) -> Vec<u8> {
        let signed: Signed<TelemetryBatch> = wire::decode(frame).expect("a frame");
        let keys = KeySet::single(key(40).public());
        let batch = signed.verify(&keys).expect("signed by the gateway");
        if batch.sequence == self.received.0 + 1 {
            assert_eq!(batch.previous, self.received.1, "the chain goes on");
            self.received = (batch.sequence, signed.digest());
            self.events.extend(batch.events.iter().map(|e| e.kind.clone()));
        } else {
            assert!(batch.sequence <= self.received.0, "batch {} is missing", self.received.0 + 1);
        }
        let ack = CommitAck { gateway: gateway_id(), epoch: 1, sequence: self.received.0, log_size: 0 };
        wire::encode(&self::signed(&ack, &[COORDINATOR]))
    }
}

/// What dies with the power.
struct Running {
    gateway: Gateway<LogStore>,
    cache: ImageCache,
    slots: SlotsDevice<Switch>,
    staging: Option<Staging>,
    way: Way,
    inlet: mpsc::Receiver<ToDevice>,
}

/// The device itself: another machine, which goes on when the gateway's power is cut.
#[derive(Default)]
struct Device {
    beat: u64,
    booted_at: u64,
    boot_count: u64,
}

struct Site {
    disk: Model,
    vendor: Vendor,
    running: Option<Running>,
    device: Device,
    switch: Switch,
    slot_is_here: bool,
    boots: u8,
    started_at: u64,
    tick: u64,
}

type Step = Result<(), Box<dyn std::error::Error>>;

impl Site {
    fn new(slot_is_here: bool) -> Self {
        let disk = Model::default();
        disk.put(Path::new("/flash/a"), &image(1));
        let handle: DiskHandle = Arc::new(disk.clone());
        let first = signed_root();
        let writes = Trust::enrol(&[wire::encode(&first)], first.digest()).expect("a good root");
        LogStore::open(&handle, Path::new("/state")).and_then(|mut s| s.commit(writes)).expect("enrols");
        Self {
            disk,
            vendor: Vendor::new(),
            running: None,
            device: Device { boot_count: 1, ..Device::default() },
            switch: Switch::default(),
            slot_is_here,
            boots: 0,
            started_at: 0,
            tick: 0,
        }
    }

    fn now(&self) -> Now {
        let mono = MonotonicMs(1_000 + (self.tick - self.started_at) * TICK_MS);
        Now { mono, utc: NOW.plus_ms(self.tick * TICK_MS) }
    }

    fn start(&mut self) -> Result<Running, Box<dyn std::error::Error>> {
        self.boots += 1;
        self.started_at = self.tick;
        let disk: DiskHandle = Arc::new(self.disk.clone());
        let store = LogStore::open(&disk, Path::new("/state"))?;
        // It keeps nothing that is not needed, so that each installation ends with a clean-up.
        let cache = ImageCache::open(&disk, Path::new("/images"), 0)?;
        let who = Who {
            gateway: gateway_id(),
            epoch: 1,
            key: key(40),
            trust_root: signed_root().digest(),
            heartbeat_ms: 3_600_000,
            outbox: OutboxLimits::default(),
        };
        let seat = Seat { device: device_id(), slot_is_here: self.slot_is_here };
        let mut gateway = Gateway::start(who, store, [seat], [self.boots; 16], self.now())?;
        gateway.link_up(self.now());
        let slots = SlotsDevice::open(&disk, config(), Arc::new(vec![(device_id(), config())]), self.switch.clone())?;
        let (local, inlet) = LocalDevice::unattended();
        Ok(Running { gateway, cache, slots, staging: None, way: Way::Local(local), inlet })
    }

    /// The device's own life: it boots when told, beats, and fails where its firmware is bad.
    fn live(&mut self) -> Step {
        if self.switch.0.load(Ordering::SeqCst) {
            let disk: DiskHandle = Arc::new(self.disk.clone());
            self.device.boot_count = boot(&disk, &config())?.boot_count;
            self.switch.0.store(false, Ordering::SeqCst);
            self.device.booted_at = self.tick;
        }
        let runs_bad =
            measured(&self.disk_handle(), &config()).is_some_and(|running| running == Digest::of(&image(BAD)));
        let faults = if runs_bad && self.tick > self.device.booted_at + 3 {
            r#"[{"number":1,"severity":"error","code":"E","message":"test"}]"#
        } else {
            "[]"
        };
        self.device.beat += 1;
        let (count, beat) = (self.device.boot_count, self.device.beat);
        // One of the two kinds of devices counts its faults (protocol version 2), the other says each once.
        let errors = u8::from(faults != "[]");
        let counts = format!(r#","faultCounts":{{"warning":0,"error":{errors},"critical":0}}"#);
        let counts = if self.slot_is_here { counts } else { String::new() };
        let status = format!(r#"{{"bootCount":{count},"beat":{beat},"inUse":false,"faults":{faults}{counts}}}"#);
        self.disk.put(Path::new("/slots/status.json"), status.as_bytes());
        Ok(())
    }

    fn disk_handle(&self) -> DiskHandle {
        Arc::new(self.disk.clone())
    }

    fn step(&mut self) -> Step {
        self.live()?;
        if self.running.is_none() {
            self.running = Some(self.start()?);
        }
        let mut running = self.running.take().expect("just started");
        let stepped = self.run(&mut running);
        if stepped.is_ok() {
            self.running = Some(running);
        }
        stepped
    }

    fn run(&mut self, running: &mut Running) -> Step {
        let now = self.now();
        let device = device_id();
        for said in running.slots.poll()? {
            match said {
                Said::Report(report) => running.gateway.device_report(now, &device, *report)?,
                Said::Fault(fault) => running.gateway.device_fault(now, &device, fault)?,
                Said::Malformed(malformed) => running.gateway.device_malformed(now, &device, &malformed)?,
            }
        }
        running.gateway.work(now)?;
        self.outputs(now, running)?;
        self.drive(now, running)?;
        self.outputs(now, running)?;
        while let Ok(for_device) = running.inlet.try_recv() {
            match for_device {
                ToDevice::Order(command) => running.slots.order(&command)?,
                ToDevice::Chunk(offset, data, _) => running.slots.chunk(offset, &data)?,
            }
        }
        running.slots.idle()?;
        if !running.gateway.is_fetching() && running.gateway.needed_images().is_empty() {
            running.cache.make_room(&BTreeSet::new(), 0)?;
        }
        Ok(())
    }

    fn drive(&mut self, now: Now, running: &mut Running) -> Step {
        let device = device_id();
        if !running.gateway.is_staging(&device) {
            running.staging = None;
        }
        let Some(staging) = &mut running.staging else { return Ok(()) };
        let report = running.gateway.report_of(&device).cloned();
        let gateway = &mut running.gateway;
        let number = || gateway.next_order(&device).expect("a device");
        match staging.drive(now.mono, &running.way, &device, report.as_ref(), number)? {
            Driven::On => {}
            Driven::Refused(refusal) => running.gateway.staging_refused(now, &device, refusal)?,
            Driven::Feed(from) => {
                let from = usize::try_from(from)?;
                let image = staging.image.clone();
                let cached = running.cache.get(image.firmware.sha256, image.size_bytes)?;
                assert!(cached.is_some() || image.streams, "what is not streamed lies in the cache");
                let bytes = self.bytes_of(image.firmware.sha256);
                for (i, piece) in bytes[from..].chunks(PIECE_BYTES).enumerate() {
                    running.slots.chunk((from + i * PIECE_BYTES) as u64, piece)?;
                }
            }
        }
        Ok(())
    }

    fn bytes_of(&self, sha256: Digest) -> Vec<u8> {
        [2, BAD, 4, 5]
            .map(image)
            .into_iter()
            .find(|bytes| Digest::of(bytes) == sha256)
            .expect("an image of the vendor's")
    }

    fn outputs(&mut self, now: Now, running: &mut Running) -> Step {
        while let Some(output) = running.gateway.next_output() {
            let gateway = &mut running.gateway;
            match output {
                Output::Publish(Topic::Telemetry(_), frame) => {
                    let ack = self.vendor.take(&frame);
                    gateway.message(now, &Topic::Ack(gateway_id()).to_string(), &ack)?;
                }
                Output::Publish(Topic::Heartbeat(_), frame) => self.send_directive(now, gateway, &frame)?,
                Output::Publish(..) => {}
                Output::Hello => self.publish(now, gateway)?,
                Output::WantRelease(digest) => {
                    let evidence =
                        self.vendor.releases.values().find(|(d, _)| *d == digest).expect("a release").1.clone();
                    gateway.message(now, &Topic::Release(digest).to_string(), &evidence)?;
                }
                Output::AskConsistency { old, new } => {
                    let proof = self.vendor.log.consistency(old, new);
                    gateway.consistency(now, proof.as_deref())?;
                }
                Output::Fetch(image) => {
                    let (sha256, size_bytes) = (image.firmware.sha256, image.size_bytes);
                    let fetched = match self.download(&running.cache, sha256, size_bytes) {
                        Ok(()) => Fetched::Whole,
                        Err(ImageError::Later(_) | ImageError::NoRoom(_)) if !self.disk.is_off() => Fetched::Later,
                        Err(error) => return Err(error.into()),
                    };
                    running.gateway.image(now, sha256, fetched)?;
                }
                Output::Stage { image, .. } => {
                    let cached = running.cache.get(image.firmware.sha256, image.size_bytes)?;
                    running.staging = Some(Staging::new(image, cached, now.mono));
                }
                Output::StopStaging(_) => running.staging = None,
                Output::Order(_, command) => self.order(running, &command)?,
            }
        }
        Ok(())
    }

    /// As every coordinator does, sends the directive to a gateway whose heartbeat shows that it lacks it.
    fn send_directive(&self, now: Now, gateway: &mut Gateway<LogStore>, heartbeat: &[u8]) -> Step {
        let heartbeat = wire::decode::<Signed<Heartbeat>>(heartbeat)?.decode_unverified()?;
        let Some(frame) = &self.vendor.directive else { return Ok(()) };
        let directive = wire::decode::<Signed<Directive>>(frame)?.decode_unverified()?;
        if directive.serial > heartbeat.directive_serial {
            gateway.message(now, &Topic::Directive(gateway_id()).to_string(), frame)?;
        }
        Ok(())
    }

    fn order(&mut self, running: &mut Running, command: &Command) -> Step {
        Ok(running.slots.order(command)?)
    }

    fn download(&self, cache: &ImageCache, sha256: Digest, size_bytes: u64) -> Result<(), ImageError> {
        if cache.get(sha256, size_bytes)?.is_some() {
            return Ok(());
        }
        let mut download = cache.download(sha256, size_bytes)?;
        let bytes = self.bytes_of(sha256);
        let have = usize::try_from(download.have()).expect("small");
        bytes[have..].chunks(PIECE_BYTES).try_for_each(|piece| download.write(piece))?;
        download.finish()
    }

    fn publish(&mut self, now: Now, gateway: &mut Gateway<LogStore>) -> Step {
        if let Some(root) = &self.vendor.root {
            gateway.message(now, &Topic::TrustRoot(2).to_string(), root)?;
        }
        gateway.message(now, &Topic::Roster.to_string(), &wire::encode(&signed(&roster(), &[11])))?;
        if let Some(withdrawals) = &self.vendor.withdrawals {
            gateway.message(now, &Topic::Withdrawals.to_string(), withdrawals)?;
        }
        if let Some(orders) = &self.vendor.orders {
            gateway.message(now, &Topic::RollbackOrders(gateway_id()).to_string(), orders)?;
        }
        if let Some(directive) = &self.vendor.directive {
            gateway.message(now, &Topic::Directive(gateway_id()).to_string(), directive)?;
        }
        Ok(())
    }

    /// Publishes again, as after any change.
    fn tell(&mut self) -> Step {
        let now = self.now();
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let told = self.publish(now, &mut running.gateway);
        if told.is_ok() {
            self.running = Some(running);
        }
        told
    }

    fn state(&self) -> Option<InstallState> {
        self.running.as_ref()?.gateway.states().next().map(|(_, state)| state)
    }

    /// Every slot that the boot side would start holds, byte for byte, firmware that was approved or came from the factory.
    fn check_bootable(&self) {
        let good: Vec<Vec<u8>> = [1, 2, BAD, 4].map(image).into();
        let record = self.disk.content(Path::new("/slots/boot.json")).unwrap_or_default();
        let Ok(record) = serde_json::from_slice::<serde_json::Value>(&record) else { return };
        for (slot, path) in [("a", "/flash/a"), ("b", "/flash/b")] {
            if record[slot]["complete"] == true {
                let bytes = self.disk.content(Path::new(path)).unwrap_or_default();
                let size = record[slot]["components"][0]["sizeBytes"].as_u64().expect("a size") as usize;
                assert!(
                    bytes.len() >= size && good.contains(&bytes[..size].to_vec()),
                    "slot {slot} is bootable and not verified"
                );
            }
        }
    }

    /// Goes on until the installation stands where it should and everything was reported; the power may go on the way.
    fn until(&mut self, wanted: InstallState, deployment: &str) {
        for _ in 0..TICKS_MAX {
            let there = self.running.as_ref().is_some_and(|r| {
                let stands = r.gateway.device_views(self.now(), Some(&device_id()));
                stands.is_ok_and(|(_, seen)| seen[0]["deployment"] == deployment)
                    && self.state() == Some(wanted)
                    && r.gateway.outbox().1 == 0
            });
            if there {
                return;
            }
            self.tick += 1;
            if let Err(error) = self.step() {
                assert!(self.disk.is_off(), "without a power cut: {error}");
                self.lose();
            }
            self.check_bootable();
        }
        panic!("not {wanted:?} in {TICKS_MAX} ticks, but {:?}", self.state());
    }

    /// Goes on until the vendor has it that the device stays, the power may go on the way.
    fn until_refused(&mut self) {
        let is_refused =
            |e: &EventKind| matches!(e, EventKind::Refused { reason, .. } if reason.contains(NEEDS_ROLLBACK_ORDER));
        for _ in 0..TICKS_MAX {
            if self.vendor.events.iter().any(is_refused) {
                return;
            }
            self.tick += 1;
            if let Err(error) = self.step() {
                assert!(self.disk.is_off(), "without a power cut: {error}");
                self.lose();
            }
        }
        panic!("the rollback was not refused in {TICKS_MAX} ticks");
    }

    fn lose(&mut self) {
        self.running = None;
        self.disk.power_on();
    }

    /// As `tell`, where the power may go on the way.
    fn told(&mut self) {
        if let Err(error) = self.tell() {
            assert!(self.disk.is_off(), "without a power cut: {error}");
            self.lose();
        }
    }

    /// The whole story.
    fn story(&mut self) {
        self.vendor.direct("D-1", Action::Install { manifest: self.vendor.digest(2) });
        self.until(InstallState::Confirmed, "D-1");
        let next = signed(&mdfm_shared::trust::TrustRoot { release: role(&[10, 11], 1), ..root(2) }, &[1, 2]);
        self.vendor.root = Some(wire::encode(&next));
        self.vendor.direct("D-2", Action::Install { manifest: self.vendor.digest(BAD) });
        self.told();
        self.until(InstallState::RolledBack, "D-2");
        self.vendor.direct("D-3", Action::Install { manifest: self.vendor.digest(4) });
        self.told();
        self.until(InstallState::Confirmed, "D-3");
        // The directive alone moves nothing any more; an order does, when it comes.
        self.vendor.direct("D-4", Action::Rollback { manifest: self.vendor.digest(4) });
        self.told();
        self.until_refused();
        self.vendor.order_back();
        self.told();
        self.until(InstallState::RolledBack, "D-3");
        self.vendor.withdraw(5);
        self.vendor.direct("D-5", Action::Install { manifest: self.vendor.digest(5) });
        self.told();
        self.until(InstallState::Failed, "D-5");
    }

    /// What must be the same with and without a cut.
    fn outcome(&self) -> Outcome {
        let record: serde_json::Value =
            serde_json::from_slice(&self.disk.content(Path::new("/slots/boot.json")).expect("a record")).expect("JSON");
        let settled = |e: &EventKind| match e {
            EventKind::StateChanged { state, manifest, deployment, .. } if state.is_settled() => {
                Some((deployment.to_string(), *manifest, format!("{state:?}")))
            }
            _ => None,
        };
        let active = record["active"].as_str().expect("a slot").to_owned();
        Outcome {
            running: record[&active]["firmware"].clone(),
            trial: record["trial"].clone(),
            measured: record["measured"].clone(),
            settled: self.vendor.events.iter().filter_map(settled).collect(),
            adopted: self.vendor.events.iter().filter(|e| matches!(e, EventKind::DeviceAdopted { .. })).count(),
        }
    }
}

/// Where a story ends, and what was reported of it.
#[derive(Debug, PartialEq)]
struct Outcome {
    running: serde_json::Value,
    trial: serde_json::Value,
    measured: serde_json::Value,
    /// Every installation that settled, in order, each once.
    settled: Vec<(String, Digest, String)>,
    adopted: usize,
}

/// A change of the disk by what it does to which kind of file.
fn kind(change: &crate::disk::model::Change) -> (&'static str, String) {
    let path = change.path.to_string_lossy();
    let file = if path.starts_with("/images/") {
        if path.ends_with(".part") { "half an image".into() } else { "an image".into() }
    } else {
        path.into_owned()
    };
    (change.what, file)
}

/// Every kind of change that a story makes. A new one must be written down here, and is cut at then.
fn expected(slot_is_here: bool) -> BTreeSet<(&'static str, String)> {
    let mut kinds: Vec<(&'static str, &str)> = vec![
        ("write", "/state/state.log"),
        ("sync", "/state/state.log"),
        ("sync names", "/state"),
        ("create", "/slots/boot.new"),
        ("set length", "/slots/boot.new"),
        ("write", "/slots/boot.new"),
        ("sync", "/slots/boot.new"),
        ("rename", "/slots/boot.json"),
        ("sync names", "/slots"),
        ("create", "/flash/b"),
        ("write", "/flash/a"),
        ("write", "/flash/b"),
        ("sync", "/flash/a"),
        ("sync", "/flash/b"),
        ("sync names", "/flash"),
    ];
    if !slot_is_here {
        kinds.extend([
            ("create", "half an image"),
            ("write", "half an image"),
            ("sync", "half an image"),
            ("rename", "an image"),
            ("remove", "an image"),
            ("sync names", "/images"),
        ]);
    }
    kinds.into_iter().map(|(what, file)| (what, file.to_owned())).collect()
}

/// Runs the story with a cut at each change, on both cores.
fn cut_everywhere(slot_is_here: bool, seeds: u64) {
    let mut whole = Site::new(slot_is_here);
    let before = whole.disk.changes().len();
    whole.story();
    let changes = whole.disk.changes();
    let made: BTreeSet<_> = changes[before..].iter().map(kind).collect();
    assert_eq!(made, expected(slot_is_here), "the kinds of changes that are cut at");
    let outcome = whole.outcome();
    let cuts: Vec<usize> = (before..changes.len()).collect();
    let run = |cuts: &[usize]| {
        for cut in cuts {
            for seed in 0..seeds {
                let mut site = Site::new(slot_is_here);
                site.disk.cut_at(*cut, seed * 7_919 + *cut as u64);
                site.story();
                assert!(site.boots > 1, "cut {cut}: the power did not go");
                assert_eq!(site.outcome(), outcome, "cut {cut} ({:?}) seed {seed}", changes[*cut]);
            }
        }
    };
    let (one, two) = cuts.split_at(cuts.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run(two));
        run(one);
        if let Err(panic) = other.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// NIST-193-P, the image in the cache first.
#[test]
fn invariant_3_a_power_cut_at_every_change_of_the_disk_ends_as_without_one() {
    cut_everywhere(false, 3);
}

/// NIST-193-P, the image straight from the network into the slot.
#[test]
fn invariant_3_a_power_cut_at_every_change_while_streaming_ends_as_without_one() {
    cut_everywhere(true, 3);
}
