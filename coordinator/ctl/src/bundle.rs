//! Bundles for gateways without a line: what goes there on removable media, and the telemetry that comes back.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Subcommand;
use mdfm_shared::bundle::{Document, HEADER_BYTES_MAX, Header, PREFIX_BYTES, header_len};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::files::{self, Access, NewFile, Overwrite};
use crate::output::{Output, count, text};

/// Batches in one request: together they stay below what the coordinator takes.
const BATCHES_AT_ONCE: usize = 8;

/// Bytes of a bundle's header as the coordinator shows it, in base64.
const VIEW_BYTES_MAX: usize = HEADER_BYTES_MAX * 2;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Writes a file for a gateway: trust documents, directive, releases, images. `mdfm-agent import` takes it up.
    Export {
        /// Gateway id.
        gateway: GatewayId,
        /// The file to make.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
        /// Size of the audit log that the gateway knows (`mdfm-agent status`: checkpointSize); what it said last by default.
        #[arg(long = "log-size", alias = "from", value_name = "N")]
        from: Option<u64>,
    },
    /// Brings a gateway's telemetry (`mdfm-agent export`) to the audit log.
    Deliver {
        /// The file from the gateway.
        file: PathBuf,
        /// Where to write the coordinator's word that all of it is safe; `mdfm-agent import` takes it up, and the gateway frees its room.
        #[arg(long)]
        ack: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
    },
}

pub(crate) async fn run(out: &Output, client: &Client, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Export { gateway, out: file, overwrite, from } => {
            let target = overwrite.reserve(&file, Access::Mask)?;
            export(out, client, &gateway, (&file, target), from).await
        }
        Action::Deliver { file, ack, overwrite } => {
            let target = ack.map(|ack| overwrite.reserve(&ack, Access::Mask)).transpose()?;
            deliver(out, client, &file, target).await
        }
    }
}

async fn export(
    out: &Output,
    client: &Client,
    gateway: &GatewayId,
    (path, mut file): (&Path, NewFile),
    from: Option<u64>,
) -> anyhow::Result<()> {
    let from = from.map_or(String::new(), |from| format!("?from={from}"));
    let view = client.get_within(&format!("/api/v1/gateways/{gateway}/bundle{from}"), VIEW_BYTES_MAX).await?;
    let header: Header = serde_json::from_value(view).context("the coordinator's answer is no bundle")?;
    let releases = client.list("/api/v1/firmware").await?;
    let written = || format!("writing {}; nothing of it was kept", path.display());
    file.write_all(&header.encode()?).with_context(written)?;
    for image in &header.images {
        let sha256 = image.sha256.to_string();
        let release = releases.as_array().into_iter().flatten().find(|r| r["imageSha256"] == sha256.as_str());
        let firmware = text(&release.with_context(|| format!("no firmware has image {sha256}"))?["firmwareId"]);
        let mut answer = client.stream(&format!("/api/v1/firmware/{firmware}/image")).await?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(piece) = answer.piece().await? {
            files::check_room(path)?;
            hash.update(&piece);
            size += piece.len() as u64;
            ensure!(size <= image.size_bytes, "the image of {firmware} is longer than {} bytes", image.size_bytes);
            file.write_all(&piece).with_context(written)?;
        }
        let found = Digest(hash.finalize().into());
        ensure!(found == image.sha256, "the image of {firmware} came as {found}, it should be {sha256}");
    }
    file.finish()?;
    let answer = json!({
        "file": path, "gateway": header.gateway, "documents": header.documents.len(), "images": header.images.len(),
    });
    out.answer(&answer, || {
        let (documents, images) = (count(header.documents.len(), "document"), count(header.images.len(), "image"));
        format!("{documents} and {images} for {gateway} written to {}", path.display())
    });
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Header> {
    let what = || format!("reading {}", path.display());
    let mut file = files::open_within(path, u64::MAX)?;
    let mut prefix = [0; PREFIX_BYTES];
    file.read_exact(&mut prefix).with_context(what)?;
    let mut header = vec![0; header_len(&prefix).with_context(what)?];
    file.read_exact(&mut header).with_context(what)?;
    Header::decode(&header).with_context(what)
}

async fn deliver(out: &Output, client: &Client, path: &Path, ack: Option<NewFile>) -> anyhow::Result<()> {
    let Header { gateway, documents, .. } = read(path)?;
    let (mut taken, mut known) = (0, 0);
    let (mut words, mut refused) = (Vec::new(), None);
    for documents in documents.chunks(BATCHES_AT_ONCE) {
        let view =
            client.post(&format!("/api/v1/gateways/{gateway}/telemetry"), &json!({ "documents": documents })).await?;
        taken += view["taken"].as_u64().unwrap_or(0);
        known += view["known"].as_u64().unwrap_or(0);
        // A coordinator of an earlier version sends no head.
        let sent =
            ["head", "acknowledgement"].map(|name| &view[name]).into_iter().filter(|document| !document.is_null());
        words = sent.map(|document| serde_json::from_value(document.clone())).collect::<Result<Vec<Document>, _>>()?;
        refused = view["refused"].as_str().map(str::to_owned);
        if refused.is_some() {
            break;
        }
    }
    if let (Some(ack), false) = (ack, words.is_empty()) {
        let answer = Header { gateway: gateway.clone(), documents: words, ..Header::default() }.encode()?;
        ack.write_made(&answer, || {
            format!("{} of {gateway} are in the log, but the answer for the gateway cannot be written; deliver the same file again", count(taken + known, "batch"))
        })?;
    }
    let answer: Value = json!({ "gateway": gateway, "taken": taken, "known": known, "refused": refused });
    out.answer(&answer, || {
        let done = format!("{gateway}: {} newly in the log, {known} in it before", count(taken, "batch"));
        match &refused {
            Some(why) => format!(
                "{done}; the next does not continue them: {why}. Import the answer (--ack) on the gateway: it reports again"
            ),
            None => done,
        }
    });
    Ok(())
}
