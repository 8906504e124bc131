//! Whether a device, or the adapter in front of it, does what `docs/device-protocol.md` asks: one suite for all kinds, which a maker runs
//! against its own device or tool (`mdfm-agent conformance`). It installs the given image permanently.

use std::time::Duration;

use mdfm_shared::device::{Command, FAULT_LEVEL_VERSION, FaultLevel, Order, Report};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::DEVICE_CHUNK_BYTES;
use mdfm_shared::telemetry::FirmwareReport;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{DeviceEvent, Way};

/// What was asked of a device, and what it did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    /// The section of the protocol that asks it.
    pub(crate) rule: &'static str,
    pub(crate) passed: bool,
    /// What was seen.
    pub(crate) seen: String,
}

/// How long a device may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// To answer an order that needs no boot, and to take a piece of an image.
    pub(crate) order: Duration,
    /// To boot.
    pub(crate) boot: Duration,
}

/// A device under test.
pub(crate) struct Subject {
    pub(crate) device: DeviceId,
    pub(crate) way: Way,
    pub(crate) events: mpsc::Receiver<DeviceEvent>,
    pub(crate) patience: Patience,
    /// Number of the last order given.
    pub(crate) order: u64,
}

/// Chunks sent ahead of what the device reports durable.
const WINDOW_CHUNKS: usize = 16;
/// Without progress for so long the data is sent again.
const STALL: Duration = Duration::from_secs(3);

type Asked<T> = Result<T, String>;

/// A report as the device sends it.
fn in_json(report: &Report) -> String {
    serde_json::to_string(report).unwrap_or_default()
}

impl Subject {
    /// The next report for which `wanted` gives something.
    async fn see<T>(&mut self, what: &str, within: Duration, wanted: impl Fn(&Report) -> Option<T>) -> Asked<T> {
        let deadline = Instant::now() + within;
        let mut last = None;
        loop {
            match timeout_at(deadline, self.events.recv()).await {
                Ok(Some(DeviceEvent::Report(device, report))) if device == self.device => {
                    if let Some(found) = wanted(&report) {
                        return Ok(found);
                    }
                    last = Some(report);
                }
                Ok(Some(DeviceEvent::Malformed(_, reason))) => {
                    return Err(format!("it said what is no report: {reason}"));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Err("the adapter ended".into()),
                Err(_) => {
                    let last = last.map_or("nothing was reported".into(), |r| format!("last report {}", in_json(&r)));
                    return Err(format!("{what}: not within {} s; {last}", within.as_secs()));
                }
            }
        }
    }

    async fn any(&mut self) -> Asked<Report> {
        self.see("a report", self.patience.order, |r| Some(r.clone())).await
    }

    fn give(&mut self, what: Order) -> u64 {
        self.order += 1;
        self.way.order(&self.device, &Command { order: self.order, what });
        self.order
    }

    /// Gives an order until it is answered; gives the report that answers it.
    async fn ask(&mut self, what: Order, within: Duration) -> Asked<Report> {
        let order = self.give(what.clone());
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(2));
            match self.see("an answer", left, |r| (r.last_order == order).then(|| r.clone())).await {
                Err(_) if Instant::now() < deadline => {
                    self.way.order(&self.device, &Command { order, what: what.clone() })
                }
                answered => return answered.map_err(|e| format!("order to {what}: {e}")),
            }
        }
    }

    /// Asks and expects obedience.
    async fn obeys(&mut self, what: Order, within: Duration) -> Asked<Report> {
        let report = self.ask(what.clone(), within).await?;
        match &report.last_refusal {
            None => Ok(report),
            Some(refusal) => Err(format!("the order to {what} was refused: {} ({})", refusal.message, refusal.code)),
        }
    }

    /// Asks and expects a refusal with this code.
    async fn refuses(&mut self, what: Order, code: &str) -> Asked<Report> {
        let report = self.ask(what.clone(), self.patience.order).await?;
        match &report.last_refusal {
            Some(refusal) if refusal.code == code => Ok(report),
            Some(other) => {
                Err(format!("the order to {what} must be refused as {code}, not as {}: {}", other.code, other.message))
            }
            None => Err(format!("the order to {what} must be refused as {code}, and was not refused")),
        }
    }

    /// Sends image data from where the device says, up to `until`, as the agent does: a window ahead of what is durable, sent again
    /// from there when nothing moves. Gives what is durable then.
    async fn send(&mut self, sha256: Digest, image: &[u8], until: usize) -> Asked<u64> {
        let written = |r: &Report| r.staged.as_ref().filter(|s| s.sha256 == sha256).map(|s| s.written_bytes);
        let mut durable = self.see("the slot being prepared", self.patience.order, written).await?;
        let mut last_progress = Instant::now();
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(until);
        let mut from = at(durable);
        loop {
            let end = (at(durable) + WINDOW_CHUNKS * DEVICE_CHUNK_BYTES).min(until).max(from);
            for (i, piece) in image[from..end].chunks(DEVICE_CHUNK_BYTES).enumerate() {
                self.give_chunk((from + i * DEVICE_CHUNK_BYTES) as u64, piece).await;
            }
            from = end;
            let before = durable;
            match self.see("progress", STALL, |r| written(r).filter(|n| *n > before)).await {
                Ok(n) => (durable, last_progress) = (n, Instant::now()),
                // Less than all of it need not be durable before more comes.
                Err(_) if until < image.len() => return Ok(durable),
                Err(error) if last_progress.elapsed() >= self.patience.order => return Err(error),
                Err(_) => from = at(durable),
            }
            if durable >= until as u64 {
                return Ok(durable);
            }
        }
    }

    async fn give_chunk(&self, offset: u64, piece: &[u8]) {
        match &self.way {
            Way::Mqtt(link) => drop(link.chunk(&self.device, offset, piece)),
            Way::Local(local) => drop(local.feed(offset, piece.to_vec()).await),
        }
    }
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Asked<()> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Whether the fault counters of two boots keep the protocol; a device of version 1 has none.
fn faults(before: &Report, after: &Report) -> Asked<String> {
    if before.protocol < FAULT_LEVEL_VERSION {
        return Ok(
            "protocol version 1: faults are events, each sent once; the device weighs less in a phase's gate".into()
        );
    }
    let level = |report: &Report| -> Asked<FaultLevel> {
        let level = report.fault_level().ok_or("it speaks protocol version 2 and reports no `faults`")?;
        level.check().map(|()| level.clone()).map_err(str::to_owned)
    };
    let (before, after) = (level(before)?, level(after)?);
    expect(before.boot != after.boot, || format!("two boots have the same identity {:?}", before.boot))?;
    Ok(format!("{} faults since boot {}", after.counts.total(), after.boot))
}

