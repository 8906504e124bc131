//! The audit log: search, one record with its proof, the past of an object, evidence.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use super::input::moment;
use super::proof::proof_of;
use crate::api::{path, with_query};
use crate::failure::{Failure, Refusal};
use crate::page::Page;
use crate::{Console, ROOT, templates};

/// Rows of one page.
const ROWS: &str = "100";
/// Name, label and example of each field that is looked for.
const FIELDS: [(&str, &str, &str); 14] = [
    ("action", "Action", "firmware.approve, firmware.*"),
    ("object", "Object", "firmware/FW-1"),
    ("actor", "Actor", "jdoe"),
    ("role", "Role of the actor", "QA"),
    ("device", "Device", "DEV-1"),
    ("hospital", "Hospital", "HOSP-001"),
    ("gateway", "Gateway", "GW-001"),
    ("firmware", "Release", "FW-2.2.0"),
    ("deployment", "Deployment", "dep-1a2b"),
    ("recall", "Recall", "recall-1"),
    ("user", "Person concerned", "jdoe"),
    ("event", "Event of a gateway", "deviceError"),
    ("text", "Words of the reason", "bench test"),
    ("outcome", "Outcome", ""),
];
/// Objects whose past can be shown.
const KINDS: [&str; 7] = ["device", "deployment", "firmware", "gateway", "hospital", "recall", "user"];
/// Changes of one page at most.
const CHANGES_MAX: usize = 1_000;

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/audit{rest}");
    Router::new()
        .route(&of(""), get(list))
        .route(&of("/evidence"), get(evidence))
        .route(&of("/export"), get(export))
        .route(&of("/checkpoint"), get(checkpoint))
        .route(&of("/past"), get(past))
        .route(&of("/{index}"), get(show))
        .route(&of("/{index}/evidence"), get(evidence_of))
        .route(&of("/{index}/proof"), get(proof_file))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "audit/list.html", "audit/show.html", "audit/past.html");
    Ok(())
}

/// The API's query for what the page's query asks; what is no part of a search is left out.
pub(super) fn search_of(page: &Page) -> Result<Vec<(&'static str, String)>, Refusal> {
    let fields = FIELDS.iter().map(|(name, _, _)| (*name, page.query(name).trim().to_owned()));
    let mut wanted: Vec<_> = fields.filter(|(_, value)| !value.is_empty()).collect();
    for (name, label) in [("since", "Since"), ("until", "Until")] {
        if !page.query(name).is_empty() {
            wanted.push((name, moment(page, label, page.query(name))?));
        }
    }
    Ok(wanted)
}

