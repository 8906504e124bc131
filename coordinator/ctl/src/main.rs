//! `mdfmctl`: see `mdfmctl::run`.

use clap::Parser;

fn main() -> std::process::ExitCode {
    mdfmctl::run(mdfmctl::Arguments::parse())
}
