//! `mdfm-agent accept-clock`: shows both times, asks, and lets the running agent take the clock as right.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use anyhow::ensure;
use serde_json::Value;

use super::bundle::word;
use super::{Request, request};

/// What is typed.
const ANSWER: &str = "accept";
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256;

/// Asks unless `yes` is set.
///
/// # Errors
/// It was not confirmed, no agent runs here, or the agent refuses, and why.
pub(super) fn accept(state_dir: &Path, reason: String, yes: bool) -> anyhow::Result<(String, Value)> {
    if !yes {
        let (_, clock) = request(state_dir, &Request::Clock, None)?;
        let stdin = std::io::stdin();
        let is_terminal = stdin.is_terminal();
        confirm(&clock, is_terminal, &mut stdin.lock(), &mut |text| mdfm_service::output::notes(text))?;
    }
    request(state_dir, &Request::AcceptClock { reason }, None)
}

fn confirm(
    clock: &Value,
    is_terminal: bool,
    input: &mut impl BufRead,
    show: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    show(&format!(
        "the clock of this gateway says      {}\nthe latest time that it has seen is {}\nCompare the clock with another one. Accepted, it counts from now \
         on, and the vendor is informed.",
        word(&clock["clock"]),
        word(&clock["seen"])
    ));
    ensure!(is_terminal, "nothing was changed: this is confirmed on a terminal, or with --yes");
    show(&format!("To accept the clock, type: {ANSWER}"));
    let mut answer = String::new();
    Read::take(input, ANSWER_BYTES_MAX).read_line(&mut answer)?;
    ensure!(answer.trim() == ANSWER, "nothing was changed: the answer was not {ANSWER:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sec_13_the_clock_is_accepted_by_a_typed_word() {
        let clock = json!({ "clock": "2026-11-29T20:00:00.000Z", "seen": "2083-11-17T00:00:00.000Z" });
        let ask = |is_terminal, typed: &str| {
            let mut shown = String::new();
            confirm(&clock, is_terminal, &mut typed.as_bytes(), &mut |text| shown += text).map(|()| shown)
        };
        let shown = ask(true, "accept\n").expect("typed");
        assert!(shown.contains("2026-11-29") && shown.contains("2083-11-17"), "{shown}");
        for typed in ["", "y\n", "yes\n", "accept it\n"] {
            assert!(ask(true, typed).expect_err(typed).to_string().contains("nothing was changed"));
        }
        assert!(ask(false, "accept\n").expect_err("no terminal").to_string().contains("--yes"));
    }
}
