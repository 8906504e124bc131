//! What happens to people's accounts: second factors, passwords, roles, standing, sessions, tokens for machines, signing keys. Secrets are
//! not here: the state names them by digest, and the files are kept beside the log (decision 0003).

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, HospitalId, UserId};
use mdfm_shared::manifest::is_label;
use mdfm_shared::network::network;
use mdfm_shared::record::Actor;
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::RosterEntry;
use serde::{Deserialize, Serialize};

use super::access::{AccessRole, Permission, User, check_roles};
use super::state::Session;
use super::{Command, Refusal, State};

/// Codes by which somebody without their second factor gets in once each.
pub const RECOVERY_CODES: usize = 10;
/// Tokens of one person.
const TOKENS_MAX: usize = 20;
/// Longest life of a token: a year.
const TOKEN_MS_MAX: u64 = 366 * 86_400_000;
/// The same of a display: it hangs where many people pass.
const DISPLAY_MS_MAX: u64 = 31 * 86_400_000;

/// Longest time for which training is confirmed.
const TRAINING_MS_MAX: u64 = 3_660 * 86_400_000;
/// Longest mail address (RFC 5321 §4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 254;

/// The second factor of a person (RFC 6238).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// Digest of the shared secret.
    pub secret: Digest,
    /// The time step of the last code that was taken: each code counts once.
    pub last_step: u64,
    /// Digests of the recovery codes that are left.
    pub recovery: BTreeSet<Digest>,
}

/// How a second factor was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// A code of this time step.
    Code(u64),
    /// The recovery code with this digest.
    Recovery(Digest),
}

/// A key for a machine that acts for a person, with less than that person's permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub user: UserId,
    pub id: String,
    pub name: String,
    pub permissions: Vec<Permission>,
    pub expires_at: UtcMillis,
    /// `None` for a token in a state that was kept before tokens had this.
    #[serde(default)]
    pub made_at: Option<UtcMillis>,
    /// For a display on a wall, which reads one deployment alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<WallDisplay>,
}

/// What a display shows, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WallDisplay {
    pub deployment: DeploymentId,
    /// The network from which it reads, as limits count addresses ([`mdfm_shared::network::network`]).
    pub network: IpAddr,
}

/// That somebody's identity was verified before they may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The administrator who saw the evidence.
    pub by: String,
    pub evidence: String,
    pub at: UtcMillis,
}

/// A person's signing key: the secret half is sealed under their password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// As the roster spells it.
    pub public_key: String,
    /// Digest of the sealed secret half.
    pub sealed: Digest,
}

/// One change of a person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PersonChange {
    /// The person set up a second factor, and showed in this session that it works.
    SecondFactorSet { secret: Digest, recovery: BTreeSet<Digest>, step: u64, session: Digest },
    /// The person showed the second factor again.
    SecondFactorShown { session: Digest, proof: Proof },
    /// An administrator took it away, because it was lost.
    SecondFactorRemoved,
    /// Another password: the person's own doing, in this session, with the signing key sealed again if there is one; or an administrator's.
    PasswordSet {
        credential: Digest,
        own: Option<Digest>,
        resealed: Option<Digest>,
        /// Whether the person's tokens end with their own change; an administrator's ends them always.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ends_tokens: bool,
    },
    /// Other roles.
    RolesSet { roles: Vec<AccessRole>, hospital: Option<HospitalId> },
    /// May no longer sign in, nor anything else.
    Disabled,
    /// May again.
    Enabled,
    /// Every session ended.
    SessionsEnded,
    /// A token for a machine.
    TokenMade {
        token_sha256: Digest,
        id: String,
        name: String,
        permissions: Vec<Permission>,
        expires_at: UtcMillis,
        /// What it is bound to, if it is for a display.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display: Option<WallDisplay>,
    },
    /// A token that counts no longer.
    TokenRevoked { id: String },
    /// A signing key of the person's own.
    SigningKeySet { public_key: String, sealed: Digest },
    /// An administrator saw by what document that the person is who the account says (21 CFR 11.100(b)).
    IdentityVerified { by: String, evidence: String },
    /// Trained for the task until then (21 CFR 11.10(i)).
    TrainingConfirmed { until: UtcMillis },
    /// The person's identifier at the OpenID provider `issuer`; without a subject there is no single sign-on. A link without an issuer is of
    /// a time before links named it.
    SubjectLinked {
        subject: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
    },
    /// Where the person gets mail; `None` if nowhere.
    AddressSet { email: Option<String> },
}

