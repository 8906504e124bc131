//! `mdfm-sim`: simulated medical devices.

mod device;

use clap::{Parser, Subcommand};

/// Simulators of the Medical Device Firmware Manager.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Runs one device: two slots and a boot loader on disk, MQTT to its gateway, faults by script.
    Device(device::Arguments),
}

fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MDFM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match Arguments::parse().command {
        Action::Device(arguments) => runtime.block_on(device::run(arguments)),
    }
}
