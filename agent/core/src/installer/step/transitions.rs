//! The transitions. Level-triggered: each looks at the phase, the newest desired state and the newest report, never at which message
//! came last, so lost, repeated and late messages end in the same place.

use mdfm_shared::device::Order;
use mdfm_shared::telemetry::ROLLBACK_ORDERED;
use mdfm_shared::text::duration;

use super::super::DesiredState::{Hold, Install, Nothing, Rollback};
use super::super::state::{Phase, Plan, Stamp, UNASKED};
use super::super::{Effect, Now};
use super::{Cause, Installer, ROLLBACK_LIMIT_MS, Step, UNKNOWN_FALLBACK, activation_end, boot_ms_max, fetch};

impl Installer {
    /// One transition, if one is due.
    pub(super) fn advance(&mut self, now: Now, step: &mut Step) -> bool {
        match self.journal.phase.clone() {
            Phase::Idle | Phase::Failed | Phase::RolledBack => {
                self.adopt_other(now, step)
                    || self.leave_stray_trial(now, step)
                    || self.is_recalled(step)
                    || self.answer_for_unknown(now, step)
                    || self.consider(now, step)
            }
            Phase::Confirmed => {
                self.adopt_other(now, step)
                    || self.consider_leaving(now, step)
                    || self.answer_for_unknown(now, step)
                    || self.consider(now, step)
            }
            Phase::Fetching => self.is_not_as_planned(now, step) || self.cancelled(step) || self.fetched(step),
            Phase::Staging => self.is_not_as_planned(now, step) || self.cancelled(step) || self.staged(step),
            Phase::Staged => self.is_not_as_planned(now, step) || self.cancelled(step) || self.activate(now, step),
            Phase::Activating { since, boots_before } => self.activated(now, since, boots_before, step),
            Phase::Probation { since, .. } => self.judge(now, since, step),
            Phase::RollingBack { since } => self.returned(now, since, step),
            Phase::RollbackFailed => {
                if self.alarm_for_next(step) {
                    return true;
                }
                let plan = self.journal.plan.clone();
                let overtaken = plan.and_then(|plan| self.is_overtaken(now, &plan, step));
                overtaken.unwrap_or_else(|| self.returned_late(step) || self.keep_ordering_back(now, step))
            }
        }
    }

    /// Settled, and yet the device runs the release on trial: an order that was given up reached it after all. It goes back.
    fn leave_stray_trial(&mut self, now: Now, step: &mut Step) -> bool {
        let (Some(plan), Some((_, report))) = (&self.journal.plan, &self.report) else { return false };
        let stray = !report.confirmed && !report.in_use && report.running.sha256 != plan.fallback.sha256;
        let stray = stray && !self.strays.must_wait(now.mono);
        if stray {
            self.strays.count(now.mono);
            let version = report.running.version.clone();
            self.go_back(
                now,
                Cause::Order,
                format!("the device runs {version} on trial, which the directive does not ask for any more"),
                step,
            );
        }
        stray
    }

    /// A later release ended after the slot was written, and the coordinator calls the confirmed one back: that is answered.
    fn is_recalled(&mut self, step: &mut Step) -> bool {
        let (Some(kept), Some((_, report))) = (&self.journal.kept, &self.report) else { return false };
        let runs_it = report.confirmed && report.running.sha256 == kept.plan.image.firmware.sha256;
        if !runs_it || !self.is_called_back(&kept.plan) {
            return false;
        }
        let reason = self.journal.detail.clone();
        self.journal.return_to_kept(&reason);
        step.dirty = true;
        true
    }

    /// Preparing, and yet the device runs the release: it is watched as if it had just been told to. One that runs something else
    /// on trial goes back first.
    pub(in crate::installer) fn runs_already(&mut self, now: Now, step: &mut Step) -> bool {
        let (Some(plan), Some((_, report))) = (&self.journal.plan, &self.report) else { return false };
        if report.running.sha256 != plan.image.firmware.sha256 {
            return self.leave_stray_trial(now, step);
        }
        step.effects.push(Effect::StopStaging);
        self.begin_trial(now, "the device runs the release already", step);
        true
    }

