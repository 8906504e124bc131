//! Devices that are exchanged or flashed by hand, and devices that reboot without an order.

use mdfm_shared::limits::REBOOTS_PER_DAY_DEFAULT;
use mdfm_shared::telemetry::{ERROR_REBOOTS, FirmwareReport, OVERTAKEN, SET_BACK, UNSEEN};

use super::*;

fn adopted(bench: &Bench) -> Vec<FirmwareReport> {
    let firmware = |event: &EventKind| match event {
        EventKind::DeviceAdopted { firmware, .. } => Some(firmware.clone()),
        _ => None,
    };
    bench.events.iter().filter_map(firmware).collect()
}

#[test]
fn fld_4_firmware_flashed_by_hand_is_adopted_and_kept() {
    let mut bench = confirmed_for(0);
    bench.events.clear();
    (bench.device.permanent, bench.device.other) = (firmware(1), None);
    bench.live(5_000);
    assert_eq!((bench.state(), bench.disk.confirmed.clone()), (InstallState::Idle, Some(firmware(1))));
    assert_eq!(adopted(&bench), [firmware(1)], "once");
    assert!(bench.disk.detail.contains("exchanged or flashed by hand"), "{}", bench.disk.detail);
    bench.restart();
    bench.live(20_000);
    assert_eq!(bench.device.permanent, firmware(1), "the same deployment does not fight with people");
    bench.ask(Some(DesiredState::Install(Target { expires_at: START_UTC.plus_ms(500 * DAY_MS), ..target(3) })));
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
    assert_eq!(bench.disk.plan.as_ref().map(|p| p.fallback.clone()), Some(firmware(1)), "what it really had before");
}

fn third() -> Target {
    Target { expires_at: START_UTC.plus_ms(500 * DAY_MS), ..target(3) }
}

/// Release 3 is to be installed.
fn asked() -> Option<DesiredState> {
    Some(DesiredState::Install(third()))
}

/// Release 3 is called back.
fn called_back() -> Option<DesiredState> {
    let Target { digest: manifest, deployment, .. } = third();
    Some(DesiredState::Rollback { manifest, deployment, authorities: Vec::new(), fallback_withdrawn: None })
}

/// Release 2 is confirmed and release 3 on trial; then the gateway's disk of before is put back.
fn put_back_on_trial() -> Bench {
    let mut bench = confirmed_for(0);
    let before = bench.disk.clone();
    bench.ask(asked());
    for _ in 0..30 {
        if bench.state() == InstallState::Probation {
            break;
        }
        bench.live(2_000);
    }
    assert_eq!(bench.state(), InstallState::Probation);
    bench.disk = before;
    bench.ask(None);
    bench.restart();
    bench.input(Input::SetBack);
    assert_eq!(bench.state(), InstallState::Confirmed, "it knows of release 2");
    bench.events.clear();
    bench
}

#[test]
fn fld_6_a_trial_after_a_confirmed_release_is_watched() {
    let mut bench = put_back_on_trial();
    bench.ask(asked());
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
    assert_eq!(bench.disk.plan.as_ref().map(|p| p.fallback.clone()), Some(firmware(2)));
}

#[test]
fn fld_6_a_trial_that_nobody_may_go_on_with_is_left() {
    let withdrawn = DesiredState::Install(Target { withdrawn: Some("alarm limits lost".into()), ..third() });
    for order in [called_back(), Some(withdrawn)] {
        let mut bench = put_back_on_trial();
        bench.ask(order);
        bench.live(60_000);
        assert_eq!((bench.state(), bench.device.trial), (InstallState::RolledBack, None), "{}", bench.disk.detail);
        assert_eq!(bench.device.running(), firmware(2));
        assert_eq!(bench.disk.plan.as_ref().map(|p| p.manifest), Some(third().digest), "it says what it left");
    }
}

#[test]
fn fld_6_a_way_back_that_is_not_there_ends_with_what_runs() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    let before = bench.disk.clone();
    let mut bench = bench.into_trial();
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.ask(asked());
    bench.live(40_000);
    // The disk of before release 2 is put back: the device has no slot with release 1.
    bench.device.other = Some((firmware(3), true));
    (bench.device.permanent, bench.device.trial) = (firmware(2), Some(1));
    bench.disk = before;
    bench.ask(None);
    bench.restart();
    bench.ask(called_back());
    bench.live(400_000);
    assert_eq!(bench.state(), InstallState::RollbackFailed, "{}", bench.disk.detail);
    bench.device.trial = None;
    bench.live(10_000);
    assert_eq!((bench.state(), bench.disk.confirmed.clone()), (InstallState::RolledBack, Some(firmware(2))));
}

