//! What the coordinator says of the chain, and what is freed by it.

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{ChainHead, ChainRefusal, CommitAck, RefusedBatch};
use mdfm_shared::id::GatewayId;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{CARRIED_BEGIN, CARRIED_END, EventKind, REFUSED_CARRIED, TelemetryBatch};
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire;

use super::super::super::memory::Memory;
use super::super::{HELD_RESEND_MS, OutboxLimits, RESEND_MS_MAX, WINDOW_BATCHES};
use super::*;

const T: MonotonicMs = MonotonicMs(1_000_000);
const AT: UtcMillis = UtcMillis(1_750_000_000_000);
const OTHER: Digest = Digest([7; 32]);

fn gateway() -> GatewayId {
    "GW-1".parse().expect("a good id")
}

struct Bench {
    store: Memory,
    outbox: Outbox,
    log_size: u64,
}

impl Bench {
    fn new() -> Self {
        let store = Memory::default();
        let outbox = load(&store);
        Self { store, outbox, log_size: 10 }
    }

    fn add(&mut self, text: &str) {
        let kind = EventKind::LocalAction { command: text.into(), uid: 7 };
        let writes = self.outbox.add(AT, [(None, kind)]).expect("small");
        self.store.commit(writes).expect("commits");
    }

    fn sent(&mut self, now: MonotonicMs) -> Vec<(Digest, TelemetryBatch)> {
        let frames = self.outbox.due(now, &self.store).expect("reads");
        let signed = frames.iter().map(|f| wire::decode::<Signed<TelemetryBatch>>(f).expect("own frame"));
        signed.map(|s| (s.digest(), s.decode_unverified().expect("own"))).collect()
    }

    fn take(&mut self, head: &ChainHead) -> bool {
        self.take_at(T, head)
    }

    fn take_at(&mut self, now: MonotonicMs, head: &ChainHead) -> bool {
        let followed = self.outbox.take_head(&self.store, (now, AT), head).expect("signs");
        self.store.commit(followed.writes).expect("commits");
        followed.begins_again
    }

    fn head(&mut self, sequence: u64, head: Digest) -> ChainHead {
        self.log_size += 1;
        ChainHead { gateway: gateway(), epoch: 1, sequence, head, log_size: self.log_size, refused: None }
    }

    fn refusal(&mut self, batch: Digest, reason: ChainRefusal, sequence: u64, head: Digest) -> ChainHead {
        let refused = Some(RefusedBatch { batch, reason, committed: vec![head] });
        ChainHead { refused, ..self.head(sequence, head) }
    }

    fn restart(&mut self) {
        self.outbox = load(&self.store);
    }
}

fn load(store: &Memory) -> Outbox {
    let key = SecretKey::from_seed([1; 32]);
    Outbox::load(store, gateway(), key, 1, OutboxLimits::default()).expect("loads").outbox
}

fn commands(batches: &[(Digest, TelemetryBatch)]) -> Vec<String> {
    let events = batches.iter().flat_map(|(_, b)| &b.events);
    let word = |kind: &EventKind| match kind {
        EventKind::LocalAction { command, .. } => command.clone(),
        EventKind::Refused { what, .. } => what.clone(),
        other => panic!("{other:?}"),
    };
    events.map(|e| word(&e.kind)).collect()
}

#[test]
fn fld_7_only_what_the_head_proves_is_freed() {
    let mut bench = Bench::new();
    ["a", "b", "c"].into_iter().for_each(|text| bench.add(text));
    let sent = bench.sent(T);
    let foreign = bench.head(3, OTHER);
    bench.take(&foreign);
    assert_eq!(bench.outbox.depth(), 3, "a head that is not of this chain proves nothing, whatever its number");
    let second = bench.head(2, sent[1].0);
    bench.take(&second);
    assert_eq!((bench.outbox.depth(), bench.sent(T).len()), (1, 0), "a and b are in the log");
    let other = ChainHead { gateway: "GW-2".parse().expect("a good id"), ..bench.head(3, sent[2].0) };
    bench.take(&other);
    assert_eq!(bench.outbox.depth(), 1, "about another gateway");
    let third = bench.head(3, sent[2].0);
    bench.take(&third);
    assert_eq!((bench.outbox.depth(), bench.outbox.bytes()), (0, 0));
    assert_eq!(bench.outbox.problem(T), None);
}

