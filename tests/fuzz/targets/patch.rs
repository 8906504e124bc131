//! A patch with any bytes in it, in its frame or not: an error or pieces of an image, never a panic, never more than it may make.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mdfm_agent::fuzzing::patch(bytes));
