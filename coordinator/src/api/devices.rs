//! Devices.

use std::collections::BTreeSet;
use std::sync::MutexGuard;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_audit::Field;
use mdfm_shared::id::{DeviceId, GatewayId, HospitalId};
use mdfm_shared::telemetry::InstallState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::body::Whole;
use super::compliance::{AuditPage, Paging, about};
use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, given, id, parsed, tagged};
use super::table::Table;
use super::waiting::WaitView;
use super::{Api, Problem, fhir};
use crate::access::Caller;
use crate::clock;
use mdfm_coordinator_core::access::{By, Permission};
use mdfm_coordinator_core::fleet::{self, Device, DeviceChange, NewDevice};
use mdfm_coordinator_core::inventory::{Claim, Difference, DifferenceKind, ListedOnce, Side};
use mdfm_coordinator_core::presence::{Presence, Reach};
use mdfm_coordinator_core::recall::Quarantine;
use mdfm_coordinator_core::{self, Command, Refusal, waiting};

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
    /// Hardware revision; without it, the observed one is not compared.
    #[serde(default)]
    hardware_revision: Option<String>,
}

impl DeviceRegistration {
    /// With its ids checked.
    fn parse(self) -> Result<NewDevice, Refusal> {
        Ok(NewDevice {
            device: parsed("deviceId", &self.device_id)?,
            model: self.model_number,
            serial: self.serial_number,
            udi: self.udi,
            hospital: parsed("hospitalId", &self.hospital_id)?,
            gateway: self.gateway_id.map(|g| parsed("gatewayId", &g)).transpose()?,
            firmware_version: self.current_firmware_version,
            hardware: self.hardware_revision,
        })
    }
}

/// Rows of one list of devices.
const IMPORT_ROWS_MAX: usize = 20_000;
/// Devices of a list that are registered together.
const IMPORT_AT_ONCE: usize = 512;
/// Wrong rows of a list that are named.
const WRONG_ROWS_SHOWN: usize = 20;

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
    /// Security version below which it accepts nothing.
    security_floor: u32,
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
    /// When it was taken out of service permanently.
    retired_at: Option<String>,
    hardware_revision: Option<String>,
    /// The firmware that it is expected to run: registered, installed from here, or accepted.
    expected_firmware_version: Option<String>,
    /// What its gateway observes, or another gateway where it is; `null` before the first report.
    observed: Option<ObservedView>,
    /// In what both sides differ now; their kinds alone, for filters.
    differs: Vec<DifferenceKind>,
    /// The differences with both sides.
    differences: Vec<DifferenceView>,
    /// Why it does not do what its newest deployment asks; `null` if it has, or is on its way.
    waiting: Option<WaitView>,
}

/// What a gateway observes of a device.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObservedView {
    gateway_id: String,
    /// Whether the device is behind that gateway; one that is silent for a minute is not.
    present: bool,
    model_number: String,
    serial_number: String,
    hardware_revision: String,
    firmware_version: String,
    sha256: String,
    boot_count: u64,
    /// Reboots that nobody ordered, since this gateway has known the device.
    unordered_reboots: u64,
    /// Those of the 24 hours that ended with the last of them.
    recent_reboots: u32,
    last_reboot_at: Option<String>,
    /// Since when identity and firmware are these, on the gateway's clock.
    since: String,
    /// When the coordinator learned of it.
    reported_at: String,
}

/// One difference between what is registered and what is observed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DifferenceView {
    kind: DifferenceKind,
    registered: String,
    observed: String,
    /// When it was recorded; `null` while it may pass, as when a device is carried to another gateway.
    since: Option<String>,
    /// Who expects the registered side, and why, where somebody has decided so.
    expected_by: Option<String>,
    reason: Option<String>,
}

/// What a view is made of beside the device: the state, the open recalls, and who is there.
struct Sight<'a> {
    state: &'a mdfm_coordinator_core::State,
    /// The hospital of a reader who sees its devices alone.
    own: Option<&'a HospitalId>,
    quarantine: Quarantine<'a>,
    presence: MutexGuard<'a, Presence>,
}