impl PersonChange {
    /// The action's stable name in the audit log.
    pub fn action(&self) -> &'static str {
        match self {
            Self::SecondFactorSet { .. } => "user.second-factor.set",
            Self::SecondFactorShown { .. } => "session.step-up",
            Self::SecondFactorRemoved => "user.second-factor.remove",
            Self::PasswordSet { own: Some(_), .. } => "user.password.change",
            Self::PasswordSet { own: None, .. } => "user.password.reset",
            Self::RolesSet { .. } => "user.roles",
            Self::Disabled => "user.disable",
            Self::Enabled => "user.enable",
            Self::SessionsEnded => "user.sessions.end",
            Self::TokenMade { .. } => "token.create",
            Self::TokenRevoked { .. } => "token.revoke",
            Self::SigningKeySet { .. } => "user.signing-key.set",
            Self::IdentityVerified { .. } => "user.identity.verify",
            Self::TrainingConfirmed { .. } => "user.training.confirm",
            Self::SubjectLinked { .. } => "user.subject.link",
            Self::AddressSet { .. } => "user.address.set",
        }
    }

    /// Whether it is done to somebody, by an administrator: never to oneself.
    fn is_done_to_others(&self) -> bool {
        matches!(
            self,
            Self::SecondFactorRemoved
                | Self::PasswordSet { own: None, .. }
                | Self::RolesSet { .. }
                | Self::Disabled
                | Self::Enabled
                | Self::IdentityVerified { .. }
                | Self::TrainingConfirmed { .. }
                | Self::SubjectLinked { .. }
        )
    }
}

/// Whether a second factor is shown by `proof`; a code, or a recovery code, counts once.
pub fn check_proof(user: &User, proof: Proof) -> Result<(), Refusal> {
    let Some(factor) = &user.second_factor else {
        return Err(Refusal::conflict(
            "no-second-factor",
            "this account has no second factor to show; set one up first (mdfmctl second-factor enrol)",
        ));
    };
    match proof {
        Proof::Code(step) if step > factor.last_step => Ok(()),
        Proof::Code(_) => {
            Err(Refusal::forbidden("code-used", "this code was used already; wait for the next one, half a minute"))
        }
        Proof::Recovery(code) if factor.recovery.contains(&code) => Ok(()),
        Proof::Recovery(_) => Err(Refusal::forbidden("wrong-code", "the recovery code is wrong, or was used already")),
    }
}

