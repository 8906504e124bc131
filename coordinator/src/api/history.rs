//! The past: an object as it was at a time, and what changed between two times.

use std::collections::BTreeSet;

use axum::extract::State;
use mdfm_audit::{Entry, Field, LogError, Order, Query as Wanted, SearchIndex};
use mdfm_shared::directive::Directive;
use mdfm_shared::record::{AuditRecord, Outcome};
use mdfm_shared::telemetry::TelemetryBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::compliance::beside;
use super::request::{Origin, Path, Query, time};
use super::{Api, Problem};
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::{Refusal, State as Domain};

/// Records looked through for the last one that shows an object.
const LOOKED_AT_MAX: usize = 500;
/// Changes named in one answer at most.
const CHANGES_MAX: usize = 1_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct At {
    /// RFC 3339.
    at: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Between {
    /// RFC 3339.
    from: String,
    /// RFC 3339.
    to: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PastView {
    object: String,
    /// Size of the log at that time: the state is the fold of this number of records.
    log_size: u64,
    /// The object, as records show it; `null` if there was no such object.
    state: Option<Value>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DifferenceView {
    object: String,
    from: PastView,
    to: PastView,
    changes: Vec<FieldChange>,
}

#[derive(Serialize, ToSchema, Debug, PartialEq)]
pub(crate) struct FieldChange {
    /// JSON pointer (RFC 6901) of what changed.
    path: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// An object as it was at a time: `device`, `deployment`, `firmware`, `gateway`, `hospital`, `recall` or `user`.
#[utoipa::path(get, path = "/api/v1/compliance/states/{kind}/{id}", params(At, ("kind" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = PastView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn state_at(
    State(api): State<Api>,
    origin: Origin,
    Path((kind, id)): Path<(String, String)>,
    Query(query): Query<At>,
) -> Result<axum::Json<PastView>, Problem> {
    let object = format!("{kind}/{id}");
    origin.need(&api, permission_for(&kind), "audit.state", &object).await?;
    Ok(axum::Json(past(&api, object, &query.at, "at").await?))
}

/// What changed about an object between two times.
#[utoipa::path(get, path = "/api/v1/compliance/differences/{kind}/{id}",
    params(Between, ("kind" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = DifferenceView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn difference(
    State(api): State<Api>,
    origin: Origin,
    Path((kind, id)): Path<(String, String)>,
    Query(query): Query<Between>,
) -> Result<axum::Json<DifferenceView>, Problem> {
    let object = format!("{kind}/{id}");
    origin.need(&api, permission_for(&kind), "audit.state", &object).await?;
    let from = past(&api, object.clone(), &query.from, "from").await?;
    let to = past(&api, object.clone(), &query.to, "to").await?;
    let mut changes = Vec::new();
    let null = Value::Null;
    compare("", from.state.as_ref().unwrap_or(&null), to.state.as_ref().unwrap_or(&null), &mut changes);
    Ok(axum::Json(DifferenceView { object, from, to, changes }))
}

/// Who may see the past of an object of a kind: what happened to people is for readers of the audit log.
fn permission_for(kind: &str) -> Permission {
    if kind == "user" { Permission::ReadAudit } else { Permission::ReadAll }
}

async fn past(api: &Api, object: String, at: &str, field: &'static str) -> Result<PastView, Problem> {
    let at = time(field, at)?;
    let known = ["device", "deployment", "firmware", "gateway", "hospital", "recall", "user"];
    if !object.split_once('/').is_some_and(|(kind, _)| known.contains(&kind)) {
        return Err(Refusal::invalid("kind", format!("is one of {}", known.join(", "))).into());
    }
    let (index, wanted) = (api.search.clone(), object.clone());
    let (log_size, state) = beside(move || {
        let size = index.size_at(at.0)?;
        Ok((size, state_of(&index, &wanted, size)?))
    })
    .await?;
    Ok(PastView { object, log_size, state })
}

/// An object after the first `size` records.
pub(crate) fn state_of(index: &SearchIndex, object: &str, size: u64) -> Result<Option<Value>, LogError> {
    match object.strip_prefix("device/") {
        Some(device) => device_of(index, device, size),
        None => shown(index, object, size),
    }
}

/// The object as the last record about it shows it.
fn shown(index: &SearchIndex, object: &str, size: u64) -> Result<Option<Value>, LogError> {
    let query = Wanted {
        fields: vec![(Field::Object, object.to_owned()), (Field::Outcome, "accepted".into())],
        ..Wanted::default()
    };
    let page = index.search(&query, Order::Newest { before: size }, LOOKED_AT_MAX)?;
    Ok(page.records.iter().find_map(|(_, bytes)| AuditRecord::from_bytes(bytes).ok()?.after))
}

/// A device moves by telemetry too: its state is the fold of the records that concern it, and of no others.
fn device_of(index: &SearchIndex, device: &str, size: u64) -> Result<Option<Value>, LogError> {
    let is = |field: Field, value: &str| (field, value.to_owned());
    let mut concerned: BTreeSet<u64> = BTreeSet::new();
    let mut hospitals: BTreeSet<String> = BTreeSet::new();
    let mut deployments: BTreeSet<String> = BTreeSet::new();
    let own = Wanted { fields: vec![is(Field::Device, device)], ..Wanted::default() };
    index.each(&own, size, |i, bytes| {
        concerned.insert(i);
        if let Ok(record) = AuditRecord::from_bytes(bytes) {
            if record.object == format!("device/{device}") {
                hospitals.extend(record.site.clone());
            }
            deployments.extend(deployments_in(&record));
        }
        Ok::<(), LogError>(())
    })?;
    let mut queries = Vec::new();
    for hospital in &hospitals {
        for action in ["hospital.*", "gateway.*"] {
            queries.push(vec![is(Field::Hospital, hospital), is(Field::Action, action)]);
        }
    }
    queries.extend(deployments.iter().map(|d| vec![is(Field::Object, &format!("deployment/{d}"))]));
    for fields in queries {
        index.each(&Wanted { fields, ..Wanted::default() }, size, |i, _| {
            concerned.insert(i);
            Ok::<(), LogError>(())
        })?;
    }
    let mut state = Domain::default();
    for i in concerned {
        let Some(record) = index.entry(i)?.and_then(Entry::bytes).and_then(|b| AuditRecord::from_bytes(&b).ok()) else {
            continue;
        };
        // What rests on records that are not there concerns another object.
        if record.outcome == Outcome::Accepted && state.apply(&record).is_err() {
            tracing::debug!(entry = i, "passed over for the past of {device}");
        }
    }
    Ok(state.view(&format!("device/{device}")))
}

fn deployments_in(record: &AuditRecord) -> Vec<String> {
    let mut found: Vec<String> =
        record.event.iter().filter_map(|e| e["deployment"].as_str().map(str::to_owned)).collect();
    if let Ok(Ok(batch)) = record.document::<TelemetryBatch>().map(|d| d.decode_unverified()) {
        found.extend(batch.events.iter().filter_map(|e| e.kind.deployment().map(ToString::to_string)));
    }
    if let Ok(Ok(directive)) = record.document::<Directive>().map(|d| d.decode_unverified()) {
        found.extend(directive.devices.iter().map(|d| d.deployment.to_string()));
    }
    found
}

/// Notes where two values differ, at the deepest place.
fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<FieldChange>) {
    if before == after || changes.len() >= CHANGES_MAX {
        return;
    }
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let at = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                compare(&at, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), changes);
            }
        }
        _ => {
            let some = |value: &Value| (!value.is_null()).then(|| value.clone());
            changes.push(FieldChange { path: path.to_owned(), before: some(before), after: some(after) });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_the_deepest_place() {
        let (before, after) =
            (json!({"a": 1, "b": {"c/d": [1], "e": 2}}), json!({"b": {"c/d": [2], "e": 2}, "f": "x"}));
        let mut changes = Vec::new();
        compare("", &before, &after, &mut changes);
        let change = |path: &str, before: Value, after: Value| FieldChange {
            path: path.into(),
            before: (!before.is_null()).then_some(before),
            after: (!after.is_null()).then_some(after),
        };
        assert_eq!(
            changes,
            [
                change("/a", json!(1), Value::Null),
                change("/b/c~1d", json!([1]), json!([2])),
                change("/f", Value::Null, json!("x")),
            ]
        );
    }
}
