//! What ends at a known time and stops something when it does: documents, certificates, tokens, training. People are warned 30, 14, 7 and 1
//! day ahead and at the end, once each; what was warned of stands in the log (FLD-17).

use std::collections::BTreeMap;

use mdfm_shared::id::UserId;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::{Event, Proposal, State};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Days left at which people are warned; 0 is the end itself.
pub(super) const WARNED_DAYS: [u32; 5] = [0, 1, 7, 14, 30];
/// Validity of a gateway's certificate.
pub const GATEWAY_CERTIFICATE_DAYS: u32 = 90;
/// Agents renew their certificate 30 days before its end: less than this is left only where that failed.
const GATEWAY_WARNED_DAYS: u32 = 14;
/// Warnings remembered so long after the end of what they were of.
const REMEMBERED_MS: u64 = 400 * DAY_MS;

/// Certificates of others whose ends lie so close together are one matter: receivers behind one name may show several, in any order.
const SLACK_MS: u64 = 30 * DAY_MS;

/// Certificates of others that are remembered: of webhooks and of three servers.
const SEEN_MAX: usize = 64;

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpiryKind {
    /// The trust root: agents install nothing new.
    Root,
    /// The roster: agents start nothing new.
    Roster,
    /// The withdrawals: agents start nothing new.
    Withdrawals,
    /// The coordinator's own certificate: nobody connects.
    ServerCertificate,
    /// The authority that signs the server's and the gateways' certificates.
    Authority,
    /// A gateway's certificate: it does not connect.
    GatewayCertificate,
    /// A machine's token: its program is refused.
    Token,
    /// Somebody's training: they may not sign.
    Training,
    /// The OpenID provider's certificate: nobody signs in there.
    ProviderCertificate,
    /// The syslog receiver's certificate: security events wait.
    SyslogCertificate,
    /// The mail server's certificate: mails wait, then they are given up.
    MailCertificate,
    /// The certificate of a webhook's receiver: what it should be sent waits, then it is given up.
    WebhookCertificate,
}

impl ExpiryKind {
    /// The stable name, as in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Roster => "roster",
            Self::Withdrawals => "withdrawals",
            Self::ServerCertificate => "server-certificate",
            Self::Authority => "authority",
            Self::GatewayCertificate => "gateway-certificate",
            Self::Token => "token",
            Self::Training => "training",
            Self::ProviderCertificate => "provider-certificate",
            Self::SyslogCertificate => "syslog-certificate",
            Self::MailCertificate => "mail-certificate",
            Self::WebhookCertificate => "webhook-certificate",
        }
    }

    /// How far apart two ends may be that are warned of as one.
    fn slack_ms(self) -> u64 {
        match self {
            Self::ProviderCertificate | Self::SyslogCertificate | Self::MailCertificate | Self::WebhookCertificate => {
                SLACK_MS
            }
            _ => 0,
        }
    }

    /// What happens at the end, and what to do.
    fn remedy(self) -> &'static str {
        match self {
            Self::Root => {
                "gateways install nothing new then; make the next root (mdfmctl trust rotate-root) and publish it"
            }
            Self::Roster => "the registrar signs the next one (mdfmctl trust make-roster)",
            Self::Withdrawals => "sign the next ones (mdfmctl withdrawals renew)",
            Self::ServerCertificate => {
                "nobody connects then; mdfm-coordinator renew-certificate, then systemctl reload mdfm-coordinator"
            }
            Self::Authority => {
                "no certificate that it signed is valid then; every gateway has to be enrolled under another one"
            }
            Self::GatewayCertificate => {
                "the gateway does not connect then; look at its line, it renews its certificate when it connects, or enrol it again"
            }
            Self::Token => "the program that uses it is refused then; make another (mdfmctl tokens add)",
            Self::Training => "they may not sign then; confirm their training (mdfmctl users train)",
            Self::ProviderCertificate => "nobody signs in there then; whoever runs the provider renews it",
            Self::SyslogCertificate => "security events wait then; whoever runs the receiver renews it",
            Self::MailCertificate => "no mail is sent then; whoever runs the mail server renews it",
            Self::WebhookCertificate => "nothing is delivered there then; whoever runs the receiver renews it",
        }
    }
}

