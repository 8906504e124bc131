//! What the fleet ran over time.

use std::ops::Deref;

use axum::extract::State;
use mdfm_shared::id::DeploymentId;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::request::{Origin, Query};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::rollout::Deployment;
use mdfm_coordinator_core::series::Series;
use mdfm_coordinator_core::{Refusal, State as Fleet};

const DAY_MS: u64 = 86_400_000;
/// Days that an answer reaches back, at most.
const DAYS_MAX: u32 = 1_830;
/// Times of one answer, at most.
const TIMES_MAX: u32 = 400;
/// Models that an answer has, at most: those with the most devices. Whoever may register devices may make up models, and each has 400 numbers a version.
const MODELS_MAX: usize = 50;
/// Deployments that an answer names, at most: the newest.
const MARKS_MAX: usize = 50;

/// Which part of the past, in how many steps.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Period {
    /// Days until now, 1 to 1,830. Without it: since anything is known, at most 90.
    days: Option<u32>,
    /// Times at which devices are counted, 2 to 400; 60 without it.
    times: Option<u32>,
}

/// Devices in service by version, at times of the past.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FleetVersionsView {
    /// When devices were counted, oldest first, evenly spaced; the last is now. Recent changes are known to ten seconds, those long past to hours.
    times: Vec<String>,
    /// Of more than 50 models those with the most devices now.
    models: Vec<ModelOverTime>,
    /// How many models are left out.
    other_models: usize,
    /// Deployments that began in this time, oldest first; of more than 50 the newest.
    deployments: Vec<Mark>,
}

/// The devices of one model.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelOverTime {
    model_number: String,
    /// Devices in service at each of the times.
    devices: Vec<u64>,
    /// Versions that at least one device ran at one of the times, in the order of their first appearance. Of a model with very many versions some have no
    /// row; the devices that ran them are in `devices`.
    versions: Vec<VersionOverTime>,
}

/// The devices that ran one version.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionOverTime {
    version: String,
    /// Devices at each of the times.
    devices: Vec<u64>,
}

/// A deployment that began.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mark {
    deployment_id: String,
    firmware_id: String,
    model_number: String,
    version: String,
    at: String,
}

/// The models with the most devices now, in their order, and how many others there are.
fn largest(state: &Fleet) -> (Vec<String>, usize) {
    let held = state.devices.versions();
    let now =
        |model: &String| held.of_model(model).and_then(|all| all.samples().last()).map_or(0, |(_, devices)| *devices);
    let mut models: Vec<&String> = held.models().map(|(model, _)| model).collect();
    models.sort_by_cached_key(|model| (std::cmp::Reverse(now(model)), *model));
    let others = models.len().saturating_sub(MODELS_MAX);
    models.truncate(MODELS_MAX);
    models.sort();
    (models.into_iter().cloned().collect(), others)
}

/// One model at these times; `None` if it had no device then.
fn over_time(state: &Fleet, model: &str, times: &[UtcMillis]) -> Option<ModelOverTime> {
    let held = state.devices.versions();
    let at = |figures: &Series<u64>| -> Vec<u64> { times.iter().map(|at| figures.at(*at).unwrap_or(0)).collect() };
    let devices = held.of_model(model).map(at).filter(|devices| devices.iter().any(|n| *n > 0))?;
    let mut seen: Vec<_> = held.of(model)?.iter().map(|(version, figures)| (version, figures, at(figures))).collect();
    seen.retain(|(_, _, devices)| devices.iter().any(|n| *n > 0));
    seen.sort_by_key(|(version, figures, _)| (figures.began_at(), *version));
    let versions = seen.into_iter().map(|(version, _, devices)| VersionOverTime { version: version.clone(), devices });
    Some(ModelOverTime { model_number: model.to_owned(), devices, versions: versions.collect() })
}

fn marks(state: &Fleet, from: UtcMillis, until: UtcMillis) -> Vec<Mark> {
    let mut begun: Vec<_> =
        state.deployments.iter().filter(|(_, held)| (from..=until).contains(&held.created_at)).collect();
    begun.sort_by_key(|(id, held)| (held.created_at, *id));
    let newest = begun.split_off(begun.len().saturating_sub(MARKS_MAX)).into_iter();
    let mark = |(id, held): (&DeploymentId, &Deployment)| {
        let firmware = state.firmware.get(&held.plan.firmware);
        Mark {
            deployment_id: id.to_string(),
            firmware_id: held.plan.firmware.to_string(),
            model_number: firmware.map(|f| f.model.clone()).unwrap_or_default(),
            version: firmware.map(|f| f.version.clone()).unwrap_or_default(),
            at: held.created_at.to_string(),
        }
    };
    newest.map(mark).collect()
}

