//! Configuration: one TOML file, and a folder beside it with files of devices, checked completely before anything starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mdfm_agent_core::store::OutboxLimits;
use mdfm_service::{Exit, Stop, with_hint};
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::GATEWAY_DEVICES_MAX;
use serde::Deserialize;

use crate::bring::Deltas;
use crate::device::{CommandConfig, DeviceTls, SlotDevices, SlotProblem, SlotsConfig, check_tls, slot_problems};
use crate::disk::{DiskHandle, Real};
use crate::link::{Hours, Road};

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
    /// Time over which connections are begun again after one ended: each waits for a random part of it.
    pub(crate) reconnect_spread_seconds: u64,
    /// Where devices that speak MQTT connect.
    pub(crate) device_listen: SocketAddr,
    /// Where they connect over TLS.
    pub(crate) device_tls: Option<DeviceTls>,
    /// Bytes of images kept in the cache beyond those that a device needs at the moment.
    pub(crate) cache_bytes_max: u64,
    /// The hospital's HTTP proxy, as `http://host:port`; empty for none.
    pub(crate) proxy: String,
    /// MQTT over WebSocket, for networks that let nothing but HTTPS out.
    pub(crate) websocket: bool,
    /// Days before its end when the gateway's certificate is renewed.
    pub(crate) renew_before_days: u32,
    /// Bytes of telemetry that wait for the coordinator. When they are used up, device faults and refusals are counted in place of
    /// being kept; what installations and people did is always kept.
    pub(crate) outbox_bytes_max: u64,
    /// Days after which waiting device faults and refusals are counted in place of being kept.
    pub(crate) outbox_days_max: u64,
    /// When and how fast images are downloaded.
    pub(crate) download: Download,
    /// The devices that may attach.
    pub(crate) device: Vec<DeviceConfig>,
}

/// When and how fast images are downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Download {
    /// Of all downloads together; 0 for as fast as it goes.
    pub(crate) bytes_per_second: u64,
    /// Hours of the day, as `22:00-06:00`; empty for any time.
    pub(crate) hours: String,
    /// Time zone of the hours.
    pub(crate) time_zone: String,
    /// Whether images are made out of patches.
    pub(crate) deltas: Deltas,
}

impl Default for Download {
    fn default() -> Self {
        Self { bytes_per_second: 0, hours: String::new(), time_zone: "UTC".into(), deltas: Deltas::default() }
    }
}

impl Download {
    /// The hours, if there are any.
    pub(crate) fn hours(&self) -> Result<Option<Hours>, String> {
        match self.hours.as_str() {
            "" => Ok(None),
            hours => Hours::parse(hours, &self.time_zone).map(Some).map_err(|e| format!("download.hours: {e}")),
        }
    }

    /// The rate, if there is one.
    pub(crate) fn rate(&self) -> Option<u64> {
        (self.bytes_per_second > 0).then_some(self.bytes_per_second)
    }
}

/// A file of the drop-in folder: devices and nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DropIn {
    device: Vec<DeviceConfig>,
}

/// The folder with files of devices that belongs to a configuration: `agent.d` for `agent.toml`.
pub(crate) fn drop_in_dir(path: &Path) -> PathBuf {
    path.with_extension("d")
}

/// The files of the folder in the order of their names; none if there is no folder.
fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, Stop> {
    let dir = drop_in_dir(path);
    let failed =
        |e: std::io::Error| Stop::new(Exit::Config, format!("configuration {} cannot be read: {e}", dir.display()));
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if file.extension().is_some_and(|e| e == "toml") && !is_hidden {
            files.push(file);
        }
        if files.len() > GATEWAY_DEVICES_MAX {
            let problem = format!("configuration {} holds more than {GATEWAY_DEVICES_MAX} files", dir.display());
            return Err(Stop::new(Exit::Config, problem));
        }
    }
    files.sort();
    Ok(files)
}

