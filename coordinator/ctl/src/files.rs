//! Files that the tool writes: none replaces another one unless that was asked for, none is left half written, and secrets are readable by
//! their owner alone from the first byte.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, IsTerminal as _, Read, Write};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use mdfm_service::INPUT_BYTES_MAX;

use crate::trust::confirm::ask_word;

/// Bytes of the random part of a temporary file's name.
const NAME_BYTES: usize = 8;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The owner alone.
    Owner,
    /// Whoever the file mode creation mask lets.
    Mask,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Mask => 0o666,
        }
    }
}

/// Whether a file that exists may be replaced.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Overwrite {
    /// Replace a file that exists.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

impl Overwrite {
    /// Makes room for a file before the work whose result goes into it. A file that exists is replaced with `--overwrite`, or, if it is no
    /// secret, after a question on the terminal.
    ///
    /// # Errors
    /// Something has that name, or nothing can be written there.
    pub(crate) fn reserve(self, path: &Path, access: Access) -> anyhow::Result<NewFile> {
        let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        if self.overwrite || is_stream(path) || path.symlink_metadata().is_err() {
            return NewFile::open(path, access, self.overwrite);
        }
        if access == Access::Owner || !is_terminal {
            bail!("{} exists already and was left as it is; name another file, or give --overwrite", path.display());
        }
        ask_word(&format!("{} exists already and is replaced.", path.display()), "overwrite")?;
        NewFile::open(path, access, true)
    }
}

/// Reads a file as a whole.
///
/// # Errors
/// It cannot be read, has more than 1 MiB, or is neither a file nor a pipe of the shell.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_within(path, INPUT_BYTES_MAX)
}

/// [`read`] as text.
///
/// # Errors
/// Those of [`read`]; it is not UTF-8.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    Ok(mdfm_service::read_input_text(path, INPUT_BYTES_MAX)?)
}

/// Reads standard input as text.
///
/// # Errors
/// It cannot be read, has more than 1 MiB, or is not UTF-8.
pub(crate) fn read_input() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).context("reading standard input")?;
    ensure!(bytes.len() as u64 <= INPUT_BYTES_MAX, "standard input has more than {INPUT_BYTES_MAX} bytes");
    String::from_utf8(bytes).ok().context("standard input is not text (UTF-8)")
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// It cannot be read, is larger, or is neither a file nor a pipe of the shell.
pub(crate) fn read_within(path: &Path, max: u64) -> anyhow::Result<Vec<u8>> {
    Ok(mdfm_service::read_input(path, max)?)
}

/// Opens a file that is read in pieces, or more than once; at most `max` bytes.
///
/// # Errors
/// It cannot be opened, is larger, or is not a file.
pub(crate) fn open_within(path: &Path, max: u64) -> anyhow::Result<io::Take<File>> {
    Ok(mdfm_service::open_regular(path, max)?)
}

/// Reads a password, a key, a factor's secret or a session, which nobody but its owner may be able to read.
///
/// # Errors
/// Others may read it, it cannot be read, has more than 1 MiB, or is neither a file nor a pipe of the shell.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<String> {
    Ok(mdfm_service::read_secret(path)?)
}

/// Bytes that stay free where an answer is written that has no length of its own.
const RESERVE_BYTES: u64 = 64 << 20;

/// Checks before the next piece of a long answer that the disk does not become full.
///
/// # Errors
/// Less than 64 MiB are free there.
pub(crate) fn check_room(path: &Path) -> anyhow::Result<()> {
    let free = mdfm_service::free_bytes(directory(path))
        .with_context(|| format!("looking how much is free below {}", directory(path).display()))?;
    ensure!(
        free >= RESERVE_BYTES || is_stream(path),
        "only {free} bytes are free below {}, and {RESERVE_BYTES} are left for everything else; make room there, or name \
         another disk",
        directory(path).display()
    );
    Ok(())
}

/// Whether bytes that are written to a path only pass through it: a pipe, a terminal, `/dev/null`.
fn is_stream(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_fifo() || found.file_type().is_char_device())
}

/// Whoever reads a stream has closed it, as `head` does: no failure, as with standard output itself.
#[derive(Debug, thiserror::Error)]
#[error("its reader has closed it")]
struct Enough;

/// Whether an error is that the reader of a stream has enough.
pub(crate) fn is_enough(error: &anyhow::Error) -> bool {
    let of = |cause: &io::Error| cause.get_ref().is_some_and(|inner| inner.is::<Enough>());
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(of))
}

