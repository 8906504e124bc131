//! A confirmed disposal under way: in pieces, so that decisions come in between.

use std::collections::BTreeSet;

use crate::Command;
use crate::desk::{Submission, system};
use crate::retention::Expired;

/// Entries whose payload is taken away in one go.
const AT_ONCE: usize = 100_000;

#[derive(Debug)]
pub(super) struct Disposal {
    id: String,
    expired: Expired,
    /// Records that a published checkpoint must cover first: the order for it is among them.
    after: u64,
}

/// What comes behind a piece.
pub(super) enum Step {
    /// The next pieces.
    GoesOn(Disposal),
    /// Nothing; this is to be recorded.
    Done(Box<Submission>),
}

impl Disposal {
    pub(super) fn new(id: String, expired: Expired, after: u64) -> Self {
        Self { id, expired, after }
    }

    /// Whether it may go on under a published checkpoint of this size.
    pub(super) fn may_begin(&self, published: u64) -> bool {
        self.after <= published
    }

    /// The entries whose payload goes now, and what comes behind them.
    pub(super) fn next(mut self) -> (BTreeSet<u64>, Step) {
        let rest = self.expired.entries.iter().nth(AT_ONCE).copied();
        let later = rest.map_or_else(Default::default, |first| self.expired.entries.split_off(&first));
        let now = std::mem::replace(&mut self.expired.entries, later);
        if !self.expired.entries.is_empty() {
            tracing::info!(disposal = %self.id, left = self.expired.entries.len(), "disposing of expired records");
            return (now, Step::GoesOn(self));
        }
        let Self { id: disposal, expired: Expired { devices, deployments, .. }, .. } = self;
        let command = Command::CarriedOut { disposal, devices, deployments };
        (now, Step::Done(Box::new(Submission::new(system(), command))))
    }
}
