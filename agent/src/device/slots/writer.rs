//! Image data on its way into a slot: hashed once, written once, made durable in large steps.

use std::io;
use std::path::PathBuf;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

use super::record::{Content, Progress, Slot};
use super::{SLOT_UNUSABLE, SlotsConfig, is_lasting, open_slot, places};
use crate::disk::{DiskFile, DiskHandle};

/// Written to the slot in pieces of so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// The disk is asked to begin with so much, without being waited for.
const BEHIND_BYTES: u64 = 8 << 20;
/// Made durable, and noted as such, after so much.
const SYNC_BYTES: u64 = 64 << 20;

/// One component on its way.
struct Part {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    sha256: Digest,
    size_bytes: u64,
}

/// The slot being written.
pub(super) struct Writer {
    disk: DiskHandle,
    parts: Vec<Part>,
    /// The part that is being written, and where in it.
    part: usize,
    part_at: u64,
    part_hash: Sha256,
    whole: Digest,
    whole_hash: Sha256,
    /// Bytes received and not yet given to the disk; they end at `received`.
    buffer: Vec<u8>,
    received: u64,
    durable: u64,
    behind: u64,
    size_bytes: u64,
    /// A component that ended with another digest than announced.
    wrong: Option<String>,
}

/// Why a slot cannot take this: a code of the protocol, and words.
type Unfit = (&'static str, String);

impl Writer {
    /// Opens the slot for this content and looks whether it fits. Nothing is opened for writing before the slots of all `devices` are
    /// known to be apart, and nothing is written before the opened file is known to be no other slot.
    pub(super) fn begin(
        disk: &DiskHandle,
        config: &SlotsConfig,
        devices: &[(DeviceId, SlotsConfig)],
        slot: Slot,
        content: &Content,
    ) -> io::Result<Result<Self, Unfit>> {
        if let Some(reason) = places::why_not(disk, devices, &config.dir) {
            return Ok(Err((SLOT_UNUSABLE, reason)));
        }
        let mut parts = Vec::new();
        for component in &content.components {
            let Some(pair) = config.pair(&component.name) else {
                return Ok(Err(("noSuchComponent", format!("there are no slots for component {:?}", component.name))));
            };
            let path = pair.path(slot).to_owned();
            let file = match open_slot(disk, &path) {
                Ok(file) => file,
                Err(error) if is_lasting(&error) => {
                    return Ok(Err((
                        SLOT_UNUSABLE,
                        format!("{error}; correct `device.slots` of the agent's configuration"),
                    )));
                }
                Err(error) => return Err(error),
            };
            if let Some(other) = places::other_slot_at(disk, devices, &path, &file.place()?) {
                let reason = format!("{} is the same place as {other}; nothing was written", path.display());
                return Ok(Err((SLOT_UNUSABLE, reason)));
            }
            let part = Part { file, path, sha256: component.sha256, size_bytes: component.size_bytes };
            if let Some(unfit) = part.unfit(disk)? {
                return Ok(Err(unfit));
            }
            parts.push(part);
        }
        if config.pair.len() != parts.len() {
            let (found, needed) = (parts.len(), config.pair.len());
            return Ok(Err(("malformed", format!("{found} components for a device with {needed}"))));
        }
        Ok(Ok(Self {
            disk: disk.clone(),
            parts,
            part: 0,
            part_at: 0,
            part_hash: Sha256::new(),
            whole: content.firmware.sha256,
            whole_hash: Sha256::new(),
            buffer: Vec::with_capacity(PIECE_BYTES),
            received: 0,
            durable: 0,
            behind: 0,
            size_bytes: content.size_bytes(),
            wrong: None,
        }))
    }

    /// Goes on where the record says that the slot is durable; none if this content does not fit any more.
    pub(super) fn resume(
        disk: &DiskHandle,
        config: &SlotsConfig,
        devices: &[(DeviceId, SlotsConfig)],
        slot: Slot,
        content: &Content,
    ) -> io::Result<Result<Option<Self>, Unfit>> {
        let mut writer = match Self::begin(disk, config, devices, slot, content)? {
            Ok(writer) => writer,
            Err(unfit) if unfit.0 == SLOT_UNUSABLE => return Ok(Err(unfit)),
            Err(_) => return Ok(Ok(None)),
        };
        let state = |text: &str| {
            let bytes = hex::decode(text).ok()?;
            Sha256::deserialize(&bytes.as_slice().try_into().ok()?).ok()
        };
        // Without a state that can be read it begins anew.
        if let Some(progress) = &content.progress
            && let (Some(whole), Some(part)) = (state(&progress.whole), state(&progress.part))
        {
            writer.whole_hash = whole;
            writer.part_hash = part;
            writer.received = progress.bytes;
            writer.durable = progress.bytes;
            writer.behind = progress.bytes;
            let mut left = progress.bytes;
            while writer.part < writer.parts.len() && left >= writer.parts[writer.part].size_bytes {
                left -= writer.parts[writer.part].size_bytes;
                writer.part += 1;
            }
            writer.part_at = left;
        }
        Ok(Ok(Some(writer)))
    }

    /// Takes the part of the data that goes on where it ends; what comes again is passed over, anything else dropped. Gives whether
    /// it is time to make it durable.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<bool> {
        let known = self.received.checked_sub(offset).and_then(|n| usize::try_from(n).ok());
        let Some(mut data) = known.and_then(|n| data.get(n..)).filter(|d| !d.is_empty()) else { return Ok(false) };
        if self.received + data.len() as u64 > self.size_bytes {
            return Ok(false);
        }
        while !data.is_empty() {
            let part = &self.parts[self.part];
            let in_part = part.size_bytes - self.part_at - self.buffer.len() as u64;
            let room = (PIECE_BYTES - self.buffer.len()).min(usize::try_from(in_part).unwrap_or(usize::MAX));
            let (now, later) = data.split_at(room.min(data.len()));
            self.buffer.extend_from_slice(now);
            self.received += now.len() as u64;
            data = later;
            let ends = in_part == now.len() as u64;
            if self.buffer.len() == PIECE_BYTES || ends {
                self.flush()?;
            }
            if ends {
                self.end_part()?;
            }
        }
        Ok(self.received - self.durable >= SYNC_BYTES || self.received == self.size_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.part_hash.update(&self.buffer);
        if self.parts.len() > 1 {
            self.whole_hash.update(&self.buffer);
        }
        let part = &mut self.parts[self.part];
        part.file.write_at(&self.buffer, self.part_at)?;
        self.part_at += self.buffer.len() as u64;
        self.buffer.clear();
        if self.received - self.behind >= BEHIND_BYTES {
            self.behind = self.received;
            part.file.write_behind()?;
        }
        Ok(())
    }

    fn end_part(&mut self) -> io::Result<()> {
        let part = &mut self.parts[self.part];
        let found = Digest(std::mem::take(&mut self.part_hash).finalize().into());
        if found != part.sha256 {
            let (path, sha256) = (part.path.display(), part.sha256);
            self.wrong = Some(format!("what came for {path} has SHA-256 {found}, announced was {sha256}"));
        }
        part.file.sync()?;
        self.part += 1;
        self.part_at = 0;
        Ok(())
    }

    /// Makes everything durable; gives where to go on.
    pub(super) fn sync(&mut self) -> io::Result<Progress> {
        self.flush()?;
        if let Some(part) = self.parts.get_mut(self.part) {
            part.file.sync()?;
        }
        self.sync_names()?;
        self.durable = self.received;
        let state = |hash: &Sha256| hex::encode(hash.serialize());
        Ok(Progress { bytes: self.durable, whole: state(&self.whole_hash), part: state(&self.part_hash) })
    }

    /// A slot that is a file may be new: its name must last too.
    fn sync_names(&self) -> io::Result<()> {
        if self.durable > 0 {
            return Ok(());
        }
        let mut dirs: Vec<_> = self.parts.iter().filter_map(|p| p.path.parent()).collect();
        dirs.dedup();
        dirs.into_iter().try_for_each(|dir| self.disk.sync_dir(dir))
    }

    /// Whether all of it is there and is what was announced; if not, why.
    pub(super) fn finish(mut self) -> io::Result<Result<(), String>> {
        if self.received < self.size_bytes {
            return Ok(Err(format!("{} of {} bytes were written", self.received, self.size_bytes)));
        }
        self.sync()?;
        if let Some(problem) = self.wrong {
            return Ok(Err(problem));
        }
        if self.parts.len() > 1 {
            let found = Digest(self.whole_hash.finalize().into());
            if found != self.whole {
                return Ok(Err(format!("all components together have SHA-256 {found}, announced was {}", self.whole)));
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn durable_bytes(&self) -> u64 {
        self.durable
    }

    pub(super) fn is_durable(&self) -> bool {
        self.durable == self.received
    }
}

impl Part {
    /// Why the slot is too small for the image.
    fn unfit(&self, disk: &DiskHandle) -> io::Result<Option<Unfit>> {
        let (path, needed) = (self.path.display(), self.size_bytes);
        if let Some(len) = self.file.fixed_len_bytes()? {
            return Ok((len < needed).then(|| ("noSpace", format!("{path} holds {len} bytes, {needed} are needed"))));
        }
        let Some(dir) = self.path.parent() else { return Ok(None) };
        let more = needed.saturating_sub(self.file.len_bytes()?);
        let free = disk.free_bytes(dir)?;
        let missing = || ("noSpace", format!("{more} bytes more are needed for {path}, {free} are free"));
        Ok((free < more).then(missing))
    }
}
