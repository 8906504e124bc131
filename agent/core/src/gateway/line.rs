//! The connection to the coordinator, as the gateway sees it: whether it stands, and why it does not.

use std::fmt;

use mdfm_shared::limits::DETAIL_CHARS_MAX;
use mdfm_shared::text;

use super::{Gateway, Output};
use crate::installer::Now;
use crate::store::Store;

/// Why there is no connection. It is for people alone: nothing that the gateway decides depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineProblem {
    /// The coordinator says, over a TLS connection that shows its own certificate, that the vendor has revoked this gateway.
    Revoked,
    /// In the same way: the gateway's certificate was replaced, or has expired.
    Outdated,
    /// Something else failed.
    Failed(String),
}

impl LineProblem {
    /// In words, cut to what a person reads.
    pub fn failed(words: impl fmt::Display) -> Self {
        let mut words = text::without_library_words(&words.to_string()).into_owned();
        text::clip(&mut words, DETAIL_CHARS_MAX);
        Self::Failed(words)
    }
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => f.write_str(
                "the vendor has revoked this gateway; its devices keep what they run. To serve them again, ask the vendor to register a new \
                 gateway, then enrol here with its token (mdfm-agent enrol --again)",
            ),
            Self::Outdated => f.write_str(
                "the coordinator refuses this gateway's certificate: another enrolment replaced it, or it has expired. Ask the vendor whether \
                 another machine uses this gateway's identity, and for a token; then enrol here (mdfm-agent enrol --again)",
            ),
            Self::Failed(words) => f.write_str(words),
        }
    }
}

impl<S: Store> Gateway<S> {
    /// The connection to the coordinator stands.
    pub fn link_up(&mut self, now: Now) {
        self.connected = true;
        self.line_problem = None;
        self.hears_authority = false;
        self.hears_questions = false;
        self.outputs.push_back(Output::Hello);
        self.outputs.extend(self.trust.missing_releases().into_iter().map(Output::WantRelease));
        self.outbox.reconnected(now.mono);
        self.next_heartbeat = now.mono;
    }

    /// The connection to the coordinator broke, or could not be made.
    pub fn link_down(&mut self) {
        self.connected = false;
        self.outbox.disconnected();
    }

    /// Notes why the last try to connect failed.
    pub fn note_line_problem(&mut self, problem: LineProblem) {
        self.line_problem = Some(problem);
    }

    /// Whether the coordinator says that the vendor has revoked this gateway.
    pub fn is_revoked(&self) -> bool {
        self.line_problem == Some(LineProblem::Revoked)
    }

    /// How the connection is, in words.
    pub fn line_in_words(&self) -> String {
        match &self.line_problem {
            _ if self.connected => "connected".into(),
            None => "no connection to the coordinator".into(),
            Some(problem) => format!("no connection to the coordinator: {problem}"),
        }
    }

    /// What is special about the missing connection, for the reason of a device; empty if nothing is known for certain.
    pub(super) fn line_detail(&self) -> String {
        match &self.line_problem {
            Some(problem @ (LineProblem::Revoked | LineProblem::Outdated)) => problem.to_string(),
            Some(LineProblem::Failed(_)) | None => String::new(),
        }
    }
}
