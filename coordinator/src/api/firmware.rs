//! Firmware: describe, upload the image as a stream, attach the signed manifest, look.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use mdfm_audit::Field;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::manifest::Manifest;
use mdfm_shared::sbom::{self, Part, Sbom, SbomError};
use mdfm_shared::trust::missing_roles;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore, mpsc};
use utoipa::ToSchema;

use super::agent::serve_image;
use super::body::unreadable;
use super::compliance::{AuditPage, Paging, about};
use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, document, fresh_id, id, tagged};
use super::{Api, Problem};
use crate::access::Caller;
use crate::store::Upload;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::firmware::{Firmware, FirmwareStatus, GivenRejection, LostApproval, foresee, takes_sbom};
use mdfm_coordinator_core::refusal::Class;
use mdfm_coordinator_core::{Command, Refusal, State as Domain};

/// A firmware to create, in the seed's spelling.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewFirmware {
    version: String,
    device_model: String,
    #[serde(default)]
    release_notes: String,
    /// Approvals are always needed; `false` is refused.
    #[serde(default = "yes")]
    approval_required: bool,
    /// Made up when absent.
    #[serde(default)]
    firmware_id: Option<String>,
    /// The signed manifest as base64 of its frame, to be checked before anything is uploaded; it is attached after the image.
    #[serde(default)]
    document: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApprovalView {
    role: String,
    user_id: String,
    printed_name: String,
    meaning: String,
    reason: String,
    signed_at: String,
    log_index: u64,
}

/// An approval that no longer counts, because the roster or the trust root changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LostApprovalView {
    role: String,
    user_id: String,
    printed_name: String,
    signed_at: String,
    log_index: u64,
    /// Why it no longer counts.
    reason: String,
}