#[test]
fn fld_6_only_what_the_journal_cannot_know_is_unseen() {
    let mut bench = put_back_on_trial();
    bench.ask(Some(DesiredState::Install(target(2))));
    assert_eq!(bench.installer.unseen(), None, "release 2 is confirmed here");
    bench.device.silent = true;
    bench.ask(asked());
    let unseen = bench.installer.unseen().expect("nothing stands here");
    let EventKind::StateChanged { state, manifest, running, detail, .. } = unseen else { panic!("{unseen:?}") };
    assert_eq!((state, manifest, running), (InstallState::Idle, third().digest, None));
    symptom("The telemetry", "the device has not reported").assert_in(&detail);
    // A copy that was made while the release was prepared says no more.
    let mut bench = confirmed_for(0);
    bench.line = false;
    bench.ask(asked());
    assert_eq!(bench.state(), InstallState::Fetching);
    assert!(bench.installer.unseen().is_some());
}

#[test]
fn fld_4_a_refused_release_is_never_taken_for_installed() {
    for set_back in [false, true] {
        let mut bench = Bench::new(Flaw::None);
        bench.report();
        let refused = Target { withdrawn: Some("alarm limits lost".into()), ..target(2) };
        bench.ask(Some(DesiredState::Install(refused)));
        bench.live(5_000);
        assert_eq!(bench.state(), InstallState::Failed);
        bench.device.permanent = firmware(7);
        bench.live(5_000);
        // What it ran when the release was refused comes back.
        bench.pass(if set_back { 60_000 } else { 3_600_000 });
        bench.device.permanent = firmware(1);
        bench.live(5_000);
        if set_back {
            bench.input(Input::SetBack);
            bench.live(5_000);
        }
        assert_ne!(bench.state(), InstallState::Confirmed, "{}", bench.disk.detail);
        let confirmed = |e: &EventKind| matches!(e, EventKind::StateChanged { state: InstallState::Confirmed, .. });
        assert!(!bench.events.iter().any(confirmed), "nothing was installed");
    }
}

#[test]
fn fld_4_a_device_that_changes_each_second_is_adopted_rarely() {
    let mut bench = confirmed_for(0);
    bench.events.clear();
    for n in 0..1_800_u32 {
        bench.device.permanent = FirmwareReport { sha256: Digest([n as u8; 32]), ..firmware(1) };
        bench.pass(1_000);
        bench.report();
    }
    assert!(adopted(&bench).len() <= 4, "{} in half an hour", adopted(&bench).len());
}

fn reboots(bench: &mut Bench, from: u32, to: u32) {
    for now in from + 1..=to {
        bench.input(Input::Reboots { before: now - 1, now });
    }
}

fn errors(bench: &Bench) -> usize {
    let is_error = |e: &&EventKind| matches!(e, EventKind::DeviceError { code, .. } if code == ERROR_REBOOTS);
    bench.events.iter().filter(is_error).count()
}

#[test]
fn fld_11_reboots_over_the_budget_end_a_trial() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(2_500);
    reboots(&mut bench, 0, REBOOTS_PER_DAY_DEFAULT);
    assert_eq!((bench.state(), errors(&bench)), (InstallState::Probation, 0), "somebody may have switched it off");
    reboots(&mut bench, REBOOTS_PER_DAY_DEFAULT, REBOOTS_PER_DAY_DEFAULT + 1);
    assert_eq!((bench.state(), errors(&bench)), (InstallState::RollingBack, 1));
    symptom("The inventory", "unhealthy in probation").assert_in(&bench.disk.detail);
    symptom("The inventory", "unordered-reboots").assert_in(ERROR_REBOOTS);
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
}

#[test]
fn fld_11_a_crash_loop_after_confirmation_is_one_error() {
    let mut bench = confirmed_for(0);
    reboots(&mut bench, 0, 8);
    assert_eq!((bench.state(), errors(&bench)), (InstallState::Confirmed, 1), "an error for the gate, each day once");
    assert!(!bench.installer.expects_boot());
}

/// A report of the bench's device, altered.
fn report_as(bench: &mut Bench, alter: impl Fn(&mut mdfm_shared::device::Report)) {
    let mut report = bench.device.report().expect("it reports");
    alter(&mut report);
    bench.input(Input::Report(report));
}

#[test]
fn fld_4_a_new_epoch_leaves_what_was_flashed_by_hand_alone() {
    let mut bench = confirmed_for(0);
    (bench.device.permanent, bench.device.other) = (firmware(1), None);
    bench.live(5_000);
    assert_eq!(bench.disk.confirmed, Some(firmware(1)));
    for _ in 0..3 {
        bench.input(Input::SetBack);
        bench.live(20_000);
    }
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Idle, firmware(1)));
    // What it ran before is not what it returns to.
    assert_eq!(bench.disk.plan.as_ref().map(|p| p.fallback.clone()), Some(firmware(1)));
    // The device on which the release was installed comes back.
    bench.pass(3_600_000);
    bench.device.permanent = firmware(2);
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.ask(desired_rollback(2));
    bench.live(5_000);
    assert!(refusals(&bench).iter().any(|r| r.contains("no other firmware")), "{:?}", refusals(&bench));
}

