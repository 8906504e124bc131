//! Every order of inputs, losses, cuts and clock steps up to a depth, from every stage of an installation: nothing is left to chance.
//! `make explore` goes deeper than the tests do (docs/proofs.md).
//!
//! A state is everything that the installer, its disk, its device and the line between them hold. Equal states are followed once, so the number
//! of states is that of the different situations, not of the ways into them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mdfm_shared::device::Report;
use mdfm_shared::telemetry::{InstallState, Severity};
use mdfm_shared::wire;

use super::super::state::{Phase, Stamp};
use super::bench::{Bench, Cut, DAY_MS, Flaw, MESSAGE_AGE_MS_MAX, START_UTC, firmware, target};
use super::*;

/// Depth of the tests, in inputs after the stage.
const DEPTH: u8 = 3;
/// One of this many states is led to its end, with a world that behaves from then on.
const LED_ONE_OF: u64 = 16;

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// A second passes as it should: reports, downloads and ticks.
    Live,
    /// These milliseconds pass without a word from anybody.
    Silence(u64),
    Report,
    /// The report that was held up arrives now.
    StaleReport,
    Patient,
    Line,
    Fault,
    Image,
    Fetched,
    Install(u8),
    Hold(u8),
    Rollback(u8),
    Nothing,
    Unknown,
    Restart,
    Reboot,
    DevicePowerCut,
    CutNext(Cut),
    Clock(i64),
    HeldOnSite,
    ReleasedOnSite,
    RolledBackOnSite,
}

/// All that can happen, one device and two releases.
const ACTS: [Act; 28] = [
    Act::Live,
    // Longer than the silence limit and the trial; longer than a rollback may take.
    Act::Silence(7_000),
    Act::Silence(280_000),
    Act::Report,
    Act::StaleReport,
    Act::Patient,
    Act::Line,
    Act::Fault,
    Act::Image,
    Act::Fetched,
    Act::Install(2),
    Act::Install(3),
    Act::Hold(2),
    Act::Hold(3),
    Act::Rollback(2),
    Act::Rollback(3),
    Act::Nothing,
    Act::Unknown,
    Act::Restart,
    Act::Reboot,
    Act::DevicePowerCut,
    Act::CutNext(Cut::BeforeWrite),
    Act::CutNext(Cut::AfterWrite),
    Act::Clock(40 * DAY_MS as i64),
    Act::Clock(-(DAY_MS as i64)),
    Act::HeldOnSite,
    Act::ReleasedOnSite,
    Act::RolledBackOnSite,
];

/// The stages from which everything is tried.
const STAGES: [(&str, &[Act]); 8] = [
    ("new", &[]),
    ("fetching", &[Act::Install(2)]),
    ("staged", &[Act::Hold(2), Act::Live, Act::Live, Act::Live]),
    ("activating, the line is down", &[Act::Hold(2), Act::Live, Act::Live, Act::Line, Act::Install(2)]),
    ("on trial", &[Act::Install(2), Act::Live, Act::Live]),
    ("on trial, in use, failing", &[Act::Install(2), Act::Live, Act::Live, Act::Patient, Act::Live, Act::Fault]),
    ("settled", &[Act::Install(2), Act::Live, Act::Live, Act::Live, Act::Live, Act::Live, Act::Live, Act::Live]),
    (
        "settled, the next one staged",
        &[
            Act::Install(2),
            Act::Live,
            Act::Live,
            Act::Live,
            Act::Live,
            Act::Live,
            Act::Live,
            Act::Hold(3),
            Act::Live,
            Act::Live,
        ],
    ),
];

/// A situation: the bench, and a report that is held up somewhere.
#[derive(Clone)]
struct Situation {
    bench: Bench,
    held_up: Option<(MonotonicMs, Report)>,
}

impl Situation {
    fn new(flaw: Flaw, counts_faults: bool) -> Self {
        let mut bench = if counts_faults { Bench::version_2(flaw) } else { Bench::new(flaw) };
        bench.report();
        Self { bench, held_up: None }
    }

    /// What the future can depend on. Events are results, and effects are given out in the act that made them.
    fn key(&self) -> u128 {
        let Bench { installer, disk, device, now, boot, starts, line, desired, image_good, fetching, streams, .. } =
            &self.bench;
        let world = (now, boot, starts, line, desired, image_good, fetching, streams, self.bench.refusing);
        let all = format!("{installer:?}{disk:?}{device:?}{world:?}{:?}{:?}", self.bench.cut, self.held_up);
        let digest = Digest::of(all.as_bytes());
        u128::from_le_bytes(digest.0[..16].try_into().expect("sixteen bytes"))
    }

