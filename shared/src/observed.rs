//! What a gateway observes of a device: identity, running firmware, boots. A level: heartbeats carry a short digest of it, and the
//! coordinator asks for what it does not have (decision 0031).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{DeviceId, GatewayId};
use crate::limits::{LABEL_CHARS_MAX, OBSERVATIONS_ASKED_MAX};
use crate::sign::Document;
use crate::telemetry::FirmwareReport;
use crate::time::UtcMillis;
use crate::wire;

/// The observed state of one device, as its gateway last settled it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedDevice {
    /// Whether the device is behind this gateway now. A device that is silent for a minute is not.
    pub present: bool,
    /// Model number as the device reports it.
    pub model: String,
    /// Serial number as the device reports it.
    pub serial: String,
    /// Hardware revision as the device reports it.
    pub hardware: String,
    /// The running firmware, measured by the boot loader.
    pub running: FirmwareReport,
    /// Boots that the device counts.
    pub boot_count: u64,
    /// Reboots that nobody ordered, since the gateway has known the device.
    pub unordered_reboots: u64,
    /// Those of the running firmware in the 24 hours that ended with the last of them.
    pub recent_reboots: u32,
    /// When the last of them was seen; `None` before the first.
    pub last_reboot_at: Option<UtcMillis>,
    /// Whether several devices use this id at the gateway and displace each other.
    pub contested: bool,
    /// Since when identity and firmware are these, on the gateway's clock.
    pub since: UtcMillis,
}

impl ObservedDevice {
    /// The digest by which a heartbeat names this state; never [`ObservationDigest::NONE`].
    pub fn digest(&self) -> ObservationDigest {
        let whole = Digest::of(&wire::encode(self)).0;
        let mut short = [0; 8];
        short.copy_from_slice(&whole[..8]);
        if short == ObservationDigest::NONE.0 { ObservationDigest([1; 8]) } else { ObservationDigest(short) }
    }

    /// Whether the texts keep their bounds: a label, and one character more by which an agent marks one that it cut.
    pub fn is_bounded(&self) -> bool {
        let texts = [&self.model, &self.serial, &self.hardware, &self.running.version];
        texts.iter().all(|text| text.chars().count() <= LABEL_CHARS_MAX + 1)
    }
}

impl fmt::Display for ObservedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, serial, hardware, running, boot_count, unordered_reboots, .. } = self;
        let presence = if self.present { "present" } else { "away" };
        write!(
            f,
            "{presence}: a {model}, serial number {serial}, hardware {hardware}, running {}, boot {boot_count}, {unordered_reboots} unordered reboots",
            running.version
        )
    }
}

/// The first bytes of the SHA-256 of an [`ObservedDevice`]: enough to see that two states differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservationDigest(pub [u8; 8]);

impl ObservationDigest {
    /// Of a device that has not been observed.
    pub const NONE: Self = Self([0; 8]);
}

/// The coordinator asks one gateway for the observed states of some of its devices. Signed by the online key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationRequest {
    /// Who is asked.
    pub gateway: GatewayId,
    /// The gateway's epoch.
    pub epoch: u64,
    /// Sequence of the heartbeat that showed the difference: an earlier question, sent again, asks nothing.
    pub heartbeat: u64,
    /// Which devices.
    pub devices: Vec<DeviceId>,
}

impl Document for ObservationRequest {
    const TYPE: &'static str = "observation-request";
}

impl ObservationRequest {
    /// Whether the request keeps the bound on its list.
    pub fn is_bounded(&self) -> bool {
        !self.devices.is_empty() && self.devices.len() <= OBSERVATIONS_ASKED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> ObservedDevice {
        ObservedDevice {
            present: true,
            model: "CardiacMonitor-X200".into(),
            serial: "SN-1".into(),
            hardware: "B".into(),
            running: FirmwareReport {
                version: "2.2.0".into(),
                release_number: 22,
                security_version: 1,
                sha256: Digest([22; 32]),
            },
            boot_count: 7,
            unordered_reboots: 0,
            recent_reboots: 0,
            last_reboot_at: None,
            contested: false,
            since: UtcMillis(1),
        }
    }

    #[test]
    fn fld_4_every_part_of_an_observation_is_in_its_digest() {
        let base = observed().digest();
        assert_ne!(base, ObservationDigest::NONE);
        let changes: [fn(&mut ObservedDevice); 10] = [
            |o| o.present = false,
            |o| o.model.push('x'),
            |o| o.serial.push('x'),
            |o| o.hardware.push('x'),
            |o| o.running.sha256 = Digest([1; 32]),
            |o| o.boot_count += 1,
            |o| o.unordered_reboots += 1,
            |o| o.last_reboot_at = Some(UtcMillis(3)),
            |o| o.contested = true,
            |o| o.since = UtcMillis(2),
        ];
        for change in changes {
            let mut other = observed();
            change(&mut other);
            assert_ne!(other.digest(), base, "{other}");
        }
        assert_eq!(observed().digest(), base);
    }
}
