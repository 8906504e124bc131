//! The installer: one pure state machine per device. Input and time in, a journal record, events and effects out.
//!
//! The runner must make [`Outcome::persist`] durable, together with its events, before it can get at the effects: the type
//! gives them out in no other way. Every effect is safe to repeat; after a restart [`Installer::resume`] asks for them again.

mod accepting;
mod faults;
mod leaving;
mod set_back;
mod state;
mod step;
mod waiting;

#[cfg(test)]
mod tests;

use mdfm_shared::device::{Command, Fault, Refusal, Report};
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Finish, Window};
use mdfm_shared::id::DeploymentId;
use mdfm_shared::manifest::Manifest;
use mdfm_shared::telemetry::EventKind;
use mdfm_shared::time::{MonotonicMs, UtcMillis};

use crate::image::Image;
pub use state::BootId;
pub(crate) use state::Journal;
#[cfg(fuzzing)]
pub(crate) use state::fuzz;
pub(crate) use step::Installer;

/// The two clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Counts on within one boot of the gateway, over suspend too.
    pub mono: MonotonicMs,
    /// May jump; inside the gateway it is held to trusted time first.
    pub utc: UtcMillis,
}

/// What the directive asks of the device, its evidence already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DesiredState {
    /// Bring the device to this release.
    Install(Target),
    /// As `Install`, but activate nothing.
    Hold(Target),
    /// Leave this release for the one before.
    Rollback {
        /// Digest of the manifest to leave.
        manifest: Digest,
        /// The deployment that brought it.
        deployment: DeploymentId,
        /// The orders by which people let this device leave it.
        authorities: Vec<Authority>,
        /// Why the release before, to which the device would return, was withdrawn; `None` if it was not.
        fallback_withdrawn: Option<String>,
    },
    /// Nothing: the directive that is held does not name the device. What an earlier one asked for is not asked for any more.
    Nothing,
}

/// A verified rollback order that covers one device and one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Digest of the order: a device follows it once.
    pub(crate) order: Digest,
    /// Its name for people.
    pub(crate) label: String,
    /// Whether the device may return below its security floor.
    pub(crate) below_floor: bool,
    /// Past this time it starts nothing.
    pub(crate) expires_at: UtcMillis,
}

/// A release as an installer needs it, made only from an approved one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) deployment: DeploymentId,
    /// The floor that the coordinator asks for.
    pub(crate) security_floor: u32,
    /// Past this wall-clock time nothing new is started for this target.
    pub(crate) expires_at: UtcMillis,
    /// Past this wall-clock time the release is not begun; `None` if at any time.
    pub(crate) start_by: Option<UtcMillis>,
    /// The only times in which the device may be activated; none for any time.
    pub(crate) windows: Option<(Vec<Window>, Finish)>,
    /// Whether the image flows from the network straight into the slot, which lies on this gateway; else it is verified in the
    /// cache first.
    pub(crate) streams: bool,
    /// Why the release was withdrawn; `None` if it was not. A withdrawn one is never activated.
    pub(crate) withdrawn: Option<String>,
    /// Whether the coordinator has confirmed since the start of this process that this is what it asks. The gateway's disk may be older
    /// than what people decided since: nothing is activated before.
    pub(crate) is_confirmed: bool,
}

impl Target {
    /// Whether work of `need_ms` may begin `at`.
    fn may_begin(&self, at: UtcMillis, need_ms: u64) -> bool {
        self.withdrawn.is_none()
            && self.is_confirmed
            && at < self.expires_at
            && self.windows.as_ref().is_none_or(|(windows, finish)| {
                let need_ms = if *finish == Finish::Inside { need_ms } else { 0 };
                windows.iter().any(|w| w.holds(at, need_ms))
            })
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// What the newest directive asks; `None` while that is not known: no directive is held, or the evidence of its release is missing.
    Desired(Option<DesiredState>),
    /// The device's state as it says.
    Report(Report),
    /// A fault that the device reported.
    Fault(Fault),
    /// Reboots that nobody ordered, in the last 24 hours under the running firmware: before those that were found now, and with them.
    Reboots { before: u32, now: u32 },
    /// The image is whole and verified in the gateway's cache.
    ImageReady(Digest),
    /// The image cannot be had: it is not what the manifest names.
    ImageRefused(Digest, String),
    /// The device refused an order of the staging that stands.
    StagingRefused(Refusal),
    /// Somebody on site did this, under this Unix user id.
    OnSite(OnSite, u32),
    /// The journal may be older than the device, which has just reported.
    SetBack,
    /// Time passed.
    Tick,
}

/// What somebody beside the device may do, with who and why in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnSite {
    /// Leave the device as it is: activate nothing.
    Hold(String),
    /// End a hold, and a quarantine.
    Release(String),
    /// Return to the firmware before.
    RollBack(String),
}

/// What the shell shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Get the image into the cache, verified; answer with `ImageReady` or `ImageRefused`.
    FetchImage(Image),
    /// Write the image into the inactive slot, going on where the device's report says: from the cache, or from the network.
    StageImage(Image),
    /// Stop writing.
    StopStaging,
    /// Give the device an order.
    Send(Command),
}

/// What one step decided. The effects come out only after the record is durable.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    journal: Option<Journal>,
    events: Vec<EventKind>,
    effects: Vec<Effect>,
}

impl Outcome {
    /// Hands the journal record (none if nothing changed) and the events to `write`; gives the effects once it succeeded.
    ///
    /// # Errors
    /// Whatever `write` says; the effects are lost then and come again after a restart.
    pub(crate) fn persist<E>(
        self,
        write: impl FnOnce(Option<&Journal>, Vec<EventKind>) -> Result<(), E>,
    ) -> Result<Vec<Effect>, E> {
        if self.journal.is_some() || !self.events.is_empty() {
            write(self.journal.as_ref(), self.events)?;
        }
        Ok(self.effects)
    }
}
