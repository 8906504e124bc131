//! Trust documents: made and signed offline, checked and published here.

use axum::extract::State;
use axum::http::StatusCode;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::RosterEntry;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::firmware::SignedDocument;
use super::request::{Json, Origin, document};
use super::{Api, Problem};
use crate::clock;
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
    /// After this an agent installs nothing new until a newer root arrives.
    root_expires_at: Option<String>,
    /// When the roster was signed; null if it was signed before rosters had an expiry.
    roster_issued_at: Option<String>,
    /// After this an agent starts nothing new until a newer roster arrives; null if it does not expire.
    roster_expires_at: Option<String>,
    /// Lowest version of the withdrawals that agents must hold beside the roster; null if the roster demands none.
    roster_withdrawals_version: Option<u64>,
    /// Who may sign, those of the past too.
    roster_entries: Vec<RosterEntryView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RosterEntryView {
    user_id: String,
    printed_name: String,
    /// `Clinical`, `QA`, `Regulatory`.
    roles: Vec<String>,
    public_key: String,
    key_id: String,
    /// First moment of validity.
    valid_from: String,
    /// First moment after validity.
    valid_until: String,
    /// Set when the authority ended early.
    revoked: Option<RevocationView>,
    /// Whether a signature made now would count.
    valid_now: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevocationView {
    /// Signatures dated from here on do not count.
    at: String,
    /// Nor do those that stand in the log from this index on.
    log_size: u64,
}

impl RosterEntryView {
    fn of(entry: &RosterEntry, now: UtcMillis, log_size: u64) -> Self {
        let RosterEntry { user, printed_name, roles, key, valid_from, valid_until, revoked } = entry;
        Self {
            user_id: user.to_string(),
            printed_name: printed_name.clone(),
            roles: roles.iter().map(ToString::to_string).collect(),
            public_key: key.to_string(),
            key_id: key.id().to_string(),
            valid_from: valid_from.to_string(),
            valid_until: valid_until.to_string(),
            revoked: revoked.map(|r| RevocationView { at: r.at.to_string(), log_size: r.log_size }),
            valid_now: entry.is_valid(now, log_size),
        }
    }
}

/// A roster to publish.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRoster {
    /// Base64 of the frame of the signed roster.
    document: String,
    /// Whether it may drop or narrow entries of the past, so that approvals that stand on them no longer count.
    #[serde(default)]
    accept_alterations: bool,
    /// Why, for its record.
    reason: Option<String>,
}

/// Shows the trust documents.
#[utoipa::path(get, path = "/api/v1/trust", responses((status = 200, body = TrustView)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<axum::Json<TrustView>, Problem> {
    origin.need(&api, Permission::Read, "trust.show", "trust").await?;
    let state = api.runner.state();
    let (now, freshness) = (clock::now(), state.roster.as_ref().and_then(|r| r.freshness));
    let entries = state.roster.iter().flat_map(|r| &r.entries);
    Ok(axum::Json(TrustView {
        root_version: state.trusted_root().map_or(0, |r| r.version),
        first_root_digest: state.first_root_digest.map(|d| d.to_string()),
        roster_version: state.roster.as_ref().map_or(0, |r| r.version),
        log_key: state.trusted_root().map(|r| r.log.clone()),
        roots: state.roots.clone(),
        roster: state.roster_document.clone(),
        root_expires_at: state.trusted_root().map(|r| r.expires_at.to_string()),
        roster_issued_at: freshness.map(|f| f.issued_at.to_string()),
        roster_expires_at: freshness.map(|f| f.expires_at.to_string()),
        roster_withdrawals_version: freshness.map(|f| f.withdrawals_version),
        roster_entries: entries.map(|e| RosterEntryView::of(e, now, state.log_size)).collect(),
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
#[utoipa::path(post, path = "/api/v1/trust/rosters", request_body = NewRoster,
    responses((status = 201), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add_roster(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<NewRoster>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageTrust, "trust.roster.add", "trust/roster").await?;
    let NewRoster { document: text, accept_alterations, reason } = body;
    let roster = document("document", &text)?;
    origin.submit(&api, &caller, Command::AddRoster { roster, accept_alterations, reason }).await?;
    Ok(StatusCode::CREATED)
}
