//! The counts by hospital are those of a walk over every device, whatever happened in between.

use proptest::prelude::*;

use mdfm_shared::telemetry::{FAULTS_COUNTED, InstallState, ROLLBACK_ORDERED, Severity};
use mdfm_shared::time::UtcMillis;

use super::super::step::tests::{SEED, plan};
use super::super::{Change, Members, NewDeployment, OrderedBack, Scope};
use super::*;

const HOSPITALS: u8 = 5;
const DEVICES: u8 = 4;
const AT: UtcMillis = UtcMillis(1_000_000);
const STATES: [InstallState; 9] = [
    InstallState::Idle,
    InstallState::Staging,
    InstallState::Activating,
    InstallState::Probation,
    InstallState::Confirmed,
    InstallState::RollingBack,
    InstallState::RolledBack,
    InstallState::RollbackFailed,
    InstallState::Failed,
];

fn hospital(h: u8) -> HospitalId {
    format!("H-{}", h % HOSPITALS).parse().expect("a good id")
}

fn device(h: u8, i: u8) -> DeviceId {
    format!("DEV-{}-{}", h % HOSPITALS, i % DEVICES).parse().expect("a good id")
}

/// Devices in three phases, and where they are registered.
struct Fleet {
    deployment: Deployment,
    homes: BTreeMap<DeviceId, HospitalId>,
}

impl Fleet {
    fn new(on_silence: OnSilence) -> Self {
        let all = || (0..HOSPITALS).flat_map(|h| (0..DEVICES).map(move |i| (h, i)));
        let plan = plan(SEED, FirstFailure::ByGate, all().count() as u32);
        let spec = super::super::Spec { on_silence, ..plan.spec.clone() };
        let mut deployment = Deployment::new(NewDeployment { spec, ..plan }, AT);
        let homes: BTreeMap<_, _> = all().map(|(h, i)| (device(h, i), hospital(h))).collect();
        // Each hospital has devices in two phases.
        let members = all().map(|(h, i)| Members {
            hospital: hospital(h),
            phase: u32::from((h + i) % 2 + h % 2),
            devices: vec![device(h, i)],
        });
        let members = members.collect();
        deployment.apply(AT, &Change::MembersJoined { members }, &|d| homes.get(d).cloned());
        Self { deployment, homes }
    }

    fn origin(&self, device: &DeviceId) -> Option<Origin> {
        self.homes.get(device).map(|hospital| Origin { hospital: hospital.clone(), gateway: None })
    }

    fn act(&mut self, (what, h, i, x): (u8, u8, u8, u8)) {
        let Self { deployment, homes } = self;
        let one = device(h, i);
        let of = |d: &DeviceId| homes.get(d).cloned();
        let causes = [OrderedBack::Safety, OrderedBack::Operational, OrderedBack::Contained];
        let cause = causes[usize::from(x) % causes.len()];
        let phase = u32::from(x % 3);
        match what {
            0 | 1 => {
                let detail = if x % 2 == 0 { FAULTS_COUNTED } else { ROLLBACK_ORDERED };
                deployment.report_state(AT, &one, STATES[usize::from(x) % STATES.len()], detail);
            }
            2 => {
                let severity = [Severity::Warning, Severity::Error, Severity::Critical][usize::from(x) % 3];
                deployment.report_error(AT, &one, severity, "E: alarm");
            }
            3 => deployment.apply(AT, &Change::DeviceSilent { device: one, last_seen: AT }, &of),
            4 => deployment.apply(AT, &Change::DeviceReturned { device: one }, &of),
            5 => deployment.apply(AT, &Change::OrderedBack { scope: Scope::Device { device: one }, cause }, &of),
            6 => {
                let scope = if x % 2 == 0 { Scope::Hospital { hospital: hospital(h) } } else { Scope::Phase { phase } };
                deployment.apply(AT, &Change::OrderedBack { scope, cause }, &of);
            }
            7 => deployment.apply(AT, &Change::PhaseOpened { phase }, &of),
            8 => deployment.report_running(AT, &one, x % 2 == 0),
            9 => deployment.report_stays(AT, &one),
            _ => {
                // It moves to another hospital, or its registration is disposed of.
                match x % 4 {
                    0 => homes.remove(&one),
                    _ => homes.insert(one.clone(), hospital(x)),
                };
                deployment.place(&one, homes.get(&one));
            }
        }
    }

