//! Whether a gateway can do its work: what `mdfm-agent selftest` shows, made from what is known of the gateway. Pure; the page for
//! troubleshooting has a row for each check.

use mdfm_service::Validity;
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use serde_json::{Value, json};

use crate::local;

/// Below this a gateway reports that its disk is full.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// What is known of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    /// By the wall clock.
    pub(crate) now: UtcMillis,
    /// As `mdfm-agent status` shows it.
    pub(crate) status: Value,
    /// Of the gateway's certificate; `None` if there is no readable one.
    pub(crate) validity: Option<Validity>,
    pub(crate) clock_in_words: String,
    pub(crate) line_in_words: String,
    /// On the disk of the image cache.
    pub(crate) free_bytes: u64,
    pub(crate) slot_problems: &'a [String],
}

/// The newest directive, in words.
fn directive_in_words(status: &Value) -> String {
    match (status["directiveSerial"].as_u64(), status["directiveExpiresAt"].as_str()) {
        (Some(serial), Some(until)) => format!("serial {serial}, expires {until}"),
        _ => "none received yet".into(),
    }
}

/// Every check, whether it is well, and what was found.
pub(crate) fn checks(facts: Facts<'_>) -> Value {
    let check = |check: &str, ok: bool, found: String| json!({ "check": check, "ok": ok, "found": found });
    let Facts { now, status, validity, clock_in_words, line_in_words, free_bytes, slot_problems } = facts;
    let now_s = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
    let days = validity.as_ref().map_or(0, |v| (v.not_after_s - now_s) / 86_400);
    let clock_ok = validity.is_some_and(|v| v.not_before_s <= now_s) && status["clockTrusted"] == true;
    let waits = status["waiting"].as_array().map_or(&[][..], Vec::as_slice);
    let faults: Vec<String> = waits.iter().filter(|w| w["isFault"] == true).map(local::wait_in_words).collect();
    let waiting = match (faults.is_empty(), waits.len()) {
        (false, _) => faults.join("; "),
        (true, 0) => "no device waits".into(),
        (true, 1) => "1 device waits for what is part of an update (mdfm-agent devices)".to_owned(),
        (true, n) => format!("{n} devices wait for what is part of an update (mdfm-agent devices)"),
    };
    let stale = status["directiveStale"] == true;
    let directive = directive_in_words(&status);
    let (attached, devices) = (&status["devicesAttached"], &status["devices"]);
    let bars: Vec<&str> =
        status["nothingNewBecause"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let telemetry = status["telemetry"].as_str().unwrap_or_default().to_owned();
    let slots = match slot_problems {
        [] => "nothing speaks against the slots as they are configured".into(),
        problems => problems.join("; "),
    };
    let authority = if bars.is_empty() { "nothing keeps new releases away".into() } else { bars.join("; ") };
    json!([
        check("clock", clock_ok, clock_in_words),
        check("certificate", days > 0, format!("{} left", count(days.max(0), "day"))),
        check("line", status["connected"] == true, line_in_words),
        check("telemetry", status["telemetryRefused"] == false, telemetry),
        check("directive", !stale, directive),
        check("authority", bars.is_empty(), authority),
        check("disk", free_bytes > FREE_BYTES_MIN, format!("{} MiB free for images", free_bytes >> 20)),
        check("devices", attached == devices, format!("{attached} of {devices} attached")),
        check("slots", slot_problems.is_empty(), slots),
        check("waiting", faults.is_empty(), waiting),
    ])
}

#[cfg(test)]
mod tests {
    use mdfm_shared::fixture::page::rows;

    use super::*;

    const NOW: UtcMillis = UtcMillis(1_772_438_400_000);
    const DAY_S: i64 = 86_400;

    /// A gateway of which everything is well.
    fn well() -> Facts<'static> {
        let now_s = i64::try_from(NOW.0 / 1_000).expect("small");
        Facts {
            now: NOW,
            status: json!({
                "clockTrusted": true, "connected": true, "telemetryRefused": false, "telemetry": "continued",
                "directiveStale": false, "directiveSerial": 7, "directiveExpiresAt": "2026-12-01T10:00:00Z",
                "nothingNewBecause": [], "devices": 2, "devicesAttached": 2,
                "waiting": [{ "isFault": false, "device": "DEV-1", "code": "window", "text": "no window is open" }],
            }),
            validity: Some(Validity { not_before_s: now_s - DAY_S, not_after_s: now_s + 80 * DAY_S }),
            clock_in_words: "right".into(),
            line_in_words: "connected".into(),
            free_bytes: 1 << 30,
            slot_problems: &[],
        }
    }

    fn failed(facts: Facts<'_>) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let checks = checks(facts);
        let all = checks.as_array().into_iter().flatten();
        all.filter(|c| c["ok"] == false).map(|c| (text(&c["check"]), text(&c["found"]))).collect()
    }

    /// What fails each check, by its name on the page, and a part of what it then says.
    fn spoiled(check: &str) -> Option<(Facts<'static>, &'static str)> {
        let mut facts = well();
        let words = match check {
            "clock" => {
                facts.status["clockTrusted"] = false.into();
                "right"
            }
            "certificate" => {
                facts.now = NOW.plus_ms(81 * 86_400_000);
                "0 days left"
            }
            "line" => {
                facts.status["connected"] = false.into();
                "connected"
            }
            "telemetry" => {
                facts.status["telemetryRefused"] = true.into();
                "continued"
            }
            "directive" => {
                facts.status["directiveStale"] = true.into();
                "serial 7, expires 2026-12-01T10:00:00Z"
            }
            "authority" => {
                facts.status["nothingNewBecause"] = json!(["the approver roster has expired", "and the clock"]);
                "the approver roster has expired; and the clock"
            }
            "disk" => {
                facts.free_bytes = FREE_BYTES_MIN;
                "64 MiB free for images"
            }
            "devices" => {
                facts.status["devicesAttached"] = 1.into();
                "1 of 2 attached"
            }
            "slots" => {
                facts.slot_problems =
                    Box::leak(Box::new(["/dev/sda1 and /dev/disk/by-label/A are the same place".into()]));
                "are the same place"
            }
            "waiting" => {
                facts.status["waiting"][0]["isFault"] = true.into();
                "no window is open (window)"
            }
            _ => return None,
        };
        Some((facts, words))
    }

    #[test]
    fn cli_14_each_check_of_the_page_fails_for_its_own_reason() {
        assert_eq!(failed(well()), [], "all is well");
        let rows: Vec<_> = rows().into_iter().filter(|row| row.section == "The self-test of a gateway fails").collect();
        assert!(rows.len() >= 10);
        for check in rows.iter().flat_map(|row| row.quotes()) {
            let (facts, words) = spoiled(check).unwrap_or_else(|| panic!("nothing here spoils {check}"));
            let failed = failed(facts);
            assert!(
                matches!(&failed[..], [(name, found)] if name == check && found.contains(words)),
                "{check}: {failed:?}"
            );
        }
    }

    #[test]
    fn cli_14_a_certificate_of_the_future_shows_a_wrong_clock() {
        let now_s = i64::try_from(NOW.0 / 1_000).expect("small");
        let validity = Some(Validity { not_before_s: now_s + 1, not_after_s: now_s + 80 * DAY_S });
        assert_eq!(failed(Facts { validity, ..well() }), [("clock".to_owned(), "right".to_owned())]);
        let unreadable: Vec<String> =
            failed(Facts { validity: None, ..well() }).into_iter().map(|(check, _)| check).collect();
        assert_eq!(unreadable, ["clock", "certificate"]);
    }

    #[test]
    fn cli_23_a_self_test_shows_times_without_quotes() {
        let status = json!({ "directiveSerial": 7, "directiveExpiresAt": "2026-12-01T10:00:00Z" });
        assert_eq!(directive_in_words(&status), "serial 7, expires 2026-12-01T10:00:00Z");
        assert_eq!(directive_in_words(&json!({ "directiveSerial": null })), "none received yet");
    }
}
