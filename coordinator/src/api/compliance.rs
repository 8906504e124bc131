//! The audit log for people and verifiers: search, checkpoint, proofs, tiles, export.

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mdfm_audit::{Entry, Field, Order, Query as Wanted, SEGMENT_MAGIC, frame};
use mdfm_shared::id::GatewayId;
use mdfm_shared::record::{Actor, ActorKind, AuditRecord};
use mdfm_shared::tlog::TilePath;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::request::{Origin, Path, Query, time};
use super::staff::seen_by_staff;
use super::{Api, Problem};
use crate::access::Caller;
use crate::clock;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::urgency::Room;

/// Records in one answer at most.
const PAGE_MAX: u64 = 500;
/// Entries read at once for an export.
const EXPORT_ENTRIES: usize = 1_024;

/// What is looked for; everything given must hold. Values may end in `*`.
#[derive(Deserialize, IntoParams, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Oldest first: the first entry looked at. Newest first: the first one not looked at.
    from: Option<u64>,
    /// Records in the answer, at most 500.
    limit: Option<u64>,
    /// `oldest` (the default) or `newest` first.
    order: Option<String>,
    /// For example `firmware.approve` or `firmware.*`.
    action: Option<String>,
    /// For example `firmware/FW-1`.
    object: Option<String>,
    actor: Option<String>,
    role: Option<String>,
    outcome: Option<String>,
    hospital: Option<String>,
    gateway: Option<String>,
    device: Option<String>,
    firmware: Option<String>,
    deployment: Option<String>,
    recall: Option<String>,
    user: Option<String>,
    /// What a gateway reported, for example `deviceError`.
    event: Option<String>,
    /// Words of the reason.
    text: Option<String>,
    /// Not before; RFC 3339.
    since: Option<String>,
    /// Before; RFC 3339.
    until: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditPage {
    /// Records with their `index` in the log.
    #[schema(value_type = Vec<Object>)]
    records: Vec<IndexedRecord>,
    /// The `from` with which to go on; none when that was all.
    next: Option<u64>,
    log_size: u64,
}

#[derive(Serialize)]
pub(super) struct IndexedRecord {
    index: u64,
    #[serde(flatten)]
    record: AuditRecord,
}

impl Search {
    /// The query of the index.
    pub(super) fn wanted(&self) -> Result<Wanted, Problem> {
        let fields = [
            (Field::Action, &self.action),
            (Field::Object, &self.object),
            (Field::Actor, &self.actor),
            (Field::Role, &self.role),
            (Field::Outcome, &self.outcome),
            (Field::Hospital, &self.hospital),
            (Field::Gateway, &self.gateway),
            (Field::Device, &self.device),
            (Field::Firmware, &self.firmware),
            (Field::Deployment, &self.deployment),
            (Field::Recall, &self.recall),
            (Field::User, &self.user),
            (Field::Event, &self.event),
        ];
        Ok(Wanted {
            fields: fields.into_iter().filter_map(|(field, value)| Some((field, value.clone()?))).collect(),
            text: self.text.clone(),
            since_ms: self.since.as_ref().map(|t| time("since", t)).transpose()?.map(|t| t.0),
            until_ms: self.until.as_ref().map(|t| time("until", t)).transpose()?.map(|t| t.0),
        })
    }

    /// The query in words, for people.
    pub(super) fn words(&self) -> String {
        let Ok(wanted) = self.wanted() else { return String::new() };
        let mut words: Vec<String> =
            wanted.fields.iter().map(|(field, value)| format!("{} {value}", field.name())).collect();
        words.extend(wanted.text.map(|t| format!("text {t}")));
        words.extend(self.since.as_ref().map(|t| format!("since {t}")));
        words.extend(self.until.as_ref().map(|t| format!("until {t}")));
        if words.is_empty() { "every record".into() } else { words.join(", ") }
    }

    fn order(&self) -> Result<Order, Problem> {
        match self.order.as_deref() {
            None | Some("oldest") => Ok(Order::Oldest { from: self.from.unwrap_or(0) }),
            Some("newest") => Ok(Order::Newest { before: self.from.unwrap_or(u64::MAX) }),
            Some(_) => Err(Refusal::invalid("order", "is oldest or newest").into()),
        }
    }
}

/// Runs something that reads the disk beside the threads that serve connections.
pub(super) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, mdfm_audit::LogError> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Problem::internal("a reader of the log ended", &e))?
        .map_err(|e| Problem::internal("the log cannot be read", &e))
}

