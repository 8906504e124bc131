//! One hostile gateway, with its real key and certificate, and strangers at the coordinator's one port. Nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mdfm_shared::wire::mqtt::{Connect, Will};
use mdfm_tests::{Layout, Role, World, gateway_id, hospital_id, wait_for};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::{fresh_dir, image};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects with TLS and the given certificate; no handshake yet.
fn dial(world: &World, identity: Option<(String, String)>, version: &'static SupportedProtocolVersion) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.data().join("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let tcp = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
}

/// The key and certificate of a gateway, as somebody who broke into it finds them.
fn stolen(world: &World, h: usize) -> (String, String) {
    let identity: Value =
        serde_json::from_slice(&std::fs::read(world.agent_state(h).join("identity.json")).unwrap()).unwrap();
    let text = |name: &str| identity[name].as_str().unwrap().to_owned();
    (text("certificate_pem"), text("key_pem"))
}

fn connect(client_id: &str, will: Option<&str>) -> Vec<u8> {
    let will = will.map(|topic| Will { topic: topic.into(), message: b"offline".to_vec(), qos: 1, retain: true });
    let client_id = client_id.to_owned();
    Connect { client_id, clean_session: true, keep_alive_s: 30, will, username: None, password: None }.encode().unwrap()
}

fn publish(topic: &str) -> Vec<u8> {
    let mut packet = vec![0x30, (2 + topic.len() + 1) as u8, 0, topic.len() as u8];
    packet.extend_from_slice(topic.as_bytes());
    packet.push(b'x');
    packet
}

fn subscribe(filter: &str) -> Vec<u8> {
    let mut packet = vec![0x82, (5 + filter.len()) as u8, 0, 1, 0, filter.len() as u8];
    packet.extend_from_slice(filter.as_bytes());
    packet.push(1);
    packet
}

/// Sends packets one after the other; gives whether the other side closed the connection over them.
fn is_closed(mut stream: Stream, packets: &[Vec<u8>]) -> bool {
    for packet in packets {
        if stream.write_all(packet).and_then(|()| stream.flush()).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    // A ping that is answered shows that the connection lives.
    if stream.write_all(&[0xc0, 0]).and_then(|()| stream.flush()).is_err() {
        return true;
    }
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return true,
            Ok(n) => received.extend_from_slice(&buffer[..n]),
        }
        if received.windows(2).any(|w| w == [0xd0, 0]) {
            return false;
        }
    }
}

#[test]
fn att_13_a_hostile_gateway_and_strangers_reach_nothing() {
    let dir = fresh_dir("door");
    let mut world = World::start(&dir, Layout { hospitals: 2, devices: 1, ..Layout::default() }).unwrap();
    world.kill_agent(1);
    let (own, other) = (gateway_id(1), gateway_id(2));
    let door = || dial(&world, Some(stolen(&world, 1)), &TLS13);

    // Silent connections, and handshakes that never end: they are there all through the rest.
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(("127.0.0.1", world.port)).unwrap()).collect();
    let mut half_done = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    half_done.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();

    let prefix = "mdfm/v1";
    let own_topics =
        [subscribe(&format!("{prefix}/g/{own}/directive")), publish(&format!("{prefix}/g/{own}/heartbeat"))];
    assert!(!is_closed(door(), &[vec![connect(&own, None)], own_topics.to_vec()].concat()), "its own topics are open");
    let mut large = vec![0x30, 0xff, 0xff, 0xff, 0x7f];
    large.extend_from_slice(&[0; 64]);
    for (why, packets) in [
        ("another client id", vec![connect(&other, None)]),
        ("a will below another gateway", vec![connect(&own, Some(&format!("{prefix}/g/{other}/presence")))]),
        ("telemetry of another", vec![connect(&own, None), publish(&format!("{prefix}/g/{other}/telemetry"))]),
        ("its own directive", vec![connect(&own, None), publish(&format!("{prefix}/g/{own}/directive"))]),
        ("a roster", vec![connect(&own, None), publish(&format!("{prefix}/trust/roster"))]),
        ("$SYS", vec![connect(&own, None), publish("$SYS/broker")]),
        ("another's directives", vec![connect(&own, None), subscribe(&format!("{prefix}/g/{other}/directive"))]),
        ("every directive", vec![connect(&own, None), subscribe(&format!("{prefix}/g/+/directive"))]),
        ("everything", vec![connect(&own, None), subscribe("#")]),
        ("a shared subscription", vec![connect(&own, None), subscribe("$share/x/#")]),
        ("a 268 MB packet", vec![connect(&own, None), large]),
        ("a second CONNECT", vec![connect(&own, None), connect(&own, None)]),
        ("a reserved type", vec![connect(&own, None), vec![0xf0, 0]]),
        ("no CONNECT at all", vec![[&[0x10, 4][..], b"JUNK"].concat()]),
    ] {
        assert!(is_closed(door(), &packets), "{why}");
    }
    assert!(is_closed(dial(&world, None, &TLS13), &[connect(&own, None)]), "MQTT without a certificate");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, own.as_str());
    let own_made = parameters.self_signed(&key).unwrap();
    let own_made = Some((own_made.pem(), key.serialize_pem()));
    assert!(is_closed(dial(&world, own_made, &TLS13), &[connect(&own, None)]), "a certificate that it made itself");
    assert!(is_closed(dial(&world, None, &TLS12), &[]), "P11-30: TLS 1.2");
    let mut plain = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    plain.write_all(&connect(&own, None)).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let mut bytes = Vec::new();
    // Whatever comes before the end is a TLS alert.
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(&[0x20]), "P11-30: plain MQTT is not answered");

    let denied = world.ctl(Role::Auditor, &["audit", "search", "--outcome", "refused", "--limit", "500"]).unwrap();
    let reasons: Vec<&str> =
        denied["records"].as_array().unwrap().iter().filter_map(|r| r["reason"].as_str()).collect();
    for words in ["topic-rule: client id", "no-certificate"] {
        assert!(reasons.iter().any(|r| r.contains(words)), "{words} in {reasons:#?}");
    }

    // The other gateway has noticed nothing: it is updated while the silent ones still sit there.
    let image = image(&dir, 21, 300_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 0.5).unwrap();
    let started = Instant::now();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(2), "PT0S")).unwrap();
    wait_for("the other gateway's device", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        let device = view["devices"].as_array().into_iter().flatten().find(|d| d["hospitalId"] == hospital_id(2));
        Ok(device.is_some_and(|d| d["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
    drop(silent);

    // Revoked, it is out within a second, and stays out.
    let mut live = door();
    live.write_all(&connect(&own, None)).and_then(|()| live.flush()).unwrap();
    let mut connack = [0; 4];
    live.read_exact(&mut connack).unwrap();
    let revoked = Instant::now();
    world.ctl(Role::Operator, &["gateways", "revoke", &own, "--reason", "stolen"]).unwrap();
    assert_eq!(live.read(&mut connack).unwrap_or(0), 0, "P11-300c: closed");
    assert!(revoked.elapsed() < Duration::from_secs(2), "took {:?}", revoked.elapsed());
    assert!(is_closed(door(), &[connect(&own, None)]), "P11-300c: not let in again");
}
