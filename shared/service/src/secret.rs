//! Secrets in files: readable by their owner alone, or handed over by systemd.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::input::{InputError, is_handed_over, open_input, read_opened, text};
use crate::{Exit, Stop};

/// Bytes of a secret file: passwords, tokens and keys have a few thousand at most.
const SECRET_BYTES_MAX: u64 = 1 << 20;

/// Reads a secret file that nobody else may read, or a secret out of a descriptor that the caller opened (`/dev/stdin`, `/dev/fd/3`): every
/// program reads its passwords, keys, tokens and sessions so.
///
/// # Errors
/// It is missing ([`Exit::NoState`]), is not a regular file, is too long or no text ([`Exit::Config`]), or others may read or write it, or this program
/// may not ([`Exit::Permission`], with the command that changes it).
pub fn read_secret(path: &Path) -> Result<String, Stop> {
    read_secrets(path, SECRET_BYTES_MAX)
}

/// Reads a file of many secrets, of at most `bytes_max` bytes, that nobody else may read.
///
/// # Errors
/// As [`read_secret`].
pub fn read_secrets(path: &Path, bytes_max: u64) -> Result<String, Stop> {
    let shown = path.display();
    let failed = |error: InputError| match (error.system(), error) {
        (Some(ErrorKind::NotFound), InputError::Read { source, .. }) => {
            Stop::new(Exit::NoState, format!("{shown} is missing")).because(source)
        }
        (Some(ErrorKind::PermissionDenied), _) => {
            let owner = "give it to the user that this program runs as: chown";
            Stop::new(Exit::Permission, format!("{shown} cannot be read; {owner} USER {shown}"))
        }
        (Some(_), InputError::Read { source, .. }) => {
            Stop::new(Exit::Failure, format!("{shown} cannot be read")).because(source)
        }
        (_, InputError::TooLarge { max, .. }) => {
            let message = format!("{shown} has more than {max} bytes, which no secret has; name another file");
            Stop::new(Exit::Config, message)
        }
        (_, error) => Stop::new(Exit::Config, error.to_string()),
    };
    // What was opened is what is looked at.
    let file = open_input(path).map_err(failed)?;
    let mode =
        file.metadata().map_err(|e| failed(InputError::Read { path: path.to_owned(), source: e }))?.mode() & 0o777;
    // Credentials of systemd belong to root and are readable to the service alone, whatever their bits say.
    if mode & 0o077 != 0 && !in_credentials(path) && !is_handed_over(path) {
        let message =
            format!("{shown} holds a secret and can be reached by others (mode {mode:04o}); run: chmod 600 {shown}");
        return Err(Stop::new(Exit::Permission, message));
    }
    read_opened(file, path, bytes_max).and_then(|bytes| text(bytes, path)).map_err(failed)
}

/// As [`read_secret`]; `-` is standard input.
///
/// # Errors
/// Those of [`read_secret`]; standard input cannot be read, is too long, or no text.
pub fn read_secret_or_input(path: &Path) -> Result<String, Stop> {
    if path.as_os_str() != "-" {
        return read_secret(path);
    }
    let stop = |words: String| Stop::new(Exit::Config, format!("standard input {words}; give one secret on it"));
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| Stop::new(Exit::Failure, "standard input cannot be read").because(e))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(stop(format!("has more than {SECRET_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| stop("is not text (UTF-8)".to_owned()))
}

/// Checks that nobody but its owner, and for reading its group, can reach a file that holds secrets beside other things: packages install
/// configurations as `0640`, with the service's own group.
///
/// # Errors
/// Others may read or write it, or the group may write it: [`Exit::Permission`], with the command that changes it.
pub fn check_private(path: &Path) -> Result<(), Stop> {
    let shown = path.display();
    let metadata = std::fs::metadata(path)
        .map_err(|e| Stop::new(Exit::Permission, format!("{shown} cannot be looked at")).because(e))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o027 != 0 && !in_credentials(path) {
        let message =
            format!("{shown} holds secrets and can be reached by others (mode {mode:04o}); run: chmod 640 {shown}");
        return Err(Stop::new(Exit::Permission, message));
    }
    Ok(())
}

fn in_credentials(path: &Path) -> bool {
    let is_plain = path.components().all(|part| part != std::path::Component::ParentDir);
    is_plain && std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|dir| path.starts_with(dir))
}

/// The credential of that name that systemd hands over (LoadCredential=), or else the file.
pub fn credential_or(name: &str, file: PathBuf) -> PathBuf {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|dir| Path::new(&dir).join(name))
        .filter(|p| p.exists())
        .unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use mdfm_shared::fixture::page::symptom;

    use super::*;

    #[test]
    fn cli_22_secrets_that_others_can_read_are_refused() {
        let path = std::env::temp_dir().join(format!("mdfm-private-{}", std::process::id()));
        std::fs::write(&path, "secret").expect("writes");
        for (mode, is_private) in
            [(0o600, true), (0o640, true), (0o400, true), (0o644, false), (0o660, false), (0o604, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
            let checked = check_private(&path);
            assert_eq!(checked.is_ok(), is_private, "{mode:o}");
            if let Err(stop) = checked {
                assert_eq!(stop.exit, Exit::Permission);
                assert!(stop.to_string().ends_with(&format!("; run: chmod 640 {}", path.display())), "{stop}");
                symptom("The service does not start", "… holds secrets").assert_in(&stop.to_string());
            }
        }
        std::fs::remove_file(&path).expect("removes");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let path = std::env::temp_dir().join(format!("mdfm-secret-{}", std::process::id()));
        assert_eq!(read_secret(&path).expect_err("missing").exit, Exit::NoState);
        std::fs::write(&path, "secret").expect("writes");
        for mode in [0o644, 0o640, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
            let stop = read_secret(&path).expect_err("others can reach it");
            assert_eq!(stop.exit, Exit::Permission);
            assert!(stop.to_string().contains(&format!("chmod 600 {}", path.display())), "{stop}");
            symptom("The service does not start", "… holds a secret").assert_in(&stop.to_string());
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("sets");
        assert_eq!(read_secret(&path).expect("private"), "secret");
        std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).expect("writes");
        assert!(read_secret(&path).expect_err("too long").to_string().contains("more than 1048576 bytes"));
        std::fs::remove_file(&path).expect("removes");
    }

    /// The sample: a FIFO where a secret should be kept the program waiting for ever.
    #[test]
    fn cli_22_a_secret_is_a_regular_file() {
        let path = std::env::temp_dir().join(format!("mdfm-secret-fifo-{}", std::process::id()));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        for other in [path.as_path(), Path::new("/dev/zero"), &std::env::temp_dir()] {
            let stop = read_secret(other).expect_err("no file");
            assert!(stop.to_string().contains("is not a regular file"), "{stop}");
        }
        std::fs::remove_file(&path).expect("removes");
    }

    #[test]
    fn cli_22_a_descriptor_that_the_caller_opened_is_a_secret() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(b"secret\n").expect("written");
        drop(writer);
        let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
        assert_eq!(read_secret(&path).expect("the shell's pipe"), "secret\n");
        let file = std::env::temp_dir().join(format!("mdfm-secret-text-{}", std::process::id()));
        std::fs::write(&file, [0xff]).expect("writes");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("sets");
        assert!(read_secret(&file).expect_err("no text").to_string().contains("is not text"));
        std::fs::remove_file(&file).expect("removes");
    }
}
