//! Three days without a line beside a device that floods its gateway, on a real disk: what it costs in bytes of file and memory.

use std::path::Path;
use std::sync::Arc;

use mdfm_agent_core::gateway::{Gateway, Malformed, Seat, Who};
use mdfm_agent_core::installer::{Now, OnSite};
use mdfm_agent_core::store::{OutboxLimits, Store as _};
use mdfm_agent_core::trust::Trust;
use mdfm_shared::device::Fault;
use mdfm_shared::fixture::{key, signed_root};
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::Severity;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire;

use super::LogStore;
use crate::disk::{DiskHandle, Real};

const THREE_DAYS_MS: u64 = 3 * 86_400_000;
const OUTBOX_BYTES_MAX: u64 = 1 << 20;

fn device(n: u8) -> DeviceId {
    format!("DEV-{n}").parse().expect("a good id")
}

fn now(ms: u64) -> Now {
    Now { mono: MonotonicMs(1_000 + ms), utc: UtcMillis(1_750_000_000_000 + ms) }
}

fn enrol(dir: &Path) {
    let disk: DiskHandle = Arc::new(Real);
    let root = signed_root();
    let writes = Trust::enrol(&[wire::encode(&root)], root.digest()).expect("a good root");
    LogStore::open(&disk, dir).expect("opens").commit(writes).expect("commits");
}

fn start(dir: &Path, at: Now) -> Gateway<LogStore> {
    let disk: DiskHandle = Arc::new(Real);
    let store = LogStore::open(&disk, dir).expect("opens");
    let who = Who {
        gateway: "GW-1".parse().expect("a good id"),
        epoch: 1,
        key: key(40),
        trust_root: signed_root().digest(),
        heartbeat_ms: 10_000,
        outbox: OutboxLimits { bytes_max: OUTBOX_BYTES_MAX, ..OutboxLimits::default() },
    };
    let seats = [1, 2].map(|n| Seat { device: device(n), slot_is_here: false });
    Gateway::start(who, store, seats, [1; 16], at).expect("starts")
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    pages.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 4_096
}

/// Two million with `MDFM_FLOOD=2000000`; fewer in every run.
fn messages() -> u64 {
    std::env::var("MDFM_FLOOD").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

#[test]
fn sec_10_a_flood_grows_neither_the_state_file_nor_memory() {
    let shm = Path::new("/dev/shm");
    let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    let dir = base.join(format!("mdfm-flood-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("creates");
    enrol(&dir);
    let messages = messages();
    let mut gateway = start(&dir, now(0));
    let before = resident();
    let words = "\u{1b}]52;c;\u{202e}\u{10348}".repeat(400);
    for n in 0..messages {
        let at = now(n * (THREE_DAYS_MS / messages));
        let (hostile, own) = (device(1), format!("{n} {words}"));
        let done = match n % 3 {
            0 => {
                let severity = if n % 64 == 0 { Severity::Critical } else { Severity::Error };
                gateway.device_fault(at, &hostile, Fault { severity, code: own.clone(), message: own })
            }
            1 => gateway.device_malformed(at, &hostile, &Malformed::with("a message that is not JSON", own)),
            _ => gateway.device_malformed(at, &hostile, &Malformed::new("connected with a wrong secret")),
        };
        done.and_then(|()| gateway.work(at)).expect("goes on");
        while gateway.next_output().is_some() {}
        if n % (messages / 5) == messages / 10 {
            let acted = gateway.on_site(at, &device(1), OnSite::Hold("by a nurse".into()), 7).expect("writes");
            assert!(acted.is_ok(), "{acted:?}");
            drop(gateway);
            gateway = start(&dir, at);
        }
    }
    let grown = resident().saturating_sub(before);
    let file = std::fs::metadata(dir.join("state.log")).expect("there").len();
    let (_, waiting) = gateway.outbox();
    assert!(waiting > 0, "something waits");
    assert!(file < 12 << 20, "{file} bytes on disk");
    assert!(grown < 64 << 20, "{grown} bytes of memory more");
    let kib = |bytes: u64| bytes >> 10;
    mdfm_service::output::note(format_args!(
        "{messages} messages: {waiting} batches wait, state file {} KiB, memory grown by {} KiB",
        kib(file),
        kib(grown)
    ));
    drop(gateway);
    std::fs::remove_dir_all(dir).expect("removes");
}
