//! Hospitals: registration, maintenance windows, the wish to be asked.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::id::HospitalId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, id};
use super::{Api, Problem};
use crate::domain::access::Permission;
use crate::domain::fleet::Hospital;
use crate::domain::rollout::request::{WindowJson, window_text};
use crate::domain::{Command, Refusal};

/// A hospital to register.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewHospital {
    hospital_id: String,
    name: String,
    /// Cohort that rollout phases name, for example `pilot`.
    #[serde(default)]
    cohort: Option<String>,
    /// IANA time zone, for example `America/New_York`.
    #[serde(default)]
    timezone: Option<String>,
}

/// A hospital.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HospitalView {
    hospital_id: String,
    name: String,
    cohort: Option<String>,
    timezone: Option<String>,
    /// Whether its staff want to be asked before each deployment.
    consent_required: bool,
    /// When its devices may be changed by deployments that keep to windows.
    #[schema(value_type = Vec<Object>)]
    maintenance_windows: Vec<serde_json::Value>,
}

/// When a hospital's devices may be changed, and whether its staff want to be asked.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HospitalPolicy {
    maintenance_windows: Vec<WindowJson>,
    consent_required: bool,
}

fn view(id: &HospitalId, hospital: &Hospital) -> HospitalView {
    HospitalView {
        hospital_id: id.to_string(),
        name: hospital.name.clone(),
        cohort: hospital.cohort.clone(),
        timezone: hospital.timezone.clone(),
        consent_required: hospital.consent_required,
        maintenance_windows: hospital.windows.iter().map(window_text).collect(),
    }
}

/// Registers a hospital.
#[utoipa::path(post, path = "/api/v1/hospitals", request_body = NewHospital,
    responses((status = 201, body = HospitalView), (status = 409, body = Problem)))]
pub(super) async fn register(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewHospital>,
) -> Result<(StatusCode, axum::Json<HospitalView>), Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "hospital.register", "hospital").await?;
    let hospital: HospitalId = id("hospitalId", &new.hospital_id)?;
    let command = Command::RegisterHospital {
        hospital: hospital.clone(),
        name: new.name,
        cohort: new.cohort,
        timezone: new.timezone,
    };
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    Ok((StatusCode::CREATED, axum::Json(view(&hospital, state.need_hospital(&hospital)?))))
}

/// Sets a hospital's maintenance windows and whether its staff want to be asked; replaces what was set before.
#[utoipa::path(put, path = "/api/v1/hospitals/{hospital}/policy", request_body = HospitalPolicy,
    responses((status = 200, body = HospitalView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set_policy(
    State(api): State<Api>,
    origin: Origin,
    Path(hospital): Path<String>,
    Json(new): Json<HospitalPolicy>,
) -> Result<axum::Json<HospitalView>, Problem> {
    let object = format!("hospital/{hospital}");
    let caller = origin.need(&api, Permission::ManageFleet, "hospital.policy", &object).await?;
    let hospital: HospitalId = id("hospital", &hospital)?;
    let windows = new
        .maintenance_windows
        .iter()
        .enumerate()
        .map(|(i, w)| w.parse(&format!("maintenanceWindows[{i}]")))
        .collect::<Result<_, Refusal>>()?;
    let consent_required = new.consent_required;
    let command = Command::SetHospitalPolicy { hospital: hospital.clone(), windows, consent_required };
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    Ok(axum::Json(view(&hospital, state.need_hospital(&hospital)?)))
}

/// Lists hospitals; staff of one see their own.
#[utoipa::path(get, path = "/api/v1/hospitals", params(ListQuery),
    responses((status = 200, body = Vec<HospitalView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "hospital.list", "hospital").await?;
    let state = api.runner.state();
    let own = state.hospital_of_user(&caller.actor.id);
    query.page("/api/v1/hospitals", &state.hospitals, |id, _| own.is_none_or(|h| h == id), view)
}
