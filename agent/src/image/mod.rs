//! Images: what is to be written into a slot, and the cache, in which one download serves all devices of the gateway.

mod cache;

use mdfm_shared::device::ComponentImage;
use mdfm_shared::telemetry::FirmwareReport;
use serde::{Deserialize, Serialize};

pub(crate) use cache::{ImageCache, ImageError};

/// An image to be written into a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The firmware that it is.
    pub firmware: FirmwareReport,
    /// Its length.
    pub size_bytes: u64,
    /// Its parts, one behind the other, if there are several.
    pub components: Vec<ComponentImage>,
    /// Whether it comes straight from the network.
    pub streams: bool,
}
