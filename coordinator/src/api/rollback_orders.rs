//! Rollback orders: preview, sign, post, follow.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, FirmwareId, RecallId, UserId};
use mdfm_shared::limits::ROLLBACK_ORDER_ITEMS_MAX;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::Signed;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{OrderSigner, Role, RollbackOrder, RosterEntry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::approvals::signer;
use super::firmware::SignedDocument;
use super::list::ListQuery;
use super::people::BothFactors;
use super::request::{Json, Origin, Path, Query, document, id};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::authority::{self, HeldOrder, ReturnNeed};
use mdfm_coordinator_core::{Command, Refusal, State as Domain, recall};

const ACTION: &str = "rollback-order.add";
/// Days until an order expires unless it says otherwise.
const DAYS: u32 = 30;

/// Who will sign.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewSigner {
    user_id: String,
    /// `Clinical`, `QA` or `Regulatory`.
    role: String,
}

/// An order to compose. A recall names releases and devices by itself.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewOrder {
    /// A name for people; the recall's id unless given.
    #[serde(default)]
    label: Option<String>,
    /// The recall whose devices need an order.
    #[serde(default)]
    recall_id: Option<String>,
    /// Releases to leave; with none, whatever the devices run.
    #[serde(default)]
    firmware_ids: Vec<String>,
    /// Devices that return; with none, every device that runs one of the releases.
    #[serde(default)]
    device_ids: Vec<String>,
    /// Whether they may return below their security floor. Needs two roles.
    #[serde(default)]
    below_floor: bool,
    reason: String,
    /// Days until the order expires; 30 unless given.
    #[serde(default)]
    days: Option<u32>,
    #[serde(default)]
    signers: Vec<NewSigner>,
}

/// A device that an order concerns.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderedDeviceView {
    device_id: String,
    hospital_id: String,
    firmware_version: String,
    /// What it needs to leave what it runs.
    #[schema(value_type = Object)]
    need: ReturnNeed,
    /// Whether this order is enough.
    is_covered: bool,
}

/// A rollback order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderView {
    /// Digest of the document; `null` for a preview.
    order_id: Option<String>,
    label: String,
    manifest_digests: Vec<String>,
    device_ids: Vec<String>,
    below_floor: bool,
    meaning: String,
    reason: String,
    issued_at: String,
    expires_at: String,
    signers: Vec<SignerView>,
    /// Its place in the log; `null` before it stands there.
    log_index: Option<u64>,
    added_by: Option<String>,
    is_in_force: bool,
    /// The devices that it concerns now.
    devices: Vec<OrderedDeviceView>,
    /// Base64 of the frame of the document with the signatures so far; `null` once it stands in the log.
    document: Option<String>,
    /// Who must still sign.
    missing_signatures: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignerView {
    user_id: String,
    printed_name: String,
    role: String,
}

fn view(
    state: &Domain,
    now: UtcMillis,
    digest: Option<Digest>,
    order: &RollbackOrder,
    held: Option<&HeldOrder>,
) -> OrderView {
    let device = |(id, device): (&DeviceId, &mdfm_coordinator_core::fleet::Device)| {
        let need = authority::need_of(state, device, now);
        OrderedDeviceView {
            device_id: id.to_string(),
            hospital_id: device.hospital.to_string(),
            firmware_version: device.firmware_version.clone(),
            need,
            is_covered: order.below_floor || need != ReturnNeed::OrderByTwoRoles,
        }
    };
    OrderView {
        order_id: digest.map(|d| d.to_string()),
        label: order.label.clone(),
        manifest_digests: order.releases.iter().map(ToString::to_string).collect(),
        device_ids: order.devices.iter().map(ToString::to_string).collect(),
        below_floor: order.below_floor,
        meaning: order.meaning.clone(),
        reason: order.reason.clone(),
        issued_at: order.issued_at.to_string(),
        expires_at: order.expires_at.to_string(),
        signers: order
            .signers
            .iter()
            .map(|s| SignerView {
                user_id: s.user.to_string(),
                printed_name: s.printed_name.clone(),
                role: s.role.to_string(),
            })
            .collect(),
        log_index: held.map(|h| h.log_index),
        added_by: held.map(|h| h.added_by.clone()),
        is_in_force: held.is_some_and(|h| h.is_in_force(now)),
        // A device that has gone back is concerned still, and has nothing more to leave.
        devices: authority::still_to_leave(state, order).map(device).collect(),
        document: None,
        missing_signatures: Vec::new(),
    }
}

/// Why somebody cannot sign today, of whose entries on the roster `last` is the latest.
fn why_not(user: &UserId, role: Role, now: UtcMillis, last: Option<&RosterEntry>) -> String {
    match last.map(|entry| (entry.revoked, entry)) {
        None => format!("{user} is not on the roster as {role}"),
        Some((Some(revoked), _)) => format!("the authority of {user} as {role} was revoked from {} on", revoked.at),
        Some((None, entry)) if now < entry.valid_from => {
            format!("the authority of {user} as {role} begins at {}", entry.valid_from)
        }
        Some((None, entry)) => format!("the authority of {user} as {role} ended at {}", entry.valid_until),
    }
}

