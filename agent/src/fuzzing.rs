//! Doors to the agent's own decoders for `make fuzz`; built only then.

use crate::config::Config;
use crate::{device, image, local, store};

/// The agent's state file, each kind of record in it, and a boot record.
pub fn state(bytes: &[u8]) {
    store::fuzz(bytes);
    mdfm_agent_core::fuzzing::state(bytes);
    device::fuzz_record(bytes);
}

/// What the device side of slots and a maker's tool say.
pub fn device_side(bytes: &[u8]) {
    device::fuzz_side(bytes);
}

/// A patch.
pub fn patch(bytes: &[u8]) {
    image::fuzz_patch(bytes);
}

/// The configuration and a request on the local socket.
pub fn gateway(text: &str) {
    let _ = Config::parse(text);
    local::fuzz(text);
}
