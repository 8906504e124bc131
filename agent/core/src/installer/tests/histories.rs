//! Random histories: any order of any inputs, with restarts, cuts and clock jumps between.

use mdfm_shared::telemetry::{InstallState, Severity};
use proptest::prelude::*;

use super::bench::{Bench, DAY_MS, Flaw, MESSAGE_AGE_MS_MAX, START_UTC, firmware, target, target_within};
use super::*;

/// Everything that the world can do.
#[derive(Debug, Clone)]
enum Act {
    Live(u64),
    Pass(u64),
    Report,
    Fault(Severity),
    PatientComes,
    PatientLeaves,
    Line(bool),
    Install(u8),
    InstallWithin(u8, u64, bool),
    Hold(u8),
    Rollback(u8),
    NothingDesired(bool),
    Restart,
    Reboot,
    DevicePowerCut,
    StaleReport,
    Clock(i64),
    SlotLost,
    OnSite(OnSite),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1_u64..8_000).prop_map(Act::Live),
        2 => (1_u64..400_000).prop_map(Act::Pass),
        2 => Just(Act::Report),
        1 => prop_oneof![Just(Severity::Warning), Just(Severity::Error), Just(Severity::Critical)].prop_map(Act::Fault),
        1 => Just(Act::PatientComes),
        2 => Just(Act::PatientLeaves),
        1 => any::<bool>().prop_map(Act::Line),
        3 => (2_u8..5).prop_map(Act::Install),
        2 => (2_u8..5, 0_u64..600_000, any::<bool>()).prop_map(|(n, at, inside)| Act::InstallWithin(n, at, inside)),
        1 => (2_u8..5).prop_map(Act::Hold),
        1 => (2_u8..5).prop_map(Act::Rollback),
        1 => any::<bool>().prop_map(Act::NothingDesired),
        2 => Just(Act::Restart),
        1 => Just(Act::Reboot),
        1 => Just(Act::DevicePowerCut),
        1 => Just(Act::StaleReport),
        1 => any::<i64>().prop_map(|ms| Act::Clock(ms % (400 * 86_400_000))),
        1 => Just(Act::SlotLost),
        1 => Just(Act::OnSite(OnSite::Hold("nurse".into()))),
        1 => Just(Act::OnSite(OnSite::Release("nurse".into()))),
        1 => Just(Act::OnSite(OnSite::RollBack("nurse".into()))),
    ]
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        3 => Just(Flaw::None),
        1 => Just(Flaw::NoBoot),
        1 => Just(Flaw::WrongDigest),
        1 => Just(Flaw::Insecure),
        1 => Just(Flaw::Silent),
        1 => Just(Flaw::Refuses),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    /// Any order of any inputs, with restarts and clock jumps between: no order that must not be given (checked at each), and
    /// once the world behaves, the device ends confirmed on good firmware, new or last good, or the installation failed
    /// without having touched it.
    #[test]
    fn invariant_3_any_history_ends_on_good_firmware(
        flaw in flaw(), streams in any::<bool>(), counts_faults in any::<bool>(), acts in prop::collection::vec(act(), 0..60)
    ) {
        let mut bench = if counts_faults { Bench::version_2(flaw) } else { Bench::new(flaw) };
        bench.streams = streams;
        bench.report();
        let mut held = None;
        for act in acts {
            match act {
                Act::Live(ms) => bench.live(ms),
                Act::Pass(ms) => {
                    bench.pass(ms);
                    bench.input(Input::Tick);
                }
                Act::Report => {
                    held = bench.device.report().map(|r| (bench.now.mono, r)).or(held);
                    bench.report();
                }
                Act::Fault(severity) => bench.fault(severity),
                Act::PatientComes => {
                    bench.device.in_use = true;
                    // The device's own refusal covers the moment until its report arrives.
                    bench.report();
                }
                Act::PatientLeaves => bench.device.in_use = false,
                Act::Line(line) => bench.line = line,
                Act::Install(n) => bench.ask(Some(DesiredState::Install(target(n)))),
                Act::InstallWithin(n, at, inside) => {
                    let finish = if inside { Finish::Inside } else { Finish::Anytime };
                    bench.ask(Some(DesiredState::Install(target_within(n, &[(at, at + 60_000)], finish))));
                }
                Act::Hold(n) => bench.ask(Some(DesiredState::Hold(target(n)))),
                Act::Rollback(n) => bench.ask(desired_rollback(n)),
                Act::NothingDesired(is_known) => bench.ask(is_known.then_some(DesiredState::Nothing)),
                // The devices' connections are the agent's: messages in them die with the process.
                Act::Restart => {
                    held = None;
                    bench.restart();
                }
                Act::Reboot => {
                    held = None;
                    bench.reboot();
                }
                Act::DevicePowerCut => {
                    // Nobody pulls the plug while a patient is connected; that is not ours to prevent.
                    if !bench.device.in_use {
                        held = None;
                        bench.device.boot();
                    }
                }
                Act::StaleReport => {
                    if let Some((at, report)) = held.clone()
                        && bench.now.mono.since_ms(at) < MESSAGE_AGE_MS_MAX
                    {
                        bench.input(Input::Report(report));
                    }
                }
                Act::Clock(ms) => {
                    bench.now.utc = UtcMillis(bench.now.utc.0.saturating_add_signed(ms));
                    bench.input(Input::Tick);
                }
                Act::OnSite(act) => bench.input(Input::OnSite(act, 0)),
                Act::SlotLost => {
                    // Only a slot that is being prepared; the way back is never lost.
                    if matches!(bench.state(), InstallState::Fetching | InstallState::Staging | InstallState::Staged)
                        && bench.device.trial.is_none()
                        && !bench.disk.has_way_back()
                    {
                        bench.device.other = None;
                    }
                }
            }
        }
        prop_assert_eq!(bench.device.reboots_in_use, 0);
        prop_assert!(!bench.activated_after_rollback);
        // Now the world behaves.
        bench.line = true;
        bench.device.in_use = false;
        bench.now.utc = START_UTC.plus_ms(DAY_MS);
        bench.input(Input::OnSite(OnSite::Release("nurse".into()), 0));
        bench.live(700_000);
        if bench.state() == InstallState::RollbackFailed {
            // Only a device that fell silent while it was said to be in use could not be called back. The alarm brings hands:
            // they switch it off and on until its boot loader returns.
            prop_assert!(bench.device.silent && bench.installer.is_in_use(), "{}", bench.disk.detail);
            (0..4).for_each(|_| bench.device.boot());
            bench.live(10_000);
        }
        let state = bench.state();
        let may_begin = matches!(&bench.desired, Some(DesiredState::Install(target)) if target.may_begin(bench.now.utc, 0));
        let waits_for_its_time = state == InstallState::Staged && !may_begin && bench.desired != Some(DesiredState::Nothing);
        prop_assert!(state.is_settled() || waits_for_its_time, "still {:?}: {}", state, bench.disk.detail);
        prop_assert!(bench.device.trial.is_none(), "left on trial in {:?}", state);
        prop_assert_eq!(Some(bench.device.running()), bench.disk.confirmed.clone(), "{:?}", state);
        prop_assert!(bench.device.flaw == Flaw::None || bench.device.permanent == firmware(1));
        if let Some(level) = &bench.device.faults {
            let seen = bench.disk.faults_seen.as_ref().map(|s| (&s.boot, s.counts));
            prop_assert_eq!(seen, Some((&level.boot, level.counts)), "every fault of this boot is known");
        }
    }
}
