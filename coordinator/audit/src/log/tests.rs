//! The log under power cuts, flipped bytes, missing files, a full disk and disposal.

use std::sync::Arc;

use mdfm_shared::sign::SecretKey;
use mdfm_shared::tlog::{Tree, verify_consistency, verify_inclusion};

use super::*;
use crate::commit::MemoryCommit;
use crate::commit::conformance::{self, Stores};
use crate::disk::sim::SimDisk;
use crate::segment::{self, Entry};

const SMALL: Options = Options { segment_bytes: 2_000, reserve_bytes: 0 };

pub(crate) fn signer() -> NoteSigner {
    NoteSigner::new("log.example", SecretKey::from_seed([1; 32])).expect("good name")
}
fn open(disk: &SimDisk) -> Result<AuditLog, LogError> {
    AuditLog::open_on(Arc::new(disk.clone()), signer(), SMALL, Box::new(LocalDisk))
}
fn entry(i: u64) -> Vec<u8> {
    format!("entry number {i}{}", ".".repeat((i % 7) as usize * 9)).into_bytes()
}
fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(entry).collect()
}
fn all(log: &AuditLog) -> Vec<Option<Vec<u8>>> {
    let mut seen = Vec::new();
    log.reader()
        .each(0, u64::MAX, |_, bytes| {
            seen.push(bytes.map(<[u8]>::to_vec));
            Ok::<(), LogError>(())
        })
        .expect("reads");
    seen
}
fn some(range: std::ops::Range<u64>) -> Vec<Option<Vec<u8>>> {
    entries(range).into_iter().map(Some).collect()
}
fn close(log: &mut AuditLog) {
    let (_, note) = log.sign_checkpoint().expect("signs");
    log.publish(&note).expect("publishes");
}
fn filled(n: u64) -> SimDisk {
    let disk = SimDisk::default();
    let mut log = open(&disk).expect("opens");
    (0..n).for_each(|i| {
        log.append(&[entry(i)]).expect("appends");
    });
    close(&mut log);
    disk
}

#[test]
fn p11_10c_what_was_appended_is_there_after_a_restart_and_proved() {
    let disk = SimDisk::default();
    let mut log = open(&disk).expect("opens");
    assert_eq!(log.append(&entries(0..300)).expect("appends"), 0);
    let first = log.sign_checkpoint().expect("signs");
    assert_eq!(log.sign_checkpoint().expect("signs").1, first.1, "one size, one checkpoint");
    for i in 300..700 {
        assert_eq!(log.append(&[entry(i)]).expect("appends"), i);
    }
    close(&mut log);
    drop(log);
    let log = open(&disk).expect("opens");
    assert_eq!(all(&log), some(0..700));
    let reader = log.reader();
    assert!(segment::list(&disk).expect("lists").len() > 2, "it went over several files");
    assert_eq!(reader.entry(412).expect("reads"), Some(Entry::Bytes(entry(412))));
    assert_eq!(reader.entry(700).expect("reads"), None);
    let mut tree = Tree::default();
    entries(0..700).iter().for_each(|e| tree.push(e));
    for size in [1, 255, 256, 257, 300, 512, 699, 700] {
        let root = reader.root_at(size).expect("reads").expect("in range");
        assert_eq!(Some(root), tree.root_at(size));
        for index in (0..size).step_by(13) {
            let proof = reader.inclusion(index, size).expect("reads").expect("in range");
            assert_eq!(verify_inclusion(index, size, &leaf_hash(&entry(index)), &proof, &root), Ok(()));
        }
        let proof = reader.consistency(size, 700).expect("reads").expect("in range");
        assert_eq!(verify_consistency(size, 700, &proof, &root, &tree.root()), Ok(()));
    }
    assert_eq!(reader.inclusion(3, 701).expect("reads"), None);
}

/// What was acknowledged, and every checkpoint that was ever signed.
#[derive(Default)]
struct Witnessed {
    acknowledged: u64,
    submitted: u64,
    disposed: bool,
    notes: Vec<Checkpoint>,
}

