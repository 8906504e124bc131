//! Notices: one's inbox, and what could not be delivered.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query};
use super::{Api, Problem};
use crate::clock;
use crate::notify::{Delivery, INBOX_MAX, Told};
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::notice::NoticeKind;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NoticeView {
    notice_id: String,
    kind: NoticeKind,
    at: String,
    /// What it is about, for example `firmware/FW-1`.
    object: String,
    subject: String,
    detail: String,
    /// The entry of the audit log that it was read off.
    log_index: u64,
    read: bool,
}

fn view(id: &str, told: &Told) -> NoticeView {
    NoticeView {
        notice_id: id.to_owned(),
        kind: told.kind,
        at: told.at.to_string(),
        object: told.object.clone(),
        subject: told.subject.clone(),
        detail: told.detail.clone(),
        log_index: told.log_index,
        read: told.read,
    }
}

/// Lists one's notices.
#[utoipa::path(get, path = "/api/v1/me/notices", params(ListQuery),
    responses((status = 200, body = Vec<NoticeView>), (status = 422, body = Problem)))]
pub(super) async fn inbox(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let (_, user) = origin.need_self(&api, "notice.list").await?;
    let inbox = api.notices.inbox(&user).map_err(|e| Problem::internal("the notices cannot be read", &e))?;
    query.page("/api/v1/me/notices", &inbox, |_, _| true, |id, told| view(id, told))
}

/// Notices that one has seen.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Seen {
    notice_ids: Vec<String>,
}

/// Marks notices as read.
#[utoipa::path(post, path = "/api/v1/me/notices/read", request_body = Seen,
    responses((status = 204), (status = 422, body = Problem)))]
pub(super) async fn read(
    State(api): State<Api>,
    origin: Origin,
    Json(seen): Json<Seen>,
) -> Result<StatusCode, Problem> {
    let (_, user) = origin.need_self(&api, "notice.read").await?;
    if seen.notice_ids.len() > INBOX_MAX {
        return Err(Refusal::invalid("noticeIds", format!("at most {INBOX_MAX}")).into());
    }
    api.notices
        .mark_read(&user, &seen.notice_ids)
        .map_err(|e| Problem::internal("the notices cannot be written", &e))?;
    Ok(StatusCode::NO_CONTENT)
}

/// A notice that did not reach its receiver.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetterView {
    delivery_id: String,
    /// `mail` or `webhook`.
    channel: &'static str,
    /// The person, or the webhook.
    to: String,
    kind: NoticeKind,
    subject: String,
    attempts: u32,
    last_error: String,
    given_up_at: String,
}

fn dead_view(id: &str, delivery: &Delivery) -> DeadLetterView {
    let (channel, to) = delivery.receiver();
    DeadLetterView {
        delivery_id: id.to_owned(),
        channel,
        to: to.to_owned(),
        kind: delivery.told.kind,
        subject: delivery.told.subject.clone(),
        attempts: delivery.attempts,
        last_error: delivery.last_error.clone(),
        given_up_at: delivery.due_at.to_string(),
    }
}

/// Lists what could not be delivered, as often as it was tried (`notice_retry_seconds`).
#[utoipa::path(get, path = "/api/v1/notices/dead-letters", params(ListQuery),
    responses((status = 200, body = Vec<DeadLetterView>), (status = 422, body = Problem)))]
pub(super) async fn dead_letters(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ManageUsers, "notice.dead-letters", "notices").await?;
    let dead = api.notices.dead_letters().map_err(|e| Problem::internal("the notices cannot be read", &e))?;
    query.page("/api/v1/notices/dead-letters", &dead, |_, _| true, |id, delivery| dead_view(id, delivery))
}

/// Tries once more to deliver a notice that was given up.
#[utoipa::path(post, path = "/api/v1/notices/dead-letters/{delivery}/retry",
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn retry(
    State(api): State<Api>,
    origin: Origin,
    Path(delivery): Path<String>,
) -> Result<StatusCode, Problem> {
    origin.need(&api, Permission::ManageUsers, "notice.retry", "notices").await?;
    let found = api.notices.retry(&delivery, clock::now());
    match found.map_err(|e| Problem::internal("the notices cannot be read", &e))? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::not_found("dead letter", &delivery).into()),
    }
}