/// One end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    pub kind: ExpiryKind,
    /// What it is about, as records name objects: `gateway/GW-1`, `user/jane`.
    pub object: String,
    /// More for people: a version or a name.
    pub label: String,
    pub expires_at: UtcMillis,
    /// From when on people may be warned: a token that lives a week is not near its end on its first day.
    warned_from: UtcMillis,
    /// Whose it is.
    pub person: Option<UserId>,
}

impl Expiry {
    /// Of something that belongs to nobody in particular.
    pub fn new(kind: ExpiryKind, object: impl Into<String>, label: impl Into<String>, at: UtcMillis) -> Self {
        let warned_from = UtcMillis(0);
        Self { kind, object: object.into(), label: label.into(), expires_at: at, warned_from, person: None }
    }

    /// The days left at which people are warned, rounded to the steps of the warnings; `None` while there is time.
    pub fn days_left(&self, now: UtcMillis) -> Option<u32> {
        let left_ms = self.expires_at.since_ms(now);
        let days = WARNED_DAYS.into_iter().find(|days| left_ms <= u64::from(*days) * DAY_MS)?;
        let is_early = self.kind == ExpiryKind::GatewayCertificate && days > GATEWAY_WARNED_DAYS;
        (!is_early && now >= self.warned_from).then_some(days)
    }

    /// What ends, with its name.
    pub(super) fn what(kind: ExpiryKind, label: &str) -> String {
        match kind {
            ExpiryKind::Root => format!("trust root {label}"),
            ExpiryKind::Roster => format!("roster {label}"),
            ExpiryKind::Withdrawals => format!("withdrawals {label}"),
            ExpiryKind::ServerCertificate => "the coordinator's certificate".to_owned(),
            ExpiryKind::Authority => "the certificate of the coordinator's authority".to_owned(),
            ExpiryKind::GatewayCertificate => format!("the certificate of {label}"),
            ExpiryKind::Token => format!("the token {label:?}"),
            ExpiryKind::Training => format!("the training of {label}"),
            ExpiryKind::ProviderCertificate => format!("the certificate of the OpenID provider {label}"),
            ExpiryKind::SyslogCertificate => format!("the certificate of the syslog receiver {label}"),
            ExpiryKind::MailCertificate => format!("the certificate of the mail server {label}"),
            ExpiryKind::WebhookCertificate => format!("the certificate of the receiver of webhook {label}"),
        }
    }

    /// What the matter is, and what to do.
    pub fn words(&self, now: UtcMillis) -> String {
        let verb = if self.expires_at <= now { "expired" } else { "expires" };
        let what = match self.kind {
            ExpiryKind::Root | ExpiryKind::Roster | ExpiryKind::Withdrawals => {
                format!("the {} {}", self.kind.name(), self.label)
            }
            kind => Self::what(kind, &self.label),
        };
        format!("{what} {verb} at {}; {}", self.expires_at, self.kind.remedy())
    }

    /// The name under which a warning is remembered.
    fn key(&self) -> String {
        format!("{}/{}", self.kind.name(), self.object)
    }
}

/// What was last warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WarnedExpiry {
    expires_at: UtcMillis,
    days: u32,
}

/// The warnings that were given, by kind and object.
pub type WarnedExpiries = BTreeMap<String, WarnedExpiry>;

/// A warning was recorded; those of things that ended long ago are forgotten.
pub(super) fn note(warned: &mut WarnedExpiries, at: UtcMillis, key: String, expires_at: UtcMillis, days: u32) {
    warned.retain(|_, held| at.since_ms(held.expires_at) < REMEMBERED_MS);
    warned.insert(key, WarnedExpiry { expires_at, days });
}