impl<'a> Sight<'a> {
    fn new(api: &'a Api, state: &'a mdfm_coordinator_core::State, caller: &Caller) -> Self {
        let own = state.hospital_of_user(&caller.actor.id);
        Self { state, own, quarantine: Quarantine::new(state), presence: api.runner.presence() }
    }
}

fn view(sight: &Sight<'_>, id: &DeviceId, device: &Device) -> DeviceView {
    let Sight { state, own, quarantine, presence } = sight;
    let now = clock::now();
    let (reach, heard) = presence.device(now, state.gateway_of(id), id);
    let found = state.differences_for(now, id, device, *own);
    let waiting = waiting::Sight { state, presence, now }.of_device(id);
    DeviceView {
        waiting: waiting.map(WaitView::from),
        hardware_revision: device.hardware.clone(),
        expected_firmware_version: device.expected.as_ref().map(|e| e.version.clone()),
        observed: state.observed_for(id, *own).map(|(gateway, claim)| observed(gateway, claim)),
        differs: found.keys().copied().collect(),
        differences: found.into_iter().map(|(kind, difference)| differs(device, kind, difference)).collect(),
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
        security_floor: device.security_floor,
        install_state: device.install.as_ref().map(|i| i.state),
        detail: device.install.as_ref().map(|i| i.detail.clone()),
        rollback_ms: device.install.as_ref().and_then(|i| i.rollback_ms),
        last_error: device.last_error.clone(),
        deployment_id: device.deployment.as_ref().map(ToString::to_string),
        recall_id: quarantine.of(id, device).map(ToString::to_string),
        retired_at: device.retired_at.map(|t| t.to_string()),
    }
}

fn observed(gateway: &GatewayId, claim: &Claim) -> ObservedView {
    let Claim { observed, reported_at, .. } = claim;
    ObservedView {
        gateway_id: gateway.to_string(),
        present: observed.present,
        model_number: observed.model.clone(),
        serial_number: observed.serial.clone(),
        hardware_revision: observed.hardware.clone(),
        firmware_version: observed.running.version.clone(),
        sha256: observed.running.sha256.to_string(),
        boot_count: observed.boot_count,
        unordered_reboots: observed.unordered_reboots,
        recent_reboots: observed.recent_reboots,
        last_reboot_at: observed.last_reboot_at.map(|at| at.to_string()),
        since: observed.since.to_string(),
        reported_at: reported_at.to_string(),
    }
}

fn differs(device: &Device, kind: DifferenceKind, difference: Difference) -> DifferenceView {
    let noted = device.differences.get(&kind);
    let expected = noted.and_then(|n| n.expected.as_ref());
    DifferenceView {
        kind,
        registered: difference.registered,
        observed: difference.observed,
        since: noted.map(|n| n.since.to_string()),
        expected_by: expected.map(|e| e.by.clone()),
        reason: expected.map(|e| e.reason.clone()),
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
    let new = new.parse()?;
    let device = new.device.clone();
    let command = Command::RegisterDevice(new);
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    let registered = state.need_device(&device)?;
    Ok((StatusCode::CREATED, axum::Json(view(&Sight::new(&api, &state, &caller), &device, registered))))
}

/// Takes a list of devices as it comes from a hospital's inventory.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Import {
    /// Only check; register nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What became of a list of devices.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportView {
    dry_run: bool,
    /// Rows of the list.
    rows: usize,
    /// Devices that are registered now and were not before.
    registered: usize,
}

