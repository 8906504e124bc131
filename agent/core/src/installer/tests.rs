//! The installer against a modelled device: single promises first, then any order of any inputs.

mod bench;
mod explore;
mod faults;
mod hands;
mod histories;
mod replaced;
mod unasked;

use mdfm_shared::fixture::page::symptom;
use mdfm_shared::manifest::Component;
use mdfm_shared::telemetry::{InstallState, Severity};

use super::*;
use bench::{Bench, DAY_MS, Device, Flaw, MESSAGE_AGE_MS_MAX, START_UTC, firmware, target, target_within};

/// An order by which the device may leave its release.
fn authority(n: u8, below_floor: bool) -> Authority {
    let expires_at = START_UTC.plus_ms(300 * DAY_MS);
    Authority { order: Digest([n; 32]), label: format!("recall-{n}"), below_floor, expires_at }
}

fn desired_rollback_by(n: u8, authorities: Vec<Authority>) -> Option<DesiredState> {
    Some(DesiredState::Rollback {
        manifest: target(n).digest,
        deployment: target(n).deployment,
        authorities,
        fallback_withdrawn: None,
    })
}

fn withdrawn(n: u8) -> Target {
    Target { withdrawn: Some("alarm limits lost".into()), ..target(n) }
}

/// A device that confirmed release 2 so many days ago.
fn confirmed_for(days: u64) -> Bench {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.pass(days * DAY_MS);
    bench.report();
    bench
}

fn refusals(bench: &Bench) -> Vec<String> {
    let reason = |e: &EventKind| match e {
        EventKind::Refused { what, reason } if what == "rollback" => Some(reason.clone()),
        _ => None,
    };
    bench.events.iter().filter_map(reason).collect()
}

#[test]
fn sec_12_the_online_key_alone_undoes_no_old_confirmation() {
    for (days, is_back) in [(13, true), (15, false), (400, false)] {
        let mut bench = confirmed_for(days);
        bench.ask(desired_rollback(2));
        bench.live(5_000);
        bench.reboot();
        bench.live(5_000);
        assert_eq!(bench.state() == InstallState::RolledBack, is_back, "after {days} days: {}", bench.disk.detail);
        if !is_back {
            assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
            let said = refusals(&bench);
            assert_eq!(said.len(), 1, "reported once: {said:?}");
            symptom("A device does not go back", "the time in which").assert_in(&said[0]);
            assert_eq!(bench.installer.why_it_stays(bench.now), Some(said[0].clone()));
            bench.ask(Some(DesiredState::Install(Target { expires_at: START_UTC.plus_ms(500 * DAY_MS), ..target(3) })));
            bench.live(20_000);
            assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
        }
    }
}

#[test]
fn sec_12_a_rollback_order_ends_the_refusal_once() {
    let mut bench = confirmed_for(30);
    bench.ask(desired_rollback(2));
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    let expired = Authority { expires_at: START_UTC.plus_ms(DAY_MS), ..authority(1, false) };
    bench.ask(desired_rollback_by(2, vec![expired]));
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Confirmed, "an expired order does not count");
    bench.ask(desired_rollback_by(2, vec![authority(1, false)]));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
    assert!(bench.disk.detail.contains("rollback ordered: recall-1"), "{}", bench.disk.detail);
    // Another release, confirmed long ago: the same order does not count again, another one does.
    let fresh = Target { expires_at: START_UTC.plus_ms(500 * DAY_MS), ..target(3) };
    bench.ask(Some(DesiredState::Install(fresh)));
    bench.live(20_000);
    bench.pass(30 * DAY_MS);
    bench.ask(desired_rollback_by(3, vec![authority(1, false)]));
    bench.reboot();
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
    bench.ask(desired_rollback_by(3, vec![authority(1, false), authority(2, false)]));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
}

