//! What is kept beside the documents themselves: how far they had come, so that a lost one is not replaced by an older one, the
//! withdrawn releases, and the documents of other trust roots.

use std::collections::BTreeMap;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::DETAIL_CHARS_MAX;
use mdfm_shared::sign::Signed;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Checkpoint, Hash};
use mdfm_shared::trust::{Freshness, Roster, TrustRoot, Withdrawal, Withdrawals};
use mdfm_shared::wire;
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError, Write};

const MARKS_KEY: &str = "trust/marks";
/// Under no trust root in particular: what was withdrawn once stays withdrawn on this gateway.
const WITHDRAWN_KEY: &str = "withdrawn";
const TRUST_PREFIX: &str = "trust/";
const ROOT_PREFIX: &str = "trust/root/";
/// Documents of other trust roots, below the digest of the first of them.
const ASIDE_PREFIX: &str = "aside/";

/// The last warning about a document that expires: its version, and how many of the warnings were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Warned {
    pub(super) version: u64,
    pub(super) stage: u32,
}

/// How far the documents of one trust root have come on this gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Marks {
    /// Serial and digest of the newest directive, and the gateway that it was for.
    pub(super) directive: Option<(GatewayId, u64, Digest)>,
    /// Name, size and root hash of the log's newest checkpoint.
    pub(super) checkpoint: Option<(String, u64, Hash)>,
    pub(super) roster_version: u64,
    /// Of the newest roster that has one.
    pub(super) freshness: Option<Freshness>,
    pub(super) withdrawals_version: u64,
    /// Digest of the newest frame of rollback orders that was processed.
    pub(super) orders_frame: Option<Digest>,
    pub(super) warned_roster: Warned,
    pub(super) warned_withdrawals: Warned,
}

impl Marks {
    /// Marks that do not decode start again; the second value is whether that happened.
    pub(super) fn load(store: &impl Store) -> Result<(Self, bool), StoreError> {
        let Some(bytes) = store.get(MARKS_KEY)? else { return Ok((Self::default(), false)) };
        Ok(wire::decode(&bytes).map_or_else(|_| (Self::default(), true), |marks| (marks, false)))
    }

    pub(super) fn write(&self) -> Write {
        (MARKS_KEY.to_owned(), Some(wire::encode(self)))
    }

    /// Stands for a roster that was lost: its version is accepted again, an older one is not. `None` if there was none.
    pub(super) fn lost_roster(&self) -> Option<Roster> {
        let version = self.roster_version.checked_sub(1)?;
        Some(Roster { version, entries: Vec::new(), freshness: self.freshness })
    }

    /// The newest checkpoint, where its note was lost.
    pub(super) fn lost_checkpoint(&self) -> Option<Checkpoint> {
        let (origin, size, root) = self.checkpoint.clone()?;
        Some(Checkpoint { origin, size, root })
    }

    /// Stands for withdrawals that were lost, in the same way; they named these releases.
    pub(super) fn lost_withdrawals(&self, named: &BTreeMap<Digest, String>) -> Option<Withdrawals> {
        let version = self.withdrawals_version.checked_sub(1)?;
        let withdrawal =
            |manifest: &Digest| Withdrawal { manifest: *manifest, reason: String::new(), at: UtcMillis(0) };
        let releases = named.keys().map(withdrawal).collect();
        Some(Withdrawals { version, issued_at: UtcMillis(0), expires_at: UtcMillis(0), releases })
    }
}

/// A withdrawn release, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Withdrawn {
    manifest: Digest,
    reason: String,
    /// Whether the trust root of now vouches for it; if not, newer withdrawals need not name it.
    is_current: bool,
}

/// The releases that were ever withdrawn on this gateway; they never become fewer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Union {
    current: BTreeMap<Digest, String>,
    earlier: BTreeMap<Digest, String>,
}

