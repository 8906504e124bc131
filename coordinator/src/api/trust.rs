//! Trust documents: made and signed offline, checked and published here.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::firmware::SignedDocument;
use super::request::{Json, Origin, document};
use super::{Api, Problem};
use crate::domain::Command;
use crate::domain::access::Permission;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrustView {
    root_version: u64,
    first_root_digest: Option<String>,
    roster_version: u64,
    /// Verifier key of the audit log.
    log_key: Option<String>,
    /// Base64 of the frames of the signed roots, version 1 first.
    roots: Vec<String>,
    roster: Option<String>,
}

/// Shows the trust documents.
#[utoipa::path(get, path = "/api/v1/trust", responses((status = 200, body = TrustView)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<axum::Json<TrustView>, Problem> {
    origin.need(&api, Permission::Read, "trust.show", "trust").await?;
    let state = api.runner.state();
    Ok(axum::Json(TrustView {
        root_version: state.trusted_root().map_or(0, |r| r.version),
        first_root_digest: state.first_root_digest.map(|d| d.to_string()),
        roster_version: state.roster.as_ref().map_or(0, |r| r.version),
        log_key: state.trusted_root().map(|r| r.log.clone()),
        roots: state.roots.clone(),
        roster: state.roster_document.clone(),
    }))
}

/// Adds the next trust root.
#[utoipa::path(post, path = "/api/v1/trust/roots", request_body = SignedDocument,
    responses((status = 201), (status = 422, body = Problem)))]
pub(super) async fn add_root(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<SignedDocument>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageTrust, "trust.root.add", "trust/root").await?;
    let root = document("document", &body.document)?;
    origin.submit(&api, &caller, Command::AddTrustRoot { root }).await?;
    Ok(StatusCode::CREATED)
}

/// Adds the next approver roster.
#[utoipa::path(post, path = "/api/v1/trust/rosters", request_body = SignedDocument,
    responses((status = 201), (status = 422, body = Problem)))]
pub(super) async fn add_roster(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<SignedDocument>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageTrust, "trust.roster.add", "trust/roster").await?;
    let roster = document("document", &body.document)?;
    origin.submit(&api, &caller, Command::AddRoster { roster }).await?;
    Ok(StatusCode::CREATED)
}
