//! What this gateway trusts and has been told: trust root, roster, directive, checkpoint, approved releases. Pure; bytes in,
//! writes for the store out, nothing accepted that does not verify.

mod authority;
mod kept;

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, ChainHead, CommitAck, Directive, Finish, Window};
use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::limits::PROOF_HASHES_MAX;
use mdfm_shared::observed::ObservationRequest;
use mdfm_shared::sign::{Signed, Verified};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{Checkpoint, Hash, verify_consistency};
use mdfm_shared::trust::{
    ApprovedRelease, ReleaseEvidence, RollbackOrderEvidence, Roster, TrustRoot, TrustedRoot, VerifiedOrder, Withdrawals,
};
use mdfm_shared::wire;

use crate::installer::{DesiredState, Target};
use crate::store::{Store, StoreError, Write};
pub(crate) use authority::Bar;
use authority::{ORDER_PREFIX, WITHDRAWALS_KEY};
use kept::{Marks, Union};

const ROSTER_KEY: &str = "trust/roster";
const DIRECTIVE_KEY: &str = "trust/directive";
const CHECKPOINT_KEY: &str = "trust/checkpoint";
const RELEASE_PREFIX: &str = "trust/release/";
/// Releases held; the oldest that no directive names goes first.
const RELEASES_MAX: usize = 64;

