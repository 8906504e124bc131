//! Firmware: upload with a signed manifest, look, approve, reject.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::limits::IMAGE_BYTES_MAX;
use mdfm_shared::manifest::{Component, DeltaVariant, FirmwareClass, HealthPolicy, Manifest};
use mdfm_shared::record::document_text;
use mdfm_shared::sign::Signed;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Approval, Role};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::account::{Signing, check_may_sign};
use crate::answer::Taken;
use crate::client::{Client, Refused, Which, is_broken_line};
use crate::delta::{self, Delta};
use crate::fault;
use crate::files::{self, Overwrite};
use crate::keys;
use crate::output::{Output, count, count_of, text};
use crate::records;
use crate::sbom::{self, Checked};
use crate::trust::confirm::{Asked, Confirmation, Shown};
use crate::trust::describe::{self, Describe};
use crate::trust::joined;
use crate::withdrawals::{self, Signature};

const CHUNK_BYTES: usize = 256 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Uploads an image and its manifest, signed here with the release key.
    Upload(Box<Upload>),
    /// Makes a patch from an image that gateways hold to a new one; works offline.
    #[command(alias = "delta")]
    MakeDelta(Delta),
    /// Lists releases.
    List(Which),
    /// Takes a release back: no new deployment may use it. With a key, also for the fleet: gateways activate it no more.
    Withdraw {
        /// Firmware id.
        firmware: FirmwareId,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Days until the signed withdrawals expire.
        #[arg(long, default_value_t = 90)]
        days: u64,
        #[command(flatten)]
        signature: Signature,
    },
    /// Shows what happened to a release, newest first: who submitted, approved, rejected and deployed it.
    History {
        /// Firmware id.
        firmware: FirmwareId,
    },
    /// Attaches the bill of materials that the manifest names, where the upload did not.
    AttachSbom {
        /// Firmware id.
        firmware: FirmwareId,
        /// The bill of materials.
        file: PathBuf,
    },
    /// Shows the parts of a release's bill of materials, or writes it to a file.
    Sbom {
        /// Firmware id.
        firmware: FirmwareId,
        /// The same as `attach-sbom`; for scripts of earlier versions.
        #[arg(long, hide = true, conflicts_with = "save")]
        file: Option<PathBuf>,
        /// The file to make, with the bill of materials as it was signed.
        #[arg(long = "out", alias = "save")]
        save: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Shows one release: everything that its manifest says, its approvals, and what it changes.
    Show {
        /// Firmware id.
        firmware: FirmwareId,
    },
    /// Shows what a release changes against another one, or against the one that most devices run now.
    Differences {
        /// Firmware id.
        firmware: FirmwareId,
        /// The other release.
        #[arg(long)]
        other: Option<FirmwareId>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// The image of a device with one component.
    #[arg(required_unless_present = "components", conflicts_with = "components")]
    image: Option<PathBuf>,
    /// An image of a device with several components, as NAME=FILE; once for each, in the order of installation.
    #[arg(long = "component-image", alias = "component", value_name = "NAME=FILE", value_parser = component)]
    components: Vec<(String, PathBuf)>,
    /// Firmware id; a random one if absent. With the id of an upload that ended early, it goes on where that one ended.
    #[arg(long)]
    id: Option<FirmwareId>,
    /// Device model.
    #[arg(long)]
    model: String,
    /// Hardware revisions that it fits.
    #[arg(long = "hardware", required = true)]
    hardware: Vec<String>,
    /// Version label.
    #[arg(long)]
    version: String,
    /// Release number: orders the releases of a model.
    #[arg(long)]
    release_number: u64,
    /// Security version; devices refuse releases below their floor.
    #[arg(long, default_value_t = 1)]
    security_version: u32,
    /// Lowest release number from which a device may move to this one.
    #[arg(long, default_value_t = 0)]
    minimum_release: u64,
    /// An emergency release: Clinical and Regulatory approval within four hours.
    #[arg(long)]
    emergency: bool,
    /// Replaces recalled firmware: approved like any release, deployed at once if need be.
    #[arg(long = "replaces-recalled", alias = "recall", conflicts_with = "emergency")]
    recall: bool,
    /// A patch made by `firmware make-delta`: gateways that hold its base need not download the image; once for each base.
    #[arg(long = "delta", value_name = "FILE")]
    deltas: Vec<PathBuf>,
    /// Software bill of materials: CycloneDX 1.2 to 1.7 or SPDX 2.2, 2.3 or 3.0, in JSON, up to 64 MiB; the manifest names its digest.
    #[arg(long)]
    sbom: Option<PathBuf>,
    /// Release notes.
    #[arg(long, default_value = "")]
    notes: String,
    /// Time on trial before a device confirms, in seconds.
    #[arg(long, default_value_t = 600.0)]
    probation_seconds: f64,
    /// Errors tolerated on trial.
    #[arg(long, default_value_t = 0)]
    error_budget: u32,
    /// Longest silence on trial, in seconds.
    #[arg(long, default_value_t = 60.0)]
    silence_seconds: f64,
    /// Days after its confirmation in which a device may be recalled without a rollback order; 14 unless given, at most 90.
    #[arg(long)]
    recall_window_days: Option<u32>,
    /// Reboots that nobody ordered, in 24 hours, that a healthy device may have; 3 unless given.
    #[arg(long)]
    reboots_per_day: Option<u32>,
    /// Secret keys of the release role.
    #[arg(long = "release-key", required = true)]
    release_keys: Vec<PathBuf>,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Sign an approval with your own key.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// Firmware id.
    firmware: FirmwareId,
    /// The image that you tested, or one part of it as NAME=FILE, once for each: nothing is signed if the release has another.
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<String>,
    #[command(flatten)]
    signing: Signing,
}

/// Reject a release; final.
#[derive(Debug, Args)]
pub(crate) struct Reject {
    /// Firmware id.
    firmware: FirmwareId,
    /// The role in which you reject.
    #[arg(long)]
    role: Role,
    /// Why, in your words.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asked: Asked,
}

pub(crate) fn now() -> UtcMillis {
    UtcMillis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

fn milliseconds(what: &str, seconds: f64) -> anyhow::Result<u64> {
    if !(0.001..=31_536_000.0).contains(&seconds) {
        return Err(fault::value(format!("{what} must be 0.001 to 31536000 seconds, found {seconds}")));
    }
    Ok((seconds * 1_000.0).round() as u64)
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Upload(options) => upload(out, &Client::open(session)?, *options).await,
        Action::MakeDelta(options) => delta::make(out, &options),
        Action::List(which) => {
            let rows = Client::open(session)?.list_of("/api/v1/firmware", &which).await?;
            let columns = [
                ("FIRMWARE", "/firmwareId"),
                ("MODEL", "/deviceModel"),
                ("VERSION", "/version"),
                ("STATUS", "/status"),
                ("MISSING", "/missingApprovals"),
            ];
            out.table(&rows, &columns);
            Ok(())
        }
        Action::Withdraw { firmware, reason, days, signature } => {
            let client = Client::open(session)?;
            if withdrawals::sign_next(out, &client, Some(firmware.as_str()), &reason, days, &signature).await? {
                return Ok(());
            }
            let asked = Asked { yes: signature.confirmation.yes };
            if !asked.yes {
                let view = client.get(&format!("/api/v1/firmware/{firmware}")).await?;
                let held = client.list("/api/v1/deployments").await?;
                let is_of = |d: &&Value| d["firmwareId"] == firmware.as_str();
                let deployments = held.as_array().into_iter().flatten().filter(is_of).count();
                let question = format!(
                    "{firmware} {} ({}; deployed by {}) is withdrawn permanently: no new deployment may use it",
                    text(&view["version"]),
                    text(&view["status"]),
                    count(deployments, "deployment")
                );
                asked.ask(&question, firmware.as_str())?;
            }
            let path = format!("/api/v1/firmware/{firmware}/withdrawal");
            let view = client.post(&path, &json!({ "reason": reason })).await?;
            out.answer(&view, || match view["withdrawal"].as_str() {
                Some(standing) => format!(
                    "{firmware}: {}; sign it: firmware withdraw with --key or --password-file",
                    text(&standing.into())
                ),
                None => format!("{firmware} is withdrawn"),
            });
            Ok(())
        }
        Action::History { firmware } => {
            let page = Client::open(session)?.get(&format!("/api/v1/firmware/{firmware}/history")).await?;
            records::table(out, &page["records"], None);
            Ok(())
        }
        Action::AttachSbom { firmware, file } => sbom::attach(out, &Client::open(session)?, &firmware, &file).await,
        Action::Sbom { firmware, file, save, overwrite } => {
            let client = Client::open(session)?;
            match (file, save) {
                (Some(file), _) => sbom::attach(out, &client, &firmware, &file).await,
                (None, Some(save)) => sbom::save(out, &client, &firmware, &save, overwrite).await,
                (None, None) => sbom::show(out, &client, &firmware).await,
            }
        }
        Action::Show { firmware } => {
            let view = Client::open(session)?.get(&format!("/api/v1/firmware/{firmware}")).await?;
            show(out, &view);
            Ok(())
        }
        Action::Differences { firmware, other } => {
            let client = Client::open(session)?;
            let view = match other {
                Some(other) => client.get(&format!("/api/v1/firmware/{firmware}/differences/{other}")).await?,
                None => client.get(&format!("/api/v1/firmware/{firmware}/differences")).await?,
            };
            out.answer(&view, || differences(&view).join("\n"));
            Ok(())
        }
    }
}

/// What is said where a release cannot be compared: that is no change of it.
const NOTHING_TO_COMPARE: &str =
    "no device of this model runs another release that is on record here, so there is nothing to compare with";

/// A field's value as a reader sees it: what is an object has its parts by name.
fn value_in_words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(parts) => {
            parts.iter().map(|(name, value)| format!("{name} {}", text(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().map(value_in_words).collect::<Vec<_>>().join("; ")
        }
        other => text(other),
    }
}

/// What a release changes, one line for each field and part.
fn differences(view: &Value) -> Vec<String> {
    let Some(against) = view["against"].as_str() else {
        return vec![NOTHING_TO_COMPARE.to_owned()];
    };
    let mut lines = vec![format!(
        "against {} ({}), which runs now on {}:",
        text(&against.into()),
        text(&view["againstVersion"]),
        count_of(&view["againstDevices"], "device")
    )];
    for field in view["fields"].as_array().into_iter().flatten() {
        lines.push(format!(
            "{}: {} becomes {}",
            text(&field["field"]),
            value_in_words(&field["before"]),
            value_in_words(&field["after"])
        ));
    }
    match view["parts"].as_array() {
        None => lines.push("bills of materials: not on record for both releases".to_owned()),
        Some(parts) if parts.is_empty() => lines.push("bills of materials: the same parts".to_owned()),
        Some(parts) => {
            lines.extend(parts.iter().map(|part| match (text(&part["before"]), text(&part["after"])) {
                (before, after) if before.is_empty() => format!("part {}: {after} is added", text(&part["name"])),
                (before, after) if after.is_empty() => format!("part {}: {before} is removed", text(&part["name"])),
                (before, after) => format!("part {}: {before} becomes {after}", text(&part["name"])),
            }));
        }
    }
    lines
}

/// A number of days, as short as it is exact: `14 days`, `1 day`, `0.5 days`.
fn days_of(value: &Value) -> String {
    match value.as_f64() {
        Some(1.0) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
        None => format!("{} days", text(value)),
    }
}

/// The release with the manifestation of each signature: name, time, meaning (21 CFR 11.50).
fn show(out: &Output, view: &Value) {
    out.answer(view, || {
        let mut lines = vec![heading(view)];
        lines.push(format!(
            "image {} ({} bytes)",
            text(&view["imageSha256"]),
            view["imageBytes"].as_u64().map_or_else(|| "-".to_owned(), describe::grouped)
        ));
        lines.push(format!("manifest {}", text(&view["manifestDigest"])));
        if let Ok((manifest, _)) = checked_manifest(view) {
            lines.extend(describe::render(&manifest.describe(now()), describe::width()));
        }
        lines.push(match view["sbomComponents"].as_u64() {
            Some(0) | None => "no bill of materials is on record".to_owned(),
            Some(parts) => format!("bill of materials: {} on record", count(parts, "part")),
        });
        lines.extend(standing(view));
        lines.join("\n")
    });
}

/// The release after somebody signed, who has just seen all of it: who signed, and what is missing
/// still.
fn show_signed(out: &Output, view: &Value) {
    out.answer(view, || [vec![heading(view)], standing(view)].concat().join("\n"));
}

fn heading(view: &Value) -> String {
    let of = |name: &str| text(&view[name]);
    format!("{} {} {}: {}", of("firmwareId"), of("deviceModel"), of("version"), of("status"))
}

/// Who signed, and what stands between the release and its devices.
fn standing(view: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for approval in view["approvals"].as_array().into_iter().flatten() {
        lines.push(format!(
            "signed by {} on {}, meaning: {} (reason: {}, log entry {})",
            text(&approval["printedName"]),
            text(&approval["signedAt"]),
            text(&approval["meaning"]),
            text(&approval["reason"]),
            text(&approval["logIndex"]),
        ));
    }
    let rejected = &view["rejected"];
    if rejected.is_object() {
        lines.push(format!(
            "rejected by {} on {}, meaning: {} (reason: {}, log entry {})",
            text(&rejected["printedName"]),
            text(&rejected["signedAt"]),
            text(&rejected["meaning"]),
            text(&rejected["reason"]),
            text(&rejected["logIndex"]),
        ));
    }
    for lost in view["lostApprovals"].as_array().into_iter().flatten() {
        lines.push(format!(
            "the approval by {} as {} of {} no longer counts: {}",
            text(&lost["printedName"]),
            text(&lost["role"]),
            text(&lost["signedAt"]),
            text(&lost["reason"]),
        ));
    }
    if !view["recallWindowDays"].is_null() {
        let days = days_of(&view["recallWindowDays"]);
        lines.push(format!(
                "recall window: until {days} after its confirmation a directive brings a device back; later it takes a rollback order"
            ));
    }
    if let Some(standing) = view["withdrawal"].as_str() {
        lines.push(format!("withdrawal: {}", text(&standing.into())));
    }
    if view["sbomMissing"] == true {
        lines.push(format!(
                "its bill of materials is missing: nothing is approved or deployed before it is attached (mdfmctl firmware attach-sbom {} FILE)",
                text(&view["firmwareId"])
            ));
    }
    if view["missingApprovals"].as_array().is_some_and(|m| !m.is_empty()) {
        lines.push(format!("missing approvals: {}", text(&view["missingApprovals"])));
    }
    lines
}

fn component(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("must be NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

/// The images of a release, in the order of installation, as one.
struct Images {
    components: Vec<Component>,
    files: Vec<PathBuf>,
    /// Of all bytes, one file behind the other.
    sha256: Digest,
}

impl Images {
    /// Reads every file once.
    fn measure(named: Vec<(String, PathBuf)>) -> anyhow::Result<Self> {
        let mut all = Sha256::new();
        let mut images = Self { components: Vec::new(), files: Vec::new(), sha256: Digest([0; 32]) };
        let mut buffer = vec![0; CHUNK_BYTES];
        for (name, path) in named {
            let mut file = files::open_within(&path, IMAGE_BYTES_MAX)?;
            let mut hash = Sha256::new();
            let mut size_bytes = 0;
            loop {
                let n = file.read(&mut buffer).with_context(|| format!("reading {}", path.display()))?;
                if n == 0 {
                    break;
                }
                hash.update(&buffer[..n]);
                all.update(&buffer[..n]);
                size_bytes += n as u64;
            }
            let sha256 = Digest(hash.finalize().into());
            images.components.push(Component { name, sha256, size_bytes });
            images.files.push(path);
        }
        images.sha256 = Digest(all.finalize().into());
        Ok(images)
    }
}

/// Files as one body, one behind the other, a piece at a time; `taken` gets to know of each.
fn pieces(files: &[PathBuf], bar: ProgressBar, taken: Taken) -> anyhow::Result<reqwest::Body> {
    let files =
        files.iter().map(|path| files::open_within(path, IMAGE_BYTES_MAX)).collect::<Result<VecDeque<_>, _>>()?;
    Ok(reqwest::Body::wrap_stream(stream::unfold(files, move |mut files| {
        let (bar, taken) = (bar.clone(), taken.clone());
        async move {
            let mut piece = vec![0; CHUNK_BYTES];
            loop {
                match files.front_mut()?.read(&mut piece) {
                    Ok(0) => drop(files.pop_front()),
                    Ok(n) => {
                        piece.truncate(n);
                        bar.inc(n as u64);
                        taken.note();
                        return Some((Ok::<_, std::io::Error>(piece), files));
                    }
                    Err(error) => return Some((Err(error), files)),
                }
            }
        }
    })))
}

impl Upload {
    fn class(&self) -> FirmwareClass {
        match (self.emergency, self.recall) {
            (true, _) => FirmwareClass::Emergency,
            (false, true) => FirmwareClass::Recall,
            (false, false) => FirmwareClass::Standard,
        }
    }
}

fn random_id() -> anyhow::Result<FirmwareId> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    Ok(format!("fw-{}", hex::encode(bytes)).parse()?)
}

/// The command that goes on with an upload, for a shell: the one that was typed, with the release's id where it had none.
fn resume_command(words: &[String], has_id: bool, firmware: &FirmwareId) -> String {
    let quoted = |word: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        let needs_quotes = word.is_empty() || !word.chars().all(is_plain);
        if needs_quotes { format!("'{}'", word.replace('\'', r"'\''")) } else { word.clone() }
    };
    let id = (!has_id).then(|| format!("--id {firmware}"));
    words.iter().map(quoted).chain(id).collect::<Vec<_>>().join(" ")
}

async fn upload(out: &Output, client: &Client, options: Upload) -> anyhow::Result<()> {
    let secrets = options.release_keys.iter().map(|f| keys::secret(f)).collect::<Result<Vec<_>, _>>()?;
    let class = options.class();
    let named = match options.image {
        Some(image) => vec![("main".to_owned(), image)],
        None => options.components,
    };
    let Images { components, files, sha256 } = Images::measure(named)?;
    let sbom = options.sbom.as_deref().map(Checked::read).transpose()?;
    let mut deltas = Vec::new();
    for path in &options.deltas {
        let (header, variant) = delta::measure(path)?;
        if header.image_sha256 != sha256 {
            bail!("{} makes image {}, this release has {sha256}", path.display(), header.image_sha256);
        }
        deltas.push(variant);
    }
    let health = HealthPolicy {
        probation_ms: milliseconds("--probation-seconds", options.probation_seconds)?,
        error_budget: options.error_budget,
        silence_limit_ms: milliseconds("--silence-seconds", options.silence_seconds)?,
    };
    let firmware = match &options.id {
        Some(id) => id.clone(),
        None => random_id()?,
    };
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let resume = resume_command(&words, options.id.is_some(), &firmware);
    let manifest = Manifest {
        firmware_id: firmware.clone(),
        model: options.model.clone(),
        hardware_revisions: options.hardware,
        version: options.version.clone(),
        release_number: options.release_number,
        security_version: options.security_version,
        class,
        sha256,
        components,
        deltas: deltas.clone(),
        minimum_release: options.minimum_release,
        health,
        extra_approvals: Vec::new(),
        sbom_sha256: sbom.as_ref().map(|s| s.sha256),
        recall_window_ms: options.recall_window_days.map(|days| u64::from(days) * 86_400_000),
        reboots_per_day: options.reboots_per_day,
    };
    manifest.check()?;
    // Everything but the images comes from this command line: their digest is what a script can know beforehand.
    let shown = Shown { digest_of: "images' SHA-256", ..Shown::new(&manifest, sha256, now()) };
    options.confirmation.ask(&shown)?;
    let signed = Signed::sign(&manifest, &secrets.iter().collect::<Vec<_>>())?;
    let body = json!({
        "firmwareId": firmware, "version": options.version, "deviceModel": options.model,
        "releaseNotes": options.notes, "approvalRequired": true, "document": document_text(&signed),
    });
    let sent =
        Sent { files: &files, deltas: options.deltas.iter().zip(&deltas).collect(), sbom: sbom.as_ref(), signed };
    let view = match sent.send(out, client, &manifest, &body).await {
        Ok(view) => view,
        Err(error) => {
            // Only what has begun, or may have, goes on; a refusal alone says what is wrong.
            let is_begun = is_broken_line(&error) || client.get(&format!("/api/v1/firmware/{firmware}")).await.is_ok();
            return Err(ended_early(error, is_begun, &firmware, &resume));
        }
    };
    show(out, &view);
    Ok(())
}

/// What an upload ended with: how to go on stands before it where there is something to go on with.
fn ended_early(error: anyhow::Error, is_begun: bool, firmware: &FirmwareId, resume: &str) -> anyhow::Error {
    let is_other = error.downcast_ref::<OtherRelease>().is_some();
    match is_begun && !is_other {
        true => error.context(format!("the upload of {firmware} ended early; it goes on with: {resume}")),
        false => error,
    }
}

/// A release of that id is another one.
#[derive(Debug, thiserror::Error)]
#[error("{0}; choose another --id")]
struct OtherRelease(String);

/// What is sent of a release, once all of it is read and signed.
struct Sent<'a> {
    files: &'a [PathBuf],
    deltas: Vec<(&'a PathBuf, &'a DeltaVariant)>,
    sbom: Option<&'a Checked>,
    signed: Signed<Manifest>,
}

/// What an upload that ended early left to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// Everything.
    Image,
    /// The image is there.
    Manifest,
    /// The manifest is there.
    Sbom,
    /// Nothing.
    Nothing,
}

