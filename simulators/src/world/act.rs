//! What people do in a world, as the API takes it.

use mdfm_coordinator_core::fleet::NewDevice;
use mdfm_coordinator_core::people::accounts_of;
use mdfm_coordinator_core::rollout::request::{DeploymentJson, WindowJson};
use mdfm_coordinator_core::rollout::{OrderedBack, Scope};
use mdfm_coordinator_core::{Command, Refusal, State};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GatewayId, HospitalId};
use mdfm_shared::manifest::Manifest;
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::sign::{PublicKey, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Approval, RollbackOrder, Roster, RosterEntry, TrustRoot, Validation, Withdrawals};

/// What people do.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Publishes a trust root.
    TrustRoot(Signed<TrustRoot>),
    /// Publishes a roster.
    Roster(Signed<Roster>),
    /// Publishes withdrawals.
    Withdrawals(Signed<Withdrawals>),
    /// Publishes an order to go back.
    RollbackOrder(Signed<RollbackOrder>),
    /// Registers a hospital.
    Hospital { hospital: HospitalId, cohort: Option<String> },
    /// Sets its windows, in the API's JSON, and whether its staff want to be asked.
    HospitalPolicy { hospital: HospitalId, windows_json: String, consent_required: bool },
    /// Registers and enrols a gateway.
    Gateway { gateway: GatewayId, hospital: HospitalId, key: PublicKey },
    /// Enrols a gateway again, which ends the enrolment of before.
    EnrolAgain { gateway: GatewayId, key: PublicKey },
    /// Registers a device.
    Device { device: DeviceId, model: String, hospital: HospitalId, gateway: GatewayId, version: String },
    /// Describes a firmware and stores its image.
    Firmware { firmware: FirmwareId, version: String, model: String, sha256: Digest, size_bytes: u64 },
    /// Attaches the manifest.
    Manifest { firmware: FirmwareId, manifest: Signed<Manifest> },
    /// Approves.
    Approve { firmware: FirmwareId, approval: Signed<Approval> },
    /// Starts a deployment written in the API's JSON.
    Deploy { deployment: DeploymentId, json: String },
    /// Signs at a gate.
    Validate { deployment: DeploymentId, validation: Signed<Validation> },
    /// Pauses.
    Pause { deployment: DeploymentId },
    /// Resumes.
    Resume { deployment: DeploymentId },
    /// Aborts.
    Abort { deployment: DeploymentId },
    /// Rolls everything back.
    RollBack { deployment: DeploymentId },
    /// Rolls one hospital back for a reason that says nothing about the firmware.
    RollBackHospital { deployment: DeploymentId, hospital: HospitalId },
    /// A hospital's staff agree.
    Consent { deployment: DeploymentId, hospital: HospitalId },
}

pub(super) fn person(id: &str) -> Actor {
    Actor { kind: ActorKind::User, id: id.to_owned(), roles: vec![] }
}

/// The commands that an act is.
pub(super) fn commands(state: &State, now: UtcMillis, act: Act) -> Result<Vec<Command>, Refusal> {
    let json = |e: serde_json::Error| Refusal::document("malformed-body", e);
    let reason = || "rehearsed".to_owned();
    Ok(vec![match act {
        Act::TrustRoot(root) => Command::AddTrustRoot { root },
        Act::Roster(roster) => {
            let is_new = |e: &RosterEntry| !state.users.contains_key(&e.user);
            let people = roster.decode_unverified().map(|r| r.entries).unwrap_or_default();
            let accounts = accounts_of(people.iter().filter(|e| is_new(e)));
            return Ok(accounts
                .into_iter()
                .chain([Command::AddRoster { roster, accept_alterations: true, reason: None }])
                .collect());
        }
        Act::Withdrawals(withdrawals) => Command::AddWithdrawals { withdrawals },
        Act::RollbackOrder(order) => Command::AddRollbackOrder { order },
        Act::Hospital { hospital, cohort } => {
            let name = hospital.to_string();
            Command::RegisterHospital { hospital, name, cohort, timezone: None }
        }
        Act::HospitalPolicy { hospital, windows_json, consent_required } => {
            let windows: Vec<WindowJson> = serde_json::from_str(&windows_json).map_err(json)?;
            let windows = windows.iter().map(|w| w.parse("maintenanceWindows")).collect::<Result<_, _>>()?;
            Command::SetHospitalPolicy { hospital, windows, consent_required }
        }
        Act::Gateway { gateway, hospital, key } => {
            let secret_sha256 = Digest::of(gateway.as_str().as_bytes());
            let expires_at = now.plus_ms(1_000);
            let certificate_sha256 = secret_sha256;
            return Ok(vec![
                Command::RegisterGateway { gateway: gateway.clone(), hospital },
                Command::IssueToken { gateway: gateway.clone(), secret_sha256, expires_at, replaces: false },
                Command::Enrol { gateway, secret_sha256, telemetry_key: key, certificate_sha256 },
            ]);
        }
        Act::EnrolAgain { gateway, key } => {
            let secret_sha256 = Digest::of(format!("{gateway} at {now}").as_bytes());
            let (expires_at, certificate_sha256) = (now.plus_ms(1_000), secret_sha256);
            return Ok(vec![
                Command::IssueToken { gateway: gateway.clone(), secret_sha256, expires_at, replaces: true },
                Command::Enrol { gateway, secret_sha256, telemetry_key: key, certificate_sha256 },
            ]);
        }
        Act::Device { device, model, hospital, gateway, version } => Command::RegisterDevice(NewDevice {
            hardware: None,
            serial: device.to_string(),
            device,
            model,
            udi: None,
            hospital,
            gateway: Some(gateway),
            firmware_version: version,
        }),
        Act::Firmware { firmware, version, model, sha256, size_bytes } => {
            return Ok(vec![
                Command::CreateFirmware { firmware: firmware.clone(), version, model, release_notes: String::new() },
                Command::StoreImage { firmware, sha256, size_bytes },
            ]);
        }
        Act::Manifest { firmware, manifest } => Command::AttachManifest { firmware, manifest },
        Act::Approve { firmware, approval } => Command::Approve { firmware, approval },
        Act::Deploy { deployment, json: text } => {
            let parsed: DeploymentJson = serde_json::from_str(&text).map_err(json)?;
            Command::CreateDeployment { deployment, request: Box::new(parsed.parse(None)?) }
        }
        Act::Validate { deployment, validation } => Command::Validate { deployment, validation },
        Act::Pause { deployment } => Command::Pause { deployment, reason: reason() },
        Act::Resume { deployment } => Command::Resume { deployment, reason: reason() },
        Act::Abort { deployment } => Command::Abort { deployment, reason: reason() },
        Act::RollBack { deployment } => {
            Command::Rollback { deployment, scope: Scope::Deployment, cause: OrderedBack::Safety, reason: reason() }
        }
        Act::RollBackHospital { deployment, hospital } => Command::Rollback {
            deployment,
            scope: Scope::Hospital { hospital },
            cause: OrderedBack::Operational,
            reason: reason(),
        },
        Act::Consent { deployment, hospital } => {
            Command::Consent { deployment, hospital, given: true, reason: reason() }
        }
    }])
}
