//! Users, their access roles and what each role may do. Deny by default.

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{HospitalId, UserId};
use mdfm_shared::manifest::is_label;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::people::{Identity, Proof, SecondFactor, SigningKey, check_proof};
use super::{Event, Refusal, State};

/// A role in the coordinator; the approval roles carry the same names in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AccessRole {
    Admin,
    Operator,
    Auditor,
    Clinical,
    #[serde(rename = "QA")]
    Qa,
    Regulatory,
    /// People of one hospital: they see the fleet and decide about their own devices alone.
    HospitalStaff,
}

impl AccessRole {
    /// Every role.
    pub const ALL: [Self; 7] =
        [Self::Admin, Self::Operator, Self::Auditor, Self::Clinical, Self::Qa, Self::Regulatory, Self::HospitalStaff];

    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::Operator => "Operator",
            Self::Auditor => "Auditor",
            Self::Clinical => "Clinical",
            Self::Qa => "QA",
            Self::Regulatory => "Regulatory",
            Self::HospitalStaff => "HospitalStaff",
        }
    }
}

/// By what a caller must be known for a decision; each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// A token for a machine is enough.
    Token,
    /// A person in a session.
    Person,
    /// A person who has shown the second factor in this session within the last minutes (`step_up_minutes`).
    Factor,
}

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Permission {
    ManageUsers,
    ManageTrust,
    ManageFleet,
    SubmitFirmware,
    Approve,
    Deploy,
    /// Pause and abort.
    Stop,
    RollBack,
    Consent,
    Recall,
    /// Post signed withdrawals and rollback orders; who may sign them is written in the trust documents.
    PublishAuthority,
    /// Report what went wrong with a device.
    ReportIncident,
    /// What concerns one's own hospital, for people who belong to one; else everything.
    Read,
    /// What concerns no hospital in particular, or all of them.
    ReadAll,
    ReadAudit,
    /// Terms and holds.
    Retain,
    /// Take away records whose term is over.
    Dispose,
}

impl std::fmt::Display for Permission {
    /// As the API and `mdfmctl users permissions` write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 17] = [
        Self::ManageUsers,
        Self::ManageTrust,
        Self::ManageFleet,
        Self::SubmitFirmware,
        Self::Approve,
        Self::Deploy,
        Self::Stop,
        Self::RollBack,
        Self::Consent,
        Self::Recall,
        Self::PublishAuthority,
        Self::ReportIncident,
        Self::Read,
        Self::ReadAll,
        Self::ReadAudit,
        Self::Retain,
        Self::Dispose,
    ];

    /// What decides over firmware, people or trust, or cannot be undone: only somebody who has just shown both factors.
    pub fn is_critical(self) -> bool {
        matches!(
            self,
            Self::ManageUsers
                | Self::ManageTrust
                | Self::Approve
                | Self::Deploy
                | Self::RollBack
                | Self::PublishAuthority
                | Self::Dispose
        )
    }

    /// What no token for a machine carries.
    pub fn needs_person(self) -> bool {
        self.is_critical() || matches!(self, Self::Consent | Self::Retain | Self::Recall)
    }

    /// The least by which a caller must be known for anything that needs this permission; a route may demand more.
    pub fn by(self) -> By {
        if self.is_critical() {
            By::Factor
        } else if self.needs_person() {
            By::Person
        } else {
            By::Token
        }
    }

    /// Whether `role` carries this permission.
    pub fn is_granted_to(self, role: AccessRole) -> bool {
        use AccessRole::{Admin, Auditor, Clinical, HospitalStaff, Operator, Qa, Regulatory};
        match self {
            Self::ManageUsers | Self::ManageTrust => matches!(role, Admin),
            Self::ManageFleet | Self::SubmitFirmware | Self::Deploy => matches!(role, Operator),
            Self::Approve => matches!(role, Clinical | Qa | Regulatory),
            Self::Stop => matches!(role, Operator | Clinical | Regulatory),
            Self::RollBack => matches!(role, Operator | Clinical | Regulatory | HospitalStaff),
            Self::Consent => matches!(role, Operator | HospitalStaff),
            Self::Recall => matches!(role, Operator | Regulatory),
            Self::PublishAuthority => matches!(role, Admin | Operator | Clinical | Qa | Regulatory),
            Self::ReportIncident => !matches!(role, Admin | Auditor),
            Self::Read => true,
            Self::ReadAll => !matches!(role, HospitalStaff),
            Self::Retain | Self::Dispose => matches!(role, Admin | Regulatory),
            Self::ReadAudit => matches!(role, Admin | Auditor | Qa | Regulatory | Operator),
        }
    }
}

