//! Answers of the coordinator. Each has a bound in bytes and in time: a coordinator that was taken over, or a program in between, may send without
//! end, a byte a minute, or nothing. Nothing else in this crate reads an answer (`tests/tidy/rules.rs`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use mdfm_shared::text::without_library_words;

use crate::fault;

/// Bytes of an answer in JSON: the largest page of a list has 1,000 items of a few kilobytes.
pub(crate) const JSON_BYTES_MAX: usize = 16 << 20;
/// Bytes of problem details.
const PROBLEM_BYTES_MAX: usize = 1 << 20;
/// Longest wait for an answer to begin, and for its next piece.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for an answer that the coordinator computes over its whole log, or that follows an upload: buffers on the way drain, and the
/// coordinator makes the file durable.
const WORK_PATIENCE: Duration = Duration::from_secs(600);
/// Slowest request or answer, in bytes a second over the whole of it.
const RATE_BYTES_MIN: u64 = 4 * 1024;
/// Start-up time granted on top.
const RATE_GRACE: Duration = Duration::from_secs(120);

/// The coordinator, or what is in between, stood still.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stalled {
    /// No byte came.
    #[error("the coordinator sent nothing for {0} s; a request that changes something may have been carried out")]
    Silent(u64),
    /// Nothing of an upload was taken.
    #[error("the coordinator took nothing of the upload for {0} s")]
    Untaken(u64),
    /// It came too slowly.
    #[error("the coordinator's answer is too slow: {bytes} bytes came in {seconds} s")]
    Slow {
        /// Bytes that came.
        bytes: u64,
        /// Since the answer began.
        seconds: u64,
    },
}

/// A request that got no answer, in the words of who sent it: the libraries name each of their
/// layers.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator at {at} {how}: {why}; {hint}")]
pub(crate) struct Unreached {
    at: String,
    how: &'static str,
    why: String,
    hint: &'static str,
}

impl Unreached {
    fn because(error: reqwest::Error) -> Self {
        let at = error.url().map_or_else(|| "an unknown address".to_owned(), |url| url.origin().ascii_serialization());
        let is_connect = error.is_connect();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(beneath) = cause.source() {
            cause = beneath;
        }
        let why = without_library_words(&cause.to_string()).into_owned();
        let (how, hint) = if why.contains("certificate") {
            let hint =
                "is --ca (MDFMCTL_CA) its authority, ca.pem of its data directory? if it is, do not sign in there";
            ("does not show a certificate that is trusted here", hint)
        } else if is_connect {
            ("cannot be reached", "does it run there, and is the address right (--url, MDFMCTL_URL, the context)?")
        } else {
            ("did not answer", "a request that changes something may have been carried out: look before you repeat it")
        };
        Self { at, how, why, hint }
    }
}

/// When something of an upload was last taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken(Arc<Mutex<Instant>>);

impl Taken {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
    /// A piece is taken now.
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response,
    began: Instant,
    bytes: u64,
    has_rate: bool,
}

/// Sends a request and waits for its answer to begin.
///
/// # Errors
/// The coordinator cannot be reached, or no answer begins in time.
pub(crate) async fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
    send_within(request, PATIENCE).await
}

/// [`send`] for an answer that the coordinator computes over its whole log.
///
/// # Errors
/// Those of [`send`].
pub(crate) async fn send_for_work(request: RequestBuilder) -> anyhow::Result<Answer> {
    send_within(request, WORK_PATIENCE).await
}

async fn send_within(request: RequestBuilder, patience: Duration) -> anyhow::Result<Answer> {
    let (client, request) = request.build_split();
    let request = request?;
    let bytes = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
    let patience = patience + Duration::from_secs((bytes as u64).div_ceil(RATE_BYTES_MIN));
    match timeout(patience, client.execute(request)).await {
        Ok(sent) => reached(sent),
        Err(_) => Err(Stalled::Silent(patience.as_secs()).into()),
    }
}

/// [`send`] for a request whose body is a stream, which notes in `taken` what goes out.
///
/// # Errors
/// Those of [`send`]; nothing more of the body was taken.
pub(crate) async fn send_stream(request: RequestBuilder, taken: &Taken) -> anyhow::Result<Answer> {
    let mut sending = Box::pin(request.send());
    loop {
        let deadline = taken.last() + WORK_PATIENCE;
        tokio::select! {
            sent = &mut sending => return reached(sent),
            () = sleep_until(deadline) => {}
        }
        if taken.last() + WORK_PATIENCE <= Instant::now() {
            return Err(Stalled::Untaken(WORK_PATIENCE.as_secs()).into());
        }
    }
}

fn reached(sent: reqwest::Result<Response>) -> anyhow::Result<Answer> {
    let response = sent.map_err(Unreached::because)?;
    Ok(Answer { response, began: Instant::now(), bytes: 0, has_rate: true })
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }
    /// The same answer where little may come for long, as with events.
    pub(crate) fn of_events(self) -> Self {
        Self { has_rate: false, ..self }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// It does not come in time, or the line broke.
    pub(crate) async fn piece(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let now = Instant::now();
        let end = self.began + RATE_GRACE + Duration::from_secs(self.bytes / RATE_BYTES_MIN);
        let deadline = if self.has_rate { end.min(now + PATIENCE) } else { now + PATIENCE };
        match timeout_at(deadline, self.response.chunk()).await {
            Ok(piece) => {
                let piece = piece?.map(Vec::from);
                self.bytes += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                Ok(piece)
            }
            Err(_) if deadline == now + PATIENCE => Err(Stalled::Silent(PATIENCE.as_secs()).into()),
            Err(_) => Err(Stalled::Slow { bytes: self.bytes, seconds: self.began.elapsed().as_secs() }.into()),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// Those of [`Self::piece`]; it has more than `max` bytes.
    pub(crate) async fn bytes(mut self, max: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            check_size(bytes.len() + piece.len(), max)?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// The body as JSON of at most [`JSON_BYTES_MAX`] bytes; `null` if it is empty.
    ///
    /// # Errors
    /// Those of [`Self::bytes`]; it is not JSON.
    pub(crate) async fn json(self) -> anyhow::Result<Value> {
        self.json_within(JSON_BYTES_MAX).await
    }

    /// [`Self::json`] of at most `max` bytes.
    ///
    /// # Errors
    /// Those of [`Self::json`].
    pub(crate) async fn json_within(self, max: usize) -> anyhow::Result<Value> {
        let body = self.bytes(max).await?;
        if body.is_empty() { Ok(Value::Null) } else { json_of(&body) }
    }

    /// The problem details of a refusal; `null` if it has none that can be read.
    pub(crate) async fn problem(self) -> Value {
        let body = self.bytes(PROBLEM_BYTES_MAX).await.unwrap_or_default();
        serde_json::from_slice(&body).unwrap_or_default()
    }
}

/// Bytes of an answer as JSON.
///
/// # Errors
/// They are not.
pub(crate) fn json_of(bytes: &[u8]) -> anyhow::Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| fault::answer(format_args!("it is not JSON ({error})")))
}

/// Checks how much of an answer has come.
///
/// # Errors
/// It is more than `max` bytes.
pub(crate) fn check_size(bytes: usize, max: usize) -> anyhow::Result<()> {
    ensure!(bytes <= max, fault::answer(format_args!("it has more than {max} bytes")));
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
