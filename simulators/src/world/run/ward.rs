//! Hands in the ward: exchanged devices, firmware flashed by hand, moved cables, devices that boot again and again; and what the
//! coordinator must know of them in the end.

use super::super::oracle::Broken;
use super::super::setup;
use super::{Event, World};

/// Time between two boots of a crash loop.
const CRASH_MS: u64 = 9_000;

/// A device that booted so recently may not be known at the end: two heartbeats, and the pause between two questions for one device.
const KNOWN_AFTER_MS: u64 = 180_000;

impl World<'_> {
    /// Another device stands in this one's place.
    pub(super) fn exchange(&mut self, device: usize) {
        let now_ms = self.now_ms;
        let site = &mut self.sites[device];
        // Nobody carries away what a patient is connected to.
        if site.device.in_use {
            return;
        }
        let serial = format!("{}-{now_ms}", site.id);
        site.device = site.device.another(&serial, setup::factory(), now_ms);
    }

    /// Somebody flashes the factory's firmware by hand.
    pub(super) fn flash(&mut self, device: usize) {
        let (now_ms, flaws) = (self.now_ms, Self::flaw_of(&self.flaws, device));
        let site = &mut self.sites[device];
        if !site.device.in_use {
            site.device.flash(now_ms, setup::factory(), &flaws);
        }
    }

    /// A device is plugged into another gateway, which is told of it; the registry is not.
    pub(super) fn move_cable(&mut self, device: usize, gateway: usize, for_s: u64) -> Result<(), Broken> {
        if self.sites[device].gateway == gateway {
            return Ok(());
        }
        self.sites[device].gateway = gateway;
        let name = self.sites[device].id.clone();
        if self.gateways[gateway].devices.insert(name, device).is_none() && self.gateways[gateway].agent.is_some() {
            // Its configuration is read at the start.
            self.stop_agent(gateway);
            self.start_agent(gateway)?;
        }
        self.after(for_s * 1_000, Event::CableBack { device });
        Ok(())
    }

    pub(super) fn cable_back(&mut self, device: usize) {
        let site = &mut self.sites[device];
        site.gateway = site.home;
    }

    /// A device boots without an order, so many times.
    pub(super) fn crash(&mut self, device: usize, left: u32) {
        if left == 0 || self.sites[device].device.in_use || self.calm {
            return;
        }
        self.sites[device].device.boot(self.now_ms, &Self::flaw_of(&self.flaws, device));
        self.after(CRASH_MS, Event::Crash { device, left: left - 1 });
    }

    /// Whether every device is known as it is at the end.
    pub(super) fn observed_at_the_end(&self, device: usize) -> Result<(), Broken> {
        let is_old = self.now_ms >= self.sites[device].device.booted_at_ms() + KNOWN_AFTER_MS;
        if self.oracle.is_deceived() || !is_old { Ok(()) } else { self.observed_as_it_is(device) }
    }

    /// Once the world behaves, the coordinator's view of a device is the device's own.
    pub(super) fn observed_as_it_is(&self, device: usize) -> Result<(), Broken> {
        let (site, flaws) = (&self.sites[device], Self::flaw_of(&self.flaws, device));
        let Some(report) = site.device.report(self.now_ms, &flaws) else { return Ok(()) };
        let fails = |what: String| Err(Broken::new(&format!("FLD-4: {}: {what}", site.id)));
        let Some((gateway, observed)) = self.coordinator.observed(&site.id) else {
            return fails("the coordinator knows nothing of it".into());
        };
        let there = &self.gateways[site.gateway].id;
        let seen = (&gateway, observed.present, &observed.serial, observed.running.sha256, observed.boot_count);
        let real = (there, true, &report.serial, report.running.sha256, site.device.boots());
        if seen != real {
            return fails(format!("observed {seen:?}, it is {real:?}"));
        }
        if self.coordinator.running(&site.id) != Some(report.running.sha256) {
            return fails(format!(
                "lists show {:?}, it runs {}",
                self.coordinator.running(&site.id),
                report.running.sha256
            ));
        }
        let differs = self.coordinator.differences(&site.id);
        let is_another = report.serial != site.id.as_str();
        if is_another && !differs.iter().any(|d| d.starts_with("another serial number")) {
            return fails(format!("it was exchanged, and the differences are {differs:?}"));
        }
        Ok(())
    }
}
