//! Incidents: the list, one incident, reporting one, notes, the decision, the report to the
//! authority, closing.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use super::acts::{self, Refused, settle};
use super::list::page_of;
use crate::api::{path, segment};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/incidents/{{incident}}{rest}");
    Router::new()
        .route(&format!("{ROOT}/incidents"), get(list))
        .route(&format!("{ROOT}/incidents/new"), get(new).post(open))
        .route(&of(""), get(show))
        .route(&of("/note"), post(note))
        .route(&of("/decide"), post(decide))
        .route(&of("/report"), post(report))
        .route(&of("/close"), post(close))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "incidents/list.html", "incidents/show.html", "incidents/new.html");
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/incidents").await?;
    page.render("incidents/list.html", json!({ "list": list }))
}

async fn show(page: Page, Path(incident): Path<String>) -> Result<Response, Failure> {
    render(&page, &incident, None).await
}

async fn render(page: &Page, incident: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["incidents", incident])).await?;
    acts::show(page, "incidents/show.html", json!({ "incident": answer.body, "tag": answer.tag() }), refused)
}

async fn new(page: Page) -> Result<Response, Failure> {
    // A page of a device or a deployment leads here.
    let shown = json!({ "devices": page.query("device"), "deployment": page.query("deployment") });
    page.render("incidents/new.html", json!({ "given": shown }))
}

async fn open(page: Page, form: Form) -> Result<Response, Failure> {
    let mut body = acts::body(
        &form,
        &[("title", "title"), ("description", "description"), ("outcome", "outcome"), ("deploymentId", "deployment")],
    );
    let separators = |c: char| c.is_whitespace() || c == ',' || c == ';';
    let devices: BTreeSet<&str> = form.text("devices").split(separators).filter(|one| !one.is_empty()).collect();
    body.insert("deviceIds".into(), devices.into_iter().collect::<Vec<_>>().into());
    match settle(page.act(&form, Method::POST, "/api/v1/incidents", &body).await)? {
        Ok(answer) => {
            let incident = answer.body["incidentId"].as_str().unwrap_or_default();
            Ok(done(&format!("{ROOT}/incidents/{}", segment(incident)), "reported"))
        }
        Err(refusal) => {
            let context = json!({ "given": { "devices": "", "deployment": "" } });
            acts::show(&page, "incidents/new.html", context, Some((&form, &refusal)))
        }
    }
}

async fn act(
    page: Page,
    incident: &str,
    form: Form,
    (method, verb, body, said): (Method, &str, Value, &str),
) -> Result<Response, Failure> {
    match settle(page.act(&form, method, &path(&["incidents", incident, verb]), &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/incidents/{}", segment(incident)), said)),
        Err(refusal) => render(&page, incident, Some((&form, &refusal))).await,
    }
}

async fn note(page: Page, Path(incident): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "text": form.text("note") });
    act(page, &incident, form, (Method::POST, "notes", body, "noted")).await
}

/// The decision of a form: nothing is preselected, so that nobody decides by not choosing.
fn decision(form: &Form) -> Option<Value> {
    let (reportable, urgent) = match form.text("reportable") {
        "no" => (false, false),
        "30days" => (true, false),
        "5days" => (true, true),
        _ => return None,
    };
    Some(json!({ "reportable": reportable, "urgent": urgent, "reason": form.text("decision_reason") }))
}

async fn decide(page: Page, Path(incident): Path<String>, form: Form) -> Result<Response, Failure> {
    let Some(body) = decision(&form) else {
        let detail = "Choose whether the incident must be reported.";
        return render(&page, &incident, Some((&form, &Refusal::of_input("no-decision", detail)))).await;
    };
    act(page, &incident, form, (Method::PUT, "decision", body, "decided")).await
}

async fn report(page: Page, Path(incident): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reference": form.text("reference") });
    act(page, &incident, form, (Method::PUT, "report", body, "saved")).await
}

async fn close(page: Page, Path(incident): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("close_reason") });
    act(page, &incident, form, (Method::POST, "closure", body, "closed")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_nobody_decides_by_not_choosing() {
        let of = |choice: &str| decision(&Form::of_texts(&[("reportable", choice), ("decision_reason", "r")]));
        assert_eq!(of(""), None);
        assert_eq!(of("yes"), None);
        assert_eq!(of("no"), Some(json!({ "reportable": false, "urgent": false, "reason": "r" })));
        assert_eq!(of("30days"), Some(json!({ "reportable": true, "urgent": false, "reason": "r" })));
        assert_eq!(of("5days"), Some(json!({ "reportable": true, "urgent": true, "reason": "r" })));
    }
}
