//! What devices and deployments wait for, since when, and who can end it (DESIGN §10.7, decision 0037). Gateways say what they alone know; what
//! the coordinator knows itself comes first, so that a gateway's word concerns its own devices alone.

use std::collections::BTreeMap;
use std::ops::Bound;

use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, HospitalId};
use mdfm_shared::telemetry::{InstallState, UNSEEN};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::waiting::{WaitCode, Waiting};

use super::fleet::Device;
use super::presence::{Presence, Reach, Standing};
use super::rollout::sight::tally_for;
use super::rollout::spec::ConsentRule;
use super::rollout::{Deployment, DeviceProgress, Phase, PhaseStatus, Status, Tally};
use super::{State, authority, firmware};

/// Windows are looked for so far ahead.
const HORIZON_MS: u64 = 15 * 86_400_000;
/// Devices that one reason names.
const NAMED_MAX: usize = 20;

/// A reason with who can end it and how, for the object that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub waiting: Waiting,
    /// Roles, people or hospitals; empty if time or devices end it.
    pub who: Vec<String>,
    pub how: Vec<String>,
    /// Devices in which nothing new is activated because of it.
    pub held: u32,
    /// Some of them.
    pub devices: Vec<DeviceId>,
}

impl Wait {
    /// With the code's own words.
    pub fn new(waiting: Waiting) -> Self {
        let words = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        let (who, how) = (words(waiting.code.who()), words(waiting.code.how()));
        Self { waiting, who, how, held: 0, devices: Vec::new() }
    }

    fn by(self, who: &[&str], how: Vec<String>) -> Self {
        Self { who: who.iter().map(ToString::to_string).collect(), how, ..self }
    }
}

/// A wait with its beginning, and whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lasting {
    pub waiting: Waiting,
    /// When it began; where nobody noted that, when what waits last changed.
    pub since: UtcMillis,
    pub hospital: Option<HospitalId>,
    /// The device that waits; `None` for a hospital or the deployment.
    pub device: Option<DeviceId>,
}

/// When the next window of hospitals opens, by hospital; `None` where one is open, or none is needed.
type Closed<'a> = BTreeMap<&'a HospitalId, Option<Option<UtcMillis>>>;

/// A time within the first and the last.
fn bounded(at: UtcMillis, (from, to): (UtcMillis, UtcMillis)) -> UtcMillis {
    at.max(from).min(to)
}

/// Whether the staff of a hospital must agree before its devices change.
pub fn consent_needed(state: &State, rule: ConsentRule, hospital: &HospitalId) -> bool {
    rule == ConsentRule::Every || state.hospitals.get(hospital).is_some_and(|h| h.consent_required)
}

/// State and presence at a time.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    pub state: &'a State,
    pub presence: &'a Presence,
    pub now: UtcMillis,
}

impl<'a> Sight<'a> {
    /// The time by which documents and gates are judged, as records are stamped. Presence is by the clock.
    fn judged(&self) -> UtcMillis {
        self.state.not_before(self.now)
    }

    /// Why a device does not do what its newest deployment asks; `None` if it has, or is on its way.
    pub fn of_device(&self, id: &DeviceId) -> Option<Waiting> {
        let device = self.state.devices.get(id).filter(|d| d.retired_at.is_none())?;
        let (_, deployment) = self.state.latest_deployment(id)?;
        self.in_deployment(id, device, deployment, &mut Closed::new())
    }

    fn in_deployment(
        &self,
        id: &DeviceId,
        device: &'a Device,
        deployment: &Deployment,
        closed: &mut Closed<'a>,
    ) -> Option<Waiting> {
        let progress = deployment.devices.get(id)?;
        // One that runs other firmware by somebody's hand has to say why.
        let has_confirmed = progress.state == Some(InstallState::Confirmed) && !progress.left_by_hand;
        let is_called_back = match deployment.status {
            Status::RollingBack { .. } | Status::RolledBack { .. } => true,
            Status::Aborting { .. } | Status::Aborted { .. } => !has_confirmed,
            Status::Planned
            | Status::Running
            | Status::Paused { .. }
            | Status::Superseded { .. }
            | Status::Completed => progress.ordered_back.is_some(),
        };
        if is_called_back && deployment.is_open(progress.phase) {
            return self.going_back(id, device, progress);
        }
        match deployment.status {
            _ if has_confirmed => None,
            // A pause does not end what is wrong with the device itself.
            _ if progress.state == Some(InstallState::RollbackFailed) => Some(manual_intervention(device)),
            Status::Paused { .. } => {
                let paused = deployment.paused.as_ref().map(|p| p.at);
                Some(Waiting::new(WaitCode::Decision, "").since(paused))
            }
            Status::Running | Status::Completed => self.going_forward(id, (device, progress), deployment, closed),
            _ => None,
        }
    }

