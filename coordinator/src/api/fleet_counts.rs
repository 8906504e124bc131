//! How many devices run what, where, and how their last installation ended: figures for the whole
//! fleet in one pass over its devices.

use std::collections::BTreeMap;

use axum::extract::State;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::request::{Origin, Query, id};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::group::{Group, Members};
use mdfm_coordinator_core::inventory::DifferenceKind;
use mdfm_coordinator_core::presence::{Presence, Reach};
use mdfm_coordinator_core::{Command, State as Fleet};

/// Devices in service by what they are, what they run and how they are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FleetCountsView {
    /// Devices in service.
    devices: u64,
    /// Devices that were taken out of service; they are in no other figure.
    retired: u64,
    /// Devices of which something observed differs from what is registered.
    differing: u64,
    /// The same by kind; a device may differ in several.
    differences: BTreeMap<DifferenceKind, u64>,
    /// Devices whose gateway does not report them now: unreachable, or not yet mentioned since this
    /// coordinator started.
    silent: u64,
    presence: PresenceCounts,
    /// One row for each combination that there is, in the order of its fields.
    counts: Vec<CountView>,
    /// One row for each model and security floor.
    floors: Vec<FloorView>,
}

/// Devices by presence.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PresenceCounts {
    attached: u64,
    detached: u64,
    unreachable: u64,
    unknown: u64,
}

/// Devices of one model and version in one hospital whose last installation is in one state.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CountView {
    model_number: String,
    current_firmware_version: String,
    hospital_id: String,
    /// `null` if nothing was installed from here.
    #[schema(value_type = Option<String>)]
    install_state: Option<InstallState>,
    devices: u64,
    /// Those of them that their gateway does not report now.
    silent: u64,
}

/// Devices of one model with one security floor.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FloorView {
    model_number: String,
    /// Security version below which the devices accept nothing.
    security_floor: u32,
    devices: u64,
}

fn counts(state: &Fleet, presence: &Presence, now: UtcMillis) -> FleetCountsView {
    let (mut rows, mut floors) = (BTreeMap::<_, (u64, u64)>::new(), BTreeMap::<_, u64>::new());
    let mut view = FleetCountsView {
        devices: 0,
        retired: 0,
        differing: 0,
        differences: BTreeMap::new(),
        silent: 0,
        presence: PresenceCounts::default(),
        counts: Vec::new(),
        floors: Vec::new(),
    };
    for (id, device) in &state.devices {
        if device.retired_at.is_some() {
            view.retired += 1;
            continue;
        }
        view.devices += 1;
        view.differing += u64::from(!device.differences.is_empty());
        for kind in device.differences.keys() {
            *view.differences.entry(*kind).or_default() += 1;
        }
        let (reach, _) = presence.device(now, state.gateway_of(id), id);
        *match reach {
            Reach::Attached => &mut view.presence.attached,
            Reach::Detached => &mut view.presence.detached,
            Reach::Unreachable => &mut view.presence.unreachable,
            Reach::Unknown => &mut view.presence.unknown,
        } += 1;
        let silent = u64::from(matches!(reach, Reach::Unreachable | Reach::Unknown));
        view.silent += silent;
        let installed = device.install.as_ref().map(|install| install.state);
        let key = (&*device.model, &*device.firmware_version, &device.hospital, installed);
        let row = rows.entry(key).or_default();
        *row = (row.0 + 1, row.1 + silent);
        *floors.entry((&*device.model, device.security_floor)).or_default() += 1;
    }
    view.counts = rows
        .into_iter()
        .map(|((model, version, hospital, install_state), (devices, silent))| CountView {
            model_number: model.to_owned(),
            current_firmware_version: version.to_owned(),
            hospital_id: hospital.to_string(),
            install_state,
            devices,
            silent,
        })
        .collect();
    view.floors = floors
        .into_iter()
        .map(|((model, security_floor), devices)| FloorView { model_number: model.to_owned(), security_floor, devices })
        .collect();
    view
}

