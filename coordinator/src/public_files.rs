//! `mdfm-coordinator public`: the public files of a data directory, copied for others to read.
//!
//! Root runs it on a directory that belongs to the service's user. Each file is therefore parsed and written as what was parsed: a link to another file
//! in place of one of them is refused.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mdfm_service::{Exit, InputError, Stop};
use mdfm_shared::sign::PublicKey;
use mdfm_shared::tlog::NoteKey;

/// Bytes of a public file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Mode of what everybody may read.
const READABLE: u32 = 0o644;

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Checks a file's text and returns it in its canonical form; `None` if it is something else.
type Check = fn(&str) -> Option<String>;

/// The public files and what each of them is.
const PUBLIC: [(&str, Check, &str); 3] = [
    ("ca.pem", certificate, "the authority of the server's certificate, for mdfmctl --ca"),
    ("online.pub", online_key, "the coordinator's public key, for the key ceremony"),
    ("log.vkey", log_key, "the audit log's verifier key, for the key ceremony and for inspectors"),
];

fn certificate(text: &str) -> Option<String> {
    let body = text.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(c);
    let is_one = body.chars().all(is_base64) && mdfm_service::validity(text).is_some();
    is_one.then(|| format!("{}\n", text.trim()))
}

fn online_key(text: &str) -> Option<String> {
    Some(format!("{}\n", text.trim().parse::<PublicKey>().ok()?))
}

fn log_key(text: &str) -> Option<String> {
    Some(format!("{}\n", NoteKey::parse(text.trim()).ok()?.to_vkey()))
}

/// Writes the public files of a data directory into another one, where everybody may read them. A file that is there with the same content is left.
///
/// Returns the files, each with what it is for.
///
/// # Errors
/// A file of the data directory cannot be read or is something else; a file with other content is there already; the directory cannot be written.
/// Nothing is written before everything was checked.
pub(crate) fn hand_out(data: &Path, out: &Path) -> anyhow::Result<Vec<(PathBuf, &'static str)>> {
    let mut files = Vec::new();
    for (name, check, purpose) in PUBLIC {
        let from = data.join(name);
        let text = text_of(&from).map_err(|error| {
            let hint = "was `mdfm-coordinator init` run on this directory?";
            Stop::new(Exit::NoState, format!("{} cannot be read; {hint}", from.display())).because(error)
        })?;
        let text = check(&text).with_context(|| format!("{} is not {purpose}; nothing was written", from.display()))?;
        let to = out.join(name);
        if to.symlink_metadata().is_ok() {
            let same = text_of(&to).is_ok_and(|held| held == text);
            ensure!(same, "{} exists already with other content; name another directory", to.display());
        }
        files.push((to, text, purpose));
    }
    check_place(out)?;
    if !out.exists() {
        fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
        fs::set_permissions(out, Permissions::from_mode(0o755))?;
    }
    let mut made = Vec::new();
    for (to, text, purpose) in files {
        if to.symlink_metadata().is_err() {
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(READABLE)
                .open(&to)
                .with_context(|| format!("making {}", to.display()))?;
            // Whatever the mask is, this is to be read.
            file.set_permissions(Permissions::from_mode(READABLE))?;
            file.write_all(text.as_bytes()).with_context(|| format!("writing {}", to.display()))?;
            file.sync_all()?;
        }
        made.push((to, purpose));
    }
    Ok(made)
}

/// Checks that nobody but root and who runs this can put another directory, or a link, in place of `out` or of what it lies in, between two steps.
///
/// # Errors
/// Somebody can.
fn check_place(out: &Path) -> anyhow::Result<()> {
    let there = std::path::absolute(out)?;
    let there = there.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).canonicalize()?;
    let own = nix::unistd::geteuid().as_raw();
    for directory in there.ancestors() {
        let metadata = directory.metadata()?;
        let is_sticky = metadata.mode() & 0o1000 != 0;
        let is_safe = [0, own].contains(&metadata.uid()) && (metadata.mode() & 0o022 == 0 || is_sticky);
        ensure!(
            is_safe,
            "others can change {}; name a directory in a place of root, such as /srv",
            directory.display()
        );
    }
    Ok(())
}

/// A small file's text.
fn text_of(path: &Path) -> Result<String, InputError> {
    mdfm_service::read_input_text(path, FILE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use mdfm_shared::sign::SecretKey;
    use mdfm_shared::tlog::NoteSigner;

    use super::*;

    #[test]
    fn cli_27_public_files_are_readable_and_nothing_else_leaves() {
        let base = std::env::temp_dir().join(format!("mdfm-public-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let (data, out) = (base.join("data"), base.join("out"));
        fs::create_dir_all(&data).expect("made");
        let key = SecretKey::from_seed([7; 32]);
        let vkey = NoteSigner::new("log.test/x", key.clone()).expect("a signer").key().to_vkey();
        let authority = crate::pki::make_authority("test").expect("an authority");
        let put = |name: &str, text: &str| fs::write(data.join(name), text).expect("written");
        assert!(hand_out(&data, &out).expect_err("empty").to_string().contains("mdfm-coordinator init"));
        put("ca.pem", &authority.certificate);
        put("online.pub", &key.public().to_string());
        put("log.vkey", &vkey);
        put("online.key", &key.to_secret_text());
        // A link to a secret in place of a public file.
        for (name, secret) in
            [("ca.pem", authority.key.as_str()), ("online.pub", &key.to_secret_text()), ("log.vkey", "x")]
        {
            let held = fs::read_to_string(data.join(name)).expect("there");
            put("secret", secret);
            fs::remove_file(data.join(name)).expect("removed");
            std::os::unix::fs::symlink(data.join("secret"), data.join(name)).expect("a link");
            let refused = hand_out(&data, &out).expect_err("no public file").to_string();
            assert!(refused.contains("nothing was written") && !out.exists(), "{refused}");
            fs::remove_file(data.join(name)).expect("removed");
            put(name, &held);
        }
        for _ in 0..2 {
            let made = hand_out(&data, &out).expect("handed out");
            assert_eq!(made.len(), 3);
            for (file, _) in &made {
                assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o644, "{}", file.display());
            }
        }
        assert_eq!(fs::read_dir(&out).expect("there").count(), 3);
        // Where others may rename and link, nothing is made, nor is a key in the clothes of a certificate handed out.
        let shared = base.join("shared");
        fs::create_dir_all(&shared).expect("made");
        fs::set_permissions(&shared, Permissions::from_mode(0o777)).expect("shared");
        let refused = hand_out(&data, &shared.join("out")).expect_err("not there").to_string();
        assert!(refused.contains("others can change") && !shared.join("out").exists(), "{refused}");
        assert_eq!(certificate(&format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", "QUJDREVG".repeat(8))), None);
        fs::write(out.join("online.pub"), "another").expect("written");
        let refused = hand_out(&data, &out).expect_err("another").to_string();
        assert!(refused.contains("other content"), "{refused}");
        fs::remove_dir_all(&base).expect("removed");
    }
}
