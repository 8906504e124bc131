//! No text that the API, a gateway, a file or a form brings is markup on any page.

mod acts;
mod fleet;
mod office;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tower::ServiceExt;

/// What somebody could have written wherever people, gateways or files bring text.
const X: &str = "x\"'><img src=x onerror=alert(1)>&lt;{{ 7 * 7 }}\"'&";
const AT: &str = "2026-11-30T13:23:29.048Z";

/// Half of the API: the two halves give the same paths other shapes, as pages of each need them.
type Api = fn(&Method, &str) -> Value;

/// What the API does with acts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acts {
    Accepts,
    Refuses,
}

/// The console in front of such an API.
fn console(api: Api, acts: Acts) -> Router {
    let answers = move |request: Request| async move {
        let refused = json!({ "type": format!("urn:mdfm:problem:{X}"), "title": X, "detail": format!("line 1: {X}"), "status": 409 });
        match api(request.method(), request.uri().path()) {
            _ if acts == Acts::Refuses && !request.method().is_safe() => {
                (StatusCode::CONFLICT, axum::Json(refused)).into_response()
            }
            Value::Null if request.method().is_safe() => (StatusCode::NOT_FOUND, axum::Json(refused)).into_response(),
            Value::String(text) => text.into_response(),
            found => axum::Json(found).into_response(),
        }
    };
    crate::router(Router::new().fallback(answers), |_, _| {}, "1.2.3").expect("the templates are valid")
}

async fn send(console: &Router, path: &str, form: Option<&[(&str, &str)]>) -> Response<Body> {
    let request = Request::builder().uri(path).header(header::COOKIE, "__Host-mdfm=session");
    let request = match form {
        None => request.body(Body::empty()),
        Some(fields) => {
            let token = crate::session::form_token("session");
            let mut all = vec![("form_token", token.as_str()), ("form_key", "k")];
            all.extend(fields);
            let request = request.method(Method::POST).header("sec-fetch-site", "same-origin");
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            request.body(Body::from(serde_urlencoded::to_string(all).expect("a form")))
        }
    };
    let Ok(answered) = console.clone().oneshot(request.expect("a request")).await;
    answered
}

