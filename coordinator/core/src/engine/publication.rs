//! When checkpoints are signed, and when they may be shown: at once, or when enough witnesses have seen them.

use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Checkpoint, LogWriter, WitnessPolicy};

use super::Committed;
use crate::State;
use crate::desk::{Outbound, is_due};

/// Time between signed checkpoints while the log grows.
const CHECKPOINT_INTERVAL_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Publication {
    next_checkpoint: UtcMillis,
    /// Releases and rollback orders announced before a published checkpoint covered them, with the size of the log that covers them: of each the
    /// first time and the last.
    unproved: Vec<(u64, Outbound)>,
}

/// Whether the message is of no use without a checkpoint that covers it.
fn needs_proof(outbound: &Outbound) -> bool {
    matches!(outbound, Outbound::Release(_) | Outbound::RollbackOrders(_))
}

/// The witnesses that the newest trust root demands.
fn policy(state: &State) -> WitnessPolicy {
    state.trusted_root().map_or_else(WitnessPolicy::default, |root| root.witnesses().clone())
}

impl Publication {
    /// Lets the next checkpoint be signed at once.
    pub(super) fn hurry(&mut self) {
        self.next_checkpoint = UtcMillis(0);
    }

    /// Signs a checkpoint when one is due, or at once when a release or an order was announced: its proofs need one.
    pub(super) fn after<L: LogWriter>(
        &mut self,
        state: &State,
        now: UtcMillis,
        committed: &mut Committed,
        log: &mut L,
    ) -> Result<(), L::Error> {
        let is_due = is_due(&mut self.next_checkpoint, now, CHECKPOINT_INTERVAL_MS);
        if !is_due && !committed.outbound.iter().any(needs_proof) {
            return Ok(());
        }
        self.next_checkpoint = now.plus_ms(CHECKPOINT_INTERVAL_MS);
        let (checkpoint, note) = log.sign()?;
        if policy(state).threshold() > 0 {
            for outbound in committed.outbound.iter().filter(|o| needs_proof(o)) {
                self.wait_for_proof(checkpoint.size, outbound);
            }
        } else if log.published().is_none_or(|(held, _)| held.size != checkpoint.size) {
            log.publish(&note)?;
            committed.outbound.insert(0, Outbound::Checkpoint(note.clone()));
        }
        committed.checkpoint = Some(note);
        Ok(())
    }

    pub(super) fn close<L: LogWriter>(&mut self, state: &State, log: &mut L) -> Result<(), L::Error> {
        let (_, note) = log.sign()?;
        if policy(state).threshold() == 0 { log.publish(&note) } else { Ok(()) }
    }

    pub(super) fn cosigned<L: LogWriter>(
        &mut self,
        state: &State,
        note: &str,
        log: &mut L,
    ) -> Result<Vec<Outbound>, L::Error> {
        let policy = policy(state);
        let is_enough = policy.count(note.as_bytes()).is_ok_and(|found| found >= policy.threshold());
        let is_known = log.published().is_some_and(|(_, held)| held == note);
        if !is_enough || is_known {
            return Ok(Vec::new());
        }
        log.publish(note)?;
        // A note that comes late, behind a newer one, is not shown: whatever it covers went out with that one.
        let Some((Checkpoint { size: covered, .. }, _)) = log.published().filter(|(_, held)| held == note) else {
            return Ok(Vec::new());
        };
        let mut messages = vec![Outbound::Checkpoint(note.to_owned())];
        for (_, outbound) in self.unproved.extract_if(.., |(size, _)| *size <= covered) {
            if !messages.contains(&outbound) {
                messages.push(outbound);
            }
        }
        Ok(messages)
    }

    fn wait_for_proof(&mut self, size: u64, outbound: &Outbound) {
        let mut same = self.unproved.iter_mut().filter(|(_, o)| o == outbound);
        match (same.next(), same.next()) {
            (Some(_), Some((last, _))) => *last = size,
            _ => self.unproved.push((size, outbound.clone())),
        }
    }
}
