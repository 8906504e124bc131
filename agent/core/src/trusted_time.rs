//! Trusted time: the wall clock, held to what this gateway has seen before (DESIGN §10.4, decision 0027).
//!
//! Two high-water marks are kept. The *proved* mark is a lower bound of the true time: signed times that were verified, plus what
//! the monotonic clock counted since, at most 30 days between two commits. Only root on the gateway lowers it
//! ([`TrustedTime::reset`], reported to the vendor). The *clock* mark is the gateway's own clock at its last commit; a wrong clock
//! may have raised it, so it yields to a newly signed time that agrees with the wall clock, down to the proved mark and no further.

use mdfm_shared::limits::{CLOCK_LEAD_MAX_MS, CLOCK_TOLERANCE_MS};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::wire;
use serde::{Deserialize, Serialize};

use crate::installer::{BootId, Now};
use crate::store::{Store, StoreError, Write};

const KEY: &str = "clock";
/// A wall clock that moves by more than this against the monotonic one has jumped.
const JUMP_MS: u64 = 60_000;
/// The longest time that the monotonic clock proves between two commits. A gateway at work commits far more often; a monotonic clock that jumps by
/// years (a hypervisor, a debugger) must not move the proved mark by as much.
const STEP_MAX_MS: u64 = 30 * 86_400_000;

/// What outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Kept {
    /// Lower bound of the true time at `counted_at` of boot `boot`; 0 before the first signed time.
    proved: UtcMillis,
    boot: BootId,
    counted_at: mdfm_shared::time::MonotonicMs,
    /// The gateway's own clock at its last commit.
    clock: UtcMillis,
}

/// The clocks of one gateway in one boot.
#[derive(Debug)]
pub(crate) struct TrustedTime {
    kept: Kept,
    boot: BootId,
    /// The clocks when they were last compared.
    seen: Option<Now>,
}

impl TrustedTime {
    /// Takes up the marks of earlier starts. Marks that do not decode start again from the documents that are held; the second
    /// value is whether that happened.
    pub(crate) fn load(store: &impl Store, boot: BootId) -> Result<(Self, bool), StoreError> {
        let bytes = store.get(KEY)?;
        let kept = bytes.as_ref().map(|bytes| wire::decode::<Kept>(bytes));
        let is_damaged = matches!(kept, Some(Err(_)));
        let kept = kept.and_then(Result::ok).unwrap_or_default();
        Ok((Self { kept, boot, seen: None }, is_damaged))
    }

    /// The lower bound of the true time that is proved by now.
    fn proved(&self, now: Now) -> UtcMillis {
        match self.kept.proved {
            UtcMillis(0) => UtcMillis(0),
            proved if self.kept.boot == self.boot => {
                proved.plus_ms(now.mono.since_ms(self.kept.counted_at).min(STEP_MAX_MS))
            }
            proved => proved,
        }
    }

    /// The latest time that was verified or committed.
    pub(crate) fn mark(&self, now: Now) -> UtcMillis {
        self.proved(now).max(self.kept.clock)
    }

    /// The same moment with the wall clock held to the marks: never below them.
    pub(crate) fn trusted(&self, now: Now) -> Now {
        Now { utc: now.utc.max(self.mark(now)), ..now }
    }

    /// The best estimate of now, for records: the wall clock, but never before what is proved.
    pub(crate) fn stamp(&self, now: Now) -> UtcMillis {
        now.utc.max(self.proved(now))
    }

    /// Milliseconds by which the wall clock lies behind the mark.
    pub(crate) fn behind_ms(&self, now: Now) -> u64 {
        self.mark(now).since_ms(now.utc)
    }

    /// Whether the wall clock may be relied on for new activations.
    pub(crate) fn is_trusted(&self, now: Now) -> bool {
        self.behind_ms(now) <= CLOCK_TOLERANCE_MS
    }

    fn count(&mut self, now: Now) {
        self.kept.proved = self.proved(now);
        (self.kept.boot, self.kept.counted_at) = (self.boot, now.mono);
    }

    /// A document signed at `signed_at` was verified and is newer than what was held. No signature moves the proved mark above the wall
    /// clock by more than a minute, which is far within the tolerance: whoever steals a key cannot stop the gateway with a time ahead.
    /// Returns what to report where the clock mark yields.
    pub(crate) fn verified(&mut self, now: Now, signed_at: UtcMillis) -> Option<String> {
        let before = self.proved(now);
        self.count(now);
        self.kept.proved = before.max(signed_at.min(now.utc.plus_ms(CLOCK_LEAD_MAX_MS)));
        let agrees =
            signed_at.since_ms(now.utc) <= CLOCK_TOLERANCE_MS && now.utc.since_ms(signed_at) <= CLOCK_TOLERANCE_MS;
        let yields = self.kept.clock.since_ms(now.utc) > CLOCK_TOLERANCE_MS
            && before.since_ms(now.utc) <= CLOCK_TOLERANCE_MS
            && agrees;
        if !yields {
            return None;
        }
        let was = std::mem::replace(&mut self.kept.clock, now.utc);
        Some(format!(
            "this gateway's clock had once stood at {was}; a newly signed document shows that it is {}",
            now.utc
        ))
    }

