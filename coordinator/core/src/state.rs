//! The coordinator's state: a fold over the audit log, the same live and in replay.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{DeviceDirective, Directive};
use mdfm_shared::id::{
    DeploymentId, DeviceId, FirmwareId, GatewayId, GroupId, HospitalId, IncidentId, RecallId, UserId,
};
use mdfm_shared::manifest::Manifest;
use mdfm_shared::record::{AuditRecord, Outcome, RecordError};
use mdfm_shared::sign::SignError;
use mdfm_shared::telemetry::{
    EventKind, FirmwareReport, InstallState, OVERTAKEN, REFUSED_ROLLBACK, REFUSED_WAITING, TelemetryBatch, UNSEEN,
};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Approval, RollbackOrder, RootError, Roster, TrustRoot, TrustedRoot, Withdrawals};
use mdfm_shared::waiting::Waiting;
use serde::{Deserialize, Serialize};

use super::Event;
use super::access::User;
use super::authority::{self, Authority, HeldOrder};
use super::done::DoneRequests;
use super::expiry::{self, SeenCertificates, WarnedExpiries};
use super::firmware::{AttachedManifest, Firmware, FirmwareStatus, GivenApproval, GivenRejection};
use super::fleet::{
    Anomaly, AnomalyKind, Chain, Credentials, Device, Gateway, Healing, Hospital, Install, IssuedDirective, NewDevice,
    PendingToken,
};
use super::forgotten;
use super::group::{self, Group, Members};
use super::incident::{self, Incident};
use super::inventory::{self, Decision, Expected, Inventory};
use super::long_wait::{self, HeldWaits};
use super::notice::Webhook;
use super::people::{self, Token};
use super::recall::Recall;
use super::registry::Devices;
use super::retention::{self, Disposal, Hold, Terms};
use super::rollout::{Asked, Change, Deployment, DeviceProgress, Status};
use super::settings::Settings;

mod lookup;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub user: UserId,
    pub opened_at: UtcMillis,
    pub expires_at: UtcMillis,
    /// When the second factor was last shown in it.
    pub shown_at: Option<UtcMillis>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Entries of the log that made this state: the index that the next entry gets.
    pub log_size: u64,
    pub users: BTreeMap<UserId, User>,
    pub sessions: BTreeMap<Digest, Session>,
    /// By the token's digest.
    pub tokens: BTreeMap<Digest, Token>,
    /// Base64 of the frames of every signed trust root, version 1 first.
    pub roots: Vec<String>,
    pub first_root_digest: Option<Digest>,
    #[serde(skip)]
    trusted_root: Option<TrustedRoot>,
    pub roster: Option<Roster>,
    /// Base64 of the frame of the signed roster.
    pub roster_document: Option<String>,
    pub hospitals: BTreeMap<HospitalId, Hospital>,
    pub gateways: BTreeMap<GatewayId, Gateway>,
    pub devices: Devices,
    pub firmware: BTreeMap<FirmwareId, Firmware>,
    pub deployments: BTreeMap<DeploymentId, Deployment>,
    pub recalls: BTreeMap<RecallId, Recall>,
    /// The gateways of each hospital that are not revoked.
    #[serde(skip)]
    hospital_gateways: HospitalGateways,
    /// Devices for which a gateway is named, by gateway.
    #[serde(skip)]
    named_devices: BTreeMap<GatewayId, BTreeSet<DeviceId>>,
    /// Devices that go through their hospital's only gateway.
    #[serde(skip)]
    unnamed_devices: BTreeMap<HospitalId, BTreeSet<DeviceId>>,
    /// Gateways whose directive may have to change because of what they or others reported; volatile: after a start each has its turn.
    #[serde(skip)]
    pub(super) redirected: BTreeSet<GatewayId>,
    /// What the last directive of each gateway said.
    pub desired_devices: BTreeMap<GatewayId, Vec<DeviceDirective>>,
    /// How long records are kept.
    pub retention: Terms,
    pub holds: BTreeMap<String, Hold>,
    pub disposals: BTreeMap<String, Disposal>,
    pub settings: Settings,
    pub webhooks: BTreeMap<String, Webhook>,
    pub incidents: BTreeMap<IncidentId, Incident>,
    pub groups: BTreeMap<GroupId, Group>,
    pub done: DoneRequests,
    /// The OpenID provider that links without one belong to: the first by which somebody with such a link signed in.
    #[serde(default)]
    pub oidc_issuer: Option<String>,
    #[serde(default)]
    pub authority: Authority,
    /// The latest time in any record: no record is stamped earlier.
    #[serde(default)]
    pub last_record_at: UtcMillis,
    /// The time as the last round found it, which goes on while the clock is behind; zero before the first.
    #[serde(skip)]
    pub time: UtcMillis,
    /// Whether the clock was last found behind that.
    #[serde(default)]
    pub clock_behind: bool,
    /// The warnings of what ends that were given.
    #[serde(default)]
    pub expiries_warned: WarnedExpiries,
    /// The certificates that others showed to the coordinator.
    #[serde(default)]
    pub seen_certificates: SeenCertificates,
    /// The long waits that people were notified of.
    #[serde(default)]
    pub long_waits: HeldWaits,
    /// What gateways observe.
    #[serde(default)]
    pub inventory: Inventory,
    /// Whether the installation is a trial, with every secret in one folder; decided by the first record of its log.
    #[serde(default)]
    pub trial: bool,
}

