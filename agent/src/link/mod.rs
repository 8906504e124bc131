//! The way to the coordinator: enrolment, MQTT, HTTPS; always TLS 1.3, always against the pinned authority.

mod answered;
mod enrol;
mod http;
mod https;
mod mqtt;
mod road;
mod throttle;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) use enrol::{Identity, enrol, is_enrolled};
pub(crate) use http::{Http, ImageStream};
pub(crate) use mqtt::{FleetEvent, FleetLink};
pub(crate) use road::Road;
pub(crate) use throttle::{Hours, Throttle};

/// TLS towards the coordinator, with the gateway's certificate where there is one.
pub(crate) fn tls_config(ca_der: &[u8], client: Option<(&str, &str)>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca_der.to_vec()))?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots);
    Ok(match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.as_bytes())?,
        )?,
    })
}