/// Registers the devices of a CSV file (RFC 4180; separated by commas, semicolons or tabs, in UTF-8 or UTF-16) with a header line of the fields that registering one device takes. All rows are checked
/// first: if one is wrong, nothing is registered, and the answer names the rows.
#[utoipa::path(post, path = "/api/v1/devices/import", params(Import), request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportView), (status = 422, body = Problem)))]
pub(super) async fn import(
    State(api): State<Api>,
    origin: Origin,
    Query(import): Query<Import>,
    Whole(body): Whole,
) -> Result<axum::Json<ImportView>, Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "device.register", "device").await?;
    let devices = {
        let state = api.runner.state();
        let devices = parse_list(&state, &body)?;
        api.room.refuses_devices(&state, devices.len()).map_or(Ok(devices), Err)?
    };
    let rows = devices.len();
    let mut registered = 0;
    if !import.dry_run {
        // Together, so that they become durable together; a row that meanwhile became wrong says so.
        for some in devices.chunks(IMPORT_AT_ONCE) {
            let register = |new: &NewDevice| origin.submit(&api, &caller, Command::RegisterDevice(new.clone()));
            let answers = futures_util::future::join_all(some.iter().map(register)).await;
            registered += answers.iter().filter(|a| a.is_ok()).count();
            answers.into_iter().collect::<Result<Vec<()>, Problem>>()?;
        }
    }
    Ok(axum::Json(ImportView { dry_run: import.dry_run, rows, registered }))
}

/// What is wrong with a row, without the place that the reader counts from the first line that it was given.
fn row_problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells, the first line names {expected_len} fields")
        }
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}

/// The devices of a CSV file, every one of which could be registered now.
fn parse_list(state: &mdfm_coordinator_core::State, body: &[u8]) -> Result<Vec<NewDevice>, Problem> {
    let table = Table::of(body)?;
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).delimiter(table.delimiter).from_reader(table.text.as_bytes());
    let header = reader.headers().map_err(|e| Refusal::invalid("rows", row_problem(&e)))?.clone();
    let (mut devices, mut ids, mut wrong) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut once = ListedOnce::default();
    for row in reader.records() {
        let (line, row) = match row {
            Ok(row) => (table.line(row.position()), row.deserialize::<DeviceRegistration>(Some(&header))),
            Err(error) => (table.line(error.position()), Err(error)),
        };
        if devices.len() + wrong.len() >= IMPORT_ROWS_MAX {
            return Err(Refusal::invalid("rows", format!("at most {IMPORT_ROWS_MAX} devices at once")).into());
        }
        let taken = match row {
            Ok(registration) => registration.parse().map_err(|refusal| refusal.detail),
            Err(error) => Err(row_problem(&error)),
        };
        let taken = taken.and_then(|new| match fleet::register_device(state, &new) {
            _ if !ids.insert(new.device.clone()) => Err(format!("device {} stands in the list twice", new.device)),
            Ok(_) => once.note(&new.model, &new.serial, new.udi.as_ref()).map(|()| new),
            Err(refusal) => Err(refusal.detail),
        });
        match taken {
            Ok(new) => devices.push(new),
            Err(problem) => wrong.push(format!("line {line}: {problem}")),
        }
    }
    if devices.is_empty() && wrong.is_empty() {
        return Err(Refusal::invalid("rows", "the list has no row behind its header; nothing was registered").into());
    }
    if wrong.is_empty() {
        return Ok(devices);
    }
    let (rows, all) = (wrong.len(), devices.len() + wrong.len());
    wrong.truncate(WRONG_ROWS_SHOWN);
    let detail = format!("{rows} of {all} rows are wrong, nothing was registered; {}", wrong.join("; "));
    Err(Refusal::invalid("rows", detail).into())
}

/// Other particulars of a device (RFC 7396): what is left out stays, `null` takes away.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DevicePatch {
    #[serde(default)]
    serial_number: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    udi: Option<Option<String>>,
    /// A device that moves leaves its gateway behind, unless one of the new hospital is named.
    #[serde(default)]
    hospital_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    gateway_id: Option<Option<String>>,
    reason: String,
}

