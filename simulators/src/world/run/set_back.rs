//! Gateways whose disk is put back, that are copied, enrolled again or replaced by another machine.

use mdfm_agent_core::gateway::Output;
use mdfm_agent_core::store::memory::Memory;
use mdfm_shared::wire::Topic;

use super::super::act::Act;
use super::super::agent::{Agent, Enrolment, enrolled_again, enrolled_disk, link};
use super::super::authority::Known;
use super::super::oracle::Broken;
use super::super::setup;
use super::{Event, World};

/// Steps of a copy's turn at the line, one a second.
const TURN_STEPS: u32 = 25;
/// Between two turns of a copy.
const PAUSE_MS: u64 = 40_000;
/// Messages that a copy handles in one step.
const MESSAGES_MAX: usize = 200;

/// A copy of a gateway on another machine: the same key and state, no devices.
pub(super) struct Copy {
    pub(super) gateway: usize,
    agent: Agent,
    /// Whether it holds the gateway's place at the coordinator.
    pub(super) is_up: bool,
    pub(super) inbox: Vec<(String, Vec<u8>)>,
    turns_left: u32,
}

/// A gateway's disk as it was, and what the gateway knew then.
#[derive(Clone)]
pub(super) struct Snapshot {
    enrolment: Enrolment,
    disk: Memory,
    known: Known,
}

