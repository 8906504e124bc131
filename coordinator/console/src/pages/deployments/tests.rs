//! The templates of deployments, with hostile text in every field and with as little as the API may answer.

use serde_json::{Value, json};

use super::*;
use crate::environment;

const EVIL: &str = "<img src=x onerror=alert(1)>\"'";
const T: i64 = 1_796_045_049_537;

/// Names of fields whose values templates choose by, or read as times.
const KEPT: [&str; 5] = ["firstFailure", "criticalReach", "kind", "tab", "step"];

/// The same with hostile text in place of every text, but for times and what pages choose by.
fn hostile(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| {
                let is_kept = KEPT.contains(&name.as_str())
                    || name.ends_with("At")
                    || ["at", "since", "until", "bar", "svg"].contains(&name.as_str());
                (name.clone(), if is_kept { field.clone() } else { hostile(field) })
            })
            .collect(),
        Value::Array(list) => list.iter().map(hostile).collect(),
        Value::String(_) => EVIL.into(),
        other => other.clone(),
    }
}

/// What pages of a deployment are made of: the answers of the API, with something in every field.
fn context(permissions: &[&str], status: Value) -> Value {
    let mut all: Value = serde_json::from_str(include_str!("fixture.json")).expect("JSON");
    let phases = all["deployment"]["phases"].clone();
    all["may"] = permissions.iter().map(|name| ((*name).to_owned(), Value::Bool(true))).collect();
    all["deployment"]["status"] = status;
    all["bar"] = bar::phases(&phases).into();
    let story = story::of(&json!({ "createdAt": "2026-11-30T13:24:09Z", "phases": phases }), &[], T, false);
    all["timeline"] = timeline::draw(&story, EVIL).shown();
    all["phases"] = draft::phase_rows(&Form::default(), false).into();
    all["windows"] = draft::window_rows(&Form::default(), true).into();
    all
}

const TABS: [&str; 11] = [
    "show",
    "devices",
    "gates",
    "hospitals",
    "duties",
    "history",
    "report",
    "resume",
    "abort",
    "roll-back",
    "validate",
];
const ALL: [&str; 14] = [
    "readAll",
    "readAudit",
    "stop",
    "deploy",
    "rollBack",
    "consent",
    "recall",
    "approve",
    "read",
    "manageFleet",
    "manageUsers",
    "manageTrust",
    "reportIncident",
    "submitFirmware",
];

fn rendered(template: &str, context: &Value) -> String {
    let environment = environment().expect("valid templates");
    let name = format!("deployments/{template}.html");
    let template = environment.get_template(&name).expect("a template");
    let mut context = context.clone();
    context["view"] = json!(crate::view::View::default());
    let shown = template.render(minijinja::Value::from(minijinja::value::Serde(&context)));
    shown.unwrap_or_else(|error| panic!("{name}: {error:#}")).replace("&#x2f;", "/")
}

#[test]
fn console_deployments_escape_every_text() {
    let statuses = [
        json!({ "name": "running" }),
        json!({ "name": "paused", "reason": "r" }),
        json!({ "name": "superseded", "by": "dep-2" }),
    ];
    for status in statuses {
        for permissions in [&ALL[..], &["read"]] {
            for template in TABS {
                let plain = context(permissions, status.clone());
                let mut evil = hostile(&plain);
                for kept in [("here", "deployments"), ("home", "/console/deployments/dep-1")] {
                    evil[kept.0] = kept.1.into();
                }
                for context in [&plain, &evil] {
                    let html = rendered(template, context);
                    assert!(!html.contains("<img src=x") && !html.contains("onerror=alert(1)>\""), "{template}");
                    assert!(!html.contains(" style=") && !html.contains("javascript:"), "{template}");
                    assert_eq!(html.matches("<h1").count(), 1, "{template}");
                }
            }
        }
    }
}

#[test]
fn console_steps_of_a_plan_escape_every_text() {
    for step in ["release", "devices", "strategy", "rules", "check"] {
        let mut plain = context(&ALL, json!({ "name": "running" }));
        plain["step"] = step.into();
        let mut evil = hostile(&plain);
        evil["here"] = "deployments".into();
        for context in [&plain, &evil] {
            let html = rendered("new", context);
            assert!(!html.contains("<img src=x"), "{step}");
            assert_eq!(html.matches("<h1").count(), 1, "{step}");
        }
    }
}

#[test]
fn console_every_form_of_a_deployment_is_guarded() {
    for status in ["running", "paused"] {
        for template in TABS.into_iter().chain(["new"]) {
            let html = rendered(template, &context(&ALL, json!({ "name": status, "reason": "r" })));
            for form in html
                .split("<form")
                .skip(1)
                .filter(|form| form.starts_with(" method=\"post\"") || form.contains("method=\"post\""))
            {
                let form = form.split("</form>").next().expect("a form");
                assert!(form.contains("name=\"form_token\" value=\"t\""), "{template}: {form}");
                assert!(
                    form.contains("/console/sign-out") || form.contains("name=\"form_key\" value=\"k\""),
                    "{template}: {form}"
                );
            }
        }
    }
}

#[test]
fn use_07_pause_is_on_every_page_of_a_deployment() {
    for template in TABS {
        let html = rendered(template, &context(&["read", "stop"], json!({ "name": "running" })));
        assert!(html.contains("action=\"/console/deployments/dep-1/pause\""), "{template}");
        let html = rendered(template, &context(&["read"], json!({ "name": "running" })));
        assert!(html.contains("Operators, clinical engineers and regulatory affairs may pause"), "{template}");
    }
}

#[test]
fn use_08_a_rate_is_never_shown_without_its_bound() {
    for template in ["show", "gates", "validate"] {
        let html = rendered(template, &context(&ALL, json!({ "name": "running" })));
        assert!(html.contains("upper 95 % bound 90.000 %") && html.contains("not proved"), "{template}");
        assert!(html.contains("299 devices without a failure would prove it; 2 so far"), "{template}");
    }
}

#[test]
fn console_staff_see_pages_without_the_fleets_figures() {
    for status in ["running", "paused", "completed"] {
        let mut staff =
            context(&["read", "rollBack", "consent", "reportIncident"], json!({ "name": status, "reason": "r" }));
        staff["me"]["hospitalId"] = "HOSP-001".into();
        for phase in staff["deployment"]["phases"].as_array_mut().expect("phases") {
            for hidden in ["standing", "gate"] {
                phase[hidden] = Value::Null;
            }
        }
        staff["phase"] = staff["deployment"]["phases"][0].clone();
        staff["whole"]["groupId"] = Value::Null;
        (staff["hospital"], staff["entry"], staff["release"]) = (Value::Null, Value::Null, Value::Null);
        for template in TABS {
            let html = rendered(template, &staff);
            assert!(!html.contains("/gates\"") && !html.contains("/report\""), "{template}");
        }
        let order = rendered("roll-back", &staff);
        assert!(order.contains("value=\"HOSP-001\"") && !order.contains("value=\"all\""), "their own hospital alone");
    }
}
