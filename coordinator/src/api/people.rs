//! What people do with their own accounts, and administrators with those of others: second factors, passwords, roles, standing, tokens for
//! machines, signing keys.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::UserId;
use mdfm_shared::sign::SecretKey;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, TOKEN_PREFIX, fresh_id, id, time};
use super::sessions::{Factor, busy, counted_in, is_password, show};
use super::{Api, Problem, SessionPolicy};
use crate::access::{
    Caller, Lane, Moment, PasswordError, Place, SecondFactorPolicy, ShownFactor, SignIn, hash_password,
    new_recovery_codes, seal, step_of, unseal,
};
use crate::clock;
use mdfm_coordinator_core::access::{AccessRole, Permission, User};
use mdfm_coordinator_core::people::{PersonChange, Token, WallDisplay, may_sign};
use mdfm_coordinator_core::state::Session;
use mdfm_coordinator_core::{Command, Refusal, State as Domain};

/// The account's own password, asked for again.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OwnPassword {
    #[schema(format = Password)]
    password: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewFactorView {
    /// Base32, for authenticators that take it typed.
    secret: String,
    /// The same for authenticators that take an address (`otpauth`), as a QR code for example.
    url: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoveryView {
    /// Each opens once, in place of a code; shown now and never again.
    recovery_codes: Vec<String>,
}

pub(super) fn internal(error: getrandom::Error) -> Problem {
    Problem::internal("this machine gives no random numbers", &error)
}

impl Origin {
    /// The caller's own account, whose password was given again; wrong ones count in the session.
    async fn need_password(
        &self,
        api: &Api,
        action: &'static str,
        password: String,
    ) -> Result<(Caller, UserId, User), Problem> {
        let (caller, id) = self.need_self(api, action).await?;
        let user = api.runner.state().users.get(&id).cloned();
        let right = match is_password(api, (Lane::Session, id.as_str()), user.as_ref(), password).await {
            Ok(right) => right,
            Err(busy) => return Err(self.deny(api, caller.actor, action, &format!("user/{id}"), busy).await),
        };
        let given = if right { ShownFactor::NotSetUp } else { ShownFactor::Wrong };
        let verdict = api.sign_ins.in_session(clock::steady(), counted_in(&caller, &id), given);
        match user.filter(|_| verdict == SignIn::Opened) {
            Some(user) => Ok((caller, id, user)),
            None => {
                let cause = if matches!(verdict, SignIn::Locks | SignIn::Locked) { "locked" } else { "wrong-password" };
                let refusal = Refusal::forbidden(cause, "the password is wrong, or too many tries; wait a minute");
                Err(self.deny(api, caller.actor, action, &format!("user/{id}"), refusal).await)
            }
        }
    }

    pub(super) async fn change(
        &self,
        api: &Api,
        caller: &Caller,
        user: UserId,
        change: PersonChange,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        self.submit(api, caller, Command::ChangePerson { user, change, reason }).await
    }

    /// A change that an administrator makes to somebody else's account.
    pub(super) async fn administer(
        &self,
        api: &Api,
        user: &str,
        change: PersonChange,
        reason: String,
    ) -> Result<StatusCode, Problem> {
        drop(self.end_access(api, user, change, reason).await?);
        Ok(StatusCode::NO_CONTENT)
    }

    /// The same, with what ended by it.
    async fn end_access(
        &self,
        api: &Api,
        user: &str,
        change: PersonChange,
        reason: String,
    ) -> Result<axum::Json<EndedView>, Problem> {
        let caller = self.need(api, Permission::ManageUsers, change.action(), &format!("user/{user}")).await?;
        let id: UserId = id("userId", user)?;
        let before = Access::of(api, &id);
        self.change(api, &caller, id.clone(), change, Some(reason)).await?;
        Ok(axum::Json(before.ended(api, &id)))
    }
}

/// What ended by a change of somebody's standing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndedView {
    sessions_ended: usize,
    tokens_ended: usize,
    /// The person makes a new one, and the registrar puts it on the roster.
    signing_key_retired: bool,
}

/// What somebody has before such a change.
struct Access {
    sessions: usize,
    tokens: usize,
    has_key: bool,
}

