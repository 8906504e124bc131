//! Approvals: the inbox, and signatures.

use axum::extract::State;
use axum::http::StatusCode;
use mdfm_shared::id::FirmwareId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::firmware::{FirmwareView, view};
use super::request::{Json, Origin, document, id};
use super::{Api, Problem};
use crate::domain::Command;
use crate::domain::access::Permission;
use crate::domain::firmware::FirmwareStatus;

/// An approval signed with the approver's own key.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewApproval {
    firmware_id: String,
    /// Base64 of the frame of the signed approval.
    document: String,
}

/// Lists the firmware that waits for approvals.
#[utoipa::path(get, path = "/api/v1/approvals", responses((status = 200, body = Vec<FirmwareView>)))]
pub(super) async fn inbox(State(api): State<Api>, origin: Origin) -> Result<axum::Json<Vec<FirmwareView>>, Problem> {
    origin.need(&api, Permission::ReadAll, "approval.list", "firmware").await?;
    let all = api.runner.state().firmware.clone();
    let waiting = all.iter().filter(|(_, f)| f.status == FirmwareStatus::PendingApproval);
    Ok(axum::Json(waiting.map(|(id, f)| view(&api, id, f)).collect()))
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
