//! Brings images: into the cache, where one serves all devices, or straight into a slot of this gateway. An image comes from the cache, out of
//! a patch and an image that is here, or over the network; the hospital's policy says which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mdfm_agent_core::image::Image;
use mdfm_shared::delta;
use mdfm_shared::digest::Digest;
use mdfm_shared::manifest::DeltaVariant;
use serde::Deserialize;
use tokio::time::Instant;

use crate::device::{LocalDevice, SlotsConfig, slot_base};
use crate::disk::{DiskHandle, read_exact_at};
use crate::image::{Files, ImageCache, ImageError, Making};
use crate::link::{Http, ImageStream};

/// Bytes read from the cache at once.
const FEED_BYTES: u64 = 256 << 10;
/// Pause after the line brought other bytes than the signed ones: whoever changes them does not fill the hospital's line.
const LINE_PAUSE: Duration = Duration::from_secs(600);

/// Whether images are made out of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Deltas {
    /// Where a patch fits what is here; the whole image where none does, or where it fails.
    #[default]
    Prefer,
    /// Only so: an installation without a patch that fits fails, and the line is spared.
    Only,
    /// Never.
    Off,
}

/// Patches that failed and have not been told of yet, and those that are not tried again.
#[derive(Default)]
struct Failed {
    known: BTreeSet<Digest>,
    untold: Vec<String>,
    /// Images that were not what a slot should hold when they came straight into it.
    streamed: BTreeSet<Digest>,
    lines: Lines,
}

/// When the line brought other bytes than the signed ones, and what was wrong.
#[derive(Default)]
struct Lines(BTreeMap<Digest, (Instant, String)>);

impl Lines {
    /// Notes what was wrong with an image; returns the words for it.
    fn note(&mut self, sha256: Digest, error: &str, now: Instant) -> String {
        self.0.retain(|_, (at, _)| now.saturating_duration_since(*at) < LINE_PAUSE);
        let words = format!("{error}; it is asked for again after {} minutes", LINE_PAUSE.as_secs() / 60);
        self.0.insert(sha256, (now, words.clone()));
        words
    }

    /// Why an image is not asked for now; `None` if it may be.
    fn why_not(&self, sha256: Digest, now: Instant) -> Option<String> {
        let (at, words) = self.0.get(&sha256)?;
        (now.saturating_duration_since(*at) < LINE_PAUSE).then(|| words.clone())
    }
}

/// What brings images; cheap to clone.
#[derive(Clone)]
pub(crate) struct Bringer {
    http: Http,
    cache: ImageCache,
    disk: DiskHandle,
    slots: Arc<Vec<SlotsConfig>>,
    deltas: Deltas,
    failed: Arc<Mutex<Failed>>,
}

/// Where an image comes from.
enum Source {
    Network(ImageStream),
    Patch(Digest, Making),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ImageError> {
        match self {
            Self::Network(stream) => stream.next().await,
            Self::Patch(_, making) => making.next().await,
        }
    }
}

impl Bringer {
    /// Looks for bases in the cache and in `slots`.
    pub(crate) fn new(
        http: Http,
        cache: ImageCache,
        disk: DiskHandle,
        slots: Vec<SlotsConfig>,
        deltas: Deltas,
    ) -> Self {
        Self { http, cache, disk, slots: Arc::new(slots), deltas, failed: Arc::default() }
    }

    /// Asks over another connection from now on.
    pub(crate) fn reconnect(&mut self, http: Http) {
        self.http = http;
    }

    /// What went wrong with patches since the last question.
    pub(crate) fn failures(&self) -> Vec<String> {
        std::mem::take(&mut self.failed.lock().unwrap_or_else(PoisonError::into_inner).untold)
    }

