//! Reports, as PDF, JSON or CSV.

use axum::extract::{RawQuery, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use mdfm_shared::digest::Digest;

use super::compliance::Search;
use super::request::{Origin, Path};
use super::{Api, Problem};
use crate::access::SecondFactorPolicy;
use crate::clock;
use crate::report::{Kind, Report, ReportError, Setup, Source};
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::refusal::Class;

/// What is asked for: the form, and for an audit extract which records.
struct Form {
    format: String,
    search: Search,
}

impl Form {
    /// Reads a query string: `format`, and the parameters of a search.
    fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let (mut format, mut rest) = ("pdf".to_owned(), Vec::new());
        for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            match pair.strip_prefix("format=") {
                Some(value) => format = value.to_owned(),
                None => rest.push(pair),
            }
        }
        let malformed = |e: &dyn std::fmt::Display| Refusal::new(Class::Malformed, "malformed-query", e.to_string());
        let uri: Uri = format!("/?{}", rest.join("&")).parse().map_err(|e| malformed(&e))?;
        let search = axum::extract::Query::<Search>::try_from_uri(&uri)
            .map_err(|e| malformed(&super::request::query_problem(&e.body_text())))?
            .0;
        Ok(Self { format, search })
    }
}

/// Makes a report about the whole installation: `access`, `system` or `audit`.
#[utoipa::path(get, path = "/api/v1/compliance/reports/{kind}", params(Search, ("format" = Option<String>, Query), ("kind" = String, Path)),
    responses((status = 200), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn whole(
    State(api): State<Api>,
    origin: Origin,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    make(api, origin, kind, None, query).await
}

/// Makes a report about one thing: `firmware`, `deployment`, `device`, `emergency`, `correction` or `event`.
#[utoipa::path(get, path = "/api/v1/compliance/reports/{kind}/{id}",
    params(("format" = Option<String>, Query), ("kind" = String, Path), ("id" = String, Path)),
    responses((status = 200), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn about(
    State(api): State<Api>,
    origin: Origin,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    make(api, origin, kind, Some(id), query).await
}

async fn make(
    api: Api,
    origin: Origin,
    kind: String,
    id: Option<String>,
    query: Option<String>,
) -> Result<Response, Problem> {
    // About one object is for whoever sees every object; about access and everything logged, for readers of the audit log.
    let permission = if id.is_some() { Permission::ReadAll } else { Permission::ReadAudit };
    let caller = origin.need(&api, permission, "report.make", &format!("report/{kind}")).await?;
    let known = Kind::parse(&kind).filter(|k| k.needs_subject() == id.is_some());
    let kind = known.ok_or_else(|| Refusal::not_found("report", &kind))?;
    let Form { format, search } = Form::parse(query.as_deref())?;
    let content_type = match format.as_str() {
        "pdf" => "application/pdf",
        "json" => "application/json",
        "csv" => "text/csv; charset=utf-8",
        _ => return Err(Refusal::invalid("format", "is pdf, json or csv").into()),
    };
    let wanted = search.wanted()?;
    let name = format!("{}{}.{format}", kind.name(), id.as_ref().map(|i| format!("-{i}")).unwrap_or_default());
    let chosen = format.clone();
    let setup = Setup {
        needs_second_factor: api.sessions.second_factor == SecondFactorPolicy::Required,
        session_ms: api.sessions.session_ms,
        idle_ms: api.sessions.idle_ms,
        step_up_ms: api.sessions.step_up_ms,
        refuses_breached: api.breached.is_set(),
        issuer: api.oidc.as_ref().map(|oidc| oidc.issuer().to_owned()),
    };
    let place = api.workbench.place(&caller).await?;
    let work = move || -> Result<Vec<u8>, ReportError> {
        let _place = place;
        // A copy, so that state and log are of one moment and nobody waits for the setting.
        let state = api.runner.copy_of_state().map_err(|e| ReportError::Setting(format!("{e:#}")))?;
        let presence = api.runner.presence().clone();
        let log_size = state.log_size;
        let root = api.runner.log.root_at(log_size)?.unwrap_or_default();
        let origin = api.runner.log.published().map(|(c, _)| c.origin).unwrap_or_default();
        let source = Source {
            state: &state,
            presence: &presence,
            search: &api.search,
            log_size,
            root: Digest(root),
            origin: &origin,
            made_at: state.not_before(clock::now()),
            made_by: &caller.actor.id,
            setup: &setup,
        };
        let report = Report::make(&source, kind, id.as_deref(), &wanted, &api.online_key)?;
        match chosen.as_str() {
            "json" => Ok(report.to_json().into_bytes()),
            "csv" => Ok(report.to_csv()),
            _ => report.to_pdf(),
        }
    };
    let made = tokio::task::spawn_blocking(work).await;
    let made = made.map_err(|e| Problem::internal("the report was not finished", &e))?;
    let bytes = made.map_err(|error| match error {
        ReportError::Refused(refusal) => Problem::from(refusal),
        other => Problem::internal("the report cannot be made", &other),
    })?;
    let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    let disposition = (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{safe}\""));
    Ok(([(header::CONTENT_TYPE, content_type.to_owned()), disposition], bytes).into_response())
}
