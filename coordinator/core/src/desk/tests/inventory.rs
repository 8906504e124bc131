//! What is registered and what gateways observe: whoever says what in which order, the view is the same.

use mdfm_shared::fixture::page::symptom;
use mdfm_shared::observed::{ObservationDigest, ObservedDevice};
use mdfm_shared::telemetry::{DeviceHeartbeat, Heartbeat, OVERTAKEN, Severity, UNSEEN};
use mdfm_shared::trust::{Approval, Validation};
use mdfm_shared::waiting::WaitCode;

use super::super::super::rollout::Scope;
use super::*;
use crate::fleet::DeviceChange;
use crate::inventory::{Difference, DifferenceKind, Side};
use crate::notice::{self, NoticeKind};
use crate::recall::{self, Criteria, RecallAction};
use crate::waiting::Sight;
use crate::{heartbeat, presence::Presence};

fn running(n: u64) -> FirmwareReport {
    FirmwareReport {
        version: format!("2.{n}.0"),
        release_number: n,
        security_version: 3,
        sha256: Digest([n as u8; 32]),
    }
}

fn observed(serial: &str, n: u64) -> ObservedDevice {
    ObservedDevice {
        present: true,
        model: MODEL.into(),
        serial: serial.into(),
        hardware: "B".into(),
        running: running(n),
        boot_count: 7,
        unordered_reboots: 0,
        recent_reboots: 0,
        last_reboot_at: None,
        contested: false,
        since: NOW,
    }
}

impl Office {
    /// The gateway of hospital `h` observes a device.
    fn observe(&mut self, h: usize, id: &DeviceId, observed: ObservedDevice) {
        let kind = EventKind::DeviceObserved { digest: observed.digest(), observed: Box::new(observed) };
        self.tell(h, vec![Reported { device: Some(id.clone()), at: self.now, kind }]);
    }
    fn kinds(&self, id: &DeviceId) -> Vec<DifferenceKind> {
        let device = &self.state.devices[id];
        self.state.differences(self.now, id, device).into_keys().collect()
    }
    fn reconcile(&mut self, id: &DeviceId, right: Side) -> Result<(), Refusal> {
        let reason = "looked at it in the ward".to_owned();
        self.attempt("operator", Command::ReconcileDevice { device: id.clone(), right, reason })
    }
    /// Records of this action in the log so far.
    fn recorded(&self, action: &str) -> usize {
        let of = |entry: &&Vec<u8>| AuditRecord::from_bytes(entry).expect("our own").action == action;
        self.entries.iter().filter(of).count()
    }
    fn recalled(&mut self, name: &str, n: u64) -> Vec<DeviceId> {
        let criteria = Criteria { model: MODEL.into(), versions: vec![format!("2.{n}.0")], ..Criteria::default() };
        let (action, reason) = (RecallAction::Quarantine, "alarm limits lost".to_owned());
        self.give("regulatory", Command::OpenRecall { recall: id(name), criteria, action, reason });
        recall::outstanding(&self.state, &self.state.recalls[&id::<mdfm_shared::id::RecallId>(name)])
    }
    fn registered(h: usize, d: usize, gateway: Option<GatewayId>) -> Command {
        let Command::RegisterDevice(new) = new_device(h, d) else { unreachable!("a device") };
        Command::RegisterDevice(NewDevice { gateway, ..new })
    }
    fn second_gateway(&mut self, h: usize, n: usize) {
        let gateway: GatewayId = id(&format!("GW-{n}"));
        self.give("operator", Command::RegisterGateway { gateway, hospital: id(&format!("H-{h}")) });
        self.enrol(n);
    }
}