#[test]
fn sec_12_below_the_floor_takes_an_order_that_says_so() {
    let mut bench = confirmed_for(15);
    bench.ask(Some(DesiredState::Install(Target { security_floor: 99, ..target(2) })));
    bench.live(1_000);
    assert_eq!(bench.disk.security_floor, 2);
    for orders in [vec![], vec![authority(1, false)]] {
        bench.ask(desired_rollback_by(2, orders));
        bench.live(5_000);
        assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
        assert!(bench.disk.detail.contains("below the floor 2"), "{}", bench.disk.detail);
        symptom("A device does not go back", "security version").assert_in(&bench.disk.detail);
    }
    bench.ask(desired_rollback_by(2, vec![authority(2, true)]));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
    assert_eq!(bench.disk.security_floor, 2, "the floor stays where it was");
}

#[test]
fn sec_12_the_online_key_alone_strands_no_device() {
    let mut bench = confirmed_for(1);
    bench.ask(Some(DesiredState::Install(Target { security_floor: 99, ..target(2) })));
    bench.live(5_000);
    assert_eq!(bench.disk.security_floor, 1, "the way back stays open while the recall window is");
    bench.ask(desired_rollback(2));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
}

#[test]
fn sec_12_the_same_release_again_opens_no_new_window() {
    let mut bench = confirmed_for(30);
    let again = |n: u8| Target { deployment: format!("D-9{n}").parse().expect("a good id"), ..target(2) };
    bench.ask(Some(DesiredState::Install(again(1))));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Confirmed, 2));
    bench.ask(desired_rollback(2));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    bench.ask(desired_rollback_by(2, vec![authority(1, false)]));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)), "still known");
}

#[test]
fn sec_12_a_refused_release_takes_away_no_way_back() {
    let spoilt: [fn(&mut Target); 5] = [
        |t| t.manifest.release_number = 1,
        |t| t.manifest.hardware_revisions = vec!["Z".into()],
        |t| t.withdrawn = Some("alarm limits lost".into()),
        |t| t.manifest.minimum_release = 99,
        |t| t.start_by = Some(UtcMillis(1)),
    ];
    for spoil in spoilt {
        let mut bench = confirmed_for(1);
        let before = bench.disk.clone();
        let mut target = target(3);
        spoil(&mut target);
        bench.ask(Some(DesiredState::Install(target)));
        bench.live(5_000);
        bench.reboot();
        bench.live(2_000);
        let failed = |e: &&EventKind| matches!(e, EventKind::StateChanged { state: InstallState::Failed, .. });
        assert_eq!(bench.events.iter().filter(failed).count(), 1, "reported once");
        assert_eq!(Journal { refused: None, ..bench.disk.clone() }, before);
        bench.ask(desired_rollback(2));
        bench.live(5_000);
        assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
        // A good release after all that is taken.
        bench.ask(Some(DesiredState::Install(target_again(4))));
        bench.live(20_000);
        assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(4)));
    }
}

fn target_again(n: u8) -> Target {
    Target { expires_at: START_UTC.plus_ms(500 * DAY_MS), ..target(n) }
}

#[test]
fn sec_12_a_cancelled_release_keeps_the_way_back_it_had() {
    // Cancelled before the slot is written.
    let mut bench = confirmed_for(1);
    let _ = bench.installer.step(bench.now, Input::Desired(Some(DesiredState::Install(target_again(3)))));
    assert_eq!(bench.installer.journal().state(), InstallState::Fetching);
    let _ = bench.installer.step(bench.now, Input::Desired(desired_rollback(2)));
    assert_eq!(bench.installer.journal().state(), InstallState::RollingBack);
    assert_eq!(bench.installer.journal().plan.as_ref().map(|p| p.fallback.clone()), Some(firmware(1)));
    // Cancelled after it: the firmware before is gone, and whoever calls it back hears so, once.
    let mut bench = confirmed_for(1);
    bench.ask(Some(DesiredState::Hold(target_again(3))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Staged);
    bench.ask(desired_rollback(2));
    bench.live(10_000);
    bench.reboot();
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    let said = refusals(&bench);
    assert_eq!(said.len(), 1, "{said:?}");
    symptom("A device does not go back", "no other firmware").assert_in(&said[0]);
    bench.ask(Some(DesiredState::Install(target_again(4))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(4)));
}

#[test]
fn sec_12_a_device_without_other_firmware_stays() {
    let mut bench = Bench::new(Flaw::None);
    bench.device.permanent = firmware(2);
    bench.report();
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.ask(desired_rollback_by(2, vec![authority(1, true)]));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.orders), (InstallState::Confirmed, 0));
    assert!(refusals(&bench)[0].contains("no other firmware"), "{:?}", refusals(&bench));
}

