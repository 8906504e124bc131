//! Says to a gateway whose certificate does not count any more why it is not let in: as an MQTT CONNACK or as an HTTP answer, whichever it
//! speaks, over the TLS connection that shows whose answer it is. The connection ends then.

use std::io;
use std::time::Duration;

use mdfm_shared::id::GatewayId;
use mdfm_shared::wire::mqtt::{CONNACK_OUTDATED, CONNACK_REVOKED};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::runner::Runner;

/// For the peer to ask, to take the answer and to close.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of what it sends that are read: bytes that nobody has read when the connection closes would take the answer with them.
const READ_BYTES_MAX: u64 = 16 * 1024;

/// Why a certificate that was presented does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The vendor has revoked the gateway.
    Revoked,
    /// Another enrolment replaced the certificate, or its time is over, or no such gateway is registered.
    Outdated,
}

impl Reason {
    /// The reason for the gateway that the certificate names.
    pub(super) fn of(runner: &Runner, gateway: Option<&GatewayId>) -> Self {
        let state = runner.state();
        let held = gateway.and_then(|gateway| state.gateways.get(gateway));
        if held.is_some_and(|gateway| gateway.revoked) { Self::Revoked } else { Self::Outdated }
    }

    fn connack(self) -> &'static [u8] {
        match self {
            Self::Revoked => &CONNACK_REVOKED,
            Self::Outdated => &CONNACK_OUTDATED,
        }
    }

    fn http(self) -> String {
        let (code, detail) = match self {
            Self::Revoked => ("gateway-revoked", "the vendor has revoked this gateway"),
            Self::Outdated => (
                "certificate-outdated",
                "the certificate of this gateway was replaced by another enrolment, or has expired: enrol it again",
            ),
        };
        let body = serde_json::json!({
            "type": format!("urn:mdfm:problem:{code}"), "title": "Not allowed", "status": 403, "detail": detail,
        });
        let body = body.to_string();
        format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Answers what the peer asks first, then closes. How that ends is of no use to anybody.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, first_of_mqtt: u8, reason: Reason) {
    let answered = timeout(PATIENCE, async {
        let first = stream.read_u8().await?;
        let http = reason.http();
        let answer = if first == first_of_mqtt { reason.connack() } else { http.as_bytes() };
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(READ_BYTES_MAX), &mut tokio::io::sink()).await
    });
    if let Err(error) = answered.await.map_err(io::Error::from).flatten() {
        tracing::debug!(%error, "a gateway whose certificate does not count did not take its answer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(asked: &[u8], reason: Reason) -> Vec<u8> {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let answering = tokio::spawn(answer(far, 0x10, reason));
        near.write_all(asked).await.expect("open");
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.expect("closes");
        drop(near);
        answering.await.expect("ends");
        said
    }

    #[tokio::test(start_paused = true)]
    async fn cli_20_a_revoked_gateway_is_answered_as_it_asks() {
        assert_eq!(answered(&[0x10, 3, 0, 4, b'M'], Reason::Revoked).await, [0x20, 2, 0, 5]);
        assert_eq!(answered(&[0x10, 3, 0, 4, b'M'], Reason::Outdated).await, [0x20, 2, 0, 4]);
        for (reason, code) in [(Reason::Revoked, "gateway-revoked"), (Reason::Outdated, "certificate-outdated")] {
            let said = String::from_utf8(answered(b"GET /mqtt HTTP/1.1\r\n\r\n", reason).await).expect("text");
            let (head, body) = said.split_once("\r\n\r\n").expect("a head");
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("connection: close"), "{head}");
            assert_eq!(body["type"], format!("urn:mdfm:problem:{code}"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cli_20_a_silent_or_endless_peer_is_let_go() {
        let (near, far) = tokio::io::duplex(64);
        answer(far, 0x10, Reason::Revoked).await;
        drop(near);
        let (mut near, far) = tokio::io::duplex(64);
        let flooding = tokio::spawn(async move { while near.write_all(&[0x10; 64]).await.is_ok() {} });
        answer(far, 0x10, Reason::Revoked).await;
        flooding.await.expect("its stream is closed");
    }
}