impl LostApprovalView {
    fn of(lost: &LostApproval) -> Self {
        let LostApproval { role, user, printed_name, at, log_index, reason } = lost;
        Self {
            role: role.to_string(),
            user_id: user.to_string(),
            printed_name: printed_name.clone(),
            signed_at: at.to_string(),
            log_index: *log_index,
            reason: reason.clone(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FirmwareView {
    firmware_id: String,
    version: String,
    device_model: String,
    release_notes: String,
    submitted_by: String,
    status: FirmwareStatus,
    image_sha256: Option<String>,
    image_bytes: Option<u64>,
    /// What approvers sign and agents look for.
    manifest_digest: Option<String>,
    #[schema(value_type = Option<Object>)]
    manifest: Option<Manifest>,
    approvals: Vec<ApprovalView>,
    /// Approvals that were given and no longer count; each must be given again.
    lost_approvals: Vec<LostApprovalView>,
    missing_approvals: Vec<String>,
    /// When the time for the missing approvals runs out.
    approvals_until: Option<String>,
    rejection: Option<String>,
    /// The rejection as it stands in the log; `null` without one, and for one of an earlier version.
    rejected: Option<RejectionView>,
    /// The days after its confirmation in which a device returns from this release on the coordinator's directive alone.
    recall_window_days: Option<f64>,
    /// Whether a withdrawal is signed for the fleet, and why; `null` if it is not withdrawn.
    withdrawal: Option<String>,
    /// Parts of the bill of materials on record.
    sbom_components: usize,
    /// Whether the bill of materials that the manifest names is still to be attached: until then nothing is approved or deployed.
    sbom_missing: bool,
}

/// A rejection as people read it (21 CFR 11.50).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RejectionView {
    user_id: String,
    printed_name: String,
    role: String,
    meaning: String,
    reason: String,
    manifest_digest: String,
    signed_at: String,
    log_index: u64,
}

impl RejectionView {
    fn of(given: &GivenRejection) -> Self {
        Self {
            user_id: given.user.clone(),
            printed_name: given.statement.printed_name.clone(),
            role: given.role.to_string(),
            meaning: given.statement.meaning.clone(),
            reason: given.reason.clone(),
            manifest_digest: given.statement.manifest.to_string(),
            signed_at: given.at.to_string(),
            log_index: given.log_index,
        }
    }
}

/// A signed document as base64 of its frame.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SignedDocument {
    pub(super) document: String,
}

pub(super) fn view(state: &Domain, id: &FirmwareId, firmware: &Firmware) -> FirmwareView {
    let missing = match (state.trusted_root(), &firmware.manifest) {
        (Some(root), Some(attached)) => missing_roles(&root.approvals, &attached.manifest, [])
            .into_iter()
            .filter(|r| !firmware.approvals.contains_key(r))
            .map(|r| r.to_string())
            .collect(),
        _ => Vec::new(),
    };
    let pending = firmware.status == FirmwareStatus::PendingApproval;
    let until = state.trusted_root().filter(|_| pending);
    FirmwareView {
        approvals_until: until.map(|r| firmware.approvals_until(r.approvals.emergency_window_ms).to_string()),
        recall_window_days: firmware.manifest.as_ref().map(|m| m.manifest.recall_window() as f64 / 86_400_000.0),
        withdrawal: withdrawal(state, firmware),
        sbom_components: firmware.sbom.len(),
        sbom_missing: firmware.missing_sbom().is_some(),
        firmware_id: id.to_string(),
        version: firmware.version.clone(),
        device_model: firmware.model.clone(),
        release_notes: firmware.release_notes.clone(),
        submitted_by: firmware.submitter.clone(),
        status: firmware.status,
        image_sha256: firmware.image.map(|(d, _)| d.to_string()),
        image_bytes: firmware.image.map(|(_, n)| n),
        manifest_digest: firmware.manifest.as_ref().map(|m| m.digest.to_string()),
        manifest: firmware.manifest.as_ref().map(|m| m.manifest.clone()),
        approvals: firmware
            .approvals
            .iter()
            .map(|(role, a)| ApprovalView {
                role: role.to_string(),
                user_id: a.user.to_string(),
                printed_name: a.printed_name.clone(),
                meaning: a.meaning.clone(),
                reason: a.reason.clone(),
                signed_at: a.at.to_string(),
                log_index: a.log_index,
            })
            .collect(),
        lost_approvals: firmware.lost.iter().map(LostApprovalView::of).collect(),
        missing_approvals: missing,
        rejection: firmware.rejection.clone(),
        rejected: firmware.rejected.as_ref().map(RejectionView::of),
    }
}

/// Where the withdrawal of a release stands.
fn withdrawal(state: &Domain, firmware: &Firmware) -> Option<String> {
    let manifest = firmware.manifest.as_ref()?.digest;
    let held = state.authority.withdrawals.as_ref();
    if let Some((held, signed)) = held.and_then(|held| Some((held, held.of(manifest)?))) {
        return Some(format!("signed for the fleet (withdrawals version {}): {}", held.version, signed.reason));
    }
    (firmware.status == FirmwareStatus::Withdrawn).then(|| "withdrawn here, not yet signed for the fleet".to_owned())
}

fn find(api: &Api, id: &FirmwareId) -> Result<axum::Json<FirmwareView>, Problem> {
    let state = api.runner.state();
    Ok(axum::Json(view(&state, id, state.need_firmware(id)?)))
}

/// Creates a firmware; the image follows.
#[utoipa::path(post, path = "/api/v1/firmware", request_body = NewFirmware,
    responses((status = 201, body = FirmwareView), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewFirmware>,
) -> Result<(StatusCode, axum::Json<FirmwareView>), Problem> {
    let caller = origin.need(&api, Permission::SubmitFirmware, "firmware.create", "firmware").await?;
    if !new.approval_required {
        let refusal = Refusal::invalid("approvalRequired", "firmware for medical devices always needs approval");
        return Err(origin.deny(&api, caller.actor, "firmware.create", "firmware", refusal).await);
    }
    let firmware: FirmwareId = match &new.firmware_id {
        Some(text) => id("firmwareId", text)?,
        None => fresh_id("fw-")?,
    };
    if let Some(text) = &new.document {
        let foreseen = document("document", text).and_then(|signed| {
            let state = api.runner.state();
            let described = (&firmware, new.version.as_str(), new.device_model.as_str(), new.release_notes.as_str());
            foresee(&state, &caller.actor, described, &signed, api.images.bytes_max())
        });
        if let Err(refusal) = foreseen {
            let object = format!("firmware/{firmware}");
            return Err(origin.deny(&api, caller.actor, "firmware.create", &object, refusal).await);
        }
    }
    let command = Command::CreateFirmware {
        firmware: firmware.clone(),
        version: new.version,
        model: new.device_model,
        release_notes: new.release_notes,
    };
    origin.submit(&api, &caller, command).await?;
    Ok((StatusCode::CREATED, find(&api, &firmware)?))
}

/// Why a file is not stored.
fn storage(api: &Api, error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => {
            let detail =
                format!("the image is larger than the {} bytes that this coordinator takes", api.images.bytes_max());
            Refusal::new(Class::TooLarge, "image-too-large", detail).into()
        }
        std::io::ErrorKind::StorageFull => {
            let detail = "no room for the image on the coordinator's disk; nothing was kept of it";
            Refusal::new(Class::NoRoom, "storage-full", detail).into()
        }
        _ => Problem::internal("the image cannot be stored", error),
    }
}

/// Files become those of a release one after the other: whatever nothing refers to then is no file that another request is about to name.
static KEEPING: Mutex<()> = Mutex::const_new(());

/// Makes an upload a file of a release by a command that names it, and removes those of its files that nothing refers to any more: the one that it
/// replaces, or this one if it was refused. Goes on to its end when the caller hangs up, so that nobody fills the disk with files of no release.
async fn keep(
    api: &Api,
    (origin, caller): (Origin, Caller),
    firmware: &FirmwareId,
    upload: Upload,
    command: Command,
) -> Result<(), Problem> {
    let (api, firmware) = (api.clone(), firmware.clone());
    let kept = async move {
        let _one = KEEPING.lock().await;
        let files = |api: &Api| -> Vec<Digest> {
            api.runner.state().firmware.get(&firmware).into_iter().flat_map(Firmware::files).collect()
        };
        let mut files = files(&api);
        files.push(upload.sha256());
        let finished = tokio::task::spawn_blocking(move || upload.finish()).await;
        finished.map_err(|e| Problem::internal("the image cannot be stored", &e))?.map_err(|e| storage(&api, &e))?;
        let done = origin.submit(&api, &caller, command).await;
        for digest in files {
            let is_needed =
                api.runner.state().firmware.values().any(|release| release.files().any(|file| file == digest));
            if !is_needed && let Err(error) = api.images.remove(digest) {
                tracing::warn!(%digest, %error, "a file that no release refers to cannot be removed");
            }
        }
        done
    };
    tokio::spawn(kept).await.map_err(|e| Problem::internal("the image cannot be stored", &e))?
}

/// Takes a file in, as it comes.
async fn take_in(api: &Api, body: Body) -> Result<Upload, Problem> {
    let storage = |e: std::io::Error| storage(api, &e);
    let name: FirmwareId = fresh_id("upload-")?;
    let mut upload = api.images.begin(name.as_str()).map_err(storage)?;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| {
            Problem::from(Refusal::document("upload-broken", format!("the upload broke off ({e}); send it again")))
        })?;
        // Hashing and writing a chunk of tens of kilobytes is short work.
        upload.write(&chunk).map_err(storage)?;
    }
    Ok(upload)
}