#[test]
fn sec_12_no_return_to_withdrawn_firmware_by_the_online_key() {
    let mut bench = confirmed_for(1);
    bench.ask(Some(DesiredState::Install(target(3))));
    bench.live(20_000);
    assert_eq!(bench.disk.fallback_manifest, Some(target(2).digest));
    let by = |authorities| DesiredState::Rollback {
        manifest: target(3).digest,
        deployment: target(3).deployment,
        authorities,
        fallback_withdrawn: Some("alarm limits lost".into()),
    };
    bench.ask(Some(by(vec![])));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
    symptom("A device does not go back", "the firmware before").assert_in(&refusals(&bench)[0]);
    bench.ask(Some(by(vec![authority(1, false)])));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(2)));
}

#[test]
fn sec_12_a_withdrawn_release_is_never_activated() {
    for staged_before in [false, true] {
        let mut bench = Bench::new(Flaw::None);
        bench.report();
        if staged_before {
            bench.ask(Some(DesiredState::Hold(target(2))));
            bench.live(5_000);
            assert_eq!(bench.state(), InstallState::Staged);
        }
        bench.ask(Some(DesiredState::Install(withdrawn(2))));
        bench.live(20_000);
        bench.reboot();
        bench.live(20_000);
        assert_eq!((bench.state(), bench.device.boots), (InstallState::Failed, 1));
        assert!(bench.disk.detail.contains("withdrawn") && bench.disk.detail.contains("alarm limits lost"));
        bench.ask(Some(DesiredState::Install(target(3))));
        bench.live(20_000);
        assert_eq!(bench.state(), InstallState::Confirmed, "a good release after it is taken");
    }
}

#[test]
fn sec_12_a_withdrawal_stops_a_boot_that_has_not_begun() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Hold(target(2))));
    bench.live(5_000);
    bench.line = false;
    bench.ask(Some(DesiredState::Install(target(2))));
    assert_eq!(bench.state(), InstallState::Activating);
    bench.line = true;
    bench.ask(Some(DesiredState::Install(withdrawn(2))));
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Failed, 1));
}

#[test]
fn sec_12_a_withdrawal_touches_no_device_that_runs_it() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    assert_eq!(bench.state(), InstallState::Probation);
    bench.ask(Some(DesiredState::Install(withdrawn(2))));
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    let other = Target { deployment: "D-9".parse().expect("a good id"), ..withdrawn(2) };
    bench.ask(Some(DesiredState::Install(other)));
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Confirmed, 2));
}

#[test]
fn sec_12_journals_of_earlier_versions_load_and_are_dated() {
    let bench = confirmed_for(0);
    let undated = Journal { confirmed_at: None, recall_window_ms: None, reboots_per_day: None, ..bench.disk.clone() };
    let bytes = mdfm_shared::wire::encode(&undated);
    // Earlier versions wrote everything but the last few fields, each of which begins as one zero byte.
    let mut loaded = undated.clone();
    for added in [8, 4, 2, 1] {
        let (old, zeros) = bytes.split_at(bytes.len() - added);
        assert!(zeros.iter().all(|b| *b == 0));
        loaded = Journal::decode(old).expect("an old journal");
        assert_eq!(loaded, undated);
    }
    let now = START_UTC.plus_ms(DAY_MS);
    assert!(loaded.date_confirmation(now) && !loaded.date_confirmation(now.plus_ms(1)));
    assert_eq!(loaded.recall_ends_at(), Some(now.plus_ms(14 * DAY_MS)));
    assert_eq!(Journal::decode(&mdfm_shared::wire::encode(&loaded)), Ok(loaded));
    let bytes = mdfm_shared::wire::encode(&Journal::new());
    assert_eq!(Journal::decode(&bytes[..bytes.len() - 8]), Ok(Journal::new()));
}

