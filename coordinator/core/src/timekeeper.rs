//! The time by which everything is decided and every record is stamped (DESIGN §10.4): it never goes back, and it goes on while the clock of the
//! machine stands behind it. What would else last for as long as the clock was set back ends nevertheless: sessions, tokens, budgets, documents.
//!
//! Every judgement of the core uses [`Moment::now`]; between two rounds `State::not_before` has it for everybody else.

use mdfm_shared::time::UtcMillis;

/// Longest time between two looks at the clock that counts as time that has passed: rounds come every second. Beyond it somebody set the clock.
const PASSED_MS_MAX: u64 = 60_000;
/// While the clock is behind, time goes on slower by this part, until the clock has caught up: a clock that had been ahead and was corrected
/// would never be reached else.
const SLOWER: u64 = 8;

/// One moment of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The clock of the machine.
    pub(crate) clock: UtcMillis,
    /// The time by which is judged and stamped.
    pub(crate) now: UtcMillis,
    /// Time since the start without the steps back of the clock: what lasts is measured by it.
    pub(crate) steady: UtcMillis,
}

impl Moment {
    /// By how much the clock is behind, in milliseconds.
    pub(crate) fn behind_ms(self) -> u64 {
        self.now.since_ms(self.clock)
    }
}

/// Follows the clock of the machine.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    clock: UtcMillis,
    now: UtcMillis,
    steady: UtcMillis,
    /// What has passed since the start, without what counted as somebody setting the clock.
    passed_ms: u64,
}

/// What of that counts while the clock is behind.
fn slowed(passed_ms: u64) -> u64 {
    passed_ms - passed_ms / SLOWER
}

impl Timekeeper {
    /// Of a coordinator that starts when its clock says `clock`.
    pub(crate) fn new(clock: UtcMillis) -> Self {
        Self { clock, now: UtcMillis(0), steady: clock, passed_ms: 0 }
    }

    /// What steady time would be if the clock said this.
    #[cfg(test)]
    pub(crate) fn steady_at(&self, clock: UtcMillis) -> UtcMillis {
        self.steady.plus_ms(clock.since_ms(self.clock))
    }

    /// Looks at the clock; `last_record` is the latest time of any record.
    pub(crate) fn follow(&mut self, clock: UtcMillis, last_record: UtcMillis) -> Moment {
        let step_ms = clock.since_ms(self.clock);
        let passed_ms = self.passed_ms.saturating_add(if step_ms > PASSED_MS_MAX { 0 } else { step_ms });
        self.now = clock.max(last_record).max(self.now.plus_ms(slowed(passed_ms) - slowed(self.passed_ms)));
        self.passed_ms = passed_ms;
        self.steady = self.steady.plus_ms(step_ms);
        self.clock = clock;
        Moment { clock, now: self.now, steady: self.steady }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UtcMillis = UtcMillis(1_800_000_000_000);
    const HOUR_MS: u64 = 3_600_000;

    /// The time after looks at a clock that was set back, one a second for `ms`.
    fn after(keeper: &mut Timekeeper, clock: &mut UtcMillis, ms: u64) -> Moment {
        let mut moment = keeper.follow(*clock, UtcMillis(0));
        for _ in 0..ms / 1_000 {
            *clock = clock.plus_ms(1_000);
            moment = keeper.follow(*clock, UtcMillis(0));
        }
        moment
    }

    #[test]
    fn sec_13_time_goes_on_while_the_clock_is_behind() {
        let mut keeper = Timekeeper::new(START);
        assert_eq!(keeper.follow(START, UtcMillis(0)).now, START);
        for back_ms in [HOUR_MS, 365 * 24 * HOUR_MS, START.0] {
            let mut keeper = Timekeeper::new(START);
            keeper.follow(START, UtcMillis(0));
            let mut clock = UtcMillis(START.0 - back_ms);
            let begin = keeper.follow(clock, UtcMillis(0));
            assert_eq!((begin.now, begin.behind_ms()), (START, back_ms), "it does not go back");
            let end = after(&mut keeper, &mut clock, 30 * 60_000);
            assert_eq!(end.now.since_ms(START), 30 * 60_000 * 7 / 8, "and goes on");
            // Repaired: from now on the clock counts.
            let right = START.plus_ms(30 * 60_000);
            assert_eq!(keeper.follow(right, UtcMillis(0)), Moment { clock: right, now: right, steady: keeper.steady });
        }
    }

    /// A clock that had been ahead by an hour: the time of the records is reached again.
    #[test]
    fn sec_13_a_clock_that_was_ahead_catches_up() {
        let (mut keeper, mut clock) = (Timekeeper::new(START), START);
        assert_eq!(
            keeper.follow(clock, START.plus_ms(HOUR_MS)).behind_ms(),
            HOUR_MS,
            "a restart knows it from the log"
        );
        assert!(after(&mut keeper, &mut clock, 7 * HOUR_MS).behind_ms() > 0);
        assert_eq!(after(&mut keeper, &mut clock, HOUR_MS + 1_000).behind_ms(), 0);
    }

    proptest! {
        /// Whatever the clock does, time never goes back, is never earlier than clock and last record, and between two looks it goes no further than
        /// a minute beyond them.
        #[test]
        fn sec_13_time_is_ahead_of_clock_and_records_by_what_passed(
            steps in proptest::collection::vec((-2_000_000_i64..2_000_000, 0_u64..5_000), 1..100),
        ) {
            let (mut keeper, mut clock, mut last) = (Timekeeper::new(START), START, UtcMillis(0));
            let mut before = UtcMillis(0);
            for (step, record) in steps {
                clock = UtcMillis(clock.0.saturating_add_signed(step));
                let moment = keeper.follow(clock, last);
                prop_assert!(moment.now >= before && moment.now >= clock && moment.now >= last);
                prop_assert!(moment.now <= clock.max(last).max(before.plus_ms(PASSED_MS_MAX)));
                before = moment.now;
                last = if record > 2_500 { moment.now } else { last };
            }
        }
    }
}
