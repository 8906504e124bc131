//! The first stage: events that wait, unsealed, and what is dropped of them when they are too many or too old.

use std::collections::BTreeMap;

use mdfm_shared::id::DeviceId;
use mdfm_shared::sign::SignError;
use mdfm_shared::telemetry::{Event, EventKind};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::wire;

use super::super::Write;
use super::flood::{Class, Counts};
use super::{CRITICAL_KEPT, EMPTIED_EIGHTHS, Item, Outbox, Waiting, shorten, waiting_key};

impl Outbox {
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
    pub(super) fn merge(&mut self, (from, to): (UtcMillis, UtcMillis), device: Option<&DeviceId>, more: &Counts) {
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

    pub(super) fn put(&mut self, number: u64, waiting: Waiting) {
        let bytes = wire::encode(&waiting).len() as u64;
        let before = self.waiting.remove(&number);
        let (stored, freed) = before.map_or((false, 0), |i| (i.stored, i.bytes));
        self.waiting.insert(number, Item { waiting, bytes, stored, is_new: true });
        self.bytes = (self.bytes + bytes).saturating_sub(freed);
    }

    /// Drops what is too much or too old, seals what can be sent, and returns what must be written.
    pub(super) fn settle(&mut self, now: UtcMillis) -> Result<Vec<Write>, SignError> {
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

    pub(super) fn trim(&mut self, now: UtcMillis, writes: &mut Vec<Write>) {
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
    pub(super) fn drop_all(&mut self, numbers: Vec<u64>, writes: &mut Vec<Write>) {
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
}