#[test]
fn sec_13_a_confirmation_dated_by_a_wrong_clock_opens_nothing() {
    let mut bench = confirmed_for(0);
    bench.now.utc = UtcMillis(START_UTC.0 - 3 * DAY_MS);
    bench.ask(desired_rollback(2));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
}

fn desired_rollback(n: u8) -> Option<DesiredState> {
    Some(DesiredState::Rollback {
        manifest: target(n).digest,
        deployment: target(n).deployment,
        authorities: Vec::new(),
        fallback_withdrawn: None,
    })
}

#[test]
fn a_good_release_is_confirmed_after_its_probation_and_not_before() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(2_500);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Probation, firmware(1)));
    bench.live(2_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    assert_eq!(bench.disk.confirmed, Some(firmware(2)));
    let orders = bench.orders;
    bench.live(20_000);
    assert_eq!(bench.orders, orders, "settled devices get no orders");
}

#[test]
fn nist_193_r_every_flaw_ends_on_the_last_good_firmware() {
    for (flaw, cause) in [
        (Flaw::NoBoot, "did not boot"),
        (Flaw::WrongDigest, "wrong image digest"),
        (Flaw::Insecure, "no longer vouches"),
        (Flaw::Silent, "no report of the new boot"),
    ] {
        let mut bench = Bench::on_trial(flaw);
        bench.live(60_000);
        assert_eq!((bench.state(), bench.device.running()), (InstallState::RolledBack, firmware(1)), "{flaw:?}");
        assert!(bench.disk.detail.contains(cause), "{flaw:?}: {}", bench.disk.detail);
    }
    let mut bench = Bench::on_trial(Flaw::Refuses);
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.running()), (InstallState::Failed, firmware(1)));
    assert!(bench.disk.detail.contains("keyMissing"), "{}", bench.disk.detail);
}

#[test]
fn an_error_on_trial_sends_the_device_back_in_the_same_step() {
    for severity in [Severity::Error, Severity::Critical] {
        let mut bench = Bench::on_trial(Flaw::None);
        bench.live(1_000);
        assert_eq!(bench.state(), InstallState::Probation);
        let boots = bench.device.boots;
        bench.fault(severity);
        assert_eq!((bench.state(), bench.device.boots), (InstallState::RollingBack, boots + 1), "{severity:?}");
        bench.report();
        assert_eq!((bench.state(), bench.device.running()), (InstallState::RolledBack, firmware(1)));
    }
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    bench.fault(Severity::Warning);
    assert_eq!(bench.state(), InstallState::Probation, "a warning is no error");
}

#[test]
fn silence_on_trial_sends_the_device_back() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    bench.device.silent = true;
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Probation);
    bench.live(2_000);
    assert_eq!((bench.state(), bench.device.running()), (InstallState::RolledBack, firmware(1)));
    assert!(bench.disk.detail.contains("silent for 6 s"), "{}", bench.disk.detail);
}

#[test]
fn invariant_2_a_device_in_use_waits_and_so_does_its_rollback() {
    let mut bench = Bench::new(Flaw::None);
    bench.device.in_use = true;
    bench.report();
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Staged, 1));
    bench.device.in_use = false;
    bench.live(1_000);
    assert_eq!(bench.device.boots, 2);
    bench.device.in_use = true;
    bench.report();
    bench.fault(Severity::Critical);
    bench.live(600_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::RollingBack, 2), "not even to go back");
    bench.device.in_use = false;
    bench.live(3_000);
    assert_eq!((bench.state(), bench.device.running()), (InstallState::RolledBack, firmware(1)));
    assert_eq!(bench.device.reboots_in_use, 0);
}