/// Counts the devices in service by model, version, hospital and state of the last installation.
#[utoipa::path(get, path = "/api/v1/fleet/counts", responses((status = 200, body = FleetCountsView)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<axum::Json<FleetCountsView>, Problem> {
    origin.need(&api, Permission::ReadAll, "fleet.counts", "fleet").await?;
    let state = api.runner.state();
    let presence = api.runner.presence();
    Ok(axum::Json(counts(&state, &presence, clock::now())))
}

/// Which devices a query would choose.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// Conditions as in the query of a group.
    query: String,
}

/// The devices that a query chooses now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SelectionView {
    devices: u64,
    /// How many of them are in which hospital.
    hospitals: BTreeMap<String, u64>,
    /// The first of them, up to 20.
    first: Vec<String>,
}

/// Devices that an answer names.
const NAMED_MAX: usize = 20;

/// Counts the devices that a group with this query would have now; nothing is stored.
#[utoipa::path(get, path = "/api/v1/fleet/selection", params(Selection),
    responses((status = 200, body = SelectionView), (status = 422, body = Problem)))]
pub(super) async fn select(
    State(api): State<Api>,
    origin: Origin,
    Query(selection): Query<Selection>,
) -> Result<axum::Json<SelectionView>, Problem> {
    let caller = origin.need(&api, Permission::ReadAll, "fleet.select", "fleet").await?;
    let state = api.runner.state();
    let set = Group { name: "selection".into(), members: Members::Query(selection.query) };
    // A query is acceptable here exactly if a group may have it.
    let command = Command::SetGroup { group: id("group", "selection")?, set: set.clone(), reason: "selection".into() };
    mdfm_coordinator_core::decide(&state, state.not_before(clock::now()), &caller.actor, &command)?;
    let (chosen, mut view) = (set.chosen(), SelectionView { devices: 0, hospitals: BTreeMap::new(), first: vec![] });
    for (id, device) in state.devices.iter().filter(|(id, device)| chosen.holds(&state, id, device)) {
        view.devices += 1;
        *view.hospitals.entry(device.hospital.to_string()).or_default() += 1;
        if view.first.len() < NAMED_MAX {
            view.first.push(id.to_string());
        }
    }
    Ok(axum::Json(view))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdfm_coordinator_core::fixture::{MODEL, Office, id};

    #[test]
    fn console_each_device_in_service_is_counted_once() {
        let mut office = Office::new();
        let all = office.state.devices.len() as u64;
        let view = counts(&office.state, &office.presence, office.now);
        assert_eq!((view.devices, view.retired, view.silent), (all, 0, all), "nobody was heard of yet");
        assert_eq!(view.counts.iter().map(|row| row.devices).sum::<u64>(), all);
        assert_eq!(view.floors.iter().map(|row| row.devices).sum::<u64>(), all);
        assert!(
            view.counts.is_sorted_by_key(|row| (row.hospital_id.clone(), row.install_state)),
            "one model and version"
        );
        let first = &view.counts[0];
        assert_eq!((&*first.model_number, &*first.hospital_id, first.devices), (MODEL, "H-1", 2));

        let device = office.state.devices.keys().next().expect("a device").clone();
        let held = office.state.devices.get_mut(&device).expect("the device");
        held.retired_at = Some(office.now);
        let other = office.state.devices.values_mut().find(|held| held.retired_at.is_none()).expect("another");
        other.firmware_version = "9.9.9".into();
        other.security_floor = 7;
        other.hospital = id("H-2");
        let view = counts(&office.state, &office.presence, office.now);
        assert_eq!((view.devices, view.retired), (all - 1, 1));
        let newer: Vec<_> = view.counts.iter().filter(|row| row.current_firmware_version == "9.9.9").collect();
        assert!(matches!(newer[..], [row] if row.devices == 1 && row.silent == 1 && row.hospital_id == "H-2"));
        assert!(view.floors.iter().any(|row| row.security_floor == 7 && row.devices == 1));
    }
}
