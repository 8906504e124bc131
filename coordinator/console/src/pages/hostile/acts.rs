//! What an act needs beside its form: a typed number, a list that was checked, the second factor; and what no page asks for on its own.

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Acts, console, fleet, office, page, segment, send};

/// A recall opens only with the number of devices that it concerns at that moment.
#[tokio::test]
async fn console_a_recall_is_confirmed_by_its_devices() {
    let console = console(fleet::answer, Acts::Accepts);
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
    let console = console(fleet::answer, Acts::Accepts);
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
            let mut body = fleet::answer(request.method(), &path);
            if path == "/api/v1/me" {
                body["permissions"] = json!(["consent", "rollBack", "reportIncident", "read"]);
                body["hospitalId"] = json!("H-1");
            }
            seen.lock().expect("the paths").push(path);
            axum::Json(body)
        }
    });
    let console = crate::router(api, |_, _| {}, "1.0").expect("the templates are valid");
    let evil = segment();
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

/// An API that wants the second factor shown again before it lists dead letters in another order.
async fn stepped_up(request: Request) -> Response {
    if request.uri().path() == "/api/v1/notices/dead-letters"
        && request.uri().query().is_some_and(|query| query.contains("again"))
    {
        let refusal = json!({ "type": "urn:mdfm:problem:step-up", "detail": "show it" });
        return (StatusCode::FORBIDDEN, axum::Json(refusal)).into_response();
    }
    if request.uri().path() == "/api/v1/sessions/current/second-factor" {
        return StatusCode::NO_CONTENT.into_response();
    }
    axum::Json(office::answer(request.method(), request.uri().path())).into_response()
}

#[tokio::test]
async fn sec_console_step_up_for_reading_leads_back() {
    let console = crate::router(Router::new().fallback(stepped_up), |_, _| {}, "1.2.3").expect("templates");
    let (status, html) = page(&console, "/console/dead-letters?sort=again", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(html.contains("action=\"&#x2f;console&#x2f;step-up\"") && html.contains("name=\"next\""), "{html}");
    for (next, to) in [
        ("/console/dead-letters?sort=again", "/console/dead-letters?sort=again"),
        ("https://evil.example/", "/console"),
    ] {
        let answered = send(&console, "/console/step-up", Some(&[("next", next), ("step_up_code", "123456")])).await;
        assert_eq!(answered.status(), StatusCode::SEE_OTHER);
        assert_eq!(answered.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()), Some(to));
    }
}
