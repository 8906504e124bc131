//! Recalls: the list, one recall with the devices that still run its firmware, opening after a dry
//! run, closing.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Map, Value, json};

use super::acts::{self, Refused, check_typed, settle};
use super::list::page_of;
use crate::api::{path, segment};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

/// Texts of a recall by the API's name and the form's.
const TEXTS: [(&str, &str); 11] = [
    ("deviceModel", "device_model"),
    ("udiPrefix", "udi_prefix"),
    ("versionRange", "version_range"),
    ("component", "component"),
    ("componentVersion", "component_version"),
    ("componentGroup", "component_group"),
    ("componentPurl", "component_purl"),
    ("componentCpe", "component_cpe"),
    ("componentVersions", "component_versions"),
    ("action", "action"),
    ("reason", "reason"),
];

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/recalls"), get(list))
        .route(&format!("{ROOT}/recalls/new"), get(new).post(open))
        .route(&format!("{ROOT}/recalls/{{recall}}"), get(show))
        .route(&format!("{ROOT}/recalls/{{recall}}/close"), get(close_form).post(close))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "recalls/list.html", "recalls/show.html", "recalls/new.html", "recalls/close.html");
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/recalls").await?;
    page.render("recalls/list.html", json!({ "list": list }))
}

async fn show(page: Page, Path(recall): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["recalls", &recall])).await?;
    page.render("recalls/show.html", json!({ "recall": answer.body }))
}

async fn new(page: Page) -> Result<Response, Failure> {
    new_page(&page, Value::Null, Value::Null, None)
}

fn new_page(page: &Page, preview: Value, input: Value, refused: Refused<'_>) -> Result<Response, Failure> {
    let mut context = json!({ "preview": preview });
    if !input.is_null() {
        context["input"] = input;
    }
    acts::show(page, "recalls/new.html", context, refused)
}

/// The body of a recall.
///
/// # Errors
/// A field that is no number, in words.
fn body(form: &Form) -> Result<Map<String, Value>, Refusal> {
    let mut body = acts::body(form, &TEXTS);
    for (name, field, label) in [
        ("releaseFrom", "release_from", "Lowest release number"),
        ("releaseTo", "release_to", "Highest release number"),
    ] {
        let text = form.text(field);
        if !text.is_empty() {
            let number: u64 = text.parse().map_err(|_| {
                Refusal::of_input("invalid", format!("{label}: \u{201c}{text}\u{201d} is not a whole number"))
            })?;
            body.insert(name.into(), number.into());
        }
    }
    let versions: Vec<&str> =
        form.text("versions").split([',', '\n']).map(str::trim).filter(|v| !v.is_empty()).collect();
    if !versions.is_empty() {
        body.insert("versions".into(), versions.into());
    }
    if form.is_set("all_releases") {
        body.insert("allReleases".into(), true.into());
    }
    Ok(body)
}

/// First shows what the recall would do. Opens it once the number of devices that it concerns *now*
/// is typed.
async fn open(page: Page, form: Form) -> Result<Response, Failure> {
    let body = match body(&form) {
        Ok(body) => body,
        Err(refusal) => return new_page(&page, Value::Null, Value::Null, Some((&form, &refusal))),
    };
    let dry = settle(page.rehearse(&form, Method::POST, "/api/v1/recalls?dryRun=true", &body).await)?;
    let preview = match dry {
        Ok(answer) => answer.body,
        Err(refusal) => return new_page(&page, Value::Null, Value::Null, Some((&form, &refusal))),
    };
    if !form.is_set("open") {
        return new_page(&page, preview, form.input(), None);
    }
    if let Err(refusal) = check_typed(&form, &preview["devices"].to_string()) {
        return new_page(&page, preview, Value::Null, Some((&form, &refusal)));
    }
    // The code of the second factor was shown with the dry run; it counts once.
    match settle(page.act(&form.proven(), Method::POST, "/api/v1/recalls", &body).await)? {
        Ok(answer) => {
            let recall = answer.body["recallId"].as_str().unwrap_or_default();
            Ok(done(&format!("{ROOT}/recalls/{}", segment(recall)), "opened"))
        }
        Err(refusal) => new_page(&page, preview, Value::Null, Some((&form, &refusal))),
    }
}

async fn close_form(page: Page, Path(recall): Path<String>) -> Result<Response, Failure> {
    close_page(&page, &recall, None).await
}

async fn close_page(page: &Page, recall: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["recalls", recall])).await?;
    acts::show(page, "recalls/close.html", json!({ "recall": answer.body }), refused)
}

async fn close(page: Page, Path(recall): Path<String>, form: Form) -> Result<Response, Failure> {
    let to = path(&["recalls", &recall, "closure"]);
    match settle(page.act_without_body(&form, Method::POST, &to).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/recalls/{}", segment(&recall)), "closed")),
        Err(refusal) => close_page(&page, &recall, Some((&form, &refusal))).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_recall_has_the_criteria_that_are_given() {
        let form = Form::of_texts(&[
            ("device_model", "X200"),
            ("release_from", "3"),
            ("release_to", ""),
            ("versions", "2.0, 2.1\n2.2"),
            ("component", ""),
            ("action", "quarantine"),
            ("reason", "r"),
        ]);
        let expected = json!({ "deviceModel": "X200", "releaseFrom": 3, "versions": ["2.0", "2.1", "2.2"], "action": "quarantine", "reason": "r" });
        assert_eq!(Value::from(body(&form).expect("a body")), expected);
        let every = body(&Form::of_texts(&[("device_model", "X200"), ("all_releases", "yes")])).expect("a body");
        assert_eq!(Value::from(every), json!({ "deviceModel": "X200", "allReleases": true }));
        for wrong in ["-1", "1.5", "<img>"] {
            let refusal = body(&Form::of_texts(&[("release_to", wrong)])).expect_err("not a release number");
            assert!(refusal.detail.contains(wrong), "{refusal:?}");
        }
    }
}
