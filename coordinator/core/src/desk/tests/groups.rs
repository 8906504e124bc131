//! Groups of devices: lists and queries, what deployments make of them, and how little a change of one records.

use std::collections::BTreeSet;

use mdfm_shared::id::GroupId;

use super::super::super::fleet::{DeviceChange, HospitalChange};
use super::super::super::group::{Group, Members};
use super::*;

fn set(group: &str, members: Members) -> Command {
    let set = Group { name: format!("Group {group}"), members };
    Command::SetGroup { group: id(group), set, reason: "as agreed".into() }
}
fn listed(devices: &[(usize, usize)]) -> Members {
    Members::Listed(devices.iter().map(|(h, d)| device(*h, *d)).collect())
}
fn query(text: &str) -> Members {
    Members::Query(text.into())
}

impl Office {
    fn in_group(&self, group: &str) -> Vec<DeviceId> {
        let chosen = self.state.groups[&id::<GroupId>(group)].chosen();
        let is_in = |(id, held): &(&DeviceId, &super::super::super::fleet::Device)| chosen.holds(&self.state, id, held);
        self.state.devices.iter().filter(is_in).map(|(id, _)| id.clone()).collect()
    }
    fn meant(&self, deployment: &str) -> BTreeSet<DeviceId> {
        self.deployment(deployment).devices.keys().cloned().collect()
    }
}