#[test]
fn att_2_an_older_release_is_refused_and_a_newer_one_taken() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    let mut old = target(1);
    old.digest = Digest([77; 32]);
    old.manifest.components[0].sha256 = Digest([78; 32]);
    let refused = |bench: &Bench| bench.disk.refused.clone().map(|r| r.reason).unwrap_or_default();
    bench.ask(Some(DesiredState::Install(old.clone())));
    assert!(refused(&bench).starts_with("downgrade: release number 1"), "{}", refused(&bench));
    assert!(matches!(bench.events.last(), Some(EventKind::StateChanged { state: InstallState::Failed, .. })));
    // The same with a higher number, but a security version below the floor that the coordinator raised after the recall window.
    bench.pass(15 * DAY_MS);
    bench.report();
    old.digest = Digest([79; 32]);
    old.manifest.release_number = 9;
    old.security_floor = 2;
    bench.ask(Some(DesiredState::Install(old)));
    assert!(refused(&bench).starts_with("downgrade: security version 1"), "{}", refused(&bench));
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    bench.ask(Some(DesiredState::Install(target(3))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
}

#[test]
fn att_5_another_model_hardware_or_starting_point_is_refused_untouched() {
    for (spoil, cause) in [
        ((|t: &mut Target| t.manifest.model = "InfusionPump-7".into()) as fn(&mut Target), "wrong model"),
        (|t| t.manifest.hardware_revisions = vec!["A".into(), "C".into()], "wrong hardware"),
        (
            |t| {
                t.manifest.release_number = 9;
                t.manifest.minimum_release = 5;
            },
            "needs at least 5",
        ),
    ] {
        let mut bench = Bench::new(Flaw::None);
        bench.report();
        let mut foreign = target(2);
        spoil(&mut foreign);
        bench.ask(Some(DesiredState::Install(foreign)));
        bench.live(10_000);
        assert_eq!((bench.state(), bench.orders, bench.device.other.is_none()), (InstallState::Failed, 0, true));
        assert!(bench.disk.detail.contains(cause), "{}", bench.disk.detail);
        bench.ask(Some(DesiredState::Install(target(3))));
        bench.live(20_000);
        assert_eq!(bench.state(), InstallState::Confirmed, "a good release after it is taken");
    }
}

#[test]
fn att_3_an_expired_directive_starts_nothing_new() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    let stale = Target { expires_at: START_UTC, ..target(2) };
    bench.ask(Some(DesiredState::Install(stale)));
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Staged, 1));
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed, "renewed, it goes on");
}

#[test]
fn att_4_an_image_that_is_not_the_manifests_fails_untouched() {
    let mut bench = Bench::new(Flaw::None);
    bench.image_good = false;
    bench.report();
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(5_000);
    assert_eq!((bench.state(), bench.orders), (InstallState::Failed, 0));
    assert!(bench.disk.detail.contains("image refused"), "{}", bench.disk.detail);
}

/// What streams straight into the slot is judged there: written again a few times, then given up; nothing was booted.
#[test]
fn att_4_a_streamed_image_that_the_slot_finds_wrong_fails_untouched() {
    let mut bench = Bench::new(Flaw::None);
    (bench.streams, bench.image_good) = (true, false);
    bench.report();
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(10_000);
    assert_eq!((bench.state(), bench.orders, bench.device.boots), (InstallState::Failed, 0, 1));
    assert!(bench.disk.detail.contains("did not take the image"), "{}", bench.disk.detail);
    bench.image_good = true;
    bench.ask(Some(DesiredState::Install(target(3))));
    bench.live(20_000);
    assert_eq!(bench.state(), InstallState::Confirmed, "a good release after it is taken");
}

/// ATT-6: one that is longer than was signed is known to be wrong before the slot has all of it.
#[test]
fn att_6_a_streamed_image_without_end_fails_the_installation() {
    let mut bench = Bench::new(Flaw::None);
    (bench.streams, bench.line) = (true, true);
    bench.report();
    bench.device.other = None;
    bench.line = false;
    bench.ask(Some(DesiredState::Install(target(2))));
    assert_eq!((bench.state(), bench.installer.prepared_image()), (InstallState::Staging, Some(firmware(2).sha256)));
    bench.input(Input::ImageRefused(firmware(2).sha256, "longer than the bytes signed".into()));
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Failed, 1));
}

