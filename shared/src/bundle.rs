//! Documents and images on removable media, for a gateway that no line reaches, and its telemetry on the way back. Nothing in a bundle is
//! trusted because it is in one: every document carries its own signatures, every image is named by a signed manifest.
//!
//! A file: [`MAGIC`], the header's length (4 bytes, little-endian), the header in JSON, then the images one behind the other.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::GatewayId;
use crate::limits::{FRAME_BYTES_MAX, GATEWAY_DEVICES_MAX, IMAGE_BYTES_MAX, PROOF_HASHES_MAX};

/// The first bytes of every bundle; the number is the form's version.
pub const MAGIC: [u8; 16] = *b"MDFM bundle 1\n\0\0";
/// Bytes in a header: some hundred documents, most of them small.
pub const HEADER_BYTES_MAX: usize = 64 << 20;
/// Documents or telemetry batches in a bundle.
pub const DOCUMENTS_MAX: usize = 100_000;

/// What a bundle carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// The gateway that it is for, or from.
    pub gateway: String,
    /// What would have come as messages, in this order.
    pub documents: Vec<Document>,
    /// That the audit log of one size became the one of another.
    pub proofs: Vec<Proof>,
    /// The images that follow, in this order.
    pub images: Vec<Image>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Its topic.
    pub topic: String,
    /// Its payload in base64.
    pub payload: String,
}

/// A consistency proof (RFC 6962 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proof {
    /// Entries of the older log.
    pub old: u64,
    /// Entries of the newer log.
    pub new: u64,
    /// Base64 hashes.
    pub hashes: Vec<String>,
}

/// An image in the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// SHA-256.
    pub sha256: Digest,
    /// Length in bytes.
    pub size_bytes: u64,
}

/// Why a file is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not the first bytes of a bundle of this version.
    #[error("not a bundle of version 1; make one with mdfmctl bundles export")]
    Magic,
    /// A header longer than any.
    #[error("the header has {0} bytes, at most {HEADER_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Not what a header is.
    #[error("the header cannot be read: {0}")]
    Header(String),
    /// More than a bundle may hold.
    #[error("the bundle holds too many or too large {0}")]
    Bounds(&'static str),
}

/// Bytes of what comes before the header.
pub const PREFIX_BYTES: usize = MAGIC.len() + 4;

/// The header's length, from the first bytes of a file.
///
/// # Errors
/// They are not those of a bundle, or the header is too long.
pub fn header_len(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, BundleError> {
    let (magic, len) = prefix.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(BundleError::Magic);
    }
    let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
    if len > HEADER_BYTES_MAX { Err(BundleError::TooLarge(len)) } else { Ok(len) }
}

impl Header {
    /// Reads a header within its bounds.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > HEADER_BYTES_MAX {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        let header: Self = serde_json::from_slice(bytes).map_err(|e| BundleError::Header(e.to_string()))?;
        header.gateway.parse::<GatewayId>().map_err(|e| BundleError::Header(e.to_string()))?;
        let payload_chars_max = FRAME_BYTES_MAX.div_ceil(3) * 4;
        if header.documents.len() > DOCUMENTS_MAX
            || header.documents.iter().any(|d| d.payload.len() > payload_chars_max)
        {
            return Err(BundleError::Bounds("documents"));
        }
        if header.proofs.len() > GATEWAY_DEVICES_MAX || header.proofs.iter().any(|p| p.hashes.len() > PROOF_HASHES_MAX)
        {
            return Err(BundleError::Bounds("proofs"));
        }
        let images = &header.images;
        if images.len() > GATEWAY_DEVICES_MAX
            || images.iter().any(|i| i.size_bytes == 0 || i.size_bytes > IMAGE_BYTES_MAX)
        {
            return Err(BundleError::Bounds("images"));
        }
        Ok(header)
    }

    /// The beginning of the file; the images follow.
    ///
    /// # Errors
    /// The header is longer than may be read again.
    pub fn encode(&self) -> Result<Vec<u8>, BundleError> {
        let header = serde_json::to_vec(self).map_err(|e| BundleError::Header(e.to_string()))?;
        if header.len() > HEADER_BYTES_MAX {
            return Err(BundleError::TooLarge(header.len()));
        }
        let len = u32::try_from(header.len()).map_err(|_| BundleError::TooLarge(header.len()))?;
        Ok([&MAGIC[..], &len.to_le_bytes(), &header].concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn att_6_a_bundle_is_read_within_its_bounds() {
        let good = Header {
            gateway: "GW-1".into(),
            documents: vec![Document { topic: "mdfm/v1/trust/roster".into(), payload: "AA==".into() }],
            proofs: vec![Proof { old: 1, new: 2, hashes: vec!["AA==".into()] }],
            images: vec![Image { sha256: Digest([1; 32]), size_bytes: 5 }],
        };
        let file = good.encode().expect("small");
        let (prefix, header) = file.split_first_chunk::<PREFIX_BYTES>().expect("long enough");
        assert_eq!(header_len(prefix), Ok(header.len()));
        assert_eq!(Header::decode(header), Ok(good.clone()));
        let mut endless = *prefix;
        endless[MAGIC.len()..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(header_len(&endless), Err(BundleError::TooLarge(u32::MAX as usize)));
        let spoiled = |spoil: fn(&mut Header)| {
            let mut header = good.clone();
            spoil(&mut header);
            Header::decode(&serde_json::to_vec(&header).expect("encodes"))
        };
        for (spoil, what) in [
            ((|h: &mut Header| h.images[0].size_bytes = u64::MAX) as fn(&mut Header), "images"),
            (|h| h.images = vec![h.images[0]; 257], "images"),
            (|h| h.proofs[0].hashes = vec![String::new(); 64], "proofs"),
            (|h| h.documents[0].payload = "A".repeat(700_000), "documents"),
        ] {
            assert_eq!(spoiled(spoil), Err(BundleError::Bounds(what)));
        }
        assert!(spoiled(|h| h.gateway = "../x".into()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::decode(&bytes);
            if let Some(prefix) = bytes.first_chunk() {
                let _ = header_len(prefix);
            }
        }
    }
}
