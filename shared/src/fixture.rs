//! A small vendor for tests: keys, people, one release, and an audit log in memory. Only with the feature `fixtures`; nothing
//! here is used outside tests, and the keys are public.

pub mod page;

use crate::digest::Digest;
use crate::manifest::{Component, FirmwareClass, HealthPolicy, Manifest};
use crate::record::{Actor, ActorKind, AuditRecord, Outcome, document_text};
use crate::sign::{Document, SecretKey, Signed};
use crate::time::UtcMillis;
use crate::tlog::{Checkpoint, Hash, NoteSigner, Tree};
use crate::trust::{
    Approval, ApprovalPolicy, LoggedRecord, ReleaseEvidence, Role, RoleKeys, RollbackOrderEvidence, Roster,
    RosterEntry, TrustRoot, TrustedRoot,
};

/// When everything was signed.
pub const NOW: UtcMillis = UtcMillis(1_700_000_000_000);
/// The person who submits releases; not on the roster.
pub const SUBMITTER: &str = "user-submitter";

/// The n-th key.
pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

/// A role of these keys.
pub fn role(keys: &[u8], threshold: u16) -> RoleKeys {
    RoleKeys { keys: keys.iter().map(|n| key(*n).public()).collect(), threshold }
}

/// Root keys 1 2 3 (two needed), release 10, registrar 11, coordinator 12, log 13.
pub fn root(version: u64) -> TrustRoot {
    TrustRoot {
        version,
        expires_at: UtcMillis(u64::MAX),
        root: role(&[1, 2, 3], 2),
        release: role(&[10], 1),
        registrar: role(&[11], 1),
        coordinator: role(&[12], 1),
        log: log_signer().key().to_vkey(),
        witnesses: crate::trust::Witnesses::default(),
        approvals: ApprovalPolicy::seed(),
    }
}

/// The first root, signed.
pub fn signed_root() -> Signed<TrustRoot> {
    signed(&root(1), &[1, 2])
}

/// The first root, pinned.
pub fn trusted() -> TrustedRoot {
    let signed = signed_root();
    TrustedRoot::pinned(&signed, signed.digest()).expect("a good root")
}

/// The key of the audit log.
pub fn log_signer() -> NoteSigner {
    NoteSigner::new("log.example", key(13)).expect("a good name")
}

/// A document signed by the n-th keys.
pub fn signed<T: Document>(document: &T, keys: &[u8]) -> Signed<T> {
    let keys: Vec<SecretKey> = keys.iter().map(|n| key(*n)).collect();
    Signed::sign(document, &keys.iter().collect::<Vec<_>>()).expect("fixtures are small")
}

/// Release 22 for the seed's cardiac monitor.
pub fn manifest() -> Manifest {
    Manifest {
        firmware_id: "FW-1".parse().expect("a good id"),
        model: "CardiacMonitor-X200".into(),
        hardware_revisions: vec!["B".into()],
        version: "2.2.0".into(),
        release_number: 22,
        security_version: 3,
        class: FirmwareClass::Standard,
        sha256: Digest([7; 32]),
        components: vec![Component { name: "main".into(), sha256: Digest([7; 32]), size_bytes: 10 }],
        deltas: Vec::new(),
        minimum_release: 0,
        health: HealthPolicy { probation_ms: 1_000, error_budget: 0, silence_limit_ms: 1_000 },
        extra_approvals: Vec::new(),
        sbom_sha256: None,
        recall_window_ms: None,
        reboots_per_day: None,
    }
}

/// One approver for each role (keys 21 Clinical, 22 QA, 23 Regulatory), and one who holds all three (24).
pub fn roster() -> Roster {
    let entry = |user: &str, n: u8, roles: &[Role]| RosterEntry {
        user: user.parse().expect("a good id"),
        printed_name: format!("{user} Printed"),
        roles: roles.to_vec(),
        key: key(n).public(),
        valid_from: UtcMillis(0),
        valid_until: UtcMillis(u64::MAX),
        revoked: None,
    };
    Roster {
        version: 1,
        entries: vec![
            entry("user-clinical", 21, &[Role::Clinical]),
            entry("user-qa", 22, &[Role::Qa]),
            entry("user-regulatory", 23, &[Role::Regulatory]),
            entry("user-three-roles", 24, &Role::ALL),
        ],
        freshness: None,
    }
}

