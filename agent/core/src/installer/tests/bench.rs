//! A modelled device with two slots and a boot loader, and one installer on a bench beside it. Every order is checked when it is
//! given.

use mdfm_shared::device::{FaultLevel, Order, PROTOCOL_VERSION, Refusal, StagedReport};
use mdfm_shared::fixture::manifest;
use mdfm_shared::telemetry::{FirmwareReport, InstallState, Severity};

use super::super::state::Phase;
pub(super) use super::super::step::MESSAGE_AGE_MS_MAX;
use super::super::*;

pub(super) const START_UTC: UtcMillis = UtcMillis(1_700_000_000_000);
pub(super) const DAY_MS: u64 = 86_400_000;
/// Reports come so often.
pub(super) const REPORT_MS: u64 = 500;

pub(super) fn firmware(n: u8) -> FirmwareReport {
    FirmwareReport {
        version: format!("2.{n}.0"),
        release_number: u64::from(n),
        security_version: u32::from(n),
        sha256: Digest([n; 32]),
    }
}

/// The release that brings `firmware(n)`.
pub(super) fn target(n: u8) -> Target {
    let mut manifest = manifest();
    manifest.version = format!("2.{n}.0");
    manifest.release_number = u64::from(n);
    manifest.security_version = u32::from(n);
    manifest.sha256 = firmware(n).sha256;
    manifest.components[0].sha256 = firmware(n).sha256;
    manifest.health.probation_ms = 3_000;
    manifest.health.silence_limit_ms = 6_000;
    Target {
        digest: Digest([100 + n; 32]),
        manifest,
        deployment: format!("D-{n}").parse().expect("a good id"),
        security_floor: 0,
        expires_at: START_UTC.plus_ms(30 * DAY_MS),
        windows: None,
        start_by: None,
        streams: false,
        withdrawn: None,
        is_confirmed: true,
    }
}

/// The same release, to be activated only between these offsets from the start.
pub(super) fn target_within(n: u8, spans_ms: &[(u64, u64)], finish: Finish) -> Target {
    let window = |&(opens, closes): &(u64, u64)| Window {
        opens_at: START_UTC.plus_ms(opens),
        closes_at: START_UTC.plus_ms(closes),
    };
    Target { windows: Some((spans_ms.iter().map(window).collect(), finish)), ..target(n) }
}

/// What is wrong with the new firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    NoBoot,
    WrongDigest,
    Insecure,
    Silent,
    Refuses,
}

/// A device with two slots and a boot loader that falls back when its tries are used up.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) permanent: FirmwareReport,
    pub(super) other: Option<(FirmwareReport, bool)>,
    /// Tries left of the other slot while it runs on trial.
    pub(super) trial: Option<u8>,
    pub(super) boots: u64,
    pub(super) in_use: bool,
    pub(super) flaw: Flaw,
    pub(super) last_order: u64,
    pub(super) refusal: Option<Refusal>,
    pub(super) silent: bool,
    pub(super) reboots_in_use: u32,
    /// Faults since the boot; `None` for a device of protocol version 1.
    pub(super) faults: Option<FaultLevel>,
}

