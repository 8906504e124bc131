//! The plan of a rollout: which hospital is reached in which phase. Deterministic; a hospital is never split.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId};
use mdfm_shared::manifest::is_label;
use mdfm_shared::record::Actor;
use mdfm_shared::time::UtcMillis;

use super::super::firmware::FirmwareStatus;
use super::super::{Event, Proposal, Refusal, State};
use super::{DeploymentRequest, NewDeployment, PhaseSpec};

const PHASES_MAX: usize = 20;
/// Longest monitoring time: a year.
const MONITORING_MS_MAX: u64 = 366 * 86_400_000;

fn check_phases(phases: &[PhaseSpec]) -> Result<(), Refusal> {
    if phases.is_empty() || phases.len() > PHASES_MAX {
        return Err(Refusal::invalid("phases", format!("must be 1 to {PHASES_MAX}")));
    }
    let mut reached = 0.0;
    for (i, phase) in phases.iter().enumerate() {
        let field = |name: &str| format!("phases[{i}].{name}");
        if !is_label(&phase.name) || !is_label(&phase.cohort) {
            return Err(Refusal::invalid(
                &field("name"),
                "name and hospitalCohort must be 1 to 128 printable characters",
            ));
        }
        if !(phase.percentage > reached && phase.percentage <= 100.0) {
            let problem =
                format!("must rise from phase to phase, up to 100; found {} after {reached}", phase.percentage);
            return Err(Refusal::invalid(&field("percentage"), problem));
        }
        if !(0.0..=100.0).contains(&phase.max_error_rate_percent) {
            return Err(Refusal::invalid(&field("maxErrorRatePercent"), "must be 0 to 100"));
        }
        if phase.monitoring_ms > MONITORING_MS_MAX {
            return Err(Refusal::invalid(&field("monitoringDuration"), "must be at most 366 days"));
        }
        reached = phase.percentage;
    }
    Ok(())
}

/// The hospitals that each phase adds. Percentages count hospitals and are cumulative; named hospitals come first, then those
/// of the phase's cohort, then the rest, each in the order of SHA-256(deployment id ‖ 0 ‖ hospital id).
pub(crate) fn assign(
    deployment: &DeploymentId,
    phases: &[PhaseSpec],
    hospitals: &BTreeMap<HospitalId, Option<String>>,
) -> Vec<BTreeSet<HospitalId>> {
    let order = |h: &HospitalId| Digest::of(format!("{deployment}\0{h}").as_bytes());
    let named_later = |i: usize, h: &HospitalId| phases[i + 1..].iter().any(|p| p.target_hospitals.contains(h));
    let mut left: BTreeSet<&HospitalId> = hospitals.keys().collect();
    let mut plan = Vec::new();
    for (i, phase) in phases.iter().enumerate() {
        let reached = (phase.percentage / 100.0 * hospitals.len() as f64 - 1e-9).ceil() as usize;
        let mut candidates: Vec<&HospitalId> = left.iter().copied().collect();
        candidates.sort_by_key(|h| {
            let named = phase.target_hospitals.contains(h);
            let cohort = hospitals.get(*h).and_then(Option::as_deref) == Some(phase.cohort.as_str());
            (!named, named_later(i, h), !cohort, order(h))
        });
        let named = candidates.iter().filter(|h| phase.target_hospitals.contains(h)).count();
        let taken = hospitals.len() - left.len();
        let add = reached.saturating_sub(taken).max(named);
        let added: BTreeSet<HospitalId> = candidates.into_iter().take(add).cloned().collect();
        left.retain(|h| !added.contains(*h));
        plan.push(added);
    }
    plan
}

fn affected(state: &State, request: &DeploymentRequest, model: &str) -> Result<BTreeSet<DeviceId>, Refusal> {
    let devices: BTreeSet<DeviceId> = match &request.target_devices {
        None => state.devices.iter().filter(|(_, d)| d.model == model).map(|(id, _)| id.clone()).collect(),
        Some(named) => {
            for id in named {
                let device = state.need_device(id)?;
                if device.model != model {
                    let problem = format!("{id} is a {}, the firmware is for {model}", device.model);
                    return Err(Refusal::invalid("targetDevices", problem));
                }
            }
            named.iter().cloned().collect()
        }
    };
    if devices.is_empty() {
        return Err(Refusal::invalid("targetDevices", format!("no device of model {model} is registered")));
    }
    for id in &devices {
        if state.gateway_of(id).is_none() {
            let problem = format!("{id} has no gateway; register one in its hospital or name one for the device");
            return Err(Refusal::invalid("targetDevices", problem));
        }
    }
    Ok(devices)
}