/// Asks everything, in an order in which each builds on what was asked before; ends at the first thing without which the rest means
/// nothing. `told` hears each finding as it is made.
pub(crate) async fn run(
    subject: &mut Subject,
    firmware: FirmwareReport,
    image: &[u8],
    mut told: impl FnMut(&Finding),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |rule: &'static str, asked: Asked<String>| {
        let (passed, seen) = match asked {
            Ok(seen) => (true, seen),
            Err(seen) => (false, seen),
        };
        let finding = Finding { rule, passed, seen };
        told(&finding);
        findings.push(finding);
        passed
    };
    let sha256 = firmware.sha256;
    let size_bytes = image.len() as u64;
    let begin = || Order::Begin { firmware: firmware.clone(), size_bytes, components: Vec::new() };
    let (quick, boot) = (subject.patience.order, subject.patience.boot);
    let before = match subject.any().await {
        Ok(report) => report,
        Err(error) => {
            note("report: the device says its state", Err(error));
            return findings;
        }
    };
    note(
        "report: the device says its state",
        Ok(format!("{} {} runs {}", before.model, before.serial, before.running.version)),
    );
    let ready = expect(before.confirmed && !before.in_use && before.running.sha256 != sha256, || {
        format!(
            "the test needs a device that is not in use, not on trial, and runs something else than the image: {}",
            in_json(&before)
        )
    });
    if !note("the device is ready for the test", ready.map(|()| "it is".into())) {
        return findings;
    }
    // Orders of earlier runs are passed over in silence: go above them.
    subject.order = before.last_order.max(subject.order);
    let steady = async {
        let first = subject.any().await?;
        let second = subject.see("a second report", Duration::from_secs(10), |r| Some(r.clone())).await?;
        expect(first.boot_count == second.boot_count, || "it boots by itself".into()).map(|()| "it does".to_owned())
    };
    note("report: sent again at least every few seconds", steady.await);

    let wrong = async {
        subject.obeys(begin(), quick).await?;
        let mut other = image.to_vec();
        other[0] ^= 1;
        subject.send(sha256, &other, other.len()).await?;
        let report = subject.refuses(Order::Finish { sha256 }, "wrongDigest").await?;
        expect(!report.staged.is_some_and(|s| s.complete), || "the slot counts as complete".into())?;
        let report = subject.refuses(Order::Activate { sha256 }, "notStaged").await?;
        expect(report.boot_count == before.boot_count, || "it booted".into())
            .map(|()| "refused, and not booted".to_owned())
    };
    note("finish: other bytes than announced are refused and never bootable", wrong.await);

    let halves = async {
        subject.obeys(begin(), quick).await?;
        let half = image.len() / 2;
        let durable = subject.send(sha256, image, half).await?;
        let report = subject.obeys(begin(), quick).await?;
        let kept = report.staged.map_or(0, |s| s.written_bytes);
        expect(kept >= durable, || {
            format!("{durable} bytes were durable, {kept} were kept when the same was announced again")
        })?;
        // A piece that does not go on where the slot ends is dropped.
        subject.give_chunk(u64::MAX - 1, &image[..1]).await;
        subject.send(sha256, image, image.len()).await?;
        let report = subject.obeys(Order::Finish { sha256 }, quick).await?;
        expect(report.staged.is_some_and(|s| s.complete && s.sha256 == sha256), || "the slot is not complete".into())?;
        Ok(format!("{kept} bytes kept, {} in all", image.len()))
    };
    if !note("chunk: goes on where it stopped; what does not fit is dropped", halves.await) {
        return findings;
    }

    let first_boot = subject.obeys(Order::Activate { sha256 }, boot).await;
    let on_trial = |r: &Report| {
        (r.running.sha256 == sha256 && !r.confirmed && r.boot_count > before.boot_count).then(|| r.clone())
    };
    let trial = match first_boot {
        Ok(report) if on_trial(&report).is_some() => Ok(report),
        Ok(_) => subject.see("the new firmware on trial", boot, on_trial).await,
        Err(error) => Err(error),
    };
    let booted = trial.clone().map(|r| format!("boot {} runs {} on trial", r.boot_count, r.running.sha256));
    if !note("activate: boots the slot on trial and reports what the boot loader measured", booted) {
        return findings;
    }
    let trial = trial.unwrap_or_else(|_| before.clone());
    let number = subject.order;
    let once = async {
        subject.way.order(&subject.device, &Command { order: number, what: Order::Activate { sha256 } });
        let report = subject.see("a report", quick, |r| Some(r.clone())).await?;
        let again = subject.see("a report", quick, |r| Some(r.clone())).await?;
        expect(again.boot_count == trial.boot_count, || format!("it booted again: {}", in_json(&report)))?;
        Ok("passed over".to_owned())
    };
    note("command: each number is handled once", once.await);
    note("faults: counters and numbers that agree, and another identity after each boot", faults(&before, &trial));
    let other = FirmwareReport { sha256: Digest::of(b"another"), ..firmware.clone() };
    let on_trial =
        subject.refuses(Order::Begin { firmware: other, size_bytes, components: Vec::new() }, "onTrial").await;
    note("begin: refused on trial, the other slot is the way back", on_trial.map(|_| "refused".into()));
    let wrong = subject.refuses(Order::Confirm { sha256: before.running.sha256 }, "wrongDigest").await;
    note("confirm: refused for what does not run", wrong.map(|_| "refused".into()));

    let back = |r: &Report| (r.running.sha256 == before.running.sha256 && r.confirmed).then(|| r.clone());
    let returned = match subject.obeys(Order::Rollback { sha256: before.running.sha256 }, boot).await {
        Ok(report) if back(&report).is_some() => Ok(report),
        Ok(_) => subject.see("the old firmware, permanent", boot, back).await,
        Err(error) => Err(error),
    };
    if !note(
        "rollback: the firmware before runs again, permanently",
        returned.map(|r| format!("boot {}", r.boot_count)),
    ) {
        return findings;
    }
    let nowhere = subject.refuses(Order::Rollback { sha256: Digest::of(b"another") }, "notStaged").await;
    note("rollback: refused where no slot holds that firmware", nowhere.map(|_| "refused".into()));

    let for_good = async {
        subject.obeys(begin(), quick).await?;
        let staged = |r: &Report| r.staged.as_ref().filter(|s| s.sha256 == sha256).map(|s| s.complete);
        if !subject.see("the slot", quick, staged).await? {
            subject.send(sha256, image, image.len()).await?;
            subject.obeys(Order::Finish { sha256 }, quick).await?;
        }
        let report = subject.obeys(Order::Activate { sha256 }, boot).await?;
        if report.running.sha256 != sha256 {
            subject.see("the new firmware", boot, |r| (r.running.sha256 == sha256).then_some(())).await?;
        }
        let confirmed = |r: &Report| (r.running.sha256 == sha256 && r.confirmed).then(|| r.clone());
        let report = match subject.obeys(Order::Confirm { sha256 }, quick).await? {
            report if report.confirmed => report,
            _ => subject.see("the new firmware, permanent", quick, confirmed).await?,
        };
        let again = subject.obeys(Order::Activate { sha256 }, quick).await?;
        expect(again.boot_count == report.boot_count, || "it booted what it runs already".into())?;
        Ok("permanent; asked again to boot what runs, it stays".to_owned())
    };
    note("confirm: makes what runs permanent", for_good.await);
    findings
}
