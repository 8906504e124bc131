//! Disposal after retention, outside of the core: what expired is written down before it is proposed, and taken away after it
//! was confirmed, also when the power went in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mdfm_audit::{Field, LogError, Order, Query, SearchIndex};
use mdfm_service::atomic_write;
use mdfm_shared::id::DeploymentId;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::time::UtcMillis;

use crate::runner::Runner;
use mdfm_coordinator_core::State;
use mdfm_coordinator_core::retention::{Expired, Judge, Judged, list_digest};

fn file(dir: &Path, disposal: &str) -> PathBuf {
    dir.join(format!("{disposal}.json"))
}

/// Finds what has expired at a time, and writes it down under the disposal's name.
pub(crate) fn judge(
    search: &SearchIndex,
    runner: &Runner,
    dir: &Path,
    disposal: &str,
    now: UtcMillis,
) -> anyhow::Result<Judged> {
    // A copy: judging a long log takes a while, and the state's lock is everybody's.
    let state = runner.copy_of_state()?;
    let last_changes = last_changes(search, &state)?;
    let mut judge = Judge::new(&state, now, &last_changes);
    runner.log.each(0, state.log_size, |index, entry| {
        if let Some(record) = entry.and_then(|bytes| AuditRecord::from_bytes(bytes).ok()) {
            judge.look(index, &record);
        }
        Ok::<(), LogError>(())
    })?;
    let expired = judge.expired();
    std::fs::create_dir_all(dir)?;
    atomic_write(&file(dir, disposal), &serde_json::to_vec(&expired)?)?;
    let (entries, list_sha256) = (expired.entries.len() as u64, list_digest(&expired.entries));
    Ok(Judged { at: now, log_size: state.log_size, entries, list_sha256 })
}

fn last_changes(search: &SearchIndex, state: &State) -> anyhow::Result<BTreeMap<DeploymentId, UtcMillis>> {
    let mut last = BTreeMap::new();
    for id in state.deployments.keys() {
        let query = Query { fields: vec![(Field::Object, format!("deployment/{id}"))], ..Query::default() };
        let page = search.search(&query, Order::Newest { before: u64::MAX }, 1)?;
        if let Some((_, bytes)) = page.records.first() {
            last.insert(id.clone(), UtcMillis(AuditRecord::from_bytes(bytes)?.at_ms));
        }
    }
    Ok(last)
}

/// What a disposal takes away, as it was written down.
pub(crate) fn load(runner: &Runner, dir: &Path, disposal: &str) -> anyhow::Result<Expired> {
    let path = file(dir, disposal);
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let expired: Expired = serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?;
    let ordered = runner.state().disposals.get(disposal).map(|d| d.list_sha256);
    if ordered != Some(list_digest(&expired.entries)) {
        bail!("{} is not the list that was proposed; nothing was disposed of", path.display());
    }
    Ok(expired)
}

/// Goes on with what was confirmed and not carried out when the coordinator last ended.
pub(crate) fn resume(runner: &Runner, dir: &Path) -> anyhow::Result<()> {
    let open: Vec<String> = {
        let state = runner.state();
        let open = state.disposals.iter().filter(|(_, d)| d.confirmed_by.is_some() && d.carried_out_at.is_none());
        open.map(|(id, _)| id.clone()).collect()
    };
    for disposal in open {
        match load(runner, dir, &disposal) {
            Ok(expired) => runner.dispose(disposal, expired),
            Err(error) => tracing::error!(%disposal, "the disposal cannot go on: {error:#}"),
        }
    }
    Ok(())
}
