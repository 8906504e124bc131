//! One hostile gateway, with its real key and certificate, and strangers at the coordinator's one port, each from an address of its
//! own. Nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use mdfm_shared::wire::mqtt::{self, Connect, Will};
use mdfm_tests::{Api, Layout, Role, World, gateway_id, hospital_id, program, wait_for};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use tokio_tungstenite::tungstenite;

use crate::kill_anything::Random;
use crate::{fresh_dir, image};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects from an address of loopback other than the agents'.
fn tcp(world: &World, from: u8) -> TcpStream {
    try_tcp(world.port, from).unwrap()
}

fn try_tcp(port: u16, from: u8) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 7, from], 0)))?;
        socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    Ok(stream)
}

fn config(
    world: &World,
    identity: Option<(String, String)>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.data().join("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    })
}

/// TLS over a connection; no handshake yet.
fn tls(config: &Arc<ClientConfig>, tcp: TcpStream) -> Stream {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp)
}

/// Connects with TLS and the given certificate, each time from another address.
fn dial(world: &World, identity: Option<(String, String)>, version: &'static SupportedProtocolVersion) -> Stream {
    static NEXT: AtomicU8 = AtomicU8::new(100);
    tls(&config(world, identity, version), tcp(world, NEXT.fetch_add(1, Ordering::Relaxed).max(100)))
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

pub(crate) fn subscribe(filter: &str) -> Vec<u8> {
    let mut packet = vec![0x82, (5 + filter.len()) as u8, 0, 1, 0, filter.len() as u8];
    packet.extend_from_slice(filter.as_bytes());
    packet.push(1);
    packet
}

fn retained(mut packet: Vec<u8>) -> Vec<u8> {
    packet[0] |= 1;
    packet
}

/// CONNECT of MQTT 5, without properties.
fn level_5(client_id: &str) -> Vec<u8> {
    let mut packet = vec![
        0x10,
        (13 + client_id.len()) as u8,
        0,
        4,
        b'M',
        b'Q',
        b'T',
        b'T',
        5,
        2,
        0,
        30,
        0,
        0,
        client_id.len() as u8,
    ];
    packet.extend_from_slice(client_id.as_bytes());
    packet
}

/// A gateway's key and certificate in other hands.
pub(crate) struct GatewayDoor {
    identity: (String, String),
    gateway: String,
}

impl GatewayDoor {
    pub(crate) fn stolen(world: &World, h: usize) -> Self {
        Self { identity: stolen(world, h), gateway: gateway_id(h) }
    }

    /// The status that a GET gives.
    pub(crate) fn get(&self, world: &World, path: &str) -> u16 {
        let mut stream = dial(world, Some(self.identity.clone()), &TLS13);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        stream.flush().unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        String::from_utf8_lossy(&head[9..]).parse().unwrap()
    }

    /// All that comes after these packets, until nothing more does.
    pub(crate) fn messages(&self, world: &World, packets: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = dial(world, Some(self.identity.clone()), &TLS13);
        stream.write_all(&connect(&self.gateway, None)).unwrap();
        for packet in packets {
            stream.write_all(packet).unwrap();
        }
        stream.flush().unwrap();
        stream.sock.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            received.extend_from_slice(&buffer[..n]);
        }
        received
    }
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

    // A thousand silent connections, and handshakes that never end: they are there all through the rest.
    let silent: Vec<TcpStream> = (0..1_000).map(|n| tcp(&world, 1 + (n % 5) as u8)).collect();
    let half_done: Vec<TcpStream> = (0..100).map(|_| tcp(&world, 6)).collect();
    for mut stream in &half_done {
        // Those that found no place are closed already.
        let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1]);
    }

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
        ("a topic with a null", vec![connect(&own, None), publish(&format!("{prefix}/g/{own}/telemetry\0"))]),
        (
            "a topic that only looks like its own",
            vec![connect(&own, None), publish(&format!("{prefix}/g/{own}/telemetr\u{443}"))],
        ),
        (
            "its own, in full-width letters",
            vec![connect(&own, None), publish(&format!("{prefix}/g/{own}/\u{ff54}elemetry"))],
        ),
        ("its own, with a wildcard", vec![connect(&own, None), publish(&format!("{prefix}/g/+/telemetry"))]),
        ("bytes that are no UTF-8", vec![connect(&own, None), vec![0x30, 5, 0, 3, 0xc0, 0xaf, b'x']]),
        ("retained telemetry", vec![connect(&own, None), retained(publish(&format!("{prefix}/g/{own}/telemetry")))]),
        ("quality of service 2", vec![connect(&own, None), vec![0x34, 5, 0, 1, b'a', 0, 1]]),
        ("a packet id of zero", vec![connect(&own, None), vec![0x82, 6, 0, 0, 0, 1, b'a', 0]]),
        // In MQTT 5 the topic may be a number (an alias) that stands for another one: so it is not spoken here.
        ("MQTT 5", vec![level_5(&own), vec![0x30, 6, 0, 0, 3, 0x23, 0, 1]]),
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
    let mut plain = tcp(&world, 7);
    plain.write_all(&connect(&own, None)).unwrap();
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

    let mut five = door();
    five.write_all(&level_5(&own)).and_then(|()| five.flush()).unwrap();
    let mut connack = [0; 5];
    five.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 3, 0, 0x84, 0], "it learns that this version is not spoken here");

    // The other gateway has noticed nothing: it is updated while the silent ones still sit there, strangers connect and make handshakes
    // as fast as they can, and the hostile gateway sends as much as it can.
    let over = Arc::new(AtomicBool::new(false));
    let (strangers, flood) = (config(&world, None, &TLS13), Arc::clone(&over));
    let world_port = world.port;
    let flood_began = Instant::now();
    let handshakes = std::thread::spawn(move || {
        let mut done = 0_u64;
        while !flood.load(Ordering::Relaxed) {
            let Ok(stream) = try_tcp(world_port, 8) else { continue };
            let mut stream = tls(&strangers, stream);
            while stream.conn.is_handshaking() && stream.conn.complete_io(&mut stream.sock).is_ok() {}
            done += u64::from(!stream.conn.is_handshaking());
        }
        (done, flood_began.elapsed().as_secs() + 1)
    });
    let connects = std::thread::spawn(move || {
        // First many from one address, which even a slow machine makes faster than an address may.
        let address = |n: u32| if n < 5_000 { 10 } else { 10 + (n % 40) as u8 };
        let connected = (0..100_000_u32).filter(|n| try_tcp(world_port, address(*n)).is_ok());
        connected.count()
    });
    let (mut flooding, flood) = (door(), Arc::clone(&over));
    let (connect_own, heartbeat) = (connect(&own, None), publish(&format!("{prefix}/g/{own}/heartbeat")));
    let flooder = std::thread::spawn(move || {
        flooding.sock.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        flooding.write_all(&connect_own).unwrap();
        let many = heartbeat.repeat(200);
        while !flood.load(Ordering::Relaxed) {
            // While it is made to wait nothing more goes in.
            let _ = flooding.write(&many);
        }
    });
    let took = update_the_other(&world, &dir);
    assert!(took < Duration::from_secs(20), "took {took:?}");
    over.store(true, Ordering::Relaxed);
    flooder.join().unwrap();
    let (done, seconds) = handshakes.join().unwrap();
    let connected = connects.join().unwrap();
    assert!(connected > 90_000, "{connected} of 100,000 connections were made; nothing is shown");
    let link = world.link().unwrap();
    let count = |name: &str| link["connections"][name].as_u64().unwrap();
    // How many one client gets done is the machine's speed; that no address gets more than its share, and that the flood from forty
    // addresses was cut, is the door's work. The allowance is 100 a second, and 400 at once.
    assert!(done > 0 && done <= 400 + 100 * seconds, "{done} handshakes in {seconds} s, {link:#}");
    assert!(count("refusedRate") > 0, "{link:#}");
    assert!(count("heldBack") > 0 && count("rulesBroken") > 0 && count("refusedFull") == 0, "{link:#}");
    drop((silent, half_done));

    // Revoked, it is out within a second, and stays out.
    let mut live = door();
    live.write_all(&connect(&own, None)).and_then(|()| live.flush()).unwrap();
    let mut connack = [0; 4];
    live.read_exact(&mut connack).unwrap();
    let revoked = Instant::now();
    world.ctl(Role::Operator, &["gateways", "revoke", &own, "--reason", "stolen"]).unwrap();
    assert_eq!(live.read(&mut connack).unwrap_or(0), 0, "P11-300c: closed");
    assert!(revoked.elapsed() < Duration::from_secs(1), "took {:?}", revoked.elapsed());
    assert!(is_closed(door(), &[connect(&own, None)]), "P11-300c: not let in again");
}

