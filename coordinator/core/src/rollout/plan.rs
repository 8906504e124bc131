//! The plan of a rollout: which device is reached in which phase. Deterministic; a hospital is never split, but for canaries.
//!
//! [`draft`] makes a plan and changes nothing: it can be shown, and its digest pins it. [`create`] records it.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Finish;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GroupId, HospitalId};
use mdfm_shared::manifest::FirmwareClass;
use mdfm_shared::record::Actor;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::text::period;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::missing_roles;

use super::super::firmware::{self, AttachedManifest, Firmware, FirmwareStatus};
use super::super::fleet::Device;
use super::super::group;
use super::super::{Event, Proposal, Refusal, State, authority, recall};
use super::fitness;
use super::spec::{Membership, Spec, WindowRule};
use super::{
    Change, DeploymentRequest, DeviceProgress, FirstFailure, Members, NewDeployment, OrderedBack, PhaseSpec, Reach,
    Status, Strategy, Targets,
};

/// Bytes of device and hospital ids in one record: with its frame it fits one entry of the log.
const MEMBER_BYTES_MAX: usize = 40_000;
/// Longest time between the status reports of an emergency release.
const STATUS_REPORT_MS_MAX: u64 = 86_400_000;
/// Windows must open within so long to count as opening at all.
const WINDOW_HORIZON_MS: u64 = 15 * 86_400_000;

/// A plan that nothing has been made of yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub new: NewDeployment,
    pub members: Vec<Members>,
    /// Active deployments that end when this one begins.
    pub superseded: BTreeSet<DeploymentId>,
}

/// The phase of each hospital, an index into `phases`. Percentages count hospitals and are cumulative; named hospitals come
/// first, then those of the phase's cohort, then the rest, each in the order of SHA-256(salt ‖ 0 ‖ hospital id).
pub fn assign(
    salt: &Digest,
    phases: &[PhaseSpec],
    hospitals: &BTreeMap<HospitalId, Option<String>>,
) -> BTreeMap<HospitalId, usize> {
    struct Candidate<'a> {
        hospital: &'a HospitalId,
        cohort: Option<&'a str>,
        order: Digest,
        named: Option<usize>,
    }
    let whole: Vec<(usize, &PhaseSpec)> =
        phases.iter().enumerate().filter(|(_, p)| p.reach == Reach::Hospitals).collect();
    let named: BTreeMap<&HospitalId, usize> =
        whole.iter().flat_map(|(i, p)| p.target_hospitals.iter().map(move |h| (h, *i))).collect();
    let mut left: Vec<Candidate<'_>> = hospitals
        .iter()
        .map(|(hospital, cohort)| Candidate {
            hospital,
            cohort: cohort.as_deref(),
            order: Digest::of(format!("{salt}\0{hospital}").as_bytes()),
            named: named.get(hospital).copied(),
        })
        .collect();
    let mut plan = BTreeMap::new();
    for (i, phase) in whole {
        let reached = (phase.percentage / 100.0 * hospitals.len() as f64 - 1e-9).ceil() as usize;
        left.sort_by_key(|c| {
            let now = c.named == Some(i);
            let later = c.named.is_some_and(|n| n > i);
            (!now, later, c.cohort != Some(phase.cohort.as_str()), c.order)
        });
        let due = left.iter().filter(|c| c.named == Some(i)).count();
        let add = reached.saturating_sub(plan.len()).max(due).min(left.len());
        plan.extend(left.drain(..add).map(|c| (c.hospital.clone(), i)));
    }
    plan
}