impl Left {
    /// Judges a release of that id.
    ///
    /// # Errors
    /// It is another one.
    fn of(view: &Value, manifest: &Manifest, digest: Digest) -> anyhow::Result<Self> {
        let is = |field: &str, value: &str| view[field].as_str() == Some(value);
        let id = &manifest.firmware_id;
        if !is("version", &manifest.version) || !is("deviceModel", &manifest.model) {
            let (version, model) = (text(&view["version"]), text(&view["deviceModel"]));
            return Err(OtherRelease(format!("{id} exists already and is {version} for {model}")).into());
        }
        match view["status"].as_str() {
            Some("awaitingImage") => Ok(Self::Image),
            Some("awaitingManifest") if is("imageSha256", &manifest.sha256.to_string()) => Ok(Self::Manifest),
            Some("awaitingManifest") => Ok(Self::Image),
            _ if !is("manifestDigest", &digest.to_string()) => {
                Err(OtherRelease(format!("{id} exists already with another manifest")).into())
            }
            _ if manifest.sbom_sha256.is_some() && view["sbomComponents"].as_u64() == Some(0) => Ok(Self::Sbom),
            _ => Ok(Self::Nothing),
        }
    }
}

impl Sent<'_> {
    /// Sends what is not there yet. The coordinator checks everything that it can before the first byte of the image.
    async fn send(&self, out: &Output, client: &Client, manifest: &Manifest, body: &Value) -> anyhow::Result<Value> {
        let firmware = &manifest.firmware_id;
        let (mut view, left) = match client.post("/api/v1/firmware", body).await {
            Ok(view) => (view, Left::Image),
            Err(refusal) => {
                // Only a release of that id explains the refusal better than the refusal itself.
                let Ok(view) = client.get(&format!("/api/v1/firmware/{firmware}")).await else { return Err(refusal) };
                let left = Left::of(&view, manifest, self.signed.digest())?;
                mdfm_service::output::note(format!("{firmware} exists already: going on where its upload ended"));
                (view, left)
            }
        };
        if left <= Left::Image {
            self.send_image(out, client, manifest).await?;
        }
        if left <= Left::Manifest {
            view = self.send_manifest(client, manifest).await?;
        }
        match self.sbom {
            Some(sbom) if left <= Left::Sbom => sbom.send(client, firmware).await,
            _ => Ok(view),
        }
    }

    async fn send_image(&self, out: &Output, client: &Client, manifest: &Manifest) -> anyhow::Result<()> {
        let (firmware, sha256) = (&manifest.firmware_id, manifest.sha256);

        let bar = if out.is_json() { ProgressBar::hidden() } else { ProgressBar::new(manifest.size_bytes()) };
        bar.set_style(ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {bytes_per_sec} {eta}")?);
        let path = format!("/api/v1/firmware/{firmware}/image");
        let request = client.request(Method::PUT, &path).header("content-type", "application/octet-stream");
        let taken = Taken::new();
        let request = request.body(pieces(self.files, bar.clone(), taken.clone())?);
        let stored = client.send_stream(request, &taken).await?;
        bar.finish_and_clear();
        if stored["imageSha256"].as_str() != Some(&sha256.to_string()) {
            bail!("the image changed while it was uploaded: {sha256} here, {} there", text(&stored["imageSha256"]));
        }

        Ok(())
    }

    async fn send_manifest(&self, client: &Client, manifest: &Manifest) -> anyhow::Result<Value> {
        let firmware = &manifest.firmware_id;
        for (file, variant) in &self.deltas {
            let path = format!("/api/v1/firmware/{firmware}/deltas/{}", variant.sha256);
            let request = client.request(Method::PUT, &path).header("content-type", "application/octet-stream");
            let taken = Taken::new();
            let body = pieces(std::slice::from_ref(*file), ProgressBar::hidden(), taken.clone())?;
            client.send_stream(request.body(body), &taken).await?;
        }

        let path = format!("/api/v1/firmware/{firmware}/manifest");
        client.put(&path, &json!({ "document": document_text(&self.signed) })).await
    }
}

