//! The second factor: codes by time (RFC 6238; SHA-1, six digits, thirty seconds, as every authenticator speaks it) and recovery codes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::UserId;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use totp_rs::{Builder, Secret};

use mdfm_coordinator_core::people::RECOVERY_CODES;

/// Bytes of a shared secret (RFC 4226 §4 recommends 160 bits).
const SECRET_BYTES: usize = 20;
/// Time to show that a new second factor works.
const PENDING_MS: u64 = 10 * 60_000;
/// People who set one up at the same time.
const PENDING_MAX: usize = 1_000;
/// Random bytes of a recovery code: 120 bits, because the log has its plain digest, and outsiders have the log.
const RECOVERY_BYTES: usize = 15;

/// The time step whose code this is, one step of tolerance to each side; none if it is none.
pub(crate) fn step_of(secret: &str, code: &str, now: UtcMillis) -> Option<u64> {
    let secret = Secret::try_from_base32(secret).ok()?;
    let totp = Builder::new().with_secret(secret).build().ok()?;
    (code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit())).then(|| totp.check(code, now.0 / 1_000)).flatten()
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Fresh recovery codes, and their digests.
pub(crate) fn new_recovery_codes() -> Result<(Vec<String>, BTreeSet<Digest>), getrandom::Error> {
    let mut codes = Vec::new();
    for _ in 0..RECOVERY_CODES {
        let letters = Secret::from(random::<RECOVERY_BYTES>()?).to_base32().to_lowercase();
        codes.push(letters.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-"));
    }
    let digests = codes.iter().map(|code| recovery_digest(code)).collect();
    Ok((codes, digests))
}

/// The digest of a recovery code, however it was typed.
pub(crate) fn recovery_digest(code: &str) -> Digest {
    let letters: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    Digest::of(letters.to_lowercase().as_bytes())
}

/// Second factors that were handed out and not shown yet.
#[derive(Default)]
pub(crate) struct Pending(Mutex<BTreeMap<UserId, (String, MonotonicMs)>>);

impl Pending {
    /// A fresh secret for somebody, in base32.
    pub(crate) fn begin(&self, user: &UserId, now: MonotonicMs) -> Result<String, getrandom::Error> {
        let secret = Secret::from(random::<SECRET_BYTES>()?).to_base32();
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, (_, at)| now.since_ms(*at) < PENDING_MS);
        if pending.len() < PENDING_MAX {
            pending.insert(user.clone(), (secret.clone(), now));
        }
        Ok(secret)
    }

    /// The secret that was handed out to somebody a short while ago.
    pub(crate) fn get(&self, user: &UserId, now: MonotonicMs) -> Option<String> {
        let pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.get(user).filter(|(_, at)| now.since_ms(*at) < PENDING_MS).map(|(secret, _)| secret.clone())
    }

    /// It was shown.
    pub(crate) fn end(&self, user: &UserId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, cut to six digits.
    #[test]
    fn p11_200a1_codes_are_those_of_the_standard_and_their_step_is_known() {
        let secret = Secret::from(*b"12345678901234567890").to_base32();
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(step_of(&secret, code, UtcMillis(seconds * 1_000)), Some(seconds / 30));
        }
        let now = UtcMillis(59_000);
        for late in [30_000, 60_000] {
            let found = step_of(&secret, "287082", now.plus_ms(late));
            assert_eq!(found, (late == 30_000).then_some(1), "a step of tolerance, not two");
        }
        for bad in ["", "28708", "2870820", "28708a", "２８７０８２"] {
            assert_eq!(step_of(&secret, bad, now), None, "{bad}");
        }
    }

    #[test]
    fn recovery_codes_are_read_as_people_type_them() {
        let (codes, digests) = new_recovery_codes().expect("randomness");
        assert_eq!(digests.len(), RECOVERY_CODES, "all different");
        assert_eq!(recovery_digest(&codes[0].to_uppercase().replace('-', " ")), recovery_digest(&codes[0]));
        assert_ne!(recovery_digest(&codes[1]), recovery_digest(&codes[0]));
    }
}
