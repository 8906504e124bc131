//! Firmware as the device sees it.

use mdfm_shared::digest::Digest;
use mdfm_shared::telemetry::FirmwareReport;

/// What the boot loader started.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) report: FirmwareReport,
    pub(crate) secure_boot: bool,
}

/// The factory's firmware: its image and identity.
pub(crate) struct Factory {
    pub(crate) image: Vec<u8>,
    pub(crate) report: FirmwareReport,
}

/// Makes the factory's firmware of a version.
pub(crate) fn factory(version: &str, release_number: u64) -> Factory {
    let image = format!("factory firmware {version} ({release_number})\n").repeat(64).into_bytes();
    let sha256 = Digest::of(&image);
    let report = FirmwareReport { version: version.to_owned(), release_number, security_version: 1, sha256 };
    Factory { image, report }
}
