//! Keys: Ed25519 today, with an algorithm id so that another can stand beside it tomorrow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::memo;
use crate::digest::Digest;
use crate::limits::SIGNATURES_MAX;

/// Signature algorithms; an unknown one is refused when decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032), verified with the strict rules.
    Ed25519,
}

/// A key's name: SHA-256 of its algorithm id and public bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

/// Why a key or a set of keys is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text form `ed25519:<base64 of 32 bytes>`.
    #[error("a key is written ed25519:<base64 of 32 bytes>")]
    Malformed,
    /// The bytes are no point of the curve, or a weak one.
    #[error("the bytes are no valid Ed25519 public key")]
    NotAPoint,
    /// A set that nobody, or anybody, could satisfy.
    #[error("a threshold of {threshold} cannot stand over {keys} distinct keys (1 to {SIGNATURES_MAX})")]
    Threshold {
        /// The threshold asked for.
        threshold: usize,
        /// Distinct keys in the set.
        keys: usize,
    },
}

/// A public key; the bytes may be any, only verification shows whether they are of use.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublicKey {
    algorithm: Algorithm,
    bytes: [u8; 32],
}

impl PublicKey {
    /// An Ed25519 public key.
    ///
    /// # Errors
    /// The bytes are no point, or a weak one (small order).
    pub fn ed25519(bytes: [u8; 32]) -> Result<Self, KeyError> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self { algorithm: Algorithm::Ed25519, bytes }),
            _ => Err(KeyError::NotAPoint),
        }
    }
    /// The key's name.
    pub fn id(&self) -> KeyId {
        let mut bytes = [0; 33];
        bytes[0] = match self.algorithm {
            Algorithm::Ed25519 => 1,
        };
        bytes[1..].copy_from_slice(&self.bytes);
        KeyId(Digest::of(&bytes))
    }
    /// The 32 bytes of the key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
    /// Whether `signature` is this key's over `message`; strict: no malleable or small-order forms.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = <&[u8; 64]>::try_from(signature) else { return false };
        memo::verified(&self.bytes, message, signature, || {
            VerifyingKey::from_bytes(&self.bytes)
                .is_ok_and(|key| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok())
        })
    }
}

/// A public key made ready to check many signatures: its point is decompressed once.
#[derive(Debug, Clone)]
pub struct Verifier {
    id: KeyId,
    pub(super) key: VerifyingKey,
}

impl Verifier {
    /// The key's name.
    pub fn id(&self) -> KeyId {
        self.id
    }
    /// As [`PublicKey::verify`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = <&[u8; 64]>::try_from(signature) else { return false };
        memo::verified(self.key.as_bytes(), message, signature, || {
            self.key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
        })
    }
}

impl TryFrom<&PublicKey> for Verifier {
    type Error = KeyError;
    fn try_from(key: &PublicKey) -> Result<Self, KeyError> {
        match VerifyingKey::from_bytes(&key.bytes) {
            Ok(point) if !point.is_weak() => Ok(Self { id: key.id(), key: point }),
            _ => Err(KeyError::NotAPoint),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", STANDARD.encode(self.bytes))
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ed25519(decode_32("ed25519:", text)?)
    }
}

fn decode_32(prefix: &str, text: &str) -> Result<[u8; 32], KeyError> {
    let encoded = text.trim().strip_prefix(prefix).ok_or(KeyError::Malformed)?;
    STANDARD.decode(encoded).ok().and_then(|b| b.try_into().ok()).ok_or(KeyError::Malformed)
}

/// A secret key; never printed by `Debug`, wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed; the caller brings the randomness.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }
    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey { algorithm: Algorithm::Ed25519, bytes: self.0.verifying_key().to_bytes() }
    }
    /// Signs raw bytes; documents go through [`super::Signed`], log notes through [`crate::tlog`].
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(message).to_bytes();
        memo::signed(self.0.as_ref().as_bytes(), message, &signature);
        signature.to_vec()
    }
    /// The text form for a key file, `ed25519-secret:<base64 of the seed>`; handle as a secret.
    pub fn to_secret_text(&self) -> String {
        format!("ed25519-secret:{}", STANDARD.encode(self.0.to_bytes()))
    }
    /// Reads [`Self::to_secret_text`].
    ///
    /// # Errors
    /// The text has another form.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        decode_32("ed25519-secret:", text).map(Self::from_seed)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// The keys of one role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: BTreeMap<KeyId, PublicKey>,
    threshold: usize,
}

impl KeySet {
    /// A set of distinct keys with a threshold from 1 to their number.
    ///
    /// # Errors
    /// The threshold is zero or more than the distinct keys.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, threshold: usize) -> Result<Self, KeyError> {
        let keys: BTreeMap<_, _> = keys.into_iter().map(|k| (k.id(), k)).collect();
        if threshold == 0 || threshold > keys.len() || keys.len() > SIGNATURES_MAX {
            return Err(KeyError::Threshold { threshold, keys: keys.len() });
        }
        Ok(Self { keys, threshold })
    }
    /// The set of one key.
    pub fn single(key: PublicKey) -> Self {
        Self { keys: BTreeMap::from([(key.id(), key)]), threshold: 1 }
    }
    /// The key of that name, if it belongs to the set.
    pub fn get(&self, id: &KeyId) -> Option<&PublicKey> {
        self.keys.get(id)
    }
    /// Whether these signers, whose signatures were checked before, are enough of this set.
    pub fn is_met_by(&self, signers: &BTreeSet<KeyId>) -> bool {
        signers.iter().filter(|id| self.keys.contains_key(id)).count() >= self.threshold
    }
    /// How many distinct keys must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text_form_and_secrets_stay_out_of_debug() {
        let key = SecretKey::from_seed([7; 32]);
        assert_eq!(key.public().to_string().parse::<PublicKey>(), Ok(key.public()));
        let again = SecretKey::from_secret_text(&key.to_secret_text()).expect("own form");
        assert_eq!(again.public(), key.public());
        assert!(!format!("{key:?}").contains(&STANDARD.encode([7; 32])));
    }

    #[test]
    fn weak_keys_and_impossible_thresholds_are_refused() {
        let mut one = [0; 32];
        one[0] = 1; // the neutral element
        assert_eq!(PublicKey::ed25519(one), Err(KeyError::NotAPoint));
        let a = SecretKey::from_seed([1; 32]).public();
        assert!(KeySet::new([a.clone(), a.clone()], 2).is_err());
        assert!(KeySet::new([a], 0).is_err());
    }
}
