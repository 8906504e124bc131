//! The one language in which objects are picked: lists of the API, groups of devices.

use std::borrow::Cow;
use std::cmp::Ordering;

use mdfm_shared::version;
use serde_json::{Number, Value};

use super::Refusal;
use super::refusal::Class;

/// Conditions of one filter.
const CONDITIONS_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// In the order in which they must be looked for.
const OPERATORS: [(&str, Is); 6] = [
    ("!=", Is::NotEqual),
    ("<=", Is::LessOrEqual),
    (">=", Is::GreaterOrEqual),
    ("=", Is::Equal),
    ("<", Is::Less),
    (">", Is::Greater),
];

#[derive(Debug, Clone)]
struct Condition {
    field: String,
    is: Is,
    value: String,
    /// Whether it stood in quotes; then a star is a star.
    is_quoted: bool,
    /// The value as what it is compared with: a number where it is one.
    wanted: Value,
}

/// Conditions all of which must hold; without any everything passes.
#[derive(Debug, Clone, Default)]
pub struct Filter(Vec<Condition>);

impl Filter {
    /// Reads `field=value,other>=7`.
    ///
    /// # Errors
    /// Which part is no condition, or that there are too many.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        conditions(text).map(Self)
    }

    /// Reads a filter that a record keeps: what was taken before quotes had rules means what it meant.
    ///
    /// # Errors
    /// Those of [`Filter::parse`].
    pub fn stored(text: &str) -> Result<Self, Refusal> {
        let mut filter = Self::parse(text).or_else(|refusal| lenient(text).map(Self).ok_or(refusal))?;
        // A star behind quotes was the beginning of a value then; a query that means a star is not taken any more.
        filter.0.iter_mut().for_each(|condition| condition.is_quoted = false);
        Ok(filter)
    }

    /// Whether a quoted value ends in a star.
    pub fn has_quoted_star(&self) -> bool {
        self.0.iter().any(|condition| condition.is_quoted && condition.value.ends_with('*'))
    }

    /// Whether all conditions hold of what has these fields.
    ///
    /// # Errors
    /// Those of `field`: there is none of that name.
    pub fn holds<'v>(&self, field: impl Fn(&str) -> Result<Cow<'v, Value>, Refusal>) -> Result<bool, Refusal> {
        for condition in &self.0 {
            if !condition.holds(&*field(&condition.field)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a condition fails already on a field that `field` knows without the whole item; other fields are `None`.
    pub fn fails_on(&self, field: impl Fn(&str) -> Option<Value>) -> bool {
        self.0.iter().any(|condition| field(&condition.field).is_some_and(|value| !condition.holds(&value)))
    }

    /// Checks that every field that is named is there.
    ///
    /// # Errors
    /// Those of `field`.
    pub fn check<'v>(&self, field: impl Fn(&str) -> Result<Cow<'v, Value>, Refusal>) -> Result<(), Refusal> {
        self.0.iter().try_for_each(|condition| field(&condition.field).map(drop))
    }

    /// The field and the value of each condition, and whether that is only the beginning of a value.
    pub fn conditions(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.0.iter().map(|condition| match condition.value.strip_suffix('*').filter(|_| !condition.is_quoted) {
            Some(begin) => (condition.field.as_str(), begin, true),
            None => (condition.field.as_str(), condition.value.as_str(), false),
        })
    }

    /// What the values of a field must be, or begin with, for the filter to hold; `None` if no
    /// condition says so of that field.
    pub fn demanded(&self, field: &str) -> Option<(&str, bool)> {
        let is_it = |condition: &&Condition| condition.field == field && condition.is == Is::Equal;
        let condition = self.0.iter().find(is_it)?;
        match condition.value.strip_suffix('*').filter(|_| !condition.is_quoted) {
            Some(begin) => Some((begin, true)),
            None => Some((condition.value.as_str(), false)),
        }
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is wrong with a filter, and where.
fn wrong(text: &str, at: usize, problem: impl std::fmt::Display) -> Refusal {
    let position = text.get(..at).map_or(at, |before| before.chars().count()) + 1;
    Refusal::new(Class::Malformed, "malformed-filter", format!("filter: at character {position}: {problem}"))
}

/// Reads one value that begins at `at`: plain up to the next comma, or in double quotes, in which `\"` and `\\` stand for a quote and a backslash.
/// Returns it, whether it was quoted, and where the next condition begins.
fn value(text: &str, at: usize) -> Result<(String, bool, usize), Refusal> {
    let begin = at + text[at..].len() - text[at..].trim_start().len();
    if !text[begin..].starts_with('"') {
        let end = text[begin..].find(',').map_or(text.len(), |n| begin + n);
        let plain = text[begin..end].trim_end();
        if let Some(quote) = plain.find('"') {
            return Err(wrong(text, begin + quote, "a value with a quote stands in quotes, as \"5\\\" pump\""));
        }
        return Ok((plain.to_owned(), false, end));
    }
    let mut value = String::new();
    let mut characters = text[begin + 1..].char_indices();
    while let Some((n, c)) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                _ => return Err(wrong(text, begin + 1 + n, "behind a backslash stands a quote or a backslash")),
            },
            '"' => {
                let behind = begin + n + 2;
                let end = text[behind..].find(',').map_or(text.len(), |n| behind + n);
                if let Some(first) = text[behind..end].find(|c: char| !c.is_whitespace()) {
                    return Err(wrong(text, behind + first, "behind a quoted value stands a comma or nothing"));
                }
                return Ok((value, true, end));
            }
            c => value.push(c),
        }
    }
    Err(wrong(text, begin, "this quote is not closed"))
}

