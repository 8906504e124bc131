//! Deployments: dry run, start, watch, sign, pause, resume, abort, roll back, consent, duties.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mdfm_audit::Field;
use mdfm_shared::directive::Window;
use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId};
use mdfm_shared::limits::WINDOWS_MAX;
use mdfm_shared::text::{count, period};
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::compliance::{AuditPage, Paging, about};
use super::deployment_devices::DeviceProgressView;
use super::firmware::SignedDocument;
use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, document, fresh_id, id, tagged};
use super::waiting::WaitingView;
use super::{Api, Problem};
use crate::access::Caller;
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::rollout::fitness;
use mdfm_coordinator_core::rollout::foresight::{self, Foreseen};
use mdfm_coordinator_core::rollout::gate::{Standing, standing};
use mdfm_coordinator_core::rollout::plan::{self, Draft};
use mdfm_coordinator_core::rollout::request::{DeploymentJson, window_text};
use mdfm_coordinator_core::rollout::sight::{is_seen_by, status_for, tally_for, validation_for};
use mdfm_coordinator_core::rollout::spec::Spec;
use mdfm_coordinator_core::rollout::window::{self, local_time};
use mdfm_coordinator_core::rollout::{
    CriticalReach, Deployment, Duty, FirstFailure, GateRecord, GivenValidation, Members, OrderedBack, PhaseSpec,
    PhaseStatus, Scope, Status, Strategy, Tally,
};
use mdfm_coordinator_core::waiting::{Sight, consent_needed};
use mdfm_coordinator_core::{self, Command};

/// Windows are shown so far ahead in a plan.
const PLAN_HORIZON_MS: u64 = 15 * 86_400_000;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhaseView {
    name: String,
    hospital_cohort: String,
    percentage: f64,
    max_error_rate_percent: f64,
    max_errors: Option<u32>,
    monitoring_duration_ms: u64,
    min_reporting_percent: f64,
    min_device_hours: f64,
    validation_role: Option<String>,
    hospitals: Vec<String>,
    #[schema(value_type = Object)]
    status: PhaseStatus,
    /// How many of its devices are what.
    #[schema(value_type = Object)]
    devices: Tally,
    /// What its figures show so far, with the upper bound of the error rate; to a hospital's people `null`.
    #[schema(value_type = Option<Object>)]
    standing: Option<Standing>,
    #[schema(value_type = Option<Object>)]
    gate: Option<GateRecord>,
    #[schema(value_type = Option<Object>)]
    validation: Option<GivenValidation>,
}

/// Whether a hospital's staff agreed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsentView {
    hospital_id: String,
    given_by: Option<String>,
    given_at: Option<String>,
}

/// A hospital that went back because of a fault on one gateway of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainedView {
    hospital_id: String,
    /// The gateway that reported the fault.
    gateway_id: Option<String>,
    device_id: String,
    fault: String,
    at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentView {
    deployment_id: String,
    firmware_id: String,
    manifest_digest: String,
    strategy: Strategy,
    /// The group whose devices were meant.
    group_id: Option<String>,
    plan_digest: String,
    created_by: String,
    created_at: String,
    #[schema(value_type = Object)]
    status: Status,
    /// Whether something is left to do: it has not ended, or something is owed to an authority,
    /// which a hospital's people are not shown.
    is_open: bool,
    /// What the first failed device does.
    #[schema(value_type = String)]
    first_failure: FirstFailure,
    /// How far a fault on one gateway reaches without a person.
    critical_reach: CriticalReach,
    /// Beyond one hospital only a person rolls it back.
    raises_security: bool,
    contained: Vec<ContainedView>,
    /// What it waits for; empty once it has ended.
    waiting: Vec<WaitingView>,
    /// 1 for the first.
    current_phase: u32,
    phases: Vec<PhaseView>,
    /// Hospitals whose consent is needed.
    consents: Vec<ConsentView>,
    /// What is owed to authorities, with due dates.
    #[schema(value_type = Vec<Object>)]
    duties: Vec<Duty>,
    devices: Vec<DeviceProgressView>,
}

