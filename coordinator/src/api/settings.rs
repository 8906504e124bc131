//! Settings.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::request::{Json, Origin, tagged};
use super::{Api, Problem};
use mdfm_coordinator_core::Command;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::settings::Settings;

const OBJECT: &str = "settings/all";

/// Other settings, all of them, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewSettings {
    settings: Settings,
    reason: String,
}

/// Shows the settings.
#[utoipa::path(get, path = "/api/v1/settings", responses((status = 200, body = Settings)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "settings.show", OBJECT).await?;
    let state = api.runner.state();
    Ok(tagged(&state, OBJECT, &state.settings))
}

/// Replaces the settings; with `If-Match` only if nobody did meanwhile.
#[utoipa::path(put, path = "/api/v1/settings", request_body = NewSettings,
    responses((status = 200, body = Settings), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewSettings>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::ManageUsers, "settings.set", OBJECT).await?;
    origin.submit(&api, &caller, Command::SetSettings { settings: new.settings, reason: new.reason }).await?;
    let state = api.runner.state();
    Ok(tagged(&state, OBJECT, &state.settings))
}
