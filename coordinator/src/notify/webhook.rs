//! Notices to programs, signed after the Standard Webhooks specification: HMAC-SHA-256 over id, time and body.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::time::UtcMillis;
use reqwest::{Client, Url};
use ring::hmac;
use serde_json::json;

use super::Told;
use crate::https;
use crate::outward::Outward;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
const SECRET_BYTES: usize = 24;
const SECRET_PREFIX: &str = "whsec_";

/// A new shared secret.
///
/// # Errors
/// The machine has no randomness.
pub(crate) fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

/// The value of `webhook-signature`.
fn signature(secret: &str, id: &str, seconds: u64, body: &str) -> anyhow::Result<String> {
    let bytes = STANDARD.decode(secret.trim_start_matches(SECRET_PREFIX)).context("the secret is no base64")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag)))
}

/// Calls.
pub(super) struct Caller {
    ca_file: Option<PathBuf>,
    outward: Outward,
    client: OnceLock<Client>,
}

impl Caller {
    /// Trusts the authority in `ca_file`; the system's without one. A machine that has none fails when it calls, and not when it starts: most
    /// have no webhooks.
    pub(super) fn new(ca_file: Option<&Path>, outward: Outward) -> anyhow::Result<Self> {
        let caller = Self { ca_file: ca_file.map(Path::to_owned), outward, client: OnceLock::new() };
        if ca_file.is_some() {
            caller.client()?;
        }
        Ok(caller)
    }

    fn client(&self) -> anyhow::Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = https::guarded_client("webhook_ca_file", self.ca_file.as_deref(), PATIENCE, &self.outward)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Delivers to one receiver; it has it when this returns. The id stays the same however often it is tried. `shown` gets the certificate that
    /// the receiver showed, whatever it answers.
    pub(super) async fn call(
        &self,
        url: &str,
        secret: &str,
        id: &str,
        told: &Told,
        now: UtcMillis,
        shown: impl FnOnce(&[u8]),
    ) -> anyhow::Result<()> {
        let url: Url = url.parse().context("the receiver's address is not a URL")?;
        ensure!(url.scheme() == "https", "the receiver's address does not begin with https://");
        self.outward.check_url(&url)?;
        let body = json!({
            "type": told.kind,
            "timestamp": told.at.to_string(),
            "data": {
                "object": told.object, "subject": told.subject, "detail": told.detail,
                "hospitalIds": told.hospitals, "logIndex": told.log_index,
            },
        })
        .to_string();
        let seconds = now.0 / 1_000;
        let request = self
            .client()?
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature(secret, id, seconds, &body)?);
        let answer = https::send(request.body(body)).await.context("the receiver cannot be reached")?;
        let status = answer.status();
        if let Some(der) = https::certificate(&answer) {
            shown(der);
        }
        if !status.is_success() {
            bail!("the receiver answered {status}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected value was computed by another program from the specification's words.
    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(found.expect("a key"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(signature("whsec_%%", "a", 1, "").is_err());
        assert!(new_secret().expect("random").starts_with("whsec_"));
    }
}
