//! Bodies of requests: how slowly they may come, and what is said of those that cannot be read.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::Problem;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::refusal::Class;

/// Every body may take so long,
const GRACE: Duration = Duration::from_secs(20);
/// and longer by its size at this rate. Who sends more slowly holds a connection that others need.
const BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// A body came more slowly than any line is.
#[derive(Debug, thiserror::Error)]
#[error("it came too slowly: {GRACE:?} and {BYTES_PER_SECOND_MIN} bytes a second are the least")]
struct TooSlow;

/// A body is larger than its sender may send.
#[derive(Debug, thiserror::Error)]
#[error("it is larger than {0} bytes (length limit)")]
struct TooLong(u64);

struct Pace {
    stream: BodyDataStream,
    began: Instant,
    bytes: u64,
    bytes_max: Option<u64>,
    has_ended: bool,
}

impl Pace {
    fn deadline(&self) -> Instant {
        self.began + GRACE + Duration::from_millis(self.bytes.saturating_mul(1_000) / BYTES_PER_SECOND_MIN)
    }
}

/// The body, which breaks off where it comes too slowly, or where it is longer than `bytes_max`.
pub(super) fn paced(body: Body, bytes_max: Option<u64>) -> Body {
    let pace = Pace { stream: body.into_data_stream(), began: Instant::now(), bytes: 0, bytes_max, has_ended: false };
    Body::from_stream(stream::unfold(pace, |mut pace| async move {
        if pace.has_ended {
            return None;
        }
        let next = timeout_at(pace.deadline(), pace.stream.next()).await;
        let item = next.unwrap_or_else(|_| Some(Err(axum::Error::new(TooSlow))))?;
        pace.bytes += item.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let item = match pace.bytes_max {
            Some(max) if pace.bytes > max => Err(axum::Error::new(TooLong(max))),
            _ => item,
        };
        pace.has_ended = item.is_err();
        Some((item, pace))
    }))
}

fn is_slow(error: &(dyn Error + 'static)) -> bool {
    error.is::<TooSlow>() || error.source().is_some_and(is_slow)
}

/// Why a body cannot be read.
pub(super) fn unreadable(error: &(dyn Error + 'static)) -> Refusal {
    // The framework's own words for it say how it reads, not what is wrong.
    let why = error.to_string();
    let detail = format!("the body cannot be read: {}", why.trim_start_matches("Failed to buffer the request body: "));
    if is_slow(error) {
        Refusal::new(Class::TooSlow, "slow-body", detail)
    } else {
        Refusal::new(Class::TooLarge, "body", detail)
    }
}

/// A body that is taken as it is.
pub(super) struct Whole(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Bytes::from_request(request, state).await.map(Self).map_err(|e| unreadable(&e).into())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    /// A body of so many pieces, each after a while.
    fn body(pieces: u64, bytes: usize, after: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |n| async move {
            tokio::time::sleep(after).await;
            (n < pieces).then(|| (Ok::<_, axum::Error>(Bytes::from(vec![7; bytes])), n + 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn att_15_a_body_that_drips_breaks_off_and_a_slow_line_does_not() {
        let whole = |body: Body| to_bytes(paced(body, None), 1 << 30);
        assert_eq!(whole(body(15, 1, Duration::from_secs(1))).await.expect("short enough").len(), 15);
        let began = Instant::now();
        let dripped = whole(body(1_000, 1, Duration::from_secs(1))).await.expect_err("a byte a second");
        assert!(is_slow(&dripped) && began.elapsed() < Duration::from_secs(21), "{dripped}");
        let refusal = unreadable(&dripped);
        assert_eq!((refusal.class, refusal.code), (Class::TooSlow, "slow-body"));
        assert!(whole(body(1, 1, Duration::from_secs(3_600))).await.is_err_and(|e| is_slow(&e)), "silence");
        // A modem's pace for an hour.
        let modem = whole(body(3_600, 20_000, Duration::from_secs(1))).await.expect("fast enough");
        assert_eq!(modem.len(), 72_000_000);
        let large = to_bytes(paced(body(2, 100, Duration::ZERO), None), 100).await.expect_err("too large");
        assert_eq!(unreadable(&large).class, Class::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn sec_9_strangers_send_small_bodies() {
        let sent = |pieces| to_bytes(paced(body(pieces, 1_024, Duration::ZERO), Some(16 * 1_024)), 1 << 30);
        assert_eq!(sent(16).await.expect("small enough").len(), 16 * 1_024);
        assert_eq!(unreadable(&sent(17).await.expect_err("too long")).class, Class::TooLarge);
    }
}
