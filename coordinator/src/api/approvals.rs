//! Approvals: the inbox, and signatures.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, FirmwareId, UserId};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::trust::{Approval, Role, Validation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deployments::{DeploymentView, find};
use super::firmware::{FirmwareView, view};
use super::list::ListQuery;
use super::people::{BothFactors, open_key};
use super::request::{Json, Origin, Path, Query, document, id};
use super::{Api, Problem};
use crate::access::Caller;
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::firmware::{Firmware, FirmwareStatus, may_approve, may_reject, rejection_meaning};
use mdfm_coordinator_core::rollout::Deployment;
use mdfm_coordinator_core::rollout::evidence::{self, Evidence};
use mdfm_coordinator_core::{Command, Refusal};

/// Why nobody signs here without a key that the coordinator keeps for them.
const WITHOUT_KEY: &str =
    "no signing key; make one (mdfmctl signing-key add) and have the registrar put it on the roster";

/// Why the key that the coordinator keeps signs nothing for somebody who is on the roster with another one.
const OTHER_KEY: &str = "the roster names another key of yours than the one that the coordinator keeps; sign with that key in its file, or have the \
    registrar put the kept key on the roster";

/// An approval signed with the approver's own key.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewApproval {
    firmware_id: String,
    /// Base64 of the frame of the signed approval.
    document: String,
}

/// Lists the firmware that waits for approvals.
#[utoipa::path(get, path = "/api/v1/approvals", params(ListQuery),
    responses((status = 200, body = Vec<FirmwareView>), (status = 422, body = Problem)))]
pub(super) async fn inbox(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "approval.list", "firmware").await?;
    let state = api.runner.state();
    let waits = |f: &Firmware| f.status == FirmwareStatus::PendingApproval;
    query.page("/api/v1/approvals", &state.firmware, |_, f| waits(f), |id, f| view(&state, id, f))
}

/// What somebody would sign as an approval, before they sign it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SigningPreview {
    firmware_id: String,
    /// To be given back with the signature.
    manifest_digest: Option<String>,
    user_id: String,
    printed_name: String,
    /// The time of the coordinator now; a signature takes the time at which it is made.
    at: String,
    /// Why the key that the coordinator keeps for the caller signs nothing now; `null` if it does. A key in a file is not concerned.
    key_problem: Option<String>,
    /// One for each of the caller's roles that sign.
    statements: Vec<StatementView>,
}

/// What an approval in one role says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatementView {
    /// `Clinical`, `QA` or `Regulatory`.
    role: String,
    /// Word for word what is signed.
    meaning: String,
    /// Why the caller cannot sign this now; `null` if they can.
    cannot_sign: Option<String>,
    /// Word for word what a rejection in this role says.
    rejection: String,
    /// Why the caller cannot reject the release now; `null` if they can.
    cannot_reject: Option<String>,
}

/// What an approval says: part of what is signed (21 CFR 11.50(a)(3)).
fn meaning(id: &FirmwareId, firmware: &Firmware, role: Role) -> String {
    format!("I approve {id} {} for {} as {role}", firmware.version, firmware.model)
}

