//! Why a request was refused: one form for the API, the command line and the audit log.

use mdfm_shared::digest::Digest;

/// The class of a refusal; fixes the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 400: the request cannot be read.
    Malformed,
    /// 401: who asks is not known.
    Unauthenticated,
    /// 403: who asks may not.
    Forbidden,
    /// 404: the object does not exist.
    NotFound,
    /// 405: the path does not take the method.
    NotAllowed,
    /// 408: it came too slowly.
    TooSlow,
    /// 409: the object's state does not allow it.
    Conflict,
    /// 412: the object is not what it was.
    Precondition,
    /// 413: too large.
    TooLarge,
    /// 422: a field or a document is wrong.
    Invalid,
    /// 429: too often.
    TooOften,
    /// 503: not now.
    Unavailable,
    /// 507: the disk has no room for what is not urgent.
    NoRoom,
}

/// A refusal with a stable code, what is wrong and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub class: Class,
    /// Stable, in kebab case; the last part of the problem type (RFC 9457).
    pub code: &'static str,
    pub detail: String,
}

impl Refusal {
    pub fn new(class: Class, code: &'static str, detail: impl Into<String>) -> Self {
        Self { class, code, detail: detail.into() }
    }
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Class::NotFound, "not-found", format!("there is no {what} {id}"))
    }
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Class::Conflict, code, detail)
    }
    pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        Self::new(Class::Invalid, "invalid-field", format!("{field}: {problem}"))
    }
    pub fn document(code: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::new(Class::Invalid, code, cause.to_string())
    }
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Class::Forbidden, code, detail)
    }
    pub fn exists(what: &str, id: impl std::fmt::Display) -> Self {
        Self::conflict("exists", format!("{what} {id} exists already; ids are never used twice"))
    }
    pub fn digest_mismatch(what: &str, expected: Digest, found: Digest) -> Self {
        Self::new(Class::Invalid, "digest-mismatch", format!("{what}: expected SHA-256 {expected}, found {found}"))
    }
}
