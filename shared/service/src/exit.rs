//! Exit codes, after sysexits(3): whoever watches the service can tell causes apart without reading.

use std::process::ExitCode;

use mdfm_shared::text::with_short_words;

use crate::output;

/// The exit status of a coordinator that stops at once because memory and disk could disagree, or without its broker: the next start replays
/// the log.
pub const STOPPED_AT_ONCE: u8 = 70;

/// Why a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Something else.
    Failure,
    /// 66: the state directory or a file in it is missing.
    NoState,
    /// 69: an address is taken, or may not be used.
    Address,
    /// 75: not now; the clock stands before the certificate's time. A later start may succeed.
    Clock,
    /// 77: a secret can be read by others, or not by this program.
    Permission,
    /// 78: the configuration is not valid.
    Config,
}

impl Exit {
    /// The process's exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::NoState => 66,
            Self::Address => 69,
            Self::Clock => 75,
            Self::Permission => 77,
            Self::Config => 78,
        }
    }
}

/// A cause with its exit code; the rest of the error chain stays beneath it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    /// Which code.
    pub exit: Exit,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Stop {
    /// A cause in words: what happened, to what, and what to do.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), source: None }
    }
    /// The same with the error beneath.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

/// Characters of one word of an error: of a value that somebody gave, or of a path.
const WORD_CHARS_MAX: usize = 500;

/// Says why the program ends, and returns the exit code: to a person at a terminal as other tools do, else in one line of the journal.
pub fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let words = with_short_words(&format!("{error:#}"), WORD_CHARS_MAX);
            let exit = error.chain().find_map(|e| e.downcast_ref::<Stop>()).map_or(Exit::Failure, |s| s.exit);
            if output::is_read_by_a_person() {
                let program = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_default();
                let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
                output::note(format_args!("{program}: {words}"));
            } else {
                tracing::error!(event = "exit", code = exit.code(), "{words}");
            }
            ExitCode::from(exit.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_code_of_its_own() {
        let all = [Exit::Failure, Exit::NoState, Exit::Address, Exit::Clock, Exit::Permission, Exit::Config];
        let codes: std::collections::BTreeSet<u8> = all.iter().map(|e| e.code()).collect();
        assert_eq!(codes.len(), all.len());
        let beneath = anyhow::Error::new(Stop::new(Exit::Config, "no")).context("starting");
        assert!(beneath.chain().any(|e| e.downcast_ref::<Stop>().is_some_and(|s| s.exit == Exit::Config)));
    }

    #[test]
    fn cli_14_every_exit_status_is_on_the_page() {
        let status = |row: mdfm_shared::fixture::page::Row| {
            let digits: String = row.cells[0].chars().take_while(char::is_ascii_digit).collect();
            (row.section == "The service does not start").then(|| digits.parse::<u8>().ok()).flatten()
        };
        let shown: std::collections::BTreeSet<u8> =
            mdfm_shared::fixture::page::rows().into_iter().filter_map(status).collect();
        let all = [Exit::Failure, Exit::NoState, Exit::Address, Exit::Clock, Exit::Permission, Exit::Config];
        assert_eq!(shown, all.iter().map(|e| e.code()).chain([STOPPED_AT_ONCE]).collect());
    }
}
