//! Verified images as files named by their digest; half-way ones end in `.part`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mdfm_shared::digest::Digest;
use mdfm_shared::waiting::WaitCode;
use sha2::{Digest as _, Sha256};

use super::Files;
use crate::disk::{DiskFile, DiskHandle, Open};

/// Bytes that stay free for everything else on the gateway: journals, telemetry, the system.
const RESERVE_BYTES: u64 = 64 << 20;
/// Piece in which what an earlier try left is read.
const READ_BYTES: usize = 256 * 1024;

/// Why an image could not be brought into the cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// The network, the coordinator or the disk; try again.
    #[error("{0}")]
    Later(String),
    /// The disk has no room; try again.
    #[error("{0}")]
    NoRoom(String),
    /// The configuration allows no download at this hour; try again.
    #[error("{0}")]
    Hours(String),
    /// The bytes are not what the manifest names, and all of them came now; or the configuration allows no way.
    #[error("{0}")]
    Wrong(String),
    /// A patch failed; trying again goes another way.
    #[error("{0}")]
    Patch(String),
}

impl From<io::Error> for ImageError {
    fn from(error: io::Error) -> Self {
        let words = format!("image cache: {error}");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom(words),
            _ => Self::Later(words),
        }
    }
}

impl ImageError {
    /// What an image waits for that is tried again, and why; `None` if trying again brings the same.
    pub(crate) fn waits_for(self) -> Option<(WaitCode, String)> {
        match self {
            Self::Later(words) | Self::Patch(words) => Some((WaitCode::ImageUnavailable, words)),
            Self::NoRoom(words) => Some((WaitCode::NoRoom, words)),
            Self::Hours(words) => Some((WaitCode::DownloadHours, words)),
            Self::Wrong(_) => None,
        }
    }
}

/// The cache's directory. A file under a digest's name was verified before it got the name.
#[derive(Clone)]
pub(crate) struct ImageCache {
    disk: DiskHandle,
    dir: PathBuf,
    bytes_max: u64,
    /// What is on its way: two writers of one image would spoil it.
    coming: Arc<Mutex<BTreeSet<Digest>>>,
}

/// That an image is on its way, as long as it lives.
struct Coming {
    coming: Arc<Mutex<BTreeSet<Digest>>>,
    sha256: Digest,
}

impl Coming {
    fn begin(coming: &Arc<Mutex<BTreeSet<Digest>>>, sha256: Digest) -> Option<Self> {
        let is_first = coming.lock().unwrap_or_else(PoisonError::into_inner).insert(sha256);
        is_first.then(|| Self { coming: Arc::clone(coming), sha256 })
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.sha256);
    }
}

impl ImageCache {
    /// Opens or makes the directory; it may keep `bytes_max` bytes of what no device needs at the moment.
    pub(crate) fn open(disk: &DiskHandle, dir: &Path, bytes_max: u64) -> io::Result<Self> {
        disk.create_dir(dir)?;
        Ok(Self { disk: disk.clone(), dir: dir.to_owned(), bytes_max, coming: Arc::default() })
    }

    fn whole(&self, sha256: Digest) -> PathBuf {
        self.dir.join(sha256.to_string())
    }

    fn part(&self, sha256: Digest) -> PathBuf {
        self.dir.join(format!("{sha256}.part"))
    }

