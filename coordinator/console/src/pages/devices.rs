//! Devices: the list and one device.

use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::json;

use super::list::page_of;
use crate::api::path;
use crate::failure::Failure;
use crate::page::Page;
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/devices"), get(list)).route(&format!("{ROOT}/devices/{{device}}"), get(show))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "devices/list.html", "devices/show.html");
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/devices").await?;
    page.render("devices/list.html", json!({ "list": list }))
}

async fn show(page: Page, Path(device): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["devices", &device])).await?;
    let history = page.api.find(&path(&["devices", &device, "history"])).await?;
    page.render("devices/show.html", json!({ "device": answer.body, "tag": answer.tag(), "history": history }))
}
