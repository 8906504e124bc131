//! Telemetry on its way: events wait until there is room to send them, are then signed and chained in batches, and are freed
//! only by the coordinator's signed ack. Everything is durable with the change that it reports.
//!
//! Two stages, so that the bound never breaks the chain. A *sealed* batch has a sequence and a digest that the next batch names: it is
//! never altered and never dropped. At most [`SEALED_MAX`] batches are sealed ahead of their acks. All other events *wait*, unsealed:
//! only these may be dropped when the outbox is full or they are too old, and what is dropped is counted in a summary
//! that waits in their place. State changes, adoptions, consent, local actions, refused rollbacks and quarantines are never dropped.

mod flood;
mod head;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::BTreeMap;

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::CommitAck;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::{BATCH_EVENTS_MAX, DETAIL_CHARS_MAX};
use mdfm_shared::sign::{KeyId, KeySet, SecretKey, SignError, Signed};
use mdfm_shared::telemetry::{CARRIED_BEGIN, CARRIED_END, Event, EventKind, REFUSED_CARRIED, TelemetryBatch};
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, Write};
pub(crate) use flood::{Class, Counts};
use head::FarEnd;
pub(crate) use head::HeadError;

/// Batches sent without an ack at once.
const WINDOW_BATCHES: u64 = 16;
/// Batches sealed ahead of their acks: what can be sent at once. Later events wait unsealed.
const SEALED_MAX: usize = WINDOW_BATCHES as usize;
/// Encoded events in one batch: signed and in base64 it fits one entry of the log.
const BATCH_BYTES_MAX: usize = 24 * 1024;
/// Without progress for so long, everything unacknowledged is sent again; each time after twice the time,
const RESEND_MS: u64 = 5_000;
/// up to this one.
const RESEND_MS_MAX: u64 = 30_000;
/// The same while the coordinator takes nothing of this gateway before a person has decided; then one batch is sent.
const HELD_RESEND_MS: u64 = 15 * 60_000;
/// A full outbox is emptied to this share of its bound, so that the work is not done for every event.
const EMPTIED_EIGHTHS: u64 = 7;
/// Critical faults of one device that wait in full, the first ones; later ones are counted once the outbox is full.
const CRITICAL_KEPT: usize = 32;
const CHAIN_KEY: &str = "outbox-chain";
/// Whose chain it is: another vendor's coordinator may count its epochs from 1 again.
const OWNER_KEY: &str = "outbox-key";
/// What is known of the coordinator's side of the chain.
const HEAD_KEY: &str = "outbox-head";
const WAITING_PREFIX: &str = "outbox-wait/";

/// Bounds of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Encoded bytes of all events and batches that wait.
    pub bytes_max: u64,
    /// Age by the wall clock, in milliseconds, at which an event that may be dropped is dropped.
    pub age_ms_max: u64,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { bytes_max: 8 << 20, age_ms_max: 90 * 86_400_000 }
    }
}

/// A sealed batch; its frame is in the store.
#[derive(Debug, Clone, Copy)]
struct Sealed {
    /// Length of the frame.
    bytes: u64,
    digest: Digest,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Chain {
    epoch: u64,
    /// Sequence of the last batch made.
    sequence: u64,
    /// Its digest; zeroes for none.
    last: Digest,
}

/// What waits to be sealed, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Waiting {
    Event(Event),
    /// Events that were not kept: of one device, or of the gateway itself.
    Cut {
        device: Option<DeviceId>,
        from: UtcMillis,
        to: UtcMillis,
        counts: Counts,
    },
}

impl Waiting {
    /// When it happened, on the gateway's clock.
    fn at(&self) -> UtcMillis {
        match self {
            Self::Event(event) => event.at,
            Self::Cut { to, .. } => *to,
        }
    }

    /// The event that goes into a batch.
    fn into_event(self) -> Event {
        match self {
            Self::Event(event) => event,
            Self::Cut { device, from, to, counts } => Event { device, at: to, kind: counts.event(from, to) },
        }
    }
}

