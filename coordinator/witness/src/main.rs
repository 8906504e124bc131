//! `mdfm-witness`: see `mdfm_witness::run`.

use clap::Parser;

fn main() -> std::process::ExitCode {
    mdfm_service::finish(mdfm_witness::run(mdfm_witness::Arguments::parse()))
}
