//! What a plan would do that its author may not have meant: devices that will refuse the release, cohorts that are filled with others.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::id::{DeviceId, HospitalId};
use mdfm_shared::manifest::Manifest;

use super::super::fleet::Device;
use super::super::{Refusal, State};
use super::{DeploymentRequest, Members, PhaseSpec, Reach, Strategy};

/// The cohort name that stands for every hospital.
const EVERYBODY: &str = "all";
/// Ids that one note names.
const NAMED_MAX: usize = 20;

/// Why a device will refuse a release, as far as the coordinator knows the device: the same questions that its agent asks before it
/// touches anything. `None` if nothing known speaks against it.
pub fn why_not(state: &State, device: &Device, manifest: &Manifest) -> Option<String> {
    if device.security_floor > manifest.security_version {
        let (floor, found) = (device.security_floor, manifest.security_version);
        return Some(format!("its security floor is {floor}, the release has security version {found}"));
    }
    let running = device.running_sha256?;
    if running == manifest.sha256 {
        return None;
    }
    let attached = || state.firmware.values().filter(|f| f.model == device.model).filter_map(|f| f.manifest.as_ref());
    let number = attached().filter(|m| m.manifest.sha256 == running).map(|m| m.manifest.release_number).max()?;
    if number >= manifest.release_number {
        return Some(format!("it runs release number {number}, this one is {}: not above it", manifest.release_number));
    }
    (number < manifest.minimum_release)
        .then(|| format!("it runs release number {number}, this one needs at least {} first", manifest.minimum_release))
}

/// The devices of a plan that will refuse the release, with the reason.
pub fn refusing<'a>(state: &State, members: &'a [Members], manifest: &Manifest) -> Vec<(&'a DeviceId, String)> {
    let devices = members.iter().flat_map(|m| &m.devices);
    devices.filter_map(|id| Some((id, why_not(state, state.devices.get(id)?, manifest)?))).collect()
}

/// Letters to insert, remove or replace to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let kept = before + usize::from(a != *b);
            before = row[j + 1];
            row[j + 1] = kept.min(row[j] + 1).min(before + 1);
        }
    }
    row[other.len()]
}

/// The word that somebody may have meant; `None` if none is near.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let meant = word.to_lowercase();
    let near = known.map(|k| (distance(&meant, &k.to_lowercase()), k)).min()?;
    (near.0 <= 2.max(word.chars().count() / 4)).then_some(near.1)
}

/// Refuses a phase for a cohort that no hospital belongs to, where hospitals have cohorts: its place would be filled with others.
///
/// # Errors
/// The phase, and the cohort that may have been meant.
pub fn check_cohorts(state: &State, request: &DeploymentRequest) -> Result<(), Refusal> {
    let known: BTreeSet<&str> = state.hospitals.values().filter_map(|h| h.cohort.as_deref()).collect();
    // The strategies' own phases are for fleets with any cohorts.
    let own = ["pilot", "regional"];
    for (i, phase) in request.spec.phases.iter().enumerate() {
        let is_strategy = phase.reach != Reach::Hospitals || request.spec.strategy == Strategy::Emergency;
        let cohort = phase.cohort.as_str();
        if known.is_empty() || is_strategy || cohort == EVERYBODY || own.contains(&cohort) || known.contains(cohort) {
            continue;
        }
        let meant = nearest(cohort, known.iter().copied().chain([EVERYBODY]));
        let meant = meant.map_or_else(String::new, |m| format!("; did you mean {m:?}?"));
        let problem = format!("no hospital is in the cohort {cohort:?}{meant} (mdfmctl hospitals cohorts)");
        return Err(Refusal::invalid(&format!("phases[{i}].hospitalCohort"), problem));
    }
    Ok(())
}

fn some_of(ids: &[&HospitalId]) -> String {
    let mut words: Vec<String> = ids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if ids.len() > NAMED_MAX {
        words.push(format!("{} more", ids.len() - NAMED_MAX));
    }
    words.join(", ")
}

/// What the author of a plan should know: hospitals that fill a phase for a cohort that they are not in.
pub fn notes(state: &State, phases: &[PhaseSpec], members: &[Members]) -> Vec<String> {
    let mut by_phase: BTreeMap<usize, BTreeSet<&HospitalId>> = BTreeMap::new();
    for member in members {
        by_phase.entry(member.phase as usize).or_default().insert(&member.hospital);
    }
    let mut notes = Vec::new();
    for (i, phase) in phases.iter().enumerate().filter(|(_, p)| p.reach == Reach::Hospitals && p.cohort != EVERYBODY) {
        let stands = |h: &HospitalId| state.hospitals.get(h).and_then(|h| h.cohort.as_deref()) == Some(&phase.cohort);
        let named = |h: &HospitalId| phase.target_hospitals.contains(h);
        let hospitals = by_phase.get(&i).into_iter().flatten().copied();
        let others: Vec<&HospitalId> = hospitals.filter(|h| !stands(h) && !named(h)).collect();
        if !others.is_empty() {
            notes.push(format!(
                "phase {} ({}) is for the cohort {:?}, and these hospitals are in it without being of that cohort: {}",
                i + 1,
                phase.name,
                phase.cohort,
                some_of(&others)
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_9_the_cohort_that_was_meant_is_named() {
        let known = ["pilot", "regional", "intensive-care"];
        let meant = |word| nearest(word, known.into_iter());
        assert_eq!(meant("pilto"), Some("pilot"));
        assert_eq!(meant("Pilot"), Some("pilot"));
        assert_eq!(meant("intensive_car"), Some("intensive-care"));
        assert_eq!(meant("something-else"), None);
        assert_eq!(distance("", "abc"), 3);
    }
}
