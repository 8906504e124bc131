//! Telemetry enters: each batch once, in its gateway's order, with its own signature kept.

use std::collections::BTreeMap;

use mdfm_shared::id::GatewayId;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::{KeySet, PublicKey, Signed};
use mdfm_shared::telemetry::{EventKind, TelemetryBatch};

use super::{Event, Proposal, Refusal, State, rollout};

/// The batch is committed already: acknowledge again, record nothing.
pub(crate) const ALREADY_COMMITTED: &str = "already-committed";
/// An earlier batch is missing: the gateway will send it again, in order.
pub(crate) const GAP: &str = "telemetry-gap";

pub(super) fn commit(state: &State, id: &GatewayId, signed: &Signed<TelemetryBatch>) -> Result<Vec<Proposal>, Refusal> {
    let gateway = state.need_gateway(id)?;
    let credentials = gateway
        .credentials
        .as_ref()
        .filter(|_| !gateway.revoked)
        .ok_or_else(|| Refusal::forbidden("gateway-revoked", format!("gateway {id} is not enrolled or revoked")))?;
    let key: PublicKey = credentials.telemetry_key.parse().map_err(|e| Refusal::document("telemetry-key", e))?;
    let batch = signed.verify(&KeySet::single(key)).map_err(|e| Refusal::document("telemetry-signature", e))?;
    if batch.gateway != *id {
        let detail = format!("the batch is signed as {}, it came as {id}", batch.gateway);
        return Err(Refusal::forbidden("foreign-gateway", detail));
    }
    if !batch.is_bounded() {
        return Err(Refusal::document("telemetry-size", format!("{} events in one batch", batch.events.len())));
    }
    let chain = gateway.chain;
    if batch.epoch < chain.epoch || (batch.epoch == chain.epoch && batch.sequence < chain.sequence) {
        return Err(Refusal::conflict(ALREADY_COMMITTED, "committed before"));
    }
    if batch.epoch == chain.epoch && batch.sequence == chain.sequence {
        if signed.digest() != chain.last {
            let detail = format!("gateway {id} signed two different batches {}.{}", batch.epoch, batch.sequence);
            return Err(Refusal::conflict("telemetry-fork", detail));
        }
        return Err(Refusal::conflict(ALREADY_COMMITTED, "committed before"));
    }
    if batch.epoch > chain.epoch || batch.sequence != chain.sequence + 1 {
        let detail = format!(
            "gateway {id} sent batch {}.{}, next is {}.{}",
            batch.epoch,
            batch.sequence,
            chain.epoch,
            chain.sequence + 1
        );
        return Err(Refusal::conflict(GAP, detail));
    }
    if batch.previous != chain.last {
        let detail = format!("batch {}.{} of {id} does not chain to the one before", batch.epoch, batch.sequence);
        return Err(Refusal::conflict("telemetry-chain", detail));
    }
    let event = Event::TelemetryCommitted {
        gateway: id.clone(),
        epoch: batch.epoch,
        sequence: batch.sequence,
        digest: signed.digest(),
    };
    let mut proposals =
        vec![Proposal::new("telemetry.commit", format!("gateway/{id}"), event).with(document_text(signed))];
    // Of several words in one batch the last one counts.
    let mut words = BTreeMap::new();
    for event in &batch.events {
        if let EventKind::Consent { deployment, given, reason, uid } = &event.kind {
            words.insert(deployment, (event.at, *given, reason, uid));
        }
    }
    for (deployment, (at, given, reason, uid)) in words {
        let (by, hospital) = (format!("user {uid} on {id}"), &gateway.hospital);
        proposals.extend(rollout::command::consent_on_site(state, at, deployment, hospital, given, &by, reason));
    }
    Ok(proposals)
}
