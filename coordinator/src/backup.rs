//! Backup of a data directory while the coordinator runs on it, and the way back.
//!
//! The checkpoint is copied before the segments, which only grow, so that the copy always holds what its checkpoint signs; what
//! comes after it may be cut anywhere, and is recovered as after a power cut. What follows from the rest is not copied.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use mdfm_audit::{Verified, verify_copy};
use mdfm_shared::tlog::{NoteKey, WitnessPolicy};
use nix::libc;

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

/// Opens a file of a data directory. Root may run this in the directory of a service that was broken into: a link is followed to files of the
/// directory's own user alone, so that nothing of others is copied.
fn open_own(from: &Path) -> anyhow::Result<fs::File> {
    let open = |flags| fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | flags).open(from);
    let refused = || format!("{} is not a file of its directory's user; nothing was copied from it", from.display());
    match open(libc::O_NOFOLLOW) {
        Ok(file) => {
            ensure!(file.metadata()?.is_file(), "{}", refused());
            Ok(file)
        }
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            let file = open(0)?;
            let (found, dir) = (file.metadata()?, from.parent().context("a file lies in a directory")?.metadata()?);
            ensure!(found.is_file() && found.uid() == dir.uid(), "{}", refused());
            Ok(file)
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", from.display())),
    }
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut file = open_own(from)?;
    let mut copied = || -> io::Result<()> {
        let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut file, &mut made)?;
        made.set_permissions(file.metadata()?.permissions())?;
        made.sync_all()
    };
    copied().with_context(|| format!("copying {} to {}", from.display(), to.display()))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The sample: a service that was broken into had root copy any file into a backup by a link among its images.
    #[test]
    fn sec_25_a_backup_copies_no_file_of_others() {
        let dir = std::env::temp_dir().join(format!("mdfm-backup-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let (data, out) = (dir.join("data"), dir.join("out"));
        fs::create_dir_all(&data).expect("made");
        fs::create_dir_all(&out).expect("made");
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&data, Some(65_534), Some(65_534)).expect("given away");
        }
        symlink("/etc/passwd", data.join("link")).expect("linked");
        nix::unistd::mkfifo(&data.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        symlink("fifo", data.join("link-to-fifo")).expect("linked");
        for name in ["link", "fifo", "link-to-fifo"] {
            let error = copy_file(&data.join(name), &out.join(name)).expect_err(name).to_string();
            assert!(error.contains("is not a file of its directory's user"), "{name}: {error}");
            assert!(!out.join(name).exists(), "{name}");
        }
        // What belongs to the directory's user is copied, also by a link: images may lie on another disk.
        fs::write(dir.join("image"), "bytes").expect("written");
        let owner = data.metadata().expect("there").uid();
        std::os::unix::fs::chown(dir.join("image"), Some(owner), None).expect("given away");
        symlink("../image", data.join("image")).expect("linked");
        fs::write(data.join("log"), "entries").expect("written");
        for (name, held) in [("image", "bytes"), ("log", "entries")] {
            copy_file(&data.join(name), &out.join(name)).expect(name);
            assert_eq!(fs::read_to_string(out.join(name)).expect("read"), held);
        }
        fs::remove_dir_all(&dir).expect("removed");
    }
}
