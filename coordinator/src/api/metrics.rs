//! Metrics for Prometheus (text format 0.0.4 as OpenMetrics 1.0 writes it). The names are a promise: `docs/metrics.md` lists them, and a test compares.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::waiting::WaitCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::Value;

use super::fleet_link::fleet_link;
use super::request::Origin;
use super::trust::cosigned_at;
use super::{Api, Problem};
use crate::clock;
use crate::traces::SpanCounts;
use mdfm_coordinator_core::State as Fleet;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::authority::{self, Concern};
use mdfm_coordinator_core::expiry;
use mdfm_coordinator_core::waiting::Sight;

type Labels = Vec<(&'static str, String)>;

/// Upper ends of the buckets of request times, in seconds.
const BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// What is counted as requests are answered.
#[derive(Clone)]
pub(crate) struct Requests {
    answered: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for Requests {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS_S);
        Self { answered: Family::default(), seconds: Family::new_with_constructor(histogram) }
    }
}

impl Requests {
    /// Notes an answer; `route` is the path as it is documented, so that there are no more of them than routes.
    pub(super) fn note(&self, method: &str, route: &str, status: u16, took: Duration) {
        // Methods of others' making would be labels without end.
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
        let method = if known.contains(&method) { method } else { "other" };
        let labels = vec![("method", method.to_owned()), ("route", route.to_owned())];
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        self.answered.get_or_create(&[labels, vec![("status", status.to_string())]].concat()).inc();
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn gauges(registry: &mut Registry, name: &str, help: &str, label: &'static str, values: BTreeMap<String, usize>) {
    let family = Family::<Labels, Gauge>::default();
    for (of, value) in values {
        family.get_or_create(&vec![(label, of)]).set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    registry.register(name, help, family);
}

/// The spelling of the API of a name in camel case, and of the metrics in snake case.
fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
        text
    })
}

