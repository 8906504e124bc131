//! Times as people write and read them.

use std::path::Path;

use anyhow::Context;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use mdfm_shared::time::UtcMillis;

use crate::fault;

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
    // The library takes more forms for a date than people write, and passes over a time of day behind it.
    if let Ok(date) = text.parse::<Date>() {
        if date.to_string() == text {
            return Ok(date.to_zoned(TimeZone::UTC)?.timestamp().to_string());
        }
        if text.contains(['T', 't', ':']) {
            let words = format!("{text:?} has no time zone; write {date}T14:00:00Z or {date}T14:00:00+01:00");
            return Err(fault::value(words));
        }
        return Err(fault::value(format!("{text:?} is not a date as it is written here; write {date}")));
    }
    let Some(duration) = duration(text) else {
        return Err(fault::value(format!(
            "{text:?} is not a time; write 2026-11-29, 2026-11-29T14:00:00+01:00, or a duration such as 1h or 14d"
        )));
    };
    let at = match toward {
        Toward::Past => now.checked_sub(duration),
        Toward::Future => now.checked_add(duration),
    };
    Ok(at.map_err(|_| fault::value(format!("{text:?} leads out of the calendar")))?.to_string())
}

/// [`read`] as milliseconds since 1970, for signed documents.
///
/// # Errors
/// It is not a time, or before 1970.
pub(crate) fn read_ms(text: &str, toward: Toward) -> Result<UtcMillis, String> {
    let at = read(text, toward, Timestamp::now()).map_err(|error| format!("{error:#}"))?;
    let at: Timestamp = at.parse().map_err(|error| format!("{error}"))?;
    u64::try_from(at.as_millisecond()).map(UtcMillis).map_err(|_| "must not lie before 1970".to_owned())
}

/// The zone of this machine: `TZ`, or else what `/etc/localtime` leads to.
///
/// # Errors
/// Neither names a zone.
pub(crate) fn machine_zone(tz: Option<&str>, localtime: Option<&Path>) -> anyhow::Result<TimeZone> {
    let of_file = |path: &'_ str| path.split_once("zoneinfo/").map(|(_, name)| name.to_owned());
    let linked = localtime.and_then(|path| of_file(path.to_str()?));
    let name = match tz.map(|tz| tz.trim_start_matches(':')).filter(|tz| !tz.is_empty()) {
        // A path is another way to name a zone (POSIX): that of this machine, or one of the data base.
        Some("/etc/localtime") | None => linked,
        Some(path) if path.starts_with('/') => of_file(path),
        Some(name) => Some(name.to_owned()),
    };
    let name = name.context("the time zone of this machine is not known; set TZ, for example TZ=Europe/Zurich")?;
    TimeZone::get(&name)
        .or_else(|_| TimeZone::posix(&name))
        .map_err(|_| anyhow::anyhow!("{name:?} is not a time zone; set TZ, for example TZ=Europe/Zurich"))
}

/// A cell that is a time, without parts of a second; any other text as it is.
pub(crate) fn without_fraction(text: &str) -> String {
    match text.split_once('.') {
        Some((seconds, fraction)) if seconds.len() == SECONDS_CHARS && text.parse::<Timestamp>().is_ok() => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{seconds}{zone}")
        }
        _ => text.to_owned(),
    }
}

/// A text whose times in universal time are written in another zone, with their offset.
pub(crate) fn in_zone(text: &str, zone: &TimeZone) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find('T') {
        match moment(rest, at) {
            Some((begin, end, moment)) => {
                let zoned = moment.to_zoned(zone.clone());
                // The fraction of a second is the same in every zone.
                let fraction = rest.get(begin + SECONDS_CHARS..end - 1).unwrap_or_default();
                out.push_str(&rest[..begin]);
                out.push_str(&format!("{}{fraction}{}", zoned.strftime("%Y-%m-%dT%H:%M:%S"), zoned.strftime("%:z")));
                rest = &rest[end..];
            }
            None => {
                out.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

/// Characters of `2026-11-29T14:00:00`.
const SECONDS_CHARS: usize = 19;

/// The time around a `T`: where it begins and ends, and what it is.
fn moment(text: &str, at: usize) -> Option<(usize, usize, Timestamp)> {
    let begin = at.checked_sub("2026-11-29".len())?;
    let is_joined = text.get(..begin)?.ends_with(|c: char| c.is_ascii_alphanumeric());
    let digits = text.get(begin + SECONDS_CHARS..)?;
    let fraction = digits.strip_prefix('.').map_or(0, |d| 1 + d.bytes().take_while(u8::is_ascii_digit).count());
    let end = begin + SECONDS_CHARS + fraction + 1;
    let written = text.get(begin..end).filter(|w| w.ends_with('Z') && !is_joined)?;
    Some((begin, end, written.parse().ok()?))
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
        for bad in ["2026-2-3", "+002026-02-03", "20260203", "2026-11-29T14:00", "2026-11-29 14:00:00", "2026-11-29T25"]
        {
            assert!(read(bad, Toward::Past, now).is_err(), "{bad}");
        }
        let said = |bad: &str| read(bad, Toward::Past, now).expect_err(bad).to_string();
        assert!(said("2026-11-29T14:00:00").contains("no time zone; write 2026-11-29T14:00:00Z"));
        assert!(said("+002026-02-03").contains("write 2026-02-03"));
        for bad in ["", "h", "1", "1y", "-1h", "9223372036854775807w", "99999999999999999d", "yesterday", "2026-13-01"]
        {
            assert!(read(bad, Toward::Past, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn cli_24_times_are_shown_in_the_machines_zone() {
        let zone = machine_zone(Some(":Europe/Zurich"), None).expect("a zone");
        let local = |text: &str| in_zone(text, &zone);
        assert_eq!(
            local("at 2026-11-29T13:00:00Z, until 2026-07-01T00:00:00.250Z."),
            "at 2026-11-29T14:00:00+01:00, until 2026-07-01T02:00:00.250+02:00."
        );
        for same in
            ["TZ", "T", "2026-11-29T14:00:00+01:00", "x2026-11-29T13:00:00Z", "2026-99-29T13:00:00Z", "ÄTÖ 日本T"]
        {
            assert_eq!(local(same), same);
        }
        let linked = Path::new("/usr/share/zoneinfo/America/New_York");
        assert_eq!(
            in_zone("2026-11-29T13:00:00Z", &machine_zone(None, Some(linked)).expect("a zone")),
            "2026-11-29T08:00:00-05:00"
        );
        for tz in [":/etc/localtime", "/etc/localtime", "/usr/share/zoneinfo/America/New_York"] {
            let zone = machine_zone(Some(tz), Some(linked)).expect(tz);
            assert_eq!(zone.iana_name(), Some("America/New_York"), "{tz}");
        }
        assert!(machine_zone(Some(":/etc/localtime"), None).is_err());
        machine_zone(Some("CET-1CEST,M3.5.0,M10.5.0/3"), None).expect("a POSIX zone");
        assert!(machine_zone(None, None).is_err() && machine_zone(Some("Mars/Olympus"), None).is_err());
    }
}
