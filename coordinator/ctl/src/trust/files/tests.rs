//! Documents in files: every kind is known for what it is, and everything in it is shown.

use mdfm_shared::fixture::{NOW, approval, manifest, role, root, roster, signed};
use mdfm_shared::trust::{ApprovalPolicy, Freshness, OrderSigner, Revocation, Role, Withdrawal, Witnesses};

use super::*;

fn withdrawals() -> Withdrawals {
    let releases = vec![Withdrawal { manifest: Digest([7; 32]), reason: "alarm limits lost".into(), at: NOW }];
    Withdrawals { version: 1, issued_at: NOW, expires_at: NOW.plus_ms(1_000), releases }
}

fn order() -> RollbackOrder {
    RollbackOrder {
        label: "recall-1".into(),
        releases: vec![Digest([7; 32])],
        devices: vec!["DEV-1".parse().expect("good id")],
        below_floor: true,
        meaning: "I order the devices back".into(),
        reason: "alarm limits lost".into(),
        issued_at: NOW,
        expires_at: NOW.plus_ms(1_000),
        signers: vec![OrderSigner {
            user: "user-clinical".parse().expect("good id"),
            printed_name: "Clara Clinical".into(),
            role: Role::Clinical,
        }],
    }
}

fn validation() -> Validation {
    let Approval { manifest, role, user, printed_name, meaning, reason, at } =
        approval(Digest([7; 32]), "user-qa", Role::Qa);
    let deployment = "dep-1".parse().expect("good id");
    Validation { deployment, phase: 0, manifest, evidence: None, role, user, printed_name, meaning, reason, at }
}

fn text<T: Describe + Weigh>(document: &T, before: Option<T>) -> String {
    let before = before.map(|document| Before { document, source: "the one before".into() });
    weighed(document, Digest([1; 32]), before.as_ref()).text()
}

#[test]
fn sec_6_a_file_is_known_for_the_kind_that_it_is() {
    let fresh = Roster {
        freshness: Some(Freshness { issued_at: NOW, expires_at: NOW.plus_ms(1), withdrawals_version: 3 }),
        ..roster()
    };
    for (frame, kind) in [
        (wire::encode(&signed(&root(1), &[1])), Kind::TrustRoot),
        (wire::encode(&signed(&roster(), &[11])), Kind::Roster),
        (wire::encode(&signed(&fresh, &[])), Kind::Roster),
        (wire::encode(&signed(&withdrawals(), &[10])), Kind::Withdrawals),
        (wire::encode(&signed(&order(), &[21])), Kind::RollbackOrder),
        (wire::encode(&signed(&manifest(), &[10])), Kind::Manifest),
        (wire::encode(&signed(&approval(Digest([7; 32]), "user-qa", Role::Qa), &[22])), Kind::Approval),
        (wire::encode(&signed(&validation(), &[22])), Kind::Validation),
    ] {
        let kinds: Vec<Kind> = Trusted::candidates(&frame).iter().map(Trusted::kind).collect();
        assert_eq!(kinds, [kind]);
    }
    assert!(Trusted::candidates(b"").is_empty() && Trusted::candidates(&[1; 400]).is_empty());
}

