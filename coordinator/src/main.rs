//! `mdfm-coordinator`: see `mdfm_coordinator::run`.

use clap::Parser;

fn main() -> std::process::ExitCode {
    mdfm_service::finish(mdfm_coordinator::run(mdfm_coordinator::Arguments::parse()))
}
