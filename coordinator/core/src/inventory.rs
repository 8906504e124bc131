//! The two sides of the inventory: what people registered and what gateways observe (decision 0031). What a gateway observes is its
//! claim. The claim of the gateway that a device is registered behind is believed; what others claim is shown, counts in recalls, and
//! moves nothing until a person accepts it.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, GatewayId, HospitalId};
use mdfm_shared::limits::{GATEWAY_DEVICES_MAX, LABEL_CHARS_MAX, REBOOTS_PER_DAY_DEFAULT};
use mdfm_shared::manifest::is_label;
use mdfm_shared::observed::{ObservationDigest, ObservedDevice};
use mdfm_shared::record::Actor;
use mdfm_shared::telemetry::{FirmwareReport, InstallState};
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::fleet::Device;
use super::state::State;
use super::{Event, Proposal, Refusal};

const DAY_MS: u64 = 86_400_000;
/// Characters of a value that a difference shows.
const VALUE_CHARS_MAX: usize = 300;
/// Claims that one difference names.
const CLAIMS_SHOWN: usize = 4;

/// What one gateway says of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// As heartbeats name it.
    pub digest: ObservationDigest,
    pub observed: ObservedDevice,
    /// On the coordinator's clock.
    pub reported_at: UtcMillis,
    /// On the gateway's clock, when it last said what the device runs; 0 in states kept by versions that did not note it.
    #[serde(default)]
    pub said_at: UtcMillis,
    /// Whether the gateway has forgotten since what it saw: it was set back, or replaced, and has not seen the device again. The last word of
    /// it still counts until somebody sees the device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
}

impl Claim {
    /// Whether the gateway has the device now, as far as it knows.
    fn is_present(&self) -> bool {
        self.observed.present && !self.forgotten
    }
}

/// The firmware that a device is expected to run: registered, installed from here, or accepted by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    pub version: String,
    /// `None` while only the registered version is known.
    pub sha256: Option<Digest>,
}

impl Expected {
    fn is(&self, running: &FirmwareReport) -> bool {
        match self.sha256 {
            Some(sha256) => sha256 == running.sha256,
            None => self.version == running.version,
        }
    }
}

/// In what the two sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum DifferenceKind {
    Model,
    Serial,
    Hardware,
    /// The device is behind another gateway than the registered one.
    Gateway,
    /// Several gateways have a device of this id at once.
    Conflict,
    /// It runs firmware that nobody registered, installed from here or accepted.
    Firmware,
    /// Several devices use the id at one gateway and displace each other.
    Contested,
    /// It is registered as out of service and is there.
    Retired,
    /// It rebooted without an order more often than its release tolerates.
    Reboots,
}

impl DifferenceKind {
    /// In words, for notices and records.
    pub fn words(self) -> &'static str {
        match self {
            Self::Model => "another model number",
            Self::Serial => "another serial number",
            Self::Hardware => "another hardware revision",
            Self::Gateway => "behind another gateway",
            Self::Conflict => "behind several gateways at once",
            Self::Firmware => "firmware that was not installed from here",
            Self::Contested => "several devices with this id at one gateway",
            Self::Retired => "out of service and present",
            Self::Reboots => "too many reboots that nobody ordered",
        }
    }
}

/// One difference: what is registered and what is observed, as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub registered: String,
    pub observed: String,
}

/// A difference whose beginning is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    pub since: UtcMillis,
    pub registered: String,
    pub observed: String,
    /// Who said that the registered side is right and the device is to be put right, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Decision>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    pub by: String,
    pub reason: String,
    pub at: UtcMillis,
}

/// Which side is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// The registered side takes what is observed.
    Observed,
    /// The registered side stays; the device is to be put right.
    Registered,
}

/// The registered side of a device as a reconciliation sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    pub model: String,
    pub serial: String,
    pub hardware: Option<String>,
    pub hospital: HospitalId,
    pub gateway: Option<GatewayId>,
    pub expected: Expected,
}

