//! MQTT over WebSocket (RFC 6455, MQTT 3.1.1 §6), for hospitals whose proxies let nothing else out: the same port, the same
//! certificate, the same guard.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

/// Where it is.
pub(super) const PATH: &str = "/mqtt";
const PROTOCOL: &str = "mqtt";
/// Bytes in one frame or message; a packet may span several.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

fn names(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(wanted))
}

/// The answer that opens a WebSocket.
///
/// # Errors
/// The request does not ask for one of ours; status and words say why.
pub(super) fn answer<B>(request: &Request<B>) -> Result<Response<Body>, (StatusCode, &'static str)> {
    let headers = request.headers();
    if !names(headers, header::UPGRADE, "websocket") || !names(headers, header::CONNECTION, "upgrade") {
        return Err((StatusCode::UPGRADE_REQUIRED, "this is for MQTT over WebSocket"));
    }
    if !names(headers, header::SEC_WEBSOCKET_VERSION, "13") {
        return Err((StatusCode::BAD_REQUEST, "WebSocket version 13 is spoken here"));
    }
    if !names(headers, header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        return Err((StatusCode::BAD_REQUEST, "the subprotocol must be mqtt"));
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return Err((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing"));
    };
    let accept = derive_accept_key(key.as_bytes());
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(Body::empty())
        .map_err(|_| (StatusCode::BAD_REQUEST, "no WebSocket can be made of this"))
}

/// The bytes of binary messages as a stream of bytes.
pub(super) struct ByteStream<S> {
    inner: WebSocketStream<S>,
    rest: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream<S> {
    /// The server's side of an opened WebSocket.
    pub(super) async fn new(stream: S) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX))
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * MESSAGE_BYTES_MAX);
        let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
        Self { inner: WebSocketStream::from_raw_socket(stream, role, Some(config)).await, rest: Bytes::new() }
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::UnexpectedEof.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.rest.is_empty() {
                let n = self.rest.len().min(buffer.remaining());
                let part = self.rest.split_to(n);
                buffer.put_slice(&part);
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.inner).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // Pings are answered inside; an end is an end.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Text(_))) => {
                    let why = "MQTT travels in binary messages (MQTT 3.1.1 [MQTT-6.0.0-1])";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_ready(context)).map_err(io_error)?;
        let n = bytes.len().min(MESSAGE_BYTES_MAX);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..n]));
        Pin::new(&mut self.inner).start_send(message).map_err(io_error)?;
        Poll::Ready(Ok(n))
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context).map_err(io_error)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context).map_err(io_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_request_for_mqtt_opens_a_websocket() {
        let good = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "mqttv5, mqtt"),
            // RFC 6455 §1.3.
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let request = |skip: Option<usize>| {
            let headers = good.iter().enumerate().filter(|(n, _)| Some(*n) != skip);
            headers
                .fold(Request::get(PATH), |r, (_, (name, value))| r.header(*name, *value))
                .body(())
                .expect("a request")
        };
        let response = answer(&request(None)).expect("opens");
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (skip, (name, _)) in good.iter().enumerate() {
            let (status, _) = answer(&request(Some(skip))).expect_err("refused");
            assert!(status.is_client_error(), "without {name}");
        }
    }
}
