//! What people of one hospital may see of a deployment. The vendor's people see all of it.

use mdfm_shared::id::{DeviceId, HospitalId};

use super::super::State;
use super::tally::Tally;
use super::{Deployment, GivenValidation, Status};

/// What stands in place of a reason that was written for the vendor's people.
const UNSAID: &str = "the vendor's operations staff know the reason";

/// What is said of a fault in another hospital.
const ELSEWHERE: &str = "held after a fault in another hospital";

/// What is said of an order of a person, whose own words are for the vendor's people.
const ORDERED: &str = "ordered by the vendor's operations staff";

/// How the reason of a status begins that a person ordered.
const BY_ORDER: &str = "ordered by ";

/// The reason of a status that a person ordered: who, and why in their own words.
pub(super) fn ordered_by(who: &str, reason: &str) -> String {
    format!("{BY_ORDER}{who}: {reason}")
}

/// Whether a reader may know of a deployment: people of a hospital (`own`) if devices of theirs are part of it, everybody else of each.
pub fn is_seen_by(deployment: &Deployment, own: Option<&HospitalId>) -> bool {
    own.is_none_or(|own| deployment.hospitals.contains_key(own))
}

/// How many devices of a phase (from 0) are what, of those that a reader may know of: people of a hospital (`own`) of their own.
pub fn tally_for(state: &State, deployment: &Deployment, phase: u32, own: Option<&HospitalId>) -> Tally {
    let all = deployment.phases.get(phase as usize).map(|p| p.tally).unwrap_or_default();
    let Some(own) = own else { return all };
    let mut tally = Tally::default();
    let is_own = |device: &DeviceId| state.devices.get(device).is_some_and(|d| d.hospital == *own);
    let theirs = deployment.devices.iter().filter(|(device, progress)| progress.phase == phase && is_own(device));
    theirs.for_each(|(_, progress)| tally.add(progress));
    tally
}

/// Where a deployment stands, in words that its reader may see. A reason may name any device: for people of one hospital it is made from what is
/// known of their own devices alone.
pub fn status_for(state: &State, deployment: &Deployment, own: Option<&HospitalId>) -> Status {
    let Some(own) = own else { return deployment.status.clone() };
    let is_own = |device: &DeviceId| state.devices.get(device).is_some_and(|d| d.hospital == *own);
    let critical =
        deployment.devices.iter().filter_map(|(device, progress)| Some((device, progress.critical.as_ref()?)));
    let mut known: Vec<String> = critical
        .filter(|(device, _)| is_own(device))
        .map(|(device, text)| format!("critical error on {device}: {text}"))
        .collect();
    let is_held_elsewhere = deployment.contained.keys().any(|hospital| hospital != own);
    let mut for_staff = |reason: &str| {
        // An order of a person is why, whatever went on before it.
        if reason.starts_with(BY_ORDER) {
            known.insert(0, ORDERED.to_owned());
        } else if is_held_elsewhere {
            known.push(ELSEWHERE.to_owned());
        }
        if known.is_empty() { UNSAID.to_owned() } else { known.join("; ") }
    };
    match &deployment.status {
        Status::Paused { reason } => Status::Paused { reason: for_staff(reason) },
        Status::RollingBack { reason } => Status::RollingBack { reason: for_staff(reason) },
        Status::RolledBack { reason } => Status::RolledBack { reason: for_staff(reason) },
        Status::Aborting { reason } => Status::Aborting { reason: for_staff(reason) },
        Status::Aborted { reason } => Status::Aborted { reason: for_staff(reason) },
        status @ (Status::Planned | Status::Running | Status::Superseded { .. } | Status::Completed) => status.clone(),
    }
}

/// A signature without its reason, which is written for the vendor's people.
pub fn validation_for(given: &GivenValidation, own: Option<&HospitalId>) -> GivenValidation {
    match own {
        None => given.clone(),
        Some(_) => GivenValidation { reason: String::new(), ..given.clone() },
    }
}