/// A device that may attach; one of the four says how.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceConfig {
    /// The file of the drop-in folder in which it stands; `None` for the configuration itself.
    #[serde(skip)]
    file: Option<PathBuf>,
    pub(crate) id: DeviceId,
    /// It speaks the local protocol; this is the secret that it presents as its MQTT password.
    pub(crate) secret: Option<String>,
    /// It speaks the local protocol over TLS; this is the common name of its client certificate.
    pub(crate) certificate: Option<String>,
    /// Its images lie on this gateway.
    pub(crate) slots: Option<SlotsConfig>,
    /// Its maker's tool reaches it.
    pub(crate) command: Option<CommandConfig>,
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
            reconnect_spread_seconds: 15,
            device_listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            device_tls: None,
            cache_bytes_max: 4 << 30,
            proxy: String::new(),
            websocket: false,
            renew_before_days: 30,
            outbox_bytes_max: OutboxLimits::default().bytes_max,
            outbox_days_max: OutboxLimits::default().age_ms_max / DAY_MS,
            download: Download::default(),
            device: Vec::new(),
        }
    }
}

/// Shortest device secret, in characters.
const SECRET_CHARS_MIN: usize = 16;
/// Least and most that the outbox may hold: below, an update of a full gateway would not fit; above, state would not fit in memory
/// and in its file.
const OUTBOX_BYTES_MIN: u64 = 256 * 1024;
const OUTBOX_BYTES_MAX: u64 = 64 << 20;
const DAY_MS: u64 = 86_400_000;
/// Slowest rate that downloads may be limited to: an image of 100 MiB a day.
const RATE_BYTES_MIN: u64 = 1_200;

