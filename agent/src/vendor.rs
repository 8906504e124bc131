//! Several vendors on one gateway: `mdfm-agent vendor add`, `list` and `remove`. Each vendor has an agent of its own, with its own user, state,
//! configuration and ports (`mdfm-agent@VENDOR.service`); a device belongs to one of them.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use mdfm_service::{Exit, Stop};
use serde_json::{Value, json};

use crate::config::{Config, DEFAULT_TOML, drop_in_dir};
use crate::local::Output;
use crate::store::{LOCK, StateLock};

/// Where configurations lie, unless `--config` says otherwise.
const FOLDER: &str = "/etc/mdfm";
/// Longest name: the name of the user is `mdfm-agent-` and the vendor's, and Linux takes 32 characters.
const NAME_CHARS_MAX: usize = 20;

/// What is to become of the agents of this gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Adds an agent for one more vendor: its user, its directories and its configuration. As root.
    ///
    /// Its service is mdfm-agent@NAME; its commands are those of the agent, with --vendor NAME.
    Add {
        /// Name of the vendor: up to 20 lower-case letters, digits and hyphens.
        name: VendorName,
        /// Where the vendor's devices that speak MQTT connect; an address and port that no other agent uses.
        #[arg(long, value_name = "ADDRESS:PORT")]
        device_listen: SocketAddr,
    },
    /// Lists the agents of this gateway with their services, configurations and ports.
    List,
    /// Removes the configuration of a vendor's agent that is stopped. Its state stays. As root.
    Remove {
        /// Name of the vendor.
        name: VendorName,
    },
}

/// The name of a vendor on this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VendorName(String);

impl FromStr for VendorName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let begins = text.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        if !is_plain || !begins || text.ends_with('-') || text.len() > NAME_CHARS_MAX {
            return Err(format!(
                "a vendor's name is 1 to {NAME_CHARS_MAX} lower-case letters, digits and hyphens, beginning with a letter"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for VendorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VendorName {
    /// The vendor's configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.config_in(Path::new(FOLDER))
    }

    fn config_in(&self, folder: &Path) -> PathBuf {
        folder.join(format!("agent-{self}.toml"))
    }

    /// Name of the vendor's user, group, state directory, and of the files that declare them.
    fn user(&self) -> String {
        format!("mdfm-agent-{self}")
    }
}

/// The service that runs with the configuration at `path`.
pub(crate) fn service_of(path: &Path) -> String {
    let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_prefix("agent-"));
    match name.map(VendorName::from_str) {
        Some(Ok(vendor)) => format!("mdfm-agent@{vendor}"),
        _ => "mdfm-agent".into(),
    }
}

/// The other configurations in the folder of `path`: `agent.toml` and those of vendors. Those that this user may not read are left out: each agent's
/// user reads its own.
///
/// # Errors
/// One is not valid: what it claims is not known.
fn others(path: &Path) -> Result<Vec<(PathBuf, Config)>, Stop> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(Vec::new());
        }
        Err(error) => {
            return Err(Stop::new(Exit::Config, format!("{} cannot be read", folder.display())).because(error));
        }
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let is_agents = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_named = name == "agent.toml" || (name.starts_with("agent-") && name.ends_with(".toml"));
        is_named && file.file_name() != path.file_name()
    };
    let mut found = Vec::new();
    for file in files.into_iter().filter(is_agents) {
        if mdfm_service::open_input(&file).is_err_and(|error| error.system() == Some(ErrorKind::PermissionDenied)) {
            continue;
        }
        let config = Config::load(Some(&file))?;
        found.push((file, config));
    }
    Ok(found)
}

/// What a configuration claims that belongs to another agent of this gateway.
///
/// # Errors
/// Another configuration is not valid.
pub(crate) fn conflicts(path: &Path, config: &Config) -> Result<Vec<String>, Stop> {
    let others = others(path)?;
    Ok(others.iter().flat_map(|(file, other)| claimed_twice(config, file, other)).collect())
}

