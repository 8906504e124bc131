//! The audit log without a coordinator: a copy is verified each time that something is read from it, and read in the same pass.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use mdfm_audit::{EVIDENCE_BYTES_MAX, Evidence, EvidenceError, EvidenceFindings, Matcher, Order, Query, read_copy};
use mdfm_service::output::note;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{NoteError, NoteKey, WitnessKey, WitnessPolicy};
use serde_json::{Map, Value, json};

use crate::address::Object;
use crate::fault;
use crate::records;

/// Records of one answer.
const LIMIT_MAX: u64 = 10_000;

/// The keys by which a copy is verified.
#[derive(Debug, Default, Args)]
pub(crate) struct Keys {
    /// The log's verifier key, or a file with it. Evidence brings its own, whose history you must then compare.
    #[arg(long = "log-vkey", alias = "key")]
    pub(crate) key: Option<String>,
    /// Verifier key of a witness that must have cosigned, or a file with it.
    #[arg(long)]
    pub(crate) witness: Vec<String>,
    /// How many of the witnesses must have; all of them unless given.
    #[arg(long, requires = "witness")]
    witness_threshold: Option<usize>,
}

/// A key given as text, or as a file with it.
fn read_key<K>(option: &str, given: &str, parse: impl Fn(&str) -> Result<K, NoteError>) -> anyhow::Result<K> {
    if !Path::new(given).exists() {
        let refused = |_| fault::value(format!("{option} {given}: neither a verifier key nor a file that exists"));
        return parse(given.trim()).map_err(refused);
    }
    let refused =
        |error| fault::value(format!("{option} {given}: the file holds no verifier key of this kind: {error}"));
    parse(crate::files::read_text(Path::new(given))?.trim()).map_err(refused)
}

impl Keys {
    pub(crate) fn log(&self) -> anyhow::Result<Option<NoteKey>> {
        self.key.as_ref().map(|key| read_key("--log-vkey", key, NoteKey::parse)).transpose()
    }

    /// The log's key, without which a copy of the log proves nothing.
    pub(crate) fn log_needed(&self) -> anyhow::Result<NoteKey> {
        self.log()?.context("--log-vkey is needed: the log's verifier key, which the vendor's trust root names")
    }

    pub(crate) fn policy(&self) -> anyhow::Result<WitnessPolicy> {
        let read = |w: &String| Ok(read_key("--witness", w, WitnessKey::parse)?.to_vkey());
        let witnesses = self.witness.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
        let threshold = self.witness_threshold.unwrap_or(witnesses.len());
        WitnessPolicy::new(witnesses.iter().map(String::as_str), threshold)
            .map_err(|_| fault::value("--witness: a witness is named twice, or more are demanded than there are"))
    }

    fn is_given(&self) -> bool {
        self.key.is_some() || !self.witness.is_empty()
    }
}

/// Whether a copy is read in place of the coordinator, and by which keys it is verified.
#[derive(Debug, Default, Args)]
pub(crate) struct Offline {
    /// Read this copy in place of the coordinator, offline: an exported log, the `log` directory of a backup, static tiles, or, except
    /// for the past of an object, an evidence file. It is verified first, by `--log-vkey`.
    #[arg(long, value_name = "DIR|FILE")]
    copy: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
}

impl Offline {
    /// The copy; `None` if the coordinator is to be asked.
    ///
    /// # Errors
    /// Keys are given without a copy.
    pub(crate) fn copy(self) -> anyhow::Result<Option<Copy>> {
        match self.copy {
            Some(path) => Ok(Some(Copy { path, keys: self.keys })),
            None => {
                ensure!(!self.keys.is_given(), "--log-vkey and --witness verify a copy: name it with --copy");
                Ok(None)
            }
        }
    }
}

/// Reads the evidence in a file.
pub(crate) fn read_evidence(path: &Path) -> anyhow::Result<Vec<u8>> {
    crate::files::read_within(path, EVIDENCE_BYTES_MAX as u64)
}

/// Verifies evidence by the keys that are given. Without a record nothing was found: that is no verdict.
///
/// # Errors
/// The first thing that is wrong, or there are no records.
pub(crate) fn verify_evidence(evidence: &Evidence, keys: &Keys) -> anyhow::Result<EvidenceFindings> {
    let (key, policy) = (keys.log()?, keys.policy()?);
    let found = evidence.verify(key.as_ref(), (!keys.witness.is_empty()).then_some(&policy));
    found.map_err(|error| match error {
        EvidenceError::Empty => fault::not_found(error),
        other => other.into(),
    })
}

/// A copy of the log, or evidence from it.
pub(crate) struct Copy {
    path: PathBuf,
    keys: Keys,
}

