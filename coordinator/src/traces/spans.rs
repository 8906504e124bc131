//! Spans out of the audit log, pure: what a request did, how a deployment went, from its beginning through each directive to what every
//! gateway reported. An entry gives the same spans however often it is read.

use std::collections::{BTreeMap, HashMap};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Directive;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::record::{ActorKind, AuditRecord, Outcome};
use mdfm_shared::telemetry::{Event, EventKind, InstallState, TelemetryBatch};
use mdfm_shared::time::UtcMillis;
use serde::Serialize;
use serde_json::Value;

use super::context::{Context, SpanId, TraceId, span_of};

/// Deployments, gateways and installations under way that are remembered; beyond it all are forgotten and their spans begin anew.
const REMEMBERED_MAX: usize = 200_000;

/// Who did what a span is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doer {
    Coordinator,
    Agent(GatewayId),
}

/// What a span is to the one that it follows from (OpenTelemetry, `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal,
    Server,
    Producer,
    Consumer,
}

/// A span, over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) doer: Doer,
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// Another span because of which there is this one.
    pub(crate) link: Option<Context>,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) start: UtcMillis,
    pub(crate) end: UtcMillis,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// Gives the record that made a deployment.
type Find<'a> = &'a dyn Fn(&DeploymentId) -> Option<AuditRecord>;

/// The last directive of a gateway: what it said for each deployment, and its span there.
type Directed = BTreeMap<DeploymentId, (Digest, SpanId)>;

/// Reads entries in their order.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    /// Of a hundred devices, so many give spans; the same ones in every deployment.
    device_percent: u8,
    deployments: HashMap<DeploymentId, Context>,
    directed: HashMap<GatewayId, Directed>,
    installs: HashMap<(DeploymentId, DeviceId), (InstallState, UtcMillis)>,
}

/// A name as JSON writes it.
fn word(name: impl Serialize) -> String {
    serde_json::to_value(name).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What every span of a record says.
fn attributes(index: u64, record: &AuditRecord) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("mdfm.log.index", index.into()),
        ("mdfm.object", record.object.as_str().into()),
        ("mdfm.actor.kind", word(record.actor.kind).into()),
        ("mdfm.actor.id", record.actor.id.as_str().into()),
    ];
    all.extend(record.site.as_ref().map(|site| ("mdfm.hospital.id", site.as_str().into())));
    all
}

/// Where a span hangs.
struct Place {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    link: Option<Context>,
}

/// The span of a whole record.
fn of_record(index: u64, record: &AuditRecord, place: Place) -> Span {
    let refused = record.outcome == Outcome::Refused;
    let mut attributes = attributes(index, record);
    attributes.extend(record.reason.as_ref().filter(|_| !refused).map(|r| ("mdfm.reason", r.as_str().into())));
    Span {
        doer: Doer::Coordinator,
        trace: place.trace,
        id: place.id,
        parent: place.parent,
        link: place.link,
        kind: Kind::Internal,
        name: record.action.clone(),
        start: UtcMillis(record.at_ms),
        end: UtcMillis(record.at_ms),
        attributes,
        error: record.reason.clone().filter(|_| refused),
    }
}

impl Follower {
    pub(crate) fn new(device_percent: u8) -> Self {
        let (deployments, directed, installs) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { device_percent, deployments, directed, installs }
    }

    /// The spans of one entry; `find` gives the record that made a deployment.
    pub(crate) fn take(&mut self, index: u64, record: &AuditRecord, find: Find<'_>) -> Vec<Span> {
        if self.deployments.len() + self.directed.len() + self.installs.len() > REMEMBERED_MAX {
            *self = Self::new(self.device_percent);
        }
        match record.action.as_str() {
            "directive.issue" => self.directive(index, record, find),
            "telemetry.commit" if record.outcome == Outcome::Accepted => self.telemetry(index, record, find),
            _ => self.change(index, record, find),
        }
    }

    fn deployment(&mut self, id: &DeploymentId, find: Find<'_>) -> Option<Context> {
        if let Some(held) = self.deployments.get(id) {
            return Some(*held);
        }
        let context = Context::of_deployment(id, request_of(&find(id)?).as_ref());
        self.deployments.insert(id.clone(), context);
        Some(context)
    }

    fn change(&mut self, index: u64, record: &AuditRecord, find: Find<'_>) -> Vec<Span> {
        let request = request_of(record);
        let id = record.object.strip_prefix("deployment/").and_then(|id| id.parse::<DeploymentId>().ok());
        let created = record.action == "deployment.create" && record.outcome == Outcome::Accepted;
        let place = match (id, request) {
            (Some(id), request) if created => {
                let Context { trace, span, .. } = Context::of_deployment(&id, request.as_ref());
                self.deployments.insert(id, Context { trace, span, sampled: true });
                Some(Place { trace, id: span, parent: request.map(|r| r.span), link: None })
            }
            (Some(id), request) => match (self.deployment(&id, find), request) {
                // A request from elsewhere, such as one to pause, has a trace of its own.
                (Some(of), request) => Some(Place {
                    trace: of.trace,
                    id: span_of(index, 0),
                    parent: Some(of.span),
                    link: request.filter(|r| r.trace != of.trace),
                }),
                (None, request) => request.map(|r| below(&r, index)),
            },
            (None, request) => request.map(|r| below(&r, index)),
        };
        place.map(|place| of_record(index, record, place)).into_iter().collect()
    }

