//! What each gateway shall do, composed from the state alone.

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, DeviceDirective};
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::limits::WINDOWS_MAX;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;

use super::State;
use super::fleet::Gateway;
use super::rollout::spec::ConsentRule;
use super::rollout::{Asked, Deployment, DeviceProgress, Status};

/// How long a directive holds; agents start nothing new on an older one.
pub const LIFETIME_MS: u64 = 24 * 3_600_000;
/// A directive is renewed when less than this is left.
const RENEW_MS: u64 = LIFETIME_MS / 2;
/// Renewals of a fleet that was directed at once are spread over so long.
const SPREAD_MS: u64 = LIFETIME_MS / 4;

/// The desired state of the devices of one gateway.
pub fn compose(state: &State, gateway: &GatewayId, now: UtcMillis) -> Vec<DeviceDirective> {
    let desired = |id: DeviceId| {
        let (deployment_id, deployment, progress) = asking(state, &id)?;
        let action = action(state, &id, deployment, progress, now)?;
        let is_held = state.devices.get(&id).is_some_and(|d| d.held_on_site.is_some());
        let action = match action {
            // Its gateway has forgotten that it went back, and prepares the release again.
            Action::Install { manifest } | Action::InstallWithin { manifest, .. } | Action::Hold { manifest }
                if progress.has_gone_back && is_preparing(progress) =>
            {
                Action::Rollback { manifest }
            }
            action if is_held || progress.has_gone_back => without_activation(action),
            action => action,
        };
        let security_floor = state.devices.get(&id).map_or(0, |d| d.security_floor);
        Some(DeviceDirective {
            deployment: deployment_id.clone(),
            phase: progress.phase,
            action,
            security_floor,
            device: id,
        })
    };
    state.devices_of(gateway).into_iter().filter_map(desired).collect()
}

/// The deployment that asks for something of the device: its newest one. Until that has opened the device's phase, a superseded one that may have begun
/// on the device is called back: nobody would watch over a device whose gateway has lost what it knew of it.
fn asking<'a>(state: &'a State, id: &DeviceId) -> Option<(&'a DeploymentId, &'a Deployment, &'a DeviceProgress)> {
    let open = |id: &DeviceId, deployment: &'a Deployment| {
        deployment.devices.get(id).filter(|progress| deployment.is_open(progress.phase))
    };
    let (newest_id, newest) = state.latest_deployment(id)?;
    if let Some(progress) = open(id, newest) {
        return Some((newest_id, newest, progress));
    }
    let (before_id, before) = state.deployments.get_key_value(state.devices.get(id)?.moved_by.as_ref()?)?;
    let progress = open(id, before).filter(|_| matches!(before.status, Status::Superseded { .. }))?;
    Some((before_id, before, progress))
}

/// Whether the release may have been begun on the device, as far as its gateway has said, and may not have been activated.
fn may_have_begun(progress: &DeviceProgress) -> bool {
    is_preparing(progress) || (progress.state.is_none() && progress.asked != Asked::No)
}

/// Whether the device's gateway says that the release is on its way to the inactive slot, or there.
fn is_preparing(progress: &DeviceProgress) -> bool {
    use InstallState as S;
    matches!(progress.state, Some(S::Fetching | S::Verified | S::Staging | S::Staged))
}

/// The same for a device that may not be activated: its gateway may have lost what people decided on it.
fn without_activation(action: Action) -> Action {
    match action {
        Action::Install { manifest } | Action::InstallWithin { manifest, .. } => Action::Hold { manifest },
        Action::Hold { .. } | Action::Rollback { .. } => action,
    }
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
        Status::Superseded { .. } if may_have_begun(progress) => Some(Action::Rollback { manifest }),
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

/// The manifest that an action is about.
fn manifest_of(action: &Action) -> Digest {
    match action {
        Action::Install { manifest }
        | Action::Hold { manifest }
        | Action::Rollback { manifest }
        | Action::InstallWithin { manifest, .. } => *manifest,
    }
}

/// Whether the gateway's newest directive names this release: its evidence is the gateway's business, and nobody else's.
pub fn names(state: &State, gateway: &GatewayId, manifest: Digest) -> bool {
    state.directed(gateway).iter().any(|d| manifest_of(&d.action) == manifest)
}

/// Whether the gateway's newest directive leads to these bytes: the image of a release that it is to install, or a patch to it.
pub fn leads_to(state: &State, gateway: &GatewayId, sha256: Digest) -> bool {
    let is_wanted = |a: &Action| !matches!(a, Action::Rollback { .. });
    let directives = state.directed(gateway).iter();
    let mut manifests = directives.filter(|d| is_wanted(&d.action)).map(|d| manifest_of(&d.action));
    manifests.any(|digest| {
        let mut attached = state.firmware.values().filter_map(|f| f.manifest.as_ref()).filter(|m| m.digest == digest);
        attached.any(|m| m.manifest.sha256 == sha256 || m.manifest.deltas.iter().any(|d| d.sha256 == sha256))
    })
}

/// Whether the gateway needs a new directive: its desired state changed, the last one runs out, or it enrolled again.
pub fn is_due(state: &State, gateway: &GatewayId, desired: &[DeviceDirective], now: UtcMillis) -> bool {
    let Some(held) = state.gateways.get(gateway) else { return false };
    match (&held.directive, state.desired_devices.get(gateway)) {
        (Some(issued), Some(current)) => {
            current != desired || runs_out(gateway, held, now) || issued.serial < held.serial_seen
        }
        _ => true,
    }
}

/// Whether the gateway's directive is to be renewed: when half of its life is left, or up to a quarter of its life sooner, each
/// gateway by its name, so that thousands directed in one minute are not renewed in one minute.
pub fn runs_out(id: &GatewayId, gateway: &Gateway, now: UtcMillis) -> bool {
    gateway.directive.as_ref().is_none_or(|d| now.plus_ms(RENEW_MS + spread_ms(id)) >= d.expires_at)
}

/// A share of [`SPREAD_MS`] that a gateway's name alone decides (FNV-1a, Fowler et al.), the same in every replay.
fn spread_ms(id: &GatewayId) -> u64 {
    let hash = id
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash % SPREAD_MS
}

impl State {
    /// What the newest directive of a gateway says of its devices; empty without one.
    pub(crate) fn directed(&self, gateway: &GatewayId) -> &[DeviceDirective] {
        self.desired_devices.get(gateway).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_of_a_fleet_are_spread_over_hours() {
        let mut per_hour = [0_u32; 6];
        for n in 0..6_000 {
            let hour = spread_ms(&format!("GW-{n}").parse().expect("a good id")) / 3_600_000;
            per_hour[usize::try_from(hour).expect("small")] += 1;
        }
        assert!(per_hour.iter().all(|n| (800..1_200).contains(n)), "{per_hour:?}");
    }
}