/// The phase of each device: canaries first, the others with their hospital.
fn place(
    salt: &Digest,
    phases: &[PhaseSpec],
    by_hospital: &BTreeMap<HospitalId, Vec<DeviceId>>,
    hospital_phase: &BTreeMap<HospitalId, usize>,
) -> Vec<Members> {
    let mut members = Vec::new();
    for (hospital, devices) in by_hospital {
        // None for a hospital beyond the last phase's percentage: only its canaries take part.
        let whole = hospital_phase.get(hospital).copied();
        let mut ordered: Vec<&DeviceId> = devices.iter().collect();
        if phases.iter().any(|p| p.reach != Reach::Hospitals) {
            ordered.sort_by_cached_key(|d| Digest::of(format!("{salt}\0{d}").as_bytes()));
        }
        let mut placed: BTreeMap<usize, BTreeSet<DeviceId>> = BTreeMap::new();
        let mut taken: BTreeSet<&DeviceId> = BTreeSet::new();
        for (i, phase) in phases.iter().enumerate() {
            let canaries: Vec<&DeviceId> = match &phase.reach {
                Reach::Hospitals => continue,
                Reach::Canaries { named, per_hospital } => {
                    let here: Vec<&DeviceId> = devices.iter().filter(|d| named.contains(*d)).collect();
                    let more = (*per_hospital as usize).saturating_sub(here.len());
                    let others =
                        ordered.iter().copied().filter(|d| !named.contains(*d) && !taken.contains(d)).take(more);
                    here.iter().copied().filter(|d| !taken.contains(d)).chain(others).collect()
                }
                Reach::CanariesOfNext { per_hospital } if whole == Some(i + 1) => {
                    ordered.iter().copied().filter(|d| !taken.contains(d)).take(*per_hospital as usize).collect()
                }
                Reach::CanariesOfNext { .. } => continue,
            };
            taken.extend(canaries.iter().copied());
            placed.entry(i).or_default().extend(canaries.into_iter().cloned());
        }
        if let Some(whole) = whole {
            placed.entry(whole).or_default().extend(devices.iter().filter(|d| !taken.contains(d)).cloned());
        }
        for (phase, devices) in placed.into_iter().filter(|(_, devices)| !devices.is_empty()) {
            let phase = u32::try_from(phase).unwrap_or(u32::MAX);
            members.push(Members { hospital: hospital.clone(), phase, devices: devices.into_iter().collect() });
        }
    }
    members
}

fn targets(state: &State, request: &DeploymentRequest, model: &str) -> Result<Vec<DeviceId>, Refusal> {
    let devices: Vec<DeviceId> = match &request.targets {
        Targets::All => state
            .devices
            .iter()
            .filter(|(_, d)| d.model == model && d.retired_at.is_none())
            .map(|(id, _)| id.clone())
            .collect(),
        Targets::Named(named) => {
            for id in named {
                let device = state.need_device(id)?;
                if device.model != model {
                    let problem = format!("{id} is a {}, the firmware is for {model}", device.model);
                    return Err(Refusal::invalid("targetDevices", problem));
                }
                if device.retired_at.is_some() {
                    return Err(Refusal::invalid("targetDevices", format!("{id} is retired")));
                }
            }
            named.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect()
        }
        Targets::Group => {
            let missing = || Refusal::invalid("targetGroup", "no group is named");
            let held = state.need_group(request.spec.group.as_ref().ok_or_else(missing)?)?;
            if request.spec.membership == Membership::Dynamic && matches!(held.members, group::Members::Listed(_)) {
                let problem = "dynamic membership requires a query group; this group is a static list";
                return Err(Refusal::invalid("membership", problem));
            }
            let group = held.chosen();
            let meant = |(id, d): &(&DeviceId, &Device)| d.model == model && group.holds(state, id, d);
            state.devices.iter().filter(meant).map(|(id, _)| id.clone()).collect()
        }
        Targets::Recall(id) => recall::outstanding(state, state.need_recall(id)?)
            .into_iter()
            .filter(|d| state.devices.get(d).is_some_and(|d| d.model == model && d.retired_at.is_none()))
            // One that no gateway serves stays in the recall, and keeps the correction from no other device.
            .filter(|d| state.gateway_of(d).is_some())
            .collect(),
    };
    if devices.is_empty() {
        let problem = format!("no device of model {model} is meant: register devices, or name others");
        return Err(Refusal::invalid("targetDevices", problem));
    }
    for id in &devices {
        if state.gateway_of(id).is_none() {
            let problem = format!("{id} has no gateway; register one in its hospital or name one for the device");
            return Err(Refusal::invalid("targetDevices", problem));
        }
    }
    Ok(devices)
}

