//! Deployments: the seed's JSON in both spellings, progress, validation, pause, resume, rollback.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use mdfm_shared::id::DeploymentId;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::trust::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::firmware::SignedDocument;
use super::gateways::Reason;
use super::request::{Json, Origin, Query, document, fresh_id, id};
use super::{Api, Problem};
use crate::domain::access::Permission;
use crate::domain::rollout::{
    Deployment, DeploymentRequest, GateRecord, GivenValidation, PhaseSpec, PhaseStatus, Status,
};
use crate::domain::{Command, Refusal};

/// A deployment as the seed writes it: `ProgressiveHospital` with `rolloutPhases`, or `Progressive` with `phases`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDeployment {
    #[serde(default)]
    firmware_id: Option<String>,
    /// `Progressive` or `ProgressiveHospital`.
    strategy: String,
    /// Device ids, or `all` (the default) for every device of the firmware's model.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    target_devices: Option<Targets>,
    #[serde(alias = "rolloutPhases")]
    phases: Vec<NewPhase>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Targets {
    Named(Vec<String>),
    Word(String),
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewPhase {
    #[serde(default)]
    name: Option<String>,
    hospital_cohort: String,
    percentage: f64,
    #[serde(default)]
    target_hospitals: Vec<String>,
    #[serde(default)]
    max_error_rate_percent: Option<f64>,
    #[serde(default)]
    monitoring_duration_hours: Option<f64>,
    /// ISO 8601, for example `PT72H`; instead of `monitoringDurationHours`.
    #[serde(default)]
    monitoring_duration: Option<String>,
    /// Who signs at the gate: Clinical, QA or Regulatory.
    #[serde(default)]
    validation_role: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhaseView {
    name: String,
    hospital_cohort: String,
    percentage: f64,
    max_error_rate_percent: f64,
    monitoring_duration_ms: u64,
    validation_role: String,
    hospitals: Vec<String>,
    #[schema(value_type = Object)]
    status: PhaseStatus,
    #[schema(value_type = Option<Object>)]
    gate: Option<GateRecord>,
    #[schema(value_type = Option<Object>)]
    validation: Option<GivenValidation>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceProgressView {
    device_id: String,
    hospital_id: String,
    /// 1 for the first.
    phase: u32,
    #[schema(value_type = Option<String>)]
    state: Option<InstallState>,
    detail: Option<String>,
    errors: u32,
    silent: bool,
    firmware_version: String,
    rollback_ms: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentView {
    deployment_id: String,
    firmware_id: String,
    manifest_digest: String,
    strategy: &'static str,
    created_by: String,
    created_at: String,
    #[schema(value_type = Object)]
    status: Status,
    /// 1 for the first.
    current_phase: u32,
    phases: Vec<PhaseView>,
    devices: Vec<DeviceProgressView>,
}

/// The seed's figures for a phase that does not give its own: those of the cohort, or of the place.
fn defaults(cohort: &str, index: usize, count: usize) -> (f64, f64, Role) {
    match (cohort, index) {
        ("pilot", _) => (1.0, 72.0, Role::Clinical),
        ("regional", _) => (0.5, 48.0, Role::Qa),
        ("all", _) => (0.1, 24.0, Role::Regulatory),
        (_, i) if i + 1 == count => (0.1, 24.0, Role::Regulatory),
        (_, 0) => (1.0, 72.0, Role::Clinical),
        _ => (0.5, 48.0, Role::Qa),
    }
}

fn monitoring_ms(field: &str, phase: &NewPhase, default_hours: f64) -> Result<u64, Refusal> {
    let hours = match (&phase.monitoring_duration, phase.monitoring_duration_hours) {
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid(field, "give monitoringDuration or monitoringDurationHours, not both"));
        }
        (Some(text), None) => {
            let duration: jiff::SignedDuration =
                text.parse().map_err(|e| Refusal::invalid(field, format!("monitoringDuration {text:?}: {e}")))?;
            return u64::try_from(duration.as_millis()).map_err(|_| Refusal::invalid(field, "must not be negative"));
        }
        (None, hours) => hours.unwrap_or(default_hours),
    };
    if !(0.0..=24.0 * 366.0).contains(&hours) {
        return Err(Refusal::invalid(field, format!("monitoringDurationHours must be 0 to 8784, found {hours}")));
    }
    Ok((hours * 3_600_000.0).round() as u64)
}

fn parse(new: NewDeployment, firmware_in_query: Option<String>) -> Result<DeploymentRequest, Problem> {
    match new.strategy.as_str() {
        "Progressive" | "ProgressiveHospital" => {}
        "Canary" | "Emergency" | "Scheduled" => {
            let problem = format!("{} is not available in this version; Progressive is", new.strategy);
            return Err(Refusal::invalid("strategy", problem).into());
        }
        other => return Err(Refusal::invalid("strategy", format!("{other:?} is not known; use Progressive")).into()),
    }
    let firmware = new.firmware_id.or(firmware_in_query).ok_or_else(|| {
        Problem::from(Refusal::invalid("firmwareId", "is missing: which firmware shall be deployed?"))
    })?;
    let target_devices = match new.target_devices {
        None => None,
        Some(Targets::Word(word)) if word == "all" => None,
        Some(Targets::Word(word)) => {
            let problem = format!("must be a list of device ids or \"all\", found {word:?}");
            return Err(Refusal::invalid("targetDevices", problem).into());
        }
        Some(Targets::Named(names)) => {
            Some(names.iter().map(|n| id("targetDevices", n)).collect::<Result<Vec<_>, _>>()?)
        }
    };
    let count = new.phases.len();
    let mut phases = Vec::with_capacity(count);
    for (i, phase) in new.phases.into_iter().enumerate() {
        let (max_error, hours, role) = defaults(&phase.hospital_cohort, i, count);
        let field = |name: &str| format!("phases[{i}].{name}");
        phases.push(PhaseSpec {
            monitoring_ms: monitoring_ms(&field("monitoringDuration"), &phase, hours)?,
            name: phase.name.clone().unwrap_or_else(|| phase.hospital_cohort.clone()),
            percentage: phase.percentage,
            target_hospitals: phase
                .target_hospitals
                .iter()
                .map(|h| id(&field("targetHospitals"), h))
                .collect::<Result<_, _>>()?,
            max_error_rate_percent: phase.max_error_rate_percent.unwrap_or(max_error),
            validation: match &phase.validation_role {
                Some(text) => id(&field("validationRole"), text)?,
                None => role,
            },
            cohort: phase.hospital_cohort,
        });
    }
    Ok(DeploymentRequest { firmware: id("firmwareId", &firmware)?, target_devices, phases })
}

fn view(state: &crate::domain::State, id: &DeploymentId, deployment: &Deployment) -> DeploymentView {
    let phases = deployment.plan.phases.iter().enumerate().map(|(i, spec)| PhaseView {
        name: spec.name.clone(),
        hospital_cohort: spec.cohort.clone(),
        percentage: spec.percentage,
        max_error_rate_percent: spec.max_error_rate_percent,
        monitoring_duration_ms: spec.monitoring_ms,
        validation_role: spec.validation.to_string(),
        hospitals: deployment.plan.plan.get(i).into_iter().flatten().map(ToString::to_string).collect(),
        status: deployment.phases[i].clone(),
        gate: deployment.gates[i].clone(),
        validation: deployment.validations[i].clone(),
    });
    let devices = deployment.devices.iter().filter_map(|(device, progress)| {
        let held = state.devices.get(device)?;
        let install = held.install.as_ref().filter(|i| i.manifest == deployment.plan.manifest);
        Some(DeviceProgressView {
            device_id: device.to_string(),
            hospital_id: held.hospital.to_string(),
            phase: progress.phase + 1,
            state: progress.state,
            detail: install.map(|i| i.detail.clone()),
            errors: progress.errors,
            silent: progress.silent,
            firmware_version: held.firmware_version.clone(),
            rollback_ms: install.and_then(|i| i.rollback_ms),
        })
    });
    DeploymentView {
        deployment_id: id.to_string(),
        firmware_id: deployment.plan.firmware.to_string(),
        manifest_digest: deployment.plan.manifest.to_string(),
        strategy: "Progressive",
        created_by: deployment.plan.created_by.clone(),
        created_at: deployment.created_at.to_string(),
        status: deployment.status.clone(),
        current_phase: deployment.current + 1,
        phases: phases.collect(),
        devices: devices.collect(),
    }
}

fn find(api: &Api, id: &DeploymentId) -> Result<axum::Json<DeploymentView>, Problem> {
    let state = api.runner.state();
    Ok(axum::Json(view(&state, id, state.need_deployment(id)?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FirmwareQuery {
    firmware_id: Option<String>,
}

/// Creates and starts a deployment; the plan is in the answer.
#[utoipa::path(post, path = "/api/v1/deployments", request_body = NewDeployment, params(("firmwareId" = Option<String>, Query)),
    responses((status = 201, body = DeploymentView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<FirmwareQuery>,
    Json(new): Json<NewDeployment>,
) -> Result<(StatusCode, axum::Json<DeploymentView>), Problem> {
    let caller = origin.need(&api, Permission::Deploy, "deployment.create", "deployment").await?;
    let request = parse(new, query.firmware_id)?;
    let deployment: DeploymentId = fresh_id("dep-")?;
    origin.submit(&api, &caller, Command::CreateDeployment { deployment: deployment.clone(), request }).await?;
    Ok((StatusCode::CREATED, find(&api, &deployment)?))
}

/// Lists deployments, without their devices.
#[utoipa::path(get, path = "/api/v1/deployments", responses((status = 200, body = Vec<DeploymentView>)))]
pub(super) async fn list(State(api): State<Api>, origin: Origin) -> Result<axum::Json<Vec<DeploymentView>>, Problem> {
    origin.need(&api, Permission::Read, "deployment.list", "deployment").await?;
    let state = api.runner.state();
    let short = |(id, d)| DeploymentView { devices: Vec::new(), ..view(&state, id, d) };
    Ok(axum::Json(state.deployments.iter().map(short).collect()))
}

/// Shows one deployment with every device.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}",
    responses((status = 200, body = DeploymentView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    origin.need(&api, Permission::Read, "deployment.show", &format!("deployment/{deployment}")).await?;
    find(&api, &id("deployment", &deployment)?)
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
    Ok((StatusCode::CREATED, find(&api, &deployment)?))
}

/// A wish about a running deployment, with its reason.
struct Wish {
    permission: Permission,
    action: &'static str,
    command: fn(DeploymentId, String) -> Command,
}

impl Wish {
    async fn carry_out(
        &self,
        api: &Api,
        origin: &Origin,
        deployment: &str,
        reason: String,
    ) -> Result<axum::Json<DeploymentView>, Problem> {
        let object = format!("deployment/{deployment}");
        let caller = origin.need(api, self.permission, self.action, &object).await?;
        let deployment: DeploymentId = id("deployment", deployment)?;
        origin.submit(api, &caller, (self.command)(deployment.clone(), reason)).await?;
        find(api, &deployment)
    }
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
    let command = |deployment, reason| Command::Pause { deployment, reason };
    let wish = Wish { permission: Permission::RollBack, action: "deployment.pause", command };
    wish.carry_out(&api, &origin, &deployment, body.reason).await
}

/// Resumes.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/resume", request_body = Reason,
    responses((status = 200, body = DeploymentView), (status = 409, body = Problem)))]
pub(super) async fn resume(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment, reason| Command::Resume { deployment, reason };
    let wish = Wish { permission: Permission::Deploy, action: "deployment.resume", command };
    wish.carry_out(&api, &origin, &deployment, body.reason).await
}

/// Rolls back every opened phase.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/rollback", request_body = Reason,
    responses((status = 200, body = DeploymentView), (status = 409, body = Problem)))]
pub(super) async fn roll_back(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Json(body): Json<Reason>,
) -> Result<axum::Json<DeploymentView>, Problem> {
    let command = |deployment, reason| Command::Rollback { deployment, reason };
    let wish = Wish { permission: Permission::RollBack, action: "deployment.rollback", command };
    wish.carry_out(&api, &origin, &deployment, body.reason).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<DeploymentRequest, Problem> {
        parse(serde_json::from_str(text).expect("the seed's JSON"), Some("FW-1".into()))
    }

    /// Both spellings, letter by letter as the seed documents write them.
    #[test]
    fn seed_api_deployments_are_taken_as_the_seed_writes_them() {
        let overview = parsed(
            r#"{
              "firmwareId": "fw-abc123",
              "strategy": "ProgressiveHospital",
              "targetDevices": ["DEV-12345", "DEV-12346"],
              "rolloutPhases": [
                { "hospitalCohort": "pilot", "percentage": 10 },
                { "hospitalCohort": "regional", "percentage": 50 },
                { "hospitalCohort": "all", "percentage": 100 }
              ]
            }"#,
        )
        .expect("accepted");
        let strategies = parsed(
            r#"{
              "strategy": "Progressive",
              "phases": [
                { "name": "Pilot", "hospitalCohort": "pilot", "percentage": 10, "targetHospitals": ["HOSP-001", "HOSP-002"],
                  "maxErrorRatePercent": 1.0, "monitoringDurationHours": 72 },
                { "name": "Regional", "hospitalCohort": "regional", "percentage": 50,
                  "maxErrorRatePercent": 0.5, "monitoringDurationHours": 48 },
                { "name": "Full", "hospitalCohort": "all", "percentage": 100,
                  "maxErrorRatePercent": 0.1, "monitoringDurationHours": 24 }
              ]
            }"#,
        )
        .expect("accepted");
        assert_eq!(overview.firmware.as_str(), "fw-abc123");
        assert_eq!(overview.target_devices.map(|d| d.len()), Some(2));
        assert_eq!(strategies.phases[0].target_hospitals.len(), 2);
        // What the overview leaves out are the figures of the strategies document.
        for (short, long) in overview.phases.iter().zip(&strategies.phases) {
            assert_eq!(short.monitoring_ms, long.monitoring_ms);
            assert!((short.max_error_rate_percent - long.max_error_rate_percent).abs() < f64::EPSILON);
            assert_eq!(short.validation, long.validation);
        }
        let roles: Vec<Role> = strategies.phases.iter().map(|p| p.validation).collect();
        assert_eq!(roles, [Role::Clinical, Role::Qa, Role::Regulatory]);
    }

    #[test]
    fn seed_strat_durations_are_iso_8601_or_hours_and_never_absurd() {
        let with = |field: &str| {
            let phase = format!(r#"{{ "hospitalCohort": "all", "percentage": 100, {field} }}"#);
            parsed(&format!(r#"{{ "strategy": "Progressive", "phases": [{phase}] }}"#))
                .map(|r| r.phases[0].monitoring_ms)
        };
        for (field, ms) in [
            (r#""monitoringDuration": "PT10S""#, 10_000),
            (r#""monitoringDuration": "PT72H""#, 72 * 3_600_000),
            (r#""monitoringDurationHours": 0.5"#, 1_800_000),
        ] {
            assert_eq!(with(field).ok(), Some(ms), "{field}");
        }
        for field in [
            r#""monitoringDuration": "-PT1S""#,
            r#""monitoringDuration": "soon""#,
            r#""monitoringDurationHours": -1"#,
            r#""monitoringDurationHours": 1e9"#,
            r#""monitoringDuration": "PT1S", "monitoringDurationHours": 1"#,
        ] {
            assert!(with(field).is_err(), "{field}");
        }
    }
}
