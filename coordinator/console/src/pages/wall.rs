//! A display for a wall: one deployment in large type. It shows, and does nothing.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use minijinja::Environment;
use serde_json::{Value, json};

use crate::api::path;
use crate::failure::Failure;
use crate::page::Page;
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

/// The failed of a phase in per cent of those that ended in it; `null` before any has.
fn rate(phase: &Value) -> Value {
    let count = |name: &str| phase["devices"][name].as_u64().unwrap_or_default();
    let ended = count("accounted");
    if ended == 0 { Value::Null } else { format!("{:.2}", 100.0 * count("failed") as f64 / ended as f64).into() }
}

async fn show(page: Page) -> Result<Response, Failure> {
    let wanted = page.query("deployment");
    if wanted.is_empty() {
        let deployments = page.api.find("/api/v1/deployments?limit=50").await?;
        return page.render("wall.html", json!({ "deployments": deployments }));
    }
    let deployment = page.api.get(&path(&["deployments", wanted, "summary"])).await?.body;
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
    let is_over = ["completed", "rolledBack", "aborted", "superseded"].contains(&status);
    let now = Timestamp::now();
    let context = json!({
        "sum": sum(&deployment), "rate": rate(&phase), "phase": phase, "duties": duties, "tone": tone, "sign": sign,
        "is_over": is_over, "now": now.to_string(), "made_ms": now.as_millisecond(), "deployment": deployment,
    });
    page.render("wall-one.html", context)
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
        assert_eq!(rate(&phase(1)), "25.00");
        assert_eq!(rate(&json!({ "devices": { "accounted": 0, "failed": 0 } })), Value::Null);
    }
}
