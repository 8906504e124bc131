//! The trust root: keys and thresholds of every role, replaced only by itself (the rotation rule of TUF, §5.3).

use serde::{Deserialize, Serialize};

use super::Role;
use crate::digest::Digest;
use crate::manifest::FirmwareClass;
use crate::sign::{Document, KeyError, KeySet, PublicKey, SignError, Signed, Verified};
use crate::time::UtcMillis;
use crate::tlog::{NoteError, NoteKey, WitnessPolicy};

/// The keys of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// The keys that may sign for the role.
    pub keys: Vec<PublicKey>,
    /// How many of them must.
    pub threshold: u16,
}

impl RoleKeys {
    /// The keys as a checked set.
    ///
    /// # Errors
    /// The threshold cannot be met, or is zero.
    pub fn key_set(&self) -> Result<KeySet, KeyError> {
        KeySet::new(self.keys.iter().cloned(), usize::from(self.threshold))
    }
}

/// Which approvals each class of firmware needs, whatever a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalPolicy {
    /// Roles for [`FirmwareClass::Standard`] and [`FirmwareClass::Recall`].
    pub standard: Vec<Role>,
    /// Roles for [`FirmwareClass::Emergency`].
    pub emergency: Vec<Role>,
    /// Longest time between the first and the last emergency approval, in milliseconds.
    pub emergency_window_ms: u64,
}

impl ApprovalPolicy {
    /// The seed's policy: Clinical, QA and Regulatory; Clinical and Regulatory within four hours in an emergency.
    pub fn seed() -> Self {
        Self {
            standard: Role::ALL.to_vec(),
            emergency: vec![Role::Clinical, Role::Regulatory],
            emergency_window_ms: 4 * 3_600_000,
        }
    }
    /// The roles that a class needs.
    pub fn roles(&self, class: FirmwareClass) -> &[Role] {
        match class {
            FirmwareClass::Standard | FirmwareClass::Recall => &self.standard,
            FirmwareClass::Emergency => &self.emergency,
        }
    }
}

/// One version of the trust root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRoot {
    /// 1 for the first; each next is one higher.
    pub version: u64,
    /// After this an agent installs nothing new until a newer root arrives.
    pub expires_at: UtcMillis,
    /// Who signs roots.
    pub root: RoleKeys,
    /// Who signs manifests.
    pub release: RoleKeys,
    /// Who signs rosters.
    pub registrar: RoleKeys,
    /// Who signs directives and acks: the coordinator's online key.
    pub coordinator: RoleKeys,
    /// Verifier key of the audit log (C2SP signed-note vkey).
    pub log: String,
    /// Who must have seen a checkpoint of the log before it counts.
    pub witnesses: Witnesses,
    /// Approvals needed.
    pub approvals: ApprovalPolicy,
}

/// Witnesses of the audit log (C2SP tlog-witness).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Witnesses {
    /// Verifier keys of cosignatures (type 0x04).
    pub keys: Vec<String>,
    /// How many of them must have cosigned; zero demands none.
    pub threshold: u16,
}

impl Document for TrustRoot {
    const TYPE: &'static str = "trust-root";
}

/// Why a root is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The signatures are not enough.
    #[error(transparent)]
    Signature(#[from] SignError),
    /// A first root other than the pinned one.
    #[error("trust root has digest {found}, the enrolment token pins {pinned}")]
    NotPinned {
        /// The pinned digest.
        pinned: Digest,
        /// The root's digest.
        found: Digest,
    },
    /// Not the version that comes next.
    #[error("trust root version {found} does not follow version {held}")]
    Version {
        /// The version held.
        held: u64,
        /// The version found.
        found: u64,
    },
    /// A role that nobody could sign for.
    #[error("trust root: role {role}: {cause}")]
    Role {
        /// Which role.
        role: &'static str,
        /// What is wrong.
        cause: KeyError,
    },
    /// The log's verifier key cannot be read.
    #[error("trust root: log key: {0}")]
    LogKey(NoteError),
    /// The witnesses make no policy.
    #[error("trust root: witnesses: a key cannot be read or stands there twice, or more are demanded than there are")]
    Witnesses,
    /// A class of firmware that would need no approval at all.
    #[error("trust root: class {0:?} must need the approval of at least one role")]
    NoApprovals(FirmwareClass),
}

/// A trust root that was walked to from a pinned one, with its keys ready for use.
#[derive(Debug, Clone)]
pub struct TrustedRoot {
    root: Verified<TrustRoot>,
    keys: Keys,
}

#[derive(Debug, Clone)]
struct Keys {
    root: KeySet,
    release: KeySet,
    registrar: KeySet,
    coordinator: KeySet,
    log: NoteKey,
    witnesses: WitnessPolicy,
}

