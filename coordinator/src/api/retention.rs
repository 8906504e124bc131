//! Retention: terms, legal holds, disposal by two people.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::gateways::Reason;
use super::request::{Json, Origin, Path};
use super::{Api, Problem};
use crate::disposal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::retention::{Disposal, Hold, Terms};
use mdfm_coordinator_core::{Command, Refusal};

#[derive(Serialize, ToSchema)]
pub(crate) struct RetentionView {
    terms: Terms,
    /// Legal holds by id.
    #[schema(value_type = Object)]
    holds: BTreeMap<String, Value>,
    /// Disposals by id, also those that are over.
    #[schema(value_type = Object)]
    disposals: BTreeMap<String, Value>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTerms {
    terms: Terms,
    reason: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewHold {
    hold_id: String,
    /// For example `device/D-1`, `hospital/H-1` or `*`.
    object: String,
    reason: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDisposal {
    disposal_id: String,
    reason: String,
}

/// Terms, holds and disposals.
#[utoipa::path(get, path = "/api/v1/compliance/retention", responses((status = 200, body = RetentionView)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<axum::Json<RetentionView>, Problem> {
    origin.need(&api, Permission::ReadAudit, "retention.show", "retention/terms").await?;
    let state = api.runner.state();
    Ok(axum::Json(RetentionView {
        terms: state.retention,
        holds: state.holds.iter().map(|(id, h)| (id.clone(), hold_view(h))).collect(),
        disposals: state.disposals.iter().map(|(id, d)| (id.clone(), disposal_view(d))).collect(),
    }))
}

fn hold_view(hold: &Hold) -> Value {
    json!({ "object": hold.object, "by": hold.by, "at": hold.at.to_string(), "reason": hold.reason })
}

fn disposal_view(disposal: &Disposal) -> Value {
    json!({
        "judgedAt": disposal.judged_at.to_string(),
        "logSize": disposal.log_size,
        "entries": disposal.entries,
        "listSha256": disposal.list_sha256,
        "proposedBy": disposal.proposed_by,
        "confirmedBy": disposal.confirmed_by,
        "carriedOutAt": disposal.carried_out_at.map(|t| t.to_string()),
    })
}

/// Lengthens terms; they never get shorter.
#[utoipa::path(put, path = "/api/v1/compliance/retention", request_body = NewTerms,
    responses((status = 204), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewTerms>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::Retain, "retention.set", "retention/terms").await?;
    origin.submit(&api, &caller, Command::SetRetention { terms: new.terms, reason: new.reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Places a legal hold: what it names is kept whatever its term.
#[utoipa::path(post, path = "/api/v1/compliance/holds", request_body = NewHold,
    responses((status = 201), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn place_hold(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewHold>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::Retain, "hold.place", "hold").await?;
    let command = Command::PlaceHold { hold: new.hold_id, object: new.object, reason: new.reason };
    origin.submit(&api, &caller, command).await?;
    Ok(StatusCode::CREATED)
}

/// Releases a legal hold.
#[utoipa::path(post, path = "/api/v1/compliance/holds/{hold}/release", request_body = Reason,
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn release_hold(
    State(api): State<Api>,
    origin: Origin,
    Path(hold): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::Retain, "hold.release", &format!("hold/{hold}")).await?;
    origin.submit(&api, &caller, Command::ReleaseHold { hold, reason: reason.reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Finds the records whose retention has ended and proposes their disposal; another person confirms.
#[utoipa::path(post, path = "/api/v1/compliance/disposals", request_body = NewDisposal,
    responses((status = 201), (status = 409, body = Problem)))]
pub(super) async fn propose(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewDisposal>,
) -> Result<(StatusCode, axum::Json<Value>), Problem> {
    let caller = origin.need(&api, Permission::Dispose, "disposal.propose", "disposal").await?;
    let id: mdfm_shared::id::RecallId = super::request::id("disposalId", &new.disposal_id)?;
    if api.runner.state().disposals.contains_key(id.as_str()) {
        return Err(Refusal::exists("disposal", &id).into());
    }
    let (search, runner, dir) = (api.search.clone(), api.runner.clone(), api.disposals.clone());
    let now = runner.now();
    let name = id.to_string();
    let judged = tokio::task::spawn_blocking(move || disposal::judge(&search, &runner, &dir, &name, now)).await;
    let judged = judged
        .map_err(|e| Problem::internal("the judging of records ended", &e))?
        .map_err(|e| Problem::internal("what has expired cannot be found", &*e))?;
    let view = json!({ "disposalId": id, "entries": judged.entries, "listSha256": judged.list_sha256 });
    let command = Command::ProposeDisposal { disposal: id.to_string(), judged, reason: new.reason };
    origin.submit(&api, &caller, command).await?;
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Confirms a disposal that somebody else proposed; then the payloads go, their hashes stay.
#[utoipa::path(post, path = "/api/v1/compliance/disposals/{disposal}/confirmation", request_body = Reason,
    responses((status = 202), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn confirm(
    State(api): State<Api>,
    origin: Origin,
    Path(id): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::Dispose, "disposal.confirm", &format!("disposal/{id}")).await?;
    if !api.runner.state().disposals.contains_key(&id) {
        return Err(Refusal::not_found("disposal", &id).into());
    }
    let expired = disposal::load(&api.runner, &api.disposals, &id)
        .map_err(|e| Problem::internal("the list of the disposal cannot be used", &*e))?;
    origin.submit(&api, &caller, Command::ConfirmDisposal { disposal: id.clone(), reason: reason.reason }).await?;
    api.runner.dispose(id, expired);
    Ok(StatusCode::ACCEPTED)
}