    fn going_back(&self, id: &DeviceId, device: &Device, progress: &DeviceProgress) -> Option<Waiting> {
        let install = device.install.as_ref();
        if progress.stays {
            let need = authority::need_of(self.state, device, self.judged()).words();
            return Some(Waiting::new(WaitCode::RollbackOrder, need).since(install.map(|i| i.since)));
        }
        match progress.state {
            None | Some(InstallState::Idle | InstallState::Failed | InstallState::RolledBack) => None,
            Some(InstallState::RollbackFailed) => Some(manual_intervention(device)),
            Some(_) => self.unheard(id).or_else(|| device.waiting.clone()).or_else(|| self.absent(id)),
        }
    }

    fn going_forward(
        &self,
        id: &DeviceId,
        (device, progress): (&'a Device, &DeviceProgress),
        deployment: &Deployment,
        closed: &mut Closed<'a>,
    ) -> Option<Waiting> {
        let phase = progress.phase as usize;
        if !deployment.is_open(progress.phase) {
            let name = deployment.plan.spec.phases.get(phase).map(|p| p.name.as_str()).unwrap_or_default();
            return Some(Waiting::new(WaitCode::Phase, format!("phase {} ({name})", phase + 1)));
        }
        let spec = &deployment.plan.spec;
        let part = deployment.hospitals.get(&device.hospital);
        let is_settled = progress.state.is_some_and(InstallState::is_settled);
        if !is_settled
            && consent_needed(self.state, spec.consent, &device.hospital)
            && part.is_none_or(|p| p.consent.is_none())
            && !progress.is_on_trial()
        {
            return Some(missing_consent(deployment, &device.hospital));
        }
        match progress.state {
            Some(InstallState::RollbackFailed) => return Some(manual_intervention(device)),
            Some(InstallState::RolledBack) => return None,
            Some(InstallState::Confirmed) => {
                let running = &device.firmware_version;
                let detail = format!("the device runs {running}: it was exchanged or flashed by hand");
                return Some(Waiting::new(WaitCode::ReleaseRefused, detail));
            }
            Some(InstallState::Failed) => return of_install(device, deployment),
            // With a reason it does not begin again; one that was not seen may.
            Some(InstallState::Idle) => {
                let found =
                    of_install(device, deployment).filter(|w| !w.detail.is_empty() && !w.detail.contains(UNSEEN));
                if found.is_some() {
                    return found;
                }
            }
            _ => {}
        }
        if let Some(waiting) = self.unheard(id).or_else(|| device.waiting.clone()) {
            return Some(waiting);
        }
        if progress.state == Some(InstallState::Staged) {
            if let Some(held) = &device.held_on_site {
                return Some(Waiting::new(WaitCode::HeldOnSite, &*held.reason).since(Some(held.at)));
            }
            // Agents of earlier versions do not say why.
            let next = closed.entry(&device.hospital).or_insert_with(|| self.closed(deployment, &device.hospital));
            if let Some(next) = *next {
                let detail = next.map_or_else(String::new, |at| format!("the next one opens at {at}"));
                return Some(Waiting::new(WaitCode::Window, detail).until(next));
            }
            if self.presence.device(self.now, self.state.gateway_of(id), id).1.is_some_and(|d| d.in_use) {
                return Some(Waiting::new(WaitCode::InUse, ""));
            }
        }
        if progress.is_on_trial() { None } else { self.absent(id) }
    }

    /// When the next window of a hospital's devices opens, if none is open and they need one.
    fn closed(&self, deployment: &Deployment, hospital: &HospitalId) -> Option<Option<UtcMillis>> {
        let windows = self.state.hospitals.get(hospital).map_or(&[][..], |h| &h.windows);
        let until = self.now.plus_ms(HORIZON_MS);
        let (spans, _) = deployment.plan.spec.spans_of(hospital, windows, self.now, until, 1)?;
        let is_open = spans.iter().any(|w| w.holds(self.now, 0));
        (!is_open).then(|| spans.first().map(|w| w.opens_at))
    }

    /// The gateway of a device, if nothing is heard of it, or nothing that it reports is taken.
    fn unheard(&self, id: &DeviceId) -> Option<Waiting> {
        let gateway = self.state.gateway_of(id);
        let held = gateway.and_then(|g| self.state.gateways.get(g)).filter(|g| g.credentials.is_some());
        let Some((gateway, held)) = gateway.zip(held) else {
            let detail = gateway.map_or_else(String::new, |g| {
                let is_revoked = self.state.gateways.get(g).is_some_and(|held| held.revoked);
                format!("{g} is {}", if is_revoked { "revoked" } else { "not enrolled" })
            });
            return Some(Waiting::new(WaitCode::GatewayMissing, detail));
        };
        let seen = self.presence.gateway(self.now, gateway);
        match seen.standing {
            Standing::Silent | Standing::Offline => {
                Some(Waiting::new(WaitCode::GatewaySilent, gateway.as_str()).since(seen.heard_at))
            }
            // Gateways beat once an hour at least: one that was not heard since a start so long ago is as silent as any.
            Standing::Unknown if self.presence.is_long_up(self.now) => {
                Some(Waiting::new(WaitCode::GatewaySilent, gateway.as_str()))
            }
            Standing::Unknown | Standing::Online => {
                let since = held.healing.held_since.or(held.healing.refused.map(|(_, at)| at))?;
                let detail = format!("{gateway} is {}", held.telemetry_state());
                Some(Waiting::new(WaitCode::TelemetryRefused, detail).since(Some(since)))
            }
        }
    }

    /// Why nothing reaches a device, whatever is asked of it; `None` if its gateway has it.
    pub fn unreachable(&self, id: &DeviceId) -> Option<Waiting> {
        self.unheard(id).or_else(|| self.absent(id))
    }

    /// The device, if its gateway does not have it.
    fn absent(&self, id: &DeviceId) -> Option<Waiting> {
        let (reach, _) = self.presence.device(self.now, self.state.gateway_of(id), id);
        let since = self.presence.last_attached(id);
        (reach == Reach::Detached).then(|| Waiting::new(WaitCode::DeviceNotConnected, "").since(since))
    }

    /// What a deployment waits for: first what it waits for itself, then what its devices wait for; as `own` hospital's people see it, as
    /// everybody else without one. Empty once nothing is left to do.
    pub fn of_deployment(&self, id: &DeploymentId, deployment: &Deployment, own: Option<&HospitalId>) -> Vec<Wait> {
        let sees = |hospital: &HospitalId| own.is_none_or(|own| own == hospital);
        let mut all = self.of_itself(id, deployment, own);
        all.extend(self.not_fresh().filter(|_| deployment.status == Status::Running));
        all.extend(self.devices(deployment, &sees));
        all
    }

    /// What a deployment waits for itself.
    fn of_itself(&self, id: &DeploymentId, deployment: &Deployment, own: Option<&HospitalId>) -> Vec<Wait> {
        let sees = |hospital: &HospitalId| own.is_none_or(|own| own == hospital);
        let mut all = Vec::new();
        match &deployment.status {
            Status::Paused { .. } => all.extend(self.paused(id, deployment, own)),
            Status::RollingBack { .. } | Status::Aborting { .. } => {
                let how = vec!["each gateway reports its devices back, or that one needs manual intervention".into()];
                all.push(Wait::new(Waiting::new(WaitCode::Devices, "")).by(&[], how));
            }
            Status::Running => {
                let current = deployment.phases.get(deployment.current as usize);
                all.extend(current.map(|phase| self.phase(id, deployment, phase, own)));
                let unasked = deployment.hospitals.iter().filter(|(hospital, part)| {
                    sees(hospital)
                        && deployment.is_open(part.phase)
                        && part.consent.is_none()
                        && consent_needed(self.state, deployment.plan.spec.consent, hospital)
                });
                all.extend(unasked.map(|(hospital, _)| {
                    let how = vec![format!("mdfmctl consent {id} --hospital {hospital} --reason ...")];
                    Wait::new(missing_consent(deployment, hospital)).by(&[hospital.as_str()], how)
                }));
            }
            _ => {}
        }
        all
    }

    /// What a deployment waits for itself, one for each reason and hospital.
    pub(super) fn lasting(&self, id: &DeploymentId, deployment: &'a Deployment) -> Vec<Lasting> {
        let (stands_since, bounds) = self.bounds(deployment);
        let of_itself = self.of_itself(id, deployment, None).into_iter().map(|wait| {
            let is_consent = wait.waiting.code == WaitCode::Consent;
            let hospital = wait.waiting.detail.parse().ok().filter(|_| is_consent);
            let since = bounded(wait.waiting.since.unwrap_or(stands_since), bounds);
            Lasting { waiting: wait.waiting, since, hospital, device: None }
        });
        of_itself.collect()
    }

    /// What the devices of a deployment wait for, as far as `is_meant`: the next `max` of them from `next` on, which is moved behind them and `None`
    /// at the end.
    pub(super) fn lasting_of_devices(
        &self,
        deployment: &'a Deployment,
        next: &mut Option<Bound<DeviceId>>,
        max: usize,
        is_meant: &mut dyn FnMut(&Lasting) -> bool,
    ) -> Vec<Lasting> {
        let Some(from) = next.take() else { return Vec::new() };
        let (stands_since, bounds) = self.bounds(deployment);
        let slice: Vec<_> = deployment.devices.range((from, Bound::Unbounded)).take(max).collect();
        *next = slice.last().filter(|_| slice.len() == max).map(|(id, _)| Bound::Excluded((*id).clone()));
        let waiting = self.each_of(deployment, slice.into_iter(), &|_| true).map(|(device_id, device, waiting)| {
            let install = device.install.as_ref().filter(|i| i.manifest == deployment.plan.manifest).map(|i| i.since);
            let contained = deployment.contained.get(&device.hospital).map(|c| c.at);
            let ordered = deployment.called_back_at.or(contained);
            let since = waiting.since.max(ordered).or(install).unwrap_or(stands_since);
            let (hospital, device) = (Some(device.hospital.clone()), Some(device_id.clone()));
            Lasting { since: bounded(since, bounds), waiting, hospital, device }
        });
        waiting.filter(|wait| is_meant(wait)).collect()
    }

    /// Since when a deployment stands where it does, and the first and last time of any wait of it. What a gateway says of the past cannot be
    /// checked: no wait is older than its deployment.
    fn bounds(&self, deployment: &Deployment) -> (UtcMillis, (UtcMillis, UtcMillis)) {
        let from = deployment.created_at;
        let phase = deployment.phases.get(deployment.current as usize).and_then(|phase| phase.status.since());
        (deployment.called_back_at.or(phase).unwrap_or(from), (from, self.judged()))
    }

    /// The reasons of a paused deployment.
    fn paused(&self, id: &DeploymentId, deployment: &Deployment, own: Option<&HospitalId>) -> Vec<Wait> {
        let mut all = Vec::new();
        let lost = firmware::approvals_stand(self.state, &deployment.plan.firmware).err().map(|refusal| refusal.detail);
        // What people of a hospital read is made from their own devices.
        let tally = |count: fn(&Tally) -> u32| -> u32 {
            let opened = deployment.opened().map(|(phase, ..)| tally_for(self.state, deployment, phase, own));
            opened.map(|tally| count(&tally)).sum()
        };
        let failed = tally(|t| t.failed + t.contained_failed);
        let is_contained = deployment.contained.keys().any(|hospital| own.is_none_or(|own| own == hospital));
        // Whose approval it was is for the vendor's people.
        let said = lost.as_deref().map(|lost| if own.is_none() { lost } else { "approvals no longer count" });
        let how = vec![
            first_way(id, &deployment.plan.firmware, said, is_contained, failed > 0),
            format!("mdfmctl rollback {id} --reason ... (Operator, Clinical, Regulatory): rolls back everything"),
            format!("mdfmctl abort {id} --reason ... (Operator, Clinical, Regulatory): leaves what is done"),
        ];
        let paused = deployment.paused.as_ref();
        let since = paused.map(|p| p.at).or_else(|| deployment.contained.values().map(|c| c.at).max());
        // Who it was, for the vendor's people.
        let by = paused.and_then(|p| p.by.as_ref()).filter(|_| own.is_none());
        let detail = by.map_or_else(String::new, |by| format!("by {by}"));
        let waiting = Waiting::new(WaitCode::Decision, detail).since(since);
        let decision = Wait::new(waiting).by(&["Operator", "Clinical", "Regulatory"], how);
        all.push(Wait { held: tally(|t| t.devices - t.withdrawn), ..decision });
        if let Some(lost) = lost {
            let detail = if own.is_none() { lost } else { String::new() };
            all.push(Wait::new(Waiting::new(WaitCode::Approvals, detail)));
        }
        all
    }

    /// What the current phase waits for.
    fn phase(&self, id: &DeploymentId, deployment: &Deployment, phase: &Phase, own: Option<&HospitalId>) -> Wait {
        let spec = deployment.plan.spec.phases.get(deployment.current as usize);
        let role = spec.and_then(|s| s.validation);
        match (&phase.status, role) {
            (PhaseStatus::AwaitingValidation { since }, Some(role)) => {
                let how = vec![format!("mdfmctl validate {id} --role {role} --reason ...")];
                let waiting = Waiting::new(WaitCode::Signature, role.to_string()).since(Some(*since));
                Wait::new(waiting).by(&[&role.to_string()], how)
            }
            (PhaseStatus::Monitoring { since }, _) => {
                let until = since.plus_ms(spec.map_or(0, |s| s.monitoring_ms));
                match phase.gate.as_ref().filter(|gate| !gate.passed && self.judged() >= until) {
                    Some(gate) => {
                        // Its figures are those of the whole fleet.
                        let words = if own.is_none() { gate.explanation.as_str() } else { "" };
                        Wait::new(Waiting::new(WaitCode::Gate, words).since(Some(until)))
                    }
                    None => {
                        let waiting = Waiting::new(WaitCode::Monitoring, "").since(Some(*since)).until(Some(until));
                        Wait::new(waiting).by(&[], vec!["the gate is judged when the time has passed".into()])
                    }
                }
            }
            (PhaseStatus::Deploying { since }, _) => {
                let waiting = Waiting::new(WaitCode::Devices, "").since(Some(*since));
                Wait::new(waiting).by(&[], vec!["enough devices of the phase settle".into()])
            }
            _ => Wait::new(Waiting::new(WaitCode::Devices, "")).by(&[], vec!["the next phase opens".into()]),
        }
    }

    /// A trust document without which gateways start nothing new.
    fn not_fresh(&self) -> Option<Wait> {
        let refusal = authority::need_fresh(self.state, self.judged()).err()?;
        Some(Wait::new(Waiting::new(WaitCode::TrustNotFresh, refusal.detail)))
    }

    /// What each device of an opened phase waits for.
    fn each_device<'b>(
        &'b self,
        deployment: &'b Deployment,
        sees: &'b dyn Fn(&HospitalId) -> bool,
    ) -> impl Iterator<Item = (&'b DeviceId, &'b Device, Waiting)> + 'b {
        self.each_of(deployment, deployment.devices.iter(), sees)
    }

    /// What some devices of opened phases wait for.
    fn each_of<'b>(
        &'b self,
        deployment: &'b Deployment,
        some: impl Iterator<Item = (&'b DeviceId, &'b DeviceProgress)> + 'b,
        sees: &'b dyn Fn(&HospitalId) -> bool,
    ) -> impl Iterator<Item = (&'b DeviceId, &'b Device, Waiting)> + 'b {
        let mut closed = Closed::new();
        some.filter_map(move |(id, progress)| {
            let device = self.state.devices.get(id).filter(|d| sees(&d.hospital))?;
            // Once another deployment has the device, that one says what it waits for.
            let is_newest = device.deployment.as_ref() == Some(&deployment.plan.deployment);
            if !is_newest || !deployment.is_open(progress.phase) || device.retired_at.is_some() {
                return None;
            }
            let waiting = self.in_deployment(id, device, deployment, &mut closed)?;
            // Of the deployment itself these are named already.
            let is_named = matches!(waiting.code, WaitCode::Decision | WaitCode::Consent | WaitCode::Phase);
            (!is_named).then_some((id, device, waiting))
        })
    }

    /// What devices of opened phases wait for, by reason.
    fn devices(&self, deployment: &Deployment, sees: &dyn Fn(&HospitalId) -> bool) -> Vec<Wait> {
        let mut by_code: BTreeMap<WaitCode, Wait> = BTreeMap::new();
        for (id, _, waiting) in self.each_device(deployment, sees) {
            let wait = by_code.entry(waiting.code.clone()).or_insert_with(|| Wait::new(waiting));
            wait.held += 1;
            if wait.devices.len() < NAMED_MAX {
                wait.devices.push(id.clone());
            }
        }
        by_code.into_values().collect()
    }
}

