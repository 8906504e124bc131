//! Failures that have an exit status of their own without an answer of the coordinator: `docs/cli.md` lists the statuses.

use std::fmt;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NotSignedIn,
    NotFound,
    Value,
    Answer,
}

/// A failure with its words.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Fault {
    kind: Kind,
    words: String,
}

impl Fault {
    /// The exit status.
    pub(crate) fn exit(&self) -> u8 {
        match self.kind {
            Kind::NotSignedIn => 3,
            Kind::NotFound => 4,
            Kind::Value => 6,
            Kind::Answer => 7,
        }
    }
}

/// Nobody is signed in here.
pub(crate) fn not_signed_in(words: impl fmt::Display) -> anyhow::Error {
    Fault { kind: Kind::NotSignedIn, words: words.to_string() }.into()
}

/// There is no such thing.
pub(crate) fn not_found(words: impl fmt::Display) -> anyhow::Error {
    Fault { kind: Kind::NotFound, words: words.to_string() }.into()
}

/// A value is refused here, before anything was sent.
pub(crate) fn value(words: impl fmt::Display) -> anyhow::Error {
    Fault { kind: Kind::Value, words: words.to_string() }.into()
}

/// The coordinator's answer cannot be used.
pub(crate) fn answer(why: impl fmt::Display) -> anyhow::Error {
    Fault { kind: Kind::Answer, words: format!("the coordinator's answer cannot be used: {why}") }.into()
}