#[test]
fn fld_4_an_exchanged_device_is_found_by_a_recall_and_shown() {
    let mut office = Office::new();
    let ward = device(1, 1);
    let operator = Command::CreateUser {
        user: id("operator-1"),
        printed_name: "O".into(),
        roles: vec![crate::access::AccessRole::Operator],
        hospital: None,
        credential: Digest([0; 32]),
    };
    office.give("admin", operator);
    office.observe(1, &ward, observed("SN-1-1", 1));
    assert_eq!(office.kinds(&ward), [], "as registered: 2.1.0");
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=1, "D-1", 22);
    office.observe(1, &ward, observed("SN-1-1", 22));
    assert_eq!((office.kinds(&ward), office.recorded("device.differs")), (vec![], 0));
    // Somebody carries in another device, which runs something older.
    office.observe(1, &ward, observed("SN-77", 20));
    assert_eq!(office.kinds(&ward), [DifferenceKind::Serial, DifferenceKind::Firmware]);
    assert_eq!(office.state.devices[&ward].firmware_version, "2.20.0", "what is observed is what lists show");
    assert_eq!(office.recorded("device.differs"), 2);
    let last = AuditRecord::from_bytes(office.entries.last().expect("records")).expect("our own");
    let told = notice::of(&office.state, &last);
    assert_eq!(told.iter().map(|n| n.kind).collect::<Vec<_>>(), [NoticeKind::DeviceDiffers]);
    assert!(
        notice::recipients(&office.state, &told[0]).contains_key(&id::<UserId>("operator-1")),
        "people are notified"
    );
    assert_eq!(office.recalled("R-20", 20), std::slice::from_ref(&ward));
    // It is put back.
    office.pass(400_000);
    office.observe(1, &ward, observed("SN-1-1", 22));
    office.pass(1_000);
    assert_eq!((office.kinds(&ward), office.recorded("device.agrees")), (vec![], 2));
    assert!(
        recall::outstanding(&office.state, &office.state.recalls[&id::<mdfm_shared::id::RecallId>("R-20")]).is_empty()
    );
}

#[test]
fn fld_4_what_was_flashed_by_hand_is_not_overwritten() {
    let mut office = Office::new();
    let belongs = |office: &Office| office.state.devices[&device(1, 1)].deployment.clone();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "enough".into() });
    office.live(1_000);
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-2", &all(23, "")).expect("nothing is in the way");
    // It came back from the release, and then somebody gave it other firmware.
    for state in [InstallState::Activating, InstallState::RolledBack, InstallState::Idle] {
        office.report(1, 1, "D-2", state, Some(22));
    }
    office.give("operator", Command::Abort { deployment: id("D-2"), reason: "enough".into() });
    assert_eq!(belongs(&office), Some(id("D-2")), "D-1 would bring its own release again");
    office.report(1, 1, "D-2", InstallState::Idle, Some(20));
    assert_eq!(belongs(&office), Some(id("D-2")));
}

#[test]
fn fld_8_who_still_runs_what_is_called_back_needs_intervention() {
    let mut office = Office::new();
    let state = |office: &Office, d| office.deployment("D-1").devices[&device(1, d)].state;
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=1, "D-1", 22);
    let (scope, cause, reason) = (Scope::Deployment, OrderedBack::Safety, "it beeps".into());
    office.give("operator", Command::Rollback { deployment: id("D-1"), scope, cause, reason });
    // The gateway's machine was replaced, and the new one knows nothing of the deployment.
    office.report(1, 1, "D-1", InstallState::Idle, Some(22));
    office.report(1, 2, "D-1", InstallState::Idle, Some(20));
    assert_eq!((state(&office, 1), state(&office, 2)), (Some(InstallState::RollbackFailed), Some(InstallState::Idle)));
}

#[test]
fn fld_6_who_is_not_seen_after_a_set_back_is_not_on_its_way() {
    const WHO: [(usize, usize); 3] = [(1, 1), (1, 2), (2, 1)];
    let mut office = Office::new();
    let state = |office: &Office, (h, d)| office.deployment("D-1").devices[&device(h, d)].state;
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    office.report(1, 2, "D-1", InstallState::Activating, None);
    office.report(2, 1, "D-1", InstallState::Staged, None);
    let manifest = office.deployment("D-1").plan.manifest;
    for (h, d) in WHO {
        let (state, deployment, detail) = (InstallState::Idle, id("D-1"), UNSEEN.to_owned());
        let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail };
        office.tell(h, vec![Reported { device: Some(device(h, d)), at: office.now, kind }]);
    }
    // One that had settled keeps what is known; one that was on its way may be on trial: the order to boot may be lost.
    let expected = [InstallState::Confirmed, InstallState::RollbackFailed, InstallState::RollbackFailed].map(Some);
    assert_eq!(WHO.map(|who| state(&office, who)), expected);
    office.report(1, 2, "D-1", InstallState::Probation, Some(22));
    assert_eq!(state(&office, (1, 2)), Some(InstallState::Probation), "it is back, and watched");
}