/// Searches the audit log.
#[utoipa::path(get, path = "/api/v1/compliance/audit-logs", params(Search),
    responses((status = 200, body = AuditPage), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn search(
    State(api): State<Api>,
    origin: Origin,
    Query(search): Query<Search>,
) -> Result<axum::Json<AuditPage>, Problem> {
    origin.need(&api, Permission::ReadAudit, "audit.search", "log").await?;
    let (wanted, order) = (search.wanted()?, search.order()?);
    found(&api, wanted, order, search.limit).await
}

/// Which page of what was found.
#[derive(Deserialize, IntoParams, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// The first entry not looked at, from the `next` of the page before.
    from: Option<u64>,
    /// Records in the answer, at most 500.
    limit: Option<u64>,
    /// Only what was done so, for example `deployment.gate` or `deployment.*`.
    action: Option<String>,
}

/// The records that name an object, the newest first; to the staff of a hospital what concerns no other one.
pub(super) async fn about(
    api: &Api,
    caller: &Caller,
    (field, kind): (Field, &str),
    id: &impl std::fmt::Display,
    paging: &Paging,
) -> Result<axum::Json<AuditPage>, Problem> {
    let mut fields = vec![(field, id.to_string())];
    fields.extend(paging.action.as_ref().map(|action| (Field::Action, action.clone())));
    let wanted = Wanted { fields, text: None, since_ms: None, until_ms: None };
    let order = Order::Newest { before: paging.from.unwrap_or(u64::MAX) };
    let axum::Json(page) = found(api, wanted, order, paging.limit).await?;
    let state = api.runner.state();
    let Some(own) = state.hospital_of_user(&caller.actor.id) else { return Ok(axum::Json(page)) };
    let object = format!("{kind}/{id}");
    let hospital_of = |actor: &Actor| match actor.kind {
        ActorKind::Gateway => Some(state.gateways.get(&actor.id.parse::<GatewayId>().ok()?)?.hospital.clone()),
        _ => state.hospital_of_user(&actor.id).cloned(),
    };
    let seen = |IndexedRecord { index, record }| {
        Some(IndexedRecord { index, record: seen_by_staff(record, own, &object, hospital_of)? })
    };
    Ok(axum::Json(AuditPage { records: page.records.into_iter().filter_map(seen).collect(), ..page }))
}

async fn found(api: &Api, wanted: Wanted, order: Order, limit: Option<u64>) -> Result<axum::Json<AuditPage>, Problem> {
    let limit = limit.unwrap_or(100).clamp(1, PAGE_MAX) as usize;
    let (index, log_size) = (api.search.clone(), api.runner.log.size());
    let page = beside(move || index.search(&wanted, order, limit)).await?;
    let records = page
        .records
        .into_iter()
        .filter_map(|(index, bytes)| Some(IndexedRecord { index, record: AuditRecord::from_bytes(&bytes).ok()? }));
    Ok(axum::Json(AuditPage { records: records.collect(), next: page.next, log_size }))
}

fn text(body: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

/// The newest published checkpoint with its cosignatures (C2SP tlog-checkpoint); for everybody, there is no secret in it.
#[utoipa::path(get, path = "/api/v1/compliance/log/checkpoint",
    responses((status = 200, content_type = "text/plain", body = String), (status = 404, body = Problem)))]
pub(super) async fn checkpoint(State(api): State<Api>) -> Result<Response, Problem> {
    let (_, note) = api.runner.log.published().ok_or_else(|| Refusal::not_found("checkpoint", "yet"))?;
    Ok(([(header::CACHE_CONTROL, "max-age=5")], text(note)).into_response())
}

/// A tile of the log (C2SP tlog-tiles). Tiles of hashes are for everybody, bundles of entries for who may read the audit log.
#[utoipa::path(get, path = "/api/v1/compliance/log/tile/{*path}", params(("path" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub(super) async fn tile(
    State(api): State<Api>,
    origin: Origin,
    Path(path): Path<String>,
) -> Result<Response, Problem> {
    let missing = || Problem::from(Refusal::not_found("tile", &path));
    let tile = TilePath::parse(&format!("tile/{path}")).ok_or_else(missing)?;
    if matches!(tile, TilePath::Entries { .. }) {
        origin.need(&api, Permission::ReadAudit, "audit.export", "log").await?;
    }
    let log = api.runner.log.clone();
    let bytes = beside(move || log.tile(tile)).await?.ok_or_else(missing)?;
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "max-age=31536000, immutable")];
    Ok((headers, bytes).into_response())
}

/// The proof that an entry stands in the log (C2SP tlog-proof).
#[utoipa::path(get, path = "/api/v1/compliance/log/proofs/{index}",
    responses((status = 200, content_type = "text/plain", body = String), (status = 404, body = Problem)))]
