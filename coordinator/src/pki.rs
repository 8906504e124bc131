//! The coordinator's own certificate authority: server certificate, gateway certificates.

use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::time::UtcMillis;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use mdfm_coordinator_core::expiry::GATEWAY_CERTIFICATE_DAYS;

/// Validity of the authority.
const CA_DAYS: i64 = 20 * 365;
/// Validity of the server certificate.
const SERVER_DAYS: i64 = 825;

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiError {
    #[error("certificate cannot be made or read")]
    Certificate(#[from] rcgen::Error),
}

/// A certificate and its key, in PEM.
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

fn params(common_name: &str, names: &[String], days: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    // An hour back: the other side's clock may be behind.
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    Ok(params)
}

/// Makes the authority.
pub(crate) fn make_authority(name: &str) -> Result<Pem, PkiError> {
    let mut params = params(name, &[], CA_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    Ok(Pem { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// Checks a name for a server certificate: a DNS name (RFC 1123, a wildcard only as its first label, RFC 6125 §6.4.3) or an IP address.
///
/// # Errors
/// It is neither; the text says what to write.
pub(crate) fn server_name(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host = text.strip_prefix("*.").unwrap_or(text);
    if text.parse::<std::net::IpAddr>().is_ok() || (text.len() <= 253 && host.split('.').all(is_label)) {
        return Ok(text.to_owned());
    }
    Err("write a DNS name or an IP address, without scheme and port, for example coordinator.example".to_owned())
}

/// Makes a server certificate for DNS names and addresses.
pub(crate) fn make_server(authority: &Pem, names: &[String]) -> Result<Pem, PkiError> {
    let mut params = params(names.first().map_or("mdfm-coordinator", String::as_str), names, SERVER_DAYS)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    Ok(Pem { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
}

/// Signs a gateway's request. Only the public key is taken from it; name and purpose are ours.
pub(crate) fn sign_gateway(authority: &Pem, gateway: &GatewayId, csr_pem: &str) -> Result<(String, Digest), PkiError> {
    let mut request = CertificateSigningRequestParams::from_pem(csr_pem)?;
    let mut ours = params(gateway.as_str(), &[], i64::from(GATEWAY_CERTIFICATE_DAYS))?;
    ours.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    ours.use_authority_key_identifier_extension = true;
    request.params = ours;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let certificate = request.signed_by(&issuer)?;
    let fingerprint = Digest::of(certificate.der());
    Ok((certificate.pem(), fingerprint))
}

/// The last moment of a certificate.
pub(crate) fn not_after(der: &[u8]) -> Option<UtcMillis> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(UtcMillis(seconds.saturating_mul(1_000)))
}

/// The gateway that a client certificate names, the certificate's fingerprint, and its last moment.
pub(crate) fn identify(der: &[u8]) -> Option<(GatewayId, Digest, UtcMillis)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some((name.parse().ok()?, Digest::of(der), not_after(der)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_28_only_names_that_a_client_can_ask_for_are_certified() {
        for name in ["localhost", "coordinator.example", "*.vendor.example", "a-1.b", "127.0.0.1", "::1", "2001:db8::7"]
        {
            assert_eq!(server_name(name).as_deref(), Ok(name));
        }
        let long = ["a"; 64].concat();
        for bad in [
            "",
            " ",
            "a b",
            "https://x/",
            "127.0.0.1:8443",
            "*",
            "*.",
            "a.*.b",
            "-a",
            "a-",
            ".",
            "a..b",
            "a\u{1b}[31m",
            "\u{e9}.example",
            &long,
        ] {
            assert!(server_name(bad).is_err(), "{bad:?}");
        }
    }
}
