//! Doors to the decoders of durable state for `make fuzz`; built only then.

use crate::{installer, trust, trusted_time};

/// Each kind of record in the state file.
pub fn state(bytes: &[u8]) {
    installer::fuzz(bytes);
    trust::fuzz(bytes);
    trusted_time::fuzz(bytes);
}
