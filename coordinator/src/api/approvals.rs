//! Approvals: the inbox, and signatures.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::sign::Signed;
use mdfm_shared::trust::{Approval, Role};
use serde::Deserialize;
use utoipa::ToSchema;

use super::firmware::{FirmwareView, view};
use super::list::ListQuery;
use super::people::{BothFactors, open_key};
use super::request::{Json, Origin, Query, document, id};
use super::{Api, Problem};
use crate::clock;
use crate::domain::access::Permission;
use crate::domain::firmware::{Firmware, FirmwareStatus};
use crate::domain::{Command, Refusal};

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
    let all = api.runner.state().firmware.clone();
    let waits = |f: &Firmware| f.status == FirmwareStatus::PendingApproval;
    query.page("/api/v1/approvals", &all, |_, f| waits(f), |id, f| view(&api, id, f))
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
    let approved = api.runner.state().need_firmware(&firmware)?.clone();
    Ok((StatusCode::CREATED, axum::Json(view(&api, &firmware, &approved))))
}

/// What an approver says, and both of their factors.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Signing {
    firmware_id: String,
    /// `Clinical`, `QA` or `Regulatory`.
    role: String,
    reason: String,
    password: String,
    code: String,
}

/// Signs an approval with the approver's own key, which opens for a password and a second factor given with this very signature
/// (21 CFR 11.200(a)); printed name, time and meaning are part of what is signed (11.50).
#[utoipa::path(post, path = "/api/v1/approvals/signature", request_body = Signing,
    responses((status = 201, body = FirmwareView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn sign(
    State(api): State<Api>,
    origin: Origin,
    Json(wish): Json<Signing>,
) -> Result<(StatusCode, axum::Json<FirmwareView>), Problem> {
    let action = "firmware.approve";
    let object = format!("firmware/{}", wish.firmware_id.chars().take(64).collect::<String>());
    // Both factors come with the signature: nothing needs to have been shown before.
    let both = BothFactors { password: wish.password, code: wish.code };
    let (_, user, account) = origin.need_both(&api, action, &both).await?;
    let caller = origin.need(&api, Permission::Approve, action, &object).await?;
    let firmware: FirmwareId = id("firmwareId", &wish.firmware_id)?;
    let role: Role = id("role", &wish.role)?;
    let release = api.runner.state().need_firmware(&firmware)?.clone();
    let manifest = release.manifest.as_ref().ok_or_else(|| {
        Refusal::conflict(
            "wrong-step",
            format!("firmware {firmware} has no signed manifest yet; there is nothing to approve"),
        )
    })?;
    let Some(held) = &account.signing_key else {
        let detail =
            "no signing key; make one (mdfmctl signing-key create) and have the registrar put it on the roster";
        return Err(origin.deny(&api, caller.actor, action, &object, Refusal::conflict("signing-key", detail)).await);
    };
    let key = open_key(&api, &user, held.sealed, both.password).await?;
    let approval = Approval {
        manifest: manifest.digest,
        role,
        user,
        printed_name: account.printed_name,
        meaning: format!("I approve {firmware} {} for {} as {role}", release.version, release.model),
        reason: wish.reason,
        at: clock::now(),
    };
    let approval = Signed::sign(&approval, &[&key]).map_err(|e| Refusal::document("approval", e))?;
    origin.submit(&api, &caller, Command::Approve { firmware: firmware.clone(), approval }).await?;
    let approved = api.runner.state().need_firmware(&firmware)?.clone();
    Ok((StatusCode::CREATED, axum::Json(view(&api, &firmware, &approved))))
}