/// The plan of a deployment that has not been made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView {
    /// Give it as `planDigest` to start exactly this plan.
    plan_digest: String,
    firmware_id: String,
    manifest_digest: String,
    strategy: Strategy,
    /// The group whose devices are meant.
    group_id: Option<String>,
    #[schema(value_type = String)]
    first_failure: FirstFailure,
    /// How far a fault on one gateway reaches without a person.
    critical_reach: CriticalReach,
    /// Beyond one hospital only a person rolls it back.
    raises_security: bool,
    supersedes: Vec<String>,
    devices: u32,
    phases: Vec<PlannedPhase>,
    /// Devices that will refuse the release, as far as is known now, and why.
    cannot_take: Vec<CannotTake>,
    /// Hardware revisions that the release is for; a device of another one refuses it.
    hardware: Vec<String>,
    /// Why windows that hospitals registered are ignored; `null` if they are kept.
    windows_ignored_because: Option<String>,
    /// What the plan's author may not have meant.
    notes: Vec<String>,
}

/// A device that will refuse a release.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CannotTake {
    device_id: String,
    hospital_id: String,
    because: String,
}

/// A time in which a window is open, on the hospital's wall clock and in universal time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WindowTime {
    opens_at: String,
    closes_at: String,
    opens_local: String,
    closes_local: String,
}

impl WindowTime {
    pub(super) fn of(window: &Window, timezone: &str) -> Self {
        Self {
            opens_at: window.opens_at.to_string(),
            closes_at: window.closes_at.to_string(),
            opens_local: local_time(window.opens_at, timezone),
            closes_local: local_time(window.closes_at, timezone),
        }
    }
}

/// A window that a hospital registered and that a plan ignores.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IgnoredWindow {
    /// As it is registered.
    #[schema(value_type = Object)]
    window: serde_json::Value,
    /// When it opens next.
    next: Option<WindowTime>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedPhase {
    /// What the phase demands, as it was asked for.
    #[schema(value_type = Object)]
    gate: PhaseSpec,
    hospitals: Vec<PlannedHospital>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedHospital {
    hospital_id: String,
    consent_needed: bool,
    /// The next windows in which its devices may be activated; `null` for any time.
    #[schema(value_type = Option<Vec<Object>>)]
    windows: Option<Vec<Window>>,
    /// The same windows on the hospital's wall clock and in universal time; `null` for any time.
    window_times: Option<Vec<WindowTime>>,
    /// Windows that the hospital registered and that this plan ignores.
    ignored_windows: Vec<IgnoredWindow>,
    devices: Vec<String>,
}

/// One hospital of a plan with its windows: those that are kept, and those that are not.
fn planned_hospital(
    state: &mdfm_coordinator_core::State,
    spec: &Spec,
    members: &Members,
    now: UtcMillis,
) -> PlannedHospital {
    let hospital = state.hospitals.get(&members.hospital);
    let registered = hospital.map_or(&[][..], |h| &h.windows);
    let until = now.plus_ms(PLAN_HORIZON_MS);
    let windows = spec.spans_of(&members.hospital, registered, now, until, WINDOWS_MAX).map(|(spans, _)| spans);
    let own_zone = registered.first().map(|w| w.timezone.as_str());
    let zone = hospital.and_then(|h| h.timezone.as_deref()).or(own_zone).unwrap_or("UTC");
    let ignored = spec.ignored_windows(&members.hospital, registered).iter().map(|weekly| {
        let next = window::spans(std::slice::from_ref(weekly), now, until, 1);
        IgnoredWindow {
            window: window_text(weekly),
            next: next.first().map(|span| WindowTime::of(span, &weekly.timezone)),
        }
    });
    PlannedHospital {
        consent_needed: consent_needed(state, spec.consent, &members.hospital),
        window_times: windows.as_ref().map(|spans| spans.iter().map(|w| WindowTime::of(w, zone)).collect()),
        ignored_windows: ignored.collect(),
        windows,
        hospital_id: members.hospital.to_string(),
        devices: members.devices.iter().map(ToString::to_string).collect(),
    }
}

/// What the author of an emergency plan may have meant otherwise. `root_window_ms` is what the trust root allows between two approvals.
fn emergency_notes(spec: &Spec, root_window_ms: Option<u64>) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(asked), Some(allowed)) = (spec.approval_window_ms, root_window_ms)
        && asked > allowed
    {
        notes.push(format!(
            "approvalWindow allows {} between approvals, the trust root {}: it can only narrow, so the trust root's stay",
            period(asked),
            period(allowed)
        ));
    }
    let watched_ms = spec.phases.iter().map(|phase| phase.monitoring_ms).max().unwrap_or(0);
    if let Some(reports) = spec.status_reports.filter(|reports| watched_ms < reports.interval_ms) {
        notes.push(format!(
            "it is watched for {} after the last device; its {}, one in {}, are owed all the same, also after it has completed",
            period(watched_ms),
            count(reports.count, "status report"),
            period(reports.interval_ms)
        ));
    }
    notes
}

