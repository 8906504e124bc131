//! Telemetry on its way: events wait until there is room to send them, are then signed and chained in batches, and are freed
//! only by the coordinator's signed ack. Everything is durable with the change that it reports.
//!
//! Two stages, so that the bound never breaks the chain. A *sealed* batch has a sequence and a digest that the next batch names: it is
//! never altered and never dropped. At most [`SEALED_MAX`] batches are sealed ahead of their acks. All other events *wait*, unsealed:
//! only these may be dropped when the outbox is full or they are too old, and what is dropped is counted in a summary
//! that waits in their place. State changes, adoptions, consent, local actions, refused rollbacks and quarantines are never dropped.

mod flood;
mod head;

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

    /// Takes events; they count once the writes are committed.
    pub(crate) fn add(
        &mut self,
        at: UtcMillis,
        events: impl IntoIterator<Item = (Option<DeviceId>, EventKind)>,
    ) -> Result<Vec<Write>, SignError> {
        for (device, kind) in events {
            let number = self.next_waiting;
            self.next_waiting += 1;
            self.put(number, Waiting::Event(Event { device, at, kind: shorten(kind) }));
        }
        self.settle(at)
    }

    /// Counts events of a device, or of the gateway itself, that were not recorded.
    pub(crate) fn count(
        &mut self,
        (from, to): (UtcMillis, UtcMillis),
        device: Option<&DeviceId>,
        counts: &Counts,
    ) -> Result<Vec<Write>, SignError> {
        self.merge((from, to), device, counts);
        self.settle(to)
    }

    /// Adds to the summary that waits for this device, or begins one.
    fn merge(&mut self, (from, to): (UtcMillis, UtcMillis), device: Option<&DeviceId>, more: &Counts) {
        let same = |item: &Item| matches!(&item.waiting, Waiting::Cut { device: d, .. } if d.as_ref() == device);
        let held = self.waiting.iter().find(|(_, item)| same(item)).map(|(n, item)| (*n, item.waiting.clone()));
        match held {
            Some((number, Waiting::Cut { device, from: first, to: last, mut counts })) => {
                counts.add(more);
                self.put(number, Waiting::Cut { device, from: first.min(from), to: last.max(to), counts });
            }
            _ => {
                let number = self.next_waiting;
                self.next_waiting += 1;
                self.put(number, Waiting::Cut { device: device.cloned(), from, to, counts: more.clone() });
            }
        }
    }

    fn put(&mut self, number: u64, waiting: Waiting) {
        let bytes = wire::encode(&waiting).len() as u64;
        let before = self.waiting.remove(&number);
        let (stored, freed) = before.map_or((false, 0), |i| (i.stored, i.bytes));
        self.waiting.insert(number, Item { waiting, bytes, stored, is_new: true });
        self.bytes = (self.bytes + bytes).saturating_sub(freed);
    }

    /// Drops what is too much or too old, seals what can be sent, and returns what must be written.
    fn settle(&mut self, now: UtcMillis) -> Result<Vec<Write>, SignError> {
        let mut writes = Vec::new();
        self.trim(now, &mut writes);
        self.seal(&mut writes)?;
        for (number, item) in &mut self.waiting {
            if item.is_new {
                (item.stored, item.is_new) = (true, false);
                writes.push((waiting_key(*number), Some(wire::encode(&item.waiting))));
            }
        }
        Ok(writes)
    }

    fn trim(&mut self, now: UtcMillis, writes: &mut Vec<Write>) {
        let age_ms_max = self.limits.age_ms_max;
        let is_old = |item: &Item| matches!(&item.waiting, Waiting::Event(e) if now.since_ms(e.at) > age_ms_max);
        // The oldest event is first, but for clocks that were set: a look at it says whether to look at all.
        let oldest = self.waiting.values().find(|item| matches!(item.waiting, Waiting::Event(_)));
        if oldest.is_some_and(is_old) {
            let old: Vec<u64> =
                self.waiting.iter().filter(|(_, i)| is_old(i) && i.may_be_dropped()).map(|(n, _)| *n).collect();
            self.drop_all(old, writes);
        }
        if self.bytes <= self.limits.bytes_max {
            return;
        }
        let target = self.limits.bytes_max / 8 * EMPTIED_EIGHTHS;
        let mut excess = self.bytes.saturating_sub(target);
        let mut too_much = Vec::new();
        for (number, item) in self.waiting.iter().filter(|(_, i)| i.may_be_dropped()) {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(item.bytes);
            too_much.push(*number);
        }
        if excess > 0 {
            let mut kept: BTreeMap<Option<&DeviceId>, usize> = BTreeMap::new();
            for (number, item) in &self.waiting {
                if let Waiting::Event(event) = &item.waiting
                    && Class::of(&event.kind) == Some(Class::CriticalFault)
                {
                    let kept = kept.entry(event.device.as_ref()).or_default();
                    *kept += 1;
                    if *kept > CRITICAL_KEPT {
                        too_much.push(*number);
                    }
                }
            }
        }
        self.drop_all(too_much, writes);
    }

    /// Drops waiting events and counts them.
    fn drop_all(&mut self, numbers: Vec<u64>, writes: &mut Vec<Write>) {
        let mut dropped: BTreeMap<Option<DeviceId>, (UtcMillis, UtcMillis, Counts)> = BTreeMap::new();
        for number in numbers {
            let Some(item) = self.waiting.remove(&number) else { continue };
            self.bytes = self.bytes.saturating_sub(item.bytes);
            if item.stored {
                writes.push((waiting_key(number), None));
            }
            if let Waiting::Event(event) = item.waiting {
                let summary = dropped.entry(event.device).or_insert_with(|| (event.at, event.at, Counts::default()));
                summary.0 = summary.0.min(event.at);
                summary.1 = summary.1.max(event.at);
                summary.2.count_dropped(Class::of(&event.kind).unwrap_or(Class::Other));
            }
        }
        for (device, (from, to, counts)) in dropped {
            self.merge((from, to), device.as_ref(), &counts);
        }
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

#[cfg(test)]
mod tests {
    use mdfm_shared::telemetry::Severity;

    use super::super::memory::Memory;
    use super::*;

    fn load(store: &Memory, epoch: u64) -> Outbox {
        let gateway = "GW-1".parse().expect("good id");
        let limits = OutboxLimits { bytes_max: 64 * 1024, age_ms_max: 86_400_000 };
        Outbox::load(store, gateway, SecretKey::from_seed([1; 32]), epoch, limits).expect("loads").outbox
    }
    fn event(text: &str) -> [(Option<DeviceId>, EventKind); 1] {
        [(None, EventKind::Refused { what: "x".into(), reason: text.into() })]
    }
    fn ack(sequence: u64) -> CommitAck {
        CommitAck { gateway: "GW-1".parse().expect("good id"), epoch: 1, sequence, log_size: 0 }
    }
    const T: MonotonicMs = MonotonicMs(1_000_000);

    fn batches(store: &Memory, outbox: &mut Outbox, now: MonotonicMs) -> Vec<(Digest, TelemetryBatch)> {
        let frames = outbox.due(now, store).expect("reads");
        let signed = frames.iter().map(|f| wire::decode::<Signed<TelemetryBatch>>(f).expect("own frame"));
        signed.map(|s| (s.digest(), s.decode_unverified().expect("own"))).collect()
    }
    fn sent(store: &Memory, outbox: &mut Outbox, now: MonotonicMs) -> usize {
        batches(store, outbox, now).len()
    }
    /// Acknowledges everything, as often as something waits; returns all events in their order, and checks the chain.
    fn drain(store: &mut Memory, outbox: &mut Outbox) -> Vec<Event> {
        let (mut all, mut last) = (Vec::new(), None);
        for _ in 0..10_000 {
            if outbox.depth() == 0 {
                return all;
            }
            for (digest, batch) in batches(store, outbox, T) {
                assert!(batch.is_bounded());
                assert!(last.is_none_or(|(d, n)| (d, n + 1) == (batch.previous, batch.sequence)), "the chain is whole");
                last = Some((digest, batch.sequence));
                all.extend(batch.events);
            }
            let writes = outbox.acknowledge(T, &ack(outbox.made())).expect("signs");
            store.commit(writes).expect("commits");
        }
        panic!("does not empty");
    }

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
        let batches = batches(&store, &mut outbox, T);
        assert_eq!(batches.iter().map(|(_, b)| b.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(batches[0].1.previous, Digest([0; 32]));
        assert_eq!(batches[1].1.previous, batches[0].0);
    }

    #[test]
    fn only_a_signed_ack_frees_and_silence_sends_again() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        for text in ["a", "b", "c"] {
            let writes = outbox.add(UtcMillis(5), event(text)).expect("small");
            store.commit(writes).expect("commits");
        }
        assert_eq!(sent(&store, &mut outbox, T), 3);
        assert_eq!(sent(&store, &mut outbox, T.plus_ms(1)), 0);
        let writes = outbox.acknowledge(T, &ack(1)).expect("signs");
        assert_eq!(writes, [(batch_key(1), None)]);
        assert_eq!(sent(&store, &mut outbox, T.plus_ms(RESEND_MS)), 2, "b and c again");
        assert!(
            outbox.acknowledge(T, &CommitAck { epoch: 2, ..ack(3) }).expect("signs").is_empty(),
            "another epoch's ack"
        );
        outbox.acknowledge(T, &ack(u64::MAX)).expect("signs");
        assert_eq!((outbox.depth(), outbox.bytes(), sent(&store, &mut outbox, T)), (0, 0, 0));
        assert_eq!(outbox.deadline(), None);
    }

    #[test]
    fn sec_14_a_new_epoch_takes_over_what_was_not_acknowledged() {
        let mut store = Memory::default();
        let gateway: GatewayId = "GW-1".parse().expect("good id");
        let key = SecretKey::from_seed([1; 32]);
        let mut outbox = Outbox::load(&store, gateway, key, 1, OutboxLimits::default()).expect("loads").outbox;
        let many = (0..WINDOW_BATCHES * 2 * BATCH_EVENTS_MAX as u64).flat_map(|_| event(&"x".repeat(5_000)));
        let writes = outbox.add(UtcMillis(5), many).expect("cut to size");
        store.commit(writes).expect("commits");
        assert_eq!(sent(&store, &mut outbox, T) as u64, WINDOW_BATCHES);
        let writes = outbox.acknowledge(T, &ack(3)).expect("signs");
        store.commit(writes).expect("commits");
        assert_eq!(sent(&store, &mut outbox, T), 3);
        let Loaded { outbox: mut next, writes, begins_again } = {
            let gateway = "GW-1".parse().expect("good id");
            Outbox::load(&store, gateway, SecretKey::from_seed([1; 32]), 2, OutboxLimits::default()).expect("loads")
        };
        store.commit(writes).expect("commits");
        assert!(begins_again);
        assert_eq!(next.made(), 0, "the sealed ones were of another chain");
        let left = WINDOW_BATCHES as usize * 2 * BATCH_EVENTS_MAX - 3 * BATCH_EVENTS_MAX;
        let writes = next.settle(UtcMillis(6)).expect("signs");
        store.commit(writes).expect("commits");
        let acknowledged = |outbox: &mut Outbox, store: &mut Memory| {
            let writes = outbox.acknowledge(T, &CommitAck { epoch: 2, ..ack(u64::MAX) }).expect("signs");
            store.commit(writes).expect("commits");
        };
        let mut events = 0;
        while next.depth() > 0 {
            events += batches(&store, &mut next, T).iter().map(|(_, b)| b.events.len()).sum::<usize>();
            acknowledged(&mut next, &mut store);
        }
        assert_eq!(events, left + 2, "what was not acknowledged goes into the new chain, between two marks");
    }

    #[test]
    fn sec_14_another_key_starts_a_new_chain_in_the_same_epoch() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        let writes = outbox.add(UtcMillis(5), event("a")).expect("small");
        store.commit(writes).expect("commits");
        let (gateway, key) = ("GW-1".parse().expect("good id"), SecretKey::from_seed([2; 32]));
        let Loaded { mut outbox, writes, .. } =
            Outbox::load(&store, gateway, key.clone(), 1, OutboxLimits::default()).expect("loads");
        store.commit(writes).expect("commits");
        let writes = outbox.add(UtcMillis(6), event("b")).expect("small");
        store.commit(writes).expect("commits");
        let sealed = store.scan("outbox/").expect("reads");
        assert!(!sealed.is_empty() && sealed.iter().all(|(_, bytes)| is_signed_by(bytes, &key)));
        let events: usize = batches(&store, &mut outbox, T).iter().map(|(_, b)| b.events.len()).sum();
        assert_eq!(events, 4, "what was not acknowledged is reported under the new key, behind two marks");
    }

    fn fault(severity: Severity, n: u64) -> (Option<DeviceId>, EventKind) {
        let kind = EventKind::DeviceError { severity, code: "E".into(), message: format!("{n} {}", "x".repeat(200)) };
        (Some("DEV-1".parse().expect("good id")), kind)
    }
    fn kept() -> (Option<DeviceId>, EventKind) {
        (None, EventKind::LocalAction { command: "hold".into(), uid: 7 })
    }

    #[test]
    fn sec_10_a_full_outbox_drops_faults_and_keeps_acts() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        for n in 0..20_000 {
            let severity = if n % 50 == 0 { Severity::Critical } else { Severity::Error };
            let mut events = vec![fault(severity, n)];
            if n % 500 == 0 {
                events.push(kept());
            }
            let writes = outbox.add(UtcMillis(n), events).expect("signs");
            store.commit(writes).expect("commits");
            assert!(outbox.bytes() < 64 * 1024 + 2_000, "{}", outbox.bytes());
            if n % 3_000 == 2_999 {
                let before = (outbox.bytes(), outbox.depth(), outbox.made());
                outbox = load(&store, 1);
                assert_eq!((outbox.bytes(), outbox.depth(), outbox.made()), before, "a restart finds the same");
            }
        }
        let stored: usize = store.content.values().map(Vec::len).sum();
        assert!(stored < 80 * 1024, "{stored} bytes are stored");
        let events = drain(&mut store, &mut outbox);
        let count = |is: fn(&EventKind) -> bool| events.iter().filter(|e| is(&e.kind)).count();
        assert_eq!(count(|k| matches!(k, EventKind::LocalAction { .. })), 40, "every act of a person");
        let critical = |k: &EventKind| matches!(k, EventKind::DeviceError { severity: Severity::Critical, .. });
        assert!(count(critical) >= CRITICAL_KEPT, "{}", count(critical));
        let summaries: Vec<&Event> =
            events.iter().filter(|e| matches!(&e.kind, EventKind::Refused { what, .. } if what == "flood")).collect();
        assert_eq!(summaries.len(), 1, "one summary a device");
        let EventKind::Refused { reason, .. } = &summaries[0].kind else { unreachable!() };
        let faults = count(|k| matches!(k, EventKind::DeviceError { .. }));
        assert!(reason.starts_with(&format!("{} events between ", 20_000 - faults)), "{reason}");
        assert!(store.content.keys().all(|k| k == CHAIN_KEY), "nothing is left behind");
    }

    #[test]
    fn sec_10_old_faults_are_dropped_and_counted() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        let sealed = (0..SEALED_MAX as u64).map(|n| fault(Severity::Error, n)).collect::<Vec<_>>();
        for one in sealed {
            let writes = outbox.add(UtcMillis(0), [one]).expect("signs");
            store.commit(writes).expect("commits");
        }
        let counts = Counts::default();
        let writes = outbox.count((UtcMillis(0), UtcMillis(0)), None, &counts).expect("signs");
        store.commit(writes).expect("commits");
        let writes = outbox.add(UtcMillis(1), [fault(Severity::Error, 1), kept()]).expect("signs");
        store.commit(writes).expect("commits");
        let writes = outbox.add(UtcMillis(2 * 86_400_000), [kept()]).expect("signs");
        store.commit(writes).expect("commits");
        let events = drain(&mut store, &mut outbox);
        let faults = events.iter().filter(|e| matches!(e.kind, EventKind::DeviceError { .. })).count();
        assert_eq!(faults, SEALED_MAX, "what is sealed stays");
        assert_eq!(events.iter().filter(|e| matches!(e.kind, EventKind::LocalAction { .. })).count(), 2);
        let reason = events.iter().find_map(|e| match &e.kind {
            EventKind::Refused { what, reason } if what == "flood" && e.device.is_some() => Some(reason.clone()),
            _ => None,
        });
        assert!(reason.is_some_and(|r| r.starts_with("1 event between")), "counted");
    }

    #[test]
    fn sec_10_texts_of_four_byte_characters_fit_a_batch() {
        let mut store = Memory::default();
        let mut outbox = load(&store, 1);
        let wide = "\u{10348}".repeat(5_000);
        for _ in 0..200 {
            let kind =
                EventKind::DeviceError { severity: Severity::Critical, code: wide.clone(), message: wide.clone() };
            let writes = outbox.add(UtcMillis(5), [(None, kind)]).expect("within the bound of a document");
            store.commit(writes).expect("commits");
        }
        assert!(!drain(&mut store, &mut outbox).is_empty());
    }
}
