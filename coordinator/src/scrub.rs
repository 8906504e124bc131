//! The scrub in the background: reads the whole store again and again, slowly, and says what is no longer what was written.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mdfm_audit::Scrub;
use mdfm_shared::time::UtcMillis;

use crate::clock;
use crate::runner::Runner;
use mdfm_coordinator_core::Command;
use mdfm_coordinator_core::desk::system;
use mdfm_coordinator_core::event::Damage;

/// Bytes read in a second at most, so that the work of the day does not notice.
const BYTES_PER_SECOND: u64 = 32 << 20;
/// Time between the end of a pass and the next.
const PAUSE: Duration = Duration::from_secs(24 * 3_600);
/// Findings of one pass that get a record; the rest is in the journal.
const RECORDED_MAX: usize = 100;

/// The last pass and when it ended.
#[derive(Clone, Default)]
pub(crate) struct ScrubStatus(Arc<Mutex<Option<(UtcMillis, Scrub)>>>);

impl ScrubStatus {
    pub(crate) fn last(&self) -> Option<(UtcMillis, Scrub)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the thread.
pub(crate) fn start(runner: Runner) -> std::io::Result<ScrubStatus> {
    let status = ScrubStatus::default();
    let shown = status.clone();
    let handle = tokio::runtime::Handle::current();
    let work = move || {
        loop {
            match runner.log.scrub(|bytes| {
                std::thread::sleep(Duration::from_millis(bytes.saturating_mul(1_000) / BYTES_PER_SECOND));
                ControlFlow::Continue(())
            }) {
                Ok(pass) => {
                    tracing::info!(entries = pass.entries, findings = pass.findings.len(), "audit log scrubbed");
                    handle.block_on(report(&runner, &pass));
                    *shown.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((clock::now(), pass));
                }
                Err(error) => tracing::error!(%error, "the audit log cannot be scrubbed"),
            }
            std::thread::sleep(PAUSE);
        }
    };
    std::thread::Builder::new().name("scrub".into()).spawn(work)?;
    Ok(status)
}

async fn report(runner: &Runner, pass: &Scrub) {
    for (i, finding) in pass.findings.iter().enumerate() {
        let (file, entry, position, what) = (&finding.file, finding.entry, finding.position, finding.what);
        tracing::error!(file, position, entry, "the audit store is damaged: {what}");
        if finding.derived && std::fs::remove_file(file).is_ok() {
            tracing::warn!(file, "removed; it follows from the segments and is rebuilt at the next start");
        }
        if i < RECORDED_MAX {
            let damage = Damage { file: file.clone(), position, entry, what: what.to_owned() };
            if let Err(refusal) = runner.submit(system(), None, Command::NoteDamage(damage)).await {
                tracing::error!(%refusal, "the damage cannot be recorded");
            }
        }
    }
}
