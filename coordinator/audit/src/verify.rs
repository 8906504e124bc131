//! Verification of a copy of the log, offline, by whoever holds the log's verifier key: an export, the log directory of a backup,
//! or a directory of static tiles.
//!
//! Nothing in the copy is trusted but what the checkpoint's signature covers. Files that follow from the segments are not read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::sign::{KeySet, PublicKey};
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{
    Checkpoint, Frontier, Hash, NoteKey, TILE_WIDTH, TilePath, WitnessPolicy, entries_of_bundle, leaf_hash,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::disk::{RealDisk, SharedDisk, read_all};
use crate::log::LogError;
use crate::search::kind_of;
use crate::segment::{FrameReader, SEGMENT_MAGIC, list, log_name};

/// Why a copy is not what the log signed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The copy cannot be read.
    #[error("the copy cannot be read")]
    Io(#[from] std::io::Error),
    /// There is no checkpoint that counts.
    #[error("checkpoint of the copy")]
    Checkpoint(#[from] mdfm_shared::tlog::NoteError),
    /// No checkpoint at all.
    #[error("the copy holds no checkpoint; nothing says what belongs to the log")]
    NoCheckpoint,
    /// The first entry that is not good.
    #[error("entry {entry}: {what} ({file} at byte {position})")]
    Entry {
        /// Its position in the log.
        entry: u64,
        /// What is wrong.
        what: String,
        /// The file.
        file: String,
        /// Where in it.
        position: u64,
    },
    /// Payloads are missing that nobody ordered away.
    #[error(
        "{found} records lack their payload, the disposals confirmed in the log do not say so ({ordered} ordered): payloads were taken away"
    )]
    Disposed {
        /// Records without payload.
        found: u64,
        /// Records that the confirmed disposals name.
        ordered: u64,
    },
    /// The entries do not lead to the signed root.
    #[error(
        "the entries do not lead to the root that the checkpoint signs at size {0}: entries were altered, dropped or moved"
    )]
    Root(u64),
}

impl From<LogError> for VerifyError {
    fn from(error: LogError) -> Self {
        Self::Io(std::io::Error::other(error))
    }
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Entries under the checkpoint.
    pub entries: u64,
    /// Whole entries after it: true perhaps, but not signed for.
    pub beyond: u64,
    /// Whether the copy ends in the middle of an entry, as one that was made while the log grew may.
    pub torn_end: bool,
    /// Entries whose payload was disposed of after retention; their hashes were verified.
    pub disposed: u64,
    /// Root at the checkpoint, hex.
    pub root: String,
    /// Witnesses that cosigned the checkpoint.
    pub witnesses: usize,
    /// Telemetry batches whose signature and place in their gateway's chain were verified.
    pub batches: u64,
    /// Gateways with such batches.
    pub gateways: usize,
    /// Records that report something wrong with a gateway's chain.
    pub anomalies: u64,
    /// When the first record under the checkpoint was made, RFC 3339.
    pub first_at: Option<String>,
    /// When the last one was made.
    pub last_at: Option<String>,
}

/// Verifies a copy; `witnesses` says whose cosignatures the checkpoint must carry.
///
/// # Errors
/// See [`VerifyError`]: the first thing that is wrong.
pub fn verify_copy(dir: &Path, log: &NoteKey, witnesses: &WitnessPolicy) -> Result<Verified, VerifyError> {
    read_copy(dir, log, witnesses, &mut |_, _| {})
}

/// The same, and calls `each` with position and bytes of every record under the checkpoint that has its payload, in the log's order.
/// Nothing that `each` got counts before this returns: only the last record shows whether all of them lead to the signed root.
///
/// # Errors
/// See [`VerifyError`]: the first thing that is wrong.
pub fn read_copy(
    dir: &Path,
    log: &NoteKey,
    witnesses: &WitnessPolicy,
    each: &mut dyn FnMut(u64, &[u8]),
) -> Result<Verified, VerifyError> {
    let disk: SharedDisk = Arc::new(RealDisk(dir.to_owned()));
    let note = match read_all(&*disk, "published")? {
        Some(note) => Some(note),
        None => read_all(&*disk, "checkpoint")?,
    };
    let note = note.ok_or(VerifyError::NoCheckpoint)?;
    let checkpoint = witnesses.open(&note, log)?;
    let mut reading = Reading::new(checkpoint, witnesses.count(&note)?, each);
    if dir.join("tile").is_dir() {
        read_tiles(&disk, &mut reading)?;
    } else {
        read_segments(&disk, &mut reading)?;
    }
    reading.finish()
}

