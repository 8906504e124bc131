//! How long records are kept, and what may be disposed of: the longer of the record's own term and the terms of what it is about
//! (21 CFR 11.10(e), DESIGN §9.4). Firmware, approvals and whatever the state rests on never expire.
//!
//! Disposal takes payloads away and keeps every hash. It is proposed by one person and confirmed by another, ordered in the log
//! before and reported in it after. Nothing is disposed of that the replay of the log would miss.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Directive;
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId, HospitalId, UserId};
use mdfm_shared::record::{Actor, AuditRecord, person};
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::{Event, Proposal, Refusal, State};

const YEAR_MS: u64 = 366 * 86_400_000;
/// Years that nobody plans beyond.
const YEARS_MAX: u32 = 200;
/// Holds at once.
const HOLDS_MAX: usize = 1_000;
/// Ids in one record of what was forgotten.
const FORGOTTEN_MAX: usize = 500;
/// A hold on everything.
pub const EVERYTHING: &str = "*";

/// Years that records are kept, by class; the seed's terms are the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// Sign-ins, refusals and whatever belongs to nothing that is kept longer.
    pub audit_years: u32,
    /// After a device was taken out of service.
    pub device_years_after_life: u32,
    /// After a deployment ended, and never less than its devices' records.
    pub deployment_years: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { audit_years: 7, device_years_after_life: 7, deployment_years: 10 }
    }
}

/// Records that must not be disposed of whatever their term: a legal hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// For example `device/D-1`, `hospital/H-1` or `deployment/D-1`; `*` for everything.
    pub object: String,
    pub by: String,
    pub at: UtcMillis,
    pub reason: String,
}

/// What was found to have expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// The time for which it was judged.
    pub at: UtcMillis,
    /// Size of the log that was looked at.
    pub log_size: u64,
    pub entries: u64,
    /// SHA-256 over the indexes of the entries, u64 BE each, in order.
    pub list_sha256: Digest,
}

/// Entries that may go, and what the state no longer needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expired {
    pub entries: BTreeSet<u64>,
    pub devices: Vec<DeviceId>,
    pub deployments: Vec<DeploymentId>,
}

/// A disposal on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disposal {
    pub judged_at: UtcMillis,
    pub log_size: u64,
    pub entries: u64,
    pub list_sha256: Digest,
    /// The terms by which it was judged.
    pub terms: Terms,
    pub proposed_by: String,
    pub confirmed_by: Option<String>,
    pub carried_out_at: Option<UtcMillis>,
}

pub(super) fn set(state: &State, terms: &Terms) -> Result<Event, Refusal> {
    let held = &state.retention;
    for (field, years, least) in [
        ("auditYears", terms.audit_years, held.audit_years),
        ("deviceYearsAfterLife", terms.device_years_after_life, held.device_years_after_life),
        ("deploymentYears", terms.deployment_years, held.deployment_years),
    ] {
        if years < least || years > YEARS_MAX {
            return Err(Refusal::invalid(
                field,
                format!("must be {least} to {YEARS_MAX}: terms only grow, people rely on them"),
            ));
        }
    }
    Ok(Event::RetentionSet { terms: *terms })
}

fn is_object(text: &str) -> bool {
    let known = ["device", "hospital", "gateway", "deployment", "user"];
    text == EVERYTHING || text.split_once('/').is_some_and(|(kind, id)| known.contains(&kind) && !id.is_empty())
}

fn is_name(text: &str) -> bool {
    text.parse::<DeviceId>().is_ok()
}

pub(super) fn place_hold(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    hold: &str,
    object: &str,
    reason: &str,
) -> Result<Event, Refusal> {
    if !is_name(hold) {
        return Err(Refusal::invalid("holdId", "must be an id"));
    }
    if state.holds.contains_key(hold) {
        return Err(Refusal::exists("hold", hold));
    }
    if !is_object(object) {
        let problem = "must be device/ID, hospital/ID, gateway/ID, deployment/ID, user/ID or *";
        return Err(Refusal::invalid("object", problem));
    }
    if let Some((kind, id)) = object.split_once('/')
        && !is_known(state, kind, id)
    {
        return Err(Refusal::not_found(kind, id));
    }
    if state.holds.len() >= HOLDS_MAX {
        return Err(Refusal::conflict("too-many-holds", format!("at most {HOLDS_MAX} holds at once")));
    }
    let placed = Hold { object: object.to_owned(), by: actor.id.clone(), at: now, reason: reason.to_owned() };
    Ok(Event::HoldPlaced { hold: hold.to_owned(), placed })
}

