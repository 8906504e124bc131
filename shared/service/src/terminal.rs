//! The terminal's width, and texts and tables that are cut to it.

use console::Term;

/// Narrowest that a column of texts is made, so that some of their words are read.
const TEXT_COLUMNS_MIN: usize = 16;
/// Longest word that makes its column as wide: an id (at most 64 characters) with its kind before it. What is longer is broken.
const WORD_COLUMNS_MAX: usize = 80;
/// Blanks between two columns.
const GAP: usize = 2;
/// What stands at the end of a text that is cut between two words.
const CUT: &str = " …";
/// What a command begins with that somebody copies from the terminal: it stays on one line.
const COMMANDS: [&str; 5] = ["mdfmctl ", "mdfm-agent ", "mdfm-coordinator ", "mdfm-witness ", "mdfm-sim "];

/// A table as it stands in a terminal.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Table {
    /// The heading, and a line for each row; more where cells go on in the lines below.
    pub lines: Vec<String>,
    /// Headings of the columns for which the terminal is too narrow.
    pub left_out: Vec<String>,
}

/// Columns of the terminal behind standard output; `None` if it is not a terminal.
pub fn columns() -> Option<usize> {
    let terminal = Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1).max(1))
}

/// Columns of the terminal behind standard error; `None` if it is not a terminal.
pub(crate) fn error_columns() -> Option<usize> {
    let terminal = Term::stderr();
    terminal.is_term().then(|| usize::from(terminal.size().1).max(1))
}

/// Columns of the narrower of the terminals behind standard output and standard error; `None` if
/// neither is one.
pub fn narrowest() -> Option<usize> {
    columns().into_iter().chain(error_columns()).min()
}

/// Rows and columns of the terminal behind standard output.
pub fn size() -> (usize, usize) {
    let (rows, columns) = Term::stdout().size();
    (usize::from(rows).max(1), usize::from(columns).max(1))
}

/// A line cut to a width.
pub fn cut(line: &str, width: usize) -> String {
    console::truncate_str(line, width, "…").into_owned()
}

