//! Cosignatures by witnesses (C2SP tlog-cosignature, Ed25519, type 0x04): somebody else saw this checkpoint at this time and
//! never one that contradicts it.

use std::collections::BTreeSet;

use super::note::{Note, SignatureLine, is_name, key_id, parse_vkey, signature_line, vkey};
use super::{Checkpoint, NoteError, NoteKey};
use crate::sign::{PublicKey, SecretKey};
use crate::time::UtcMillis;

const TYPE_COSIGNATURE: u8 = 4;

fn signed_text(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// The verifying half of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    key: PublicKey,
}

impl WitnessKey {
    /// The witness called `name`.
    ///
    /// # Errors
    /// The name is empty or has white space or a plus sign.
    pub fn new(name: &str, key: PublicKey) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Key);
        }
        Ok(Self { name: name.to_owned(), id: key_id(name, TYPE_COSIGNATURE, &key), key })
    }
    /// Reads a verifier key, `name+id+base64`, of type 0x04.
    ///
    /// # Errors
    /// Any other text, type or id.
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let (name, id, key) = parse_vkey(vkey, TYPE_COSIGNATURE)?;
        Ok(Self { name, id, key })
    }
    /// The verifier key's text.
    pub fn to_vkey(&self) -> String {
        vkey(&self.name, self.id, TYPE_COSIGNATURE, &self.key)
    }
    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn time_in(&self, text: &str, signature: &SignatureLine<'_>) -> Option<u64> {
        if signature.name != self.name || signature.key_id != self.id {
            return None;
        }
        let (seconds, bytes) = signature.bytes.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        self.key.verify(signed_text(seconds, text).as_bytes(), bytes).then_some(seconds)
    }

    /// When this witness cosigned a note, in seconds since 1970; none if it did not, or its line does not verify.
    ///
    /// # Errors
    /// The bytes are no note.
    pub fn time_of(&self, note: &[u8]) -> Result<Option<u64>, NoteError> {
        let Note { text, signatures } = Note::parse(note)?;
        Ok(signatures.iter().find_map(|s| self.time_in(text, s)))
    }

    /// The first line of an answer by this witness that cosigns `note`, with its newline; none if there is none.
    ///
    /// # Errors
    /// The bytes are no note.
    pub fn line_in(&self, answer: &str, note: &[u8]) -> Result<Option<String>, NoteError> {
        let Note { text, .. } = Note::parse(note)?;
        let mut lines = answer.lines().filter_map(|line| SignatureLine::parse(line).ok());
        Ok(lines.find(|s| self.time_in(text, s).is_some()).map(|s| format!("{}\n", s.line)))
    }
}

/// A witness: signs what its keeper has shown to be consistent.
#[derive(Debug, Clone)]
pub struct Cosigner {
    key: WitnessKey,
    secret: SecretKey,
}

impl Cosigner {
    /// The witness called `name`.
    ///
    /// # Errors
    /// The name is empty or has white space or a plus sign.
    pub fn new(name: &str, secret: SecretKey) -> Result<Self, NoteError> {
        Ok(Self { key: WitnessKey::new(name, secret.public())?, secret })
    }
    /// The verifying half.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }
    /// The signature line over a note's text at a time in seconds since 1970, with its newline.
    ///
    /// # Errors
    /// The bytes are no note.
    pub fn cosign(&self, note: &[u8], seconds: u64) -> Result<String, NoteError> {
        let Note { text, .. } = Note::parse(note)?;
        let mut bytes = seconds.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.secret.sign(signed_text(seconds, text).as_bytes()));
        Ok(signature_line(&self.key.name, self.key.id, &bytes))
    }
}

/// Which witnesses must have seen a checkpoint before it counts: `threshold` of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WitnessPolicy {
    keys: Vec<WitnessKey>,
    threshold: usize,
}