/// Something was not accepted: what it was and why, for telemetry and journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} refused: {reason}")]
pub struct Refused {
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
    Accept {
        digest: Digest,
        frame: Vec<u8>,
        advance: Option<String>,
    },
    /// Goes on with the rollback orders of this frame.
    Orders {
        frame: Vec<u8>,
        advance: Option<String>,
    },
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

/// What follows beside the document that was taken; to be drained after each.
#[derive(Debug, Default)]
pub(crate) struct Besides {
    /// When newly accepted documents were signed.
    pub(crate) signed_times: Vec<UtcMillis>,
    /// Parts of a message that were refused while others were accepted, and documents that could not be taken up at the start.
    pub(crate) problems: Vec<Refused>,
    /// Make these durable too.
    pub(crate) writes: Vec<Write>,
}

/// Everything that this gateway trusts.
pub struct Trust {
    gateway: GatewayId,
    root: TrustedRoot,
    roster: Option<Verified<Roster>>,
    directive: Option<Verified<Directive>>,
    checkpoint: Option<(Checkpoint, String)>,
    releases: BTreeMap<Digest, (ApprovedRelease, Vec<u8>)>,
    withdrawals: Option<Verified<Withdrawals>>,
    withdrawals_frame: Option<Vec<u8>>,
    union: Union,
    orders: BTreeMap<Digest, (VerifiedOrder, RollbackOrderEvidence)>,
    /// The checkpoint that was last shown to be of the log that is known.
    shown: Option<Checkpoint>,
    marks: Marks,
    besides: Besides,
}

fn root_key(version: u64) -> String {
    format!("trust/root/{version:020}")
}

impl Trust {
    /// The writes that make a chain of roots, the first one pinned, this gateway's.
    pub fn enrol(roots: &[Vec<u8>], pinned: Digest) -> Result<Vec<Write>, Refused> {
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

    /// The writes that make the documents of the trust root `pinned` this gateway's; see [`kept::switch`].
    pub fn switch(store: &impl Store, pinned: Digest, is_enrolment: bool) -> Result<Vec<Write>, StoreError> {
        kept::switch(store, pinned, is_enrolment)
    }

    /// Takes up what is on disk, checking every document again. Only the roots must be there: what else is not taken up is put aside and
    /// reported, and the coordinator sends it again; [`Marks`] keep an older one from its place.
    pub(crate) fn load(store: &impl Store, gateway: GatewayId, pinned: Digest) -> Result<Self, StoreError> {
        let bad = |key: &str| StoreError::Decode { key: key.to_owned() };
        let mut root: Option<TrustedRoot> = None;
        let mut unfit = Vec::new();
        for (key, frame) in store.scan("trust/root/")? {
            let signed = wire::decode::<Signed<TrustRoot>>(&frame).map_err(|e| refused("trust")(&e));
            let next = signed.and_then(|signed| match &root {
                None => TrustedRoot::pinned(&signed, pinned).map_err(|e| refused("trust")(&e)),
                Some(root) => root.advance(&signed).map_err(|e| refused("trust")(&e)),
            });
            match next {
                Ok(next) => root = Some(next),
                Err(_) if root.is_none() => return Err(bad(&key)),
                // Left by an enrolment onto another root in an earlier version.
                Err(problem) => unfit.push((key, frame, problem)),
            }
        }
        let root = root.ok_or_else(|| bad("trust/root"))?;
        let (marks, marks_damaged) = Marks::load(store)?;
        let (union, union_damaged) = Union::load(store)?;
        let mut trust = Self {
            gateway,
            root,
            roster: None,
            directive: None,
            checkpoint: None,
            releases: BTreeMap::new(),
            withdrawals: None,
            withdrawals_frame: None,
            union,
            orders: BTreeMap::new(),
            shown: None,
            marks,
            besides: Besides::default(),
        };
        for (key, frame, problem) in unfit {
            trust.keep_or_put_aside(&key, frame, Err(problem));
        }
        if marks_damaged || union_damaged {
            let reason =
                "the record of what was taken before does not decode; it begins again with the documents that are held";
            trust.besides.problems.push(refused("trust")(&reason));
        }
        if let Some(frame) = store.get(ROSTER_KEY)? {
            let taken = trust.load_roster(&frame);
            trust.keep_or_put_aside(ROSTER_KEY, frame, taken);
        }
        if let Some(frame) = store.get(WITHDRAWALS_KEY)? {
            trust.withdrawals_frame = Some(frame.clone());
            let problem = "they no longer verify under root and roster";
            let taken = if trust.recheck_withdrawals() { Ok(()) } else { Err(refused("withdrawals")(&problem)) };
            trust.keep_or_put_aside(WITHDRAWALS_KEY, frame, taken);
        }
        if let Some(note) = store.get(CHECKPOINT_KEY)? {
            let opened = Checkpoint::open(&note, trust.root.log_key()).map_err(|e| refused("checkpoint")(&e));
            let taken = opened.map(|checkpoint| {
                trust.checkpoint = Some((checkpoint, String::from_utf8_lossy(&note).into_owned()));
            });
            trust.keep_or_put_aside(CHECKPOINT_KEY, note, taken);
        }
        if trust.checkpoint.is_none() {
            trust.checkpoint = trust.marks.lost_checkpoint().map(|checkpoint| (checkpoint, String::new()));
        }
        if let Some(frame) = store.get(DIRECTIVE_KEY)? {
            let taken = trust.verify_directive(&frame).map(|directive| trust.directive = Some(directive));
            trust.keep_or_put_aside(DIRECTIVE_KEY, frame, taken);
        }
        for (key, frame) in store.scan(RELEASE_PREFIX)? {
            let Ok(digest) = key.trim_start_matches(RELEASE_PREFIX).parse::<Digest>() else { continue };
            // A release whose approver has been revoked since then is simply not taken up again.
            if let Ok(release) = trust.verify_release(digest, &frame) {
                trust.releases.insert(digest, (release, frame));
            }
        }
        for (key, frame) in store.scan(ORDER_PREFIX)? {
            let evidence = wire::decode::<RollbackOrderEvidence>(&frame).map_err(|e| refused("rollbackOrder")(&e));
            let taken = evidence.and_then(|evidence| {
                let verified = trust.verify_order(&evidence)?;
                trust.orders.insert(verified.order().digest(), (verified, evidence));
                Ok(())
            });
            if taken.is_err() {
                trust.marks.orders_frame = None;
            }
            trust.keep_or_put_aside(&key, frame, taken);
        }
        trust.take_up_marks();
        Ok(trust)
    }

    fn load_roster(&mut self, frame: &[u8]) -> Result<(), Refused> {
        let refuse = refused("trust");
        let signed: Signed<Roster> = wire::decode(frame).map_err(|e| refuse(&e))?;
        self.roster = Some(Roster::accept(&signed, &self.root, None).map_err(|e| refuse(&e))?);
        Ok(())
    }

    /// A document from disk that is not taken up any more must not keep the agent from starting.
    fn keep_or_put_aside(&mut self, key: &str, bytes: Vec<u8>, taken: Result<(), Refused>) {
        if let Err(Refused { what, reason }) = taken {
            let reason = format!("{key} on disk is put aside: {reason}; the coordinator sends it again");
            self.besides.problems.push(Refused { what, reason });
            self.besides.writes.extend(kept::aside(key, bytes));
        }
    }

    /// State of earlier versions has no marks: they begin with the documents that are held. The times of these count as seen.
    fn take_up_marks(&mut self) {
        self.marks.checkpoint = self.checkpoint.as_ref().map(|(c, _)| (c.origin.clone(), c.size, c.root));
        if let Some(directive) = &self.directive {
            self.marks.directive = Some((self.gateway.clone(), directive.serial, directive.digest()));
            self.besides.signed_times.push(directive.issued_at);
        }
        if let Some(roster) = &self.roster {
            self.marks.roster_version = self.marks.roster_version.max(roster.version);
            self.marks.freshness = roster.freshness.or(self.marks.freshness);
            self.besides.signed_times.extend(roster.freshness.map(|f| f.issued_at));
        }
        if let Some(withdrawals) = &self.withdrawals {
            self.marks.withdrawals_version = self.marks.withdrawals_version.max(withdrawals.version);
            self.besides.signed_times.push(withdrawals.issued_at);
            let union = self.union.clone();
            self.union.add(withdrawals);
            if self.union != union {
                self.besides.writes.push(self.union.write());
            }
        }
        self.besides.writes.push(self.marks.write());
    }

    /// What followed beside the documents that were taken since the last time.
    pub(crate) fn drain(&mut self) -> Besides {
        std::mem::take(&mut self.besides)
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
            // Another registrar counts its rosters as it likes; those of the former one no longer verify.
            (self.marks.roster_version, self.marks.freshness) = (0, None);
            writes.push((ROSTER_KEY.to_owned(), None));
        }
        if self.directive.as_ref().is_some_and(|d| !self.root.coordinator_keys().is_met_by(d.signers())) {
            self.directive = None;
            // Another key counts its directives from the start; those of the former one no longer verify.
            self.marks.directive = None;
            writes.push((DIRECTIVE_KEY.to_owned(), None));
        }
        if self.root.log != log_key {
            (self.checkpoint, self.marks.checkpoint) = (None, None);
            writes.push((CHECKPOINT_KEY.to_owned(), None));
        }
        writes.extend(self.recheck());
        Ok(Taken::Accepted(writes))
    }