/// A release of several images is one firmware for the installer: one digest, all of it or nothing; the parts go with the order.
#[test]
fn a_release_of_several_components_is_staged_as_one() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    let mut target = target(2);
    let second = Component { name: "radio".into(), sha256: Digest([9; 32]), ..target.manifest.components[0].clone() };
    target.manifest.components.push(second);
    bench.ask(Some(DesiredState::Hold(target)));
    bench.live(3_000);
    let image = bench.staged.clone().expect("staged");
    assert_eq!((image.firmware.sha256, image.size_bytes), (firmware(2).sha256, 20));
    assert_eq!(image.components.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["main", "radio"]);
}

#[test]
fn a_hold_on_site_outlasts_restarts_and_every_directive() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.input(Input::OnSite(OnSite::Hold("ward 3: therapy".into()), 1_000));
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(30_000);
    bench.reboot();
    bench.live(30_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Staged, 1));
    bench.input(Input::OnSite(OnSite::Release("ward 3: done".into()), 1_000));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    let said = |e: &&EventKind| matches!(e, EventKind::LocalAction { uid: 1_000, .. });
    assert_eq!(bench.events.iter().filter(said).count(), 2, "both are reported");
}

#[test]
fn somebody_on_site_can_bring_a_confirmed_device_back_but_not_one_in_use() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.device.in_use = true;
    bench.report();
    assert_eq!(bench.installer.why_not_back(bench.now.mono).as_deref(), Some("the device is in use"));
    bench.input(Input::OnSite(OnSite::RollBack("alarm fatigue".into()), 0));
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.device.in_use = false;
    bench.report();
    bench.input(Input::OnSite(OnSite::RollBack("alarm fatigue".into()), 0));
    bench.live(3_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
    bench.live(60_000);
    assert_eq!(bench.device.permanent, firmware(1), "the order that still stands does not bring it again");
}

#[test]
fn a_device_that_fails_three_times_is_left_alone_until_somebody_has_looked() {
    let mut bench = Bench::new(Flaw::NoBoot);
    bench.report();
    for n in 2..5 {
        bench.ask(Some(DesiredState::Install(target(n))));
        bench.live(20_000);
        assert_eq!(bench.state(), InstallState::RolledBack);
    }
    let boots = bench.device.boots;
    bench.device.flaw = Flaw::None;
    bench.ask(Some(DesiredState::Install(target(5))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Failed, boots));
    assert!(bench.disk.detail.contains("quarantine"), "{}", bench.disk.detail);
    let said = |e: &&EventKind| matches!(e, EventKind::Refused { what, .. } if what == "quarantine");
    assert_eq!(bench.events.iter().filter(said).count(), 1, "it is said once");
    bench.input(Input::OnSite(OnSite::Release("battery changed".into()), 0));
    bench.ask(Some(DesiredState::Install(target(6))));
    bench.live(20_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
}

#[test]
fn a_paused_deployment_stages_and_activates_nothing() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Hold(target(2))));
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Staged, 1));
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
}

/// Probation takes 3 s and a boot up to 12 s: a window must have 15 s left for work that must end inside it.
#[test]
fn seed_strat_scheduled_outside_its_windows_a_device_is_staged_and_not_activated() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Install(target_within(2, &[(30_000, 44_000), (90_000, 120_000)], Finish::Inside))));
    bench.live(29_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Staged, 1), "before the first window");
    bench.live(60_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Staged, 1), "14 s are too short to finish inside");
    bench.live(2_000);
    assert_eq!(bench.device.boots, 2, "the second window is long enough");
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);

    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Install(target_within(2, &[(30_000, 32_000)], Finish::Anytime))));
    bench.live(29_000);
    assert_eq!(bench.device.boots, 1);
    bench.live(2_000);
    assert_eq!(bench.device.boots, 2, "it must only begin inside");
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Install(target_within(2, &[], Finish::Anytime))));
    bench.live(600_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Staged, 1), "no window, no activation");
}

