//! `mdfm-sim world`: the whole system in virtual time. The real cores of agents and coordinator, everything around them made up
//! from a seed: lines, disks, clocks, devices, patients, people. The same seed is the same run, to the byte.

mod act;
mod agent;
mod authority;
mod coordinator;
mod device;
mod held;
mod oracle;
mod rng;
mod run;
pub(crate) mod scale;
mod scenario;
mod setup;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::Args;
use mdfm_shared::digest::Digest;
use mdfm_shared::sign::remembering;

use run::Outcome;
use scenario::Scenario;

/// Every so many worlds are run twice, to see that they are the same.
const TWICE_EVERY: u64 = 50;

/// Runs worlds in virtual time and checks the safety rules after every event.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many worlds to make up.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, alias = "from", default_value_t = 0, value_name = "SEED")]
    first_seed: u64,
    /// Take a first seed that was never used instead of `--first-seed`; it is printed.
    #[arg(long, conflicts_with = "first_seed")]
    fresh: bool,
    /// One scenario from a TOML file instead.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Put an adversary into each world: one who holds a gateway, one who holds the coordinator's keys, clocks set back.
    #[arg(long)]
    hostile: bool,
    /// Put hands into each world: exchanged devices, firmware flashed by hand, moved cables, crash loops.
    #[arg(long, conflicts_with = "hostile")]
    ward: bool,
    /// Set gateways back, copy them, enrol them again or replace them in each world.
    #[arg(long, conflicts_with_all = ["hostile", "ward"])]
    set_back: bool,
    /// Put hands into each world, and set its gateways back, copy or replace them too.
    #[arg(long, conflicts_with_all = ["hostile", "ward", "set_back"])]
    mixed: bool,
    /// Hold devices on site in each world, with everything of `--mixed`.
    #[arg(long, conflicts_with_all = ["hostile", "ward", "set_back", "mixed"])]
    held: bool,
    /// Let witnesses, some of whom are away at times, decide what gateways may trust in each world, and leave little room for messages to the fleet.
    #[arg(long, conflicts_with_all = ["hostile", "ward", "set_back", "mixed", "held"])]
    witnesses: bool,
    /// Print what happens, line by line.
    #[arg(long)]
    transcript: bool,
    /// Folder that keeps failing worlds, shrunk.
    #[arg(long, default_value = "tests/seeds")]
    keep: PathBuf,
    /// Worlds at a time; as many as there are processors if absent.
    #[arg(long)]
    jobs: Option<usize>,
}

/// The transcript of a scenario as people review it, and what was wrong with it.
///
/// # Errors
/// The scenario cannot be read.
pub fn rehearse(text: &str) -> anyhow::Result<(String, Option<String>)> {
    let outcome = run::run(&Scenario::parse(text)?);
    Ok((outcome.transcript.join("\n") + "\n", outcome.broken.map(|b| b.to_string())))
}

/// Removes event after event as long as the world still fails.
fn shrink(scenario: &Scenario) -> (Scenario, Outcome) {
    let mut small = scenario.clone();
    let mut outcome = run::run(&small);
    let mut at = 0;
    while at < small.event.len() {
        let mut smaller = small.clone();
        smaller.event.remove(at);
        let tried = run::run(&smaller);
        if tried.broken.is_some() {
            (small, outcome) = (smaller, tried);
        } else {
            at += 1;
        }
    }
    for simpler in [
        |s: &mut Scenario| s.network = scenario::Network::default(),
        |s: &mut Scenario| s.deploy.truncate(1),
        |s: &mut Scenario| s.release.iter_mut().for_each(|r| r.flaw.clear()),
        |s: &mut Scenario| s.fleet.asked.clear(),
    ] {
        let mut smaller = small.clone();
        simpler(&mut smaller);
        let tried = run::run(&smaller);
        if tried.broken.is_some() {
            (small, outcome) = (smaller, tried);
        }
    }
    (small, outcome)
}

#[derive(Default)]
struct Sum {
    worlds: u64,
    events: u64,
    activations: u64,
    rollbacks: u64,
    endings: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
}

