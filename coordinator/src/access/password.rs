//! Passwords: Argon2id (RFC 9106) with the library's recommended parameters and a random salt.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

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
    Ok(hashed(password, &salt).ok_or(PasswordError::Hash)?.to_string())
}

/// The hash with the parameters of today.
fn hashed(password: &str, salt: &[u8]) -> Option<PasswordHash> {
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    let is_derived = derive(&Argon2::default(), password, salt, &mut out);
    is_derived.then_some(())?;
    Some(PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(&Params::default()).ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(Output::new(&out).ok()?),
    })
}

/// Memory of password checks that is kept for the next ones: as many as run at once. Given back to the allocator each would stay in an arena of a
/// thread, and strangers would make the program grow.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());
const MEMORIES_MAX: usize = 4;

/// Argon2 into `out`, in memory that is used again; false if the machine or the parameters do not allow it.
pub(super) fn derive(argon2: &Argon2<'_>, password: &str, salt: &[u8], out: &mut [u8]) -> bool {
    let memory = || MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut blocks = memory().pop().unwrap_or_default();
    blocks.resize(argon2.params().block_count(), Block::new());
    let is_derived = argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut blocks[..]).is_ok();
    let mut kept = memory();
    if kept.len() < MEMORIES_MAX {
        kept.push(blocks);
    }
    is_derived
}

/// Whether `password` has this hash. Takes as long for every password and every hash, those that are not valid too: the time of the answer
/// says nothing about an account.
pub(crate) fn verify_password(password: &str, hash: &str) -> bool {
    match PasswordHash::new(hash).ok().and_then(|hash| verify(password, &hash)) {
        Some(is_right) => is_right,
        None => {
            let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
            derive(&Argon2::default(), password, &[0; 16], &mut out);
            false
        }
    }
}

/// None where the hash is not one of Argon2 with all that belongs to it.
fn verify(password: &str, hash: &PasswordHash) -> Option<bool> {
    let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let argon2 = Argon2::new(algorithm, version, Params::try_from(hash).ok()?);
    let mut out = vec![0; expected.len()];
    let is_derived = derive(&argon2, password, salt, &mut out);
    // Compared in a time that says nothing.
    Some(is_derived && Output::new(&out).is_ok_and(|found| found == *expected))
}

#[cfg(test)]
mod tests {
    use nix::time::{ClockId, clock_gettime};

    use super::*;

    /// The work of the hash is done whatever the password and the hash are; nothing returns early.
    #[test]
    fn sec_16_every_password_and_hash_costs_the_same_work() {
        let hash = hash_password("correct horse battery").expect("long enough");
        // The work of this thread alone: what else the machine does meanwhile is not counted.
        let worked = || {
            let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has it");
            std::time::Duration::from(time)
        };
        let spent = |password: &str, hash: &str| {
            let of = || {
                let began = worked();
                assert!(!verify_password(password, hash));
                worked() - began
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
            // An early return is a thousand times as fast.
            assert!(took * 3 > known && known * 3 > took, "{what}: {took:?}, a known name {known:?}");
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

    /// Verifiers of before, made by the library with memory of its own, and with other parameters.
    #[test]
    fn sec_9_password_checks_use_the_same_memory_again() {
        use argon2::password_hash::{CustomizedPasswordHasher as _, PasswordHasher as _};
        let (password, salt) = ("correct horse battery", [7; 16]);
        let ours = hashed(password, &salt).expect("hashes").to_string();
        let theirs = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).expect("hashes");
        assert_eq!(ours, theirs.to_string());
        let small = Params::new(64, 3, 2, Some(16)).expect("parameters");
        let other =
            Argon2::default().hash_password_customized(password.as_bytes(), &salt, Some("argon2i"), Some(0x10), small);
        let other = other.expect("hashes").to_string();
        let check = |hash: &str| verify_password(password, hash) && !verify_password("another horse battery", hash);
        assert!(check(&ours) && check(&other));
        // Small ones, so that tests of time beside this one are not disturbed.
        std::thread::scope(|scope| (0..24).for_each(|_| drop(scope.spawn(|| assert!(check(&other))))));
        assert!(MEMORY.lock().expect("whole").len() <= MEMORIES_MAX);
    }
}
