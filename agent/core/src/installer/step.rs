//! The installer of one device: what it knows, how it takes input, and how it enters a phase. Which phase follows is in `transitions`.

mod transitions;

use mdfm_shared::device::{Command, Order, Refusal, Report, WRONG_DIGEST};
use mdfm_shared::digest::Digest;
use mdfm_shared::limits::REBOOTS_PER_DAY_DEFAULT;
use mdfm_shared::telemetry::{
    ERROR_REBOOTS, EventKind, HOLD_ON_SITE, InstallState, REFUSED_QUARANTINE, RELEASE_ON_SITE, Severity,
};
use mdfm_shared::text::count;
use mdfm_shared::time::MonotonicMs;

use super::faults::FaultPace;
use super::state::{BootId, Journal, Phase, Plan, QUARANTINE_FAILURES, Stamp};
use super::{DesiredState, Effect, Input, Now, OnSite, Outcome};

/// Longest time that a device's message is on its way, in milliseconds.
pub(super) const MESSAGE_AGE_MS_MAX: u64 = 5_000;
/// An order that the device does not seem to have followed is given again after this time.
const ORDER_REPEAT_MS: u64 = 2_000;
/// From the order to go back until hands are called for (the seed's five minutes less the time to detect).
const ROLLBACK_LIMIT_MS: u64 = 270_000;
/// A device is taken as attached for so long after a report.
const ATTACHED_MS: u64 = 5_000;
/// Times that an image is written again because the device read other bytes than were announced.
const WRONG_DIGESTS_MAX: u32 = 3;
const HOUR_MS: u64 = 3_600_000;
/// Steps back in an hour because the device contradicts itself, after which the installation fails: each is an event, and a hostile
/// device could go on for ever.
const CONTRADICTIONS_MAX: u32 = 20;
/// Trials that nobody asked for which are ended at once in an hour; later ones with a pause between.
const STRAYS_AT_ONCE: u32 = 3;
const STRAY_PAUSE_MS: u64 = 240_000;
/// Another machine was the gateway when the trial began.
pub(super) const UNKNOWN_FALLBACK: &str = "needs manual intervention: this gateway does not know what the device ran before; switch it off and on until it returns \
                                to its other slot by itself";
/// Numbers of orders that a device claims to have seen are followed up to this one, so that there are always higher ones.
const ORDER_SEEN_MAX: u64 = 1 << 52;
/// After a start no device is sent back for so long before it was seen, nor from unknown firmware on trial: the gateway's state may be
/// older, and the directive that asks for that firmware on its way.
const ORIENTATION_MS: u64 = 60_000;
/// Transitions in one step; more would be a loop of our own making.
const TRANSITIONS_MAX: usize = 16;

/// The installer of one device.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Installer {
    pub(super) journal: Journal,
    boot: BootId,
    pub(super) desired: Option<DesiredState>,
    pub(super) report: Option<(MonotonicMs, Report)>,
    pub(super) image_ready: Option<Digest>,
    /// The order that stands; volatile, after a restart a new one is given.
    ordered: Option<Given>,
    /// Number of the latest order.
    last_order: u64,
    /// Times in a row that the device found the slot other than announced.
    pub(super) wrong_digests: u32,
    /// Start of this process, before which no report can have come.
    started: MonotonicMs,
    /// Whether, when last looked at, the order to boot could be given again.
    boot_is_desired: bool,
    /// Steps back that the device caused by contradicting itself.
    contradictions: Churn,
    /// Trials that nobody asked for.
    pub(super) strays: Churn,
    /// When firmware that somebody else installed was last adopted.
    pub(super) adopted_at: Option<MonotonicMs>,
    /// The deployment that was called back and of which nothing stands here, as it was answered for the last time; volatile.
    pub(super) answered: Option<super::set_back::Answered>,
    /// Bounds how often the device's fault counters are taken outside of a trial.
    pub(super) fault_pace: FaultPace,
    /// Whether the newest report's counters were lower than those of an earlier one of the same boot; volatile.
    pub(super) counters_fell: bool,
    /// Whether the phase was read from the disk, and not entered in this process: it may be older than the device.
    pub(super) is_taken_up: bool,
    /// Whether the journal must be compared with the device's next report before anything else.
    is_due: bool,
    /// Whether the phase was entered by an earlier process and nothing has shown since that the device is in it; volatile.
    pub(super) is_from_disk: bool,
    /// Whether it is known that the gateway's state was put back to an older one, or that another machine went on; volatile.
    pub(super) is_set_back: bool,
}

