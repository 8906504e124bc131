//! Incidents: what somebody reports that went wrong with a device, and what the vendor decides about it. Whether it must be reported to the FDA
//! (21 CFR 803) is decided by a person; until then, and until the report is made, its due date stands open.

use std::collections::BTreeSet;

use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId, IncidentId};
use mdfm_shared::limits::TEXT_CHARS_MAX;
use mdfm_shared::manifest::is_label;
use mdfm_shared::record::{Actor, person};
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::refusal::Class;
use super::rollout::duty::working_days_after;
use super::rollout::sight;
use super::{Event, Refusal, State};

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
/// Incidents that one person of a hospital opens in an hour: more than a ward has, fewer than bury an inbox.
const STAFF_PER_HOUR_MAX: usize = 20;
/// The part of a person's incidents in an hour, and of an incident's notes, that machine tokens may use up: a half. The rest is for people.
const MACHINES_PART: usize = 2;
/// Days for a report after becoming aware (21 CFR 803.50).
const REPORT_DAYS: u64 = 30;
/// Working days where harm must be prevented at once (21 CFR 803.53).
const URGENT_WORKING_DAYS: u32 = 5;
/// Devices that one incident names.
const DEVICES_MAX: usize = 100;
/// Notes under one incident.
const NOTES_MAX: usize = 200;

/// What came of it, as 21 CFR 803.3 distinguishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Nobody was harmed, and nobody would be if it happened again.
    NoHarm,
    /// It would be likely to harm if it happened again.
    Malfunction,
    SeriousInjury,
    Death,
}

/// What is known when it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewIncident {
    pub title: String,
    pub description: String,
    pub outcome: Outcome,
    pub devices: BTreeSet<DeviceId>,
    pub deployment: Option<DeploymentId>,
}

/// A person's decision whether it must be reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    pub reportable: bool,
    /// Action is needed to prevent an unreasonable risk (21 CFR 803.53).
    pub urgent: bool,
    pub by: String,
    pub at: UtcMillis,
    pub reason: String,
}

/// What was said later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    pub by: String,
    pub at: UtcMillis,
    pub text: String,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    #[serde(flatten)]
    pub reported: NewIncident,
    /// Of the devices.
    pub hospitals: BTreeSet<HospitalId>,
    pub opened_by: String,
    pub opened_at: UtcMillis,
    pub decision: Option<Decision>,
    pub notes: Vec<Note>,
    /// The report's number, where one was made.
    pub report: Option<String>,
    pub closed: Option<Note>,
}

impl Incident {
    /// When the report is due, while nobody has made it or decided that none is needed.
    pub fn due_at(&self) -> Option<UtcMillis> {
        let awaits = self.closed.is_none() && self.report.is_none();
        match &self.decision {
            _ if !awaits => None,
            Some(decision) if !decision.reportable => None,
            Some(decision) if decision.urgent => Some(working_days_after(self.opened_at, URGENT_WORKING_DAYS)),
            None if self.reported.outcome == Outcome::NoHarm => None,
            _ => Some(self.opened_at.plus_ms(REPORT_DAYS * DAY_MS)),
        }
    }

    /// Whether people of `hospital` may know of it: if it names no other hospital's devices. The vendor's people may of all.
    pub fn is_seen_by(&self, hospital: Option<&HospitalId>) -> bool {
        hospital.is_none_or(|own| self.hospitals.iter().all(|h| h == own))
    }
}

/// One change of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum IncidentChange {
    Opened {
        #[serde(flatten)]
        reported: NewIncident,
        hospitals: BTreeSet<HospitalId>,
        by: String,
    },
    Noted {
        by: String,
        text: String,
    },
    Decided {
        decision: Decision,
    },
    Reported {
        reference: String,
    },
    Closed {
        by: String,
        reason: String,
    },
}

/// What somebody does with an incident.
#[derive(Debug, Clone)]
pub enum IncidentRequest {
    Open(NewIncident),
    Note(String),
    Decide { reportable: bool, urgent: bool, reason: String },
    Report { reference: String },
    Close { reason: String },
}

impl IncidentRequest {
    /// The action's stable name in the audit log.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Open(_) => "incident.open",
            Self::Note(_) => "incident.note",
            Self::Decide { .. } => "incident.decide",
            Self::Report { .. } => "incident.report",
            Self::Close { .. } => "incident.close",
        }
    }
}

fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::invalid(field, format!("must be 1 to {TEXT_CHARS_MAX} characters")));
    }
    Ok(())
}