#[test]
fn fld_4_a_person_says_which_side_is_right() {
    let mut office = Office::new();
    let ward = device(1, 1);
    let refusal = office.reconcile(&ward, Side::Observed).expect_err("nothing differs");
    assert_eq!(refusal.code, "no-difference");
    office.observe(1, &ward, observed("SN-77", 20));
    office.reconcile(&ward, Side::Registered).expect("a decision");
    assert_eq!(office.kinds(&ward).len(), 2, "shown until the device is put right");
    let noted = &office.state.devices[&ward].differences[&DifferenceKind::Serial];
    assert_eq!(noted.expected.as_ref().map(|e| e.by.as_str()), Some("operator"));
    office.reconcile(&ward, Side::Observed).expect("a decision");
    let held = &office.state.devices[&ward];
    assert_eq!((held.serial.as_str(), held.hardware.as_deref()), ("SN-77", Some("B")));
    assert_eq!((office.kinds(&ward), held.differences.len()), (vec![], 0));
    // Two devices that changed places are put right one after the other.
    for (d, serial) in [(1, "SN-2-2"), (2, "SN-2-1")] {
        office.observe(2, &device(2, d), observed(serial, 1));
    }
    for d in 1..=2 {
        office.reconcile(&device(2, d), Side::Observed).expect("the other one is wrong too");
    }
    assert_eq!(office.state.devices[&device(2, 1)].serial, "SN-2-2");
    let reason = Command::ReconcileDevice { device: ward, right: Side::Observed, reason: " ".into() };
    office.refuses("operator", reason, "invalid-field", "must say why");
}

/// As mdfmctl puts them into words.
#[test]
fn cli_14_differences_read_as_on_the_page() {
    let mut office = Office::new();
    let ward = device(1, 1);
    let shown = |office: &Office| {
        let found = office.state.differences(office.now, &ward, &office.state.devices[&ward]);
        let line = |(kind, d): (DifferenceKind, Difference)| {
            let kind = serde_json::to_value(kind).expect("a word");
            let kind = kind.as_str().unwrap_or_default();
            format!("differs in {kind}: registered {}, observed {}\n", d.registered, d.observed)
        };
        found.into_iter().map(line).collect::<String>()
    };
    office.observe(1, &ward, observed("SN-77", 99));
    symptom("The inventory", "differs in serial").assert_in(&shown(&office));
    symptom("The inventory", "differs in firmware").assert_in(&shown(&office));
    office.observe(1, &ward, ObservedDevice { present: false, ..observed("SN-77", 99) });
    office.observe(2, &ward, observed("SN-77", 99));
    symptom("The inventory", "differs in gateway").assert_in(&shown(&office));
}

/// What another hospital's gateway says of a device is not for this hospital's staff.
#[test]
fn sec_19_staff_read_no_word_of_another_hospitals_gateway() {
    let mut office = Office::new();
    let (ward, own) = (device(1, 1), id::<HospitalId>("H-1"));
    let read = |office: &Office, own: Option<&HospitalId>| {
        let differences = office.state.differences_for(office.now, &ward, &office.state.devices[&ward], own);
        let texts: Vec<String> = differences.into_values().map(|d| d.observed).collect();
        (texts.join("; "), office.state.observed_for(&ward, own).map(|(gateway, _)| gateway.to_string()))
    };
    office.observe(1, &ward, observed("SN-1-1", 1));
    office.observe(2, &ward, observed("SN-SECRET", 20));
    let (texts, _) = read(&office, Some(&own));
    assert!(texts.contains("GW-1 (") && texts.contains("a gateway of another hospital"), "{texts}");
    assert!(!texts.contains("GW-2") && !texts.contains("SECRET"), "{texts}");
    assert!(read(&office, None).0.contains("SN-SECRET"), "the vendor's people read both");
    office.observe(1, &ward, ObservedDevice { present: false, ..observed("SN-1-1", 1) });
    let (texts, gateway) = read(&office, Some(&own));
    assert!(!texts.contains("SECRET"), "{texts}");
    assert_eq!(gateway.as_deref(), Some("GW-1"), "what their own gateway saw last");
    assert_eq!(read(&office, None).1.as_deref(), Some("GW-2"));
}

