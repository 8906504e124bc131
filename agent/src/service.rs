//! The program: enrolment and the daemon.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::{Config, DEFAULT_TOML};
use crate::{link, runner};

/// The gateway agent of the Medical Device Firmware Manager.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
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
    /// Prints the commented default configuration.
    DefaultConfig,
}

/// Runs one invocation of the program.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    start_logging()?;
    let config = arguments.config.map_or_else(|| Ok(Config::default()), |path| Config::load(&path))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command {
        Action::Enrol { token_file, again } => {
            let text = if token_file.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())?
            } else {
                std::fs::read_to_string(&token_file)
                    .with_context(|| format!("reading the enrolment token from {}", token_file.display()))?
            };
            let gateway = runtime.block_on(link::enrol(&config.state_dir, &text, again))?;
            tracing::info!(%gateway, "enrolled; start the agent with `mdfm-agent run`");
            Ok(())
        }
        Action::Run { check_config: true } => Ok(()),
        Action::Run { check_config: false } => runtime.block_on(runner::run(config)),
        Action::DefaultConfig => {
            #[expect(clippy::print_stdout, reason = "printing is what the command is for")]
            {
                print!("{DEFAULT_TOML}");
            }
            Ok(())
        }
    }
}

/// Structured records to journald under systemd, lines to stderr elsewhere; `MDFM_LOG` sets the level.
fn start_logging() -> anyhow::Result<()> {
    if systemd_journal_logger::connected_to_journal() {
        systemd_journal_logger::JournalLog::new()?.install()?;
        log::set_max_level(log::LevelFilter::Info);
    } else {
        let filter = tracing_subscriber::EnvFilter::try_from_env("MDFM_LOG")
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,rumqttd=error,sled=warn"));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    Ok(())
}