/// Everything that the log does to the disk: appends of several sizes, over two files, checkpoints, a disposal.
fn life(disk: &SimDisk, seen: &mut Witnessed, cadence: usize) -> Result<(), LogError> {
    let mut log = open(disk)?;
    for (i, n) in [1, 3, 20, 1, 9, 30, 2, 25, 8, 8, 21].into_iter().enumerate() {
        let from = seen.submitted;
        seen.submitted = from + n;
        assert_eq!(log.append(&entries(from..from + n))?, from);
        seen.acknowledged = from + n;
        if i % cadence == 1 {
            let (checkpoint, note) = log.sign_checkpoint()?;
            seen.notes.push(checkpoint);
            log.publish(&note)?;
        }
    }
    log.dispose(&DISPOSED.into_iter().collect())?;
    seen.disposed = true;
    let from = seen.submitted;
    seen.submitted += 5;
    log.append(&entries(from..from + 5))?;
    seen.acknowledged = from + 5;
    let (checkpoint, note) = log.sign_checkpoint()?;
    seen.notes.push(checkpoint);
    log.publish(&note)
}
const DISPOSED: [u64; 4] = [0, 7, 8, 30];

#[test]
fn p11_10c_a_cut_at_any_effect_keeps_exactly_what_was_acknowledged() {
    // So that new files are begun right after a checkpoint, and long after one.
    (2..6).for_each(cut_everywhere);
}

fn cut_everywhere(cadence: usize) {
    let whole = SimDisk::default();
    life(&whole, &mut Witnessed::default(), cadence).expect("no cut");
    let effects = whole.effects();
    let mut tree = Tree::default();
    entries(0..300).iter().for_each(|e| tree.push(e));
    let mut cuts = 0;
    for cut in 0..effects {
        for seed in 0..8 {
            let disk = SimDisk::default();
            disk.cut_at(cut);
            let mut seen = Witnessed::default();
            assert!(life(&disk, &mut seen, cadence).is_err(), "cut at {cut} of {effects}");
            let found = disk.after_cut(cut * 100 + seed);
            let mut log = open(&found).unwrap_or_else(|e| panic!("cut {cut}, seed {seed}: {e}"));
            let size = log.reader().size();
            assert!((seen.acknowledged..=seen.submitted).contains(&size), "cut {cut}, seed {seed}: {size}");
            for (i, bytes) in all(&log).into_iter().enumerate() {
                let i = i as u64;
                match bytes {
                    Some(bytes) => assert_eq!(bytes, entry(i)),
                    None => assert!(DISPOSED.contains(&i)),
                }
                if seen.disposed && DISPOSED.contains(&i) {
                    assert!(matches!(log.reader().entry(i), Ok(Some(Entry::Disposed(_)))), "cut {cut}");
                }
            }
            for checkpoint in &seen.notes {
                assert_eq!(log.reader().root_at(checkpoint.size).expect("reads"), Some(checkpoint.root), "cut {cut}");
            }
            // It goes on, and two checkpoints of one size never differ.
            log.append(&entries(size..size + 3)).expect("goes on");
            log.dispose(&DISPOSED.into_iter().filter(|i| *i < size).collect()).expect("repeats");
            close(&mut log);
            let (checkpoint, _) = log.signed().cloned().expect("signed");
            assert_eq!(Some(checkpoint.root), tree.root_at(size + 3), "cut {cut}, seed {seed}");
            assert!(log.reader().scrub(|_| std::ops::ControlFlow::Continue(())).expect("reads").findings.is_empty());
            drop(log);
            assert_eq!(open(&found).expect("opens again").reader().size(), size + 3);
            cuts += 1;
        }
    }
    assert_eq!(cuts, effects * 8, "every effect was cut");
    assert!(effects > 80, "the life has {effects} effects");
}