    /// What [`worst`] returns, by a walk over every device.
    fn worst_by_walk(
        &self,
        is_meant: impl Fn(u32) -> bool,
        is_over: impl Fn(u32, u32) -> bool,
    ) -> Option<(DeviceId, bool)> {
        let deployment = &self.deployment;
        let mut shares: BTreeMap<&HospitalId, (u32, u32, Option<&DeviceId>)> = BTreeMap::new();
        for (device, progress) in &deployment.devices {
            let is_watched = deployment.phases.get(progress.phase as usize).is_some_and(is_watched);
            let Some(hospital) = self.homes.get(device) else { continue };
            if !is_watched || !is_meant(progress.phase) || progress.is_withdrawn() {
                continue;
            }
            let share = shares.entry(hospital).or_default();
            share.1 += 1;
            let is_silent = match deployment.plan.spec.on_silence {
                OnSilence::Hold => progress.silent && progress.is_on_trial(),
                OnSilence::Fail => progress.silent,
            };
            if progress.has_failed() || is_silent {
                share.0 += 1;
                share.2.get_or_insert(device);
            }
        }
        let (failed, devices) = shares.values().fold((0, 0), |(f, d), s| (f + s.0, d + s.1));
        let worst = shares.values().rev().max_by_key(|s| s.0)?;
        Some((worst.2?.clone(), is_over(failed - worst.0, devices - worst.1)))
    }

    fn check(&self) {
        let deployment = &self.deployment;
        let mut again = deployment.clone();
        again.index(&|device| self.homes.get(device).cloned());
        let listed = |d: &Deployment| -> BTreeMap<(u32, HospitalId), super::super::shares::Share> {
            let all = d.shares.iter().filter(|(_, _, share)| share.members > 0);
            all.map(|(phase, hospital, share)| ((phase, hospital.clone()), share.clone())).collect()
        };
        assert_eq!(listed(deployment), listed(&again), "as made again from a kept state");
        let is_over = |failed: u32, devices: u32| failed * 4 > devices;
        for phase in 0..3 {
            let found = worst(deployment, |p| p == phase, is_over);
            assert_eq!(found, self.worst_by_walk(|p| p == phase, is_over), "phase {phase}");
        }
        assert_eq!(worst(deployment, |_| true, is_over), self.worst_by_walk(|_| true, is_over));
        let is_critical = |p: &&super::super::DeviceProgress| p.critical.is_some() && p.ordered_back.is_none();
        let critical = deployment.devices.iter().find(|(_, p)| deployment.is_open(p.phase) && is_critical(p));
        assert_eq!(deployment.shares.first_critical(|p| deployment.is_open(p)), critical.map(|(id, _)| id));
        for h in 0..HOSPITALS {
            let mut opened = deployment.devices.iter().filter(|(_, p)| deployment.is_open(p.phase));
            let by_walk = opened.all(|(id, _)| self.origin(id).is_none_or(|origin| origin.hospital == hospital(h)));
            assert_eq!(is_all_of(deployment, &hospital(h)), by_walk, "H-{h}");
        }
        // The record of a device that was disposed of is no reason to look for its hospital in vain.
        let _ = next(deployment, &|device| self.origin(device));
    }
}

proptest! {
    #[test]
    fn counts_by_hospital_are_those_of_a_walk(
        fails in any::<bool>(),
        acts in proptest::collection::vec((0_u8..11, any::<u8>(), any::<u8>(), any::<u8>()), 0..120),
    ) {
        let mut fleet = Fleet::new(if fails { OnSilence::Fail } else { OnSilence::Hold });
        fleet.check();
        for act in acts {
            fleet.act(act);
            fleet.check();
        }
    }
}

#[test]
fn a_kept_state_finds_devices_and_counts_as_the_live_one() {
    use crate::Command;
    use crate::fixture::{Office, all, device as named, id, new_device};
    use crate::fleet::DeviceChange;
    let mut office = Office::new();
    let moves = |office: &mut Office, hospital: &str, gateway: Option<Option<GatewayId>>| {
        let change = DeviceChange { hospital: Some(id(hospital)), gateway, ..DeviceChange::default() };
        office.attempt("operator", Command::ChangeDevice { device: named(2, 3), change, reason: "moved".into() })
    };
    office.give("operator", new_device(2, 3));
    moves(&mut office, "H-1", Some(Some(id("GW-1")))).expect("moves");
    moves(&mut office, "H-3", Some(None)).expect("moves again");
    office.deploy("D-1", &all(22, "")).expect("approved");
    // Whether it may move now is for the registry to say.
    let _ = moves(&mut office, "H-4", Some(Some(id("GW-4"))));
    let kept = crate::State::from_snapshot(&office.state.to_snapshot().expect("bytes")).expect("reads");
    let shares = |state: &crate::State| -> Vec<(u32, HospitalId, super::super::shares::Share)> {
        let deployment = state.deployments.values().next().expect("one");
        deployment.shares.iter().map(|(phase, hospital, share)| (phase, hospital.clone(), share.clone())).collect()
    };
    for gateway in office.state.gateways.keys() {
        assert_eq!(office.state.devices_of(gateway), kept.devices_of(gateway), "{gateway}");
    }
    let reached: Vec<&GatewayId> =
        kept.gateways.keys().filter(|gateway| kept.devices_of(gateway).contains(&named(2, 3))).collect();
    assert_eq!(reached.len(), 1, "{reached:?}");
    let mut live = shares(&office.state);
    let mut again = shares(&kept);
    live.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    again.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    assert!(live.iter().map(|(.., share)| share.members).sum::<u32>() > 0);
    assert_eq!(live, again);
}
