//! Tables for people, JSON for programs.

use mdfm_service::output;
use mdfm_shared::text::{printable, printable_json};
use serde_json::Value;

/// How to print.
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints one answer: as JSON, or the given words.
    pub(crate) fn answer(&self, value: &Value, words: impl FnOnce() -> String) {
        if self.json {
            output::json(format_args!("{value:#}"));
        } else {
            output::lines(words());
        }
    }

    /// Prints rows: as JSON, or the given columns of it as a table.
    pub(crate) fn table(&self, rows: &Value, columns: &[(&str, &str)]) {
        if self.json {
            output::json(format_args!("{rows:#}"));
            return;
        }
        if rows.as_array().is_none_or(Vec::is_empty) {
            output::note("nothing found");
            return;
        }
        let cells: Vec<Vec<String>> = rows
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| columns.iter().map(|(_, pointer)| text(row.pointer(pointer).unwrap_or(&Value::Null))).collect())
            .collect();
        let widths: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(i, (title, _))| {
                cells.iter().map(|r| r[i].chars().count()).chain([title.len()]).max().unwrap_or_default()
            })
            .collect();
        let line = |cells: Vec<String>| {
            let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
            output::line(padded.join("  ").trim_end());
        };
        line(columns.iter().map(|(title, _)| (*title).to_owned()).collect());
        cells.into_iter().for_each(line);
    }
}

/// A value as a cell on one line; what a terminal may not get is escaped.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text).into_owned(),
        Value::Array(items) => items.iter().map(self::text).collect::<Vec<_>>().join(", "),
        other => printable_json(&other.to_string()).into_owned(),
    }
}