#[test]
fn fld_5_the_order_of_plug_and_registry_does_not_matter() {
    let (moved, there): (DeviceId, GatewayId) = (device(1, 1), id("GW-5"));
    let moves = || {
        let gateway = Some(Some(id("GW-5")));
        let change = DeviceChange { gateway, ..DeviceChange::default() };
        Command::ChangeDevice { device: device(1, 1), change, reason: "carried to bay 5".into() }
    };
    let base = || {
        let mut office = Office::new();
        office.second_gateway(1, 5);
        for d in 1..=2 {
            let change = DeviceChange { gateway: Some(Some(id("GW-1"))), ..DeviceChange::default() };
            office.give("operator", Command::ChangeDevice { device: device(1, d), change, reason: "named".into() });
        }
        office.observe(1, &device(1, 1), observed("SN-1-1", 1));
        office
    };
    let gone = || ObservedDevice { present: false, ..observed("SN-1-1", 1) };
    let view = |office: &Office| {
        let held = &office.state.devices[&device(1, 1)];
        let (gateway, claim) = office.state.observed(&device(1, 1)).expect("observed");
        (held.firmware_version.clone(), held.running_sha256, gateway.clone(), claim.observed.running.version.clone())
    };
    let mut plug_first = base();
    plug_first.observe(5, &moved, observed("SN-1-1", 20));
    assert_eq!(plug_first.kinds(&moved), [DifferenceKind::Conflict]);
    assert_eq!(plug_first.state.devices[&moved].firmware_version, "2.1.0", "its own gateway is believed");
    assert_eq!(plug_first.recorded("device.differs"), 0, "for a minute it is behind both");
    plug_first.observe(1, &moved, gone());
    assert_eq!(plug_first.kinds(&moved), [DifferenceKind::Gateway]);
    assert_eq!(plug_first.recorded("device.differs"), 1);
    assert_eq!(plug_first.recalled("R-20", 20), std::slice::from_ref(&moved), "wherever it is");
    plug_first.give("operator", moves());
    let mut registry_first = base();
    registry_first.give("operator", moves());
    registry_first.observe(1, &moved, gone());
    registry_first.observe(5, &moved, observed("SN-1-1", 20));
    let mut accepted = base();
    accepted.observe(1, &moved, gone());
    accepted.observe(5, &moved, observed("SN-1-1", 20));
    accepted.reconcile(&moved, Side::Observed).expect("a decision");
    for office in [&plug_first, &registry_first, &accepted] {
        assert_eq!(view(office), ("2.20.0".into(), Some(Digest([20; 32])), there.clone(), "2.20.0".into()));
        assert_eq!(office.state.gateway_of(&moved), Some(&there));
    }
    // A device that is registered later than it was observed.
    let late = device(1, 9);
    accepted.observe(5, &late, observed("SN-1-9", 20));
    accepted.give("operator", Office::registered(1, 9, Some(there)));
    assert_eq!(accepted.state.devices[&late].firmware_version, "2.20.0");
    assert_eq!(accepted.kinds(&late), [DifferenceKind::Firmware]);
}

#[test]
fn fld_5_a_gateway_that_lies_harms_only_itself() {
    let mut office = Office::new();
    let own = device(1, 1);
    office.observe(1, &own, observed("SN-1-1", 1));
    for n in 0..400 {
        office.observe(2, &id(&format!("MADE-UP-{n}")), observed("x", 20));
    }
    office.observe(2, &own, ObservedDevice { contested: true, ..observed("SN-X", 20) });
    let held = &office.state.devices[&own];
    assert_eq!((held.firmware_version.as_str(), held.serial.as_str()), ("2.1.0", "SN-1-1"));
    assert_eq!(office.kinds(&own), [DifferenceKind::Conflict]);
    let refusal = office.reconcile(&own, Side::Observed).expect_err("two gateways have it");
    assert_eq!(refusal.code, symptom("The inventory", "conflicting-observations").words());
    assert!(office.recalled("R-1", 1).contains(&own), "a lie hides no device from a recall");
    let criteria = Criteria { model: MODEL.into(), versions: vec!["2.20.0".into()], ..Criteria::default() };
    let (action, reason) = (RecallAction::Quarantine, "alarm limits lost".to_owned());
    let draws = Command::OpenRecall { recall: id("R-20"), criteria, action, reason };
    office.refuses("regulatory", draws, "invalid-field", "no firmware and no device fits");
    office.pass(121_000);
    assert_eq!(office.recorded("device.differs"), 1, "a conflict that lasts is recorded");
    // Its own gateway loses sight of it: the claim counts until a person has looked at it.
    office.observe(1, &own, ObservedDevice { present: false, ..observed("SN-1-1", 1) });
    assert!(office.recalled("R-20", 20).contains(&own));
    let recall = office.state.recalls[&id::<mdfm_shared::id::RecallId>("R-20")].clone();
    assert_eq!(office.state.devices[&own].firmware_version, "2.1.0");
    office.reconcile(&own, Side::Registered).expect("a decision");
    assert!(!recall::outstanding(&office.state, &recall).contains(&own));
    let gateway: GatewayId = id("GW-2");
    assert!(office.state.inventory.of_gateway(&gateway).count() <= 256);
    office.give("operator", Command::RevokeGateway { gateway, reason: "it lies".into() });
    assert_eq!(office.kinds(&own), []);
}