/// An approval as its signer would word it.
pub fn approval(manifest: Digest, user: &str, role: Role) -> Approval {
    Approval {
        manifest,
        role,
        user: user.parse().expect("a good id"),
        printed_name: format!("{user} Printed"),
        meaning: format!("I approve as {role}"),
        reason: "tested".into(),
        at: NOW,
    }
}

/// The entry of the log that carries a signed document.
pub fn record<T: Document>(actor: &str, document: &Signed<T>, outcome: Outcome) -> Vec<u8> {
    let actor = Actor { kind: ActorKind::User, id: actor.into(), roles: vec![] };
    let record = AuditRecord::new(NOW, &actor, "test", "firmware/FW-1", outcome);
    AuditRecord { document: Some(document_text(document)), ..record }.to_bytes()
}

/// An audit log in memory.
pub struct Log {
    tree: Tree,
    entries: Vec<Vec<u8>>,
    signer: NoteSigner,
}

impl Log {
    /// A log of three entries that nobody asks for.
    pub fn new(signer: NoteSigner) -> Self {
        let mut log = Self { tree: Tree::default(), entries: Vec::new(), signer };
        (0..3).for_each(|i| {
            log.append(vec![i]);
        });
        log
    }
    /// Appends an entry and gives its index.
    pub fn append(&mut self, entry: Vec<u8>) -> u64 {
        self.tree.push(&entry);
        self.entries.push(entry);
        self.tree.size() - 1
    }
    /// The signed checkpoint of the present size.
    pub fn checkpoint(&self) -> String {
        let origin = self.signer.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: self.tree.size(), root: self.tree.root() };
        checkpoint.sign(&self.signer).expect("a good checkpoint")
    }
    /// The consistency proof between two sizes.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        self.tree.consistency(old, new)
    }
    fn logged(&self, index: u64) -> LoggedRecord {
        let proof = self.tree.inclusion(index, self.tree.size()).expect("in the log");
        LoggedRecord { index, bytes: self.entries[index as usize].clone(), proof }
    }
    /// The evidence for a release under the present checkpoint.
    pub fn evidence(&self, manifest: u64, approvals: &[u64]) -> ReleaseEvidence {
        ReleaseEvidence {
            checkpoint: self.checkpoint(),
            manifest: self.logged(manifest),
            approvals: approvals.iter().map(|i| self.logged(*i)).collect(),
        }
    }
    /// The evidence for a rollback order under the present checkpoint.
    pub fn order_evidence(&self, order: u64) -> RollbackOrderEvidence {
        RollbackOrderEvidence { checkpoint: self.checkpoint(), order: self.logged(order) }
    }
    /// Appends a manifest and its approvals, each with the key that signs it, and gives the digest and the evidence.
    pub fn release(
        &mut self,
        manifest: &Signed<Manifest>,
        submitter: &str,
        approvals: &[(Approval, SecretKey)],
    ) -> (Digest, ReleaseEvidence) {
        let at = self.append(record(submitter, manifest, Outcome::Accepted));
        let approvals: Vec<u64> = approvals
            .iter()
            .map(|(approval, key)| {
                let signed = Signed::sign(approval, &[key]).expect("fixtures are small");
                self.append(record(approval.user.as_str(), &signed, Outcome::Accepted))
            })
            .collect();
        (manifest.digest(), self.evidence(at, &approvals))
    }
}

/// The three approvals that a standard release needs, with their keys.
pub fn approvals(manifest: Digest) -> Vec<(Approval, SecretKey)> {
    [("user-clinical", Role::Clinical, 21), ("user-qa", Role::Qa, 22), ("user-regulatory", Role::Regulatory, 23)]
        .map(|(user, role, n)| (approval(manifest, user, role), key(n)))
        .into()
}
