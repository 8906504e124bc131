//! `mdfm-sim`: simulated medical devices, gateways by the thousand, and whole fleets in virtual time.

mod device;
mod fleet;
mod world;

use clap::{CommandFactory, Parser, Subcommand};
use mdfm_service::command_line::{Examples, described};

pub use world::rehearse;

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
    /// Runs one device whose images lie on the gateway, served by the agent's slots.
    Bedside(device::bedside::Arguments),
    /// One operation of a maker's flashing tool, with a simulated device behind it: the sample for the agent's command adapter.
    Tool(device::tool::Arguments),
    /// Loads a coordinator with thousands of gateways: real TLS, real MQTT, one process.
    Fleet(fleet::Arguments),
    /// Runs worlds in virtual time: agents, coordinator, lines, disks, devices and people, by seed or scenario.
    World(world::Arguments),
    /// Rolls firmware out to a fleet of any size in virtual time and says what it cost.
    Scale(world::scale::Arguments),
}

/// An example of each command.
const EXAMPLES: &Examples = &[
    ("device", "device --id DEV-1 --broker 127.0.0.1:8883 --secret-file DEV-1.secret --dir DEV-1"),
    ("bedside", "bedside --id DEV-1 --agent mdfm-agent --config agent.toml --dir DEV-1"),
    ("tool", "tool report DEV-1 --dir DEV-1"),
    ("fleet enrol", "fleet enrol --dir fleet --session operator.session --gateways 1000"),
    ("fleet run", "fleet run --dir fleet --seconds 60"),
    ("world", "world --seeds 100 --first-seed 7"),
    ("scale", "scale --devices 1000000 --hospitals 2000"),
];

/// The command line, with an example of each command.
pub fn command() -> clap::Command {
    described(Arguments::command(), EXAMPLES)
}

/// Runs one invocation of the program.
///
/// # Errors
/// What ended it.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    // A world tells its story in its own time; the journal would tell it in ours. So why it ended is printed here.
    let note = |error: &anyhow::Error| mdfm_service::output::note(format_args!("mdfm-sim: {error:#}"));
    if let Action::World(arguments) = &arguments.command {
        return world::run(arguments).inspect_err(note);
    }
    if let Action::Scale(arguments) = &arguments.command {
        return world::scale::run(arguments).inspect_err(note);
    }
    mdfm_service::start_logging("")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command {
        Action::Device(arguments) => runtime.block_on(device::run(arguments)),
        Action::Bedside(arguments) => runtime.block_on(device::bedside::run(arguments)),
        Action::Tool(arguments) => match device::tool::run(&arguments)? {
            0 => Ok(()),
            code => std::process::exit(code),
        },
        Action::Fleet(arguments) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(fleet::run(arguments))
        }
        Action::World(_) | Action::Scale(_) => Ok(()),
    }
}
