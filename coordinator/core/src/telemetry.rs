//! Telemetry enters: each batch once, in its gateway's order, with its own signature kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::ChainRefusal;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::{EPOCH_STEP_MAX, EPOCHS_A_DAY};
use mdfm_shared::record::document_text;
use mdfm_shared::sign::{KeySet, PublicKey, Signed, Verified, Verifier};
use mdfm_shared::telemetry::{EventKind, TelemetryBatch, account};
use mdfm_shared::time::UtcMillis;

use super::fleet::{Anomaly, AnomalyKind, Chain, Gateway};
use super::{Event, Proposal, Refusal, State, rollout};

/// The batch is committed already: acknowledge again, record nothing.
pub const ALREADY_COMMITTED: &str = "already-committed";
/// An earlier batch is missing: the gateway will send it again, in order.
pub const GAP: &str = "telemetry-gap";
/// Another batch stands at this place of the chain.
pub const FORK: &str = "telemetry-fork";
/// Too old to tell whether it is the one that was committed.
pub const STALE: &str = "telemetry-stale";
/// An epoch that has ended, or that begins behind another batch than the head.
pub const EPOCH: &str = "telemetry-epoch";
/// The gateway has begun too many epochs; a person decides.
pub const HELD: &str = "telemetry-held";

/// What the gateway is answered when a batch is refused with this code; `None` for causes other than its place in the chain.
pub fn chain_refusal(code: &str) -> Option<ChainRefusal> {
    Some(match code {
        FORK => ChainRefusal::Fork,
        GAP => ChainRefusal::Gap,
        STALE => ChainRefusal::Stale,
        EPOCH => ChainRefusal::Epoch,
        HELD => ChainRefusal::Held,
        _ => return None,
    })
}

/// A batch as it came, checked ahead where another thread has had the time.
#[derive(Debug, Clone)]
pub struct Received {
    signed: Signed<TelemetryBatch>,
    /// Made by [`Self::check`] alone, of these very bytes.
    checked: Option<Verified<TelemetryBatch>>,
}

impl From<Signed<TelemetryBatch>> for Received {
    fn from(signed: Signed<TelemetryBatch>) -> Self {
        Self { signed, checked: None }
    }
}

impl Received {
    /// Checks the signature ahead; one that is wrong is found out when the batch is decided about.
    #[must_use]
    pub fn check(signed: Signed<TelemetryBatch>, verifier: &Verifier) -> Self {
        let checked = signed.verify_with(verifier).ok();
        Self { signed, checked }
    }

    fn verify(&self, key: &PublicKey) -> Result<Cow<'_, Verified<TelemetryBatch>>, Refusal> {
        match &self.checked {
            Some(checked) if checked.signers().contains(&key.id()) => Ok(Cow::Borrowed(checked)),
            _ => {
                let verified = self.signed.verify(&KeySet::single(key.clone()));
                verified.map(Cow::Owned).map_err(|e| Refusal::document("telemetry-signature", e))
            }
        }
    }

    /// Digest of the batch.
    pub fn digest(&self) -> Digest {
        self.signed.digest()
    }

    /// The batch, unchecked; for what is said about refused ones.
    pub fn unverified(&self) -> Option<TelemetryBatch> {
        self.signed.decode_unverified().ok()
    }
}

/// Whether these bytes were committed at their place in the gateway's chain already. Says nothing about who sent them.
pub fn is_repeat(state: &State, id: &GatewayId, signed: &Signed<TelemetryBatch>) -> bool {
    let (Some(gateway), Ok(batch)) = (state.gateways.get(id), signed.decode_unverified()) else { return false };
    let chain = &gateway.chain;
    batch.epoch == chain.epoch
        && batch.sequence <= chain.sequence
        && chain.digest_of(batch.sequence) == Some(signed.digest())
}

