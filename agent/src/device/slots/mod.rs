//! The adapter for devices whose images lie on the gateway itself: a pair of slots a component, files or block devices. It does for
//! them what `docs/device-protocol.md` asks of a device; `boot` is the boot loader's side.
//!
//! Image data is hashed on its way into the slot and never read back here; the boot side measures what it starts.

mod boot;
mod places;
mod record;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use mdfm_agent_core::gateway::Malformed;
use mdfm_shared::device::{
    Command, ComponentImage, FaultCounts, FaultLevel, NumberedFault, Order, PROTOCOL_VERSION, Refusal, Report,
    StagedReport, WRONG_DIGEST,
};
use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::FirmwareReport;
use serde::Deserialize;

use super::local::{Attached, Said};
use crate::disk::{self, DiskHandle, Open};
use crate::image::Files;

pub(crate) use boot::boot;
pub(crate) use places::{SlotDevices, SlotProblem, problems as slot_problems};
pub(crate) use record::Slot;
use record::{Content, Record, RecordFile};
use writer::Writer;

/// Boots that new firmware gets on trial.
const TRIES: u8 = 3;
/// What the device's side says of itself.
const STATUS: &str = "status.json";
const STATUS_BYTES_MAX: u64 = 16 * 1024;
/// Faults taken from one status.
const FAULTS_MAX: usize = 64;
/// Name of the component of a device with one.
const ONLY: &str = "main";

/// A pair of slots.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    /// The component's name, as the manifest says.
    #[serde(default = "only")]
    pub(crate) name: String,
    /// File or block device.
    pub(crate) a: PathBuf,
    /// File or block device.
    pub(crate) b: PathBuf,
}

fn only() -> String {
    ONLY.into()
}

impl Pair {
    pub(crate) fn path(&self, slot: Slot) -> &Path {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }
}

/// A device whose slots lie on the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotsConfig {
    /// Directory of the boot record and of the device's status.
    pub(crate) dir: PathBuf,
    pub(crate) model: String,
    pub(crate) serial: String,
    pub(crate) hardware: String,
    /// Slots of each component, in any order.
    pub(crate) pair: Vec<Pair>,
    /// Program and arguments that make the device boot what `mdfm-agent boot-slot` then says.
    pub(crate) reboot: Vec<String>,
    /// What slot A holds before the first update.
    #[serde(default)]
    pub(crate) factory: Factory,
}

/// The firmware that the device came with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Factory {
    pub(crate) version: String,
    pub(crate) release_number: u64,
    pub(crate) security_version: u32,
}

impl Default for Factory {
    fn default() -> Self {
        Self { version: "factory".into(), release_number: 0, security_version: 0 }
    }
}

impl SlotsConfig {
    /// The pair of a component.
    fn pair(&self, name: &str) -> Option<&Pair> {
        match self.pair.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|p| p.name == name),
        }
    }
}

/// What the device's side writes into `status.json`, whole, at least every second.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// Of the boot that it is about.
    boot_count: u64,
    /// Grows with each writing: the sign of life.
    beat: u64,
    in_use: bool,
    /// Whether whatever started the device vouches for what it started.
    #[serde(default = "yes")]
    secure_boot: bool,
    /// The latest faults of the boot.
    #[serde(default)]
    faults: Vec<NumberedFault>,
    /// All of them by severity; `None` from a device's side that speaks version 1.
    #[serde(default)]
    fault_counts: Option<FaultCounts>,
}

impl Status {
    /// The faults as a level. The boot record counts boots, which tells them apart.
    fn fault_level(&self) -> Option<FaultLevel> {
        let counts = self.fault_counts?;
        let level = FaultLevel { counts, ..FaultLevel::new(format!("boot {}", self.boot_count)) };
        Some(level.with_latest(self.faults.clone()))
    }
}

fn yes() -> bool {
    true
}

/// Makes the device boot.
pub(crate) trait Reboot: Send {
    /// Begins it.
    ///
    /// # Errors
    /// It did not begin; the device goes on as it was.
    fn reboot(&mut self) -> io::Result<()>;
}

/// The device's side of the protocol.
pub(crate) struct SlotsDevice<R> {
    disk: DiskHandle,
    config: SlotsConfig,
    /// This device and the others of the gateway whose slots lie on it: no slot is written to that is another's too.
    all: SlotDevices,
    /// What keeps its slots from being written to, and is not reported yet.
    problem: Option<String>,
    file: RecordFile,
    record: Record,
    writer: Option<Writer>,
    reboot: R,
    status: Option<Status>,
    /// Boot and number of the last fault reported.
    fault_seen: (u64, u64),
    /// The last report, to send the next only when something changed or lives.
    reported: Option<(u64, Report)>,
    malformed: bool,
}

