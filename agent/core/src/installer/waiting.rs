//! What an installation waits for, as far as journal, device and directive show it (DESIGN §10.7). The gateway adds what it alone knows:
//! why an image does not come, and why nothing new is started.

use mdfm_shared::directive::{Finish, Window};
use mdfm_shared::text::duration;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::waiting::{WaitCode, Waiting};

use super::DesiredState::{Hold, Install, Nothing, Rollback};
use super::state::Phase;
use super::step::Installer;
use super::{Now, Target};

impl Installer {
    /// What the device is asked for.
    pub(crate) fn target(&self) -> Option<&Target> {
        match &self.desired {
            Some(Install(target) | Hold(target)) => Some(target),
            Some(Rollback { .. } | Nothing) | None => None,
        }
    }

    /// Whether the directive holds the device.
    pub(crate) fn is_held_by_directive(&self) -> bool {
        matches!(self.desired, Some(Hold(_)))
    }

    /// Whether the coordinator's newest word names the device.
    pub(crate) fn is_asked(&self) -> bool {
        !matches!(self.desired, None | Some(Nothing))
    }

    /// Why what the directive asks for is not done; `None` if it is done, or is on its way. `now` is trusted time.
    pub(crate) fn waits_for(&self, now: Now) -> Option<Waiting> {
        let (attached, in_use) = (self.is_attached(now.mono), self.is_in_use());
        let not_connected = || {
            let detail = if self.report.is_some() { "it does not report any more" } else { "it has never reported" };
            Waiting::new(WaitCode::DeviceNotConnected, detail)
        };
        match &self.journal.phase {
            Phase::RollbackFailed => Some(Waiting::new(WaitCode::ManualIntervention, &*self.journal.detail)),
            Phase::RollingBack { .. } | Phase::Activating { .. } => {
                (in_use && attached).then(|| Waiting::new(WaitCode::InUse, ""))
            }
            Phase::Probation { .. } => None,
            Phase::Fetching => (!attached && self.image_ready.is_some()).then(not_connected),
            Phase::Staging => (!attached).then(not_connected),
            Phase::Staged => self.activation_waits_for(now).or_else(|| {
                if !attached {
                    return Some(not_connected());
                }
                in_use.then(|| Waiting::new(WaitCode::InUse, ""))
            }),
            Phase::Confirmed if self.journal.plan.as_ref().is_some_and(|plan| self.is_called_back(plan)) => {
                if let Some(why) = self.why_it_stays(now) {
                    return Some(Waiting::new(WaitCode::RollbackOrder, why));
                }
                if attached { in_use.then(|| Waiting::new(WaitCode::InUse, "")) } else { Some(not_connected()) }
            }
            Phase::Idle | Phase::Confirmed | Phase::Failed | Phase::RolledBack => {
                let target = self.target()?;
                let plan = self.journal.plan.as_ref().filter(|p| p.manifest == target.digest);
                let is_plan = plan.is_some_and(|p| p.deployment == target.deployment);
                let refused = self.journal.refused.as_ref();
                let refused = refused.filter(|r| r.manifest == target.digest && r.deployment == target.deployment);
                match &self.journal.phase {
                    // Done, by this deployment or an earlier one.
                    Phase::Confirmed | Phase::RolledBack if plan.is_some() => None,
                    // Somebody gave the device other firmware by hand, and the same deployment does not fight with people.
                    Phase::Idle if is_plan && !self.journal.may_begin_again() => {
                        Some(Waiting::new(WaitCode::ReleaseRefused, &*self.journal.detail))
                    }
                    Phase::Failed if is_plan => Some(Waiting::of_failure(&self.journal.detail)),
                    _ if refused.is_some() => refused.map(|r| Waiting::of_failure(&r.reason)),
                    _ => (!attached).then(not_connected),
                }
            }
        }
    }

    /// Why the device may not be activated now, whatever it says of itself.
    fn activation_waits_for(&self, now: Now) -> Option<Waiting> {
        if let Some(reason) = &self.journal.held {
            return Some(Waiting::new(WaitCode::HeldOnSite, &**reason));
        }
        let target = match &self.desired {
            Some(Hold(_)) => return Some(Waiting::new(WaitCode::HeldByVendor, "")),
            Some(Rollback { .. } | Nothing) | None => return None,
            Some(Install(target)) => target,
        };
        if now.utc >= target.expires_at {
            let detail = format!("it ended at {}", target.expires_at);
            return Some(Waiting::new(WaitCode::DirectiveExpired, detail));
        }
        if !target.is_confirmed {
            return Some(Waiting::new(WaitCode::Unconfirmed, ""));
        }
        let (windows, finish) = target.windows.as_ref()?;
        let need_ms = if *finish == Finish::Inside { self.activation_ms() } else { 0 };
        if windows.iter().any(|w| w.holds(now.utc, need_ms)) {
            return None;
        }
        Some(window_closed(windows, now.utc, need_ms))
    }
}

/// The reason of a device for which no window is open.
fn window_closed(windows: &[Window], now: UtcMillis, need_ms: u64) -> Waiting {
    let is_long_enough = |w: &&Window| w.opens_at.plus_ms(need_ms) <= w.closes_at;
    let next = windows.iter().filter(|w| w.opens_at > now).find(is_long_enough);
    let is_open = windows.iter().any(|w| w.holds(now, 0));
    let need = duration(need_ms);
    let too_short = format!("what is left of this one is shorter than activation and trial ({need})");
    let detail = match (next, is_open) {
        (Some(next), false) => format!("the next one opens at {}", next.opens_at),
        (Some(next), true) => format!("{too_short}; the next one opens at {}", next.opens_at),
        (None, false) => "no further window opens before the directive expires".to_owned(),
        (None, true) => too_short,
    };
    Waiting::new(WaitCode::Window, detail).until(next.map(|w| w.opens_at))
}