impl Device {
    pub(super) fn new(flaw: Flaw) -> Self {
        Self {
            permanent: firmware(1),
            other: None,
            trial: None,
            boots: 1,
            in_use: false,
            flaw,
            last_order: 0,
            refusal: None,
            silent: false,
            reboots_in_use: 0,
            faults: None,
        }
    }
    pub(super) fn boot(&mut self) {
        self.boots += 1;
        self.faults = self.faults.as_ref().map(|_| FaultLevel::new(format!("boot {}", self.boots)));
        self.silent = false;
        self.refusal = None;
        if self.in_use {
            self.reboots_in_use += 1;
        }
        self.trial = match (self.trial, self.flaw) {
            (Some(0) | None, _) | (Some(_), Flaw::NoBoot) => None,
            (Some(tries), flaw) => {
                self.silent = flaw == Flaw::Silent;
                Some(tries - 1)
            }
        };
    }
    pub(super) fn running(&self) -> FirmwareReport {
        match (self.trial, &self.other) {
            (Some(_), Some((firmware, true))) if self.flaw == Flaw::WrongDigest => {
                FirmwareReport { sha256: Digest([99; 32]), ..firmware.clone() }
            }
            (Some(_), Some((firmware, true))) => firmware.clone(),
            _ => self.permanent.clone(),
        }
    }
    pub(super) fn report(&self) -> Option<Report> {
        let staged = self.other.as_ref().filter(|_| self.trial.is_none()).map(|(firmware, complete)| StagedReport {
            sha256: firmware.sha256,
            written_bytes: if *complete { 10 } else { 0 },
            complete: *complete,
        });
        (!self.silent).then(|| Report {
            model: "CardiacMonitor-X200".into(),
            serial: "SN-1".into(),
            hardware: "B".into(),
            boot_count: self.boots,
            running: self.running(),
            confirmed: self.trial.is_none(),
            secure_boot: self.trial.is_none() || self.flaw != Flaw::Insecure,
            in_use: self.in_use,
            staged,
            last_order: self.last_order,
            last_refusal: self.refusal.clone(),
            protocol: if self.faults.is_some() { PROTOCOL_VERSION } else { 1 },
            faults: self.faults.clone(),
        })
    }
    pub(super) fn refuse(&mut self, order: u64, code: &str) {
        self.refusal = Some(Refusal { order, code: code.into(), message: code.into() });
    }
    pub(super) fn stage(&mut self, firmware: FirmwareReport) {
        if self.trial.is_none() && firmware.sha256 != self.permanent.sha256 {
            self.other = Some((firmware, true));
        }
    }
    pub(super) fn obey(&mut self, number: u64, order: &Order) {
        if number == self.last_order {
            return;
        }
        self.last_order = number;
        self.refusal = None;
        let running = self.running().sha256;
        match order {
            Order::Activate { .. } | Order::Rollback { .. } if self.in_use => self.refuse(number, "inUse"),
            Order::Activate { .. } if self.flaw == Flaw::Refuses => self.refuse(number, "keyMissing"),
            Order::Activate { sha256 } if running != *sha256 => match &self.other {
                Some((staged, true)) if staged.sha256 == *sha256 && self.trial.is_none() => {
                    self.trial = Some(3);
                    self.boot();
                }
                _ => self.refuse(number, "notStaged"),
            },
            Order::Confirm { sha256 } if running == *sha256 => {
                if let (Some(_), Some((firmware, _))) = (self.trial, self.other.clone()) {
                    self.other = Some((std::mem::replace(&mut self.permanent, firmware), true));
                    self.trial = None;
                }
            }
            Order::Confirm { .. } => self.refuse(number, "wrongDigest"),
            Order::Rollback { sha256 } => {
                if self.permanent.sha256 == *sha256 {
                    if self.trial.take().is_some() {
                        self.boot();
                    }
                } else if let Some((back, true)) = self.other.clone().filter(|(f, _)| f.sha256 == *sha256) {
                    self.other = Some((std::mem::replace(&mut self.permanent, back), true));
                    self.boot();
                } else {
                    self.refuse(number, "notStaged");
                }
            }
            Order::Begin { .. } | Order::Finish { .. } | Order::Activate { .. } => {}
        }
    }
}

/// Where the process dies at its next write to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The record is lost with its effects.
    BeforeWrite,
    /// The record is durable, its effects are lost.
    AfterWrite,
}

