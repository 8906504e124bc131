//! The program: enrolment and the daemon.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use mdfm_service::command_line::{Examples, described};
use mdfm_service::{Exit, Stop};
use mdfm_shared::id::DeviceId;

use crate::config::{Config, DEFAULT_TOML};
use crate::disk::{DiskHandle, Real};
use crate::local;
use crate::vendor::{self, VendorName};
use crate::{conformance, device, device_files, link, runner};

/// The gateway agent of the Medical Device Firmware Manager.
#[derive(Debug, Parser)]
#[command(name = "mdfm-agent", version)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// One vendor's agent of several.
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "config")]
    vendor: Option<VendorName>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Enrols this gateway with the one-time token from the vendor's operator.
    Enrol {
        /// File with the token in its first line; `-` reads standard input.
        #[arg(long)]
        token_file: PathBuf,
        /// Replace an identity that is there already.
        #[arg(long)]
        again: bool,
    },
    /// Runs the agent.
    Run {
        /// Only check the configuration.
        #[arg(long)]
        check_config: bool,
    },
    #[command(flatten)]
    OnSite(local::Action),
    /// Adds, lists and removes agents of several vendors on this gateway.
    Vendor {
        #[command(subcommand)]
        change: vendor::Change,
    },
    /// The boot loader's side of a device whose images lie on this gateway: chooses the slot to start, verifies it, counts the boot
    /// and prints what to start, as JSON. Ends with an error where nothing may be started.
    BootSlot {
        /// The device.
        device: DeviceId,
    },
    /// Asks a device, or the tool in front of it, everything that the agent will rely on, and says where it falls short. For makers
    /// of devices, on a bench: it installs the image permanently. No agent may run meanwhile.
    Conformance {
        /// The device, as it stands in the configuration.
        device: DeviceId,
        /// The image to install; another one than the device runs.
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// Version label of the image.
        #[arg(long, default_value = "conformance")]
        version: String,
        /// Time that the device may take for a boot, in seconds.
        #[arg(long, default_value_t = 120)]
        boot_seconds: u64,
    },
    /// Prints the commented default configuration.
    DefaultConfig,
}

/// An example of each command.
const EXAMPLES: &Examples = &[
    ("enrol", "enrol --token-file GW-001.token"),
    ("run", "run --check-config"),
    ("status", "status"),
    ("devices", "devices --json"),
    ("device", "device DEV-1"),
    ("device add", "device add --id DEV-1 --adapter mqtt --secret-file DEV-1.secret"),
    ("device list", "device list"),
    ("device remove", "device remove DEV-1"),
    ("vendor add", "vendor add acme --device-listen 10.20.0.1:1884"),
    ("vendor list", "vendor list"),
    ("vendor remove", "vendor remove acme"),
    ("rollback", "rollback DEV-1 --reason 'ward 3: alarm fails'"),
    ("hold", "hold DEV-1 --reason 'ward 3: therapy until noon'"),
    ("release", "release DEV-1 --reason 'ward 3: therapy ended'"),
    ("consent", "consent dep-1a2b3c --reason 'agreed by Dr. Roe'"),
    ("import", "import /media/stick/bundle"),
    ("export", "export /media/stick/telemetry"),
    ("logs", "logs --device DEV-1 --limit 20"),
    ("selftest", "selftest"),
    ("accept-clock", "accept-clock --reason 'compared with the wall clock by J. Doe'"),
    ("boot-slot", "boot-slot DEV-1"),
    ("conformance", "conformance DEV-1 --image monitor-2.2.0.img"),
    ("default-config", "default-config"),
];

/// The command line, with an example of each command.
pub fn command() -> clap::Command {
    described(Arguments::command(), EXAMPLES)
}

