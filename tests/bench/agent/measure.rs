//! What a process costs: wall time, processor time, memory, wake-ups.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::resource::{UsageWho, getrusage};

/// A process of ours, seen through /proc.
pub(crate) struct Seen(pub(crate) u32);

impl Seen {
    fn read(&self, file: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0)).context("the agent ended")
    }

    /// Seconds of processor time so far.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = self.read("stat")?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
        Ok(ticks / 100.0)
    }

    pub(crate) fn kib(&self, name: &str) -> anyhow::Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|l| l.strip_prefix(name)).context("a line of its status")?;
        Ok(line.trim_matches([':', ' ', '\t', 'k', 'B']).parse()?)
    }

    /// Times that any of its threads went to sleep of itself.
    pub(crate) fn sleeps(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.0))? {
            let status = std::fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
            sum += line.and_then(|l| l.trim().parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    }
}

/// Wall and processor time of a command, in seconds.
pub(crate) fn timed(command: &mut Command) -> anyhow::Result<(f64, f64)> {
    let used = || -> anyhow::Result<f64> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
        Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
    };
    let (before, began) = (used()?, Instant::now());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?} failed");
    Ok((began.elapsed().as_secs_f64(), used()? - before))
}

/// How often a running command's memory is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Wall time of a command in seconds and its peak memory in MiB.
pub(crate) fn weighed(command: &mut Command) -> anyhow::Result<(f64, f64)> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let seen = Seen(child.id());
    let mut peak = 0;
    let status = loop {
        peak = seen.kib("VmHWM").unwrap_or(0).max(peak);
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK),
        }
    };
    ensure!(status.success(), "{command:?} failed");
    Ok((began.elapsed().as_secs_f64(), peak as f64 / 1024.0))
}
