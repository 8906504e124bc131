//! The facts of each report, gathered from the state and from the records of the log up to one position.

mod emergency;

use std::collections::BTreeMap;

use mdfm_audit::{Field, LogError, Query};
use mdfm_shared::id::{DeploymentId, DeviceId, RecallId};
use mdfm_shared::record::{AuditRecord, Outcome};
use mdfm_shared::telemetry::{EventKind, InstallState, TelemetryBatch};
use mdfm_shared::time::UtcMillis;
use serde_json::{Map, Value, json};

use super::{Kind, ReportError, Source, controls};
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::rollout::Deployment;
use mdfm_coordinator_core::waiting::{Sight, Wait};
use mdfm_coordinator_core::{authority, expiry, recall};

/// Records in one audit extract at most.
const EXTRACT_MAX: usize = 100_000;
/// Sign-ins and denials named one by one.
const LISTED_MAX: usize = 5_000;
const DAY_MS: u64 = 86_400_000;

fn query(fields: &[(Field, String)]) -> Query {
    Query { fields: fields.to_vec(), ..Query::default() }
}

fn time(ms: u64) -> String {
    UtcMillis(ms).to_string()
}

impl Source<'_> {
    fn records(&self, fields: &[(Field, String)], mut each: impl FnMut(u64, AuditRecord)) -> Result<(), ReportError> {
        self.search.each(&query(fields), self.log_size, |index, bytes| {
            if let Ok(record) = AuditRecord::from_bytes(bytes) {
                each(index, record);
            }
            Ok::<(), LogError>(())
        })?;
        Ok(())
    }
}

pub(super) fn gather(
    source: &Source<'_>,
    kind: Kind,
    subject: Option<&str>,
    wanted: &Query,
) -> Result<Value, ReportError> {
    let id = subject.unwrap_or_default();
    let mut facts = match kind {
        Kind::Firmware => firmware(source, id)?,
        Kind::Deployment => deployment(source, id)?,
        Kind::Device => device(source, id)?,
        Kind::Access => access(source)?,
        Kind::Emergency => emergency::emergency(source, id)?,
        Kind::Correction => correction(source, id)?,
        Kind::Event => event(source, id)?,
        Kind::System => system(source)?,
        Kind::Audit => audit(source, wanted)?,
    };
    facts.insert("kind".into(), kind.name().into());
    facts.insert("subject".into(), id.into());
    facts.insert("madeAt".into(), source.made_at.to_string().into());
    facts.insert("madeBy".into(), source.made_by.into());
    if source.state.trial {
        super::trial::mark(&mut facts);
    }
    Ok(Value::Object(facts))
}

type Facts = Map<String, Value>;