impl Config {
    /// Reads and checks a file, with the drop-in folder beside it; the defaults without one. Files with secrets in them that others can reach
    /// are refused.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Stop> {
        let Some(path) = path else { return Ok(Self::default()) };
        let mut config = mdfm_service::load_config(Some(path), Self::parse)?;
        if config.holds_secrets() {
            mdfm_service::check_private(path)?;
        }
        if let Some(tls) = &config.device_tls {
            mdfm_service::read_secret(&tls.key)?;
        }
        for file in drop_ins(path)? {
            config = mdfm_service::load_config_with(&file, |text| config.with_drop_in_text(&file, text))?;
            if config.device.iter().any(|device| device.file.as_ref() == Some(&file) && device.secret.is_some()) {
                mdfm_service::check_private(&file)?;
            }
        }
        Ok(config)
    }

    /// The configuration with one more file of the drop-in folder, checked completely.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn with_drop_in(self, file: &Path, text: &str) -> Result<Self, Stop> {
        let failed = |problem| Stop::new(Exit::Config, format!("nothing was written: {}: {problem}", file.display()));
        self.with_drop_in_text(file, text).map_err(failed)
    }

    fn with_drop_in_text(mut self, file: &Path, text: &str) -> Result<Self, String> {
        let parsed: DropIn = toml::from_str(text).map_err(|e| with_hint(&e.to_string()))?;
        let devices = parsed.device.into_iter().map(|device| DeviceConfig { file: Some(file.to_owned()), ..device });
        self.device.extend(devices);
        self.check()?;
        Ok(self)
    }

    /// Whether the file itself holds secrets: of devices, or the proxy's password.
    fn holds_secrets(&self) -> bool {
        self.device.iter().any(|device| device.secret.is_some()) || self.proxy.contains('@')
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|e| with_hint(&e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=3_600).contains(&self.heartbeat_seconds) {
            return Err("heartbeat_seconds must be 1 to 3600".into());
        }
        if !(1..=3_600).contains(&self.reconnect_spread_seconds) {
            return Err("reconnect_spread_seconds must be 1 to 3600".into());
        }
        if self.download.rate().is_some_and(|rate| rate < RATE_BYTES_MIN) {
            return Err(format!("download.bytes_per_second must be 0 for no limit, or at least {RATE_BYTES_MIN}"));
        }
        self.download.hours()?;
        self.road()?;
        if !(1..=90).contains(&self.renew_before_days) {
            return Err("renew_before_days must be 1 to 90".into());
        }
        if !(OUTBOX_BYTES_MIN..=OUTBOX_BYTES_MAX).contains(&self.outbox_bytes_max) {
            return Err(format!("outbox_bytes_max must be {OUTBOX_BYTES_MIN} to {OUTBOX_BYTES_MAX}"));
        }
        if !(1..=3_650).contains(&self.outbox_days_max) {
            return Err("outbox_days_max must be 1 to 3650".into());
        }
        if self.device.len() > GATEWAY_DEVICES_MAX {
            return Err(format!("at most {GATEWAY_DEVICES_MAX} [[device]] sections"));
        }
        if let Some(tls) = &self.device_tls {
            check_tls(tls)?;
        }
        let takes_certificates = self.device_tls.as_ref().is_some_and(|tls| tls.authority.is_some());
        for (i, device) in self.device.iter().enumerate() {
            if device.certificate.is_some() && !takes_certificates {
                return Err(format!(
                    "device {}: certificates need a section [device_tls] with an `authority`",
                    device.id
                ));
            }
            device.check().map_err(|problem| format!("device {}: {problem}", device.id))?;
            if let Some(other) = self.device[..i].iter().find(|d| d.id == device.id) {
                let elsewhere = other.file.as_ref().filter(|_| other.file != device.file);
                return Err(match elsewhere {
                    Some(file) => format!("device {} is configured in {} already", device.id, file.display()),
                    None => format!("device {} stands twice", device.id),
                });
            }
        }
        Ok(())
    }

    /// The file in which a device is configured, of the configuration at `path`.
    pub(crate) fn file_of(&self, id: &DeviceId, path: &Path) -> PathBuf {
        self.device(id).and_then(|device| device.file.clone()).unwrap_or_else(|| path.to_owned())
    }

    /// The devices whose slots lie on this gateway.
    pub(crate) fn slot_devices(&self) -> SlotDevices {
        Arc::new(self.device.iter().filter_map(|d| Some((d.id.clone(), d.slots.clone()?))).collect())
    }

    /// What is wrong with their slots as they are now: two that are one place, links that are not followed.
    pub(crate) fn slot_problems(&self) -> Vec<SlotProblem> {
        let disk: DiskHandle = Arc::new(Real);
        slot_problems(&disk, &self.slot_devices())
    }

    /// Where devices connect: the port without encryption, if it is open, and the one with TLS.
    pub(crate) fn listeners(&self) -> Vec<SocketAddr> {
        let is_open = self.device_tls.as_ref().is_none_or(|tls| !tls.only);
        let plain = is_open.then_some(self.device_listen);
        plain.into_iter().chain(self.device_tls.as_ref().map(|tls| tls.listen)).collect()
    }

    /// Slots and directories that devices here and in another configuration both claim.
    pub(crate) fn slots_shared_with(&self, other: &Self) -> Vec<String> {
        let disk: DiskHandle = Arc::new(Real);
        let own = [self.slot_problems(), other.slot_problems()].concat();
        let both = [&self.slot_devices()[..], &other.slot_devices()[..]].concat();
        let problems = slot_problems(&disk, &both).into_iter().filter(|problem| !own.contains(problem));
        problems.map(|problem| problem.reason).collect()
    }

    /// Bounds of the telemetry that waits.
    pub(crate) fn outbox(&self) -> OutboxLimits {
        OutboxLimits { bytes_max: self.outbox_bytes_max, age_ms_max: self.outbox_days_max * DAY_MS }
    }

    /// How the coordinator is reached.
    pub(crate) fn road(&self) -> Result<Road, String> {
        Road::new(&self.proxy, self.websocket)
    }

    /// A device by its id.
    pub(crate) fn device(&self, id: &DeviceId) -> Option<&DeviceConfig> {
        self.device.iter().find(|d| d.id == *id)
    }
}