#[test]
fn sec_6_every_field_of_a_root_is_shown() {
    let mut document = root(1);
    document.witnesses = Witnesses { keys: vec!["witness.example+key".into()], threshold: 1 };
    document.approvals = ApprovalPolicy { emergency_window_ms: 5_400_000, ..ApprovalPolicy::seed() };
    let text = text(&document, None);
    let keys = [1, 2, 3, 10, 11, 12].map(|n| mdfm_shared::fixture::key(n).public());
    for key in &keys {
        assert!(text.contains(&key.to_string()) && text.contains(&key.id().to_string()), "{key}: {text}");
    }
    for words in [
        "2 of 3 keys must sign",
        "witness.example+key",
        "1 must have cosigned the log; 1 named",
        "Clinical, QA, Regulatory",
        "emergency release     Clinical, Regulatory",
        "90 minutes between first and last approval",
        "far beyond the year 9999",
        "log.example+",
    ] {
        assert!(text.replace("\n                          ", "").contains(words), "{words}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

/// The attack as it was made: Clinical alone, for 31,000 years, beside the honest root.
#[test]
fn sec_6_a_weak_policy_is_marked() {
    let honest = TrustRoot { expires_at: now().plus_ms(3 * 365 * 86_400_000), ..root(1) };
    let policy = ApprovalPolicy {
        standard: vec![Role::Clinical],
        emergency: vec![Role::Clinical],
        emergency_window_ms: 31_000 * 365 * 86_400_000,
    };
    let weak = TrustRoot {
        version: 2,
        approvals: policy,
        expires_at: now().plus_ms((31_001 * 365 + 1) * 86_400_000),
        ..root(2)
    };
    let marks = weak.weigh(Some(&honest), now());
    for words in [
        "the trust root lasts 31,001 years",
        "standard and recall releases need no approval of QA, Regulatory; the rule demands it",
        "emergency releases need no approval of Regulatory any more",
        "emergency approvals may lie 271,560,000 hours (31,000 years) apart; the rule is 4 hours",
    ] {
        assert!(marks.weaker.iter().any(|w| w.contains(words)), "{words}: {marks:?}");
    }
    assert!(text(&weak, Some(honest)).contains("WEAKER:"));
}

#[test]
fn sec_6_each_weakening_of_a_root_has_its_line() {
    let mut before = TrustRoot { expires_at: now().plus_ms(86_400_000), ..root(1) };
    before.witnesses = Witnesses { keys: vec!["w1".into(), "w2".into()], threshold: 2 };
    let honest = TrustRoot { version: 2, ..before.clone() };
    assert_eq!(honest.weigh(Some(&before), now()), Marks::default(), "nothing changed");
    type Case = (&'static str, fn(&mut TrustRoot));
    let cases: [Case; 10] = [
        ("does not follow version 1", |r| r.version = 3),
        ("has expired already", |r| r.expires_at = NOW),
        ("2 were needed before", |r| r.root.threshold = 1),
        ("the rule is at least 2", |r| r.root.threshold = 1),
        ("is of the release role and of the coordinator role", |r| r.coordinator = role(&[10], 1)),
        ("no witness must have seen the audit log", |r| r.witnesses.threshold = 0),
        ("only 1 witness must have seen", |r| r.witnesses.threshold = 1),
        ("need no approval of QA", |r| r.approvals.standard.retain(|role| *role != Role::Qa)),
        ("need no approval of Regulatory any more", |r| r.approvals.emergency = vec![Role::Clinical]),
        ("apart, before 4 hours", |r| r.approvals.emergency_window_ms += 1),
    ];
    for (words, change) in cases {
        let mut changed = honest.clone();
        change(&mut changed);
        let marks = changed.weigh(Some(&before), now());
        assert!(marks.weaker.iter().any(|w| w.contains(words)), "{words}: {marks:?}");
    }
    let mut moved = honest.clone();
    (moved.registrar, moved.log) = (role(&[40], 1), "another".into());
    let marks = moved.weigh(Some(&before), now());
    assert_eq!((marks.weaker.len(), marks.changed.len()), (0, 3), "{marks:?}");
    assert!(honest.weigh(None, now()).weaker[0].contains("not compared"), "a second root alone cannot be judged");
}

#[test]
fn sec_6_a_roster_shows_people_and_what_changed() {
    let mut before = roster();
    before.freshness =
        Some(Freshness { issued_at: now(), expires_at: now().plus_ms(1_000_000), withdrawals_version: 2 });
    before.entries.iter_mut().for_each(|e| e.valid_until = now().plus_ms(86_400_000));
    let mut after = Roster { version: 2, ..before.clone() };
    after.entries[0].revoked = Some(Revocation { at: NOW, log_size: 12_345 });
    after.entries[1].printed_name = "Somebody \u{1b}[2JElse\u{202e}".into();
    after.freshness =
        Some(Freshness { issued_at: now(), expires_at: now().plus_ms(200 * 86_400_000), withdrawals_version: 1 });
    let text = text(&after, Some(before));
    for words in [
        "user-three-roles (user-three-roles Printed) as Clinical, QA, Regulatory",
        "signatures dated 2023-11-14T22:13:20.000Z",
        "position 12,345 of the log or later",
        "WEAKER:  user-qa as QA: the printed name",
        "CHANGED: user-clinical as Clinical: revoked",
        "WEAKER:  the roster lasts 200 days; the rule is at most 90 days",
        "WEAKER:  withdrawals 1 are enough, 2 were demanded before",
        "\\u{1b}[2JElse\\u{202e}",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
}

/// Whoever signs with another key reads so before, and what is needed afterwards.
#[test]
fn sec_6_a_key_of_another_role_is_named() {
    let key = |n: u8| mdfm_shared::fixture::key(n).public().id();
    let roster = Trusted::Roster(signed(&roster(), &[11]));
    assert!(Needed::of(&roster, None).expect("decodes").is_none(), "without a root nothing is known");
    let needed = Needed::of(&roster, Some(&root(1))).expect("decodes").expect("the root decides it");
    assert!(needed.unfit([key(11)].into_iter()).is_empty());
    let unfit = needed.unfit([key(11), key(22)].into_iter());
    assert_eq!(unfit.len(), 1);
    assert!(
        unfit[0].contains(&key(22).to_string()) && unfit[0].contains("registrar role of trust root 1"),
        "{unfit:?}"
    );
    let text = |signers: &[KeyId]| needed.text(signers);
    assert!(text(&[key(22)]).contains("1 needed, 0 found") && text(&[key(22)]).contains(&key(11).to_string()));
    assert!(text(&[key(11), key(22)]).contains("1 needed, 1 found"));
    // The owners of the root before sign the next one too.
    let next = TrustRoot { root: role(&[4, 5], 2), ..root(2) };
    let next = Needed::of(&Trusted::Root(signed(&next, &[])), Some(&root(1))).expect("decodes").expect("a root");
    assert!(next.unfit([1, 2, 3, 4, 5].map(key).into_iter()).is_empty());
    assert_eq!(next.unfit([key(11)].into_iter()).len(), 1);
    let order = Trusted::RollbackOrder(signed(&order(), &[]));
    assert!(Needed::of(&order, Some(&root(1))).expect("decodes").is_none(), "the roster decides that");
}

#[test]
fn sec_5_a_role_that_nobody_has_is_warned_of() {
    let mut before = roster();
    before.entries.iter_mut().for_each(|e| (e.valid_from, e.valid_until) = (NOW, now().plus_ms(86_400_000)));
    assert_eq!(super::super::weaker::unheld_roles(&before, now()), Vec::<String>::new());
    let mut after = Roster { version: 2, ..before.clone() };
    for entry in after.entries.iter_mut().filter(|e| e.roles.contains(&Role::Qa)) {
        entry.revoked = Some(Revocation { at: NOW, log_size: 0 });
    }
    let text = text(&after, Some(before));
    assert!(text.contains("WARNING: nobody can sign as QA today: what needs a signature in that role waits"), "{text}");
}

#[test]
fn sec_6_durations_are_shown_in_a_unit_that_says_something() {
    const HOUR_MS: u64 = 3_600_000;
    for (ms, shown) in [
        (1, "1 millisecond"),
        (1_000, "1 second"),
        (90 * 60_000, "90 minutes"),
        (HOUR_MS, "1 hour"),
        (4 * HOUR_MS, "4 hours"),
        (271_746_000 * HOUR_MS, "271,746,000 hours (31,021 years)"),
    ] {
        assert_eq!(describe::hours(ms), shown);
    }
}

#[test]
fn sec_6_the_other_documents_show_every_field() {
    let order = text(&order(), None);
    for words in ["recall-1", "DEV-1", "YES, devices may go below it", "alarm limits lost", "Clara Clinical", "WEAKER:"]
    {
        assert!(order.contains(words), "{words}: {order}");
    }
    let held = Withdrawals { releases: vec![], ..withdrawals() };
    let next = Withdrawals { version: 2, ..withdrawals() };
    let shown = text(&next, Some(held.clone()));
    assert!(shown.contains(&Digest([7; 32]).to_string()) && shown.contains("is withdrawn:"), "{shown}");
    let dropped = text(&Withdrawals { version: 2, ..held }, Some(withdrawals()));
    assert!(dropped.contains("is no longer"), "{dropped}");
    let manifest = Shown::new(&manifest(), Digest([1; 32]), NOW).text();
    for words in
        ["CardiacMonitor-X200", "standard release", "component", "errors tolerated", "recall window", "14 days"]
    {
        assert!(manifest.contains(words), "{words}: {manifest}");
    }
    let validation = Shown::new(&validation(), Digest([1; 32]), NOW).text();
    assert!(validation.contains("dep-1") && validation.contains("I approve as QA"), "{validation}");
}

/// The file may hold a document that people have signed already: `trust`, `withdrawals make` and `rollback-orders make` alike.
#[test]
fn cli_6_a_new_document_overwrites_no_file() {
    use clap::Parser as _;

    let dir = std::env::temp_dir().join(format!("mdfmctl-new-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let held = dir.join("held.bin");
    std::fs::write(&held, "signed by three").expect("written");
    let session = dir.join("session.json");
    let bytes = serde_json::to_vec(&crate::client::tests::session("https://127.0.0.1:1")).expect("encodes");
    std::fs::write(&session, bytes).expect("written");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (file, session) = (held.display().to_string(), session.display().to_string());
    for command in [
        &["withdrawals", "make", "--reason", "x"][..],
        &["rollback-orders", "make", "--reason", "x", "--recall", "rec-1"],
    ] {
        let words = [&["mdfmctl", "--session", &session], command, &["--out", &file]].concat();
        let arguments = crate::Arguments::try_parse_from(words).expect("a command");
        let error = runtime.block_on(crate::carry_out(arguments)).expect_err("the file is there").to_string();
        assert!(error.contains("never overwritten"), "{command:?}: {error}");
    }
    assert!(write_new(&held, &signed(&order(), &[21])).is_err());
    std::os::unix::fs::symlink(dir.join("nowhere"), dir.join("link.bin")).expect("a link");
    assert!(write_new(&dir.join("link.bin"), &signed(&order(), &[21])).is_err(), "a link is a file too");
    assert_eq!(std::fs::read_to_string(&held).expect("read"), "signed by three");
    write_new(&dir.join("new.bin"), &signed(&order(), &[21])).expect("a new file");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn sec_6_every_label_leaves_a_space_before_its_value() {
    let now = NOW;
    let approval = approval(Digest([7; 32]), "user-qa", Role::Qa);
    let all = [
        root(1).describe(now),
        roster().describe(now),
        withdrawals().describe(now),
        order().describe(now),
        manifest().describe(now),
        approval.describe(now),
        validation().describe(now),
    ];
    let long = Line { depth: 0, label: "a label that is longer than its column is".into(), value: "100".into() };
    for line in all.concat().into_iter().chain([long]) {
        // A manifest stands one deeper below what is signed.
        for depth in [line.depth, line.depth + 1] {
            let label = line.label.clone();
            let shown = describe::render(&[Line { depth, ..line.clone() }], 80);
            let first = shown.first().cloned().unwrap_or_default();
            let behind = first.trim_start().strip_prefix(&label).expect("its label");
            assert!(label.is_empty() || behind.is_empty() || behind.starts_with(' '), "{first:?}");
        }
    }
    let rendered = describe::render(&manifest().describe(now), 98).join("\n");
    assert!(rendered.contains("reboots tolerated       "), "{rendered}");
}

#[test]
fn cli_26_what_is_signed_fits_every_terminal() {
    let mut shown = Shown::new(&manifest(), Digest([0xa7; 32]), NOW);
    let digest = Digest([0xb3; 32]).to_string();
    shown.marks.changed.push(format!("images' SHA-256 is {digest} and was {digest}"));
    shown.marks.warnings.push(format!("{} {}", "x".repeat(300), "a b c ".repeat(60)));
    let forged = Line { depth: 1, label: "reason".into(), value: "f".repeat(70) + &"y".repeat(200) };
    shown.lines.push(forged);
    for width in [48, 60, 66, 80, 98] {
        let text = shown.text_at(width);
        for line in text.lines() {
            let is_digest = line.trim().len() == 64 && line.trim().chars().all(|c| c.is_ascii_hexdigit());
            assert!(line.chars().count() <= width || is_digest, "{width}: {line:?}");
        }
        let whole = |digest: &str| text.split_whitespace().filter(|word| *word == digest).count();
        assert_eq!((whole(&shown.digest.to_string()), whole(&digest)), (1, 2), "{width}: {text}");
        assert!(text.contains(&manifest().sha256.to_string()), "{width}: {text}");
    }
    assert!(shown.text_at(98).contains("images' SHA-256         "), "beside its label where there is room");
}

#[test]
fn cli_6_what_cannot_be_compared_is_no_change() {
    let mut shown = Shown::new(&manifest(), Digest([1; 32]), NOW);
    shown.marks.notes.push("there is nothing to compare it with".into());
    let text = shown.text();
    assert!(text.contains("NOTE:") && !text.contains("CHANGED:"), "{text}");
}

#[test]
fn cli_27_copies_that_were_signed_apart_are_joined() {
    let dir = std::env::temp_dir().join(format!("mdfmctl-join-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a folder");
    let file = |name: &str, frame: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, frame).expect("written");
        path
    };
    let one = file("one", &wire::encode(&signed(&root(1), &[1])));
    let two = file("two", &wire::encode(&signed(&root(1), &[2])));
    let other = file("other", &wire::encode(&signed(&root(2), &[3])));
    let out = Output::new(crate::output::Form::Json, false).expect("a form");
    let refused = join(&out, &one, &[two.clone(), other], None).expect_err("another root").to_string();
    assert!(refused.starts_with("nothing was joined"), "{refused}");
    let signers = || Trusted::read(&one).expect("a root").signers().len();
    assert_eq!(signers(), 1);
    let mut frame = wire::encode(&signed(&root(1), &[2]));
    let last = frame.len() - 1;
    frame[last] ^= 1;
    if let Ok(bad) = wire::decode::<Signed<TrustRoot>>(&frame)
        && bad.digest() == signed(&root(1), &[]).digest()
    {
        let bad = file("bad", &frame);
        let refused = join(&out, &one, &[bad], None).expect_err("a bad signature").to_string();
        assert!(refused.contains("does not fit the document") && signers() == 1, "{refused}");
    }
    join(&out, &one, &[two.clone(), two], None).expect("copies of one document");
    assert_eq!(signers(), 2);
    let _ = std::fs::remove_dir_all(&dir);
}
