//! Keys in files. A key file holds the secret; beside it, ending in `.pub`, stands the public key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Subcommand;
use mdfm_shared::sign::{PublicKey, SecretKey};
use serde_json::json;

use crate::files::{self, Access, NewFile};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Makes Ed25519 keys: FILE with the secret, FILE.pub with the public key.
    #[command(alias = "new")]
    Make {
        /// Where to write each secret key; must not exist.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Shows a public key and its id, to compare with the ids that `trust inspect` shows.
    Show {
        /// The key, or the file with it.
        key: String,
    },
}

pub(crate) fn run(out: &Output, action: Action) -> anyhow::Result<()> {
    let files = match action {
        Action::Make { files } => files,
        Action::Show { key } => return show(out, &key),
    };
    let mut places = BTreeSet::new();
    for file in &files {
        for path in [file, &public_file(file)] {
            ensure!(places.insert(place(path)?), "{} is named twice; nothing was made", path.display());
            let is_free = path.symlink_metadata().is_err();
            ensure!(is_free, "{} exists already; keys are never overwritten, and nothing was made", path.display());
        }
    }
    let made = files.iter().map(|file| new(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let views = made.iter().map(|key| json!({ "publicKey": key.to_string(), "keyId": key.id().0 }));
    let view = match views.collect::<Vec<_>>().as_slice() {
        [one] => one.clone(),
        all => all.into(),
    };
    out.answer(&view, || {
        let line = |(file, key): (&PathBuf, &PublicKey)| {
            format!("secret key in {}, keep it safe; public key {key}", file.display())
        };
        files.iter().zip(&made).map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// Where the public half of a key is.
fn public_file(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.pub", file.display()))
}

/// Where a file is, however its name is written.
fn place(file: &Path) -> anyhow::Result<PathBuf> {
    let name = file.file_name().with_context(|| format!("{} names no file; nothing was made", file.display()))?;
    let parent = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().with_context(|| format!("{}; nothing was made", parent.display()))?;
    Ok(parent.join(name))
}

/// Makes one key in a file that does not exist.
fn new(file: &Path) -> anyhow::Result<PublicKey> {
    let (secret_target, public_target) =
        (NewFile::create(file, Access::Owner)?, NewFile::create(&public_file(file), Access::Mask)?);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    let key = SecretKey::from_seed(seed);
    secret_target.write(key.to_secret_text().as_bytes())?;
    public_target.write(format!("{}\n", key.public()).as_bytes())?;
    Ok(key.public())
}

fn show(out: &Output, key: &str) -> anyhow::Result<()> {
    let key = public(key)?;
    let (short, id) = (key.id().to_string(), key.id().0);
    out.answer(&json!({ "publicKey": key.to_string(), "keyId": id }), || {
        format!("public key {key}\nid         {short} (in full {id})")
    });
    Ok(())
}

/// Reads a secret key file.
pub(crate) fn secret(path: &Path) -> anyhow::Result<SecretKey> {
    let text = files::read_secret(path).context("the secret key")?;
    SecretKey::from_secret_text(&text).with_context(|| format!("{} is not a secret key file", path.display()))
}

/// Reads a public key: the text itself, or a file with it.
pub(crate) fn public(text: &str) -> anyhow::Result<PublicKey> {
    if text.starts_with("ed25519:") {
        return Ok(text.parse()?);
    }
    read_public(Path::new(text))
}

/// Reads a file with a public key.
pub(crate) fn read_public(file: &Path) -> anyhow::Result<PublicKey> {
    let content = files::read_text(file).context("the public key")?;
    content.trim().parse().with_context(|| format!("{} is not a public key file", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Form;

    #[test]
    fn cli_27_several_keys_are_made_at_once_or_none() {
        let dir = std::env::temp_dir().join(format!("mdfmctl-keys-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("made");
        let out = Output::new(Form::Table, false).expect("a form");
        let make =
            |names: &[&str]| run(&out, Action::Make { files: names.iter().map(|name| dir.join(name)).collect() });
        for twice in [&["a", "b", "a"][..], &["a", "a.pub"], &["a.pub", "a"], &["a", "./a"], &["a", "a.pub/../a"]] {
            assert!(make(twice).expect_err("twice").to_string().contains("nothing was made"), "{twice:?}");
            assert!(!dir.join("a.pub").exists(), "{twice:?}");
        }
        assert!(!dir.join("a").exists());
        make(&["a", "b"]).expect("made");
        let first = std::fs::read(dir.join("a")).expect("reads");
        assert!(make(&["c", "a"]).expect_err("exists").to_string().contains("never overwritten"));
        assert!(!dir.join("c").exists() && std::fs::read(dir.join("a")).expect("reads") == first);
        let keys = ["a", "b"].map(|name| secret(&dir.join(name)).expect("a key").public());
        let public = ["a.pub", "b.pub"].map(|name| public(&dir.join(name).display().to_string()).expect("a key"));
        assert!(keys == public && keys[0] != keys[1]);
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