/// Uploads the image; it is hashed as it comes and durable when the answer is given.
#[utoipa::path(put, path = "/api/v1/firmware/{firmware}/image", request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = FirmwareView), (status = 409, body = Problem)))]
pub(super) async fn upload(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    body: Body,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let object = format!("firmware/{firmware}");
    let caller = origin.need(&api, Permission::SubmitFirmware, "firmware.image", &object).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let status = api.runner.state().need_firmware(&firmware)?.status;
    if !status.takes_image() {
        let detail = format!("firmware {firmware} has its signed manifest; another image needs another firmware id");
        let refusal = Refusal::conflict("wrong-step", detail);
        return Err(origin.deny(&api, caller.actor, "firmware.image", &object, refusal).await);
    }
    let upload = take_in(&api, body).await?;
    let (sha256, size_bytes) = (upload.sha256(), upload.size_bytes());
    let command = Command::StoreImage { firmware: firmware.clone(), sha256, size_bytes };
    keep(&api, (origin, caller), &firmware, upload, command).await?;
    find(&api, &firmware)
}

/// Uploads a patch that makes the image out of the image of another release; it must have the digest of the path.
#[utoipa::path(put, path = "/api/v1/firmware/{firmware}/deltas/{sha256}",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = FirmwareView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn upload_delta(
    State(api): State<Api>,
    origin: Origin,
    Path((firmware, sha256)): Path<(String, String)>,
    body: Body,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let object = format!("firmware/{firmware}");
    let caller = origin.need(&api, Permission::SubmitFirmware, "firmware.delta", &object).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let announced: Digest = id("sha256", &sha256)?;
    let status = api.runner.state().need_firmware(&firmware)?.status;
    if status != FirmwareStatus::AwaitingManifest {
        let detail = format!("firmware {firmware} takes patches between its image and its manifest");
        let refusal = Refusal::conflict("wrong-step", detail);
        return Err(origin.deny(&api, caller.actor, "firmware.delta", &object, refusal).await);
    }
    let upload = take_in(&api, body).await?;
    let (sha256, size_bytes) = (upload.sha256(), upload.size_bytes());
    if sha256 != announced {
        let refusal = Refusal::digest_mismatch("the patch is not what the path names", announced, sha256);
        return Err(origin.deny(&api, caller.actor, "firmware.delta", &object, refusal).await);
    }
    let command = Command::StoreDelta { firmware: firmware.clone(), sha256, size_bytes };
    keep(&api, (origin, caller), &firmware, upload, command).await?;
    find(&api, &firmware)
}