pub(super) async fn proof(
    State(api): State<Api>,
    origin: Origin,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::Read, "audit.proof", "log").await?;
    let index: u64 = super::request::id("index", &index)?;
    let log = api.runner.log.clone();
    let file = beside(move || log.proof_file(index)).await?;
    let file = file.ok_or_else(|| Refusal::not_found("log entry under the newest checkpoint:", index))?;
    Ok(text(file.to_text()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportFrom {
    #[serde(default)]
    from: u64,
}

/// Exports entries as a segment file, up to the newest checkpoint: the same form as in the data directory.
#[utoipa::path(get, path = "/api/v1/compliance/log/export", params(("from" = Option<u64>, Query)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 403, body = Problem)))]
pub(super) async fn export(
    State(api): State<Api>,
    origin: Origin,
    Query(range): Query<ExportFrom>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAudit, "audit.export", "log").await?;
    let end = api.runner.log.published().map_or(0, |(c, _)| c.size);
    let log = api.runner.log.clone();
    let magic = futures_util::stream::once(async { Ok(SEGMENT_MAGIC.to_vec()) });
    let frames = futures_util::stream::iter((range.from..end).step_by(EXPORT_ENTRIES)).then(move |from| {
        let log = log.clone();
        async move {
            let read = move || {
                let mut frames = Vec::new();
                log.each(from, end.min(from + EXPORT_ENTRIES as u64), |index, bytes| {
                    let entry = match bytes {
                        Some(bytes) => Entry::Bytes(bytes.to_vec()),
                        None => log.entry(index)?.unwrap_or(Entry::Bytes(Vec::new())),
                    };
                    frames.extend(frame(&entry));
                    Ok::<(), mdfm_audit::LogError>(())
                })?;
                Ok::<_, mdfm_audit::LogError>(frames)
            };
            let done = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?;
            done.map_err(std::io::Error::other)
        }
    });
    use futures_util::StreamExt;
    let body = Body::from_stream(magic.chain(frames));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoreStatus {
    log_size: u64,
    /// Size of the newest checkpoint that is published.
    published_size: u64,
    /// Whether there is room to record anything new.
    writable: bool,
    /// `ample`; `nearlyFull`: what stops harm is recorded, and for some time yet what gateways report; `full`: nothing is recorded.
    room: &'static str,
    /// When the last scrub of the store ended, and how many entries it read.
    scrubbed_at: Option<String>,
    scrubbed_entries: u64,
    /// What it found that is not what was written.
    damage: Vec<DamageView>,
    /// The time of the newest record: none is stamped earlier.
    last_record_at: String,
    /// Seconds by which the coordinator's clock is behind that; 0 if it is not.
    clock_behind_seconds: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DamageView {
    file: String,
    position: u64,
    entry: u64,
    what: String,
}

/// How the audit store is.
#[utoipa::path(get, path = "/api/v1/compliance/log/status", responses((status = 200, body = StoreStatus)))]
pub(super) async fn status(State(api): State<Api>, origin: Origin) -> Result<axum::Json<StoreStatus>, Problem> {
    origin.need(&api, Permission::ReadAudit, "audit.status", "log").await?;
    let last = api.scrub.last();
    let (last_record_at, clock) = (api.runner.state().last_record_at, clock::now());
    let findings = last.iter().flat_map(|(_, pass)| &pass.findings);
    Ok(axum::Json(StoreStatus {
        log_size: api.runner.log.size(),
        published_size: api.runner.log.published().map_or(0, |(c, _)| c.size),
        writable: api.runner.is_writable(),
        room: match api.runner.room() {
            Room::Ample => "ample",
            Room::Near | Room::Last => "nearlyFull",
            Room::Gone => "full",
        },
        scrubbed_at: last.as_ref().map(|(at, _)| at.to_string()),
        scrubbed_entries: last.as_ref().map_or(0, |(_, pass)| pass.entries),
        damage: findings
            .map(|f| DamageView { file: f.file.clone(), position: f.position, entry: f.entry, what: f.what.into() })
            .collect(),
        last_record_at: last_record_at.to_string(),
        clock_behind_seconds: api.runner.now().since_ms(clock).div_ceil(1_000),
    }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthView {
    status: &'static str,
    version: &'static str,
    log_size: u64,
    /// `true` in a trial installation; absent in others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    trial: bool,
}

/// Whether the coordinator serves; no session needed.
#[utoipa::path(get, path = "/api/v1/health", responses((status = 200, body = HealthView)))]
pub(super) async fn health(State(api): State<Api>) -> axum::Json<HealthView> {
    let trial = api.runner.state().trial;
    axum::Json(HealthView { status: "ok", version: env!("CARGO_PKG_VERSION"), log_size: api.runner.log.size(), trial })
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadinessView {
    ready: bool,
    /// Whether the log takes new records; without that nothing changes, and reads go on.
    writable: bool,
}

/// Whether the coordinator can do all of its work; for a balancer, no session needed.
#[utoipa::path(get, path = "/api/v1/readiness",
    responses((status = 200, body = ReadinessView), (status = 503, body = ReadinessView)))]
pub(super) async fn readiness(State(api): State<Api>) -> (StatusCode, axum::Json<ReadinessView>) {
    let writable = api.runner.is_writable();
    let status = if writable { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(ReadinessView { ready: writable, writable }))
}
