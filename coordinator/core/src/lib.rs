//! The core: `command → events → state`. Pure; the runner brings time and takes events to the audit log.
//!
//! [`decide`] checks a command against the state and proposes events; nothing changes before they are durable. [`State::apply`]
//! is the only place where the state moves, live and in replay alike.

#![expect(
    missing_docs,
    reason = "the fields of commands, events and state that the doc comment of their type explains"
)]

pub mod access;
pub mod authority;
pub mod budget;
mod carried;
pub mod desk;
pub mod directive;
pub mod dispatch;
pub mod done;
pub mod engine;
pub mod event;
pub mod expiry;
pub mod filter;
pub mod firmware;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixture;
pub mod fleet;
mod forgotten;
pub mod group;
pub mod heartbeat;
pub mod incident;
pub mod intake;
pub mod inventory;
pub mod long_wait;
pub mod notice;
pub mod on_site;
pub mod people;
pub mod precondition;
pub mod presence;
mod questions;
pub mod reason;
pub mod recall;
pub mod refusal;
pub mod registry;
pub mod retention;
pub mod rollout;
pub mod series;
pub mod settings;
mod snapshot;
pub mod state;
pub mod telemetry;
mod timekeeper;
pub mod trust;
pub mod urgency;
pub mod waiting;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{
    DeploymentId, DeviceId, FirmwareId, GatewayId, GroupId, HospitalId, IncidentId, RecallId, UserId,
};
use mdfm_shared::manifest::Manifest;
use mdfm_shared::record::Actor;
use mdfm_shared::sign::{PublicKey, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Approval, Role, RollbackOrder, Roster, TrustRoot, Validation, Withdrawals};

pub use event::Event;
pub use refusal::Refusal;
pub use state::State;

use access::AccessRole;
use people::{PersonChange, Proof};
use rollout::{DeploymentRequest, OrderedBack, Scope};

