//! Tables as spreadsheets write them: in UTF-8 or UTF-16, with or without a byte-order mark, separated by what the country of the writer separates by.

use std::borrow::Cow;

use mdfm_shared::json::text_without_mark;

use super::Problem;
use mdfm_coordinator_core::Refusal;

/// What separates cells.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A table as text, and how to read it.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) delimiter: u8,
    /// Lines of the file before `text`, for errors.
    pub(super) lines_before: u64,
}

impl<'a> Table<'a> {
    /// Finds out how a table is written.
    ///
    /// # Errors
    /// It is empty, or no text.
    pub(super) fn of(body: &'a [u8]) -> Result<Self, Problem> {
        let wrong = |problem: &str| Problem::from(Refusal::invalid("rows", problem));
        let text = match body {
            [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes).ok_or_else(|| wrong(NOT_UTF16))?),
            [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes).ok_or_else(|| wrong(NOT_UTF16))?),
            // A table begins with a letter of its header: the zero beside it says how it is written.
            [first, 0, ..] if *first != 0 => {
                Cow::Owned(utf16(body, u16::from_le_bytes).ok_or_else(|| wrong(NOT_UTF16))?)
            }
            [0, first, ..] if *first != 0 => {
                Cow::Owned(utf16(body, u16::from_be_bytes).ok_or_else(|| wrong(NOT_UTF16))?)
            }
            _ => Cow::Borrowed(std::str::from_utf8(body).map_err(|e| {
                wrong(&format!(
                    "the list is neither UTF-8 (byte {}) nor UTF-16; save it as \"CSV UTF-8\"",
                    e.valid_up_to() + 1
                ))
            })?),
        };
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text_without_mark(text)),
            Cow::Owned(text) => Cow::Owned(text_without_mark(&text).to_owned()),
        };
        // Lines that end as on an old Mac: a reader counts none of them.
        let text =
            if text.contains('\r') && !text.contains('\n') { Cow::Owned(text.replace('\r', "\n")) } else { text };
        if text.trim().is_empty() {
            return Err(wrong(EMPTY));
        }
        let (text, lines_before) = without_lines(text, |line| line.trim().is_empty());
        let first = text.lines().next().unwrap_or_default().trim();
        let named = first.get(..4).filter(|begin| begin.eq_ignore_ascii_case("sep=")).map(|_| &first.as_bytes()[4..]);
        if let Some(named) = named {
            let delimiter = match named {
                [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && *one != b'"' => *one,
                // The tab was trimmed.
                [] if text.lines().next().is_some_and(|line| line.ends_with('\t')) => b'\t',
                _ => return Err(wrong("the line \"sep=\" names one character, such as \"sep=;\"")),
            };
            let mut is_named = true;
            let (text, more) = without_lines(text, |line| std::mem::take(&mut is_named) || line.trim().is_empty());
            if text.trim().is_empty() {
                return Err(wrong(EMPTY));
            }
            return Ok(Self { text, delimiter, lines_before: lines_before + more });
        }
        Ok(Self { delimiter: delimiter_of(first), text, lines_before })
    }

    /// Line of the file on which a record begins.
    pub(super) fn line(&self, position: Option<&csv::Position>) -> u64 {
        let Some(position) = position else { return self.lines_before + 1 };
        // The reader counts from the end of the record before, and passes over the empty lines between.
        let rest =
            usize::try_from(position.byte()).ok().and_then(|at| self.text.as_bytes().get(at..)).unwrap_or_default();
        let empty = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n').count();
        self.lines_before + position.line() + empty as u64
    }
}

const EMPTY: &str = "the list is empty; its first line names the fields";