/// A text in lines of a width; a word that is longer stands on a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// Lines at a width, for people: what is longer goes on below, at the column in which its text began. Words are never broken, and a command that
/// somebody copies stays on one line.
pub fn folded(text: &str, width: usize) -> String {
    text.split('\n').map(|line| folded_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn folded_line(line: &str, width: usize) -> String {
    // A sentence may name a command, too; what is to be copied stands alone or has options.
    let is_command = |at: usize| {
        let (before, command) = line.split_at(at);
        let is_hint = before.ends_with(": ") && command.contains(" --");
        before.trim().is_empty() || before.ends_with("  ") || is_hint
    };
    if line.chars().count() <= width || COMMANDS.iter().filter_map(|command| line.find(command)).any(is_command) {
        return line.to_owned();
    }
    let letters: Vec<char> = line.chars().collect();
    let hanging = hanging(&letters, width);
    let (mut lines, mut rest, mut indent) = (Vec::new(), &letters[..], 0);
    while indent + rest.len() > width {
        // Not before the text: there a label stands.
        let from = if indent == 0 { hanging } else { 0 };
        let is_end = |i: &usize| rest[*i] == ' ' && *i > from && rest[*i - 1] != ' ';
        let fits = (from + 1..rest.len().min(width - indent + 1)).rev().find(is_end);
        let Some(end) = fits.or_else(|| (from + 1..rest.len()).find(is_end)) else { break };
        lines.push(" ".repeat(indent) + &rest[..end].iter().collect::<String>());
        let next = rest[end..].iter().position(|c| *c != ' ').map_or(rest.len(), |blanks| end + blanks);
        (rest, indent) = (&rest[next..], hanging);
    }
    lines.push(" ".repeat(indent) + &rest.iter().collect::<String>());
    lines.join("\n")
}

/// The column in which the text of a line begins: behind its label and the blanks that follow it, or a little to the right of the line's own beginning.
fn hanging(line: &[char], width: usize) -> usize {
    let begin = line.iter().position(|c| *c != ' ').unwrap_or(0);
    let behind_label = (begin..line.len().min(width / 2))
        .find(|i| *i >= begin + GAP && line[*i] != ' ' && line[i - GAP..*i].iter().all(|c| *c == ' '));
    behind_label.unwrap_or((begin + GAP).min(width / 2))
}

/// A table of rows with the same number of cells, the first with the headings. With a width columns are left out until no word of the others needs to
/// be cut, those named in `least_first` before the last ones, the first column never; then texts give way, and end in `…` between two words.
pub fn table(rows: &[Vec<String>], width: Option<usize>, least_first: &[&str]) -> Table {
    let Fitted { kept, widths } = fitted(rows, width, least_first, |cell| {
        cell.split_whitespace().next().map_or(0, |word| word.chars().count() + CUT.chars().count())
    });
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = kept
            .iter()
            .zip(&widths)
            .map(|(i, width)| format!("{:<width$}", cut_between_words(&row[*i], *width)))
            .collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    Table { lines: rows.iter().map(line).collect(), left_out: left_out(rows, &kept) }
}

/// The same with no text cut: what is longer than its column goes on in the lines below.
pub fn wrapped_table(rows: &[Vec<String>], width: Option<usize>, least_first: &[&str]) -> Table {
    let longest = |cell: &str| cell.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
    let Fitted { kept, widths } = fitted(rows, width, least_first, longest);
    let mut lines = Vec::new();
    for row in rows {
        let cells: Vec<Vec<String>> = kept.iter().zip(&widths).map(|(i, width)| broken(&row[*i], *width)).collect();
        for i in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let padded: Vec<String> = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{:<width$}", cell.get(i).map_or("", String::as_str)))
                .collect();
            lines.push(padded.join(&" ".repeat(GAP)).trim_end().to_owned());
        }
    }
    Table { lines, left_out: left_out(rows, &kept) }
}

fn left_out(rows: &[Vec<String>], kept: &[usize]) -> Vec<String> {
    let headings = rows.first().into_iter().flatten().enumerate();
    headings.filter(|(i, _)| !kept.contains(i)).map(|(_, heading)| heading.clone()).collect()
}

/// A cell cut between two words; within the first one only if that alone is wider than the column.
fn cut_between_words(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let room = width.saturating_sub(CUT.chars().count());
    let letters: Vec<char> = cell.chars().collect();
    match (1..=room).rev().find(|i| letters[*i] == ' ' && letters[*i - 1] != ' ') {
        Some(end) => letters[..end].iter().collect::<String>() + CUT,
        None => cut(cell, width),
    }
}

/// A cell in lines of a width; a word that is longer is broken.
fn broken(cell: &str, width: usize) -> Vec<String> {
    let wrapped = wrap(cell, width);
    let pieces = wrapped.lines().flat_map(|line| {
        let letters: Vec<char> = line.chars().collect();
        letters.chunks(width.max(1)).map(|piece| piece.iter().collect::<String>()).collect::<Vec<_>>()
    });
    pieces.collect()
}

/// The columns of a table that a terminal has room for, and their widths.
struct Fitted {
    kept: Vec<usize>,
    widths: Vec<usize>,
}

/// Chooses columns and widths; `words` is the room that the words of a text need at least.
fn fitted(rows: &[Vec<String>], width: Option<usize>, least_first: &[&str], words: impl Fn(&str) -> usize) -> Fitted {
    let headings: &[String] = rows.first().map_or(&[], Vec::as_slice);
    let cells = |i: usize| rows.iter().filter_map(move |row| row.get(i));
    let natural: Vec<usize> =
        (0..headings.len()).map(|i| cells(i).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let mut kept: Vec<usize> = (0..headings.len()).collect();
    let Some(width) = width else { return Fitted { kept, widths: natural } };
    // A heading, a time and an id that are cut say nothing; the name of an action is read from its beginning.
    let of_cell = |cell: &String| {
        let chars = cell.chars().count();
        let is_action = cell.contains('.') && cell.chars().all(|c| c.is_ascii_lowercase() || ".-".contains(c));
        if is_action {
            return chars.min(TEXT_COLUMNS_MIN);
        }
        let text = words(cell).max(TEXT_COLUMNS_MIN);
        if cell.contains(' ') { text.min(chars).min(WORD_COLUMNS_MAX) } else { chars.min(WORD_COLUMNS_MAX) }
    };
    let least: Vec<usize> = (0..headings.len())
        .map(|i| cells(i).skip(1).map(of_cell).max().unwrap_or(0).max(headings[i].chars().count()))
        .collect();
    let taken = |kept: &[usize], widths: &[usize]| {
        kept.iter().map(|i| widths[*i]).sum::<usize>() + GAP * kept.len().saturating_sub(1)
    };
    while kept.len() > 1 && taken(&kept, &least) > width {
        let is_named = |named: &&str| kept.iter().skip(1).position(|i| headings[*i] == **named);
        let at = least_first.iter().find_map(is_named).map_or(kept.len() - 1, |at| at + 1);
        kept.remove(at);
    }
    let mut widths = natural;
    for _ in 0..taken(&kept, &widths).saturating_sub(width) {
        let can_give = kept.iter().filter(|i| widths[**i] > least[**i]);
        let Some(widest) = can_give.max_by_key(|i| widths[**i]) else { break };
        widths[*widest] -= 1;
    }
    let widths = kept.iter().map(|i| widths[*i]).collect();
    Fitted { kept, widths }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    const LONG: &str = "a text that takes more room than a terminal of forty columns has";

    #[test]
    fn cli_26_texts_give_way_between_two_words() {
        let table_of =
            |width| table(&rows(&[["DEVICE", "STATE", "WAITS FOR"], ["DEV-12345", "confirmed", LONG]]), width, &[]);
        let lines = table_of(Some(40)).lines;
        assert_eq!(lines[1], "DEV-12345  confirmed  a text that …", "{lines:?}");
        assert!(table_of(None).lines[1].ends_with(LONG), "a file gets everything");
        assert_eq!(table(&[], Some(40), &[]), Table::default());
        let wrapped = wrapped_table(&rows(&[["DEVICE", "WAITS FOR"], ["DEV-12345", LONG]]), Some(40), &[]).lines;
        assert!(wrapped.len() > 3 && wrapped.iter().all(|line| line.chars().count() <= 40), "{wrapped:?}");
        let words = wrapped[1..].join(" ");
        assert!(LONG.split(' ').all(|word| words.contains(word)), "nothing is lost: {wrapped:?}");
        assert_eq!(broken(&"x".repeat(10), 4), ["xxxx", "xxxx", "xx"]);
        assert_eq!(cut_between_words("D-1, D-22, D-333", 12), "D-1, D-22, …", "no id of a list is cut");
    }

    #[test]
    fn cli_26_the_least_important_columns_are_left_out() {
        let all = rows(&[
            ["DEVICE", "MODEL", "SECOND FACTOR", "HOSPITAL"],
            ["DEV-12345", "CardiacMonitor-X200", "-", "HOSP-001"],
        ]);
        let at = |width| table(&all, Some(width), &["MODEL"]);
        assert_eq!(at(80).left_out, Vec::<String>::new());
        assert_eq!(
            (at(45).left_out, at(45).lines[0].as_str()),
            (vec!["MODEL".into()], "DEVICE     SECOND FACTOR  HOSPITAL")
        );
        assert_eq!(at(30).left_out, ["MODEL", "HOSPITAL"], "then the last one: a heading is never cut");
        assert_eq!(at(5).lines, ["DEVICE", "DEV-12345"], "the first one stays, and is whole");
    }

    #[test]
    fn cli_26_no_table_is_wider_or_cuts_a_word() {
        // Every number of columns, with cells of every kind, in terminals of every width.
        let cells = [
            "-",
            "DEV-12345",
            "2026-11-30T10:00:00Z",
            LONG,
            "dep-01JDXM4Q8ZK9V7",
            "D-1, D-2, D-3, D-4, D-5, D-6, D-7",
            "",
        ];
        for columns in 1..=8 {
            for turn in 0..cells.len() {
                let row =
                    |from: usize| (0..columns).map(|i| cells[(from + i * turn) % cells.len()].to_owned()).collect();
                let heading: Vec<String> = (0..columns).map(|i| format!("HEADING {i}")).collect();
                let all: Vec<Vec<String>> = std::iter::once(heading.clone()).chain((0..cells.len()).map(row)).collect();
                for width in (20..200).step_by(9) {
                    for (is_cut, made) in [
                        (true, table(&all, Some(width), &["HEADING 2"])),
                        (false, wrapped_table(&all, Some(width), &[])),
                    ] {
                        let [lines, left_out] = [&made.lines, &made.left_out];
                        // A word that is alone and wider is left to the terminal.
                        let is_alone = left_out.len() + 1 == columns;
                        let is_fit = |line: &String| line.chars().count() <= width || is_alone;
                        assert!(lines.iter().all(is_fit), "{width}: {lines:#?}");
                        let is_whole = |name: &String| lines[0].contains(name.as_str()) != left_out.contains(name);
                        assert!(heading.iter().all(is_whole), "{width}: {left_out:?} {:?}", lines[0]);
                        let words = lines[1..].iter().flat_map(|line| line.split_whitespace());
                        let known = |word: &str| {
                            word == "…" || all.iter().flatten().any(|cell| cell.split(' ').any(|own| own == word))
                        };
                        words.for_each(|word| assert!(known(word), "{width} {is_cut}: {word} {lines:#?}"));
                    }
                }
            }
        }
    }

    #[test]
    fn cli_26_lines_go_on_below_their_text() {
        let line = "  reason   because of something that takes many words";
        assert_eq!(folded(line, 40), "  reason   because of something that\n           takes many words");
        assert_eq!(folded("one two three four", 9), "one two\n  three\n  four");
        let digest = format!("sha256 {}", "a".repeat(64));
        assert!(folded(&digest, 40).contains(&"a".repeat(64)), "a digest is never broken");
        let command = "next: mdfmctl approve FW-1 --role QA --key qa.key --reason tested";
        assert_eq!(folded(command, 40), command, "nor is a command");
        assert_eq!(folded("bring it with `mdfmctl bundles deliver` at once", 30).lines().count(), 2);
        for width in 1..60 {
            let all: String = folded(line, width).split_whitespace().collect();
            assert_eq!(all, line.split_whitespace().collect::<String>(), "{width}");
        }
    }

    #[test]
    fn cli_29_texts_are_wrapped_at_words() {
        assert_eq!(wrap("one two three\nfour", 8), "one two\nthree\nfour");
        assert_eq!(wrap("incomprehensibilities are", 5), "incomprehensibilities\nare");
    }
}
