//! Hospitals: registration, cohorts, maintenance windows, whether they are asked.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::id::HospitalId;
use mdfm_shared::limits::WINDOWS_MAX;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deployments::WindowTime;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, given, id, tagged};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::fleet::{Hospital, HospitalChange, PolicyChange};
use mdfm_coordinator_core::rollout::request::{WindowJson, window_text};
use mdfm_coordinator_core::rollout::window::{self, Weekly};
use mdfm_coordinator_core::{Command, Refusal};

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
    /// When those open in the next 14 days, on the hospital's wall clock and in universal time.
    next_windows: Vec<WindowTime>,
}

/// How far ahead the windows of a hospital are shown.
const AHEAD_MS: u64 = 14 * 86_400_000;

/// When a hospital's devices may be changed, and whether its staff want to be asked.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HospitalPolicy {
    maintenance_windows: Vec<WindowJson>,
    consent_required: bool,
    #[serde(default)]
    reason: Option<String>,
}

/// What is to change of a hospital's policy; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PolicyPatch {
    /// All windows, in place of those that are registered.
    #[serde(default)]
    maintenance_windows: Option<Vec<WindowJson>>,
    #[serde(default)]
    add_windows: Vec<WindowJson>,
    /// Each must be registered as it stands here.
    #[serde(default)]
    remove_windows: Vec<WindowJson>,
    #[serde(default)]
    consent_required: Option<bool>,
    reason: String,
}

fn parsed_windows(field: &str, windows: &[WindowJson]) -> Result<Vec<Weekly>, Refusal> {
    windows.iter().enumerate().map(|(i, w)| w.parse(&format!("{field}[{i}]"))).collect()
}

fn view(id: &HospitalId, hospital: &Hospital) -> HospitalView {
    let now = clock::now();
    let own_zone = hospital.windows.first().map(|window| window.timezone.as_str());
    let zone = hospital.timezone.as_deref().or(own_zone).unwrap_or("UTC");
    let next = window::spans(&hospital.windows, now, now.plus_ms(AHEAD_MS), WINDOWS_MAX);
    HospitalView {
        next_windows: next.iter().map(|window| WindowTime::of(window, zone)).collect(),
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

/// What is to change of a hospital; what is left out stays, `null` takes away.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HospitalPatch {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    cohort: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    timezone: Option<Option<String>>,
    reason: String,
}

/// Corrects what is known of a hospital, or moves it to another cohort; deployments under way keep their phases.
#[utoipa::path(patch, path = "/api/v1/hospitals/{hospital}", request_body = HospitalPatch,
    responses((status = 200, body = HospitalView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change(
    State(api): State<Api>,
    origin: Origin,
    Path(hospital): Path<String>,
    Json(patch): Json<HospitalPatch>,
) -> Result<Response, Problem> {
    let object = format!("hospital/{hospital}");
    let caller = origin.need(&api, Permission::ManageFleet, "hospital.change", &object).await?;
    let hospital: HospitalId = id("hospital", &hospital)?;
    let change = HospitalChange { name: patch.name, cohort: patch.cohort, timezone: patch.timezone };
    let command = Command::ChangeHospital { hospital: hospital.clone(), change, reason: patch.reason };
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    Ok(tagged(&state, &object, view(&hospital, state.need_hospital(&hospital)?)))
}

/// Shows one hospital; staff see their own.
#[utoipa::path(get, path = "/api/v1/hospitals/{hospital}",
    responses((status = 200, body = HospitalView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(hospital): Path<String>,
) -> Result<Response, Problem> {
    let object = format!("hospital/{hospital}");
    let caller = origin.need(&api, Permission::Read, "hospital.show", &object).await?;
    let hospital: HospitalId = id("hospital", &hospital)?;
    let state = api.runner.state();
    if state.hospital_of_user(&caller.actor.id).is_some_and(|own| *own != hospital) {
        return Err(Refusal::not_found("hospital", &hospital).into());
    }
    Ok(tagged(&state, &object, view(&hospital, state.need_hospital(&hospital)?)))
}

/// A cohort, as rollout phases name it.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CohortView {
    cohort: String,
    hospitals: Vec<String>,
    /// Devices in service.
    devices: u64,
}

/// Lists the cohorts that hospitals belong to.
#[utoipa::path(get, path = "/api/v1/cohorts", params(ListQuery),
    responses((status = 200, body = Vec<CohortView>), (status = 422, body = Problem)))]
pub(super) async fn cohorts(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "cohort.list", "cohort").await?;
    let state = api.runner.state();
    let mut cohorts: BTreeMap<String, CohortView> = BTreeMap::new();
    for (id, hospital) in &state.hospitals {
        if let Some(name) = &hospital.cohort {
            cohorts.entry(name.clone()).or_default().hospitals.push(id.to_string());
        }
    }
    for device in state.devices.values().filter(|d| d.retired_at.is_none()) {
        let cohort = state.hospitals.get(&device.hospital).and_then(|h| h.cohort.as_ref());
        if let Some(held) = cohort.and_then(|name| cohorts.get_mut(name)) {
            held.devices += 1;
        }
    }
    drop(state);
    query.page(
        "/api/v1/cohorts",
        &cohorts,
        |_, _| true,
        |name, held| CohortView { cohort: name.clone(), hospitals: held.hospitals.clone(), devices: held.devices },
    )
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
    let windows = parsed_windows("maintenanceWindows", &new.maintenance_windows)?;
    let consent_required = new.consent_required;
    let command = match new.reason {
        Some(reason) => {
            let change = PolicyChange {
                windows: Some(windows),
                consent_required: Some(consent_required),
                ..PolicyChange::default()
            };
            Command::ChangeHospitalPolicy { hospital: hospital.clone(), change, reason }
        }
        None => Command::SetHospitalPolicy { hospital: hospital.clone(), windows, consent_required },
    };
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    Ok(axum::Json(view(&hospital, state.need_hospital(&hospital)?)))
}

/// Changes what is named of a hospital's maintenance windows and of whether its staff want to be asked; everything else stays.
#[utoipa::path(patch, path = "/api/v1/hospitals/{hospital}/policy", request_body = PolicyPatch,
    responses((status = 200, body = HospitalView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change_policy(
    State(api): State<Api>,
    origin: Origin,
    Path(hospital): Path<String>,
    Json(patch): Json<PolicyPatch>,
) -> Result<Response, Problem> {
    let object = format!("hospital/{hospital}");
    let caller = origin.need(&api, Permission::ManageFleet, "hospital.policy", &object).await?;
    let hospital: HospitalId = id("hospital", &hospital)?;
    let windows = patch.maintenance_windows.as_deref().map(|w| parsed_windows("maintenanceWindows", w)).transpose()?;
    let change = PolicyChange {
        windows,
        add: parsed_windows("addWindows", &patch.add_windows)?,
        remove: parsed_windows("removeWindows", &patch.remove_windows)?,
        consent_required: patch.consent_required,
    };
    let command = Command::ChangeHospitalPolicy { hospital: hospital.clone(), change, reason: patch.reason };
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    Ok(tagged(&state, &object, view(&hospital, state.need_hospital(&hospital)?)))
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
