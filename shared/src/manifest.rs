//! What a firmware release is: the manifest, signed by the release role and named by its digest.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::FirmwareId;
use crate::limits::{
    COMPONENTS_MAX, DELTAS_MAX, IMAGE_BYTES_MAX, LABEL_CHARS_MAX, REBOOTS_PER_DAY_DEFAULT, RECALL_WINDOW_DEFAULT_MS,
    RECALL_WINDOW_MAX_MS,
};
use crate::sign::Document;
use crate::trust::Role;

/// How urgent a release is; decides which approvals the trust root demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FirmwareClass {
    /// Clinical, QA and Regulatory approval.
    Standard,
    /// Clinical and Regulatory approval inside the emergency window.
    Emergency,
    /// Replaces firmware that is being recalled: approved like a standard release, deployed at once if need be.
    Recall,
}

/// One image of a release; a device takes all components or none, in the manifest's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Name of the slot pair on the device, `main` for single-image devices.
    pub name: String,
    /// SHA-256 of the full image.
    pub sha256: Digest,
    /// Length of the full image in bytes.
    pub size_bytes: u64,
}

/// A patch that makes the release's image out of the image of another release, all components at once ([`crate::delta`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeltaVariant {
    /// SHA-256 of the base: of all its components, one behind the other.
    pub base_sha256: Digest,
    /// Name of the patch format.
    pub format: String,
    /// SHA-256 of the patch.
    pub sha256: Digest,
    /// Length of the patch in bytes.
    pub size_bytes: u64,
}

/// When a device that runs the new firmware counts as healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthPolicy {
    /// Time after the first good boot report before the firmware is confirmed, in milliseconds.
    pub probation_ms: u64,
    /// Errors (severity error) tolerated during probation; a critical one is never tolerated.
    pub error_budget: u32,
    /// Longest time without a report from the device during activation and probation, in milliseconds.
    pub silence_limit_ms: u64,
}

/// One firmware release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The release's id in the vendor's repository.
    pub firmware_id: FirmwareId,
    /// Device model that this release is for.
    pub model: String,
    /// Hardware revisions that this release is for.
    pub hardware_revisions: Vec<String>,
    /// Version label for people; never parsed, never compared.
    pub version: String,
    /// What orders releases of a model; a device only moves to a higher one.
    pub release_number: u64,
    /// Devices refuse a release whose security version is below their floor.
    pub security_version: u32,
    /// Urgency.
    pub class: FirmwareClass,
    /// SHA-256 of all images, one behind the other in installation order: what a device that runs this release measures. With one
    /// component, that image's own.
    pub sha256: Digest,
    /// Images, in installation order: all of them are installed, or none.
    pub components: Vec<Component>,
    /// Smaller ways to the same image.
    pub deltas: Vec<DeltaVariant>,
    /// Lowest release number from which a device may move to this one.
    pub minimum_release: u64,
    /// When the release counts as healthy.
    pub health: HealthPolicy,
    /// Approvals beyond what the trust root demands for the class.
    pub extra_approvals: Vec<Role>,
    /// SHA-256 of the software bill of materials.
    pub sbom_sha256: Option<Digest>,
    /// Time after its confirmation in which a device returns from this release on the coordinator's directive alone, in
    /// milliseconds; [`RECALL_WINDOW_DEFAULT_MS`] if `None`. Later it takes a rollback order.
    #[serde(default)]
    pub recall_window_ms: Option<u64>,
    /// Reboots that nobody ordered, in 24 hours, that a device on this release may have and still counts as healthy;
    /// [`REBOOTS_PER_DAY_DEFAULT`] if `None`. Part of the health policy, on trial and afterwards.
    #[serde(default)]
    pub reboots_per_day: Option<u32>,
}

impl Document for Manifest {
    const TYPE: &'static str = "manifest";
    const ADDED_FIELDS: usize = 2;
}

/// Why a manifest makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest field {field}: {problem}")]
pub struct ManifestError {
    /// The field in the API's spelling.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Whether `text` is a label: printable, not empty, bounded.
pub fn is_label(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= LABEL_CHARS_MAX && !text.chars().any(char::is_control)
}

impl Manifest {
    /// Bytes of all images together.
    pub fn size_bytes(&self) -> u64 {
        self.components.iter().fold(0, |sum, c| sum.saturating_add(c.size_bytes))
    }

    /// Time after its confirmation in which a device returns on the coordinator's directive alone, in milliseconds; never
    /// above [`RECALL_WINDOW_MAX_MS`].
    pub fn recall_window(&self) -> u64 {
        self.recall_window_ms.unwrap_or(RECALL_WINDOW_DEFAULT_MS).min(RECALL_WINDOW_MAX_MS)
    }

    /// Reboots that nobody ordered, in 24 hours, that a healthy device may have.
    pub fn reboot_budget(&self) -> u32 {
        self.reboots_per_day.unwrap_or(REBOOTS_PER_DAY_DEFAULT)
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(&self) -> Result<(), ManifestError> {
        let fail = |field, problem: String| Err(ManifestError { field, problem });
        for (field, text) in [("model", &self.model), ("version", &self.version)] {
            if !is_label(text) {
                return fail(field, format!("must be 1 to {LABEL_CHARS_MAX} printable characters"));
            }
        }
        if self.hardware_revisions.is_empty() || !self.hardware_revisions.iter().all(|r| is_label(r)) {
            return fail("hardwareRevisions", "must name at least one revision".into());
        }
        if self.release_number == 0 || self.minimum_release >= self.release_number {
            return fail("releaseNumber", "must be above zero and above minimumRelease".into());
        }
        if self.components.is_empty() || self.components.len() > COMPONENTS_MAX {
            return fail("components", format!("must be 1 to {COMPONENTS_MAX}"));
        }
        for (i, component) in self.components.iter().enumerate() {
            if !is_label(&component.name) || self.components[..i].iter().any(|c| c.name == component.name) {
                return fail("components", format!("name {:?} is empty or stands twice", component.name));
            }
            if component.size_bytes == 0 || component.size_bytes > IMAGE_BYTES_MAX {
                return fail("components", format!("size of {} must be 1 to {IMAGE_BYTES_MAX} bytes", component.name));
            }
        }
        if let [only] = self.components.as_slice()
            && only.sha256 != self.sha256
        {
            return fail("sha256", "must be the digest of the only component".into());
        }
        if self.size_bytes() > IMAGE_BYTES_MAX {
            return fail("components", format!("together they must have at most {IMAGE_BYTES_MAX} bytes"));
        }
        if self.deltas.len() > DELTAS_MAX {
            return fail("deltas", format!("must be at most {DELTAS_MAX}"));
        }
        for (i, delta) in self.deltas.iter().enumerate() {
            if !is_label(&delta.format) || !(1..=IMAGE_BYTES_MAX).contains(&delta.size_bytes) {
                return fail("deltas", format!("format and size of {} must be named", delta.sha256));
            }
            if delta.base_sha256 == self.sha256 || self.deltas[..i].iter().any(|d| d.base_sha256 == delta.base_sha256) {
                return fail("deltas", format!("base {} stands twice, or is the image itself", delta.base_sha256));
            }
        }
        if self.health.probation_ms == 0 || self.health.silence_limit_ms == 0 {
            return fail("health", "probation and silence limit must be above zero".into());
        }
        if self.recall_window_ms.is_some_and(|ms| ms > RECALL_WINDOW_MAX_MS) {
            return fail("recallWindowMs", format!("must be at most {RECALL_WINDOW_MAX_MS} (90 days)"));
        }
        Ok(())
    }
}
