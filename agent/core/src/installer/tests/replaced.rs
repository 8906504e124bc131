//! Another machine takes the gateway's place: it knows nothing of what the first one began.

use mdfm_shared::telemetry::FirmwareReport;

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
    bench.ask(wish_rollback(2));
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
    bench.ask(Some(Wish::Install(target(3))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
}

#[test]
fn fld_8_a_trial_called_back_meanwhile_needs_intervention() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    bench.wish = wish_rollback(2);
    bench.replace();
    bench.live(5_000);
    assert_eq!(bench.reported(2), [(InstallState::RollbackFailed, None)], "said once");
    bench.device.trial = None;
    bench.device.boot();
    bench.live(5_000);
    assert_eq!(bench.reported(2).last(), Some(&(InstallState::RolledBack, Some(firmware(1)))));
}

#[test]
fn fld_8_another_release_on_trial_is_left_alone() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.wish = Some(Wish::Install(target(3)));
    bench.replace();
    let orders = bench.orders;
    bench.live(20_000);
    assert_eq!((bench.state(), bench.orders), (InstallState::Idle, orders));
    let wrong = Target { manifest: Manifest { model: "Pump".into(), ..target(2).manifest }, ..target(2) };
    bench.ask(Some(Wish::Install(wrong)));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.orders), (InstallState::Idle, orders), "made for another model");
}

#[test]
fn fld_8_a_recall_of_what_is_not_known_here_is_answered_once() {
    let mut bench = confirmed_for(0);
    bench.replace();
    bench.ask(wish_rollback(9));
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

/// A message of two boots ago comes late: it says nothing of what the device runs now.
#[test]
fn fld_6_a_report_of_an_earlier_boot_is_passed_over() {
    let mut bench = Bench::version_2(Flaw::None);
    bench.streams = true;
    bench.report();
    bench.ask(Some(Wish::Install(target(2))));
    let late = bench.device.report().expect("not silent");
    bench.report();
    bench.live(3_000);
    bench.ask(Some(Wish::Install(target(3))));
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
