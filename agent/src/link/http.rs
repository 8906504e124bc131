//! HTTPS to the coordinator: images with resume, consistency proofs.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use mdfm_shared::digest::Digest;
use mdfm_shared::limits::PROOF_HASHES_MAX;
use mdfm_shared::tlog::Hash;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use super::Identity;

/// Longest pause between two pieces of an image.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Slowest download that is still let go on, in bytes a second over the whole of it (ATT-7).
const RATE_BYTES_MIN: u64 = 4 * 1024;
/// Start-up time granted on top.
const RATE_GRACE: Duration = Duration::from_secs(120);
/// For a whole small request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a proof's answer.
const PROOF_BYTES_MAX: usize = PROOF_HASHES_MAX * 64 + 1024;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The network or the coordinator; try again.
    #[error("{0}")]
    Later(String),
    /// The bytes are not what the manifest names; trying again needs a fresh start.
    #[error("{0}")]
    Wrong(String),
}

fn later(e: impl std::fmt::Display) -> FetchError {
    FetchError::Later(e.to_string())
}

/// The client, cheap to clone.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
struct Proof {
    hashes: Vec<String>,
}

impl Http {
    pub(crate) fn new(identity: &Identity) -> anyhow::Result<Self> {
        let client = Some((identity.certificate_pem.as_str(), identity.key_pem.as_str()));
        let tls = super::tls_config(&identity.ca_der()?, client)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, url: identity.url.clone() })
    }

    /// The proof that the log of size `new` begins with the one of size `old`.
    pub(crate) async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, FetchError> {
        let url = format!("{}/agent/v1/log/consistency?old={old}&new={new}", self.url);
        let body = timeout(REQUEST_TIMEOUT, async {
            let answer = self.client.get(url).send().await.map_err(later)?.error_for_status().map_err(later)?;
            let mut body = Vec::new();
            let mut stream = answer.bytes_stream();
            while let Some(piece) = stream.next().await {
                body.extend_from_slice(&piece.map_err(later)?);
                if body.len() > PROOF_BYTES_MAX {
                    return Err(FetchError::Wrong("the proof is too large".into()));
                }
            }
            Ok(body)
        })
        .await
        .map_err(later)??;
        let proof: Proof = serde_json::from_slice(&body).map_err(later)?;
        proof
            .hashes
            .iter()
            .map(|h| STANDARD.decode(h).ok().and_then(|b| b.try_into().ok()))
            .collect::<Option<_>>()
            .ok_or_else(|| FetchError::Wrong("the proof holds something that is no hash".into()))
    }

    /// Brings an image into `part`, going on where an earlier try stopped, and renames it to `whole` once its length and
    /// digest are those of the manifest. Durable then.
    pub(crate) async fn image(
        &self,
        sha256: Digest,
        size_bytes: u64,
        part: PathBuf,
        whole: PathBuf,
    ) -> Result<(), FetchError> {
        let (mut file, mut hash, mut have) = resume(&part, size_bytes).map_err(later)?;
        let deadline = Instant::now() + RATE_GRACE + Duration::from_secs((size_bytes - have).div_ceil(RATE_BYTES_MIN));
        if have < size_bytes {
            let url = format!("{}/agent/v1/images/{sha256}", self.url);
            let mut request = self.client.get(url);
            if have > 0 {
                request = request.header(reqwest::header::RANGE, format!("bytes={have}-"));
            }
            let answer = timeout(PIECE_TIMEOUT, request.send()).await.map_err(later)?.map_err(later)?;
            let expected = if have > 0 { 206 } else { 200 };
            if answer.status().as_u16() != expected {
                return Err(later(format!("the coordinator answered {} to the image request", answer.status())));
            }
            let mut stream = answer.bytes_stream();
            loop {
                let piece = timeout_at(deadline.min(Instant::now() + PIECE_TIMEOUT), stream.next())
                    .await
                    .map_err(|_| later(format!("the download is too slow, {have} of {size_bytes} bytes came")))?;
                let Some(piece) = piece else { break };
                let piece = piece.map_err(later)?;
                have += piece.len() as u64;
                if have > size_bytes {
                    forget(&part);
                    return Err(FetchError::Wrong(format!("the image is longer than the {size_bytes} bytes signed")));
                }
                hash.update(&piece);
                file.write_all(&piece).map_err(later)?;
            }
        }
        if have < size_bytes {
            return Err(later(format!("the image broke off after {have} of {size_bytes} bytes")));
        }
        let found = Digest(hash.finalize().into());
        if found != sha256 {
            forget(&part);
            return Err(FetchError::Wrong(format!("the image has SHA-256 {found}, the manifest names {sha256}")));
        }
        finish(&file, &part, &whole).map_err(later)
    }
}

/// Opens what an earlier try left, hashed as far as it goes.
fn resume(part: &Path, size_bytes: u64) -> std::io::Result<(std::fs::File, Sha256, u64)> {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part)?;
    let mut hash = Sha256::new();
    let mut have = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        have += n as u64;
    }
    if have > size_bytes {
        file.set_len(0)?;
        std::io::Seek::rewind(&mut file)?;
        return Ok((file, Sha256::new(), 0));
    }
    Ok((file, hash, have))
}

fn finish(file: &std::fs::File, part: &Path, whole: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    std::fs::rename(part, whole)?;
    let dir = whole.parent().ok_or_else(|| std::io::Error::other("a file needs a directory"))?;
    std::fs::File::open(dir)?.sync_all()
}

fn forget(part: &Path) {
    if let Err(error) = std::fs::remove_file(part) {
        tracing::warn!(%error, path = %part.display(), "a wrong image could not be removed");
    }
}
