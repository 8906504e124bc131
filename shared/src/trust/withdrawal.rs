//! Withdrawals: the releases that no agent activates any more, whatever a directive says. The document is cumulative: each
//! version names everything that the one before it named.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Roster, RosterEntry, TrustedRoot};
use crate::digest::Digest;
use crate::limits::{CLOCK_TOLERANCE_MS, TEXT_CHARS_MAX, TRUST_LIFETIME_MAX_MS, WITHDRAWALS_MAX, WITHDRAWALS_STEP_MAX};
use crate::sign::{Document, KeySet, SignError, Signed, Verified};
use crate::time::UtcMillis;

/// One withdrawn release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    /// Digest of the manifest.
    pub manifest: Digest,
    /// Why, in the signer's words.
    pub reason: String,
    /// When it was withdrawn.
    pub at: UtcMillis,
}

/// Everything that is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawals {
    /// Grows by one with every change or renewal.
    pub version: u64,
    /// When it was signed.
    pub issued_at: UtcMillis,
    /// With withdrawals past this time an agent starts nothing new.
    pub expires_at: UtcMillis,
    /// The releases; at most [`WITHDRAWALS_MAX`], each once.
    pub releases: Vec<Withdrawal>,
}

impl Document for Withdrawals {
    const TYPE: &'static str = "withdrawals";
}

/// Why withdrawals are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawalError {
    /// Signed by nobody who may: not by the release role, not by the registrar, not by an approver whose authority holds.
    #[error("withdrawals must be signed by the release role, the registrar or one approver of the roster: {0}")]
    Signature(#[from] SignError),
    /// Not newer than what is held, or too far above it.
    #[error("withdrawals version {found} does not follow version {held}")]
    Version {
        /// The version held; 0 if none is held.
        held: u64,
        /// The version found.
        found: u64,
    },
    /// A release that was withdrawn is not named any more.
    #[error("withdrawals version {found} no longer names manifest {manifest}; a withdrawal cannot be taken back")]
    Dropped {
        /// The version found.
        found: u64,
        /// The manifest that is missing.
        manifest: Digest,
    },
    /// The validity is negative, longer than allowed, or begins in the future.
    #[error(
        "withdrawals issued at {issued_at} expire at {expires_at}: they must be valid for at most 400 days from now"
    )]
    Lifetime {
        /// When they were signed.
        issued_at: UtcMillis,
        /// When they expire.
        expires_at: UtcMillis,
    },
    /// More releases than allowed, one twice, or a reason that is too long.
    #[error("withdrawals name {0} releases: at most {WITHDRAWALS_MAX} are accepted, each once and with a short reason")]
    Bounds(usize),
}

impl Withdrawals {
    /// Verifies withdrawals against root and roster, and that they may follow the ones held.
    ///
    /// # Errors
    /// See [`WithdrawalError`].
    pub fn accept(
        signed: &Signed<Self>,
        root: &TrustedRoot,
        roster: Option<&Roster>,
        held: Option<&Self>,
        now: UtcMillis,
    ) -> Result<Verified<Self>, WithdrawalError> {
        let found = Self::authorized(signed, root, roster)?;
        let held_version = held.map_or(0, |h| h.version);
        let demanded = roster.and_then(|r| r.freshness).map_or(0, |f| f.withdrawals_version);
        let is_next = found.version > held_version
            && found.version - held_version.max(demanded.min(found.version)) <= WITHDRAWALS_STEP_MAX;
        if !is_next {
            return Err(WithdrawalError::Version { held: held_version, found: found.version });
        }
        let (issued_at, expires_at) = (found.issued_at, found.expires_at);
        if expires_at <= issued_at
            || expires_at.since_ms(issued_at) > TRUST_LIFETIME_MAX_MS
            || issued_at.since_ms(now) > CLOCK_TOLERANCE_MS
        {
            return Err(WithdrawalError::Lifetime { issued_at, expires_at });
        }
        let named: BTreeSet<Digest> = found.releases.iter().map(|r| r.manifest).collect();
        let is_long = |w: &Withdrawal| w.reason.chars().count() > TEXT_CHARS_MAX;
        if found.releases.len() > WITHDRAWALS_MAX
            || named.len() != found.releases.len()
            || found.releases.iter().any(is_long)
        {
            return Err(WithdrawalError::Bounds(found.releases.len()));
        }
        match held.iter().flat_map(|h| &h.releases).find(|w| !named.contains(&w.manifest)) {
            Some(w) => Err(WithdrawalError::Dropped { found: found.version, manifest: w.manifest }),
            None => Ok(found),
        }
    }

