//! Documents from the coordinator: each is accepted and made durable, refused and reported, or asks a question about the log first.

use mdfm_shared::tlog::Hash;
use mdfm_shared::wire::Topic;

use super::{Gateway, GatewayError, NEWS_MS, Output};
use crate::installer::Now;
use crate::store::{Store, Write};
use crate::trust::{Question, Refused, Taken};

impl<S: Store> Gateway<S> {
    /// A message from the coordinator, or from whoever holds its place.
    pub fn message(&mut self, now: Now, topic: &str, payload: &[u8]) -> Result<(), GatewayError> {
        self.hears_authority |= matches!(Topic::parse(topic), Some(Topic::Withdrawals | Topic::RollbackOrders(_)));
        // One question at a time; the heartbeat and the next checkpoint bring the rest again.
        let question = self.take(now, topic, payload)?;
        self.ask(question);
        Ok(())
    }

    fn ask(&mut self, question: Option<Box<Question>>) {
        if let Some(question) = question.filter(|_| self.asking.is_none()) {
            let (old, new) = (question.old.size, question.new.size);
            self.outputs.push_back(Output::AskConsistency { old, new });
            self.asking = Some(question);
        }
    }

    /// Takes a document, refuses it, or gives the question about the log that must be answered first.
    pub(super) fn take(
        &mut self,
        now: Now,
        topic: &str,
        payload: &[u8],
    ) -> Result<Option<Box<Question>>, GatewayError> {
        let trusted = self.time.trusted(now).utc;
        let mut is_directive = false;
        let taken = match Topic::parse(topic) {
            Some(Topic::TrustRoot(_)) => self.trust.take_root(payload),
            Some(Topic::Roster) => self.trust.take_roster(payload),
            Some(Topic::Withdrawals) => self.trust.take_withdrawals(payload, trusted),
            Some(Topic::RollbackOrders(gateway)) if gateway == self.who.gateway => {
                self.trust.take_orders(payload, trusted)
            }
            Some(Topic::Directive(_)) => {
                let taken = self.trust.take_directive(payload);
                if taken.is_ok() {
                    self.note_arrival(now);
                    is_directive = true;
                } else if !self.has_rival && self.trust.is_rival(payload) {
                    self.note_rival(now);
                }
                taken
            }
            Some(Topic::Checkpoint) => self.trust.take_checkpoint(payload),
            Some(Topic::Release(digest)) => {
                // Without the roster nothing can be judged yet; it is asked for in the heartbeat.
                if self.trust.roster_version() == 0 {
                    return Ok(None);
                }
                let taken = self.trust.take_release(digest, payload, trusted);
                self.note_evidence(digest, taken.as_ref().err().map(|refused| refused.reason.clone()));
                taken
            }
            Some(Topic::Question(_)) => match self.trust.take_question(payload) {
                Ok(request) => {
                    self.note_answer(now);
                    self.observed(now, &request)?;
                    return Ok(None);
                }
                Err(refused) => Err(refused),
            },
            Some(Topic::Ack(_)) => match self.trust.take_ack(payload) {
                Ok(ack) => {
                    self.note_answer(now);
                    let writes = self.outbox.acknowledge(now.mono, &ack)?;
                    self.record(now, None, [], writes)?;
                    return Ok(None);
                }
                Err(refused) => Err(refused),
            },
            Some(Topic::Chain(_)) => match self.trust.take_head(payload) {
                Ok(head) => {
                    self.note_answer(now);
                    self.take_head(now, &head)?;
                    return Ok(None);
                }
                Err(refused) => Err(refused),
            },
            _ => return Ok(None),
        };
        let question = self.taken(now, taken)?;
        if is_directive {
            self.note_directive(now)?;
        }
        Ok(question)
    }

    /// Makes durable what was accepted, reports what was refused, and gives the question that must be answered first.
    fn taken(&mut self, now: Now, taken: Result<Taken, Refused>) -> Result<Option<Box<Question>>, GatewayError> {
        let question = match taken {
            Ok(Taken::Nothing) => None,
            Ok(Taken::Accepted(writes)) => {
                self.take_up_besides(now)?;
                self.accepted(now, writes)?;
                None
            }
            Ok(Taken::Asks(question)) => Some(question),
            Err(refused) => {
                self.refuse(now, None, &refused)?;
                None
            }
        };
        self.take_up_besides(now)?;
        Ok(question)
    }

    /// Makes durable, reports and counts what came beside a document.
    pub(super) fn take_up_besides(&mut self, now: Now) -> Result<(), GatewayError> {
        let besides = self.trust.drain();
        for signed_at in besides.signed_times {
            if let Some(reason) = self.time.verified(now, signed_at) {
                self.refuse(now, None, &Refused { what: "clock", reason })?;
            }
        }
        if !besides.writes.is_empty() {
            self.record(now, None, [], besides.writes)?;
        }
        for problem in besides.problems {
            self.refuse(now, None, &problem)?;
        }
        Ok(())
    }

    fn accepted(&mut self, now: Now, writes: Vec<Write>) -> Result<(), GatewayError> {
        self.record(now, None, [], writes)?;
        self.outputs.extend(self.trust.missing_releases().into_iter().map(Output::WantRelease));
        self.next_heartbeat = now.mono.plus_ms(NEWS_MS).min(self.next_heartbeat);
        self.judge_time(now)?;
        self.update_desired(now)
    }

    /// The answer to the question that stands; none if it could not be had.
    pub fn consistency(&mut self, now: Now, proof: Option<&[Hash]>) -> Result<(), GatewayError> {
        if let (Some(question), Some(proof)) = (self.asking.take(), proof) {
            let next = self.answer(now, *question, proof)?;
            self.ask(next);
        }
        Ok(())
    }

    /// Takes the answer to a question; gives the next one, where a message raised several.
    pub(super) fn answer(
        &mut self,
        now: Now,
        question: Question,
        proof: &[Hash],
    ) -> Result<Option<Box<Question>>, GatewayError> {
        let taken = self.trust.answer(question, proof, self.time.trusted(now).utc);
        self.troubles.proof = taken.as_ref().err().map(|refused| refused.reason.clone());
        self.taken(now, taken)
    }
}
