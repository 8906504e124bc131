//! The devices: their reports, their faults, and what they do with orders.

use std::collections::BTreeMap;

use mdfm_shared::device::{Command, Fault};
use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::FirmwareReport;

use super::super::agent::Agent;
use super::super::device::Obeyed;
use super::super::oracle::Broken;
use super::super::scenario::Flaw;
use super::{Event, REPORT_MS, World};

impl World<'_> {
    pub(super) fn flaw_of(
        flaws: &BTreeMap<(Digest, usize), Flaw>,
        device: usize,
    ) -> impl Fn(Digest) -> Option<Flaw> + '_ {
        move |digest| flaws.get(&(digest, device + 1)).copied()
    }

    pub(super) fn device_tick(&mut self, device: usize) {
        self.send_report(device);
        let fault = self.sites[device].device.fault(self.now_ms, &Self::flaw_of(&self.flaws, device));
        if let Some(fault) = fault {
            let name = self.sites[device].id.to_string();
            self.say(&name, &format!("reports {:?} {}", fault.severity, fault.code));
            self.find_fault(device, fault);
        }
        self.after(REPORT_MS, Event::DeviceTick { device });
    }

    pub(super) fn send_report(&mut self, device: usize) {
        let site = &self.sites[device];
        let gateway = &self.gateways[site.gateway];
        if !site.plugged || gateway.agent.is_none() {
            return;
        }
        let life = gateway.life;
        let report = site.device.report(self.now_ms, &Self::flaw_of(&self.flaws, device));
        if let Some(report) = report {
            // The gateway's own broker keeps the order of one device's messages.
            self.after(20, Event::Report { device, life, report: Box::new(report) });
        }
    }

    /// A device finds a fault: it sends the event, once, and a report, as on every change.
    pub(super) fn find_fault(&mut self, device: usize, fault: Fault) {
        let fault = self.sites[device].device.note(self.now_ms, fault);
        let site = &self.sites[device];
        let gateway = &self.gateways[site.gateway];
        if site.plugged && gateway.agent.is_some() {
            let life = gateway.life;
            self.after(20, Event::Fault { device, life, fault });
        } else {
            self.miss_fault(device);
        }
        if self.sites[device].device.fault_level().is_some() {
            self.send_report(device);
        }
    }

    /// The gateway was away when the device sent its event. Of version 2 the next report says it again; of version 1 it is lost.
    pub(super) fn miss_fault(&mut self, device: usize) {
        let site = &mut self.sites[device];
        if site.device.fault_level().is_none() {
            let running = site.device.running(&Self::flaw_of(&self.flaws, device)).sha256;
            site.missed_fault = Some(running);
            let name = site.id.to_string();
            self.say(&name, "speaks version 1 and its gateway is away: the fault is lost");
        }
    }

    pub(super) fn staged(&mut self, device: usize, firmware: FirmwareReport) {
        let site = &mut self.sites[device];
        let gateway = &self.gateways[site.home];
        let is_needed = |agent: &&Agent| agent.is_staging(&site.id) && agent.needed_images().contains(&firmware.sha256);
        if gateway.agent.as_ref().is_none_or(|agent| !is_needed(&agent)) {
            return;
        }
        if site.plugged && site.gateway == site.home {
            site.device.staged(firmware.clone());
            self.send_report(device);
        }
        // It goes on where it stopped, once the device is back; and begins again where the device lost what was written before it said so.
        self.after(5_000, Event::Staged { device, firmware });
    }

    pub(super) fn obey(&mut self, device: usize, command: &Command) -> Result<(), Broken> {
        let site = &mut self.sites[device];
        let obeyed = site.device.obey(self.now_ms, command, &Self::flaw_of(&self.flaws, device));
        let (name, permanent) = (site.id.clone(), site.device.permanent.sha256);
        match obeyed {
            Obeyed::Activated(_) => {
                self.activations += 1;
                self.say(name.as_str(), "boots the new slot on trial");
            }
            Obeyed::WentBack => self.say(name.as_str(), "boots the last good firmware"),
            Obeyed::Stayed => {}
        }
        self.oracle.device(&name, permanent, self.sites[device].device.reboots_in_use)?;
        self.send_report(device);
        Ok(())
    }
}
