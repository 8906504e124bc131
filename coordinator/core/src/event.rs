//! What changed. Every variant is a record of the audit log; variants are added, never altered, because old logs are replayed.

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, FirmwareId, GatewayId, GroupId, HospitalId, IncidentId, RecallId, UserId};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Role;
use serde::{Deserialize, Serialize};

use super::access::AccessRole;
use super::authority::Concern;
use super::expiry::ExpiryKind;
use super::firmware::{LostApproval, Statement};
use super::fleet::{Anomaly, Particulars};
use super::incident::IncidentChange;
use super::inventory::{DifferenceKind, Registered, Side};
use super::long_wait::WaitKey;
use super::notice::Webhook;
use super::people::{PersonChange, Proof};
use super::recall::Recall;
use super::retention::{Disposal, Hold, Terms};
use super::rollout::window::Weekly;
use super::rollout::{Change, NewDeployment};
use super::settings::Settings;

/// A place in the store that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    pub file: String,
    pub position: u64,
    pub entry: u64,
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    UserCreated {
        user: UserId,
        printed_name: String,
        roles: Vec<AccessRole>,
        hospital: Option<HospitalId>,
        credential: Digest,
    },
    SessionOpened {
        user: UserId,
        token_sha256: Digest,
        expires_at: UtcMillis,
        /// The second factor, if it was shown.
        proof: Option<Proof>,
        /// The OpenID provider that vouches; none where the password was given.
        issuer: Option<String>,
    },
    SessionClosed {
        token_sha256: Digest,
    },
    PersonChanged {
        user: UserId,
        #[serde(flatten)]
        change: PersonChange,
    },
    SettingsSet {
        settings: Settings,
    },
    /// The installation is a trial; the first record of its log says so.
    TrialDeclared,
    WebhookSet {
        webhook: String,
        set: Webhook,
    },
    WebhookRemoved {
        webhook: String,
    },
    IncidentChanged {
        incident: IncidentId,
        #[serde(flatten)]
        change: IncidentChange,
    },
    /// Other particulars of a device; the whole of what may change.
    DeviceChanged {
        device: mdfm_shared::id::DeviceId,
        particulars: Particulars,
    },
    /// The record carries the signed root.
    TrustRootAdded {
        version: u64,
        digest: Digest,
    },
    /// The record carries the signed roster.
    RosterAdded {
        version: u64,
    },
    /// The record carries the signed withdrawals.
    WithdrawalsAdded {
        version: u64,
    },
    /// The record carries the signed order.
    RollbackOrderAdded {
        order: Digest,
        label: String,
        by: String,
    },
    RollbackOrderExpired {
        order: Digest,
    },
    /// A trust document expires, has expired or is missing; `days` are left.
    TrustWarned {
        concern: Concern,
        version: u64,
        days: u32,
    },
    /// Something else that ends at a known time is near its end, or has ended; `days` are left.
    ExpiryWarned {
        kind: ExpiryKind,
        /// Under which the warning is remembered: the kind and the object.
        key: String,
        label: String,
        expires_at: UtcMillis,
        days: u32,
        /// Whose it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<UserId>,
    },
    /// Somebody whom the coordinator calls showed another certificate than before.
    CertificateSeen {
        kind: ExpiryKind,
        label: String,
        expires_at: UtcMillis,
    },
    /// Waits of a deployment last longer than a rule says.
    WaitNoted {
        wait: WaitKey,
        /// When the first of them began.
        since: UtcMillis,
        /// How many wait: devices, or hospitals, or the deployment itself.
        waits: u64,
        /// Hospitals that are notified for the first time.
        hospitals: Vec<HospitalId>,
        /// Whether it is news for their staff alone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_for_hospitals: bool,
    },
    /// What was noted has ended.
    WaitEnded {
        wait: WaitKey,
        /// Hospitals that were notified.
        hospitals: Vec<HospitalId>,
        /// Whether it is news for their staff alone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_for_hospitals: bool,
    },
    /// The coordinator's clock is behind the last record: records get that record's time until it has caught up.
    ClockBehind {
        behind_ms: u64,
        /// It was said before: this record keeps the time that has passed since then, for a restart.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_known: bool,
    },
    ClockCaughtUp,
    HospitalRegistered {
        hospital: HospitalId,
        name: String,
        cohort: Option<String>,
        timezone: Option<String>,
    },
    /// The whole of what may change beside its policy.
    HospitalChanged {
        hospital: HospitalId,
        name: String,
        cohort: Option<String>,
        timezone: Option<String>,
    },
    /// A group by query; without one it is a list, which other records fill.
    GroupSet {
        group: GroupId,
        name: String,
        query: Option<String>,
    },
    GroupMembersChanged {
        group: GroupId,
        /// Whether they come, or go.
        joins: bool,
        devices: Vec<mdfm_shared::id::DeviceId>,
    },
    GroupRemoved {
        group: GroupId,
    },
    HospitalPolicySet {
        hospital: HospitalId,
        windows: Vec<Weekly>,
        consent_required: bool,
    },
    GatewayRegistered {
        gateway: GatewayId,
        hospital: HospitalId,
    },
    EnrolmentTokenIssued {
        gateway: GatewayId,
        secret_sha256: Digest,
        expires_at: UtcMillis,
    },
    GatewayEnrolled {
        gateway: GatewayId,
        epoch: u64,
        telemetry_key: String,
        certificate_sha256: Digest,
    },
    CertificateRenewed {
        gateway: GatewayId,
        certificate_sha256: Digest,
        previous_sha256: Digest,
        previous_until: UtcMillis,
        /// Whether the certificate before was itself new: its answer was lost, or somebody else has the gateway's key.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_repeated: bool,
    },
    GatewayRevoked {
        gateway: GatewayId,
    },
    DeviceRegistered {
        device: mdfm_shared::id::DeviceId,
        model: String,
        serial: String,
        udi: Option<String>,
        hospital: HospitalId,
        gateway: Option<GatewayId>,
        firmware_version: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hardware: Option<String>,
    },
    /// What gateways observe of a device begins to differ from what is registered.
    DeviceDiffers {
        device: mdfm_shared::id::DeviceId,
        kind: DifferenceKind,
        registered: String,
        observed: String,
    },
    /// It differs no longer.
    DeviceAgrees {
        device: mdfm_shared::id::DeviceId,
        kind: DifferenceKind,
    },
    /// Somebody said which side is right.
    DeviceReconciled {
        device: mdfm_shared::id::DeviceId,
        right: Side,
        kinds: Vec<DifferenceKind>,
        by: String,
        reason: String,
        /// The registered side from then on, where it took what is observed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registered: Option<Registered>,
    },
    /// A gateway's heartbeat no longer names devices that it claimed, or no state of them.
    ObservationsEnded {
        gateway: GatewayId,
        devices: Vec<mdfm_shared::id::DeviceId>,
        /// Those that it names without a state: its last word of them stays until somebody sees them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        forgotten: Vec<mdfm_shared::id::DeviceId>,
    },
    FirmwareCreated {
        firmware: FirmwareId,
        version: String,
        model: String,
        release_notes: String,
        submitter: String,
    },
    ImageStored {
        firmware: FirmwareId,
        sha256: Digest,
        size_bytes: u64,
    },
    /// A patch that makes the release's image out of another.
    DeltaStored {
        firmware: FirmwareId,
        sha256: Digest,
        size_bytes: u64,
    },
    /// The record carries the signed manifest.
    ManifestAttached {
        firmware: FirmwareId,
        digest: Digest,
        submitter: String,
    },
    /// The record carries the signed approval.
    ApprovalSigned {
        firmware: FirmwareId,
        role: Role,
        user: UserId,
    },
    FirmwareRejected {
        firmware: FirmwareId,
        role: Role,
        user: String,
        reason: String,
        /// What the rejection says, as it was shown; `None` in records of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        statement: Option<Statement>,
    },
    FirmwareApproved {
        firmware: FirmwareId,
    },
    ApprovalsExpired {
        firmware: FirmwareId,
    },
    /// Approvals no longer count under the roster and the root of today; the release waits for them again.
    ApprovalsLost {
        firmware: FirmwareId,
        lost: Vec<LostApproval>,
    },
    FirmwareWithdrawn {
        firmware: FirmwareId,
    },
    /// Parts of the bill of materials; more may follow under the same digest.
    SbomAttached {
        firmware: FirmwareId,
        sha256: Digest,
        components: Vec<mdfm_shared::sbom::Part>,
    },
    RecallOpened {
        recall: RecallId,
        opened: Box<Recall>,
    },
    RecallClosed {
        recall: RecallId,
        by: String,
        at: UtcMillis,
    },
    DeploymentCreated(Box<NewDeployment>),
    /// A validation's record carries the signed document.
    DeploymentChanged {
        deployment: DeploymentId,
        change: Change,
    },
    /// The record carries the signed batch; its events move the devices.
    TelemetryCommitted {
        gateway: GatewayId,
        epoch: u64,
        sequence: u64,
        digest: Digest,
    },
    /// Out of service permanently.
    DeviceRetired {
        device: mdfm_shared::id::DeviceId,
    },
    /// Something is wrong with a gateway's telemetry chain; nothing of the batch was taken.
    TelemetryAnomaly {
        gateway: GatewayId,
        anomaly: Anomaly,
    },
    /// The scrub found something; the state stays as it is.
    StoreDamaged {
        damage: Damage,
    },
    RetentionSet {
        terms: Terms,
    },
    HoldPlaced {
        hold: String,
        placed: Hold,
    },
    HoldReleased {
        hold: String,
    },
    DisposalProposed {
        disposal: String,
        proposed: Disposal,
    },
    DisposalConfirmed {
        disposal: String,
        by: String,
    },
    /// What a replay without the disposed records no longer knows.
    Forgotten {
        devices: Vec<mdfm_shared::id::DeviceId>,
        deployments: Vec<DeploymentId>,
    },
    /// The payloads are gone; their hashes stay.
    DisposalCarriedOut {
        disposal: String,
    },
    /// The gateway begins a new epoch behind the head that stands in the log, because what it held did not continue it. Its first
    /// batch follows.
    EpochBegun {
        gateway: GatewayId,
        epoch: u64,
        /// The head of before.
        previous_epoch: u64,
        previous_sequence: u64,
        head: Digest,
    },
    /// Refusals that have no record of their own.
    RefusalsCounted {
        count: u64,
        from: UtcMillis,
        until: UtcMillis,
        /// How many, by code.
        by_code: std::collections::BTreeMap<String, u64>,
        samples: Vec<String>,
    },
    /// The gateway follows a directive with a serial above every one of ours.
    DirectiveSerialSeen {
        gateway: GatewayId,
        serial: u64,
    },
    /// The record carries the signed directive.
    DirectiveIssued {
        gateway: GatewayId,
        serial: u64,
        issued_at: UtcMillis,
        expires_at: UtcMillis,
    },
}
