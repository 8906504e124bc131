//! Groups of devices that deployments name: listed one by one, or whatever a query finds when it is asked.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, GroupId};
use mdfm_shared::manifest::is_label;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::filter::Filter;
use super::fleet::Device;
use super::rollout::spec::Membership;
use super::{Event, Proposal, Refusal, State};

/// Groups of one coordinator.
const GROUPS_MAX: usize = 1_000;
/// Devices listed in one group; a query has no such bound.
const LISTED_MAX: usize = 20_000;
/// Bytes of a query.
const QUERY_BYTES_MAX: usize = 2_000;
/// Bytes of device ids in one record.
const RECORD_BYTES_MAX: usize = 40_000;

/// What a query may ask of a device: what the log says of it, and nothing that changes from heartbeat to heartbeat.
const FIELDS: [&str; 9] = [
    "deviceId",
    "modelNumber",
    "serialNumber",
    "udi",
    "hospitalId",
    "hospitalCohort",
    "gatewayId",
    "currentFirmwareVersion",
    "runningSha256",
];

/// Which devices are in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Members {
    /// These.
    Listed(BTreeSet<DeviceId>),
    /// All of which this filter holds.
    Query(String),
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    pub members: Members,
}

/// A group, ready to be asked about many devices.
pub enum Chosen<'a> {
    Listed(&'a BTreeSet<DeviceId>),
    Query(Filter),
}

/// A field of a device as a query sees it.
fn field(state: &State, id: &DeviceId, device: &Device, name: &str) -> Result<Cow<'static, Value>, Refusal> {
    let value = match name {
        "deviceId" => json!(id),
        "modelNumber" => json!(device.model),
        "serialNumber" => json!(device.serial),
        "udi" => json!(device.udi),
        "hospitalId" => json!(device.hospital),
        "hospitalCohort" => json!(state.hospitals.get(&device.hospital).and_then(|h| h.cohort.as_ref())),
        "gatewayId" => json!(state.gateway_for(device)),
        "currentFirmwareVersion" => json!(device.firmware_version),
        "runningSha256" => json!(device.running_sha256.map(|d| d.to_string())),
        other => return Err(no_field(other)),
    };
    Ok(Cow::Owned(value))
}

fn no_field(name: &str) -> Refusal {
    Refusal::invalid("query", format!("there is no field {name:?} to ask for; there are {}", FIELDS.join(", ")))
}

impl Group {
    /// The group as something to ask.
    pub fn chosen(&self) -> Chosen<'_> {
        match &self.members {
            Members::Listed(devices) => Chosen::Listed(devices),
            // It was checked when it was set; what cannot be read any more finds nothing.
            Members::Query(query) => match Filter::stored(query) {
                Ok(filter) => Chosen::Query(filter),
                Err(_) => Chosen::Listed(const { &BTreeSet::new() }),
            },
        }
    }

    /// As a record shows it before and after.
    pub fn view(&self) -> Value {
        match &self.members {
            Members::Query(query) => json!({ "name": self.name, "query": query }),
            Members::Listed(devices) => {
                let list: String = devices.iter().map(|d| format!("{d}\n")).collect();
                json!({ "name": self.name, "devices": devices.len(), "devicesSha256": Digest::of(list.as_bytes()) })
            }
        }
    }
}

impl Chosen<'_> {
    /// Whether a device is in the group. Retired ones are in none.
    pub fn holds(&self, state: &State, id: &DeviceId, device: &Device) -> bool {
        device.retired_at.is_none()
            && match self {
                Self::Listed(devices) => devices.contains(id),
                Self::Query(filter) => filter.holds(|name| field(state, id, device, name)).unwrap_or(false),
            }
    }
}

