//! What people should hear of without looking: read off the audit log's records, so that nobody can forget to say it.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::id::{HospitalId, UserId};
use mdfm_shared::record::{AuditRecord, Outcome, person};
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::access::AccessRole;
use super::authority::Concern;
use super::expiry::Expiry;
use super::fleet::AnomalyKind;
use super::incident::IncidentChange;
use super::long_wait::{self, WaitKey, WaitLimit};
use super::rollout::Change;
use super::rollout::spec::ConsentRule;
use super::{Event, Refusal, State, authority, recall};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum NoticeKind {
    /// A release waits for approvals.
    ApprovalRequested,
    ReleaseApproved,
    ReleaseRejected,
    ApprovalExpired,
    ReleaseWithdrawn,
    DeploymentStarted,
    /// Devices of a hospital became part of a deployment.
    DevicesJoined,
    /// A hospital's staff are asked whether its devices may be changed.
    ConsentRequested,
    /// A phase's gate has held and waits for a signature.
    ValidationRequested,
    DeploymentPaused,
    /// A fault on one gateway: its hospital goes back, the rest of the deployment is held.
    DeploymentContained,
    DeploymentRollingBack,
    DeploymentEnded,
    /// Something is owed to an authority.
    DutyOpened,
    RecallOpened,
    IncidentOpened,
    /// Wrong passwords or codes locked an account (21 CFR 11.300(d)).
    AccountLocked,
    /// Somebody else changed one's own account.
    AccountChanged,
    GatewayAnomaly,
    /// A gateway that is enrolled can be replaced, or has been: somebody made an enrolment token for it, or used one.
    GatewayReplaced,
    StoreDamaged,
    /// Roster or withdrawals are missing; or a trust document, a certificate, a token or somebody's training expires, or has expired.
    TrustExpiring,
    /// A release was withdrawn here, and no signed document withdraws it for the fleet.
    WithdrawalUnsigned,
    /// Devices that were called back wait for a rollback order.
    RollbackOrderNeeded,
    /// The coordinator's clock is behind the last record.
    ClockBehind,
    /// What a gateway observes of a device differs from what is registered.
    DeviceDiffers,
    /// Something waits longer than a rule says, or such a wait has ended.
    LongWait,
}

/// Kinds that rules written before them do not name: until a rule does, the rule that is there by default counts.
const LATER: [NoticeKind; 7] = [
    NoticeKind::GatewayReplaced,
    NoticeKind::TrustExpiring,
    NoticeKind::WithdrawalUnsigned,
    NoticeKind::RollbackOrderNeeded,
    NoticeKind::ClockBehind,
    NoticeKind::DeviceDiffers,
    NoticeKind::LongWait,
];

/// Who is told of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoticeRule {
    pub kinds: Vec<NoticeKind>,
    /// Staff of a hospital are told of what concerns their hospital alone.
    pub roles: Vec<AccessRole>,
    /// Only what concerns one of these; empty for everything.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub hospitals: Vec<HospitalId>,
    /// By mail too, beside the inbox.
    #[serde(default)]
    pub email: bool,
    /// Of `longWait`: which waits, and after how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WaitLimit>,
}

/// What is told where nobody has said otherwise.
pub fn default_rules() -> Vec<NoticeRule> {
    use AccessRole::{Admin, Clinical, HospitalStaff, Operator, Qa, Regulatory};
    use NoticeKind as K;
    let rule = |kinds: &[K], roles: &[AccessRole], email| NoticeRule {
        kinds: kinds.to_vec(),
        roles: roles.to_vec(),
        hospitals: Vec::new(),
        email,
        waits: None,
    };
    vec![
        rule(&[K::ApprovalRequested, K::ValidationRequested], &[Clinical, Qa, Regulatory], true),
        rule(&[K::ReleaseApproved, K::ReleaseRejected, K::ApprovalExpired, K::ReleaseWithdrawn], &[Operator], false),
        rule(&[K::DeploymentStarted, K::DeploymentEnded], &[Operator], false),
        rule(&[K::DevicesJoined, K::DeploymentEnded], &[HospitalStaff], false),
        rule(&[K::ConsentRequested], &[HospitalStaff], true),
        rule(&[K::DeploymentPaused, K::DeploymentContained], &[Operator, Clinical, HospitalStaff], true),
        rule(&[K::DeploymentRollingBack], &[Operator, Clinical, HospitalStaff], true),
        rule(&[K::DutyOpened, K::RecallOpened, K::IncidentOpened], &[Regulatory], true),
        rule(&[K::AccountLocked, K::StoreDamaged], &[Admin], true),
        rule(&[K::GatewayAnomaly, K::GatewayReplaced], &[Admin, Operator], true),
        rule(&[K::TrustExpiring], &[Admin, Regulatory], true),
        rule(&[K::WithdrawalUnsigned], &[Clinical, Qa, Regulatory], true),
        rule(&[K::RollbackOrderNeeded], &[Clinical, Regulatory], true),
        rule(&[K::ClockBehind], &[Admin], true),
        rule(&[K::DeviceDiffers], &[Operator, HospitalStaff], true),
        rule(&[K::LongWait], &[Operator, HospitalStaff], true),
    ]
}

