//! My work: what waits for the reader, by date where there is one, and what runs.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use crate::api::with_query;
use crate::failure::Failure;
use crate::filters::is_over;
use crate::page::Page;
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(ROOT, get(show)).route(&format!("{ROOT}/"), get(show))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "home.html");
    Ok(())
}

/// Deployments about which something is left to do.
pub(super) const OPEN_DEPLOYMENTS: [(&str, &str); 2] = [("filter", "isOpen=true"), ("limit", "1000")];
/// Incidents that are not closed.
const NOT_CLOSED: [(&str, &str); 2] = [("filter", "closed=null"), ("limit", "1000")];
/// Recalls that are not closed.
pub(super) const NOT_ENDED: [(&str, &str); 2] = [("filter", "closedAt=null"), ("limit", "1000")];

/// Rows of a list of the API.
fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Whether two lists of texts have one in common.
fn share(one: &Value, other: &Value) -> bool {
    rows(one).any(|text| rows(other).any(|also| also == text))
}

fn is_running(deployment: &Value) -> bool {
    let name = deployment["status"]["name"].as_str().unwrap_or_default();
    !is_over(name)
}

/// What is owed, from deployments and incidents, the first due first.
fn duties(deployments: &Value, incidents: &Value) -> Vec<Value> {
    let of_deployment = |deployment: &Value| -> Vec<Value> {
        let owed = rows(&deployment["duties"]).filter(|duty| duty["fulfilled"].is_null());
        owed.map(|duty| {
            json!({
                "what": duty["kind"], "due": ms(&duty["dueAt"]), "name": deployment["firmwareId"], "text": duty["draft"],
                "section": "deployments", "id": deployment["deploymentId"],
            })
        })
        .collect()
    };
    let of_incident = |incident: &Value| {
        json!({
            "what": "incidentReport", "due": ms(&incident["dueAt"]), "name": incident["title"], "text": null,
            "section": "incidents", "id": incident["incidentId"],
        })
    };
    let mut all: Vec<Value> = rows(deployments).flat_map(of_deployment).collect();
    all.extend(rows(incidents).filter(|incident| !incident["dueAt"].is_null()).map(of_incident));
    all.sort_by_key(|duty| duty["due"].as_i64());
    all
}

/// A time of the API in milliseconds, whichever way it is written.
fn ms(time: &Value) -> Value {
    let parsed = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    parsed.map_or_else(|| time.clone(), |at| at.as_millisecond().into())
}

/// Phases whose gate has held and that wait for a signature by a role of the reader's.
fn validations(deployments: &Value, roles: &Value) -> Vec<Value> {
    let waits = |deployment: &&Value| {
        let is_signature = |wait: &Value| wait["code"] == "signature" && share(&wait["who"], roles);
        is_running(deployment) && rows(&deployment["waiting"]).any(is_signature)
    };
    rows(deployments).filter(waits).cloned().collect()
}

/// Hospitals that have not agreed to a deployment that runs; for staff their own alone.
fn consents(deployments: &Value, hospital: &Value) -> Vec<Value> {
    let asked = |deployment: &Value| -> Vec<Value> {
        let open = rows(&deployment["consents"]).filter(|consent| consent["givenBy"].is_null());
        let mine = open.filter(|consent| hospital.is_null() || consent["hospitalId"] == *hospital);
        let shown = |consent: &Value| {
            json!({
                "deploymentId": deployment["deploymentId"], "firmwareId": deployment["firmwareId"], "hospitalId": consent["hospitalId"],
            })
        };
        mine.map(shown).collect()
    };
    rows(deployments).filter(|deployment| is_running(deployment)).flat_map(asked).collect()
}

