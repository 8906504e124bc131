//! TLS towards devices: 1.3, and 1.2 for those that have nothing newer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use mdfm_service::INPUT_BYTES_MAX;
use serde::Deserialize;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The encrypted port for devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceTls {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The gateway's certificate for this network with those that lead to the devices' root, PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
    /// Who vouches for devices' certificates, PEM; without, devices show secrets.
    pub(crate) authority: Option<PathBuf>,
    /// Whether the port without encryption stays closed.
    #[serde(default)]
    pub(crate) only: bool,
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let what = || format!("certificates of {}", path.display());
    let pem = mdfm_service::read_input(path, INPUT_BYTES_MAX)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let found = found.with_context(what)?;
    anyhow::ensure!(!found.is_empty(), "{} holds no certificate", path.display());
    Ok(found)
}

impl DeviceTls {
    pub(super) fn server(&self) -> anyhow::Result<Arc<ServerConfig>> {
        self.server_with(&mdfm_service::read_secret(&self.key)?)
    }

    fn server_with(&self, key: &str) -> anyhow::Result<Arc<ServerConfig>> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match &self.authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(authority)? {
                    roots.add(certificate)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
            }
        };
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).with_context(|| format!("key {}", self.key.display()))?;
        Ok(Arc::new(builder.with_single_cert(certificates(&self.certificate)?, key)?))
    }
}

/// Checks that the port could be opened with these files. Who else may read the key is not looked at: [`mdfm_service::read_secret`] says that
/// with an exit status of its own.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn check(tls: &DeviceTls) -> Result<(), String> {
    let key = mdfm_service::read_input_text(&tls.key, INPUT_BYTES_MAX).map_err(anyhow::Error::from);
    key.and_then(|key| tls.server_with(&key)).map(drop).map_err(|e| format!("device_tls: {e:#}"))
}
