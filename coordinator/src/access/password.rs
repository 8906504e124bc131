//! Passwords: Argon2id (RFC 9106) with the library's recommended parameters and a random salt.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

/// Shortest password.
const CHARS_MIN: usize = 12;
/// Longest password; more only costs time.
pub(crate) const PASSWORD_CHARS_MAX: usize = 256;

/// Why a password is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("a password has {CHARS_MIN} to {PASSWORD_CHARS_MAX} characters")]
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
    if !(CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&password.chars().count()) {
        return Err(PasswordError::Length);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Hash)?;
    let hash =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// Whether `password` has this hash. Takes as long for every password and every hash, those that are not valid too: the time of the answer
/// says nothing about an account.
pub(crate) fn verify_password(password: &str, hash: &str) -> bool {
    match PasswordHash::new(hash) {
        Ok(hash) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(_) => {
            let _ = Argon2::default().hash_password_with_salt(password.as_bytes(), &[0; 16]);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The work of the hash is done whatever the password and the hash are; nothing returns early.
    #[test]
    fn sec_16_every_password_and_hash_costs_the_same_work() {
        let hash = hash_password("correct horse battery").expect("long enough");
        let spent = |password: &str, hash: &str| {
            let of = || {
                let began = std::time::Instant::now();
                assert!(!verify_password(password, hash));
                began.elapsed()
            };
            (0..5).map(|_| of()).min().expect("some")
        };
        let known = spent("another password", &hash);
        let long = "x".repeat(10 * PASSWORD_CHARS_MAX);
        for (what, took) in [
            ("a long password", spent(&long, &hash)),
            ("no account", spent("another password", "nonsense")),
            ("neither", spent(&long, "nonsense")),
            ("an empty password", spent("", &hash)),
        ] {
            // An early return is a thousand times as fast; machines under load are not exact.
            assert!(took * 4 > known && known * 4 > took, "{what}: {took:?}, a known name {known:?}");
        }
    }

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
