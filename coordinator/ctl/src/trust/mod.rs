//! Trust documents: made and signed offline, then published. Nothing is signed before its signer saw all of it.

pub(crate) mod confirm;
pub(crate) mod describe;
mod files;
mod roster;
mod weaker;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use mdfm_shared::digest::Digest;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::{PublicKey, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{NoteKey, WitnessKey, WitnessPolicy};
use mdfm_shared::trust::{ApprovalPolicy, RoleKeys, Roster, TrustRoot, Witnesses};
use serde_json::{Value, json};

use crate::client::Client;
use crate::keys;
use crate::output::Output;
use confirm::Confirmation;

pub(crate) use files::{Before, Compare, Kind, Trusted, check_new, joined, weighed, write_new};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Makes a trust root; the owners of the root keys sign it, here or with `sign`. The next version needs the old and the new
    /// keys: `rotate-root` makes it.
    #[command(alias = "root")]
    MakeRoot {
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
        /// Version; 1 for the first.
        #[arg(long = "document-version", alias = "version", default_value_t = 1, value_name = "N")]
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
        #[arg(long = "key", alias = "sign")]
        sign: Vec<PathBuf>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Makes the roster of the people who may approve: the first one, or the next from the one before.
    #[command(alias = "roster")]
    MakeRoster(Box<roster::Options>),
    /// Makes the next version of a trust root: what is not named stays. It needs the signatures of the old and of the new root
    /// keys; sign here with those that are at hand, and let the others add theirs with `sign`.
    #[command(alias = "rotate")]
    RotateRoot(Box<Rotation>),
    /// Shows a document in a file, what is weaker in it, asks, and then adds your signature.
    Sign {
        /// The file.
        file: PathBuf,
        /// Your secret key; may be repeated.
        #[arg(long = "key", required = true)]
        key: Vec<PathBuf>,
        #[command(flatten)]
        compare: Compare,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Adds to a document in a file the signatures of its copies, which other owners signed elsewhere; works offline.
    Join {
        /// The file.
        file: PathBuf,
        /// Copies of it with other signatures.
        #[arg(required = true)]
        copies: Vec<PathBuf>,
        /// What the file is, where that is not clear.
        #[arg(long = "document")]
        kind: Option<Kind>,
    },
    /// Shows every field of a document in a file, what is weaker in it, and who has signed it; works offline.
    Inspect {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        compare: Compare,
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
        /// Why, for the record of a roster.
        #[arg(long)]
        reason: Option<String>,
        /// Publish a roster that drops or narrows entries of the past, after a confirmation: approvals that stand on them no
        /// longer count.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Shows what the coordinator holds.
    Show,
}

/// What the next version of a trust root has instead of what the one before has.
#[derive(Debug, Args)]
pub(crate) struct Rotation {
    /// The document before this one.
    #[arg(long = "previous", alias = "from", value_name = "FILE")]
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
    #[arg(long = "key", alias = "sign")]
    sign: Vec<PathBuf>,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Rotation {
    fn next(&self, before: TrustRoot) -> anyhow::Result<TrustRoot> {
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
            version: before.version.checked_add(1).context("there is no version after this one")?,
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

pub(crate) fn now() -> UtcMillis {
    UtcMillis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

fn public_keys(texts: &[String]) -> anyhow::Result<Vec<PublicKey>> {
    texts.iter().map(|t| keys::public(t)).collect()
}

/// The audit log's verifier key in a file.
fn verifier_key(file: &Path) -> anyhow::Result<String> {
    let log = crate::files::read_text(file)?.trim().to_owned();
    NoteKey::parse(&log)
        .with_context(|| format!("{} is not the audit log's verifier key (--log-vkey)", file.display()))?;
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
        let key = if Path::new(text).exists() { crate::files::read_text(Path::new(text))? } else { text.clone() };
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

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::MakeRoot {
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
            confirmation,
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
            let shown = weighed(&document, Signed::sign(&document, &[])?.digest(), None);
            let signed = files::create(&document, &shown, &key_files, &confirmation, &file)?;
            made(out, &file, version, &signed, &shown);
            Ok(())
        }
        Action::MakeRoster(options) => roster::make(out, session, *options).await,
        Action::RotateRoot(rotation) => {
            let before = Trusted::read_root(&rotation.from)?.decode_unverified()?;
            let before = Before { document: before, source: rotation.from.display().to_string() };
            let document = rotation.next(before.document.clone())?;
            let shown = weighed(&document, Signed::sign(&document, &[])?.digest(), Some(&before));
            let signed = files::create(&document, &shown, &rotation.sign, &rotation.confirmation, &rotation.out)?;
            made(out, &rotation.out, document.version, &signed, &shown);
            Ok(())
        }
        Action::Sign { file, key, compare, confirmation } => {
            files::co_sign(out, session, &file, &key, &compare, &confirmation).await
        }
        Action::Join { file, copies, kind } => files::join(out, &file, &copies, kind),
        Action::Inspect { file, compare } => files::inspect(out, session, &file, &compare).await,
        Action::Verify { roots, pin, roster } => files::verify(out, &roots, pin, roster.as_deref()),
        Action::Publish { file, reason, force, confirmation } => {
            let client = Client::open(session)?;
            let mut warnings = Vec::new();
            match Trusted::read(&file)? {
                Trusted::Root(root) => {
                    client.post("/api/v1/trust/roots", &json!({ "document": document_text(&root) })).await?;
                }
                Trusted::Roster(roster) => {
                    publish_roster(&client, &roster, reason.as_deref(), force, &confirmation).await?;
                    warnings = weaker::unheld_roles(&roster.decode_unverified()?, now());
                }
                other => {
                    bail!("{} is a {}, which is not published with this command", file.display(), other.kind_name())
                }
            }
            out.answer(&json!({ "published": file, "warnings": warnings }), || {
                let warnings: String = warnings.iter().map(|w| format!("\nwarning: {w}")).collect();
                format!("published {}{warnings}", file.display())
            });
            Ok(())
        }
        Action::Show => {
            let view = Client::open(session)?.get("/api/v1/trust").await?;
            out.answer(&view, || {
                let text = |key: &str| crate::output::text(&view[key]);
                let mut lines = vec![held(&view)];
                lines.push(format!(
                    "withdrawals {}, expire {}",
                    text("withdrawalsVersion"),
                    text("withdrawalsExpiresAt")
                ));
                lines.push(format!("newest checkpoint cosigned {}", text("cosignedAt")));
                let warnings = view["warnings"].as_array().into_iter().flatten();
                lines.extend(warnings.map(|w| format!("warning: {}", crate::output::text(w))));
                if !view["notFresh"].is_null() {
                    lines.push(format!("no deployment can start: {}", text("notFresh")));
                }
                if view["unsigned"].as_array().is_some_and(|u| !u.is_empty()) {
                    lines.push(format!("withdrawn here, not yet signed for the fleet: {}", text("unsigned")));
                }
                lines.join("\n")
            });
            Ok(())
        }
    }
}

/// Answers that a trust root was made, and what its owners do next.
fn made(out: &Output, file: &Path, version: u64, signed: &Signed<TrustRoot>, shown: &confirm::Shown) {
    let (digest, signatures, file) = (signed.digest(), signed.signatures().len(), file.display());
    let view = json!({ "version": version, "digest": digest, "signatures": signatures, "shown": shown });
    out.answer(&view, || {
        let done = format!("trust root {version} with digest {digest} in {file}");
        let next = format!("each owner of a root key signs it: mdfmctl trust sign {file} --key KEY");
        if signatures > 0 { format!("{done}\n{next}") } else { format!("{}\n\n{done}\n{next}", shown.text()) }
    });
}

/// Publishes a roster; one that alters the past only by force, after it was shown.
async fn publish_roster(
    client: &Client,
    roster: &Signed<Roster>,
    reason: Option<&str>,
    force: bool,
    confirmation: &Confirmation,
) -> anyhow::Result<()> {
    let document = roster.decode_unverified()?;
    if force {
        let held = files::held_roster(&client.get("/api/v1/trust").await?);
        let before =
            held.map(|held| Before { source: format!("roster {} of the coordinator", held.version), document: held });
        confirmation.ask(&weighed(&document, roster.digest(), before.as_ref()))?;
    }
    let body = json!({ "document": document_text(roster), "acceptAlterations": force, "reason": reason });
    client.post("/api/v1/trust/rosters", &body).await?;
    Ok(())
}

/// What the coordinator holds, for people.
fn held(view: &Value) -> String {
    let text = |key: &str| crate::output::text(&view[key]);
    let mut lines = vec![
        format!("trust root {} (first: {})", text("rootVersion"), text("firstRootDigest")),
        format!("  expires   {}", text("rootExpiresAt")),
        format!("roster {}", text("rosterVersion")),
        format!("  made      {}", text("rosterIssuedAt")),
        format!("  expires   {}", text("rosterExpiresAt")),
    ];
    for entry in view["rosterEntries"].as_array().into_iter().flatten() {
        let text = |key: &str| crate::output::text(&entry[key]);
        let state = match (&entry["revoked"], entry["validNow"].as_bool()) {
            (Value::Null, Some(true)) => format!("until {}", text("validUntil")),
            (Value::Null, _) => format!("from {} until {}, not today", text("validFrom"), text("validUntil")),
            (revoked, _) => format!("REVOKED from {} on", crate::output::text(&revoked["at"])),
        };
        lines.push(format!(
            "  {} ({}) as {}, key {}",
            text("userId"),
            text("printedName"),
            text("roles"),
            text("keyId")
        ));
        lines.push(format!("    {state}"));
    }
    lines.push(format!("audit log {}", text("logKey")));
    lines.join("\n")
}
