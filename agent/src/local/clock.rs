//! `mdfm-agent accept-clock`: shows both times, asks, and lets the running agent take the clock as right.

use std::path::Path;

use serde_json::Value;

use super::bundle::word;
use super::confirm;
use super::{Request, request};

/// What is typed.
const ANSWER: &str = "accept";

/// Asks unless `yes` is set.
///
/// # Errors
/// It was not confirmed, no agent runs here, or the agent refuses, and why.
pub(super) fn accept(state_dir: &Path, reason: String, yes: bool) -> anyhow::Result<(String, Value)> {
    if !yes {
        let (_, clock) = request(state_dir, &Request::Clock, None)?;
        confirm::ask(&shown(&clock), ANSWER)?;
    }
    request(state_dir, &Request::AcceptClock { reason }, None)
}

/// What is shown of the clocks.
fn shown(clock: &Value) -> String {
    format!(
        "the clock of this gateway says      {}\nthe latest time that it has seen is {}\nCompare the clock with another one. Accepted, it counts from now \
         on, and the vendor is informed.",
        word(&clock["clock"]),
        word(&clock["seen"])
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sec_13_both_clocks_are_shown_before_one_is_accepted() {
        let clock = json!({ "clock": "2026-11-29T20:00:00.000Z", "seen": "2083-11-17T00:00:00.000Z" });
        let shown = shown(&clock);
        assert!(shown.contains("2026-11-29") && shown.contains("2083-11-17"), "{shown}");
    }
}