struct Item {
    waiting: Waiting,
    /// Encoded length.
    bytes: u64,
    /// Whether something stands in the store under its number.
    stored: bool,
    /// Whether the store lacks it as it is now.
    is_new: bool,
}

/// Batches that are not yet acknowledged, and events that wait to be sealed.
pub(crate) struct Outbox {
    gateway: GatewayId,
    key: SecretKey,
    limits: OutboxLimits,
    chain: Chain,
    /// Digest of the batch before the first pending one: the last that was freed.
    freed: Digest,
    far_end: FarEnd,
    /// Size of the coordinator's log in its newest statement, how many about a smaller one came since, and when the first of them came. Volatile:
    /// after a restart the first statement counts as the newest. One that is older frees only what its digests prove, and refuses no batch
    /// that is pending now: what was refused once waits under other digests.
    log_size: u64,
    smaller: u32,
    smaller_since: MonotonicMs,
    pending: BTreeMap<u64, Sealed>,
    waiting: BTreeMap<u64, Item>,
    next_waiting: u64,
    bytes: u64,
    sent_to: u64,
    progress_at: MonotonicMs,
    resend_ms: u64,
    /// Since when batches that are sent wait for an acknowledgement.
    unanswered_since: Option<MonotonicMs>,
}

/// An outbox that was loaded.
pub(crate) struct Loaded {
    pub(crate) outbox: Outbox,
    pub(crate) writes: Vec<Write>,
    /// Whether another chain stood here before: whoever receives this one does not know what that reported.
    pub(crate) begins_again: bool,
}

fn batch_key(sequence: u64) -> String {
    format!("outbox/{sequence:020}")
}

fn waiting_key(number: u64) -> String {
    format!("{WAITING_PREFIX}{number:020}")
}

/// The write that names the key of the chain on disk.
pub fn owner_write(key: KeyId) -> Write {
    (OWNER_KEY.into(), Some(wire::encode(&key)))
}

/// Batches and single events in a store that the coordinator has not acknowledged.
pub fn unacknowledged(store: &impl Store) -> Result<(usize, usize), StoreError> {
    Ok((store.scan("outbox/")?.len(), store.scan(WAITING_PREFIX)?.len()))
}

/// The events of a batch that this gateway wrote itself.
fn events_of(frame: &[u8]) -> impl Iterator<Item = Waiting> + use<> {
    let batch = wire::decode::<Signed<TelemetryBatch>>(frame).ok().and_then(|b| b.decode_unverified().ok());
    batch.into_iter().flat_map(|b| b.events).map(Waiting::Event)
}

fn is_signed_by(batch: &[u8], key: &SecretKey) -> bool {
    let signed = wire::decode::<Signed<TelemetryBatch>>(batch);
    signed.is_ok_and(|signed| signed.verify(&KeySet::single(key.public())).is_ok())
}

/// The sealed batches of a chain, and the digest that the first of them names.
fn sealed_in(stored: Vec<(String, Vec<u8>)>) -> Result<(BTreeMap<u64, Sealed>, Option<Digest>), StoreError> {
    let (mut pending, mut before) = (BTreeMap::new(), None);
    for (key, bytes) in stored {
        let sequence = key.trim_start_matches("outbox/").parse::<u64>().ok();
        let signed = wire::decode::<Signed<TelemetryBatch>>(&bytes).ok();
        let (Some(sequence), Some(signed)) = (sequence, signed) else {
            return Err(StoreError::Decode { key });
        };
        if before.is_none() {
            before = signed.decode_unverified().ok().map(|batch| batch.previous);
        }
        pending.insert(sequence, Sealed { bytes: bytes.len() as u64, digest: signed.digest() });
    }
    Ok((pending, before))
}

fn waiting_in(store: &impl Store) -> Result<BTreeMap<u64, Item>, StoreError> {
    let mut waiting = BTreeMap::new();
    for (key, bytes) in store.scan(WAITING_PREFIX)? {
        let number = key.trim_start_matches(WAITING_PREFIX).parse::<u64>().ok();
        let (Some(number), Ok(decoded)) = (number, wire::decode(&bytes)) else {
            return Err(StoreError::Decode { key });
        };
        waiting.insert(number, Item { waiting: decoded, bytes: bytes.len() as u64, stored: true, is_new: false });
    }
    Ok(waiting)
}

