//! A journal that may be older than its device: the gateway's disk was restored, or the device was changed while another machine was the
//! gateway. What the device runs permanently is the truth; the journal follows it.

use mdfm_shared::device::Report;
use mdfm_shared::telemetry::FirmwareReport;

use super::state::Phase;
use super::step::{Installer, Step};
use super::{Effect, Now, Target};

impl Installer {
    /// Brings the journal to what the device runs. A device on trial is left to the phases, which end every trial.
    pub(super) fn take_set_back(&mut self, now: Now, step: &mut Step) {
        let Some(report) = self.newest_report().filter(|report| report.confirmed) else { return };
        let running = report.running;
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
            if matches!(journal.phase, Phase::Idle | Phase::Failed | Phase::RolledBack | Phase::RollbackFailed) {
                journal.confirmed = Some(plan.image.firmware);
                journal.confirmed_at = Some(now.utc);
                journal.rolled_back.remove(&plan.manifest);
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

    /// Nothing is known of a plan, and yet the device runs on trial the release that is asked for: the gateway's state is older than the
    /// boot. It is watched as if it had just been given the order.
    pub(super) fn watch_forgotten_trial(
        &mut self,
        now: Now,
        target: &Target,
        report: &Report,
        confirmed: FirmwareReport,
        step: &mut Step,
    ) -> bool {
        if self.journal_mut().plan.is_some() || report.running.sha256 != target.manifest.sha256 {
            return false;
        }
        let firmware = FirmwareReport {
            version: target.manifest.version.clone(),
            release_number: target.manifest.release_number,
            security_version: target.manifest.security_version,
            sha256: target.manifest.sha256,
        };
        self.set_plan(target, firmware, confirmed);
        let since = self.stamp(now);
        let detail = "the device runs the release on trial: the gateway's state was older";
        self.enter(Phase::Probation { since, errors: 0 }, detail.into(), step);
        true
    }

    /// The device has gone on beyond the plan: what it runs is where the next installation begins.
    fn forget_plan(&mut self, running: FirmwareReport, step: &mut Step) {
        step.effects.push(Effect::StopStaging);
        let journal = self.journal_mut();
        journal.confirmed = Some(running);
        journal.plan = None;
        (journal.confirmed_at, journal.fallback_manifest) = (None, None);
        (journal.kept, journal.refused) = (None, None);
        self.enter(Phase::Idle, String::new(), step);
    }
}