/// A program elsewhere that is told (Standard Webhooks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub url: String,
    /// Empty for every kind.
    pub kinds: Vec<NoticeKind>,
    /// Only what concerns one of these; empty for everything.
    pub hospitals: Vec<HospitalId>,
    /// Digest of the shared secret, which is kept beside the log.
    pub secret: mdfm_shared::digest::Digest,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub kind: NoticeKind,
    pub at: UtcMillis,
    pub object: String,
    /// One line that everybody who is told may read.
    pub subject: String,
    /// More, for the vendor's people alone: it may name other hospitals.
    pub detail: String,
    /// The hospitals that it concerns; empty for none in particular.
    pub hospitals: BTreeSet<HospitalId>,
    /// Somebody who is told whatever the rules say: it is their own account.
    pub person: Option<UserId>,
    /// Of which waits it is: rules choose among them.
    pub wait: Option<AboutWait>,
}

/// The waits that a notice is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AboutWait {
    pub key: WaitKey,
    /// Whether it is news for the staff of hospitals alone.
    pub is_for_hospitals: bool,
}

/// Webhooks of one installation.
const WEBHOOKS_MAX: usize = 32;
/// Rules of one installation, and kinds, roles and hospitals of one rule.
const RULES_MAX: usize = 64;
const ROWS_MAX: usize = 1_000;
const URL_BYTES_MAX: usize = 1_024;

/// Checks who is to be told of what.
pub(super) fn check_rules(state: &State, rules: &[NoticeRule]) -> Result<(), Refusal> {
    if rules.len() > RULES_MAX {
        return Err(Refusal::invalid("notices", format!("at most {RULES_MAX} rules")));
    }
    for rule in rules {
        if rule.kinds.is_empty() || rule.roles.is_empty() {
            return Err(Refusal::invalid("notices", "each rule needs kinds and roles"));
        }
        if [rule.kinds.len(), rule.roles.len(), rule.hospitals.len()].iter().any(|n| *n > ROWS_MAX) {
            return Err(Refusal::invalid("notices", format!("at most {ROWS_MAX} of each in a rule")));
        }
        rule.hospitals.iter().try_for_each(|h| state.need_hospital(h).map(drop))?;
        long_wait::check(rule)?;
    }
    Ok(())
}

/// Checks a webhook.
pub(super) fn set_webhook(state: &State, id: &str, webhook: &Webhook) -> Result<Event, Refusal> {
    if id.is_empty() || id.len() > 64 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(Refusal::invalid("webhookId", "must be 1 to 64 letters, digits, - _ or ."));
    }
    if state.webhooks.len() >= WEBHOOKS_MAX && !state.webhooks.contains_key(id) {
        return Err(Refusal::conflict("too-many-webhooks", format!("there are {WEBHOOKS_MAX}; remove one first")));
    }
    // Whoever listens on the way must not read what hospitals do.
    if !webhook.url.starts_with("https://") || webhook.url.len() > URL_BYTES_MAX {
        return Err(Refusal::invalid(
            "url",
            format!("must begin with https:// and have at most {URL_BYTES_MAX} bytes"),
        ));
    }
    if webhook.kinds.len() > ROWS_MAX || webhook.hospitals.len() > ROWS_MAX {
        return Err(Refusal::invalid("kinds", format!("at most {ROWS_MAX}")));
    }
    webhook.hospitals.iter().try_for_each(|h| state.need_hospital(h).map(drop))?;
    Ok(Event::WebhookSet { webhook: id.to_owned(), set: webhook.clone() })
}

