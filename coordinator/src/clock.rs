//! The one place where the coordinator reads clocks.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use mdfm_shared::text;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use nix::time::{ClockId, clock_gettime};

/// While the clock is ahead of what has passed, time follows it at this rate.
const RATE_MAX: u64 = 2;
/// A clock that is ahead by less is not reported: time servers correct by as much.
const NEWS_MS: u64 = 60_000;

/// What this process knows of the time.
static GUARD: Mutex<Guard> = Mutex::new(Guard { watches: false, known: UtcMillis(0), best: None, ahead_ms: 0 });

/// Keeps a clock that somebody sets forward from being believed at once. Such a clock would end what people and devices still have: the time for which a
/// phase is watched, the patience with a silent device, sessions, documents; and records that it dated stay ahead of all that follow (DESIGN §10.4).
/// Time therefore follows the clock no faster than [`RATE_MAX`] times what passes by the monotonic one.
#[derive(Debug)]
struct Guard {
    /// Whether the time of the records is known.
    watches: bool,
    /// The time of the last record when the process started. A clock before it is wrong, and what repairs it is believed.
    known: UtcMillis,
    /// The latest time that was believed, and when that was; `None` before the clock stood at `known` or later.
    best: Option<(UtcMillis, MonotonicMs)>,
    ahead_ms: u64,
}

/// What to say of a clock.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// It was set forward, by this number of milliseconds.
    Ahead(u64),
    /// Time has caught up, or the clock was set right.
    Agrees,
}

impl Guard {
    /// The time when the clock says `wall`, and what to say of it once.
    fn look(&mut self, wall: UtcMillis, steady: MonotonicMs) -> (UtcMillis, Option<News>) {
        let Some((best, at)) = self.best.filter(|_| self.watches) else {
            if self.watches && wall >= self.known {
                self.best = Some((wall, steady));
            }
            return (wall, None);
        };
        let latest = best.plus_ms(steady.since_ms(at).saturating_mul(RATE_MAX));
        let now = wall.min(latest);
        // A clock that stands behind is the affair of the core, which never goes back; here it only shows that it is not ahead.
        if now >= best {
            self.best = Some((now, steady));
        }
        let (was_ahead, ahead_ms) = (self.ahead_ms > 0, wall.since_ms(now));
        let news = match (was_ahead, ahead_ms) {
            (false, NEWS_MS..) => Some(News::Ahead(ahead_ms)),
            (true, 0) => Some(News::Agrees),
            _ => None,
        };
        self.ahead_ms = if was_ahead || ahead_ms >= NEWS_MS { ahead_ms } else { 0 };
        (now, news)
    }
}

fn ahead_in_words(ms: u64) -> String {
    format!(
        "the clock of this computer was set forward by {}; time follows it at double speed, so that no phase, silence or session ends by that; check the \
         time service, and if the clock is right, restart the coordinator",
        text::duration(ms)
    )
}

fn guard() -> std::sync::MutexGuard<'static, Guard> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a clock that is set forward is followed slowly; `last_record` is the latest time that the log proves.
pub(crate) fn watch(last_record: UtcMillis) {
    let mut guard = guard();
    (guard.watches, guard.known) = (true, last_record);
}

/// By how much the clock is ahead of the time that is believed; 0 for less than a minute.
pub(crate) fn ahead_ms() -> u64 {
    guard().ahead_ms
}

/// What the clock of the machine says; the start of 1970 if it stands before it. For what is compared with other clocks at once: codes of a second factor.
pub(crate) fn wall() -> UtcMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Wall-clock time; while the clock is ahead of what has passed, the time that follows it.
pub(crate) fn now() -> UtcMillis {
    let (now, news) = guard().look(wall(), steady());
    match news {
        None => {}
        Some(News::Ahead(ms)) => {
            tracing::error!("{}", ahead_in_words(ms));
        }
        Some(News::Agrees) => tracing::info!("the clock agrees again with the time that has passed"),
    }
    now
}

