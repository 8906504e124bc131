//! Signing in through the operator's OpenID provider.

use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use mdfm_shared::id::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::{Json, Origin, Path};
use super::sessions::{SessionView, let_in, too_many_tries};
use super::{Api, Problem};
use crate::access::Oidc;
use crate::clock;
use crate::runner::anonymous;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::people::PersonChange;
use mdfm_coordinator_core::refusal::Class;

const ACTION: &str = "session.open";

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Beginning {
    /// Where the provider sends the person back: `http://127.0.0.1:PORT/…` on their machine, or an address of the configuration.
    redirect_uri: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BeginningView {
    /// Give it with what comes back; a secret.
    flow: String,
    /// Where the person goes in a browser.
    authorization_url: String,
}

fn need_provider(api: &Api) -> Result<&Oidc, Refusal> {
    api.oidc
        .as_deref()
        .ok_or_else(|| Refusal::not_found("single sign-on in this installation; sign in with", "a password"))
}

async fn need_turn(api: &Api, origin: &Origin) -> Result<(), Problem> {
    let address = origin.peer.address.ip();
    if api.logins.admits(address, Instant::now()) {
        return Ok(());
    }
    let address = address.to_string();
    Err(origin.deny(api, anonymous(&address), ACTION, "session", too_many_tries()).await)
}

/// Begins to sign in through the OpenID provider.
#[utoipa::path(post, path = "/api/v1/sessions/oidc", request_body = Beginning,
    responses((status = 201, body = BeginningView), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn begin(
    State(api): State<Api>,
    origin: Origin,
    Json(beginning): Json<Beginning>,
) -> Result<(StatusCode, axum::Json<BeginningView>), Problem> {
    let oidc = need_provider(&api)?;
    need_turn(&api, &origin).await?;
    if !oidc.may_return_to(&beginning.redirect_uri) {
        let detail = "must be http://127.0.0.1:PORT/… or one that the configuration names (oidc.redirect_uris)";
        return Err(Refusal::invalid("redirectUri", detail).into());
    }
    let begun = oidc.begin(&beginning.redirect_uri, clock::steady()).await.map_err(|error| {
        tracing::warn!(error = format!("{error:#}"), "the OpenID provider");
        Refusal::new(
            Class::Unavailable,
            "provider",
            "the OpenID provider does not answer as it should; see the journal",
        )
    })?;
    let view = BeginningView { flow: begun.flow, authorization_url: begun.authorization_url };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// What came back from the provider.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Completion {
    #[schema(format = Password)]
    flow: String,
    #[schema(format = Password)]
    state: String,
    #[schema(format = Password)]
    code: String,
}

/// Signs in with what the OpenID provider says. What decides over firmware, people or trust needs the second factor of this coordinator all the
/// same, and signatures need the password too.
#[utoipa::path(post, path = "/api/v1/sessions/oidc/completion", request_body = Completion,
    responses((status = 201, body = SessionView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn complete(
    State(api): State<Api>,
    origin: Origin,
    Json(back): Json<Completion>,
) -> Result<(StatusCode, axum::Json<SessionView>), Problem> {
    let oidc = need_provider(&api)?;
    need_turn(&api, &origin).await?;
    let address = origin.peer.address.ip().to_string();
    let refused = |cause: String| Refusal::new(Class::Unauthenticated, "single-sign-on", cause);
    let subject = match oidc.finish(&back.flow, &back.state, &back.code, clock::steady()).await {
        Ok(subject) => subject,
        Err(error) => {
            let refusal = refused(format!("the sign-in does not count: {error}; begin again"));
            return Err(origin.deny(&api, anonymous(&address), ACTION, "session", refusal).await);
        }
    };
    let found = {
        let state = api.runner.state();
        state.linked(oidc.issuer(), &subject).map(|(id, u)| (id.clone(), u.clone()))
    };
    let Some((id, user)) = found else {
        let shown: String = subject.chars().take(64).collect();
        let detail = format!(
            "nobody here is {shown:?} of {}; an administrator links accounts (mdfmctl users link)",
            oidc.issuer()
        );
        return Err(origin.deny(&api, anonymous(&shown), ACTION, "session", refused(detail)).await);
    };
    let_in(&api, &origin, id, user, None, Some(oidc.issuer().to_owned())).await
}

/// Whom the provider calls how.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Link {
    /// The provider's identifier of the person (`sub`); none for no single sign-on.
    subject: Option<String>,
    reason: String,
}

/// Links an account with that of the OpenID provider which is configured now; after a change of provider it must be linked again.
#[utoipa::path(put, path = "/api/v1/users/{user}/subject", request_body = Link,
    responses((status = 204), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn link(
    State(api): State<Api>,
    origin: Origin,
    Path(user): Path<String>,
    Json(link): Json<Link>,
) -> Result<StatusCode, Problem> {
    let _: UserId = super::request::id("userId", &user)?;
    let issuer = match (&link.subject, &api.oidc) {
        (None, _) => None,
        (Some(_), Some(oidc)) => Some(oidc.issuer().to_owned()),
        (Some(_), None) => {
            let detail = "a subject is somebody only together with its provider; configure the provider first ([oidc])";
            return Err(Refusal::conflict("no-provider", detail).into());
        }
    };
    origin.administer(&api, &user, PersonChange::SubjectLinked { subject: link.subject, issuer }, link.reason).await
}
