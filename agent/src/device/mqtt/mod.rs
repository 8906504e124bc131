//! The adapter for devices that speak the local MQTT protocol (`docs/device-protocol.md`): reports and faults in, orders and image data out.
//! Each device is at the other end of its own connection; no broker stands between.

mod door;
mod session;
mod tls;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mdfm_shared::device::{self, Channel, Command};
use mdfm_shared::id::DeviceId;
use mdfm_shared::wire::mqtt;
use tokio::sync::{mpsc, oneshot};

pub(crate) use tls::{DeviceTls, check as check_tls};

/// Packets that wait for a device: the window of image data and a few orders.
const WAITING_MAX: usize = 24;

/// A connected device.
struct Seat {
    /// Tells this connection from those before.
    number: u64,
    outbound: mpsc::Sender<Vec<u8>>,
    wants: Arc<Wants>,
    /// Of the last order sent.
    packet_id: AtomicU16,
    /// Gone with the seat.
    _held: oneshot::Sender<()>,
}

/// What a connection gets with its seat.
struct Seated {
    /// Both ends of what waits for the device. The seat alone keeps the queue open.
    outbound: mpsc::WeakSender<Vec<u8>>,
    waiting: mpsc::Receiver<Vec<u8>>,
    wants: Arc<Wants>,
    /// Ends when another connection takes the seat.
    displaced: oneshot::Receiver<()>,
    /// Whether the device had another connection, whose seat it took.
    displaces: bool,
}

/// What a device has asked to be sent.
#[derive(Default)]
struct Wants {
    orders: AtomicBool,
    chunks: AtomicBool,
}

impl Wants {
    fn of(&self, channel: Channel) -> &AtomicBool {
        if channel == Channel::Chunk { &self.chunks } else { &self.orders }
    }
}

/// The devices that are connected; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct DeviceLink {
    seats: Arc<Mutex<BTreeMap<DeviceId, Seat>>>,
}

impl DeviceLink {
    fn seats(&self) -> MutexGuard<'_, BTreeMap<DeviceId, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats a device in place of any connection that it had.
    fn enter(&self, device: &DeviceId, number: u64) -> Seated {
        let (outbound, waiting) = mpsc::channel(WAITING_MAX);
        let (held, displaced) = oneshot::channel();
        let wants = Arc::<Wants>::default();
        let (inlet, packet_id) = (outbound.downgrade(), AtomicU16::new(0));
        let seat = Seat { number, outbound, wants: Arc::clone(&wants), packet_id, _held: held };
        let displaces = self.seats().insert(device.clone(), seat).is_some();
        Seated { outbound: inlet, waiting, wants, displaced, displaces }
    }

    /// Whether the connection of this number is still the device's.
    fn is_seated(&self, device: &DeviceId, number: u64) -> bool {
        self.seats().get(device).is_some_and(|s| s.number == number)
    }

    fn leave(&self, device: &DeviceId, number: u64) {
        let mut seats = self.seats();
        if seats.get(device).is_some_and(|s| s.number == number) {
            seats.remove(device);
        }
    }

    /// Gives a device an order.
    pub(crate) fn order(&self, device: &DeviceId, command: &Command) {
        self.send(Channel::Command, device, |seat, topic| {
            let id = seat.packet_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
            seat.packet_id.store(id, Ordering::Relaxed);
            mqtt::publish_at_least_once(topic, id, &device::encode(command))
        });
    }

    /// Gives image data if it can be taken now.
    pub(crate) fn chunk(&self, device: &DeviceId, offset: u64, data: &[u8]) -> bool {
        self.send(Channel::Chunk, device, |_, topic| mqtt::publish(topic, &device::encode_chunk(offset, data)))
    }

    /// What cannot be sent is put off: the device's reports show what arrived.
    fn send(&self, channel: Channel, device: &DeviceId, packet: impl FnOnce(&Seat, &str) -> Vec<u8>) -> bool {
        let seats = self.seats();
        let Some(seat) = seats.get(device).filter(|s| s.wants.of(channel).load(Ordering::Relaxed)) else {
            return false;
        };
        seat.outbound.try_reserve().map(|place| place.send(packet(seat, &channel.topic(device)))).is_ok()
    }
}
