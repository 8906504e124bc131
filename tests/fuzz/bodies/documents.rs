//! Everything that comes to an agent as a message, and bundles: refused or read, never a panic.

use std::sync::OnceLock;

use mdfm_shared::bundle;
use mdfm_shared::directive::{ChainHead, CommitAck, Directive};
use mdfm_shared::manifest::Manifest;
use mdfm_shared::observed::ObservationRequest;
use mdfm_shared::report::ReportStatement;
use mdfm_shared::sign::{Document, Signed};
use mdfm_shared::telemetry::{Heartbeat, TelemetryBatch};
use mdfm_shared::tlog::{Checkpoint, NoteKey};
use mdfm_shared::trust::{
    Approval, ReleaseEvidence, RollbackOrder, RollbackOrderEvidence, Roster, TrustRoot, Validation, Withdrawals,
};
use mdfm_shared::wire::{self, Topic};

/// Some log's key.
fn log_key() -> &'static NoteKey {
    static KEY: OnceLock<NoteKey> = OnceLock::new();
    KEY.get_or_init(|| {
        NoteKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").expect("a good key")
    })
}

fn signed<T: Document>(bytes: &[u8]) {
    if let Ok(signed) = wire::decode::<Signed<T>>(bytes) {
        let _ = signed.decode_unverified();
    }
}

pub(crate) fn run(bytes: &[u8]) {
    signed::<TrustRoot>(bytes);
    signed::<Roster>(bytes);
    signed::<Directive>(bytes);
    signed::<CommitAck>(bytes);
    signed::<ChainHead>(bytes);
    signed::<ObservationRequest>(bytes);
    signed::<TelemetryBatch>(bytes);
    signed::<Manifest>(bytes);
    signed::<Approval>(bytes);
    signed::<Validation>(bytes);
    signed::<ReportStatement>(bytes);
    signed::<Withdrawals>(bytes);
    signed::<RollbackOrder>(bytes);
    signed::<Heartbeat>(bytes);
    if let Ok(order) = wire::decode::<Signed<RollbackOrder>>(bytes) {
        let _ = order.decode_unverified().map(|order| order.check());
    }
    if let Ok(orders) = wire::decode::<Vec<RollbackOrderEvidence>>(bytes) {
        for evidence in orders {
            let _ = Checkpoint::open(evidence.checkpoint.as_bytes(), log_key());
        }
    }
    let _ = wire::decode::<ReleaseEvidence>(bytes);
    // A bundle carries the same messages once more.
    if let Ok(header) = bundle::Header::decode(bytes) {
        let _ = header.encode();
    }
    if let Some(prefix) = bytes.first_chunk() {
        let _ = bundle::header_len(prefix);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Topic::parse(text);
        let _ = NoteKey::parse(text);
    }
    let _ = Checkpoint::open(bytes, log_key());
}
