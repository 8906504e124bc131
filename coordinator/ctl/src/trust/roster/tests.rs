//! The next roster keeps the past of the one before, whatever changes.

use mdfm_shared::fixture::{self, key};
use mdfm_shared::trust::RosterEffect;

use super::*;

const AT: UtcMillis = fixture::NOW;
const LIFE_MS: u64 = 90 * DAY_MS;

fn id(user: &str) -> UserId {
    user.parse().expect("good id")
}
fn edits() -> Edits {
    Edits { entry_ms: 365 * DAY_MS, life_ms: LIFE_MS, ..Edits::default() }
}
fn revocation() -> Option<Revocation> {
    Some(Revocation { at: AT, log_size: 100 })
}
fn next(edits: &Edits) -> Roster {
    edits.apply(Some(&fixture::roster()), 2, AT).expect("a roster")
}
fn open_entries<'a>(roster: &'a Roster, user: &str) -> Vec<&'a RosterEntry> {
    let at = AT.plus_ms(1);
    roster.entries.iter().filter(|e| e.user == id(user) && e.is_valid(at, 50)).collect()
}

#[test]
fn sec_5_no_edit_alters_the_past_or_moves_a_beginning() {
    let before = fixture::roster();
    let person = (id("user-new"), "Nadia New".to_owned(), vec![Role::Qa], key(40).public());
    let all = [
        edits(),
        Edits { people: vec![person], ..edits() },
        Edits { revoke: vec![id("user-qa")], revocation: revocation(), ..edits() },
        Edits { replace_key: vec![(id("user-qa"), key(41).public())], ..edits() },
        Edits { rename: vec![(id("user-qa"), "Quentin Married".into())], ..edits() },
        Edits { add_role: vec![(id("user-qa"), Role::Clinical)], ..edits() },
        Edits { remove_role: vec![(id("user-three-roles"), Role::Qa)], ..edits() },
        Edits { remove_role: vec![(id("user-qa"), Role::Qa)], ..edits() },
        Edits { extend: vec![id("user-qa")], ..edits() },
    ];
    for edits in &all {
        let after = next(edits);
        assert_eq!(after.alterations_since(&before, AT), [], "{edits:?}");
        for old in &before.entries {
            let kept = |e: &&RosterEntry| e.user == old.user && e.key == old.key && e.valid_from == old.valid_from;
            assert!(after.entries.iter().any(|e| kept(&e)), "{edits:?}: {old:?}");
        }
        assert_eq!(after.freshness.map(|f| (f.issued_at, f.expires_at)), Some((AT, AT.plus_ms(LIFE_MS))));
    }
    let dropped = next(&Edits { drop: vec![id("user-qa")], ..edits() });
    assert_eq!(dropped.alterations_since(&before, AT).len(), 1, "the tool asks for --force");
}

#[test]
fn sec_5_a_changed_key_closes_the_old_entry() {
    let after = next(&Edits { replace_key: vec![(id("user-qa"), key(41).public())], ..edits() });
    let of_qa: Vec<&RosterEntry> = after.entries.iter().filter(|e| e.user == id("user-qa")).collect();
    assert_eq!((of_qa[0].valid_until, of_qa[1].valid_from), (AT, AT));
    assert_eq!(open_entries(&after, "user-qa")[0].key, key(41).public());
    let renamed = next(&Edits { rename: vec![(id("user-qa"), "Quentin Married".into())], ..edits() });
    assert_eq!(open_entries(&renamed, "user-qa")[0].printed_name, "Quentin Married");
}

#[test]
fn sec_5_roles_come_and_go_without_touching_the_others() {
    let less = next(&Edits { remove_role: vec![(id("user-three-roles"), Role::Qa)], ..edits() });
    let roles: Vec<Role> = open_entries(&less, "user-three-roles").iter().flat_map(|e| e.roles.clone()).collect();
    assert_eq!(roles, [Role::Clinical, Role::Regulatory]);
    let more = next(&Edits { add_role: vec![(id("user-qa"), Role::Clinical)], ..edits() });
    let roles: Vec<Role> = open_entries(&more, "user-qa").iter().flat_map(|e| e.roles.clone()).collect();
    assert_eq!(roles, [Role::Qa, Role::Clinical]);
    assert!(edits().apply(Some(&more), 3, AT).is_ok());
    let again = Edits { add_role: vec![(id("user-qa"), Role::Qa)], ..edits() };
    assert!(again.apply(Some(&more), 3, AT).expect_err("held").to_string().contains("has the role QA already"));
}

