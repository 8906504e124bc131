//! Makes patches from one image to another, and looks at once whether they give it back.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mdfm_shared::delta::{self, HEADER_BYTES, Header, Patcher, WINDOW_BYTES_MAX};
use mdfm_shared::digest::Digest;
use mdfm_shared::limits::IMAGE_BYTES_MAX;
use mdfm_shared::manifest::DeltaVariant;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::files::{self, Access, NewFile, Overwrite};
use crate::output::Output;

/// Best that the library gives without levels that need more memory to read.
const LEVEL: i32 = 19;
/// Piece in which a patch is read.
const PIECE_BYTES: usize = 256 * 1024;

/// Make a patch from an image that gateways hold to a new one; `firmware upload --delta` takes it up.
#[derive(Debug, Args)]
pub(crate) struct Delta {
    /// The image that gateways hold, uncompressed; of a device with several components all of them, in the order of installation.
    #[arg(long = "base", value_name = "FILE", required = true)]
    bases: Vec<PathBuf>,
    /// The new image, likewise.
    #[arg(long = "image", value_name = "FILE", required = true)]
    images: Vec<PathBuf>,
    /// The file to make.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for path in paths {
        let left = IMAGE_BYTES_MAX - (bytes.len() as u64).min(IMAGE_BYTES_MAX);
        let read = files::open_within(path, left)?.read_to_end(&mut bytes);
        read.with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(bytes)
}

pub(crate) fn make(out: &Output, options: &Delta) -> anyhow::Result<()> {
    let (base, image) = (read_all(&options.bases)?, read_all(&options.images)?);
    let header = Header {
        base_sha256: Digest::of(&base),
        base_bytes: base.len() as u64,
        image_sha256: Digest::of(&image),
        image_bytes: image.len() as u64,
    };
    let path = &options.out;
    let mut file = options.overwrite.reserve(path, Access::Mask)?;
    let variant = write(out, &mut file, &header, &base, &image).and_then(|()| {
        prove(file.unfinished(), &header, &base)?;
        Ok(measure(file.unfinished())?.1)
    });
    let variant = variant.with_context(|| format!("making {}", path.display()))?;
    file.finish()?;
    let answer = json!({
        "file": path, "sha256": variant.sha256, "sizeBytes": variant.size_bytes, "format": variant.format,
        "baseSha256": header.base_sha256, "imageSha256": header.image_sha256, "imageBytes": header.image_bytes,
    });
    out.answer(&answer, || {
        let parts = header.image_bytes / variant.size_bytes.max(1);
        let (size, image) = (variant.size_bytes, header.image_bytes);
        format!(
            "{}: {size} bytes for an image of {image}, one part in {parts}; applied and found right",
            path.display()
        )
    });
    Ok(())
}

fn write(out: &Output, file: &mut NewFile, header: &Header, base: &[u8], image: &[u8]) -> anyhow::Result<()> {
    file.write_all(&header.encode())?;
    let mut frame = zstd::Encoder::new(file, LEVEL)?;
    frame.window_log(WINDOW_BYTES_MAX.ilog2())?;
    frame.include_checksum(false)?;
    let bar = if out.is_json() { ProgressBar::hidden() } else { ProgressBar::new(image.len() as u64) };
    bar.set_style(ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {eta}")?);
    delta::make(base, image, |segment| {
        bar.inc(delta::SEGMENT_BYTES as u64);
        frame.write_all(segment)
    })?;
    bar.finish_and_clear();
    frame.finish()?.flush()?;
    Ok(())
}

/// Applies the patch as a gateway does.
fn prove(path: &Path, header: &Header, base: &[u8]) -> anyhow::Result<()> {
    let mut file = files::open_within(path, IMAGE_BYTES_MAX)?;
    io::copy(&mut Read::by_ref(&mut file).take(HEADER_BYTES as u64), &mut io::sink())?;
    let segments = zstd::Decoder::new(file)?;
    let mut patcher = Patcher::new(segments, base, header.base_bytes, header.image_bytes);
    let mut hash = Sha256::new();
    while let Some((_, piece)) = patcher.next(0)? {
        hash.update(piece);
    }
    let found = Digest(hash.finalize().into());
    ensure!(found == header.image_sha256, "applied, it gives {found} in place of {}", header.image_sha256);
    Ok(())
}

/// What a manifest says of a patch, and what the patch says of itself.
pub(crate) fn measure(path: &Path) -> anyhow::Result<(Header, DeltaVariant)> {
    let mut file = files::open_within(path, IMAGE_BYTES_MAX)?;
    let mut begin = [0; HEADER_BYTES];
    if file.read_exact(&mut begin).is_err() {
        bail!("{} is too short for a patch", path.display());
    }
    let header = Header::decode(&begin).with_context(|| format!("reading {}", path.display()))?;
    let mut hash = Sha256::new_with_prefix(begin);
    let mut size_bytes = HEADER_BYTES as u64;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            break;
        }
        hash.update(&piece[..n]);
        size_bytes += n as u64;
    }
    let variant = DeltaVariant {
        base_sha256: header.base_sha256,
        format: delta::FORMAT.into(),
        sha256: Digest(hash.finalize().into()),
        size_bytes,
    };
    Ok((header, variant))
}
