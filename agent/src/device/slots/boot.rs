//! The boot loader's side of a pair of slots: chooses, measures, counts. Whoever starts the device asks it what to start.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use mdfm_shared::device::ComponentImage;
use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::FirmwareReport;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::record::{Content, RecordFile};
use super::{ONLY, Slot, SlotsConfig, open};
use crate::disk::{self, DiskHandle, Open};

const READ_BYTES: u64 = 1 << 20;

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Booted {
    pub(crate) slot: Slot,
    /// Each component with its image.
    pub(crate) images: BTreeMap<String, PathBuf>,
    /// Version label of what it holds.
    pub(crate) version: String,
    /// Whether it is on trial.
    pub(crate) on_trial: bool,
    /// Of this boot; the device's status must name it.
    pub(crate) boot_count: u64,
}

/// Digests of the first bytes of each file, and of all of them one behind the other.
fn measure(disk: &DiskHandle, files: &[(PathBuf, u64)]) -> io::Result<(Vec<Digest>, Digest)> {
    let mut all = Sha256::new();
    let mut each = Vec::new();
    let mut buffer = vec![0; READ_BYTES as usize];
    for (path, size_bytes) in files {
        let file = open(disk, path, Open::ReadOnly)?;
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < *size_bytes {
            let n = usize::try_from(READ_BYTES.min(size_bytes - at)).unwrap_or(0);
            disk::read_exact_at(&*file, &mut buffer[..n], at)?;
            hash.update(&buffer[..n]);
            if files.len() > 1 {
                all.update(&buffer[..n]);
            }
            at += n as u64;
        }
        each.push(Digest(hash.finalize().into()));
    }
    let whole = match each.as_slice() {
        [only] => *only,
        _ => Digest(all.finalize().into()),
    };
    Ok((each, whole))
}

/// What slot A came with.
pub(super) fn measure_factory(disk: &DiskHandle, config: &SlotsConfig) -> io::Result<Content> {
    let mut files = Vec::new();
    for pair in &config.pair {
        files.push((pair.a.clone(), open(disk, &pair.a, Open::ReadOnly)?.len_bytes()?));
    }
    let (each, whole) = measure(disk, &files)?;
    let component = |((pair, sha256), (_, size_bytes)): ((&super::Pair, Digest), (PathBuf, u64))| ComponentImage {
        name: if config.pair.len() == 1 { ONLY.into() } else { pair.name.clone() },
        sha256,
        size_bytes,
    };
    let factory = &config.factory;
    Ok(Content {
        firmware: FirmwareReport {
            version: factory.version.clone(),
            release_number: factory.release_number,
            security_version: factory.security_version,
            sha256: whole,
        },
        components: config.pair.iter().zip(each).zip(files).map(component).collect(),
        complete: true,
        progress: None,
    })
}

/// Chooses what to start, measures it and counts the boot; durable when this returns.
///
/// # Errors
/// The disk, or that the permanent slot is not what it was: then nothing is started, and hands are needed.
pub(crate) fn boot(disk: &DiskHandle, config: &SlotsConfig) -> io::Result<Booted> {
    let file = RecordFile::new(disk, &config.dir)?;
    file.change(|held| {
        let mut record = held.ok_or_else(|| io::Error::other("the agent has not yet taken up these slots"))?;
        let chosen = match record.trial {
            Some(tries) if tries > 0 => {
                record.trial = Some(tries - 1);
                record.active.other()
            }
            _ => record.active,
        };
        let images = |slot: Slot, content: &Content| -> Vec<(PathBuf, u64)> {
            let path = |c: &ComponentImage| Some((config.pair(&c.name)?.path(slot).to_owned(), c.size_bytes));
            content.components.iter().filter_map(path).collect()
        };
        let mut found = None;
        for slot in [chosen, record.active] {
            let Some(content) = record.content(slot).filter(|c| c.complete).cloned() else { continue };
            // A slot that cannot be read is not started.
            let measured = measure(disk, &images(slot, &content)).ok().map(|(_, whole)| whole);
            if measured == Some(content.firmware.sha256) {
                found = Some((slot, content));
                break;
            }
            tracing::error!(?slot, expected = %content.firmware.sha256, ?measured, "the slot is not what was written");
        }
        let (slot, content) =
            found.ok_or_else(|| io::Error::other("no slot holds what was written to it; nothing is started"))?;
        if slot == record.active {
            record.trial = None;
        }
        record.booted = slot;
        record.boot_count += 1;
        record.measured = content.firmware.sha256;
        let names = content.components.iter().map(|c| c.name.clone());
        let images = names.zip(images(slot, &content)).map(|(name, (path, _))| (name, path)).collect();
        let (version, on_trial) = (content.firmware.version.clone(), !record.is_confirmed());
        let booted = Booted { slot, images, version, on_trial, boot_count: record.boot_count };
        Ok((record, booted))
    })
}
