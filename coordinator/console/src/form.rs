//! Forms: what a browser posts, checked to come from a page of this console.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::failure::{Failure, Rejected};
use crate::session;

/// Bytes of a form at most, with the signed documents in it; images go other ways ([`crate::upload`]).
const BYTES_MAX: usize = 256 * 1024;
/// Fields of a form at most.
const FIELDS_MAX: usize = 2_048;
/// The field that ties the form to its session.
pub(crate) const TOKEN: &str = "form_token";
/// The field with the key by which a repeated form is recognised.
pub(crate) const KEY: &str = "form_key";
/// The field with the tag of what was shown.
pub(crate) const TAG: &str = "form_tag";
/// The field with the second factor of the page that asks for it.
pub(crate) const STEP_UP: &str = "step_up_code";
/// Fields that no page gets back.
const SECRETS: [&str; 6] = ["password", "code", "recovery_code", "new_password", "new_password_again", STEP_UP];

/// The fields of a form, in order. Names may repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

/// Whether a request that changes something was begun by a page of this host. Browsers say so themselves (Fetch Metadata); older ones
/// name the origin.
pub(crate) fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => site == "same-origin",
        (None, Some(origin), Some(host)) => origin.strip_prefix("https://") == Some(host),
        _ => false,
    }
}

pub(crate) fn rejected(code: &'static str, detail: &'static str) -> Failure {
    Failure::Rejected(Rejected { code, detail })
}

fn malformed() -> Failure {
    rejected("malformed-form", "The form cannot be read. Nothing was changed.")
}

/// The media type without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// The fields of a form with files in it. A file is its bytes in base64, as the API takes signed documents; one that was not chosen is left out.
async fn parts_of(parts: Parts, bytes: Bytes) -> Result<Vec<(String, String)>, Failure> {
    let request = Request::from_parts(parts, Body::from(bytes));
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| malformed())?;
    let mut fields = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|_| malformed())? {
        if fields.len() > FIELDS_MAX {
            break;
        }
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let value = field.bytes().await.map_err(|_| malformed())?;
        match is_file {
            true if value.is_empty() => {}
            true => fields.push((name, STANDARD.encode(&value))),
            false => fields.push((name, String::from_utf8(value.to_vec()).map_err(|_| malformed())?)),
        }
    }
    Ok(fields)
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        if !is_from_here(request.headers()) {
            return Err(rejected("cross-site", "This was not sent by a page of this console. Nothing was changed."));
        }
        let (parts, body) = request.into_parts();
        let session = session::token(&parts.headers);
        let bytes = to_bytes(body, BYTES_MAX).await;
        let bytes =
            bytes.map_err(|_| rejected("too-large", "The form is too large, or ended early. Nothing was changed."))?;
        let fields = match media_type(&parts.headers) {
            "application/x-www-form-urlencoded" => serde_urlencoded::from_bytes(&bytes).map_err(|_| malformed())?,
            "multipart/form-data" => parts_of(parts, bytes).await?,
            _ => return Err(rejected("media-type", "This is not a form of this console. Nothing was changed.")),
        };
        if fields.len() > FIELDS_MAX {
            return Err(rejected("too-many-fields", "The form has too many fields. Nothing was changed."));
        }
        let form = Self(fields);
        match session {
            // Signing in: no session is there yet that could be misused.
            None => Ok(form),
            Some(session) if form.text(TOKEN) == session::form_token(&session) => Ok(form),
            Some(_) => {
                let detail = "The form belongs to another session. Nothing was changed; open the page again.";
                Err(rejected("form-token", detail))
            }
        }
    }
}