/// What a record gives to tell.
pub fn of(state: &State, record: &AuditRecord) -> Vec<Notice> {
    let notice = |kind, subject: String| Notice {
        kind,
        at: UtcMillis(record.at_ms),
        object: record.object.clone(),
        subject,
        detail: record.reason.clone().unwrap_or_default(),
        hospitals: record.site.iter().filter_map(|site| site.parse().ok()).collect(),
        person: None,
        wait: None,
    };
    let object = &record.object;
    if record.outcome == Outcome::Refused {
        // What one tries at the account of another locks that account.
        let is_lock = record.reason.as_deref().is_some_and(|r| r.starts_with("locked:"));
        // Of names that strangers invent nobody needs to hear.
        let is_lock = is_lock && state.view(object).is_some();
        let subject = || format!("{object} is locked after wrong passwords or codes");
        return if is_lock { vec![notice(NoticeKind::AccountLocked, subject())] } else { Vec::new() };
    }
    let Some(event) = record.event.clone().and_then(|e| serde_json::from_value::<Event>(e).ok()) else {
        return Vec::new();
    };
    match event {
        Event::ManifestAttached { firmware, .. } => {
            vec![notice(NoticeKind::ApprovalRequested, format!("firmware {firmware} waits for your approval"))]
        }
        Event::ApprovalsLost { firmware, .. } => {
            let subject = format!("firmware {firmware} waits for your approval again");
            vec![notice(NoticeKind::ApprovalRequested, subject)]
        }
        Event::FirmwareApproved { firmware } => {
            vec![notice(NoticeKind::ReleaseApproved, format!("firmware {firmware} is approved"))]
        }
        Event::FirmwareRejected { firmware, role, .. } => {
            vec![notice(NoticeKind::ReleaseRejected, format!("firmware {firmware} was rejected by {role}"))]
        }
        Event::ApprovalsExpired { firmware } => {
            vec![notice(NoticeKind::ApprovalExpired, format!("the time for approvals of firmware {firmware} ran out"))]
        }
        Event::FirmwareWithdrawn { firmware } => {
            let mut notices = vec![notice(NoticeKind::ReleaseWithdrawn, format!("firmware {firmware} was withdrawn"))];
            if authority::unsigned(state).any(|(id, _)| *id == firmware) {
                let subject = format!(
                    "firmware {firmware} is withdrawn here and not yet signed for the fleet: sign with mdfmctl firmware withdraw"
                );
                notices.push(notice(NoticeKind::WithdrawalUnsigned, subject));
            }
            notices
        }
        Event::TrustWarned { concern, version, days } => {
            let subject = match (concern, days) {
                (Concern::Roster, 0) => format!("roster {version} has expired: gateways start nothing new"),
                (Concern::Roster, days) => format!("roster {version} expires in less than {}", count(days, "day")),
                (Concern::Withdrawals, 0) => format!("withdrawals {version} have expired: gateways start nothing new"),
                (Concern::Withdrawals, days) => {
                    format!("withdrawals {version} expire in less than {}", count(days, "day"))
                }
                (Concern::RosterVoid, _) => {
                    format!("roster {version} does not hold under the newest trust root: gateways start nothing new")
                }
                (Concern::WithdrawalsVoid, _) => {
                    format!("withdrawals {version} are signed by somebody who may no longer sign")
                }
                (Concern::WithdrawalsMissing, _) => {
                    format!("the roster demands withdrawals {version}, which are missing")
                }
            };
            vec![notice(NoticeKind::TrustExpiring, subject)]
        }
        Event::ExpiryWarned { kind, label, days, person, .. } => {
            let what = Expiry::what(kind, &label);
            let subject = match days {
                0 => format!("{what} has expired"),
                days => format!("{what} expires in less than {}", count(days, "day")),
            };
            vec![Notice { person, ..notice(NoticeKind::TrustExpiring, subject) }]
        }
        Event::WaitNoted { wait: key, hospitals, is_for_hospitals, .. } => {
            let long = notice(NoticeKind::LongWait, key.subject(false));
            let wait = Some(AboutWait { key, is_for_hospitals });
            vec![Notice { hospitals: hospitals.into_iter().collect(), wait, ..long }]
        }
        Event::WaitEnded { wait: key, hospitals, is_for_hospitals } => {
            let long = notice(NoticeKind::LongWait, key.subject(true));
            let wait = Some(AboutWait { key, is_for_hospitals });
            vec![Notice { hospitals: hospitals.into_iter().collect(), wait, ..long }]
        }
        Event::ClockBehind { behind_ms, is_known: false } => {
            let subject = format!("the coordinator's clock is {} s behind its last record", behind_ms / 1_000);
            vec![notice(NoticeKind::ClockBehind, subject)]
        }
        Event::DeploymentCreated(new) => {
            let subject = format!("deployment {} of firmware {} was started", new.deployment, new.firmware);
            vec![notice(NoticeKind::DeploymentStarted, subject)]
        }
        Event::RecallOpened { recall, opened } => {
            let mut notices = vec![notice(NoticeKind::RecallOpened, format!("recall {recall} was opened"))];
            let at = UtcMillis(record.at_ms);
            let waiting = recall::awaiting_order(state, &opened, at);
            if waiting > 0 {
                let subject =
                    format!("recall {recall}: only a rollback order sends back {}; sign one", count(waiting, "device"));
                notices.push(notice(NoticeKind::RollbackOrderNeeded, subject));
            }
            notices
        }
        Event::IncidentChanged { incident, change: IncidentChange::Opened { hospitals, .. } } => {
            let subject = format!("incident {incident} was reported");
            vec![Notice { hospitals, ..notice(NoticeKind::IncidentOpened, subject) }]
        }
        // Where a site has two lines that is every day's work.
        Event::TelemetryAnomaly { anomaly, .. } if anomaly.kind == AnomalyKind::TwoNetworks => Vec::new(),
        Event::TelemetryAnomaly { gateway, anomaly } => {
            let subject = match anomaly.kind {
                AnomalyKind::Clone => format!("two peers use the certificate of gateway {gateway} at once"),
                AnomalyKind::Crowded => format!("gateway {gateway}: {}", anomaly.kind.words()),
                AnomalyKind::Held => {
                    format!("the telemetry of gateway {gateway} is held: two machines may use its identity")
                }
                kind => format!("the telemetry of gateway {gateway} is not as it must be: {}", kind.words()),
            };
            vec![notice(NoticeKind::GatewayAnomaly, subject)]
        }
        Event::EpochBegun { gateway, epoch, .. } => {
            let subject = format!("gateway {gateway} was set back or copied; it goes on in epoch {epoch}");
            vec![notice(NoticeKind::GatewayAnomaly, subject)]
        }
        Event::DeviceDiffers { device, kind, registered, observed } => {
            let subject = format!("device {device}: {}", kind.words());
            let detail = format!("registered: {registered}; observed: {observed}");
            vec![Notice { detail, ..notice(NoticeKind::DeviceDiffers, subject) }]
        }
        Event::EnrolmentTokenIssued { gateway, .. } if was_enrolled(record) => {
            let by = &record.actor.id;
            let subject = format!(
                "{by} made an enrolment token for gateway {gateway}, which is enrolled: who uses it replaces it"
            );
            vec![notice(NoticeKind::GatewayReplaced, subject)]
        }
        Event::CertificateRenewed { gateway, is_repeated: true, .. } => {
            let subject = format!(
                "gateway {gateway} renewed its certificate twice within a week: an answer was lost, or somebody else has its key; if the \
                 gateway goes off line, revoke it and enrol it again"
            );
            vec![notice(NoticeKind::GatewayAnomaly, subject)]
        }
        Event::GatewayEnrolled { gateway, .. } if was_enrolled(record) => {
            let subject = format!("gateway {gateway} was enrolled again: what held its certificate before is shut out");
            vec![notice(NoticeKind::GatewayReplaced, subject)]
        }
        Event::StoreDamaged { damage } => {
            let subject = format!("the audit log is damaged on disk: {}", damage.file);
            vec![notice(NoticeKind::StoreDamaged, subject)]
        }
        Event::PersonChanged { user, .. } if person(&record.actor.id) != user.as_str() => {
            let by = &record.actor.id;
            let subject = format!("your account was changed by {by}: {}", record.action);
            vec![Notice { person: Some(user), ..notice(NoticeKind::AccountChanged, subject) }]
        }
        Event::DeploymentChanged { deployment: id, change } => {
            let Some(deployment) = state.deployments.get(&id) else { return Vec::new() };
            let (kind, words) = match &change {
                Change::MembersJoined { members } => {
                    let spec = &deployment.plan.spec;
                    let asks = |h: &&HospitalId| {
                        spec.consent == ConsentRule::Every
                            || state.hospitals.get(*h).is_some_and(|held| held.consent_required)
                    };
                    let all: BTreeSet<HospitalId> = members.iter().map(|m| m.hospital.clone()).collect();
                    let asked: BTreeSet<HospitalId> = all.iter().filter(asks).cloned().collect();
                    let about = |hospitals, kind, words: &str| Notice {
                        hospitals,
                        ..notice(kind, format!("deployment {id} {words}"))
                    };
                    let mut notices = vec![about(all, NoticeKind::DevicesJoined, "concerns devices of your hospital")];
                    if !asked.is_empty() {
                        notices.push(about(asked, NoticeKind::ConsentRequested, "waits for your hospital's consent"));
                    }
                    return notices;
                }
                Change::GateEvaluated { record } => {
                    let spec = deployment.plan.spec.phases.get(record.phase as usize);
                    match spec.and_then(|s| s.validation).filter(|_| record.passed) {
                        Some(role) => {
                            let phase = record.phase + 1;
                            let words =
                                format!("phase {phase} has held its gate and waits for the signature of {role}");
                            let subject = format!("deployment {id}: {words}");
                            return vec![Notice {
                                detail: String::new(),
                                ..notice(NoticeKind::ValidationRequested, subject)
                            }];
                        }
                        None => return Vec::new(),
                    }
                }
                Change::Contained { .. } => {
                    (NoticeKind::DeploymentContained, "met a fault: one hospital goes back, everything else is held")
                }
                Change::Paused { .. } => (NoticeKind::DeploymentPaused, "is paused"),
                Change::RollbackStarted { .. } => (NoticeKind::DeploymentRollingBack, "is rolled back"),
                Change::RolledBack if deployment.sum(|t| t.stays) > 0 => {
                    let waiting = deployment.sum(|t| t.stays);
                    let hospitals: BTreeSet<HospitalId> = deployment.hospitals.keys().cloned().collect();
                    let ended = notice(NoticeKind::DeploymentEnded, format!("deployment {id} has been rolled back"));
                    let subject = format!(
                        "deployment {id}: waiting for a rollback order to go back: {}",
                        count(waiting, "device")
                    );
                    let needed = notice(NoticeKind::RollbackOrderNeeded, subject);
                    return [ended, needed].map(|n| Notice { hospitals: hospitals.clone(), ..n }).into();
                }
                Change::RolledBack => (NoticeKind::DeploymentEnded, "has been rolled back"),
                Change::AbortFinished => (NoticeKind::DeploymentEnded, "has been aborted"),
                Change::Superseded { .. } => (NoticeKind::DeploymentEnded, "was superseded"),
                Change::Completed => (NoticeKind::DeploymentEnded, "is complete"),
                Change::DutyOpened { duty } => {
                    let subject = format!("deployment {id}: a report is due by {}", duty.due_at);
                    return vec![notice(NoticeKind::DutyOpened, subject)];
                }
                _ => return Vec::new(),
            };
            let hospitals = deployment.hospitals.keys().cloned().collect();
            vec![Notice { hospitals, ..notice(kind, format!("deployment {id} {words}")) }]
        }
        _ => Vec::new(),
    }
}

