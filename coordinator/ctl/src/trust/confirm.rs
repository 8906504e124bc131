//! What stands before every signature: the whole document, what is weaker in it, and a typed confirmation.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{bail, ensure};
use clap::Args;
use mdfm_shared::digest::Digest;
use mdfm_shared::time::UtcMillis;

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
    #[arg(long, requires = "digest")]
    yes: bool,
    /// The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by
    /// `firmware show` for a release; `firmware upload` takes the SHA-256 of its images.
    #[arg(long, value_name = "HEX")]
    digest: Option<Digest>,
    /// With `--yes`: sign although something in it is marked as weaker.
    #[arg(long, requires = "yes")]
    accept_weaker: bool,
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

    /// The text for people, at most 100 columns wide.
    pub(crate) fn text(&self) -> String {
        let Self { title, digest, digest_of, lines, marks: Marks { weaker, changed }, compared_with } = self;
        let mut text = vec![title.clone(), format!("{digest_of} {digest}")];
        text.extend(describe::render(lines));
        match compared_with {
            Some(what) => text.push(format!("compared with {}", describe::escape(what))),
            None if !changed.is_empty() => text.push("beside the fields".into()),
            None => {}
        }
        text.extend(changed.iter().flat_map(|c| describe::marked("CHANGED:", c)));
        text.extend(weaker.iter().flat_map(|w| describe::marked("WEAKER: ", w)));
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
        self.ask_with(shown, is_terminal, &mut stdin.lock(), &mut mdfm_service::output::questions())
    }

    fn ask_with(
        &self,
        shown: &Shown,
        is_terminal: bool,
        input: &mut impl BufRead,
        output: &mut impl Write,
    ) -> anyhow::Result<()> {
        writeln!(output, "{}", shown.text())?;
        let digest = shown.digest;
        if let Some(expected) = self.digest {
            ensure!(expected == digest, "nothing was signed: the digest is {digest}, --digest names {expected}");
        }
        let weaker = shown.marks.weaker.len();
        if self.yes {
            ensure!(
                weaker == 0 || self.accept_weaker,
                "nothing was signed: {weaker} lines are marked WEAKER; --accept-weaker signs all the same"
            );
            return Ok(());
        }
        ensure!(
            is_terminal,
            "nothing was signed: a signature is confirmed on a terminal, or with --yes --digest {digest}"
        );
        let prefix: String = digest.to_string().chars().take(TYPED_CHARS).collect();
        let expected = if weaker == 0 { prefix } else { format!("weaker {prefix}") };
        let warning = if weaker == 0 { String::new() } else { format!("{weaker} lines are marked WEAKER. ") };
        confirm(&format!("{warning}To sign, type: {expected}"), &expected, input, output)
    }
}

/// Asks on the terminal for a word before something that cannot be taken back.
pub(crate) fn ask_word(question: &str, expected: &str) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    ensure!(stdin.is_terminal(), "nothing was done: this is confirmed on a terminal");
    confirm(
        &format!("{question} Type: {expected}"),
        expected,
        &mut stdin.lock(),
        &mut mdfm_service::output::questions(),
    )
}

fn confirm(question: &str, expected: &str, input: &mut impl BufRead, output: &mut impl Write) -> anyhow::Result<()> {
    write!(output, "{question}\n> ")?;
    output.flush()?;
    let mut answer = String::new();
    std::io::Read::take(input, ANSWER_BYTES_MAX).read_line(&mut answer)?;
    if answer.split_whitespace().collect::<Vec<_>>().join(" ") != expected {
        bail!("nothing was signed: the answer was not {expected:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(weaker: &[&str]) -> Shown {
        let marks = Marks { weaker: weaker.iter().map(|w| (*w).to_owned()).collect(), changed: Vec::new() };
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
        let mut output = Vec::new();
        let answer = confirmation.ask_with(shown, terminal, &mut typed.as_bytes(), &mut output);
        answer.map(|()| String::from_utf8(output).expect("text")).map_err(|e| e.to_string())
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
