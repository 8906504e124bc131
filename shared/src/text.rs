//! Text that came from outside, made safe for where it goes: a terminal, a log line, a spreadsheet, a page.
//!
//! What devices, people, other programs and files say may hold anything. Terminals obey escape sequences (title, clipboard, cursor),
//! log lines end at a line break, spreadsheets compute formulas, pages run scripts, and invisible or direction-changing characters
//! make a reader see another text (Unicode Technical Report 36; CVE-2021-42574).

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether a character may not reach a reader as it is: C0 and C1 controls, DEL, line and paragraph separators, characters that change
/// direction, invisible ones, and those that are no characters.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}' | '\u{ffff}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Writes one character as a reader may see it.
fn write_escaped(out: &mut impl fmt::Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if is_unsafe(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
        c => out.write_char(c),
    }
}

/// The text on one line, for a terminal or a log: what a reader may not get as it is stands there as `\u{1b}`, `\n` and so on.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = write_escaped(&mut out, c);
    }
    Cow::Owned(out)
}

/// A writer that lets nothing through but what [`printable`] would leave; line breaks too where `LINES` says so.
#[derive(Debug)]
pub struct Escaping<W, const LINES: bool>(pub W);

impl<W: fmt::Write, const LINES: bool> fmt::Write for Escaping<W, LINES> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(is_unsafe) {
            return self.0.write_str(text);
        }
        for c in text.chars() {
            if LINES && c == '\n' { self.0.write_char(c)? } else { write_escaped(&mut self.0, c)? }
        }
        Ok(())
    }
}

/// JSON text for a terminal: what is inside strings and unsafe becomes its escape sequence (RFC 8259), which is the same JSON. Line breaks and indentation
/// between the values stay.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let is_layout = |c: char| matches!(c, '\n' | ' ');
    if !json.contains(|c| is_unsafe(c) && !is_layout(c)) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unsafe(c) && !is_layout(c) { push_json_escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// JSON text for the inside of a `script` element of a page: nothing in it can end the element, begin a comment or an element, or be a
/// line break to a script, and nothing changes how the page's source reads. It is the same JSON.
pub fn json_for_html(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\n' => out.push(c),
            '<' | '>' | '&' => push_json_escape(&mut out, c),
            c if is_unsafe(c) => push_json_escape(&mut out, c),
            c => out.push(c),
        }
    }
    out
}

fn push_json_escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Text for the content or a quoted attribute of an HTML element.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Whether a spreadsheet would compute what begins with this character (OWASP, CSV injection), full-width forms too.
fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '|' | '%' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}' | '\u{2212}')
}

/// One cell of a CSV file (RFC 4180). A text that a spreadsheet would take for a formula, directly or after what it passes over,
/// gets an apostrophe in front; a plain number stays a number. Unsafe characters are escaped.
pub fn csv_cell(text: &str) -> String {
    let shown = text.trim_start_matches(|c: char| c.is_whitespace() || is_unsafe(c) || c == '"');
    let begins_odd = text.starts_with(|c: char| c != ' ' && (c.is_whitespace() || is_unsafe(c)));
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    let guard = (shown.starts_with(begins_formula) || begins_odd) && !is_number;
    let text = printable(text);
    let apostrophe = if guard { "'" } else { "" };
    if guard || text.contains([',', ';', '"']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
    } else {
        text.into_owned()
    }
}

/// A number of things in words: `1 device`, `2 devices`, `3 batches of telemetry`.
pub fn count(n: impl TryInto<u64>, one: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    if n == 1 { format!("1 {one}") } else { format!("{n} {}", plural(one)) }
}

/// A period that somebody set, exact in the largest unit of which it is a whole number: `4 hours`, `90 minutes`, `1 second`. What was
/// measured is a [`duration`].
pub fn period(ms: u64) -> String {
    match ms {
        0 => count(0_u64, "second"),
        _ if ms.is_multiple_of(3_600_000) => count(ms / 3_600_000, "hour"),
        _ if ms.is_multiple_of(60_000) => count(ms / 60_000, "minute"),
        _ if ms.is_multiple_of(1_000) => count(ms / 1_000, "second"),
        _ => count(ms, "millisecond"),
    }
}

/// The plural of an English noun as regular as ours are; what stands behind ` of ` is its attribute.
fn plural(one: &str) -> String {
    let (noun, attribute) = one.split_at(one.find(" of ").unwrap_or(one.len()));
    let is_after_consonant = |stem: &&str| !stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    match noun.strip_suffix('y').filter(is_after_consonant) {
        Some(stem) => format!("{stem}ies{attribute}"),
        None if noun.ends_with(['h', 's', 'x']) => format!("{noun}es{attribute}"),
        None => format!("{noun}s{attribute}"),
    }
}

