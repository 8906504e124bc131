//! How soon the coordinator knows: once faults have stopped, its view of a device is the device's own within two heartbeats.
//!
//! What legitimately takes longer is not waited for blindly, it is asked of whoever makes it wait: a gateway that reports changes of one
//! device once a minute after many, and a coordinator that asks about one device every 150 seconds after many. The two heartbeats
//! count from the moment at which the limit lets the state pass.

use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::InstallState;

use super::super::oracle::Broken;
use super::super::scenario::Network;
use super::{Event, HEARTBEAT_MS, REPORT_MS, World};

/// Time between two looks.
const LOOK_MS: u64 = 1_000;
/// Messages that follow each other until a state is in the log: heartbeat, question, batch.
const MESSAGES: u64 = 3;

/// What there is to know of a device, and since when it has been so over the same connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Steady {
    now: Own,
    since_ms: u64,
}

/// A device as it is, the installation as its gateway has it, and the line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    gateway: usize,
    life: u64,
    connection: u64,
    epoch: u64,
    serial: String,
    running: Digest,
    boots: u64,
    install: Option<InstallState>,
}

/// Two heartbeats after the next report, and the way of the messages that follow the second.
pub(super) fn known_within_ms(network: &Network) -> u64 {
    2 * HEARTBEAT_MS + REPORT_MS + MESSAGES * network.delay_ms_max
}

impl World<'_> {
    /// Looks at every device, and again a little later.
    pub(super) fn look(&mut self) -> Result<(), Broken> {
        for device in 0..self.sites.len() {
            self.look_at(device)?;
        }
        self.after(LOOK_MS, Event::Look);
        Ok(())
    }

    fn look_at(&mut self, device: usize) -> Result<(), Broken> {
        let Some(own) = self.own(device).filter(|own| !self.is_limited(own.gateway, device)) else {
            self.steady[device] = None;
            return Ok(());
        };
        let steady = self.steady[device].as_ref().filter(|steady| steady.now == own);
        let since_ms = steady.map_or(self.now_ms, |steady| steady.since_ms);
        let is_due = self.now_ms >= since_ms + self.known_within_ms;
        self.steady[device] = Some(Steady { now: own, since_ms });
        if !is_due {
            return Ok(());
        }
        let late = |broken: Broken| {
            let s = (self.now_ms - since_ms) / 1_000;
            Broken::new(&format!("two heartbeats: nothing has changed for {s} s, and yet: {broken}"))
        };
        self.observed_as_it_is(device).map_err(late)?;
        self.known_as_it_is(device).map_err(late)
    }

    /// A device as it is; `None` while there is nobody who could know: it boots or is silent, its gateway is off or without a line, the
    /// coordinator is off, or somebody who means harm speaks.
    fn own(&self, device: usize) -> Option<Own> {
        let site = &self.sites[device];
        let gateway = &self.gateways[site.gateway];
        if !self.coordinator_up || self.oracle.is_deceived() || self.hostile() == Some(site.gateway) || !site.plugged {
            return None;
        }
        let report = site.device.report(self.now_ms, &Self::flaw_of(&self.flaws, device))?;
        let agent = gateway.agent.as_ref()?;
        Some(Own {
            gateway: site.gateway,
            life: gateway.life,
            connection: gateway.connection?,
            epoch: agent.epoch(),
            serial: report.serial,
            running: report.running.sha256,
            boots: site.device.boots(),
            install: agent.states().find(|(id, _)| **id == site.id).map(|(_, state)| state),
        })
    }

    /// Whether a limit keeps the newest state of the device back.
    fn is_limited(&self, gateway: usize, device: usize) -> bool {
        let (now, id) = (self.clocks(gateway), &self.sites[device].id);
        let settles = self.gateways[gateway].agent.as_ref().and_then(|agent| agent.observation_settles_at(id));
        settles.is_some_and(|at| at > now.mono) || !self.coordinator.may_ask(self.utc(), &self.gateways[gateway].id, id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scenario::{Happening, Scenario, What};
    use super::*;

    /// A world in which a device is exchanged, and the new one flashed by hand, after the faults have stopped.
    fn exchanged_in_the_calm() -> Scenario {
        let mut scenario = Scenario::random(3);
        let at_s = scenario.stormy_s + 300;
        scenario.event = vec![
            Happening { at_s, what: What::DeviceExchanged { device: 1 } },
            Happening { at_s: at_s + 200, what: What::DeviceFlashed { device: 1 } },
        ];
        scenario
    }

    fn broken_with(scenario: &Scenario, known_within_ms: Option<u64>) -> Option<String> {
        let mut world = World::new(scenario);
        world.known_within_ms = known_within_ms.unwrap_or(world.known_within_ms);
        loop {
            match world.step() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(broken) => return Some(broken.to_string()),
            }
        }
    }

    #[test]
    fn fld_4_the_oracle_finds_a_coordinator_that_knows_too_late() {
        let scenario = exchanged_in_the_calm();
        assert_eq!(broken_with(&scenario, None), None, "within two heartbeats it knows");
        let late = broken_with(&scenario, Some(0)).expect("nobody knows at once");
        assert!(late.starts_with("two heartbeats: ") && late.contains("FLD-4"), "{late}");
    }
}
