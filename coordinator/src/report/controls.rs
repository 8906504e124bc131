//! The controls of 21 CFR Part 11, each said from what this installation is set to and from what it holds. Nothing here is a
//! constant that a setting could make wrong.

use mdfm_shared::text::{count, period};
use mdfm_shared::time::UtcMillis;

use mdfm_coordinator_core::State;
use mdfm_coordinator_core::access::{AccessRole, User};

/// What the configuration decides about people, as far as a report says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Whether whatever decides over firmware, people or trust needs a second factor, of everybody.
    pub(crate) needs_second_factor: bool,
    pub(crate) session_ms: u64,
    pub(crate) idle_ms: u64,
    pub(crate) step_up_ms: u64,
    /// Whether passwords that were breached elsewhere are refused.
    pub(crate) refuses_breached: bool,
    /// The provider of single sign-on.
    pub(crate) issuer: Option<String>,
}

/// A control: the section, what it demands, and how it is met here.
pub(super) type Control = (&'static str, &'static str, String);

/// People who are counted in a control.
struct People<'a> {
    /// Whose account is not disabled.
    active: Vec<&'a User>,
    /// Those of them in a role that signs.
    signers: Vec<&'a User>,
}

impl<'a> People<'a> {
    fn of(state: &'a State) -> Self {
        let signs = |r: &AccessRole| matches!(r, AccessRole::Clinical | AccessRole::Qa | AccessRole::Regulatory);
        let active: Vec<&User> = state.users.values().filter(|u| !u.disabled).collect();
        let signers = active.iter().copied().filter(|u| u.roles.iter().any(signs)).collect();
        Self { active, signers }
    }
}

fn counted(people: &[&User], has: impl Fn(&User) -> bool) -> String {
    let count = people.iter().filter(|user| has(user)).count();
    format!("{count} of {}", people.len())
}

fn training(state: &State, people: &People<'_>, now: UtcMillis) -> String {
    let trained = counted(&people.signers, |u| u.trained_until.is_some_and(|until| now < until));
    if state.settings.training_required {
        format!("on: nobody signs without confirmed training; {trained} people who may sign are trained today")
    } else {
        format!(
            "off: the settings do not demand confirmed training (trainingRequired is false), a date that has passed refuses all the same; \
             {trained} people who may sign are trained today"
        )
    }
}

fn second_factor(setup: &Setup, people: &People<'_>) -> String {
    let have = counted(&people.active, |u| u.second_factor.is_some());
    let (session, idle, step_up) = (period(setup.session_ms), period(setup.idle_ms), period(setup.step_up_ms));
    let rule = if setup.needs_second_factor {
        "on: password and one-time code, needed for whatever decides over firmware, people or trust"
    } else {
        "partly: password, and a one-time code of those who have set one up (second_factor is \"optional\")"
    };
    format!(
        "{rule}; {have} active people have a second factor. A session ends after {session}, or {idle} without a request; a code counts for \
         {step_up}. A signature with a kept key takes both again, each time"
    )
}

fn passwords(state: &State, setup: &Setup, now: UtcMillis) -> String {
    let breached = if setup.refuses_breached { "breached ones are refused" } else { "no list of breached ones is set" };
    match state.settings.password_ms() {
        Some(limit) => {
            let old = state.users.values().filter(|u| !u.disabled && now.since_ms(u.password_set_at) > limit).count();
            let days = state.settings.password_days;
            format!(
                "on: a password signs nothing after {} until it is changed; older today: {old}; {breached}",
                count(days, "day")
            )
        }
        None => format!("off: passwords do not age (passwordDays is 0); {breached}"),
    }
}

/// Every control, in the order of the rule.
pub(super) fn controls(state: &State, setup: &Setup, now: UtcMillis) -> Vec<Control> {
    let people = People::of(state);
    let witnesses = state.trusted_root().map_or(0, |root| root.witnesses().threshold());
    let verified = counted(&people.signers, |u| u.identity.is_some());
    let disabled = state.users.values().filter(|u| u.disabled).count();
    let terms = &state.retention;
    let sign_on = setup.issuer.as_ref().map_or_else(
        || "no single sign-on".to_owned(),
        |issuer| format!("single sign-on at {issuer}, with the second factor here"),
    );
    let said = |text: &str| text.to_owned();
    vec![
        (
            "11.10(a)",
            "altered records are discernible",
            format!(
                "on: every record stands in a Merkle log, read through again in the background; {} must cosign its checkpoints",
                count(witnesses as u64, "witness")
            ),
        ),
        ("11.10(b)", "copies for inspection", said("on: PDF, CSV, JSON, evidence with proofs, the whole log")),
        (
            "11.10(c)",
            "protection through retention",
            format!(
                "on: {} for access, {} after a device's life, {} for deployments; disposal by two people; legal holds that stand: {}",
                count(terms.audit_years, "year"),
                terms.device_years_after_life,
                terms.deployment_years,
                state.holds.len()
            ),
        ),
        (
            "11.10(d)",
            "limited access",
            format!(
                "on: roles, deny by default; {}, {disabled} disabled; {sign_on}",
                count(people.active.len() as u64, "active account")
            ),
        ),
        ("11.10(e)", "audit trail", format!("on: no change without its record; {}", count(state.log_size, "record"))),
        ("11.10(f)", "permitted sequence of steps", said("on: approvals and rollouts are state machines")),
        ("11.10(g)", "authority checks", said("on: roles, hospital of staff, separation of submitter and approver")),
        ("11.10(h)", "source checks", said("on: gateways by certificate and signature")),
        ("11.10(i)", "training", training(state, &people, now)),
        (
            "11.10(j), (k)",
            "accountability policies, control of documentation",
            said("procedural: the operator's organisation"),
        ),
        ("11.30", "open systems", said("on: TLS 1.3, documents signed end to end")),
        (
            "11.50",
            "signature manifestations",
            said("on: printed name, time, meaning and reason in every signed document"),
        ),
        ("11.70", "signature linked to its record", said("on: the signature covers the record's digest")),
        ("11.100(a)", "unique to one person", said("on: ids are never used twice")),
        (
            "11.100(b)",
            "identity verified",
            format!(
                "on: nobody signs whose identity an administrator has not verified; {verified} people who may sign are verified"
            ),
        ),
        ("11.100(c)", "certified to the agency", said("procedural: the operator's organisation")),
        ("11.200(a)", "two distinct components", second_factor(setup, &people)),
        (
            "11.300(a)",
            "each combination of code and password is unique",
            format!(
                "on: {} accounts, no id of which was ever used twice, so no two people have the same id and password; an id stays taken when \
                 its account is disabled",
                state.users.len()
            ),
        ),
        ("11.300(b)", "codes and passwords are revised", passwords(state, setup, now)),
        (
            "11.300(c)",
            "loss management",
            said(
                "on: a reset or a removed second factor ends sessions and tokens and retires the signing key; revocation takes effect at the position in the log",
            ),
        ),
        (
            "11.300(d)",
            "unauthorized use is prevented and reported",
            said("on: guesses are counted and lock, and administrators are notified"),
        ),
        ("11.300(e)", "devices that bear codes are tested", said("procedural: the operator's organisation")),
    ]
}