#[test]
fn fld_4_a_changing_identity_costs_at_most_one_record_a_minute() {
    let mut office = Office::new();
    let (ward, gateway): (DeviceId, GatewayId) = (device(1, 1), id("GW-1"));
    let mut presence = Presence::default();
    let before = office.entries.len();
    for s in 0..3_600_u64 {
        office.pass(1_000);
        let serial = if s.is_multiple_of(2) { "SN-1-1".to_owned() } else { format!("SN-{s}") };
        let now = observed(&serial, 1 + s % 2);
        let beat = Heartbeat {
            gateway: gateway.clone(),
            epoch: 1,
            sequence: s + 1,
            at: office.now,
            root_version: 1,
            roster_version: 1,
            directive_serial: 0,
            checkpoint_size: 0,
            missing_releases: vec![],
            outbox_depth: 0,
            devices: vec![DeviceHeartbeat {
                device: ward.clone(),
                state: InstallState::Idle,
                attached: true,
                in_use: false,
            }],
            held_trust: None,
            observed: Some(vec![now.digest()]),
        };
        let signed = signed(&beat, &[51]);
        let checked = heartbeat::check(&office.state, &gateway, &signed).expect("signed").expect("enrolled");
        let answer = heartbeat::hear(&office.state, &mut presence, office.now, &gateway, &checked).expect("its own");
        if answer.question.is_some() {
            office.observe(1, &ward, now);
        }
    }
    let records = office.entries.len() - before;
    assert!(records <= 60 + 10, "{records} records in an hour");
    assert!(records > 20, "else this shows nothing: {records}");
}

#[test]
fn fld_4_a_device_taken_out_of_a_gateway_is_claimed_no_longer() {
    let mut office = Office::new();
    office.second_gateway(1, 5);
    let (ward, gateway): (DeviceId, GatewayId) = (device(1, 1), id("GW-5"));
    office.observe(5, &ward, observed("SN-1-1", 1));
    let beat = |sequence, devices: &[(&DeviceId, ObservationDigest)]| Heartbeat {
        gateway: id("GW-5"),
        epoch: 1,
        sequence,
        at: NOW,
        root_version: 1,
        roster_version: 1,
        directive_serial: 0,
        checkpoint_size: 0,
        missing_releases: vec![],
        outbox_depth: 0,
        devices: devices
            .iter()
            .map(|(device, _)| DeviceHeartbeat {
                device: (*device).clone(),
                state: InstallState::Idle,
                attached: true,
                in_use: false,
            })
            .collect(),
        held_trust: None,
        observed: Some(devices.iter().map(|(_, digest)| *digest).collect()),
    };
    let mut presence = Presence::default();
    let mut hear = |office: &Office, beat: Heartbeat| {
        let checked =
            heartbeat::check(&office.state, &gateway, &signed(&beat, &[55])).expect("signed").expect("enrolled");
        heartbeat::hear(&office.state, &mut presence, office.now, &gateway, &checked).expect("its own")
    };
    let same = observed("SN-1-1", 1).digest();
    let answer = hear(&office, beat(1, &[(&ward, same)]));
    assert!(answer.question.is_none() && answer.command.is_none(), "what is known is not asked for");
    let answer = hear(&office, beat(2, &[]));
    let command = answer.command.expect("it does not speak of the device any more");
    office.give("x", command);
    assert!(office.state.observed(&ward).is_none());
}