/// Whether the gateway of a record was enrolled before it.
fn was_enrolled(record: &AuditRecord) -> bool {
    record.before.as_ref().is_some_and(|before| before["enrolled"] == true)
}

/// Keeps what strangers or broken gateways can cause at will from flooding people: one notice of a kind about an object in a while.
#[derive(Debug, Clone, Default)]
pub struct Quiet {
    told: BTreeMap<(NoticeKind, String), UtcMillis>,
}

/// Time between two such notices.
const QUIET_MS: u64 = 15 * 60_000;
/// Objects remembered for that.
const QUIET_MAX: usize = 4_096;

impl Quiet {
    /// Whether a notice is to be told.
    pub fn admits(&mut self, notice: &Notice) -> bool {
        if !matches!(notice.kind, NoticeKind::AccountLocked | NoticeKind::GatewayAnomaly | NoticeKind::DeviceDiffers) {
            return true;
        }
        let key = (notice.kind, notice.object.clone());
        if self.told.get(&key).is_some_and(|at| notice.at.since_ms(*at) < QUIET_MS) {
            return false;
        }
        if self.told.len() >= QUIET_MAX {
            self.told.retain(|_, at| notice.at.since_ms(*at) < QUIET_MS);
        }
        // So many in so short a time are a storm of their own; each is in the log.
        if self.told.len() >= QUIET_MAX {
            return false;
        }
        self.told.insert(key, notice.at);
        true
    }
}

