//! The line between gateways and coordinator, with the broker at its end.

use mdfm_shared::record::AuditRecord;
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_shared::wire::Topic;

use super::super::coordinator::Message;
use super::super::oracle::Broken;
use super::{Event, World};

impl World<'_> {
    pub(super) fn delay(&mut self) -> u64 {
        self.rng.between(5, self.scenario.network.delay_ms_max.max(5))
    }

    /// How often a message arrives, and when.
    pub(super) fn fates(&mut self) -> Vec<u64> {
        let network = &self.scenario.network;
        let (drop, duplicate) = if self.calm { (0.0, 0.0) } else { (network.drop, network.duplicate) };
        let mut fates = Vec::new();
        if !self.rng.happens(drop) {
            fates.push(self.delay());
        }
        if self.rng.happens(duplicate) {
            fates.push(self.delay() * 3);
        }
        fates
    }

    /// One connection keeps the order of its messages; a line that loses and repeats does not.
    pub(super) fn in_order(&mut self, gateway: usize, way: usize, delay: u64) -> u64 {
        let network = &self.scenario.network;
        if !self.calm && network.drop + network.duplicate > 0.0 {
            return delay;
        }
        let last = &mut self.gateways[gateway].last_ms[way];
        *last = (self.now_ms + delay).max(*last);
        *last - self.now_ms
    }

    pub(super) fn send_down(&mut self, gateway: usize, topic: &str, payload: &[u8]) {
        let Some(connection) = self.gateways[gateway].connection else { return };
        if self.withholds(topic) {
            return;
        }
        let is_chain = matches!(Topic::parse(topic), Some(Topic::Chain(_)));
        if is_chain {
            std::mem::swap(&mut self.rng, &mut self.chain_rng);
        }
        let fates = self.fates();
        if is_chain {
            std::mem::swap(&mut self.rng, &mut self.chain_rng);
        }
        for delay in fates {
            let delay = self.in_order(gateway, 0, delay);
            let (topic, payload) = (topic.to_owned(), payload.to_vec());
            self.after(delay, Event::ToGateway { gateway, connection, topic, payload });
        }
    }

    pub(super) fn send_up(&mut self, gateway: usize, topic: &Topic, payload: &[u8]) {
        let Some(connection) = self.gateways[gateway].connection else { return };
        for delay in self.fates() {
            let delay = self.in_order(gateway, 1, delay);
            let (topic, payload) = (topic.clone(), payload.to_vec());
            self.after(delay, Event::ToCoordinator { gateway, connection, topic, payload });
        }
    }

    pub(super) fn deliver_retained(&mut self, gateway: usize) {
        let id = self.gateways[gateway].id.clone();
        let own = [Topic::Directive(id.clone()), Topic::RollbackOrders(id)].map(|topic| topic.to_string());
        let all: Vec<(String, Vec<u8>)> = self
            .retained
            .iter()
            .filter(|(topic, _)| {
                own.contains(topic)
                    || matches!(
                        Topic::parse(topic),
                        Some(Topic::TrustRoot(_) | Topic::Roster | Topic::Withdrawals | Topic::Checkpoint)
                    )
            })
            .map(|(topic, payload)| (topic.clone(), payload.clone()))
            .collect();
        for (topic, payload) in all {
            self.send_down(gateway, &topic, &payload);
        }
    }

    /// Brings out what the coordinator says, and writes down what its log says of deployments.
    pub(super) fn spread(&mut self) -> Result<(), Broken> {
        for Message { topic, retained, payload } in self.coordinator.take_messages() {
            let name = topic.to_string();
            if retained {
                self.retained.insert(name.clone(), payload.clone());
            }
            for gateway in 0..self.gateways.len() {
                let hears = match &topic {
                    Topic::Directive(g)
                    | Topic::Ack(g)
                    | Topic::RollbackOrders(g)
                    | Topic::Chain(g)
                    | Topic::Question(g) => *g == self.gateways[gateway].id,
                    Topic::Release(digest) => self.gateways[gateway].wanted.contains(digest),
                    _ => true,
                };
                if hears {
                    self.copy_hears(gateway, &topic, &payload);
                    self.send_down(gateway, &name, &payload);
                }
            }
        }
        let records: Vec<AuditRecord> = self.coordinator.entries()[self.logged..]
            .iter()
            .map(|e| AuditRecord::from_bytes(e).map_err(|e| Broken::new(&format!("a record does not decode: {e}"))))
            .collect::<Result<_, _>>()?;
        let first = self.logged as u64;
        self.logged += records.len();
        self.ask_witnesses();
        for (index, record) in (first..).zip(records) {
            if record.action == "firmware.approve" {
                self.approved_at.insert(record.object.clone(), index);
            }
            self.oracle.record(&record)?;
            if record.action == "telemetry.commit"
                && let Ok(batch) = record.document::<TelemetryBatch>()
            {
                self.note_head(&batch);
            }
            let is_shown = ["deployment.", "firmware.app", "telemetry.epoch", "telemetry.anomaly"];
            if is_shown.iter().any(|shown| record.action.starts_with(shown)) {
                let reason = record.reason.clone().unwrap_or_default();
                self.say(&record.actor.id, &format!("{} {}: {reason}", record.action, record.object));
            }
        }
        Ok(())
    }
}
