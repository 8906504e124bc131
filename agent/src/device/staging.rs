//! One image on its way into one device's inactive slot: begin, data from where the device says that it is durable, finish. An
//! interruption of any kind goes on from there.

use std::io;

use mdfm_agent_core::image::Image;
use mdfm_shared::device::{Command, Order, Refusal, Report};
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::DEVICE_CHUNK_BYTES;
use mdfm_shared::time::MonotonicMs;
use tokio::task::JoinHandle;

use super::{DeviceLink, Way};
use crate::disk::{DiskFile, read_exact_at};

/// Chunks sent ahead of what a device on a connection reports durable.
const WINDOW_CHUNKS: u64 = 16;
/// Without progress for so long the data is sent again, and so is an order that seems lost.
const STALL_MS: u64 = 2_000;

/// What came of driving a staging on.
pub(crate) enum Driven {
    /// Nothing for the runner to do.
    On,
    /// The device refused.
    Refused(Refusal),
    /// Image data from this byte on is to be fed to the device, by [`Staging::feed`].
    Feed(u64),
}

/// A staging in progress.
pub(crate) struct Staging {
    pub(crate) image: Image,
    /// The verified image, where it lies in the cache.
    cached: Option<Box<dyn DiskFile>>,
    begun: bool,
    /// Bytes sent since the device's last report of progress.
    sent_bytes: u64,
    durable_bytes: u64,
    progress_at: MonotonicMs,
    /// The order that stands, and when it was last given.
    ordered: Option<(Command, MonotonicMs)>,
    feeding: Option<JoinHandle<()>>,
    fed_at: Option<MonotonicMs>,
}

impl Staging {
    /// Of an image that lies in the cache, or comes from the network.
    pub(crate) fn new(image: Image, cached: Option<Box<dyn DiskFile>>, now: MonotonicMs) -> Self {
        Self {
            image,
            cached,
            begun: false,
            sent_bytes: 0,
            durable_bytes: 0,
            progress_at: now,
            ordered: None,
            feeding: None,
            fed_at: None,
        }
    }

    /// Notes who feeds the device now.
    pub(crate) fn feed(&mut self, feeding: JoinHandle<()>) {
        self.feeding = Some(feeding);
    }

    /// Sends what the device can take now. `next_order` gives the next order number.
    pub(crate) fn drive(
        &mut self,
        now: MonotonicMs,
        way: &Way,
        device: &DeviceId,
        report: Option<&Report>,
        next_order: impl FnMut() -> u64,
    ) -> io::Result<Driven> {
        let Some(report) = report else { return Ok(Driven::On) };
        let ours = self.ordered.as_ref().map(|(command, _)| command.order);
        if let Some(refusal) = report.last_refusal.as_ref().filter(|r| Some(r.order) == ours) {
            return Ok(Driven::Refused(refusal.clone()));
        }
        let sha256 = self.image.firmware.sha256;
        let staged = report.staged.as_ref().filter(|s| s.sha256 == sha256);
        if staged.is_some_and(|s| s.complete) {
            return Ok(Driven::On);
        }
        self.begun |= Some(report.last_order) == ours && staged.is_some();
        let Some(staged) = staged.filter(|_| self.begun) else {
            let Image { firmware, size_bytes, components, .. } = self.image.clone();
            self.order(now, way, device, report, Order::Begin { firmware, size_bytes, components }, next_order);
            return Ok(Driven::On);
        };
        if staged.written_bytes != self.durable_bytes {
            self.durable_bytes = staged.written_bytes.min(self.image.size_bytes);
            self.progress_at = now;
            self.sent_bytes = self.sent_bytes.max(self.durable_bytes);
        }
        if self.durable_bytes >= self.image.size_bytes {
            self.order(now, way, device, report, Order::Finish { sha256 }, next_order);
            return Ok(Driven::On);
        }
        match way {
            Way::Mqtt(link) => self.send(now, link, device).map(|()| Driven::On),
            Way::Local(_) => Ok(self.ask_for_feed(now)),
        }
    }

    /// A bounded window ahead of what is durable, sent again from there when nothing moves.
    fn send(&mut self, now: MonotonicMs, link: &DeviceLink, device: &DeviceId) -> io::Result<()> {
        let cached = self.cached.as_deref().ok_or_else(|| io::Error::other("the image is not in the cache"))?;
        if now.since_ms(self.progress_at) >= STALL_MS || self.sent_bytes < self.durable_bytes {
            self.sent_bytes = self.durable_bytes;
            self.progress_at = now;
        }
        let window_end = self.durable_bytes + WINDOW_CHUNKS * DEVICE_CHUNK_BYTES as u64;
        let mut chunk = vec![0; DEVICE_CHUNK_BYTES];
        while self.sent_bytes < window_end.min(self.image.size_bytes) {
            let left = self.image.size_bytes - self.sent_bytes;
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(DEVICE_CHUNK_BYTES);
            read_exact_at(cached, &mut chunk[..n], self.sent_bytes)?;
            if !link.chunk(device, self.sent_bytes, &chunk[..n]) {
                break;
            }
            self.sent_bytes += n as u64;
        }
        Ok(())
    }

    /// One feed at a time; the next a while after the one before ended short.
    fn ask_for_feed(&mut self, now: MonotonicMs) -> Driven {
        if let Some(feeding) = &self.feeding {
            if !feeding.is_finished() {
                return Driven::On;
            }
            self.feeding = None;
            self.fed_at = Some(now);
        }
        if self.fed_at.is_some_and(|at| now.since_ms(at) < STALL_MS) {
            return Driven::On;
        }
        Driven::Feed(self.durable_bytes)
    }

    /// Gives an order of the staging, or the same again if it seems lost.
    fn order(
        &mut self,
        now: MonotonicMs,
        way: &Way,
        device: &DeviceId,
        report: &Report,
        what: Order,
        mut next_order: impl FnMut() -> u64,
    ) {
        let command = match self.ordered.take() {
            Some((command, at)) if command.what == what => {
                if now.since_ms(at) < STALL_MS {
                    self.ordered = Some((command, at));
                    return;
                }
                if report.last_order == command.order { Command { order: next_order(), ..command } } else { command }
            }
            _ => Command { order: next_order(), what },
        };
        way.order(device, &command);
        self.ordered = Some((command, now));
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(feeding) = &self.feeding {
            feeding.abort();
        }
    }
}
