//! The shell of the gateway: brings it what devices, coordinator and time say, and does what it puts out. Makes no decisions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_agent_core::gateway::{Fetched, Gateway, GatewayError, Output, Seat, Who};
use mdfm_agent_core::image::Image;
use mdfm_agent_core::installer::{Now, OnSite};
use mdfm_service::{Exit, LogLevel, Stop, Watchdog};
use mdfm_shared::device::WRONG_DIGEST;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::MonotonicMs;
use mdfm_shared::tlog::Hash;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::bring::Bringer;
use crate::clock;
use crate::config::Config;
use crate::device::{self, DeviceEvent, DeviceLink, Driven, Staging, Way};
use crate::disk::{DiskHandle, Real};
use crate::image::{ImageCache, ImageError};
use crate::link::{FleetEvent, FleetLink, Http, Identity, Road, Throttle};
use crate::local::{self, Asked, Request};
use crate::self_test;
use crate::store::{LogStore, StateLock};

/// Longest sleep; staging and heartbeats look at the time at least so often.
const TICK_MS: u64 = 250;
/// Shortest sleep: what is overdue waits so long at most, and nothing can make the agent spin.
const WAKE_MS_MIN: u64 = 10;

/// Messages of devices that wait for the loop; a device whose message finds no place waits. Each is at most some kilobytes.
const DEVICE_EVENTS_MAX: usize = 256;
fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    texts.iter().map(|h| STANDARD.decode(h).ok().and_then(|b| b.try_into().ok())).collect()
}

/// Results of work that runs beside the loop.
enum Done {
    Image(Digest, Result<(), ImageError>),
    /// An image did not come into a slot that lies here; it is tried again.
    Slot(DeviceId, ImageError),
    Consistency(Result<Vec<Hash>, ImageError>),
    /// A new key and its certificate.
    Certificate(anyhow::Result<(String, String)>),
}

/// When the certificate is looked at next, and how early it is renewed.
struct Renewing {
    next_at: MonotonicMs,
    days: u32,
}

/// Between two looks at the certificate.
const RENEWAL_MS: u64 = 3_600_000;

/// The agent.
pub(crate) struct Agent {
    identity: Identity,
    gateway: Gateway<LogStore>,
    cache: ImageCache,
    bringer: Bringer,
    staging: BTreeMap<DeviceId, Staging>,
    fleet: FleetLink,
    fleet_events: mpsc::Sender<FleetEvent>,
    road: Road,
    throttle: Arc<Throttle>,
    renewing: Renewing,
    state_dir: PathBuf,
    /// Time over which connections to the coordinator are begun again.
    spread_ms: u64,
    ways: BTreeMap<DeviceId, Way>,
    http: Http,
    done: mpsc::Sender<Done>,
    /// Whether the cache may hold what nobody needs any more.
    cache_used: bool,
    /// What speaks against the slots as they are configured.
    slot_problems: Vec<String>,
    _lock: StateLock,
}

struct Inlets {
    fleet: mpsc::Receiver<FleetEvent>,
    devices: mpsc::Receiver<DeviceEvent>,
    done: mpsc::Receiver<Done>,
    local: mpsc::Receiver<Asked>,
}

