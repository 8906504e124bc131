//! The shell of the installers: journals, then runs effects; sleeps until the next deadline. Makes no decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use mdfm_service::{Exit, LogLevel, Stop, Watchdog};
use mdfm_shared::device::Report;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::telemetry::{DeviceHeartbeat, EventKind, Heartbeat, InstallState};
use mdfm_shared::time::MonotonicMs;
use mdfm_shared::tlog::Hash;
use mdfm_shared::wire::{self, Topic};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock;
use crate::config::Config;
use crate::device::{DeviceEvent, DeviceLink, LocalBroker, Staging};
use crate::image::ImageCache;
use crate::installer::{BootId, Effect, Input, Installer, Journal, Now};
use crate::link::{FetchError, FleetEvent, FleetLink, Http, Identity};
use crate::store::{Outbox, SledStore, Store, Write};
use crate::trust::{Question, Refused, Taken, Trust};

/// Longest sleep; staging and heartbeats look at the time at least so often.
const TICK_MS: u64 = 250;
/// Shortest sleep: what is overdue waits so long at most, and nothing can make the agent spin.
const WAKE_MS_MIN: u64 = 10;
/// Before a failed fetch is tried again.
const FETCH_RETRY_MS: u64 = 2_000;
/// The same refusal is reported once in this time.
const REFUSAL_REPEAT_MS: u64 = 60_000;
/// Refusals remembered for that.
const REFUSALS_MAX: usize = 256;
/// Faults of one device recorded in a minute; a flood is cut and said once.
const FAULTS_PER_MINUTE_MAX: u32 = 60;

/// Starts of this agent so far: orders and heartbeats of every start are numbered above those of the one before.
const STARTS_KEY: &str = "starts";
/// Room for the numbers of one start; they stay below 2^53, which every JSON reader takes exactly.
const STARTS_SHIFT: u32 = 24;

struct DeviceState {
    installer: Installer,
    report: Option<Report>,
    staging: Option<Staging>,
    faults: (MonotonicMs, u32),
}

/// Results of work that runs beside the loop.
enum Done {
    Image(Digest, Result<(), FetchError>),
    Consistency(Box<Question>, Result<Vec<Hash>, FetchError>),
}

/// The agent.
pub(crate) struct Agent {
    identity: Identity,
    key: SecretKey,
    store: SledStore,
    trust: Trust,
    outbox: Outbox,
    cache: ImageCache,
    devices: BTreeMap<DeviceId, DeviceState>,
    boot: BootId,
    fleet: FleetLink,
    connected: bool,
    link: DeviceLink,
    http: Http,
    done: mpsc::Sender<Done>,
    fetching: BTreeSet<Digest>,
    fetch_after: BTreeMap<Digest, MonotonicMs>,
    asking: bool,
    /// Whether the cache may hold what nobody needs any more.
    cache_used: bool,
    refusals: BTreeMap<String, MonotonicMs>,
    heartbeat_ms: u64,
    next_heartbeat: MonotonicMs,
    /// Number of the last heartbeat; those of every start are above those of the one before.
    heartbeats: u64,
}

struct Inlets {
    fleet: mpsc::Receiver<FleetEvent>,
    devices: mpsc::Receiver<DeviceEvent>,
    done: mpsc::Receiver<Done>,
}

