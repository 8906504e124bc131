//! Incidents, devices that are corrected or moved, releases that are taken back.

use super::super::super::fleet::DeviceChange;
use super::super::super::incident::{IncidentRequest, NewIncident, Outcome as Harm};
use super::*;

pub(super) fn open(incident: &str, outcome: Harm, devices: &[DeviceId]) -> Command {
    let reported = NewIncident {
        title: "Pump stopped".into(),
        description: "It stopped by itself at 03:12.".into(),
        outcome,
        devices: devices.iter().cloned().collect(),
        deployment: None,
    };
    Command::Incident { incident: id(incident), request: IncidentRequest::Open(reported) }
}

fn with(incident: &str, request: IncidentRequest) -> Command {
    Command::Incident { incident: id(incident), request }
}

fn decide(incident: &str, reportable: bool, urgent: bool) -> Command {
    with(incident, IncidentRequest::Decide { reportable, urgent, reason: "reviewed".into() })
}

fn due(office: &Office, incident: &str) -> Option<String> {
    office.state.incidents[&id(incident)].due_at().map(|at| at.to_string())
}

#[test]
fn sec_1_one_nurse_does_not_bury_the_inbox_of_incidents() {
    let mut office = Office::new();
    for name in ["mallory", "nina"] {
        let credential = Digest([7; 32]);
        let hospital = Some(id("H-1"));
        let roles = vec![AccessRole::HospitalStaff];
        office.give(
            "admin",
            Command::CreateUser { user: id(name), printed_name: name.into(), roles, hospital, credential },
        );
    }
    for n in 0..20 {
        office.give("mallory", open(&format!("I-{n}"), Harm::NoHarm, &[device(1, 1)]));
    }
    office.refuses("mallory", open("I-20", Harm::NoHarm, &[device(1, 1)]), "incident-budget", "in an hour");
    office.give("nina", open("I-21", Harm::Death, &[device(1, 1)]));
    for n in 0..30 {
        office.give("operator", open(&format!("V-{n}"), Harm::NoHarm, &[device(1, 1)]));
    }
    office.pass(HOUR_MS);
    office.give("mallory", open("I-22", Harm::NoHarm, &[device(1, 1)]));
}

/// A stolen token of a nurse neither keeps her from reporting, nor fills what others may add to a report.
#[test]
fn sec_4_a_token_leaves_its_owner_incidents_and_notes() {
    let mut office = Office::new();
    let (credential, hospital) = (Digest([7; 32]), Some(id("H-1")));
    let roles = vec![AccessRole::HospitalStaff];
    let nurse = Command::CreateUser { user: id("nina"), printed_name: "Nina".into(), roles, hospital, credential };
    office.give("admin", nurse);
    for n in 0..10 {
        office.give("nina/token/t", open(&format!("I-{n}"), Harm::NoHarm, &[device(1, 1)]));
    }
    office.refuses("nina/token/u", open("I-10", Harm::NoHarm, &[device(1, 1)]), "incident-budget", "10 incidents");
    for n in 10..20 {
        office.give("nina", open(&format!("I-{n}"), Harm::Death, &[device(1, 1)]));
    }
    office.refuses("nina", open("I-20", Harm::NoHarm, &[device(1, 1)]), "incident-budget", "20 incidents");
    let note = || with("I-1", IncidentRequest::Note("again".into()));
    (0..100).for_each(|_| office.give("nina/token/t", note()));
    office.refuses("nina/token/t", note(), "too-many-notes", "at most 100");
    office.give("nina", note());
}

#[test]
fn fda_803_an_incident_owes_a_report_until_a_person_decides_and_the_report_is_made() {
    let mut office = Office::new();
    office.give("nurse", open("I-1", Harm::SeriousInjury, &[device(1, 1)]));
    let in_thirty_days = office.now.plus_ms(30 * DAY_MS).to_string();
    assert_eq!(due(&office, "I-1"), Some(in_thirty_days.clone()), "nobody has decided, so it is owed");
    let close = || with("I-1", IncidentRequest::Close { reason: "done".into() });
    office.refuses("regulatory", close(), "wrong-step", "owes a decision or a report");
    office.refuses(
        "regulatory",
        with("I-1", IncidentRequest::Report { reference: "MDR-1".into() }),
        "wrong-step",
        "nobody has decided",
    );
    office.give("regulatory", decide("I-1", true, true));
    let urgent = due(&office, "I-1").expect("is owed");
    assert!(urgent < in_thirty_days, "five working days: {urgent}");
    office.give("clinical", with("I-1", IncidentRequest::Note("log read out".into())));
    office.give("regulatory", with("I-1", IncidentRequest::Report { reference: "MDR-1".into() }));
    assert_eq!(due(&office, "I-1"), None);
    office.give("regulatory", close());
    office.refuses("clinical", with("I-1", IncidentRequest::Note("more".into())), "incident-closed", "is closed");

    office.give("nurse", open("I-2", Harm::Death, &[device(1, 1)]));
    office.refuses("regulatory", decide("I-2", false, false), "invalid-field", "always reported");
    office.give("nurse", open("I-3", Harm::NoHarm, &[device(1, 1), device(2, 1)]));
    assert_eq!(due(&office, "I-3"), None);
    assert_eq!(office.state.incidents[&id("I-3")].hospitals.len(), 2);
    office.refuses("nurse", open("I-3", Harm::NoHarm, &[device(1, 1)]), "exists", "never used twice");
    office.refuses("nurse", open("I-4", Harm::NoHarm, &[]), "invalid-field", "deviceIds");
}

