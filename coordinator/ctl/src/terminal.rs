//! What is asked of the terminal itself: secrets that it does not show, and what fits it. Nothing but a prompt's line break is printed here.

use std::io::IsTerminal;

use anyhow::{Context, ensure};
use mdfm_service::output;
use mdfm_service::terminal::cut;
use mdfm_shared::text::printable;

/// Asks for a secret that the terminal does not show while it is typed.
///
/// # Errors
/// There is no terminal to ask on; `option` is what gives the secret without one. Or nothing was typed.
pub(crate) fn ask_secret(what: &str, option: &str) -> anyhow::Result<String> {
    ensure!(is_interactive(), "{what} is needed: give {option}; it is asked for only on a terminal");
    read_secret(what, "")?.with_context(|| format!("nothing was typed for {what}"))
}

/// Whether somebody types here and reads the questions.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && console::Term::stderr().is_term()
}

/// Asks for a secret that may be left out; `None` if nothing was typed. `enter_alone` says what happens then, as `keeps the present one`.
///
/// # Errors
/// There is no terminal to ask on.
pub(crate) fn ask_secret_or_nothing(what: &str, enter_alone: &str) -> anyhow::Result<Option<String>> {
    ensure!(is_interactive(), "{what} is asked for only on a terminal");
    read_secret(what, &format!("; Enter alone {enter_alone}"))
}

fn read_secret(what: &str, hint: &str) -> anyhow::Result<Option<String>> {
    output::note(format_args!("{what} (not shown while you type{hint}):"));
    Ok(Some(console::Term::stderr().read_secure_line()?).filter(|answer| !answer.is_empty()))
}

/// Asks for a line that is shown while it is typed.
///
/// # Errors
/// There is no terminal to ask on; `option` is what gives it without one. Or nothing was typed.
pub(crate) fn ask_line(what: &str, option: &str) -> anyhow::Result<String> {
    ensure!(is_interactive(), "{what} is needed: give {option}; it is asked for only on a terminal");
    output::note(format_args!("{what}:"));
    let answer = console::Term::stderr().read_line()?.trim().to_owned();
    ensure!(!answer.is_empty(), "nothing was typed for {what}");
    Ok(answer)
}

/// A drawing cut to a terminal: no line wraps, and with the line of the cursor below it nothing scrolls.
pub(crate) fn fit(drawing: &str, rows: usize, columns: usize) -> String {
    // The last column stays free: some terminals break a line that fills it.
    let line = |line: &str| cut(&printable(line), columns.saturating_sub(1).max(1));
    let room = rows.saturating_sub(1).max(1);
    let all: Vec<&str> = drawing.lines().collect();
    if all.len() <= room {
        return all.into_iter().map(line).collect::<Vec<_>>().join("\n");
    }
    let shown = room - 1;
    let more = format!("… {} more lines; the terminal is too low for them", all.len() - shown);
    all.into_iter().take(shown).map(line).chain([line(&more)]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_16_a_drawing_never_outgrows_its_terminal() {
        let drawing =
            |lines: usize| (0..lines).map(|i| format!("line {i} of a drawing")).collect::<Vec<_>>().join("\n");
        for rows in [1, 2, 3, 10, 24, 60] {
            for columns in [1, 2, 5, 20, 80] {
                for lines in [0, 1, 2, 9, 10, 23, 24, 25, 200] {
                    let shown = fit(&drawing(lines), rows, columns);
                    assert!(shown.lines().count() <= rows.saturating_sub(1).max(1), "{rows} {columns} {lines}");
                    assert!(shown.lines().all(|line| line.chars().count() < columns.max(2)), "{columns}: {shown}");
                }
            }
        }
        assert_eq!(fit(&drawing(3), 24, 80), drawing(3), "what fits is not touched");
        assert!(fit(&drawing(30), 10, 80).ends_with("… 22 more lines; the terminal is too low for them"));
        assert!(!fit("a\u{1b}[2J\tb", 10, 80).contains(['\u{1b}', '\t']));
    }
}
