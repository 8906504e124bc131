//! The image cache: one download serves all devices of the gateway.

mod cache;

pub(crate) use cache::ImageCache;
