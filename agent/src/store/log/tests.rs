//! The store against power cuts at every change of the disk, and against damage.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::disk::model::Model;

const DIR: &str = "/state";

fn open(disk: &Model) -> Result<LogStore, StoreError> {
    let handle: DiskHandle = Arc::new(disk.clone());
    LogStore::open(&handle, Path::new(DIR))
}

/// Batches of a life: keys come, change and go; large values force the file to grow and to be rewritten.
fn batches(n: u32) -> impl Iterator<Item = Vec<Write>> {
    (0..n).map(|i| {
        let key = |k: u32| format!("k/{}", k % 7);
        let large = if i % 5 == 0 { 150_000 } else { 100 };
        vec![
            (key(i), Some(vec![u8::try_from(i % 251).unwrap_or(0); large])),
            (key(i + 3), None),
            ("count".into(), Some(i.to_le_bytes().to_vec())),
        ]
    })
}

/// NIST-193-P: a power cut at every change of the disk, whatever survives of it: what was acknowledged is there, what was not is there
/// whole or not at all, and the store goes on.
#[test]
fn a_power_cut_anywhere_loses_no_acknowledged_batch() {
    let whole = Model::default();
    let mut store = open(&whole).expect("a new disk");
    batches(40).for_each(|b| store.commit(b).expect("no cut"));
    let changes = whole.changes();
    let rewritten = changes.iter().filter(|c| c.what == "rename").count();
    assert!(rewritten > 0, "the run must cover the rewriting of the file");
    for cut in 0..=changes.len() {
        for seed in 0..6 {
            let disk = Model::default();
            disk.cut_at(cut, seed * 1_000 + cut as u64);
            let mut acknowledged = BTreeMap::new();
            let mut last = BTreeMap::new();
            if let Ok(mut store) = open(&disk) {
                for batch in batches(40) {
                    apply(&mut last, batch.clone());
                    if store.commit(batch).is_err() {
                        break;
                    }
                    acknowledged = last.clone();
                }
            }
            disk.power_on();
            let mut store = open(&disk).unwrap_or_else(|e| panic!("cut {cut} seed {seed}: {e}"));
            assert!(store.content == acknowledged || store.content == last, "cut {cut} seed {seed}");
            store.commit(vec![("after".into(), Some(vec![1]))]).expect("it goes on");
            disk.cut(seed);
            disk.power_on();
            assert!(open(&disk).expect("opens").get("after").expect("reads").is_some(), "cut {cut} seed {seed}");
        }
    }
}

/// A bit that a worn cell changed in the middle is not taken for a torn end: nothing acknowledged is forgotten in silence.
#[test]
fn damage_is_said_and_not_taken_for_a_torn_end() {
    let disk = Model::default();
    let mut store = open(&disk).expect("a new disk");
    batches(4).for_each(|b| store.commit(b).expect("no cut"));
    drop(store);
    disk.flip(&Path::new(DIR).join(FILE), 40);
    assert!(matches!(open(&disk), Err(StoreError::Damaged { at: 0 })));
}

#[test]
fn a_full_disk_is_met_only_when_the_file_grows() {
    let disk = Model::default();
    let mut store = open(&disk).expect("a new disk");
    store.commit(vec![("a".into(), Some(vec![0; 10]))]).expect("room");
    disk.set_free_bytes(8 * 1024);
    (0..10).for_each(|i| store.commit(vec![("a".into(), Some(vec![i; 10]))]).expect("there is room in the file"));
    let error = store.commit(vec![("b".into(), Some(vec![0; 300_000]))]).expect_err("no room");
    assert!(error.to_string().contains("written"), "{error}");
    assert_eq!(open(&disk).expect("opens").get("a").expect("reads"), Some(vec![9; 10]));
}

proptest! {
    /// Whatever bytes the file holds: an error or a store, never a panic.
    #[test]
    fn any_bytes_are_refused_or_read(mut bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..400) {
        if at + 4 < bytes.len() {
            bytes[at..at + 4].copy_from_slice(&MAGIC);
        }
        let _ = replay(&bytes);
    }
}
