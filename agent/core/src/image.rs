//! What is to be written into a slot.

use mdfm_shared::device::ComponentImage;
use mdfm_shared::manifest::DeltaVariant;
use mdfm_shared::telemetry::FirmwareReport;
use serde::{Deserialize, Serialize};

/// An image to be written into a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The firmware that it is.
    pub firmware: FirmwareReport,
    /// Its length.
    pub size_bytes: u64,
    /// Its parts, one behind the other, if there are several.
    pub components: Vec<ComponentImage>,
    /// Smaller ways to it.
    pub deltas: Vec<DeltaVariant>,
    /// Whether it goes straight into its slot, and not through the cache.
    pub streams: bool,
}