    /// Somebody with authority over the gateway vouches for its clock: both marks are set to it, to be committed. Returns the mark that was.
    pub(crate) fn reset(&mut self, now: Now) -> UtcMillis {
        let was = self.mark(now);
        self.count(now);
        (self.kept.proved, self.kept.clock) = (now.utc, now.utc);
        was
    }

    /// The marks as they are written with a commit of anything else.
    pub(crate) fn commit(&mut self, now: Now) -> Write {
        self.count(now);
        self.kept.clock = self.kept.clock.max(now.utc);
        (KEY.to_owned(), Some(wire::encode(&self.kept)))
    }

    /// Compares the clocks with the last time; returns the jump of the wall clock, in words, if it made one.
    pub(crate) fn compare(&mut self, now: Now) -> Option<String> {
        let seen = self.seen.replace(now)?;
        let expected = seen.utc.plus_ms(now.mono.since_ms(seen.mono));
        let (ahead, back) = (now.utc.since_ms(expected), expected.since_ms(now.utc));
        if ahead.max(back) <= JUMP_MS {
            return None;
        }
        let (way, by) = if ahead > 0 { ("forward", ahead) } else { ("back", back) };
        Some(format!("the clock jumped {way} by {} s, from {expected} to {}", by / 1_000, now.utc))
    }
}

/// Marks with these bytes in them.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = wire::decode::<Kept>(bytes);
}

#[cfg(test)]
mod tests {
    use mdfm_shared::time::MonotonicMs;

    use super::*;
    use crate::store::memory::Memory;

    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;
    const T: UtcMillis = UtcMillis(1_800_000_000_000);

    fn at(mono: u64, utc: UtcMillis) -> Now {
        Now { mono: MonotonicMs(mono), utc }
    }

    fn ago(ms: u64) -> UtcMillis {
        UtcMillis(T.0 - ms)
    }

    fn load(store: &Memory, boot: u8) -> TrustedTime {
        TrustedTime::load(store, [boot; 16]).expect("loads").0
    }

    /// A gateway that verified a document of now and committed.
    fn proved() -> (Memory, TrustedTime) {
        let mut store = Memory::default();
        let mut time = load(&store, 1);
        assert_eq!(time.verified(at(0, T), T), None);
        store.commit(vec![time.commit(at(0, T))]).expect("commits");
        (store, time)
    }

    #[test]
    fn sec_13_time_never_falls_below_the_mark() {
        let (store, time) = proved();
        for (time, mono) in [(time, 5_000), (load(&store, 1), 5_000), (load(&store, 2), 10)] {
            let back = at(mono, ago(2 * DAY_MS));
            assert!(time.trusted(back).utc >= T && !time.is_trusted(back));
            assert!(time.behind_ms(back) >= 2 * DAY_MS);
            let good = at(mono, T.plus_ms(mono));
            assert!(time.is_trusted(good) && time.trusted(good) == good, "the clock was set right");
            assert!(time.is_trusted(at(mono, ago(HOUR_MS - 10_000))), "an hour is tolerated");
        }
    }

    #[test]
    fn sec_13_the_mark_counts_on_while_the_clock_stands() {
        let (store, _) = proved();
        let time = load(&store, 1);
        let stopped = at(10 * DAY_MS, T);
        assert_eq!(time.trusted(stopped).utc, T.plus_ms(10 * DAY_MS));
        assert!(!time.is_trusted(stopped));
    }

    #[test]
    fn sec_13_a_monotonic_clock_that_jumps_proves_a_month() {
        let (store, mut time) = proved();
        let leapt = at(57 * 365 * DAY_MS, T.plus_ms(1_000));
        assert_eq!(time.trusted(leapt).utc, T.plus_ms(STEP_MAX_MS));
        time.verified(leapt, T);
        assert_eq!(time.trusted(at(leapt.mono.0 + 5, leapt.utc)).utc, T.plus_ms(STEP_MAX_MS + 5), "and counts on");
        assert_eq!(load(&store, 1).trusted(leapt).utc, T.plus_ms(STEP_MAX_MS), "after a restart too");
    }

