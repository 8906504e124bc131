//! Logging: structured records to journald under systemd, lines on standard error elsewhere; one JSON object a line with
//! `MDFM_LOG_FORMAT=json`.
//!
//! In the journal every field of an event becomes `MDFM_<FIELD>`: `journalctl MDFM_DEVICE=DEV-12345` finds all that concerns one
//! device. `CODE_FILE`, `CODE_LINE` and `CODE_MODULE` say where it was written.

use std::fmt::Write as _;

use log::{Level as LogLevelOf, Log as _, Record};
use mdfm_shared::text::{clip, printable};
use systemd_journal_logger::JournalLog;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::output::LogLines;

/// The text is no level or filter.
#[derive(Debug, thiserror::Error)]
#[error("log level {0:?} is not error, warn, info, debug, trace, or a filter such as info,mdfm_agent::link=debug")]
pub struct LevelError(String);

/// The level of a running program.
#[derive(Clone)]
pub struct LogLevel {
    handle: reload::Handle<Targets, Registry>,
    quiet: &'static str,
}

impl std::fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogLevel")
    }
}

fn filter(level: &str, quiet: &str) -> Result<Targets, LevelError> {
    format!("{quiet}{level}").parse::<Targets>().map_err(|_| LevelError(level.to_owned()))
}

impl LogLevel {
    /// Sets the level from now on; the environment's `MDFM_LOG` wins.
    ///
    /// # Errors
    /// The text is no level.
    pub fn set(&self, level: &str) -> Result<(), LevelError> {
        let level = std::env::var("MDFM_LOG").unwrap_or_else(|_| level.to_owned());
        let filter = filter(&level, self.quiet)?;
        self.handle.reload(filter).map_err(|_| LevelError(level))
    }
}

/// What a daemon does on SIGHUP: takes the level of its configuration, which was just read again; says so, or why not.
pub fn take_up_level(level: &LogLevel, configured: Result<String, crate::Stop>) {
    match configured.map(|text| level.set(&text)) {
        Ok(Ok(())) => tracing::info!("log level taken from the configuration; other keys need a restart"),
        Ok(Err(error)) => tracing::error!(%error, "the log level stays as it is"),
        Err(error) => tracing::error!(%error, "the log level stays as it is"),
    }
}

/// Starts logging at `info`; `quiet` are filters for chatty libraries, such as `rumqttd=error,`.
///
/// # Errors
/// journald is there but cannot be reached.
pub fn start_logging(quiet: &'static str) -> anyhow::Result<LogLevel> {
    let level = std::env::var("MDFM_LOG").unwrap_or_else(|_| "info".into());
    let (filter, handle) = reload::Layer::new(filter(&level, quiet)?);
    let registry = tracing_subscriber::registry().with(filter);
    if std::env::var("MDFM_LOG_FORMAT").is_ok_and(|format| format == "json") {
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(LogLines { json: true });
        registry.with(lines).try_init()?;
    } else if systemd_journal_logger::connected_to_journal() {
        registry.with(Journal(JournalLog::new()?)).try_init()?;
    } else {
        // Without colours: an escape sequence of our own could not be told from one that somebody sent.
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(LogLines { json: false });
        registry.with(lines).try_init()?;
    }
    Ok(LogLevel { handle, quiet })
}

struct Journal(JournalLog);

/// Characters of one field, or of the message, in the journal.
const VALUE_CHARS_MAX: usize = 8 * 1024;

/// One event's message and fields as text.
#[derive(Default)]
struct Fields {
    message: String,
    pairs: Vec<(String, String)>,
}

impl Fields {
    /// Takes a value as a reader may see it: `journalctl` shows messages on terminals.
    fn add(&mut self, field: &Field, value: &str) {
        let mut value = printable(value).into_owned();
        clip(&mut value, VALUE_CHARS_MAX);
        if field.name() == "message" {
            self.message = value;
        } else {
            self.pairs.push((format!("MDFM_{}", field.name()), value));
        }
    }
    /// The message with its fields, as a person reads it.
    fn words(&self) -> String {
        let mut words = self.message.clone();
        for (name, value) in &self.pairs {
            let _ = write!(words, " {}={value}", name.trim_start_matches("MDFM_"));
        }
        words
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.add(field, &text);
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => LogLevelOf::Error,
            Level::WARN => LogLevelOf::Warn,
            Level::INFO => LogLevelOf::Info,
            Level::DEBUG => LogLevelOf::Debug,
            Level::TRACE => LogLevelOf::Trace,
        };
        let pairs: Vec<(&str, &str)> = fields.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let pairs = pairs.as_slice();
        self.0.log(
            &Record::builder()
                .level(level)
                .target(metadata.target())
                .file(metadata.file())
                .line(metadata.line())
                .module_path(metadata.module_path())
                .args(format_args!("{}", fields.words()))
                .key_values(&pairs)
                .build(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_taken_and_nonsense_is_named() {
        for good in ["info", "debug", "warn,mdfm_agent::link=trace"] {
            assert!(filter(good, "rumqttd=error,").is_ok(), "{good}");
        }
        assert!(filter("info,mdfm=loud", "").is_err_and(|e| e.to_string().contains("loud")));
    }
}
