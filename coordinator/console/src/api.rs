//! Requests to the API in this process, with the session of whoever looks at the page.

use std::fmt::Write as _;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Extensions, HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use tower::ServiceExt;

use crate::failure::{Failure, Refusal};
use crate::{Console, Look};

/// Bytes of one answer that a page is made of, at most.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// The API as one reader may use it.
#[derive(Clone)]
pub(crate) struct Api {
    console: Console,
    extensions: Extensions,
    token: Option<String>,
}

/// An answer of the API that is not a refusal.
pub(crate) struct Answer {
    pub(crate) body: Value,
    headers: HeaderMap,
}

/// What a request that changes something carries besides its body.
#[derive(Debug, Default, Clone)]
pub(crate) struct Precondition {
    /// By it a repeated request is recognised.
    pub(crate) key: Option<String>,
    /// The tag of what the person saw.
    pub(crate) tag: Option<String>,
}

/// A path of the API whose parts may be any text.
pub(crate) fn path(parts: &[&str]) -> String {
    parts.iter().fold("/api/v1".to_owned(), |path, part| path + "/" + &segment(part))
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            // A segment of dots alone would be a way upward.
            b'.' if text.bytes().any(|b| b != b'.') => escaped.push('.'),
            _ => _ = write!(escaped, "%{byte:02X}"),
        }
    }
    escaped
}

/// A path with a query; pairs without a value are left out.
pub(crate) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let query: Vec<_> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
    match serde_urlencoded::to_string(query) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

impl Api {
    pub(crate) fn new(console: &Console, outer: &Extensions, token: Option<String>, is_look: bool) -> Self {
        let mut extensions = Extensions::new();
        (console.carry)(outer, &mut extensions);
        if is_look {
            extensions.insert(Look);
        }
        Self { console: console.clone(), extensions, token }
    }

    /// Sends a request and returns its answer as it comes: for downloads, uploads and streams.
    ///
    /// # Errors
    /// Nobody is signed in any more, the API refuses it, or its path is not valid.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut request = request.body(body).map_err(|error| Failure::Broken(format!("{path}: {error}")))?;
        request.headers_mut().extend(headers);
        *request.extensions_mut() = self.extensions.clone();
        let Ok(response) = self.console.api.clone().oneshot(request).await;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let refusal = Refusal::of(parts.status, &serde_json::from_slice(&bytes).unwrap_or_default());
        let is_over = parts.status == StatusCode::UNAUTHORIZED && refusal.code == "no-session";
        Err(if is_over { Failure::SignedOut } else { Failure::Refused(refusal) })
    }

    /// Sends a request with a JSON body and reads a JSON answer; `null` for an empty one.
    ///
    /// # Errors
    /// As [`Api::raw`]; or the answer is too large or not JSON.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        precondition: &Precondition,
    ) -> Result<Answer, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::Broken(format!("{path}: {error}"));
        let mut headers = HeaderMap::new();
        let mut add = |name, value: &str| value.parse().map(|value| headers.insert(name, value));
        let body = match body {
            Some(body) => {
                add(header::CONTENT_TYPE, "application/json").map_err(|e| broken(&e))?;
                Body::from(serde_json::to_vec(body).map_err(|e| broken(&e))?)
            }
            None => Body::empty(),
        };
        if let Some(key) = &precondition.key {
            add(header::HeaderName::from_static("idempotency-key"), key).map_err(|e| broken(&e))?;
        }
        if let Some(tag) = &precondition.tag {
            add(header::IF_MATCH, &format!("\"{tag}\"")).map_err(|e| broken(&e))?;
        }
        let (parts, body) = self.raw(method, path, headers, body).await?.into_parts();
        let bytes: Bytes = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|e| broken(&e))?;
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).map_err(|e| broken(&e))? };
        Ok(Answer { body, headers: parts.headers })
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None::<&()>, &Precondition::default()).await
    }

    /// Reads what may be absent or forbidden without that being a failure of the page: `null` then.
    ///
    /// # Errors
    /// As [`Api::send`], for other causes than these two.
    pub(crate) async fn find(&self, path: &str) -> Result<Value, Failure> {
        match self.get(path).await {
            Ok(answer) => Ok(answer.body),
            Err(Failure::Refused(refusal)) if [403, 404, 409].contains(&refusal.status) => Ok(Value::Null),
            Err(other) => Err(other),
        }
    }
}

impl Answer {
    /// The tag of the object that the answer shows; empty without one.
    pub(crate) fn tag(&self) -> &str {
        let tag = self.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        tag.trim_matches('"')
    }

    /// The cursor of the page after this one (RFC 8288 `next`); `None` on the last page.
    pub(crate) fn next_cursor(&self) -> Option<String> {
        let link = self.headers.get(header::LINK)?.to_str().ok()?;
        let target = link.split_once('<')?.1.split_once('>')?.0;
        let query = target.split_once('?')?.1;
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
        pairs.into_iter().find(|(name, _)| name == "cursor").map(|(_, cursor)| cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_console_no_id_leads_to_another_path() {
        assert_eq!(path(&["devices", "../users/admin"]), "/api/v1/devices/..%2Fusers%2Fadmin");
        assert_eq!(path(&["devices", ".."]), "/api/v1/devices/%2E%2E");
        assert_eq!(path(&["devices", "a?b#c%d"]), "/api/v1/devices/a%3Fb%23c%25d");
        assert_eq!(path(&["devices", "DEV-1.a"]), "/api/v1/devices/DEV-1.a");
        assert_eq!(with_query("/x", &[("filter", "a=b&c"), ("cursor", "")]), "/x?filter=a%3Db%26c");
    }
}
