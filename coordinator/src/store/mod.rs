//! Files of the data directory beside the audit log: password verifiers, the firmware repository and the
//! kept state.

mod credentials;
mod images;
mod read_model;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use credentials::CredentialStore;
pub(crate) use images::{ImageKey, ImageStore, Upload};
pub(crate) use read_model::{Kept, ReadModel};

/// Opens a store of which nothing is needed to go on, or makes a new one where it cannot be read; the old one is put aside.
pub(crate) fn open_or_anew(dir: &Path) -> io::Result<sled::Db> {
    let open = |dir: &Path| sled::Config::new().path(dir).cache_capacity(8 << 20).open();
    match open(dir) {
        Ok(db) => Ok(db),
        Err(error) => {
            tracing::warn!(%error, dir = %dir.display(), "a store cannot be opened; it is rebuilt");
            let aside: PathBuf = dir.with_extension("damaged");
            let _ = std::fs::remove_dir_all(&aside);
            std::fs::rename(dir, &aside)?;
            open(dir).map_err(io::Error::other)
        }
    }
}
