//! The order against SemVer, dpkg and rpm, and as an order.

use std::process::Command;

use proptest::prelude::*;

use super::*;

#[test]
fn fld_9_labels_order_as_people_read_them() {
    for ascending in [
        &["2.2.0", "2.9.0", "2.9.1", "2.10.0", "2.11.0", "10.0.0"][..],
        // SemVer 2.0.0 §11.
        &[
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ],
        &["2.0~~", "2.0~~a", "2.0~", "2.0~rc1", "2.0", "2.0^git1", "2.0a", "2.0+dfsg", "2.0.1", "1:0.1"],
        &["1.0rc1", "1.0RC2", "1.0", "1.0-1", "1.0-1ubuntu1", "1.0-2", "1.0.1"],
        &["1.0.2", "1.0.2a", "1.0.2k", "1.0.2zh", "1.1.0-pre3", "1.1.0"],
        &["", "v0.9", "1", "V2", "v10"],
        &["2.2.0-dev", "2.2.0", "2.2.0-hotfix1", "2.2.1"],
        &["2026.9", "2026.10.1", "2026.10.01a"],
        &["99999999999999999999999999999998", "99999999999999999999999999999999", "100000000000000000000000000000000"],
    ] {
        for (at, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&other), "{a} {b}");
            }
        }
    }
    for (a, b) in
        [("1.01", "1.1"), ("v2.2", "2.2"), ("1.0-0", "1.0"), ("0:1", "1"), ("1.0-RC1", "1.0~rc1"), (" 1 ", "1")]
    {
        assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
    }
}

#[test]
fn fld_9_ranges_hold_versions_between_others() {
    let range = |text: &str| text.parse::<VersionRange>();
    let open_ssl = range(">=3.0.0, <3.0.7").expect("a range");
    assert!(["3.0.0", "3.0.1", "3.0.6"].iter().all(|v| open_ssl.holds(v)));
    assert!(["3.0.0-beta1", "3.0.7", "3.0.10", "1.1.1n"].iter().all(|v| !open_ssl.holds(v)));
    assert!(range("2.2").expect("one").holds("v2.2") && !range("!=2.2").expect("not").holds("2.2"));
    assert_eq!(open_ssl.to_string(), ">=3.0.0,<3.0.7");
    assert_eq!(serde_json::to_string(&open_ssl).expect("encodes"), r#"">=3.0.0,<3.0.7""#);
    for bad in ["", ">=", ">=1,,<2", "=>1", "<>1", "1 2", "\n", &"<1,".repeat(20), &"1".repeat(2_000)] {
        assert!(range(bad).is_err(), "{bad:?}");
        assert!(serde_json::from_str::<VersionRange>(&format!("{bad:?}")).is_err());
    }
}

#[test]
fn fld_9_hostile_labels_cost_what_they_weigh() {
    let began = std::time::Instant::now();
    for piece in ["9", "a", "~", "-", "1.", "1-rc", "alpha", "é", ":", "0"] {
        let long = piece.repeat(200_000);
        assert_eq!(compare(&long, &long), Ordering::Equal);
        assert_ne!(compare(&long, "1.0"), Ordering::Equal);
    }
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// A label as labels are: of few characters that matter.
fn labels() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-z.~+:^v_ -]{0,12}",
        r"v?[0-9]{1,2}(\.[0-9]{1,3}){0,3}([-._]?(rc|alpha|beta|dev|x)[.]?[0-9]{0,2})?",
        "\\PC{0,8}"
    ]
}

proptest! {
    #[test]
    fn fld_9_the_order_is_total(a in labels(), b in labels(), c in labels()) {
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        prop_assert_eq!(compare(&a, &b).is_eq(), Version::new(&a) == Version::new(&b));
        let mut three = [&a, &b, &c];
        three.sort_by(|a, b| compare(a, b));
        prop_assert!(compare(three[0], three[1]).is_le() && compare(three[1], three[2]).is_le());
        prop_assert!(compare(three[0], three[2]).is_le());
        if compare(&a, &b).is_eq() {
            prop_assert_eq!(compare(&a, &c), compare(&b, &c));
        }
    }
}

