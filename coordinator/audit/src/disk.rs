//! The one door to the disk. Everything that the audit log does to files goes through here, so that a test can cut the power
//! at each single effect.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One open file, read and written at positions.
pub(crate) trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Fills the buffer from a position; an error if the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// What was written is durable when this returns.
    fn sync(&self) -> io::Result<()>;
}

/// A shared open file.
pub(crate) type SharedFile = Arc<dyn DiskFile>;

/// One directory with files, and directories of files, by relative names.
pub(crate) trait Disk: Send + Sync {
    /// Names of the files in a directory; empty if there is none.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<SharedFile>;
    /// Makes an empty file, or empties one. Its directory is made when needed.
    fn create(&self, name: &str) -> io::Result<SharedFile>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Names made, changed and removed in a directory are durable when this returns.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Bytes that may still be written.
    fn free_bytes(&self) -> io::Result<u64>;
    /// A name as people know it.
    fn show(&self, name: &str) -> String;
}

/// A shared disk.
pub(crate) type SharedDisk = Arc<dyn Disk>;

/// Bytes of a file that is read as a whole: the longest is a bundle of 256 records.
const WHOLE_BYTES_MAX: u64 = 32 << 20;

/// The whole content of a file; none if there is no such file.
pub(crate) fn read_all(disk: &dyn Disk, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    // A copy comes from elsewhere.
    let bytes = Some(file.len()?).filter(|bytes| *bytes <= WHOLE_BYTES_MAX).ok_or(io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Replaces a file as a whole: after any cut it holds the old content or the new.
pub(crate) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    let file = disk.create(&new)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&new, name)?;
    disk.sync_dir(dir_of(name))
}

/// Removes a file if it is there.
pub(crate) fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn dir_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// The real one, below a directory.
#[derive(Debug)]
pub(crate) struct RealDisk(pub(crate) PathBuf);

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl RealDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Numbers of the C library are shorter on a 32-bit machine than the bytes of its disk.
fn product(blocks: impl Into<u64>, bytes: impl Into<u64>) -> u64 {
    blocks.into().saturating_mul(bytes.into())
}

impl Disk for RealDisk {
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(dir)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        entries
            .filter(|e| e.as_ref().map_or(true, |e| e.path().is_file()))
            .map(|e| Ok(e?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
    fn open(&self, name: &str) -> io::Result<SharedFile> {
        // A copy on a read-only medium can be read all the same.
        let path = self.path(name);
        // Nor does a FIFO in a copy that somebody else made keep a verification waiting.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NONBLOCK);
        let file = match options.clone().write(true).open(&path) {
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                options.open(&path)?
            }
            opened => opened?,
        };
        match file.metadata()?.is_file() {
            true => Ok(Arc::new(file)),
            false => Err(io::Error::other("it is not a regular file")),
        }
    }
    fn create(&self, name: &str) -> io::Result<SharedFile> {
        let path = self.path(name);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let path = self.path(dir);
        File::open(&path)?.sync_all()?;
        // A directory that was just made has a name of its own.
        path.parent().map_or(Ok(()), |parent| open_dir(parent)?.sync_all())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        let status = nix::sys::statvfs::statvfs(&self.0)?;
        Ok(product(status.blocks_available(), status.fragment_size()))
    }
    fn show(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

fn open_dir(path: &Path) -> io::Result<File> {
    File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })
}

#[cfg(test)]
pub(crate) mod sim;
