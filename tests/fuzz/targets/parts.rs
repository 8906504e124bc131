//! Lists of parts (CycloneDX and SPDX) as anybody may upload them: refused or read, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mdfm_shared::sbom;

fuzz_target!(|bytes: &[u8]| {
    let _ = sbom::read(bytes);
});
