//! Reasons to stop at any time: a critical error, more failed devices than a gate allows, the first failure where one is enough.

use super::spec::OnSilence;
use super::{Deployment, FirstFailure, Phase, PhaseSpec, PhaseStatus};

/// What a reason calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    RollBack(String),
    Hold(String),
}

/// Devices of a phase that failed, as far as that is known at any time.
fn failed(deployment: &Deployment, phase: &Phase) -> u32 {
    let tally = &phase.tally;
    match deployment.plan.spec.on_silence {
        OnSilence::Hold => tally.failed + tally.silent_on_trial,
        OnSilence::Fail => tally.failed + tally.silent,
    }
}

/// Why the phase's failures are too many; none if they are not.
fn over_the_gate(deployment: &Deployment, i: u32, spec: &PhaseSpec, phase: &Phase) -> Option<String> {
    let (failed, devices) = (failed(deployment, phase), phase.tally.counted());
    let name = format!("phase {} ({})", i + 1, spec.name);
    if let Some(max) = spec.max_errors {
        return (failed > max).then(|| format!("{name}: {failed} of {devices} devices failed, at most {max} may"));
    }
    let rate = 100.0 * f64::from(failed) / f64::from(devices.max(1));
    let limit = spec.max_error_rate_percent;
    (rate > limit)
        .then(|| format!("{name}: {failed} of {devices} devices failed, {rate:.3} % is over the gate of {limit} %"))
}

/// The reason to stop now, if there is one.
pub(super) fn next(deployment: &Deployment) -> Option<Reaction> {
    let watched = || deployment.opened().filter(|(_, _, p)| !matches!(p.status, PhaseStatus::OrderedBack { .. }));
    if watched().any(|(_, _, phase)| phase.tally.critical > 0) {
        let found = deployment
            .devices
            .iter()
            .filter(|(_, p)| deployment.is_open(p.phase) && p.ordered_back.is_none())
            .find_map(|(id, p)| Some((id, p.critical.as_ref()?)));
        if let Some((device, text)) = found {
            return Some(Reaction::RollBack(format!("critical error on {device}: {text}")));
        }
    }
    let all: u32 = watched().map(|(_, _, phase)| failed(deployment, phase)).sum();
    match deployment.plan.first_failure {
        FirstFailure::ByGate => {
            watched().find_map(|(i, spec, phase)| over_the_gate(deployment, i, spec, phase)).map(Reaction::RollBack)
        }
        FirstFailure::RollBack => {
            (all > 0).then(|| Reaction::RollBack(format!("{all} devices failed; the first failure ends this deployment")))
        }
        FirstFailure::Hold => (all > deployment.accepted_failures).then(|| {
            Reaction::Hold(format!(
                "{all} devices failed and went back by themselves; the release closes a security hole, so the others wait \
                 for a decision: resume or roll back"
            ))
        }),
    }
}
