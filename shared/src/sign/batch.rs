//! Many signatures at once (ed25519 batch verification, Bernstein et al. 2011, §5): about twice as fast as one by one.
//!
//! Batch verification multiplies by random factors, and the holder of a key can craft a signature with a part of small order that
//! it accepts for some factors and strict verification never does. So it is for words that count now and are not kept, such
//! as heartbeats. What is kept, so that anybody can check it for years, is verified strictly, by [`Signed::verify`] or
//! [`Signed::verify_with`].

use std::collections::BTreeSet;

use super::{Document, SignError, Signed, Verified, Verifier, message};
use crate::limits::{DOCUMENT_BYTES_MAX, SIGNATURES_MAX};

/// Larger batches gain little: 22 µs a signature with 64, 18.5 with 128, 17 with 512, against 45 by itself.
const AT_ONCE: usize = 128;

impl<T: Document> Signed<T> {
    /// The signed message and this key's signature, if the document keeps its bounds and the key signed.
    fn signature_of(&self, verifier: &Verifier) -> Result<(Vec<u8>, [u8; 64]), SignError> {
        if self.payload.len() > DOCUMENT_BYTES_MAX {
            return Err(SignError::TooLarge { kind: T::TYPE, found: self.payload.len() });
        }
        if self.signatures.len() > SIGNATURES_MAX {
            return Err(SignError::TooManySignatures { kind: T::TYPE, found: self.signatures.len() });
        }
        let found = self.signatures.iter().find(|s| s.key == verifier.id());
        let found = found.ok_or(SignError::Threshold { kind: T::TYPE, needed: 1, found: 0 })?;
        let bytes = found.bytes.as_slice().try_into();
        let bytes = bytes.map_err(|_| SignError::BadSignature { kind: T::TYPE, key: verifier.id() })?;
        Ok((message(T::TYPE, &self.payload), bytes))
    }

    fn verified_by(&self, verifier: &Verifier) -> Result<Verified<T>, SignError> {
        Ok(Verified { value: self.decode()?, digest: self.digest(), signers: BTreeSet::from([verifier.id()]) })
    }

    /// As [`Self::verify`] with the set of this one key, strictly.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn verify_with(&self, verifier: &Verifier) -> Result<Verified<T>, SignError> {
        let (message, signature) = self.signature_of(verifier)?;
        if !verifier.verify(&message, &signature) {
            return Err(SignError::BadSignature { kind: T::TYPE, key: verifier.id() });
        }
        self.verified_by(verifier)
    }
}

/// Verifies documents that each one key must have signed; the answers are in their order. Where a batch does not verify, each of
/// it is verified strictly by itself, so that a bad one is found and spoils no other.
pub fn verify_many<T: Document>(documents: &[(&Signed<T>, &Verifier)]) -> Vec<Result<Verified<T>, SignError>> {
    documents.chunks(AT_ONCE).flat_map(verify_chunk).collect()
}

fn verify_chunk<T: Document>(documents: &[(&Signed<T>, &Verifier)]) -> Vec<Result<Verified<T>, SignError>> {
    let found: Vec<_> = documents.iter().map(|(signed, verifier)| signed.signature_of(verifier)).collect();
    let parts: Vec<_> =
        found.iter().zip(documents).filter_map(|(f, (_, v))| f.as_ref().ok().map(|f| (f, *v))).collect();
    let messages: Vec<&[u8]> = parts.iter().map(|((message, _), _)| message.as_slice()).collect();
    let signatures: Vec<_> = parts.iter().map(|((_, s), _)| ed25519_dalek::Signature::from_bytes(s)).collect();
    let keys: Vec<_> = parts.iter().map(|(_, verifier)| verifier.key).collect();
    let all_good = parts.len() > 1 && ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok();
    let judge = |(found, (signed, verifier)): (Result<_, SignError>, &(&Signed<T>, &Verifier))| {
        let (message, signature): (Vec<u8>, [u8; 64]) = found?;
        if !all_good && !verifier.verify(&message, &signature) {
            return Err(SignError::BadSignature { kind: T::TYPE, key: verifier.id() });
        }
        signed.verified_by(verifier)
    };
    found.into_iter().zip(documents).map(judge).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::sign::SecretKey;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Note(u64);
    impl Document for Note {
        const TYPE: &'static str = "note";
    }

    fn key(n: u64) -> SecretKey {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&n.to_be_bytes());
        SecretKey::from_seed(seed)
    }
    fn verifier(n: u64) -> Verifier {
        Verifier::try_from(&key(n).public()).expect("a good key")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn att_11_many_are_judged_as_one_by_one_would_be(spoiled in prop::collection::vec(0_u8..12, 1..150)) {
            let documents: Vec<(Signed<Note>, Verifier)> = spoiled.iter().zip(0..).map(|(spoil, n)| {
                let mut signed = Signed::sign(&Note(n), &[&key(n)]).expect("small");
                match spoil {
                    0 => signed.payload[0] ^= 1,
                    1 => signed.signatures[0].bytes[40] ^= 1,
                    2 => signed.signatures.clear(),
                    3 => signed.signatures[0].bytes.truncate(12),
                    _ => {}
                }
                (signed, verifier(n))
            }).collect();
            let pairs: Vec<_> = documents.iter().map(|(s, v)| (s, v)).collect();
            let single: Vec<_> = documents.iter().map(|(s, v)| s.verify_with(v)).collect();
            prop_assert_eq!(verify_many(&pairs), single);
        }
    }

    /// The reason why telemetry is never verified in batches: a signature whose R carries a part of order two.
    #[test]
    fn a_signature_with_a_part_of_small_order_is_never_strictly_valid() {
        use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
        use curve25519_dalek::scalar::Scalar;
        use sha2::{Digest as _, Sha512};

        let secret = Scalar::from(1_234_567_u64);
        let public = (secret * ED25519_BASEPOINT_POINT).compress();
        let verifier = Verifier::try_from(&crate::sign::PublicKey::ed25519(public.to_bytes()).expect("a good point"))
            .expect("good");
        let mut accepted = 0;
        for n in 0..40_u64 {
            let mut signed = Signed::sign(&Note(n), &[&key(0)]).expect("small");
            let text = message("note", &signed.payload);
            let nonce = Scalar::from(n + 99);
            let r = (nonce * ED25519_BASEPOINT_POINT + EIGHT_TORSION[4]).compress();
            let mut hash = Sha512::new();
            hash.update(r.as_bytes());
            hash.update(public.as_bytes());
            hash.update(&text);
            let s = nonce + Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) * secret;
            signed.signatures[0].key = verifier.id();
            signed.signatures[0].bytes = [r.to_bytes(), s.to_bytes()].concat();
            assert!(signed.verify_with(&verifier).is_err(), "never strictly");
            let good = Signed::sign(&Note(n), &[&key(1)]).expect("small");
            let (other, pair) = (self::verifier(1), (&signed, &verifier));
            accepted += u32::from(verify_many(&[pair, (&good, &other)])[0].is_ok());
        }
        assert!((5..36).contains(&accepted), "the batch takes about every second one: {accepted}");
    }
}
