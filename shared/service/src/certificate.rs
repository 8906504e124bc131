//! When a certificate holds.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Validity of a certificate, in seconds since 1970 (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before_s: i64,
    /// Last second.
    pub not_after_s: i64,
}

/// Reads the validity of the first certificate of a PEM text; none if there is no readable one.
pub fn validity(pem: &str) -> Option<Validity> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let validity = certificate.validity();
    Some(Validity { not_before_s: validity.not_before.timestamp(), not_after_s: validity.not_after.timestamp() })
}

/// The common name of a certificate's subject; none if it has none, or several.
pub fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    names.next().is_none().then_some(name)
}
