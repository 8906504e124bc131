//! A whole gateway with one device, its store in memory and its clocks in the test's hand: what it starts and what it does not when
//! authority, freshness or time are in doubt. After every attack the same gateway installs a good release (DESIGN §9.8).

use mdfm_shared::device::{Order, StagedReport};
use mdfm_shared::directive::{Action, ChainHead, DeviceDirective, Directive};
use mdfm_shared::fixture::{Log, NOW, SUBMITTER, approvals, key, log_signer, manifest, roster, signed, signed_root};
use mdfm_shared::telemetry::{FirmwareReport, UNSEEN};
use mdfm_shared::trust::{Freshness, Roster, Withdrawal, Withdrawals};
use mdfm_shared::waiting::WaitCode;

use super::*;
use crate::store::memory::Memory;

mod codes;
mod put_back;
mod waiting;

const COORDINATOR: u8 = 12;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn device() -> DeviceId {
    "DEV-1".parse().expect("a good id")
}
fn gateway_id() -> GatewayId {
    "GW-1".parse().expect("a good id")
}
fn firmware(n: u8) -> FirmwareReport {
    FirmwareReport {
        version: format!("2.{n}.0"),
        release_number: u64::from(n),
        security_version: 1,
        sha256: Digest([n; 32]),
    }
}

struct Site {
    gateway: Gateway<Memory>,
    log: Log,
    now: Now,
    serial: u64,
    boots: u64,
    running: u8,
    staged: Option<u8>,
    trial: bool,
    last_order: u64,
    activations: usize,
    heartbeats: Vec<Heartbeat>,
    in_use: bool,
    /// What becomes of images that are fetched.
    images: Images,
    /// Bytes of the image that are in the slot; `None` if all are.
    written: Option<u64>,
    /// Whether the device follows no order to roll back.
    stays: bool,
    /// The directive that the coordinator sends to a gateway that lacks it.
    newest: Option<Vec<u8>>,
}

