//! The device's flash: two slots, a boot record and a boot loader. The boot record is replaced atomically; a slot is bootable
//! only after its whole content was verified.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use mdfm_shared::device::{ComponentImage, StagedReport};
use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::FirmwareReport;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::faults::{Kind, Script};
use super::firmware::{Factory, Running};

/// Boots of an unconfirmed slot before the boot loader returns to the other.
const TRIES: u8 = 3;
/// Image data is made durable, and reported so, in steps of this size.
const SYNC_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Slot {
    A,
    B,
}

impl Slot {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
    fn file(self) -> &'static str {
        match self {
            Self::A => "slot-a",
            Self::B => "slot-b",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Content {
    firmware: FirmwareReport,
    size_bytes: u64,
    /// The images in it, one behind the other, if there are several.
    components: Vec<ComponentImage>,
    /// Whether the whole content was verified against the digest.
    complete: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct BootRecord {
    active: Slot,
    /// What the last boot started.
    booted: Slot,
    /// Boots left for the other slot, while it is on trial.
    trial: Option<u8>,
    boot_count: u64,
    /// Number of the latest order handled; saved with what the order changes.
    last_order: u64,
    a: Option<Content>,
    b: Option<Content>,
    /// Indices of one-time faults that have happened.
    spent: Vec<usize>,
}

impl BootRecord {
    fn content(&mut self, slot: Slot) -> &mut Option<Content> {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }
}

/// The slot being written.
pub(crate) struct Staged {
    pub(crate) firmware: FirmwareReport,
    pub(crate) written_bytes: u64,
    durable_bytes: u64,
    size_bytes: u64,
    complete: bool,
    file: File,
    hash: Sha256,
}

impl Staged {
    pub(crate) fn report(&self) -> StagedReport {
        StagedReport { sha256: self.firmware.sha256, written_bytes: self.durable_bytes, complete: self.complete }
    }
}

/// The device's disk.
pub(crate) struct Flash {
    dir: PathBuf,
    record: BootRecord,
    running: Slot,
    staged: Option<Staged>,
}

fn save(dir: &Path, record: &BootRecord) -> io::Result<()> {
    let temporary = dir.join("boot.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join("boot.json"))?;
    File::open(dir)?.sync_all()
}

impl Flash {
    /// Opens the flash; a new one holds the factory's firmware.
    pub(crate) fn open(dir: &Path, factory: &Factory) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let record = match fs::read(dir.join("boot.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut slot = File::create(dir.join(Slot::A.file()))?;
                slot.write_all(&factory.image)?;
                slot.sync_all()?;
                let size_bytes = factory.image.len() as u64;
                let firmware = factory.report.clone();
                let content = Content { firmware, size_bytes, components: Vec::new(), complete: true };
                let record = BootRecord {
                    active: Slot::A,
                    booted: Slot::A,
                    trial: None,
                    boot_count: 0,
                    last_order: 0,
                    a: Some(content),
                    b: None,
                    spent: Vec::new(),
                };
                save(dir, &record)?;
                record
            }
            Err(error) => return Err(error),
        };
        let running = record.active;
        Ok(Self { dir: dir.to_owned(), record, running, staged: None })
    }

    /// The boot loader: tries the slot on trial while it has tries, otherwise starts the active one.
    pub(crate) fn boot(&mut self, script: &Script) -> io::Result<Running> {
        self.record.boot_count += 1;
        self.staged = None;
        let active = self.record.active;
        self.running = active;
        if let Some(tries) = self.record.trial {
            self.record.trial = tries.checked_sub(1);
            if self.record.trial.is_some() {
                self.running = active.other();
            }
        }
        self.record.booted = self.running;
        save(&self.dir, &self.record)?;
        if let Some(running) = self.start(script)? {
            self.reopen()?;
            return Ok(running);
        }
        tracing::info!("the slot on trial does not boot; back to the active one");
        self.record.trial = None;
        self.record.booted = active;
        self.running = active;
        save(&self.dir, &self.record)?;
        self.reopen()?;
        self.start(script)?.ok_or_else(|| io::Error::other("the active slot does not boot: bricked"))
    }

    /// Takes up what the last boot started, without another boot; the first time, boots.
    pub(crate) fn resume(&mut self, script: &Script) -> io::Result<Running> {
        if self.record.boot_count == 0 {
            return self.boot(script);
        }
        self.running = self.record.booted;
        self.reopen()?;
        self.start(script)?.ok_or_else(|| io::Error::other("what runs is not what was booted"))
    }

    /// Makes what was written of the slot durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let Some(staged) = &mut self.staged {
            staged.file.sync_data()?;
            staged.durable_bytes = staged.written_bytes;
        }
        Ok(())
    }

    /// Measures the slot and starts it, unless its content or its script says that it cannot.
    fn start(&mut self, script: &Script) -> io::Result<Option<Running>> {
        let slot = self.running;
        let Some(content) = self.record.content(slot).clone().filter(|c| c.complete) else { return Ok(None) };
        let measured = digest_of(&self.dir.join(slot.file()))?;
        let has = |kind| script.on(&content.firmware.version).any(|f| f.kind == kind);
        if measured != content.firmware.sha256 || has(Kind::NoBoot) {
            return Ok(None);
        }
        let mut report = content.firmware.clone();
        if has(Kind::WrongDigest) {
            report.sha256 = Digest::of(b"tampered");
        }
        Ok(Some(Running { report, secure_boot: true }))
    }

    /// Takes up a half-written inactive slot.
    fn reopen(&mut self) -> io::Result<()> {
        let slot = self.running.other();
        let Some(content) = self.record.content(slot).clone() else { return Ok(()) };
        let path = self.dir.join(slot.file());
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut hash = Sha256::new();
        let written_bytes = io::copy(&mut file, &mut HashWriter(&mut hash))?;
        self.staged = Some(Staged {
            firmware: content.firmware,
            written_bytes,
            durable_bytes: written_bytes,
            size_bytes: content.size_bytes,
            complete: content.complete,
            file,
            hash,
        });
        Ok(())
    }

    pub(crate) fn boot_count(&self) -> u64 {
        self.record.boot_count
    }
    pub(crate) fn last_order(&self) -> u64 {
        self.record.last_order
    }
    /// Notes the order that is handled now. If it changes the boot record the two are saved together; if it does not, losing
    /// the number only brings the order again.
    pub(crate) fn handle(&mut self, order: u64) {
        self.record.last_order = order;
    }
    /// Whether what runs is permanent.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.running == self.record.active
    }
    pub(crate) fn staged(&self) -> Option<&Staged> {
        self.staged.as_ref()
    }

