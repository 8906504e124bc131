//! The boot record of a pair of slots: one small file, replaced as a whole, which the agent and the boot side share under a lock.

use std::io;
use std::path::{Path, PathBuf};

use mdfm_shared::device::{ComponentImage, Refusal};
use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::FirmwareReport;
use serde::{Deserialize, Serialize};

use crate::disk::{self, DiskHandle};

const FILE: &str = "boot.json";
const LOCK: &str = "boot.lock";
const RECORD_BYTES_MAX: u64 = 64 * 1024;
/// Of the record's form; another one is not guessed at.
const VERSION: u32 = 1;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Slot {
    A,
    B,
}

impl Slot {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Where the writing of a slot stands, and the hashes so far, so that no byte is read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    /// Bytes that are durable.
    pub(crate) bytes: u64,
    /// State of the hash over all of them.
    pub(crate) whole: String,
    /// State of the hash over those of the component that is being written.
    pub(crate) part: String,
}

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Content {
    pub(crate) firmware: FirmwareReport,
    pub(crate) components: Vec<ComponentImage>,
    /// Whether all of it is there, durable and found right: the only thing that makes a slot bootable.
    pub(crate) complete: bool,
    pub(crate) progress: Option<Progress>,
}

impl Content {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.components.iter().map(|c| c.size_bytes).sum()
    }
}

/// The boot record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    version: u32,
    /// The permanent slot.
    pub(crate) active: Slot,
    /// Boots that the other slot still has on trial; none if it is not on trial.
    pub(crate) trial: Option<u8>,
    /// What the last boot started.
    pub(crate) booted: Slot,
    pub(crate) boot_count: u64,
    /// What the last boot measured of it.
    pub(crate) measured: Digest,
    pub(crate) a: Option<Content>,
    pub(crate) b: Option<Content>,
    /// The latest order handled, and why it was refused if it was.
    pub(crate) last_order: u64,
    pub(crate) last_refusal: Option<Refusal>,
    /// Boot and number of the last fault reported.
    pub(crate) fault_seen: (u64, u64),
}

impl Record {
    /// Of a pair whose slot A came filled from the factory.
    pub(crate) fn factory(content: Content) -> Self {
        Self {
            version: VERSION,
            active: Slot::A,
            trial: None,
            booted: Slot::A,
            boot_count: 1,
            measured: content.firmware.sha256,
            a: Some(content),
            b: None,
            last_order: 0,
            last_refusal: None,
            fault_seen: (0, 0),
        }
    }

    pub(crate) fn content(&self, slot: Slot) -> Option<&Content> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    pub(crate) fn content_mut(&mut self, slot: Slot) -> &mut Option<Content> {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }

    /// Whether what runs is permanent.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.booted == self.active
    }

    /// The slot that holds this firmware, whole.
    pub(crate) fn find(&self, sha256: Digest) -> Option<Slot> {
        let holds = |s: &Slot| self.content(*s).is_some_and(|c| c.complete && c.firmware.sha256 == sha256);
        [self.booted, self.booted.other()].into_iter().find(holds)
    }
}

/// The record of a directory, read and changed only under its lock.
pub(crate) struct RecordFile {
    disk: DiskHandle,
    dir: PathBuf,
}

impl RecordFile {
    pub(crate) fn new(disk: &DiskHandle, dir: &Path) -> io::Result<Self> {
        disk.create_dir(dir)?;
        Ok(Self { disk: disk.clone(), dir: dir.to_owned() })
    }

    /// The record; none before the first.
    pub(crate) fn read(&self) -> io::Result<Option<Record>> {
        let path = self.dir.join(FILE);
        let Some(bytes) = disk::read_small(&*self.disk, &path, RECORD_BYTES_MAX)? else { return Ok(None) };
        let bad = |problem: String| io::Error::other(format!("the boot record {} {problem}", path.display()));
        let record: Record = serde_json::from_slice(&bytes).map_err(|e| bad(format!("cannot be read: {e}")))?;
        if record.version != VERSION {
            return Err(bad(format!("has version {}, this program writes {VERSION}", record.version)));
        }
        Ok(Some(record))
    }

    /// Changes the record; durable when this returns. `change` gives its answer, or why nothing is to change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(Option<Record>) -> io::Result<(Record, T)>) -> io::Result<T> {
        let _lock = self.disk.lock(&self.dir.join(LOCK))?;
        let (record, answer) = change(self.read()?)?;
        let bytes = serde_json::to_vec_pretty(&record)?;
        disk::replace(&*self.disk, &self.dir.join(FILE), &bytes)?;
        Ok(answer)
    }
}
