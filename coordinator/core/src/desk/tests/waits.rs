//! What devices and deployments wait for: what gateways say, what the coordinator knows itself, and what a gateway that lies can do.

use mdfm_shared::telemetry::REFUSED_WAITING;
use mdfm_shared::waiting::{WaitCode, Waiting};

use super::*;
use crate::waiting::Sight;

impl Office {
    fn sight(&self) -> Sight<'_> {
        Sight { state: &self.state, presence: &self.presence, now: self.now }
    }
    fn wait(&self, h: usize, d: usize) -> Option<Waiting> {
        self.sight().of_device(&device(h, d))
    }
    fn code(&self, h: usize, d: usize) -> Option<String> {
        self.wait(h, d).map(|waiting| waiting.code.to_string())
    }
    /// Codes of what a deployment waits for, in order.
    fn codes(&self, name: &str, own: Option<&str>) -> Vec<String> {
        let own: Option<HospitalId> = own.map(id);
        let waits = self.sight().of_deployment(&id(name), self.deployment(name), own.as_ref());
        waits.into_iter().map(|wait| wait.waiting.code.to_string()).collect()
    }
    /// The gateway of hospital `h` says this of a device.
    fn say_wait(&mut self, h: usize, id: DeviceId, reason: String) {
        let kind = EventKind::Refused { what: REFUSED_WAITING.into(), reason };
        self.tell(h, vec![Reported { device: Some(id), at: self.now, kind }]);
    }
}

#[test]
fn cli_14_consent_windows_and_pauses_have_their_codes() {
    let mut office = Office::new();
    let policy =
        |windows, consent_required| Command::SetHospitalPolicy { hospital: id("H-2"), windows, consent_required };
    office.give("operator", policy(vec![], true));
    office.deploy("D-1", &all(22, "")).expect("approved");
    let waiting = office.wait(2, 1).expect("not asked");
    assert_eq!((waiting.code.name(), waiting.text().as_str()), ("consent", "the hospital's consent is missing: H-2"));
    assert_eq!(waiting.since, Some(office.now));
    assert_eq!(office.code(1, 1), None, "it is on its way");
    assert_eq!(office.codes("D-1", None), ["devices", "consent"]);
    assert_eq!(office.codes("D-1", Some("H-1")), ["devices"], "of others nothing is shown");
    office.staff_say(2, "D-1", &[(true, 1)]);
    office.report(2, 1, "D-1", InstallState::Staged, None);
    assert_eq!(office.code(2, 1), None);
    // The gateway's word, and its end with the next state.
    let waiting = Waiting::new(WaitCode::InUse, "").since(Some(office.now.plus_ms(9 * DAY_MS)));
    office.say_wait(2, device(2, 1), waiting.to_event_text());
    let shown = office.wait(2, 1).expect("waits");
    assert_eq!((shown.code, shown.since), (WaitCode::InUse, Some(office.now)), "no wait begins in the future");
    assert_eq!(office.codes("D-1", None), ["devices", "in-use"]);
    office.report(2, 1, "D-1", InstallState::Probation, Some(22));
    assert_eq!(office.code(2, 1), None);
    office.give("operator", Command::Pause { deployment: id("D-1"), reason: "a question".into() });
    assert_eq!(office.code(2, 2).as_deref(), Some("decision"));
    let waits = office.sight().of_deployment(&id("D-1"), office.deployment("D-1"), None);
    assert_eq!(
        (waits[0].waiting.text(), waits[0].waiting.since),
        ("the deployment is paused: by operator".into(), Some(office.now))
    );
    let own: HospitalId = id("H-1");
    let waits = office.sight().of_deployment(&id("D-1"), office.deployment("D-1"), Some(&own));
    assert_eq!(waits[0].waiting.text(), "the deployment is paused");
    // A pause hides no device that needs a hand.
    office.report(2, 2, "D-1", InstallState::RollbackFailed, None);
    assert_eq!(office.code(2, 2).as_deref(), Some("manual-intervention"));
    office.report(2, 2, "D-1", InstallState::Staged, None);
    office.give("operator", Command::Resume { deployment: id("D-1"), reason: "answered".into() });
    assert_eq!(office.codes("D-1", None), ["devices"]);
}