/// Shows what the caller would sign as an approval in each of their roles, word for word, and why they could not; nothing is signed.
#[utoipa::path(get, path = "/api/v1/approvals/{firmware}/preview",
    responses((status = 200, body = SigningPreview), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn preview(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
) -> Result<axum::Json<SigningPreview>, Problem> {
    const ACTION: &str = "firmware.approve.preview";
    let object = format!("firmware/{}", firmware.chars().take(64).collect::<String>());
    let (caller, user) = origin.need_self(&api, ACTION).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    api.runner.state().need_firmware(&firmware)?;
    let account = api.runner.state().users.get(&user).cloned().ok_or_else(|| Refusal::not_found("user", &user))?;
    let signs = |role: &Role| account.roles.iter().any(|held| held.name() == role.to_string());
    let roles: Vec<Role> = Role::ALL.into_iter().filter(signs).collect();
    if roles.is_empty() {
        let detail = format!("{user} has no role that signs; Clinical, QA and Regulatory do");
        return Err(origin.deny(&api, caller.actor, ACTION, &object, Refusal::forbidden("permission", detail)).await);
    }
    let state = api.runner.state();
    let now = state.not_before(clock::now());
    let release = state.need_firmware(&firmware)?;
    let statement = |role: Role| StatementView {
        role: role.to_string(),
        meaning: meaning(&firmware, release, role),
        cannot_sign: may_approve(&state, now, &firmware, &user, role).err().map(|refusal| refusal.detail),
        rejection: rejection_meaning(&firmware, release, role),
        cannot_reject: may_reject(&state, now, &firmware, user.as_str(), role).err().map(|refusal| refusal.detail),
    };
    let entries = || state.roster.iter().flat_map(|roster| roster.entries_of(&user));
    let is_named = |key: &str| entries().any(|e| e.is_valid(now, state.log_size) && e.key.to_string() == key);
    let key_problem = match &account.signing_key {
        None => Some(WITHOUT_KEY.to_owned()),
        Some(key) if !is_named(&key.public_key) => Some(OTHER_KEY.to_owned()),
        Some(_) => None,
    };
    Ok(axum::Json(SigningPreview {
        key_problem,
        firmware_id: firmware.to_string(),
        manifest_digest: release.manifest.as_ref().map(|m| m.digest.to_string()),
        statements: roles.into_iter().map(statement).collect(),
        user_id: user.to_string(),
        printed_name: account.printed_name.clone(),
        at: now.to_string(),
    }))
}

/// Gives an approval.
#[utoipa::path(post, path = "/api/v1/approvals", request_body = NewApproval,
    responses((status = 201, body = FirmwareView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn approve(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewApproval>,
) -> Result<(StatusCode, axum::Json<FirmwareView>), Problem> {
    let object = format!("firmware/{}", new.firmware_id.chars().take(64).collect::<String>());
    let caller = origin.need(&api, Permission::Approve, "firmware.approve", &object).await?;
    let firmware: FirmwareId = id("firmwareId", &new.firmware_id)?;
    let approval = match document("document", &new.document) {
        Ok(approval) => approval,
        Err(refusal) => return Err(origin.deny(&api, caller.actor, "firmware.approve", &object, refusal).await),
    };
    origin.submit(&api, &caller, Command::Approve { firmware: firmware.clone(), approval }).await?;
    let state = api.runner.state();
    Ok((StatusCode::CREATED, axum::Json(view(&state, &firmware, state.need_firmware(&firmware)?))))
}

/// What an approver says, and both of their factors.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Signing {
    firmware_id: String,
    /// `Clinical`, `QA` or `Regulatory`.
    role: String,
    reason: String,
    #[schema(format = Password)]
    password: String,
    #[schema(format = Password)]
    code: String,
    /// The digest of the manifest that the signer was shown; the signature is refused if the release has another.
    #[schema(value_type = Option<String>)]
    manifest_digest: Option<Digest>,
}

/// Refuses a signature under something else than its signer was shown.
fn check_shown(shown: Option<Digest>, held: Digest) -> Result<(), Refusal> {
    match shown {
        Some(shown) if shown != held => {
            let detail = format!("you were shown manifest {shown}, the release has {held}; look at it again");
            Err(Refusal::conflict("changed-meanwhile", detail))
        }
        Some(_) | None => Ok(()),
    }
}

/// Somebody who signs with the key that the coordinator keeps for them.
pub(super) struct Signer {
    pub(super) caller: Caller,
    pub(super) user: UserId,
    pub(super) printed_name: String,
    pub(super) key: SecretKey,
}

/// The caller with their own key, which opens for a password and a second factor given with this very signature (21 CFR 11.200(a)).
pub(super) async fn signer(
    api: &Api,
    origin: &Origin,
    action: &'static str,
    object: &str,
    both: BothFactors,
) -> Result<Signer, Problem> {
    // Both factors come with the signature: nothing needs to have been shown before.
    let (_, user, account) = origin.need_both(api, action, &both).await?;
    let caller = origin.need(api, Permission::Approve, action, object).await?;
    let Some(held) = &account.signing_key else {
        let refusal = Refusal::conflict("signing-key", WITHOUT_KEY);
        return Err(origin.deny(api, caller.actor, action, object, refusal).await);
    };
    let key = open_key(api, &user, held.sealed, both.password).await?;
    Ok(Signer { caller, user, printed_name: account.printed_name, key })
}

/// Signs an approval with the approver's own key; printed name, time and meaning are part of what is signed (21 CFR 11.50).
#[utoipa::path(post, path = "/api/v1/approvals/signature", request_body = Signing,
    responses((status = 201, body = FirmwareView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn sign(
    State(api): State<Api>,
    origin: Origin,
    Json(request): Json<Signing>,
) -> Result<(StatusCode, axum::Json<FirmwareView>), Problem> {
    let object = format!("firmware/{}", request.firmware_id.chars().take(64).collect::<String>());
    let both = BothFactors { password: request.password, code: request.code };
    let Signer { caller, user, printed_name, key } = signer(&api, &origin, "firmware.approve", &object, both).await?;
    let firmware: FirmwareId = id("firmwareId", &request.firmware_id)?;
    let role: Role = id("role", &request.role)?;
    let release = api.runner.state().need_firmware(&firmware)?.clone();
    let manifest = release.manifest.as_ref().ok_or_else(|| {
        Refusal::conflict(
            "wrong-step",
            format!("firmware {firmware} has no signed manifest yet; there is nothing to approve"),
        )
    })?;
    if let Err(refusal) = check_shown(request.manifest_digest, manifest.digest) {
        return Err(origin.deny(&api, caller.actor, "firmware.approve", &object, refusal).await);
    }
    let approval = Approval {
        manifest: manifest.digest,
        role,
        user,
        printed_name,
        meaning: meaning(&firmware, &release, role),
        reason: request.reason,
        at: api.runner.now(),
    };
    let approval = Signed::sign(&approval, &[&key]).map_err(|e| Refusal::document("approval", e))?;
    origin.submit(&api, &caller, Command::Approve { firmware: firmware.clone(), approval }).await?;
    let state = api.runner.state();
    Ok((StatusCode::CREATED, axum::Json(view(&state, &firmware, state.need_firmware(&firmware)?))))
}

/// What somebody would sign who validates the phase whose gate has held, before they sign it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValidationPreview {
    deployment_id: String,
    /// 1 for the first.
    phase: u32,
    /// To be given back with the signature.
    manifest_digest: String,
    /// What the signature stands on: the gate's record and what became of the phase since, as JSON, byte for byte what the digest is of.
    evidence: String,
    /// SHA-256 of `evidence`; to be given back with the signature.
    evidence_digest: String,
    /// The role that the phase asks for; `null` if it asks for nobody's signature.
    role: Option<String>,
    user_id: String,
    printed_name: String,
    /// The time of the coordinator now; a signature takes the time at which it is made.
    at: String,
    /// Word for word what is signed.
    meaning: String,
}

/// What a validation says: part of what is signed (21 CFR 11.50(a)(3)).
fn validation_meaning(deployment: &Deployment, role: Role) -> String {
    let name = deployment.plan.spec.phases.get(deployment.current as usize).map_or("", |phase| &phase.name);
    format!("I validate phase {} ({name}) as {role}", deployment.current.saturating_add(1))
}

/// Shows what the caller would sign at the gate that has held, word for word, with the evidence; nothing is signed.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/validations/preview",
    responses((status = 200, body = ValidationPreview), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn preview_validation(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
) -> Result<axum::Json<ValidationPreview>, Problem> {
    const ACTION: &str = "deployment.validate.preview";
    let object = format!("deployment/{}", deployment.chars().take(64).collect::<String>());
    let caller = origin.need(&api, Permission::ReadAll, ACTION, &object).await?;
    let id: DeploymentId = id("deployment", &deployment)?;
    let state = api.runner.state();
    let held = state.need_deployment(&id)?;
    let Evidence { text, digest } = evidence::of(&id, held)?;
    let role = held.plan.spec.phases.get(held.current as usize).and_then(|phase| phase.validation);
    let user = state.users.iter().find(|(user, _)| user.as_str() == caller.actor.id);
    Ok(axum::Json(ValidationPreview {
        phase: held.current.saturating_add(1),
        manifest_digest: held.plan.manifest.to_string(),
        evidence: text,
        evidence_digest: digest.to_string(),
        meaning: role.map(|role| validation_meaning(held, role)).unwrap_or_default(),
        role: role.map(|role| role.to_string()),
        printed_name: user.map(|(_, account)| account.printed_name.clone()).unwrap_or_default(),
        user_id: caller.actor.id,
        at: state.not_before(clock::now()).to_string(),
        deployment_id: id.to_string(),
    }))
}

/// What somebody says who validates a phase, and both of their factors.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PhaseSigning {
    /// `Clinical`, `QA` or `Regulatory`: the role that the phase asks for.
    role: String,
    reason: String,
    #[schema(format = Password)]
    password: String,
    #[schema(format = Password)]
    code: String,
    /// The digest of the manifest that the signer was shown; the signature is refused if the deployment brings another.
    #[schema(value_type = Option<String>)]
    manifest_digest: Option<Digest>,
    /// The digest of the evidence that the signer was shown (`…/validations/preview`); the signature is refused if it is another now.
    #[schema(value_type = Option<String>)]
    evidence_digest: Option<Digest>,
}

/// Signs the validation of the current phase, whose gate has held, with the signer's own key, as an approval is signed.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/validations/signature", request_body = PhaseSigning,
    responses((status = 201, body = DeploymentView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn sign_validation(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(asked): Json<PhaseSigning>,
) -> Result<(StatusCode, axum::Json<DeploymentView>), Problem> {
    let object = format!("deployment/{deployment}");
    let both = BothFactors { password: asked.password, code: asked.code };
    let signer = signer(&api, &origin, "deployment.validate", &object, both).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let role: Role = id("role", &asked.role)?;
    let validation = {
        let state = api.runner.state();
        let held = state.need_deployment(&deployment)?;
        check_shown(asked.manifest_digest, held.plan.manifest)?;
        let stands = evidence::of(&deployment, held)?.digest;
        Validation {
            // Who was shown nothing signs what stands; it is in the signature all the same.
            evidence: Some(asked.evidence_digest.unwrap_or(stands)),
            deployment: deployment.clone(),
            phase: held.current,
            manifest: held.plan.manifest,
            role,
            user: signer.user,
            printed_name: signer.printed_name,
            meaning: validation_meaning(held, role),
            reason: asked.reason,
            at: state.not_before(clock::now()),
        }
    };
    let validation = Signed::sign(&validation, &[&signer.key]).map_err(|e| Refusal::document("validation", e))?;
    origin.submit(&api, &signer.caller, Command::Validate { deployment: deployment.clone(), validation }).await?;
    Ok((StatusCode::CREATED, find(&api, &signer.caller, &deployment)?))
}
