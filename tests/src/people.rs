//! The people of the installation: each with a session of their own, approvers with a key of their own.

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Manages users and trust documents.
    Admin,
    /// Manages the fleet, uploads and deploys.
    Operator,
    /// Reads the log.
    Auditor,
    /// Clinical engineering.
    Clinical,
    /// Quality assurance.
    Qa,
    /// Regulatory affairs.
    Regulatory,
}

impl Role {
    /// Everyone but the first administrator, whom the installation makes.
    pub const CREATED: [Self; 5] = [Self::Operator, Self::Auditor, Self::Clinical, Self::Qa, Self::Regulatory];
    /// Those who approve.
    pub const APPROVERS: [Self; 3] = [Self::Clinical, Self::Qa, Self::Regulatory];

    /// User id.
    pub fn user(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Clinical => "clinical",
            Self::Qa => "qa",
            Self::Regulatory => "regulatory",
        }
    }
    /// The role as the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::Operator => "Operator",
            Self::Auditor => "Auditor",
            Self::Clinical => "Clinical",
            Self::Qa => "QA",
            Self::Regulatory => "Regulatory",
        }
    }
    /// Printed name.
    pub fn printed_name(self) -> String {
        format!("{} signatory", self.name())
    }
}
