//! Questions before acts on the gateway that cannot be undone: what happens is shown, and a word is typed.

use std::io::{BufRead, IsTerminal, Read};

use anyhow::ensure;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256;

/// Shows what happens and asks for a word.
///
/// # Errors
/// Standard input is not a terminal, or another word was typed.
pub(super) fn ask(shown: &str, word: &str) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    ask_on(shown, word, is_terminal, &mut stdin.lock(), &mut |text| mdfm_service::output::notes(text))
}

fn ask_on(
    shown: &str,
    word: &str,
    is_terminal: bool,
    input: &mut impl BufRead,
    show: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    show(shown);
    ensure!(is_terminal, "nothing was changed: this is confirmed on a terminal, or with --yes");
    show(&format!("To go on, type: {word}"));
    let mut answer = String::new();
    Read::take(input, ANSWER_BYTES_MAX).read_line(&mut answer)?;
    ensure!(answer.trim() == word, "nothing was changed: the answer was not {word:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_13_an_act_on_site_is_confirmed_by_a_typed_word() {
        let ask = |is_terminal, typed: &str| {
            let mut shown = String::new();
            ask_on("D-1 goes back", "D-1", is_terminal, &mut typed.as_bytes(), &mut |text| shown += text)
                .map(|()| shown)
        };
        assert!(ask(true, "D-1\n").expect("typed").starts_with("D-1 goes back"));
        for typed in ["", "y\n", "yes\n", "D-1 now\n", "D-2\n"] {
            assert!(ask(true, typed).expect_err(typed).to_string().contains("nothing was changed"));
        }
        assert!(ask(false, "D-1\n").expect_err("no terminal").to_string().contains("--yes"));
    }
}