/// Claims and what finds them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Inventory {
    claims: BTreeMap<GatewayId, BTreeMap<DeviceId, Claim>>,
    /// The gateways that claim a device.
    #[serde(skip)]
    claimants: BTreeMap<DeviceId, BTreeSet<GatewayId>>,
    /// By model and serial number.
    #[serde(skip)]
    identities: BTreeMap<(String, String), BTreeSet<DeviceId>>,
    #[serde(skip)]
    udis: BTreeMap<String, BTreeSet<DeviceId>>,
    /// Devices of which a side has changed since the differences were last compared.
    #[serde(skip)]
    pub touched: BTreeSet<DeviceId>,
}

impl Inventory {
    /// The digest of what a gateway last claimed of a device; `NONE` also if it has forgotten it since and must say it again.
    pub fn digest(&self, gateway: &GatewayId, device: &DeviceId) -> ObservationDigest {
        let claim = self.claim(gateway, device).filter(|claim| !claim.forgotten);
        claim.map_or(ObservationDigest::NONE, |claim| claim.digest)
    }

    /// What a gateway claims.
    pub fn of_gateway(&self, gateway: &GatewayId) -> impl Iterator<Item = (&DeviceId, &Claim)> {
        self.claims.get(gateway).into_iter().flatten()
    }

    /// What a gateway claims of a device.
    pub(super) fn claim(&self, gateway: &GatewayId, device: &DeviceId) -> Option<&Claim> {
        self.claims.get(gateway)?.get(device)
    }