/// Whether there is something of this kind and id that a hold can keep. What was disposed of keeps nothing any more.
fn is_known(state: &State, kind: &str, id: &str) -> bool {
    match kind {
        "device" => id.parse().is_ok_and(|id: DeviceId| state.devices.contains_key(&id)),
        "hospital" => id.parse().is_ok_and(|id| state.hospitals.contains_key::<HospitalId>(&id)),
        "gateway" => id.parse().is_ok_and(|id| state.gateways.contains_key::<GatewayId>(&id)),
        "deployment" => id.parse().is_ok_and(|id: DeploymentId| state.deployments.contains_key(&id)),
        "user" => id.parse().is_ok_and(|id| state.users.contains_key::<UserId>(&id)),
        _ => false,
    }
}

pub(super) fn release_hold(state: &State, hold: &str) -> Result<Event, Refusal> {
    if !state.holds.contains_key(hold) {
        return Err(Refusal::not_found("hold", hold));
    }
    Ok(Event::HoldReleased { hold: hold.to_owned() })
}

fn need<'a>(state: &'a State, disposal: &str) -> Result<&'a Disposal, Refusal> {
    state.disposals.get(disposal).ok_or_else(|| Refusal::not_found("disposal", disposal))
}

pub(super) fn propose(state: &State, actor: &Actor, disposal: &str, judged: &Judged) -> Result<Event, Refusal> {
    if !is_name(disposal) {
        return Err(Refusal::invalid("disposalId", "must be an id"));
    }
    if state.disposals.contains_key(disposal) {
        return Err(Refusal::exists("disposal", disposal));
    }
    // A proposal that nobody confirmed gives way to a newer one.
    let under_way = |d: &Disposal| d.confirmed_by.is_some() && d.carried_out_at.is_none();
    if let Some((open, _)) = state.disposals.iter().find(|(_, d)| under_way(d)) {
        return Err(Refusal::conflict(
            "disposal-open",
            format!("disposal {open} is under way; propose again after it"),
        ));
    }
    if judged.entries == 0 {
        return Err(Refusal::conflict("nothing-expired", "no record's retention has ended; nothing was changed"));
    }
    Ok(Event::DisposalProposed {
        disposal: disposal.to_owned(),
        proposed: Disposal {
            judged_at: judged.at,
            log_size: judged.log_size,
            entries: judged.entries,
            list_sha256: judged.list_sha256,
            terms: state.retention,
            proposed_by: actor.id.clone(),
            confirmed_by: None,
            carried_out_at: None,
        },
    })
}

pub(super) fn confirm(state: &State, actor: &Actor, disposal: &str) -> Result<Event, Refusal> {
    let held = need(state, disposal)?;
    if held.confirmed_by.is_some() {
        return Err(Refusal::conflict("disposal-confirmed", format!("disposal {disposal} is confirmed already")));
    }
    if held.proposed_by == actor.id {
        let detail = format!("{} proposed this disposal; another person must confirm it", actor.id);
        return Err(Refusal::forbidden("same-person", detail));
    }
    if let Some((hold, placed)) = state.holds.iter().find(|(_, h)| h.at > held.judged_at) {
        let detail = format!("hold {hold} on {} is newer than the proposal; propose it again", placed.object);
        return Err(Refusal::conflict("hold", detail));
    }
    if held.terms != state.retention {
        return Err(Refusal::conflict("terms-changed", "terms are longer than when it was judged; propose it again"));
    }
    if let Some((newer, _)) =
        state.disposals.iter().find(|(_, d)| d.confirmed_by.is_some() && d.log_size > held.log_size)
    {
        return Err(Refusal::conflict(
            "disposal-overtaken",
            format!("disposal {newer} came after it; propose it again"),
        ));
    }
    Ok(Event::DisposalConfirmed { disposal: disposal.to_owned(), by: actor.id.clone() })
}

