//! A journal that may be older than its device: the gateway's disk was restored, or the device was changed while another machine was the
//! gateway, exchanged or flashed by hand. What the device runs permanently is the truth; the journal follows it.

use mdfm_shared::device::Report;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeploymentId;
use mdfm_shared::manifest::HealthPolicy;
use mdfm_shared::telemetry::{EventKind, FirmwareReport, InstallState, OVERTAKEN, ROLLBACK_ORDERED, SET_BACK, UNSEEN};
use mdfm_shared::time::MonotonicMs;

use super::state::{Phase, Plan, RefusedRelease, SETTLED};
use super::step::{Cause, Installer, Step, UNKNOWN_FALLBACK};
use super::{DesiredState, Effect, Image, Now, Target};

/// Time between two adoptions of firmware that somebody else installed: each is an event, and a hostile device could go on for ever.
const ADOPTION_PAUSE_MS: u64 = 10 * 60_000;

/// What was answered for a deployment of which nothing stands here.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Answered {
    at: MonotonicMs,
    deployment: DeploymentId,
    running: Digest,
}

impl Installer {
    /// Preparing, and yet the device does not run what it did when that began.
    pub(super) fn is_not_as_planned(&mut self, now: Now, step: &mut Step) -> bool {
        self.runs_already(now, step) || self.adopt_other(now, step)
    }

    /// Nothing is on trial, and yet the device runs other firmware, permanently, than was last confirmed: it was exchanged, or flashed
    /// by hand. That is now what it returns to. It keeps what somebody gave it until another deployment asks for something else.
    pub(super) fn adopt_other(&mut self, now: Now, step: &mut Step) -> bool {
        let (Some(confirmed), Some((_, report))) = (&self.journal.confirmed, self.report.clone()) else { return false };
        let is_paused = self.adopted_at.is_some_and(|at| now.mono.since_ms(at) < ADOPTION_PAUSE_MS);
        if !report.confirmed || report.running.sha256 == confirmed.sha256 || is_paused {
            return false;
        }
        let detail = format!(
            "the device runs {} in place of {}, which was not installed from here: it was exchanged or flashed by hand",
            report.running.version, confirmed.version
        );
        if self.is_preparing() {
            step.effects.push(Effect::StopStaging);
        }
        self.adopted_at = Some(now.mono);
        self.journal.confirmed = Some(report.running.clone());
        self.journal.fallback_manifest = None;
        // A plan that was refused names what the device ran; that must not be taken for the release later.
        let was_refused =
            self.journal.phase == Phase::Failed && self.journal.plan.as_ref().is_some_and(|p| !p.knows_fallback());
        if was_refused && let Some(Plan { manifest, deployment, .. }) = self.journal.plan.take() {
            let reason = self.journal.detail.clone();
            self.journal.refused = Some(RefusedRelease { manifest, deployment, reason });
        } else if let Some(plan) = &mut self.journal.plan {
            plan.fallback = report.running.clone();
        }
        // It does not run what was confirmed before, either, and that deployment must not bring it again over what somebody gave it.
        if let Some(kept) = self.journal.kept.take() {
            let Plan { manifest, deployment, .. } = kept.plan;
            step.events.push(EventKind::StateChanged {
                state: InstallState::Idle,
                manifest,
                deployment: deployment.clone(),
                running: None,
                detail: detail.clone(),
            });
            self.journal.refused.get_or_insert(RefusedRelease { manifest, deployment, reason: detail.clone() });
        }
        step.dirty = true;
        let is_release = |p: &Plan| p.image.firmware.sha256 == report.running.sha256;
        let failed_here = |p: &Plan| self.journal.rolled_back.contains(&p.manifest);
        if self.journal.plan.as_ref().is_some_and(|p| is_release(p) && !failed_here(p)) {
            // The device that it was installed on is back. Nothing else is known of its other slot.
            self.enter(Phase::Confirmed, detail, step);
        } else if self.journal.phase == Phase::Idle {
            self.journal.detail = detail;
        } else {
            self.enter(Phase::Idle, detail, step);
        }
        let Report { model, hardware, running: firmware, .. } = report;
        step.events.push(EventKind::DeviceAdopted { model, hardware, firmware });
        true
    }