fn plan_view(state: &mdfm_coordinator_core::State, draft: Draft, now: UtcMillis) -> PlanView {
    let new = draft.new;
    let manifest = state.firmware.get(&new.firmware).and_then(|f| f.manifest.as_ref()).map(|m| &m.manifest);
    let refusing = manifest.map(|m| fitness::refusing(state, &draft.members, m)).unwrap_or_default();
    let cannot_take = refusing.into_iter().map(|(device, because)| CannotTake {
        device_id: device.to_string(),
        hospital_id: state.devices.get(device).map_or_else(String::new, |d| d.hospital.to_string()),
        because,
    });
    let mut hospitals: BTreeMap<u32, Vec<PlannedHospital>> = BTreeMap::new();
    for members in &draft.members {
        hospitals.entry(members.phase).or_default().push(planned_hospital(state, &new.spec, members, now));
    }
    let mut notes = fitness::notes(state, &new.spec.phases, &draft.members);
    notes.extend(emergency_notes(&new.spec, state.trusted_root().map(|root| root.approvals.emergency_window_ms)));
    PlanView {
        cannot_take: cannot_take.collect(),
        hardware: manifest.map(|m| m.hardware_revisions.clone()).unwrap_or_default(),
        windows_ignored_because: new.spec.windows.ignored_because().map(str::to_owned),
        notes,
        plan_digest: new.plan.to_string(),
        firmware_id: new.firmware.to_string(),
        manifest_digest: new.manifest.to_string(),
        strategy: new.spec.strategy,
        group_id: new.spec.group.as_ref().map(ToString::to_string),
        first_failure: new.first_failure,
        critical_reach: new.spec.critical_reach(),
        raises_security: new.raises_security,
        supersedes: draft.superseded.iter().map(ToString::to_string).collect(),
        devices: new.members,
        phases: (0_u32..)
            .zip(new.spec.phases)
            .map(|(i, gate)| PlannedPhase { gate, hospitals: hospitals.remove(&i).unwrap_or_default() })
            .collect(),
    }
}

fn contained(deployment: &Deployment, sees: &dyn Fn(&HospitalId) -> bool) -> Vec<ContainedView> {
    deployment
        .contained
        .iter()
        .filter(|(hospital, _)| sees(hospital))
        .map(|(hospital, found)| ContainedView {
            hospital_id: hospital.to_string(),
            gateway_id: found.source.as_ref().map(ToString::to_string),
            device_id: found.device.to_string(),
            fault: found.fault.clone(),
            at: found.at.to_string(),
        })
        .collect()
}

