//! Recalls: which devices run the firmware concerned, and whether each of them has left it, also those that are away.

use std::collections::BTreeSet;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, FirmwareId, RecallId};
use mdfm_shared::manifest::is_label;
use mdfm_shared::record::Actor;
use mdfm_shared::sbom::{Part, PartQuery};
use mdfm_shared::telemetry::{FirmwareReport, InstallState, UNSEEN};
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::version::{self, VersionRange};
use serde::{Deserialize, Serialize};

use super::firmware::Firmware;
use super::fleet::Device;
use super::rollout::{Asked, Change, Status};
use super::{Event, Proposal, Refusal, State, authority};

/// Version labels in one recall.
const VERSIONS_MAX: usize = 100;
/// Releases without their bill of materials that a refusal names.
const MISSING_SHOWN: usize = 10;

/// Which firmware on which devices. All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Criteria {
    pub model: String,
    /// Release numbers from and to, both included.
    pub releases: Option<(u64, u64)>,
    /// Version labels, also of firmware that was never released from here.
    pub versions: Vec<String>,
    /// Devices whose UDI begins so.
    pub udi_prefix: Option<String>,
    /// A part of the firmware, and its version if only that one is concerned.
    pub component: Option<(String, Option<String>)>,
    /// A part of the firmware by more than its name; records before it have `component`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartQuery>,
    /// Versions of the firmware between others, also of firmware that was never released from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_range: Option<VersionRange>,
}

impl Criteria {
    /// The part that is asked for.
    fn part(&self) -> Option<PartQuery> {
        let named = || self.component.as_ref().map(|(name, version)| PartQuery::named(name, version.clone()));
        self.part.clone().or_else(named)
    }

    /// Whether firmware is named by its version label.
    fn names_versions(&self) -> bool {
        !self.versions.is_empty() || self.version_range.is_some()
    }

    /// Whether the firmware itself is not narrowed: every version on the devices that fit is concerned.
    fn is_for_every_version(&self) -> bool {
        !self.names_versions() && self.releases.is_none() && self.part().is_none()
    }

    /// Whether a version label is one of those that are named; all are if none is.
    fn has_version(&self, label: &str) -> bool {
        (self.versions.is_empty() || self.versions.iter().any(|v| version::compare(v, label).is_eq()))
            && self.version_range.as_ref().is_none_or(|range| range.holds(label))
    }
}

impl Criteria {
    /// Whether nothing narrows the recall: every release of the model is concerned.
    pub fn is_for_every_release(&self) -> bool {
        let Self { model: _, releases, versions, udi_prefix, component, part, version_range } = self;
        releases.is_none()
            && versions.is_empty()
            && udi_prefix.is_none()
            && component.is_none()
            && part.is_none()
            && version_range.is_none()
    }
}

/// What shall become of the devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum RecallAction {
    /// Running deployments of the firmware end, nothing else is touched.
    Quarantine,
    /// Its deployments are rolled back.
    RollBack,
    /// As `Quarantine`; a deployment of other firmware to the devices of this recall follows.
    Replace,
}

/// A recall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recall {
    pub criteria: Criteria,
    pub action: RecallAction,
    pub reason: String,
    pub opened_by: String,
    pub opened_at: UtcMillis,
    /// Releases that fit when it was opened.
    pub firmware: BTreeSet<FirmwareId>,
    /// Devices that ran such firmware when it was opened.
    pub found: u32,
    pub closed: Option<(String, UtcMillis)>,
}

/// The firmware that fits.
pub(super) fn matching(state: &State, criteria: &Criteria) -> BTreeSet<FirmwareId> {
    let part = criteria.part();
    state
        .firmware
        .iter()
        .filter(|(_, f)| {
            let number = f.manifest.as_ref().map(|m| m.manifest.release_number);
            f.model == criteria.model
                && criteria.releases.is_none_or(|(from, to)| number.is_some_and(|n| (from..=to).contains(&n)))
                && criteria.has_version(&f.version)
                && part.as_ref().is_none_or(|part| f.sbom.iter().any(|found| part.holds(found)))
        })
        .map(|(id, _)| id.clone())
        .collect()
}