pub(super) fn commit(
    state: &State,
    now: UtcMillis,
    id: &GatewayId,
    received: &Received,
) -> Result<Vec<Proposal>, Refusal> {
    let signed = &received.signed;
    let gateway = state.need_gateway(id)?;
    let credentials = gateway
        .credentials
        .as_ref()
        .filter(|_| !gateway.revoked)
        .ok_or_else(|| Refusal::forbidden("gateway-revoked", format!("gateway {id} is not enrolled or revoked")))?;
    let key: PublicKey = credentials.telemetry_key.parse().map_err(|e| Refusal::document("telemetry-key", e))?;
    let batch = received.verify(&key)?;
    if batch.gateway != *id {
        let detail = format!("the batch is signed as {}, it came as {id}", batch.gateway);
        return Err(Refusal::forbidden("foreign-gateway", detail));
    }
    if !batch.is_bounded() {
        return Err(Refusal::document("telemetry-size", format!("{} events in one batch", batch.events.len())));
    }
    let chain = &gateway.chain;
    let place = format!("batch {}.{} of gateway {id}", batch.epoch, batch.sequence);
    if batch.epoch == chain.epoch && batch.sequence <= chain.sequence {
        return Err(match chain.digest_of(batch.sequence) {
            Some(committed) if committed == signed.digest() => Refusal::conflict(ALREADY_COMMITTED, "committed before"),
            Some(_) => Refusal::conflict(FORK, format!("{place} differs from the one that was committed")),
            None => Refusal::conflict(STALE, format!("{place} is older than what can be compared")),
        });
    }
    let begins = check_place(gateway, now, &batch, &place)?;
    let event = Event::TelemetryCommitted {
        gateway: id.clone(),
        epoch: batch.epoch,
        sequence: batch.sequence,
        digest: signed.digest(),
    };
    let mut proposals = Vec::new();
    proposals.extend(begins.then(|| begin_epoch(id, chain, batch.epoch)));
    proposals.push(Proposal::new("telemetry.commit", format!("gateway/{id}"), event).with(document_text(signed)));
    // Of several words in one batch the last one counts.
    let mut words = BTreeMap::new();
    for event in &batch.events {
        if let EventKind::Consent { deployment, given, reason, uid } = &event.kind {
            words.insert(deployment, (event.at, *given, reason, uid));
        }
    }
    for (deployment, (at, given, reason, uid)) in words {
        let (by, hospital) = (format!("{} on {id}", account(*uid)), &gateway.hospital);
        proposals.extend(rollout::command::consent_on_site(state, at, deployment, hospital, given, &by, reason));
    }
    Ok(proposals)
}

/// Whether a batch that is new continues the chain; returns whether it begins an epoch behind its head.
fn check_place(gateway: &Gateway, now: UtcMillis, batch: &TelemetryBatch, place: &str) -> Result<bool, Refusal> {
    let chain = &gateway.chain;
    if batch.epoch < chain.epoch {
        return Err(Refusal::conflict(EPOCH, format!("{place} is of an epoch that ended, now is {}", chain.epoch)));
    }
    let next = format!("next is {}.{}", chain.epoch, chain.sequence + 1);
    if batch.epoch == chain.epoch {
        if batch.sequence != chain.sequence + 1 {
            return Err(Refusal::conflict(GAP, format!("{place} came, {next}")));
        }
        if batch.previous != chain.last() {
            return Err(Refusal::conflict(FORK, format!("{place} does not chain to the one before")));
        }
        return Ok(false);
    }
    // A coordinator that was restored may know no batch of an enrolment that had some.
    if batch.sequence != 1 {
        return Err(Refusal::conflict(GAP, format!("{place} came, {next}")));
    }
    if batch.previous != chain.last() || batch.epoch - chain.epoch > EPOCH_STEP_MAX {
        let detail = format!("{place} begins behind another batch than {}.{}", chain.epoch, chain.sequence);
        return Err(Refusal::conflict(EPOCH, detail));
    }
    if gateway.healing.is_exhausted(now) {
        let detail = format!(
            "{place} would begin more than {EPOCHS_A_DAY} epochs in a day: two machines may use this identity; find out which is the \
             gateway, then enrol it again"
        );
        return Err(Refusal::conflict(HELD, detail));
    }
    Ok(true)
}

