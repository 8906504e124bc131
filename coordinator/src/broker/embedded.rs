//! rumqttd on loopback, between the front door and the core. It acknowledges what it has only received and knows no topic rules, so
//! nothing relies on either: the guard checks topics, and only a signed commit ack counts as delivery. It compares each new
//! filter with every topic and each new topic with every filter, so it must never see filters by the thousand.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;

use mdfm_shared::limits::MQTT_PACKET_BYTES_MAX;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

use super::{BrokerAccess, Login};

const SEGMENT_BYTES: usize = 4 << 20;
const SEGMENTS: usize = 8;

fn secret() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(hex::encode(bytes))
}

/// Starts the broker on a free loopback port; what opens it lives as long as the process.
pub(crate) fn start() -> io::Result<BrokerAccess> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let login = |user: &str| Ok::<_, io::Error>(Login { user: user.to_owned(), password: secret()? });
    let (gateway, coordinator) = (login("gateway")?, login("coordinator")?);
    let auth = [&gateway, &coordinator].map(|l| (l.user.clone(), l.password.clone())).into();
    let settings = ServerSettings {
        name: "mqtt".into(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 0,
        connections: ConnectionSettings {
            connection_timeout_ms: 10_000,
            max_payload_size: MQTT_PACKET_BYTES_MAX,
            max_inflight_count: 200,
            auth: Some(auth),
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let config = Config {
        id: 0,
        router: RouterConfig {
            max_connections: 16,
            max_outgoing_packet_count: 200,
            max_segment_size: SEGMENT_BYTES,
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("v4".to_owned(), settings)])),
        v5: None,
        ws: None,
        cluster: None,
        console: None,
        bridge: None,
        prometheus: None,
        metrics: None,
    };
    std::thread::Builder::new().name("broker".into()).spawn(move || {
        if let Err(error) = Broker::new(config).start() {
            tracing::error!(%error, "the embedded broker stopped; stopping, nothing is lost");
            std::process::exit(mdfm_service::STOPPED_AT_ONCE.into());
        }
    })?;
    Ok(BrokerAccess { address, gateway, coordinator })
}