impl Outbox {
    /// Loads what is in the store. A new epoch, or a new key, starts a new chain with nothing sealed. What the old one still held goes into it: events
    /// that were sealed and not acknowledged first, because the batches around them fit no other chain or key, then those that wait.
    pub(crate) fn load(
        store: &impl Store,
        gateway: GatewayId,
        key: SecretKey,
        epoch: u64,
        limits: OutboxLimits,
    ) -> Result<Loaded, StoreError> {
        let held: Option<Chain> = match store.get(CHAIN_KEY)? {
            Some(bytes) => Some(wire::decode(&bytes).map_err(|_| StoreError::Decode { key: CHAIN_KEY.into() })?),
            None => None,
        };
        let stored = store.scan("outbox/")?;
        let mut writes = Vec::new();
        let own = key.public().id();
        let owner = store.get(OWNER_KEY)?.map(|bytes| wire::decode::<KeyId>(&bytes).ok());
        let is_own = match owner {
            Some(owner) => owner == Some(own),
            // State of earlier versions: what was signed says it.
            None => stored.iter().all(|(_, bytes)| is_signed_by(bytes, &key)),
        };
        if owner != Some(Some(own)) {
            writes.push(owner_write(own));
        }
        let mut pending = BTreeMap::new();
        let mut unsealed = Vec::new();
        let mut freed = None;
        let mut far_end = FarEnd::load(store)?;
        let (is_first, mut begins_again) = (held.is_none(), false);
        // Above the epoch of the enrolment are those that this gateway began itself.
        let chain = match held.filter(|c| c.epoch >= epoch && is_own) {
            Some(chain) => {
                (pending, freed) = sealed_in(stored)?;
                chain
            }
            None => {
                for (key, bytes) in stored {
                    unsealed.extend(events_of(&bytes));
                    writes.push((key, None));
                }
                begins_again = !is_first;
                // Nothing is known of what stands at the other end of this chain.
                far_end = FarEnd::default();
                writes.push((HEAD_KEY.into(), None));
                Chain { epoch, sequence: 0, last: Digest([0; 32]) }
            }
        };
        let mut waiting = waiting_in(store)?;
        if begins_again {
            carry(&mut waiting, None, unsealed, &mut writes);
        }
        let bytes = pending.values().map(|s| s.bytes).sum::<u64>() + waiting.values().map(|i| i.bytes).sum::<u64>();
        let next_waiting = waiting.last_key_value().map_or(0, |(n, _)| n + 1);
        let freed = freed.unwrap_or(chain.last);
        let outbox = Self {
            gateway,
            key,
            limits,
            chain,
            freed,
            far_end,
            log_size: 0,
            smaller: 0,
            smaller_since: MonotonicMs(0),
            pending,
            waiting,
            next_waiting,
            bytes,
            sent_to: 0,
            progress_at: MonotonicMs(0),
            resend_ms: RESEND_MS,
            unanswered_since: None,
        };
        Ok(Loaded { outbox, writes, begins_again })
    }

    /// Makes signed batches of what waits, as many as can be sent at once.
    fn seal(&mut self, writes: &mut Vec<Write>) -> Result<(), SignError> {
        let before = self.chain.sequence;
        while self.pending.len() < SEALED_MAX && !self.waiting.is_empty() {
            self.seal_one(writes)?;
        }
        if self.chain.sequence != before {
            writes.push((CHAIN_KEY.into(), Some(wire::encode(&self.chain))));
        }
        Ok(())
    }