    /// Drops whatever root and roster no longer support.
    fn recheck(&mut self) -> Vec<Write> {
        let mut writes = self.recheck_releases();
        writes.extend(self.recheck_orders());
        if !self.recheck_withdrawals() {
            writes.push((WITHDRAWALS_KEY.to_owned(), None));
        }
        writes.push(self.marks.write());
        writes
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
        let lost = self.marks.lost_roster();
        let held = self.roster.as_deref().or(lost.as_ref());
        let roster = Roster::accept(&signed, &self.root, held).map_err(|e| refuse(&e))?;
        self.besides.signed_times.extend(roster.freshness.map(|f| f.issued_at));
        (self.marks.roster_version, self.marks.freshness) = (roster.version, roster.freshness);
        self.roster = Some(roster);
        let mut writes = vec![(ROSTER_KEY.to_owned(), Some(frame.to_vec()))];
        writes.extend(self.recheck());
        Ok(Taken::Accepted(writes))
    }

    /// Verifies a directive for this gateway, whatever came before it.
    fn verify_directive(&self, frame: &[u8]) -> Result<Verified<Directive>, Refused> {
        let refuse = refused("directive");
        let signed: Signed<Directive> = wire::decode(frame).map_err(|e| refuse(&e))?;
        let directive = signed.verify(self.root.coordinator_keys()).map_err(|e| refuse(&e))?;
        if directive.gateway != self.gateway {
            return Err(refuse(&format!("it is for gateway {}, this is {}", directive.gateway, self.gateway)));
        }
        let devices: BTreeSet<&DeviceId> = directive.devices.iter().map(|d| &d.device).collect();
        if !directive.is_bounded() {
            return Err(refuse(&"it has more devices or windows than a directive may have"));
        }
        if devices.len() != directive.devices.len() {
            return Err(refuse(&"it names a device twice"));
        }
        Ok(directive)
    }

