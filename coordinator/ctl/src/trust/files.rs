//! Signed documents in files: shown to whoever is about to sign, signed by one more, checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use mdfm_shared::digest::Digest;
use mdfm_shared::manifest::Manifest;
use mdfm_shared::record::decode_document;
use mdfm_shared::sign::{Document, KeyId, KeySet, PublicKey, SecretKey, SignError, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Approval, RoleKeys, RollbackOrder, Roster, TrustRoot, TrustedRoot, Validation, Withdrawals};
use mdfm_shared::wire;
use serde_json::{Value, json};

use super::confirm::{Confirmation, Shown};
use super::describe::{self, Describe, Line};
use super::now;
use super::weaker::{Marks, Weigh};
use crate::client::Client;
use crate::files::{self, Access, NewFile};
use crate::keys;
use crate::output::{Output, count};

/// A signed document of any kind.
pub(crate) enum Trusted {
    Root(Signed<TrustRoot>),
    Roster(Signed<Roster>),
    Withdrawals(Signed<Withdrawals>),
    RollbackOrder(Signed<RollbackOrder>),
    Manifest(Signed<Manifest>),
    Approval(Signed<Approval>),
    Validation(Signed<Validation>),
}

/// The kinds of documents, as the command line names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    TrustRoot,
    Roster,
    Withdrawals,
    RollbackOrder,
    Manifest,
    Approval,
    Validation,
}

/// Does the same with a document of any kind.
macro_rules! each {
    ($document:expr, $signed:ident => $then:expr) => {
        match $document {
            Trusted::Root($signed) => $then,
            Trusted::Roster($signed) => $then,
            Trusted::Withdrawals($signed) => $then,
            Trusted::RollbackOrder($signed) => $then,
            Trusted::Manifest($signed) => $then,
            Trusted::Approval($signed) => $then,
            Trusted::Validation($signed) => $then,
        }
    };
}

/// With what a document is compared.
#[derive(Debug, Default, Args)]
pub(crate) struct Compare {
    /// The document before this one, from a source that you trust; else the coordinator is asked for it, if you are signed in.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// What the file is, where that is not clear.
    #[arg(long = "document", alias = "kind")]
    kind: Option<Kind>,
}

/// The document before, and where it comes from.
pub(crate) struct Before<T> {
    pub(crate) document: T,
    pub(crate) source: String,
}

fn decoded<T: Describe>(frame: &[u8]) -> Option<Signed<T>> {
    wire::decode::<Signed<T>>(frame).ok().filter(|s| s.decode_unverified().is_ok())
}

