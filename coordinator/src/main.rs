//! `mdfm-coordinator`: see `mdfm_coordinator::run`.

use clap::Parser;

fn main() -> anyhow::Result<()> {
    mdfm_coordinator::run(mdfm_coordinator::Arguments::parse())
}