    pub(super) fn claims_on<'a>(&'a self, device: &DeviceId) -> impl Iterator<Item = (&'a GatewayId, &'a Claim)> {
        let device = device.clone();
        let claimants = self.claimants.get(&device).into_iter().flatten();
        claimants.filter_map(move |gateway| Some((gateway, self.claim(gateway, &device)?)))
    }

    fn set(&mut self, gateway: &GatewayId, device: &DeviceId, claim: Claim) {
        let held = self.claims.entry(gateway.clone()).or_default();
        if held.len() >= GATEWAY_DEVICES_MAX && !held.contains_key(device) {
            // A gateway has no more devices: the claim that is the longest unchanged is one that it no longer makes.
            let oldest = held.iter().min_by_key(|(_, claim)| claim.reported_at).map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                held.remove(&oldest);
                self.drop_claimant(gateway, &oldest);
            }
        }
        self.claims.entry(gateway.clone()).or_default().insert(device.clone(), claim);
        self.claimants.entry(device.clone()).or_default().insert(gateway.clone());
        self.touched.insert(device.clone());
    }

    fn drop_claimant(&mut self, gateway: &GatewayId, device: &DeviceId) {
        if let Some(gateways) = self.claimants.get_mut(device) {
            gateways.remove(gateway);
            if gateways.is_empty() {
                self.claimants.remove(device);
            }
        }
        self.touched.insert(device.clone());
    }

    /// A gateway does not claim these any more.
    pub(super) fn end(&mut self, gateway: &GatewayId, devices: &[DeviceId]) {
        for device in devices {
            if self.claims.get_mut(gateway).is_some_and(|held| held.remove(device).is_some()) {
                self.drop_claimant(gateway, device);
            }
        }
        self.claims.retain(|_, held| !held.is_empty());
    }

    /// A gateway does not know any more what it claimed of these: its last word stays until somebody sees them.
    pub(super) fn forget(&mut self, gateway: &GatewayId, devices: &[DeviceId]) {
        for device in devices {
            if let Some(claim) = self.claims.get_mut(gateway).and_then(|held| held.get_mut(device)) {
                claim.forgotten = true;
                self.touched.insert(device.clone());
            }
        }
    }

    /// A gateway was revoked. Its last word on registered devices stays until somebody sees them, unless a person has dismissed it; it
    /// claims nothing else any more.
    pub(super) fn revoke(&mut self, gateway: &GatewayId, devices: &BTreeMap<DeviceId, Device>) {
        let is_kept = |id: &DeviceId, claim: &Claim| {
            devices.get(id).is_some_and(|device| device.dismissed.get(gateway) != Some(&claim.digest))
        };
        let (kept, ended): (Vec<_>, Vec<_>) = self.of_gateway(gateway).partition(|(id, claim)| is_kept(id, claim));
        let ids = |claims: Vec<(&DeviceId, &Claim)>| claims.into_iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        let (kept, ended) = (ids(kept), ids(ended));
        self.forget(gateway, &kept);
        self.end(gateway, &ended);
    }

    /// A batch says what a device runs; the claim follows until the next answer replaces it whole.
    pub(super) fn runs(
        &mut self,
        gateway: &GatewayId,
        device: &DeviceId,
        said_at: UtcMillis,
        running: &FirmwareReport,
    ) {
        let is_bounded = running.version.chars().count() <= LABEL_CHARS_MAX;
        let claim = self.claims.get_mut(gateway).and_then(|held| held.get_mut(device));
        if let Some(claim) = claim.filter(|_| is_bounded) {
            claim.observed.running = running.clone();
            claim.said_at = said_at;
            self.touched.insert(device.clone());
        }
    }

    /// Finds a device by what is registered of it.
    pub(super) fn index(&mut self, id: &DeviceId, device: &Device) {
        let identity = (device.model.clone(), device.serial.clone());
        self.identities.entry(identity).or_default().insert(id.clone());
        if let Some(udi) = &device.udi {
            self.udis.entry(udi.clone()).or_default().insert(id.clone());
        }
        self.touched.insert(id.clone());
    }

    /// Forgets what finds a device.
    pub(super) fn unindex(&mut self, id: &DeviceId, device: &Device) {
        let identity = (device.model.clone(), device.serial.clone());
        if let Some(ids) = self.identities.get_mut(&identity) {
            ids.remove(id);
            if ids.is_empty() {
                self.identities.remove(&identity);
            }
        }
        if let Some((udi, ids)) = device.udi.as_ref().and_then(|udi| Some((udi, self.udis.get_mut(udi)?))) {
            ids.remove(id);
            if ids.is_empty() {
                self.udis.remove(udi);
            }
        }
    }

    /// Makes again what follows from claims and devices.
    pub(super) fn index_all(&mut self, devices: &BTreeMap<DeviceId, Device>) {
        let pairs: Vec<(DeviceId, GatewayId)> = self
            .claims
            .iter()
            .flat_map(|(gateway, held)| held.keys().map(|device| (device.clone(), gateway.clone())))
            .collect();
        for (device, gateway) in pairs {
            self.claimants.entry(device).or_default().insert(gateway);
        }
        for (id, device) in devices {
            self.index(id, device);
        }
    }

    /// Forgets claims on devices that are not registered: what a replay without the records of them no longer knows.
    pub(super) fn forget_unregistered(&mut self, devices: &BTreeMap<DeviceId, Device>) {
        let ended: Vec<(GatewayId, DeviceId)> = self
            .claims
            .iter()
            .flat_map(|(gateway, held)| held.keys().map(move |device| (gateway.clone(), device.clone())))
            .filter(|(_, device)| !devices.contains_key(device))
            .collect();
        for (gateway, device) in ended {
            self.end(&gateway, &[device]);
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(VALUE_CHARS_MAX).collect()
}

/// Whether a UDI names one device. A GS1 label without a serial number names a model, or a lot of it.
fn names_one_device(udi: &str) -> bool {
    !udi.starts_with("(01)") || udi.contains("(21)")
}

/// Refuses a second device with the same model and serial number, or the same UDI.
pub(super) fn check_unique(
    state: &State,
    own: &DeviceId,
    model: &str,
    serial: &str,
    udi: Option<&String>,
) -> Result<(), Refusal> {
    let in_service = |ids: Option<&BTreeSet<DeviceId>>| -> Option<DeviceId> {
        let is_other = |id: &&DeviceId| *id != own && state.devices.get(*id).is_some_and(|d| d.retired_at.is_none());
        ids?.iter().find(is_other).cloned()
    };
    if let Some(other) = in_service(state.inventory.identities.get(&(model.to_owned(), serial.to_owned()))) {
        let detail = format!(
            "device {other} is registered as a {model} with the serial number {serial}; correct it, or retire it if it is gone"
        );
        return Err(Refusal::conflict("duplicate-serial", detail));
    }
    if let Some(udi) = udi.filter(|udi| names_one_device(udi))
        && let Some(other) = in_service(state.inventory.udis.get(udi))
    {
        let detail = format!("device {other} is registered with the UDI {udi}; correct it, or retire it if it is gone");
        return Err(Refusal::conflict("duplicate-udi", detail));
    }
    Ok(())
}

/// Rows of one list that name the same device twice.
#[derive(Debug, Default)]
pub struct ListedOnce {
    identities: BTreeSet<(String, String)>,
    udis: BTreeSet<String>,
}

impl ListedOnce {
    /// Notes a row.
    ///
    /// # Errors
    /// An earlier row has its serial number or its UDI.
    pub fn note(&mut self, model: &str, serial: &str, udi: Option<&String>) -> Result<(), String> {
        if !self.identities.insert((model.to_owned(), serial.to_owned())) {
            return Err(format!("a {model} with the serial number {serial} stands in the list twice"));
        }
        match udi.filter(|udi| names_one_device(udi)) {
            Some(udi) if !self.udis.insert(udi.clone()) => Err(format!("the UDI {udi} stands in the list twice")),
            _ => Ok(()),
        }
    }
}

impl State {
    /// A gateway reports the observed state of a device, whether or not the device is registered, or behind this gateway.
    pub(super) fn apply_observed(
        &mut self,
        (at, said_at): (UtcMillis, UtcMillis),
        gateway: &GatewayId,
        device: &DeviceId,
        digest: ObservationDigest,
        observed: &ObservedDevice,
    ) {
        if !observed.is_bounded() {
            return;
        }
        let claim = Claim { digest, observed: observed.clone(), reported_at: at, said_at, forgotten: false };
        self.inventory.set(gateway, device, claim);
        if self.gateway_of(device) == Some(gateway) {
            self.take_claim(at, device);
        }
    }

    /// The device runs what the gateway that it is registered behind says; called where the claim or that gateway changes.
    pub(super) fn take_claim(&mut self, at: UtcMillis, id: &DeviceId) {
        let Some(gateway) = self.gateway_of(id).cloned() else { return };
        let Some(claim) = self.inventory.claim(&gateway, id).cloned() else { return };
        let Some(mut device) = self.devices.get_mut(id).filter(|d| d.retired_at.is_none()) else { return };
        // What another gateway saw once and sees no longer says nothing of a device that is known better.
        if !claim.is_present() && claim.reported_at != at && device.running_sha256.is_some() {
            return;
        }
        device.set_running(&claim.observed.running);
        drop(device);
        self.compare_release(at, id, &claim.observed.running);
        let over = self.reboots_over(at, &claim.observed);
        let Some(device) = self.devices.get(id) else { return };
        // The error is an event of its own; where that was lost the level still counts, once.
        let is_on_release = device
            .install
            .as_ref()
            .is_some_and(|i| matches!(i.state, InstallState::Probation | InstallState::Confirmed));
        let Some(text) = over.filter(|_| is_on_release) else { return };
        let manifest = device.install.as_ref().map(|i| i.manifest);
        if let Some(deployment) = device.deployment.clone().and_then(|d| self.deployments.get_mut(&d))
            && Some(deployment.plan.manifest) == manifest
            && deployment.status != super::rollout::Status::Completed
            && deployment.devices.get(id).is_some_and(|p| p.errors == 0)
        {
            deployment.report_error(at, id, mdfm_shared::telemetry::Severity::Error, &text);
        }
    }

    /// Whether a device that confirmed the release of its newest deployment still runs it: one that somebody exchanged or flashed by hand
    /// counts there no longer.
    pub(super) fn compare_release(&mut self, at: UtcMillis, id: &DeviceId, running: &FirmwareReport) {
        let Some(deployment) = self.devices.get(id).and_then(|d| d.deployment.clone()) else { return };
        let Some(held) = self.deployments.get_mut(&deployment) else { return };
        let Some((image, _)) = self.firmware.get(&held.plan.firmware).and_then(|f| f.image) else { return };
        held.report_running(at, id, running.sha256 == image);
    }

    /// Why a device reboots too often; `None` if it does not.
    fn reboots_over(&self, now: UtcMillis, observed: &ObservedDevice) -> Option<String> {
        let is_recent = observed.last_reboot_at.is_some_and(|at| now.since_ms(at) < DAY_MS);
        if observed.recent_reboots == 0 || !is_recent {
            return None;
        }
        let sha256 = observed.running.sha256;
        let runs = |f: &&super::firmware::Firmware| f.image.is_some_and(|(image, _)| image == sha256);
        let manifest = self.firmware.values().find(runs).and_then(|f| f.manifest.as_ref());
        let budget = manifest.map_or(REBOOTS_PER_DAY_DEFAULT, |m| m.manifest.reboot_budget());
        (observed.recent_reboots > budget).then(|| {
            format!(
                "{} within 24 hours that nobody ordered, at most {budget} {} tolerated",
                count(observed.recent_reboots, "reboot"),
                if budget == 1 { "is" } else { "are" }
            )
        })
    }

    /// The observed side of a device: the claim of its own gateway while it is present there; else the newest claim of another gateway
    /// that has it; else what its own gateway saw last.
    pub fn observed(&self, id: &DeviceId) -> Option<(&GatewayId, &Claim)> {
        let own = self.gateway_of(id);
        let own = self.inventory.claims_on(id).find(|(gateway, _)| Some(*gateway) == own);
        let elsewhere = || self.having(id).into_iter().max_by_key(|(_, claim)| claim.reported_at);
        own.filter(|(_, claim)| claim.is_present()).or_else(elsewhere).or(own)
    }

    /// The gateways that have a device. Where none has it, those that had it when they were last heard of it and have forgotten it since:
    /// it may still run there what they reported.
    fn having(&self, id: &DeviceId) -> Vec<(&GatewayId, &Claim)> {
        let present: Vec<_> = self.inventory.claims_on(id).filter(|(_, claim)| claim.observed.present).collect();
        let (has_it, forgot): (Vec<_>, Vec<_>) = present.into_iter().partition(|(_, claim)| claim.is_present());
        if has_it.is_empty() { forgot } else { has_it }
    }

    /// Running images that other gateways than its own claim of a device: unless somebody has said that the registered side is right.
    pub fn claimed_elsewhere<'a>(
        &'a self,
        id: &'a DeviceId,
        device: &'a Device,
    ) -> impl Iterator<Item = &'a FirmwareReport> {
        let own = self.gateway_for(device);
        let own_has_it = own.and_then(|g| self.inventory.claim(g, id)).is_some_and(Claim::is_present);
        let others = self.having(id).into_iter().filter(move |(gateway, claim)| {
            let is_dismissed = device.dismissed.get(*gateway) == Some(&claim.digest);
            Some(*gateway) != own && !own_has_it && !is_dismissed
        });
        others.map(|(_, claim)| &claim.observed.running)
    }

    /// The observed side as people of one hospital (`own`) may read it: what gateways of other hospitals say of the device is not for them.
    pub fn observed_for(&self, id: &DeviceId, own: Option<&HospitalId>) -> Option<(&GatewayId, &Claim)> {
        let Some(hospital) = own else { return self.observed(id) };
        let at_home = self.gateway_of(id);
        let claims = self.inventory.claims_on(id).filter(|(gateway, claim)| {
            self.is_gateway_of(gateway, hospital) && (claim.observed.present || Some(*gateway) == at_home)
        });
        claims.max_by_key(|(gateway, claim)| (claim.is_present(), Some(*gateway) == at_home, claim.reported_at))
    }

    /// What a device that is retired runs all the same, where a gateway has it and nobody has said that this is expected.
    pub fn runs_although_retired(&self, id: &DeviceId, device: &Device) -> Option<&FirmwareReport> {
        let noted = device.differences.get(&DifferenceKind::Retired);
        if noted.is_some_and(|noted| noted.expected.is_some()) {
            return None;
        }
        let present = self.inventory.claims_on(id).filter(|(_, claim)| claim.is_present());
        present.max_by_key(|(_, claim)| claim.reported_at).map(|(_, claim)| &claim.observed.running)
    }

    /// Whether a claim says where a device is, or something else than is known of it. A revoked gateway has no device any more.
    fn is_news(&self, gateway: &GatewayId, claim: &Claim, device: &Device) -> bool {
        let Claim { observed, .. } = claim;
        self.gateways.get(gateway).is_some_and(|held| !held.revoked)
            || observed.model != device.model
            || observed.serial != device.serial
            || device.running_sha256.is_some_and(|known| known != observed.running.sha256)
    }

    fn is_gateway_of(&self, gateway: &GatewayId, hospital: &HospitalId) -> bool {
        self.gateways.get(gateway).is_some_and(|held| held.hospital == *hospital)
    }

    /// In what the two sides of a device differ now.
    pub fn differences(&self, now: UtcMillis, id: &DeviceId, device: &Device) -> BTreeMap<DifferenceKind, Difference> {
        self.differences_for(now, id, device, None)
    }

    /// The differences as people of one hospital (`own`) may read them: a gateway of another hospital has no name there, nor has what it says.
    pub fn differences_for(
        &self,
        now: UtcMillis,
        id: &DeviceId,
        device: &Device,
        own_hospital: Option<&HospitalId>,
    ) -> BTreeMap<DifferenceKind, Difference> {
        let mut found = BTreeMap::new();
        if !self.inventory.claimants.contains_key(id) {
            return found;
        }
        let mut add = |kind, registered: &str, observed: String| {
            found.insert(kind, Difference { registered: shown(registered), observed: shown(&observed) });
        };
        let place = |(gateway, claim): (&GatewayId, &Claim)| {
            if own_hospital.is_some_and(|hospital| !self.is_gateway_of(gateway, hospital)) {
                return "a gateway of another hospital".to_owned();
            }
            let ObservedDevice { model, serial, running, .. } = &claim.observed;
            format!("{gateway} ({model}, serial number {serial}, firmware {})", running.version)
        };
        let own = self.gateway_for(device);
        let own_claim = own.and_then(|gateway| Some((gateway, self.inventory.claim(gateway, id)?)));
        let having = self.having(id);
        let (has_it, last) = (
            having.iter().filter(|(_, claim)| claim.is_present()).collect::<Vec<_>>(),
            having.iter().max_by_key(|(gateway, claim)| (Some(*gateway) == own, claim.reported_at)),
        );
        if device.retired_at.is_some() {
            if let Some(first) = has_it.first() {
                add(DifferenceKind::Retired, "out of service", place(**first));
            }
            return found;
        }
        let registered_at = own.map_or("no gateway", |g| g.as_str());
        if has_it.len() > 1 {
            let all: Vec<String> = has_it.iter().take(CLAIMS_SHOWN).map(|claim| place(**claim)).collect();
            add(DifferenceKind::Conflict, registered_at, all.join(" and "));
        } else if let Some(only) =
            last.filter(|(gateway, claim)| Some(*gateway) != own && self.is_news(gateway, claim, device))
        {
            add(DifferenceKind::Gateway, registered_at, place(*only));
        }
        let Some((_, Claim { observed, .. })) = own_claim else { return found };
        if observed.model != device.model {
            add(DifferenceKind::Model, &device.model, observed.model.clone());
        }
        if observed.serial != device.serial {
            add(DifferenceKind::Serial, &device.serial, observed.serial.clone());
        }
        if let Some(hardware) = device.hardware.as_ref().filter(|h| **h != observed.hardware) {
            add(DifferenceKind::Hardware, hardware, observed.hardware.clone());
        }
        let is_settled = device.install.as_ref().is_none_or(|i| i.state.is_settled());
        if let Some(expected) = device.expected.as_ref().filter(|e| is_settled && !e.is(&observed.running)) {
            let is_known = self
                .firmware
                .values()
                .any(|f| f.model == device.model && f.image.is_some_and(|(image, _)| image == observed.running.sha256));
            let unknown = if is_known { "" } else { ", of no release here" };
            let running =
                format!("{} (SHA-256 {}{unknown})", observed.running.version, observed.running.sha256.short());
            add(DifferenceKind::Firmware, &expected.version, running);
        }
        if observed.contested {
            add(DifferenceKind::Contested, "one device", "several devices that displace each other".into());
        }
        if let Some(reboots) = self.reboots_over(now, observed) {
            add(DifferenceKind::Reboots, "within the budget of its release", reboots);
        }
        found
    }
}

