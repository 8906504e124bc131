//! What this gateway trusts and has been told: trust root, roster, directive, checkpoint, approved releases. Pure; bytes in,
//! writes for the store out, nothing accepted that does not verify.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, CommitAck, Directive, Finish, Window};
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::limits::PROOF_HASHES_MAX;
use mdfm_shared::sign::{Signed, Verified};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Checkpoint, Hash, verify_consistency};
use mdfm_shared::trust::{ApprovedRelease, ReleaseEvidence, Roster, TrustRoot, TrustedRoot};
use mdfm_shared::wire;

use crate::installer::{Target, Wish};
use crate::store::{Store, StoreError, Write};

const ROSTER_KEY: &str = "trust/roster";
const DIRECTIVE_KEY: &str = "trust/directive";
const CHECKPOINT_KEY: &str = "trust/checkpoint";
const RELEASE_PREFIX: &str = "trust/release/";
/// Releases held; the oldest that no directive names goes first.
const RELEASES_MAX: usize = 64;

/// Something was not accepted: what it was and why, for telemetry and journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} refused: {reason}")]
pub(crate) struct Refused {
    pub(crate) what: &'static str,
    pub(crate) reason: String,
}

fn refused(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> Refused {
    move |reason| Refused { what, reason: reason.to_string() }
}

/// Two checkpoints that must be shown to be of one log before something is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) old: Checkpoint,
    pub(crate) new: Checkpoint,
    then: Then,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    Advance(String),
    Accept { digest: Digest, frame: Vec<u8>, advance: Option<String> },
}

/// What came of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Known already.
    Nothing,
    /// Accepted; make the writes durable.
    Accepted(Vec<Write>),
    /// Ask the coordinator for the consistency proof, then [`Trust::answer`].
    Asks(Box<Question>),
}

/// Everything that this gateway trusts.
pub(crate) struct Trust {
    gateway: GatewayId,
    root: TrustedRoot,
    roster: Option<Verified<Roster>>,
    directive: Option<Verified<Directive>>,
    checkpoint: Option<(Checkpoint, String)>,
    releases: BTreeMap<Digest, (ApprovedRelease, Vec<u8>)>,
}

fn root_key(version: u64) -> String {
    format!("trust/root/{version:020}")
}

impl Trust {
    /// The writes that make a chain of roots, the first one pinned, this gateway's.
    pub(crate) fn enrol(roots: &[Vec<u8>], pinned: Digest) -> Result<Vec<Write>, Refused> {
        let refuse = refused("trust");
        let mut held: Option<TrustedRoot> = None;
        let mut writes = Vec::new();
        for frame in roots {
            let signed: Signed<TrustRoot> = wire::decode(frame).map_err(|e| refuse(&e))?;
            let next = match &held {
                None => TrustedRoot::pinned(&signed, pinned),
                Some(root) => root.advance(&signed),
            }
            .map_err(|e| refuse(&e))?;
            writes.push((root_key(next.version), Some(frame.clone())));
            held = Some(next);
        }
        if held.is_none() { Err(refuse(&"the coordinator sent no trust root")) } else { Ok(writes) }
    }

    /// Takes up what is on disk, checking every document again.
    pub(crate) fn load(store: &impl Store, gateway: GatewayId, pinned: Digest) -> Result<Self, StoreError> {
        let bad = |key: &str| StoreError::Decode { key: key.to_owned() };
        let mut root: Option<TrustedRoot> = None;
        for (key, frame) in store.scan("trust/root/")? {
            let signed: Signed<TrustRoot> = wire::decode(&frame).map_err(|_| bad(&key))?;
            let next = match &root {
                None => TrustedRoot::pinned(&signed, pinned),
                Some(root) => root.advance(&signed),
            };
            root = Some(next.map_err(|_| bad(&key))?);
        }
        let root = root.ok_or_else(|| bad("trust/root"))?;
        let mut trust =
            Self { gateway, root, roster: None, directive: None, checkpoint: None, releases: BTreeMap::new() };
        if let Some(frame) = store.get(ROSTER_KEY)? {
            trust.take_roster(&frame).map_err(|_| bad(ROSTER_KEY))?;
        }
        if let Some(note) = store.get(CHECKPOINT_KEY)? {
            let checkpoint = Checkpoint::open(&note, trust.root.log_key()).map_err(|_| bad(CHECKPOINT_KEY))?;
            trust.checkpoint = Some((checkpoint, String::from_utf8_lossy(&note).into_owned()));
        }
        if let Some(frame) = store.get(DIRECTIVE_KEY)? {
            trust.take_directive(&frame).map_err(|_| bad(DIRECTIVE_KEY))?;
        }
        for (key, frame) in store.scan(RELEASE_PREFIX)? {
            let digest: Digest = key.trim_start_matches(RELEASE_PREFIX).parse().map_err(|_| bad(&key))?;
            // A release whose approver has been revoked since then is simply not taken up again.
            if let Ok(release) = trust.verify_release(digest, &frame) {
                trust.releases.insert(digest, (release, frame));
            }
        }
        Ok(trust)
    }

