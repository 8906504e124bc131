//! MQTT packets as the front door reads them: refused or read, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::wire::mqtt::{self, Connect, Publish};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(header)) = mqtt::header(bytes, MQTT_PACKET_BYTES_MAX) else { return };
    let Some(packet) = bytes.get(..header.packet_bytes) else { return };
    let _ = Connect::parse(packet, &header);
    let _ = Publish::parse(packet, &header);
    let _ = mqtt::subscribe_filters(packet, &header);
    let _ = mqtt::unsubscribe_filters(packet, &header);
    let _ = mqtt::packet_id(packet, &header);
    let _ = mqtt::check_harmless(packet, &header);
});
