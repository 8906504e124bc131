//! Another machine takes the gateway's place: it knows nothing of what the first one began.

use mdfm_shared::telemetry::FirmwareReport;

use super::DesiredState::Install;
use super::bench::REPORT_MS;
use super::*;

impl Bench {
    /// The machine dies, and another one is enrolled in its place.
    fn replace(&mut self) {
        self.disk = Journal::new();
        self.boot[0] = self.boot[0].wrapping_add(1);
        self.now.mono = MonotonicMs(5_000);
        self.events.clear();
        self.restart();
    }

    /// The states that were reported for a deployment, with what the device ran.
    fn reported(&self, n: u8) -> Vec<(InstallState, Option<FirmwareReport>)> {
        let of = |event: &EventKind| match event {
            EventKind::StateChanged { state, deployment, running, .. } if *deployment == target(n).deployment => {
                Some((*state, running.clone()))
            }
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }
}

#[test]
fn fld_8_a_new_machine_watches_the_trial_that_it_finds() {
    let mut bench = Bench::version_2(Flaw::None).into_trial();
    bench.live(2_000);
    bench.replace();
    bench.live(1_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Probation, 2), "nothing is booted for that");
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    bench.ask(desired_rollback(2));
    bench.live(5_000);
    assert!(refusals(&bench).iter().any(|r| r.contains("no other firmware")), "{:?}", refusals(&bench));
}

#[test]
fn fld_8_a_failed_trial_of_another_machine_needs_intervention() {
    let mut bench = Bench::version_2(Flaw::None).into_trial();
    bench.replace();
    bench.live(1_000);
    let orders = bench.orders;
    bench.fault(Severity::Critical);
    bench.live(REPORT_MS);
    assert_eq!((bench.state(), bench.orders), (InstallState::RollbackFailed, orders), "where to is not known here");
    assert!(bench.disk.detail.contains("switch it off and on"), "{}", bench.disk.detail);
    bench.restart();
    bench.live(60_000);
    assert_eq!(bench.state(), InstallState::RollbackFailed);
    // Somebody does, until its tries are used up.
    bench.device.trial = None;
    bench.device.boot();
    bench.live(1_000);
    assert_eq!((bench.state(), bench.disk.confirmed.clone()), (InstallState::RolledBack, Some(firmware(1))));
    assert!(bench.disk.rolled_back.contains(&target(2).digest), "it failed on this device");
    bench.ask(Some(Install(target(3))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
}

#[test]
fn fld_8_a_trial_called_back_meanwhile_needs_intervention() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    bench.desired = desired_rollback(2);
    bench.replace();
    bench.live(5_000);
    assert_eq!(bench.reported(2), [(InstallState::RollbackFailed, None)], "said once");
    bench.device.trial = None;
    bench.device.boot();
    bench.live(5_000);
    assert_eq!(bench.reported(2).last(), Some(&(InstallState::RolledBack, Some(firmware(1)))));
}

/// It is not what is asked for, nobody watches it, and where it could go back to is not known.
#[test]
fn fld_8_another_release_on_trial_needs_intervention() {
    let wrong = Target { manifest: Manifest { model: "Pump".into(), ..target(2).manifest }, ..target(2) };
    for asked in [target(3), wrong] {
        let mut bench = Bench::on_trial(Flaw::None);
        bench.desired = Some(Install(asked.clone()));
        bench.replace();
        let orders = bench.orders;
        bench.live(20_000);
        assert_eq!((bench.state(), bench.orders), (InstallState::RollbackFailed, orders), "it is left alone");
        assert!(bench.disk.detail.contains("switch it off and on"), "{}", bench.disk.detail);
        bench.restart();
        bench.live(60_000);
        assert_eq!(bench.state(), InstallState::RollbackFailed);
        let of = |event: &EventKind| match event {
            EventKind::StateChanged { state, deployment, .. } if *deployment == asked.deployment => Some(*state),
            _ => None,
        };
        assert_eq!(bench.events.iter().filter_map(of).collect::<Vec<_>>(), [InstallState::RollbackFailed], "once");
    }
}

#[test]
fn fld_8_once_such_a_trial_has_ended_the_release_is_installed() {
    for stays in [false, true] {
        let mut bench = Bench::on_trial(Flaw::None);
        bench.desired = Some(Install(target(3)));
        bench.replace();
        bench.live(5_000);
        assert_eq!(bench.state(), InstallState::RollbackFailed);
        if stays {
            // Somebody made what was on trial permanent.
            bench.device.obey(1 << 30, &mdfm_shared::device::Order::Confirm { sha256: firmware(2).sha256 });
        } else {
            bench.device.trial = None;
            bench.device.boot();
        }
        bench.live(30_000);
        assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
        let before = if stays { firmware(2) } else { firmware(1) };
        assert_eq!(bench.disk.plan.as_ref().map(|p| p.fallback.clone()), Some(before));
        let states: Vec<_> = bench.reported(3).into_iter().map(|(state, _)| state).collect();
        assert!(states.starts_with(&[InstallState::RollbackFailed, InstallState::Idle, InstallState::Fetching]));
        assert!(bench.disk.rolled_back.is_empty(), "nothing failed");
    }
}

#[test]
fn fld_8_a_recall_of_what_is_not_known_here_is_answered_once() {
    let mut bench = confirmed_for(0);
    bench.replace();
    bench.ask(desired_rollback(9));
    bench.live(20_000);
    bench.restart();
    bench.live(20_000);
    let answer = (InstallState::Idle, Some(firmware(2)));
    assert_eq!(bench.reported(9), [answer.clone(), answer], "once in each life of the process");
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Idle, firmware(2)));
    // A device whose firmware changes each second costs an answer in ten minutes.
    for n in 0..1_200_u32 {
        bench.device.permanent = FirmwareReport { sha256: Digest([n as u8; 32]), ..firmware(1) };
        bench.pass(1_000);
        bench.report();
    }
    assert!(bench.reported(9).len() <= 5, "{} in twenty minutes", bench.reported(9).len());
}

