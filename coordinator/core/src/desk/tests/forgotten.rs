//! Devices of which no state reached the log before their gateway lost its own.

use mdfm_shared::observed::ObservedDevice;
use mdfm_shared::telemetry::UNSEEN;

use super::*;
use crate::rollout::Asked;

impl Office {
    /// The gateway of hospital `h` has not seen a device since its state began.
    fn unseen(&mut self, h: usize, d: (usize, usize), deployment: &str) {
        let manifest = self.deployment(deployment).plan.manifest;
        let (state, deployment, detail) = (InstallState::Idle, id(deployment), UNSEEN.to_owned());
        let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail };
        self.tell(h, vec![Reported { device: Some(device(d.0, d.1)), at: self.now, kind }]);
    }

    fn attached(&mut self, h: usize, d: usize, present: bool) {
        let running =
            FirmwareReport { version: "2.1.0".into(), release_number: 1, security_version: 3, sha256: Digest([1; 32]) };
        let observed = ObservedDevice {
            present,
            model: MODEL.into(),
            serial: format!("SN-{h}-{d}"),
            hardware: "B".into(),
            running,
            boot_count: 7,
            unordered_reboots: 0,
            recent_reboots: 0,
            last_reboot_at: None,
            contested: false,
            since: NOW,
        };
        let kind = EventKind::DeviceObserved { digest: observed.digest(), observed: Box::new(observed) };
        self.tell(h, vec![Reported { device: Some(device(h, d)), at: self.now, kind }]);
    }

    fn replace(&mut self, h: usize) {
        let (gateway, secret_sha256): (GatewayId, _) = (id(&format!("GW-{h}")), Digest([h as u8; 32]));
        let expires_at = self.now.plus_ms(1_000);
        let token = Command::IssueToken { gateway: gateway.clone(), secret_sha256, expires_at, replaces: true };
        self.give("operator", token);
        let telemetry_key = key(50 + h as u8).public();
        self.give("x", Command::Enrol { gateway, secret_sha256, telemetry_key, certificate_sha256: Digest([9; 32]) });
    }

    fn progress(&self, deployment: &str, (h, d): (usize, usize)) -> (Option<InstallState>, Asked) {
        let progress = &self.deployment(deployment).devices[&device(h, d)];
        (progress.state, progress.asked)
    }
}

#[test]
fn fld_8_who_is_lost_before_its_first_state_needs_hands() {
    let mut office = Office::new();
    office.attached(1, 1, true);
    office.attached(1, 2, false);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(1_000);
    assert_eq!(office.actions(1), ["install", "install"]);
    // An ordinary gap of the line loses nothing: the gateway still knows.
    office.unseen(2, (2, 1), "D-1");
    assert_eq!(office.progress("D-1", (2, 1)), (None, Asked::Yes), "it lies in a cupboard");
    office.replace(1);
    assert_eq!(office.progress("D-1", (1, 1)), (None, Asked::Lost));
    for d in 1..=2 {
        office.unseen(1, (1, d), "D-1");
    }
    let alarmed = Some(InstallState::RollbackFailed);
    assert_eq!(office.progress("D-1", (1, 1)).0, alarmed, "it may be on trial, and nobody watches it");
    assert_eq!(office.progress("D-1", (1, 2)).0, None, "it was switched off before it was asked");
    assert!(office.deployment("D-1").devices[&device(1, 1)].has_failed());
    office.report(1, 1, "D-1", InstallState::Probation, Some(22));
    assert_eq!(office.progress("D-1", (1, 1)), (Some(InstallState::Probation), Asked::No), "it is back, and watched");
}

#[test]
fn fld_8_another_gateway_does_not_know_what_began_before() {
    let mut office = Office::new();
    office.attached(1, 1, true);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(1_000);
    let (gateway, hospital): (GatewayId, _) = (id("GW-5"), id("H-1"));
    office.give("operator", Command::RegisterGateway { gateway, hospital });
    office.enrol(5);
    office.give("operator", Command::RevokeGateway { gateway: id("GW-1"), reason: "it burned".into() });
    office.live(1_000);
    assert_eq!(office.progress("D-1", (1, 1)), (None, Asked::Lost));
    office.unseen(5, (1, 1), "D-1");
    assert_eq!(office.progress("D-1", (1, 1)).0, Some(InstallState::RollbackFailed));
}

#[test]
fn fld_8_who_needs_hands_needs_them_in_the_next_deployment_too() {
    let mut office = Office::new();
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(1_000);
    office.report(1, 1, "D-1", InstallState::Activating, None);
    office.unseen(1, (1, 1), "D-1");
    let held = office.state.devices[&device(1, 1)].install.clone().expect("reported");
    assert_eq!(held.state, InstallState::RollbackFailed);
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "enough".into() });
    office.deploy("D-2", &all(23, "")).expect("approved");
    office.live(1_000);
    office.unseen(1, (1, 1), "D-2");
    assert_eq!(office.progress("D-2", (1, 1)).0, Some(InstallState::RollbackFailed));
    let now = office.state.devices[&device(1, 1)].install.clone().expect("reported");
    assert_eq!(now.manifest, held.manifest, "it may run the release of before");
}

#[test]
fn fld_8_lost_under_the_next_deployment_in_its_own_too() {
    let mut office = Office::new();
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(1_000);
    office.report(1, 1, "D-1", InstallState::Activating, None);
    let next = r#""supersedes": ["D-1"],"#;
    office.deploy("D-2", &all(23, next)).expect("approved");
    office.live(1_000);
    office.unseen(1, (1, 1), "D-2");
    let alarmed = Some(InstallState::RollbackFailed);
    assert_eq!([office.progress("D-1", (1, 1)).0, office.progress("D-2", (1, 1)).0], [alarmed; 2]);
    let held = office.state.devices[&device(1, 1)].install.clone().expect("reported");
    assert_eq!((Some(held.state), held.manifest), (alarmed, office.deployment("D-1").plan.manifest));
}

/// A copy of the gateway reports again what the device has left behind, and how an installation ended was lost with a disk.
#[test]
fn fld_6_what_was_left_behind_is_not_opened_again() {
    let mut office = Office::new();
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-1", &all(22, "")).expect("approved");
    for d in 1..=2 {
        office.report(1, d, "D-1", InstallState::Probation, Some(22));
    }
    office.report(1, 1, "D-1", InstallState::RolledBack, Some(1));
    office.report(1, 2, "D-1", InstallState::RollingBack, None);
    office.deploy("D-2", &all(23, r#""supersedes": ["D-1"],"#)).expect("approved");
    for d in 1..=2 {
        office.report(1, d, "D-2", InstallState::Activating, None);
    }
    let rolled_back = Some(InstallState::RolledBack);
    assert_eq!([office.progress("D-1", (1, 1)).0, office.progress("D-1", (1, 2)).0], [rolled_back; 2]);
    office.report(1, 1, "D-1", InstallState::RollingBack, None);
    assert_eq!(office.progress("D-1", (1, 1)).0, rolled_back);
    let install = office.state.devices[&device(1, 1)].install.clone().expect("reported");
    assert_eq!(install.state, InstallState::Activating, "of the later deployment");
}