/// Composes an order; the people in it come from the roster.
fn compose(state: &Domain, now: UtcMillis, new: &NewOrder) -> Result<RollbackOrder, Refusal> {
    let parse = |field: &str, text: &str| super::request::parsed::<FirmwareId>(field, text);
    let mut firmware = new.firmware_ids.iter().map(|f| parse("firmwareIds", f)).collect::<Result<Vec<_>, _>>()?;
    let devices = new.device_ids.iter().map(|d| super::request::parsed::<DeviceId>("deviceIds", d));
    let mut devices = devices.collect::<Result<Vec<_>, _>>()?;
    for device in &devices {
        if state.need_device(device)?.retired_at.is_some() {
            return Err(Refusal::invalid("deviceIds", format!("{device} is retired")));
        }
    }
    let recall = new.recall_id.as_ref().map(|r| super::request::parsed::<RecallId>("recallId", r)).transpose()?;
    if let Some(id) = &recall {
        let held = state.need_recall(id)?;
        let needs = |d: &DeviceId| state.devices.get(d).is_some_and(|d| authority::need_of(state, d, now).is_order());
        firmware.extend(held.firmware.iter().cloned());
        // An order of one role may name the releases alone, and so reaches the devices that come back later.
        if new.below_floor && devices.is_empty() {
            devices =
                recall::outstanding(state, held).into_iter().filter(needs).take(ROLLBACK_ORDER_ITEMS_MAX).collect();
        }
    }
    let manifest = |id: &FirmwareId| {
        let attached = state.need_firmware(id)?.manifest.as_ref();
        let none =
            || Refusal::conflict("wrong-step", format!("firmware {id} has no signed manifest; no device runs it"));
        attached.map(|m| m.digest).ok_or_else(none)
    };
    let releases = firmware.iter().map(manifest).collect::<Result<Vec<_>, _>>()?;
    let roster = state.need_roster()?;
    let person = |new: &NewSigner| {
        let user = super::request::parsed("signers", &new.user_id)?;
        let role: Role = super::request::parsed("signers", &new.role)?;
        let entries = || roster.entries_of(&user).filter(|e| e.roles.contains(&role));
        let entry = entries().find(|e| e.is_valid(now, state.log_size));
        let refused =
            || Refusal::invalid("signers", why_not(&user, role, now, entries().max_by_key(|e| e.valid_until)));
        let entry = entry.ok_or_else(refused)?;
        Ok(OrderSigner { printed_name: entry.printed_name.clone(), user, role })
    };
    let signers = new.signers.iter().map(person).collect::<Result<Vec<_>, Refusal>>()?;
    let roles: Vec<String> = signers.iter().map(|s| s.role.to_string()).collect();
    let days = new.days.unwrap_or(DAYS);
    let label = new.label.clone().or(recall.map(|r| r.to_string())).unwrap_or_else(|| "rollback".into());
    let what = if new.below_floor { "also below their security floor" } else { "not below their security floor" };
    Ok(RollbackOrder {
        meaning: format!("I order the devices back ({label}), {what}, as {}", roles.join(" and ")),
        label,
        releases,
        devices,
        below_floor: new.below_floor,
        reason: new.reason.clone(),
        issued_at: now,
        expires_at: now.plus_ms(u64::from(days) * 86_400_000),
        signers,
    })
}

