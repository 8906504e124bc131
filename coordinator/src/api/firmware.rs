//! Firmware: describe, upload the image as a stream, attach the signed manifest, look.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt;
use mdfm_audit::Field;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::manifest::Manifest;
use mdfm_shared::trust::missing_roles;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Whole;
use super::compliance::{AuditPage, Paging, about};
use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, document, fresh_id, id};
use super::{Api, Problem};
use crate::domain::access::Permission;
use crate::domain::firmware::{Firmware, FirmwareStatus, LostApproval, SbomComponent};
use crate::domain::refusal::Class;
use crate::domain::{Command, Refusal, State as Domain};

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
    /// The days after its confirmation in which a device returns from this release on the coordinator's directive alone.
    recall_window_days: Option<f64>,
    /// Whether a withdrawal is signed for the fleet, and why; `null` if it is not withdrawn.
    withdrawal: Option<String>,
    /// Parts of the bill of materials on record.
    sbom_components: usize,
}

/// A signed document as base64 of its frame.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SignedDocument {
    pub(super) document: String,
}

pub(super) fn view(api: &Api, id: &FirmwareId, firmware: &Firmware) -> FirmwareView {
    let state = api.runner.state();
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
        withdrawal: withdrawal(&state, firmware),
        sbom_components: firmware.sbom.len(),
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
    let firmware = api.runner.state().need_firmware(id)?.clone();
    Ok(axum::Json(view(api, id, &firmware)))
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
    let command = Command::CreateFirmware {
        firmware: firmware.clone(),
        version: new.version,
        model: new.device_model,
        release_notes: new.release_notes,
    };
    origin.submit(&api, &caller, command).await?;
    Ok((StatusCode::CREATED, find(&api, &firmware)?))
}

/// Stores what comes under its digest; gives that and the length in bytes.
async fn take_in(api: &Api, body: Body) -> Result<(Digest, u64), Problem> {
    let storage = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::FileTooLarge => {
            let detail =
                format!("the image is larger than the {} bytes that this coordinator takes", api.images.bytes_max());
            Refusal::new(Class::TooLarge, "image-too-large", detail).into()
        }
        std::io::ErrorKind::StorageFull => {
            let detail = "no room for the image on the coordinator's disk; nothing was kept of it";
            Refusal::new(Class::NoRoom, "storage-full", detail).into()
        }
        _ => Problem::internal("the image cannot be stored", &e),
    };
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
    tokio::task::spawn_blocking(move || upload.finish())
        .await
        .map_err(|e| Problem::internal("the image cannot be stored", &e))?
        .map_err(storage)
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
    let (sha256, size_bytes) = take_in(&api, body).await?;
    origin.submit(&api, &caller, Command::StoreImage { firmware: firmware.clone(), sha256, size_bytes }).await?;
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
    let (sha256, size_bytes) = take_in(&api, body).await?;
    if sha256 != announced {
        let refusal = Refusal::digest_mismatch("the patch is not what the path names", announced, sha256);
        return Err(origin.deny(&api, caller.actor, "firmware.delta", &object, refusal).await);
    }
    origin.submit(&api, &caller, Command::StoreDelta { firmware: firmware.clone(), sha256, size_bytes }).await?;
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
    origin.need(&api, Permission::ReadAudit, "firmware.history", &format!("firmware/{firmware}")).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    api.runner.state().need_firmware(&firmware)?;
    about(&api, Field::Firmware, &firmware, &paging).await
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

/// A software bill of materials, CycloneDX or SPDX 2 in JSON; what is not needed to find affected devices is not read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sbom {
    Spdx {
        #[serde(rename = "spdxVersion")]
        _version: String,
        packages: Vec<SpdxPackage>,
    },
    CycloneDx {
        #[serde(default)]
        components: Vec<CycloneDxComponent>,
    },
}

#[derive(Deserialize)]
struct CycloneDxComponent {
    name: String,
    #[serde(default)]
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    name: String,
    #[serde(default)]
    version_info: Option<String>,
}

impl Sbom {
    fn components(self) -> Vec<SbomComponent> {
        match self {
            Self::Spdx { packages, .. } => {
                packages.into_iter().map(|p| SbomComponent { name: p.name, version: p.version_info }).collect()
            }
            Self::CycloneDx { components } => {
                components.into_iter().map(|c| SbomComponent { name: c.name, version: c.version }).collect()
            }
        }
    }
}

/// Takes the bill of materials (CycloneDX, or SPDX 2, in JSON) whose digest the signed manifest names; recalls find devices by its parts.
#[utoipa::path(put, path = "/api/v1/firmware/{firmware}/sbom", request_body(content = Vec<u8>, content_type = "application/vnd.cyclonedx+json"),
    responses((status = 200, body = FirmwareView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn attach_sbom(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    Whole(body): Whole,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let object = format!("firmware/{firmware}");
    let caller = origin.need(&api, Permission::SubmitFirmware, "firmware.sbom", &object).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let parsed: Sbom = match serde_json::from_slice(&body) {
        Ok(parsed) => parsed,
        Err(e) => {
            let refusal = Refusal::document("malformed-sbom", format!("neither CycloneDX nor SPDX in JSON: {e}"));
            return Err(origin.deny(&api, caller.actor, "firmware.sbom", &object, refusal).await);
        }
    };
    let components = parsed.components();
    let command = Command::AttachSbom { firmware: firmware.clone(), sha256: Digest::of(&body), components };
    origin.submit(&api, &caller, command).await?;
    find(&api, &firmware)
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
    let all = api.runner.state().firmware.clone();
    query.page("/api/v1/firmware", &all, |_, _| true, |id, f| view(&api, id, f))
}

/// Shows one firmware.
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}",
    responses((status = 200, body = FirmwareView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
) -> Result<axum::Json<FirmwareView>, Problem> {
    origin.need(&api, Permission::Read, "firmware.show", &format!("firmware/{firmware}")).await?;
    find(&api, &id("firmware", &firmware)?)
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

/// Rejects a firmware; final.
#[utoipa::path(post, path = "/api/v1/firmware/{firmware}/rejection", request_body = Reason, params(("role" = String, Query)),
    responses((status = 200, body = FirmwareView), (status = 409, body = Problem)))]
pub(super) async fn reject(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    Query(query): Query<RoleQuery>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<FirmwareView>, Problem> {
    let object = format!("firmware/{firmware}");
    let caller = origin.need(&api, Permission::Approve, "firmware.reject", &object).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let role = id("role", &query.role)?;
    let command = Command::Reject { firmware: firmware.clone(), role, reason: body.reason };
    origin.submit(&api, &caller, command).await?;
    find(&api, &firmware)
}

#[derive(Deserialize)]
pub(super) struct RoleQuery {
    role: String,
}