/// What has happened to a release, newest first: who submitted, approved, rejected and deployed it, as the audit log says.
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}/history", params(Paging),
    responses((status = 200, body = AuditPage), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn history(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<AuditPage>, Problem> {
    let caller = origin.need(&api, Permission::Read, "firmware.history", &format!("firmware/{firmware}")).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    api.runner.state().need_firmware(&firmware)?;
    about(&api, &caller, (Field::Firmware, "firmware"), &firmware, &paging).await
}

/// Attaches the manifest, signed offline by the release role; approvals are requested at once.
#[utoipa::path(put, path = "/api/v1/firmware/{firmware}/manifest", request_body = SignedDocument,
    responses((status = 200, body = FirmwareView), (status = 422, body = Problem)))]
pub(super) async fn attach_manifest(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    Json(body): Json<SignedDocument>,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let object = format!("firmware/{firmware}");
    let caller = origin.need(&api, Permission::SubmitFirmware, "firmware.manifest", &object).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let manifest = match document("document", &body.document) {
        Ok(manifest) => manifest,
        Err(refusal) => return Err(origin.deny(&api, caller.actor, "firmware.manifest", &object, refusal).await),
    };
    origin.submit(&api, &caller, Command::AttachManifest { firmware: firmware.clone(), manifest }).await?;
    find(&api, &firmware)
}

/// Bills of materials that are read at the same time: each costs some megabytes and a thread.
const SBOMS_AT_ONCE: usize = 4;
static SBOMS: Semaphore = Semaphore::const_new(SBOMS_AT_ONCE);
/// Pieces of a body on their way to the reader.
const PIECES_WAITING: usize = 4;

