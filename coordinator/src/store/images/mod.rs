//! Firmware images, one file each, named by the SHA-256 of the image; sealed on disk (21 CFR 11.30), whole or not there at all.

mod sealed;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mdfm_shared::digest::Digest;
use mdfm_shared::limits::IMAGE_BYTES_MAX;
use sha2::{Digest as _, Sha256};

use sealed::{BLOCK_BYTES, FileKey, HEADER_BYTES, SEALED_BYTES};

/// The key of the store.
#[derive(Clone)]
pub(crate) struct ImageKey(Arc<[u8; 32]>);

impl std::fmt::Debug for ImageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ImageKey")
    }
}

impl ImageKey {
    /// A new key as text.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub(crate) fn fresh_text() -> Result<String, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(hex::encode(bytes))
    }

    /// The key of that text; none if it is no key.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = hex::decode(text.trim()).ok()?.try_into().ok()?;
        Some(Self(Arc::new(bytes)))
    }
}

/// The repository's directory.
#[derive(Debug, Clone)]
pub(crate) struct ImageStore {
    dir: PathBuf,
    key: ImageKey,
    bytes_max: u64,
    free_bytes_min: u64,
}

/// An image on its way in: hashed and sealed while it comes, visible only when complete.
pub(crate) struct Upload {
    dir: PathBuf,
    temporary: PathBuf,
    file: File,
    key: FileKey,
    /// What is not sealed yet: a block at most.
    block: Vec<u8>,
    blocks: u64,
    hash: Sha256,
    size_bytes: u64,
    bytes_max: u64,
    free_bytes_min: u64,
}

/// Blocks of an upload written between two looks at the free space.
const BLOCKS_A_LOOK: u64 = 16;

/// An image that is read.
pub(crate) struct Stored {
    file: File,
    key: FileKey,
    size_bytes: u64,
    /// Where the next read begins.
    position: u64,
}