fn claimed_twice(config: &Config, file: &Path, other: &Config) -> Vec<String> {
    let shown = file.display();
    let mut found = Vec::new();
    if config.state_dir == other.state_dir {
        found.push(format!("state_dir {} is that of {shown}: give each agent its own", config.state_dir.display()));
    }
    for own in config.listeners() {
        if other.listeners().into_iter().any(|theirs| meets(own, theirs)) {
            found.push(format!("port {own} is taken by {shown}: give each agent an address or a port of its own"));
        }
    }
    for device in &config.device {
        for theirs in &other.device {
            let is_same_tool = device.command.is_some()
                && device.command.as_ref().map(|c| (&c.program, &c.arguments))
                    == theirs.command.as_ref().map(|c| (&c.program, &c.arguments));
            let is_same_device = device.id == theirs.id
                && (device.secret.is_some() && device.secret == theirs.secret
                    || device.certificate.is_some() && device.certificate == theirs.certificate);
            if is_same_tool || is_same_device {
                let id = &device.id;
                found.push(format!("device {id} is device {} of {shown}: a device belongs to one agent", theirs.id));
            }
        }
    }
    found.extend(config.slots_shared_with(other).into_iter().map(|reason| format!("{reason} (of {shown})")));
    found
}

/// Whether two listeners cannot be there at once.
fn meets(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Does what is asked with the agents whose configurations lie beside `path`.
///
/// # Errors
/// The vendor is there already, or not there, or what it would have belongs to another agent; a file cannot be written.
pub(crate) fn run(path: Option<&Path>, change: Change, output: Output) -> anyhow::Result<()> {
    let folder = path.and_then(Path::parent).unwrap_or(Path::new(FOLDER));
    match change {
        Change::Add { name, device_listen } => {
            let place = Place { root: Path::new("/"), folder, declare };
            let file = place.add(&name, device_listen)?;
            let words = format!(
                "the agent of vendor {name} is configured in {file}; add its devices (mdfm-agent --vendor {name} device add), lay its \
                 token into /etc/credstore/mdfm-agent-{name}.enrolment-token, then: systemctl enable --now mdfm-agent@{name}",
                file = file.display()
            );
            output.message(&words, &json!({ "vendor": name.0, "file": file, "service": service_of(&file) }));
        }
        Change::List => {
            // No configuration is called so: all are the others.
            let all = others(&folder.join("-"))?;
            let row = |(file, config): &(PathBuf, Config)| json!({ "service": service_of(file), "file": file, "listeners": config.listeners(), "stateDir": config.state_dir });
            let rows = Value::Array(all.iter().map(row).collect());
            let columns =
                [("SERVICE", "/service"), ("FILE", "/file"), ("LISTENERS", "/listeners"), ("STATE", "/stateDir")];
            output.rows(&rows, &columns);
        }
        Change::Remove { name } => {
            let state = Place { root: Path::new("/"), folder, declare }.remove(&name)?;
            let words = format!("the agent of vendor {name} is removed; its state stays in {}", state.display());
            output.message(&words, &json!({ "vendor": name.0, "stateDir": state }));
        }
    }
    Ok(())
}

/// Where an agent's files go.
struct Place<'a> {
    /// `/`, or another one in tests.
    root: &'a Path,
    /// Where configurations lie.
    folder: &'a Path,
    /// Makes the user, then the directories, of these files.
    declare: fn(&Path, &Path) -> anyhow::Result<()>,
}