/// One installer, its disk, its device and the line between them.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) installer: Installer,
    pub(super) disk: Journal,
    pub(super) device: Device,
    pub(super) now: Now,
    pub(super) boot: BootId,
    pub(super) orders: u64,
    pub(super) starts: u64,
    /// Whether orders and reports get through.
    pub(super) line: bool,
    pub(super) desired: Option<DesiredState>,
    pub(super) image_good: bool,
    pub(super) fetching: bool,
    /// Whether images come straight from the network.
    pub(super) streams: bool,
    /// The device found other bytes than announced, and says so next.
    pub(super) refusing: bool,
    /// The last image that was to be written.
    pub(super) staged: Option<Image>,
    pub(super) events: Vec<EventKind>,
    pub(super) activated_after_rollback: bool,
    /// Where the process dies next; `None` if it lives on.
    pub(super) cut: Option<Cut>,
}

impl Bench {
    pub(super) fn new(flaw: Flaw) -> Self {
        let now = Now { mono: MonotonicMs(1_000_000), utc: START_UTC };
        Self {
            installer: Installer::new(Journal::new(), [0; 16], now.mono, 1 << 24),
            disk: Journal::new(),
            device: Device::new(flaw),
            now,
            boot: [0; 16],
            orders: 0,
            starts: 1,
            line: true,
            desired: None,
            image_good: true,
            fetching: false,
            streams: false,
            staged: None,
            refusing: false,
            events: Vec::new(),
            activated_after_rollback: false,
            cut: None,
        }
    }

    pub(super) fn state(&self) -> InstallState {
        self.disk.state()
    }

    pub(super) fn input(&mut self, input: Input) {
        let before = self.installer.journal().clone();
        let outcome = self.installer.step(self.now, input);
        let cut = self.cut.take_if(|_| outcome.journal.is_some());
        if cut == Some(Cut::BeforeWrite) {
            return self.restart();
        }
        let mut disk = None;
        let effects = outcome
            .persist(|journal, events| {
                disk = journal.cloned();
                self.events.extend(events);
                Ok::<(), ()>(())
            })
            .expect("the disk of this bench does not fail");
        let wrote = disk.is_some();
        if let Some(journal) = disk {
            self.disk = journal;
        }
        assert!(
            wrote || before.phase == self.installer.journal().phase || is_restamp(&before, self.installer.journal())
        );
        if cut == Some(Cut::AfterWrite) {
            return self.restart();
        }
        for effect in effects {
            self.run(effect);
        }
    }

    pub(super) fn run(&mut self, effect: Effect) {
        match effect {
            Effect::FetchImage(_) => self.fetching = true,
            Effect::StageImage(image) => {
                self.staged = Some(image.clone());
                if image.streams && !self.image_good {
                    self.refusing = true;
                } else if self.line {
                    self.device.stage(image.firmware);
                }
            }
            Effect::StopStaging => {}
            Effect::Send(command) => {
                self.check(&command.what);
                self.orders += 1;
                if self.line {
                    self.device.obey(command.order, &command.what);
                }
            }
        }
    }

    /// What must be true of every order at the moment when it is given.
    pub(super) fn check(&mut self, order: &Order) {
        let journal = &self.disk;
        let plan = journal.plan.as_ref().expect("an order needs a plan");
        match order {
            Order::Activate { sha256 } => {
                assert!(!self.installer.is_in_use(), "invariant 2: activated in use");
                assert!(journal.held.is_none(), "activated while it is held on site");
                assert_eq!(*sha256, plan.image.firmware.sha256);
                assert!(
                    matches!(journal.phase, Phase::Activating { .. }),
                    "persisted before acting: {:?}",
                    journal.phase
                );
                let is_desired = match &self.desired {
                    Some(DesiredState::Install(target)) => target.may_begin(self.now.utc, 0),
                    _ => false,
                };
                assert!(is_desired, "activated outside every window, or without an order");
                self.activated_after_rollback |= journal.rolled_back.contains(&plan.manifest);
            }
            Order::Rollback { sha256 } => {
                assert!(!self.installer.is_in_use(), "invariant 2: rolled back in use");
                assert_eq!(*sha256, plan.fallback.sha256, "only to the last confirmed firmware");
                assert!(matches!(journal.phase, Phase::RollingBack { .. } | Phase::RollbackFailed));
            }
            Order::Confirm { sha256 } => {
                assert_eq!(*sha256, plan.image.firmware.sha256);
                assert!(matches!(journal.phase, Phase::Probation { .. }));
            }
            Order::Begin { .. } | Order::Finish { .. } => {}
        }
    }