/// Why a log cannot be replayed; the coordinator does not start on such a log.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the entry is no record of a known form")]
    Record(#[from] RecordError),
    #[error("the record's event is of no known form")]
    Event(#[from] serde_json::Error),
    #[error("the record's signed document does not decode")]
    Document(#[from] SignError),
    #[error("the record's trust root does not follow from the one before")]
    Root(#[from] RootError),
    #[error("the record changes {0}, which no earlier record made")]
    Unknown(String),
}

fn known<'a, K: Ord + std::fmt::Display, V>(map: &'a mut BTreeMap<K, V>, id: &K) -> Result<&'a mut V, ReplayError> {
    map.get_mut(id).ok_or_else(|| ReplayError::Unknown(id.to_string()))
}

/// The gateways of each hospital that are not revoked, and where in the log each enrolled first.
type HospitalGateways = BTreeMap<HospitalId, BTreeMap<GatewayId, Option<u64>>>;

/// The gateway of devices for which nobody named one: the only one of the hospital, or of several the one that enrolled first. Another
/// that is registered or enrolled later takes no device from it.
fn main_gateway<'a>(all: &'a HospitalGateways, hospital: &HospitalId) -> Option<&'a GatewayId> {
    let gateways = all.get(hospital)?;
    let first = gateways.iter().filter_map(|(id, enrolled)| Some((enrolled.as_ref()?, id))).min();
    match (first, gateways.keys().next()) {
        (Some((_, id)), _) => Some(id),
        (None, Some(only)) if gateways.len() == 1 => Some(only),
        _ => None,
    }
}

/// The gateway named for a device, or the main one of its hospital.
fn reached_through<'a>(all: &'a HospitalGateways, device: &'a Device) -> Option<&'a GatewayId> {
    device.gateway.as_ref().or_else(|| main_gateway(all, &device.hospital))
}