/// The answer. The state is held for one model at a time: others wait no longer than for that.
async fn versions<S: Deref<Target = Fleet>>(
    state: impl Fn() -> S,
    from: UtcMillis,
    until: UtcMillis,
    times: u32,
) -> FleetVersionsView {
    let span = until.since_ms(from);
    let steps = u64::from(times.max(2) - 1);
    let times: Vec<UtcMillis> = (0..=steps).map(|step| UtcMillis(from.0 + span * step / steps)).collect();
    let (names, other_models) = largest(&state());
    let mut models = Vec::new();
    for model in names {
        models.extend(over_time(&state(), &model, &times));
        tokio::task::yield_now().await;
    }
    FleetVersionsView {
        models,
        other_models,
        deployments: marks(&state(), from, until),
        times: times.iter().map(UtcMillis::to_string).collect(),
    }
}

/// Counts the devices in service by model and version at times of the past.
#[utoipa::path(get, path = "/api/v1/fleet/versions", params(Period),
    responses((status = 200, body = FleetVersionsView), (status = 422, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Query(period): Query<Period>,
) -> Result<axum::Json<FleetVersionsView>, Problem> {
    origin.need(&api, Permission::ReadAll, "fleet.versions", "fleet").await?;
    let (days, times) = (period.days.unwrap_or(90), period.times.unwrap_or(60));
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Refusal::invalid("days", format!("must be 1 to {DAYS_MAX}, not {days}")).into());
    }
    if !(2..=TIMES_MAX).contains(&times) {
        return Err(Refusal::invalid("times", format!("must be 2 to {TIMES_MAX}, not {times}")).into());
    }
    let (now, began) = {
        let state = api.runner.state();
        (state.not_before(clock::now()), state.devices.versions().began_at().filter(|_| period.days.is_none()))
    };
    let earliest = UtcMillis(now.0.saturating_sub(u64::from(days) * DAY_MS));
    let from = began.map_or(earliest, |began| began.max(earliest)).min(now);
    Ok(axum::Json(versions(|| api.runner.state(), from, now, times).await))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdfm_coordinator_core::fixture::{MODEL, Office};

    /// The sample: twenty thousand made-up models made an answer of 34 MB, for which everybody who wrote something waited.
    #[tokio::test]
    async fn sec_1_made_up_models_make_no_large_answer() {
        let mut office = Office::new();
        let ids: Vec<_> = office.state.devices.keys().cloned().collect();
        let begun = office.now;
        for n in 0..4 * MODELS_MAX {
            office.state.devices.set_time(UtcMillis(begun.0 + n as u64 * 60_000));
            office.state.devices.get_mut(&ids[0]).expect("the device").model = format!("made-up-{n}");
        }
        let until = UtcMillis(begun.0 + 4 * MODELS_MAX as u64 * 60_000);
        let view = versions(|| &office.state, begun, until, TIMES_MAX).await;
        assert_eq!((view.models.len(), view.other_models), (MODELS_MAX, 3 * MODELS_MAX + 1));
        let own = view.models.iter().find(|model| model.model_number == MODEL).expect("the fleet's own model");
        assert_eq!(own.devices.last(), Some(&(ids.len() as u64 - 1)));
    }

    #[tokio::test]
    async fn console_versions_over_time_add_up_to_the_devices() {
        let mut office = Office::new();
        let all = office.state.devices.len() as u64;
        let ids: Vec<_> = office.state.devices.keys().cloned().collect();
        let begun = office.now;
        for (hour, id) in (1_u64..).zip(&ids) {
            office.state.devices.set_time(UtcMillis(begun.0 + hour * 3_600_000));
            office.state.devices.get_mut(id).expect("the device").firmware_version = "2.2.0".into();
        }
        let until = UtcMillis(begun.0 + (ids.len() as u64 + 1) * 3_600_000);
        let view = versions(|| &office.state, begun, until, 20).await;
        assert_eq!((view.times.len(), view.models.len()), (20, 1));
        let model = &view.models[0];
        assert_eq!(model.model_number, MODEL);
        for (at, devices) in model.devices.iter().enumerate() {
            let sum: u64 = model.versions.iter().map(|version| version.devices[at]).sum();
            assert_eq!((*devices, sum), (all, all), "at {at}");
        }
        let new = model.versions.last().expect("a version");
        assert_eq!((new.version.as_str(), new.devices.first(), new.devices.last()), ("2.2.0", Some(&0), Some(&all)));
        assert!(new.devices.is_sorted(), "{:?}", new.devices);
    }
}
