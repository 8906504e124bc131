//! What a release is made of: its description, its image, patches, the signed manifest, the bill of materials; and taking it back.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use minijinja::Environment;
use serde_json::json;

use super::releases::{render, running};
use crate::api::{path, segment};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::upload::Upload;
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/releases/{{release}}/{rest}");
    // Their bodies are bounded while they come: by the API's limit of the file.
    let file = |handler: MethodRouter<Console>| handler.get(back).layer(DefaultBodyLimit::disable());
    Router::new()
        .route(&format!("{ROOT}/releases/new"), get(describe).post(create))
        .route(&of("image"), file(post(image)))
        .route(&of("delta"), file(post(delta)))
        .route(&of("sbom"), file(post(sbom)))
        .route(&of("manifest"), post(manifest).get(back))
        .route(&of("withdraw"), get(show_withdrawal).post(withdraw))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "releases/new.html", "releases/withdraw.html");
    Ok(())
}

fn page_of(release: &str) -> String {
    format!("{ROOT}/releases/{}", segment(release))
}

/// Whoever loads the page again after a refused upload comes to the release.
async fn back(Path(release): Path<String>) -> Response {
    Redirect::to(&page_of(&release)).into_response()
}

fn new_page(page: &Page, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let Some((form, refusal)) = refused else { return page.render("releases/new.html", json!({})) };
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    page.render_as(status, "releases/new.html", json!({ "problem": refusal, "input": form.input() }))
}

async fn describe(page: Page) -> Result<Response, Failure> {
    new_page(&page, None)
}

async fn create(page: Page, form: Form) -> Result<Response, Failure> {
    let body = json!({
        "firmwareId": form.optional("firmware_id"),
        "version": form.text("version"),
        "deviceModel": form.text("device_model"),
        "releaseNotes": form.text("release_notes"),
    });
    match page.act(&form, Method::POST, "/api/v1/firmware", &body).await {
        Ok(answer) => Ok(done(&page_of(answer.body["firmwareId"].as_str().unwrap_or_default()), "created")),
        Err(Failure::Refused(refusal)) => new_page(&page, Some((&form, &refusal))),
        Err(other) => Err(other),
    }
}

/// Sends a file on and shows the release: with what was done, or why it was not.
async fn put(
    page: &Page,
    release: &str,
    upload: Upload,
    to: impl FnOnce(&Form) -> String,
) -> Result<Response, Failure> {
    let (form, answer) = upload.send_on(&page.api, to).await?;
    match answer {
        Ok(_) => Ok(done(&page_of(release), "uploaded")),
        Err(Failure::Refused(refusal)) => render(page, release, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

async fn image(page: Page, Path(release): Path<String>, upload: Upload) -> Result<Response, Failure> {
    put(&page, &release, upload, |_| path(&["firmware", &release, "image"])).await
}

/// The digest comes from where the patch was made; the API compares it with what arrives.
async fn delta(page: Page, Path(release): Path<String>, upload: Upload) -> Result<Response, Failure> {
    put(&page, &release, upload, |form| path(&["firmware", &release, "deltas", &digest(form.text("sha256"))])).await
}

async fn sbom(page: Page, Path(release): Path<String>, upload: Upload) -> Result<Response, Failure> {
    put(&page, &release, upload, |_| path(&["firmware", &release, "sbom"])).await
}

/// A digest as it is written on paper: with blanks between groups, in capitals. Nothing stands for what is not there.
fn digest(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if text.is_empty() { "missing".to_owned() } else { text.to_lowercase() }
}

async fn manifest(page: Page, Path(release): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "document": form.document() });
    match page.act(&form, Method::PUT, &path(&["firmware", &release, "manifest"]), &body).await {
        Ok(_) => Ok(done(&page_of(&release), "uploaded")),
        Err(Failure::Refused(refusal)) => render(&page, &release, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

async fn withdrawal(page: &Page, release: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["firmware", release])).await?;
    let mut context =
        json!({ "release": answer.body, "tag": answer.tag(), "running": running(page, &answer.body).await? });
    let mut status = StatusCode::OK;
    if let Some((form, refusal)) = refused {
        context["problem"] = json!(refusal);
        context["input"] = form.input();
        status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    }
    page.render_as(status, "releases/withdraw.html", context)
}

async fn show_withdrawal(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    withdrawal(&page, &release, None).await
}

/// Whether what was typed is what the page asks to type.
///
/// # Errors
/// It is not; in words for the page.
pub(super) fn confirmed(form: &Form, expected: &str) -> Result<(), Refusal> {
    if form.text("confirm") == expected {
        return Ok(());
    }
    let detail = format!("To confirm, type {expected} exactly as it is written.");
    Err(Refusal::of_input("confirmation", detail))
}

async fn withdraw(page: Page, Path(release): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    let sent = match confirmed(&form, &release) {
        Ok(()) => page.act(&form, Method::POST, &path(&["firmware", &release, "withdrawal"]), &body).await,
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match sent {
        Ok(_) => Ok(done(&page_of(&release), "withdrawn")),
        Err(Failure::Refused(refusal)) => withdrawal(&page, &release, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::rendered;

    #[test]
    fn console_a_digest_may_be_copied_from_paper() {
        assert_eq!(digest(" 1FA9 08ee\n5C14 "), "1fa908ee5c14");
        assert_eq!(path(&["firmware", "FW", "deltas", &digest("")]), "/api/v1/firmware/FW/deltas/missing");
        assert_eq!(path(&["firmware", "FW", "deltas", &digest("../../x")]), "/api/v1/firmware/FW/deltas/..%2F..%2Fx");
    }

    #[test]
    fn console_only_the_exact_name_confirms() {
        let form = |text: &str| Form::of(vec![("confirm".into(), text.into())]);
        assert!(confirmed(&form(" FW-2.4.0 "), "FW-2.4.0").is_ok());
        for wrong in ["", "fw-2.4.0", "FW-2.4", "FW-2.4.00"] {
            assert_eq!(confirmed(&form(wrong), "FW-2.4.0").expect_err("not confirmed").code, "confirmation");
        }
    }

    #[test]
    fn sec_console_a_hostile_description_comes_back_as_text() {
        let hostile = "<img src=x onerror=alert(1)>\"'";
        let input = json!({ "firmware_id": hostile, "version": hostile, "device_model": hostile, "release_notes": hostile,
            "reason": hostile, "confirm": hostile });
        let problem = json!({ "code": hostile, "detail": hostile, "status": 422 });
        let release = json!({ "firmwareId": hostile, "version": hostile, "deviceModel": hostile, "status": "approved",
            "manifestDigest": hostile, "withdrawal": null });
        let context: Value = json!({ "input": input, "problem": problem, "release": release, "tag": "t",
            "running": { "devices": 40, "more": false, "filter": hostile } });
        for template in ["releases/new.html", "releases/withdraw.html"] {
            let page = rendered(template, context.clone());
            assert!(!page.contains("<img src=x"), "{page}");
        }
        assert!(rendered("releases/withdraw.html", context).contains("40 devices"));
    }
}
