//! A POST that comes again with the same `Idempotency-Key` gets the first answer again, and is not done again. Kept in memory, bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mdfm_shared::digest::Digest;
use mdfm_shared::time::UtcMillis;

use super::Problem;
use crate::domain::Refusal;
use crate::domain::refusal::Class;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_CHARS_MAX: usize = 128;
/// For how long an answer is kept.
const KEPT_MS: u64 = 86_400_000;
/// Answers kept; the oldest go first.
const ANSWERS_MAX: usize = 4_000;
/// Bytes of an answer that is kept.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What became of a request.
enum Became {
    UnderWay,
    Answered(StatusCode, Option<HeaderValue>, Bytes),
}

struct Entry {
    /// Method, path and body.
    request: Digest,
    at: UtcMillis,
    became: Became,
}

/// The answers that are kept, by caller and key.
#[derive(Default)]
pub(crate) struct Answers(Mutex<BTreeMap<Digest, Entry>>);

/// A request that is under way; forgotten if nobody answers it.
struct UnderWay(Arc<Answers>, Digest);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut answers = self.0.lock();
        if answers.get(&self.1).is_some_and(|e| matches!(e.became, Became::UnderWay)) {
            answers.remove(&self.1);
        }
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request; gives the answer that it had already, if it had.
    fn begin(&self, id: Digest, request: Digest, now: UtcMillis) -> Result<Option<Response>, Refusal> {
        let mut answers = self.lock();
        match answers.get(&id).filter(|e| now.since_ms(e.at) < KEPT_MS) {
            Some(held) if held.request != request => {
                let detail = "this Idempotency-Key came with another request; take a new one";
                Err(Refusal::new(Class::Invalid, "idempotency-key-reused", detail))
            }
            Some(Entry { became: Became::UnderWay, .. }) => {
                Err(Refusal::conflict("under-way", "the same request is being carried out; ask again in a moment"))
            }
            Some(Entry { became: Became::Answered(status, kind, body), .. }) => {
                let mut answer = (*status, body.clone()).into_response();
                if let Some(kind) = kind {
                    answer.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
                }
                answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                Ok(Some(answer))
            }
            None => {
                if answers.len() >= ANSWERS_MAX
                    && let Some(oldest) = answers.iter().min_by_key(|(_, e)| e.at).map(|(id, _)| *id)
                {
                    answers.remove(&oldest);
                }
                answers.insert(id, Entry { request, at: now, became: Became::UnderWay });
                Ok(None)
            }
        }
    }

    fn keep(&self, id: Digest, status: StatusCode, kind: Option<HeaderValue>, body: Bytes) {
        if let Some(entry) = self.lock().get_mut(&id) {
            entry.became = Became::Answered(status, kind, body);
        }
    }
}

/// Whether answers of this route are kept: not those with secrets in them.
fn is_kept(path: &str) -> bool {
    !path.starts_with("/api/v1/me") && !path.starts_with("/api/v1/sessions") && !path.ends_with("/enrolment-tokens")
}

/// Carries a request out once: by `caller`, if it is somebody known.
pub(super) async fn once(
    answers: &Arc<Answers>,
    caller: Option<&str>,
    now: UtcMillis,
    body_bytes_max: usize,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let is_once = *request.method() == Method::POST && is_kept(request.uri().path());
    let (Some(key), Some(caller), true) = (request.headers().get(KEY), caller, is_once) else {
        return Ok(next.run(request).await);
    };
    let key = key.to_str().ok().filter(|k| (1..=KEY_CHARS_MAX).contains(&k.len()));
    let key = key.ok_or_else(|| {
        Refusal::invalid("Idempotency-Key", format!("must be 1 to {KEY_CHARS_MAX} letters, digits or signs"))
    })?;
    let id = Digest::of(format!("{caller}\n{key}").as_bytes());
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, body_bytes_max)
        .await
        .map_err(|e| Problem::from(Refusal::new(Class::TooLarge, "body", format!("the body cannot be read: {e}"))))?;
    let what = Digest::of(&[format!("{} {}\n", parts.method, parts.uri).as_bytes(), &body].concat());
    if let Some(answer) = answers.begin(id, what, now)? {
        return Ok(answer);
    }
    let under_way = UnderWay(Arc::clone(answers), id);
    // Whoever asked may go away before the answer, and ask again: what is begun is carried to its end without them.
    let carried_out = tokio::spawn(async move {
        let (parts, body) = next.run(Request::from_parts(parts, Body::from(body))).await.into_parts();
        let bytes =
            to_bytes(body, body_bytes_max).await.map_err(|e| Problem::internal("the answer cannot be read", &e))?;
        // What failed because of us, or is too long to keep, may be tried again.
        if !parts.status.is_server_error() && bytes.len() <= ANSWER_BYTES_MAX {
            under_way.0.keep(id, parts.status, parts.headers.get(header::CONTENT_TYPE).cloned(), bytes.clone());
        }
        Ok(Response::from_parts(parts, Body::from(bytes)))
    });
    carried_out.await.map_err(|e| Problem::internal("the request was not carried out", &e))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_again_to_the_same_request_of_the_same_caller_alone() {
        let answers = Answers::default();
        let (id, request, now) = (Digest::of(b"operator\n1"), Digest::of(b"POST /x {}"), UtcMillis(1_000));
        assert!(answers.begin(id, request, now).expect("new").is_none());
        assert_eq!(answers.begin(id, request, now).expect_err("under way").code, "under-way");
        answers.keep(id, StatusCode::CREATED, None, Bytes::from_static(b"{}"));
        let again = answers.begin(id, request, now).expect("known").expect("kept");
        assert_eq!((again.status(), again.headers().contains_key(REPLAYED)), (StatusCode::CREATED, true));
        let other = answers.begin(id, Digest::of(b"POST /x {1}"), now).expect_err("another body");
        assert_eq!(other.code, "idempotency-key-reused");
        assert!(answers.begin(id, request, now.plus_ms(KEPT_MS)).expect("over").is_none());
    }

    #[test]
    fn what_nobody_answered_may_be_tried_again_and_the_store_is_bounded() {
        let answers = Arc::<Answers>::default();
        let (id, request) = (Digest::of(b"1"), Digest::of(b"POST /x {}"));
        assert!(answers.begin(id, request, UtcMillis(0)).expect("new").is_none());
        drop(UnderWay(Arc::clone(&answers), id));
        assert!(answers.begin(id, request, UtcMillis(0)).expect("new again").is_none());
        for n in 1..=ANSWERS_MAX as u64 + 10 {
            let id = Digest::of(&n.to_le_bytes());
            assert!(answers.begin(id, request, UtcMillis(n)).expect("new").is_none());
        }
        assert_eq!(answers.lock().len(), ANSWERS_MAX);
    }
}
