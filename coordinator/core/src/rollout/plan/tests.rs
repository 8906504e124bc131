//! Who is reached when.

use mdfm_shared::trust::Role;
use proptest::prelude::*;

use super::*;

fn phase(percentage: f64, named: &[&str], cohort: &str) -> PhaseSpec {
    PhaseSpec {
        name: "p".into(),
        cohort: cohort.into(),
        percentage,
        target_hospitals: named.iter().map(|h| h.parse().expect("good id")).collect(),
        reach: Reach::Hospitals,
        max_error_rate_percent: 1.0,
        max_errors: None,
        monitoring_ms: 0,
        min_reporting_percent: 100.0,
        min_device_hours: 0.0,
        validation: Some(Role::Clinical),
    }
}
fn canaries(reach: Reach) -> PhaseSpec {
    PhaseSpec { reach, ..phase(100.0, &[], "all") }
}
fn hospitals(n: usize) -> BTreeMap<HospitalId, Option<String>> {
    (0..n).map(|i| (format!("H-{i:03}").parse().expect("good id"), (i % 5 == 0).then(|| "pilot".to_owned()))).collect()
}
fn fleet(n: usize, each: usize) -> BTreeMap<HospitalId, Vec<DeviceId>> {
    hospitals(n)
        .into_keys()
        .map(|h| (h.clone(), (0..each).map(|d| format!("{h}-D{d}").parse().expect("good id")).collect()))
        .collect()
}
const SALT: Digest = Digest([5; 32]);

/// Hospitals by phase.
fn plan(phases: &[PhaseSpec], hospitals: &BTreeMap<HospitalId, Option<String>>) -> Vec<BTreeSet<HospitalId>> {
    let mut plan = vec![BTreeSet::new(); phases.len()];
    for (hospital, phase) in assign(&SALT, phases, hospitals) {
        plan[phase].insert(hospital);
    }
    plan
}

#[test]
fn seed_strat_percentages_count_hospitals() {
    let phases = [phase(10.0, &[], "pilot"), phase(50.0, &[], "regional"), phase(100.0, &[], "all")];
    let sizes = |n| plan(&phases, &hospitals(n)).iter().map(BTreeSet::len).collect::<Vec<_>>();
    assert_eq!(sizes(10), [1, 4, 5]);
    assert_eq!(sizes(30), [3, 12, 15]);
    assert_eq!(sizes(1), [1, 0, 0]);
    let pilot = &plan(&phases, &hospitals(10))[0];
    assert!(["H-000", "H-005"].iter().any(|h| pilot.contains(&h.parse().expect("good id"))), "cohort first");
}

#[test]
fn seed_strat_named_hospitals_come_first_even_beyond_the_percentage() {
    let phases = [phase(10.0, &["H-003", "H-004"], "pilot"), phase(100.0, &["H-000"], "all")];
    let plan = plan(&phases, &hospitals(10));
    assert_eq!(plan[0], ["H-003", "H-004"].map(|h| h.parse().expect("good id")).into());
    assert_eq!(plan[1].len(), 8);
}

/// Two named canaries in one hospital and one more in each other; the rest of every hospital stays together.
#[test]
fn seed_strat_canaries_come_out_of_their_hospitals_and_the_rest_stays_together() {
    let named = ["H-001-D0", "H-001-D2"].map(|d| d.parse().expect("good id")).into();
    let phases =
        [canaries(Reach::Canaries { named, per_hospital: 1 }), phase(50.0, &[], "x"), phase(100.0, &[], "all")];
    let fleet = fleet(4, 3);
    let hospital_phase = assign(&SALT, &phases, &hospitals(4));
    let members = place(&SALT, &phases, &fleet, &hospital_phase);
    let canaries: Vec<usize> = members.iter().filter(|m| m.phase == 0).map(|m| m.devices.len()).collect();
    assert_eq!(canaries.iter().sum::<usize>(), 5, "{members:?}");
    for hospital in fleet.keys() {
        let whole: BTreeSet<u32> =
            members.iter().filter(|m| m.hospital == *hospital && m.phase > 0).map(|m| m.phase).collect();
        assert_eq!(whole.len(), 1, "{hospital} is in one phase but for its canaries");
    }
}

