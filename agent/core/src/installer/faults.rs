//! What a device reports of its faults: as a level (protocol version 2), or one event each (version 1), and what that does to a trial.

use mdfm_shared::device::{Fault, FaultCounts, FaultLevel, NumberedFault};
use mdfm_shared::telemetry::{EventKind, FAULTS_COUNTED, NOT_DESCRIBED, Severity};
use mdfm_shared::text::count;
use mdfm_shared::time::MonotonicMs;

use super::Now;
use super::state::{FaultsSeen, Phase};
use super::step::{Cause, Installer, Step};

/// Times that changed counters are taken at once outside of a trial,
const AT_ONCE: u32 = 60;
/// and the time after which they are taken once more: each time is a write to flash memory, and a hostile device counts without end.
/// Nothing is lost by waiting, the counters hold it.
const REFILL_MS: u64 = 6_000;
/// The detail of a confirmation without [`FAULTS_COUNTED`].
const FAULTS_BY_EVENT: &str = "faults are known by the device's events alone (device protocol version 1)";
/// The same of a device of version 2 whose counters are of another boot than the one that began the trial, or were missing meanwhile.
const TRIAL_NOT_COVERED: &str = "the device's fault counters do not cover the whole trial";

/// The severities, the worst first.
const SEVERITIES: [Severity; 3] = [Severity::Critical, Severity::Error, Severity::Warning];

/// A token bucket; volatile.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct FaultPace {
    left: u32,
    filled_to: MonotonicMs,
}

impl FaultPace {
    pub(super) fn new(now: MonotonicMs) -> Self {
        Self { left: AT_ONCE, filled_to: now }
    }

    fn take(&mut self, now: MonotonicMs) -> bool {
        let refills = now.since_ms(self.filled_to) / REFILL_MS;
        if refills > 0 {
            self.left = AT_ONCE.min(self.left.saturating_add(u32::try_from(refills).unwrap_or(u32::MAX)));
            self.filled_to = self.filled_to.plus_ms(refills * REFILL_MS);
        }
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has
    }
}

impl Installer {
    /// Processes a fault that came as an event.
    pub(super) fn take_fault(&mut self, now: Now, fault: &Fault, step: &mut Step) {
        step.events.push(event_of(fault));
        let mut counts = FaultCounts::default();
        counts.add(fault.severity);
        self.spend(now, counts, &format!("{} {}: {}", fault.severity, fault.code, fault.message), step);
    }

    /// Processes what the newest report's counters add to those that were processed before.
    pub(super) fn take_fault_level(&mut self, now: Now, step: &mut Step) {
        let Some((_, report)) = &self.report else { return };
        let Some(level) = report.fault_level().cloned() else {
            // What happens until the counters come back is not covered.
            if let Some(seen) = self.journal.faults_seen.as_mut().filter(|s| s.covers_trial) {
                seen.covers_trial = false;
                step.dirty = true;
            }
            return;
        };
        let known = self.journal.faults_seen.as_ref().filter(|s| s.boot == level.boot);
        if known.is_some_and(|s| s.counts == level.counts) {
            return;
        }
        let before = known.map_or(FaultCounts::default(), |s| s.counts);
        let covers_trial = known.is_some_and(|s| s.covers_trial);
        let Some(added) = level.counts.since(&before) else {
            self.report_lower_counters(now, step);
            return;
        };
        self.counters_fell = false;
        let on_trial = matches!(self.journal.phase, Phase::Probation { .. } | Phase::Activating { .. });
        let counts_in_trial = on_trial && (added.error > 0 || added.critical > 0);
        if !counts_in_trial && !self.fault_pace.take(now.mono) {
            return;
        }
        step.dirty = true;
        self.journal.faults_seen = Some(FaultsSeen { boot: level.boot.clone(), counts: level.counts, covers_trial });
        self.take_added(now, &level, added, before.total(), step);
    }