impl Trusted {
    /// Reads a file; the payload decides which kind it is, unless it could be two.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        Self::read_as(file, None)
    }

    pub(crate) fn read_as(file: &Path, wanted: Option<Kind>) -> anyhow::Result<Self> {
        let frame = files::read(file)?;
        let mut fits = Self::candidates(&frame);
        fits.retain(|document| wanted.is_none_or(|kind| document.kind() == kind));
        match (fits.pop(), fits.is_empty()) {
            (Some(document), true) => Ok(document),
            (Some(last), false) => {
                let kinds: Vec<&str> = fits.iter().chain([&last]).map(Self::kind_name).collect();
                bail!("{} could be several documents ({}): name one with --document", file.display(), kinds.join(", "))
            }
            (None, _) => bail!("{} is not a signed document of this product", file.display()),
        }
    }

    /// What is wrong with a file that should be another kind of document.
    pub(crate) fn instead(file: &Path, frame: &[u8], wanted: &str) -> String {
        let kinds: Vec<&str> = Self::candidates(frame).iter().map(Self::kind_name).collect();
        match kinds.as_slice() {
            [] => format!("{} is not {wanted}, nor another signed document of this product", file.display()),
            kinds => format!("{} is not {wanted}: it holds another document ({})", file.display(), kinds.join(", ")),
        }
    }

    /// The document of a frame; `None` if it is not one, or could be several.
    pub(crate) fn of_frame(frame: &[u8], wanted: Option<Kind>) -> Option<Self> {
        let mut fits = Self::candidates(frame);
        fits.retain(|document| wanted.is_none_or(|kind| document.kind() == kind));
        fits.pop().filter(|_| fits.is_empty())
    }

    /// Its name and every field, with the keys of its signatures: what a signature shows of whoever gave it (21 CFR 11.50).
    pub(crate) fn manifestation(&self, now: UtcMillis) -> anyhow::Result<Vec<String>> {
        let shown = each!(self, signed => Shown::new(&signed.decode_unverified()?, signed.digest(), now));
        let signers: Vec<String> = self.signers().iter().map(ToString::to_string).collect();
        let mut lines = vec![format!("{}, digest {}", shown.title, shown.digest)];
        lines.extend(describe::render(&shown.lines, describe::width()));
        lines.push(format!("signed with the keys of id: {}", signers.join(", ")));
        Ok(lines)
    }

    /// Every kind that a frame decodes as.
    fn candidates(frame: &[u8]) -> Vec<Self> {
        [
            decoded(frame).map(Self::Root),
            decoded(frame).map(Self::Roster),
            decoded(frame).map(Self::Withdrawals),
            decoded(frame).map(Self::RollbackOrder),
            decoded(frame).map(Self::Manifest),
            decoded(frame).map(Self::Approval),
            decoded(frame).map(Self::Validation),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Root(_) => Kind::TrustRoot,
            Self::Roster(_) => Kind::Roster,
            Self::Withdrawals(_) => Kind::Withdrawals,
            Self::RollbackOrder(_) => Kind::RollbackOrder,
            Self::Manifest(_) => Kind::Manifest,
            Self::Approval(_) => Kind::Approval,
            Self::Validation(_) => Kind::Validation,
        }
    }

    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind() {
            Kind::TrustRoot => "trust root",
            Kind::Roster => "roster",
            Kind::Withdrawals => "withdrawals",
            Kind::RollbackOrder => "rollback order",
            Kind::Manifest => "manifest",
            Kind::Approval => "approval",
            Kind::Validation => "validation",
        }
    }

    /// Reads a trust root.
    pub(crate) fn read_root(file: &Path) -> anyhow::Result<Signed<TrustRoot>> {
        match Self::read(file)? {
            Self::Root(root) => Ok(root),
            other => bail!("{} is a {}, not a trust root", file.display(), other.kind_name()),
        }
    }

    /// Reads a roster.
    pub(crate) fn read_roster(file: &Path) -> anyhow::Result<Signed<Roster>> {
        match Self::read(file)? {
            Self::Roster(roster) => Ok(roster),
            other => bail!("{} is a {}, not a roster", file.display(), other.kind_name()),
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        each!(self, signed => signed.digest())
    }

    fn signers(&self) -> Vec<KeyId> {
        each!(self, signed => signed.signatures().iter().map(|s| s.key).collect())
    }

    fn add_signature(&mut self, key: &SecretKey) {
        each!(self, signed => signed.add_signature(key));
    }

    /// Takes over the signatures of another copy. Returns how many; `None` if that is another document, or has too many.
    fn unite(&mut self, other: &Self) -> Option<usize> {
        match (self, other) {
            (Self::Root(one), Self::Root(other)) => one.unite(other),
            (Self::Roster(one), Self::Roster(other)) => one.unite(other),
            (Self::Withdrawals(one), Self::Withdrawals(other)) => one.unite(other),
            (Self::RollbackOrder(one), Self::RollbackOrder(other)) => one.unite(other),
            (Self::Manifest(one), Self::Manifest(other)) => one.unite(other),
            (Self::Approval(one), Self::Approval(other)) => one.unite(other),
            (Self::Validation(one), Self::Validation(other)) => one.unite(other),
            _ => None,
        }
    }

    fn write(&self, file: &Path) -> anyhow::Result<()> {
        let frame = each!(self, signed => wire::encode(signed));
        files::replace(file, &frame)
    }

    /// The document with everything that a signer has to see.
    pub(crate) async fn show(&self, session: &Path, compare: &Compare) -> anyhow::Result<Shown> {
        let now = now();
        Ok(match self {
            Self::Root(signed) => {
                let root = signed.decode_unverified()?;
                let before = compare.root_before(session, root.version).await?;
                let shown = weighed(&root, signed.digest(), before.as_ref());
                with_root_signatures(shown, signed, &root, before.as_ref().map(|b| &b.document))
            }
            Self::Roster(signed) => {
                let roster = signed.decode_unverified()?;
                let before = compare.roster_before(session, roster.version).await?;
                weighed(&roster, signed.digest(), before.as_ref())
            }
            Self::Withdrawals(signed) => {
                let withdrawals = signed.decode_unverified()?;
                let before = compare.withdrawals_before(session, withdrawals.version).await?;
                weighed(&withdrawals, signed.digest(), before.as_ref())
            }
            Self::RollbackOrder(signed) => weighed(&signed.decode_unverified()?, signed.digest(), None),
            Self::Manifest(signed) => Shown::new(&signed.decode_unverified()?, signed.digest(), now),
            Self::Approval(signed) => Shown::new(&signed.decode_unverified()?, signed.digest(), now),
            Self::Validation(signed) => Shown::new(&signed.decode_unverified()?, signed.digest(), now),
        })
    }

    /// The document as JSON, with who signed it.
    fn view(&self, shown: &Shown) -> anyhow::Result<Value> {
        let content = each!(self, signed => serde_json::to_value(signed.decode_unverified()?)?);
        let signers: Vec<String> = self.signers().into_iter().map(|id| id.0.to_string()).collect();
        let mut view = json!({
            "kind": self.kind_name(), "digest": self.digest(), "content": content, "signedBy": signers,
        });
        view["shown"] = serde_json::to_value(shown)?;
        Ok(view)
    }

    /// The document as text, with who signed it.
    fn words(&self, shown: &Shown) -> String {
        let signers: Vec<String> = self.signers().iter().map(ToString::to_string).collect();
        let signers = if signers.is_empty() { "nobody yet".to_owned() } else { signers.join(", ") };
        format!("{}\nsigned with the keys of id: {signers}", shown.text())
    }
}

