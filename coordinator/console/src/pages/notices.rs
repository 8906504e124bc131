//! The reader's inbox.

use axum::Router;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use super::list::page_of;
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

/// The inbox in the API.
const INBOX: &str = "/api/v1/me/notices";

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/notices"), get(show)).route(&format!("{ROOT}/notices/read"), post(read))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "notices.html");
    Ok(())
}

async fn context(page: &Page) -> Result<Value, Failure> {
    let list = page_of(page, INBOX).await?;
    let unread = list["items"].as_array().into_iter().flatten().filter(|notice| notice["read"] != true);
    let unread: Vec<Value> = unread.map(|notice| notice["noticeId"].clone()).collect();
    Ok(json!({ "list": list, "unread": unread }))
}

async fn show(page: Page) -> Result<Response, Failure> {
    let context = context(&page).await?;
    page.render("notices.html", context)
}

async fn read(page: Page, form: Form) -> Result<Response, Failure> {
    let body = json!({ "noticeIds": form.all("id") });
    match page.act(&form, Method::POST, "/api/v1/me/notices/read", &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/notices"), "read")),
        Err(Failure::Refused(refusal)) => page.render_refused("notices.html", context(&page).await?, &form, &refusal),
        Err(other) => Err(other),
    }
}