#[test]
fn fld_6_a_set_back_confirms_nothing_that_failed_here() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.fault(Severity::Critical);
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::RolledBack);
    // Somebody writes the release that failed by hand, later; then the gateway is enrolled again.
    bench.pass(3_600_000);
    (bench.device.permanent, bench.device.other) = (firmware(2), None);
    bench.live(5_000);
    bench.input(Input::SetBack);
    bench.live(5_000);
    assert_ne!(bench.state(), InstallState::Confirmed);
    assert!(bench.disk.rolled_back.contains(&target(2).digest), "it failed on this device");
}

#[test]
fn fld_4_a_device_exchanged_while_staged_is_neither_booted_nor_failed() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Hold(target(2))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Staged);
    (bench.device.permanent, bench.device.other) = (firmware(7), None);
    bench.report();
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Idle, 1), "{}", bench.disk.detail);
    assert_eq!((bench.disk.failures, bench.disk.rolled_back.len()), (0, 0), "nothing failed");
    bench.ask(Some(DesiredState::Install(target(8))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(8)));
}

#[test]
fn fld_4_other_hardware_at_the_moment_of_activation_is_not_booted() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Hold(target(2))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Staged);
    report_as(&mut bench, |report| report.hardware = "Z".into());
    bench.ask(Some(DesiredState::Install(target(2))));
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Failed, 1));
    assert!(bench.disk.detail.contains("hardware Z"), "{}", bench.disk.detail);
}

#[test]
fn fld_11_the_budget_is_that_of_the_firmware_that_runs() {
    let mut bench = confirmed_for(0);
    let mut next = Target { expires_at: START_UTC.plus_ms(500 * DAY_MS), ..target(3) };
    next.manifest.reboots_per_day = Some(0);
    bench.ask(Some(DesiredState::Hold(next)));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Staged);
    reboots(&mut bench, 0, REBOOTS_PER_DAY_DEFAULT);
    assert_eq!(errors(&bench), 0, "what runs has a budget of its own");
}

/// On trial of release 2; the disk of that moment comes back after the device has gone on to release 3, which it runs permanently if
/// `is_done`. Release 1 is in its other slot, or what it returns to.
fn put_back_beyond(is_done: bool, is_left: bool) -> Bench {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.report();
    bench.line = false;
    if is_left {
        bench.ask(desired_rollback(2));
    }
    bench.orders = 0;
    if is_done {
        (bench.device.permanent, bench.device.other, bench.device.trial) =
            (firmware(3), Some((firmware(1), true)), None);
    } else {
        (bench.device.permanent, bench.device.other) = (firmware(1), Some((firmware(3), true)));
        bench.device.trial = Some(3);
    }
    bench.line = true;
    bench.events.clear();
    bench.restart();
    bench
}

/// States that were reported for release 2.
fn states_of_2(bench: &Bench) -> Vec<InstallState> {
    let of_2 = |e: &EventKind| match e {
        EventKind::StateChanged { state, manifest, detail, .. } if *manifest == target(2).digest => {
            assert!(detail.contains(OVERTAKEN), "{detail}");
            Some(*state)
        }
        _ => None,
    };
    bench.events.iter().filter_map(of_2).collect()
}

#[test]
fn fld_6_an_old_journal_orders_no_device_back_that_went_on() {
    for is_left in [false, true] {
        let mut bench = put_back_beyond(true, is_left);
        bench.live(400_000);
        assert_eq!((bench.device.permanent.clone(), bench.orders), (firmware(3), 0), "{is_left}");
        assert_eq!((bench.state(), bench.disk.confirmed.clone()), (InstallState::Idle, Some(firmware(3))));
        assert_eq!((states_of_2(&bench), bench.disk.failures), (vec![InstallState::Idle], 0));
        bench.ask(asked());
        bench.live(20_000);
        assert_eq!(bench.state(), InstallState::Confirmed, "the release that it runs");
    }
}

#[test]
fn fld_6_an_old_journal_watches_the_trial_that_came_after() {
    for is_left in [false, true] {
        let mut bench = put_back_beyond(false, is_left);
        // The directive of before is on the disk; the newest one comes with the line.
        bench.live(20_000);
        assert_eq!((bench.orders, bench.device.trial.is_some()), (0, true), "{}", bench.disk.detail);
        bench.ask(asked());
        assert_eq!(bench.state(), InstallState::Probation);
        bench.live(20_000);
        assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
        assert_eq!(states_of_2(&bench), [InstallState::Idle]);
    }
}

