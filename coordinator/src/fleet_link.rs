//! The coordinator's side of the MQTT link: directives, trust documents and releases out; telemetry and heartbeats in. It makes
//! no choices: what goes out was decided and logged before, what comes in goes to the core.

use std::collections::HashMap;
use std::time::Duration;

use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{Heartbeat, TelemetryBatch};
use mdfm_shared::wire::{self, Topic};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use tokio::sync::mpsc;

use crate::broker::BrokerAccess;
use crate::clock;
use crate::domain::desk::Outbound;
use crate::domain::{Command, Refusal, dispatch, heartbeat, telemetry};
use crate::runner::{Runner, gateway_actor};

/// Messages of one gateway that may wait; more are dropped, the gateway sends them again.
const GATEWAY_QUEUE_MAX: usize = 64;
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Starts the link.
pub(crate) fn start(runner: Runner, broker: &BrokerAccess, online_key: SecretKey, outbound: mpsc::Receiver<Outbound>) {
    let mut options = MqttOptions::new("coordinator", broker.address.ip().to_string(), broker.address.port());
    options.set_credentials(&broker.coordinator.user, &broker.coordinator.password);
    options.set_keep_alive(Duration::from_secs(20));
    options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
    let (client, events) = AsyncClient::new(options, 256);
    let (resync, resynced) = mpsc::channel(1);
    let sender = Sender { runner: runner.clone(), client: client.clone(), online_key };
    tokio::spawn(receive(events, client, sender.clone(), resync));
    tokio::spawn(send(sender, outbound, resynced));
}

#[derive(Clone)]
struct Sender {
    runner: Runner,
    client: AsyncClient,
    online_key: SecretKey,
}

impl Sender {
    async fn publish(&self, topic: Topic, retain: bool, payload: Vec<u8>) {
        if let Err(error) = self.client.publish(topic.to_string(), QoS::AtLeastOnce, retain, payload).await {
            tracing::warn!(%error, %topic, "message to the fleet not sent; it is sent again when the gateway asks");
        }
    }

    async fn deliver(&self, outbound: Outbound) {
        let message = dispatch::message(&self.runner.state(), &self.runner.log, &outbound);
        match message {
            Some((topic, payload)) => self.publish(topic, true, payload).await,
            None => tracing::warn!(?outbound, "nothing to send yet"),
        }
    }

    /// Tells everything that the broker should retain; it may have forgotten all of it.
    async fn resync(&self) {
        let messages = dispatch::everything(&self.runner.state(), &self.runner.log);
        for message in messages {
            self.deliver(message).await;
        }
    }

    async fn acknowledge(&self, gateway: &GatewayId) {
        let Some(ack) = dispatch::acknowledgement(&self.runner.state(), gateway) else { return };
        match Signed::sign(&ack, &[&self.online_key]) {
            Ok(signed) => self.publish(Topic::Ack(gateway.clone()), false, wire::encode(&signed)).await,
            Err(error) => tracing::error!(%error, "ack cannot be signed"),
        }
    }
}

async fn send(sender: Sender, mut outbound: mpsc::Receiver<Outbound>, mut resync: mpsc::Receiver<()>) {
    loop {
        tokio::select! {
            message = outbound.recv() => match message {
                Some(Outbound::Everything) => sender.resync().await,
                Some(message) => sender.deliver(message).await,
                None => return,
            },
            Some(()) = resync.recv() => sender.resync().await,
        }
    }
}

async fn receive(mut events: EventLoop, client: AsyncClient, sender: Sender, resync: mpsc::Sender<()>) {
    let mut gateways: HashMap<GatewayId, mpsc::Sender<Message>> = HashMap::new();
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                for filter in Topic::coordinator_filters() {
                    if let Err(error) = client.try_subscribe(filter, QoS::AtLeastOnce) {
                        tracing::error!(%error, "cannot subscribe at the broker");
                    }
                }
                // One waiting request is enough.
                let _ = resync.try_send(());
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                let Some((gateway, message)) = parse(&publish.topic, &publish.payload) else { continue };
                if !sender.runner.state().gateways.contains_key(&gateway) {
                    continue;
                }
                let queue = gateways.entry(gateway.clone()).or_insert_with(|| {
                    let (queue, messages) = mpsc::channel(GATEWAY_QUEUE_MAX);
                    tokio::spawn(serve_gateway(gateway, sender.clone(), messages));
                    queue
                });
                // A full queue drops; telemetry is sent again until it is acknowledged.
                let _ = queue.try_send(message);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "link to the broker broke; connecting again");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}

enum Message {
    Telemetry(Box<Signed<TelemetryBatch>>),
    Heartbeat(Box<Signed<Heartbeat>>),
    Malformed(String),
}

fn parse(topic: &str, payload: &[u8]) -> Option<(GatewayId, Message)> {
    let malformed = |e: wire::FrameError| Message::Malformed(format!("{topic}: {e}"));
    match Topic::parse(topic)? {
        Topic::Telemetry(gateway) => {
            Some((gateway, wire::decode(payload).map_or_else(malformed, |b| Message::Telemetry(Box::new(b)))))
        }
        Topic::Heartbeat(gateway) => {
            Some((gateway, wire::decode(payload).map_or_else(malformed, |b| Message::Heartbeat(Box::new(b)))))
        }
        _ => None,
    }
}

async fn serve_gateway(gateway: GatewayId, sender: Sender, mut messages: mpsc::Receiver<Message>) {
    let mut newest = (0, 0);
    while let Some(message) = messages.recv().await {
        match message {
            Message::Telemetry(batch) => {
                let command = Command::Telemetry { gateway: gateway.clone(), batch: *batch };
                match sender.runner.submit(gateway_actor(&gateway), None, command).await {
                    Ok(()) => sender.acknowledge(&gateway).await,
                    Err(refusal) if [telemetry::ALREADY_COMMITTED, telemetry::GAP].contains(&refusal.code) => {
                        sender.acknowledge(&gateway).await;
                    }
                    Err(refusal) => tracing::warn!(%gateway, code = refusal.code, %refusal, "telemetry refused"),
                }
            }
            Message::Heartbeat(heartbeat) => {
                if let Err(refusal) = hear(&gateway, &sender, &heartbeat, &mut newest).await {
                    refuse(&gateway, &sender, "heartbeat", refusal).await;
                }
            }
            Message::Malformed(cause) => {
                refuse(&gateway, &sender, "message", Refusal::document("malformed-frame", cause)).await;
            }
        }
    }
}

async fn refuse(gateway: &GatewayId, sender: &Sender, action: &'static str, refusal: Refusal) {
    tracing::warn!(%gateway, code = refusal.code, %refusal, "message refused");
    let command = Command::Denied { action, object: format!("gateway/{gateway}"), refusal };
    // The refusal comes back as the answer; recording it was the point.
    let _ = sender.runner.submit(gateway_actor(gateway), None, command).await;
}

/// Takes a heartbeat, sends what the gateway lacks and has logged what it changes.
async fn hear(
    gateway: &GatewayId,
    sender: &Sender,
    signed: &Signed<Heartbeat>,
    newest: &mut (u64, u64),
) -> Result<(), Refusal> {
    let answer = {
        let state = sender.runner.state();
        let mut seen = sender.runner.liveness.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        heartbeat::hear(&state, &mut seen, clock::now(), gateway, signed, newest)?
    };
    for message in answer.outbound {
        sender.deliver(message).await;
    }
    match answer.command {
        Some(command) => sender.runner.submit(gateway_actor(gateway), None, command).await,
        None => Ok(()),
    }
}
