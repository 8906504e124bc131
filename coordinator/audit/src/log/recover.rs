//! From what is on disk to a log that can be used, or a refusal that names the damage.

use std::sync::{Arc, RwLock};

use mdfm_shared::tlog::{Checkpoint, Frontier, Hash, NoteSigner, root_at};

use super::{AuditLog, CHECKPOINT, LogError, Options, PUBLISHED, Shared};
use crate::commit::{Commit, Place};
use crate::disk::{SharedDisk, read_all};
use crate::rows::Rows;
use crate::segment::{self, Damage, FrameReader, Segment, log_name};

/// Leaf hashes put into the rows at once when they are rebuilt.
const LEAVES_AT_ONCE: usize = 8_192;

impl AuditLog {
    pub(crate) fn open_on(
        disk: SharedDisk,
        signer: NoteSigner,
        options: Options,
        store: Box<dyn Commit>,
    ) -> Result<Self, LogError> {
        let note = |name: &str| -> Result<Option<(Checkpoint, String)>, LogError> {
            let Some(note) = read_all(&*disk, name)? else { return Ok(None) };
            let checkpoint = Checkpoint::open(&note, signer.key())?;
            Ok(Some((checkpoint, String::from_utf8_lossy(&note).into_owned())))
        };
        let (signed, published) = (note(CHECKPOINT)?, note(PUBLISHED)?);
        // Whichever covers more; a cut may have come between the two.
        let trusted = [&signed, &published].into_iter().flatten().map(|(c, _)| c).max_by_key(|c| c.size).cloned();
        let trusted_size = trusted.as_ref().map_or(0, |c| c.size);

        let mut segments = open_segments(&disk, trusted_size, store.place())?;
        let found: u64 = segments.iter().map(|s| s.count).sum();
        if found < trusted_size {
            return Err(LogError::Truncated { signed: trusted_size, found });
        }
        let (mut rows, mut frontier) = match open_rows(&disk, trusted.as_ref())? {
            Some(opened) => opened,
            None => {
                tracing::warn!(entries = found, "the tree's hashes do not fit the checkpoint; they are rebuilt");
                rebuild_rows(&disk, &segments, trusted.as_ref())?
            }
        };
        append_leaves(&disk, &segments, frontier.size(), &mut rows, &mut frontier)?;
        if let Some(strange) = check_ends(&disk, &mut segments, &rows)? {
            tracing::warn!(
                entry = strange.entry,
                "a leaf hash does not fit its entry; the hashes of the tree are rebuilt"
            );
            (rows, frontier) = match rebuild_rows(&disk, &segments, trusted.as_ref()) {
                Err(LogError::Altered(_)) => return Err(strange.into_error(&disk)),
                rebuilt => rebuilt?,
            };
        }
        if segments.is_empty() {
            segments.push(Segment::create(&*disk, 0)?);
        }
        let active = segments.last().cloned().ok_or(LogError::Failed)?;
        let shared = Shared { segments, rows: rows.reader(), size: frontier.size(), published };
        let shared = Arc::new(RwLock::new(shared));
        let mut log = Self { disk, options, signer, active, rows, frontier, signed, failed: false, shared, store };
        log.catch_up()?;
        Ok(log)
    }
}