fn conditions(text: &str) -> Result<Vec<Condition>, Refusal> {
    let mut conditions = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let begin = at + rest.len() - rest.trim_start().len();
        if text[begin..].is_empty() || text[begin..].starts_with(',') {
            at = begin + 1;
            continue;
        }
        if conditions.len() == CONDITIONS_MAX {
            return Err(wrong(text, begin, format!("a filter has at most {CONDITIONS_MAX} conditions")));
        }
        let end = text[begin..].find(',').map_or(text.len(), |n| begin + n);
        let none =
            || wrong(text, begin, format!("{:?} is not a condition such as field=value", shortened(&text[begin..end])));
        let sign_at = text[begin..end].find(['!', '<', '>', '=']).ok_or_else(none)? + begin;
        let (sign, is) = OPERATORS.into_iter().find(|(sign, _)| text[sign_at..].starts_with(sign)).ok_or_else(none)?;
        let field = text[begin..sign_at].trim();
        if field.is_empty() || field.contains('"') {
            return Err(none());
        }
        let (value, is_quoted, next) = value(text, sign_at + sign.len())?;
        let number = serde_json::from_str::<Value>(&value).ok().filter(|v| v.is_number() && !is_quoted);
        let wanted = number.unwrap_or_else(|| Value::String(value.clone()));
        conditions.push(Condition { field: field.to_owned(), is, value, is_quoted, wanted });
        at = next + 1;
    }
    Ok(conditions)
}

/// Conditions as they were read before quotes had rules: a quote anywhere hides commas, and those around a value are taken away.
fn lenient(text: &str) -> Option<Vec<Condition>> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let condition = |part: &str| {
        let at = part.find(['!', '<', '>', '='])?;
        let (field, rest) = part.split_at(at);
        let (sign, is) = OPERATORS.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
        let value = rest[sign.len()..].trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        let number = serde_json::from_str::<Value>(value).ok().filter(Value::is_number);
        let wanted = number.unwrap_or_else(|| Value::String(value.to_owned()));
        Some(Condition { field: field.trim().to_owned(), is, value: value.to_owned(), is_quoted: false, wanted })
    };
    parts.filter(|p| !p.trim().is_empty()).map(condition).collect()
}

/// The begin of a text, for an error.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Whether a field holds version labels: its own name, without those that it is in.
fn is_version(field: &str) -> bool {
    let name = field.rsplit('.').next().unwrap_or(field);
    name == "version" || name.ends_with("Version")
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Which of two values of a field comes first: numbers by their value, version labels as `mdfm_shared::version` says, all else by its letters.
pub fn order(field: &str, a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => by_number(a, b),
        (Value::String(a), Value::String(b)) if is_version(field) => version::compare(a, b),
        // Compared as text, a missing label would make the order of labels circular.
        (Value::Null, Value::String(_)) if is_version(field) => Ordering::Greater,
        (Value::String(_), Value::Null) if is_version(field) => Ordering::Less,
        _ => text(a).cmp(&text(b)),
    }
}

fn by_number(a: &Number, b: &Number) -> Ordering {
    match (a.as_u64(), b.as_u64()) {
        // Fractions cannot tell large numbers apart.
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
    }
}

impl Condition {
    fn equals(&self, value: &Value) -> bool {
        match (self.value.strip_suffix('*').filter(|_| !self.is_quoted), value) {
            (Some(begin), _) => text(value).starts_with(begin),
            (None, Value::String(label)) if is_version(&self.field) => version::compare(label, &self.value).is_eq(),
            (None, _) => text(value) == self.value,
        }
    }

