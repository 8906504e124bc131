//! Trust roots and rosters: made and signed offline, then published.

mod files;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use mdfm_shared::digest::Digest;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::{Document, PublicKey, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{NoteKey, WitnessKey, WitnessPolicy};
use mdfm_shared::trust::{ApprovalPolicy, Role, RoleKeys, Roster, RosterEntry, TrustRoot, Witnesses};
use mdfm_shared::wire;
use serde_json::json;

use crate::client::Client;
use crate::keys;
use crate::output::Output;

pub(crate) use files::Trusted;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Makes a trust root and signs it with the given root keys. The next version needs the old and the new keys.
    Root {
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
        /// Version; 1 for the first.
        #[arg(long, default_value_t = 1)]
        version: u64,
        /// Days until it expires.
        #[arg(long, default_value_t = 1_095)]
        days: u32,
        /// Public root keys.
        #[arg(long = "root", required = true)]
        root: Vec<String>,
        /// Root signatures needed.
        #[arg(long, default_value_t = 1)]
        root_threshold: u16,
        /// Public keys of the release role.
        #[arg(long = "release", required = true)]
        release: Vec<String>,
        /// Release signatures needed.
        #[arg(long, default_value_t = 1)]
        release_threshold: u16,
        /// Public keys of the registrar role, who signs rosters.
        #[arg(long = "registrar", required = true)]
        registrar: Vec<String>,
        /// Registrar signatures needed.
        #[arg(long, default_value_t = 1)]
        registrar_threshold: u16,
        /// The coordinator's public online key (online.pub of its data directory).
        #[arg(long)]
        coordinator: String,
        /// File with the audit log's verifier key (log.vkey of the coordinator's data directory).
        #[arg(long)]
        log_vkey: PathBuf,
        /// Verifier key of a witness, or a file with it; agents then trust only checkpoints that witnesses have seen.
        #[arg(long)]
        witness: Vec<String>,
        /// How many of the witnesses must have seen a checkpoint; all of them unless given.
        #[arg(long)]
        witness_threshold: Option<u16>,
        /// Secret root keys to sign with; others add theirs with `sign`.
        #[arg(long = "sign")]
        sign: Vec<PathBuf>,
    },
    /// Makes a roster of the people who may approve, and signs it as registrar.
    Roster {
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
        /// Version; above the published one.
        #[arg(long)]
        version: u64,
        /// One person: `user-id|Printed Name|Role,Role|public key or file`.
        #[arg(long = "person", required = true)]
        people: Vec<String>,
        /// Days until the entries expire.
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// Secret registrar keys to sign with.
        #[arg(long = "sign", required = true)]
        sign: Vec<PathBuf>,
    },
    /// Makes the next version of a trust root: what is not named stays. It needs the signatures of the old and of the new root keys; sign here with
    /// those that are at hand, and let the others add theirs with `sign`.
    Rotate(Box<Rotation>),
    /// Adds your signature to a trust root or roster in a file, and shows what you have signed.
    Sign {
        /// The file.
        file: PathBuf,
        /// Your secret key.
        #[arg(long = "key", required = true)]
        key: Vec<PathBuf>,
    },
    /// Shows a trust root or roster in a file, and who has signed it; works offline.
    Inspect {
        /// The file.
        file: PathBuf,
    },
    /// Checks trust roots from the first to the last, and a roster under the last; works offline.
    Verify {
        /// The roots, version 1 first.
        #[arg(required = true)]
        roots: Vec<PathBuf>,
        /// Digest of the first root, as the ceremony's minutes have it.
        #[arg(long)]
        pin: Option<Digest>,
        /// A roster to check too.
        #[arg(long)]
        roster: Option<PathBuf>,
    },
    /// Publishes a signed trust root or roster at the coordinator.
    Publish {
        /// The file.
        file: PathBuf,
    },
    /// Shows what the coordinator holds.
    Show,
}

