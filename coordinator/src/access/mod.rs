//! Who is calling: passwords, second factors, sessions, tokens for machines, and the actor that the audit log gets.

mod breached;
mod guard;
mod hashing;
mod marks;
mod oidc;
mod password;
mod second_factor;
mod sign_in;
mod signing_key;

use mdfm_shared::digest::Digest;
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::time::UtcMillis;
use serde::Deserialize;

pub(crate) use breached::Breached;
pub(crate) use guard::{Idle, LoginGuard, Moment, RequestRates, TooMany};
pub(crate) use hashing::{Busy, Hashing, Lane, Place};
pub(crate) use marks::MarkKey;
pub(crate) use oidc::{Oidc, OidcConfig, is_loopback};
pub(crate) use password::{PASSWORD_CHARS_MAX, PasswordError, hash_password, verify_password};
pub(crate) use second_factor::{Pending, new_recovery_codes, recovery_digest, step_of};
pub(crate) use sign_in::{Attempt, Factor as ShownFactor, InSession, SignIn, SignIns};
pub(crate) use signing_key::{seal, unseal};

use mdfm_coordinator_core::State;
use mdfm_coordinator_core::access::{AccessRole, By, Permission};

/// Whether people need a second factor for what decides over firmware, people or trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecondFactorPolicy {
    /// They do.
    #[default]
    Required,
    /// Those who have set one up.
    Optional,
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionPolicy {
    pub(crate) second_factor: SecondFactorPolicy,
    pub(crate) session_ms: u64,
    /// Without a request for so long a session is over.
    pub(crate) idle_ms: u64,
    /// A second factor shown in a session counts for so long.
    pub(crate) step_up_ms: u64,
}

/// What the caller's right comes from.
#[derive(Debug, Clone)]
enum Right {
    Session { shown_at: Option<UtcMillis>, has_factor: bool },
    Token { permissions: Vec<Permission> },
}

/// Somebody with a valid session, or a machine with a valid token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    pub(crate) roles: Vec<AccessRole>,
    pub(crate) token_sha256: Digest,
    right: Right,
    /// Time since the second factor was shown, by a clock that nobody sets back.
    shown_ms: u64,
}

/// Why somebody may not.
pub(crate) enum Denied {
    /// The role does not carry the permission, or the token.
    Permission,
    /// A token asks for what only a person decides.
    Person,
    /// No second factor is set up.
    NoSecondFactor,
    /// The second factor was not shown, or too long ago.
    StepUp,
}

impl Caller {
    /// The owner of a bearer token: of a session, or made for a machine.
    pub(crate) fn of(state: &State, token: &str, now: UtcMillis) -> Option<Self> {
        let token_sha256 = Digest::of(token.as_bytes());
        let session = state.sessions.get(&token_sha256).filter(|s| s.expires_at > now);
        let machine = state.tokens.get(&token_sha256).filter(|t| t.expires_at > now);
        let id = session.map(|s| &s.user).or(machine.map(|t| &t.user))?;
        let user = state.users.get(id).filter(|u| !u.disabled)?;
        let roles = user.roles.iter().map(|r| r.name().to_owned()).collect();
        let right = match (session, machine) {
            (Some(session), _) => {
                Right::Session { shown_at: session.shown_at, has_factor: user.second_factor.is_some() }
            }
            (None, machine) => Right::Token { permissions: machine?.permissions.clone() },
        };
        let id = match machine {
            Some(token) => format!("{id}/token/{}", token.id),
            None => id.to_string(),
        };
        let actor = Actor { kind: ActorKind::User, id, roles };
        Some(Self { actor, roles: user.roles.clone(), token_sha256, right, shown_ms: 0 })
    }

    /// The same caller, whose second factor was shown `shown_ms` ago by a clock that nobody sets back.
    pub(crate) fn shown_before(self, shown_ms: u64) -> Self {
        Self { shown_ms, ..self }
    }

    /// Whether this is a person in a session.
    pub(crate) fn is_person(&self) -> bool {
        matches!(self.right, Right::Session { .. })
    }

