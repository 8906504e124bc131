//! The proof that a release may be installed: the manifest and every approval that the policy needs, each as the very entry
//! of the audit log in which it stands.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Approval, ApprovalPolicy, Role, Roster, TrustedRoot};
use crate::digest::Digest;
use crate::id::UserId;
use crate::limits::{APPROVALS_MAX, PROOF_HASHES_MAX};
use crate::manifest::{FirmwareClass, Manifest, ManifestError};
use crate::record::{AuditRecord, Outcome, RecordError, person};
use crate::sign::{KeySet, SignError, Signed, Verified};
use crate::text::duration;
use crate::time::UtcMillis;
use crate::tlog::{Checkpoint, Hash, ProofError, leaf_hash, verify_inclusion};

/// One entry of the audit log with the proof that it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRecord {
    /// Position in the log, 0 for the first.
    pub index: u64,
    /// The entry's exact bytes.
    pub bytes: Vec<u8>,
    /// Inclusion proof under the evidence's checkpoint, leaf side first.
    pub proof: Vec<Hash>,
}

/// A release as it travels to agents: nothing of it trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseEvidence {
    /// The signed checkpoint (C2SP tlog-checkpoint note) under which the proofs hold.
    pub checkpoint: String,
    /// The entry with the signed manifest.
    pub manifest: LoggedRecord,
    /// The entries with the signed approvals.
    pub approvals: Vec<LoggedRecord>,
}

/// Why one approval does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignError),
    /// For another release.
    #[error("approval by {user} is for manifest {found}, not for {expected}")]
    OtherManifest {
        /// Who signed.
        user: UserId,
        /// The manifest looked for.
        expected: Digest,
        /// The manifest approved.
        found: Digest,
    },
    /// The person is not on the roster with that role.
    #[error("{user} is not on the roster as {role}")]
    NotOnRoster {
        /// Who signed.
        user: UserId,
        /// In which role.
        role: Role,
    },
    /// The person's authority did not cover the time or the log position of the signature.
    #[error("{user}'s authority as {role} was not valid when the approval was signed or logged ({at})")]
    NotValidThen {
        /// Who signed.
        user: UserId,
        /// In which role.
        role: Role,
        /// When.
        at: UtcMillis,
    },
    /// The name under the signature is not the person's.
    #[error("approval by {user} prints the name {found:?}, the roster says {expected:?}")]
    PrintedName {
        /// Who signed.
        user: UserId,
        /// The roster's name.
        expected: String,
        /// The printed name.
        found: String,
    },
    /// Who uploaded the release may not approve it.
    #[error("{0} submitted this release and may not approve it")]
    SelfApproval(UserId),
}

/// Why a release may not be installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The checkpoint is not the log's.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] crate::tlog::NoteError),
    /// An entry does not stand in the log.
    #[error("log entry {index} is not proved to stand in the audit log: {cause}")]
    NotInLog {
        /// The entry's claimed position.
        index: u64,
        /// What is wrong with the proof.
        cause: ProofError,
    },
    /// An entry is no record, or carries no such document.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An entry that records a refusal.
    #[error("log entry {0} records a refused action, not an approval")]
    RefusedEntry(u64),
    /// The manifest is not signed by the release role.
    #[error("manifest: {0}")]
    Manifest(SignError),
    /// The manifest makes no sense.
    #[error(transparent)]
    ManifestField(#[from] ManifestError),
    /// Another release than the one looked for.
    #[error("evidence is for manifest {found}, the directive names {expected}")]
    OtherManifest {
        /// The digest that the directive names.
        expected: Digest,
        /// The digest of the manifest in the evidence.
        found: Digest,
    },
    /// An approval does not count.
    #[error("approval: {0}")]
    Approval(#[from] ApprovalError),
    /// More approvals than any policy needs.
    #[error("evidence carries {0} approvals, at most {APPROVALS_MAX} are accepted")]
    TooManyApprovals(usize),
    /// Not every needed role has signed.
    #[error("approvals are missing from: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    MissingApprovals(BTreeSet<Role>),
    /// One person in two roles.
    #[error("{0} signed in two roles; each approval needs a different person")]
    SamePerson(UserId),
    /// Emergency approvals too far apart.
    #[error("emergency approvals lie {} apart, the window is {}", duration(*.found_ms), duration(*.window_ms))]
    EmergencyWindow {
        /// The allowed distance.
        window_ms: u64,
        /// The distance found.
        found_ms: u64,
    },
}

/// Time after the last approval of an emergency release in which a device may begin to install it. It was approved without QA
/// because there was no time; a gateway that comes back later than a week gets a release that had it.
pub const EMERGENCY_START_MS: u64 = 7 * 86_400_000;

/// Returns until when a device may begin to install a release of that class; `None` if at any time.
pub fn start_by(class: FirmwareClass, last_approval: UtcMillis) -> Option<UtcMillis> {
    match class {
        FirmwareClass::Emergency => Some(last_approval.plus_ms(EMERGENCY_START_MS)),
        FirmwareClass::Standard | FirmwareClass::Recall => None,
    }
}

/// The roles that a manifest needs and that `approvals` does not cover.
pub fn missing_roles<'a>(
    policy: &ApprovalPolicy,
    manifest: &Manifest,
    approvals: impl IntoIterator<Item = &'a Approval>,
) -> BTreeSet<Role> {
    let mut needed: BTreeSet<Role> =
        policy.roles(manifest.class).iter().chain(&manifest.extra_approvals).copied().collect();
    for approval in approvals {
        needed.remove(&approval.role);
    }
    needed
}