/// The registered side as it is after it took what is observed.
///
/// # Errors
/// What is observed cannot be registered.
fn take_observed(state: &State, id: &DeviceId, device: &Device) -> Result<Registered, Refusal> {
    let Some((gateway, Claim { observed, .. })) = state.observed(id) else {
        return Err(Refusal::conflict("not-observed", format!("no gateway has reported device {id}")));
    };
    for (field, text) in [("model", &observed.model), ("serial number", &observed.serial)] {
        if !is_label(text) {
            let detail = format!("the observed {field} is not 1 to 128 printable characters; put the device right");
            return Err(Refusal::conflict("observed-unusable", detail));
        }
    }
    let held = state.need_gateway(gateway)?;
    let hospital = held.hospital.clone();
    let moves = !held.revoked && state.gateway_for(device) != Some(gateway);
    if let Some((deployment, _)) =
        state.latest_deployment(id).filter(|(_, d)| d.is_active() && (moves || device.model != observed.model))
    {
        let detail =
            format!("device {id} is part of {deployment}, which is not over; accept what is observed afterwards");
        return Err(Refusal::conflict("device-in-deployment", detail));
    }
    // Two devices that changed places are put right one after the other: a registration that is observed to be wrong is in nobody's way.
    let is_wrong = |other: &DeviceId, held: &Device| {
        state.observed(other).is_some_and(|(_, claim)| claim.observed.serial != held.serial)
    };
    let identity = (observed.model.clone(), observed.serial.clone());
    let holders = state.inventory.identities.get(&identity).into_iter().flatten().filter(|other| *other != id);
    for other in holders {
        if state.devices.get(other).is_some_and(|held| held.retired_at.is_none() && !is_wrong(other, held)) {
            let (model, serial) = identity;
            let detail =
                format!("device {other} is registered as a {model} with the serial number {serial}; retire it first");
            return Err(Refusal::conflict("duplicate-serial", detail));
        }
    }
    let running = &observed.running;
    let is_on_trial = device.install.as_ref().is_some_and(|i| !i.state.is_settled());
    let expected = Expected { version: running.version.clone(), sha256: Some(running.sha256) };
    Ok(Registered {
        model: observed.model.clone(),
        serial: observed.serial.clone(),
        // What nobody registered is registered once somebody looks at it.
        hardware: Some(observed.hardware.clone()).filter(|h| is_label(h)).or_else(|| device.hardware.clone()),
        gateway: if moves { Some(gateway.clone()) } else { device.gateway.clone() },
        hospital: if moves { hospital } else { device.hospital.clone() },
        expected: device.expected.clone().filter(|_| is_on_trial).unwrap_or(expected),
    })
}