#[test]
fn fld_5_what_a_gateway_forgets_stays_in_recalls() {
    let mut office = Office::new();
    office.second_gateway(1, 5);
    let change = DeviceChange { gateway: Some(Some(id("GW-1"))), ..DeviceChange::default() };
    office.give("operator", Command::ChangeDevice { device: device(1, 1), change, reason: "named".into() });
    let (ward, gateway): (DeviceId, GatewayId) = (device(1, 1), id("GW-5"));
    // It is plugged in there, runs 2.20.0, and then that gateway's disk is put back or replaced.
    office.observe(5, &ward, observed("SN-1-1", 20));
    assert_eq!(office.recalled("R-1", 20), std::slice::from_ref(&ward));
    let forget = |office: &mut Office, presence: &mut Presence, sequence| {
        let beat = Heartbeat {
            gateway: id("GW-5"),
            epoch: 1,
            sequence,
            at: NOW,
            root_version: 1,
            roster_version: 1,
            directive_serial: 0,
            checkpoint_size: 0,
            missing_releases: vec![],
            outbox_depth: 0,
            devices: vec![DeviceHeartbeat {
                device: device(1, 1),
                state: InstallState::Idle,
                attached: false,
                in_use: false,
            }],
            held_trust: None,
            observed: Some(vec![ObservationDigest::NONE]),
        };
        let checked =
            heartbeat::check(&office.state, &gateway, &signed(&beat, &[55])).expect("signed").expect("enrolled");
        let answer = heartbeat::hear(&office.state, presence, office.now, &gateway, &checked).expect("its own");
        assert!(answer.question.is_none(), "it cannot answer");
        if let Some(command) = answer.command {
            office.give("x", command);
        }
    };
    let mut presence = Presence::default();
    let records = |office: &Office| office.recorded("gateway.observations.end");
    (1..=3).for_each(|n| forget(&mut office, &mut presence, n));
    assert_eq!(records(&office), 1, "noted once");
    assert_eq!(office.recalled("R-2", 20), std::slice::from_ref(&ward), "its last word counts");
    assert_eq!(office.kinds(&ward), [DifferenceKind::Gateway]);
    let kept = State::from_snapshot(&office.state.to_snapshot().expect("encodes")).expect("decodes");
    assert_eq!(kept.observed(&ward).map(|(g, c)| (g.clone(), c.forgotten)), Some((id("GW-5"), true)));
    // The same state, seen again, must be asked for: nobody knows that it is the same.
    let unknown = office.state.inventory.digest(&id("GW-5"), &ward);
    assert_eq!(unknown, ObservationDigest::NONE);
    // Somebody has it: what was forgotten elsewhere says nothing any more.
    office.observe(1, &ward, observed("SN-1-1", 1));
    let left = recall::outstanding(&office.state, &office.state.recalls[&id::<mdfm_shared::id::RecallId>("R-1")]);
    assert_eq!((left, office.kinds(&ward)), (vec![], vec![]));
    // A recall of a device that is registered only after it was forgotten.
    let late = device(1, 9);
    office.observe(5, &late, observed("SN-1-9", 20));
    office.give("x", Command::EndObservations { gateway: id("GW-5"), devices: vec![], forgotten: vec![late.clone()] });
    office.give("operator", Office::registered(1, 9, Some(id("GW-5"))));
    assert_eq!(office.recalled("R-4", 20), [late]);
}

#[test]
fn fld_11_a_crash_loop_after_confirmation_fails_the_gate() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    let looping = ObservedDevice {
        boot_count: 15,
        unordered_reboots: 8,
        recent_reboots: 8,
        last_reboot_at: Some(office.now),
        ..observed("SN-1-1", 22)
    };
    office.observe(1, &device(1, 1), looping.clone());
    office.observe(1, &device(1, 1), ObservedDevice { boot_count: 16, ..looping });
    let progress = &office.deployment("D-1").devices[&device(1, 1)];
    assert!(progress.has_failed(), "the level counts, also where the event was lost");
    assert_eq!(progress.errors, 1, "once");
    assert_eq!(office.kinds(&device(1, 1)), [DifferenceKind::Reboots]);
    assert_eq!(office.recorded("device.differs"), 1);
    office.pass(DAY_MS);
    office.pass(1_000);
    assert_eq!(office.recorded("device.agrees"), 1, "a day without");
}

#[test]
fn fld_18_the_same_device_is_registered_once() {
    let mut office = Office::new();
    let Command::RegisterDevice(new) = new_device(1, 3) else { unreachable!("a device") };
    let with = |serial: &str, udi: Option<&str>| {
        let udi = udi.map(str::to_owned);
        Command::RegisterDevice(NewDevice { serial: serial.into(), udi, ..new.clone() })
    };
    let words = "device DEV-1-1 is registered as a";
    office.refuses("operator", with("SN-1-1", None), symptom("The inventory", "duplicate-serial").words(), words);
    let words = "device DEV-1-1 is registered with the UDI";
    let code = symptom("The inventory", "duplicate-udi");
    office.refuses("operator", with("SN-9", Some("(01)00880121(21)1")), code.words(), words);
    office.give("operator", with("SN-9", Some("(01)00880121")));
    let change = |serial: &str| {
        let change = DeviceChange { serial: Some(serial.into()), ..DeviceChange::default() };
        Command::ChangeDevice { device: device(1, 3), change, reason: "read again".into() }
    };
    office.refuses("operator", change("SN-1-1"), "duplicate-serial", "DEV-1-1");
    office.give("operator", Command::RetireDevice { device: device(1, 1), reason: "scrapped".into() });
    office.give("operator", change("SN-1-1"));
    let Command::RegisterDevice(new) = new_device(2, 4) else { unreachable!("a device") };
    let model_only = NewDevice { udi: Some("(01)00880121".into()), ..new };
    office.give("operator", Command::RegisterDevice(model_only));
}