/// The rules for a kind: those of the settings, and of kinds that came later the default where no rule names them.
pub(super) fn rules_for(state: &State, kind: NoticeKind) -> Vec<NoticeRule> {
    let of_kind = |rules: &[NoticeRule]| -> Vec<NoticeRule> {
        rules.iter().filter(|rule| rule.kinds.contains(&kind)).cloned().collect()
    };
    let rules = of_kind(&state.settings.notices);
    if rules.is_empty() && LATER.contains(&kind) { of_kind(&default_rules()) } else { rules }
}

/// Whether a rule wants to hear of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    No,
    Yes,
    /// It wanted to hear of the same waits sooner, and did.
    Earlier,
}

fn rule_means(rule: &NoticeRule, notice: &Notice) -> Meant {
    let Some(AboutWait { key, .. }) = &notice.wait else { return Meant::Yes };
    match long_wait::minutes_of(rule, &key.code).map(|minutes| minutes.cmp(&key.after_minutes)) {
        Some(std::cmp::Ordering::Equal) => Meant::Yes,
        Some(std::cmp::Ordering::Less) => Meant::Earlier,
        Some(std::cmp::Ordering::Greater) | None => Meant::No,
    }
}

fn concerns(hospitals: &[HospitalId], notice: &Notice) -> bool {
    hospitals.is_empty() || hospitals.iter().any(|h| notice.hospitals.contains(h))
}