/// What the next version of a trust root has instead of what the one before has.
#[derive(Debug, Args)]
pub(crate) struct Rotation {
    /// The version before.
    #[arg(long)]
    from: PathBuf,
    /// Where to write the next one.
    #[arg(long)]
    out: PathBuf,
    /// Days until it expires.
    #[arg(long, default_value_t = 1_095)]
    days: u32,
    /// Public root keys, all of them.
    #[arg(long = "root")]
    root: Vec<String>,
    /// Root signatures needed.
    #[arg(long)]
    root_threshold: Option<u16>,
    /// Public keys of the release role, all of them.
    #[arg(long = "release")]
    release: Vec<String>,
    /// Release signatures needed.
    #[arg(long)]
    release_threshold: Option<u16>,
    /// Public keys of the registrar role, all of them.
    #[arg(long = "registrar")]
    registrar: Vec<String>,
    /// Registrar signatures needed.
    #[arg(long)]
    registrar_threshold: Option<u16>,
    /// The coordinator's public online key.
    #[arg(long)]
    coordinator: Option<String>,
    /// File with the audit log's verifier key.
    #[arg(long)]
    log_vkey: Option<PathBuf>,
    /// Verifier keys of witnesses, or files with them, all of them.
    #[arg(long)]
    witness: Vec<String>,
    /// How many of the witnesses must have seen a checkpoint.
    #[arg(long)]
    witness_threshold: Option<u16>,
    /// Secret root keys to sign with.
    #[arg(long = "sign")]
    sign: Vec<PathBuf>,
}

impl Rotation {
    fn next(&self) -> anyhow::Result<TrustRoot> {
        let before = Trusted::read_root(&self.from)?.decode_unverified()?;
        let changed = |texts: &[String], threshold: Option<u16>, held: RoleKeys| -> anyhow::Result<RoleKeys> {
            let keys = if texts.is_empty() { held.keys } else { public_keys(texts)? };
            let role = RoleKeys { keys, threshold: threshold.unwrap_or(held.threshold) };
            role.key_set()?;
            Ok(role)
        };
        let log = match &self.log_vkey {
            Some(file) => verifier_key(file)?,
            None => before.log,
        };
        let witnesses = match (self.witness.is_empty(), self.witness_threshold) {
            (false, threshold) => witnesses(&self.witness, threshold)?,
            (true, Some(_)) => witnesses(&before.witnesses.keys, self.witness_threshold)?,
            (true, None) => before.witnesses,
        };
        let coordinator: Vec<String> = self.coordinator.iter().cloned().collect();
        Ok(TrustRoot {
            version: before.version + 1,
            expires_at: now().plus_ms(u64::from(self.days) * DAY_MS),
            root: changed(&self.root, self.root_threshold, before.root)?,
            release: changed(&self.release, self.release_threshold, before.release)?,
            registrar: changed(&self.registrar, self.registrar_threshold, before.registrar)?,
            coordinator: changed(&coordinator, None, before.coordinator)?,
            log,
            witnesses,
            approvals: before.approvals,
        })
    }
}

const DAY_MS: u64 = 86_400_000;