    /// Brings the journal to what the device runs. A device on trial is left to the phases, which end every trial.
    pub(super) fn take_set_back(&mut self, now: Now, step: &mut Step) {
        let Some(report) = self.newest_report().filter(|report| report.confirmed) else { return };
        let running = report.running;
        if self.journal.confirmed.as_ref().is_some_and(|held| held.sha256 == running.sha256) {
            // The journal knows what the device runs: it is not older.
            return;
        }
        let Some(plan) = self.journal_mut().plan.clone() else {
            let journal = self.journal_mut();
            if journal.confirmed.as_ref().is_none_or(|held| held.sha256 != running.sha256) {
                journal.confirmed = Some(running);
                step.dirty = true;
            }
            return;
        };
        let (new, old) = (plan.image.firmware.sha256, plan.fallback.sha256);
        if new == old {
            // Nothing was installed in this plan; both are what the device ran then.
            if running.sha256 != new {
                self.forget_plan(running, step);
            }
        } else if running.sha256 == new {
            let journal = self.journal_mut();
            // No later life of this gateway confirmed what failed on this device, and an alarm ends by a rollback alone.
            let is_settled = matches!(journal.phase, Phase::Idle | Phase::Failed | Phase::RolledBack);
            if is_settled && !journal.rolled_back.contains(&plan.manifest) {
                journal.confirmed = Some(plan.image.firmware);
                journal.confirmed_at = Some(now.utc);
                self.enter(
                    Phase::Confirmed,
                    "the device runs this release: the gateway's state was older".into(),
                    step,
                );
            }
        } else if running.sha256 == old {
            if self.journal_mut().phase == Phase::Confirmed {
                self.journal_mut().confirmed = Some(plan.fallback);
                let detail = "the device runs the firmware before: the gateway's state was older";
                self.enter(Phase::RolledBack, detail.into(), step);
            }
        } else {
            self.forget_plan(running, step);
        }
    }

    /// Nothing is known of an installation, and yet the device runs on trial the release that is asked for: the gateway's state is older
    /// than the boot. It is watched as if it had just been given the order.
    pub(super) fn watch_forgotten_trial(
        &mut self,
        now: Now,
        target: &Target,
        report: &Report,
        step: &mut Step,
    ) -> bool {
        let is_barred = target.withdrawn.is_some() || self.journal.rolled_back.contains(&target.digest);
        let is_for_it = target.manifest.model == report.model
            && target.manifest.hardware_revisions.contains(&report.hardware)
            && target.manifest.sha256 == report.running.sha256;
        let is_downgrade = target.manifest.security_version < self.journal.security_floor;
        let is_new = match &self.journal.plan {
            Some(plan) => self.journal.phase == Phase::Confirmed && plan.manifest != target.digest,
            None => true,
        };
        if !is_new || !is_for_it {
            return false;
        }
        if is_barred || is_downgrade {
            return self.leave_forgotten_trial(now, target, report, step);
        }
        // A machine that took the gateway's place has confirmed nothing yet.
        let confirmed = self.journal.confirmed.clone().unwrap_or_else(|| report.running.clone());
        let firmware = FirmwareReport {
            version: target.manifest.version.clone(),
            release_number: target.manifest.release_number,
            security_version: target.manifest.security_version,
            sha256: target.manifest.sha256,
        };
        self.set_plan(target, firmware, confirmed);
        self.begin_trial(now, "the device runs the release on trial: the gateway's state was older", step);
        true
    }

    /// The device runs on trial a release that may not be installed on it, and this gateway did not order that: it goes back to what
    /// was confirmed.
    fn leave_forgotten_trial(&mut self, now: Now, target: &Target, report: &Report, step: &mut Step) -> bool {
        let Some(fallback) = self.journal.confirmed.clone() else { return false };
        if fallback.sha256 == report.running.sha256 || report.in_use || self.strays.must_wait(now.mono) {
            return false;
        }
        self.strays.count(now.mono);
        self.set_unknown_plan(target.digest, target.deployment.clone(), report.running.clone(), fallback);
        self.go_back(now, Cause::Order, "the device runs on trial what may not be installed on it".into(), step);
        true
    }