/// Runs the agent until the process is told to stop.
pub(crate) async fn run(config: Config, path: Option<PathBuf>, level: LogLevel) -> anyhow::Result<()> {
    let (mut agent, mut inlets) = Agent::start(&config)?;
    mdfm_service::ready();
    let mut watchdog = Watchdog::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        let now = clock::now();
        agent.work(now)?;
        watchdog.progress(std::time::Instant::now());
        let wake = agent.gateway.next_wake().map_or(TICK_MS, |at| at.since_ms(now.mono));
        let sleep = Duration::from_millis(wake.clamp(WAKE_MS_MIN, TICK_MS));
        tokio::select! {
            Some(event) = inlets.devices.recv() => agent.hear_device(event)?,
            Some(event) = inlets.fleet.recv() => agent.hear_fleet(event)?,
            Some(done) = inlets.done.recv() => agent.hear_done(done)?,
            Some(asked) = inlets.local.recv() => agent.hear_staff(asked)?,
            () = tokio::time::sleep(sleep) => {}
            _ = hangup.recv() => {
                mdfm_service::take_up_level(&level, Config::load(path.as_deref()).map(|c| c.log_level));
            }
            _ = terminate.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    mdfm_service::stopping();
    tracing::info!("stopping; every decision so far is on disk");
    Ok(())
}

/// Before the time of its own certificate a gateway can reach nobody, and its clock is surely wrong: it waits for the next start,
/// unless a device is half-way and must be watched whatever the clock says.
fn check_clock(certificate: &str, now: Now, mut states: impl Iterator<Item = InstallState>) -> Result<(), Stop> {
    let Some(validity) = mdfm_service::validity(certificate) else { return Ok(()) };
    let ahead_s = validity.not_before_s - i64::try_from(now.utc.0 / 1_000).unwrap_or(i64::MAX);
    if ahead_s <= 0 {
        return Ok(());
    }
    let ahead = mdfm_shared::text::duration(ahead_s.unsigned_abs().saturating_mul(1_000));
    let message = format!("the clock stands {ahead} before the start of this gateway's certificate; set the clock");
    if states.any(|s| !s.is_settled()) {
        tracing::error!("{message}; going on, because a device is being updated");
        return Ok(());
    }
    Err(Stop::new(Exit::Clock, message))
}

impl Agent {
    fn start(config: &Config) -> anyhow::Result<(Self, Inlets)> {
        let identity = Identity::load(&config.state_dir)?;
        let spread_ms = config.reconnect_spread_seconds * 1_000;
        let (state, images) = (config.state_dir.join("state"), config.state_dir.join("images"));
        let lock = StateLock::take(&state)?;
        let disk: DiskHandle = Arc::new(Real);
        let store = LogStore::open(&disk, &state)?;
        let cache = ImageCache::open(&disk, &images, config.cache_bytes_max).context("opening the image cache")?;
        let (boot, now) = (clock::boot_id()?, clock::now());
        let who = Who {
            gateway: identity.gateway.clone(),
            epoch: identity.epoch,
            key: identity.telemetry_key()?,
            trust_root: identity.trust_root,
            heartbeat_ms: config.heartbeat_seconds * 1_000,
            outbox: config.outbox(),
        };
        let seats = config.device.iter().map(|d| Seat { device: d.id.clone(), slot_is_here: d.slots.is_some() });
        let gateway = Gateway::start(who, store, seats, boot, now)?;
        check_clock(&identity.certificate_pem, now, gateway.states().map(|(_, state)| state))?;
        let (fleet_events, fleet) = mpsc::channel(256);
        let (device_events, from_devices) = mpsc::channel(DEVICE_EVENTS_MAX);
        let (done, from_work) = mpsc::channel(64);
        let link = DeviceLink::start(config, device_events.clone()).map_err(|e| {
            let message = format!("cannot listen for devices: {e:#}; is another program there? (ss -ltnp)");
            Stop::new(Exit::Address, message)
        })?;
        let slot_devices = config.slot_devices();
        let problems = config.slot_problems();
        for problem in &problems {
            // The other devices are served; those that it concerns are watched, refuse every image, and tell the vendor why.
            tracing::error!(devices = ?problem.devices, "{}", problem.reason);
        }
        let mut ways = BTreeMap::new();
        for device in &config.device {
            let (id, events) = (device.id.clone(), device_events.clone());
            let way = match (&device.slots, &device.command) {
                (Some(slots), _) => device::attach_slots(id.clone(), &disk, slots, &slot_devices, events)?,
                (_, Some(command)) => device::attach_command(id.clone(), command, events)?,
                _ => Way::Mqtt(link.clone()),
            };
            ways.insert(id, way);
        }
        let hours = config.download.hours().map_err(|e| Stop::new(Exit::Config, e))?;
        let road = config.road().map_err(|e| Stop::new(Exit::Config, e))?;
        let throttle = Arc::new(Throttle::new(config.download.rate(), hours));
        let http = Http::new(&identity, &road, Arc::clone(&throttle))?;
        let slots = config.device.iter().filter_map(|d| d.slots.clone()).collect();
        let agent = Self {
            bringer: Bringer::new(http.clone(), cache.clone(), disk, slots, config.download.deltas),
            fleet: FleetLink::start(&identity, &road, &config.state_dir, spread_ms, fleet_events.clone())?,
            fleet_events,
            ways,
            http,
            road,
            throttle,
            renewing: Renewing { next_at: now.mono, days: config.renew_before_days },
            state_dir: config.state_dir.clone(),
            spread_ms,
            identity,
            gateway,
            cache,
            staging: BTreeMap::new(),
            done,
            cache_used: true,
            slot_problems: problems.into_iter().map(|problem| problem.reason.to_string()).collect(),
            _lock: lock,
        };
        tracing::info!(gateway = %agent.identity.gateway, devices = config.device.len(), boot = hex::encode(boot), "agent running");
        let local = local::listen(&config.state_dir, agent.cache.clone());
        Ok((agent, Inlets { fleet, devices: from_devices, done: from_work, local }))
    }

    fn hear_device(&mut self, event: DeviceEvent) -> Result<(), GatewayError> {
        let now = clock::now();
        match event {
            DeviceEvent::Report(device, report) => {
                self.gateway.device_report(now, &device, *report)?;
                self.drive_staging(now, &device)
            }
            DeviceEvent::Fault(device, fault) => self.gateway.device_fault(now, &device, fault),
            DeviceEvent::Malformed(device, malformed) => self.gateway.device_malformed(now, &device, &malformed),
            DeviceEvent::Displaced(device) => self.gateway.device_displaced(now, &device),
        }
    }

    fn hear_staff(&mut self, asked: Asked) -> Result<(), GatewayError> {
        let (now, uid) = (clock::now(), asked.uid);
        let gateway = &mut self.gateway;
        let answer = match asked.request {
            Request::Consent { deployment, given, reason } => gateway.consent(now, &deployment, given, &reason, uid)?,
            Request::Status => Ok((String::new(), gateway.status(now))),
            Request::Devices { device } => gateway.device_views(now, device.as_ref()),
            Request::Hold { device, reason } => gateway.on_site(now, &device, OnSite::Hold(reason), uid)?,
            Request::Release { device, reason } => gateway.on_site(now, &device, OnSite::Release(reason), uid)?,
            Request::Rollback { device, reason } => gateway.on_site(now, &device, OnSite::RollBack(reason), uid)?,
            Request::Logs { device, limit } => Ok((String::new(), gateway.recent(device.as_ref(), limit))),
            Request::SelfTest => Ok((String::new(), self.self_test(now))),
            Request::Clock => Ok((String::new(), gateway.clock(now))),
            Request::AcceptClock { reason } => gateway.accept_clock(now, &reason, uid)?,
            Request::ImportDocument(document) => match STANDARD.decode(&document.payload) {
                Ok(payload) => gateway.import(now, &document.topic, &payload, uid)?,
                Err(_) => Err(format!("{}: the payload is no base64", document.topic)),
            },
            Request::ImportProof(proof) => match hashes(&proof.hashes) {
                Some(hashes) => gateway.import_proof(now, (proof.old, proof.new), &hashes, uid)?,
                None => Err("the proof holds something that is no hash".into()),
            },
            Request::NeededImages | Request::ImportImage { .. } => {
                let images = gateway.wanted_images().into_iter();
                let images = images.map(|(sha256, size_bytes)| json!({ "sha256": sha256, "sizeBytes": size_bytes }));
                Ok((String::new(), images.collect()))
            }
            Request::Export => gateway.export()?,
        };
        // Who asked may have gone.
        let _ = asked.reply.send(answer);
        Ok(())
    }

    /// Whether this gateway can do its work.
    fn self_test(&self, now: Now) -> Value {
        self_test::checks(self_test::Facts {
            now: now.utc,
            status: self.gateway.status(now),
            validity: mdfm_service::validity(&self.identity.certificate_pem),
            clock_in_words: self.gateway.clock_in_words(now),
            line_in_words: self.gateway.line_in_words(),
            free_bytes: self.cache.free_bytes().unwrap_or(0),
            slot_problems: &self.slot_problems,
        })
    }

    fn hear_fleet(&mut self, event: FleetEvent) -> Result<(), GatewayError> {
        let now = clock::now();
        match event {
            FleetEvent::Up => self.gateway.link_up(now),
            FleetEvent::Down(problem) => {
                self.gateway.link_down();
                if let Some(problem) = problem {
                    self.gateway.note_line_problem(problem);
                }
            }
            FleetEvent::QuestionsGranted => self.gateway.questions_granted(now),
            FleetEvent::Message { topic, payload } => self.gateway.message(now, &topic, &payload)?,
        }
        Ok(())
    }

    fn hear_done(&mut self, done: Done) -> Result<(), GatewayError> {
        let now = clock::now();
        match done {
            Done::Image(sha256, result) => {
                let fetched = match result {
                    Ok(()) => Fetched::Whole,
                    Err(ImageError::Wrong(error)) => Fetched::Wrong(error),
                    Err(error) => {
                        tracing::warn!(%sha256, %error, "image not here yet; trying again");
                        if let Some((code, words)) = error.waits_for() {
                            self.gateway.fetch_failed(sha256, code, words, self.cache.have(sha256));
                        }
                        Fetched::Later
                    }
                };
                self.gateway.image(now, sha256, fetched)
            }
            Done::Slot(device, error) => {
                tracing::warn!(%device, %error, "going on in a while");
                if let Some((code, words)) = error.waits_for() {
                    self.gateway.staging_failed(&device, code, words);
                }
                Ok(())
            }
            Done::Consistency(result) => {
                let proof = result.inspect_err(|error| tracing::warn!(%error, "consistency proof not here yet")).ok();
                self.gateway.consistency(now, proof.as_deref())
            }
            Done::Certificate(Ok((key, certificate))) => {
                if let Err(error) = self.take_certificate(key, certificate) {
                    tracing::error!("the new certificate cannot be taken up: {error:#}; trying again in an hour");
                }
                Ok(())
            }
            Done::Certificate(Err(error)) => {
                tracing::warn!("the certificate could not be renewed: {error:#}; trying again in an hour");
                Ok(())
            }
        }
    }

    /// Gets the next certificate well before this one ends.
    fn renew_if_due(&mut self, now: Now) {
        if now.mono < self.renewing.next_at || !self.gateway.is_connected() {
            return;
        }
        self.renewing.next_at = now.mono.plus_ms(RENEWAL_MS);
        if self.identity.renewal_is_due(now.utc, self.renewing.days) {
            let (http, done) = (self.http.clone(), self.done.clone());
            tokio::spawn(async move {
                let renewed = http.renew().await;
                // The loop goes only when the process ends.
                let _ = done.send(Done::Certificate(renewed)).await;
            });
        }
    }

    fn take_certificate(&mut self, key: String, certificate: String) -> anyhow::Result<()> {
        self.identity = self.identity.clone().renew(&self.state_dir, key, certificate)?;
        self.http = Http::new(&self.identity, &self.road, Arc::clone(&self.throttle))?;
        self.bringer.reconnect(self.http.clone());
        // The connection stands until the new one takes its place at the coordinator.
        let events = self.fleet_events.clone();
        self.fleet = FleetLink::start(&self.identity, &self.road, &self.state_dir, self.spread_ms, events)?;
        tracing::info!("the gateway's certificate is renewed");
        Ok(())
    }

    /// What time alone brings, then everything that follows from anything heard.
    fn work(&mut self, now: Now) -> anyhow::Result<()> {
        self.gateway.work(now)?;
        for failure in self.bringer.failures() {
            self.gateway.patch_failed(now, failure)?;
        }
        for sha256 in self.gateway.troubled_fetches() {
            self.gateway.fetch_progressed(sha256, self.cache.have(sha256));
        }
        self.renew_if_due(now);
        self.run_outputs(now)?;
        for device in self.staging.keys().cloned().collect::<Vec<_>>() {
            self.drive_staging(now, &device)?;
        }
        self.run_outputs(now)?;
        if self.cache_used && !self.gateway.is_fetching() {
            let needed = self.gateway.needed_images();
            if needed.is_empty() {
                if let Err(error) = self.cache.make_room(&needed, 0) {
                    // A full disk stops no device that is being watched.
                    tracing::warn!(%error, "the image cache was not cleaned");
                }
                self.cache_used = false;
            }
        }
        Ok(())
    }

    fn run_outputs(&mut self, now: Now) -> Result<(), GatewayError> {
        while let Some(output) = self.gateway.next_output() {
            match output {
                Output::Publish(topic, payload) => self.fleet.publish(&topic, false, payload),
                Output::Hello => self.fleet.hello(),
                Output::WantRelease(digest) => self.fleet.want_release(digest),
                Output::AskConsistency { old, new } => {
                    let (http, done) = (self.http.clone(), self.done.clone());
                    tokio::spawn(async move {
                        let result = http.consistency(old, new).await;
                        // The loop goes only when the process ends.
                        let _ = done.send(Done::Consistency(result)).await;
                    });
                }
                Output::Fetch(image) => self.fetch(now, image)?,
                Output::Stage { device, image } => match self.cache.get(image.firmware.sha256, image.size_bytes) {
                    Ok(cached) if cached.is_some() || image.streams => {
                        self.staging.insert(device, Staging::new(image, cached, now.mono));
                    }
                    found => {
                        let error = found.err().map(|e| e.to_string());
                        tracing::error!(?error, %device, "the cached image cannot be read; fetching again");
                        self.gateway.staging_lost(&device);
                    }
                },
                Output::StopStaging(device) => {
                    self.staging.remove(&device);
                }
                Output::Order(device, order) => {
                    if let Some(way) = self.ways.get(&device) {
                        way.order(&device, &order);
                    }
                }
            }
        }
        Ok(())
    }

    fn fetch(&mut self, now: Now, image: Image) -> Result<(), GatewayError> {
        let sha256 = image.firmware.sha256;
        let held = self.cache.get(sha256, image.size_bytes).is_ok_and(|held| held.is_some());
        if held {
            return self.gateway.image(now, sha256, Fetched::Whole);
        }
        self.cache_used = true;
        let (bringer, done) = (self.bringer.clone(), self.done.clone());
        let needed = self.gateway.needed_images();
        tokio::spawn(async move {
            let result = bringer.to_cache(&image, &needed).await;
            // The loop goes only when the process ends.
            let _ = done.send(Done::Image(sha256, result)).await;
        });
        Ok(())
    }

    fn drive_staging(&mut self, now: Now, device: &DeviceId) -> Result<(), GatewayError> {
        if !self.gateway.is_staging(device) {
            self.staging.remove(device);
        }
        let (Some(staging), Some(way)) = (self.staging.get_mut(device), self.ways.get(device)) else { return Ok(()) };
        let report = self.gateway.report_of(device).cloned();
        let gateway = &mut self.gateway;
        let number = || gateway.next_order(device).unwrap_or_default();
        match staging.drive(now.mono, way, device, report.as_ref(), number) {
            Ok(Driven::On) => Ok(()),
            Ok(Driven::Refused(refusal)) => {
                if staging.image.streams && refusal.code == WRONG_DIGEST {
                    self.bringer.doubt(&staging.image);
                }
                self.gateway.staging_refused(now, device, refusal)
            }
            Ok(Driven::Feed(from)) => {
                if let Way::Local(local) = way {
                    let (image, local, id) = (staging.image.clone(), local.clone(), device.clone());
                    let (bringer, done) = (self.bringer.clone(), self.done.clone());
                    let needed = self.gateway.needed_images();
                    staging.feed(tokio::spawn(async move {
                        let sha256 = image.firmware.sha256;
                        match bringer.to_slot(&image, &needed, &local, from).await {
                            Ok(()) => {}
                            // The device's next report says where to go on.
                            Err(error @ ImageError::Wrong(_)) => drop(done.send(Done::Image(sha256, Err(error))).await),
                            Err(error) => drop(done.send(Done::Slot(id, error)).await),
                        }
                    }));
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, %device, "the cached image cannot be read; it is fetched again");
                self.staging.remove(device);
                self.gateway.staging_lost(device);
                Ok(())
            }
        }
    }
}
