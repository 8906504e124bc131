//! HTTPS to the coordinator: images from any byte on, consistency proofs.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hyper::StatusCode;
use mdfm_shared::digest::Digest;
use mdfm_shared::limits::PROOF_HASHES_MAX;
use mdfm_shared::tlog::Hash;
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::https::{Answer, Https};
use super::throttle::Throttle;
use super::{Identity, Road};
use crate::image::ImageError;

/// Longest pause between two pieces of an image.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer in which the coordinator's reason is looked for.
const REFUSAL_BYTES_MAX: usize = 4_096;
/// Slowest download that is still let go on, in bytes a second over the whole of it (ATT-7).
const RATE_BYTES_MIN: u64 = 4 * 1024;
/// Start-up time granted on top.
const RATE_GRACE: Duration = Duration::from_secs(120);
/// For a whole small request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an answer with a certificate.
const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a proof's answer.
const PROOF_BYTES_MAX: usize = PROOF_HASHES_MAX * 64 + 1024;

fn later(e: impl std::fmt::Display) -> ImageError {
    ImageError::Later(e.to_string())
}

/// The client, cheap to clone.
#[derive(Clone)]
pub(crate) struct Http {
    client: Https,
    throttle: Arc<Throttle>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    certificate_pem: String,
}

#[derive(Deserialize)]
struct Proof {
    hashes: Vec<String>,
}

impl Http {
    pub(crate) fn new(identity: &Identity, road: &Road, throttle: Arc<Throttle>) -> anyhow::Result<Self> {
        let client = Some((identity.certificate_pem.as_str(), identity.key_pem.as_str()));
        let tls = super::tls_config(&identity.ca_der()?, client)?;
        Ok(Self { client: Https::new(&identity.url, road, tls)?, throttle })
    }

    /// The proof that the log of size `new` begins with the one of size `old`.
    pub(crate) async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ImageError> {
        let path = format!("/agent/v1/log/consistency?old={old}&new={new}");
        let proof =
            timeout(REQUEST_TIMEOUT, async { self.client.get(&path, 0).await?.json::<Proof>(PROOF_BYTES_MAX).await });
        let proof = proof.await.map_err(later)?.map_err(|e| later(format!("{e:#}")))?;
        proof
            .hashes
            .iter()
            .map(|h| STANDARD.decode(h).ok().and_then(|b| b.try_into().ok()))
            .collect::<Option<_>>()
            .ok_or_else(|| ImageError::Wrong("the proof holds something that is no hash".into()))
    }

    /// A certificate for a new key; gives both, in PEM.
    pub(crate) async fn renew(&self) -> anyhow::Result<(String, String)> {
        let key = rcgen::KeyPair::generate()?;
        let csr = rcgen::CertificateParams::default().serialize_request(&key)?.pem()?;
        let request = serde_json::json!({ "csrPem": csr });
        let answer = timeout(REQUEST_TIMEOUT, async {
            let mut answer = self.client.post("/agent/v1/certificates", &request).await?;
            answer.json::<Renewed>(CERTIFICATE_BYTES_MAX).await
        });
        Ok((key.serialize_pem(), answer.await??.certificate_pem))
    }

    /// An image from byte `from` on.
    pub(crate) async fn image(&self, sha256: Digest, size_bytes: u64, from: u64) -> Result<ImageStream, ImageError> {
        self.throttle.check_hours().map_err(ImageError::Hours)?;
        let path = format!("/agent/v1/images/{sha256}");
        let answer = timeout(PIECE_TIMEOUT, self.client.get(&path, from)).await.map_err(later)?;
        let answer = answer.map_err(|e| later(format!("{e:#}")))?;
        let (status, is_part) = (answer.status, answer.status == StatusCode::PARTIAL_CONTENT);
        // Whatever is in between may answer with the whole instead of a part (RFC 9110 §14.2).
        let is_fit = status == StatusCode::OK || (from > 0 && is_part);
        if !is_fit {
            return Err(later(format!("the coordinator answered {status} to the image request{}", said(answer).await)));
        }
        let pieces = stream::unfold(answer, |mut answer| async move { Some((answer.piece().await?, answer)) });
        let stream = pieces.map(|piece| piece.map(Vec::from)).boxed();
        let (first, skip) = if is_part { (from, 0) } else { (0, from) };
        Ok(ImageStream { skip, ..ImageStream::new(stream, Arc::clone(&self.throttle), first, size_bytes) })
    }
}

/// What the coordinator says of a refusal, cut short; empty if it says nothing.
async fn said(mut answer: Answer) -> String {
    let mut body = Vec::new();
    let read = async {
        while body.len() < REFUSAL_BYTES_MAX
            && let Some(Ok(piece)) = answer.piece().await
        {
            body.extend_from_slice(&piece);
        }
    };
    // One bound for all of it: the image is asked for again only after this. What came by then is used.
    drop(timeout(PIECE_TIMEOUT, read).await);
    let detail =
        serde_json::from_slice::<serde_json::Value>(&body).ok().and_then(|v| Some(v["detail"].as_str()?.to_owned()));
    detail.map_or_else(String::new, |detail| format!(": {detail}"))
}