#[test]
fn fld_7_a_number_alone_frees_nothing_once_heads_are_named() {
    let mut bench = Bench::new();
    ["a", "b"].into_iter().for_each(|text| bench.add(text));
    let sent = bench.sent(T);
    let ack = CommitAck { gateway: gateway(), epoch: 1, sequence: 1, log_size: 9 };
    let writes = bench.outbox.acknowledge(T, &ack).expect("signs");
    bench.store.commit(writes).expect("commits");
    assert_eq!(bench.outbox.depth(), 1, "a coordinator of an earlier version is believed by number");
    let foreign = bench.head(50, OTHER);
    bench.take(&foreign);
    bench.restart();
    let ack = CommitAck { sequence: 50, ..ack };
    assert!(bench.outbox.acknowledge(T, &ack).expect("signs").is_empty());
    assert_eq!(bench.outbox.depth(), 1, "over a restart too");
    let head = bench.head(2, sent[1].0);
    bench.take(&head);
    assert_eq!(bench.outbox.depth(), 0);
}

#[test]
fn fld_6_a_chain_that_was_set_back_begins_behind_the_head() {
    let mut bench = Bench::new();
    ["a", "b"].into_iter().for_each(|text| bench.add(text));
    let sent = bench.sent(T);
    let head = bench.head(1, sent[0].0);
    bench.take(&head);
    // The coordinator has b and more; what is here is "b" as it was, and one of another history.
    bench.add("c");
    let c = bench.sent(T)[0].0;
    let mut refusal = bench.refusal(c, ChainRefusal::Fork, 5, OTHER);
    refusal.refused.as_mut().expect("is set").committed = vec![sent[1].0, OTHER];
    assert!(bench.take(&refusal));
    assert_eq!((bench.outbox.epoch(), bench.outbox.made()), (2, 1));
    assert!(bench.outbox.problem(T).is_some_and(|p| p.contains("refused since")), "until it is accepted");
    bench.restart();
    let again = bench.sent(T);
    assert_eq!((again[0].1.epoch, again[0].1.sequence, again[0].1.previous), (2, 1, OTHER));
    assert_eq!(commands(&again), ["chain", "carried", "c", "carried"], "b is in the log, c was not taken");
    let EventKind::Refused { reason, .. } = &again[0].1.events[0].kind else { panic!("the first record") };
    assert!(reason.contains("holds batch 1.5"), "{reason}");
    let accepted = ChainHead { epoch: 2, ..bench.head(1, again[0].0) };
    assert!(!bench.take(&accepted));
    assert_eq!((bench.outbox.depth(), bench.outbox.problem(T)), (0, None));
}

#[test]
fn fld_6_old_and_foreign_answers_do_nothing() {
    let mut bench = Bench::new();
    ["a", "b", "c"].into_iter().for_each(|text| bench.add(text));
    let sent = bench.sent(T);
    let late = bench.refusal(sent[2].0, ChainRefusal::Gap, 0, Digest([0; 32]));
    assert!(!bench.take(&late), "a was late: it is sent again");
    let replayed = bench.refusal(OTHER, ChainRefusal::Fork, 9, Digest([8; 32]));
    assert!(!bench.take(&replayed), "about a batch that is not here");
    let head = bench.head(2, sent[1].0);
    bench.take(&head);
    assert!(!bench.take(&late), "it was on its way while a newer one came");
    assert_eq!((bench.outbox.epoch(), bench.outbox.depth()), (1, 1));
}

#[test]
fn fld_6_a_coordinator_that_was_set_back_is_followed() {
    let mut bench = Bench::new();
    ["a", "b"].into_iter().for_each(|text| bench.add(text));
    let sent = bench.sent(T);
    let head = bench.head(2, sent[1].0);
    bench.take(&head);
    bench.add("c");
    let c = bench.sent(T)[0].0;
    // Its disk was restored: it misses b, which is freed here.
    bench.log_size = 3;
    for _ in 0..3 * SMALLER_MAX {
        let gap = bench.refusal(c, ChainRefusal::Gap, 1, sent[0].0);
        bench.log_size -= 1;
        assert!(!bench.take(&gap), "it may have been on its way");
    }
    let gap = bench.refusal(c, ChainRefusal::Gap, 1, sent[0].0);
    assert!(bench.take_at(T.plus_ms(SMALLER_MS), &gap), "it says so again and again");
    let again = bench.sent(T);
    assert_eq!((again[0].1.epoch, again[0].1.previous), (2, sent[0].0));
}

#[test]
fn fld_6_a_hold_while_several_batches_are_under_way_ends_nothing() {
    let mut bench = Bench::new();
    ["a", "b", "c", "d"].into_iter().for_each(|text| bench.add(text));
    let sent = bench.sent(T);
    assert!(sent.len() > 1, "several are under way");
    let held = bench.refusal(sent[0].0, ChainRefusal::Held, 1, OTHER);
    assert!(!bench.take(&held));
    assert!(bench.sent(T).is_empty(), "nothing more is sent now");
    assert_eq!(bench.sent(T.plus_ms(HELD_RESEND_MS)).len(), 1, "one is tried again later");
}

