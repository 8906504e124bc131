//! Hospitals and cohorts: the lists, one hospital with its devices and windows, registration,
//! correction, policy.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Map, Value, json};

use super::acts::{self, Refused, settle};
use super::list::page_of;
use crate::api::{path, segment, with_query};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, builder, templates};

const FIELDS: [(&str, &str); 4] =
    [("hospitalId", "hospital_id"), ("name", "name"), ("cohort", "cohort"), ("timezone", "timezone")];
const CORRECTED: [(&str, &str); 3] = [("name", "name"), ("cohort", "cohort"), ("timezone", "timezone")];
/// Windows of a policy that the form has lines for, beyond those that are registered.
const MORE_WINDOWS: usize = 2;
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/hospitals"), get(list))
        .route(&format!("{ROOT}/hospitals/new"), get(new).post(register))
        .route(&format!("{ROOT}/cohorts"), get(cohorts))
        .route(&format!("{ROOT}/hospitals/{{hospital}}"), get(show))
        .route(&format!("{ROOT}/hospitals/{{hospital}}/change"), get(change_form).post(change))
        .route(&format!("{ROOT}/hospitals/{{hospital}}/policy"), get(policy_form).post(set_policy))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(
        environment,
        "hospitals/list.html",
        "hospitals/show.html",
        "hospitals/new.html",
        "hospitals/change.html",
        "hospitals/policy.html",
        "hospitals/cohorts.html",
    );
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/hospitals").await?;
    page.render("hospitals/list.html", json!({ "list": list, "chips": builder::chips(page.query("filter")) }))
}

async fn cohorts(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/cohorts").await?;
    page.render("hospitals/cohorts.html", json!({ "list": list }))
}

async fn new(page: Page) -> Result<Response, Failure> {
    acts::show(&page, "hospitals/new.html", json!({}), None)
}

async fn register(page: Page, form: Form) -> Result<Response, Failure> {
    let body = acts::body(&form, &FIELDS);
    match settle(page.act(&form, Method::POST, "/api/v1/hospitals", &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/hospitals/{}", segment(form.text("hospital_id"))), "registered")),
        Err(refusal) => acts::show(&page, "hospitals/new.html", json!({}), Some((&form, &refusal))),
    }
}

async fn show(page: Page, Path(hospital): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["hospitals", &hospital])).await?;
    let of = builder::condition("hospitalId", "=", &hospital).unwrap_or_default();
    let find = |path: &str, filter: &str, limit: &str| with_query(path, &[("filter", filter), ("limit", limit)]);
    // Devices that are out of service stay in the list of devices.
    let in_service = builder::with(&of, "retiredAt=null");
    let devices = page.api.find(&find("/api/v1/devices", &in_service, "100")).await?;
    let gateways = page.find_if("readAll", &find("/api/v1/gateways", &of, "100")).await?;
    let is_reader = page.may("readAudit");
    let object = format!("hospital/{hospital}");
    let query = [("object", object.as_str()), ("order", "newest"), ("limit", "50")];
    let history = page.find_if("readAudit", &with_query("/api/v1/compliance/audit-logs", &query)).await?;
    let context = json!({
        "tag": answer.tag(), "hospital": answer.body, "devices": devices, "gateways": gateways,
        "history": history, "is_reader": is_reader, "of": in_service,
    });
    page.render("hospitals/show.html", context)
}

async fn form_page(page: &Page, hospital: &str, template: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["hospitals", hospital])).await?;
    let cohorts = page.find_if("readAll", "/api/v1/cohorts?limit=1000").await?;
    let registered = answer.body["maintenanceWindows"].as_array().cloned().unwrap_or_default();
    let mut windows = match refused {
        Some((form, _)) => windows_of(form),
        None => registered,
    };
    let zone = answer.body["timezone"].clone();
    let blank = json!({ "dayOfWeek": "", "startTime": "", "endTime": "", "timezone": zone });
    windows.extend(std::iter::repeat_n(blank, MORE_WINDOWS));
    let context = json!({
        "tag": answer.tag(), "hospital": answer.body, "cohorts": cohorts, "windows": windows, "days": DAYS,
    });
    acts::show(page, template, context, refused)
}

async fn change_form(page: Page, Path(hospital): Path<String>) -> Result<Response, Failure> {
    form_page(&page, &hospital, "hospitals/change.html", None).await
}

async fn change(page: Page, Path(hospital): Path<String>, form: Form) -> Result<Response, Failure> {
    let shown = page.api.get(&path(&["hospitals", &hospital])).await?.body;
    let mut body = acts::patch(&form, &shown, &CORRECTED);
    if body.is_empty() {
        let same = Refusal::of_input("nothing-changed", "Nothing differs from what is registered.");
        return form_page(&page, &hospital, "hospitals/change.html", Some((&form, &same))).await;
    }
    body.insert("reason".into(), form.text("reason").into());
    match settle(page.act(&form, Method::PATCH, &path(&["hospitals", &hospital]), &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/hospitals/{}", segment(&hospital)), "saved")),
        Err(refusal) => form_page(&page, &hospital, "hospitals/change.html", Some((&form, &refusal))).await,
    }
}

async fn policy_form(page: Page, Path(hospital): Path<String>) -> Result<Response, Failure> {
    form_page(&page, &hospital, "hospitals/policy.html", None).await
}

/// A time of day as the API takes it; browsers leave out the seconds.
fn with_seconds(time: &str) -> String {
    if time.matches(':').count() == 1 { format!("{time}:00") } else { time.to_owned() }
}

/// The windows of the form; a line without a day is no window.
fn windows_of(form: &Form) -> Vec<Value> {
    let mut windows = Vec::new();
    let count: usize = form.text("windows").parse().unwrap_or(0).min(64);
    for n in 0..count {
        let field = |name: &str| form.text(&format!("{name}_{n}")).to_owned();
        if !field("day").is_empty() {
            windows.push(json!({
                "dayOfWeek": field("day"), "startTime": with_seconds(&field("start")),
                "endTime": with_seconds(&field("end")), "timezone": field("zone"),
            }));
        }
    }
    windows
}

async fn set_policy(page: Page, Path(hospital): Path<String>, form: Form) -> Result<Response, Failure> {
    let mut body = Map::new();
    body.insert("maintenanceWindows".into(), windows_of(&form).into());
    body.insert("consentRequired".into(), (form.text("consent") == "yes").into());
    body.insert("reason".into(), form.text("reason").into());
    match settle(page.act(&form, Method::PATCH, &path(&["hospitals", &hospital, "policy"]), &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/hospitals/{}", segment(&hospital)), "saved")),
        Err(refusal) => form_page(&page, &hospital, "hospitals/policy.html", Some((&form, &refusal))).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_line_without_a_day_is_no_window() {
        let fields = [
            ("windows", "3"),
            ("day_0", "Sunday"),
            ("start_0", "01:00"),
            ("end_0", "04:00:30"),
            ("zone_0", "Europe/Berlin"),
            ("day_1", ""),
            ("start_1", "01:00"),
            ("day_7", "Monday"),
        ];
        let form = Form::of_texts(&fields);
        let sunday = json!({ "dayOfWeek": "Sunday", "startTime": "01:00:00", "endTime": "04:00:30", "timezone": "Europe/Berlin" });
        assert_eq!(windows_of(&form), [sunday]);
        assert!(windows_of(&Form::of_texts(&[("windows", "99999999999999999999")])).is_empty());
    }
}