/// What became of a device's heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// None for longer than the limit.
    Silent,
    /// One after a silence.
    Again,
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub enum Command {
    CreateUser {
        user: UserId,
        printed_name: String,
        roles: Vec<AccessRole>,
        hospital: Option<HospitalId>,
        credential: Digest,
    },
    OpenSession {
        user: UserId,
        token_sha256: Digest,
        expires_at: UtcMillis,
        /// The second factor, if it was shown.
        proof: Option<Proof>,
        /// The OpenID provider that vouches; none where the password was given.
        issuer: Option<String>,
    },
    ChangePerson {
        user: UserId,
        change: PersonChange,
        /// Why, where somebody does it to another.
        reason: Option<String>,
    },
    CloseSession {
        token_sha256: Digest,
    },
    /// Something was refused before it reached the core; it only leaves its record.
    Denied {
        action: &'static str,
        object: String,
        refusal: Refusal,
    },
    SetSettings {
        settings: settings::Settings,
        reason: String,
    },
    /// Declares the installation a trial: it stays one, and every answer says so.
    DeclareTrial,
    SetWebhook {
        webhook: String,
        set: notice::Webhook,
        reason: String,
    },
    RemoveWebhook {
        webhook: String,
        reason: String,
    },
    Incident {
        incident: IncidentId,
        request: incident::IncidentRequest,
    },
    ChangeDevice {
        device: DeviceId,
        change: fleet::DeviceChange,
        reason: String,
    },
    /// Ends the differences between the two sides of a device.
    ReconcileDevice {
        device: DeviceId,
        right: inventory::Side,
        reason: String,
    },
    /// A gateway's heartbeat no longer names devices that it claimed, or no state of them.
    EndObservations {
        gateway: GatewayId,
        devices: Vec<DeviceId>,
        /// Those that it names without a state: it was set back or replaced, and has not seen them since.
        forgotten: Vec<DeviceId>,
    },
    WithdrawFirmware {
        firmware: FirmwareId,
        reason: String,
    },
    AddTrustRoot {
        root: Signed<TrustRoot>,
    },
    AddRoster {
        roster: Signed<Roster>,
        /// Whether the roster may drop or narrow entries of the past.
        accept_alterations: bool,
        reason: Option<String>,
    },
    AddWithdrawals {
        withdrawals: Signed<Withdrawals>,
    },
    AddRollbackOrder {
        order: Signed<RollbackOrder>,
    },
    RegisterHospital {
        hospital: HospitalId,
        name: String,
        cohort: Option<String>,
        timezone: Option<String>,
    },
    SetHospitalPolicy {
        hospital: HospitalId,
        windows: Vec<rollout::window::Weekly>,
        consent_required: bool,
    },
    ChangeHospital {
        hospital: HospitalId,
        change: fleet::HospitalChange,
        reason: String,
    },
    /// Changes what is named of a hospital's windows and consent, and nothing else.
    ChangeHospitalPolicy {
        hospital: HospitalId,
        change: fleet::PolicyChange,
        reason: String,
    },
    SetGroup {
        group: GroupId,
        set: group::Group,
        reason: String,
    },
    RemoveGroup {
        group: GroupId,
        reason: String,
    },
    RegisterGateway {
        gateway: GatewayId,
        hospital: HospitalId,
    },
    IssueToken {
        gateway: GatewayId,
        secret_sha256: Digest,
        expires_at: UtcMillis,
        /// Whether it may be for a gateway that is enrolled, which whoever uses the token replaces.
        replaces: bool,
    },
    Enrol {
        gateway: GatewayId,
        secret_sha256: Digest,
        telemetry_key: PublicKey,
        certificate_sha256: Digest,
    },
    RenewCertificate {
        gateway: GatewayId,
        /// The one with which the gateway asks.
        presented: Digest,
        certificate_sha256: Digest,
    },
    RevokeGateway {
        gateway: GatewayId,
        reason: String,
    },
    RegisterDevice(fleet::NewDevice),
    RetireDevice {
        device: DeviceId,
        reason: String,
    },
    SetRetention {
        terms: retention::Terms,
        reason: String,
    },
    PlaceHold {
        hold: String,
        object: String,
        reason: String,
    },
    ReleaseHold {
        hold: String,
        reason: String,
    },
    ProposeDisposal {
        disposal: String,
        judged: retention::Judged,
        reason: String,
    },
    ConfirmDisposal {
        disposal: String,
        reason: String,
    },
    /// The scrub found something that is not what was written.
    NoteDamage(event::Damage),
    /// The shell has taken the payloads away.
    CarriedOut {
        disposal: String,
        devices: Vec<DeviceId>,
        deployments: Vec<DeploymentId>,
    },
    CreateFirmware {
        firmware: FirmwareId,
        version: String,
        model: String,
        release_notes: String,
    },
    StoreImage {
        firmware: FirmwareId,
        sha256: Digest,
        size_bytes: u64,
    },
    StoreDelta {
        firmware: FirmwareId,
        sha256: Digest,
        size_bytes: u64,
    },
    AttachManifest {
        firmware: FirmwareId,
        manifest: Signed<Manifest>,
    },
    Approve {
        firmware: FirmwareId,
        approval: Signed<Approval>,
    },
    Reject {
        firmware: FirmwareId,
        role: Role,
        reason: String,
        /// The manifest that whoever rejects was shown.
        shown: Option<Digest>,
    },
    AttachSbom {
        firmware: FirmwareId,
        sha256: Digest,
        components: Vec<mdfm_shared::sbom::Part>,
    },
    OpenRecall {
        recall: RecallId,
        criteria: recall::Criteria,
        action: recall::RecallAction,
        reason: String,
    },
    CloseRecall {
        recall: RecallId,
    },
    CreateDeployment {
        deployment: DeploymentId,
        request: Box<DeploymentRequest>,
    },
    Validate {
        deployment: DeploymentId,
        validation: Signed<Validation>,
    },
    Pause {
        deployment: DeploymentId,
        reason: String,
    },
    Resume {
        deployment: DeploymentId,
        reason: String,
    },
    Abort {
        deployment: DeploymentId,
        reason: String,
    },
    Rollback {
        deployment: DeploymentId,
        scope: Scope,
        cause: OrderedBack,
        reason: String,
    },
    /// Staff of a hospital agree, or take it back.
    Consent {
        deployment: DeploymentId,
        hospital: HospitalId,
        given: bool,
        reason: String,
    },
    /// Something that was owed to an authority has been done.
    FulfilDuty {
        deployment: DeploymentId,
        duty: u32,
        reference: String,
    },
    Telemetry {
        gateway: GatewayId,
        batch: telemetry::Received,
    },
    /// A gateway's heartbeat names a directive that is not ours.
    NoteSerial {
        gateway: GatewayId,
        serial: u64,
    },
    /// How one gateway's certificate is used shows that somebody else may have its key.
    NoteUse {
        gateway: GatewayId,
        /// One of the kinds of connections.
        kind: fleet::AnomalyKind,
        /// The networks that it is used from.
        networks: Vec<String>,
    },
    /// What the heartbeats say of a device of a running phase; only changes are commanded.
    NoteLiveness {
        deployment: DeploymentId,
        device: DeviceId,
        last_seen: UtcMillis,
        heard: Heard,
    },
}

