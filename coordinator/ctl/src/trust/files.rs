//! Signed trust documents in files: shown to whoever is about to sign, signed by one more, checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mdfm_shared::digest::Digest;
use mdfm_shared::sign::{KeyId, PublicKey, Signed};
use mdfm_shared::trust::{RoleKeys, Roster, TrustRoot, TrustedRoot};
use mdfm_shared::wire;
use serde_json::{Value, json};

use crate::keys;
use crate::output::Output;

/// A signed trust document.
pub(crate) enum Trusted {
    Root(Signed<TrustRoot>),
    Roster(Signed<Roster>),
}

impl Trusted {
    /// Reads a file; the payload tells which it is: exactly one of the two decodes.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let frame = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let root = wire::decode::<Signed<TrustRoot>>(&frame).ok().filter(|s| s.decode_unverified().is_ok());
        let roster = wire::decode::<Signed<Roster>>(&frame).ok().filter(|s| s.decode_unverified().is_ok());
        match (root, roster) {
            (Some(root), None) => Ok(Self::Root(root)),
            (None, Some(roster)) => Ok(Self::Roster(roster)),
            _ => bail!("{} is neither a signed trust root nor a signed roster", file.display()),
        }
    }

    /// Reads a trust root.
    pub(crate) fn read_root(file: &Path) -> anyhow::Result<Signed<TrustRoot>> {
        match Self::read(file)? {
            Self::Root(root) => Ok(root),
            Self::Roster(_) => bail!("{} is a roster, not a trust root", file.display()),
        }
    }

    fn write(&self, file: &Path) -> anyhow::Result<()> {
        let frame = match self {
            Self::Root(root) => wire::encode(root),
            Self::Roster(roster) => wire::encode(roster),
        };
        mdfm_service::atomic_write(file, &frame).with_context(|| format!("writing {}", file.display()))
    }

    /// What it says, and who signed it.
    fn view(&self) -> anyhow::Result<Value> {
        let signers = |ids: Vec<KeyId>| ids.into_iter().map(|id| id.0.to_string()).collect::<Vec<_>>();
        match self {
            Self::Root(signed) => Ok(json!({
                "kind": "trust root", "digest": signed.digest(), "content": signed.decode_unverified()?,
                "signedBy": signers(signed.signatures().iter().map(|s| s.key).collect()),
            })),
            Self::Roster(signed) => Ok(json!({
                "kind": "roster", "digest": signed.digest(), "content": signed.decode_unverified()?,
                "signedBy": signers(signed.signatures().iter().map(|s| s.key).collect()),
            })),
        }
    }

    /// The same for a person.
    fn words(&self) -> anyhow::Result<String> {
        let has = |signatures: &[KeyId], key: &PublicKey| if signatures.contains(&key.id()) { "signed" } else { "-" };
        let mut lines = Vec::new();
        match self {
            Self::Root(signed) => {
                let (root, signatures): (TrustRoot, Vec<KeyId>) =
                    (signed.decode_unverified()?, signed.signatures().iter().map(|s| s.key).collect());
                lines.push(format!("trust root {}, digest {}", root.version, signed.digest()));
                lines.push(format!("expires {}", root.expires_at));
                for (name, role) in roles(&root) {
                    lines.push(format!("{name}: {} of {}", role.threshold, role.keys.len()));
                    lines.extend(role.keys.iter().map(|key| format!("  {key}  {}", has(&signatures, key))));
                }
                lines.push(format!("audit log {}", root.log));
                lines.push(format!("witnesses: {} of {}", root.witnesses.threshold, root.witnesses.keys.len()));
            }
            Self::Roster(signed) => {
                let roster = signed.decode_unverified()?;
                lines.push(format!("roster {}, digest {}", roster.version, signed.digest()));
                for entry in &roster.entries {
                    let roles: Vec<String> = entry.roles.iter().map(ToString::to_string).collect();
                    let until =
                        entry.revoked.as_ref().map_or(format!("until {}", entry.valid_until), |_| "revoked".into());
                    let (user, name, key) = (&entry.user, &entry.printed_name, &entry.key);
                    lines.push(format!("{user} ({name}) as {}, {until}, key {key}", roles.join(", ")));
                }
                lines.push(format!("signatures: {}", signed.signatures().len()));
            }
        }
        Ok(lines.join("\n"))
    }
}

fn roles(root: &TrustRoot) -> [(&'static str, &RoleKeys); 4] {
    [
        ("root", &root.root),
        ("release", &root.release),
        ("registrar", &root.registrar),
        ("coordinator", &root.coordinator),
    ]
}

/// Shows a file.
pub(super) fn inspect(out: &Output, file: &Path) -> anyhow::Result<()> {
    let document = Trusted::read(file)?;
    let words = document.words()?;
    out.answer(&document.view()?, || words);
    Ok(())
}

/// Adds a signature to a file, after showing what is signed.
pub(super) fn co_sign(out: &Output, file: &Path, key_files: &[PathBuf]) -> anyhow::Result<()> {
    let mut document = Trusted::read(file)?;
    for key in key_files {
        let key = keys::secret(key)?;
        match &mut document {
            Trusted::Root(root) => root.add_signature(&key),
            Trusted::Roster(roster) => roster.add_signature(&key),
        }
    }
    document.write(file)?;
    let words = document.words()?;
    out.answer(&document.view()?, || format!("signed:\n{words}"));
    Ok(())
}

/// Checks a chain of roots, the first by its digest, and a roster under the last of them.
pub(super) fn verify(
    out: &Output,
    roots: &[PathBuf],
    pin: Option<Digest>,
    roster: Option<&Path>,
) -> anyhow::Result<()> {
    let mut held: Option<TrustedRoot> = None;
    let mut first = None;
    for file in roots {
        let signed = Trusted::read_root(file)?;
        let checked = match &held {
            None => TrustedRoot::pinned(&signed, pin.unwrap_or_else(|| signed.digest())),
            Some(held) => held.advance(&signed),
        };
        held = Some(checked.with_context(|| format!("{} does not hold", file.display()))?);
        first.get_or_insert(signed.digest());
    }
    let held = held.context("name at least one trust root")?;
    let people = match roster.map(Trusted::read).transpose()? {
        None => None,
        Some(Trusted::Roster(signed)) => {
            let verified =
                signed.verify(held.registrar_keys()).context("the roster does not hold under the last root")?;
            Some(verified.entries.len())
        }
        Some(Trusted::Root(_)) => bail!("what was named as the roster is a trust root"),
    };
    let view =
        json!({ "rootVersion": held.version, "firstRootDigest": first, "pinned": pin.is_some(), "people": people });
    out.answer(&view, || {
        let first = first.map(|d| d.to_string()).unwrap_or_default();
        let pinned = if pin.is_some() { "as pinned" } else { "NOT pinned: compare its digest with what you were told" };
        let people = people.map(|n| format!("; the roster of {n} people holds")).unwrap_or_default();
        format!("trust root {} holds; the first has digest {first}, {pinned}{people}", held.version)
    });
    Ok(())
}