/// A deployment as `own` hospital's people see it; as everybody else without one. Each device is shown only `with_devices`: what one waits for
/// is not known without some work.
fn view(
    sight: Sight<'_>,
    id: &DeploymentId,
    deployment: &Deployment,
    own: Option<&HospitalId>,
    with_devices: bool,
) -> DeploymentView {
    let state = sight.state;
    let sees = |hospital: &HospitalId| own.is_none_or(|own| own == hospital);
    let mut hospitals: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut devices = Vec::new();
    for (device, progress) in &deployment.devices {
        let Some(held) = state.devices.get(device).filter(|d| sees(&d.hospital)) else { continue };
        hospitals.entry(progress.phase).or_default().insert(held.hospital.to_string());
        if !with_devices {
            continue;
        }
        devices.push(DeviceProgressView::of(sight, (id, deployment), (device, progress), Some(held)));
    }
    let spec = &deployment.plan.spec;
    let phases = (0_u32..).zip(spec.phases.iter().zip(&deployment.phases)).map(|(i, (spec, phase))| PhaseView {
        name: spec.name.clone(),
        hospital_cohort: spec.cohort.clone(),
        percentage: spec.percentage,
        max_error_rate_percent: spec.max_error_rate_percent,
        max_errors: spec.max_errors,
        monitoring_duration_ms: spec.monitoring_ms,
        min_reporting_percent: spec.min_reporting_percent,
        min_device_hours: spec.min_device_hours,
        validation_role: spec.validation.map(|r| r.to_string()),
        hospitals: hospitals.remove(&i).unwrap_or_default().into_iter().collect(),
        status: phase.status.clone(),
        devices: tally_for(state, deployment, i, own),
        standing: own.is_none().then(|| standing(&phase.tally, spec)),
        // Its figures are those of the whole fleet.
        gate: phase.gate.clone().filter(|_| own.is_none()),
        validation: phase.validation.as_ref().map(|given| validation_for(given, own)),
    });
    let consents = deployment
        .hospitals
        .iter()
        .filter(|(hospital, _)| sees(hospital) && consent_needed(state, spec.consent, hospital))
        .map(|(hospital, part)| ConsentView {
            hospital_id: hospital.to_string(),
            given_by: part.consent.as_ref().map(|c| c.by.clone()),
            given_at: part.consent.as_ref().map(|c| c.at.to_string()),
        });
    DeploymentView {
        deployment_id: id.to_string(),
        firmware_id: deployment.plan.firmware.to_string(),
        manifest_digest: deployment.plan.manifest.to_string(),
        strategy: spec.strategy,
        group_id: spec.group.as_ref().filter(|_| own.is_none()).map(ToString::to_string),
        plan_digest: deployment.plan.plan.to_string(),
        created_by: deployment.plan.created_by.clone(),
        created_at: deployment.created_at.to_string(),
        status: status_for(state, deployment, own),
        is_open: is_open(deployment, own),
        first_failure: deployment.plan.first_failure,
        critical_reach: spec.critical_reach(),
        raises_security: deployment.only_a_person_rolls_back(),
        contained: contained(deployment, &sees),
        waiting: sight.of_deployment(id, deployment, own).into_iter().map(WaitingView::from).collect(),
        current_phase: deployment.current + 1,
        phases: phases.collect(),
        consents: consents.collect(),
        duties: if own.is_none() { deployment.duties.clone() } else { Vec::new() },
        devices,
    }
}

pub(super) fn find(api: &Api, caller: &Caller, id: &DeploymentId) -> Result<axum::Json<DeploymentView>, Problem> {
    let state = api.runner.state();
    let presence = api.runner.presence();
    let sight = Sight { state: &state, presence: &presence, now: clock::now() };
    let (held, own) = find_held(&state, caller, id)?;
    Ok(axum::Json(view(sight, id, held, own, true)))
}

/// A deployment that the caller may see, and the hospital whose people the caller belongs to.
pub(super) fn find_held<'a>(
    state: &'a mdfm_coordinator_core::State,
    caller: &Caller,
    id: &DeploymentId,
) -> Result<(&'a Deployment, Option<&'a HospitalId>), Problem> {
    let own = state.hospital_of_user(&caller.actor.id);
    let held = state.deployments.get(id).filter(|held| is_seen_by(held, own));
    let held = held.ok_or_else(|| mdfm_coordinator_core::Refusal::not_found("deployment", id))?;
    Ok((held, own))
}

/// A parameter of another name is refused: a misspelt `dryRun` must not start the deployment.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateQuery {
    firmware_id: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// Creates and starts a deployment. With `dryRun` nothing is made: the answer names every device, window and gate, and the