#[test]
fn p11_10g_staff_report_and_see_what_happens_at_their_own_hospital_alone() {
    let mut office = Office::new();
    let nurse = Command::CreateUser {
        user: id("nurse-2"),
        printed_name: "Nurse".into(),
        roles: vec![AccessRole::HospitalStaff],
        hospital: Some(id("H-2")),
        credential: Digest([1; 32]),
    };
    office.give("admin", nurse);
    office.refuses("nurse-2", open("I-1", Harm::NoHarm, &[device(1, 1)]), "not-found", "no device");
    office.give("operator", open("I-1", Harm::NoHarm, &[device(1, 1)]));
    office.refuses("nurse-2", with("I-1", IncidentRequest::Note("hm".into())), "not-found", "no incident");
    office.give("nurse-2", open("I-2", Harm::Malfunction, &[device(2, 1)]));
    office.give("nurse-2", with("I-2", IncidentRequest::Note("again".into())));
    office.give("operator", open("I-3", Harm::NoHarm, &[device(1, 1), device(2, 1)]));
    office.refuses("nurse-2", with("I-3", IncidentRequest::Note("ours too".into())), "not-found", "no incident");
}

fn change(h: usize, d: usize, change: DeviceChange) -> Command {
    Command::ChangeDevice { device: device(h, d), change, reason: "inventory".into() }
}

#[test]
fn a_device_is_corrected_at_any_time_and_moved_while_no_deployment_counts_it() {
    let mut office = Office::new();
    let udi = || DeviceChange { udi: Some(Some("(01)09506000134352".into())), ..DeviceChange::default() };
    let to = |h: &str| DeviceChange { hospital: Some(id(h)), ..DeviceChange::default() };
    office.give("operator", change(1, 1, udi()));
    assert_eq!(office.state.devices[&device(1, 1)].udi.as_deref(), Some("(01)09506000134352"));
    office.give("operator", change(1, 1, to("H-2")));
    assert_eq!(office.state.gateway_of(&device(1, 1)), Some(&id("GW-2")), "it is reached through the new hospital");
    assert!(!office.state.devices_of(&id("GW-1")).contains(&device(1, 1)));
    let wrong = DeviceChange { gateway: Some(Some(id("GW-1"))), ..DeviceChange::default() };
    office.refuses("operator", change(1, 1, wrong), "invalid-field", "stands in another hospital");
    office.refuses("operator", change(1, 1, to("H-9")), "not-found", "H-9");
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.refuses("operator", change(1, 1, to("H-1")), "device-in-deployment", "move it afterwards");
    let cleared = DeviceChange { udi: Some(None), serial: Some("SN-NEW".into()), ..DeviceChange::default() };
    office.give("operator", change(1, 1, cleared));
    assert_eq!(office.state.devices[&device(1, 1)].serial, "SN-NEW");
    assert_eq!(office.state.devices[&device(1, 1)].udi, None);
}

#[test]
fn a_release_that_is_taken_back_is_deployed_no_more() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let withdraw = || Command::WithdrawFirmware { firmware: id("FW-22"), reason: "wrong calibration".into() };
    office.refuses("regulatory", withdraw(), "firmware-in-deployment", "abort it or roll it back first");
    office.live(HOUR_MS);
    office.confirm(1..=4, "D-1", 22);
    office.give("clinical", Command::Abort { deployment: id("D-1"), reason: "it is in doubt".into() });
    office.live(HOUR_MS);
    assert!(!office.deployment("D-1").is_active(), "{:?}", office.deployment("D-1").status);
    office.give("regulatory", withdraw());
    office.refuses("regulatory", withdraw(), "wrong-step", "withdrawn already");
    office.refuses("operator", create("D-2", &all(22, "")), "not-approved", "withdrawn");
}
