//! What each gateway shall do, composed from the state alone.

use std::collections::BTreeMap;

use mdfm_shared::directive::{Action, DeviceDirective};
use mdfm_shared::id::GatewayId;
use mdfm_shared::time::UtcMillis;

use super::State;
use super::rollout::Status;

/// How long a directive holds; agents start nothing new on an older one.
pub(crate) const LIFETIME_MS: u64 = 24 * 3_600_000;
/// A directive is renewed when less than this is left.
const RENEW_MS: u64 = LIFETIME_MS / 2;

/// The wishes for the devices of every enrolled gateway.
pub(crate) fn compose(state: &State) -> BTreeMap<GatewayId, Vec<DeviceDirective>> {
    let mut all: BTreeMap<GatewayId, Vec<DeviceDirective>> = state
        .gateways
        .iter()
        .filter(|(_, g)| g.credentials.is_some())
        .map(|(id, _)| (id.clone(), Vec::new()))
        .collect();
    for (id, deployment_id) in &state.device_deployment {
        let Some(deployment) = state.deployments.get(deployment_id) else { continue };
        let Some(progress) = deployment.devices.get(id).filter(|p| deployment.is_open(p.phase)) else { continue };
        let Some(wishes) = state.gateway_of(id).and_then(|g| all.get_mut(g)) else { continue };
        let manifest = deployment.plan.manifest;
        let action = match deployment.status {
            Status::Running | Status::Completed => Action::Install { manifest },
            Status::Paused => Action::Hold { manifest },
            Status::RollingBack { .. } | Status::RolledBack { .. } => Action::Rollback { manifest },
        };
        wishes.push(DeviceDirective {
            device: id.clone(),
            deployment: deployment_id.clone(),
            phase: progress.phase,
            action,
            security_floor: state.devices.get(id).map_or(0, |d| d.security_floor),
        });
    }
    all
}

/// Whether the gateway needs a new directive: its wishes changed, the last one runs out, or it enrolled anew.
pub(crate) fn is_due(state: &State, gateway: &GatewayId, wishes: &[DeviceDirective], now: UtcMillis) -> bool {
    let Some(held) = state.gateways.get(gateway) else { return false };
    match (&held.directive, state.directive_wishes.get(gateway)) {
        (Some(issued), Some(current)) => {
            current != wishes || now.plus_ms(RENEW_MS) >= issued.expires_at || issued.serial < held.serial_seen
        }
        _ => true,
    }
}