impl DeviceConfig {
    fn check(&self) -> Result<(), String> {
        let ways = [self.secret.is_some(), self.certificate.is_some(), self.slots.is_some(), self.command.is_some()];
        if ways.iter().filter(|w| **w).count() != 1 {
            return Err("needs a secret, or the name in its certificate, or a section [device.slots], or a section \
                        [device.command]; one of them"
                .into());
        }
        if self.secret.as_ref().is_some_and(|s| s.chars().count() < SECRET_CHARS_MIN) {
            return Err(format!("secret needs at least {SECRET_CHARS_MIN} characters"));
        }
        if let Some(slots) = &self.slots {
            if slots.pair.is_empty() || slots.reboot.is_empty() {
                return Err("slots need at least one [[device.slots.pair]], and `reboot`".into());
            }
            for (i, pair) in slots.pair.iter().enumerate() {
                let paths = || slots.pair[..i].iter().flat_map(|p| [&p.a, &p.b]);
                if pair.a == pair.b || paths().any(|p| *p == pair.a || *p == pair.b) {
                    return Err(format!("two slots of pair {:?} are the same file", pair.name));
                }
                if slots.pair[..i].iter().any(|p| p.name == pair.name) {
                    return Err(format!("pair {:?} stands twice", pair.name));
                }
            }
            let files = slots.pair.iter().flat_map(|p| [&p.a, &p.b]).chain([&slots.dir]);
            if let Some(file) = files.into_iter().find(|f| !f.is_absolute()) {
                return Err(format!("{} must be an absolute path", file.display()));
            }
        }
        if let Some(command) = &self.command {
            if !command.program.is_absolute() {
                return Err(format!("program {} must be an absolute path", command.program.display()));
            }
            if !(1..=3_600).contains(&command.poll_seconds) || !(1..=3_600).contains(&command.deadline_seconds) {
                return Err("poll_seconds and deadline_seconds must be 1 to 3600".into());
            }
        }
        Ok(())
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
        let example = |from: &str| {
            let lines = DEFAULT_TOML.lines().skip_while(|l| !l.contains(from)).skip(1);
            let taken = lines.take_while(|l| l.starts_with("# "));
            Config::parse(&taken.map(|l| &l[2..]).collect::<Vec<_>>().join("\n"))
        };
        for from in ["MQTT password:", "lie on this gateway", "maker's own tool"] {
            assert_eq!(example(from).map(|c| c.device.len()), Ok(1), "{from}");
        }
    }