impl Place<'_> {
    /// The files that declare the vendor's user, and its directories.
    fn declarations(&self, name: &VendorName) -> [PathBuf; 2] {
        ["etc/sysusers.d", "etc/tmpfiles.d"].map(|dir| self.root.join(dir).join(format!("{}.conf", name.user())))
    }

    fn add(&self, name: &VendorName, listen: SocketAddr) -> anyhow::Result<PathBuf> {
        let file = name.config_in(self.folder);
        ensure!(!file.try_exists()?, "vendor {name} is there already, in {}; nothing was changed", file.display());
        let user = name.user();
        let state = format!("/var/lib/{user}");
        let text = set(DEFAULT_TOML, "state_dir", &state)?;
        let text = set(&text, "device_listen", &listen.to_string())?;
        let config = Config::parse(&text).map_err(anyhow::Error::msg)?;
        let conflicts = conflicts(&file, &config)?;
        ensure!(conflicts.is_empty(), "nothing was written: {}", conflicts.join("; "));
        let [users, directories] = self.declarations(name);
        let folder = self.folder.display();
        let declared_user = format!("# User of mdfm-agent@{name}.\nu {user} - \"Firmware agent of {name}\" {state}\n");
        let declared_directories = format!(
            "# Directories of mdfm-agent@{name}.\nd {state} 0700 {user} {user} -\nd {folder}/agent-{name}.d 0750 root {user} -\n\
             z {folder}/agent-{name}.toml 0640 root {user} -\nz {folder}/agent-{name}.d/*.toml 0640 root {user} -\n"
        );
        for (path, text) in [(&users, declared_user), (&directories, declared_directories)] {
            let dir = path.parent().context("a file lies in a folder")?;
            std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
            mdfm_service::atomic_write(path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
        }
        mdfm_service::atomic_write(&file, text.as_bytes()).with_context(|| format!("writing {}", file.display()))?;
        if let Err(error) = (self.declare)(&users, &directories) {
            // The next try finds nothing in its way.
            for path in [&file, &users, &directories] {
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
        Ok(file)
    }

    /// Removes what `add` made; returns where the state stays.
    fn remove(&self, name: &VendorName) -> anyhow::Result<PathBuf> {
        let file = name.config_in(self.folder);
        ensure!(file.try_exists()?, "there is no vendor {name}: {} is missing", file.display());
        let state = Config::load(Some(&file))?.state_dir;
        // An agent that never ran has no lock; root must not make it one.
        if state.join(LOCK).exists() && StateLock::take(&state).is_err() {
            bail!("the agent of {name} runs; stop it first: systemctl disable --now mdfm-agent@{name}");
        }
        let dir = drop_in_dir(&file);
        if dir.is_dir() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        for path in self.declarations(name).iter().chain([&file]) {
            match mdfm_service::remove_durably(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(state)
    }
}

/// A configuration with the commented default of a key replaced.
fn set(text: &str, key: &str, value: &str) -> anyhow::Result<String> {
    let start = format!("#= {key} = ");
    let line = text.lines().find(|line| line.starts_with(&start)).with_context(|| format!("no default of {key}"))?;
    Ok(text.replacen(line, &format!("{key} = {value:?}"), 1))
}

/// Makes the user and the directories that two files declare.
fn declare(users: &Path, directories: &Path) -> anyhow::Result<()> {
    let run = |program: &str, arguments: &[&Path]| {
        let output = Command::new(program).args(arguments).output().with_context(|| format!("starting {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} ended with {}: {}", output.status, said.trim());
        Ok(())
    };
    run("systemd-sysusers", &[users])?;
    run("systemd-tmpfiles", &[Path::new("--create"), directories])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use mdfm_shared::fixture::page::symptom;

    use super::*;

    /// A root directory with the configuration of a gateway's first agent.
    struct Gateway(PathBuf);

    impl Gateway {
        fn new(name: &str, first: &str) -> Self {
            let root = std::env::temp_dir().join(format!("mdfm-vendor-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&root);
            std::fs::create_dir_all(root.join("etc/mdfm")).expect("makes");
            let gateway = Self(root);
            gateway.write("agent.toml", first);
            gateway
        }

        fn folder(&self) -> PathBuf {
            self.0.join("etc/mdfm")
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder().join(name);
            std::fs::write(&path, text).expect("writes");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("sets");
            path
        }

        fn add(&self, name: &str, listen: &str) -> anyhow::Result<PathBuf> {
            let place = Place { root: &self.0, folder: &self.folder(), declare: |_, _| Ok(()) };
            place.add(&name.parse().expect("a name"), listen.parse().expect("an address"))
        }

        fn remove(&self, name: &str) -> anyhow::Result<PathBuf> {
            let place = Place { root: &self.0, folder: &self.folder(), declare: |_, _| Ok(()) };
            place.remove(&name.parse().expect("a name"))
        }

        fn conflicts(&self, path: &Path) -> Vec<String> {
            conflicts(path, &Config::load(Some(path)).expect("valid")).expect("all are valid")
        }
    }

    impl Drop for Gateway {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn pkg_24_a_vendor_gets_user_state_configuration_and_port() {
        let gateway = Gateway::new("adds", "");
        let file = gateway.add("acme", "127.0.0.1:1884").expect("adds");
        assert_eq!(file, gateway.folder().join("agent-acme.toml"));
        let config = Config::load(Some(&file)).expect("valid");
        assert_eq!(config.state_dir, Path::new("/var/lib/mdfm-agent-acme"));
        assert_eq!(config.device_listen.port(), 1884);
        let users = std::fs::read_to_string(gateway.0.join("etc/sysusers.d/mdfm-agent-acme.conf")).expect("is there");
        assert!(users.contains("\nu mdfm-agent-acme - "), "{users}");
        let places = std::fs::read_to_string(gateway.0.join("etc/tmpfiles.d/mdfm-agent-acme.conf")).expect("is there");
        assert!(places.contains("/agent-acme.toml 0640 root mdfm-agent-acme -\n"), "{places}");
        assert_eq!(service_of(&file), "mdfm-agent@acme");
        assert_eq!(service_of(&gateway.folder().join("agent.toml")), "mdfm-agent");
        let again = gateway.add("acme", "127.0.0.1:1885").expect_err("is there").to_string();
        symptom("The service does not start", "vendor … is there already").assert_in(&again);
        assert_eq!(gateway.remove("acme").expect("removes"), Path::new("/var/lib/mdfm-agent-acme"));
        assert!(!file.exists() && !gateway.0.join("etc/sysusers.d/mdfm-agent-acme.conf").exists());
        assert!(gateway.remove("acme").is_err());
    }

    #[test]
    fn pkg_24_two_agents_never_share_a_port() {
        let gateway = Gateway::new("ports", "device_listen = \"0.0.0.0:1883\"\n");
        for taken in ["0.0.0.0:1883", "127.0.0.1:1883"] {
            let refused = gateway.add("acme", taken).expect_err(taken).to_string();
            symptom("The service does not start", "port … is taken by").assert_in(&refused);
            assert!(refused.contains("nothing was written") && refused.contains("agent.toml"), "{refused}");
            assert!(!gateway.folder().join("agent-acme.toml").exists());
        }
        gateway.add("acme", "0.0.0.0:1884").expect("is free");
        gateway.write("agent.toml", "heartbeat_secods = 1\n");
        let refused = gateway.add("other", "0.0.0.0:1885").expect_err("an unknown claim").to_string();
        assert!(refused.contains("agent.toml"), "{refused}");
    }

    #[test]
    fn pkg_24_a_device_belongs_to_one_agent() {
        let slots = |dir: &Path, id: &str| {
            let at = |name: &str| dir.join(name).display().to_string();
            format!(
                "[[device]]\nid = {id:?}\n[device.slots]\ndir = {:?}\nmodel = \"M\"\nserial = \"1\"\nhardware = \"B\"\nreboot = [\"true\"]\n\
                 pair = [{{ a = {:?}, b = {:?} }}]\n",
                at(&format!("record-{id}")),
                at("a"),
                at("b")
            )
        };
        let gateway = Gateway::new("devices", "");
        for name in ["a", "b"] {
            std::fs::write(gateway.0.join(name), "firmware").expect("writes");
        }
        for id in ["PUMP-1", "OTHER-7"] {
            std::fs::create_dir_all(gateway.0.join(format!("record-{id}"))).expect("makes");
        }
        let secret = |id: &str, secret: &str| format!("[[device]]\nid = {id:?}\nsecret = {secret:?}\n");
        let tool = |id: &str| {
            format!("[[device]]\nid = {id:?}\n[device.command]\nprogram = \"/usr/lib/flash\"\narguments = [\"tty0\"]\n")
        };
        let other = "state_dir = \"/var/lib/mdfm-agent-acme\"\ndevice_listen = \"127.0.0.1:1884\"\n";
        for (what, first, second) in [
            ("slots", slots(&gateway.0, "PUMP-1"), slots(&gateway.0, "OTHER-7")),
            ("a tool", tool("PUMP-1"), tool("OTHER-7")),
            ("a secret", secret("DEV-1", "0123456789abcdef"), secret("DEV-1", "0123456789abcdef")),
        ] {
            gateway.write("agent.toml", &first);
            let file = gateway.write("agent-acme.toml", &format!("{other}{second}"));
            assert_eq!(gateway.conflicts(&file).len(), if what == "slots" { 2 } else { 1 }, "{what}");
        }
        let file = gateway.write("agent-acme.toml", &format!("{other}{}", tool("OTHER-7")));
        gateway.write("agent.toml", &tool("PUMP-1"));
        symptom("The service does not start", "device … is device").assert_in(&gateway.conflicts(&file).join("; "));
        // Vendors give ids without asking each other: another device may have the same one.
        gateway.write("agent.toml", &secret("DEV-1", "0123456789abcdef"));
        let file = gateway.write("agent-acme.toml", &format!("{other}{}", secret("DEV-1", "fedcba9876543210")));
        assert_eq!(gateway.conflicts(&file), Vec::<String>::new());
    }

    #[test]
    fn pkg_24_names_of_vendors_are_those_of_users_and_units() {
        for valid in ["acme", "a", "b-braun", "x200"] {
            assert_eq!(valid.parse::<VendorName>().map(|name| name.0), Ok(valid.to_owned()));
        }
        for bad in ["", "Acme", "-a", "a-", "a/b", "a.b", "../x", "1a", "a b", "a\n", "é", &"a".repeat(21)] {
            assert!(bad.parse::<VendorName>().is_err(), "{bad:?}");
        }
    }
}
