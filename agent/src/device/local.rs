//! Devices that are served by a thread of the agent's own: what comes for them is done one after the other, and what they say of
//! themselves goes to the runner.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mdfm_agent_core::gateway::Malformed;
use mdfm_shared::device::{Command, FaultMessage, Report};
use mdfm_shared::id::DeviceId;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::DeviceEvent;

/// Orders and pieces of image data that may wait.
const WAITING_MAX: usize = 32;
/// Bytes of image data that may wait, but for a single piece: those from the network have up to half a megabyte each.
const WAITING_BYTES_MAX: u32 = 1 << 20;

/// A device as the agent serves it.
pub(crate) trait Attached: Send {
    /// Does an order, or refuses it; its next report says which.
    fn order(&mut self, command: &Command) -> io::Result<()>;
    /// Takes image data.
    fn chunk(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Nothing waits: makes durable what was written.
    fn idle(&mut self) -> io::Result<()>;
    /// What is new of it.
    fn poll(&mut self) -> io::Result<Vec<Said>>;
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Report(Box<Report>),
    Fault(FaultMessage),
    Malformed(Malformed),
}

/// What comes for a device.
pub(crate) enum ToDevice {
    Order(Command),
    /// Its bytes have their place in the queue until they are taken.
    Chunk(u64, Vec<u8>, OwnedSemaphorePermit),
}

/// The way to a device that a thread serves.
#[derive(Clone)]
pub(crate) struct LocalDevice {
    inlet: mpsc::Sender<ToDevice>,
    room: Arc<Semaphore>,
}

fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(WAITING_BYTES_MAX as usize))
}

impl LocalDevice {
    /// Starts the thread; `open` takes the device up there. It looks at the device at least every `poll`.
    pub(crate) fn start<A: Attached>(
        device: DeviceId,
        open: impl Fn() -> io::Result<A> + Send + 'static,
        poll: Duration,
        events: mpsc::Sender<DeviceEvent>,
    ) -> io::Result<Self> {
        let (inlet, outlet) = mpsc::channel(WAITING_MAX);
        let handle = Handle::current();
        let serve = move || serve(&handle, &device, open, poll, outlet, &events);
        std::thread::Builder::new().name("device".into()).spawn(serve)?;
        Ok(Self { inlet, room: room() })
    }

    /// Without a thread: what comes is taken by hand.
    #[cfg(test)]
    pub(crate) fn unattended() -> (Self, mpsc::Receiver<ToDevice>) {
        let (inlet, outlet) = mpsc::channel(WAITING_MAX);
        (Self { inlet, room: room() }, outlet)
    }

    /// Gives an order; lost where too much waits, and given again then.
    pub(crate) fn order(&self, command: &Command) {
        let _ = self.inlet.try_send(ToDevice::Order(command.clone()));
    }

    /// Gives image data, waiting until the device takes it; false once it is gone.
    pub(crate) async fn feed(&self, offset: u64, data: Vec<u8>) -> bool {
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX).min(WAITING_BYTES_MAX);
        let Ok(place) = Arc::clone(&self.room).acquire_many_owned(bytes).await else { return false };
        self.inlet.send(ToDevice::Chunk(offset, data, place)).await.is_ok()
    }
}

fn serve<A: Attached>(
    handle: &Handle,
    device: &DeviceId,
    open: impl Fn() -> io::Result<A>,
    poll: Duration,
    mut outlet: mpsc::Receiver<ToDevice>,
    events: &mpsc::Sender<DeviceEvent>,
) {
    let mut attached: Option<A> = None;
    loop {
        let served = match &mut attached {
            Some(device) => step(handle, device, poll, &mut outlet),
            None => open().map(|opened| {
                attached = Some(opened);
                Some(Vec::new())
            }),
        };
        let said = match served {
            Ok(Some(said)) => said,
            Ok(None) => return,
            Err(error) => {
                // Taken up anew from what is on disk; meanwhile the device counts as silent.
                tracing::error!(%device, %error, "the device cannot be served; trying again");
                attached = None;
                let said = vec![Said::Malformed(Malformed::with("the gateway cannot serve it", error))];
                std::thread::sleep(poll.max(Duration::from_secs(1)));
                said
            }
        };
        for said in said {
            let event = match said {
                Said::Report(report) => DeviceEvent::Report(device.clone(), report),
                Said::Fault(fault) => DeviceEvent::Fault(device.clone(), fault),
                Said::Malformed(reason) => DeviceEvent::Malformed(device.clone(), reason),
            };
            if events.blocking_send(event).is_err() {
                return;
            }
        }
    }
}

/// Does what waits, then looks at the device; none once the runner is gone.
fn step(
    handle: &Handle,
    device: &mut impl Attached,
    poll: Duration,
    outlet: &mut mpsc::Receiver<ToDevice>,
) -> io::Result<Option<Vec<Said>>> {
    let first = match outlet.try_recv() {
        Ok(first) => Some(first),
        Err(mpsc::error::TryRecvError::Disconnected) => return Ok(None),
        Err(mpsc::error::TryRecvError::Empty) => {
            device.idle()?;
            match handle.block_on(async { timeout(poll, outlet.recv()).await }) {
                Ok(None) => return Ok(None),
                Ok(Some(first)) => Some(first),
                Err(_) => None,
            }
        }
    };
    match first {
        // Between pieces of an image there is nothing new to say; the end of a run says it.
        Some(ToDevice::Chunk(offset, data, _place)) => {
            device.chunk(offset, &data)?;
            if !outlet.is_empty() {
                return Ok(Some(Vec::new()));
            }
        }
        Some(ToDevice::Order(command)) => device.order(&command)?,
        None => {}
    }
    device.poll().map(Some)
}