/// The record of an epoch that a gateway begins.
fn begin_epoch(id: &GatewayId, chain: &Chain, epoch: u64) -> Proposal {
    let (previous_epoch, previous_sequence) = (chain.epoch, chain.sequence);
    let event = Event::EpochBegun { gateway: id.clone(), epoch, previous_epoch, previous_sequence, head: chain.last() };
    let reason = format!(
        "gateway {id} held other telemetry than batch {previous_epoch}.{previous_sequence}: it was set back, or another machine uses its \
         key; epoch {epoch} begins behind that batch and every device is reported again"
    );
    Proposal::new("telemetry.epoch", format!("gateway/{id}"), event).because(reason)
}

/// How long an earlier batch may be missing before that is worth an alarm; agents send again after 5 s.
const GAP_ALARM_MS: u64 = 60_000;
/// Repeats of acknowledged batches in [`REPEATS_WINDOW_MS`] that no lost acknowledgement explains.
const REPEATS_MAX: u32 = 600;
const REPEATS_WINDOW_MS: u64 = 60_000;

/// What is seen of gateways' chains while time passes; volatile, what follows is logged.
#[derive(Debug, Default)]
pub struct ChainWatch {
    /// Since when the batch that is next has been missing.
    gaps: BTreeMap<GatewayId, (u64, u64, UtcMillis)>,
    repeats: BTreeMap<GatewayId, (UtcMillis, u32)>,
}

impl ChainWatch {
    /// What is wrong with the chain of a gateway whose batch was refused; `None` for what happens every day.
    pub fn judge(
        &mut self,
        state: &State,
        now: UtcMillis,
        id: &GatewayId,
        received: &Received,
        code: &str,
    ) -> Option<Anomaly> {
        let gateway = state.gateways.get(id)?;
        let kind = match code {
            FORK => AnomalyKind::Fork,
            STALE => AnomalyKind::Stale,
            EPOCH => AnomalyKind::Epoch,
            HELD => AnomalyKind::Held,
            GAP => {
                let next = (gateway.chain.epoch, gateway.chain.sequence + 1);
                let gap = self.gaps.entry(id.clone()).or_insert((next.0, next.1, now));
                if (gap.0, gap.1) != next {
                    *gap = (next.0, next.1, now);
                }
                if now.since_ms(gap.2) < GAP_ALARM_MS {
                    return None;
                }
                AnomalyKind::Gap
            }
            ALREADY_COMMITTED => {
                let seen = self.repeats.entry(id.clone()).or_insert((now, 0));
                if now.since_ms(seen.0) >= REPEATS_WINDOW_MS {
                    *seen = (now, 0);
                }
                seen.1 += 1;
                if seen.1 != REPEATS_MAX {
                    return None;
                }
                AnomalyKind::Repeats
            }
            _ => return None,
        };
        // Refusals for these causes come after the signature was checked.
        let batch = received.unverified()?;
        let expected = gateway.chain.sequence + 1;
        let found = Anomaly { kind, at: now, epoch: batch.epoch, sequence: batch.sequence, expected };
        let same = |a: &Anomaly| match kind {
            AnomalyKind::Gap => a.kind == kind && (a.epoch, a.expected) == (found.epoch, expected),
            AnomalyKind::Repeats => a.kind == kind && now.since_ms(a.at) < 60 * REPEATS_WINDOW_MS,
            AnomalyKind::Epoch if found.epoch < gateway.chain.epoch => {
                a.kind == kind && a.epoch == found.epoch && now.since_ms(a.at) < 60 * REPEATS_WINDOW_MS
            }
            AnomalyKind::Fork | AnomalyKind::Stale | AnomalyKind::Epoch => {
                // What a gateway has sent ahead of an answer is one finding. Once a batch was committed a new refusal is a new one.
                let is_run = found.sequence <= gateway.chain.sequence && a.sequence <= found.sequence;
                let is_same = a.sequence == found.sequence || is_run || kind == AnomalyKind::Epoch;
                gateway.healing.refused.is_some() && a.kind == kind && a.epoch == found.epoch && is_same
            }
            AnomalyKind::Held => gateway.healing.held_since.is_some(),
            AnomalyKind::Clone | AnomalyKind::SetBack | AnomalyKind::Crowded | AnomalyKind::TwoNetworks => false,
        };
        (!gateway.anomalies.iter().any(same)).then_some(found)
    }
}

