//! When differences between the two sides of the inventory become records. Volatile: what follows is logged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use mdfm_shared::id::DeviceId;
use mdfm_shared::time::UtcMillis;

use crate::inventory::{DifferenceKind, compare};
use crate::{Proposal, State};

/// Time between two records of one device: with an answer of its gateway in the same time they are at most one a minute.
const RECORD_PAUSE_MS: u64 = 150_000;
/// A device that is carried from one gateway to another is behind both for a minute; a conflict that lasts longer is one.
const CONFLICT_MS: u64 = 120_000;
/// Devices looked at in one second, beside those that changed.
const LOOKED_AT: usize = 200;
/// Devices that changed and are compared in one round.
const CHANGED_MAX: usize = 1_024;

/// What was compared, as far as it decides when a device is compared again.
#[derive(Debug, Default)]
pub(super) struct Comparisons {
    /// When a device may have its next record.
    quiet_until: BTreeMap<DeviceId, UtcMillis>,
    /// Since when several gateways have a device.
    conflicts: BTreeMap<DeviceId, UtcMillis>,
    /// The last device of the walk through all of them.
    walked_to: Option<DeviceId>,
}

impl Comparisons {
    /// The devices that are to be compared now: those that changed, and where `is_walk` says so those that wait and the next ones of
    /// the walk. `steady` never goes back, whatever the clock does.
    pub(super) fn due(&mut self, state: &mut State, steady: UtcMillis, is_walk: bool) -> Vec<DeviceId> {
        let touched = &mut state.inventory.touched;
        let mut due: BTreeSet<DeviceId> = std::iter::from_fn(|| touched.pop_first()).take(CHANGED_MAX).collect();
        if is_walk {
            due.extend(self.quiet_until.iter().filter(|(_, until)| steady >= **until).map(|(id, _)| id.clone()));
            due.extend(self.conflicts.keys().cloned());
            let from = self.walked_to.take().map_or(Bound::Unbounded, Bound::Excluded);
            let next: Vec<DeviceId> =
                state.devices.range((from, Bound::Unbounded)).take(LOOKED_AT).map(|(id, _)| id.clone()).collect();
            // The walk begins again behind the last device.
            self.walked_to = next.last().filter(|_| next.len() == LOOKED_AT).cloned();
            due.extend(next);
        }
        due.into_iter().collect()
    }

    /// Whether more devices changed than one round compares.
    pub(super) fn has_more(&self, state: &State) -> bool {
        !state.inventory.touched.is_empty()
    }

    /// The records of one device.
    pub(super) fn records(
        &mut self,
        state: &State,
        (now, steady): (UtcMillis, UtcMillis),
        id: &DeviceId,
    ) -> Vec<Proposal> {
        let Some(device) = state.devices.get(id) else {
            self.conflicts.remove(id);
            self.quiet_until.remove(id);
            return Vec::new();
        };
        let found = state.differences(now, id, device);
        let since =
            found.contains_key(&DifferenceKind::Conflict).then(|| *self.conflicts.entry(id.clone()).or_insert(steady));
        if since.is_none() {
            self.conflicts.remove(id);
        }
        if self.quiet_until.get(id).is_some_and(|until| steady < *until) {
            return Vec::new();
        }
        let stands =
            |kind| kind != DifferenceKind::Conflict || since.is_some_and(|at| steady.since_ms(at) >= CONFLICT_MS);
        let proposals = compare(id, device, &found, &stands);
        match proposals.len() as u64 {
            0 => drop(self.quiet_until.remove(id)),
            n => drop(self.quiet_until.insert(id.clone(), steady.plus_ms(n * RECORD_PAUSE_MS))),
        }
        proposals
    }
}
