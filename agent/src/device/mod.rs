//! The devices beside the gateway, in three kinds: `mqtt` (they speak the local protocol, `docs/device-protocol.md`), `slots` (their images
//! lie on the gateway) and `command` (their maker's own tool reaches them). All three are asked the same by `conformance`.

mod command;
mod conformance;
mod local;
mod mqtt;
mod program;
mod slots;
mod staging;

use std::io;
use std::time::Duration;

use mdfm_agent_core::gateway::Malformed;
use mdfm_shared::device::{Command, FaultMessage, Report};
use mdfm_shared::id::DeviceId;
use tokio::sync::mpsc;

pub(crate) use command::{CommandConfig, CommandDevice};
pub(crate) use conformance::{Finding, Patience, Subject, run as conformance};
pub(crate) use local::LocalDevice;
#[cfg(test)]
pub(crate) use local::{Attached, Said, ToDevice};
pub(crate) use mqtt::{DeviceLink, DeviceTls, check_tls};
#[cfg(test)]
pub(crate) use slots::{Factory, Pair, measured};
pub(crate) use slots::{
    Reboot, SlotDevices, SlotProblem, SlotsConfig, SlotsDevice, boot, running_files as slot_base, slot_problems,
};
pub(crate) use staging::{Driven, Staging};

/// What devices tell the runner.
#[derive(Debug)]
pub(crate) enum DeviceEvent {
    Report(DeviceId, Box<Report>),
    Fault(DeviceId, FaultMessage),
    /// Something that is not what it should be, and what.
    Malformed(DeviceId, Malformed),
    /// A new connection of the device took the place of one that stood.
    Displaced(DeviceId),
}

/// The way to one device. What is sent may be lost: the device's reports show what arrived.
#[derive(Clone)]
pub(crate) enum Way {
    /// Over its own connection.
    Mqtt(DeviceLink),
    /// By a thread of the agent.
    Local(LocalDevice),
}

impl Way {
    /// Gives an order.
    pub(crate) fn order(&self, device: &DeviceId, command: &Command) {
        match self {
            Self::Mqtt(link) => link.order(device, command),
            Self::Local(local) => local.order(command),
        }
    }
}

/// How often a device's slots are looked at.
const SLOTS_POLL: Duration = Duration::from_millis(250);
/// Time that the program has which makes such a device boot.
const REBOOT_DEADLINE: Duration = Duration::from_secs(30);

/// Makes a device boot by running what the configuration names.
struct RebootProgram(Vec<String>);

impl Reboot for RebootProgram {
    fn reboot(&mut self) -> io::Result<()> {
        let (said, status) = program::Program::start(&self.0, &[], REBOOT_DEADLINE)?.end()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the program that reboots the device ended with {status}: {}", said.join(" "))))
    }
}

/// Takes up a device whose slots lie on this gateway.
pub(crate) fn attach_slots(
    device: DeviceId,
    disk: &crate::disk::DiskHandle,
    config: &SlotsConfig,
    all: &SlotDevices,
    events: mpsc::Sender<DeviceEvent>,
) -> io::Result<Way> {
    let (disk, config, all) = (disk.clone(), config.clone(), all.clone());
    let open = move || SlotsDevice::open(&disk, config.clone(), all.clone(), RebootProgram(config.reboot.clone()));
    LocalDevice::start(device, open, SLOTS_POLL, events).map(Way::Local)
}

/// Takes up a device behind its maker's tool.
pub(crate) fn attach_command(
    device: DeviceId,
    config: &CommandConfig,
    events: mpsc::Sender<DeviceEvent>,
) -> io::Result<Way> {
    let (id, config) = (device.clone(), config.clone());
    let poll = Duration::from_secs(config.poll_seconds);
    let open = move || Ok(CommandDevice::new(id.clone(), config.clone()));
    LocalDevice::start(device, open, poll, events).map(Way::Local)
}

/// A boot record with these bytes in it.
#[cfg(fuzzing)]
pub(crate) fn fuzz_record(bytes: &[u8]) {
    slots::fuzz_record(bytes);
}

/// A status file, and a line of a maker's tool.
#[cfg(fuzzing)]
pub(crate) fn fuzz_side(bytes: &[u8]) {
    slots::fuzz_status(bytes);
    command::fuzz(bytes);
}
