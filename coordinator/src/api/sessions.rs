//! Signing in and out, and showing the second factor.

use axum::extract::State;
use axum::http::StatusCode;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::UserId;
use mdfm_shared::record::{Actor, ActorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::{Json, Origin};
use super::{Api, Problem};
use crate::access::{recovery_digest, spend_verification_time, step_of, verify_password};
use crate::clock;
use crate::domain::access::{AccessRole, Permission, User};
use crate::domain::people::{PersonChange, Proof, check_proof};
use crate::domain::refusal::Class;
use crate::domain::{Command, Refusal};
use crate::runner::anonymous;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Credentials {
    user_id: String,
    password: String,
    /// A code of now, where a second factor is set up.
    #[serde(default)]
    code: Option<String>,
    /// In place of a code, where the second factor was lost.
    #[serde(default)]
    recovery_code: Option<String>,
}

/// The second factor: a code of now, or one of the recovery codes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Factor {
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) recovery_code: Option<String>,
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
    /// Whether the person has a second factor; without one much is refused.
    second_factor: bool,
}

/// Whether this is the user's password; takes as long for a user who does not exist.
pub(super) async fn is_password(api: &Api, user: Option<&User>, password: String) -> bool {
    let (credential, verifiers) = (user.map(|u| u.credential), api.credentials.clone());
    let Ok(_place) = api.hashing.acquire().await else { return false };
    let verify = move || match credential.map(|c| verifiers.read(c)) {
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
    };
    tokio::task::spawn_blocking(verify).await.unwrap_or(false)
}

/// What a second factor shows; none where it shows nothing.
pub(super) fn proof_of(api: &Api, user: &User, factor: &Factor) -> Option<Proof> {
    if let Some(code) = &factor.recovery_code {
        return Some(Proof::Recovery(recovery_digest(code)));
    }
    let held = user.second_factor.as_ref()?;
    let secret = api.credentials.read(held.secret);
    let secret = secret.inspect_err(|error| tracing::error!(%error, "a second factor cannot be read")).ok()?;
    step_of(&secret, factor.code.as_deref()?, clock::now()).map(Proof::Code)
}

/// Signs in with user id and password, and the second factor where one is set up.
#[utoipa::path(post, path = "/api/v1/sessions", request_body = Credentials,
    responses((status = 201, body = SessionView), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn open(
    State(api): State<Api>,
    origin: Origin,
    Json(credentials): Json<Credentials>,
) -> Result<(StatusCode, axum::Json<SessionView>), Problem> {
    let now = clock::now();
    let claimed: String = credentials.user_id.chars().take(64).collect();
    let object = format!("user/{claimed}");
    if !api.logins.admits(origin.peer.address.ip(), now) {
        let refusal =
            Refusal::new(Class::TooOften, "too-many-tries", "too many tries from this address; wait a minute");
        return Err(origin.deny(&api, anonymous(&claimed), "session.open", &object, refusal).await);
    }
    let user =
        claimed.parse::<UserId>().ok().and_then(|id| Some((id.clone(), api.runner.state().users.get(&id)?.clone())));
    let locked = api.logins.is_locked(&claimed, now);
    let is_suspect = api.logins.is_suspect(origin.peer.address.ip(), now);
    let _turn = if is_suspect { api.suspects.acquire().await.ok() } else { None };
    let verified = is_password(&api, user.as_ref().map(|(_, u)| u), credentials.password).await;
    let known = user.filter(|_| verified && !locked);
    let factor = Factor { code: credentials.code, recovery_code: credentials.recovery_code };
    let proof = known.as_ref().and_then(|(_, user)| proof_of(&api, user, &factor));
    let gave_factor = factor.code.is_some() || factor.recovery_code.is_some();
    let Some((id, user)) = known.filter(|(_, u)| u.second_factor.is_none() || !gave_factor || proof.is_some()) else {
        let was_last = !locked && api.logins.note(&claimed, now, false);
        let cause = if locked || was_last { "locked" } else { "wrong-credentials" };
        let detail = "user id, password or code is wrong, or too many tries; wait a minute and try again";
        let refusal = Refusal::new(Class::Unauthenticated, cause, detail);
        return Err(origin.deny(&api, anonymous(&claimed), "session.open", &object, refusal).await);
    };
    let proof = proof.filter(|_| user.second_factor.is_some());
    let opened = let_in(&api, &origin, id, user, proof, None).await;
    match &opened {
        Ok(_) => drop(api.logins.note(&claimed, now, true)),
        // A recovery code that is none is a guess like any other; a code asked for is not.
        Err(_) if gave_factor => drop(api.logins.note(&claimed, now, false)),
        Err(_) => {}
    }
    opened
}

/// Opens a session for somebody who has shown who they are.
pub(super) async fn let_in(
    api: &Api,
    origin: &Origin,
    id: UserId,
    user: User,
    proof: Option<Proof>,
    issuer: Option<String>,
) -> Result<(StatusCode, axum::Json<SessionView>), Problem> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| Problem::internal("no randomness", &e))?;
    let token = hex::encode(secret);
    let token_sha256 = Digest::of(token.as_bytes());
    let expires_at = clock::now().plus_ms(api.sessions.session_ms);
    let roles = user.roles.iter().map(|r| r.name().to_owned()).collect();
    let actor = Actor { kind: ActorKind::User, id: id.to_string(), roles };
    let command = Command::OpenSession { user: id.clone(), token_sha256, expires_at, proof, issuer };
    api.runner.submit(actor, origin.address(), command).await.map_err(Problem::recorded)?;
    let view = SessionView {
        token,
        expires_at: expires_at.to_string(),
        user_id: id.to_string(),
        printed_name: user.printed_name,
        roles: user.roles,
        second_factor: user.second_factor.is_some(),
    };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Shows the second factor again: for what needs it shown lately.