fn print(line: &str) {
    mdfm_service::output::line(format_args!("{line}"));
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(file) = &arguments.scenario {
        let text = mdfm_service::read_input_text(file, mdfm_service::INPUT_BYTES_MAX)?;
        let (transcript, broken) = rehearse(&text)?;
        if arguments.transcript {
            transcript.lines().for_each(print);
        }
        anyhow::ensure!(broken.is_none(), "{}: {}", file.display(), broken.unwrap_or_default());
        return Ok(());
    }
    let from = if arguments.fresh { fresh_seed() } else { arguments.first_seed };
    let until = from.checked_add(arguments.seeds).context("--first-seed and --seeds are too large")?;
    let kinds = [
        (arguments.hostile, " --hostile"),
        (arguments.ward, " --ward"),
        (arguments.set_back, " --set-back"),
        (arguments.mixed, " --mixed"),
        (arguments.held, " --held"),
        (arguments.witnesses, " --witnesses"),
    ];
    let kind = kinds.iter().find(|(is_asked, _)| *is_asked).map_or("", |(_, option)| option);
    let again = format!("mdfm-sim world{kind} --seeds {} --first-seed {from}", arguments.seeds);
    if arguments.fresh {
        print(&format!("fresh seeds {from} to {}; the same again: {again}", until.saturating_sub(1)));
    }
    let next = AtomicU64::new(from);
    let sum = Mutex::new(Sum::default());
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                // Worlds have the same keys, and trust documents that differ little.
                remembering(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= until {
                            return;
                        }
                        one(arguments, seed, &sum);
                    }
                });
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let endings: Vec<String> = sum.endings.iter().map(|(status, n)| format!("{n} {status}")).collect();
    print(&format!(
        "{} worlds, {} events, {} activations, {} rollbacks, deployments: {}; {} failed",
        sum.worlds,
        sum.events,
        sum.activations,
        sum.rollbacks,
        endings.join(", "),
        sum.failed.len()
    ));
    let repeat: Vec<String> = sum
        .failed
        .iter()
        .map(|seed| format!("mdfm-sim world{kind} --seeds 1 --first-seed {seed} --transcript"))
        .collect();
    anyhow::ensure!(
        repeat.is_empty(),
        "{} worlds broke a rule; all of them again: {again}; one by one: {}",
        repeat.len(),
        repeat.join("; ")
    );
    Ok(())
}

/// The first of a run of seeds that was never run before: the microseconds of the clock, far above the fixed seeds.
fn fresh_seed() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX / 2)
}