/// The certificate that somebody whom the coordinator calls showed last, with the time at which that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenCertificate {
    pub kind: ExpiryKind,
    pub label: String,
    pub expires_at: UtcMillis,
    noted_at: UtcMillis,
}

/// Certificates of others, by kind and name.
pub type SeenCertificates = BTreeMap<String, SeenCertificate>;

fn seen_key(kind: ExpiryKind, label: &str) -> String {
    format!("{}/{label}", kind.name())
}

/// What a certificate is recorded about.
fn seen_object(kind: ExpiryKind, label: &str) -> String {
    match kind {
        ExpiryKind::WebhookCertificate => format!("webhook/{label}"),
        kind => format!("certificate/{}", kind.name().trim_end_matches("-certificate")),
    }
}

/// A certificate was recorded.
pub(super) fn note_seen(seen: &mut SeenCertificates, at: UtcMillis, kind: ExpiryKind, label: String, end: UtcMillis) {
    let key = seen_key(kind, &label);
    if seen.len() >= SEEN_MAX
        && !seen.contains_key(&key)
        && let Some(oldest) = seen.iter().min_by_key(|(_, held)| held.noted_at).map(|(key, _)| key.clone())
    {
        seen.remove(&oldest);
    }
    seen.insert(key, SeenCertificate { kind, label, expires_at: end, noted_at: at });
}

/// Forgets the certificate of a webhook's receiver: it may be another one now.
pub(super) fn forget_webhook(seen: &mut SeenCertificates, webhook: &str) {
    seen.remove(&seen_key(ExpiryKind::WebhookCertificate, webhook));
}

/// Records the certificates that others showed, where they are not those of before. Receivers behind one name may have several: the one that ends
/// first counts, and whoever shows another at each call causes a record an hour.
pub(super) fn record_seen(state: &State, presence: &Presence, now: UtcMillis) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    for ((kind, label), end) in presence.peers() {
        let Some(expires_at) = end else { continue };
        let is_news = state.seen_certificates.get(&seen_key(*kind, label)).is_none_or(|held| {
            let least_ms = if expires_at < held.expires_at { HOUR_MS } else { DAY_MS };
            expires_at != held.expires_at && now.since_ms(held.noted_at) >= least_ms
        });
        if is_news && is_called(state, presence, *kind, label) {
            let event = Event::CertificateSeen { kind: *kind, label: label.clone(), expires_at };
            let reason = format!("{} is valid until {expires_at}", Expiry::what(*kind, label));
            proposals.push(Proposal::new("certificate.seen", seen_object(*kind, label), event).because(reason));
        }
    }
    proposals
}

/// Whether the coordinator still calls whoever showed a certificate.
fn is_called(state: &State, presence: &Presence, kind: ExpiryKind, label: &str) -> bool {
    match kind {
        ExpiryKind::WebhookCertificate => state.webhooks.contains_key(label),
        kind => presence.peers().any(|((k, l), _)| (*k, l.as_str()) == (kind, label)),
    }
}

/// Everything that ends, as far as its time is known. Of tokens, training and gateways what ended more than a day ago is nobody's news.
pub fn all(state: &State, presence: &Presence, now: UtcMillis) -> Vec<Expiry> {
    until(state, presence, now, UtcMillis(u64::MAX))
}