fn object(value: Value) -> Facts {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The main table, for CSV.
fn table(columns: &[&str], rows: Vec<Vec<Value>>) -> Value {
    json!({ "columns": columns, "rows": rows })
}

/// What happened to one object: a row for each record.
fn history(source: &Source<'_>, field: Field, id: &str) -> Result<Vec<Value>, ReportError> {
    let mut rows = Vec::new();
    source.records(&[(field, id.to_owned())], |index, record| {
        if rows.len() < EXTRACT_MAX {
            rows.push(json!({
                "entry": index, "at": record.at, "actor": record.actor.id, "roles": record.actor.roles.join(", "),
                "action": record.action, "outcome": record.outcome, "reason": record.reason,
            }));
        }
    })?;
    Ok(rows)
}

fn rows_of(values: &[Value], columns: &[&str]) -> Vec<Vec<Value>> {
    values.iter().map(|v| columns.iter().map(|c| v[*c].clone()).collect()).collect()
}

/// The signatures on a release.
fn approvals(held: &mdfm_coordinator_core::firmware::Firmware) -> Vec<Value> {
    let row = |(role, a): (&mdfm_shared::trust::Role, &mdfm_coordinator_core::firmware::GivenApproval)| {
        json!({
            "role": role.to_string(), "user": a.user, "printedName": a.printed_name, "meaning": a.meaning,
            "reason": a.reason, "signedAt": a.at.to_string(), "entry": a.log_index,
        })
    };
    held.approvals.iter().map(row).collect()
}

fn firmware(source: &Source<'_>, id: &str) -> Result<Facts, ReportError> {
    let key = id.parse().map_err(|e| Refusal::invalid("id", e))?;
    let held = source.state.need_firmware(&key)?;
    let manifest = held.manifest.as_ref();
    let approvals = approvals(held);
    let components: Vec<Value> = manifest.map_or_else(Vec::new, |m| {
        let part = |c: &mdfm_shared::manifest::Component| {
            json!({ "name": c.name, "sha256": c.sha256, "sizeBytes": c.size_bytes })
        };
        m.manifest.components.iter().map(part).collect()
    });
    let sbom: Vec<Value> = held.sbom.iter().map(|c| json!({ "name": c.name, "version": c.version })).collect();
    let history = history(source, Field::Object, &format!("firmware/{id}"))?;
    let columns = ["entry", "at", "actor", "roles", "action", "outcome", "reason"];
    Ok(object(json!({
        "title": format!("Firmware release record: {id}"),
        "firmware": {
            "id": id, "version": held.version, "model": held.model, "status": held.status,
            "releaseNotes": held.release_notes, "submitter": held.submitter, "rejection": held.rejection,
        },
        "manifest": manifest.map(|m| json!({
            "digest": m.digest, "entry": m.log_index, "submitter": m.submitter,
            "releaseNumber": m.manifest.release_number, "securityVersion": m.manifest.security_version,
            "class": m.manifest.class, "hardware": m.manifest.hardware_revisions.join(", "),
            "minimumRelease": m.manifest.minimum_release,
            "sbomSha256": m.manifest.sbom_sha256,
            "probationMs": m.manifest.health.probation_ms,
            "recallWindowDays": m.manifest.recall_window() / 86_400_000,
        })),
        "withdrawal": manifest.and_then(|m| {
            let signed = source.state.authority.withdrawals.as_ref()?;
            let found = signed.of(m.digest)?;
            Some(json!({ "version": signed.version, "reason": found.reason, "at": found.at.to_string() }))
        }),
        "components": components, "sbom": sbom, "approvals": approvals,
        "table": table(&columns, rows_of(&history, &columns)), "history": history,
    })))
}

fn need_deployment<'a>(source: &'a Source<'_>, id: &str) -> Result<(DeploymentId, &'a Deployment), ReportError> {
    let key: DeploymentId = id.parse().map_err(|e| Refusal::invalid("id", e))?;
    let held = source.state.need_deployment(&key)?;
    Ok((key, held))
}

/// Times of one device's way through a deployment, milliseconds since 1970.
#[derive(Default)]
struct Way {
    states: Vec<(InstallState, u64)>,
    first_error: Option<(u64, String)>,
    rollback_from: Option<u64>,
    rollback_to: Option<u64>,
}