/// Devices of other active deployments: a conflict, unless the newer release may take them over.
fn conflicts(
    state: &State,
    request: &DeploymentRequest,
    attached: &AttachedManifest,
    devices: &BTreeSet<&DeviceId>,
) -> Result<BTreeSet<DeploymentId>, Refusal> {
    let mut superseded = BTreeSet::new();
    for (id, other) in state.deployments.iter().filter(|(_, d)| d.is_active()) {
        // A gateway that is away, or says nothing, keeps its own devices busy and no others.
        let is_free = |p: &DeviceProgress| match (&other.status, p.state) {
            (Status::RollingBack { .. } | Status::Aborting { .. }, Some(state)) => {
                p.stays || (state.is_settled() && state != InstallState::Confirmed)
            }
            (Status::RollingBack { .. } | Status::Aborting { .. }, None) => !other.is_open(p.phase),
            _ => false,
        };
        let busy = other.devices.iter().find(|(d, p)| devices.contains(d) && !is_free(p));
        let Some((shared, progress)) = busy else { continue };
        let held = state.firmware.get(&other.plan.firmware).and_then(|f| f.manifest.as_ref());
        let newer = held.is_some_and(|m| m.manifest.release_number < attached.manifest.release_number);
        if !request.supersedes.contains(id) {
            let cure = match (newer, progress.ordered_back) {
                (true, _) => "finish it, roll it back, or name it in supersedes",
                // It stays bound: one deployment at a time answers for a device.
                (false, Some(OrderedBack::Contained)) => {
                    "it went back with its hospital, and takes this release once that deployment has ended: finish it, abort it or roll it back"
                }
                (false, _) => {
                    "finish it, abort it or roll it back: it brings the same or a newer release, which is not superseded"
                }
            };
            let detail = format!("device {shared} is part of the active deployment {id}; {cure}");
            return Err(Refusal::conflict("deployment-conflict", detail));
        }
        if !matches!(other.status, Status::Running | Status::Paused { .. }) {
            let detail = format!("deployment {id} is {}; wait until it has ended", other.status.words());
            return Err(Refusal::conflict("deployment-conflict", detail));
        }
        if !newer {
            let detail = format!("deployment {id} brings the same or a newer release than {}", request.firmware);
            return Err(Refusal::conflict("not-newer", detail));
        }
        // Whoever has begun must be taken along: nobody would watch over a device that is left half-way.
        if let Some(left) = other
            .devices
            .iter()
            .find(|(d, p)| other.is_open(p.phase) && p.state.is_some_and(|s| !s.is_settled()) && !devices.contains(d))
        {
            let detail = format!("device {} of deployment {id} is in flight and not part of this one", left.0);
            return Err(Refusal::conflict("deployment-conflict", detail));
        }
        superseded.insert(id.clone());
    }
    if let Some(idle) = request.supersedes.iter().find(|id| !superseded.contains(*id)) {
        let problem = format!("{idle} is not an active deployment of any of these devices");
        return Err(Refusal::invalid("supersedes", problem));
    }
    Ok(superseded)
}

/// Every hospital must have windows that open, and long enough for the work.
fn check_windows(
    state: &State,
    now: UtcMillis,
    request: &DeploymentRequest,
    attached: &AttachedManifest,
    hospitals: &BTreeMap<HospitalId, Vec<DeviceId>>,
) -> Result<(), Refusal> {
    let nothing = BTreeMap::new();
    let (given, finish, only_registered) = match &request.spec.windows {
        WindowRule::Anytime | WindowRule::Ignored { .. } => return Ok(()),
        WindowRule::Registered { finish } => (&nothing, finish, true),
        WindowRule::Windows { given, finish, .. } => (given, finish, false),
    };
    let health = &attached.manifest.health;
    let need_ms = match finish {
        Finish::Inside => health.silence_limit_ms.saturating_mul(2).saturating_add(health.probation_ms),
        Finish::Anytime => 0,
    };
    for hospital in given.keys() {
        state.need_hospital(hospital)?;
        if !hospitals.contains_key(hospital) {
            let problem = format!("{hospital} has no device in this deployment");
            return Err(Refusal::invalid("maintenanceWindows", problem));
        }
    }
    for hospital in hospitals.keys() {
        let registered = &state.need_hospital(hospital)?.windows;
        if only_registered && registered.is_empty() {
            continue;
        }
        let spans = request.spec.spans_of(hospital, registered, now, now.plus_ms(WINDOW_HORIZON_MS), 100);
        let spans = spans.map(|(spans, _)| spans).unwrap_or_default();
        if spans.is_empty() {
            let problem = if registered.is_empty() || !given.contains_key(hospital) {
                format!("{hospital} has no maintenance window that opens within 15 days; give or register one")
            } else {
                format!(
                    "no given window of {hospital} lies in those that it registered; ignoreWindows with a reason ignores those"
                )
            };
            return Err(Refusal::invalid("maintenanceWindows", problem));
        }
        if !spans.iter().any(|w| w.holds(w.opens_at, need_ms)) {
            let problem = format!(
                "no window of {hospital} is long enough: a boot and probation of this firmware take up to {} minutes; \
                 pauseOutsideWindow false lets work end after the window, ignoreWindows with a reason ignores windows",
                need_ms.div_ceil(60_000)
            );
            return Err(Refusal::invalid("maintenanceWindows", problem));
        }
    }
    Ok(())
}

