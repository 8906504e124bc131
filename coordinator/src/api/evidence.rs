//! Evidence files: records with their proofs and the keys that signed, for people who trust neither us nor the vendor.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_audit::{
    EVIDENCE_FORMAT, Entry, Evidence, EvidenceRecord, Field, LogError, LogReader, Query as Wanted, SearchIndex,
};
use mdfm_shared::record::AuditRecord;

use super::compliance::{Search, beside};
use super::request::{Origin, Path, Query};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::{Refusal, State as Domain};

/// Records in one file at most; larger sets are exported as the whole log.
const RECORDS_MAX: usize = 50_000;

/// An evidence file of the records that are meant, under the newest published checkpoint.
#[utoipa::path(get, path = "/api/v1/compliance/evidence", params(Search),
    responses((status = 200, content_type = "application/json"), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn evidence(
    State(api): State<Api>,
    origin: Origin,
    Query(search): Query<Search>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::ReadAudit, "audit.export", "log").await?;
    let wanted = search.wanted()?;
    let place = api.workbench.place(&caller).await?;
    let frame = frame(&api.runner.state(), &api.runner.log)?;
    let (index, log) = (api.search.clone(), api.runner.log.clone());
    let about = search.words();
    // The place goes with the work, and on with what it made: a hundred megabytes, or more.
    let (made, _place) = beside(move || Ok((gather(&index, &log, &wanted, about, frame)?, place))).await?;
    let Some(evidence) = made else {
        let detail = format!("more than {RECORDS_MAX} records are meant; name fewer, or export the whole log");
        return Err(Refusal::new(mdfm_coordinator_core::refusal::Class::TooLarge, "too-many-records", detail).into());
    };
    answer(&evidence, "evidence.json")
}

/// An evidence file without records (checkpoint and keys), and the number of entries that its
/// checkpoint covers: proofs are made for that number
/// and no other, though newer checkpoints are published meanwhile.
fn frame(state: &Domain, log: &LogReader) -> Result<(Evidence, u64), Problem> {
    let root = state.need_root()?;
    let (covers, checkpoint) = log.published().ok_or_else(|| Refusal::not_found("checkpoint", "yet"))?;
    let evidence = Evidence {
        format: EVIDENCE_FORMAT.into(),
        about: String::new(),
        made_at: state.not_before(clock::now()).to_string(),
        log_key: root.log.clone(),
        witness_keys: root.witnesses.keys.clone(),
        witness_threshold: root.witnesses().threshold(),
        checkpoint,
        trust_roots: state.roots.clone(),
        roster: state.roster_document.clone(),
        records: Vec::new(),
    };
    Ok((evidence, covers.size))
}

/// An evidence file of one record, under the newest published checkpoint.
#[utoipa::path(get, path = "/api/v1/compliance/evidence/{index}", params(("index" = String, Path)),
    responses((status = 200, content_type = "application/json"), (status = 404, body = Problem)))]
pub(super) async fn of_record(
    State(api): State<Api>,
    origin: Origin,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAudit, "audit.export", "log").await?;
    let entry: u64 = super::request::id("index", &index)?;
    let frame = frame(&api.runner.state(), &api.runner.log)?;
    let (index, log) = (api.search.clone(), api.runner.log.clone());
    let made = beside(move || gather_one(&index, &log, entry, frame)).await?;
    let missing = || Refusal::not_found("readable log entry under the newest checkpoint:", entry);
    answer(&made.ok_or_else(missing)?, &format!("evidence-{entry}.json"))
}

/// An evidence file as a download.
fn answer(evidence: &Evidence, name: &str) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec_pretty(evidence).map_err(|e| Problem::internal("evidence does not encode", &e))?;
    let disposition = (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    Ok(([(header::CONTENT_TYPE, "application/json".to_owned()), disposition], bytes).into_response())
}

/// The gateway whose batch a record carries.
fn batch_gateway(bytes: &[u8]) -> Option<String> {
    let record = AuditRecord::from_bytes(bytes).ok().filter(|record| record.action == "telemetry.commit")?;
    record.object.strip_prefix("gateway/").map(str::to_owned)
}

