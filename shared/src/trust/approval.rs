//! What a person signs: the approval of a release, and the validation of a rollout phase. Both carry the manifestation of the
//! signature that 21 CFR 11.50 demands: printed name, time and meaning.

use serde::{Deserialize, Serialize};

use super::Role;
use crate::digest::Digest;
use crate::id::{DeploymentId, UserId};
use crate::sign::Document;
use crate::time::UtcMillis;

/// One person's approval of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Digest of the approved manifest, which names model, version and images.
    pub manifest: Digest,
    /// The role in which the person signs.
    pub role: Role,
    /// The person.
    pub user: UserId,
    /// Printed name.
    pub printed_name: String,
    /// What the signature means, in words.
    pub meaning: String,
    /// Why, in the person's words.
    pub reason: String,
    /// When it was signed.
    pub at: UtcMillis,
}

impl Document for Approval {
    const TYPE: &'static str = "approval";
}

/// One person's word that a phase did well and the next may open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The phase, 0 for the first.
    pub phase: u32,
    /// Digest of the manifest that the deployment brings.
    pub manifest: Digest,
    /// The role in which the person signs.
    pub role: Role,
    /// The person.
    pub user: UserId,
    /// Printed name.
    pub printed_name: String,
    /// What the signature means, in words.
    pub meaning: String,
    /// Why, in the person's words.
    pub reason: String,
    /// When it was signed.
    pub at: UtcMillis,
    /// Digest of the evidence that the person was shown: the gate's record, and what became of the phase since. `None` in signatures of earlier
    /// versions.
    #[serde(default)]
    pub evidence: Option<Digest>,
}

impl Document for Validation {
    const TYPE: &'static str = "validation";
    const ADDED_FIELDS: usize = 1;
}