/// digest that pins the plan.
#[utoipa::path(post, path = "/api/v1/deployments", request_body = DeploymentJson,
    params(("firmwareId" = Option<String>, Query), ("dryRun" = Option<bool>, Query)),
    responses((status = 201, body = DeploymentView), (status = 200, body = PlanView), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<CreateQuery>,
    Json(new): Json<DeploymentJson>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Deploy, "deployment.create", "deployment").await?;
    let is_dry = query.dry_run || new.is_dry_run();
    let request = new.parse(query.firmware_id.as_deref())?;
    if is_dry {
        let (state, nowhere) = (api.runner.state(), id("deployment", "dry-run")?);
        // The time that the act itself would be decided at.
        let now = state.not_before(clock::now());
        let draft = plan::draft(&state, now, &caller.actor, &nowhere, &request)?;
        return Ok(axum::Json(plan_view(&state, draft, now)).into_response());
    }
    let deployment: DeploymentId = fresh_id("dep-")?;
    let command = Command::CreateDeployment { deployment: deployment.clone(), request: Box::new(request) };
    origin.submit(&api, &caller, command).await?;
    Ok((StatusCode::CREATED, find(&api, &caller, &deployment)?).into_response())
}

/// Lists deployments, without their devices.
#[utoipa::path(get, path = "/api/v1/deployments", params(ListQuery),
    responses((status = 200, body = Vec<DeploymentView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "deployment.list", "deployment").await?;
    let state = api.runner.state();
    let presence = api.runner.presence();
    let sight = Sight { state: &state, presence: &presence, now: clock::now() };
    let own = state.hospital_of_user(&caller.actor.id);
    query.page_knowing(
        "/api/v1/deployments",
        &state.deployments,
        |_, deployment| is_seen_by(deployment, own),
        |id, deployment, field| known(id, deployment, own, field),
        |id, d| view(sight, id, d, own, false),
    )
}

/// Whether something is left to do about a deployment, as far as `own` hospital's people may know;
/// everybody else without one.
fn is_open(deployment: &Deployment, own: Option<&HospitalId>) -> bool {
    deployment.is_active() || own.is_none() && deployment.duties.iter().any(|duty| duty.fulfilled.is_none())
}

/// The fields of a deployment's view that need no look at its devices.
fn known(id: &DeploymentId, deployment: &Deployment, own: Option<&HospitalId>, field: &str) -> Option<Value> {
    let plan = &deployment.plan;
    Some(match field {
        "deploymentId" => Value::from(id.as_str()),
        "firmwareId" => Value::from(plan.firmware.as_str()),
        "manifestDigest" => Value::from(plan.manifest.to_string()),
        "planDigest" => Value::from(plan.plan.to_string()),
        "strategy" => serde_json::json!(plan.spec.strategy),
        "createdBy" => Value::from(plan.created_by.as_str()),
        "createdAt" => Value::from(deployment.created_at.to_string()),
        "status.name" => serde_json::json!(deployment.status)["name"].take(),
        "currentPhase" => Value::from(deployment.current + 1),
        "isOpen" => Value::from(is_open(deployment, own)),
        _ => return None,
    })
}

/// Whether a deployment is shown with its devices.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowQuery {
    /// `false` leaves its devices out: they are listed apart. They are shown by default.
    #[serde(default = "with_devices")]
    devices: bool,
}

fn with_devices() -> bool {
    true
}