/// What the class of a release asks of the deployment that brings it, and the other way round.
fn check_class(
    state: &State,
    now: UtcMillis,
    spec: &Spec,
    id: &FirmwareId,
    firmware: &Firmware,
    class: FirmwareClass,
) -> Result<(), Refusal> {
    if spec.strategy == Strategy::Emergency && class == FirmwareClass::Standard {
        let detail = format!("{id} was approved as a standard release; an emergency needs one approved as such");
        return Err(Refusal::conflict("not-an-emergency", detail));
    }
    if class != FirmwareClass::Emergency {
        return Ok(());
    }
    // Fewer people approved it because there is no time: then nothing that takes time, and nothing without its reports.
    if spec.strategy != Strategy::Emergency {
        let detail = format!(
            "{id} was approved as an emergency, without QA: deploy it with the strategy Emergency, or submit it as a standard \
             release"
        );
        return Err(Refusal::conflict("emergency-only", detail));
    }
    if !spec.fda_notification {
        let problem = "an emergency release is reported: it cannot be false";
        return Err(Refusal::invalid("fdaNotificationRequired", problem));
    }
    if spec.status_reports.is_none_or(|r| r.interval_ms > STATUS_REPORT_MS_MAX) {
        let problem = "an emergency release owes a report every day: at most P1D";
        return Err(Refusal::invalid("statusReportInterval", problem));
    }
    let last = firmware.approvals.values().map(|a| a.at).max().unwrap_or_default();
    let window_ms = state.need_root()?.approvals.emergency_window_ms;
    if now > last.plus_ms(window_ms) {
        let detail = format!(
            "{id} was approved as an emergency, last on {last}; its deployment must begin within {} of that. Submit it \
             again, or as a standard release",
            period(window_ms)
        );
        return Err(Refusal::conflict("emergency-late", detail));
    }
    Ok(())
}

/// The roles whose approval is missing, in words; empty if none is waited for.
fn missing_words(state: &State, firmware: &Firmware) -> String {
    let (FirmwareStatus::PendingApproval, Some(root), Some(attached)) =
        (firmware.status, state.trusted_root(), &firmware.manifest)
    else {
        return String::new();
    };
    let mut missing = missing_roles(&root.approvals, &attached.manifest, []);
    missing.retain(|role| !firmware.approvals.contains_key(role));
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    if missing.is_empty() { String::new() } else { format!("; missing: the approval as {}", missing.join(", ")) }
}

fn need_deployable<'a>(
    state: &'a State,
    now: UtcMillis,
    request: &DeploymentRequest,
) -> Result<(&'a Firmware, &'a AttachedManifest), Refusal> {
    let firmware = state.need_firmware(&request.firmware)?;
    if !firmware.lost.is_empty() {
        firmware::approvals_stand(state, &request.firmware)?;
    }
    let (FirmwareStatus::Approved, Some(attached)) = (firmware.status, &firmware.manifest) else {
        let detail = format!(
            "firmware {} is {}; only approved firmware is deployed{}",
            request.firmware,
            firmware.status.words(),
            missing_words(state, firmware)
        );
        return Err(Refusal::conflict("not-approved", detail));
    };
    firmware::approvals_stand(state, &request.firmware)?;
    firmware::need_sbom(firmware, &request.firmware)?;
    check_class(state, now, &request.spec, &request.firmware, firmware, attached.manifest.class)?;
    if let Some(window_ms) = request.spec.approval_window_ms {
        let times = || firmware.approvals.values().map(|a| a.at.0);
        let apart_ms = times().max().unwrap_or(0) - times().min().unwrap_or(0);
        if apart_ms > window_ms {
            let detail = format!("the approvals lie {apart_ms} ms apart, approvalWindow allows {window_ms} ms");
            return Err(Refusal::conflict("approval-window", detail));
        }
    }
    Ok((firmware, attached))
}

