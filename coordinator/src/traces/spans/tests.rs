//! What the log gives as spans, and that it always gives the same.

use mdfm_shared::directive::{Action, DeviceDirective};
use mdfm_shared::fixture::{NOW, signed};
use mdfm_shared::record::{Actor, RequestMark, document_text};
use mdfm_shared::sign::{Document, Signed};

use super::*;

const REQUEST: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const MANIFEST: Digest = Digest([7; 32]);

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a good id")
}

fn record(kind: ActorKind, action: &str, object: &str, outcome: Outcome) -> AuditRecord {
    AuditRecord::new(NOW, &Actor { kind, id: "someone".into(), roles: vec![] }, action, object, outcome)
}
fn with_request(record: AuditRecord, trace: &str) -> AuditRecord {
    AuditRecord { request: Some(RequestMark { trace: Some(trace.into()), ..RequestMark::default() }), ..record }
}
fn with_document<T: Document>(record: AuditRecord, document: &Signed<T>) -> AuditRecord {
    AuditRecord { document: Some(document_text(document)), ..record }
}

fn created(deployment: &str) -> AuditRecord {
    let object = format!("deployment/{deployment}");
    with_request(record(ActorKind::User, "deployment.create", &object, Outcome::Accepted), REQUEST)
}
fn directive(serial: u64, desired: &[(&str, &str, Action)]) -> AuditRecord {
    let entry = |(device, deployment, action): &(&str, &str, Action)| DeviceDirective {
        device: id(device),
        deployment: id(deployment),
        phase: 0,
        action: action.clone(),
        security_floor: 0,
    };
    let devices = desired.iter().map(entry).collect();
    let document = Directive { gateway: id("GW-1"), serial, issued_at: NOW, expires_at: NOW.plus_ms(serial), devices };
    let record = record(ActorKind::System, "directive.issue", "gateway/GW-1", Outcome::Accepted);
    with_document(record, &signed(&document, &[12]))
}
fn telemetry(states: &[(&str, &str, InstallState, u64)]) -> AuditRecord {
    let event = |(device, deployment, state, ms): &(&str, &str, InstallState, u64)| Event {
        device: Some(id(device)),
        at: NOW.plus_ms(*ms),
        kind: EventKind::StateChanged {
            state: *state,
            manifest: MANIFEST,
            deployment: id(deployment),
            running: None,
            detail: format!("in {state:?}"),
        },
    };
    let events = states.iter().map(event).collect();
    let batch = TelemetryBatch { gateway: id("GW-1"), epoch: 1, sequence: 1, previous: Digest([0; 32]), events };
    let record = record(ActorKind::Gateway, "telemetry.commit", "gateway/GW-1", Outcome::Accepted);
    with_document(record, &signed(&batch, &[51]))
}
fn install() -> Action {
    Action::Install { manifest: MANIFEST }
}

/// A log of entries, read from one on.
fn read(follower: &mut Follower, log: &[AuditRecord], from: usize) -> Vec<Span> {
    let find = |id: &DeploymentId| {
        let object = format!("deployment/{id}");
        let made = |r: &&AuditRecord| r.action == "deployment.create" && r.outcome == Outcome::Accepted;
        log.iter().filter(made).find(|r| r.object == object).cloned()
    };
    log.iter().enumerate().skip(from).flat_map(|(i, r)| follower.take(i as u64, r, &find)).collect()
}

fn history() -> Vec<AuditRecord> {
    use InstallState::{Confirmed, Fetching, Probation, RolledBack, RollingBack};
    vec![
        created("D-1"),
        directive(1, &[("DEV-1", "D-1", install()), ("DEV-2", "D-1", install())]),
        telemetry(&[("DEV-1", "D-1", Fetching, 10), ("DEV-2", "D-1", Fetching, 20)]),
        telemetry(&[("DEV-1", "D-1", Probation, 50), ("DEV-1", "D-1", Confirmed, 90)]),
        // The same again, as its life ends.
        directive(2, &[("DEV-1", "D-1", install()), ("DEV-2", "D-1", install())]),
        directive(3, &[("DEV-1", "D-1", install()), ("DEV-2", "D-1", Action::Rollback { manifest: MANIFEST })]),
        telemetry(&[("DEV-2", "D-1", RollingBack, 100), ("DEV-2", "D-1", RolledBack, 130)]),
        record(ActorKind::System, "deployment.complete", "deployment/D-1", Outcome::Accepted),
    ]
}

