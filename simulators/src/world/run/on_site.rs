//! Staff beside a device: they hold it as it is, and release it later. What they said stands until they release it, whatever becomes of the
//! gateway; only a hold that no log had when the gateway's disk was put back is known to nobody any more.

use mdfm_agent_core::gateway::GatewayError;
use mdfm_agent_core::installer::OnSite;

use super::super::oracle::Broken;
use super::{Event, World};

/// Before staff try again where the gateway does not answer.
const AGAIN_MS: u64 = 5_000;
/// The account under which they act.
const UID: u32 = 1_000;

impl World<'_> {
    /// Staff hold a device, at the gateway that serves it.
    pub(super) fn hold_on_site(&mut self, device: usize, for_s: u64) -> Result<(), Broken> {
        if self.calm {
            return Ok(());
        }
        if !self.act_on_site(device, OnSite::Hold("rounds until noon".into()))? {
            self.after(AGAIN_MS, Event::Hold { device, for_s });
            return Ok(());
        }
        let name = self.sites[device].id.clone();
        self.say(name.as_str(), "is held on site");
        self.oracle.held.hold(&name);
        self.after(for_s * 1_000, Event::Release { device });
        Ok(())
    }

    /// Staff release a device.
    pub(super) fn release_on_site(&mut self, device: usize) -> Result<(), Broken> {
        let name = self.sites[device].id.clone();
        // It may be activated within the same call.
        let held = self.oracle.held.release(&name);
        if !self.act_on_site(device, OnSite::Release("rounds are over".into()))? {
            self.oracle.held.restore(&name, held);
            self.after(AGAIN_MS, Event::Release { device });
            return Ok(());
        }
        self.say(name.as_str(), "is released on site");
        Ok(())
    }

    /// In the end staff release whatever was held: an older disk may hold it again.
    pub(super) fn release_all_on_site(&mut self) {
        let devices = (0..self.sites.len()).filter(|device| self.oracle.held.was_held(&self.sites[*device].id));
        for device in devices.collect::<Vec<_>>() {
            self.after(0, Event::Release { device });
        }
    }

    /// Returns whether the gateway of the device answered that it is done.
    fn act_on_site(&mut self, device: usize, act: OnSite) -> Result<bool, Broken> {
        let (gateway, name) = (self.sites[device].home, self.sites[device].id.clone());
        let mut is_done = false;
        if self.hostile() != Some(gateway) {
            self.with_agent(gateway, |agent, now| {
                let reply = agent.on_site(now, &name, act, UID)?;
                is_done = reply.is_ok();
                Ok::<(), GatewayError>(())
            })?;
        }
        Ok(is_done)
    }
}
