//! The HTTP client by which the coordinator reaches others: the OpenID provider, receivers of webhooks and traces, witnesses.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::tls::TlsInfo;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

use crate::outward::Outward;

/// A client for `url`. It trusts the authority in `ca_file`, the value of `setting`, or without one the system's; it goes nowhere else than it is
/// told, for where others send it nobody has approved.
///
/// # Errors
/// The file cannot be used, or there is no authority to trust.
pub(crate) fn client(setting: &str, url: &str, ca_file: Option<&Path>, patience: Duration) -> anyhow::Result<Client> {
    build(setting, url, ca_file, patience, |builder| builder)
}

/// The same for URLs that people set through the API: connections are made to addresses that `outward` admits, and never through
/// a proxy, which would look the name up itself. Of a URL whose host is an address the caller asks [`Outward::check_url`].
///
/// # Errors
/// As [`client`].
pub(crate) fn guarded_client(
    setting: &str,
    ca_file: Option<&Path>,
    patience: Duration,
    outward: &Outward,
) -> anyhow::Result<Client> {
    build(setting, "https://", ca_file, patience, |builder| builder.no_proxy().dns_resolver(outward.clone()))
}

/// Sends a request and waits for the head of its answer. The time of the client bounds both, and the body.
///
/// # Errors
/// The other side cannot be reached, or does not answer in time.
pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    request.send().await
}

/// The whole body of an answer.
///
/// # Errors
/// It has more than `max` bytes, or broke off.
pub(crate) async fn body(mut answer: Response, max: usize) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        ensure!(body.len() + piece.len() <= max, "its answer has more than {max} bytes");
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The certificate that the other side showed, in DER; `None` without TLS.
pub(crate) fn certificate(answer: &Response) -> Option<&[u8]> {
    answer.extensions().get::<TlsInfo>()?.peer_certificate()
}

fn build(
    setting: &str,
    url: &str,
    ca_file: Option<&Path>,
    patience: Duration,
    more: impl Fn(ClientBuilder) -> ClientBuilder,
) -> anyhow::Result<Client> {
    // Another part of the program may have done so.
    let _ = CryptoProvider::install_default(ring::default_provider());
    let base = || more(Client::builder().tls_info(true).timeout(patience).redirect(reqwest::redirect::Policy::none()));
    let trusting = |builder: ClientBuilder| -> anyhow::Result<ClientBuilder> {
        match ca_file {
            None => Ok(builder),
            Some(file) => {
                let pem = mdfm_service::read_input(file, mdfm_service::INPUT_BYTES_MAX)
                    .with_context(|| setting.to_owned())?;
                Ok(builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).with_context(|| setting.to_owned())?]))
            }
        }
    };
    match trusting(base())?.build() {
        // On this machine nobody has to be vouched for.
        Err(_) if url.starts_with("http://") => Ok(base().tls_certs_only([]).build()?),
        built => built.with_context(|| {
            format!("no authority is trusted here: install ca-certificates, or name one in {setting}")
        }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that sends `first`, and then `more` until the other side has closed the connection.
    async fn server(first: &'static str, more: &'static str) -> (String, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.read_buf(&mut Vec::with_capacity(4_096)).await.expect("a request");
            let _ = stream.write_all(first.as_bytes()).await;
            while !more.is_empty() && stream.write_all(more.as_bytes()).await.is_ok() {}
        });
        (url, serving)
    }

    #[tokio::test]
    async fn sec_9_answers_from_outside_are_bounded() {
        let patience = Duration::from_secs(2);
        let began = std::time::Instant::now();
        let (url, serving) = server("", "HTTP/1.1 103 Early Hints\r\n\r\n").await;
        let client = client("ca_file", &url, None, patience).expect("a client");
        assert!(send(client.get(&url)).await.expect_err("no answer").is_timeout());
        serving.await.expect("the connection is closed");
        let (url, serving) = server("HTTP/1.1 200 OK\r\n\r\n", "more").await;
        let answer = send(client.get(&url)).await.expect("an answer");
        let error = body(answer, 65_536).await.expect_err("it has no end");
        assert!(error.to_string().contains("more than 65536 bytes"), "{error:#}");
        serving.await.expect("the connection is closed");
        assert!(began.elapsed() < patience * 3, "a request has one time for all of its answer");
        let (url, _) = server("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "").await;
        let answer = send(client.get(&url)).await.expect("one informational answer is nothing");
        assert_eq!(body(answer, 2).await.expect("whole"), b"ok");
    }
}