impl Command {
    /// The action's stable name in the audit log and the object that it is about.
    pub fn describe(&self) -> (&'static str, String) {
        match self {
            Self::CreateUser { user, .. } => ("user.create", format!("user/{user}")),
            Self::OpenSession { user, .. } => ("session.open", format!("user/{user}")),
            Self::ChangePerson { user, change, .. } => (change.action(), format!("user/{user}")),
            Self::CloseSession { token_sha256 } => ("session.close", format!("session/{}", token_sha256.short())),
            Self::Denied { action, object, .. } => (action, object.clone()),
            Self::SetSettings { .. } => ("settings.set", "settings/all".into()),
            Self::DeclareTrial => ("installation.trial", "installation/all".into()),
            Self::SetWebhook { webhook, .. } => ("webhook.set", format!("webhook/{webhook}")),
            Self::RemoveWebhook { webhook, .. } => ("webhook.remove", format!("webhook/{webhook}")),
            Self::Incident { incident, request } => (request.action(), format!("incident/{incident}")),
            Self::ChangeDevice { device, .. } => ("device.change", format!("device/{device}")),
            Self::ReconcileDevice { device, .. } => ("device.reconcile", format!("device/{device}")),
            Self::EndObservations { gateway, .. } => ("gateway.observations.end", format!("gateway/{gateway}")),
            Self::WithdrawFirmware { firmware, .. } => ("firmware.withdraw", format!("firmware/{firmware}")),
            Self::AddTrustRoot { .. } => ("trust.root.add", "trust/root".into()),
            Self::AddRoster { .. } => ("trust.roster.add", "trust/roster".into()),
            Self::AddWithdrawals { .. } => ("trust.withdrawals.add", "trust/withdrawals".into()),
            Self::AddRollbackOrder { order } => ("rollback-order.add", format!("rollback-order/{}", order.digest())),
            Self::RegisterHospital { hospital, .. } => ("hospital.register", format!("hospital/{hospital}")),
            Self::SetHospitalPolicy { hospital, .. } | Self::ChangeHospitalPolicy { hospital, .. } => {
                ("hospital.policy", format!("hospital/{hospital}"))
            }
            Self::ChangeHospital { hospital, .. } => ("hospital.change", format!("hospital/{hospital}")),
            Self::SetGroup { group, .. } => ("group.set", format!("group/{group}")),
            Self::RemoveGroup { group, .. } => ("group.remove", format!("group/{group}")),
            Self::RegisterGateway { gateway, .. } => ("gateway.register", format!("gateway/{gateway}")),
            Self::IssueToken { gateway, .. } => ("gateway.token", format!("gateway/{gateway}")),
            Self::Enrol { gateway, .. } => ("gateway.enrol", format!("gateway/{gateway}")),
            Self::RenewCertificate { gateway, .. } => ("gateway.renew", format!("gateway/{gateway}")),
            Self::RevokeGateway { gateway, .. } => ("gateway.revoke", format!("gateway/{gateway}")),
            Self::RegisterDevice(new) => ("device.register", format!("device/{}", new.device)),
            Self::RetireDevice { device, .. } => ("device.retire", format!("device/{device}")),
            Self::SetRetention { .. } => ("retention.set", "retention/terms".into()),
            Self::PlaceHold { hold, .. } => ("hold.place", format!("hold/{hold}")),
            Self::ReleaseHold { hold, .. } => ("hold.release", format!("hold/{hold}")),
            Self::ProposeDisposal { disposal, .. } => ("disposal.propose", format!("disposal/{disposal}")),
            Self::ConfirmDisposal { disposal, .. } => ("disposal.confirm", format!("disposal/{disposal}")),
            Self::NoteDamage(_) => ("audit.damage", "log".into()),
            Self::CarriedOut { disposal, .. } => ("disposal.carry-out", format!("disposal/{disposal}")),
            Self::CreateFirmware { firmware, .. } => ("firmware.create", format!("firmware/{firmware}")),
            Self::StoreImage { firmware, .. } => ("firmware.image", format!("firmware/{firmware}")),
            Self::StoreDelta { firmware, .. } => ("firmware.delta", format!("firmware/{firmware}")),
            Self::AttachManifest { firmware, .. } => ("firmware.manifest", format!("firmware/{firmware}")),
            Self::Approve { firmware, .. } => ("firmware.approve", format!("firmware/{firmware}")),
            Self::Reject { firmware, .. } => ("firmware.reject", format!("firmware/{firmware}")),
            Self::AttachSbom { firmware, .. } => ("firmware.sbom", format!("firmware/{firmware}")),
            Self::OpenRecall { recall, .. } => ("recall.open", format!("recall/{recall}")),
            Self::CloseRecall { recall } => ("recall.close", format!("recall/{recall}")),
            Self::CreateDeployment { deployment, .. } => ("deployment.create", format!("deployment/{deployment}")),
            Self::Validate { deployment, .. } => ("deployment.validate", format!("deployment/{deployment}")),
            Self::Pause { deployment, .. } => ("deployment.pause", format!("deployment/{deployment}")),
            Self::Resume { deployment, .. } => ("deployment.resume", format!("deployment/{deployment}")),
            Self::Abort { deployment, .. } => ("deployment.abort", format!("deployment/{deployment}")),
            Self::Consent { deployment, given: true, .. } => ("deployment.consent", format!("deployment/{deployment}")),
            Self::Consent { deployment, given: false, .. } => {
                ("deployment.consent.withdraw", format!("deployment/{deployment}"))
            }
            Self::FulfilDuty { deployment, .. } => ("deployment.duty.fulfil", format!("deployment/{deployment}")),
            Self::Rollback { deployment, .. } => ("deployment.rollback", format!("deployment/{deployment}")),
            Self::Telemetry { gateway, .. } => ("telemetry.commit", format!("gateway/{gateway}")),
            Self::NoteSerial { gateway, .. } => ("directive.serial", format!("gateway/{gateway}")),
            Self::NoteUse { gateway, kind, .. } => (telemetry::action_of(*kind), format!("gateway/{gateway}")),
            Self::NoteLiveness { device, heard: Heard::Silent, .. } => ("device.silent", format!("device/{device}")),
            Self::NoteLiveness { device, heard: Heard::Again, .. } => ("device.returned", format!("device/{device}")),
        }
    }
}