    pub(crate) fn root_version(&self) -> u64 {
        self.root.version
    }
    pub(crate) fn roster_version(&self) -> u64 {
        self.roster.as_ref().map_or(0, |r| r.version)
    }
    pub(crate) fn directive_serial(&self) -> u64 {
        self.directive.as_ref().map_or(0, |d| d.serial)
    }
    pub(crate) fn checkpoint_size(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |(c, _)| c.size)
    }

    /// Takes the next trust root.
    pub(crate) fn take_root(&mut self, frame: &[u8]) -> Result<Taken, Refused> {
        let refuse = refused("trust");
        let signed: Signed<TrustRoot> = wire::decode(frame).map_err(|e| refuse(&e))?;
        // Retained older ones come with every connection.
        if signed.decode_unverified().is_ok_and(|claimed| claimed.version <= self.root.version) {
            return Ok(Taken::Nothing);
        }
        let log_key = self.root.log.clone();
        self.root = self.root.advance(&signed).map_err(|e| refuse(&e))?;
        let mut writes = vec![(root_key(self.root.version), Some(frame.to_vec()))];
        // What the new root does not vouch for goes, here and on disk; the coordinator sends what holds.
        if self.roster.as_ref().is_some_and(|r| !self.root.registrar_keys().is_met_by(r.signers())) {
            self.roster = None;
            writes.push((ROSTER_KEY.to_owned(), None));
        }
        if self.directive.as_ref().is_some_and(|d| !self.root.coordinator_keys().is_met_by(d.signers())) {
            self.directive = None;
            writes.push((DIRECTIVE_KEY.to_owned(), None));
        }
        if self.root.log != log_key {
            self.checkpoint = None;
            writes.push((CHECKPOINT_KEY.to_owned(), None));
        }
        writes.extend(self.recheck_releases());
        Ok(Taken::Accepted(writes))
    }

    /// Drops the releases that root and roster no longer support.
    fn recheck_releases(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        for (digest, (_, frame)) in std::mem::take(&mut self.releases) {
            match self.verify_release(digest, &frame) {
                Ok(release) => {
                    self.releases.insert(digest, (release, frame));
                }
                Err(_) => writes.push((format!("{RELEASE_PREFIX}{digest}"), None)),
            }
        }
        writes
    }

    /// Takes a newer roster; releases that it no longer supports are dropped.
    pub(crate) fn take_roster(&mut self, frame: &[u8]) -> Result<Taken, Refused> {
        let refuse = refused("trust");
        let signed: Signed<Roster> = wire::decode(frame).map_err(|e| refuse(&e))?;
        if self.roster.as_ref().is_some_and(|held| held.digest() == signed.digest()) {
            return Ok(Taken::Nothing);
        }
        let roster = Roster::accept(&signed, &self.root, self.roster.as_deref()).map_err(|e| refuse(&e))?;
        self.roster = Some(roster);
        let mut writes = vec![(ROSTER_KEY.to_owned(), Some(frame.to_vec()))];
        writes.extend(self.recheck_releases());
        Ok(Taken::Accepted(writes))
    }

    /// Takes a newer directive for this gateway.
    pub(crate) fn take_directive(&mut self, frame: &[u8]) -> Result<Taken, Refused> {
        let refuse = refused("directive");
        let signed: Signed<Directive> = wire::decode(frame).map_err(|e| refuse(&e))?;
        if self.directive.as_ref().is_some_and(|held| held.digest() == signed.digest()) {
            return Ok(Taken::Nothing);
        }
        let directive = signed.verify(self.root.coordinator_keys()).map_err(|e| refuse(&e))?;
        if directive.gateway != self.gateway {
            return Err(refuse(&format!("it is for gateway {}, this is {}", directive.gateway, self.gateway)));
        }
        if directive.serial <= self.directive_serial() {
            let (found, held) = (directive.serial, self.directive_serial());
            return Err(refuse(&format!("serial {found} is not above {held}: an old directive was replayed")));
        }
        let devices: BTreeSet<&DeviceId> = directive.devices.iter().map(|d| &d.device).collect();
        if !directive.is_bounded() {
            return Err(refuse(&"it has more devices or windows than a directive may have"));
        }
        if devices.len() != directive.devices.len() {
            return Err(refuse(&"it names a device twice"));
        }
        self.directive = Some(directive);
        Ok(Taken::Accepted(vec![(DIRECTIVE_KEY.to_owned(), Some(frame.to_vec()))]))
    }

    /// Checks a commit ack.
    pub(crate) fn take_ack(&self, frame: &[u8]) -> Result<Verified<CommitAck>, Refused> {
        let refuse = refused("ack");
        let signed: Signed<CommitAck> = wire::decode(frame).map_err(|e| refuse(&e))?;
        signed.verify(self.root.coordinator_keys()).map_err(|e| refuse(&e))
    }

    /// Takes a newer checkpoint of the audit log, once it is shown to extend the one held.
    pub(crate) fn take_checkpoint(&mut self, note: &[u8]) -> Result<Taken, Refused> {
        let checkpoint =
            self.root.witnesses().open(note, self.root.log_key()).map_err(|e| refused("checkpoint")(&e))?;
        let note = String::from_utf8_lossy(note).into_owned();
        match &self.checkpoint {
            None => Ok(Taken::Accepted(self.advance(checkpoint, note))),
            Some((held, _)) => {
                same_size_same_root(held, &checkpoint)?;
                if checkpoint.size <= held.size {
                    return Ok(Taken::Nothing);
                }
                let (old, then) = (held.clone(), Then::Advance(note));
                Ok(Taken::Asks(Box::new(Question { old, new: checkpoint, then })))
            }
        }
    }

    fn advance(&mut self, checkpoint: Checkpoint, note: String) -> Vec<Write> {
        let write = (CHECKPOINT_KEY.to_owned(), Some(note.clone().into_bytes()));
        self.checkpoint = Some((checkpoint, note));
        vec![write]
    }

    fn verify_release(&self, digest: Digest, frame: &[u8]) -> Result<ApprovedRelease, Refused> {
        let refuse = refused("release");
        let evidence: ReleaseEvidence = wire::decode(frame).map_err(|e| refuse(&e))?;
        let roster = self.roster.as_ref().ok_or_else(|| refuse(&"no approver roster has arrived yet"))?;
        evidence.verify(digest, &self.root, roster).map_err(|e| refuse(&e))
    }

    /// Takes the evidence of a release, once its checkpoint is shown to be of the log that this gateway knows.
    pub(crate) fn take_release(&mut self, digest: Digest, frame: &[u8]) -> Result<Taken, Refused> {
        if self.releases.contains_key(&digest) {
            return Ok(Taken::Nothing);
        }
        let release = self.verify_release(digest, frame)?;
        let found = release.checkpoint().clone();
        let evidence: ReleaseEvidence = wire::decode(frame).map_err(|e| refused("release")(&e))?;
        let frame = frame.to_vec();
        let Some((held, _)) = self.checkpoint.clone() else {
            let mut writes = self.advance(found, evidence.checkpoint);
            writes.extend(self.hold(digest, release, frame));
            return Ok(Taken::Accepted(writes));
        };
        same_size_same_root(&held, &found)?;
        if found.size == held.size {
            return Ok(Taken::Accepted(self.hold(digest, release, frame)));
        }
        let newer = found.size > held.size;
        let then = Then::Accept { digest, frame, advance: newer.then_some(evidence.checkpoint) };
        let (old, new) = if newer { (held, found) } else { (found, held) };
        Ok(Taken::Asks(Box::new(Question { old, new, then })))
    }

    fn hold(&mut self, digest: Digest, release: ApprovedRelease, frame: Vec<u8>) -> Vec<Write> {
        let mut writes = vec![(format!("{RELEASE_PREFIX}{digest}"), Some(frame.clone()))];
        self.releases.insert(digest, (release, frame));
        let named: BTreeSet<Digest> = self.named_releases().collect();
        while self.releases.len() > RELEASES_MAX {
            let unnamed = self
                .releases
                .iter()
                .filter(|(d, _)| !named.contains(d))
                .min_by_key(|(_, (r, _))| r.checkpoint().size)
                .map(|(d, _)| *d);
            let Some(oldest) = unnamed else { break };
            self.releases.remove(&oldest);
            writes.push((format!("{RELEASE_PREFIX}{oldest}"), None));
        }
        writes
    }

    /// Takes the answer to a question.
    ///
    /// # Errors
    /// The proof does not hold: the log was forked, or the answer tampered with. Nothing is accepted.
    pub(crate) fn answer(&mut self, question: Question, proof: &[Hash]) -> Result<Vec<Write>, Refused> {
        let Question { old, new, then } = question;
        let refuse = refused("checkpoint");
        if proof.len() > PROOF_HASHES_MAX {
            return Err(refuse(&"consistency proof is too long"));
        }
        verify_consistency(old.size, new.size, proof, &old.root, &new.root).map_err(|e| {
            refuse(&format!(
                "the audit log of size {} is not shown to continue the one of size {} ({e}): forked or rewritten",
                new.size, old.size
            ))
        })?;
        // The world may have moved while the question was out: judge again from what is held now.
        let still_held = self.checkpoint.as_ref().is_some_and(|(c, _)| *c == old || *c == new);
        if !still_held {
            return Ok(Vec::new());
        }
        match then {
            Then::Advance(note) => Ok(self.advance(new, note)),
            Then::Accept { digest, frame, advance } => {
                let release = self.verify_release(digest, &frame)?;
                let mut writes = advance.map_or_else(Vec::new, |note| self.advance(new, note));
                writes.extend(self.hold(digest, release, frame));
                Ok(writes)
            }
        }
    }

    fn named_releases(&self) -> impl Iterator<Item = Digest> {
        self.directive.iter().flat_map(|d| &d.devices).filter_map(|d| match d.action {
            Action::Install { manifest } | Action::Hold { manifest } | Action::InstallWithin { manifest, .. } => {
                Some(manifest)
            }
            Action::Rollback { .. } => None,
        })
    }

    /// The images of the releases that the directive names and that are approved, with their lengths.
    pub(crate) fn named_images(&self) -> BTreeMap<Digest, u64> {
        let manifest = |digest: Digest| self.releases.get(&digest).map(|(release, _)| release.manifest());
        self.named_releases().filter_map(manifest).map(|m| (m.sha256, m.size_bytes())).collect()
    }

    /// Releases that the directive names and that are not held.
    pub(crate) fn missing_releases(&self) -> BTreeSet<Digest> {
        self.named_releases().filter(|d| !self.releases.contains_key(d)).collect()
    }

    /// What the directive asks of a device; none while evidence is missing.
    ///
    /// An image that no other device of this gateway needs may stream straight into a slot that lies here.
    pub(crate) fn wish(&self, device: &DeviceId, slot_is_here: bool) -> Option<Wish> {
        let directive = self.directive.as_ref()?;
        let entry = directive.devices.iter().find(|d| d.device == *device)?;
        let target = |manifest: Digest, windows: Option<(Vec<Window>, Finish)>| {
            let (release, _) = self.releases.get(&manifest)?;
            Some(Target {
                windows,
                start_by: release.start_by(),
                streams: slot_is_here && self.named_releases().filter(|d| *d == manifest).count() == 1,
                digest: manifest,
                manifest: (**release.manifest()).clone(),
                deployment: entry.deployment.clone(),
                security_floor: entry.security_floor,
                expires_at: directive.expires_at.min(self.root.expires_at),
            })
        };
        match &entry.action {
            Action::Install { manifest } => target(*manifest, None).map(Wish::Install),
            Action::InstallWithin { manifest, windows, finish } => {
                target(*manifest, Some((windows.clone(), *finish))).map(Wish::Install)
            }
            Action::Hold { manifest } => target(*manifest, None).map(Wish::Hold),
            Action::Rollback { manifest } => Some(Wish::Rollback { manifest: *manifest }),
        }
    }

    /// The directive that is held.
    pub(crate) fn directive(&self) -> Option<&Directive> {
        self.directive.as_deref()
    }

    /// Whether the directive names this deployment.
    pub(crate) fn names_deployment(&self, deployment: &DeploymentId) -> bool {
        self.directive.iter().flat_map(|d| &d.devices).any(|d| d.deployment == *deployment)
    }

    /// Whether a directive is held and has run out.
    pub(crate) fn is_stale(&self, now: UtcMillis) -> bool {
        self.directive.as_ref().is_some_and(|d| now >= d.expires_at)
    }
}

fn same_size_same_root(held: &Checkpoint, found: &Checkpoint) -> Result<(), Refused> {
    if held.size == found.size && held.root != found.root {
        let reason = format!("two audit logs of size {} with different roots: the log was forked", held.size);
        return Err(Refused { what: "checkpoint", reason });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
