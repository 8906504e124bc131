//! Tables of the documentation, compared with what they are about.

use std::collections::BTreeSet;

use mdfm_shared::fixture::page::{rows, rows_of};

use crate::fleet::AnomalyKind;
use crate::notice::{NoticeKind, default_rules};

/// What a first cell names, as the program reads it from JSON.
fn named<T: serde::de::DeserializeOwned>(cell: &str) -> T {
    serde_json::from_value(cell.trim_matches('`').into()).expect("a word of the program")
}

#[test]
fn cli_14_findings_about_telemetry_read_as_on_the_page() {
    let rows: Vec<_> =
        rows().into_iter().filter(|row| row.section == "A finding about a gateway's telemetry").collect();
    assert!(rows.len() >= 10, "{rows:?}");
    for row in rows {
        assert_eq!(row.cells.len(), 4, "{row:?}");
        assert_eq!(row.cells[1], named::<AnomalyKind>(&row.cells[0]).words());
    }
}

/// The rules that hold where nobody has set others.
#[test]
fn cli_14_who_is_notified_is_on_the_page() {
    let rows: Vec<_> =
        rows_of("operate.md").into_iter().filter(|row| row.section == "Who is notified of what").collect();
    assert!(rows.len() > 20);
    for row in rows {
        let kind: NoticeKind = named(&row.cells[0]);
        let rules: Vec<_> = default_rules().into_iter().filter(|rule| rule.kinds.contains(&kind)).collect();
        let name = |role| serde_json::to_value(role).ok().and_then(|role| Some(role.as_str()?.to_owned()));
        let roles: BTreeSet<String> = rules.iter().flat_map(|rule| &rule.roles).filter_map(name).collect();
        let shown: BTreeSet<String> = row.cells[2].split(", ").map(str::to_owned).collect();
        let alone = BTreeSet::from(["the person alone".to_owned()]);
        assert_eq!(shown, if roles.is_empty() { alone } else { roles }, "{kind:?}");
        assert_eq!(row.cells[3] == "yes", rules.iter().any(|rule| rule.email), "{kind:?}");
    }
}
