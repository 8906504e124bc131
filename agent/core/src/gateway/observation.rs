//! What this gateway observes of one device, as a level: identity, running firmware, boots, presence. Pure; times come in.
//!
//! Every report is looked at in memory. What is reported upstream, and stored, is the *settled* state: it changes a few times at once
//! and then once a minute, so that a device that changes its identity with each report costs no more.

use std::collections::VecDeque;

use mdfm_shared::device::Report;
use mdfm_shared::observed::{ObservationDigest, ObservedDevice};
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire::{self, FrameError};
use serde::{Deserialize, Serialize};

use super::budget::Bucket;

/// A device that has been silent for so long is not behind this gateway: longer than it takes to boot.
const ABSENT_MS: u64 = 60_000;
/// Reboots count for so long.
const DAY_MS: u64 = 86_400_000;
/// Reboots of one look at most: a device may count what it likes.
const REBOOTS_AT_ONCE_MAX: u64 = 1_000;
/// Looks at which reboots were found that are remembered; older ones are merged.
const REBOOT_TIMES_MAX: usize = 32;
/// Settled changes at once, and the time after which there is one more.
const CHANGES_AT_ONCE: u32 = 10;
const CHANGE_REFILL_MS: u64 = 60_000;
/// The same for changes that follow orders to boot: they have a budget of their own, which no other change uses up.
const ORDERED_AT_ONCE: u32 = 20;
const ORDERED_REFILL_MS: u64 = 30_000;
/// Answers at once to questions of the coordinator, and the time after which there is one more.
const ANSWERS_AT_ONCE: u32 = 20;
const ANSWER_REFILL_MS: u64 = 60_000;
/// The same state is not told again sooner: the answer is on its way.
const ANSWER_AGAIN_MS: u64 = 60_000;
/// Connections that displace another of the same device, within [`DISPLACED_MS`], from which on several devices use one id. One that
/// comes back before its old connection is given up displaces it once.
const DISPLACED_MAX: u32 = 6;
const DISPLACED_MS: u64 = 60_000;
/// So long after the last displacement the id is taken as one device's again.
const CONTESTED_MS: u64 = 10 * 60_000;

/// What is stored of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    observed: ObservedDevice,
    /// When unordered reboots under the running firmware were found, and how many.
    reboots: VecDeque<(UtcMillis, u32)>,
}

/// Reboots that nobody ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reboots {
    /// In the last 24 hours under the running firmware, before those that were found now.
    pub(super) before: u32,
    /// With them.
    pub(super) now: u32,
}

/// What is observed of one device.
#[derive(Debug)]
pub(super) struct Observation {
    /// As it is now; `None` if the device was never seen.
    current: Option<Kept>,
    /// As it is stored and named upstream.
    settled: Option<Kept>,
    digest: ObservationDigest,
    /// Whether the device has reported in this process.
    is_heard: bool,
    /// Of the last report, or the start of this process.
    heard_at: MonotonicMs,
    changes: Bucket,
    ordered: Bucket,
    answers: Bucket,
    answered: Option<(ObservationDigest, MonotonicMs)>,
    displaced: u32,
    displaced_since: MonotonicMs,
    displaced_at: MonotonicMs,
}

impl Observation {
    /// Takes up what is stored, if anything is.
    ///
    /// # Errors
    /// The bytes are not an observation.
    pub(super) fn load(stored: Option<&[u8]>, now: MonotonicMs) -> Result<Self, FrameError> {
        let kept = stored.map(wire::decode::<Kept>).transpose()?;
        let digest = kept.as_ref().map_or(ObservationDigest::NONE, |k| k.observed.digest());
        Ok(Self {
            settled: kept.clone(),
            current: kept,
            digest,
            is_heard: false,
            heard_at: now,
            changes: Bucket::new(CHANGES_AT_ONCE, CHANGE_REFILL_MS, now),
            ordered: Bucket::new(ORDERED_AT_ONCE, ORDERED_REFILL_MS, now),
            answers: Bucket::new(ANSWERS_AT_ONCE, ANSWER_REFILL_MS, now),
            answered: None,
            displaced: 0,
            displaced_since: now,
            displaced_at: now,
        })
    }

    /// The settled state; `None` if the device was never seen.
    pub(super) fn settled(&self) -> Option<&ObservedDevice> {
        self.settled.as_ref().map(|kept| &kept.observed)
    }

    /// The digest of the settled state.
    pub(super) fn digest(&self) -> ObservationDigest {
        self.digest
    }

