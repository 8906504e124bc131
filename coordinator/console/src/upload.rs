//! Files that are too large to hold: a form with one file, whose bytes go on to the API as they come.

use axum::body::{Body, Bytes};
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::api::Api;
use crate::failure::{Failure, Refusal};
use crate::form::{self, Form, is_from_here, media_type, rejected};
use crate::session;

/// Fields before the file at most, and bytes of all of them.
const FIELDS_MAX: usize = 16;
const FIELDS_BYTES_MAX: usize = 16 * 1024;
/// Pieces of a file on their way to the API.
const PIECES_WAITING: usize = 4;
/// Bytes that are read and dropped after a refusal, so that the browser comes to read why; of more it sees that the connection ended.
const DROPPED_BYTES_MAX: usize = 64 << 20;

/// A form whose last field is a file.
pub(crate) struct Upload {
    multipart: Multipart,
    session: String,
}

type Piece = Result<Bytes, std::io::Error>;

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if !is_from_here(request.headers()) {
            return Err(rejected("cross-site", "This was not sent by a page of this console. Nothing was changed."));
        }
        if media_type(request.headers()) != "multipart/form-data" {
            return Err(rejected("media-type", "This is not a form with a file. Nothing was changed."));
        }
        let Some(session) = session::token(request.headers()) else { return Err(Failure::SignedOut) };
        let multipart = Multipart::from_request(request, state).await.map_err(|_| unreadable())?;
        Ok(Self { multipart, session })
    }
}

fn unreadable() -> Failure {
    rejected("malformed-form", "The form cannot be read, or ended early. Nothing was changed.")
}

/// The text of a field; `left` is how many bytes it may have, and goes down by what it has.
async fn text(field: &mut Field<'_>, left: &mut usize) -> Result<String, Failure> {
    let mut text = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|_| unreadable())? {
        *left = left.checked_sub(piece.len()).ok_or_else(unreadable)?;
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).map_err(|_| unreadable())
}

/// Passes a file on until it ends. A file that breaks off ends with an error, never as if it were whole.
async fn pump(field: &mut Field<'_>, sender: mpsc::Sender<Piece>) {
    let mut dropped = 0;
    loop {
        match field.chunk().await {
            Ok(Some(piece)) => {
                let bytes = piece.len();
                if sender.send(Ok(piece)).await.is_err() {
                    dropped += bytes;
                }
                if dropped > DROPPED_BYTES_MAX {
                    return;
                }
            }
            Ok(None) => return,
            Err(_) => {
                let _ = sender.send(Err(std::io::ErrorKind::UnexpectedEof.into())).await;
                return;
            }
        }
    }
}