/// The manifest that the coordinator shows, once its digest is shown to be the one that is signed.
fn checked_manifest(view: &Value) -> anyhow::Result<(Manifest, Digest)> {
    let named: Digest = view["manifestDigest"]
        .as_str()
        .with_context(|| format!("firmware {} has no manifest yet", text(&view["firmwareId"])))?
        .parse()?;
    let manifest: Manifest = serde_json::from_value(view["manifest"].clone())
        .context("the coordinator's manifest cannot be read; this mdfmctl may be older than the coordinator")?;
    let found = Signed::sign(&manifest, &[])?.digest();
    ensure!(
        found == named,
        "nothing was signed: the coordinator shows a manifest with digest {found} and names {named}; do not sign, and \
         inform your administrator"
    );
    Ok((manifest, named))
}

/// Shows what is signed for a release, and asks: the signature's own fields, and the manifest that they name by its digest.
pub(crate) async fn confirm_for<T: Describe>(
    client: &Client,
    firmware: &str,
    confirmation: &Confirmation,
    document: impl FnOnce(&Value, Digest) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let view = client.get(&format!("/api/v1/firmware/{firmware}")).await?;
    let (manifest, digest) = checked_manifest(&view)?;
    let document = document(&view, digest)?;
    let changed = match client.get(&format!("/api/v1/firmware/{firmware}/differences")).await {
        Ok(changes) => differences(&changes),
        // A coordinator of an earlier release does not compare.
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => {
            vec!["this coordinator does not compare releases".to_owned()]
        }
        Err(error) => return Err(error),
    };
    let shown = Shown { digest_of: "manifest digest", ..Shown::new(&document, digest, now()) };
    let mut shown = joined(shown, "the manifest", manifest.describe(now()));
    let (notes, changed): (Vec<String>, Vec<String>) = changed.into_iter().partition(|line| line == NOTHING_TO_COMPARE);
    shown.marks.changed.extend(changed);
    shown.marks.notes.extend(notes);
    confirmation.ask(&shown)?;
    Ok(document)
}

