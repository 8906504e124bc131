//! `mdfm-sim`: see `mdfm_simulators::run`.

use clap::Parser;

fn main() -> std::process::ExitCode {
    mdfm_service::finish(mdfm_simulators::run(mdfm_simulators::Arguments::parse()))
}
