//! The state of this installation: log, disk, clock, scrub, witnesses, what expires, the link to
//! the fleet.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use minijinja::Environment;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::page::Page;
use crate::{Console, ROOT, templates};

/// Bytes of metrics, or of a checkpoint, that are read at most.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// The metric by which the coordinator says how long things count.
const EXPIRES: &str = "mdfm_expires_seconds{what=\"";

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/system"), get(show))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "system.html");
    Ok(())
}

/// An answer that is text; `None` if it is absent, refused or too large.
async fn text(page: &Page, path: &str) -> Result<Option<String>, Failure> {
    let response = match page.api.raw(Method::GET, path, HeaderMap::new(), Body::empty()).await {
        Ok(response) => response,
        Err(Failure::Refused(_)) => return Ok(None),
        Err(other) => return Err(other),
    };
    let bytes = to_bytes(response.into_body(), TEXT_BYTES_MAX).await.ok();
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()))
}

/// The first of each kind that expires, the next one first.
fn ends(metrics: &str, now: Timestamp) -> Vec<Value> {
    let mut found: Vec<(i64, &str)> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(EXPIRES)?.split_once("\"} "))
        .filter_map(|(what, seconds)| Some((seconds.trim().parse::<f64>().ok()? as i64, what)))
        .collect();
    found.sort_unstable();
    let shown = |(seconds, what): (i64, &str)| {
        let at = now.as_millisecond().saturating_add(seconds.saturating_mul(1_000));
        json!({ "what": what, "seconds": seconds, "at": at })
    };
    found.into_iter().map(shown).collect()
}

/// Origin, size and signers of a checkpoint; `null` for another text.
fn checkpoint(note: &str) -> Value {
    let read = || {
        let (text, signatures) = note.split_once("\n\n")?;
        let mut lines = text.lines();
        let (origin, size) = (lines.next()?, lines.next()?.parse::<u64>().ok()?);
        let name = |line: &str| Some(line.strip_prefix("\u{2014} ")?.split(' ').next()?.to_owned());
        let signers: Vec<String> = signatures.lines().filter_map(name).collect();
        Some(json!({ "origin": origin, "size": size, "signers": signers }))
    };
    read().unwrap_or_default()
}

async fn show(page: Page) -> Result<Response, Failure> {
    let now = Timestamp::now();
    let metrics = if page.may("readAll") { text(&page, "/api/v1/metrics").await? } else { None };
    let note = text(&page, "/api/v1/compliance/log/checkpoint").await?.unwrap_or_default();
    // Not ready is an answer with another status, and no reason to show nothing.
    let readiness = match page.api.get("/api/v1/readiness").await {
        Ok(answer) => answer.body,
        Err(Failure::Refused(_)) => json!({ "ready": false, "writable": false }),
        Err(other) => return Err(other),
    };
    let mut health = page.api.get("/api/v1/health").await?.body;
    health["trial"] = (health["trial"] == true).into();
    let context = json!({
        "now": now.to_string(), "health": health, "readiness": readiness, "ends": ends(metrics.as_deref().unwrap_or_default(), now),
        "checkpoint": checkpoint(&note),
        "log": page.find_if("readAudit", "/api/v1/compliance/log/status").await?,
        "link": page.find_if("readAll", "/api/v1/fleet-link").await?,
        "trust": page.api.find("/api/v1/trust").await?,
    });
    page.render("system.html", context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_what_expires_is_read_off_the_metrics() {
        let now = Timestamp::from_second(1_000).expect("a time");
        let text = "# HELP mdfm_expires_seconds x\nmdfm_expires_seconds{what=\"root\"} 60\nmdfm_expires_seconds{what=\"token\"} -5\nother 1\n\
            mdfm_expires_seconds{what=\"x\"} NaNo\n";
        let ends = ends(text, now);
        assert_eq!(ends.len(), 2);
        assert_eq!((ends[0]["what"].as_str(), ends[0]["at"].as_i64()), (Some("token"), Some(995_000)));
        assert_eq!((ends[1]["what"].as_str(), ends[1]["at"].as_i64()), (Some("root"), Some(1_060_000)));
    }

    #[test]
    fn console_a_checkpoint_names_its_signers() {
        let shown = checkpoint("log\n568\nAAAA\n\n\u{2014} log x\n\u{2014} w1 y\n");
        assert_eq!((shown["size"].as_u64(), &shown["signers"]), (Some(568), &json!(["log", "w1"])));
        assert_eq!(checkpoint("<html>"), Value::Null);
    }
}
