//! systemd's notifications (sd_notify(3)). Without systemd there is nobody to notify and all of this does nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service is up.
pub fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The service ends in order.
pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Feeds the watchdog from the main loop's own progress: a loop that hangs feeds no more, and systemd starts the service anew.
#[derive(Debug)]
pub struct Watchdog {
    every: Option<Duration>,
    fed: Option<Instant>,
}

impl Watchdog {
    /// As systemd asks for it (WatchdogSec=).
    pub fn new() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|limit| limit / 3), fed: None }
    }

    /// How often [`Self::progress`] must be called at least; none without a watchdog.
    pub fn every(&self) -> Option<Duration> {
        self.every
    }

    /// The loop has come round once more.
    pub fn progress(&mut self, now: Instant) {
        let Some(every) = self.every else { return };
        if self.fed.is_none_or(|at| now.duration_since(at) >= every) {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            self.fed = Some(now);
        }
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::new()
    }
}
