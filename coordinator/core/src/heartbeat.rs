//! Heartbeats: which devices are there, and what a gateway lacks.

use std::collections::BTreeMap;

use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::OBSERVATIONS_ASKED_MAX;
use mdfm_shared::observed::{ObservationDigest, ObservationRequest};
use mdfm_shared::sign::{KeySet, PublicKey, Signed, Verified};
use mdfm_shared::telemetry::Heartbeat;
use mdfm_shared::time::UtcMillis;

use super::desk::Outbound;
use super::presence::Presence;
use super::{Command, Refusal, State, authority};

/// What follows from a heartbeat.
#[derive(Debug, Default)]
pub struct Answer {
    /// What the gateway lacks.
    pub outbound: Vec<Outbound>,
    /// Whether it was newer than what was heard before, and counted.
    pub is_new: bool,
    /// A change that must be logged.
    pub command: Option<Command>,
    /// Whether the gateway is due to learn what is held of its telemetry.
    pub head: bool,
    /// What the gateway is asked, to be signed by the online key.
    pub question: Option<ObservationRequest>,
}

/// The key that a gateway's telemetry and heartbeats are signed with; none where it is not enrolled or revoked.
pub fn key_of<'a>(state: &'a State, gateway: &GatewayId) -> Option<&'a str> {
    let held = state.gateways.get(gateway).filter(|g| !g.revoked)?;
    held.credentials.as_ref().map(|c| c.telemetry_key.as_str())
}

/// Checks who signed a heartbeat, by itself. Many at once: [`mdfm_shared::sign::verify_many`].
///
/// # Errors
/// It is not signed by the gateway.
pub fn check(
    state: &State,
    gateway: &GatewayId,
    signed: &Signed<Heartbeat>,
) -> Result<Option<Verified<Heartbeat>>, Refusal> {
    let Some(key) = key_of(state, gateway) else { return Ok(None) };
    let key: PublicKey = key.parse().map_err(|e| Refusal::document("telemetry-key", e))?;
    signed.verify(&KeySet::single(key)).map(Some).map_err(|e| Refusal::document("heartbeat-signature", e))
}

/// Takes a heartbeat that came as this gateway's and that the gateway's key signed: notes which devices are there, and answers
/// with what the gateway lacks.
///
/// # Errors
/// It names another gateway, or too many devices.
pub fn hear(
    state: &State,
    presence: &mut Presence,
    now: UtcMillis,
    gateway: &GatewayId,
    heartbeat: &Verified<Heartbeat>,
) -> Result<Answer, Refusal> {
    let mut answer = Answer::default();
    let Some(held) = state.gateways.get(gateway).filter(|g| !g.revoked) else { return Ok(answer) };
    if heartbeat.gateway != *gateway || !heartbeat.is_bounded() {
        return Err(Refusal::document("heartbeat", "names another gateway or too many devices"));
    }
    answer.head = presence.is_head_due(now, gateway, heartbeat.epoch != held.chain.epoch);
    if heartbeat.epoch != held.chain.epoch || !presence.heard(now, heartbeat) {
        return Ok(answer);
    }
    answer.is_new = true;
    for device in &heartbeat.devices {
        if state.gateway_of(&device.device) == Some(gateway) {
            presence.seen(now, device);
        }
    }
    let first_missing = usize::try_from(heartbeat.root_version).unwrap_or(usize::MAX);
    answer.outbound.extend((first_missing..state.roots.len()).map(Outbound::TrustRoot));
    if state.roster.as_ref().is_some_and(|r| r.version > heartbeat.roster_version) {
        answer.outbound.push(Outbound::Roster);
    }
    trust(state, presence, now, gateway, heartbeat, &mut answer);
    for manifest in &heartbeat.missing_releases {
        if state.deployments.values().any(|d| d.plan.manifest == *manifest) {
            answer.outbound.push(Outbound::Release(*manifest));
        }
    }
    if heartbeat.directive_serial > held.last_serial() {
        let serial = heartbeat.directive_serial;
        answer.command = Some(Command::NoteSerial { gateway: gateway.clone(), serial });
    }
    observations(state, presence, now, heartbeat, &mut answer);
    if let Some(directive) = held.directive.as_ref().filter(|d| d.serial > heartbeat.directive_serial)
        && presence.send_directive(now, gateway, directive.serial, directive.issued_at)
    {
        answer.outbound.push(Outbound::Directive(gateway.clone()));
    }
    Ok(answer)
}

/// Asks for the observed states that the log lacks, and notes devices that the gateway does not speak of any more.
fn observations(state: &State, presence: &mut Presence, now: UtcMillis, heartbeat: &Heartbeat, answer: &mut Answer) {
    let (Some(observed), gateway) = (&heartbeat.observed, &heartbeat.gateway) else { return };
    let pairs = || heartbeat.devices.iter().map(|beat| &beat.device).zip(observed);
    let mut devices = Vec::new();
    for (device, digest) in pairs() {
        if devices.len() == OBSERVATIONS_ASKED_MAX {
            break;
        }
        let is_known = *digest == ObservationDigest::NONE || state.inventory.digest(gateway, device) == *digest;
        if !is_known && presence.questions.admits(now, gateway, device, *digest) {
            devices.push(device.clone());
        }
    }
    if !devices.is_empty() {
        let (epoch, heartbeat) = (heartbeat.epoch, heartbeat.sequence);
        answer.question = Some(ObservationRequest { gateway: gateway.clone(), epoch, heartbeat, devices });
    }
    let named: BTreeMap<&DeviceId, bool> =
        pairs().map(|(device, digest)| (device, *digest != ObservationDigest::NONE)).collect();
    let (mut devices, mut forgotten) = (Vec::new(), Vec::new());
    for (id, claim) in state.inventory.of_gateway(gateway) {
        match named.get(id) {
            None => devices.push(id.clone()),
            // A gateway that was set back, or replaced, has not seen it since: that ends nothing.
            Some(false) if !claim.forgotten => forgotten.push(id.clone()),
            Some(_) => {}
        }
    }
    let has_ended = !devices.is_empty() || !forgotten.is_empty();
    if has_ended && answer.command.is_none() && presence.questions.may_end(now, gateway) {
        answer.command = Some(Command::EndObservations { gateway: gateway.clone(), devices, forgotten });
    }
}

/// What a gateway lacks of withdrawals and rollback orders.
fn trust(
    state: &State,
    presence: &mut Presence,
    now: UtcMillis,
    gateway: &GatewayId,
    heartbeat: &Heartbeat,
    answer: &mut Answer,
) {
    let version = state.authority.published_version();
    let orders = authority::orders_for(state, gateway, state.not_before(now));
    let Some(held) = heartbeat.held_trust else {
        // It has none, or it is of an older program, which does not know of them.
        if (version > 0 || !orders.is_empty()) && presence.is_trust_due_unasked(now, gateway) {
            answer.outbound.extend((version > 0).then_some(Outbound::Withdrawals));
            answer.outbound.extend((!orders.is_empty()).then(|| Outbound::RollbackOrders(gateway.clone())));
        }
        return;
    };
    answer.outbound.extend((version > held.withdrawals_version).then_some(Outbound::Withdrawals));
    if presence.are_orders_due(now, gateway, &orders, held.rollback_orders) {
        answer.outbound.push(Outbound::RollbackOrders(gateway.clone()));
    }
}
