//! The approver roster: which person signs with which key in which roles, from when to when.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Role, TrustedRoot};
use crate::id::UserId;
use crate::limits::ROSTER_ENTRIES_MAX;
use crate::sign::{Document, PublicKey, SignError, Signed, Verified};
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
}

impl Document for Roster {
    const TYPE: &'static str = "roster";
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
    /// One key for two people: their signatures could not be told apart (21 CFR 11.100(a)).
    #[error("roster gives {0} and another person the same key")]
    SharedKey(UserId),
}

impl Roster {
    /// Checks a roster and that it is newer than version `held` (0 for none).
    ///
    /// # Errors
    /// See [`RosterError`].
    pub fn accept(signed: &Signed<Self>, root: &TrustedRoot, held: u64) -> Result<Verified<Self>, RosterError> {
        let roster = signed.verify(root.registrar_keys())?;
        if roster.version <= held {
            return Err(RosterError::Version { held, found: roster.version });
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

    /// The entries of one person; more than one after a change of key.
    pub fn entries_of<'a>(&'a self, user: &'a UserId) -> impl Iterator<Item = &'a RosterEntry> {
        self.entries.iter().filter(move |e| e.user == *user)
    }

    /// The people who could sign in `role` at `at`.
    pub fn holders(&self, role: Role, at: UtcMillis) -> BTreeSet<&UserId> {
        self.entries.iter().filter(|e| e.roles.contains(&role) && e.is_valid(at, 0)).map(|e| &e.user).collect()
    }
}
