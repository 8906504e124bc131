//! What people on site decided, and what went back, holds whatever a gateway remembers of it.

use mdfm_shared::telemetry::{CARRIED_BEGIN, REFUSED_CARRIED, SET_BACK};
use mdfm_shared::waiting::WaitCode;

use super::*;
use crate::waiting::Sight;

impl Office {
    /// Staff at the gateway of hospital `h` say this of a device, `s` seconds after the start.
    fn on_site(&mut self, h: usize, of: (usize, usize), s: u64, command: &str) {
        let kind = EventKind::LocalAction { command: command.into(), uid: 1_000 };
        self.tell(h, vec![Reported { device: Some(device(of.0, of.1)), at: NOW.plus_ms(s * 1_000), kind }]);
    }

    /// A device's gateway reports a state, with the reason in its words.
    fn moves(&mut self, deployment: &str, state: InstallState, detail: &str) {
        let manifest = self.deployment(deployment).plan.manifest;
        let (deployment, detail) = (id(deployment), detail.to_owned());
        let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail };
        self.tell(1, vec![Reported { device: Some(device(1, 1)), at: self.now, kind }]);
    }

    fn progress_of(&self, deployment: &str) -> &rollout::DeviceProgress {
        &self.deployment(deployment).devices[&device(1, 1)]
    }
}

#[test]
fn fld_6_a_hold_on_site_is_repeated_by_the_directive() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.on_site(1, (1, 1), 10, "hold: ward 3 until noon");
    assert_eq!((office.actions(1), office.actions(2)), (vec!["hold", "install"], vec!["install"; 2]));
    office.report(1, 1, "D-1", InstallState::Staged, None);
    let sight = Sight { state: &office.state, presence: &office.presence, now: office.now };
    let waiting = sight.of_device(&device(1, 1)).expect("held");
    assert_eq!((waiting.code, &*waiting.detail), (WaitCode::HeldOnSite, "ward 3 until noon"));
    // A gateway elsewhere holds and releases nothing here.
    office.on_site(2, (1, 1), 20, "release: no");
    office.on_site(2, (1, 2), 20, "hold: no");
    assert_eq!(office.actions(1), ["hold", "install"]);
    office.restart();
    office.pass(0);
    assert_eq!(office.actions(1), ["hold", "install"], "it is in the log");
    office.on_site(1, (1, 1), 30, "release: rounds are over");
    assert_eq!(office.actions(1), ["install", "install"]);
    // Other words of staff are no hold.
    office.on_site(1, (1, 1), 40, "rollback: hold: on");
    assert_eq!(office.actions(1), ["install", "install"]);
}

#[test]
fn fld_6_an_older_release_on_site_ends_no_newer_hold() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.on_site(1, (1, 1), 100, "hold: ward 3 until noon");
    let kind = EventKind::Refused { what: REFUSED_CARRIED.into(), reason: CARRIED_BEGIN.into() };
    office.tell(1, vec![Reported { device: None, at: NOW, kind }]);
    office.on_site(1, (1, 1), 50, "release: of the day before");
    assert_eq!(office.actions(1), ["hold", "install"]);
    office.on_site(1, (1, 2), 50, "hold: of the day before");
    assert_eq!(office.actions(1), ["hold", "hold"], "one hold too many does no harm");
    office.on_site(1, (1, 1), 150, "release: after that");
    assert_eq!(office.actions(1), ["install", "hold"]);
}

#[test]
fn fld_6_what_went_back_is_not_activated_again() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Probation, Some(22));
    office.moves("D-1", InstallState::RollingBack, "rolled back on site: by a nurse");
    assert_eq!(office.actions(1)[0], "hold");
    office.report(1, 1, "D-1", InstallState::RolledBack, Some(1));
    assert!(office.progress_of("D-1").has_failed());
    // Its gateway is put back to the day before, or replaced, and prepares the release again.
    for state in [InstallState::Fetching, InstallState::Staged] {
        office.moves("D-1", state, "");
        assert_eq!(office.actions(1)[0], "rollback", "{state}");
    }
    office.moves("D-1", InstallState::Idle, "cancelled before activation");
    assert_eq!(office.actions(1)[0], "hold");
    assert!(office.progress_of("D-1").has_failed(), "what an older state says takes nothing back");
    // Somebody gave it the release by hand.
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    assert_eq!(office.actions(1)[0], "install");
}

#[test]
fn fld_6_a_trial_of_an_older_state_blames_no_release() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    office.report(1, 1, "D-1", InstallState::Probation, Some(22));
    office.moves("D-1", InstallState::RollingBack, &format!("silent for 30 s in probation; {SET_BACK}"));
    assert!(!office.progress_of("D-1").has_failed());
    office.moves("D-1", InstallState::RolledBack, &format!("left because: {SET_BACK}"));
    assert!(!office.progress_of("D-1").has_failed());
}

#[test]
fn fld_6_a_superseded_release_is_called_back_until_the_next() {
    let mut office = Office::new();
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(2, 1, "D-1", InstallState::Staged, None);
    office.report(2, 2, "D-1", InstallState::Probation, Some(22));
    let json = PILOT_FIRST.replace("FW-22", "FW-23").replacen('{', r#"{ "supersedes": ["D-1"],"#, 1);
    office.deploy("D-2", &json).expect("newer");
    let pilot = usize::from(!office.deployment("D-2").is_open(office.deployment("D-2").devices[&device(2, 1)].phase));
    assert_eq!(pilot, 1, "its phase is not open yet");
    let asked = office.desired(2);
    assert_eq!((office.actions(2), asked[0].deployment.as_str()), (vec!["rollback"], "D-1"), "who is on trial ends it");
    assert_eq!(asked[0].device, device(2, 1));
    let (manifest, deployment) = (office.deployment("D-1").plan.manifest, id("D-1"));
    let (state, detail) = (InstallState::Idle, "cancelled before activation".to_owned());
    let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail };
    office.tell(2, vec![Reported { device: Some(device(2, 1)), at: office.now, kind }]);
    assert!(office.actions(2).is_empty());
}