/// Makes the plan of a deployment; changes nothing.
///
/// # Errors
/// What does not fit: the request, the firmware's state, other deployments, or the plan that was pinned.
pub fn draft(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    deployment: &DeploymentId,
    request: &DeploymentRequest,
) -> Result<Draft, Refusal> {
    if state.deployments.contains_key(deployment) {
        return Err(Refusal::exists("deployment", deployment));
    }
    request.spec.check()?;
    let (firmware, attached) = need_deployable(state, now, request)?;
    authority::need_fresh(state, now)?;
    fitness::check_cohorts(state, request)?;
    let devices = targets(state, request, &firmware.model)?;
    let superseded = conflicts(state, request, attached, &devices.iter().collect())?;
    let mut by_hospital: BTreeMap<HospitalId, Vec<DeviceId>> = BTreeMap::new();
    for id in devices {
        let hospital = state.need_device(&id)?.hospital.clone();
        by_hospital.entry(hospital).or_default().push(id);
    }
    check_windows(state, now, request, attached, &by_hospital)?;
    for (i, phase) in request.spec.phases.iter().enumerate() {
        for named in &phase.target_hospitals {
            state.need_hospital(named)?;
            if !by_hospital.contains_key(named) {
                let field = format!("phases[{i}].targetHospitals");
                return Err(Refusal::invalid(&field, format!("{named} has no device in this deployment")));
            }
        }
        if let Reach::Canaries { named, .. } = &phase.reach {
            for device in named {
                let hospital = &state.need_device(device)?.hospital;
                if by_hospital.get(hospital).is_none_or(|d| d.binary_search(device).is_err()) {
                    return Err(Refusal::invalid("canaryDevices", format!("{device} is not part of this deployment")));
                }
            }
        }
    }
    let hospitals: BTreeMap<HospitalId, Option<String>> =
        by_hospital.keys().map(|h| (h.clone(), state.hospitals.get(h).and_then(|h| h.cohort.clone()))).collect();
    let hospital_phase = assign(&attached.digest, &request.spec.phases, &hospitals);
    let members = place(&attached.digest, &request.spec.phases, &by_hospital, &hospital_phase);
    let raises_security = raises_security(state, attached, &members);
    let first_failure = first_failure(request.spec.auto_rollback, raises_security);
    let count = members.iter().map(|m| m.devices.len()).sum::<usize>();
    let plan = digest(request, attached.digest, first_failure, &members);
    if let Some(pinned) = request.pinned.filter(|pinned| *pinned != plan) {
        let detail =
            format!("the plan is {plan} now, not {pinned}: the fleet changed since the dry run; look at it again");
        return Err(Refusal::conflict("plan-changed", detail));
    }
    let new = NewDeployment {
        deployment: deployment.clone(),
        firmware: request.firmware.clone(),
        model: firmware.model.clone(),
        manifest: attached.digest,
        security_version: attached.manifest.security_version,
        created_by: actor.id.clone(),
        spec: request.spec.clone(),
        first_failure,
        raises_security,
        members: u32::try_from(count).unwrap_or(u32::MAX),
        plan,
    };
    Ok(Draft { new, members, superseded })
}

/// A release that closes a hole must not be undone by its first failure (`decisions/0005`).
fn first_failure(auto_rollback: bool, raises_security: bool) -> FirstFailure {
    match (auto_rollback, raises_security) {
        (false, _) => FirstFailure::ByGate,
        (true, true) => FirstFailure::Hold,
        (true, false) => FirstFailure::RollBack,
    }
}

/// Whether going back would reopen a hole on some device. The lowest report decides: one gateway that claims a high version
/// must not make a security fix revocable for everybody.
fn raises_security(state: &State, attached: &AttachedManifest, members: &[Members]) -> bool {
    let reported = |d| state.devices.get(d).and_then(|d| d.running_security_version);
    let lowest = members.iter().flat_map(|m| &m.devices).filter_map(reported).min();
    attached.manifest.security_version > lowest.unwrap_or(0)
}

