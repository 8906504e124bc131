//! Signing in through the operator's OpenID provider: the person goes there in a browser, and comes back to a loopback address of this machine
//! (RFC 8252 §7.3), where this program waits.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::answer;
use crate::client::checked;

/// Longest wait for the person.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Bytes of the browser's request that are looked at.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Longest wait for one request of a browser that has connected.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
const PAGE: &str = "You may close this page and go back to the terminal.";

/// Signs in; gives the session as the coordinator shows it.
pub(crate) async fn sign_in(http: &Client, url: &str) -> anyhow::Result<Value> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening on this machine")?;
    let redirect_uri = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    let beginning = http.post(format!("{url}/api/v1/sessions/oidc")).json(&json!({ "redirectUri": redirect_uri }));
    let begun = checked(answer::send(beginning).await?).await?.json().await?;
    let address = begun["authorizationUrl"].as_str().context("the coordinator gave no address to go to")?;
    mdfm_service::output::note("sign in with your browser at");
    mdfm_service::output::note(address);
    let back = tokio::time::timeout(PATIENCE, come_back(&listener)).await;
    let (state, code) = back.context("nobody came back from the provider within five minutes")??;
    let body = json!({ "flow": begun["flow"], "state": state, "code": code });
    let completion = http.post(format!("{url}/api/v1/sessions/oidc/completion")).json(&body);
    checked(answer::send(completion).await?).await?.json().await
}

/// Waits for the browser; gives state and code.
async fn come_back(listener: &TcpListener) -> anyhow::Result<(String, String)> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        // Other pages of the browser may knock here too.
        let Ok(Some(target)) = tokio::time::timeout(REQUEST_PATIENCE, target(&mut stream)).await else { continue };
        let url = Url::parse(&format!("http://127.0.0.1{target}")).ok().filter(|u| u.path() == "/callback");
        let Some(url) = url else { continue };
        let value = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{PAGE}", PAGE.len());
        // What the browser shows is a courtesy.
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        if let (Some(state), Some(code)) = (value("state"), value("code")) {
            return Ok((state, code));
        }
        if let Some(error) = value("error") {
            let words = |text: &str| text.chars().take(300).collect::<String>();
            match value("error_description") {
                Some(description) => bail!("the provider refused: {} ({})", words(&description), words(&error)),
                None => bail!("the provider refused: {}", words(&error)),
            }
        }
    }
}

/// What a browser asks for.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut piece = [0; 2_048];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        match stream.read(&mut piece).await {
            Ok(n) if n > 0 => request.extend_from_slice(&piece[..n]),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&request);
    text.strip_prefix("GET ")?.split(' ').next().map(str::to_owned)
}
