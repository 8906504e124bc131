//! Every bound of the protocol, with its unit and its reason.

/// Characters in an identifier: fits topic, file and column names everywhere.
pub const ID_CHARS_MAX: usize = 64;
/// Characters in a label such as a version, model or hardware revision.
pub const LABEL_CHARS_MAX: usize = 128;
/// Characters in a free text such as a reason or release note.
pub const TEXT_CHARS_MAX: usize = 4_096;
/// Bytes in one signed document's payload: in base64 it still fits one entry of the log.
pub const DOCUMENT_BYTES_MAX: usize = 40 * 1024;
/// Signatures on one document; a threshold above this is refused too.
pub const SIGNATURES_MAX: usize = 16;
/// Bytes in one frame on the wire; one release with its proofs is the largest.
pub const FRAME_BYTES_MAX: usize = 512 * 1024;
/// Bytes in one MQTT packet at the coordinator's front door: a frame and its topic.
pub const MQTT_PACKET_BYTES_MAX: usize = FRAME_BYTES_MAX + 1024;
/// Bytes in one entry of the log (tlog-tiles: entry bundles carry a 16-bit length).
pub const LOG_ENTRY_BYTES_MAX: usize = 65_535;
/// Hashes in one inclusion or consistency proof (C2SP tlog-witness).
pub const PROOF_HASHES_MAX: usize = 63;
/// Signature lines read from one note; the rest is refused.
pub const NOTE_SIGNATURES_MAX: usize = 100;
/// Bytes in one firmware image: 16 GiB, larger than any device we know.
pub const IMAGE_BYTES_MAX: u64 = 16 << 30;
/// Components in one manifest.
pub const COMPONENTS_MAX: usize = 16;
/// Patches named in one manifest: one for each release that gateways may still hold.
pub const DELTAS_MAX: usize = 8;
/// Devices behind one gateway.
pub const GATEWAY_DEVICES_MAX: usize = 256;
/// Maintenance windows in one entry of a directive: those that open within its life.
pub const WINDOWS_MAX: usize = 4;
/// Digests of committed batches in one answer to a refused batch: more than a gateway sends ahead of its acknowledgements.
pub const CHAIN_DIGESTS_MAX: usize = 32;
/// How far a gateway's epoch may lie above the one that the coordinator holds: a broken gateway cannot use up the numbers.
pub const EPOCH_STEP_MAX: u64 = 1_024;
/// Epochs that one gateway begins in a day without a person.
pub const EPOCHS_A_DAY: usize = 8;
/// Events in one telemetry batch.
pub const BATCH_EVENTS_MAX: usize = 32;
/// Entries in one approver roster.
pub const ROSTER_ENTRIES_MAX: usize = 1_000;
/// Approvals carried with one release.
pub const APPROVALS_MAX: usize = 16;
/// Bytes in one control message of the local device protocol.
pub const DEVICE_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of image data in one chunk of the local device protocol.
pub const DEVICE_CHUNK_BYTES: usize = 128 * 1024;
/// Bytes in one MQTT packet at a gateway's local broker: a chunk, its offset and its topic.
pub const DEVICE_PACKET_BYTES_MAX: usize = DEVICE_CHUNK_BYTES + 1024;
/// Devices whose observed state one question asks for: the answers fit one telemetry batch.
pub const OBSERVATIONS_ASKED_MAX: usize = BATCH_EVENTS_MAX;
/// Reboots that nobody ordered, in 24 hours, that a release tolerates unless its manifest names another number.
pub const REBOOTS_PER_DAY_DEFAULT: u32 = 3;
/// Characters in a detail text inside telemetry; agents cut longer ones.
pub const DETAIL_CHARS_MAX: usize = 400;
/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;
/// Time after a device's confirmation in which the coordinator alone may order it back, unless the manifest names another.
pub const RECALL_WINDOW_DEFAULT_MS: u64 = 14 * DAY_MS;
/// The longest such time that a manifest may name.
pub const RECALL_WINDOW_MAX_MS: u64 = 90 * DAY_MS;
/// Validity of a roster or of withdrawals unless its signer names another.
pub const TRUST_LIFETIME_DEFAULT_MS: u64 = 90 * DAY_MS;
/// The longest validity of a roster or of withdrawals: what a thief of the coordinator can withhold goes unnoticed no longer.
pub const TRUST_LIFETIME_MAX_MS: u64 = 400 * DAY_MS;
/// The oldest cosignature under which an agent accepts a release, where the trust root names witnesses.
pub const COSIGNATURE_AGE_MAX_MS: u64 = 7 * DAY_MS;
/// How far the time of a signed document may lie ahead of the reader's clock.
pub const CLOCK_TOLERANCE_MS: u64 = 3_600_000;
/// How far a signed time moves the proved time of a gateway above its own clock at most.
pub const CLOCK_LEAD_MAX_MS: u64 = 60_000;
/// Releases that one document of withdrawals names.
pub const WITHDRAWALS_MAX: usize = 256;
/// How far the version of accepted withdrawals may lie above the one held: one approver's key cannot use up the numbers.
pub const WITHDRAWALS_STEP_MAX: u64 = 1_024;
/// Releases, and devices, that one rollback order names.
pub const ROLLBACK_ORDER_ITEMS_MAX: usize = 256;
/// People who sign one rollback order.
pub const ROLLBACK_ORDER_SIGNERS_MAX: usize = 4;
/// The longest validity of a rollback order.
pub const ROLLBACK_ORDER_LIFETIME_MAX_MS: u64 = 90 * DAY_MS;
/// Rollback orders that one gateway is sent at a time: with their proofs they fit one frame.
pub const ROLLBACK_ORDERS_MAX: usize = 6;