/// The record of a finding.
pub fn anomaly(id: &GatewayId, anomaly: Anomaly) -> Proposal {
    let Anomaly { kind, epoch, sequence, expected, .. } = anomaly;
    let reason = match kind {
        AnomalyKind::Fork => {
            format!("gateway {id} signed two histories: {epoch}.{sequence} is not what stands in the log")
        }
        AnomalyKind::Gap => {
            format!("batch {expected} of gateway {id} does not come, {sequence} does: withheld or lost")
        }
        AnomalyKind::Stale => format!("gateway {id} sends {epoch}.{sequence}, long past: it was set back"),
        AnomalyKind::Epoch => {
            format!("gateway {id} sends {epoch}.{sequence}, which does not follow the head: it was set back or copied")
        }
        AnomalyKind::SetBack => format!("gateway {id} was set back and begins epoch {epoch}"),
        AnomalyKind::Held => format!(
            "gateway {id} has begun {EPOCHS_A_DAY} epochs within a day: two machines may use its identity; it begins no more until it is \
             enrolled again"
        ),
        AnomalyKind::Clone | AnomalyKind::Crowded | AnomalyKind::TwoNetworks => {
            format!("gateway {id}: {}", kind.words())
        }
        AnomalyKind::Repeats => {
            format!("gateway {id} sends acknowledged batches again and again, last {epoch}.{sequence}")
        }
    };
    let event = Event::TelemetryAnomaly { gateway: id.clone(), anomaly };
    Proposal::new("telemetry.anomaly", format!("gateway/{id}"), event).because(reason)
}

/// Time between two records of one finding about the use of a certificate: an hour,
const USE_INTERVAL_MS: u64 = 3_600_000;
/// and a day where a site with two lines looks the same.
const TWO_NETWORKS_INTERVAL_MS: u64 = 86_400_000;

/// The action of a finding in the log.
pub fn action_of(kind: AnomalyKind) -> &'static str {
    match kind {
        AnomalyKind::Clone => "gateway.clone",
        AnomalyKind::Crowded => "gateway.crowded",
        AnomalyKind::TwoNetworks => "gateway.two-networks",
        _ => "telemetry.anomaly",
    }
}

/// How the certificate of a gateway is used shows that somebody else may have its key: recorded once an hour, or once a day.
pub fn note_use(
    state: &State,
    now: UtcMillis,
    id: &GatewayId,
    kind: AnomalyKind,
    networks: &[String],
) -> Result<Vec<Proposal>, Refusal> {
    let gateway = state.need_gateway(id)?;
    let interval = if kind == AnomalyKind::TwoNetworks { TWO_NETWORKS_INTERVAL_MS } else { USE_INTERVAL_MS };
    if gateway.anomalies.iter().any(|a| a.kind == kind && now.since_ms(a.at) < interval) {
        return Ok(Vec::new());
    }
    let chain = &gateway.chain;
    let (epoch, sequence) = (chain.epoch, chain.sequence);
    let anomaly = Anomaly { kind, at: now, epoch, sequence, expected: sequence + 1 };
    let networks = networks.join(" and ");
    let reason = match kind {
        AnomalyKind::Crowded => format!(
            "gateway {id} holds as many connections as it may, from {networks}, and opens more: another one may use its key; if that is so, \
             revoke it and enrol the gateway again"
        ),
        AnomalyKind::TwoNetworks => format!(
            "the certificate of gateway {id} is used from two networks at once, {networks}: usual where a site has two lines or a pool of \
             addresses; otherwise its key was copied: revoke it and enrol the gateway again"
        ),
        _ => format!(
            "two peers use the certificate of gateway {id} at once, from {networks}: its key was copied; revoke it and enrol the gateway again"
        ),
    };
    let event = Event::TelemetryAnomaly { gateway: id.clone(), anomaly };
    Ok(vec![Proposal::new(action_of(kind), format!("gateway/{id}"), event).because(reason)])
}