/// A file that is being written. Dropped before [`NewFile::finish`] it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    file: File,
    /// Whether a file of that name is replaced.
    replaces: bool,
    /// Whether it gets what an act answered once, which must not be lost in silence.
    is_answer: bool,
    /// What is removed if the file is not finished; `None` for a stream.
    unfinished: Option<PathBuf>,
}

impl NewFile {
    /// A file where nothing is yet.
    ///
    /// # Errors
    /// Something has that name, or nothing can be written there.
    pub(crate) fn create(path: &Path, access: Access) -> anyhow::Result<Self> {
        Self::open(path, access, false)
    }

    fn open(path: &Path, access: Access, replaces: bool) -> anyhow::Result<Self> {
        let context = || format!("writing {}", path.display());
        if is_stream(path) {
            let file = OpenOptions::new().write(true).open(path).with_context(context)?;
            return Ok(Self { path: path.to_owned(), file, replaces, is_answer: false, unfinished: None });
        }
        ensure!(!path.is_dir(), "{} is a directory; name a file", path.display());
        let is_free = replaces || path.symlink_metadata().is_err();
        ensure!(is_free, "{} exists already and was left as it is; name another file", path.display());
        // Under its own name a file is complete: one that was begun and left would stand in the way of the next call.
        let target = beside(path)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(access.mode()).open(&target);
        let file = file.with_context(context)?;
        Ok(Self { path: path.to_owned(), file, replaces, is_answer: false, unfinished: Some(target) })
    }

    /// Where its bytes are before it has its name: for reading them again.
    pub(crate) fn unfinished(&self) -> &Path {
        self.unfinished.as_deref().unwrap_or(&self.path)
    }

    /// Writes everything and finishes.
    ///
    /// # Errors
    /// It cannot be written; nothing is left of it then.
    pub(crate) fn write(mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.write_all(bytes).with_context(|| format!("writing {}", self.path.display()))?;
        self.finish()
    }

    /// Writes what an act gave; `made` says what the act did, and what is to be done now that its answer is lost.
    ///
    /// # Errors
    /// It cannot be written; nothing is left of it then, and the act stays done.
    pub(crate) fn write_made(mut self, bytes: &[u8], made: impl FnOnce() -> String) -> anyhow::Result<()> {
        self.is_answer = true;
        self.write(bytes).with_context(made)
    }

