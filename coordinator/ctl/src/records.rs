//! Records of the audit log as people read them: a batch of telemetry is shown as the events that are in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::action;
use mdfm_shared::id::DeviceId;
use mdfm_shared::record::{AuditRecord, decode_document};
use mdfm_shared::telemetry::{Event, EventKind, TelemetryBatch};
use serde_json::{Value, json};

use crate::firmware::now;
use crate::output::{Column, Output, text};
use crate::trust::{Kind, Trusted};

/// The action of records that carry a gateway's batch.
const BATCH: &str = "telemetry.commit";

/// Columns of what happened to one object.
const HISTORY: [Column; 6] = [
    ("ENTRY", "/index"),
    ("WHEN", "/at"),
    ("WHO", "/actor/id"),
    ("WHAT", "/words"),
    ("OUTCOME", "/outcome"),
    ("WHY", "/reason"),
];

/// Columns of records of any objects.
const SEARCH: [Column; 7] = [
    ("ENTRY", "/index"),
    ("TIME", "/at"),
    ("ACTOR", "/actor/id"),
    ("ACTION", "/words"),
    ("OBJECT", "/object"),
    ("OUTCOME", "/outcome"),
    ("REASON", "/reason"),
];

/// The batch that a record carries; `None` if it carries another document, or one that cannot be read.
fn batch(record: &Value) -> Option<TelemetryBatch> {
    if record["action"] != BATCH {
        return None;
    }
    decode_document::<TelemetryBatch>(BATCH, record["document"].as_str()?).ok()?.decode_unverified().ok()
}

/// An event of a batch as a row beside the records: it has the record's place in the log, and the gateway's own time.
fn row(record: &Value, batch: &TelemetryBatch, event: &Event) -> Value {
    let (what, why) = event.kind.in_words();
    let object = match &event.device {
        Some(device) => format!("device/{device}"),
        None => format!("gateway/{}", batch.gateway),
    };
    json!({
        "index": record["index"], "at": event.at.to_string(), "actor": { "id": batch.gateway }, "action": what, "object": object,
        "site": record["site"], "outcome": "reported", "reason": why,
    })
}

/// Which end of the log a list of records begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    Oldest,
    Newest,
}

/// Records as rows: each batch as its events, of one device alone if one is named, in the order of the records.
fn rows(records: &Value, device: Option<&str>, first: First) -> Value {
    let records = records.as_array().map_or(&[][..], Vec::as_slice);
    let mut rows = Vec::new();
    for record in records {
        let Some(batch) = batch(record) else {
            rows.push(record.clone());
            continue;
        };
        let is_meant = |event: &&Event| device.is_none_or(|id| event.device.as_ref().is_some_and(|d| d.as_str() == id));
        let mut events: Vec<Value> = batch.events.iter().filter(is_meant).map(|e| row(record, &batch, e)).collect();
        if first == First::Newest {
            events.reverse();
        }
        rows.extend(events);
    }
    Value::Array(rows)
}

/// Adds to each row what was done in words, with the name of the action.
fn in_words(mut rows: Value) -> Value {
    for row in rows.as_array_mut().into_iter().flatten() {
        row["words"] = row["action"].as_str().map(action::named).into();
    }
    rows
}

/// Adds to each record with a batch the events in it, in words too.
pub(crate) fn decode(records: &mut Value) {
    for record in records.as_array_mut().into_iter().flatten() {
        let Some(batch) = batch(record) else { continue };
        let event = |event: &Event| {
            let (what, why) = event.kind.in_words();
            json!({ "device": event.device, "at": event.at.to_string(), "kind": event.kind.name(), "what": what, "why": why })
        };
        record["events"] = batch.events.iter().map(event).collect();
    }
}

/// Shows what happened to an object, newest first; of batches only what concerns `device`, if one is named.
pub(crate) fn table(out: &Output, records: &Value, device: Option<&DeviceId>) {
    print(out, records, device.map(DeviceId::as_str), First::Newest, &HISTORY);
}

/// Shows records of any objects.
pub(crate) fn search_table(out: &Output, records: &Value, device: Option<&str>, first: First) {
    print(out, records, device, first, &SEARCH);
}

