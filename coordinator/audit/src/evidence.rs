//! Evidence: one file with some records, the proof that each stands in the log, the checkpoint, and the history of the keys that
//! signed. It is verified offline, by our tool or by a page in a browser.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::Directive;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::PROOF_HASHES_MAX;
use mdfm_shared::manifest::Manifest;
use mdfm_shared::record::{AuditRecord, decode_document};
use mdfm_shared::sign::{KeySet, PublicKey, Signed};
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_shared::tlog::{Hash, NoteKey, ProofFile, WitnessPolicy};
use mdfm_shared::trust::{Approval, Roster, TrustRoot, TrustedRoot, Validation};
use serde::{Deserialize, Serialize};

/// The only form so far.
pub const EVIDENCE_FORMAT: &str = "mdfm-evidence/1";
/// Bytes of a file that is read at most.
pub const EVIDENCE_BYTES_MAX: usize = 512 << 20;
/// Records in one file at most.
pub const EVIDENCE_RECORDS_MAX: usize = 200_000;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// [`EVIDENCE_FORMAT`].
    pub format: String,
    /// What the records were chosen by, in words.
    pub about: String,
    /// When the file was made, RFC 3339; nothing vouches for it.
    pub made_at: String,
    /// The log's verifier key, as the vendor's trust root names it.
    pub log_key: String,
    /// Witnesses that the trust root names, and how many must have cosigned.
    pub witness_keys: Vec<String>,
    /// How many must have cosigned.
    pub witness_threshold: usize,
    /// The signed checkpoint with its cosignatures.
    pub checkpoint: String,
    /// Base64 of the frames of every trust root, version 1 first: the history of the keys.
    pub trust_roots: Vec<String>,
    /// Base64 of the frame of the roster.
    pub roster: Option<String>,
    /// The records.
    pub records: Vec<EvidenceRecord>,
}

/// One record with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceRecord {
    /// Position in the log.
    pub index: u64,
    /// The entry, byte for byte.
    pub entry: String,
    /// Inclusion proof under the checkpoint, leaf side first, base64.
    pub proof: Vec<String>,
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Not of the form.
    #[error("not an evidence file of a form that we know: {0}")]
    Malformed(String),
    /// The keys in the file are not those that the reader trusts.
    #[error("the file names the log key {found}, expected {expected}")]
    OtherLog {
        /// In the file.
        found: String,
        /// The reader's.
        expected: String,
    },
    /// The history of the keys does not hold together.
    #[error("trust root {version} of the file: {cause}")]
    Trust {
        /// Which one.
        version: usize,
        /// What is wrong.
        cause: String,
    },
    /// A record is not proved, or carries a signature that does not hold.
    #[error("entry {index}: {cause}")]
    Record {
        /// Its position.
        index: u64,
        /// What is wrong.
        cause: String,
    },
    /// Nothing stands in it that could be verified.
    #[error("the file holds no records: it proves nothing")]
    Empty,
    /// The checkpoint does not count.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] mdfm_shared::tlog::NoteError),
}

/// What a file was found to prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceFindings {
    /// Name of the log.
    pub origin: String,
    /// Size of the log at the checkpoint.
    pub size: u64,
    /// Root at the checkpoint, hex.
    pub root: String,
    /// Witnesses that cosigned.
    pub witnesses: usize,
    /// Digest of the first trust root: compare it with the one that the vendor gave you.
    pub first_root: Option<String>,
    /// Records proved to stand in the log.
    pub records: usize,
    /// Signatures inside records that were verified, in words.
    pub signatures: Vec<String>,
    /// Records with a signed document whose key is not in the file.
    pub unchecked: usize,
    /// When the first of the records was made, RFC 3339.
    pub first_at: Option<String>,
    /// When the last one was made.
    pub last_at: Option<String>,
}

