//! A small installation with a history, for the tests of whatever reads one.

use mdfm_shared::telemetry::Severity;

use super::*;

/// The state and the records of four hospitals: a deployment in which one device fails and goes back, a recall, a refusal.
pub(crate) fn example() -> (State, Vec<Vec<u8>>) {
    let mut office = Office::new();
    office.give(
        "admin",
        Command::CreateUser {
            user: id("zoe"),
            printed_name: "Zoë Ångström-Ωμέγα".into(),
            roles: vec![AccessRole::Auditor],
            hospital: None,
            credential: Digest([1; 32]),
        },
    );
    let token_sha256 = Digest([3; 32]);
    let expires_at = office.now.plus_ms(HOUR_MS);
    office.give("zoe", Command::OpenSession { user: id("zoe"), token_sha256, expires_at, proof: None, issuer: None });
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.refuses("operator", create("D-1", &all(22, "")), "exists", "D-1");
    office.live(HOUR_MS);
    office.confirm(1..=3, "D-1", 22);
    office.report(4, 1, "D-1", InstallState::Confirmed, Some(22));
    let error = |office: &Office, h: usize, d: usize, message: &str| Reported {
        device: Some(device(h, d)),
        at: office.now,
        kind: EventKind::DeviceError { severity: Severity::Error, code: "E-7".into(), message: message.into() },
    };
    let batch = vec![error(&office, 4, 2, "=HYPERLINK(1)")];
    office.tell(4, batch);
    office.report(4, 2, "D-1", InstallState::RollingBack, None);
    office.live(1_500);
    office.report(4, 2, "D-1", InstallState::RolledBack, Some(21));
    (0..4).for_each(|_| office.live(HOUR_MS));
    let batch = vec![error(&office, 1, 1, "late and harmless")];
    office.tell(1, batch);
    let criteria = Criteria {
        model: MODEL.into(),
        versions: vec!["2.22.0".into()],
        releases: None,
        component: None,
        part: None,
        version_range: None,
        udi_prefix: None,
    };
    let reason = "pressure drifts | after a week".to_owned();
    office.give(
        "regulatory",
        Command::OpenRecall { recall: id("R-1"), criteria, action: RecallAction::Quarantine, reason },
    );
    office.pass(DAY_MS);
    (office.state, office.entries)
}
