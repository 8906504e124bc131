//! Tables for people, JSON and names for programs.

use anyhow::Context;
use clap::ValueEnum;
use jiff::tz::TimeZone;
use mdfm_service::output;
use mdfm_service::terminal::{self, Table, table};
pub(crate) use mdfm_shared::text::count;
use mdfm_shared::text::{clip, printable, printable_json, without_library_words};
use serde_json::{Value, json};

use crate::client::Refused;
use crate::times;

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Columns at the width of the terminal.
    Table,
    /// Every column, never cut.
    Wide,
    /// JSON as the API has it; errors as problem details.
    Json,
    /// The first column of a list alone, for scripts.
    Name,
}

/// How to print.
pub(crate) struct Output {
    form: Form,
    /// The zone in which times are shown; as they are, in universal time, without one.
    zone: Option<TimeZone>,
}

/// Titles of columns that a narrow terminal goes without first; what is not named here goes from the right. The texts of `REASON` and `DETAIL` are
/// long, and whole where the object itself is shown.
const LEAST_FIRST: [&str; 21] = [
    "DIRECTIVE",
    "TELEMETRY",
    "CHAIN",
    "SINCE",
    "SUPPLIER",
    "MADE",
    "STRATEGY",
    "ENROLLED",
    "VERIFIED BY",
    "TIME ZONE",
    "COHORT",
    "ATTEMPTS",
    "LABEL",
    "BY",
    "MODEL",
    "DETAIL",
    "REASON",
    "DIFFERS",
    "CREATED",
    "ACTOR",
    "PRESENCE",
];

/// A column: its title, and where its value stands in a row (RFC 6901).
pub(crate) type Column = (&'static str, &'static str);

