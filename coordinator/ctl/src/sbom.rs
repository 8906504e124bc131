//! Bills of materials: checked here before anything that names them is signed, attached, shown, saved.

use std::fs::File;
use std::io::{Read, Take, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::sbom::{self, Sbom};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::files::{self, Access, Overwrite};
use crate::output::{Output, count, count_of};

/// A bill of materials on disk that the coordinator will take.
pub(crate) struct Checked {
    path: PathBuf,
    pub(crate) sha256: Digest,
}

/// Bytes on their way to the reader, hashed as they pass.
struct Hashing<'a>(Take<File>, &'a mut Sha256);

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.update(&buffer[..n]);
        Ok(n)
    }
}

impl Checked {
    /// Reads a file as the coordinator will.
    ///
    /// # Errors
    /// It cannot be read, or is not a bill of materials that is taken.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = files::open_within(path, sbom::DOCUMENT_BYTES_MAX)?;
        let mut hash = Sha256::new();
        let Sbom { format, parts, elsewhere } =
            sbom::read(Hashing(file, &mut hash)).with_context(|| format!("{}; nothing was signed", path.display()))?;
        mdfm_service::output::note(format!("{}: {format}, {}", path.display(), count(parts.len(), "part")));
        for other in elsewhere {
            mdfm_service::output::note(format!("its parts in {other} are not read: recalls do not find them"));
        }
        Ok(Self { path: path.to_owned(), sha256: Digest(hash.finalize().into()) })
    }

    /// Attaches it to a release.
    ///
    /// # Errors
    /// The coordinator refuses it.
    pub(crate) async fn send(&self, client: &Client, firmware: &FirmwareId) -> anyhow::Result<Value> {
        let bytes = files::read_within(&self.path, sbom::DOCUMENT_BYTES_MAX)?;
        ensure!(Digest::of(&bytes) == self.sha256, "{} changed meanwhile; nothing was attached", self.path.display());
        client.put_bytes(&format!("/api/v1/firmware/{firmware}/sbom"), bytes).await
    }
}

pub(crate) async fn attach(out: &Output, client: &Client, firmware: &FirmwareId, file: &Path) -> anyhow::Result<()> {
    let view = Checked::read(file)?.send(client, firmware).await?;
    out.answer(&view, || {
        format!("{firmware} has its bill of materials: {}", count_of(&view["sbomComponents"], "part"))
    });
    Ok(())
}

pub(crate) async fn save(
    out: &Output,
    client: &Client,
    firmware: &FirmwareId,
    file: &Path,
    overwrite: Overwrite,
) -> anyhow::Result<()> {
    let mut answer = client.stream(&format!("/api/v1/firmware/{firmware}/sbom")).await?;
    let mut target = overwrite.reserve(file, Access::Mask)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    while let Some(piece) = answer.piece().await? {
        bytes += piece.len() as u64;
        ensure!(
            bytes <= sbom::DOCUMENT_BYTES_MAX,
            "the coordinator sends more than {} bytes",
            sbom::DOCUMENT_BYTES_MAX
        );
        hash.update(&piece);
        target.write_all(&piece).with_context(|| format!("writing {}", file.display()))?;
    }
    target.finish()?;
    let sha256 = Digest(hash.finalize().into());
    let saved = json!({ "firmwareId": firmware, "file": file.display().to_string(), "bytes": bytes, "sha256": sha256 });
    out.answer(&saved, || format!("{} has {bytes} bytes, SHA-256 {sha256}", file.display()));
    Ok(())
}

pub(crate) async fn show(out: &Output, client: &Client, firmware: &FirmwareId) -> anyhow::Result<()> {
    let parts = client.get(&format!("/api/v1/firmware/{firmware}/parts")).await?;
    if !out.is_json() && parts.as_array().is_some_and(Vec::is_empty) {
        mdfm_service::output::note(format!("no bill of materials is on record for {firmware}"));
        return Ok(());
    }
    let columns = [
        ("GROUP", "/group"),
        ("NAME", "/name"),
        ("VERSION", "/version"),
        ("PURL", "/purls"),
        ("SUPPLIER", "/supplier"),
    ];
    out.table(&parts, &columns);
    Ok(())
}
