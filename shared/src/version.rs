//! One order of version labels, for filters, sorting, groups, recalls and ranges (docs/versions.md).
//!
//! It is the order of `dpkg --compare-versions` (Debian Policy §5.6.12: epochs, `~`, numbers by value, a revision behind the last hyphen), with three
//! additions: a `v` before the first digit is passed over, the usual words for pre-releases come before their release (SemVer 2.0.0 §11), and `^` stands
//! for "after this release and before the next" as in RPM.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Words that mark a pre-release, in lower case.
const PRE_RELEASES: [&str; 15] = [
    "alpha",
    "beta",
    "canary",
    "dev",
    "ea",
    "milestone",
    "nightly",
    "pre",
    "prealpha",
    "preview",
    "prerelease",
    "rc",
    "cr",
    "snapshot",
    "testing",
];
/// Comparators in one range.
const COMPARATORS_MAX: usize = 16;
/// Bytes of a range as text.
const RANGE_BYTES_MAX: usize = 1_024;

/// Compares two labels. Labels that differ may be equal in this order (`1.01` and `1.1`).
pub fn compare(a: &str, b: &str) -> Ordering {
    Version::new(a).cmp(&Version::new(b))
}

/// A label, ready to be compared.
#[derive(Debug, Clone)]
pub struct Version {
    /// Digits without leading zeros.
    epoch: String,
    upstream: String,
    revision: String,
}

impl Version {
    /// Takes any text; time and memory grow with its length alone.
    pub fn new(label: &str) -> Self {
        let label = label.trim();
        let label = match label.strip_prefix(['v', 'V']) {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
            _ => label,
        };
        let (epoch, rest) = match label.split_once(':') {
            Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
            _ => ("", label),
        };
        let text = with_marked_pre_release(rest);
        let (upstream, revision) = text.rsplit_once('-').unwrap_or((&text, ""));
        Self {
            epoch: epoch.trim_start_matches('0').to_owned(),
            upstream: upstream.to_owned(),
            revision: revision.to_owned(),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        by_value(&self.epoch, &other.epoch)
            .then_with(|| by_parts(&self.upstream, &other.upstream))
            .then_with(|| by_parts(&self.revision, &other.revision))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// The label with `~` before the first word for a pre-release behind a number, in place of the separator that stands there.
fn with_marked_pre_release(label: &str) -> String {
    // Behind a plus sign is what was built, not what was released.
    let plus = label.find('+').unwrap_or(label.len());
    let bytes = label.as_bytes();
    let mut has_digit = false;
    let mut at = 0;
    while at < plus {
        let byte = bytes[at];
        if !byte.is_ascii_alphabetic() {
            if byte == b'~' {
                break;
            }
            has_digit |= byte.is_ascii_digit();
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let word = label[at..end].to_ascii_lowercase();
        if has_digit && PRE_RELEASES.contains(&word.as_str()) {
            let before = label[..at].strip_suffix(['-', '.', '_', ' ']).unwrap_or(&label[..at]);
            return format!("{before}~{word}{}", &label[end..]);
        }
        at = end;
    }
    label.to_owned()
}

/// Digits by the number that they are, however many.
fn by_value(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Where a character that is no digit stands; the end and digits are 0.
fn weight(c: Option<char>) -> i64 {
    match c {
        Some('~') => -1,
        None => 0,
        Some('^') => 1,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_alphabetic() => i64::from(u32::from(c)),
        // Behind every letter.
        Some(c) => i64::from(u32::from(c)) + 0x0011_0000,
    }
}

/// Compares alternately what is no digit, character by character, and numbers.
fn by_parts(mut a: &str, mut b: &str) -> Ordering {
    let is_word = |c: Option<char>| c.is_some_and(|c| !c.is_ascii_digit());
    while !a.is_empty() || !b.is_empty() {
        let (mut of_a, mut of_b) = (a.chars(), b.chars());
        loop {
            let (x, y) = (of_a.clone().next(), of_b.clone().next());
            if !is_word(x) && !is_word(y) {
                break;
            }
            let ordering = weight(x).cmp(&weight(y));
            if ordering.is_ne() {
                return ordering;
            }
            of_a.next();
            of_b.next();
        }
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (left, right) = (of_a.as_str(), of_b.as_str());
        let ((number_a, rest_a), (number_b, rest_b)) = (left.split_at(digits(left)), right.split_at(digits(right)));
        let ordering = by_value(number_a, number_b);
        if ordering.is_ne() {
            return ordering;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// In the order in which they must be looked for.
const COMPARATORS: [(&str, Comparator); 7] = [
    ("!=", Comparator::NotEqual),
    ("<=", Comparator::LessOrEqual),
    (">=", Comparator::GreaterOrEqual),
    ("==", Comparator::Equal),
    ("=", Comparator::Equal),
    ("<", Comparator::Less),
    (">", Comparator::Greater),
];

/// Versions between others: comparators with a version each, separated by commas, all of which must hold (`>=3.0.0,<3.0.7`). A version without a
/// comparator is that version alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange(Vec<(Comparator, String)>);

/// A text is not a range of versions; contains the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RangeError(String);

impl VersionRange {
    /// Whether a version is in it.
    pub fn holds(&self, label: &str) -> bool {
        let version = Version::new(label);
        self.0.iter().all(|(comparator, bound)| {
            let ordering = version.cmp(&Version::new(bound));
            match comparator {
                Comparator::Equal => ordering.is_eq(),
                Comparator::NotEqual => ordering.is_ne(),
                Comparator::Less => ordering.is_lt(),
                Comparator::LessOrEqual => ordering.is_le(),
                Comparator::Greater => ordering.is_gt(),
                Comparator::GreaterOrEqual => ordering.is_ge(),
            }
        })
    }
}

impl FromStr for VersionRange {
    type Err = RangeError;
    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text.len() > RANGE_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(RangeError(format!("a range has at most {RANGE_BYTES_MAX} printable characters")));
        }
        let comparator = |part: &str| {
            let part = part.trim();
            let found = COMPARATORS.iter().find(|(sign, _)| part.starts_with(sign));
            let (sign, comparator) = found.copied().unwrap_or(("", Comparator::Equal));
            let version = part[sign.len()..].trim();
            if version.is_empty() || version.starts_with(['<', '>', '=', '!']) || version.contains(' ') {
                return Err(RangeError(format!("{part:?} is not a comparator and a version, such as \">=3.0.0\"")));
            }
            Ok((comparator, version.to_owned()))
        };
        let parts: Vec<_> = text.split(',').map(comparator).collect::<Result<_, _>>()?;
        if parts.len() > COMPARATORS_MAX {
            return Err(RangeError(format!("a range has at most {COMPARATORS_MAX} comparators")));
        }
        Ok(Self(parts))
    }
}

impl TryFrom<String> for VersionRange {
    type Error = RangeError;
    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (comparator, version)) in self.0.iter().enumerate() {
            let sign = COMPARATORS.iter().find(|(sign, c)| c == comparator && *sign != "==").map_or("", |(s, _)| s);
            write!(f, "{}{sign}{version}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests;
