//! What the deciding thread does, without the thread: commands in; records that become durable, checkpoints, answers and messages out, in that
//! order by construction.
//!
//! Whoever drives it calls [`Engine::handle`] with what waits, and [`Engine::commit`] with what that gave: only the commit hands out answers and
//! messages, after the log has taken the records. The coordinator's thread does so with its audit log, the world in virtual time with one in memory.

mod disposal;
mod publication;

use mdfm_shared::sign::SecretKey;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::LogWriter;

use crate::desk::{Desk, DeskError, Outbound, Round, Submission};
use crate::presence::Presence;
use crate::refusal;
use crate::retention::Expired;
use crate::urgency::Room;
use crate::{Command, Refusal, State};

use disposal::{Disposal, Step};
use publication::Publication;

/// What the engine keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A device that is not heard of for so long is silent, in milliseconds.
    pub silence_ms: u64,
    /// Bytes that one gateway may add to the log in a day.
    pub gateway_bytes_per_day: u64,
}

/// What was decided, not yet durable: [`Engine::commit`] makes it so and gives what follows.
#[must_use]
#[derive(Debug)]
pub struct Batch {
    round: Round,
    now: UtcMillis,
}

/// What follows once the records are durable.
#[derive(Debug, Default)]
pub struct Committed {
    /// One for each submission, in their order.
    pub answers: Vec<Result<(), Refusal>>,
    /// Messages to the fleet, in order.
    pub outbound: Vec<Outbound>,
    /// Gateways whose certificates are no longer the same: revoked, or enrolled again.
    pub revoked: u64,
    /// The note of the checkpoint that was signed now, for the witnesses.
    pub checkpoint: Option<String>,
}

/// Decides, publishes and disposes.
#[derive(Debug)]
pub struct Engine {
    desk: Desk,
    room: Room,
    publication: Publication,
    disposal: Option<Disposal>,
    /// Whether messages were passed over since everything was last said.
    passed_over: bool,
}

impl Engine {
    /// The engine of an installation; everything that it remembers is made again after a restart.
    pub fn new(online_key: SecretKey, limits: Limits, started_at: UtcMillis) -> Self {
        let desk =
            Desk::new(online_key, limits.silence_ms, started_at).with_gateway_bytes(limits.gateway_bytes_per_day);
        Self { desk, room: Room::Ample, publication: Publication::default(), disposal: None, passed_over: false }
    }

