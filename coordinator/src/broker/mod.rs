//! The one open port. The front door accepts, limits and authenticates; behind it stand the HTTP API and, on loopback only and
//! behind a secret that lives as long as the process, the embedded MQTT broker; or, by configuration, one of the operator's own.

mod embedded;
mod front_door;
mod guard;

pub(crate) use embedded::start as start_embedded;
pub(crate) use front_door::{FrontDoor, Peer, tls_config};

use std::net::SocketAddr;

/// What opens the broker to one kind of client.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Where the broker is and what opens it. Nobody but this process may reach it.
#[derive(Clone)]
pub(crate) struct BrokerAccess {
    pub(crate) address: SocketAddr,
    /// Presented by the guard on behalf of certified gateways.
    pub(crate) gateway: Login,
    pub(crate) coordinator: Login,
}
