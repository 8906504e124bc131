//! Agents of the world: what an agent decides, as on a gateway, with a disk in memory.

use mdfm_agent_core::gateway::{Gateway, GatewayError, Seat, Who};
use mdfm_agent_core::installer::Now;
use mdfm_agent_core::store::memory::Memory;
use mdfm_agent_core::store::{OutboxLimits, Store, StoreError, owner_write};
use mdfm_agent_core::trust::Trust;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::sign::SecretKey;

/// A gateway's agent.
pub(super) type Agent = Gateway<Memory>;

/// What enrolment gives a gateway.
#[derive(Clone)]
pub(super) struct Enrolment {
    pub(super) gateway: GatewayId,
    /// Grows with every enrolment.
    pub(super) epoch: u64,
    /// The key that signs its telemetry.
    pub(super) key: SecretKey,
    /// Digest of the first trust root.
    pub(super) trust_root: Digest,
    /// Time between heartbeats.
    pub(super) heartbeat_ms: u64,
}

impl Enrolment {
    /// Starts an agent on a disk, in the gateway's boot `boot`.
    pub(super) fn start(
        &self,
        disk: Memory,
        devices: impl IntoIterator<Item = DeviceId>,
        boot: u64,
        now: Now,
    ) -> Result<Agent, GatewayError> {
        let Self { gateway, epoch, key, trust_root, heartbeat_ms } = self.clone();
        let who = Who { gateway, epoch, key, trust_root, heartbeat_ms, outbox: OutboxLimits::default() };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&boot.to_be_bytes());
        let seats = devices.into_iter().map(|device| Seat { device, slot_is_here: false });
        Gateway::start(who, disk, seats, id, now)
    }
}

/// The disk of a gateway that enrolled with these trust roots (frames, version 1 first).
pub(super) fn enrolled_disk(roots: &[Vec<u8>], pinned: Digest) -> Result<Memory, StoreError> {
    let writes = Trust::enrol(roots, pinned).map_err(|e| StoreError::Decode { key: e.to_string() })?;
    let mut disk = Memory::default();
    disk.commit(writes)?;
    Ok(disk)
}

/// The disk of a gateway after `mdfm-agent enrol --again` at the same coordinator: what was chained under the key of before is known by it.
pub(super) fn enrolled_again(mut disk: Memory, before: &SecretKey) -> Result<Memory, StoreError> {
    disk.commit(vec![owner_write(before.public().id())])?;
    Ok(disk)
}

/// The connection stands, or broke.
pub(super) fn link(agent: &mut Agent, now: Now, up: bool) {
    if up {
        agent.link_up(now);
        // The real link says so once the topic is granted.
        agent.questions_granted(now);
    } else {
        agent.link_down();
    }
}