/// Runs one invocation of the program.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let level = mdfm_service::start_logging("rumqttd=error,")?;
    let path = arguments.config.or_else(|| arguments.vendor.as_ref().map(VendorName::config));
    let service = path.as_deref().map_or_else(|| "mdfm-agent".into(), vendor::service_of);
    let config = Config::load(path.as_deref())?;
    level.set(&config.log_level).map_err(|e| Stop::new(Exit::Config, format!("log_level: {e}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command {
        Action::Enrol { token_file, again } => {
            mdfm_service::check_directory("state_dir", &config.state_dir)?;
            let text = mdfm_service::read_secret_or_input(&token_file).context("reading the enrolment token")?;
            let road = config.road().map_err(|e| Stop::new(Exit::Config, e))?;
            become_owner_of(&config.state_dir)?;
            let gateway = runtime.block_on(link::enrol(&config.state_dir, &road, &text, again))?;
            tracing::info!(%gateway, "enrolled; start the agent (systemctl start {service}, or `mdfm-agent run`)");
            Ok(())
        }
        Action::OnSite(local::Action::Device { change: Some(change), .. }) => {
            device_files::run(path.as_deref(), change, local::Output { json: arguments.json })
        }
        Action::Vendor { change } => vendor::run(path.as_deref(), change, local::Output { json: arguments.json }),
        Action::OnSite(action) => local::run(&config.state_dir, action, local::Output { json: arguments.json }),
        Action::Run { check_config: true } => {
            mdfm_service::check_directory("state_dir", &config.state_dir)?;
            let mut problems: Vec<String> = config.slot_problems().into_iter().map(|p| p.reason).collect();
            if let Some(path) = &path {
                problems.extend(vendor::conflicts(path, &config)?);
            }
            if !problems.is_empty() {
                return Err(Stop::new(Exit::Config, problems.join("; ")).into());
            }
            tracing::info!("the configuration is valid");
            Ok(())
        }
        Action::Run { check_config: false } => {
            mdfm_service::check_directory("state_dir", &config.state_dir)?;
            runtime.block_on(enrol_by_credential(&config, &service))?;
            runtime.block_on(runner::run(config, path, level))
        }
        Action::BootSlot { device } => {
            let slots = config.device(&device).and_then(|d| d.slots.as_ref());
            let slots = slots.with_context(|| format!("no [[device]] {device} with slots is configured"))?;
            let disk: DiskHandle = std::sync::Arc::new(Real);
            let booted = device::boot(&disk, slots).with_context(|| format!("starting {device}"))?;
            mdfm_service::output::json(serde_json::to_string(&booted)?);
            Ok(())
        }
        Action::Conformance { device, image, version, boot_seconds } => {
            mdfm_service::check_directory("state_dir", &config.state_dir)?;
            let options = conformance::Options { device, image, version, boot_seconds, json: arguments.json };
            runtime.block_on(conformance::run(&config, options))
        }
        Action::DefaultConfig => {
            mdfm_service::output::constant(DEFAULT_TOML);
            Ok(())
        }
    }
}

/// Goes on as the user to whom a directory belongs, where root runs this: what is written there is the service's, which could not read it otherwise,
/// and nothing that lies there leads root elsewhere.
///
/// # Errors
/// The user cannot be taken on.
fn become_owner_of(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;

    use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};

    let Ok(metadata) = directory.metadata() else { return Ok(()) };
    if !geteuid().is_root() || metadata.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    let taken = setgroups(&[group]).and_then(|()| setgid(group)).and_then(|()| setuid(user));
    taken.with_context(|| format!("going on as the user of {} (id {user})", directory.display()))
}

/// Name under which systemd may hand over an enrolment token (LoadCredential=): a gateway without an identity enrols with it.
fn token_credential(service: &str) -> String {
    format!("{}.enrolment-token", service.replace('@', "-"))
}

/// Enrols on the first start where the package's operator left a token for it.
async fn enrol_by_credential(config: &Config, service: &str) -> anyhow::Result<()> {
    let file = mdfm_service::credential_or(&token_credential(service), PathBuf::new());
    if file.as_os_str().is_empty() || link::is_enrolled(&config.state_dir) {
        return Ok(());
    }
    let text = mdfm_service::read_secret(&file).context("reading the enrolment token that systemd handed over")?;
    if text.trim().is_empty() {
        return Ok(());
    }
    let road = config.road().map_err(|e| Stop::new(Exit::Config, e))?;
    let gateway = link::enrol(&config.state_dir, &road, &text, false).await?;
    tracing::info!(%gateway, "enrolled with the token that systemd handed over; it is used up and may be removed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn cli_21_a_device_is_shown_and_added_by_one_noun() {
        Arguments::command().debug_assert();
        let action = |words: &str| Arguments::try_parse_from(words.split(' ')).map(|arguments| arguments.command);
        let shown = action("mdfm-agent device DEV-1").expect("parses");
        assert!(matches!(shown, Action::OnSite(local::Action::Device { device: Some(_), change: None })));
        for words in ["list", "remove DEV-1", "add --id DEV-1 --adapter mqtt"] {
            let changed = action(&format!("mdfm-agent device {words}")).expect(words);
            assert!(
                matches!(changed, Action::OnSite(local::Action::Device { device: None, change: Some(_) })),
                "{words}"
            );
        }
        for bad in ["mdfm-agent device", "mdfm-agent device DEV-1 list", "mdfm-agent device add"] {
            assert!(action(bad).is_err(), "{bad}");
        }
    }
}