#[test]
fn fld_19_devices_that_share_an_id_are_one_anomaly_for_people() {
    let mut office = Office::new();
    let ward = device(1, 1);
    for serial in ["SN-1-1", "SN-8", "SN-1-1"] {
        office.observe(1, &ward, ObservedDevice { contested: true, ..observed(serial, 1) });
    }
    assert_eq!(office.kinds(&ward), [DifferenceKind::Contested]);
    assert_eq!(office.recorded("device.differs"), 1);
    let refusal = office.reconcile(&ward, Side::Observed).expect_err("no registration ends that");
    assert_eq!(refusal.code, "no-difference");
}

/// A gateway's word that an installation ended before it saw the device, or that the device has gone on.
fn ended(office: &mut Office, (h, d): (usize, usize), state: InstallState, detail: &str) {
    let (manifest, deployment, detail) = (office.deployment("D-1").plan.manifest, id("D-1"), detail.to_owned());
    let kind = EventKind::StateChanged { state, manifest, deployment, running: None, detail };
    office.tell(h, vec![Reported { device: Some(device(h, d)), at: office.now, kind }]);
}

#[test]
fn fld_6_an_end_that_was_not_seen_settles_no_trial() {
    let mut office = Office::new();
    let state = |office: &Office, (h, d)| office.deployment("D-1").devices[&device(h, d)].state;
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    office.report(1, 2, "D-1", InstallState::Probation, Some(22));
    office.report(2, 1, "D-1", InstallState::Staged, None);
    let (scope, cause, reason) = (Scope::Deployment, OrderedBack::Safety, "it beeps".into());
    office.give("operator", Command::Rollback { deployment: id("D-1"), scope, cause, reason });
    for who in [(1, 1), (1, 2), (2, 1)] {
        ended(&mut office, who, InstallState::Failed, &format!("{UNSEEN}; image refused: other bytes"));
    }
    assert_eq!(state(&office, (1, 1)), Some(InstallState::Confirmed), "it still has to go back");
    assert_eq!(state(&office, (1, 2)), Some(InstallState::RollbackFailed), "nobody watches the trial");
    assert_eq!(state(&office, (2, 1)), Some(InstallState::RollbackFailed), "the order to boot may be lost");
    office.report(2, 1, "D-1", InstallState::Failed, None);
    assert_eq!(state(&office, (2, 1)), Some(InstallState::Failed), "it was seen");
}