impl Keys {
    fn of(root: &TrustRoot) -> Result<Self, RootError> {
        let set = |role, keys: &RoleKeys| keys.key_set().map_err(|cause| RootError::Role { role, cause });
        for class in [FirmwareClass::Standard, FirmwareClass::Emergency] {
            if root.approvals.roles(class).is_empty() {
                return Err(RootError::NoApprovals(class));
            }
        }
        Ok(Self {
            root: set("root", &root.root)?,
            release: set("release", &root.release)?,
            registrar: set("registrar", &root.registrar)?,
            coordinator: set("coordinator", &root.coordinator)?,
            log: NoteKey::parse(&root.log).map_err(RootError::LogKey)?,
            witnesses: {
                let Witnesses { keys, threshold } = &root.witnesses;
                WitnessPolicy::new(keys.iter().map(String::as_str), usize::from(*threshold))
                    .map_err(|_| RootError::Witnesses)?
            },
        })
    }
}

impl TrustedRoot {
    /// Accepts a first root because its digest was pinned out of band; its own threshold must still have signed it.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn pinned(signed: &Signed<TrustRoot>, pinned: Digest) -> Result<Self, RootError> {
        if signed.digest() != pinned {
            return Err(RootError::NotPinned { pinned, found: signed.digest() });
        }
        let keys = Keys::of(&signed.decode_unverified()?)?;
        Ok(Self { root: signed.verify(&keys.root)?, keys })
    }

    /// Accepts the next root: signed by a threshold of this root's keys and of its own.
    ///
    /// # Errors
    /// See [`RootError`]; a version that does not follow directly is refused (ATT-8).
    pub fn advance(&self, signed: &Signed<TrustRoot>) -> Result<Self, RootError> {
        let next = signed.verify(&self.keys.root)?;
        if Some(next.version) != self.root.version.checked_add(1) {
            return Err(RootError::Version { held: self.root.version, found: next.version });
        }
        let keys = Keys::of(&next)?;
        Ok(Self { root: signed.verify(&keys.root)?, keys })
    }

    /// Who may sign manifests.
    pub fn release_keys(&self) -> &KeySet {
        &self.keys.release
    }
    /// Who may sign rosters.
    pub fn registrar_keys(&self) -> &KeySet {
        &self.keys.registrar
    }
    /// Who may sign directives and acks.
    pub fn coordinator_keys(&self) -> &KeySet {
        &self.keys.coordinator
    }
    /// Who signs the log's checkpoints.
    pub fn log_key(&self) -> &NoteKey {
        &self.keys.log
    }
    /// Who must have cosigned a checkpoint.
    pub fn witnesses(&self) -> &WitnessPolicy {
        &self.keys.witnesses
    }
}

impl std::ops::Deref for TrustedRoot {
    type Target = Verified<TrustRoot>;
    fn deref(&self) -> &Verified<TrustRoot> {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{key, role, root, trusted};

    #[test]
    fn att_9_one_root_key_of_two_changes_nothing() {
        let held = trusted();
        let by_one = Signed::sign(&root(2), &[&key(1)]).expect("small");
        assert!(matches!(held.advance(&by_one), Err(RootError::Signature(SignError::Threshold { .. }))));
        let by_two = Signed::sign(&root(2), &[&key(1), &key(3)]).expect("small");
        assert_eq!(held.advance(&by_two).map(|r| r.version), Ok(2));
    }

    #[test]
    fn att_8_versions_only_grow_one_by_one() {
        let held = trusted();
        for version in [0, 1, 3, 1 << 63, u64::MAX] {
            let signed = Signed::sign(&root(version), &[&key(1), &key(2)]).expect("small");
            assert_eq!(held.advance(&signed).err(), Some(RootError::Version { held: 1, found: version }));
        }
    }

    #[test]
    fn a_rotation_needs_the_old_and_the_new_keys() {
        let held = trusted();
        let mut next = root(2);
        next.root = role(&[4, 5], 2);
        let mut signed = Signed::sign(&next, &[&key(1), &key(2)]).expect("small");
        assert!(held.advance(&signed).is_err(), "the new keys have not signed");
        signed.add_signature(&key(4));
        signed.add_signature(&key(5));
        let rotated = held.advance(&signed).expect("both sides signed");
        let old_keys = Signed::sign(&root(3), &[&key(1), &key(2)]).expect("small");
        assert!(rotated.advance(&old_keys).is_err(), "the old keys count no more");
    }

    #[test]
    fn another_first_root_than_the_pinned_one_is_refused() {
        let signed = Signed::sign(&root(1), &[&key(1), &key(2)]).expect("small");
        assert!(matches!(TrustedRoot::pinned(&signed, Digest([0; 32])), Err(RootError::NotPinned { .. })));
        let mut lax = root(1);
        lax.approvals.standard.clear();
        let lax = Signed::sign(&lax, &[&key(1), &key(2)]).expect("small");
        assert!(matches!(TrustedRoot::pinned(&lax, lax.digest()), Err(RootError::NoApprovals(_))));
    }
}
