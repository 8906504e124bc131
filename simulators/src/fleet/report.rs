//! What a run found: counts, and latencies as histograms.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency told apart, in microseconds: ten minutes.
const MICROS_MAX: u64 = 600_000_000;
/// Causes of failed connections that are told apart.
const CAUSES_MAX: usize = 16;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Latencies in microseconds, to three digits.
pub(super) struct Latencies(Mutex<Histogram<u64>>);

impl Latencies {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(Histogram::new_with_bounds(1, MICROS_MAX, 3)?)))
    }

    fn note(&self, latency: Duration) {
        lock(&self.0).saturating_record(u64::try_from(latency.as_micros()).unwrap_or(MICROS_MAX));
    }

    fn take(&self) -> Histogram<u64> {
        let mut held = lock(&self.0);
        let taken = held.clone();
        held.reset();
        taken
    }
}

/// What gateways note while they run.
pub(super) struct Stats {
    connect: Latencies,
    acknowledge: Latencies,
    direct: Latencies,
    refused: AtomicU64,
    lost: AtomicU64,
    causes: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            connect: Latencies::new()?,
            acknowledge: Latencies::new()?,
            direct: Latencies::new()?,
            refused: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            causes: Mutex::default(),
        })
    }

    pub(super) fn connected(&self, took: Duration) {
        self.connect.note(took);
    }

    pub(super) fn acknowledged(&self, took: Duration) {
        self.acknowledge.note(took);
    }

    pub(super) fn directed(&self, ms: u64) {
        self.direct.note(Duration::from_millis(ms));
    }

    pub(super) fn refused(&self, cause: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.cause(cause);
    }

    pub(super) fn lost(&self, cause: &str) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.cause(cause);
    }

    fn cause(&self, cause: &str) {
        let mut causes = lock(&self.causes);
        let known = causes.len() < CAUSES_MAX || causes.contains_key(cause);
        let name = if known { cause } else { "other causes" };
        *causes.entry(name.to_owned()).or_default() += 1;
    }

    /// Batches acknowledged so far.
    pub(super) fn acknowledgements(&self) -> u64 {
        lock(&self.acknowledge.0).len()
    }

    /// Directives received so far.
    pub(super) fn directives(&self) -> u64 {
        lock(&self.direct.0).len()
    }

    /// Takes what was noted since the last time.
    pub(super) fn take(&self) -> Taken {
        Taken {
            connect: self.connect.take(),
            acknowledge: self.acknowledge.take(),
            direct: self.direct.take(),
            refused: self.refused.swap(0, Ordering::Relaxed),
            lost: self.lost.swap(0, Ordering::Relaxed),
            causes: std::mem::take(&mut *lock(&self.causes)),
        }
    }
}

/// What was noted in one span of time.
pub(super) struct Taken {
    pub(super) connect: Histogram<u64>,
    pub(super) acknowledge: Histogram<u64>,
    pub(super) direct: Histogram<u64>,
    pub(super) refused: u64,
    pub(super) lost: u64,
    pub(super) causes: BTreeMap<String, u64>,
}

/// A histogram's main figures, in milliseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Summary {
    pub(super) fn of(latencies: &Histogram<u64>) -> Self {
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            count: latencies.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: latencies.max() as f64 / 1_000.0,
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, p50_ms, p90_ms, p99_ms, max_ms } = self;
        write!(f, "{count:>8} × p50 {p50_ms:>9.1} ms  p90 {p90_ms:>9.1} ms  p99 {p99_ms:>9.1} ms  max {max_ms:>9.1} ms")
    }
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    pub(super) resident_kb: u64,
    pub(super) cpu_seconds: f64,
}

impl Usage {
    /// Of a process of this machine; nothing where it is not there.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name in brackets: state is field 3, user and system time fields 14 and 15, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        Some(Self { resident_kb: resident.trim().trim_end_matches(" kB").parse().ok()?, cpu_seconds: ticks / 100.0 })
    }
}