/// Opens every segment. Below the checkpoint the index is trusted when it fits; beyond it every frame is read.
fn open_segments(disk: &SharedDisk, trusted_size: u64, place: Place) -> Result<Vec<Segment>, LogError> {
    let firsts = segment::list(&**disk)?;
    let mut segments: Vec<Segment> = Vec::new();
    for (i, &first) in firsts.iter().enumerate() {
        let found = segments.last().map_or(0, |s| s.first + s.count);
        let damaged = |position, entry| LogError::Damaged { file: disk.show(&log_name(first)), position, entry };
        if first != found {
            return Err(damaged(0, found));
        }
        let last = firsts.get(i + 1).is_none();
        let next = firsts.get(i + 1).copied();
        // All of it is under the checkpoint, or only a beginning.
        let whole = next.filter(|next| *next <= trusted_size);
        let trusted = if whole.is_some() { None } else { Some(trusted_size.saturating_sub(first)) };
        let opened = Segment::open_trusting(&**disk, first, trusted)?;
        let (mut segment, damage) = match opened.filter(|s| whole.is_none_or(|next| s.first + s.count == next)) {
            Some(mut segment) => {
                let damage = if whole.is_none() { segment.scan_on()? } else { None };
                (segment, damage)
            }
            None => match Segment::open_scanning(&**disk, first)? {
                Some(scanned) => scanned,
                // A file that was being made when the power went; nothing was in it.
                None if last && first >= trusted_size && is_bare(disk, first)? => {
                    crate::disk::remove_if_there(&**disk, &log_name(first))?;
                    disk.sync_dir("")?;
                    break;
                }
                None => return Err(damaged(0, first)),
            },
        };
        if let Some(damage) = damage {
            let entry = segment.first + segment.count;
            // Of a copy the end is not synced: what is missing is taken from the store again.
            let is_durable = || match place {
                Place::Here => segment.has_append_after(damage),
                Place::Elsewhere => Ok(false),
            };
            if !last || entry < trusted_size || is_durable()? {
                return Err(damaged(damage.at, entry));
            }
            tear_off(&mut segment, damage)?;
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// An entry that is not the one that the tree holds.
struct Strange {
    first: u64,
    position: u64,
    entry: u64,
}

impl Strange {
    fn into_error(self, disk: &SharedDisk) -> LogError {
        LogError::Damaged { file: disk.show(&log_name(self.first)), position: self.position, entry: self.entry }
    }
}

/// First and last entry of every file are those that the tree holds: no file stands for another. An index that leads elsewhere
/// is rebuilt first.
fn check_ends(disk: &SharedDisk, segments: &mut [Segment], rows: &Rows) -> Result<Option<Strange>, LogError> {
    let rows = rows.reader();
    for segment in segments.iter_mut().filter(|s| s.count > 0) {
        let ends = [segment.first, segment.first + segment.count - 1];
        let leaves = [rows.hashes(0, ends[0], 1)?[0], rows.hashes(0, ends[1], 1)?[0]];
        let differs = |segment: &Segment| -> Result<Option<u64>, LogError> {
            for (entry, leaf) in ends.into_iter().zip(leaves) {
                if segment.read(entry)?.is_none_or(|(_, found)| found != leaf) {
                    return Ok(Some(entry));
                }
            }
            Ok(None)
        };
        if differs(segment)?.is_none() {
            continue;
        }
        if let Some((scanned, None)) = Segment::open_scanning(&**disk, segment.first)?
            && scanned.count == segment.count
        {
            *segment = scanned;
        }
        if let Some(entry) = differs(segment)? {
            return Ok(Some(Strange { first: segment.first, position: segment.span(entry)?.0, entry }));
        }
    }
    Ok(None)
}

/// Whether a segment file has room for no more than its first bytes.
fn is_bare(disk: &SharedDisk, first: u64) -> Result<bool, LogError> {
    Ok(disk.open(&log_name(first))?.len()? <= 8)
}

fn tear_off(segment: &mut Segment, damage: Damage) -> Result<(), LogError> {
    let entry = segment.first + segment.count;
    tracing::warn!(
        entry,
        position = damage.at,
        "cutting off the torn end of the audit log, which was never acknowledged or is taken from the store again"
    );
    Ok(segment.cut_back()?)
}

/// The rows under the checkpoint, if they lead to its root.
fn open_rows(disk: &SharedDisk, trusted: Option<&Checkpoint>) -> Result<Option<(Rows, Frontier)>, LogError> {
    let size = trusted.map_or(0, |c| c.size);
    let Some(rows) = Rows::open(disk, size)? else { return Ok(None) };
    let frontier = Frontier::of(&rows.reader(), size)?;
    let fits = trusted.is_none_or(|c| c.root == frontier.root());
    Ok(fits.then_some((rows, frontier)))
}

/// Reads every entry to make the rows; what they lead to decides whether history was altered.
fn rebuild_rows(
    disk: &SharedDisk,
    segments: &[Segment],
    trusted: Option<&Checkpoint>,
) -> Result<(Rows, Frontier), LogError> {
    let mut rows = Rows::create(disk)?;
    let mut frontier = Frontier::default();
    append_leaves(disk, segments, 0, &mut rows, &mut frontier)?;
    if let Some(checkpoint) = trusted
        && root_at(&rows.reader(), checkpoint.size)? != checkpoint.root
    {
        return Err(LogError::Altered(checkpoint.size));
    }
    Ok((rows, frontier))
}

fn append_leaves(
    disk: &SharedDisk,
    segments: &[Segment],
    from: u64,
    rows: &mut Rows,
    frontier: &mut Frontier,
) -> Result<(), LogError> {
    let mut leaves: Vec<Hash> = Vec::new();
    for segment in segments.iter().filter(|s| s.count > 0 && s.first + s.count > from) {
        let mut entry = segment.first.max(from);
        let start = segment.span(entry)?.0;
        let mut reader = FrameReader::new(&segment.file, start, segment.bytes);
        loop {
            let position = reader.position();
            match reader.next()? {
                None => break,
                Some(Err(_)) => {
                    return Err(LogError::Damaged { file: disk.show(&log_name(segment.first)), position, entry });
                }
                Some(Ok(frame)) => leaves.push(frame.leaf),
            }
            entry += 1;
            if leaves.len() == LEAVES_AT_ONCE {
                rows.append(&leaves)?;
                leaves.drain(..).for_each(|leaf| frontier.push(leaf));
            }
        }
    }
    rows.append(&leaves)?;
    leaves.into_iter().for_each(|leaf| frontier.push(leaf));
    Ok(())
}