    /// Begins to bring the plan's image to the device.
    pub(in crate::installer) fn collect(&mut self, detail: &str, step: &mut Step) {
        let Some(plan) = self.journal.plan.clone() else { return };
        if plan.image.streams {
            self.enter(Phase::Staging, format!("{detail}, straight into the inactive slot"), step);
            step.effects.push(Effect::StageImage(plan.image));
        } else {
            self.enter(Phase::Fetching, detail.into(), step);
            step.effects.push(fetch(&plan));
        }
    }

    /// Whether the release being prepared is not asked for any more; the device stays as it is then.
    fn cancelled(&mut self, step: &mut Step) -> bool {
        let Some(plan) = &self.journal.plan else { return false };
        if let Some(Install(target) | Hold(target)) = &self.desired
            && let Some(reason) = target.withdrawn.as_ref().filter(|_| target.digest == plan.manifest)
        {
            let detail = format!("withdrawn before activation: {reason}");
            step.effects.push(Effect::StopStaging);
            self.enter(Phase::Failed, detail, step);
            self.mark_unseen(step);
            return true;
        }
        let reason = match &self.desired {
            // Before the first directive after a start nothing is known: go on preparing, which touches nothing that runs.
            None => return false,
            Some(Install(target) | Hold(target)) if target.digest == plan.manifest => {
                if target.deployment == plan.deployment || self.report.is_none() {
                    return false;
                }
                // Another deployment of the same release: this one ends here, and the other one begins under its own name.
                UNASKED
            }
            Some(Install(_) | Hold(_) | Rollback { .. }) => "cancelled before activation",
            // The journal may be older than the order that ended this, or another deployment has the device and has not come to it
            // yet. A device that was not seen since the start may be further than the journal.
            Some(Nothing) if self.report.is_none() => return false,
            Some(Nothing) => UNASKED,
        };
        step.effects.push(Effect::StopStaging);
        self.enter(Phase::Idle, reason.into(), step);
        self.mark_unseen(step);
        true
    }

    fn fetched(&mut self, step: &mut Step) -> bool {
        let Some(plan) = self.journal.plan.clone() else { return false };
        // A device that was not seen since the start may be further than the journal; that it is prepared would hide a trial.
        if self.image_ready != Some(plan.image.firmware.sha256) || self.report.is_none() {
            return false;
        }
        self.image_ready = None;
        self.enter(Phase::Staging, "image verified, writing the inactive slot".into(), step);
        step.effects.push(Effect::StageImage(plan.image));
        true
    }

    fn staged(&mut self, step: &mut Step) -> bool {
        let (Some(plan), Some((_, report))) = (self.journal.plan.clone(), &self.report) else { return false };
        let complete = report.staged.as_ref().is_some_and(|s| s.complete && s.sha256 == plan.image.firmware.sha256);
        if complete {
            self.enter(Phase::Staged, "slot written and verified".into(), step);
            return true;
        }
        // After a restart the cache answers again with ImageReady: take up staging then.
        if self.image_ready == Some(plan.image.firmware.sha256) {
            self.image_ready = None;
            step.effects.push(Effect::StageImage(plan.image));
        }
        false
    }

    fn activate(&mut self, now: Now, step: &mut Step) -> bool {
        let (Some(plan), Some((_, report))) = (self.journal.plan.clone(), self.report.clone()) else { return false };
        let holds = report.staged.as_ref().is_some_and(|s| s.complete && s.sha256 == plan.image.firmware.sha256);
        if !holds {
            if !self.contradicts_itself(now, step) {
                self.collect("the slot lost the image, writing it again", step);
            }
            return true;
        }
        let Some(Install(target)) = &self.desired else { return false };
        let manifest = &target.manifest;
        if manifest.model != report.model || !manifest.hardware_revisions.contains(&report.hardware) {
            let (model, hardware) = (&report.model, &report.hardware);
            let reason = format!(
                "not activated: the device is now a {model} with hardware {hardware}, which the release is not for"
            );
            self.enter(Phase::Failed, reason, step);
            return true;
        }
        // What cannot end before the window closes is not begun: the boot, at its slowest, and the whole probation.
        let may_begin = target.may_begin(now.utc, self.activation_ms());
        if !may_begin || report.in_use || !self.is_attached(now.mono) || self.journal.held.is_some() {
            return false;
        }
        let phase = Phase::Activating { since: self.stamp(now), boots_before: report.boot_count };
        self.enter(phase, "device free and directive fresh: booting the new slot on trial".into(), step);
        self.order(now, Order::Activate { sha256: plan.image.firmware.sha256 }, step);
        true
    }