/// Corrects what is known of a device, or moves it to another hospital or gateway.
#[utoipa::path(patch, path = "/api/v1/devices/{device}", request_body = DevicePatch,
    responses((status = 200, body = DeviceView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change(
    State(api): State<Api>,
    origin: Origin,
    Path(device): Path<String>,
    Json(patch): Json<DevicePatch>,
) -> Result<Response, Problem> {
    let object = format!("device/{device}");
    // Who moves a device decides whose gateway commands it.
    let by = if patch.hospital_id.is_some() || patch.gateway_id.is_some() { By::Person } else { By::Token };
    let caller = origin.need_by(&api, Permission::ManageFleet, by, "device.change", &object).await?;
    let device: DeviceId = id("device", &device)?;
    let change = DeviceChange {
        serial: patch.serial_number,
        udi: patch.udi,
        hospital: patch.hospital_id.map(|h| id("hospitalId", &h)).transpose()?,
        gateway: patch.gateway_id.map(|g| g.map(|g| id("gatewayId", &g)).transpose()).transpose()?,
    };
    let command = Command::ChangeDevice { device: device.clone(), change, reason: patch.reason };
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    Ok(tagged(&state, &object, view(&Sight::new(&api, &state, &caller), &device, state.need_device(&device)?)))
}

/// Which side of a device is right, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Reconciliation {
    /// `observed`: the registered side takes what is observed. `registered`: it stays, and the device is to be put right.
    right: Side,
    reason: String,
}

/// Ends the differences between what is registered of a device and what gateways observe.
#[utoipa::path(post, path = "/api/v1/devices/{device}/reconciliation", request_body = Reconciliation,
    responses((status = 200, body = DeviceView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn reconcile(
    State(api): State<Api>,
    origin: Origin,
    Path(device): Path<String>,
    Json(reconciliation): Json<Reconciliation>,
) -> Result<Response, Problem> {
    let object = format!("device/{device}");
    let caller = origin.need_by(&api, Permission::ManageFleet, By::Person, "device.reconcile", &object).await?;
    let device: DeviceId = id("device", &device)?;
    let Reconciliation { right, reason } = reconciliation;
    let command = Command::ReconcileDevice { device: device.clone(), right, reason };
    origin.submit(&api, &caller, command).await?;
    let state = api.runner.state();
    Ok(tagged(&state, &object, view(&Sight::new(&api, &state, &caller), &device, state.need_device(&device)?)))
}

/// A device, as its caller may see it.
fn seen<'a>(
    state: &'a mdfm_coordinator_core::State,
    caller: &Caller,
    device: &DeviceId,
) -> Result<&'a Device, Refusal> {
    let found = state.need_device(device)?;
    let own = state.hospital_of_user(&caller.actor.id);
    // As if it were not there: staff learn nothing of other hospitals.
    if own.is_some_and(|own| *own != found.hospital) { Err(Refusal::not_found("device", device)) } else { Ok(found) }
}

/// One device as a FHIR R4 resource.
#[utoipa::path(get, path = "/api/v1/fhir/Device/{device}",
    responses((status = 200, body = Object, content_type = "application/fhir+json"), (status = 404, body = Problem)))]
pub(super) async fn fhir(
    State(api): State<Api>,
    origin: Origin,
    Path(device): Path<String>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "device.show", &format!("device/{device}")).await?;
    let device: DeviceId = id("device", &device)?;
    let state = api.runner.state();
    let own = state.hospital_of_user(&caller.actor.id);
    let resource = fhir::device(&state, clock::now(), own, &device, seen(&state, &caller, &device)?);
    Ok(fhir::answer(&resource))
}

/// Devices as a FHIR R4 bundle: a page of a search.
#[utoipa::path(get, path = "/api/v1/fhir/Device", params(fhir::Search),
    responses((status = 200, body = Object, content_type = "application/fhir+json"), (status = 422, body = Problem)))]
pub(super) async fn fhir_search(
    State(api): State<Api>,
    origin: Origin,
    Query(search): Query<fhir::Search>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "device.list", "device").await?;
    let state = api.runner.state();
    let own = state.hospital_of_user(&caller.actor.id);
    let sees = |d: &Device| own.is_none_or(|h| *h == d.hospital);
    Ok(fhir::answer(&search.page((&state, clock::now()), &api.public_url, own, sees)?))
}

