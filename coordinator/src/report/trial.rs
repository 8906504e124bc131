//! The mark of a trial installation on each report: in the title, which heads the PDF and stands at the foot of every page, in a column of its own
//! in CSV, and as a fact in JSON.

use serde_json::{Map, Value};

/// What the title of a trial's report begins with.
const TITLE: &str = "TRIAL INSTALLATION, not for patients";
/// The column that marks each row of the table.
const COLUMN: &str = "installation";
/// The value in it.
const CELL: &str = "TRIAL";

/// Marks the facts of a report.
pub(super) fn mark(facts: &mut Map<String, Value>) {
    facts.insert("trial".into(), true.into());
    let title = facts.get("title").and_then(Value::as_str).unwrap_or("Report");
    let title = format!("{TITLE}: {title}");
    facts.insert("title".into(), title.into());
    let Some(table) = facts.get_mut("table") else { return };
    if let Some(columns) = table["columns"].as_array_mut() {
        columns.push(COLUMN.into());
    }
    for row in table["rows"].as_array_mut().into_iter().flatten() {
        if let Some(cells) = row.as_array_mut() {
            cells.push(CELL.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cli_27_a_trial_marks_title_and_every_row() {
        let facts = json!({ "title": "Device D-1", "table": { "columns": ["a"], "rows": [[1], ["x"]] } });
        let Value::Object(mut facts) = facts else { panic!("an object") };
        mark(&mut facts);
        let expected = json!({
            "title": "TRIAL INSTALLATION, not for patients: Device D-1", "trial": true,
            "table": { "columns": ["a", "installation"], "rows": [[1, "TRIAL"], ["x", "TRIAL"]] },
        });
        assert_eq!(Value::Object(facts), expected);
    }
}
