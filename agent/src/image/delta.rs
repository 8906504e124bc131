//! Images made out of a patch and an image that this gateway holds (`mdfm_shared::delta`): a window and a segment in memory, no image.

use std::io::{self, BufReader, Read};

use mdfm_shared::delta::{Base, DeltaError, HEADER_BYTES, Header, Patcher, WINDOW_BYTES_MAX};
use mdfm_shared::digest::Digest;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use tokio::sync::mpsc;

use super::ImageError;
use crate::disk::{DiskFile, read_exact_at};

/// Pieces of an image that wait for whoever takes them.
const WAITING_MAX: usize = 1;
/// In which the patch is read.
const READ_BYTES: usize = 64 * 1024;

/// The files of an image that is there whole, one behind the other, with their lengths in bytes.
pub(crate) struct Files(pub(crate) Vec<(Box<dyn DiskFile>, u64)>);

impl Files {
    fn size_bytes(&self) -> u64 {
        self.0.iter().map(|(_, len)| len).sum()
    }
}

impl Base for Files {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        for (file, len) in &self.0 {
            if offset < *len && !buffer.is_empty() {
                let here = usize::try_from(len - offset).unwrap_or(usize::MAX).min(buffer.len());
                let (now, later) = buffer.split_at_mut(here);
                read_exact_at(&**file, now, offset)?;
                buffer = later;
                offset = 0;
            } else {
                offset = offset.saturating_sub(*len);
            }
        }
        if buffer.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// A patch, read from its file.
struct PatchFile {
    file: Box<dyn DiskFile>,
    at: u64,
}

impl Read for PatchFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

type Segments = StreamingDecoder<BufReader<PatchFile>, FrameDecoder>;

/// Opens a patch for an image of this digest and length.
fn open(
    patch: Box<dyn DiskFile>,
    base: Files,
    sha256: Digest,
    size_bytes: u64,
) -> Result<Patcher<Segments, Files>, DeltaError> {
    let mut patch = BufReader::with_capacity(READ_BYTES, PatchFile { file: patch, at: 0 });
    let mut header = [0; HEADER_BYTES];
    patch.read_exact(&mut header)?;
    let header = Header::decode(&header)?;
    if header.image_sha256 != sha256 || header.image_bytes != size_bytes {
        return Err(DeltaError::Malformed("it makes another image"));
    }
    if header.base_bytes != base.size_bytes() {
        return Err(DeltaError::Malformed("its base has another length"));
    }
    let frame = StreamingDecoder::new_with_max_window_size(patch, WINDOW_BYTES_MAX)
        .map_err(|e| DeltaError::Io(io::Error::other(format!("the patch's frame: {e}"))))?;
    Ok(Patcher::new(frame, base, header.base_bytes, header.image_bytes))
}

/// An image that is being made on a thread of its own.
pub(crate) struct Making {
    pieces: mpsc::Receiver<Result<Vec<u8>, ImageError>>,
}

impl Making {
    /// Begins with byte `from`.
    pub(crate) fn start(patch: Box<dyn DiskFile>, base: Files, sha256: Digest, size_bytes: u64, from: u64) -> Self {
        let (give, pieces) = mpsc::channel(WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            let make = || -> Result<(), DeltaError> {
                let mut patcher = open(patch, base, sha256, size_bytes)?;
                while let Some((_, piece)) = patcher.next(from)? {
                    if give.blocking_send(Ok(piece.to_vec())).is_err() {
                        return Ok(());
                    }
                }
                Ok(())
            };
            if let Err(error) = make() {
                // Who asked may have gone.
                let _ = give.blocking_send(Err(ImageError::Patch(error.to_string())));
            }
        });
        Self { pieces }
    }

    /// The next piece; none at the end of the image.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ImageError> {
        self.pieces.recv().await.transpose()
    }
}

/// A patch with these bytes in it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(frame) = StreamingDecoder::new_with_max_window_size(bytes, WINDOW_BYTES_MAX) else { return };
    let mut patcher = Patcher::new(frame, &[7; 4_096][..], 4_096, 1 << 22);
    while let Ok(Some(_)) = patcher.next(0) {}
}
