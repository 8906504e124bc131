//! Devices whose gateway was revoked, or that are retired, silent or asked and unheard: a recall counts them until somebody knows better.

use mdfm_shared::observed::ObservedDevice;
use mdfm_shared::telemetry::UNSEEN;
use mdfm_shared::waiting::WaitCode;

use super::*;
use crate::fleet::DeviceChange;
use crate::inventory::{DifferenceKind, Side};
use crate::recall::{self, Criteria, RecallAction};
use crate::waiting::Sight;

fn seen(model: &str, serial: &str, n: u64) -> ObservedDevice {
    ObservedDevice {
        present: true,
        model: model.into(),
        serial: serial.into(),
        hardware: "B".into(),
        running: FirmwareReport {
            version: format!("2.{n}.0"),
            release_number: n,
            security_version: 3,
            sha256: Digest([n as u8; 32]),
        },
        boot_count: 7,
        unordered_reboots: 0,
        recent_reboots: 0,
        last_reboot_at: None,
        contested: false,
        since: NOW,
    }
}

impl Office {
    fn sees(&mut self, h: usize, id: &DeviceId, observed: ObservedDevice) {
        let kind = EventKind::DeviceObserved { digest: observed.digest(), observed: Box::new(observed) };
        self.tell(h, vec![Reported { device: Some(id.clone()), at: self.now, kind }]);
    }

    fn revoke(&mut self, gateway: &str) {
        self.give("operator", Command::RevokeGateway { gateway: id(gateway), reason: "stolen".into() });
        self.pass(1_000);
    }

    /// Devices that a recall of this version label of this model waits for; the recall is opened by the first question.
    fn recalls(&mut self, model: &str, version: &str) -> Vec<DeviceId> {
        let recall: mdfm_shared::id::RecallId = id("R-1");
        if !self.state.recalls.contains_key(&recall) {
            let criteria = Criteria { model: model.into(), versions: vec![version.into()], ..Criteria::default() };
            let (action, reason) = (RecallAction::Quarantine, "burns".to_owned());
            self.give("regulatory", Command::OpenRecall { recall: recall.clone(), criteria, action, reason });
        }
        recall::outstanding(&self.state, &self.state.recalls[&recall])
    }

    fn count_of(&self, action: &str) -> usize {
        let of = |entry: &&Vec<u8>| AuditRecord::from_bytes(entry).expect("our own").action == action;
        self.entries.iter().filter(of).count()
    }
}

#[test]
fn fld_5_a_revoked_gateways_devices_stay_in_recalls() {
    let mut office = Office::new();
    let (ward, other) = (device(1, 1), device(1, 2));
    // One of another model by its label than by the registry: only the gateway's word says so.
    office.sees(1, &ward, seen("Pump-9", "SN-1-1", 20));
    office.sees(1, &other, seen(MODEL, "SN-1-2", 20));
    assert_eq!(office.recalls("Pump-9", "2.20.0"), std::slice::from_ref(&ward));
    let differs = office.count_of("device.differs");
    office.revoke("GW-1");
    assert_eq!(office.recalls("Pump-9", "2.20.0"), std::slice::from_ref(&ward), "its word is the last that is known");
    let close = Command::CloseRecall { recall: id("R-1") };
    office.refuses("regulatory", close.clone(), "recall-outstanding", "DEV-1-1");
    // It is shown why nothing reaches it.
    let sight = Sight { state: &office.state, presence: &office.presence, now: office.now };
    assert_eq!(sight.unreachable(&ward).map(|w| w.code), Some(WaitCode::GatewayMissing));
    // A revocation alone is no difference of devices whose gateway said what is registered.
    let kinds = office.state.differences(office.now, &other, &office.state.devices[&other]);
    assert!(!kinds.contains_key(&DifferenceKind::Gateway), "{kinds:?}");
    assert!(office.count_of("device.differs") <= differs + 1);
    // It appears behind another gateway, with other firmware and a label that somebody read again.
    let (gateway, hospital): (GatewayId, _) = (id("GW-5"), id("H-1"));
    office.give("operator", Command::RegisterGateway { gateway, hospital });
    office.enrol(5);
    office.sees(5, &ward, seen(MODEL, "SN-1-1", 1));
    assert_eq!(office.recalls("Pump-9", "2.20.0"), []);
    office.give("regulatory", close);
}

