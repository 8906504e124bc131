//! A terminal of a given size: runs a program on it, and shows what a reader sees there, as text or as a page.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use mdfm_shared::text::html;

use crate::plain;
use crate::process::{Checked as _, program};

/// How a character is set (ECMA-48 SGR).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    is_bold: bool,
    is_underlined: bool,
    /// One of the eight colours; `None` for that of the terminal.
    colour: Option<u8>,
}

/// Colours of a page for the eight of a terminal, readable on its dark ground.
const COLOURS: [&str; 8] = ["#8b949e", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#e6edf3"];

/// What stands on a terminal, with all that has left it at the top.
#[derive(Debug, Default)]
pub struct Screen {
    lines: Vec<Vec<(char, Style)>>,
    row: usize,
    column: usize,
    columns: usize,
    style: Style,
    /// Lines that went on in the next one because the terminal was too narrow.
    wrapped: Vec<usize>,
}

impl Screen {
    /// What a terminal of this width shows of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8], columns: usize) -> Self {
        let mut screen = Self { columns, lines: vec![Vec::new()], ..Self::default() };
        let text = String::from_utf8_lossy(bytes);
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\r' => screen.column = 0,
                '\n' => screen.next_line(),
                '\u{1b}' if letters.peek() == Some(&'[') => {
                    letters.next();
                    let parameters: String =
                        std::iter::from_fn(|| letters.next_if(|c| c.is_ascii_digit() || ";?".contains(*c))).collect();
                    let function = letters.next().unwrap_or_default();
                    screen.control(&parameters, function);
                }
                c if c.is_control() => {}
                c => screen.put(c),
            }
        }
        screen
    }

    fn next_line(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }

    fn put(&mut self, letter: char) {
        if self.column == self.columns {
            self.wrapped.push(self.row);
            self.next_line();
            self.column = 0;
        }
        let line = &mut self.lines[self.row];
        if line.len() <= self.column {
            line.resize(self.column + 1, (' ', Style::default()));
        }
        line[self.column] = (letter, self.style);
        self.column += 1;
    }

    fn control(&mut self, parameters: &str, function: char) {
        let numbers: Vec<usize> = parameters.split(';').map(|n| n.parse().unwrap_or(0)).collect();
        let n = numbers[0];
        match function {
            'A' => self.row = self.row.saturating_sub(n.max(1)),
            'B' => (0..n.max(1)).for_each(|_| self.next_line()),
            'G' => self.column = n.max(1) - 1,
            'J' => {
                self.lines.truncate(self.row + 1);
                self.lines[self.row].truncate(self.column);
            }
            'K' if n == 2 => self.lines[self.row].clear(),
            'K' => self.lines[self.row].truncate(self.column),
            'm' => numbers.into_iter().for_each(|n| self.set(n)),
            _ => {}
        }
    }

    fn set(&mut self, code: usize) {
        match code {
            0 => self.style = Style::default(),
            1 => self.style.is_bold = true,
            22 => self.style.is_bold = false,
            4 => self.style.is_underlined = true,
            24 => self.style.is_underlined = false,
            30..=37 => self.style.colour = u8::try_from(code - 30).ok(),
            90..=97 => self.style.colour = u8::try_from(code - 90).ok(),
            39 => self.style.colour = None,
            _ => {}
        }
    }

    /// The lines as text.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = |line: &Vec<(char, Style)>| line.iter().map(|(letter, _)| letter).collect::<String>();
        self.lines.iter().map(|line| text(line).trim_end().to_owned()).collect()
    }

    /// The lines that the terminal broke because they were too long for it, each as far as it could be shown.
    #[must_use]
    pub fn wrapped(&self) -> Vec<String> {
        let lines = self.lines();
        self.wrapped.iter().filter_map(|row| lines.get(*row).cloned()).collect()
    }

    /// The lines as HTML, without what stands around them.
    #[must_use]
    pub fn html(&self) -> String {
        let mut page = String::new();
        for line in &self.lines {
            for piece in line.chunk_by(|a, b| a.1 == b.1) {
                let style = piece[0].1;
                let mut css = String::new();
                if style.is_bold {
                    css.push_str("font-weight:bold;");
                }
                if style.is_underlined {
                    css.push_str("text-decoration:underline;");
                }
                if let Some(colour) = style.colour {
                    css.push_str(&format!("color:{};", COLOURS[usize::from(colour)]));
                }
                let text: String = piece.iter().map(|(letter, _)| letter).collect();
                page.push_str(&format!("<span style=\"{css}\">{}</span>", html(&text)));
            }
            page.push('\n');
        }
        page.trim_end().to_owned() + "\n"
    }
}

/// Who types on a terminal, and how large it is.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
    /// Seconds after which Ctrl-C is pressed; `None` lets the program end.
    pub seconds: Option<u32>,
    /// Variables of the environment.
    pub environment: Vec<(String, String)>,
}

impl Terminal {
    /// A terminal of this width on which a program runs to its end.
    #[must_use]
    pub fn of(columns: usize) -> Self {
        Self { columns, rows: 50, seconds: None, environment: Vec::new() }
    }

    /// Runs one of our programs in a directory; returns what stands on the terminal then, and whether it ended well.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, dir: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<(Screen, bool)> {
        let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal/answer.py");
        ensure!(helper.exists(), "{} is missing", helper.display());
        let mut command = Command::new("python3");
        command.arg(helper).arg("[]").arg(program(name)?).args(arguments).current_dir(dir);
        command.env("TERMINAL_SIZE", format!("{}x{}", self.columns, self.rows));
        command.env("TERMINAL_SECONDS", self.seconds.unwrap_or(0).to_string());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.checked_output()?;
        let screen = Screen::of(&output.stdout, self.columns);
        if !output.status.success() {
            plain::check(name, &screen.lines().join("\n"));
        }
        Ok((screen, output.status.success()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_26_a_terminal_shows_what_its_reader_sees() {
        let screen = Screen::of(b"one\r\ntwo\r\n\x1b[2A\x1b[Jnew \x1b[1;31mred\x1b[0m\r\n12345678901", 10);
        assert_eq!(screen.lines(), ["new red", "1234567890", "1"]);
        assert_eq!(screen.wrapped(), ["1234567890"]);
        assert!(
            screen.html().contains("<span style=\"font-weight:bold;color:#ff7b72;\">red</span>"),
            "{}",
            screen.html()
        );
        assert_eq!(Screen::of(b"1234567890\r\nx", 10).wrapped(), Vec::<String>::new(), "it is just full");
    }
}