/// Shows one deployment with every device; to a hospital's people only their own. Its tag changes with the states of the deployment and of its
/// phases.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}", params(ShowQuery),
    responses((status = 200, body = DeploymentView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Response, Problem> {
    let object = format!("deployment/{deployment}");
    let caller = origin.need(&api, Permission::Read, "deployment.show", &object).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let state = api.runner.state();
    let presence = api.runner.presence();
    let sight = Sight { state: &state, presence: &presence, now: clock::now() };
    let (held, own) = find_held(&state, &caller, &deployment)?;
    Ok(tagged(&state, &object, view(sight, &deployment, held, own, query.devices)))
}

/// What has happened to a deployment, newest first: who started, paused and changed it, what its devices reported.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/history", params(Paging),
    responses((status = 200, body = AuditPage), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn history(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<AuditPage>, Problem> {
    let object = format!("deployment/{deployment}");
    let caller = origin.need(&api, Permission::Read, "deployment.history", &object).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let _ = find(&api, &caller, &deployment)?;
    about(&api, &caller, (Field::Deployment, "deployment"), &deployment, &paging).await
}

/// Signs the validation of the current phase, whose gate has held.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/validations", request_body = SignedDocument,
    responses((status = 201, body = DeploymentView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn validate(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(body): Json<SignedDocument>,
) -> Result<(StatusCode, axum::Json<DeploymentView>), Problem> {
    let object = format!("deployment/{deployment}");
    let caller = origin.need(&api, Permission::Approve, "deployment.validate", &object).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let validation = document("document", &body.document)?;
    origin.submit(&api, &caller, Command::Validate { deployment: deployment.clone(), validation }).await?;
    Ok((StatusCode::CREATED, find(&api, &caller, &deployment)?))
}

/// Carries out a command on one deployment and shows what has become of it.
async fn carry_out(
    api: &Api,
    origin: &Origin,
    permission: Permission,
    action: &'static str,
    deployment: &str,
    command: impl FnOnce(DeploymentId) -> Result<Command, Problem>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let caller = origin.need(api, permission, action, &format!("deployment/{deployment}")).await?;
    let deployment: DeploymentId = id("deployment", deployment)?;
    origin.submit(api, &caller, command(deployment.clone())?).await?;
    find(api, &caller, &deployment)
}

/// Pauses: staging goes on, nothing is activated.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/pause", request_body = Reason,
    responses((status = 200, body = DeploymentView), (status = 409, body = Problem)))]
pub(super) async fn pause(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment| Ok(Command::Pause { deployment, reason: body.reason });
    carry_out(&api, &origin, Permission::Stop, "deployment.pause", &deployment, command).await
}

/// Resumes; failures that stand are accepted with it.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/resume", request_body = Reason,
    responses((status = 200, body = DeploymentView), (status = 409, body = Problem)))]
pub(super) async fn resume(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment| Ok(Command::Resume { deployment, reason: body.reason });
    carry_out(&api, &origin, Permission::Deploy, "deployment.resume", &deployment, command).await
}

/// Ends a deployment: what is in flight goes back, what is done stays, the rest is left alone.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/abort", request_body = Reason,
    responses((status = 200, body = DeploymentView), (status = 409, body = Problem)))]
pub(super) async fn abort(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment| Ok(Command::Abort { deployment, reason: body.reason });
    carry_out(&api, &origin, Permission::Stop, "deployment.abort", &deployment, command).await
}

/// What goes back and why. Without device, hospital or phase everything does.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RollbackOrder {
    reason: String,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default)]
    hospital_id: Option<String>,
    /// 1 for the first.
    #[serde(default)]
    phase: Option<u32>,
    /// `safety` (the default): the devices count as failed; `operational`: they leave the count.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    cause: Option<OrderedBack>,
    /// The same as `dryRun` in the query. Tools give it here: a coordinator that does not know it refuses it and does nothing.
    #[serde(default)]
    dry_run: bool,
}

impl RollbackOrder {
    fn scope(&self) -> Result<Scope, Problem> {
        match (&self.device_id, &self.hospital_id, self.phase) {
            (None, None, None) => Ok(Scope::Deployment),
            (Some(device), None, None) => Ok(Scope::Device { device: id("deviceId", device)? }),
            (None, Some(hospital), None) => Ok(Scope::Hospital { hospital: id("hospitalId", hospital)? }),
            (None, None, Some(phase)) if phase > 0 => Ok(Scope::Phase { phase: phase - 1 }),
            _ => {
                let problem = "give one of deviceId, hospitalId and phase (1 for the first), or none of them";
                Err(mdfm_coordinator_core::Refusal::invalid("scope", problem).into())
            }
        }
    }
}

