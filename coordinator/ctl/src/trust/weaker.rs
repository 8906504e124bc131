//! What is weaker in a document than in the one before it, or than the rules of this product. Each document is taken apart
//! without `..`: a field that is added to it does not compile until somebody decided what makes it weaker.

use mdfm_shared::limits::TRUST_LIFETIME_DEFAULT_MS;
use mdfm_shared::sign::PublicKey;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{
    ApprovalPolicy, Freshness, Role, RoleKeys, RollbackOrder, Roster, RosterEffect, TrustRoot, Withdrawals, Witnesses,
};

use super::describe::{hours, roles_text, span};
use crate::output::count;

const DAY_MS: u64 = 86_400_000;
/// The longest sensible life of a trust root.
const ROOT_LIFE_MAX_MS: u64 = 5 * 365 * DAY_MS;
/// The longest sensible authority of a person without a new entry.
const ENTRY_LIFE_MAX_MS: u64 = 5 * 365 * DAY_MS;
/// By how much an entry may begin before its roster was made: an approver's clock may be behind.
const BACK_DATED_MAX_MS: u64 = DAY_MS;
/// A root owner who loses their key, or is forced, must not be enough.
const ROOT_THRESHOLD_MIN: u16 = 2;

/// What a reader has to see beside the fields.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Marks {
    /// Weaker than the document before or than the rules.
    pub(crate) weaker: Vec<String>,
    /// Different from the document before, and not weaker as such.
    pub(crate) changed: Vec<String>,
    /// What can no longer be done under it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// What cannot be said, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

impl Marks {
    fn weaker(&mut self, text: impl Into<String>) {
        self.weaker.push(text.into());
    }
    fn changed(&mut self, text: impl Into<String>) {
        self.changed.push(text.into());
    }
}

/// Judges a document beside the one before it; `None` if there is nothing to compare with.
pub(crate) trait Weigh: Sized {
    fn weigh(&self, before: Option<&Self>, now: UtcMillis) -> Marks;
}

/// Names the version that a document has to follow.
fn follows(marks: &mut Marks, kind: &str, version: u64, before: Option<u64>) {
    match before {
        Some(before) if before.checked_add(1) != Some(version) => {
            marks.weaker(format!("version {version} does not follow version {before} of the {kind} compared with"));
        }
        Some(_) => {}
        None if version > 1 => {
            marks.weaker(format!("not compared: no earlier {kind} is at hand; name one that you trust with --previous"))
        }
        None => {}
    }
}

fn life(marks: &mut Marks, what: &str, expires_at: UtcMillis, from: UtcMillis, longest_ms: u64, now: UtcMillis) {
    if expires_at <= now {
        marks.weaker(format!("{what} has expired already"));
    }
    let ms = expires_at.since_ms(from);
    if ms > longest_ms {
        marks.weaker(format!("{what} lasts {}; the rule is at most {}", span(ms), span(longest_ms)));
    }
}

fn role(marks: &mut Marks, name: &str, role: &RoleKeys, before: Option<&RoleKeys>) {
    let RoleKeys { keys, threshold } = role;
    let Some(RoleKeys { keys: held, threshold: needed }) = before else { return };
    if threshold < needed {
        marks.weaker(format!("{name} role needs only {}, {needed} were needed before", count(*threshold, "signature")));
    } else if threshold > needed {
        marks.changed(format!("{name} role needs {}, {needed} were needed before", count(*threshold, "signature")));
    }
    for key in keys.iter().filter(|key| !held.contains(key)) {
        marks.changed(format!("{name} role: new key {key} (id {})", key.id()));
    }
    for key in held.iter().filter(|key| !keys.contains(key)) {
        marks.changed(format!("{name} role: key {key} (id {}) is gone", key.id()));
    }
    if keys.len() > held.len() && threshold == needed {
        let (now, then) = (keys.len(), held.len());
        marks.changed(format!("{name} role: {threshold} of {now} keys are enough, it was {needed} of {then}"));
    }
}

