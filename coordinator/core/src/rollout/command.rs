//! Requests of people about a running deployment.

use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId};
use mdfm_shared::record::{Actor, document_text, person};
use mdfm_shared::sign::{KeySet, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Validation;

use super::super::{Event, Heard, Proposal, Refusal, State, authority, firmware, people};
use super::duty::Fulfilment;
use super::{
    Change, Consent, Deployment, GivenValidation, OrderedBack, PhaseStatus, Scope, Status, evidence, gate, sight,
};

fn changed(action: &'static str, deployment: &DeploymentId, change: Change) -> Proposal {
    let event = Event::DeploymentChanged { deployment: deployment.clone(), change };
    Proposal::new(action, format!("deployment/{deployment}"), event)
}

fn wrong_step(deployment: &DeploymentId, status: &Status, asked: &str) -> Refusal {
    // By its name alone: the reason may name devices that the reader does not see.
    let name = status.words();
    Refusal::conflict("wrong-step", format!("deployment {deployment} is {name} and cannot be {asked}"))
}

/// A signature that lets the current phase pass.
pub fn validate(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &DeploymentId,
    signed: &Signed<Validation>,
) -> Result<Vec<Proposal>, Refusal> {
    let deployment = state.need_deployment(id)?;
    let refuse = |e: &dyn std::fmt::Display| Refusal::document("validation-refused", e);
    let claimed = signed.decode_unverified().map_err(|e| refuse(&e))?;
    let (roster, signed_at) = (state.need_roster()?, (claimed.at, state.log_size));
    let entry = roster
        .entry_for(&claimed.user, claimed.role, signed.signatures(), &claimed.printed_name, signed_at)
        .filter(|e| e.is_valid(claimed.at, state.log_size))
        .ok_or_else(|| refuse(&format!("{} is not on the roster as {}", claimed.user, claimed.role)))?;
    let validation = signed.verify(&KeySet::single(entry.key.clone())).map_err(|e| refuse(&e))?;
    if validation.user.as_str() != actor.id {
        let detail = format!("{} is signed in, the validation is by {}", actor.id, validation.user);
        return Err(Refusal::forbidden("not-the-signer", detail));
    }
    people::may_sign(state, now, person(&actor.id))?;
    authority::need_current(state, now, signed, |e| e.user == validation.user && e.roles.contains(&validation.role))?;
    if deployment.status != Status::Running {
        return Err(wrong_step(id, &deployment.status, "validated"));
    }
    let phase = deployment.current;
    let (spec, held) = (&deployment.plan.spec.phases[phase as usize], &deployment.phases[phase as usize]);
    let Some(needed) = spec.validation else {
        let detail = format!("phase {} ({}) asks for nobody's signature", phase + 1, spec.name);
        return Err(Refusal::conflict("gate-not-open", detail));
    };
    for (what, found, expected) in [
        ("deployment", validation.deployment.to_string(), id.to_string()),
        ("manifest", validation.manifest.to_string(), deployment.plan.manifest.to_string()),
        ("phase", validation.phase.to_string(), phase.to_string()),
        ("role", validation.role.to_string(), needed.to_string()),
        ("printed name", validation.printed_name.clone(), entry.printed_name.clone()),
    ] {
        if found != expected {
            return Err(refuse(&format!("the signature names {what} {found:?}, needed is {expected:?}")));
        }
    }
    let PhaseStatus::AwaitingValidation { since } = held.status else {
        let detail = format!("phase {} ({}) is {}", phase + 1, spec.name, held.status.words());
        return Err(Refusal::conflict("gate-not-open", format!("{detail}; it is signed after its gate has held")));
    };
    validation.evidence.map_or(Ok(()), |shown| evidence::check(id, deployment, shown))?;
    if held.tally.left > 0 && gate::runs_nowhere(&held.tally) {
        // Exchanged or flashed by hand since the gate held. Devices that were ordered back since leave what the gate showed as it was.
        let detail = format!("phase {} ({}): no device runs the release any more", phase + 1, spec.name);
        return Err(Refusal::conflict(
            "gate-not-open",
            format!("{detail}; the devices' differences say what they run"),
        ));
    }
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

pub fn pause(state: &State, actor: &Actor, id: &DeploymentId, reason: &str) -> Result<Vec<Proposal>, Refusal> {
    match &state.need_deployment(id)?.status {
        Status::Running => {
            let change = Change::Paused { reason: sight::ordered_by(&actor.id, reason) };
            Ok(vec![changed("deployment.pause", id, change).because(reason)])
        }
        status => Err(wrong_step(id, status, "paused")),
    }
}

pub fn resume(state: &State, now: UtcMillis, id: &DeploymentId, reason: &str) -> Result<Vec<Proposal>, Refusal> {
    let deployment = state.need_deployment(id)?;
    match &deployment.status {
        Status::Paused { .. } => {
            firmware::approvals_stand(state, &deployment.plan.firmware)?;
            firmware::may_start(state, now, &deployment.plan.firmware)?;
            authority::need_fresh(state, now)?;
            Ok(vec![changed("deployment.resume", id, Change::Resumed).because(reason)])
        }
        status => Err(wrong_step(id, status, "resumed")),
    }
}

/// Ends a deployment: what is in flight goes back, what is done stays.
pub fn abort(state: &State, actor: &Actor, id: &DeploymentId, reason: &str) -> Result<Vec<Proposal>, Refusal> {
    match &state.need_deployment(id)?.status {
        Status::Planned | Status::Running | Status::Paused { .. } => {
            let change = Change::Aborted { reason: sight::ordered_by(&actor.id, reason) };
            Ok(vec![changed("deployment.abort", id, change).because(reason)])
        }
        status => Err(wrong_step(id, status, "aborted")),
    }
}

/// The deployment, as far as the actor may know of it: staff of a hospital know of those that have devices of theirs.
fn need_seen<'a>(state: &'a State, actor: &Actor, id: &DeploymentId) -> Result<&'a Deployment, Refusal> {
    let deployment = state.need_deployment(id)?;
    let is_seen = sight::is_seen_by(deployment, state.hospital_of_user(&actor.id));
    if is_seen { Ok(deployment) } else { Err(Refusal::not_found("deployment", id)) }
}

