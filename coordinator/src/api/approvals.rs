//! Approvals: the inbox, and signatures.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, FirmwareId, UserId};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::trust::{Approval, Role, Validation};
use serde::Deserialize;
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
use mdfm_coordinator_core::firmware::{Firmware, FirmwareStatus};
use mdfm_coordinator_core::{Command, Refusal};

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
        let detail = "no signing key; make one (mdfmctl signing-key add) and have the registrar put it on the roster";
        return Err(origin.deny(api, caller.actor, action, object, Refusal::conflict("signing-key", detail)).await);
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
    Json(wish): Json<Signing>,
) -> Result<(StatusCode, axum::Json<FirmwareView>), Problem> {
    let object = format!("firmware/{}", wish.firmware_id.chars().take(64).collect::<String>());
    let both = BothFactors { password: wish.password, code: wish.code };
    let Signer { caller, user, printed_name, key } = signer(&api, &origin, "firmware.approve", &object, both).await?;
    let firmware: FirmwareId = id("firmwareId", &wish.firmware_id)?;
    let role: Role = id("role", &wish.role)?;
    let release = api.runner.state().need_firmware(&firmware)?.clone();
    let manifest = release.manifest.as_ref().ok_or_else(|| {
        Refusal::conflict(
            "wrong-step",
            format!("firmware {firmware} has no signed manifest yet; there is nothing to approve"),
        )
    })?;
    if let Err(refusal) = check_shown(wish.manifest_digest, manifest.digest) {
        return Err(origin.deny(&api, caller.actor, "firmware.approve", &object, refusal).await);
    }
    let approval = Approval {
        manifest: manifest.digest,
        role,
        user,
        printed_name,
        meaning: format!("I approve {firmware} {} for {} as {role}", release.version, release.model),
        reason: wish.reason,
        at: clock::now(),
    };
    let approval = Signed::sign(&approval, &[&key]).map_err(|e| Refusal::document("approval", e))?;
    origin.submit(&api, &caller, Command::Approve { firmware: firmware.clone(), approval }).await?;
    let state = api.runner.state();
    Ok((StatusCode::CREATED, axum::Json(view(&state, &firmware, state.need_firmware(&firmware)?))))
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
}

/// Signs the validation of the current phase, whose gate has held, with the signer's own key, as an approval is signed.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/validations/signature", request_body = PhaseSigning,
    responses((status = 201, body = DeploymentView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn sign_validation(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(wish): Json<PhaseSigning>,
) -> Result<(StatusCode, axum::Json<DeploymentView>), Problem> {
    let object = format!("deployment/{deployment}");
    let both = BothFactors { password: wish.password, code: wish.code };
    let signer = signer(&api, &origin, "deployment.validate", &object, both).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let role: Role = id("role", &wish.role)?;
    let validation = {
        let state = api.runner.state();
        let held = state.need_deployment(&deployment)?;
        check_shown(wish.manifest_digest, held.plan.manifest)?;
        let name = held.plan.spec.phases.get(held.current as usize).map_or("", |phase| &phase.name);
        Validation {
            deployment: deployment.clone(),
            phase: held.current,
            manifest: held.plan.manifest,
            role,
            user: signer.user,
            printed_name: signer.printed_name,
            meaning: format!("I validate phase {} ({name}) as {role}", held.current + 1),
            reason: wish.reason,
            at: clock::now(),
        }
    };
    let validation = Signed::sign(&validation, &[&signer.key]).map_err(|e| Refusal::document("validation", e))?;
    origin.submit(&api, &signer.caller, Command::Validate { deployment: deployment.clone(), validation }).await?;
    Ok((StatusCode::CREATED, find(&api, &signer.caller, &deployment)?))
}
