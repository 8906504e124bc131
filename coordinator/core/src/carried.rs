//! Events that a new epoch took over from before it (FLD-6): a gateway that was put back sends what its older disk still held, behind what
//! the coordinator took from its later life. What is older than what is known of a device stays in the log and moves nothing; the
//! gateway reports every device again behind it.

use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::telemetry::{CARRIED_BEGIN, CARRIED_END, Event, EventKind, REFUSED_CARRIED};
use mdfm_shared::time::UtcMillis;

use super::State;

impl State {
    /// Takes the marks around such events.
    pub(super) fn note_carried(&mut self, gateway: &GatewayId, event: &Event) {
        let EventKind::Refused { what, reason } = &event.kind else { return };
        if what != REFUSED_CARRIED || event.device.is_some() {
            return;
        }
        if let Some(held) = self.gateways.get_mut(gateway) {
            match reason.as_str() {
                CARRIED_BEGIN => held.healing.carries_older = true,
                CARRIED_END => held.healing.carries_older = false,
                _ => {}
            }
        }
    }

    /// Whether an event of a device was taken over from before the epoch and is older than what the gateway reported of the device. Both
    /// times are of the gateway's clock. Faults count whenever they were: one that counts twice is the smaller error.
    pub(super) fn is_overtaken(&self, gateway: &GatewayId, id: &DeviceId, event: &Event) -> bool {
        let carries_older = self.gateways.get(gateway).is_some_and(|held| held.healing.carries_older);
        carries_older
            && !matches!(event.kind, EventKind::DeviceError { .. })
            && event.at < self.newest_word(gateway, id)
    }

    /// The gateway's time of the newest event that says where a device stands.
    fn newest_word(&self, gateway: &GatewayId, id: &DeviceId) -> UtcMillis {
        let is_own = self.gateway_of(id) == Some(gateway);
        let install = self.devices.get(id).filter(|_| is_own).and_then(|device| device.install.as_ref());
        let claimed = self.inventory.claim(gateway, id).map(|claim| claim.said_at);
        install.map(|install| install.since).into_iter().chain(claimed).max().unwrap_or_default()
    }
}
