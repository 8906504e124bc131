//! What people type: times in their own zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::failure::Refusal;
use crate::page::Page;

/// A time that somebody typed, as the API takes it: RFC 3339, a date with or without a time in the
/// reader's zone, or how long ago (`14d`, `3h`).
///
/// # Errors
/// The text is in no such form; the refusal names the field.
pub(super) fn moment(page: &Page, label: &str, text: &str) -> Result<String, Refusal> {
    let read = parse(text, &page.view().zone, Timestamp::now());
    read.ok_or_else(|| {
        Refusal::input(format!(
            "{label}: \u{201c}{text}\u{201d} is not a time; write 2027-03-01, 2027-03-01 14:00, a time with its zone such as 2027-03-01T14:00:00Z, or 14d for 14 days ago"
        ))
    })
}

fn parse(text: &str, zone: &str, now: Timestamp) -> Option<String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.to_string());
    }
    if let Some((count, seconds)) = ago(text) {
        return now.checked_sub(SignedDuration::from_secs(count.checked_mul(seconds)?)).ok().map(|at| at.to_string());
    }
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let civil = text.parse::<DateTime>().ok()?;
    civil.to_zoned(zone).ok().map(|at| at.timestamp().to_string())
}

fn ago(text: &str) -> Option<(i64, i64)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let seconds = match &text[digits..] {
        "d" => 86_400,
        "h" => 3_600,
        "min" => 60,
        _ => return None,
    };
    Some((text[..digits].parse().ok()?, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_times_are_typed_in_the_readers_zone() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().expect("a time");
        for (typed, zone, meant) in [
            ("2026-11-30", "UTC", Some("2026-11-30T00:00:00Z")),
            ("2026-11-30", "America/New_York", Some("2026-11-30T05:00:00Z")),
            ("2026-11-30 14:05", "Europe/Berlin", Some("2026-11-30T13:05:00Z")),
            ("2026-11-30T14:05", "UTC", Some("2026-11-30T14:05:00Z")),
            ("2026-11-30T14:05:00+02:00", "America/New_York", Some("2026-11-30T12:05:00Z")),
            ("14d", "UTC", Some("2026-11-16T12:00:00Z")),
            ("3h", "UTC", Some("2026-11-30T09:00:00Z")),
            ("99999999999999999d", "UTC", None),
            ("yesterday", "UTC", None),
            ("", "UTC", None),
            ("d", "UTC", None),
        ] {
            assert_eq!(parse(typed, zone, now).as_deref(), meant, "{typed} in {zone}");
        }
    }
}
