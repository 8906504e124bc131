//! My work: what waits for the reader, and what runs.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::page::Page;
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(ROOT, get(show)).route(&format!("{ROOT}/"), get(show))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "home.html");
    Ok(())
}

async fn show(page: Page) -> Result<Response, Failure> {
    let deployments = page.api.find("/api/v1/deployments?limit=50").await?;
    let is_running = |d: &&Value| {
        !["completed", "rolledBack", "aborted", "superseded"]
            .contains(&d["status"]["name"].as_str().unwrap_or_default())
    };
    let running: Vec<&Value> = deployments.as_array().into_iter().flatten().filter(is_running).collect();
    let context = json!({
        "running": running,
        "approvals": page.find_if("readAll", "/api/v1/approvals?limit=50").await?,
        "notices": page.api.find("/api/v1/me/notices?limit=20").await?,
        "incidents": page.api.find("/api/v1/incidents?limit=20").await?,
        "recalls": page.find_if("readAll", "/api/v1/recalls?limit=20").await?,
    });
    page.render("home.html", context)
}
