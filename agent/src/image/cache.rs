//! Verified images as files named by their digest; half-way ones end in `.part`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mdfm_shared::digest::Digest;

/// The cache's directory. A file under a digest's name was verified before it got the name.
pub(crate) struct ImageCache {
    dir: PathBuf,
}

impl ImageCache {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where a whole image is or will be.
    pub(crate) fn whole(&self, sha256: Digest) -> PathBuf {
        self.dir.join(sha256.to_string())
    }

    /// Where a download collects it.
    pub(crate) fn part(&self, sha256: Digest) -> PathBuf {
        self.dir.join(format!("{sha256}.part"))
    }

    /// Whether the image is there with the length that the manifest names.
    pub(crate) fn holds(&self, sha256: Digest, size_bytes: u64) -> bool {
        fs::metadata(self.whole(sha256)).is_ok_and(|m| m.len() == size_bytes)
    }

    /// Removes what no device needs any more.
    pub(crate) fn keep_only(&self, needed: &BTreeSet<Digest>) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let digest = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<Digest>().ok());
            if digest.is_none_or(|d| !needed.contains(&d)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}
