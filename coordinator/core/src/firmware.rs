//! Firmware releases and the approval workflow: draft → image → signed manifest → approvals → approved or rejected.

use std::collections::BTreeMap;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{FirmwareId, UserId};
use mdfm_shared::limits::{DELTAS_MAX, IMAGE_BYTES_MAX, TEXT_CHARS_MAX};
use mdfm_shared::manifest::{FirmwareClass, Manifest, is_label};
use mdfm_shared::record::{Actor, document_text, person};
use mdfm_shared::sbom::{PARTS_BYTES_MAX, PARTS_MAX, Part};
use mdfm_shared::sign::{Signature, Signed, Verified};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Approval, Role, Roster, RosterEntry, TrustRoot, check_approval, missing_roles, start_by};
use serde::{Deserialize, Serialize};

use super::refusal::Class;
use super::{Event, Proposal, Refusal, State, authority, people};

/// How far a signer's clock may run ahead of ours.
const CLOCK_AHEAD_MS_MAX: u64 = 5 * 60_000;

/// Where a release stands; each state says what is true of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum FirmwareStatus {
    /// Described, no image stored.
    AwaitingImage,
    /// Image stored and hashed, no signed manifest.
    AwaitingManifest,
    /// Signed manifest fits the image; approvals are being collected.
    PendingApproval,
    /// Every needed approval stands in the log.
    Approved,
    /// An approver said no; only a changed manifest can be put forward again.
    Rejected,
    /// The time for approvals ran out before all were given.
    ApprovalExpired,
    /// Recalled: no deployment may bring it any more.
    Withdrawn,
}

/// Time in which the approvals of a release must be given.
const APPROVAL_MS: u64 = 30 * 86_400_000;

impl FirmwareStatus {
    /// Whether an image may still be stored, or stored again: as long as nobody has signed what it is.
    pub fn takes_image(self) -> bool {
        matches!(self, Self::AwaitingImage | Self::AwaitingManifest)
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::AwaitingImage => "awaiting its image",
            Self::AwaitingManifest => "awaiting its signed manifest",
            Self::PendingApproval => "awaiting approvals",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::ApprovalExpired => "without approvals in time",
            Self::Withdrawn => "withdrawn",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    pub version: String,
    pub model: String,
    pub release_notes: String,
    pub submitter: String,
    pub status: FirmwareStatus,
    pub image: Option<(Digest, u64)>,
    /// Patches that are stored, with their lengths in bytes.
    pub deltas: BTreeMap<Digest, u64>,
    pub manifest: Option<AttachedManifest>,
    pub approvals: BTreeMap<Role, GivenApproval>,
    /// Approvals that were given and no longer count, until they are given again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostApproval>,
    pub rejection: Option<String>,
    /// The rejection with what its record says of it; `None` for one of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<GivenRejection>,
    /// When approvals were asked for.
    pub requested_at: UtcMillis,
    /// Parts that the software bill of materials names.
    pub sbom: Vec<Part>,
}

impl Firmware {
    /// The signed bill of materials that is not here yet: recalls would not find its parts.
    pub fn missing_sbom(&self) -> Option<Digest> {
        let named = self.manifest.as_ref()?.manifest.sbom_sha256;
        named.filter(|_| self.sbom.is_empty())
    }

    /// Digests of the files that the release refers to: its image, its patches, its bill of materials.
    pub fn files(&self) -> impl Iterator<Item = Digest> {
        let sbom = self.manifest.as_ref().and_then(|attached| attached.manifest.sbom_sha256);
        self.image.map(|(digest, _)| digest).into_iter().chain(self.deltas.keys().copied()).chain(sbom)
    }

    /// When the time for approvals runs out: thirty days, and in an emergency the trust root's window.
    pub fn approvals_until(&self, emergency_window_ms: u64) -> UtcMillis {
        let emergency = self.manifest.as_ref().is_some_and(|m| m.manifest.class == FirmwareClass::Emergency);
        self.requested_at.plus_ms(if emergency { emergency_window_ms } else { APPROVAL_MS })
    }
}

/// What a rejection says beside its role and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// As the roster had it.
    pub printed_name: String,
    pub meaning: String,
    /// Digest of the manifest that was rejected.
    pub manifest: Digest,
}