    /// Prepares the inactive slot, keeping what is there of the same image.
    pub(crate) fn begin(
        &mut self,
        firmware: FirmwareReport,
        size_bytes: u64,
        components: Vec<ComponentImage>,
    ) -> io::Result<()> {
        if self.staged.as_ref().is_some_and(|s| s.firmware == firmware && s.size_bytes == size_bytes) {
            return Ok(());
        }
        let slot = self.running.other();
        *self.record.content(slot) = Some(Content { firmware, size_bytes, components, complete: false });
        self.record.trial = None;
        save(&self.dir, &self.record)?;
        File::create(self.dir.join(slot.file()))?.sync_all()?;
        self.reopen()
    }

    /// Writes the part of the data that goes on where the slot ends; what comes again is passed over, anything else dropped.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(staged) = &mut self.staged else { return Ok(()) };
        let known = staged.written_bytes.checked_sub(offset).and_then(|n| usize::try_from(n).ok());
        let Some(data) = known.and_then(|n| data.get(n..)).filter(|d| !d.is_empty()) else { return Ok(()) };
        if staged.complete || staged.written_bytes + data.len() as u64 > staged.size_bytes {
            return Ok(());
        }
        staged.file.write_all(data)?;
        staged.hash.update(data);
        staged.written_bytes += data.len() as u64;
        if staged.written_bytes - staged.durable_bytes >= SYNC_BYTES || staged.written_bytes == staged.size_bytes {
            staged.file.sync_data()?;
            staged.durable_bytes = staged.written_bytes;
        }
        Ok(())
    }

    /// What a power loss does to data that was not yet synced.
    pub(crate) fn lose_unsynced(&mut self) -> io::Result<()> {
        match &self.staged {
            Some(staged) => staged.file.set_len(staged.durable_bytes),
            None => Ok(()),
        }
    }

    /// Notes that a one-time fault happens now; false if it has happened before.
    pub(crate) fn spend(&mut self, fault: usize) -> io::Result<bool> {
        if self.record.spent.contains(&fault) {
            return Ok(false);
        }
        self.record.spent.push(fault);
        save(&self.dir, &self.record)?;
        Ok(true)
    }

    /// Verifies the slot; a wrong one is emptied.
    pub(crate) fn finish(&mut self, sha256: Digest) -> io::Result<bool> {
        let slot = self.running.other();
        let Some(staged) = &mut self.staged else { return Ok(false) };
        if staged.complete && staged.firmware.sha256 == sha256 {
            return Ok(true);
        }
        let found = Digest(staged.hash.clone().finalize().into());
        let components = self.record.content(slot).as_ref().map_or(&[][..], |c| &c.components);
        let parts_right = are_right(&self.dir.join(slot.file()), components)?;
        if found != sha256 || staged.firmware.sha256 != sha256 || !parts_right {
            self.staged = None;
            *self.record.content(slot) = None;
            save(&self.dir, &self.record)?;
            return Ok(false);
        }
        staged.complete = true;
        if let Some(content) = self.record.content(slot) {
            content.complete = true;
        }
        save(&self.dir, &self.record)?;
        Ok(true)
    }

    /// Puts the verified slot on trial.
    pub(crate) fn try_staged(&mut self, sha256: Digest) -> io::Result<bool> {
        if !self.staged.as_ref().is_some_and(|s| s.complete && s.firmware.sha256 == sha256) {
            return Ok(false);
        }
        self.record.trial = Some(TRIES);
        save(&self.dir, &self.record)?;
        Ok(true)
    }

    /// Makes what runs permanent.
    pub(crate) fn confirm(&mut self) -> io::Result<()> {
        self.record.active = self.running;
        self.record.trial = None;
        save(&self.dir, &self.record)
    }

    /// Makes the slot with this firmware permanent; it runs after the next boot.
    pub(crate) fn return_to(&mut self, sha256: Digest) -> io::Result<bool> {
        for slot in [self.running, self.running.other()] {
            if self.record.content(slot).as_ref().is_some_and(|c| c.complete && c.firmware.sha256 == sha256) {
                self.record.active = slot;
                self.record.trial = None;
                save(&self.dir, &self.record)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

struct HashWriter<'a>(&'a mut Sha256);
impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether each component stands in the slot where it should.
fn are_right(path: &Path, components: &[ComponentImage]) -> io::Result<bool> {
    let mut file = File::open(path)?;
    for component in components {
        let mut hash = Sha256::new();
        let n = io::copy(&mut (&mut file).take(component.size_bytes), &mut HashWriter(&mut hash))?;
        if n != component.size_bytes || Digest(hash.finalize().into()) != component.sha256 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest(hash.finalize().into())),
            n => hash.update(&buffer[..n]),
        }
    }
}
