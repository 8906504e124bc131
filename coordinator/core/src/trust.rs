//! Trust documents at the coordinator: checked exactly as the agents check them, so that what is stored is what agents accept.

use mdfm_shared::record::document_text;
use mdfm_shared::sign::Signed;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{RoleKeys, Roster, RosterEffect, RosterEntry, TrustRoot, TrustedRoot};
use serde_json::{Value, json};

use super::{Event, Proposal, Refusal, State, authority};

pub(super) fn add_root(state: &State, root: &Signed<TrustRoot>) -> Result<Vec<Proposal>, Refusal> {
    let refuse = |e| Refusal::document("trust-root-refused", e);
    let trusted = match state.trusted_root() {
        Some(held) => held.advance(root).map_err(refuse)?,
        None => TrustedRoot::pinned(root, root.digest()).map_err(refuse)?,
    };
    if state.trusted_root().is_none() && trusted.version != 1 {
        return Err(Refusal::document("trust-root-refused", "the first trust root must have version 1"));
    }
    let event = Event::TrustRootAdded { version: trusted.version, digest: root.digest() };
    Ok(vec![
        Proposal::new("trust.root.add", format!("trust/root/{}", trusted.version), event).with(document_text(root)),
    ])
}

/// Takes the next roster. One that drops or narrows entries of the past voids approvals that were given: it is refused unless
/// the request accepts that.
pub(super) fn add_roster(
    state: &State,
    now: UtcMillis,
    roster: &Signed<Roster>,
    accept_alterations: bool,
    reason: Option<&str>,
) -> Result<Vec<Proposal>, Refusal> {
    let root = state.need_root()?;
    let held = state.roster.as_ref();
    let accepted = Roster::accept(roster, root, held).map_err(|e| Refusal::document("roster-refused", e))?;
    authority::check_roster(&accepted, now)?;
    if reason.is_some_and(|r| r.trim().is_empty() || r.chars().count() > REASON_CHARS_MAX) {
        return Err(Refusal::invalid("reason", format!("must be 1 to {REASON_CHARS_MAX} characters")));
    }
    let made_at = accepted.freshness.map_or(now, |f| f.issued_at.min(now));
    let changes = held.map(|held| accepted.changes_since(held, made_at)).unwrap_or_default();
    let altered: Vec<&str> =
        changes.iter().filter(|c| c.effect == RosterEffect::AltersPast).map(|c| c.what.as_str()).collect();
    if !altered.is_empty() && !accept_alterations {
        let detail = format!(
            "roster {} drops or narrows entries of the past ({}): approvals that stand on them would no longer count; make it with \
             `mdfmctl trust make-roster --previous`, or publish it with `--force`",
            accepted.version,
            altered.join("; ")
        );
        return Err(Refusal::conflict(
            "roster-alters-past",
            detail.chars().take(CHANGES_CHARS_MAX).collect::<String>(),
        ));
    }
    let words: Vec<&str> = changes.iter().map(|c| c.what.as_str()).collect();
    let mut words: String = words.join("; ").chars().take(CHANGES_CHARS_MAX).collect();
    if words.is_empty() {
        words = if held.is_some() { "no entry changed".into() } else { "the first roster".to_owned() };
    }
    let because = reason.map_or(words.clone(), |reason| format!("{reason}: {words}"));
    let event = Event::RosterAdded { version: accepted.version };
    Ok(vec![
        Proposal::new("trust.roster.add", format!("trust/roster/{}", accepted.version), event)
            .because(because)
            .with(document_text(roster)),
    ])
}

/// Characters of the reason for a roster.
const REASON_CHARS_MAX: usize = 400;
/// Characters of the list of changes that a roster's record keeps.
const CHANGES_CHARS_MAX: usize = 1_600;

/// Root or roster of today, as before and after of the records that change them show it.
pub(super) fn view(state: &State, id: &str) -> Option<Value> {
    match id.split('/').next()? {
        "root" => {
            let TrustRoot { version, expires_at, root, release, registrar, coordinator, log, witnesses, approvals } =
                &***state.trusted_root()?;
            let role = |keys: &RoleKeys| {
                let ids: Vec<String> = keys.keys.iter().map(|k| k.id().to_string()).collect();
                json!({ "keys": ids, "threshold": keys.threshold })
            };
            Some(json!({
                "version": version, "expiresAt": expires_at.to_string(), "root": role(root), "release": role(release),
                "registrar": role(registrar), "coordinator": role(coordinator), "log": log, "witnesses": witnesses,
                "approvals": approvals,
            }))
        }
        "roster" => {
            let Roster { version, entries, freshness } = state.roster.as_ref()?;
            let entry = |e: &RosterEntry| {
                let RosterEntry { user, printed_name, roles, key, valid_from, valid_until, revoked } = e;
                json!({
                    "user": user, "printedName": printed_name, "roles": roles, "key": key.id().to_string(),
                    "validFrom": valid_from.to_string(), "validUntil": valid_until.to_string(),
                    "revoked": revoked.map(|r| json!({ "at": r.at.to_string(), "logSize": r.log_size })),
                })
            };
            Some(json!({
                "version": version, "expiresAt": freshness.map(|f| f.expires_at.to_string()),
                "withdrawalsVersion": freshness.map(|f| f.withdrawals_version),
                "entries": entries.iter().map(entry).collect::<Vec<_>>(),
            }))
        }
        _ => None,
    }
}