/// Ends the differences of a device by saying which side is right.
pub(super) fn reconcile(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &DeviceId,
    right: Side,
    reason: &str,
) -> Result<Vec<Proposal>, Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal::invalid("reason", "must say why"));
    }
    let device = state.need_device(id)?;
    if device.retired_at.is_some() && right == Side::Observed {
        let detail = format!("device {id} is retired; register the device that is there under an id of its own");
        return Err(Refusal::conflict("device-retired", detail));
    }
    let found = state.differences(now, id, device);
    if found.is_empty() {
        return Err(Refusal::conflict("no-difference", format!("both sides of device {id} agree")));
    }
    // No registration ends that several devices answer, or that one reboots.
    let ends = |kind: &DifferenceKind| {
        !matches!(kind, DifferenceKind::Conflict | DifferenceKind::Contested | DifferenceKind::Reboots)
    };
    let registered = match right {
        Side::Observed if found.contains_key(&DifferenceKind::Conflict) => {
            let detail = format!(
                "several gateways have a device {id}; find out which is the right one, then take the other away or expect the registered side"
            );
            return Err(Refusal::conflict("conflicting-observations", detail));
        }
        Side::Observed if !found.keys().any(ends) => {
            let detail = format!("there is nothing to take over for device {id}: the device itself needs attention");
            return Err(Refusal::conflict("no-difference", detail));
        }
        Side::Observed => Some(take_observed(state, id, device)?),
        Side::Registered => None,
    };
    let kinds: Vec<DifferenceKind> =
        found.keys().copied().filter(|kind| right == Side::Registered || ends(kind)).collect();
    let event = Event::DeviceReconciled {
        device: id.clone(),
        right,
        kinds,
        by: actor.id.clone(),
        reason: reason.to_owned(),
        registered: registered.clone(),
    };
    let mut proposals = vec![Proposal::new("device.reconcile", format!("device/{id}"), event).because(reason)];
    let Some(registered) = registered else { return Ok(proposals) };
    let moved = Device {
        model: registered.model,
        serial: registered.serial,
        hardware: registered.hardware,
        hospital: registered.hospital,
        gateway: registered.gateway,
        expected: Some(registered.expected),
        ..device.clone()
    };
    if (&moved.model, &moved.hospital, &moved.gateway) != (&device.model, &device.hospital, &device.gateway) {
        // Where it is now, or for its model, a deployment may be on its way that takes in who comes later.
        proposals.extend(super::rollout::plan::joins(state, id, &moved));
    }
    Ok(proposals)
}

