//! What is counted in place of being kept.

use std::fmt;

use mdfm_shared::telemetry::{
    EventKind, REFUSED_CARRIED, REFUSED_FLOOD, REFUSED_QUARANTINE, REFUSED_ROLLBACK, Severity,
};
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

/// Refusals that are acts of the installation, or marks of the chain.
const NEVER_DROPPED: [&str; 3] = [REFUSED_ROLLBACK, REFUSED_QUARANTINE, REFUSED_CARRIED];

/// Events that may be cut, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Fault,
    CriticalFault,
    /// Messages that break the local protocol.
    Malformed,
    /// Documents that were refused.
    Refusal,
    Other,
}

impl Class {
    /// The class of an event; `None` if it must never be dropped.
    pub(crate) fn of(kind: &EventKind) -> Option<Self> {
        match kind {
            EventKind::DeviceError { severity: Severity::Critical, .. } => Some(Self::CriticalFault),
            EventKind::DeviceError { .. } => Some(Self::Fault),
            EventKind::Refused { what, .. } if NEVER_DROPPED.contains(&what.as_str()) => None,
            EventKind::Refused { what, .. } if what == "device" => Some(Self::Malformed),
            EventKind::Refused { .. } => Some(Self::Refusal),
            // The coordinator asks again for an observation that it lacks.
            EventKind::AgentStarted { .. } | EventKind::DeviceObserved { .. } => Some(Self::Other),
            EventKind::StateChanged { .. }
            | EventKind::DeviceAdopted { .. }
            | EventKind::LocalAction { .. }
            | EventKind::Consent { .. } => None,
        }
    }
}

/// Events that were not kept, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    faults: u64,
    critical_faults: u64,
    malformed: u64,
    refusals: u64,
    others: u64,
    /// Of all these: how many had been recorded and were dropped because the outbox was full or they were too old.
    dropped: u64,
}

impl Counts {
    /// Counts one event that was not recorded.
    pub(crate) fn count(&mut self, class: Class) {
        let field = match class {
            Class::Fault => &mut self.faults,
            Class::CriticalFault => &mut self.critical_faults,
            Class::Malformed => &mut self.malformed,
            Class::Refusal => &mut self.refusals,
            Class::Other => &mut self.others,
        };
        *field = field.saturating_add(1);
    }

    /// Counts one event that was recorded and is dropped.
    pub(super) fn count_dropped(&mut self, class: Class) {
        self.count(class);
        self.dropped = self.dropped.saturating_add(1);
    }

    pub(super) fn add(&mut self, more: &Self) {
        for (field, more) in [
            (&mut self.faults, more.faults),
            (&mut self.critical_faults, more.critical_faults),
            (&mut self.malformed, more.malformed),
            (&mut self.refusals, more.refusals),
            (&mut self.others, more.others),
            (&mut self.dropped, more.dropped),
        ] {
            *field = field.saturating_add(more);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        [self.faults, self.critical_faults, self.malformed, self.refusals, self.others]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// The event that says so. It is of a kind that every coordinator knows.
    pub(crate) fn event(&self, from: UtcMillis, to: UtcMillis) -> EventKind {
        let total = self.total();
        let are = if total == 1 { "is" } else { "are" };
        let reason = format!("{} between {from} and {to} {are} counted and not kept: {self}", count(total, "event"));
        EventKind::Refused { what: REFUSED_FLOOD.into(), reason }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "faults {}, critical faults {}, malformed messages {}, refusals {}, others {}; of these {} dropped from a full outbox",
            self.faults, self.critical_faults, self.malformed, self.refusals, self.others, self.dropped
        )
    }
}