/// The way back is never bound to a window.
#[test]
fn a_device_goes_back_whatever_the_window() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Install(target_within(2, &[(0, 20_000)], Finish::Anytime))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.live(100_000);
    bench.ask(desired_rollback(2));
    bench.live(3_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
}

#[test]
fn a_withdrawn_order_before_activation_changes_nothing() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Hold(target(2))));
    bench.live(3_000);
    bench.ask(desired_rollback(2));
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.boots), (InstallState::Idle, 1));
}

#[test]
fn sec_3_a_device_sent_back_by_order_takes_the_release_again() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
    bench.ask(desired_rollback(2));
    bench.live(3_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::RolledBack, firmware(1)));
    // The deployment that sent it back does not bring the release again by itself.
    bench.ask(Some(DesiredState::Install(target(2))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::RolledBack);
    let again = Target { deployment: "D-9".parse().expect("a good id"), ..target(2) };
    bench.ask(Some(DesiredState::Install(again)));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    assert!(bench.disk.rolled_back.is_empty() && bench.disk.failures == 0);
}

#[test]
fn sec_3_only_its_own_failure_bars_a_device_from_a_release() {
    let mut bench = Bench::on_trial(Flaw::NoBoot);
    bench.live(20_000);
    assert_eq!(bench.state(), InstallState::RolledBack);
    bench.device.flaw = Flaw::None;
    let again = |n| Target { deployment: "D-9".parse().expect("a good id"), ..target(n) };
    bench.ask(Some(DesiredState::Install(again(2))));
    bench.live(10_000);
    assert_eq!(bench.state(), InstallState::Failed);
    assert!(bench.disk.detail.contains("this release failed on this device before"), "{}", bench.disk.detail);
    // What an agent before this rule wrote down still counts, for its journal does not say whose word it was.
    let bytes = mdfm_shared::wire::encode(&bench.disk);
    let journal: Journal = mdfm_shared::wire::decode(&bytes).expect("a journal has the form that it always had");
    assert!(journal.rolled_back.contains(&target(2).digest));
    // A newer release is taken.
    bench.ask(Some(DesiredState::Install(again(3))));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
}

#[test]
fn sec_8_an_old_emergency_release_is_not_begun() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    let limit = START_UTC.plus_ms(1_000);
    let late = Target { start_by: Some(limit), ..target(2) };
    bench.live(2_000);
    bench.ask(Some(DesiredState::Install(late)));
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Failed, firmware(1)));
    assert!(bench.disk.detail.contains("a release that QA approved is needed"), "{}", bench.disk.detail);
    // What was begun in time goes on, and a release without a limit is taken.
    let in_time = Target { start_by: Some(START_UTC.plus_ms(15_000)), ..target(3) };
    bench.ask(Some(DesiredState::Hold(in_time.clone())));
    bench.live(10_000);
    bench.ask(Some(DesiredState::Install(in_time)));
    bench.live(20_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(3)));
}

#[test]
fn no_rollback_below_the_security_floor() {
    let mut bench = confirmed_for(15);
    // The floor rises to what the device has confirmed, never above.
    bench.ask(Some(DesiredState::Install(Target { security_floor: 99, ..target(2) })));
    bench.live(1_000);
    assert_eq!(bench.disk.security_floor, 2);
    bench.ask(desired_rollback(2));
    bench.live(10_000);
    assert_eq!((bench.state(), bench.device.permanent.clone()), (InstallState::Confirmed, firmware(2)));
    assert!(bench.disk.detail.contains("below the floor 2"), "{}", bench.disk.detail);
    let said = |e: &&EventKind| matches!(e, EventKind::Refused { what, .. } if what == "rollback");
    assert_eq!(bench.events.iter().filter(said).count(), 1, "so that nobody waits for it");
}

