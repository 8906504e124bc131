//! The agent's state file and boot record with any bytes in them: an error or a state, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mdfm_agent::fuzzing::state(bytes));
