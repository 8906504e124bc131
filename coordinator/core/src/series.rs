//! A figure over time in bounded memory: what it was after each change, at first to the spacing, later coarser.

use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

/// Samples that a series has, at most; when one more comes, the spacing doubles.
pub const SAMPLES_MAX: usize = 256;

/// The values of a figure, oldest first. Within one interval of the spacing only the last value stays, with its own time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Series<V> {
    /// Length of an interval in milliseconds; intervals begin at multiples of it.
    spacing_ms: u64,
    samples: Vec<(UtcMillis, V)>,
}

impl<V: Copy + PartialEq> Series<V> {
    /// An empty series that begins with this spacing, of at least a millisecond.
    pub fn new(spacing_ms: u64) -> Self {
        Self { spacing_ms: spacing_ms.max(1), samples: Vec::new() }
    }

    /// Takes the value from `at` on. Times do not go back; one that does counts as the last.
    pub fn push(&mut self, at: UtcMillis, value: V) {
        let Some((last, held)) = self.samples.last_mut() else { return self.samples.push((at, value)) };
        if *held == value {
            return;
        }
        let at = at.max(*last);
        if Self::interval(self.spacing_ms, *last) == Self::interval(self.spacing_ms, at) {
            (*last, *held) = (at, value);
            return;
        }
        self.samples.push((at, value));
        while self.samples.len() > SAMPLES_MAX {
            self.coarsen();
        }
    }

    fn interval(spacing_ms: u64, at: UtcMillis) -> u64 {
        at.0 / spacing_ms
    }

    fn coarsen(&mut self) {
        self.spacing_ms = self.spacing_ms.saturating_mul(2);
        let spacing_ms = self.spacing_ms;
        // Of each interval the last; `dedup_by` gives the later element first.
        self.samples.reverse();
        self.samples
            .dedup_by(|older, later| Self::interval(spacing_ms, older.0) == Self::interval(spacing_ms, later.0));
        self.samples.reverse();
    }

    /// Times and values, oldest first.
    pub fn samples(&self) -> &[(UtcMillis, V)] {
        &self.samples
    }

    /// The value at a time; `None` before the first.
    pub fn at(&self, at: UtcMillis) -> Option<V> {
        let after = self.samples.partition_point(|(begin, _)| *begin <= at);
        after.checked_sub(1).and_then(|place| self.samples.get(place)).map(|(_, value)| *value)
    }

    /// When the first value came that is still kept.
    pub fn began_at(&self) -> Option<UtcMillis> {
        self.samples.first().map(|(at, _)| *at)
    }

    /// When the value last changed.
    pub fn changed_at(&self) -> Option<UtcMillis> {
        self.samples.last().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn series_keeps_the_last_value_of_an_interval() {
        let mut series = Series::new(1_000);
        for (at, value) in [(10, 1), (900, 2), (1_100, 2), (1_500, 3), (1_400, 4)] {
            series.push(UtcMillis(at), value);
        }
        assert_eq!(series.samples(), [(UtcMillis(900), 2), (UtcMillis(1_500), 4)]);
        assert_eq!(
            [10, 900, 1_499, 1_500, u64::MAX].map(|at| series.at(UtcMillis(at))),
            [None, Some(2), Some(2), Some(4), Some(4)]
        );
    }

    proptest! {
        /// However many changes: bounded, in order, the last value exact, and each sample a value that was there.
        #[test]
        fn series_stays_small_and_true(steps in prop::collection::vec((0_u64..5_000, 0_u32..50), 1..2_000)) {
            let (mut series, mut now, mut given) = (Series::new(1_000), 0, Vec::new());
            for (step, value) in steps {
                now += step;
                series.push(UtcMillis(now), value);
                given.push((UtcMillis(now), value));
            }
            prop_assert!(series.samples().len() <= SAMPLES_MAX);
            prop_assert!(series.samples().is_sorted_by(|a, b| a.0 < b.0));
            prop_assert!(series.samples().iter().all(|sample| given.contains(sample)));
            prop_assert_eq!(series.at(UtcMillis(now)), given.last().map(|(_, value)| *value));
        }
    }
}