/// The text behind its first lines as long as they are to be passed over, and how many were.
fn without_lines<'a>(text: Cow<'a, str>, mut passed_over: impl FnMut(&str) -> bool) -> (Cow<'a, str>, u64) {
    let (mut bytes, mut lines) = (0, 0);
    for line in text.split_inclusive('\n') {
        if !passed_over(line) {
            break;
        }
        bytes += line.len();
        lines += 1;
    }
    let rest = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[bytes..]),
        Cow::Owned(mut text) => Cow::Owned(text.split_off(bytes)),
    };
    (rest, lines)
}

const NOT_UTF16: &str = "the list is not UTF-8 (it begins like UTF-16); save it as \"CSV UTF-8\"";

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>()).ok()?;
    rest.is_empty().then_some(text)
}

/// What stands between the names of the header most often; a comma where nothing does.
fn delimiter_of(header: &str) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        if let Some(at) = DELIMITERS.iter().position(|d| *d == byte).filter(|_| !quoted) {
            counts[at] += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|n| *n == most && most > 0).map_or(b',', |at| DELIMITERS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(body: &[u8]) -> Result<Vec<Vec<String>>, String> {
        let table = Table::of(body).map_err(|problem| serde_json::to_string(&problem).expect("encodes"))?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .has_headers(false)
            .delimiter(table.delimiter)
            .from_reader(table.text.as_bytes());
        Ok(reader.records().map(|r| r.expect("a row").iter().map(str::to_owned).collect()).collect())
    }

    #[test]
    fn fld_23_tables_of_every_spreadsheet_are_read() {
        let expected = [["deviceId", "modelNumber"], ["DEV-1", "Müller, 5; \"x\""]];
        let comma = "deviceId,modelNumber\r\nDEV-1,\"Müller, 5; \"\"x\"\"\"\r\n";
        let semicolon = "deviceId;modelNumber\nDEV-1;\"Müller, 5; \"\"x\"\"\"\n";
        let tab = "deviceId\tmodelNumber\nDEV-1\t\"Müller, 5; \"\"x\"\"\"\n";
        let wide = |text: &str, unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        for text in [comma, semicolon, tab] {
            let delimiter = &text[8..9];
            let named = format!("sep={delimiter}\r\n{text}");
            for text in [text.to_owned(), named, format!("SEP={delimiter}\n{text}")] {
                let marked = format!("\u{feff}{text}");
                let (le, be) = (wide(&text, u16::to_le_bytes), wide(&text, u16::to_be_bytes));
                let bodies = [
                    text.clone().into_bytes(),
                    marked.clone().into_bytes(),
                    wide(&marked, u16::to_le_bytes),
                    wide(&marked, u16::to_be_bytes),
                    le,
                    be,
                ];
                for body in bodies {
                    assert_eq!(rows(&body).expect("reads"), expected, "{body:?}");
                }
            }
        }
        for (body, lines) in
            [(&b"a;b\n1;2\n"[..], 0), (b"sep=;\na;b\n1;2\n", 1), (b"\n \t\r\n\nsep=;\r\n\r\na;b\n1;2\n", 5)]
        {
            let table = Table::of(body).expect("reads");
            assert_eq!((table.lines_before, table.delimiter), (lines, b';'), "{body:?}");
            assert_eq!(rows(body).expect("reads"), [["a", "b"], ["1", "2"]], "{body:?}");
        }
        assert_eq!(rows(b"deviceId\rDEV-1\r").expect("one column").len(), 2);
    }

    #[test]
    fn fld_23_what_is_no_table_is_refused() {
        for (body, words) in [
            (&b""[..], "empty"),
            (b" \r\n\n", "empty"),
            (b"\xef\xbb\xbf", "empty"),
            (b"sep=;\r\n", "empty"),
            (b"sep=;;\na", "names one character"),
            (b"sep=a\na", "names one character"),
            (b"\xff\xfea", "UTF-16"),
            (b"\xff\xfe\x00\xd8", "UTF-16"),
            (b"device\xfc,a\n", "CSV UTF-8"),
        ] {
            let problem = rows(body).expect_err("refused");
            assert!(problem.contains(words), "{body:?}: {problem}");
        }
    }
}
