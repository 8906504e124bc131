//! What the vendor owes an authority because of a deployment: due dates and drafts. Nothing is ever sent from here.

use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::{Change, Deployment, Status, Strategy};

const DAY_MS: u64 = 86_400_000;
/// Working days for a report of a correction or removal (21 CFR 806.10(b)).
const REPORT_WORKING_DAYS: u32 = 10;

/// What is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum DutyKind {
    /// An emergency deployment is a correction that must be reported (21 CFR 806.10).
    FdaNotification,
    /// A rollback may be a correction or removal: decide, and keep the reasons (21 CFR 806.20).
    CorrectionDecision,
    /// The status of an emergency deployment, 1 for the first.
    StatusReport { number: u32 },
}

/// One thing owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Duty {
    #[serde(flatten)]
    pub kind: DutyKind,
    pub due_at: UtcMillis,
    /// Facts for whoever writes the report.
    pub draft: String,
    pub fulfilled: Option<Fulfilment>,
}

/// That it was done, by whom and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fulfilment {
    pub by: String,
    pub at: UtcMillis,
    /// Where it can be found, for example the report's number.
    pub reference: String,
}

/// The time `days` working days after `from`: Saturdays and Sundays do not count, holidays do.
pub fn working_days_after(from: UtcMillis, days: u32) -> UtcMillis {
    let mut at = from;
    let mut left = days;
    while left > 0 {
        at = at.plus_ms(DAY_MS);
        // 1 January 1970 was a Thursday: 0 for Monday.
        let weekday = (at.0 / DAY_MS + 3) % 7;
        left -= u32::from(weekday < 5);
    }
    at
}

/// The deployment's figures in one sentence.
pub fn figures(deployment: &Deployment) -> String {
    format!(
        "{} in opened phases: {} confirmed, {} failed or returned, {} silent, {} in flight, {} need manual intervention{}",
        count(deployment.sum(|t| t.devices), "device"),
        deployment.sum(|t| t.confirmed),
        deployment.sum(|t| t.failed + t.contained_failed),
        deployment.sum(|t| t.silent),
        deployment.sum(|t| t.in_flight),
        deployment.sum(|t| t.alarms),
        match deployment.contained.len() {
            0 => String::new(),
            n => format!(", {} went back with {}", deployment.sum(|t| t.contained), count(n as u64, "hospital")),
        }
    )
}

/// The next duty that arises, if one does.
pub(super) fn next(deployment: &Deployment, now: UtcMillis) -> Option<(&'static str, Change, String)> {
    let opened = |kind: DutyKind, due_at: UtcMillis, draft: String| {
        let reason = format!("{draft}; due by {due_at}");
        let duty = Duty { kind, due_at, draft, fulfilled: None };
        Some(("deployment.duty", Change::DutyOpened { duty }, reason))
    };
    let has = |kind: &DutyKind| deployment.duties.iter().any(|d| d.kind == *kind);
    let begun = deployment.sum(|t| t.begun) > 0;
    let spec = &deployment.plan.spec;
    if spec.fda_notification && deployment.is_open(0) && !has(&DutyKind::FdaNotification) {
        let draft = format!("{} deployment of {}: report to the FDA", spec.strategy.name(), deployment.plan.firmware);
        return opened(DutyKind::FdaNotification, working_days_after(now, REPORT_WORKING_DAYS), draft);
    }
    // One decision for each hospital that went back, and one for the whole deployment.
    let decided = deployment.duties.iter().filter(|d| d.kind == DutyKind::CorrectionDecision).count();
    let mut contained: Vec<_> = deployment.contained.iter().collect();
    contained.sort_by_key(|(_, found)| found.at);
    let called_back = match (&deployment.status, contained.get(decided)) {
        (_, Some((hospital, found))) => Some(format!("rolled back in {hospital} ({})", found.fault)),
        (Status::RollingBack { reason }, None) if decided == deployment.contained.len() => {
            Some(format!("rolled back ({reason})"))
        }
        _ => None,
    };
    if let Some(called_back) = called_back.filter(|_| begun) {
        let draft = format!("{} is {called_back}: decide whether that is reportable", deployment.plan.firmware);
        return opened(DutyKind::CorrectionDecision, working_days_after(now, REPORT_WORKING_DAYS), draft);
    }
    let reports = spec.status_reports.filter(|_| spec.strategy == Strategy::Emergency)?;
    let made = deployment.duties.iter().filter(|d| matches!(d.kind, DutyKind::StatusReport { .. })).count();
    let number = u32::try_from(made).unwrap_or(u32::MAX).saturating_add(1);
    let at = deployment.created_at.plus_ms(u64::from(number).saturating_mul(reports.interval_ms));
    if number > reports.count || now < at {
        return None;
    }
    let draft = format!("status report {number} of {}: {}", reports.count, figures(deployment));
    opened(DutyKind::StatusReport { number }, at.plus_ms(reports.interval_ms), draft)
}

/// When the next status report is owed.
pub(super) fn deadline(deployment: &Deployment) -> Option<UtcMillis> {
    let reports = deployment.plan.spec.status_reports?;
    let made = deployment.duties.iter().filter(|d| matches!(d.kind, DutyKind::StatusReport { .. })).count() as u64;
    (made < u64::from(reports.count))
        .then(|| deployment.created_at.plus_ms((made + 1).saturating_mul(reports.interval_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fda_806_ten_working_days_pass_over_weekends() {
        // Friday, 20 November 2026.
        let friday = UtcMillis(1_795_132_800_000);
        assert_eq!(friday.to_string(), "2026-11-20T00:00:00.000Z");
        assert_eq!(working_days_after(friday, 1).to_string(), "2026-11-23T00:00:00.000Z");
        assert_eq!(working_days_after(friday, 10).to_string(), "2026-12-04T00:00:00.000Z");
        assert_eq!(working_days_after(friday, 0), friday);
    }
}