/// A person or machine account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub printed_name: String,
    pub roles: Vec<AccessRole>,
    /// The hospital that hospital staff belong to.
    pub hospital: Option<HospitalId>,
    /// Digest of the password verifier; the verifier itself is no part of the state.
    pub credential: Digest,
    pub password_set_at: UtcMillis,
    pub second_factor: Option<SecondFactor>,
    pub signing_key: Option<SigningKey>,
    /// Without it nobody signs.
    pub identity: Option<Identity>,
    pub trained_until: Option<UtcMillis>,
    /// The person's identifier at the OpenID provider (`sub`).
    pub subject: Option<String>,
    /// The provider that `subject` belongs to; `None` for a link that was made before links named it.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Networks from which the person opened sessions, the newest last.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Where the person gets mail.
    pub email: Option<String>,
    /// May do nothing any more; the id stays taken.
    pub disabled: bool,
}

pub(super) fn create_user(
    state: &State,
    user: &UserId,
    printed_name: &str,
    roles: &[AccessRole],
    hospital: Option<&HospitalId>,
    credential: Digest,
) -> Result<Event, Refusal> {
    if state.users.contains_key(user) {
        return Err(Refusal::exists("user", user));
    }
    if !is_label(printed_name) {
        return Err(Refusal::invalid("printedName", "must be 1 to 128 printable characters"));
    }
    check_roles(state, roles, hospital)?;
    Ok(Event::UserCreated {
        hospital: hospital.cloned(),
        user: user.clone(),
        printed_name: printed_name.to_owned(),
        roles: roles.to_vec(),
        credential,
    })
}

/// Whether one person may have these roles, and belong to that hospital.
pub(super) fn check_roles(state: &State, roles: &[AccessRole], hospital: Option<&HospitalId>) -> Result<(), Refusal> {
    if roles.is_empty() {
        return Err(Refusal::invalid("roles", "a user needs at least one role"));
    }
    // Whoever belongs to a hospital has no other part in the vendor's work, and nobody else belongs to one.
    let staff = roles.contains(&AccessRole::HospitalStaff);
    if staff != hospital.is_some() || (staff && roles.len() > 1) {
        return Err(Refusal::invalid("hospitalId", "is for users with the role HospitalStaff and no other"));
    }
    if let Some(hospital) = hospital {
        state.need_hospital(hospital)?;
    }
    Ok(())
}

/// Lets somebody in whose password was right, with a second factor where one is set up; or for whom the OpenID provider `issuer` vouches.
pub(super) fn open_session(
    state: &State,
    id: &UserId,
    token_sha256: Digest,
    expires_at: UtcMillis,
    proof: Option<Proof>,
    issuer: Option<&str>,
) -> Result<Event, Refusal> {
    let user = state.users.get(id).filter(|u| !u.disabled);
    let user = user.ok_or_else(|| Refusal::forbidden("disabled", format!("{id} may not sign in")))?;
    if let Some(issuer) = issuer
        && !state.is_linked(user, issuer)
    {
        return Err(Refusal::forbidden("single-sign-on", format!("{id} is not linked with {issuer}")));
    }
    match proof {
        Some(proof) => check_proof(user, proof)?,
        // The provider has asked as it sees fit; what is critical asks again.
        None if user.second_factor.is_some() && issuer.is_none() => {
            return Err(Refusal::forbidden("second-factor", "a code of the second factor is needed too"));
        }
        None => {}
    }
    let issuer = issuer.map(str::to_owned);
    Ok(Event::SessionOpened { user: id.clone(), token_sha256, expires_at, proof, issuer })
}
