//! Telemetry on its way: signed and chained when it is made, durable with the change that it reports, freed only by the
//! coordinator's signed ack.

use std::collections::BTreeMap;

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::CommitAck;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::{BATCH_EVENTS_MAX, DETAIL_CHARS_MAX};
use mdfm_shared::sign::{SecretKey, SignError, Signed};
use mdfm_shared::telemetry::{Event, EventKind, TelemetryBatch};
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, Write};

/// Batches sent without an ack at once.
const WINDOW_BATCHES: u64 = 16;
/// Without progress for so long, everything unacknowledged is sent again.
const RESEND_MS: u64 = 5_000;
const CHAIN_KEY: &str = "outbox-chain";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Chain {
    epoch: u64,
    /// Sequence of the last batch made.
    sequence: u64,
    /// Its digest; zeroes for none.
    last: Digest,
}

/// Batches that are not yet acknowledged.
pub(crate) struct Outbox {
    gateway: GatewayId,
    key: SecretKey,
    chain: Chain,
    pending: BTreeMap<u64, Vec<u8>>,
    sent_to: u64,
    progress_at: MonotonicMs,
}

fn batch_key(sequence: u64) -> String {
    format!("outbox/{sequence:020}")
}

impl Outbox {
    /// Takes up what is on disk; a new epoch starts a new chain with nothing pending.
    pub(crate) fn load(
        store: &impl Store,
        gateway: GatewayId,
        key: SecretKey,
        epoch: u64,
    ) -> Result<(Self, Vec<Write>), StoreError> {
        let held: Option<Chain> = match store.get(CHAIN_KEY)? {
            Some(bytes) => Some(wire::decode(&bytes).map_err(|_| StoreError::Decode { key: CHAIN_KEY.into() })?),
            None => None,
        };
        let stored = store.scan("outbox/")?;
        let mut writes = Vec::new();
        let mut pending = BTreeMap::new();
        let chain = match held.filter(|c| c.epoch == epoch) {
            Some(chain) => {
                for (key, bytes) in stored {
                    let sequence = key.trim_start_matches("outbox/").parse();
                    pending.insert(sequence.map_err(|_| StoreError::Decode { key })?, bytes);
                }
                chain
            }
            None => {
                writes.extend(stored.into_iter().map(|(key, _)| (key, None)));
                Chain { epoch, sequence: 0, last: Digest([0; 32]) }
            }
        };
        Ok((Self { gateway, key, chain, pending, sent_to: 0, progress_at: MonotonicMs(0) }, writes))
    }

    /// Makes signed batches of events; they count once the writes are committed.
    pub(crate) fn add(
        &mut self,
        at: UtcMillis,
        events: impl IntoIterator<Item = (Option<DeviceId>, EventKind)>,
    ) -> Result<Vec<Write>, SignError> {
        let events: Vec<Event> =
            events.into_iter().map(|(device, kind)| Event { device, at, kind: shorten(kind) }).collect();
        let mut writes = Vec::new();
        for events in events.chunks(BATCH_EVENTS_MAX) {
            let batch = TelemetryBatch {
                gateway: self.gateway.clone(),
                epoch: self.chain.epoch,
                sequence: self.chain.sequence + 1,
                previous: self.chain.last,
                events: events.to_vec(),
            };
            let signed = Signed::sign(&batch, &[&self.key])?;
            self.chain = Chain { epoch: batch.epoch, sequence: batch.sequence, last: signed.digest() };
            let frame = wire::encode(&signed);
            writes.push((batch_key(batch.sequence), Some(frame.clone())));
            self.pending.insert(batch.sequence, frame);
        }
        if !writes.is_empty() {
            writes.push((CHAIN_KEY.into(), Some(wire::encode(&self.chain))));
        }
        Ok(writes)
    }

    /// Frees what the coordinator has committed.
    pub(crate) fn acknowledge(&mut self, now: MonotonicMs, ack: &CommitAck) -> Vec<Write> {
        if ack.epoch != self.chain.epoch || ack.gateway != self.gateway {
            return Vec::new();
        }
        let kept = self.pending.split_off(&ack.sequence.saturating_add(1));
        let freed = std::mem::replace(&mut self.pending, kept);
        if !freed.is_empty() {
            self.progress_at = now;
        }
        freed.into_keys().map(|sequence| (batch_key(sequence), None)).collect()
    }

    /// Everything may have been lost: send from the start.
    pub(crate) fn reconnected(&mut self, now: MonotonicMs) {
        self.sent_to = 0;
        self.progress_at = now;
    }

    /// The batches to send now, in order.
    pub(crate) fn due(&mut self, now: MonotonicMs) -> Vec<Vec<u8>> {
        let Some((&first, _)) = self.pending.first_key_value() else { return Vec::new() };
        if self.sent_to >= first && now.since_ms(self.progress_at) >= RESEND_MS {
            self.sent_to = 0;
        }
        if self.sent_to < first {
            self.progress_at = now;
        }
        let from = self.sent_to.max(first - 1) + 1;
        let batches: Vec<(u64, Vec<u8>)> =
            self.pending.range(from..first + WINDOW_BATCHES).map(|(s, b)| (*s, b.clone())).collect();
        if let Some((last, _)) = batches.last() {
            self.sent_to = *last;
        }
        batches.into_iter().map(|(_, b)| b).collect()
    }