/// How a paused deployment goes on. `lost` says which approval counts no longer: without it nobody can resume.
fn first_way(
    id: &DeploymentId,
    firmware: &FirmwareId,
    lost: Option<&str>,
    is_contained: bool,
    has_failures: bool,
) -> String {
    let resume = format!("mdfmctl resume {id} --reason ...");
    match (lost, is_contained, has_failures) {
        (Some(lost), ..) => format!("{lost} (mdfmctl approve {firmware} ...); then {resume} (Operator)"),
        (None, true, _) => {
            format!("{resume} (Operator): accepts the faults that stand, goes on without the hospitals that went back")
        }
        (None, false, true) => format!("{resume} (Operator): accepts the failures that stand, and goes on"),
        (None, false, false) => format!("{resume} (Operator): goes on; every approval of {firmware} counts"),
    }
}

/// The reason with which a device's installation of the release ended.
fn of_install(device: &Device, deployment: &Deployment) -> Option<Waiting> {
    let install = device.install.as_ref().filter(|i| i.manifest == deployment.plan.manifest)?;
    Some(Waiting::of_failure(&install.detail).since(Some(install.since)))
}

fn manual_intervention(device: &Device) -> Waiting {
    let install = device.install.as_ref();
    let detail = install.map_or("", |i| i.detail.as_str());
    Waiting::new(WaitCode::ManualIntervention, detail).since(install.map(|i| i.since))
}

