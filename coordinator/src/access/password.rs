//! Passwords: Argon2id (RFC 9106) with the library's recommended parameters and a random salt.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

/// Shortest password.
const CHARS_MIN: usize = 12;
/// Longest password; more only costs time.
const CHARS_MAX: usize = 256;

/// Why a password is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("a password has {CHARS_MIN} to {CHARS_MAX} characters")]
    Length,
    #[error("the password cannot be hashed")]
    Hash,
    #[error("this password is known from a breach elsewhere; choose another")]
    Breached,
    #[error("the list of breached passwords cannot be read")]
    Unread(#[source] std::io::Error),
}

/// Hashes a new password; takes tens of milliseconds of a core.
pub(crate) fn hash_password(password: &str) -> Result<String, PasswordError> {
    if !(CHARS_MIN..=CHARS_MAX).contains(&password.chars().count()) {
        return Err(PasswordError::Length);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Hash)?;
    let hash =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// Whether `password` has this hash; takes as long as hashing.
pub(crate) fn verify_password(password: &str, hash: &str) -> bool {
    password.chars().count() <= CHARS_MAX
        && PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Takes as long as verifying, for names that do not exist: the time of the answer tells nothing.
pub(crate) fn spend_verification_time(password: &str) {
    let _ = Argon2::default().hash_password_with_salt(password.as_bytes(), &[0; 16]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_verifies() {
        let hash = hash_password("correct horse battery").expect("long enough");
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify_password("correct horse battery", &hash));
        assert!(!verify_password("correct horse batterz", &hash));
        assert!(!verify_password("correct horse battery", "nonsense"));
        assert!(hash_password("too short").is_err());
    }
}
