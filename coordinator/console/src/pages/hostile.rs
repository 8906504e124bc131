//! Every page of devices, hospitals, gateways, groups, recalls, incidents and the fleet, made from
//! an API whose every text is hostile.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tower::ServiceExt;

/// What stands in every text that somebody could have chosen.
const EVIL: &str = "<img src=x onerror=alert(1)>\"'&";
const AT: &str = "2026-11-30T12:00:00Z";

fn device() -> Value {
    json!({
        "deviceId": EVIL, "modelNumber": EVIL, "serialNumber": EVIL, "udi": EVIL, "hospitalId": EVIL, "gatewayId": EVIL,
        "currentFirmwareVersion": EVIL, "runningSha256": EVIL, "presence": EVIL, "lastAttachedAt": AT, "inUse": null, "securityFloor": 3,
        "installState": EVIL, "detail": EVIL, "rollbackMs": 5, "lastError": EVIL, "deploymentId": EVIL, "recallId": EVIL,
        "retiredAt": null, "hardwareRevision": EVIL, "expectedFirmwareVersion": EVIL, "differs": [EVIL],
        "observed": { "gatewayId": EVIL, "present": true, "modelNumber": EVIL, "serialNumber": EVIL, "hardwareRevision": EVIL, "firmwareVersion": EVIL,
            "sha256": EVIL, "bootCount": 1, "unorderedReboots": 0, "recentReboots": 0, "lastRebootAt": null, "since": AT, "reportedAt": AT },
        "differences": [{ "kind": EVIL, "registered": EVIL, "observed": EVIL, "since": AT, "expectedBy": EVIL, "reason": EVIL }],
        "waiting": { "code": EVIL, "text": EVIL, "since": AT, "until": null, "who": EVIL, "how": EVIL },
    })
}

fn deployment() -> Value {
    json!({
        "deploymentId": EVIL, "firmwareId": EVIL, "createdBy": EVIL, "createdAt": AT, "strategy": EVIL, "status": { "name": EVIL }, "currentPhase": 1,
        "consents": [{ "hospitalId": EVIL, "givenBy": null, "givenAt": null }, { "hospitalId": "H-2", "givenBy": EVIL, "givenAt": AT }],
        "phases": [{ "name": EVIL, "hospitals": [EVIL], "status": { "name": EVIL }, "monitoringDurationMs": 5 }],
    })
}

/// The objects of one list of the API.
fn object(kind: &str) -> Value {
    let window = json!({ "dayOfWeek": EVIL, "startTime": EVIL, "endTime": EVIL, "timezone": EVIL });
    let next = json!({ "opensAt": AT, "closesAt": AT, "opensLocal": EVIL, "closesLocal": EVIL });
    match kind {
        "devices" => device(),
        "hospitals" => {
            json!({ "hospitalId": EVIL, "name": EVIL, "cohort": EVIL, "timezone": EVIL, "consentRequired": true, "maintenanceWindows": [window], "nextWindows": [next] })
        }
        "cohorts" => json!({ "cohort": EVIL, "hospitals": [EVIL], "devices": 1 }),
        "gateways" => {
            json!({ "gatewayId": EVIL, "hospitalId": EVIL, "enrolled": true, "revoked": false, "telemetrySequence": 1, "telemetryEpoch": 1, "telemetry": EVIL,
            "telemetrySince": AT, "epochsBegun": 0, "directiveSerial": 1, "withdrawalsVersion": null, "presence": EVIL, "lastHeartbeatAt": AT, "findings": 1,
            "anomalies": [{ "kind": EVIL, "at": AT, "epoch": 1, "sequence": 1, "expected": 1, "stands": true }], "unregisteredDevices": [EVIL] })
        }
        "groups" => json!({ "groupId": EVIL, "name": EVIL, "query": EVIL, "listed": null }),
        "recalls" => {
            json!({ "recallId": EVIL, "criteria": { "model": EVIL }, "action": EVIL, "reason": EVIL, "openedBy": EVIL, "openedAt": AT, "firmware": [EVIL], "found": 1,
            "outstanding": [{ "deviceId": EVIL, "hospitalId": EVIL, "firmwareVersion": EVIL, "lastSeen": AT, "away": true, "needWords": EVIL, "orderId": EVIL }],
            "needs": { "none": 0, "ordered": 0, "order": 1, "orderByTwoRoles": 0 }, "closedBy": null, "closedAt": null })
        }
        "incidents" => {
            json!({ "incidentId": EVIL, "title": EVIL, "description": EVIL, "outcome": EVIL, "deviceIds": [EVIL], "hospitalIds": [EVIL], "deploymentId": EVIL, "openedBy": EVIL, "openedAt": AT,
            "decision": { "reportable": true, "urgent": true, "by": EVIL, "at": AT, "reason": EVIL }, "notes": [{ "by": EVIL, "at": AT, "text": EVIL }], "dueAt": AT, "report": EVIL, "closed": null })
        }
        "deployments" => deployment(),
        "firmware" => {
            json!({ "firmwareId": EVIL, "version": EVIL, "deviceModel": EVIL, "releaseNotes": EVIL, "recallWindowDays": 14.0, "manifest": null })
        }
        "users" => json!({ "userId": EVIL, "printedName": EVIL, "email": EVIL }),
        _ => Value::Null,
    }
}