async fn page(console: &Router, path: &str, form: Option<&[(&str, &str)]>) -> (StatusCode, String) {
    let (parts, body) = send(console, path, form).await.into_parts();
    let bytes = to_bytes(body, 64 << 20).await.expect("a body");
    (parts.status, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

/// The hostile text as one segment of a path.
fn segment() -> String {
    crate::api::segment(X)
}

/// No markup came through: not as an element, not as an attribute, and not as a second look at a template. The page is whole.
fn check(path: &str, html: &str) {
    assert!(html.matches("<h1").count() == 1 && html.contains("</html>"), "{path} is not a whole page: {html}");
    for hostile in ["<img src=x", "onerror=alert(1)>&lt;{{", "{49}", "\"'&", " style=", " onclick=", "javascript:"] {
        assert!(!html.contains(hostile), "{path} holds {hostile}");
    }
    // Labels and descriptions find their fields: every id is there once.
    let after = |mark: &str| -> Vec<String> {
        html.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    let ids = after(" id=\"");
    let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "{path} has an id twice: {ids:?}");
    for mark in [" for=\"", " aria-labelledby=\"", " aria-describedby=\""] {
        for name in after(mark).iter().flat_map(|names| names.split(' ')) {
            assert!(ids.iter().any(|id| id == name), "{path}: nothing has the id {name}");
        }
    }
}

/// Pages of the fleet; `ID` is the hostile text.
const FLEET_PAGES: &[&str] = &[
    "devices",
    "devices/new",
    "devices/import",
    "hospitals",
    "hospitals/new",
    "cohorts",
    "consents",
    "gateways",
    "gateways/new",
    "groups",
    "groups/new",
    "recalls",
    "recalls/new",
    "incidents",
    "incidents/new",
    "fleet",
    "search",
    "devices/ID",
    "devices/ID/change",
    "devices/ID/retire",
    "hospitals/ID",
    "hospitals/ID/change",
    "hospitals/ID/policy",
    "gateways/ID",
    "gateways/ID/token",
    "gateways/ID/revoke",
    "gateways/ID/media",
    "groups/ID",
    "groups/ID/change",
    "groups/ID/remove",
    "recalls/ID",
    "recalls/ID/close",
    "incidents/ID",
    "consents/D-1/ID",
    "consents/D-1/ID/withdraw",
    "consents/D-1/H-2",
    "devices?columns=udi,gatewayId,waiting,recallId,lastError,deploymentId,hardwareRevision,serialNumber",
];
/// Pages of the office.
const OFFICE_PAGES: &[&str] = &[
    "",
    "notices",
    "audit",
    "audit?actor=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
    "audit?since=%3Cimg%20src%3Dx%3E",
    "audit/3",
    "audit/4",
    "audit/past",
    "audit/past?kind=device&id=x&from=14d",
    "audit/past?kind=device&id=x&from=14d&to=1d",
    "reports",
    "reports/make?kind=device&id=%3Cimg%20src%3Dx%3E&format=pdf",
    "retention",
    "retention/holds/h",
    "retention/disposals",
    "retention/disposals/d",
    "people",
    "people/new",
    "people/u",
    "people/u/access",
    "people/tokens",
    "people/u/tokens/t",
    "roles",
    "settings",
    "settings/rules/0",
    "settings/rules/new",
    "webhooks",
    "webhooks/h",
    "webhooks/new",
    "dead-letters",
    "system",
    "me",
    "me/password",
    "me/second-factor",
    "me/signing-key",
    "me/tokens",
    "help",
    "help/audit",
    "wall",
    "wall?deployment=d",
];
/// Names of every field of every form.
const FIELDS: &[&str] = &[
    "device_id",
    "model_number",
    "serial_number",
    "hospital_id",
    "version",
    "udi",
    "gateway_id",
    "name",
    "cohort",
    "timezone",
    "reason",
    "typed",
    "list",
    "title",
    "description",
    "outcome",
    "devices",
    "deployment",
    "note",
    "decision_reason",
    "reference",
    "close_reason",
    "device_model",
    "versions",
    "version_range",
    "component",
    "component_purl",
    "action",
    "group_id",
    "query",
    "kind",
    "consent",
    "right",
    "user_id",
    "printed_name",
    "roles",
    "evidence",
    "trained_until",
    "subject",
    "act",
    "kinds",
    "hospitals",
    "wait_codes",
    "after_minutes",
    "webhook_id",
    "url",
    "email",
    "permissions",
    "expires_at",
    "zone",
    "hold_id",
    "object",
    "audit_years",
    "disposal_id",
    "entries",
    "id",
    "code",
    "password",
    "new_password",
];
const FLEET_FORMS: &[&str] = &[
    "devices/new",
    "devices/import",
    "hospitals/new",
    "gateways/new",
    "groups/new",
    "recalls/new",
    "incidents/new",
    "devices/ID/change",
    "devices/ID/retire",
    "devices/ID/reconcile",
    "hospitals/ID/change",
    "hospitals/ID/policy",
    "gateways/ID/revoke",
    "groups/ID/change",
    "groups/ID/remove",
    "recalls/ID/close",
    "incidents/ID/note",
    "incidents/ID/report",
    "incidents/ID/close",
    "incidents/ID/decide",
    "consents/D-1/ID",
    "consents/D-1/ID/withdraw",
    "gateways/ID/media",
];
const OFFICE_FORMS: &[&str] = &[
    "notices/read",
    "people/new",
    "people/u/roles",
    "people/u/identity",
    "people/u/training",
    "people/u/subject",
    "people/u/access",
    "people/u/enable",
    "people/u/tokens/t",
    "settings",
    "settings/rules/0",
    "settings/rules/new",
    "settings/rules/0/removal",
    "webhooks/h",
    "webhooks/h/removal",
    "dead-letters/x/retry",
    "me/view",
    "me/address",
    "me/password",
    "me/second-factor",
    "me/second-factor/confirmation",
    "me/signing-key",
    "me/tokens",
    "me/tokens/t",
    "retention/terms",
    "retention/holds",
    "retention/holds/h",
    "retention/disposals",
    "retention/disposals/d",
];

#[tokio::test]
async fn sec_console_no_text_of_the_api_is_markup() {
    let query = serde_urlencoded::to_string([("filter", X), ("q", X), ("device", X), ("query", X)]).expect("a query");
    let fleet = FLEET_PAGES.iter().map(|path| {
        let sign = if path.contains('?') { '&' } else { '?' };
        (console(fleet::answer, Acts::Accepts), format!("{}{sign}{query}", path.replace("ID", &segment())))
    });
    let office = OFFICE_PAGES.iter().map(|path| (console(office::answer, Acts::Refuses), (*path).to_owned()));
    let mut with_text = 0;
    for (console, path) in fleet.chain(office) {
        let (status, html) = page(&console, format!("/console/{path}").trim_end_matches('/'), None).await;
        let is_missing = path == "audit/4" || path.starts_with("reports/make");
        assert!(status == StatusCode::OK || (is_missing && status.is_client_error()), "{path}: {status}: {html}");
        check(&path, &html);
        with_text += usize::from(html.contains("&lt;img src&#x3d;x") || html.contains("&lt;img src=x"));
    }
    assert!(with_text > 60, "the text itself is on the pages: {with_text}");
}

#[tokio::test]
async fn sec_console_refused_forms_come_back_as_text() {
    let typed: Vec<(&str, &str)> = FIELDS.iter().map(|name| (*name, X)).collect();
    let fleet = FLEET_FORMS.iter().map(|path| (console(fleet::answer, Acts::Refuses), path.replace("ID", &segment())));
    let office = OFFICE_FORMS.iter().map(|path| (console(office::answer, Acts::Refuses), (*path).to_owned()));
    for (console, path) in fleet.chain(office) {
        let (status, html) = page(&console, &format!("/console/{path}"), Some(&typed)).await;
        assert!(status.is_client_error(), "{path}: {status}: {html}");
        assert!(html.contains("id=\"problem\"") || html.contains("Not done."), "{path} does not say why: {html}");
        check(&path, &html);
    }
}

/// Pages that an act itself answers: a preview, a token, a count, what was delivered, a list that was checked.
#[tokio::test]
async fn sec_console_answers_of_acts_are_text() {
    let document = "{\"documents\": [{}]}";
    let console = console(fleet::answer, Acts::Accepts);
    for (path, more) in [
        ("recalls/new", ("versions", "1")),
        ("gateways/ID/token", ("typed", X)),
        ("groups/new", ("count", "yes")),
        ("gateways/ID/media", ("telemetry", document)),
        ("devices/import", ("list", X)),
    ] {
        let typed = FIELDS.iter().filter(|name| **name != more.0 && **name != "roles").map(|name| (*name, X));
        let typed: Vec<(&str, &str)> = typed.chain([more]).collect();
        let path = path.replace("ID", &segment());
        let (status, html) = page(&console, &format!("/console/{path}"), Some(&typed)).await;
        assert!(status.is_success(), "{path}: {status} {html}");
        check(&path, &html);
    }
}
