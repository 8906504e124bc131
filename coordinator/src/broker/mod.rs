//! The one open port. The front door accepts, limits and authenticates, speaks MQTT with gateways itself and passes HTTP to the API.
//! What gateways say and hear goes by one connection to the broker behind it: the embedded one, on loopback only and behind a
//! secret that lives as long as the process, or by configuration one of the operator's own.

mod clones;
mod counts;
mod embedded;
mod front_door;
mod guard;
mod own_connections;
mod proxy;
mod sessions;
mod subscriptions;
mod tls;
mod trunk;
mod turned_away;
mod websocket;

pub(crate) use counts::{DoorCounts, DoorCountsView};
pub(crate) use embedded::start as start_embedded;
pub(crate) use front_door::{DoorLimits, FrontDoor, Peer};
pub(crate) use sessions::GatewayLimits;
pub(crate) use tls::Tls;

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
    /// The front door's own, on behalf of all certified gateways.
    pub(crate) gateway: Login,
    pub(crate) coordinator: Login,
}