    fn seal_one(&mut self, writes: &mut Vec<Write>) -> Result<(), SignError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(entry) = self.waiting.first_entry() {
            bytes += usize::try_from(entry.get().bytes).unwrap_or(usize::MAX);
            if !events.is_empty() && (events.len() == BATCH_EVENTS_MAX || bytes > BATCH_BYTES_MAX) {
                break;
            }
            let (number, item) = entry.remove_entry();
            self.bytes = self.bytes.saturating_sub(item.bytes);
            if item.stored {
                writes.push((waiting_key(number), None));
            }
            events.push(item.waiting.into_event());
        }
        let batch = TelemetryBatch {
            gateway: self.gateway.clone(),
            epoch: self.chain.epoch,
            sequence: self.chain.sequence + 1,
            previous: self.chain.last,
            events,
        };
        let signed = Signed::sign(&batch, &[&self.key])?;
        self.chain = Chain { epoch: batch.epoch, sequence: batch.sequence, last: signed.digest() };
        let frame = wire::encode(&signed);
        let sealed = Sealed { bytes: frame.len() as u64, digest: signed.digest() };
        self.pending.insert(batch.sequence, sealed);
        self.bytes += sealed.bytes;
        writes.push((batch_key(batch.sequence), Some(frame)));
        Ok(())
    }

    /// Seals everything that waits, for somebody who carries it away on removable media.
    pub(crate) fn seal_all(&mut self) -> Result<Vec<Write>, SignError> {
        let mut writes = Vec::new();
        while !self.waiting.is_empty() {
            self.seal_one(&mut writes)?;
        }
        if !writes.is_empty() {
            writes.push((CHAIN_KEY.into(), Some(wire::encode(&self.chain))));
        }
        Ok(writes)
    }

    /// Frees what a coordinator of an earlier version has committed, and seals what waited for room. One that names digests is
    /// believed by digest alone.
    pub(crate) fn acknowledge(&mut self, now: MonotonicMs, ack: &CommitAck) -> Result<Vec<Write>, SignError> {
        if ack.epoch != self.chain.epoch || ack.gateway != self.gateway || self.far_end.names_heads {
            return Ok(Vec::new());
        }
        // A statement about less that was on its way says nothing any more.
        self.log_size = self.log_size.max(ack.log_size);
        let mut writes = self.free(now, ack.sequence);
        self.seal(&mut writes)?;
        Ok(writes)
    }

    /// Frees the batches up to a sequence.
    fn free(&mut self, now: MonotonicMs, sequence: u64) -> Vec<Write> {
        let kept = self.pending.split_off(&sequence.saturating_add(1));
        let freed = std::mem::replace(&mut self.pending, kept);
        if let Some((_, last)) = freed.last_key_value() {
            self.freed = last.digest;
            self.progress_at = now;
            self.resend_ms = RESEND_MS;
            self.unanswered_since = None;
        }
        self.bytes = self.bytes.saturating_sub(freed.values().map(|s| s.bytes).sum());
        freed.into_keys().map(|sequence| (batch_key(sequence), None)).collect()
    }

    /// Everything may have been lost: send from the start.
    pub(crate) fn reconnected(&mut self, now: MonotonicMs) {
        self.sent_to = 0;
        self.progress_at = now;
        self.resend_ms = RESEND_MS;
        self.unanswered_since = None;
    }

    /// The connection ended: that nothing is acknowledged has a cause that is known.
    pub(crate) fn disconnected(&mut self) {
        self.unanswered_since = None;
    }

    fn resend_ms(&self) -> u64 {
        if self.is_held() { HELD_RESEND_MS } else { self.resend_ms }
    }

    /// The batches to send now, in order; their frames are read from the store.
    pub(crate) fn due(&mut self, now: MonotonicMs, store: &impl Store) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some((&first, _)) = self.pending.first_key_value() else { return Ok(Vec::new()) };
        if self.sent_to >= first && now.since_ms(self.progress_at) >= self.resend_ms() {
            self.sent_to = 0;
            self.resend_ms = (self.resend_ms * 2).min(RESEND_MS_MAX);
        }
        if self.sent_to < first {
            self.progress_at = now;
        }
        self.unanswered_since.get_or_insert(now);
        let from = self.sent_to.max(first - 1) + 1;
        let window = if self.is_held() { 1 } else { WINDOW_BATCHES };
        // A hold makes the window smaller than what was sent already.
        let batches: Vec<u64> = self.pending.range(from..from.max(first + window)).map(|(s, _)| *s).collect();
        if let Some(last) = batches.last() {
            self.sent_to = *last;
        }
        frames(store, batches)
    }

    /// When [`Self::due`] should be asked again without any other cause.
    pub(crate) fn deadline(&self) -> Option<MonotonicMs> {
        (!self.pending.is_empty()).then(|| self.progress_at.plus_ms(self.resend_ms()))
    }

    /// The sealed batches, in order.
    pub(crate) fn pending(&self, store: &impl Store) -> Result<Vec<Vec<u8>>, StoreError> {
        frames(store, self.pending.keys().copied())
    }

    /// Batches made so far in this epoch.
    pub(crate) fn made(&self) -> u64 {
        self.chain.sequence
    }

    /// Batches not yet acknowledged, and those that the waiting events will need at least.
    pub(crate) fn depth(&self) -> u64 {
        (self.pending.len() + self.waiting.len().div_ceil(BATCH_EVENTS_MAX)) as u64
    }

    /// Encoded bytes of everything that waits.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A record that marks where what a new epoch takes over begins, or ends.
