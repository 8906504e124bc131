//! Records on a line of time, in lanes by what they are.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// Width of the picture without the names of its lanes, in units of the picture.
const WIDTH: f64 = 780.0;
/// Where the lanes begin.
const LEFT: f64 = 150.0;
const LANE_HEIGHT: f64 = 34.0;
const TOP: f64 = 16.0;
/// Marks of one lane in a picture: more of them would be one blot.
const MARKS_MAX: usize = 400;

/// Lanes in their order: name, and the beginnings of the actions that belong there; the last one
/// takes the rest.
const LANES: [(&str, &[&str]); 5] = [
    ("Refused", &[]),
    ("People", &["device.", "incident.", "recall.", "rollback-order.", "firmware."]),
    ("Deployments", &["deployment."]),
    ("Directives", &["directive."]),
    ("Gateway's reports", &[""]),
];

fn lane_of(record: &Value) -> usize {
    if record["outcome"] != "accepted" {
        return 0;
    }
    let action = record["action"].as_str().unwrap_or_default();
    let is_gateways = record["actor"]["kind"] == "gateway";
    let found = LANES.iter().position(|(_, begins)| begins.iter().any(|begin| action.starts_with(begin)));
    if is_gateways { LANES.len() - 1 } else { found.unwrap_or(LANES.len() - 1) }
}

fn at_ms(record: &Value) -> Option<i64> {
    record["at"].as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

fn label(ms: i64, is_short: bool) -> String {
    let Ok(at) = Timestamp::from_millisecond(ms) else { return String::new() };
    at.to_zoned(TimeZone::UTC).strftime(if is_short { "%H:%M:%S" } else { "%m-%d %H:%M" }).to_string()
}

/// The geometry of a timeline from `since` to `until` (milliseconds since 1970); `null` if no
/// record lies there.
pub(crate) fn of(records: &[Value], since: i64, until: i64) -> Value {
    let length = (until - since).max(1) as f64;
    let mut marks: Vec<Vec<Value>> = vec![Vec::new(); LANES.len()];
    for record in records {
        let Some(at) = at_ms(record).filter(|at| (since..=until).contains(at)) else { continue };
        let lane = &mut marks[lane_of(record)];
        if lane.len() < MARKS_MAX {
            let x = LEFT + WIDTH * ((at - since) as f64 / length);
            lane.push(json!({ "x": (x * 10.0).round() / 10.0, "at": record["at"], "action": record["action"], "actor": record["actor"]["id"] }));
        }
    }
    if marks.iter().all(Vec::is_empty) {
        return Value::Null;
    }
    let lanes: Vec<Value> = marks
        .into_iter()
        .enumerate()
        .filter(|(_, marks)| !marks.is_empty())
        .enumerate()
        .map(|(row, (lane, marks))| {
            let y = TOP + LANE_HEIGHT * (row as f64 + 0.5);
            json!({ "name": LANES[lane].0, "number": lane, "y": y, "marks": marks })
        })
        .collect();
    let bottom = TOP + LANE_HEIGHT * lanes.len() as f64;
    let is_short = length <= 86_400_000.0;
    let ticks: Vec<Value> = (0..=4)
        .map(|n| {
            let part = f64::from(n) / 4.0;
            let at = since + (length * part) as i64;
            let anchor = match n {
                0 => "start",
                4 => "end",
                _ => "middle",
            };
            json!({ "x": LEFT + WIDTH * part, "label": label(at, is_short), "anchor": anchor })
        })
        .collect();
    json!({ "width": LEFT + WIDTH + 12.0, "height": bottom + 26.0, "left": LEFT, "right": LEFT + WIDTH, "top": TOP, "bottom": bottom,
        "lanes": lanes, "ticks": ticks, "count": lanes.iter().filter_map(|lane| lane["marks"].as_array()).map(Vec::len).sum::<usize>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: &str, action: &str, kind: &str, outcome: &str) -> Value {
        json!({ "at": at, "action": action, "outcome": outcome, "actor": { "kind": kind, "id": "<b>" } })
    }

    #[test]
    fn console_a_timeline_keeps_every_mark_inside() {
        let records = [
            record("2026-11-30T12:00:00Z", "device.register", "user", "accepted"),
            record("2026-11-30T12:30:00Z", "telemetry.commit", "gateway", "accepted"),
            record("2026-11-30T13:00:00Z", "device.change", "user", "refused"),
            record("2026-11-29T00:00:00Z", "device.change", "user", "accepted"),
            record("not a time", "device.change", "user", "accepted"),
        ];
        let (since, until) = (1_796_040_000_000, 1_796_043_600_000);
        let chart = of(&records, since, until);
        assert_eq!(chart["count"], 3, "what is outside or has no time is not drawn: {chart}");
        let names: Vec<&str> =
            chart["lanes"].as_array().expect("lanes").iter().filter_map(|l| l["name"].as_str()).collect();
        assert_eq!(names, ["Refused", "People", "Gateway's reports"]);
        for lane in chart["lanes"].as_array().expect("lanes") {
            for mark in lane["marks"].as_array().expect("marks") {
                let x = mark["x"].as_f64().expect("a finite number");
                assert!((LEFT..=LEFT + WIDTH).contains(&x), "{mark}");
            }
        }
        assert_eq!(of(&records, until + 1, until + 2), Value::Null);
        assert!(of(&records, since, since).is_object(), "a line without length does not divide by zero");
    }
}
