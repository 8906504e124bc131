//! Files of the data directory beside the audit log: password verifiers, the firmware repository and the
//! kept state.

mod credentials;
mod images;
mod read_model;

pub(crate) use credentials::CredentialStore;
pub(crate) use images::{ImageKey, ImageStore};
pub(crate) use read_model::{Kept, ReadModel};