impl Upload {
    /// Sends the file to the path of the API that `to` makes of the other fields. Returns those fields with the answer.
    ///
    /// # Errors
    /// The form is not of this session, or cannot be read.
    pub(crate) async fn send_on(
        mut self,
        api: &Api,
        to: impl FnOnce(&Form) -> String,
    ) -> Result<(Form, Result<Response, Failure>), Failure> {
        let (mut fields, mut left) = (Vec::new(), FIELDS_BYTES_MAX);
        while let Some(mut field) = self.multipart.next_field().await.map_err(|_| unreadable())? {
            let name = field.name().unwrap_or_default().to_owned();
            let Some(file) = field.file_name().map(str::to_owned) else {
                let value = text(&mut field, &mut left).await?;
                fields.push((name, value));
                if fields.len() > FIELDS_MAX {
                    return Err(unreadable());
                }
                continue;
            };
            let form = Form::of(fields);
            if form.text(form::TOKEN) != session::form_token(&self.session) {
                let detail = "The form belongs to another session. Nothing was changed; open the page again.";
                return Err(rejected("form-token", detail));
            }
            if file.is_empty() {
                let detail = "No file was chosen.".to_owned();
                return Ok((form, Err(Failure::Refused(Refusal::of_input("no-file", detail)))));
            }
            let path = to(&form);
            let (sender, receiver) = mpsc::channel::<Piece>(PIECES_WAITING);
            let pieces =
                stream::unfold(
                    receiver,
                    |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) },
                );
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            let sent = api.raw(Method::PUT, &path, HeaderMap::from_iter([kind]), Body::from_stream(pieces));
            let (answer, ()) = tokio::join!(sent, pump(&mut field, sender));
            return Ok((form, answer));
        }
        Err(unreadable())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::to_bytes;
    use axum::http::StatusCode;
    use axum::routing::put;

    use super::*;

    /// What an API got: its body, or `None` if it broke off.
    type Got = Arc<Mutex<Vec<Option<usize>>>>;

    fn api(got: &Got, status: StatusCode) -> Api {
        let got = got.clone();
        let take = move |body: Body| async move {
            if status != StatusCode::OK {
                return status;
            }
            let bytes = to_bytes(body, usize::MAX).await.ok().map(|bytes| bytes.len());
            got.lock().expect("not poisoned").push(bytes);
            if bytes.is_some() { status } else { StatusCode::UNPROCESSABLE_ENTITY }
        };
        let router = Router::new().route("/api/v1/x", put(take)).layer(axum::extract::DefaultBodyLimit::disable());
        crate::testing::api(router)
    }

    async fn upload(body: Vec<u8>, origin: &str) -> Result<Upload, Failure> {
        let request = Request::builder().header("host", "c").header("sec-fetch-site", origin);
        let request =
            request.header("cookie", "__Host-mdfm=s").header("content-type", "multipart/form-data; boundary=b");
        Upload::from_request(request.body(Body::from(body)).expect("a request"), &()).await
    }

    fn form(token: &str, file: &[u8], end: &str) -> Vec<u8> {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\n{token}\r\n");
        let part = "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"i.bin\"\r\n\r\n";
        [head.as_bytes(), part.as_bytes(), file, end.as_bytes()].concat()
    }

    const END: &str = "\r\n--b--\r\n";

    #[tokio::test]
    async fn console_a_file_goes_on_as_it_comes() {
        let (got, token) = (Got::default(), session::form_token("s"));
        let file = vec![7; 300 * 1024];
        let sent = upload(form(&token, &file, END), "same-origin").await.expect("a form");
        let (_, answer) = sent.send_on(&api(&got, StatusCode::OK), |_| "/api/v1/x".into()).await.expect("sent");
        assert!(answer.is_ok());
        assert_eq!(*got.lock().expect("not poisoned"), [Some(file.len())]);
    }

    #[tokio::test]
    async fn sec_console_a_file_that_breaks_off_is_never_whole() {
        let (got, token) = (Got::default(), session::form_token("s"));
        let sent = upload(form(&token, &[7; 5_000], ""), "same-origin").await.expect("a form");
        let (_, answer) = sent.send_on(&api(&got, StatusCode::OK), |_| "/api/v1/x".into()).await.expect("sent");
        assert!(matches!(answer, Err(Failure::Refused(_))));
        assert_eq!(*got.lock().expect("not poisoned"), [None]);
    }

    #[tokio::test]
    async fn sec_console_no_file_goes_on_without_the_token() {
        let got = Got::default();
        let foreign = upload(form("wrong", &[7; 10], END), "same-origin").await.expect("a form");
        let sent = foreign.send_on(&api(&got, StatusCode::OK), |_| "/api/v1/x".into()).await;
        assert!(matches!(sent, Err(Failure::Rejected(_))));
        let elsewhere = upload(form(&session::form_token("s"), &[7; 10], END), "cross-site").await;
        assert!(matches!(elsewhere, Err(Failure::Rejected(_))));
        assert!(got.lock().expect("not poisoned").is_empty());
    }

    #[tokio::test]
    async fn console_an_early_refusal_reaches_the_browser() {
        let (got, token) = (Got::default(), session::form_token("s"));
        let sent = upload(form(&token, &vec![7; 1 << 20], END), "same-origin").await.expect("a form");
        let (_, answer) = sent.send_on(&api(&got, StatusCode::CONFLICT), |_| "/api/v1/x".into()).await.expect("sent");
        assert!(matches!(answer, Err(Failure::Refused(refusal)) if refusal.status == 409));
    }
}