    pub(super) fn ask(&mut self, mut desired: Option<DesiredState>) {
        if let Some(DesiredState::Install(target) | DesiredState::Hold(target)) = &mut desired {
            target.streams = self.streams;
        }
        self.desired.clone_from(&desired);
        self.input(Input::Desired(desired));
    }

    pub(super) fn report(&mut self) {
        if self.line
            && let Some(report) = self.device.report()
        {
            self.input(Input::Report(report));
        }
    }

    /// The device finds a fault: one of version 2 counts it, one of version 1 sends it, once.
    pub(super) fn fault(&mut self, severity: Severity) {
        let fault = Fault { severity, code: "E".into(), message: "test".into() };
        if let Some(level) = &mut self.device.faults {
            level.add(fault);
        } else if self.line {
            self.input(Input::Fault(fault));
        }
    }

    pub(super) fn fetched(&mut self) {
        if !std::mem::take(&mut self.fetching) {
            return;
        }
        let Some(sha256) = self.installer.needed_image() else { return };
        if self.image_good {
            self.input(Input::ImageReady(sha256));
        } else {
            self.input(Input::ImageRefused(sha256, "another digest".into()));
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.utc = self.now.utc.plus_ms(ms);
    }

    /// The process dies and starts again: memory is gone, the disk stays.
    pub(super) fn restart(&mut self) {
        self.starts += 1;
        self.installer = Installer::new(self.disk.clone(), self.boot, self.now.mono, self.starts << 24);
        self.fetching = false;
        for effect in self.installer.resume() {
            self.run(effect);
        }
        // The stored directive is given again at start.
        self.ask(self.desired.clone());
    }

    /// The gateway loses power: another boot, the monotonic clock starts anew.
    pub(super) fn reboot(&mut self) {
        self.boot[0] = self.boot[0].wrapping_add(1);
        self.now.mono = MonotonicMs(5_000);
        self.restart();
    }

    /// Lets time pass with reports, downloads and ticks.
    pub(super) fn live(&mut self, ms: u64) {
        for _ in 0..ms / REPORT_MS {
            self.pass(REPORT_MS);
            self.report();
            // The shell asks again for what is still needed.
            for effect in self.installer.resume() {
                self.run(effect);
            }
            self.fetched();
            if std::mem::take(&mut self.refusing) {
                let refusal = Refusal { order: 0, code: "wrongDigest".into(), message: "other bytes".into() };
                self.input(Input::StagingRefused(refusal));
            }
            self.input(Input::Tick);
        }
    }

    /// A bench with a device of protocol version 2.
    pub(super) fn version_2(flaw: Flaw) -> Self {
        let mut bench = Self::new(flaw);
        bench.device.faults = Some(FaultLevel::new("boot 1"));
        bench
    }

    /// Brings firmware 2 to probation.
    pub(super) fn on_trial(flaw: Flaw) -> Self {
        Self::new(flaw).into_trial()
    }

    /// Brings firmware 2 to probation on this bench.
    pub(super) fn into_trial(self) -> Self {
        let mut bench = self;
        bench.report();
        bench.ask(Some(DesiredState::Install(target(2))));
        for _ in 0..20 {
            if matches!(bench.state(), InstallState::Activating | InstallState::Probation | InstallState::Failed) {
                break;
            }
            bench.live(REPORT_MS);
        }
        bench
    }
}

/// That a clock stands still while the device must not be touched is the one change that need not be on disk.
pub(super) fn is_restamp(before: &Journal, after: &Journal) -> bool {
    matches!(
        (&before.phase, &after.phase),
        (Phase::RollingBack { .. }, Phase::RollingBack { .. }) | (Phase::Activating { .. }, Phase::Activating { .. })
    )
}
