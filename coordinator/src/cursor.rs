//! How far a reader of the audit log has come, in a file of its own.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context;
use mdfm_service::atomic_write;

/// The place; durable.
pub(crate) struct Cursor {
    file: PathBuf,
}

impl Cursor {
    /// Gives the cursor and the first entry to look at: where it was left, or for a new one the log's end. A log that is shorter is another one.
    ///
    /// # Errors
    /// The file cannot be read, or made.
    pub(crate) fn open(file: PathBuf, log_size: u64) -> anyhow::Result<(Self, u64)> {
        let cursor = Self { file };
        let first = match std::fs::read_to_string(&cursor.file) {
            Ok(text) => text.trim().parse().unwrap_or(log_size).min(log_size),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                cursor.keep(log_size)?;
                log_size
            }
            Err(e) => return Err(e).with_context(|| format!("reading {}", cursor.file.display())),
        };
        Ok((cursor, first))
    }

    /// Everything before `next` is done.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn keep(&self, next: u64) -> anyhow::Result<()> {
        Ok(atomic_write(&self.file, next.to_string().as_bytes())?)
    }
}
