//! `mdfm-agent`: see `mdfm_agent::run`.

use clap::Parser;

fn main() -> std::process::ExitCode {
    mdfm_service::finish(mdfm_agent::run(mdfm_agent::Arguments::parse()))
}
