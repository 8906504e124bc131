//! What happened to a deployment, read from its summary and from the records of the audit log: the data of its charts and tables.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::chart::{rate, timeline};

fn ms(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
        _ => None,
    }
}

/// The change that a record is about, by its kind.
fn change(record: &Value) -> (&str, &Value) {
    let change = &record["event"]["change"];
    (change["kind"].as_str().unwrap_or_default(), change)
}

fn is_accepted(record: &&Value) -> bool {
    record["outcome"] == "accepted"
}

/// The deployment over time. `records` are those of its phases, gates and pauses in any order; without them is shown what the summary says.
pub(super) fn of(summary: &Value, records: &[Value], now: i64, is_over: bool) -> timeline::Story {
    let mut records: Vec<&Value> = records.iter().filter(is_accepted).collect();
    records.sort_by_key(|record| record["index"].as_u64());
    let phases = summary["phases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<timeline::Phase> = phases
        .iter()
        .map(|phase| timeline::Phase {
            name: phase["name"].as_str().unwrap_or_default().to_owned(),
            planned_ms: phase["monitoringDurationMs"].as_i64().unwrap_or(0),
            ..timeline::Phase::default()
        })
        .collect();
    let began = ms(&summary["createdAt"]).unwrap_or(now);
    let (mut pauses, mut last): (Vec<(i64, Option<i64>)>, i64) = (Vec::new(), began);
    for record in records {
        let (Some(at), (kind, change)) = (ms(&record["at"]), change(record)) else { continue };
        last = last.max(at);
        let number = change["phase"].as_u64().or(change["record"]["phase"].as_u64());
        let phase = number.and_then(|number| shown.get_mut(usize::try_from(number).ok()?));
        match (kind, phase) {
            ("phaseOpened", Some(phase)) => phase.opened = Some(at),
            ("monitoringStarted", Some(phase)) => phase.monitored = Some(at),
            ("gateEvaluated", Some(phase)) if change["record"]["passed"] == true => phase.held = Some(at),
            ("phasePassed", Some(phase)) => phase.passed = Some(at),
            ("paused", _) => pauses.push((at, None)),
            ("resumed" | "rollbackStarted" | "rolledBack" | "aborted" | "abortFinished", _) => {
                if let Some((_, until @ None)) = pauses.last_mut() {
                    *until = Some(at);
                }
            }
            _ => {}
        }
    }
    for (phase, shown) in phases.iter().zip(&mut shown) {
        add_state(&phase["status"], shown);
        last =
            [last].into_iter().chain(shown.opened).chain(shown.passed).chain(shown.ordered_back).max().unwrap_or(last);
    }
    timeline::Story { began, until: if is_over { last } else { now.max(last) }, is_over, phases: shown, pauses }
}

/// What the state of a phase says of its times, where no record did.
fn add_state(status: &Value, shown: &mut timeline::Phase) {
    let at = ms(&status["since"]).or(ms(&status["at"]));
    match status["name"].as_str().unwrap_or_default() {
        "deploying" => shown.opened = shown.opened.or(at),
        "monitoring" => {
            shown.monitored = shown.monitored.or(at);
            shown.opened = shown.opened.or(at);
        }
        "awaitingValidation" => {
            shown.held = shown.held.or(at);
            shown.opened = shown.opened.or(at);
        }
        "passed" => {
            shown.passed = shown.passed.or(at);
            shown.opened = shown.opened.or(at);
        }
        "orderedBack" => {
            shown.ordered_back = shown.ordered_back.or(at);
            shown.opened = shown.opened.or(at);
        }
        _ => {}
    }
}

/// How the figures of the phases moved, phase by phase: each change that the coordinator keeps (`figures`, or nothing), each evaluation of a gate,
/// and how the current phase stands now.
pub(super) fn points(summary: &Value, figures: &Value, records: &[Value], now: i64, is_over: bool) -> Vec<rate::Point> {
    let phases = summary["phases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |number: usize| {
        let name = phases.get(number).and_then(|phase| phase["name"].as_str()).unwrap_or_default();
        format!("{} {name}", number + 1)
    };
    let mut found: Vec<(usize, rate::Point)> = changes(figures, name);
    let evaluated = records.iter().filter(is_accepted).filter_map(|record| {
        let gate = &change(record).1["record"];
        let phase = usize::try_from(gate["phase"].as_u64()?).ok()?;
        let devices = gate["devices"].as_u64()?.saturating_sub(gate["pending"].as_u64().unwrap_or(0));
        let point = rate::Point {
            phase: name(phase),
            at: ms(&record["at"])?,
            kind: rate::Kind::Evaluation,
            devices,
            failed: gate["failed"].as_u64().unwrap_or(0) + gate["silent"].as_u64().unwrap_or(0),
            rate: gate["errorRatePercent"].as_f64(),
            bound: gate["upperBoundPercent"].as_f64()?,
            limit: gate["maxErrorRatePercent"].as_f64()?,
            proved: gate["proved"] == true,
        };
        Some((phase, point))
    });
    found.extend(evaluated);
    let current = summary["currentPhase"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1).saturating_sub(1);
    let standing = phases.get(current).map_or(&Value::Null, |phase| &phase["standing"]);
    if let (false, Some(bound)) = (is_over, standing["upperBoundPercent"].as_f64()) {
        let point = rate::Point {
            phase: name(current),
            at: now,
            kind: rate::Kind::Now,
            devices: standing["observed"].as_u64().unwrap_or(0),
            failed: standing["failed"].as_u64().unwrap_or(0),
            rate: standing["errorRatePercent"].as_f64(),
            bound,
            limit: phases[current]["maxErrorRatePercent"].as_f64().unwrap_or(0.0),
            proved: standing["proved"] == true,
        };
        found.push((current, point));
    }
    found.sort_by_key(|(phase, point)| (*phase, point.at));
    found.into_iter().map(|(_, point)| point).collect()
}

/// The changes that `GET …/figures` lists.
fn changes(figures: &Value, name: impl Fn(usize) -> String) -> Vec<(usize, rate::Point)> {
    let mut found = Vec::new();
    for phase in figures.as_array().into_iter().flatten() {
        let number = phase["phase"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1).saturating_sub(1);
        for figure in phase["figures"].as_array().into_iter().flatten() {
            let (Some(at), Some(bound)) = (ms(&figure["at"]), figure["upperBoundPercent"].as_f64()) else { continue };
            let point = rate::Point {
                phase: name(number),
                at,
                kind: rate::Kind::Change,
                devices: figure["observed"].as_u64().unwrap_or(0),
                failed: figure["failed"].as_u64().unwrap_or(0),
                rate: figure["errorRatePercent"].as_f64(),
                bound,
                limit: phase["maxErrorRatePercent"].as_f64().unwrap_or(0.0),
                proved: figure["proved"] == true,
            };
            found.push((number, point));
        }
    }
    found
}

/// The evaluations with the entries of the log that hold them, newest first.
pub(super) fn gates(records: &[Value]) -> Vec<Value> {
    let gates = records.iter().filter(is_accepted).filter(|record| change(record).0 == "gateEvaluated");
    gates
        .map(|record| json!({ "at": record["at"], "index": record["index"], "gate": change(record).1["record"] }))
        .collect()
}

/// The entries of the log that hold the signatures, by the number of their phase (1 for the first).
pub(super) fn signature_entries(records: &[Value]) -> Value {
    let signed = records.iter().filter(is_accepted).filter(|record| change(record).0 == "validationSigned");
    let entries: serde_json::Map<String, Value> = signed
        .filter_map(|record| Some(((change(record).1["phase"].as_u64()? + 1).to_string(), record["index"].clone())))
        .collect();
    Value::Object(entries)
}

/// Each hospital of a deployment: its phases, its consent, and whether it went back alone.
pub(super) fn hospitals(whole: &Value) -> Vec<Value> {
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    for (number, phase) in whole["phases"].as_array().into_iter().flatten().enumerate() {
        for hospital in phase["hospitals"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let row =
                rows.entry(hospital.to_owned()).or_insert_with(|| json!({ "hospitalId": hospital, "phases": [] }));
            let named = json!({ "number": number + 1, "name": phase["name"], "state": phase["status"]["name"] });
            if let Some(phases) = row["phases"].as_array_mut() {
                phases.push(named);
            }
        }
    }
    for (list, field) in [("consents", "consent"), ("contained", "contained")] {
        for found in whole[list].as_array().into_iter().flatten() {
            if let Some(row) = found["hospitalId"].as_str().and_then(|hospital| rows.get_mut(hospital)) {
                row[field] = found.clone();
            }
        }
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Value {
        json!({
            "createdAt": "2026-11-30T13:23:35.392Z", "currentPhase": 2,
            "phases": [
                { "name": "Pilot", "monitoringDurationMs": 3_000, "status": { "name": "passed", "at": 1_796_045_023_292_i64 } },
                { "name": "Full", "monitoringDurationMs": 5_000, "status": { "name": "deploying", "since": 1_796_045_023_300_i64 },
                  "maxErrorRatePercent": 0.5,
                  "standing": { "observed": 3, "failed": 1, "trials": 2, "errorRatePercent": 33.3, "upperBoundPercent": 90.0, "proved": false } },
            ],
        })
    }

    fn record(index: u64, at: &str, change: &Value) -> Value {
        json!({ "index": index, "at": at, "outcome": "accepted", "event": { "change": change } })
    }

    #[test]
    fn console_a_timeline_is_read_from_records_in_any_order() {
        let records = [
            record(
                9,
                "2026-11-30T13:23:42Z",
                &json!({ "kind": "gateEvaluated", "record": { "phase": 0, "passed": true } }),
            ),
            record(
                8,
                "2026-11-30T13:23:41Z",
                &json!({ "kind": "gateEvaluated", "record": { "phase": 0, "passed": false } }),
            ),
            record(5, "2026-11-30T13:23:36Z", &json!({ "kind": "phaseOpened", "phase": 0 })),
            record(7, "2026-11-30T13:23:38Z", &json!({ "kind": "resumed" })),
            record(6, "2026-11-30T13:23:37Z", &json!({ "kind": "paused", "reason": "x" })),
            record(10, "2026-11-30T13:23:43Z", &json!({ "kind": "phaseOpened", "phase": 99 })),
            json!({ "index": 11, "at": "2026-11-30T13:23:50Z", "outcome": "denied", "event": null }),
        ];
        let story = of(&summary(), &records, 1_796_045_100_000, false);
        let at = |text: &str| ms(&text.into());
        assert_eq!(story.phases[0].opened, at("2026-11-30T13:23:36Z"));
        assert_eq!(story.phases[0].held, at("2026-11-30T13:23:42Z"));
        assert_eq!(story.phases[0].passed, Some(1_796_045_023_292), "from its state, where no record says it");
        assert_eq!(story.phases[1].opened, Some(1_796_045_023_300));
        assert_eq!(story.pauses.len(), 1);
        assert_eq!(story.pauses[0].1, at("2026-11-30T13:23:38Z"));
        assert_eq!(story.until, 1_796_045_100_000);
        // Staff of a hospital see no event of a record.
        let hidden: Vec<Value> =
            records.iter().map(|r| json!({ "index": r["index"], "at": r["at"], "outcome": "accepted" })).collect();
        let story = of(&summary(), &hidden, 1_796_045_100_000, true);
        assert_eq!((story.phases[0].monitored, story.phases[0].passed), (None, Some(1_796_045_023_292)));
        assert!(story.until < 1_796_045_100_000, "it is over");
        of(&Value::Null, &[Value::Null], 0, false);
    }

    #[test]
    fn console_rates_end_with_how_it_stands_now() {
        let gate = json!({ "phase": 0, "devices": 4, "pending": 1, "failed": 1, "silent": 1, "errorRatePercent": 66.6,
            "upperBoundPercent": 98.0, "maxErrorRatePercent": 1.0, "proved": false });
        let records = [record(9, "2026-11-30T13:23:42Z", &json!({ "kind": "gateEvaluated", "record": gate }))];
        let figures = json!([{ "phase": 1, "maxErrorRatePercent": 1.0, "figures": [
            { "at": "2026-11-30T13:20:00Z", "observed": 1, "failed": 0, "errorRatePercent": 0.0, "upperBoundPercent": 95.0, "proved": false } ] }]);
        let with = points(&summary(), &figures, &records, 7, true);
        assert_eq!(with.iter().map(|p| p.kind).collect::<Vec<_>>(), [rate::Kind::Change, rate::Kind::Evaluation]);
        let found = points(&summary(), &Value::Null, &records, 1_896_045_100_000, false);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].devices, found[0].failed, found[0].phase.as_str(), found[0].kind),
            (3, 2, "1 Pilot", rate::Kind::Evaluation)
        );
        let last = &found[1];
        assert_eq!((last.at, last.failed, last.limit, last.kind), (1_896_045_100_000, 1, 0.5, rate::Kind::Now));
        assert_eq!(points(&summary(), &Value::Null, &records, 7, true).len(), 1);
        assert!(points(&Value::Null, &Value::Null, &[Value::Null], 0, false).is_empty());
    }

    #[test]
    fn console_hospitals_have_their_phases_and_consent() {
        let whole = json!({
            "phases": [{ "name": "Canary", "status": { "name": "passed" }, "hospitals": ["H-1"] }, { "name": "Full", "status": { "name": "pending" }, "hospitals": ["H-1", "H-2"] }],
            "consents": [{ "hospitalId": "H-2", "givenBy": null }, { "hospitalId": "H-9" }],
            "contained": [{ "hospitalId": "H-1", "fault": "x" }],
        });
        let rows = hospitals(&whole);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0]["phases"].as_array().map(Vec::len), &rows[0]["contained"]["fault"]),
            (Some(2), &json!("x"))
        );
        assert_eq!((&rows[1]["consent"]["hospitalId"], &rows[1]["phases"][0]["number"]), (&json!("H-2"), &json!(2)));
        assert!(hospitals(&Value::Null).is_empty());
    }
}