/// Checks a group and gives the records that make it so: of a list, who comes and who goes.
pub(super) fn set(state: &State, id: &GroupId, new: &Group, reason: &str) -> Result<Vec<Proposal>, Refusal> {
    if !is_label(&new.name) {
        return Err(Refusal::invalid("name", "must be 1 to 128 printable characters"));
    }
    let held = state.groups.get(id);
    if held.is_none() && state.groups.len() >= GROUPS_MAX {
        return Err(Refusal::conflict("too-many", format!("there are {GROUPS_MAX} groups already; remove one")));
    }
    let none = BTreeSet::new();
    let before = match held.map(|h| &h.members) {
        Some(Members::Listed(devices)) => devices,
        _ => &none,
    };
    let (query, listed) = match &new.members {
        Members::Query(query) => {
            let filter = Filter::parse(query).map_err(|e| Refusal::invalid("query", e.detail))?;
            if filter.is_empty() || query.len() > QUERY_BYTES_MAX {
                let problem = format!("must be a condition or more, at most {QUERY_BYTES_MAX} bytes");
                return Err(Refusal::invalid("query", problem));
            }
            if filter.has_quoted_star() {
                return Err(Refusal::invalid("query", "a quoted value of a group's query must not end in a star"));
            }
            filter.check(
                |name| {
                    if FIELDS.contains(&name) { Ok(Cow::Owned(Value::Null)) } else { Err(no_field(name)) }
                },
            )?;
            (Some(query.clone()), &none)
        }
        Members::Listed(devices) => {
            if devices.len() > LISTED_MAX {
                let problem = format!("at most {LISTED_MAX} devices are listed; a query has no such bound");
                return Err(Refusal::invalid("devices", problem));
            }
            // Who is in it already may have been retired, or be gone.
            devices.difference(before).try_for_each(|device| state.need_device(device).map(drop))?;
            (None, devices)
        }
    };
    let object = format!("group/{id}");
    let event = Event::GroupSet { group: id.clone(), name: new.name.clone(), query };
    let mut proposals = vec![Proposal::new("group.set", object.clone(), event).because(reason)];
    let changes = [(false, before.difference(listed)), (true, listed.difference(before))];
    for (joins, devices) in changes {
        for devices in pieces(devices) {
            let event = Event::GroupMembersChanged { group: id.clone(), joins, devices };
            proposals.push(Proposal::new("group.members", object.clone(), event).because(reason));
        }
    }
    Ok(proposals)
}

/// Devices in pieces that fit one record each.
fn pieces<'a>(devices: impl Iterator<Item = &'a DeviceId>) -> Vec<Vec<DeviceId>> {
    let (mut all, mut bytes) = (Vec::<Vec<DeviceId>>::new(), RECORD_BYTES_MAX);
    for device in devices {
        let size = device.as_str().len() + 3;
        bytes += size;
        if bytes > RECORD_BYTES_MAX {
            all.push(Vec::new());
            bytes = size;
        }
        all.last_mut().expect("a piece was begun").push(device.clone());
    }
    all
}

/// The deployment that new devices of a group join.
pub fn joined_by<'a>(state: &'a State, id: &GroupId) -> Option<&'a DeploymentId> {
    let asks = state.deployments.iter().find(|(_, d)| {
        let spec = &d.plan.spec;
        d.is_active() && spec.membership == Membership::Dynamic && spec.group.as_ref() == Some(id)
    });
    asks.map(|(deployment, _)| deployment)
}

/// Removes a group; not while a deployment lets its new devices join.
pub(super) fn remove(state: &State, id: &GroupId, reason: &str) -> Result<Vec<Proposal>, Refusal> {
    state.need_group(id)?;
    if let Some(deployment) = joined_by(state, id) {
        let detail = format!("devices of group {id} still join the deployment {deployment}; end that first");
        return Err(Refusal::conflict("in-use", detail));
    }
    let event = Event::GroupRemoved { group: id.clone() };
    Ok(vec![Proposal::new("group.remove", format!("group/{id}"), event).because(reason)])
}

/// What a record says of a group's members.
pub(super) fn change_members(group: &mut Group, joins: bool, devices: Vec<DeviceId>) {
    if let Members::Listed(listed) = &mut group.members {
        for device in devices {
            if joins {
                listed.insert(device);
            } else {
                listed.remove(&device);
            }
        }
    }
}
