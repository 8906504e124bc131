//! The local device protocol, versions 1 and 2: what a device and its gateway say to each other over MQTT; the agent itself is the other side.
//!
//! Control messages are JSON (small, easy in C); image data is binary. `docs/device-protocol.md` is the text for device
//! makers. Topics below `mdfm-device/v1/<device>/`: `report` and `event` from the device, `command` and `chunk` to it.
//! Version 2 adds faults as a level to the report (`faults`); topics and everything else are those of version 1.

mod faults;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::DeviceId;
use crate::limits::{DEVICE_CHUNK_BYTES, DEVICE_MESSAGE_BYTES_MAX};
use crate::telemetry::{FirmwareReport, Severity};

pub use faults::{BOOT_CHARS_MAX, FaultCounts, FaultLevel, FaultMessage, LATEST_FAULTS_MAX, NumberedFault};

/// The newest version of the protocol that this program speaks.
pub const PROTOCOL_VERSION: u32 = 2;
/// The first version whose reports carry faults as a level.
pub const FAULT_LEVEL_VERSION: u32 = 2;

fn version_1() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_version_1(version: &u32) -> bool {
    *version == 1
}

/// First part of every topic, in both versions.
pub const TOPIC_PREFIX: &str = "mdfm-device/v1";

/// The four topics of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Device to gateway: its whole state, on every change and at least every second.
    Report,
    /// Device to gateway: a fault.
    Event,
    /// Gateway to device: an order.
    Command,
    /// Gateway to device: image data.
    Chunk,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Event => "event",
            Self::Command => "command",
            Self::Chunk => "chunk",
        }
    }
    /// The topic of this channel for `device`.
    pub fn topic(self, device: &DeviceId) -> String {
        format!("{TOPIC_PREFIX}/{device}/{}", self.name())
    }
    /// The device and channel of a topic; none for any other topic.
    pub fn parse(topic: &str) -> Option<(DeviceId, Self)> {
        let (device, name) = topic.strip_prefix(TOPIC_PREFIX)?.strip_prefix('/')?.split_once('/')?;
        let channel = [Self::Report, Self::Event, Self::Command, Self::Chunk].into_iter().find(|c| c.name() == name)?;
        Some((device.parse().ok()?, channel))
    }
}

/// What the inactive slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagedReport {
    /// Digest of the firmware being or having been written.
    pub sha256: Digest,
    /// Bytes written and durable, of all its images together; where to go on after an interruption.
    pub written_bytes: u64,
    /// Whether the device has verified the whole image against `sha256`.
    pub complete: bool,
}

/// The whole state of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Model number.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Hardware revision.
    pub hardware: String,
    /// Grows with every boot.
    pub boot_count: u64,
    /// What runs, measured by the boot loader.
    pub running: FirmwareReport,
    /// Whether what runs is permanent; on trial the boot loader returns to the other slot once its few tries are used up.
    pub confirmed: bool,
    /// Whether the boot loader verified what it started.
    pub secure_boot: bool,
    /// Whether a patient is connected or therapy runs.
    pub in_use: bool,
    /// The inactive slot, if it holds anything.
    pub staged: Option<StagedReport>,
    /// Number of the latest order that the device handled, obeyed or refused; 0 for none. Survives the boot that it causes.
    pub last_order: u64,
    /// Why that order was refused or failed; none if it was obeyed.
    pub last_refusal: Option<Refusal>,
    /// The newest version of the protocol that the device speaks; the lower of its and the gateway's counts.
    #[serde(default = "version_1", skip_serializing_if = "is_version_1")]
    pub protocol: u32,
    /// Its faults since it booted; from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultLevel>,
}

impl Report {
    /// The faults as a level; `None` from a device of version 1, whose faults are known by its events alone.
    pub fn fault_level(&self) -> Option<&FaultLevel> {
        self.faults.as_ref().filter(|_| self.protocol >= FAULT_LEVEL_VERSION)
    }
}

/// The code of a refusal: what was written, or runs, has another digest than the order says.
pub const WRONG_DIGEST: &str = "wrongDigest";

/// Why a device did not follow an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The order's number.
    pub order: u64,
    /// A code: `inUse`, `wrongDigest`, `noSpace`, `notStaged`, `malformed`, or the maker's own.
    pub code: String,
    /// Words.
    pub message: String,
}

/// A fault that a device reports about itself; never with patient data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// How bad.
    pub severity: Severity,
    /// The maker's code.
    pub code: String,
    /// Words.
    pub message: String,
}