/// Whether a device is registered as one of the model, or a gateway observes that it is.
fn is_of_model(state: &State, id: &DeviceId, device: &Device, model: &str) -> bool {
    device.model == model || state.observed(id).is_some_and(|(_, claim)| claim.observed.model == model)
}

struct Concerned {
    digests: BTreeSet<Digest>,
    /// Manifests of its releases.
    manifests: BTreeSet<Digest>,
    /// Whether labels alone name firmware that nobody released from here.
    by_label: bool,
    /// Images of releases that the recall is not about: who runs one has left it.
    others: BTreeSet<Digest>,
}

impl Concerned {
    fn of(state: &State, recall: &Recall) -> Self {
        let known = |id: &FirmwareId| state.firmware.get(id);
        let digests = recall.firmware.iter().filter_map(known).filter_map(|f| f.image.map(|(d, _)| d)).collect();
        let manifests = recall.firmware.iter().filter_map(known).filter_map(|f| f.manifest.as_ref());
        let manifests = manifests.map(|m| m.digest).collect();
        let criteria = &recall.criteria;
        // A part or a release number is not known of such firmware.
        let by_label = criteria.releases.is_none() && criteria.part().is_none() && criteria.names_versions();
        let others = state
            .firmware
            .iter()
            .filter(|(id, f)| f.model == recall.criteria.model && !recall.firmware.contains(*id))
            .filter_map(|(_, f)| f.image.map(|(d, _)| d))
            .collect();
        Self { digests, manifests, by_label, others }
    }

    /// Before a device's first report only its registered version is known.
    fn has(&self, state: &State, criteria: &Criteria, id: &DeviceId, device: &Device) -> bool {
        let left = device.running_sha256.is_some_and(|sha256| self.others.contains(&sha256));
        let every_version = criteria.is_for_every_version() && !left;
        let is_labelled = || self.by_label && criteria.has_version(&device.firmware_version);
        let running = match device.running_sha256 {
            Some(sha256) => self.digests.contains(&sha256) || is_labelled(),
            None => {
                is_labelled()
                    || state.firmware.values().any(|f| {
                        f.model == criteria.model
                            && f.version == device.firmware_version
                            && f.image.is_some_and(|(d, _)| self.digests.contains(&d))
                    })
            }
        };
        let is_of_udi =
            || criteria.udi_prefix.as_ref().is_none_or(|p| device.udi.as_ref().is_some_and(|u| u.starts_with(p)));
        if device.retired_at.is_some() {
            let is_concerned = |found: &FirmwareReport| {
                let is_left = self.others.contains(&found.sha256);
                self.is_named(criteria, found) || (criteria.is_for_every_version() && !is_left)
            };
            return state.runs_although_retired(id, device).is_some_and(is_concerned)
                && is_of_model(state, id, device, &criteria.model)
                && is_of_udi();
        }
        is_of_model(state, id, device, &criteria.model)
            && is_of_udi()
            && (every_version
                || running
                || self.may_install(state, id, device)
                || self.is_claimed(state, criteria, id, device))
    }

    /// Whether a device has begun to install it, or may have: it counts until it is shown to run something else. One that was asked and
    /// has not answered may do so behind a line that is down, and one that its gateway has lost sight of may be on trial.
    fn may_install(&self, state: &State, id: &DeviceId, device: &Device) -> bool {
        let is_release = |firmware: &FirmwareId| {
            state.firmware.get(firmware).and_then(|f| f.image).is_some_and(|(d, _)| self.digests.contains(&d))
        };
        let latest = state.latest_deployment(id).filter(|(_, d)| is_release(&d.plan.firmware));
        let progress = latest.and_then(|(_, d)| d.devices.get(id));
        let is_asked = progress.is_some_and(|p| p.state.is_none() && p.asked != Asked::No);
        device.install.as_ref().map_or(is_asked, |install| {
            let is_lost = install.state == InstallState::RollbackFailed && install.detail.contains(UNSEEN);
            let is_open = !install.state.is_settled() || is_lost;
            is_asked || (is_open && (latest.is_some() || self.manifests.contains(&install.manifest)))
        })
    }

