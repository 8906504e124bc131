//! What devices, makers' tools and the device side of slots say: refused or read, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mdfm_shared::device::{self, Channel, Command, Fault, Report};

fuzz_target!(|bytes: &[u8]| {
    let _ = device::decode::<Report>(bytes);
    let _ = device::decode::<Fault>(bytes);
    let _ = device::decode::<Command>(bytes);
    let _ = device::decode_chunk(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Channel::parse(text);
    }
    mdfm_agent::fuzzing::device_side(bytes);
});
