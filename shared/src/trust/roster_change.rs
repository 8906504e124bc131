//! The difference between two rosters: what is added, what ends, and what alters the past. Approvals that were given stand on
//! the entries of the past, so whoever signs or publishes a roster has to see every entry that it drops or narrows.

use std::collections::BTreeSet;

use super::{Role, Roster, RosterEntry};
use crate::id::UserId;
use crate::time::UtcMillis;

/// The kind of a [`RosterChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RosterEffect {
    /// Authority that the roster before did not have.
    Adds,
    /// Authority ends, at the earliest when the roster was made: no earlier signature is lost.
    Ends,
    /// Authority is revoked, or was revoked earlier than the roster before says: signatures may be lost, on purpose.
    Revokes,
    /// An entry of the past is dropped, narrowed, or a revocation is taken back: signatures may be lost or count again.
    AltersPast,
}

/// One difference to the roster before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterChange {
    /// The person.
    pub user: UserId,
    /// Its kind.
    pub effect: RosterEffect,
    /// The change in words; the names in it come from the documents.
    pub what: String,
}

fn covers(new: &RosterEntry, old: &RosterEntry, role: Role) -> bool {
    is_same_authority(new, old, role) && new.valid_from <= old.valid_from
}

fn is_same_authority(new: &RosterEntry, old: &RosterEntry, role: Role) -> bool {
    new.user == old.user
        && new.key == old.key
        && new.printed_name == old.printed_name
        && new.roles.contains(&role)
        && old.roles.contains(&role)
}

impl Roster {
    /// The differences of this roster to the one before it. An entry may end earlier than it said, but not before `since`, the
    /// time at which this roster was made: signatures up to then must stay valid.
    pub fn changes_since(&self, before: &Self, since: UtcMillis) -> Vec<RosterChange> {
        let mut changes = Vec::new();
        for old in &before.entries {
            for role in roles_of(old) {
                self.compare(old, role, since, &mut changes);
            }
        }
        for new in &self.entries {
            let added: Vec<String> = roles_of(new)
                .into_iter()
                .filter(|role| !before.entries.iter().any(|old| is_same_authority(new, old, *role)))
                .map(|role| role.to_string())
                .collect();
            if !added.is_empty() {
                let RosterEntry { user, printed_name, roles: _, key, valid_from, valid_until, revoked: _ } = new;
                let what = format!(
                    "{user} ({printed_name}) may sign as {} with key {} from {valid_from} to {valid_until}",
                    added.join(", "),
                    key.id()
                );
                changes.push(RosterChange { user: user.clone(), effect: RosterEffect::Adds, what });
            }
        }
        changes
    }

    /// The changes that drop or narrow entries of the past or take a revocation back.
    pub fn alterations_since(&self, before: &Self, since: UtcMillis) -> Vec<RosterChange> {
        let mut changes = self.changes_since(before, since);
        changes.retain(|c| c.effect == RosterEffect::AltersPast);
        changes
    }

