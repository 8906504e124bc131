//! What goes out to the fleet, as the messages that carry it: composed from state and log, decided elsewhere.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, ChainHead, ChainRefusal, CommitAck, Directive, RefusedBatch};
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::{CHAIN_DIGESTS_MAX, FRAME_BYTES_MAX};
use mdfm_shared::sign::{SecretKey, SignError, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::LogSource;
use mdfm_shared::trust::{LoggedRecord, ReleaseEvidence, RollbackOrderEvidence};
use mdfm_shared::wire::{self, Topic};

use super::desk::Outbound;
use super::{State, authority};

/// The message for `outbound`, to be retained; none while there is nothing to send.
pub fn message(state: &State, log: &impl LogSource, now: UtcMillis, outbound: &Outbound) -> Option<(Topic, Vec<u8>)> {
    let frame = |document: &String| STANDARD.decode(document).ok();
    Some(match outbound {
        Outbound::Directive(gateway) => {
            let directive = state.gateways.get(gateway)?.directive.as_ref()?;
            (Topic::Directive(gateway.clone()), frame(&directive.document)?)
        }
        Outbound::TrustRoot(i) => (Topic::TrustRoot(*i as u64 + 1), frame(state.roots.get(*i)?)?),
        Outbound::Roster => (Topic::Roster, frame(state.roster_document.as_ref()?)?),
        Outbound::Withdrawals => (Topic::Withdrawals, frame(state.authority.withdrawals_document.as_ref()?)?),
        Outbound::RollbackOrders(gateway) => {
            (Topic::RollbackOrders(gateway.clone()), rollback_orders(state, log, gateway, now)?)
        }
        Outbound::Checkpoint(note) => (Topic::Checkpoint, note.clone().into_bytes()),
        Outbound::Release(manifest) => (Topic::Release(*manifest), wire::encode(&evidence(state, log, *manifest)?)),
        Outbound::Everything => return None,
    })
}

/// What the broker should hold for everybody. The directive of each gateway is not among it: a gateway's first heartbeat says
/// which one it has, so a fleet that comes back is told only what it lacks.
pub fn everything(state: &State, log: &impl LogSource, now: UtcMillis) -> Vec<Outbound> {
    let mut messages: Vec<Outbound> = (0..state.roots.len()).map(Outbound::TrustRoot).collect();
    messages.extend(state.roster.as_ref().map(|_| Outbound::Roster));
    messages.extend((state.authority.published_version() > 0).then_some(Outbound::Withdrawals));
    messages.extend(log.newest().map(|(_, note)| Outbound::Checkpoint(note)));
    let releases: BTreeSet<Digest> = state.deployments.values().map(|d| d.plan.manifest).collect();
    messages.extend(releases.into_iter().map(Outbound::Release));
    let ordered: BTreeSet<GatewayId> =
        state.authority.in_force(now).flat_map(|(_, held)| authority::gateways_of(state, &held.order)).collect();
    messages.extend(ordered.into_iter().map(Outbound::RollbackOrders));
    messages
}

/// What goes to a gateway that no line reaches.
pub struct Bundle {
    /// As they would have been sent.
    pub messages: Vec<(Topic, Vec<u8>)>,
    /// Digests and lengths in bytes.
    pub images: Vec<(Digest, u64)>,
    /// Whether the directive or the orders need a proof that no published checkpoint gives yet. The gateway could do nothing with the rest.
    pub is_unproved: bool,
}

/// Everything that a gateway needs, in the order in which it can take it, and the images that its directive leads to.
pub fn bundle(state: &State, log: &impl LogSource, gateway: &GatewayId, now: UtcMillis) -> Bundle {
    let named: BTreeSet<Digest> = state
        .gateways
        .get(gateway)
        .and_then(|g| g.directive.as_ref())
        .and_then(|d| STANDARD.decode(&d.document).ok())
        .and_then(|frame| wire::decode::<Signed<Directive>>(&frame).ok()?.decode_unverified().ok())
        .into_iter()
        .flat_map(|directive| directive.devices)
        .map(|device| match device.action {
            Action::Install { manifest }
            | Action::Hold { manifest }
            | Action::Rollback { manifest }
            | Action::InstallWithin { manifest, .. } => manifest,
        })
        .collect();
    let mut outbound: Vec<Outbound> = (0..state.roots.len()).map(Outbound::TrustRoot).collect();
    outbound.extend(state.roster.as_ref().map(|_| Outbound::Roster));
    // Older agents pass over topics that they do not know.
    outbound.extend((state.authority.published_version() > 0).then_some(Outbound::Withdrawals));
    outbound.extend(log.newest().map(|(_, note)| Outbound::Checkpoint(note)));
    outbound.extend(named.iter().copied().map(Outbound::Release));
    if !authority::orders_for(state, gateway, now).is_empty() {
        outbound.push(Outbound::RollbackOrders(gateway.clone()));
    }
    outbound.push(Outbound::Directive(gateway.clone()));
    let images: BTreeSet<(Digest, u64)> = named.iter().filter_map(|m| release_of(state, *m)?.image).collect();
    let mut bundle = Bundle { messages: Vec::new(), images: images.into_iter().collect(), is_unproved: false };
    for outbound in &outbound {
        match message(state, log, now, outbound) {
            Some(message) => bundle.messages.push(message),
            // No checkpoint will ever prove a manifest that was replaced since; to wait for it would keep the rest from the gateway.
            None => {
                bundle.is_unproved |= match outbound {
                    Outbound::Release(manifest) => release_of(state, *manifest).is_some(),
                    outbound => matches!(outbound, Outbound::RollbackOrders(_)),
                }
            }
        }
    }
    bundle
}

/// A batch that was not taken, and why: `None` where it is in the log already.
pub type NotTaken = (Digest, Option<ChainRefusal>);

/// What is held of a gateway's telemetry, for an agent that frees what the head proves; with the answer to a batch that was refused
/// because of its place, or is in the log behind a head that its sender may not know: a copy of the gateway may have gone on.
pub fn chain_head(state: &State, gateway: &GatewayId, not_taken: Option<NotTaken>) -> Option<ChainHead> {
    let chain = &state.gateways.get(gateway)?.chain;
    let committed: Vec<Digest> = chain.digests().copied().collect();
    let newest = committed.len().saturating_sub(CHAIN_DIGESTS_MAX);
    let answered = not_taken.filter(|(batch, reason)| reason.is_some() || *batch != chain.last());
    let refused = answered.map(|(batch, reason)| RefusedBatch {
        batch,
        reason: reason.unwrap_or(ChainRefusal::Stale),
        committed: committed[newest..].to_vec(),
    });
    Some(ChainHead {
        gateway: gateway.clone(),
        epoch: chain.epoch,
        sequence: chain.sequence,
        head: chain.last(),
        log_size: state.log_size,
        refused,
    })
}

/// The acknowledgement by number alone, for agents of earlier versions. They would free what was refused: while batches of the gateway
/// are refused it is `None`.
pub fn acknowledgement(state: &State, gateway: &GatewayId) -> Option<CommitAck> {
    let held = state.gateways.get(gateway).filter(|held| held.healing.refused.is_none())?;
    let chain = &held.chain;
    Some(CommitAck { gateway: gateway.clone(), epoch: chain.epoch, sequence: chain.sequence, log_size: state.log_size })
}

/// What a gateway is sent after its batches were looked at.
#[derive(Debug)]
pub struct ChainDocuments {
    head: Option<ChainHead>,
    acknowledgement: Option<CommitAck>,
}

/// Composes what a gateway is sent after its batches were looked at, with the first batch that was refused because of its place.
pub fn chain_documents(state: &State, gateway: &GatewayId, not_taken: Option<NotTaken>) -> ChainDocuments {
    // Earlier agents are acknowledged what they have sent, even where a batch is missing in between.
    let acknowledges = not_taken.and_then(|(_, reason)| reason).is_none_or(|reason| reason == ChainRefusal::Gap);
    ChainDocuments {
        head: chain_head(state, gateway, not_taken),
        acknowledgement: acknowledgement(state, gateway).filter(|_| acknowledges),
    }
}

impl ChainDocuments {
    /// The messages: first what agents of this version free by, then what earlier ones do.
    ///
    /// # Errors
    /// A document is too large to sign; a defect.
    pub fn sign(&self, online_key: &SecretKey) -> Result<Vec<(Topic, Vec<u8>)>, SignError> {
        let mut messages = Vec::new();
        if let Some(head) = &self.head {
            let signed = Signed::sign(head, &[online_key])?;
            messages.push((Topic::Chain(head.gateway.clone()), wire::encode(&signed)));
        }
        if let Some(ack) = &self.acknowledgement {
            let signed = Signed::sign(ack, &[online_key])?;
            messages.push((Topic::Ack(ack.gateway.clone()), wire::encode(&signed)));
        }
        Ok(messages)
    }
}

/// One entry of the log with its proof under the log of that size.
fn logged(log: &impl LogSource, index: u64, size: u64) -> Option<LoggedRecord> {
    Some(LoggedRecord { index, bytes: log.bytes_of(index)?, proof: log.proof_of(index, size)? })
}

/// The release with this manifest.
fn release_of(state: &State, manifest: Digest) -> Option<&super::firmware::Firmware> {
    state.firmware.values().find(|f| f.manifest.as_ref().is_some_and(|m| m.digest == manifest))
}

/// A release with its approvals and their proofs under the newest checkpoint.
fn evidence(state: &State, log: &impl LogSource, manifest: Digest) -> Option<ReleaseEvidence> {
    let firmware = release_of(state, manifest)?;
    let (checkpoint, note) = log.newest()?;
    let logged = |index: u64| logged(log, index, checkpoint.size);
    Some(ReleaseEvidence {
        checkpoint: note,
        manifest: logged(firmware.manifest.as_ref()?.log_index)?,
        approvals: firmware.approvals.values().map(|a| logged(a.log_index)).collect::<Option<_>>()?,
    })
}

/// The frame of the rollback orders for a gateway, each with its proof under the newest checkpoint; `None` while that does not
/// cover one of them.
fn rollback_orders(state: &State, log: &impl LogSource, gateway: &GatewayId, now: UtcMillis) -> Option<Vec<u8>> {
    let meant = authority::orders_for(state, gateway, now);
    let mut indexes: Vec<u64> = meant.iter().filter_map(|d| Some(state.authority.orders.get(d)?.log_index)).collect();
    indexes.sort_unstable_by(|a, b| b.cmp(a));
    let prove = |index: &u64| {
        let (checkpoint, note) = log.newest()?;
        Some(RollbackOrderEvidence { checkpoint: note, order: logged(log, *index, checkpoint.size)? })
    };
    let mut orders = indexes.iter().map(prove).collect::<Option<Vec<_>>>()?;
    loop {
        let frame = wire::encode(&orders);
        // Six orders of the largest kind fit; should they not, the oldest goes.
        if frame.len() <= FRAME_BYTES_MAX || orders.pop().is_none() {
            return Some(frame);
        }
    }
}
