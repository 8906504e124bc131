//! What a deployment does on its own: opens phases, watches, judges gates, stops, owes reports.

use mdfm_shared::id::{DeploymentId, DeviceId};
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;

use super::super::firmware;
use super::super::{Event, Proposal, State};
use super::trigger::{self, Origins, Reaction};
use super::{Change, Deployment, Origin, PhaseStatus, Status, duty, gate};

/// One thing to do: the action's name, the change, and why.
pub(super) type Next = (&'static str, Change, String);

/// The next changes of every deployment, at most one each; call again until there are none.
pub fn step(state: &State, now: UtcMillis) -> Vec<Proposal> {
    state
        .deployments
        .iter()
        .filter_map(|(id, d)| {
            let next = lost_approval(state, d).or_else(|| next(d, now, &|device| origin(state, device)))?;
            Some(proposal(id, next))
        })
        .collect()
}

/// What this deployment does next.
pub(super) fn reaction(state: &State, deployment: &Deployment, now: UtcMillis) -> Option<Next> {
    next(deployment, now, &|device| origin(state, device))
}

/// Who vouches for what is known of a device.
fn origin(state: &State, device: &DeviceId) -> Option<Origin> {
    let hospital = state.devices.get(device)?.hospital.clone();
    Some(Origin { hospital, gateway: state.gateway_of(device).cloned() })
}

/// When [`step`] will next have something to do without any input.
pub fn deadline(state: &State) -> Option<(UtcMillis, &'static str)> {
    let monitoring = |d: &Deployment| {
        let (spec, phase) = (d.plan.spec.phases.get(d.current as usize)?, d.phases.get(d.current as usize)?);
        match phase.status {
            PhaseStatus::Monitoring { since } if d.status == Status::Running && phase.gate.is_none() => {
                Some((since.plus_ms(spec.monitoring_ms), "monitoring time of a phase"))
            }
            _ => None,
        }
    };
    let report = |d: &Deployment| duty::deadline(d).map(|at| (at, "status report of a deployment"));
    state.deployments.values().flat_map(|d| [monitoring(d), report(d)]).flatten().min()
}

fn proposal(id: &DeploymentId, (action, change, reason): Next) -> Proposal {
    let event = Event::DeploymentChanged { deployment: id.clone(), change };
    Proposal::new(action, format!("deployment/{id}"), event).because(reason)
}

/// Approvers may be revoked while a deployment runs: without the approvals no agent would install, so nothing goes on.
fn lost_approval(state: &State, deployment: &Deployment) -> Option<Next> {
    if deployment.status != Status::Running {
        return None;
    }
    let reason = firmware::approvals_stand(state, &deployment.plan.firmware).err()?.detail;
    Some(("deployment.pause", Change::Paused { reason: reason.clone() }, reason))
}

fn next(deployment: &Deployment, now: UtcMillis, origins: Origins<'_>) -> Option<Next> {
    let own = match &deployment.status {
        // Its records come together with the deployment's; this one lost some of them in a crash, before anybody was answered.
        Status::Planned => {
            let reason = "its plan was not completely recorded; make it again".to_owned();
            Some(("deployment.abort", Change::Aborted { reason: reason.clone() }, reason))
        }
        Status::Running => stop(deployment, origins).or_else(|| advance(deployment, now)),
        // What is paused is held already.
        Status::Paused { .. } => stop(deployment, origins).filter(|(_, c, _)| !matches!(c, Change::Paused { .. })),
        Status::RollingBack { .. } => (deployment.sum(|t| t.away) == 0).then(|| {
            let (alarms, stays) = (deployment.sum(|t| t.alarms), deployment.sum(|t| t.stays));
            let reason = format!(
                "every device settled, {alarms} need manual intervention, {stays} stay on it until a rollback order: their recall window is over, or what they ran before is \
                 below their security floor"
            );
            ("deployment.rolled-back", Change::RolledBack, reason)
        }),
        Status::Aborting { .. } => (deployment.sum(|t| t.in_flight) == 0)
            .then(|| ("deployment.aborted", Change::AbortFinished, "no device is in flight".to_owned())),
        Status::RolledBack { .. } | Status::Aborted { .. } | Status::Superseded { .. } | Status::Completed => None,
    };
    // A duty that arose with a stop is noted before the stop is over.
    match own {
        Some(next @ (_, Change::RollbackStarted { .. } | Change::Contained { .. }, _)) => Some(next),
        own => duty::next(deployment, now).or(own),
    }
}

fn roll_back(reason: String) -> Next {
    ("deployment.rollback", Change::RollbackStarted { reason: reason.clone() }, reason)
}

fn stop(deployment: &Deployment, origins: Origins<'_>) -> Option<Next> {
    Some(match trigger::next(deployment, origins)? {
        Reaction::RollBack(reason) => roll_back(reason),
        Reaction::Hold(reason) => ("deployment.pause", Change::Paused { reason: reason.clone() }, reason),
        Reaction::Contain { hospital, source, device, fault } => {
            let reason = format!("{fault}; {hospital} goes back, everything else is held until a person decides");
            ("deployment.contain", Change::Contained { hospital, source, device, fault }, reason)
        }
    })
}

fn advance(deployment: &Deployment, now: UtcMillis) -> Option<Next> {
    let current = deployment.current;
    let (spec, phase) = (deployment.plan.spec.phases.get(current as usize)?, deployment.phases.get(current as usize)?);
    let name = format!("phase {} ({})", current + 1, spec.name);
    let tally = &phase.tally;
    match phase.status {
        PhaseStatus::Pending => {
            let reason = format!("{name} opens for {}", count(tally.devices, "device"));
            Some(("deployment.phase.open", Change::PhaseOpened { phase: current }, reason))
        }
        PhaseStatus::Deploying { .. } if tally.devices == 0 => {
            Some(("deployment.phase.pass", Change::PhasePassed { phase: current }, format!("{name} adds no device")))
        }
        // Nothing is left that could prove anything; somebody must decide what becomes of the rest.
        PhaseStatus::Deploying { .. } | PhaseStatus::Monitoring { .. } if tally.counted() == 0 => {
            let reason = match tally.left {
                0 => format!("every device of {name} was taken out of it: abort or roll back"),
                n => format!(
                    "every device of {name} was taken out of it, {n} of them exchanged or flashed by hand: abort or roll back"
                ),
            };
            Some(("deployment.pause", Change::Paused { reason: reason.clone() }, reason))
        }
        PhaseStatus::Deploying { .. } => gate::enough_settled(tally, spec).then(|| {
            let reason = format!("{name}: {} of {} settled", tally.accounted, count(tally.counted(), "device"));
            ("deployment.phase.monitor", Change::MonitoringStarted { phase: current }, reason)
        }),
        PhaseStatus::Monitoring { since } => {
            if now < since.plus_ms(spec.monitoring_ms) {
                return None;
            }
            let record = gate::evaluate(deployment, current, now)?;
            // A gate that does not hold is judged again when its figures change, not at every look.
            let known = phase.gate.as_ref().is_some_and(|g| g.explanation == record.explanation);
            let reason = format!("{name}: {}", record.explanation);
            (!known || record.passed).then_some(("deployment.gate", Change::GateEvaluated { record }, reason))
        }
        PhaseStatus::AwaitingValidation { .. } => {
            let reason = match (&spec.validation, &phase.validation) {
                (None, _) => format!("{name} passed its gate; nobody needs to sign"),
                (Some(_), Some(signed)) => format!("{name} validated by {} ({})", signed.printed_name, signed.role),
                (Some(_), None) => return None,
            };
            Some(("deployment.phase.pass", Change::PhasePassed { phase: current }, reason))
        }
        PhaseStatus::Passed { .. } => {
            let following = current + 1;
            if (following as usize) < deployment.phases.len() {
                let reason = format!("{name} passed, phase {} opens", following + 1);
                Some(("deployment.phase.open", Change::PhaseOpened { phase: following }, reason))
            } else {
                Some(("deployment.complete", Change::Completed, "every phase passed".into()))
            }
        }
        PhaseStatus::OrderedBack { .. } => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
