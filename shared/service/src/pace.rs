//! A stream whose peer must take what is written to it.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A peer that takes less than this, on average over the time in which it could have taken more, does not read.
const BYTES_PER_SECOND_MIN: u64 = 512;

/// Ends a connection whose peer does not read: after a standstill, or when it takes bytes so slowly that it only holds the place.
pub struct Paced<S> {
    inner: S,
    standstill: Duration,
    /// Since when a write waits, and what wakes it.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    waited: Duration,
    written: u64,
}

impl<S> Paced<S> {
    /// A stream that fails when a write has waited for `standstill`.
    pub fn new(inner: S, standstill: Duration) -> Self {
        Self { inner, standstill, waiting: None, waited: Duration::ZERO, written: 0 }
    }

    /// Time that the next write may wait.
    fn patience(&self) -> Duration {
        let earned = self.standstill + Duration::from_millis(self.written.saturating_mul(1_000) / BYTES_PER_SECOND_MIN);
        self.standstill.min(earned.saturating_sub(self.waited))
    }

    fn note<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if let Some((since, _)) = self.waiting.take() {
                self.waited += since.elapsed();
            }
            return written;
        }
        let patience = self.patience();
        let (_, sleep) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + patience)))
        });
        match sleep.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(n)) = &written {
            self.written += *n as u64;
        }
        self.note(context, written)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.note(context, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(context);
        self.note(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Writes 100 kB to a peer that reads `bytes` after each pause; returns whether all of it was taken.
    async fn is_taken(bytes: usize, pause: Duration) -> bool {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut ours = Paced::new(ours, Duration::from_secs(30));
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; bytes];
            loop {
                tokio::time::sleep(pause).await;
                if !theirs.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                    return;
                }
            }
        });
        let written = ours.write_all(&[7; 100_000]).await.is_ok() && ours.flush().await.is_ok();
        reader.abort();
        written
    }

    #[tokio::test(start_paused = true)]
    async fn sec_9_who_does_not_read_is_let_go_and_who_is_slow_is_not() {
        assert!(!is_taken(64, Duration::from_secs(3_600)).await, "a standstill");
        assert!(!is_taken(1, Duration::from_secs(1)).await, "a byte a second");
        assert!(is_taken(64, Duration::from_millis(50)).await, "a slow line");
    }
}
