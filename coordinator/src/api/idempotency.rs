//! A POST that comes again with the same `Idempotency-Key` gets the first answer again, and is not done again. Answers are kept in memory,
//! bounded; that a request was carried out stands in the log, so that it is not done again after a restart either.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mdfm_shared::digest::Digest;
use mdfm_shared::record::RequestMark;
use mdfm_shared::time::UtcMillis;

use super::body::unreadable;
use super::request::Origin;
use super::{Api, Problem};
use crate::clock;
use crate::domain::Refusal;
use crate::domain::done::{Done, KEPT_MS};
use crate::domain::refusal::Class;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_CHARS_MAX: usize = 128;
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
            Some(held) if held.request != request => Err(reused()),
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

/// What is said of a request that was carried out by a coordinator that is not there any more to give its answer.
fn refusal_of(done: &Done, content: Digest) -> Refusal {
    if done.content != content {
        return reused();
    }
    let Done { at, action, object, .. } = done;
    let detail = format!(
        "this request was taken at {at} and its answer was lost: the log has {action} of {object}; read that, and take a new \
         Idempotency-Key for what is missing"
    );
    Refusal::conflict("done-before", detail)
}

fn reused() -> Refusal {
    let detail = "this Idempotency-Key came with another request; take a new one";
    Refusal::new(Class::Invalid, "idempotency-key-reused", detail)
}

/// Carries a request out once, if it has a key and somebody known sends it.
pub(super) async fn once(
    api: &Api,
    origin: &Origin,
    body_bytes_max: usize,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let is_once = *request.method() == Method::POST && is_kept(request.uri().path());
    let key = request.headers().get(KEY).filter(|_| is_once);
    let (Some(key), Some(caller)) = (key, key.and_then(|_| origin.peek(api))) else {
        return Ok(next.run(request).await);
    };
    let key = key.to_str().ok().filter(|k| (1..=KEY_CHARS_MAX).contains(&k.len()));
    let key = key.ok_or_else(|| {
        Refusal::invalid("Idempotency-Key", format!("must be 1 to {KEY_CHARS_MAX} letters, digits or signs"))
    })?;
    let id = Digest::of(format!("{}\n{key}", caller.actor.id).as_bytes());
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, body_bytes_max).await.map_err(|e| Problem::from(unreadable(&e)))?;
    let content = Digest::of(&[format!("{} {}\n", parts.method, parts.uri).as_bytes(), &body].concat());
    let now = clock::now();
    if let Some(answer) = api.answers.begin(id, content, now)? {
        return Ok(answer);
    }
    let under_way = UnderWay(Arc::clone(&api.answers), id);
    if let Some(done) = api.runner.state().done.find(&id, now) {
        return Err(refusal_of(done, content).into());
    }
    let mark = parts.extensions.get::<RequestMark>().cloned().unwrap_or_default();
    parts.extensions.insert(RequestMark { key: Some(id), content: Some(content), ..mark });
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
    fn what_a_coordinator_did_that_is_gone_is_said_and_not_done_again() {
        let content = Digest::of(b"POST /x {}");
        let done =
            Done { content, at: UtcMillis(0), action: "hospital.register".into(), object: "hospital/H-1".into() };
        let refusal = refusal_of(&done, content);
        assert_eq!(refusal.code, "done-before");
        assert!(refusal.detail.contains("hospital.register of hospital/H-1"), "{refusal}");
        assert_eq!(refusal_of(&done, Digest::of(b"POST /x {1}")).code, "idempotency-key-reused");
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