/// An event that a command would cause, with what its record says beside it.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub action: &'static str,
    pub object: String,
    pub reason: Option<String>,
    pub event: Event,
    /// Base64 of the frame of the signed document that caused the event.
    pub document: Option<String>,
}

impl Proposal {
    pub fn new(action: &'static str, object: impl Into<String>, event: Event) -> Self {
        Self { action, object: object.into(), reason: None, event, document: None }
    }
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
    pub fn with(mut self, document: String) -> Self {
        self.document = Some(document);
        self
    }
}

/// Checks `command` by `actor` against `state`.
///
/// # Errors
/// The refusal that the caller and the audit log get; nothing has changed.
pub fn decide(state: &State, now: UtcMillis, actor: &Actor, command: &Command) -> Result<Vec<Proposal>, Refusal> {
    command.check_reasons(state)?;
    let (action, object) = command.describe();
    let one = |event| Ok(vec![Proposal::new(action, object.clone(), event)]);
    match command {
        Command::CreateUser { user, printed_name, roles, hospital, credential } => {
            one(access::create_user(state, user, printed_name, roles, hospital.as_ref(), *credential)?)
        }
        Command::OpenSession { user, token_sha256, expires_at, proof, issuer } => {
            one(access::open_session(state, user, *token_sha256, *expires_at, *proof, issuer.as_deref())?)
        }
        Command::ChangePerson { user, change, reason } => {
            people::decide(state, now, actor, user, change)?;
            let event = Event::PersonChanged { user: user.clone(), change: change.clone() };
            let proposal = Proposal::new(action, object, event);
            Ok(vec![match reason {
                Some(reason) => proposal.because(reason.clone()),
                None => proposal,
            }])
        }
        Command::CloseSession { token_sha256 } => one(Event::SessionClosed { token_sha256: *token_sha256 }),
        Command::Denied { refusal, .. } => Err(refusal.clone()),
        Command::SetSettings { settings, reason } => {
            Ok(vec![Proposal::new(action, object, settings::set(state, settings)?).because(reason)])
        }
        Command::DeclareTrial => one(settings::declare_trial(state)?),
        Command::SetWebhook { webhook, set, reason } => {
            Ok(vec![Proposal::new(action, object, notice::set_webhook(state, webhook, set)?).because(reason)])
        }
        Command::RemoveWebhook { webhook, reason } => {
            if !state.webhooks.contains_key(webhook) {
                return Err(Refusal::not_found("webhook", webhook));
            }
            let event = Event::WebhookRemoved { webhook: webhook.clone() };
            Ok(vec![Proposal::new(action, object, event).because(reason)])
        }
        Command::Incident { incident, request } => {
            let (event, reason) = incident::decide(state, now, actor, incident, request)?;
            let proposal = Proposal::new(action, object, event);
            Ok(vec![match reason {
                Some(reason) => proposal.because(reason),
                None => proposal,
            }])
        }
        Command::ChangeDevice { device, change, reason } => fleet::change_device(state, device, change, reason),
        Command::ReconcileDevice { device, right, reason } => {
            inventory::reconcile(state, now, actor, device, *right, reason)
        }
        Command::EndObservations { gateway, devices, forgotten } => {
            one(inventory::end_observations(state, gateway, devices, forgotten)?)
        }
        Command::WithdrawFirmware { firmware, reason } => {
            Ok(vec![Proposal::new(action, object, firmware::withdraw(state, firmware)?).because(reason)])
        }
        Command::AddTrustRoot { root } => trust::add_root(state, root),
        Command::AddRoster { roster, accept_alterations, reason } => {
            trust::add_roster(state, now, roster, *accept_alterations, reason.as_deref())
        }
        Command::AddWithdrawals { withdrawals } => authority::add_withdrawals(state, now, withdrawals),
        Command::AddRollbackOrder { order } => authority::add_order(state, now, actor, order),
        Command::RegisterHospital { hospital, name, cohort, timezone } => {
            one(fleet::register_hospital(state, hospital, name, cohort.as_deref(), timezone.as_deref())?)
        }
        Command::SetHospitalPolicy { hospital, windows, consent_required } => {
            one(fleet::set_hospital_policy(state, hospital, windows, *consent_required)?)
        }
        Command::ChangeHospital { hospital, change, reason } => {
            Ok(vec![Proposal::new(action, object, fleet::change_hospital(state, hospital, change)?).because(reason)])
        }
        Command::ChangeHospitalPolicy { hospital, change, reason } => {
            let event = fleet::change_hospital_policy(state, hospital, change)?;
            Ok(vec![Proposal::new(action, object, event).because(reason)])
        }
        Command::SetGroup { group, set, reason } => group::set(state, group, set, reason),
        Command::RemoveGroup { group, reason } => group::remove(state, group, reason),
        Command::RegisterGateway { gateway, hospital } => one(fleet::register_gateway(state, gateway, hospital)?),
        Command::IssueToken { gateway, secret_sha256, expires_at, replaces } => {
            one(fleet::issue_token(state, gateway, *secret_sha256, *expires_at, *replaces)?)
        }
        Command::Enrol { gateway, secret_sha256, telemetry_key, certificate_sha256 } => {
            one(fleet::enrol(state, now, gateway, *secret_sha256, telemetry_key, *certificate_sha256)?)
        }
        Command::RenewCertificate { gateway, presented, certificate_sha256 } => {
            one(fleet::renew(state, now, gateway, *presented, *certificate_sha256)?)
        }
        Command::RevokeGateway { gateway, reason } => {
            let event = fleet::revoke(state, gateway)?;
            Ok(vec![Proposal::new(action, object, event).because(reason)])
        }
        Command::RegisterDevice(new) => fleet::register_device(state, new),
        Command::RetireDevice { device, reason } => {
            Ok(vec![Proposal::new(action, object, fleet::retire(state, device)?).because(reason)])
        }
        Command::SetRetention { terms, reason } => {
            Ok(vec![Proposal::new(action, object, retention::set(state, terms)?).because(reason)])
        }
        Command::PlaceHold { hold, object: held, reason } => {
            let event = retention::place_hold(state, now, actor, hold, held, reason)?;
            Ok(vec![Proposal::new(action, object, event).because(reason)])
        }
        Command::ReleaseHold { hold, reason } => {
            Ok(vec![Proposal::new(action, object, retention::release_hold(state, hold)?).because(reason)])
        }
        Command::ProposeDisposal { disposal, judged, reason } => {
            let event = retention::propose(state, actor, disposal, judged)?;
            Ok(vec![Proposal::new(action, object, event).because(reason)])
        }
        Command::ConfirmDisposal { disposal, reason } => {
            let event = retention::confirm(state, actor, disposal)?;
            Ok(vec![Proposal::new(action, object, event).because(reason)])
        }
        Command::NoteDamage(damage) => {
            let reason =
                format!("{} at byte {}, entry {}: {}", damage.file, damage.position, damage.entry, damage.what);
            Ok(vec![Proposal::new(action, object, Event::StoreDamaged { damage: damage.clone() }).because(reason)])
        }
        Command::CarriedOut { disposal, devices, deployments } => {
            retention::carried_out(state, disposal, devices, deployments)
        }
        Command::CreateFirmware { firmware, version, model, release_notes } => {
            one(firmware::create(state, actor, firmware, version, model, release_notes)?)
        }
        Command::StoreImage { firmware, sha256, size_bytes } => {
            one(firmware::store_image(state, firmware, *sha256, *size_bytes)?)
        }
        Command::StoreDelta { firmware, sha256, size_bytes } => {
            one(firmware::store_delta(state, firmware, *sha256, *size_bytes)?)
        }
        Command::AttachManifest { firmware, manifest } => firmware::attach_manifest(state, actor, firmware, manifest),
        Command::Approve { firmware, approval } => firmware::approve(state, now, actor, firmware, approval),
        Command::Reject { firmware, role, reason, shown } => {
            firmware::reject(state, now, actor, firmware, (*role, reason, *shown))
        }
        Command::AttachSbom { firmware, sha256, components } => {
            firmware::attach_sbom(state, firmware, *sha256, components)
        }
        Command::OpenRecall { recall, criteria, action, reason } => {
            recall::open(state, now, actor, recall, criteria, *action, reason)
        }
        Command::CloseRecall { recall } => recall::close(state, now, actor, recall),
        Command::CreateDeployment { deployment, request } => {
            rollout::plan::create(state, now, actor, deployment, request)
        }
        Command::Validate { deployment, validation } => {
            rollout::command::validate(state, now, actor, deployment, validation)
        }
        Command::Pause { deployment, reason } => rollout::command::pause(state, actor, deployment, reason),
        Command::Resume { deployment, reason } => rollout::command::resume(state, now, deployment, reason),
        Command::Abort { deployment, reason } => rollout::command::abort(state, actor, deployment, reason),
        Command::Rollback { deployment, scope, cause, reason } => {
            rollout::command::roll_back(state, actor, deployment, scope, *cause, reason)
        }
        Command::Consent { deployment, hospital, given, reason } => {
            rollout::command::consent(state, now, actor, deployment, hospital, *given, reason)
        }
        Command::FulfilDuty { deployment, duty, reference } => {
            rollout::command::fulfil(state, now, actor, deployment, *duty, reference)
        }
        Command::Telemetry { gateway, batch } => telemetry::commit(state, now, gateway, batch),
        Command::NoteSerial { gateway, serial } => one(fleet::note_serial(state, gateway, *serial)?),
        Command::NoteUse { gateway, kind, networks } => telemetry::note_use(state, now, gateway, *kind, networks),
        Command::NoteLiveness { deployment, device, last_seen, heard } => {
            rollout::command::note_liveness(state, deployment, device, *last_seen, *heard)
        }
    }
}

#[cfg(test)]
mod tests;