/// The SHA-256 of the images that an approver names, one behind the other; `None` if none is named.
fn tested_image(images: &[String]) -> anyhow::Result<Option<Digest>> {
    if images.is_empty() {
        return Ok(None);
    }
    let named = images.iter().map(|image| match image.split_once('=') {
        Some((name, file)) if !Path::new(image).exists() => (name.to_owned(), PathBuf::from(file)),
        _ => (image.clone(), PathBuf::from(image)),
    });
    Images::measure(named.collect()).map(|images| Some(images.sha256))
}

pub(crate) async fn approve(out: &Output, client: &Client, options: Approve) -> anyhow::Result<()> {
    check_may_sign(client).await?;
    let Signing { role, reason, confirmation, .. } = &options.signing;
    let tested = tested_image(&options.images)?;
    let approval = |view: &Value, manifest| {
        if let Some(tested) = tested {
            let found = view["imageSha256"].as_str().unwrap_or("none");
            ensure!(
                found == tested.to_string(),
                "nothing was signed: the release has the image {found}, the one that you name is {tested}"
            );
        }
        Ok(Approval {
            manifest,
            role: *role,
            user: client.user_id().parse()?,
            printed_name: client.printed_name().to_owned(),
            meaning: format!(
                "I approve {} {} for {} as {role}",
                text(&view["firmwareId"]),
                text(&view["version"]),
                text(&view["deviceModel"])
            ),
            reason: reason.clone(),
            at: now(),
        })
    };
    let approval = confirm_for(client, options.firmware.as_str(), confirmation, approval).await?;
    let what = json!({ "firmwareId": options.firmware, "manifestDigest": approval.manifest });
    if let Some(view) = options.signing.with_kept_key(client, "/api/v1/approvals/signature", what).await? {
        show_signed(out, &view);
        return Ok(());
    }
    let signed = Signed::sign(&approval, &[&options.signing.own_key()?])?;
    let body = json!({ "firmwareId": options.firmware, "document": document_text(&signed) });
    let view = client.post("/api/v1/approvals", &body).await?;
    show_signed(out, &view);
    Ok(())
}