    /// Takes a newer directive for this gateway.
    pub(crate) fn take_directive(&mut self, frame: &[u8]) -> Result<Taken, Refused> {
        let refuse = refused("directive");
        let signed: Signed<Directive> = wire::decode(frame).map_err(|e| refuse(&e))?;
        if self.directive.as_ref().is_some_and(|held| held.digest() == signed.digest()) {
            return Ok(Taken::Nothing);
        }
        let directive = self.verify_directive(frame)?;
        if let Some((_, held, digest)) = self.marks.directive.as_ref().filter(|(g, ..)| *g == self.gateway) {
            // One that was lost comes again as it was.
            let is_the_lost_one = self.directive.is_none() && *digest == directive.digest();
            if directive.serial <= *held && !is_the_lost_one {
                let found = directive.serial;
                return Err(refuse(&format!("serial {found} is not above {held}: an old directive was replayed")));
            }
        }
        self.besides.signed_times.push(directive.issued_at);
        self.marks.directive = Some((self.gateway.clone(), directive.serial, directive.digest()));
        self.directive = Some(directive);
        Ok(Taken::Accepted(vec![(DIRECTIVE_KEY.to_owned(), Some(frame.to_vec())), self.marks.write()]))
    }

    /// Whether this is another directive under the serial of the one that is held: the coordinator does not know that one.
    pub(crate) fn is_rival(&self, frame: &[u8]) -> bool {
        let held = self.marks.directive.as_ref().filter(|(gateway, ..)| *gateway == self.gateway);
        held.is_some_and(|(_, serial, digest)| {
            self.verify_directive(frame).is_ok_and(|other| other.serial == *serial && other.digest() != *digest)
        })
    }

    /// Checks a commit ack.
    pub(crate) fn take_ack(&self, frame: &[u8]) -> Result<Verified<CommitAck>, Refused> {
        let refuse = refused("ack");
        let signed: Signed<CommitAck> = wire::decode(frame).map_err(|e| refuse(&e))?;
        signed.verify(self.root.coordinator_keys()).map_err(|e| refuse(&e))
    }

    /// Checks a statement of what the coordinator holds of this gateway's telemetry.
    pub(crate) fn take_head(&self, frame: &[u8]) -> Result<Verified<ChainHead>, Refused> {
        let refuse = refused("ack");
        let signed: Signed<ChainHead> = wire::decode(frame).map_err(|e| refuse(&e))?;
        let head = signed.verify(self.root.coordinator_keys()).map_err(|e| refuse(&e))?;
        if head.gateway == self.gateway { Ok(head) } else { Err(refuse(&"it is about another gateway")) }
    }

    /// Checks a question for observed states.
    pub(crate) fn take_question(&self, frame: &[u8]) -> Result<Verified<ObservationRequest>, Refused> {
        let refuse = refused("question");
        let signed: Signed<ObservationRequest> = wire::decode(frame).map_err(|e| refuse(&e))?;
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
        if let Ok(Some(at)) = self.root.witnesses().cosigned_at(note.as_bytes(), UtcMillis(u64::MAX)) {
            self.besides.signed_times.push(at);
        }
        let write = (CHECKPOINT_KEY.to_owned(), Some(note.clone().into_bytes()));
        self.marks.checkpoint = Some((checkpoint.origin.clone(), checkpoint.size, checkpoint.root));
        self.checkpoint = Some((checkpoint, note));
        vec![write, self.marks.write()]
    }

    fn verify_release(&self, digest: Digest, frame: &[u8]) -> Result<ApprovedRelease, Refused> {
        let refuse = refused("release");
        let evidence: ReleaseEvidence = wire::decode(frame).map_err(|e| refuse(&e))?;
        let roster = self.roster.as_ref().ok_or_else(|| refuse(&"no approver roster has arrived yet"))?;
        evidence.verify(digest, &self.root, roster).map_err(|e| refuse(&e))
    }