    /// A deployment is called back of which nothing stands here: the gateway's state is older, or another machine was the gateway. What the
    /// device runs is the answer, once for each firmware that it runs.
    pub(super) fn answer_for_unknown(&mut self, now: Now, step: &mut Step) -> bool {
        let (Some(DesiredState::Rollback { manifest, deployment, .. }), Some(report)) =
            (self.desired.clone(), self.newest_report())
        else {
            return false;
        };
        if self.knows(manifest) {
            return false;
        }
        let journal = &self.journal;
        if !report.confirmed {
            return match journal.confirmed.clone() {
                // Nothing is known that the device could be ordered to return to.
                None => journal.plan.is_none() && self.alarm_for_unknown_trial(report, manifest, deployment, step),
                Some(fallback) if fallback.sha256 != report.running.sha256 => {
                    self.set_unknown_plan(manifest, deployment, report.running, fallback);
                    self.go_back(now, Cause::Order, ROLLBACK_ORDERED.into(), step);
                    true
                }
                Some(_) => false,
            };
        }
        let answer = Answered { at: now.mono, deployment, running: report.running.sha256 };
        let is_given = |a: &Answered| {
            a.deployment == answer.deployment
                && (a.running == answer.running || now.mono.since_ms(a.at) < ADOPTION_PAUSE_MS)
        };
        if self.answered.as_ref().is_some_and(is_given) {
            return false;
        }
        step.events.push(EventKind::StateChanged {
            state: InstallState::Idle,
            manifest,
            deployment: answer.deployment.clone(),
            running: Some(report.running),
            detail: "nothing of this deployment stands at the gateway".into(),
        });
        self.answered = Some(answer);
        false
    }

    /// The report of a device that is asked for a deployment and has not been seen since this gateway's state began or was put back;
    /// `None` if the journal says that it booted the release, or why not.
    pub(crate) fn unseen(&self) -> Option<EventKind> {
        let (manifest, deployment) = self.asked_for()?;
        let is_plan = self.journal().plan.as_ref().is_some_and(|plan| plan.manifest == manifest);
        let is_kept = self.journal().kept.as_ref().is_some_and(|kept| kept.plan.manifest == manifest);
        if is_kept || (is_plan && self.has_booted()) {
            return None;
        }
        Some(EventKind::StateChanged {
            state: InstallState::Idle,
            manifest,
            deployment: deployment.clone(),
            running: None,
            detail: UNSEEN.into(),
        })
    }

    /// The gateway's state was put back to an older one. What was answered before that was known may count as older than the log, and is
    /// answered again.
    pub(crate) fn note_set_back(&mut self) {
        self.is_set_back = true;
        self.answered = None;
    }

    /// Whether the phase may be older than the device, and it is too early to know that it is not.
    pub(super) fn may_be_set_back(&self, now: Now) -> bool {
        self.is_from_disk && !self.is_set_back && !self.is_oriented(now)
    }

    /// Goes back from a trial that this process has not seen. Where the gateway's state was put back, the device may have ended the trial long
    /// ago, well or by order: that says nothing about the release.
    pub(super) fn go_back_unseen(&mut self, now: Now, what: String, step: &mut Step) {
        if self.is_from_disk && self.is_set_back {
            self.go_back(now, Cause::Order, format!("{what}; {SET_BACK}"), step);
        } else {
            self.go_back(now, Cause::Failure, what, step);
        }
    }

    /// Whether, by the journal, the device has the order to boot the plan's release, or has had it.
    pub(crate) fn has_booted(&self) -> bool {
        self.journal().state().has_run() || matches!(self.journal().phase, Phase::Activating { .. })
    }

    /// An installation ended before its device was seen: it may be further than the journal. The journal's own detail stays, so that the
    /// report after the device is seen settles it.
    pub(super) fn mark_unseen(&self, step: &mut Step) {
        if self.report.is_none()
            && let Some(EventKind::StateChanged { detail, .. }) = step.events.last_mut()
        {
            *detail = format!("{UNSEEN}; {detail}");
        }
    }