/// Composes an order and shows which devices it would reach and what each of them needs; nothing is made.
#[utoipa::path(post, path = "/api/v1/rollback-orders/preview", request_body = NewOrder,
    responses((status = 200, body = OrderView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn preview(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewOrder>,
) -> Result<axum::Json<OrderView>, Problem> {
    origin.need(&api, Permission::ReadAll, "rollback-order.preview", "rollback-order").await?;
    let (now, state) = (api.runner.now(), api.runner.state());
    let order = compose(&state, now, &new)?;
    let unsigned = Signed::sign(&order, &[]).map_err(|e| Refusal::document("rollback-order-refused", e))?;
    let document = Some(document_text(&unsigned));
    let missing_signatures = order.signers.iter().map(|s| s.user.to_string()).collect();
    Ok(axum::Json(OrderView { document, missing_signatures, ..view(&state, now, None, &order, None) }))
}

/// Posts an order that every named person has signed.
#[utoipa::path(post, path = "/api/v1/rollback-orders", request_body = SignedDocument,
    responses((status = 201, body = OrderView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<SignedDocument>,
) -> Result<(StatusCode, axum::Json<OrderView>), Problem> {
    let caller = origin.need(&api, Permission::PublishAuthority, ACTION, "rollback-order").await?;
    let order: Signed<RollbackOrder> = match document("document", &body.document) {
        Ok(order) => order,
        Err(refusal) => return Err(origin.deny(&api, caller.actor, ACTION, "rollback-order", refusal).await),
    };
    let digest = order.digest();
    origin.submit(&api, &caller, Command::AddRollbackOrder { order }).await?;
    Ok((StatusCode::CREATED, find(&api, digest)?))
}

/// An order to sign with the key that the coordinator keeps for the caller: one to compose, or one that others have signed before.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrderSigning {
    #[serde(default)]
    order: Option<NewOrder>,
    /// Base64 of the frame of the document with the signatures so far.
    #[serde(default)]
    document: Option<String>,
    #[schema(format = Password)]
    password: String,
    #[schema(format = Password)]
    code: String,
}

/// Adds the caller's signature to an order. It is posted when everybody who is named has signed; until then the answer carries the
/// document for the next one.
#[utoipa::path(post, path = "/api/v1/rollback-orders/signature", request_body = OrderSigning,
    responses((status = 200, body = OrderView), (status = 201, body = OrderView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn sign(
    State(api): State<Api>,
    origin: Origin,
    Json(signing): Json<OrderSigning>,
) -> Result<Response, Problem> {
    let both = BothFactors { password: signing.password, code: signing.code };
    let signer = signer(&api, &origin, ACTION, "rollback-order", both).await?;
    let now = api.runner.now();
    let refused = |e: &dyn std::fmt::Display| Refusal::document("rollback-order-refused", e);
    let mut signed: Signed<RollbackOrder> = match (&signing.order, &signing.document) {
        (Some(new), None) => {
            let order = compose(&api.runner.state(), now, new)?;
            Signed::sign(&order, &[]).map_err(|e| refused(&e))?
        }
        (None, Some(text)) => document("document", text)?,
        _ => return Err(Refusal::invalid("order", "give either order or document").into()),
    };
    let order = signed.decode_unverified().map_err(|e| refused(&e))?;
    order.check().map_err(|e| refused(&e))?;
    if !order.signers.iter().any(|s| s.user == signer.user && s.printed_name == signer.printed_name) {
        let detail = format!("{} is not named as a signer of this order", signer.user);
        let refusal = Refusal::forbidden("not-the-signer", detail);
        return Err(origin.deny(&api, signer.caller.actor, ACTION, "rollback-order", refusal).await);
    }
    signed.add_signature(&signer.key);
    let missing = missing_signatures(&api.runner.state(), &signed, &order)?;
    if missing.is_empty() {
        let digest = signed.digest();
        origin.submit(&api, &signer.caller, Command::AddRollbackOrder { order: signed }).await?;
        return Ok((StatusCode::CREATED, find(&api, digest)?).into_response());
    }
    let state = api.runner.state();
    let document = Some(document_text(&signed));
    let view = OrderView { document, missing_signatures: missing, ..view(&state, now, None, &order, None) };
    Ok(axum::Json(view).into_response())
}

/// The named people who have not signed yet.
fn missing_signatures(
    state: &Domain,
    signed: &Signed<RollbackOrder>,
    order: &RollbackOrder,
) -> Result<Vec<String>, Refusal> {
    let roster = state.need_roster()?;
    let has_signed = |signer: &&OrderSigner| {
        roster.entries_of(&signer.user).any(|e| signed.signatures().iter().any(|s| s.key == e.key.id()))
    };
    Ok(order.signers.iter().filter(|s| !has_signed(s)).map(|s| s.user.to_string()).collect())
}

fn find(api: &Api, digest: Digest) -> Result<axum::Json<OrderView>, Problem> {
    let state = api.runner.state();
    let held = state.need_order(&digest)?;
    Ok(axum::Json(view(&state, state.not_before(clock::now()), Some(digest), &held.order, Some(held))))
}

/// Lists rollback orders, also those that have expired.
#[utoipa::path(get, path = "/api/v1/rollback-orders", params(ListQuery),
    responses((status = 200, body = Vec<OrderView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "rollback-order.list", "rollback-order").await?;
    let (all, now) = (api.runner.state().authority.orders.clone(), api.runner.now());
    query.page(
        "/api/v1/rollback-orders",
        &all,
        |_, _| true,
        |digest, held| view(&api.runner.state(), now, Some(*digest), &held.order, Some(held)),
    )
}

/// Shows one order with the devices that it concerns.
#[utoipa::path(get, path = "/api/v1/rollback-orders/{order}",
    responses((status = 200, body = OrderView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(order): Path<String>,
) -> Result<axum::Json<OrderView>, Problem> {
    let object = format!("rollback-order/{}", order.chars().take(64).collect::<String>());
    origin.need(&api, Permission::ReadAll, "rollback-order.show", &object).await?;
    find(&api, id("order", &order)?)
}
