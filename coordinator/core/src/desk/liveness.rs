//! When devices of a phase that is worked on become silent: a queue of deadlines, so that a look costs what has come due, not what there is.
//! Volatile: what follows is commanded and logged.
//!
//! Every device of the current phase of a running deployment stands in the queue of that deployment, under the earliest time at which it can become
//! silent. A heartbeat moves nothing: at its time the device is judged again. One that is silent, or has failed, waits at the end of the queue until
//! presence or the deployment reports a change of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use mdfm_shared::id::{DeploymentId, DeviceId};
use mdfm_shared::time::UtcMillis;

use crate::presence::Presence;
use crate::rollout::{Deployment, PhaseStatus, Status};
use crate::{Command, Heard, State};

/// Missed monitoring intervals after which a device on a closely watched deployment counts as silent.
const INTERVALS_MISSED: u64 = 3;
/// Devices judged in one round. A million take a second together; one slice takes a few milliseconds.
const JUDGED_MAX: usize = 2_048;
/// Commands of one round: as many as the thread takes from its queue.
const COMMANDS_MAX: usize = 256;
/// Entries of given up queues that are dropped in one round.
const DROPPED_MAX: usize = 8_192;
/// The place of devices that wait for a change.
const NEVER: UtcMillis = UtcMillis(u64::MAX);

/// The times by which silence is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// What the clock says.
    pub(super) clock: UtcMillis,
    /// Time that never goes back.
    pub(super) steady: UtcMillis,
    /// How long the coordinator has been up, in milliseconds.
    pub(super) up_ms: u64,
}

/// Devices by the earliest time at which they can become silent, in steady time.
type Queue = BTreeSet<(UtcMillis, DeviceId)>;

/// The devices of one deployment's current phase.
#[derive(Debug)]
struct Watch {
    /// The phase, and since when by its record it has been worked on.
    of: (u32, UtcMillis),
    queue: Queue,
    /// Devices from here on are not yet in the queue; `None` once all are.
    filled_to: Option<Bound<DeviceId>>,
}

/// What is to be done with a device.
enum Verdict {
    /// A command, and then it is judged again.
    Note(Heard, UtcMillis),
    /// It is judged again at this time.
    At(UtcMillis),
    /// It has failed or is silent: it is judged again when that changes.
    Waits,
    /// It is not of the current phase.
    Gone,
}

/// Who is watched, and what is due.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    silence_limit_ms: u64,
    watches: BTreeMap<DeploymentId, Watch>,
    /// By deployment, since when by its record the current phase has been worked on, and when that was seen first, in steady time.
    phases: BTreeMap<DeploymentId, (UtcMillis, UtcMillis)>,
    /// Devices about which commands were made and that are judged again afterwards.
    noted: BTreeSet<(DeploymentId, DeviceId)>,
    /// Queues that were given up. To drop a long one takes time as well.
    given_up: Vec<Queue>,
    /// The clock at the last look, and how often presence had moved its times back by then.
    clock: UtcMillis,
    moves_back: u64,
    has_more: bool,
}

/// Why a device is judged, as far as that matters.
struct Judge<'a> {
    deployment: &'a Deployment,
    presence: &'a Presence,
    times: Times,
    limit_ms: u64,
    worked_on_ms: u64,
}

impl Judge<'_> {
    fn judge(&self, device: &DeviceId) -> Verdict {
        let Some(progress) = self.deployment.devices.get(device) else { return Verdict::Gone };
        if progress.phase != self.deployment.current {
            return Verdict::Gone;
        }
        if progress.has_failed() {
            return Verdict::Waits;
        }
        let Times { clock, steady, up_ms } = self.times;
        let last_seen = self.presence.last_attached(device).unwrap_or_default();
        let unseen_ms = clock.since_ms(last_seen);
        let shortest_ms = unseen_ms.min(up_ms).min(self.worked_on_ms);
        match (shortest_ms > self.limit_ms, progress.silent) {
            (true, false) => Verdict::Note(Heard::Silent, last_seen),
            // Only a heartbeat says that it returned, not that the phase, or this coordinator, began again.
            (_, true) if unseen_ms <= self.limit_ms => Verdict::Note(Heard::Again, last_seen),
            (_, true) => Verdict::Waits,
            // All three last longer by one with each millisecond of steady time.
            (false, false) => Verdict::At(steady.plus_ms((self.limit_ms - shortest_ms).saturating_add(1))),
        }
    }
}

/// Since when by its record the current phase is worked on; `None` if it is not, or if the deployment does not run.
fn worked_on_since(deployment: &Deployment) -> Option<UtcMillis> {
    if deployment.status != Status::Running {
        return None;
    }
    match deployment.phases.get(deployment.current as usize)?.status {
        PhaseStatus::Deploying { since } | PhaseStatus::Monitoring { since } => Some(since),
        _ => None,
    }
}

impl Liveness {
    pub(super) fn new(silence_limit_ms: u64) -> Self {
        Self { silence_limit_ms, ..Self::default() }
    }

