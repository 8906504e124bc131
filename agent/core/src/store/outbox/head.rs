//! What the coordinator says of its side of the chain, and what follows: batches are freed by digest alone, and where the chain here does
//! not continue the one there, a new epoch begins behind the head that the coordinator named.

use mdfm_shared::directive::{ChainHead, ChainRefusal};
use mdfm_shared::limits::{EPOCH_STEP_MAX, EPOCHS_A_DAY};
use mdfm_shared::sign::SignError;
use mdfm_shared::telemetry::{Event, EventKind, REFUSED_CHAIN};
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire;
use serde::{Deserialize, Serialize};

use super::super::{Store, StoreError, Write};
use super::{CHAIN_KEY, Chain, HEAD_KEY, Outbox, RESEND_MS, Waiting, batch_key, carry, events_of, frames};

const DAY_MS: u64 = 86_400_000;
/// Statements in a row about a smaller log after which the coordinator's log is taken to have become smaller, if they go on for so
/// long: those that a newer one has overtaken come together.
const SMALLER_MAX: u32 = 8;
const SMALLER_MS: u64 = 60_000;

/// A refusal that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Refusal {
    since: UtcMillis,
    reason: ChainRefusal,
    /// The head that the coordinator named.
    epoch: u64,
    sequence: u64,
}

/// What is known of the coordinator's side of the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FarEnd {
    /// Whether it names digests: it is never believed by number again.
    pub(super) names_heads: bool,
    /// When the epochs of the last day were begun here.
    begun: Vec<UtcMillis>,
    refused: Option<Refusal>,
}

impl FarEnd {
    /// What does not decode begins again: the next statement says it.
    pub(super) fn load(store: &impl Store) -> Result<Self, StoreError> {
        let held = store.get(HEAD_KEY)?;
        Ok(held.and_then(|bytes| wire::decode(&bytes).ok()).unwrap_or_default())
    }

    fn write(&self) -> Write {
        (HEAD_KEY.into(), Some(wire::encode(self)))
    }
}

/// Why the outbox cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What follows from a statement of the coordinator.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) writes: Vec<Write>,
    /// Whether a new epoch began: everything must be reported again.
    pub(crate) begins_again: bool,
    /// Whether the head is of another history although no batch was refused: one must be sent, to be answered.
    pub(crate) must_ask: bool,
}

impl Outbox {
    /// Takes a verified statement of what the coordinator holds: frees what its head proves, and begins a new epoch if it answers a
    /// batch of this chain and the chain does not continue that head.
    ///
    /// # Errors
    /// The store cannot be read, or a batch is too large to sign.
    pub(crate) fn take_head(
        &mut self,
        store: &impl Store,
        (now, at): (MonotonicMs, UtcMillis),
        head: &ChainHead,
    ) -> Result<Followed, HeadError> {
        let mut followed = Followed::default();
        // So far ahead no epochs of a gateway ever are; eight steps a day stay far below what the coordinator accepts.
        let is_far = head.epoch.saturating_sub(self.chain.epoch) > EPOCH_STEP_MAX / 16;
        if head.gateway != self.gateway || !head.is_bounded() || is_far {
            return Ok(followed);
        }
        // One that was on its way while a newer one came says nothing any more. A coordinator that was restored says less again and again.
        if head.log_size < self.log_size {
            if self.smaller == 0 {
                self.smaller_since = now;
            }
            self.smaller = self.smaller.saturating_add(1);
            if self.smaller < SMALLER_MAX || now.since_ms(self.smaller_since) < SMALLER_MS {
                return Ok(followed);
            }
        }
        (self.log_size, self.smaller) = (head.log_size, 0);
        let before = self.far_end.clone();
        self.far_end.names_heads = true;
        // A batch names all before it by their digests, so each that the coordinator holds proves those.
        let listed = head.refused.iter().flat_map(|r| &r.committed);
        let held: Vec<_> = listed.chain([&head.head]).collect();
        let proved = self.pending.iter().rev().find(|(_, sealed)| held.contains(&&sealed.digest)).map(|(s, _)| *s);
        if let Some(sequence) = proved {
            followed.writes = self.free(now, sequence);
        }
        let answers = |sealed: &super::Sealed| head.refused.as_ref().is_some_and(|r| r.batch == sealed.digest);
        if head.head == self.freed {
            self.far_end.refused = None;
        } else if let Some(refused) = head.refused.as_ref().filter(|_| self.pending.values().any(answers)) {
            let is_held = refused.reason == ChainRefusal::Held || self.has_begun_too_many(at);
            let reason = if is_held { ChainRefusal::Held } else { refused.reason };
            let since = before.refused.filter(|r| r.reason == reason).map_or(at, |r| r.since);
            self.far_end.refused = Some(Refusal { since, reason, epoch: head.epoch, sequence: head.sequence });
            if !is_held {
                self.begin_epoch(store, at, head, reason, &mut followed.writes)?;
                followed.begins_again = true;
            }
        } else {
            followed.must_ask = self.pending.is_empty();
        }
        if self.far_end != before {
            followed.writes.push(self.far_end.write());
        }
        self.seal(&mut followed.writes)?;
        Ok(followed)
    }