#[test]
fn fld_6_no_statement_uses_up_the_epochs() {
    let mut bench = Bench::new();
    bench.add("a");
    let first = bench.sent(T)[0].0;
    for epoch in [u64::MAX, 1_000] {
        let refusal = ChainHead { epoch, ..bench.refusal(first, ChainRefusal::Epoch, 1, OTHER) };
        assert!(!bench.take(&refusal));
        assert_eq!(bench.outbox.epoch(), 1);
    }
    let refusal = ChainHead { epoch: 5, ..bench.refusal(first, ChainRefusal::Epoch, 1, OTHER) };
    assert!(bench.take(&refusal), "a real one is followed");
}

#[test]
fn fld_6_epochs_are_bounded_and_then_it_waits() {
    let mut bench = Bench::new();
    bench.add("a");
    let mut begun = 0;
    for n in 0..20 {
        let Some((first, _)) = bench.sent(T).first().cloned() else { break };
        let head = Digest([100 + n; 32]);
        let refusal = bench.refusal(first, ChainRefusal::Epoch, 1, head);
        begun += usize::from(bench.take(&refusal));
    }
    assert_eq!(begun, EPOCHS_A_DAY);
    assert!(bench.outbox.problem(T).is_some_and(|p| p.contains("too many epochs")));
    for n in 0..30 {
        bench.add(&format!("{n}"));
    }
    let later = T.plus_ms(HELD_RESEND_MS);
    assert_eq!(bench.sent(later.plus_ms(1)).len(), 1, "one batch asks again");
    assert_eq!(bench.sent(later.plus_ms(RESEND_MS_MAX)).len(), 0);
    assert_eq!(commands(&bench.sent(later.plus_ms(HELD_RESEND_MS * 2)))[..1], ["chain"], "nothing is lost");
}

#[test]
fn fld_6_silence_is_asked_less_and_less_often() {
    let mut bench = Bench::new();
    (0..40).for_each(|n| bench.add(&format!("{n}")));
    let mut sent = 0;
    for second in 0..3_600 {
        sent += usize::from(!bench.sent(T.plus_ms(second * 1_000)).is_empty());
    }
    assert!((110..130).contains(&sent), "{sent} times in an hour");
    let problem = bench.outbox.problem(T.plus_ms(3_600_000)).expect("nobody answers");
    mdfm_shared::fixture::page::symptom("The telemetry", "not acknowledged").assert_in(&problem);
    let first = bench.sent(T.plus_ms(3_700_000));
    assert_eq!(first.len() as u64, WINDOW_BATCHES);
}

#[test]
fn fld_6_state_of_earlier_versions_goes_on() {
    let mut bench = Bench::new();
    ["a", "b"].into_iter().for_each(|text| bench.add(text));
    // What today's agents keep: chain, owner, batches; nothing of the other end.
    bench.store.content.remove(HEAD_KEY);
    bench.restart();
    let sent = bench.sent(T);
    assert_eq!((sent.len(), bench.outbox.epoch()), (2, 1));
    let head = bench.head(2, sent[1].0);
    bench.take(&head);
    assert_eq!(bench.outbox.depth(), 0);
}

#[test]
fn fld_6_what_a_new_epoch_takes_over_stands_between_marks() {
    let mut bench = Bench::new();
    (0..3 * WINDOW_BATCHES).for_each(|n| bench.add(&format!("{n}")));
    for (n, other) in [Digest([8; 32]), Digest([9; 32])].into_iter().enumerate() {
        let first = bench.sent(T)[0].0;
        let refusal = ChainHead { epoch: 1 + n as u64, ..bench.refusal(first, ChainRefusal::Fork, 5, other) };
        assert!(bench.take(&refusal));
        bench.add(&format!("after {n}"));
        bench.restart();
    }
    let mut all = Vec::new();
    for _ in 0..100 {
        let sent = bench.sent(T);
        let Some((last, _)) = sent.last().cloned() else { break };
        all.extend(sent.iter().flat_map(|(_, batch)| batch.events.clone()));
        let head = ChainHead { epoch: 3, ..bench.head(sent.len() as u64, last) };
        bench.take(&head);
    }
    let marks = |reason: &str| {
        let is = |k: &EventKind| matches!(k, EventKind::Refused { what, reason: r } if what == REFUSED_CARRIED && r == reason);
        all.iter().enumerate().filter(|(_, e)| is(&e.kind)).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let after = |e: &Event| matches!(&e.kind, EventKind::LocalAction { command, .. } if command == "after 1");
    let last = all.iter().position(after).expect("nothing is lost");
    assert_eq!((marks(CARRIED_BEGIN), marks(CARRIED_END)), (vec![1], vec![last - 1]), "one pair, of the newest epoch");
    let acts = all.iter().filter(|e| matches!(e.kind, EventKind::LocalAction { .. })).count();
    assert_eq!(acts as u64, 3 * WINDOW_BATCHES + 2);
}
