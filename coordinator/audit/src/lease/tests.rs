//! Several candidates in virtual time, each with a clock of its own, before a store that loses questions and answers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NODES: usize = 3;
/// A question that is not answered within this is given up.
const ASK_MS: u64 = 1_500;
const TIMING: Timing = Timing { lease_ms: 5_000, lead_ms: 3_500, renew_every_ms: 1_000, take_every_ms: 500 };

/// The lease as the store has it, by true time.
#[derive(Debug, Default)]
struct Store {
    epoch: i64,
    until: u64,
    /// Epochs of the groups that it took.
    groups: Vec<i64>,
}

impl Store {
    /// Carries out what reached it. Its clock is fast by what `rate` says, in percent.
    fn ask(&mut self, at: u64, rate: u64, node: usize, question: &Question) -> Answer {
        let lease = TIMING.lease_ms * 100 / (100 + rate);
        match question {
            Question::Take if at > self.until => {
                self.epoch += 1;
                self.until = at + lease;
                Answer::Taken(Some(Term { epoch: self.epoch, name: format!("{node}") }))
            }
            Question::Take => Answer::Taken(None),
            Question::Renew(term) if term.epoch == self.epoch => {
                self.until = at + lease;
                Answer::Renewed(true)
            }
            Question::Renew(_) => Answer::Renewed(false),
            Question::GiveUp(term) => {
                if term.epoch == self.epoch {
                    self.until = 0;
                }
                Answer::GivenUp
            }
        }
    }

    fn append(&mut self, term: &Term) -> bool {
        let is_taken = term.epoch == self.epoch;
        if is_taken {
            self.groups.push(term.epoch);
        }
        is_taken
    }
}

struct Node {
    candidate: Candidate,
    /// Its clock: where it stood at the beginning, and how fast it goes, in percent.
    clock: (u64, u64),
    /// It does nothing before this time, by true time: it is stopped, or its machine is.
    asleep_until: u64,
    /// The answer that is on its way, and when it arrives.
    under_way: Option<(u64, Answer)>,
}

/// What goes wrong with a question at one node.
#[derive(Debug, Clone, Copy)]
struct Fault {
    node: usize,
    /// When it begins and how long it lasts, by true time.
    from: u64,
    lasts: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// Questions do not reach the store.
    NoQuestions,
    /// They do, and their answers are lost.
    NoAnswers,
    /// Answers take this much longer, in milliseconds.
    Slow(u64),
    /// The process stands still.
    Sleeps,
    /// It is killed, and starts again afterwards.
    Dies,
}

impl Fault {
    fn is_on(&self, at: u64) -> bool {
        (self.from..self.from + self.lasts).contains(&at)
    }
}

impl Node {
    fn now(&self, at: u64) -> MonotonicMs {
        MonotonicMs(self.clock.0 + at * self.clock.1 / 100)
    }
}

/// Runs the nodes for a time. Returns who led last, and for how long nobody led at the most after the last fault.
fn run(
    timing: Timing,
    faults: &[Fault],
    clocks: [(u64, u64); NODES],
    store_rate: u64,
    end: u64,
) -> Option<(usize, u64)> {
    let mut store = Store::default();
    let candidate = |clock: (u64, u64)| Candidate::new(timing, MonotonicMs(clock.0));
    let mut nodes: Vec<Node> =
        clocks.iter().map(|c| Node { candidate: candidate(*c), clock: *c, asleep_until: 0, under_way: None }).collect();
    let calm_from = faults.iter().map(|f| f.from + f.lasts).max().unwrap_or(0);
    let (mut last, mut idle_since, mut idle_most) = (None, calm_from, 0);
    for at in (0..end).step_by(10) {
        for (n, node) in nodes.iter_mut().enumerate() {
            let on = |is: fn(&What) -> bool| faults.iter().any(|f| f.node == n && f.is_on(at) && is(&f.what));
            let now = node.now(at);
            if on(|w| matches!(w, What::Dies)) {
                node.candidate = Candidate::new(timing, now);
                node.under_way = None;
                continue;
            }
            if on(|w| matches!(w, What::Sleeps)) {
                node.asleep_until = at + 10;
                continue;
            }
            if let Some((_, answer)) = node.under_way.take_if(|(arrives, _)| *arrives <= at) {
                node.candidate.answer(now, answer);
            }
            if let Next::Ask(question) = node.candidate.next(now) {
                let slow = faults.iter().filter(|f| f.node == n && f.is_on(at));
                let extra: u64 = slow.map(|f| if let What::Slow(ms) = f.what { ms } else { 0 }).sum();
                let answer = if on(|w| matches!(w, What::NoQuestions)) {
                    Answer::Lost
                } else {
                    // It reaches the store within this round; its answer may take longer.
                    let answer = store.ask(at, store_rate, n, &question);
                    if on(|w| matches!(w, What::NoAnswers)) { Answer::Lost } else { answer }
                };
                let answer = if 10 + extra > ASK_MS { Answer::Lost } else { answer };
                let waits = if answer == Answer::Lost { ASK_MS } else { 10 + extra };
                node.under_way = Some((at + waits, answer));
            }
        }
        let leads = |n: &Node| n.asleep_until <= at && matches!(n.candidate.standing(n.now(at)), Standing::Leads(_));
        let leading: Vec<usize> = (0..NODES).filter(|n| leads(&nodes[*n])).collect();
        assert!(leading.len() <= 1, "at {at} ms {leading:?} decide at once");
        for node in &nodes {
            if let Standing::Leads(term) = node.candidate.standing(node.now(at)) {
                // Whoever wakes asks first; what it had sent before is refused.
                let _ = store.append(&term);
            }
        }
        if at >= calm_from {
            idle_most = idle_most.max(at - idle_since);
            if !leading.is_empty() {
                idle_since = at;
            }
        }
        last = leading.first().copied().or(last);
    }
    assert!(store.groups.is_sorted(), "no group of an older term stands behind one of a newer one");
    last.map(|last| (last, idle_most))
}

