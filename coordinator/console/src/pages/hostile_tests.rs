//! Every page with text of the API that is markup: it must come out as text.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tower::ServiceExt;

/// What somebody could have written wherever people, gateways or files bring text.
const X: &str = "x\"'><img src=x onerror=alert(1)>&lt;{{ 7 * 7 }}";
const AT: &str = "2026-11-30T13:23:29.048Z";

fn me() -> Value {
    let all = [
        "manageUsers",
        "manageTrust",
        "manageFleet",
        "submitFirmware",
        "approve",
        "deploy",
        "stop",
        "rollBack",
        "consent",
        "recall",
        "publishAuthority",
        "reportIncident",
        "read",
        "readAll",
        "readAudit",
        "retain",
        "dispose",
    ];
    json!({
        "userId": X, "printedName": X, "roles": [X], "permissions": all, "hospitalId": X, "secondFactor": false,
        "recoveryCodesLeft": 1, "signingKey": X, "passwordSetAt": AT, "email": X, "trainedUntil": AT, "cannotSign": X,
        "session": { "endsAt": AT, "idleEndsAt": AT, "factorCountsUntil": AT },
    })
}

fn record() -> Value {
    json!({
        "index": 3, "v": 1, "at": AT, "atMs": 1, "actor": { "kind": "user", "id": X, "roles": [X] }, "action": X, "object": format!("device/{X}"),
        "outcome": X, "component": X, "site": X, "address": X, "reason": X, "before": { X: X }, "after": { X: [X] }, "event": { X: X }, "document": X,
    })
}

fn deployment() -> Value {
    let devices = json!({ "devices": 4, "confirmed": 1, "failed": 1, "silent": 1, "inFlight": 1, "accounted": 2 });
    json!({
        "deploymentId": X, "firmwareId": X, "createdAt": AT, "createdBy": X, "currentPhase": 1, "manifestDigest": X, "strategy": X,
        "status": { "name": "paused", "reason": X }, "contained": [], "waiting": [{ "code": "signature", "text": X, "who": [X], "how": [X] }],
        "phases": [{ "name": X, "status": { "name": X }, "devices": devices, "maxErrorRatePercent": 1.0, "hospitals": [X], "validationRole": X }],
        "consents": [{ "hospitalId": X, "givenBy": null, "givenAt": null }],
        "duties": [{ "kind": X, "dueAt": 1, "draft": X, "fulfilled": null }],
    })
}

