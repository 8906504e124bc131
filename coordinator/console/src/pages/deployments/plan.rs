//! The way to a new deployment: release, devices, strategy, rules, then the API's dry run, and the start of exactly the plan that it showed.

use std::collections::BTreeSet;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::super::home::{NOT_ENDED, OPEN_DEPLOYMENTS};
use super::acts::unconfirmed;
use super::{back, draft};
use crate::api::with_query;
use crate::failure::{Failure, Refusal};
use crate::filters::is_over;
use crate::form::Form;
use crate::page::Page;
use crate::{Console, ROOT};

/// The steps in their order, with their headings.
const STEPS: [(&str, &str); 5] = [
    ("release", "Release"),
    ("devices", "Devices"),
    ("strategy", "Strategy"),
    ("rules", "Windows and consent"),
    ("check", "Check and start"),
];
/// Devices that one request of a list brings.
const PAGE: &str = "1000";

pub(super) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/deployments/new"), get(begin).post(go))
}

async fn begin(page: Page) -> Result<Response, Failure> {
    let form = page.linked_form();
    let step = STEPS.iter().find(|(name, _)| *name == form.text("step")).map_or("release", |(name, _)| *name);
    // The dry run is asked for by a form.
    let step = if step == "check" { "rules" } else { step };
    show(&page, &form, step, None).await
}

/// The step before or after another.
fn beside(step: &str, by: isize) -> &'static str {
    let at = STEPS.iter().position(|(name, _)| *name == step).unwrap_or(0);
    STEPS[at.saturating_add_signed(by).min(STEPS.len() - 1)].0
}

async fn go(page: Page, form: Form) -> Result<Response, Failure> {
    let step = STEPS.iter().find(|(name, _)| *name == form.text("step")).map_or("release", |(name, _)| *name);
    match form.text("go") {
        "back" => show(&page, &form, beside(step, -1), None).await,
        "add" => show(&page, &form, step, None).await,
        "filter" => filter(&page, form).await,
        "start" => start(&page, &form).await,
        _ => {
            if let Err(detail) = draft::check(&form, step) {
                return show(&page, &form, step, Some(&Refusal::of_input("incomplete", detail))).await;
            }
            match beside(step, 1) {
                "check" => check(&page, &form, None).await,
                next => show(&page, &form, next, None).await,
            }
        }
    }
}

/// Names the devices that a filter finds now.
async fn filter(page: &Page, form: Form) -> Result<Response, Failure> {
    let (wanted, mut found, mut cursor) = (form.text("filter").to_owned(), Vec::new(), String::new());
    loop {
        let query = [("filter", wanted.as_str()), ("limit", PAGE), ("cursor", cursor.as_str())];
        let answer = match page.api.get(&with_query("/api/v1/devices", &query)).await {
            Ok(answer) => answer,
            Err(Failure::Refused(refusal)) => return show(page, &form, "devices", Some(&refusal)).await,
            Err(other) => return Err(other),
        };
        let devices = answer.body.as_array().into_iter().flatten();
        found.extend(devices.filter_map(|device| device["deviceId"].as_str().map(str::to_owned)));
        if found.len() > draft::DEVICES_MAX {
            let detail = format!(
                "The filter finds more than {} devices. Make a group with it under Groups, and choose that group here.",
                draft::DEVICES_MAX
            );
            return show(page, &form, "devices", Some(&Refusal::of_input("too-many", detail))).await;
        }
        match answer.next_cursor() {
            Some(next) => cursor = next,
            None => break,
        }
    }
    if found.is_empty() {
        let detail = "The filter finds no device.".to_owned();
        return show(page, &form, "devices", Some(&Refusal::of_input("nothing-found", detail))).await;
    }
    let form = form.with("devices", found.join("\n")).with("targets", "list".into());
    show(page, &form, "devices", None).await
}

/// Asks the API for the plan and shows it.
async fn check(page: &Page, form: &Form, refused: Option<&Refusal>) -> Result<Response, Failure> {
    let mut plan = match draft::plan(form) {
        Ok(plan) => plan,
        Err(detail) => return render(page, form, "check", json!({}), Some(&Refusal::of_input("incomplete", detail))),
    };
    plan["dryRun"] = true.into();
    match page.rehearse(form, Method::POST, "/api/v1/deployments", &plan).await {
        Ok(answer) => render(page, form, "check", json!({ "plan": seen(answer.body) }), refused),
        Err(Failure::Refused(refusal)) => render(page, form, "check", json!({}), Some(refused.unwrap_or(&refusal))),
        Err(other) => Err(other),
    }
}

/// A plan with its numbers, for the page.
fn seen(mut plan: Value) -> Value {
    let is_ignoring = !plan["windowsIgnoredBecause"].is_null();
    plan["confirm"] = (plan["strategy"] == "Emergency" || is_ignoring).into();
    let phases = plan["phases"].as_array().into_iter().flatten();
    let hospitals = phases.flat_map(|phase| phase["hospitals"].as_array().into_iter().flatten());
    let hospitals: BTreeSet<&str> = hospitals.filter_map(|hospital| hospital["hospitalId"].as_str()).collect();
    let hospitals = hospitals.len();
    plan["hospitalCount"] = hospitals.into();
    for phase in plan["phases"].as_array_mut().into_iter().flatten() {
        let devices = phase["hospitals"].as_array().into_iter().flatten();
        let devices = devices.filter_map(|hospital| hospital["devices"].as_array().map(Vec::len)).sum::<usize>();
        phase["deviceCount"] = devices.into();
    }
    plan
}

