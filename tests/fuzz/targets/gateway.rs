//! The agent's configuration, its local socket's requests and an enrolment token: refused or read, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mdfm_shared::enrol::EnrolmentToken;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = EnrolmentToken::from_text(text);
        mdfm_agent::fuzzing::gateway(text);
    }
});
