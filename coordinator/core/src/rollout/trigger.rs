//! Reasons to stop at any time: a critical error, more failed devices than a gate allows, the first failure where one is enough.
//!
//! One source is one gateway, and a gateway serves one hospital. What a single hospital reports sends that hospital back and
//! holds the rest; it takes a second hospital, a person or the plan to send back more (DESIGN §10.1).

use std::collections::BTreeMap;

use mdfm_shared::id::{DeviceId, GatewayId, HospitalId};
use mdfm_shared::text::count;

use super::spec::OnSilence;
use super::{CriticalReach, Deployment, FirstFailure, Origin, Phase, PhaseSpec, PhaseStatus};

/// What a reason calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Every opened phase goes back.
    RollBack(String),
    /// Nothing more is activated.
    Hold(String),
    /// The hospital goes back, and nothing more is activated anywhere.
    Contain { hospital: HospitalId, source: Option<GatewayId>, device: DeviceId, fault: String },
}

/// Where a device stands; `None` for one that is not registered any more.
pub(super) type Origins<'a> = &'a dyn Fn(&DeviceId) -> Option<Origin>;

/// Devices of a phase that failed, as far as that is known at any time.
fn failed(deployment: &Deployment, phase: &Phase) -> u32 {
    let tally = &phase.tally;
    match deployment.plan.spec.on_silence {
        OnSilence::Hold => tally.failed + tally.silent_on_trial,
        OnSilence::Fail => tally.failed + tally.silent,
    }
}

/// Whether `failed` of `devices` are more than the phase allows.
fn is_over(spec: &PhaseSpec, failed: u32, devices: u32) -> bool {
    match spec.max_errors {
        Some(max) => failed > max,
        None => 100.0 * f64::from(failed) / f64::from(devices.max(1)) > spec.max_error_rate_percent,
    }
}

/// Why the phase's failures are too many; `None` if they are not.
fn over_the_gate(deployment: &Deployment, i: u32, spec: &PhaseSpec, phase: &Phase) -> Option<String> {
    let (failed, devices) = (failed(deployment, phase), phase.tally.counted());
    if !is_over(spec, failed, devices) {
        return None;
    }
    let name = format!("phase {} ({})", i + 1, spec.name);
    let devices_words = count(devices, "device");
    if let Some(max) = spec.max_errors {
        return Some(format!("{name}: {failed} of {devices_words} failed, at most {max} may"));
    }
    let rate = 100.0 * f64::from(failed) / f64::from(devices.max(1));
    let limit = spec.max_error_rate_percent;
    Some(format!("{name}: {failed} of {devices_words} failed, {rate:.3} % is over the gate of {limit} %"))
}

fn is_watched(phase: &Phase) -> bool {
    !matches!(phase.status, PhaseStatus::Pending | PhaseStatus::OrderedBack { .. })
}

/// Failed and counted devices of one hospital.
#[derive(Default)]
struct Sum<'a> {
    failed: u32,
    devices: u32,
    first_failed: Option<&'a DeviceId>,
}

