//! What the state holds of one object: found by its id, or refused because it is not there; and how records show it.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GatewayId, GroupId, HospitalId, RecallId};
use mdfm_shared::record::person;
use mdfm_shared::trust::{Roster, TrustedRoot};
use serde_json::{Value, json};

use super::super::authority::HeldOrder;
use super::super::firmware::Firmware;
use super::super::fleet::{Device, Gateway, Hospital};
use super::super::group::Group;
use super::super::recall::Recall;
use super::super::rollout::Deployment;
use super::super::{Refusal, trust};
use super::{State, main_gateway, reached_through};

impl State {
    /// The newest trust root.
    pub fn trusted_root(&self) -> Option<&TrustedRoot> {
        self.trusted_root.as_ref()
    }

    /// The gateway through which a device is reached: the one named for it, or the main one of its hospital.
    pub fn gateway_of(&self, id: &DeviceId) -> Option<&GatewayId> {
        reached_through(&self.hospital_gateways, self.devices.get(id)?)
    }

    /// The gateway through which a device like this one is reached.
    pub fn gateway_for<'a>(&'a self, device: &'a Device) -> Option<&'a GatewayId> {
        reached_through(&self.hospital_gateways, device)
    }

    /// The gateway of the hospital's devices for which nobody named one.
    pub fn main_gateway(&self, hospital: &HospitalId) -> Option<&GatewayId> {
        main_gateway(&self.hospital_gateways, hospital)
    }

    /// The devices that are reached through a gateway.
    pub fn devices_of(&self, gateway: &GatewayId) -> Vec<DeviceId> {
        let hospital = self.gateways.get(gateway).map(|g| &g.hospital);
        let main = hospital.filter(|h| self.main_gateway(h) == Some(gateway));
        let named = self.named_devices.get(gateway).into_iter().flatten();
        let unnamed = main.and_then(|h| self.unnamed_devices.get(h)).into_iter().flatten();
        let all: BTreeSet<&DeviceId> = named.chain(unnamed).collect();
        all.into_iter().cloned().collect()
    }

    /// The gateways of a hospital that are not revoked.
    pub fn gateways_of(&self, hospital: &HospitalId) -> impl Iterator<Item = &GatewayId> {
        self.hospital_gateways.get(hospital).into_iter().flat_map(BTreeMap::keys)
    }

    /// The hospital that a user's authority ends at; `None` for the vendor's people.
    pub fn hospital_of_user(&self, actor_id: &str) -> Option<&HospitalId> {
        self.users.get(&person(actor_id).parse().ok()?)?.hospital.as_ref()
    }

    /// The newest deployment of a device.
    pub fn latest_deployment(&self, device: &DeviceId) -> Option<(&DeploymentId, &Deployment)> {
        self.deployments.get_key_value(self.devices.get(device)?.deployment.as_ref()?)
    }

    pub fn need_root(&self) -> Result<&TrustedRoot, Refusal> {
        self.trusted_root
            .as_ref()
            .ok_or_else(|| Refusal::conflict("no-trust-root", "no trust root yet; add one with mdfmctl trust publish"))
    }
    pub fn need_roster(&self) -> Result<&Roster, Refusal> {
        self.roster
            .as_ref()
            .ok_or_else(|| Refusal::conflict("no-roster", "no approver roster yet; add one with mdfmctl trust publish"))
    }
    pub fn need_hospital(&self, id: &HospitalId) -> Result<&Hospital, Refusal> {
        self.hospitals.get(id).ok_or_else(|| Refusal::not_found("hospital", id))
    }
    pub fn need_gateway(&self, id: &GatewayId) -> Result<&Gateway, Refusal> {
        self.gateways.get(id).ok_or_else(|| Refusal::not_found("gateway", id))
    }
    pub fn need_device(&self, id: &DeviceId) -> Result<&Device, Refusal> {
        self.devices.get(id).ok_or_else(|| Refusal::not_found("device", id))
    }
    pub fn need_firmware(&self, id: &FirmwareId) -> Result<&Firmware, Refusal> {
        self.firmware.get(id).ok_or_else(|| Refusal::not_found("firmware", id))
    }
    pub fn need_group(&self, id: &GroupId) -> Result<&Group, Refusal> {
        self.groups.get(id).ok_or_else(|| Refusal::not_found("group", id))
    }
    pub fn need_order(&self, id: &Digest) -> Result<&HeldOrder, Refusal> {
        self.authority.orders.get(id).ok_or_else(|| Refusal::not_found("rollback order", id))
    }
    pub fn need_recall(&self, id: &RecallId) -> Result<&Recall, Refusal> {
        self.recalls.get(id).ok_or_else(|| Refusal::not_found("recall", id))
    }
    pub fn need_deployment(&self, id: &DeploymentId) -> Result<&Deployment, Refusal> {
        self.deployments.get(id).ok_or_else(|| Refusal::not_found("deployment", id))
    }

