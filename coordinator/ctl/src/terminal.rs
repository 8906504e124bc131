//! What is asked of the terminal itself: its size, and secrets that it does not show. Nothing but a prompt's line break is printed here.

use std::io::IsTerminal;

use anyhow::ensure;
use mdfm_service::output;
use mdfm_shared::text::printable;

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

/// Columns of the terminal behind standard output; `None` if there is none.
pub(crate) fn width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1).max(1))
}

/// Rows and columns of the terminal behind standard output.
pub(crate) fn size() -> (usize, usize) {
    let (rows, columns) = console::Term::stdout().size();
    (usize::from(rows).max(1), usize::from(columns).max(1))
}

/// A line cut to a width.
pub(crate) fn cut(line: &str, width: usize) -> String {
    console::truncate_str(line, width, "…").into_owned()
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
