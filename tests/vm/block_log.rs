//! What a virtual machine wrote to its disk, in order, as QEMU's `blklogwrites` filter records it (the format of Linux's `dm-log-writes`), and
//! the disks that a loss of power could have left.
//!
//! Little-endian. A superblock (magic, version, number of entries, each u64; sector size, u32), then entries (sector, number of sectors, flags, bytes
//! of data, each u64), each padded to a sector and followed by what was written.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, ensure};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
/// The disk was asked to make everything durable that it had taken.
const FLUSH: u64 = 1;
/// The write itself was durable before it was answered.
const DURABLE: u64 = 2;
const DISCARD: u64 = 4;
/// Bytes of one write at most; the guest writes in pieces far below it.
const WRITE_BYTES_MAX: u64 = 64 << 20;

/// One write or flush.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Byte on the disk at which it was written.
    at: u64,
    /// Bytes written, 0 where it is a flush.
    bytes: u64,
    flags: u64,
    /// Where the bytes stand in the log.
    data: u64,
}

/// The writes of one run.
#[derive(Debug)]
pub(crate) struct BlockLog {
    file: File,
    entries: Vec<Entry>,
    sector: u64,
}

/// What was lost and what was kept of the writes that no flush had confirmed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loss {
    /// Writes that were durable.
    pub durable: usize,
    /// Writes in flight that reached the disk whole.
    pub kept: usize,
    /// Of which nothing reached the disk.
    pub lost: usize,
    /// Of which a part reached it.
    pub torn: usize,
}

impl BlockLog {
    /// Reads the log of a run that has ended.
    ///
    /// # Errors
    /// It is not such a log, or it is cut off.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut reader = BufReader::new(&file);
        let mut head = [0; 28];
        reader.read_exact(&mut head).context("the log of writes has no superblock")?;
        let word = |i: usize| u64::from_le_bytes(head[i * 8..i * 8 + 8].try_into().expect("eight bytes"));
        ensure!(word(0) == MAGIC && word(1) == VERSION, "{} is no log of writes of version {VERSION}", path.display());
        let sector = u64::from(u32::from_le_bytes(head[24..28].try_into().expect("four bytes")));
        ensure!(sector.is_power_of_two() && (512..=4096).contains(&sector), "sectors of {sector} bytes");
        let (count, mut entries, mut position) = (word(2), Vec::new(), sector);
        for _ in 0..count {
            reader.seek(SeekFrom::Start(position))?;
            let mut head = [0; 32];
            reader.read_exact(&mut head).context("the log of writes is cut off")?;
            let word = |i: usize| u64::from_le_bytes(head[i * 8..i * 8 + 8].try_into().expect("eight bytes"));
            let (at, bytes, flags) = (word(0) * sector, word(1) * sector, word(2));
            ensure!(bytes <= WRITE_BYTES_MAX, "a write of {bytes} bytes");
            entries.push(Entry { at, bytes, flags, data: position + sector });
            position += sector + if flags & DISCARD == 0 { bytes } else { 0 };
        }
        Ok(Self { file, entries, sector })
    }

    /// Writes and flushes.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Flushes among them.
    pub(crate) fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.flags & FLUSH != 0).count()
    }

    /// Makes of `disk`, as it was before the run, what a loss of power before entry `end` leaves: all that a flush had confirmed; of the rest, write by
    /// write by the dice, all, nothing or its first sectors. `dice` gives numbers below its argument.
    ///
    /// # Errors
    /// Files cannot be read or written.
    pub(crate) fn lose_power(&self, disk: &Path, end: usize, mut dice: impl FnMut(u64) -> u64) -> anyhow::Result<Loss> {
        let disk = OpenOptions::new().write(true).open(disk)?;
        let end = end.min(self.entries.len());
        let confirmed = self.entries[..end].iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |at| at + 1);
        let mut loss = Loss::default();
        for (i, entry) in self.entries[..end].iter().enumerate() {
            // Discarded room holds anything; what was there is as good as anything.
            if entry.bytes == 0 || entry.flags & DISCARD != 0 {
                continue;
            }
            let sectors = entry.bytes / self.sector;
            let kept = if i < confirmed || entry.flags & DURABLE != 0 {
                loss.durable += 1;
                sectors
            } else {
                match dice(10) {
                    0..5 => sectors,
                    5..9 => 0,
                    _ => dice(sectors),
                }
            };
            if i >= confirmed && entry.flags & DURABLE == 0 {
                match kept {
                    0 => loss.lost += 1,
                    kept if kept == sectors => loss.kept += 1,
                    _ => loss.torn += 1,
                }
            }
            let mut data = vec![0; usize::try_from(kept * self.sector)?];
            self.file.read_exact_at(&mut data, entry.data)?;
            disk.write_all_at(&data, entry.at)?;
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &Path, entries: &[(u64, u64, u8)]) -> BlockLog {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            bytes
        };
        let mut head = words(&[MAGIC, VERSION, entries.len() as u64]);
        head.extend(512_u32.to_le_bytes());
        let mut bytes = padded(head);
        for (sector, flags, filled) in entries {
            let sectors = if *flags == FLUSH { 0 } else { 2 };
            bytes.extend(padded(words(&[*sector, sectors, *flags, 0])));
            bytes.extend(vec![*filled; usize::try_from(sectors).expect("a file of the test") * 512]);
        }
        std::fs::create_dir_all(dir).expect("a file of the test");
        std::fs::write(dir.join("log"), bytes).expect("a file of the test");
        BlockLog::open(&dir.join("log")).expect("a file of the test")
    }

    #[test]
    fn what_a_flush_confirmed_is_kept() {
        let dir = std::env::temp_dir().join(format!("mdfm-block-log-{}", std::process::id()));
        let log = log(&dir, &[(0, 0, 1), (0, FLUSH, 0), (2, 0, 2), (4, 0, 3), (6, 0, 4), (0, 0, 5)]);
        assert_eq!((log.len(), log.flushes()), (6, 1));
        let disk = dir.join("disk");
        std::fs::write(&disk, vec![0; 8 * 512]).expect("a file of the test");
        let mut throws = [0, 5, 9, 1].into_iter();
        let loss = log
            .lose_power(&disk, 5, |_| throws.next().expect("a throw for each write in flight"))
            .expect("a file of the test");
        assert_eq!((loss.durable, loss.kept, loss.lost, loss.torn), (1, 1, 1, 1));
        let seen: Vec<u8> = std::fs::read(&disk).expect("a file of the test").iter().step_by(512).copied().collect();
        assert_eq!(seen, [1, 1, 2, 2, 0, 0, 4, 0], "entry 5 came after the cut");
        std::fs::remove_dir_all(dir).expect("a file of the test");
    }

    #[test]
    fn another_file_is_no_log() {
        let path = std::env::temp_dir().join(format!("mdfm-no-block-log-{}", std::process::id()));
        std::fs::write(&path, [7; 4096]).expect("a file of the test");
        assert!(BlockLog::open(&path).expect_err("another file").to_string().contains("no log of writes"));
        std::fs::remove_file(path).expect("a file of the test");
    }
}
