//! A filled template as blocks to set: titles, paragraphs, tables, charts.
//!
//! Templates are text: `# title`, `## section`, `| cell | cell |` for rows (the first one is the head), `@timeline name` and
//! `@gates name` for charts of the facts by that name, and paragraphs, which end at an empty line. What a fact says can never
//! become a block of its own: it is escaped when it is filled in.

use std::fmt::Write as _;

use mdfm_shared::text::{self, is_unsafe};
use minijinja::value::Serde;
use minijinja::{Environment, Output, Value as Filled};
use serde_json::Value;

/// One block.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Title(String),
    Section(String),
    Paragraph(String),
    /// Rows of cells; the first row is the head.
    Table(Vec<Vec<String>>),
    Timeline(Vec<Span>),
    Gates(Vec<Bar>),
}

/// A bar of a timeline, times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) label: String,
    pub(super) from: f64,
    pub(super) to: f64,
    /// When its monitoring began; `None` if it has not.
    pub(super) monitored: Option<f64>,
    pub(super) note: String,
}

/// An error rate with its upper bound against a limit, in percent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) rate: f64,
    pub(super) bound: f64,
    pub(super) limit: f64,
}

/// Fills a template with facts.
pub(super) fn render(template: &str, facts: &Value) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
    environment.set_formatter(|out, _, value| write_escaped(out, value));
    // With spaces that do not break: a number stays with its unit.
    environment.add_filter("duration", |ms: u64| text::period(ms).replace(' ', "\u{a0}"));
    environment.add_filter("percent", |rate: f64| format!("{rate:.3}\u{a0}%"));
    environment.add_filter("seconds", |ms: f64| format!("{:.1}\u{a0}s", ms / 1_000.0));
    environment.add_filter("count", |n: u64, one: String| text::count(n, &one));
    environment.add_filter("words", |name: String| in_words(&name));
    environment.add_filter("action", |name: String| mdfm_shared::action::named(&name));
    let bad = |e: minijinja::Error| format!("{e:#}");
    // A line that ends with a tag is no line of the text.
    let template = template.replace("%}\n", "%}");
    environment.add_template("report", &template).map_err(bad)?;
    environment.get_template("report").and_then(|t| t.render(Filled::from(Serde(facts)))).map_err(bad)
}

/// A name of a program in words: `correctionDecision` is a correction decision.
fn in_words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && words.ends_with(|before: char| before.is_ascii_lowercase()) {
            words.push(' ');
            words.push(c.to_ascii_lowercase());
        } else {
            words.push(c);
        }
    }
    words
}

fn write_escaped(out: &mut Output<'_>, value: &Filled) -> Result<(), minijinja::Error> {
    let text = if value.is_none() || value.is_undefined() { "–".to_owned() } else { value.to_string() };
    for c in text.chars() {
        let written = match c {
            '\\' => out.write_str("\\\\"),
            '|' => out.write_str("\\|"),
            '\n' => out.write_str("\\n"),
            c if is_unsafe(c) => out.write_str("·"),
            c => out.write_char(c),
        };
        written.map_err(|e| minijinja::Error::new(minijinja::ErrorKind::WriteFailure, e.to_string()))?;
    }
    Ok(())
}

fn unescape(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push(' '),
                Some(other) => plain.push(other),
                None => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

/// The cells of a row: what stands between bars that are not escaped.
fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut cell, mut escaped) = (Vec::new(), String::new(), false);
    for c in row.trim().trim_start_matches('|').chars() {
        match c {
            '|' if !escaped => cells.push(unescape(std::mem::take(&mut cell).trim())),
            c => cell.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    cells
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(0.0)
}

fn words(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn spans(facts: &Value) -> Vec<Span> {
    let span = |v: &Value| Span {
        label: words(v, "label"),
        from: number(v, "fromMs"),
        to: number(v, "toMs"),
        monitored: v["monitoredFromMs"].as_f64(),
        note: words(v, "note"),
    };
    facts.as_array().into_iter().flatten().map(span).collect()
}

fn bars(facts: &Value) -> Vec<Bar> {
    let bar = |v: &Value| Bar {
        label: words(v, "label"),
        rate: number(v, "errorRatePercent"),
        bound: number(v, "upperBoundPercent"),
        limit: number(v, "maxErrorRatePercent"),
    };
    facts.as_array().into_iter().flatten().map(bar).collect()
}

/// Takes a filled template apart.
pub(super) fn parse(text: &str, facts: &Value) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            open = false;
        } else if let Some(title) = line.strip_prefix("# ") {
            blocks.push(Block::Title(unescape(title)));
            open = false;
        } else if let Some(section) = line.strip_prefix("## ") {
            blocks.push(Block::Section(unescape(section)));
            open = false;
        } else if let Some(name) = line.strip_prefix("@timeline ") {
            blocks.push(Block::Timeline(spans(&facts[name])));
        } else if let Some(name) = line.strip_prefix("@gates ") {
            blocks.push(Block::Gates(bars(&facts[name])));
        } else if line.starts_with('|') {
            match blocks.last_mut() {
                Some(Block::Table(rows)) if open => rows.push(cells(line)),
                _ => blocks.push(Block::Table(vec![cells(line)])),
            }
            open = true;
        } else {
            match blocks.last_mut() {
                Some(Block::Paragraph(paragraph)) if open => {
                    paragraph.push(' ');
                    paragraph.push_str(&unescape(line));
                }
                _ => blocks.push(Block::Paragraph(unescape(line))),
            }
            open = true;
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_fill_blocks_and_never_make_any() {
        let facts = json!({
            "who": "Zoë | # not a title\n## nor this \\",
            "none": null,
            "rows": [{ "a": "1|2" }, { "a": "@gates x" }],
            "t": [{ "label": "Phase 1", "fromMs": 5, "toMs": 9.5, "note": "passed" }],
        });
        let template = "# Report\n\nSigned by {{ who }},\nnothing: {{ none }}.\n\n## Rows\n| A | B |\n{% for r in rows %}\n| {{ r.a }} | x |\n{% endfor %}\n\n@timeline t\n";
        let blocks = parse(&render(template, &facts).expect("renders"), &facts);
        assert_eq!(
            blocks,
            [
                Block::Title("Report".into()),
                Block::Paragraph("Signed by Zoë | # not a title ## nor this \\, nothing: –.".into()),
                Block::Section("Rows".into()),
                Block::Table(vec![
                    vec!["A".into(), "B".into()],
                    vec!["1|2".into(), "x".into()],
                    vec!["@gates x".into(), "x".into()],
                ]),
                Block::Timeline(vec![Span {
                    label: "Phase 1".into(),
                    from: 5.0,
                    to: 9.5,
                    monitored: None,
                    note: "passed".into()
                }]),
            ]
        );
        assert!(
            render("{{ nobody.knows }}", &facts).is_err(),
            "a template that asks for what is not there is a defect"
        );
    }

    #[test]
    fn cli_30_names_of_programs_are_words_in_a_report() {
        let said =
            ["correctionDecision", "rolledBack", "deviceError", "deployment.gate", "QA", "confirmed"].map(in_words);
        assert_eq!(said, ["correction decision", "rolled back", "device error", "deployment.gate", "QA", "confirmed"]);
        let facts = json!({ "ms": 5_400_000, "rate": 12.5, "n": 1 });
        let text = render("{{ ms | duration }}, {{ rate | percent }}, {{ n | count(\"release\") }}", &facts);
        assert_eq!(text.expect("renders"), "90\u{a0}minutes, 12.500\u{a0}%, 1 release");
    }
}