/// A rejection that stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenRejection {
    pub user: String,
    pub role: Role,
    pub reason: String,
    pub statement: Statement,
    pub at: UtcMillis,
    pub log_index: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedManifest {
    pub manifest: Manifest,
    pub digest: Digest,
    /// Where it stands in the log.
    pub log_index: u64,
    pub submitter: String,
}

/// An approval with the manifestation of its signature (21 CFR 11.50).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenApproval {
    pub user: UserId,
    pub printed_name: String,
    pub meaning: String,
    pub reason: String,
    pub at: UtcMillis,
    /// Where it stands in the log.
    pub log_index: u64,
    /// The signatures of the document; empty in states that were kept before they were noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

/// An approval that no longer counts: the roster or the trust root changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LostApproval {
    pub role: Role,
    pub user: UserId,
    pub printed_name: String,
    pub at: UtcMillis,
    pub log_index: u64,
    /// Why it no longer counts.
    pub reason: String,
}

fn need_status(firmware: &Firmware, id: &FirmwareId, needed: FirmwareStatus) -> Result<(), Refusal> {
    if firmware.status == needed {
        return Ok(());
    }
    let detail = format!("firmware {id} is {}; this step needs it to be {}", firmware.status.words(), needed.words());
    Err(Refusal::conflict("wrong-step", detail))
}

pub(super) fn create(
    state: &State,
    actor: &Actor,
    firmware: &FirmwareId,
    version: &str,
    model: &str,
    release_notes: &str,
) -> Result<Event, Refusal> {
    if state.firmware.contains_key(firmware) {
        return Err(Refusal::exists("firmware", firmware));
    }
    for (field, text) in [("version", version), ("deviceModel", model)] {
        if !is_label(text) {
            return Err(Refusal::invalid(field, "must be 1 to 128 printable characters"));
        }
    }
    if release_notes.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::invalid("releaseNotes", format!("at most {TEXT_CHARS_MAX} characters")));
    }
    Ok(Event::FirmwareCreated {
        firmware: firmware.clone(),
        version: version.to_owned(),
        model: model.to_owned(),
        release_notes: release_notes.to_owned(),
        submitter: actor.id.clone(),
    })
}

pub(super) fn store_image(state: &State, id: &FirmwareId, sha256: Digest, size_bytes: u64) -> Result<Event, Refusal> {
    let firmware = state.need_firmware(id)?;
    if !firmware.status.takes_image() {
        need_status(firmware, id, FirmwareStatus::AwaitingImage)?;
    }
    if size_bytes == 0 || size_bytes > IMAGE_BYTES_MAX {
        return Err(Refusal::invalid(
            "image",
            format!("size must be 1 to {IMAGE_BYTES_MAX} bytes, found {size_bytes}"),
        ));
    }
    Ok(Event::ImageStored { firmware: id.clone(), sha256, size_bytes })
}

pub(super) fn store_delta(state: &State, id: &FirmwareId, sha256: Digest, size_bytes: u64) -> Result<Event, Refusal> {
    let firmware = state.need_firmware(id)?;
    need_status(firmware, id, FirmwareStatus::AwaitingManifest)?;
    if firmware.deltas.len() >= DELTAS_MAX && !firmware.deltas.contains_key(&sha256) {
        return Err(Refusal::invalid("delta", format!("a release has at most {DELTAS_MAX} patches")));
    }
    if size_bytes == 0 {
        return Err(Refusal::invalid("delta", "it is empty"));
    }
    Ok(Event::DeltaStored { firmware: id.clone(), sha256, size_bytes })
}

fn differs(field: &str, found: &str, expected: &str) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    Err(Refusal::invalid(field, format!("the manifest says {found:?}, the upload {expected:?}")))
}

/// Checks everything about a signed manifest that does not need the image: before the first byte is sent, and when it is attached.
///
/// # Errors
/// Why it would not be attached.
fn check_manifest(
    state: &State,
    id: &FirmwareId,
    model: &str,
    version: &str,
    signed: &Signed<Manifest>,
) -> Result<Verified<Manifest>, Refusal> {
    let root = state.need_root()?;
    let manifest = signed.verify(root.release_keys()).map_err(|e| Refusal::document("manifest-signature", e))?;
    manifest.check().map_err(|e| Refusal::document("manifest-field", e))?;
    differs("firmwareId", manifest.firmware_id.as_str(), id.as_str())?;
    differs("model", &manifest.model, model)?;
    differs("version", &manifest.version, version)?;
    let clash = state.firmware.iter().find(|(other, f)| {
        *other != id
            && f.manifest.as_ref().is_some_and(|m| {
                m.manifest.model == manifest.model && m.manifest.release_number == manifest.release_number
            })
    });
    if let Some((other, _)) = clash {
        let detail = format!("release number {} of {} belongs to {other}", manifest.release_number, manifest.model);
        return Err(Refusal::conflict("release-number-taken", detail));
    }
    Ok(manifest)
}

