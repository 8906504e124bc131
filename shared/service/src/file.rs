//! Small files that a crash leaves old or new, never half.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file so that after any crash it holds the old or the new bytes, and the new ones once this returns. Readable by
/// the owner alone.
///
/// # Errors
/// The directory cannot be written to.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?;
    // A name alone lies in the current directory, whose path is empty.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}