    #[test]
    fn sec_13_a_person_sets_a_mark_far_ahead_back_to_the_clock() {
        let (mut store, mut time) = proved();
        for n in 1..=100 {
            time.verified(at(n * 365 * DAY_MS, T), T);
        }
        let good = at(100 * 365 * DAY_MS + 1, T.plus_ms(5_000));
        assert!(!time.is_trusted(good) && time.verified(good, T.plus_ms(5_000)).is_none(), "no document ends it");
        let was = time.reset(good);
        assert!(was > T.plus_ms(100 * STEP_MAX_MS));
        store.commit(vec![time.commit(good)]).expect("commits");
        for time in [&time, &load(&store, 1), &load(&store, 2)] {
            assert!(time.is_trusted(good) && time.trusted(good) == good);
            assert!(!time.is_trusted(at(good.mono.0, ago(2 * HOUR_MS))), "a clock behind that is seen again");
        }
    }

    #[test]
    fn sec_13_a_signed_time_far_ahead_freezes_nothing_for_ever() {
        let (_, mut time) = proved();
        for step in 1..=100 {
            time.verified(at(step, T.plus_ms(step)), UtcMillis(u64::MAX));
        }
        let good = at(200, T.plus_ms(200));
        assert!(time.is_trusted(good), "behind by {} ms", time.behind_ms(good));
    }

    #[test]
    fn sec_13_a_signed_time_ahead_leaves_room_for_a_step_back() {
        let (store, mut time) = proved();
        for step in 1..=100 {
            time.verified(at(step, T.plus_ms(step)), T.plus_ms(HOUR_MS - 1_000));
        }
        for time in [&time, &load(&store, 2)] {
            let stepped_back = at(200, ago(30 * 60_000));
            assert!(time.is_trusted(stepped_back), "behind by {} ms", time.behind_ms(stepped_back));
        }
        assert!(
            time.stamp(at(200, T.plus_ms(200))) <= T.plus_ms(CLOCK_LEAD_MAX_MS + 200),
            "nor are records dated far ahead"
        );
    }

    #[test]
    fn sec_13_a_clock_once_far_ahead_yields_to_a_new_document() {
        let (mut store, mut time) = proved();
        store.commit(vec![time.commit(at(1_000, T.plus_ms(1_000 * DAY_MS)))]).expect("commits");
        let good = at(5_000, T.plus_ms(5_000));
        for time in [&mut time, &mut load(&store, 1)] {
            assert!(!time.is_trusted(good));
            assert_eq!(time.verified(good, ago(2 * HOUR_MS)), None, "an old document proves nothing");
            assert!(!time.is_trusted(good));
            assert!(time.verified(good, T.plus_ms(5_000)).is_some());
            assert!(time.is_trusted(good));
        }
    }

    #[test]
    fn sec_13_no_document_moves_the_proved_mark_back() {
        let (_, mut time) = proved();
        let back = at(1_000, ago(2 * DAY_MS));
        for signed_at in [UtcMillis(0), ago(2 * DAY_MS), ago(2 * DAY_MS - HOUR_MS), T] {
            assert_eq!(time.verified(back, signed_at), None);
            assert!(!time.is_trusted(back));
        }
    }

    #[test]
    fn sec_13_jumps_of_the_clock_are_seen() {
        let (_, mut time) = proved();
        assert_eq!(time.compare(at(0, T)), None, "nothing to compare with");
        assert_eq!(time.compare(at(DAY_MS, T.plus_ms(DAY_MS + 1_000))), None, "drift");
        let forward = time.compare(at(DAY_MS + 1, T.plus_ms(3 * DAY_MS))).expect("a jump");
        assert!(forward.contains("forward by"), "{forward}");
        let back = time.compare(at(DAY_MS + 2, T)).expect("a jump");
        assert!(back.contains("back by"), "{back}");
        assert_eq!(time.compare(at(DAY_MS + 3, T.plus_ms(1))), None, "reported once");
    }

    #[test]
    fn sec_13_a_gateway_that_starts_in_1970_recovers() {
        let (store, _) = proved();
        let mut time = load(&store, 2);
        let dead = at(10, UtcMillis(5_000));
        assert!(!time.is_trusted(dead));
        time.verified(dead, T.plus_ms(DAY_MS));
        let set = at(20, T.plus_ms(DAY_MS));
        assert!(time.is_trusted(set));
        assert!(TrustedTime::load(&Memory::default(), [0; 16]).expect("loads").0.is_trusted(dead), "nothing known yet");
    }

    #[test]
    fn sec_14_marks_that_do_not_decode_stop_no_start() {
        let mut store = Memory::default();
        store.commit(vec![(KEY.into(), Some(vec![1, 2]))]).expect("commits");
        let (time, is_damaged) = TrustedTime::load(&store, [1; 16]).expect("loads");
        assert!(is_damaged && time.is_trusted(at(0, T)));
    }
}
