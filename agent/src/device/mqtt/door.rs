//! Lets devices in: bounded in number and time, by secret or by client certificate.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mdfm_agent_core::gateway::Malformed;
use mdfm_service::{ConnectionLimits, Connections, Held, Lines, RateOf, Refused, Standing};
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::GATEWAY_DEVICES_MAX;
use mdfm_shared::wire::mqtt::Connect;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::DeviceLink;
use super::session::{self, Broken, Packets};
use crate::config::{Config, DeviceConfig};
use crate::device::DeviceEvent;

/// Who has not yet shown who it is has places of its own, beside those of the devices, of which each has one.
const LIMITS: ConnectionLimits = ConnectionLimits {
    // Every device behind one address, and its next connection.
    open_max: 2 * GATEWAY_DEVICES_MAX,
    strangers_max: 64,
    // Of one address: a device and strangers are often of one IPv6 network.
    per_second: 100,
    rate_of: RateOf::Address,
    all_strangers_max: GATEWAY_DEVICES_MAX,
    all_people_max: 0,
};
/// Packets of one device that are read in a second, whatever its connections; the rest waits.
const PACKETS_PER_SECOND_MAX: u32 = 100;
/// For TLS, and then for the CONNECT packet.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Out of descriptors and the like: breathe, then go on serving who is there.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Between two lines about a wrong secret or certificate of one device.
const WRONG_LINE_PAUSE: Duration = Duration::from_secs(60);

/// What a device did whose secret is not the one that this agent knows; in the journal and to the vendor.
const WRONG_SECRET: &str = "connected with a wrong secret";

/// How a device shows who it is.
enum Credential {
    Secret(String),
    /// By a certificate with this common name.
    Certificate(String),
}

/// What every connection shares.
pub(super) struct Door {
    pub(super) link: DeviceLink,
    pub(super) events: mpsc::Sender<DeviceEvent>,
    credentials: BTreeMap<DeviceId, Credential>,
    connections: Mutex<Connections<Arc<Notify>>>,
    next: AtomicU64,
    /// Lines of the journal about the connections of each device, and of all strangers together.
    lines: Mutex<BTreeMap<Option<DeviceId>, Lines>>,
    /// Tries with a wrong secret or certificate of each device that were reported in this second: they use up nothing of the device's own.
    wrong: Mutex<BTreeMap<DeviceId, (Instant, u32)>>,
    /// When the last line about these was written, and how many were left out since.
    wrong_lines: Mutex<BTreeMap<DeviceId, (Option<Instant>, u64)>>,
    /// What each device has sent in this second, over all of its connections.
    sent: Mutex<BTreeMap<DeviceId, (Instant, u32)>>,
}

/// The place of a connection.
struct Place {
    door: Arc<Door>,
    held: Held,
    address: IpAddr,
}

impl Place {
    /// The peer is a device of the configuration.
    fn is_known(&mut self) {
        self.door.connections().identified(&mut self.held, Standing::Certified);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.connections().leave(&self.held);
    }
}

/// A refusal that has its own line in the journal.
#[derive(Debug)]
struct Logged(&'static str);

impl std::fmt::Display for Logged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Logged {}

fn is_logged(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<Logged>())
}

fn denied(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}

/// Whether two secrets are equal, in a time that does not say where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl DeviceLink {
    /// Opens the ports of the configuration.
    ///
    /// # Errors
    /// An address is taken, or a file of the TLS port cannot be used.
    pub(crate) fn start(config: &Config, events: mpsc::Sender<DeviceEvent>) -> anyhow::Result<Self> {
        let credential = |d: &DeviceConfig| {
            let secret = d.secret.clone().map(Credential::Secret);
            let credential = secret.or_else(|| d.certificate.clone().map(Credential::Certificate))?;
            Some((d.id.clone(), credential))
        };
        let link = Self::default();
        let credentials = config.device.iter().filter_map(credential).collect();
        let door = Arc::new(Door::new(link.clone(), events, credentials));
        if !config.device_tls.as_ref().is_some_and(|tls| tls.only) {
            tokio::spawn(accept(Arc::clone(&door), listen(config.device_listen)?, None));
        }
        if let Some(tls) = &config.device_tls {
            let acceptor = TlsAcceptor::from(tls.server()?);
            tokio::spawn(accept(door, listen(tls.listen)?, Some(acceptor)));
        }
        Ok(link)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let what = |e: io::Error| io::Error::new(e.kind(), format!("{address}: {e}"));
    mdfm_service::listen(address).map_err(what)
}

