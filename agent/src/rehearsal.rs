//! The agent's pure half for the virtual-time world: the same code as on a gateway, with a disk in memory and no clock of its own.

use mdfm_shared::device::{FaultCounts, FaultMessage, Report};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::sign::SecretKey;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::tlog::Hash;

use crate::gateway::{Gateway, Seat, Who};
use crate::store::{OutboxLimits, Store, StoreError, owner_write};
use crate::trust::Trust;

pub use crate::gateway::{Fetched, GatewayError, Held, Output};
pub use crate::image::Image;
pub use crate::installer::Now;
pub use crate::store::memory::{LastBatch, Memory};

/// What enrolment gives a gateway.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Its id.
    pub gateway: GatewayId,
    /// Grows with every enrolment.
    pub epoch: u64,
    /// The key that signs its telemetry.
    pub key: SecretKey,
    /// Digest of the first trust root.
    pub trust_root: Digest,
    /// Time between heartbeats.
    pub heartbeat_ms: u64,
}

/// The disk of a gateway that enrolled with these trust roots (frames, version 1 first).
///
/// # Errors
/// The roots do not follow from the pinned one.
pub fn enrolled_disk(roots: &[Vec<u8>], pinned: Digest) -> Result<Memory, StoreError> {
    let writes = Trust::enrol(roots, pinned).map_err(|e| StoreError::Decode { key: e.to_string() })?;
    let mut disk = Memory::default();
    disk.commit(writes)?;
    Ok(disk)
}

/// The disk of a gateway after `mdfm-agent enrol --again` at the same coordinator: what was chained under the key of before is known by it.
///
/// # Errors
/// The power is cut.
pub fn enrolled_again(mut disk: Memory, before: &SecretKey) -> Result<Memory, StoreError> {
    disk.commit(vec![owner_write(before.public().id())])?;
    Ok(disk)
}

/// A gateway's agent.
#[expect(missing_debug_implementations, reason = "holds keys and every document of its fleet")]
pub struct Agent(Gateway<Memory>);

impl Agent {
    /// Starts on a disk, in the gateway's boot `boot`.
    ///
    /// # Errors
    /// The power is cut, or the disk holds what this version did not write.
    pub fn start(
        enrolment: &Enrolment,
        disk: Memory,
        devices: impl IntoIterator<Item = DeviceId>,
        boot: u64,
        now: Now,
    ) -> Result<Self, GatewayError> {
        let Enrolment { gateway, epoch, key, trust_root, heartbeat_ms } = enrolment.clone();
        let who = Who { gateway, epoch, key, trust_root, heartbeat_ms, outbox: OutboxLimits::default() };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&boot.to_be_bytes());
        let seats = devices.into_iter().map(|device| Seat { device, slot_is_here: false });
        Gateway::start(who, disk, seats, id, now).map(Self)
    }

    /// What to do next.
    pub fn next_output(&mut self) -> Option<Output> {
        self.0.next_output()
    }
    /// Time passed.
    ///
    /// # Errors
    /// The power is cut.
    pub fn work(&mut self, now: Now) -> Result<(), GatewayError> {
        self.0.work(now)
    }
    /// When [`Self::work`] has something to do.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        self.0.next_wake()
    }
    /// The connection stands, or broke.
    pub fn link(&mut self, now: Now, up: bool) {
        if up {
            self.0.link_up(now);
            // The real link says so once the topic is granted.
            self.0.questions_granted(now);
        } else {
            self.0.link_down();
        }
    }
    /// A connection of a device took the place of one that stood.
    ///
    /// # Errors
    /// The power is cut.
    pub fn device_displaced(&mut self, now: Now, device: &DeviceId) -> Result<(), GatewayError> {
        self.0.device_displaced(now, device)
    }
    /// A message came.
    ///
    /// # Errors
    /// The power is cut.
    pub fn message(&mut self, now: Now, topic: &str, payload: &[u8]) -> Result<(), GatewayError> {
        self.0.message(now, topic, payload)
    }
    /// The answer to a question about the log.
    ///
    /// # Errors
    /// The power is cut.
    pub fn consistency(&mut self, now: Now, proof: Option<&[Hash]>) -> Result<(), GatewayError> {
        self.0.consistency(now, proof)
    }
    /// A fetch ended.
    ///
    /// # Errors
    /// The power is cut.
    pub fn image(&mut self, now: Now, sha256: Digest, fetched: Fetched) -> Result<(), GatewayError> {
        self.0.image(now, sha256, fetched)
    }
    /// A device reported.
    ///
    /// # Errors
    /// The power is cut.
    pub fn device_report(&mut self, now: Now, device: &DeviceId, report: Report) -> Result<(), GatewayError> {
        self.0.device_report(now, device, report)
    }
    /// A device reported a fault.
    ///
    /// # Errors
    /// The power is cut.
    pub fn device_fault(&mut self, now: Now, device: &DeviceId, fault: FaultMessage) -> Result<(), GatewayError> {
        self.0.device_fault(now, device, fault)
    }
    /// The identity of the boot whose faults were processed last, and their counters; `None` for a device of protocol version 1.
    pub fn faults_seen(&self, device: &DeviceId) -> Option<(&str, FaultCounts)> {
        self.0.faults_seen(device)
    }
    /// Whether the device's inactive slot is being written.
    pub fn is_staging(&self, device: &DeviceId) -> bool {
        self.0.is_staging(device)
    }
    /// Where each installation stands.
    pub fn states(&self) -> impl Iterator<Item = (&DeviceId, InstallState)> {
        self.0.states()
    }
    /// Batches of telemetry made so far, and how many of them wait for the coordinator's word.
    pub fn outbox(&self) -> (u64, u64) {
        self.0.outbox()
    }
    /// The epoch of its telemetry.
    pub fn epoch(&self) -> u64 {
        self.0.epoch()
    }
    /// Digests of the sealed batches that it keeps until they are acknowledged.
    pub fn unacknowledged(&self) -> Vec<Digest> {
        self.0.unacknowledged()
    }
    /// The time by which the gateway judges windows and expiries.
    pub fn trusted_time(&self, now: Now) -> UtcMillis {
        self.0.trusted_time(now)
    }
    /// The authority by which it judges.
    pub fn held(&self) -> Held {
        self.0.held()
    }
    /// Whether a release was ever withdrawn for this gateway.
    pub fn is_withdrawn(&self, manifest: Digest) -> bool {
        self.0.is_withdrawn(manifest)
    }
    /// The disk as it is now.
    pub fn disk(&self) -> Memory {
        self.0.store().clone()
    }
    /// The disk, to set a power cut on.
    pub fn disk_mut(&mut self) -> &mut Memory {
        self.0.store_mut()
    }
}
