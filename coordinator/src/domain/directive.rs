//! What each gateway shall do, composed from the state alone.

use mdfm_shared::directive::{Action, DeviceDirective};
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::WINDOWS_MAX;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;

use super::State;
use super::fleet::Gateway;
use super::rollout::spec::ConsentRule;
use super::rollout::{Deployment, DeviceProgress, Status};

/// How long a directive holds; agents start nothing new on an older one.
pub(crate) const LIFETIME_MS: u64 = 24 * 3_600_000;
/// A directive is renewed when less than this is left.
const RENEW_MS: u64 = LIFETIME_MS / 2;

/// The wishes for the devices of one gateway.
pub(crate) fn compose(state: &State, gateway: &GatewayId, now: UtcMillis) -> Vec<DeviceDirective> {
    let wish = |id: DeviceId| {
        let (deployment_id, deployment) = state.latest_deployment(&id)?;
        let progress = deployment.devices.get(&id).filter(|p| deployment.is_open(p.phase))?;
        let action = action(state, &id, deployment, progress, now)?;
        let security_floor = state.devices.get(&id).map_or(0, |d| d.security_floor);
        Some(DeviceDirective {
            deployment: deployment_id.clone(),
            phase: progress.phase,
            action,
            security_floor,
            device: id,
        })
    };
    state.devices_of(gateway).into_iter().filter_map(wish).collect()
}

fn action(
    state: &State,
    id: &DeviceId,
    deployment: &Deployment,
    progress: &DeviceProgress,
    now: UtcMillis,
) -> Option<Action> {
    let manifest = deployment.plan.manifest;
    if progress.ordered_back.is_some() {
        return Some(Action::Rollback { manifest });
    }
    let confirmed = progress.state == Some(InstallState::Confirmed);
    match deployment.status {
        Status::RollingBack { .. } | Status::RolledBack { .. } => Some(Action::Rollback { manifest }),
        // Who is done stays; whoever was half-way goes back; the others were never asked.
        Status::Aborting { .. } | Status::Aborted { .. } if confirmed => Some(Action::Install { manifest }),
        Status::Aborting { .. } | Status::Aborted { .. } => Some(Action::Rollback { manifest }),
        Status::Planned | Status::Superseded { .. } => None,
        Status::Paused { .. } => Some(Action::Hold { manifest }),
        Status::Running | Status::Completed => {
            let hospital_id = &state.devices.get(id)?.hospital;
            let hospital = state.hospitals.get(hospital_id)?;
            let spec = &deployment.plan.spec;
            let asked = hospital.consent_required || spec.consent == ConsentRule::Every;
            if asked && deployment.hospitals.get(hospital_id).is_none_or(|p| p.consent.is_none()) {
                return Some(Action::Hold { manifest });
            }
            let until = now.plus_ms(LIFETIME_MS);
            Some(match spec.spans_of(hospital_id, &hospital.windows, now, until, WINDOWS_MAX) {
                // Confirmed devices are in no window's way: their entry stays the same from week to week.
                Some((windows, finish)) if !confirmed => Action::InstallWithin { manifest, windows, finish },
                Some(_) | None => Action::Install { manifest },
            })
        }
    }
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

/// Whether the gateway's directive is to be renewed.
pub(crate) fn runs_out(gateway: &Gateway, now: UtcMillis) -> bool {
    gateway.directive.as_ref().is_none_or(|d| now.plus_ms(RENEW_MS) >= d.expires_at)
}