    /// Whether the newest report shows neither the plan's release nor the firmware before it.
    pub(super) fn shows_unknown(&self, plan: &Plan) -> bool {
        let known = [plan.image.firmware.sha256, plan.fallback.sha256];
        plan.knows_fallback() && self.report.as_ref().is_some_and(|(_, report)| !known.contains(&report.running.sha256))
    }

    /// An order to boot stands, or a trial, and the device runs other firmware than the plan knows. What it runs permanently, or what
    /// the directive asks for, came after the plan: the journal follows it and no order of the plan is given any more. `None` if the plan
    /// goes on; else whether something changed. After a start no device is sent back before it was seen, and other firmware on trial
    /// may be what a directive asks for that has not come yet.
    pub(super) fn is_overtaken(&mut self, now: Now, plan: &Plan, step: &mut Step) -> Option<bool> {
        self.is_taken_up &= !self.is_oriented(now);
        if !self.shows_unknown(plan) {
            return self.waits_for_report(plan).then_some(false);
        }
        let report = self.newest_report()?;
        let is_left = matches!(self.journal().phase, Phase::RollingBack { .. } | Phase::RollbackFailed);
        if report.confirmed && is_left && !self.is_taken_up {
            // It left the release as ordered, to other firmware than was known here.
            return Some(self.settled_without_order(plan.clone(), step));
        }
        if report.confirmed {
            step.events.push(EventKind::DeviceAdopted {
                model: report.model,
                hardware: report.hardware,
                firmware: report.running.clone(),
            });
            self.forget_plan(report.running, step);
            return Some(true);
        }
        let target = self.target().filter(|target| target.digest != plan.manifest);
        if target.is_some_and(|target| target.manifest.sha256 == report.running.sha256) {
            // What it ran before the trial: the plan's release, unless the journal knows that this was left here.
            let before = if is_left { plan.fallback.clone() } else { plan.image.firmware.clone() };
            self.forget_plan(before, step);
            return Some(true);
        }
        if self.is_taken_up
            && self.asked_for().is_some_and(|(manifest, _)| manifest != plan.manifest)
            && target.is_none()
        {
            // Another release is called back. An order to return to what is not there is refused; one to the plan's release might
            // install it.
            self.forget_plan(plan.fallback.clone(), step);
            return Some(true);
        }
        self.is_taken_up.then_some(false)
    }

    /// Whether the device would be sent back by a journal that may be older than the device, before its first report.
    fn waits_for_report(&self, plan: &Plan) -> bool {
        let is_left = matches!(self.journal().phase, Phase::RollingBack { .. } | Phase::RollbackFailed);
        self.is_taken_up && self.report.is_none() && (is_left || self.is_called_back(plan))
    }

    /// Whether nothing is ordered until the device, or a directive, has had the time to come.
    pub(super) fn waits_after_start(&self, plan: &Plan) -> bool {
        let state = self.journal().state();
        let is_under_way = self.has_booted() && !matches!(state, InstallState::Confirmed | InstallState::RolledBack);
        is_under_way && (self.waits_for_report(plan) || (self.is_taken_up && self.shows_unknown(plan)))
    }

    /// The release that the directive is about, and its deployment.
    fn asked_for(&self) -> Option<(Digest, &DeploymentId)> {
        Some(match self.desired.as_ref()? {
            DesiredState::Install(target) | DesiredState::Hold(target) => (target.digest, &target.deployment),
            DesiredState::Rollback { manifest, deployment, .. } => (*manifest, deployment),
            DesiredState::Nothing => return None,
        })
    }

    /// Whether something stands here of a release: it was begun, confirmed before what is prepared now, or refused.
    fn knows(&self, manifest: Digest) -> bool {
        let journal = &self.journal;
        let plans = journal.plan.iter().chain(journal.kept.iter().map(|kept| &kept.plan));
        plans.map(|p| p.manifest).chain(journal.refused.iter().map(|r| r.manifest)).any(|held| held == manifest)
    }

    /// The device runs something on trial that this gateway did not begin, and that is called back.
    fn alarm_for_unknown_trial(
        &mut self,
        report: Report,
        manifest: Digest,
        deployment: DeploymentId,
        step: &mut Step,
    ) -> bool {
        self.set_unknown_plan(manifest, deployment, report.running.clone(), report.running);
        self.enter(Phase::RollbackFailed, UNKNOWN_FALLBACK.into(), step);
        true
    }

