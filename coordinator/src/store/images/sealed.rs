//! The form of an image on disk: a header with a random salt, then blocks sealed with AES-256-GCM (NIST SP 800-38D) under a key of this file
//! alone, which HKDF (RFC 5869) makes of the store's key and the salt. A block's nonce is its number, and whether it is the last one: blocks
//! cannot be altered, moved, dropped or taken from another file without notice (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
//! Vizár, 2015).

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

/// Bytes of a block before it is sealed.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// Bytes of a block's tag.
const TAG_BYTES: usize = 16;
/// Bytes of a sealed block; the last one may be shorter.
pub(super) const SEALED_BYTES: usize = BLOCK_BYTES + TAG_BYTES;
const MAGIC: [u8; 8] = *b"mdfmimg1";
const SALT_BYTES: usize = 32;
/// Bytes before the first block.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + SALT_BYTES;

/// The bytes are not what was sealed.
#[derive(Debug, thiserror::Error)]
#[error("the image on disk is not as it was written")]
pub(super) struct Altered;

/// Bytes of key material for HKDF.
struct KeyBytes;

impl KeyType for KeyBytes {
    fn len(&self) -> usize {
        32
    }
}

/// The key of one file.
pub(super) struct FileKey(LessSafeKey);

impl FileKey {
    /// A new file: its header and its key.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub(super) fn fresh(store_key: &[u8; 32]) -> Result<([u8; HEADER_BYTES], Self), getrandom::Error> {
        let mut header = [0; HEADER_BYTES];
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        getrandom::fill(&mut header[MAGIC.len()..])?;
        // A header that was just made is one.
        Self::of(store_key, &header).map(|key| (header, key)).map_err(|_| getrandom::Error::UNSUPPORTED)
    }

    /// The key of the file with this header.
    ///
    /// # Errors
    /// It is no header.
    pub(super) fn of(store_key: &[u8; 32], header: &[u8; HEADER_BYTES]) -> Result<Self, Altered> {
        if !header.starts_with(&MAGIC) {
            return Err(Altered);
        }
        let derived = Salt::new(HKDF_SHA256, &header[MAGIC.len()..]).extract(store_key);
        let mut bytes = [0; 32];
        let filled = derived.expand(&[b"mdfm image"], KeyBytes).and_then(|okm| okm.fill(&mut bytes));
        filled
            .and_then(|()| UnboundKey::new(&AES_256_GCM, &bytes))
            .map(|k| Self(LessSafeKey::new(k)))
            .map_err(|_| Altered)
    }

    fn nonce(block: u64, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&block.to_be_bytes());
        nonce[NONCE_LEN - 1] = u8::from(is_last);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals a block in place, and makes it longer by its tag.
    pub(super) fn seal(&self, block: u64, is_last: bool, bytes: &mut Vec<u8>) -> Result<(), Altered> {
        self.0.seal_in_place_append_tag(Self::nonce(block, is_last), Aad::empty(), bytes).map_err(|_| Altered)
    }

    /// Opens a block in place, and takes its tag off.
    pub(super) fn open(&self, block: u64, is_last: bool, bytes: &mut Vec<u8>) -> Result<(), Altered> {
        let opened = self.0.open_in_place(Self::nonce(block, is_last), Aad::empty(), bytes).map_err(|_| Altered)?;
        let length = opened.len();
        bytes.truncate(length);
        Ok(())
    }
}

/// Bytes of an image whose file has so many; none where no image makes such a file. An empty image has one empty block.
pub(super) fn image_bytes(file_bytes: u64) -> Option<u64> {
    let sealed = file_bytes.checked_sub(HEADER_BYTES as u64)?;
    let blocks = sealed.div_ceil(SEALED_BYTES as u64).max(1);
    sealed.checked_sub(blocks * TAG_BYTES as u64)
}
