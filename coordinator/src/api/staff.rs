//! What the staff of a hospital see of the audit log: that something happened to an object that they may see, and nothing of other hospitals.

use mdfm_shared::id::HospitalId;
use mdfm_shared::record::{Actor, ActorKind, AuditRecord};

/// The action of records with a gateway's batch.
const BATCH: &str = "telemetry.commit";

/// A record about `object` as the staff of `own` see it; `None` if it is not for them. `hospital_of` is the hospital of a user or a gateway.
///
/// These are the records of their hospital, and those of the object itself that belong to no hospital, unless a gateway or a user of another
/// hospital made them. Reasons, states and addresses are removed: a plan or a deployment may name other hospitals and their devices. The signed
/// batches of their own gateways stay.
pub(super) fn seen_by_staff(
    record: AuditRecord,
    own: &HospitalId,
    object: &str,
    hospital_of: impl Fn(&Actor) -> Option<HospitalId>,
) -> Option<AuditRecord> {
    let is_own = record.site.as_deref() == Some(own.as_str());
    let (is_gateway, actors) = (record.actor.kind == ActorKind::Gateway, hospital_of(&record.actor));
    let is_shared = record.site.is_none() && record.object == object && (!is_gateway || actors.as_ref() == Some(own));
    let is_stranger = !is_gateway && actors.is_some_and(|hospital| hospital != *own);
    if !(is_own || is_shared) || is_stranger {
        return None;
    }
    let document = record.document.filter(|_| is_own && record.action == BATCH);
    Some(AuditRecord {
        reason: None,
        address: None,
        request: None,
        before: None,
        after: None,
        event: None,
        document,
        ..record
    })
}

#[cfg(test)]
mod tests {
    use mdfm_shared::record::Outcome;
    use mdfm_shared::time::UtcMillis;
    use serde_json::json;

    use super::*;

    fn record(kind: ActorKind, actor: &str, action: &str, object: &str, site: Option<&str>) -> AuditRecord {
        let actor = Actor { kind, id: actor.into(), roles: vec![] };
        let others = json!({ "hospitals": ["HOSP-2"], "devices": ["DEV-2"] });
        AuditRecord {
            site: site.map(Into::into),
            reason: Some("as in HOSP-2".into()),
            address: Some("192.0.2.1".into()),
            before: Some(others.clone()),
            after: Some(others.clone()),
            event: Some(others),
            document: Some("HOSP-2".into()),
            ..AuditRecord::new(UtcMillis(1), &actor, action, object, Outcome::Accepted)
        }
    }

    #[test]
    fn cli_32_staff_see_no_word_of_another_hospital() {
        use ActorKind::{Gateway, User};
        let own: HospitalId = "HOSP-1".parse().expect("an id");
        let hospital_of = |actor: &Actor| {
            let number = actor.id.strip_prefix("GW-").or_else(|| actor.id.strip_prefix("staff-HOSP-"))?;
            format!("HOSP-{number}").parse().ok()
        };
        let seen = |record| seen_by_staff(record, &own, "firmware/FW-1", hospital_of);
        // Consent stands in the history of the deployment itself, whoever gave it.
        for (kind, actor, is_seen) in [
            (User, "staff-HOSP-1", true),
            (Gateway, "GW-1", true),
            (User, "operator", true),
            (User, "staff-HOSP-2", false),
            (Gateway, "GW-2", false),
            (Gateway, "unknown", false),
        ] {
            let record = record(kind, actor, "deployment.consent", "deployment/D", None);
            assert!(seen(record.clone()).is_none(), "another object's");
            let shown = seen_by_staff(record, &own, "deployment/D", hospital_of);
            assert_eq!(shown.is_some(), is_seen, "{actor}");
            let text = shown.map(|shown| serde_json::to_string(&shown).expect("encodes")).unwrap_or_default();
            assert!(!text.contains("HOSP-2") && !text.contains("DEV-2"), "{text}");
        }
        for (kind, actor, action, object, site, is_seen) in [
            (User, "qa", "firmware.approve", "firmware/FW-1", None, true),
            (Gateway, "GW-1", "device.observe", "device/DEV-1", Some("HOSP-1"), true),
            (User, "operator", "deployment.create", "deployment/D", None, false),
            (Gateway, "GW-2", BATCH, "gateway/GW-2", Some("HOSP-2"), false),
            (Gateway, "GW-2", "image.get", "firmware/FW-1", None, false),
            (User, "staff-HOSP-2", "device.rollback", "firmware/FW-1", None, false),
            (User, "operator", "device.change", "device/DEV-1", Some("HOSP-2"), false),
        ] {
            let shown = seen(record(kind, actor, action, object, site));
            assert_eq!(shown.is_some(), is_seen, "{action} of {actor}");
            let text = shown.map(|shown| serde_json::to_string(&shown).expect("encodes")).unwrap_or_default();
            assert!(!text.contains("HOSP-2") && !text.contains("DEV-2") && !text.contains("192.0.2.1"), "{text}");
        }
        let batch = seen(record(Gateway, "GW-1", BATCH, "gateway/GW-1", Some("HOSP-1"))).expect("their own");
        assert!(batch.document.is_some(), "their own gateway signed it");
    }
}
