//! What leaves the engine, when, and what it does while the log's disk is full or a witness is slow.

use std::collections::BTreeSet;

use mdfm_shared::digest::Digest;
use mdfm_shared::fixture::page::symptom;
use mdfm_shared::fixture::{NOW, key, log_signer, root, signed};
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::tlog::{Checkpoint, Cosigner, Tree};
use mdfm_shared::trust::Witnesses;

use super::*;

const LIMITS: Limits = Limits { silence_ms: 60_000, gateway_bytes_per_day: 1 << 20 };

/// A log in memory that can fail, and what was done to it in order.
#[derive(Default)]
struct Log {
    tree: Tree,
    fails: bool,
    done: Vec<String>,
    published: Option<(Checkpoint, String)>,
}

impl LogWriter for Log {
    type Error = &'static str;
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), &'static str> {
        if self.fails {
            return Err("no disk");
        }
        entries.iter().for_each(|entry| self.tree.push(entry));
        self.done.push(format!("append {}", entries.len()));
        Ok(())
    }
    fn sign(&mut self) -> Result<(Checkpoint, String), &'static str> {
        let origin = log_signer().key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: self.tree.size(), root: self.tree.root() };
        self.done.push(format!("sign {}", checkpoint.size));
        let note = checkpoint.sign(&log_signer()).map_err(|_| "no key")?;
        Ok((checkpoint, note))
    }
    fn publish(&mut self, note: &str) -> Result<(), &'static str> {
        let checkpoint = Checkpoint::open(note.as_bytes(), log_signer().key()).map_err(|_| "no note")?;
        self.done.push(format!("publish {}", checkpoint.size));
        if self.published.as_ref().is_some_and(|(held, _)| held.size > checkpoint.size) {
            return Ok(());
        }
        self.published = Some((checkpoint, note.to_owned()));
        Ok(())
    }
    fn published(&self) -> Option<(Checkpoint, String)> {
        self.published.clone()
    }
    fn dispose(&mut self, entries: &BTreeSet<u64>) -> Result<(), &'static str> {
        self.done.push(format!("dispose {}", entries.len()));
        Ok(())
    }
}

struct Desk {
    engine: Engine,
    state: State,
    log: Log,
}

impl Desk {
    /// An installation with one witness, or without any.
    fn new(witness: Option<&Cosigner>) -> Self {
        let mut desk = Self { engine: Engine::new(key(12), LIMITS, NOW), state: State::default(), log: Log::default() };
        let mut root = root(1);
        root.witnesses = Witnesses {
            keys: witness.iter().map(|w| w.key().to_vkey()).collect(),
            threshold: u16::from(witness.is_some()),
        };
        let answers = desk.round(NOW, vec![submission(Command::AddTrustRoot { root: signed(&root, &[1, 2]) })]).answers;
        assert!(answers[0].is_ok(), "{answers:?}");
        desk
    }

    fn round(&mut self, now: UtcMillis, submissions: Vec<Submission>) -> Committed {
        let batch = self.engine.handle(&mut self.state, now, &mut Presence::default(), submissions).expect("applies");
        self.engine.commit(&self.state, batch, &mut self.log).expect("the log takes it")
    }

    /// Commits a record and a message that is of no use without a proof.
    fn announce(&mut self, now: UtcMillis, n: u8) -> Committed {
        let mut batch =
            self.engine.handle(&mut self.state, now, &mut Presence::default(), Vec::new()).expect("applies");
        batch.round.entries.push(vec![n]);
        batch.round.outbound.push(Outbound::Release(Digest([n; 32])));
        self.engine.commit(&self.state, batch, &mut self.log).expect("the log takes it")
    }
}

fn submission(command: Command) -> Submission {
    Submission::new(Actor { kind: ActorKind::User, id: "admin".into(), roles: vec![] }, command)
}

fn hospital(n: usize) -> Submission {
    let hospital = format!("H-{n}").parse().expect("a good id");
    submission(Command::RegisterHospital { hospital, name: "Hospital".into(), cohort: None, timezone: None })
}

fn cosigned(witness: &Cosigner, note: &str) -> String {
    format!("{note}{}", witness.cosign(note.as_bytes(), NOW.0 / 1_000).expect("cosigns"))
}

#[test]
fn nothing_leaves_before_the_log_has_taken_it() {
    let mut desk = Desk::new(None);
    desk.log.fails = true;
    let submissions = vec![hospital(1)];
    let batch = desk.engine.handle(&mut desk.state, NOW, &mut Presence::default(), submissions).expect("applies");
    assert!(!batch.round.entries.is_empty());
    assert_eq!(desk.engine.commit(&desk.state, batch, &mut desk.log).err(), Some("no disk"));
}

