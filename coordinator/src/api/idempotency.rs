//! A POST that comes again with the same `Idempotency-Key` gets the first answer again, and is not done again. Answers are kept in memory,
//! bounded; that a request was carried out stands in the log, so that it is not done again after a restart either. The log has marks of key and
//! content under a key that is not in it, and secrets of a body are in no mark.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mdfm_shared::digest::Digest;
use mdfm_shared::record::RequestMark;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use serde_json::Value;

use super::body::unreadable;
use super::request::Origin;
use super::{Api, Problem};
use crate::access::MarkKey;
use crate::clock;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::done::{Done, DoneRequests, KEPT_MS};
use mdfm_coordinator_core::refusal::Class;

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
    at: MonotonicMs,
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
    fn begin(&self, id: Digest, request: Digest, now: MonotonicMs) -> Result<Option<Response>, Refusal> {
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

/// Fields of bodies that are secrets, at whatever depth. A test finds them all in the OpenAPI document.
pub(super) const SECRET_FIELDS: [&str; 7] =
    ["password", "newPassword", "code", "recoveryCode", "secret", "flow", "state"];

/// A body without its secrets.
fn without_secrets(body: &[u8]) -> Vec<u8> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !SECRET_FIELDS.contains(&name.as_str()));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    match serde_json::from_slice::<Value>(mdfm_shared::json::without_mark(body)) {
        Ok(mut value @ (Value::Object(_) | Value::Array(_))) => {
            strip(&mut value);
            serde_json::to_vec(&value).unwrap_or_default()
        }
        // A list of devices as CSV, for example.
        _ => body.to_vec(),
    }
}

/// What is known of a request by its marks.
struct Marks {
    /// Of caller and key.
    id: Digest,
    /// Of all that was sent, kept in memory alone.
    request: Digest,
    /// Of what was sent without its secrets, for the log.
    content: Digest,
    /// As coordinators of before marks had a key wrote caller and key, and what was sent.
    plain: (Digest, Digest),
}

impl Marks {
    fn new(key: &MarkKey, caller: &str, header: &str, target: &str, body: &[u8]) -> Self {
        let named = format!("{caller}\n{header}");
        let target = target.as_bytes();
        Self {
            id: key.mark("request key", &[named.as_bytes()]),
            request: key.mark("request", &[target, body]),
            content: key.mark("request content", &[target, &without_secrets(body)]),
            plain: (Digest::of(named.as_bytes()), Digest::of(&[target, b"\n", body].concat())),
        }
    }

    /// What was done under this key, and whether it was this request.
    fn find<'a>(&self, done: &'a DoneRequests, now: UtcMillis) -> Option<(&'a Done, bool)> {
        let keyed = done.find(&self.id, now).map(|done| (done, done.content == self.content));
        keyed.or_else(|| done.find(&self.plain.0, now).map(|done| (done, done.content == self.plain.1)))
    }
}

/// Whether answers of this route are kept: not those with secrets in them.
fn is_kept(path: &str) -> bool {
    !path.starts_with("/api/v1/me") && !path.starts_with("/api/v1/sessions") && !path.ends_with("/enrolment-tokens")
}