/// The API's answer to a request.
fn answer(method: &Method, path: &str) -> Value {
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let record = json!({ "index": 1, "at": AT, "actor": { "kind": EVIL, "id": EVIL, "roles": [EVIL] }, "action": EVIL, "outcome": EVIL, "reason": EVIL });
    match parts[..] {
        ["me"] => {
            json!({ "userId": EVIL, "printedName": EVIL, "roles": [EVIL], "hospitalId": null, "cannotSign": EVIL, "secondFactor": true, "trial": false,
            "permissions": ["manageFleet", "consent", "recall", "reportIncident", "read", "readAll", "readAudit"], "session": { "idleEndsAt": AT, "endsAt": AT } })
        }
        ["fleet", "counts"] => {
            json!({ "devices": 1, "retired": 0, "differing": 1, "differences": { (EVIL): 1 }, "silent": 1, "presence": { "attached": 0, "detached": 0, "unreachable": 0, "unknown": 1 },
            "counts": [{ "modelNumber": EVIL, "currentFirmwareVersion": EVIL, "hospitalId": EVIL, "installState": EVIL, "devices": 1, "silent": 1 }],
            "floors": [{ "modelNumber": EVIL, "securityFloor": 1, "devices": 1 }] })
        }
        ["fleet", "selection"] => json!({ "devices": 1, "hospitals": { (EVIL): 1 }, "first": [EVIL] }),
        ["fleet-link"] => {
            json!({ "gateways": { "online": 0, "silent": 0, "offline": 0, "unknown": 1 }, "directives": { "issued": 1, "followed": 0 }, "connections": { "open": 1 }, "intake": { "taken": 1 } })
        }
        ["recalls"] if method == Method::POST => {
            json!({ "devices": 1, "releases": [{ "firmwareId": EVIL, "version": EVIL, "status": EVIL, "isWithdrawnByIt": true }],
            "hospitals": [{ "hospitalId": EVIL, "devices": [EVIL] }], "deployments": [{ "deploymentId": EVIL, "isRolledBack": true }] })
        }
        ["gateways", _, "enrolment-tokens"] => json!({ "token": EVIL, "expiresAt": AT }),
        ["gateways", _, "telemetry"] => {
            json!({ "taken": 1, "known": 0, "refused": EVIL, "head": { "topic": EVIL, "payload": EVIL }, "acknowledgement": null })
        }
        ["devices", "import"] => json!({ "dryRun": true, "rows": 1, "registered": 0 }),
        [.., "history"] | ["compliance", "audit-logs"] => json!({ "records": [record], "next": 1, "logSize": 2 }),
        ["deployments", _, "summary"] => deployment(),
        ["deployments", _, "devices"] => {
            json!([{ "deviceId": EVIL, "firmwareVersion": EVIL, "state": EVIL, "waiting": { "text": EVIL } }])
        }
        ["groups", _, "devices"] => json!([device()]),
        [kind] => json!([object(kind)]),
        [kind, _] => object(kind),
        _ => Value::Null,
    }
}

