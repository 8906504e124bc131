//! What tests of pages share.

use std::sync::Arc;

use axum::Router;
use axum::http::Extensions;
use serde_json::{Value, json};

use crate::Console;
use crate::api::Api;

fn console(api: Router) -> Console {
    let templates = Arc::new(crate::environment().expect("valid templates"));
    Console { api, carry: |_, _| {}, templates, version: "0", view: crate::view::View::default() }
}

/// An API that this router answers.
pub(crate) fn api(router: Router) -> Api {
    Api::new(&console(router), &Extensions::new(), Some("s".into()), false)
}

/// What every page has, of a reader who may do everything.
pub(crate) fn context(more: Value) -> Value {
    let permissions = [
        "read",
        "readAll",
        "readAudit",
        "submitFirmware",
        "approve",
        "deploy",
        "recall",
        "publishAuthority",
        "manageTrust",
    ];
    let may: serde_json::Map<String, Value> = permissions.iter().map(|p| ((*p).to_owned(), true.into())).collect();
    let me = json!({ "userId": "qa", "printedName": "QA", "roles": ["QA"], "cannotSign": null, "trial": false,
        "session": { "endsAt": "2027-01-01T00:00:00Z", "idleEndsAt": "2027-01-01T00:00:00Z" } });
    let mut all = json!({ "me": me, "may": may, "here": "", "path": "", "query": {}, "here_url": "/console", "input": {},
        "problem": null, "form_token": "t", "form_key": "k", "version": "0", "made_at": "2026-11-30T13:24:09Z",
        "view": crate::view::View::default() });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}

/// The page that a template makes.
pub(crate) fn rendered(template: &str, more: Value) -> String {
    let environment = crate::environment().expect("valid templates");
    let template = environment.get_template(template).expect("a template");
    let context = minijinja::Value::from(minijinja::value::Serde(&context(more)));
    template.render(context).unwrap_or_else(|error| panic!("{error:#}"))
}
