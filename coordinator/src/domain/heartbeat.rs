//! Heartbeats: which devices are there, and what a gateway lacks.

use mdfm_shared::id::GatewayId;
use mdfm_shared::sign::{KeySet, PublicKey, Signed};
use mdfm_shared::telemetry::Heartbeat;
use mdfm_shared::time::UtcMillis;

use super::desk::{Outbound, Seen};
use super::{Command, Refusal, State};

/// What follows from a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What the gateway lacks.
    pub(crate) outbound: Vec<Outbound>,
    /// A change that must be logged.
    pub(crate) command: Option<Command>,
}

/// Takes a heartbeat: notes in `seen` which devices are there. One that is not newer than `newest` (epoch and sequence) was sent
/// again, by the broker or by somebody who wants a silent gateway to seem alive: it shows nothing.
///
/// # Errors
/// It is not signed by the gateway, or names another one.
pub(crate) fn hear(
    state: &State,
    seen: &mut Seen,
    now: UtcMillis,
    gateway: &GatewayId,
    signed: &Signed<Heartbeat>,
    newest: &mut (u64, u64),
) -> Result<Answer, Refusal> {
    let mut answer = Answer::default();
    let Some(held) = state.gateways.get(gateway) else { return Ok(answer) };
    let Some(credentials) = held.credentials.as_ref().filter(|_| !held.revoked) else { return Ok(answer) };
    let key: PublicKey = credentials.telemetry_key.parse().map_err(|e| Refusal::document("telemetry-key", e))?;
    let heartbeat = signed.verify(&KeySet::single(key)).map_err(|e| Refusal::document("heartbeat-signature", e))?;
    if heartbeat.gateway != *gateway || !heartbeat.is_bounded() {
        return Err(Refusal::document("heartbeat", "names another gateway or too many devices"));
    }
    let position = (heartbeat.epoch, heartbeat.sequence);
    if heartbeat.epoch != held.chain.epoch || position <= *newest {
        return Ok(answer);
    }
    *newest = position;
    for device in heartbeat.devices.iter().filter(|d| d.attached) {
        if state.gateway_of(&device.device) == Some(gateway) {
            seen.insert(device.device.clone(), now);
        }
    }
    let first_missing = usize::try_from(heartbeat.root_version).unwrap_or(usize::MAX);
    answer.outbound.extend((first_missing..state.roots.len()).map(Outbound::TrustRoot));
    if state.roster.as_ref().is_some_and(|r| r.version > heartbeat.roster_version) {
        answer.outbound.push(Outbound::Roster);
    }
    for manifest in &heartbeat.missing_releases {
        if state.deployments.values().any(|d| d.plan.manifest == *manifest) {
            answer.outbound.push(Outbound::Release(*manifest));
        }
    }
    if heartbeat.directive_serial > held.last_serial() {
        let serial = heartbeat.directive_serial;
        answer.command = Some(Command::NoteSerial { gateway: gateway.clone(), serial });
    }
    if held.directive.as_ref().is_some_and(|d| d.serial > heartbeat.directive_serial) {
        answer.outbound.push(Outbound::Directive(gateway.clone()));
    }
    Ok(answer)
}