fn now() -> UtcMillis {
    UtcMillis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

fn sign<T: Document>(document: &T, key_files: &[PathBuf], out: &Path) -> anyhow::Result<Signed<T>> {
    let secrets = key_files.iter().map(|f| keys::secret(f)).collect::<Result<Vec<_>, _>>()?;
    let signed = Signed::sign(document, &secrets.iter().collect::<Vec<_>>())?;
    std::fs::write(out, wire::encode(&signed)).with_context(|| format!("writing {}", out.display()))?;
    Ok(signed)
}

fn public_keys(texts: &[String]) -> anyhow::Result<Vec<PublicKey>> {
    texts.iter().map(|t| keys::public(t)).collect()
}

/// The audit log's verifier key in a file.
fn verifier_key(file: &Path) -> anyhow::Result<String> {
    let log = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?.trim().to_owned();
    NoteKey::parse(&log)?;
    Ok(log)
}

pub(crate) fn role(texts: &[String], threshold: u16) -> anyhow::Result<RoleKeys> {
    let keys = public_keys(texts)?;
    let role = RoleKeys { keys, threshold };
    role.key_set()?;
    Ok(role)
}

/// The witnesses, each given as a verifier key or a file with one.
fn witnesses(texts: &[String], threshold: Option<u16>) -> anyhow::Result<Witnesses> {
    let read = |text: &String| -> anyhow::Result<String> {
        let key = if Path::new(text).exists() { std::fs::read_to_string(text)? } else { text.clone() };
        Ok(WitnessKey::parse(key.trim()).with_context(|| format!("{text} is no witness's verifier key"))?.to_vkey())
    };
    let keys = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let threshold = match threshold {
        Some(threshold) => threshold,
        None => u16::try_from(keys.len())?,
    };
    WitnessPolicy::new(keys.iter().map(String::as_str), usize::from(threshold))
        .context("a witness stands there twice, or more are demanded than there are")?;
    Ok(Witnesses { keys, threshold })
}

fn person(text: &str, from: UtcMillis, days: u32) -> anyhow::Result<RosterEntry> {
    let parts: Vec<&str> = text.split('|').map(str::trim).collect();
    let [user, printed_name, roles, key] = parts.as_slice() else {
        bail!("a person is written user-id|Printed Name|Role,Role|public key or file, found {text:?}");
    };
    Ok(RosterEntry {
        user: user.parse()?,
        printed_name: (*printed_name).to_owned(),
        roles: roles.split(',').map(|r| r.trim().parse::<Role>()).collect::<Result<_, _>>()?,
        key: keys::public(key)?,
        valid_from: from,
        valid_until: from.plus_ms(u64::from(days) * DAY_MS),
        revoked: None,
    })
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Root {
            out: file,
            version,
            days,
            root,
            root_threshold,
            release,
            release_threshold,
            registrar,
            registrar_threshold,
            coordinator,
            log_vkey,
            witness,
            witness_threshold,
            sign: key_files,
        } => {
            let log = verifier_key(&log_vkey)?;
            let document = TrustRoot {
                version,
                expires_at: now().plus_ms(u64::from(days) * DAY_MS),
                root: role(&root, root_threshold)?,
                release: role(&release, release_threshold)?,
                registrar: role(&registrar, registrar_threshold)?,
                coordinator: role(&[coordinator], 1)?,
                log,
                witnesses: witnesses(&witness, witness_threshold)?,
                approvals: ApprovalPolicy::seed(),
            };
            let signed = sign(&document, &key_files, &file)?;
            out.answer(&json!({ "version": version, "digest": signed.digest() }), || {
                format!("trust root {version} with digest {} in {}", signed.digest(), file.display())
            });
            Ok(())
        }
        Action::Roster { out: file, version, people, days, sign: key_files } => {
            // A day back: an approver's clock may be behind.
            let from = UtcMillis(now().0.saturating_sub(DAY_MS));
            let entries = people.iter().map(|p| person(p, from, days)).collect::<Result<Vec<_>, _>>()?;
            let count = entries.len();
            sign(&Roster { version, entries, freshness: None }, &key_files, &file)?;
            out.answer(&json!({ "version": version, "people": count }), || {
                format!("roster {version} of {count} people in {}", file.display())
            });
            Ok(())
        }
        Action::Rotate(rotation) => {
            let document = rotation.next()?;
            let signed = sign(&document, &rotation.sign, &rotation.out)?;
            let (version, file) = (document.version, rotation.out.display());
            out.answer(&json!({ "version": version, "digest": signed.digest() }), || {
                format!(
                    "trust root {version} with digest {} in {file}; `trust inspect` shows who has signed",
                    signed.digest()
                )
            });
            Ok(())
        }
        Action::Sign { file, key } => files::co_sign(out, &file, &key),
        Action::Inspect { file } => files::inspect(out, &file),
        Action::Verify { roots, pin, roster } => files::verify(out, &roots, pin, roster.as_deref()),
        Action::Publish { file } => {
            let client = Client::open(session)?;
            let (path, document) = match Trusted::read(&file)? {
                Trusted::Root(root) => ("/api/v1/trust/roots", document_text(&root)),
                Trusted::Roster(roster) => ("/api/v1/trust/rosters", document_text(&roster)),
            };
            client.post(path, &json!({ "document": document })).await?;
            out.answer(&json!({ "published": file }), || format!("published {}", file.display()));
            Ok(())
        }
        Action::Show => {
            let view = Client::open(session)?.get("/api/v1/trust").await?;
            out.answer(&view, || {
                let text = |key: &str| crate::output::text(&view[key]);
                format!(
                    "trust root {} (first: {})\nroster {}\naudit log {}",
                    text("rootVersion"),
                    text("firstRootDigest"),
                    text("rosterVersion"),
                    text("logKey")
                )
            });
            Ok(())
        }
    }
}