pub(super) fn carried_out(
    state: &State,
    disposal: &str,
    devices: &[DeviceId],
    deployments: &[DeploymentId],
) -> Result<Vec<Proposal>, Refusal> {
    let held = need(state, disposal)?;
    if held.confirmed_by.is_none() || held.carried_out_at.is_some() {
        return Err(Refusal::conflict(
            "disposal-state",
            format!(
                "disposal {disposal} cannot be carried out: a second person has not confirmed it, or it was carried out before"
            ),
        ));
    }
    let in_service = |id: &&DeviceId| state.devices.get(id).is_some_and(|d| d.retired_at.is_none());
    if let Some(device) = devices.iter().find(in_service) {
        return Err(Refusal::conflict(
            "device-in-service",
            format!(
                "disposal {disposal} cannot be carried out: device {device} is in service again; propose another one"
            ),
        ));
    }
    if let Some(id) = deployments.iter().find(|id| state.deployments.get(id).is_some_and(|d| d.is_active())) {
        return Err(Refusal::conflict(
            "deployment-active",
            format!("disposal {disposal} cannot be carried out: deployment {id} still runs; propose another one"),
        ));
    }
    let object = format!("disposal/{disposal}");
    let forgotten = |devices: &[DeviceId], deployments: &[DeploymentId]| {
        let event = Event::Forgotten { devices: devices.to_vec(), deployments: deployments.to_vec() };
        Proposal::new("disposal.forget", object.clone(), event)
    };
    // At least one: sessions that are over are forgotten too.
    let mut proposals = vec![forgotten(&[], &[])];
    proposals.extend(devices.chunks(FORGOTTEN_MAX).map(|part| forgotten(part, &[])));
    proposals.extend(deployments.chunks(FORGOTTEN_MAX).map(|part| forgotten(&[], part)));
    proposals.push(Proposal::new(
        "disposal.carry-out",
        object.clone(),
        Event::DisposalCarriedOut { disposal: disposal.to_owned() },
    ));
    Ok(proposals)
}

/// The end of a term; `None` if it has no end yet.
type End = Option<UtcMillis>;

fn later(a: End, b: End) -> End {
    Some(a?.max(b?))
}

/// The terms of everything that records can be about, at one moment.
struct Ends<'a> {
    state: &'a State,
    devices: BTreeMap<&'a DeviceId, End>,
    deployments: BTreeMap<&'a DeploymentId, End>,
}

impl<'a> Ends<'a> {
    fn of(state: &'a State, last_change: &BTreeMap<DeploymentId, UtcMillis>) -> Self {
        let years = |n: u32| u64::from(n) * YEAR_MS;
        let terms = &state.retention;
        let held: BTreeSet<&str> = state.holds.values().map(|h| h.object.as_str()).collect();
        let is_held = |kind: &str, id: &str| held.contains(format!("{kind}/{id}").as_str());
        let of_life = |id: &DeviceId| -> End {
            // A device that is not there any more was dropped with its records.
            let Some(device) = state.devices.get(id) else { return Some(UtcMillis(0)) };
            let gateway = state.gateway_of(id);
            if is_held("device", id.as_str())
                || is_held("hospital", device.hospital.as_str())
                || gateway.is_some_and(|g| is_held("gateway", g.as_str()))
            {
                return None;
            }
            Some(device.retired_at?.plus_ms(years(terms.device_years_after_life)))
        };
        let mut ends = Self { state, devices: BTreeMap::new(), deployments: BTreeMap::new() };
        for (id, deployment) in &state.deployments {
            let ended = last_change.get(id).copied().unwrap_or(deployment.created_at);
            let over = !deployment.is_active() && !is_held("deployment", id.as_str());
            let own = over.then(|| ended.plus_ms(years(terms.deployment_years)));
            ends.deployments.insert(id, deployment.devices.keys().map(of_life).fold(own, later));
        }
        for id in state.devices.keys() {
            ends.devices.insert(id, of_life(id));
        }
        for (id, deployment) in &state.deployments {
            let end = ends.deployments[id];
            for device in deployment.devices.keys() {
                if let Some(held) = ends.devices.get_mut(device) {
                    *held = later(*held, end);
                }
            }
        }
        ends
    }

