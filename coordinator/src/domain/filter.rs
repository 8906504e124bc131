//! The one language in which objects are picked: lists of the API, groups of devices.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::Refusal;

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
    /// The value as what it is compared with: a number where it is one.
    wanted: Value,
}

/// Conditions all of which must hold; without any everything passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter(Vec<Condition>);

impl Filter {
    /// Reads `field=value,other>=7`.
    ///
    /// # Errors
    /// Which part is no condition, or that there are too many.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        conditions(text).map(Self)
    }

    /// Whether all conditions hold of what has these fields.
    ///
    /// # Errors
    /// Those of `field`: there is none of that name.
    pub(crate) fn holds<'v>(&self, field: impl Fn(&str) -> Result<Cow<'v, Value>, Refusal>) -> Result<bool, Refusal> {
        for condition in &self.0 {
            if !condition.holds(&*field(&condition.field)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks that every field that is named is there.
    ///
    /// # Errors
    /// Those of `field`.
    pub(crate) fn check<'v>(&self, field: impl Fn(&str) -> Result<Cow<'v, Value>, Refusal>) -> Result<(), Refusal> {
        self.0.iter().try_for_each(|condition| field(&condition.field).map(drop))
    }

    /// Whether there is no condition.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The parts of a filter between commas that are not in quotes.
fn parts(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .collect()
}

fn conditions(text: &str) -> Result<Vec<Condition>, Refusal> {
    let parts = parts(text);
    if parts.len() > CONDITIONS_MAX {
        return Err(Refusal::invalid("filter", format!("at most {CONDITIONS_MAX} conditions")));
    }
    let condition = |part: &str| {
        let at = part
            .find(['!', '<', '>', '='])
            .ok_or_else(|| Refusal::invalid("filter", format!("{part:?} is no condition")))?;
        let (field, rest) = part.split_at(at);
        let (sign, is) = OPERATORS
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(|| Refusal::invalid("filter", format!("{part:?} is no condition")))?;
        let value = rest[sign.len()..].trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        let number = serde_json::from_str::<Value>(value).ok().filter(Value::is_number);
        let wanted = number.unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Condition { field: field.trim().to_owned(), is, value: value.to_owned(), wanted })
    };
    parts.into_iter().filter(|p| !p.trim().is_empty()).map(condition).collect()
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Which of two comes first: numbers by their value, all else by its letters.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text(a).cmp(&text(b)),
    }
}

impl Condition {
    fn equals(&self, value: &Value) -> bool {
        match self.value.strip_suffix('*') {
            Some(begin) => text(value).starts_with(begin),
            None => text(value) == self.value,
        }
    }

    fn holds(&self, value: &Value) -> bool {
        if let Value::Array(several) = value {
            // Something of several is there, or is not.
            return several.iter().any(|v| self.equals(v)) != (self.is == Is::NotEqual);
        }
        let compared = || (!value.is_null()).then(|| order(value, &self.wanted));
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
