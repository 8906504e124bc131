//! Times as people write and read them.

use anyhow::{Context, bail};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Which way from now a duration leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toward {
    Past,
    Future,
}

/// A time in RFC 3339 from what somebody wrote: RFC 3339 with any offset, a date (its beginning in universal time), or a
/// duration from now such as `1h`, `30m`, `14d` or `2w`.
///
/// # Errors
/// It is none of them.
pub(crate) fn read(text: &str, toward: Toward, now: Timestamp) -> anyhow::Result<String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.to_string());
    }
    if let Ok(date) = text.parse::<Date>() {
        return Ok(date.to_zoned(TimeZone::UTC)?.timestamp().to_string());
    }
    let Some(duration) = duration(text) else {
        bail!("{text:?} is not a time; write 2026-11-29, 2026-11-29T14:00:00+01:00, or a duration such as 1h or 14d");
    };
    let at = match toward {
        Toward::Past => now.checked_sub(duration),
        Toward::Future => now.checked_add(duration),
    };
    Ok(at.with_context(|| format!("{text:?} leads out of the calendar"))?.to_string())
}

fn duration(text: &str) -> Option<SignedDuration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: i64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs)
}

/// A duration in the largest units that say it exactly enough: `72 h`, `40 s`, `1 h 30 min`.
pub(crate) fn span(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let parts = [(hours, "h"), (minutes, "min"), (seconds, "s")];
    let words: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    match (words.is_empty(), ms) {
        (true, ms) => format!("{ms} ms"),
        (false, _) => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_24_dates_and_durations_are_taken() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().expect("a time");
        for (text, toward, expected) in [
            ("2026-11-29T14:00:00+01:00", Toward::Past, "2026-11-29T13:00:00Z"),
            ("2026-11-28", Toward::Past, "2026-11-28T00:00:00Z"),
            ("1h", Toward::Past, "2026-11-29T11:00:00Z"),
            ("90min", Toward::Future, "2026-11-29T13:30:00Z"),
            ("2w", Toward::Future, "2026-12-13T12:00:00Z"),
        ] {
            assert_eq!(read(text, toward, now).expect(text), expected);
        }
        for bad in ["", "h", "1", "1y", "-1h", "9223372036854775807w", "99999999999999999d", "yesterday", "2026-13-01"]
        {
            assert!(read(bad, Toward::Past, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn cli_24_a_duration_is_said_in_its_units() {
        let said = [3_000, 40_000, 5_400_000, 72 * 3_600_000, 7, 0].map(span);
        assert_eq!(said, ["3 s", "40 s", "1 h 30 min", "72 h", "7 ms", "0 ms"]);
    }
}
