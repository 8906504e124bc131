//! Firmware images, one file each, named by their SHA-256.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mdfm_shared::digest::Digest;
use mdfm_shared::limits::IMAGE_BYTES_MAX;
use sha2::{Digest as _, Sha256};

/// The repository's directory.
#[derive(Debug, Clone)]
pub(crate) struct ImageStore {
    dir: PathBuf,
    bytes_max: u64,
}

/// An image on its way in: hashed while it is written, visible only when complete.
pub(crate) struct Upload {
    dir: PathBuf,
    temporary: PathBuf,
    file: File,
    hash: Sha256,
    size_bytes: u64,
    bytes_max: u64,
}

impl ImageStore {
    /// Opens the repository and removes uploads that a crash left half-done.
    pub(crate) fn open(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { dir: dir.to_owned(), bytes_max: bytes_max.min(IMAGE_BYTES_MAX) })
    }

    /// Bytes of one image at most.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The file of an image; it exists once an upload of that digest was finished.
    pub(crate) fn path(&self, sha256: Digest) -> PathBuf {
        self.dir.join(sha256.to_string())
    }

    /// Begins an upload; `name` keeps uploads apart.
    pub(crate) fn begin(&self, name: &str) -> io::Result<Upload> {
        let temporary = self.dir.join(format!("{name}.part"));
        let file = File::create(&temporary)?;
        let (dir, bytes_max) = (self.dir.clone(), self.bytes_max);
        Ok(Upload { dir, temporary, file, hash: Sha256::new(), size_bytes: 0, bytes_max })
    }
}

impl Upload {
    /// Adds bytes; fails above the limit for images.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    /// Makes the image durable under its digest.
    pub(crate) fn finish(self) -> io::Result<(Digest, u64)> {
        self.file.sync_all()?;
        let sha256 = Digest(self.hash.clone().finalize().into());
        fs::rename(&self.temporary, self.dir.join(sha256.to_string()))?;
        File::open(&self.dir)?.sync_all()?;
        Ok((sha256, self.size_bytes))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Gone already after `finish`; otherwise the upload was given up.
        let _ = fs::remove_file(&self.temporary);
    }
}
