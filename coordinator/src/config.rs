//! Configuration: one TOML file, checked completely before anything starts.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use mdfm_service::{Stop, with_hint};
use mdfm_shared::tlog::WitnessKey;
use serde::Deserialize;

use crate::access::{OidcConfig, SecondFactorPolicy, SessionPolicy, is_loopback};
use crate::notify::MailConfig;
use crate::syslog::SyslogConfig;
use crate::traces::TracesConfig;
use mdfm_coordinator_core::desk::GATEWAY_BYTES_PER_DAY;

/// The commented default, as the package installs it.
pub(crate) const DEFAULT_TOML: &str = include_str!("../../packaging/coordinator.toml");

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Directory of log, images and keys.
    pub(crate) data_dir: PathBuf,
    /// The one port for people, gateways and MQTT.
    pub(crate) listen: SocketAddr,
    /// What is logged: a level, or a filter.
    pub(crate) log_level: String,
    /// How gateways reach this coordinator; goes into enrolment tokens.
    pub(crate) public_url: String,
    /// A device of a running phase that is not heard of for so long counts as failed.
    pub(crate) silence_limit_seconds: u64,
    /// Bytes of one firmware image at most.
    pub(crate) image_bytes_max: u64,
    /// Whether people need a second factor for what decides over firmware, people or trust.
    pub(crate) second_factor: SecondFactorPolicy,
    /// Hours after which everybody signs in again.
    pub(crate) session_hours: u64,
    /// Minutes without a request after which a session is over.
    pub(crate) session_idle_minutes: u64,
    /// Minutes for which a second factor, once shown, counts.
    pub(crate) step_up_minutes: u64,
    /// SHA-1 hashes, in order, of passwords that nobody may choose; none for none.
    pub(crate) breached_passwords_file: Option<PathBuf>,
    /// Networks from which people and their machines may call the API; empty for all.
    pub(crate) api_networks: Vec<IpNet>,
    /// Networks from which gateways may connect and enrol; empty for all.
    pub(crate) gateway_networks: Vec<IpNet>,
    /// Requests a second by one person, their machines included, by one gateway, or by strangers from one network; four times as many at once.
    pub(crate) requests_per_second: u64,
    /// Connections served at once.
    pub(crate) connections_max: usize,
    /// Connections served at once from one network (an IPv4 address or an IPv6 /64); hospitals may share one.
    pub(crate) connections_per_address_max: usize,
    /// New connections a second from one network; four times as many at once.
    pub(crate) connections_per_address_per_second: u64,
    /// MQTT packets a second from one gateway; who sends more waits.
    pub(crate) gateway_packets_per_second: u64,
    /// Bytes a second from one gateway.
    pub(crate) gateway_bytes_per_second: u64,
    /// Bytes a day that one gateway may add to the audit log; what it sends beyond waits.
    pub(crate) gateway_log_bytes_per_day: u64,
    /// Balancers that must say by the PROXY protocol whose connection they pass on.
    pub(crate) proxy_protocol_from: Vec<IpAddr>,
    /// A port of its own for people's browsers; `None` if they use the one port.
    pub(crate) console: Option<ConsoleConfig>,
    /// A broker of the operator's own; none for the embedded one.
    pub(crate) broker: Option<ExternalBroker>,
    /// Directory that gets the log as static files (C2SP tlog-tiles), records included; none for none.
    pub(crate) publish_dir: Option<PathBuf>,
    /// Devices, and gateways, that may be registered; of hospitals and of releases a tenth.
    pub(crate) devices_max: usize,
    /// Below this number of free bytes on the log's disk nothing is recorded, and so nothing is done.
    pub(crate) disk_reserve_bytes: u64,
    /// Free bytes above that which are for what stops harm alone.
    pub(crate) disk_safety_bytes: u64,
    /// Free bytes above both that firmware images leave for the records of daily work.
    pub(crate) disk_work_bytes: u64,
    /// Who gets security events; none for nobody.
    pub(crate) syslog: Option<SyslogConfig>,
    /// Who gets traces; none for nobody.
    pub(crate) traces: Option<TracesConfig>,
    /// The OpenID provider through which people may sign in; none for passwords alone.
    pub(crate) oidc: Option<OidcConfig>,
    /// The server that takes notices as mail; none for no mail.
    pub(crate) mail: Option<MailConfig>,
    /// Seconds after which a notice that was not delivered is tried again; after the last it is given up.
    pub(crate) notice_retry_seconds: Vec<u64>,
    /// Certificate of the authority that receivers of webhooks have theirs from; without it the system's are trusted.
    pub(crate) webhook_ca_file: Option<PathBuf>,
    /// Networks outside the public internet in which receivers of webhooks may be.
    pub(crate) webhook_networks: Vec<IpNet>,
    /// Who is asked to cosign the log's checkpoints.
    pub(crate) witnesses: Vec<Witness>,
}

/// A port for browsers, with a certificate that they trust. No client certificate is asked for there, and gateways do not use it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsoleConfig {
    pub(crate) listen: SocketAddr,
    /// Its certificate and the chain behind it, as PEM; read again on SIGHUP.
    pub(crate) certificate_file: PathBuf,
    /// The key of that certificate, as PEM; readable by the service's user alone.
    pub(crate) key_file: PathBuf,
}

/// A witness of the audit log (C2SP tlog-witness).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Witness {
    /// Where its `add-checkpoint` is, without that name.
    pub(crate) url: String,
    /// Its verifier key.
    pub(crate) vkey: String,
    /// Certificate of the authority that its TLS certificate is from; without it the system's are trusted.
    pub(crate) ca_file: Option<PathBuf>,
}