    /// When [`Self::due`] should be asked again without any other cause.
    pub(crate) fn deadline(&self) -> Option<MonotonicMs> {
        (!self.pending.is_empty()).then(|| self.progress_at.plus_ms(RESEND_MS))
    }

    /// The batches that wait, in order.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.pending.values()
    }

    /// Batches made so far in this epoch.
    pub(crate) fn made(&self) -> u64 {
        self.chain.sequence
    }

    pub(crate) fn depth(&self) -> u64 {
        self.pending.len() as u64
    }
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(DETAIL_CHARS_MAX) {
        text.truncate(at);
    }
}

/// Cuts texts that devices or errors made too long: a batch must stay within its bound.
fn shorten(mut kind: EventKind) -> EventKind {
    match &mut kind {
        EventKind::AgentStarted { version: text } | EventKind::LocalAction { command: text, .. } => cut(text),
        EventKind::DeviceAdopted { model, hardware, firmware } => {
            [model, hardware, &mut firmware.version].into_iter().for_each(cut);
        }
        EventKind::StateChanged { running, detail, .. } => {
            cut(detail);
            if let Some(running) = running {
                cut(&mut running.version);
            }
        }
        EventKind::DeviceError { code, message, .. } => [code, message].into_iter().for_each(cut),
        EventKind::Consent { reason, .. } => cut(reason),
        EventKind::Refused { what, reason } => [what, reason].into_iter().for_each(cut),
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    fn load(store: &Memory, epoch: u64) -> Outbox {
        let gateway = "GW-1".parse().expect("good id");
        Outbox::load(store, gateway, SecretKey::from_seed([1; 32]), epoch).expect("loads").0
    }
    fn event(text: &str) -> [(Option<DeviceId>, EventKind); 1] {
        [(None, EventKind::Refused { what: "x".into(), reason: text.into() })]
    }
    fn ack(sequence: u64) -> CommitAck {
        CommitAck { gateway: "GW-1".parse().expect("good id"), epoch: 1, sequence, log_size: 0 }
    }
    const T: MonotonicMs = MonotonicMs(1_000_000);

    #[test]
    fn att_11_batches_chain_survive_a_restart_and_go_out_in_order() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        for text in ["a", "b"] {
            let writes = outbox.add(UtcMillis(5), event(text)).expect("small");
            store.commit(writes).expect("commits");
        }
        drop(outbox);
        let mut outbox = load(&store, 1);
        let writes = outbox.add(UtcMillis(6), event("c")).expect("small");
        store.commit(writes).expect("commits");
        let frames = outbox.due(T);
        let batches: Vec<TelemetryBatch> = frames
            .iter()
            .map(|f| wire::decode::<Signed<TelemetryBatch>>(f).expect("own frame").decode_unverified().expect("own"))
            .collect();
        assert_eq!(batches.iter().map(|b| b.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(batches[0].previous, Digest([0; 32]));
        let first: Signed<TelemetryBatch> = wire::decode(&frames[0]).expect("own frame");
        assert_eq!(batches[1].previous, first.digest());
    }

    #[test]
    fn only_a_signed_ack_frees_and_silence_sends_again() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        for text in ["a", "b", "c"] {
            let writes = outbox.add(UtcMillis(5), event(text)).expect("small");
            store.commit(writes).expect("commits");
        }
        assert_eq!(outbox.due(T).len(), 3);
        assert_eq!(outbox.due(T.plus_ms(1)).len(), 0);
        let writes = outbox.acknowledge(T, &ack(1));
        assert_eq!(writes, [(batch_key(1), None)]);
        assert_eq!(outbox.due(T.plus_ms(RESEND_MS)).len(), 2, "b and c again");
        assert!(outbox.acknowledge(T, &CommitAck { epoch: 2, ..ack(3) }).is_empty(), "another epoch's ack");
        outbox.acknowledge(T, &ack(u64::MAX));
        assert_eq!((outbox.depth(), outbox.due(T).len()), (0, 0));
        assert_eq!(outbox.deadline(), None);
    }

    #[test]
    fn the_window_is_bounded_and_a_new_epoch_starts_clean() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        let many = (0..WINDOW_BATCHES * 2 * BATCH_EVENTS_MAX as u64).flat_map(|_| event(&"x".repeat(5_000)));
        let writes = outbox.add(UtcMillis(5), many).expect("cut to size");
        store.commit(writes).expect("commits");
        assert_eq!(outbox.due(T).len() as u64, WINDOW_BATCHES);
        outbox.acknowledge(T, &ack(3));
        assert_eq!(outbox.due(T).len(), 3);
        assert_eq!(load(&store, 2).depth(), 0);
    }
}
