//! The order in which the fleet's words are worked off: telemetry, which carries errors, before heartbeats; every gateway in
//! turn, so that one that floods waits for itself; everything bounded. Pure: offers in, work out.

use std::collections::{BTreeMap, VecDeque};

use mdfm_shared::id::GatewayId;

/// Telemetry batches of one gateway that may wait; it sends again what is not acknowledged.
const GATEWAY_BATCHES_MAX: usize = 64;
/// Bytes that may wait in all.
const BYTES_MAX: usize = 128 << 20;

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It waits for its turn.
    Waits,
    /// It waits in the place of an older heartbeat, which says nothing any more.
    Replaces,
    /// There was no room; the gateway sends it again.
    Dropped,
}

/// What is to be worked off now, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub telemetry: Vec<(GatewayId, Vec<u8>)>,
    pub heartbeats: Vec<(GatewayId, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Vec<u8>>,
    heartbeat: Option<Vec<u8>>,
}

/// What waits.
#[derive(Debug, Default)]
pub struct Intake {
    waiting: BTreeMap<GatewayId, Waiting>,
    /// Gateways with telemetry, whose turn comes in this order; each is in it once.
    telemetry_turns: VecDeque<GatewayId>,
    heartbeat_turns: VecDeque<GatewayId>,
    bytes: usize,
}

impl Intake {
    /// A telemetry frame came.
    pub fn telemetry(&mut self, gateway: GatewayId, frame: Vec<u8>) -> Offer {
        if self.bytes + frame.len() > BYTES_MAX {
            return Offer::Dropped;
        }
        let waiting = self.waiting.entry(gateway.clone()).or_default();
        if waiting.batches.len() >= GATEWAY_BATCHES_MAX {
            return Offer::Dropped;
        }
        self.bytes += frame.len();
        if waiting.batches.is_empty() {
            self.telemetry_turns.push_back(gateway);
        }
        waiting.batches.push_back(frame);
        Offer::Waits
    }

    /// A heartbeat frame came.
    pub fn heartbeat(&mut self, gateway: GatewayId, frame: Vec<u8>) -> Offer {
        if self.bytes + frame.len() > BYTES_MAX {
            return Offer::Dropped;
        }
        self.bytes += frame.len();
        let waiting = self.waiting.entry(gateway.clone()).or_default();
        match waiting.heartbeat.replace(frame) {
            Some(older) => {
                self.bytes -= older.len();
                Offer::Replaces
            }
            None => {
                self.heartbeat_turns.push_back(gateway);
                Offer::Waits
            }
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.telemetry_turns.is_empty() && self.heartbeat_turns.is_empty()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next work. Batches of one gateway keep their order; each gateway with telemetry gives one in turn.
    pub fn take(&mut self, batches_max: usize, heartbeats_max: usize) -> Work {
        let mut work = Work::default();
        while work.telemetry.len() < batches_max {
            let Some(gateway) = self.telemetry_turns.pop_front() else { break };
            let Some(waiting) = self.waiting.get_mut(&gateway) else { continue };
            let Some(frame) = waiting.batches.pop_front() else { continue };
            self.bytes -= frame.len();
            if waiting.batches.is_empty() {
                self.forget_if_done(&gateway);
            } else {
                self.telemetry_turns.push_back(gateway.clone());
            }
            work.telemetry.push((gateway, frame));
        }
        while work.heartbeats.len() < heartbeats_max {
            let Some(gateway) = self.heartbeat_turns.pop_front() else { break };
            let frame = self.waiting.get_mut(&gateway).and_then(|w| w.heartbeat.take());
            self.forget_if_done(&gateway);
            if let Some(frame) = frame {
                self.bytes -= frame.len();
                work.heartbeats.push((gateway, frame));
            }
        }
        work
    }

    fn forget_if_done(&mut self, gateway: &GatewayId) {
        if self.waiting.get(gateway).is_some_and(|w| w.batches.is_empty() && w.heartbeat.is_none()) {
            self.waiting.remove(gateway);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Batches, and the newest heartbeat.
    type Held = (VecDeque<Vec<u8>>, Option<Vec<u8>>);

    fn gateway(n: u8) -> GatewayId {
        format!("GW-{n}").parse().expect("a good id")
    }

    proptest! {
        /// Against a plain model: per gateway a list of batches and at most one heartbeat.
        #[test]
        fn att_13_every_gateway_keeps_its_order_and_nothing_is_lost_or_doubled(
            steps in prop::collection::vec((0_u8..4, 0_u8..6), 1..300)
        ) {
            let mut intake = Intake::default();
            let mut model: BTreeMap<GatewayId, Held> = BTreeMap::new();
            for (n, (kind, g)) in (0_u16..).zip(steps) {
                let frame = n.to_be_bytes().to_vec();
                let held = model.entry(gateway(g)).or_default();
                match kind {
                    0 | 1 => {
                        if intake.telemetry(gateway(g), frame.clone()) == Offer::Waits {
                            held.0.push_back(frame);
                        } else {
                            prop_assert!(held.0.len() == GATEWAY_BATCHES_MAX);
                        }
                    }
                    2 => {
                        intake.heartbeat(gateway(g), frame.clone());
                        held.1 = Some(frame);
                    }
                    _ => {
                        let work = intake.take(3, 2);
                        prop_assert!(work.telemetry.len() <= 3 && work.heartbeats.len() <= 2);
                        for (g, frame) in work.telemetry {
                            prop_assert_eq!(model.entry(g).or_default().0.pop_front(), Some(frame));
                        }
                        for (g, frame) in work.heartbeats {
                            prop_assert_eq!(model.entry(g).or_default().1.take(), Some(frame));
                        }
                    }
                }
                let bytes: usize = model.values().map(|(b, h)| 2 * (b.len() + usize::from(h.is_some()))).sum();
                prop_assert_eq!(intake.bytes(), bytes);
            }
            let rest = intake.take(usize::MAX, usize::MAX);
            let left: usize = model.values().map(|(b, _)| b.len()).sum();
            prop_assert_eq!(rest.telemetry.len(), left);
            prop_assert!(intake.is_empty() && intake.waiting.is_empty() && intake.bytes() == 0);
        }
    }

    #[test]
    fn att_13_one_that_floods_waits_for_itself_and_errors_come_before_heartbeats() {
        let mut intake = Intake::default();
        let offers = (0..200).map(|_| intake.telemetry(gateway(1), vec![0; 9])).filter(|o| *o == Offer::Dropped);
        assert_eq!(offers.count(), 200 - GATEWAY_BATCHES_MAX);
        intake.heartbeat(gateway(3), vec![3]);
        intake.telemetry(gateway(2), vec![2]);
        let work = intake.take(2, 0);
        assert_eq!(work.telemetry[1], (gateway(2), vec![2]), "second in line behind 64 of another");
        assert!(work.heartbeats.is_empty() && !intake.is_empty(), "it waits on");
    }
}
