//! A small installation in memory, for the tests of whatever reads one: four hospitals with two devices each, and releases of every class. Only
//! with the feature `fixtures`.

mod trail;

use mdfm_shared::directive::DeviceDirective;
use mdfm_shared::fixture::{NOW, SUBMITTER, approval, key, manifest, roster, signed, signed_root};
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, GatewayId};
use mdfm_shared::manifest::{FirmwareClass, Manifest};
use mdfm_shared::sbom::Part;
use mdfm_shared::telemetry::{Event as Reported, EventKind, FirmwareReport, InstallState, TelemetryBatch};
use mdfm_shared::trust::{Role, Roster};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Action;
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::Severity;
use mdfm_shared::time::UtcMillis;

use crate::access::AccessRole;
use crate::desk::{Desk, Submission};
use crate::firmware::FirmwareStatus;
use crate::fleet::NewDevice;
use crate::people::accounts_of;
use crate::presence::Presence;
use crate::recall::{Criteria, RecallAction};
use crate::rollout::request::DeploymentJson;
use crate::rollout::{self, Deployment};
use crate::{Command, Refusal, State};

pub const HOUR_MS: u64 = 3_600_000;
pub const DAY_MS: u64 = 24 * HOUR_MS;
pub const MODEL: &str = "CardiacMonitor-X200";

/// An installation without disk and network.
pub struct Office {
    pub desk: Desk,
    pub state: State,
    pub now: UtcMillis,
    pub presence: Presence,
    pub entries: Vec<Vec<u8>>,
}

pub fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a good id")
}
pub fn person(name: &str) -> Actor {
    Actor { kind: ActorKind::User, id: name.into(), roles: vec![] }
}
/// The order to make an account.
pub fn account(name: &str, roles: &[AccessRole], hospital: Option<&str>) -> Command {
    Command::CreateUser {
        user: id(name),
        printed_name: name.into(),
        roles: roles.to_vec(),
        hospital: hospital.map(id),
        credential: Digest([1; 32]),
    }
}
pub fn release(n: u64, class: FirmwareClass, security_version: u32) -> Manifest {
    let mut manifest = Manifest { firmware_id: id(&format!("FW-{n}")), class, security_version, ..manifest() };
    manifest.version = format!("2.{n}.0");
    manifest.release_number = n;
    manifest.sha256 = Digest([n as u8; 32]);
    manifest.components[0].sha256 = manifest.sha256;
    manifest.sbom_sha256 = Some(Digest([200; 32]));
    manifest
}

/// The bill of materials that every release of these tests names.
pub fn sbom(firmware: FirmwareId) -> Command {
    let components = vec![Part::new("openssl", Some("3.0.1")), Part::new("zlib", None)];
    Command::AttachSbom { firmware, sha256: Digest([200; 32]), components }
}

impl Office {
    #[expect(clippy::new_without_default, reason = "it makes keys and signs; nobody asks for a default one")]
    pub fn new() -> Self {
        let desk = Desk::new(key(12), 60_000, NOW);
        let mut office =
            Self { desk, state: State::default(), now: NOW, presence: Presence::default(), entries: Vec::new() };
        office.give("admin", Command::AddTrustRoot { root: signed_root() });
        for account in accounts_of(&roster().entries) {
            office.give("admin", account);
        }
        office.give("admin", add_roster(signed(&roster(), &[11])));
        for h in 1..=4 {
            let (hospital, gateway) = (id(&format!("H-{h}")), id(&format!("GW-{h}")));
            let cohort = (h == 1).then(|| "pilot".to_owned());
            let name = format!("Hospital {h}");
            office.give("operator", Command::RegisterHospital { hospital, name, cohort, timezone: None });
            office.give("operator", Command::RegisterGateway { gateway, hospital: id(&format!("H-{h}")) });
            office.enrol(h);
            for d in 1..=2 {
                office.give("operator", new_device(h, d));
            }
        }
        office.release(22, FirmwareClass::Standard, 3);
        office
    }

