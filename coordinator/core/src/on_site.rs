//! What staff on site decided about a device, as their gateway reported it. A gateway whose disk is put back or replaced has forgotten it, and
//! a device may be moved to another gateway: the directive repeats it, so that no device is activated that somebody holds (decision 0050).

use mdfm_shared::id::GatewayId;
use mdfm_shared::telemetry::{Event, EventKind, OnSiteChange};
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::State;

/// That staff hold a device as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldOnSite {
    /// Who and why, in their words.
    pub reason: String,
    /// When, on the gateway's clock.
    pub at: UtcMillis,
    /// The gateway on which they said it.
    pub gateway: GatewayId,
    /// The Unix user id under which they said it.
    pub uid: u32,
}

impl State {
    /// Takes what staff did about a device at a gateway of its hospital. A cable may be moved before the registry knows of it.
    ///
    /// What a new epoch took over from an older disk holds a device again, and releases it only from a hold that is older: one too many is
    /// released by a word on site, one too few may harm a patient.
    pub(super) fn note_on_site(&mut self, gateway: &GatewayId, event: &Event) {
        let (Some(id), Some(change), EventKind::LocalAction { uid, .. }) =
            (&event.device, event.kind.on_site_change(), &event.kind)
        else {
            return;
        };
        let hospital = self.gateways.get(gateway).map(|held| (&held.hospital, held.healing.carries_older));
        let Some((hospital, carries_older)) = hospital else { return };
        let Some(mut device) = self.devices.get_mut(id).filter(|device| device.hospital == *hospital) else { return };
        match change {
            OnSiteChange::Held(reason) => {
                let (reason, at, gateway, uid) = (reason.to_owned(), event.at, gateway.clone(), *uid);
                device.held_on_site = Some(HeldOnSite { reason, at, gateway, uid });
            }
            OnSiteChange::Released => {
                device.held_on_site.take_if(|held| !carries_older || held.at <= event.at);
            }
        }
        drop(device);
        self.redirected.extend(self.gateway_of(id).cloned());
    }
}
