//! The one place where the agent reads clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use mdfm_agent_core::installer::{BootId, Now};
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use nix::time::{ClockId, clock_gettime};

/// Both clocks. The monotonic one counts suspend: a gateway that slept through a probation knows it.
pub(crate) fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: monotonic(), utc: UtcMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)) }
}

fn monotonic() -> MonotonicMs {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has CLOCK_BOOTTIME since 2.6.39");
    let ms = i128::from(time.tv_sec()) * 1_000 + i128::from(time.tv_nsec()) / 1_000_000;
    MonotonicMs(u64::try_from(ms).unwrap_or(0))
}

/// Names this boot of the gateway: as the unit says (`%b`), so that the service needs no access to /proc, or as the kernel does.
pub(crate) fn boot_id() -> std::io::Result<BootId> {
    let text = match std::env::var("MDFM_BOOT_ID") {
        Ok(id) => id,
        Err(_) => std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?,
    };
    let mut id = [0; 16];
    hex::decode_to_slice(text.trim().replace('-', ""), &mut id).map_err(std::io::Error::other)?;
    Ok(id)
}