#[test]
fn fld_6_a_device_that_went_on_ends_the_older_deployment() {
    use InstallState as S;
    let cases = [
        (S::Staged, S::Idle),
        (S::Probation, S::Failed),
        (S::RollingBack, S::RolledBack),
        (S::RollbackFailed, S::RolledBack),
        (S::RolledBack, S::RolledBack),
        (S::Confirmed, S::Idle),
    ];
    for (held, expected) in cases {
        let mut office = Office::new();
        office.deploy("D-1", &all(22, r#""criticalReach": "hospital","#)).expect("approved");
        office.report(1, 1, "D-1", held, Some(22));
        ended(&mut office, (1, 1), S::Idle, OVERTAKEN);
        assert_eq!(office.deployment("D-1").devices[&device(1, 1)].state, Some(expected), "{held}");
    }
    let deployment = |held| {
        let mut office = Office::new();
        office.deploy("D-1", &all(22, "")).expect("approved");
        office.report(1, 1, "D-1", held, Some(22));
        office.deployment("D-1").state_of_overtaken(&device(1, 1), false)
    };
    assert_eq!(deployment(S::Confirmed), None, "a later deployment has it: what was confirmed stands");
}

#[test]
fn fld_4_a_gate_counts_no_device_that_runs_something_else() {
    let mut office = Office::new();
    let one = r#""targetDevices": ["DEV-1-1", "DEV-1-2"],"#;
    office.deploy("D-1", &all(22, one)).expect("approved");
    let tally = |office: &Office| {
        let t = office.deployment("D-1").phases[0].tally;
        (t.confirmed, t.reported, t.left, t.counted())
    };
    office.confirm(1..=1, "D-1", 22);
    assert_eq!(tally(&office), (2, 2, 0, 2));
    // Exchanged by hand: the gateway adopts it, or its observation comes first.
    office.report(1, 1, "D-1", InstallState::Idle, None);
    office.observe(1, &device(1, 2), observed("SN-1-2", 20));
    assert_eq!(tally(&office), (0, 0, 2, 0));
    let status = &office.deployment("D-1").status;
    assert!(matches!(status, Status::Paused { reason } if reason.contains("2 of them exchanged")), "{status:?}");
    office.observe(1, &device(1, 2), observed("SN-1-2", 22));
    assert_eq!(tally(&office), (1, 1, 1, 1), "it is back");
    office.give("operator", Command::Resume { deployment: id("D-1"), reason: "one is left".into() });
    for _ in 0..3 {
        office.live(HOUR_MS);
    }
    let gate = office.deployment("D-1").phases[0].gate.clone().expect("judged");
    assert_eq!((gate.passed, gate.devices, gate.withdrawn, gate.left), (true, 1, 1, 1), "{}", gate.explanation);
    assert!(
        gate.explanation.contains("1 device was exchanged or flashed by hand and is in no rate"),
        "{}",
        gate.explanation
    );
    // The last one leaves before the signature.
    office.observe(1, &device(1, 2), observed("SN-1-2", 20));
    let manifest = office.deployment("D-1").plan.manifest;
    let Approval { role, user, printed_name, meaning, reason, .. } =
        approval(manifest, "user-regulatory", Role::Regulatory);
    let (deployment, at) = (id("D-1"), office.now);
    let validation =
        Validation { deployment, phase: 0, manifest, evidence: None, role, user, printed_name, meaning, reason, at };
    let sign = Command::Validate { deployment: id("D-1"), validation: signed(&validation, &[23]) };
    office.refuses("user-regulatory", sign.clone(), "gate-not-open", "no device runs the release any more");
    office.observe(1, &device(1, 2), observed("SN-1-2", 22));
    office.give("user-regulatory", sign);
}

#[test]
fn fld_4_a_failure_is_not_undone_by_an_exchange() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    let kind = EventKind::DeviceError { severity: Severity::Error, code: "E".into(), message: "leaks".into() };
    office.tell(1, vec![Reported { device: Some(device(1, 1)), at: office.now, kind }]);
    office.report(1, 1, "D-1", InstallState::Idle, None);
    let tally = office.deployment("D-1").phases[0].tally;
    assert_eq!((tally.failed, tally.left, tally.withdrawn), (1, 0, 0));
}

#[test]
fn fld_14_an_exchanged_device_says_why_at_the_vendor() {
    let mut office = Office::new();
    let wait = |office: &Office, d| {
        let sight = Sight { state: &office.state, presence: &office.presence, now: office.now };
        sight.of_device(&device(1, d)).map(|waiting| (waiting.code, waiting.detail))
    };
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Confirmed, Some(22));
    assert_eq!(wait(&office, 1), None);
    office.observe(1, &device(1, 1), observed("SN-1-1", 20));
    let (code, detail) = wait(&office, 1).expect("it is not done any more");
    assert!(code == WaitCode::ReleaseRefused && detail.contains("2.20.0"), "{detail}");
    let detail = "the device runs 2.20.0 in place of 2.22.0: it was exchanged or flashed by hand";
    for d in 1..=2 {
        ended(&mut office, (1, d), InstallState::Idle, detail);
        assert_eq!(wait(&office, d), Some((WaitCode::ReleaseRefused, detail.into())));
    }
    ended(&mut office, (2, 1), InstallState::Idle, "");
    let sight = Sight { state: &office.state, presence: &office.presence, now: office.now };
    assert_eq!(sight.of_device(&device(2, 1)), None, "it may begin");
}

#[test]
fn fld_4_a_recall_finds_what_is_observed_to_be_of_the_model() {
    let mut office = Office::new();
    let other = ObservedDevice { model: "Infuser-9".into(), ..observed("SN-77", 20) };
    office.observe(1, &device(1, 1), other);
    let criteria = Criteria { model: "Infuser-9".into(), versions: vec!["2.20.0".into()], ..Criteria::default() };
    let (action, reason) = (RecallAction::Quarantine, "overdoses".to_owned());
    office.give("regulatory", Command::OpenRecall { recall: id("R-9"), criteria, action, reason });
    let found = recall::outstanding(&office.state, &office.state.recalls[&id::<mdfm_shared::id::RecallId>("R-9")]);
    assert_eq!(found, [device(1, 1)]);
}

#[test]
fn fld_5_a_reconciled_device_joins_where_new_ones_do() {
    let mut office = Office::new();
    let Command::RegisterDevice(new) = new_device(1, 3) else { unreachable!("a device") };
    office.give("operator", Command::RegisterDevice(NewDevice { model: "Infuser-9".into(), ..new }));
    office.deploy("D-1", &all(22, r#""membership": "dynamic","#)).expect("approved");
    assert!(!office.deployment("D-1").devices.contains_key(&device(1, 3)));
    office.observe(1, &device(1, 3), observed("SN-1-3", 1));
    office.reconcile(&device(1, 3), Side::Observed).expect("a decision");
    assert!(office.deployment("D-1").devices.contains_key(&device(1, 3)), "as if it had been registered so");
}
