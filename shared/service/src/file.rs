//! Small files that a crash leaves old or new, never half.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

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
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
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