#[test]
fn a_checkpoint_comes_before_the_messages_that_it_proves() {
    let mut desk = Desk::new(None);
    desk.log.done.clear();
    let size = desk.log.tree.size();
    let committed = desk.announce(NOW.plus_ms(1), 7);
    let words = ["append 1".to_owned(), format!("sign {}", size + 1), format!("publish {}", size + 1)];
    assert_eq!(desk.log.done, words, "although the last checkpoint is a moment old");
    let Some(Outbound::Checkpoint(note)) = committed.outbound.first() else { panic!("{:?}", committed.outbound) };
    assert_eq!(committed.checkpoint.as_ref(), Some(note));
    assert_eq!(committed.outbound[1], Outbound::Release(Digest([7; 32])));
    // Time passes and nothing was recorded: nothing is published again.
    let quiet = desk.round(NOW.plus_ms(20_000), Vec::new());
    assert!(quiet.outbound.is_empty(), "{:?}", quiet.outbound);
}

#[test]
fn fld_14_a_clock_set_back_stops_no_checkpoint() {
    let mut desk = Desk::new(None);
    desk.round(NOW.plus_ms(86_400_000), vec![hospital(1)]);
    let committed = desk.round(NOW, vec![hospital(2)]);
    assert!(committed.checkpoint.is_some(), "a day would pass without one");
}

#[test]
fn a_release_waits_for_the_checkpoint_that_covers_it() {
    let witness = Cosigner::new("witness.example/1", key(60)).expect("a good name");
    let mut desk = Desk::new(Some(&witness));
    let first = desk.announce(NOW.plus_ms(1), 7).checkpoint.expect("signed at once");
    let second = desk.announce(NOW.plus_ms(2), 8).checkpoint.expect("signed at once");
    assert!(desk.log.published.is_none(), "no witness has seen it");
    let mut cosign = |note: &str| {
        desk.engine.handle_cosigned(&desk.state, &cosigned(&witness, note), &mut desk.log).expect("the log takes it")
    };
    let stranger = Cosigner::new("witness.example/1", key(61)).expect("a good name");
    assert_eq!(cosign(&cosigned(&stranger, &first).replace("witness.example/1", "x")).len(), 2, "others do not matter");
    let said = cosign(&second);
    assert!(matches!(said[0], Outbound::Checkpoint(_)));
    // The second release came while the first checkpoint was with the witness: that one proved nothing of it.
    assert_eq!(said[1..], [Outbound::Release(Digest([8; 32]))]);
    assert_eq!(cosign(&second), [], "nothing is said twice");
    assert_eq!(cosign(&first), [], "a note that comes late moves nobody back");
}

#[test]
fn a_note_that_too_few_witnesses_have_seen_is_not_published() {
    let witness = Cosigner::new("witness.example/1", key(60)).expect("a good name");
    let mut desk = Desk::new(Some(&witness));
    let note = desk.announce(NOW.plus_ms(1), 7).checkpoint.expect("signed at once");
    assert_eq!(desk.engine.handle_cosigned(&desk.state, &note, &mut desk.log), Ok(Vec::new()));
    let stranger = Cosigner::new("witness.example/1", key(61)).expect("a good name");
    let forged = cosigned(&stranger, &note);
    assert_eq!(desk.engine.handle_cosigned(&desk.state, &forged, &mut desk.log), Ok(Vec::new()));
    assert!(desk.log.published.is_none());
    desk.engine.close(&desk.state, &mut desk.log).expect("signs");
    assert!(desk.log.published.is_none(), "not even at the end");
}

#[test]
fn sec_1_a_full_disk_still_takes_what_stops_harm_in_order() {
    let mut desk = Desk::new(None);
    desk.engine.set_room(Room::Last);
    let refused = Refusal::new(refusal::Class::Forbidden, "permission", "not yours");
    let denied = Command::Denied { action: "x", object: "y".into(), refusal: refused };
    let pause = Command::Pause { deployment: "D-1".parse().expect("a good id"), reason: "an alarm in the ward".into() };
    let submissions = || vec![hospital(1), submission(pause.clone()), submission(denied.clone()), hospital(2)];
    let codes = |committed: &Committed| -> Vec<&'static str> {
        committed.answers.iter().map(|answer| answer.as_ref().expect_err("nothing is done").code).collect()
    };
    let last = codes(&desk.round(NOW, submissions()));
    assert_eq!((last[0], last[2], last[3]), ("disk-full", "permission", "disk-full"));
    assert_ne!(last[1], "disk-full", "a pause is decided: {last:?}");
    desk.engine.set_room(Room::Gone);
    desk.log.done.clear();
    assert_eq!(codes(&desk.round(NOW, submissions())), ["disk-full", "disk-full", "permission", "disk-full"]);
    assert!(desk.log.done.is_empty(), "{:?}", desk.log.done);
    desk.engine.set_room(Room::Ample);
    assert!(desk.round(NOW, vec![hospital(1)]).answers[0].is_ok(), "it goes on automatically");
}

