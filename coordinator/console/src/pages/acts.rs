//! What all forms have: after an act either the next page, or the same one with the reason and what
//! was typed.

use axum::response::Response;
use serde_json::{Map, Value};

use crate::api::Answer;
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::Page;

/// What a form that was refused brings back to its page.
pub(crate) type Refused<'a> = Option<(&'a Form, &'a Refusal)>;

/// Splits the refusal of an act, which its own page shows, from other failures.
///
/// # Errors
/// The other failures.
pub(crate) fn settle(result: Result<Answer, Failure>) -> Result<Result<Answer, Refusal>, Failure> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
        Err(other) => Err(other),
    }
}

/// Makes a page, after a refusal with the reason and what was typed.
///
/// # Errors
/// A defect of the template.
pub(crate) fn show(page: &Page, template: &str, context: Value, refused: Refused<'_>) -> Result<Response, Failure> {
    match refused {
        Some((form, refusal)) => page.render_refused(template, context, form, refusal),
        None => page.render(template, context),
    }
}

/// Checks what must be typed before something that cannot be undone.
///
/// # Errors
/// It is something else.
pub(crate) fn check_typed(form: &Form, expected: &str) -> Result<(), Refusal> {
    if form.text("typed") == expected {
        return Ok(());
    }
    let given = form.text("typed");
    Err(Refusal::of_input(
        "not-confirmed",
        format!("To confirm, type \u{201c}{expected}\u{201d}. You typed \u{201c}{given}\u{201d}. Nothing was changed."),
    ))
}

/// The fields of a body that are not empty, by the API's name and the form's.
pub(crate) fn body(form: &Form, fields: &[(&str, &str)]) -> Map<String, Value> {
    let given = fields.iter().map(|(name, field)| ((*name).to_owned(), form.optional(field)));
    given.filter(|(_, value)| !value.is_null()).collect()
}

/// The fields of a merge patch (RFC 7396): what differs from what was shown; `null` takes away what
/// may be absent.
pub(crate) fn patch(form: &Form, shown: &Value, fields: &[(&str, &str)]) -> Map<String, Value> {
    let given = fields.iter().map(|(name, field)| ((*name).to_owned(), form.optional(field)));
    given.filter(|(name, value)| shown[name] != *value).collect()
}