/// The release before was called back, and the next deployment asks for the device while nobody knows where its trial could end.
#[test]
fn fld_8_the_next_deployment_waits_for_the_same_hands() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    bench.desired = desired_rollback(2);
    bench.replace();
    bench.live(5_000);
    bench.ask(Some(Install(target(3))));
    bench.live(20_000);
    let alarm = (InstallState::RollbackFailed, None);
    assert_eq!((bench.reported(2), bench.reported(3)), (vec![alarm.clone()], vec![alarm]), "once each");
    bench.device.trial = None;
    bench.device.boot();
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
}

#[test]
fn fld_6_an_answer_from_before_the_epoch_is_given_again() {
    let mut bench = confirmed_for(0);
    bench.replace();
    bench.ask(desired_rollback(9));
    bench.live(5_000);
    assert_eq!(bench.reported(9).len(), 1);
    bench.installer.note_set_back();
    bench.live(20_000);
    assert_eq!(bench.reported(9).len(), 2, "the first one may count as older than the log");
}

/// A message of two boots ago comes late: it says nothing of what the device runs now.
#[test]
fn fld_6_a_report_of_an_earlier_boot_is_passed_over() {
    let mut bench = Bench::version_2(Flaw::None);
    bench.streams = true;
    bench.report();
    bench.ask(Some(Install(target(2))));
    let late = bench.device.report().expect("not silent");
    bench.report();
    bench.live(3_000);
    bench.ask(Some(Install(target(3))));
    bench.live(1_500);
    bench.fault(Severity::Error);
    assert!(bench.device.boots > late.boot_count, "it has booted since");
    bench.input(Input::Report(late.clone()));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(2)));
    // A device that counts from the start again, in whose place nothing else reports, is taken at its word after a moment.
    bench.pass(MESSAGE_AGE_MS_MAX);
    bench.input(Input::Report(late.clone()));
    assert_eq!(bench.installer.newest_report(), Some(late));
}