/// Counts by a name that the API shows.
fn tally<T: Serialize>(names: impl Iterator<Item = T>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        let name = match serde_json::to_value(name) {
            Ok(Value::String(name)) => name,
            Ok(Value::Object(fields)) => fields.get("name").and_then(Value::as_str).unwrap_or("other").to_owned(),
            _ => "none".to_owned(),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// What goes up and down among the counts of door and intake.
const LEVELS: [&str; 3] = ["open", "openMqtt", "bytesWaiting"];

/// The numbers of a view of counts.
fn counts(registry: &mut Registry, prefix: &str, view: &impl Serialize) {
    let view = serde_json::to_value(view).unwrap_or_default();
    for (name, value) in view.as_object().into_iter().flatten() {
        let (Some(value), metric) = (value.as_u64(), format!("{prefix}_{}", snake(name))) else { continue };
        let help = "see docs/metrics.md";
        if LEVELS.contains(&name.as_str()) {
            gauge(registry, &metric, help, usize::try_from(value).unwrap_or(usize::MAX));
        } else {
            let counter = Counter::<u64, AtomicU64>::default();
            counter.inc_by(value);
            registry.register(metric, help, counter);
        }
    }
}

/// How fresh the trust documents are, and what waits for a signature.
fn authority(registry: &mut Registry, state: &Fleet, now: UtcMillis) {
    let mut expiry = BTreeMap::from([("roster".to_owned(), 0), ("withdrawals".to_owned(), 0)]);
    for standing in authority::standings(state) {
        let is_roster = matches!(standing.concern, Concern::Roster | Concern::RosterVoid);
        let document = if is_roster { "roster" } else { "withdrawals" };
        if let Some(at) = standing.expires_at {
            expiry.insert(document.to_owned(), usize::try_from(at.0 / 1_000).unwrap_or(usize::MAX));
        }
    }
    let help = "When a trust document expires, in seconds since 1970; 0 if it does not";
    gauges(registry, "trust_expires_timestamp_seconds", help, "document", expiry);
    let fresh = usize::from(authority::need_fresh(state, now).is_ok());
    gauge(
        registry,
        "trust_fresh",
        "Whether deployments can start: 1, or 0 when a trust document has expired or is missing",
        fresh,
    );
    gauge(
        registry,
        "withdrawals_unsigned",
        "Releases withdrawn here and not yet signed for the fleet",
        authority::unsigned(state).count(),
    );
    gauge(
        registry,
        "rollback_orders",
        "Rollback orders in force",
        state.authority.in_force(state.not_before(now)).count(),
    );
    let waiting: u32 = state.deployments.values().map(|d| d.sum(|t| t.stays)).sum();
    let help = "Devices that were ordered back and wait for a rollback order";
    gauge(registry, "devices_awaiting_order", help, waiting as usize);
    let behind = usize::try_from(state.not_before(now).since_ms(now) / 1_000).unwrap_or(usize::MAX);
    gauge(registry, "clock_behind_seconds", "Time by which the clock is behind the time of records", behind);
    let ahead = usize::try_from(clock::ahead_ms() / 1_000).unwrap_or(usize::MAX);
    gauge(registry, "clock_ahead_seconds", "Time by which the clock was set forward and is not believed", ahead);
}

fn fleet(registry: &mut Registry, state: &Fleet, now: UtcMillis) {
    gauge(registry, "log_entries", "Entries of the audit log", usize::try_from(state.log_size).unwrap_or(usize::MAX));
    gauge(registry, "hospitals", "Hospitals", state.hospitals.len());
    let in_service = state.devices.values().filter(|d| d.retired_at.is_none());
    let states = tally(in_service.map(|d| d.install.as_ref().map(|i| i.state)));
    gauges(registry, "devices", "Devices in service, by the state of their last installation", "state", states);
    let status = tally(state.deployments.values().map(|d| &d.status));
    gauges(registry, "deployments", "Deployments", "status", status);
    let status = tally(state.firmware.values().map(|f| f.status));
    gauges(registry, "firmware", "Releases", "status", status);
    let open = state.recalls.values().filter(|r| r.closed.is_none()).count();
    gauge(registry, "recalls_open", "Recalls that are not closed", open);
    let findings = state.gateways.values().map(|g| g.anomalies.iter().filter(|a| g.stands(a)).count()).sum();
    gauge(registry, "telemetry_findings", "Findings about gateways' telemetry that stand", findings);
    authority(registry, state, now);
    gauge(registry, "sessions", "Sessions that have not ended", state.sessions.len());
}

/// Time until the first of each kind ends; negative once it has.
fn expiries(registry: &mut Registry, sight: Sight<'_>) {
    let family = Family::<Labels, Gauge>::default();
    let mut first: BTreeMap<&str, UtcMillis> = BTreeMap::new();
    for end in expiry::all(sight.state, sight.presence, sight.now) {
        first.entry(end.kind.name()).and_modify(|at| *at = end.expires_at.min(*at)).or_insert(end.expires_at);
    }
    for (kind, at) in first {
        let seconds = |ms: u64| i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
        let left = seconds(at.since_ms(sight.now)) - seconds(sight.now.since_ms(at));
        family.get_or_create(&vec![("what", kind.to_owned())]).set(left);
    }
    registry.register("expires_seconds", "Seconds until the first of each kind expires", family);
}

/// Devices in service and deployments by what they wait for. Codes that only a newer gateway knows count together: nobody makes labels.
fn waiting(registry: &mut Registry, sight: Sight<'_>) {
    let label = |code: &WaitCode| match code {
        WaitCode::Other(_) => "other".to_owned(),
        code => code.to_string(),
    };
    // Every reason has a series from the start: one that appears with its first device cannot be compared with before.
    let all: BTreeMap<String, usize> = WaitCode::ALL.iter().map(|code| (code.to_string(), 0)).collect();
    let mut devices = all.clone();
    for waiting in sight.state.devices.keys().filter_map(|id| sight.of_device(id)) {
        *devices.entry(label(&waiting.code)).or_default() += 1;
    }
    gauges(registry, "waiting", "Devices in service, by what they wait for", "reason", devices);
    let mut deployments = all;
    for (id, deployment) in sight.state.deployments.iter().filter(|(_, d)| d.is_active()) {
        if let Some(first) = sight.of_deployment(id, deployment, None).first() {
            *deployments.entry(label(&first.waiting.code)).or_default() += 1;
        }
    }
    let help = "Deployments that have not ended, by what they wait for first";
    gauges(registry, "deployments_waiting", help, "reason", deployments);
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/api/v1/metrics", responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(api): State<Api>, origin: Origin) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "metrics.read", "metrics").await?;
    let mut registry = Registry::with_prefix("mdfm");
    registry.register("http_requests", "Requests answered", api.requests.answered.clone());
    registry.register("http_request_seconds", "Time to answer", api.requests.seconds.clone());
    let state = api.runner.state();
    fleet(&mut registry, &state, clock::now());
    {
        let presence = api.runner.presence();
        let sight = Sight { state: &state, presence: &presence, now: clock::now() };
        waiting(&mut registry, sight);
        expiries(&mut registry, sight);
    }
    let cosigned = cosigned_at(&state, &api.runner.log, state.not_before(clock::now()));
    let age = cosigned
        .map_or(0, |at| usize::try_from(state.not_before(clock::now()).since_ms(at) / 1_000).unwrap_or(usize::MAX));
    gauge(
        &mut registry,
        "cosignature_age_seconds",
        "Age of the newest published checkpoint's cosignatures; 0 without witnesses",
        age,
    );
    let link = fleet_link(&api, &state, clock::now());
    gauges(&mut registry, "gateways", "Enrolled gateways by where they stand", "presence", link.presence());
    let (issued, followed) = link.directives();
    gauge(&mut registry, "directives_issued", "Gateways with a directive", issued);
    gauge(&mut registry, "directives_followed", "Gateways that follow their newest directive", followed);
    counts(&mut registry, "door", &api.door.view());
    counts(&mut registry, "intake", &api.link.view());
    let traces = api.traces.as_ref().map_or_else(|| SpanCounts::default().view(), |traces| traces.counts.view());
    counts(&mut registry, "trace_spans", &traces);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|e| Problem::internal("the metrics cannot be written", &e))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
