//! The log as static files (C2SP tlog-tiles): checkpoint, tiles of hashes, bundles of entries, for any web server or medium.

use std::path::Path;

use mdfm_shared::tlog::{TILE_WIDTH, TilePath, tiles_between};

use crate::disk::{Disk, RealDisk, read_all, replace};
use crate::log::{LogError, LogReader};

const CHECKPOINT: &str = "checkpoint";
/// How many disposals the bundles of entries have seen.
const DISPOSALS: &str = "disposals";

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Size of the log that the directory shows now.
    pub size: u64,
    /// Files written.
    pub files: u64,
}

impl LogReader {
    /// Writes into a directory what it lacks of the log under the published checkpoint, the checkpoint last: whoever reads
    /// meanwhile finds everything that the checkpoint there speaks of. Bundles with disposed entries are left out: when there
    /// were other `disposals` than the directory has seen, every bundle goes and those without are rebuilt.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn publish_to(&self, dir: &Path, disposals: usize) -> Result<Published, LogError> {
        let Some((checkpoint, note)) = self.published() else { return Ok(Published::default()) };
        std::fs::create_dir_all(dir)?;
        let disk = RealDisk(dir.to_owned());
        let disposals = disposals.to_string();
        let anew = read_all(&disk, DISPOSALS)?.unwrap_or_else(|| b"0".to_vec()) != disposals.as_bytes();
        if anew {
            match std::fs::remove_dir_all(dir.join("tile/entries")) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        let known = read_all(&disk, CHECKPOINT)?
            .and_then(|note| String::from_utf8(note).ok()?.lines().nth(1)?.parse().ok())
            .filter(|known: &u64| !anew && *known <= checkpoint.size)
            .unwrap_or(0);
        let mut files = 0;
        for path in tiles_between(known, checkpoint.size) {
            let Some(bytes) = self.tile(path)? else { continue };
            let file = disk.create(&path.to_string())?;
            file.write_all_at(&bytes, 0)?;
            file.sync()?;
            files += 1;
            // Partial ones stay for those who hold an older checkpoint, until the full one says it all.
            if matches!(path, TilePath::Hashes { width: TILE_WIDTH, .. } | TilePath::Entries { width: TILE_WIDTH, .. })
            {
                let partials = format!("{path}.p");
                for width in disk.list(&partials)? {
                    disk.remove(&format!("{partials}/{width}"))?;
                }
            }
        }
        replace(&disk, CHECKPOINT, note.as_bytes())?;
        if anew {
            replace(&disk, DISPOSALS, disposals.as_bytes())?;
        }
        Ok(Published { size: checkpoint.size, files })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mdfm_shared::tlog::WitnessPolicy;

    use crate::disk::sim::SimDisk;
    use crate::log::tests::signer;
    use crate::{AuditLog, Options, verify_copy};

    #[test]
    fn static_files_serve_every_checkpoint_that_was_published() {
        let dir = std::env::temp_dir().join(format!("mdfm-publish-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let mut log = AuditLog::open_on(
            Arc::new(SimDisk::default()),
            signer(),
            Options::default(),
            Box::new(crate::commit::LocalDisk),
        )
        .expect("opens");
        let has = |path: &str| dir.join(path).is_file();
        for (n, partials) in [(3, vec![3]), (200, vec![3, 200]), (256, vec![]), (300, vec![])] {
            while log.reader().size() < n {
                let text = format!("{{\"v\":1,\"n\":{}}}", log.reader().size());
                log.append(&[text.into_bytes()]).expect("appends");
            }
            let (_, note) = log.sign_checkpoint().expect("signs");
            log.publish(&note).expect("publishes");
            assert_eq!(log.reader().publish_to(&dir, 0).expect("writes").size, n);
            for width in [3, 200] {
                assert_eq!(has(&format!("tile/0/000.p/{width}")), partials.contains(&width), "size {n}, width {width}");
                assert_eq!(has(&format!("tile/entries/000.p/{width}")), partials.contains(&width));
            }
            assert_eq!((has("tile/0/000"), has("tile/1/000.p/1")), (n >= 256, n >= 256));
            // What stands there is no record, but the root is right: the verifier gets that far and no further.
            let found = verify_copy(&dir, signer().key(), &WitnessPolicy::default()).expect_err("no records");
            assert!(found.to_string().contains("entry 0: is no audit record"), "{found}");
        }
        assert_eq!(log.reader().publish_to(&dir, 0).expect("writes").files, 0, "nothing new, nothing written");
        log.dispose(&[7].into()).expect("disposes");
        log.reader().publish_to(&dir, 1).expect("writes");
        assert!(
            !has("tile/entries/000") && has("tile/entries/001.p/44") && has("tile/0/000"),
            "bundles alone, and one of them"
        );
        let _ = std::fs::remove_dir_all(&dir);
    }
}
