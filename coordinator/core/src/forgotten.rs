//! Installations of which no state reached the log before their gateway lost its own (FLD-6, FLD-8): the machine was replaced, its disk was
//! put back, or another gateway serves the device now. Such a device may have booted the release, on trial and unwatched.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, DeviceDirective};
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::telemetry::{InstallState, OVERTAKEN};
use mdfm_shared::time::UtcMillis;

use super::State;
use super::fleet::{Device, Install};
use super::rollout::{Asked, Deployment};

impl State {
    /// A directive was issued. What it asks to install may begin from now on; a device that was asked by another gateway before may have begun
    /// there.
    pub(super) fn note_asked(&mut self, at: UtcMillis, before: &[DeviceDirective], gateway: &GatewayId) {
        let known: BTreeSet<(&DeviceId, &DeploymentId)> = before.iter().map(|d| (&d.device, &d.deployment)).collect();
        let mut changed = Vec::new();
        for directive in self.directed(gateway) {
            let Some(asked) = self.asked(directive) else { continue };
            let is_known = known.contains(&(&directive.device, &directive.deployment));
            let installs = matches!(directive.action, Action::Install { .. } | Action::InstallWithin { .. });
            let next = match asked {
                Asked::Yes if !is_known && !self.is_away(&directive.device) => Asked::Lost,
                Asked::No if installs => Asked::Yes,
                Asked::No | Asked::Yes | Asked::Lost => continue,
            };
            changed.push((directive.deployment.clone(), directive.device.clone(), next));
        }
        self.set_asked(at, changed);
    }

    /// A gateway begins again without what it had not reported: its devices may be further than the log says.
    pub(super) fn note_lost(&mut self, at: UtcMillis, gateway: &GatewayId) {
        let directives = self.directed(gateway).iter();
        let lost = directives
            .filter(|directive| self.asked(directive) == Some(Asked::Yes) && !self.is_away(&directive.device));
        let lost =
            lost.map(|directive| (directive.deployment.clone(), directive.device.clone(), Asked::Lost)).collect();
        self.set_asked(at, lost);
    }

    fn asked(&self, directive: &DeviceDirective) -> Option<Asked> {
        let progress = self.deployments.get(&directive.deployment)?.devices.get(&directive.device)?;
        progress.state.is_none().then_some(progress.asked)
    }

    fn set_asked(&mut self, at: UtcMillis, changed: Vec<(DeploymentId, DeviceId, Asked)>) {
        for (deployment, device, asked) in changed {
            if let Some(held) = self.deployments.get_mut(&deployment) {
                held.set_asked(at, &device, asked);
            }
        }
    }

    /// Whether every gateway that knows the device said last that it is switched off or gone: it has begun nothing.
    fn is_away(&self, device: &DeviceId) -> bool {
        let mut claims = self.inventory.claims_on(device).peekable();
        claims.peek().is_some() && claims.all(|(_, claim)| !claim.observed.present)
    }

    /// What is known of a device of which its gateway knows nothing any more; `None` if that is known better, or if it never began. One that
    /// needs manual intervention since an earlier deployment needs it still.
    pub(super) fn state_of_unseen(&self, device: &DeviceId, deployment: &DeploymentId) -> Option<InstallState> {
        let progress = self.deployments.get(deployment)?.devices.get(device)?;
        let may_run = match progress.state {
            Some(state) => !state.is_settled(),
            None => {
                let held = self.devices.get(device);
                progress.asked == Asked::Lost || held.is_some_and(|d| d.install.as_ref().is_some_and(Install::is_stuck))
            }
        };
        may_run.then_some(InstallState::RollbackFailed)
    }
}

impl Install {
    /// Whether the device may run the release on trial: it is under way, or needs manual intervention.
    fn is_stuck(&self) -> bool {
        !self.state.is_settled() || self.state == InstallState::RollbackFailed
    }
}

impl Device {
    /// The manifest of another release than this that the device may run on trial.
    pub(super) fn stuck_on_another(&self, manifest: &Digest) -> Option<Digest> {
        let install = self.install.as_ref().filter(|install| install.manifest != *manifest && install.is_stuck())?;
        Some(install.manifest)
    }
}

/// Whether the device had the order to boot the release.
pub(super) fn has_booted(state: InstallState) -> bool {
    state == InstallState::Activating || state.has_run()
}

/// Whether a report speaks of what the device has left behind: a copy of its gateway made it, or an older state of that. The device has
/// booted the release of a later deployment, and here its installation has ended.
pub(super) fn is_left_behind(
    deployments: &BTreeMap<DeploymentId, Deployment>,
    (id, device): (&DeviceId, &Device),
    deployment: &DeploymentId,
    state: InstallState,
) -> bool {
    let known = |d: &DeploymentId| deployments.get(d).and_then(|d| d.devices.get(id)).and_then(|p| p.state);
    let newest = device.deployment.as_ref().filter(|newest| *newest != deployment);
    !state.is_settled()
        && newest.and_then(known).is_some_and(has_booted)
        && known(deployment).is_some_and(InstallState::is_settled)
}

impl Deployment {
    /// A device has booted the release of a later deployment. If how it ended here was lost with its gateway's state, nothing more comes.
    pub(super) fn leave_behind(&mut self, at: UtcMillis, device: &DeviceId) {
        let is_open = self.devices.get(device).is_some_and(|p| p.state.is_some_and(|state| !state.is_settled()));
        if let Some(state) = self.state_of_overtaken(device, true).filter(|_| is_open) {
            self.report_state(at, device, state, OVERTAKEN);
        }
    }

    /// A device that was on its way in this deployment is lost: nobody watches it.
    pub(super) fn lose(&mut self, at: UtcMillis, device: &DeviceId, detail: &str) {
        if self.devices.get(device).is_some_and(|p| p.state.is_some_and(|state| !state.is_settled())) {
            self.report_state(at, device, InstallState::RollbackFailed, detail);
        }
    }
}