impl Access {
    fn of(api: &Api, id: &UserId) -> Self {
        let state = api.runner.state();
        let (sessions, tokens) = state.access_of(id, state.not_before(clock::now()));
        Self { sessions, tokens, has_key: state.users.get(id).is_some_and(|u| u.signing_key.is_some()) }
    }

    /// What of it is gone.
    fn ended(&self, api: &Api, id: &UserId) -> EndedView {
        let now = Self::of(api, id);
        if now.sessions < self.sessions {
            api.pending.end(id);
        }
        EndedView {
            sessions_ended: self.sessions.saturating_sub(now.sessions),
            tokens_ended: self.tokens.saturating_sub(now.tokens),
            signing_key_retired: self.has_key && !now.has_key,
        }
    }
}

/// Begins to set up a second factor; it counts once it was shown. Replacing one needs it shown shortly before.
#[utoipa::path(post, path = "/api/v1/me/second-factor", request_body = OwnPassword,
    responses((status = 201, body = NewFactorView), (status = 403, body = Problem)))]
pub(super) async fn begin_factor(
    State(api): State<Api>,
    origin: Origin,
    Json(own): Json<OwnPassword>,
) -> Result<(StatusCode, axum::Json<NewFactorView>), Problem> {
    let action = "user.second-factor.set";
    let (caller, id, user) = origin.need_password(&api, action, own.password).await?;
    if user.second_factor.is_some() && !caller.has_shown_factor(&api.sessions, api.runner.now()) {
        let refusal = Refusal::forbidden("step-up", "show the present second factor first, then replace it");
        return Err(origin.deny(&api, caller.actor, action, &format!("user/{id}"), refusal).await);
    }
    let secret = api.pending.begin(&id, clock::steady()).map_err(internal)?;
    let url = format!("otpauth://totp/MDFM:{id}?secret={secret}&issuer=MDFM");
    Ok((StatusCode::CREATED, axum::Json(NewFactorView { secret, url })))
}

/// A code of the new second factor.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FirstCode {
    #[schema(format = Password)]
    code: String,
}