    fn act(&mut self, act: Act) {
        let bench = &mut self.bench;
        match act {
            Act::Live => bench.live(1_000),
            Act::Silence(ms) => {
                bench.pass(ms);
                bench.input(Input::Tick);
            }
            Act::Report => {
                self.held_up = bench.device.report().map(|r| (bench.now.mono, r)).or(self.held_up.take());
                bench.report();
            }
            Act::StaleReport => {
                if let Some((at, report)) = self.held_up.take()
                    && bench.now.mono.since_ms(at) < MESSAGE_AGE_MS_MAX
                {
                    bench.input(Input::Report(report));
                }
            }
            Act::Patient => {
                bench.device.in_use = !bench.device.in_use;
                if bench.device.in_use {
                    bench.report();
                }
            }
            Act::Line => bench.line = !bench.line,
            Act::Fault => bench.fault(Severity::Critical),
            Act::Image => bench.image_good = !bench.image_good,
            Act::Fetched => bench.fetched(),
            Act::Install(n) => bench.ask(Some(DesiredState::Install(target(n)))),
            Act::Hold(n) => bench.ask(Some(DesiredState::Hold(target(n)))),
            Act::Rollback(n) => bench.ask(desired_rollback(n)),
            Act::Nothing => bench.ask(Some(DesiredState::Nothing)),
            Act::Unknown => bench.ask(None),
            // Connections to devices are the agent's: messages in them die with the process.
            Act::Restart => {
                self.held_up = None;
                bench.restart();
            }
            Act::Reboot => {
                self.held_up = None;
                bench.reboot();
            }
            // Nobody pulls the plug while a patient is connected; that is not ours to prevent.
            Act::DevicePowerCut if bench.device.in_use => {}
            Act::DevicePowerCut => {
                self.held_up = None;
                bench.device.boot();
            }
            Act::CutNext(cut) => bench.cut = Some(cut),
            Act::Clock(ms) => {
                bench.now.utc = UtcMillis(bench.now.utc.0.saturating_add_signed(ms));
                bench.input(Input::Tick);
            }
            Act::HeldOnSite => bench.input(Input::OnSite(OnSite::Hold("nurse".into()), 0)),
            Act::ReleasedOnSite => bench.input(Input::OnSite(OnSite::Release("nurse".into()), 0)),
            Act::RolledBackOnSite => bench.input(Input::OnSite(OnSite::RollBack("nurse".into()), 0)),
        }
    }

    /// What is true in every situation; what is true of every order, the bench checks when it is given.
    fn check(&self) {
        let Bench { device, disk, .. } = &self.bench;
        assert_eq!(device.reboots_in_use, 0, "invariant 2: rebooted while it was in use");
        assert!(!self.bench.activated_after_rollback, "activated what had failed on this device");
        assert!(device.flaw == Flaw::None || device.permanent == firmware(1), "invariant 3: bad firmware is permanent");
        assert_eq!(unstamped(disk), unstamped(self.bench.installer.journal()), "what is decided is on the disk");
        assert_eq!(Journal::decode(&wire::encode(disk)).as_ref(), Ok(disk), "a record is read as it was written");
    }

    /// From here on the world behaves: the device ends on good firmware, or the release waits for its time.
    fn lead_to_an_end(mut self) {
        let bench = &mut self.bench;
        (bench.line, bench.device.in_use, bench.cut) = (true, false, None);
        bench.now.utc = START_UTC.plus_ms(2 * DAY_MS);
        bench.input(Input::OnSite(OnSite::Release("nurse".into()), 0));
        let mut quiet = 0;
        for _ in 0..1_400 {
            bench.live(500);
            quiet = if bench.state().is_settled() && bench.device.trial.is_none() { quiet + 1 } else { 0 };
            if quiet > 20 {
                break;
            }
        }
        if bench.state() == InstallState::RollbackFailed {
            // Only a device that fell silent while it was said to be in use could not be called back: the alarm brings hands.
            assert!(bench.device.silent && bench.installer.is_in_use(), "{}", bench.disk.detail);
            (0..4).for_each(|_| bench.device.boot());
            bench.live(10_000);
        }
        let state = bench.state();
        let asks = matches!(&bench.desired, Some(DesiredState::Install(target)) if target.may_begin(bench.now.utc, 0));
        let waits = state == InstallState::Staged && !asks && bench.desired != Some(DesiredState::Nothing);
        assert!(state.is_settled() || waits, "still {state:?}: {}", bench.disk.detail);
        assert!(bench.device.trial.is_none(), "left on trial in {state:?}");
        assert_eq!(Some(bench.device.running()), bench.disk.confirmed, "in {state:?}");
        self.check();
    }
}

