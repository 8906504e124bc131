//! The audit trail of every command that any of these tests gives: who, what, when, where, why, before and after, and no change of
//! the state without a record.

use std::collections::BTreeSet;

use super::*;

/// What is looked at around one command.
pub(super) struct Before {
    state: serde_json::Value,
    view: Option<serde_json::Value>,
}

fn value(state: &State) -> serde_json::Value {
    let mut value = serde_json::to_value(state).expect("state encodes");
    value["log_size"] = serde_json::Value::Null;
    value
}

impl Before {
    pub(super) fn of(state: &State, command: &Command) -> Self {
        Self { state: value(state), view: state.view(&command.describe().1) }
    }

    /// Asserts the trail of a command that was taken at `now`.
    pub(super) fn check(&self, state: &State, now: UtcMillis, wish: &Wish, round: &Round) {
        let (action, object) = wish.command.describe();
        let records: Vec<AuditRecord> =
            round.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record")).collect();
        assert!(value(state) == self.state || !records.is_empty(), "{action} changed the state without a record");
        for record in &records {
            assert_eq!((record.at_ms, record.at.as_str()), (now.0, now.to_string().as_str()), "{action}: when");
            assert_eq!(record.component, "mdfm-coordinator", "{action}: where");
            assert!(!record.actor.id.is_empty() && !record.action.is_empty() && !record.object.is_empty());
        }
        let own = |outcome| {
            records
                .iter()
                .filter(move |r| r.outcome == outcome && r.action == action && r.actor == wish.actor)
                .collect::<Vec<_>>()
        };
        match round.answers.first().expect("one answer") {
            Ok(()) => {
                let [record] = own(Outcome::Accepted)[..] else {
                    panic!("{action} must leave exactly one record of its own")
                };
                // A document says itself which version it is.
                assert!(record.object.starts_with(&object), "{action}: to what: {}", record.object);
                assert!(record.event.is_some(), "{action}: the change itself");
                let shows = record.before.is_some() || record.after.is_some();
                assert!(!shows || record.before == self.view, "{action}: before");
                assert!(
                    shows || records.len() > 1 || self.view == state.view(&object),
                    "{action}: before and after are missing"
                );
            }
            Err(refusal) if [telemetry::ALREADY_COMMITTED, telemetry::GAP].contains(&refusal.code) => {}
            Err(refusal) => {
                let [record] = own(Outcome::Refused)[..] else {
                    panic!("{action} refused must leave exactly one record")
                };
                assert!(record.reason.as_ref().is_some_and(|r| r.starts_with(refusal.code)), "{action}: why");
                assert_eq!((&record.before, &record.after, &record.event), (&None, &None, &None));
            }
        }
    }
}

#[test]
fn p11_10e_every_command_leaves_its_record_and_nothing_changes_without_one() {
    let (_, entries) = example::example();
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
        reason: because("wish"),
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