/// Staff of a hospital decide about their own hospital alone.
fn check_reach(state: &State, actor: &Actor, hospital: Option<&HospitalId>) -> Result<(), Refusal> {
    let Some(own) = state.hospital_of_user(&actor.id) else { return Ok(()) };
    if hospital == Some(own) {
        return Ok(());
    }
    let detail = format!("{} belongs to {own} and decides for that hospital alone", actor.id);
    Err(Refusal::forbidden("other-hospital", detail))
}

/// Rolls back what `scope` reaches: by order of clinical staff, an operator, regulatory affairs or a hospital's own people.
pub fn roll_back(
    state: &State,
    actor: &Actor,
    id: &DeploymentId,
    scope: &Scope,
    cause: OrderedBack,
    reason: &str,
) -> Result<Vec<Proposal>, Refusal> {
    if cause == OrderedBack::Contained {
        return Err(Refusal::invalid("cause", "must be safety or operational"));
    }
    let deployment = need_seen(state, actor, id)?;
    let is_scoped = state.hospital_of_user(&actor.id).is_some();
    let hospital = match scope {
        Scope::Device { device } => {
            let is_own = check_reach(state, actor, state.devices.get(device).map(|d| &d.hospital)).is_ok();
            // To people of one hospital a device elsewhere is as if it were not there.
            if !deployment.devices.contains_key(device) || (is_scoped && !is_own) {
                return Err(Refusal::not_found("device in this deployment", device));
            }
            Some(&state.need_device(device)?.hospital)
        }
        Scope::Hospital { hospital } => {
            check_reach(state, actor, Some(hospital))?;
            if !deployment.hospitals.contains_key(hospital) {
                return Err(Refusal::not_found("hospital in this deployment", hospital));
            }
            Some(hospital)
        }
        Scope::Phase { phase } => {
            if !deployment.is_open(*phase) {
                let detail = format!("phase {} has not been opened", phase + 1);
                return Err(Refusal::conflict("wrong-step", detail));
            }
            None
        }
        Scope::Deployment => None,
    };
    check_reach(state, actor, hospital)?;
    match &deployment.status {
        Status::Running | Status::Paused { .. } => {}
        Status::Completed => {
            let newer = deployment.moved().find(|d| state.latest_deployment(d).is_some_and(|(latest, _)| latest != id));
            if let Some(device) = newer {
                let device = if is_scoped { "one".to_owned() } else { format!("device {device}") };
                let detail = format!("{device} has since moved to a newer deployment; roll that one back");
                return Err(Refusal::conflict("superseded", detail));
            }
            let is_reached = |device: &DeviceId, progress: &super::DeviceProgress| match scope {
                Scope::Device { device: meant } => device == meant,
                Scope::Hospital { hospital } => state.devices.get(device).is_some_and(|d| d.hospital == *hospital),
                Scope::Phase { phase } => progress.phase == *phase,
                Scope::Deployment => true,
            };
            if !deployment.devices.iter().any(|(device, p)| p.is_moved() && is_reached(device, p)) {
                let detail = format!(
                    "deployment {id} is complete, and none of these devices was changed by it: there is nothing to roll back"
                );
                return Err(Refusal::conflict("nothing-to-roll-back", detail));
            }
        }
        status => return Err(wrong_step(id, status, "rolled back")),
    }
    let reason = sight::ordered_by(&format!("{} ({})", actor.id, actor.roles.join(", ")), reason);
    if *scope == Scope::Deployment {
        let change = Change::RollbackStarted { reason: reason.clone() };
        return Ok(vec![changed("deployment.rollback", id, change).because(reason)]);
    }
    let change = Change::OrderedBack { scope: scope.clone(), cause };
    let mut proposals = vec![changed("deployment.rollback", id, change).because(reason.clone())];
    if matches!(scope, Scope::Phase { .. }) && deployment.status == Status::Running {
        let change = Change::Paused { reason: format!("{reason}; a phase was rolled back") };
        proposals.push(changed("deployment.pause", id, change).because("nothing follows a phase that was rolled back"));
    }
    Ok(proposals)
}

