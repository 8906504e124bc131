//! Displays on walls: how one is paired without anybody signing in at it, and what it may read.

use axum::extract::State;
use axum::http::StatusCode;
use mdfm_shared::id::DeploymentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deployments::find_held;
use super::people::{TokenView, internal, issue_token};
use super::request::{Json, Origin, Path, id, time};
use super::{Api, Problem};
use crate::clock;
use crate::displays::{Paired, read_code};
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::people::{PersonChange, WallDisplay};

/// A display that waits to be paired.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitingDisplay {
    /// To be shown, and typed by somebody who is signed in; counts for ten minutes.
    code: String,
    /// With it the display collects its token; a secret of the display.
    secret: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DisplaySecret {
    #[schema(format = Password)]
    secret: String,
}

/// What a display gets.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CollectedDisplay {
    /// Whether somebody has typed the code.
    paired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_id: Option<String>,
}

/// What a display is to show, and until when.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDisplay {
    deployment_id: String,
    /// Where it hangs.
    name: String,
    /// Within 31 days.
    expires_at: String,
}

/// The display that asks.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DisplayView {
    name: String,
    deployment_id: String,
    expires_at: String,
}

/// Asks to be paired, for a display on a wall at which nobody signs in.
#[utoipa::path(post, path = "/api/v1/displays",
    responses((status = 201, body = WaitingDisplay), (status = 503, body = Problem)))]
pub(super) async fn begin(
    State(api): State<Api>,
    origin: Origin,
) -> Result<(StatusCode, axum::Json<WaitingDisplay>), Problem> {
    let (mut secret, mut random) = ([0; 32], [0; 8]);
    getrandom::fill(&mut secret).map_err(internal)?;
    getrandom::fill(&mut random).map_err(internal)?;
    let secret = hex::encode(secret);
    let code = api.displays.begin(clock::steady(), origin.peer.address.ip(), &secret, random)?;
    Ok((StatusCode::CREATED, axum::Json(WaitingDisplay { code, secret })))
}

/// Collects the token of a display, once somebody has typed its code.
#[utoipa::path(post, path = "/api/v1/displays/{code}/token", request_body = DisplaySecret,
    responses((status = 200, body = CollectedDisplay), (status = 404, body = Problem)))]
pub(super) async fn collect(
    State(api): State<Api>,
    Path(code): Path<String>,
    Json(given): Json<DisplaySecret>,
) -> Result<axum::Json<CollectedDisplay>, Problem> {
    let paired = api.displays.collect(clock::steady(), &read_code(&code), &given.secret)?;
    let (token, deployment_id) = paired.map(|paired| (paired.token, paired.deployment.to_string())).unzip();
    Ok(axum::Json(CollectedDisplay { paired: token.is_some(), token, deployment_id }))
}

/// Pairs the display that shows this code: it reads one deployment's summary from its network, and nothing else. The second factor must have been
/// shown within the last minutes.
#[utoipa::path(post, path = "/api/v1/displays/{code}/pairing", request_body = NewDisplay,
    responses((status = 201, body = TokenView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn pair(
    State(api): State<Api>,
    origin: Origin,
    Path(code): Path<String>,
    Json(new): Json<NewDisplay>,
) -> Result<(StatusCode, axum::Json<TokenView>), Problem> {
    let (caller, user) = origin.need_shown(&api, "token.create").await?;
    let deployment: DeploymentId = id("deploymentId", &new.deployment_id)?;
    // Whoever does not see it does not learn that it is there.
    find_held(&api.runner.state(), &caller, &deployment)?;
    let (code, now) = (read_code(&code), clock::steady());
    let network = api.displays.network_of(now, &code)?;
    let expires_at = time("expiresAt", &new.expires_at)?;
    let display = Some(WallDisplay { deployment: deployment.clone(), network });
    let bound = (new.name, vec![Permission::Read], expires_at, display);
    let (token, view) = issue_token(&api, &origin, &caller, user.clone(), "display-", bound).await?;
    if let Err(refusal) = api.displays.pair(now, &code, Paired { token, deployment }) {
        // Somebody else was quicker: nobody has this token, so it ends at once.
        let revoked = PersonChange::TokenRevoked { id: view.token_id };
        origin.change(&api, &caller, user, revoked, None).await?;
        return Err(refusal.into());
    }
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Shows a display what it is.
#[utoipa::path(get, path = "/api/v1/display", responses((status = 200, body = DisplayView), (status = 404, body = Problem)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<axum::Json<DisplayView>, Problem> {
    let caller = origin.need(&api, Permission::Read, "display.show", "display").await?;
    let state = api.runner.state();
    let token = state.tokens.get(&caller.token_sha256);
    let shown = token.and_then(|token| Some((token, token.display.as_ref()?)));
    let (token, display) = shown.ok_or_else(|| Refusal::not_found("display", "with this token"))?;
    Ok(axum::Json(DisplayView {
        name: token.name.clone(),
        deployment_id: display.deployment.to_string(),
        expires_at: token.expires_at.to_string(),
    }))
}
