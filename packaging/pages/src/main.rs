//! `mdfm-pages DIR`: writes the man pages and shell completions of every program, made from the programs' own definitions. Its tests hold
//! all of them to one grammar, and write the reference in `docs/cli-reference.md`.

#[cfg(test)]
mod book;
#[cfg(test)]
mod grammar;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod reference;

use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

fn main() -> anyhow::Result<()> {
    let is_folder = |word: &std::ffi::OsString| !word.as_encoded_bytes().starts_with(b"-");
    let dir = std::env::args_os().nth(1).filter(is_folder).context("usage: mdfm-pages DIR")?;
    programs().into_iter().try_for_each(|command| write(Path::new(&dir), command))
}

/// Every program of the product that people call.
fn programs() -> [Command; 5] {
    [
        mdfmctl::command(),
        mdfm_agent::command(),
        mdfm_coordinator::command(),
        mdfm_witness::command(),
        mdfm_simulators::command(),
    ]
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
