//! The state files of two agents of an earlier release, as `tests/fixtures/log-v1` keeps them: every later build takes them up.

use std::path::Path;
use std::sync::Arc;

use mdfm_agent_core::gateway::{Gateway, Seat, Who};
use mdfm_agent_core::installer::Now;
use mdfm_agent_core::store::OutboxLimits;
use mdfm_shared::fixture::key;
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::{MonotonicMs, UtcMillis};

use super::LogStore;
use crate::disk::{DiskHandle, Real};

const TRUST_ROOT: &str = "0d54a3a5f8ec608a6218b975501179eedead542380f6780153bbffdd15da63b3";

/// Phase and confirmed version of each device, as the state file of a gateway has them.
fn taken_up(gateway: &str, hospital: u8) -> Vec<(String, InstallState, Option<String>)> {
    let dir = std::env::temp_dir().join(format!("mdfm-state-v1-{gateway}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let kept =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/log-v1/agents/{gateway}.state.log"));
    std::fs::copy(kept, dir.join("state.log")).expect("copies");
    let disk: DiskHandle = Arc::new(Real);
    let store = LogStore::open(&disk, &dir).expect("opens");
    let who = Who {
        gateway: gateway.parse().expect("a good id"),
        epoch: 1,
        key: key(40),
        trust_root: TRUST_ROOT.parse().expect("a digest"),
        heartbeat_ms: 1_000,
        outbox: OutboxLimits::default(),
    };
    let devices: Vec<DeviceId> =
        (1..=4).map(|n| format!("DEV-{hospital:03}-{n}").parse().expect("a good id")).collect();
    let seats = devices.iter().map(|device| Seat { device: device.clone(), slot_is_here: false });
    let now = Now { mono: MonotonicMs(1_000), utc: UtcMillis(1_750_000_000_000) };
    let gateway = Gateway::start(who, store, seats, [1; 16], now).expect("takes up what it finds");
    let status = gateway.status(now);
    assert_eq!((&status["rootVersion"], &status["rosterVersion"]), (&1.into(), &1.into()), "the documents are read");
    let view = |(device, state): (&DeviceId, InstallState)| {
        let (_, seen) = gateway.device_views(now, Some(device)).expect("it is there");
        (device.to_string(), state, seen[0]["lastGood"]["version"].as_str().map(str::to_owned))
    };
    let found = gateway.states().map(view).collect();
    std::fs::remove_dir_all(&dir).expect("cleans up");
    found
}

#[test]
fn agent_state_v1_is_taken_up() {
    for (gateway, hospital, state) in [("GW-001", 1, InstallState::RolledBack), ("GW-010", 10, InstallState::Confirmed)]
    {
        for (device, found, confirmed) in taken_up(gateway, hospital) {
            assert_eq!((found, confirmed.as_deref()), (state, Some("2.2.0")), "{device}");
        }
    }
}
