//! How the error rate of each phase of a deployment, and what it proves, moved over time.

use axum::extract::{Path, State};
use mdfm_shared::id::DeploymentId;
use serde::Serialize;
use utoipa::ToSchema;

use super::request::{Origin, id};
use super::{Api, Problem};
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::rollout::gate::shown;

/// The counts that the gate of a phase asks about, over time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhaseFiguresView {
    /// 1 for the first.
    phase: u32,
    name: String,
    max_error_rate_percent: f64,
    /// After each change, oldest first; within an interval (ten seconds, longer in long phases) only the last. At most 256.
    figures: Vec<FiguresView>,
}

/// The counts after one change, and what they show.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FiguresView {
    at: String,
    /// Devices that settled or fell silent.
    observed: u32,
    /// Of them, those that failed or fell silent.
    failed: u32,
    /// Failed or silent devices, and those that proved to be clean: the trials of the upper bound.
    trials: u32,
    /// `failed / observed`; `null` before any device is observed.
    error_rate_percent: Option<f64>,
    /// Upper 95 % confidence bound of the error rate (Clopper and Pearson 1934).
    upper_bound_percent: f64,
    /// Whether the bound is within the phase's limit.
    proved: bool,
}

/// Shows how the error rate of each phase and its upper bound moved.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/figures",
    responses((status = 200, body = Vec<PhaseFiguresView>), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
) -> Result<axum::Json<Vec<PhaseFiguresView>>, Problem> {
    let object = format!("deployment/{deployment}");
    origin.need(&api, Permission::ReadAll, "deployment.figures", &object).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    let state = api.runner.state();
    let held = state.deployments.get(&deployment).ok_or_else(|| Refusal::not_found("deployment", &deployment))?;
    let phases = (1_u32..).zip(held.plan.spec.phases.iter().zip(&held.phases)).map(|(number, (spec, phase))| {
        let figures = phase.figures.samples().iter().map(|(at, counts)| {
            let shown = shown(*counts, spec);
            FiguresView {
                at: at.to_string(),
                observed: shown.observed,
                failed: shown.failed,
                trials: shown.trials,
                error_rate_percent: shown.error_rate_percent,
                upper_bound_percent: shown.upper_bound_percent,
                proved: shown.proved,
            }
        });
        PhaseFiguresView {
            phase: number,
            name: spec.name.clone(),
            max_error_rate_percent: spec.max_error_rate_percent,
            figures: figures.collect(),
        }
    });
    Ok(axum::Json(phases.collect()))
}