impl State {
    /// Moves the state by one entry of the log.
    pub fn apply(&mut self, record: &AuditRecord) -> Result<(), ReplayError> {
        let index = self.log_size;
        self.log_size += 1;
        self.last_record_at = self.last_record_at.max(UtcMillis(record.at_ms));
        self.devices.set_time(self.last_record_at);
        match (&record.event, record.outcome) {
            (Some(event), Outcome::Accepted) => {
                self.done.note(record);
                self.apply_event(index, record, serde_json::from_value(event.clone())?)
            }
            (None, Outcome::Accepted) if record.is_context() => {
                self.done.note_context(record);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_event(&mut self, index: u64, record: &AuditRecord, event: Event) -> Result<(), ReplayError> {
        let at = UtcMillis(record.at_ms);
        let document = || record.document.clone().unwrap_or_default();
        match event {
            Event::UserCreated { user, printed_name, roles, hospital, credential } => {
                let new = User {
                    printed_name,
                    roles,
                    hospital,
                    credential,
                    password_set_at: at,
                    second_factor: None,
                    signing_key: None,
                    identity: None,
                    trained_until: None,
                    subject: None,
                    issuer: None,
                    networks: Vec::new(),
                    email: None,
                    disabled: false,
                };
                self.users.insert(user, new);
            }
            Event::SessionOpened { user, token_sha256, expires_at, proof, issuer } => {
                self.sessions.retain(|_, s| s.expires_at > at);
                // A link that names its provider says nothing of the others.
                let is_nameless = self.users.get(&user).is_some_and(|held| held.issuer.is_none());
                if let Some(issuer) = issuer.filter(|_| is_nameless) {
                    self.oidc_issuer.get_or_insert(issuer);
                }
                if let Some(proof) = proof {
                    people::spend(known(&mut self.users, &user)?, proof);
                }
                if let Some(held) = self.users.get_mut(&user) {
                    people::note_network(held, record.address.as_deref());
                }
                let shown_at = proof.map(|_| at);
                self.sessions.insert(token_sha256, Session { user, opened_at: at, expires_at, shown_at });
            }
            Event::SessionClosed { token_sha256 } => {
                self.sessions.remove(&token_sha256);
            }
            Event::PersonChanged { user, change } => {
                let applied = people::apply(self, at, &user, change);
                applied.ok_or_else(|| ReplayError::Unknown(user.to_string()))?;
            }
            Event::SettingsSet { settings } => {
                self.settings = settings;
                long_wait::forget_unasked(self);
            }
            Event::TrialDeclared => self.trial = true,
            Event::WebhookSet { webhook, set } => {
                expiry::forget_webhook(&mut self.seen_certificates, &webhook);
                self.webhooks.insert(webhook, set);
            }
            Event::WebhookRemoved { webhook } => {
                expiry::forget_webhook(&mut self.seen_certificates, &webhook);
                self.webhooks.remove(&webhook);
            }
            Event::IncidentChanged { incident, change } => {
                let applied = incident::apply(self, at, &incident, change);
                applied.ok_or_else(|| ReplayError::Unknown(incident.to_string()))?;
            }
            Event::DeviceChanged { device, particulars } => {
                // Its registration may have been disposed of while a hold or a longer term keeps this record.
                let before = self.gateway_of(&device).cloned();
                let Some(mut held) = self.devices.get_mut(&device) else { return Ok(()) };
                self.inventory.unindex(&device, &held);
                (held.serial, held.udi) = (particulars.serial, particulars.udi);
                let from = std::mem::replace(&mut held.hospital, particulars.hospital.clone());
                let through = std::mem::replace(&mut held.gateway, particulars.gateway.clone());
                held.waiting = None;
                self.inventory.index(&device, &held);
                drop(held);
                let to = (&particulars.hospital, particulars.gateway.as_ref());
                self.move_device(&device, (&from, through.as_ref()), to);
                if self.gateway_of(&device) != before.as_ref() {
                    self.take_claim(at, &device);
                }
            }
            Event::DeviceDiffers { device, kind, registered, observed } => {
                if let Some(mut held) = self.devices.get_mut(&device) {
                    let noted = inventory::Noted { since: at, registered, observed, expected: None };
                    held.differences.insert(kind, noted);
                }
            }
            Event::DeviceAgrees { device, kind } => {
                if let Some(mut held) = self.devices.get_mut(&device) {
                    held.differences.remove(&kind);
                }
            }
            Event::DeviceReconciled { device, kinds, by, reason, registered, .. } => {
                let decision = Decision { by, reason, at };
                inventory::apply_reconciled(self, at, &device, &kinds, &decision, registered);
            }
            Event::ObservationsEnded { gateway, devices, forgotten } => {
                self.inventory.end(&gateway, &devices);
                self.inventory.forget(&gateway, &forgotten);
            }
            Event::TrustRootAdded { digest, .. } => {
                let signed = record.document::<TrustRoot>()?;
                self.trusted_root = Some(match &self.trusted_root {
                    None => TrustedRoot::pinned(&signed, digest)?,
                    Some(held) => held.advance(&signed)?,
                });
                self.first_root_digest.get_or_insert(digest);
                self.roots.push(document());
                self.authority.withdrawals_void = authority::is_void(self);
                self.authority.roster_void = authority::is_roster_void(self);
            }
            Event::RosterAdded { .. } => {
                self.roster = Some(record.document::<Roster>()?.decode_unverified()?);
                self.roster_document = Some(document());
                self.authority.roster_void = false;
                self.authority.withdrawals_void = authority::is_void(self);
            }
            Event::WithdrawalsAdded { .. } => {
                self.authority.withdrawals = Some(record.document::<Withdrawals>()?.decode_unverified()?);
                self.authority.withdrawals_document = Some(document());
                self.authority.withdrawals_void = false;
            }
            Event::RollbackOrderAdded { order, by, .. } => {
                let signed = record.document::<RollbackOrder>()?.decode_unverified()?;
                let held = HeldOrder { order: signed, log_index: index, added_by: by, added_at: at, expired: false };
                self.authority.orders.insert(order, held);
            }
            Event::RollbackOrderExpired { order } => known(&mut self.authority.orders, &order)?.expired = true,
            Event::TrustWarned { concern, version, days } => {
                self.authority.warned.insert(concern, (version, days));
            }
            Event::ExpiryWarned { key, expires_at, days, .. } => {
                expiry::note(&mut self.expiries_warned, at, key, expires_at, days);
            }
            Event::CertificateSeen { kind, label, expires_at } => {
                expiry::note_seen(&mut self.seen_certificates, at, kind, label, expires_at);
            }
            Event::WaitNoted { wait, waits, hospitals, is_for_hospitals, .. } => {
                self.long_waits.note(at, wait, waits, hospitals, !is_for_hospitals);
            }
            Event::WaitEnded { wait, .. } => self.long_waits.end(at, &wait),
            Event::ClockBehind { .. } => self.clock_behind = true,
            Event::ClockCaughtUp => self.clock_behind = false,
            Event::HospitalRegistered { hospital, name, cohort, timezone } => {
                let new = Hospital { name, cohort, timezone, windows: Vec::new(), consent_required: false };
                self.hospitals.insert(hospital, new);
            }
            Event::HospitalChanged { hospital, name, cohort, timezone } => {
                let held = known(&mut self.hospitals, &hospital)?;
                (held.name, held.cohort, held.timezone) = (name, cohort, timezone);
            }
            Event::GroupSet { group, name, query } => {
                let members = match (query, self.groups.remove(&group).map(|g| g.members)) {
                    (Some(query), _) => Members::Query(query),
                    (None, Some(listed @ Members::Listed(_))) => listed,
                    (None, _) => Members::Listed(BTreeSet::new()),
                };
                self.groups.insert(group, Group { name, members });
            }
            Event::GroupMembersChanged { group, joins, devices } => {
                group::change_members(known(&mut self.groups, &group)?, joins, devices);
            }
            Event::GroupRemoved { group } => {
                self.groups.remove(&group);
            }
            Event::HospitalPolicySet { hospital, windows, consent_required } => {
                let held = known(&mut self.hospitals, &hospital)?;
                held.windows = windows;
                held.consent_required = consent_required;
            }
            Event::GatewayRegistered { gateway, hospital } => {
                let chain = Chain::new(0);
                self.hospital_gateways.entry(hospital.clone()).or_default().insert(gateway.clone(), None);
                let of = hospital.clone();
                let new = Gateway {
                    hospital,
                    token: None,
                    credentials: None,
                    revoked: false,
                    chain,
                    directive: None,
                    serial_seen: 0,
                    enrolled_at: None,
                    anomalies: Vec::new(),
                    healing: Healing::default(),
                };
                self.gateways.insert(gateway, new);
                self.take_claims_of(at, &of);
            }
            Event::EnrolmentTokenIssued { gateway, secret_sha256, expires_at } => {
                known(&mut self.gateways, &gateway)?.token = Some(PendingToken { secret_sha256, expires_at });
            }
            Event::GatewayEnrolled { gateway, epoch, telemetry_key, certificate_sha256 } => {
                let held = known(&mut self.gateways, &gateway)?;
                held.token = None;
                held.credentials =
                    Some(Credentials { telemetry_key, certificate_sha256, previous: None, certificate_at: Some(at) });
                held.chain = Chain::new(epoch);
                let first = *held.enrolled_at.get_or_insert(index);
                held.healing = Healing::default();
                let of = held.hospital.clone();
                self.forget_waits(&gateway);
                self.note_lost(at, &gateway);
                self.hospital_gateways.entry(of.clone()).or_default().insert(gateway, Some(first));
                self.take_claims_of(at, &of);
            }
            Event::CertificateRenewed { gateway, certificate_sha256, previous_sha256, previous_until, .. } => {
                let held = known(&mut self.gateways, &gateway)?;
                if let Some(credentials) = &mut held.credentials {
                    credentials.previous = Some((previous_sha256, previous_until));
                    credentials.certificate_sha256 = certificate_sha256;
                    credentials.certificate_at = Some(at);
                }
            }
            Event::GatewayRevoked { gateway } => {
                let held = known(&mut self.gateways, &gateway)?;
                held.revoked = true;
                held.token = None;
                held.credentials = None;
                let of = held.hospital.clone();
                // What it said of devices that another gateway serves from now on is nobody's word any more.
                self.forget_waits(&gateway);
                if let Some(gateways) = self.hospital_gateways.get_mut(&of) {
                    gateways.remove(&gateway);
                }
                self.inventory.revoke(&gateway, &self.devices);
                self.take_claims_of(at, &of);
            }
            Event::DeviceRegistered { device, model, serial, udi, hospital, gateway, firmware_version, hardware } => {
                self.index_device(&device, &hospital, gateway.as_ref());
                let id = device.clone();
                let new = NewDevice { device, model, serial, udi, hospital, gateway, firmware_version, hardware };
                let new = Device::new(new);
                self.inventory.index(&id, &new);
                self.devices.insert(id.clone(), new);
                // It may have been observed before it was registered.
                self.take_claim(at, &id);
            }
            Event::DeviceRetired { device } => {
                // Its registration may have been disposed of while a hold keeps this record.
                if let Some(mut held) = self.devices.get_mut(&device) {
                    held.retired_at = Some(at);
                }
                self.inventory.touched.insert(device);
            }
            // A count of refusals changes nothing.
            Event::RefusalsCounted { .. } => {}
            Event::TelemetryAnomaly { gateway, anomaly } => {
                known(&mut self.gateways, &gateway)?.note(anomaly);
            }
            Event::StoreDamaged { .. } => {}
            Event::RetentionSet { terms } => self.retention = terms,
            Event::HoldPlaced { hold, placed } => {
                self.holds.insert(hold, placed);
            }
            Event::HoldReleased { hold } => {
                self.holds.remove(&hold);
            }
            Event::DisposalProposed { disposal, proposed } => {
                self.disposals.insert(disposal, proposed);
            }
            Event::DisposalConfirmed { disposal, by } => {
                let held = self.disposals.get_mut(&disposal).ok_or_else(|| ReplayError::Unknown(disposal.clone()))?;
                held.confirmed_by = Some(by);
            }
            Event::DisposalCarriedOut { disposal } => {
                let held = self.disposals.get_mut(&disposal).ok_or_else(|| ReplayError::Unknown(disposal.clone()))?;
                held.carried_out_at = Some(at);
            }
            Event::Forgotten { devices, deployments } => retention::forget(self, at, &devices, &deployments),
            Event::FirmwareCreated { firmware, version, model, release_notes, submitter } => {
                let new = Firmware {
                    version,
                    model,
                    release_notes,
                    submitter,
                    status: FirmwareStatus::AwaitingImage,
                    image: None,
                    deltas: BTreeMap::new(),
                    manifest: None,
                    approvals: BTreeMap::new(),
                    lost: Vec::new(),
                    rejection: None,
                    rejected: None,
                    requested_at: at,
                    sbom: Vec::new(),
                };
                self.firmware.insert(firmware, new);
            }
            Event::ImageStored { firmware, sha256, size_bytes } => {
                let held = known(&mut self.firmware, &firmware)?;
                held.image = Some((sha256, size_bytes));
                held.status = FirmwareStatus::AwaitingManifest;
            }
            Event::DeltaStored { firmware, sha256, size_bytes } => {
                known(&mut self.firmware, &firmware)?.deltas.insert(sha256, size_bytes);
            }
            Event::ManifestAttached { firmware, digest, submitter } => {
                let manifest = record.document::<Manifest>()?.decode_unverified()?;
                let held = known(&mut self.firmware, &firmware)?;
                held.manifest = Some(AttachedManifest { manifest, digest, log_index: index, submitter });
                held.status = FirmwareStatus::PendingApproval;
                // Whatever was signed before was signed for something else.
                held.approvals.clear();
                held.lost.clear();
                (held.rejection, held.rejected) = (None, None);
                held.requested_at = at;
                held.sbom.clear();
            }
            Event::ApprovalSigned { firmware, role, user } => {
                let signed = record.document::<Approval>()?;
                let approval = signed.decode_unverified()?;
                let given = GivenApproval {
                    user,
                    printed_name: approval.printed_name,
                    meaning: approval.meaning,
                    reason: approval.reason,
                    at: approval.at,
                    log_index: index,
                    signatures: signed.signatures().to_vec(),
                };
                let held = known(&mut self.firmware, &firmware)?;
                held.lost.retain(|l| l.role != role);
                held.approvals.insert(role, given);
            }
            Event::FirmwareRejected { firmware, role, user, reason, statement } => {
                let held = known(&mut self.firmware, &firmware)?;
                held.status = FirmwareStatus::Rejected;
                held.rejection = Some(format!("{user} ({role}): {reason}"));
                let rejected = |statement| GivenRejection { user, role, reason, statement, at, log_index: index };
                held.rejected = statement.map(rejected);
            }
            Event::FirmwareApproved { firmware } => {
                known(&mut self.firmware, &firmware)?.status = FirmwareStatus::Approved;
            }
            Event::ApprovalsExpired { firmware } => {
                let held = known(&mut self.firmware, &firmware)?;
                held.status = FirmwareStatus::ApprovalExpired;
                held.approvals.clear();
                held.lost.clear();
            }
            Event::ApprovalsLost { firmware, lost } => {
                let held = known(&mut self.firmware, &firmware)?;
                held.status = FirmwareStatus::PendingApproval;
                held.requested_at = at;
                for approval in lost {
                    held.approvals.remove(&approval.role);
                    held.lost.retain(|l| l.role != approval.role);
                    held.lost.push(approval);
                }
            }
            Event::FirmwareWithdrawn { firmware } => {
                known(&mut self.firmware, &firmware)?.status = FirmwareStatus::Withdrawn;
            }
            Event::SbomAttached { firmware, components, .. } => {
                known(&mut self.firmware, &firmware)?.sbom.extend(components);
            }
            Event::RecallOpened { recall, opened } => {
                self.recalls.insert(recall, *opened);
            }
            Event::RecallClosed { recall, by, at } => {
                known(&mut self.recalls, &recall)?.closed = Some((by, at));
            }
            Event::DeploymentCreated(new) => {
                self.deployments.insert(new.deployment.clone(), Deployment::new(*new, at));
            }
            Event::DeploymentChanged { deployment, change } => {
                let devices = &self.devices;
                let held = known(&mut self.deployments, &deployment)?;
                held.apply(at, &change, &|id| devices.get(id).map(|d| d.hospital.clone()));
                if let Change::MembersJoined { members } = &change {
                    for id in members.iter().flat_map(|m| &m.devices) {
                        let Some(mut device) = self.devices.get_mut(id) else { continue };
                        let before = device.deployment.replace(deployment.clone());
                        let moved = |d: &DeploymentId| {
                            self.deployments
                                .get(d)
                                .and_then(|d| d.devices.get(id))
                                .is_some_and(|p| p.is_moved() || p.asked != Asked::No)
                        };
                        // A deployment that moved it, or may have begun to, stays the one to go back from until another moves it.
                        device.moved_by = before.filter(moved).or(device.moved_by.take());
                    }
                }
                let held = known(&mut self.deployments, &deployment)?;
                if let Some(paused) = &mut held.paused {
                    paused.by.get_or_insert_with(|| record.actor.id.clone());
                }
                if !held.is_active() {
                    // Devices that it never moved, as they said or as they were never asked, still belong to the deployment that did.
                    let never = |p: &DeviceProgress| !p.is_moved() && (p.state.is_some() || !held.is_open(p.phase));
                    for (id, _) in held.devices.iter().filter(|(_, p)| never(p)) {
                        if let Some(mut device) = self.devices.get_mut(id) {
                            device.leave(&deployment);
                        }
                    }
                }
                if change == Change::Completed {
                    // The floor rises late: only now can nobody need the way back (DESIGN §9.1).
                    for (id, progress) in &held.devices {
                        if progress.state == Some(InstallState::Confirmed)
                            && let Some(mut device) = self.devices.get_mut(id)
                        {
                            device.security_floor = device.security_floor.max(held.plan.security_version);
                        }
                    }
                }
            }
            Event::TelemetryCommitted { gateway, epoch, sequence, digest } => {
                let held = known(&mut self.gateways, &gateway)?;
                held.chain.push(epoch, sequence, digest);
                held.healing.refused = None;
                let batch = record.document::<TelemetryBatch>()?.decode_unverified()?;
                for event in &batch.events {
                    self.note_carried(&gateway, event);
                    self.apply_report(at, &gateway, event);
                }
            }
            Event::EpochBegun { gateway, epoch, previous_sequence, head, .. } => {
                let held = known(&mut self.gateways, &gateway)?;
                let expected = previous_sequence.saturating_add(1);
                held.chain = Chain::behind(epoch, head);
                held.healing.begin(at);
                held.note(Anomaly { kind: AnomalyKind::SetBack, at, epoch, sequence: 1, expected });
                self.forget_waits(&gateway);
                self.note_lost(at, &gateway);
            }
            Event::DirectiveSerialSeen { gateway, serial } => {
                known(&mut self.gateways, &gateway)?.serial_seen = serial;
            }
            Event::DirectiveIssued { gateway, serial, issued_at, expires_at } => {
                let desired = record.document::<Directive>()?.decode_unverified()?.devices;
                known(&mut self.gateways, &gateway)?.directive =
                    Some(IssuedDirective { serial, issued_at, expires_at, document: document() });
                let before = self.desired_devices.insert(gateway.clone(), desired).unwrap_or_default();
                self.note_asked(at, &before, &gateway);
            }
        }
        Ok(())
    }

    fn index_device(&mut self, device: &DeviceId, hospital: &HospitalId, gateway: Option<&GatewayId>) {
        match gateway {
            Some(named) => self.named_devices.entry(named.clone()).or_default().insert(device.clone()),
            None => self.unnamed_devices.entry(hospital.clone()).or_default().insert(device.clone()),
        };
    }

    /// Makes anew what follows from gateways and devices.
    pub(super) fn index(&mut self) {
        for (id, gateway) in self.gateways.iter().filter(|(_, g)| !g.revoked) {
            self.hospital_gateways.entry(gateway.hospital.clone()).or_default().insert(id.clone(), gateway.enrolled_at);
        }
        let devices: Vec<_> =
            self.devices.iter().map(|(id, d)| (id.clone(), d.hospital.clone(), d.gateway.clone())).collect();
        for (id, hospital, gateway) in devices {
            self.index_device(&id, &hospital, gateway.as_ref());
        }
        self.inventory.index_all(&self.devices);
        self.devices.index();
        for deployment in self.deployments.values_mut() {
            deployment.index(&|id| self.devices.get(id).map(|d| d.hospital.clone()));
        }
    }

    /// Puts a device where it is found from now on; `from` is where it was found.
    pub(super) fn move_device(
        &mut self,
        id: &DeviceId,
        from: (&HospitalId, Option<&GatewayId>),
        (hospital, gateway): (&HospitalId, Option<&GatewayId>),
    ) {
        self.drop_device_index(id, from);
        self.index_device(id, hospital, gateway);
        self.deployments.values_mut().for_each(|deployment| deployment.place(id, Some(hospital)));
    }

    /// The devices of a gateway that begins again report what they wait for again.
    fn forget_waits(&mut self, gateway: &GatewayId) {
        for id in self.devices_of(gateway) {
            if let Some(mut device) = self.devices.get_mut(&id) {
                device.waiting = None;
            }
        }
    }

    /// The devices without a named gateway may be reached through another one now.
    fn take_claims_of(&mut self, at: UtcMillis, hospital: &HospitalId) {
        let devices: Vec<DeviceId> = self.unnamed_devices.get(hospital).into_iter().flatten().cloned().collect();
        for device in devices {
            self.take_claim(at, &device);
            self.inventory.touched.insert(device);
        }
    }

    pub(super) fn set_trusted_root(&mut self, root: Option<TrustedRoot>) {
        self.trusted_root = root;
    }

    /// Drops a device with everything that finds it.
    pub(super) fn forget_device(&mut self, id: &DeviceId) {
        if let Some(device) = self.devices.remove(id) {
            self.inventory.unindex(id, &device);
            self.drop_device_index(id, (&device.hospital, device.gateway.as_ref()));
        }
        for group in self.groups.values_mut() {
            group::change_members(group, false, vec![id.clone()]);
        }
        // One that has ended reacts to nothing any more.
        self.deployments.values_mut().filter(|d| d.is_active()).for_each(|deployment| deployment.place(id, None));
    }

    fn drop_device_index(&mut self, id: &DeviceId, (hospital, gateway): (&HospitalId, Option<&GatewayId>)) {
        let found = match gateway {
            Some(named) => self.named_devices.get_mut(named),
            None => self.unnamed_devices.get_mut(hospital),
        };
        if let Some(devices) = found {
            devices.remove(id);
        }
    }

    /// The hospital that an object belongs to.
    pub fn site_of(&self, object: &str) -> Option<HospitalId> {
        let (kind, id) = object.split_once('/')?;
        match kind {
            "hospital" => id.parse().ok(),
            "gateway" => self.gateways.get(&id.parse().ok()?).map(|g| g.hospital.clone()),
            "device" => self.devices.get(&id.parse().ok()?).map(|d| d.hospital.clone()),
            "user" => self.users.get(&id.parse().ok()?)?.hospital.clone(),
            _ => None,
        }
    }

    /// What a gateway says about one of its own devices; reports about others' devices stay in the log and move nothing.
    pub fn apply_report(&mut self, at: UtcMillis, gateway: &GatewayId, event: &mdfm_shared::telemetry::Event) {
        self.note_on_site(gateway, event);
        let Some(id) = event.device.as_ref().filter(|id| !self.is_overtaken(gateway, id, event)) else { return };
        if let EventKind::DeviceObserved { digest, observed } = &event.kind {
            return self.apply_observed((at, event.at), gateway, id, *digest, observed);
        }
        if let EventKind::DeviceAdopted { firmware: running, .. }
        | EventKind::StateChanged { running: Some(running), .. } = &event.kind
        {
            self.inventory.runs(gateway, id, event.at, running);
        }
        let unseen = match &event.kind {
            EventKind::StateChanged { deployment, .. } => self.state_of_unseen(id, deployment),
            _ => None,
        };
        let Some(mut device) = self.devices.get_mut(id) else { return };
        if device.retired_at.is_some() || reached_through(&self.hospital_gateways, &device) != Some(gateway) {
            return;
        }
        match &event.kind {
            EventKind::DeviceAdopted { firmware, .. } => {
                device.set_running(firmware);
                // The registered version has a digest now.
                if let Some(expected) = &mut device.expected
                    && expected.sha256.is_none()
                    && expected.version == firmware.version
                {
                    expected.sha256 = Some(firmware.sha256);
                }
                drop(device);
                self.compare_release(at, id, firmware);
            }
            EventKind::StateChanged { state, manifest, deployment, running, detail } => {
                if forgotten::is_left_behind(&self.deployments, (id, &device), deployment, *state) {
                    return;
                }
                device.waiting = None;
                // A gateway that knows nothing of a deployment that is called back says what the device runs instead. Where that is the
                // release, nobody there knows what it ran before.
                let of_release = |f: &Firmware| f.manifest.as_ref().filter(|m| m.digest == *manifest).map(|m| m.manifest.sha256);
                let is_left = |running: &FirmwareReport| {
                    !self.firmware.values().filter_map(of_release).any(|sha256| sha256 == running.sha256)
                };
                let state = match (state, running) {
                    (InstallState::Idle, Some(running)) if !is_left(running) => &InstallState::RollbackFailed,
                    (InstallState::Idle, None) if detail.contains(OVERTAKEN) => {
                        let is_newest = device.deployment.as_ref() == Some(deployment);
                        match self.deployments.get(deployment).and_then(|d| d.state_of_overtaken(id, is_newest)) {
                            Some(state) => &{ state },
                            None => return,
                        }
                    }
                    (InstallState::Idle | InstallState::Failed, None) if detail.contains(UNSEEN) => {
                        match unseen {
                            Some(state) => &{ state },
                            None => return,
                        }
                    }
                    _ => state,
                };
                if let Some(running) = running {
                    device.set_running(running);
                    if matches!(state, InstallState::Confirmed | InstallState::RolledBack) {
                        let (version, sha256) = (running.version.clone(), Some(running.sha256));
                        device.expected = Some(Expected { version, sha256 });
                    }
                }
                let rollback_ms = match &device.install {
                    Some(before) if before.state == InstallState::RollingBack => {
                        (*state == InstallState::RolledBack).then(|| event.at.since_ms(before.since))
                    }
                    _ => None,
                };
                let confirmed_at = (*state == InstallState::Confirmed).then(|| {
                    let before = device.install.as_ref().filter(|i| i.manifest == *manifest);
                    before.and_then(|i| i.confirmed_at).unwrap_or(event.at)
                });
                // One that was never begun here takes nothing from what is known of another.
                let is_of_another = |i: &Install| i.manifest != *manifest && i.state.is_settled();
                let keeps = *state == InstallState::Idle && device.install.as_ref().is_some_and(is_of_another);
                let stuck_on = device.stuck_on_another(manifest).filter(|_| unseen.is_some() && detail.contains(UNSEEN));
                let install = Install {
                    state: *state,
                    // It may run the release of before.
                    manifest: stuck_on.unwrap_or(*manifest),
                    detail: detail.clone(),
                    since: event.at,
                    rollback_ms,
                    confirmed_at,
                };
                device.install = device.install.take().filter(|_| keeps).or(Some(install));
                let before = self.deployments.values_mut().filter(|d| stuck_on == Some(d.plan.manifest));
                before.for_each(|held| held.lose(at, id, detail));
                let mut overtaken = None;
                if let Some(held) = self.deployments.get_mut(deployment) {
                    let has_gone_back = |held: &Deployment| held.devices.get(id).is_some_and(|p| p.has_gone_back);
                    let had_gone_back = has_gone_back(held);
                    held.report_state(at, id, *state, detail);
                    if device.deployment.as_ref() == Some(deployment) && forgotten::has_booted(*state) {
                        overtaken = device.moved_by.clone().filter(|before| before != deployment);
                    }
                    if had_gone_back || has_gone_back(held) {
                        self.redirected.insert(gateway.clone());
                    }
                    if !held.is_active() && held.devices.get(id).is_some_and(|p| !p.is_moved()) {
                        device.leave(deployment);
                    }
                }
                drop(device);
                if let Some(before) = overtaken.and_then(|before| self.deployments.get_mut(&before)) {
                    before.leave_behind(at, id);
                }
                if let Some(running) = running {
                    self.compare_release(at, id, running);
                }
            }
            EventKind::DeviceError { severity, code, message } => {
                let text = format!("{code}: {message}");
                device.last_error = Some(text.clone());
                let on_new = device.install.as_ref().filter(|i| {
                    matches!(i.state, InstallState::Activating | InstallState::Probation | InstallState::Confirmed)
                });
                let deployment = device.deployment.as_ref().and_then(|d| self.deployments.get_mut(d));
                if let (Some(install), Some(deployment)) = (on_new, deployment)
                    && install.manifest == deployment.plan.manifest
                    && deployment.status != Status::Completed
                {
                    deployment.report_error(at, id, *severity, &text);
                }
            }
            EventKind::Refused { what, reason } if what == REFUSED_WAITING => {
                // A clock of a gateway that is ahead must not let a wait begin in the future.
                let waiting = Waiting::from_event_text(reason);
                device.waiting = waiting.map(|w| Waiting { since: w.since.map(|since| since.min(at)), ..w });
            }
            EventKind::Refused { what, .. } if what == REFUSED_ROLLBACK => {
                if let Some(deployment) = device.deployment.as_ref().and_then(|d| self.deployments.get_mut(d)) {
                    deployment.report_stays(at, id);
                }
            }
            EventKind::AgentStarted { .. }
            | EventKind::Refused { .. }
            // Both taken above, whoever's device it is.
            | EventKind::LocalAction { .. }
            | EventKind::DeviceObserved { .. }
            // A record of its own follows.
            | EventKind::Consent { .. } => {}
        }
    }
}