fn evidence() -> Value {
    let entry = record().to_string();
    json!({
        "format": X, "about": X, "madeAt": X, "logKey": X, "witnessKeys": [X], "witnessThreshold": 1, "trustRoots": [X], "roster": X,
        "checkpoint": format!("{X}\n4\n{}\n\n\u{2014} {X} AAAA\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        "records": [{ "index": 3, "entry": entry, "proof": ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] }],
    })
}

/// What the API answers to a path; `null` for what no page of these asks.
fn answer(path: &str) -> Value {
    let user = json!({
        "userId": "u", "printedName": X, "roles": [X], "hospitalId": X, "secondFactor": true, "disabled": false,
        "identity": { "by": X, "evidence": X, "verifiedAt": AT }, "trainedUntil": AT, "passwordSetAt": AT,
    });
    let token = json!({ "tokenId": "t", "userId": "u", "name": X, "permissions": [X], "madeAt": AT, "expiresAt": AT });
    let hook = json!({ "webhookId": "h", "url": X, "kinds": [X], "hospitalIds": [X], "lastError": X });
    let rule = json!({ "kinds": [X], "roles": [X], "hospitals": [X], "email": true, "waits": { "codes": [X], "afterMinutes": 3 } });
    let hold = json!({ "object": X, "by": X, "at": AT, "reason": X });
    let disposal = json!({
        "judgedAt": AT, "logSize": 4, "entries": 2, "listSha256": X, "proposedBy": X, "confirmedBy": null, "carriedOutAt": null,
    });
    let incident =
        json!({ "incidentId": X, "title": X, "decision": null, "openedAt": AT, "dueAt": AT, "closed": null });
    let recall = json!({ "recallId": X, "outstanding": [], "closedAt": null });
    let past = json!({ "object": format!("device/{X}"), "logSize": 3, "state": { X: X } });
    match path.strip_prefix("/api/v1").unwrap_or_default() {
        "/me" => me(),
        "/me/notices" => json!([{
            "noticeId": X, "kind": X, "at": AT, "object": X, "subject": X, "detail": X, "logIndex": 3, "read": false,
        }]),
        "/me/tokens" | "/tokens" => json!([token]),
        "/users" => json!([user]),
        "/users/u" => user,
        "/roles" => json!([{ "role": X, "permissions": [{ "permission": X, "secondFactor": true, "person": true }] }]),
        "/settings" => json!({ "passwordDays": 3, "trainingRequired": true, "notices": [rule] }),
        "/webhooks" => json!([hook]),
        "/notices/dead-letters" => json!([{
            "deliveryId": X, "channel": X, "to": X, "kind": X, "subject": X, "attempts": 3, "lastError": X, "givenUpAt": AT,
        }]),
        "/compliance/audit-logs" => json!({ "records": [record()], "next": 3, "logSize": 9 }),
        "/compliance/evidence/3" => evidence(),
        "/compliance/retention" => json!({
            "terms": { "auditYears": 7, "deviceYearsAfterLife": 7, "deploymentYears": 10 }, "holds": { X: hold.clone(), "h": hold },
            "disposals": { X: disposal.clone(), "d": disposal },
        }),
        "/compliance/log/status" => json!({
            "logSize": 9, "publishedSize": 9, "writable": true, "room": X, "scrubbedAt": AT, "scrubbedEntries": 9,
            "damage": [{ "file": X, "position": 1, "entry": 1, "what": X }], "lastRecordAt": AT, "clockBehindSeconds": 0,
        }),
        "/compliance/log/checkpoint" => evidence()["checkpoint"].clone(),
        "/metrics" => format!("mdfm_expires_seconds{{what=\"{X}\"}} 5\n").into(),
        "/health" => json!({ "status": "ok", "version": X, "logSize": 9 }),
        "/readiness" => json!({ "ready": true, "writable": true }),
        "/trust" => json!({ "warnings": [X], "cosignedAt": AT }),
        "/fleet-link" => json!({
            "gateways": { "online": 1, "silent": 1, "offline": 1, "unknown": 1 }, "directives": { "issued": 1, "followed": 1 },
            "connections": { "open": 1, X: 2 }, "intake": { X: 1 },
        }),
        "/openapi.json" => {
            json!({ "components": { "schemas": { "NoticeKind": { "enum": [X] }, "AccessRole": { "enum": [X] } } } })
        }
        "/deployments" => json!([deployment()]),
        "/deployments/d/summary" => deployment(),
        "/incidents" => json!([incident]),
        "/recalls" => json!([recall]),
        "/approvals" => json!([{ "firmwareId": X, "version": X, "deviceModel": X, "missingApprovals": [X] }]),
        path if path.starts_with("/compliance/states/") => past,
        path if path.starts_with("/compliance/differences/") => {
            json!({ "object": format!("device/{X}"), "from": past, "to": past, "changes": [{ "path": X, "before": X, "after": { X: X } }] })
        }
        _ => Value::Null,
    }
}

async fn api(method: Method, uri: Uri) -> Response {
    let refusal = json!({ "type": "urn:mdfm:problem:not-found", "title": X, "detail": X });
    if uri.path() == "/api/v1/notices/dead-letters" && uri.query().is_some_and(|query| query.contains("again")) {
        let refusal = json!({ "type": "urn:mdfm:problem:step-up", "detail": "show it" });
        return (StatusCode::FORBIDDEN, axum::Json(refusal)).into_response();
    }
    if uri.path() == "/api/v1/sessions/current/second-factor" {
        return StatusCode::NO_CONTENT.into_response();
    }
    match (method, answer(uri.path())) {
        (Method::GET, Value::Null) => (StatusCode::NOT_FOUND, axum::Json(refusal)).into_response(),
        (Method::GET, Value::String(text)) => text.into_response(),
        (Method::GET, found) => axum::Json(found).into_response(),
        // Every act is refused: the form comes back with the reason and what was typed.
        _ => (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(refusal)).into_response(),
    }
}

async fn page(request: Request<Body>) -> (StatusCode, String) {
    let api = Router::new().fallback(api);
    let console = crate::router(api, |_, _| {}, "1.2.3").expect("templates");
    let Ok(answered) = console.oneshot(request).await;
    let (parts, body) = answered.into_parts();
    let bytes = to_bytes(body, 64 << 20).await.expect("a body");
    (parts.status, String::from_utf8(bytes.to_vec()).expect("text"))
}

fn get(path: &str) -> Request<Body> {
    let request = Request::get(path).header(header::COOKIE, "__Host-mdfm=session");
    request.body(Body::empty()).expect("a request")
}

/// No markup came through: not as an element, not as an attribute, and not as a second look at a
/// template.
fn check(path: &str, html: &str) {
    assert!(html.contains("<h1"), "{path} is a page");
    for hostile in ["<img src=x", "onerror=alert(1)>&lt;{{", "{49}", "style=\"", "javascript:"] {
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

#[tokio::test]
async fn sec_console_markup_in_fields_stays_text() {
    let mut with_text = 0;
    for path in [
        "/console",
        "/console/notices",
        "/console/audit",
        "/console/audit?actor=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
        "/console/audit?since=%3Cimg%20src%3Dx%3E",
        "/console/audit/3",
        "/console/audit/4",
        "/console/audit/past",
        "/console/audit/past?kind=device&id=x&from=14d",
        "/console/audit/past?kind=device&id=x&from=14d&to=1d",
        "/console/reports",
        "/console/reports/make?kind=device&id=%3Cimg%20src%3Dx%3E&format=pdf",
        "/console/retention",
        "/console/retention/holds/h",
        "/console/retention/disposals",
        "/console/retention/disposals/d",
        "/console/people",
        "/console/people/new",
        "/console/people/u",
        "/console/people/u/access",
        "/console/people/tokens",
        "/console/people/u/tokens/t",
        "/console/roles",
        "/console/settings",
        "/console/settings/rules/0",
        "/console/settings/rules/new",
        "/console/webhooks",
        "/console/webhooks/h",
        "/console/webhooks/new",
        "/console/dead-letters",
        "/console/system",
        "/console/me",
        "/console/me/password",
        "/console/me/second-factor",
        "/console/me/signing-key",
        "/console/me/tokens",
        "/console/help",
        "/console/help/audit",
        "/console/wall",
        "/console/wall?deployment=d",
    ] {
        let (status, html) = page(get(path)).await;
        let is_missing = path == "/console/audit/4" || path.starts_with("/console/reports/make");
        assert!(status == StatusCode::OK || (is_missing && status.is_client_error()), "{path}: {status}: {html}");
        check(path, &html);
        with_text += usize::from(html.contains("&lt;img src&#x3d;x") || html.contains("&lt;img src=x"));
    }
    assert!(with_text > 25, "the text itself is on the pages: {with_text}");
}

#[tokio::test]
async fn sec_console_refused_forms_come_back_as_text() {
    let typed = "%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    let fields = [
        "reason",
        "user_id",
        "printed_name",
        "roles",
        "hospital_id",
        "evidence",
        "trained_until",
        "subject",
        "act",
        "typed",
        "kinds",
        "hospitals",
        "wait_codes",
        "after_minutes",
        "webhook_id",
        "url",
        "email",
        "name",
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
    let token = crate::session::form_token("session");
    let typed: Vec<String> = fields.iter().map(|field| format!("{field}={typed}")).collect();
    let body = format!("form_token={token}&{}", typed.join("&"));
    for path in [
        "/console/notices/read",
        "/console/people/new",
        "/console/people/u/roles",
        "/console/people/u/identity",
        "/console/people/u/training",
        "/console/people/u/subject",
        "/console/people/u/access",
        "/console/people/u/enable",
        "/console/people/u/tokens/t",
        "/console/settings",
        "/console/settings/rules/0",
        "/console/settings/rules/new",
        "/console/settings/rules/0/removal",
        "/console/webhooks/h",
        "/console/webhooks/h/removal",
        "/console/dead-letters/x/retry",
        "/console/me/view",
        "/console/me/address",
        "/console/me/password",
        "/console/me/second-factor",
        "/console/me/second-factor/confirmation",
        "/console/me/signing-key",
        "/console/me/tokens",
        "/console/me/tokens/t",
        "/console/retention/terms",
        "/console/retention/holds",
        "/console/retention/holds/h",
        "/console/retention/disposals",
        "/console/retention/disposals/d",
    ] {
        let request = Request::post(path)
            .header(header::COOKIE, "__Host-mdfm=session")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (status, html) = page(request.body(Body::from(body.clone())).expect("a request")).await;
        assert!(status.is_client_error(), "{path}: {status}: {html}");
        assert!(html.contains("Not done."), "{path} says that nothing was done");
        check(path, &html);
    }
}

#[tokio::test]
async fn sec_console_step_up_for_reading_leads_back() {
    let (status, html) = page(get("/console/dead-letters?sort=again")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(html.contains("action=\"&#x2f;console&#x2f;step-up\"") && html.contains("name=\"next\""), "{html}");
    for (next, to) in [
        ("%2Fconsole%2Fdead-letters%3Fsort%3Dagain", "/console/dead-letters?sort=again"),
        ("https%3A%2F%2Fevil.example%2F", "/console"),
    ] {
        let token = crate::session::form_token("session");
        let request = Request::post("/console/step-up")
            .header(header::COOKIE, "__Host-mdfm=session")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = format!("form_token={token}&next={next}&step_up_code=123456");
        let console = crate::router(Router::new().fallback(api), |_, _| {}, "1.2.3").expect("templates");
        let Ok(answered) = console.oneshot(request.body(Body::from(body)).expect("a request")).await;
        assert_eq!(answered.status(), StatusCode::SEE_OTHER);
        assert_eq!(answered.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()), Some(to));
    }
}