pub(crate) async fn reject(out: &Output, client: &Client, options: Reject) -> anyhow::Result<()> {
    let view = client.get(&format!("/api/v1/firmware/{}", options.firmware)).await?;
    if !options.asked.yes {
        let question = format!(
            "{} {} for {} ({}), manifest {}, is rejected permanently: it takes another release to deploy these changes. \
             The record says: \u{201c}I reject {} {} for {} as {}\u{201d}, by {}, with your reason",
            options.firmware,
            text(&view["version"]),
            text(&view["deviceModel"]),
            text(&view["status"]),
            text(&view["manifestDigest"]),
            options.firmware,
            text(&view["version"]),
            text(&view["deviceModel"]),
            options.role,
            client.printed_name(),
        );
        options.asked.ask(&question, options.firmware.as_str())?;
    }
    let path = format!("/api/v1/firmware/{}/rejection?role={}", options.firmware, options.role);
    // What was shown is what is rejected. A coordinator of an earlier version does not say what it holds, and takes no digest.
    let mut body = json!({ "reason": options.reason });
    if view.get("rejected").is_some() {
        body["manifestDigest"] = view["manifestDigest"].clone();
    }
    let view = client.post(&path, &body).await?;
    show_signed(out, &view);
    Ok(())
}

#[cfg(test)]
mod tests {
    use mdfm_shared::fixture::manifest;