pub(super) fn decide(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    id: &UserId,
    change: &PersonChange,
) -> Result<(), Refusal> {
    let user = state.users.get(id).ok_or_else(|| Refusal::not_found("user", id))?;
    if change.is_done_to_others() && actor.id == id.as_str() {
        let detail = "nobody changes their own standing; another administrator must do it";
        return Err(Refusal::forbidden("own-account", detail));
    }
    match change {
        PersonChange::SecondFactorSet { recovery, .. } if recovery.len() != RECOVERY_CODES => {
            Err(Refusal::invalid("recovery", "there must be ten different codes"))
        }
        PersonChange::SecondFactorShown { proof, .. } => check_proof(user, *proof),
        PersonChange::RolesSet { roles, hospital } => {
            check_roles(state, roles, hospital.as_ref())?;
            keep_an_administrator(state, id, roles.contains(&AccessRole::Admin))
        }
        PersonChange::Disabled if user.disabled => {
            Err(Refusal::conflict("disabled", format!("{id} is disabled already")))
        }
        PersonChange::Disabled => keep_an_administrator(state, id, false),
        PersonChange::Enabled if !user.disabled => Err(Refusal::conflict("enabled", format!("{id} is not disabled"))),
        PersonChange::TokenMade { name, permissions, expires_at, display, .. } => {
            if !is_label(name) {
                return Err(Refusal::invalid("name", "must be 1 to 128 printable characters"));
            }
            if *expires_at <= now || expires_at.0 > now.0 + TOKEN_MS_MAX {
                return Err(Refusal::invalid("expiresAt", "must be within a year from now"));
            }
            if let Some(display) = display {
                check_display(state, display, permissions, *expires_at, now)?;
            }
            if state.tokens.values().filter(|t| t.user == *id && t.expires_at > now).count() >= TOKENS_MAX {
                return Err(Refusal::conflict("too-many-tokens", format!("{id} has {TOKENS_MAX}; revoke one first")));
            }
            let lacking =
                permissions.iter().find(|p| p.needs_person() || !user.roles.iter().any(|r| p.is_granted_to(*r)));
            match lacking {
                _ if permissions.is_empty() => Err(Refusal::invalid("permissions", "at least one is needed")),
                Some(lacking) => {
                    let detail = format!("{lacking} is not {id}'s own, or is for people alone");
                    Err(Refusal::invalid("permissions", detail))
                }
                None => Ok(()),
            }
        }
        PersonChange::IdentityVerified { evidence, .. } if !is_label(evidence) => Err(Refusal::invalid(
            "evidence",
            "must be 1 to 128 printable characters: what was seen, for example a passport",
        )),
        PersonChange::TrainingConfirmed { until } if *until <= now || until.0 > now.0 + TRAINING_MS_MAX => {
            Err(Refusal::invalid("trainedUntil", "must be within ten years from now"))
        }
        PersonChange::SubjectLinked { subject: Some(subject), issuer } => {
            // A subject has at most 255 ASCII characters (OpenID Connect Core 1.0 §2).
            if subject.is_empty() || subject.len() > 255 || !subject.chars().all(|c| c.is_ascii_graphic()) {
                return Err(Refusal::invalid("subject", "must be 1 to 255 visible ASCII characters"));
            }
            // A subject is somebody only together with the provider that gave it (OpenID Connect Core 1.0 §2).
            let is_same = |held: &User| {
                let (held_by, new) = (held.issuer.as_ref().or(state.oidc_issuer.as_ref()), issuer.as_ref());
                held.subject.as_ref() == Some(subject) && (held_by.is_none() || new.is_none() || held_by == new)
            };
            match state.users.iter().find(|(other, u)| *other != id && is_same(u)) {
                Some((other, _)) => {
                    Err(Refusal::conflict("subject-taken", format!("{other} is linked with it already")))
                }
                None => Ok(()),
            }
        }
        PersonChange::AddressSet { email: Some(email) } if !is_address(email) => {
            Err(Refusal::invalid("email", "must be one plain address, such as name@hospital.example"))
        }
        PersonChange::TokenRevoked { id: token } => {
            let held = state.tokens.values().any(|t| t.user == *id && t.id == *token);
            // Somebody may have given the token itself: what they gave is not repeated, because the answer enters the log.
            let detail = format!("{id} has no token with this id; mdfmctl tokens list shows the ids");
            if held { Ok(()) } else { Err(Refusal::new(super::refusal::Class::NotFound, "not-found", detail)) }
        }
        _ => Ok(()),
    }
}

