//! Maintenance windows: weekly times on a hospital's own wall clock, as spans of universal time.
//!
//! A window is open exactly while the clock on the hospital's wall shows a time inside it. When the clocks are set forward a
//! window inside the lost hour does not open; when they are set back it opens twice, or is an hour longer.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use mdfm_shared::directive::Window;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

/// Windows of one hospital.
pub const WEEKLY_MAX: usize = 21;
/// Offsets from universal time lie within so many hours.
const OFFSET_HOURS_MAX: i64 = 26;

/// A weekly window as the seed writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Weekly {
    /// Day on which it opens: 1 for Monday to 7 for Sunday (ISO 8601).
    pub weekday: i8,
    /// When it opens, in seconds after local midnight.
    pub start_s: u32,
    /// When it closes, in seconds after local midnight; at or before the start means the next day.
    pub end_s: u32,
    /// IANA time zone.
    pub timezone: String,
}

/// The zone of that name in the database that comes with the program.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// 1 to 7 for the English name of a day.
pub fn weekday(name: &str) -> Option<i8> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let at = DAYS.iter().position(|d| d.eq_ignore_ascii_case(name))?;
    i8::try_from(at + 1).ok()
}

/// Seconds after midnight of `HH:MM` or `HH:MM:SS`.
pub fn time_of_day(text: &str) -> Option<u32> {
    let time: Time = text.parse().ok()?;
    u32::try_from(i32::from(time.hour()) * 3_600 + i32::from(time.minute()) * 60 + i32::from(time.second())).ok()
}

fn timestamp(at: UtcMillis) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}

