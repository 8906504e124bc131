//! The one open port. The front door accepts, limits and authenticates; behind it stand the HTTP API and, on loopback only and
//! behind a secret that lives as long as the process, the embedded MQTT broker.

mod embedded;
mod front_door;
mod guard;

pub(crate) use embedded::EmbeddedBroker;
pub(crate) use front_door::{FrontDoor, Peer, tls_config};