/// The console in front of that API, or of one that refuses every act.
fn console(refuses: bool) -> Router {
    let api = Router::new().fallback(move |request: Request| async move {
        if refuses && !request.method().is_safe() {
            let problem = json!({ "type": format!("urn:mdfm:problem:{EVIL}"), "detail": format!("line 1: {EVIL}"), "status": 409 });
            return (StatusCode::CONFLICT, axum::Json(problem)).into_response();
        }
        axum::Json(answer(request.method(), request.uri().path())).into_response()
    });
    crate::router(api, |_, _| {}, "1.0").expect("the templates are valid")
}

async fn page(console: &Router, path: &str, form: Option<&[(&str, &str)]>) -> (StatusCode, String) {
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
    let response = console.clone().oneshot(request.expect("a request")).await.expect("an answer");
    let status = response.status();
    let body = to_bytes(response.into_body(), 8 << 20).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

/// The evil text as one segment of a path.
fn evil() -> String {
    crate::api::segment(EVIL)
}

#[tokio::test]
async fn sec_console_no_text_of_the_fleet_is_markup() {
    let (console, evil) = (console(false), evil());
    let query = serde_urlencoded::to_string([("filter", EVIL), ("q", EVIL), ("device", EVIL), ("query", EVIL)])
        .expect("a query");
    let mut paths: Vec<String> = [
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
    ]
    .map(str::to_owned)
    .to_vec();
    for (kind, pages) in [
        ("devices", &["", "/change", "/retire"][..]),
        ("hospitals", &["", "/change", "/policy"]),
        ("gateways", &["", "/token", "/revoke", "/media"]),
        ("groups", &["", "/change", "/remove"]),
        ("recalls", &["", "/close"]),
        ("incidents", &[""]),
    ] {
        paths.extend(pages.iter().map(|page| format!("{kind}/{evil}{page}")));
    }
    paths.extend([
        format!("consents/D-1/{evil}"),
        format!("consents/D-1/{evil}/withdraw"),
        "consents/D-1/H-2".to_owned(),
    ]);
    paths.push(
        "devices?columns=udi,gatewayId,waiting,recallId,lastError,deploymentId,hardwareRevision,serialNumber"
            .to_owned(),
    );
    for path in paths {
        let sign = if path.contains('?') { '&' } else { '?' };
        let (status, shown) = page(&console, &format!("/console/{path}{sign}{query}"), None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {shown}");
        assert!(!shown.contains("<img src=x"), "{path} has markup of somebody else");
        assert!(!shown.contains("\"'&"), "{path} has an attribute that ends early");
        assert!(shown.matches("<h1").count() == 1 && shown.contains("</html>"), "{path} is not a whole page");
        assert!(!shown.contains(" style=") && !shown.contains(" onclick="), "{path} has something inline");
    }
}

#[tokio::test]
async fn sec_console_what_was_typed_is_not_markup_either() {
    let evil = evil();
    let typed = |names: &[&'static str]| names.iter().map(|name| (*name, EVIL)).collect::<Vec<_>>();
    let fields = typed(&[
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
    ]);
    let (refusing, willing) = (console(true), console(false));
    let mut paths: Vec<String> = [
        "devices/new",
        "devices/import",
        "hospitals/new",
        "gateways/new",
        "groups/new",
        "recalls/new",
        "incidents/new",
    ]
    .map(str::to_owned)
    .to_vec();
    for page in [
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
    ] {
        paths.push(page.replace("ID", &evil));
    }
    for path in &paths {
        let (status, shown) = page(&refusing, &format!("/console/{path}"), Some(&fields)).await;
        assert!(status.is_client_error(), "{path}: {status}");
        assert!(!shown.contains("<img src=x") && !shown.contains("\"'&"), "{path} has markup of somebody else");
        assert!(shown.contains("id=\"problem\""), "{path} does not say why: {shown}");
    }
    // Pages that an act itself answers: a preview, a token, a count, what was delivered, a list
    // that was checked.
    let document = "{\"documents\": [{}]}";
    for (path, more) in [
        ("recalls/new", ("versions", "1")),
        ("gateways/ID/token", ("typed", EVIL)),
        ("groups/new", ("count", "yes")),
        ("gateways/ID/media", ("telemetry", document)),
        ("devices/import", ("list", EVIL)),
    ] {
        let fields: Vec<_> = fields.iter().copied().filter(|(name, _)| *name != more.0).chain([more]).collect();
        let (status, shown) = page(&willing, &format!("/console/{}", path.replace("ID", &evil)), Some(&fields)).await;
        assert!(status.is_success(), "{path}: {status} {shown}");
        assert!(!shown.contains("<img src=x") && !shown.contains("\"'&"), "{path} has markup of somebody else");
    }
}

/// A recall opens only with the number of devices that it concerns at that moment.
#[tokio::test]
async fn console_a_recall_is_confirmed_by_its_devices() {
    let console = console(false);
    let fields = |typed| {
        [
            ("device_model", "X"),
            ("all_releases", "yes"),
            ("action", "quarantine"),
            ("reason", "r"),
            ("open", "yes"),
            ("typed", typed),
        ]
    };
    let (status, shown) = page(&console, "/console/recalls/new", Some(&fields("2"))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(shown.contains("To confirm, type") && shown.contains("not-confirmed"), "{shown}");
    let (status, _) = page(&console, "/console/recalls/new", Some(&fields("1"))).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

/// A list is registered only as it was checked.
#[tokio::test]
async fn console_a_list_is_registered_as_it_was_checked() {
    let console = console(false);
    let (status, _) =
        page(&console, "/console/devices/import", Some(&[("list", "a"), ("register", "yes"), ("checked_list", "b")]))
            .await;
    assert_eq!(status, StatusCode::OK, "only checked");
    let (status, _) =
        page(&console, "/console/devices/import", Some(&[("list", "a"), ("register", "yes"), ("checked_list", "a")]))
            .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

/// What the API refuses is recorded: no page may ask for it on its own.
#[tokio::test]
async fn sec_console_no_page_asks_for_what_is_refused() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&asked);
    let api = Router::new().fallback(move |request: Request| {
        let seen = std::sync::Arc::clone(&seen);
        async move {
            let path = request.uri().path().to_owned();
            let mut body = answer(request.method(), &path);
            if path == "/api/v1/me" {
                body["permissions"] = json!(["consent", "rollBack", "reportIncident", "read"]);
                body["hospitalId"] = json!("H-1");
            }
            seen.lock().expect("the paths").push(path);
            axum::Json(body)
        }
    });
    let console = crate::router(api, |_, _| {}, "1.0").expect("the templates are valid");
    let evil = evil();
    for path in [
        "",
        "/devices",
        "/devices/ID",
        "/devices/ID/change",
        "/hospitals",
        "/hospitals/ID",
        "/hospitals/ID/change",
        "/hospitals/ID/policy",
        "/consents",
        "/consents/D-1/ID",
        "/incidents",
        "/incidents/ID",
        "/incidents/new",
        "/search?q=D",
    ] {
        let (status, shown) = page(&console, &format!("/console{}", path.replace("ID", &evil)), None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {shown}");
    }
    let asked = asked.lock().expect("the paths");
    assert!(asked.iter().any(|path| path == "/api/v1/devices"), "the pages asked for something");
    for of_others in [
        "approvals",
        "gateways",
        "groups",
        "cohorts",
        "recalls",
        "users",
        "compliance",
        "fleet",
        "fleet-link",
        "settings",
    ] {
        let refused: Vec<_> = asked.iter().filter(|path| path.split('/').nth(3) == Some(of_others)).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}
