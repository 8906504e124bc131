//! What people do with devices, each on a page of its own: register, import a list, correct, take
//! out of service.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use super::acts::{self, Refused, check_typed, settle};
use crate::api::{path, segment};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

/// Fields of a device by the API's name and the form's; all but the first can be corrected.
const FIELDS: [(&str, &str); 8] = [
    ("deviceId", "device_id"),
    ("modelNumber", "model_number"),
    ("serialNumber", "serial_number"),
    ("hospitalId", "hospital_id"),
    ("currentFirmwareVersion", "version"),
    ("udi", "udi"),
    ("gatewayId", "gateway_id"),
    ("hardwareRevision", "hardware_revision"),
];
const CORRECTED: [(&str, &str); 4] =
    [("serialNumber", "serial_number"), ("udi", "udi"), ("hospitalId", "hospital_id"), ("gatewayId", "gateway_id")];
/// Rows of a list that a page shows back.
const ROWS_SHOWN: usize = 500;

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/devices/new"), get(new).post(register))
        .route(&format!("{ROOT}/devices/import"), get(import_form).post(import))
        .route(&format!("{ROOT}/devices/{{device}}/change"), get(change_form).post(change))
        .route(&format!("{ROOT}/devices/{{device}}/retire"), get(retire_form).post(retire))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "devices/new.html", "devices/import.html", "devices/change.html", "devices/retire.html");
    Ok(())
}

/// Ids of all hospitals, for choices.
pub(crate) async fn hospitals(page: &Page) -> Result<Value, Failure> {
    page.api.find("/api/v1/hospitals?limit=1000").await
}

async fn new(page: Page) -> Result<Response, Failure> {
    new_page(&page, None).await
}

async fn new_page(page: &Page, refused: Refused<'_>) -> Result<Response, Failure> {
    acts::show(page, "devices/new.html", json!({ "hospitals": hospitals(page).await? }), refused)
}

async fn register(page: Page, form: Form) -> Result<Response, Failure> {
    let body = acts::body(&form, &FIELDS);
    match settle(page.act(&form, Method::POST, "/api/v1/devices", &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/devices/{}", segment(form.text("device_id"))), "registered")),
        Err(refusal) => new_page(&page, Some((&form, &refusal))).await,
    }
}

async fn change_form(page: Page, Path(device): Path<String>) -> Result<Response, Failure> {
    change_page(&page, &device, None).await
}

async fn change_page(page: &Page, device: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["devices", device])).await?;
    let context = json!({ "tag": answer.tag(), "device": answer.body, "hospitals": hospitals(page).await? });
    acts::show(page, "devices/change.html", context, refused)
}

async fn change(page: Page, Path(device): Path<String>, form: Form) -> Result<Response, Failure> {
    // What was shown decides what is a change: the tag makes sure that it is still so.
    let shown = page.api.get(&path(&["devices", &device])).await?.body;
    let mut body = acts::patch(&form, &shown, &CORRECTED);
    if body.contains_key("hospitalId") && form.text("gateway_id") == shown["gatewayId"].as_str().unwrap_or_default() {
        // A device that moves leaves its gateway behind.
        body.remove("gatewayId");
    }
    if body.is_empty() {
        let same = Refusal::of_input("nothing-changed", "Nothing differs from what is registered.");
        return change_page(&page, &device, Some((&form, &same))).await;
    }
    body.insert("reason".into(), form.text("reason").into());
    match settle(page.act(&form, Method::PATCH, &path(&["devices", &device]), &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/devices/{}", segment(&device)), "saved")),
        Err(refusal) => change_page(&page, &device, Some((&form, &refusal))).await,
    }
}

async fn retire_form(page: Page, Path(device): Path<String>) -> Result<Response, Failure> {
    retire_page(&page, &device, None).await
}

async fn retire_page(page: &Page, device: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["devices", device])).await?;
    acts::show(page, "devices/retire.html", json!({ "tag": answer.tag(), "device": answer.body }), refused)
}

