//! What the journal keeps of a device.

use std::collections::BTreeSet;

use mdfm_shared::device::FaultCounts;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeploymentId;
use mdfm_shared::limits::RECALL_WINDOW_DEFAULT_MS;
use mdfm_shared::manifest::HealthPolicy;
use mdfm_shared::telemetry::{FirmwareReport, InstallState};
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire::{self, FrameError};
use serde::{Deserialize, Serialize};

use crate::image::Image;

/// Names one boot of the gateway: monotonic times of different boots cannot be compared.
pub type BootId = [u8; 16];

/// A moment on the monotonic clock of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) boot: BootId,
    pub(crate) at: MonotonicMs,
}

/// The release being, or last, installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) manifest: Digest,
    pub(crate) deployment: DeploymentId,
    pub(crate) image: Image,
    pub(crate) health: HealthPolicy,
    /// The last confirmed firmware when the installation began: the only place to go back to. The plan's own firmware where that is not
    /// known: nothing was installed, or another machine was the gateway then.
    pub(crate) fallback: FirmwareReport,
}

impl Plan {
    /// Whether it is known where the device can go back to.
    pub(crate) fn knows_fallback(&self) -> bool {
        self.fallback.sha256 != self.image.firmware.sha256
    }
}

/// Where the installation stands; what is true of the device then says [`InstallState`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// No plan.
    Idle,
    /// Leaves on `ImageReady` or `ImageRefused`; no timeout, a lost network is waited for.
    Fetching,
    /// Leaves when the device reports the slot complete.
    Staging,
    /// Leaves when installing is desired, the device is free and the directive fresh.
    Staged,
    /// The order to boot the new slot stands. Leaves on a report of the next boot, or by the silence limit.
    Activating { since: Stamp, boots_before: u64 },
    /// Leaves after the probation time by confirmation, or by any sign of ill health.
    Probation { since: Stamp, errors: u32 },
    /// Settled on the new firmware.
    Confirmed,
    /// Settled, never left the old firmware.
    Failed,
    /// The order to go back stands. Leaves when the old firmware is reported, or by time to an alarm.
    RollingBack { since: Stamp },
    /// Settled on the old firmware.
    RolledBack,
    /// Settled nowhere: an alarm. Still leaves when the old firmware is reported after all.
    RollbackFailed,
}

/// The faults of a device that were processed, by their counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FaultsSeen {
    /// Identity of the boot that the counters are of.
    pub(crate) boot: String,
    pub(crate) counts: FaultCounts,
    /// Whether these counters cover the whole trial: it began in this boot, and every report since carried them.
    pub(crate) covers_trial: bool,
}

/// Everything about one device that must survive a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// Last firmware that proved healthy, or was found when the device was first seen.
    pub(crate) confirmed: Option<FirmwareReport>,
    pub(crate) plan: Option<Plan>,
    pub(crate) phase: Phase,
    /// Why the phase was entered, in words.
    pub(crate) detail: String,
    /// Releases that failed on this device, by its own or its gateway's judgement: never installed again. A release that it left
    /// by order is not among them; earlier agents noted those too.
    pub(crate) rolled_back: BTreeSet<Digest>,
    /// Security version below which nothing is accepted.
    pub(crate) security_floor: u32,
    /// Who on site wants the device left as it is, and why: nothing is activated meanwhile.
    pub(crate) held: Option<String>,
    /// Installations in a row that ended with a way back because of the device.
    pub(crate) failures: u32,
    /// Trusted time at which the device confirmed the plan's firmware.
    pub(crate) confirmed_at: Option<UtcMillis>,
    /// Time after that in which the directive alone may call it back, from the manifest.
    pub(crate) recall_window_ms: Option<u64>,
    /// The rollback orders that this device has followed, the newest last: each is good for one way back.
    pub(crate) orders_done: Vec<Digest>,
    /// The release of the plan's fallback, where this agent installed it.
    pub(crate) fallback_manifest: Option<Digest>,
    /// What the device confirmed before the plan, while the plan has not touched the device.
    pub(crate) kept: Option<Box<Kept>>,
    /// The release and deployment that were refused while something was confirmed, and why.
    pub(crate) refused: Option<RefusedRelease>,
    /// Unordered reboots in 24 hours that the plan's release tolerates, from the manifest.
    pub(crate) reboots_per_day: Option<u32>,
    /// What was processed of the device's faults; `None` for a device of protocol version 1.
    pub(crate) faults_seen: Option<FaultsSeen>,
}

/// A confirmed installation, to which the journal returns when a later release ends before it touched the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) plan: Plan,
    pub(crate) detail: String,
    pub(crate) confirmed_at: Option<UtcMillis>,
    pub(crate) recall_window_ms: Option<u64>,
    pub(crate) fallback_manifest: Option<Digest>,
    pub(crate) reboots_per_day: Option<u32>,
}

/// A release that was not installed over a confirmed one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedRelease {
    pub(crate) manifest: Digest,
    pub(crate) deployment: DeploymentId,
    pub(crate) reason: String,
}

/// Fields at the end that journals of earlier versions lack; each of them begins as one zero byte.
const ADDED_FIELDS: usize = 8;
/// Rollback orders remembered; they expire long before so many were followed.
const ORDERS_DONE_MAX: usize = 64;