/// Time since the machine started, suspend included: for what ends after a while and is held in memory alone. Nobody sets it back.
pub(crate) fn steady() -> MonotonicMs {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has CLOCK_BOOTTIME since 2.6.39");
    let ms = i128::from(time.tv_sec()) * 1_000 + i128::from(time.tv_nsec()) / 1_000_000;
    MonotonicMs(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use mdfm_shared::fixture::page::symptom;
    use proptest::prelude::*;

    use super::*;

    const T: UtcMillis = UtcMillis(1_800_000_000_000);
    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;

    fn guard(known: UtcMillis) -> Guard {
        Guard { watches: true, known, best: None, ahead_ms: 0 }
    }

    fn at(ms: u64) -> MonotonicMs {
        MonotonicMs(1_000 + ms)
    }

    /// The sample: a time server that was wrong for a minute, a year ahead, ended every phase's monitoring, made every device silent, and dated records and
    /// directives so that gateways took nothing new for years.
    #[test]
    fn sec_13_a_clock_set_forward_ends_no_monitoring() {
        let mut guard = guard(T);
        assert_eq!(guard.look(T, at(0)), (T, None));
        let year = |ms: u64| T.plus_ms(365 * DAY_MS + ms);
        assert_eq!(guard.look(year(1_000), at(1_000)), (T.plus_ms(2_000), Some(News::Ahead(365 * DAY_MS - 1_000))));
        assert_eq!(guard.look(year(60_000), at(60_000)), (T.plus_ms(120_000), None), "said once");
        assert!(guard.ahead_ms > 364 * DAY_MS);
        let symptom = symptom("The coordinator does nothing", "the clock of this computer");
        symptom.assert_in(&ahead_in_words(guard.ahead_ms));
        assert_eq!(
            guard.look(T.plus_ms(61_000), at(61_000)),
            (T.plus_ms(61_000), Some(News::Agrees)),
            "it is set right"
        );
        // Set back, then far ahead, is no way round.
        assert_eq!(guard.look(UtcMillis(0), at(62_000)).0, UtcMillis(0), "the core holds the time");
        assert!(guard.look(year(0), at(63_000)).0 <= T.plus_ms(126_000));
    }

    #[test]
    fn sec_13_a_clock_that_is_repaired_is_believed() {
        // It stood in 1970 when the process started, and the machine had been off for two months.
        let mut guard = guard(T);
        assert_eq!(guard.look(UtcMillis(5), at(0)), (UtcMillis(5), None));
        let right = T.plus_ms(60 * DAY_MS);
        assert_eq!(guard.look(right, at(HOUR_MS)), (right, None));
        // A correction by ten minutes is caught up with in ten minutes.
        let corrected = |ms: u64| right.plus_ms(600_000 + ms);
        assert_eq!(guard.look(corrected(0), at(HOUR_MS)), (right, Some(News::Ahead(600_000))));
        let (now, news) =
            (0..=600).map(|s| guard.look(corrected(s * 1_000), at(HOUR_MS + s * 1_000))).last().expect("looks");
        assert_eq!((now, news), (corrected(600_000), Some(News::Agrees)));
        // Suspended for a day: the monotonic clock knows of it.
        assert_eq!(guard.look(corrected(DAY_MS), at(HOUR_MS + DAY_MS)), (corrected(DAY_MS), None));
    }

    proptest! {
        /// Whatever the clock does, time is never later than it, and never runs at more than double speed from the best that was believed.
        #[test]
        fn sec_13_time_runs_at_double_speed_at_most(
            steps in proptest::collection::vec((-4_000_000_i64..4_000_000, 0_u64..5_000), 1..200),
        ) {
            let (mut guard, mut wall, mut passed) = (guard(T), T, 0);
            guard.look(T, at(0));
            for (step, passes) in steps {
                (wall, passed) = (UtcMillis(wall.0.saturating_add_signed(step)), passed + passes);
                let (now, _) = guard.look(wall, at(passed));
                prop_assert!(now <= wall && now <= T.plus_ms(RATE_MAX * passed));
            }
        }
    }
}
