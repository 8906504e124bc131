//! The one place where the coordinator reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use mdfm_shared::time::UtcMillis;

/// Wall-clock time; the start of 1970 if the clock stands before it.
pub(crate) fn now() -> UtcMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
