//! Who may sign what: the trust root and its rotation, the approver roster, approvals, the proof that a release was
//! approved, withdrawals of releases, and rollback orders.

mod approval;
mod release;
mod rollback_order;
mod root;
mod roster;
mod roster_change;
mod withdrawal;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use approval::{Approval, Validation};
pub use release::{
    ApprovalError, ApprovedRelease, EMERGENCY_START_MS, LoggedRecord, ReleaseError, ReleaseEvidence, check_approval,
    missing_roles, start_by,
};
pub use rollback_order::{OrderError, OrderSigner, RollbackOrder, RollbackOrderEvidence, VerifiedOrder};
pub use root::{ApprovalPolicy, RoleKeys, RootError, TrustRoot, TrustedRoot, Witnesses};
pub use roster::{Freshness, Revocation, Roster, RosterEntry, RosterError};
pub use roster_change::{RosterChange, RosterEffect};
pub use withdrawal::{Withdrawal, WithdrawalError, Withdrawals};

/// A role in which a person signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Clinical engineering: safe for the patient.
    Clinical,
    /// Quality assurance: tested as written.
    #[serde(rename = "QA")]
    Qa,
    /// Regulatory affairs: lawful to ship.
    Regulatory,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Clinical, Self::Qa, Self::Regulatory];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clinical => "Clinical",
            Self::Qa => "QA",
            Self::Regulatory => "Regulatory",
        })
    }
}

/// The text names no approval role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("approval roles are Clinical, QA and Regulatory, found {0:?}")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|r| r.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| RoleError(text.chars().take(32).collect()))
    }
}