    /// The device runs something on trial that this gateway did not begin and that is not what it is asked for, and nothing is known that it
    /// could be ordered to return to: nobody watches that trial, and nothing can be installed before it has ended.
    pub(super) fn alarm_for_other_trial(&mut self, target: &Target, report: Report, step: &mut Step) -> bool {
        let knows_nothing = self.journal.confirmed.is_none() && self.journal.plan.is_none();
        knows_nothing && self.alarm_for_unknown_trial(report, target.digest, target.deployment.clone(), step)
    }

    /// An alarm stands for a trial that this gateway did not begin, and another deployment asks for the device meanwhile: it waits for the same
    /// hands, and says so.
    pub(super) fn alarm_for_next(&mut self, step: &mut Step) -> bool {
        let (Some(plan), Some(report), Some(target)) = (&self.journal.plan, self.newest_report(), self.target()) else {
            return false;
        };
        if plan.knows_fallback() || report.confirmed || plan.deployment == target.deployment {
            return false;
        }
        let (manifest, deployment) = (target.digest, target.deployment.clone());
        self.alarm_for_unknown_trial(report, manifest, deployment, step)
    }

    /// The plan of an installation that this gateway did not begin, which can only be left.
    fn set_unknown_plan(
        &mut self,
        manifest: Digest,
        deployment: DeploymentId,
        firmware: FirmwareReport,
        fallback: FirmwareReport,
    ) {
        let image = Image { firmware, size_bytes: 0, components: Vec::new(), deltas: Vec::new(), streams: false };
        let health = HealthPolicy { probation_ms: 0, error_budget: 0, silence_limit_ms: u64::MAX };
        let journal = self.journal_mut();
        let brought = |p: &&Plan| p.image.firmware.sha256 == fallback.sha256;
        journal.fallback_manifest = journal.plan.as_ref().filter(brought).map(|p| p.manifest);
        (journal.confirmed_at, journal.recall_window_ms, journal.reboots_per_day) = (None, None, None);
        journal.plan = Some(Plan { manifest, deployment, image, health, fallback });
    }

    /// Where the device had to go back to was not known, and no order was given: it runs something permanently again.
    pub(super) fn settled_without_order(&mut self, plan: Plan, step: &mut Step) -> bool {
        let Some(report) = self.newest_report().filter(|r| r.confirmed) else { return false };
        let is_asked =
            |target: &Target| target.digest == plan.manifest && target.manifest.sha256 != plan.image.firmware.sha256;
        if self.target().is_some_and(is_asked) {
            // What was on trial was another release than the one that is asked for: that one can begin now.
            self.journal_mut().confirmed = Some(report.running);
            self.enter(Phase::Idle, SETTLED.into(), step);
        } else if report.running.sha256 == plan.image.firmware.sha256 {
            // An order of before made it permanent. Switching it off and on does not help any more; a newer release does.
            self.journal_mut().confirmed = Some(report.running);
            self.enter(Phase::Failed, "it kept the release permanently; install a newer one".into(), step);
        } else {
            self.came_back(Plan { fallback: report.running, ..plan }, step);
        }
        true
    }

    /// The device has gone on beyond the plan: what it runs is where the next installation begins. The plan's deployment does not bring
    /// its release again over what came later.
    fn forget_plan(&mut self, running: FirmwareReport, step: &mut Step) {
        step.effects.push(Effect::StopStaging);
        let journal = self.journal_mut();
        journal.confirmed = Some(running);
        (journal.confirmed_at, journal.fallback_manifest, journal.kept) = (None, None, None);
        self.enter(Phase::Idle, OVERTAKEN.into(), step);
        let journal = self.journal_mut();
        if let Some(Plan { manifest, deployment, .. }) = journal.plan.take() {
            journal.refused = Some(RefusedRelease { manifest, deployment, reason: OVERTAKEN.into() });
        }
        (journal.recall_window_ms, journal.reboots_per_day) = (None, None);
    }
}