    /// Whether another gateway than its own has the device, with such firmware: nobody has said yet where it is.
    fn is_claimed(&self, state: &State, criteria: &Criteria, id: &DeviceId, device: &Device) -> bool {
        state.claimed_elsewhere(id, device).any(|running| self.is_named(criteria, running))
    }

    /// Whether firmware that a gateway observes is of the recall.
    fn is_named(&self, criteria: &Criteria, running: &FirmwareReport) -> bool {
        self.digests.contains(&running.sha256) || (self.by_label && criteria.has_version(&running.version))
    }
}

/// The devices that still run, or are installing, firmware of the recall.
pub fn outstanding(state: &State, recall: &Recall) -> Vec<DeviceId> {
    let concerned = Concerned::of(state, recall);
    let hit = |(id, device): &(&DeviceId, &Device)| concerned.has(state, &recall.criteria, id, device);
    state.devices.iter().filter(hit).map(|(id, _)| id.clone()).collect()
}

/// How many of the devices of a recall go back by a rollback order alone, and have none.
pub fn awaiting_order(state: &State, recall: &Recall, now: UtcMillis) -> usize {
    if recall.action != RecallAction::RollBack {
        return 0;
    }
    let waits = |id: &DeviceId| {
        let Some(device) = state.devices.get(id) else { return false };
        let need = authority::need_of(state, device, now);
        let runs = device.install.as_ref().map(|i| i.manifest);
        need.is_order() && runs.is_none_or(|m| state.authority.covering(id, m, need, now).is_none())
    };
    outstanding(state, recall).iter().filter(|id| waits(id)).count()
}

/// The open recalls, ready to be asked about many devices.
pub struct Quarantine<'a> {
    state: &'a State,
    open: Vec<(&'a RecallId, &'a Recall, Concerned)>,
}

impl<'a> Quarantine<'a> {
    pub fn new(state: &'a State) -> Self {
        let open = state.recalls.iter().filter(|(_, r)| r.closed.is_none());
        Self { state, open: open.map(|(id, r)| (id, r, Concerned::of(state, r))).collect() }
    }

    /// The open recall that a device is concerned by.
    pub fn of(&self, id: &DeviceId, device: &Device) -> Option<&'a RecallId> {
        self.open.iter().find(|(_, r, c)| c.has(self.state, &r.criteria, id, device)).map(|(id, _, _)| *id)
    }
}

fn check(state: &State, criteria: &Criteria) -> Result<(), Refusal> {
    if !state.devices.iter().any(|(id, d)| is_of_model(state, id, d, &criteria.model)) {
        let detail = format!("no device of model {:?} is registered or observed", criteria.model);
        return Err(Refusal::invalid("deviceModel", detail));
    }
    if criteria.versions.len() > VERSIONS_MAX || !criteria.versions.iter().all(|v| is_label(v)) {
        return Err(Refusal::invalid("versions", format!("at most {VERSIONS_MAX} labels")));
    }
    if criteria.releases.is_some_and(|(from, to)| from > to) {
        return Err(Refusal::invalid("releaseTo", "must not be below releaseFrom"));
    }
    if criteria.udi_prefix.as_ref().is_some_and(|p| !is_label(p)) {
        return Err(Refusal::invalid("udiPrefix", "must be 1 to 128 printable characters"));
    }
    if let Some(part) = criteria.part() {
        part.check().map_err(|e| Refusal::invalid("component", e))?;
        let is_named = |f: &Firmware| f.sbom.iter().any(|found: &Part| part.names(found));
        if !state.firmware.values().any(is_named) {
            return Err(Refusal::invalid("component", unknown_part(state, criteria, &part)));
        }
    }
    Ok(())
}