/// A document beside the one before it.
pub(crate) fn weighed<T: Describe + Weigh>(document: &T, digest: Digest, before: Option<&Before<T>>) -> Shown {
    let now = now();
    let marks: Marks = document.weigh(before.map(|b| &b.document), now);
    Shown { marks, compared_with: before.map(|b| b.source.clone()), ..Shown::new(document, digest, now) }
}

/// Shows which root keys have signed, each signature checked.
fn with_root_signatures(
    mut shown: Shown,
    signed: &Signed<TrustRoot>,
    root: &TrustRoot,
    before: Option<&TrustRoot>,
) -> Shown {
    let state = |key: &PublicKey| match signed.verify(&KeySet::single(key.clone())) {
        Ok(_) => "signed",
        Err(SignError::BadSignature { .. }) => "BAD SIGNATURE",
        Err(_) => "not yet",
    };
    let mut section = |label: &str, role: &[PublicKey]| {
        for key in role {
            let value = format!("{} by key id {}", state(key), key.id());
            shown.lines.push(Line { depth: 0, label: label.to_owned(), value });
        }
    };
    section("root signature", &root.root.keys);
    let gone = |key: &&PublicKey| !root.root.keys.contains(key);
    let old: Vec<PublicKey> = before.into_iter().flat_map(|b| &b.root.keys).filter(gone).cloned().collect();
    section("earlier root key", &old);
    shown
}