impl Union {
    /// The second value is whether what is kept does not decode.
    pub(super) fn load(store: &impl Store) -> Result<(Self, bool), StoreError> {
        let Some(bytes) = store.get(WITHDRAWN_KEY)? else { return Ok((Self::default(), false)) };
        let Ok(kept) = wire::decode::<Vec<Withdrawn>>(&bytes) else { return Ok((Self::default(), true)) };
        let mut union = Self::default();
        for Withdrawn { manifest, reason, is_current } in kept {
            let part = if is_current { &mut union.current } else { &mut union.earlier };
            part.insert(manifest, reason);
        }
        Ok((union, false))
    }

    /// Takes in what newer withdrawals name.
    pub(super) fn add(&mut self, withdrawals: &Withdrawals) {
        for Withdrawal { manifest, reason, .. } in &withdrawals.releases {
            let reason = reason.chars().take(DETAIL_CHARS_MAX).collect();
            self.current.entry(*manifest).or_insert(reason);
        }
    }

    pub(super) fn current(&self) -> &BTreeMap<Digest, String> {
        &self.current
    }

    /// Why a release was withdrawn; `None` if it was not.
    pub(super) fn reason(&self, manifest: Digest) -> Option<&String> {
        self.current.get(&manifest).or_else(|| self.earlier.get(&manifest))
    }

    pub(super) fn len(&self) -> usize {
        self.current.len() + self.earlier.keys().filter(|d| !self.current.contains_key(d)).count()
    }

    fn is_empty(&self) -> bool {
        self.current.is_empty() && self.earlier.is_empty()
    }

    /// Another trust root begins: its withdrawals need not name these.
    pub(super) fn end(&mut self) {
        let ended = std::mem::take(&mut self.current);
        self.earlier.extend(ended);
    }

    pub(super) fn write(&self) -> Write {
        let entry = |is_current: bool| {
            move |(manifest, reason): (&Digest, &String)| Withdrawn {
                manifest: *manifest,
                reason: reason.clone(),
                is_current,
            }
        };
        let kept: Vec<Withdrawn> =
            self.current.iter().map(entry(true)).chain(self.earlier.iter().map(entry(false))).collect();
        (WITHDRAWN_KEY.to_owned(), Some(wire::encode(&kept)))
    }
}

/// A document that is not taken up, as it is put aside for whoever looks into it.
pub(super) fn aside(key: &str, bytes: Vec<u8>) -> [Write; 2] {
    [(format!("{ASIDE_PREFIX}{key}"), Some(bytes)), (key.to_owned(), None)]
}

/// The writes that make the documents of the trust root `pinned` this gateway's: those of another root are put aside whole, and those
/// that were put aside when another root came return. None if nothing changes; without an enrolment nothing changes either where no
/// documents of that root could return.
pub(super) fn switch(store: &impl Store, pinned: Digest, is_enrolment: bool) -> Result<Vec<Write>, StoreError> {
    let first = store.scan(ROOT_PREFIX)?.into_iter().next();
    let held = first.map(|(_, frame)| wire::decode::<Signed<TrustRoot>>(&frame).map(|root| root.digest()).ok());
    let prefix = format!("{ASIDE_PREFIX}{pinned}/");
    let returning = store.scan(&prefix)?;
    if held == Some(Some(pinned)) || (returning.is_empty() && !is_enrolment) {
        return Ok(Vec::new());
    }
    let mut writes = Vec::new();
    if let Some(held) = held {
        let held = held.map_or_else(|| "unreadable".to_owned(), |digest| digest.to_string());
        for (key, bytes) in store.scan(TRUST_PREFIX)? {
            writes.push((format!("{ASIDE_PREFIX}{held}/{key}"), Some(bytes)));
            writes.push((key, None));
        }
    }
    for (key, bytes) in returning {
        writes.push((key.trim_start_matches(&prefix).to_owned(), Some(bytes)));
        writes.push((key, None));
    }
    let (mut union, _) = Union::load(store)?;
    union.end();
    if !union.is_empty() {
        writes.push(union.write());
    }
    Ok(writes)
}

/// Marks and withdrawn releases with these bytes in them.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    let _ = wire::decode::<Marks>(bytes);
    let _ = wire::decode::<Vec<Withdrawn>>(bytes);
}
