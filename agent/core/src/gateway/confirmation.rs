//! Whether what this gateway is asked is still what the coordinator asks. The disk may have been put back since, and with it what people on
//! site had decided (decision 0050): after each start nothing is activated before the coordinator has said it again. Everything else goes
//! on without it.

use super::{Gateway, GatewayError, NEWS_MS};
use crate::installer::{DesiredState, Now};
use crate::store::Store;

/// How far the coordinator has confirmed the directive since the start of this process; volatile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// Nothing that it signed for this process has come. What a broker kept may be older than the coordinator's log.
    #[default]
    Silent,
    /// It has answered this process.
    Answered,
    /// Its directive came behind that, or a person brought it.
    Confirmed,
}

/// One heartbeat in this number names the directive that is held, whatever is confirmed: a coordinator whose own disk is older learns from it.
const TRUE_ONE_IN: u64 = 4;

/// Longest time between two heartbeats while the directive that is held is not confirmed.
const UNCONFIRMED_BEAT_MS: u64 = 15_000;

impl Confirmation {
    /// What a device is asked, with whether it may be activated because of it.
    pub(super) fn apply(self, desired: DesiredState) -> DesiredState {
        match desired {
            DesiredState::Install(mut target) => {
                target.is_confirmed = self == Self::Confirmed;
                DesiredState::Install(target)
            }
            other => other,
        }
    }

    /// The serial that a heartbeat names: the one before, while the directive is to come again. Every coordinator sends a directive that a
    /// gateway lacks.
    pub(super) fn serial_to_report(self, held: u64, heartbeat: u64) -> u64 {
        let is_true = self == Self::Confirmed || heartbeat % TRUE_ONE_IN == 1;
        if is_true { held } else { held.saturating_sub(1) }
    }
}

impl<S: Store> Gateway<S> {
    /// The time until the next heartbeat. A gateway that beats once an hour does not wait for its word for as long, if a message is lost.
    pub(super) fn beat_ms(&self) -> u64 {
        let waits = self.confirmation != Confirmation::Confirmed && self.trust.directive().is_some();
        if waits { self.who.heartbeat_ms.min(UNCONFIRMED_BEAT_MS) } else { self.who.heartbeat_ms }
    }

    /// The coordinator answered what this process sent.
    pub(super) fn note_answer(&mut self, now: Now) {
        if self.confirmation == Confirmation::Silent {
            self.confirmation = Confirmation::Answered;
            self.next_heartbeat = now.mono.plus_ms(NEWS_MS).min(self.next_heartbeat);
        }
    }

    /// The coordinator sent another directive under the serial that is held: it learns the next one, and goes on above it.
    pub(super) fn note_rival(&mut self, now: Now) {
        self.has_rival = true;
        self.next_heartbeat = now.mono.plus_ms(NEWS_MS).min(self.next_heartbeat);
    }

    /// The serial that the next heartbeat names.
    pub(super) fn serial_to_report(&self) -> u64 {
        let held = self.trust.directive_serial();
        if self.has_rival { held.saturating_add(1) } else { self.confirmation.serial_to_report(held, self.heartbeats) }
    }

    /// The newest directive came over the line, new or known.
    pub(super) fn note_directive(&mut self, now: Now) -> Result<(), GatewayError> {
        self.has_rival = false;
        if self.confirmation == Confirmation::Answered { self.confirm(now) } else { Ok(()) }
    }

    /// What is asked is what the coordinator asks.
    pub(super) fn confirm(&mut self, now: Now) -> Result<(), GatewayError> {
        if self.confirmation == Confirmation::Confirmed {
            return Ok(());
        }
        self.confirmation = Confirmation::Confirmed;
        self.update_desired(now)
    }
}
