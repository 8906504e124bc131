//! The terminal's width, and texts and tables that are cut to it.

use console::Term;

/// Narrowest that a column is made, so that another one is still seen.
const COLUMN_MIN: usize = 8;
/// Blanks between two columns.
const GAP: usize = 2;

/// Columns of the terminal behind standard output; `None` if it is not a terminal.
pub fn columns() -> Option<usize> {
    let terminal = Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1).max(1))
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

/// The lines of a table, all with the same number of cells. With a width the widest columns give way first, the first one never does, and what is
/// longer than its column ends in `…`.
pub fn table(rows: Vec<Vec<String>>, width: Option<usize>) -> Vec<String> {
    let widths = widths(&rows, width);
    let line = |cells: Vec<String>| {
        let cut_to = |(cell, width): (&String, &usize)| {
            if cell.chars().count() > *width { cut(cell, *width) } else { cell.clone() }
        };
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|pair| format!("{:<w$}", cut_to(pair), w = *pair.1)).collect();
        let line = padded.join(&" ".repeat(GAP)).trim_end().to_owned();
        width.map_or(line.clone(), |width| cut(&line, width))
    };
    rows.into_iter().map(line).collect()
}

/// The same with nothing cut: what is longer than its column goes on in the lines below.
pub fn wrapped_table(rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let widths = widths(rows, width);
    let mut lines = Vec::new();
    for row in rows {
        let cells: Vec<Vec<String>> = row.iter().zip(&widths).map(|(cell, width)| broken(cell, *width)).collect();
        for i in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let padded: Vec<String> = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{:<width$}", cell.get(i).map_or("", String::as_str)))
                .collect();
            lines.push(padded.join(&" ".repeat(GAP)).trim_end().to_owned());
        }
    }
    lines
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

/// The widths of columns, within that of a terminal.
fn widths(rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let longest =
        |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let natural: Vec<usize> = (0..columns).map(longest).collect();
    // A time that is cut says nothing.
    let is_fixed = |i: usize| rows.iter().skip(1).filter_map(|row| row.get(i)).any(|cell| is_time(cell));
    let least: Vec<usize> =
        natural.iter().enumerate().map(|(i, n)| if is_fixed(i) { *n } else { COLUMN_MIN }).collect();
    width.map_or(natural.clone(), |width| fitted(natural, &least, width))
}

/// Whether a cell is a time (RFC 3339) and nothing else.
fn is_time(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    (20..=35).contains(&bytes.len())
        && bytes[4] == b'-'
        && bytes[10] == b'T'
        && bytes[13] == b':'
        && !cell.contains(' ')
}

/// The widths of columns in a terminal, none narrower than its least.
fn fitted(mut widths: Vec<usize>, least: &[usize], width: usize) -> Vec<usize> {
    let taken = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    for _ in 0..taken.saturating_sub(width) {
        let can_give = widths.iter_mut().zip(least).skip(1).filter(|(width, least)| **width > **least);
        let Some((widest, _)) = can_give.max() else { break };
        *widest -= 1;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_26_the_widest_columns_give_way() {
        assert_eq!(fitted(vec![30, 5], &[8, 8], 10), [30, 5], "nothing is left to give way");
        assert_eq!(fitted(vec![10, 30, 20], &[8, 8, 8], 44), [10, 15, 15]);
        assert_eq!(fitted(vec![10, 20, 20], &[8, 20, 8], 44), [10, 20, 10], "a time stays whole");
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let long = "a text that takes more room than a terminal of forty columns has";
        let rows = || vec![row(["DEVICE", "STATE", "WAITS FOR"]), row(["DEV-12345", "confirmed", long])];
        let lines = table(rows(), Some(40));
        assert!(lines.iter().all(|line| line.chars().count() <= 40) && lines[1].ends_with('…'), "{lines:?}");
        assert!(table(rows(), None)[1].ends_with(long), "a file gets everything");
        assert!(table(Vec::new(), Some(40)).is_empty());
        let wrapped = wrapped_table(&rows(), Some(40));
        assert!(wrapped.len() > 3 && wrapped.iter().all(|line| line.chars().count() <= 40), "{wrapped:?}");
        let words = wrapped[1..].join(" ");
        assert!(long.split(' ').all(|word| words.contains(word)), "nothing is lost: {wrapped:?}");
        assert_eq!(broken(&"x".repeat(10), 4), ["xxxx", "xxxx", "xx"]);
    }

    #[test]
    fn cli_29_texts_are_wrapped_at_words() {
        assert_eq!(wrap("one two three\nfour", 8), "one two\nthree\nfour");
        assert_eq!(wrap("incomprehensibilities are", 5), "incomprehensibilities\nare");
    }
}
