//! Witnesses of the audit log: what each has seen, who is away, and what the coordinator may publish because of them.

use mdfm_shared::tlog::{Checkpoint, Cosigner, verify_consistency};

use super::super::oracle::Broken;
use super::super::setup;
use super::{Event, World};

/// Time until a witness that did not answer is asked again.
const AGAIN_MS: u64 = 5_000;

/// One witness.
pub(super) struct Witness {
    cosigner: Cosigner,
    seen: Option<Checkpoint>,
    /// Its line under the note that waits.
    line: Option<String>,
    away_until_ms: u64,
}

/// All of them, and the note that waits for their lines.
#[derive(Default)]
pub(super) struct Panel {
    witnesses: Vec<Witness>,
    threshold: usize,
    note: Option<String>,
    /// Size of the newest checkpoint that enough of them have seen.
    seen_by_enough: u64,
}

impl Panel {
    pub(super) fn new(number: usize, threshold: usize) -> Self {
        let witness = |n| Witness { cosigner: setup::witness(n), seen: None, line: None, away_until_ms: 0 };
        Self { witnesses: (0..number).map(witness).collect(), threshold, ..Self::default() }
    }

    /// Whether gateways may act on the record at this index of the log: enough witnesses have seen it.
    pub(super) fn have_seen(&self, index: u64) -> bool {
        self.threshold == 0 || index < self.seen_by_enough
    }
}

impl World<'_> {
    pub(super) fn witness_away(&mut self, witness: usize, for_s: u64) {
        self.panel.witnesses[witness].away_until_ms = self.now_ms + for_s * 1_000;
    }

    /// Takes the newest signed checkpoint to the witnesses.
    pub(super) fn ask_witnesses(&mut self) {
        let Some(note) = self.coordinator.take_signed() else { return };
        if self.panel.witnesses.is_empty() || self.panel.note.as_ref() == Some(&note) {
            return;
        }
        self.panel.witnesses.iter_mut().for_each(|witness| witness.line = None);
        if self.panel.note.replace(note).is_none() {
            let delay = self.chain_rng.between(20, 2_000);
            self.after(delay, Event::Witnesses);
        }
    }

    /// Every witness that is there cosigns the note that waits, if it continues what it has seen; then the coordinator hears of it.
    pub(super) fn witnesses_answer(&mut self) -> Result<(), Broken> {
        let Some(note) = self.panel.note.clone() else { return Ok(()) };
        if !self.coordinator_up {
            // Its log brings a note again once it has started.
            self.panel.note = None;
            return Ok(());
        }
        let broken = |what: &str, e: &dyn std::fmt::Display| Broken::new(&format!("witnesses: {what}: {e}"));
        let new = Checkpoint::open(note.as_bytes(), setup::log_signer().key())
            .map_err(|e| broken("a checkpoint of nobody", &e))?;
        let (now_ms, calm, seconds) = (self.now_ms, self.calm, self.utc().0 / 1_000);
        let (mut cosigned, mut is_news) = (note.clone(), false);
        for witness in &mut self.panel.witnesses {
            if witness.line.is_none() && (calm || witness.away_until_ms <= now_ms) {
                if let Some(seen) = &witness.seen {
                    let proof = self.coordinator.consistency(seen.size, new.size);
                    let proof =
                        proof.ok_or_else(|| broken("the log is shorter than what a witness has seen", &seen.size))?;
                    verify_consistency(seen.size, new.size, &proof, &seen.root, &new.root)
                        .map_err(|e| broken("the log does not continue what a witness has seen", &e))?;
                }
                let line = witness.cosigner.cosign(note.as_bytes(), seconds);
                witness.line = Some(line.map_err(|e| broken("a note that cannot be cosigned", &e))?);
                witness.seen = Some(new.clone());
                is_news = true;
            }
            cosigned.extend(witness.line.clone());
        }
        let lines = self.panel.witnesses.iter().filter(|witness| witness.line.is_some()).count();
        if lines >= self.panel.threshold {
            self.panel.seen_by_enough = self.panel.seen_by_enough.max(new.size);
        }
        if lines == self.panel.witnesses.len() {
            self.panel.note = None;
        } else {
            self.after(AGAIN_MS, Event::Witnesses);
        }
        if is_news {
            self.coordinator.cosigned(&cosigned)?;
            self.spread()?;
        }
        Ok(())
    }
}