    fn activated(&mut self, now: Now, since: Stamp, boots_before: u64, step: &mut Step) -> bool {
        let Some(plan) = self.journal.plan.clone() else { return false };
        if let Some(is_moved) = self.is_overtaken(now, &plan, step) {
            return is_moved;
        }
        if self.is_called_back(&plan) {
            self.go_back(now, Cause::Order, ROLLBACK_ORDERED.into(), step);
            return true;
        }
        let report = self.report.as_ref().map(|(_, r)| r.clone());
        if let Some(report) = report.as_ref().filter(|r| r.running.sha256 == plan.image.firmware.sha256) {
            if report.secure_boot {
                self.begin_trial(now, "new firmware booted, on trial", step);
            } else {
                let reason = "the boot loader no longer vouches for what it started (secure-boot flag lost)";
                self.go_back(now, Cause::Failure, reason.into(), step);
            }
            return true;
        }
        if let Some(report) = report.as_ref().filter(|r| r.running.sha256 != plan.fallback.sha256) {
            let (expected, found) = (plan.image.firmware.sha256, report.running.sha256);
            self.go_back(
                now,
                Cause::Failure,
                format!("wrong image digest: expected {expected}, running {found}"),
                step,
            );
            return true;
        }
        if let Some(report) = self.answer().cloned() {
            if let Some(refusal) = &report.last_refusal {
                if refusal.code == "inUse" {
                    if self.contradicts_itself(now, step) {
                        return true;
                    }
                    self.enter(Phase::Staged, "not booted: the device is in use".into(), step);
                } else {
                    let (message, code) = (&refusal.message, &refusal.code);
                    let reason = format!("the device refused to boot the new slot: {message} ({code})");
                    self.enter(Phase::Failed, reason, step);
                    self.count_failure(step);
                }
                return true;
            }
            if report.boot_count > boots_before {
                self.go_back(
                    now,
                    Cause::Failure,
                    "the new firmware did not boot; the boot loader fell back".into(),
                    step,
                );
                if report.confirmed {
                    self.came_back(plan, step);
                }
                return true;
            }
        }
        let left_ms = plan.health.silence_limit_ms.saturating_add(plan.health.probation_ms);
        let is_desired = self.journal.held.is_none()
            && matches!(&self.desired, Some(Install(t)) if t.digest == plan.manifest && t.may_begin(now.utc, left_ms));
        self.boot_is_desired = is_desired;
        if report.as_ref().is_some_and(|r| r.in_use || !is_desired) && self.is_attached(now.mono) {
            // It has not booted, and now it must not: the order is not repeated. While it may still be on its way the
            // installation stays here; the time runs only while the boot is asked for.
            let lost = self.ordered.as_ref().is_none_or(|o| now.mono.since_ms(o.at) >= boot_ms_max(&plan));
            // After a start the coordinator's word is waited for here.
            if !is_desired && lost && self.target().is_none_or(|target| target.is_confirmed) {
                self.enter(Phase::Staged, "not booted, and it may not be activated at present".into(), step);
                return true;
            }
            self.journal.phase = Phase::Activating { since: self.stamp(now), boots_before };
            return false;
        }
        let limit = plan.health.silence_limit_ms;
        if now.mono.since_ms(self.last_sign(since.at)) >= limit || now.mono >= activation_end(since, &plan) {
            let what = format!("no report of the new boot within {}", duration(limit));
            self.go_back_unseen(now, what, step);
            return true;
        }
        if let Some(report) = report.filter(|r| is_desired && !r.in_use) {
            if self.ordered.is_none() && report.boot_count != boots_before {
                // After a restart a new order is given; only boots after it tell of it.
                self.journal.phase = Phase::Activating { since, boots_before: report.boot_count };
                step.dirty = true;
            }
            self.order(now, Order::Activate { sha256: plan.image.firmware.sha256 }, step);
        }
        false
    }