/// An MQTT 3.1.1 broker or cluster that only the coordinator can reach.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalBroker {
    pub(crate) address: SocketAddr,
    /// Presented on behalf of gateways, whose topics the front door has checked.
    pub(crate) gateway_user: String,
    pub(crate) gateway_password_file: PathBuf,
    pub(crate) coordinator_user: String,
    pub(crate) coordinator_password_file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/mdfm-coordinator".into(),
            listen: SocketAddr::from(([0, 0, 0, 0], 8443)),
            log_level: "info".into(),
            public_url: "https://localhost:8443".into(),
            silence_limit_seconds: 1_800,
            image_bytes_max: mdfm_shared::limits::IMAGE_BYTES_MAX,
            second_factor: SecondFactorPolicy::default(),
            session_hours: 8,
            session_idle_minutes: 30,
            step_up_minutes: 15,
            breached_passwords_file: None,
            api_networks: Vec::new(),
            gateway_networks: Vec::new(),
            requests_per_second: 50,
            connections_max: 4_096,
            connections_per_address_max: 1_024,
            connections_per_address_per_second: 100,
            gateway_packets_per_second: 100,
            gateway_bytes_per_second: 1 << 20,
            gateway_log_bytes_per_day: GATEWAY_BYTES_PER_DAY,
            proxy_protocol_from: Vec::new(),
            console: None,
            broker: None,
            publish_dir: None,
            disk_reserve_bytes: 64 << 20,
            devices_max: 250_000,
            disk_safety_bytes: 192 << 20,
            disk_work_bytes: 1 << 30,
            syslog: None,
            traces: None,
            oidc: None,
            mail: None,
            notice_retry_seconds: vec![5, 60, 600, 3_600, 14_400, 28_800, 43_200],
            webhook_ca_file: None,
            webhook_networks: Vec::new(),
            witnesses: Vec::new(),
        }
    }
}

impl Config {
    /// Reads and checks a file; the defaults without one.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Stop> {
        mdfm_service::load_config(path, Self::parse)
    }

    /// How long sessions last, and what they need.
    pub(crate) fn sessions(&self) -> SessionPolicy {
        SessionPolicy {
            second_factor: self.second_factor,
            session_ms: self.session_hours.saturating_mul(3_600_000),
            idle_ms: self.session_idle_minutes.saturating_mul(60_000),
            step_up_ms: self.step_up_minutes.saturating_mul(60_000),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|e| with_hint(&e.to_string()))?;
        if !config.public_url.starts_with("https://") {
            return Err("public_url must start with https://".into());
        }
        if let Some(oidc) =
            config.oidc.as_ref().filter(|o| !o.issuer.starts_with("https://") && !is_loopback(&o.issuer))
        {
            return Err(format!("oidc.issuer must start with https://, or be on this machine; found {}", oidc.issuer));
        }
        if let Some(traces) = &config.traces {
            if !traces.endpoint.starts_with("https://") && !is_loopback(&traces.endpoint) {
                let found = &traces.endpoint;
                return Err(format!("traces.endpoint must start with https://, or be on this machine; found {found}"));
            }
            if traces.device_percent > 100 {
                return Err("traces.device_percent must be 0 to 100".into());
            }
        }
        for witness in &config.witnesses {
            WitnessKey::parse(&witness.vkey).map_err(|e| format!("witnesses.vkey: {}: {e}", witness.vkey))?;
            if !witness.url.starts_with("https://") && !witness.url.starts_with("http://127.0.0.1:") {
                return Err("witnesses.url must start with https://, or be on this machine".into());
            }
        }
        if config.console.as_ref().is_some_and(|console| console.listen == config.listen) {
            return Err(
                "console.listen must be another port than listen; without [console] the one port serves browsers too"
                    .into(),
            );
        }
        for (key, value) in [
            ("silence_limit_seconds", config.silence_limit_seconds),
            ("image_bytes_max", config.image_bytes_max),
            ("session_hours", config.session_hours),
            ("session_idle_minutes", config.session_idle_minutes),
            ("step_up_minutes", config.step_up_minutes),
            ("requests_per_second", config.requests_per_second),
            ("connections_max", config.connections_max as u64),
            ("connections_per_address_max", config.connections_per_address_max as u64),
            ("connections_per_address_per_second", config.connections_per_address_per_second),
            ("gateway_packets_per_second", config.gateway_packets_per_second),
            ("gateway_bytes_per_second", config.gateway_bytes_per_second),
            ("gateway_log_bytes_per_day", config.gateway_log_bytes_per_day),
        ] {
            if value == 0 {
                return Err(format!("{key} must be above zero"));
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
            ("lisen = \"0.0.0.0:1\"", "lisen"),
            ("listen = \"localhost\"", "listen"),
            ("silence_limit_seconds = 0", "silence_limit_seconds"),
            ("silence_limit_seconds = -1", "silence_limit_seconds"),
            ("public_url = \"http://x\"", "public_url"),
            ("data_dir = 7", "data_dir"),
            ("webhook_networks = [\"here\"]", "webhook_networks"),
            (
                "listen = \"0.0.0.0:443\"\n[console]\nlisten = \"0.0.0.0:443\"\ncertificate_file = \"c\"\nkey_file = \"k\"",
                "console.listen",
            ),
            ("[console]\nlisten = \"0.0.0.0:443\"", "certificate_file"),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.contains(names), "{error}");
        }
    }
}
