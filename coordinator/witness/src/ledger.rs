//! What the witness has seen of each log, and the one rule: it cosigns a checkpoint only when that continues the last one
//! (C2SP tlog-witness).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_service::atomic_write;
use mdfm_shared::limits::PROOF_HASHES_MAX;
use mdfm_shared::tlog::{Checkpoint, Cosigner, Hash, NoteKey, verify_consistency};
use sha2::{Digest as _, Sha256};

/// Why a checkpoint is not cosigned; each is an answer of the protocol.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// 400.
    #[error("not a request of the protocol: {0}")]
    Malformed(&'static str),
    /// 403.
    #[error("the checkpoint is not signed by the log's key")]
    Signature,
    /// 404.
    #[error("no log of that origin is known here")]
    UnknownLog,
    /// 409, with the size that the witness holds.
    #[error("{0}")]
    Size(u64),
    /// 422.
    #[error("{0}")]
    Inconsistent(&'static str),
    /// 500.
    #[error("the witness cannot keep what it has seen")]
    Store(#[from] io::Error),
}

/// A request to `add-checkpoint`, taken apart; nothing of it verified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    old: u64,
    proof: Vec<Hash>,
    note: &'a str,
}

impl<'a> Request<'a> {
    pub(crate) fn parse(body: &'a str) -> Result<Self, Refused> {
        let bad = Refused::Malformed;
        let (head, note) = body.split_once("\n\n").ok_or(bad("no empty line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(bad("no old size"))?;
        let plain = old == "0" || (!old.starts_with('0') && old.bytes().all(|b| b.is_ascii_digit()));
        let old = old.parse().ok().filter(|_| plain).ok_or(bad("old size is no plain decimal"))?;
        let proof = lines
            .map(|line| STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok()))
            .collect::<Option<Vec<Hash>>>()
            .filter(|proof| proof.len() <= PROOF_HASHES_MAX)
            .ok_or(bad("proof"))?;
        Ok(Self { old, proof, note })
    }
}

/// The newest checkpoint of each log that this witness cosigned.
pub(crate) struct Ledger {
    dir: PathBuf,
    logs: BTreeMap<String, NoteKey>,
    seen: BTreeMap<String, Checkpoint>,
}

fn file(dir: &Path, origin: &str) -> PathBuf {
    dir.join(format!("{}.checkpoint", hex::encode(&Sha256::digest(origin)[..16])))
}

impl Ledger {
    /// Opens the directory; a checkpoint there that the log's key did not sign is damage, and the witness must not guess.
    pub(crate) fn open(dir: &Path, logs: Vec<NoteKey>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut seen = BTreeMap::new();
        for key in &logs {
            match std::fs::read(file(dir, key.name())) {
                Ok(note) => {
                    seen.insert(key.name().to_owned(), Checkpoint::open(&note, key)?);
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e.into()),
            }
        }
        let logs = logs.into_iter().map(|key| (key.name().to_owned(), key)).collect();
        Ok(Self { dir: dir.to_owned(), logs, seen })
    }

    /// Cosigns a checkpoint that continues what was seen, after keeping it: the line of the signature.
    pub(crate) fn add(&mut self, cosigner: &Cosigner, seconds: u64, request: &Request<'_>) -> Result<String, Refused> {
        let origin = request.note.split('\n').next().unwrap_or_default();
        let key = self.logs.get(origin).ok_or(Refused::UnknownLog)?;
        let new = Checkpoint::open(request.note.as_bytes(), key).map_err(|_| Refused::Signature)?;
        if request.old > new.size {
            return Err(Refused::Malformed("old size above the new one"));
        }
        let held = self.seen.get(origin);
        let held_size = held.map_or(0, |c| c.size);
        if request.old != held_size {
            return Err(Refused::Size(held_size));
        }
        match held {
            Some(held) if held.size == new.size => {
                if held.root != new.root {
                    return Err(Refused::Inconsistent("another root of the same size: the log was forked"));
                }
                if !request.proof.is_empty() {
                    return Err(Refused::Inconsistent("a proof between equal sizes"));
                }
            }
            Some(held) if held.size > 0 => {
                verify_consistency(held.size, new.size, &request.proof, &held.root, &new.root)
                    .map_err(|_| Refused::Inconsistent("the proof does not show that the log was continued"))?;
            }
            _ if !request.proof.is_empty() => return Err(Refused::Inconsistent("a proof from size zero")),
            _ => {}
        }
        let line = cosigner.cosign(request.note.as_bytes(), seconds).map_err(|_| Refused::Signature)?;
        // Kept before anybody gets the signature: after a crash the witness knows what it has signed.
        atomic_write(&file(&self.dir, origin), request.note.as_bytes())?;
        self.seen.insert(origin.to_owned(), new);
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::sign::SecretKey;
    use mdfm_shared::tlog::{NoteSigner, Tree};

    use super::*;

    struct World {
        dir: PathBuf,
        log: NoteSigner,
        cosigner: Cosigner,
        tree: Tree,
    }
    impl Drop for World {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
    impl World {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("mdfm-witness-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            let log = NoteSigner::new("log.example", SecretKey::from_seed([1; 32])).expect("good");
            let cosigner = Cosigner::new("w.example/1", SecretKey::from_seed([2; 32])).expect("good");
            let mut tree = Tree::default();
            (0..50_u8).for_each(|i| tree.push(&[i]));
            Self { dir, log, cosigner, tree }
        }
        fn ledger(&self) -> Ledger {
            Ledger::open(&self.dir, vec![self.log.key().clone()]).expect("opens")
        }
        fn note(&self, size: u64) -> String {
            let root = self.tree.root_at(size).expect("in range");
            Checkpoint { origin: "log.example".into(), size, root }.sign(&self.log).expect("signs")
        }
        fn body(&self, old: u64, new: u64) -> String {
            let proof =
                if old == 0 || old == new { vec![] } else { self.tree.consistency(old, new).expect("in range") };
            let lines: String = proof.iter().map(|h| format!("{}\n", STANDARD.encode(h))).collect();
            format!("old {old}\n{lines}\n{}", self.note(new))
        }
        fn add(&self, ledger: &mut Ledger, body: &str) -> Result<String, Refused> {
            ledger.add(&self.cosigner, 7, &Request::parse(body)?)
        }
    }

    #[test]
    fn att_12_only_consistent_growth_is_cosigned() {
        let world = World::new("growth");
        let mut ledger = world.ledger();
        let line = world.add(&mut ledger, &world.body(0, 5)).expect("the first is taken as it is");
        assert!(matches!(world.cosigner.key().line_in(&line, world.note(5).as_bytes()), Ok(Some(_))));
        world.add(&mut ledger, &world.body(5, 9)).expect("continues");
        world.add(&mut ledger, &world.body(9, 9)).expect("the same again");
        assert!(matches!(world.add(&mut ledger, &world.body(5, 12)), Err(Refused::Size(9))));
        assert!(matches!(
            world.add(&mut ledger, &world.body(9, 9).replace("old 9", "old 50")),
            Err(Refused::Malformed(_))
        ));
        let mut forked = World::new("fork");
        forked.tree = Tree::default();
        (0..50_u8).for_each(|i| forked.tree.push(&[i, 1]));
        assert!(matches!(world.add(&mut ledger, &forked.body(9, 12)), Err(Refused::Inconsistent(_))), "a fork");
        assert!(matches!(world.add(&mut ledger, &forked.body(9, 9)), Err(Refused::Inconsistent(_))), "a split view");
        let mut ledger = world.ledger();
        assert!(matches!(world.add(&mut ledger, &world.body(0, 50)), Err(Refused::Size(9))), "it remembers");
        world.add(&mut ledger, &world.body(9, 50)).expect("and goes on");
    }

    #[test]
    fn strangers_and_nonsense_are_refused() {
        let world = World::new("strangers");
        let mut ledger = world.ledger();
        let good = world.body(0, 5);
        let other = good.replace("log.example\n", "other.example\n");
        assert!(matches!(world.add(&mut ledger, &other), Err(Refused::UnknownLog)));
        let stranger = NoteSigner::new("log.example", SecretKey::from_seed([9; 32])).expect("good");
        let root = world.tree.root_at(5).expect("in range");
        let note = Checkpoint { origin: "log.example".into(), size: 5, root }.sign(&stranger).expect("signs");
        assert!(matches!(world.add(&mut ledger, &format!("old 0\n\n{note}")), Err(Refused::Signature)));
        for bad in ["", "old 0\n", "old x\n\n", "old 01\n\n", "old -1\n\n", "old 0\nnot base64\n\n", "new 0\n\nx"] {
            assert!(matches!(Request::parse(bad), Err(Refused::Malformed(_))), "{bad:?}");
        }
        let long = format!("old 3\n{}\n{}", format!("{}\n", STANDARD.encode([0; 32])).repeat(64), world.note(5));
        assert!(matches!(Request::parse(&long), Err(Refused::Malformed(_))));
        let with_proof = format!("old 0\n{}\n\n{}", STANDARD.encode([0; 32]), world.note(5));
        assert!(matches!(world.add(&mut ledger, &with_proof), Err(Refused::Inconsistent(_))));
        std::fs::write(file(&world.dir, "log.example"), "nonsense").expect("writes");
        assert!(Ledger::open(&world.dir, vec![world.log.key().clone()]).is_err(), "damage is no empty past");
    }
}