/// Fills a file with one record; `None` if no checkpoint covers it, or if it was disposed of.
fn gather_one(
    index: &SearchIndex,
    log: &LogReader,
    entry: u64,
    (mut evidence, size): (Evidence, u64),
) -> Result<Option<Evidence>, LogError> {
    if entry >= size {
        return Ok(None);
    }
    let Some(Entry::Bytes(bytes)) = log.entry(entry)? else { return Ok(None) };
    let gateways = batch_gateway(&bytes).into_iter().collect();
    fill(index, log, size, &mut evidence, [entry].into(), gateways)?;
    evidence.about = format!("entry {entry}");
    Ok(Some(evidence))
}

/// Fills a file with the records meant, and those that hold the keys of the gateways in them. None for too many.
fn gather(
    index: &SearchIndex,
    log: &LogReader,
    wanted: &Wanted,
    about: String,
    (mut evidence, size): (Evidence, u64),
) -> Result<Option<Evidence>, LogError> {
    let mut found: BTreeSet<u64> = BTreeSet::new();
    let mut gateways: BTreeSet<String> = BTreeSet::new();
    index.each(wanted, size, |i, bytes| {
        if found.len() <= RECORDS_MAX {
            found.insert(i);
        }
        gateways.extend(batch_gateway(bytes));
        Ok::<(), LogError>(())
    })?;
    if found.len() > RECORDS_MAX {
        return Ok(None);
    }
    fill(index, log, size, &mut evidence, found, gateways)?;
    evidence.about = about;
    Ok(Some(evidence))
}

/// Adds records with their proofs, and the records that hold the keys of gateways.
fn fill(
    index: &SearchIndex,
    log: &LogReader,
    size: u64,
    evidence: &mut Evidence,
    mut found: BTreeSet<u64>,
    gateways: BTreeSet<String>,
) -> Result<(), LogError> {
    for gateway in gateways {
        let fields = vec![(Field::Action, "gateway.enrol".to_owned()), (Field::Gateway, gateway)];
        index.each(&Wanted { fields, ..Wanted::default() }, size, |i, _| {
            found.insert(i);
            Ok::<(), LogError>(())
        })?;
    }
    for i in found {
        let (Some(Entry::Bytes(bytes)), Some(proof)) = (log.entry(i)?, log.inclusion(i, size)?) else { continue };
        // Records are JSON: text.
        let Ok(entry) = String::from_utf8(bytes) else { continue };
        let proof = proof.iter().map(|hash| STANDARD.encode(hash)).collect();
        evidence.records.push(EvidenceRecord { index: i, entry, proof });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mdfm_audit::{AuditLog, Options};
    use mdfm_coordinator_core::fixture::example;
    use mdfm_shared::fixture::key;
    use mdfm_shared::tlog::{Hash, NoteSigner, leaf_hash, verify_inclusion};

    use super::*;

    #[test]
    fn sec_console_proofs_fit_the_checkpoint_of_the_file() {
        let dir = std::env::temp_dir().join(format!("mdfm-evidence-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let (state, entries) = example();
        let signer = NoteSigner::new("log.example", key(9)).expect("good name");
        let mut log = AuditLog::open(&dir, signer, Options::default()).expect("opens");
        let (first, rest) = entries.split_at(entries.len() / 2);
        log.append(first).expect("appends");
        let publish = |log: &mut AuditLog| {
            let (_, note) = log.sign_checkpoint().expect("signs");
            log.publish(&note).expect("publishes");
        };
        publish(&mut log);
        let reader = log.reader();
        let framed = frame(&state, &reader).expect("a checkpoint");
        let size = framed.1;
        let root = reader.root_at(size).expect("reads").expect("a root");
        // A newer checkpoint is published before the records are read.
        log.append(rest).expect("appends");
        publish(&mut log);
        let search = SearchIndex::open(log.reader()).expect("opens");
        let made = gather_one(&search, &reader, 3, framed.clone()).expect("reads").expect("it is covered");
        let record = made.records.iter().find(|record| record.index == 3).expect("the record");
        let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        let path: Vec<Hash> = record.proof.iter().map(|text| hash(text).expect("a hash")).collect();
        verify_inclusion(3, size, &leaf_hash(record.entry.as_bytes()), &path, &root).expect("it fits");
        assert_eq!(made.about, "entry 3");
        assert!(gather_one(&search, &reader, size, framed).expect("reads").is_none(), "not under this checkpoint");
        let _ = std::fs::remove_dir_all(&dir);
    }
}
