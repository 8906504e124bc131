//! End-to-end tests: the real binaries, real sockets, real TLS, real `kill -9`.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod access;
mod adapters;
mod administration;
mod api;
mod attack_admission;
mod attack_authority;
mod attack_outputs;
mod attack_reach;
mod attack_sign_in;
mod attack_trust;
mod audit;
mod bad_input;
mod ceremony;
mod chains;
mod command_line;
mod console;
mod console_journeys;
mod delta;
mod device_door;
mod displays;
mod documents;
mod examples;
mod exit_codes;
mod external_broker;
mod fleet_link;
mod front_door;
mod inventory;
mod kill_anything;
mod main_job;
mod monitoring;
mod network;
mod notices;
mod on_site;
mod parts;
mod quickstart;
mod recall;
mod record;
mod signing;
mod single_sign_on;
mod slots_and_state;
mod stolen_coordinator;
mod strategies;
mod terminals;
mod troubleshooting;
mod vendors;
mod waiting;
mod withdrawals;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file with a secret, as programs want it: nobody else may read it.
fn write_secret(file: &std::path::Path, secret: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, secret).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A fresh directory for a test.
fn fresh_dir(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("mdfm-e2e-{name}-{}-{n}", std::process::id()));
    // A directory left by an earlier process of the same id.
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

/// An image of `size` bytes that differs by `seed`.
fn image(dir: &std::path::Path, seed: u8, size: usize) -> PathBuf {
    let path = dir.join(format!("image-{seed}"));
    let bytes: Vec<u8> = (0..size).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed).collect();
    std::fs::write(&path, bytes).unwrap();
    path
}
