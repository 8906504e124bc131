//! Images: the cache, in which one download serves all devices of the gateway, and patches that make one image from another.

mod cache;
mod delta;

pub(crate) use cache::{ImageCache, ImageError};
#[cfg(fuzzing)]
pub(crate) use delta::fuzz as fuzz_patch;
pub(crate) use delta::{Files, Making};
