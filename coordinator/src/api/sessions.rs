//! Signing in and out, and showing the second factor.

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::UserId;
use mdfm_shared::network::{network, site};
use mdfm_shared::record::{Actor, ActorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::TOO_BUSY;
use super::request::{Json, Origin};
use super::{Api, Problem};
use crate::access::{
    Attempt, Busy, Caller, InSession, Lane, Moment, PASSWORD_CHARS_MAX, ShownFactor, SignIn, recovery_digest, step_of,
    verify_password,
};
use crate::clock;
use crate::runner::anonymous;
use mdfm_coordinator_core::access::{AccessRole, Permission, User};
use mdfm_coordinator_core::people::{PersonChange, Proof, check_proof};
use mdfm_coordinator_core::refusal::Class;
use mdfm_coordinator_core::{Command, Refusal};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Credentials {
    user_id: String,
    #[schema(format = Password)]
    password: String,
    /// A code of now, where a second factor is set up.
    #[serde(default)]
    #[schema(format = Password)]
    code: Option<String>,
    /// In place of a code, where the second factor was lost.
    #[serde(default)]
    #[schema(format = Password)]
    recovery_code: Option<String>,
}

/// The second factor: a code of now, or one of the recovery codes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Factor {
    #[serde(default)]
    #[schema(format = Password)]
    pub(super) code: Option<String>,
    #[serde(default)]
    #[schema(format = Password)]
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
    /// `true` in a trial installation; absent in others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    trial: bool,
}

/// Rides on a sign-in by password of a network that signs in too often.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooManySignIns {
    /// Whether this was last said a while ago.
    pub(super) is_news: bool,
}

/// Too many passwords are being checked.
pub(super) fn busy(_: Busy) -> Refusal {
    Refusal::new(Class::TooOften, TOO_BUSY, "too many passwords are being checked; try again in a few seconds")
}

/// Whether this is the user's password. A user who does not exist costs the same work: a file is read and checked, and a hash computed. `lane` and
/// `who` say who waits for whom.
pub(super) async fn is_password(
    api: &Api,
    (lane, who): (Lane, &str),
    user: Option<&User>,
    password: String,
) -> Result<bool, Refusal> {
    let (credential, verifiers) = (user.map(|u| u.credential), api.credentials.clone());
    let place = api.hashing.place(lane, who).await.map_err(busy)?;
    let verify = move || {
        // Until the work is done, whoever has gone meanwhile.
        let _place = place;
        let held = credential.map_or_else(|| verifiers.read_decoy(), |c| verifiers.read(c));
        if let (Some(_), Err(error)) = (credential, &held) {
            tracing::error!(%error, "a password verifier cannot be read; its owner cannot sign in");
        }
        verify_password(&password, &held.unwrap_or_default()) && credential.is_some()
    };
    Ok(tokio::task::spawn_blocking(verify).await.unwrap_or(false))
}

/// A second factor of nobody's, so that names without an account cost the same work.
const DECOY_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// What was given of a second factor, and the proof for the core where there is one.
pub(super) fn shown(api: &Api, user: Option<&User>, factor: &Factor) -> (ShownFactor, Option<Proof>) {
    let secret = match user.and_then(|u| u.second_factor.as_ref()) {
        Some(held) => api.credentials.read(held.secret),
        None => api.credentials.read_decoy().map(|_| DECOY_SECRET.to_owned()),
    };
    let step = match (&secret, &factor.code) {
        (Ok(secret), Some(code)) => step_of(secret, code, clock::wall()),
        _ => None,
    };
    let recovery = factor.recovery_code.as_deref().map(recovery_digest);
    let Some(user) = user else { return (ShownFactor::Wrong, None) };
    if user.second_factor.is_none() {
        return (ShownFactor::NotSetUp, None);
    }
    if let Err(error) = &secret {
        tracing::error!(%error, "a second factor cannot be read");
    }
    let proof = recovery.map(Proof::Recovery).or(step.map(Proof::Code));
    let found = match proof.map(|proof| (proof, check_proof(user, proof))) {
        _ if factor.code.is_none() && factor.recovery_code.is_none() => ShownFactor::Missing,
        Some((_, Ok(()))) => ShownFactor::Right,
        Some((Proof::Code(_), Err(_))) => ShownFactor::Used,
        Some((Proof::Recovery(_), Err(_))) | None => ShownFactor::Wrong,
    };
    (found, proof)
}

