//! Hospitals.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::{Json, Origin, id};
use super::{Api, Problem};
use crate::domain::Command;
use crate::domain::access::Permission;

/// A hospital, as sent and as shown.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HospitalView {
    hospital_id: String,
    name: String,
    /// Cohort that rollout phases name, for example `pilot`.
    #[serde(default)]
    cohort: Option<String>,
    /// IANA time zone, for example `America/New_York`.
    #[serde(default)]
    timezone: Option<String>,
}

/// Registers a hospital.
#[utoipa::path(post, path = "/api/v1/hospitals", request_body = HospitalView,
    responses((status = 201, body = HospitalView), (status = 409, body = Problem)))]
pub(super) async fn register(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<HospitalView>,
) -> Result<(StatusCode, axum::Json<HospitalView>), Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "hospital.register", "hospital").await?;
    let command = Command::RegisterHospital {
        hospital: id("hospitalId", &new.hospital_id)?,
        name: new.name.clone(),
        cohort: new.cohort.clone(),
        timezone: new.timezone.clone(),
    };
    origin.submit(&api, &caller, command).await?;
    Ok((StatusCode::CREATED, axum::Json(new)))
}

/// Lists hospitals.
#[utoipa::path(get, path = "/api/v1/hospitals", responses((status = 200, body = Vec<HospitalView>)))]
pub(super) async fn list(State(api): State<Api>, origin: Origin) -> Result<axum::Json<Vec<HospitalView>>, Problem> {
    origin.need(&api, Permission::Read, "hospital.list", "hospital").await?;
    let state = api.runner.state();
    let view = state.hospitals.iter().map(|(id, h)| HospitalView {
        hospital_id: id.to_string(),
        name: h.name.clone(),
        cohort: h.cohort.clone(),
        timezone: h.timezone.clone(),
    });
    Ok(axum::Json(view.collect()))
}