    /// Makes what was written durable under its name.
    ///
    /// # Errors
    /// It cannot be; nothing is left of it then.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let Some(written) = self.unfinished.clone() else { return Ok(()) };
        let settle = || {
            self.file.sync_all()?;
            if self.replaces {
                std::fs::rename(&written, &self.path)?;
            } else {
                name_new(&written, &self.path)?;
            }
            File::open(directory(&self.path))?.sync_all()
        };
        settle().with_context(|| format!("writing {}", self.path.display()))?;
        self.unfinished = None;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_enough = |error: &io::Error| {
            error.kind() == io::ErrorKind::BrokenPipe && self.unfinished.is_none() && !self.is_answer
        };
        self.file.write(bytes).map_err(|error| if is_enough(&error) { io::Error::other(Enough) } else { error })
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = self.unfinished.take() {
            // It was made here, and its beginning helps nobody.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Gives a file its name if nothing has that, without a moment in which another program's file could be replaced.
fn name_new(written: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(written, path) {
        Ok(()) => return std::fs::remove_file(written),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Removable media and some shares have no hard links.
        Err(_) => drop(OpenOptions::new().write(true).create_new(true).open(path)?),
    }
    std::fs::rename(written, path).inspect_err(|_| {
        // It was made here, and is empty.
        let _ = std::fs::remove_file(path);
    })
}

/// Replaces a file so that it holds the old or the new bytes at any time, readable by its owner alone.
///
/// # Errors
/// It cannot be written.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    NewFile::open(path, Access::Owner, true)?.write(bytes)
}

/// Writes a secret into a file that the tool owns, such as the session's; what it held is replaced.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(Access::Owner.mode())
        .open(path)
        .with_context(|| format!("writing {}", path.display()))?;
    // A file that was there keeps its mode otherwise, and others could read what is written now.
    file.set_permissions(Permissions::from_mode(Access::Owner.mode()))
        .with_context(|| format!("making {} readable by its owner only", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

/// The directory of a file; that of a name alone is the current one.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name in the same directory that nobody can foresee.
fn beside(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    let mut random = [0; NAME_BYTES];
    getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", hex::encode(random)));
    Ok(directory(path).join(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("mdfmctl-files-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a folder");
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("a folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn cli_28_a_file_that_exists_is_replaced_only_when_asked() {
        let dir = folder("exists");
        let file = dir.join("GW-1.token");
        let reserve = |overwrite, access| Overwrite { overwrite }.reserve(&file, access);
        reserve(false, Access::Owner).expect("a new file").write(b"first").expect("written");
        let refused = reserve(false, Access::Owner).expect_err("it exists").to_string();
        assert!(refused.contains("--overwrite"), "{refused}");
        assert_eq!(std::fs::read(&file).expect("read"), b"first");
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("a mode");
        reserve(true, Access::Owner).expect("asked for").write(b"second").expect("written");
        assert_eq!(std::fs::read(&file).expect("read"), b"second");
        let mode = file.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "a secret is its owner's alone, whatever was there");
        assert_eq!(names(&dir), ["GW-1.token"], "no temporary file is left");
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn cli_28_an_unfinished_file_leaves_nothing() {
        let dir = folder("unfinished");
        let (new, held) = (dir.join("new"), dir.join("held"));
        std::fs::write(&held, "held").expect("written");
        let mut first = NewFile::create(&new, Access::Mask).expect("a new file");
        first.write_all(b"half").expect("written");
        let mut second = Overwrite { overwrite: true }.reserve(&held, Access::Mask).expect("asked for");
        second.write_all(b"half").expect("written");
        drop((first, second));
        assert_eq!(names(&dir), ["held"]);
        let first = NewFile::create(&new, Access::Mask).expect("a new file");
        assert!(
            !new.exists(),
            "it has its name once it is complete: a call that is killed leaves nothing of that name"
        );
        std::fs::write(&new, "another's").expect("written");
        assert!(first.write(b"whole").is_err(), "somebody made it in the meantime");
        assert_eq!((std::fs::read(&new).expect("read"), names(&dir).len()), (b"another's".to_vec(), 2));
        std::fs::remove_file(&new).expect("removed");
        assert!(NewFile::create(&dir, Access::Mask).is_err(), "a directory is no file");
        assert_eq!(std::fs::read(&held).expect("read"), b"held");
        std::os::unix::fs::symlink(dir.join("nowhere"), &new).expect("a link");
        assert!(NewFile::create(&new, Access::Owner).is_err(), "a link is a file too");
        assert!(!dir.join("nowhere").exists());
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn cli_28_a_file_is_read_within_its_bound() {
        let dir = folder("read");
        let file = dir.join("key");
        std::fs::write(&file, vec![b'x'; INPUT_BYTES_MAX as usize]).expect("written");
        assert_eq!(read_text(&file).expect("it fits").len() as u64, INPUT_BYTES_MAX);
        std::fs::write(&file, vec![b'x'; INPUT_BYTES_MAX as usize + 1]).expect("written");
        let refused = format!("{:#}", read(&file).expect_err("too long"));
        assert!(refused.contains("more than 1048576 bytes"), "{refused}");
        std::fs::write(&file, [0xff]).expect("written");
        assert!(read_text(&file).expect_err("no text").to_string().contains("not text"));
        let fifo = dir.join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("coreutils").success());
        for other in [Path::new("/dev/zero"), Path::new("/dev/null"), &dir, &fifo] {
            let refused = read(other).expect_err("no file").to_string();
            assert!(refused.contains("is not a regular file"), "{refused}");
        }
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn cli_28_a_lost_answer_says_what_was_done() {
        let full = Overwrite::default().reserve(Path::new("/dev/full"), Access::Owner).expect("a stream");
        let lost = full.write_made(b"secret", || "token t-1 was made; revoke it".to_owned()).expect_err("full");
        let words = format!("{lost:#}");
        assert!(words.starts_with("token t-1 was made; revoke it: writing /dev/full"), "{words}");
    }

    #[test]
    fn cli_10_a_report_into_a_closed_pipe_ends_quietly() {
        use std::os::fd::AsRawFd as _;
        let (reader, writer) = io::pipe().expect("a pipe");
        let path = PathBuf::from(format!("/dev/fd/{}", writer.as_raw_fd()));
        let reserve = || Overwrite::default().reserve(&path, Access::Mask).expect("a stream");
        let (report, token) = (reserve(), reserve());
        drop(reader);
        assert!(is_enough(&report.write(b"report").expect_err("nobody reads")), "as `head` leaves it");
        let lost = token.write_made(b"secret", || "token t-1 was made".to_owned()).expect_err("nobody reads");
        assert!(!is_enough(&lost), "what is shown once is lost: {lost:#}");
    }

    #[test]
    fn cli_28_a_stream_is_written_to() {
        let null = Overwrite::default().reserve(Path::new("/dev/null"), Access::Mask).expect("a stream");
        null.write(b"bytes").expect("written");
        assert!(Path::new("/dev/null").exists());
    }
}