#[test]
fn p11_10a_any_flipped_byte_of_any_file_is_found_and_never_served_as_good() {
    let good = filled(600);
    let files = good.files();
    assert!(files.iter().any(|f| f.starts_with("tree/1")) && files.iter().any(|f| f.ends_with(".idx")));
    for name in &files {
        let bytes = good.bytes_of(name);
        // Every byte of the small files, every 37th of the large ones, each time the same 600 entries are read back.
        let step = if bytes.len() < 700 { 1 } else { 37 };
        for at in (0..bytes.len()).step_by(step) {
            let disk = good.copy();
            let mut bad = bytes.clone();
            bad[at] ^= if at % 2 == 0 { 0x21 } else { 0xc0 };
            disk.set_bytes(name, &bad);
            let log = match open(&disk) {
                Ok(log) => log,
                Err(LogError::Damaged { file, .. }) => {
                    assert_eq!(&file, name, "byte {at}");
                    continue;
                }
                Err(_) => continue,
            };
            let reader = log.reader();
            for i in (0..600).step_by(41).chain([599]) {
                match reader.entry(i) {
                    Ok(Some(found)) => assert_eq!(found, Entry::Bytes(entry(i)), "{name} byte {at}"),
                    Ok(None) => panic!("{name} byte {at}: entry {i} is gone"),
                    Err(_) => {}
                }
            }
            let findings = reader.scrub(|_| std::ops::ControlFlow::Continue(())).expect("reads").findings;
            let now = disk.bytes_of(name);
            assert!(now == bytes || findings.iter().any(|f| f.file == *name), "{name} byte {at}: {findings:?}");
        }
    }
}

#[test]
fn p11_10a_cut_appended_swapped_and_missing_files_are_found() {
    let good = filled(300);
    let logs: Vec<String> = good.files().into_iter().filter(|f| f.ends_with(".log")).collect();
    for name in &logs {
        let bytes = good.bytes_of(name);
        let last = logs.last() == Some(name);
        for n in [0, 7, 8, 9, bytes.len() / 2, bytes.len() - 1] {
            let disk = good.copy();
            disk.set_bytes(name, &bytes[..n]);
            assert!(open(&disk).is_err(), "{name} cut to {n}");
        }
        let disk = good.copy();
        disk.set_bytes(name, &[bytes.as_slice(), b"x"].concat());
        match open(&disk) {
            // Behind the last checkpoint it is what a torn write leaves, and goes.
            Ok(log) => assert!(last && all(&log) == some(0..300), "{name} with a byte more"),
            Err(error) => assert!(!last, "{name}: {error}"),
        }
        let disk = good.copy();
        disk.unlink(name);
        assert!(open(&disk).is_err(), "{name} is missing");
    }
    let disk = good.copy();
    disk.set_bytes(&logs[1], &good.bytes_of(&logs[2]));
    disk.set_bytes(&logs[2], &good.bytes_of(&logs[1]));
    assert!(open(&disk).is_err(), "two files swapped");
    for name in good.files().iter().filter(|f| f.ends_with(".idx") || f.starts_with("tree/")) {
        let disk = good.copy();
        disk.unlink(name);
        let log = open(&disk).unwrap_or_else(|e| panic!("{name} follows from the segments: {e}"));
        assert_eq!(all(&log), some(0..300), "{name}");
        assert_eq!(log.reader().entry(250).expect("reads"), Some(Entry::Bytes(entry(250))));
    }
}

#[test]
fn att_12_a_shorter_or_rewritten_log_is_refused() {
    let good = filled(12);
    let name = segment::log_name(0);
    let bytes = good.bytes_of(&name);
    let frame = |i: u64| 12 + entry(i).len();
    let at = |i: u64| 8 + (0..i).map(frame).sum::<usize>();
    let disk = good.copy();
    disk.set_bytes(&name, &bytes[..at(9)]);
    assert!(matches!(open(&disk).err(), Some(LogError::Truncated { signed: 12, found: 9 })));
    // A rewritten entry with a checksum of its own, the tree made to follow: only the checkpoint knows.
    let disk = good.copy();
    let mut other = Vec::new();
    let text = vec![b'x'; entry(4).len()];
    segment::push_frame(&mut other, &text, &leaf_hash(&text), true);
    let rewritten = [&bytes[..at(4)], &other, &bytes[at(5)..]].concat();
    disk.set_bytes(&name, &rewritten);
    disk.unlink("tree/0");
    assert!(matches!(open(&disk).err(), Some(LogError::Altered(12))));
    let (checkpoint, published) = (good.bytes_of("checkpoint"), good.bytes_of("published"));
    assert_eq!(checkpoint, published);
    disk.unlink("checkpoint");
    assert!(matches!(open(&disk).err(), Some(LogError::Altered(12))), "the published one says so too");
}

