//! What the world does to the system.

use mdfm_agent_core::store::memory::LastBatch;
use mdfm_shared::device::Fault;
use mdfm_shared::telemetry::Severity;

use super::super::act::Act;
use super::super::oracle::Broken;
use super::super::scenario::What;
use super::{Event, World, id};

impl World<'_> {
    pub(super) fn happens(&mut self, what: What) -> Result<(), Broken> {
        self.say("world", &format!("{what:?}"));
        match what {
            What::LineDown { gateway, for_s } => {
                let gateway = gateway - 1;
                self.gateways[gateway].line = false;
                self.disconnect(gateway)?;
                self.after(for_s * 1_000, Event::LineUp { gateway });
            }
            What::AgentKilled { gateway, for_s } => {
                self.stop_agent(gateway - 1);
                self.after(for_s * 1_000 + 500, Event::GatewayStart { gateway: gateway - 1 });
            }
            What::GatewayPowerCut { gateway, for_s } => self.power_cut(gateway - 1, for_s * 1_000 + 500),
            What::PowerCutWhileWriting { gateway, n, kept } => {
                let last = if kept { LastBatch::Kept } else { LastBatch::Lost };
                if let Some(agent) = self.gateways[gateway - 1].agent.as_mut() {
                    agent.store_mut().cut_at(n, last);
                }
            }
            What::ClockJump { gateway, by_s } => {
                self.gateways[gateway - 1].skew_ms += by_s * 1_000;
                return self.with_agent(gateway - 1, |agent, now| agent.work(now));
            }
            What::CoordinatorKilled { for_s } => {
                if self.coordinator_up {
                    self.coordinator_down(for_s)?;
                }
            }
            What::CoordinatorCutWhileWriting { kept, for_s } => {
                if self.coordinator_up {
                    self.cut_for_s = for_s;
                    self.coordinator.cut_while_writing(kept);
                }
            }
            What::WitnessAway { witness, for_s } => self.witness_away(witness - 1, for_s),
            What::BrokerForgets => {
                self.retained.clear();
                for gateway in 0..self.gateways.len() {
                    self.disconnect(gateway)?;
                }
                if self.coordinator_up {
                    self.coordinator.tell_everything();
                    self.spread()?;
                    for gateway in 0..self.gateways.len() {
                        self.connect(gateway)?;
                    }
                }
            }
            What::Patient { device, for_s } => {
                let device = device - 1;
                self.sites[device].device.in_use = true;
                self.send_report(device);
                self.after(for_s * 1_000, Event::PatientLeaves { device });
            }
            What::DevicePowerCut { device } => {
                // Nobody pulls the plug of a device with a patient; that is not ours to prevent.
                let flaws = Self::flaw_of(&self.flaws, device - 1);
                let site = &mut self.sites[device - 1];
                if !site.device.in_use {
                    site.device.boot(self.now_ms, &flaws);
                }
            }
            What::DeviceUnplugged { device, for_s } => {
                self.sites[device - 1].plugged = false;
                self.after(for_s * 1_000, Event::PluggedIn { device: device - 1 });
            }
            What::Fault { device, severity } => {
                let severity = match severity.as_str() {
                    "critical" => Severity::Critical,
                    "error" => Severity::Error,
                    _ => Severity::Warning,
                };
                let fault = Fault { severity, code: "PWR-3".into(), message: "mains dip".into() };
                self.find_fault(device - 1, fault);
            }
            What::DeviceExchanged { device } => self.exchange(device - 1),
            What::DeviceFlashed { device } => self.flash(device - 1),
            What::CableMoved { device, gateway, for_s } => self.move_cable(device - 1, gateway - 1, for_s)?,
            What::CrashLoop { device, boots } => self.crash(device - 1, boots),
            What::HeldOnSite { device, for_s } => self.hold_on_site(device - 1, for_s)?,
            What::Order { deployment, order } => {
                let Some(deployment) = self.deployments.get(deployment - 1).cloned().flatten() else { return Ok(()) };
                let act = match order.as_str() {
                    "pause" => Act::Pause { deployment },
                    "resume" => Act::Resume { deployment },
                    "abort" => Act::Abort { deployment },
                    _ => Act::RollBack { deployment },
                };
                self.act("operator", act)?;
            }
            What::SetBack { gateway, after_s, for_s } => self.set_back_later(gateway - 1, after_s, for_s),
            What::Copied { gateway, turns } => self.copy(gateway - 1, turns)?,
            What::EnrolledAgain { gateway, new_disk } => self.enrol_again(gateway - 1, new_disk)?,
            What::HospitalBack { deployment, hospital } => {
                let Some(deployment) = self.deployments.get(deployment - 1).cloned().flatten() else { return Ok(()) };
                let hospital = id(&format!("H-{hospital}"));
                self.act("operator", Act::RollBackHospital { deployment, hospital })?;
            }
        }
        Ok(())
    }

    /// The coordinator is gone, and with it the broker.
    pub(super) fn coordinator_down(&mut self, for_s: u64) -> Result<(), Broken> {
        self.coordinator_up = false;
        for gateway in 0..self.gateways.len() {
            self.disconnect(gateway)?;
        }
        self.after(for_s * 1_000 + 500, Event::CoordinatorStart);
        Ok(())
    }
}