    fn device(&self, id: &DeviceId) -> End {
        self.devices.get(id).copied().unwrap_or(Some(UtcMillis(0)))
    }
    fn deployment(&self, id: &DeploymentId) -> End {
        self.deployments.get(id).copied().unwrap_or(Some(UtcMillis(0)))
    }

    /// When the retention of a record ends.
    fn record(&self, record: &AuditRecord) -> End {
        let own = UtcMillis(record.at_ms).plus_ms(u64::from(self.state.retention.audit_years) * YEAR_MS);
        let text = |name: &str| record.event.as_ref().and_then(|e| e[name].as_str());
        let about = match text("type") {
            None | Some("sessionOpened" | "sessionClosed") => self.object(&record.object),
            Some(
                "deviceRegistered" | "deviceChanged" | "deviceRetired" | "deviceDiffers" | "deviceAgrees"
                | "deviceReconciled",
            ) => self.device(&text("device")?.parse().ok()?),
            Some("deploymentCreated" | "deploymentChanged") => self.deployment(&text("deployment")?.parse().ok()?),
            Some("telemetryCommitted") => self.batch(record)?,
            Some("observationsEnded") => {
                let devices = record.event.as_ref().and_then(|e| e["devices"].as_array()).into_iter().flatten();
                let ends = devices.map(|id| self.device(&id.as_str()?.parse().ok()?));
                ends.reduce(later).unwrap_or(Some(UtcMillis(0)))
            }
            Some("directiveIssued") => self.directive(record)?,
            // The state rests on it, or it never expires.
            Some(_) => None,
        };
        later(Some(own), about)
    }

    fn object(&self, object: &str) -> End {
        let (kind, id) = object.split_once('/').unwrap_or((object, ""));
        match kind {
            "firmware" | "recall" | "trust" | "hold" | "disposal" | "retention" => None,
            "device" => id.parse().map_or(Some(UtcMillis(0)), |id| self.device(&id)),
            "deployment" => id.parse().map_or(Some(UtcMillis(0)), |id| self.deployment(&id)),
            _ => Some(UtcMillis(0)),
        }
    }

    fn batch(&self, record: &AuditRecord) -> Option<End> {
        let batch = record.document::<TelemetryBatch>().ok()?.decode_unverified().ok()?;
        let chain = &self.state.gateways.get(&batch.gateway)?.chain;
        // The chain goes on from the newest one.
        if batch.epoch == chain.epoch && batch.sequence >= chain.sequence {
            return None;
        }
        let mut end = Some(UtcMillis(0));
        for event in &batch.events {
            end = event.device.as_ref().map_or(end, |id| later(end, self.device(id)));
            end = event.kind.deployment().map_or(end, |id| later(end, self.deployment(id)));
        }
        Some(end)
    }

    fn directive(&self, record: &AuditRecord) -> Option<End> {
        let directive = record.document::<Directive>().ok()?.decode_unverified().ok()?;
        let newest = self.state.gateways.get(&directive.gateway)?.directive.as_ref()?.serial;
        if directive.serial >= newest {
            return None;
        }
        let mut end = Some(UtcMillis(0));
        for entry in &directive.devices {
            end = later(later(end, self.device(&entry.device)), self.deployment(&entry.deployment));
        }
        Some(end)
    }
}

