//! How the values of options are read: words of a closed set without regard to case, texts that say something, numbers that count.

use std::num::NonZeroUsize;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};

/// The roles of people, as records name them.
pub(crate) const ROLES: &[&str] = &["Admin", "Operator", "Auditor", "Clinical", "QA", "Regulatory", "HospitalStaff"];
/// What became of an act.
pub(crate) const OUTCOMES: &[&str] = &["accepted", "refused"];
/// What gateways report.
pub(crate) const EVENTS: &[&str] = &[
    "agentStarted",
    "deviceAdopted",
    "stateChanged",
    "deviceError",
    "refused",
    "localAction",
    "consent",
    "deviceObserved",
];

/// Reads one of some words; with `ignore_case` of its option it is written as here, however it was typed.
pub(crate) fn one_of(known: &'static [&'static str]) -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(known).map(|typed| {
        known.iter().find(|word| word.eq_ignore_ascii_case(&typed)).map_or(typed, |word| (*word).to_owned())
    })
}

/// Reads a text that is not empty.
pub(crate) fn some_text() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// Reads how many of something are wanted.
///
/// # Errors
/// It is not a whole number of at least 1.
pub(crate) fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "must be a whole number, at least 1".to_owned())
}

#[cfg(test)]
mod tests {
    use mdfm_shared::telemetry::EventKind;

    use super::*;

    #[test]
    fn cli_25_the_words_of_events_are_those_of_gateways() {
        let error = serde_json::from_str::<EventKind>("\"?\"").expect_err("no such event").to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, EVENTS, "{error}");
    }
}
