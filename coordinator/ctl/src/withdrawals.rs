//! Withdrawals: the signed document by which gateways activate a release no more.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::limits::TRUST_LIFETIME_DEFAULT_MS;
use mdfm_shared::record::{decode_document, document_text};
use mdfm_shared::sign::{Document, Signed};
use mdfm_shared::trust::{TrustRoot, Withdrawal, Withdrawals};
use mdfm_shared::wire;
use reqwest::Method;
use serde_json::{Value, json};

use crate::account::{Code, password_of, with_code};
use crate::client::Client;
use crate::fault;
use crate::firmware::now;
use crate::output::{Output, count, text};
use crate::trust::confirm::{Confirmation, Shown};
use crate::trust::{Before, Compare, Trusted, check_new, weighed, write_new};
use crate::{files, keys};

const DAY_MS: u64 = 86_400_000;
const DAYS: u64 = TRUST_LIFETIME_DEFAULT_MS / DAY_MS;

/// The key of a signature: in files, or the one that the coordinator keeps for you.
#[derive(Debug, Args)]
pub(crate) struct Signature {
    /// Secret key to sign with; once for each key that must sign.
    #[arg(long = "key")]
    pub(crate) keys: Vec<PathBuf>,
    /// File with your password in its first line, to sign with the key that the coordinator keeps for you; `-` reads standard input.
    #[arg(long, conflicts_with = "keys")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) code: Code,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

impl Signature {
    /// Adds the signatures of the key files.
    pub(crate) fn add_to<T: Document>(&self, signed: &mut Signed<T>) -> anyhow::Result<()> {
        for file in &self.keys {
            signed.add_signature(&keys::secret(file)?);
        }
        Ok(())
    }