    use super::*;

    #[test]
    fn cli_6_a_component_is_compared_in_words() {
        let components = json!([{ "name": "main", "sizeBytes": 7 }, { "name": "radio", "sizeBytes": 9 }]);
        assert_eq!(value_in_words(&components), "name main, sizeBytes 7; name radio, sizeBytes 9");
        assert_eq!((value_in_words(&Value::Null), value_in_words(&json!("B"))), ("nothing".into(), "B".into()));
    }

    #[test]
    fn cli_17_the_hint_after_an_upload_is_the_whole_command() {
        let words = ["mdfmctl", "firmware", "upload", "my image.img", "--notes", "it's $HOME", "--model", ""];
        let words = words.map(str::to_owned);
        let firmware: FirmwareId = "fw-1".parse().expect("an id");
        let typed = r"mdfmctl firmware upload 'my image.img' --notes 'it'\''s $HOME' --model ''";
        assert_eq!(resume_command(&words, true, &firmware), typed);
        assert_eq!(resume_command(&words, false, &firmware), format!("{typed} --id fw-1"));
    }

    #[test]
    fn fld_16_a_refused_upload_shows_the_refusal_alone() {
        let firmware: FirmwareId = "fw-1".parse().expect("an id");
        let refused = || anyhow::Error::new(Refused::new(422, "invalid", "version: too long", Value::Null));
        assert_eq!(format!("{:#}", ended_early(refused(), false, &firmware, "mdfmctl …")), "version: too long");
        let begun = format!("{:#}", ended_early(refused(), true, &firmware, "mdfmctl …"));
        assert_eq!(begun, "the upload of fw-1 ended early; it goes on with: mdfmctl …: version: too long");
        let other = anyhow::Error::new(OtherRelease("fw-1 exists already with another manifest".into()));
        let other = format!("{:#}", ended_early(other, true, &firmware, "mdfmctl …"));
        assert_eq!(other, "fw-1 exists already with another manifest; choose another --id");
    }

