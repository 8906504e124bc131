//! What witnesses, inspectors and a starting coordinator read of the log: refused or read, never a panic.

#![no_main]

#[path = "../bodies/log.rs"]
mod log;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| log::run(bytes));