/// Moves the state by a reconciliation.
pub(super) fn apply_reconciled(
    state: &mut State,
    at: UtcMillis,
    id: &DeviceId,
    kinds: &[DifferenceKind],
    decision: &Decision,
    registered: Option<Registered>,
) {
    let own = state.gateway_of(id).cloned();
    let claims: Vec<(GatewayId, ObservationDigest)> =
        state.inventory.claims_on(id).map(|(gateway, claim)| (gateway.clone(), claim.digest)).collect();
    let Some(mut device) = state.devices.get_mut(id) else { return };
    let Some(registered) = registered else {
        for kind in kinds {
            let noted = device.differences.entry(*kind).or_insert_with(|| Noted {
                since: at,
                registered: String::new(),
                observed: String::new(),
                expected: None,
            });
            noted.expected = Some(decision.clone());
        }
        device.dismissed = claims.into_iter().filter(|(gateway, _)| Some(gateway) != own.as_ref()).collect();
        return;
    };
    let before = device.clone();
    device.model = registered.model;
    device.serial = registered.serial;
    device.hardware = registered.hardware;
    device.hospital.clone_from(&registered.hospital);
    device.gateway.clone_from(&registered.gateway);
    device.waiting = None;
    device.expected = Some(registered.expected);
    device.dismissed.clear();
    device.differences.retain(|kind, _| !kinds.contains(kind));
    let after = device.clone();
    drop(device);
    state.inventory.unindex(id, &before);
    state.inventory.index(id, &after);
    let from = (&before.hospital, before.gateway.as_ref());
    state.move_device(id, from, (&registered.hospital, registered.gateway.as_ref()));
    if state.gateway_of(id) != own.as_ref() {
        state.take_claim(at, id);
    }
}

