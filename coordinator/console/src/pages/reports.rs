//! Reports: every kind, as PDF, CSV or JSON.

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use super::audit::{asked, download, search_of};
use crate::api::path;
use crate::failure::{Failure, Refusal};
use crate::page::Page;
use crate::{Console, ROOT, templates};

/// Name, title, what it is for, and what the id is of that it needs; without one it is about the
/// whole installation.
const KINDS: [(&str, &str, &str, Option<&str>); 9] = [
    ("firmware", "Release", "Who approved what, by which signatures, and where it ran.", Some("Release id")),
    ("deployment", "Deployment", "Phases, gates, signatures, every device.", Some("Deployment id")),
    ("device", "Device history", "Everything that happened to one device.", Some("Device id")),
    ("emergency", "Emergency", "An emergency deployment and the duties that follow from it.", Some("Deployment id")),
    ("correction", "Correction or removal", "A recall for 21 CFR 806: devices, reasons, decisions.", Some("Recall id")),
    ("event", "Adverse event", "An incident for 21 CFR 803.", Some("Incident id")),
    ("access", "Access", "Accounts, roles, sign-ins and refusals.", None),
    ("system", "System", "Configuration and state of this installation.", None),
    ("audit", "Audit extract", "Records of the audit log that a search finds.", None),
];
const FORMATS: [&str; 3] = ["pdf", "csv", "json"];

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/reports"), get(show)).route(&format!("{ROOT}/reports/make"), get(make))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "reports/show.html");
    Ok(())
}

fn render(page: &Page, problem: Option<&Refusal>) -> Result<Response, Failure> {
    let kinds: Vec<Value> = KINDS
        .iter()
        .map(|(name, title, about, id)| json!({ "name": name, "title": title, "about": about, "id": id }))
        .collect();
    let refused = problem.and_then(|refusal| StatusCode::from_u16(refusal.status).ok());
    let context = json!({ "kinds": kinds, "formats": FORMATS, "report_problem": problem });
    page.render_as(refused.unwrap_or(StatusCode::OK), "reports/show.html", context)
}

async fn show(page: Page) -> Result<Response, Failure> {
    render(&page, None)
}

/// The report as the API makes it; where it cannot be made, the page says why.
async fn make(page: Page) -> Result<Response, Failure> {
    let (kind, id, format) = (page.query("kind"), page.query("id").trim(), page.query("format"));
    let made = async {
        let known = KINDS.iter().find(|(name, ..)| *name == kind);
        let (_, title, _, needed) = known.ok_or_else(|| refused("Choose a kind of report.".into()))?;
        if let (Some(label), true) = (needed, id.is_empty()) {
            return Err(refused(format!("{title}: the report needs a {}.", label.to_lowercase())));
        }
        // A report about one thing takes no search.
        let mut query = if needed.is_none() { search_of(&page).map_err(Failure::Refused)? } else { Vec::new() };
        query.push(("format", format.to_owned()));
        let parts: Vec<&str> =
            ["compliance", "reports", kind].into_iter().chain(needed.is_some().then_some(id)).collect();
        download(&page, &asked(&path(&parts), &query)).await
    };
    match made.await {
        Err(Failure::Refused(refusal)) if refusal.status != 401 => render(&page, Some(&refusal)),
        answered => answered,
    }
}

fn refused(detail: String) -> Failure {
    Failure::Refused(Refusal::input(detail))
}
