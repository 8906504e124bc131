//! What a signature at a gate stands on, as one text: the gate's record with all its inputs, and what became of the phase since. Its digest is part of
//! what is signed, so that nobody signs other figures than they were shown (21 CFR 11.70).

use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeploymentId;
use serde::Serialize;

use super::gate::GateRecord;
use super::{Deployment, PhaseStatus};
use crate::Refusal;

/// The evidence of the phase that awaits a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// JSON: deployment, phase (0 for the first), manifest, the gate's record, and the counts since.
    pub text: String,
    /// SHA-256 of the text.
    pub digest: Digest,
}

/// What changes after a gate has held, and would make a signer look again. Who is heard of changes every minute and is not part of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Since {
    devices: u32,
    withdrawn: u32,
    left: u32,
    confirmed: u32,
    failed: u32,
    critical: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Text<'a> {
    deployment: &'a DeploymentId,
    phase: u32,
    manifest: Digest,
    gate: &'a GateRecord,
    since: Since,
}

/// The evidence of the current phase.
///
/// # Errors
/// Its gate has not held.
pub fn of(id: &DeploymentId, deployment: &Deployment) -> Result<Evidence, Refusal> {
    let phase = deployment.current;
    let held = deployment.phases.get(phase as usize);
    let awaiting = held.filter(|held| matches!(held.status, PhaseStatus::AwaitingValidation { .. }));
    let Some((held, gate)) = awaiting.and_then(|held| Some((held, held.gate.as_ref()?))) else {
        let words = held.map_or("not there", |held| held.status.words());
        let detail = format!("phase {} is {words}; it is signed after its gate has held", phase.saturating_add(1));
        return Err(Refusal::conflict("gate-not-open", detail));
    };
    let tally = &held.tally;
    let since = Since {
        devices: tally.devices,
        withdrawn: tally.withdrawn,
        left: tally.left,
        confirmed: tally.confirmed,
        failed: tally.failed,
        critical: tally.critical,
    };
    let text = Text { deployment: id, phase, manifest: deployment.plan.manifest, gate, since };
    let text = serde_json::to_string(&text).map_err(|e| Refusal::document("evidence", e))?;
    Ok(Evidence { digest: Digest::of(text.as_bytes()), text })
}

/// Checks that a signer was shown the evidence that stands now.
///
/// # Errors
/// They were shown another.
pub fn check(id: &DeploymentId, deployment: &Deployment, shown: Digest) -> Result<(), Refusal> {
    match of(id, deployment)?.digest {
        held if held == shown => Ok(()),
        held => {
            let detail = format!(
                "you were shown evidence {shown} of phase {}, and it is {held} now: something changed since the gate held; look at it again",
                deployment.current.saturating_add(1)
            );
            Err(Refusal::conflict("changed-meanwhile", detail))
        }
    }
}
