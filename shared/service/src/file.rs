//! Small files that a crash leaves old or new, never half.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use nix::libc;

/// Replaces a file so that after any crash it holds the old or the new bytes, and the new ones once this returns. Readable by
/// the owner alone.
///
/// # Errors
/// The directory cannot be written to.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, |_| Ok(()))
}

/// As [`atomic_write`], with the group of the file `like`, which may read it if it may read that one.
///
/// # Errors
/// The directory cannot be written to, or the file cannot be given to the group.
pub fn atomic_write_like(path: &Path, bytes: &[u8], like: &Path) -> io::Result<()> {
    let like = like.metadata()?;
    replace(path, bytes, |file| {
        if file.metadata()?.gid() != like.gid() {
            fchown(file, None, Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(0o600 | (like.mode() & 0o040)))
    })
}

fn replace(path: &Path, bytes: &[u8], prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // Root may run this in a directory of another user: what lies there under the name is removed, never followed.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    prepare(&file)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_directory_of(path)
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?;
    // A name alone lies in the current directory, whose path is empty.
    File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all()
}

/// Makes a directory, if it is not there, into which the group of the file `like` may look.
///
/// # Errors
/// It cannot be made, or be given to the group.
pub fn make_directory_like(dir: &Path, like: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => return Ok(()),
        Err(error) => return Err(error),
    }
    let (like, made) = (like.metadata()?, File::open(dir)?);
    if made.metadata()?.gid() != like.gid() {
        fchown(&made, None, Some(like.gid()))?;
    }
    made.set_permissions(Permissions::from_mode(0o750))?;
    sync_directory_of(dir)
}

/// Opens the file by which a program locks its directory; makes it first, for its owner alone. A link is not followed and nothing but a regular file
/// is opened: root may run this in a directory of another user.
///
/// # Errors
/// It cannot be opened, or is something else.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file; remove it"));
    }
    options.open(path)
}

/// Writes a secret, and a line break, into a file that must not exist yet and that nobody but its owner can read.
///
/// # Errors
/// It exists, or cannot be made.
pub fn write_new_secret(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    sync_directory_of(path)
}

/// Removes a file so that it stays removed after a crash.
///
/// # Errors
/// It cannot be removed.
pub fn remove_durably(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    sync_directory_of(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The sample: a link, or a FIFO, that a service had laid beside its server.key had root overwrite another file, or wait for ever.
    #[test]
    fn sec_25_nothing_in_a_services_directory_leads_root_elsewhere() {
        let dir = std::env::temp_dir().join(format!("mdfm-elsewhere-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a folder");
        let (other, target) = (dir.join("shadow"), dir.join("server.key"));
        std::fs::write(&other, "of another user").expect("written");
        let kept = || std::fs::read_to_string(&other).expect("read");
        symlink(&other, dir.join("server.new")).expect("linked");
        atomic_write(&target, b"key").expect("written");
        assert_eq!(
            (kept().as_str(), std::fs::read(&target).expect("read").as_slice()),
            ("of another user", &b"key"[..])
        );
        assert!(!target.symlink_metadata().expect("there").is_symlink());
        nix::unistd::mkfifo(&dir.join("server.new"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        atomic_write(&target, b"other").expect("nobody waits");
        assert_eq!(std::fs::read(&target).expect("read"), b"other");

        for (name, lay) in [
            ("link", symlink(&other, dir.join("link")).is_ok()),
            ("dangling", symlink(dir.join("made"), dir.join("dangling")).is_ok()),
            ("fifo", nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).is_ok()),
        ] {
            assert!(lay && open_lock(&dir.join(name)).is_err(), "{name}");
        }
        assert!(!dir.join("made").exists() && kept() == "of another user");
        open_lock(&dir.join("lock")).and_then(|_| open_lock(&dir.join("lock"))).expect("made, then opened");
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