/// What a record is about, as holds name it.
fn mentions(record: &AuditRecord) -> BTreeSet<String> {
    let mut found = BTreeSet::from([record.object.clone(), format!("user/{}", person(&record.actor.id))]);
    found.extend(record.site.iter().map(|site| format!("hospital/{site}")));
    if let Some(event) = &record.event {
        let places = [event, &event["change"], &event["change"]["scope"]];
        let members = event["change"]["members"].as_array().into_iter().flatten();
        for value in places.into_iter().chain(members) {
            for kind in ["device", "gateway", "hospital", "deployment", "user"] {
                found.extend(value[kind].as_str().map(|id| format!("{kind}/{id}")));
            }
            let devices = value["devices"].as_array().into_iter().flatten().filter_map(|d| d.as_str());
            found.extend(devices.map(|id| format!("device/{id}")));
        }
    }
    if let Ok(Ok(batch)) = record.document::<TelemetryBatch>().map(|d| d.decode_unverified()) {
        for event in &batch.events {
            found.extend(event.device.iter().map(|id| format!("device/{id}")));
            found.extend(event.kind.deployment().map(|id| format!("deployment/{id}")));
        }
    }
    if let Ok(Ok(directive)) = record.document::<Directive>().map(|d| d.decode_unverified()) {
        for entry in &directive.devices {
            found.insert(format!("device/{}", entry.device));
            found.insert(format!("deployment/{}", entry.deployment));
        }
    }
    found
}

/// Finds the entries whose retention has ended: give it every record of the log in order, then ask.
pub struct Judge<'a> {
    now: UtcMillis,
    ends: Ends<'a>,
    held: BTreeSet<&'a str>,
    expired: BTreeMap<u64, Option<DeploymentId>>,
    /// Deployments of which a record stays: then every record of the deployment stays.
    kept: BTreeSet<DeploymentId>,
}

impl<'a> Judge<'a> {
    /// `last_change` is when each deployment was last changed.
    pub fn new(state: &'a State, now: UtcMillis, last_change: &BTreeMap<DeploymentId, UtcMillis>) -> Self {
        Self {
            now,
            ends: Ends::of(state, last_change),
            held: state.holds.values().map(|h| h.object.as_str()).collect(),
            expired: BTreeMap::new(),
            kept: BTreeSet::new(),
        }
    }

    /// Looks at one record.
    pub fn look(&mut self, index: u64, record: &AuditRecord) {
        let is_over = self.ends.record(record).is_some_and(|end| end <= self.now);
        let is_held = is_over
            && !self.held.is_empty()
            && (self.held.contains(EVERYTHING) || mentions(record).iter().any(|m| self.held.contains(m.as_str())));
        let id = |name: &str| record.event.as_ref().and_then(|e| e[name].as_str());
        let deployment = id("deployment").and_then(|d| d.parse().ok());
        if is_over && !is_held {
            self.expired.insert(index, deployment);
        } else {
            self.kept.extend(deployment);
        }
    }

    /// What may go.
    pub fn expired(self) -> Expired {
        let Self { now, ends, held, expired, kept, .. } = self;
        let stays = |deployment: &Option<DeploymentId>| deployment.as_ref().is_some_and(|d| kept.contains(d));
        let entries = expired.into_iter().filter(|(_, d)| !stays(d)).map(|(index, _)| index).collect();
        let is_over = |end: &End| !held.contains(EVERYTHING) && end.is_some_and(|end| end <= now);
        // The record of what is forgotten holds for a replay too, whatever older records a hold keeps.
        let devices = ends.devices.into_iter().filter(|(_, end)| is_over(end)).map(|(id, _)| id.clone()).collect();
        let deployments =
            ends.deployments.into_iter().filter(|(_, end)| is_over(end)).map(|(id, _)| id.clone()).collect();
        Expired { entries, devices, deployments }
    }
}

/// SHA-256 over a list of entries, as [`Judged::list_sha256`] says.
pub fn list_digest(entries: &BTreeSet<u64>) -> Digest {
    let bytes: Vec<u8> = entries.iter().flat_map(|i| i.to_be_bytes()).collect();
    Digest::of(&bytes)
}

/// Lets go of what a replay without the disposed records would never have known.
pub(super) fn forget(state: &mut State, at: UtcMillis, devices: &[DeviceId], deployments: &[DeploymentId]) {
    state.sessions.retain(|_, session| session.expires_at > at);
    state.done.forget(at);
    state.gateways.values_mut().for_each(|gateway| gateway.chain.forget_all_but_last());
    devices.iter().for_each(|id| state.forget_device(id));
    state.inventory.forget_unregistered(&state.devices);
    deployments.iter().for_each(|id| {
        state.deployments.remove(id);
    });
    state.devices.forget_past(at);
}
