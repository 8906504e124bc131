//! Which records of the audit log are security events, and what a syslog message (RFC 5424) says of one.

use std::fmt::Write as _;

use mdfm_shared::record::{ActorKind, AuditRecord, Outcome};
use mdfm_shared::text::is_unsafe;

/// Facility "log audit" (RFC 5424 §6.2.1).
const FACILITY: u8 = 13;
/// The structured data's name; 32473 is the enterprise number for documentation (RFC 5612), for want of one of our own.
const SD_ID: &str = "mdfm@32473";
/// Characters of one value.
const VALUE_CHARS_MAX: usize = 256;

/// Severities (RFC 5424 §6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Critical = 2,
    Warning = 4,
    Notice = 5,
}

/// Beginnings of the actions that concern access, trust and the record itself.
const ACTIONS: [&str; 13] = [
    "session.",
    "user.",
    "token.",
    "trust.",
    "gateway.",
    "settings.",
    "webhook.",
    "retention.",
    "hold.",
    "disposal.",
    "audit.",
    "firmware.approve",
    "firmware.reject",
];

/// What the coordinator itself finds that may be an attack.
const FINDINGS: [&str; 4] = ["audit.damage", "gateway.clone", "telemetry.anomaly", "telemetry.epoch"];

/// How severe a record is; none for one that is no security event.
fn severity(record: &AuditRecord) -> Option<Severity> {
    match record.outcome {
        _ if FINDINGS.contains(&record.action.as_str()) => Some(Severity::Critical),
        _ if record.action == "gateway.crowded" => Some(Severity::Warning),
        _ if record.action == "gateway.two-networks" => Some(Severity::Notice),
        // A refused request of somebody; what a gateway sends twice is not one.
        Outcome::Refused => Some(Severity::Warning),
        Outcome::Accepted if record.actor.kind == ActorKind::System => None,
        Outcome::Accepted => ACTIONS.iter().any(|a| record.action.starts_with(a)).then_some(Severity::Notice),
    }
}

/// A value of structured data: three characters are escaped (RFC 5424 §6.3.3), what no reader may get as it is becomes a space.
fn value(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(VALUE_CHARS_MAX) {
        match c {
            '"' | '\\' | ']' => out.extend(['\\', c]),
            c if is_unsafe(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A field of the header: visible ASCII, `-` for nothing.
fn header(text: &str, max: usize) -> String {
    let text: String = text.chars().filter(char::is_ascii_graphic).take(max).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// The message of a record, if it is a security event. Reasons are words of people and programs, and never secrets.
pub(super) fn of(index: u64, record: &AuditRecord, host: &str) -> Option<String> {
    let severity = severity(record)?;
    let priority = u16::from(FACILITY) * 8 + severity as u16;
    let outcome = match record.outcome {
        Outcome::Accepted => "accepted",
        Outcome::Refused => "refused",
    };
    let mut data = String::new();
    let pairs = [
        ("index", Some(index.to_string())),
        ("actor", Some(record.actor.id.clone())),
        ("object", Some(record.object.clone())),
        ("outcome", Some(outcome.to_owned())),
        ("site", record.site.clone()),
        ("address", record.address.clone()),
        ("reason", record.reason.clone()),
    ];
    for (name, text) in pairs.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        let _ = write!(data, " {name}=\"{}\"", value(&text));
    }
    let (host, id) = (header(host, 255), header(&record.action, 32));
    let words = format!("{} of {} by {} {outcome}", record.action, value(&record.object), value(&record.actor.id));
    // The mark says that the words are UTF-8 (RFC 5424 §6.4).
    Some(format!("<{priority}>1 {} {host} mdfm-coordinator - {id} [{SD_ID}{data}] \u{feff}{words}", record.at))
}

#[cfg(test)]
mod tests {
    use mdfm_shared::record::Actor;
    use mdfm_shared::time::UtcMillis;

    use super::*;

    fn record(kind: ActorKind, action: &str, outcome: Outcome) -> AuditRecord {
        let actor = Actor { kind, id: "zoe".into(), roles: vec![] };
        AuditRecord::new(UtcMillis(1_800_000_000_123), &actor, action, "user/mallory\"]\n", outcome)
    }

    #[test]
    fn fda_cyb_log_a_security_event_is_one_message_whatever_is_in_its_words() {
        let refused = AuditRecord {
            reason: Some("wrong-password: \"]\\ <script>\r\n<13>1 forged".into()),
            address: Some("192.0.2.7:443".into()),
            ..record(ActorKind::Anonymous, "session.open", Outcome::Refused)
        };
        let message = of(7, &refused, "firmware.vendor.example").expect("a security event");
        let begin = "<108>1 2027-01-15T08:00:00.123Z firmware.vendor.example mdfm-coordinator - session.open \
                     [mdfm@32473 index=\"7\" actor=\"zoe\" object=\"user/mallory\\\"\\] \" outcome=\"refused\"";
        assert!(message.starts_with(begin), "{message}");
        assert!(message.contains(r#"reason="wrong-password: \"\]\\ <script>  <13>1 forged""#), "{message}");
        assert!(!message.contains(['\r', '\n']), "one message stays one message");
    }

    #[test]
    fn sec_23_findings_about_a_gateways_key_are_security_events() {
        let sent =
            |action| of(1, &record(ActorKind::System, action, Outcome::Accepted), "h").map(|m| m[..5].to_owned());
        assert_eq!(sent("gateway.clone").as_deref(), Some("<106>"));
        assert_eq!(sent("gateway.crowded").as_deref(), Some("<108>"));
        assert_eq!(sent("gateway.two-networks").as_deref(), Some("<109>"));
        assert_eq!(sent("gateway.register"), None);
    }

    #[test]
    fn what_concerns_access_and_trust_is_told_and_daily_work_is_not() {
        let told = |kind, action, outcome| of(1, &record(kind, action, outcome), "h").map(|m| m[..5].to_owned());
        let (user, system) = (ActorKind::User, ActorKind::System);
        assert_eq!(told(user, "user.roles", Outcome::Accepted).as_deref(), Some("<109>"));
        assert_eq!(told(user, "device.register", Outcome::Refused).as_deref(), Some("<108>"));
        assert_eq!(told(system, "audit.damage", Outcome::Accepted).as_deref(), Some("<106>"));
        assert_eq!(told(user, "device.register", Outcome::Accepted), None);
        assert_eq!(told(system, "deployment.phase", Outcome::Accepted), None);
    }
}