fn needed_roles(marks: &mut Marks, class: &str, roles: &[Role], seed: &[Role], before: Option<&[Role]>) {
    let missing = |wanted: &[Role]| -> Vec<Role> { wanted.iter().filter(|r| !roles.contains(r)).copied().collect() };
    let by_rule = missing(seed);
    if !by_rule.is_empty() {
        marks.weaker(format!("{class} releases need no approval of {}; the rule demands it", roles_text(&by_rule)));
    }
    let gone: Vec<Role> = before.map(missing).unwrap_or_default();
    if !gone.is_empty() {
        marks.weaker(format!("{class} releases need no approval of {} any more", roles_text(&gone)));
    }
    let added: Vec<Role> = before.map_or(Vec::new(), |b| roles.iter().filter(|r| !b.contains(r)).copied().collect());
    if !added.is_empty() {
        marks.changed(format!("{class} releases need the approval of {} too", roles_text(&added)));
    }
}

fn policy(marks: &mut Marks, policy: &ApprovalPolicy, before: Option<&ApprovalPolicy>) {
    let ApprovalPolicy { standard, emergency, emergency_window_ms } = policy;
    let seed = ApprovalPolicy::seed();
    let held = |of: fn(&ApprovalPolicy) -> &Vec<Role>| before.map(|b| of(b).as_slice());
    needed_roles(marks, "standard and recall", standard, &seed.standard, held(|p| &p.standard));
    needed_roles(marks, "emergency", emergency, &seed.emergency, held(|p| &p.emergency));
    let window = *emergency_window_ms;
    if window > seed.emergency_window_ms {
        let (found, rule) = (hours(window), hours(seed.emergency_window_ms));
        marks.weaker(format!("emergency approvals may lie {found} apart; the rule is {rule}"));
    }
    match before.map(|b| b.emergency_window_ms) {
        Some(held) if window > held => {
            marks.weaker(format!("emergency approvals may lie {} apart, before {}", hours(window), hours(held)));
        }
        Some(held) if window < held => {
            marks.changed(format!("emergency approvals may lie {} apart, before {}", hours(window), hours(held)));
        }
        Some(_) | None => {}
    }
}

fn witnesses(marks: &mut Marks, witnesses: &Witnesses, before: Option<&Witnesses>) {
    let Witnesses { keys, threshold } = witnesses;
    if *threshold == 0 {
        marks.weaker("no witness must have seen the audit log; the rule is at least one");
    }
    let Some(Witnesses { keys: held, threshold: needed }) = before else { return };
    if threshold < needed {
        marks.weaker(format!(
            "only {} must have seen the audit log, {needed} were needed before",
            count(*threshold, "witness")
        ));
    } else if threshold > needed {
        marks.changed(format!(
            "{} must have seen the audit log, {needed} were needed before",
            count(*threshold, "witness")
        ));
    }
    for key in keys.iter().filter(|key| !held.contains(key)) {
        marks.changed(format!("new witness {key}"));
    }
    for key in held.iter().filter(|key| !keys.contains(key)) {
        marks.changed(format!("witness {key} is gone"));
    }
}

impl Weigh for TrustRoot {
    fn weigh(&self, before: Option<&Self>, now: UtcMillis) -> Marks {
        let Self { version, expires_at, root, release, registrar, coordinator, log, witnesses: seen_by, approvals } =
            self;
        let mut marks = Marks::default();
        follows(&mut marks, "trust root", *version, before.map(|b| b.version));
        life(&mut marks, "the trust root", *expires_at, now, ROOT_LIFE_MAX_MS, now);
        if root.threshold < ROOT_THRESHOLD_MIN {
            let found = root.threshold;
            marks.weaker(format!("root role: {found} signature is enough; the rule is at least {ROOT_THRESHOLD_MIN}"));
        }
        role(&mut marks, "root", root, before.map(|b| &b.root));
        role(&mut marks, "release", release, before.map(|b| &b.release));
        role(&mut marks, "registrar", registrar, before.map(|b| &b.registrar));
        role(&mut marks, "coordinator", coordinator, before.map(|b| &b.coordinator));
        let named = [("root", root), ("release", release), ("registrar", registrar), ("coordinator", coordinator)];
        for (i, (name, role)) in named.iter().enumerate() {
            for (other, held) in &named[i + 1..] {
                let shared: Vec<&PublicKey> = role.keys.iter().filter(|k| held.keys.contains(k)).collect();
                for key in shared {
                    marks.weaker(format!("key {} is of the {name} role and of the {other} role", key.id()));
                }
            }
        }
        if let Some(before) = before.filter(|b| b.log != *log) {
            marks.changed(format!("audit log key was {}", before.log));
        }
        witnesses(&mut marks, seen_by, before.map(|b| &b.witnesses));
        policy(&mut marks, approvals, before.map(|b| &b.approvals));
        marks
    }
}