/// A canary that somebody named is one, also in a hospital that no later phase reaches.
#[test]
fn canaries_beyond_the_last_percentage_still_go_first() {
    let fleet = fleet(4, 2);
    let phases = |named| [canaries(Reach::Canaries { named, per_hospital: 0 }), phase(25.0, &[], "x")];
    let named: BTreeSet<DeviceId> = fleet.values().map(|d| d[0].clone()).collect();
    let members = place(&SALT, &phases(named.clone()), &fleet, &assign(&SALT, &phases(named), &hospitals(4)));
    assert_eq!(members.iter().filter(|m| m.phase == 0).map(|m| m.devices.len()).sum::<usize>(), 4);
    assert_eq!(members.iter().filter(|m| m.phase == 1).map(|m| m.devices.len()).sum::<usize>(), 1);
}

#[test]
fn canaries_of_a_phase_are_of_its_own_hospitals() {
    let phases = [
        canaries(Reach::CanariesOfNext { per_hospital: 2 }),
        phase(50.0, &[], "x"),
        canaries(Reach::CanariesOfNext { per_hospital: 9 }),
        phase(100.0, &[], "all"),
    ];
    let fleet = fleet(4, 3);
    let members = place(&SALT, &phases, &fleet, &assign(&SALT, &phases, &hospitals(4)));
    let of = |phase: u32| -> Vec<(HospitalId, usize)> {
        members.iter().filter(|m| m.phase == phase).map(|m| (m.hospital.clone(), m.devices.len())).collect()
    };
    assert_eq!(of(0).iter().map(|(_, n)| *n).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(of(1).iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(
        of(0).into_iter().map(|(h, _)| h).collect::<Vec<_>>(),
        of(1).into_iter().map(|(h, _)| h).collect::<Vec<_>>()
    );
    // More canaries than devices: all of them, and the phase itself is empty.
    assert_eq!((of(2).len(), of(3).len()), (2, 0));
}

#[test]
fn a_plan_of_any_size_fits_the_entries_of_the_log() {
    let long = |c: &str, i: usize| format!("{}{i:05}", c.repeat(59));
    let members: Vec<Members> = (0..700)
        .map(|i| Members {
            hospital: long("H", i).parse().expect("good id"),
            phase: 1,
            devices: (0..if i == 0 { 2_000 } else { 2 })
                .map(|d| long("D", i * 3 + d).parse().expect("good id"))
                .collect(),
        })
        .collect();
    let all: usize = members.iter().map(|m| m.devices.len()).sum();
    let chunks = chunks(members);
    assert!(chunks.len() > 2);
    assert_eq!(chunks.iter().flatten().map(|m| m.devices.len()).sum::<usize>(), all);
    for chunk in chunks {
        let bytes = serde_json::to_vec(&Change::MembersJoined { members: chunk }).expect("encodes").len();
        assert!(bytes < 56_000, "{bytes}");
    }
}

proptest! {
    #[test]
    fn every_device_is_in_exactly_one_phase_and_every_hospital_in_one(
        n in 1_usize..60, each in 1_usize..5, a in 1_u32..50, b in 51_u32..100, canary in 0_u32..3,
    ) {
        let phases = [
            canaries(Reach::CanariesOfNext { per_hospital: canary }),
            phase(f64::from(a), &[], "pilot"),
            phase(f64::from(b), &[], "x"),
            phase(100.0, &[], "all"),
        ];
        let all = hospitals(n);
        let hospital_phase = assign(&SALT, &phases, &all);
        prop_assert_eq!(hospital_phase.len(), n);
        prop_assert_eq!(hospital_phase.values().filter(|p| **p == 1).count(), (n * a as usize).div_ceil(100));
        let members = place(&SALT, &phases, &fleet(n, each), &hospital_phase);
        let devices: Vec<&DeviceId> = members.iter().flat_map(|m| &m.devices).collect();
        prop_assert_eq!(devices.len(), n * each);
        prop_assert_eq!(devices.into_iter().collect::<BTreeSet<_>>().len(), n * each);
        prop_assert!(members.iter().all(|m| m.phase == 0 || hospital_phase[&m.hospital] == m.phase as usize));
        prop_assert_eq!(place(&SALT, &phases, &fleet(n, each), &assign(&SALT, &phases, &all)), members);
    }
}