#[test]
fn a_device_that_does_not_come_back_raises_an_alarm_and_is_still_called_back() {
    let mut bench = Bench::on_trial(Flaw::None);
    bench.live(1_000);
    bench.line = false;
    bench.live(300_000);
    assert_eq!(bench.state(), InstallState::RollbackFailed);
    bench.line = true;
    bench.live(5_000);
    assert_eq!((bench.state(), bench.device.running()), (InstallState::RolledBack, firmware(1)));
}

/// A device that went silent after the order to boot must be heard again before anybody says that it is back: the report from
/// before the order proves nothing.
#[test]
fn only_a_report_since_the_rollback_began_proves_it() {
    let mut bench = Bench::on_trial(Flaw::Silent);
    bench.line = false;
    bench.live(100_000);
    assert_eq!(bench.state(), InstallState::RollingBack);
    bench.live(300_000);
    assert_eq!(bench.state(), InstallState::RollbackFailed);
    bench.line = true;
    bench.live(3_000);
    assert_eq!((bench.state(), bench.device.running()), (InstallState::RolledBack, firmware(1)));
}

#[test]
fn effects_come_out_only_after_the_record() {
    let mut installer = Installer::new(Journal::new(), [0; 16], MonotonicMs(0), 0);
    let now = Now { mono: MonotonicMs(1), utc: START_UTC };
    let _ = installer.step(now, Input::Report(Device::new(Flaw::None).report().expect("not silent"))).persist(ok);
    let outcome = installer.step(now, Input::Desired(Some(DesiredState::Install(target(2)))));
    assert_eq!(outcome.persist(|_, _| Err("disk full")), Err("disk full"), "no record, no effects");
}

fn ok(_: Option<&Journal>, _: Vec<EventKind>) -> Result<(), ()> {
    Ok(())
}

#[test]
fn every_deadline_is_in_the_future_or_the_tick_does_something() {
    // A deadline that stays in the past without a transition would make the shell spin.
    let mut bench = Bench::on_trial(Flaw::None);
    for _ in 0..2_000 {
        if let Some((at, why)) = bench.installer.deadline()
            && at <= bench.now.mono
        {
            let before = (bench.disk.clone(), bench.orders);
            bench.input(Input::Tick);
            let moved = (bench.disk.clone(), bench.orders) != before;
            let later = bench.installer.deadline().is_none_or(|(next, _)| next > bench.now.mono);
            assert!(moved || later, "the deadline {why:?} came and nothing happened in {:?}", bench.state());
        }
        bench.pass(100);
        if bench.now.mono.0.is_multiple_of(500) {
            bench.report();
        }
    }
    assert_eq!(bench.state(), InstallState::Confirmed);
}

#[test]
fn sec_10_a_device_that_contradicts_itself_makes_few_events() {
    let mut bench = Bench::new(Flaw::None);
    bench.report();
    bench.ask(Some(DesiredState::Hold(target(2))));
    bench.live(5_000);
    assert_eq!(bench.state(), InstallState::Staged);
    // Now it has the image and now it has not, ten times a second for a day.
    for n in 0..864_000_u32 {
        bench.now.mono = bench.now.mono.plus_ms(100);
        bench.device.other = n.is_multiple_of(2).then(|| (firmware(2), true));
        let report = bench.device.report().expect("it speaks");
        bench.input(Input::Report(report));
        bench.input(Input::ImageReady(firmware(2).sha256));
        if bench.state() == InstallState::Failed {
            break;
        }
    }
    assert_eq!(bench.state(), InstallState::Failed);
    assert!(bench.disk.detail.contains("contradicted itself"), "{}", bench.disk.detail);
    assert!(bench.events.len() < 100, "{} events", bench.events.len());
    // Another release, and a device that means what it says: it is installed.
    bench.device = Device::new(Flaw::None);
    bench.ask(Some(DesiredState::Install(target(3))));
    bench.live(20_000);
    assert_eq!(bench.state(), InstallState::Confirmed);
}
