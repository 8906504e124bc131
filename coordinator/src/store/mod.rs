//! Files of the data directory: atomic small files, password verifiers and the firmware repository.

mod credentials;
mod images;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

pub(crate) use credentials::CredentialStore;
pub(crate) use images::ImageStore;

/// Replaces a file so that after any crash it holds the old or the new bytes, and the new ones once this returns. Readable by
/// the owner alone.
pub(crate) fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let dir = path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?;
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}
