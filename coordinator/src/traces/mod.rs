//! Traces for the operator's own monitoring (OpenTelemetry): from a request of the API through the directives that follow from it to what every
//! gateway reports. Agents reach nobody but the coordinator, so it sends their spans for them, out of their signed telemetry. The audit log
//! is followed in order and the place is kept, so that a receiver that was away misses nothing of it; requests are sent as they come.

mod context;
mod otlp;
mod spans;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mdfm_audit::{Field, LogError, Order, Query, SearchIndex};
use mdfm_shared::id::DeploymentId;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::time::UtcMillis;
use serde_json::Value;
use tokio::sync::mpsc;

pub(crate) use context::Context;
pub(crate) use otlp::TracesConfig;

use crate::clock;
use crate::counters::counters;
use crate::cursor::Cursor;
use crate::runner::Runner;
use otlp::Receiver;
use spans::{Doer, Follower, Kind, Span};

/// Time between looks at the log.
const INTERVAL: Duration = Duration::from_millis(500);
/// Pause before a receiver that is away is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Records read at once.
const RECORDS_AT_ONCE: u64 = 200;
/// Spans sent at once.
const SPANS_AT_ONCE: usize = 500;
/// Requests that wait to be sent; while the receiver is away more are dropped.
const REQUESTS_MAX: usize = 4_096;
const CURSOR: &str = "traces.cursor";

counters! {
    /// What became of spans.
    SpanCounts, SpanCountsView {
        /// The receiver has them.
        sent,
        /// It did not take them, or was away while too many waited.
        dropped,
    }
}

/// A request under way.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    context: Context,
    parent: Option<Context>,
    began: UtcMillis,
}

impl Call {
    /// Its place in a trace, for the records that follow from it.
    pub(crate) fn mark(&self) -> String {
        self.context.to_string()
    }
}

/// An answered request.
pub(crate) struct Answered<'a> {
    pub(crate) method: &'a str,
    pub(crate) route: &'a str,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) client: String,
}

/// Takes requests in.
#[derive(Clone)]
pub(crate) struct Traces {
    requests: mpsc::Sender<Span>,
    pub(crate) counts: Arc<SpanCounts>,
}

impl Traces {
    /// Begins the span of a request: one that writes, or that its caller traces.
    pub(crate) fn begin(&self, traceparent: Option<&str>, writes: bool) -> Option<Call> {
        let parent = traceparent.and_then(Context::parse);
        if !writes && !parent.is_some_and(|p| p.sampled) {
            return None;
        }
        let context = Context::new(parent.as_ref()).ok()?;
        Some(Call { context, parent, began: clock::now() })
    }

    /// Ends it.
    pub(crate) fn end(&self, call: Call, answered: &Answered<'_>) {
        let Answered { method, route, path, status, client } = answered;
        let attributes: Vec<(&'static str, Value)> = vec![
            ("http.request.method", (*method).into()),
            ("http.route", (*route).into()),
            ("url.path", (*path).into()),
            ("http.response.status_code", (*status).into()),
            ("client.address", client.as_str().into()),
        ];
        let span = Span {
            doer: Doer::Coordinator,
            trace: call.context.trace,
            id: call.context.span,
            parent: call.parent.map(|p| p.span),
            link: None,
            kind: Kind::Server,
            name: format!("{method} {route}"),
            start: call.began,
            end: clock::now().max(call.began),
            attributes,
            // A refusal is the caller's failure, not this server's (semantic conventions for HTTP spans).
            error: (*status >= 500).then(|| format!("answered {status}")),
        };
        if self.requests.try_send(span).is_err() {
            self.counts.dropped.add(1);
        }
    }
}

