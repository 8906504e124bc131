//! The one place where the coordinator reads clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use mdfm_shared::time::{MonotonicMs, UtcMillis};
use nix::time::{ClockId, clock_gettime};

/// Wall-clock time; the start of 1970 if the clock stands before it.
pub(crate) fn now() -> UtcMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Time since the machine started, suspend included: for what ends after a while and is held in memory alone. Nobody sets it back.
pub(crate) fn steady() -> MonotonicMs {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has CLOCK_BOOTTIME since 2.6.39");
    let ms = i128::from(time.tv_sec()) * 1_000 + i128::from(time.tv_nsec()) / 1_000_000;
    MonotonicMs(u64::try_from(ms).unwrap_or(0))
}