/// Shows that the new second factor works; from now on it counts.
#[utoipa::path(post, path = "/api/v1/me/second-factor/confirmation", request_body = FirstCode,
    responses((status = 201, body = RecoveryView), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn confirm_factor(
    State(api): State<Api>,
    origin: Origin,
    Json(first): Json<FirstCode>,
) -> Result<(StatusCode, axum::Json<RecoveryView>), Problem> {
    let action = "user.second-factor.set";
    let (caller, id) = origin.need_self(&api, action).await?;
    let now = clock::steady();
    let Some(secret) = api.pending.get(&id, now) else {
        return Err(Refusal::conflict("nothing-pending", "begin with POST /api/v1/me/second-factor").into());
    };
    let step = step_of(&secret, &first.code, clock::wall());
    let given = if step.is_some() { ShownFactor::NotSetUp } else { ShownFactor::Wrong };
    let verdict = api.sign_ins.in_session(now, counted_in(&caller, &id), given);
    let Some(step) = step.filter(|_| verdict == SignIn::Opened) else {
        let refusal = Refusal::forbidden("wrong-code", "the code is wrong; is the clock of the authenticator right?");
        return Err(origin.deny(&api, caller.actor, action, &format!("user/{id}"), refusal).await);
    };
    let (recovery_codes, recovery) = new_recovery_codes().map_err(internal)?;
    let kept = api.credentials.keep(&secret).map_err(|e| Problem::internal("the second factor cannot be kept", &e))?;
    let change = PersonChange::SecondFactorSet { secret: kept, recovery, step, session: caller.token_sha256 };
    let before = api.runner.state().users.get(&id).and_then(|u| u.second_factor.clone());
    origin.change(&api, &caller, id.clone(), change, None).await?;
    before.iter().for_each(|factor| api.credentials.forget(factor.secret));
    api.idle.shown(caller.token_sha256, now);
    api.pending.end(&id);
    Ok((StatusCode::CREATED, axum::Json(RecoveryView { recovery_codes })))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PasswordChange {
    #[schema(format = Password)]
    password: String,
    #[schema(format = Password)]
    new_password: String,
    /// Leaves the person's tokens for machines as they are; without it they end, because whoever knew the password may have made one.
    #[serde(default)]
    keep_tokens: bool,
}

/// A place to work on a password of somebody in a session.
async fn place(api: &Api, who: &str) -> Result<Place, Problem> {
    Ok(api.hashing.place(Lane::Session, who).await.map_err(busy)?)
}

/// Hashes a new password and keeps the verifier.
pub(super) async fn keep_password(api: &Api, caller: &Caller, password: String) -> Result<Digest, Problem> {
    let place = place(api, &caller.actor.id).await?;
    let breached = api.breached.clone();
    let hash = tokio::task::spawn_blocking(move || {
        // Until the work is done, whoever has gone meanwhile.
        let _place = place;
        match breached.contains(&password) {
            Ok(true) => Err(PasswordError::Breached),
            Ok(false) => hash_password(&password),
            Err(error) => Err(PasswordError::Unread(error)),
        }
    })
    .await
    .map_err(|e| Problem::internal("hashing failed", &e))?
    .map_err(|e| match e {
        PasswordError::Unread(_) => Problem::internal("the list of breached passwords cannot be read", &e),
        _ => Refusal::invalid("password", e).into(),
    })?;
    api.credentials.keep(&hash).map_err(|e| Problem::internal("the password cannot be kept", &e))
}

/// Changes one's own password: other sessions end, tokens too unless they are to stay, and the signing key is sealed under the new password.
#[utoipa::path(put, path = "/api/v1/me/password", request_body = PasswordChange,
    responses((status = 204), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change_password(
    State(api): State<Api>,
    origin: Origin,
    Json(request): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    let (caller, id, user) = origin.need_password(&api, "user.password.change", request.password.clone()).await?;
    if request.new_password == request.password {
        return Err(Refusal::invalid("newPassword", "must differ from the present one").into());
    }
    let ends_tokens = !request.keep_tokens;
    let resealed = match &user.signing_key {
        None => None,
        Some(held) => {
            let key = open_key(&api, &id, held.sealed, request.password).await?;
            Some(seal_key(&api, &id, key, request.new_password.clone()).await?)
        }
    };
    // What was kept for a change that is refused has no record that names it.
    let forget_resealed = || resealed.iter().for_each(|sealed| api.credentials.forget(*sealed));
    let credential = keep_password(&api, &caller, request.new_password).await.inspect_err(|_| forget_resealed())?;
    let change = PersonChange::PasswordSet { credential, own: Some(caller.token_sha256), resealed, ends_tokens };
    if let Err(problem) = origin.change(&api, &caller, id, change, None).await {
        api.credentials.forget(credential);
        forget_resealed();
        return Err(problem);
    }
    forget(&api, &user);
    Ok(StatusCode::NO_CONTENT)
}

/// Removes what was kept for a password that counts no longer: the verifier, and the key that was sealed under it.
fn forget(api: &Api, before: &User) {
    api.credentials.forget(before.credential);
    if let Some(key) = &before.signing_key {
        api.credentials.forget(key.sealed);
    }
}

/// Both factors, for a signature or a signing key.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BothFactors {
    #[schema(format = Password)]
    pub(super) password: String,
    #[schema(format = Password)]
    pub(super) code: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SigningKeyView {
    /// For the roster, which the registrar signs.
    public_key: String,
}

async fn seal_key(api: &Api, user: &UserId, key: SecretKey, password: String) -> Result<Digest, Problem> {
    let place = place(api, user.as_str()).await?;
    let owner = user.clone();
    let sealed = tokio::task::spawn_blocking(move || (seal(&key, &owner, &password), drop(place)).0)
        .await
        .map_err(|e| Problem::internal("sealing failed", &e))?
        .map_err(|e| Problem::internal("sealing failed", &e))?;
    api.credentials.keep(&sealed).map_err(|e| Problem::internal("the signing key cannot be kept", &e))
}

/// A person's signing key, opened with the password that was just checked.
pub(super) async fn open_key(api: &Api, user: &UserId, sealed: Digest, password: String) -> Result<SecretKey, Problem> {
    let held = api.credentials.read(sealed).map_err(|e| Problem::internal("the signing key cannot be read", &e))?;
    let place = place(api, user.as_str()).await?;
    let owner = user.clone();
    let opened = tokio::task::spawn_blocking(move || (unseal(&held, &owner, &password), drop(place)).0)
        .await
        .map_err(|e| Problem::internal("opening failed", &e))?;
    let retired = |e| Refusal::conflict("signing-key", format!("{e}; make a new one (mdfmctl signing-key add)"));
    opened.map_err(|e| retired(e).into())
}

impl Origin {
    /// The caller who has shown both factors just now; the code counts once, and is spent.
    pub(super) async fn need_both(
        &self,
        api: &Api,
        action: &'static str,
        both: &BothFactors,
    ) -> Result<(Caller, UserId, User), Problem> {
        let (caller, id, user) = self.need_password(api, action, both.password.clone()).await?;
        let factor = Factor { code: Some(both.code.clone()), recovery_code: None };
        let proof = show(api, self, &caller, &id, &factor, action).await?;
        let change = PersonChange::SecondFactorShown { session: caller.token_sha256, proof };
        let command = Command::ChangePerson { user: id.clone(), change, reason: None };
        // Whatever the request depends on, it is not this.
        api.runner.submit(caller.actor.clone(), self.address(), command).await.map_err(Problem::recorded)?;
        Ok((caller, id, user))
    }
}

/// Makes a signing key of one's own, sealed under one's password; it signs nothing until the registrar has put it on the roster.
#[utoipa::path(post, path = "/api/v1/me/signing-key", request_body = BothFactors,
    responses((status = 201, body = SigningKeyView), (status = 403, body = Problem)))]
pub(super) async fn make_key(
    State(api): State<Api>,
    origin: Origin,
    Json(both): Json<BothFactors>,
) -> Result<(StatusCode, axum::Json<SigningKeyView>), Problem> {
    let (caller, id, user) = origin.need_both(&api, "user.signing-key.set", &both).await?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(internal)?;
    let key = SecretKey::from_seed(seed);
    let public_key = key.public().to_string();
    let sealed = seal_key(&api, &id, key, both.password).await?;
    let change = PersonChange::SigningKeySet { public_key: public_key.clone(), sealed };
    origin.change(&api, &caller, id, change, None).await.inspect_err(|_| api.credentials.forget(sealed))?;
    user.signing_key.iter().for_each(|key| api.credentials.forget(key.sealed));
    Ok((StatusCode::CREATED, axum::Json(SigningKeyView { public_key })))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeView {
    user_id: String,
    printed_name: String,
    roles: Vec<AccessRole>,
    /// What the roles permit.
    permissions: Vec<Permission>,
    hospital_id: Option<String>,
    second_factor: bool,
    recovery_codes_left: usize,
    signing_key: Option<String>,
    password_set_at: String,
    email: Option<String>,
    trained_until: Option<String>,
    /// Why this user cannot sign and who can resolve it; `null` if they can.
    cannot_sign: Option<String>,
    /// How long the session lasts.
    session: SessionView,
    /// `true` in a trial installation; absent in others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    trial: bool,
}

/// How long a session lasts, so that nobody is surprised in the middle of a form.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionView {
    /// It ends then whatever is done.
    ends_at: String,
    /// It ends then unless it is used before.
    idle_ends_at: String,
    /// Until when the second factor counts that was shown; `null` if it has to be shown for what demands it.
    factor_counts_until: Option<String>,
}

impl SessionView {
    /// Of a session that was last used `unused_ms` ago.
    fn of(session: &Session, policy: &SessionPolicy, now: UtcMillis, unused_ms: u64) -> Self {
        let counts_until = session.shown_at.map(|at| at.plus_ms(policy.step_up_ms)).filter(|until| *until > now);
        let left_ms = policy.idle_ms.saturating_sub(unused_ms);
        let idle_ends_at = now.plus_ms(left_ms).min(session.expires_at);
        Self {
            ends_at: session.expires_at.to_string(),
            idle_ends_at: idle_ends_at.to_string(),
            factor_counts_until: counts_until.map(|until| until.min(session.expires_at).to_string()),
        }
    }
}

/// Why somebody without a second factor signs nothing; `None` if they have one, or the installation demands none.
fn without_factor(has_factor: bool, policy: SecondFactorPolicy) -> Option<&'static str> {
    (!has_factor && policy != SecondFactorPolicy::Optional)
        .then_some("no signature counts before a second factor is set up (mdfmctl second-factor enrol)")
}

