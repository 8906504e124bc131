//! MQTT to the coordinator. What cannot be sent now is not queued here: the outbox and the next heartbeat send it again.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::wire::Topic;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, LastWill, QoS};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::road::Relay;
use super::{Identity, Road};

/// Pause before a new connection: full jitter up to this, doubling from the first to the last.
const PAUSE_FIRST_MS: u64 = 500;
const PAUSE_LAST_MS: u64 = 15_000;
/// A connection that held for so long was a good one: the next pause is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(2);
/// A device fault reaches the coordinator within this even over a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the link tells the runner.
#[derive(Debug)]
pub(crate) enum FleetEvent {
    /// Connected and subscribed.
    Up,
    /// Not connected.
    Down,
    /// A message.
    Message { topic: String, payload: Vec<u8> },
}

/// The sending side.
pub(crate) struct FleetLink {
    client: AsyncClient,
    gateway: GatewayId,
    polling: JoinHandle<()>,
    _relay: Relay,
}

impl Drop for FleetLink {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

/// Host and port of an `https://` URL.
fn host_and_port(url: &str) -> anyhow::Result<(String, u16)> {
    let authority = url.strip_prefix("https://").context("the coordinator's URL must start with https://")?;
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) => Ok((host.trim_matches(['[', ']']).to_owned(), port.parse()?)),
        None => Ok((authority.to_owned(), 443)),
    }
}

impl FleetLink {
    /// Connects, and connects again for ever; events go to `events`.
    pub(crate) fn start(
        identity: &Identity,
        road: &Road,
        state_dir: &Path,
        events: mpsc::Sender<FleetEvent>,
    ) -> anyhow::Result<Self> {
        let (host, port) = host_and_port(&identity.url)?;
        let gateway = identity.gateway.clone();
        let presence = Topic::Presence(gateway.clone()).to_string();
        let client = Some((identity.certificate_pem.as_str(), identity.key_pem.as_str()));
        let tls = super::tls_config(&identity.ca_der()?, client)?;
        let (mut options, relay) = road.mqtt(gateway.as_str(), (host, port), tls, state_dir)?;
        options.set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
        options.set_last_will(LastWill::new(&presence, "offline", QoS::AtLeastOnce, true));
        let (client, event_loop) = AsyncClient::new(options, 128);
        let polling = tokio::spawn(poll(event_loop, events));
        Ok(Self { client, gateway, polling, _relay: relay })
    }

    /// Subscribes to everything that this gateway needs and says that it is there.
    pub(crate) fn hello(&self) {
        for filter in Topic::agent_filters(&self.gateway) {
            self.subscribe(filter);
        }
        self.publish(&Topic::Presence(self.gateway.clone()), true, b"online".to_vec());
    }

    /// Subscribes to a release.
    pub(crate) fn want_release(&self, digest: Digest) {
        self.subscribe(Topic::Release(digest).to_string());
    }

    fn subscribe(&self, filter: String) {
        if let Err(error) = self.client.try_subscribe(filter, QoS::AtLeastOnce) {
            tracing::debug!(%error, "subscription put off to the next connection");
        }
    }

    /// Sends if the connection takes it now.
    pub(crate) fn publish(&self, topic: &Topic, retain: bool, payload: Vec<u8>) {
        // A heartbeat is worth nothing when the next one is due.
        let qos = if matches!(topic, Topic::Heartbeat(_)) { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        if let Err(error) = self.client.try_publish(topic.to_string(), qos, retain, payload) {
            tracing::debug!(%error, %topic, "message put off");
        }
    }
}

async fn poll(mut event_loop: EventLoop, events: mpsc::Sender<FleetEvent>) {
    let mut pause_ms = PAUSE_FIRST_MS;
    let mut up_since = None;
    loop {
        let event = match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                up_since = Some(Instant::now());
                tracing::info!("connected to the coordinator");
                FleetEvent::Up
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                FleetEvent::Message { topic: publish.topic, payload: publish.payload.to_vec() }
            }
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection to the coordinator; going on alone and trying again");
                // What was in flight is sent again from the outbox, in order.
                event_loop.clean();
                event_loop.pending.clear();
                if events.send(FleetEvent::Down).await.is_err() {
                    return;
                }
                if up_since.take().is_some_and(|at: Instant| at.elapsed() >= GOOD_CONNECTION) {
                    pause_ms = PAUSE_FIRST_MS;
                }
                tokio::time::sleep(Duration::from_millis(jitter(pause_ms))).await;
                pause_ms = (pause_ms * 2).min(PAUSE_LAST_MS);
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// A random time up to `ms`: thousands of gateways that lost the coordinator at once must not come back at once.
fn jitter(ms: u64) -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes) % ms + 1,
        Err(_) => ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_give_host_and_port() {
        for (url, host, port) in [
            ("https://fw.example:8443", "fw.example", 8443),
            ("https://fw.example/", "fw.example", 443),
            ("https://[::1]:9", "::1", 9),
        ] {
            assert_eq!(host_and_port(url).expect("good"), (host.to_owned(), port));
        }
        assert!(host_and_port("http://x").is_err());
    }
}
