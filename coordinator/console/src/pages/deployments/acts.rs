//! Acts on a running deployment that have a page of their own: resume, abort, a duty that was fulfilled.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{Frame, back, home, show_duties};
use crate::api::path;
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT};

pub(super) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/deployments/{{deployment}}{rest}");
    Router::new()
        .route(&of("/resume"), get(resume_page).post(resume))
        .route(&of("/abort"), get(abort_page).post(abort))
        .route(&of("/duties/{duty}"), post(fulfil))
}

async fn resume_page(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    show_resume(&page, &deployment, None).await
}

async fn show_resume(page: &Page, id: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let frame = Frame::of(page, id).await?;
    let numbers = numbers(&frame);
    frame.render(page, "deployments/resume.html", "", json!({ "numbers": numbers }), refused)
}

/// What an act on the whole deployment is about, in numbers.
fn numbers(frame: &Frame) -> Value {
    json!({
        "devices": frame.sum("devices"), "confirmed": frame.sum("confirmed"), "in_flight": frame.sum("inFlight"),
        "failed": frame.sum("failed"), "silent": frame.sum("silent"), "critical": frame.sum("critical"), "alarms": frame.sum("alarms"),
        "untouched": frame.sum("devices").saturating_sub(frame.sum("begun")), "open": frame.sum_opened("devices"),
        "bad": frame.sum("failed") + frame.sum("silent"),
    })
}

/// Says that figures changed since the page was shown; `None` if they are the same.
fn changed(form: &Form, field: &str, now: u64, what: &str) -> Option<Refusal> {
    let shown = form.text(field);
    (shown != now.to_string()).then(|| {
        let detail = format!("You were shown {shown} {what}; there are {now} now.");
        Refusal::of_input("changed-meanwhile", detail)
    })
}

async fn resume(page: Page, Path(deployment): Path<String>, form: Form) -> Result<Response, Failure> {
    // Whoever resumes accepts the failures: those that were shown, no others.
    let frame = Frame::of(&page, &deployment).await?;
    let bad = frame.sum("failed") + frame.sum("silent");
    if let Some(problem) = changed(&form, "shown_bad", bad, "failed or silent devices") {
        return show_resume(&page, &deployment, Some((&form, &problem))).await;
    }
    let body = json!({ "reason": form.text("reason") });
    match page.act(&form, Method::POST, &path(&["deployments", &deployment, "resume"]), &body).await {
        Ok(_) => Ok(back(&deployment, "resumed")),
        Err(Failure::Refused(refusal)) => show_resume(&page, &deployment, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

async fn abort_page(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    show_abort(&page, &deployment, None).await
}

async fn show_abort(page: &Page, id: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let frame = Frame::of(page, id).await?;
    let numbers = numbers(&frame);
    frame.render(page, "deployments/abort.html", "", json!({ "numbers": numbers }), refused)
}

/// Checks what was typed to confirm an act: the number of its devices, or the release. `None` if it is one of them.
pub(super) fn unconfirmed(typed: &str, devices: u64, release: &str) -> Option<Refusal> {
    let number: String = typed.chars().filter(|c| !matches!(c, ',' | ' ' | '\u{a0}')).collect();
    if !release.is_empty() && typed == release || number == devices.to_string() {
        return None;
    }
    let detail = format!("To confirm, type the number of devices, {devices}, or the release, {release}.");
    Some(Refusal::of_input("not-confirmed", detail))
}

async fn abort(page: Page, Path(deployment): Path<String>, form: Form) -> Result<Response, Failure> {
    let frame = Frame::of(&page, &deployment).await?;
    let release = frame.deployment["firmwareId"].as_str().unwrap_or_default();
    if let Some(problem) = unconfirmed(form.text("confirm"), frame.sum("devices"), release) {
        return show_abort(&page, &deployment, Some((&form, &problem))).await;
    }
    let body = json!({ "reason": form.text("reason") });
    match page.act(&form, Method::POST, &path(&["deployments", &deployment, "abort"]), &body).await {
        Ok(_) => Ok(back(&deployment, "aborted")),
        Err(Failure::Refused(refusal)) => show_abort(&page, &deployment, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

async fn fulfil(page: Page, Path((deployment, duty)): Path<(String, String)>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reference": form.text("reference") });
    match page.act(&form, Method::POST, &path(&["deployments", &deployment, "duties", &duty]), &body).await {
        Ok(_) => Ok(done(&format!("{}/duties", home(&deployment)), "fulfilled")),
        Err(Failure::Refused(refusal)) => show_duties(&page, &deployment, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_06_dangerous_acts_are_confirmed_by_number() {
        for (typed, is_confirmed) in [
            ("1234", true),
            ("1,234", true),
            ("1 234", true),
            ("FW-2.2.0", true),
            ("fw-2.2.0", false),
            ("", false),
            ("123", false),
            ("yes", false),
        ] {
            assert_eq!(unconfirmed(typed, 1_234, "FW-2.2.0").is_none(), is_confirmed, "{typed:?}");
        }
        // Without devices and without a release an empty field confirms nothing.
        assert!(unconfirmed("", 0, "").is_some());
    }
}
