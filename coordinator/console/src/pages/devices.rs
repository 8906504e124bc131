//! One device: what is registered beside what is observed, its timeline, its history; and which
//! side is right.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use minijinja::Environment;
use serde_json::{Value, json};

use super::acts::{self, Refused, settle};
use crate::api::{path, segment, with_query};
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, builder, chart, templates};

/// Lengths of the timeline that can be chosen: name, milliseconds; the first if none is.
const SPANS: [(&str, i64); 5] =
    [("all", i64::MAX), ("month", 30 * 86_400_000), ("week", 7 * 86_400_000), ("day", 86_400_000), ("hour", 3_600_000)];
/// Records of the timeline.
const RECORDS: &str = "200";

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/devices/{{device}}"), get(show))
        .route(&format!("{ROOT}/devices/{{device}}/reconcile"), post(reconcile))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "devices/show.html");
    Ok(())
}

/// From when to when a timeline goes: the chosen length until now, or from the oldest record to the
/// newest.
fn span(records: &[Value], chosen: &str, now: i64) -> (i64, i64) {
    let length = SPANS.iter().find(|(name, _)| *name == chosen).map_or(i64::MAX, |(_, length)| *length);
    if length != i64::MAX {
        return (now - length, now);
    }
    let time = |record: &Value| record["at"].as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    let times: Vec<i64> = records.iter().filter_map(time).collect();
    let (first, last) = (times.iter().min().copied().unwrap_or(now), times.iter().max().copied().unwrap_or(now));
    // Marks at the very ends could not be seen.
    let margin = ((last - first) / 50).max(1_000);
    (first - margin, last + margin)
}

/// The registered and the observed side, field by field.
fn sides(device: &Value) -> Vec<Value> {
    let observed = &device["observed"];
    let rows = [
        ("Model", "model", &device["modelNumber"], &observed["modelNumber"]),
        ("Serial number", "serial", &device["serialNumber"], &observed["serialNumber"]),
        ("Hardware revision", "hardware", &device["hardwareRevision"], &observed["hardwareRevision"]),
        ("Firmware", "firmware", &device["expectedFirmwareVersion"], &observed["firmwareVersion"]),
        ("Gateway", "gateway", &device["gatewayId"], &observed["gatewayId"]),
    ];
    let differences = device["differences"].as_array().cloned().unwrap_or_default();
    let row = |(label, kind, registered, observed): (&str, &str, &Value, &Value)| {
        let found = differences.iter().find(|d| d["kind"].as_str().is_some_and(|k| k.to_lowercase().starts_with(kind)));
        json!({ "label": label, "registered": registered, "observed": observed, "difference": found })
    };
    rows.into_iter().map(row).collect()
}

async fn show(page: Page, Path(device): Path<String>) -> Result<Response, Failure> {
    render(&page, &device, None).await
}

async fn render(page: &Page, device: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["devices", device])).await?;
    let from = page.query("from");
    let history =
        page.api.find(&with_query(&path(&["devices", device, "history"]), &[("from", from), ("limit", "50")])).await?;
    let many = page.api.find(&with_query(&path(&["devices", device, "history"]), &[("limit", RECORDS)])).await?;
    let records = many["records"].as_array().cloned().unwrap_or_default();
    let chosen = Some(page.query("span")).filter(|name| SPANS.iter().any(|(known, _)| known == name)).unwrap_or("all");
    let (since, until) = span(&records, chosen, Timestamp::now().as_millisecond());
    let named = builder::condition("deviceIds", "=", device).unwrap_or_default();
    let incidents = page.api.find(&with_query("/api/v1/incidents", &[("filter", &named), ("limit", "20")])).await?;
    let context = json!({
        "tag": answer.tag(),
        "sides": sides(&answer.body),
        "device": answer.body,
        "history": history,
        "incidents": incidents,
        "timeline": chart::device_timeline::of(&records, since, until),
        "timeline_is_whole": many["next"].is_null(),
        "span": chosen,
        "spans": SPANS.map(|(name, _)| name),
    });
    acts::show(page, "devices/show.html", context, refused)
}

/// Decides which side of a device is right.
async fn reconcile(page: Page, Path(device): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "right": form.text("right"), "reason": form.text("reason") });
    let to = path(&["devices", &device, "reconciliation"]);
    match settle(page.act(&form, Method::POST, &to, &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/devices/{}", segment(&device)), "reconciled")),
        Err(refusal) => render(&page, &device, Some((&form, &refusal))).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_09_what_is_old_says_so() {
        let page = |presence: &str, heard: Value| {
            let device = json!({
                "deviceId": "D-1", "modelNumber": "X", "serialNumber": "1", "udi": null, "hospitalId": "H-1", "gatewayId": "G-1",
                "currentFirmwareVersion": "1", "runningSha256": null, "presence": presence, "lastAttachedAt": heard, "inUse": false,
                "securityFloor": 1, "installState": null, "detail": null, "rollbackMs": null, "lastError": null, "deploymentId": null,
                "recallId": null, "retiredAt": null, "hardwareRevision": null, "expectedFirmwareVersion": "1", "differs": [],
                "observed": null, "differences": [], "waiting": null,
            });
            let timeline = chart::device_timeline::of(&[], 0, 1);
            let more = json!({ "device": device, "sides": [], "incidents": [], "history": [], "timeline": timeline, "tag": null,
                "timeline_is_whole": true, "span": "all", "spans": ["all"] });
            crate::testing::rendered("devices/show.html", more)
        };
        let now = page("attached", json!("2026-11-30T12:00:00Z"));
        assert!(now.contains("not in use") && !now.contains("last known"), "{now}");
        for (presence, heard) in
            [("unreachable", json!("2026-11-30T12:00:00Z")), ("unknown", Value::Null), ("detached", Value::Null)]
        {
            let old = page(presence, heard);
            assert!(old.contains("<s class=\"stale\">not in use</s>") && old.contains("it may be in use now"), "{old}");
        }
    }

    #[test]
    fn console_differences_stand_beside_their_field() {
        let device = json!({
            "modelNumber": "X", "serialNumber": "S-1", "gatewayId": "GW-1", "expectedFirmwareVersion": "1.0",
            "observed": { "modelNumber": "Y", "serialNumber": "S-1" },
            "differences": [{ "kind": "model", "registered": "X", "observed": "Y" }],
        });
        let rows = sides(&device);
        assert_eq!(rows[0]["difference"]["observed"], "Y");
        assert!(rows[1..].iter().all(|row| row["difference"].is_null()), "{rows:?}");
        let unseen = sides(&json!({}));
        assert!(unseen.iter().all(|row| row["observed"].is_null()), "no \"observed\" side for a device");
    }

    #[test]
    fn console_a_timeline_spans_its_records_or_what_is_chosen() {
        let records = [json!({ "at": "2026-11-30T12:00:00Z" }), json!({ "at": "2026-11-30T13:00:00Z" })];
        let (since, until) = span(&records, "all", 0);
        assert!(since < 1_796_040_000_000 && until > 1_796_043_600_000 && until - since < 4_000_000);
        assert_eq!(span(&records, "hour", 7_200_000), (3_600_000, 7_200_000));
        assert!(span(&[], "all", 5).0 < 5);
    }
}
