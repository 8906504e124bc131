//! What programs print: the one place that writes to standard output and standard error. Whatever came from a device, a person, a file
//! or another program passes [`mdfm_shared::text`] on its way to a terminal; a tidy test proves that nothing is printed elsewhere.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write};

use mdfm_shared::text::{self, Escaping};
use tracing_subscriber::fmt::MakeWriter;

use crate::terminal;

/// Prints one line. A line break in it is shown and does not break it.
pub fn line(words: impl fmt::Display) {
    write_out(&(on_one_line(words) + "\n"));
}

/// Prints lines that the program has put together; each is escaped on its own.
pub fn lines(words: impl fmt::Display) {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(Escaping::<_, true>(&mut out), "{words}");
    write_out(&(out + "\n"));
}

/// Prints lines for people: on a terminal what is longer than it goes on below its text ([`terminal::folded`]), elsewhere each stays whole.
pub fn prose(words: impl fmt::Display) {
    match terminal::columns() {
        Some(width) => lines(terminal::folded(&words.to_string(), width)),
        None => lines(words),
    }
}

/// Prints JSON: the same value, with what a terminal may not get escaped as RFC 8259 has it.
pub fn json(json: impl fmt::Display) {
    write_out(&(text::printable_json(&json.to_string()).into_owned() + "\n"));
}

/// Prints lines in place of the last `before` lines of the terminal; without a terminal they are printed below.
///
/// Returns how many lines of the terminal they take, if that is known.
pub fn in_place(words: impl fmt::Display, before: usize, columns: usize) -> usize {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(Escaping::<_, true>(&mut out), "{words}");
    if before > 0 && io::stdout().is_terminal() {
        // ECMA-48: cursor up (CUU), erase to the end of the display (ED).
        write_out(&format!("\u{1b}[{before}A\u{1b}[J"));
    }
    let rows = |line: &str| line.chars().count().max(1).div_ceil(columns.max(1));
    let taken = out.lines().map(rows).sum();
    write_out(&(out + "\n"));
    taken
}

/// Prints a text that stands in the program, as it is.
pub fn constant(text: &'static str) {
    write_out(text);
}

/// Whether a person reads standard error.
pub fn is_read_by_a_person() -> bool {
    io::stderr().is_terminal()
}

/// Prints one line on standard error; on a terminal what is longer than it goes on below.
pub fn note(words: impl fmt::Display) {
    let line = text::without_library_words(&on_one_line(words)).into_owned();
    let shown = terminal::error_columns().map_or_else(|| line.clone(), |width| terminal::folded(&line, width));
    // Where even standard error is closed nobody is left to read it.
    let _ = io::stderr().write_all((shown + "\n").as_bytes());
}

/// Prints lines on standard error that the program has put together; each is escaped on its own,
/// and on a terminal goes on below its text.
pub fn notes(words: impl fmt::Display) {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(Escaping::<_, true>(&mut out), "{words}");
    if let Some(width) = terminal::error_columns() {
        out = terminal::folded(&out, width);
    }
    // Where even standard error is closed nobody is left to read it.
    let _ = io::stderr().write_all((out + "\n").as_bytes());
}

fn on_one_line(words: impl fmt::Display) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(Escaping::<_, false>(&mut out), "{words}");
    out
}

fn write_out(text: &str) {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        // Whoever reads has enough, as `head` has: no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            note(format_args!("standard output: {error}"));
            std::process::exit(1);
        }
    }
}

/// Standard error for log lines: nothing reaches it but what [`text::printable`] leaves, and the line break at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogLines {
    /// Whether the lines are JSON.
    pub(crate) json: bool,
}

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = LogLine<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine { out: io::stderr(), json: self.json }
    }
}

/// One log line; the formatter writes each in one piece.
#[derive(Debug)]
pub(crate) struct LogLine<W> {
    out: W,
    json: bool,
}

/// A log line is at most so long: what devices and people say is bounded, and so is what comes of it.
const LINE_CHARS_MAX: usize = 16 * 1024;

impl<W: Write> Write for LogLine<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let line = text::without_library_words(line.strip_suffix('\n').unwrap_or(&line));
        let line = line.as_ref();
        let escaped = if self.json { text::printable_json(line) } else { text::printable(line) };
        let mut escaped = escaped.into_owned();
        if !self.json {
            text::clip(&mut escaped, LINE_CHARS_MAX);
        }
        self.out.write_all((escaped + "\n").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool) -> String {
        let kept = Kept::default();
        let out = kept.clone();
        let writer = move || LogLine { out: out.clone(), json };
        let hostile = "x\u{1b}]52;c;cm0=\u{7}\n2026-01-01 ERROR forged \u{9b}31m\u{202e}";
        let say = || tracing::error!(device = hostile, error = %hostile, other = ?hostile, "failed: {hostile}");
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
        if json {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.json()), say);
        } else {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        }
        let bytes = kept.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn sec_17_a_log_line_stays_one_line_without_controls() {
        for json in [false, true] {
            let line = logged(json);
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            let unsafe_ones = |c| mdfm_shared::text::is_unsafe(c) && c != '\n';
            assert!(!line.contains(unsafe_ones), "{line:?}");
            assert!(line.contains("forged"), "{line:?}");
        }
        assert!(serde_json::from_str::<serde_json::Value>(&logged(true)).is_ok(), "still JSON");
    }

    #[test]
    fn cli_23_a_log_line_names_no_library_page() {
        for json in [false, true] {
            let kept = Kept::default();
            let mut line = LogLine { out: kept.clone(), json };
            let words =
                "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/x.html#eof";
            let whole = if json { format!(r#"{{"error":"{words}","a":1}}"#) } else { format!("failed: {words}") };
            line.write_all((whole + "\n").as_bytes()).expect("written");
            let bytes = kept.0.lock().expect("not poisoned").clone();
            let shown = String::from_utf8(bytes).expect("UTF-8");
            assert!(shown.contains("ended the connection in the middle") && !shown.contains("docs.rs"), "{shown}");
            assert!(!json || serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "still JSON: {shown}");
        }
    }

    #[test]
    fn sec_17_what_is_printed_stays_on_its_line() {
        assert_eq!(on_one_line("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
    }
}
