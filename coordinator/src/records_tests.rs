//! A record of each kind that was ever landed, as `tests/fixtures/records` keeps them: every later build reads all of them, and loses nothing of them.

use std::collections::BTreeSet;

use mdfm_coordinator_core::Event;
use mdfm_coordinator_core::incident::IncidentChange;
use mdfm_coordinator_core::people::PersonChange;
use mdfm_coordinator_core::rollout::Change;
use mdfm_shared::record::AuditRecord;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const RECORDS: &str = include_str!("../../tests/fixtures/records/records.jsonl");

fn events() -> Vec<Value> {
    let read = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["event"].clone();
    RECORDS.lines().map(read).filter(|event| !event.is_null()).collect()
}

/// Every member of `old` that `new` lacks or has otherwise; members that a later build adds do not matter.
fn lost(old: &Value, new: &Value, at: &str, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                let at = format!("{at}/{name}");
                match new.get(name) {
                    Some(new) => lost(value, new, &at, found),
                    // What is empty may be left out.
                    None if value.is_null() || *value == json!([]) || *value == json!(false) => {}
                    None => found.push(at),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            old.iter().zip(new).for_each(|(old, new)| lost(old, new, at, found));
        }
        (old, new) if old == new => {}
        _ => found.push(at.to_owned()),
    }
}

/// The names that a kind of event or change can have today: decoding an unknown one lists them.
fn names<T: DeserializeOwned>(tag: &str) -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(json!({ tag: "no such kind" })).err().expect("an unknown kind").to_string();
    let (_, list) = error.split_once("expected").expect("the known ones");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn records_of_every_kind_are_read_and_lose_nothing() {
    for (n, line) in RECORDS.lines().enumerate() {
        let record = AuditRecord::from_bytes(line.as_bytes()).unwrap_or_else(|e| panic!("record {n}: {e}"));
        let Some(old) = record.event else { continue };
        let event: Event = serde_json::from_value(old.clone()).unwrap_or_else(|e| panic!("record {n}: {e}: {old}"));
        let mut found = Vec::new();
        lost(&old, &serde_json::to_value(&event).expect("JSON"), "", &mut found);
        assert!(found.is_empty(), "record {n} loses {found:?}: {old}");
    }
}

/// A kind without a record here could be changed and nobody would notice. A new one: `tests/fixtures/records/README.md` says how to add it.
#[test]
fn records_of_every_kind_are_kept() {
    let events = events();
    let all = |of: &str, member: &str| -> BTreeSet<String> {
        let of_this = events.iter().filter(|event| of.is_empty() || event["type"] == of);
        of_this.filter_map(|event| event.pointer(member)?.as_str().map(str::to_owned)).collect()
    };
    let missing = |what: &str, known: BTreeSet<String>, kept: &BTreeSet<String>| {
        known.difference(kept).map(|name| format!("{what} {name}")).collect::<Vec<_>>()
    };
    let missing = [
        missing("event", names::<Event>("type"), &all("", "/type")),
        missing("change of a deployment", names::<Change>("kind"), &all("deploymentChanged", "/change/kind")),
        missing("change of a person", names::<PersonChange>("change"), &all("personChanged", "/change")),
        missing("change of an incident", names::<IncidentChange>("change"), &all("incidentChanged", "/change")),
    ];
    assert_eq!(missing.concat(), Vec::<String>::new(), "no record of it is in tests/fixtures/records");
}