    /// Where a value stands to the one that is wanted; `None` where there is no value.
    fn compared(&self, value: &Value) -> Option<Ordering> {
        match value {
            Value::Null => None,
            // A label may look like a number.
            Value::String(label) if is_version(&self.field) => Some(version::compare(label, &self.value)),
            _ => Some(order(&self.field, value, &self.wanted)),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        if let Value::Array(several) = value {
            // Something of several is there, or is not.
            return several.iter().any(|v| self.equals(v)) != (self.is == Is::NotEqual);
        }
        let compared = || self.compared(value);
        match self.is {
            Is::Equal => self.equals(value),
            Is::NotEqual => !self.equals(value),
            Is::Less => compared().is_some_and(Ordering::is_lt),
            Is::LessOrEqual => compared().is_some_and(Ordering::is_le),
            Is::Greater => compared().is_some_and(Ordering::is_gt),
            Is::GreaterOrEqual => compared().is_some_and(Ordering::is_ge),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn holds(filter: &str, item: &Value) -> bool {
        let filter = Filter::parse(filter).expect(filter);
        filter.holds(|name| Ok(Cow::Borrowed(&item[name]))).expect("its fields")
    }

    #[test]
    fn fld_9_filters_order_versions_as_people_read_them() {
        let all = ["2.2.0", "2.9.0", "2.9.1", "2.10.0", "2.11.0", "10.0.0"];
        let chosen = |filter: &str| {
            let device = |v: &str| json!({ "currentFirmwareVersion": v, "securityVersion": 3 });
            all.into_iter().filter(|v| holds(filter, &device(v))).collect::<Vec<_>>()
        };
        assert_eq!(chosen("currentFirmwareVersion<2.10.0"), ["2.2.0", "2.9.0", "2.9.1"]);
        assert_eq!(chosen("currentFirmwareVersion>=2.10,currentFirmwareVersion<10"), ["2.10.0", "2.11.0"]);
        assert_eq!(chosen("currentFirmwareVersion>2.9.1-rc1,currentFirmwareVersion<=2.10.0"), ["2.9.1", "2.10.0"]);
        assert_eq!(chosen("currentFirmwareVersion=v2.9.0"), ["2.9.0"]);
        assert_eq!(chosen("currentFirmwareVersion!=2.9.0").len(), 5);
        assert_eq!(chosen("currentFirmwareVersion=2.1*"), ["2.10.0", "2.11.0"]);
        assert_eq!(chosen("securityVersion>=3").len(), 6, "a number is a number");
        let mut sorted = all.map(Value::from);
        sorted.reverse();
        sorted.sort_by(|a, b| order("running.version", a, b));
        assert_eq!(sorted, all.map(Value::from));
    }

    #[test]
    fn fld_22_quotes_are_read_or_refused_where_they_stand() {
        let pump = json!({ "name": "5\" pump, \\blue*", "size": 5 });
        for filter in [r#"name="5\" pump, \\blue*""#, r#" name = "5\" pump, \\blue*" , size=5"#, r#"name=5*"#] {
            let found = filter != "name=5*" || holds("size=5", &pump);
            assert!(found && (filter == "name=5*" || holds(filter, &pump)), "{filter}");
        }
        assert!(!holds(r#"name="5*""#, &pump) && !holds(r#"size="6""#, &pump) && holds(r#"size="5""#, &pump));
        for (filter, position, words) in [
            (r#"name="5 pump"#, 6, "not closed"),
            (r#"size=5,name="a\"#, 15, "behind a backslash"),
            (r#"name="a"b"#, 9, "comma or nothing"),
            (r#"name="a" b,size=5"#, 10, "comma or nothing"),
            (r#"name=5" pump"#, 7, "stands in quotes"),
            (r#"é="a\n""#, 5, "behind a backslash"),
            ("size=5,name", 8, "is not a condition"),
            ("=5", 1, "is not a condition"),
            ("a!5", 1, "is not a condition"),
        ] {
            let refusal = Filter::parse(filter).expect_err(filter);
            assert!(refusal.detail.contains(&format!("at character {position}:")), "{filter}: {refusal}");
            assert!(refusal.detail.contains(words), "{filter}: {refusal}");
            let code = mdfm_shared::fixture::page::symptom("Somebody is refused", "malformed-filter");
            assert_eq!(refusal.code, code.words());
        }
    }

    #[test]
    fn fld_22_filters_on_record_mean_what_they_meant() {
        let old = r#"name=5" pump,size=5"#;
        assert!(Filter::parse(old).is_err());
        let filter = Filter::stored(old).expect("it was taken once");
        let item = json!({ "name": "5\" pump,size=5", "size": 5 });
        assert!(filter.holds(|name| Ok(Cow::Borrowed(&item[name]))).expect("its fields"));
        assert!(Filter::stored("nothing").is_err());
    }

    proptest! {
        #[test]
        fn fld_22_every_quoted_value_is_found_again(value in "\\PC{0,20}", filter in "[a=\"\\\\,<!é ]{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let filter_of = format!("name=\"{quoted}\"");
            let item = json!({ "name": value });
            prop_assert!(holds(&filter_of, &item));
            let _ = Filter::parse(&filter);
        }
    }
}