/// A journal without the moment in which its phase began: after another boot of the gateway that is the start of the process.
fn unstamped(journal: &Journal) -> Journal {
    let mut journal = journal.clone();
    if let Phase::Activating { since, .. } | Phase::Probation { since, .. } | Phase::RollingBack { since } =
        &mut journal.phase
    {
        *since = Stamp { boot: [0; 16], at: MonotonicMs(0) };
    }
    journal
}

/// What an exploration counts.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    states: u64,
    steps: u64,
    led: u64,
}

/// One exploration: every situation by the depth that was left when it was followed.
struct Exploration {
    seen: BTreeMap<u128, u8>,
    counts: Counts,
    /// The inputs that led to the situation being followed.
    way: Vec<Act>,
}

impl Exploration {
    fn follow(&mut self, situation: &Situation, depth: u8) {
        let key = situation.key();
        let before = self.seen.insert(key, depth);
        if let Some(before) = before.filter(|before| *before >= depth) {
            self.seen.insert(key, before);
            return;
        }
        if before.is_none() {
            self.counts.states += 1;
            situation.check();
            // The key is a digest: which states are led is by chance, and the same in every run.
            if (key as u64).is_multiple_of(LED_ONE_OF) {
                self.counts.led += 1;
                situation.clone().lead_to_an_end();
            }
        }
        if depth == 0 {
            return;
        }
        for act in ACTS {
            let mut next = situation.clone();
            self.way.push(act);
            self.counts.steps += 1;
            next.act(act);
            self.follow(&next, depth - 1);
            self.way.pop();
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing exploration says how it came there")]
fn explore(flaw: Flaw, counts_faults: bool, stage: usize, depth: u8) -> Counts {
    let (name, acts) = STAGES[stage];
    let mut exploration = Exploration { seen: BTreeMap::new(), counts: Counts::default(), way: acts.to_vec() };
    let followed = catch_unwind(AssertUnwindSafe(|| {
        let mut situation = Situation::new(flaw, counts_faults);
        acts.iter().for_each(|act| situation.act(*act));
        exploration.follow(&situation, depth);
    }));
    if let Err(failure) = followed {
        eprintln!("{flaw:?}, faults counted: {counts_faults}, {name}: {:?}", exploration.way);
        resume_unwind(failure);
    }
    exploration.counts
}

/// Everything from every stage, with firmware of this flaw.
#[expect(clippy::print_stdout, reason = "the numbers are the result of `make explore`")]
fn explore_all(flaw: Flaw) {
    let depth = option_env!("MDFM_DEPTH").map_or(DEPTH, |depth| depth.parse().expect("a number"));
    let mut all = Counts::default();
    for (counts_faults, stage) in [false, true].into_iter().flat_map(|v2| (0..STAGES.len()).map(move |s| (v2, s))) {
        let found = explore(flaw, counts_faults, stage, depth);
        all.states += found.states;
        all.steps += found.steps;
        all.led += found.led;
    }
    let Counts { states, steps, led } = all;
    println!("{flaw:?}, depth {depth}: {states} states, {steps} steps, {led} led to their end");
    assert!(depth < DEPTH || states > 30_000, "{states} states: less was explored than is claimed");
}

// One test for each flaw: they run beside each other.
#[test]
fn invariant_3_every_order_of_inputs_good_firmware() {
    explore_all(Flaw::None);
}

#[test]
fn invariant_3_every_order_of_inputs_does_not_boot() {
    explore_all(Flaw::NoBoot);
}

#[test]
fn invariant_3_every_order_of_inputs_another_digest() {
    explore_all(Flaw::WrongDigest);
}

#[test]
fn invariant_3_every_order_of_inputs_no_secure_boot() {
    explore_all(Flaw::Insecure);
}

#[test]
fn invariant_3_every_order_of_inputs_boots_silent() {
    explore_all(Flaw::Silent);
}

#[test]
fn invariant_3_every_order_of_inputs_is_refused() {
    explore_all(Flaw::Refuses);
}