/// One world; a failing one is shrunk, written down and printed.
fn one(arguments: &Arguments, seed: u64, sum: &Mutex<Sum>) {
    let scenario = match (arguments.hostile, arguments.ward) {
        (true, _) => Scenario::hostile(seed),
        (_, true) => Scenario::ward(seed),
        _ if arguments.set_back => Scenario::set_back(seed),
        _ if arguments.mixed => Scenario::mixed(seed),
        _ if arguments.held => Scenario::held(seed),
        _ if arguments.witnesses => Scenario::witnessed(seed),
        _ => Scenario::random(seed),
    };
    let mut outcome = run::run(&scenario);
    if seed.is_multiple_of(TWICE_EVERY) && run::run(&scenario).transcript != outcome.transcript {
        outcome.broken = Some(oracle::Broken::new("invariant 8: the same seed gave another run"));
    }
    if arguments.transcript {
        outcome.transcript.iter().for_each(|line| print(line));
    }
    if let Some(broken) = &outcome.broken {
        print(&format!("seed {seed}: {broken}"));
        let (small, tried) = shrink(&scenario);
        let file = arguments.keep.join(format!("{seed}.toml"));
        let told = Digest::of(tried.transcript.join("\n").as_bytes()).short().to_string();
        match std::fs::create_dir_all(&arguments.keep).and_then(|()| std::fs::write(&file, small.to_toml())) {
            Ok(()) => print(&format!(
                "  {} of {} events are needed; kept in {} (run {told}); see: mdfm-sim world --scenario {} --transcript",
                small.event.len(),
                scenario.event.len(),
                file.display(),
                file.display()
            )),
            Err(error) => print(&format!("  cannot be kept in {}: {error}", file.display())),
        }
    }
    let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    sum.worlds += 1;
    sum.events += outcome.events;
    sum.activations += outcome.activations;
    sum.rollbacks += outcome.rollbacks;
    for (status, n) in outcome.endings {
        *sum.endings.entry(status).or_default() += n;
    }
    if outcome.broken.is_some() {
        sum.failed.push(seed);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::scenario::{Happening, What};
    use super::*;

    fn scenarios(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(folder);
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("reads").path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .collect();
        files.sort();
        assert!(!files.is_empty());
        files
    }

    /// Worlds whose story people have read. `MDFM_WRITE=1` writes a changed story down, to be read again.
    #[test]
    fn invariant_8_every_reviewed_world_tells_the_same_story() {
        for file in scenarios("worlds") {
            let scenario = std::fs::read_to_string(&file).expect("reads");
            let (story, broken) = rehearse(&scenario).expect("a good scenario");
            assert_eq!(broken, None, "{}\n{story}", file.display());
            let golden = file.with_extension("txt");
            if std::env::var_os("MDFM_WRITE").is_some() {
                std::fs::write(&golden, &story).expect("writes");
            }
            let known = std::fs::read_to_string(&golden).unwrap_or_default();
            assert_eq!(story, known, "{}: if this is meant, MDFM_WRITE=1 writes it down", golden.display());
        }
    }

    /// Worlds that once broke a rule.
    #[test]
    fn what_once_broke_holds_now() {
        for file in scenarios("seeds") {
            let scenario = std::fs::read_to_string(&file).expect("reads");
            let (story, broken) = rehearse(&scenario).expect("a good scenario");
            assert_eq!(broken, None, "{}\n{story}", file.display());
        }
    }

    /// A gateway whose disk comes back, that is copied, enrolled again or replaced, before, in and after an installation.
    #[test]
    fn fld_6_set_back_copied_and_replaced_gateways_heal() {
        let text = std::fs::read_to_string(scenarios("seeds").pop().expect("one")).expect("reads");
        let base = Scenario::parse(&text).expect("a good scenario");
        for at_s in [40, 66, 80, 95, 120] {
            let gateway = 1;
            for what in [
                What::SetBack { gateway, after_s: 25, for_s: 3 },
                What::SetBack { gateway, after_s: 200, for_s: 40 },
                What::Copied { gateway, turns: 2 },
                What::EnrolledAgain { gateway, new_disk: false },
                What::EnrolledAgain { gateway, new_disk: true },
            ] {
                let event = vec![Happening { at_s, what: what.clone() }];
                let outcome = run::run(&Scenario { event, ..base.clone() });
                assert_eq!(outcome.broken, None, "{what:?} at {at_s} s\n{}", outcome.transcript.join("\n"));
            }
        }
    }

    /// Adversaries with every run of the tests; `make sim` makes up more.
    #[test]
    fn sec_3_adversaries_reach_no_further_than_they_may() {
        for seed in 0..30 {
            let scenario = Scenario::hostile(seed);
            let outcome = run::run(&scenario);
            assert_eq!(outcome.broken, None, "seed {seed}\n{}", outcome.transcript.join("\n"));
            if seed < 3 {
                assert_eq!(run::run(&scenario).transcript, outcome.transcript, "seed {seed}");
            }
        }
    }

    /// Hands in the ward with every run of the tests; `mdfm-sim world --ward` makes up more.
    #[test]
    fn fld_4_hands_in_the_ward_are_seen_by_the_coordinator() {
        for seed in 0..15 {
            let scenario = Scenario::ward(seed);
            let outcome = run::run(&scenario);
            assert_eq!(outcome.broken, None, "seed {seed}\n{}", outcome.transcript.join("\n"));
        }
    }

    /// Devices held on site while gateways are set back, copied or replaced; `mdfm-sim world --held` makes up more.
    #[test]
    fn fld_6_no_device_held_on_site_is_ever_activated() {
        for seed in 0..15 {
            let scenario = Scenario::held(seed);
            let outcome = run::run(&scenario);
            assert_eq!(outcome.broken, None, "seed {seed}\n{}", outcome.transcript.join("\n"));
        }
    }

    /// Hands in the ward while gateways are set back, copied or replaced; `mdfm-sim world --mixed` makes up more.
    #[test]
    fn fld_6_hands_and_set_backs_end_in_one_truth() {
        for seed in 0..15 {
            let scenario = Scenario::mixed(seed);
            let outcome = run::run(&scenario);
            assert_eq!(outcome.broken, None, "seed {seed}\n{}", outcome.transcript.join("\n"));
        }
    }

    /// Witnesses that are away at times, and a coordinator whose messages find little room; `mdfm-sim world --witnesses` makes up more.
    #[test]
    fn nothing_is_activated_that_too_few_witnesses_have_seen() {
        for seed in 0..15 {
            let scenario = Scenario::witnessed(seed);
            let outcome = run::run(&scenario);
            assert_eq!(outcome.broken, None, "seed {seed}\n{}", outcome.transcript.join("\n"));
        }
    }

    /// A few worlds with every run of the tests; `make sim` makes up a thousand.
    #[test]
    fn made_up_worlds_keep_every_rule_and_are_the_same_each_time() {
        for seed in 0..25 {
            let scenario = Scenario::random(seed);
            let outcome = run::run(&scenario);
            assert_eq!(outcome.broken, None, "seed {seed}\n{}", outcome.transcript.join("\n"));
            if seed < 3 {
                assert_eq!(run::run(&scenario).transcript, outcome.transcript, "seed {seed}");
            }
        }
    }
}