/// A hospital's staff agree that their devices are changed, or take it back. An operator may note what staff said elsewhere.
pub fn consent(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &DeploymentId,
    hospital: &HospitalId,
    given: bool,
    reason: &str,
) -> Result<Vec<Proposal>, Refusal> {
    let deployment = need_seen(state, actor, id)?;
    check_reach(state, actor, Some(hospital))?;
    let part = deployment
        .hospitals
        .get(hospital)
        .ok_or_else(|| Refusal::not_found("hospital in this deployment", hospital))?;
    if !deployment.is_active() {
        return Err(wrong_step(id, &deployment.status, "consented to"));
    }
    if given == part.consent.is_some() {
        let detail = if given { "has consented already" } else { "has not consented" };
        return Err(Refusal::conflict("wrong-step", format!("{hospital} {detail}")));
    }
    let (action, change) = if given {
        let consent = Consent { by: actor.id.clone(), reason: reason.to_owned(), at: now };
        ("deployment.consent", Change::ConsentGiven { hospital: hospital.clone(), consent })
    } else {
        ("deployment.consent.withdraw", Change::ConsentWithdrawn { hospital: hospital.clone() })
    };
    Ok(vec![changed(action, id, change).because(reason)])
}

/// What a hospital's staff said on a gateway of theirs at `said_at` on its clock, if it changes anything. It came signed by the
/// gateway, and late perhaps: consent from before somebody took it back is no consent.
pub fn consent_on_site(
    state: &State,
    said_at: UtcMillis,
    id: &DeploymentId,
    hospital: &HospitalId,
    given: bool,
    by: &str,
    reason: &str,
) -> Option<Proposal> {
    let deployment = state.deployments.get(id).filter(|d| d.is_active())?;
    let part = deployment.hospitals.get(hospital)?;
    let outdated = given && part.withdrawn_at.is_some_and(|at| said_at <= at);
    if outdated || part.consent.is_some() == given {
        return None;
    }
    let hospital = hospital.clone();
    let (action, change) = if given {
        let consent = Consent { by: by.to_owned(), reason: reason.to_owned(), at: said_at };
        ("deployment.consent", Change::ConsentGiven { hospital, consent })
    } else {
        ("deployment.consent.withdraw", Change::ConsentWithdrawn { hospital })
    };
    Some(changed(action, id, change).because(format!("{by}: {reason}")))
}

/// Somebody did what was owed.
pub fn fulfil(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &DeploymentId,
    duty: u32,
    reference: &str,
) -> Result<Vec<Proposal>, Refusal> {
    let deployment = state.need_deployment(id)?;
    let held = deployment.duties.get(duty as usize).ok_or_else(|| Refusal::not_found("duty", duty + 1))?;
    if let Some(done) = &held.fulfilled {
        let detail = format!("{} fulfilled it on {}", done.by, done.at);
        return Err(Refusal::conflict("wrong-step", detail));
    }
    let fulfilment = Fulfilment { by: actor.id.clone(), at: now, reference: reference.to_owned() };
    Ok(vec![changed("deployment.duty.fulfil", id, Change::DutyFulfilled { duty, fulfilment }).because(reference)])
}

/// A device of an opened phase that has not been heard of for too long, or is heard of again.
pub fn note_liveness(
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