#[test]
fn seed_api_a_group_is_a_list_or_a_query_and_a_deployment_reaches_its_devices_alone() {
    let mut office = Office::new();
    office.give("operator", set("ICU", listed(&[(1, 1), (3, 2)])));
    assert_eq!(office.in_group("ICU"), [device(1, 1), device(3, 2)]);
    office.give("operator", set("PILOT", query("hospitalCohort=pilot")));
    assert_eq!(office.in_group("PILOT"), [device(1, 1), device(1, 2)]);
    for (text, found) in [
        ("hospitalId=H-2,deviceId!=DEV-2-1", vec![device(2, 2)]),
        ("serialNumber=SN-4-*", vec![device(4, 1), device(4, 2)]),
        ("gatewayId=GW-3,currentFirmwareVersion=2.1.*", vec![device(3, 1), device(3, 2)]),
        ("udi=null", vec![]),
        ("modelNumber=CardiacMonitor-X200,runningSha256=null,deviceId<DEV-1-2", vec![device(1, 1)]),
    ] {
        office.give("operator", set("Q", query(text)));
        assert_eq!(office.in_group("Q"), found, "{text}");
    }

    office.deploy("D-1", &all(22, r#""targetGroup": "ICU","#)).expect("two devices");
    assert_eq!(office.meant("D-1"), BTreeSet::from([device(1, 1), device(3, 2)]));
    // What runs keeps its devices, whatever becomes of the group.
    office.give("operator", set("ICU", listed(&[(2, 1)])));
    assert_eq!(office.meant("D-1").len(), 2);
    office.deploy("D-2", &all(22, r#""targetGroup": "ICU","#)).expect("another device");
    office.give("operator", Command::RetireDevice { device: device(4, 1), reason: "worn out".into() });
    office.give("operator", set("OLD", listed(&[(4, 1)])));
    assert_eq!(office.in_group("OLD"), []);
    for (more, words) in [
        (r#""targetGroup": "NONE","#, "there is no group NONE"),
        (r#""targetGroup": "OLD","#, "no device of model"),
        (
            r#""targetGroup": "PILOT", "targetDevices": "all","#,
            "give one of targetDevices, targetGroup and targetRecall",
        ),
        (r#""targetGroup": "ICU", "membership": "dynamic","#, "requires a query group"),
    ] {
        let refusal = match serde_json::from_str::<DeploymentJson>(&all(22, more)).expect("JSON").parse(None) {
            Ok(request) => {
                let command = Command::CreateDeployment { deployment: id("D-9"), request: Box::new(request) };
                office.attempt("operator", command).expect_err(words)
            }
            Err(refusal) => refusal,
        };
        assert!(refusal.detail.contains(words), "{refusal}");
    }
}

#[test]
fn devices_that_come_to_be_in_a_group_by_query_join_and_others_do_not() {
    let mut office = Office::new();
    office.give("operator", set("PILOT", query("hospitalCohort=pilot")));
    let dynamic = r#""targetGroup": "PILOT", "membership": "dynamic","#;
    office.deploy("D-1", &all(22, dynamic)).expect("two devices");
    let remove = Command::RemoveGroup { group: id("PILOT"), reason: "not used".into() };
    office.refuses("operator", remove.clone(), "in-use", "D-1");
    office.give("operator", new_device(2, 3));
    assert_eq!(office.meant("D-1").len(), 2, "registered elsewhere");
    office.give("operator", new_device(1, 3));
    let change = DeviceChange { hospital: Some(id("H-1")), ..DeviceChange::default() };
    office.give("operator", Command::ChangeDevice { device: device(2, 3), change, reason: "moved".into() });
    assert_eq!(office.meant("D-1"), [device(1, 1), device(1, 2), device(1, 3), device(2, 3)].into());
    // A hospital's cohort is looked at when a device comes, not when the hospital's changes.
    let change = HospitalChange { cohort: Some(Some("pilot".into())), ..HospitalChange::default() };
    let join = Command::ChangeHospital { hospital: id("H-4"), change, reason: "pilot from now on".into() };
    office.give("operator", join.clone());
    office.refuses("operator", join, "no-change", "already");
    assert_eq!((office.meant("D-1").len(), office.in_group("PILOT").len()), (4, 6));
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "enough".into() });
    office.pass(HOUR_MS);
    office.give("operator", remove.clone());
    office.refuses("operator", remove, "not-found", "PILOT");
}

#[test]
fn att_15_groups_that_make_no_sense_are_refused_and_long_lists_fit_the_log() {
    let mut office = Office::new();
    for (members, words) in [
        (listed(&[(9, 9)]), "there is no device DEV-9-9"),
        (query(""), "query: must be a condition"),
        (query("ward=3"), "there is no field \"ward\" to ask for; there are deviceId"),
        (query("presence=attached"), "there is no field"),
        (query("deviceId"), "query: filter: at character 1: \"deviceId\" is not a condition"),
        (query(&format!("deviceId={}", "x".repeat(2_000))), "at most 2000 bytes"),
    ] {
        let refusal = office.attempt("operator", set("G", members)).expect_err(words);
        assert!(refusal.detail.contains(words), "{refusal}");
    }
    let long = |n: usize| format!("{}-{n}", "D".repeat(55));
    for n in 0..700 {
        let Command::RegisterDevice(new) = new_device(1, n) else { unreachable!("a device") };
        office.give(
            "operator",
            Command::RegisterDevice(NewDevice { device: id(&long(n)), serial: long(n), udi: None, ..new }),
        );
    }
    let many = |from: usize| Members::Listed((from..700).map(|n| id(&long(n))).collect());
    let records = |office: &mut Office, members| {
        let before = office.entries.len();
        office.give("operator", set("G", members));
        office.entries.len() - before
    };
    assert_eq!(records(&mut office, many(0)), 1 + 2, "one record does not hold them");
    assert_eq!(office.in_group("G").len(), 700);
    assert_eq!(records(&mut office, many(0)), 1, "nobody comes or goes");
    assert_eq!(records(&mut office, many(1)), 1 + 1, "one goes");
    assert_eq!(office.in_group("G").len(), 699);
    assert_eq!(records(&mut office, query("hospitalId=H-2")), 1 + 2, "it is another kind of group, and its list goes");
    assert_eq!(office.in_group("G"), [device(2, 1), device(2, 2)]);
    assert_eq!(records(&mut office, listed(&[])), 1);
    assert_eq!(office.in_group("G"), []);
    assert!(office.entries.iter().all(|entry| entry.len() <= LOG_ENTRY_BYTES_MAX));
}
