//! Devices in files of their own: `mdfm-agent device add`, `list` and `remove` write and read the drop-in folder beside the configuration. They work
//! without a running agent, which takes a change up when it starts.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand, ValueEnum};
use mdfm_shared::id::DeviceId;
use mdfm_shared::text::printable;
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::{Config, DeviceConfig, drop_in_dir};
use crate::local::Output;
use crate::vendor;

/// The configuration that the package installs, where `--config` names no other.
const CONFIG: &str = "/etc/mdfm/agent.toml";
/// How the agent takes up another configuration.
fn next(path: &Path) -> String {
    let service = vendor::service_of(path);
    format!("restart the agent to take it up: systemctl restart {service} (updates that are under way go on)")
}
const SECRET_BYTES: usize = 24;

/// What is to become of a device's section.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Adds a device in a file of its own, DEVICE.toml in the folder agent.d beside the configuration.
    ///
    /// The secret of a device that speaks MQTT is generated. The whole configuration is checked before the file is written.
    Add(Box<NewDevice>),
    /// Lists the devices that are configured, with the file of each. `mdfm-agent devices` asks the running agent how they are.
    List,
    /// Removes the file of a device that `device add` made. What the agent knows of the device stays in its journal.
    Remove {
        /// Device id.
        id: DeviceId,
    },
}

/// How a device is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Adapter {
    /// It speaks MQTT and shows a secret, which is generated.
    Mqtt,
    /// It speaks MQTT over TLS and shows a client certificate.
    Certificate,
    /// Its slots lie on this gateway.
    Slots,
    /// Its maker's tool reaches it.
    Command,
}

/// A device to add.
#[derive(Debug, Args)]
pub(crate) struct NewDevice {
    /// Device id, as the vendor registered it.
    #[arg(long)]
    id: DeviceId,
    /// How the device is reached.
    #[arg(long, value_enum)]
    adapter: Adapter,
    /// File with the secret that the gateway knows the device by; it is made, and must not exist. Without it, the secret is printed once.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Common name in the client certificate of the device; with --adapter certificate.
    #[arg(long, value_name = "NAME", required_if_eq("adapter", "certificate"))]
    common_name: Option<String>,
    /// Model; with --adapter slots.
    #[arg(long, required_if_eq("adapter", "slots"))]
    model: Option<String>,
    /// Serial number; with --adapter slots.
    #[arg(long, required_if_eq("adapter", "slots"))]
    serial: Option<String>,
    /// Hardware revision; with --adapter slots.
    #[arg(long, required_if_eq("adapter", "slots"))]
    hardware: Option<String>,
    /// Directory of boot record and status; with --adapter slots.
    #[arg(long, value_name = "DIR", required_if_eq("adapter", "slots"))]
    slots_dir: Option<PathBuf>,
    /// Path of slot A; with --adapter slots.
    #[arg(long, value_name = "PATH", required_if_eq("adapter", "slots"))]
    slot_a: Option<PathBuf>,
    /// Path of slot B; with --adapter slots. A device with several pairs is configured in an editor.
    #[arg(long, value_name = "PATH", required_if_eq("adapter", "slots"))]
    slot_b: Option<PathBuf>,
    /// Program that makes the device boot, and its arguments, each with an option of its own; with --adapter slots.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true, required_if_eq("adapter", "slots"))]
    reboot: Vec<String>,
    /// Path of the maker's tool; with --adapter command.
    #[arg(long, value_name = "PATH", required_if_eq("adapter", "command"))]
    program: Option<PathBuf>,
    /// Argument of the tool, each with an option of its own; with --adapter command.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    argument: Vec<String>,
}

/// A file as it is written.
#[derive(Serialize)]
struct File<'a> {
    device: [Section<'a>; 1],
}

#[derive(Serialize)]
struct Section<'a> {
    id: &'a DeviceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<Slots<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Tool<'a>>,
}

#[derive(Serialize)]
struct Slots<'a> {
    dir: &'a Path,
    model: &'a str,
    serial: &'a str,
    hardware: &'a str,
    reboot: &'a [String],
    pair: [Pair<'a>; 1],
}

