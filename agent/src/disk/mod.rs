//! Everything that the agent does to a disk goes through here, so that a test can cut the power at every single effect.
//!
//! `Real` is the file system; `model` is one in memory that loses, tears and reorders what was not synced.

#[cfg(test)]
pub(crate) mod model;
mod real;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use real::Real;

/// A disk, cheap to clone.
pub(crate) type DiskHandle = Arc<dyn Disk>;

/// What a path leads to, whatever its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A block device by its number; a partition also by the number of its whole disk.
    Device { number: u64, disk: Option<u64> },
    /// A file or directory by its file system and inode.
    Inode { device: u64, inode: u64 },
    /// Nothing yet: a name below a directory that is there.
    Missing { device: u64, inode: u64, name: PathBuf },
}

impl Place {
    /// Whether what is written to one is written to the other.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Device { number: a, disk: in_a }, Self::Device { number: b, disk: in_b }) => {
                a == b || *in_a == Some(*b) || *in_b == Some(*a)
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device { number, .. } => {
                write!(f, "block device {}:{}", nix::sys::stat::major(*number), nix::sys::stat::minor(*number))
            }
            Self::Inode { inode, .. } => write!(f, "inode {inode}"),
            Self::Missing { name, .. } => write!(f, "file {}, not made yet", name.display()),
        }
    }
}

/// How a file is opened; its content is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// It must be there, and is only read.
    ReadOnly,
    /// It must be there.
    Existing,
    /// It is made, empty, if it is not there; its name is durable only after [`Disk::sync_dir`].
    Create,
}

/// Names and files. What is not synced may be lost, torn or reordered by a power cut.
pub(crate) trait Disk: Send + Sync {
    /// Makes a directory and those above it; those that are there already are no error.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// What a path leads to; symbolic links are followed only to block devices.
    ///
    /// # Errors
    /// It is a link that is not followed, or neither a file, a directory nor a block device; the words say what to do.
    fn place(&self, path: &Path) -> io::Result<Place>;
    /// Opens a file; symbolic links are followed only to block devices.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, replacing what has it, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes what happened to the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names of the files in a directory with their lengths in bytes, the longest unused first.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Notes that a file is used now, for [`Disk::list`]; nothing is lost if that is lost.
    fn touch(&self, path: &Path) -> io::Result<()>;
    /// Bytes that may still be written below a directory.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Waits for a lock that other programs hold for moments only; free when dropped.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>>;
}

/// An open file.
pub(crate) trait DiskFile: Send {
    /// What it is, as [`Disk::place`] says.
    fn place(&self) -> io::Result<Place>;
    /// Its length in bytes; for a block device the device's.
    fn len_bytes(&self) -> io::Result<u64>;
    /// The length of what cannot grow: a block device.
    fn fixed_len_bytes(&self) -> io::Result<Option<u64>>;
    /// Reads up to the length of `buffer`; 0 only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `data`.
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Shortens, or lengthens with zeroes.
    fn set_len(&mut self, len_bytes: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Has the disk begin with what was written, without waiting for it; nothing counts as durable because of it.
    fn write_behind(&mut self) -> io::Result<()>;
}

/// Reads exactly `buffer`.
pub(crate) fn read_exact_at(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

/// The whole of a small file; none if it is not there.
///
/// # Errors
/// It is longer than `bytes_max`, or cannot be read.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Open::Existing) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len_bytes()?;
    if len > bytes_max {
        return Err(io::Error::other(format!("{} has {len} bytes, at most {bytes_max} are read", path.display())));
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Replaces a small file: after a power cut it has the old or the new content, whole.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = disk.open(&new, Open::Create)?;
    file.set_len(0)?;
    file.write_at(content, 0)?;
    file.sync()?;
    disk.rename(&new, path)?;
    disk.sync_dir(path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?)
}