/// Whether people whom a rule notified earlier, of its hospitals, know of all that a notice says to them.
fn covers(rule: &NoticeRule, own: Option<&HospitalId>, notice: &Notice) -> bool {
    rule.hospitals.is_empty()
        || match own {
            Some(own) => rule.hospitals.contains(own),
            None => notice.hospitals.iter().all(|hospital| rule.hospitals.contains(hospital)),
        }
}

/// Who is told, and who of them by mail too.
pub fn recipients(state: &State, notice: &Notice) -> BTreeMap<UserId, bool> {
    let mut people = BTreeMap::new();
    let mut earlier = BTreeSet::new();
    let rules = rules_for(state, notice.kind);
    for rule in rules.iter().filter(|r| concerns(&r.hospitals, notice)) {
        let meant = rule_means(rule, notice);
        if meant == Meant::No {
            continue;
        }
        let users = state.users.iter().filter(|(_, u)| !u.disabled && u.roles.iter().any(|r| rule.roles.contains(r)));
        for (id, user) in users {
            let is_news = match &user.hospital {
                Some(own) => notice.hospitals.contains(own),
                // A hospital that waits later is no news for those who know of the others, unless a rule names hospitals.
                None => notice.wait.as_ref().is_none_or(|wait| !wait.is_for_hospitals) || !rule.hospitals.is_empty(),
            };
            match meant {
                Meant::Earlier if !covers(rule, user.hospital.as_ref(), notice) => {}
                Meant::Earlier => drop(earlier.insert(id.clone())),
                _ if is_news => *people.entry(id.clone()).or_insert(false) |= rule.email,
                _ => {}
            }
        }
    }
    people.retain(|id, _| !earlier.contains(id));
    // Whatever the rules say: who answers for patients and for the authorities hears of a fault that stops a deployment.
    if matches!(notice.kind, NoticeKind::DeploymentContained | NoticeKind::DeploymentRollingBack) {
        let answers = |r: &AccessRole| matches!(r, AccessRole::Clinical | AccessRole::Regulatory);
        let users = state.users.iter().filter(|(_, u)| !u.disabled && u.roles.iter().any(answers));
        people.extend(users.map(|(id, _)| (id.clone(), true)));
    }
    people.extend(notice.person.iter().map(|person| (person.clone(), true)));
    people
}

/// The webhooks that are told.
pub fn webhooks<'a>(state: &'a State, notice: &'a Notice) -> impl Iterator<Item = (&'a String, &'a Webhook)> {
    // Of several limits the first is enough, and what is news for a hospital's staff alone is not for programs without a hospital.
    let is_first = notice.wait.is_none()
        || !rules_for(state, notice.kind).iter().any(|rule| rule_means(rule, notice) == Meant::Earlier);
    let is_for_all = notice.wait.as_ref().is_none_or(|wait| !wait.is_for_hospitals);
    let wants = move |hook: &Webhook| {
        is_first
            && (is_for_all || !hook.hospitals.is_empty())
            && (hook.kinds.is_empty() || hook.kinds.contains(&notice.kind))
            && concerns(&hook.hospitals, notice)
    };
    state.webhooks.iter().filter(move |(_, hook)| wants(hook))
}
