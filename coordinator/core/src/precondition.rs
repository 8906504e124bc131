//! Changes that depend on what an object was when its changer looked (RFC 9110 §13.1.1): compared where commands are decided, so that nothing
//! comes between.

use mdfm_shared::digest::Digest;

use super::refusal::Class;
use super::{Refusal, State};

/// Characters of a tag.
const TAG_CHARS: usize = 32;

/// The tag of an object: a digest of what the audit log would show of it now. Readings that no record makes, such as who is attached, are no
/// part of it.
pub fn tag(state: &State, object: &str) -> Option<String> {
    let view = serde_json::to_vec(&state.view(object)?).ok()?;
    Some(Digest::of(&view).to_string().chars().take(TAG_CHARS).collect())
}

/// Checks that the object is still one of the `expected`; `*` is whatever exists.
///
/// # Errors
/// It changed, or is not there.
pub fn check(state: &State, object: &str, expected: &[String]) -> Result<(), Refusal> {
    let found = tag(state, object);
    if found.is_some_and(|found| expected.iter().any(|e| *e == found || e == "*")) {
        return Ok(());
    }
    let detail = format!("{object} is not what it was when you looked; read it again, then decide");
    Err(Refusal::new(Class::Precondition, "changed-meanwhile", detail))
}
