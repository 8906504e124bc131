//! The desired state of one gateway, and the acknowledgement of its telemetry. Both are signed by the online key, which
//! can delay an update but never authorize one.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{DeploymentId, DeviceId, GatewayId};
use crate::limits::{CHAIN_DIGESTS_MAX, GATEWAY_DEVICES_MAX, WINDOWS_MAX};
use crate::sign::Document;
use crate::time::UtcMillis;

/// A span of wall-clock time in which a device may be activated: a maintenance window, its time zone already applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// First moment of it.
    pub opens_at: UtcMillis,
    /// First moment after it.
    pub closes_at: UtcMillis,
}

impl Window {
    /// Whether `need_ms` milliseconds of work that begins `at` end inside it.
    pub fn holds(&self, at: UtcMillis, need_ms: u64) -> bool {
        self.opens_at <= at && at < self.closes_at && at.plus_ms(need_ms) <= self.closes_at
    }
}

/// What a window asks of the work that begins in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Finish {
    /// Activation and probation must be able to end before it closes; else they are not begun.
    Inside,
    /// They must only begin in it.
    Anytime,
}

/// What shall become of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Converge to the release of this manifest digest.
    Install {
        /// Digest of the manifest.
        manifest: Digest,
    },
    /// Fetching and staging may go on; nothing is activated.
    Hold {
        /// Digest of the manifest.
        manifest: Digest,
    },
    /// Return to the release that the device ran before this deployment, as long as it still holds it.
    Rollback {
        /// Digest of the manifest to leave.
        manifest: Digest,
    },
    /// As `Install`, but activate only inside one of these windows; with none, never.
    InstallWithin {
        /// Digest of the manifest.
        manifest: Digest,
        /// The windows that open before the directive expires, in order.
        windows: Vec<Window>,
        /// What must have ended when a window closes.
        finish: Finish,
    },
}

/// The desired state of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDirective {
    /// Which device.
    pub device: DeviceId,
    /// The deployment that asks.
    pub deployment: DeploymentId,
    /// The phase in which it asks, for reports; 0 is the first.
    pub phase: u32,
    /// What shall happen.
    pub action: Action,
    /// Security version below which the device accepts nothing more; applied only up to what the device has confirmed.
    pub security_floor: u32,
}

/// The desired state of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// The only gateway that may follow it.
    pub gateway: GatewayId,
    /// Grows with every change or renewal; an agent never goes back.
    pub serial: u64,
    /// When it was made.
    pub issued_at: UtcMillis,
    /// After this nothing new is started because of it.
    pub expires_at: UtcMillis,
    /// One entry a device at most.
    pub devices: Vec<DeviceDirective>,
}

impl Document for Directive {
    const TYPE: &'static str = "directive";
}

impl Directive {
    /// Whether the directive keeps the bounds on its lists.
    pub fn is_bounded(&self) -> bool {
        let bounded = |d: &DeviceDirective| match &d.action {
            Action::InstallWithin { windows, .. } => windows.len() <= WINDOWS_MAX,
            Action::Install { .. } | Action::Hold { .. } | Action::Rollback { .. } => true,
        };
        self.devices.len() <= GATEWAY_DEVICES_MAX && self.devices.iter().all(bounded)
    }
}

/// The coordinator's word that every batch up to `sequence` is durable in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitAck {
    /// Whose telemetry.
    pub gateway: GatewayId,
    /// The gateway's epoch.
    pub epoch: u64,
    /// Highest committed batch sequence.
    pub sequence: u64,
    /// Size of the log that holds it.
    pub log_size: u64,
}

impl Document for CommitAck {
    const TYPE: &'static str = "commit-ack";
}

/// Why a batch does not continue what the coordinator holds of its gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChainRefusal {
    /// Another batch stands at its place, or it names another one before it.
    Fork,
    /// An earlier batch is missing.
    Gap,
    /// Its place is older than what can be compared.
    Stale,
    /// It begins an epoch behind another head than the coordinator's, or its epoch has ended.
    Epoch,
    /// The gateway has begun too many epochs: a person decides.
    Held,
}

impl ChainRefusal {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fork => "another batch stands at its place",
            Self::Gap => "an earlier batch is missing",
            Self::Stale => "its place is too old to be compared",
            Self::Epoch => "its epoch has ended, or begins behind another batch",
            Self::Held => "this gateway has begun too many epochs; a person of the vendor decides",
        }
    }
}

/// A batch that was refused because of its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedBatch {
    /// Digest of the refused batch: a statement about a batch that the gateway no longer holds means nothing.
    pub batch: Digest,
    /// Why it was refused.
    pub reason: ChainRefusal,
    /// Digests of the newest committed batches of the epoch, the head last.
    pub committed: Vec<Digest>,
}

/// What the coordinator holds of one gateway's telemetry: the acknowledgement of every batch that the head covers, and the answer to
/// a batch that does not continue it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainHead {
    /// Whose telemetry.
    pub gateway: GatewayId,
    /// The epoch.
    pub epoch: u64,
    /// Highest committed batch of the epoch; 0 before the first.
    pub sequence: u64,
    /// Digest of that batch, which the next one names; zeroes before the first of an enrolment.
    pub head: Digest,
    /// Size of the log that holds it.
    pub log_size: u64,
    /// The batch that this answers; `None` in an acknowledgement.
    pub refused: Option<RefusedBatch>,
}

impl Document for ChainHead {
    const TYPE: &'static str = "chain-head";
}

impl ChainHead {
    /// Whether the document keeps the bound on its list.
    pub fn is_bounded(&self) -> bool {
        self.refused.as_ref().is_none_or(|r| r.committed.len() <= CHAIN_DIGESTS_MAX)
    }
}