#[test]
fn a_full_disk_makes_nothing_due_that_cannot_be_done() {
    let mut desk = Desk::new(None);
    let due = |desk: &Desk, at: UtcMillis| desk.engine.deadline(&desk.state).is_some_and(|deadline| deadline <= at);
    let minutes = |n: u64| NOW.plus_ms(n * 60_000);
    assert!(due(&desk, minutes(1)), "the next look");
    desk.engine.dispose("DISP-1".into(), Expired::default(), 0);
    desk.engine.set_room(Room::Gone);
    for n in 1..4 {
        desk.round(minutes(n), Vec::new());
        assert!(!due(&desk, minutes(n)), "the thread rests as long as it may, and looks at the disk again");
        assert!(!desk.engine.is_disposing(), "nothing is disposed of, so it need not look every few milliseconds");
    }
    desk.engine.set_room(Room::Ample);
    assert!(due(&desk, minutes(4)) && desk.engine.is_disposing(), "it goes on");
    for _ in 0..100 {
        desk.round(minutes(4), Vec::new());
    }
    assert!(!due(&desk, minutes(4)), "what was due is done");
}

#[test]
fn what_found_no_room_is_said_again_as_a_whole() {
    let mut desk = Desk::new(None);
    let release = |n: u8| Outbound::Release(Digest([n; 32]));
    let (mut taken, mut room) = (Vec::new(), 1);
    let mut tell = |desk: &mut Desk, messages: Vec<Outbound>, more: usize| {
        room += more;
        desk.engine.tell(messages, |message| {
            let has_room = room > 0;
            if has_room {
                room -= 1;
                taken.push(message);
            }
            has_room
        });
    };
    tell(&mut desk, vec![release(1), release(2)], 0);
    tell(&mut desk, Vec::new(), 0);
    tell(&mut desk, Vec::new(), 2);
    tell(&mut desk, Vec::new(), 2);
    assert_eq!(taken, [release(1), Outbound::Everything], "once");
}

#[test]
fn a_disposal_waits_for_its_proof_and_goes_in_pieces() {
    let mut desk = Desk::new(None);
    desk.round(NOW, vec![hospital(1)]);
    let expired = Expired { entries: (0..150_000).collect(), ..Expired::default() };
    let size = desk.log.tree.size();
    desk.engine.dispose("DISP-1".into(), expired, size);
    desk.log.published = None;
    assert_eq!(desk.engine.go_on_disposing(&mut desk.log).map(|done| done.is_none()), Ok(true));
    assert!(desk.engine.is_disposing(), "no published checkpoint covers the order");
    desk.round(NOW.plus_ms(1), Vec::new());
    assert!(desk.log.published.is_some(), "one is signed at once");
    desk.engine.set_room(Room::Gone);
    assert_eq!(desk.engine.go_on_disposing(&mut desk.log).map(|done| done.is_none()), Ok(true), "not on a full disk");
    desk.engine.set_room(Room::Ample);
    let steps: Vec<bool> =
        (0..2).map(|_| desk.engine.go_on_disposing(&mut desk.log).expect("the log takes it").is_some()).collect();
    assert_eq!(steps, [false, true], "the end is recorded once everything is gone");
    assert_eq!(desk.log.done.iter().filter(|done| done.starts_with("dispose")).count(), 2);
    assert!(!desk.engine.is_disposing());
}

#[test]
fn cli_14_a_full_disk_is_named_as_on_the_page() {
    let refusals = [Room::Gone, Room::Near].map(no_room);
    symptom("The coordinator does nothing", "the disk of the audit log is full").assert_in(&refusals[0].detail);
    symptom("The coordinator does nothing", "the disk of the audit log is nearly").assert_in(&refusals[1].detail);
    let code = symptom("Somebody is refused", "disk-full");
    assert!(refusals.iter().all(|refusal| refusal.code == code.words()));
}