/// What has happened to a device, newest first: the audit log's records that name it.
#[utoipa::path(get, path = "/api/v1/devices/{device}/history", params(Paging),
    responses((status = 200, body = AuditPage), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn history(
    State(api): State<Api>,
    origin: Origin,
    Path(device): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<AuditPage>, Problem> {
    let caller = origin.need(&api, Permission::Read, "device.history", &format!("device/{device}")).await?;
    let device: DeviceId = id("device", &device)?;
    seen(&api.runner.state(), &caller, &device)?;
    about(&api, &caller, (Field::Device, "device"), &device, &paging).await
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
    let own = state.hospital_of_user(&caller.actor.id);
    page(&api, &state, &query, "/api/v1/devices", &caller, |_, d| own.is_none_or(|h| *h == d.hospital))
}

/// Devices that `sees` lets through, as a list at `path`.
pub(super) fn page(
    api: &Api,
    state: &mdfm_coordinator_core::State,
    query: &ListQuery,
    path: &str,
    caller: &Caller,
    sees: impl Fn(&DeviceId, &Device) -> bool,
) -> Result<Response, Problem> {
    let sight = Sight::new(api, state, caller);
    query.page_knowing(path, &state.devices, sees, known, |id, d| view(&sight, id, d))
}

/// The fields of a device's view that need nothing but the device.
fn known(id: &DeviceId, device: &Device, field: &str) -> Option<Value> {
    Some(match field {
        "deviceId" => Value::from(id.as_str()),
        "modelNumber" => Value::from(device.model.as_str()),
        "serialNumber" => Value::from(device.serial.as_str()),
        "udi" => device.udi.as_deref().map_or(Value::Null, Value::from),
        "hospitalId" => Value::from(device.hospital.as_str()),
        "currentFirmwareVersion" => Value::from(device.firmware_version.as_str()),
        "hardwareRevision" => device.hardware.as_deref().map_or(Value::Null, Value::from),
        "deploymentId" => device.deployment.as_ref().map_or(Value::Null, |id| Value::from(id.as_str())),
        "installState" => device.install.as_ref().map_or(Value::Null, |i| serde_json::json!(i.state)),
        _ => return None,
    })
}

/// Shows one device.
#[utoipa::path(get, path = "/api/v1/devices/{device}",
    responses((status = 200, body = DeviceView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(device): Path<String>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "device.show", &format!("device/{device}")).await?;
    let device: DeviceId = id("device", &device)?;
    let state = api.runner.state();
    let found = seen(&state, &caller, &device)?;
    Ok(tagged(&state, &format!("device/{device}"), view(&Sight::new(&api, &state, &caller), &device, found)))
}

/// Takes a device out of service permanently; from then on the retention of its records runs.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that the answer to a list names, as none of its devices can be registered.
    fn lines(body: &str) -> (String, Vec<String>) {
        let problem =
            parse_list(&mdfm_coordinator_core::State::default(), body.as_bytes()).expect_err("no hospital is known");
        let text = serde_json::to_string(&problem).expect("encodes");
        let numbers = text.split("line ").skip(1).filter_map(|rest| rest.split(':').next().map(str::to_owned));
        let numbers = numbers.filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        (text.clone(), numbers.collect())
    }

    #[test]
    fn fld_23_errors_name_the_lines_of_the_file() {
        let header = "deviceId,modelNumber,serialNumber,hospitalId,currentFirmwareVersion";
        let row = |n: u32| format!("D-{n},M,S-{n},H,1");
        for end in ["\n", "\r\n", "\r"] {
            let (one, two, three) = (row(1), row(2), row(3));
            let multi = "D-4,\"a\nb\",S,H,1";
            let cases = [
                (vec![header, &one, &two], vec!["2", "3"]),
                (vec!["", " ", header, &one, "", "", &two, "x,y", &three], vec!["4", "7", "8", "9"]),
                (vec!["sep=,", "", header, "", &one], vec!["5"]),
                (vec![header, multi, &one], vec!["2", "4"]),
            ];
            // A line end within a cell is one of a file whose lines end so.
            let cases = cases.into_iter().filter(|(of, _)| end != "\r" || !of.contains(&multi));
            for (lines_of, expected) in cases {
                let body = lines_of.join(end) + end;
                let (text, numbers) = lines(&body);
                assert_eq!(numbers, expected, "{body:?}: {text}");
            }
        }
        let (text, _) = lines(&format!("{header}\nx,y\n"));
        assert!(text.contains("the row has 2 cells, the first line names 5 fields"), "{text}");
    }
}