    fn has_begun_too_many(&self, at: UtcMillis) -> bool {
        self.far_end.begun.iter().filter(|begun| at.since_ms(**begun) < DAY_MS).count() >= EPOCHS_A_DAY
    }

    /// Begins an epoch behind the coordinator's head. What was sealed and not acknowledged waits again, before everything else.
    fn begin_epoch(
        &mut self,
        store: &impl Store,
        at: UtcMillis,
        head: &ChainHead,
        reason: ChainRefusal,
        writes: &mut Vec<Write>,
    ) -> Result<(), StoreError> {
        let (own, epoch) = (self.chain.clone(), self.chain.epoch.max(head.epoch).saturating_add(1));
        let reason = format!(
            "the coordinator holds batch {}.{} ({}) and this gateway batch {}.{}, which does not continue it: {}; epoch {epoch} begins \
             behind the coordinator's batch and every device is reported again",
            head.epoch,
            head.sequence,
            head.head.short(),
            own.epoch,
            own.sequence,
            reason.words()
        );
        let kind = EventKind::Refused { what: REFUSED_CHAIN.into(), reason };
        let first = Waiting::Event(Event { device: None, at, kind: super::shorten(kind) });
        let mut older = Vec::new();
        for frame in frames(store, self.pending.keys().copied())? {
            older.extend(events_of(&frame));
        }
        writes.extend(self.pending.keys().map(|sequence| (batch_key(*sequence), None)));
        self.pending.clear();
        carry(&mut self.waiting, Some(first), older, writes);
        self.next_waiting = self.waiting.last_key_value().map_or(0, |(n, _)| n + 1);
        self.bytes = self.waiting.values().map(|item| item.bytes).sum();
        self.chain = Chain { epoch, sequence: 0, last: head.head };
        self.freed = head.head;
        (self.sent_to, self.resend_ms, self.unanswered_since) = (0, RESEND_MS, None);
        writes.push((CHAIN_KEY.into(), Some(wire::encode(&self.chain))));
        self.far_end.begun.retain(|begun| at.since_ms(*begun) < DAY_MS);
        self.far_end.begun.push(at);
        Ok(())
    }

    /// Whether the coordinator, or this gateway by its own count, lets no epoch begin before a person has decided.
    pub(super) fn is_held(&self) -> bool {
        self.far_end.refused.is_some_and(|r| r.reason == ChainRefusal::Held)
    }

    /// Whether a refusal of the coordinator stands.
    pub(crate) fn is_refused(&self) -> bool {
        self.far_end.refused.is_some()
    }

    /// The epoch of the chain.
    pub(crate) fn epoch(&self) -> u64 {
        self.chain.epoch
    }

    /// Digests of the sealed batches that are not acknowledged.
    pub(crate) fn pending_digests(&self) -> impl Iterator<Item = mdfm_shared::digest::Digest> + '_ {
        self.pending.values().map(|sealed| sealed.digest)
    }

    /// Why what this gateway reports does not become part of the log, in words; `None` if it does.
    pub(crate) fn problem(&self, now: MonotonicMs) -> Option<String> {
        if let Some(Refusal { since, reason, epoch, sequence }) = self.far_end.refused {
            let next = match reason {
                ChainRefusal::Held => "the vendor finds out which machine is the gateway and enrols it again",
                _ => "this gateway reports every device again in a new epoch",
            };
            let words = reason.words();
            return Some(format!("refused since {since} behind batch {epoch}.{sequence}: {words}; {next}"));
        }
        let silent_ms = self.unanswered_since.map(|since| now.since_ms(since)).filter(|ms| *ms >= UNANSWERED_MS)?;
        Some(format!("not acknowledged for {} s", silent_ms / 1_000))
    }
}

/// Batches that are not acknowledged for so long over a standing connection are a problem that is shown.
const UNANSWERED_MS: u64 = 60_000;

#[cfg(test)]
mod tests;
