//! A newer directive does not name the device: what an earlier one asked for has ended, whatever the journal says.

use super::DesiredState::{Hold, Install, Nothing};
use super::bench::REPORT_MS;
use super::*;

/// A bench on which this release is prepared and held.
fn prepared(n: u8) -> Bench {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(Hold(target(n))));
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Staged);
    bench.events.clear();
    bench
}

fn states(bench: &Bench) -> Vec<InstallState> {
    let state = |event: &EventKind| match event {
        EventKind::StateChanged { state, .. } => Some(*state),
        _ => None,
    };
    bench.events.iter().filter_map(state).collect()
}

#[test]
fn fld_6_what_no_directive_asks_for_any_more_is_not_kept() {
    for streams in [false, true] {
        for ms in [0, REPORT_MS, 5_000] {
            let mut bench = Bench::new(Flaw::None);
            bench.streams = streams;
            bench.report();
            bench.ask(Some(Hold(target(2))));
            bench.live(ms);
            bench.ask(None);
            bench.live(5_000);
            assert_ne!(bench.state(), InstallState::Idle, "no directive is held: it goes on preparing");
            bench.ask(Some(Nothing));
            assert_eq!(bench.state(), InstallState::Idle, "after {ms} ms");
            assert_eq!((bench.installer.needed_image(), bench.installer.target()), (None, None));
            bench.live(60_000);
            assert_eq!((bench.state(), bench.orders), (InstallState::Idle, 0));
        }
    }
}

/// The disk is of the time when a release was prepared; since then the deployment ended, and another one that has the device has not
/// come to it.
#[test]
fn fld_6_a_disk_of_before_an_abort_brings_no_stage_back() {
    let mut bench = prepared(2);
    let before = bench.disk.clone();
    bench.ask(desired_rollback(2));
    assert_eq!(bench.state(), InstallState::Idle);
    bench.disk = before;
    bench.desired = Some(Nothing);
    bench.restart();
    bench.input(Input::SetBack);
    assert_eq!(bench.state(), InstallState::Staged, "the device may be further: it is looked at first");
    bench.report();
    assert_eq!((bench.state(), bench.installer.unseen()), (InstallState::Idle, None));
    assert_eq!(bench.orders, 0);
}

/// The registry takes the device away and gives it back: the same deployment goes on.
#[test]
fn fld_6_a_deployment_that_asks_again_begins_again() {
    let mut bench = prepared(2);
    bench.ask(Some(Nothing));
    bench.live(2_000);
    bench.restart();
    bench.ask(Some(Install(target(2))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    assert!(states(&bench).starts_with(&[InstallState::Idle, InstallState::Fetching]), "{:?}", states(&bench));
    // Over a confirmed release: that is what the device has meanwhile, with its way back.
    bench.ask(Some(Install(target(3))));
    assert_eq!(bench.state(), InstallState::Fetching);
    bench.ask(Some(Nothing));
    assert_eq!((bench.state(), bench.disk.refused.clone()), (InstallState::Confirmed, None));
    assert_eq!(bench.disk.plan.as_ref().map(|p| (p.manifest, p.knows_fallback())), Some((target(2).digest, true)));
    bench.ask(Some(Install(target(3))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
}

/// An order to boot that arrives late, after nobody asks any more: the device goes back.
#[test]
fn fld_6_a_late_boot_of_what_is_not_asked_for_goes_back() {
    let mut bench = prepared(2);
    bench.ask(Some(Nothing));
    bench.device.trial = Some(3);
    bench.device.boot();
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.running()), (InstallState::RolledBack, firmware(1)));
}
