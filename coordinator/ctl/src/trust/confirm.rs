//! What stands before every signature: the whole document, what is weaker in it, and a typed confirmation.

use std::io::{BufRead, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{bail, ensure};
use clap::Args;
use mdfm_service::output;
use mdfm_shared::digest::Digest;
use mdfm_shared::time::UtcMillis;

use crate::output::count;

use super::describe::{self, Describe, Line};
use super::weaker::Marks;

/// Characters of the digest that a person types.
const TYPED_CHARS: usize = 8;
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1_024;

/// How a signature is confirmed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Confirmation {
    /// Sign without asking; for scripts, with `--digest`.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by
    /// `firmware show` for a release; `firmware upload` takes the SHA-256 of its images.
    #[arg(long, visible_alias = "manifest-digest", value_name = "HEX")]
    pub(crate) digest: Option<Digest>,
    /// With `--yes`: sign although something in it is marked as weaker.
    #[arg(long, requires = "yes")]
    accept_weaker: bool,
}

/// Whether a program reads what is answered. What is asked is shown on a terminal alone then: an error is one line for that program.
static FOR_A_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Shows nothing beside a program's answer where there is no terminal.
pub(crate) fn for_a_program() {
    FOR_A_PROGRAM.store(true, Ordering::Relaxed);
}

fn show_on(is_terminal: bool, text: &str) {
    if is_terminal || !FOR_A_PROGRAM.load(Ordering::Relaxed) {
        output::notes(text);
    }
}

/// A document ready to be shown.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Shown {
    pub(crate) title: String,
    /// What a person compares and types.
    pub(crate) digest: Digest,
    /// Of what that is the digest.
    pub(crate) digest_of: &'static str,
    pub(crate) lines: Vec<Line>,
    #[serde(flatten)]
    pub(crate) marks: Marks,
    /// With what it was compared.
    pub(crate) compared_with: Option<String>,
}

impl Shown {
    /// A document with nothing to compare it with.
    pub(crate) fn new<T: Describe>(document: &T, digest: Digest, now: UtcMillis) -> Self {
        let (title, lines) = (document.title(), document.describe(now));
        Self { title, digest, digest_of: "digest", lines, marks: Marks::default(), compared_with: None }
    }

    /// The text for people, as wide as their terminal and at most 98 columns.
    pub(crate) fn text(&self) -> String {
        self.text_at(describe::width())
    }

    /// The text for people, as wide as they say.
    pub(super) fn text_at(&self, width: usize) -> String {
        let Self { title, digest, digest_of, lines, marks: Marks { weaker, changed, warnings, notes }, compared_with } =
            self;
        let mut text = vec![title.clone()];
        let whole = format!("{digest_of} {digest}");
        match whole.chars().count() <= width {
            true => text.push(whole),
            false => text.extend([(*digest_of).to_owned(), digest.to_string()]),
        }
        text.extend(describe::render(lines, width));
        match compared_with {
            Some(what) => text.push(format!("compared with {}", describe::escape(what))),
            None if !changed.is_empty() || !warnings.is_empty() || !notes.is_empty() => {
                text.push("beside the fields".into())
            }
            None => {}
        }
        text.extend(changed.iter().flat_map(|c| describe::marked("CHANGED:", c, width)));
        text.extend(notes.iter().flat_map(|n| describe::marked("NOTE:   ", n, width)));
        text.extend(warnings.iter().flat_map(|w| describe::marked("WARNING:", w, width)));
        text.extend(weaker.iter().flat_map(|w| describe::marked("WEAKER: ", w, width)));
        text.join("\n")
    }
}

impl Confirmation {
    /// Shows what is signed and returns once its signature is confirmed.
    ///
    /// # Errors
    /// The confirmation was not given, or the digest is another one. Nothing has been signed.
    pub(crate) fn ask(&self, shown: &Shown) -> anyhow::Result<()> {
        let stdin = std::io::stdin();
        let is_terminal = stdin.is_terminal();
        let is_seen = std::io::stderr().is_terminal();
        self.ask_with(shown, is_terminal, &mut stdin.lock(), &mut |text| show_on(is_seen, text))
    }

    fn ask_with(
        &self,
        shown: &Shown,
        is_terminal: bool,
        input: &mut impl BufRead,
        show: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        show(&shown.text());
        let digest = shown.digest;
        if let Some(expected) = self.digest {
            ensure!(expected == digest, "nothing was signed: the digest is {digest}, --digest names {expected}");
        }
        let weaker = shown.marks.weaker.len();
        if self.yes {
            ensure!(self.digest.is_some(), "nothing was signed: --yes needs --digest; here it is {digest}");
            ensure!(
                weaker == 0 || self.accept_weaker,
                "nothing was signed: {} marked WEAKER; --accept-weaker signs all the same",
                count(weaker, "line")
            );
            return Ok(());
        }
        ensure!(
            is_terminal,
            "nothing was signed: a signature is confirmed on a terminal, or with --yes --digest {digest}"
        );
        let prefix: String = digest.to_string().chars().take(TYPED_CHARS).collect();
        let expected = if weaker == 0 { prefix } else { format!("weaker {prefix}") };
        let warning = if weaker == 0 { String::new() } else { format!("{} marked WEAKER. ", count(weaker, "line")) };
        confirm("signed", &format!("{warning}To sign, type: {expected}"), &expected, input, show)
    }
}

