//! The queue of deadlines beside a walk over every device, which is how silence was found before: in random histories both find the same.

use std::collections::BTreeMap;

use mdfm_shared::fixture::signed;
use mdfm_shared::id::GatewayId;
use mdfm_shared::manifest::FirmwareClass;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::telemetry::{
    DeviceHeartbeat, Event as Reported, EventKind, FirmwareReport, InstallState, TelemetryBatch,
};
use proptest::prelude::*;

use super::*;
use crate::Event;
use crate::desk::{Desk, LOOK_MS, Submission};
use crate::fixture::{Office, all, device, id, person, release};
use crate::rollout::{Change, OrderedBack, Scope};

const SILENCE_MS: u64 = 60_000;

/// Whom a walk over every device finds silent (`true`), or returned.
type Found = BTreeMap<DeviceId, bool>;

/// What the walk remembers.
#[derive(Default)]
struct OldWalk {
    phases: BTreeMap<DeploymentId, (UtcMillis, UtcMillis)>,
}

impl OldWalk {
    fn find(&mut self, state: &State, presence: &Presence, Times { clock, steady, up_ms }: Times) -> Found {
        let mut found = Found::new();
        self.phases.retain(|id, _| state.deployments.get(id).is_some_and(|d| d.status == Status::Running));
        for (id, deployment) in &state.deployments {
            if deployment.status != Status::Running {
                continue;
            }
            let since = match deployment.phases.get(deployment.current as usize).map(|p| &p.status) {
                Some(PhaseStatus::Deploying { since } | PhaseStatus::Monitoring { since }) => *since,
                _ => continue,
            };
            let seen = self.phases.entry(id.clone()).or_insert((since, steady));
            if seen.0 != since {
                *seen = (since, steady);
            }
            let worked_on_ms = clock.since_ms(since).max(steady.since_ms(seen.1));
            let close = deployment.plan.spec.monitoring_interval_ms.map(|ms| ms.saturating_mul(INTERVALS_MISSED));
            let limit_ms = close.map_or(SILENCE_MS, |ms| ms.min(SILENCE_MS));
            for (device, progress) in &deployment.devices {
                if progress.phase != deployment.current || progress.has_failed() {
                    continue;
                }
                let last_seen = presence.last_attached(device).unwrap_or_default();
                let unseen_ms = clock.since_ms(last_seen);
                let silent = unseen_ms.min(up_ms).min(worked_on_ms) > limit_ms;
                match (silent, progress.silent) {
                    (true, false) => found.extend([(device.clone(), true)]),
                    (_, true) if unseen_ms <= limit_ms => found.extend([(device.clone(), false)]),
                    _ => {}
                }
            }
        }
        found
    }
}

/// What the records of a round say.
fn recorded(entries: &[Vec<u8>]) -> Found {
    let mut found = Found::new();
    for entry in entries {
        let record = AuditRecord::from_bytes(entry).expect("a record");
        match record.event.map(serde_json::from_value::<Event>) {
            Some(Ok(Event::DeploymentChanged { change: Change::DeviceSilent { device, .. }, .. })) => {
                let _ = found.insert(device, true);
            }
            Some(Ok(Event::DeploymentChanged { change: Change::DeviceReturned { device }, .. })) => {
                let _ = found.insert(device, false);
            }
            _ => {}
        }
    }
    found
}

/// An installation with two deployments, and the walk beside it.
struct Both {
    office: Office,
    walk: OldWalk,
    looked: usize,
}