/// The first failed device of the hospital with the most failures among the watched devices of `phases`, and whether the others alone are over the limit.
fn worst(
    deployment: &Deployment,
    is_meant: impl Fn(u32) -> bool,
    is_over: impl Fn(u32, u32) -> bool,
) -> Option<(DeviceId, bool)> {
    let watched = |phase: u32| deployment.phases.get(phase as usize).is_some_and(is_watched) && is_meant(phase);
    let mut sums: BTreeMap<&HospitalId, Sum<'_>> = BTreeMap::new();
    for (_, hospital, share) in deployment.shares.iter().filter(|(phase, ..)| watched(*phase)) {
        let sum = sums.entry(hospital).or_default();
        sum.failed += u32::try_from(share.failed.len()).unwrap_or(u32::MAX);
        sum.devices += share.devices;
        sum.first_failed = sum.first_failed.into_iter().chain(share.failed.first()).min();
    }
    let all = |count: fn(&Sum<'_>) -> u32| sums.values().map(count).sum::<u32>();
    let (all_failed, all_devices) = (all(|s| s.failed), all(|s| s.devices));
    let worst = sums.values().rev().max_by_key(|s| s.failed)?;
    let is_seconded = is_over(all_failed - worst.failed, all_devices - worst.devices);
    Some((worst.first_failed?.clone(), is_seconded))
}

/// Whether no other hospital has been reached: then a rollback of all that was opened moves that hospital alone, and nothing is
/// left that could go on.
fn is_all_of(deployment: &Deployment, hospital: &HospitalId) -> bool {
    let mut opened =
        deployment.shares.iter().filter(|(phase, _, share)| deployment.is_open(*phase) && share.members > 0);
    opened.all(|(_, other, _)| other == hospital)
}

/// What follows from a fault that `device` shows. `is_seconded` says that other hospitals show the same.
fn react(
    deployment: &Deployment,
    origins: Origins<'_>,
    device: DeviceId,
    is_seconded: bool,
    fault: String,
) -> Reaction {
    let Some(Origin { hospital, gateway }) = origins(&device) else { return Reaction::Hold(fault) };
    let other =
        deployment.contained.iter().find(|(h, c)| **h != hospital && (c.source != gateway || gateway.is_none()));
    let reaches_all = match deployment.plan.spec.critical_reach() {
        CriticalReach::Deployment => true,
        CriticalReach::Sources => is_seconded || other.is_some(),
        CriticalReach::Hospital => false,
    };
    if is_all_of(deployment, &hospital) {
        return Reaction::RollBack(fault);
    }
    if reaches_all && !deployment.only_a_person_rolls_back() {
        return Reaction::RollBack(match other {
            Some((first, found)) => format!("{fault} in {hospital}, after {first}: {}", found.fault),
            None => fault,
        });
    }
    Reaction::Contain { hospital, source: gateway, device, fault }
}

/// A critical error that nothing has been done about.
fn critical(deployment: &Deployment, origins: Origins<'_>) -> Option<Reaction> {
    if !deployment.opened().any(|(_, _, phase)| is_watched(phase) && phase.tally.critical > 0) {
        return None;
    }
    let device = deployment.shares.first_critical(|phase| deployment.is_open(phase))?;
    let text = deployment.devices.get(device)?.critical.as_ref()?;
    let fault = format!("critical error on {device}: {text}");
    Some(react(deployment, origins, device.clone(), false, fault))
}

/// The reason to stop now, if there is one.
pub(super) fn next(deployment: &Deployment, origins: Origins<'_>) -> Option<Reaction> {
    if let Some(reaction) = critical(deployment, origins) {
        return Some(reaction);
    }
    let watched = || deployment.opened().filter(|(_, _, phase)| is_watched(phase));
    let all: u32 = watched().map(|(_, _, phase)| failed(deployment, phase)).sum();
    match deployment.plan.first_failure {
        FirstFailure::ByGate => watched().find_map(|(i, spec, phase)| {
            let fault = over_the_gate(deployment, i, spec, phase)?;
            let worst = worst(deployment, |phase| phase == i, |failed, devices| is_over(spec, failed, devices));
            Some(match worst {
                Some((device, seconded)) => react(deployment, origins, device, seconded, fault),
                None => Reaction::Hold(fault),
            })
        }),
        FirstFailure::RollBack => (all > 0).then(|| {
            let fault = format!("{} failed; the first failure ends this deployment", count(all, "device"));
            match worst(deployment, |_| true, |failed, _| failed > 0) {
                Some((device, seconded)) => react(deployment, origins, device, seconded, fault),
                None => Reaction::Hold(fault),
            }
        }),
        FirstFailure::Hold => (all > deployment.accepted_failures).then(|| {
            Reaction::Hold(format!(
                "{} failed and went back automatically; the release closes a security hole, so the others wait for a decision: resume \
                 or roll back",
                count(all, "device")
            ))
        }),
    }
}

#[cfg(test)]
mod tests;