/// The body as the reader of a bill of materials sees it.
struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, std::io::Error>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.rest.len());
        buffer[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}

/// Reads a bill of materials while it comes, and writes it into `upload`: memory does not grow with it. Returns its digest and what it names; the
/// upload is not finished yet.
async fn take_sbom(body: Body, upload: &mut Upload) -> Result<Result<Sbom, SbomError>, Problem> {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let reading = tokio::task::spawn_blocking(move || sbom::read(Pieces { receiver, rest: Bytes::new() }));
    let mut stream = body.into_data_stream();
    let mut bytes: u64 = 0;
    while let Some(piece) = stream.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                // The reader ends with the same error, and nothing of it is kept.
                let _ = sender.send(Err(std::io::ErrorKind::UnexpectedEof.into())).await;
                return Err(unreadable(&error).into());
            }
        };
        bytes += piece.len() as u64;
        if bytes > sbom::DOCUMENT_BYTES_MAX {
            let detail = format!("a bill of materials has at most {} bytes", sbom::DOCUMENT_BYTES_MAX);
            return Err(Refusal::new(Class::TooLarge, "sbom-too-large", detail).into());
        }
        upload.write(&piece).map_err(|e| Problem::internal("the bill of materials cannot be stored", &e))?;
        // A reader that has seen enough to refuse takes no more; the rest is passed over.
        if sender.send(Ok(piece)).await.is_err() {
            break;
        }
    }
    drop(sender);
    reading.await.map_err(|e| Problem::internal("the bill of materials cannot be read", &e))
}

/// Takes the bill of materials (CycloneDX 1.2 to 1.7, SPDX 2.2, 2.3 or 3.0, in JSON, up to 64 MiB) whose digest the signed manifest names; recalls
/// find devices by its parts. Before it is here, the release is neither approved nor deployed.
#[utoipa::path(put, path = "/api/v1/firmware/{firmware}/sbom", request_body(content = Vec<u8>, content_type = "application/vnd.cyclonedx+json"),
    responses((status = 200, body = FirmwareView), (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn attach_sbom(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    body: Body,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let object = format!("firmware/{firmware}");
    let caller = origin.need(&api, Permission::SubmitFirmware, "firmware.sbom", &object).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let awaited = {
        let state = api.runner.state();
        takes_sbom(state.need_firmware(&firmware)?, &firmware, None)
    };
    if let Err(refusal) = awaited {
        return Err(origin.deny(&api, caller.actor, "firmware.sbom", &object, refusal).await);
    }
    let Ok(_place) = SBOMS.try_acquire() else {
        let detail = "other bills of materials are being read; try again in a moment";
        return Err(Refusal::new(Class::Unavailable, "busy", detail).into());
    };
    let storage = |e: std::io::Error| Problem::internal("the bill of materials cannot be stored", &e);
    let name: FirmwareId = fresh_id("sbom-")?;
    let mut upload = api.images.begin(name.as_str()).map_err(storage)?;
    let parsed = match take_sbom(body, &mut upload).await? {
        Ok(parsed) => parsed,
        Err(error) => {
            let refusal = Refusal::document("malformed-sbom", error);
            return Err(origin.deny(&api, caller.actor, "firmware.sbom", &object, refusal).await);
        }
    };
    let sha256 = upload.sha256();
    let checked = {
        let state = api.runner.state();
        takes_sbom(state.need_firmware(&firmware)?, &firmware, Some(sha256))
    };
    if let Err(refusal) = checked {
        return Err(origin.deny(&api, caller.actor, "firmware.sbom", &object, refusal).await);
    }
    // The document itself is kept too: parts are what recalls need of it, inspectors and customers ask for all.
    let command = Command::AttachSbom { firmware: firmware.clone(), sha256, components: parsed.parts };
    keep(&api, (origin, caller), &firmware, upload, command).await?;
    find(&api, &firmware)
}

/// The bill of materials of a release, as it was signed. Of those that were attached before documents were kept, only the parts are known.
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}/sbom",
    responses((status = 200, content_type = "application/json"), (status = 404, body = Problem)))]