    fn compare(&self, old: &RosterEntry, role: Role, since: UtcMillis, changes: &mut Vec<RosterChange>) {
        use RosterEffect::{Adds, AltersPast, Ends, Revokes};
        let user = &old.user;
        let mut push = |effect, what: String| changes.push(RosterChange { user: user.clone(), effect, what });
        let same: Vec<&RosterEntry> = self.entries.iter().filter(|n| is_same_authority(n, old, role)).collect();
        // With one key twice on the roster the entry that overlaps most is the one that continues the old one.
        let Some(new) = same.iter().find(|n| covers(n, old, role)).or(same.first()) else {
            push(AltersPast, format!("{user} as {role}: {}", self.missing(old, role)));
            return;
        };
        if new.valid_from > old.valid_from {
            let what = format!("begins at {} instead of {}", new.valid_from, old.valid_from);
            push(AltersPast, format!("{user} as {role}: the entry {what}"));
        }
        let whole = old.valid_until.min(since);
        if new.valid_until < old.valid_until {
            let effect = if new.valid_until < whole { AltersPast } else { Ends };
            let what = format!("ends at {} instead of {}", new.valid_until, old.valid_until);
            push(effect, format!("{user} as {role}: the entry {what}"));
        } else if new.valid_until > old.valid_until {
            let what = format!("ends at {} instead of {}", new.valid_until, old.valid_until);
            push(Adds, format!("{user} as {role}: the entry {what}"));
        }
        match (old.revoked, new.revoked) {
            (None, Some(r)) => {
                push(Revokes, format!("{user} as {role}: revoked from {} and log size {} on", r.at, r.log_size));
            }
            (Some(_), None) => push(AltersPast, format!("{user} as {role}: the revocation is taken back")),
            (Some(held), Some(r)) if r.at > held.at || r.log_size > held.log_size => {
                let (at, size) = (held.at, held.log_size);
                let what = format!("moves from {at} (log size {size}) to {} (log size {})", r.at, r.log_size);
                push(AltersPast, format!("{user} as {role}: the revocation {what}"));
            }
            (Some(held), Some(r)) if r != held => {
                push(Revokes, format!("{user} as {role}: revoked from {} and log size {} on", r.at, r.log_size));
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    /// Why no entry continues `old` in this role.
    fn missing(&self, old: &RosterEntry, role: Role) -> String {
        let mut of_user = self.entries_of(&old.user).peekable();
        if of_user.peek().is_none() {
            return "the entry is dropped".to_owned();
        }
        let with_key: Vec<&RosterEntry> = of_user.filter(|e| e.key == old.key).collect();
        if with_key.is_empty() {
            format!("the entry with key {} is dropped", old.key.id())
        } else if !with_key.iter().any(|e| e.roles.contains(&role)) {
            "the role is dropped from the entry".to_owned()
        } else {
            format!("the printed name {:?} is dropped", old.printed_name)
        }
    }
}

fn roles_of(entry: &RosterEntry) -> BTreeSet<Role> {
    entry.roles.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, key, roster};
    use crate::trust::Revocation;

    fn alterations(change: impl FnOnce(&mut Roster)) -> Vec<String> {
        let (before, mut after) = (held(), held());
        change(&mut after);
        after.alterations_since(&before, NOW).into_iter().map(|c| c.what).collect()
    }

    /// QA revoked, the others not.
    fn held() -> Roster {
        let mut held = roster();
        held.entries[1].revoked = Some(Revocation { at: NOW, log_size: 5 });
        held
    }

    #[test]
    fn sec_5_every_narrowing_of_a_past_entry_is_found() {
        type Case = (&'static str, fn(&mut Roster));
        let cases: [Case; 9] = [
            ("the entry is dropped", |r| drop(r.entries.remove(0))),
            ("the entry with key", |r| r.entries[0].key = key(40).public()),
            ("the role is dropped", |r| r.entries[3].roles.retain(|role| *role != Role::Qa)),
            ("the printed name", |r| r.entries[0].printed_name = "Somebody Else".into()),
            ("begins at", |r| r.entries[0].valid_from = NOW),
            ("ends at", |r| r.entries[0].valid_until = UtcMillis(NOW.0 - 1)),
            ("taken back", |r| r.entries[1].revoked = None),
            ("revocation moves", |r| r.entries[1].revoked = Some(Revocation { at: NOW.plus_ms(1), log_size: 5 })),
            ("revocation moves", |r| r.entries[1].revoked = Some(Revocation { at: NOW, log_size: 6 })),
        ];
        for (words, change) in cases {
            let found = alterations(change);
            assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
        }
    }

    #[test]
    fn sec_5_additions_ends_and_revocations_alter_no_past() {
        let added = |r: &mut Roster| {
            let mut entry = r.entries[0].clone();
            (entry.user, entry.key) = ("user-new".parse().expect("good id"), key(41).public());
            r.entries.push(entry);
        };
        assert_eq!(alterations(added), Vec::<String>::new());
        assert_eq!(
            alterations(|r| r.entries[0].valid_until = NOW),
            Vec::<String>::new(),
            "ends when the roster is made"
        );
        let revoked = |r: &mut Roster| r.entries[0].revoked = Some(Revocation { at: UtcMillis(0), log_size: 0 });
        assert_eq!(alterations(revoked), Vec::<String>::new());
        // A role that ends is split off; the other role's entry stays as it was.
        let split = |r: &mut Roster| {
            let mut ended = r.entries[3].clone();
            r.entries[3].roles.retain(|role| *role != Role::Qa);
            (ended.roles, ended.valid_until) = (vec![Role::Qa], NOW);
            r.entries.push(ended);
        };
        assert_eq!(alterations(split), Vec::<String>::new());
        let (before, mut after) = (held(), held());
        split(&mut after);
        let effects: Vec<RosterEffect> = after.changes_since(&before, NOW).iter().map(|c| c.effect).collect();
        assert_eq!(effects, [RosterEffect::Ends]);
    }
}