impl Copy {
    /// Calls `each` with every record of the copy, in order, and verifies the copy. Nothing that `each` got counts before this returns.
    ///
    /// # Errors
    /// The first thing that is wrong with the copy.
    fn each(&self, mut each: impl FnMut(u64, &[u8])) -> anyhow::Result<()> {
        if self.path.is_dir() {
            let policy = self.keys.policy()?;
            let found = read_copy(&self.path, &self.keys.log_needed()?, &policy, &mut each)?;
            if found.beyond > 0 || found.torn_end {
                note(format_args!(
                    "{} after the checkpoint are not signed for and not shown",
                    crate::output::count(found.beyond, "entry")
                ));
            }
            return Ok(());
        }
        let evidence = Evidence::parse(&read_evidence(&self.path)?)?;
        verify_evidence(&evidence, &self.keys)?;
        if self.keys.key.is_none() {
            note("CONSISTENT, but whose log this is was not checked: give the log's verifier key with --log-vkey");
        }
        let mut records: Vec<_> = evidence.records.iter().collect();
        records.sort_by_key(|record| record.index);
        records.iter().for_each(|record| each(record.index, record.entry.as_bytes()));
        Ok(())
    }

    /// A page of what is found, as the API answers.
    pub(crate) fn search(&self, query: &Query, order: Order, limit: u64) -> anyhow::Result<Value> {
        let limit = usize::try_from(limit.clamp(1, LIMIT_MAX))?;
        let mut found = Found::new(order, limit);
        let matcher = Matcher::new(query);
        self.each(|index, bytes| {
            if found.takes(index) && matcher.is_met_by(bytes) {
                found.push(index, bytes);
            }
        })?;
        Ok(found.page())
    }

    /// One record with its place in the log.
    pub(crate) fn record(&self, wanted: u64) -> anyhow::Result<Value> {
        let (mut found, mut last) = (None, None);
        self.each(|index, bytes| {
            last = Some(index);
            if index == wanted {
                found = records::indexed(index, bytes);
            }
        })?;
        found.ok_or_else(|| match last {
            Some(last) if wanted > last => {
                fault::not_found(format!("there is no entry {wanted} in the copy; its last one is {last}"))
            }
            _ => fault::not_found(format!(
                "there is no entry {wanted} in the copy, or it was disposed of after retention"
            )),
        })
    }

    /// An object as the records up to a time show it, as the API answers: the last record that shows it, and of a device what gateways
    /// reported of it beside.
    pub(crate) fn state(&self, object: &Object, at_ms: u64) -> anyhow::Result<Value> {
        ensure!(
            self.path.is_dir(),
            "the past of an object needs the whole log: {} is evidence, which holds chosen records alone",
            self.path.display()
        );
        let device = (object.kind() == "device").then(|| object.id());
        let (name, mut size, mut state) = (object.name(), 0, Value::Null);
        let (mut reported, mut last_ms) = (Map::new(), 0);
        self.each(|index, bytes| {
            let Some(record) = records::indexed(index, bytes) else { return };
            last_ms = record["atMs"].as_u64().unwrap_or(last_ms);
            if last_ms > at_ms {
                return;
            }
            size = index + 1;
            if record["outcome"] != "accepted" {
                return;
            }
            if record["object"] == name.as_str() && !record["after"].is_null() {
                state = record["after"].clone();
            }
            if let Some(device) = device {
                records::reported_by(&record, device, &mut reported);
            }
        })?;
        if last_ms < at_ms {
            note(format_args!("the copy ends at {}; what came after that is not in it", UtcMillis(last_ms)));
        }
        if !reported.is_empty() && state.is_object() {
            state["reported"] = Value::Object(reported);
        }
        Ok(json!({ "object": name, "logSize": size, "state": state }))
    }
}

/// A page that is put together: the first records from a place on, or the last before one.
struct Found {
    order: Order,
    limit: usize,
    records: VecDeque<(u64, Vec<u8>)>,
    has_more: bool,
}

impl Found {
    fn new(order: Order, limit: usize) -> Self {
        Self { order, limit, records: VecDeque::new(), has_more: false }
    }

    fn takes(&self, index: u64) -> bool {
        match self.order {
            Order::Oldest { from } => index >= from && !self.has_more,
            Order::Newest { before } => index < before,
        }
    }

    fn push(&mut self, index: u64, bytes: &[u8]) {
        if self.records.len() == self.limit {
            self.has_more = true;
            if matches!(self.order, Order::Oldest { .. }) {
                return;
            }
            self.records.pop_front();
        }
        self.records.push_back((index, bytes.to_vec()));
    }

    fn page(self) -> Value {
        // As the API has it: oldest first it goes on at the next entry, newest first before the last one shown.
        let (last, is_newest) = match self.order {
            Order::Oldest { .. } => (self.records.back().map(|(index, _)| index + 1), false),
            Order::Newest { .. } => (self.records.front().map(|(index, _)| *index), true),
        };
        let next = last.filter(|_| self.has_more);
        let mut records: Vec<Value> =
            self.records.iter().filter_map(|(index, bytes)| records::indexed(*index, bytes)).collect();
        if is_newest {
            records.reverse();
        }
        json!({ "records": records, "next": next })
    }
}

#[cfg(test)]
mod tests {
    use mdfm_audit::{AuditLog, Field, Options};
    use mdfm_shared::record::{Actor, ActorKind, AuditRecord, Outcome};
    use mdfm_shared::sign::SecretKey;
    use mdfm_shared::time::UtcMillis;
    use mdfm_shared::tlog::NoteSigner;