/// How an act is confirmed that cannot be undone, or that reaches many.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Asked {
    /// Do it without asking; for scripts.
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Asked {
    /// Shows what the act would do and returns once it is confirmed by typing `expected`.
    ///
    /// # Errors
    /// It was not confirmed. Nothing has been done.
    pub(crate) fn ask(self, shown: &str, expected: &str) -> anyhow::Result<()> {
        let stdin = std::io::stdin();
        let is_terminal = stdin.is_terminal() && std::io::stderr().is_terminal();
        let is_seen = std::io::stderr().is_terminal();
        self.ask_with(shown, expected, is_terminal, &mut stdin.lock(), &mut |text| show_on(is_seen, text))
    }

    pub(crate) fn ask_with(
        self,
        shown: &str,
        expected: &str,
        is_terminal: bool,
        input: &mut impl BufRead,
        show: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        show(shown);
        ensure!(is_terminal, "nothing was done: this is confirmed on a terminal, or with --yes");
        confirm("done", &format!("To go on, type: {expected}"), expected, input, show)
    }
}

/// Asks on the terminal for a word before something that cannot be taken back.
pub(crate) fn ask_word(question: &str, expected: &str) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    ensure!(stdin.is_terminal(), "nothing was done: this is confirmed on a terminal");
    let question = format!("{question} Type: {expected}");
    confirm("done", &question, expected, &mut stdin.lock(), &mut |text| output::notes(text))
}

fn confirm(
    what: &str,
    question: &str,
    expected: &str,
    input: &mut impl BufRead,
    show: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    show(question);
    let mut answer = String::new();
    std::io::Read::take(input, ANSWER_BYTES_MAX).read_line(&mut answer)?;
    if answer.split_whitespace().collect::<Vec<_>>().join(" ") != expected {
        bail!("nothing was {what}: the answer was not {expected:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(weaker: &[&str]) -> Shown {
        let marks = Marks { weaker: weaker.iter().map(|w| (*w).to_owned()).collect(), ..Marks::default() };
        let line = Line { depth: 0, label: "version".into(), value: "1".into() };
        Shown {
            title: "trust root 1".into(),
            digest: Digest([0xab; 32]),
            digest_of: "digest",
            lines: vec![line],
            marks,
            compared_with: None,
        }
    }
    fn ask(confirmation: &Confirmation, shown: &Shown, terminal: bool, typed: &str) -> Result<String, String> {
        let mut output = String::new();
        let mut show = |text: &str| output.push_str(text);
        let answer = confirmation.ask_with(shown, terminal, &mut typed.as_bytes(), &mut show);
        answer.map(|()| output).map_err(|e| e.to_string())
    }

    #[test]
    fn sec_6_a_signature_is_confirmed_by_typing_its_digest() {
        let asks = Confirmation::default();
        let text = ask(&asks, &shown(&[]), true, "abababab\n").expect("typed");
        assert!(text.contains("version") && text.contains("To sign, type: abababab"), "{text}");
        for typed in ["", "y\n", "yes\n", "ababab\n", "weaker abababab\n"] {
            assert!(ask(&asks, &shown(&[]), true, typed).expect_err(typed).contains("nothing was signed"));
        }
        assert!(ask(&asks, &shown(&[]), false, "abababab\n").expect_err("no terminal").contains("--yes --digest"));
    }

    #[test]
    fn cli_2_an_act_asks_with_its_numbers() {
        let ask = |asked: Asked, terminal, typed: &str| {
            let mut output = String::new();
            let mut show = |text: &str| output.push_str(text);
            let shown = "12 devices in 3 hospitals";
            asked.ask_with(shown, "12", terminal, &mut typed.as_bytes(), &mut show).map(|()| output)
        };
        let text = ask(Asked::default(), true, "12\n").expect("typed");
        assert!(text.contains("12 devices in 3 hospitals") && text.contains("type: 12"), "{text}");
        for typed in ["", "y\n", "yes\n", "1\n", "121\n"] {
            assert!(ask(Asked::default(), true, typed).expect_err(typed).to_string().contains("nothing was done"));
        }
        assert!(ask(Asked::default(), false, "12\n").expect_err("no terminal").to_string().contains("--yes"));
        ask(Asked { yes: true }, false, "").expect("a script");
    }

    #[test]
    fn sec_6_what_is_weaker_is_confirmed_by_its_own_word() {
        let (asks, weak) = (Confirmation::default(), shown(&["no witness"]));
        assert!(ask(&asks, &weak, true, "abababab\n").is_err());
        assert!(ask(&asks, &weak, true, "weaker abababab\n").expect("typed").contains("WEAKER:"));
        let script = Confirmation { yes: true, digest: Some(weak.digest), accept_weaker: false };
        assert!(ask(&script, &weak, false, "").expect_err("weaker").contains("--accept-weaker"));
        let script = Confirmation { accept_weaker: true, ..script };
        ask(&script, &weak, false, "").expect("accepted by name");
    }

    #[test]
    fn sec_6_a_script_signs_only_the_digest_that_it_names() {
        let script = Confirmation { yes: true, digest: Some(Digest([1; 32])), accept_weaker: true };
        assert!(ask(&script, &shown(&[]), false, "").expect_err("another").contains("nothing was signed"));
        let script = Confirmation { digest: Some(shown(&[]).digest), ..script };
        ask(&script, &shown(&[]), false, "").expect("the same");
    }
}