    /// Looks at a report. `expects_boot` says whether an order to boot stands, which the device may follow several times.
    /// Returns the unordered reboots if there are new ones.
    pub(super) fn look(
        &mut self,
        now: MonotonicMs,
        utc: UtcMillis,
        report: &Report,
        expects_boot: bool,
    ) -> Option<Reboots> {
        (self.heard_at, self.is_heard) = (now, true);
        let Some(kept) = &mut self.current else {
            self.current = Some(Kept::of(report, utc));
            return None;
        };
        let observed = &mut kept.observed;
        if observed.model != report.model || observed.serial != report.serial {
            // Another device: what the one before did is not its doing.
            let contested = observed.contested;
            *kept = Kept::of(report, utc);
            kept.observed.contested = contested;
            return None;
        }
        let (boots_before, boots) = (std::mem::replace(&mut observed.boot_count, report.boot_count), report.boot_count);
        observed.present = true;
        if observed.hardware != report.hardware || observed.running != report.running {
            if observed.running.sha256 != report.running.sha256 {
                // What other firmware did counts for that.
                kept.reboots.clear();
                (observed.recent_reboots, observed.last_reboot_at) = (0, None);
            }
            observed.hardware.clone_from(&report.hardware);
            observed.running = report.running.clone();
            observed.since = utc;
        }
        // A counter that went back shows one boot at least.
        let found = if boots >= boots_before { boots - boots_before } else { 1 };
        // The counters of several devices, in turn, show no boots.
        if found == 0 || expects_boot || observed.contested {
            return None;
        }
        let found = found.min(REBOOTS_AT_ONCE_MAX);
        let before = kept.recent(utc);
        kept.reboots.push_back((utc, u32::try_from(found).unwrap_or(u32::MAX)));
        if kept.reboots.len() > REBOOT_TIMES_MAX
            && let Some((_, oldest)) = kept.reboots.pop_front()
            && let Some((_, next)) = kept.reboots.front_mut()
        {
            *next = next.saturating_add(oldest);
        }
        let recent = kept.recent(utc);
        let observed = &mut kept.observed;
        observed.unordered_reboots = observed.unordered_reboots.saturating_add(found);
        observed.recent_reboots = recent;
        observed.last_reboot_at = Some(utc);
        Some(Reboots { before, now: recent })
    }

    /// A connection of the device displaced another one; returns whether that shows, for the first time, several devices with one id.
    pub(super) fn displaced(&mut self, now: MonotonicMs) -> bool {
        if now.since_ms(self.displaced_since) >= DISPLACED_MS {
            (self.displaced_since, self.displaced) = (now, 0);
        }
        self.displaced += 1;
        if self.displaced < DISPLACED_MAX {
            return false;
        }
        self.displaced_at = now;
        let contested = self.current.as_mut().map(|kept| &mut kept.observed.contested);
        contested.is_some_and(|contested| !std::mem::replace(contested, true))
    }

    /// What time alone changes.
    fn age(&mut self, now: MonotonicMs) {
        let (is_absent, is_quiet) =
            (now.since_ms(self.heard_at) >= ABSENT_MS, now.since_ms(self.displaced_at) >= CONTESTED_MS);
        if let Some(kept) = &mut self.current {
            kept.observed.present &= !is_absent;
            kept.observed.contested &= !is_quiet;
        }
    }

    /// Settles what changed, as far as the budget allows; returns the bytes to store. What follows an order to boot (`is_ordered`) has a
    /// budget of its own, so that no boot of it is counted after a restart.
    pub(super) fn settle(&mut self, now: MonotonicMs, is_ordered: bool) -> Option<Vec<u8>> {
        self.age(now);
        let current = self.current.as_ref().filter(|current| self.settled.as_ref() != Some(*current))?;
        let is_admitted = (is_ordered && self.ordered.take(now)) || self.changes.take(now);
        if !is_admitted {
            return None;
        }
        let bytes = wire::encode(current);
        self.digest = current.observed.digest();
        self.settled = Some(current.clone());
        Some(bytes)
    }

    /// Forgets what an earlier process observed, if the device has not reported since: the disk may be older than what the coordinator
    /// holds. Returns whether there was anything to forget.
    pub(super) fn forget(&mut self) -> bool {
        if self.is_heard || self.current.is_none() {
            return false;
        }
        (self.current, self.settled, self.digest) = (None, None, ObservationDigest::NONE);
        true
    }

    /// The settled state for a coordinator that asks; `None` if nothing has settled, or it was answered just now, or too often, or it says
    /// that the device is present and that is only what an earlier process saw.
    pub(super) fn answer(&mut self, now: MonotonicMs) -> Option<ObservedDevice> {
        let observed = self.settled.as_ref()?.observed.clone();
        if observed.present && !self.is_heard {
            return None;
        }
        let is_on_its_way =
            self.answered.is_some_and(|(digest, at)| digest == self.digest && now.since_ms(at) < ANSWER_AGAIN_MS);
        if is_on_its_way || !self.answers.take(now) {
            return None;
        }
        self.answered = Some((self.digest, now));
        Some(observed)
    }