/// A path of the API with a query of owned values.
pub(super) fn asked(path: &str, query: &[(&'static str, String)]) -> String {
    with_query(path, &query.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

/// What differs between two values, field by field (RFC 6901 pointers).
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Value> {
    // An object that was made or removed differs in each of its fields.
    let none = json!({});
    let fields_of = |one: &'_ Value, other: &Value| one.is_null() && other.is_object();
    let (before, after) = match (fields_of(before, after), fields_of(after, before)) {
        (true, _) => (&none, after),
        (_, true) => (before, &none),
        _ => (before, after),
    };
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(pointer: &str, before: &Value, after: &Value, found: &mut Vec<Value>) {
    if before == after || found.len() >= CHANGES_MAX {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            let deeper = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            compare(&deeper, old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null), found);
        }
        return;
    }
    found.push(json!({ "path": pointer, "before": in_words(before), "after": in_words(after) }));
}

/// A value as people read it; `null` for nothing.
fn in_words(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

/// Paths of the fields that a record changed; empty unless it has the object before and after.
fn changed_fields(record: &Value) -> Vec<Value> {
    match (&record["before"], &record["after"]) {
        (Value::Null, _) | (_, Value::Null) => Vec::new(),
        (before, after) => changes(before, after).into_iter().map(|change| change["path"].clone()).collect(),
    }
}

async fn list(page: Page) -> Result<Response, Failure> {
    let is_oldest = page.query("order") == "oldest";
    let fields: Vec<Value> =
        FIELDS.iter().map(|(name, label, example)| json!([name, label, example, page.query(name)])).collect();
    // Of the fields that are shown on demand one is in use.
    let rare = ["role", "hospital", "gateway", "deployment", "recall", "user", "event", "outcome", "order"];
    let mut context = json!({
        "more": rare.iter().any(|name| !page.query(name).is_empty()),
        "fields": fields, "rows": [], "next": null, "log_size": 0, "search_problem": null, "oldest": is_oldest,
        "status": page.find_if("readAudit", "/api/v1/compliance/log/status").await?,
    });
    let found = match search_of(&page) {
        Ok(mut query) => {
            context["is_filtered"] = (!query.is_empty()).into();
            query.extend([("limit", ROWS.to_owned()), ("from", page.query("from").to_owned())]);
            query.push(("order", if is_oldest { "oldest" } else { "newest" }.to_owned()));
            page.api.get(&asked("/api/v1/compliance/audit-logs", &query)).await
        }
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match found {
        Ok(answer) => {
            let rows = answer.body["records"].as_array().into_iter().flatten().map(|record| {
                let mut row = record.clone();
                row["changed"] = changed_fields(record).into();
                row
            });
            context["rows"] = rows.collect();
            context["next"] = answer.body["next"].clone();
            context["log_size"] = answer.body["logSize"].clone();
        }
        Err(Failure::Refused(refusal)) if [400, 422].contains(&refusal.status) => {
            context["is_filtered"] = true.into();
            context["search_problem"] = json!(refusal);
        }
        Err(other) => return Err(other),
    }
    page.render("audit/list.html", context)
}

/// One answer of the API as it is, for a download.
pub(super) async fn download(page: &Page, path: &str) -> Result<Response, Failure> {
    page.api.raw(Method::GET, path, HeaderMap::new(), Body::empty()).await
}

async fn evidence(page: Page) -> Result<Response, Failure> {
    let query = search_of(&page).map_err(Failure::Refused)?;
    download(&page, &asked("/api/v1/compliance/evidence", &query)).await
}

async fn export(page: Page) -> Result<Response, Failure> {
    let mut response = download(&page, "/api/v1/compliance/log/export").await?;
    let name = axum::http::HeaderValue::from_static("attachment; filename=\"audit-log.seg\"");
    response.headers_mut().insert(axum::http::header::CONTENT_DISPOSITION, name);
    Ok(response)
}

async fn checkpoint(page: Page) -> Result<Response, Failure> {
    download(&page, "/api/v1/compliance/log/checkpoint").await
}

async fn evidence_of(page: Page, Path(index): Path<String>) -> Result<Response, Failure> {
    download(&page, &path(&["compliance", "evidence", &index])).await
}

async fn proof_file(page: Page, Path(index): Path<String>) -> Result<Response, Failure> {
    download(&page, &path(&["compliance", "log", "proofs", &index])).await
}

async fn show(page: Page, Path(index): Path<u64>) -> Result<Response, Failure> {
    let text = index.to_string();
    let query = [("from", text.as_str()), ("limit", "1"), ("order", "oldest")];
    let found = page.api.get(&with_query("/api/v1/compliance/audit-logs", &query)).await?;
    let record = &found.body["records"][0];
    let size = found.body["logSize"].as_u64().unwrap_or_default();
    if index >= size {
        let detail = format!("The log has {size} entries; the last is {}.", size.saturating_sub(1));
        return Err(Failure::not_found(detail));
    }
    // Payloads that were disposed of are found no more; their hashes stay.
    let is_there = record["index"].as_u64() == Some(index);
    let record = if is_there { record.clone() } else { Value::Null };
    let evidence = page.api.find(&path(&["compliance", "evidence", &text])).await?;
    let exact = evidence["records"].as_array().into_iter().flatten().find(|one| one["index"] == index);
    let exact = exact.and_then(|one| one["entry"].as_str()).unwrap_or_default().to_owned();
    let changes = changes(&record["before"], &record["after"]);
    page.render(
        "audit/show.html",
        json!({
            "index": index, "log_size": size, "record": record, "exact": exact, "changes": changes,
            "proof": proof_of(index, &evidence),
        }),
    )
}

/// An object at a time, or what changed between two times.
async fn past(page: Page) -> Result<Response, Failure> {
    let (kind, id) = (page.query("kind"), page.query("id").trim());
    let (from, to) = (page.query("from").trim(), page.query("to").trim());
    let mut context =
        json!({ "kinds": KINDS, "state": null, "difference": null, "search_problem": null, "changes": [] });
    if id.is_empty() || from.is_empty() {
        return page.render("audit/past.html", context);
    }
    let found = async {
        let from = moment(&page, "At", from).map_err(Failure::Refused)?;
        if to.is_empty() {
            let asked = with_query(&path(&["compliance", "states", kind, id]), &[("at", from.as_str())]);
            return Ok((true, page.api.get(&asked).await?.body));
        }
        let to = moment(&page, "Until", to).map_err(Failure::Refused)?;
        let query = [("from", from.as_str()), ("to", to.as_str())];
        Ok((false, page.api.get(&with_query(&path(&["compliance", "differences", kind, id]), &query)).await?.body))
    };
    match found.await {
        Ok((true, state)) => context["state"] = state,
        Ok((false, difference)) => {
            context["changes"] = changes(&difference["from"]["state"], &difference["to"]["state"]).into();
            context["difference"] = difference;
        }
        Err(Failure::Refused(refusal)) if [400, 404, 422].contains(&refusal.status) => {
            context["search_problem"] = json!(refusal);
        }
        Err(other) => return Err(other),
    }
    page.render("audit/past.html", context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_record_shows_what_it_changed() {
        let before = json!({ "roles": ["QA"], "name": "A", "a/b": 1, "gone": true });
        let after = json!({ "roles": ["QA", "Clinical"], "name": "A", "a/b": 2, "new": "x" });
        let found = changes(&before, &after);
        let of = |path: &str| found.iter().find(|change| change["path"] == path).cloned().unwrap_or_default();
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(of("/roles")["after"], "[\"QA\",\"Clinical\"]");
        assert_eq!((of("/a~1b")["before"].as_str(), of("/a~1b")["after"].as_str()), (Some("1"), Some("2")));
        assert_eq!((of("/gone")["before"].as_str(), &of("/gone")["after"]), (Some("true"), &Value::Null));
        assert_eq!(of("/new")["after"], "x");
        assert!(changes(&before, &before).is_empty());
        let made = changes(&Value::Null, &json!({ "id": "x", "name": "A" }));
        assert_eq!((made.len(), &made[0]["path"], &made[0]["before"]), (2, &json!("/id"), &Value::Null));
    }
}