/// Checks a release before anything of it is stored: its description, and the signed manifest that follows the image.
///
/// # Errors
/// Why it would be refused later.
pub fn foresee(
    state: &State,
    actor: &Actor,
    (id, version, model, release_notes): (&FirmwareId, &str, &str, &str),
    signed: &Signed<Manifest>,
    image_bytes_max: u64,
) -> Result<(), Refusal> {
    create(state, actor, id, version, model, release_notes)?;
    let manifest = check_manifest(state, id, model, version, signed)?;
    if manifest.size_bytes() > image_bytes_max {
        let detail =
            format!("the image has {} bytes; this coordinator takes {image_bytes_max} at most", manifest.size_bytes());
        return Err(Refusal::new(Class::TooLarge, "image-too-large", detail));
    }
    Ok(())
}

pub(super) fn attach_manifest(
    state: &State,
    actor: &Actor,
    id: &FirmwareId,
    signed: &Signed<Manifest>,
) -> Result<Vec<Proposal>, Refusal> {
    let firmware = state.need_firmware(id)?;
    // A changed manifest starts the approvals anew; the same one only after they were refused or ran out.
    match firmware.status {
        FirmwareStatus::PendingApproval | FirmwareStatus::Rejected
            if firmware.manifest.as_ref().is_some_and(|m| m.digest != signed.digest()) => {}
        FirmwareStatus::ApprovalExpired => {}
        _ => need_status(firmware, id, FirmwareStatus::AwaitingManifest)?,
    }
    let manifest = check_manifest(state, id, &firmware.model, &firmware.version, signed)?;
    let (sha256, size_bytes) = firmware.image.ok_or_else(|| {
        Refusal::conflict(
            "wrong-step",
            "the image comes before its manifest: upload it first (mdfmctl firmware upload)",
        )
    })?;
    if manifest.sha256 != sha256 {
        let what = "the manifest does not name the uploaded image";
        return Err(Refusal::digest_mismatch(what, sha256, manifest.sha256));
    }
    differs("size", &manifest.size_bytes().to_string(), &size_bytes.to_string())?;
    if let Some(delta) = manifest.deltas.iter().find(|d| firmware.deltas.get(&d.sha256) != Some(&d.size_bytes)) {
        let detail = format!("patch {} of {} bytes was not uploaded", delta.sha256, delta.size_bytes);
        return Err(Refusal::invalid("deltas", detail));
    }
    let running = state.deployments.iter().find(|(_, d)| d.plan.firmware == *id && d.is_active());
    if let Some((deployment, _)) = running.filter(|(_, d)| d.plan.manifest != signed.digest()) {
        let detail =
            format!("deployment {deployment} brings the manifest approved before; abort it or roll it back first");
        return Err(Refusal::conflict("firmware-in-deployment", detail));
    }
    let event = Event::ManifestAttached { firmware: id.clone(), digest: signed.digest(), submitter: actor.id.clone() };
    Ok(vec![Proposal::new("firmware.manifest", format!("firmware/{id}"), event).with(document_text(signed))])
}

/// The roles whose approvals are missing, if `role` is one of them and `user` may give it.
fn need_open_role(
    firmware: &Firmware,
    root: &TrustRoot,
    manifest: &Manifest,
    user: &UserId,
    role: Role,
) -> Result<Vec<Role>, Refusal> {
    let refuse = |detail: String| Err(Refusal::document("approval-refused", detail));
    if let Some(given) = firmware.approvals.get(&role) {
        let detail = format!("{role} has been given by {} already", given.user);
        return Err(Refusal::conflict("already-approved", detail));
    }
    if firmware.approvals.values().any(|a| a.user == *user) {
        return refuse(format!("{user} signed in another role; each approval needs a different person"));
    }
    let missing = missing_roles(&root.approvals, manifest, []).into_iter();
    let missing: Vec<Role> = missing.filter(|r| !firmware.approvals.contains_key(r)).collect();
    if !missing.contains(&role) {
        return refuse(format!("this release does not need the role {role}"));
    }
    Ok(missing)
}