/// Checks a request; returns the event, and the reason for its record.
pub(super) fn decide(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &IncidentId,
    request: &IncidentRequest,
) -> Result<(Event, Option<String>), Refusal> {
    let by = person(&actor.id).to_owned();
    let of_max = |max: usize| if by == actor.id { max } else { max / MACHINES_PART };
    let own = state.hospital_of_user(&actor.id);
    let event = |change, reason: Option<&String>| {
        Ok((Event::IncidentChanged { incident: id.clone(), change }, reason.cloned()))
    };
    if let IncidentRequest::Open(reported) = request {
        if state.incidents.contains_key(id) {
            return Err(Refusal::exists("incident", id));
        }
        if !is_label(&reported.title) {
            return Err(Refusal::invalid("title", "must be 1 to 128 printable characters"));
        }
        check_text("description", &reported.description)?;
        if reported.devices.is_empty() || reported.devices.len() > DEVICES_MAX {
            return Err(Refusal::invalid("deviceIds", format!("must be 1 to {DEVICES_MAX}")));
        }
        let mut hospitals = BTreeSet::new();
        for device in &reported.devices {
            let hospital = &state.need_device(device)?.hospital;
            if own.is_some_and(|own| own != hospital) {
                // As if it were not there: staff learn nothing of other hospitals.
                return Err(Refusal::not_found("device", device));
            }
            hospitals.insert(hospital.clone());
        }
        reported.deployment.iter().try_for_each(|d| match state.need_deployment(d)? {
            held if sight::is_seen_by(held, own) => Ok(()),
            _ => Err(Refusal::not_found("deployment", d)),
        })?;
        if own.is_some() {
            // Each one notifies the vendor's regulatory affairs: one account must not bury the others' reports.
            let newest =
                state.incidents.values().filter(|held| held.opened_by == by && now.since_ms(held.opened_at) < HOUR_MS);
            let max = of_max(STAFF_PER_HOUR_MAX);
            if newest.count() >= max {
                return Err(Refusal::new(
                    Class::TooOften,
                    "incident-budget",
                    format!(
                        "{max} incidents of one person of a hospital are taken in an hour; add a note to one of them, or call the vendor"
                    ),
                ));
            }
        }
        return event(IncidentChange::Opened { reported: reported.clone(), hospitals, by }, None);
    }
    let held = state.incidents.get(id).filter(|held| held.is_seen_by(own));
    let held = held.ok_or_else(|| Refusal::not_found("incident", id))?;
    if held.closed.is_some() {
        return Err(Refusal::conflict("incident-closed", format!("incident {id} is closed")));
    }
    match request {
        IncidentRequest::Open(_) => Err(Refusal::exists("incident", id)),
        IncidentRequest::Note(text) => {
            check_text("note", text)?;
            let max = of_max(NOTES_MAX);
            if held.notes.len() >= max {
                return Err(Refusal::conflict("too-many-notes", format!("an incident has at most {max} notes")));
            }
            event(IncidentChange::Noted { by, text: text.clone() }, None)
        }
        IncidentRequest::Decide { reportable, urgent, reason } => {
            check_text("reason", reason)?;
            if held.report.is_some() {
                return Err(Refusal::conflict("wrong-step", format!("incident {id} has been reported already")));
            }
            if held.reported.outcome == Outcome::Death && !reportable {
                let detail = "a death that a device may have contributed to is always reported (21 CFR 803.50)";
                return Err(Refusal::invalid("reportable", detail));
            }
            let (reportable, urgent) = (*reportable, *urgent && *reportable);
            let decision = Decision { reportable, urgent, by, at: now, reason: reason.clone() };
            event(IncidentChange::Decided { decision }, Some(reason))
        }
        IncidentRequest::Report { reference } => {
            if !is_label(reference) {
                return Err(Refusal::invalid("reference", "must be 1 to 128 printable characters"));
            }
            if !held.decision.as_ref().is_some_and(|d| d.reportable) {
                return Err(Refusal::conflict("wrong-step", format!("nobody has decided that {id} is reportable")));
            }
            event(IncidentChange::Reported { reference: reference.clone() }, None)
        }
        IncidentRequest::Close { reason } => {
            check_text("reason", reason)?;
            if let Some(due) = held.due_at() {
                let detail = format!("incident {id} owes a decision or a report until {due}; that comes first");
                return Err(Refusal::conflict("wrong-step", detail));
            }
            event(IncidentChange::Closed { by, reason: reason.clone() }, Some(reason))
        }
    }
}

/// Applies a change that was decided.
pub(super) fn apply(state: &mut State, at: UtcMillis, id: &IncidentId, change: IncidentChange) -> Option<()> {
    if let IncidentChange::Opened { reported, hospitals, by } = change {
        let new = Incident {
            reported,
            hospitals,
            opened_by: by,
            opened_at: at,
            decision: None,
            notes: Vec::new(),
            report: None,
            closed: None,
        };
        state.incidents.insert(id.clone(), new);
        return Some(());
    }
    let held = state.incidents.get_mut(id)?;
    match change {
        IncidentChange::Opened { .. } => {}
        IncidentChange::Noted { by, text } => held.notes.push(Note { by, at, text }),
        IncidentChange::Decided { decision } => held.decision = Some(decision),
        IncidentChange::Reported { reference } => held.report = Some(reference),
        IncidentChange::Closed { by, reason } => held.closed = Some(Note { by, at, text: reason }),
    }
    Some(())
}
