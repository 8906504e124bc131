//! A bound on what may come before the answer to a request. HTTP allows any number of informational answers (RFC 9110 §15.2), and a hostile
//! server that sends them without end would keep its client busy for as long as the client waits.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Request;
use tokio::sync::Notify;

/// Informational answers to one request: servers send one or two (100, 103).
const INFORMATIONAL_MAX: usize = 16;

/// The other side sends informational answers without end.
#[derive(Debug, thiserror::Error)]
#[error("the other side sent more than {INFORMATIONAL_MAX} informational answers (HTTP 1xx) and no answer")]
pub(super) struct Endless;

/// Sends a request with `send` and waits for its answer. The caller ends the connection after a failure.
///
/// # Errors
/// More than 16 informational answers came first.
pub(super) async fn answered<B, F: Future>(
    mut request: Request<B>,
    send: impl FnOnce(Request<B>) -> F,
) -> Result<F::Output, Endless> {
    let (count, too_many) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let noticed = Arc::clone(&too_many);
    hyper::ext::on_informational(&mut request, move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == INFORMATIONAL_MAX {
            noticed.notify_one();
        }
    });
    tokio::select! {
        answer = send(request) => Ok(answer),
        () = too_many.notified() => Err(Endless),
    }
}
