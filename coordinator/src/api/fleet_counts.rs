//! How many devices run what, where, and how their last installation ended: figures for the whole
//! fleet in one pass over its devices.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use mdfm_shared::id::{DeviceId, HospitalId};
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::request::{Origin, Query, id};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::group::{Chosen, Group, Members};
use mdfm_coordinator_core::inventory::DifferenceKind;
use mdfm_coordinator_core::presence::{Presence, Reach};
use mdfm_coordinator_core::{Command, State as Fleet};

/// Devices in service by what they are, what they run and how they are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FleetCountsView {
    /// When they were counted: figures are answered again for two seconds.
    counted_at: String,
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

/// Devices whose figures are added while the state is held: others wait no longer than for that.
const SLICE: usize = 4_096;
/// How long figures are answered again before they are counted again.
const FRESH: Duration = Duration::from_secs(2);

/// The figures that were counted last, as they are answered. Whoever asks while they are counted waits for them.
#[derive(Debug, Default)]
pub(crate) struct CountedFleet(tokio::sync::Mutex<Option<(Instant, Bytes)>>);

/// Model, version, hospital, and state of the last installation.
type Kind = (String, String, HospitalId, Option<InstallState>);

/// Figures as they are added up.
#[derive(Debug, Default)]
struct Sums {
    devices: u64,
    retired: u64,
    differing: u64,
    silent: u64,
    differences: BTreeMap<DifferenceKind, u64>,
    presence: PresenceCounts,
    /// Devices and silent ones by model, version, hospital and state.
    rows: BTreeMap<Kind, (u64, u64)>,
    floors: BTreeMap<(String, u32), u64>,
}

impl Sums {
    /// Adds the devices after one, up to [`SLICE`]; returns the last of them, `None` if there was none.
    fn add(
        &mut self,
        state: &Fleet,
        presence: &Presence,
        now: UtcMillis,
        after: Option<&DeviceId>,
    ) -> Option<DeviceId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut rows, mut floors, mut last) = (BTreeMap::<_, (u64, u64)>::new(), BTreeMap::<_, u64>::new(), None);
        for (id, device) in state.devices.range::<DeviceId, _>((from, Bound::Unbounded)).take(SLICE) {
            last = Some(id);
            if device.retired_at.is_some() {
                self.retired += 1;
                continue;
            }
            self.devices += 1;
            self.differing += u64::from(!device.differences.is_empty());
            for kind in device.differences.keys() {
                *self.differences.entry(*kind).or_default() += 1;
            }
            let (reach, _) = presence.device(now, state.gateway_of(id), id);
            *match reach {
                Reach::Attached => &mut self.presence.attached,
                Reach::Detached => &mut self.presence.detached,
                Reach::Unreachable => &mut self.presence.unreachable,
                Reach::Unknown => &mut self.presence.unknown,
            } += 1;
            let silent = u64::from(matches!(reach, Reach::Unreachable | Reach::Unknown));
            self.silent += silent;
            let installed = device.install.as_ref().map(|install| install.state);
            let row = rows.entry((&*device.model, &*device.firmware_version, &device.hospital, installed)).or_default();
            *row = (row.0 + 1, row.1 + silent);
            *floors.entry((&*device.model, device.security_floor)).or_default() += 1;
        }
        for ((model, version, hospital, installed), (devices, silent)) in rows {
            let key = (model.to_owned(), version.to_owned(), hospital.clone(), installed);
            let row = self.rows.entry(key).or_default();
            *row = (row.0 + devices, row.1 + silent);
        }
        for ((model, floor), devices) in floors {
            *self.floors.entry((model.to_owned(), floor)).or_default() += devices;
        }
        last.cloned()
    }

    fn view(self, counted_at: UtcMillis) -> FleetCountsView {
        let row = |((model_number, version, hospital, install_state), (devices, silent))| CountView {
            model_number,
            current_firmware_version: version,
            hospital_id: HospitalId::to_string(&hospital),
            install_state,
            devices,
            silent,
        };
        let floor = |((model_number, security_floor), devices)| FloorView { model_number, security_floor, devices };
        FleetCountsView {
            counted_at: counted_at.to_string(),
            devices: self.devices,
            retired: self.retired,
            differing: self.differing,
            differences: self.differences,
            silent: self.silent,
            presence: self.presence,
            counts: self.rows.into_iter().map(row).collect(),
            floors: self.floors.into_iter().map(floor).collect(),
        }
    }
}