    /// Lets the coordinator sign with the key that it keeps; `None` if no password is given.
    pub(crate) async fn with_kept_key(
        &self,
        client: &Client,
        path: &str,
        mut body: Value,
    ) -> anyhow::Result<Option<Value>> {
        let Some(file) = &self.password_file else { return Ok(None) };
        client.check_signer()?;
        body["password"] = password_of(Some(file), "your password", "--password-file FILE")?.into();
        with_code(client, Method::POST, path, &body, &self.code).await.map(Some)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Shows which releases are withdrawn for the fleet, and until when that is valid.
    Show,
    /// Signs what is held again, with a new expiry.
    Renew {
        /// Days until the document expires.
        #[arg(long, default_value_t = DAYS)]
        days: u64,
        /// Why.
        #[arg(long, default_value = "renewed")]
        reason: String,
        #[command(flatten)]
        signature: Signature,
    },
    /// Writes the next document to a file, for keys that are elsewhere.
    Make {
        /// A release to withdraw; once for each. With none the document only renews what is held.
        #[arg(long)]
        firmware: Vec<FirmwareId>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Days until the document expires.
        #[arg(long, default_value_t = DAYS)]
        days: u64,
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
    },
    /// Shows the document in a file, asks, and then adds your signature; works offline.
    Sign {
        /// The file.
        file: PathBuf,
        /// Your secret key; may be repeated.
        #[arg(long = "key", required = true)]
        keys: Vec<PathBuf>,
        #[command(flatten)]
        compare: Compare,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Publishes the signed document in a file.
    #[command(alias = "submit")]
    Publish {
        /// The file.
        file: PathBuf,
    },
}

/// The withdrawals that follow the ones that the coordinator holds, and the digest by which their signature is confirmed: of the
/// manifest that is withdrawn; without one of the withdrawals before, or of the newest trust root if they are the first.
async fn next(
    client: &Client,
    firmware: &[FirmwareId],
    reason: &str,
    days: u64,
) -> anyhow::Result<(Withdrawals, Shown)> {
    let trust = client.get("/api/v1/trust").await?;
    let signed = trust["withdrawals"].as_str().map(|frame| decode_document::<Withdrawals>("withdrawals", frame));
    let signed = signed.transpose()?;
    let held = signed.as_ref().map(Signed::decode_unverified).transpose()?;
    let (mut confirmed, mut digest_of) = match &signed {
        Some(signed) => (signed.digest(), "SHA-256 of the withdrawals before"),
        None => (newest_root(&trust)?, "digest of the newest trust root (these are the first withdrawals)"),
    };
    let at = now();
    let mut releases = held.as_ref().map(|h| h.releases.clone()).unwrap_or_default();
    for id in firmware {
        let view = client.get(&format!("/api/v1/firmware/{id}")).await?;
        let manifest =
            view["manifestDigest"].as_str().with_context(|| format!("firmware {id} has no signed manifest"))?;
        let manifest: Digest = manifest.parse()?;
        if releases.iter().any(|w| w.manifest == manifest) {
            bail!("firmware {id} is withdrawn for the fleet already");
        }
        (confirmed, digest_of) = (manifest, "digest of the withdrawn manifest");
        releases.push(Withdrawal { manifest, reason: reason.to_owned(), at });
    }
    let version = match &held {
        Some(held) => held.version.checked_add(1).context("there is no version after this one")?,
        None => 1,
    };
    let expires_at = at.plus_ms(days.saturating_mul(DAY_MS));
    let document = Withdrawals { version, issued_at: at, expires_at, releases };
    let before =
        held.map(|held| Before { source: format!("withdrawals {} of the coordinator", held.version), document: held });
    let shown = Shown { digest_of, ..weighed(&document, confirmed, before.as_ref()) };
    Ok((document, shown))
}

/// The digest of the newest trust root in the coordinator's answer.
fn newest_root(trust: &Value) -> anyhow::Result<Digest> {
    let newest = trust["roots"].as_array().and_then(|roots| roots.last()?.as_str());
    let newest = newest.context("the coordinator has no trust root yet; publish it first (mdfmctl trust publish)")?;
    Ok(decode_document::<TrustRoot>("trust root", newest)?.digest())
}

/// What a document says, one line for each release.
fn words(withdrawals: &Withdrawals) -> String {
    let mut lines = vec![format!(
        "withdrawals {} of {}, valid until {}",
        withdrawals.version, withdrawals.issued_at, withdrawals.expires_at
    )];
    for release in &withdrawals.releases {
        let reason = text(&release.reason.as_str().into());
        lines.push(format!("  manifest {} since {}: {reason}", release.manifest, release.at));
    }
    lines.join("\n")
}

async fn post(out: &Output, client: &Client, signed: &Signed<Withdrawals>) -> anyhow::Result<Value> {
    let view = client.post("/api/v1/trust/withdrawals", &json!({ "document": document_text(signed) })).await?;
    let document = signed.decode_unverified()?;
    out.answer(&view, || format!("{}\nposted; gateways get it as soon as they are reached", words(&document)));
    Ok(view)
}

/// Signs the withdrawal of releases, or a renewal of what is held, and posts it. Gives whether there was a key to sign with.
pub(crate) async fn sign_next(
    out: &Output,
    client: &Client,
    firmware: Option<&str>,
    reason: &str,
    days: u64,
    signature: &Signature,
) -> anyhow::Result<bool> {
    if signature.keys.is_empty() && signature.password_file.is_none() {
        return Ok(false);
    }
    if reason.trim().is_empty() {
        return Err(fault::value("--reason is blank: it stands in what is signed; say why"));
    }
    let named: Vec<FirmwareId> = firmware.map(str::parse).transpose()?.into_iter().collect();
    let (document, shown) = next(client, &named, reason, days).await?;
    // Scripts may still name the digest of nothing, which was asked for before the first withdrawals.
    let is_first = document.version == 1 && firmware.is_none();
    let nothing = signature.confirmation.digest.filter(|digest| is_first && *digest == Digest::of(&[]));
    let shown = Shown { digest: nothing.unwrap_or(shown.digest), ..shown };
    signature.confirmation.ask(&shown)?;
    let mut body = json!({ "firmwareId": firmware, "reason": reason, "days": days, "version": document.version });
    // What is added stands last.
    if let Some(release) = document.releases.last().filter(|_| firmware.is_some()) {
        body["manifestDigest"] = release.manifest.to_string().into();
    }
    if let Some(view) = signature.with_kept_key(client, "/api/v1/trust/withdrawals/signature", body).await? {
        out.answer(&view, || {
            let until = text(&view["withdrawalsExpiresAt"]);
            format!("withdrawals {} are signed and posted, valid until {until}", text(&view["withdrawalsVersion"]))
        });
        return Ok(true);
    }
    let mut signed = Signed::sign(&document, &[])?;
    signature.add_to(&mut signed)?;
    post(out, client, &signed).await?;
    Ok(true)
}

fn read(file: &Path) -> anyhow::Result<Signed<Withdrawals>> {
    let frame = files::read(file)?;
    let signed = wire::decode::<Signed<Withdrawals>>(&frame).ok().filter(|signed| signed.decode_unverified().is_ok());
    signed.with_context(|| Trusted::instead(file, &frame, "a file of withdrawals"))
}

pub(crate) fn write<T: Document>(file: &Path, signed: &Signed<T>) -> anyhow::Result<()> {
    files::replace(file, &wire::encode(signed))
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Show => {
            let view = Client::open(session)?.get("/api/v1/trust").await?;
            out.answer(&view, || {
                let mut lines = vec![match view["withdrawalsVersion"].as_u64().unwrap_or(0) {
                    0 => "no withdrawals are signed yet".to_owned(),
                    version => format!("withdrawals {version}, valid until {}", text(&view["withdrawalsExpiresAt"])),
                }];
                for release in view["withdrawn"].as_array().into_iter().flatten() {
                    let (id, reason) = (text(&release["firmwareId"]), text(&release["reason"]));
                    lines.push(format!("  {id} (manifest {}): {reason}", text(&release["manifestDigest"])));
                }
                for id in view["unsigned"].as_array().into_iter().flatten() {
                    lines.push(format!("  {}: withdrawn here, not yet signed for the fleet", text(id)));
                }
                lines.join("\n")
            });
        }
        Action::Renew { days, reason, signature } => {
            let client = Client::open(session)?;
            if !sign_next(out, &client, None, &reason, days, &signature).await? {
                bail!("a key is needed: --key FILE, or --password-file FILE for the key that the coordinator keeps");
            }
        }
        Action::Make { firmware, reason, days, out: file } => {
            if reason.trim().is_empty() {
                return Err(fault::value("--reason is blank: it stands in what is signed; say why"));
            }
            check_new(&file)?;
            let (document, _) = next(&Client::open(session)?, &firmware, &reason, days).await?;
            write_new(&file, &Signed::sign(&document, &[])?)?;
            out.answer(&json!({ "file": file, "content": document }), || {
                format!("{}\nwritten to {}; sign it with mdfmctl withdrawals sign", words(&document), file.display())
            });
        }
        Action::Sign { file, keys, compare, confirmation } => {
            let mut signed = read(&file)?;
            let secrets = keys.iter().map(|key| keys::secret(key)).collect::<anyhow::Result<Vec<_>>>()?;
            confirmation.ask(&Trusted::Withdrawals(signed.clone()).show(session, &compare).await?)?;
            secrets.iter().for_each(|key| signed.add_signature(key));
            write(&file, &signed)?;
            let document = signed.decode_unverified()?;
            let answer = json!({ "file": file, "content": document, "signatures": signed.signatures().len() });
            out.answer(&answer, || format!("{}\n{}", words(&document), count(signed.signatures().len(), "signature")));
        }
        Action::Publish { file } => drop(post(out, &Client::open(session)?, &read(&file)?).await?),
    }
    Ok(())
}