fn carried(at: UtcMillis, reason: &str) -> Waiting {
    let kind = EventKind::Refused { what: REFUSED_CARRIED.into(), reason: reason.into() };
    Waiting::Event(Event { device: None, at, kind })
}

/// Makes what was sealed for another chain, and what waits, the beginning of a new one, between two marks: it may be older than what the
/// coordinator holds. The marks of an earlier epoch go.
fn carry(waiting: &mut BTreeMap<u64, Item>, first: Option<Waiting>, sealed: Vec<Waiting>, writes: &mut Vec<Write>) {
    let is_mark = |kind: &EventKind| matches!(kind, EventKind::Refused { what, .. } if what == REFUSED_CARRIED);
    writes.extend(waiting.iter().filter(|(_, i)| i.stored).map(|(number, _)| (waiting_key(*number), None)));
    let next = waiting.last_key_value().map_or(0, |(n, _)| n + 1);
    let later = std::mem::take(waiting).into_values().map(|item| item.waiting);
    let all = sealed.into_iter().chain(later);
    let events: Vec<Waiting> = all.filter(|w| !matches!(w, Waiting::Event(e) if is_mark(&e.kind))).collect();
    let at = events.iter().map(Waiting::at).max().unwrap_or_default();
    let marks = (!events.is_empty()).then(|| (carried(at, CARRIED_BEGIN), carried(at, CARRIED_END)));
    let (begin, end) = marks.unzip();
    let all = first.into_iter().chain(begin).chain(events).chain(end);
    for (number, waits) in (next..).zip(all) {
        let encoded = wire::encode(&waits);
        let item = Item { waiting: waits, bytes: encoded.len() as u64, stored: true, is_new: false };
        waiting.insert(number, item);
        writes.push((waiting_key(number), Some(encoded)));
    }
}

fn frames(store: &impl Store, batches: impl IntoIterator<Item = u64>) -> Result<Vec<Vec<u8>>, StoreError> {
    let frame = |sequence| {
        let key = batch_key(sequence);
        store.get(&key)?.ok_or(StoreError::Decode { key })
    };
    batches.into_iter().map(frame).collect()
}

impl Item {
    /// Whether it may be dropped when there is no room. Critical faults are the last to go, and never the first of a device.
    fn may_be_dropped(&self) -> bool {
        match &self.waiting {
            Waiting::Event(event) => Class::of(&event.kind).is_some_and(|class| class != Class::CriticalFault),
            Waiting::Cut { .. } => false,
        }
    }
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(DETAIL_CHARS_MAX) {
        text.truncate(at);
    }
}

/// Cuts texts that devices or errors made too long: a batch must stay within its bound.
pub(crate) fn shorten(mut kind: EventKind) -> EventKind {
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
        // Its texts are labels, cut when the device reported them; cut again they would not fit their digest.
        EventKind::DeviceObserved { .. } => {}
    }
    kind
}