impl WitnessPolicy {
    /// A policy; a threshold of zero demands nothing.
    ///
    /// # Errors
    /// A key cannot be read or stands there twice, or the threshold is above the number of keys.
    pub fn new<'a>(vkeys: impl IntoIterator<Item = &'a str>, threshold: usize) -> Result<Self, NoteError> {
        let keys = vkeys.into_iter().map(WitnessKey::parse).collect::<Result<Vec<_>, _>>()?;
        let distinct: BTreeSet<&[u8; 32]> = keys.iter().map(|k| k.key.bytes()).collect();
        if distinct.len() != keys.len() || threshold > keys.len() {
            return Err(NoteError::Key);
        }
        Ok(Self { keys, threshold })
    }
    /// The witnesses.
    pub fn keys(&self) -> &[WitnessKey] {
        &self.keys
    }
    /// How many must have cosigned.
    pub fn threshold(&self) -> usize {
        self.threshold
    }
    /// Opens a checkpoint of `log` that enough witnesses have cosigned.
    ///
    /// # Errors
    /// See [`NoteError`].
    pub fn open(&self, note: &[u8], log: &NoteKey) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::open(note, log)?;
        let found = self.count(note)?;
        if found < self.threshold {
            return Err(NoteError::Witnesses { found, needed: self.threshold });
        }
        Ok(checkpoint)
    }
    /// The time of the oldest among the newest `threshold` cosignatures of a note: nobody short of the threshold can make it
    /// look newer. `None` if no witness is demanded or fewer have cosigned.
    ///
    /// A cosignature takes the time of its witness's clock. One that lies after `latest` was made by a wrong clock: it counts only where too few
    /// others are there, and the result then lies after `latest` too.
    ///
    /// # Errors
    /// The bytes are not a note.
    pub fn cosigned_at(&self, note: &[u8], latest: UtcMillis) -> Result<Option<UtcMillis>, NoteError> {
        let Note { text, signatures } = Note::parse(note)?;
        let newest = |key: &WitnessKey| signatures.iter().filter_map(|s| key.time_in(text, s)).max();
        let mut times: Vec<u64> = self.keys.iter().filter_map(newest).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let at = |seconds: &u64| UtcMillis(seconds.saturating_mul(1_000));
        let ahead = times.iter().take_while(|seconds| at(seconds) > latest).count();
        let counted = self.threshold.checked_sub(1).and_then(|last| {
            let plausible = ahead.checked_add(last).and_then(|place| times.get(place));
            // Of witnesses whose clocks agree with `latest` there are enough, or the newest of all count.
            plausible.or_else(|| times.get(last))
        });
        Ok(counted.map(at))
    }
    /// How many of the witnesses have cosigned a note.
    ///
    /// # Errors
    /// The bytes are no note.
    pub fn count(&self, note: &[u8]) -> Result<usize, NoteError> {
        let Note { text, signatures } = Note::parse(note)?;
        Ok(self.keys.iter().filter(|k| signatures.iter().any(|s| k.time_in(text, s).is_some())).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n\u{2014} example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n";
    const LOG: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
    const LINE: &str = "\u{2014} witness.example/w1 519lMgAAAABlU/EA8Ksalh7kTmlIFPRO/50jC8JyWktgWjbjpb8ZCaY7/1Pyo/Js5iv0m/SL/Pgn8ExkAr34GAbhHPwm6x2I0VpoBA==\n";

    fn witness(name: &str, seed: u8) -> Cosigner {
        Cosigner::new(name, SecretKey::from_seed([seed; 32])).expect("good name")
    }

    #[test]
    fn the_worked_cosignature_is_reproduced_to_the_byte() {
        let seed: [u8; 32] = std::array::from_fn(|i| i as u8);
        let cosigner = Cosigner::new("witness.example/w1", SecretKey::from_seed(seed)).expect("good name");
        let vkey = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
        assert_eq!(cosigner.key().to_vkey(), vkey);
        assert_eq!(WitnessKey::parse(vkey).as_ref(), Ok(cosigner.key()));
        assert_eq!(cosigner.cosign(NOTE.as_bytes(), 1_700_000_000).as_deref(), Ok(LINE));
        assert_eq!(cosigner.key().time_of(format!("{NOTE}{LINE}").as_bytes()), Ok(Some(1_700_000_000)));
        assert!(WitnessKey::parse(LOG).is_err(), "a log's key is no witness's");
    }

    #[test]
    fn att_12_a_policy_counts_distinct_witnesses_over_this_text_only() {
        let (a, b) = (witness("w.example/a", 1), witness("w.example/b", 2));
        let log = NoteKey::parse(LOG).expect("good");
        let policy = WitnessPolicy::new([a.key().to_vkey().as_str(), b.key().to_vkey().as_str()], 2).expect("good");
        let [by_a, again, by_b] = [(&a, 7), (&a, 8), (&b, 9)].map(|(w, t)| w.cosign(NOTE.as_bytes(), t).expect("note"));
        let missing = |found| Err(NoteError::Witnesses { found, needed: 2 });
        assert_eq!(policy.open(NOTE.as_bytes(), &log), missing(0));
        assert_eq!(policy.open(format!("{NOTE}{by_a}{again}").as_bytes(), &log), missing(1), "one witness twice");
        let altered = by_b.replacen("AAAAAAAAA", "AAAAAAAAB", 1);
        assert_eq!(policy.open(format!("{NOTE}{by_a}{altered}").as_bytes(), &log), missing(1));
        let stranger = witness("w.example/b", 3).cosign(NOTE.as_bytes(), 9).expect("note");
        assert_eq!(policy.open(format!("{NOTE}{by_a}{stranger}").as_bytes(), &log), missing(1));
        assert!(policy.open(format!("{NOTE}{by_a}{by_b}").as_bytes(), &log).is_ok());
        let time = |note: String| policy.cosigned_at(note.as_bytes(), UtcMillis(u64::MAX));
        assert_eq!(time(format!("{NOTE}{by_a}{again}")), Ok(None), "one witness cannot make it look new");
        assert_eq!(time(format!("{NOTE}{by_a}{again}{by_b}")), Ok(Some(UtcMillis(8_000))));
        let vkey = a.key().to_vkey();
        assert!(WitnessPolicy::new([vkey.as_str(), vkey.as_str()], 2).is_err(), "one key twice");
        assert!(WitnessPolicy::new([vkey.as_str()], 2).is_err(), "more than there are");
        let other = NOTE.replacen("\n15\n", "\n14\n", 1);
        assert_eq!(b.key().line_in(&by_b, other.as_bytes()), Ok(None), "for another checkpoint");
        assert_eq!(b.key().line_in(&format!("{by_a}{by_b}"), NOTE.as_bytes()), Ok(Some(by_b)));
    }

    /// The sample: a witness whose clock was a year ahead made a checkpoint look fresh for a year.
    #[test]
    fn sec_12_a_clock_of_a_witness_ahead_makes_nothing_fresh() {
        let all = [1, 2, 3].map(|seed| witness(&format!("w.example/{seed}"), seed));
        let vkeys: Vec<String> = all.iter().map(|w| w.key().to_vkey()).collect();
        let latest = UtcMillis(100_000);
        for (threshold, seconds, counted) in [
            (1, [Some(900), Some(50), None], 50),
            (1, [Some(900), None, None], 900),
            (1, [Some(100), Some(50), None], 100),
            (2, [Some(900), Some(50), None], 50),
            (2, [Some(900), Some(800), Some(50)], 800),
            (2, [Some(900), Some(60), Some(50)], 50),
            (3, [Some(900), Some(60), Some(50)], 50),
            (3, [Some(900), Some(800), Some(700)], 700),
        ] {
            let policy = WitnessPolicy::new(vkeys.iter().map(String::as_str), threshold).expect("good");
            let lines = all.iter().zip(seconds).filter_map(|(w, s)| w.cosign(NOTE.as_bytes(), s?).ok());
            let note = format!("{NOTE}{}", lines.collect::<String>());
            let found = policy.cosigned_at(note.as_bytes(), latest);
            assert_eq!(found, Ok(Some(UtcMillis(counted * 1_000))), "{threshold} of {seconds:?}");
        }
    }
}
