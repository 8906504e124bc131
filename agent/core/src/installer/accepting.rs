//! A new release: whether it is for this device, and the plan that it becomes.

use mdfm_shared::device::{ComponentImage, Report};
use mdfm_shared::digest::Digest;
use mdfm_shared::manifest::Component;
use mdfm_shared::telemetry::FirmwareReport;

use super::state::{Phase, Plan, RefusedRelease};
use super::step::{Installer, Step};
use super::{DesiredState, Now, Target};
use crate::image::Image;

impl Installer {
    /// Settled: is there a new release to install?
    pub(super) fn consider(&mut self, now: Now, step: &mut Step) -> bool {
        let (Some(DesiredState::Install(target) | DesiredState::Hold(target)), Some((_, report))) =
            (self.desired.clone(), self.report.clone())
        else {
            return false;
        };
        if !report.confirmed {
            return self.watch_forgotten_trial(now, &target, &report, step)
                || self.alarm_for_other_trial(&target, report, step);
        }
        let Some(confirmed) = self.journal.confirmed.clone() else { return false };
        let floor = self.journal.security_floor.max(target.security_floor.min(self.floor_max(now, &confirmed)));
        if floor != self.journal.security_floor {
            self.journal.security_floor = floor;
            step.dirty = true;
        }
        if report.running.sha256 != confirmed.sha256 {
            // Adopted first, after the pause: it is what the device returns to.
            return false;
        }
        let is_plan = |p: &Plan| p.manifest == target.digest && p.deployment == target.deployment;
        let is_refused = |r: &RefusedRelease| r.manifest == target.digest && r.deployment == target.deployment;
        let is_known = self.journal.plan.as_ref().is_some_and(is_plan) && !self.journal.may_begin_again();
        if is_known || self.journal.refused.as_ref().is_some_and(is_refused) {
            return false;
        }
        let firmware = FirmwareReport {
            version: target.manifest.version.clone(),
            release_number: target.manifest.release_number,
            security_version: target.manifest.security_version,
            sha256: target.manifest.sha256,
        };
        let already = report.running.sha256 == firmware.sha256;
        if let Some(reason) = target.withdrawn.as_ref().filter(|_| !already) {
            return self.refuse(&target, confirmed, format!("withdrawn, nothing was activated: {reason}"), step);
        }
        if self.journal.is_quarantined() {
            let problem = "in quarantine after several failed installations; release it on site (mdfm-agent release)";
            return self.refuse(&target, confirmed, problem.into(), step);
        }
        if let Some(problem) = precheck(&target, &firmware, &report, &confirmed, floor, &self.journal.rolled_back) {
            return self.refuse(&target, confirmed, problem, step);
        }
        if let Some(until) = target.start_by.filter(|until| now.utc > *until) {
            let problem =
                format!("approved as an emergency, to be started until {until}: a release that QA approved is needed");
            return self.refuse(&target, confirmed, problem, step);
        }
        // Another deployment of what was confirmed before changes neither the way back nor how long the directive alone may order it.
        let before = self.journal.plan.clone().filter(|p| {
            already && self.journal.phase == Phase::Confirmed && p.image.firmware.sha256 == firmware.sha256
        });
        let confirmed_at = before.as_ref().and(self.journal.confirmed_at).unwrap_or(now.utc);
        self.set_plan(&target, firmware, before.map_or(confirmed, |p| p.fallback));
        if already {
            self.journal.confirmed_at = Some(confirmed_at);
            self.journal.confirmed = self.journal.plan.as_ref().map(|p| p.image.firmware.clone());
            self.enter(Phase::Confirmed, format!("the device runs this release already; {}", self.fault_proof()), step);
        } else {
            self.collect("release approved, collecting the image", step);
        }
        true
    }

    pub(super) fn set_plan(&mut self, target: &Target, firmware: FirmwareReport, fallback: FirmwareReport) {
        let component =
            |c: &Component| ComponentImage { name: c.name.clone(), sha256: c.sha256, size_bytes: c.size_bytes };
        let components = match target.manifest.components.as_slice() {
            [_] => Vec::new(),
            several => several.iter().map(component).collect(),
        };
        let (size_bytes, streams) = (target.manifest.size_bytes(), target.streams);
        self.journal.keep_confirmed();
        self.journal.refused = None;
        self.journal.confirmed_at = None;
        self.journal.fallback_manifest = match (&self.journal.phase, &self.journal.plan) {
            (Phase::Confirmed, Some(before)) if before.image.firmware.sha256 == fallback.sha256 => {
                Some(before.manifest)
            }
            // Nothing else was confirmed since: the fallback is the one before, or the same release came in another deployment.
            _ => self.journal.fallback_manifest,
        };
        self.journal.recall_window_ms = Some(target.manifest.recall_window());
        self.journal.reboots_per_day = Some(target.manifest.reboot_budget());
        self.image_ready = None;
        self.wrong_digests = 0;
        self.journal.plan = Some(Plan {
            manifest: target.digest,
            deployment: target.deployment.clone(),
            image: Image { firmware, size_bytes, components, deltas: target.manifest.deltas.clone(), streams },
            health: target.manifest.health,
            fallback,
        });
    }

    /// The release is not installed. What is confirmed, and the way back from it, stay as they are.
    fn refuse(&mut self, target: &Target, confirmed: FirmwareReport, problem: String, step: &mut Step) -> bool {
        let untouched = FirmwareReport { version: target.manifest.version.clone(), ..confirmed.clone() };
        let budget = self.journal.reboots_per_day;
        self.set_plan(target, untouched, confirmed);
        self.journal.reboots_per_day = budget;
        self.enter(Phase::Failed, problem, step);
        true
    }
}

/// Why this release is not for this device; none if it is. Nothing has been touched yet.
fn precheck(
    target: &Target,
    firmware: &FirmwareReport,
    report: &Report,
    confirmed: &FirmwareReport,
    floor: u32,
    rolled_back: &std::collections::BTreeSet<Digest>,
) -> Option<String> {
    let manifest = &target.manifest;
    if manifest.model != report.model {
        return Some(format!("wrong model: the release is for {}, the device is a {}", manifest.model, report.model));
    }
    if !manifest.hardware_revisions.contains(&report.hardware) {
        let revisions = manifest.hardware_revisions.join(", ");
        return Some(format!("wrong hardware: the release is for {revisions}, the device is {}", report.hardware));
    }
    if rolled_back.contains(&target.digest) {
        return Some("this release failed on this device before; a new release is needed".into());
    }
    if manifest.security_version < floor {
        return Some(format!("downgrade: security version {} is below the floor {floor}", manifest.security_version));
    }
    if confirmed.sha256 == firmware.sha256 {
        return None;
    }
    if manifest.release_number <= confirmed.release_number {
        let (found, held) = (manifest.release_number, confirmed.release_number);
        return Some(format!("downgrade: release number {found} is not above the installed {held}"));
    }
    if confirmed.release_number < manifest.minimum_release {
        let (held, needed) = (confirmed.release_number, manifest.minimum_release);
        return Some(format!("release {held} is installed, this release needs at least {needed} first"));
    }
    None
}