/// Whether an approval by `user` as `role`, signed now with their own key, would be accepted. What depends on the signature itself is not
/// checked.
///
/// # Errors
/// Why it would be refused.
pub fn may_approve(state: &State, now: UtcMillis, id: &FirmwareId, user: &UserId, role: Role) -> Result<(), Refusal> {
    let firmware = state.need_firmware(id)?;
    need_status(firmware, id, FirmwareStatus::PendingApproval)?;
    need_sbom(firmware, id)?;
    let (root, roster) = (state.need_root()?, state.need_roster()?);
    let attached = firmware.manifest.as_ref().ok_or_else(|| Refusal::conflict("wrong-step", "no manifest"))?;
    if !roster.entries_of(user).any(|e| e.roles.contains(&role) && e.is_valid(now, state.log_size)) {
        let detail = format!("{user} has no authority as {role} on the roster of today");
        return Err(Refusal::forbidden("not-on-roster", detail));
    }
    people::may_sign(state, now, user.as_str())?;
    if [&firmware.submitter, &attached.submitter].iter().any(|submitter| person(submitter) == user.as_str()) {
        let detail = format!("{user} submitted this firmware and may not approve it");
        return Err(Refusal::document("approval-refused", detail));
    }
    need_open_role(firmware, root, &attached.manifest, user, role).map(drop)
}

pub(super) fn approve(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &FirmwareId,
    signed: &Signed<Approval>,
) -> Result<Vec<Proposal>, Refusal> {
    let firmware = state.need_firmware(id)?;
    need_status(firmware, id, FirmwareStatus::PendingApproval)?;
    need_sbom(firmware, id)?;
    let (root, roster) = (state.need_root()?, state.need_roster()?);
    let attached = firmware.manifest.as_ref().ok_or_else(|| Refusal::conflict("wrong-step", "no manifest"))?;
    let refuse = |e: &dyn std::fmt::Display| Refusal::document("approval-refused", e);
    let approval =
        check_approval(signed, attached.digest, &attached.submitter, roster, state.log_size).map_err(|e| refuse(&e))?;
    if approval.user.as_str() != actor.id {
        let detail =
            format!("{} is signed in, the approval is by {}: nobody signs for another", actor.id, approval.user);
        return Err(Refusal::forbidden("not-the-signer", detail));
    }
    people::may_sign(state, now, person(&actor.id))?;
    authority::need_current(state, now, signed, |e| e.user == approval.user && e.roles.contains(&approval.role))?;
    if approval.user.as_str() == person(&firmware.submitter) {
        return Err(refuse(&format!("{} submitted this firmware and may not approve it", approval.user)));
    }
    if approval.at.plus_ms(CLOCK_AHEAD_MS_MAX) < firmware.requested_at {
        return Err(refuse(&format!(
            "the approval is dated {}, before approvals were asked for ({})",
            approval.at, firmware.requested_at
        )));
    }
    if approval.at > now.plus_ms(CLOCK_AHEAD_MS_MAX) {
        return Err(refuse(&format!("the approval is dated {} in the future; check the signing clock", approval.at)));
    }
    let missing = need_open_role(firmware, root, &attached.manifest, &approval.user, approval.role)?;
    if attached.manifest.class == FirmwareClass::Emergency {
        let window_ms = root.approvals.emergency_window_ms;
        let apart = |a: UtcMillis, b: UtcMillis| a.since_ms(b).max(b.since_ms(a));
        if firmware.approvals.values().any(|given| apart(given.at, approval.at) > window_ms) {
            return Err(refuse(&format!(
                "emergency approvals must lie within {window_ms} ms; submit the release again"
            )));
        }
    }
    let object = format!("firmware/{id}");
    let event = Event::ApprovalSigned { firmware: id.clone(), role: approval.role, user: approval.user.clone() };
    let mut proposals = vec![
        Proposal::new("firmware.approve", object.clone(), event)
            .because(approval.reason.clone())
            .with(document_text(signed)),
    ];
    if missing.len() == 1 {
        proposals.push(
            Proposal::new("firmware.approved", object, Event::FirmwareApproved { firmware: id.clone() })
                .because("every needed approval stands in the log"),
        );
    }
    Ok(proposals)
}

