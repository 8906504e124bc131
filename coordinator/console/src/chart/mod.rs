//! Charts as SVG: pure functions of their data. Each comes with the same data as a table, for readers without the picture, and as CSV. Colours are
//! classes of the style sheet, so that the content security policy holds; what a colour says is also said by a form or in words.

pub(crate) mod bar;
pub(crate) mod device_timeline;
pub(crate) mod rate;
pub(crate) mod timeline;
pub(crate) mod versions;

use std::fmt::Write as _;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mdfm_shared::text::{csv_cell, html};
use serde_json::{Value, json};

use crate::failure::Failure;

/// A picture, and its data as a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    pub(crate) svg: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Chart {
    /// As templates show it.
    pub(crate) fn shown(&self) -> Value {
        json!({ "svg": self.svg, "columns": self.columns, "rows": self.rows })
    }

    /// The table as CSV (RFC 4180). A text that a spreadsheet would calculate stands behind an apostrophe.
    pub(crate) fn csv(&self) -> String {
        let mut csv = self.columns.iter().map(|name| csv_cell(name)).collect::<Vec<_>>().join(",") + "\r\n";
        for row in &self.rows {
            csv += &(row.iter().map(|text| csv_cell(text)).collect::<Vec<_>>().join(",") + "\r\n");
        }
        csv
    }

    /// The table as a file.
    ///
    /// # Errors
    /// A defect.
    pub(crate) fn download(&self, name: &str) -> Result<Response, Failure> {
        let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{safe}\""));
        let disposition = disposition.map_err(|error| Failure::Broken(error.to_string()))?;
        let kind = HeaderValue::from_static("text/csv; charset=utf-8");
        Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], self.csv()).into_response())
    }
}

/// The names of a table's columns.
fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Text as it may stand in XML.
fn escaped(text: &str) -> String {
    html(&text.replace(char::is_control, " "))
}

/// A text of at most `max` characters, with an ellipsis if it is longer.
fn short(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// Parts of an axis of time.
const TICKS: i64 = 5;

/// A picture as it grows.
struct Drawing {
    svg: String,
}

impl Drawing {
    fn new(class: &str, (width, height): (f64, f64), title: &str, description: &str) -> Self {
        let mut svg = String::new();
        _ = write!(
            svg,
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\
             <title>{}</title><desc>{}</desc>",
            escaped(title),
            escaped(description)
        );
        Self { svg }
    }

    fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), title: &str) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">"
        );
        _ = write!(self.svg, "<title>{}</title></rect>", escaped(title));
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        _ = write!(self.svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
    }

    /// A path of numbers that this program wrote.
    fn path(&mut self, class: &str, d: &str) {
        _ = write!(self.svg, "<path class=\"{class}\" d=\"{d}\"/>");
    }

    fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        _ = write!(self.svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\">");
        _ = write!(self.svg, "<title>{}</title></circle>", escaped(title));
    }

    /// A triangle that points downward: an upper bound.
    fn triangle(&mut self, class: &str, (x, y): (f64, f64), size: f64, title: &str) {
        let (left, right, top, tip) = (x - size, x + size, y - size, y + size);
        _ = write!(
            self.svg,
            "<path class=\"{class}\" d=\"M{left:.1} {top:.1}L{right:.1} {top:.1}L{x:.1} {tip:.1}Z\"><title>{}</title></path>",
            escaped(title)
        );
    }

    fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        _ = write!(
            self.svg,
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escaped(text)
        );
    }

    /// The times along an axis, evenly spaced; `x` says where one stands.
    fn time_axis(&mut self, (from, until): (i64, i64), y: f64, x: &dyn Fn(i64) -> f64) {
        for n in 0..=TICKS {
            let anchor = match n {
                0 => "start",
                TICKS => "end",
                _ => "middle",
            };
            let at = from.saturating_add(until.saturating_sub(from) / TICKS * n);
            self.text("soft", anchor, (x(at), y), &tick(at, until.saturating_sub(from)));
        }
    }

    fn finish(mut self) -> String {
        self.svg += "</svg>";
        self.svg
    }
}

/// A time as tables have it: RFC 3339 in universal time; empty for none.
fn time(ms: Option<i64>) -> String {
    let at = ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}

/// A time at an axis that is `span_ms` long.
fn tick(ms: i64, span_ms: i64) -> String {
    let format = match span_ms {
        ..7_200_000 => "%H:%M:%S",
        7_200_000..259_200_000 => "%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    let at = Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    at.strftime(format).to_string()
}

/// Where a value lies between two others, 0 to 1.
fn share(value: i64, from: i64, to: i64) -> f64 {
    if to <= from {
        return 0.0;
    }
    ((value.saturating_sub(from)) as f64 / (to.saturating_sub(from)) as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every number of an attribute of a picture; fails where one is not a number.
    pub(crate) fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
        let name = format!(" {attribute}=\"");
        let parts = svg.split(&name).skip(1);
        let numbers = parts.map(|part| part.split('"').next().expect("a value").parse::<f64>().expect("a number"));
        numbers.inspect(|number| assert!(number.is_finite(), "{number}")).collect()
    }

    /// That nothing is drawn outside of a picture and nothing is not a number.
    pub(crate) fn check(svg: &str, (width, height): (f64, f64)) {
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        for (attribute, size, max) in [("x", Some("width"), width), ("y", Some("height"), height)] {
            let (places, sizes) = (numbers(svg, attribute), size.map(|size| numbers(svg, size)).unwrap_or_default());
            assert!(places.iter().chain(&sizes).all(|n| (0.0..=max).contains(n)), "{attribute} of {svg}");
        }
        for (attribute, max) in
            [("x1", width), ("x2", width), ("cx", width), ("y1", height), ("y2", height), ("cy", height)]
        {
            assert!(numbers(svg, attribute).iter().all(|n| (0.0..=max).contains(n)), "{attribute} of {svg}");
        }
        assert!(!svg.contains("style=") && !svg.contains("<img") && !svg.contains("<script"), "{svg}");
    }

    #[test]
    fn console_chart_tables_are_safe_in_a_spreadsheet() {
        let row = ["=1+1", "-5", "-x", "a,b", "say \"a\"", "@x"].map(str::to_owned).to_vec();
        let chart = Chart { svg: String::new(), columns: columns(&["one"]), rows: vec![row] };
        assert_eq!(chart.csv(), "one\r\n\"'=1+1\",-5,\"'-x\",\"a,b\",\"say \"\"a\"\"\",\"'@x\"\r\n");
    }

    #[test]
    fn console_chart_texts_are_escaped() {
        assert_eq!(escaped("<img onerror='x' y=\"\u{7}\">&"), "&lt;img onerror=&#39;x&#39; y=&quot; &quot;&gt;&amp;");
        assert_eq!(short("Full", 4), "Full");
        assert_eq!(short("Regional", 4), "Reg\u{2026}");
        assert_eq!((share(5, 0, 10), share(5, 5, 5), share(50, 0, 10), share(i64::MIN, 0, 10)), (0.5, 0.0, 1.0, 0.0));
    }
}
