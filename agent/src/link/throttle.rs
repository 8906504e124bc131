//! How fast and when images may be downloaded, as the hospital sets it: everything else is small and goes at any time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tokio::time::Instant;

/// Hours of the day in which images are downloaded, such as `22:00-06:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hours {
    from: Time,
    until: Time,
    zone: TimeZone,
}

impl Hours {
    /// Reads `HH:MM-HH:MM` in a time zone of the tz database.
    pub(crate) fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let zone = TimeZone::get(zone).map_err(|_| format!("{zone:?} is no time zone, as Europe/Berlin is"))?;
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|e| e.to_string());
        let (from, until) = text.split_once('-').ok_or("hours must be HH:MM-HH:MM, as 22:00-06:00")?;
        let (from, until) = (time(from)?, time(until)?);
        if from == until {
            return Err("hours must not begin and end at once".into());
        }
        Ok(Self { from, until, zone })
    }

    /// Whether it is one of them; they may go over midnight.
    pub(crate) fn hold(&self, at: Timestamp) -> bool {
        let time = Zoned::new(at, self.zone.clone()).time();
        if self.from < self.until {
            (self.from..self.until).contains(&time)
        } else {
            time >= self.from || time < self.until
        }
    }
}

/// A bucket of bytes that fills at a rate, a second's worth deep.
#[derive(Debug)]
struct Bucket {
    bytes: f64,
    at: Instant,
}

/// What the hospital allows, shared by all downloads of the gateway.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    bytes_per_second: Option<u64>,
    hours: Option<Hours>,
    bucket: Mutex<Option<Bucket>>,
}

impl Throttle {
    pub(crate) fn new(bytes_per_second: Option<u64>, hours: Option<Hours>) -> Self {
        Self { bytes_per_second, hours, bucket: Mutex::new(None) }
    }

    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        self.bytes_per_second
    }

    /// # Errors
    /// Images are not downloaded at this time of the day.
    pub(crate) fn check_hours(&self) -> Result<(), String> {
        match &self.hours {
            Some(hours) if !hours.hold(Timestamp::now()) => Err(format!(
                "images are downloaded from {} until {} only, as this gateway is configured",
                hours.from, hours.until
            )),
            _ => Ok(()),
        }
    }

    /// Waits until so many bytes may have come.
    ///
    /// # Errors
    /// The hours ended.
    pub(crate) async fn take(&self, bytes: u64) -> Result<(), String> {
        self.check_hours()?;
        let wait = self.wait(bytes, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn wait(&self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.bytes_per_second.map(|r| r as f64) else { return Duration::ZERO };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = bucket.get_or_insert(Bucket { bytes: rate, at: now });
        let filled = bucket.bytes + now.duration_since(bucket.at).as_secs_f64() * rate;
        bucket.at = now;
        bucket.bytes = filled.min(rate) - bytes as f64;
        Duration::from_secs_f64((-bucket.bytes / rate).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_any_pieces() {
        let throttle = Throttle::new(Some(1_000), None);
        let start = Instant::now();
        assert_eq!(throttle.wait(1_000, start), Duration::ZERO, "a second's worth at once");
        let mut now = start;
        for _ in 0..100 {
            now += throttle.wait(137, now);
        }
        let took = now.duration_since(start).as_secs_f64();
        assert!((13.4..13.9).contains(&took), "13,700 bytes took {took} s");
        assert_eq!(Throttle::default().wait(u64::MAX, start), Duration::ZERO);
    }

    #[test]
    fn hours_are_those_of_the_hospital_and_may_go_over_midnight() {
        let hours = Hours::parse("22:00-06:00", "Europe/Berlin").expect("good");
        let at = |text: &str| hours.hold(text.parse().expect("a time"));
        assert!(at("2026-11-27T21:00:00Z") && at("2026-11-28T04:59:00Z"), "22:00 and 05:59 in Berlin");
        assert!(!at("2026-11-27T20:59:00Z") && !at("2026-11-28T05:00:00Z"));
        assert!(at("2026-07-01T20:00:00Z"), "summer time");
        for bad in ["22-06", "25:00-06:00", "06:00-06:00", ""] {
            assert!(Hours::parse(bad, "UTC").is_err(), "{bad}");
        }
        assert!(Hours::parse("22:00-06:00", "Mars/Base").is_err());
    }
}
