//! Deployments: the list, one deployment with its phases, and what people do with it while it runs.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::json;

use super::list::page_of;
use crate::api::{path, segment};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/deployments/{{deployment}}{rest}");
    Router::new()
        .route(&format!("{ROOT}/deployments"), get(list))
        .route(&of(""), get(show))
        .route(&of("/events"), get(events))
        .route(&of("/pause"), post(pause))
        .route(&of("/resume"), post(resume))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "deployments/list.html", "deployments/show.html");
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/deployments").await?;
    page.render("deployments/list.html", json!({ "list": list }))
}

async fn show(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    render(&page, &deployment, None).await
}

/// The page of a deployment; after an act that was refused with the reason and what was typed.
async fn render(page: &Page, deployment: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["deployments", deployment, "summary"])).await?;
    let devices = page_of(page, &path(&["deployments", deployment, "devices"])).await?;
    let mut context = json!({ "deployment": answer.body, "tag": answer.tag(), "list": devices });
    let mut status = StatusCode::OK;
    if let Some((form, refusal)) = refused {
        context["problem"] = json!(refusal);
        context["input"] = form.input();
        status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    }
    page.render_as(status, "deployments/show.html", context)
}

/// Changes of one deployment as they happen, as the API streams them; it does not keep the session alive.
async fn events(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    let path = path(&["deployments", &deployment, "events"]) + "?changes=true";
    page.api.raw(Method::GET, &path, HeaderMap::new(), Body::empty()).await
}

/// Carries out an act without more than a reason, and shows the deployment again.
async fn act(page: Page, deployment: &str, form: &Form, verb: &str, said: &str) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    match page.act(form, Method::POST, &path(&["deployments", deployment, verb]), &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/deployments/{}", segment(deployment)), said)),
        Err(Failure::Refused(refusal)) => render(&page, deployment, Some((form, &refusal))).await,
        Err(other) => Err(other),
    }
}

async fn pause(page: Page, Path(deployment): Path<String>, form: Form) -> Result<Response, Failure> {
    act(page, &deployment, &form, "pause", "paused").await
}

async fn resume(page: Page, Path(deployment): Path<String>, form: Form) -> Result<Response, Failure> {
    act(page, &deployment, &form, "resume", "resumed").await
}
