//! Users, their access roles and what each role may do. Deny by default.

use mdfm_shared::digest::Digest;
use mdfm_shared::id::UserId;
use mdfm_shared::manifest::is_label;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Event, Refusal, State};

/// A role in the coordinator; the approval roles carry the same names in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub(crate) enum AccessRole {
    Admin,
    Operator,
    Auditor,
    Clinical,
    #[serde(rename = "QA")]
    Qa,
    Regulatory,
}

impl AccessRole {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::Operator => "Operator",
            Self::Auditor => "Auditor",
            Self::Clinical => "Clinical",
            Self::Qa => "QA",
            Self::Regulatory => "Regulatory",
        }
    }
}

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    ManageUsers,
    ManageTrust,
    ManageFleet,
    SubmitFirmware,
    Approve,
    Deploy,
    RollBack,
    Read,
    ReadAudit,
}

impl Permission {
    /// Whether `role` carries this permission.
    pub(crate) fn is_granted_to(self, role: AccessRole) -> bool {
        use AccessRole::{Admin, Auditor, Clinical, Operator, Qa, Regulatory};
        match self {
            Self::ManageUsers | Self::ManageTrust => matches!(role, Admin),
            Self::ManageFleet | Self::SubmitFirmware | Self::Deploy => matches!(role, Operator),
            Self::Approve => matches!(role, Clinical | Qa | Regulatory),
            Self::RollBack => matches!(role, Operator | Clinical | Regulatory),
            Self::Read => true,
            Self::ReadAudit => matches!(role, Admin | Auditor | Qa | Regulatory | Operator),
        }
    }
}

/// A person or machine account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) printed_name: String,
    pub(crate) roles: Vec<AccessRole>,
    /// Digest of the password verifier; the verifier itself is no part of the state.
    pub(crate) credential: Digest,
}

pub(super) fn create_user(
    state: &State,
    user: &UserId,
    printed_name: &str,
    roles: &[AccessRole],
    credential: Digest,
) -> Result<Event, Refusal> {
    if state.users.contains_key(user) {
        return Err(Refusal::exists("user", user));
    }
    if !is_label(printed_name) {
        return Err(Refusal::invalid("printedName", "must be 1 to 128 printable characters"));
    }
    if roles.is_empty() {
        return Err(Refusal::invalid("roles", "a user needs at least one role"));
    }
    Ok(Event::UserCreated {
        user: user.clone(),
        printed_name: printed_name.to_owned(),
        roles: roles.to_vec(),
        credential,
    })
}