/// What a rejection says, as its record has it (21 CFR 11.50(a)(3)).
pub fn rejection_meaning(id: &FirmwareId, firmware: &Firmware, role: Role) -> String {
    format!("I reject {id} {} for {} as {role}", firmware.version, firmware.model)
}

/// Whether `user` may reject the release as `role` now; returns what would be recorded beside role and reason.
///
/// # Errors
/// Why they may not.
pub fn may_reject(
    state: &State,
    now: UtcMillis,
    id: &FirmwareId,
    user: &str,
    role: Role,
) -> Result<Statement, Refusal> {
    let firmware = state.need_firmware(id)?;
    need_status(firmware, id, FirmwareStatus::PendingApproval)?;
    let attached = firmware.manifest.as_ref().ok_or_else(|| Refusal::conflict("wrong-step", "no manifest"))?;
    let roster = state.need_roster()?;
    let may_sign =
        |e: &&RosterEntry| e.user.as_str() == user && e.roles.contains(&role) && e.is_valid(now, state.log_size);
    let Some(entry) = roster.entries.iter().find(may_sign) else {
        let detail = format!("{user} has no authority as {role} on the roster of today");
        return Err(Refusal::forbidden("not-on-roster", detail));
    };
    people::may_sign(state, now, person(user))?;
    Ok(Statement {
        printed_name: entry.printed_name.clone(),
        meaning: rejection_meaning(id, firmware, role),
        manifest: attached.digest,
    })
}

/// `shown` is the manifest that whoever rejects was shown.
pub(super) fn reject(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &FirmwareId,
    (role, reason, shown): (Role, &str, Option<Digest>),
) -> Result<Vec<Proposal>, Refusal> {
    let statement = may_reject(state, now, id, &actor.id, role)?;
    if let Some(shown) = shown.filter(|shown| *shown != statement.manifest) {
        let held = statement.manifest;
        let detail = format!("you were shown manifest {shown}, the release has {held}; look at it again");
        return Err(Refusal::conflict("changed-meanwhile", detail));
    }
    let (user, reason_text) = (actor.id.clone(), reason.to_owned());
    let event =
        Event::FirmwareRejected { firmware: id.clone(), role, user, reason: reason_text, statement: Some(statement) };
    Ok(vec![Proposal::new("firmware.reject", format!("firmware/{id}"), event).because(reason)])
}

/// Takes a release back: no new deployment may use it. What runs it keeps running it; a recall brings devices off it.
pub(super) fn withdraw(state: &State, id: &FirmwareId) -> Result<Event, Refusal> {
    let firmware = state.need_firmware(id)?;
    if firmware.status == FirmwareStatus::Withdrawn {
        return Err(Refusal::conflict("wrong-step", format!("firmware {id} is withdrawn already")));
    }
    let running = state.deployments.iter().find(|(_, d)| d.plan.firmware == *id && d.is_active());
    if let Some((deployment, _)) = running {
        let detail = format!("deployment {deployment} of {id} is not over; abort it or roll it back first");
        return Err(Refusal::conflict("firmware-in-deployment", detail));
    }
    Ok(Event::FirmwareWithdrawn { firmware: id.clone() })
}

/// Why an approval does not count under the roster; `None` if it counts. Agents ask the same of its document.
fn lost_because(roster: &Roster, role: Role, given: &GivenApproval) -> Option<String> {
    let at = (given.at, given.log_index);
    // Without the signatures, which older states did not keep, every entry of the person may be the one.
    let stands = |e: &RosterEntry| {
        e.user == given.user
            && e.roles.contains(&role)
            && e.printed_name == given.printed_name
            && e.is_valid(given.at, given.log_index)
            && (given.signatures.is_empty() || given.signatures.iter().any(|s| s.key == e.key.id()))
    };
    if roster.entries.iter().any(stands) {
        return None;
    }
    let entry = roster.entry_for(&given.user, role, &given.signatures, &given.printed_name, at);
    Some(match entry.map(|e| e.revoked) {
        None => format!("{} is not on the roster as {role} any more", given.user),
        Some(Some(revoked)) => {
            format!("{} was revoked from {} and log size {} on", given.user, revoked.at, revoked.log_size)
        }
        Some(None) => format!("no roster entry of {} covers {} with this key and name", given.user, given.at),
    })
}