/// An order that stands.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Given {
    command: Command,
    /// Number under which it was given first.
    first: u64,
    /// When it was last given.
    at: MonotonicMs,
}

/// How often something happened within the hour; volatile.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Churn {
    since: MonotonicMs,
    count: u32,
    last: MonotonicMs,
}

impl Churn {
    /// Counts one more; returns how many there were in this hour.
    pub(super) fn count(&mut self, now: MonotonicMs) -> u32 {
        if now.since_ms(self.since) >= HOUR_MS {
            (self.since, self.count) = (now, 0);
        }
        self.last = now;
        self.count += 1;
        self.count
    }

    /// Whether the next one has to wait: after a few in this hour, for a time below that of a rollback's alarm.
    pub(super) fn must_wait(&self, now: MonotonicMs) -> bool {
        let is_churn = self.count >= STRAYS_AT_ONCE && now.since_ms(self.since) < HOUR_MS;
        is_churn && now.since_ms(self.last) < STRAY_PAUSE_MS
    }
}

/// Why a device goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The new firmware, or the device with it.
    Failure,
    /// Somebody's word, or that nobody wants the release any more.
    Order,
}

pub(super) struct Step {
    pub(super) dirty: bool,
    pub(super) events: Vec<EventKind>,
    pub(super) effects: Vec<Effect>,
}

impl Installer {
    /// Takes up a journal in the boot `boot` of the gateway. Times of another boot start again from now: after a power cut the
    /// probation is watched in full. Orders are numbered above `last_order`, which is above all of earlier processes.
    pub(crate) fn new(mut journal: Journal, boot: BootId, now: MonotonicMs, last_order: u64) -> Self {
        if let Phase::Activating { since, .. } | Phase::Probation { since, .. } | Phase::RollingBack { since } =
            &mut journal.phase
            && since.boot != boot
        {
            *since = Stamp { boot, at: now };
        }
        Self {
            journal,
            boot,
            desired: None,
            report: None,
            image_ready: None,
            ordered: None,
            last_order,
            wrong_digests: 0,
            started: now,
            boot_is_desired: false,
            contradictions: Churn::default(),
            strays: Churn::default(),
            adopted_at: None,
            answered: None,
            fault_pace: FaultPace::new(now),
            counters_fell: false,
            is_taken_up: true,
            is_due: false,
            is_from_disk: true,
            is_set_back: false,
        }
    }