/// Detail of a journal whose installation ended before activation because no directive asked for it any more. It was not refused: the same
/// deployment begins again when it asks again.
pub(crate) const UNASKED: &str = "not asked for any more, nothing was activated";
/// The same for one that could not begin because the device was on trial with something that this gateway had not begun.
pub(crate) const SETTLED: &str = "the device runs something permanently again, the installation can begin";

/// After so many failed installations in a row nothing is installed until somebody on site has looked.
pub(crate) const QUARANTINE_FAILURES: u32 = 3;

impl Journal {
    /// Of a device never seen before.
    pub(crate) fn new() -> Self {
        Self {
            confirmed: None,
            plan: None,
            phase: Phase::Idle,
            detail: String::new(),
            rolled_back: BTreeSet::new(),
            security_floor: 0,
            held: None,
            failures: 0,
            confirmed_at: None,
            recall_window_ms: None,
            orders_done: Vec::new(),
            fallback_manifest: None,
            kept: None,
            refused: None,
            reboots_per_day: None,
            faults_seen: None,
        }
    }

    /// Remembers what is confirmed before another plan takes its place.
    pub(crate) fn keep_confirmed(&mut self) {
        if self.phase == Phase::Confirmed
            && let Some(plan) = &self.plan
        {
            self.kept = Some(Box::new(Kept {
                plan: plan.clone(),
                detail: self.detail.clone(),
                confirmed_at: self.confirmed_at,
                recall_window_ms: self.recall_window_ms,
                fallback_manifest: self.fallback_manifest,
                reboots_per_day: self.reboots_per_day,
            }));
        }
    }

    /// The inactive slot may be written from now on: the firmware before is not there any more.
    pub(crate) fn lose_fallback(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.plan.fallback = kept.plan.image.firmware.clone();
            kept.fallback_manifest = Some(kept.plan.manifest);
        }
    }

    /// Whether something confirmed was kept with the firmware before it.
    pub(crate) fn has_way_back(&self) -> bool {
        self.kept.as_ref().is_some_and(|k| k.plan.knows_fallback())
    }

    /// The plan ended before it touched what runs: what was confirmed before is what the device has, with its way back.
    pub(crate) fn return_to_kept(&mut self, reason: &str) {
        let (Some(kept), Some(ended)) = (self.kept.take(), &self.plan) else { return };
        self.refused = (reason != UNASKED).then(|| RefusedRelease {
            manifest: ended.manifest,
            deployment: ended.deployment.clone(),
            reason: reason.to_owned(),
        });
        let Kept { plan, detail, confirmed_at, recall_window_ms, fallback_manifest, reboots_per_day } = *kept;
        self.reboots_per_day = reboots_per_day;
        (self.plan, self.phase, self.detail) = (Some(plan), Phase::Confirmed, detail);
        (self.confirmed_at, self.recall_window_ms) = (confirmed_at, recall_window_ms);
        self.fallback_manifest = fallback_manifest;
    }

    /// Decodes a journal of this or an earlier version.
    ///
    /// # Errors
    /// It is not a journal.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut bytes = bytes.to_vec();
        let mut decoded = wire::decode(&bytes);
        for _ in 0..ADDED_FIELDS {
            if decoded.is_ok() {
                break;
            }
            bytes.push(0);
            decoded = wire::decode(&bytes);
        }
        decoded
    }

    /// A device that was confirmed before confirmations were dated: its recall window begins now. Returns whether it was one.
    pub(crate) fn date_confirmation(&mut self, now: UtcMillis) -> bool {
        let is_undated = self.phase == Phase::Confirmed && self.confirmed_at.is_none();
        if is_undated {
            self.confirmed_at = Some(now);
            self.recall_window_ms.get_or_insert(RECALL_WINDOW_DEFAULT_MS);
        }
        is_undated
    }

    /// The end of the time in which the directive alone may call the device back from what it has confirmed.
    pub(crate) fn recall_ends_at(&self) -> Option<UtcMillis> {
        let window_ms = self.recall_window_ms.unwrap_or(RECALL_WINDOW_DEFAULT_MS);
        self.confirmed_at.filter(|_| self.phase == Phase::Confirmed).map(|at| at.plus_ms(window_ms))
    }

    /// Remembers an order that is followed.
    pub(crate) fn follow_order(&mut self, order: Digest) {
        self.orders_done.push(order);
        let surplus = self.orders_done.len().saturating_sub(ORDERS_DONE_MAX);
        self.orders_done.drain(..surplus);
    }

    /// Whether the plan ended without having been refused, so that the same deployment may begin again.
    pub(crate) fn may_begin_again(&self) -> bool {
        self.phase == Phase::Idle && [UNASKED, SETTLED].contains(&self.detail.as_str())
    }

    /// Whether the device failed too often to be given another release.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.failures >= QUARANTINE_FAILURES
    }

    /// The phase as it is reported.
    pub(crate) fn state(&self) -> InstallState {
        match self.phase {
            Phase::Idle => InstallState::Idle,
            Phase::Fetching => InstallState::Fetching,
            Phase::Staging => InstallState::Staging,
            Phase::Staged => InstallState::Staged,
            Phase::Activating { .. } => InstallState::Activating,
            Phase::Probation { .. } => InstallState::Probation,
            Phase::Confirmed => InstallState::Confirmed,
            Phase::Failed => InstallState::Failed,
            Phase::RollingBack { .. } => InstallState::RollingBack,
            Phase::RolledBack => InstallState::RolledBack,
            Phase::RollbackFailed => InstallState::RollbackFailed,
        }
    }
}

/// A journal with these bytes in it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = Journal::decode(bytes);
}