/// Plans and creates a deployment.
pub(crate) fn create(
    state: &State,
    _now: UtcMillis,
    actor: &Actor,
    deployment: &DeploymentId,
    request: &DeploymentRequest,
) -> Result<Vec<Proposal>, Refusal> {
    if state.deployments.contains_key(deployment) {
        return Err(Refusal::exists("deployment", deployment));
    }
    check_phases(&request.phases)?;
    let firmware = state.need_firmware(&request.firmware)?;
    let (FirmwareStatus::Approved, Some(attached)) = (firmware.status, &firmware.manifest) else {
        let detail =
            format!("firmware {} is {:?}; only approved firmware is deployed", request.firmware, firmware.status);
        return Err(Refusal::conflict("not-approved", detail));
    };
    let devices = affected(state, request, &firmware.model)?;
    for id in &devices {
        if let Some((other, _)) = state.deployments.iter().find(|(_, d)| d.is_active() && d.devices.contains_key(id)) {
            let detail = format!("device {id} is part of the active deployment {other}; finish or roll it back first");
            return Err(Refusal::conflict("deployment-conflict", detail));
        }
    }
    let hospitals: BTreeMap<HospitalId, Option<String>> = devices
        .iter()
        .filter_map(|id| state.devices.get(id))
        .filter_map(|d| Some((d.hospital.clone(), state.hospitals.get(&d.hospital)?.cohort.clone())))
        .collect();
    for (i, phase) in request.phases.iter().enumerate() {
        for named in &phase.target_hospitals {
            state.need_hospital(named)?;
            if !hospitals.contains_key(named) {
                let field = format!("phases[{i}].targetHospitals");
                return Err(Refusal::invalid(&field, format!("{named} has no device in this deployment")));
            }
        }
    }
    let plan = assign(deployment, &request.phases, &hospitals);
    let phase_of = |id: &DeviceId| {
        let hospital = &state.devices.get(id)?.hospital;
        plan.iter().position(|added| added.contains(hospital)).and_then(|p| u32::try_from(p).ok())
    };
    let devices: BTreeMap<DeviceId, u32> = devices.iter().filter_map(|id| Some((id.clone(), phase_of(id)?))).collect();
    let new = NewDeployment {
        deployment: deployment.clone(),
        firmware: request.firmware.clone(),
        manifest: attached.digest,
        security_version: attached.manifest.security_version,
        created_by: actor.id.clone(),
        phases: request.phases.clone(),
        plan,
        devices,
    };
    let event = Event::DeploymentCreated(Box::new(new));
    Ok(vec![Proposal::new("deployment.create", format!("deployment/{deployment}"), event)])
}

#[cfg(test)]
mod tests {
    use mdfm_shared::trust::Role;
    use proptest::prelude::*;

    use super::*;

    fn phase(percentage: f64, named: &[&str], cohort: &str) -> PhaseSpec {
        PhaseSpec {
            name: "p".into(),
            cohort: cohort.into(),
            percentage,
            target_hospitals: named.iter().map(|h| h.parse().expect("good id")).collect(),
            max_error_rate_percent: 1.0,
            monitoring_ms: 0,
            validation: Role::Clinical,
        }
    }
    fn hospitals(n: usize) -> BTreeMap<HospitalId, Option<String>> {
        (0..n)
            .map(|i| (format!("H-{i:03}").parse().expect("good id"), (i % 5 == 0).then(|| "pilot".to_owned())))
            .collect()
    }

    #[test]
    fn seed_strat_percentages_count_hospitals() {
        let id: DeploymentId = "D".parse().expect("good id");
        let phases = [phase(10.0, &[], "pilot"), phase(50.0, &[], "regional"), phase(100.0, &[], "all")];
        let sizes = |n| assign(&id, &phases, &hospitals(n)).iter().map(BTreeSet::len).collect::<Vec<_>>();
        assert_eq!(sizes(10), [1, 4, 5]);
        assert_eq!(sizes(30), [3, 12, 15]);
        assert_eq!(sizes(1), [1, 0, 0]);
        let pilot = &assign(&id, &phases, &hospitals(10))[0];
        assert!(["H-000", "H-005"].iter().any(|h| pilot.contains(&h.parse().expect("good id"))), "cohort first");
    }

    #[test]
    fn seed_strat_named_hospitals_come_first_even_beyond_the_percentage() {
        let id: DeploymentId = "D".parse().expect("good id");
        let phases = [phase(10.0, &["H-003", "H-004"], "pilot"), phase(100.0, &["H-000"], "all")];
        let plan = assign(&id, &phases, &hospitals(10));
        assert_eq!(plan[0], ["H-003", "H-004"].map(|h| h.parse().expect("good id")).into());
        assert_eq!(plan[1].len(), 8);
    }

    proptest! {
        #[test]
        fn every_hospital_is_in_exactly_one_phase(n in 1_usize..60, a in 1_u32..50, b in 51_u32..100) {
            let id: DeploymentId = "D".parse().expect("good id");
            let phases = [phase(f64::from(a), &[], "pilot"), phase(f64::from(b), &[], "x"), phase(100.0, &[], "all")];
            let all = hospitals(n);
            let plan = assign(&id, &phases, &all);
            let together: Vec<_> = plan.iter().flatten().collect();
            prop_assert_eq!(together.len(), n);
            prop_assert_eq!(together.into_iter().collect::<BTreeSet<_>>().len(), n);
            prop_assert_eq!(plan[0].len(), (n * a as usize).div_ceil(100));
            prop_assert_eq!(assign(&id, &phases, &all), plan);
        }
    }
}
