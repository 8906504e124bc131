//! What the coordinator wishes of one gateway, and its word that telemetry is safe. Both are signed by the online key, which
//! can delay an update but never authorize one.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{DeploymentId, DeviceId, GatewayId};
use crate::sign::Document;
use crate::time::UtcMillis;

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
}

/// The wish for one device.
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
