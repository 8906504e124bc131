//! The one envelope for everything that is signed.
//!
//! A signature covers a domain-separation context, the payload's length and the payload's exact bytes. Verification comes
//! first, decoding after, and nothing is ever re-encoded to verify. Only [`Signed::verify`] makes a [`Verified`] value.

mod batch;
mod key;
mod memo;

use std::collections::BTreeSet;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use batch::verify_many;
pub use key::{Algorithm, KeyError, KeyId, KeySet, PublicKey, SecretKey, Verifier};
#[cfg(feature = "simulation")]
pub use memo::remembering;

use crate::digest::Digest;
use crate::limits::{DOCUMENT_BYTES_MAX, SIGNATURES_MAX};

/// A kind of document that can be signed.
pub trait Document: Serialize + DeserializeOwned {
    /// The last part of the signing context `mdfm/v1/<type>`; unique per kind, so that no signature fits another kind.
    const TYPE: &'static str;
    /// How many optional fields were added at the end since the first version of the document. An older document is the
    /// newer one cut before them: they decode as `None`, so that what was signed then verifies for as long as records are kept.
    const ADDED_FIELDS: usize = 0;
}

/// One signature by one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Which key signed.
    pub key: KeyId,
    /// The signature's bytes; 64 for Ed25519 (RFC 8032).
    pub bytes: Vec<u8>,
}

/// A document as it travels: exact payload bytes and signatures, nothing of it trusted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T> {
    payload: Vec<u8>,
    signatures: Vec<Signature>,
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

impl<T: Document> std::fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed<{}>({} bytes, {} signatures)", T::TYPE, self.payload.len(), self.signatures.len())
    }
}

/// Why a signed document is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// More bytes than any document of ours has.
    #[error("{kind} has a payload of {found} bytes, at most {DOCUMENT_BYTES_MAX} are accepted")]
    TooLarge {
        /// Kind of document.
        kind: &'static str,
        /// Bytes found.
        found: usize,
    },
    /// More signatures than any document of ours has.
    #[error("{kind} carries {found} signatures, at most {SIGNATURES_MAX} are accepted")]
    TooManySignatures {
        /// Kind of document.
        kind: &'static str,
        /// Signatures found.
        found: usize,
    },
    /// A key that counts signed something else than these bytes in this context.
    #[error("the signature of key {key} on this {kind} is not valid: the document was altered or the signature moved")]
    BadSignature {
        /// Kind of document.
        kind: &'static str,
        /// The key named by the signature.
        key: KeyId,
    },
    /// Not enough distinct keys of the role signed.
    #[error("{kind} needs {} by keys of its role, found {found}", crate::text::count(*.needed, "signature"))]
    Threshold {
        /// Kind of document.
        kind: &'static str,
        /// Distinct authorized signatures needed.
        needed: usize,
        /// Distinct authorized signatures found.
        found: usize,
    },
    /// The signatures are right but the payload is not such a document.
    #[error("the signed bytes are no {kind}: {cause}")]
    Malformed {
        /// Kind of document.
        kind: &'static str,
        /// What the decoder said.
        cause: String,
    },
}