    /// A configuration with a drop-in folder; each file with its mode.
    fn dir_of(name: &str, files: &[(&str, u32, &str)]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("mdfm-config-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("agent.d")).expect("makes");
        for (file, mode, text) in files {
            std::fs::write(dir.join(file), text).expect("writes");
            std::fs::set_permissions(dir.join(file), std::fs::Permissions::from_mode(*mode)).expect("sets");
        }
        dir
    }

    fn device(id: &str) -> String {
        format!("[[device]]\nid = {id:?}\nsecret = \"0123456789abcdef\"\n")
    }

    #[test]
    fn cli_21_files_of_the_folder_are_read_by_name() {
        let dir = dir_of(
            "folder",
            &[
                ("agent.toml", 0o644, "heartbeat_seconds = 2\n[download]\nhours = \"22:00-06:00\"\n"),
                ("agent.d/20.toml", 0o640, &device("DEV-1")),
                ("agent.d/10.toml", 0o600, &(device("DEV-2") + &device("DEV-3"))),
                ("agent.d/30.toml.new", 0o600, "half a fi"),
                ("agent.d/.#10.toml", 0o600, "an editor's"),
            ],
        );
        let config = Config::load(Some(&dir.join("agent.toml"))).expect("valid");
        let ids: Vec<String> = config.device.iter().map(|d| d.id.to_string()).collect();
        assert_eq!((ids, config.heartbeat_seconds), (["DEV-2", "DEV-3", "DEV-1"].map(String::from).to_vec(), 2));
        let none = Config::load(Some(&dir.join("agent.d/20.toml"))).expect("a file alone, without a folder");
        assert_eq!(none.device.len(), 1);
        std::fs::remove_dir_all(dir).expect("removes");
    }

    #[test]
    fn cli_21_errors_name_the_file_of_the_folder() {
        for (file, mode, text, words) in [
            ("agent.d/a.toml", 0o600, device("DEV-0"), "agent.d/a.toml: device DEV-0 stands twice"),
            ("agent.d/b.toml", 0o600, "state_dir = \"/x\"".into(), "agent.d/b.toml: "),
            ("agent.d/c.toml", 0o600, "[[device]]\nid = \"DEV-9\"\nsecrt = \"x\"".into(), "did you mean `secret`"),
            ("agent.d/d.toml", 0o600, "[[device]]\nid = \"DEV-9\"\n".into(), "agent.d/d.toml: device DEV-9: needs"),
            ("agent.d/e.toml", 0o644, device("DEV-9"), "agent.d/e.toml holds secrets and can be reached by others"),
        ] {
            let dir = dir_of("errors", &[("agent.toml", 0o640, &device("DEV-0")), (file, mode, &text)]);
            let error = Config::load(Some(&dir.join("agent.toml"))).expect_err(file).to_string();
            assert!(error.contains(words), "{error}");
            std::fs::remove_dir_all(dir).expect("removes");
        }
    }

    #[test]
    fn cli_22_a_configuration_with_secrets_is_private() {
        let proxy = "proxy = \"http://gw:secret@proxy:3128\"".to_owned();
        for (mode, text, exit) in [
            (0o644, device("DEV-1"), Some(Exit::Permission)),
            (0o644, proxy, Some(Exit::Permission)),
            (0o640, device("DEV-1"), None),
            (0o644, "proxy = \"http://proxy:3128\"".into(), None),
        ] {
            let dir = dir_of("private", &[("agent.toml", mode, &text)]);
            let path = dir.join("agent.toml");
            let refused = Config::load(Some(&path)).err();
            assert_eq!(refused.as_ref().map(|stop| stop.exit), exit, "{mode:o}: {text}");
            if let Some(stop) = refused {
                assert!(stop.to_string().contains(&format!("chmod 640 {}", path.display())), "{stop}");
            }
            std::fs::remove_dir_all(dir).expect("removes");
        }
    }

    #[test]
    fn unknown_keys_and_absurd_values_are_refused_by_name() {
        let slots =
            "[[device]]\nid = \"a\"\n[device.slots]\ndir = \"/d\"\nmodel = \"m\"\nserial = \"s\"\nhardware = \"h\"\n";
        for (text, names) in [
            ("state_dirr = \"/x\"", "state_dirr"),
            ("heartbeat_seconds = 0", "heartbeat_seconds"),
            ("heartbeat_seconds = \"10\"", "heartbeat_seconds"),
            ("reconnect_spread_seconds = 0", "reconnect_spread_seconds"),
            ("device_listen = \"everywhere\"", "device_listen"),
            ("proxy = \"proxy:3128\"", "proxy must be"),
            ("renew_before_days = 0", "renew_before_days"),
            ("outbox_bytes_max = 1000", "outbox_bytes_max"),
            ("outbox_days_max = 0", "outbox_days_max"),
            ("[download]\nbytes_per_second = 1", "bytes_per_second"),
            ("[download]\nhours = \"at night\"", "download.hours"),
            ("[download]\ndeltas = \"sometimes\"", "deltas"),
            ("[[device]]\nid = \"../x\"\nsecret = \"0123456789abcdef\"", "device id"),
            ("[[device]]\nid = \"a\"\nsecret = \"short\"", "secret"),
            ("[[device]]\nid = \"a\"", "secret"),
            ("[[device]]\nid = \"a\"\ncertificate = \"SN-1\"", "authority"),
            ("[device_tls]\nlisten = \"127.0.0.1:8883\"\ncertificate = \"/none\"\nkey = \"/none\"", "/none"),
            ("[[device]]\nid = \"a\"\n[device.command]\nprogram = \"flash\"", "absolute"),
            (&format!("{slots}pair = []\nreboot = [\"/r\"]"), "at least one"),
            (&format!("{slots}reboot = [\"/r\"]\npair = [{{ a = \"/x\", b = \"/x\" }}]"), "same file"),
            (&format!("{slots}reboot = [\"/r\"]\npair = [{{ a = \"x\", b = \"/y\" }}]"), "absolute"),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.contains(names), "{error}");
        }
    }
}