fn fault() -> impl Strategy<Value = Fault> {
    let what = prop_oneof![
        Just(What::NoQuestions),
        Just(What::NoAnswers),
        (0_u64..2_000).prop_map(What::Slow),
        Just(What::Sleeps),
        Just(What::Dies),
    ];
    (0..NODES, 0_u64..30_000, 10_u64..12_000, what).prop_map(|(node, from, lasts, what)| Fault {
        node,
        from,
        lasts,
        what,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn two_never_decide_at_once_and_one_does_in_the_end(
        faults in proptest::collection::vec(fault(), 0..10),
        clocks in proptest::array::uniform3((0_u64..1_000_000, 90_u64..=110)),
        store_rate in 0_u64..=10,
    ) {
        let (_, idle) = run(TIMING, &faults, clocks, store_rate, 60_000).expect("somebody leads");
        // A lease that nobody knows of has to run out, and then an attempt has to come.
        prop_assert!(idle <= 7_500, "nobody decided for {idle} ms after everything was well again");
    }
}

#[test]
fn the_times_are_safe_and_unsafe_ones_are_seen() {
    for lease_ms in [1_000, 2_000, 5_000, 60_000] {
        assert!(Timing::of_lease(lease_ms).is_safe(), "{lease_ms}");
    }
    assert_eq!(Timing::default(), TIMING);
    assert!(!Timing { lead_ms: 4_500, ..TIMING }.is_safe());
}

/// The world sees what it is there to see.
#[test]
#[should_panic(expected = "decide at once")]
fn a_holder_that_goes_on_for_longer_than_its_lease_is_seen() {
    let cut = [0, 1].map(|node| Fault { node, from: 2_000, lasts: 12_000, what: What::NoQuestions });
    run(Timing { lead_ms: 6_000, ..TIMING }, &cut, [(0, 100); NODES], 0, 20_000);
}

#[test]
fn a_lease_counts_from_where_its_question_began() {
    let now = MonotonicMs;
    let term = Term { epoch: 1, name: "a".into() };
    let mut one = Candidate::new(TIMING, now(100));
    assert_eq!(one.next(now(100)), Next::Ask(Question::Take));
    assert_eq!(one.next(now(200)), Next::Wait(now(700)), "one question at a time");
    // The process stood still for ten seconds, and then hears that it leads.
    one.answer(now(10_100), Answer::Taken(Some(term.clone())));
    assert_eq!(one.standing(now(10_100)), Standing::Lapsed(term.clone()));
    assert_eq!(one.next(now(10_100)), Next::Ask(Question::Renew(term.clone())), "it asks at once");
    one.answer(now(10_120), Answer::Renewed(true));
    assert_eq!(one.standing(now(13_599)), Standing::Leads(term.clone()));
    assert_eq!(one.standing(now(13_600)), Standing::Lapsed(term.clone()));
    // Nobody took it: the same term goes on.
    assert_eq!(one.next(now(14_000)), Next::Ask(Question::Renew(term.clone())));
    one.answer(now(14_010), Answer::Renewed(true));
    assert_eq!(one.standing(now(14_010)), Standing::Leads(term.clone()));
    // The store refuses a group of another term: that is no news of this one.
    one.deposed(now(14_020), &Term { epoch: 1, name: "b".into() });
    assert_eq!(one.standing(now(14_020)), Standing::Leads(term.clone()));
    one.deposed(now(14_020), &term);
    assert_eq!(one.standing(now(14_020)), Standing::Follows);
}

#[test]
fn whoever_ends_decides_nothing_and_gives_its_lease_up() {
    let now = MonotonicMs;
    let term = Term { epoch: 7, name: "a".into() };
    let ends: BTreeMap<&str, Answer> = BTreeMap::from([("given up", Answer::GivenUp), ("no answer", Answer::Lost)]);
    for (what, answer) in ends {
        let mut one = Candidate::new(TIMING, now(0));
        assert_eq!(one.next(now(0)), Next::Ask(Question::Take));
        one.answer(now(5), Answer::Taken(Some(term.clone())));
        one.stop();
        assert_eq!(one.standing(now(6)), Standing::Lapsed(term.clone()), "{what}");
        assert_eq!(one.next(now(6)), Next::Ask(Question::GiveUp(term.clone())), "{what}");
        one.answer(now(7), answer);
        assert_eq!((one.standing(now(8)), one.next(now(8))), (Standing::Ended, Next::End), "{what}");
    }
    // A follower that ends while it asks: a lease that it gets all the same is given up.
    let mut one = Candidate::new(TIMING, now(0));
    assert_eq!(one.next(now(0)), Next::Ask(Question::Take));
    one.stop();
    one.answer(now(5), Answer::Taken(Some(term.clone())));
    assert_eq!(one.next(now(6)), Next::Ask(Question::GiveUp(term)));
    let mut follower = Candidate::new(TIMING, now(0));
    follower.stop();
    assert_eq!(follower.next(now(1)), Next::End);
}