#[derive(Serialize)]
struct Pair<'a> {
    a: &'a Path,
    b: &'a Path,
}

#[derive(Serialize)]
struct Tool<'a> {
    program: &'a Path,
    arguments: &'a [String],
}

impl NewDevice {
    /// The file's text; `secret` is written for a device that shows one.
    fn to_toml(&self, secret: &str) -> anyhow::Result<String> {
        fn text(value: &Option<String>) -> &str {
            value.as_deref().unwrap_or_default()
        }
        fn path(value: &Option<PathBuf>) -> &Path {
            value.as_deref().unwrap_or(Path::new(""))
        }
        let of = |adapter| self.adapter == adapter;
        let section = Section {
            id: &self.id,
            secret: of(Adapter::Mqtt).then_some(secret),
            certificate: of(Adapter::Certificate).then(|| text(&self.common_name)),
            slots: of(Adapter::Slots).then(|| Slots {
                dir: path(&self.slots_dir),
                model: text(&self.model),
                serial: text(&self.serial),
                hardware: text(&self.hardware),
                reboot: &self.reboot,
                pair: [Pair { a: path(&self.slot_a), b: path(&self.slot_b) }],
            }),
            command: of(Adapter::Command).then(|| Tool { program: path(&self.program), arguments: &self.argument }),
        };
        Ok(toml::to_string(&File { device: [section] })?)
    }

    /// The options that say nothing to the adapter that was chosen.
    fn surplus(&self) -> Option<&'static str> {
        let slots = [
            (self.model.is_some(), "--model"),
            (self.serial.is_some(), "--serial"),
            (self.hardware.is_some(), "--hardware"),
            (self.slots_dir.is_some(), "--slots-dir"),
            (self.slot_a.is_some(), "--slot-a"),
            (self.slot_b.is_some(), "--slot-b"),
            (!self.reboot.is_empty(), "--reboot"),
        ];
        let given = [
            (Adapter::Mqtt, self.secret_file.is_some(), "--secret-file"),
            (Adapter::Certificate, self.common_name.is_some(), "--common-name"),
            (Adapter::Command, self.program.is_some(), "--program"),
            (Adapter::Command, !self.argument.is_empty(), "--argument"),
        ];
        let given = given.into_iter().chain(slots.map(|(is_given, name)| (Adapter::Slots, is_given, name)));
        given.into_iter().find(|(adapter, is_given, _)| *is_given && *adapter != self.adapter).map(|(.., name)| name)
    }
}

/// Does what is asked with the devices of the configuration at `path`.
///
/// # Errors
/// The configuration is not valid, before or with the change, or a file cannot be written.
pub(crate) fn run(path: Option<&Path>, change: Change, output: Output) -> anyhow::Result<()> {
    let path = path.unwrap_or(Path::new(CONFIG));
    match change {
        Change::Add(new) => {
            let (words, data) = add(path, &new, &random_secret()?)?;
            output.message(&words, &data);
        }
        Change::List => {
            let config = Config::load(Some(path))?;
            let row = |device: &DeviceConfig| json!({ "device": device.id, "adapter": adapter_of(device), "file": config.file_of(&device.id, path) });
            let rows = Value::Array(config.device.iter().map(row).collect());
            output.rows(&rows, &[("DEVICE", "/device"), ("ADAPTER", "/adapter"), ("FILE", "/file")]);
        }
        Change::Remove { id } => {
            let file = remove(path, &id)?;
            let words = format!("{} is removed; {}", file.display(), next(path));
            output.message(&words, &json!({ "device": id, "file": file }));
        }
    }
    Ok(())
}

fn adapter_of(device: &DeviceConfig) -> &'static str {
    match (&device.secret, &device.certificate, &device.slots) {
        (Some(_), ..) => "mqtt",
        (_, Some(_), _) => "certificate",
        (.., Some(_)) => "slots",
        _ => "command",
    }
}