/// What a rollback would lead to; nothing has been done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RollbackPreview {
    deployment_id: String,
    /// How the order counts: `safety` counts the devices as failed, `operational` takes them out of the count.
    #[schema(value_type = String)]
    cause: OrderedBack,
    /// Devices that the order itself sends back.
    devices: Vec<String>,
    /// Devices that go back in the end, with what the deployment's own rules do then; to a hospital's people only their own.
    total_devices: usize,
    total_hospitals: usize,
    /// Whether the deployment's own rules send back more than the order names.
    escalates: bool,
    /// What the deployment does because of it, in order.
    reactions: Vec<String>,
}

impl RollbackPreview {
    /// As `own` hospital's people see it; as everybody else without one.
    fn of(id: &DeploymentId, cause: OrderedBack, foreseen: &Foreseen, own: Option<&HospitalId>) -> Self {
        let sees = |hospital: &HospitalId| own.is_none_or(|own| own == hospital);
        let seen = || foreseen.back.iter().filter(|(hospital, _)| sees(hospital));
        let is_seen = |device: &&DeviceId| seen().any(|(_, devices)| devices.contains(*device));
        // Reasons may name devices of other hospitals.
        let words = |(action, reason): &(&'static str, String)| match own {
            None => format!("{action}: {reason}"),
            Some(_) => (*action).to_owned(),
        };
        Self {
            deployment_id: id.to_string(),
            cause,
            devices: foreseen.ordered.iter().filter(is_seen).map(ToString::to_string).collect(),
            total_devices: seen().map(|(_, devices)| devices.len()).sum(),
            total_hospitals: seen().count(),
            escalates: foreseen.is_escalated(),
            reactions: foreseen.reactions.iter().map(words).collect(),
        }
    }
}

