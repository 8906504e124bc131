//! Why a page or an act cannot be, and the page that says so.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::form::Form;
use crate::{Console, page};

/// A request that was turned away before the API saw it: the program around the console records it.
#[derive(Debug, Clone, Copy)]
pub struct Rejected {
    /// Stable name of the cause.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: &'static str,
}

/// A refusal of the API.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The name of the cause, as in `urn:mdfm:problem:NAME`.
    pub(crate) code: String,
    pub(crate) detail: String,
}

impl Refusal {
    /// A refusal of the console's own, of something that was typed.
    pub(crate) fn of_input(code: &str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(), code: code.to_owned(), detail: detail.into() }
    }

    /// What a page of the console itself finds wrong with an input.
    pub(crate) fn input(detail: impl Into<String>) -> Self {
        Self::of_input("invalid-input", detail)
    }

    /// From an answer with problem details (RFC 9457).
    pub(crate) fn of(status: StatusCode, body: &Value) -> Self {
        let kind = body["type"].as_str().unwrap_or_default();
        let detail = body["detail"].as_str().or(body["title"].as_str());
        Self {
            status: status.as_u16(),
            code: kind.rsplit(':').next().unwrap_or_default().to_owned(),
            detail: detail.map_or_else(|| format!("The request was refused with status {status}."), str::to_owned),
        }
    }
}

/// Why there is no page.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// Nobody is signed in, or no longer.
    SignedOut,
    /// The API refuses it.
    Refused(Refusal),
    /// The act needs the second factor again; the form is kept.
    StepUp { form: Form, wrong: Option<Refusal> },
    /// The request itself is not acceptable.
    Rejected(Rejected),
    /// A defect.
    Broken(String),
}

impl Failure {
    /// There is nothing at this address.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        let status = StatusCode::NOT_FOUND.as_u16();
        Self::Refused(Refusal { status, code: "not-found".to_owned(), detail: detail.into() })
    }
}

impl From<minijinja::Error> for Failure {
    fn from(error: minijinja::Error) -> Self {
        Self::Broken(format!("{error:#}"))
    }
}

impl IntoResponse for Failure {
    /// [`show`] makes the page, because that needs templates.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Turns failures into pages.
pub(crate) async fn show(State(console): State<Console>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let path = uri.path_and_query().map_or(crate::ROOT, |path| path.as_str()).to_owned();
    let session = crate::token(request.headers());
    let console = console.seen_by(request.headers());
    let mut response = next.run(request).await;
    let Some(failure) = response.extensions_mut().remove::<Failure>() else { return response };
    let (status, template, context) = match failure {
        Failure::SignedOut => {
            // What was typed into a form is not repeated after signing in: the act would be another person's.
            let next = if method.is_safe() { path } else { crate::ROOT.to_owned() };
            let query = serde_urlencoded::to_string([("next", next.as_str())]).unwrap_or_default();
            let to = format!("{}/sign-in?{query}", crate::ROOT);
            return (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
        }
        // What is read only shortly after the second factor was shown: the page asks for it, and
        // leads back.
        Failure::Refused(refusal) if refusal.code == "step-up" && method.is_safe() => {
            let fields = [("next", path.as_str())];
            let action = format!("{}/step-up", crate::ROOT);
            let context = json!({ "fields": fields, "wrong": null, "action": action });
            (StatusCode::FORBIDDEN, "step-up.html", context)
        }
        Failure::Refused(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::FORBIDDEN);
            (status, "refused.html", json!({ "refusal": refusal, "acted": !method.is_safe() }))
        }
        Failure::StepUp { form, wrong } => (
            StatusCode::FORBIDDEN,
            "step-up.html",
            json!({ "fields": form.kept(), "wrong": wrong, "action": uri.path() }),
        ),
        Failure::Rejected(rejected) => {
            let refusal = json!({ "code": rejected.code, "detail": rejected.detail, "status": 403 });
            let shown = page::plain(
                &console,
                StatusCode::FORBIDDEN,
                "refused.html",
                json!({ "refusal": refusal, "acted": true }),
                session.as_deref(),
            );
            let mut shown = shown.unwrap_or_else(|_| StatusCode::FORBIDDEN.into_response());
            shown.extensions_mut().insert(rejected);
            return shown;
        }
        Failure::Broken(error) => {
            tracing::error!(%error, %path, "a page of the console cannot be made");
            let refusal = json!({ "code": "internal", "detail": "The page cannot be made. The coordinator's journal says why.", "status": 500 });
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "refused.html",
                json!({ "refusal": refusal, "acted": !method.is_safe() }),
            )
        }
    };
    page::plain(&console, status, template, context, session.as_deref())
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