#[utoipa::path(post, path = "/api/v1/sessions/current/second-factor", request_body = Factor,
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn step_up(
    State(api): State<Api>,
    origin: Origin,
    Json(factor): Json<Factor>,
) -> Result<StatusCode, Problem> {
    let (caller, id) = origin.need_self(&api, "session.step-up").await?;
    let proof = show(&api, &origin, &caller.actor, &id, &factor, "session.step-up").await?;
    let change = PersonChange::SecondFactorShown { session: caller.token_sha256, proof };
    origin.submit(&api, &caller, Command::ChangePerson { user: id, change, reason: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A second factor of the caller's; wrong ones count like wrong passwords.
pub(super) async fn show(
    api: &Api,
    origin: &Origin,
    actor: &Actor,
    id: &UserId,
    factor: &Factor,
    action: &'static str,
) -> Result<Proof, Problem> {
    let now = clock::now();
    let locked = api.logins.is_locked(id.as_str(), now);
    let user = api.runner.state().users.get(id).cloned().filter(|_| !locked);
    let proof = user.as_ref().and_then(|user| proof_of(api, user, factor));
    let taken = user.zip(proof).is_some_and(|(user, proof)| check_proof(&user, proof).is_ok());
    // A code that was used already ends no row of wrong ones, and begins none.
    let counts = taken || !matches!(proof, Some(Proof::Code(_)));
    let is_locked = locked || (counts && api.logins.note(id.as_str(), now, taken));
    match proof.filter(|proof| taken || matches!(proof, Proof::Code(_))) {
        Some(proof) => Ok(proof),
        None => {
            let detail = "the code is wrong, or no second factor is set up, or too many tries; wait a minute";
            let refusal = Refusal::forbidden(if is_locked { "locked" } else { "wrong-code" }, detail);
            Err(origin.deny(api, actor.clone(), action, &format!("user/{id}"), refusal).await)
        }
    }
}

/// Signs out.
#[utoipa::path(delete, path = "/api/v1/sessions/current", responses((status = 204), (status = 401, body = Problem)))]
pub(super) async fn close(State(api): State<Api>, origin: Origin) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::Read, "session.close", "session/current").await?;
    origin.submit(&api, &caller, Command::CloseSession { token_sha256: caller.token_sha256 }).await?;
    Ok(StatusCode::NO_CONTENT)
}