    /// From when on the newest state may settle; `None` if it has, or the device was never seen.
    pub(super) fn settles_at(&self) -> Option<MonotonicMs> {
        (self.settled != self.current).then(|| self.changes.next_at())
    }

    /// When [`Self::settle`] has something to do without any report.
    pub(super) fn deadline(&self) -> Option<MonotonicMs> {
        let observed = &self.current.as_ref()?.observed;
        let absent = observed.present.then(|| self.heard_at.plus_ms(ABSENT_MS));
        let quiet = observed.contested.then(|| self.displaced_at.plus_ms(CONTESTED_MS));
        absent.into_iter().chain(quiet).min()
    }
}

impl Kept {
    fn of(report: &Report, utc: UtcMillis) -> Self {
        let observed = ObservedDevice {
            present: true,
            model: report.model.clone(),
            serial: report.serial.clone(),
            hardware: report.hardware.clone(),
            running: report.running.clone(),
            boot_count: report.boot_count,
            unordered_reboots: 0,
            recent_reboots: 0,
            last_reboot_at: None,
            contested: false,
            since: utc,
        };
        Self { observed, reboots: VecDeque::new() }
    }

    /// Unordered reboots of the last day; those of a clock that was set back since count too.
    fn recent(&self, utc: UtcMillis) -> u32 {
        let is_recent = |(at, _): &&(UtcMillis, u32)| utc.since_ms(*at) < DAY_MS;
        self.reboots.iter().filter(is_recent).fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::digest::Digest;
    use mdfm_shared::telemetry::FirmwareReport;

    use super::*;

    fn report(serial: &str, boots: u64, image: u8) -> Report {
        Report {
            model: "M".into(),
            serial: serial.into(),
            hardware: "B".into(),
            boot_count: boots,
            running: FirmwareReport {
                version: format!("1.{image}"),
                release_number: u64::from(image),
                security_version: 1,
                sha256: Digest([image; 32]),
            },
            confirmed: true,
            secure_boot: true,
            in_use: false,
            staged: None,
            last_order: 0,
            last_refusal: None,
            protocol: 1,
            faults: None,
        }
    }

    fn at(s: u64) -> (MonotonicMs, UtcMillis) {
        (MonotonicMs(s * 1_000), UtcMillis(1_750_000_000_000 + s * 1_000))
    }

    fn look(seen: &mut Observation, s: u64, report: &Report, ordered: bool) -> Option<Reboots> {
        let (now, utc) = at(s);
        let reboots = seen.look(now, utc, report, ordered);
        seen.settle(now, ordered);
        reboots
    }

    fn new() -> Observation {
        Observation::load(None, MonotonicMs(0)).expect("nothing is stored")
    }

    #[test]
    fn fld_11_only_boots_that_nobody_ordered_are_counted() {
        let mut seen = new();
        assert_eq!(look(&mut seen, 1, &report("SN", 7, 1), false), None, "the first sight is no boot");
        assert_eq!(look(&mut seen, 2, &report("SN", 9, 2), true), None, "an order to boot stands");
        let found = look(&mut seen, 3, &report("SN", 10, 2), false);
        assert_eq!(found, Some(Reboots { before: 0, now: 1 }));
        let found = look(&mut seen, 4, &report("SN", 13, 2), false);
        assert_eq!(found, Some(Reboots { before: 1, now: 4 }), "three boots between two reports");
        assert_eq!(seen.settled().map(|o| (o.unordered_reboots, o.recent_reboots)), Some((4, 4)));
        let found = look(&mut seen, 90_000, &report("SN", 14, 2), false);
        assert_eq!(found, Some(Reboots { before: 0, now: 1 }), "a day later");
        assert_eq!(look(&mut seen, 90_001, &report("SN", 14, 3), false), None);
        let found = look(&mut seen, 90_002, &report("SN", 2, 3), false);
        assert_eq!(found, Some(Reboots { before: 0, now: 1 }), "other firmware, and a counter that went back");
        assert_eq!(look(&mut seen, 90_003, &report("SN-2", 500, 3), false), None, "another device");
        assert_eq!(seen.settled().map(|o| o.unordered_reboots), Some(0));
    }

    #[test]
    fn fld_11_boots_while_the_gateway_was_away_are_counted_once() {
        let mut seen = new();
        look(&mut seen, 1, &report("SN", 7, 1), false);
        let stored = {
            let (now, utc) = at(2);
            seen.look(now, utc, &report("SN", 8, 1), false);
            seen.settle(now, false).expect("changed")
        };
        let mut again = Observation::load(Some(&stored), MonotonicMs(0)).expect("its own");
        assert_eq!(again.digest(), seen.digest());
        let found = look(&mut again, 100, &report("SN", 10, 1), false);
        assert_eq!(found, Some(Reboots { before: 1, now: 3 }));
        assert_eq!(look(&mut again, 101, &report("SN", 10, 1), false), None);
    }

    #[test]
    fn fld_6_what_an_earlier_process_saw_is_not_answered() {
        let mut seen = new();
        let (now, utc) = at(2);
        seen.look(now, utc, &report("SN", 8, 1), false);
        let stored = seen.settle(now, false).expect("changed");
        let mut again = Observation::load(Some(&stored), MonotonicMs(0)).expect("its own");
        assert_eq!(again.answer(at(3).0), None, "that it is present is not known");
        look(&mut again, 4, &report("SN", 8, 1), false);
        assert!(again.answer(at(5).0).is_some() && !again.forget());
        // The disk may be older than what the coordinator holds.
        let mut put_back = Observation::load(Some(&stored), MonotonicMs(0)).expect("its own");
        assert!(put_back.forget() && !put_back.forget());
        assert_eq!((put_back.digest(), put_back.deadline()), (ObservationDigest::NONE, None));
        put_back.settle(at(90).0, false);
        assert_eq!(put_back.answer(at(90).0), None);
    }

    #[test]
    fn fld_4_a_changing_identity_settles_once_a_minute() {
        let mut seen = new();
        let mut changes = 0;
        for s in 1..=3_600 {
            let before = seen.digest();
            look(&mut seen, s, &report(&format!("SN-{s}"), 1, 1), false);
            changes += u32::from(seen.digest() != before);
        }
        assert!(changes <= 60 + CHANGES_AT_ONCE, "{changes} in an hour");
        assert_eq!(look(&mut seen, 3_700, &report("SN", 1, 1), false), None);
        assert_eq!(seen.settled().map(|o| o.serial.as_str()), Some("SN"), "the last state settles");
    }

    #[test]
    fn fld_5_a_silent_device_is_not_behind_this_gateway() {
        let mut seen = new();
        look(&mut seen, 1, &report("SN", 1, 1), false);
        let deadline = seen.deadline().expect("it may go");
        assert_eq!(deadline, MonotonicMs(61_000));
        assert_eq!(seen.settle(MonotonicMs(60_999), false), None);
        assert!(seen.settle(deadline, false).is_some());
        assert_eq!(seen.settled().map(|o| o.present), Some(false));
        assert_eq!(seen.deadline(), None);
        look(&mut seen, 70, &report("SN", 1, 1), false);
        assert_eq!(seen.settled().map(|o| o.present), Some(true));
    }

    #[test]
    fn fld_19_devices_that_displace_each_other_are_one_anomaly() {
        let mut seen = new();
        look(&mut seen, 1, &report("SN", 1, 1), false);
        let shown = (0..500).filter(|n| seen.displaced(MonotonicMs(2_000 + n * 200))).count();
        assert_eq!(shown, 1);
        seen.settle(MonotonicMs(102_000), false);
        assert_eq!(seen.settled().map(|o| o.contested), Some(true));
        let quiet = MonotonicMs(102_000 + CONTESTED_MS);
        seen.settle(quiet, false);
        assert_eq!(seen.settled().map(|o| o.contested), Some(false), "it ends");
        let slow = (0..100).filter(|n| seen.displaced(quiet.plus_ms(n * 20_000))).count();
        assert_eq!(slow, 0, "a device that comes back now and then");
    }

    #[test]
    fn fld_4_an_answer_on_its_way_is_not_told_again() {
        let mut seen = new();
        assert_eq!(seen.answer(MonotonicMs(0)), None, "never seen");
        look(&mut seen, 1, &report("SN", 1, 1), false);
        assert!(seen.answer(MonotonicMs(1_000)).is_some());
        assert_eq!(seen.answer(MonotonicMs(2_000)), None);
        look(&mut seen, 3, &report("SN-2", 1, 1), false);
        assert!(seen.answer(MonotonicMs(3_000)).is_some(), "another state");
        assert!(seen.answer(MonotonicMs(70_000)).is_some(), "it may have been lost");
        let many = (0..600_u64).filter(|n| {
            let s = 71 + n;
            look(&mut seen, s, &report(&format!("SN-{s}"), 1, 1), false);
            seen.answer(MonotonicMs(s * 1_000)).is_some()
        });
        assert!(many.count() < 40, "ten minutes of a coordinator that asks every second");
    }
}
