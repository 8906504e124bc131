//! `mdfm-agent`: see `mdfm_agent::run`.

use clap::Parser;

fn main() -> anyhow::Result<()> {
    mdfm_agent::run(mdfm_agent::Arguments::parse())
}
