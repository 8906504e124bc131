//! How many events one source may have recorded: each device, and the gateway itself for what comes from elsewhere. What is over the
//! budget is counted, and the count is recorded once a minute.

use mdfm_shared::time::{MonotonicMs, UtcMillis};

use crate::store::{Class, Counts};

/// Events at once: as many as a device with a bad day has in a minute.
const AT_ONCE: u32 = 60;
/// One more after this time: ten a minute for as long as a flood goes on, so that neither flash memory nor the audit log fills.
const REFILL_MS: u64 = 6_000;
/// Critical faults have a budget of their own beside it, so that no flood of others hides them.
const CRITICAL_AT_ONCE: u32 = 20;
const CRITICAL_REFILL_MS: u64 = 30_000;
/// Time between two records of what was counted.
const REPORT_MS: u64 = 60_000;

#[derive(Debug, Clone)]
pub(super) struct Bucket {
    left: u32,
    at_once: u32,
    refill_ms: u64,
    /// Up to when refills are counted.
    filled_to: MonotonicMs,
}

impl Bucket {
    pub(super) fn new(at_once: u32, refill_ms: u64, now: MonotonicMs) -> Self {
        Self { left: at_once, at_once, refill_ms, filled_to: now }
    }

    pub(super) fn take(&mut self, now: MonotonicMs) -> bool {
        let refills = now.since_ms(self.filled_to) / self.refill_ms;
        if refills > 0 {
            self.left = self.at_once.min(self.left.saturating_add(u32::try_from(refills).unwrap_or(u32::MAX)));
            self.filled_to = self.filled_to.plus_ms(refills * self.refill_ms);
        }
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has
    }

    /// When [`Self::take`] will allow one more.
    pub(super) fn next_at(&self) -> MonotonicMs {
        if self.left > 0 { MonotonicMs(0) } else { self.filled_to.plus_ms(self.refill_ms) }
    }
}

/// The budget of one source.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    all: Bucket,
    critical: Bucket,
    over: Counts,
    /// Wall-clock times of the first and the last event that is counted and not yet recorded.
    span: Option<(UtcMillis, UtcMillis)>,
    report_at: MonotonicMs,
}

impl Budget {
    pub(super) fn new(now: MonotonicMs) -> Self {
        Self {
            all: Bucket::new(AT_ONCE, REFILL_MS, now),
            critical: Bucket::new(CRITICAL_AT_ONCE, CRITICAL_REFILL_MS, now),
            over: Counts::default(),
            span: None,
            report_at: now,
        }
    }

    /// Whether one more event may be recorded; if not, it is counted.
    pub(super) fn admits(&mut self, now: MonotonicMs, utc: UtcMillis, class: Class) -> bool {
        let admitted = self.all.take(now) || (class == Class::CriticalFault && self.critical.take(now));
        if !admitted {
            self.over.count(class);
            self.span = Some(self.span.map_or((utc, utc), |(from, to)| (from.min(utc), to.max(utc))));
        }
        admitted
    }

    /// When there is a count to record.
    pub(super) fn due_at(&self) -> Option<MonotonicMs> {
        self.span.map(|_| self.report_at)
    }

    /// What was counted since the last time, if it is time to record it. The first of a flood is recorded at once.
    pub(super) fn report(&mut self, now: MonotonicMs) -> Option<((UtcMillis, UtcMillis), Counts)> {
        if now < self.report_at {
            return None;
        }
        let span = self.span.take()?;
        self.report_at = now.plus_ms(REPORT_MS);
        Some((span, std::mem::take(&mut self.over)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_10_one_budget_for_all_kinds_of_events() {
        let mut budget = Budget::new(MonotonicMs(0));
        let kinds = [Class::Fault, Class::Malformed, Class::Refusal, Class::Other];
        let mut recorded = 0;
        for ms in 0..600_000_u64 {
            let kind = kinds[usize::try_from(ms % 4).expect("small")];
            recorded += u32::from(budget.admits(MonotonicMs(ms), UtcMillis(ms), kind));
        }
        assert_eq!(recorded, AT_ONCE + 99, "ten minutes of a thousand a second");
        assert!(
            budget.admits(MonotonicMs(600_000), UtcMillis(0), Class::CriticalFault),
            "a critical one is still seen"
        );
        let critical = (0..1_000).filter(|_| budget.admits(MonotonicMs(600_000), UtcMillis(0), Class::CriticalFault));
        assert!(critical.count() < 25, "and bounded too");
        let (span, counts) = budget.report(MonotonicMs(600_000)).expect("counted");
        assert_eq!(span.1, UtcMillis(599_999));
        assert!(counts.total() > 599_000, "{counts}");
        assert_eq!(budget.report(MonotonicMs(700_000)), None, "nothing more");
    }
}