    /// Verifies the signature of whoever may withdraw; an approver counts only while nothing ended their authority.
    fn authorized(
        signed: &Signed<Self>,
        root: &TrustedRoot,
        roster: Option<&Roster>,
    ) -> Result<Verified<Self>, SignError> {
        let by_role = match signed.verify(root.release_keys()) {
            Ok(found) => return Ok(found),
            Err(_) => signed.verify(root.registrar_keys()),
        };
        let Err(not_by_role) = by_role else { return by_role };
        let issued_at = signed.decode_unverified()?.issued_at;
        let may_sign = |e: &&RosterEntry| {
            !e.roles.is_empty()
                && e.is_valid(issued_at, u64::MAX)
                && signed.signatures().iter().any(|s| s.key == e.key.id())
        };
        match roster.iter().flat_map(|r| &r.entries).find(may_sign) {
            Some(entry) => signed.verify(&KeySet::single(entry.key.clone())),
            None => Err(not_by_role),
        }
    }

    /// The withdrawal of a release; `None` if it is not withdrawn.
    pub fn of(&self, manifest: Digest) -> Option<&Withdrawal> {
        self.releases.iter().find(|w| w.manifest == manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, roster, signed, trusted};
    use crate::trust::Revocation;

    fn withdrawals(version: u64, named: &[u8]) -> Withdrawals {
        let releases = named
            .iter()
            .map(|n| Withdrawal { manifest: Digest([*n; 32]), reason: "alarm limits lost".into(), at: NOW })
            .collect();
        Withdrawals { version, issued_at: NOW, expires_at: NOW.plus_ms(1_000), releases }
    }

    fn accept(
        signed: &Signed<Withdrawals>,
        roster: &Roster,
        held: Option<&Withdrawals>,
    ) -> Result<u64, WithdrawalError> {
        Withdrawals::accept(signed, &trusted(), Some(roster), held, NOW).map(|w| w.version)
    }

    #[test]
    fn sec_12_release_registrar_or_one_approver_may_withdraw() {
        let document = withdrawals(1, &[1]);
        for key in [10, 11, 21, 22, 23] {
            assert_eq!(accept(&signed(&document, &[key]), &roster(), None), Ok(1), "key {key}");
        }
        for keys in [vec![], vec![12], vec![13], vec![1, 2, 3], vec![99]] {
            let refused = accept(&signed(&document, &keys), &roster(), None);
            assert!(matches!(refused, Err(WithdrawalError::Signature(_))), "keys {keys:?}");
        }
    }

    #[test]
    fn sec_12_a_revoked_approver_cannot_withdraw() {
        let mut changed = roster();
        changed.entries[0].revoked = Some(Revocation { at: NOW.plus_ms(1), log_size: 1_000 });
        let by_revoked = signed(&withdrawals(1, &[1]), &[21]);
        assert!(matches!(accept(&by_revoked, &changed, None), Err(WithdrawalError::Signature(_))));
        changed.entries[1].valid_until = NOW;
        let by_expired = signed(&withdrawals(1, &[1]), &[22]);
        assert!(matches!(accept(&by_expired, &changed, None), Err(WithdrawalError::Signature(_))));
    }

    #[test]
    fn sec_12_a_withdrawal_cannot_be_taken_back() {
        let held = withdrawals(3, &[1, 2]);
        let dropped = signed(&withdrawals(4, &[2]), &[10]);
        let expected = WithdrawalError::Dropped { found: 4, manifest: Digest([1; 32]) };
        assert_eq!(accept(&dropped, &roster(), Some(&held)), Err(expected));
        let more = signed(&withdrawals(4, &[1, 2, 3]), &[10]);
        assert_eq!(accept(&more, &roster(), Some(&held)), Ok(4));
    }

    #[test]
    fn sec_12_versions_of_withdrawals_grow_in_bounded_steps() {
        let held = withdrawals(3, &[1]);
        for version in [0, 1, 3, 3 + WITHDRAWALS_STEP_MAX + 1, u64::MAX] {
            let refused = accept(&signed(&withdrawals(version, &[1]), &[21]), &roster(), Some(&held));
            assert_eq!(refused, Err(WithdrawalError::Version { held: 3, found: version }));
        }
    }

    #[test]
    fn sec_12_withdrawals_are_bounded_in_time_and_size() {
        let mut long = withdrawals(1, &[1]);
        long.expires_at = NOW.plus_ms(TRUST_LIFETIME_MAX_MS + 1);
        let mut early = withdrawals(1, &[1]);
        early.issued_at = NOW.plus_ms(CLOCK_TOLERANCE_MS + 1);
        early.expires_at = early.issued_at.plus_ms(1);
        let mut backwards = withdrawals(1, &[1]);
        backwards.expires_at = NOW;
        for document in [long, early, backwards] {
            let refused = accept(&signed(&document, &[10]), &roster(), None);
            assert!(matches!(refused, Err(WithdrawalError::Lifetime { .. })), "{document:?}");
        }
        let twice = accept(&signed(&withdrawals(1, &[1, 1]), &[10]), &roster(), None);
        assert_eq!(twice, Err(WithdrawalError::Bounds(2)));
    }
}
