//! Signing keys of people, sealed under their passwords: Argon2id (RFC 9106) makes the key, ChaCha20-Poly1305 (RFC 8439) seals. The
//! coordinator keeps what is sealed and cannot open it without the person.

use argon2::Argon2;
use mdfm_shared::id::UserId;
use mdfm_shared::sign::SecretKey;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::password::derive;

const SALT_BYTES: usize = 16;

/// Why a key cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// Another password, another person, or altered bytes; which of them cannot be told.
    #[error("the signing key does not open with this password")]
    Closed,
    /// The machine has no randomness or no memory.
    #[error("the signing key cannot be sealed")]
    Machine,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    salt: String,
    nonce: String,
    sealed: String,
}

/// The key that a password makes.
fn key(password: &str, salt: &[u8]) -> Result<LessSafeKey, SealError> {
    let mut bytes = [0; 32];
    if !derive(&Argon2::default(), password, salt, &mut bytes) {
        return Err(SealError::Machine);
    }
    UnboundKey::new(&CHACHA20_POLY1305, &bytes).map(LessSafeKey::new).map_err(|_| SealError::Machine)
}

/// What binds the sealed bytes to one person.
fn bound_to(user: &UserId) -> Aad<Vec<u8>> {
    Aad::from(format!("mdfm signing key of {user}").into_bytes())
}

/// Seals a key for a person; takes tens of milliseconds of a core.
pub(crate) fn seal(secret: &SecretKey, user: &UserId, password: &str) -> Result<String, SealError> {
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_LEN]);
    getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut nonce)).map_err(|_| SealError::Machine)?;
    let mut bytes = secret.to_secret_text().into_bytes();
    let key = key(password, &salt)?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to(user), &mut bytes)
        .map_err(|_| SealError::Machine)?;
    let sealed = Sealed { salt: hex::encode(salt), nonce: hex::encode(nonce), sealed: hex::encode(bytes) };
    serde_json::to_string(&sealed).map_err(|_| SealError::Machine)
}

/// Opens a person's key.
pub(crate) fn unseal(sealed: &str, user: &UserId, password: &str) -> Result<SecretKey, SealError> {
    let closed = |_| SealError::Closed;
    let sealed: Sealed = serde_json::from_str(sealed).map_err(|_| SealError::Closed)?;
    let [salt, nonce, bytes] = [&sealed.salt, &sealed.nonce, &sealed.sealed].map(hex::decode);
    let nonce = Nonce::try_assume_unique_for_key(&nonce.map_err(closed)?).map_err(|_| SealError::Closed)?;
    let (key, mut bytes) = (key(password, &salt.map_err(closed)?)?, bytes.map_err(closed)?);
    let opened = key.open_in_place(nonce, bound_to(user), &mut bytes).map_err(|_| SealError::Closed)?;
    let text = std::str::from_utf8(opened).map_err(|_| SealError::Closed)?;
    SecretKey::from_secret_text(text).map_err(|_| SealError::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_200a3_a_sealed_key_opens_for_its_owner_with_their_password_alone() {
        let (owner, other): (UserId, UserId) = ("qa".parse().expect("id"), "admin".parse().expect("id"));
        let secret = SecretKey::from_seed([7; 32]);
        let sealed = seal(&secret, &owner, "a password of the owner").expect("seals");
        assert!(!sealed.contains(&secret.to_secret_text()));
        let opened = unseal(&sealed, &owner, "a password of the owner").expect("opens");
        assert_eq!(opened.public(), secret.public());
        assert!(unseal(&sealed, &owner, "the administrator's password").is_err());
        assert!(unseal(&sealed, &other, "a password of the owner").is_err(), "it is bound to one person");
        let altered = sealed.replacen("\"sealed\":\"", "\"sealed\":\"00", 1);
        assert!(unseal(&altered, &owner, "a password of the owner").is_err());
        assert!(unseal("{}", &owner, "a password of the owner").is_err());
    }
}
