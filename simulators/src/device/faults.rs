//! Scripted faults.

use std::path::Path;

use anyhow::Context;
use mdfm_shared::telemetry::Severity;
use serde::Deserialize;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    /// The firmware does not boot.
    NoBoot,
    /// The firmware reports a fault after a time.
    Error,
    /// The firmware stops reporting after a time.
    Silent,
    /// The boot loader measures another digest than that of the image.
    WrongDigest,
    /// The boot loader no longer vouches for what it started.
    SecureBootLost,
    /// The plug is pulled once while the image is being written.
    PowerLoss,
    /// A patient is connected from a time after boot on.
    InUse,
}

/// One fault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// Version label of the firmware that has it; `*` for any.
    firmware: String,
    pub(crate) kind: Kind,
    /// Time after boot, in milliseconds.
    #[serde(default)]
    pub(crate) after_ms: u64,
    /// For `powerLoss`: bytes written when it happens.
    #[serde(default)]
    pub(crate) at_bytes: u64,
    #[serde(default = "error")]
    pub(crate) severity: Severity,
    #[serde(default = "code")]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

fn error() -> Severity {
    Severity::Error
}
fn code() -> String {
    "SIM-1".into()
}

impl Fault {
    pub(crate) fn applies_to(&self, version: &str) -> bool {
        self.firmware == "*" || self.firmware == version
    }
}

/// All faults of a device.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    #[serde(default)]
    fault: Vec<Fault>,
}

impl Script {
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = mdfm_service::read_input_text(path, mdfm_service::INPUT_BYTES_MAX)?;
        toml::from_str(&text).with_context(|| format!("the script {} is not valid", path.display()))
    }
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.fault
    }
    /// The faults of a firmware.
    pub(crate) fn on<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a Fault> {
        self.fault.iter().filter(move |f| f.applies_to(version))
    }
}
