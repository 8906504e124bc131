//! `mdfm-pages DIR`: writes the man pages and shell completions of every program, made from the programs' own definitions.

use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

fn main() -> anyhow::Result<()> {
    let dir = std::env::args_os().nth(1).context("usage: mdfm-pages DIR")?;
    for command in [
        mdfm_agent::Arguments::command(),
        mdfm_coordinator::Arguments::command(),
        mdfmctl::command(),
        mdfm_simulators::Arguments::command(),
        mdfm_witness::Arguments::command(),
    ] {
        write(Path::new(&dir), command)?;
    }
    Ok(())
}

/// Below `dir/<program>/`: `man/<program>[-<subcommand>].1`, `bash/`, `zsh/` and `fish/`.
fn write(dir: &Path, mut command: Command) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let dir = dir.join(&name);
    let man = dir.join("man");
    std::fs::create_dir_all(&man)?;
    clap_mangen::generate_to(command.clone(), &man)?;
    for (shell, folder) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder)?;
        clap_complete::generate_to(shell, &mut command, &name, folder)?;
    }
    Ok(())
}