/// Brings a good release to the device of the second hospital; gives how long that took from the order.
fn update_the_other(world: &World, dir: &Path) -> Duration {
    let image = image(dir, 21, 300_000);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 0.5).unwrap();
    let started = Instant::now();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(2), "PT0S")).unwrap();
    wait_for("the other gateway's device", Duration::from_secs(60), || {
        let view = world.deployment(&id)?;
        let device = view["devices"].as_array().into_iter().flatten().find(|d| d["hospitalId"] == hospital_id(2));
        Ok(device.is_some_and(|d| d["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    started.elapsed()
}

/// Random packets of every type, some of them nearly right, from a gateway with a good certificate.
#[test]
fn att_13_whatever_packets_come_door_and_broker_stand() {
    let seed =
        std::env::var("MDFM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("MDFM_SEED={seed}");
    let mut random = Random(seed);
    let dir = fresh_dir("packets");
    let limits = "connections_per_address_per_second = 1000\n";
    let layout = Layout { hospitals: 2, devices: 1, more_config: limits.into(), ..Layout::default() };
    let mut world = World::start(&dir, layout).unwrap();
    world.kill_agent(1);
    let own = gateway_id(1);
    let good = config(&world, Some(stolen(&world, 1)), &TLS13);
    let mut pieces: Vec<Vec<u8>> = ["directive", "ack", "telemetry", "heartbeat", "presence"]
        .iter()
        .flat_map(|leaf| {
            let topic = format!("mdfm/v1/g/{own}/{leaf}");
            [publish(&topic), subscribe(&topic), mqtt::publish(&topic, &[0xff; 300])]
        })
        .collect();
    pieces.extend([vec![0xc0, 0], vec![0xe0, 0], vec![0x40, 2, 0, 1], vec![0xa2, 5, 0, 1, 0, 1, b'a']]);
    for round in 0..250_u32 {
        let mut stream = tls(&good, tcp(&world, 50 + (round % 40) as u8));
        let mut bytes = connect(&own, None);
        for _ in 0..1 + random.next(8) {
            let mut piece = match random.next(4) {
                0 => (0..random.next(40)).map(|_| random.next(256) as u8).collect(),
                1 => vec![
                    (random.next(16) as u8) << 4 | random.next(16) as u8,
                    random.next(8) as u8,
                    0,
                    random.next(4) as u8,
                    0,
                    0,
                ],
                _ => pieces[random.next(pieces.len() as u64) as usize].clone(),
            };
            if random.next(2) == 0 && !piece.is_empty() {
                let at = random.next(piece.len() as u64) as usize;
                piece[at] ^= 1 << random.next(8);
            }
            bytes.extend(piece);
        }
        if random.next(5) == 0 {
            let at = random.next(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.next(8);
        }
        // Whether it is closed in the middle or not is its own affair.
        let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
        stream.sock.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let _ = stream.read(&mut [0; 512]);
    }
    assert!(!is_closed(tls(&good, tcp(&world, 99)), &[connect(&own, None)]), "a good connection is served");
    update_the_other(&world, &dir);
}

/// The TCP ports on which a process listens.
fn listening_ports(pid: u32) -> Vec<u16> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[3] == "0A" && sockets.iter().any(|s| s == row[9]))
        .map(|row| u16::from_str_radix(row[1].rsplit(':').next().unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn att_13_the_broker_behind_the_door_opens_to_nobody() {
    let dir = fresh_dir("broker");
    let world = World::start(&dir, Layout { hospitals: 0, devices: 0, ..Layout::default() }).unwrap();
    let processes = world.link_processes();
    let listening = processes.iter().flat_map(|(_, pid)| listening_ports(*pid));
    let ports: Vec<u16> = listening.filter(|port| *port != world.port).collect();
    assert_eq!(ports.len(), 1, "the broker, embedded or not");
    let guess = |user: &str, password: &[u8]| Connect {
        client_id: "somebody".into(),
        clean_session: true,
        keep_alive_s: 30,
        will: None,
        username: Some(user.into()),
        password: Some(password.to_vec()),
    };
    let plain = connect("somebody", None);
    for packet in
        [plain, guess("gateway", b"").encode().unwrap(), guess("coordinator", b"coordinator").encode().unwrap()]
    {
        let mut stream = TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.write_all(&packet).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(&[0x20, 2, 0, 0]), "let in: {answer:?}");
    }
}

/// The SHA-256 of the certificate that the server shows now.
fn shown(stream: &mut Stream) -> Vec<u8> {
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Takes part in a connection until a packet of this first byte has come.
fn wait_for_packet(stream: &mut impl Read, first: u8) -> Vec<u8> {
    let mut buffer = [0; 4_096];
    loop {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "closed");
        if buffer[0] == first {
            return buffer[..n].to_vec();
        }
    }
}

/// One port for everything, and nothing of it needs a restart.
#[test]
fn one_port_speaks_mqtt_websocket_and_https_and_changes_its_certificate_while_it_does() {
    let dir = fresh_dir("port");
    let proxy = "proxy_protocol_from = [\"127.0.7.200\"]\n";
    let layout = Layout { hospitals: 1, devices: 1, more_config: proxy.into(), ..Layout::default() };
    let mut world = World::start(&dir, layout).unwrap();
    world.kill_agent(1);
    let own = gateway_id(1);
    let good = config(&world, Some(stolen(&world, 1)), &TLS13);

    // A session is resumed, and the gateway behind it is known as before.
    let mut first = tls(&good, tcp(&world, 1));
    let old = shown(&mut first);
    first.write_all(&connect(&own, None)).and_then(|()| first.flush()).unwrap();
    wait_for_packet(&mut first, 0x20);
    let mut second = tls(&good, tcp(&world, 1));
    shown(&mut second);
    assert_eq!(second.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    second.write_all(&connect(&own, None)).and_then(|()| second.flush()).unwrap();
    wait_for_packet(&mut second, 0x20);
    assert_eq!(first.read(&mut [0; 16]).unwrap_or(0), 0, "a gateway's newest connection is the one that counts");

    // By ALPN too; and what was asked for must come.
    let with_alpn = |name: &[u8]| {
        let mut config = ClientConfig::clone(&good);
        config.alpn_protocols = vec![name.to_vec()];
        Arc::new(config)
    };
    assert!(!is_closed(tls(&with_alpn(b"mqtt"), tcp(&world, 1)), &[connect(&own, None)]), "ALPN mqtt");
    assert!(is_closed(tls(&with_alpn(b"http/1.1"), tcp(&world, 1)), &[connect(&own, None)]), "ALPN http/1.1");

    // MQTT over WebSocket.
    let request = |protocol: &str| {
        tungstenite::http::Request::get(format!("wss://localhost:{}/mqtt", world.port))
            .header("Host", "localhost")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key())
            .header("Sec-WebSocket-Protocol", protocol)
            .body(())
            .unwrap()
    };
    let (mut socket, answer) = tungstenite::client(request("mqtt"), tls(&good, tcp(&world, 2))).unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "mqtt");
    // Split in the middle, as a proxy might.
    let packets = [connect(&own, None), subscribe("mdfm/v1/trust/roster")].concat();
    for piece in packets.chunks(11) {
        socket.send(tungstenite::Message::binary(piece.to_vec())).unwrap();
    }
    let mut came = Vec::new();
    while !came.windows(20).any(|w| w == b"mdfm/v1/trust/roster") {
        came.extend(socket.read().unwrap().into_data());
    }
    assert!(came.starts_with(&mqtt::CONNACK), "the roster came over the WebSocket");
    socket.send(tungstenite::Message::text("not binary")).unwrap();
    assert!(std::iter::repeat_with(|| socket.read()).take(50).any(|m| m.is_err()), "text is no MQTT");
    assert!(tungstenite::client(request("chat"), tls(&good, tcp(&world, 2))).is_err(), "another subprotocol");
    let none = config(&world, None, &TLS13);
    assert!(tungstenite::client(request("mqtt"), tls(&none, tcp(&world, 2))).is_err(), "no certificate, no MQTT");

    // A new server certificate: new connections get it, the old one goes on.
    let data = world.data();
    let renewed = std::process::Command::new(program("mdfm-coordinator").unwrap())
        .args(["renew-certificate", "--data"])
        .arg(&data)
        .args(["--name", "localhost", "--name", "127.0.0.1"])
        .status();
    assert!(renewed.unwrap().success());
    let (_, pid) = world.link_processes()[0];
    let mut living = tls(&good, tcp(&world, 3));
    living.write_all(&connect(&own, None)).and_then(|()| living.flush()).unwrap();
    wait_for_packet(&mut living, 0x20);
    assert!(std::process::Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
    wait_for("the new certificate", Duration::from_secs(10), || {
        Ok((shown(&mut tls(&none, tcp(&world, 4))) != old).then_some(()))
    })
    .unwrap();
    living.write_all(&[0xc0, 0]).and_then(|()| living.flush()).unwrap();
    wait_for_packet(&mut living, 0xd0);

    // A balancer says whose connection it is; nobody else may.
    let header = b"PROXY TCP4 192.0.2.77 127.0.0.1 40000 8443\r\n";
    let mut through = tcp(&world, 200);
    through.write_all(header).unwrap();
    let mut through = tls(&none, through);
    let body = r#"{"userId":"nobody","password":"wrong"}"#;
    let request = format!(
        "POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    through.write_all(request.as_bytes()).and_then(|()| through.flush()).unwrap();
    assert!(through.read(&mut [0; 64]).unwrap() > 0);
    let denied = world.ctl(Role::Auditor, &["audit", "search", "--outcome", "refused", "--limit", "100"]).unwrap();
    let addresses: Vec<&str> =
        denied["records"].as_array().unwrap().iter().filter_map(|r| r["address"].as_str()).collect();
    assert!(addresses.iter().any(|a| a.starts_with("192.0.2.77")), "{addresses:?}");
    let mut without = tls(&none, tcp(&world, 200));
    assert!(without.write_all(b"GET / HTTP/1.1\r\n\r\n").is_err(), "a balancer must say it");
    let mut liar = tcp(&world, 201);
    liar.write_all(header).unwrap();
    assert!(tls(&none, liar).write_all(b"GET / HTTP/1.1\r\n\r\n").is_err(), "others may not");

    // Resumed or not, a revoked gateway is out.
    let api = Api::with_session(Path::new(&world.session(Role::Operator))).unwrap();
    let revoke = format!("/api/v1/gateways/{own}/revocation");
    assert_eq!(api.json("POST", &revoke, &serde_json::json!({ "reason": "stolen" })).unwrap().0, 204);
    assert!(is_closed(tls(&good, tcp(&world, 5)), &[connect(&own, None)]), "P11-300c: a ticket opens nothing");
    let mut turned_away = tls(&good, tcp(&world, 5));
    turned_away.write_all(&connect(&own, None)).and_then(|()| turned_away.flush()).unwrap();
    let mut said = Vec::new();
    turned_away.read_to_end(&mut said).unwrap();
    assert_eq!(said, [0x20, 2, 0, 5], "CLI-20: and says that the gateway is revoked");
}
