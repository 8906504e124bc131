//! What the front door counts.

use crate::counters::counters;

counters! {
    /// Connections since the start.
    DoorCounts, DoorCountsView {
        /// Connections that are open now.
        open,
        /// Of them, those of gateways that speak MQTT.
        open_mqtt,
        /// Connections that the system handed over.
        accepted,
        /// Refused because all places, or all of their address, were taken.
        refused_full,
        /// Refused because their address connects too fast.
        refused_rate,
        /// Refused because their address is in no network that may connect.
        refused_network,
        /// Closed because too many had not shown who they are, and they were the oldest.
        evicted,
        /// Handshakes that failed, or took too long.
        handshakes_failed,
        /// Handshakes that succeeded.
        handshakes,
        /// Of them, those that resumed an earlier session.
        handshakes_resumed,
        /// Certificates that are not, or no longer, a gateway's.
        certificates_refused,
        /// MQTT connections, those over WebSocket included.
        mqtt,
        /// MQTT connections over WebSocket.
        websockets,
        /// MQTT connections closed because a rule was broken.
        rules_broken,
        /// MQTT connections closed because the gateway did not read.
        slow_readers,
        /// MQTT connections closed because the gateway made a new one.
        replaced,
        /// Messages for a gateway that found no room, because it reads too slowly; it asks for them again.
        passed_over,
        /// Times that a gateway was made to wait because it sent too much.
        held_back,
    }
}
