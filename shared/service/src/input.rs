//! Files that somebody names to a program: opened without waiting, and read up to a bound.
//!
//! A FIFO may have no writer for ever, a device may have no end, and opening one may already do something. Only regular files are read, and
//! pipes that the caller's shell handed over as a descriptor (`<(…)`, `/dev/stdin`).

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mdfm_shared::text::printable;

/// Bytes of a configuration, a certificate, a public key or another file that is read as a whole and has no bound of its own.
pub const INPUT_BYTES_MAX: u64 = 1 << 20;

/// Why a named file is not read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The system refuses.
    #[error("reading {}", shown(.path))]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A directory, a device, a socket, or a FIFO that nobody handed over.
    #[error("{} is not a regular file; name a file", shown(.path))]
    Kind {
        /// Which file.
        path: PathBuf,
    },
    /// Longer than anything that is read there.
    #[error("{} has more than {max} bytes; name another file", shown(.path))]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound.
        max: u64,
    },
    /// Bytes where text is needed.
    #[error("{} is not text (UTF-8); name another file", shown(.path))]
    NotText {
        /// Which file.
        path: PathBuf,
    },
}

impl InputError {
    /// What the system said, if it refused.
    pub fn system(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Read { source, .. } => Some(source.kind()),
            Self::Kind { .. } | Self::TooLarge { .. } | Self::NotText { .. } => None,
        }
    }
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

/// Whether a path names a descriptor that the caller opened: `/dev/stdin`, `/dev/fd/3`. Its file's name and mode are the caller's affair.
pub(crate) fn is_handed_over(path: &Path) -> bool {
    let digits = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let folder = path.parent().unwrap_or(Path::new(""));
    let is_descriptor = [Path::new("/dev/fd"), Path::new("/proc/self/fd")].contains(&folder);
    path == Path::new("/dev/stdin") || (is_descriptor && path.file_name().is_some_and(digits))
}

/// Opens a regular file, or a pipe that the caller handed over.
///
/// # Errors
/// It cannot be opened, or is something else.
pub fn open_input(path: &Path) -> Result<File, InputError> {
    let may_be_a_pipe = is_handed_over(path);
    open(path, may_be_a_pipe, |kind| kind.is_file() || (may_be_a_pipe && kind.is_fifo()))
}

/// Opens a regular file of at most `max` bytes, which is read in pieces, twice or from the middle: no pipe is. Reading ends where the file ended
/// when it was opened, however much is written to it meanwhile.
///
/// # Errors
/// It cannot be opened, is larger, or is something else.
pub fn open_regular(path: &Path, max: u64) -> Result<io::Take<File>, InputError> {
    let file = open(path, is_handed_over(path), FileType::is_file)?;
    let found = file.metadata().map_err(|source| InputError::Read { path: path.to_owned(), source })?.len();
    match found <= max {
        true => Ok(file.take(found)),
        false => Err(InputError::TooLarge { path: path.to_owned(), max }),
    }
}

fn open(path: &Path, waits: bool, is_fit: impl Fn(&FileType) -> bool) -> Result<File, InputError> {
    let failed = |source| InputError::Read { path: path.to_owned(), source };
    let check = |metadata: std::fs::Metadata| match is_fit(&metadata.file_type()) {
        true => Ok(()),
        false => Err(InputError::Kind { path: path.to_owned() }),
    };
    // Looked at before it is opened, because opening a device may do something; and again as opened, because the name may be another's by then.
    check(path.metadata().map_err(failed)?)?;
    let flags = if waits { 0 } else { nix::libc::O_NONBLOCK };
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    check(file.metadata().map_err(failed)?)?;
    Ok(file)
}

/// Reads a file of at most `max` bytes as a whole.
///
/// # Errors
/// Those of [`open_input`]; it is longer.
pub fn read_input(path: &Path, max: u64) -> Result<Vec<u8>, InputError> {
    read_opened(open_input(path)?, path, max)
}

/// [`read_input`] as text.
///
/// # Errors
/// Those of [`read_input`]; it is not UTF-8.
pub fn read_input_text(path: &Path, max: u64) -> Result<String, InputError> {
    text(read_input(path, max)?, path)
}

pub(crate) fn read_opened(file: File, path: &Path, max: u64) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| InputError::Read { path: path.to_owned(), source })?;
    match u64::try_from(bytes.len()).is_ok_and(|len| len <= max) {
        true => Ok(bytes),
        false => Err(InputError::TooLarge { path: path.to_owned(), max }),
    }
}

pub(crate) fn text(bytes: Vec<u8>, path: &Path) -> Result<String, InputError> {
    String::from_utf8(bytes).map_err(|_| InputError::NotText { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    /// The samples: a FIFO or a directory as an image kept `mdfmctl firmware upload` waiting, `/dev/zero` kept it reading.
    #[test]
    fn cli_28_what_has_no_end_is_not_opened() {
        let dir = std::env::temp_dir().join(format!("mdfm-input-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a folder");
        let (fifo, file, socket) = (dir.join("fifo"), dir.join("file"), dir.join("socket"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        for other in [Path::new("/dev/zero"), Path::new("/dev/null"), &dir, &fifo, &socket] {
            for refused in
                [open_input(other).map(drop), open_regular(other, 9).map(drop), read_input(other, 9).map(drop)]
            {
                let words = refused.expect_err("no file").to_string();
                assert!(words.contains("is not a regular file"), "{words}");
            }
        }
        std::fs::write(&file, b"123456789").expect("written");
        assert_eq!(read_input(&file, 9).expect("it fits"), b"123456789");
        let words = read_input(&file, 8).expect_err("too long").to_string();
        assert!(words.contains("more than 8 bytes"), "{words}");
        assert!(matches!(open_regular(&file, 8), Err(InputError::TooLarge { max: 8, .. })));
        let mut opened = open_regular(&file, 9).expect("it fits");
        File::options().append(true).open(&file).and_then(|mut file| file.write_all(b"more")).expect("written");
        let mut found = Vec::new();
        opened.read_to_end(&mut found).expect("read");
        assert_eq!(found, b"123456789", "what it held when it was opened");
        std::fs::write(&file, [0xff]).expect("written");
        assert!(matches!(read_input_text(&file, 9), Err(InputError::NotText { .. })));
        let missing = read_input(&dir.join("missing"), 9).expect_err("missing");
        assert_eq!(missing.system(), Some(io::ErrorKind::NotFound));
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn cli_28_a_pipe_of_the_shell_is_read_once() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
        writer.write_all(b"secret").expect("written");
        drop(writer);
        assert!(matches!(open_regular(&path, 9), Err(InputError::Kind { .. })), "an image is read twice");
        assert_eq!(read_input(&path, 9).expect("read"), b"secret");
    }

    #[test]
    fn cli_28_only_descriptors_count_as_handed_over() {
        for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/63"] {
            assert!(is_handed_over(Path::new(path)), "{path}");
        }
        for path in ["/dev/fd", "/dev/fd/../../etc/key", "/dev/fd/3/x", "/proc/1/fd/3", "/dev/stdin2", "", "/"] {
            assert!(!is_handed_over(Path::new(path)), "{path}");
        }
    }
}
