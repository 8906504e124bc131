//! Geometry of pictures. Templates draw them, so that every text in them is escaped like any other.

pub(crate) mod timeline;