#[test]
fn fld_6_an_unknown_trial_that_nobody_asks_for_goes_back() {
    let mut bench = put_back_beyond(false, false);
    bench.live(90_000);
    assert_eq!(
        (bench.state(), bench.device.running()),
        (InstallState::RolledBack, firmware(1)),
        "{}",
        bench.disk.detail
    );
}

#[test]
fn fld_6_an_end_before_the_device_is_seen_says_so() {
    let mut bench = confirmed_for(0);
    bench.line = false;
    bench.ask(asked());
    assert_eq!(bench.state(), InstallState::Fetching);
    bench.restart();
    bench.events.clear();
    bench.input(Input::ImageReady(firmware(3).sha256));
    assert_eq!((bench.state(), bench.events.len()), (InstallState::Fetching, 0), "it says nothing of the device");
    bench.ask(called_back());
    let Some(EventKind::StateChanged { state, detail, .. }) = bench.events.last() else { panic!("{:?}", bench.events) };
    assert!(*state == InstallState::Idle && detail.contains(UNSEEN), "{detail}");
    assert!(!bench.disk.detail.contains(UNSEEN), "what is reported once the device is seen");
    assert!(bench.installer.unseen().is_some(), "it may have booted");
}

#[test]
fn fld_6_the_first_report_is_compared_with_a_put_back_journal() {
    let mut bench = confirmed_for(0);
    let before = bench.disk.clone();
    (bench.device.permanent, bench.device.other) = (firmware(1), Some((firmware(2), true)));
    bench.disk = before;
    bench.restart();
    bench.events.clear();
    bench.input(Input::SetBack);
    bench.report();
    assert_eq!(bench.state(), InstallState::RolledBack, "{}", bench.disk.detail);
    assert_eq!(adopted(&bench), [], "nobody exchanged it");
}

/// The disk of a trial is put back after the device has left the release again, and the gateway learns that its state is older.
#[test]
fn fld_6_a_trial_put_back_blames_no_release() {
    for is_known in [false, true] {
        let mut bench = Bench::on_trial(Flaw::None);
        bench.live(1_000);
        (bench.device.trial, bench.device.permanent) = (None, firmware(1));
        bench.device.boot();
        bench.reboot();
        if is_known {
            bench.installer.note_set_back();
        }
        bench.live(10_000);
        assert_eq!(bench.state() == InstallState::Probation, !is_known, "it is not known yet");
        bench.live(60_000);
        assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
        let blamed = bench.disk.rolled_back.contains(&target(2).digest);
        assert_eq!((blamed, bench.disk.failures), (!is_known, u32::from(!is_known)), "{}", bench.disk.detail);
        assert_eq!(bench.disk.detail.contains(SET_BACK), is_known, "{}", bench.disk.detail);
    }
}

#[test]
fn fld_6_a_silent_trial_put_back_blames_no_release() {
    for is_known in [false, true] {
        let mut bench = Bench::on_trial(Flaw::None);
        bench.live(1_000);
        bench.device.silent = true;
        bench.reboot();
        if is_known {
            bench.installer.note_set_back();
        }
        bench.live(20_000);
        assert_eq!((bench.state(), bench.disk.failures), (InstallState::RolledBack, u32::from(!is_known)));
    }
}

/// A trial that goes on is watched, whatever the state was: what it shows from then on counts.
#[test]
fn fld_6_a_trial_that_goes_on_is_judged_as_ever() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    bench.reboot();
    bench.installer.note_set_back();
    bench.live(1_000);
    bench.device.trial = None;
    bench.device.boot();
    bench.live(2_000);
    assert!(bench.disk.rolled_back.contains(&target(2).digest), "{}", bench.disk.detail);
}

#[test]
fn fld_6_one_release_in_two_deployments_has_two_names() {
    let mut bench = Bench::new(Flaw::None);
    bench.device.in_use = true;
    bench.report();
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Staged);
    bench.events.clear();
    let other = Target { deployment: "D-9".parse().expect("a good id"), ..target(2) };
    bench.ask(Some(DesiredState::Install(other)));
    bench.device.in_use = false;
    bench.live(20_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    let states = |name: &str| {
        let of = |event: &EventKind| match event {
            EventKind::StateChanged { state, deployment, .. } if deployment.as_str() == name => Some(*state),
            _ => None,
        };
        bench.events.iter().filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(states("D-2"), [InstallState::Idle], "it ends there");
    assert_eq!(
        (states("D-9").first(), states("D-9").last()),
        (Some(&InstallState::Fetching), Some(&InstallState::Confirmed))
    );
}
