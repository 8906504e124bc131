//! A device of the world: a boot loader, two slots, a patient now and then. It follows `docs/device-protocol.md`.

use mdfm_shared::device::{
    Command, Fault, FaultLevel, FaultMessage, Order, PROTOCOL_VERSION, Refusal, Report, StagedReport,
};
use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::{FirmwareReport, Severity};

use super::scenario::Flaw;

/// Boots that firmware on trial gets before the boot loader returns.
const TRIAL_BOOTS: u8 = 3;
/// From the boot of flawed firmware to its first fault.
const FAULT_MS: u64 = 5_000;
const LATE_FAULT_MS: u64 = 90_000;

/// Model of every device of the world.
pub(super) const MODEL: &str = "CardiacMonitor-X200";
/// Hardware revision of every device of the world.
pub(super) const HARDWARE: &str = "B";

#[derive(Debug, Clone)]
pub(super) struct Device {
    /// As on its label.
    pub(super) serial: String,
    /// What is started when nothing is on trial.
    pub(super) permanent: FirmwareReport,
    /// The other slot, and whether it is whole and verified.
    other: Option<(FirmwareReport, bool)>,
    /// Boots left of the other slot while it is on trial.
    trial: Option<u8>,
    boots: u64,
    pub(super) in_use: bool,
    last_order: u64,
    refusal: Option<Refusal>,
    silent: bool,
    /// Up again at this time.
    pub(super) booting_until_ms: u64,
    /// When the running firmware was started.
    booted_at_ms: u64,
    faulted: bool,
    /// Faults since the boot; `None` for a device of protocol version 1, which sends each as an event, once.
    faults: Option<FaultLevel>,
    /// When it found its latest fault.
    pub(super) fault_at_ms: u64,
    /// Faults that it found so far.
    pub(super) faults_found: u64,
    boot_ms: u64,
    /// Commands that rebooted it while it was in use: there must never be one.
    pub(super) reboots_in_use: u32,
}

/// What an order did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obeyed {
    /// It began to boot the slot with this image on trial.
    Activated(Digest),
    /// It began to boot the way back.
    WentBack,
    /// Anything else.
    Stayed,
}

impl Device {
    pub(super) fn new(serial: &str, factory: FirmwareReport, boot_ms: u64, protocol: u32) -> Self {
        Self {
            serial: serial.to_owned(),
            permanent: factory,
            other: None,
            trial: None,
            boots: 1,
            in_use: false,
            last_order: 0,
            refusal: None,
            silent: false,
            booting_until_ms: 0,
            booted_at_ms: 0,
            faulted: false,
            faults: (protocol == PROTOCOL_VERSION).then(|| FaultLevel::new(format!("{serial} boot 1"))),
            fault_at_ms: 0,
            faults_found: 0,
            boot_ms,
            reboots_in_use: 0,
        }
    }

    /// Somebody writes other firmware into the permanent slot by hand, and boots it.
    pub(super) fn flash(&mut self, now_ms: u64, firmware: FirmwareReport, flaws: &dyn Fn(Digest) -> Option<Flaw>) {
        (self.permanent, self.other, self.trial) = (firmware, None, None);
        self.boot(now_ms, flaws);
    }

    /// Boots so far.
    pub(super) fn boots(&self) -> u64 {
        self.boots
    }

    /// When the running firmware was started.
    pub(super) fn booted_at_ms(&self) -> u64 {
        self.booted_at_ms
    }

    /// A device like a new one, which boots as fast as this.
    pub(super) fn another(&self, serial: &str, factory: FirmwareReport, now_ms: u64) -> Self {
        let booting_until_ms = now_ms + self.boot_ms;
        let protocol = if self.faults.is_some() { PROTOCOL_VERSION } else { 1 };
        Self {
            booting_until_ms,
            booted_at_ms: booting_until_ms,
            // The log counts what was found in this place.
            faults_found: self.faults_found,
            ..Self::new(serial, factory, self.boot_ms, protocol)
        }
    }

    fn flaw(&self, flaws: &dyn Fn(Digest) -> Option<Flaw>) -> Option<Flaw> {
        flaws(self.slot().sha256)
    }

    /// The firmware in the slot that runs, as it was written.
    fn slot(&self) -> &FirmwareReport {
        match (&self.trial, &self.other) {
            (Some(_), Some((firmware, true))) => firmware,
            _ => &self.permanent,
        }
    }

    /// Boots; the boot loader decides what.
    pub(super) fn boot(&mut self, now_ms: u64, flaws: &dyn Fn(Digest) -> Option<Flaw>) {
        self.boots += 1;
        self.silent = false;
        self.refusal = None;
        self.faulted = false;
        self.faults = self.faults.as_ref().map(|_| FaultLevel::new(format!("{} boot {}", self.serial, self.boots)));
        self.booting_until_ms = now_ms + self.boot_ms;
        self.booted_at_ms = self.booting_until_ms;
        match self.trial {
            Some(0) => self.trial = None,
            Some(tries) => {
                self.trial = Some(tries - 1);
                match self.flaw(flaws) {
                    Some(Flaw::NoBoot) => self.trial = None,
                    Some(Flaw::Silent) => self.silent = true,
                    _ => {}
                }
            }
            None => {}
        }
    }