impl Evidence {
    /// Reads a file.
    ///
    /// # Errors
    /// Not of the form.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::Malformed(format!("{} bytes are too many", bytes.len())));
        }
        let evidence: Self = serde_json::from_slice(bytes).map_err(|e| EvidenceError::Malformed(e.to_string()))?;
        if evidence.format != EVIDENCE_FORMAT {
            return Err(EvidenceError::Malformed(format!("format {:?}", evidence.format)));
        }
        if evidence.records.len() > EVIDENCE_RECORDS_MAX {
            return Err(EvidenceError::Malformed(format!("{} records are too many", evidence.records.len())));
        }
        Ok(evidence)
    }

    /// Verifies everything in the file. `log` is the key that the reader trusts, `witnesses` the cosignatures that the reader
    /// demands; without them the file's own, whose history of trust roots must then be compared by its first digest.
    ///
    /// # Errors
    /// See [`EvidenceError`]: the first thing that is wrong.
    pub fn verify(
        &self,
        log: Option<&NoteKey>,
        witnesses: Option<&WitnessPolicy>,
    ) -> Result<EvidenceFindings, EvidenceError> {
        let own_key = NoteKey::parse(&self.log_key)?;
        if let Some(expected) = log.filter(|key| **key != own_key) {
            return Err(EvidenceError::OtherLog { found: own_key.to_vkey(), expected: expected.to_vkey() });
        }
        self.check_order()?;
        let own = WitnessPolicy::new(self.witness_keys.iter().map(String::as_str), self.witness_threshold)?;
        let policy = witnesses.unwrap_or(&own);
        let checkpoint = policy.open(self.checkpoint.as_bytes(), &own_key)?;
        let (roots, first_root) = self.roots()?;
        let roster = self.roster(&roots)?;
        if self.records.is_empty() {
            return Err(EvidenceError::Empty);
        }
        let mut signers = Signers {
            roots,
            roster,
            gateways: BTreeMap::new(),
            signatures: Vec::new(),
            unchecked: 0,
            times: Vec::new(),
        };
        for record in &self.records {
            let bad = |cause: String| EvidenceError::Record { index: record.index, cause };
            let hashes = record
                .proof
                .iter()
                .map(|text| STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()))
                .collect::<Option<Vec<Hash>>>()
                .filter(|hashes| hashes.len() <= PROOF_HASHES_MAX)
                .ok_or_else(|| bad("its proof is no list of hashes".into()))?;
            let file = ProofFile { index: record.index, hashes, checkpoint: self.checkpoint.clone() };
            file.verify(record.entry.as_bytes(), &own_key, policy).map_err(|e| bad(e.to_string()))?;
            signers.check(record).map_err(bad)?;
        }
        Ok(EvidenceFindings {
            origin: checkpoint.origin,
            size: checkpoint.size,
            root: hex::encode(checkpoint.root),
            witnesses: policy.count(self.checkpoint.as_bytes())?,
            first_root: first_root.map(|d| d.to_string()),
            records: self.records.len(),
            signatures: signers.signatures,
            unchecked: signers.unchecked,
            first_at: signers.times.first().cloned(),
            last_at: signers.times.pop(),
        })
    }

    /// The records stand in the log's order, each once: their span of time is that of the first and the last.
    fn check_order(&self) -> Result<(), EvidenceError> {
        match self.records.windows(2).find(|pair| pair[0].index >= pair[1].index) {
            Some(pair) => {
                let cause = "it does not stand behind the one before it".to_owned();
                Err(EvidenceError::Record { index: pair[1].index, cause })
            }
            None => Ok(()),
        }
    }

    /// Every trust root, walked to from the first.
    fn roots(&self) -> Result<(Vec<TrustedRoot>, Option<Digest>), EvidenceError> {
        let mut roots: Vec<TrustedRoot> = Vec::new();
        let mut first = None;
        for (i, text) in self.trust_roots.iter().enumerate() {
            let bad = |cause: String| EvidenceError::Trust { version: i + 1, cause };
            let signed: Signed<TrustRoot> = decode_document("trust root", text).map_err(|e| bad(e.to_string()))?;
            let next = match roots.last() {
                None => {
                    first = Some(signed.digest());
                    TrustedRoot::pinned(&signed, signed.digest())
                }
                Some(held) => held.advance(&signed),
            };
            roots.push(next.map_err(|e| bad(e.to_string()))?);
        }
        if let Some(newest) = roots.last()
            && newest.log_key().to_vkey() != self.log_key
        {
            let cause = "it names another log key than the file".to_owned();
            return Err(EvidenceError::Trust { version: roots.len(), cause });
        }
        Ok((roots, first))
    }

    fn roster(&self, roots: &[TrustedRoot]) -> Result<Option<Roster>, EvidenceError> {
        let bad = |cause: String| EvidenceError::Trust { version: roots.len(), cause };
        let (Some(text), Some(root)) = (&self.roster, roots.last()) else { return Ok(None) };
        let signed: Signed<Roster> = decode_document("roster", text).map_err(|e| bad(e.to_string()))?;
        let roster = signed.verify(root.registrar_keys()).map_err(|e| bad(format!("roster: {e}")))?;
        Ok(Some((*roster).clone()))
    }
}