/// Why somebody without a role that signs signs nothing; what they could set up would not change that. `None` if a role signs.
fn without_signing_role(roles: &[AccessRole]) -> Option<&'static str> {
    (!roles.iter().any(signs)).then_some("the roles Clinical, QA and Regulatory sign; this account has none of them")
}

/// Roles of an account that sign.
fn signs(role: &AccessRole) -> bool {
    matches!(role, AccessRole::Clinical | AccessRole::Qa | AccessRole::Regulatory)
}

/// Why somebody signs nothing of whom no entry of the roster is valid now; `None` if one is. It names their key: without one nobody is on it.
fn not_on_roster(state: &Domain, now: UtcMillis, id: &UserId, roles: &[AccessRole]) -> Option<String> {
    let mut entries = state.roster.iter().flat_map(|roster| roster.entries_of(id));
    if entries.any(|entry| entry.is_valid(now, state.log_size)) {
        return None;
    }
    let roles: Vec<&str> = roles.iter().filter(|role| signs(role)).map(|role| role.name()).collect();
    let roles = roles.join(" or ");
    Some(format!(
        "{id} is not on the roster as {roles} today; the registrar signs the next one (mdfmctl trust make-roster)"
    ))
}

/// Who one is here.
#[utoipa::path(get, path = "/api/v1/me", responses((status = 200, body = MeView), (status = 401, body = Problem)))]
pub(super) async fn me(State(api): State<Api>, origin: Origin) -> Result<axum::Json<MeView>, Problem> {
    let (caller, id) = origin.need_self(&api, "user.show").await?;
    let state = api.runner.state();
    let now = state.not_before(clock::now());
    let session = state.sessions.get(&caller.token_sha256).ok_or_else(|| Refusal::not_found("session", "current"))?;
    // A page that refreshes automatically asks too, and that is no use of the session.
    let at = Moment { now, steady: clock::steady() };
    let unused_ms = api.idle.unused_ms(caller.token_sha256, session.opened_at, at);
    let user = state.users.get(&id).ok_or_else(|| Refusal::not_found("user", &id))?;
    Ok(axum::Json(MeView {
        user_id: id.to_string(),
        printed_name: user.printed_name.clone(),
        roles: user.roles.clone(),
        permissions: Permission::ALL
            .into_iter()
            .filter(|p| user.roles.iter().any(|role| p.is_granted_to(*role)))
            .collect(),
        hospital_id: user.hospital.as_ref().map(ToString::to_string),
        second_factor: user.second_factor.is_some(),
        recovery_codes_left: user.second_factor.as_ref().map_or(0, |f| f.recovery.len()),
        signing_key: user.signing_key.as_ref().map(|k| k.public_key.clone()),
        password_set_at: user.password_set_at.to_string(),
        email: user.email.clone(),
        trained_until: user.trained_until.map(|t| t.to_string()),
        cannot_sign: without_signing_role(&user.roles).map(str::to_owned).or_else(|| {
            let refused = may_sign(&state, now, id.as_str()).err();
            let factor = || without_factor(user.second_factor.is_some(), api.sessions.second_factor);
            let refused = refused.map(|refusal| refusal.detail).or_else(|| factor().map(str::to_owned));
            refused.or_else(|| not_on_roster(&state, now, &id, &user.roles))
        }),
        session: SessionView::of(session, &api.sessions, now, unused_ms),
        trial: state.trial,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewToken {
    name: String,
    permissions: Vec<Permission>,
    expires_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenView {
    pub(super) token_id: String,
    /// Whose it is.
    user_id: String,
    name: String,
    permissions: Vec<Permission>,
    made_at: Option<String>,
    expires_at: String,
    /// The deployment that it shows, and nothing else, if it is of a display on a wall.
    #[serde(skip_serializing_if = "Option::is_none")]
    displays: Option<String>,
    /// Send it as `Authorization: Bearer …`; shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Makes a token for a machine: with some of one's own permissions, for at most a year, never for what only people decide. The second factor
/// must have been shown within the last minutes.
#[utoipa::path(post, path = "/api/v1/me/tokens", request_body = NewToken,
    responses((status = 201, body = TokenView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn make_token(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, axum::Json<TokenView>), Problem> {
    let (caller, user) = origin.need_shown(&api, "token.create").await?;
    let expires_at = time("expiresAt", &new.expires_at)?;
    let (token, view) =
        issue_token(&api, &origin, &caller, user, "token-", (new.name, new.permissions, expires_at, None)).await?;
    Ok((StatusCode::CREATED, axum::Json(TokenView { token: Some(token), ..view })))
}

/// Makes a token of a person: its name, permissions, end, and what it is bound to if it is of a display. Returns the secret, and the view without it.
///
/// # Errors
/// The core refuses it.
pub(super) async fn issue_token(
    api: &Api,
    origin: &Origin,
    caller: &Caller,
    user: UserId,
    prefix: &str,
    (name, permissions, expires_at, display): (String, Vec<Permission>, UtcMillis, Option<WallDisplay>),
) -> Result<(String, TokenView), Problem> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(internal)?;
    let token = format!("{TOKEN_PREFIX}{}", hex::encode(secret));
    let token_sha256 = Digest::of(token.as_bytes());
    let id = fresh_id::<mdfm_shared::id::FirmwareId>(prefix)?.to_string();
    let change = PersonChange::TokenMade { token_sha256, id: id.clone(), name, permissions, expires_at, display };
    origin.change(api, caller, user, change, None).await?;
    let state = api.runner.state();
    let made = state.tokens.get(&token_sha256).ok_or_else(|| Refusal::not_found("token", &id))?;
    Ok((token, token_view(made)))
}

fn token_view(token: &Token) -> TokenView {
    TokenView {
        token_id: token.id.clone(),
        user_id: token.user.to_string(),
        name: token.name.clone(),
        permissions: token.permissions.clone(),
        made_at: token.made_at.map(|at| at.to_string()),
        expires_at: token.expires_at.to_string(),
        displays: token.display.as_ref().map(|display| display.deployment.to_string()),
        token: None,
    }
}

/// Lists one's own tokens.
#[utoipa::path(get, path = "/api/v1/me/tokens", responses((status = 200, body = Vec<TokenView>)))]
pub(super) async fn list_tokens(State(api): State<Api>, origin: Origin) -> Result<axum::Json<Vec<TokenView>>, Problem> {
    let (_, user) = origin.need_self(&api, "token.list").await?;
    let state = api.runner.state();
    Ok(axum::Json(state.tokens.values().filter(|t| t.user == user).map(token_view).collect()))
}

/// Lists the tokens of everybody, those that have expired among them until they are forgotten.
#[utoipa::path(get, path = "/api/v1/tokens", params(ListQuery),
    responses((status = 200, body = Vec<TokenView>), (status = 422, body = Problem)))]
pub(super) async fn all_tokens(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAudit, "token.list", "token").await?;
    let state = api.runner.state();
    let by_id: BTreeMap<String, Token> = state.tokens.values().map(|t| (t.id.clone(), t.clone())).collect();
    query.page("/api/v1/tokens", &by_id, |_, _| true, |_, token| token_view(token))
}

/// Revokes a token of somebody else, at once.
#[utoipa::path(delete, path = "/api/v1/users/{user}/tokens/{token}", request_body = Reason,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn revoke_token_of(
    State(api): State<Api>,
    origin: Origin,
    Path((user, token)): Path<(String, String)>,
    Json(why): Json<Reason>,
) -> Result<StatusCode, Problem> {
    origin.administer(&api, &user, PersonChange::TokenRevoked { id: token }, why.reason).await
}

/// Revokes one of one's own tokens, at once.
#[utoipa::path(delete, path = "/api/v1/me/tokens/{token}", responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn revoke_token(
    State(api): State<Api>,
    origin: Origin,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    let (caller, user) = origin.need_self(&api, "token.revoke").await?;
    origin.change(&api, &caller, user, PersonChange::TokenRevoked { id: token }, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Other roles for somebody, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRoles {
    roles: Vec<AccessRole>,
    #[serde(default)]
    hospital_id: Option<String>,
    reason: String,
}

/// By what an administrator saw who somebody is.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Evidence {
    /// For example `passport, seen in person`; no number of it is needed.
    evidence: String,
    reason: String,
}

/// Records that somebody's identity was verified; without it nobody signs (21 CFR 11.100(b)).
#[utoipa::path(put, path = "/api/v1/users/{user}/identity", request_body = Evidence,
    responses((status = 204), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn verify_identity(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(seen): Json<Evidence>,
) -> Result<StatusCode, Problem> {
    let action = "user.identity.verify";
    let by = origin.need(&api, Permission::ManageUsers, action, &format!("user/{user}")).await?.actor.id;
    origin.administer(&api, &user, PersonChange::IdentityVerified { by, evidence: seen.evidence }, seen.reason).await
}

/// Until when somebody is trained for the task.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Training {
    trained_until: String,
    reason: String,
}

/// Confirms somebody's training; from that date on they sign nothing (21 CFR 11.10(i)).
#[utoipa::path(put, path = "/api/v1/users/{user}/training", request_body = Training,
    responses((status = 204), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn confirm_training(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(training): Json<Training>,
) -> Result<StatusCode, Problem> {
    let until = time("trainedUntil", &training.trained_until)?;
    origin.administer(&api, &user, PersonChange::TrainingConfirmed { until }, training.reason).await
}

/// Where one gets mail; `null` for no mail.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Address {
    email: Option<String>,
}

/// Sets where one gets mail.
#[utoipa::path(put, path = "/api/v1/me/address", request_body = Address,
    responses((status = 204), (status = 422, body = Problem)))]
pub(super) async fn set_address(
    State(api): State<Api>,
    origin: Origin,
    Json(address): Json<Address>,
) -> Result<StatusCode, Problem> {
    let (caller, id) = origin.need_self(&api, "user.address.set").await?;
    origin.change(&api, &caller, id, PersonChange::AddressSet { email: address.email }, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives somebody other roles, at once; a role less ends their tokens.
#[utoipa::path(put, path = "/api/v1/users/{user}/roles", request_body = NewRoles,
    responses((status = 200, body = EndedView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set_roles(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(new): Json<NewRoles>,
) -> Result<axum::Json<EndedView>, Problem> {
    let hospital = new.hospital_id.as_deref().map(|h| id("hospitalId", h)).transpose()?;
    origin.end_access(&api, &user, PersonChange::RolesSet { roles: new.roles, hospital }, new.reason).await
}

/// Disables an account: sessions and tokens end at once, the id stays taken.
#[utoipa::path(post, path = "/api/v1/users/{user}/disable", request_body = Reason,
    responses((status = 200, body = EndedView), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn disable(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(why): Json<Reason>,
) -> Result<axum::Json<EndedView>, Problem> {
    origin.end_access(&api, &user, PersonChange::Disabled, why.reason).await
}

/// Enables an account that was disabled.
#[utoipa::path(post, path = "/api/v1/users/{user}/enable", request_body = Reason,
    responses((status = 204), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn enable(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(why): Json<Reason>,
) -> Result<StatusCode, Problem> {
    origin.administer(&api, &user, PersonChange::Enabled, why.reason).await
}

/// Ends every session and every token of somebody.
#[utoipa::path(post, path = "/api/v1/users/{user}/sign-out", request_body = Reason,
    responses((status = 200, body = EndedView), (status = 403, body = Problem)))]
pub(super) async fn sign_out(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(why): Json<Reason>,
) -> Result<axum::Json<EndedView>, Problem> {
    origin.end_access(&api, &user, PersonChange::SessionsEnded, why.reason).await
}

/// Takes away a second factor that was lost, and with it the signing key, sessions and tokens; the person sets up another.
#[utoipa::path(delete, path = "/api/v1/users/{user}/second-factor", request_body = Reason,
    responses((status = 200, body = EndedView), (status = 403, body = Problem)))]
pub(super) async fn remove_factor(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(why): Json<Reason>,
) -> Result<axum::Json<EndedView>, Problem> {
    let before = user.parse::<UserId>().ok().and_then(|id| api.runner.state().users.get(&id).cloned());
    let done = origin.end_access(&api, &user, PersonChange::SecondFactorRemoved, why.reason).await?;
    if let Some(before) = before {
        before.second_factor.iter().for_each(|factor| api.credentials.forget(factor.secret));
        before.signing_key.iter().for_each(|key| api.credentials.forget(key.sealed));
    }
    Ok(done)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PasswordReset {
    #[schema(format = Password)]
    new_password: String,
    reason: String,
}

/// Gives somebody another password; their sessions and tokens end, and their signing key is retired.
#[utoipa::path(put, path = "/api/v1/users/{user}/password", request_body = PasswordReset,
    responses((status = 200, body = EndedView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn reset_password(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(request): Json<PasswordReset>,
) -> Result<axum::Json<EndedView>, Problem> {
    let object = format!("user/{user}");
    let caller = origin.need(&api, Permission::ManageUsers, "user.password.reset", &object).await?;
    let id: UserId = id("userId", &user)?;
    let before = api.runner.state().users.get(&id).cloned();
    let access = Access::of(&api, &id);
    let credential = keep_password(&api, &caller, request.new_password).await?;
    let change = PersonChange::PasswordSet { credential, own: None, resealed: None, ends_tokens: false };
    if let Err(problem) = origin.change(&api, &caller, id.clone(), change, Some(request.reason)).await {
        api.credentials.forget(credential);
        return Err(problem);
    }
    before.iter().for_each(|before| forget(&api, before));
    Ok(axum::Json(access.ended(&api, &id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_says_how_long_it_lasts() {
        let policy = SessionPolicy {
            second_factor: SecondFactorPolicy::Required,
            session_ms: 28_800_000,
            idle_ms: 1_800_000,
            step_up_ms: 900_000,
        };
        let at = |ms: u64| UtcMillis(1_750_000_000_000 + ms);
        let session = Session {
            user: "qa".parse().expect("an id"),
            opened_at: at(0),
            expires_at: at(28_800_000),
            shown_at: Some(at(0)),
        };
        let early = SessionView::of(&session, &policy, at(60_000), 0);
        assert_eq!(early.idle_ends_at, at(1_860_000).to_string());
        assert_eq!(early.factor_counts_until, Some(at(900_000).to_string()));
        let unused = SessionView::of(&session, &policy, at(60_000), 50_000);
        assert_eq!(unused.idle_ends_at, at(1_810_000).to_string(), "a look promises no more than the last use");
        let late = SessionView::of(&session, &policy, at(28_000_000), 0);
        assert_eq!((late.idle_ends_at, late.ends_at), (at(28_800_000).to_string(), at(28_800_000).to_string()));
        assert_eq!(late.factor_counts_until, None, "it has to be shown again");
    }

    #[test]
    fn cli_15_whoever_lacks_a_factor_reads_that_they_cannot_sign() {
        assert!(without_factor(false, SecondFactorPolicy::Required).is_some_and(|why| why.contains("enrol")));
        assert!(without_factor(true, SecondFactorPolicy::Required).is_none());
        assert!(without_factor(false, SecondFactorPolicy::Optional).is_none(), "where none is demanded");
    }

    #[test]
    fn cli_15_whoever_is_on_no_roster_reads_that_they_cannot_sign() {
        let roster = mdfm_shared::fixture::roster();
        let entry = roster.entries.iter().find(|e| e.user.as_str() == "user-qa").expect("QA").clone();
        let why = |state: &Domain, now: UtcMillis| not_on_roster(state, now, &entry.user, &[AccessRole::Qa]);
        let mut state = Domain::default();
        let missing = why(&state, entry.valid_from).expect("no roster");
        assert!(missing.starts_with("user-qa is not on the roster as QA today"), "{missing}");
        state.roster = Some(roster.clone());
        assert_eq!(why(&state, entry.valid_from), None);
        assert!(why(&state, entry.valid_until).is_some(), "its authority has ended");
        let stranger = "qa-2".parse().expect("an id");
        let words = not_on_roster(&state, entry.valid_from, &stranger, &[AccessRole::Operator, AccessRole::Qa]);
        assert!(words.is_some_and(|words| words.contains("as QA today")));
    }

    #[test]
    fn cli_15_only_roles_that_sign_are_advised_about_signing() {
        for role in AccessRole::ALL {
            let signs = role.name().parse::<mdfm_shared::trust::Role>().is_ok();
            assert_eq!(without_signing_role(&[role]).is_none(), signs, "{}", role.name());
        }
        assert!(without_signing_role(&[]).is_some_and(|why| !why.contains("mdfmctl")));
        assert!(without_signing_role(&[AccessRole::Operator, AccessRole::Qa]).is_none());
    }
}