fn millis(at: Timestamp) -> UtcMillis {
    UtcMillis(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

impl Weekly {
    fn civil(date: Date, second: u32) -> Option<DateTime> {
        date.at(0, 0, 0, 0).checked_add(i64::from(second).seconds()).ok()
    }

    /// The spans of the window that opens on `date`: one, or as many as changes of the clock cut it into.
    fn on(&self, zone: &TimeZone, date: Date) -> Vec<Window> {
        let closes = if self.end_s <= self.start_s { date.tomorrow().ok() } else { Some(date) };
        let (Some(start), Some(end)) =
            (Self::civil(date, self.start_s), closes.and_then(|d| Self::civil(d, self.end_s)))
        else {
            return Vec::new();
        };
        let margin = OFFSET_HOURS_MAX.hours();
        let at_utc = |dt: DateTime| TimeZone::UTC.to_timestamp(dt).ok();
        let (Some(low), Some(high)) =
            (start.checked_sub(margin).ok().and_then(at_utc), end.checked_add(margin).ok().and_then(at_utc))
        else {
            return Vec::new();
        };
        // Between two changes of the clock universal time is local time less a fixed offset.
        let mut edges = vec![low];
        edges.extend(zone.following(low).map(|t| t.timestamp()).take_while(|t| *t < high));
        edges.push(high);
        let mut spans: Vec<Window> = Vec::new();
        for pair in edges.windows(2) {
            let offset = zone.to_offset(pair[0]);
            let (Ok(opens), Ok(closes)) = (offset.to_timestamp(start), offset.to_timestamp(end)) else { continue };
            let (opens, closes) = (opens.max(pair[0]), closes.min(pair[1]));
            if opens < closes {
                spans.push(Window { opens_at: millis(opens), closes_at: millis(closes) });
            }
        }
        spans
    }
}

/// The spans of `windows` that are open at some time in `from..until`, in order, joined where they touch; at most `max`.
pub fn spans(windows: &[Weekly], from: UtcMillis, until: UtcMillis, max: usize) -> Vec<Window> {
    let mut all = Vec::new();
    for window in windows {
        let (Some(zone), Ok(weekday)) = (zone(&window.timezone), Weekday::from_monday_one_offset(window.weekday))
        else {
            continue;
        };
        let first = timestamp(from).to_zoned(zone.clone()).date().saturating_sub(2.days());
        let last = timestamp(until).to_zoned(zone.clone()).date();
        let mut date = first;
        while date <= last {
            if date.weekday() == weekday {
                all.extend(window.on(&zone, date));
            }
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
    }
    all.retain(|w| w.closes_at > from && w.opens_at < until);
    all.sort();
    let mut joined: Vec<Window> = Vec::new();
    for window in all {
        match joined.last_mut() {
            Some(last) if window.opens_at <= last.closes_at => last.closes_at = last.closes_at.max(window.closes_at),
            _ => joined.push(window),
        }
    }
    joined.truncate(max);
    joined
}

/// The spans that lie in both lists, each of which is in order and without overlaps, as [`spans`] returns it.
pub fn common(one: &[Window], other: &[Window]) -> Vec<Window> {
    let (mut i, mut j, mut both) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        let shared = Window { opens_at: a.opens_at.max(b.opens_at), closes_at: a.closes_at.min(b.closes_at) };
        if shared.opens_at < shared.closes_at {
            both.push(shared);
        }
        if a.closes_at <= b.closes_at { i += 1 } else { j += 1 }
    }
    both
}

/// A moment on the wall clock of a zone, for example `Sun 2026-12-06 02:00 EST`; in universal time if the zone is not known.
pub fn local_time(at: UtcMillis, timezone: &str) -> String {
    let zone = zone(timezone).unwrap_or(TimeZone::UTC);
    timestamp(at).to_zoned(zone).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn weekly(day: &str, start: &str, end: &str, timezone: &str) -> Weekly {
        Weekly {
            weekday: weekday(day).expect("a day"),
            start_s: time_of_day(start).expect("a time"),
            end_s: time_of_day(end).expect("a time"),
            timezone: timezone.into(),
        }
    }
    fn utc(text: &str) -> UtcMillis {
        millis(text.parse().expect("RFC 3339"))
    }
    fn week(window: &Weekly, from: &str) -> Vec<(String, String)> {
        let from = utc(from);
        spans(std::slice::from_ref(window), from, from.plus_ms(7 * DAY_MS), 4)
            .iter()
            .map(|w| (w.opens_at.to_string(), w.closes_at.to_string()))
            .collect()
    }
    fn one(opens: &str, closes: &str) -> Vec<(String, String)> {
        vec![(format!("{opens}.000Z"), format!("{closes}.000Z"))]
    }

    #[test]
    fn seed_strat_scheduled_windows_follow_the_hospitals_clock() {
        // The seed's window: Sunday 02:00 to 06:00 in New York.
        let seed = weekly("Sunday", "02:00:00", "06:00:00", "America/New_York");
        assert_eq!(week(&seed, "2026-01-12T00:00:00Z"), one("2026-01-18T07:00:00", "2026-01-18T11:00:00"));
        assert_eq!(week(&seed, "2026-07-13T00:00:00Z"), one("2026-07-19T06:00:00", "2026-07-19T10:00:00"));
        // Clocks go forward at 02:00 on 8 March: the hour from 02:00 to 03:00 is not shown by any clock.
        assert_eq!(week(&seed, "2026-03-02T00:00:00Z"), one("2026-03-08T07:00:00", "2026-03-08T10:00:00"));
        // Clocks go back at 02:00 on 1 November: 01:00 to 02:00 is shown twice, 02:00 once.
        assert_eq!(week(&seed, "2026-10-26T00:00:00Z"), one("2026-11-01T07:00:00", "2026-11-01T11:00:00"));
        let night = weekly("Sunday", "00:30", "03:00", "America/New_York");
        assert_eq!(week(&night, "2026-10-26T00:00:00Z"), one("2026-11-01T04:30:00", "2026-11-01T08:00:00"));
        let lost = weekly("Sunday", "02:10", "02:50", "America/New_York");
        assert_eq!(week(&lost, "2026-03-02T00:00:00Z"), [], "a window inside the lost hour does not open");
        let twice = weekly("Sunday", "01:10", "01:50", "America/New_York");
        assert_eq!(week(&twice, "2026-10-26T00:00:00Z").len(), 2, "and one inside the repeated hour opens twice");
    }

    #[test]
    fn windows_over_midnight_and_touching_ones_are_one_span() {
        let night = weekly("Saturday", "22:00", "04:00", "Europe/Berlin");
        assert_eq!(week(&night, "2026-01-12T00:00:00Z"), one("2026-01-17T21:00:00", "2026-01-18T03:00:00"));
        let whole_day = weekly("Monday", "00:00", "00:00", "UTC");
        assert_eq!(week(&whole_day, "2026-01-12T00:00:00Z"), one("2026-01-12T00:00:00", "2026-01-13T00:00:00"));
        let from = utc("2026-01-12T00:00:00Z");
        let joined =
            spans(&[night, weekly("Sunday", "04:00", "05:00", "Europe/Berlin")], from, from.plus_ms(7 * DAY_MS), 4);
        assert_eq!(joined.len(), 1);
        assert_eq!(joined[0].closes_at, utc("2026-01-18T04:00:00Z"));
        let open_already = utc("2026-01-17T23:00:00Z");
        let window = weekly("Saturday", "22:00", "04:00", "Europe/Berlin");
        assert_eq!(
            spans(&[window], open_already, open_already.plus_ms(1), 4).len(),
            1,
            "the one that is open now counts"
        );
    }

    #[test]
    fn absurd_names_and_times_are_none() {
        assert_eq!((weekday("Caturday"), time_of_day("25:00"), time_of_day("noon")), (None, None, None));
        assert!(zone("Mars/Olympus_Mons").is_none() && zone("America/New_York").is_some());
    }

    proptest! {
        /// The definition itself, asked of every quarter of an hour around a change of clocks: a span covers a moment exactly
        /// when the wall clock then shows a time inside the window.
        #[test]
        fn a_span_is_open_exactly_while_the_wall_clock_shows_a_time_inside(
            zone_at in 0_usize..6, day in 1_i8..8, start in 0_u32..96, end in 0_u32..96, week in 0_u64..104,
        ) {
            let timezone = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "America/Sao_Paulo"][zone_at];
            let window = Weekly { weekday: day, start_s: start * 900, end_s: end * 900, timezone: timezone.into() };
            let from = UtcMillis(utc("2025-01-01T00:00:00Z").0 + week * 7 * DAY_MS);
            let found = spans(std::slice::from_ref(&window), from, from.plus_ms(7 * DAY_MS), 64);
            let zone = zone(timezone).expect("a zone");
            for quarter in 0..7 * 96 {
                let at = from.plus_ms(quarter * 900_000);
                let local = timestamp(at).to_zoned(zone.clone());
                let second = time_of_day(&local.time().to_string()).expect("a time");
                let shows = |date: Date| date.weekday().to_monday_one_offset() == day;
                let over_midnight = window.end_s <= window.start_s;
                let today = shows(local.date()) && second >= window.start_s && (over_midnight || second < window.end_s);
                let yesterday = over_midnight
                    && shows(local.date().yesterday().expect("a date"))
                    && second < window.end_s;
                let open = found.iter().any(|w| w.opens_at <= at && at < w.closes_at);
                prop_assert_eq!(open, today || yesterday, "{} {:?}", local, window);
            }
        }
    }
}
