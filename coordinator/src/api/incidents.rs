//! Incidents: report, note, decide, close.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mdfm_shared::id::{DeviceId, IncidentId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, fresh_id, id, tagged};
use super::{Api, Problem};
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::incident::{Incident, IncidentRequest, NewIncident, Note, Outcome};
use mdfm_coordinator_core::{Command, Refusal};

/// What went wrong.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IncidentReport {
    title: String,
    description: String,
    outcome: Outcome,
    device_ids: BTreeSet<String>,
    #[serde(default)]
    deployment_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NoteView {
    by: String,
    at: String,
    text: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionView {
    reportable: bool,
    urgent: bool,
    by: String,
    at: String,
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentView {
    incident_id: String,
    title: String,
    description: String,
    outcome: Outcome,
    device_ids: Vec<String>,
    hospital_ids: Vec<String>,
    deployment_id: Option<String>,
    opened_by: String,
    opened_at: String,
    decision: Option<DecisionView>,
    notes: Vec<NoteView>,
    /// When the report to the FDA is due (21 CFR 803.50, 803.53), while it is owed.
    due_at: Option<String>,
    /// Number of the report that was made.
    report: Option<String>,
    closed: Option<NoteView>,
}

fn note_view(note: &Note) -> NoteView {
    NoteView { by: note.by.clone(), at: note.at.to_string(), text: note.text.clone() }
}

fn view(id: &IncidentId, incident: &Incident) -> IncidentView {
    let reported = &incident.reported;
    IncidentView {
        incident_id: id.to_string(),
        title: reported.title.clone(),
        description: reported.description.clone(),
        outcome: reported.outcome,
        device_ids: reported.devices.iter().map(ToString::to_string).collect(),
        hospital_ids: incident.hospitals.iter().map(ToString::to_string).collect(),
        deployment_id: reported.deployment.as_ref().map(ToString::to_string),
        opened_by: incident.opened_by.clone(),
        opened_at: incident.opened_at.to_string(),
        decision: incident.decision.as_ref().map(|d| DecisionView {
            reportable: d.reportable,
            urgent: d.urgent,
            by: d.by.clone(),
            at: d.at.to_string(),
            reason: d.reason.clone(),
        }),
        notes: incident.notes.iter().map(note_view).collect(),
        due_at: incident.due_at().map(|at| at.to_string()),
        report: incident.report.clone(),
        closed: incident.closed.as_ref().map(note_view),
    }
}

fn find(api: &Api, id: &IncidentId, who: &str) -> Result<Response, Problem> {
    let state = api.runner.state();
    let own = state.hospital_of_user(who);
    let held = state.incidents.get(id).filter(|incident| incident.is_seen_by(own));
    let held = held.ok_or_else(|| Refusal::not_found("incident", id))?;
    Ok(tagged(&state, &format!("incident/{id}"), view(id, held)))
}

impl Origin {
    async fn incident(
        &self,
        api: &Api,
        permission: Permission,
        incident: &str,
        request: IncidentRequest,
    ) -> Result<Response, Problem> {
        let caller = self.need(api, permission, request.action(), &format!("incident/{incident}")).await?;
        let incident: IncidentId = id("incident", incident)?;
        self.submit(api, &caller, Command::Incident { incident: incident.clone(), request }).await?;
        find(api, &incident, &caller.actor.id)
    }
}

/// Reports an incident.
#[utoipa::path(post, path = "/api/v1/incidents", request_body = IncidentReport,
    responses((status = 201, body = IncidentView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn open(
    State(api): State<Api>,
    origin: Origin,
    Json(report): Json<IncidentReport>,
) -> Result<Response, Problem> {
    let incident: IncidentId = fresh_id("inc-")?;
    let devices = report.device_ids.iter().map(|d| id::<DeviceId>("deviceIds", d)).collect::<Result<_, _>>()?;
    let request = IncidentRequest::Open(NewIncident {
        title: report.title,
        description: report.description,
        outcome: report.outcome,
        devices,
        deployment: report.deployment_id.as_deref().map(|d| id("deploymentId", d)).transpose()?,
    });
    let shown = origin.incident(&api, Permission::ReportIncident, incident.as_str(), request).await?;
    Ok((StatusCode::CREATED, shown).into_response())
}

/// Lists incidents; staff see those of their hospital.
#[utoipa::path(get, path = "/api/v1/incidents", params(ListQuery),
    responses((status = 200, body = Vec<IncidentView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "incident.list", "incident").await?;
    let state = api.runner.state();
    let own = state.hospital_of_user(&caller.actor.id);
    query.page("/api/v1/incidents", &state.incidents, |_, i| i.is_seen_by(own), view)
}

/// Shows one incident.
#[utoipa::path(get, path = "/api/v1/incidents/{incident}",
    responses((status = 200, body = IncidentView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(incident): Path<String>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "incident.show", &format!("incident/{incident}")).await?;
    find(&api, &id("incident", &incident)?, &caller.actor.id)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewNote {
    text: String,
}

/// Adds a note.
#[utoipa::path(post, path = "/api/v1/incidents/{incident}/notes", request_body = NewNote,
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn note(
    State(api): State<Api>,
    origin: Origin,
    Path(incident): Path<String>,
    Json(note): Json<NewNote>,
) -> Result<Response, Problem> {
    origin.incident(&api, Permission::ReportIncident, &incident, IncidentRequest::Note(note.text)).await
}

/// Whether it must be reported to the FDA, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDecision {
    reportable: bool,
    /// Action is needed at once to prevent an unreasonable risk (21 CFR 803.53): five working days instead of thirty days.
    #[serde(default)]
    urgent: bool,
    reason: String,
}

/// Decides whether it must be reported (21 CFR 803).
#[utoipa::path(put, path = "/api/v1/incidents/{incident}/decision", request_body = NewDecision,
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn decide(
    State(api): State<Api>,
    origin: Origin,
    Path(incident): Path<String>,
    Json(new): Json<NewDecision>,
) -> Result<Response, Problem> {
    let NewDecision { reportable, urgent, reason } = new;
    let request = IncidentRequest::Decide { reportable, urgent, reason };
    origin.incident(&api, Permission::Recall, &incident, request).await
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MadeReport {
    /// Number of the report.
    reference: String,
}

/// Notes that the report was made.
#[utoipa::path(put, path = "/api/v1/incidents/{incident}/report", request_body = MadeReport,
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn report(
    State(api): State<Api>,
    origin: Origin,
    Path(incident): Path<String>,
    Json(made): Json<MadeReport>,
) -> Result<Response, Problem> {
    let request = IncidentRequest::Report { reference: made.reference };
    origin.incident(&api, Permission::Recall, &incident, request).await
}

/// Closes it; not while a decision or a report is owed.
#[utoipa::path(post, path = "/api/v1/incidents/{incident}/closure", request_body = Reason,
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn close(
    State(api): State<Api>,
    origin: Origin,
    Path(incident): Path<String>,
    Json(why): Json<Reason>,
) -> Result<Response, Problem> {
    origin.incident(&api, Permission::Recall, &incident, IncidentRequest::Close { reason: why.reason }).await
}
