//! Who is calling: passwords, sessions and the actor that the audit log gets.

mod password;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mdfm_shared::digest::Digest;
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::time::UtcMillis;

pub(crate) use password::{hash_password, spend_verification_time, verify_password};

use crate::domain::State;
use crate::domain::access::{AccessRole, Permission};

/// Length of a session.
pub(crate) const SESSION_MS: u64 = 8 * 3_600_000;
/// Wrong passwords in a row before a name is locked.
const FAILURES_MAX: u32 = 5;
/// For how long it is locked.
const LOCK_MS: u64 = 60_000;
/// Names remembered; strangers can invent any number.
const NAMES_MAX: usize = 10_000;

/// Somebody with a valid session.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    pub(crate) roles: Vec<AccessRole>,
    pub(crate) token_sha256: Digest,
}

impl Caller {
    /// The owner of a session token.
    pub(crate) fn of(state: &State, token: &str, now: UtcMillis) -> Option<Self> {
        let token_sha256 = Digest::of(token.as_bytes());
        let session = state.sessions.get(&token_sha256).filter(|s| s.expires_at > now)?;
        let user = state.users.get(&session.user)?;
        let roles = user.roles.iter().map(|r| r.name().to_owned()).collect();
        let actor = Actor { kind: ActorKind::User, id: session.user.to_string(), roles };
        Some(Self { actor, roles: user.roles.clone(), token_sha256 })
    }
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.roles.iter().any(|r| permission.is_granted_to(*r))
    }
}

/// Counts wrong passwords by name; volatile, a restart forgives.
#[derive(Default)]
pub(crate) struct LoginGuard(Mutex<BTreeMap<String, (u32, UtcMillis)>>);

impl LoginGuard {
    /// Whether the name is locked now.
    pub(crate) fn is_locked(&self, name: &str, now: UtcMillis) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(name).is_some_and(|(n, at)| *n >= FAILURES_MAX && now.since_ms(*at) < LOCK_MS)
    }
    /// Notes the outcome of a try.
    pub(crate) fn note(&self, name: &str, now: UtcMillis, succeeded: bool) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            counts.remove(name);
            return;
        }
        if counts.len() >= NAMES_MAX {
            counts.clear();
        }
        let (n, at) = counts.entry(name.to_owned()).or_insert((0, now));
        *n = if now.since_ms(*at) >= LOCK_MS { 1 } else { *n + 1 };
        *at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_300d_five_wrong_passwords_lock_a_name_for_a_minute() {
        let guard = LoginGuard::default();
        let t = UtcMillis(1_000_000);
        for _ in 0..FAILURES_MAX {
            assert!(!guard.is_locked("user-a", t));
            guard.note("user-a", t, false);
        }
        assert!(guard.is_locked("user-a", t.plus_ms(LOCK_MS - 1)));
        assert!(!guard.is_locked("user-b", t));
        assert!(!guard.is_locked("user-a", t.plus_ms(LOCK_MS)));
        guard.note("user-a", t, true);
        assert!(!guard.is_locked("user-a", t));
    }
}