/// Whether every approval of a release that a deployment brings still counts.
///
/// # Errors
/// Whose approval counts no longer, or that the release waits for approvals again.
pub fn approvals_stand(state: &State, id: &FirmwareId) -> Result<(), Refusal> {
    let (firmware, roster) = (state.need_firmware(id)?, state.need_roster()?);
    let gone = |detail| Err(Refusal::conflict("approval-lost", detail));
    if let Some(lost) = firmware.lost.first() {
        return gone(lost.words(id));
    }
    match firmware.status {
        // A recall withdraws the release; what becomes of its deployments is the recall's.
        FirmwareStatus::Approved | FirmwareStatus::Withdrawn => {}
        status => return gone(format!("firmware {id} is {}: its approvals must be given again", status.words())),
    }
    for (role, given) in &firmware.approvals {
        if let Some(reason) = lost_because(roster, *role, given) {
            return gone(given.lost(*role, reason).words(id));
        }
    }
    Ok(())
}

/// Whether gateways still begin to install an approved release: they ask the same of an emergency release.
///
/// # Errors
/// Since when they do not.
pub fn may_start(state: &State, now: UtcMillis, id: &FirmwareId) -> Result<(), Refusal> {
    let firmware = state.need_firmware(id)?;
    let last = firmware.approvals.values().map(|a| a.at).max();
    let class = firmware.manifest.as_ref().map(|m| m.manifest.class);
    match class.zip(last).and_then(|(class, last)| start_by(class, last)) {
        Some(until) if now > until => {
            let detail =
                format!("{id} was approved as an emergency and may be started until {until}; submit it as standard");
            Err(Refusal::conflict("emergency-late", detail))
        }
        Some(_) | None => Ok(()),
    }
}

impl GivenApproval {
    fn lost(&self, role: Role, reason: String) -> LostApproval {
        let Self { user, printed_name, at, log_index, meaning: _, reason: _, signatures: _ } = self;
        let (user, printed_name) = (user.clone(), printed_name.clone());
        LostApproval { role, user, printed_name, at: *at, log_index: *log_index, reason }
    }
}

impl LostApproval {
    fn words(&self, id: &FirmwareId) -> String {
        let Self { role, user, reason, .. } = self;
        format!("the approval of {id} by {user} as {role} no longer counts: {reason}; {role} must approve again")
    }
}

/// What a change of roster or root does to the releases that have approvals or collect them. An approval that no longer counts
/// is taken off the release, which waits for it again.
pub fn recheck(state: &State) -> Vec<Proposal> {
    let (Some(root), Some(roster)) = (state.trusted_root(), state.roster.as_ref()) else { return Vec::new() };
    let change = |(id, firmware): (&FirmwareId, &Firmware)| {
        let is_approved = match firmware.status {
            FirmwareStatus::Approved => true,
            FirmwareStatus::PendingApproval => false,
            _ => return None,
        };
        let manifest = &firmware.manifest.as_ref()?.manifest;
        let judged = |(role, given): (&Role, &GivenApproval)| {
            lost_because(roster, *role, given).map(|reason| given.lost(*role, reason))
        };
        let mut lost: Vec<LostApproval> = firmware.approvals.iter().filter_map(judged).collect();
        if !lost.is_empty() && manifest.class == FirmwareClass::Emergency {
            // Emergency approvals must lie within one window: those that still count cannot be joined by later ones.
            let others = firmware.approvals.iter().filter(|(role, _)| lost.iter().all(|l| l.role != **role));
            let reason = || "emergency approvals must all lie within one window".to_owned();
            let others: Vec<LostApproval> = others.map(|(role, given)| given.lost(*role, reason())).collect();
            lost.extend(others);
        }
        let mut missing = missing_roles(&root.approvals, manifest, []);
        missing.retain(|role| !firmware.approvals.contains_key(role) || lost.iter().any(|l| l.role == *role));
        let object = format!("firmware/{id}");
        if !lost.is_empty() || (is_approved && !missing.is_empty()) {
            let mut words: Vec<String> = lost.iter().map(|l| l.words(id)).collect();
            if lost.is_empty() {
                let roles: Vec<String> = missing.iter().map(ToString::to_string).collect();
                words.push(format!("the trust root demands the approval of {} too", roles.join(", ")));
            }
            let event = Event::ApprovalsLost { firmware: id.clone(), lost };
            return Some(Proposal::new("firmware.approvals.lost", object, event).because(words.join("; ")));
        }
        // A root that demands fewer roles may leave nothing to wait for.
        (!is_approved && missing.is_empty()).then(|| {
            Proposal::new("firmware.approved", object, Event::FirmwareApproved { firmware: id.clone() })
                .because("every needed approval stands in the log")
        })
    };
    state.firmware.iter().filter_map(change).collect()
}