    /// One span for each deployment for which the gateway is told something new.
    fn directive(&mut self, index: u64, record: &AuditRecord, find: Find<'_>) -> Vec<Span> {
        let Ok(Ok(directive)) = record.document::<Directive>().map(|d| d.decode_unverified()) else {
            return Vec::new();
        };
        let mut desired: BTreeMap<&DeploymentId, Vec<_>> = BTreeMap::new();
        for entry in &directive.devices {
            desired.entry(&entry.deployment).or_default().push(entry);
        }
        let before = self.directed.remove(&directive.gateway).unwrap_or_default();
        let (mut now, mut spans) = (Directed::new(), Vec::new());
        for (n, (id, desired)) in desired.into_iter().enumerate() {
            let said = Digest::of(&serde_json::to_vec(&desired).unwrap_or_default());
            if let Some(held) = before.get(id).filter(|(before, _)| *before == said) {
                now.insert(id.clone(), *held);
                continue;
            }
            let Some(of) = self.deployment(id, find) else { continue };
            let place = Place { trace: of.trace, id: span_of(index, n), parent: Some(of.span), link: None };
            now.insert(id.clone(), (said, place.id));
            let mut span = Span { kind: Kind::Producer, ..of_record(index, record, place) };
            span.attributes.extend([
                ("mdfm.deployment.id", id.as_str().into()),
                ("mdfm.gateway.id", directive.gateway.as_str().into()),
                ("mdfm.directive.serial", directive.serial.into()),
                ("mdfm.directive.devices", desired.len().into()),
            ]);
            spans.push(span);
        }
        self.directed.insert(directive.gateway, now);
        spans
    }

    fn telemetry(&mut self, index: u64, record: &AuditRecord, find: Find<'_>) -> Vec<Span> {
        let Ok(Ok(batch)) = record.document::<TelemetryBatch>().map(|d| d.decode_unverified()) else {
            return Vec::new();
        };
        let mut spans = Vec::new();
        for (n, event) in batch.events.iter().enumerate() {
            let of = event.kind.deployment().and_then(|id| Some((id, self.deployment(id, find)?)));
            let Some((id, of)) = of else { continue };
            let told = self.directed.get(&batch.gateway).and_then(|d| d.get(id)).map(|(_, span)| *span);
            let span = |n: usize, name: String, start: UtcMillis| Span {
                doer: Doer::Agent(batch.gateway.clone()),
                trace: of.trace,
                id: span_of(index, n),
                parent: Some(told.unwrap_or(of.span)),
                link: None,
                kind: Kind::Consumer,
                name,
                start: start.min(event.at),
                end: event.at,
                attributes: about(index, record, &batch.gateway, event, id),
                error: None,
            };
            match (&event.kind, &event.device) {
                (EventKind::StateChanged { state, detail, .. }, Some(device)) if self.samples(device) => {
                    let key = (id.clone(), device.clone());
                    if let Some((was, since)) = self.installs.remove(&key) {
                        spans.push(span(2 * n, word(was), since));
                    }
                    if state.is_settled() {
                        let error = state.is_failure().then(|| detail.clone());
                        spans.push(Span { error, ..span(2 * n + 1, word(state), event.at) });
                    } else {
                        self.installs.insert(key, (*state, event.at));
                    }
                }
                (EventKind::Consent { .. }, _) => spans.push(span(2 * n, event.kind.name().to_owned(), event.at)),
                _ => {}
            }
        }
        spans
    }

    fn samples(&self, device: &DeviceId) -> bool {
        Digest::of(device.as_str().as_bytes()).0[..4].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b)) % 100
            < u64::from(self.device_percent)
    }
}

/// The request behind a record; what gateways and the coordinator do by themselves has none.
fn request_of(record: &AuditRecord) -> Option<Context> {
    let mark = record.request.as_ref().filter(|_| record.actor.kind != ActorKind::Gateway)?;
    Context::parse(mark.trace.as_deref()?)
}

fn below(request: &Context, index: u64) -> Place {
    Place { trace: request.trace, id: span_of(index, 0), parent: Some(request.span), link: None }
}

fn about(
    index: u64,
    record: &AuditRecord,
    gateway: &GatewayId,
    event: &Event,
    deployment: &DeploymentId,
) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("mdfm.log.index", index.into()),
        ("mdfm.deployment.id", deployment.as_str().into()),
        ("mdfm.gateway.id", gateway.as_str().into()),
    ];
    all.extend(event.device.as_ref().map(|id| ("mdfm.device.id", id.as_str().into())));
    all.extend(record.site.as_ref().map(|site| ("mdfm.hospital.id", site.as_str().into())));
    if let EventKind::StateChanged { detail, running, .. } = &event.kind {
        all.push(("mdfm.detail", detail.as_str().into()));
        all.extend(running.as_ref().map(|r| ("mdfm.firmware.version", r.version.as_str().into())));
    }
    all
}

#[cfg(test)]
mod tests;