/// Whether a program is here.
fn is_here(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

/// Pairs of labels of a kind, the same in every run.
fn pairs(strategy: impl Strategy<Value = (String, String)>, count: usize) -> Vec<(String, String)> {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("generates").current()).collect()
}

#[test]
fn fld_9_the_order_is_that_of_dpkg() {
    if !is_here("dpkg") {
        eprintln!("SKIPPED: no dpkg here; the order is not compared with that of the distribution");
        return;
    }
    // No word for a pre-release, which dpkg does not know.
    let debian = "([0-2]:)?[0-9]{1,2}[0-9a-cz.+~]{0,8}(-[0-9a-cz.+~]{1,4})?";
    let near = (debian, "[0-9a-cz.+~]{0,3}").prop_map(|(a, more)| (a.clone(), format!("{a}{more}")));
    let pairs = [pairs((debian, debian), 120), pairs(near, 120)].concat();
    for (a, b) in pairs {
        let is = |relation: &str| {
            let answer = Command::new("dpkg").args(["--compare-versions", &a, relation, &b]).output();
            answer.expect("runs").status.success()
        };
        match compare(&a, &b) {
            Ordering::Less => assert!(is("lt"), "{a} is less than {b}"),
            Ordering::Equal => assert!(is("eq"), "{a} is {b}"),
            Ordering::Greater => assert!(is("gt"), "{a} is greater than {b}"),
        }
    }
}

/// RPM passes separators over and orders letters before numbers; where labels are numbers between dots, `~`, `^` and letters behind numbers, both agree.
#[test]
fn fld_9_the_order_is_that_of_rpm_for_its_kind() {
    // Of rpm's own tests (tests/rpmvercmp.at).
    for (a, b, expected) in [
        ("1.0", "1.0", Ordering::Equal),
        ("1.0", "2.0", Ordering::Less),
        ("2.0.1", "2.0", Ordering::Greater),
        ("2.0.1a", "2.0.1", Ordering::Greater),
        ("5.5p1", "5.5p2", Ordering::Less),
        ("5.5p10", "5.5p1", Ordering::Greater),
        ("10xyz", "10.1xyz", Ordering::Less),
        ("xyz10", "xyz10.1", Ordering::Less),
        ("1.0~rc1", "1.0", Ordering::Less),
        ("1.0~rc1", "1.0~rc2", Ordering::Less),
        ("1.0~rc1~git123", "1.0~rc1", Ordering::Less),
        ("1.0^", "1.0", Ordering::Greater),
        ("1.0^git1", "1.0^git2", Ordering::Less),
        ("1.0^git1", "1.01", Ordering::Less),
        ("1.0^20160101", "1.0.1", Ordering::Less),
        ("1.0~rc1^git1", "1.0~rc1", Ordering::Greater),
        ("1.0^git1~pre", "1.0^git1", Ordering::Less),
        ("10b2", "10a1", Ordering::Greater),
        ("1.001", "1.1", Ordering::Equal),
    ] {
        assert_eq!(compare(a, b), expected, "{a} {b}");
    }
    // Not of its kind: rpm orders a label of letters before a number, this order (as dpkg) after it.
    assert_eq!(compare("xyz.4", "8"), Ordering::Greater);
    if !is_here("rpm") {
        eprintln!("SKIPPED: no rpm here; the order is compared with its published cases alone");
        return;
    }
    let numbers = r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}[a-c]?([~^][0-9]{1,2})?";
    for (a, b) in pairs((numbers, numbers), 120) {
        let lua = format!("%{{lua:print(rpm.vercmp(\"{a}\",\"{b}\"))}}");
        let answer = Command::new("rpm").args(["--eval", &lua]).output().expect("runs");
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        let expected = text.parse::<i32>().expect("a number").cmp(&0);
        assert_eq!(compare(&a, &b), expected, "{a} {b}");
    }
}