/// What gateways reported about a deployment's devices.
fn ways(source: &Source<'_>, id: &DeploymentId, held: &Deployment) -> Result<BTreeMap<DeviceId, Way>, ReportError> {
    let mut ways: BTreeMap<DeviceId, Way> = BTreeMap::new();
    let fields = [(Field::Deployment, id.to_string()), (Field::Action, "telemetry.commit".into())];
    source.records(&fields, |_, record| {
        let Ok(Ok(batch)) = record.document::<TelemetryBatch>().map(|d| d.decode_unverified()) else { return };
        for event in batch.events {
            let Some(device) = event.device.filter(|d| held.devices.contains_key(d)) else { continue };
            let way = ways.entry(device).or_default();
            match event.kind {
                EventKind::StateChanged { state, deployment, .. } if deployment == *id => {
                    way.states.push((state, event.at.0));
                    match state {
                        InstallState::RollingBack => way.rollback_from = Some(event.at.0),
                        InstallState::RolledBack => way.rollback_to = Some(event.at.0),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    })?;
    // Errors name no deployment: those of its devices since it began count.
    let fields = [(Field::Event, "deviceError".to_owned()), (Field::Action, "telemetry.commit".into())];
    source.records(&fields, |_, record| {
        let Ok(Ok(batch)) = record.document::<TelemetryBatch>().map(|d| d.decode_unverified()) else { return };
        for event in batch.events.into_iter().filter(|e| e.at >= held.created_at) {
            if let EventKind::DeviceError { code, message, .. } = event.kind
                && let Some(device) = event.device.filter(|d| held.devices.contains_key(d))
            {
                let way = ways.entry(device).or_default();
                way.first_error.get_or_insert((event.at.0, format!("{code}: {message}")));
            }
        }
    })?;
    Ok(ways)
}

/// The phases with their times, gates and signatures, as the records of the deployment tell them.
struct Story {
    timeline: Vec<Value>,
    gates: Vec<Value>,
    validations: Vec<Value>,
    events: Vec<Value>,
    opened_first: Option<u64>,
    /// When it ended, as far as it has.
    ended: Option<u64>,
}

fn story(source: &Source<'_>, id: &DeploymentId, held: &Deployment) -> Result<Story, ReportError> {
    let mut opened: BTreeMap<u64, u64> = BTreeMap::new();
    let mut monitored: BTreeMap<u64, u64> = BTreeMap::new();
    let mut ended: BTreeMap<u64, u64> = BTreeMap::new();
    let mut stopped = None;
    let (mut gates, mut validations, mut events) = (Vec::new(), Vec::new(), Vec::new());
    source.records(&[(Field::Object, format!("deployment/{id}"))], |index, record| {
        let change = record.event.as_ref().map_or(Value::Null, |e| e["change"].clone());
        let phase = change["phase"].as_u64();
        match (change["kind"].as_str(), phase) {
            (Some("phaseOpened"), Some(phase)) => {
                opened.insert(phase, record.at_ms);
            }
            (Some("monitoringStarted"), Some(phase)) => {
                monitored.insert(phase, record.at_ms);
            }
            (Some("phasePassed"), Some(phase)) => {
                ended.insert(phase, record.at_ms);
            }
            (Some("rollbackStarted" | "aborted" | "superseded" | "completed"), _) => {
                stopped.get_or_insert(record.at_ms);
            }
            (Some("gateEvaluated"), _) => {
                let mut gate = change["record"].clone();
                let phase = gate["phase"].as_u64().unwrap_or_default();
                gate["label"] = format!("Phase {}, {}", phase + 1, &record.at[..10.min(record.at.len())]).into();
                gate["at"] = record.at.clone().into();
                gate["entry"] = index.into();
                let spec = usize::try_from(phase).ok().and_then(|phase| held.plan.spec.phases.get(phase));
                gate["maxErrors"] = spec.and_then(|spec| spec.max_errors).into();
                gates.push(gate);
            }
            (Some("validationSigned"), Some(phase)) => {
                let v = &change["validation"];
                validations.push(json!({
                    "phase": phase + 1, "printedName": v["printedName"], "user": v["user"], "role": v["role"],
                    "meaning": v["meaning"], "reason": v["reason"],
                    "signedAt": v["at"].as_u64().map(time), "entry": index,
                }));
            }
            _ => {}
        }
        if change["kind"].as_str() != Some("membersJoined") {
            events.push(json!({
                "entry": index, "at": record.at, "actor": record.actor.id, "action": record.action,
                "what": change["kind"], "outcome": record.outcome, "reason": record.reason,
            }));
        }
    })?;
    let now = source.made_at.0;
    let timeline = opened
        .iter()
        .map(|(phase, from)| {
            let name = held.plan.spec.phases.get(*phase as usize).map_or("", |p| p.name.as_str());
            let to = ended.get(phase).copied();
            let monitored = monitored.get(phase).copied();
            let begun = match monitored {
                Some(at) => format!("monitored from {}", time(at)),
                None => "its monitoring has not begun".to_owned(),
            };
            let note = match (to, stopped) {
                (Some(at), _) => format!("{begun}, passed at {}", time(at)),
                (None, Some(at)) => format!("{begun}, ended at {} without passing", time(at)),
                (None, None) => begun,
            };
            json!({
                "label": format!("Phase {} {name}", phase + 1), "fromMs": from, "toMs": to.or(stopped).unwrap_or(now),
                "from": time(*from), "to": to.map(time), "monitoredFromMs": monitored, "note": note,
            })
        })
        .collect();
    let opened_first = opened.values().min().copied();
    Ok(Story { timeline, gates, validations, events, opened_first, ended: stopped.filter(|_| !held.is_active()) })
}

/// What became of the devices of each hospital.
fn per_hospital(source: &Source<'_>, held: &Deployment) -> Vec<Value> {
    let mut hospitals: BTreeMap<String, [u64; 5]> = BTreeMap::new();
    for (device, progress) in &held.devices {
        let hospital = source.state.devices.get(device).map(|d| d.hospital.to_string()).unwrap_or_default();
        let counts = hospitals.entry(hospital).or_default();
        counts[0] += 1;
        counts[1] += u64::from(progress.state == Some(InstallState::Confirmed));
        counts[2] += u64::from(progress.has_failed());
        counts[3] += u64::from(progress.silent);
        counts[4] += u64::from(progress.state == Some(InstallState::RolledBack));
    }
    let row = |(hospital, [devices, confirmed, failed, silent, rolled_back]): (String, [u64; 5])| {
        let name = hospital.parse().ok().and_then(|h| source.state.hospitals.get(&h)).map(|h| h.name.clone());
        json!({
            "hospital": hospital, "name": name, "devices": devices, "confirmed": confirmed, "failed": failed,
            "silent": silent, "rolledBack": rolled_back,
        })
    };
    hospitals.into_iter().map(row).collect()
}

fn deployment(source: &Source<'_>, id: &str) -> Result<Facts, ReportError> {
    let (key, held) = need_deployment(source, id)?;
    let story = story(source, &key, held)?;
    let ways = ways(source, &key, held)?;
    let none = Way::default();
    let mut devices = Vec::with_capacity(held.devices.len());
    let mut rolled_back: BTreeMap<usize, u64> = BTreeMap::new();
    let mut rollbacks = Vec::new();
    for (device, progress) in &held.devices {
        let way = ways.get(device).unwrap_or(&none);
        let hospital = source.state.devices.get(device).map(|d| d.hospital.to_string()).unwrap_or_default();
        let went_back = u64::from(progress.state == Some(InstallState::RolledBack));
        *rolled_back.entry(progress.phase as usize).or_default() += went_back;
        let last = way.states.last().map(|(_, at)| time(*at));
        let rollback_ms = way.rollback_from.zip(way.rollback_to).map(|(from, to)| to.saturating_sub(from));
        if let Some(from) = way.rollback_from {
            rollbacks.push(json!({
                "device": device, "hospital": hospital, "startedAt": time(from),
                "endedAt": way.rollback_to.map(time), "durationMs": rollback_ms,
                "cause": way.first_error.as_ref().map(|(_, text)| text),
            }));
        }
        devices.push(vec![
            json!(device),
            json!(hospital),
            json!(progress.phase + 1),
            json!(progress.state),
            json!(last),
            json!(progress.errors),
            json!(progress.critical),
            json!(progress.silent),
            json!(rollback_ms),
        ]);
    }
    let per_hospital = per_hospital(source, held);
    // A PDF names the devices that are worth a look; every one of them is in JSON and CSV.
    let columns = ["device", "hospital", "phase", "state", "since", "errors", "critical", "silent", "rollbackMs"];
    let remarkable: Vec<Value> = devices
        .iter()
        .filter(|row| row[3] != json!("confirmed") || row[5] != json!(0) || row[7] == json!(true))
        .take(LISTED_MAX)
        .map(|row| Value::Object(columns.iter().zip(row).map(|(c, v)| ((*c).to_owned(), v.clone())).collect()))
        .collect();
    let phases: Vec<Value> = held
        .plan
        .spec
        .phases
        .iter()
        .zip(&held.phases)
        .enumerate()
        .map(|(i, (spec, phase))| {
            json!({
                "number": i + 1, "name": spec.name, "percentage": spec.percentage, "status": phase.status,
                "maxErrorRatePercent": spec.max_error_rate_percent, "maxErrors": spec.max_errors, "monitoringMs": spec.monitoring_ms,
                "validation": spec.validation, "devices": phase.tally.devices, "confirmed": phase.tally.confirmed,
                "failed": phase.tally.failed, "silent": phase.tally.silent, "rolledBack": rolled_back.get(&i).copied().unwrap_or(0),
            })
        })
        .collect();
    let firmware = source.state.firmware.get(&held.plan.firmware);
    Ok(object(json!({
        "title": format!("Deployment record: {id}"),
        "deployment": {
            "id": id, "firmware": held.plan.firmware, "version": firmware.map(|f| &f.version), "model": held.plan.model,
            "manifest": held.plan.manifest, "strategy": held.plan.spec.strategy, "status": held.status,
            "createdAt": held.created_at.to_string(), "createdBy": held.plan.created_by, "planDigest": held.plan.plan,
            "devices": held.devices.len(), "hospitals": per_hospital.len(),
        },
        "phases": phases, "timeline": story.timeline, "gates": story.gates, "validations": story.validations,
        "waiting": source.waits(&key, held),
        "events": story.events, "perHospital": per_hospital, "rollbacks": rollbacks, "remarkable": remarkable,
        "duties": held.duties.iter().map(|d| emergency::duty(d, source.made_at)).collect::<Vec<_>>(),
        "table": table(&columns, devices),
    })))
}

impl Source<'_> {
    fn sight(&self) -> Sight<'_> {
        Sight { state: self.state, presence: self.presence, now: self.made_at }
    }

    /// What a deployment waits for when the report is made.
    fn waits(&self, id: &DeploymentId, held: &Deployment) -> Vec<Value> {
        let wait = |wait: Wait| {
            let named = wait.who.join(", ");
            let who = if named.is_empty() { wait.waiting.code.who().to_owned() } else { named };
            json!({
                "code": wait.waiting.code.name(), "reason": wait.waiting.text(),
                "since": wait.waiting.since.map(|at| at.to_string()), "until": wait.waiting.until.map(|at| at.to_string()),
                "devices": wait.held, "who": who,
            })
        };
        self.sight().of_deployment(id, held, None).into_iter().map(wait).collect()
    }

    /// What ends soon, or has ended.
    fn expiries(&self) -> Vec<Value> {
        let near = expiry::near(self.state, self.presence, self.made_at);
        let row = |(expiry, days): &(expiry::Expiry, u32)| {
            json!({
                "kind": expiry.kind.name(), "object": expiry.object, "expiresAt": expiry.expires_at.to_string(),
                "daysLeft": days, "words": expiry.words(self.made_at),
            })
        };
        near.iter().take(LISTED_MAX).map(row).collect()
    }
}

fn device_facts(source: &Source<'_>, id: &DeviceId) -> Result<Value, ReportError> {
    let held = source.state.need_device(id)?;
    let hospital = source.state.hospitals.get(&held.hospital);
    Ok(json!({
        "id": id, "model": held.model, "serial": held.serial, "udi": held.udi, "hospital": held.hospital,
        "hospitalName": hospital.map(|h| &h.name), "gateway": source.state.gateway_of(id),
        "firmwareVersion": held.firmware_version, "runningSha256": held.running_sha256,
        "securityFloor": held.security_floor, "lastError": held.last_error,
        "retiredAt": held.retired_at.map(|t| t.to_string()),
        "waiting": source.sight().of_device(id).map(|waiting| waiting.text()),
    }))
}

/// Everything that was recorded or reported about a device, in order.
fn device_events(source: &Source<'_>, id: &DeviceId) -> Result<Vec<Value>, ReportError> {
    let mut events = Vec::new();
    source.records(&[(Field::Device, id.to_string())], |index, record| {
        if record.action == "telemetry.commit" {
            let Ok(Ok(batch)) = record.document::<TelemetryBatch>().map(|d| d.decode_unverified()) else { return };
            for event in batch.events.iter().filter(|e| e.device.as_ref() == Some(id)) {
                events.push(json!({
                    "entry": index, "at": event.at.to_string(), "recordedAt": record.at, "by": record.actor.id,
                    "what": event.kind.name(), "detail": event.kind.to_string(),
                }));
            }
        } else if record.action != "directive.issue" {
            events.push(json!({
                "entry": index, "at": record.at, "recordedAt": record.at, "by": record.actor.id,
                "what": record.action, "detail": record.reason,
            }));
        }
    })?;
    Ok(events)
}

const EVENT_COLUMNS: [&str; 6] = ["entry", "at", "recordedAt", "by", "what", "detail"];

fn device(source: &Source<'_>, id: &str) -> Result<Facts, ReportError> {
    let key: DeviceId = id.parse().map_err(|e| Refusal::invalid("id", e))?;
    let facts = device_facts(source, &key)?;
    let events = device_events(source, &key)?;
    Ok(object(json!({
        "title": format!("Device history: {id}"), "device": facts,
        "table": table(&EVENT_COLUMNS, rows_of(&events, &EVENT_COLUMNS)), "events": events,
    })))
}

fn access(source: &Source<'_>) -> Result<Facts, ReportError> {
    let mut last_seen: BTreeMap<String, String> = BTreeMap::new();
    let mut sign_ins: BTreeMap<String, u64> = BTreeMap::new();
    source.records(&[(Field::Action, "session.open".into())], |_, record| {
        if record.outcome == Outcome::Accepted {
            *sign_ins.entry(record.actor.id.clone()).or_default() += 1;
            last_seen.insert(record.actor.id, record.at);
        }
    })?;
    let mut denials = Vec::new();
    source.records(&[(Field::Outcome, "refused".into())], |index, record| {
        if denials.len() < LISTED_MAX {
            denials.push(json!({
                "entry": index, "at": record.at, "actor": record.actor.id, "address": record.address,
                "action": record.action, "object": record.object, "reason": record.reason,
            }));
        }
    })?;
    let users: Vec<Value> = source
        .state
        .users
        .iter()
        .map(|(id, user)| {
            let roles: Vec<&str> = user.roles.iter().map(|r| r.name()).collect();
            json!({
                "user": id, "printedName": user.printed_name, "roles": roles.join(", "), "hospital": user.hospital,
                "lastSignIn": last_seen.get(id.as_str()), "signIns": sign_ins.get(id.as_str()).copied().unwrap_or(0),
                "trainedUntil": user.trained_until.map(|at| at.to_string()), "disabled": user.disabled,
            })
        })
        .collect();
    let gateways: Vec<Value> = source
        .state
        .gateways
        .iter()
        .map(|(id, g)| {
            json!({
                "gateway": id, "hospital": g.hospital, "enrolled": g.credentials.is_some(), "revoked": g.revoked,
                "anomalies": g.anomalies.len(),
            })
        })
        .collect();
    let roster: Vec<Value> = source
        .state
        .roster
        .iter()
        .flat_map(|r| &r.entries)
        .map(|e| {
            let roles: Vec<String> = e.roles.iter().map(ToString::to_string).collect();
            json!({
                "user": e.user, "printedName": e.printed_name, "roles": roles.join(", "),
                "validUntil": e.valid_until.to_string(), "revoked": e.revoked.is_some(),
            })
        })
        .collect();
    let columns = ["user", "printedName", "roles", "hospital", "lastSignIn", "signIns"];
    Ok(object(json!({
        "title": "Access review",
        "table": table(&columns, rows_of(&users, &columns)),
        "users": users, "gateways": gateways, "roster": roster, "denials": denials,
    })))
}

/// Devices with what a report of a correction names of each.
fn consignees(source: &Source<'_>, devices: &[DeviceId]) -> (Vec<Value>, Vec<Value>) {
    let mut hospitals: BTreeMap<String, u64> = BTreeMap::new();
    let rows = devices
        .iter()
        .filter_map(|id| {
            let held = source.state.devices.get(id)?;
            *hospitals.entry(held.hospital.to_string()).or_default() += 1;
            Some(json!({
                "device": id, "model": held.model, "serial": held.serial, "udi": held.udi, "hospital": held.hospital,
                "firmwareVersion": held.firmware_version,
            }))
        })
        .collect();
    let consignees = hospitals
        .into_iter()
        .map(|(hospital, devices)| {
            let name = hospital.parse().ok().and_then(|h| source.state.hospitals.get(&h)).map(|h| h.name.clone());
            json!({ "hospital": hospital, "name": name, "devices": devices })
        })
        .collect();
    (rows, consignees)
}

fn correction(source: &Source<'_>, id: &str) -> Result<Facts, ReportError> {
    let (devices, what) = match id.parse::<RecallId>().ok().and_then(|r| Some((source.state.recalls.get(&r)?, r))) {
        Some((held, recall_id)) => {
            let mut devices = recall::outstanding(source.state, held);
            let outstanding = devices.len();
            // Those that have left the firmware since are in the deployment that replaced it.
            devices.sort();
            (
                devices,
                json!({
                    "action": held.action, "reason": held.reason, "initiatedAt": held.opened_at.to_string(),
                    "initiatedBy": held.opened_by, "found": held.found, "outstanding": outstanding,
                    "closedAt": held.closed.as_ref().map(|(_, at)| at.to_string()), "recall": recall_id,
                    "firmware": held.firmware, "model": held.criteria.model,
                }),
            )
        }
        None => {
            let (key, held) = need_deployment(source, id)?;
            let story = story(source, &key, held)?;
            let devices: Vec<DeviceId> = held.devices.keys().cloned().collect();
            let release = source.state.firmware.get(&held.plan.firmware);
            let notes = release.map(|f| f.release_notes.as_str()).filter(|notes| !notes.trim().is_empty());
            (
                devices,
                json!({
                    "action": "deployment of firmware", "reason": notes, "strategy": held.plan.spec.strategy,
                    "initiatedAt": story.opened_first.map(time), "initiatedBy": held.plan.created_by,
                    "found": held.devices.len(), "firmware": [held.plan.firmware.to_string()], "model": held.plan.model,
                    "status": held.status,
                }),
            )
        }
    };
    let (rows, consignees) = consignees(source, &devices);
    let concerns = |order: &mdfm_shared::trust::RollbackOrder| {
        authority::devices_of(source.state, order).any(|(id, _)| devices.contains(id))
    };
    let orders = source.state.authority.orders.values().filter(|held| concerns(&held.order)).map(|held| {
        let signers = held.order.signers.iter().map(|s| format!("{} ({})", s.printed_name, s.role)).collect::<Vec<_>>();
        json!({
            "label": held.order.label, "reason": held.order.reason, "issuedAt": held.order.issued_at.to_string(),
            "expiresAt": held.order.expires_at.to_string(), "signers": signers.join(", "), "entry": held.log_index,
        })
    });
    let orders: Vec<Value> = orders.collect();
    let missing = [
        "registration number of the firm, report number and type (21 CFR 806.10(c)(1))",
        "name, address and telephone of the manufacturer and of the person responsible (c)(2)",
        "brand and common name, intended use (c)(3); marketing status and listing number (c)(4)",
        "manufacture and distribution dates, expiry or expected life (c)(9), (c)(10)",
        "injuries and their report numbers (c)(8)",
        "addresses of consignees (c)(11)",
        "copies of all communications (c)(12)",
    ];
    let columns = ["device", "model", "serial", "udi", "hospital", "firmwareVersion"];
    Ok(object(json!({
        "title": format!("Draft: report of a correction or removal: {id}"),
        "correction": what, "consignees": consignees, "orders": orders, "missing": missing, "devices": rows.len(),
        "table": table(&columns, rows_of(&rows, &columns)), "rows": rows,
    })))
}

fn event(source: &Source<'_>, id: &str) -> Result<Facts, ReportError> {
    let key: DeviceId = id.parse().map_err(|e| Refusal::invalid("id", e))?;
    let facts = device_facts(source, &key)?;
    let events = device_events(source, &key)?;
    let errors: Vec<&Value> = events.iter().filter(|e| e["what"] == "deviceError").collect();
    let last_error = errors.last().map(|e| (*e).clone());
    let since = last_error.as_ref().and_then(|e| e["entry"].as_u64()).unwrap_or(0);
    let around: Vec<Value> =
        events.iter().filter(|e| e["entry"].as_u64().is_some_and(|entry| entry + 2_000 > since)).cloned().collect();
    let before = crate::api::state_of(source.search, &format!("device/{id}"), since)?;
    let missing = [
        "patient block: kept apart from this system; no patient data is in it",
        "type of event and outcome, narrative by the reporter (21 CFR 803.32, 803.52(b))",
        "initial reporter and user facility (803.52(d), (e))",
        "operator of the device, concomitant products, whether the device was returned (803.52(c))",
        "evaluation, codes, remedial action and corrections (803.52(f))",
        "when the firm became aware, and which clock runs: 30 days, or 5 work days (803.50, 803.53)",
    ];
    Ok(object(json!({
        "title": format!("Draft: medical device report: {id}"), "device": facts, "event": last_error,
        "firmwareBefore": before.as_ref().map(|d| d["firmware_version"].clone()),
        "errors": errors.len(), "around": around, "missing": missing,
        "table": table(&EVENT_COLUMNS, rows_of(&around, &EVENT_COLUMNS)),
    })))
}

fn system(source: &Source<'_>) -> Result<Facts, ReportError> {
    let state = source.state;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in [
        ("users", state.users.len()),
        ("hospitals", state.hospitals.len()),
        ("gateways", state.gateways.len()),
        ("devices", state.devices.len()),
        ("firmware", state.firmware.len()),
        ("deployments", state.deployments.len()),
        ("recalls", state.recalls.len()),
        ("holds", state.holds.len()),
    ] {
        counts.insert(name.to_owned(), count as u64);
    }
    let witnesses = state.trusted_root().map_or(0, |r| r.witnesses().threshold());
    let on = |b: bool| if b { "on" } else { "off" };
    let controls = controls::controls(state, source.setup, source.made_at);
    let rows: Vec<Vec<Value>> =
        controls.into_iter().map(|(section, demand, how)| vec![json!(section), json!(demand), json!(how)]).collect();
    let controls: Vec<Value> = rows.iter().map(|r| json!({ "section": r[0], "demand": r[1], "how": r[2] })).collect();
    Ok(object(json!({
        "title": "Part 11 system summary", "version": env!("CARGO_PKG_VERSION"), "log": source.origin,
        "counts": counts, "retention": state.retention, "witnesses": witnesses, "witnessed": on(witnesses > 0),
        "rosterVersion": state.roster.as_ref().map(|r| r.version), "rootVersion": state.roots.len(),
        "expiries": source.expiries(), "controls": controls, "table": table(&["section", "demand", "how"], rows),
    })))
}

/// What a gateway reported in a record, in words; `None` for any other record.
fn reported(record: &AuditRecord) -> Option<String> {
    if record.action != "telemetry.commit" {
        return None;
    }
    let batch = record.document::<TelemetryBatch>().ok()?.decode_unverified().ok()?;
    let words = |event: &mdfm_shared::telemetry::Event| match &event.device {
        Some(device) => format!("{device}: {}", event.kind),
        None => event.kind.to_string(),
    };
    Some(batch.events.iter().map(words).collect::<Vec<_>>().join("; "))
}

fn audit(source: &Source<'_>, wanted: &Query) -> Result<Facts, ReportError> {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut records = Vec::new();
    let mut left_out = 0_u64;
    source.search.each(wanted, source.log_size, |index, bytes| {
        let Ok(r) = AuditRecord::from_bytes(bytes) else { return Ok::<(), LogError>(()) };
        if rows.len() >= EXTRACT_MAX {
            left_out += 1;
            return Ok(());
        }
        rows.push(vec![
            json!(index),
            json!(r.at),
            json!(r.actor.id),
            json!(r.actor.roles.join(", ")),
            json!(r.action),
            json!(r.object),
            json!(r.site),
            json!(r.outcome),
            json!(r.reason.clone().or_else(|| reported(&r))),
        ]);
        records.push(json!({
            "reported": reported(&r),
            "entry": index, "at": r.at, "actor": r.actor.id, "roles": r.actor.roles.join(", "), "action": r.action,
            "object": r.object, "site": r.site, "outcome": r.outcome, "reason": r.reason, "before": r.before,
            "after": r.after, "address": r.address, "component": r.component,
        }));
        Ok(())
    })?;
    let columns = ["entry", "at", "actor", "roles", "action", "object", "site", "outcome", "reason"];
    let asked: Vec<String> = wanted.fields.iter().map(|(f, v)| format!("{} is {v}", f.name())).collect();
    Ok(object(json!({
        "title": "Audit extract", "asked": if asked.is_empty() { "every record".into() } else { asked.join(" and ") },
        "text": wanted.text, "since": wanted.since_ms.map(time), "until": wanted.until_ms.map(time),
        "count": records.len(), "leftOut": left_out, "records": records, "table": table(&columns, rows),
    })))
}