/// Whether this is one address for mail, without anything that a mail's header could take for more.
fn is_address(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
    match text.rsplit_once('@') {
        Some((name, host)) => {
            text.len() <= ADDRESS_BYTES_MAX
                && !name.is_empty()
                && name.chars().all(is_plain)
                && host.contains('.')
                && host.split('.').all(|l| !l.is_empty() && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        }
        None => false,
    }
}

/// Whether somebody's signature counts today: their identity was verified by somebody else (21 CFR 11.100(b)), their training has not lapsed
/// (11.10(i)), and their password is not older than the settings allow (11.300(b)). Offline signatures are brought by their owners too.
///
/// # Errors
/// What is missing, and who can resolve it.
pub fn may_sign(state: &State, now: UtcMillis, id: &str) -> Result<(), Refusal> {
    let user = id.parse::<UserId>().ok().and_then(|id| state.users.get(&id)).filter(|u| !u.disabled);
    let user = user.ok_or_else(|| Refusal::forbidden("no-account", format!("{id} has no account that may sign")))?;
    if user.identity.is_none() {
        let detail = format!("an administrator must record first that the identity of {id} was verified");
        return Err(Refusal::forbidden("identity", format!("{detail} (mdfmctl users verify)")));
    }
    match user.trained_until {
        Some(until) if until <= now => {
            let detail =
                format!("the training of {id} was confirmed until {until}; an administrator confirms it again");
            return Err(Refusal::forbidden("training", format!("{detail} (mdfmctl users train)")));
        }
        None if state.settings.training_required => {
            let detail =
                format!("nobody has confirmed the training of {id}; an administrator does (mdfmctl users train)");
            return Err(Refusal::forbidden("training", detail));
        }
        _ => {}
    }
    match state.settings.password_ms() {
        Some(age) if now.since_ms(user.password_set_at) >= age => {
            let detail = format!("the password of {id} is older than {}", count(state.settings.password_days, "day"));
            Err(Refusal::forbidden("password-age", format!("{detail}; change it first (mdfmctl change-password)")))
        }
        _ => Ok(()),
    }
}

/// There is always somebody who can let others in.
fn keep_an_administrator(state: &State, changed: &UserId, stays: bool) -> Result<(), Refusal> {
    let others = state.users.iter().filter(|(id, _)| *id != changed);
    let is_left = others.into_iter().any(|(_, u)| !u.disabled && u.roles.contains(&AccessRole::Admin));
    if stays || is_left {
        Ok(())
    } else {
        Err(Refusal::conflict("last-administrator", "nobody would be left to manage users"))
    }
}

/// Applies a change that was decided.
pub(super) fn apply(state: &mut State, at: UtcMillis, id: &UserId, change: PersonChange) -> Option<()> {
    let user = state.users.get_mut(id)?;
    match change {
        PersonChange::SecondFactorSet { secret, recovery, step, session } => {
            // What another session showed was the factor that has been replaced.
            let own = state.sessions.values_mut().filter(|s| s.user == *id);
            own.for_each(|s| s.shown_at = None);
            user.second_factor = Some(SecondFactor { secret, last_step: step, recovery });
            if let Some(session) = state.sessions.get_mut(&session) {
                session.shown_at = Some(at);
            }
        }
        PersonChange::SecondFactorShown { session, proof } => {
            spend(user, proof);
            if let Some(session) = state.sessions.get_mut(&session) {
                session.shown_at = Some(at);
            }
        }
        PersonChange::SecondFactorRemoved => {
            user.second_factor = None;
            // What was released with both factors is not released with one.
            user.signing_key = None;
            end_all(&mut state.sessions, &mut state.tokens, id);
        }
        PersonChange::PasswordSet { credential, own, resealed, ends_tokens } => {
            user.credential = credential;
            user.password_set_at = at;
            if own.is_none() || ends_tokens {
                state.tokens.retain(|_, t| t.user != *id);
            }
            // What is sealed under the password before opens for nobody any more.
            let key = user.signing_key.take();
            user.signing_key = key.zip(resealed).map(|(key, sealed)| SigningKey { sealed, ..key });
            state.sessions.retain(|token, s| s.user != *id || own == Some(*token));
        }
        PersonChange::RolesSet { roles, hospital } => {
            // A role that comes back later brings no token with it.
            if user.hospital != hospital || user.roles.iter().any(|role| !roles.contains(role)) {
                state.tokens.retain(|_, t| t.user != *id);
            }
            user.roles = roles;
            user.hospital = hospital;
        }
        PersonChange::Disabled => {
            user.disabled = true;
            end_all(&mut state.sessions, &mut state.tokens, id);
        }
        PersonChange::Enabled => user.disabled = false,
        PersonChange::SessionsEnded => end_all(&mut state.sessions, &mut state.tokens, id),
        PersonChange::TokenMade { token_sha256, id: token, name, permissions, expires_at, display } => {
            state.tokens.retain(|_, t| t.expires_at > at);
            let made_at = Some(at);
            let new = Token { user: id.clone(), id: token, name, permissions, expires_at, made_at, display };
            state.tokens.insert(token_sha256, new);
        }
        PersonChange::TokenRevoked { id: token } => state.tokens.retain(|_, t| t.user != *id || t.id != token),
        PersonChange::SigningKeySet { public_key, sealed } => {
            user.signing_key = Some(SigningKey { public_key, sealed })
        }
        PersonChange::IdentityVerified { by, evidence } => user.identity = Some(Identity { by, evidence, at }),
        PersonChange::TrainingConfirmed { until } => user.trained_until = Some(until),
        PersonChange::SubjectLinked { subject, issuer } => {
            // Whoever came in through the link that was there before is somebody else now.
            if user.subject.is_some() && (&user.subject, &user.issuer) != (&subject, &issuer) {
                end_all(&mut state.sessions, &mut state.tokens, id);
            }
            (user.issuer, user.subject) = (issuer.filter(|_| subject.is_some()), subject);
        }
        PersonChange::AddressSet { email } => user.email = email,
    }
    Some(())
}

/// A display reads, for a month at most, a deployment that is there.
fn check_display(
    state: &State,
    display: &WallDisplay,
    permissions: &[Permission],
    expires_at: UtcMillis,
    now: UtcMillis,
) -> Result<(), Refusal> {
    if expires_at.0 > now.0 + DISPLAY_MS_MAX {
        return Err(Refusal::invalid("expiresAt", "must be within 31 days from now for a display"));
    }
    if permissions != [Permission::Read] {
        return Err(Refusal::invalid("permissions", "a display reads and does nothing else"));
    }
    if !state.deployments.contains_key(&display.deployment) {
        return Err(Refusal::not_found("deployment", &display.deployment));
    }
    Ok(())
}

/// Ends every session and every token of a person.
fn end_all(sessions: &mut BTreeMap<Digest, Session>, tokens: &mut BTreeMap<Digest, Token>, id: &UserId) {
    sessions.retain(|_, s| s.user != *id);
    tokens.retain(|_, t| t.user != *id);
}

/// Networks remembered for one person.
const NETWORKS_MAX: usize = 8;

/// Notes from which network a person opened a session. `address` is as records have it.
pub(super) fn note_network(user: &mut User, address: Option<&str>) {
    let Some(Ok(address)) = address.map(str::parse::<SocketAddr>) else { return };
    let network = network(address.ip()).to_string();
    user.networks.retain(|held| *held != network);
    user.networks.push(network);
    let over = user.networks.len().saturating_sub(NETWORKS_MAX);
    user.networks.drain(..over);
}

impl State {
    /// The time by which is judged between two rounds, as records are stamped: the clock, and while that is behind, the time of the last round. What
    /// has lapsed stays so when somebody sets the clock back, and what has not lapses all the same.
    pub fn not_before(&self, clock: UtcMillis) -> UtcMillis {
        clock.max(self.last_record_at).max(self.time)
    }

    /// Whether a person's link belongs to this OpenID provider. A link of before links named their provider belongs to the provider by which the
    /// log shows somebody with such a link signed in; where it shows nobody, to no provider, and it must be made again: who knows whether the
    /// provider of today is the one that it was made for.
    pub fn is_linked(&self, user: &User, issuer: &str) -> bool {
        let held = user.issuer.as_ref().or(self.oidc_issuer.as_ref());
        user.subject.is_some() && held.is_some_and(|held| held == issuer)
    }

    /// The person whom this OpenID provider calls `subject`.
    pub fn linked(&self, issuer: &str, subject: &str) -> Option<(&UserId, &User)> {
        self.users.iter().find(|(_, u)| u.subject.as_deref() == Some(subject) && self.is_linked(u, issuer))
    }

    /// How many sessions and tokens a person has at `now`.
    pub fn access_of(&self, id: &UserId, now: UtcMillis) -> (usize, usize) {
        let sessions = self.sessions.values().filter(|s| s.user == *id && s.expires_at > now).count();
        let tokens = self.tokens.values().filter(|t| t.user == *id && t.expires_at > now).count();
        (sessions, tokens)
    }
}

/// Notes that a proof was taken.
pub(super) fn spend(user: &mut User, proof: Proof) {
    if let Some(factor) = &mut user.second_factor {
        match proof {
            Proof::Code(step) => factor.last_step = step,
            Proof::Recovery(code) => drop(factor.recovery.remove(&code)),
        }
    }
}
/// The accounts with which the people of a roster sign, as an administrator makes them: each was seen in person.
pub fn accounts_of<'a>(entries: impl IntoIterator<Item = &'a RosterEntry>) -> Vec<Command> {
    let mut commands = Vec::new();
    for entry in entries {
        let identity = PersonChange::IdentityVerified { by: "admin".into(), evidence: "seen in person".into() };
        commands.push(Command::CreateUser {
            user: entry.user.clone(),
            printed_name: entry.printed_name.clone(),
            roles: vec![AccessRole::Regulatory],
            hospital: None,
            credential: Digest([0; 32]),
        });
        commands.push(Command::ChangePerson { user: entry.user.clone(), change: identity, reason: None });
    }
    commands
}
