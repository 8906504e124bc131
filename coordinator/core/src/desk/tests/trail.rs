//! Every command leaves its record in the audit trail.

use super::*;

#[test]
fn p11_10e_every_command_leaves_its_record_and_nothing_changes_without_one() {
    let (_, entries) = example();
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let because = |reason: &str| reason.to_owned();
    let (deployment, hospital) = (id::<DeploymentId>("D-1"), id::<HospitalId>("H-1"));
    office.give("clinical", Command::Pause { deployment: deployment.clone(), reason: because("a doubt") });
    office.give("operator", Command::Resume { deployment: deployment.clone(), reason: because("no doubt") });
    let consent = |given| Command::Consent {
        deployment: deployment.clone(),
        hospital: hospital.clone(),
        given,
        reason: because("ward"),
    };
    let _ = office.attempt("staff", consent(true));
    let scope = Scope::Device { device: device(4, 1) };
    let back = Command::Rollback {
        deployment: deployment.clone(),
        scope,
        cause: OrderedBack::Operational,
        reason: because("a doubt"),
    };
    office.give("clinical", back);
    office.give("operator", Command::Abort { deployment, reason: because("enough") });
    let policy = Command::SetHospitalPolicy { hospital, windows: Vec::new(), consent_required: true };
    office.give("operator", policy);
    office.give("operator", Command::RevokeGateway { gateway: id("GW-4"), reason: because("stolen") });
    let denied = Refusal::forbidden("permission", "no");
    office.refuses(
        "eve",
        Command::Denied { action: "audit.search", object: "log".into(), refusal: denied },
        "permission",
        "no",
    );
    let hold = Command::PlaceHold { hold: "LH-1".into(), object: "*".into(), reason: because("claim") };
    office.give("regulatory", hold);
    office.give("regulatory", Command::ReleaseHold { hold: "LH-1".into(), reason: because("settled") });
    let all_entries = entries.iter().chain(&office.entries);
    let seen: BTreeSet<String> = all_entries.map(|e| AuditRecord::from_bytes(e).expect("own record").action).collect();
    for action in [
        "audit.search",
        "deployment.abort",
        "deployment.create",
        "deployment.pause",
        "deployment.resume",
        "deployment.rollback",
        "device.register",
        "directive.issue",
        "firmware.approve",
        "firmware.create",
        "firmware.image",
        "firmware.manifest",
        "gateway.enrol",
        "gateway.register",
        "gateway.revoke",
        "gateway.token",
        "hold.place",
        "hold.release",
        "hospital.policy",
        "hospital.register",
        "recall.open",
        "session.open",
        "telemetry.commit",
        "trust.root.add",
        "trust.roster.add",
        "user.create",
    ] {
        assert!(seen.contains(action), "{action} was not tried: {seen:?}");
    }
}
