//! Webhooks: programs elsewhere that are told.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::id::HospitalId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, id};
use super::{Api, Problem};
use crate::notify::new_webhook_secret;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::expiry::ExpiryKind;
use mdfm_coordinator_core::notice::{NoticeKind, Webhook};
use mdfm_coordinator_core::{Command, Refusal};

/// A program elsewhere that is to be told.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// Must begin with `https://`.
    url: String,
    /// Empty for every kind.
    #[serde(default)]
    kinds: Vec<NoticeKind>,
    /// Only what concerns one of these; empty for everything.
    #[serde(default)]
    hospital_ids: Vec<String>,
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookView {
    webhook_id: String,
    url: String,
    kinds: Vec<NoticeKind>,
    hospital_ids: Vec<String>,
    /// By which the receiver checks signatures (Standard Webhooks); shown now and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Why a delivery that still waits for it failed last; `null` if none has failed.
    last_error: Option<String>,
}

fn view(id: &str, hook: &Webhook, secret: Option<String>) -> WebhookView {
    WebhookView {
        webhook_id: id.to_owned(),
        url: hook.url.clone(),
        kinds: hook.kinds.clone(),
        hospital_ids: hook.hospitals.iter().map(ToString::to_string).collect(),
        secret,
        last_error: None,
    }
}

/// Sets a webhook, with a new secret.
#[utoipa::path(put, path = "/api/v1/webhooks/{webhook}", request_body = NewWebhook,
    responses((status = 200, body = WebhookView), (status = 422, body = Problem)))]
pub(super) async fn set(
    State(api): State<Api>,
    origin: Origin,
    Path(webhook): Path<String>,
    Json(new): Json<NewWebhook>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let object = format!("webhook/{}", webhook.chars().take(64).collect::<String>());
    let caller = origin.need(&api, Permission::ManageUsers, "webhook.set", &object).await?;
    let hospitals: BTreeSet<HospitalId> =
        new.hospital_ids.iter().map(|h| id("hospitalIds", h)).collect::<Result<_, _>>()?;
    // A name is looked up when it is called; an address is known now.
    if let Ok(url) = new.url.parse() {
        api.outward.check_url(&url).map_err(|e| Refusal::invalid("url", e))?;
    }
    let secret = new_webhook_secret().map_err(|e| Problem::internal("this machine gives no random numbers", &e))?;
    let kept = api.credentials.keep(&secret).map_err(|e| Problem::internal("the secret cannot be kept", &e))?;
    let kinds: BTreeSet<NoticeKind> = new.kinds.into_iter().collect();
    let set = Webhook {
        url: new.url,
        kinds: kinds.into_iter().collect(),
        hospitals: hospitals.into_iter().collect(),
        secret: kept,
    };
    let before = api.runner.state().webhooks.get(&webhook).map(|hook| hook.secret);
    let command = Command::SetWebhook { webhook: webhook.clone(), set: set.clone(), reason: new.reason };
    if let Err(problem) = origin.submit(&api, &caller, command).await {
        api.credentials.forget(kept);
        return Err(problem);
    }
    api.runner.presence().forget(ExpiryKind::WebhookCertificate, &webhook);
    before.iter().for_each(|secret| api.credentials.forget(*secret));
    Ok(axum::Json(view(&webhook, &set, Some(secret))))
}

/// Lists webhooks.
#[utoipa::path(get, path = "/api/v1/webhooks", params(ListQuery),
    responses((status = 200, body = Vec<WebhookView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ManageUsers, "webhook.list", "webhook").await?;
    let failing = api.notices.failing().map_err(|e| Problem::internal("the notices cannot be read", &e))?;
    let hooks = api.runner.state().webhooks.clone();
    let shown =
        |id: &String, hook: &Webhook| WebhookView { last_error: failing.get(id).cloned(), ..view(id, hook, None) };
    query.page("/api/v1/webhooks", &hooks, |_, _| true, shown)
}

/// Removes a webhook; what waits for it is given up.
#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook}", request_body = Reason,
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(api): State<Api>,
    origin: Origin,
    Path(webhook): Path<String>,
    Json(why): Json<Reason>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageUsers, "webhook.remove", &format!("webhook/{webhook}")).await?;
    let before = api.runner.state().webhooks.get(&webhook).map(|hook| hook.secret);
    origin.submit(&api, &caller, Command::RemoveWebhook { webhook: webhook.clone(), reason: why.reason }).await?;
    api.runner.presence().forget(ExpiryKind::WebhookCertificate, &webhook);
    before.iter().for_each(|secret| api.credentials.forget(*secret));
    Ok(StatusCode::NO_CONTENT)
}