    /// A slot was found wrong after it was written: the patches of its image, which may be to blame, are not used again, and the image goes
    /// through the cache, where it is verified.
    pub(crate) fn doubt(&self, image: &Image) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).streamed.insert(image.firmware.sha256);
        for delta in self.usable(image) {
            self.give_up(delta.sha256, "the slot written with its help was found wrong");
        }
    }

    fn give_up(&self, patch: Digest, why: &str) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.known.insert(patch) {
            failed.untold.push(format!("patch {patch} is not used any more: {why}"));
        }
    }

    fn usable<'a>(&self, image: &'a Image) -> impl Iterator<Item = &'a DeltaVariant> {
        let is_on = self.deltas != Deltas::Off;
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).known.clone();
        let known = move |d: &&DeltaVariant| is_on && d.format == delta::FORMAT && !failed.contains(&d.sha256);
        image.deltas.iter().filter(known)
    }

    /// An image that is here whole: in the cache, or in the slot that a device runs.
    fn base(&self, sha256: Digest) -> Option<Files> {
        let held = self.cache.held(sha256).ok().flatten();
        held.or_else(|| self.slots.iter().find_map(|slots| slot_base(&self.disk, slots, sha256).ok().flatten()))
    }

    /// The image from byte `from` on. What `needed` names stays in the cache.
    async fn source(&self, image: &Image, needed: &BTreeSet<Digest>, from: u64) -> Result<Source, ImageError> {
        let (sha256, size_bytes) = (image.firmware.sha256, image.size_bytes);
        let found = self.usable(image).find_map(|delta| Some((delta.clone(), self.base(delta.base_sha256)?)));
        if let Some((delta, base)) = found {
            let mut needed = needed.clone();
            needed.extend([delta.base_sha256, delta.sha256]);
            match self.patch(&delta, &needed).await {
                Ok(patch) => {
                    tracing::info!(image = %sha256, base = %delta.base_sha256, bytes = delta.size_bytes, "making the image out of a patch");
                    return Ok(Source::Patch(delta.sha256, Making::start(patch, base, sha256, size_bytes, from)));
                }
                // What the line brought says nothing about the patch, and there is no other way.
                Err(ImageError::Wrong(error)) if self.deltas == Deltas::Only => {
                    return Err(self.blame_line(delta.sha256, &error));
                }
                Err(ImageError::Wrong(error)) => self.give_up(delta.sha256, &error),
                Err(ImageError::Patch(error)) => tracing::info!(%error, image = %sha256, "the patch cannot be had"),
                Err(later) => return Err(later),
            }
        }
        if self.deltas == Deltas::Only {
            let reason = "no patch of the release fits an image on this gateway, and its configuration allows no whole \
                          download (download.deltas = \"only\")";
            return Err(ImageError::Wrong(reason.into()));
        }
        self.over_network(sha256, size_bytes, from).await.map(Source::Network)
    }

    /// An image or a patch over the network, unless the line has just brought other bytes in its place.
    async fn over_network(&self, sha256: Digest, size_bytes: u64, from: u64) -> Result<ImageStream, ImageError> {
        let spoilt = self.failed.lock().unwrap_or_else(PoisonError::into_inner).lines.why_not(sha256, Instant::now());
        match spoilt {
            Some(words) => Err(ImageError::Later(words)),
            None => self.http.image(sha256, size_bytes, from).await,
        }
    }

    /// The line, or the coordinator, brought other bytes than the signed ones: that is no failure of a device. They are asked for again later.
    fn blame_line(&self, sha256: Digest, error: &str) -> ImageError {
        tracing::warn!(%sha256, error, "the line brought other bytes than the signed ones");
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        ImageError::Later(failed.lines.note(sha256, error, Instant::now()))
    }

    /// The patch itself, whole and verified.
    async fn patch(
        &self,
        delta: &DeltaVariant,
        needed: &BTreeSet<Digest>,
    ) -> Result<Box<dyn crate::disk::DiskFile>, ImageError> {
        let (sha256, size_bytes) = (delta.sha256, delta.size_bytes);
        if let Some(file) = self.cache.get(sha256, size_bytes)? {
            return Ok(file);
        }
        let have = self.cache.have(sha256);
        let missing = size_bytes.saturating_sub(have);
        self.cache.make_room(needed, missing).map_err(|e| ImageError::Patch(e.to_string()))?;
        let stream = if have < size_bytes { Some(self.over_network(sha256, size_bytes, have).await?) } else { None };
        self.take_in(sha256, size_bytes, have, stream.map(Source::Network)).await?;
        self.cache.get(sha256, size_bytes)?.ok_or_else(|| ImageError::Later("the patch left the cache".into()))
    }

    /// Writes what comes behind the first `have` bytes into the cache.
    async fn take_in(
        &self,
        sha256: Digest,
        size_bytes: u64,
        have: u64,
        source: Option<Source>,
    ) -> Result<(), ImageError> {
        let mut download = self.cache.download(sha256, size_bytes)?;
        if let Some(mut source) = source {
            if download.have() != have {
                return Err(ImageError::Later("the half of the image has changed meanwhile".into()));
            }
            loop {
                let next = source.next().await.inspect_err(|error| download.forget_if_spoilt(error));
                let Some(piece) = next.map_err(|error| download.of_this_try(error))? else { break };
                download.write(&piece)?;
            }
        }
        download.finish()
    }

    /// Brings an image into the cache, going on where an earlier try stopped.
    pub(crate) async fn to_cache(&self, image: &Image, needed: &BTreeSet<Digest>) -> Result<(), ImageError> {
        let (sha256, size_bytes) = (image.firmware.sha256, image.size_bytes);
        let have = self.cache.have(sha256);
        let missing = size_bytes.saturating_sub(have);
        // Where the disk has no room for a base beside it, the image comes whole.
        let roomy = self.cache.make_room(&self.with_bases(image, needed), missing);
        roomy.or_else(|_| self.cache.make_room(needed, missing))?;
        // The network is asked first: while it does not answer, the image may come on removable media.
        let source = if have < size_bytes { Some(self.source(image, needed, have).await?) } else { None };
        let patch = match &source {
            Some(Source::Patch(patch, _)) => Some(*patch),
            _ => None,
        };
        let taken = self.take_in(sha256, size_bytes, have, source).await;
        match (taken, patch) {
            // With the patch given up, the next try takes another way.
            (Err(ImageError::Wrong(error) | ImageError::Patch(error)), Some(patch)) => {
                self.give_up(patch, &error);
                Err(ImageError::Patch(error))
            }
            (Err(ImageError::Wrong(error)), None) => Err(self.blame_line(sha256, &error)),
            (taken, _) => taken,
        }
    }

    /// What must stay while the image is made: the bases of its patches too.
    fn with_bases(&self, image: &Image, needed: &BTreeSet<Digest>) -> BTreeSet<Digest> {
        needed.iter().copied().chain(self.usable(image).flat_map(|d| [d.base_sha256, d.sha256])).collect()
    }

    /// Brings an image to a device whose slots lie on this gateway. What `needed` names stays in the cache.
    pub(crate) async fn to_slot(
        &self,
        image: &Image,
        needed: &BTreeSet<Digest>,
        device: &LocalDevice,
        from: u64,
    ) -> Result<(), ImageError> {
        let (sha256, size_bytes) = (image.firmware.sha256, image.size_bytes);
        let mut at = from;
        if self.failed.lock().unwrap_or_else(PoisonError::into_inner).streamed.contains(&sha256) {
            // Verified in the cache first: what a slot then finds wrong is not the line's.
            self.to_cache(image, needed).await?;
        }
        if let Some(file) = self.cache.get(sha256, size_bytes)? {
            while at < size_bytes {
                let mut piece = vec![0; usize::try_from(FEED_BYTES.min(size_bytes - at)).unwrap_or(0)];
                read_exact_at(&*file, &mut piece, at)?;
                let len = piece.len() as u64;
                if !device.feed(at, piece).await {
                    break;
                }
                at += len;
            }
            return Ok(());
        }
        let mut source = self.source(image, needed, from).await?;
        loop {
            match source.next().await {
                Ok(Some(piece)) => {
                    let len = piece.len() as u64;
                    if !device.feed(at, piece).await {
                        return Ok(());
                    }
                    at += len;
                }
                Ok(None) => return Ok(()),
                Err(ImageError::Patch(error)) => {
                    if let Source::Patch(patch, _) = source {
                        self.give_up(patch, &error);
                    }
                    return Err(ImageError::Patch(error));
                }
                Err(ImageError::Wrong(error)) => {
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).streamed.insert(sha256);
                    return Err(ImageError::Later(error));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn att_6_what_the_line_spoils_is_asked_for_later() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let [spoilt, other] = [b"a", b"b"].map(|bytes| Digest::of(bytes));
        let words = lines.note(spoilt, "the image has SHA-256 00", start);
        assert_eq!(words, "the image has SHA-256 00; it is asked for again after 10 minutes");
        assert_eq!(lines.why_not(spoilt, start + LINE_PAUSE / 2), Some(words));
        assert_eq!(lines.why_not(other, start), None);
        assert_eq!(lines.why_not(spoilt, start + LINE_PAUSE), None);
        lines.note(other, "it is too long", start + LINE_PAUSE);
        assert_eq!(lines.0.len(), 1, "what is over is forgotten");
    }
}
