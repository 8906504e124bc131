//! Spans as OTLP over HTTP carries them (OpenTelemetry Protocol 1.x, binary protobuf), and the receiver that gets them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::spans::{Doer, Kind, Span};
use crate::https;

/// Longest wait for the receiver.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const SCOPE: &str = "mdfm";

/// Who gets traces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TracesConfig {
    /// Where OTLP over HTTP is taken, for example `https://otel.vendor.example:4318/v1/traces`.
    pub(crate) endpoint: String,
    /// Certificate of the authority that the receiver's is from; without it the system's are trusted.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// File with the value of the header `Authorization`, where the receiver asks for one.
    #[serde(default)]
    pub(crate) authorization_file: Option<PathBuf>,
    /// Of a hundred devices, so many give spans.
    #[serde(default = "every_device")]
    pub(crate) device_percent: u8,
}

fn every_device() -> u8 {
    100
}

fn attribute((key, value): (&str, Value)) -> KeyValue {
    let value = match value {
        Value::Number(n) => Any::IntValue(n.as_i64().unwrap_or(i64::MAX)),
        Value::Bool(b) => Any::BoolValue(b),
        Value::String(text) => Any::StringValue(text),
        other => Any::StringValue(other.to_string()),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn message(span: Span) -> proto::Span {
    let nanos = |ms: u64| ms.saturating_mul(1_000_000);
    let kind = match span.kind {
        Kind::Internal => proto::span::SpanKind::Internal,
        Kind::Server => proto::span::SpanKind::Server,
        Kind::Producer => proto::span::SpanKind::Producer,
        Kind::Consumer => proto::span::SpanKind::Consumer,
    };
    let link = span.link.map(|link| proto::span::Link {
        trace_id: link.trace.to_vec(),
        span_id: link.span.to_vec(),
        ..proto::span::Link::default()
    });
    let status = span.error.map(|message| proto::Status { message, code: proto::status::StatusCode::Error.into() });
    proto::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        name: span.name,
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start.0),
        end_time_unix_nano: nanos(span.end.0),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        links: link.into_iter().collect(),
        status,
        ..proto::Span::default()
    }
}

/// Spans by whose they are.
fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let mut by_doer: BTreeMap<Doer, Vec<proto::Span>> = BTreeMap::new();
    for span in spans {
        by_doer.entry(span.doer.clone()).or_default().push(message(span));
    }
    let of = |(doer, spans)| {
        let (service, instance) = match &doer {
            Doer::Coordinator => ("mdfm-coordinator", None),
            Doer::Agent(gateway) => ("mdfm-agent", Some(("service.instance.id", gateway.as_str().into()))),
        };
        let attributes = [("service.name", service.into())].into_iter().chain(instance).map(attribute).collect();
        let scope = InstrumentationScope {
            name: SCOPE.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..InstrumentationScope::default()
        };
        proto::ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![proto::ScopeSpans { scope: Some(scope), spans, ..proto::ScopeSpans::default() }],
            ..proto::ResourceSpans::default()
        }
    };
    ExportTraceServiceRequest { resource_spans: by_doer.into_iter().map(of).collect() }
}

/// The receiver.
pub(super) struct Receiver {
    client: Client,
    endpoint: String,
    authorization: Option<String>,
}

impl Receiver {
    pub(super) fn new(config: &TracesConfig) -> anyhow::Result<Self> {
        let client = https::client("traces.ca_file", &config.endpoint, config.ca_file.as_deref(), PATIENCE)?;
        let first_line = |file: &PathBuf| -> anyhow::Result<String> {
            Ok(mdfm_service::read_secret(Path::new(file))?.lines().next().unwrap_or_default().to_owned())
        };
        let authorization = config.authorization_file.as_ref().map(first_line).transpose()?;
        Ok(Self { client, endpoint: config.endpoint.clone(), authorization })
    }

    /// Sends spans; gives how many the receiver did not take, as it says.
    ///
    /// # Errors
    /// It is away, or will not have anything now: try again.
    pub(super) async fn send(&self, spans: Vec<Span>) -> anyhow::Result<usize> {
        let count = spans.len();
        let mut call = self.client.post(&self.endpoint).header("content-type", "application/x-protobuf");
        if let Some(authorization) = &self.authorization {
            call = call.header("authorization", authorization);
        }
        let call = call.body(request(spans).encode_to_vec());
        let answer = https::send(call).await.context("it cannot be reached")?;
        match answer.status() {
            status if status.is_success() => {}
            // What it cannot read today it cannot read tomorrow (OTLP, "Failures").
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                tracing::error!(status = %answer.status(), spans = count, "the receiver of traces cannot read spans");
                return Ok(count);
            }
            status => bail!("it answered {status}"),
        }
        // What its status says counts, whatever its words are.
        let body = https::body(answer, ANSWER_BYTES_MAX).await.unwrap_or_default();
        // Receivers that answer in another form have taken everything, as their status says.
        let partial = ExportTraceServiceResponse::decode(&*body).ok().and_then(|a| a.partial_success);
        let Some(partial) = partial.filter(|p| p.rejected_spans > 0) else { return Ok(0) };
        let (rejected, why) = (partial.rejected_spans, partial.error_message);
        tracing::warn!(rejected, why, "the receiver of traces rejected spans");
        Ok(usize::try_from(rejected).unwrap_or(0))
    }
}