    /// Whether the next slice should be judged without delay.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Devices joined the phase that is worked on.
    pub(super) fn join<'a>(&mut self, deployment: &DeploymentId, devices: impl Iterator<Item = &'a DeviceId>) {
        if let Some(watch) = self.watches.get_mut(deployment) {
            // Due at once; those that are not of the phase are found out then.
            watch.queue.extend(devices.map(|device| (UtcMillis(0), device.clone())));
        }
    }

    /// The commands that heartbeats, or their absence, mean: at each look (`is_look`) for what has come due since, and in rounds between two looks
    /// for what did not fit one round.
    pub(super) fn due(
        &mut self,
        state: &mut State,
        presence: &mut Presence,
        times: Times,
        is_look: bool,
    ) -> Vec<Command> {
        if is_look {
            self.follow(state, presence, times);
        }
        let mut judged = JUDGED_MAX;
        let mut commands = Vec::new();
        let returned = presence.take_returned(COMMANDS_MAX);
        judged -= returned.len();
        self.has_more = presence.has_returned();
        let mut noted = std::mem::take(&mut self.noted);
        for (id, watch) in &mut self.watches {
            let Some(deployment) = state.deployments.get_mut(id) else { continue };
            let mut changed = deployment.take_changed(judged.min(COMMANDS_MAX));
            judged -= changed.len();
            self.has_more |= deployment.has_changed();
            let deployment = &*deployment;
            let Some(since) = worked_on_since(deployment).filter(|since| watch.of == (deployment.current, *since))
            else {
                // It went on between two looks: the next one begins again.
                watch.of.0 = u32::MAX;
                continue;
            };
            let seen = self.phases.get(id).map_or(times.steady, |(_, seen)| *seen);
            let close = deployment.plan.spec.monitoring_interval_ms.map(|ms| ms.saturating_mul(INTERVALS_MISSED));
            let limit_ms = close.map_or(self.silence_limit_ms, |ms| ms.min(self.silence_limit_ms));
            let worked_on_ms = times.clock.since_ms(since).max(times.steady.since_ms(seen));
            changed.extend(returned.iter().cloned());
            let (mut found, made) = (BTreeMap::new(), commands.len());
            // Whose change is known is not at the end of the queue any more.
            let mut again: Vec<DeviceId> =
                changed.into_iter().filter(|device| watch.queue.remove(&(NEVER, device.clone()))).collect();
            let of_this = noted.extract_if(.., |(deployment, _)| deployment == id);
            again.extend(of_this.map(|(_, device)| device));
            let mut judge = |watch: &mut Watch, presence: &mut Presence, device: DeviceId| {
                let one = Judge { deployment, presence, times, limit_ms, worked_on_ms };
                match one.judge(&device) {
                    Verdict::Note(heard, last_seen) => drop(found.insert(device, (heard, last_seen))),
                    Verdict::At(at) => drop(watch.queue.insert((at, device))),
                    Verdict::Waits => {
                        if deployment.devices.get(&device).is_some_and(|progress| progress.silent) {
                            presence.expect(&device);
                        }
                        watch.queue.insert((NEVER, device));
                    }
                    Verdict::Gone => {}
                }
                made + found.len() < COMMANDS_MAX
            };
            for device in again {
                judge(watch, presence, device);
            }
            judged = watch.fill(deployment, judged, |watch, device| judge(watch, presence, device));
            while judged > 0 && watch.is_due(times.steady) {
                let Some((_, device)) = watch.queue.pop_first() else { break };
                judged -= 1;
                if !judge(watch, presence, device) {
                    break;
                }
            }
            self.has_more |= watch.is_due(times.steady) || watch.filled_to.is_some();
            for (device, (heard, last_seen)) in found {
                self.noted.insert((id.clone(), device.clone()));
                commands.push(Command::NoteLiveness { deployment: id.clone(), device, last_seen, heard });
            }
        }
        self.drop_given_up();
        commands
    }

    /// Begins and ends watches, as deployments go on.
    fn follow(&mut self, state: &mut State, presence: &Presence, times: Times) {
        let is_moved = times.clock < self.clock || presence.moves_back() != self.moves_back;
        (self.clock, self.moves_back) = (times.clock, presence.moves_back());
        self.phases.retain(|id, _| state.deployments.get(id).is_some_and(|d| d.status == Status::Running));
        let mut before = std::mem::take(&mut self.watches);
        for (id, deployment) in &mut state.deployments {
            let Some(since) = worked_on_since(deployment) else {
                deployment.forget_changed();
                continue;
            };
            // The record may be of a time that the clock has not reached again.
            let seen = self.phases.entry(id.clone()).or_insert((since, times.steady));
            if seen.0 != since {
                *seen = (since, times.steady);
            }
            let of = (deployment.current, since);
            let watch = match before.remove(id) {
                Some(watch) if watch.of == of && !is_moved => watch,
                given_up => {
                    self.given_up.extend(given_up.map(|watch| watch.queue));
                    deployment.forget_changed();
                    Watch { of, queue: Queue::new(), filled_to: Some(Bound::Unbounded) }
                }
            };
            self.watches.insert(id.clone(), watch);
        }
        self.given_up.extend(before.into_values().map(|watch| watch.queue));
    }

    fn drop_given_up(&mut self) {
        let mut left = DROPPED_MAX;
        while let Some(queue) = self.given_up.last_mut() {
            while left > 0 && queue.pop_first().is_some() {
                left -= 1;
            }
            if !queue.is_empty() {
                self.has_more = true;
                return;
            }
            self.given_up.pop();
        }
    }
}

impl Watch {
    fn is_due(&self, steady: UtcMillis) -> bool {
        self.queue.first().is_some_and(|(at, _)| *at <= steady)
    }

    /// Judges the next devices that are not yet in the queue, `judged` at most, until `judge` says that it is enough; returns how many may still be.
    fn fill(
        &mut self,
        deployment: &Deployment,
        judged: usize,
        mut judge: impl FnMut(&mut Self, DeviceId) -> bool,
    ) -> usize {
        let Some(from) = self.filled_to.clone() else { return judged };
        let mut left = judged;
        for (device, progress) in deployment.devices.range((from, Bound::Unbounded)) {
            if left == 0 {
                return left;
            }
            left -= 1;
            let goes_on = progress.phase != deployment.current || judge(self, device.clone());
            self.filled_to = Some(Bound::Excluded(device.clone()));
            if !goes_on {
                return left;
            }
        }
        self.filled_to = None;
        left
    }
}

#[cfg(test)]
mod tests;