    #[test]
    fn fld_16_an_upload_goes_on_where_it_ended() {
        let manifest = Manifest { sbom_sha256: Some(Digest([5; 32])), ..manifest() };
        let digest = Digest([6; 32]);
        let view = |status: &str, more: Value| {
            let mut view = json!({
                "version": manifest.version, "deviceModel": manifest.model, "status": status, "sbomComponents": 0,
            });
            view.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
            view
        };
        let left = |view: &Value| Left::of(view, &manifest, digest);
        let whole = json!({ "imageSha256": manifest.sha256 });
        let signed = json!({ "imageSha256": manifest.sha256, "manifestDigest": digest });
        let done = json!({ "imageSha256": manifest.sha256, "manifestDigest": digest, "sbomComponents": 7 });
        for (view, expected) in [
            (view("awaitingImage", json!({})), Left::Image),
            (view("awaitingManifest", json!({ "imageSha256": Digest([9; 32]) })), Left::Image),
            (view("awaitingManifest", whole.clone()), Left::Manifest),
            (view("pendingApproval", signed.clone()), Left::Sbom),
            (view("pendingApproval", done.clone()), Left::Nothing),
            (view("approved", done), Left::Nothing),
        ] {
            assert_eq!(left(&view).expect("the same release"), expected, "{view}");
        }
        for other in [
            view("awaitingImage", json!({ "version": "9" })),
            view("awaitingImage", json!({ "deviceModel": "Other" })),
            view("pendingApproval", json!({ "manifestDigest": Digest([7; 32]) })),
            view("approved", whole),
        ] {
            let error = left(&other).expect_err("another release").to_string();
            assert!(error.contains("choose another --id"), "{error}");
        }
    }
}
