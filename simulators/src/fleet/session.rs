//! The coordinator's API, as somebody who has logged in with `mdfmctl`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A session file of `mdfmctl login`.
#[derive(Deserialize)]
struct File {
    url: String,
    token: String,
    ca_pem: String,
}

/// A logged-in client.
#[derive(Clone)]
pub(super) struct Session {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Session {
    /// Takes over the session of a file.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let text = mdfm_service::read_secret(path)?;
        let file: File = serde_json::from_str(&text)
            .with_context(|| format!("{} is no session of mdfmctl login", path.display()))?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(file.ca_pem.as_bytes())?)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(TIMEOUT).build()?;
        Ok(Self { http, url: file.url, token: file.token })
    }

    /// Sends a request; `None` when the thing is there already (409).
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Option<Value>> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let answer = request.send().await.with_context(|| format!("POST {path}"))?;
        let status = answer.status();
        let body: Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
        match status.as_u16() {
            200..=299 => Ok(Some(body)),
            409 => Ok(None),
            _ => bail!("POST {path}: the coordinator refused ({status}): {}", body["detail"].as_str().unwrap_or("")),
        }
    }

    /// Reads a resource.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