async fn accept(door: Arc<Door>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a device's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let address = address.ip().to_canonical();
        let evicted = Arc::new(Notify::new());
        let entered = door.connections().enter(Instant::now(), address, Arc::clone(&evicted));
        let held = match entered {
            Ok((held, other)) => {
                if let Some(other) = other {
                    other.notify_one();
                }
                held
            }
            Err(why) => {
                if let Some(left_out) = door.next_line(None) {
                    let why = match why {
                        Refused::Full => "too many connections of its network",
                        Refused::TooFast => "its address connects too fast",
                    };
                    tracing::warn!(%address, left_out, "a device's connection is refused: {why}");
                }
                continue;
            }
        };
        let place = Place { door: Arc::clone(&door), held, address };
        let (door, tls) = (Arc::clone(&door), tls.clone());
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = door.admit(stream, place, tls) => ended,
                // Only of a connection that has not yet shown who it is.
                () = evicted.notified() => Err(denied("too many connections have not yet shown who they are")),
            };
            if let Err(error) = ended
                && !is_logged(&error)
                && let Some(left_out) = door.next_line(None)
            {
                tracing::info!(%address, %error, left_out, "a device's connection ended");
            }
        });
    }
}

/// Counts one of this second; returns how long to wait before the next.
fn counted(counts: &Mutex<BTreeMap<DeviceId, (Instant, u32)>>, device: &DeviceId) -> Duration {
    let second = Duration::from_secs(1);
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let (began, count) = counts.entry(device.clone()).or_insert_with(|| (Instant::now(), 0));
    if began.elapsed() >= second {
        (*began, *count) = (Instant::now(), 0);
    }
    *count += 1;
    if *count > PACKETS_PER_SECOND_MAX { second.saturating_sub(began.elapsed()) } else { Duration::ZERO }
}

impl Door {
    fn new(link: DeviceLink, events: mpsc::Sender<DeviceEvent>, credentials: BTreeMap<DeviceId, Credential>) -> Self {
        Self {
            link,
            events,
            credentials,
            connections: Mutex::new(Connections::new(LIMITS)),
            next: AtomicU64::new(0),
            lines: Mutex::default(),
            wrong: Mutex::default(),
            wrong_lines: Mutex::default(),
            sent: Mutex::default(),
        }
    }

    /// Counts a packet of a device; returns how long it must wait before the next is read. Connecting again does not help.
    pub(super) fn packet(&self, device: &DeviceId) -> Duration {
        counted(&self.sent, device)
    }