    pub fn enrol(&mut self, h: usize) {
        let gateway: GatewayId = id(&format!("GW-{h}"));
        let secret_sha256 = Digest([h as u8; 32]);
        let expires_at = self.now.plus_ms(1_000);
        self.give(
            "operator",
            Command::IssueToken { gateway: gateway.clone(), secret_sha256, expires_at, replaces: false },
        );
        let telemetry_key = key(50 + h as u8).public();
        self.give("x", Command::Enrol { gateway, secret_sha256, telemetry_key, certificate_sha256: Digest([8; 32]) });
    }

    pub fn upload(&mut self, manifest: &Manifest) {
        let firmware = manifest.firmware_id.clone();
        let (version, model) = (manifest.version.clone(), manifest.model.clone());
        self.give(
            "uploader",
            Command::CreateFirmware { firmware: firmware.clone(), version, model, release_notes: String::new() },
        );
        let (sha256, size_bytes) = (manifest.sha256, manifest.size_bytes());
        self.give("uploader", Command::StoreImage { firmware: firmware.clone(), sha256, size_bytes });
        self.give(SUBMITTER, Command::AttachManifest { firmware: firmware.clone(), manifest: signed(manifest, &[10]) });
        self.give("operator", sbom(firmware));
    }

    pub fn approve(&mut self, manifest: &Manifest, role: Role) -> Result<(), Refusal> {
        let (name, n) = match role {
            Role::Clinical => ("user-clinical", 21),
            Role::Qa => ("user-qa", 22),
            Role::Regulatory => ("user-regulatory", 23),
        };
        let mut approval = approval(signed(manifest, &[10]).digest(), name, role);
        approval.at = self.now;
        let approval = signed(&approval, &[n]);
        self.attempt(name, Command::Approve { firmware: manifest.firmware_id.clone(), approval })
    }

    pub fn release(&mut self, n: u64, class: FirmwareClass, security_version: u32) {
        let manifest = release(n, class, security_version);
        self.upload(&manifest);
        for role in Role::ALL {
            if class != FirmwareClass::Emergency || role != Role::Qa {
                self.approve(&manifest, role).expect("a good approval");
            }
        }
        assert_eq!(self.state.firmware[&id::<FirmwareId>(&format!("FW-{n}"))].status, FirmwareStatus::Approved);
    }