    /// An object as the before and after of a record show it: what matters of it, never a secret.
    pub fn view(&self, object: &str) -> Option<Value> {
        let (kind, id) = object.split_once('/')?;
        match kind {
            "user" => {
                let user = self.users.get(&id.parse().ok()?)?;
                Some(json!({
                    "printedName": user.printed_name, "roles": user.roles, "hospitalId": user.hospital, "disabled": user.disabled,
                    "secondFactor": user.second_factor.is_some(), "passwordSetAt": user.password_set_at.to_string(),
                    "signingKey": user.signing_key.as_ref().map(|k| &k.public_key), "identity": user.identity,
                    "trainedUntil": user.trained_until.map(|t| t.to_string()), "email": user.email,
                    "subject": user.subject, "issuer": user.issuer,
                }))
            }
            "hospital" => serde_json::to_value(self.hospitals.get(&id.parse().ok()?)?).ok(),
            "gateway" => {
                let gateway = self.gateways.get(&id.parse().ok()?)?;
                Some(json!({
                    "hospital": gateway.hospital,
                    "enrolled": gateway.credentials.is_some(),
                    "revoked": gateway.revoked,
                    "epoch": gateway.chain.epoch,
                    "anomalies": gateway.anomalies.len(),
                }))
            }
            "device" => serde_json::to_value(self.devices.get(&id.parse().ok()?)?).ok(),
            "firmware" => {
                let firmware = self.firmware.get(&id.parse().ok()?)?;
                Some(json!({
                    "version": firmware.version,
                    "model": firmware.model,
                    "status": firmware.status,
                    "approvedBy": firmware.approvals.iter().map(|(r, a)| (r.to_string(), a.user.to_string()))
                        .collect::<BTreeMap<_, _>>(),
                }))
            }
            "deployment" => {
                let deployment = self.deployments.get(&id.parse().ok()?)?;
                Some(json!({
                    "status": deployment.status,
                    "currentPhase": deployment.current + 1,
                    "phases": deployment.phases.iter().map(|p| &p.status).collect::<Vec<_>>(),
                }))
            }
            "recall" => serde_json::to_value(self.recalls.get(&id.parse().ok()?)?).ok(),
            "rollback-order" => {
                let held = self.authority.orders.get(&id.parse().ok()?)?;
                Some(
                    json!({ "label": held.order.label, "expiresAt": held.order.expires_at.to_string(), "expired": held.expired }),
                )
            }
            "group" => self.groups.get(&id.parse().ok()?).map(Group::view),
            "trust" => trust::view(self, id),
            "settings" => serde_json::to_value(&self.settings).ok(),
            "webhook" => serde_json::to_value(self.webhooks.get(id)?).ok(),
            "incident" => serde_json::to_value(self.incidents.get(&id.parse().ok()?)?).ok(),
            "retention" => serde_json::to_value(self.retention).ok(),
            "hold" => serde_json::to_value(self.holds.get(id)?).ok(),
            "disposal" => serde_json::to_value(self.disposals.get(id)?).ok(),
            _ => None,
        }
    }
}