/// The records of differences that began or ended since they were last compared.
pub(super) fn compare(
    id: &DeviceId,
    device: &Device,
    found: &BTreeMap<DifferenceKind, Difference>,
    stands: &dyn Fn(DifferenceKind) -> bool,
) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    for (kind, difference) in found.iter().filter(|(kind, _)| !device.differences.contains_key(kind) && stands(**kind))
    {
        let Difference { registered, observed } = difference.clone();
        let reason = format!("{}: registered {registered}; observed {observed}", kind.words());
        let event = Event::DeviceDiffers { device: id.clone(), kind: *kind, registered, observed };
        proposals.push(Proposal::new("device.differs", format!("device/{id}"), event).because(reason));
    }
    for kind in device.differences.keys().filter(|kind| !found.contains_key(kind)) {
        let reason = format!("no longer: {}", kind.words());
        let event = Event::DeviceAgrees { device: id.clone(), kind: *kind };
        proposals.push(Proposal::new("device.agrees", format!("device/{id}"), event).because(reason));
    }
    proposals
}

/// A gateway does not speak of devices any more that it claimed, or has `forgotten` what it saw of them.
pub(super) fn end_observations(
    state: &State,
    gateway: &GatewayId,
    devices: &[DeviceId],
    forgotten: &[DeviceId],
) -> Result<Event, Refusal> {
    state.need_gateway(gateway)?;
    let claimed = |ids: &[DeviceId], is_meant: &dyn Fn(&Claim) -> bool| -> Vec<DeviceId> {
        let held = ids.iter().filter(|id| state.inventory.claim(gateway, id).is_some_and(is_meant));
        held.take(GATEWAY_DEVICES_MAX).cloned().collect()
    };
    let (ended, forgotten) = (claimed(devices, &|_| true), claimed(forgotten, &|claim| !claim.forgotten));
    if ended.is_empty() && forgotten.is_empty() {
        return Err(Refusal::conflict("not-observed", format!("gateway {gateway} claims none of these devices")));
    }
    Ok(Event::ObservationsEnded { gateway: gateway.clone(), devices: ended, forgotten })
}
