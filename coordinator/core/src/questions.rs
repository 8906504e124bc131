//! How often gateways are asked for observed states: each device within its budget, the fleet within a rate, so that an outage is
//! followed by no storm. Volatile; whoever is not asked now is asked after its next heartbeat.

use std::collections::BTreeMap;

use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::OBSERVATIONS_ASKED_MAX;
use mdfm_shared::observed::ObservationDigest;
use mdfm_shared::time::UtcMillis;

/// Other states of one device that are asked for at once, and the time after which there is one more.
const DEVICE_AT_ONCE: u32 = 8;
const DEVICE_REFILL_MS: u64 = 150_000;
/// The same state is not asked for again sooner.
const AGAIN_MS: u64 = 8_000;
/// Devices asked for in one second, over all gateways.
const FLEET_PER_SECOND: u32 = 500;
/// Devices remembered; above that those are forgotten that could be asked without limit again.
const REMEMBERED_MAX: usize = 100_000;
/// Time between two records that a gateway does not speak of devices any more.
const END_PAUSE_MS: u64 = 10 * 60_000;

#[derive(Debug, Clone, Copy)]
struct Asked {
    digest: ObservationDigest,
    at: UtcMillis,
    left: u32,
    filled_to: UtcMillis,
}

/// What was asked recently.
#[derive(Debug, Clone, Default)]
pub struct Questions {
    /// Devices asked for in the counted second, by gateway: none takes the turns of all.
    in_second: BTreeMap<GatewayId, usize>,
    devices: BTreeMap<(GatewayId, DeviceId), Asked>,
    /// The second that is counted, and devices asked for in it.
    second: (UtcMillis, u32),
    ended: BTreeMap<GatewayId, UtcMillis>,
}

impl Questions {
    /// Whether a gateway may be asked now for this state of a device; notes that it is.
    pub fn admits(
        &mut self,
        now: UtcMillis,
        gateway: &GatewayId,
        device: &DeviceId,
        digest: ObservationDigest,
    ) -> bool {
        // A clock that went back must not hold it for ever.
        if self.second.0 > now || now.since_ms(self.second.0) >= 1_000 {
            self.second = (now, 0);
            self.in_second.clear();
            // Once a second at most: it looks at all.
            if self.devices.len() >= REMEMBERED_MAX {
                let full_ms = u64::from(DEVICE_AT_ONCE) * DEVICE_REFILL_MS;
                self.devices.retain(|_, asked| now.since_ms(asked.at) < full_ms);
            }
        }
        let of_gateway = self.in_second.get(gateway).copied().unwrap_or(0);
        if self.second.1 >= FLEET_PER_SECOND || of_gateway >= OBSERVATIONS_ASKED_MAX {
            return false;
        }
        let key = (gateway.clone(), device.clone());
        let fresh = Asked { digest: ObservationDigest::NONE, at: UtcMillis(0), left: DEVICE_AT_ONCE, filled_to: now };
        let mut asked = self.devices.get(&key).copied().filter(|a| a.at <= now).unwrap_or(fresh);
        let refills = now.since_ms(asked.filled_to) / DEVICE_REFILL_MS;
        asked.left = DEVICE_AT_ONCE.min(asked.left.saturating_add(u32::try_from(refills).unwrap_or(u32::MAX)));
        asked.filled_to = asked.filled_to.plus_ms(refills * DEVICE_REFILL_MS);
        if asked.digest == digest {
            if now.since_ms(asked.at) < AGAIN_MS {
                return false;
            }
        } else if asked.left == 0 {
            return false;
        } else {
            asked.left -= 1;
        }
        (asked.digest, asked.at) = (digest, now);
        self.devices.insert(key, asked);
        self.second.1 += 1;
        *self.in_second.entry(gateway.clone()).or_default() += 1;
        true
    }

    /// From when on a gateway may be asked for another state of a device, for virtual worlds.
    pub fn asks_at(&self, gateway: &GatewayId, device: &DeviceId) -> UtcMillis {
        let asked = self.devices.get(&(gateway.clone(), device.clone()));
        asked.filter(|asked| asked.left == 0).map_or(UtcMillis(0), |asked| asked.filled_to.plus_ms(DEVICE_REFILL_MS))
    }

    /// Whether it may be recorded now that a gateway does not speak of devices any more; notes that it is.
    pub fn may_end(&mut self, now: UtcMillis, gateway: &GatewayId) -> bool {
        let may = self.ended.get(gateway).is_none_or(|at| *at > now || now.since_ms(*at) >= END_PAUSE_MS);
        if may {
            if self.ended.len() >= REMEMBERED_MAX {
                self.ended.retain(|_, at| now.since_ms(*at) < END_PAUSE_MS);
            }
            self.ended.insert(gateway.clone(), now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UtcMillis = UtcMillis(1_000_000_000);

    fn ids(n: usize) -> (GatewayId, DeviceId) {
        (format!("GW-{n}").parse().expect("a good id"), format!("DEV-{n}").parse().expect("a good id"))
    }

    #[test]
    fn fld_4_a_device_is_asked_about_less_than_once_a_minute() {
        let (mut questions, (gateway, device)) = (Questions::default(), ids(1));
        let asks = (0..3_600_u64).filter(|s| {
            let digest = ObservationDigest((s + 1).to_be_bytes());
            questions.admits(START.plus_ms(s * 1_000), &gateway, &device, digest)
        });
        assert_eq!(asks.count(), 8 + 3_600 / 150 - 1);
    }

    #[test]
    fn fld_4_an_unanswered_question_is_asked_again() {
        let (mut questions, (gateway, device)) = (Questions::default(), ids(1));
        let mut ask = |s: u64| questions.admits(START.plus_ms(s * 1_000), &gateway, &device, ObservationDigest([7; 8]));
        assert!(ask(0) && !ask(3) && ask(10), "its answer may have been lost");
        assert!((2..200).all(|n| ask(n * 10)), "however often");
    }

    #[test]
    fn fld_4_a_fleet_that_comes_back_is_asked_bit_by_bit() {
        let mut questions = Questions::default();
        let fleet: Vec<_> = (0..5_000).map(ids).collect();
        let mut left: Vec<usize> = (0..fleet.len()).collect();
        for beat in 0..20_u64 {
            let before = left.len();
            let now = START.plus_ms(beat * 1_000);
            left.retain(|n| !questions.admits(now, &fleet[*n].0, &fleet[*n].1, ObservationDigest([7; 8])));
            assert!(before - left.len() <= 500, "in one second");
        }
        assert!(left.is_empty(), "and nobody is forgotten");
    }
}