/// Counts the devices in service by model, version, hospital and state of the last installation. The figures are at most some seconds old; a device that
/// changes while they are counted is in them as it was or as it is.
#[utoipa::path(get, path = "/api/v1/fleet/counts", responses((status = 200, body = FleetCountsView)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "fleet.counts", "fleet").await?;
    let mut held = api.counted.0.lock().await;
    let as_json = |text: Bytes| ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    if let Some((_, text)) = held.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
        return Ok(as_json(text.clone()));
    }
    let (mut sums, mut last, now) = (Sums::default(), None, clock::now());
    loop {
        last = sums.add(&api.runner.state(), &api.runner.presence(), now, last.as_ref());
        if last.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let text = Bytes::from(
        serde_json::to_vec(&sums.view(now)).map_err(|error| Problem::internal("figures that do not encode", &error))?,
    );
    *held = Some((Instant::now(), text.clone()));
    Ok(as_json(text))
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
    let set = Group { name: "selection".into(), members: Members::Query(selection.query) };
    // A query is acceptable here exactly if a group may have it.
    let command = Command::SetGroup { group: id("group", "selection")?, set: set.clone(), reason: "selection".into() };
    {
        let state = api.runner.state();
        mdfm_coordinator_core::decide(&state, state.not_before(clock::now()), &caller.actor, &command)?;
    }
    let (chosen, mut last) = (set.chosen(), None::<DeviceId>);
    let mut view = SelectionView { devices: 0, hospitals: BTreeMap::new(), first: vec![] };
    loop {
        last = view.add(&api.runner.state(), &chosen, last.as_ref());
        if last.is_none() {
            return Ok(axum::Json(view));
        }
        tokio::task::yield_now().await;
    }
}

impl SelectionView {
    /// Adds the chosen ones of the devices after one, up to [`SLICE`]; returns the last that was looked at, `None` if there was none.
    fn add(&mut self, state: &Fleet, chosen: &Chosen<'_>, after: Option<&DeviceId>) -> Option<DeviceId> {
        let (from, mut last) = (after.map_or(Bound::Unbounded, Bound::Excluded), None);
        for (id, device) in state.devices.range::<DeviceId, _>((from, Bound::Unbounded)).take(SLICE) {
            last = Some(id);
            if !chosen.holds(state, id, device) {
                continue;
            }
            self.devices += 1;
            *self.hospitals.entry(device.hospital.to_string()).or_default() += 1;
            if self.first.len() < NAMED_MAX {
                self.first.push(id.to_string());
            }
        }
        last.cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdfm_coordinator_core::fixture::{MODEL, Office, id};

    fn counts(state: &Fleet, presence: &Presence, now: UtcMillis) -> FleetCountsView {
        let (mut sums, mut last) = (Sums::default(), None);
        loop {
            last = sums.add(state, presence, now, last.as_ref());
            if last.is_none() {
                return sums.view(now);
            }
        }
    }

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
        office.state.devices.get_mut(&device).expect("the device").retired_at = Some(office.now);
        let other = office.state.devices.iter().find(|(_, held)| held.retired_at.is_none()).expect("another").0.clone();
        let mut other = office.state.devices.get_mut(&other).expect("another");
        other.firmware_version = "9.9.9".into();
        other.security_floor = 7;
        other.hospital = id("H-2");
        drop(other);
        let view = counts(&office.state, &office.presence, office.now);
        assert_eq!((view.devices, view.retired), (all - 1, 1));
        let newer: Vec<_> = view.counts.iter().filter(|row| row.current_firmware_version == "9.9.9").collect();
        assert!(matches!(newer[..], [row] if row.devices == 1 && row.silent == 1 && row.hospital_id == "H-2"));
        assert!(view.floors.iter().any(|row| row.security_floor == 7 && row.devices == 1));
    }
}