    fn judge(&mut self, now: Now, since: Stamp, step: &mut Step) -> bool {
        let Some(plan) = self.journal.plan.clone() else { return false };
        if let Some(is_moved) = self.is_overtaken(now, &plan, step) {
            return is_moved;
        }
        if self.is_called_back(&plan) {
            self.go_back(now, Cause::Order, ROLLBACK_ORDERED.into(), step);
            return true;
        }
        let limit = plan.health.silence_limit_ms;
        if now.mono.since_ms(self.last_sign(since.at)) >= limit {
            self.go_back_unseen(now, format!("silent for {} in probation", duration(limit)), step);
            return true;
        }
        let Some((_, report)) = self.report.clone() else { return false };
        if plan.knows_fallback() && report.running.sha256 == plan.fallback.sha256 {
            if self.may_be_set_back(now) {
                return false;
            }
            self.go_back_unseen(now, "the device fell back on its own in probation".into(), step);
            return true;
        }
        if report.running.sha256 != plan.image.firmware.sha256 {
            let (expected, found) = (plan.image.firmware.sha256, report.running.sha256);
            self.go_back(
                now,
                Cause::Failure,
                format!("wrong image digest: expected {expected}, running {found}"),
                step,
            );
            return true;
        }
        // It is on trial, as the journal says.
        self.is_from_disk &= report.confirmed;
        if !report.secure_boot {
            self.go_back(now, Cause::Failure, "secure-boot flag lost in probation".into(), step);
            return true;
        }
        if now.mono.since_ms(since.at) < plan.health.probation_ms {
            return false;
        }
        if report.confirmed {
            self.journal.confirmed = Some(plan.image.firmware);
            self.journal.confirmed_at = Some(now.utc);
            self.journal.failures = 0;
            let trial = duration(plan.health.probation_ms);
            let detail = format!("healthy for {trial}, made permanent; {}", self.fault_proof());
            self.enter(Phase::Confirmed, detail, step);
            return true;
        }
        self.order(now, Order::Confirm { sha256: plan.image.firmware.sha256 }, step);
        false
    }

    fn returned(&mut self, now: Now, since: Stamp, step: &mut Step) -> bool {
        if let Some(is_moved) = self.journal.plan.clone().and_then(|plan| self.is_overtaken(now, &plan, step)) {
            return is_moved;
        }
        if self.returned_late(step) {
            return true;
        }
        if self.is_in_use() && self.is_attached(now.mono) {
            // The clock of the alarm runs only while something can be done.
            self.journal.phase = Phase::RollingBack { since: self.stamp(now) };
            return false;
        }
        if self.journal.plan.as_ref().is_some_and(|p| !p.knows_fallback()) {
            self.enter(Phase::RollbackFailed, UNKNOWN_FALLBACK.into(), step);
            return true;
        }
        if now.mono.since_ms(since.at) >= ROLLBACK_LIMIT_MS {
            let limit = duration(ROLLBACK_LIMIT_MS);
            let detail = format!("not shown to run the last good firmware after {limit}: needs manual intervention");
            self.enter(Phase::RollbackFailed, detail, step);
            return true;
        }
        self.keep_ordering_back(now, step)
    }

    fn keep_ordering_back(&mut self, now: Now, step: &mut Step) -> bool {
        if let Some(plan) = self.journal.plan.clone().filter(Plan::knows_fallback)
            && !self.is_in_use()
        {
            self.order(now, Order::Rollback { sha256: plan.fallback.sha256 }, step);
        }
        false
    }

    /// The device answers the order to go back, and runs the last good firmware permanently: back.
    fn returned_late(&mut self, step: &mut Step) -> bool {
        let Some(plan) = self.journal.plan.clone() else { return false };
        if !plan.knows_fallback() {
            return self.settled_without_order(plan, step);
        }
        let Some(report) = self.answer() else { return false };
        // It refused to go there and runs something else permanently: the journal was older than the device.
        let is_elsewhere = self.journal.phase == Phase::RollbackFailed
            && report.confirmed
            && report.last_refusal.is_some()
            && ![plan.fallback.sha256, plan.image.firmware.sha256].contains(&report.running.sha256);
        if is_elsewhere {
            return self.settled_without_order(plan, step);
        }
        if report.running.sha256 != plan.fallback.sha256 || !report.confirmed {
            return false;
        }
        self.came_back(plan, step);
        true
    }
}
