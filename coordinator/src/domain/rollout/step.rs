//! What a deployment does on its own: opens phases, watches, judges gates, rolls back.

use mdfm_shared::id::DeploymentId;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;

use super::super::{Event, Proposal, State};
use super::{Change, Deployment, PhaseStatus, Status, gate};

/// The next changes of every deployment, at most one each; call again until there are none.
pub(crate) fn step(state: &State, now: UtcMillis) -> Vec<Proposal> {
    state.deployments.iter().filter_map(|(id, d)| Some(proposal(id, next(d, now)?))).collect()
}

/// When [`step`] will next have something to do without any input.
pub(crate) fn deadline(state: &State) -> Option<(UtcMillis, &'static str)> {
    state
        .deployments
        .values()
        .filter(|d| d.status == Status::Running)
        .filter_map(|d| match d.phases.get(d.current as usize)? {
            PhaseStatus::Monitoring { since } if d.gates[d.current as usize].is_none() => {
                Some((since.plus_ms(d.plan.phases[d.current as usize].monitoring_ms), "monitoring time of a phase"))
            }
            _ => None,
        })
        .min()
}

fn proposal(id: &DeploymentId, (action, change, reason): (&'static str, Change, String)) -> Proposal {
    let event = Event::DeploymentChanged { deployment: id.clone(), change };
    Proposal::new(action, format!("deployment/{id}"), event).because(reason)
}

fn next(deployment: &Deployment, now: UtcMillis) -> Option<(&'static str, Change, String)> {
    match &deployment.status {
        Status::Running => trigger(deployment).or_else(|| advance(deployment, now)),
        Status::Paused => trigger(deployment),
        Status::RollingBack { .. } => {
            let back = deployment.opened().all(|(_, p)| match p.state {
                None => true,
                Some(state) => state.is_settled() && state != InstallState::Confirmed,
            });
            back.then(|| {
                let alarms = deployment.opened().filter(|(_, p)| p.state == Some(InstallState::RollbackFailed)).count();
                ("deployment.rolled-back", Change::RolledBack, format!("every device settled, {alarms} need hands"))
            })
        }
        Status::RolledBack { .. } | Status::Completed => None,
    }
}

/// Reasons to roll back at any time: a critical error, or more failed devices in an opened phase than its gate allows.
fn trigger(deployment: &Deployment) -> Option<(&'static str, Change, String)> {
    let roll_back =
        |reason: String| Some(("deployment.rollback", Change::RollbackStarted { reason: reason.clone() }, reason));
    if let Some((device, text)) = deployment.opened().find_map(|(id, p)| Some((id, p.critical.as_ref()?))) {
        return roll_back(format!("critical error on {device}: {text}"));
    }
    for (i, spec) in deployment.plan.phases.iter().enumerate() {
        let phase = u32::try_from(i).unwrap_or(u32::MAX);
        if !deployment.is_open(phase) {
            break;
        }
        let devices = deployment.in_phase(phase).count();
        let failed = deployment.in_phase(phase).filter(|p| p.has_failed()).count();
        let rate = 100.0 * failed as f64 / devices.max(1) as f64;
        if rate > spec.max_error_rate_percent {
            return roll_back(format!(
                "phase {} ({}): {failed} of {devices} devices failed, {rate:.3} % is over the gate of {} %",
                i + 1,
                spec.name,
                spec.max_error_rate_percent
            ));
        }
    }
    None
}

fn advance(deployment: &Deployment, now: UtcMillis) -> Option<(&'static str, Change, String)> {
    let phase = deployment.current;
    let spec = deployment.plan.phases.get(phase as usize)?;
    let name = format!("phase {} ({})", phase + 1, spec.name);
    let is_empty = deployment.in_phase(phase).next().is_none();
    match deployment.phases.get(phase as usize)? {
        PhaseStatus::Pending => {
            let hospitals = deployment.plan.plan.get(phase as usize).map_or(0, std::collections::BTreeSet::len);
            Some((
                "deployment.phase.open",
                Change::PhaseOpened { phase },
                format!("{name} opens for {hospitals} hospitals"),
            ))
        }
        PhaseStatus::Deploying { .. } if is_empty => {
            Some(("deployment.phase.pass", Change::PhasePassed { phase }, format!("{name} adds no hospital")))
        }
        PhaseStatus::Deploying { .. } => deployment.in_phase(phase).all(super::DeviceProgress::is_settled).then(|| {
            ("deployment.phase.monitor", Change::MonitoringStarted { phase }, format!("{name}: every device settled"))
        }),
        PhaseStatus::Monitoring { since } => {
            if now < since.plus_ms(spec.monitoring_ms) {
                return None;
            }
            let record = gate::evaluate(deployment, phase, now)?;
            // A gate that does not hold is judged again when its figures change, not at every look.
            let known = deployment.gates[phase as usize].as_ref().is_some_and(|g| g.explanation == record.explanation);
            let reason = format!("{name}: {}", record.explanation);
            (!known || record.passed).then_some(("deployment.gate", Change::GateEvaluated { record }, reason))
        }
        PhaseStatus::AwaitingValidation { .. } => {
            let signed = deployment.validations[phase as usize].as_ref()?;
            let reason = format!("{name} validated by {} ({})", signed.printed_name, signed.role);
            Some(("deployment.phase.pass", Change::PhasePassed { phase }, reason))
        }
        PhaseStatus::Passed { .. } => {
            let following = phase + 1;
            if (following as usize) < deployment.plan.phases.len() {
                let reason = format!("{name} passed, phase {} opens", following + 1);
                Some(("deployment.phase.open", Change::PhaseOpened { phase: following }, reason))
            } else {
                Some(("deployment.complete", Change::Completed, "every phase passed".into()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
