//! The devices of a deployment, a page at a time, and the deployment itself in a size that does not grow with them.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId};
use mdfm_shared::telemetry::InstallState;
use serde::Serialize;
use utoipa::ToSchema;

use super::deployments::find_held;
use super::list::ListQuery;
use super::request::{Origin, Path, Query, id, tagged};
use super::waiting::{WaitView, WaitingView};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::authority;
use mdfm_coordinator_core::fleet::Device;
use mdfm_coordinator_core::rollout::gate::{Standing, standing};
use mdfm_coordinator_core::rollout::sight::{status_for, tally_for, validation_for};
use mdfm_coordinator_core::rollout::{
    Deployment, DeviceProgress, GateRecord, GivenValidation, OrderedBack, PhaseStatus, Status, Strategy, Tally,
};
use mdfm_coordinator_core::waiting::{Sight, consent_needed};

/// Waits that a summary names; the count beside them says how many there are.
const WAITS_SHOWN: usize = 10;
/// Devices that one of them names, and people or hospitals.
const NAMES_SHOWN: usize = 5;

/// Where one device of a deployment stands.
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
    /// It confirmed the release, and its own fault counters covered the whole trial (device protocol version 2).
    counts_faults: bool,
    #[schema(value_type = Option<String>)]
    ordered_back: Option<OrderedBack>,
    /// Left the release by order: that does not count as its failure.
    left_by_order: bool,
    /// Called back, and refused: it waits for a rollback order.
    stays: bool,
    /// What it needs to go back, where it was ordered back and stays.
    return_need: Option<String>,
    firmware_version: String,
    rollback_ms: Option<u64>,
    /// Why it does not do what the deployment asks; `null` if it has, or is on its way.
    waiting: Option<WaitView>,
}

impl DeviceProgressView {
    /// `held` is the device as it is registered; without it is shown what the deployment knows.
    pub(super) fn of(
        sight: Sight<'_>,
        (id, deployment): (&DeploymentId, &Deployment),
        (device, progress): (&DeviceId, &DeviceProgress),
        held: Option<&Device>,
    ) -> Self {
        let Sight { state, now, .. } = sight;
        let install = held.and_then(|h| h.install.as_ref()).filter(|i| i.manifest == deployment.plan.manifest);
        // Once another deployment has the device, that one says what it waits for.
        let is_newest = held.is_some_and(|h| h.deployment.as_ref() == Some(id));
        let return_need = held.filter(|_| progress.stays).map(|h| authority::need_of(state, h, state.not_before(now)));
        Self {
            device_id: device.to_string(),
            hospital_id: held.map_or_else(String::new, |h| h.hospital.to_string()),
            phase: progress.phase + 1,
            state: progress.state,
            detail: install.map(|i| i.detail.clone()),
            errors: progress.errors,
            silent: progress.silent,
            counts_faults: progress.counts_faults,
            ordered_back: progress.ordered_back,
            left_by_order: progress.left_by_order,
            stays: progress.stays,
            return_need: return_need.map(|need| need.words()),
            firmware_version: held.map_or_else(String::new, |h| h.firmware_version.clone()),
            rollback_ms: install.and_then(|i| i.rollback_ms),
            waiting: is_newest.then(|| sight.of_device(device)).flatten().map(WaitView::from),
        }
    }
}

/// One phase of a deployment in numbers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhaseSummary {
    name: String,
    hospitals: u32,
    hospital_cohort: String,
    percentage: f64,
    max_error_rate_percent: f64,
    max_errors: Option<u32>,
    monitoring_duration_ms: u64,
    min_reporting_percent: f64,
    min_device_hours: f64,
    validation_role: Option<String>,
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

