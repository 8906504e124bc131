//! A display for a wall: one deployment in large type. It shows, and does nothing.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use minijinja::Environment;
use serde_json::{Value, json};

use super::home::OPEN_DEPLOYMENTS;
use crate::api::{Api, path, with_query};
use crate::failure::Failure;
use crate::filters::is_over;
use crate::page::{Page, plain};
use crate::session::{self, is_display};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/wall"), get(show))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "wall.html", "wall-one.html");
    Ok(())
}

/// The devices of all phases together.
fn sum(deployment: &Value) -> Value {
    let phases = || deployment["phases"].as_array().into_iter().flatten();
    let total = |name: &str| phases().map(|phase| phase["devices"][name].as_u64().unwrap_or_default()).sum::<u64>();
    let names = ["devices", "confirmed", "inFlight", "failed", "silent"];
    names.into_iter().map(|name| (name.to_owned(), Value::from(total(name)))).collect::<serde_json::Map<_, _>>().into()
}

/// Deployments to choose from: what is open, however old, then the newest of the others.
fn open_first(open: Value, newest: Value) -> Vec<Value> {
    let of = |list: Value| list.as_array().cloned().unwrap_or_default();
    let mut all = of(open);
    all.extend(of(newest).into_iter().filter(|deployment| deployment["isOpen"] != true));
    all
}

/// What a display can show, for whoever sees it.
///
/// # Errors
/// As [`Api::find`].
pub(super) async fn choices(page: &Page) -> Result<Vec<Value>, Failure> {
    let newest = [("sort", "-createdAt"), ("limit", "50")];
    let open = page.api.find(&with_query("/api/v1/deployments", &OPEN_DEPLOYMENTS)).await?;
    let newest = page.api.find(&with_query("/api/v1/deployments", &newest)).await?;
    Ok(open_first(open, newest))
}

async fn show(State(console): State<Console>, request: Request) -> Result<Response, Failure> {
    let (mut parts, _) = request.into_parts();
    if let Some(token) = crate::token(&parts.headers).filter(|token| is_display(token)) {
        return show_display(&console, &parts, token).await;
    }
    let page = Page::from_request_parts(&mut parts, &console).await?;
    let wanted = page.query("deployment");
    if wanted.is_empty() {
        let deployments = choices(&page).await?;
        return page.render("wall.html", json!({ "deployments": deployments }));
    }
    let context = one(&page.api, wanted, &page.view().zone).await?;
    page.render("wall-one.html", context)
}

/// A display shows its deployment, whatever its address says. One that is not paired any more asks to be.
async fn show_display(console: &Console, parts: &Parts, token: String) -> Result<Response, Failure> {
    let console = console.seen_by(&parts.headers);
    let api = Api::new(&console, &parts.extensions, Some(token), true);
    let shown = async {
        let display = api.get("/api/v1/display").await?.body;
        one(&api, display["deploymentId"].as_str().unwrap_or_default(), &console.view.zone).await
    };
    match shown.await {
        Ok(context) => Ok(plain(&console, StatusCode::OK, "wall-one.html", context, None)?),
        Err(Failure::SignedOut) => {
            let to = (header::LOCATION, format!("{ROOT}/display"));
            let cookie = (header::SET_COOKIE, session::ended());
            Ok((StatusCode::SEE_OTHER, [to], [cookie]).into_response())
        }
        Err(other) => Err(other),
    }
}

/// What is shown of one deployment.
async fn one(api: &Api, wanted: &str, zone: &str) -> Result<Value, Failure> {
    let deployment = api.get(&path(&["deployments", wanted, "summary"])).await?.body;
    let status = deployment["status"]["name"].as_str().unwrap_or_default();
    let (tone, sign) = match status {
        "completed" => ("good", "\u{2713}"),
        "rolledBack" | "rollingBack" | "aborted" | "aborting" => ("bad", "\u{2715}"),
        "paused" => ("warn", "!"),
        _ => ("plain", "\u{25b6}"),
    };
    let current = deployment["currentPhase"].as_u64().unwrap_or_default();
    let place = usize::try_from(current).unwrap_or_default().saturating_sub(1);
    let phase = deployment["phases"].get(place).cloned().unwrap_or_default();
    let duties: Vec<Value> = deployment["duties"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|duty| duty["fulfilled"].is_null())
        .cloned()
        .collect();
    let is_over = is_over(status);
    let now = Timestamp::now();
    Ok(json!({
        "sum": sum(&deployment), "zone": zone, "phase": phase, "duties": duties, "tone": tone, "sign": sign,
        "is_over": is_over, "now": now.to_string(), "made_ms": now.as_millisecond(), "deployment": deployment,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_wall_adds_up_the_phases() {
        let phase =
            |failed: u64| json!({ "devices": { "devices": 10, "accounted": 4, "failed": failed, "silent": 1 } });
        let sum = sum(&json!({ "phases": [phase(1), phase(2)] }));
        assert_eq!(
            (sum["devices"].as_u64(), sum["failed"].as_u64(), sum["confirmed"].as_u64()),
            (Some(20), Some(3), Some(0))
        );
    }
    #[test]
    fn console_a_wall_offers_what_is_open_first() {
        let one = |id: &str, is_open: bool| json!({ "deploymentId": id, "isOpen": is_open });
        let all = open_first(json!([one("old", true)]), json!([one("new", false), one("old", true)]));
        let ids: Vec<&Value> = all.iter().map(|deployment| &deployment["deploymentId"]).collect();
        assert_eq!(ids, ["old", "new"]);
        assert!(open_first(Value::Null, Value::Null).is_empty());
    }

    #[test]
    fn use_08_a_wall_shows_the_bound_beside_the_rate() {
        let page = |standing: Value| {
            let deployment = json!({ "deploymentId": "D-1", "firmwareId": "F-1", "status": { "name": "running", "reason": null }, "currentPhase": 1,
                "phases": [{}], "waiting": [] });
            let phase = json!({ "name": "Pilot", "status": { "name": "monitoring" }, "maxErrorRatePercent": 1.0, "standing": standing });
            let more = json!({ "deployment": deployment, "phase": phase, "sum": sum(&Value::Null), "zone": "Europe/Berlin", "duties": [],
                "tone": "plain", "sign": "", "is_over": false, "now": "2026-11-30T12:00:00Z", "made_ms": 0 });
            crate::testing::rendered("wall-one.html", more)
        };
        let none = json!({ "observed": 84, "failed": 0, "errorRatePercent": 0.0, "upperBoundPercent": 3.5, "proved": false, "needed": 299 });
        let shown = page(none);
        for part in ["0 of 84", "bound 3.5 %", "limit 1 %", "not proved", "data-zone=\"Europe&#x2f;Berlin\""] {
            assert!(shown.replace("0.000", "0").contains(part), "{part}: {shown}");
        }
        assert!(!page(Value::Null).contains("bound"), "staff of a hospital see no figures of the fleet");
    }
}