/// Refuses what can be no sign-in before it is looked up whose it would be: the answer is the same for every name.
fn check_length(credentials: &Credentials) -> Result<(), Refusal> {
    let chars = |text: &Option<String>| text.as_ref().map_or(0, |t| t.chars().count());
    for (field, found, most) in [
        ("userId", credentials.user_id.chars().count(), USER_CHARS_MAX),
        ("password", credentials.password.chars().count(), PASSWORD_CHARS_MAX),
        ("code", chars(&credentials.code), CODE_CHARS_MAX),
        ("recoveryCode", chars(&credentials.recovery_code), CODE_CHARS_MAX),
    ] {
        if found > most {
            return Err(Refusal::invalid(field, format!("must have at most {most} characters")));
        }
    }
    Ok(())
}

/// Characters of a user id, and of a code.
const USER_CHARS_MAX: usize = 64;
const CODE_CHARS_MAX: usize = 128;

/// Signs in with user id and password, and the second factor where one is set up.
#[utoipa::path(post, path = "/api/v1/sessions", request_body = Credentials,
    responses((status = 201, body = SessionView), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub(super) async fn open(
    State(api): State<Api>,
    origin: Origin,
    too_many: Option<Extension<TooManySignIns>>,
    Json(credentials): Json<Credentials>,
) -> Result<(StatusCode, axum::Json<SessionView>), Problem> {
    let claimed = credentials.user_id.clone();
    let user =
        claimed.parse::<UserId>().ok().and_then(|id| Some((id.clone(), api.runner.state().users.get(&id)?.clone())));
    // People type their password where the name belongs: a name without an account enters the log as a keyed mark.
    let marked = format!("unknown-{}", api.marks.mark("name", &[claimed.as_bytes()]).short());
    let named = if user.is_some() { claimed.clone() } else { marked };
    let object = format!("user/{}", named.chars().take(USER_CHARS_MAX).collect::<String>());
    let denied = async |refusal| Err(origin.deny(&api, anonymous(&named), "session.open", &object, refusal).await);
    let address = origin.peer.address.ip();
    let too_many = too_many.map(|Extension(too_many)| too_many);
    let is_over = too_many.is_some() || !api.logins.admits(address, Instant::now());
    // Beyond the limits of a network only a password is looked at that comes with a code: of those strangers guess none, and they keep nobody out
    // who has both. What is not right gets the one answer, whatever the name.
    if is_over && credentials.code.is_none() && credentials.recovery_code.is_none() {
        return match too_many {
            Some(TooManySignIns { is_news: false }) => Err(Problem::recorded(too_many_tries())),
            _ => denied(too_many_tries()).await,
        };
    }
    check_length(&credentials)?;
    let factor = Factor { code: credentials.code, recovery_code: credentials.recovery_code };
    let account = user.as_ref().map(|(_, user)| user);
    let network = network(address).to_string();
    let is_familiar = account.is_some_and(|u| u.networks.contains(&network));
    let (lane, who) = match is_familiar {
        true => (Lane::Familiar, format!("{claimed}/{network}")),
        false => (Lane::Stranger, site(address).to_string()),
    };
    let is_password = match is_password(&api, (lane, &who), account, credentials.password).await {
        Ok(is_password) => is_password,
        Err(busy) => return denied(busy).await,
    };
    let (found, proof) = shown(&api, account, &factor);
    let attempt = Attempt { name: &claimed, network: &network, is_familiar, is_password, factor: found };
    let verdict = api.sign_ins.sign_in(clock::steady(), &attempt);
    if is_over && (verdict, found) != (SignIn::Opened, ShownFactor::Right) {
        let _ = denied(recorded_beyond(verdict)).await;
        return Err(Problem::recorded(too_many_tries()));
    }
    match (verdict, user) {
        // The core says what is missing: a code, or another one.
        (SignIn::Opened | SignIn::NeedsCode | SignIn::UsedCode, Some((id, user))) => {
            let_in(&api, &origin, id, user, proof, None).await
        }
        (verdict, _) => denied(wrong_or_locked(verdict)).await,
    }
}

/// The one answer to everything that opens no session.
fn wrong_or_locked(verdict: SignIn) -> Refusal {
    let cause = if matches!(verdict, SignIn::Locks | SignIn::Locked) { "locked" } else { "wrong-credentials" };
    let detail = "user id, password or code is wrong, or too many tries; give password and code together, or wait a minute and try again";
    Refusal::new(Class::Unauthenticated, cause, detail)
}

/// What is recorded of a sign-in beyond the limits of its network, whose answer is that it was one too many. A lock has its own record: people are
/// notified of it.
fn recorded_beyond(verdict: SignIn) -> Refusal {
    if verdict == SignIn::Locks { wrong_or_locked(verdict) } else { too_many_tries() }
}

/// The network signs in too often.
pub(super) fn too_many_tries() -> Refusal {
    Refusal::new(
        Class::TooOften,
        "too-many-tries",
        "too many tries from this network; give password and code together, or wait a minute",
    )
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
    getrandom::fill(&mut secret).map_err(|e| Problem::internal("this machine gives no random numbers", &e))?;
    let token = hex::encode(secret);
    let token_sha256 = Digest::of(token.as_bytes());
    let expires_at = api.runner.now().plus_ms(api.sessions.session_ms);
    let roles = user.roles.iter().map(|r| r.name().to_owned()).collect();
    let actor = Actor { kind: ActorKind::User, id: id.to_string(), roles };
    let command = Command::OpenSession { user: id.clone(), token_sha256, expires_at, proof, issuer };
    api.runner.submit(actor, origin.address(), command).await.map_err(Problem::recorded)?;
    let at = Moment { now: api.runner.now(), steady: clock::steady() };
    api.idle.opened(token_sha256, at, &api.sessions);
    let view = SessionView {
        token,
        expires_at: expires_at.to_string(),
        user_id: id.to_string(),
        printed_name: user.printed_name,
        roles: user.roles,
        second_factor: user.second_factor.is_some(),
        trial: api.runner.state().trial,
    };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Shows the second factor again: for what needs it shown shortly before.
#[utoipa::path(post, path = "/api/v1/sessions/current/second-factor", request_body = Factor,
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn step_up(
    State(api): State<Api>,
    origin: Origin,
    Json(factor): Json<Factor>,
) -> Result<StatusCode, Problem> {
    let (caller, id) = origin.need_self(&api, "session.step-up").await?;
    let proof = show(&api, &origin, &caller, &id, &factor, "session.step-up").await?;
    let change = PersonChange::SecondFactorShown { session: caller.token_sha256, proof };
    origin.submit(&api, &caller, Command::ChangePerson { user: id, change, reason: None }).await?;
    api.idle.shown(caller.token_sha256, clock::steady());
    Ok(StatusCode::NO_CONTENT)
}

/// In which row wrong passwords and codes of a session are counted.
pub(super) fn counted_in<'a>(caller: &Caller, id: &'a UserId) -> InSession<'a> {
    if caller.is_proven() { InSession::Proven(caller.token_sha256) } else { InSession::Unproven(id.as_str()) }
}