    /// Takes the evidence of a release, once its checkpoint is shown to be of the log that this gateway knows.
    pub(crate) fn take_release(&mut self, digest: Digest, frame: &[u8], now: UtcMillis) -> Result<Taken, Refused> {
        if self.releases.contains_key(&digest) {
            return Ok(Taken::Nothing);
        }
        let release = self.verify_release(digest, frame)?;
        let found = release.checkpoint().clone();
        let evidence: ReleaseEvidence = wire::decode(frame).map_err(|e| refused("release")(&e))?;
        self.check_cosignature_age(&evidence.checkpoint, now)?;
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

    /// Takes the answer to a question; several rollback orders may raise the next one.
    ///
    /// # Errors
    /// The proof does not hold: the log was forked, or the answer tampered with. Nothing is accepted.
    pub(crate) fn answer(&mut self, question: Question, proof: &[Hash], now: UtcMillis) -> Result<Taken, Refused> {
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
            return Ok(Taken::Nothing);
        }
        match then {
            Then::Advance(note) => Ok(Taken::Accepted(self.advance(new, note))),
            Then::Accept { digest, frame, advance } => {
                let release = self.verify_release(digest, &frame)?;
                let mut writes = advance.map_or_else(Vec::new, |note| self.advance(new, note));
                writes.extend(self.hold(digest, release, frame));
                Ok(Taken::Accepted(writes))
            }
            Then::Orders { frame, advance } => {
                // Where the log moved on meanwhile the older of the two is the orders'.
                self.shown = Some(if advance.is_some() { new.clone() } else { old });
                let writes = advance.map_or_else(Vec::new, |note| self.advance(new, note));
                self.besides.writes.extend(writes);
                let taken = self.take_orders(&frame, now);
                self.shown = None;
                taken
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

    /// The release that the directive names for a device and that is not held.
    pub(crate) fn lacking_release(&self, device: &DeviceId) -> Option<Digest> {
        let entry = self.directive.as_ref()?.devices.iter().find(|d| d.device == *device)?;
        let manifest = match entry.action {
            Action::Install { manifest } | Action::Hold { manifest } | Action::InstallWithin { manifest, .. } => {
                manifest
            }
            Action::Rollback { .. } => return None,
        };
        (!self.releases.contains_key(&manifest)).then_some(manifest)
    }

    /// The end of the newest trust root.
    pub(crate) fn root_expires_at(&self) -> UtcMillis {
        self.root.expires_at
    }

    /// Releases that the directive names and that are not held.
    pub(crate) fn missing_releases(&self) -> BTreeSet<Digest> {
        self.named_releases().filter(|d| !self.releases.contains_key(d)).collect()
    }

    /// What the directive asks of a device; `None` without a directive, and while evidence is missing.
    ///
    /// An image that no other device of this gateway needs may stream straight into a slot that lies here.
    /// While `is_barred` nothing new is activated: what is asked for is prepared and held.
    pub(crate) fn desired(
        &self,
        device: &DeviceId,
        slot_is_here: bool,
        is_barred: bool,
        fallback: Option<Digest>,
    ) -> Option<DesiredState> {
        let directive = self.directive.as_ref()?;
        let Some(entry) = directive.devices.iter().find(|d| d.device == *device) else {
            return Some(DesiredState::Nothing);
        };
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
                withdrawn: self.withdrawn(manifest).cloned(),
                is_confirmed: true,
            })
        };
        let install = |target| if is_barred { DesiredState::Hold(target) } else { DesiredState::Install(target) };
        match &entry.action {
            Action::Install { manifest } => target(*manifest, None).map(install),
            Action::InstallWithin { manifest, windows, finish } => {
                target(*manifest, Some((windows.clone(), *finish))).map(install)
            }
            Action::Hold { manifest } => target(*manifest, None).map(DesiredState::Hold),
            Action::Rollback { manifest } => {
                let authorities = self.authorities(device, *manifest);
                let fallback_withdrawn = fallback.and_then(|before| self.withdrawn(before)).cloned();
                let (manifest, deployment) = (*manifest, entry.deployment.clone());
                Some(DesiredState::Rollback { manifest, deployment, authorities, fallback_withdrawn })
            }
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

/// What is kept beside the documents, with these bytes in it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    kept::fuzz(bytes);
}

#[cfg(test)]
mod tests;