    /// A whole image; none if it is not there with the length that the manifest names.
    pub(crate) fn get(&self, sha256: Digest, size_bytes: u64) -> io::Result<Option<Box<dyn DiskFile>>> {
        let path = self.whole(sha256);
        match self.disk.open(&path, Open::Existing) {
            Ok(file) if file.len_bytes()? == size_bytes => {
                // That it looks unused costs at most another download.
                let _ = self.disk.touch(&path);
                Ok(Some(file))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A whole image of whatever length, to start a patch from.
    pub(crate) fn held(&self, sha256: Digest) -> io::Result<Option<Files>> {
        let size_bytes = match self.disk.open(&self.whole(sha256), Open::Existing) {
            Ok(file) => file.len_bytes()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(self.get(sha256, size_bytes)?.map(|file| Files(vec![(file, size_bytes)])))
    }

    /// Bytes that may still be written to the cache's disk.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes(&self.dir)
    }

    /// Bytes of the image that an earlier try left.
    pub(crate) fn have(&self, sha256: Digest) -> u64 {
        self.disk.open(&self.part(sha256), Open::Existing).and_then(|f| f.len_bytes()).unwrap_or(0)
    }

    fn is_coming(&self, sha256: Digest) -> bool {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner).contains(&sha256)
    }

    /// Begins or goes on with a download.
    pub(crate) fn download(&self, sha256: Digest, size_bytes: u64) -> Result<Download, ImageError> {
        let coming = Coming::begin(&self.coming, sha256)
            .ok_or_else(|| ImageError::Later(format!("image {sha256} is on its way already")))?;
        let part = self.part(sha256);
        let mut file = self.disk.open(&part, Open::Create)?;
        let mut have = file.len_bytes()?;
        let mut hash = Sha256::new();
        if have > size_bytes {
            file.set_len(0)?;
            have = 0;
        }
        let mut buffer = vec![0; READ_BYTES];
        let mut at = 0;
        while at < have {
            let n = file.read_at(&mut buffer, at)?;
            if n == 0 {
                return Err(ImageError::Later("the half of an image in the cache cannot be read".into()));
            }
            hash.update(&buffer[..n]);
            at += n as u64;
        }
        Ok(Download { cache: self.clone(), file, sha256, size_bytes, hash, have, resumed: have > 0, _coming: coming })
    }

    /// Removes what stands in the way of `bytes` more, the longest unused first and nothing that is needed, and every half-way
    /// image that is not needed.
    ///
    /// # Errors
    /// There is no room, and how much is missing; or the disk.
    pub(crate) fn make_room(&self, needed: &BTreeSet<Digest>, bytes: u64) -> Result<(), ImageError> {
        let mut spare = Vec::new();
        let mut kept_bytes = 0;
        for (name, len) in self.disk.list(&self.dir)? {
            let digest = name.trim_end_matches(".part").parse::<Digest>().ok();
            match digest {
                Some(digest) if needed.contains(&digest) || self.is_coming(digest) => {}
                Some(_) if !name.ends_with(".part") => {
                    kept_bytes += len;
                    spare.push((name, len));
                }
                _ => self.disk.remove(&self.dir.join(name))?,
            }
        }
        let mut spare = spare.into_iter();
        loop {
            let free = self.disk.free_bytes(&self.dir)?;
            let fits = free >= bytes.saturating_add(RESERVE_BYTES);
            if fits && kept_bytes <= self.bytes_max {
                return Ok(());
            }
            let Some((name, len)) = spare.next() else {
                if fits {
                    return Ok(());
                }
                let missing = bytes.saturating_add(RESERVE_BYTES) - free;
                return Err(ImageError::NoRoom(format!(
                    "{missing} bytes are missing below {}; make room there, or keep state_dir on a larger disk",
                    self.dir.display()
                )));
            };
            self.disk.remove(&self.dir.join(name))?;
            kept_bytes -= len;
        }
    }
}

/// An image on its way into the cache.
pub(crate) struct Download {
    cache: ImageCache,
    file: Box<dyn DiskFile>,
    sha256: Digest,
    size_bytes: u64,
    hash: Sha256,
    have: u64,
    resumed: bool,
    _coming: Coming,
}

impl Download {
    /// Bytes that are there.
    pub(crate) fn have(&self) -> u64 {
        self.have
    }

    /// Takes the next piece.
    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), ImageError> {
        if self.have + piece.len() as u64 > self.size_bytes {
            self.forget();
            return Err(self.too_long());
        }
        self.file.write_at(piece, self.have)?;
        self.hash.update(piece);
        self.have += piece.len() as u64;
        Ok(())
    }

    /// Verifies the whole; durable under its own name when this returns.
    ///
    /// # Errors
    /// `Later` where it broke off, or where what an earlier try left may be to blame: the next begins anew. `Wrong` if all of it
    /// came just now and is not what the manifest names.
    pub(crate) fn finish(mut self) -> Result<(), ImageError> {
        let (have, size) = (self.have, self.size_bytes);
        if have < size {
            return Err(ImageError::Later(format!("the image broke off after {have} of {size} bytes")));
        }
        let found = Digest(self.hash.clone().finalize().into());
        if found != self.sha256 {
            let message = format!("the image has SHA-256 {found}, the manifest names {}", self.sha256);
            self.forget();
            return Err(self.of_this_try(ImageError::Wrong(message)));
        }
        self.file.sync()?;
        self.cache.disk.rename(&self.cache.part(self.sha256), &self.cache.whole(self.sha256))?;
        self.cache.disk.sync_dir(&self.cache.dir)?;
        Ok(())
    }

    /// What an image is that does not end where it should.
    fn too_long(&self) -> ImageError {
        self.of_this_try(ImageError::Wrong(format!("the image is longer than the {} bytes signed", self.size_bytes)))
    }

    /// An error in what came: where an earlier try left the beginning, that may be to blame, and the next try begins at byte 0.
    pub(crate) fn of_this_try(&self, error: ImageError) -> ImageError {
        match error {
            ImageError::Wrong(words) if self.resumed => ImageError::Later(words),
            error => error,
        }
    }

    /// Leaves nothing of an image that was found to be wrong, or that a damaged patch may have spoilt.
    pub(crate) fn forget_if_spoilt(&self, error: &ImageError) {
        if matches!(error, ImageError::Wrong(_) | ImageError::Patch(_)) {
            self.forget();
        }
    }

    fn forget(&self) {
        if let Err(error) = self.cache.disk.remove(&self.cache.part(self.sha256)) {
            tracing::warn!(%error, sha256 = %self.sha256, "a wrong image could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::Disk as _;
    use crate::disk::model::Model;

    const DIR: &str = "/images";

    fn cache(disk: &Model, bytes_max: u64) -> ImageCache {
        let handle: DiskHandle = Arc::new(disk.clone());
        ImageCache::open(&handle, Path::new(DIR), bytes_max).expect("opens")
    }
    fn image(n: u8, len: usize) -> (Digest, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 250).unwrap_or(0) ^ n).collect();
        (Digest::of(&bytes), bytes)
    }
    fn bring(cache: &ImageCache, n: u8, len: usize) -> Digest {
        let (sha256, bytes) = image(n, len);
        let mut download = cache.download(sha256, len as u64).expect("begins");
        download.write(&bytes).expect("fits");
        download.finish().expect("right");
        sha256
    }

    #[test]
    fn fld_15_a_disk_that_fills_while_an_image_comes_is_no_room() {
        let code = |kind: io::ErrorKind| ImageError::from(io::Error::from(kind)).waits_for().map(|(code, _)| code);
        assert_eq!(code(io::ErrorKind::StorageFull), Some(WaitCode::NoRoom));
        assert_eq!(code(io::ErrorKind::QuotaExceeded), Some(WaitCode::NoRoom));
        assert_eq!(code(io::ErrorKind::TimedOut), Some(WaitCode::ImageUnavailable));
        assert_eq!(ImageError::Hours("at night only".into()).waits_for().map(|w| w.0), Some(WaitCode::DownloadHours));
        assert_eq!(ImageError::Wrong("other bytes".into()).waits_for(), None);
    }

    #[test]
    fn att_6_an_endless_image_ends_at_its_signed_length() {
        let disk = Model::default();
        let cache = cache(&disk, 0);
        let (sha256, bytes) = image(1, 1_000);
        let mut download = cache.download(sha256, 999).expect("begins");
        assert!(matches!(download.write(&bytes), Err(ImageError::Wrong(_))));
        assert!(disk.list(Path::new(DIR)).expect("lists").is_empty(), "nothing of it stays");
    }

    /// Half an image that a power cut tore is no proof against the coordinator: it is fetched again from the start, and that works.
    #[test]
    fn att_4_a_torn_half_is_fetched_anew_and_only_a_whole_wrong_image_is_refused() {
        let disk = Model::default();
        let cache = cache(&disk, 0);
        let (sha256, bytes) = image(1, 10_000);
        let mut download = cache.download(sha256, 10_000).expect("begins");
        download.write(&bytes[..6_000]).expect("fits");
        drop(download);
        disk.flip(&Path::new(DIR).join(format!("{sha256}.part")), 100);
        let mut download = cache.download(sha256, 10_000).expect("goes on");
        assert_eq!(download.have(), 6_000);
        download.write(&bytes[6_000..]).expect("fits");
        assert!(matches!(download.finish(), Err(ImageError::Later(_))));
        let mut download = cache.download(sha256, 10_000).expect("begins");
        assert_eq!(download.have(), 0);
        download.write(&image(2, 10_000).1).expect("fits");
        assert!(matches!(download.finish(), Err(ImageError::Wrong(_))));
        bring(&cache, 1, 10_000);
    }

    /// The sample: a download that went on where an earlier one stopped, and came too long, failed the device.
    #[test]
    fn att_6_a_resumed_image_that_is_too_long_begins_again() {
        let disk = Model::default();
        let cache = cache(&disk, 0);
        let (sha256, bytes) = image(1, 10_000);
        cache.download(sha256, 10_000).expect("begins").write(&bytes[..6_000]).expect("fits");
        let mut download = cache.download(sha256, 10_000).expect("goes on");
        assert_eq!(download.have(), 6_000);
        assert!(matches!(download.write(&bytes), Err(ImageError::Later(_))), "the whole in place of the rest");
        drop(download);
        // The same where the stream itself counts the bytes.
        assert_eq!(cache.have(sha256), 0, "the next try begins at byte 0");
        cache.download(sha256, 10_000).expect("begins").write(&bytes[..6_000]).expect("fits");
        let download = cache.download(sha256, 10_000).expect("goes on");
        let error = ImageError::Wrong("the image is longer than the 10000 bytes signed".into());
        download.forget_if_spoilt(&error);
        assert!(matches!(download.of_this_try(error), ImageError::Later(_)));
        drop(download);
        assert_eq!(cache.have(sha256), 0);
        bring(&cache, 1, 10_000);
    }

    #[test]
    fn the_longest_unused_goes_first_and_what_is_needed_never() {
        let disk = Model::default();
        let cache = cache(&disk, 2_000);
        let [a, b, c] = [1, 2, 3].map(|n| bring(&cache, n, 1_000));
        let (half, bytes) = image(9, 1_000);
        cache.download(half, 1_000).expect("begins").write(&bytes[..10]).expect("fits");
        cache.get(a, 1_000).expect("reads").expect("is there");
        cache.make_room(&BTreeSet::new(), 0).expect("room");
        let held = |d: Digest| cache.get(d, 1_000).expect("reads").is_some();
        assert_eq!((held(a), held(b), held(c)), (true, false, true), "b was unused for the longest time");
        assert_eq!(disk.list(Path::new(DIR)).expect("lists").len(), 2, "a half that nobody needs goes");
        // A disk that is nearly full: everything unneeded goes before anything is begun that cannot end.
        disk.set_free_bytes(RESERVE_BYTES + 500);
        let error = cache.make_room(&BTreeSet::from([c]), 600).expect_err("no room");
        assert!(error.to_string().contains("100 bytes are missing"), "{error}");
        assert!(matches!(error.waits_for(), Some((WaitCode::NoRoom, _))), "FLD-15");
        assert_eq!((held(a), held(c)), (false, true));
    }
}