#[test]
fn sec_5_a_revocation_reaches_every_entry_and_never_moves_later() {
    let first = next(&Edits { replace_key: vec![(id("user-qa"), key(41).public())], ..edits() });
    let revoke = |at: UtcMillis, log_size| Edits {
        revoke: vec![id("user-qa")],
        revocation: Some(Revocation { at, log_size }),
        ..edits()
    };
    let revoked = revoke(AT, 100).apply(Some(&first), 3, AT).expect("revoked");
    let of_qa =
        |r: &Roster| r.entries.iter().filter(|e| e.user == id("user-qa")).map(|e| e.revoked).collect::<Vec<_>>();
    assert_eq!(of_qa(&revoked), [revocation(), revocation()], "the old key signs for the past as well");
    let later = revoke(AT.plus_ms(5), 200).apply(Some(&revoked), 4, AT).expect("no later");
    assert_eq!(of_qa(&later), [revocation(), revocation()]);
    let earlier = revoke(UtcMillis(5), 200).apply(Some(&revoked), 4, AT).expect("earlier");
    assert_eq!(of_qa(&earlier)[0], Some(Revocation { at: UtcMillis(5), log_size: 100 }));
    let changes = earlier.changes_since(&revoked, AT);
    assert!(changes.iter().all(|c| c.effect == RosterEffect::Revokes), "{changes:?}");
    let extended = Edits { extend: vec![id("user-qa")], ..edits() }.apply(Some(&revoked), 4, AT);
    assert!(extended.expect_err("revoked").to_string().contains("was revoked"));
    let unknown = Edits { revoke: vec![id("nobody")], revocation: revocation(), ..edits() };
    assert!(unknown.apply(Some(&first), 3, AT).is_err());
}

#[test]
fn sec_5_an_extension_after_a_gap_leaves_the_gap() {
    let mut before = fixture::roster();
    before.entries[1].valid_until = UtcMillis(AT.0 - DAY_MS);
    let after = Edits { extend: vec![id("user-qa")], ..edits() }.apply(Some(&before), 2, AT).expect("extended");
    let counts = |at: UtcMillis| after.entries.iter().any(|e| e.user == id("user-qa") && e.is_valid(at, 0));
    assert!(counts(UtcMillis(AT.0 - DAY_MS - 1)) && !counts(UtcMillis(AT.0 - 1)) && counts(AT));
}

#[test]
fn sec_5_bad_rosters_are_not_made() {
    let taken = Edits { replace_key: vec![(id("user-qa"), key(21).public())], ..edits() };
    assert!(taken.apply(Some(&fixture::roster()), 2, AT).expect_err("shared").to_string().contains("the same key"));
    let twice = (id("user-qa"), "Again".to_owned(), vec![Role::Qa], key(40).public());
    let twice = Edits { people: vec![twice], ..edits() };
    assert!(twice.apply(Some(&fixture::roster()), 2, AT).expect_err("twice").to_string().contains("--replace-key"));
    let mut demanding = fixture::roster();
    demanding.freshness = Some(Freshness { issued_at: AT, expires_at: AT.plus_ms(1), withdrawals_version: 7 });
    assert_eq!(
        edits().apply(Some(&demanding), 2, AT).expect("renewed").freshness.map(|f| f.withdrawals_version),
        Some(7)
    );
    let lower = Edits { withdrawals_version: Some(6), ..edits() };
    assert!(lower.apply(Some(&demanding), 2, AT).is_err());
    assert!(Edits { life_ms: 500 * DAY_MS, ..edits() }.apply(Some(&fixture::roster()), 2, AT).is_err());
}

#[test]
fn sec_5_times_people_and_checkpoints_are_read() {
    assert_eq!(time("2023-11-14T22:13:20Z"), Ok(AT));
    for bad in ["yesterday", "1960-01-01T00:00:00Z", ""] {
        assert!(time(bad).is_err(), "{bad}");
    }
    assert_eq!(size_of("log.example\n42\nabc\n").expect("a size"), 42);
    assert!(size_of("log.example").is_err() && size_of("a\n-1\n").is_err());
    assert!(pair("user-qa", name).is_err() && pair("user-qa=", name).is_err());
    assert!(person("a|b|QA").is_err() && person("a|Name|Nurse|ed25519:x").is_err());
}
