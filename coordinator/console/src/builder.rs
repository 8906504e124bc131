//! Filters of lists, taken apart and put together: a form has a field, an operator and a value; the
//! API has an expression.

use serde_json::{Value, json};

/// Operators of a condition, as the form names them, with the sign of the expression and words for
/// people.
pub(crate) const OPERATORS: [(&str, &str); 7] = [
    ("=", "is"),
    ("!=", "is not"),
    ("*", "begins with"),
    (">=", "is at least"),
    ("<=", "is at most"),
    (">", "is above"),
    ("<", "is below"),
];

/// A value as it stands in an expression: in quotes where it would mean something else without.
fn written(value: &str) -> String {
    let needs_quotes = value.contains([',', '"', '\\']) || value.ends_with('*') || value.trim() != value;
    if !needs_quotes {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One condition as an expression; `None` if its operator is unknown or it cannot be written: only
/// plain values have a beginning.
pub(crate) fn condition(field: &str, operator: &str, value: &str) -> Option<String> {
    let known = OPERATORS.iter().any(|(sign, _)| *sign == operator);
    let plain = field.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') && !field.is_empty();
    match operator {
        _ if !known || !plain => None,
        "*" => (written(value) == value).then(|| format!("{field}={value}*")),
        _ => Some(format!("{field}{operator}{}", written(value))),
    }
}

/// The conditions of an expression as they stand there, without the commas between them.
pub(crate) fn parts(expression: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in expression.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                parts.push(&expression[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&expression[begin..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// An expression with one condition more.
pub(crate) fn with(expression: &str, condition: &str) -> String {
    let mut all = parts(expression);
    if !all.contains(&condition) {
        all.push(condition);
    }
    all.join(", ")
}

/// Each condition of an expression, and the expression without it.
pub(crate) fn chips(expression: &str) -> Value {
    let all = parts(expression);
    let chip = |at: usize| {
        let rest: Vec<&str> = all.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, part)| *part).collect();
        json!({ "text": all[at], "rest": rest.join(", ") })
    };
    (0..all.len()).map(chip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_filter_is_taken_apart_and_put_together() {
        assert_eq!(condition("hospitalId", "=", "HOSP-1").as_deref(), Some("hospitalId=HOSP-1"));
        assert_eq!(condition("deviceId", "*", "DEV-1").as_deref(), Some("deviceId=DEV-1*"));
        assert_eq!(condition("name", "!=", "a, \"b\"").as_deref(), Some(r#"name!="a, \"b\"""#));
        assert_eq!(condition("name", "=", "star*").as_deref(), Some("name=\"star*\""), "a star is a star here");
        for (field, operator, value) in [("name", "*", "a,b"), ("name", "~", "x"), ("", "=", "x"), ("a=b,c", "=", "x")]
        {
            assert_eq!(condition(field, operator, value), None, "{field} {operator} {value}");
        }
        let all = "a=1, b=\"x, \\\"y\\\", z\" ,, c>=2";
        assert_eq!(parts(all), ["a=1", "b=\"x, \\\"y\\\", z\"", "c>=2"]);
        assert_eq!(chips(all)[1], json!({ "text": "b=\"x, \\\"y\\\", z\"", "rest": "a=1, c>=2" }));
        assert_eq!(with("a=1", "c>=2"), "a=1, c>=2");
        assert_eq!(with("a=1", "a=1"), "a=1");
        assert_eq!(with("", "a=1"), "a=1");
    }
}