impl<R: Reboot> SlotsDevice<R> {
    /// Takes up the slots as they are; the first time, measures what the factory put into slot A.
    pub(crate) fn open(disk: &DiskHandle, config: SlotsConfig, all: SlotDevices, reboot: R) -> io::Result<Self> {
        let file = RecordFile::new(disk, &config.dir)?;
        let record = match file.read()? {
            Some(record) => record,
            None => {
                let content = boot::measure_factory(disk, &config)?;
                file.change(|held| {
                    let record = held.unwrap_or_else(|| Record::factory(content));
                    Ok((record.clone(), record))
                })?
            }
        };
        let fault_seen = record.fault_seen;
        let mut device = Self {
            disk: disk.clone(),
            problem: places::why_not(disk, &all, &config.dir),
            config,
            all,
            file,
            record,
            writer: None,
            reboot,
            status: None,
            fault_seen,
            reported: None,
            malformed: false,
        };
        device.take_up()?;
        Ok(device)
    }

    /// Goes on with a half-written slot.
    fn take_up(&mut self) -> io::Result<()> {
        self.writer = None;
        let slot = self.record.booted.other();
        if let Some(content) = self.record.content(slot).filter(|c| !c.complete).cloned() {
            match Writer::resume(&self.disk, &self.config, &self.all, slot, &content)? {
                Ok(writer) => self.writer = writer,
                // The device is served all the same; the order that begins the slot again is refused with this reason.
                Err((_, reason)) => self.problem = Some(reason),
            }
        }
        Ok(())
    }

    /// Changes the record on disk and here.
    fn change(&mut self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        self.record = self.file.change(|held| {
            let mut record = held.ok_or_else(|| io::Error::other("the boot record is gone"))?;
            change(&mut record);
            Ok((record.clone(), record))
        })?;
        Ok(())
    }

    fn refuse(&mut self, order: u64, code: &str, message: impl Into<String>) -> io::Result<()> {
        let refusal = Refusal { order, code: code.into(), message: message.into() };
        self.change(|r| {
            r.last_order = order;
            r.last_refusal = Some(refusal);
        })
    }

    fn obeyed(&mut self, order: u64) -> io::Result<()> {
        self.change(|r| {
            r.last_order = order;
            r.last_refusal = None;
        })
    }

    fn is_in_use(&self) -> bool {
        self.status.as_ref().is_some_and(|s| s.in_use)
    }

    fn begin(&mut self, n: u64, firmware: FirmwareReport, components: Vec<ComponentImage>) -> io::Result<()> {
        if !self.record.is_confirmed() {
            return self.refuse(n, "onTrial", "the other slot is the way back");
        }
        let slot = self.record.booted.other();
        let held = self.record.content(slot);
        let is_held = held.is_some_and(|c| c.firmware == firmware && c.components == components);
        if is_held && (self.writer.is_some() || held.is_some_and(|c| c.complete)) {
            return self.obeyed(n);
        }
        if firmware.sha256 == self.record.measured {
            return self.obeyed(n);
        }
        let content = Content { firmware, components, complete: false, progress: None };
        let writer = match Writer::begin(&self.disk, &self.config, &self.all, slot, &content)? {
            Ok(writer) => writer,
            Err((code, message)) => return self.refuse(n, code, message),
        };
        // From here on the slot is not bootable, and only then it is written to.
        self.writer = None;
        self.change(|r| {
            *r.content_mut(slot) = Some(content);
            r.trial = None;
            r.last_order = n;
            r.last_refusal = None;
        })?;
        self.writer = Some(writer);
        Ok(())
    }

    fn finish(&mut self, n: u64, sha256: Digest) -> io::Result<()> {
        let slot = self.record.booted.other();
        if self.record.content(slot).is_some_and(|c| c.complete && c.firmware.sha256 == sha256) {
            return self.obeyed(n);
        }
        let announced = self.record.content(slot).is_some_and(|c| c.firmware.sha256 == sha256);
        let right = match self.writer.take().filter(|_| announced) {
            Some(writer) => writer.finish()?,
            None => Err("nothing of it was announced or written".into()),
        };
        match right {
            Ok(()) => self.change(|r| {
                if let Some(content) = r.content_mut(slot) {
                    content.complete = true;
                    content.progress = None;
                }
                r.last_order = n;
                r.last_refusal = None;
            }),
            Err(problem) => {
                let refusal = Refusal { order: n, code: WRONG_DIGEST.into(), message: problem };
                self.change(|r| {
                    *r.content_mut(slot) = None;
                    r.last_order = n;
                    r.last_refusal = Some(refusal);
                })
            }
        }
    }