impl Weigh for Roster {
    fn weigh(&self, before: Option<&Self>, now: UtcMillis) -> Marks {
        let Self { version, entries, freshness } = self;
        let mut marks = Marks::default();
        follows(&mut marks, "roster", *version, before.map(|b| b.version));
        let made_at = freshness.map_or(now, |f| f.issued_at.min(now));
        match freshness {
            None => marks.weaker("the roster has no expiry: nobody notices that a newer one is withheld"),
            Some(Freshness { issued_at, expires_at, withdrawals_version }) => {
                life(&mut marks, "the roster", *expires_at, *issued_at, TRUST_LIFETIME_DEFAULT_MS, now);
                let held = before.and_then(|b| b.freshness).map_or(0, |f| f.withdrawals_version);
                if *withdrawals_version < held {
                    marks.weaker(format!("withdrawals {withdrawals_version} are enough, {held} were demanded before"));
                }
            }
        }
        for change in before.map(|b| self.changes_since(b, made_at)).unwrap_or_default() {
            match change.effect {
                RosterEffect::AltersPast => marks.weaker(change.what),
                RosterEffect::Adds | RosterEffect::Ends | RosterEffect::Revokes => marks.changed(change.what),
            }
        }
        for entry in entries {
            let ms = entry.valid_until.since_ms(entry.valid_from);
            if entry.valid_until > now && entry.valid_until.since_ms(now) > ENTRY_LIFE_MAX_MS {
                let rule = span(ENTRY_LIFE_MAX_MS);
                marks.weaker(format!("{} may sign for {}; the rule is at most {rule}", entry.user, span(ms)));
            }
            let is_new = before.is_some_and(|b| !b.entries_of(&entry.user).any(|e| e.key == entry.key));
            if is_new && made_at.since_ms(entry.valid_from) > BACK_DATED_MAX_MS {
                let ms = made_at.since_ms(entry.valid_from);
                marks.weaker(format!(
                    "the new entry of {} begins {} before this roster was made",
                    entry.user,
                    span(ms)
                ));
            }
        }
        marks.warnings = unheld_roles(self, now);
        marks
    }
}

/// The roles in which nobody on a roster can sign, and what that stops.
pub(crate) fn unheld_roles(roster: &Roster, now: UtcMillis) -> Vec<String> {
    let is_unheld = |role: &Role| roster.holders(*role, now).is_empty();
    let unheld = Role::ALL.into_iter().filter(is_unheld);
    unheld.map(|role| format!("nobody can sign as {role} today: what needs a signature in that role waits")).collect()
}

impl Weigh for Withdrawals {
    fn weigh(&self, before: Option<&Self>, now: UtcMillis) -> Marks {
        let Self { version, issued_at, expires_at, releases } = self;
        let mut marks = Marks::default();
        follows(&mut marks, "withdrawals", *version, before.map(|b| b.version));
        life(&mut marks, "the document", *expires_at, *issued_at, TRUST_LIFETIME_DEFAULT_MS, now);
        let Some(before) = before else { return marks };
        for gone in before.releases.iter().filter(|w| !releases.iter().any(|r| r.manifest == w.manifest)) {
            marks.weaker(format!("manifest {} is no longer withdrawn", gone.manifest));
        }
        for added in releases.iter().filter(|w| !before.releases.iter().any(|r| r.manifest == w.manifest)) {
            marks.changed(format!("manifest {} is withdrawn: {}", added.manifest, added.reason));
        }
        marks
    }
}

impl Weigh for RollbackOrder {
    fn weigh(&self, _: Option<&Self>, now: UtcMillis) -> Marks {
        let Self { label: _, releases, devices, below_floor, meaning: _, reason: _, issued_at, expires_at, signers: _ } =
            self;
        let mut marks = Marks::default();
        life(&mut marks, "the order", *expires_at, *issued_at, 30 * DAY_MS, now);
        if *below_floor {
            marks.weaker("devices may return to firmware below their security floor");
        }
        if devices.is_empty() {
            let n = releases.len();
            marks.changed(format!(
                "it is for every device that runs one of its {}, at every hospital",
                count(n, "release")
            ));
        }
        marks
    }
}
