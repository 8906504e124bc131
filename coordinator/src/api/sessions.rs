//! Signing in and out.

use axum::extract::State;
use axum::http::StatusCode;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::{Json, Origin};
use super::{Api, Problem};
use crate::access::{SESSION_MS, spend_verification_time, verify_password};
use crate::clock;
use crate::domain::access::{AccessRole, Permission};
use crate::domain::refusal::Class;
use crate::domain::{Command, Refusal};
use crate::runner::anonymous;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Credentials {
    user_id: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionView {
    /// Send it as `Authorization: Bearer …`; a secret.
    token: String,
    expires_at: String,
    user_id: String,
    printed_name: String,
    roles: Vec<AccessRole>,
}

/// Signs in with user id and password.
#[utoipa::path(post, path = "/api/v1/sessions", request_body = Credentials,
    responses((status = 201, body = SessionView), (status = 401, body = Problem)))]
pub(super) async fn open(
    State(api): State<Api>,
    origin: Origin,
    Json(credentials): Json<Credentials>,
) -> Result<(StatusCode, axum::Json<SessionView>), Problem> {
    let now = clock::now();
    let claimed: String = credentials.user_id.chars().take(64).collect();
    let user =
        claimed.parse::<UserId>().ok().and_then(|id| Some((id.clone(), api.runner.state().users.get(&id)?.clone())));
    let locked = api.logins.is_locked(&claimed, now);
    let credential = user.as_ref().map(|(_, u)| u.credential);
    let (password, verifiers) = (credentials.password, api.credentials.clone());
    let verified = tokio::task::spawn_blocking(move || match credential.map(|c| verifiers.read(c)) {
        Some(Ok(hash)) => verify_password(&password, &hash),
        Some(Err(error)) => {
            tracing::error!(%error, "a password verifier cannot be read; its owner cannot sign in");
            spend_verification_time(&password);
            false
        }
        None => {
            spend_verification_time(&password);
            false
        }
    })
    .await
    .unwrap_or(false);
    let (true, false, Some((id, user))) = (verified, locked, user) else {
        if !locked {
            api.logins.note(&claimed, now, false);
        }
        let cause = if locked { "locked" } else { "wrong-credentials" };
        let detail = "user id or password is wrong, or too many tries; wait a minute and try again";
        let refusal = Refusal::new(Class::Unauthenticated, cause, detail);
        let object = format!("user/{claimed}");
        return Err(origin.deny(&api, anonymous(&claimed), "session.open", &object, refusal).await);
    };
    api.logins.note(&claimed, now, true);
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| Problem::internal("no randomness", &e))?;
    let token = hex::encode(secret);
    let token_sha256 = Digest::of(token.as_bytes());
    let expires_at = now.plus_ms(SESSION_MS);
    let roles = user.roles.iter().map(|r| r.name().to_owned()).collect();
    let actor = mdfm_shared::record::Actor { kind: mdfm_shared::record::ActorKind::User, id: id.to_string(), roles };
    let command = Command::OpenSession { user: id.clone(), token_sha256, expires_at };
    api.runner.submit(actor, origin.address(), command).await?;
    let view = SessionView {
        token,
        expires_at: expires_at.to_string(),
        user_id: id.to_string(),
        printed_name: user.printed_name,
        roles: user.roles,
    };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Signs out.
#[utoipa::path(delete, path = "/api/v1/sessions/current", responses((status = 204), (status = 401, body = Problem)))]
pub(super) async fn close(State(api): State<Api>, origin: Origin) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::Read, "session.close", "session/current").await?;
    origin.submit(&api, &caller, Command::CloseSession { token_sha256: caller.token_sha256 }).await?;
    Ok(StatusCode::NO_CONTENT)
}