    fn activate(&mut self, n: u64, sha256: Digest) -> io::Result<()> {
        if self.record.measured == sha256 {
            return self.obeyed(n);
        }
        let slot = self.record.booted.other();
        let complete = self.record.content(slot).is_some_and(|c| c.complete && c.firmware.sha256 == sha256);
        if !complete || !self.record.is_confirmed() {
            return self.refuse(n, "notStaged", "the slot holds no such firmware");
        }
        self.change(|r| {
            r.trial = Some(TRIES);
            r.last_order = n;
            r.last_refusal = None;
        })?;
        if let Err(error) = self.reboot.reboot() {
            self.change(|r| r.trial = None)?;
            return self.refuse(n, "rebootFailed", error.to_string());
        }
        Ok(())
    }

    fn roll_back(&mut self, n: u64, sha256: Digest) -> io::Result<()> {
        let Some(slot) = self.record.find(sha256) else {
            return self.refuse(n, "notStaged", "no slot holds that firmware");
        };
        self.change(|r| {
            r.active = slot;
            r.trial = None;
            r.last_order = n;
            r.last_refusal = None;
        })?;
        if slot != self.record.booted
            && let Err(error) = self.reboot.reboot()
        {
            return self.refuse(n, "rebootFailed", error.to_string());
        }
        Ok(())
    }

    fn report(&self, status: &Status) -> Report {
        let (slot, other) = (self.record.booted, self.record.booted.other());
        let running = self.record.content(slot).map(|c| c.firmware.clone());
        let announced = running.as_ref().map(|f| f.sha256);
        let running = FirmwareReport {
            sha256: self.record.measured,
            ..running.unwrap_or(FirmwareReport {
                version: "unknown".into(),
                release_number: 0,
                security_version: 0,
                sha256: self.record.measured,
            })
        };
        let staged = self.record.content(other).map(|c| StagedReport {
            sha256: c.firmware.sha256,
            written_bytes: match &self.writer {
                _ if c.complete => c.size_bytes(),
                Some(writer) => writer.durable_bytes(),
                None => 0,
            },
            complete: c.complete,
        });
        Report {
            model: self.config.model.clone(),
            serial: self.config.serial.clone(),
            hardware: self.config.hardware.clone(),
            boot_count: self.record.boot_count,
            running,
            confirmed: self.record.is_confirmed(),
            secure_boot: status.secure_boot && announced == Some(self.record.measured),
            in_use: status.in_use,
            staged,
            last_order: self.record.last_order,
            last_refusal: self.record.last_refusal.clone(),
            protocol: if status.fault_counts.is_some() { PROTOCOL_VERSION } else { 1 },
            faults: status.fault_level(),
        }
    }

    /// What the device's side wrote since the last time.
    fn read_status(&mut self, said: &mut Vec<Said>) -> io::Result<()> {
        let path = self.config.dir.join(STATUS);
        let status = match disk::read_small(&*self.disk, &path, STATUS_BYTES_MAX) {
            Ok(None) => return Ok(()),
            Ok(Some(bytes)) => serde_json::from_slice::<Status>(&bytes).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match status {
            Ok(status) => {
                self.malformed = false;
                // With counters the report holds them.
                let events = if status.fault_counts.is_some() { 0 } else { FAULTS_MAX };
                for NumberedFault { number, fault } in status.faults.iter().take(events) {
                    let id = (status.boot_count, *number);
                    if status.boot_count == self.record.boot_count && id > self.fault_seen {
                        self.fault_seen = id;
                        said.push(Said::Fault(fault.clone().into()));
                    }
                }
                self.status = Some(status);
            }
            // Said once; the last good status goes stale by itself.
            Err(problem) if !self.malformed => {
                self.malformed = true;
                said.push(Said::Malformed(Malformed::with(
                    "the status file is not valid",
                    format!("{}: {problem}", path.display()),
                )));
            }
            Err(_) => {}
        }
        Ok(())
    }
}

impl<R: Reboot> Attached for SlotsDevice<R> {
    fn order(&mut self, command: &Command) -> io::Result<()> {
        if let Some(record) = self.file.read()? {
            self.record = record;
        }
        let n = command.order;
        if n == self.record.last_order {
            return Ok(());
        }
        self.read_status(&mut Vec::new())?;
        let reboots = matches!(command.what, Order::Activate { .. } | Order::Rollback { .. });
        if reboots && self.is_in_use() {
            return self.refuse(n, "inUse", "the device is in use");
        }
        match command.what.clone() {
            Order::Begin { firmware, size_bytes, components } => {
                let only = || vec![ComponentImage { name: ONLY.into(), sha256: firmware.sha256, size_bytes }];
                let components = if components.is_empty() { only() } else { components };
                if components.iter().try_fold(0_u64, |sum, c| sum.checked_add(c.size_bytes)) != Some(size_bytes) {
                    return self.refuse(n, "malformed", "the components are not as long as the firmware");
                }
                self.begin(n, firmware, components)
            }
            Order::Finish { sha256 } => self.finish(n, sha256),
            Order::Activate { sha256 } => self.activate(n, sha256),
            Order::Confirm { sha256 } if sha256 == self.record.measured => self.change(|r| {
                r.active = r.booted;
                r.trial = None;
                r.last_order = n;
                r.last_refusal = None;
            }),
            Order::Confirm { .. } => self.refuse(n, WRONG_DIGEST, "that is not what runs"),
            Order::Rollback { sha256 } => self.roll_back(n, sha256),
        }
    }

