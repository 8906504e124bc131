//! The file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;

use super::{Disk, DiskFile, Open, Place};

/// The file system of this machine.
pub(crate) struct Real;

/// Mode of every file that the agent makes: for its owner alone.
const MODE: u32 = 0o600;

/// Why a symbolic link is not followed.
fn refused_link(path: &Path) -> io::Error {
    let target = fs::read_link(path).unwrap_or_default();
    let target = path.parent().unwrap_or(Path::new("/")).join(target);
    let (kind, cure) = if target.exists() {
        (
            io::ErrorKind::InvalidInput,
            "links are followed to block devices alone; write that path into the configuration",
        )
    } else {
        (io::ErrorKind::NotFound, "which does not exist; make it, or correct the configuration")
    };
    io::Error::new(kind, format!("it is a symbolic link to {}; {cure}", target.display()))
}

/// The whole disk of a partition; `None` for what is not a partition.
fn disk_of(number: u64) -> Option<u64> {
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    let dir = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    if !dir.join("partition").exists() {
        return None;
    }
    let text = fs::read_to_string(dir.parent()?.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?))
}

fn place_of(metadata: &fs::Metadata) -> io::Result<Place> {
    let kind = metadata.file_type();
    if kind.is_block_device() {
        return Ok(Place::Device { number: metadata.rdev(), disk: disk_of(metadata.rdev()) });
    }
    if kind.is_file() || kind.is_dir() {
        return Ok(Place::Inode { device: metadata.dev(), inode: metadata.ino() });
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a block device"))
}

/// The place of a name that is not there, by the nearest directory that is.
fn missing_place(path: &Path) -> io::Result<Place> {
    let mut name = PathBuf::new();
    let mut at = path;
    loop {
        let (Some(last), Some(parent)) = (at.file_name(), at.parent()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no path of a file"));
        };
        name = if name.as_os_str().is_empty() { PathBuf::from(last) } else { Path::new(last).join(name) };
        match fs::metadata(parent) {
            Ok(dir) => return Ok(Place::Missing { device: dir.dev(), inode: dir.ino(), name }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => at = parent,
            Err(error) => return Err(error),
        }
    }
}

impl Disk for Real {
    fn place(&self, path: &Path) -> io::Result<Place> {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return missing_place(path),
            found => found?,
        };
        if !metadata.file_type().is_symlink() {
            return place_of(&metadata);
        }
        match fs::metadata(path) {
            Ok(target) if target.file_type().is_block_device() => place_of(&target),
            // A directory may be reached by a link; what is in it is told apart by the directory itself.
            Ok(target) if target.is_dir() => place_of(&target),
            Ok(_) | Err(_) => Err(refused_link(path)),
        }
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let options = |flags: i32| {
            let mut options = OpenOptions::new();
            options.read(true).write(how != Open::ReadOnly).mode(MODE).custom_flags(flags);
            options
        };
        match options(libc::O_NOFOLLOW).create(how == Open::Create).open(path) {
            Ok(file) => Ok(RealFile::boxed(file)),
            // The names below /dev/disk are links; a link to anything but a block device could lead anywhere.
            Err(error) if Errno::from_raw(error.raw_os_error().unwrap_or(0)) == Errno::ELOOP => {
                if !fs::metadata(path).is_ok_and(|target| target.file_type().is_block_device()) {
                    return Err(refused_link(path));
                }
                Ok(RealFile::boxed(options(0).open(path)?))
            }
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push((used, entry.file_name().to_string_lossy().into_owned(), metadata.len()));
            }
        }
        files.sort();
        Ok(files.into_iter().map(|(_, name, len)| (name, len)).collect())
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().append(true).custom_flags(libc::O_NOFOLLOW).open(path)?.set_modified(SystemTime::now())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        let file = mdfm_service::open_lock(path)?;
        let locked = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| io::Error::from(errno))?;
        Ok(Box::new(locked))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        mdfm_service::free_bytes(dir)
    }
}

struct RealFile {
    file: File,
    behind: Option<Behind>,
}

/// The thread that syncs behind the writer.
struct Behind {
    /// Something is to be synced.
    due: SyncSender<()>,
    /// The kernel tells of a failed write once: whoever was told must remember it for the writer.
    failed: Arc<AtomicBool>,
}

impl RealFile {
    fn boxed(file: File) -> Box<dyn DiskFile> {
        Box::new(Self { file, behind: None })
    }
}

impl DiskFile for RealFile {
    fn place(&self) -> io::Result<Place> {
        place_of(&self.file.metadata()?)
    }
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(match self.fixed_len_bytes()? {
            Some(len) => len,
            None => self.file.metadata()?.len(),
        })
    }
    fn fixed_len_bytes(&self) -> io::Result<Option<u64>> {
        // A block device has no length in its metadata; its end has one.
        let is_device = self.file.metadata()?.file_type().is_block_device();
        is_device.then(|| (&self.file).seek(SeekFrom::End(0))).transpose()
    }
    fn write_behind(&mut self) -> io::Result<()> {
        let behind = match &self.behind {
            Some(behind) => behind,
            None => {
                let (due, wait) = sync_channel(1);
                let failed = Arc::new(AtomicBool::new(false));
                let (file, tell) = (self.file.try_clone()?, Arc::clone(&failed));
                let sync = move || {
                    while wait.recv().is_ok() {
                        if file.sync_data().is_err() {
                            tell.store(true, Ordering::SeqCst);
                        }
                    }
                };
                std::thread::Builder::new().name("write-behind".into()).spawn(sync)?;
                self.behind.insert(Behind { due, failed })
            }
        };
        // Where it is behind already it takes this up with the next.
        let _ = behind.due.try_send(());
        Ok(())
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        match &self.behind {
            Some(behind) if behind.failed.load(Ordering::SeqCst) => {
                Err(io::Error::other("the disk failed to write what it was given before"))
            }
            _ => Ok(()),
        }
    }
}
