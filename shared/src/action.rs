//! The actions of the audit log in plain words: one table for terminals, console and reports. The name stays what filters and programs use.

use crate::record::CONTEXT;

/// Each action that a record may have, by name, with its words: what somebody asked for, or what the coordinator noticed. Whether it was carried
/// out says the record's outcome.
pub const ACTIONS: &[(&str, &str)] = &[
    ("approval.list", "list what waits for an approval"),
    ("audit.checkpoint", "read the newest checkpoint"),
    ("audit.damage", "a stored record is damaged"),
    ("audit.export", "export the audit log"),
    ("audit.proof", "read the proof of a record"),
    ("audit.search", "search the audit log"),
    ("audit.state", "read an object's past"),
    ("audit.status", "read the state of the audit log"),
    ("certificate.seen", "a certificate was seen in use"),
    ("clock.behind", "the coordinator's clock is behind"),
    ("clock.caught-up", "the coordinator's clock is right again"),
    ("clock.still-behind", "the coordinator's clock is still behind"),
    ("cohort.list", "list cohorts"),
    ("connect", "connect to the coordinator"),
    ("deployment.abort", "abort a deployment"),
    ("deployment.aborted", "a deployment was aborted"),
    ("deployment.complete", "a deployment is complete"),
    ("deployment.consent", "consent to a deployment"),
    ("deployment.consent.withdraw", "withdraw the consent to a deployment"),
    ("deployment.contain", "hold a faulty device or gateway apart"),
    ("deployment.create", "start a deployment"),
    ("deployment.devices", "list the devices of a deployment"),
    ("deployment.duty", "a duty towards an authority became due"),
    ("deployment.duty.fulfil", "fulfil a duty towards an authority"),
    ("deployment.figures", "read the figures of a deployment"),
    ("deployment.gate", "a gate was evaluated"),
    ("deployment.history", "read the history of a deployment"),
    ("deployment.list", "list deployments"),
    ("deployment.members", "devices joined or left a deployment"),
    ("deployment.pause", "pause a deployment"),
    ("deployment.phase", "a phase changed"),
    ("deployment.phase.monitor", "the monitoring of a phase began"),
    ("deployment.phase.open", "a phase opened"),
    ("deployment.phase.pass", "a phase passed its gate"),
    ("deployment.recall", "a recall reached a deployment"),
    ("deployment.resume", "resume a deployment"),
    ("deployment.rollback", "roll devices back"),
    ("deployment.rolled-back", "a deployment is rolled back"),
    ("deployment.show", "read a deployment"),
    ("deployment.supersede", "a newer deployment took over devices"),
    ("deployment.validate", "sign at a gate"),
    ("deployment.validate.preview", "read the evidence at a gate"),
    ("deployment.watch", "watch a deployment"),
    ("device.agrees", "a device is as registered again"),
    ("device.change", "change a device's registration"),
    ("device.differs", "a device differs from its registration"),
    ("device.history", "read the history of a device"),
    ("device.list", "list devices"),
    ("device.observe", "a device reported what it is"),
    ("device.reconcile", "decide between registration and report"),
    ("device.register", "register a device"),
    ("device.retire", "retire a device"),
    ("device.returned", "a silent device reports again"),
    ("device.show", "read a device"),
    ("device.silent", "a device is silent"),
    ("directive.issue", "send a gateway its directive"),
    ("directive.serial", "a gateway holds a newer directive"),
    ("display.begin", "begin to pair a wall display"),
    ("display.collect", "collect the token of a wall display"),
    ("display.show", "read the pairing of a wall display"),
    ("disposal.carry-out", "carry out a disposal of records"),
    ("disposal.confirm", "confirm a disposal of records"),
    ("disposal.forget", "records were disposed of"),
    ("disposal.propose", "propose a disposal of records"),
    ("expiry.warn", "something expires soon"),
    ("firmware.approvals.expire", "the approvals of a release expired"),
    ("firmware.approvals.lost", "approvals of a release count no longer"),
    ("firmware.approve", "approve a release"),
    ("firmware.approve.preview", "read what an approval would sign"),
    ("firmware.approved", "a release has all its approvals"),
    ("firmware.create", "create a release"),
    ("firmware.delta", "upload a patch"),
    ("firmware.differences", "compare two releases"),
    ("firmware.history", "read the history of a release"),
    ("firmware.image", "upload an image"),
    ("firmware.image.get", "download an image"),
    ("firmware.list", "list releases"),
    ("firmware.manifest", "attach the signed manifest"),
    ("firmware.parts", "read the components of a release"),
    ("firmware.reject", "reject a release"),
    ("firmware.sbom", "attach a bill of materials"),
    ("firmware.sbom.get", "download a bill of materials"),
    ("firmware.show", "read a release"),
    ("firmware.withdraw", "withdraw a release"),
    ("fleet-link.read", "read the state of the link to the fleet"),
    ("fleet.counts", "count devices"),
    ("fleet.select", "select devices"),
    ("fleet.versions", "count devices by version"),
    ("gateway.bundle", "export or deliver a gateway's messages by hand"),
    ("gateway.clone", "two copies of a gateway report"),
    ("gateway.crowded", "a gateway's key opens too many connections"),
    ("gateway.enrol", "enrol a gateway"),
    ("gateway.list", "list gateways"),
    ("gateway.observations.end", "a gateway no longer names devices"),
    ("gateway.register", "register a gateway"),
    ("gateway.renew", "renew a gateway's certificate"),
    ("gateway.revoke", "revoke a gateway"),
    ("gateway.telemetry", "take the reports of a gateway"),
    ("gateway.token", "make an enrolment token"),
    ("gateway.two-networks", "a gateway reports from two networks"),
    ("group.devices", "list the devices of a group"),
    ("group.list", "list groups"),
    ("group.members", "devices joined or left a group"),
    ("group.remove", "remove a group"),
    ("group.set", "set a group"),
    ("group.show", "read a group"),
    ("hold.place", "place a legal hold"),
    ("hold.release", "release a legal hold"),
    ("hospital.change", "change a hospital's registration"),
    ("hospital.list", "list hospitals"),
    ("hospital.policy", "change a hospital's policy"),
    ("hospital.register", "register a hospital"),
    ("hospital.show", "read a hospital"),
    ("image.get", "download an image"),
    ("incident.close", "close an incident"),
    ("incident.decide", "decide whether an incident is reportable"),
    ("incident.list", "list incidents"),
    ("incident.note", "add a note to an incident"),
    ("incident.open", "open an incident"),
    ("incident.report", "record that an incident was reported"),
    ("incident.show", "read an incident"),
    ("installation.trial", "declare the installation a trial"),
    ("log.consistency", "read a proof that the log continues"),
    ("metrics.read", "read the coordinator's metrics"),
    ("mqtt.connect", "connect a gateway over MQTT"),
    ("mqtt.packet", "send an MQTT packet"),
    ("notice.dead-letters", "list notices that were not delivered"),
    ("notice.list", "list notices"),
    ("notice.read", "mark notices as read"),
    ("notice.retry", "deliver a notice again"),
    ("recall.close", "close a recall"),
    ("recall.list", "list recalls"),
    ("recall.open", "open a recall"),
    ("recall.show", "read a recall"),
    ("refusal.count", "further refusals, counted"),
    ("report.make", "make a report"),
    ("retention.set", "change how long records are kept"),
    ("retention.show", "read how long records are kept"),
    ("role.list", "list roles and permissions"),
    ("rollback-order.add", "publish a rollback order"),
    ("rollback-order.expire", "a rollback order expired"),
    ("rollback-order.list", "list rollback orders"),
    ("rollback-order.preview", "read what a rollback order would reach"),
    ("rollback-order.show", "read a rollback order"),
    ("session.begin", "begin to sign in"),
    ("session.close", "sign out"),
    ("session.open", "sign in"),
    ("session.step-up", "confirm with the second factor"),
    ("settings.set", "change the settings"),
    ("settings.show", "read the settings"),
    ("telemetry.anomaly", "a gateway's report does not fit"),
    ("telemetry.commit", "take a gateway's report"),
    ("telemetry.epoch", "a gateway began a new chain of reports"),
    ("token.create", "make an access token"),
    ("token.list", "list access tokens"),
    ("token.revoke", "revoke an access token"),
    ("trust.root.add", "publish a trust root"),
    ("trust.roster.add", "publish a roster of approvers"),
    ("trust.show", "read the trust documents"),
    ("trust.warn", "a trust document expires soon"),
    ("trust.withdrawals.add", "publish the list of withdrawals"),
    ("user.address.set", "set an address for notices"),
    ("user.create", "create an account"),
    ("user.disable", "disable an account"),
    ("user.enable", "enable an account"),
    ("user.identity.verify", "record that an identity was verified"),
    ("user.list", "list accounts"),
    ("user.password.change", "change a password"),
    ("user.password.reset", "reset a password"),
    ("user.roles", "change the roles of an account"),
    ("user.second-factor.remove", "remove a second factor"),
    ("user.second-factor.set", "set up a second factor"),
    ("user.sessions.end", "end the sessions of an account"),
    ("user.show", "read an account"),
    ("user.signing-key.set", "set up a signing key"),
    ("user.subject.link", "link an account with single sign-on"),
    ("user.training.confirm", "record that somebody is trained"),
    ("wait.ended", "a long wait ended"),
    ("wait.long", "something waits longer than allowed"),
    ("webhook.list", "list webhooks"),
    ("webhook.remove", "remove a webhook"),
    ("webhook.set", "set a webhook"),
];