/// Releases whose time for approvals has run out.
pub fn expire(state: &State, now: UtcMillis) -> Vec<Proposal> {
    let Some(root) = state.trusted_root() else { return Vec::new() };
    state
        .firmware
        .iter()
        .filter(|(_, f)| f.status == FirmwareStatus::PendingApproval)
        .filter(|(_, f)| now >= f.approvals_until(root.approvals.emergency_window_ms))
        .map(|(id, f)| {
            let reason = format!("approvals were asked for on {} and are not complete", f.requested_at);
            let event = Event::ApprovalsExpired { firmware: id.clone() };
            Proposal::new("firmware.approvals.expire", format!("firmware/{id}"), event).because(reason)
        })
        .collect()
}

/// Refuses what needs the bill of materials that the manifest of a release names, while it is not here.
///
/// # Errors
/// It is missing.
pub fn need_sbom(firmware: &Firmware, id: &FirmwareId) -> Result<(), Refusal> {
    match firmware.missing_sbom() {
        Some(sha256) => {
            let detail = format!(
                "the bill of materials that the manifest of {id} names (SHA-256 {sha256}) is not here, so no recall would find its \
                 parts; attach it first (mdfmctl firmware sbom {id} --file FILE)"
            );
            Err(Refusal::conflict("sbom-missing", detail))
        }
        None => Ok(()),
    }
}

/// Bytes of the texts of parts in one record.
const SBOM_BYTES_MAX: usize = 40_000;

/// Whether a release waits for the bill of materials of this digest; without one, for any.
///
/// # Errors
/// Why it does not.
pub fn takes_sbom(firmware: &Firmware, id: &FirmwareId, sha256: Option<Digest>) -> Result<(), Refusal> {
    let attached = firmware.manifest.as_ref().ok_or_else(|| {
        Refusal::conflict(
            "wrong-step",
            "the manifest comes before its bill of materials: sign it first (mdfmctl firmware upload)",
        )
    })?;
    match attached.manifest.sbom_sha256 {
        Some(named) => {
            if let Some(other) = sha256.filter(|sha256| *sha256 != named) {
                return Err(Refusal::digest_mismatch(
                    "this is not the bill of materials that was signed",
                    other,
                    named,
                ));
            }
        }
        None => return Err(Refusal::conflict("no-sbom", format!("the manifest of {id} names no bill of materials"))),
    }
    if !firmware.sbom.is_empty() {
        return Err(Refusal::conflict("wrong-step", format!("{id} has its bill of materials already")));
    }
    Ok(())
}

/// Takes the parts of a release's bill of materials, whose digest must be the one that the manifest names.
pub(super) fn attach_sbom(
    state: &State,
    id: &FirmwareId,
    sha256: Digest,
    components: &[Part],
) -> Result<Vec<Proposal>, Refusal> {
    takes_sbom(state.need_firmware(id)?, id, Some(sha256))?;
    if components.is_empty() || components.len() > PARTS_MAX {
        return Err(Refusal::invalid("components", format!("must be 1 to {PARTS_MAX}")));
    }
    components.iter().try_for_each(Part::check).map_err(|e| Refusal::invalid("components", e))?;
    if components.iter().map(Part::bytes).sum::<usize>() > PARTS_BYTES_MAX {
        return Err(Refusal::invalid("components", format!("at most {PARTS_BYTES_MAX} bytes")));
    }
    let mut chunks: Vec<Vec<Part>> = vec![Vec::new()];
    let mut bytes = 0;
    for component in components {
        let size = serde_json::to_vec(component).map_err(|e| Refusal::invalid("components", e))?.len() + 1;
        if bytes + size > SBOM_BYTES_MAX && bytes > 0 {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        chunks.last_mut().expect("never empty").push(component.clone());
    }
    let object = format!("firmware/{id}");
    let event = |components| Event::SbomAttached { firmware: id.clone(), sha256, components };
    Ok(chunks.into_iter().map(|c| Proposal::new("firmware.sbom", object.clone(), event(c))).collect())
}