fn message(kind: &str, payload: &[u8]) -> Vec<u8> {
    let context = format!("mdfm/v1/{kind}");
    let mut bytes = Vec::with_capacity(context.len() + 9 + payload.len());
    bytes.push(u8::try_from(context.len()).expect("document kinds are short constants"));
    bytes.extend_from_slice(context.as_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

impl<T: Document> Signed<T> {
    /// Encodes `document` and signs it with each of `keys`.
    ///
    /// # Errors
    /// The encoding exceeds [`DOCUMENT_BYTES_MAX`].
    pub fn sign(document: &T, keys: &[&SecretKey]) -> Result<Self, SignError> {
        let mut payload =
            postcard::to_stdvec(document).map_err(|e| SignError::Malformed { kind: T::TYPE, cause: e.to_string() })?;
        // An absent field at the end is one zero byte, and so is what a decoder adds: without them readers of earlier versions decode
        // the document, as long as it uses nothing that they do not know.
        for _ in 0..T::ADDED_FIELDS {
            payload.pop_if(|byte| *byte == 0);
        }
        if payload.len() > DOCUMENT_BYTES_MAX {
            return Err(SignError::TooLarge { kind: T::TYPE, found: payload.len() });
        }
        let mut signed = Self { payload, signatures: Vec::new(), kind: PhantomData };
        keys.iter().for_each(|key| signed.add_signature(key));
        Ok(signed)
    }

    /// Adds one more signature over the same bytes; replaces an earlier one by the same key.
    pub fn add_signature(&mut self, key: &SecretKey) {
        let public = key.public();
        self.signatures.retain(|s| s.key != public.id());
        let bytes = key.sign(&message(T::TYPE, &self.payload));
        self.signatures.push(Signature { key: public.id(), bytes });
    }

    /// Takes over the signatures of another copy of the same document by keys that have not signed this one. Returns how many; `None`, and takes
    /// none, if the other is another document, or both together have more signatures than a document may.
    pub fn unite(&mut self, other: &Self) -> Option<usize> {
        let is_new = |s: &&Signature| self.signatures.iter().all(|held| held.key != s.key);
        let new: Vec<Signature> = other.signatures.iter().filter(is_new).cloned().collect();
        if self.payload != other.payload || self.signatures.len() + new.len() > SIGNATURES_MAX {
            return None;
        }
        let taken = new.len();
        self.signatures.extend(new);
        Some(taken)
    }

    /// SHA-256 of the payload: the document's name wherever another document refers to it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// The signatures as they came, unchecked.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks the signatures against `keys`, then decodes.
    ///
    /// Signatures by keys outside the set are ignored; two by one key count once; one bad signature by a key of the set
    /// refuses the document.
    ///
    /// # Errors
    /// See [`SignError`]; none is worth a retry with the same bytes.
    pub fn verify(&self, keys: &KeySet) -> Result<Verified<T>, SignError> {
        if self.payload.len() > DOCUMENT_BYTES_MAX {
            return Err(SignError::TooLarge { kind: T::TYPE, found: self.payload.len() });
        }
        if self.signatures.len() > SIGNATURES_MAX {
            return Err(SignError::TooManySignatures { kind: T::TYPE, found: self.signatures.len() });
        }
        let message = message(T::TYPE, &self.payload);
        let mut signers = BTreeSet::new();
        for signature in &self.signatures {
            let Some(key) = keys.get(&signature.key) else { continue };
            if !key.verify(&message, &signature.bytes) {
                return Err(SignError::BadSignature { kind: T::TYPE, key: signature.key });
            }
            signers.insert(signature.key);
        }
        if signers.len() < keys.threshold() {
            return Err(SignError::Threshold { kind: T::TYPE, needed: keys.threshold(), found: signers.len() });
        }
        Ok(Verified { value: self.decode()?, digest: self.digest(), signers })
    }

    /// Decodes without any check of who signed. For documents whose keys are inside themselves (a first trust root pinned
    /// by digest) and for showing a document to the person about to sign it.
    ///
    /// # Errors
    /// The payload is no such document, or has bytes left over.
    pub fn decode_unverified(&self) -> Result<T, SignError> {
        if self.payload.len() > DOCUMENT_BYTES_MAX {
            return Err(SignError::TooLarge { kind: T::TYPE, found: self.payload.len() });
        }
        self.decode()
    }

    fn decode(&self) -> Result<T, SignError> {
        let malformed = |cause: String| SignError::Malformed { kind: T::TYPE, cause };
        let mut payload = self.payload.clone();
        let mut added = 0;
        loop {
            match postcard::take_from_bytes(&payload) {
                Ok((value, [])) => return Ok(value),
                Ok((_, rest)) => return Err(malformed(format!("{} bytes left over", rest.len()))),
                Err(postcard::Error::DeserializeUnexpectedEnd) if added < T::ADDED_FIELDS => {
                    // Postcard writes `None` as one zero byte.
                    payload.push(0);
                    added += 1;
                }
                Err(e) => return Err(malformed(e.to_string())),
            }
        }
    }
}

/// A document whose signatures were checked against the role that may sign it. Read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    digest: Digest,
    signers: BTreeSet<KeyId>,
}

impl<T> Verified<T> {
    /// SHA-256 of the document's payload.
    pub fn digest(&self) -> Digest {
        self.digest
    }
    /// The distinct authorized keys that signed.
    pub fn signers(&self) -> &BTreeSet<KeyId> {
        &self.signers
    }
    /// The document itself, giving up the proof.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Note(String);
    impl Document for Note {
        const TYPE: &'static str = "note";
    }
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Other(String);
    impl Document for Other {
        const TYPE: &'static str = "other";
    }

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed([n; 32])
    }
    fn set(keys: &[&SecretKey], threshold: usize) -> KeySet {
        KeySet::new(keys.iter().map(|k| k.public()), threshold).expect("valid set")
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct LongerNote(String, Option<u64>);
    impl Document for LongerNote {
        const TYPE: &'static str = "note";
        const ADDED_FIELDS: usize = 1;
    }

    #[test]
    fn documents_signed_before_a_field_was_added_still_verify() {
        let a = key(1);
        let longer = |payload: Vec<u8>| Signed::<LongerNote> { payload, signatures: Vec::new(), kind: PhantomData };
        let old = Signed::sign(&Note("x".into()), &[&a]).expect("small");
        let read = Signed { signatures: old.signatures.clone(), ..longer(old.payload.clone()) };
        assert_eq!(*read.verify(&set(&[&a], 1)).expect("signed"), LongerNote("x".into(), None));
        let new = Signed::sign(&LongerNote("x".into(), Some(7)), &[&a]).expect("small");
        assert_eq!(*new.verify(&set(&[&a], 1)).expect("signed"), LongerNote("x".into(), Some(7)));
        assert_eq!(Signed::sign(&LongerNote("x".into(), None), &[]).expect("small").payload, old.payload);
        for damaged in [&old.payload[..1], &[], &[1, b'x', 0, 0], &[1, b'x', 2], &[200, b'x']] {
            assert!(longer(damaged.to_vec()).decode_unverified().is_err(), "{damaged:?}");
        }
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct LongestNote(String, Option<u64>, Option<u64>);
    impl Document for LongestNote {
        const TYPE: &'static str = "note";
        const ADDED_FIELDS: usize = 2;
    }

    #[test]
    fn fld_4_absent_fields_at_the_end_of_a_document_are_cut() {
        let a = key(1);
        let sign = |second, third| Signed::sign(&LongestNote("x".into(), second, third), &[&a]).expect("small");
        for (second, third) in [(None, None), (Some(0), None), (None, Some(0)), (Some(7), Some(256))] {
            let signed = sign(second, third);
            assert_eq!(*signed.verify(&set(&[&a], 1)).expect("signed"), LongestNote("x".into(), second, third));
        }
        let older = |second| Signed::sign(&LongerNote("x".into(), second), &[]).expect("small").payload;
        let read = |payload: Vec<u8>| Signed::<LongerNote> { payload, signatures: Vec::new(), kind: PhantomData };
        for second in [None, Some(0), Some(7)] {
            let found = read(sign(second, None).payload).decode_unverified();
            assert_eq!(found, Ok(LongerNote("x".into(), second)), "an earlier version decodes it");
        }
        assert_eq!(sign(None, None).payload, older(None));
        assert!(read(sign(None, Some(1)).payload).decode_unverified().is_err());
    }

    #[test]
    fn a_threshold_counts_distinct_authorized_keys() {
        let (a, b, c) = (key(1), key(2), key(3));
        let signed = Signed::sign(&Note("x".into()), &[&a, &c]).expect("small");
        assert_eq!(*signed.verify(&set(&[&a, &b], 1)).expect("a signed"), Note("x".into()));
        assert_eq!(signed.verify(&set(&[&a, &b], 2)), Err(SignError::Threshold { kind: "note", needed: 2, found: 1 }));
        let mut twice = signed.clone();
        twice.signatures.push(twice.signatures[0].clone());
        assert!(twice.verify(&set(&[&a, &b], 2)).is_err());
    }

    #[test]
    fn p11_70_a_signature_fits_no_other_kind_of_document() {
        let a = key(1);
        let signed = Signed::sign(&Note("x".into()), &[&a]).expect("small");
        let moved: Signed<Other> =
            Signed { payload: signed.payload.clone(), signatures: signed.signatures.clone(), kind: PhantomData };
        assert!(matches!(moved.verify(&set(&[&a], 1)), Err(SignError::BadSignature { .. })));
    }

    #[test]
    fn att_6_a_million_signatures_are_refused_before_any_is_checked() {
        let a = key(1);
        let mut signed = Signed::sign(&Note("x".into()), &[&a]).expect("small");
        signed.signatures = vec![signed.signatures[0].clone(); 1_000_000];
        assert_eq!(signed.verify(&set(&[&a], 1)), Err(SignError::TooManySignatures { kind: "note", found: 1_000_000 }));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(text in ".{1,40}", bit in any::<prop::sample::Index>()) {
            let a = key(1);
            let signed = Signed::sign(&Note(text), &[&a]).expect("small");
            let mut bytes = postcard::to_stdvec(&signed).expect("encodes");
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(altered) = postcard::from_bytes::<Signed<Note>>(&bytes) {
                prop_assert!(altered.verify(&set(&[&a], 1)).is_err());
            }
        }
    }
}