impl World<'_> {
    fn disk_of(&self, gateway: usize) -> Memory {
        let g = &self.gateways[gateway];
        g.agent.as_ref().map_or_else(|| g.disk.clone(), |agent| agent.store().clone()).powered()
    }

    /// The disk as it is now comes back later.
    pub(super) fn set_back_later(&mut self, gateway: usize, after_s: u64, for_s: u64) {
        let snapshot = self.disk_of(gateway);
        let life = self.snapshots.len();
        let g = &self.gateways[gateway];
        let known = self.oracle.authority.known(&g.id);
        self.snapshots.push(Snapshot { enrolment: g.enrolment.clone(), disk: snapshot, known });
        self.after(after_s * 1_000, Event::PutBack { gateway, snapshot: life, for_ms: for_s * 1_000 + 500 });
    }

    pub(super) fn put_back(&mut self, gateway: usize, snapshot: usize, for_ms: u64) {
        let Snapshot { enrolment, disk, known } = self.snapshots[snapshot].clone();
        if self.hostile() == Some(gateway) || self.gateways[gateway].enrolment.epoch != enrolment.epoch {
            // It was enrolled again since: the certificate of before lets nobody in.
            return;
        }
        let name = self.gateways[gateway].id.to_string();
        self.say(&name, "its disk is put back");
        self.oracle.set_back(self.gateways[gateway].devices.keys());
        self.oracle.held.disk_lost(self.gateways[gateway].devices.keys());
        self.stop_agent(gateway);
        let g = &mut self.gateways[gateway];
        self.oracle.authority.put_back(&g.id, known);
        g.disk = disk;
        g.boot += 1;
        g.booted_at_ms = self.now_ms + for_ms;
        self.after(for_ms, Event::GatewayStart { gateway });
    }

    /// Somebody starts a copy of the gateway.
    pub(super) fn copy(&mut self, gateway: usize, turns: u32) -> Result<(), Broken> {
        let now = self.clocks(gateway);
        let g = &self.gateways[gateway];
        let devices: Vec<_> = g.devices.keys().cloned().collect();
        let agent = g
            .enrolment
            .start(self.disk_of(gateway), devices, 1_000_000, now)
            .map_err(|e| Broken::new(&format!("a copy of {} does not start: {e}", g.id)))?;
        self.oracle.set_back(self.gateways[gateway].devices.keys());
        let copy = self.copies.len();
        self.copies.push(Copy { gateway, agent, is_up: false, inbox: Vec::new(), turns_left: turns });
        self.after(5_000, Event::Copy { copy, step: 0 });
        Ok(())
    }

    /// One second of a copy's turn; before the first it takes the gateway's place, after the last it leaves it.
    pub(super) fn copy_step(&mut self, copy: usize, step: u32) -> Result<(), Broken> {
        let gateway = self.copies[copy].gateway;
        let now = self.clocks(gateway);
        if self.calm || step >= TURN_STEPS || !self.coordinator_up {
            self.copies[copy].is_up = false;
            link(&mut self.copies[copy].agent, now, false);
            self.copies[copy].turns_left = self.copies[copy].turns_left.saturating_sub(1);
            self.connect(gateway)?;
            if self.copies[copy].turns_left > 0 && !self.calm {
                self.after(PAUSE_MS, Event::Copy { copy, step: 0 });
            }
            return Ok(());
        }
        if step == 0 {
            let name = self.gateways[gateway].id.to_string();
            self.say(&name, "a copy takes its place");
            self.disconnect(gateway)?;
            self.copies[copy].is_up = true;
            link(&mut self.copies[copy].agent, now, true);
        }
        for _ in 0..MESSAGES_MAX {
            let held = &mut self.copies[copy];
            let broke = |e| Broken::new(&format!("a copy stops: {e}"));
            for (topic, payload) in std::mem::take(&mut held.inbox) {
                held.agent.message(now, &topic, &payload).map_err(broke)?;
            }
            held.agent.work(now).map_err(broke)?;
            let mut sent = Vec::new();
            while let Some(output) = held.agent.next_output() {
                if let Output::Publish(topic, payload) = output {
                    sent.push((topic, payload));
                }
            }
            if sent.is_empty() && self.copies[copy].inbox.is_empty() {
                break;
            }
            for (topic, payload) in sent {
                self.coordinator.hear(self.utc(), &topic, &payload)?;
                self.spread()?;
            }
        }
        self.after(1_000, Event::Copy { copy, step: step + 1 });
        Ok(())
    }

    /// Whether a copy holds the gateway's place now.
    pub(super) fn is_displaced(&self, gateway: usize) -> bool {
        self.copies.iter().any(|copy| copy.is_up && copy.gateway == gateway)
    }

    /// A message for a gateway, for its copies.
    pub(super) fn copy_hears(&mut self, gateway: usize, topic: &Topic, payload: &[u8]) {
        for copy in self.copies.iter_mut().filter(|copy| copy.is_up && copy.gateway == gateway) {
            copy.inbox.push((topic.to_string(), payload.to_vec()));
        }
    }

    /// People enrol the gateway again: on its own disk, or on that of another machine.
    pub(super) fn enrol_again(&mut self, gateway: usize, new_disk: bool) -> Result<(), Broken> {
        if self.hostile() == Some(gateway) {
            return Ok(());
        }
        let id = self.gateways[gateway].id.clone();
        self.enrolments += 1;
        let key = setup::key(150 + u8::try_from(self.enrolments % 100).unwrap_or_default());
        let before = self.gateways[gateway].enrolment.key.clone();
        if !self.act("operator", Act::EnrolAgain { gateway: id.clone(), key: key.public() })? {
            return Ok(());
        }
        self.say(id.as_str(), "is enrolled again");
        self.oracle.enrolled_again(&id);
        if new_disk {
            self.oracle.set_back(self.gateways[gateway].devices.keys());
            self.oracle.held.disk_lost(self.gateways[gateway].devices.keys());
        }
        let disk = self.disk_of(gateway);
        self.stop_agent(gateway);
        let roots = self.coordinator.trust_roots();
        let epoch = self.coordinator.committed(&id).map_or(1, |(epoch, _)| epoch);
        let disk =
            if new_disk { enrolled_disk(&roots, self.trust_root().digest()) } else { enrolled_again(disk, &before) };
        if new_disk {
            self.oracle.authority.replaced(&id);
        }
        let g = &mut self.gateways[gateway];
        g.disk = disk.map_err(|e| Broken::new(&format!("{id} cannot be enrolled again: {e}")))?;
        (g.enrolment.key, g.enrolment.epoch) = (key, epoch);
        self.after(3_000, Event::GatewayStart { gateway });
        Ok(())
    }

    /// Once no copy is at the line any more, people do what the alarm asks for: a gateway that began too many epochs is enrolled again.
    pub(super) fn enrol_held_again(&mut self) -> Result<(), Broken> {
        let is_held = |g: &super::Gateway| self.coordinator.telemetry_state(&g.id) == Some("held");
        if !self.calm || !self.coordinator_up {
            return Ok(());
        }
        let held: Vec<usize> = (0..self.gateways.len()).filter(|n| is_held(&self.gateways[*n])).collect();
        held.into_iter().try_for_each(|gateway| self.enrol_again(gateway, false))
    }

    /// What was freed here must be in the log: an acknowledgement by number alone would free what was refused.
    pub(super) fn check_freed(
        &self,
        gateway: usize,
        before: &(u64, Vec<mdfm_shared::digest::Digest>),
    ) -> Result<(), Broken> {
        let Some(agent) = &self.gateways[gateway].agent else { return Ok(()) };
        // In a new epoch what was not acknowledged is sealed again.
        if agent.epoch() != before.0 {
            return Ok(());
        }
        let left = agent.unacknowledged();
        let freed = before.1.iter().filter(|digest| !left.contains(digest));
        self.oracle.freed(&self.gateways[gateway].id, freed)
    }
}
