//! Tables for people, JSON for programs.

use serde_json::Value;

/// How to print.
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints one answer: as JSON, or the given words.
    pub(crate) fn answer(&self, value: &Value, words: impl FnOnce() -> String) {
        if self.json {
            println!("{value:#}");
        } else {
            println!("{}", words());
        }
    }

    /// Prints rows: as JSON, or the given columns of it as a table.
    pub(crate) fn table(&self, rows: &Value, columns: &[(&str, &str)]) {
        if self.json {
            println!("{rows:#}");
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
            println!("{}", padded.join("  ").trim_end());
        };
        line(columns.iter().map(|(title, _)| (*title).to_owned()).collect());
        cells.into_iter().for_each(line);
    }
}

/// A value as a cell; control characters from the other side never reach the terminal.
pub(crate) fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(self::text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}
