//! What the intake counts, for whoever wants to know how it does.

use crate::counters::counters;

counters! {
    /// The fleet's words since the start.
    Counts, CountsView {
        /// Heartbeats that came.
        heartbeats,
        /// Heartbeats whose signature was verified and that were applied.
        heartbeats_applied,
        /// Heartbeats in whose place a newer one came before their turn.
        heartbeats_replaced,
        /// Telemetry batches that came.
        batches,
        /// Batches that became durable in the audit log.
        batches_committed,
        /// Batches that were durable already, sent again.
        batches_repeated,
        /// Signed acknowledgements sent.
        acknowledgements,
        /// Messages that were refused: malformed, not signed by their gateway, out of place in its chain.
        refused,
        /// Messages dropped because too many waited.
        dropped,
        /// Bytes of messages that wait now.
        bytes_waiting,
    }
}
