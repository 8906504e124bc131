//! What gateways may see of releases, and what the records that they get hold.

use super::super::super::directive;
use super::*;

/// The records of an action.
fn records(office: &Office, action: &str) -> Vec<(usize, AuditRecord)> {
    let all = office.entries.iter().enumerate().filter_map(|(i, e)| Some((i, AuditRecord::from_bytes(e).ok()?)));
    all.filter(|(_, r)| r.action == action).collect()
}

#[test]
fn sec_22_records_for_gateways_hold_no_more_than_they_verify() {
    let office = Office::new();
    for (action, count) in [("firmware.manifest", 1), ("firmware.approve", 3)] {
        let (leaves, contexts) = (records(&office, action), records(&office, &format!("{action}.context")));
        assert_eq!((leaves.len(), contexts.len()), (count, count), "{action}");
        for ((at, leaf), (behind, context)) in leaves.iter().zip(&contexts) {
            assert_eq!(at + 1, *behind, "right behind, in one group");
            assert!(leaf.document.is_some() && leaf.event.is_some());
            let rest = (&leaf.before, &leaf.after, &leaf.address, &leaf.reason, &leaf.request);
            assert_eq!(rest, (&None, &None, &None, &None, &None), "{action}");
            assert!(context.is_context() && context.about() == action);
            assert_eq!((&context.object, &context.at, &context.actor), (&leaf.object, &leaf.at, &leaf.actor));
            assert!(context.before.is_some() && context.after.is_some() && context.before != context.after);
        }
        assert_eq!(action == "firmware.approve", contexts.iter().all(|(_, c)| c.reason.is_some()), "why they signed");
    }
    let mut replayed = State::default();
    for entry in &office.entries {
        replayed.apply(&AuditRecord::from_bytes(entry).expect("ours")).expect("applies");
    }
    assert_eq!(
        serde_json::to_value(&replayed.firmware).expect("encodes"),
        serde_json::to_value(&office.state.firmware).expect("encodes"),
        "a replay gives the same"
    );
}

#[test]
fn sec_22_a_directive_alone_opens_a_release() {
    let mut office = Office::new();
    let manifest = release(22, FirmwareClass::Standard, 3);
    let digest = signed(&manifest, &[10]).digest();
    let gateway = |h: usize| id::<GatewayId>(&format!("GW-{h}"));
    let opened = |office: &Office, h| {
        let state = &office.state;
        let names = directive::names(state, &gateway(h), digest);
        assert_eq!(names, directive::leads_to(state, &gateway(h), manifest.sha256), "evidence and image go together");
        names
    };
    assert!((1..=4).all(|h| !opened(&office, h)), "approved, and nobody's yet");
    office.deploy("D-1", PILOT_FIRST).expect("a good plan");
    office.live(1_000);
    assert_eq!((1..=4).map(|h| opened(&office, h)).collect::<Vec<_>>(), [true, false, false, false]);
    assert!(!directive::leads_to(&office.state, &gateway(1), Digest([99; 32])), "no other image");
    assert!(!directive::names(&office.state, &id("GW-99"), digest), "nobody unknown");
}
