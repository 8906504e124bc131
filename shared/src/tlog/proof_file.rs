//! The offline proof that an entry stands in a log (C2SP tlog-proof): a text that travels with the entry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Checkpoint, Hash, NoteError, NoteKey, ProofError, WitnessPolicy, leaf_hash, verify_inclusion};
use crate::limits::PROOF_HASHES_MAX;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof file, taken apart; nothing of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// Position of the entry.
    pub index: u64,
    /// Inclusion proof, leaf side first.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, with its cosignatures.
    pub checkpoint: String,
}

/// Why a proof file does not prove its entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// Not of the form.
    #[error("not a tlog-proof file: {0}")]
    Malformed(&'static str),
    /// The checkpoint does not count.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// The entry is not at that position.
    #[error("entry {index} is not proved to stand in the log: {cause}")]
    Proof {
        /// The claimed position.
        index: u64,
        /// What is wrong.
        cause: ProofError,
    },
}

impl ProofFile {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let hashes: String = self.hashes.iter().map(|h| format!("{}\n", STANDARD.encode(h))).collect();
        format!("{HEADER}\nindex {}\n{hashes}\n{}", self.index, self.checkpoint)
    }

    /// Takes a text apart. Extra data is passed over: nothing vouches for it.
    ///
    /// # Errors
    /// See [`ProofFileError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ProofFileError> {
        let bad = ProofFileError::Malformed;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(bad("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(bad("other first line"));
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|l| l.strip_prefix("index ")).ok_or(bad("no index"))?;
        if index.len() > 1 && index.starts_with('0') || !index.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad("index is no plain decimal"));
        }
        let index = index.parse().map_err(|_| bad("index is no plain decimal"))?;
        let hashes = lines
            .map(|line| STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok()))
            .collect::<Option<Vec<Hash>>>()
            .ok_or(bad("hash"))?;
        if hashes.len() > PROOF_HASHES_MAX {
            return Err(bad("too many hashes"));
        }
        Ok(Self { index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that `entry` stands at the index under the checkpoint, which `log` signed and the witnesses cosigned.
    ///
    /// # Errors
    /// See [`ProofFileError`].
    pub fn verify(&self, entry: &[u8], log: &NoteKey, witnesses: &WitnessPolicy) -> Result<Checkpoint, ProofFileError> {
        let checkpoint = witnesses.open(self.checkpoint.as_bytes(), log)?;
        verify_inclusion(self.index, checkpoint.size, &leaf_hash(entry), &self.hashes, &checkpoint.root)
            .map_err(|cause| ProofFileError::Proof { index: self.index, cause })?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NoteSigner, Tree};
    use super::*;
    use crate::sign::SecretKey;

    #[test]
    fn p11_10b_a_proof_file_proves_its_entry_and_no_other() {
        let signer = NoteSigner::new("log.example", SecretKey::from_seed([9; 32])).expect("good name");
        let mut tree = Tree::default();
        (0..11_u8).for_each(|i| tree.push(&[i]));
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 11, root: tree.root() };
        let checkpoint = checkpoint.sign(&signer).expect("signs");
        let file = ProofFile { index: 7, hashes: tree.inclusion(7, 11).expect("in range"), checkpoint };
        let read = ProofFile::parse(&file.to_text()).expect("reads");
        assert_eq!(read, file);
        let with_extra = file.to_text().replacen("\nindex", "\nextra AAAA\nindex", 1);
        assert_eq!(ProofFile::parse(&with_extra), Ok(file.clone()));
        let open = WitnessPolicy::default();
        assert_eq!(read.verify(&[7], signer.key(), &open).map(|c| c.size), Ok(11));
        assert!(matches!(read.verify(&[8], signer.key(), &open), Err(ProofFileError::Proof { index: 7, .. })));
        for bad in [
            "",
            "c2sp.org/tlog-proof@v2\nindex 1\n\nx",
            "c2sp.org/tlog-proof@v1\nindex 01\n\nx",
            "c2sp.org/tlog-proof@v1\nindex -1\n\nx",
            "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx",
            "c2sp.org/tlog-proof@v1\nindex 1",
        ] {
            assert!(ProofFile::parse(bad).is_err(), "{bad:?}");
        }
        let long = file.to_text().replacen(
            "\n\n",
            &format!("\n{}\n", format!("{}\n", STANDARD.encode([0; 32])).repeat(64)),
            1,
        );
        assert!(ProofFile::parse(&long).is_err(), "longer than any proof");
    }
}