fn digest(request: &DeploymentRequest, manifest: Digest, first: FirstFailure, members: &[Members]) -> Digest {
    let supersedes = &request.supersedes;
    let plan = serde_json::to_vec(&(manifest, &request.spec, first, supersedes, members));
    Digest::of(&plan.expect("plain structs with string keys encode"))
}

/// Cuts members into pieces that fit one record of the log each.
fn chunks(members: Vec<Members>) -> Vec<Vec<Members>> {
    let mut all: Vec<Vec<Members>> = vec![Vec::new()];
    let mut bytes = 0;
    for Members { hospital, phase, devices } in members {
        let head = hospital.as_str().len() + 60;
        let mut piece = Members { hospital: hospital.clone(), phase, devices: Vec::new() };
        bytes += head;
        for device in devices {
            let size = device.as_str().len() + 3;
            if bytes + size > MEMBER_BYTES_MAX {
                let full = std::mem::take(&mut piece.devices);
                if !full.is_empty() {
                    let full = Members { hospital: hospital.clone(), phase, devices: full };
                    all.last_mut().expect("never empty").push(full);
                }
                all.push(Vec::new());
                bytes = head;
            }
            bytes += size;
            piece.devices.push(device);
        }
        if !piece.devices.is_empty() {
            all.last_mut().expect("never empty").push(piece);
        }
    }
    all.retain(|chunk| !chunk.is_empty());
    all
}

/// Plans and creates a deployment: its rules, then its devices, in records that become durable together.
pub fn create(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    deployment: &DeploymentId,
    request: &DeploymentRequest,
) -> Result<Vec<Proposal>, Refusal> {
    let Draft { new, members, superseded } = draft(state, now, actor, deployment, request)?;
    let object = format!("deployment/{deployment}");
    let mut proposals: Vec<Proposal> = superseded
        .into_iter()
        .map(|old| {
            let change = Change::Superseded { by: deployment.clone() };
            let event = Event::DeploymentChanged { deployment: old.clone(), change };
            Proposal::new("deployment.supersede", format!("deployment/{old}"), event)
                .because(format!("{deployment} takes over its devices with a newer release"))
        })
        .collect();
    proposals.push(Proposal::new("deployment.create", object.clone(), Event::DeploymentCreated(Box::new(new))));
    for members in chunks(members) {
        let change = Change::MembersJoined { members };
        let event = Event::DeploymentChanged { deployment: deployment.clone(), change };
        proposals.push(Proposal::new("deployment.members", object.clone(), event));
    }
    Ok(proposals)
}

/// The record that lets a device, just registered or moved, join the running deployment of its model, if there is one that takes it.
pub fn joins(state: &State, device: &DeviceId, joining: &Device) -> Option<Proposal> {
    let hospital = &joining.hospital;
    // A query sees the device as it will be.
    let is_meant = |group: &Option<GroupId>| match group.as_ref().map(|id| state.groups.get(id)) {
        None => true,
        Some(None) => false,
        Some(Some(group)) => group.chosen().holds(state, device, joining),
    };
    let (id, deployment) = state.deployments.iter().find(|(_, d)| {
        matches!(d.status, Status::Running | Status::Paused { .. })
            && d.plan.spec.membership == Membership::Dynamic
            && d.plan.model == joining.model
            && is_meant(&d.plan.spec.group)
    })?;
    let registered = &state.hospitals.get(hospital)?.windows;
    let has_windows =
        deployment.plan.spec.windows_of(hospital, registered).is_none_or(|(windows, _)| !windows.is_empty());
    let part = deployment.hospitals.get(hospital);
    if state.gateway_for(joining).is_none() || !has_windows || part.is_some_and(|p| p.ordered_back) {
        return None;
    }
    let last = u32::try_from(deployment.phases.len()).unwrap_or(u32::MAX).saturating_sub(1);
    let phase = part.map_or(last, |p| p.phase);
    let members = vec![Members { hospital: hospital.clone(), phase, devices: vec![device.clone()] }];
    let event = Event::DeploymentChanged { deployment: id.clone(), change: Change::MembersJoined { members } };
    let reason = format!("{device} was registered while the deployment takes new devices");
    Some(Proposal::new("deployment.members", format!("deployment/{id}"), event).because(reason))
}

#[cfg(test)]
mod tests;
