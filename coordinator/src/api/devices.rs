//! Devices.

use std::sync::MutexGuard;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::InstallState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, id};
use super::{Api, Problem};
use crate::clock;
use crate::domain::access::Permission;
use crate::domain::fleet::{Device, NewDevice};
use crate::domain::presence::{Presence, Reach};
use crate::domain::recall::Quarantine;
use crate::domain::{Command, Refusal};

/// A device to register, in the seed's spelling.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeviceRegistration {
    device_id: String,
    model_number: String,
    serial_number: String,
    hospital_id: String,
    current_firmware_version: String,
    /// Unique device identifier, as on the label.
    #[serde(default)]
    udi: Option<String>,
    /// Needed only where a hospital has more than one gateway.
    #[serde(default)]
    gateway_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceView {
    device_id: String,
    model_number: String,
    serial_number: String,
    udi: Option<String>,
    hospital_id: String,
    gateway_id: Option<String>,
    current_firmware_version: String,
    /// SHA-256 of the running image as the device measured it.
    running_sha256: Option<String>,
    /// `attached`, `detached`, `unreachable` while its gateway is not heard of, or `unknown`.
    #[schema(value_type = String)]
    presence: Reach,
    /// When its gateway last said that it is attached, since this coordinator started.
    last_attached_at: Option<String>,
    /// Whether a patient was connected or therapy ran when its gateway last spoke of it.
    in_use: Option<bool>,
    /// State of the last installation.
    #[schema(value_type = Option<String>)]
    install_state: Option<InstallState>,
    detail: Option<String>,
    /// Duration of the last rollback.
    rollback_ms: Option<u64>,
    last_error: Option<String>,
    deployment_id: Option<String>,
    /// The open recall that concerns what it runs.
    recall_id: Option<String>,
    /// When it was taken out of service for good.
    retired_at: Option<String>,
}

/// What a view is made of beside the device: the state, the open recalls, and who is there.
struct Sight<'a> {
    state: &'a crate::domain::State,
    quarantine: Quarantine<'a>,
    presence: MutexGuard<'a, Presence>,
}

impl<'a> Sight<'a> {
    fn new(api: &'a Api, state: &'a crate::domain::State) -> Self {
        Self { state, quarantine: Quarantine::new(state), presence: api.runner.presence() }
    }
}

fn view(sight: &Sight<'_>, id: &DeviceId, device: &Device) -> DeviceView {
    let Sight { state, quarantine, presence } = sight;
    let (reach, heard) = presence.device(clock::now(), state.gateway_of(id), id);
    DeviceView {
        presence: reach,
        last_attached_at: presence.last_attached(id).map(|at| at.to_string()),
        in_use: heard.map(|d| d.in_use),
        device_id: id.to_string(),
        model_number: device.model.clone(),
        serial_number: device.serial.clone(),
        udi: device.udi.clone(),
        hospital_id: device.hospital.to_string(),
        gateway_id: state.gateway_of(id).map(ToString::to_string),
        current_firmware_version: device.firmware_version.clone(),
        running_sha256: device.running_sha256.map(|d| d.to_string()),
        install_state: device.install.as_ref().map(|i| i.state),
        detail: device.install.as_ref().map(|i| i.detail.clone()),
        rollback_ms: device.install.as_ref().and_then(|i| i.rollback_ms),
        last_error: device.last_error.clone(),
        deployment_id: device.deployment.as_ref().map(ToString::to_string),
        recall_id: quarantine.of(id, device).map(ToString::to_string),
        retired_at: device.retired_at.map(|t| t.to_string()),
    }
}

/// Registers a device.
#[utoipa::path(post, path = "/api/v1/devices", request_body = DeviceRegistration,
    responses((status = 201, body = DeviceView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn register(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<DeviceRegistration>,
) -> Result<(StatusCode, axum::Json<DeviceView>), Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "device.register", "device").await?;
    let device: DeviceId = id("deviceId", &new.device_id)?;
    let command = Command::RegisterDevice(NewDevice {
        device: device.clone(),
        model: new.model_number,
        serial: new.serial_number,
        udi: new.udi,
        hospital: id("hospitalId", &new.hospital_id)?,
        gateway: new.gateway_id.map(|g| id("gatewayId", &g)).transpose()?,
        firmware_version: new.current_firmware_version,
    });
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    let registered = state.need_device(&device)?;
    Ok((StatusCode::CREATED, axum::Json(view(&Sight::new(&api, &state), &device, registered))))
}

/// Lists devices.
#[utoipa::path(get, path = "/api/v1/devices", params(ListQuery),
    responses((status = 200, body = Vec<DeviceView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "device.list", "device").await?;
    let state = api.runner.state();
    let (own, sight) = (state.hospital_of_user(&caller.actor.id), Sight::new(&api, &state));
    query.page(
        "/api/v1/devices",
        &state.devices,
        |_, d| own.is_none_or(|h| *h == d.hospital),
        |id, d| view(&sight, id, d),
    )
}

/// Shows one device.
#[utoipa::path(get, path = "/api/v1/devices/{device}",
    responses((status = 200, body = DeviceView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(device): Path<String>,
) -> Result<axum::Json<DeviceView>, Problem> {
    let caller = origin.need(&api, Permission::Read, "device.show", &format!("device/{device}")).await?;
    let device: DeviceId = id("device", &device)?;
    let state = api.runner.state();
    let found = state.need_device(&device)?;
    if state.hospital_of_user(&caller.actor.id).is_some_and(|own| *own != found.hospital) {
        // As if it were not there: staff learn nothing of other hospitals.
        return Err(Refusal::not_found("device", &device).into());
    }
    Ok(axum::Json(view(&Sight::new(&api, &state), &device, found)))
}

/// Takes a device out of service for good; from then on the retention of its records runs.
#[utoipa::path(post, path = "/api/v1/devices/{device}/retirement", request_body = Reason,
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn retire(
    State(api): State<Api>,
    origin: Origin,
    Path(device): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "device.retire", &format!("device/{device}")).await?;
    let command = Command::RetireDevice { device: id("device", &device)?, reason: reason.reason };
    origin.submit(&api, &caller, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
