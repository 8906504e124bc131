//! The directory in which a program keeps its state, checked before anything is read from it or written to it.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use crate::descriptors::wide;
use crate::{Exit, Stop};

/// Checks that `path`, named `setting` in the configuration, is a directory that this process may write to, or can become one: where it
/// is missing, the nearest directory above it is checked.
///
/// # Errors
/// The setting, the path, what is wrong, and what to do.
pub fn check_directory(setting: &str, path: &Path) -> Result<(), Stop> {
    let stop = |exit, problem: String, cure: &str| {
        Err(Stop::new(exit, format!("{setting} {} {problem}; {cure}", path.display())))
    };
    let is_link = fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink());
    let found = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => path,
        Ok(_) => {
            let cure = format!("move that file away, or set {setting} to a directory");
            return stop(Exit::Config, "is a file, not a directory".into(), &cure);
        }
        Err(error) if is_link && error.kind() == io::ErrorKind::NotFound => {
            let target = fs::read_link(path).unwrap_or_default();
            let cure = format!("make that directory, or set {setting} to one that is there");
            let problem = format!("is a symbolic link to {}, which does not exist", target.display());
            return stop(Exit::Config, problem, &cure);
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let above = path.ancestors().skip(1).find(|p| fs::symlink_metadata(p).is_ok());
            let above = above.filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !above.is_dir() {
                let problem = format!("cannot be made: {} is not a directory", above.display());
                return stop(Exit::Config, problem, &format!("set {setting} to another path"));
            }
            above
        }
        Err(error) => {
            let cure = format!("give this user (id {}) access to every directory above it", geteuid());
            return stop(Exit::Permission, format!("cannot be looked at ({error})"), &cure);
        }
    };
    match access(found, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok(()),
        Err(error) => {
            let (exit, problem, cure) = not_writable(setting, error);
            stop(exit, problem, &cure)
        }
    }
}

/// Bytes that an ordinary user may still write below `path`.
///
/// # Errors
/// The file system cannot be asked.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let status = nix::sys::statvfs::statvfs(path)?;
    Ok(wide(status.blocks_available()).saturating_mul(wide(status.fragment_size())))
}

/// What is wrong with a directory that cannot be written to, and what to do.
fn not_writable(setting: &str, error: Errno) -> (Exit, String, String) {
    if error == Errno::EROFS {
        let cure = format!("mount it for writing, or set {setting} to a directory that can be written to");
        return (Exit::Config, "is on a file system that is mounted read-only".into(), cure);
    }
    let problem = format!("cannot be written to by this user (id {}): {}", geteuid(), error.desc());
    let cure = format!("give it to the user that the program runs as (chown {})", geteuid());
    (Exit::Permission, problem, cure)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use mdfm_shared::fixture::page::symptom;

    use super::*;

    #[test]
    fn fld_21_an_unusable_state_dir_is_named_with_the_cure() {
        let dir = std::env::temp_dir().join(format!("mdfm-directory-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("good")).expect("makes");
        fs::write(dir.join("file"), b"x").expect("writes");
        symlink(dir.join("nowhere"), dir.join("dangling")).expect("links");
        symlink(dir.join("good"), dir.join("link")).expect("links");
        for good in ["good", "link", "new", "new/below", "good/below"] {
            assert!(check_directory("state_dir", &dir.join(good)).is_ok(), "{good}");
        }
        for (bad, words) in [
            ("file", "is a file, not a directory; move that file away"),
            ("dangling", "which does not exist; make that directory"),
            ("file/below", "cannot be made: "),
            ("file/below/deeper", "is not a directory; set state_dir to another path"),
            ("dangling/below", "cannot be made: "),
        ] {
            let error = check_directory("state_dir", &dir.join(bad)).expect_err(bad).to_string();
            let path = dir.join(bad).display().to_string();
            assert!(error.contains(&path) && error.contains(words) && error.contains("; "), "{error}");
        }
        let shown = |bad: &str| check_directory("state_dir", &dir.join(bad)).expect_err(bad).to_string();
        symptom("The service does not start", "state_dir … is a file").assert_in(&shown("file"));
        symptom("The service does not start", "state_dir … is a symbolic link").assert_in(&shown("dangling"));
        let read_only = Path::new("/proc/sys");
        let error = check_directory("state_dir", read_only).expect_err("nobody makes a file there").to_string();
        assert!(error.contains("/proc/sys"), "{error}");
        fs::remove_dir_all(dir).expect("removes");
    }

    #[test]
    fn cli_14_what_cannot_be_written_to_is_on_the_page() {
        let shown = |error| {
            let (exit, problem, cure) = not_writable("state_dir", error);
            format!("{}, state_dir /x {problem}; {cure}", exit.code())
        };
        symptom("The service does not start", "state_dir … is on a file system").assert_in(&shown(Errno::EROFS));
        symptom("The service does not start", "state_dir … cannot be written").assert_in(&shown(Errno::EACCES));
        assert!(shown(Errno::EROFS).starts_with("78, ") && shown(Errno::EACCES).starts_with("77, "));
    }
}