impl Output {
    /// How to print in a form; with `local` times are in the zone of this machine.
    ///
    /// # Errors
    /// That zone is not known.
    pub(crate) fn new(form: Form, local: bool) -> anyhow::Result<Self> {
        let zone = if local {
            let link = std::fs::read_link("/etc/localtime").ok();
            Some(times::machine_zone(std::env::var("TZ").ok().as_deref(), link.as_deref()).context("--local")?)
        } else {
            None
        };
        Ok(Self { form, zone })
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    pub(crate) fn is_names(&self) -> bool {
        self.form == Form::Name
    }

    /// A text for people, its times in the zone that is asked for.
    pub(crate) fn localised(&self, text: String) -> String {
        self.zone.as_ref().map_or_else(|| text.clone(), |zone| times::in_zone(&text, zone))
    }

    /// Prints one answer: as JSON, or the given words, on a terminal at its width.
    pub(crate) fn answer(&self, value: &Value, words: impl FnOnce() -> String) {
        if self.is_json() {
            output::json(format_args!("{value:#}"));
            return;
        }
        let words = self.localised(words());
        match self.form {
            Form::Wide => output::lines(words),
            _ => output::prose(words),
        }
    }

    /// Columns that are printed to; `None` if nothing is cut or wrapped.
    fn columns(&self) -> Option<usize> {
        terminal::columns().filter(|_| self.form != Form::Wide)
    }

    /// Prints rows: as JSON, or the given columns of it as a table.
    pub(crate) fn table(&self, rows: &Value, columns: &[Column]) {
        self.table_with(rows, columns, &[]);
    }

    /// The same with more columns in the wide form.
    pub(crate) fn table_with(&self, rows: &Value, columns: &[Column], more: &[Column]) {
        if self.is_json() {
            output::json(format_args!("{rows:#}"));
            return;
        }
        let width = self.columns();
        let Table { lines, left_out } = self.lines(rows, columns, more, width);
        if lines.is_empty() {
            output::note("nothing found");
        }
        lines.iter().for_each(output::line);
        if let Some(width) = width.filter(|_| !left_out.is_empty()) {
            output::note(not_shown(width, &left_out));
        }
    }

    /// The lines of a table; empty without rows.
    fn lines(&self, rows: &Value, columns: &[Column], more: &[Column], width: Option<usize>) -> Table {
        let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
        if rows.is_empty() {
            return Table::default();
        }
        let columns: Vec<Column> = match self.form {
            Form::Name => columns.iter().take(1).copied().collect(),
            Form::Wide => columns.iter().chain(more).copied().collect(),
            Form::Table | Form::Json => columns.to_vec(),
        };
        let cell = |row: &Value, pointer: &str| {
            let held = row.pointer(pointer).filter(|held| !held.as_array().is_some_and(Vec::is_empty));
            let shown = text(held.unwrap_or(&Value::Null));
            self.localised(if self.form == Form::Table { times::without_fraction(&shown) } else { shown })
        };
        let mut lines: Vec<Vec<String>> =
            rows.iter().map(|row| columns.iter().map(|(_, pointer)| cell(row, pointer)).collect()).collect();
        // A column in which nothing stands takes room from those in which something does.
        let is_shown = |i: usize| i == 0 || self.form != Form::Table || lines.iter().any(|line| line[i] != "-");
        let kept: Vec<usize> = (0..columns.len()).filter(|i| is_shown(*i)).collect();
        let columns: Vec<Column> = kept.iter().map(|i| columns[*i]).collect();
        for line in &mut lines {
            *line = kept.iter().map(|i| std::mem::take(&mut line[*i])).collect();
        }
        if self.form == Form::Name {
            return Table { lines: lines.concat(), left_out: Vec::new() };
        }
        lines.insert(0, columns.iter().map(|(title, _)| (*title).to_owned()).collect());
        table(&lines, width, &LEAST_FIRST)
    }
}

/// Which columns a table goes without, and how they are seen.
fn not_shown(width: usize, left_out: &[String]) -> String {
    format!("not shown at {width} columns: {}; --output wide shows every column", left_out.join(", "))
}

/// Characters of an error: values that somebody gave may be of any length.
const ERROR_CHARS_MAX: usize = 2_000;

/// An error in words, with its causes.
pub(crate) fn error_words(error: &anyhow::Error) -> String {
    clipped(without_library_words(&format!("{error:#}")).into_owned())
}

fn clipped(mut words: String) -> String {
    let whole = words.len();
    clip(&mut words, ERROR_CHARS_MAX);
    if words.len() < whole {
        words.push('…');
    }
    words
}

/// An error as problem details (RFC 9457) on one line: as the coordinator sent them, or made here; with the exit status.
pub(crate) fn problem(error: &anyhow::Error, exit: u8) -> String {
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<Refused>());
    let mut problem = match refused {
        Some(refused) if refused.problem.is_object() => refused.problem.clone(),
        Some(refused) => {
            json!({ "type": "about:blank", "status": refused.status, "detail": clipped(refused.to_string()) })
        }
        None => {
            json!({ "type": "urn:mdfm:problem:tool", "title": "the command failed", "detail": error_words(error) })
        }
    };
    // What was being done stands around the cause.
    problem["message"] = error_words(error).into();
    problem["exitStatus"] = exit.into();
    printable_json(&problem.to_string()).into_owned()
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

/// A number in an answer, with what it counts.
pub(crate) fn count_of(value: &Value, one: &str) -> String {
    value
        .as_u64()
        .map_or_else(|| count(u64::MAX, one).replacen(&u64::MAX.to_string(), &text(value), 1), |n| count(n, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(form: Form) -> Output {
        Output { form, zone: None }
    }

    #[test]
    fn cli_26_an_empty_list_is_a_dash_and_a_time_is_whole() {
        let columns = [("ENTRY", "/index"), ("WHEN", "/at"), ("DIFFERS", "/differs"), ("WHY", "/why")];
        let why = "because of something that takes very many words to be said in full";
        let rows = json!([{ "index": 76, "at": "2026-11-30T09:59:07.585Z", "differs": [], "why": why }]);
        let lines = form(Form::Table).lines(&rows, &columns, &[], Some(60)).lines;
        assert!(lines[1].starts_with("76     2026-11-30T09:59:07Z  because") && lines[1].ends_with('…'), "{lines:?}");
        assert!(!lines[0].contains("DIFFERS"), "nothing stands in it: {lines:?}");
    }

    const COLUMNS: [Column; 2] = [("DEVICE", "/deviceId"), ("HOSPITAL", "/hospitalId")];
    const MORE: [Column; 1] = [("SERIAL", "/serialNumber")];

    #[test]
    fn cli_26_each_form_of_a_list_shows_its_columns() {
        let rows = json!([
            { "deviceId": "D-1", "hospitalId": "HOSP-1", "serialNumber": "S-1\u{1b}[2J" },
            { "deviceId": "D-22", "hospitalId": null, "serialNumber": "S-2" },
        ]);
        let lines = |f: Form, width| form(f).lines(&rows, &COLUMNS, &MORE, width).lines;
        assert_eq!(lines(Form::Table, None), ["DEVICE  HOSPITAL", "D-1     HOSP-1", "D-22    -"]);
        let narrow = form(Form::Table).lines(&rows, &COLUMNS, &MORE, Some(10));
        assert_eq!(
            (narrow.lines, narrow.left_out),
            (vec!["DEVICE".into(), "D-1".into(), "D-22".into()], vec!["HOSPITAL".to_owned()])
        );
        let wide = ["DEVICE  HOSPITAL  SERIAL", "D-1     HOSP-1    S-1\\u{1b}[2J", "D-22    -         S-2"];
        assert_eq!(lines(Form::Wide, None), wide);
        assert_eq!(lines(Form::Name, Some(3)), ["D-1", "D-22"], "a name is never cut");
        assert_eq!(form(Form::Table).lines(&json!([]), &COLUMNS, &MORE, None), Table::default());
    }

    #[test]
    fn cli_26_a_narrow_table_keeps_every_column() {
        let columns = [
            ("ENTRY", "/index"),
            ("TIME", "/at"),
            ("ACTION", "/action"),
            ("SITE", "/site"),
            ("OUTCOME", "/outcome"),
            ("REASON", "/reason"),
        ];
        let rows = json!([{
            "index": 1234, "at": "2026-11-29T13:00:00.123Z", "action": "deployment.validate.phase.signature", "site": null,
            "outcome": "refused", "reason": "because of something that takes very many words to be said in full, and then some",
        }]);
        let lines = form(Form::Table).lines(&rows, &columns, &[], Some(100)).lines;
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
        assert!(
            lines[0].ends_with("OUTCOME  REASON") && !lines[0].contains("SITE"),
            "an empty column takes no room: {lines:?}"
        );
        assert!(
            lines[1].starts_with("1234   2026-11-29T13:00:00Z  ") && lines[1].contains("refused  because of"),
            "{lines:?}"
        );
        let wide = form(Form::Wide).lines(&rows, &columns, &[], None).lines;
        assert!(
            wide[0].contains("SITE") && wide[1].contains("13:00:00.123Z") && wide[1].ends_with("then some"),
            "{wide:?}"
        );
    }

    #[test]
    fn cli_24_local_times_reach_every_cell() {
        let zone = times::machine_zone(Some("Europe/Zurich"), None).expect("a zone");
        let out = Output { form: Form::Table, zone: Some(zone) };
        let rows = json!([{ "at": "2026-11-29T13:00:00Z" }]);
        assert_eq!(out.lines(&rows, &[("WHEN", "/at")], &[], None).lines[1], "2026-11-29T14:00:00+01:00");
        assert_eq!(out.localised("since 2026-11-29T13:00:00Z".into()), "since 2026-11-29T14:00:00+01:00");
    }

    #[test]
    fn cli_23_numbers_and_nouns_agree() {
        assert_eq!(count_of(&json!(1), "hospital"), "1 hospital");
        assert_eq!(count_of(&Value::Null, "hospital"), "- hospitals");
    }

    #[test]
    fn cli_26_errors_for_programs_are_problem_details() {
        let shown =
            |error: anyhow::Error| -> Value { serde_json::from_str(&problem(&error, 6)).expect("one line of JSON") };
        let sent = json!({ "type": "urn:mdfm:problem:invalid", "status": 422, "detail": "reason: \u{202e}" });
        let refused = Refused::new(422, "invalid", "reason", sent);
        let shown_one = shown(anyhow::Error::new(refused).context("uploading"));
        assert_eq!((&shown_one["type"], &shown_one["status"]), (&json!("urn:mdfm:problem:invalid"), &json!(422)));
        assert_eq!((&shown_one["message"], &shown_one["exitStatus"]), (&json!("uploading: reason"), &json!(6)));
        let own = shown(anyhow::anyhow!("no such file").context("reading plan.json"));
        assert_eq!(own["detail"], "reading plan.json: no such file");
        let long = anyhow::anyhow!("{} is not a time", "x".repeat(10_000));
        let words = error_words(&long);
        assert!(words.chars().count() == ERROR_CHARS_MAX + 1 && words.ends_with('…'), "{}", words.len());
        assert!(problem(&long, 1).len() < 3 * ERROR_CHARS_MAX, "{}", problem(&long, 1).len());
        assert!(!problem(&anyhow::anyhow!("\u{1b}[2J\u{202e}\n"), 1).contains(['\u{1b}', '\u{202e}', '\n']));
    }
}