    /// Sets how much room the log's disk has: with little of it only what stops harm is done.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
        self.desk.set_room(room);
    }

    /// Counts refusals that found no room on their way here.
    pub fn count_dropped(&mut self, state: &State, clock: UtcMillis, n: u64) {
        self.desk.count_dropped(state, clock, n);
    }

    /// When [`Self::handle`] should be called although nothing waits; `None` while the disk is full: then it does nothing, and what is due stays due.
    pub fn deadline(&self, state: &State) -> Option<UtcMillis> {
        (self.room > Room::Gone).then(|| self.desk.deadline(state))
    }

    /// Decides what waits, in order, and lets everything follow that follows automatically.
    ///
    /// # Errors
    /// Memory and log would disagree: stop, and replay the log.
    pub fn handle(
        &mut self,
        state: &mut State,
        now: UtcMillis,
        presence: &mut Presence,
        submissions: Vec<Submission>,
    ) -> Result<Batch, DeskError> {
        let room = self.room;
        let screened: Vec<Option<Refusal>> =
            submissions.iter().map(|submission| no_room_for(room, &submission.command)).collect();
        if room == Room::Gone {
            let answers = screened.into_iter().map(|refused| Err(refused.unwrap_or_else(|| no_room(room))));
            return Ok(Batch { round: Round { answers: answers.collect(), ..Round::default() }, now });
        }
        if screened.iter().all(Option::is_none) {
            return Ok(Batch { round: self.desk.round(state, now, presence, &submissions)?, now });
        }
        let admitted: Vec<Submission> = submissions
            .into_iter()
            .zip(&screened)
            .filter(|(_, refused)| refused.is_none())
            .map(|(submission, _)| submission)
            .collect();
        let mut round = self.desk.round(state, now, presence, &admitted)?;
        let mut answers = std::mem::take(&mut round.answers).into_iter();
        let answer = |refused: Option<Refusal>| refused.map_or_else(|| answers.next(), |refused| Some(Err(refused)));
        round.answers = screened.into_iter().filter_map(answer).collect();
        Ok(Batch { round, now })
    }

    /// Records what was counted so far; for the end.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn finish(&mut self, state: &mut State, now: UtcMillis) -> Result<Batch, DeskError> {
        if self.room == Room::Gone {
            return Ok(Batch { round: Round::default(), now });
        }
        Ok(Batch { round: self.desk.finish(state, now)?, now })
    }

    /// Makes a batch durable, then signs and publishes a checkpoint where one is due. Nobody may see the state before this has ended.
    ///
    /// # Errors
    /// The log cannot be written: memory and disk may disagree, only a replay is safe.
    pub fn commit<L: LogWriter>(&mut self, state: &State, batch: Batch, log: &mut L) -> Result<Committed, L::Error> {
        let Batch { round, now } = batch;
        let Round { entries, outbound, revoked, answers } = round;
        if !entries.is_empty() {
            log.append(&entries)?;
        }
        let mut committed = Committed { answers, outbound, revoked, checkpoint: None };
        if self.room > Room::Gone {
            self.publication.after(state, now, &mut committed, log)?;
        }
        Ok(committed)
    }

    /// Signs the last checkpoint, and publishes it where no witness must see it first.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn close<L: LogWriter>(&mut self, state: &State, log: &mut L) -> Result<(), L::Error> {
        self.publication.close(state, log)
    }

    /// Publishes a checkpoint that witnesses cosigned, when they are enough; gives it and whatever waited for it.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn handle_cosigned<L: LogWriter>(
        &mut self,
        state: &State,
        note: &str,
        log: &mut L,
    ) -> Result<Vec<Outbound>, L::Error> {
        self.publication.cosigned(state, note, log)
    }

    /// Begins to take the payloads of a confirmed disposal away: once a published checkpoint covers the order for it.
    pub fn dispose(&mut self, disposal: String, expired: Expired, log_size: u64) {
        self.disposal = Some(Disposal::new(disposal, expired, log_size));
        self.publication.hurry();
    }

    /// Whether a disposal is under way that has the room to go on.
    pub fn is_disposing(&self) -> bool {
        self.disposal.is_some() && self.room > Room::Gone
    }

    /// Takes the next payloads away; gives what is to be recorded when all of them are.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn go_on_disposing<L: LogWriter>(&mut self, log: &mut L) -> Result<Option<Submission>, L::Error> {
        let published = log.published().map_or(0, |(checkpoint, _)| checkpoint.size);
        if self.room == Room::Gone {
            return Ok(None);
        }
        let Some(disposal) = self.disposal.take_if(|disposal| disposal.may_begin(published)) else { return Ok(None) };
        let (entries, step) = disposal.next();
        log.dispose(&entries)?;
        Ok(match step {
            Step::GoesOn(rest) => {
                self.disposal = Some(rest);
                None
            }
            Step::Done(submission) => Some(*submission),
        })
    }

    /// Hands messages to whatever leads to the fleet. It is bounded: what finds no room is passed over, and everything is said again as soon as
    /// there is room, for only the newest state counts.
    pub fn tell(&mut self, messages: Vec<Outbound>, mut has_taken: impl FnMut(Outbound) -> bool) {
        for message in messages {
            self.passed_over |= !has_taken(message);
        }
        if self.passed_over && has_taken(Outbound::Everything) {
            tracing::warn!("too many messages to the fleet were waiting; everything is said again");
            self.passed_over = false;
        }
    }
}

/// Why a command is not taken with the room that is left; `None` if it is. A refusal is always answered as itself: the desk knows whether
/// it can be recorded.
fn no_room_for(room: Room, command: &Command) -> Option<Refusal> {
    match command {
        Command::Denied { refusal, .. } => (room == Room::Gone).then(|| refusal.clone()),
        command => (!room.admits(command.urgency())).then(|| no_room(room)),
    }
}

const FULL: &str = "the disk of the audit log is full: nothing can be recorded, so nothing is done";
const NEARLY_FULL: &str = "the disk of the audit log is nearly full: only what stops harm is done (sign-in, pause, abort, rollback, \
     recall, withdrawal, revocation)";

/// The refusal of what is not urgent enough for the room that is left.
pub fn no_room(room: Room) -> Refusal {
    let what = if room == Room::Gone { FULL } else { NEARLY_FULL };
    let detail = format!("{what}; free some space on it, the coordinator continues automatically");
    Refusal::new(refusal::Class::NoRoom, "disk-full", detail)
}

#[cfg(test)]
mod tests;
