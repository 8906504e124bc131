//! Secrets in files: readable by their owner alone, or handed over by systemd.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Exit, Stop};

/// Reads a secret file that nobody else may read.
///
/// # Errors
/// It is missing ([`Exit::NoState`]), or others may read or write it, or this program may not ([`Exit::Permission`], with the
/// command that mends it).
pub fn read_secret(path: &Path) -> Result<String, Stop> {
    let shown = path.display();
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => Stop::new(Exit::NoState, format!("{shown} is missing")).because(e),
        ErrorKind::PermissionDenied => {
            let owner = "give it to the service's user: chown";
            Stop::new(Exit::Permission, format!("{shown} cannot be read; {owner} USER {shown}")).because(e)
        }
        _ => Stop::new(Exit::Failure, format!("{shown} cannot be read")).because(e),
    };
    let mode = std::fs::metadata(path).map_err(failed)?.mode() & 0o777;
    // Credentials of systemd belong to root and are readable to the service alone, whatever their bits say.
    if mode & 0o077 != 0 && !in_credentials(path) {
        let message =
            format!("{shown} holds a secret and can be reached by others (mode {mode:04o}); run: chmod 600 {shown}");
        return Err(Stop::new(Exit::Permission, message));
    }
    std::fs::read_to_string(path).map_err(failed)
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
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|dir| path.starts_with(dir))
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
        std::fs::remove_file(&path).expect("removes");
    }
}