    /// Whether one more line about a device, or about strangers, is written, with the number of those that were left out.
    fn next_line(&self, device: Option<&DeviceId>) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.entry(device.cloned()).or_default().next(Instant::now())
    }

    /// Whether one more line about a wrong secret or certificate of this device is written, one a minute, with the number of those that were
    /// left out. Only configured devices have a place, so that there is a bound.
    fn next_wrong_line(&self, device: &DeviceId, now: Instant) -> Option<u64> {
        let mut wrong = self.wrong_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, left_out) = wrong.entry(device.clone()).or_insert((None, 0));
        if written.is_some_and(|at| now.saturating_duration_since(at) < WRONG_LINE_PAUSE) {
            *left_out += 1;
            return None;
        }
        *written = Some(now);
        Some(std::mem::take(left_out))
    }

    fn connections(&self) -> MutexGuard<'_, Connections<Arc<Notify>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn admit(&self, stream: TcpStream, place: Place, tls: Option<TlsAcceptor>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            return self.serve(Packets::new(stream), place, None).await;
        };
        let stream = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await??;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let name = shown.and_then(|certificate| mdfm_service::common_name(certificate));
        self.serve(Packets::new(stream), place, name).await
    }

    /// Hears who is there, then speaks with it until it goes.
    async fn serve<S: session::Stream>(
        &self,
        mut packets: Packets<S>,
        mut place: Place,
        certificate: Option<String>,
    ) -> io::Result<()> {
        let connect = timeout(HANDSHAKE_TIMEOUT, packets.connect()).await??;
        let device = match self.identify(&connect, certificate.as_deref()) {
            Ok(device) => device,
            Err((Some(device), what)) => {
                if let Some(left_out) = self.next_wrong_line(&device, Instant::now()) {
                    // The id is one of the configuration: what the peer wrote is in no line.
                    tracing::warn!(%device, address = %place.address, left_out, "{what}; give the device what stands in its section, or replace both");
                }
                packets.refuse().await?;
                // Slowed like packets of the device, so that nobody's guesses fill the agent's time, and counted apart from those. The runner
                // goes only when the process ends.
                tokio::time::sleep(counted(&self.wrong, &device)).await;
                let _ = self.events.send(DeviceEvent::Malformed(device, Malformed::new(what))).await;
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, Logged(what)));
            }
            Err((None, what)) => {
                packets.refuse().await?;
                return Err(denied(what));
            }
        };
        place.is_known();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(left_out) = self.next_line(Some(&device)) {
            tracing::info!(%device, left_out, "device connected");
        }
        let ended = session::run(self, packets, &device, number, connect.keep_alive_s).await;
        self.link.leave(&device, number);
        if let Err(error) = &ended
            && let Some(left_out) = self.next_line(Some(&device))
        {
            tracing::info!(%device, %error, left_out, "the device's connection ended");
        }
        if let Err(error) = &ended
            && let Some(Broken(malformed)) = error.get_ref().and_then(|e| e.downcast_ref())
        {
            let event = DeviceEvent::Malformed(device, malformed.clone());
            // As above.
            let _ = self.events.send(event).await;
        }
        Ok(())
    }

    /// The device that this is; else what is wrong, and with which known device's name it was tried.
    fn identify(&self, connect: &Connect, name: Option<&str>) -> Result<DeviceId, (Option<DeviceId>, &'static str)> {
        let device = connect.client_id.parse::<DeviceId>().map_err(|_| (None, "the client id is not a device's"))?;
        let Some(credential) = self.credentials.get(&device) else {
            tracing::debug!(%device, "not configured");
            return Err((None, "the device is not configured to speak MQTT here"));
        };
        let fail = |what| Err((Some(device.clone()), what));
        match (credential, name) {
            (Credential::Certificate(wanted), Some(found)) if found == wanted => Ok(device),
            (Credential::Certificate(wanted), found) => {
                tracing::debug!(%device, ?wanted, ?found, "another certificate");
                fail("connected without its certificate")
            }
            (Credential::Secret(secret), _) => {
                let is_named = connect.username.as_deref() == Some(device.as_str());
                let presented = connect.password.as_deref().unwrap_or_default();
                if is_named && is_equal(presented, secret.as_bytes()) { Ok(device) } else { fail(WRONG_SECRET) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn cli_22_a_wrong_secret_is_a_line_a_minute_for_each_device() {
        let (events, _keeps_open) = mpsc::channel(1);
        let door = Door::new(DeviceLink::default(), events, BTreeMap::new());
        let (start, [one, two]) = (Instant::now(), ["DEV-1", "DEV-2"].map(|id| id.parse().expect("a good id")));
        let line = |device: &DeviceId, s| door.next_wrong_line(device, start + Duration::from_secs(s));
        assert_eq!((line(&one, 0), line(&two, 1)), (Some(0), Some(0)));
        assert!((1..60).all(|s| line(&one, s).is_none()));
        assert_eq!((line(&one, 60), line(&one, 61), line(&two, 61)), (Some(59), None, Some(0)));
    }

    #[test]
    fn cli_22_a_refusal_with_its_own_line_is_not_logged_again() {
        assert!(is_logged(&io::Error::new(io::ErrorKind::PermissionDenied, Logged(WRONG_SECRET))));
        mdfm_shared::fixture::page::symptom("A gateway does not connect", "connected with a wrong")
            .assert_in(WRONG_SECRET);
        assert!(!is_logged(&denied("the client id is not a device's")));
    }

    fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind, u8::try_from(body.len()).expect("a short packet")], body].concat()
    }

    /// CONNECT of MQTT 3.1.1 with user name and password (§3.1).
    fn connect(device: &str, secret: &str) -> Vec<u8> {
        let text = |t: &str| [&u16::try_from(t.len()).expect("short").to_be_bytes(), t.as_bytes()].concat();
        packet(
            0x10,
            &[&[0, 4], b"MQTT".as_slice(), &[4, 0xc2, 0, 60], &text(device), &text(device), &text(secret)].concat(),
        )
    }

    fn door() -> (SocketAddr, mpsc::Receiver<DeviceEvent>) {
        let (events, heard) = mpsc::channel(1_000);
        let secrets = [("DEV-1", "one"), ("DEV-2", "two")];
        let credentials = secrets.map(|(id, s)| (id.parse().expect("an id"), Credential::Secret(s.into())));
        let door = Arc::new(Door::new(DeviceLink::default(), events, BTreeMap::from(credentials)));
        let listener = listen("127.0.0.1:0".parse().expect("an address")).expect("listens");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(accept(door, listener, None));
        (address, heard)
    }

    async fn from(source: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("an address of loopback");
        socket.connect(to).await.expect("waits in the queue")
    }

    /// Whether the device gets in.
    async fn is_let_in(stream: &mut TcpStream, device: &str, secret: &str) -> bool {
        let mut answer = [0; 4];
        let asked = async {
            stream.write_all(&connect(device, secret)).await?;
            stream.read_exact(&mut answer).await
        };
        timeout(Duration::from_secs(5), asked).await.is_ok_and(|read| read.is_ok()) && answer == [0x20, 2, 0, 0]
    }

    #[tokio::test]
    async fn sec_15_a_displaced_connection_gives_up_its_place() {
        let (address, _heard) = door();
        let mut first = from([127, 0, 0, 1], address).await;
        assert!(is_let_in(&mut first, "DEV-1", "one").await);
        let mut second = from([127, 0, 0, 1], address).await;
        assert!(is_let_in(&mut second, "DEV-1", "one").await);
        let ended = timeout(Duration::from_secs(5), first.read(&mut [0; 8])).await;
        assert_eq!(ended.expect("not only after its keep-alive").expect("an orderly end"), 0);
        let mut other = from([127, 0, 0, 1], address).await;
        assert!(is_let_in(&mut other, "DEV-2", "two").await);
        second.write_all(&packet(0xc0, &[])).await.expect("the one that is left still speaks");
        let mut pong = [0; 2];
        second.read_exact(&mut pong).await.expect("PINGRESP");
    }

    /// Strangers of other networks, of the device's own, and of its own address.
    #[tokio::test]
    async fn sec_20_strangers_leave_a_known_device_its_place() {
        mdfm_service::raise_descriptors().expect("up to the hard limit");
        for near in [[127, 0, 9, 0], [127, 0, 0, 1]] {
            let (address, _heard) = door();
            let mut silent = Vec::new();
            for n in 0..8 {
                let source = if near == [127, 0, 0, 1] { near } else { [127, 0, 9, n + 1] };
                for _ in 0..40 {
                    silent.push(from(source, address).await);
                }
            }
            for _ in 0..10 {
                let mut device = from([127, 0, 0, 1], address).await;
                assert!(is_let_in(&mut device, "DEV-1", "one").await, "strangers hold their own places alone");
            }
            assert_eq!(silent.len(), 320);
        }
    }

    /// A device that is displaced while it does not read keeps neither its connection nor its place.
    #[tokio::test]
    async fn sec_15_a_displaced_device_that_reads_nothing_ends_at_once() {
        let (link, device) = (DeviceLink::default(), "DEV-1".parse::<DeviceId>().expect("an id"));
        let (events, _heard) = mpsc::channel(8);
        let door = Door::new(link.clone(), events, BTreeMap::new());
        // Room for the CONNACK alone: the first packet after it waits for a reader that never comes.
        let (near, far) = tokio::io::duplex(4);
        let session = session::run(&door, Packets::new(far), &device, 1, 60);
        let displace = async {
            let outbound = loop {
                if let Some(outbound) = link.seats().get(&device).map(|seat| seat.outbound.clone()) {
                    break outbound;
                }
                tokio::task::yield_now().await;
            };
            outbound.send(vec![0; 64]).await.expect("waits for the device");
            drop(outbound);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            link.enter(&device, 2)
        };
        let ended = timeout(Duration::from_secs(5), async { tokio::join!(session, displace) }).await;
        let (ended, _seated) = ended.expect("not only when it has not read for half a minute");
        assert!(ended.is_ok() && link.is_seated(&device, 2));
        drop(near);
    }
}