/// A second factor of the caller's; wrong ones count against this session alone, or against all that have shown none.
pub(super) async fn show(
    api: &Api,
    origin: &Origin,
    caller: &Caller,
    id: &UserId,
    factor: &Factor,
    action: &'static str,
) -> Result<Proof, Problem> {
    let user = api.runner.state().users.get(id).cloned();
    let (found, proof) = shown(api, user.as_ref(), factor);
    let found = if found == ShownFactor::NotSetUp { ShownFactor::Missing } else { found };
    let verdict = api.sign_ins.in_session(clock::steady(), counted_in(caller, id), found);
    match proof.filter(|_| matches!(verdict, SignIn::Opened | SignIn::UsedCode)) {
        // That a code was used already is for the core to say.
        Some(proof) => Ok(proof),
        None => {
            let cause = if matches!(verdict, SignIn::Locks | SignIn::Locked) { "locked" } else { "wrong-code" };
            let detail = "the code is wrong, or no second factor is set up, or too many tries; wait a minute";
            let refusal = Refusal::forbidden(cause, detail);
            Err(origin.deny(api, caller.actor.clone(), action, &format!("user/{id}"), refusal).await)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_7_a_lock_is_recorded_beyond_the_limits_of_a_network() {
        for (verdict, recorded) in [
            (SignIn::Locks, "locked"),
            (SignIn::Locked, "too-many-tries"),
            (SignIn::Wrong, "too-many-tries"),
            (SignIn::NeedsCode, "too-many-tries"),
        ] {
            assert_eq!(recorded_beyond(verdict).code, recorded, "{verdict:?}");
        }
        assert_eq!(wrong_or_locked(SignIn::Locked).code, "locked");
        assert_eq!(wrong_or_locked(SignIn::Wrong).code, "wrong-credentials");
    }
}
