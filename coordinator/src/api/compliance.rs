//! The audit log for people and verifiers: search, checkpoint, proofs, export.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::tlog::leaf_hash;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::{Origin, Query, id};
use super::{Api, Problem};
use crate::domain::Refusal;
use crate::domain::access::Permission;

/// Records in one answer at most.
const PAGE_MAX: u64 = 500;
/// Records looked at for one answer at most.
const SCAN_MAX: u64 = 50_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Search {
    #[serde(default)]
    from: u64,
    #[serde(default)]
    limit: Option<u64>,
    action: Option<String>,
    object: Option<String>,
    actor: Option<String>,
    outcome: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditPage {
    /// Records with their `index` in the log.
    #[schema(value_type = Vec<Object>)]
    records: Vec<IndexedRecord>,
    /// Where to go on; none at the end of the log.
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
    fn matches(&self, record: &AuditRecord) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        let outcome = serde_json::to_value(record.outcome).ok();
        is(&self.action, &record.action)
            && is(&self.object, &record.object)
            && is(&self.actor, &record.actor.id)
            && self.outcome.as_deref().is_none_or(|w| outcome.as_ref().and_then(|o| o.as_str()) == Some(w))
    }
}

/// Searches the audit log from an index on.
#[utoipa::path(get, path = "/api/v1/compliance/audit-logs",
    params(("from" = Option<u64>, Query), ("limit" = Option<u64>, Query), ("action" = Option<String>, Query),
        ("object" = Option<String>, Query), ("actor" = Option<String>, Query), ("outcome" = Option<String>, Query)),
    responses((status = 200, body = AuditPage), (status = 403, body = Problem)))]
pub(super) async fn search(
    State(api): State<Api>,
    origin: Origin,
    Query(search): Query<Search>,
) -> Result<axum::Json<AuditPage>, Problem> {
    origin.need(&api, Permission::ReadAudit, "audit.search", "log").await?;
    let log = &api.runner.log;
    let log_size = log.size();
    let limit = search.limit.unwrap_or(100).clamp(1, PAGE_MAX) as usize;
    let end = log_size.min(search.from.saturating_add(SCAN_MAX));
    let mut records = Vec::new();
    let mut index = search.from;
    while index < end && records.len() < limit {
        let bytes = log.entry(index).map_err(|e| Problem::internal("the log cannot be read", &e))?;
        let record = bytes.and_then(|b| AuditRecord::from_bytes(&b).ok());
        if let Some(record) = record.filter(|r| search.matches(r)) {
            records.push(IndexedRecord { index, record });
        }
        index += 1;
    }
    Ok(axum::Json(AuditPage { records, next: (index < log_size).then_some(index), log_size }))
}

/// The newest signed checkpoint (C2SP tlog-checkpoint).
#[utoipa::path(get, path = "/api/v1/compliance/log/checkpoint",
    responses((status = 200, content_type = "text/plain", body = String), (status = 404, body = Problem)))]
pub(super) async fn checkpoint(State(api): State<Api>, origin: Origin) -> Result<Response, Problem> {
    origin.need(&api, Permission::Read, "audit.checkpoint", "log").await?;
    let (_, note) = api.runner.log.checkpoint().ok_or_else(|| Refusal::not_found("checkpoint", "yet"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
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
    let index: u64 = id("index", &index)?;
    let log = &api.runner.log;
    let missing = || Refusal::not_found("log entry under the newest checkpoint:", index);
    let (checkpoint, note) = log.checkpoint().ok_or_else(missing)?;
    let hashes = log.inclusion(index, checkpoint.size).ok_or_else(missing)?;
    let mut text = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
    for hash in hashes {
        text.push_str(&STANDARD.encode(hash));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&note);
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

#[derive(Deserialize)]
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
    let end = api.runner.log.checkpoint().map_or(0, |(c, _)| c.size);
    let log = api.runner.log.clone();
    let magic = futures_util::stream::once(async { Ok(b"MDFMLOG1".to_vec()) });
    let frames = futures_util::stream::iter(range.from..end).map(move |index| {
        let entry = log.entry(index).ok().flatten();
        let entry = entry.ok_or_else(|| std::io::Error::other(format!("entry {index} cannot be read")))?;
        let mut frame = u32::try_from(entry.len()).unwrap_or(0).to_be_bytes().to_vec();
        frame.extend_from_slice(&leaf_hash(&entry)[..8]);
        frame.extend_from_slice(&entry);
        Ok::<_, std::io::Error>(frame)
    });
    use futures_util::StreamExt;
    let body = Body::from_stream(magic.chain(frames));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthView {
    status: &'static str,
    version: &'static str,
    log_size: u64,
}

/// Whether the coordinator serves; no session needed.
#[utoipa::path(get, path = "/api/v1/health", responses((status = 200, body = HealthView)))]
pub(super) async fn health(State(api): State<Api>) -> axum::Json<HealthView> {
    axum::Json(HealthView { status: "ok", version: env!("CARGO_PKG_VERSION"), log_size: api.runner.log.size() })
}