fn missing_consent(deployment: &Deployment, hospital: &HospitalId) -> Waiting {
    let part = deployment.hospitals.get(hospital);
    let opened = part.and_then(|p| deployment.phases.get(p.phase as usize)).and_then(|phase| match phase.status {
        PhaseStatus::Deploying { since } => Some(since),
        _ => None,
    });
    let since = part.and_then(|p| p.withdrawn_at).or(opened);
    Waiting::new(WaitCode::Consent, hospital.as_str()).since(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_5_the_first_way_out_of_a_pause_names_its_cause() {
        let (id, firmware) = ("D-1".parse().expect("an id"), "FW-22".parse().expect("an id"));
        let way = |lost: Option<&str>, contained, failed| first_way(&id, &firmware, lost, contained, failed);
        let lost = way(Some("the approval of FW-22 by qa as QA no longer counts; QA must approve again"), true, true);
        let (approve, resume) = (lost.find("mdfmctl approve FW-22"), lost.find("then mdfmctl resume D-1"));
        assert!(approve.zip(resume).is_some_and(|(approve, resume)| approve < resume), "{lost}");
        assert!(way(None, true, true).contains("without the hospitals that went back"));
        assert!(way(None, false, true).contains("accepts the failures that stand"));
        let plain = way(None, false, false);
        assert!(plain.contains("every approval of FW-22 counts") && !plain.contains("faults"), "{plain}");
    }
}
