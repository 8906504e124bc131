//! Who is calling: passwords, second factors, sessions, tokens for machines, and the actor that the audit log gets.

mod breached;
mod guard;
mod oidc;
mod password;
mod second_factor;
mod signing_key;

use mdfm_shared::digest::Digest;
use mdfm_shared::record::{Actor, ActorKind};
use mdfm_shared::time::UtcMillis;
use serde::Deserialize;

pub(crate) use breached::Breached;
pub(crate) use guard::{Idle, LoginGuard, RequestRates, TooMany};
pub(crate) use oidc::{Oidc, OidcConfig, is_loopback};
pub(crate) use password::{PasswordError, hash_password, spend_verification_time, verify_password};
pub(crate) use second_factor::{Pending, new_recovery_codes, recovery_digest, step_of};
pub(crate) use signing_key::{seal, unseal};

use crate::domain::State;
use crate::domain::access::{AccessRole, Permission};

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
}

/// Why somebody may not.
pub(crate) enum Denied {
    /// The role does not carry the permission, or the token.
    Permission,
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
        Some(Self { actor, roles: user.roles.clone(), token_sha256, right })
    }

    /// Whether this is a person in a session.
    pub(crate) fn is_person(&self) -> bool {
        matches!(self.right, Right::Session { .. })
    }

    /// Whether the second factor was shown lately in this session.
    pub(crate) fn has_shown_factor(&self, policy: &SessionPolicy, now: UtcMillis) -> bool {
        matches!(self.right, Right::Session { shown_at: Some(at), .. } if now.since_ms(at) < policy.step_up_ms)
    }

    /// Whether the caller may do what needs `permission`, now.
    pub(crate) fn may(&self, permission: Permission, policy: &SessionPolicy, now: UtcMillis) -> Result<(), Denied> {
        if !self.roles.iter().any(|r| permission.is_granted_to(*r)) {
            return Err(Denied::Permission);
        }
        match &self.right {
            Right::Token { permissions } if permissions.contains(&permission) && !permission.needs_person() => Ok(()),
            Right::Token { .. } => Err(Denied::Permission),
            Right::Session { .. } if !permission.is_critical() => Ok(()),
            Right::Session { has_factor: false, .. } => match policy.second_factor {
                SecondFactorPolicy::Required => Err(Denied::NoSecondFactor),
                SecondFactorPolicy::Optional => Ok(()),
            },
            Right::Session { shown_at, .. } => match shown_at {
                Some(at) if now.since_ms(*at) < policy.step_up_ms => Ok(()),
                _ => Err(Denied::StepUp),
            },
        }
    }
}