#[test]
fn damage_before_the_last_append_is_no_torn_write() {
    let disk = SimDisk::default();
    let mut log = open(&disk).expect("opens");
    log.append(&entries(0..3)).expect("appends");
    log.append(&entries(3..6)).expect("appends");
    drop(log);
    let name = segment::log_name(0);
    let good = disk.bytes_of(&name);
    let second = 8 + (0..3).map(|i| 12 + entry(i).len()).sum::<usize>();
    let shown = mdfm_shared::fixture::page::symptom("The coordinator does nothing", "audit log is damaged");
    for at in 8..good.len() {
        let disk = disk.copy();
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        disk.set_bytes(&name, &bad);
        match open(&disk) {
            Err(error @ LogError::Damaged { .. }) => {
                assert!(at < second, "byte {at}");
                shown.assert_in(&error.to_string());
            }
            Ok(log) => assert!(at >= second && log.reader().size() >= 3, "byte {at} of an acknowledged append"),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn a_full_disk_stops_writes_and_loses_nothing() {
    let disk = SimDisk::default();
    let options = Options { reserve_bytes: 1_000, ..SMALL };
    let mut log = AuditLog::open_on(Arc::new(disk.clone()), signer(), options, Box::new(LocalDisk)).expect("opens");
    log.append(&entries(0..5)).expect("appends");
    assert!(log.has_room().expect("asks"));
    disk.set_free(Some(999));
    assert!(!log.has_room().expect("asks"), "the caller is told before it decides anything");
    disk.set_free(Some(10));
    assert!(matches!(log.append(&entries(5..6)), Err(LogError::Io(e)) if e.kind() == io::ErrorKind::StorageFull));
    assert!(matches!(log.append(&entries(5..6)), Err(LogError::Failed)), "and nothing more until it is opened again");
    assert_eq!(all(&log), some(0..5), "reading goes on");
    drop(log);
    disk.set_free(None);
    let mut log = open(&disk).expect("opens");
    assert_eq!(log.append(&entries(5..6)).expect("there is room again"), 5);
}

#[test]
fn seed_ret_disposal_keeps_every_hash_and_proof() {
    let disk = filled(400);
    let mut log = open(&disk).expect("opens");
    let before: Vec<Hash> = (1..=400).map(|n| log.reader().root_at(n).expect("reads").expect("there")).collect();
    let gone: BTreeSet<u64> = (0..400).filter(|i| i % 3 == 0).collect();
    log.dispose(&gone).expect("disposes");
    log.append(&entries(400..401)).expect("goes on");
    close(&mut log);
    drop(log);
    let log = open(&disk).expect("opens");
    let reader = log.reader();
    for i in 0..400 {
        let found = reader.entry(i).expect("reads").expect("there");
        assert_eq!(found.leaf(), leaf_hash(&entry(i)));
        assert_eq!(found.bytes().is_none(), gone.contains(&i));
        assert_eq!(reader.root_at(i + 1).expect("reads"), Some(before[i as usize]));
    }
    let needle = entry(30);
    let held = disk.files().iter().any(|f| disk.bytes_of(f).windows(needle.len()).any(|w| w == needle));
    assert!(!held, "nothing of the payload is left in any file");
    assert!(reader.scrub(|_| std::ops::ControlFlow::Continue(())).expect("reads").findings.is_empty());
    // Leaf hashes alone rebuild the tree.
    disk.unlink("tree/0");
    assert_eq!(open(&disk).expect("opens").root(), log.root());
}

/// A store in memory, as the suite wants it.
struct InMemory {
    newest: MemoryCommit,
}

impl Stores for InMemory {
    fn lead(&mut self) -> Box<dyn Commit> {
        self.newest = self.newest.lead();
        Box::new(self.newest.lead_again())
    }
    fn lose_answer(&mut self, is_stored: bool) {
        self.newest.lose_answer(is_stored);
    }
    fn lose_tail(&mut self, groups: usize) {
        self.newest.lose_tail(groups);
    }
    fn all(&mut self) -> Vec<Chunk> {
        self.newest.all()
    }
}

#[test]
fn a_store_in_memory_does_what_a_store_must() {
    let dir = std::env::temp_dir().join(format!("mdfm-commit-{}", std::process::id()));
    conformance::check(&dir, &mut || Box::new(InMemory { newest: MemoryCommit::default() }));
}

/// As [`life`], with groups that become durable elsewhere; each acknowledged one is one more.
fn life_elsewhere(disk: &SimDisk, store: &MemoryCommit, seen: &mut Witnessed, cadence: usize) -> Result<(), LogError> {
    let mut log = AuditLog::open_on(Arc::new(disk.clone()), signer(), SMALL, Box::new(store.lead_again()))?;
    for (i, n) in [1, 3, 20, 1, 9, 30, 2, 25, 8, 8, 21].into_iter().enumerate() {
        let from = log.reader().size();
        seen.submitted = from + n;
        log.append(&entries(from..from + n))?;
        seen.acknowledged = from + n;
        if i % cadence == 1 {
            let (checkpoint, note) = log.sign_checkpoint()?;
            seen.notes.push(checkpoint);
            log.publish(&note)?;
        }
    }
    Ok(())
}

#[test]
fn a_copy_that_was_cut_at_any_effect_is_whole_again() {
    for cadence in 2..5 {
        let whole = SimDisk::default();
        let store = MemoryCommit::default();
        life_elsewhere(&whole, &store, &mut Witnessed::default(), cadence).expect("no cut");
        let syncs_each = {
            let disk = SimDisk::default();
            life(&disk, &mut Witnessed::default(), cadence).expect("no cut");
            disk.effects()
        };
        assert!(whole.effects() < syncs_each, "appends are not synced");
        for cut in 0..whole.effects() {
            for seed in 0..8 {
                let (disk, store) = (SimDisk::default(), MemoryCommit::default());
                disk.cut_at(cut);
                let mut seen = Witnessed::default();
                assert!(life_elsewhere(&disk, &store, &mut seen, cadence).is_err(), "cut at {cut}");
                let found = disk.after_cut(cut * 100 + seed);
                let open = || AuditLog::open_on(Arc::new(found.clone()), signer(), SMALL, Box::new(store.lead_again()));
                let mut log = open().unwrap_or_else(|e| panic!("cut {cut}, seed {seed}: {e:?}"));
                let size = log.reader().size();
                // What the store took before the copy was written is there as well.
                assert!((seen.acknowledged..=seen.submitted).contains(&size), "cut {cut}, seed {seed}: {size}");
                assert_eq!(store.all().last().map_or(0, Chunk::end), size, "cut {cut}, seed {seed}");
                assert_eq!(all(&log), some(0..size));
                for checkpoint in &seen.notes {
                    let root = log.reader().root_at(checkpoint.size).expect("reads");
                    assert_eq!(root, Some(checkpoint.root), "cut {cut}");
                    assert!(store.noted(NoteKind::Signed, checkpoint.size).is_some());
                }
                log.append(&entries(size..size + 3)).expect("goes on");
                drop(log);
                assert_eq!(all(&open().expect("opens again")), some(0..size + 3));
            }
        }
    }
}

#[test]
fn a_store_that_stays_away_is_not_waited_for_for_ever() {
    let (disk, store) = (SimDisk::default(), MemoryCommit::default());
    let open = || AuditLog::open_on(Arc::new(disk.clone()), signer(), SMALL, Box::new(store.lead_again()));
    let mut log = open().expect("opens");
    log.append(&entries(0..4)).expect("appends");
    store.go_away(3);
    log.append(&entries(4..6)).expect("it came back");
    store.go_away(usize::MAX);
    let refused = log.append(&entries(6..9)).expect_err("no line");
    assert!(matches!(refused, LogError::Commit(CommitError::Unsure(_))), "{refused:?}");
    assert!(open().is_err(), "without a line nothing is opened: it could be behind");
    store.go_away(0);
    assert_eq!(open().expect("opens").reader().size(), 6);
}
