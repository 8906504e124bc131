//! What an order would lead to, before it is given: the deployment's own rules, asked about a copy of it.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId};
use mdfm_shared::time::UtcMillis;

use super::super::{Event, Proposal, Refusal, State};
use super::{Change, Deployment, Status, step};

/// Changes that are followed; a deployment settles within a few.
const STEPS_MAX: usize = 32;

/// What follows from an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Devices that the order itself sends back.
    pub ordered: BTreeSet<DeviceId>,
    /// All devices of opened phases that go back in the end, by hospital.
    pub back: BTreeMap<HospitalId, BTreeSet<DeviceId>>,
    /// How the deployment reacts, in its own words: `deployment.rollback`, `deployment.contain` or `deployment.pause`, and why.
    pub reactions: Vec<(&'static str, String)>,
}

impl Foreseen {
    /// Whether the deployment's own rules send back more than the order names.
    pub fn is_escalated(&self) -> bool {
        self.reactions.iter().any(|(action, _)| ["deployment.rollback", "deployment.contain"].contains(action))
    }
}

fn going_back(state: &State, deployment: &Deployment) -> BTreeMap<HospitalId, BTreeSet<DeviceId>> {
    let everything = matches!(deployment.status, Status::RollingBack { .. } | Status::RolledBack { .. });
    let mut back: BTreeMap<HospitalId, BTreeSet<DeviceId>> = BTreeMap::new();
    for (id, progress) in &deployment.devices {
        let is_back = progress.ordered_back.is_some() || (everything && deployment.is_open(progress.phase));
        if let Some(device) = state.devices.get(id).filter(|_| is_back) {
            back.entry(device.hospital.clone()).or_default().insert(id.clone());
        }
    }
    back
}

/// Follows `proposals` about one deployment until it reacts no more; nothing is changed.
///
/// # Errors
/// There is no such deployment.
pub fn foresee(state: &State, now: UtcMillis, id: &DeploymentId, proposals: &[Proposal]) -> Result<Foreseen, Refusal> {
    let mut deployment = state.need_deployment(id)?.clone();
    let hospital_of = |device: &DeviceId| state.devices.get(device).map(|d| d.hospital.clone());
    let before: BTreeSet<DeviceId> = going_back(state, &deployment).into_values().flatten().collect();
    for proposal in proposals {
        if let Event::DeploymentChanged { deployment: of, change } = &proposal.event
            && of == id
        {
            deployment.apply(now, change, &hospital_of);
        }
    }
    let ordered = going_back(state, &deployment).into_values().flatten().filter(|d| !before.contains(d)).collect();
    let mut reactions = Vec::new();
    for _ in 0..STEPS_MAX {
        let Some((action, change, reason)) = step::reaction(state, &deployment, now) else { break };
        let is_last = match &change {
            Change::RollbackStarted { .. } => true,
            Change::Contained { .. } | Change::Paused { .. } | Change::DutyOpened { .. } => false,
            // It goes on as without the order.
            _ => break,
        };
        if !matches!(change, Change::DutyOpened { .. }) {
            reactions.push((action, reason));
        }
        deployment.apply(now, &change, &hospital_of);
        if is_last {
            break;
        }
    }
    Ok(Foreseen { ordered, back: going_back(state, &deployment), reactions })
}