fn journal_key(device: &DeviceId) -> String {
    format!("device/{device}")
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
        let sleep = Duration::from_millis(agent.next_wake(now.mono).since_ms(now.mono).clamp(WAKE_MS_MIN, TICK_MS));
        tokio::select! {
            Some(event) = inlets.devices.recv() => agent.hear_device(event)?,
            Some(event) = inlets.fleet.recv() => agent.hear_fleet(event)?,
            Some(done) = inlets.done.recv() => agent.hear_done(done)?,
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
    let message = format!("the clock stands {ahead_s} s before the start of this gateway's certificate; set the clock");
    if states.any(|s| !s.is_settled()) {
        tracing::error!("{message}; going on, because a device is being updated");
        return Ok(());
    }
    Err(Stop::new(Exit::Clock, message))
}

impl Agent {
    fn start(config: &Config) -> anyhow::Result<(Self, Inlets)> {
        let identity = Identity::load(&config.state_dir)?;
        let store = SledStore::open(&config.state_dir.join("state"))?;
        let trust = Trust::load(&store, identity.gateway.clone(), identity.trust_root)?;
        let key = identity.telemetry_key()?;
        let (outbox, writes) = Outbox::load(&store, identity.gateway.clone(), key.clone(), identity.epoch)?;
        let cache = ImageCache::open(&config.state_dir.join("images")).context("opening the image cache")?;
        let (boot, now) = (clock::boot_id()?, clock::now());
        let start = match store.get(STARTS_KEY)? {
            Some(bytes) => wire::decode::<u64>(&bytes).context("the count of starts does not decode")? + 1,
            None => 1,
        };
        let mut writes = writes;
        writes.push((STARTS_KEY.to_owned(), Some(wire::encode(&start))));
        let mut devices = BTreeMap::new();
        for device in &config.device {
            let journal = match store.get(&journal_key(&device.id))? {
                Some(bytes) => wire::decode::<Journal>(&bytes)
                    .with_context(|| format!("the journal of device {} does not decode", device.id))?,
                None => Journal::new(),
            };
            let installer = Installer::new(journal, boot, now.mono, start << STARTS_SHIFT);
            let state = DeviceState { installer, report: None, staging: None, faults: (now.mono, 0) };
            devices.insert(device.id.clone(), state);
        }
        check_clock(&identity.certificate_pem, now, devices.values().map(|d| d.installer.journal().state()))?;
        let broker = LocalBroker::start(config).map_err(|e| {
            let message = format!(
                "the devices' broker cannot listen on {}; is another program there? (ss -ltnp)",
                config.device_listen
            );
            Stop::new(Exit::Address, message).because(e)
        })?;
        let (fleet_events, fleet) = mpsc::channel(256);
        let (device_events, from_devices) = mpsc::channel(1_024);
        let (done, from_work) = mpsc::channel(64);
        let mut agent = Self {
            fleet: FleetLink::start(&identity, fleet_events)?,
            link: DeviceLink::start(&broker, device_events),
            http: Http::new(&identity)?,
            identity,
            key,
            store,
            trust,
            outbox,
            cache,
            devices,
            boot,
            connected: false,
            done,
            fetching: BTreeSet::new(),
            fetch_after: BTreeMap::new(),
            asking: false,
            cache_used: true,
            refusals: BTreeMap::new(),
            heartbeat_ms: config.heartbeat_seconds * 1_000,
            next_heartbeat: now.mono,
            heartbeats: start << STARTS_SHIFT,
        };
        agent.store.commit(writes)?;
        agent.record(None, [EventKind::AgentStarted { version: env!("CARGO_PKG_VERSION").into() }], Vec::new())?;
        for device in agent.devices.keys().cloned().collect::<Vec<_>>() {
            let effects = agent.devices[&device].installer.resume();
            agent.run_effects(&device, effects)?;
        }
        agent.wish_all()?;
        tracing::info!(gateway = %agent.identity.gateway, devices = agent.devices.len(), boot = hex::encode(agent.boot), "agent running");
        Ok((agent, Inlets { fleet, devices: from_devices, done: from_work }))
    }

    /// Makes writes and events durable together; the events go out from the outbox.
    fn record(
        &mut self,
        device: Option<&DeviceId>,
        events: impl IntoIterator<Item = EventKind>,
        mut writes: Vec<Write>,
    ) -> anyhow::Result<()> {
        let events: Vec<_> = events.into_iter().map(|e| (device.cloned(), e)).collect();
        for (_, event) in &events {
            tracing::info!(
                gateway = %self.identity.gateway,
                device = device.map(tracing::field::display),
                deployment = event.deployment().map(tracing::field::display),
                event = event.name(),
                "{event}"
            );
        }
        writes.extend(self.outbox.add(clock::now().utc, events)?);
        if !writes.is_empty() {
            self.store.commit(writes)?;
        }
        Ok(())
    }

    fn refuse(&mut self, device: Option<&DeviceId>, refused: &Refused) -> anyhow::Result<()> {
        let now = clock::now().mono;
        let text = refused.to_string();
        if self.refusals.get(&text).is_some_and(|at| now.since_ms(*at) < REFUSAL_REPEAT_MS) {
            return Ok(());
        }
        if self.refusals.len() >= REFUSALS_MAX {
            self.refusals.clear();
        }
        self.refusals.insert(text, now);
        let event = EventKind::Refused { what: refused.what.into(), reason: refused.reason.clone() };
        self.record(device, [event], Vec::new())
    }

    /// Gives one input to one installer: journal first, effects after.
    fn input(&mut self, device: &DeviceId, input: Input) -> anyhow::Result<()> {
        let now = clock::now();
        let Some(state) = self.devices.get_mut(device) else { return Ok(()) };
        let outcome = state.installer.step(now, input);
        let effects = outcome.persist(|journal, events| {
            let write = journal.map(|j| (journal_key(device), Some(wire::encode(j))));
            self.record(Some(device), events, write.into_iter().collect())
        })?;
        self.run_effects(device, effects)
    }

    fn run_effects(&mut self, device: &DeviceId, effects: Vec<Effect>) -> anyhow::Result<()> {
        let now = clock::now();
        for effect in effects {
            match effect {
                Effect::FetchImage { sha256, size_bytes } => self.fetch(sha256, size_bytes, now.mono)?,
                Effect::StageImage { firmware, size_bytes } => {
                    let path = self.cache.whole(firmware.sha256);
                    match Staging::new(&path, firmware, size_bytes, now.mono) {
                        Ok(staging) => {
                            if let Some(state) = self.devices.get_mut(device) {
                                state.staging = Some(staging);
                            }
                        }
                        Err(error) => {
                            tracing::error!(%error, %device, "the cached image cannot be read; fetching again")
                        }
                    }
                }
                Effect::StopStaging => {
                    if let Some(state) = self.devices.get_mut(device) {
                        state.staging = None;
                    }
                }
                Effect::Send(order) => {
                    tracing::info!(%device, ?order, "order");
                    self.link.order(device, &order);
                }
            }
        }
        Ok(())
    }

    fn fetch(&mut self, sha256: Digest, size_bytes: u64, now: MonotonicMs) -> anyhow::Result<()> {
        if self.cache.holds(sha256, size_bytes) {
            return self.image_ready(sha256);
        }
        if self.fetching.contains(&sha256) || self.fetch_after.get(&sha256).is_some_and(|at| now < *at) {
            return Ok(());
        }
        self.fetching.insert(sha256);
        self.cache_used = true;
        let (http, done) = (self.http.clone(), self.done.clone());
        let (part, whole) = (self.cache.part(sha256), self.cache.whole(sha256));
        tokio::spawn(async move {
            let result = http.image(sha256, size_bytes, part, whole).await;
            // The loop goes only when the process ends.
            let _ = done.send(Done::Image(sha256, result)).await;
        });
        Ok(())
    }

    fn image_ready(&mut self, sha256: Digest) -> anyhow::Result<()> {
        let waiting: Vec<DeviceId> = self
            .devices
            .iter()
            .filter(|(_, d)| d.installer.needed_image() == Some(sha256) && d.staging.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for device in waiting {
            self.input(&device, Input::ImageReady(sha256))?;
        }
        Ok(())
    }

    fn hear_device(&mut self, event: DeviceEvent) -> anyhow::Result<()> {
        let now = clock::now().mono;
        match event {
            DeviceEvent::Report(device, report) => {
                let Some(state) = self.devices.get_mut(&device) else { return Ok(()) };
                state.report = Some((*report).clone());
                self.input(&device, Input::Report(*report))?;
                self.drive_staging(&device, now)
            }
            DeviceEvent::Fault(device, fault) => {
                let Some(state) = self.devices.get_mut(&device) else { return Ok(()) };
                if now.since_ms(state.faults.0) >= 60_000 {
                    state.faults = (now, 0);
                }
                state.faults.1 += 1;
                if state.faults.1 > FAULTS_PER_MINUTE_MAX {
                    let reason =
                        format!("more than {FAULTS_PER_MINUTE_MAX} faults in a minute; the rest is not recorded");
                    return self.refuse(Some(&device), &Refused { what: "device", reason });
                }
                self.input(&device, Input::Fault(fault))
            }
            DeviceEvent::Malformed(device, reason) => {
                if !self.devices.contains_key(&device) {
                    return Ok(());
                }
                self.refuse(Some(&device), &Refused { what: "device", reason })
            }
        }
    }

    fn drive_staging(&mut self, device: &DeviceId, now: MonotonicMs) -> anyhow::Result<()> {
        let Some(state) = self.devices.get_mut(device) else { return Ok(()) };
        if state.installer.needed_image().is_none() {
            state.staging = None;
        }
        let Some(staging) = &mut state.staging else { return Ok(()) };
        let installer = &mut state.installer;
        match staging.drive(now, &self.link, device, state.report.as_ref(), || installer.next_order()) {
            Ok(None) => Ok(()),
            Ok(Some(refusal)) => self.input(device, Input::StagingRefused(refusal)),
            Err(error) => {
                tracing::error!(%error, %device, "the cached image cannot be read; it is fetched again");
                state.staging = None;
                Ok(())
            }
        }
    }

    fn hear_fleet(&mut self, event: FleetEvent) -> anyhow::Result<()> {
        let now = clock::now().mono;
        match event {
            FleetEvent::Up => {
                self.connected = true;
                self.fleet.hello(self.trust.missing_releases());
                self.outbox.reconnected(now);
                self.next_heartbeat = now;
                Ok(())
            }
            FleetEvent::Down => {
                self.connected = false;
                Ok(())
            }
            FleetEvent::Message { topic, payload } => self.hear_message(&topic, &payload),
        }
    }

    fn hear_message(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        let taken = match Topic::parse(topic) {
            Some(Topic::TrustRoot(_)) => self.trust.take_root(payload),
            Some(Topic::Roster) => self.trust.take_roster(payload),
            Some(Topic::Directive(_)) => self.trust.take_directive(payload),
            Some(Topic::Checkpoint) => self.trust.take_checkpoint(payload),
            Some(Topic::Release(digest)) => {
                // Without the roster nothing can be judged yet; it is asked for in the heartbeat.
                if self.trust.roster_version() == 0 {
                    return Ok(());
                }
                self.trust.take_release(digest, payload)
            }
            Some(Topic::Ack(_)) => {
                return match self.trust.take_ack(payload) {
                    Ok(ack) => {
                        let writes = self.outbox.acknowledge(clock::now().mono, &ack);
                        self.record(None, [], writes)
                    }
                    Err(refused) => self.refuse(None, &refused),
                };
            }
            _ => return Ok(()),
        };
        match taken {
            Ok(Taken::Nothing) => Ok(()),
            Ok(Taken::Accepted(writes)) => self.accepted(writes),
            Ok(Taken::Asks(question)) => {
                self.ask(question);
                Ok(())
            }
            Err(refused) => self.refuse(None, &refused),
        }
    }

    fn accepted(&mut self, writes: Vec<Write>) -> anyhow::Result<()> {
        self.record(None, [], writes)?;
        for digest in self.trust.missing_releases() {
            self.fleet.want_release(digest);
        }
        // Tell the coordinator soon what is held now, and what is missing still.
        self.next_heartbeat = clock::now().mono.plus_ms(TICK_MS).min(self.next_heartbeat);
        self.wish_all()
    }

    fn ask(&mut self, question: Box<Question>) {
        if self.asking {
            // One at a time; the heartbeat and the next checkpoint bring the rest again.
            return;
        }
        self.asking = true;
        let (http, done) = (self.http.clone(), self.done.clone());
        tokio::spawn(async move {
            let result = http.consistency(question.old.size, question.new.size).await;
            // The loop goes only when the process ends.
            let _ = done.send(Done::Consistency(question, result)).await;
        });
    }

    fn hear_done(&mut self, done: Done) -> anyhow::Result<()> {
        let now = clock::now().mono;
        match done {
            Done::Image(sha256, result) => {
                self.fetching.remove(&sha256);
                match result {
                    Ok(()) => self.image_ready(sha256),
                    Err(FetchError::Later(error)) => {
                        tracing::warn!(%sha256, %error, "image not here yet; trying again");
                        self.fetch_after.insert(sha256, now.plus_ms(FETCH_RETRY_MS));
                        Ok(())
                    }
                    Err(FetchError::Wrong(error)) => {
                        let waiting: Vec<DeviceId> = self
                            .devices
                            .iter()
                            .filter(|(_, d)| d.installer.needed_image() == Some(sha256))
                            .map(|(id, _)| id.clone())
                            .collect();
                        self.refuse(None, &Refused { what: "image", reason: error.clone() })?;
                        for device in waiting {
                            self.input(&device, Input::ImageRefused(sha256, error.clone()))?;
                        }
                        Ok(())
                    }
                }
            }
            Done::Consistency(question, result) => {
                self.asking = false;
                match result {
                    Ok(proof) => match self.trust.answer(*question, &proof) {
                        Ok(writes) => self.accepted(writes),
                        Err(refused) => self.refuse(None, &refused),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "consistency proof not here yet");
                        Ok(())
                    }
                }
            }
        }
    }

    /// Gives every installer what the directive asks now.
    fn wish_all(&mut self) -> anyhow::Result<()> {
        for device in self.devices.keys().cloned().collect::<Vec<_>>() {
            let wish = self.trust.wish(&device);
            self.input(&device, Input::Wish(wish))?;
        }
        Ok(())
    }

    /// What time alone brings: ticks, staging, resends, heartbeats, retries, a clean cache.
    fn work(&mut self, now: Now) -> anyhow::Result<()> {
        for device in self.devices.keys().cloned().collect::<Vec<_>>() {
            let due = self.devices[&device].installer.deadline().is_some_and(|(at, _)| at <= now.mono);
            if due {
                self.input(&device, Input::Tick)?;
            }
            self.drive_staging(&device, now.mono)?;
            let state = &self.devices[&device];
            if state.staging.is_none() {
                let effects: Vec<Effect> =
                    state.installer.resume().into_iter().filter(|e| matches!(e, Effect::FetchImage { .. })).collect();
                self.run_effects(&device, effects)?;
            }
        }
        if self.connected {
            for frame in self.outbox.due(now.mono) {
                self.fleet.publish(&Topic::Telemetry(self.identity.gateway.clone()), false, frame);
            }
            if now.mono >= self.next_heartbeat {
                self.next_heartbeat = now.mono.plus_ms(self.heartbeat_ms);
                self.beat(now)?;
            }
        }
        if self.cache_used && self.fetching.is_empty() {
            let needed: BTreeSet<Digest> = self.devices.values().filter_map(|d| d.installer.needed_image()).collect();
            if needed.is_empty() {
                self.cache.keep_only(&needed).context("cleaning the image cache")?;
                self.cache_used = false;
            }
        }
        Ok(())
    }

    fn beat(&mut self, now: Now) -> anyhow::Result<()> {
        if self.trust.is_stale(now.utc) {
            let reason =
                "the directive has run out and the coordinator has not renewed it; nothing new is started".into();
            self.refuse(None, &Refused { what: "directive", reason })?;
        }
        let devices = self.devices.iter().map(|(id, d)| DeviceHeartbeat {
            device: id.clone(),
            state: d.installer.journal().state(),
            attached: d.installer.is_attached(now.mono),
            in_use: d.installer.is_in_use(),
        });
        self.heartbeats += 1;
        let heartbeat = Heartbeat {
            gateway: self.identity.gateway.clone(),
            epoch: self.identity.epoch,
            sequence: self.heartbeats,
            at: now.utc,
            root_version: self.trust.root_version(),
            roster_version: self.trust.roster_version(),
            directive_serial: self.trust.directive_serial(),
            checkpoint_size: self.trust.checkpoint_size(),
            missing_releases: self.trust.missing_releases().into_iter().collect(),
            outbox_depth: self.outbox.depth(),
            devices: devices.collect(),
        };
        let signed = Signed::sign(&heartbeat, &[&self.key])?;
        self.fleet.publish(&Topic::Heartbeat(self.identity.gateway.clone()), false, wire::encode(&signed));
        Ok(())
    }

    fn next_wake(&self, now: MonotonicMs) -> MonotonicMs {
        let installers = self.devices.values().filter_map(|d| d.installer.deadline().map(|(at, _)| at));
        let outbox = self.outbox.deadline().filter(|_| self.connected);
        let heartbeat = self.connected.then_some(self.next_heartbeat);
        installers.chain(outbox).chain(heartbeat).min().unwrap_or(now.plus_ms(TICK_MS))
    }
}