/// One image of the firmware that a device shall take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentImage {
    /// Name of the slot pair on the device.
    pub name: String,
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Order {
    /// Prepare the inactive slot for this firmware; keep what is there if it is the same, half-written.
    Begin {
        /// Identity of the firmware to come.
        firmware: FirmwareReport,
        /// Length of all its images together, in bytes.
        size_bytes: u64,
        /// Its images in the order in which their bytes come, one behind the other; none where there is only one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        components: Vec<ComponentImage>,
    },
    /// All data is sent: verify the slot.
    Finish {
        /// Digest that the slot must have.
        sha256: Digest,
    },
    /// Boot the staged slot once, on trial; refuse if in use.
    Activate {
        /// Digest of the slot to boot.
        sha256: Digest,
    },
    /// Make the running firmware permanent.
    Confirm {
        /// Digest of what must be running.
        sha256: Digest,
    },
    /// Return to the other slot and make it permanent.
    Rollback {
        /// Digest of the firmware to return to.
        sha256: Digest,
    },
}

impl fmt::Display for Order {
    /// In words, for logs and findings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { firmware, size_bytes, .. } => {
                write!(f, "begin to write {} ({size_bytes} bytes, {})", firmware.version, firmware.sha256)
            }
            Self::Finish { sha256 } => write!(f, "finish the slot of {sha256}"),
            Self::Activate { sha256 } => write!(f, "activate {sha256}"),
            Self::Confirm { sha256 } => write!(f, "confirm {sha256}"),
            Self::Rollback { sha256 } => write!(f, "roll back to {sha256}"),
        }
    }
}

/// An order with its number. A device handles each number once: an order that was lost comes again under the same number, and
/// one that was handled already, by its number in [`Report::last_order`], is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Grows with each new order of this gateway to this device.
    pub order: u64,
    /// The order.
    #[serde(flatten)]
    pub what: Order,
}

/// Why a message of the local protocol is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Larger than the protocol allows.
    #[error("message of {0} bytes is larger than the protocol allows")]
    TooLarge(usize),
    /// Not the JSON that the channel carries.
    #[error("message is not what its channel carries: {0}")]
    Malformed(String),
}

/// Encodes a control message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).expect("plain structs with string keys encode")
}

/// Decodes a control message.
///
/// # Errors
/// Too large, or not such a message; the message is dropped and reported.
pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    if bytes.len() > DEVICE_MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLarge(bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|e| MessageError::Malformed(e.to_string()))
}

/// One piece of image data: 8 bytes big-endian offset, then the data.
pub fn encode_chunk(offset_bytes: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + data.len());
    bytes.extend_from_slice(&offset_bytes.to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// Splits a chunk into offset and data.
///
/// # Errors
/// Shorter than an offset, empty, or longer than a chunk may be.
pub fn decode_chunk(bytes: &[u8]) -> Result<(u64, &[u8]), MessageError> {
    let (offset, data) =
        bytes.split_first_chunk::<8>().ok_or_else(|| MessageError::Malformed("chunk without an offset".into()))?;
    match data.len() {
        0 => Err(MessageError::Malformed("chunk without data".into())),
        n if n > DEVICE_CHUNK_BYTES => Err(MessageError::TooLarge(bytes.len())),
        _ => Ok((u64::from_be_bytes(*offset), data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn att_14_topics_with_path_tricks_name_no_device() {
        for bad in ["mdfm-device/v1/../report", "mdfm-device/v1/a/b/report", "mdfm-device/v2/a/report", "x"] {
            assert_eq!(Channel::parse(bad), None, "{bad}");
        }
        let device: DeviceId = "DEV-1".parse().expect("good id");
        assert_eq!(Channel::parse(&Channel::Chunk.topic(&device)), Some((device, Channel::Chunk)));
    }

    #[test]
    fn commands_have_the_documented_json() {
        let command = Command { order: 7, what: Order::Activate { sha256: Digest([0; 32]) } };
        let json = String::from_utf8(encode(&command)).expect("utf-8");
        assert_eq!(json, format!(r#"{{"order":7,"do":"activate","sha256":"{}"}}"#, "0".repeat(64)));
        assert_eq!(decode::<Command>(json.as_bytes()), Ok(command));
    }

    #[test]
    fn chunks_are_bounded() {
        assert!(decode_chunk(&[0; 7]).is_err());
        assert!(decode_chunk(&[0; 8]).is_err());
        assert!(decode_chunk(&vec![0; 9 + DEVICE_CHUNK_BYTES]).is_err());
        assert_eq!(decode_chunk(&encode_chunk(5, b"abc")), Ok((5, &b"abc"[..])));
    }
}