pub(super) async fn sbom_document(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "firmware.sbom.get", &format!("firmware/{firmware}")).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let named = {
        let state = api.runner.state();
        let held = state.need_firmware(&firmware)?;
        held.manifest.as_ref().and_then(|m| m.manifest.sbom_sha256).filter(|_| !held.sbom.is_empty())
    };
    let sha256 = named.ok_or_else(|| Refusal::not_found("bill of materials of firmware", &firmware))?;
    let mut response = serve_image(&api, sha256, &HeaderMap::new()).await?;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The parts of a release's bill of materials.
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}/parts",
    responses((status = 200, body = Vec<Object>), (status = 404, body = Problem)))]
pub(super) async fn parts(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
) -> Result<axum::Json<Vec<Part>>, Problem> {
    origin.need(&api, Permission::ReadAll, "firmware.parts", &format!("firmware/{firmware}")).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let state = api.runner.state();
    Ok(axum::Json(state.need_firmware(&firmware)?.sbom.clone()))
}

/// Lists firmware.
#[utoipa::path(get, path = "/api/v1/firmware", params(ListQuery),
    responses((status = 200, body = Vec<FirmwareView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::Read, "firmware.list", "firmware").await?;
    let state = api.runner.state();
    query.page("/api/v1/firmware", &state.firmware, |_, _| true, |id, f| view(&state, id, f))
}

/// Shows one firmware.
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}",
    responses((status = 200, body = FirmwareView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::Read, "firmware.show", &format!("firmware/{firmware}")).await?;
    let (firmware, state): (FirmwareId, _) = (id("firmware", &firmware)?, api.runner.state());
    let shown = view(&state, &firmware, state.need_firmware(&firmware)?);
    Ok(tagged(&state, &format!("firmware/{firmware}"), shown))
}

/// Takes a release back: no new deployment may use it. What runs it keeps it until a recall or a newer release.
#[utoipa::path(post, path = "/api/v1/firmware/{firmware}/withdrawal", request_body = Reason,
    responses((status = 200, body = FirmwareView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    Json(why): Json<Reason>,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let caller = origin.need(&api, Permission::Recall, "firmware.withdraw", &format!("firmware/{firmware}")).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    origin.submit(&api, &caller, Command::WithdrawFirmware { firmware: firmware.clone(), reason: why.reason }).await?;
    find(&api, &firmware)
}

/// Why a release is rejected, and which.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRejection {
    reason: String,
    /// The digest of the manifest that was shown; the rejection is refused if the release has another.
    #[schema(value_type = Option<String>)]
    manifest_digest: Option<Digest>,
}

/// Rejects a firmware; final. Printed name, time, meaning, reason and manifest stand in the record (21 CFR 11.50); `GET …/approvals/{firmware}/preview`
/// shows the meaning word for word before.
#[utoipa::path(post, path = "/api/v1/firmware/{firmware}/rejection", request_body = NewRejection, params(("role" = String, Query)),
    responses((status = 200, body = FirmwareView), (status = 409, body = Problem)))]
pub(super) async fn reject(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    Query(query): Query<RoleQuery>,
    Json(body): Json<NewRejection>,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let object = format!("firmware/{firmware}");
    let caller = origin.need(&api, Permission::Approve, "firmware.reject", &object).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let role = id("role", &query.role)?;
    let shown = body.manifest_digest;
    let command = Command::Reject { firmware: firmware.clone(), role, reason: body.reason, shown };
    origin.submit(&api, &caller, command).await?;
    find(&api, &firmware)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleQuery {
    role: String,
}
