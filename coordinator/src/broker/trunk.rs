//! The one connection by which the front door speaks to the broker for all gateways: what they say goes up it, what is for them
//! comes down it and is handed out here. The broker sees a handful of filters instead of several for each gateway.

use std::time::Duration;

use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::wire::Topic;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};

use super::BrokerAccess;
use super::sessions::Sessions;

/// Messages from gateways that may wait for the connection; while it is full, gateways are not read from.
const WAITING_MAX: usize = 1_024;
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The way up.
#[derive(Clone)]
pub(super) struct Trunk(AsyncClient);

impl Trunk {
    /// Connects, and connects again for ever; what comes down goes to the sessions.
    pub(super) fn start(broker: &BrokerAccess, sessions: Sessions) -> Self {
        let mut options = MqttOptions::new("front-door", broker.address.ip().to_string(), broker.address.port());
        options.set_credentials(&broker.gateway.user, &broker.gateway.password);
        options.set_keep_alive(Duration::from_secs(20));
        options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
        let (client, events) = AsyncClient::new(options, WAITING_MAX);
        tokio::spawn(run(events, client.clone(), sessions));
        Self(client)
    }

    /// Passes a gateway's message on; waits while too many do. Nothing is promised by that: only a signed ack is.
    pub(super) async fn publish(&self, topic: &str, retain: bool, payload: &[u8]) {
        if let Err(error) = self.0.publish(topic, QoS::AtMostOnce, retain, payload).await {
            tracing::warn!(%error, topic, "message not passed on; its gateway sends it again");
        }
    }

    /// As [`Self::publish`], where nobody can wait: dropped when too many do.
    pub(super) fn try_publish(&self, topic: &Topic, retain: bool, payload: &[u8]) {
        let _ = self.0.try_publish(topic.to_string(), QoS::AtMostOnce, retain, payload);
    }
}

async fn run(mut events: EventLoop, client: AsyncClient, sessions: Sessions) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                for filter in Topic::door_filters() {
                    if let Err(error) = client.try_subscribe(filter, QoS::AtMostOnce) {
                        tracing::error!(%error, "cannot subscribe at the broker");
                    }
                }
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => match Topic::parse(&publish.topic) {
                Some(topic) => sessions.hand_out(&topic, &publish.payload),
                None => tracing::warn!(topic = publish.topic, "the broker passed something on that is not ours"),
            },
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the front door's link to the broker broke; connecting again");
                // What waited is old by the time that it could be sent: who sent it sends it again.
                events.clean();
                events.pending.clear();
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}
