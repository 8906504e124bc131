//! `mdfm-sim`: simulated medical devices.

mod device;

use clap::{Parser, Subcommand};

/// Simulators of the Medical Device Firmware Manager.
#[derive(Debug, Parser)]
#[command(name = "mdfm-sim", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Runs one device: two slots and a boot loader on disk, MQTT to its gateway, faults by script.
    Device(device::Arguments),
}

/// Runs one invocation of the program.
///
/// # Errors
/// What ended it.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    mdfm_service::start_logging("")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command {
        Action::Device(arguments) => runtime.block_on(device::run(arguments)),
    }
}