async fn start(page: &Page, form: &Form) -> Result<Response, Failure> {
    let mut plan = match draft::plan(form) {
        Ok(plan) => plan,
        Err(detail) => return render(page, form, "check", json!({}), Some(&Refusal::of_input("incomplete", detail))),
    };
    if form.text("plan_digest").is_empty() {
        return check(page, form, None).await;
    }
    let devices = form.text("plan_devices").parse().unwrap_or(0);
    let needs_confirmation = form.text("strategy") == "Emergency" || form.text("ignore_windows") == "yes";
    if let Some(problem) =
        needs_confirmation.then(|| unconfirmed(form.text("confirm"), devices, form.text("firmware"))).flatten()
    {
        return check(page, form, Some(&problem)).await;
    }
    plan["planDigest"] = form.text("plan_digest").into();
    match page.act(form, Method::POST, "/api/v1/deployments", &plan).await {
        Ok(answer) => Ok(back(answer.body["deploymentId"].as_str().unwrap_or_default(), "started")),
        Err(Failure::Refused(refusal)) => check(page, &form.proven(), Some(&refusal)).await,
        Err(other) => Err(other),
    }
}

/// Shows a step with what can be chosen in it.
async fn show(page: &Page, form: &Form, step: &str, refused: Option<&Refusal>) -> Result<Response, Failure> {
    let is_adding = form.text("go") == "add";
    let more = match step {
        "release" => {
            let query = [("limit", "200"), ("filter", page.query("filter"))];
            json!({ "releases": page.api.get(&with_query("/api/v1/firmware", &query)).await?.body })
        }
        "devices" => json!({
            "groups": page.api.find("/api/v1/groups?limit=500").await?,
            "recalls": page.api.find(&with_query("/api/v1/recalls", &NOT_ENDED)).await?,
            "named": draft::words(form.text("devices")).len(),
        }),
        "strategy" => json!({
            "phases": draft::phase_rows(form, is_adding && form.text("phases") == "own"),
            "cohorts": page.api.find("/api/v1/cohorts").await?,
        }),
        _ => {
            let deployments = page.api.get(&with_query("/api/v1/deployments", &OPEN_DEPLOYMENTS)).await?.body;
            let is_active = |d: &&Value| !is_over(d["status"]["name"].as_str().unwrap_or_default());
            let active: Vec<&Value> = deployments.as_array().into_iter().flatten().filter(is_active).collect();
            json!({
                "windows": draft::window_rows(form, is_adding), "chosen": form.all("supersedes"),
                "active": active.iter().map(|d| json!({ "deploymentId": d["deploymentId"], "firmwareId": d["firmwareId"], "state": d["status"]["name"] })).collect::<Vec<_>>(),
            })
        }
    };
    render(page, form, step, more, refused)
}

fn render(page: &Page, form: &Form, step: &str, more: Value, refused: Option<&Refusal>) -> Result<Response, Failure> {
    let pairs = form.kept();
    let kept: Vec<_> = pairs
        .iter()
        .filter(|(name, _)| draft::step_of(name).is_some_and(|of| of != step))
        .map(|(name, value)| [name, value])
        .collect();
    let heading = STEPS.iter().find(|(name, _)| *name == step).map_or("", |(_, heading)| *heading);
    let mut context = json!({
        "step": step, "heading": heading, "number": STEPS.iter().position(|(name, _)| *name == step).unwrap_or(0) + 1,
        "steps": STEPS.map(|(_, heading)| heading), "kept": kept, "input": form.input(), "plan": null,
    });
    if let (Value::Object(context), Value::Object(more)) = (&mut context, more) {
        context.extend(more);
    }
    let mut status = StatusCode::OK;
    if let Some(refusal) = refused {
        context["problem"] = json!(refusal);
        status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    }
    page.render_as(status, "deployments/new.html", context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_steps_of_a_plan_stay_in_their_order() {
        assert_eq!((beside("release", -1), beside("release", 1)), ("release", "devices"));
        assert_eq!((beside("rules", 1), beside("check", 1), beside("unknown", 1)), ("check", "check", "devices"));
    }

    #[test]
    fn use_05_a_plan_is_counted_and_asks_for_confirmation() {
        let plan = json!({ "strategy": "Progressive", "windowsIgnoredBecause": null, "phases": [
            { "hospitals": [{ "hospitalId": "H-1", "devices": ["a", "b"] }, { "hospitalId": "H-2", "devices": ["c"] }] },
            { "hospitals": [{ "hospitalId": "H-1", "devices": ["d"] }] }] });
        let shown = seen(plan.clone());
        assert_eq!(
            (&shown["hospitalCount"], &shown["phases"][0]["deviceCount"], &shown["confirm"]),
            (&json!(2), &json!(3), &json!(false))
        );
        let mut urgent = plan.clone();
        urgent["strategy"] = "Emergency".into();
        assert_eq!(seen(urgent)["confirm"], true);
        let mut ignoring = plan;
        ignoring["windowsIgnoredBecause"] = "exploited".into();
        assert_eq!(seen(ignoring)["confirm"], true);
    }
}