#[test]
fn seed_rep_a_deployment_is_one_trace_from_the_request_through_each_directive_to_every_device() {
    let log = history();
    let spans = read(&mut Follower::new(100), &log, 0);
    let request = Context::parse(REQUEST).expect("good");
    assert!(spans.iter().all(|s| s.trace == request.trace));
    let parent_of = |span: &Span| spans.iter().find(|s| Some(s.id) == span.parent).map(|s| s.name.as_str());
    let ms = |at: UtcMillis| at.since_ms(NOW);
    let tree: Vec<_> = spans.iter().map(|s| (s.name.as_str(), parent_of(s), ms(s.start), ms(s.end))).collect();
    let (root, told) = (Some("deployment.create"), Some("directive.issue"));
    assert_eq!(
        tree,
        [
            ("deployment.create", None, 0, 0),
            ("directive.issue", root, 0, 0),
            ("fetching", told, 10, 50),
            ("probation", told, 50, 90),
            ("confirmed", told, 90, 90),
            ("directive.issue", root, 0, 0),
            ("fetching", told, 20, 100),
            ("rollingBack", told, 100, 130),
            ("rolledBack", told, 130, 130),
            ("deployment.complete", root, 0, 0),
        ]
    );
    assert_eq!(spans[0].parent, Some(request.span), "it follows from the request");
    assert_eq!(spans[8].parent, Some(spans[5].id), "and the way back from the directive that ordered it");
    assert_eq!(spans[8].error.as_deref(), Some("in RolledBack"));
    assert_eq!((&spans[4].error, &spans[4].doer), (&None, &Doer::Agent(id("GW-1"))));
    assert!(spans[4].attributes.contains(&("mdfm.device.id", "DEV-1".into())));
    let ids: std::collections::BTreeSet<SpanId> = spans.iter().map(|s| s.id).collect();
    assert_eq!(ids.len(), spans.len());
}

#[test]
fn entries_give_the_same_spans_again_and_after_a_restart_the_same_trace() {
    let log = history();
    let all = read(&mut Follower::new(100), &log, 0);
    assert_eq!(read(&mut Follower::new(100), &log, 0), all);
    // A coordinator that starts in the middle knows the trace from the record that began it.
    let rest = read(&mut Follower::new(100), &log, 6);
    let same: Vec<SpanId> = rest.iter().map(|s| s.id).collect();
    assert_eq!(same, all[7..].iter().map(|s| s.id).collect::<Vec<_>>(), "only what it did not see begin is missing");
    assert!(rest.iter().all(|s| s.trace == all[0].trace));
    assert_eq!(rest[0].parent, Some(all[0].id), "the directive was before its time");
}

#[test]
fn other_requests_have_their_records_and_link_to_the_deployment_that_they_change() {
    let other = REQUEST.replace("4bf9", "0000").replace("00f0", "11f0");
    let pause = |outcome| {
        let record = record(ActorKind::User, "deployment.pause", "deployment/D-1", outcome);
        with_request(AuditRecord { reason: Some("looks odd".into()), ..record }, &other)
    };
    let approve = record(ActorKind::User, "firmware.approve", "firmware/FW-1", Outcome::Accepted);
    let log = [
        created("D-1"),
        pause(Outcome::Accepted),
        pause(Outcome::Refused),
        with_request(approve.clone(), &other),
        approve,
        with_request(record(ActorKind::User, "deployment.create", "deployment/D-9", Outcome::Refused), &other),
        record(ActorKind::System, "deployment.pause", "deployment/D-9", Outcome::Refused),
    ];
    let spans = read(&mut Follower::new(100), &log, 0);
    let (mine, theirs) = (Context::parse(REQUEST).expect("good"), Context::parse(&other).expect("good"));
    let found: Vec<_> = spans.iter().map(|s| (s.name.as_str(), s.trace == mine.trace, s.link.is_some())).collect();
    assert_eq!(
        found,
        [
            ("deployment.create", true, false),
            ("deployment.pause", true, true),
            ("deployment.pause", true, true),
            ("firmware.approve", false, false),
            ("deployment.create", false, false),
        ]
    );
    assert_eq!((spans[1].link, spans[1].parent), (Some(theirs), Some(spans[0].id)));
    assert_eq!((&spans[1].error, spans[2].error.as_deref()), (&None, Some("looks odd")));
    assert_eq!((spans[3].trace, spans[3].parent), (theirs.trace, Some(theirs.span)));
}

#[test]
fn a_share_of_the_devices_gives_spans_always_the_same_one() {
    let names: Vec<String> = (0..1_000).map(|n| format!("DEV-{n}")).collect();
    let sampled = |percent: u8| names.iter().filter(|n| Follower::new(percent).samples(&id(n))).count();
    assert_eq!((sampled(0), sampled(100)), (0, 1_000));
    assert!((150..250).contains(&sampled(20)), "{}", sampled(20));
    let states = [("DEV-1", "D-1", InstallState::Fetching, 10), ("DEV-1", "D-1", InstallState::Failed, 20)];
    let log = [created("D-1"), telemetry(&states)];
    assert_eq!(read(&mut Follower::new(0), &log, 0).len(), 1);
    assert_eq!(read(&mut Follower::new(100), &log, 0).len(), 3);
}