/// A secret that nobody guesses, of characters that every device takes.
fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).context("this machine gives no random numbers")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn add(path: &Path, new: &NewDevice, secret: &str) -> anyhow::Result<(String, Value)> {
    let config = Config::load(Some(path))?;
    if let Some(option) = new.surplus() {
        let adapter = new.adapter.to_possible_value();
        let adapter = adapter.as_ref().map_or("", |value| value.get_name());
        bail!("{option} is not an option of the adapter {adapter}");
    }
    if config.device(&new.id).is_some() {
        bail!("device {} is configured already, in {}", new.id, config.file_of(&new.id, path).display());
    }
    let dir = drop_in_dir(path);
    let file = dir.join(format!("{}.toml", new.id));
    ensure!(!file.try_exists()?, "{} is there already and holds other devices; rename it", file.display());
    let text = new.to_toml(secret)?;
    let config = config.with_drop_in(&file, &text)?;
    let problems = config.slot_problems().into_iter().filter(|problem| problem.devices.contains(&new.id));
    let mut problems: Vec<String> = problems.map(|problem| problem.reason).collect();
    problems.extend(vendor::conflicts(path, &config)?);
    ensure!(problems.is_empty(), "nothing was written: {}", problems.join("; "));
    mdfm_service::make_directory_like(&dir, path).with_context(|| format!("making {}", dir.display()))?;
    let mut words = format!("device {} is added in {}", new.id, file.display());
    let mut data = json!({ "device": new.id, "file": file });
    if new.adapter == Adapter::Mqtt {
        match &new.secret_file {
            Some(to) => {
                mdfm_service::write_new_secret(to, secret).with_context(|| format!("making {}", to.display()))?;
                words += &format!("; its secret is in {}", to.display());
                data["secretFile"] = json!(to);
            }
            None => {
                words += &format!("; its secret, which is shown once: {}", printable(secret));
                data["secret"] = json!(secret);
            }
        }
    }
    let written = mdfm_service::atomic_write_like(&file, text.as_bytes(), path);
    if written.is_err()
        && let Some(secret_file) = new.secret_file.as_ref().filter(|_| data.get("secretFile").is_some())
    {
        // The next try makes another secret.
        let _ = std::fs::remove_file(secret_file);
    }
    written.with_context(|| format!("writing {}", file.display()))?;
    Ok((format!("{words}; {}", next(path)), data))
}