async fn retire(page: Page, Path(device): Path<String>, form: Form) -> Result<Response, Failure> {
    if let Err(refusal) = check_typed(&form, &device) {
        return retire_page(&page, &device, Some((&form, &refusal))).await;
    }
    let body = json!({ "reason": form.text("reason") });
    match settle(page.act(&form, Method::POST, &path(&["devices", &device, "retirement"]), &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/devices/{}", segment(&device)), "retired")),
        Err(refusal) => retire_page(&page, &device, Some((&form, &refusal))).await,
    }
}

/// What is wrong with the lines of a list, as the API names them: `line 3: …; line 5: …`.
fn wrong_lines(detail: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for part in detail.split("; ") {
        let number = part.find("line ").and_then(|at| {
            let (number, problem) = part[at + 5..].split_once(": ")?;
            Some((number.parse().ok()?, problem.to_owned()))
        });
        match (number, found.last_mut()) {
            (Some(line), _) => found.push(line),
            // A problem may have the separator in it.
            (None, Some((_, problem))) => *problem = format!("{problem}; {part}"),
            (None, None) => {}
        }
    }
    found
}

/// The lines of a list with what is wrong with them.
fn shown_lines(list: &str, refusal: Option<&Refusal>) -> Vec<Value> {
    let wrong = refusal.map(|refusal| wrong_lines(&refusal.detail)).unwrap_or_default();
    let line = |(at, text): (usize, &str)| {
        let problem = wrong.iter().find(|(number, _)| *number == at + 1).map(|(_, problem)| problem.as_str());
        json!({ "number": at + 1, "text": text, "problem": problem })
    };
    let lines = list.lines().enumerate().map(line);
    // A long list shows its wrong lines alone.
    if list.lines().nth(ROWS_SHOWN).is_some() {
        lines.filter(|line| !line["problem"].is_null()).collect()
    } else {
        lines.collect()
    }
}

async fn import_form(page: Page) -> Result<Response, Failure> {
    page.render("devices/import.html", json!({ "checked": null, "lines": [] }))
}

/// Sends a list to the API; `dry` only checks it.
async fn send(page: &Page, list: &str, dry: bool) -> Result<Result<Value, Refusal>, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    let to = format!("/api/v1/devices/import?dryRun={dry}");
    match page.api.raw(Method::POST, &to, headers, Body::from(list.to_owned())).await {
        Ok(response) => {
            let broken = |error: &dyn std::fmt::Display| Failure::Broken(format!("{to}: {error}"));
            let bytes = axum::body::to_bytes(response.into_body(), 64 * 1024).await.map_err(|e| broken(&e))?;
            Ok(Ok(serde_json::from_slice(&bytes).map_err(|e| broken(&e))?))
        }
        Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
        Err(other) => Err(other),
    }
}

/// Checks a list, and registers its devices once somebody who saw the result says so. A list that
/// was changed meanwhile is only checked.
async fn import(page: Page, form: Form) -> Result<Response, Failure> {
    let list = form.text("list");
    let is_confirmed = form.is_set("register") && form.text("checked_list") == list;
    let result = send(&page, list, !is_confirmed).await?;
    if is_confirmed && result.is_ok() {
        return Ok(done(&format!("{ROOT}/devices"), "imported"));
    }
    let refusal = result.as_ref().err();
    let context = json!({ "checked": result.as_ref().ok(), "lines": shown_lines(list, refusal), "list_text": list });
    match refusal {
        Some(refusal) => acts::show(&page, "devices/import.html", context, Some((&form, refusal))),
        None => page.render("devices/import.html", context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_errors_of_a_list_stand_beside_its_lines() {
        let detail = "rows: 2 of 3 rows are wrong, nothing was registered; line 2: hospitalId: empty; not an id; line 4: the row has 2 cells";
        let wrong = wrong_lines(detail);
        assert_eq!(wrong, [(2, "hospitalId: empty; not an id".to_owned()), (4, "the row has 2 cells".to_owned())]);
        let refusal = Refusal::of_input("invalid", detail);
        let lines = shown_lines("deviceId\nD-1\nD-2\n<img>,x", Some(&refusal));
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1]["problem"], "hospitalId: empty; not an id");
        assert!(lines[0]["problem"].is_null() && lines[2]["problem"].is_null());
        let long = "x\n".repeat(ROWS_SHOWN + 1);
        assert_eq!(shown_lines(&long, Some(&refusal)).len(), 2, "only those that are wrong");
    }
}
