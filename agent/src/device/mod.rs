//! The devices beside the gateway. So far they speak the local MQTT protocol (`docs/device-protocol.md`).

mod broker;
mod mqtt;

pub(crate) use broker::LocalBroker;
pub(crate) use mqtt::{DeviceEvent, DeviceLink, Staging};
