//! Asks witnesses to cosign every new checkpoint (C2SP tlog-witness), and hands the note with their lines to the runner.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::limits::{CLOCK_TOLERANCE_MS, PROOF_HASHES_MAX};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::WitnessKey;
use reqwest::{Client, StatusCode};
use tokio::sync::watch;

use crate::clock;
use crate::config::Witness;
use crate::https;
use crate::runner::Runner;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes read of an answer; a cosignature is a line.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Pause before a witness that did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

struct Asked {
    url: String,
    key: WitnessKey,
    client: Client,
    /// Size of the newest checkpoint that the witness has cosigned, as far as is known.
    seen: u64,
    /// The last note and its line: who has answered is not asked again while others are waited for.
    answered: Option<(String, String)>,
    /// Whether its clock and this one's disagree; said once.
    is_clock_wrong: bool,
}

/// Starts asking; without witnesses there is nothing to do.
pub(crate) fn start(
    witnesses: &[Witness],
    runner: Runner,
    mut checkpoints: watch::Receiver<Option<String>>,
) -> anyhow::Result<()> {
    let mut asked = witnesses.iter().map(Asked::new).collect::<anyhow::Result<Vec<_>>>()?;
    if asked.is_empty() {
        return Ok(());
    }
    tokio::spawn(async move {
        while checkpoints.changed().await.is_ok() {
            loop {
                let Some(note) = checkpoints.borrow_and_update().clone() else { break };
                let (lines, complete) = ask_all(&mut asked, &runner, &note).await;
                if !lines.is_empty() {
                    runner.cosigned(format!("{note}{lines}"));
                }
                if complete {
                    break;
                }
                // The same again, or the newer one that came meanwhile.
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    });
    Ok(())
}

/// The cosignature lines over a note, and whether every witness gave one.
async fn ask_all(asked: &mut [Asked], runner: &Runner, note: &str) -> (String, bool) {
    let answers = futures_util::future::join_all(asked.iter_mut().map(|witness| async {
        let answer = witness.ask(runner, note).await;
        answer.inspect_err(|error| {
            tracing::warn!(witness = witness.key.name(), "the witness did not cosign: {error:#}");
        })
    }))
    .await;
    let complete = answers.iter().all(Result::is_ok);
    (answers.into_iter().flatten().collect(), complete)
}

impl Asked {
    fn new(witness: &Witness) -> anyhow::Result<Self> {
        let client = https::client("witnesses.ca_file", &witness.url, witness.ca_file.as_deref(), PATIENCE)?;
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        Ok(Self { url, key: WitnessKey::parse(&witness.vkey)?, client, seen: 0, answered: None, is_clock_wrong: false })
    }

    /// Shows the witness a checkpoint with the proof that it continues the last one that it saw.
    async fn ask(&mut self, runner: &Runner, note: &str) -> anyhow::Result<String> {
        if let Some((_, line)) = self.answered.as_ref().filter(|(asked, _)| asked == note) {
            return Ok(line.clone());
        }
        let size: u64 = note.lines().nth(1).and_then(|line| line.parse().ok()).context("the note has no size")?;
        // Once more if the witness knows another size than we thought.
        for _ in 0..2 {
            let old = self.seen.min(size);
            let proof = if old == 0 || old == size {
                Vec::new()
            } else {
                runner.log.consistency(old, size)?.context("no proof between the two sizes")?
            };
            debug_assert!(proof.len() <= PROOF_HASHES_MAX);
            let hashes: String = proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
            let asked = self.client.post(&self.url).body(format!("old {old}\n{hashes}\n{note}"));
            let answer = https::send(asked).await?;
            let status = answer.status();
            let body = https::body(answer, ANSWER_BYTES_MAX).await?;
            let text = String::from_utf8_lossy(&body).into_owned();
            match status {
                StatusCode::OK => {
                    let line = self.key.line_in(&text, note.as_bytes())?.context("its answer does not verify")?;
                    self.seen = size;
                    self.compare_clocks(note, &line);
                    self.answered = Some((note.to_owned(), line.clone()));
                    return Ok(line);
                }
                StatusCode::CONFLICT => {
                    self.seen = text.trim().parse().context("it answers 409 without its size")?;
                    if self.seen > size {
                        bail!("it has seen a log of {} entries, this one has {size}: the log was set back", self.seen);
                    }
                }
                _ => bail!("it answers {status}: {}", text.trim()),
            }
        }
        bail!("it does not settle on a size")
    }

    /// Says once when the witness's clock and this one's differ by more than agents tolerate. Its line counts all the same: who knows whose is wrong.
    fn compare_clocks(&mut self, note: &str, line: &str) {
        let at = self.key.time_of(format!("{note}{line}").as_bytes()).ok().flatten();
        let Some(at) = at.map(|seconds| UtcMillis(seconds.saturating_mul(1_000))) else { return };
        let now = clock::now();
        let was_wrong = std::mem::replace(&mut self.is_clock_wrong, clocks_differ(at, now));
        if self.is_clock_wrong && !was_wrong {
            let witness = self.key.name();
            tracing::warn!(
                witness,
                "the clock of the witness says {at}, this computer's {now}; set the one that is wrong: agents take a release only under cosignatures \
                 of the last 7 days, and under none of times to come"
            );
        }
    }
}

/// Whether two clocks differ by more than agents tolerate.
fn clocks_differ(one: UtcMillis, other: UtcMillis) -> bool {
    one.since_ms(other).max(other.since_ms(one)) > CLOCK_TOLERANCE_MS
}