impl Form {
    /// Of fields that were read and checked elsewhere.
    pub(crate) fn of(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// A signed document: the chosen file, or the text that was pasted. The text of a document may be broken into lines.
    pub(crate) fn document(&self) -> String {
        let given = [self.text("file"), self.text("document")];
        let given = given.into_iter().find(|given| !given.is_empty()).unwrap_or_default();
        given.chars().filter(|c| !c.is_whitespace()).collect()
    }

    /// Of fields, for tests.
    #[cfg(test)]
    pub(crate) fn of_texts(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// A field without blanks around it; empty if it is missing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim())
    }

    /// A secret as it was typed; `None` if it is empty.
    pub(crate) fn secret(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A field, or `null` if it is empty.
    pub(crate) fn optional(&self, name: &str) -> Value {
        Some(self.text(name)).filter(|text| !text.is_empty()).map_or(Value::Null, Value::from)
    }

    /// Every value of fields of that name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(field, value)| field == name && !value.trim().is_empty())
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// Whether a box is ticked.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.0.iter().any(|(field, value)| field == name && !value.is_empty())
    }

    /// A number; an error that names the field for people if it is not one.
    pub(crate) fn number(&self, name: &str, label: &str) -> Result<Option<f64>, String> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| format!("{label}: \u{201c}{text}\u{201d} is not a number"))
    }

    /// The fields for a page that shows the form again, by name; without secrets. Repeated names are lists.
    pub(crate) fn input(&self) -> Value {
        let mut input = Map::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !SECRETS.contains(&name.as_str())) {
            match input.get_mut(name) {
                None => drop(input.insert(name.clone(), Value::from(value.as_str()))),
                Some(Value::Array(values)) => values.push(Value::from(value.as_str())),
                Some(first) => *first = Value::from(vec![first.take(), Value::from(value.as_str())]),
            }
        }
        Value::Object(input)
    }

    /// The form without the code of the second factor, once that was shown: a code counts once.
    pub(crate) fn proven(&self) -> Self {
        Self(self.0.iter().filter(|(name, _)| name != STEP_UP).cloned().collect())
    }

    /// A form of the fields of a link, to begin with.
    pub(crate) fn from_link(pairs: &[(String, String)]) -> Self {
        Self(pairs.iter().take(FIELDS_MAX).cloned().collect())
    }

    /// The form with one field set to another value.
    pub(crate) fn with(mut self, name: &str, value: String) -> Self {
        self.0.retain(|(field, _)| field != name);
        self.0.push((name.to_owned(), value));
        self
    }
    /// The same as pairs in order, for hidden fields.
    pub(crate) fn kept(&self) -> Vec<&(String, String)> {
        self.0.iter().filter(|(name, _)| !SECRETS.contains(&name.as_str()) && name != TOKEN).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn sec_console_only_a_page_of_this_host_posts() {
        let host = ("host", "console.example:8443");
        for (given, is_ours) in [
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "same-site"), ("origin", "https://console.example:8443")], false),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "none")], false),
            (vec![host, ("origin", "https://console.example:8443")], true),
            (vec![host, ("origin", "http://console.example:8443")], false),
            (vec![host, ("origin", "https://console.example:8443.evil.example")], false),
            (vec![host, ("origin", "null")], false),
            (vec![host], false),
        ] {
            assert_eq!(is_from_here(&headers(&given)), is_ours, "{given:?}");
        }
    }

    /// A request as a browser sends a form with a file in it.
    fn with_file(session: &str, file: &[u8], origin: &str) -> Request {
        let mut body = Vec::new();
        for (head, value) in [
            ("name=\"form_token\"", session::form_token(session).as_bytes()),
            ("name=\"reason\"", b"renewed"),
            ("name=\"file\"; filename=\"x.mdfm\"\r\nContent-Type: application/octet-stream", file),
        ] {
            body.extend_from_slice(format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b--\r\n");
        let request = Request::builder().header("host", "c").header("sec-fetch-site", origin);
        let request =
            request.header("cookie", "__Host-mdfm=s").header("content-type", "multipart/form-data; boundary=b");
        request.body(Body::from(body)).expect("a request")
    }

    #[tokio::test]
    async fn console_a_signed_file_becomes_the_text_of_the_api() {
        let form = Form::from_request(with_file("s", &[1, 0xeb, 0, b'\r', b'\n'], "same-origin"), &()).await;
        let form = form.expect("a form");
        assert_eq!((form.text("reason"), form.document().as_str()), ("renewed", "AesADQo="));
        let none = Form::from_request(with_file("s", &[], "same-origin"), &()).await.expect("a form");
        assert_eq!(none.document(), "");
        assert_eq!(Form::of(vec![("document".into(), " AesA\n DQo= ".into())]).document(), "AesADQo=");
    }

    #[tokio::test]
    async fn sec_console_files_need_the_token_of_the_session_too() {
        for (session, origin) in [("other", "same-origin"), ("s", "cross-site")] {
            let form = Form::from_request(with_file(session, b"x", origin), &()).await;
            assert!(matches!(form, Err(Failure::Rejected(_))), "{session} {origin}");
        }
        let large = Form::from_request(with_file("s", &vec![7; BYTES_MAX], "same-origin"), &()).await;
        assert!(matches!(large, Err(Failure::Rejected(Rejected { code: "too-large", .. }))));
    }

    #[test]
    fn sec_console_secrets_never_come_back() {
        let form = Form(["password", "code", "reason", "reason"].map(|name| (name.to_owned(), "x".to_owned())).into());
        assert_eq!(form.input(), serde_json::json!({ "reason": ["x", "x"] }));
        assert!(form.kept().iter().all(|(name, _)| name == "reason"));
    }
}
