//! The adapter for devices that speak the local MQTT protocol: reports and faults in, orders and image data out.

use std::net::IpAddr;
use std::time::Duration;

use mdfm_shared::device::{self, Channel, Command};
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::DEVICE_PACKET_BYTES_MAX;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use tokio::sync::mpsc;

use super::{DeviceEvent, LocalBroker};

const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The sending side.
#[derive(Clone)]
pub(crate) struct DeviceLink {
    client: AsyncClient,
}

impl DeviceLink {
    /// Connects to the gateway's own broker.
    pub(crate) fn start(broker: &LocalBroker, events: mpsc::Sender<DeviceEvent>) -> Self {
        let host = match broker.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) if ip.is_unspecified() => "::1".to_owned(),
            ip => ip.to_string(),
        };
        let mut options = MqttOptions::new("agent", host, broker.address.port());
        options.set_credentials("#agent", &broker.agent_secret);
        options.set_keep_alive(Duration::from_secs(20));
        options.set_max_packet_size(DEVICE_PACKET_BYTES_MAX, DEVICE_PACKET_BYTES_MAX);
        let (client, event_loop) = AsyncClient::new(options, 1_024);
        tokio::spawn(poll(event_loop, client.clone(), events));
        Self { client }
    }

    /// Gives a device an order.
    pub(crate) fn order(&self, device: &DeviceId, command: &Command) {
        let payload = device::encode(command);
        self.send(Channel::Command, device, QoS::AtLeastOnce, payload);
    }

    /// Gives image data if it can be taken now.
    pub(crate) fn chunk(&self, device: &DeviceId, offset: u64, data: &[u8]) -> bool {
        self.send(Channel::Chunk, device, QoS::AtMostOnce, device::encode_chunk(offset, data))
    }

    fn send(&self, channel: Channel, device: &DeviceId, qos: QoS, payload: Vec<u8>) -> bool {
        self.client
            .try_publish(channel.topic(device), qos, false, payload)
            .inspect_err(|error| tracing::debug!(%error, %device, "message to the device put off"))
            .is_ok()
    }
}

async fn poll(mut event_loop: EventLoop, client: AsyncClient, events: mpsc::Sender<DeviceEvent>) {
    loop {
        let event = match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                for channel in ["report", "event"] {
                    let filter = format!("{}/+/{channel}", device::TOPIC_PREFIX);
                    if let Err(error) = client.try_subscribe(filter, QoS::AtLeastOnce) {
                        tracing::error!(%error, "cannot subscribe at the device broker");
                    }
                }
                continue;
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => match parse(&publish.topic, &publish.payload) {
                Some(event) => event,
                None => continue,
            },
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "connecting to the device broker");
                tokio::time::sleep(RECONNECT_PAUSE).await;
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

fn parse(topic: &str, payload: &[u8]) -> Option<DeviceEvent> {
    let (device, channel) = Channel::parse(topic)?;
    let malformed = |e: device::MessageError| DeviceEvent::Malformed(device.clone(), e.to_string());
    match channel {
        Channel::Report => {
            Some(device::decode(payload).map_or_else(malformed, |r| DeviceEvent::Report(device.clone(), Box::new(r))))
        }
        Channel::Event => {
            Some(device::decode(payload).map_or_else(malformed, |f| DeviceEvent::Fault(device.clone(), f)))
        }
        Channel::Command | Channel::Chunk => None,
    }
}