/// Why a part is found nowhere, and what to do about it.
fn unknown_part(state: &State, criteria: &Criteria, part: &PartQuery) -> String {
    let missing = state.firmware.iter().filter(|(_, f)| f.model == criteria.model && f.missing_sbom().is_some());
    let missing: Vec<String> = missing.map(|(id, _)| id.to_string()).take(MISSING_SHOWN).collect();
    let then = if missing.is_empty() {
        "releases whose manifest names no bill of materials are recalled by release number or version".to_owned()
    } else {
        format!("attach those that are missing (mdfmctl firmware sbom): {}", missing.join(", "))
    };
    format!("no bill of materials on record names {:?}; {then}", part.words())
}

/// Opens a recall: the firmware is withdrawn, its deployments end as `action` says.
pub(super) fn open(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &RecallId,
    criteria: &Criteria,
    action: RecallAction,
    reason: &str,
) -> Result<Vec<Proposal>, Refusal> {
    if state.recalls.contains_key(id) {
        return Err(Refusal::exists("recall", id));
    }
    check(state, criteria)?;
    let mut recall = Recall {
        criteria: criteria.clone(),
        action,
        reason: reason.to_owned(),
        opened_by: actor.id.clone(),
        opened_at: now,
        firmware: matching(state, criteria),
        found: 0,
        closed: None,
    };
    recall.found = u32::try_from(outstanding(state, &recall).len()).unwrap_or(u32::MAX);
    if recall.firmware.is_empty() && recall.found == 0 {
        return Err(Refusal::invalid("recall", "no firmware and no device fits; nothing would be recalled"));
    }
    let firmware = recall.firmware.clone();
    let because = format!("recall {id}: {reason}");
    let mut proposals = vec![
        Proposal::new(
            "recall.open",
            format!("recall/{id}"),
            Event::RecallOpened { recall: id.clone(), opened: Box::new(recall) },
        )
        .because(reason),
    ];
    // A recall by UDI concerns some devices; the firmware may be good on others.
    if criteria.udi_prefix.is_some() {
        return Ok(proposals);
    }
    for firmware in &firmware {
        let event = Event::FirmwareWithdrawn { firmware: firmware.clone() };
        proposals
            .push(Proposal::new("firmware.withdraw", format!("firmware/{firmware}"), event).because(because.clone()));
    }
    for (deployment, held) in state.deployments.iter().filter(|(_, d)| firmware.contains(&d.plan.firmware)) {
        let is_ours = |d: &DeviceId| state.latest_deployment(d).is_some_and(|(latest, _)| latest == deployment);
        let ours = || held.devices.keys().any(is_ours) && held.moved().all(is_ours);
        let change = match (&held.status, action) {
            (Status::Running | Status::Paused { .. }, RecallAction::RollBack) => {
                Change::RollbackStarted { reason: because.clone() }
            }
            (Status::Completed | Status::Aborted { .. }, RecallAction::RollBack) if ours() => {
                Change::RollbackStarted { reason: because.clone() }
            }
            (Status::Planned | Status::Running | Status::Paused { .. }, _) => {
                Change::Aborted { reason: because.clone() }
            }
            _ => continue,
        };
        let event = Event::DeploymentChanged { deployment: deployment.clone(), change };
        proposals.push(
            Proposal::new("deployment.recall", format!("deployment/{deployment}"), event).because(because.clone()),
        );
    }
    Ok(proposals)
}

/// Closes a recall once no device is left on the firmware.
pub(super) fn close(state: &State, now: UtcMillis, actor: &Actor, id: &RecallId) -> Result<Vec<Proposal>, Refusal> {
    let recall = state.need_recall(id)?;
    if let Some((by, at)) = &recall.closed {
        return Err(Refusal::conflict("wrong-step", format!("{by} closed it on {at}")));
    }
    let left = outstanding(state, recall);
    if let Some(first) = left.first() {
        let detail = format!("still on the recalled firmware: {}, {first} first", count(left.len(), "device"));
        return Err(Refusal::conflict("recall-outstanding", detail));
    }
    let event = Event::RecallClosed { recall: id.clone(), by: actor.id.clone(), at: now };
    Ok(vec![
        Proposal::new("recall.close", format!("recall/{id}"), event).because("no device runs the firmware any more"),
    ])
}
