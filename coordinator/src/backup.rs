//! Backup of a data directory while the coordinator runs on it, and the way back.
//!
//! The checkpoint is copied before the segments, which only grow, so that the copy always holds what its checkpoint signs; what
//! comes after it may be cut anywhere, and is recovered as after a power cut. What follows from the rest is not copied.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use mdfm_audit::{Verified, verify_copy};
use mdfm_shared::tlog::{NoteKey, WitnessPolicy};

/// Notes first, then the segments: the order that makes a copy good.
const NOTES: [&str; 2] = ["checkpoint", "published"];
/// Directories of files that never change once they are there.
const PLAIN_DIRS: [&str; 3] = ["credentials", "images", "disposals"];
/// Files of the data directory itself; the keys among them are secrets.
const FILES: [&str; 11] = [
    "images.key",
    "marks.key",
    "ca.pem",
    "server.pem",
    "online.pub",
    "log.vkey",
    "log.origin",
    "ca.key",
    "server.key",
    "online.key",
    "log.key",
];

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    fs::File::open(to)?.sync_all()?;
    Ok(())
}

fn copy_dir(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).with_context(|| format!("reading {}", from.display())),
    };
    let mut names: Vec<String> =
        entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names.iter().filter(|name| wanted(name) && from.join(name).is_file()) {
        copy_file(&from.join(name), &to.join(name))?;
    }
    fs::File::open(to)?.sync_all()?;
    Ok(())
}

fn vkey(data: &Path) -> anyhow::Result<NoteKey> {
    let path = data.join("log.vkey");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(NoteKey::parse(text.trim())?)
}

fn make_private(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.exists() {
        bail!("{} exists already; nothing was changed", dir.display());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("making {}", dir.display()))
}

/// Copies a data directory and verifies the copy.
pub(crate) fn back_up(data: &Path, out: &Path) -> anyhow::Result<Verified> {
    let key = vkey(data)?;
    make_private(out)?;
    let (from, to) = (data.join("log"), out.join("log"));
    fs::create_dir_all(&to)?;
    for note in NOTES {
        if from.join(note).is_file() {
            copy_file(&from.join(note), &to.join(note))?;
        }
    }
    copy_dir(&from, &to, |name| name.ends_with(".log"))?;
    for dir in PLAIN_DIRS {
        copy_dir(&data.join(dir), &out.join(dir), |name| !name.ends_with(".new") && !name.ends_with(".tmp"))?;
    }
    for file in FILES {
        if data.join(file).is_file() {
            copy_file(&data.join(file), &out.join(file))?;
        }
    }
    fs::File::open(out)?.sync_all()?;
    verify_copy(&to, &key, &WitnessPolicy::default()).context("the copy does not verify; the backup is no good")
}

/// Verifies a backup and makes a data directory of it.
pub(crate) fn restore(backup: &Path, data: &Path) -> anyhow::Result<Verified> {
    let verified = verify_copy(&backup.join("log"), &vkey(backup)?, &WitnessPolicy::default())
        .context("the backup does not verify; nothing was restored")?;
    make_private(data)?;
    copy_dir(&backup.join("log"), &data.join("log"), |_| true)?;
    for dir in PLAIN_DIRS {
        copy_dir(&backup.join(dir), &data.join(dir), |_| true)?;
    }
    for file in FILES {
        if backup.join(file).is_file() {
            copy_file(&backup.join(file), &data.join(file))?;
        }
    }
    fs::File::open(data)?.sync_all()?;
    Ok(verified)
}
