//! How an emergency deployment stands, day by day, and what is owed to authorities.

use std::collections::BTreeMap;

use mdfm_coordinator_core::rollout::duty::{Duty, DutyKind};
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;
use serde_json::{Value, json};

use super::super::{ReportError, Source};
use super::{DAY_MS, Facts, approvals, need_deployment, object, per_hospital, rows_of, story, table, time, ways};

/// What a duty is, in words that an authority reads.
fn in_words(kind: &DutyKind) -> String {
    match kind {
        DutyKind::FdaNotification => "Report to the FDA (21 CFR 806.10)".to_owned(),
        DutyKind::CorrectionDecision => "Decision whether this is reportable (21 CFR 806.20)".to_owned(),
        DutyKind::StatusReport { number } => format!("Status report {number}"),
    }
}

/// A duty with its state at the time of the report.
pub(super) fn duty(duty: &Duty, now: UtcMillis) -> Value {
    let fulfilled = duty.fulfilled.as_ref();
    let state = match fulfilled {
        Some(done) if done.at > duty.due_at => "done late",
        Some(_) => "done",
        None if now > duty.due_at => "overdue",
        None => "open",
    };
    json!({
        "kind": duty.kind, "what": in_words(&duty.kind), "state": state, "dueAt": duty.due_at.to_string(),
        "draft": duty.draft, "fulfilledBy": fulfilled.map(|f| &f.by), "fulfilledAt": fulfilled.map(|f| f.at.to_string()),
        "reference": fulfilled.map(|f| &f.reference),
    })
}

pub(super) fn emergency(source: &Source<'_>, id: &str) -> Result<Facts, ReportError> {
    let (key, held) = need_deployment(source, id)?;
    let story = story(source, &key, held)?;
    let ways = ways(source, &key, held)?;
    let began = story.opened_first.unwrap_or(held.created_at.0);
    let mut days: BTreeMap<u64, [u64; 4]> = BTreeMap::new();
    for way in ways.values() {
        let mut count = |at: u64, i: usize| days.entry(at.saturating_sub(began) / DAY_MS).or_default()[i] += 1;
        for (state, at) in &way.states {
            match state {
                InstallState::Confirmed => count(*at, 0),
                InstallState::Failed => count(*at, 1),
                InstallState::RolledBack => count(*at, 2),
                _ => {}
            }
        }
        if let Some((at, _)) = &way.first_error {
            count(*at, 3);
        }
    }
    // Nothing is owed of the days after its end on which nothing happened.
    let last = story.ended.map(|ended| ended.saturating_sub(began) / DAY_MS);
    let last = last.map(|last| days.keys().copied().fold(last, u64::max));
    let until = last.unwrap_or(source.made_at.0.saturating_sub(began) / DAY_MS);
    let rows: Vec<Value> = (0..=until.min(365))
        .map(|day| {
            let [confirmed, failed, rolled_back, errors] = days.get(&day).copied().unwrap_or_default();
            json!({
                "day": day + 1, "from": time(began + day * DAY_MS), "confirmed": confirmed, "failed": failed,
                "rolledBack": rolled_back, "devicesWithErrors": errors,
            })
        })
        .collect();
    let open = held.devices.values().filter(|p| p.state.is_none_or(|s| !s.is_settled())).count();
    let firmware = source.state.firmware.get(&held.plan.firmware);
    let columns = ["day", "from", "confirmed", "failed", "rolledBack", "devicesWithErrors"];
    Ok(object(json!({
        "title": format!("Emergency status: {id}"),
        "deployment": {
            "id": id, "firmware": held.plan.firmware, "model": held.plan.model, "status": held.status,
            "strategy": held.plan.spec.strategy, "devices": held.devices.len(), "open": open, "beganAt": time(began),
            "version": firmware.map(|f| &f.version), "manifest": held.plan.manifest,
            "createdBy": held.plan.created_by, "createdAt": held.created_at.to_string(), "planDigest": held.plan.plan,
            "why": firmware.map(|f| &f.release_notes),
        },
        "approvals": firmware.map(approvals).unwrap_or_default(), "perHospital": per_hospital(source, held),
        "duties": held.duties.iter().map(|d| duty(d, source.made_at)).collect::<Vec<_>>(), "waiting": source.waits(&key, held),
        "table": table(&columns, rows_of(&rows, &columns)), "days": rows,
    })))
}

#[cfg(test)]
mod tests {
    use mdfm_coordinator_core::rollout::duty::Fulfilment;

    use super::*;

    #[test]
    fn cli_30_a_duty_says_whether_it_is_overdue() {
        let at = UtcMillis;
        let of = |done: Option<u64>, now: u64| {
            let fulfilled = done.map(|ms| Fulfilment { by: "ada".into(), at: at(ms), reference: "FDA 1".into() });
            let owed = Duty { kind: DutyKind::FdaNotification, due_at: at(100), draft: String::new(), fulfilled };
            let row = duty(&owed, at(now));
            assert_eq!(row["what"], "Report to the FDA (21 CFR 806.10)");
            row["state"].as_str().expect("a state").to_owned()
        };
        assert_eq!(
            [of(None, 100), of(None, 101), of(Some(100), 500), of(Some(101), 500)],
            ["open", "overdue", "done", "done late"]
        );
    }
}
