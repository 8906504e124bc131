//! A fleet's worth of load: thousands of gateways with real TLS and MQTT in one process, as the coordinator sees them.
//!
//! `enrol` makes the gateways known to a coordinator, `run` lets them connect, beat, report and come back, and says what that
//! took as histograms.

mod enrol;
mod gateway;
mod load;
mod picture;
mod report;
mod session;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with the fleet.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Registers hospitals, gateways and devices at a coordinator and enrols the gateways.
    Enrol(enrol::Arguments),
    /// Connects the enrolled gateways and loads the coordinator with them.
    Run(load::Arguments),
}

/// Directory that holds the fleet's keys and certificates: as secret as those of real gateways.
#[derive(Debug, Args)]
struct Directory {
    /// Directory of the fleet, made by `enrol`.
    #[arg(long)]
    dir: PathBuf,
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    mdfm_service::raise_descriptors()?;
    match arguments.action {
        Action::Enrol(arguments) => enrol::run(arguments).await,
        Action::Run(arguments) => load::run(arguments).await,
    }
}