/// Where a gateway's chain stands, and whether a link may be missing because it was disposed of.
struct Chain {
    key: PublicKey,
    epoch: u64,
    sequence: u64,
    last: Digest,
    loose: bool,
}

/// A disposal as the log orders it.
struct Order {
    entries: u64,
    list_sha256: String,
    confirmed: bool,
}

struct Reading<'a> {
    each: &'a mut dyn FnMut(u64, &[u8]),
    /// When the first and the last record were made, milliseconds since 1970.
    times: Option<(u64, u64)>,
    checkpoint: Checkpoint,
    frontier: Frontier,
    chains: BTreeMap<GatewayId, Chain>,
    orders: BTreeMap<String, Order>,
    /// SHA-256 over the indexes of the disposed entries, u64 BE each.
    disposed: Sha256,
    found: Verified,
    root_fits: bool,
}

impl<'a> Reading<'a> {
    fn new(checkpoint: Checkpoint, witnesses: usize, each: &'a mut dyn FnMut(u64, &[u8])) -> Self {
        let root_fits = checkpoint.size == 0 && checkpoint.root == Frontier::default().root();
        let found = Verified { witnesses, root: hex::encode(checkpoint.root), ..Verified::default() };
        let (chains, orders, disposed) = (BTreeMap::new(), BTreeMap::new(), Sha256::new());
        Self {
            each,
            times: None,
            checkpoint,
            frontier: Frontier::default(),
            chains,
            orders,
            disposed,
            found,
            root_fits,
        }
    }

    /// Takes the next entry; `None` stands for one that was disposed of. The error is what is wrong with it.
    fn take(&mut self, leaf: Hash, entry: Option<&[u8]>) -> Result<(), String> {
        self.frontier.push(leaf);
        let size = self.frontier.size();
        if size == self.checkpoint.size {
            self.root_fits = self.frontier.root() == self.checkpoint.root;
        }
        if size > self.checkpoint.size {
            self.found.beyond += 1;
            return Ok(());
        }
        self.found.entries += 1;
        match entry {
            Some(entry) => {
                self.judge(entry)?;
                (self.each)(size - 1, entry);
                Ok(())
            }
            None => {
                self.found.disposed += 1;
                self.disposed.update((size - 1).to_be_bytes());
                self.chains.values_mut().for_each(|chain| chain.loose = true);
                Ok(())
            }
        }
    }