    /// The effects that the phase needs, for a start after a crash.
    pub(crate) fn resume(&self) -> Vec<Effect> {
        let Some(plan) = &self.journal.plan else { return Vec::new() };
        match self.journal.phase {
            Phase::Staging if plan.image.streams => vec![Effect::StageImage(plan.image.clone())],
            // It is here, and waits for the device's first report.
            Phase::Fetching | Phase::Staging if self.image_ready == Some(plan.image.firmware.sha256) => Vec::new(),
            Phase::Fetching | Phase::Staging => vec![fetch(plan)],
            _ => Vec::new(),
        }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The image that the device still needs in the cache.
    pub(crate) fn needed_image(&self) -> Option<Digest> {
        match self.journal.phase {
            Phase::Fetching | Phase::Staging => {
                self.journal.plan.as_ref().filter(|p| !p.image.streams).map(|p| p.image.firmware.sha256)
            }
            _ => None,
        }
    }

    /// Whether an image is on its way to the device.
    pub(crate) fn is_preparing(&self) -> bool {
        matches!(self.journal.phase, Phase::Fetching | Phase::Staging)
    }

    /// The image that is on its way to the device, through the cache or not.
    pub(crate) fn prepared_image(&self) -> Option<Digest> {
        let plan = self.journal.plan.as_ref().filter(|_| self.is_preparing());
        plan.map(|p| p.image.firmware.sha256)
    }

    /// Whether the device has reported lately.
    pub(crate) fn is_attached(&self, now: MonotonicMs) -> bool {
        self.report.as_ref().is_some_and(|(at, _)| now.since_ms(*at) < ATTACHED_MS)
    }

    /// Whether the device said that it is in use.
    pub(crate) fn is_in_use(&self) -> bool {
        self.report.as_ref().is_some_and(|(_, r)| r.in_use)
    }

    /// When the next [`Input::Tick`] has something to do, and why. Early ticks do nothing.
    pub(crate) fn deadline(&self) -> Option<(MonotonicMs, &'static str)> {
        let repeat = self.ordered.as_ref().map(|o| (o.at.plus_ms(ORDER_REPEAT_MS), "repeat an order"));
        let plan = self.journal.plan.as_ref()?;
        if self.waits_after_start(plan) {
            return Some((self.started.plus_ms(ORIENTATION_MS), "the first report and the newest directive"));
        }
        let silent = |since: Stamp| self.last_sign(since.at).plus_ms(plan.health.silence_limit_ms);
        match self.journal.phase {
            Phase::Activating { since, .. } => {
                let limit = (silent(since).min(activation_end(since, plan)), "the device must report the new boot");
                let may_boot = !self.is_in_use() && self.boot_is_desired;
                [Some(limit), repeat.filter(|_| may_boot)].into_iter().flatten().min()
            }
            Phase::Probation { since, .. } => {
                // Once the time is over the confirmation is on its way; then only its repeat and silence are left.
                let end = || (since.at.plus_ms(plan.health.probation_ms), "end of probation");
                [(silent(since), "silence on trial"), repeat.unwrap_or_else(end)].into_iter().min()
            }
            // A device in use gets no orders; its next report wakes the installer.
            Phase::RollingBack { since } => {
                let alarm = (since.at.plus_ms(ROLLBACK_LIMIT_MS), "the rollback must be done");
                [Some(alarm), repeat.filter(|_| !self.is_in_use())].into_iter().flatten().min()
            }
            Phase::RollbackFailed => repeat.filter(|_| !self.is_in_use()),
            _ => None,
        }
    }

    /// The newest report, if it answers the order that stands: an older one shows nothing of it.
    fn answer(&self) -> Option<&Report> {
        let given = self.ordered.as_ref()?;
        self.report
            .as_ref()
            .map(|(_, report)| report)
            .filter(|r| (given.first..=given.command.order).contains(&r.last_order))
    }

    /// The number of the next order.
    pub(crate) fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    /// Takes an input at a time.
    pub(crate) fn step(&mut self, now: Now, input: Input) -> Outcome {
        let mut step = Step { dirty: false, events: Vec::new(), effects: Vec::new() };
        match input {
            Input::Desired(desired) => self.desired = desired,
            Input::Report(report) => self.take_report(now, report, &mut step),
            Input::Fault(fault) => self.take_fault(now, &fault, &mut step),
            Input::Reboots { before, now: recent } => self.take_reboots(now, before, recent, &mut step),
            Input::ImageReady(sha256) => self.image_ready = Some(sha256),
            Input::ImageRefused(sha256, reason) => {
                let wanted = self.journal.plan.as_ref().is_some_and(|p| p.image.firmware.sha256 == sha256);
                if wanted && matches!(self.journal.phase, Phase::Fetching | Phase::Staging) {
                    step.effects.push(Effect::StopStaging);
                    self.enter(Phase::Failed, format!("image refused: {reason}"), &mut step);
                    self.mark_unseen(&mut step);
                }
            }
            Input::StagingRefused(refusal) => self.take_staging_refusal(&refusal, &mut step),
            Input::OnSite(act, uid) => self.take_on_site(now, act, uid, &mut step),
            Input::SetBack => {
                self.is_due = self.report.is_none();
                self.take_set_back(now, &mut step);
            }
            Input::Tick => {}
        }
        for _ in 0..TRANSITIONS_MAX {
            if !self.advance(now, &mut step) {
                break;
            }
        }
        Outcome { journal: step.dirty.then(|| self.journal.clone()), events: step.events, effects: step.effects }
    }

    /// Whether a report is late: a device that has booted since says nothing more of the boot before. A lower count that lasts is taken: the
    /// device counts from the start again, or another one stands in its place.
    pub(crate) fn is_of_earlier_boot(&self, now: Now, report: &Report) -> bool {
        self.report.as_ref().is_some_and(|(at, newest)| {
            let is_same = report.serial == newest.serial && report.hardware == newest.hardware;
            is_same && report.boot_count < newest.boot_count && now.mono.since_ms(*at) < MESSAGE_AGE_MS_MAX
        })
    }

    fn take_report(&mut self, now: Now, report: Report, step: &mut Step) {
        if self.is_of_earlier_boot(now, &report) {
            return;
        }
        if self.journal.confirmed.is_none() && self.journal.plan.is_none() && report.confirmed {
            self.journal.confirmed = Some(report.running.clone());
            step.dirty = true;
            step.events.push(EventKind::DeviceAdopted {
                model: report.model.clone(),
                hardware: report.hardware.clone(),
                firmware: report.running.clone(),
            });
        }
        // Another machine, or this one before it was set back, may have given orders with higher numbers.
        self.last_order = self.last_order.max(report.last_order.min(ORDER_SEEN_MAX));
        self.report = Some((now.mono, report));
        if std::mem::take(&mut self.is_due) {
            self.take_set_back(now, step);
        }
        // A report that shows the first boot of the new firmware begins the trial in which its faults count; in a trial they count
        // before it can end well.
        // What other firmware counted is processed before anything begins.
        for _ in 0..TRANSITIONS_MAX {
            let shows_release = self.journal.plan.as_ref().zip(self.report.as_ref());
            let shows_release = shows_release.is_some_and(|(p, (_, r))| r.running.sha256 == p.image.firmware.sha256);
            let is_on_trial = matches!(self.journal.phase, Phase::Probation { .. });
            if !shows_release || is_on_trial || !self.advance(now, step) {
                break;
            }
        }
        self.take_fault_level(now, step);
    }

    pub(super) fn newest_report(&self) -> Option<Report> {
        self.report.as_ref().map(|(_, report)| report.clone())
    }

    pub(super) fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The device did not take the image: written again a few times if it found other bytes than announced, else failed.
    fn take_staging_refusal(&mut self, refusal: &Refusal, step: &mut Step) {
        let (Some(plan), Phase::Staging) = (self.journal.plan.clone(), &self.journal.phase) else { return };
        step.effects.push(Effect::StopStaging);
        self.wrong_digests += 1;
        if refusal.code == WRONG_DIGEST && self.wrong_digests < WRONG_DIGESTS_MAX {
            step.effects.push(Effect::StageImage(plan.image));
        } else {
            let reason = format!("the device did not take the image: {} ({})", refusal.message, refusal.code);
            self.enter(Phase::Failed, reason, step);
        }
    }

    /// Why the device cannot be returned to the firmware before; none if it can.
    pub(crate) fn why_not_back(&self, now: MonotonicMs) -> Option<String> {
        let Some(plan) = &self.journal.plan else {
            return Some("no other firmware was ever installed by this agent".into());
        };
        match self.journal.phase {
            Phase::Probation { .. } if !plan.knows_fallback() => {
                Some("this gateway does not know what the device ran before".into())
            }
            Phase::Activating { .. } | Phase::Probation { .. } => None,
            Phase::RollingBack { .. } | Phase::RollbackFailed => Some("it is on its way back already".into()),
            Phase::Confirmed if self.is_in_use() => Some("the device is in use".into()),
            Phase::Confirmed if !self.is_attached(now) => Some("the device does not answer".into()),
            Phase::Confirmed if plan.fallback.security_version < self.journal.security_floor => {
                let (found, floor) = (plan.fallback.security_version, self.journal.security_floor);
                Some(format!("security version {found} of the firmware before is below the floor {floor}"))
            }
            Phase::Confirmed if !plan.knows_fallback() => Some("the firmware before is the same".into()),
            Phase::Confirmed => None,
            _ => Some("it runs its last good firmware".into()),
        }
    }

    fn take_on_site(&mut self, now: Now, act: OnSite, uid: u32, step: &mut Step) {
        let command = match act {
            OnSite::Hold(reason) => {
                self.journal.held = Some(reason.clone());
                format!("{HOLD_ON_SITE}{reason}")
            }
            OnSite::Release(reason) => {
                self.journal.held = None;
                self.journal.failures = 0;
                format!("{RELEASE_ON_SITE}{reason}")
            }
            OnSite::RollBack(reason) => {
                if self.why_not_back(now.mono).is_some() {
                    return;
                }
                self.go_back(now, Cause::Order, format!("rolled back on site: {reason}"), step);
                format!("rollback: {reason}")
            }
        };
        step.dirty = true;
        step.events.push(EventKind::LocalAction { command, uid });
    }

    /// The longest that activation and trial of the plan may take; 0 without a plan.
    pub(super) fn activation_ms(&self) -> u64 {
        let ms = |plan: &Plan| boot_ms_max(plan).saturating_add(plan.health.probation_ms);
        self.journal.plan.as_ref().map_or(0, ms)
    }

    /// Reboots that nobody ordered: over the budget they are an error, and on trial the end of it.
    fn take_reboots(&mut self, now: Now, before: u32, recent: u32, step: &mut Step) {
        // The budget is that of the release that runs.
        let running = self.report.as_ref().map(|(_, r)| r.running.sha256);
        let runs = |plan: &Plan| Some(plan.image.firmware.sha256) == running;
        let journal = &self.journal;
        let of_plan = journal.plan.as_ref().filter(|p| runs(p)).and(journal.reboots_per_day);
        let of_kept = || journal.kept.as_ref().filter(|k| runs(&k.plan)).and_then(|k| k.reboots_per_day);
        let budget = of_plan.or_else(of_kept).unwrap_or(REBOOTS_PER_DAY_DEFAULT);
        if before > budget || recent <= budget {
            return;
        }
        let message = format!(
            "{} within 24 hours that nobody ordered, at most {budget} {} tolerated",
            count(recent, "reboot"),
            if budget == 1 { "is" } else { "are" }
        );
        step.events.push(EventKind::DeviceError {
            severity: Severity::Error,
            code: ERROR_REBOOTS.into(),
            message: message.clone(),
        });
        if matches!(self.journal.phase, Phase::Probation { .. }) {
            self.go_back(now, Cause::Failure, format!("unhealthy in probation: {message}"), step);
        }
    }

    /// Whether an order to boot stands, which the device may follow with several boots.
    pub(crate) fn expects_boot(&self) -> bool {
        matches!(self.journal.phase, Phase::Activating { .. } | Phase::RollingBack { .. } | Phase::RollbackFailed)
    }

    /// Whether a directive would have come since the start of this process.
    pub(super) fn is_oriented(&self, now: Now) -> bool {
        now.mono.since_ms(self.started) >= ORIENTATION_MS
    }

    /// The last sign of life: a report, or the start of whatever is waited for.
    fn last_sign(&self, since: MonotonicMs) -> MonotonicMs {
        self.report.as_ref().map_or(self.started, |(at, _)| *at).max(since).max(self.started)
    }

    pub(super) fn stamp(&self, now: Now) -> Stamp {
        Stamp { boot: self.boot, at: now.mono }
    }

    pub(super) fn enter(&mut self, phase: Phase, detail: String, step: &mut Step) {
        self.journal.phase = phase;
        (self.is_taken_up, self.is_from_disk) = (false, false);
        self.journal.detail.clone_from(&detail);
        self.ordered = None;
        // Orders of the phase that is left are not this phase's.
        step.effects.retain(|e| !matches!(e, Effect::Send(_)));
        step.dirty = true;
        let running = match self.journal.state() {
            InstallState::Probation | InstallState::Confirmed | InstallState::RolledBack => {
                self.report.as_ref().map(|(_, r)| r.running.clone())
            }
            _ => None,
        };
        if let Some(plan) = &self.journal.plan {
            step.events.push(EventKind::StateChanged {
                state: self.journal.state(),
                manifest: plan.manifest,
                deployment: plan.deployment.clone(),
                running,
                detail: detail.clone(),
            });
        }
        match self.journal.phase {
            Phase::Fetching => {}
            Phase::Staging | Phase::Staged => self.journal.lose_fallback(),
            Phase::Idle | Phase::Failed if self.journal.has_way_back() => self.journal.return_to_kept(&detail),
            Phase::Idle | Phase::Failed => {}
            _ => self.journal.kept = None,
        }
    }

    pub(super) fn go_back(&mut self, now: Now, cause: Cause, reason: String, step: &mut Step) {
        let since = self.stamp(now);
        let ran = |p: &&Plan| {
            self.report.as_ref().is_none_or(|(_, r)| r.confirmed || r.running.sha256 == p.image.firmware.sha256)
        };
        // An order says nothing about the release on this device: somebody may want it here again.
        let failed = self.journal.plan.as_ref().filter(|_| cause == Cause::Failure).filter(ran).map(|p| p.manifest);
        self.journal.rolled_back.extend(failed);
        self.enter(Phase::RollingBack { since }, reason, step);
        if cause == Cause::Failure {
            self.count_failure(step);
        }
    }

    /// One more installation in a row that the device did not bear.
    fn count_failure(&mut self, step: &mut Step) {
        self.journal.failures += 1;
        if self.journal.failures == QUARANTINE_FAILURES {
            let reason = format!(
                "{QUARANTINE_FAILURES} installations in a row failed on this device; nothing more is installed until it is released on site \
                 (mdfm-agent release)"
            );
            step.events.push(EventKind::Refused { what: REFUSED_QUARANTINE.into(), reason });
        }
    }

    /// Counts a step back that the device caused; ends the installation when there are too many.
    fn contradicts_itself(&mut self, now: Now, step: &mut Step) -> bool {
        let too_often = self.contradictions.count(now.mono) > CONTRADICTIONS_MAX;
        if too_often {
            let reason = format!("the device contradicted itself more than {CONTRADICTIONS_MAX} times within an hour");
            self.enter(Phase::Failed, reason, step);
            self.count_failure(step);
        }
        too_often
    }

    /// Gives an order, or gives the one that stands again if it seems lost; never one to boot to a device in use.
    fn order(&mut self, now: Now, order: Order, step: &mut Step) {
        let reboots = matches!(order, Order::Activate { .. } | Order::Rollback { .. });
        debug_assert!(!reboots || !self.is_in_use(), "invariant 2: no device in use is rebooted");
        if reboots && self.is_in_use() {
            return;
        }
        let handled = self.answer().is_some();
        let given = match self.ordered.take() {
            Some(given) if given.command.what == order && now.mono.since_ms(given.at) < ORDER_REPEAT_MS => {
                self.ordered = Some(given);
                return;
            }
            // What seems lost comes again as it was, so that a device boots a slot once. What was handled and did not help is
            // asked for anew, and so is the way back always: a silent device may have refused it while it was in use.
            Some(given) if given.command.what == order => {
                let anew = handled || matches!(order, Order::Rollback { .. });
                let number = if anew { self.next_order() } else { given.command.order };
                Given { command: Command { order: number, what: order }, first: given.first, at: now.mono }
            }
            _ => {
                let number = self.next_order();
                Given { command: Command { order: number, what: order }, first: number, at: now.mono }
            }
        };
        step.effects.push(Effect::Send(given.command.clone()));
        self.ordered = Some(given);
    }
}

/// When a device that reports but does not boot the new slot is called back.
fn activation_end(since: Stamp, plan: &Plan) -> MonotonicMs {
    since.at.plus_ms(boot_ms_max(plan))
}

/// The longest that a boot of the new slot may take.
fn boot_ms_max(plan: &Plan) -> u64 {
    plan.health.silence_limit_ms.saturating_mul(2)
}

fn fetch(plan: &Plan) -> Effect {
    Effect::FetchImage(plan.image.clone())
}
