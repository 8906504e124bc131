//! What is asked of the terminal itself: its width, and secrets that it does not show. Nothing but a prompt's line break is printed here.

use std::io::IsTerminal;

use anyhow::ensure;
use mdfm_service::output;

/// Asks for a secret that the terminal does not show while it is typed.
///
/// # Errors
/// There is no terminal to ask on; `option` is what gives the secret without one.
pub(crate) fn ask_secret(what: &str, option: &str) -> anyhow::Result<String> {
    let terminal = console::Term::stderr();
    let is_terminal = std::io::stdin().is_terminal() && terminal.is_term();
    ensure!(is_terminal, "{what} is needed: give {option}; it is asked for only on a terminal");
    output::note(format_args!("{what} (is not shown):"));
    let answer = terminal.read_secure_line()?;
    ensure!(!answer.is_empty(), "nothing was typed for {what}");
    Ok(answer)
}

/// Columns of the terminal behind standard output.
pub(crate) fn columns() -> usize {
    usize::from(console::Term::stdout().size().1)
}
