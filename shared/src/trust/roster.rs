//! The approver roster: which person signs with which key in which roles, from when to when.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Role, TrustedRoot};
use crate::id::UserId;
use crate::limits::{ROSTER_ENTRIES_MAX, SIGNATURES_MAX, TRUST_LIFETIME_MAX_MS};
use crate::sign::{Document, PublicKey, SignError, Signature, Signed, Verified};
use crate::time::UtcMillis;

/// The end of a person's authority, by time and by place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Signatures dated from here on do not count.
    pub at: UtcMillis,
    /// Nor do approvals that stand in the log from this index on, whatever their date: nobody can back-date.
    pub log_size: u64,
}

/// One person's authority to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The person.
    pub user: UserId,
    /// Printed name, as under every signature (21 CFR 11.50).
    pub printed_name: String,
    /// Roles in which they may sign.
    pub roles: Vec<Role>,
    /// Their own key.
    pub key: PublicKey,
    /// First moment of validity.
    pub valid_from: UtcMillis,
    /// First moment after validity.
    pub valid_until: UtcMillis,
    /// Set when the authority ended early.
    pub revoked: Option<Revocation>,
}

impl RosterEntry {
    /// Whether a signature dated `at` and logged at `log_index` counts.
    pub fn is_valid(&self, at: UtcMillis, log_index: u64) -> bool {
        at >= self.valid_from
            && at < self.valid_until
            && self.revoked.is_none_or(|r| at < r.at && log_index < r.log_size)
    }
}

/// Everyone who may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Grows with every change.
    pub version: u64,
    /// The people; past ones stay, so that old approvals can be checked for ever.
    pub entries: Vec<RosterEntry>,
    /// How long it counts; `None` on rosters signed before this was asked for, which do not expire.
    #[serde(default)]
    pub freshness: Option<Freshness>,
}

/// How long a roster counts, and which withdrawals must be held beside it, so that neither can be withheld unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Freshness {
    /// When it was signed.
    pub issued_at: UtcMillis,
    /// With a roster past this time an agent starts nothing new; at most [`TRUST_LIFETIME_MAX_MS`] after `issued_at`.
    pub expires_at: UtcMillis,
    /// Lowest version of [`super::Withdrawals`] without which an agent starts nothing new; 0 demands no withdrawals.
    pub withdrawals_version: u64,
}

impl Document for Roster {
    const TYPE: &'static str = "roster";
    const ADDED_FIELDS: usize = 1;
}

/// Why a roster is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// The registrar has not signed it.
    #[error(transparent)]
    Signature(#[from] SignError),
    /// Older than what is held.
    #[error("roster version {found} is not above version {held}")]
    Version {
        /// The version held.
        held: u64,
        /// The version found.
        found: u64,
    },
    /// Too many people.
    #[error("roster has {0} entries, at most {ROSTER_ENTRIES_MAX} are accepted")]
    TooLarge(usize),
    /// The roster held expires, the new one would not: nobody could notice that it is withheld.
    #[error("roster has no expiry, although the roster held has one")]
    NoExpiry,
    /// The validity is negative or longer than allowed.
    #[error("roster issued at {issued_at} expires at {expires_at}: it must be valid for at most 400 days")]
    Lifetime {
        /// When it was signed.
        issued_at: UtcMillis,
        /// When it expires.
        expires_at: UtcMillis,
    },
    /// One key for two people: their signatures could not be told apart (21 CFR 11.100(a)).
    #[error("roster gives {0} and another person the same key")]
    SharedKey(UserId),
}

impl Roster {
    /// Verifies a roster against the root, and that it may follow the one held.
    ///
    /// # Errors
    /// See [`RosterError`].
    pub fn accept(
        signed: &Signed<Self>,
        root: &TrustedRoot,
        held: Option<&Self>,
    ) -> Result<Verified<Self>, RosterError> {
        let roster = signed.verify(root.registrar_keys())?;
        let held_version = held.map_or(0, |r| r.version);
        if roster.version <= held_version {
            return Err(RosterError::Version { held: held_version, found: roster.version });
        }
        match roster.freshness {
            None if held.is_some_and(|r| r.freshness.is_some()) => return Err(RosterError::NoExpiry),
            Some(Freshness { issued_at, expires_at, .. })
                if expires_at <= issued_at || expires_at.since_ms(issued_at) > TRUST_LIFETIME_MAX_MS =>
            {
                return Err(RosterError::Lifetime { issued_at, expires_at });
            }
            Some(_) | None => {}
        }
        if roster.entries.len() > ROSTER_ENTRIES_MAX {
            return Err(RosterError::TooLarge(roster.entries.len()));
        }
        let mut owners = std::collections::BTreeMap::new();
        for entry in &roster.entries {
            let owner = owners.entry(entry.key.id()).or_insert(&entry.user);
            if *owner != &entry.user {
                return Err(RosterError::SharedKey(entry.user.clone()));
            }
        }
        Ok(roster)
    }

    /// When it expires; `None` if it does not.
    pub fn expires_at(&self) -> Option<UtcMillis> {
        self.freshness.map(|f| f.expires_at)
    }

    /// The entries of one person; more than one after a change of key.
    pub fn entries_of<'a>(&'a self, user: &'a UserId) -> impl Iterator<Item = &'a RosterEntry> {
        self.entries.iter().filter(move |e| e.user == *user)
    }

    /// The entry that a signature stands on: of `user` in `role`, with one of these signatures. A key may stand there twice, for example
    /// before and after a change of name: an entry that counts at that time and place in the log under that name goes first.
    /// An entry that is returned need not count: the caller checks it. `None` if the person never had the role.
    pub fn entry_for<'a>(
        &'a self,
        user: &UserId,
        role: Role,
        signatures: &[Signature],
        printed_name: &str,
        (at, log_index): (UtcMillis, u64),
    ) -> Option<&'a RosterEntry> {
        let fit = |e: &RosterEntry| {
            let valid = e.is_valid(at, log_index);
            let signed = signatures.iter().take(SIGNATURES_MAX).any(|s| s.key == e.key.id());
            (signed, valid && e.printed_name == printed_name, valid)
        };
        // `max_by_key` returns the last of equals; the first is the older entry, as before there were several.
        self.entries.iter().rev().filter(|e| e.user == *user && e.roles.contains(&role)).max_by_key(|e| fit(e))
    }

    /// The people who could sign in `role` at `at`.
    pub fn holders(&self, role: Role, at: UtcMillis) -> BTreeSet<&UserId> {
        self.entries.iter().filter(|e| e.roles.contains(&role) && e.is_valid(at, 0)).map(|e| &e.user).collect()
    }
}
