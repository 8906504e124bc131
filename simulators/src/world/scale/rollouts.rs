//! The rollout engine at the size of a whole vendor: the same state, planner and engine, without signatures, log and network, so
//! that a million devices fit one processor. Devices report as the world says.

use mdfm_coordinator_core::rollout::request::DeploymentJson;
use mdfm_coordinator_core::rollout::{self, plan};
use mdfm_coordinator_core::{Event, Proposal, State, decide, desk, directive};
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Action;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::record::{Actor, AuditRecord, Outcome};
use mdfm_shared::telemetry::{Event as Reported, EventKind, FAULTS_COUNTED, FirmwareReport, InstallState};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Role;

use super::super::act::{Act, commands, person};
use super::super::coordinator::{Broken, awaits, status};

/// What a device's gateway says of it.
#[derive(Debug, Clone)]
pub(super) struct StatusEvent<'a> {
    /// Which device.
    pub(super) device: &'a DeviceId,
    /// Its gateway.
    pub(super) gateway: &'a GatewayId,
    /// What it is now.
    pub(super) state: InstallState,
    /// The deployment that it is about.
    pub(super) deployment: &'a DeploymentId,
    /// The release that it is about.
    pub(super) manifest: Digest,
    /// What runs, where that changed.
    pub(super) running: Option<FirmwareReport>,
}

/// State and engine.
#[derive(Default)]
pub(super) struct Rollouts {
    state: State,
}

impl Rollouts {
    /// The state that everything so far led to.
    pub(super) fn into_state(self) -> State {
        self.state
    }

    fn record(&mut self, now: UtcMillis, actor: &Actor, proposal: Proposal) -> Result<(), Broken> {
        let event = serde_json::to_value(&proposal.event).map_err(|e| Broken(e.to_string()))?;
        let record = AuditRecord {
            reason: proposal.reason,
            event: Some(event),
            document: proposal.document,
            ..AuditRecord::new(now, actor, proposal.action, &proposal.object, Outcome::Accepted)
        };
        self.state.apply(&record).map_err(|e| Broken(e.to_string()))
    }

    /// Somebody asks for something.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn act(&mut self, now: UtcMillis, actor: &str, act: Act) -> Result<(), Broken> {
        let actor = person(actor);
        for command in commands(&self.state, now, act).map_err(|e| Broken(e.to_string()))? {
            for proposal in decide(&self.state, now, &actor, &command).map_err(|e| Broken(e.to_string()))? {
                self.record(now, &actor, proposal)?;
            }
        }
        Ok(())
    }

    /// Plans a deployment written in the API's JSON and gives the number of its devices; nothing is made.
    ///
    /// # Errors
    /// The plan is refused.
    pub(super) fn plan(&self, now: UtcMillis, json: &str) -> Result<u32, Broken> {
        let json: DeploymentJson = serde_json::from_str(json).map_err(|e| Broken(e.to_string()))?;
        let request = json.parse(None).map_err(|e| Broken(e.to_string()))?;
        let id = "dry-run".parse().map_err(|e: mdfm_shared::id::IdError| Broken(e.to_string()))?;
        let draft = plan::draft(&self.state, now, &person("operator"), &id, &request);
        draft.map(|d| d.new.members).map_err(|e| Broken(e.to_string()))
    }

    /// Applies one status event and lets the engine look. Gives the phases that opened.
    ///
    /// # Errors
    /// A defect of the core.
    pub(super) fn status(&mut self, now: UtcMillis, event: StatusEvent<'_>) -> Result<Vec<u32>, Broken> {
        let kind = EventKind::StateChanged {
            state: event.state,
            manifest: event.manifest,
            deployment: event.deployment.clone(),
            running: event.running,
            detail: FAULTS_COUNTED.into(),
        };
        let reported = Reported { device: Some(event.device.clone()), at: now, kind };
        self.state.apply_report(now, event.gateway, &reported);
        self.advance(now)
    }

    /// Lets the engine do what is due. Gives the phases that opened.
    ///
    /// # Errors
    /// A defect of the core.
    pub(super) fn advance(&mut self, now: UtcMillis) -> Result<Vec<u32>, Broken> {
        let mut opened = Vec::new();
        loop {
            let proposals = rollout::step::step(&self.state, now);
            if proposals.is_empty() {
                return Ok(opened);
            }
            for proposal in proposals {
                if let Event::DeploymentChanged { change: rollout::Change::PhaseOpened { phase }, .. } = &proposal.event
                {
                    opened.push(*phase);
                }
                self.record(now, &desk::system(), proposal)?;
            }
        }
    }

    /// When [`Self::advance`] has something to do without any event.
    pub(super) fn deadline(&self) -> Option<UtcMillis> {
        rollout::step::deadline(&self.state).map(|(at, _)| at)
    }

    /// The devices of a gateway that its directive would tell to install.
    pub(super) fn told_to_install(&self, now: UtcMillis, gateway: &GatewayId) -> Vec<DeviceId> {
        directive::compose(&self.state, gateway, now)
            .into_iter()
            .filter(|d| matches!(d.action, Action::Install { .. }))
            .map(|d| d.device)
            .collect()
    }

    /// The deployment's status in one word, its phase, and who must sign now.
    pub(super) fn standing(&self, id: &DeploymentId) -> Option<(&'static str, u32, Option<Role>)> {
        let deployment = self.state.deployments.get(id)?;
        Some((status(deployment).0, deployment.current, awaits(deployment)))
    }

    /// Each gate as it was judged last, in words.
    pub(super) fn gates(&self, id: &DeploymentId) -> Vec<String> {
        let phases = self.state.deployments.get(id).map(|d| &d.phases);
        phases.into_iter().flatten().filter_map(|p| p.gate.as_ref()).map(|g| g.explanation.clone()).collect()
    }
}