    pub fn attempt(&mut self, actor: &str, command: Command) -> Result<(), Refusal> {
        let before = trail::Before::of(&self.state, &command);
        let submission = Submission::new(person(actor), command);
        let mut round = self
            .desk
            .round(&mut self.state, self.now, &mut self.presence, std::slice::from_ref(&submission))
            .expect("applies");
        before.check(&self.state, self.state.time, &submission, &round);
        self.entries.extend(round.entries);
        round.answers.pop().expect("one answer")
    }
    pub fn give(&mut self, actor: &str, command: Command) {
        self.attempt(actor, command).expect("must be accepted");
    }
    pub fn refuses(&mut self, actor: &str, command: Command, code: &str, words: &str) {
        let refusal = self.attempt(actor, command).expect_err(words);
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.detail.contains(words), "{refusal}");
    }
    pub fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        let round = self.desk.round(&mut self.state, self.now, &mut self.presence, &[]).expect("applies");
        self.entries.extend(round.entries);
    }
    /// As [`Self::pass`], with every gateway heard of until then.
    pub fn live(&mut self, ms: u64) {
        let at = self.now.plus_ms(ms);
        self.state.devices.keys().for_each(|d| self.presence.attach(d.clone(), at));
        self.pass(ms);
    }

    pub fn deploy(&mut self, name: &str, json: &str) -> Result<(), Refusal> {
        self.attempt("operator", create(name, json))
    }
    pub fn deployment(&self, name: &str) -> &Deployment {
        &self.state.deployments[&id::<DeploymentId>(name)]
    }
    pub fn desired(&self, h: usize) -> Vec<DeviceDirective> {
        self.state.directed(&id::<GatewayId>(&format!("GW-{h}"))).to_vec()
    }
    pub fn actions(&self, h: usize) -> Vec<&'static str> {
        let name = |a: &Action| match a {
            Action::Install { .. } => "install",
            Action::Hold { .. } => "hold",
            Action::Rollback { .. } => "rollback",
            Action::InstallWithin { .. } => "within",
        };
        self.desired(h).iter().map(|d| name(&d.action)).collect()
    }

    /// A device's gateway reports a state for a deployment.
    pub fn report(&mut self, h: usize, d: usize, deployment: &str, state: InstallState, running: Option<u64>) {
        let running = running.map(|n| FirmwareReport {
            version: format!("2.{n}.0"),
            release_number: n,
            security_version: 3,
            sha256: Digest([n as u8; 32]),
        });
        let manifest = self.deployment(deployment).plan.manifest;
        let detail = String::new();
        let kind = EventKind::StateChanged { state, manifest, deployment: id(deployment), running, detail };
        self.tell(h, vec![Reported { device: Some(device(h, d)), at: self.now, kind }]);
    }

    /// A gateway's next batch.
    pub fn tell(&mut self, h: usize, events: Vec<Reported>) {
        let gateway: GatewayId = id(&format!("GW-{h}"));
        let chain = &self.state.gateways[&gateway].chain;
        let batch = TelemetryBatch {
            gateway: gateway.clone(),
            epoch: chain.epoch,
            sequence: chain.sequence + 1,
            previous: chain.last(),
            events,
        };
        let batch = signed(&batch, &[50 + h as u8]).into();
        self.give("x", Command::Telemetry { gateway, batch });
    }

    /// What staff said on the gateway of a hospital, each `ms` after the start.
    pub fn staff_say(&mut self, h: usize, deployment: &str, words: &[(bool, u64)]) {
        let said = |&(given, ms): &(bool, u64)| {
            let kind = EventKind::Consent { deployment: id(deployment), given, reason: "ward".into(), uid: 0 };
            Reported { device: None, at: NOW.plus_ms(ms), kind }
        };
        self.tell(h, words.iter().map(said).collect());
    }

    pub fn confirm(&mut self, hospitals: std::ops::RangeInclusive<usize>, deployment: &str, n: u64) {
        for h in hospitals {
            for d in 1..=2 {
                self.report(h, d, deployment, InstallState::Confirmed, Some(n));
            }
        }
    }
}

pub fn add_roster(roster: Signed<Roster>) -> Command {
    Command::AddRoster { roster, accept_alterations: false, reason: None }
}
pub fn device(h: usize, d: usize) -> DeviceId {
    id(&format!("DEV-{h}-{d}"))
}
pub fn new_device(h: usize, d: usize) -> Command {
    Command::RegisterDevice(NewDevice {
        hardware: None,
        device: device(h, d),
        model: MODEL.into(),
        serial: format!("SN-{h}-{d}"),
        udi: Some(format!("(01)0088012{h}(21){d}")),
        hospital: id(&format!("H-{h}")),
        gateway: None,
        firmware_version: "2.1.0".into(),
    })
}
pub fn request(json: &str) -> rollout::DeploymentRequest {
    serde_json::from_str::<DeploymentJson>(json).expect("JSON").parse(None).expect("a good request")
}
pub fn create(name: &str, json: &str) -> Command {
    Command::CreateDeployment { deployment: id(name), request: Box::new(request(json)) }
}
/// Everybody at once, with more fields.
pub fn all(firmware: u64, more: &str) -> String {
    format!(
        r#"{{ "firmwareId": "FW-{firmware}", "strategy": "Progressive", {more} "phases": [
            {{ "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 50, "monitoringDuration": "PT1H" }} ] }}"#
    )
}
pub const PILOT_FIRST: &str = r#"{ "firmwareId": "FW-22", "strategy": "Progressive", "phases": [
    { "hospitalCohort": "pilot", "percentage": 25 }, { "hospitalCohort": "all", "percentage": 100 } ] }"#;

/// The state and the records of four hospitals: a deployment in which one device fails and goes back, a recall, a refusal.
pub fn example() -> (State, Vec<Vec<u8>>) {
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