    use super::*;

    /// A copy of ten records: the device's serial number is the number of the record.
    fn copy(name: &str) -> Copy {
        let dir = std::env::temp_dir().join(format!("mdfmctl-copy-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let signer = || NoteSigner::new("test.example/log", SecretKey::from_seed([3; 32])).expect("a name");
        let key = Some(signer().key().to_vkey());
        let mut log = AuditLog::open(&dir, signer(), Options::default()).expect("opens");
        let actor = Actor { kind: ActorKind::User, id: "u".into(), roles: vec![] };
        let entries: Vec<Vec<u8>> = (0_u64..10)
            .map(|i| {
                let object = if i % 2 == 0 { "device/D-1" } else { "hospital/H-1" };
                let record = AuditRecord::new(UtcMillis(1_000 * i), &actor, "device.change", object, Outcome::Accepted);
                AuditRecord { after: Some(json!({ "serial": i })), ..record }.to_bytes()
            })
            .collect();
        log.append(&entries).expect("appends");
        let (_, note) = log.sign_checkpoint().expect("signs");
        log.publish(&note).expect("publishes");
        Copy { path: dir, keys: Keys { key, ..Keys::default() } }
    }

    fn indexes(page: &Value) -> Vec<u64> {
        page["records"].as_array().into_iter().flatten().filter_map(|r| r["index"].as_u64()).collect()
    }

    #[test]
    fn cli_13_a_copy_is_searched_offline() {
        let copy = copy("search");
        let device = Query { fields: vec![(Field::Device, "D-1".into())], ..Query::default() };
        let page = |order, limit| copy.search(&device, order, limit).expect("a good copy");
        let first = page(Order::Oldest { from: 0 }, 3);
        assert_eq!((indexes(&first), first["next"].as_u64()), (vec![0, 2, 4], Some(5)));
        let second = page(Order::Oldest { from: 5 }, 3);
        assert_eq!((indexes(&second), second["next"].as_u64()), (vec![6, 8], None));
        let newest = page(Order::Newest { before: u64::MAX }, 2);
        assert_eq!((indexes(&newest), newest["next"].as_u64()), (vec![8, 6], Some(6)));
        let rest = page(Order::Newest { before: 6 }, 9);
        assert_eq!((indexes(&rest), rest["next"].as_u64()), (vec![4, 2, 0], None));
        let _ = std::fs::remove_dir_all(&copy.path);
    }

    #[test]
    fn cli_13_a_copy_shows_records_and_the_past() {
        let copy = copy("past");
        assert_eq!(copy.record(4).expect("there")["after"]["serial"], 4);
        assert!(copy.record(10).expect_err("beyond").to_string().contains("its last one is 9"));
        let object: Object = "device/D-1".parse().expect("an object");
        let past = copy.state(&object, 5_999).expect("a good copy");
        assert_eq!((&past["state"]["serial"], &past["logSize"]), (&json!(4), &json!(6)));
        let none: Object = "device/D-2".parse().expect("an object");
        assert!(copy.state(&none, 5_999).expect("a good copy")["state"].is_null());
        let _ = std::fs::remove_dir_all(&copy.path);
    }

    #[test]
    fn cli_13_a_key_that_is_no_file_is_named_as_that() {
        let exit = |error: &anyhow::Error| error.downcast_ref::<fault::Fault>().map(fault::Fault::exit);
        let missing = Keys { key: Some("nothere.vkey".into()), witness: vec!["w1.vkey".into()], ..Keys::default() };
        for (error, option) in [
            (missing.log().expect_err("no such file"), "--log-vkey nothere.vkey"),
            (missing.policy().expect_err("no such file"), "--witness w1.vkey"),
        ] {
            let words = format!("{option}: neither a verifier key nor a file that exists");
            assert_eq!((error.to_string(), exit(&error)), (words, Some(6)));
        }
        // The log's key is no witness's.
        let signer = NoteSigner::new("test.example/log", SecretKey::from_seed([3; 32])).expect("a name");
        let file = std::env::temp_dir().join(format!("mdfmctl-key-{}", std::process::id()));
        std::fs::write(&file, signer.key().to_vkey()).expect("written");
        let given = Keys { witness: vec![file.display().to_string()], ..Keys::default() };
        let words = given.policy().expect_err("a log's key").to_string();
        assert!(words.contains("the file holds no verifier key of this kind"), "{words}");
        let _ = std::fs::remove_file(&file);
    }

    #[test]
    fn cli_13_nothing_is_shown_of_a_copy_that_is_not_verified() {
        let mut copy = copy("bad");
        let key = copy.keys.key.take();
        assert!(copy.record(1).expect_err("no key").to_string().contains("--log-vkey is needed"));
        copy.keys.key = key;
        let file = copy.path.join(format!("{:020}.log", 0));
        let mut bytes = std::fs::read(&file).expect("a segment");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).expect("written");
        assert!(copy.record(1).is_err() && copy.search(&Query::default(), Order::Oldest { from: 0 }, 1).is_err());
        let _ = std::fs::remove_dir_all(&copy.path);
    }
}
