//! How a gateway joins: a one-time token from the operator, a request from the agent, credentials in return.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::GatewayId;
use crate::sign::PublicKey;

/// Characters of an encoded token.
const TOKEN_CHARS_MAX: usize = 8 * 1024;

/// What the operator hands to the hospital: where to enrol, as whom, and what to trust. Usable once; handle as a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// The gateway to become.
    pub gateway: GatewayId,
    /// `https://host:port` of the coordinator.
    pub url: String,
    /// The one-time secret.
    pub secret: [u8; 32],
    /// Digest of the first trust root to accept.
    pub trust_root: Digest,
    /// DER of the certificate authority that vouches for the coordinator's TLS certificate.
    pub ca_der: Vec<u8>,
}

impl std::fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrolmentToken(for {} at {}, secret withheld)", self.gateway, self.url)
    }
}

/// The text is no enrolment token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no enrolment token; ask the vendor's operator for a new one (mdfmctl gateways add-token)")]
pub struct TokenError;

impl EnrolmentToken {
    /// The text form, one line.
    pub fn to_text(&self) -> String {
        let bytes = postcard::to_stdvec(self).expect("plain fields encode");
        format!("mdfm1.{}", URL_SAFE_NO_PAD.encode(bytes))
    }
    /// Reads the text form.
    ///
    /// # Errors
    /// Any other text.
    pub fn from_text(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > TOKEN_CHARS_MAX {
            return Err(TokenError);
        }
        let encoded = text.strip_prefix("mdfm1.").ok_or(TokenError)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError)?;
        match postcard::take_from_bytes(&bytes) {
            Ok((token, [])) => Ok(token),
            _ => Err(TokenError),
        }
    }
}

/// What the agent asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrolmentRequest {
    /// The gateway to become.
    pub gateway: GatewayId,
    /// The token's secret in hex.
    pub secret: String,
    /// PKCS #10 request in PEM for the TLS client certificate (RFC 2986).
    pub csr_pem: String,
    /// The key that will sign telemetry, `ed25519:<base64>`.
    pub telemetry_key: String,
}

/// What the agent gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrolmentResponse {
    /// The TLS client certificate in PEM.
    pub certificate_pem: String,
    /// The epoch of the gateway's telemetry.
    pub epoch: u64,
    /// Frames of the signed trust roots, version 1 first, base64.
    pub trust_roots: Vec<String>,
}

/// Parses the telemetry key of a request.
///
/// # Errors
/// The text is no public key.
pub fn telemetry_key(request: &EnrolmentRequest) -> Result<PublicKey, crate::sign::KeyError> {
    request.telemetry_key.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form_and_nothing_else_does() {
        let token = EnrolmentToken {
            gateway: "GW-1".parse().expect("good id"),
            url: "https://localhost:8443".into(),
            secret: [9; 32],
            trust_root: Digest([1; 32]),
            ca_der: vec![0x30; 500],
        };
        let text = token.to_text();
        assert_eq!(EnrolmentToken::from_text(&format!(" {text}\n")), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("9, 9"));
        for bad in ["", "mdfm1.", "mdfm1.!!", &text[..text.len() - 4], &format!("{text}AAAA")] {
            assert_eq!(EnrolmentToken::from_text(bad), Err(TokenError));
        }
    }
}