    /// Whether the second factor was ever shown in this session: nobody who holds less has it.
    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.right, Right::Session { shown_at: Some(_), .. })
    }

    /// Checks that the second factor was shown in this session within the last minutes, whatever the policy says.
    pub(crate) fn shows_factor(&self, policy: &SessionPolicy, now: UtcMillis) -> Result<(), Denied> {
        match self.right {
            Right::Token { .. } => Err(Denied::Person),
            Right::Session { has_factor: false, .. } => Err(Denied::NoSecondFactor),
            Right::Session { .. } if self.has_shown_factor(policy, now) => Ok(()),
            Right::Session { .. } => Err(Denied::StepUp),
        }
    }

    /// Whether the second factor was shown in this session within the last minutes.
    pub(crate) fn has_shown_factor(&self, policy: &SessionPolicy, now: UtcMillis) -> bool {
        let is_new = |at: UtcMillis| now.since_ms(at).max(self.shown_ms) < policy.step_up_ms;
        matches!(self.right, Right::Session { shown_at: Some(at), .. } if is_new(at))
    }

    /// Whether the caller may do what needs `permission`, now, and is known by what that permission or the route (`by`) demands.
    pub(crate) fn may(
        &self,
        permission: Permission,
        by: By,
        policy: &SessionPolicy,
        now: UtcMillis,
    ) -> Result<(), Denied> {
        if !self.roles.iter().any(|r| permission.is_granted_to(*r)) {
            return Err(Denied::Permission);
        }
        match (&self.right, by.max(permission.by())) {
            (Right::Token { permissions }, _) if !permissions.contains(&permission) => Err(Denied::Permission),
            (Right::Token { .. } | Right::Session { .. }, By::Token) | (Right::Session { .. }, By::Person) => Ok(()),
            (Right::Token { .. }, By::Person | By::Factor) => Err(Denied::Person),
            (Right::Session { has_factor: false, .. }, By::Factor)
                if policy.second_factor == SecondFactorPolicy::Optional =>
            {
                Ok(())
            }
            (Right::Session { .. }, By::Factor) => self.shows_factor(policy, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::time::MonotonicMs;

    use super::*;

    const NOW: UtcMillis = UtcMillis(10_000_000);

    fn policy(second_factor: SecondFactorPolicy) -> SessionPolicy {
        SessionPolicy { second_factor, session_ms: 1, idle_ms: 1, step_up_ms: 900_000 }
    }

    fn caller(right: Right) -> Caller {
        let actor = Actor { kind: ActorKind::User, id: "op".into(), roles: vec![] };
        Caller { actor, roles: vec![AccessRole::Operator], token_sha256: Digest::of(b"x"), right, shown_ms: 0 }
    }

    #[test]
    fn sec_4_what_each_caller_may_by_what_they_are_known() {
        let session = |shown_at, has_factor| caller(Right::Session { shown_at, has_factor });
        let ago = |ms: u64| Some(UtcMillis(NOW.0 - ms));
        let token = caller(Right::Token { permissions: vec![Permission::ManageFleet, Permission::Recall] });
        // Who asks; the answers for a token's, a person's and a critical decision.
        let table = [
            (&token, [true, false, false]),
            (&session(None, false), [true, true, false]),
            (&session(None, true), [true, true, false]),
            (&session(ago(900_000), true), [true, true, false]),
            (&session(ago(899_999), true), [true, true, true]),
        ];
        for (who, expected) in table {
            let may = |by| who.may(Permission::ManageFleet, by, &policy(SecondFactorPolicy::Required), NOW).is_ok();
            assert_eq!([By::Token, By::Person, By::Factor].map(may), expected, "{who:?}");
            assert_eq!(who.shows_factor(&policy(SecondFactorPolicy::Optional), NOW).is_ok(), expected[2], "{who:?}");
            // What a permission demands by itself no route takes away.
            assert_eq!(
                who.may(Permission::Recall, By::Token, &policy(SecondFactorPolicy::Required), NOW).is_ok(),
                expected[1]
            );
        }
        let optional = policy(SecondFactorPolicy::Optional);
        let may = |who: &Caller| who.may(Permission::ManageFleet, By::Factor, &optional, NOW).is_ok();
        assert_eq!((may(&session(None, false)), may(&session(None, true)), may(&token)), (true, false, false));
        assert!(
            session(ago(1), true).may(Permission::ManageUsers, By::Token, &optional, NOW).is_err(),
            "another's role"
        );
    }

    /// The sample: a factor that was shown 16 minutes ago counted again once the clock of the host stood 25 minutes behind.
    #[test]
    fn sec_11_a_clock_that_was_set_back_revives_nothing() {
        let minutes = |n: u64| n * 60_000;
        let mut state = State::default();
        state.last_record_at = NOW;
        let shown = caller(Right::Session { shown_at: Some(UtcMillis(NOW.0 - minutes(16))), has_factor: true });
        let (policy, token) = (policy(SecondFactorPolicy::Required), Digest::of(b"a session"));
        let idle = Idle::new(Moment { now: UtcMillis(0), steady: MonotonicMs(0) });
        for behind in [0, 20, 25, 120] {
            let clock = UtcMillis(NOW.0.saturating_sub(minutes(behind)));
            let now = state.not_before(clock);
            assert_eq!(now, NOW, "{behind} minutes behind");
            assert!(shown.shows_factor(&policy, now).is_err() && !shown.has_shown_factor(&policy, now));
            let new = caller(Right::Session { shown_at: Some(NOW), has_factor: true });
            assert!(new.clone().shown_before(policy.step_up_ms - 1).has_shown_factor(&policy, now));
            assert!(!new.shown_before(policy.step_up_ms).has_shown_factor(&policy, now), "the other clock goes on");
            let (at, quarter) =
                (Moment { now, steady: MonotonicMs(0) }, SessionPolicy { idle_ms: minutes(15), ..policy });
            assert!(idle.is_live(token, UtcMillis(NOW.0 - minutes(16)), at, &quarter).is_none());
        }
        assert_eq!(state.not_before(NOW.plus_ms(1)), NOW.plus_ms(1), "a clock that goes on counts");
    }
}
