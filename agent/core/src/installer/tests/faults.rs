//! Faults as a level: each is processed once, whatever happened to the gateway meanwhile, and the trial judges by all of them.

use mdfm_shared::device::{FaultLevel, LATEST_FAULTS_MAX};
use mdfm_shared::fixture::page::symptom;
use mdfm_shared::telemetry::{FAULTS_COUNTED, InstallState, NOT_DESCRIBED, Severity};

use super::super::state::FaultsSeen;
use super::super::*;
use super::bench::target;
use super::bench::{Bench, Flaw};

/// Severity and code of the faults that were recorded.
fn faults(bench: &Bench) -> Vec<(Severity, String)> {
    let fault = |e: &EventKind| match e {
        EventKind::DeviceError { severity, code, .. } => Some((*severity, code.clone())),
        _ => None,
    };
    bench.events.iter().filter_map(fault).collect()
}

fn on_trial() -> Bench {
    let mut bench = Bench::version_2(Flaw::None).into_trial();
    bench.live(500);
    assert_eq!(bench.state(), InstallState::Probation);
    bench
}

#[test]
fn fld_26_a_fault_while_the_gateway_is_down_ends_the_trial() {
    for severity in [Severity::Error, Severity::Critical] {
        let mut bench = on_trial();
        // The gateway loses power; in these two seconds the device finds its fault.
        bench.line = false;
        bench.fault(severity);
        bench.pass(2_000);
        bench.line = true;
        bench.reboot();
        bench.live(20_000);
        assert_eq!(bench.state(), InstallState::RolledBack, "{}", bench.disk.detail);
        assert_eq!(faults(&bench), [(severity, "E".to_owned())], "recorded once");
    }
}

#[test]
fn fld_26_each_number_is_processed_once_over_restarts() {
    let mut bench = on_trial();
    for n in 0..5 {
        bench.fault(Severity::Warning);
        bench.report();
        bench.report();
        if n == 2 {
            bench.restart();
            bench.report();
        }
    }
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    assert_eq!(faults(&bench).len(), 5);
    assert!(bench.disk.detail.contains(FAULTS_COUNTED), "{}", bench.disk.detail);
}

#[test]
fn fld_26_a_gap_in_the_numbers_is_reported_and_counts() {
    let mut bench = on_trial();
    bench.line = false;
    bench.fault(Severity::Critical);
    (0..LATEST_FAULTS_MAX + 3).for_each(|_| bench.fault(Severity::Warning));
    bench.line = true;
    bench.live(20_000);
    assert_eq!(bench.state(), InstallState::RolledBack, "{}", bench.disk.detail);
    let found = faults(&bench);
    assert_eq!(found.len(), 2 + LATEST_FAULTS_MAX);
    assert_eq!(found[0], (Severity::Critical, NOT_DESCRIBED.to_owned()));
    let more = bench.events.iter().find_map(|e| match e {
        EventKind::DeviceError { severity: Severity::Warning, message, .. } => Some(message.clone()),
        _ => None,
    });
    let more = more.expect("it is reported");
    assert!(more.starts_with("3 more"), "{more}");
    symptom("What a device says", "… more faults").assert_in(&more);
    symptom("What a device says", "not-described").assert_in(NOT_DESCRIBED);
}

#[test]
fn fld_26_faults_before_the_first_report_of_a_boot_count() {
    // The gateway is down while the new firmware boots and finds an error.
    let mut bench = Bench::version_2(Flaw::None).into_trial();
    assert!(matches!(bench.state(), InstallState::Activating | InstallState::Probation));
    bench.line = false;
    bench.fault(Severity::Error);
    bench.pass(1_000);
    bench.line = true;
    bench.reboot();
    bench.live(20_000);
    assert_eq!(bench.state(), InstallState::RolledBack, "{}", bench.disk.detail);
}

#[test]
fn fld_26_a_trial_in_two_boots_or_of_version_1_is_no_proof() {
    let mut bench = on_trial();
    bench.device.boot();
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    assert!(!bench.disk.detail.contains(FAULTS_COUNTED), "{}", bench.disk.detail);
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    assert!(bench.disk.detail.contains("protocol version 1"), "{}", bench.disk.detail);
}

#[test]
fn fld_26_an_old_report_that_comes_late_changes_nothing() {
    let mut bench = on_trial();
    let old = bench.device.report().expect("it reports");
    bench.fault(Severity::Warning);
    bench.report();
    bench.input(Input::Report(old));
    bench.report();
    bench.live(10_000);
    assert_eq!((bench.state(), faults(&bench).len()), (InstallState::Confirmed, 1));
    assert!(!bench.disk.detail.contains(FAULTS_COUNTED), "{}", bench.disk.detail);
    let shown = symptom("What a device says", "its fault counters are lower");
    let is_shown = |e: &EventKind| matches!(e, EventKind::Refused { reason, .. } if shown.is_in(reason));
    assert!(bench.events.iter().any(is_shown), "{:?}", bench.events);
}

#[test]
fn fld_26_a_device_that_counts_without_end_makes_few_writes() {
    let mut bench = Bench::version_2(Flaw::None);
    bench.report();
    let mut writes = 0;
    for _ in 0..36_000 {
        bench.now.mono = bench.now.mono.plus_ms(100);
        bench.fault(Severity::Warning);
        let before = bench.disk.clone();
        bench.report();
        writes += u32::from(bench.disk != before);
    }
    assert!((600..=700).contains(&writes), "{writes} writes in an hour");
    bench.pass(10_000);
    bench.report();
    let seen = bench.disk.faults_seen.as_ref().map(|s| s.counts.warning);
    assert_eq!(seen, Some(36_000), "and nothing is missed");
}

#[test]
fn fld_26_a_journal_from_before_is_read() {
    let mut journal = Journal::new();
    journal.faults_seen = None;
    let bytes = mdfm_shared::wire::encode(&journal);
    assert_eq!(Journal::decode(&bytes[..bytes.len() - 1]).as_ref(), Ok(&journal), "of the version before");
    let level = FaultLevel::new("b");
    journal.faults_seen = Some(FaultsSeen { boot: level.boot, counts: level.counts, covers_trial: true });
    assert_eq!(Journal::decode(&mdfm_shared::wire::encode(&journal)).as_ref(), Ok(&journal));
}

#[test]
fn fld_26_faults_of_other_firmware_are_not_the_releases() {
    // It waits for a device in use; the report in which that ends, and activation begins, has a critical fault of the old firmware.
    let mut bench = Bench::version_2(Flaw::None);
    bench.device.in_use = true;
    bench.report();
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Staged);
    bench.line = false;
    bench.fault(Severity::Critical);
    (bench.line, bench.device.in_use) = (true, false);
    bench.report();
    bench.live(30_000);
    assert_eq!(bench.state(), InstallState::Confirmed, "{}", bench.disk.detail);
    assert!(!bench.disk.rolled_back.contains(&target(2).digest));
}