/// What becomes of a fetch.
enum Images {
    Come,
    /// It fails, and is tried again.
    Fail(WaitCode, &'static str),
    /// It is under way for ever.
    Last,
    /// What comes is not what the release names.
    Differ(&'static str),
}

impl Site {
    fn new() -> Self {
        let first = signed_root();
        let mut store = Memory::default();
        let writes = Trust::enrol(&[wire::encode(&first)], first.digest()).expect("a good root");
        store.commit(writes).expect("commits");
        let now = Now { mono: MonotonicMs(10_000), utc: NOW };
        let mut site = Self {
            gateway: Self::start(store, 1, now),
            log: Log::new(log_signer()),
            now,
            serial: 0,
            boots: 1,
            running: 1,
            staged: None,
            trial: false,
            last_order: 0,
            activations: 0,
            heartbeats: Vec::new(),
            in_use: false,
            images: Images::Come,
            written: None,
            stays: false,
            newest: None,
        };
        site.gateway.link_up(now);
        site.message(&Topic::Roster, wire::encode(&signed(&roster(), &[11])));
        site.live(3);
        site
    }

    fn start(store: Memory, boot: u8, now: Now) -> Gateway<Memory> {
        let who = Who {
            gateway: gateway_id(),
            epoch: 1,
            key: key(40),
            trust_root: signed_root().digest(),
            heartbeat_ms: 1_000,
            outbox: OutboxLimits::default(),
        };
        Gateway::start(who, store, [Seat { device: device(), slot_is_here: false }], [boot; 16], now).expect("starts")
    }

    /// Another boot of the gateway, at this time of its wall clock.
    fn reboot(&mut self, boot: u8, utc: UtcMillis) {
        self.now = Now { mono: MonotonicMs(500), utc };
        self.gateway = Self::start(self.gateway.store().clone(), boot, self.now);
        self.gateway.link_up(self.now);
        self.confirms();
    }

    /// The coordinator answers this process, and sends its directive again.
    fn confirms(&mut self) {
        self.answers();
        if let Some(newest) = self.newest.clone() {
            self.message(&Topic::Directive(gateway_id()), newest);
        }
    }

    /// The coordinator says what it holds of the gateway's telemetry: nothing yet.
    fn answers(&mut self) {
        let head = ChainHead {
            gateway: gateway_id(),
            epoch: 1,
            sequence: 0,
            head: Digest([0; 32]),
            log_size: 0,
            refused: None,
        };
        self.message(&Topic::Chain(gateway_id()), wire::encode(&signed(&head, &[COORDINATOR])));
    }

    /// The coordinator sends a new directive.
    fn send_directive(&mut self, directive: &Directive) {
        let frame = wire::encode(&signed(directive, &[COORDINATOR]));
        self.newest = Some(frame.clone());
        self.answers();
        self.message(&Topic::Directive(gateway_id()), frame);
    }

    fn message(&mut self, topic: &Topic, payload: Vec<u8>) {
        self.gateway.message(self.now, &topic.to_string(), &payload).expect("no disk fails");
        self.outputs();
    }

    fn outputs(&mut self) {
        while let Some(output) = self.gateway.next_output() {
            match output {
                Output::AskConsistency { old, new } => {
                    let proof = self.log.consistency(old, new);
                    self.gateway.consistency(self.now, proof.as_deref()).expect("no disk fails");
                }
                Output::Fetch(image) => {
                    let sha256 = image.firmware.sha256;
                    let fetched = match &self.images {
                        Images::Come => Fetched::Whole,
                        Images::Fail(code, words) => {
                            self.gateway.fetch_failed(sha256, code.clone(), (*words).into(), 100);
                            Fetched::Later
                        }
                        Images::Last => continue,
                        Images::Differ(why) => Fetched::Wrong((*why).into()),
                    };
                    self.gateway.image(self.now, sha256, fetched).expect("no disk fails");
                }
                Output::Stage { image, .. } => self.staged = Some(image.firmware.sha256.0[0]),
                Output::Order(_, command) => self.obey(&command),
                Output::Publish(Topic::Heartbeat(_), frame) => {
                    let signed: Signed<Heartbeat> = wire::decode(&frame).expect("own frame");
                    self.heartbeats.push(signed.decode_unverified().expect("own"));
                }
                _ => {}
            }
        }
    }

    fn obey(&mut self, command: &Command) {
        if command.order == self.last_order {
            return;
        }
        self.last_order = command.order;
        match command.what {
            Order::Activate { sha256 } => {
                self.activations += 1;
                self.boots += 1;
                (self.staged, self.trial) = (Some(self.running), true);
                self.running = sha256.0[0];
            }
            Order::Rollback { .. } if self.stays => {}
            Order::Rollback { sha256 } => {
                self.boots += 1;
                (self.staged, self.trial) = (None, false);
                self.running = sha256.0[0];
            }
            Order::Confirm { .. } => self.trial = false,
            _ => {}
        }
    }

    fn live(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now.mono = self.now.mono.plus_ms(1_000);
            self.now.utc = self.now.utc.plus_ms(1_000);
            let report = Report {
                model: "CardiacMonitor-X200".into(),
                serial: "SN-1".into(),
                hardware: "B".into(),
                boot_count: self.boots,
                running: firmware(self.running),
                confirmed: !self.trial,
                secure_boot: true,
                in_use: self.in_use,
                staged: self.staged.filter(|_| !self.trial).map(|n| StagedReport {
                    sha256: Digest([n; 32]),
                    written_bytes: self.written.unwrap_or(10),
                    complete: self.written.is_none(),
                }),
                last_order: self.last_order,
                last_refusal: None,
                protocol: 1,
                faults: None,
            };
            self.gateway.device_report(self.now, &device(), report).expect("no disk fails");
            self.gateway.work(self.now).expect("no disk fails");
            self.outputs();
        }
    }

    fn release(&mut self, n: u8) -> Digest {
        let mut manifest = manifest();
        manifest.firmware_id = format!("FW-{n}").parse().expect("a good id");
        (manifest.version, manifest.release_number) = (firmware(n).version, u64::from(n));
        manifest.sha256 = firmware(n).sha256;
        manifest.components[0].sha256 = manifest.sha256;
        manifest.health.probation_ms = 2_000;
        manifest.health.silence_limit_ms = 10_000;
        let signed = signed(&manifest, &[10]);
        let (digest, evidence) = self.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
        self.message(&Topic::Release(digest), wire::encode(&evidence));
        digest
    }

    fn directive(&mut self, action: Action, issued_at: UtcMillis) -> Directive {
        self.serial += 1;
        Directive {
            gateway: gateway_id(),
            serial: self.serial,
            issued_at,
            expires_at: issued_at.plus_ms(30 * DAY_MS),
            devices: vec![DeviceDirective {
                device: device(),
                deployment: format!("D-{}", self.serial).parse().expect("a good id"),
                phase: 0,
                action,
                security_floor: 0,
            }],
        }
    }

    fn direct(&mut self, action: Action) {
        let directive = self.directive(action, self.now.utc);
        self.send_directive(&directive);
    }

    fn state(&self) -> InstallState {
        self.gateway.states().next().expect("one device").1
    }

    fn why(&self) -> String {
        self.gateway.status(self.now)["nothingNewBecause"].to_string()
    }

    fn said(&self, what: &str, words: &str) -> usize {
        let matches = |kind: &EventKind| matches!(kind, EventKind::Refused { what: w, reason } if w == what && reason.contains(words));
        self.gateway.recent.iter().filter(|(_, _, kind)| matches(kind)).count()
    }

    fn installs(&mut self, n: u8) {
        let digest = self.release(n);
        self.direct(Action::Install { manifest: digest });
        self.live(15);
        assert_eq!((self.state(), self.running, self.trial), (InstallState::Confirmed, n, false), "{}", self.why());
    }
}

#[test]
fn sec_13_a_clock_set_back_activates_nothing() {
    for boot in [1, 2] {
        let mut site = Site::new();
        site.installs(2);
        site.live(60);
        let good = site.now.utc;
        let (digest, activations) = (site.release(3), site.activations);
        site.reboot(boot, UtcMillis(good.0 - 2 * DAY_MS));
        // Whoever holds the coordinator and the clock dates the directive to fit.
        site.direct(Action::Install { manifest: digest });
        site.live(30);
        assert_eq!((site.state(), site.activations), (InstallState::Staged, activations));
        assert!(site.why().contains("set the clock"), "{}", site.why());
        assert_eq!(site.said("clock", "set the clock"), 1, "an event, once");
        assert_eq!(
            site.gateway.status(site.now)["trustedTime"].as_str().map(|t| t >= good.to_string().as_str()),
            Some(true)
        );
        // The way back is open all the same, and the clock is set right.
        site.now.utc = good.plus_ms(60_000);
        site.live(15);
        assert_eq!((site.state(), site.running), (InstallState::Confirmed, 3));
        assert_eq!(site.why(), "[]");
        site.installs(4);
    }
}

#[test]
fn sec_13_a_jump_of_the_clock_is_reported_and_ends_no_trial() {
    let mut site = Site::new();
    let digest = site.release(2);
    site.direct(Action::Install { manifest: digest });
    for _ in 0..10 {
        if site.state() == InstallState::Probation {
            break;
        }
        site.live(1);
    }
    site.now.utc = UtcMillis(site.now.utc.0 - 3 * DAY_MS);
    site.live(10);
    assert_eq!((site.state(), site.running), (InstallState::Confirmed, 2), "the running probation goes on");
    assert_eq!(site.said("clock", "jumped back"), 1);
    site.now.utc = site.now.utc.plus_ms(3 * DAY_MS);
    site.live(2);
    assert_eq!(site.said("clock", "jumped forward"), 1);
    site.installs(3);
}

#[test]
fn sec_13_a_directive_dated_far_ahead_freezes_nothing_for_ever() {
    let mut site = Site::new();
    let digest = site.release(2);
    let ahead = site.directive(Action::Install { manifest: digest }, NOW.plus_ms(30_000 * DAY_MS));
    site.message(&Topic::Directive(gateway_id()), wire::encode(&signed(&ahead, &[COORDINATOR])));
    site.live(20);
    assert_eq!((site.state(), site.activations), (InstallState::Staged, 0));
    assert!(site.why().contains("one of them is wrong"), "{}", site.why());
    site.reboot(2, site.now.utc);
    site.installs(3);
}

#[test]
fn sec_13_a_clock_in_1970_installs_nothing_and_still_goes_back() {
    let mut site = Site::new();
    site.installs(2);
    let (digest, good) = (site.release(2), site.now.utc);
    site.reboot(2, UtcMillis(20_000));
    site.direct(Action::Rollback { manifest: digest });
    site.live(10);
    assert_eq!((site.state(), site.running), (InstallState::RolledBack, 1));
    site.now.utc = good.plus_ms(60_000);
    site.installs(3);
}

#[test]
fn sec_12_an_expired_roster_starts_nothing_until_a_newer_one() {
    let mut site = Site::new();
    let dated = |version, issued_at: UtcMillis| {
        let freshness = Freshness { issued_at, expires_at: issued_at.plus_ms(20 * DAY_MS), withdrawals_version: 0 };
        wire::encode(&signed(&Roster { version, freshness: Some(freshness), ..roster() }, &[11]))
    };
    site.message(&Topic::Roster, dated(2, NOW));
    site.installs(2);
    let digest = site.release(3);
    site.now.utc = NOW.plus_ms(20 * DAY_MS);
    site.now.mono = site.now.mono.plus_ms(20 * DAY_MS);
    site.direct(Action::Install { manifest: digest });
    site.live(30);
    assert_eq!((site.state(), site.running), (InstallState::Staged, 2));
    assert!(site.why().contains("roster expired"), "{}", site.why());
    assert_eq!(site.said("trust", "roster expired"), 1);
    site.message(&Topic::Roster, dated(3, site.now.utc));
    site.live(15);
    assert_eq!((site.state(), site.running), (InstallState::Confirmed, 3));
    site.installs(4);
}

#[test]
fn sec_12_heartbeats_name_held_authority_once_it_is_published() {
    let mut site = Site::new();
    site.live(3);
    assert!(site.heartbeats.iter().all(|h| h.held_trust.is_none()), "an older coordinator cannot decode it");
    let withdrawal = Withdrawal { manifest: Digest([9; 32]), reason: "alarm limits lost".into(), at: NOW };
    let document =
        Withdrawals { version: 4, issued_at: NOW, expires_at: NOW.plus_ms(90 * DAY_MS), releases: vec![withdrawal] };
    let document = wire::encode(&signed(&document, &[10]));
    site.message(&Topic::Withdrawals, document.clone());
    let orders = wire::encode(&Vec::<mdfm_shared::trust::RollbackOrderEvidence>::new());
    site.message(&Topic::RollbackOrders(gateway_id()), orders.clone());
    site.live(3);
    let held = site.heartbeats.last().and_then(|h| h.held_trust).expect("held");
    assert_eq!((held.withdrawals_version, held.rollback_orders), (4, Digest::of(&orders)));
    assert!(held.clock.is_trusted && held.clock.behind_ms == 0);
    site.heartbeats.clear();
    site.reboot(2, site.now.utc);
    site.live(3);
    assert!(site.heartbeats.iter().all(|h| h.held_trust.is_none()), "another coordinator may be there");
    site.message(&Topic::Withdrawals, document);
    site.live(3);
    let held = site.heartbeats.last().and_then(|h| h.held_trust).expect("held");
    assert_eq!((held.withdrawals_version, held.rollback_orders), (4, Digest::of(&orders)));
}

#[test]
fn sec_12_a_bundle_brings_withdrawals_with_the_same_checks() {
    let mut site = Site::new();
    let digest = site.release(2);
    let document = |key| {
        let withdrawal = Withdrawal { manifest: digest, reason: "alarm limits lost".into(), at: NOW };
        let expires_at = NOW.plus_ms(90 * DAY_MS);
        wire::encode(&signed(
            &Withdrawals { version: 1, issued_at: NOW, expires_at, releases: vec![withdrawal] },
            &[key],
        ))
    };
    let topic = Topic::Withdrawals.to_string();
    let refused = site.gateway.import(site.now, &topic, &document(COORDINATOR), 0).expect("no disk fails");
    assert!(refused.expect_err("must be refused").contains("must be signed by"));
    site.gateway.import(site.now, &topic, &document(10), 0).expect("no disk fails").expect("taken");
    site.direct(Action::Install { manifest: digest });
    site.live(20);
    assert_eq!((site.state(), site.activations), (InstallState::Failed, 0));
    site.installs(3);
}

#[test]
fn fld_6_a_device_that_stays_away_is_reported_once() {
    let mut site = Site::new();
    let digest = site.release(2);
    let writes = site.gateway.mark_due(site.now);
    site.gateway.store.commit(writes).expect("commits");
    let unseen = |site: &Site| {
        let is_unseen =
            |kind: &EventKind| matches!(kind, EventKind::StateChanged { detail, .. } if detail.contains(UNSEEN));
        site.gateway.recent.iter().filter(|(_, _, kind)| is_unseen(kind)).count()
    };
    let wait = |site: &mut Site, minutes: u64| {
        for _ in 0..minutes {
            site.now = Now { mono: site.now.mono.plus_ms(60_000), utc: site.now.utc.plus_ms(60_000) };
            site.gateway.work(site.now).expect("no disk fails");
        }
    };
    // A restart forgets nothing; and what is asked is known by a directive that came since.
    let store = site.gateway.store().clone();
    site.gateway = Site::start(store, 2, site.now);
    site.gateway.link_up(site.now);
    wait(&mut site, 30);
    assert_eq!(unseen(&site), 0);
    site.direct(Action::Install { manifest: digest });
    wait(&mut site, 30);
    assert_eq!(unseen(&site), 1);
    let store = site.gateway.store().clone();
    site.gateway = Site::start(store, 3, site.now);
    site.gateway.link_up(site.now);
    site.direct(Action::Install { manifest: digest });
    wait(&mut site, 30);
    assert_eq!(unseen(&site), 0, "not again");
    // One that reports is seen.
    let writes = site.gateway.mark_due(site.now);
    site.gateway.store.commit(writes).expect("commits");
    site.live(3);
    assert!(site.gateway.unseen.is_empty());
    assert!(site.gateway.store().scan("unseen/").expect("reads").is_empty());
}