impl Both {
    fn new() -> Self {
        let mut office = Office::new();
        office
            .deploy("D-1", &all(22, r#""targetDevices": ["DEV-1-1", "DEV-1-2", "DEV-2-1", "DEV-2-2"],"#))
            .expect("ok");
        let close = r#""targetDevices": ["DEV-3-1", "DEV-3-2", "DEV-4-1", "DEV-4-2"], "monitoringInterval": "PT10S","#;
        office.deploy("D-2", &all(22, close)).expect("ok");
        let mut both = Self { office, walk: OldWalk::default(), looked: 0 };
        both.round(0);
        both
    }

    /// The next round, at the office's time; both must find the same.
    fn round(&mut self, back_ms: u64) {
        let clock = UtcMillis(self.office.now.0 - back_ms);
        let Office { desk, state, presence, .. } = &self.office;
        let is_look = clock >= desk.next_look || desk.next_look.since_ms(clock) > LOOK_MS;
        let mut expected = Found::new();
        if is_look {
            let mut seen = presence.clone();
            seen.follow(clock);
            let steady = desk.time.steady_at(clock);
            let times = Times { clock, steady, up_ms: steady.since_ms(desk.started_at) };
            expected = self.walk.find(state, &seen, times);
        }
        self.office.now = clock;
        let before = self.office.entries.len();
        self.office.pass(0);
        assert_eq!(recorded(&self.office.entries[before..]), expected, "at {clock}, a look: {is_look}");
        self.looked += expected.len();
    }

    /// A command between two looks; it may be refused. While the clock is behind the log, records have the log's time.
    fn submit(&mut self, actor: &str, command: Command) {
        let Office { desk, state, presence, now, entries, .. } = &mut self.office;
        let round = desk.round(state, *now, presence, &[Submission::new(person(actor), command)]).expect("applies");
        entries.extend(round.entries);
    }

    fn report(&mut self, h: usize, d: usize, state: InstallState) {
        let gateway: GatewayId = id(&format!("GW-{h}"));
        let chain = &self.office.state.gateways[&gateway].chain;
        let deployment: DeploymentId = id(deployment_of(h));
        let manifest = self.office.state.deployments[&deployment].plan.manifest;
        let running = release(22, FirmwareClass::Standard, 3);
        let running = FirmwareReport {
            version: running.version,
            release_number: 22,
            security_version: 3,
            sha256: running.sha256,
        };
        let (running, detail) = (Some(running), String::new());
        let kind = EventKind::StateChanged { state, manifest, deployment, running, detail };
        let batch = TelemetryBatch {
            gateway: gateway.clone(),
            epoch: chain.epoch,
            sequence: chain.sequence + 1,
            previous: chain.last(),
            events: vec![Reported { device: Some(device(h, d)), at: self.office.now, kind }],
        };
        let batch = signed(&batch, &[50 + h as u8]).into();
        self.submit("x", Command::Telemetry { gateway, batch });
    }

    fn restart(&mut self) {
        let now = self.office.now;
        // Its memory is gone; what the log says of silence stays.
        self.office.desk = Desk::new(mdfm_shared::fixture::key(12), SILENCE_MS, now);
        self.office.presence = Presence::started(now);
        self.walk = OldWalk::default();
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Heartbeats with the devices of a hospital, a few milliseconds ago.
    Beat {
        h: usize,
        attached: u8,
        ago_ms: u64,
    },
    /// Time passes.
    Pass(u64),
    /// Seconds pass, with a look in each.
    Seconds(u64),
    /// Somebody sets the clock back.
    Back(u64),
    /// A device reports how far it is.
    Report {
        h: usize,
        d: usize,
        state: InstallState,
    },
    Pause(usize),
    Resume(usize),
    RollBack {
        h: usize,
        d: usize,
        cause: OrderedBack,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        Just(InstallState::Fetching),
        Just(InstallState::Failed),
        Just(InstallState::Probation),
        Just(InstallState::Confirmed),
        Just(InstallState::Idle),
    ];
    let back = prop_oneof![1_u64..5_000, 5_001_u64..200_000];
    let cause = prop_oneof![Just(OrderedBack::Safety), Just(OrderedBack::Operational)];
    prop_oneof![
        6 => (1_usize..=4, 0_u8..4, 0_u64..4_000).prop_map(|(h, attached, ago_ms)| Step::Beat { h, attached, ago_ms }),
        3 => (1_u64..90_000).prop_map(Step::Pass),
        5 => (1_u64..40).prop_map(Step::Seconds),
        1 => back.prop_map(Step::Back),
        3 => (1_usize..=4, 1_usize..=2, state).prop_map(|(h, d, state)| Step::Report { h, d, state }),
        1 => (1_usize..=2).prop_map(Step::Pause),
        2 => (1_usize..=2).prop_map(Step::Resume),
        1 => (1_usize..=4, 1_usize..=2, cause).prop_map(|(h, d, cause)| Step::RollBack { h, d, cause }),
        1 => Just(Step::Restart),
    ]
}

fn deployment_of(h: usize) -> &'static str {
    if h <= 2 { "D-1" } else { "D-2" }
}

fn run(steps: &[Step]) -> usize {
    let mut both = Both::new();
    for step in steps {
        match step {
            Step::Beat { h, attached, ago_ms } => {
                let at = UtcMillis(both.office.now.0 - ago_ms);
                for d in 1..=2_usize {
                    let (device, attached) = (device(*h, d), attached & (1 << (d - 1)) != 0);
                    let beat = DeviceHeartbeat { device, state: InstallState::Idle, attached, in_use: false };
                    both.office.presence.seen(at, &beat);
                }
            }
            Step::Pass(ms) => {
                both.office.now = both.office.now.plus_ms(*ms);
                both.round(0);
            }
            Step::Seconds(n) => {
                for _ in 0..*n {
                    both.office.now = both.office.now.plus_ms(1_000);
                    both.round(0);
                }
            }
            Step::Back(ms) => both.round(*ms),
            Step::Report { h, d, state } => both.report(*h, *d, *state),
            Step::Pause(n) => {
                let deployment = id(&format!("D-{n}"));
                both.submit("operator", Command::Pause { deployment, reason: "a doubt".into() });
            }
            Step::Resume(n) => {
                let deployment = id(&format!("D-{n}"));
                both.submit("operator", Command::Resume { deployment, reason: "no doubt".into() });
            }
            Step::RollBack { h, d, cause } => {
                let deployment = id(deployment_of(*h));
                let (scope, reason) = (Scope::Device { device: device(*h, *d) }, "a doubt".into());
                both.submit("operator", Command::Rollback { deployment, scope, cause: *cause, reason });
            }
            Step::Restart => both.restart(),
        }
        // What a person or a gateway brought was in a round between two looks.
        both.round(0);
    }
    both.looked
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn a_queue_of_deadlines_finds_what_a_walk_finds(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}

#[test]
fn a_known_history_finds_silence_and_returns() {
    let beat = |h| Step::Beat { h, attached: 3, ago_ms: 0 };
    let found = run(&[beat(1), beat(2), beat(3), Step::Seconds(35), beat(1), beat(2), beat(3), Step::Seconds(62)]);
    assert!(found >= 10, "{found}: two that were never seen, six that fell silent, and some that came back");
}

#[test]
fn one_that_is_seen_in_the_moment_of_a_restart_has_returned() {
    let beat = Step::Beat { h: 1, attached: 1, ago_ms: 0 };
    run(&[
        Step::Pass(21_001),
        Step::Seconds(31),
        Step::Pass(8_000),
        Step::Restart,
        beat,
        Step::Back(1),
        Step::Seconds(1),
    ]);
}

#[test]
fn nobody_returns_because_a_phase_goes_on() {
    let beat = Step::Beat { h: 1, attached: 3, ago_ms: 0 };
    let silent = [beat, Step::Seconds(70), Step::Pause(1), Step::Seconds(5)];
    let before = run(&silent);
    let after = [Step::Resume(1), Step::Seconds(5)];
    assert_eq!(run(&[&silent[..], &after[..]].concat()), before, "the silent ones of hospital 1 were noted once");
}

#[test]
fn many_are_judged_in_slices_and_none_is_missed() {
    let (mut state, mut presence) = (Office::new().state, Presence::started(UtcMillis(0)));
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let mut deployment = office.deployment("D-1").clone();
    let of_one = deployment.devices.values().next().expect("a device").clone();
    let many: BTreeSet<DeviceId> = (0..5_000).map(|n| id(&format!("MANY-{n:04}"))).collect();
    deployment.devices = many.iter().map(|device| (device.clone(), of_one.clone())).collect();
    state.deployments.insert(id("D-1"), deployment);
    let mut liveness = Liveness::new(SILENCE_MS);
    let start = office.now;
    let times = |ms: u64| Times { clock: start.plus_ms(ms), steady: start.plus_ms(ms), up_ms: SILENCE_MS * 10 };
    let mut silent = BTreeSet::new();
    let mut rounds = 0;
    for second in 0..120 {
        let mut is_look = true;
        while is_look || liveness.has_more() {
            let commands = liveness.due(&mut state, &mut presence, times(second * 1_000), is_look);
            assert!(commands.len() <= COMMANDS_MAX);
            for command in commands {
                let Command::NoteLiveness { device, heard: Heard::Silent, .. } = command else { panic!("silence") };
                state
                    .deployments
                    .get_mut(&id::<DeploymentId>("D-1"))
                    .expect("there")
                    .devices
                    .get_mut(&device)
                    .expect("there")
                    .silent = true;
                assert!(second > 60, "{device} after {second} s");
                assert!(silent.insert(device), "once");
            }
            is_look = false;
            rounds += 1;
        }
    }
    assert_eq!(silent, many);
    assert!((120 + 5_000 / COMMANDS_MAX..200).contains(&rounds), "{rounds} rounds");
}
