//! The coordinator's side of the MQTT link: directives, trust documents and releases out; telemetry and heartbeats in. It makes
//! no choices: what goes out was decided and logged before, what comes in goes to the core.
//!
//! One task listens to the broker and sorts; a few threads verify and hand over; one task sends. Between them nothing is
//! unbounded: what finds no room is dropped, because its sender repeats it until a signed ack comes.

mod counts;
mod intake;
mod send;

use std::sync::Arc;
use std::time::Duration;

use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::sign::SecretKey;
use mdfm_shared::wire::Topic;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use tokio::sync::mpsc;

use crate::broker::BrokerAccess;
use crate::clock;
use crate::runner::Runner;
use mdfm_coordinator_core::desk::Outbound;

pub(crate) use counts::{Counts, CountsView};
use intake::Shards;

const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Messages between the sending task and the connection.
const CLIENT_QUEUE: usize = 1_024;

/// Starts the link; gives what it counts.
pub(crate) fn start(
    runner: Runner,
    broker: &BrokerAccess,
    online_key: SecretKey,
    outbound: mpsc::Receiver<Outbound>,
) -> std::io::Result<Arc<Counts>> {
    let mut options = MqttOptions::new("coordinator", broker.address.ip().to_string(), broker.address.port());
    options.set_credentials(&broker.coordinator.user, &broker.coordinator.password);
    options.set_keep_alive(Duration::from_secs(20));
    options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
    let (client, events) = AsyncClient::new(options, CLIENT_QUEUE);
    let counts = Arc::new(Counts::default());
    let out = send::start(runner.clone(), client.clone(), outbound);
    let shards = intake::start(runner.clone(), online_key, out.clone(), Arc::clone(&counts))?;
    tokio::spawn(receive(events, client, runner, shards, out));
    Ok(counts)
}

async fn receive(mut events: EventLoop, client: AsyncClient, runner: Runner, shards: Shards, out: send::Out) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                for filter in Topic::coordinator_filters() {
                    // Nothing that comes counts as delivered before it is acknowledged by signature: a broker's word is not needed.
                    if let Err(error) = client.try_subscribe(filter, QoS::AtMostOnce) {
                        tracing::error!(%error, "cannot subscribe at the broker");
                    }
                }
                out.everything();
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => match Topic::parse(&publish.topic) {
                Some(Topic::Telemetry(gateway)) => shards.telemetry(gateway, publish.payload.to_vec()),
                Some(Topic::Heartbeat(gateway)) => shards.heartbeat(gateway, publish.payload.to_vec()),
                Some(Topic::Presence(gateway)) if runner.state().gateways.contains_key(&gateway) => {
                    runner.presence().connection(clock::now(), &gateway, publish.payload.as_ref() == b"online");
                }
                _ => {}
            },
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "link to the broker broke; connecting again");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}