/// An image that is coming, piece by piece.
pub(crate) struct ImageStream {
    stream: BoxStream<'static, hyper::Result<Vec<u8>>>,
    throttle: Arc<Throttle>,
    have: u64,
    /// Bytes that come and are here already.
    skip: u64,
    size_bytes: u64,
    deadline: Instant,
}

impl ImageStream {
    fn new(
        stream: BoxStream<'static, hyper::Result<Vec<u8>>>,
        throttle: Arc<Throttle>,
        have: u64,
        size_bytes: u64,
    ) -> Self {
        // What we ourselves slow down is not the other side's slowness.
        let rate = throttle.bytes_per_second().unwrap_or(u64::MAX).min(RATE_BYTES_MIN);
        let left = size_bytes.saturating_sub(have);
        let deadline = Instant::now() + RATE_GRACE + Duration::from_secs(left.div_ceil(rate.max(1)));
        Self { stream, throttle, have, skip: 0, size_bytes, deadline }
    }

    /// The next piece, in time and within the signed length; none at the end of what the coordinator sends.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ImageError> {
        loop {
            let (have, size) = (self.have, self.size_bytes);
            let piece = timeout_at(self.deadline.min(Instant::now() + PIECE_TIMEOUT), self.stream.next())
                .await
                .map_err(|_| later(format!("the download is too slow, {have} of {size} bytes came")))?;
            let Some(piece) = piece else { return Ok(None) };
            let mut piece = piece.map_err(later)?;
            self.have += piece.len() as u64;
            if self.have > size {
                return Err(ImageError::Wrong(format!("the image is longer than the {size} bytes signed")));
            }
            self.throttle.take(piece.len() as u64).await.map_err(ImageError::Hours)?;
            let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
            self.skip -= known as u64;
            piece.drain(..known);
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of so many bytes, each a second after the one before.
    fn image_at(bytes_per_second: usize, size_bytes: u64) -> ImageStream {
        let pieces = stream::repeat(bytes_per_second).then(|n| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(vec![0; n])
        });
        ImageStream::new(pieces.boxed(), Arc::new(Throttle::new(None, None)), 0, size_bytes)
    }

    /// Seconds until the stream ends, and how.
    async fn outcome(mut image: ImageStream) -> (u64, Result<u64, String>) {
        let began = Instant::now();
        let ended = loop {
            match image.next().await {
                Ok(Some(_)) if image.have == image.size_bytes => break Ok(image.have),
                Ok(Some(_)) => {}
                Ok(None) => break Err("ended early".into()),
                Err(error) => break Err(error.to_string()),
            }
        };
        (began.elapsed().as_secs(), ended)
    }

    #[tokio::test(start_paused = true)]
    async fn att_7_a_byte_a_second_is_given_up_and_a_thin_line_is_not() {
        let size = 4_096 * 1_000;
        let (seconds, ended) = outcome(image_at(1, size)).await;
        assert!((1_119..=1_121).contains(&seconds), "{seconds} s: a thousand at the least rate, and two minutes");
        assert!(ended.as_ref().is_err_and(|e| e.contains("too slow")), "{ended:?}");
        let (seconds, ended) = outcome(image_at(4_096, size)).await;
        assert_eq!((seconds, ended), (1_000, Ok(size)));
    }

    #[tokio::test(start_paused = true)]
    async fn att_7_silence_is_given_up_after_half_a_minute() {
        let silent = stream::pending().boxed();
        let image = ImageStream::new(silent, Arc::new(Throttle::new(None, None)), 0, 1 << 30);
        let (seconds, ended) = outcome(image).await;
        assert_eq!(seconds, 30);
        assert!(ended.is_err());
    }

    /// The sample: a server that answered 200 to the rest of an image was asked for that rest again and again.
    #[tokio::test(start_paused = true)]
    async fn att_6_the_whole_in_place_of_a_part_is_used() {
        let pieces = [vec![1, 2, 3], vec![4], vec![5, 6]].into_iter().map(Ok);
        let stream = stream::iter(pieces).boxed();
        let image = ImageStream::new(stream, Arc::new(Throttle::new(None, None)), 0, 6);
        let mut image = ImageStream { skip: 4, ..image };
        assert_eq!(image.next().await.expect("in time"), Some(vec![5, 6]), "the first four bytes are here already");
        assert_eq!(image.next().await.expect("in time"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn att_6_a_stream_without_end_is_cut_at_the_signed_length() {
        let mut image = image_at(4_096, 5_000);
        assert!(image.next().await.is_ok());
        assert!(matches!(image.next().await, Err(ImageError::Wrong(_))));
    }
}
