//! The vendor of a world: keys, people, trust documents, releases.

use std::sync::OnceLock;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, FirmwareId, GatewayId, HospitalId};
use mdfm_shared::manifest::{Component, FirmwareClass, HealthPolicy, Manifest};
use mdfm_shared::sign::{Document, SecretKey, Signed};
use mdfm_shared::telemetry::FirmwareReport;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Cosigner, NoteSigner};
use mdfm_shared::trust::{
    Approval, ApprovalPolicy, Freshness, OrderSigner, Role, RoleKeys, RollbackOrder, Roster, RosterEntry, TrustRoot,
    Withdrawals,
};

use super::act::Act;
use super::device::{HARDWARE, MODEL};
use super::scenario::{Release, Witnesses};

/// When the world begins: Monday, 2 March 2026, 08:00 UTC.
pub(super) const START: UtcMillis = UtcMillis(1_772_438_400_000);
/// The release number of the first release; the factory's is one below.
pub(super) const FIRST_RELEASE: u64 = 22;

const ROOT: u8 = 1;
const RELEASE: u8 = 10;
const REGISTRAR: u8 = 11;
const ONLINE: u8 = 12;
const LOG: u8 = 13;

/// The n-th key. A world's keys are nobody's, and the same in each world: they are made once.
pub(super) fn key(n: u8) -> SecretKey {
    static KEYS: [OnceLock<SecretKey>; 256] = [const { OnceLock::new() }; 256];
    KEYS[usize::from(n)].get_or_init(|| SecretKey::from_seed([n; 32])).clone()
}
pub(super) fn online_key() -> SecretKey {
    key(ONLINE)
}
pub(super) fn log_signer() -> NoteSigner {
    NoteSigner::new("log.example", key(LOG)).expect("a good name")
}
fn signed<T: Document>(document: &T, n: u8) -> Signed<T> {
    Signed::sign(document, &[&key(n)]).expect("small documents")
}
fn role(n: u8) -> RoleKeys {
    RoleKeys { keys: vec![key(n).public()], threshold: 1 }
}

/// The n-th witness of the audit log.
pub(super) fn witness(n: usize) -> Cosigner {
    let key = key(60 + u8::try_from(n).expect("a few witnesses"));
    Cosigner::new(&format!("witness.example/{n}"), key).expect("a good name")
}

/// The first trust root of a world with these witnesses.
pub(super) fn trust_root(witnesses: Option<Witnesses>) -> Signed<TrustRoot> {
    let Witnesses { number, threshold } = witnesses.unwrap_or_default();
    let witnesses = mdfm_shared::trust::Witnesses {
        keys: (0..number).map(|n| witness(n).key().to_vkey()).collect(),
        threshold: u16::try_from(threshold).expect("a few witnesses"),
    };
    let root = TrustRoot {
        version: 1,
        expires_at: UtcMillis(u64::MAX),
        root: role(ROOT),
        release: role(RELEASE),
        registrar: role(REGISTRAR),
        coordinator: role(ONLINE),
        log: log_signer().key().to_vkey(),
        witnesses,
        approvals: ApprovalPolicy::seed(),
    };
    signed(&root, ROOT)
}

/// The approver of a role: user id and key.
pub(super) fn approver(role: Role) -> (&'static str, SecretKey) {
    match role {
        Role::Clinical => ("clinical", key(21)),
        Role::Qa => ("qa", key(22)),
        Role::Regulatory => ("regulatory", key(23)),
    }
}

pub(super) fn roster(version: u64, freshness: Option<Freshness>) -> Signed<Roster> {
    let entries = Role::ALL
        .into_iter()
        .map(|role| {
            let (user, key) = approver(role);
            RosterEntry {
                user: user.parse().expect("a good id"),
                printed_name: user.to_owned(),
                roles: vec![role],
                key: key.public(),
                valid_from: UtcMillis(0),
                valid_until: UtcMillis(u64::MAX),
                revoked: None,
            }
        })
        .collect();
    signed(&Roster { version, entries, freshness }, REGISTRAR)
}

/// Withdrawals as the registrar signs them.
pub(super) fn withdrawals(withdrawals: &Withdrawals) -> Signed<Withdrawals> {
    signed(withdrawals, REGISTRAR)
}

/// The order of one person in role to go back from a release.
pub(super) fn rollback_order(release: usize, manifest: Digest, at: UtcMillis) -> Signed<RollbackOrder> {
    let role = Role::Clinical;
    let (user, key) = approver(role);
    let signer = OrderSigner { user: user.parse().expect("a good id"), printed_name: user.to_owned(), role };
    let order = RollbackOrder {
        label: format!("recall of release {release}"),
        releases: vec![manifest],
        devices: Vec::new(),
        below_floor: false,
        meaning: "I order these devices back".into(),
        reason: "rehearsed".into(),
        issued_at: at,
        expires_at: at.plus_ms(86_400_000),
        signers: vec![signer],
    };
    Signed::sign(&order, &[&key]).expect("small documents")
}

/// What devices left the factory with.
pub(super) fn factory() -> FirmwareReport {
    FirmwareReport {
        version: "2.21.0".into(),
        release_number: FIRST_RELEASE - 1,
        security_version: 1,
        sha256: Digest([FIRST_RELEASE as u8 - 1; 32]),
    }
}

/// The request to register a device as it left the factory.
pub(super) fn new_device(device: &DeviceId, hospital: &HospitalId, gateway: &GatewayId) -> Act {
    Act::Device {
        device: device.clone(),
        model: MODEL.into(),
        hospital: hospital.clone(),
        gateway: gateway.clone(),
        version: factory().version,
    }
}

pub(super) fn firmware_id(n: usize) -> FirmwareId {
    format!("FW-{n}").parse().expect("a good id")
}

/// The manifest of the n-th release, 1 for the first.
pub(super) fn manifest(n: usize, release: &Release) -> Manifest {
    let number = FIRST_RELEASE + n as u64 - 1;
    Manifest {
        firmware_id: firmware_id(n),
        model: MODEL.into(),
        hardware_revisions: vec![HARDWARE.into()],
        version: format!("2.{number}.0"),
        release_number: number,
        security_version: release.security_version,
        class: match release.class.as_str() {
            "emergency" => FirmwareClass::Emergency,
            "recall" => FirmwareClass::Recall,
            _ => FirmwareClass::Standard,
        },
        sha256: Digest([number as u8; 32]),
        components: vec![Component { name: "main".into(), sha256: Digest([number as u8; 32]), size_bytes: 10 }],
        deltas: Vec::new(),
        minimum_release: 0,
        health: HealthPolicy { probation_ms: 20_000, error_budget: 0, silence_limit_ms: 30_000 },
        extra_approvals: Vec::new(),
        sbom_sha256: None,
        recall_window_ms: release.recall_window_s.map(|s| s * 1_000),
        reboots_per_day: None,
    }
}

pub(super) fn signed_manifest(manifest: &Manifest) -> Signed<Manifest> {
    signed(manifest, RELEASE)
}

pub(super) fn approval(manifest: &Signed<Manifest>, role: Role, at: UtcMillis) -> Signed<Approval> {
    let (user, key) = approver(role);
    let approval = Approval {
        manifest: manifest.digest(),
        role,
        user: user.parse().expect("a good id"),
        printed_name: user.to_owned(),
        meaning: format!("I approve as {role}"),
        reason: "rehearsed".into(),
        at,
    };
    Signed::sign(&approval, &[&key]).expect("small documents")
}