fn print(out: &Output, records: &Value, device: Option<&str>, first: First, columns: &[Column]) {
    if out.is_json() {
        let mut records = records.clone();
        decode(&mut records);
        out.table(&records, columns);
    } else if out.is_names() {
        // A name is the entry's number, once for each record.
        out.table(records, columns);
    } else {
        out.table_with(&in_words(rows(records, device, first)), columns, &[("SITE", "/site")]);
    }
}

/// One record with everything in it.
pub(crate) fn show(out: &Output, record: &Value) {
    let mut records = json!([record]);
    decode(&mut records);
    out.answer(&records[0], || render(record));
}

/// The document of a record as its signer saw it; one line if this program does not know its kind.
fn signed_document(record: &Value) -> Vec<String> {
    // What was done says what the document is; the bytes of some kinds could be another one's too.
    let kind = match record["action"].as_str() {
        Some("firmware.approve") => Some(Kind::Approval),
        Some("firmware.manifest") => Some(Kind::Manifest),
        Some("deployment.validate") => Some(Kind::Validation),
        _ => None,
    };
    let frame = record["document"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let shown = frame.and_then(|frame| Trusted::of_frame(&frame, kind)?.manifestation(now()).ok());
    shown.unwrap_or_else(|| vec!["of a kind that is shown as JSON alone (--json)".to_owned()])
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

fn render(record: &Value) -> String {
    let of = |pointer: &str| text(record.pointer(pointer).unwrap_or(&Value::Null));
    let mut lines = vec![
        format!("entry {} of {}: {}, {}", of("/index"), of("/at"), action::named(&of("/action")), of("/outcome")),
        format!("  object  {}", of("/object")),
        format!("  by      {} {}{}", of("/actor/kind"), of("/actor/id"), in_brackets(&of("/actor/roles"))),
    ];
    for (label, pointer) in
        [("reason", "/reason"), ("site", "/site"), ("address", "/address"), ("source", "/component")]
    {
        if !record.pointer(pointer).unwrap_or(&Value::Null).is_null() {
            lines.push(format!("  {label:<7} {}", of(pointer)));
        }
    }
    match batch(record) {
        Some(batch) => {
            lines.push(format!(
                "  batch {}.{} of gateway {}, signed by it; its events:",
                batch.epoch, batch.sequence, batch.gateway
            ));
            lines.extend(batch.events.iter().map(|event| {
                let (what, why) = event.kind.in_words();
                let object = event.device.as_ref().map_or_else(|| "the gateway".to_owned(), ToString::to_string);
                text(&format!("    {} {object}: {what}: {why}", event.at).into())
            }));
        }
        None if record["document"].is_string() => {
            lines.push("  carries a signed document:".to_owned());
            lines.extend(signed_document(record).into_iter().map(|line| format!("    {line}")));
        }
        None => {}
    }
    for (label, name) in [("change", "event"), ("before", "before"), ("after", "after")] {
        if !record[name].is_null() {
            lines.push(format!("  {label}"));
            lines.extend(format!("{:#}", record[name]).lines().map(|line| format!("    {line}")));
        }
    }
    lines.join("\n")
}

/// The JSON of a record with its place in the log, as the API has it; `None` for bytes that are not a record.
pub(crate) fn indexed(index: u64, bytes: &[u8]) -> Option<Value> {
    let record = AuditRecord::from_bytes(bytes).ok()?;
    let mut record = serde_json::to_value(record).ok()?;
    record["index"] = index.into();
    Some(record)
}

/// What the batch in a record says about a device, by its gateway: the state of the installation, firmware and observation, the newest last.
pub(crate) fn reported_by(record: &Value, device: &str, reported: &mut serde_json::Map<String, Value>) {
    let Some(batch) = batch(record) else { return };
    let mut of_device =
        batch.events.iter().filter(|event| event.device.as_ref().is_some_and(|d| d.as_str() == device)).peekable();
    if of_device.peek().is_none() {
        return;
    }
    // Any gateway may say anything of any device: whose word it is stands with it.
    let Some(reported) = reported.entry(batch.gateway.to_string()).or_insert_with(|| json!({})).as_object_mut() else {
        return;
    };
    for event in of_device {
        match &event.kind {
            EventKind::DeviceAdopted { firmware, .. } => {
                reported.insert("running".into(), json!(firmware));
            }
            EventKind::StateChanged { state, manifest, deployment, running, detail } => {
                reported.insert("installState".into(), json!(state));
                reported.insert("manifest".into(), json!(manifest));
                reported.insert("deployment".into(), json!(deployment));
                reported.insert("detail".into(), json!(detail));
                if let Some(running) = running {
                    reported.insert("running".into(), json!(running));
                }
            }
            EventKind::DeviceObserved { observed, .. } => {
                reported.insert("observed".into(), json!(observed));
            }
            EventKind::AgentStarted { .. }
            | EventKind::DeviceError { .. }
            | EventKind::Refused { .. }
            | EventKind::LocalAction { .. }
            | EventKind::Consent { .. } => continue,
        }
        reported.insert("at".into(), event.at.to_string().into());
        reported.insert("entry".into(), record["index"].clone());
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::digest::Digest;
    use mdfm_shared::record::{Actor, ActorKind, Outcome, document_text};
    use mdfm_shared::sign::{SecretKey, Signed};
    use mdfm_shared::telemetry::{FirmwareReport, InstallState, Severity};
    use mdfm_shared::time::UtcMillis;

    use super::*;

    fn firmware(version: &str) -> FirmwareReport {
        FirmwareReport { version: version.into(), release_number: 22, security_version: 1, sha256: Digest([7; 32]) }
    }

    /// A record with a batch of two devices' events, at a place in the log.
    pub(crate) fn committed(index: u64) -> Value {
        let device = |id: &str| Some(id.parse().expect("an id"));
        let changed = |state, running| EventKind::StateChanged {
            state,
            manifest: Digest([9; 32]),
            deployment: "dep-1".parse().expect("an id"),
            running,
            detail: "probation ended".into(),
        };
        let error = EventKind::DeviceError {
            severity: Severity::Critical,
            code: "ECG-17".into(),
            message: "lead off\u{1b}[2J".into(),
        };
        let events = vec![
            Event { device: None, at: UtcMillis(1_000), kind: EventKind::AgentStarted { version: "1.2".into() } },
            Event { device: device("D-1"), at: UtcMillis(2_000), kind: changed(InstallState::Probation, None) },
            Event { device: device("D-2"), at: UtcMillis(3_000), kind: error },
            Event {
                device: device("D-1"),
                at: UtcMillis(4_000),
                kind: changed(InstallState::Confirmed, Some(firmware("2.2.0"))),
            },
        ];
        let gateway = "GW-1".parse().expect("an id");
        let batch = TelemetryBatch { gateway, epoch: 1, sequence: 3, previous: Digest([0; 32]), events };
        let signed = Signed::sign(&batch, &[&SecretKey::from_seed([5; 32])]).expect("small");
        let actor = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
        let record = AuditRecord::new(UtcMillis(9_000), &actor, BATCH, "gateway/GW-1", Outcome::Accepted);
        let record = AuditRecord { document: Some(document_text(&signed)), site: Some("HOSP-1".into()), ..record };
        indexed(index, &record.to_bytes()).expect("a record")
    }

    #[test]
    fn cli_12_a_batch_is_shown_as_its_events() {
        let other = json!({ "index": 6, "action": "device.change", "object": "device/D-1", "at": "x" });
        let newest = json!([committed(7), other]);
        let shown = rows(&newest, Some("D-1"), First::Newest);
        let of = |i: usize, name: &str| shown[i][name].as_str().unwrap_or_default().to_owned();
        assert_eq!(shown.as_array().map(Vec::len), Some(3), "two events of the device, and the other record: {shown}");
        assert_eq!(
            (of(0, "action"), of(1, "action")),
            ("installation confirmed".into(), "installation on trial".into())
        );
        assert_eq!(
            (of(0, "reason"), of(0, "at")),
            ("runs 2.2.0; probation ended".into(), "1970-01-01T00:00:04.000Z".into())
        );
        assert_eq!((&shown[0]["index"], &shown[0]["outcome"], &shown[2]), (&json!(7), &json!("reported"), &other));
        // One record alone does not show its order.
        let alone = rows(&json!([committed(7)]), Some("D-1"), First::Newest);
        assert_eq!(alone[0]["action"], "installation confirmed", "{alone}");
        let all = rows(&json!([other, committed(7)]), None, First::Oldest);
        let actions: Vec<&str> = all.as_array().into_iter().flatten().filter_map(|r| r["action"].as_str()).collect();
        assert_eq!(
            actions,
            [
                "device.change",
                "agent started",
                "installation on trial",
                "device reports critical error ECG-17",
                "installation confirmed"
            ]
        );
        assert_eq!(all[3]["object"], "device/D-2");
    }

    #[test]
    fn cli_12_one_record_is_shown_with_all_in_it() {
        let words = render(&committed(7));
        for expected in
            ["entry 7 of", "batch 1.3 of gateway GW-1", "D-2: device reports critical error ECG-17: lead off\\u{1b}[2J"]
        {
            assert!(words.contains(expected), "{expected}: {words}");
        }
        let mut records = json!([committed(7)]);
        decode(&mut records);
        assert_eq!(records[0]["events"][3]["what"], "installation confirmed");
        assert_eq!(records[0]["events"][3]["kind"], "stateChanged");
    }

    #[test]
    fn cli_12_a_signature_is_shown_with_its_meaning() {
        let key = SecretKey::from_seed([5; 32]);
        let signed = Signed::sign(&approval(), &[&key]).expect("small");
        let actor = json!({ "kind": "user", "id": "qa", "roles": [] });
        let record = json!({
            "index": 3, "at": "x", "actor": actor, "action": "firmware.approve", "object": "firmware/FW-1", "outcome": "accepted",
            "document": document_text(&signed),
        });
        let words = render(&record);
        let digest = signed.digest().to_string();
        for expected in [
            "by      user qa\n",
            "approval as QA",
            &digest,
            "qa (Q) as QA",
            "meaning",
            "reason",
            "1970-01-01T00:00:00.001Z",
            &key.public().id().to_string(),
        ] {
            assert!(words.contains(expected), "{expected}: {words}");
        }
        let odd = render(&json!({ "document": "%%%" }));
        assert!(odd.contains("as JSON alone"), "{odd}");
    }

    #[test]
    fn cli_12_what_is_not_a_batch_is_left_as_it_is() {
        for record in [
            json!({ "action": BATCH, "document": "%%%" }),
            json!({ "action": BATCH, "document": null }),
            json!({ "action": BATCH, "document": document_text(&Signed::sign(&crate::records::tests::approval(), &[]).expect("small")) }),
            json!({ "action": "other", "document": committed(1)["document"] }),
            json!(7),
        ] {
            assert_eq!(rows(&json!([record]), None, First::Oldest), json!([record]), "as it is");
        }
    }

    fn approval() -> mdfm_shared::trust::Approval {
        mdfm_shared::trust::Approval {
            manifest: Digest([1; 32]),
            role: mdfm_shared::trust::Role::Qa,
            user: "qa".parse().expect("an id"),
            printed_name: "Q".into(),
            meaning: "m".into(),
            reason: "r".into(),
            at: UtcMillis(1),
        }
    }

    #[test]
    fn cli_13_the_newest_report_of_a_device_counts() {
        let mut reported = serde_json::Map::new();
        reported_by(&committed(7), "D-1", &mut reported);
        assert_eq!(
            (&reported["GW-1"]["installState"], &reported["GW-1"]["running"]["version"]),
            (&json!("confirmed"), &json!("2.2.0"))
        );
        assert_eq!(
            (&reported["GW-1"]["entry"], &reported["GW-1"]["at"]),
            (&json!(7), &json!("1970-01-01T00:00:04.000Z"))
        );
        let mut none = serde_json::Map::new();
        reported_by(&committed(7), "D-9", &mut none);
        assert!(none.is_empty());
    }
}