fn remove(path: &Path, id: &DeviceId) -> anyhow::Result<PathBuf> {
    let config = Config::load(Some(path))?;
    ensure!(
        config.device(id).is_some(),
        "no device {id} is configured in {} or {}",
        path.display(),
        drop_in_dir(path).display()
    );
    let file = config.file_of(id, path);
    let is_alone = config.device.iter().filter(|device| config.file_of(&device.id, path) == file).count() == 1;
    if file == path || !is_alone {
        bail!("device {id} is configured in {}, beside other settings: remove its section there", file.display());
    }
    mdfm_service::remove_durably(&file).with_context(|| format!("removing {}", file.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        change: Change,
    }

    fn parse(words: &[&str]) -> Result<Change, clap::Error> {
        Line::try_parse_from([&["device"], words].concat()).map(|line| line.change)
    }

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str, text: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("mdfm-device-files-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(&dir).expect("makes");
            let place = Self(dir);
            std::fs::write(place.config(), text).expect("writes");
            std::fs::set_permissions(place.config(), std::fs::Permissions::from_mode(0o640)).expect("sets");
            place
        }

        fn config(&self) -> PathBuf {
            self.0.join("agent.toml")
        }

        fn add(&self, words: &[&str]) -> anyhow::Result<(String, Value)> {
            let Change::Add(new) = parse(&[&["add"], words].concat()).expect("parses") else { panic!("add") };
            add(&self.config(), &new, "a-secret-that-nobody-guesses")
        }

        fn files(&self) -> usize {
            std::fs::read_dir(self.0.join("agent.d")).map_or(0, Iterator::count)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn cli_21_a_device_is_added_whatever_stands_above() {
        // A section that is active at the end: what is appended there would belong to it.
        let place = Place::new("add", "[download]\nhours = \"22:00-06:00\"\n");
        let (words, data) = place.add(&["--id", "DEV-1", "--adapter", "mqtt"]).expect("added");
        assert!(words.contains("shown once: a-secret-that-nobody-guesses; restart the agent"), "{words}");
        let file = place.0.join("agent.d/DEV-1.toml");
        assert_eq!((data["file"].as_str(), file.metadata().expect("is there").mode() & 0o777), (file.to_str(), 0o640));
        assert_eq!(place.0.join("agent.d").metadata().expect("is there").mode() & 0o777, 0o750);
        let secret = place.0.join("DEV-2.secret");
        let secret_file = secret.display().to_string();
        let (words, data) =
            place.add(&["--id", "DEV-2", "--adapter", "mqtt", "--secret-file", &secret_file]).expect("added");
        assert!(!words.contains("nobody-guesses") && data["secret"].is_null(), "{words}");
        assert_eq!(std::fs::read_to_string(&secret).expect("is there"), "a-secret-that-nobody-guesses\n");
        assert_eq!(secret.metadata().expect("is there").mode() & 0o777, 0o600);
        place
            .add(&["--id", "DEV-3", "--adapter", "command", "--program", "/usr/lib/flash", "--argument=-p"])
            .expect("added");
        let slots = "--adapter slots --model P7 --serial S \" --hardware C --slots-dir /d --slot-a /a --slot-b /b --reboot /r --reboot -x";
        let slots: Vec<&str> = ["--id", "DEV-4"].into_iter().chain(slots.split(' ').filter(|w| *w != "\"")).collect();
        place.add(&slots).expect("added");
        let config = Config::load(Some(&place.config())).expect("valid");
        let adapters: Vec<&str> = config.device.iter().map(adapter_of).collect();
        assert_eq!(adapters, ["mqtt", "mqtt", "command", "slots"]);
        assert_eq!(
            config.device[3].slots.as_ref().map(|s| s.reboot.as_slice()),
            Some(&["/r".to_owned(), "-x".into()][..])
        );
        assert_eq!(remove(&place.config(), &config.device[0].id).expect("removed"), file);
        assert_eq!((place.files(), Config::load(Some(&place.config())).expect("valid").device.len()), (3, 3));
    }

    #[test]
    fn cli_21_nothing_is_written_that_is_not_valid() {
        let place = Place::new("bad", "[[device]]\nid = \"DEV-1\"\nsecret = \"0123456789abcdef\"\n");
        for (line, words) in [
            ("--id DEV-1 --adapter mqtt", "device DEV-1 is configured already, in"),
            ("--id DEV-2 --adapter certificate --common-name SN-1", "authority"),
            ("--id DEV-2 --adapter command --program flash", "absolute"),
            ("--id DEV-2 --adapter mqtt --program /flash", "--program is not an option of the adapter mqtt"),
            (
                "--id DEV-2 --adapter slots --model m --serial s --hardware h --slots-dir /d --slot-a /a --slot-b /a --reboot /r",
                "same file",
            ),
        ] {
            let error = place.add(&line.split(' ').collect::<Vec<_>>()).expect_err(line);
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
        let secret = place.config().display().to_string();
        assert!(place.add(&["--id", "DEV-2", "--adapter", "mqtt", "--secret-file", &secret]).is_err(), "it exists");
        assert_eq!(place.files(), 0);
        let error = remove(&place.config(), &"DEV-1".parse().expect("a good id")).expect_err("not in the folder");
        assert!(error.to_string().contains("remove its section there"), "{error}");
        for bad in ["add --id ../x --adapter mqtt", "add --id DEV-2", "add --id DEV-2 --adapter command"] {
            assert!(parse(&bad.split(' ').collect::<Vec<_>>()).is_err(), "{bad}");
        }
        assert_eq!(random_secret().expect("random").len(), 32);
    }
}