impl Compare {
    async fn held(session: &Path) -> Option<Value> {
        Client::open(session).ok()?.get("/api/v1/trust").await.ok()
    }

    /// The newest trust root of the coordinator; `None` without a session.
    async fn newest_root(session: &Path) -> Option<TrustRoot> {
        let held = Self::held(session).await?;
        let newest = held["roots"].as_array()?.last()?.as_str()?;
        decode_document::<TrustRoot>("trust root", newest).ok()?.decode_unverified().ok()
    }

    fn file(&self) -> Option<String> {
        self.previous.as_ref().map(|file| file.display().to_string())
    }

    async fn root_before(&self, session: &Path, version: u64) -> anyhow::Result<Option<Before<TrustRoot>>> {
        if let (Some(file), Some(source)) = (&self.previous, self.file()) {
            return Ok(Some(Before { document: Self::root_file(file)?, source }));
        }
        if version <= 1 {
            return Ok(None);
        }
        let held = Self::held(session).await.unwrap_or_default();
        let roots = held["roots"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let roots =
            roots.filter_map(|text| decode_document::<TrustRoot>("trust root", text).ok()?.decode_unverified().ok());
        let document = roots.into_iter().find(|root| root.version.checked_add(1) == Some(version));
        Ok(document.map(|document| Before { source: format!("{} of the coordinator", document.title()), document }))
    }

    fn root_file(file: &Path) -> anyhow::Result<TrustRoot> {
        Ok(Trusted::read_root(file)?.decode_unverified()?)
    }

    async fn roster_before(&self, session: &Path, version: u64) -> anyhow::Result<Option<Before<Roster>>> {
        if let (Some(file), Some(source)) = (&self.previous, self.file()) {
            return Ok(Some(Before { document: Trusted::read_roster(file)?.decode_unverified()?, source }));
        }
        if version <= 1 {
            return Ok(None);
        }
        let document = held_roster(&Self::held(session).await.unwrap_or_default());
        let document = document.filter(|roster| roster.version < version);
        Ok(document.map(|document| Before { source: format!("{} of the coordinator", document.title()), document }))
    }

    async fn withdrawals_before(&self, session: &Path, version: u64) -> anyhow::Result<Option<Before<Withdrawals>>> {
        if let (Some(file), Some(source)) = (&self.previous, self.file()) {
            let Trusted::Withdrawals(signed) = Trusted::read_as(file, Some(Kind::Withdrawals))? else {
                bail!("{source} does not hold withdrawals");
            };
            return Ok(Some(Before { document: signed.decode_unverified()?, source }));
        }
        if version <= 1 {
            return Ok(None);
        }
        let held = Self::held(session).await.unwrap_or_default();
        let signed = held["withdrawals"].as_str().map(|text| decode_document::<Withdrawals>("withdrawals", text));
        let document = signed.and_then(|s| s.ok()?.decode_unverified().ok()).filter(|w| w.version < version);
        Ok(document.map(|document| Before { source: format!("{} of the coordinator", document.title()), document }))
    }
}

/// The roster in the coordinator's answer about its trust documents.
pub(crate) fn held_roster(trust: &Value) -> Option<Roster> {
    decode_document::<Roster>("roster", trust["roster"].as_str()?).ok()?.decode_unverified().ok()
}

/// Shows a file.
pub(super) async fn inspect(out: &Output, session: &Path, file: &Path, compare: &Compare) -> anyhow::Result<()> {
    let document = Trusted::read_as(file, compare.kind)?;
    let shown = document.show(session, compare).await?;
    out.answer(&document.view(&shown)?, || document.words(&shown));
    Ok(())
}

/// Shows a file, asks, and only then adds signatures to it.
pub(super) async fn co_sign(
    out: &Output,
    session: &Path,
    file: &Path,
    key_files: &[PathBuf],
    compare: &Compare,
    confirmation: &Confirmation,
) -> anyhow::Result<()> {
    let mut document = Trusted::read_as(file, compare.kind)?;
    let secrets = key_files.iter().map(|key| keys::secret(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let shown = document.show(session, compare).await?;
    let root = Compare::newest_root(session).await;
    let needed = Needed::of(&document, root.as_ref())?;
    let unfit = needed.as_ref().map(|n| n.unfit(secrets.iter().map(|key| key.public().id()))).unwrap_or_default();
    unfit.iter().for_each(mdfm_service::output::notes);
    confirmation.ask(&shown)?;
    // The bytes that were shown are signed, whatever happened to the file meanwhile.
    secrets.iter().for_each(|key| document.add_signature(key));
    document.write(file)?;
    let (kind, digest) = (document.kind_name(), document.digest());
    let signers = document.signers();
    let mut view = document.view(&shown)?;
    view["warnings"] = json!(unfit);
    out.answer(&view, || {
        let ids: Vec<String> = signers.iter().map(ToString::to_string).collect();
        let mut lines = vec![format!("{kind} {digest} signed; signatures by the keys of id {}", ids.join(", "))];
        lines.extend(needed.iter().map(|needed| needed.text(&signers)));
        lines.join("\n")
    });
    Ok(())
}

/// Adds to a file the signatures of copies of the same document that others signed.
pub(super) fn join(out: &Output, file: &Path, copies: &[PathBuf], kind: Option<Kind>) -> anyhow::Result<()> {
    let mut document = Trusted::read_as(file, kind)?;
    let mut taken = 0;
    for copy in copies {
        let other = Trusted::read_as(copy, kind)?;
        let problem = {
            format!(
                "nothing was joined: {} has digest {}, {} has {}; only copies of one document are joined",
                file.display(),
                document.digest(),
                copy.display(),
                other.digest()
            )
        };
        taken += document.unite(&other).context(problem)?;
    }
    if let Trusted::Root(root) = &document {
        // One bad signature of an owner would make the whole document worthless.
        let keys = root.decode_unverified()?.root.keys;
        let is_bad = |key: &&PublicKey| {
            matches!(root.verify(&KeySet::single((*key).clone())), Err(SignError::BadSignature { .. }))
        };
        if let Some(key) = keys.iter().find(is_bad) {
            bail!("nothing was joined: the signature by the key of id {} does not fit the document", key.id());
        }
    }
    document.write(file)?;
    let (kind, digest, signers) = (document.kind_name(), document.digest(), document.signers());
    let ids: Vec<String> = signers.iter().map(ToString::to_string).collect();
    let answer = json!({ "file": file, "digest": digest, "taken": taken, "signedBy": ids });
    out.answer(&answer, || {
        let taken = count(taken, "signature");
        format!("{kind} {digest}: {taken} joined; signatures by the keys of id {}", ids.join(", "))
    });
    Ok(())
}

/// The signatures that a document needs under a trust root.
pub(super) struct Needed {
    role: &'static str,
    root_version: u64,
    threshold: u16,
    keys: Vec<KeyId>,
}

impl Needed {
    /// `None` if no trust root decides it, or none is at hand.
    pub(super) fn of(document: &Trusted, newest: Option<&TrustRoot>) -> anyhow::Result<Option<Self>> {
        let of = |role, root: &TrustRoot, held: &RoleKeys| {
            let keys = held.keys.iter().map(PublicKey::id).collect();
            Self { role, root_version: root.version, threshold: held.threshold, keys }
        };
        Ok(match (document, newest) {
            (Trusted::Root(signed), newest) => {
                let root = signed.decode_unverified()?;
                // The owners of the keys before sign the next root too.
                let earlier = newest.into_iter().flat_map(|held| held.root.keys.iter().map(PublicKey::id));
                let own = of("root", &root, &root.root);
                Some(Self { keys: own.keys.iter().copied().chain(earlier).collect(), ..own })
            }
            (Trusted::Roster(_), Some(root)) => Some(of("registrar", root, &root.registrar)),
            (Trusted::Manifest(_), Some(root)) => Some(of("release", root, &root.release)),
            _ => None,
        })
    }

    /// A sentence for each key whose signature does not count.
    pub(super) fn unfit(&self, keys: impl Iterator<Item = KeyId>) -> Vec<String> {
        let Self { role, root_version, .. } = self;
        let unfit = keys.filter(|id| !self.keys.contains(id));
        unfit
            .map(|id| format!("the key of id {id} is not of the {role} role of trust root {root_version}: under it its signature does not count"))
            .collect()
    }

    /// What is needed, and how much of it is there.
    pub(super) fn text(&self, signers: &[KeyId]) -> String {
        let Self { role, root_version, threshold, keys } = self;
        let found = keys.iter().filter(|id| signers.contains(id)).count();
        let ids: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let ids = ids.join(", ");
        format!(
            "signatures of the {role} role of trust root {root_version}: {threshold} needed, {found} found; its keys have the ids {ids}"
        )
    }
}

/// Writes a new document: without keys unsigned, for `trust sign`; with keys after it was shown and confirmed.
pub(super) fn create<T: Describe>(
    document: &T,
    shown: &Shown,
    key_files: &[PathBuf],
    confirmation: &Confirmation,
    out: &Path,
) -> anyhow::Result<Signed<T>> {
    check_new(out)?;
    let secrets = key_files.iter().map(|f| keys::secret(f)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut signed = Signed::sign(document, &[])?;
    ensure!(signed.digest() == shown.digest, "what was shown is not what is to be signed; this is a defect");
    if !secrets.is_empty() {
        confirmation.ask(shown)?;
        secrets.iter().for_each(|key| signed.add_signature(key));
    }
    write_new(out, &signed)?;
    Ok(signed)
}

/// Checks before any work that a new document overwrites nothing: the file may hold a signed root or a revocation that was just made.
///
/// # Errors
/// Something has that name.
pub(crate) fn check_new(out: &Path) -> anyhow::Result<()> {
    ensure!(
        out.symlink_metadata().is_err(),
        "{} exists already, and documents are never overwritten; name another file with --out",
        out.display()
    );
    Ok(())
}

/// Writes a new document.
///
/// # Errors
/// Something has that name, or it cannot be written.
pub(crate) fn write_new<T: Document>(out: &Path, signed: &Signed<T>) -> anyhow::Result<()> {
    check_new(out)?;
    NewFile::create(out, Access::Owner)?.write(&wire::encode(signed))
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
    let people = match roster.map(Trusted::read_roster).transpose()? {
        None => None,
        Some(signed) => {
            let verified =
                signed.verify(held.registrar_keys()).context("the roster does not hold under the last root")?;
            Some(verified.entries.len())
        }
    };
    let view =
        json!({ "rootVersion": held.version, "firstRootDigest": first, "pinned": pin.is_some(), "people": people });
    out.answer(&view, || {
        let first = first.map(|d| d.to_string()).unwrap_or_default();
        let pinned =
            if pin.is_some() { "as pinned" } else { "NOT pinned: compare its digest with the ceremony's minutes" };
        let people = people.map(|n| format!("; the roster of {} holds", count(n, "entry"))).unwrap_or_default();
        format!("trust root {} holds; the first has digest {first}, {pinned}{people}", held.version)
    });
    Ok(())
}

/// The lines of one document and of another below it, as one.
pub(crate) fn joined(mut shown: Shown, title: &str, lines: Vec<Line>) -> Shown {
    shown.lines.push(Line { depth: 0, label: String::new(), value: String::new() });
    shown.lines.push(Line { depth: 0, label: describe::escape(title), value: String::new() });
    shown.lines.extend(lines.into_iter().map(|line| Line { depth: line.depth + 1, ..line }));
    shown
}

#[cfg(test)]
mod tests;