#[test]
fn fld_15_what_a_gateway_lacks_is_shown_at_the_vendor() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.report(1, 1, "D-1", InstallState::Fetching, None);
    let waiting = Waiting::new(WaitCode::NoRoom, "9 bytes are missing below /var/lib/mdfm").since(Some(office.now));
    office.say_wait(1, device(1, 1), waiting.to_event_text());
    assert_eq!(office.wait(1, 1).as_ref(), Some(&waiting));
    let waits = office.sight().of_deployment(&id("D-1"), office.deployment("D-1"), None);
    let named = waits.iter().find(|w| w.waiting.code == WaitCode::NoRoom).expect("named");
    assert_eq!((named.held, named.devices.as_slice()), (1, &[device(1, 1)][..]));
    office.say_wait(1, device(1, 1), String::new());
    assert_eq!(office.wait(1, 1), None, "it has ended");
    // A failure says why without the gateway's help.
    let manifest = office.deployment("D-1").plan.manifest;
    let detail = "the device did not take the image: /dev/slot-b is a link to a file (slotUnusable)";
    let kind = EventKind::StateChanged {
        state: InstallState::Failed,
        manifest,
        deployment: id("D-1"),
        running: None,
        detail: detail.into(),
    };
    office.tell(1, vec![Reported { device: Some(device(1, 2)), at: office.now, kind }]);
    assert_eq!(office.code(1, 2).as_deref(), Some("slot-unusable"));
}

#[test]
fn cli_14_a_gateway_that_lies_harms_its_own_devices_alone() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let hostile =
        r#"{"code":"Own\u001b]0;x\u0007ed-2","detail":"\u001b[2J\u202e","since":18446744073709551615,"until":null}"#;
    office.say_wait(1, device(2, 1), hostile.into());
    assert_eq!(office.code(2, 1), None, "another gateway's device");
    office.say_wait(1, device(1, 1), hostile.into());
    let waiting = office.wait(1, 1).expect("its own");
    assert_eq!((waiting.code.name(), waiting.since), ("wn0xed-2", Some(office.now)));
    for text in ["{", "[]", "null", "{\"code\":\"in-use\"}"] {
        office.say_wait(1, device(1, 1), text.into());
        assert_eq!(office.code(1, 1), None, "{text}");
    }
    // What the coordinator knows itself comes first.
    office.give("operator", Command::Pause { deployment: id("D-1"), reason: "a question".into() });
    office.say_wait(1, device(1, 1), Waiting::new(WaitCode::InUse, "").to_event_text());
    assert_eq!(office.code(1, 1).as_deref(), Some("decision"));
}

#[test]
fn cli_14_phases_gateways_and_gates_have_their_codes() {
    let mut office = Office::new();
    office.deploy("D-1", PILOT_FIRST).expect("approved");
    let waits: Vec<_> = (1..=4).map(|h| office.code(h, 1)).collect();
    assert!(waits.contains(&Some("phase".into())) && waits.contains(&None), "{waits:?}");
    let mut office = Office::new();
    office.deploy("D-2", &all(22, "")).expect("approved");
    office.presence.connection(office.now, &id("GW-3"), false);
    let waiting = office.wait(3, 1).expect("its gateway is away");
    assert_eq!((waiting.code.name(), waiting.detail.as_str()), ("gateway-silent", "GW-3"));
    office.give("operator", Command::RevokeGateway { gateway: id("GW-4"), reason: "stolen".into() });
    assert_eq!(office.code(4, 1).as_deref(), Some("gateway-missing"));
    office.confirm(1..=2, "D-2", 22);
    assert_eq!(office.code(1, 1), None, "done");
}

#[test]
fn cli_14_a_gateway_that_begins_again_has_said_nothing_yet() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.say_wait(1, device(1, 1), Waiting::new(WaitCode::NoRoom, "").to_event_text());
    assert!(office.wait(1, 1).is_some());
    let (gateway, secret_sha256): (GatewayId, _) = (id("GW-1"), Digest([1; 32]));
    let expires_at = office.now.plus_ms(1_000);
    office
        .give("operator", Command::IssueToken { gateway: gateway.clone(), secret_sha256, expires_at, replaces: true });
    let telemetry_key = key(51).public();
    let certificate_sha256 = Digest([9; 32]);
    office.give("x", Command::Enrol { gateway, secret_sha256, telemetry_key, certificate_sha256 });
    assert_eq!(office.wait(1, 1), None);
}