struct Sender {
    receiver: Receiver,
    runner: Runner,
    search: SearchIndex,
    cursor: Cursor,
    follower: Follower,
    requests: mpsc::Receiver<Span>,
    /// Requests taken off the queue, and what was read off the log, that the receiver does not have yet.
    asked: Vec<Span>,
    read: Vec<Span>,
    /// The first entry whose spans the receiver may lack, and the first that was not read.
    next: u64,
    unread: u64,
    counts: Arc<SpanCounts>,
}

/// Starts telling; without a receiver there is nothing to do.
pub(crate) fn start(
    config: Option<&TracesConfig>,
    runner: Runner,
    search: SearchIndex,
    data: &Path,
) -> anyhow::Result<Option<Traces>> {
    let Some(config) = config else { return Ok(None) };
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let counts = Arc::<SpanCounts>::default();
    let (cursor, first) = Cursor::open(data.join(CURSOR), runner.log.size())?;
    let mut office = Sender {
        receiver: Receiver::new(config)?,
        cursor,
        follower: Follower::new(config.device_percent),
        requests,
        asked: Vec::new(),
        read: Vec::new(),
        next: first,
        unread: first,
        counts: Arc::clone(&counts),
        runner,
        search,
    };
    let to = config.endpoint.clone();
    tokio::spawn(async move {
        loop {
            let pause = match office.tell().await {
                Ok(()) => INTERVAL,
                Err(error) => {
                    tracing::warn!(to, error = format!("{error:#}"), "traces wait: their receiver is away");
                    RETRY_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    });
    Ok(Some(Traces { requests: sender, counts }))
}

impl Sender {
    /// Sends what is new, as far as it goes. What was read and not sent waits here; after a restart it is read again.
    async fn tell(&mut self) -> anyhow::Result<()> {
        loop {
            while self.asked.len() < SPANS_AT_ONCE
                && let Ok(span) = self.requests.try_recv()
            {
                self.asked.push(span);
            }
            if !self.asked.is_empty() {
                self.send(&self.asked).await?;
                self.asked.clear();
            }
            while !self.read.is_empty() {
                let some = self.read.len().min(SPANS_AT_ONCE);
                self.send(&self.read[..some]).await?;
                self.read.drain(..some);
            }
            if self.next != self.unread {
                self.cursor.keep(self.unread)?;
                self.next = self.unread;
            }
            let to = self.runner.log.size().min(self.unread + RECORDS_AT_ONCE);
            if self.unread >= to {
                return Ok(());
            }
            self.read = tokio::task::block_in_place(|| self.spans(self.unread, to))?;
            self.unread = to;
        }
    }

    async fn send(&self, spans: &[Span]) -> anyhow::Result<()> {
        let dropped = self.receiver.send(spans.to_vec()).await?.min(spans.len());
        self.counts.sent.add(spans.len() - dropped);
        self.counts.dropped.add(dropped);
        Ok(())
    }

    /// The spans of some entries.
    fn spans(&mut self, from: u64, to: u64) -> anyhow::Result<Vec<Span>> {
        let mut spans = Vec::new();
        let (log, search) = (self.runner.log.clone(), self.search.clone());
        let find = |id: &DeploymentId| made(&search, id);
        log.each(from, to, |index, entry| -> Result<(), LogError> {
            if let Some(record) = entry.and_then(|e| AuditRecord::from_bytes(e).ok()) {
                spans.extend(self.follower.take(index, &record, &find));
            }
            Ok(())
        })?;
        Ok(spans)
    }
}

/// The record that made a deployment.
fn made(search: &SearchIndex, id: &DeploymentId) -> Option<AuditRecord> {
    let fields = vec![
        (Field::Object, format!("deployment/{id}")),
        (Field::Action, "deployment.create".to_owned()),
        (Field::Outcome, "accepted".to_owned()),
    ];
    let page = search.search(&Query { fields, ..Query::default() }, Order::Oldest { from: 0 }, 1);
    let page = page.inspect_err(|error| tracing::error!(%error, "a deployment's beginning cannot be found")).ok()?;
    AuditRecord::from_bytes(&page.records.first()?.1).ok()
}