/// Whose signatures can be checked with what the file holds.
struct Signers {
    roots: Vec<TrustedRoot>,
    roster: Option<Roster>,
    gateways: BTreeMap<GatewayId, PublicKey>,
    signatures: Vec<String>,
    unchecked: usize,
    /// When the first record was made, and the last so far.
    times: Vec<String>,
}

impl Signers {
    fn check(&mut self, evidence: &EvidenceRecord) -> Result<(), String> {
        let record = AuditRecord::from_bytes(evidence.entry.as_bytes()).map_err(|e| e.to_string())?;
        let index = evidence.index;
        self.times.truncate(1);
        self.times.push(record.at.clone());
        if let Some(event) = record.event.as_ref().filter(|e| e["type"] == "gatewayEnrolled") {
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            if let (Ok(gateway), Ok(key)) = (text("gateway").parse(), text("telemetryKey").parse()) {
                self.gateways.insert(gateway, key);
            }
        }
        if record.document.is_none() {
            return Ok(());
        }
        let checked = match record.action.as_str() {
            "telemetry.commit" => self.telemetry(&record)?,
            "firmware.approve" => {
                let signed = record.document::<Approval>().map_err(|e| e.to_string())?;
                let claimed = signed.decode_unverified().map_err(|e| e.to_string())?;
                self.person(&signed, claimed.user.as_str(), |a| {
                    format!("{} signed as {}: {} ({}, {})", a.printed_name, a.role, a.meaning, a.reason, a.at)
                })?
            }
            "deployment.validate" => {
                let signed = record.document::<Validation>().map_err(|e| e.to_string())?;
                let claimed = signed.decode_unverified().map_err(|e| e.to_string())?;
                self.person(&signed, claimed.user.as_str(), |v| {
                    format!("{} signed as {}: {} ({})", v.printed_name, v.role, v.meaning, v.at)
                })?
            }
            "firmware.manifest" => {
                let signed = record.document::<Manifest>().map_err(|e| e.to_string())?;
                let by = |root: &TrustedRoot| signed.verify(root.release_keys()).ok();
                self.roots.iter().rev().find_map(by).map(|m| format!("the release keys signed firmware {}", m.version))
            }
            "directive.issue" => {
                let signed = record.document::<Directive>().map_err(|e| e.to_string())?;
                let by = |root: &TrustedRoot| signed.verify(root.coordinator_keys()).ok();
                self.roots.iter().rev().find_map(by).map(|d| format!("the coordinator signed directive {}", d.serial))
            }
            _ => None,
        };
        match checked {
            Some(text) => self.signatures.push(format!("entry {index}: {text}")),
            None => self.unchecked += 1,
        }
        Ok(())
    }

    fn telemetry(&self, record: &AuditRecord) -> Result<Option<String>, String> {
        let signed = record.document::<TelemetryBatch>().map_err(|e| e.to_string())?;
        let claimed = signed.decode_unverified().map_err(|e| e.to_string())?;
        let Some(key) = self.gateways.get(&claimed.gateway) else { return Ok(None) };
        signed.verify(&KeySet::single(key.clone())).map_err(|e| e.to_string())?;
        let (gateway, epoch, sequence) = (&claimed.gateway, claimed.epoch, claimed.sequence);
        Ok(Some(format!("gateway {gateway} signed telemetry batch {epoch}.{sequence}")))
    }

    /// A person's signature by the key that the roster names.
    fn person<T: mdfm_shared::sign::Document>(
        &self,
        signed: &Signed<T>,
        user: &str,
        words: impl Fn(&T) -> String,
    ) -> Result<Option<String>, String> {
        let Some(roster) = &self.roster else { return Ok(None) };
        let user = user.parse().map_err(|e| format!("{e}"))?;
        let mut keys = roster.entries_of(&user).map(|entry| KeySet::single(entry.key.clone())).peekable();
        if keys.peek().is_none() {
            return Ok(None);
        }
        match keys.find_map(|key| signed.verify(&key).ok()) {
            Some(document) => Ok(Some(words(&document))),
            None => Err(format!("the signature of {user} does not verify: the record was altered")),
        }
    }
}

#[cfg(test)]
mod tests;
