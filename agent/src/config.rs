//! Configuration: one TOML file, checked completely before anything starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mdfm_service::{Stop, with_hint};
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::GATEWAY_DEVICES_MAX;
use serde::Deserialize;

/// The commented default, as the package installs it.
pub(crate) const DEFAULT_TOML: &str = include_str!("../../packaging/agent.toml");

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Directory of keys, journal and image cache.
    pub(crate) state_dir: PathBuf,
    /// What is logged: a level, or a filter.
    pub(crate) log_level: String,
    /// Time between heartbeats to the coordinator.
    pub(crate) heartbeat_seconds: u64,
    /// Where the gateway's own broker listens for devices.
    pub(crate) device_listen: SocketAddr,
    /// The devices that may attach.
    pub(crate) device: Vec<DeviceConfig>,
}

/// A device that may attach.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceConfig {
    pub(crate) id: DeviceId,
    /// The secret that it presents as its MQTT password.
    pub(crate) secret: String,
}

impl std::fmt::Debug for DeviceConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceConfig({}, secret withheld)", self.id)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/mdfm-agent".into(),
            log_level: "info".into(),
            heartbeat_seconds: 10,
            device_listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            device: Vec::new(),
        }
    }
}

/// Shortest device secret, in characters.
const SECRET_CHARS_MIN: usize = 16;

impl Config {
    /// Reads and checks a file; the defaults without one.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Stop> {
        mdfm_service::load_config(path, Self::parse)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|e| with_hint(&e.to_string()))?;
        if !(1..=3_600).contains(&config.heartbeat_seconds) {
            return Err("heartbeat_seconds must be 1 to 3600".into());
        }
        if config.device.len() > GATEWAY_DEVICES_MAX {
            return Err(format!("at most {GATEWAY_DEVICES_MAX} [[device]] sections"));
        }
        for (i, device) in config.device.iter().enumerate() {
            if device.secret.chars().count() < SECRET_CHARS_MIN {
                return Err(format!("device {}: secret needs at least {SECRET_CHARS_MIN} characters", device.id));
            }
            if config.device[..i].iter().any(|d| d.id == device.id) {
                return Err(format!("device {} stands twice", device.id));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_file_says_what_the_code_does() {
        assert_eq!(Config::parse(DEFAULT_TOML), Ok(Config::default()));
        let every_key_set: String =
            DEFAULT_TOML.lines().map(|l| l.strip_prefix("#= ").unwrap_or(l)).collect::<Vec<_>>().join("\n");
        assert_eq!(Config::parse(&every_key_set), Ok(Config::default()), "commented values are the defaults");
    }

    #[test]
    fn unknown_keys_and_absurd_values_are_refused_by_name() {
        for (text, names) in [
            ("state_dirr = \"/x\"", "state_dirr"),
            ("heartbeat_seconds = 0", "heartbeat_seconds"),
            ("heartbeat_seconds = \"10\"", "heartbeat_seconds"),
            ("device_listen = \"everywhere\"", "device_listen"),
            ("[[device]]\nid = \"../x\"\nsecret = \"0123456789abcdef\"", "device id"),
            ("[[device]]\nid = \"a\"\nsecret = \"short\"", "secret"),
            ("[[device]]\nid = \"a\"", "secret"),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.contains(names), "{error}");
        }
    }
}
