//! The sending side: acks and directives as they come; what goes to everybody only once in a while, however many ask.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mdfm_shared::digest::Digest;
use mdfm_shared::wire::Topic;
use rumqttc::{AsyncClient, QoS};
use tokio::sync::mpsc;

use crate::clock;
use crate::runner::Runner;
use mdfm_coordinator_core::desk::Outbound;
use mdfm_coordinator_core::{authority, dispatch};

/// Messages that may wait to be sent.
const WAITING_MAX: usize = 8_192;
/// A document for everybody that a gateway lacks is not published again sooner: the broker gives it to whoever subscribes, and
/// thousands that come back at once ask for the same one.
const AGAIN: Duration = Duration::from_secs(5);

enum Message {
    /// Composed when its turn comes.
    Asked(Outbound),
    /// Composed already.
    Frame(Topic, Vec<u8>),
    Everything,
}

/// Where messages go; what finds no room is dropped, as it is asked for again.
#[derive(Clone)]
pub(super) struct Out(mpsc::Sender<Message>);

impl Out {
    /// A gateway lacks this.
    pub(super) fn asked(&self, outbound: Outbound) {
        let _ = self.0.try_send(Message::Asked(outbound));
    }
    /// Gives whether there was room.
    pub(super) fn frame(&self, topic: Topic, frame: Vec<u8>) -> bool {
        self.0.try_send(Message::Frame(topic, frame)).is_ok()
    }
    /// The broker may have forgotten everything that it should hold.
    pub(super) fn everything(&self) {
        let _ = self.0.try_send(Message::Everything);
    }
}

/// Starts the sending task: what is decided comes from `outbound`, what is answered through the handle.
pub(super) fn start(runner: Runner, client: AsyncClient, mut outbound: mpsc::Receiver<Outbound>) -> Out {
    let (out, mut messages) = mpsc::channel(WAITING_MAX);
    let mut sender = Sender { runner, client, published: HashMap::new() };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                message = outbound.recv() => match message {
                    Some(Outbound::Everything) => sender.everything().await,
                    Some(message) => sender.deliver(message).await,
                    None => return,
                },
                Some(message) = messages.recv() => match message {
                    Message::Asked(outbound) => sender.asked(outbound).await,
                    Message::Frame(topic, frame) => sender.publish(topic, false, frame).await,
                    Message::Everything => sender.everything().await,
                },
            }
        }
    });
    Out(out)
}

struct Sender {
    runner: Runner,
    client: AsyncClient,
    /// When documents for everybody went out last.
    published: HashMap<String, Instant>,
}

impl Sender {
    async fn publish(&self, topic: Topic, retain: bool, payload: Vec<u8>) {
        let qos = if retain { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        if let Err(error) = self.client.publish(topic.to_string(), qos, retain, payload).await {
            tracing::warn!(%error, %topic, "message to the fleet not sent; it is sent again when the gateway asks");
        }
    }

    async fn deliver(&mut self, outbound: Outbound) {
        let now = self.runner.now();
        let message = dispatch::message(&self.runner.state(), &self.runner.log, now, &outbound);
        match message {
            Some((topic, payload)) => {
                if let Outbound::RollbackOrders(gateway) = &outbound {
                    let orders = authority::orders_for(&self.runner.state(), gateway, now);
                    self.runner.presence().orders_sent(clock::now(), gateway, orders, Digest::of(&payload));
                }
                if !matches!(outbound, Outbound::Directive(_)) {
                    self.published.insert(topic.to_string(), Instant::now());
                }
                self.publish(topic, true, payload).await;
            }
            None => tracing::warn!(what = outbound.words(), "nothing to send yet"),
        }
    }

    async fn asked(&mut self, outbound: Outbound) {
        let topic = match &outbound {
            Outbound::TrustRoot(i) => Some(Topic::TrustRoot(*i as u64 + 1)),
            Outbound::Roster => Some(Topic::Roster),
            Outbound::Withdrawals => Some(Topic::Withdrawals),
            Outbound::RollbackOrders(gateway) => Some(Topic::RollbackOrders(gateway.clone())),
            Outbound::Release(manifest) => Some(Topic::Release(*manifest)),
            Outbound::Directive(_) | Outbound::Checkpoint(_) | Outbound::Everything => None,
        };
        let recent = topic.and_then(|t| self.published.get(&t.to_string())).is_some_and(|at| at.elapsed() < AGAIN);
        if !recent {
            self.deliver(outbound).await;
        }
    }

    async fn everything(&mut self) {
        let now = self.runner.now();
        let messages = dispatch::everything(&self.runner.state(), &self.runner.log, now);
        for message in messages {
            self.deliver(message).await;
        }
    }
}
