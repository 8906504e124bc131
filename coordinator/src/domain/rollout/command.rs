//! What people may wish of a running deployment.

use mdfm_shared::id::{DeploymentId, DeviceId};
use mdfm_shared::limits::TEXT_CHARS_MAX;
use mdfm_shared::record::{Actor, document_text};
use mdfm_shared::sign::{KeySet, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Validation;

use super::super::{Event, Heard, Proposal, Refusal, State};
use super::{Change, GivenValidation, PhaseStatus, Status};

fn changed(action: &'static str, deployment: &DeploymentId, change: Change) -> Proposal {
    let event = Event::DeploymentChanged { deployment: deployment.clone(), change };
    Proposal::new(action, format!("deployment/{deployment}"), event)
}

fn need_reason(reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() || reason.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::invalid("reason", format!("must be 1 to {TEXT_CHARS_MAX} characters")));
    }
    Ok(())
}

fn wrong_step(deployment: &DeploymentId, status: &Status, wish: &str) -> Refusal {
    Refusal::conflict("wrong-step", format!("deployment {deployment} is {status:?} and cannot be {wish}"))
}

/// A signature that lets the current phase pass.
pub(crate) fn validate(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &DeploymentId,
    signed: &Signed<Validation>,
) -> Result<Vec<Proposal>, Refusal> {
    let deployment = state.need_deployment(id)?;
    let refuse = |e: &dyn std::fmt::Display| Refusal::document("validation-refused", e);
    let claimed = signed.decode_unverified().map_err(|e| refuse(&e))?;
    let roster = state.need_roster()?;
    let entry = roster
        .entries_of(&claimed.user)
        .find(|e| e.roles.contains(&claimed.role) && e.is_valid(claimed.at, state.log_size))
        .ok_or_else(|| refuse(&format!("{} is not on the roster as {}", claimed.user, claimed.role)))?;
    let validation = signed.verify(&KeySet::single(entry.key.clone())).map_err(|e| refuse(&e))?;
    if validation.user.as_str() != actor.id {
        let detail = format!("{} is signed in, the validation is by {}", actor.id, validation.user);
        return Err(Refusal::forbidden("not-the-signer", detail));
    }
    if deployment.status != Status::Running {
        return Err(wrong_step(id, &deployment.status, "validated"));
    }
    let phase = deployment.current;
    let spec = &deployment.plan.phases[phase as usize];
    for (what, found, expected) in [
        ("deployment", validation.deployment.to_string(), id.to_string()),
        ("manifest", validation.manifest.to_string(), deployment.plan.manifest.to_string()),
        ("phase", validation.phase.to_string(), phase.to_string()),
        ("role", validation.role.to_string(), spec.validation.to_string()),
        ("printed name", validation.printed_name.clone(), entry.printed_name.clone()),
    ] {
        if found != expected {
            return Err(refuse(&format!("the signature names {what} {found:?}, needed is {expected:?}")));
        }
    }
    let PhaseStatus::AwaitingValidation { since } = deployment.phases[phase as usize] else {
        let detail = format!("phase {} ({}) is {:?}", phase + 1, spec.name, deployment.phases[phase as usize]);
        return Err(Refusal::conflict("gate-not-open", format!("{detail}; it is signed after its gate has held")));
    };
    if validation.at.plus_ms(5 * 60_000) < since || validation.at > now.plus_ms(5 * 60_000) {
        return Err(refuse(&format!("the signature is dated {}, not after the gate held ({since})", validation.at)));
    }
    let given = GivenValidation {
        user: validation.user.clone(),
        printed_name: validation.printed_name.clone(),
        role: validation.role,
        meaning: validation.meaning.clone(),
        reason: validation.reason.clone(),
        at: validation.at,
    };
    Ok(vec![
        changed("deployment.validate", id, Change::ValidationSigned { phase, validation: given })
            .because(validation.reason.clone())
            .with(document_text(signed)),
    ])
}

pub(crate) fn pause(state: &State, id: &DeploymentId, reason: &str) -> Result<Vec<Proposal>, Refusal> {
    need_reason(reason)?;
    match &state.need_deployment(id)?.status {
        Status::Running => Ok(vec![changed("deployment.pause", id, Change::Paused).because(reason)]),
        status => Err(wrong_step(id, status, "paused")),
    }
}

pub(crate) fn resume(state: &State, id: &DeploymentId, reason: &str) -> Result<Vec<Proposal>, Refusal> {
    need_reason(reason)?;
    match &state.need_deployment(id)?.status {
        Status::Paused => Ok(vec![changed("deployment.resume", id, Change::Resumed).because(reason)]),
        status => Err(wrong_step(id, status, "resumed")),
    }
}

/// Rolls back every opened phase: by order of clinical staff, an operator or regulatory affairs.
pub(crate) fn roll_back(
    state: &State,
    actor: &Actor,
    id: &DeploymentId,
    reason: &str,
) -> Result<Vec<Proposal>, Refusal> {
    need_reason(reason)?;
    let deployment = state.need_deployment(id)?;
    match &deployment.status {
        Status::Running | Status::Paused => {}
        Status::Completed => {
            let newer =
                deployment.devices.keys().find(|d| state.latest_deployment(d).is_some_and(|(latest, _)| latest != id));
            if let Some(device) = newer {
                let detail = format!("device {device} has since moved to a newer deployment; roll that one back");
                return Err(Refusal::conflict("superseded", detail));
            }
        }
        status @ (Status::RollingBack { .. } | Status::RolledBack { .. }) => {
            return Err(wrong_step(id, status, "rolled back"));
        }
    }
    let reason = format!("ordered by {} ({}): {reason}", actor.id, actor.roles.join(", "));
    let change = Change::RollbackStarted { reason: reason.clone() };
    Ok(vec![changed("deployment.rollback", id, change).because(reason)])
}

/// A device of an opened phase that has not been heard of for too long, or is heard of again.
pub(crate) fn note_liveness(
    state: &State,
    id: &DeploymentId,
    device: &DeviceId,
    last_seen: UtcMillis,
    heard: Heard,
) -> Result<Vec<Proposal>, Refusal> {
    let deployment = state.need_deployment(id)?;
    if !deployment.devices.contains_key(device) {
        return Err(Refusal::not_found("device in this deployment", device));
    }
    let (action, change, reason) = match heard {
        Heard::Silent => (
            "device.silent",
            Change::DeviceSilent { device: device.clone(), last_seen },
            "a silent device counts as failed",
        ),
        Heard::Again => (
            "device.returned",
            Change::DeviceReturned { device: device.clone() },
            "the device's gateway reports it again",
        ),
    };
    let event = Event::DeploymentChanged { deployment: id.clone(), change };
    Ok(vec![Proposal::new(action, format!("device/{device}"), event).because(reason)])
}