impl ImageStore {
    /// Opens the repository and removes uploads that a crash left half-done.
    pub(crate) fn open(dir: &Path, key: ImageKey, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { dir: dir.to_owned(), key, bytes_max: bytes_max.min(IMAGE_BYTES_MAX), free_bytes_min: 0 })
    }

    /// Leaves this number of bytes free on its disk, which the audit log may share.
    #[must_use]
    pub(crate) fn leaving(mut self, free_bytes_min: u64) -> Self {
        self.free_bytes_min = free_bytes_min;
        self
    }

    /// Bytes of one image at most.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// An image, to be read from `position`; it exists once an upload of that digest was finished.
    ///
    /// # Errors
    /// There is none, or what is there is not what was written.
    pub(crate) fn read(&self, sha256: Digest, position: u64) -> io::Result<Stored> {
        let mut file = File::open(self.dir.join(sha256.to_string()))?;
        let altered = || io::Error::new(io::ErrorKind::InvalidData, sealed::Altered);
        let size_bytes = sealed::image_bytes(file.metadata()?.len()).ok_or_else(altered)?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let key = FileKey::of(&self.key.0, &header).map_err(|_| altered())?;
        Ok(Stored { file, key, size_bytes, position })
    }

    /// Removes an image that nothing refers to; it may be gone already.
    pub(crate) fn remove(&self, sha256: Digest) -> io::Result<()> {
        match mdfm_service::remove_durably(&self.dir.join(sha256.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Begins an upload; `name` keeps uploads apart.
    pub(crate) fn begin(&self, name: &str) -> io::Result<Upload> {
        let temporary = self.dir.join(format!("{name}.part"));
        let mut file = File::create(&temporary)?;
        let (header, key) = FileKey::fresh(&self.key.0).map_err(io::Error::other)?;
        file.write_all(&header)?;
        Ok(Upload {
            dir: self.dir.clone(),
            temporary,
            file,
            key,
            block: Vec::with_capacity(SEALED_BYTES),
            blocks: 0,
            hash: Sha256::new(),
            size_bytes: 0,
            bytes_max: self.bytes_max,
            free_bytes_min: self.free_bytes_min,
        })
    }
}

impl Upload {
    /// Adds bytes; fails above the limit for images.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.hash.update(bytes);
        while !bytes.is_empty() {
            // A full block is sealed once there is more: the last one is sealed as the last one.
            if self.block.len() == BLOCK_BYTES {
                self.seal(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        if self.blocks.is_multiple_of(BLOCKS_A_LOOK) && mdfm_service::free_bytes(&self.dir)? < self.free_bytes_min {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.key.seal(self.blocks, is_last, &mut self.block).map_err(io::Error::other)?;
        self.file.write_all(&self.block)?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    /// The digest of what came so far.
    pub(crate) fn sha256(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }

    /// Bytes that came so far.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Makes the image durable under its digest.
    pub(crate) fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.seal(true)?;
        self.file.sync_all()?;
        let sha256 = self.sha256();
        fs::rename(&self.temporary, self.dir.join(sha256.to_string()))?;
        File::open(&self.dir)?.sync_all()?;
        Ok((sha256, self.size_bytes))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Gone already after `finish`; otherwise the upload was given up.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Stored {
    /// Bytes of the image.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The bytes from where it stands to the end of their block; none at the end of the image.
    ///
    /// # Errors
    /// The file cannot be read, or is not what was written.
    pub(crate) fn next_bytes(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.position >= self.size_bytes {
            return Ok(None);
        }
        let (block, last) = (self.position / BLOCK_BYTES as u64, (self.size_bytes - 1) / BLOCK_BYTES as u64);
        self.file.seek(SeekFrom::Start(HEADER_BYTES as u64 + block * SEALED_BYTES as u64))?;
        let mut bytes = Vec::with_capacity(SEALED_BYTES);
        Read::by_ref(&mut self.file).take(SEALED_BYTES as u64).read_to_end(&mut bytes)?;
        let opened = self.key.open(block, block == last, &mut bytes);
        opened.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        let skipped = usize::try_from(self.position % BLOCK_BYTES as u64).unwrap_or(0);
        self.position = (block + 1) * BLOCK_BYTES as u64;
        Ok(Some(bytes.split_off(skipped.min(bytes.len()))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store(name: &str) -> (PathBuf, ImageStore) {
        let dir = std::env::temp_dir().join(format!("mdfm-images-{name}-{}", std::process::id()));
        let key = ImageKey::from_text(&"ab".repeat(32)).expect("a key");
        (dir.clone(), ImageStore::open(&dir, key, IMAGE_BYTES_MAX).expect("opens"))
    }

    fn keep(store: &ImageStore, image: &[u8], piece: usize) -> Digest {
        let mut upload = store.begin("x").expect("begins");
        image.chunks(piece).for_each(|piece| upload.write(piece).expect("writes"));
        upload.finish().expect("finishes").0
    }

    fn read(store: &ImageStore, sha256: Digest, from: u64) -> io::Result<Vec<u8>> {
        let (mut stored, mut bytes) = (store.read(sha256, from)?, Vec::new());
        while let Some(more) = stored.next_bytes()? {
            bytes.extend(more);
        }
        Ok(bytes)
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i % 251) as u8).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_was_put_in_comes_out_from_any_place(
            blocks in 0usize..3, rest in 0usize..200, piece in 1usize..100_000, from in 0u64..220_000,
        ) {
            let (dir, store) = store("round");
            let image = pattern((blocks * BLOCK_BYTES + rest).saturating_sub(100));
            let sha256 = keep(&store, &image, piece);
            prop_assert_eq!(sha256, Digest::of(&image));
            prop_assert_eq!(store.read(sha256, 0).expect("is there").size_bytes(), image.len() as u64);
            let start = usize::try_from(from).expect("small").min(image.len());
            prop_assert_eq!(read(&store, sha256, from).expect("reads"), &image[start..]);
            fs::remove_dir_all(dir).expect("removes");
        }
    }

    #[test]
    fn p11_30_no_block_of_an_image_is_on_disk_in_plain_and_none_can_be_altered_moved_or_dropped() {
        let (dir, store) = store("sealed");
        let image = pattern(3 * BLOCK_BYTES);
        let sha256 = keep(&store, &image, 10_000);
        let path = dir.join(sha256.to_string());
        let good = fs::read(&path).expect("reads");
        assert!(
            !good.windows(16).any(|w| w == &image[..16]),
            "the beginning of the pattern is everywhere in the image"
        );
        let block = |n: usize| HEADER_BYTES + n * SEALED_BYTES..HEADER_BYTES + (n + 1) * SEALED_BYTES;
        let mut swapped = good.clone();
        swapped[block(0)].copy_from_slice(&good[block(1)]);
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        };
        let bad = [
            ("salt", flipped(20)),
            ("mark", flipped(0)),
            ("first block", flipped(HEADER_BYTES + 7)),
            ("last tag", flipped(good.len() - 1)),
            ("blocks moved", swapped),
            ("last block dropped", good[..block(2).start].to_vec()),
            ("cut inside", good[..good.len() - 9].to_vec()),
            ("longer", [&good[..], &[0; 40]].concat()),
            ("empty", Vec::new()),
        ];
        for (what, bytes) in bad {
            fs::write(&path, bytes).expect("writes");
            assert!(read(&store, sha256, 0).is_err(), "{what}");
        }
        fs::write(&path, &good).expect("writes");
        let other = ImageKey::from_text(&"cd".repeat(32)).expect("a key");
        assert!(read(&ImageStore::open(&dir, other, 1).expect("opens"), sha256, 0).is_err(), "another key");
        assert_eq!(read(&store, sha256, 0).expect("reads"), image);
        fs::remove_dir_all(dir).expect("removes");
    }
}
