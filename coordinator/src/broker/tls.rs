//! TLS 1.3 of the one port: who vouches for gateways, who we are, and how that changes without a restart.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ProducesTickets, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::pki::Pem;

/// What clients may ask for by name (RFC 7301); those that do not ask are told apart by their first byte.
pub(super) const ALPN_MQTT: &[u8] = b"mqtt";
const ALPN_HTTP: &[u8] = b"http/1.1";

/// The configuration that new connections get; it can be replaced while others go on.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Certificate of the authority of gateways; `None` where no client certificate is asked for.
    authority: Option<Arc<str>>,
    tickets: Arc<dyn ProducesTickets>,
    current: watch::Sender<Arc<ServerConfig>>,
}

impl Tls {
    /// TLS 1.3 only; a client certificate is asked for, checked if given, and needed for everything that gateways do. Sessions are
    /// resumed by tickets (RFC 8446 §4.6.1), so that a fleet that comes back costs no signatures; no early data, ever.
    ///
    /// # Errors
    /// Certificate or key cannot be read, or do not belong together.
    pub(crate) fn new(authority: &str, server: &Pem) -> anyhow::Result<Self> {
        let tickets = ring::Ticketer::new()?;
        let config = config(Some(authority), server, &tickets)?;
        Ok(Self { authority: Some(authority.into()), tickets, current: watch::Sender::new(Arc::new(config)) })
    }

    /// TLS 1.3 for people's browsers alone: no client certificate is asked for, and nothing but HTTP is spoken.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn for_people(server: &Pem) -> anyhow::Result<Self> {
        let tickets = ring::Ticketer::new()?;
        let config = config(None, server, &tickets)?;
        Ok(Self { authority: None, tickets, current: watch::Sender::new(Arc::new(config)) })
    }

    /// Uses another server certificate for connections from now on.
    ///
    /// # Errors
    /// As [`Self::new`]; then nothing changes.
    pub(crate) fn replace(&self, server: &Pem) -> anyhow::Result<()> {
        let config = config(self.authority.as_deref(), server, &self.tickets)?;
        self.current.send_replace(Arc::new(config));
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.borrow())
    }
}

fn config(authority: Option<&str>, server: &Pem, tickets: &Arc<dyn ProducesTickets>) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(server.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes())?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13])?;
    let mut config = match authority {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?).with_single_cert(chain, key)?
        }
        None => builder.with_no_client_auth().with_single_cert(chain, key)?,
    };
    config.alpn_protocols = vec![ALPN_HTTP.to_vec()];
    if authority.is_some() {
        config.alpn_protocols.insert(0, ALPN_MQTT.to_vec());
    }
    config.ticketer = Arc::clone(tickets);
    config.send_tls13_tickets = 1;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki;

    #[test]
    fn a_new_certificate_replaces_the_old_one_and_a_wrong_one_does_not() {
        let authority = pki::make_authority("an authority").expect("made");
        let names = ["localhost".to_owned()];
        let server = || pki::make_server(&authority, &names).expect("made");
        let (first, second) = (server(), server());
        let tls = Tls::new(&authority.certificate, &first).expect("good");
        let before = tls.current();
        let mixed = Pem { certificate: second.certificate.clone(), key: first.key.clone() };
        assert!(tls.replace(&mixed).is_err(), "key and certificate do not belong together");
        assert!(Arc::ptr_eq(&before, &tls.current()));
        tls.replace(&second).expect("good");
        assert!(!Arc::ptr_eq(&before, &tls.current()));
    }
}
