//! Errors as problem details (RFC 9457): a stable type, what happened, and what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::refusal::Class;

/// The code of a refusal that is over in a second; other limits of this class last a minute.
pub(super) const TOO_MANY_REQUESTS: &str = "too-many-requests";

/// The code of a refusal because too many passwords are being checked; over in a few seconds.
pub(super) const TOO_BUSY: &str = "too-busy";

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:mdfm:problem:` and the stable code.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// What is wrong with this request, and what to do next.
    detail: String,
    /// The refusal, while it has no record yet.
    #[serde(skip)]
    unrecorded: Option<Refusal>,
}

/// Rides on the answer to a request whose refusal nobody has recorded yet.
#[derive(Debug, Clone)]
pub(super) struct Unrecorded(pub(super) Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, title) = match refusal.class {
            Class::Malformed => (400, "The request cannot be read"),
            Class::Unauthenticated => (401, "Sign in first"),
            Class::Forbidden => (403, "Not allowed"),
            Class::NotFound => (404, "Not found"),
            Class::NotAllowed => (405, "Not possible here"),
            Class::TooSlow => (408, "Too slow"),
            Class::Conflict => (409, "Not possible in this state"),
            Class::Precondition => (412, "Changed meanwhile"),
            Class::TooLarge => (413, "Too large"),
            Class::Invalid => (422, "Not acceptable as it is"),
            Class::TooOften => (429, "Too often"),
            Class::Unavailable => (503, "Not now"),
            Class::NoRoom => (507, "No room on the disk"),
        };
        let kind = format!("urn:mdfm:problem:{}", refusal.code);
        Self { kind, title, status, detail: refusal.detail.clone(), unrecorded: Some(refusal) }
    }
}

impl Problem {
    /// A fault of ours: logged in full, shown in general.
    pub(crate) fn internal(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "{what}");
        let detail = format!("{what}; the coordinator's journal has the cause");
        let kind = "urn:mdfm:problem:internal".into();
        Self { kind, title: "Internal error", status: 500, detail, unrecorded: None }
    }

    /// A refusal that stands in the audit log already.
    pub(super) fn recorded(refusal: Refusal) -> Self {
        Self { unrecorded: None, ..Self::from(refusal) }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let unrecorded = self.unrecorded.take();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = match self.kind.rsplit(':').next() {
                Some(TOO_MANY_REQUESTS) => "1",
                Some(TOO_BUSY) => "5",
                _ => "60",
            };
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if let Some(refusal) = unrecorded {
            response.extensions_mut().insert(Unrecorded(refusal));
        }
        response
    }
}