    /// The counters of one boot are lower than they were: an old report that came late, or a device that breaks the protocol. What was
    /// processed stays processed, and what the device counts below that cannot be known.
    fn report_lower_counters(&mut self, now: Now, step: &mut Step) {
        if let Some(seen) = self.journal.faults_seen.as_mut().filter(|s| s.covers_trial) {
            seen.covers_trial = false;
            step.dirty = true;
        }
        if std::mem::replace(&mut self.counters_fell, true) || !self.fault_pace.take(now.mono) {
            return;
        }
        let reason = "its fault counters are lower than before in the same boot; faults may be unknown".into();
        step.events.push(EventKind::Refused { what: "device".into(), reason });
    }

    /// Processes `added` faults, those with numbers above `last` one by one, the others by their count.
    fn take_added(&mut self, now: Now, level: &FaultLevel, added: FaultCounts, last: u64, step: &mut Step) {
        let described: Vec<&NumberedFault> = level.latest.iter().filter(|f| f.number > last).collect();
        let mut counts = FaultCounts::default();
        described.iter().for_each(|f| counts.add(f.fault.severity));
        for severity in SEVERITIES {
            let more = added.of(severity).saturating_sub(counts.of(severity));
            if more > 0 {
                let message = format!("{more} more faults of this severity not described; the device counted them");
                let fault = Fault { severity, code: NOT_DESCRIBED.into(), message };
                step.events.push(event_of(&fault));
                let mut spent = FaultCounts::default();
                match severity {
                    Severity::Warning => spent.warning = more,
                    Severity::Error => spent.error = more,
                    Severity::Critical => spent.critical = more,
                }
                self.spend(now, spent, &format!("{} not described, {severity}", count(more, "fault")), step);
            }
        }
        for NumberedFault { fault, .. } in described {
            self.take_fault(now, fault, step);
        }
    }

    /// Counts faults against the trial; too many of them end it.
    fn spend(&mut self, now: Now, spent: FaultCounts, what: &str, step: &mut Step) {
        let Some(budget) = self.journal.plan.as_ref().map(|p| p.health.error_budget) else { return };
        match &mut self.journal.phase {
            Phase::Probation { errors, .. } if spent.error > 0 || spent.critical > 0 => {
                let more = u32::try_from(spent.error).unwrap_or(u32::MAX);
                *errors = if spent.critical > 0 { u32::MAX } else { errors.saturating_add(more) };
                step.dirty = true;
                if *errors > budget {
                    let reason = format!("error budget of {budget} spent in probation by {what}");
                    self.go_back(now, Cause::Failure, reason, step);
                }
            }
            Phase::Activating { .. } if spent.critical > 0 => {
                self.go_back(now, Cause::Failure, format!("critical error while activating: {what}"), step);
            }
            _ => {}
        }
    }

    /// Begins a trial. Faults of this boot that were processed before count in it: the whole boot ran the new firmware.
    pub(super) fn begin_trial(&mut self, now: Now, detail: &str, step: &mut Step) {
        let since = self.stamp(now);
        self.enter(Phase::Probation { since, errors: 0 }, detail.into(), step);
        let level = self.report.as_ref().and_then(|(_, r)| r.fault_level());
        let boot = level.map(|l| l.boot.clone());
        let Some(boot) = boot else { return };
        let seen = self.journal.faults_seen.take().filter(|s| s.boot == boot);
        let counts = seen.map_or(FaultCounts::default(), |s| s.counts);
        self.journal.faults_seen = Some(FaultsSeen { boot, counts, covers_trial: true });
        self.spend(now, counts, "faults of this boot before the trial began", step);
    }

    /// How the faults of the firmware that runs are known, for the detail of a confirmation.
    pub(super) fn fault_proof(&self) -> &'static str {
        let level = self.report.as_ref().and_then(|(_, r)| r.fault_level());
        match (level, &self.journal.faults_seen) {
            (Some(level), Some(seen)) if seen.boot == level.boot && seen.covers_trial => FAULTS_COUNTED,
            (Some(_), _) => TRIAL_NOT_COVERED,
            (None, _) => FAULTS_BY_EVENT,
        }
    }
}

fn event_of(fault: &Fault) -> EventKind {
    EventKind::DeviceError { severity: fault.severity, code: fault.code.clone(), message: fault.message.clone() }
}