/// A deployment in a size that does not grow with its devices and hospitals.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentSummary {
    deployment_id: String,
    firmware_id: String,
    manifest_digest: String,
    strategy: Strategy,
    created_by: String,
    created_at: String,
    #[schema(value_type = Object)]
    status: Status,
    /// 1 for the first.
    current_phase: u32,
    phases: Vec<PhaseSummary>,
    /// Hospitals whose consent is needed, and those that gave it.
    consents_needed: u32,
    consents_given: u32,
    /// Hospitals that went back because of a fault on one gateway of theirs.
    contained_hospitals: u32,
    /// What is owed to authorities and has not been done.
    open_duties: u32,
    /// What it waits for, at most 10; empty once it has ended.
    waiting: Vec<WaitingView>,
    waiting_total: u32,
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl DeploymentSummary {
    /// As `own` hospital's people see it; as everybody else without one.
    pub(super) fn of(
        sight: Sight<'_>,
        (id, deployment): (&DeploymentId, &Deployment),
        own: Option<&HospitalId>,
    ) -> Self {
        let state = sight.state;
        let sees = |hospital: &HospitalId| own.is_none_or(|own| own == hospital);
        let spec = &deployment.plan.spec;
        let mut hospitals: Vec<BTreeSet<&HospitalId>> = vec![BTreeSet::new(); spec.phases.len()];
        for (device, progress) in &deployment.devices {
            if let Some(held) = state.devices.get(device).filter(|held| sees(&held.hospital))
                && let Some(of_phase) = hospitals.get_mut(progress.phase as usize)
            {
                of_phase.insert(&held.hospital);
            }
        }
        let phases = (0_u32..).zip(spec.phases.iter().zip(&deployment.phases)).zip(&hospitals);
        let phases = phases.map(|((i, (spec, phase)), hospitals)| PhaseSummary {
            name: spec.name.clone(),
            hospitals: number(hospitals.len()),
            hospital_cohort: spec.cohort.clone(),
            percentage: spec.percentage,
            max_error_rate_percent: spec.max_error_rate_percent,
            max_errors: spec.max_errors,
            monitoring_duration_ms: spec.monitoring_ms,
            min_reporting_percent: spec.min_reporting_percent,
            min_device_hours: spec.min_device_hours,
            validation_role: spec.validation.map(|r| r.to_string()),
            status: phase.status.clone(),
            devices: tally_for(state, deployment, i, own),
            standing: own.is_none().then(|| standing(&phase.tally, spec)),
            // Its figures are those of the whole fleet.
            gate: phase.gate.clone().filter(|_| own.is_none()),
            validation: phase.validation.as_ref().map(|given| validation_for(given, own)),
        });
        let asked = || {
            let asked = deployment.hospitals.iter();
            asked.filter(|(hospital, _)| sees(hospital) && consent_needed(state, spec.consent, hospital))
        };
        let waits = sight.of_deployment(id, deployment, own);
        let waiting_total = number(waits.len());
        let duties = deployment.duties.iter().filter(|duty| own.is_none() && duty.fulfilled.is_none());
        Self {
            deployment_id: id.to_string(),
            firmware_id: deployment.plan.firmware.to_string(),
            manifest_digest: deployment.plan.manifest.to_string(),
            strategy: spec.strategy,
            created_by: deployment.plan.created_by.clone(),
            created_at: deployment.created_at.to_string(),
            status: status_for(state, deployment, own),
            current_phase: deployment.current + 1,
            phases: phases.collect(),
            consents_needed: number(asked().count()),
            consents_given: number(asked().filter(|(_, part)| part.consent.is_some()).count()),
            contained_hospitals: number(deployment.contained.keys().filter(|hospital| sees(hospital)).count()),
            open_duties: number(duties.count()),
            waiting: waits.into_iter().take(WAITS_SHOWN).map(|wait| WaitingView::brief(wait, NAMES_SHOWN)).collect(),
            waiting_total,
        }
    }
}

/// Shows one deployment in numbers: in a size that does not grow with its devices and hospitals. Its tag changes with the states of the
/// deployment and of its phases.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/summary",
    responses((status = 200, body = DeploymentSummary), (status = 404, body = Problem)))]
pub(super) async fn summary(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
) -> Result<Response, Problem> {
    let object = format!("deployment/{deployment}");
    let caller = origin.need(&api, Permission::Read, "deployment.show", &object).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let state = api.runner.state();
    let presence = api.runner.presence();
    let sight = Sight { state: &state, presence: &presence, now: clock::now() };
    let (held, own) = find_held(&state, &caller, &deployment)?;
    Ok(tagged(&state, &format!("deployment/{deployment}"), DeploymentSummary::of(sight, (&deployment, held), own)))
}

/// Lists the devices of one deployment; to a hospital's people only their own.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/devices", params(ListQuery),
    responses((status = 200, body = Vec<DeviceProgressView>), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let object = format!("deployment/{deployment}");
    let caller = origin.need(&api, Permission::Read, "deployment.devices", &object).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let state = api.runner.state();
    let presence = api.runner.presence();
    let sight = Sight { state: &state, presence: &presence, now: clock::now() };
    let (held, own) = find_held(&state, &caller, &deployment)?;
    query.page(
        &format!("/api/v1/deployments/{deployment}/devices"),
        &held.devices,
        |device, _| state.devices.get(device).is_some_and(|d| own.is_none_or(|own| *own == d.hospital)),
        |device, progress| {
            DeviceProgressView::of(sight, (&deployment, held), (device, progress), state.devices.get(device))
        },
    )
}
