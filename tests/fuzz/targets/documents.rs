//! Everything that comes to an agent as a message, and bundles: refused or read, never a panic.

#![no_main]

#[path = "../bodies/documents.rs"]
mod documents;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| documents::run(bytes));