/// What is said of a request that was carried out by a coordinator that is not there any more to give its answer.
fn refusal_of(done: &Done, is_same: bool) -> Refusal {
    if !is_same {
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
    let key = key.to_str().ok().filter(|k| (1..=KEY_CHARS_MAX).contains(&k.len())).map(str::to_owned);
    let key = key.ok_or_else(|| {
        Refusal::invalid("Idempotency-Key", format!("must be 1 to {KEY_CHARS_MAX} letters, digits or signs"))
    })?;
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, body_bytes_max).await.map_err(|e| Problem::from(unreadable(&e)))?;
    let target = format!("{} {}", parts.method, parts.uri);
    let marks = Marks::new(&api.marks, &caller.actor.id, &key, &target, &body);
    let (id, now) = (marks.id, api.runner.now());
    if let Some(answer) = api.answers.begin(id, marks.request, clock::steady())? {
        return Ok(answer);
    }
    let under_way = UnderWay(Arc::clone(&api.answers), id);
    if let Some((done, is_same)) = marks.find(&api.runner.state().done, now) {
        return Err(refusal_of(done, is_same).into());
    }
    let mark = parts.extensions.get::<RequestMark>().cloned().unwrap_or_default();
    parts.extensions.insert(RequestMark { key: Some(id), content: Some(marks.content), ..mark });
    // Whoever asked may go away before the answer, and ask again: what is begun is carried to its end without them.
    let carried_out = tokio::spawn(async move {
        let (parts, body) = next.run(Request::from_parts(parts, Body::from(body))).await.into_parts();
        // Our own answer has no limit: the request is carried out, and whoever asked must learn it.
        let bytes = to_bytes(body, usize::MAX).await.map_err(|e| Problem::internal("the answer cannot be read", &e))?;
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
    use mdfm_shared::record::{Actor, ActorKind, AuditRecord, Outcome};

    use super::*;

    #[test]
    fn an_answer_is_given_again_to_the_same_request_of_the_same_caller_alone() {
        let answers = Answers::default();
        let (id, request, now) = (Digest::of(b"operator\n1"), Digest::of(b"POST /x {}"), MonotonicMs(1_000));
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
        let refusal = refusal_of(&done, true);
        assert_eq!(refusal.code, "done-before");
        assert!(refusal.detail.contains("hospital.register of hospital/H-1"), "{refusal}");
        assert_eq!(refusal_of(&done, false).code, "idempotency-key-reused");
    }

    fn marks(body: &[u8]) -> Marks {
        let key = MarkKey::from_text(&"7".repeat(64)).expect("a key");
        Marks::new(&key, "qa", "k-1", "POST /api/v1/approvals/signature", body)
    }

    #[test]
    fn sec_2_marks_for_the_log_have_no_secret_in_them() {
        let body = br#"{"firmwareId":"FW-1","password":"a","code":"1","more":[{"secret":"b","kept":1}]}"#;
        let other = br#"{"firmwareId":"FW-1","password":"c","code":"2","more":[{"secret":"d","kept":1}]}"#;
        let text = String::from_utf8(without_secrets(body)).expect("text");
        assert_eq!(text, r#"{"firmwareId":"FW-1","more":[{"kept":1}]}"#);
        assert_eq!(marks(body).content, marks(other).content);
        assert_ne!(marks(body).request, marks(other).request, "in memory it is another request");
        assert_ne!(marks(body).content, marks(br#"{"firmwareId":"FW-2"}"#).content);
        assert_eq!(
            without_secrets(b"deviceId,code\nD-1,2"),
            b"deviceId,code\nD-1,2",
            "no JSON: as it is, under the key"
        );
        let written = [marks(body).id, marks(body).content];
        assert!(!written.contains(&marks(body).plain.0) && !written.contains(&marks(body).plain.1));
    }

    #[test]
    fn sec_2_requests_that_old_records_name_are_not_done_again() {
        let body = br#"{"hospitalId":"H-1","name":"One"}"#;
        let (old, new, at) = (marks(body).plain, marks(body), UtcMillis(1_000));
        let record = |key, content| {
            let actor = Actor { kind: ActorKind::User, id: "qa".into(), roles: vec![] };
            let mark = RequestMark { key: Some(key), content: Some(content), ..RequestMark::default() };
            let record = AuditRecord::new(at, &actor, "hospital.register", "hospital/H-1", Outcome::Accepted);
            AuditRecord { request: Some(mark), ..record }
        };
        for written in [record(old.0, old.1), record(new.id, new.content)] {
            let mut done = DoneRequests::default();
            done.note(&written);
            assert!(marks(body).find(&done, at).is_some_and(|(_, is_same)| is_same));
            assert!(marks(b"{}").find(&done, at).is_some_and(|(_, is_same)| !is_same));
            assert!(marks(body).find(&done, at.plus_ms(KEPT_MS)).is_none());
        }
    }

    #[test]
    fn what_nobody_answered_may_be_tried_again_and_the_store_is_bounded() {
        let answers = Arc::<Answers>::default();
        let (id, request) = (Digest::of(b"1"), Digest::of(b"POST /x {}"));
        assert!(answers.begin(id, request, MonotonicMs(0)).expect("new").is_none());
        drop(UnderWay(Arc::clone(&answers), id));
        assert!(answers.begin(id, request, MonotonicMs(0)).expect("new again").is_none());
        for n in 1..=ANSWERS_MAX as u64 + 10 {
            let id = Digest::of(&n.to_le_bytes());
            assert!(answers.begin(id, request, MonotonicMs(n)).expect("new").is_none());
        }
        assert_eq!(answers.lock().len(), ANSWERS_MAX);
    }
}