/// Checks one approval of `manifest` that stands in the log at `log_index`, against the roster.
///
/// # Errors
/// See [`ApprovalError`].
pub fn check_approval(
    signed: &Signed<Approval>,
    manifest: Digest,
    submitter: &str,
    roster: &Roster,
    log_index: u64,
) -> Result<Verified<Approval>, ApprovalError> {
    let claimed = signed.decode_unverified()?;
    let (name, signed_at) = (&claimed.printed_name, (claimed.at, log_index));
    let Some(entry) = roster.entry_for(&claimed.user, claimed.role, signed.signatures(), name, signed_at) else {
        return Err(ApprovalError::NotOnRoster { user: claimed.user, role: claimed.role });
    };
    let approval = signed.verify(&KeySet::single(entry.key.clone()))?;
    let user = approval.user.clone();
    if approval.manifest != manifest {
        return Err(ApprovalError::OtherManifest { user, expected: manifest, found: approval.manifest });
    }
    if !entry.is_valid(approval.at, log_index) {
        return Err(ApprovalError::NotValidThen { user, role: approval.role, at: approval.at });
    }
    if approval.printed_name != entry.printed_name {
        let (expected, found) = (entry.printed_name.clone(), approval.printed_name.clone());
        return Err(ApprovalError::PrintedName { user, expected, found });
    }
    if user.as_str() == person(submitter) {
        return Err(ApprovalError::SelfApproval(user));
    }
    Ok(approval)
}

/// A release that every needed person approved and that stands in the audit log. Only [`ReleaseEvidence::verify`] makes one.
#[derive(Debug, Clone)]
pub struct ApprovedRelease {
    manifest: Verified<Manifest>,
    checkpoint: Checkpoint,
    approved_at: UtcMillis,
}

impl ApprovedRelease {
    /// When the last approval was signed.
    pub fn approved_at(&self) -> UtcMillis {
        self.approved_at
    }
    /// The manifest.
    pub fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }
    /// Until when a device may begin to install it; `None` if at any time.
    pub fn start_by(&self) -> Option<UtcMillis> {
        start_by(self.manifest.class, self.approved_at)
    }
    /// The checkpoint under which the proofs hold; the caller must show it consistent with every one it has seen.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

pub(super) fn proved(entry: &LoggedRecord, checkpoint: &Checkpoint) -> Result<AuditRecord, ReleaseError> {
    if entry.proof.len() > PROOF_HASHES_MAX {
        return Err(ReleaseError::NotInLog { index: entry.index, cause: ProofError::Length });
    }
    verify_inclusion(entry.index, checkpoint.size, &leaf_hash(&entry.bytes), &entry.proof, &checkpoint.root)
        .map_err(|cause| ReleaseError::NotInLog { index: entry.index, cause })?;
    let record = AuditRecord::from_bytes(&entry.bytes)?;
    match record.outcome {
        Outcome::Accepted => Ok(record),
        Outcome::Refused => Err(ReleaseError::RefusedEntry(entry.index)),
    }
}

impl ReleaseEvidence {
    /// Checks everything that does not depend on the device: log proofs, release signatures, approvals by distinct people
    /// of every needed role whose authority held when they signed, and the emergency window.
    ///
    /// # Errors
    /// See [`ReleaseError`]; none is worth a retry with the same bytes, roster and root.
    pub fn verify(
        &self,
        expected: Digest,
        root: &TrustedRoot,
        roster: &Roster,
    ) -> Result<ApprovedRelease, ReleaseError> {
        let checkpoint = root.witnesses().open(self.checkpoint.as_bytes(), root.log_key())?;
        if self.approvals.len() > APPROVALS_MAX {
            return Err(ReleaseError::TooManyApprovals(self.approvals.len()));
        }
        let record = proved(&self.manifest, &checkpoint)?;
        let manifest = record.document::<Manifest>()?.verify(root.release_keys()).map_err(ReleaseError::Manifest)?;
        if manifest.digest() != expected {
            return Err(ReleaseError::OtherManifest { expected, found: manifest.digest() });
        }
        manifest.check()?;
        let mut approvals: Vec<Verified<Approval>> = Vec::new();
        for entry in &self.approvals {
            let signed = proved(entry, &checkpoint)?.document::<Approval>()?;
            let approval = check_approval(&signed, expected, &record.actor.id, roster, entry.index)?;
            if let Some(other) = approvals.iter().find(|a| a.user == approval.user) {
                return Err(ReleaseError::SamePerson(other.user.clone()));
            }
            approvals.push(approval);
        }
        let missing = missing_roles(&root.approvals, &manifest, approvals.iter().map(|a| &**a));
        if !missing.is_empty() {
            return Err(ReleaseError::MissingApprovals(missing));
        }
        if manifest.class == FirmwareClass::Emergency {
            let times = || approvals.iter().map(|a| a.at);
            let found_ms = times().max().unwrap_or_default().since_ms(times().min().unwrap_or_default());
            let window_ms = root.approvals.emergency_window_ms;
            if found_ms > window_ms {
                return Err(ReleaseError::EmergencyWindow { window_ms, found_ms });
            }
        }
        let approved_at = approvals.iter().map(|a| a.at).max().unwrap_or_default();
        Ok(ApprovedRelease { manifest, checkpoint, approved_at })
    }
}

#[cfg(test)]
mod tests;
