//! The gateways: what an agent is given and what it puts out, its starts, its power cuts, and its line.

use mdfm_agent_core::gateway::{GatewayError, Output};
use mdfm_agent_core::installer::Now;
use mdfm_shared::device::{Command, Order};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::wire::Topic;

use super::super::agent::{Agent, link};
use super::super::oracle::Broken;
use super::super::setup;
use super::super::setup::START;
use super::{Event, World};

impl World<'_> {
    /// Gives the agent something and does what it puts out. An agent whose power was cut is gone.
    pub(super) fn with_agent(
        &mut self,
        gateway: usize,
        give: impl FnOnce(&mut Agent, Now) -> Result<(), GatewayError>,
    ) -> Result<(), Broken> {
        let now = self.clocks(gateway);
        let Some(agent) = self.gateways[gateway].agent.as_mut() else { return Ok(()) };
        if give(agent, now).and_then(|()| agent.work(now)).is_err() {
            self.power_cut(gateway, 2_000);
            return Ok(());
        }
        self.put_out(gateway)
    }

    pub(super) fn put_out(&mut self, gateway: usize) -> Result<(), Broken> {
        let life = self.gateways[gateway].life;
        while let Some(output) = self.gateways[gateway].agent.as_mut().and_then(Agent::next_output) {
            match output {
                Output::Publish(topic, payload) => self.send_up(gateway, &topic, &payload),
                Output::Hello => self.deliver_retained(gateway),
                Output::WantRelease(digest) => {
                    if self.gateways[gateway].wanted.insert(digest) {
                        let topic = Topic::Release(digest).to_string();
                        if let Some(payload) = self.retained.get(&topic).cloned() {
                            self.send_down(gateway, &topic, &payload);
                        }
                    }
                }
                Output::AskConsistency { old, new } => {
                    let there = self.gateways[gateway].connection.is_some();
                    let hashes = if there { self.coordinator.consistency(old, new) } else { None };
                    let delay = self.delay();
                    self.after(delay, Event::Proof { gateway, life, hashes });
                }
                Output::Fetch(image) => {
                    let sha256 = image.firmware.sha256;
                    let held = self.gateways[gateway].cache.contains(&sha256);
                    let delay = if held { 1 } else { self.rng.between(2_000, 15_000) };
                    self.after(delay, Event::Fetched { gateway, life, sha256 });
                }
                Output::Stage { device, image } => {
                    let device = self.gateways[gateway].devices[&device];
                    let delay = self.rng.between(3_000, 20_000);
                    self.after(delay, Event::Staged { device, firmware: image.firmware });
                }
                Output::StopStaging(_) => {}
                Output::Order(device, command) => {
                    let n = self.gateways[gateway].devices[&device];
                    self.check_order(gateway, &device, &command)?;
                    let delay = self.rng.between(5, 50);
                    if self.sites[n].plugged && self.sites[n].gateway == gateway {
                        self.after(delay, Event::Order { device: n, command });
                    }
                }
            }
        }
        self.note_states(gateway)?;
        let now = self.clocks(gateway);
        let wake = self.gateways[gateway].agent.as_ref().and_then(Agent::next_wake);
        if let Some(at) = wake {
            let at_ms = self.now_ms + at.since_ms(now.mono).max(10);
            if self.gateways[gateway].wakes_at_ms.is_none_or(|known| at_ms < known || known <= self.now_ms) {
                self.gateways[gateway].wakes_at_ms = Some(at_ms);
                self.after(at_ms - self.now_ms, Event::GatewayWake { gateway, life });
            }
        }
        Ok(())
    }

    pub(super) fn check_order(&mut self, gateway: usize, device: &DeviceId, command: &Command) -> Result<(), Broken> {
        let g = &self.gateways[gateway];
        let reported_in_use = g.heard.get(device).is_some_and(|r| r.in_use);
        // A clock set back opens no window again: the agent judges by trusted time, which never falls below what was proved.
        let now = self.clocks(gateway);
        let clock = g.agent.as_ref().map_or(now.utc, |agent| agent.trusted_time(now));
        match &command.what {
            Order::Activate { sha256 } => {
                self.check_witnesses(device, *sha256)?;
                let open = self
                    .deployments
                    .iter()
                    .flatten()
                    .filter_map(|d| self.coordinator.deployment(d))
                    .any(|d| d.devices.get(device).is_some_and(|p| p.open));
                if let Some(agent) = &g.agent {
                    let (id, held) = (g.id.clone(), agent.held());
                    self.oracle.authority.activation(&id, device, *sha256, &held, (now, clock))?;
                }
                let hospital = self.gateways[gateway].hospital.clone();
                self.oracle.activation(device, &hospital, *sha256, open, reported_in_use, clock)
            }
            Order::Rollback { .. } => {
                let hospital = g.hospital.clone();
                self.oracle.way_back(device, &hospital, reported_in_use)
            }
            _ => Ok(()),
        }
    }

    /// With witnesses, nothing is activated whose approvals too few of them have seen.
    pub(super) fn check_witnesses(&self, device: &DeviceId, sha256: Digest) -> Result<(), Broken> {
        let releases = 1..=self.scenario.release.len();
        let object = releases.zip(&self.scenario.release).map(|(n, release)| setup::manifest(n, release));
        let object = object.into_iter().find(|m| m.sha256 == sha256).map(|m| format!("firmware/{}", m.firmware_id));
        match object.and_then(|object| self.approved_at.get(&object)) {
            Some(index) if !self.panel.have_seen(*index) => Err(Broken::new(&format!(
                "witnesses: {device} is activated on a release whose approvals too few witnesses have seen"
            ))),
            _ => Ok(()),
        }
    }

    /// Writes down how the installations moved, and lets the oracle see it.
    pub(super) fn note_states(&mut self, gateway: usize) -> Result<(), Broken> {
        let Some(agent) = &self.gateways[gateway].agent else { return Ok(()) };
        let (now, boot) = (self.clocks(gateway), self.gateways[gateway].boot);
        let (held, trusted) = (agent.held(), agent.trusted_time(now));
        let id = &self.gateways[gateway].id;
        self.oracle.authority.after(id, &held, |manifest| agent.is_withdrawn(manifest), (now, trusted), boot)?;
        let states: Vec<(DeviceId, InstallState)> = agent.states().map(|(id, s)| (id.clone(), s)).collect();
        for (device, state) in states {
            let site = &self.sites[self.gateways[gateway].devices[&device]];
            if site.home != gateway {
                continue;
            }
            let free = !site.device.in_use && site.plugged && site.gateway == gateway;
            if let Some(before) = self.oracle.state(&device, state, self.now_ms, free)? {
                let running = {
                    let flaws = Self::flaw_of(&self.flaws, self.gateways[gateway].devices[&device]);
                    site.device.running(&flaws).sha256
                };
                self.oracle.authority.moved(&device, (before, state), running, &held, trusted)?;
                self.rollbacks += u64::from(state == InstallState::RolledBack);
                self.say(device.as_str(), &format!("{before:?} -> {state:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn start_agent(&mut self, gateway: usize) -> Result<(), Broken> {
        let now = self.clocks(gateway);
        let g = &self.gateways[gateway];
        if g.agent.is_some() || self.hostile() == Some(gateway) {
            return Ok(());
        }
        let g = &mut self.gateways[gateway];
        g.life += 1;
        g.heard.clear();
        g.wanted.clear();
        g.wakes_at_ms = None;
        let disk = std::mem::take(&mut g.disk).powered();
        let devices: Vec<DeviceId> = g.devices.keys().cloned().collect();
        let started = g.enrolment.start(disk, devices, g.boot, now);
        g.agent = Some(started.map_err(|e| Broken::new(&format!("{} does not start: {e}", g.id)))?);
        let name = self.gateways[gateway].id.to_string();
        self.say(&name, "agent starts");
        self.connect(gateway)?;
        self.with_agent(gateway, |agent, now| agent.work(now))
    }

    pub(super) fn stop_agent(&mut self, gateway: usize) {
        let g = &mut self.gateways[gateway];
        if let Some(agent) = g.agent.take() {
            g.disk = agent.store().clone();
        }
        g.connection = None;
        g.life += 1;
    }

    pub(super) fn power_cut(&mut self, gateway: usize, back_after_ms: u64) {
        let name = self.gateways[gateway].id.to_string();
        self.say(&name, "loses power");
        self.stop_agent(gateway);
        self.gateways[gateway].boot += 1;
        self.gateways[gateway].booted_at_ms = self.now_ms + back_after_ms;
        self.after(back_after_ms, Event::GatewayStart { gateway });
    }

    pub(super) fn connect(&mut self, gateway: usize) -> Result<(), Broken> {
        let displaced = self.is_displaced(gateway);
        let g = &mut self.gateways[gateway];
        if !g.line || !self.coordinator_up || g.agent.is_none() || g.connection.is_some() || displaced {
            return Ok(());
        }
        g.connections += 1;
        g.connection = Some(g.connections);
        let id = g.id.clone();
        self.coordinator.connection(START.plus_ms(self.now_ms), &id, true);
        let g = &mut self.gateways[gateway];
        g.wanted.clear();
        self.with_agent(gateway, |agent, now| {
            link(agent, now, true);
            Ok(())
        })
    }

    pub(super) fn disconnect(&mut self, gateway: usize) -> Result<(), Broken> {
        if self.gateways[gateway].connection.take().is_none() {
            return Ok(());
        }
        self.with_agent(gateway, |agent, now| {
            link(agent, now, false);
            Ok(())
        })
    }
}