/// A duration in words: `4 min 30 s`, `72 h`, `1.5 s`, `300 ms`. Above a minute, parts of a second are left out.
pub fn duration(ms: u64) -> String {
    let (hours, minutes, seconds, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    if ms < 60_000 && rest > 0 {
        return format!("{} s", format!("{seconds}.{rest:03}").trim_end_matches('0'));
    }
    let parts = [(hours, "h"), (minutes, "min"), (seconds, "s")];
    parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect::<Vec<_>>().join(" ")
}

/// A text whose words are at most `chars` characters long: an ellipsis stands for the rest of a longer one. A value that somebody gave, however
/// long, then leaves room for what is said about it.
#[must_use]
pub fn with_short_words(text: &str, chars: usize) -> String {
    let short = |word: &str| match word.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// How the TLS library names a connection whose end the other side did not announce (RFC 8446
/// section 6.1).
const TLS_CUT: &str = "peer closed connection without sending TLS close_notify";
/// The same for people.
const CUT: &str = "the other side ended the connection in the middle";
/// Where documentation of the libraries in use is; an address there helps nobody who runs the
/// program.
const LIBRARY_PAGES: &str = ": https://docs.rs/";

/// The words of an error without what libraries add for programmers: for the log and for people.
pub fn without_library_words(text: &str) -> Cow<'_, str> {
    if !text.contains(TLS_CUT) && !text.contains(LIBRARY_PAGES) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(LIBRARY_PAGES);
    let mut whole = parts.next().unwrap_or_default().replace(TLS_CUT, CUT);
    for part in parts {
        let is_end = |c: char| c.is_whitespace() || ['"', '\'', ')', ',', ';'].contains(&c);
        let end = part.find(is_end).unwrap_or(part.len());
        whole.push_str(&part[end..].replace(TLS_CUT, CUT));
    }
    Cow::Owned(whole)
}

/// Cuts a text after `chars` characters.
pub fn clip(text: &mut String, chars: usize) {
    // A text of so few bytes has no more characters.
    if text.len() > chars
        && let Some((at, _)) = text.char_indices().nth(chars)
    {
        text.truncate(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&str; 8] = [
        "\x1b]52;c;cm0gLXJmIH4=\x07",
        "\x1b[2J\x1b[H",
        "a\nERROR forged",
        "a\r\x08\x7f",
        "\u{9b}31m",
        "\u{202e}txt.exe",
        "\u{2066}x\u{2069}\u{200b}\u{feff}",
        "\u{2028}\u{2029}\u{85}\0",
    ];

    #[test]
    fn sec_17_no_control_survives_and_words_do() {
        for text in HOSTILE {
            let shown = printable(text);
            assert!(!shown.contains(is_unsafe), "{shown:?}");
            let mut out = String::new();
            write!(Escaping::<_, false>(&mut out), "{text}").expect("writes");
            assert_eq!(out, shown);
            let json = serde_json::to_string_pretty(&serde_json::json!({ "a": [text] })).expect("encodes");
            let shown = printable_json(&json);
            assert!(!shown.contains(|c| is_unsafe(c) && c != '\n'), "{shown:?}");
            let value: serde_json::Value = serde_json::from_str(&shown).expect("the same JSON");
            assert_eq!(value["a"][0], text);
        }
        for text in ["Zürich", "東京 病院", "Ελλάδα", "مستشفى", "naïve – “quoted” 37 °C", "👩\u{fe0f}"]
        {
            assert_eq!(printable(text), text);
        }
        assert_eq!(printable("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    }

    #[test]
    fn cli_23_numbers_and_nouns_agree() {
        let said = [0_u64, 1, 2].map(|n| count(n, "device"));
        assert_eq!(said, ["0 devices", "1 device", "2 devices"]);
        let said = ["batch", "entry", "key", "witness", "batch of telemetry", "day"].map(|one| count(3_usize, one));
        assert_eq!(said, ["3 batches", "3 entries", "3 keys", "3 witnesses", "3 batches of telemetry", "3 days"]);
        assert_eq!((count(1_u8, "entry"), count(-1, "entry")), ("1 entry".into(), format!("{} entries", u64::MAX)));
    }

    #[test]
    fn cli_24_durations_are_said_in_words() {
        for (ms, words) in [
            (0, "0 ms"),
            (300, "300 ms"),
            (1_000, "1 s"),
            (1_500, "1.5 s"),
            (59_050, "59.05 s"),
            (60_500, "1 min"),
            (7, "7 ms"),
            (40_000, "40 s"),
            (270_000, "4 min 30 s"),
            (5_400_000, "1 h 30 min"),
            (3_600_000, "1 h"),
            (259_200_000, "72 h"),
            (3_661_000, "1 h 1 min 1 s"),
        ] {
            assert_eq!(duration(ms), words);
        }
        assert!(duration(u64::MAX).len() < 40);
    }

    #[test]
    fn sec_18_json_in_a_page_ends_no_element() {
        let text = "<!--<script></script>]]>&\u{2028}";
        let json = json_for_html(&serde_json::to_string(text).expect("encodes"));
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("the same JSON"), text);
        assert_eq!(html("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    }

    #[test]
    fn sec_24_no_cell_is_a_formula() {
        for text in [
            "=1+1",
            "+1+cmd",
            "-1+cmd",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            " =1",
            "\u{feff}=1",
            "\u{a0}=1",
            "\u{3000}=1",
            "\u{ff1d}1",
            "\u{ff0b}1",
            "\u{ff0d}1",
            "\u{ff20}x",
            "  \n =1",
            "\"=1",
            "\u{200b}=1",
            "\t",
            "|x",
            "%x",
        ] {
            let cell = csv_cell(text);
            assert!(cell.starts_with("\"'"), "{text:?} became {cell}");
            assert!(!cell.contains(is_unsafe), "{cell:?}");
        }
        for (text, cell) in [
            ("-12.5", "-12.5"),
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a=b", "a=b"),
            ("", ""),
            ("a\nb", "a\\nb"),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }

    #[test]
    fn long_words_leave_room_for_what_is_said_about_them() {
        let text = format!("reading {}: no such file", "é".repeat(10_000));
        let short = with_short_words(&text, 3);
        assert_eq!(short, "rea… ééé… no suc… fil…");
        assert_eq!(with_short_words(&text, 20), format!("reading {}… no such file", "é".repeat(20)));
        assert_eq!(with_short_words("", 3), "");
    }

    #[test]
    fn clip_counts_characters() {
        let mut text = "äöü".to_owned();
        clip(&mut text, 2);
        assert_eq!(text, "äö");
        clip(&mut text, 5);
        assert_eq!(text, "äö");
    }
}