/// As [`all`], of gateways those whose certificate ends by `last`: of a hundred thousand it is a few.
fn until(state: &State, presence: &Presence, now: UtcMillis, last: UtcMillis) -> Vec<Expiry> {
    let mut all = presence.certificates.clone();
    if let Some(root) = state.trusted_root() {
        all.push(Expiry::new(ExpiryKind::Root, "trust/root", root.version.to_string(), root.expires_at));
    }
    if let Some((roster, fresh)) = state.roster.as_ref().and_then(|r| Some((r, r.freshness?))) {
        all.push(Expiry::new(ExpiryKind::Roster, "trust/roster", roster.version.to_string(), fresh.expires_at));
    }
    if let Some(held) = &state.authority.withdrawals {
        let label = held.version.to_string();
        all.push(Expiry::new(ExpiryKind::Withdrawals, "trust/withdrawals", label, held.expires_at));
    }
    let seen = state.seen_certificates.values().filter(|held| is_called(state, presence, held.kind, &held.label));
    all.extend(seen.map(|SeenCertificate { kind, label, expires_at, .. }| {
        Expiry::new(*kind, seen_object(*kind, label), label.clone(), *expires_at)
    }));
    let is_news = |at: UtcMillis| now.since_ms(at) < DAY_MS;
    let certificates = state.gateways.iter().filter_map(|(id, gateway)| {
        let made_at = gateway.credentials.as_ref()?.certificate_at?;
        Some((id, made_at.plus_ms(u64::from(GATEWAY_CERTIFICATE_DAYS) * DAY_MS)))
    });
    all.extend(certificates.filter(|(_, at)| is_news(*at) && *at <= last).map(|(id, at)| {
        Expiry::new(ExpiryKind::GatewayCertificate, format!("gateway/{id}"), format!("gateway {id}"), at)
    }));
    all.extend(state.tokens.values().filter(|token| is_news(token.expires_at)).map(|token| {
        let half_ms = token.made_at.map_or(0, |made| token.expires_at.since_ms(made) / 2);
        Expiry {
            warned_from: UtcMillis(token.expires_at.0.saturating_sub(half_ms.max(1))),
            person: Some(token.user.clone()),
            ..Expiry::new(ExpiryKind::Token, format!("token/{}", token.id), token.name.clone(), token.expires_at)
        }
    }));
    let trained = state.users.iter().filter(|(_, user)| !user.disabled);
    let trained = trained.filter_map(|(id, user)| Some((id, user.trained_until.filter(|at| is_news(*at))?)));
    all.extend(trained.map(|(id, at)| Expiry {
        person: Some(id.clone()),
        ..Expiry::new(ExpiryKind::Training, format!("user/{id}"), id.to_string(), at)
    }));
    all
}

/// What is near its end or past it, the nearest first.
pub fn near(state: &State, presence: &Presence, now: UtcMillis) -> Vec<(Expiry, u32)> {
    let last = now.plus_ms(u64::from(GATEWAY_WARNED_DAYS) * DAY_MS);
    let ends = until(state, presence, now, last).into_iter();
    let mut near: Vec<_> = ends.filter_map(|expiry| expiry.days_left(now).map(|days| (expiry, days))).collect();
    near.sort_by_key(|(expiry, _)| expiry.expires_at);
    near
}

/// The warnings that are due: each end once at each step, whatever restarts between. Those of roster and withdrawals are the authority's, with
/// the same steps.
pub(super) fn warn(state: &State, presence: &Presence, now: UtcMillis) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    for (expiry, days) in near(state, presence, now) {
        // Of these the authority's warnings say more: that one is missing, or void.
        if matches!(expiry.kind, ExpiryKind::Roster | ExpiryKind::Withdrawals) {
            continue;
        }
        // So long after its end a warning is not remembered any more.
        if now.since_ms(expiry.expires_at) >= REMEMBERED_MS {
            continue;
        }
        let key = expiry.key();
        let last = state.expiries_warned.get(&key);
        let slack_ms = expiry.kind.slack_ms();
        let is_same = |last: &WarnedExpiry| last.expires_at.0.abs_diff(expiry.expires_at.0) <= slack_ms;
        if last.is_some_and(|last| is_same(last) && last.days <= days) {
            continue;
        }
        let reason = expiry.words(now);
        let Expiry { kind, object, label, expires_at, person, .. } = expiry;
        let event = Event::ExpiryWarned { kind, key, label, expires_at, days, person };
        proposals.push(Proposal::new("expiry.warn", object, event).because(reason));
    }
    proposals
}