/// Returns the words of an action; `None` for one that this version does not know.
#[must_use]
pub fn in_words(action: &str) -> Option<String> {
    let of = |name: &str| {
        let at = ACTIONS.binary_search_by(|(known, _)| known.cmp(&name)).ok()?;
        Some(ACTIONS[at].1.to_owned())
    };
    let origin = |name: &str| of(name).map(|words| format!("origin and reason of: {words}"));
    of(action).or_else(|| origin(action.strip_suffix(CONTEXT)?))
}

/// Returns the words of an action with its name behind them, as histories show it; the name alone for an action that this version does not know.
#[must_use]
pub fn named(action: &str) -> String {
    in_words(action).map_or_else(|| action.to_owned(), |words| format!("{words} ({action})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_12_actions_have_words_beside_their_names() {
        assert_eq!(named("deployment.validate"), "sign at a gate (deployment.validate)");
        assert_eq!(
            named("firmware.approve.context"),
            "origin and reason of: approve a release (firmware.approve.context)"
        );
        assert_eq!(
            named("installation confirmed"),
            "installation confirmed",
            "an event of a gateway is in words already"
        );
        assert_eq!((named(""), named(".context")), (String::new(), ".context".to_owned()));
    }

    #[test]
    fn cli_12_the_table_of_actions_is_in_order_and_short() {
        assert!(ACTIONS.is_sorted_by(|a, b| a.0 < b.0), "binary search needs order, and each name once");
        for (name, words) in ACTIONS {
            let is_plain = |c: char| c.is_ascii_alphabetic() || " ,'-".contains(c) || words.contains("MQTT");
            assert!(words.chars().all(is_plain) && (5..=48).contains(&words.len()), "{name}: {words}");
        }
    }
}