    /// What the boot loader measures of what runs.
    pub(super) fn running(&self, flaws: &dyn Fn(Digest) -> Option<Flaw>) -> FirmwareReport {
        let slot = self.slot().clone();
        if self.trial.is_some() && self.flaw(flaws) == Some(Flaw::WrongDigest) {
            return FirmwareReport { sha256: Digest([0xEE; 32]), ..slot };
        }
        slot
    }

    /// Its whole state, if it says anything.
    pub(super) fn report(&self, now_ms: u64, flaws: &dyn Fn(Digest) -> Option<Flaw>) -> Option<Report> {
        if self.silent || now_ms < self.booting_until_ms {
            return None;
        }
        let staged = self.other.as_ref().filter(|_| self.trial.is_none()).map(|(firmware, complete)| StagedReport {
            sha256: firmware.sha256,
            written_bytes: u64::from(*complete) * 10,
            complete: *complete,
        });
        Some(Report {
            model: MODEL.into(),
            serial: self.serial.clone(),
            hardware: HARDWARE.into(),
            boot_count: self.boots,
            running: self.running(flaws),
            confirmed: self.trial.is_none(),
            secure_boot: self.trial.is_none() || self.flaw(flaws) != Some(Flaw::Insecure),
            in_use: self.in_use,
            staged,
            last_order: self.last_order,
            last_refusal: self.refusal.clone(),
            protocol: if self.faults.is_some() { PROTOCOL_VERSION } else { 1 },
            faults: self.faults.clone(),
        })
    }

    /// Its faults since the boot; `None` for a device of protocol version 1.
    pub(super) fn fault_level(&self) -> Option<&FaultLevel> {
        self.faults.as_ref()
    }

    /// Takes down a fault; returns the event that says it.
    pub(super) fn note(&mut self, now_ms: u64, fault: Fault) -> FaultMessage {
        self.fault_at_ms = now_ms;
        self.faults_found += 1;
        let number = self.faults.as_mut().map(|level| level.add(fault.clone()));
        FaultMessage { fault, number }
    }

    /// A fault of flawed firmware, once it is due.
    pub(super) fn fault(&mut self, now_ms: u64, flaws: &dyn Fn(Digest) -> Option<Flaw>) -> Option<Fault> {
        let (severity, after_ms) = match self.flaw(flaws)? {
            Flaw::Error => (Severity::Error, FAULT_MS),
            Flaw::Critical => (Severity::Critical, FAULT_MS),
            Flaw::LateError => (Severity::Error, LATE_FAULT_MS),
            Flaw::NoBoot | Flaw::WrongDigest | Flaw::Insecure | Flaw::Silent => return None,
        };
        if self.faulted || now_ms < self.booted_at_ms + after_ms {
            return None;
        }
        self.faulted = true;
        Some(Fault { severity, code: "ECG-17".into(), message: "lead off detection".into() })
    }

    /// The image was written into the inactive slot.
    pub(super) fn staged(&mut self, firmware: FirmwareReport) {
        if self.trial.is_none() && firmware.sha256 != self.permanent.sha256 {
            self.other = Some((firmware, true));
        }
    }

    fn refuse(&mut self, order: u64, code: &str) {
        self.refusal = Some(Refusal { order, code: code.into(), message: code.into() });
    }

    pub(super) fn obey(&mut self, now_ms: u64, command: &Command, flaws: &dyn Fn(Digest) -> Option<Flaw>) -> Obeyed {
        if command.order <= self.last_order || now_ms < self.booting_until_ms {
            return Obeyed::Stayed;
        }
        self.last_order = command.order;
        self.refusal = None;
        let running = self.running(flaws).sha256;
        match &command.what {
            Order::Activate { .. } | Order::Rollback { .. } if self.in_use => self.refuse(command.order, "inUse"),
            Order::Activate { sha256 } if running != *sha256 => match &self.other {
                Some((staged, true)) if staged.sha256 == *sha256 && self.trial.is_none() => {
                    self.trial = Some(TRIAL_BOOTS);
                    self.boot(now_ms, flaws);
                    self.reboots_in_use += u32::from(self.in_use);
                    return Obeyed::Activated(*sha256);
                }
                _ => self.refuse(command.order, "notStaged"),
            },
            Order::Confirm { sha256 } if running == *sha256 => {
                if let (Some(_), Some((firmware, _))) = (self.trial, self.other.clone()) {
                    self.other = Some((std::mem::replace(&mut self.permanent, firmware), true));
                    self.trial = None;
                }
            }
            Order::Confirm { .. } => self.refuse(command.order, "wrongDigest"),
            Order::Rollback { sha256 } => {
                if self.permanent.sha256 == *sha256 {
                    if self.trial.take().is_some() {
                        self.boot(now_ms, flaws);
                        return Obeyed::WentBack;
                    }
                } else if let Some((back, true)) = self.other.clone().filter(|(f, _)| f.sha256 == *sha256) {
                    self.other = Some((std::mem::replace(&mut self.permanent, back), true));
                    self.boot(now_ms, flaws);
                    return Obeyed::WentBack;
                } else {
                    self.refuse(command.order, "notStaged");
                }
            }
            Order::Begin { .. } | Order::Finish { .. } | Order::Activate { .. } => {}
        }
        Obeyed::Stayed
    }

    /// Whether it is on trial.
    pub(super) fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }
}