    fn judge(&mut self, entry: &[u8]) -> Result<(), String> {
        // Most records concern no chain and no disposal: their form is all that is looked at.
        let Some((kind, at_ms)) = kind_of(entry) else { return Err("is no audit record".into()) };
        self.times = Some((self.times.map_or(at_ms, |(first, _)| first), at_ms));
        match &*kind {
            "gatewayEnrolled" | "epochBegun" | "telemetryCommitted" | "telemetryAnomaly" | "disposalProposed"
            | "disposalConfirmed" => {}
            _ => return Ok(()),
        }
        let record = AuditRecord::from_bytes(entry).map_err(|e| e.to_string())?;
        let Some(event) = &record.event else { return Ok(()) };
        match event["type"].as_str() {
            Some("gatewayEnrolled") => {
                let text = |name: &str| event[name].as_str().unwrap_or_default();
                let gateway: GatewayId = text("gateway").parse().map_err(|e| format!("{e}"))?;
                let key: PublicKey = text("telemetryKey").parse().map_err(|e| format!("{e}"))?;
                let epoch = event["epoch"].as_u64().unwrap_or_default();
                self.chains.insert(gateway, Chain { key, epoch, sequence: 0, last: Digest([0; 32]), loose: false });
                Ok(())
            }
            Some("epochBegun") => {
                self.found.anomalies += 1;
                let gateway = event["gateway"].as_str().unwrap_or_default();
                let gateway: GatewayId = gateway.parse().map_err(|e| format!("{e}"))?;
                let epoch = event["epoch"].as_u64().unwrap_or_default();
                let Some(chain) = self.chains.get_mut(&gateway) else {
                    return Err(format!("{gateway} was never enrolled"));
                };
                // The first batch of the epoch names the head of before, which stays.
                let head = event["head"].as_str() == Some(chain.last.to_string().as_str());
                if epoch <= chain.epoch || !(head || chain.loose) {
                    return Err(format!("epoch {epoch} of {gateway} does not begin behind its chain"));
                }
                (chain.epoch, chain.sequence) = (epoch, 0);
                Ok(())
            }
            Some("telemetryCommitted") => self.follow(&record),
            Some("telemetryAnomaly") => {
                self.found.anomalies += 1;
                Ok(())
            }
            Some("disposalProposed") => {
                let entries = event["proposed"]["entries"].as_u64().unwrap_or_default();
                let list_sha256 = event["proposed"]["listSha256"].as_str().unwrap_or_default().to_owned();
                let name = event["disposal"].as_str().unwrap_or_default().to_owned();
                self.orders.insert(name, Order { entries, list_sha256, confirmed: false });
                Ok(())
            }
            Some("disposalConfirmed") => {
                if let Some(order) = self.orders.get_mut(event["disposal"].as_str().unwrap_or_default()) {
                    order.confirmed = true;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn follow(&mut self, record: &AuditRecord) -> Result<(), String> {
        let signed = record.document::<TelemetryBatch>().map_err(|e| e.to_string())?;
        let claimed = signed.decode_unverified().map_err(|e| e.to_string())?;
        let Some(chain) = self.chains.get_mut(&claimed.gateway) else {
            return Err(format!("{} was never enrolled", claimed.gateway));
        };
        signed.verify(&KeySet::single(chain.key.clone())).map_err(|e| e.to_string())?;
        let next = claimed.epoch == chain.epoch
            && claimed.sequence > chain.sequence
            && (chain.loose || (claimed.sequence == chain.sequence + 1 && claimed.previous == chain.last));
        if !next {
            let (epoch, sequence) = (claimed.epoch, claimed.sequence);
            return Err(format!("batch {epoch}.{sequence} of {} is out of its chain", claimed.gateway));
        }
        (chain.sequence, chain.last, chain.loose) = (claimed.sequence, signed.digest(), false);
        self.found.batches += 1;
        Ok(())
    }

    /// Every missing payload was ordered away. How many is always known; which, where one order covers them all: the lists of
    /// several lie in the log as digests only.
    fn check_disposals(&mut self) -> Result<(), VerifyError> {
        let found = self.found.disposed;
        let confirmed: Vec<&Order> = self.orders.values().filter(|o| o.confirmed).collect();
        let ordered = confirmed.iter().map(|o| o.entries).sum();
        let list = hex::encode(std::mem::take(&mut self.disposed).finalize());
        let other = matches!(confirmed[..], [only] if found == only.entries && only.list_sha256 != list);
        if found > ordered || other { Err(VerifyError::Disposed { found, ordered }) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<Verified, VerifyError> {
        let (signed, found) = (self.checkpoint.size, self.frontier.size());
        if found < signed {
            let what = format!("missing; the checkpoint signs {signed} entries");
            return Err(VerifyError::Entry { entry: found, what, file: "the copy".into(), position: 0 });
        }
        if !self.root_fits {
            return Err(VerifyError::Root(signed));
        }
        self.check_disposals()?;
        (self.found.first_at, self.found.last_at) =
            self.times.map(|(first, last)| (UtcMillis(first).to_string(), UtcMillis(last).to_string())).unzip();
        self.found.gateways = self.chains.values().filter(|c| c.sequence > 0).count();
        Ok(self.found)
    }
}

fn read_segments(disk: &SharedDisk, reading: &mut Reading<'_>) -> Result<(), VerifyError> {
    let firsts = list(&**disk)?;
    for (i, &first) in firsts.iter().enumerate() {
        let name = log_name(first);
        let bad = |entry, what: &str, position| {
            let (what, file) = (what.to_owned(), disk.show(&name));
            Err(VerifyError::Entry { entry, what, file, position })
        };
        let next = reading.frontier.size();
        if first != next {
            return bad(next, "the next file does not begin there; a file is missing", 0);
        }
        let file = disk.open(&name)?;
        let length = file.len()?;
        let mut magic = [0; 8];
        if length < 8 || file.read_exact_at(&mut magic, 0).is_err() || &magic != SEGMENT_MAGIC {
            return bad(next, "the file is no segment of an audit log", 0);
        }
        let mut frames = FrameReader::new(&file, 8, length);
        loop {
            let position = frames.position();
            let entry = reading.frontier.size();
            let last = i + 1 == firsts.len() && entry >= reading.checkpoint.size;
            match frames.next() {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => {
                    let bytes = (!frame.disposed).then_some(frame.payload);
                    if let Err(what) = reading.take(frame.leaf, bytes) {
                        return bad(entry, &what, position);
                    }
                }
                Ok(Some(Err(_))) | Err(_) if last => {
                    reading.found.torn_end = true;
                    return Ok(());
                }
                Ok(Some(Err(_))) | Err(_) => return bad(entry, "damaged or cut off", position),
            }
        }
    }
    Ok(())
}

fn read_tiles(disk: &SharedDisk, reading: &mut Reading<'_>) -> Result<(), VerifyError> {
    let size = reading.checkpoint.size;
    for index in 0..size.div_ceil(TILE_WIDTH) {
        let from = index * TILE_WIDTH;
        let width = (size - from).min(TILE_WIDTH);
        let full = TilePath::Entries { index, width: TILE_WIDTH }.to_string();
        let partial = TilePath::Entries { index, width }.to_string();
        let (name, bundle) = match read_all(&**disk, &partial)? {
            Some(bundle) => (partial, Some(bundle)),
            None => (full.clone(), read_all(&**disk, &full)?),
        };
        let bad = |entry, what: &str| {
            let (what, file) = (what.to_owned(), disk.show(&name));
            Err(VerifyError::Entry { entry, what, file, position: 0 })
        };
        let Some(bundle) = bundle else {
            return bad(from, "its bundle is missing; a log with disposed entries has no static copy");
        };
        let Some(entries) = entries_of_bundle(&bundle).filter(|e| e.len() as u64 >= width) else {
            return bad(from, "its bundle is not whole");
        };
        for (i, entry) in (from..).zip(entries.into_iter().take(width as usize)) {
            if let Err(what) = reading.take(leaf_hash(entry), Some(entry)) {
                return bad(i, &what);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mdfm_shared::record::{Actor, ActorKind, Outcome, document_text};
    use mdfm_shared::sign::{SecretKey, Signed};
    use mdfm_shared::telemetry::{Event, EventKind};
    use serde_json::{Value, json};

    use super::*;
    use crate::log::tests::signer;
    use crate::{AuditLog, Options};

    fn record(event: Option<Value>) -> Vec<u8> {
        let actor = Actor { kind: ActorKind::User, id: "u".into(), roles: vec![] };
        let record = AuditRecord::new(UtcMillis(5), &actor, "a", "o", Outcome::Accepted);
        AuditRecord { event, ..record }.to_bytes()
    }

    /// Verifies a copy of twelve records, of which 3 and 5 were taken away, with these orders after them.
    fn verified(name: &str, orders: &[Value]) -> Result<Verified, VerifyError> {
        let dir = std::env::temp_dir().join(format!("mdfm-verify-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let mut log = AuditLog::open(&dir, signer(), Options::default()).expect("opens");
        let entries = (0..12).map(|_| record(None)).chain(orders.iter().map(|o| record(Some(o.clone()))));
        log.append(&entries.collect::<Vec<_>>()).expect("appends");
        log.dispose(&BTreeSet::from([3, 5])).expect("disposes");
        let (_, note) = log.sign_checkpoint().expect("signs");
        log.publish(&note).expect("publishes");
        let found = verify_copy(&dir, signer().key(), &WitnessPolicy::default());
        let _ = std::fs::remove_dir_all(&dir);
        found
    }

    /// Verifies a log of one gateway: its enrolment, a batch, an epoch that names this head, and the first batch of the epoch behind `previous`.
    fn with_epoch(
        name: &str,
        epoch: u64,
        named: Option<Digest>,
        previous: Option<Digest>,
    ) -> Result<Verified, VerifyError> {
        let key = SecretKey::from_seed([51; 32]);
        let gateway: GatewayId = "GW-1".parse().expect("a good id");
        let batch = |epoch: u64, previous: Digest| {
            let events =
                vec![Event { device: None, at: UtcMillis(5), kind: EventKind::AgentStarted { version: "1".into() } }];
            let batch = TelemetryBatch { gateway: gateway.clone(), epoch, sequence: 1, previous, events };
            Signed::sign(&batch, &[&key]).expect("small")
        };
        let first = batch(1, Digest([0; 32]));
        let (head, behind) = (named.unwrap_or(first.digest()), previous.unwrap_or(first.digest()));
        let committed = |signed: &Signed<TelemetryBatch>| {
            let actor = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
            let record = AuditRecord::new(UtcMillis(5), &actor, "telemetry.commit", "gateway/GW-1", Outcome::Accepted);
            let event = Some(json!({ "type": "telemetryCommitted" }));
            AuditRecord { event, document: Some(document_text(signed)), ..record }.to_bytes()
        };
        let enrolled = json!({ "type": "gatewayEnrolled", "gateway": "GW-1", "epoch": 1, "telemetryKey": key.public().to_string() });
        let begun = json!({ "type": "epochBegun", "gateway": "GW-1", "epoch": epoch, "head": head.to_string() });
        let entries =
            [record(Some(enrolled)), committed(&first), record(Some(begun)), committed(&batch(epoch, behind))];
        let dir = std::env::temp_dir().join(format!("mdfm-verify-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let mut log = AuditLog::open(&dir, signer(), Options::default()).expect("opens");
        log.append(&entries).expect("appends");
        let (_, note) = log.sign_checkpoint().expect("signs");
        log.publish(&note).expect("publishes");
        let found = verify_copy(&dir, signer().key(), &WitnessPolicy::default());
        let _ = std::fs::remove_dir_all(&dir);
        found
    }

    #[test]
    fn fld_6_an_epoch_is_verified_behind_the_head_of_before() {
        let good = with_epoch("epoch", 2, None, None).expect("whole");
        assert_eq!((good.batches, good.anomalies), (2, 1));
        let other = Some(Digest([9; 32]));
        assert!(with_epoch("epoch-head", 2, other, None).is_err(), "behind another head");
        assert!(with_epoch("epoch-batch", 2, None, other).is_err(), "a batch that names another one");
        assert!(with_epoch("epoch-old", 1, None, None).is_err(), "not above the one before");
    }

    #[test]
    fn seed_ret_payloads_that_nobody_ordered_away_are_missed() {
        let list = |entries: &[u64]| {
            let bytes: Vec<u8> = entries.iter().flat_map(|i| i.to_be_bytes()).collect();
            Digest::of(&bytes).to_string()
        };
        let proposed = |name: &str, entries: &[u64]| {
            let proposed = json!({ "entries": entries.len(), "listSha256": list(entries) });
            json!({ "type": "disposalProposed", "disposal": name, "proposed": proposed })
        };
        let confirmed = |name: &str| json!({ "type": "disposalConfirmed", "disposal": name, "by": "u" });
        let missed =
            |found: Result<Verified, VerifyError>| matches!(found, Err(VerifyError::Disposed { found: 2, .. }));
        assert!(missed(verified("none", &[])));
        assert!(missed(verified("proposed", &[proposed("X", &[3, 5])])), "one person is not enough");
        assert!(missed(verified("fewer", &[proposed("X", &[3]), confirmed("X")])));
        assert!(missed(verified("other", &[proposed("X", &[3, 6]), confirmed("X")])), "other records");
        let good = verified("good", &[proposed("X", &[3, 5]), confirmed("X")]);
        assert_eq!(good.map(|found| found.disposed).ok(), Some(2));
    }

    #[test]
    fn cli_13_a_copy_is_read_up_to_its_checkpoint() {
        let dir = std::env::temp_dir().join(format!("mdfm-read-copy-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let mut log = AuditLog::open(&dir, signer(), Options::default()).expect("opens");
        let at = |ms: u64| {
            let actor = Actor { kind: ActorKind::User, id: "u".into(), roles: vec![] };
            AuditRecord::new(UtcMillis(ms), &actor, "a", "device/D-1", Outcome::Accepted).to_bytes()
        };
        log.append(&[at(1_000), at(2_000), at(3_000)]).expect("appends");
        let (_, note) = log.sign_checkpoint().expect("signs");
        log.publish(&note).expect("publishes");
        log.append(&[at(4_000)]).expect("appends");
        let (mut read, matcher) = (
            Vec::new(),
            crate::Matcher::new(&crate::Query {
                fields: vec![(crate::Field::Device, "D-*".into())],
                since_ms: Some(2_000),
                ..crate::Query::default()
            }),
        );
        let mut each = |index, entry: &[u8]| read.extend(matcher.is_met_by(entry).then_some(index));
        let found = read_copy(&dir, signer().key(), &WitnessPolicy::default(), &mut each).expect("whole");
        let _ = std::fs::remove_dir_all(&dir);
        assert_eq!((read, found.entries, found.beyond), (vec![1, 2], 3, 1));
        assert_eq!(found.first_at.as_deref(), Some("1970-01-01T00:00:01.000Z"));
        assert_eq!(found.last_at.as_deref(), Some("1970-01-01T00:00:03.000Z"));
    }
}
