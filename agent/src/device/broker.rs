//! The gateway's own broker for its devices. Each must present its id and secret.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use mdfm_shared::device::TOPIC_PREFIX;
use mdfm_shared::limits::{DEVICE_PACKET_BYTES_MAX, GATEWAY_DEVICES_MAX};
use rumqttd::{Broker, Config as BrokerConfig, ConnectionSettings, RouterConfig, SegmentConfig, ServerSettings};

use crate::config::Config;

/// Bytes kept for slow readers, by subscription: several windows of image data, and far less of the small messages.
const SEGMENT_BYTES: usize = 1 << 20;
const SMALL_SEGMENT_BYTES: usize = 128 * 1024;
const SEGMENTS: usize = 4;

/// Where the broker listens and how the agent itself gets in.
pub(crate) struct LocalBroker {
    pub(crate) address: SocketAddr,
    pub(crate) agent_secret: String,
}

impl LocalBroker {
    /// Starts the broker.
    pub(crate) fn start(config: &Config) -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        let agent_secret = hex::encode(bytes);
        // Say at once, and in words, when the address is taken.
        drop(std::net::TcpListener::bind(config.device_listen)?);
        let mut auth: HashMap<String, String> =
            config.device.iter().filter_map(|d| Some((d.id.to_string(), d.secret.clone()?))).collect();
        auth.insert("#agent".into(), agent_secret.clone());
        let settings = ServerSettings {
            name: "devices".into(),
            listen: config.device_listen,
            tls: None,
            next_connection_delay_ms: 0,
            connections: ConnectionSettings {
                connection_timeout_ms: 5_000,
                max_payload_size: DEVICE_PACKET_BYTES_MAX,
                max_inflight_count: 100,
                auth: Some(auth),
                external_auth: None,
                dynamic_filters: true,
            },
        };
        let small = ["report", "event", "command"].map(|channel| {
            let segments = SegmentConfig { max_segment_size: SMALL_SEGMENT_BYTES, max_segment_count: SEGMENTS };
            (format!("{TOPIC_PREFIX}/+/{channel}"), segments)
        });
        let small = HashMap::from(small);
        let config = BrokerConfig {
            id: 0,
            router: RouterConfig {
                max_connections: GATEWAY_DEVICES_MAX + 16,
                max_outgoing_packet_count: 200,
                max_segment_size: SEGMENT_BYTES,
                max_segment_count: SEGMENTS,
                custom_segment: Some(small),
                ..RouterConfig::default()
            },
            v4: Some(HashMap::from([("v4".to_owned(), settings.clone())])),
            v5: None,
            ws: None,
            cluster: None,
            console: None,
            bridge: None,
            prometheus: None,
            metrics: None,
        };
        std::thread::Builder::new().name("device-broker".into()).spawn(move || {
            if let Err(error) = Broker::new(config).start() {
                tracing::error!(%error, "the device broker stopped; stopping, devices keep what they run");
                std::process::exit(70);
            }
        })?;
        Ok(Self { address: settings.listen, agent_secret })
    }
}
