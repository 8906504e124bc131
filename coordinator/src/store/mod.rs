//! Files of the data directory beside the audit log: password verifiers and the firmware repository.

mod credentials;
mod images;

pub(crate) use credentials::CredentialStore;
pub(crate) use images::ImageStore;