/// A parameter of another name is refused: a misspelt `dryRun` must not carry the act out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DryRunQuery {
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Rolls back a device, a hospital, a phase or every opened phase. With `dryRun` nothing is done: the answer says what the order
/// counts as and what it leads to.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/rollback", request_body = RollbackOrder,
    params(("dryRun" = Option<bool>, Query)),
    responses((status = 200, body = DeploymentView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn roll_back(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Query(query): Query<DryRunQuery>,
    Json(order): Json<RollbackOrder>,
) -> Result<Response, Problem> {
    let cause = order.cause.unwrap_or(OrderedBack::Safety);
    if query.dry_run || order.dry_run {
        let object = format!("deployment/{deployment}");
        let caller = origin.need(&api, Permission::RollBack, "deployment.rollback", &object).await?;
        let id: DeploymentId = id("deployment", &deployment)?;
        let command = Command::Rollback { deployment: id.clone(), scope: order.scope()?, cause, reason: order.reason };
        let state = api.runner.state();
        let now = state.not_before(clock::now());
        let proposals = mdfm_coordinator_core::decide(&state, now, &caller.actor, &command)?;
        let foreseen = foresight::foresee(&state, now, &id, &proposals)?;
        let own = state.hospital_of_user(&caller.actor.id);
        return Ok(axum::Json(RollbackPreview::of(&id, cause, &foreseen, own)).into_response());
    }
    let command = |deployment| Ok(Command::Rollback { deployment, scope: order.scope()?, cause, reason: order.reason });
    let view = carry_out(&api, &origin, Permission::RollBack, "deployment.rollback", &deployment, command).await?;
    Ok(view.into_response())
}

/// A hospital's staff agree that their devices are changed.
#[utoipa::path(put, path = "/api/v1/deployments/{deployment}/consents/{hospital}", request_body = Reason,
    responses((status = 200, body = DeploymentView), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn consent(
    State(api): State<Api>,
    origin: Origin,
    Path((deployment, hospital)): Path<(String, String)>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment| {
        let hospital = id("hospital", &hospital)?;
        Ok(Command::Consent { deployment, hospital, given: true, reason: body.reason })
    };
    carry_out(&api, &origin, Permission::Consent, "deployment.consent", &deployment, command).await
}

/// A hospital's staff take their consent back; devices not yet activated wait again.
#[utoipa::path(delete, path = "/api/v1/deployments/{deployment}/consents/{hospital}", request_body = Reason,
    responses((status = 200, body = DeploymentView), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn withdraw_consent(
    State(api): State<Api>,
    origin: Origin,
    Path((deployment, hospital)): Path<(String, String)>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment| {
        let hospital = id("hospital", &hospital)?;
        Ok(Command::Consent { deployment, hospital, given: false, reason: body.reason })
    };
    carry_out(&api, &origin, Permission::Consent, "deployment.consent.withdraw", &deployment, command).await
}

/// How a duty was fulfilled.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DutyFulfilled {
    /// Where it can be found, for example the number of the report.
    reference: String,
}

/// Notes that something owed to an authority has been done; 1 for the first duty.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/duties/{duty}", request_body = DutyFulfilled,
    responses((status = 200, body = DeploymentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn fulfil_duty(
    State(api): State<Api>,
    origin: Origin,
    Path((deployment, duty)): Path<(String, u32)>,
    Json(body): Json<DutyFulfilled>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment| {
        let duty =
            duty.checked_sub(1).ok_or_else(|| mdfm_coordinator_core::Refusal::invalid("duty", "1 for the first"))?;
        Ok(Command::FulfilDuty { deployment, duty, reference: body.reference })
    };
    carry_out(&api, &origin, Permission::Recall, "deployment.duty.fulfil", &deployment, command).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_8_a_plan_says_what_its_emergency_words_do_not_do() {
        let notes = |more: &str| {
            let json = format!(r#"{{ "strategy": "Emergency" {more} }}"#);
            let request = serde_json::from_str::<DeploymentJson>(&json).expect("a plan").parse(Some("FW-1"));
            emergency_notes(&request.expect("makes sense").spec, Some(4 * 3_600_000))
        };
        assert_eq!(notes(""), Vec::<String>::new());
        assert_eq!(notes(r#", "approvalWindow": "PT2H""#), Vec::<String>::new());
        let wide = notes(r#", "approvalWindow": "PT5H""#);
        assert!(wide.len() == 1 && wide[0].contains("it can only narrow"), "{wide:?}");
        let near = notes(r#", "approvalWindow": "PT4H30S""#);
        assert!(near[0].contains("allows 14430 seconds between approvals, the trust root 4 hours"), "{near:?}");
        let unwatched = notes(r#", "postDeploymentMonitoring": "PT0S""#);
        assert!(unwatched.len() == 1 && unwatched[0].contains("7 status reports"), "{unwatched:?}");
        assert!(
            emergency_notes(
                &serde_json::from_str::<DeploymentJson>(r#"{ "strategy": "Progressive" }"#)
                    .expect("a plan")
                    .parse(Some("FW-1"))
                    .expect("makes sense")
                    .spec,
                None
            )
            .is_empty()
        );
    }

    #[test]
    fn cli_2_a_misspelt_dry_run_is_refused() {
        let query = |text: &str| serde_urlencoded::from_str::<DryRunQuery>(text).map(|query| query.dry_run);
        assert_eq!((query("dryRun=true"), query("")), (Ok(true), Ok(false)));
        for bad in ["dryrun=true", "dry_run=true", "dryRun=yes", "dryRun=true&x=1"] {
            assert!(query(bad).is_err(), "{bad}");
            assert!(serde_urlencoded::from_str::<CreateQuery>(bad).is_err(), "{bad}");
        }
        assert!(
            serde_urlencoded::from_str::<CreateQuery>("firmwareId=FW-1&dryRun=true").is_ok_and(|query| query.dry_run)
        );
        let order = |text: &str| serde_json::from_str::<RollbackOrder>(text).map(|order| order.dry_run);
        assert!(order(r#"{"reason":"x","dryRun":true}"#).expect("JSON"));
        assert!(!order(r#"{"reason":"x"}"#).expect("JSON") && order(r#"{"reason":"x","dryrun":true}"#).is_err());
    }
}
