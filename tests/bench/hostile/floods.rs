//! The attacks. Each runs until `over` is set, and returns the number of its attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mdfm_shared::digest::Digest;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{Event, EventKind, Severity, TelemetryBatch};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::wire::{self, Topic, mqtt};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::peer::{Target, http, tcp, tls};

/// Networks that attack together.
const NETWORKS: u64 = 8;

/// One attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    Enrolments,
    WrongSignIns,
    DeniedRequests,
    Deaf,
    Headers,
    Silent,
    Telemetry,
}

impl Flood {
    pub(crate) const ALL: [Self; 7] = [
        Self::Enrolments,
        Self::WrongSignIns,
        Self::DeniedRequests,
        Self::Deaf,
        Self::Headers,
        Self::Silent,
        Self::Telemetry,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enrolments => "enrolments with invented ids",
            Self::WrongSignIns => "wrong sign-ins",
            Self::DeniedRequests => "denied requests of a nurse",
            Self::Deaf => "connections that do not read",
            Self::Headers => "headers without an end",
            Self::Silent => "silent TCP connections",
            Self::Telemetry => "a gateway's telemetry",
        }
    }

    fn connections(self) -> u64 {
        match self {
            Self::Enrolments => 64,
            Self::WrongSignIns | Self::DeniedRequests => 32,
            Self::Deaf => 400,
            Self::Headers => 1_600,
            Self::Silent => 2_000,
            Self::Telemetry => 1,
        }
    }

    /// Begins the attack.
    pub(crate) fn start(self, target: &Target, over: Arc<AtomicBool>) -> JoinHandle<u64> {
        let target = target.clone();
        tokio::spawn(async move {
            let tries = Arc::new(AtomicU64::new(0));
            let mut attackers = tokio::task::JoinSet::new();
            for n in 0..self.connections() {
                let (target, over, tries) = (target.clone(), Arc::clone(&over), Arc::clone(&tries));
                attackers.spawn(async move {
                    let mut round = 0;
                    while !over.load(Ordering::Relaxed) {
                        round += 1;
                        let once = self.attack(&target, n, round, &over, &tries);
                        if tokio::time::timeout(Duration::from_secs(60), once).await.is_err() {
                            return;
                        }
                        // A closed connection is made again after a moment: the attacker's own machine must not be what is measured.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                });
            }
            while attackers.join_next().await.is_some() {}
            tries.load(Ordering::Relaxed)
        })
    }

    /// One connection, for as long as it lasts.
    async fn attack(self, target: &Target, n: u64, round: u64, over: &AtomicBool, tries: &AtomicU64) {
        let from = [127, 0, 10 + (n % NETWORKS) as u8, 1];
        let ended = match self {
            Self::Enrolments => {
                let body = |i: u64| json!({ "gateway": format!("GW-{n}-{round}-{i}"), "secret": "00".repeat(32), "csrPem": "x", "telemetryKey": "y" });
                requests(target, from, "/agent/v1/enrolments", None, over, tries, body).await
            }
            Self::WrongSignIns => {
                let body =
                    |i: u64| json!({ "userId": format!("nobody-{n}-{round}-{i}"), "password": "wrong password" });
                requests(target, from, "/api/v1/sessions", None, over, tries, body).await
            }
            Self::DeniedRequests => {
                let path = "/api/v1/devices/DEV-1/retirement";
                requests(target, from, path, Some(&target.nurse), over, tries, |_| json!({ "reason": "x" })).await
            }
            Self::Deaf => deaf(target, from, over, tries).await,
            Self::Headers => headers(target, from, over, tries).await,
            Self::Silent => silent(target, from, over, tries).await,
            Self::Telemetry => telemetry(target, from, over, tries).await,
        };
        // That it is closed is what it is about.
        drop(ended);
    }
}

async fn until_over(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn requests(
    target: &Target,
    from: [u8; 4],
    path: &str,
    token: Option<&str>,
    over: &AtomicBool,
    tries: &AtomicU64,
    body: impl Fn(u64) -> serde_json::Value,
) -> anyhow::Result<()> {
    let client = http(target, from)?;
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        n += 1;
        tries.fetch_add(1, Ordering::Relaxed);
        let mut request = client.post(target.url(path)).json(&body(n));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await?.bytes().await?;
    }
    Ok(())
}

/// Asks for much and reads nothing.
async fn deaf(target: &Target, from: [u8; 4], over: &AtomicBool, tries: &AtomicU64) -> anyhow::Result<()> {
    let mut stream = tls(target, from, None).await?;
    tries.fetch_add(1, Ordering::Relaxed);
    let many = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    tokio::select! {
        written = stream.write_all(many.as_bytes()) => written?,
        () = until_over(over) => return Ok(()),
    }
    until_over(over).await;
    Ok(())
}

/// Four hundred kilobytes of a request's head, as fast as they are taken.
async fn headers(target: &Target, from: [u8; 4], over: &AtomicBool, tries: &AtomicU64) -> anyhow::Result<()> {
    let mut stream = tls(target, from, None).await?;
    tries.fetch_add(1, Ordering::Relaxed);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").await?;
    // Just below what is taken, and then a byte at a time.
    stream.write_all(format!("X-Hog: {}\r\nX-Slow: ", "x".repeat(15_000)).as_bytes()).await?;
    while !over.load(Ordering::Relaxed) {
        stream.write_all(b"x").await?;
        stream.flush().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn silent(target: &Target, from: [u8; 4], over: &AtomicBool, tries: &AtomicU64) -> anyhow::Result<()> {
    let mut stream = tcp(target, from).await?;
    tries.fetch_add(1, Ordering::Relaxed);
    let mut byte = [0];
    tokio::select! {
        // It ends when the other side has had enough.
        _ = stream.read(&mut byte) => {}
        () = until_over(over) => {}
    }
    Ok(())
}

/// Signed batches, each in its place of the chain, as fast as they are taken.
async fn telemetry(target: &Target, from: [u8; 4], over: &AtomicBool, tries: &AtomicU64) -> anyhow::Result<()> {
    let gateway = &target.gateway;
    let secret = SecretKey::from_secret_text(&gateway.secret)?;
    let topic = Topic::Telemetry(gateway.id.clone()).to_string();
    let mut stream = gateway.mqtt(target, from).await?;
    let (mut sequence, mut previous) = (1, Digest([0; 32]));
    while !over.load(Ordering::Relaxed) {
        let kind = EventKind::DeviceError { severity: Severity::Warning, code: "E".into(), message: "m".repeat(1_000) };
        let event = Event { device: None, at: UtcMillis(1_800_000_000_000), kind };
        let batch = TelemetryBatch {
            gateway: gateway.id.clone(),
            epoch: gateway.epoch,
            sequence,
            previous,
            events: vec![event; 30],
        };
        let signed = Signed::sign(&batch, &[&secret])?;
        (sequence, previous) = (sequence + 1, signed.digest());
        let packet = mqtt::publish(&topic, &wire::encode(&signed));
        tries.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            written = stream.write_all(&packet) => written?,
            () = until_over(over) => return Ok(()),
        }
    }
    Ok(())
}