    fn chunk(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if writer.write(offset, data)? {
            self.save_progress()?;
        }
        Ok(())
    }

    fn idle(&mut self) -> io::Result<()> {
        match &self.writer {
            Some(writer) if !writer.is_durable() => self.save_progress(),
            _ => Ok(()),
        }
    }

    fn poll(&mut self) -> io::Result<Vec<Said>> {
        let mut said = Vec::new();
        if let Some(problem) = self.problem.take() {
            said.push(Said::Malformed(Malformed::with("its slots cannot be written to", problem)));
        }
        if let Some(record) = self.file.read()?
            && record != self.record
        {
            let booted = record.boot_count != self.record.boot_count;
            self.record = record;
            if booted {
                self.take_up()?;
            }
        }
        // Noted at the look after the one that told of them: a power cut between brings a fault again rather than never.
        if self.fault_seen != self.record.fault_seen {
            let seen = self.fault_seen;
            self.change(|r| r.fault_seen = seen)?;
        }
        self.read_status(&mut said)?;
        // A status of another boot says nothing of this one.
        if let Some(status) = self.status.as_ref().filter(|s| s.boot_count == self.record.boot_count) {
            let report = (status.beat, self.report(status));
            if self.reported.as_ref() != Some(&report) {
                said.insert(0, Said::Report(Box::new(report.1.clone())));
                self.reported = Some(report);
            }
        }
        Ok(said)
    }
}

impl<R> SlotsDevice<R> {
    /// Makes what was written durable and notes where to go on.
    fn save_progress(&mut self) -> io::Result<()>
    where
        R: Reboot,
    {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let progress = writer.sync()?;
        let slot = self.record.booted.other();
        self.change(|r| {
            if let Some(content) = r.content_mut(slot).as_mut().filter(|c| !c.complete) {
                content.progress = Some(progress);
            }
        })
    }
}

/// What the last boot measured of what it started.
#[cfg(test)]
pub(crate) fn measured(disk: &DiskHandle, config: &SlotsConfig) -> Option<mdfm_shared::digest::Digest> {
    RecordFile::new(disk, &config.dir).and_then(|f| f.read()).ok()?.map(|r| r.measured)
}

/// The files that a device runs, if they are this firmware: they are not written to as long as it runs them.
pub(crate) fn running_files(disk: &DiskHandle, config: &SlotsConfig, sha256: Digest) -> io::Result<Option<Files>> {
    let Some(record) = RecordFile::new(disk, &config.dir)?.read()? else { return Ok(None) };
    let slot = record.booted;
    let runs = |c: &&Content| c.complete && c.firmware.sha256 == sha256 && record.measured == sha256;
    let Some(content) = record.content(slot).filter(runs) else { return Ok(None) };
    let mut files = Vec::new();
    for component in &content.components {
        let Some(pair) = config.pair(&component.name) else { return Ok(None) };
        files.push((open(disk, pair.path(slot), Open::ReadOnly)?, component.size_bytes));
    }
    Ok(Some(Files(files)))
}

/// Opens a slot to be written: a file is made if it is not there, a device that is not there is an error.
fn open_slot(disk: &DiskHandle, path: &Path) -> io::Result<Box<dyn disk::DiskFile>> {
    let how = if path.starts_with("/dev") { Open::Existing } else { Open::Create };
    open(disk, path, how)
}

/// Code of the refusal when a slot cannot be written to as it is configured.
const SLOT_UNUSABLE: &str = "slotUnusable";

/// Whether an error at the opening of a slot stays until somebody changes the configuration, or the machine.
fn is_lasting(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(
        error.kind(),
        InvalidInput | IsADirectory | NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem
    )
}

fn open(disk: &DiskHandle, path: &Path, how: Open) -> io::Result<Box<dyn disk::DiskFile>> {
    let what = |e: io::Error| io::Error::new(e.kind(), format!("slot {}: {e}", path.display()));
    disk.open(path, how).map_err(what)
}

/// A boot record with these bytes in it.
#[cfg(fuzzing)]
pub(super) fn fuzz_record(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Record>(bytes);
}

/// A status file with these bytes in it.
#[cfg(fuzzing)]
pub(super) fn fuzz_status(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Status>(bytes);
}