#[test]
fn fld_5_a_person_ends_what_a_revoked_gateway_said() {
    let mut office = Office::new();
    let ward = device(1, 1);
    office.sees(1, &ward, ObservedDevice { present: false, ..seen(MODEL, "SN-1-1", 1) });
    // The device was carried to a ward whose gateway is stolen later.
    office.sees(2, &ward, seen(MODEL, "SN-1-1", 20));
    office.revoke("GW-2");
    assert_eq!(office.recalls(MODEL, "2.20.0"), std::slice::from_ref(&ward));
    let kinds = office.state.differences(office.now, &ward, &office.state.devices[&ward]);
    assert!(kinds.contains_key(&DifferenceKind::Gateway), "{kinds:?}");
    // Taking over what was observed moves no device behind a gateway that is revoked.
    let decide = |right| Command::ReconcileDevice { device: device(1, 1), right, reason: "looked at it".into() };
    office.give("operator", decide(Side::Observed));
    assert_ne!(office.state.gateway_of(&ward), Some(&id("GW-2")));
    assert_eq!(office.recalls(MODEL, "2.20.0"), std::slice::from_ref(&ward), "nobody saw it leave the firmware");
    office.give("operator", Command::RetireDevice { device: ward, reason: "destroyed".into() });
    assert_eq!(office.recalls(MODEL, "2.20.0"), []);
}

#[test]
fn fld_5_a_device_named_behind_a_revoked_gateway_stays() {
    let mut office = Office::new();
    let ward = device(1, 1);
    let change = DeviceChange { gateway: Some(Some(id("GW-1"))), ..DeviceChange::default() };
    office.give("operator", Command::ChangeDevice { device: ward.clone(), change, reason: "named".into() });
    office.sees(1, &ward, seen(MODEL, "SN-1-1", 20));
    office.revoke("GW-1");
    assert_eq!(office.recalls(MODEL, "2.20.0"), std::slice::from_ref(&ward));
    let sight = Sight { state: &office.state, presence: &office.presence, now: office.now };
    let waiting = sight.unreachable(&ward).expect("nothing reaches it");
    assert!(waiting.text().contains("GW-1 is revoked"), "{}", waiting.text());
}

#[test]
fn fld_5_who_was_asked_and_is_unheard_is_in_the_recall() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(1_000);
    office.report(1, 1, "D-1", InstallState::RolledBack, Some(1));
    office.report(1, 2, "D-1", InstallState::Confirmed, Some(22));
    office.report(2, 1, "D-1", InstallState::Activating, None);
    let (manifest, deployment) = (office.deployment("D-1").plan.manifest, id("D-1"));
    let (state, detail) = (InstallState::Idle, UNSEEN.to_owned());
    let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail };
    office.tell(2, vec![Reported { device: Some(device(2, 1)), at: office.now, kind }]);
    office.report(2, 2, "D-1", InstallState::Idle, Some(1));
    office.revoke("GW-3");
    // Gone back, and never begun: not concerned. Lost on trial, and asked behind a line that may be down: concerned.
    let concerned = [device(1, 2), device(2, 1), device(3, 1), device(3, 2), device(4, 1), device(4, 2)];
    assert_eq!(office.recalls(MODEL, "2.22.0"), concerned);
    for d in 1..=2 {
        office.report(4, d, "D-1", InstallState::Idle, Some(1));
    }
    assert_eq!(office.recalls(MODEL, "2.22.0"), concerned[..4], "they answered");
}

#[test]
fn fld_5_a_retired_device_that_runs_is_in_the_recall() {
    let mut office = Office::new();
    let ward = device(1, 1);
    office.sees(1, &ward, seen(MODEL, "SN-1-1", 20));
    office.give("operator", Command::RetireDevice { device: ward.clone(), reason: "sold".into() });
    assert_eq!(office.recalls(MODEL, "2.20.0"), std::slice::from_ref(&ward), "a gateway has it");
    let expected = Command::ReconcileDevice { device: ward, right: Side::Registered, reason: "in repair".into() };
    office.pass(121_000);
    office.give("operator", expected);
    assert_eq!(office.recalls(MODEL, "2.20.0"), [], "a person knows");
}

#[test]
fn fld_5_a_device_without_gateway_holds_up_no_correction() {
    let mut office = Office::new();
    for h in 1..=2 {
        office.sees(h, &device(h, 1), seen(MODEL, &format!("SN-{h}-1"), 20));
    }
    office.revoke("GW-1");
    assert_eq!(office.recalls(MODEL, "2.20.0"), [device(1, 1), device(2, 1)]);
    let deploy = r#"{ "firmwareId": "FW-70", "strategy": "Emergency", "targetRecall": "R-1" }"#;
    office.release(70, FirmwareClass::Recall, 3);
    office.deploy("D-2", deploy).expect("approved");
    assert_eq!(office.deployment("D-2").devices.keys().collect::<Vec<_>>(), [&device(2, 1)]);
}