async fn show(page: Page) -> Result<Response, Failure> {
    // What is over would fill a list that is in the order of ids.
    let deployments = page.api.find(&with_query("/api/v1/deployments", &OPEN_DEPLOYMENTS)).await?;
    let incidents = page.api.find(&with_query("/api/v1/incidents", &NOT_CLOSED)).await?;
    let recalls = page.find_if("readAll", &with_query("/api/v1/recalls", &NOT_ENDED)).await?;
    let (roles, hospital) = (&page.me["roles"], &page.me["hospitalId"]);
    let approvals = page.find_if("readAll", "/api/v1/approvals?limit=100").await?;
    let (mine, others): (Vec<&Value>, Vec<&Value>) =
        rows(&approvals).partition(|release| share(&release["missingApprovals"], roles));
    let running: Vec<&Value> = rows(&deployments).filter(|deployment| is_running(deployment)).collect();
    let paused: Vec<&&Value> = running.iter().filter(|deployment| deployment["status"]["name"] == "paused").collect();
    let open: Vec<&Value> = rows(&incidents).filter(|incident| incident["closed"].is_null()).collect();
    let open_recalls: Vec<&Value> = rows(&recalls).filter(|recall| recall["closedAt"].is_null()).collect();
    let manages = page.may("manageUsers");
    // Letters are for administrators who have shown the second factor; others would leave a refusal
    // in the log.
    let is_shown = manages && !page.me["session"]["factorCountsUntil"].is_null();
    let dead = if is_shown { page.api.find("/api/v1/notices/dead-letters?limit=100").await? } else { Value::Null };
    let trust = if manages { page.api.find("/api/v1/trust").await? } else { Value::Null };
    let unread = page.api.find("/api/v1/me/notices?filter=read%3Dfalse&limit=20").await?;
    let context = json!({
        "approvals": mine, "others": others, "validations": validations(&deployments, roles),
        "consents": if page.may("consent") { consents(&deployments, hospital) } else { Vec::new() },
        "duties": if page.may("recall") { duties(&deployments, &incidents) } else { Vec::new() },
        "paused": paused, "running": running, "incidents": open, "recalls": open_recalls,
        "dead_letters": rows(&dead).count(), "warnings": trust["warnings"], "notices": unread,
    });
    page.render("home.html", context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_what_waits_is_for_the_readers_roles() {
        let deployments = json!([
            { "deploymentId": "a", "status": { "name": "running" }, "waiting": [{ "code": "signature", "who": ["QA"] }] },
            { "deploymentId": "b", "status": { "name": "running" }, "waiting": [{ "code": "window", "who": ["QA"] }] },
            { "deploymentId": "c", "status": { "name": "aborted" }, "waiting": [{ "code": "signature", "who": ["QA"] }] },
        ]);
        let ids = |roles| -> Vec<Value> {
            validations(&deployments, &roles).into_iter().map(|deployment| deployment["deploymentId"].clone()).collect()
        };
        assert_eq!(ids(json!(["QA", "Operator"])), ["a"]);
        assert!(ids(json!(["Clinical"])).is_empty());
    }

    #[test]
    fn use_10_staff_are_asked_about_their_own_hospital() {
        let consents_of = |hospital: Value| {
            let deployments = json!([{
                "deploymentId": "a", "firmwareId": "F", "status": { "name": "running" },
                "consents": [{ "hospitalId": "H-1", "givenBy": null }, { "hospitalId": "H-2", "givenBy": null }, { "hospitalId": "H-3", "givenBy": "x" }],
            }]);
            consents(&deployments, &hospital).len()
        };
        assert_eq!((consents_of(json!("H-1")), consents_of(json!("H-3")), consents_of(Value::Null)), (1, 0, 2));
    }

    #[test]
    fn console_duties_come_by_date() {
        let deployments = json!([{ "deploymentId": "a", "firmwareId": "F", "duties": [
            { "kind": "correctionDecision", "dueAt": 2_000, "draft": "d", "fulfilled": null },
            { "kind": "fdaNotification", "dueAt": 1, "draft": "d", "fulfilled": { "by": "x" } },
        ] }]);
        let incidents = json!([{ "incidentId": "i", "title": "T", "dueAt": "1970-01-01T00:00:01Z" }, { "incidentId": "j", "title": "U", "dueAt": null }]);
        let due = duties(&deployments, &incidents);
        let order: Vec<&Value> = due.iter().map(|duty| &duty["id"]).collect();
        assert_eq!(order, ["i", "a"]);
    }
}
