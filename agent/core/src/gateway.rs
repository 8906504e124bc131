//! The deciding half of the agent: everything that a gateway hears in, what it says and orders out. Pure but for the store that
//! it is given; every change is durable before what follows from it can be taken.

mod budget;
mod chain;
mod clock;
mod confirmation;
mod devices;
mod documents;
mod line;
mod observation;
mod on_site;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use mdfm_shared::device::{Command, FAULT_LEVEL_VERSION, FaultCounts, FaultMessage, Refusal, Report};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::{DETAIL_CHARS_MAX, LABEL_CHARS_MAX};
use mdfm_shared::observed::ObservationRequest;
use mdfm_shared::sign::{SecretKey, SignError, Signed};
use mdfm_shared::telemetry::{ClockReport, DeviceHeartbeat, EventKind, Heartbeat, HeldTrust, InstallState};
use mdfm_shared::text;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::wire::{self, FrameError, Topic};

use crate::image::Image;
use crate::installer::{BootId, Effect, Input, Installer, Journal, Now};
use crate::store::{Class, Loaded, Outbox, OutboxLimits, Store, StoreError, Write, shorten};
use crate::trust::{Bar, Question, Refused, Trust};
use crate::trusted_time::TrustedTime;

use budget::Budget;
use confirmation::Confirmation;
pub use line::LineProblem;
use observation::Observation;
pub use on_site::Reply;
use waiting::{Troubles, Waits, waiting_key};

/// Before a failed fetch is tried again.
const FETCH_RETRY_MS: u64 = 2_000;
/// After new documents the coordinator is told soon what is held now, and what is missing still.
const NEWS_MS: u64 = 250;
/// The same refusal is reported once in this time.
const REFUSAL_REPEAT_MS: u64 = 60_000;
/// Refusals remembered for that.
const REFUSALS_MAX: usize = 256;
/// Events kept in memory for whoever asks on site, and bytes of their words.
const RECENT_MAX: usize = 2_000;
const RECENT_BYTES_MAX: usize = 512 * 1024;

/// Starts of this agent so far: orders and heartbeats of every start are numbered above those of the one before.
const STARTS_KEY: &str = "starts";
/// Room for the numbers of one start; they stay below 2^53, which every JSON reader takes exactly.
const STARTS_SHIFT: u32 = 24;

/// What the shell shall do, in this order. Everything is safe to lose: it comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a message to the coordinator.
    Publish(Topic, Vec<u8>),
    /// Subscribe to what this gateway always hears, and say that it is there.
    Hello,
    /// Subscribe to a release.
    WantRelease(Digest),
    /// Ask the coordinator to prove that its log of size `old` became the one of size `new`; answer with
    /// `consistency`.
    AskConsistency {
        /// Entries of the older log.
        old: u64,
        /// Entries of the newer log.
        new: u64,
    },
    /// Get an image into the cache, verified; answer with `image`.
    Fetch(Image),
    /// Write an image into the device's inactive slot, going on where the device's report says.
    Stage {
        /// Which device.
        device: DeviceId,
        /// What is to be written, and from where it comes.
        image: Image,
    },
    /// Stop writing.
    StopStaging(DeviceId),
    /// Give a device an order.
    Order(DeviceId, Command),
}

/// The documents by which a gateway judges who may decide what, for virtual worlds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Version of the roster; 0 before the first.
    pub roster: u64,
    /// Version of the withdrawals; 0 before the first.
    pub withdrawals: u64,
    /// Serial of the directive, and when it was signed.
    pub directive: Option<(u64, UtcMillis)>,
    /// Digests of the rollback orders.
    pub orders: Vec<Digest>,
}

/// What became of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The image is in the cache, whole and verified.
    Whole,
    /// The network or the coordinator failed; it is asked for again.
    Later,
    /// The bytes are not what the manifest names, and why.
    Wrong(String),
}

/// Why the agent cannot go on: it stops, and a restart takes up what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document too large to sign; the texts in it are cut, so this is our own mistake.
    #[error("telemetry cannot be signed")]
    Sign(#[from] SignError),
    /// State that this version did not write.
    #[error("the agent's {what} does not decode")]
    Decode {
        /// What it was to be.
        what: String,
        /// Why not.
        source: FrameError,
    },
}

struct DeviceState {
    installer: Installer,
    report: Option<Report>,
    /// Whether the image is being written into its slot.
    staging: bool,
    slot_is_here: bool,
    budget: Budget,
    observation: Observation,
    waits: Waits,
}

/// Something that a device, or its adapter, sent and should not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, in fixed words: the same fault of another message is the same event.
    pub what: &'static str,
    /// An example, cut short; empty where there is nothing to add.
    pub detail: String,
}

/// Characters of an example.
const EXAMPLE_CHARS_MAX: usize = 200;

impl Malformed {
    /// In fixed words alone.
    pub fn new(what: &'static str) -> Self {
        Self { what, detail: String::new() }
    }

    /// With an example.
    pub fn with(what: &'static str, example: impl fmt::Display) -> Self {
        let mut detail = example.to_string();
        text::clip(&mut detail, EXAMPLE_CHARS_MAX);
        Self { what, detail }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => f.write_str(self.what),
            detail => write!(f, "{}: {detail}", self.what),
        }
    }
}

/// A device that may attach.
#[derive(Debug)]
pub struct Seat {
    /// Which.
    pub device: DeviceId,
    /// Whether its slots lie on this gateway, so that an image need not be in the cache first.
    pub slot_is_here: bool,
}

/// Who a gateway is.
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct Who {
    /// Its id.
    pub gateway: GatewayId,
    /// Of its enrolment; grows with every one.
    pub epoch: u64,
    /// Signs its telemetry.
    pub key: SecretKey,
    /// Digest of the trust root that the enrolment token pinned.
    pub trust_root: Digest,
    /// Time between heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// How much telemetry may wait.
    pub outbox: OutboxLimits,
}

/// A gateway.
pub struct Gateway<S> {
    who: Who,
    store: S,
    trust: Trust,
    time: TrustedTime,
    /// Why nothing new is started now.
    bars: BTreeSet<Bar>,
    /// Whether withdrawals or rollback orders came over this connection: the coordinator understands what is reported of them.
    hears_authority: bool,
    /// How far the coordinator has confirmed, since the start, what it asks of this gateway.
    confirmation: Confirmation,
    /// Whether the coordinator sent another directive under the serial that is held, and none above it since; volatile.
    has_rival: bool,
    /// Whether the coordinator granted the topic of its questions over this connection: it asks for observed states.
    hears_questions: bool,
    /// Sequence of the heartbeat that the last question answers.
    last_question: u64,
    outbox: Outbox,
    devices: BTreeMap<DeviceId, DeviceState>,
    /// Devices that are to be reported again.
    due: BTreeSet<DeviceId>,
    /// Devices that have not reported since the gateway's state began or was put back, and when that is reported.
    unseen: BTreeMap<DeviceId, MonotonicMs>,
    connected: bool,
    /// Why the last try to connect failed; `None` while the connection stands.
    line_problem: Option<LineProblem>,
    fetching: BTreeSet<Digest>,
    fetch_after: BTreeMap<Digest, MonotonicMs>,
    troubles: Troubles,
    asking: Option<Box<Question>>,
    /// The one that whoever brings a bundle is to answer; it keeps nothing else waiting.
    import_asking: Option<Box<Question>>,
    /// By device, what was refused and why.
    refusals: BTreeMap<(Option<DeviceId>, String), MonotonicMs>,
    /// For events of no device.
    budget: Budget,
    /// For whoever brought a document and waits for what came of it.
    refused_so_far: u64,
    last_refusal: String,
    /// What happened lately.
    recent: VecDeque<(UtcMillis, Option<DeviceId>, EventKind)>,
    /// Bytes of their words.
    recent_bytes: usize,
    next_heartbeat: MonotonicMs,
    /// Number of the last heartbeat; those of every start are above those of the one before.
    heartbeats: u64,
    outputs: VecDeque<Output>,
}

/// Bytes of what was refused, for the look whether it is the same again.
const REFUSAL_BYTES_MAX: usize = 200;

/// Bytes of the words of an event, about.
fn words(event: &EventKind) -> usize {
    match event {
        EventKind::AgentStarted { version } => version.len(),
        EventKind::DeviceAdopted { model, hardware, firmware } => model.len() + hardware.len() + firmware.version.len(),
        EventKind::StateChanged { detail, running, .. } => {
            detail.len() + running.as_ref().map_or(0, |r| r.version.len())
        }
        EventKind::DeviceError { code, message, .. } => code.len() + message.len(),
        EventKind::Refused { what, reason } => what.len() + reason.len(),
        EventKind::LocalAction { command, .. } => command.len(),
        EventKind::Consent { reason, .. } => reason.len(),
        EventKind::DeviceObserved { observed, .. } => {
            observed.model.len() + observed.serial.len() + observed.hardware.len() + observed.running.version.len()
        }
    }
}

fn journal_key(device: &DeviceId) -> String {
    format!("device/{device}")
}

fn observation_key(device: &DeviceId) -> String {
    format!("observed/{device}")
}

impl<S: Store> Gateway<S> {
    /// Takes up what is in the store, in this boot of the gateway.
    ///
    /// # Errors
    /// The store cannot be read, or holds what this version did not write.
    pub fn start(
        who: Who,
        mut store: S,
        devices: impl IntoIterator<Item = Seat>,
        boot: BootId,
        now: Now,
    ) -> Result<Self, GatewayError> {
        let switched = Trust::switch(&store, who.trust_root, false)?;
        if !switched.is_empty() {
            tracing::warn!("the documents of another trust root are put aside");
            store.commit(switched)?;
        }
        let (time, time_damaged) = TrustedTime::load(&store, boot)?;
        let trust = Trust::load(&store, who.gateway.clone(), who.trust_root)?;
        let Loaded { outbox, mut writes, begins_again } =
            Outbox::load(&store, who.gateway.clone(), who.key.clone(), who.epoch, who.outbox)?;
        let decode = |what: &str| {
            let what = what.to_owned();
            move |source| GatewayError::Decode { what, source }
        };
        let start = match store.get(STARTS_KEY)? {
            Some(bytes) => wire::decode::<u64>(&bytes).map_err(decode("count of starts"))? + 1,
            None => 1,
        };
        writes.push((STARTS_KEY.to_owned(), Some(wire::encode(&start))));
        let mut states = BTreeMap::new();
        for Seat { device, slot_is_here } in devices {
            let key = journal_key(&device);
            let mut journal = match store.get(&key)? {
                Some(bytes) => Journal::decode(&bytes).map_err(decode(&key))?,
                None => Journal::new(),
            };
            if journal.date_confirmation(time.trusted(now).utc) {
                writes.push((key, Some(wire::encode(&journal))));
            }
            let installer = Installer::new(journal, boot, now.mono, start << STARTS_SHIFT);
            let key = observation_key(&device);
            let observation = Observation::load(store.get(&key)?.as_deref(), now.mono).map_err(decode(&key))?;
            let budget = Budget::new(now.mono);
            let waits = Waits::load(store.get(&waiting_key(&device))?.as_deref(), now.mono);
            let state =
                DeviceState { installer, report: None, staging: false, slot_is_here, budget, observation, waits };
            states.insert(device, state);
        }
        let mut gateway = Self {
            who,
            store,
            trust,
            time,
            bars: BTreeSet::new(),
            hears_authority: false,
            confirmation: Confirmation::default(),
            has_rival: false,
            hears_questions: false,
            last_question: 0,
            outbox,
            devices: states,
            due: BTreeSet::new(),
            unseen: BTreeMap::new(),
            connected: false,
            line_problem: None,
            fetching: BTreeSet::new(),
            fetch_after: BTreeMap::new(),
            troubles: Troubles::default(),
            asking: None,
            import_asking: None,
            refusals: BTreeMap::new(),
            budget: Budget::new(now.mono),
            refused_so_far: 0,
            last_refusal: String::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            next_heartbeat: now.mono,
            heartbeats: start << STARTS_SHIFT,
            outputs: VecDeque::new(),
        };
        if begins_again {
            // Whoever enrolled this gateway again may know nothing of what it reported before.
            writes.extend(gateway.mark_due(now));
        } else if start == 1 {
            // Another machine may have been the gateway before.
            writes.extend(gateway.mark_unseen(now));
        }
        gateway.store.commit(writes)?;
        gateway.load_due(now)?;
        gateway.record(
            now,
            None,
            [EventKind::AgentStarted { version: env!("CARGO_PKG_VERSION").into() }],
            Vec::new(),
        )?;
        if begins_again {
            gateway.report_again(now)?;
        }
        gateway.take_up_besides(now)?;
        if time_damaged {
            let reason =
                "the record of trusted time does not decode; it begins again with the documents that are held".into();
            gateway.refuse(now, None, &Refused { what: "clock", reason })?;
        }
        gateway.judge_time(now)?;
        for device in gateway.ids() {
            let effects = gateway.devices[&device].installer.resume();
            gateway.run_effects(now.mono, &device, effects);
        }
        gateway.update_desired(now)?;
        Ok(gateway)
    }

    /// What to do next, once; the change that it follows from is durable.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Where each installation stands.
    pub fn states(&self) -> impl Iterator<Item = (&DeviceId, InstallState)> {
        self.devices.iter().map(|(id, d)| (id, d.installer.journal().state()))
    }

    /// What a device last reported.
    pub fn report_of(&self, device: &DeviceId) -> Option<&Report> {
        self.devices.get(device)?.report.as_ref()
    }

    /// The identity of the boot whose faults were processed last, and their counters.
    pub fn faults_seen(&self, device: &DeviceId) -> Option<(&str, FaultCounts)> {
        let seen = self.devices.get(device)?.installer.journal().faults_seen.as_ref()?;
        Some((&seen.boot, seen.counts))
    }

    /// The images that devices still need in the cache.
    pub fn needed_images(&self) -> BTreeSet<Digest> {
        self.devices.values().filter_map(|d| d.installer.needed_image()).collect()
    }

    /// The images that may be brought here, with their lengths: those of the approved releases that the directive names.
    pub fn wanted_images(&self) -> BTreeMap<Digest, u64> {
        self.trust.named_images()
    }

    /// Whether the device still needs its staging.
    pub fn is_staging(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|d| d.staging)
    }

    /// Whether the connection to the coordinator stands.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether an image is being fetched.
    pub fn is_fetching(&self) -> bool {
        !self.fetching.is_empty()
    }

    /// The number of the next order to a device.
    pub fn next_order(&mut self, device: &DeviceId) -> Option<u64> {
        Some(self.devices.get_mut(device)?.installer.next_order())
    }

    /// The time by which windows and expiries are judged: never below what was proved.
    pub fn trusted_time(&self, now: Now) -> UtcMillis {
        self.time.trusted(now).utc
    }

    /// The authority that is held now.
    pub fn held(&self) -> Held {
        Held {
            roster: self.trust.roster_version(),
            withdrawals: self.trust.withdrawals_version(),
            directive: self.trust.directive().map(|d| (d.serial, d.issued_at)),
            orders: self.trust.order_digests().collect(),
        }
    }

    /// Whether the release with this manifest is withdrawn for this gateway.
    pub fn is_withdrawn(&self, manifest: Digest) -> bool {
        self.trust.withdrawn(manifest).is_some()
    }

    /// Batches made so far, and how many wait for an ack.
    pub fn outbox(&self) -> (u64, u64) {
        (self.outbox.made(), self.outbox.depth())
    }

    /// The epoch of its telemetry.
    pub fn epoch(&self) -> u64 {
        self.outbox.epoch()
    }

    /// Digests of the sealed batches that are not acknowledged.
    pub fn unacknowledged(&self) -> Vec<Digest> {
        self.outbox.pending_digests().collect()
    }

    /// Where its state is kept.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The same, to set a power cut on.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    fn ids(&self) -> Vec<DeviceId> {
        self.devices.keys().cloned().collect()
    }

    /// Makes writes and events durable together; the events go out from the outbox.
    fn record(
        &mut self,
        now: Now,
        device: Option<&DeviceId>,
        events: impl IntoIterator<Item = EventKind>,
        writes: Vec<Write>,
    ) -> Result<(), GatewayError> {
        let events = events.into_iter().map(|e| (device.cloned(), shorten(e))).collect();
        self.record_all(now, events, writes)
    }

    /// As [`Self::record`], for events of several devices.
    fn record_all(
        &mut self,
        now: Now,
        events: Vec<(Option<DeviceId>, EventKind)>,
        mut writes: Vec<Write>,
    ) -> Result<(), GatewayError> {
        let at = self.time.stamp(now);
        for (device, event) in &events {
            let device = device.as_ref();
            if let (Some(id), EventKind::StateChanged { .. }) = (device, event)
                && self.devices.get_mut(id).is_some_and(|state| state.waits.forget())
            {
                writes.push((waiting_key(id), None));
            }
            tracing::info!(
                gateway = %self.who.gateway,
                device = device.map(tracing::field::display),
                deployment = event.deployment().map(tracing::field::display),
                event = event.name(),
                "{event}"
            );
            self.remember(at, device, event.clone());
        }
        writes.extend(self.outbox.add(at, events)?);
        if !writes.is_empty() {
            writes.push(self.time.commit(now));
            self.store.commit(writes)?;
        }
        Ok(())
    }

    /// Keeps an event for whoever asks on site.
    fn remember(&mut self, at: UtcMillis, device: Option<&DeviceId>, event: EventKind) {
        self.recent_bytes += words(&event);
        self.recent.push_back((at, device.cloned(), event));
        while self.recent.len() > RECENT_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            let Some((_, _, oldest)) = self.recent.pop_front() else { break };
            self.recent_bytes = self.recent_bytes.saturating_sub(words(&oldest));
        }
    }

    /// Records a refusal: the same one once in a while, and only within the budget of its source.
    fn refuse(&mut self, now: Now, device: Option<&DeviceId>, refused: &Refused) -> Result<(), GatewayError> {
        self.refused_so_far += 1;
        self.last_refusal = refused.to_string();
        text::clip(&mut self.last_refusal, DETAIL_CHARS_MAX);
        let mut what = self.last_refusal.clone();
        text::clip(&mut what, REFUSAL_BYTES_MAX);
        self.refuse_once(
            now,
            device,
            what,
            EventKind::Refused { what: refused.what.into(), reason: refused.reason.clone() },
        )
    }

    /// Records `event` unless one of the same `key` was recorded within [`REFUSAL_REPEAT_MS`].
    fn refuse_once(
        &mut self,
        now: Now,
        device: Option<&DeviceId>,
        key: String,
        event: EventKind,
    ) -> Result<(), GatewayError> {
        let key = (device.cloned(), key);
        if self.refusals.get(&key).is_some_and(|at| now.mono.since_ms(*at) < REFUSAL_REPEAT_MS) {
            return Ok(());
        }
        if self.refusals.len() >= REFUSALS_MAX {
            self.refusals.retain(|_, at| now.mono.since_ms(*at) < REFUSAL_REPEAT_MS);
        }
        if self.refusals.len() < REFUSALS_MAX {
            self.refusals.insert(key, now.mono);
        }
        let class = Class::of(&event).unwrap_or(Class::Refusal);
        if !self.budget_of(device).admits(now.mono, now.utc, class) {
            return self.report_flood(now, device);
        }
        self.record(now, device, [event], Vec::new())
    }

    fn budget_of(&mut self, device: Option<&DeviceId>) -> &mut Budget {
        match device.and_then(|d| self.devices.get_mut(d)) {
            Some(state) => &mut state.budget,
            None => &mut self.budget,
        }
    }

    /// Makes durable what was counted in place of being recorded, once a minute.
    fn report_flood(&mut self, now: Now, device: Option<&DeviceId>) -> Result<(), GatewayError> {
        let Some((span, counts)) = self.budget_of(device).report(now.mono) else { return Ok(()) };
        tracing::warn!(
            device = device.map(tracing::field::display),
            counts = %counts,
            "more events than one source may have recorded; the rest is counted"
        );
        self.remember(self.time.stamp(now), device, counts.event(span.0, span.1));
        let mut writes = self.outbox.count(span, device, &counts)?;
        writes.push(self.time.commit(now));
        Ok(self.store.commit(writes)?)
    }

    /// Gives one input to one installer: journal first, effects after.
    fn input(&mut self, now: Now, device: &DeviceId, input: Input) -> Result<(), GatewayError> {
        let Some(state) = self.devices.get_mut(device) else { return Ok(()) };
        let outcome = state.installer.step(self.time.trusted(now), input);
        let effects = outcome.persist(|journal, mut events| {
            let write = journal.map(|j| (journal_key(device), Some(wire::encode(j))));
            // What the installation does is always recorded; what the device says about itself, within its budget.
            events.retain(|event| match Class::of(event) {
                Some(class) => self.budget_of(Some(device)).admits(now.mono, now.utc, class),
                None => true,
            });
            self.record(now, Some(device), events, write.into_iter().collect())?;
            self.report_flood(now, Some(device))
        })?;
        self.run_effects(now.mono, device, effects);
        if let Some(state) = self.devices.get_mut(device) {
            // Written, given up or not wanted any more: the next image starts afresh.
            state.staging &= state.installer.is_preparing();
        }
        Ok(())
    }

    fn run_effects(&mut self, now: MonotonicMs, device: &DeviceId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::FetchImage(image) => self.fetch(now, image),
                Effect::StageImage(image) => {
                    self.set_staging(device, true);
                    self.outputs.push_back(Output::Stage { device: device.clone(), image });
                }
                Effect::StopStaging => {
                    self.set_staging(device, false);
                    self.outputs.push_back(Output::StopStaging(device.clone()));
                }
                Effect::Send(order) => {
                    tracing::info!(%device, number = order.order, "order: {}", order.what);
                    self.outputs.push_back(Output::Order(device.clone(), order));
                }
            }
        }
    }

    fn set_staging(&mut self, device: &DeviceId, staging: bool) {
        if let Some(state) = self.devices.get_mut(device) {
            state.staging = staging;
        }
    }

    fn fetch(&mut self, now: MonotonicMs, image: Image) {
        let sha256 = image.firmware.sha256;
        if self.fetching.contains(&sha256) || self.fetch_after.get(&sha256).is_some_and(|at| now < *at) {
            return;
        }
        self.fetch_after.remove(&sha256);
        self.fetching.insert(sha256);
        self.outputs.push_back(Output::Fetch(image));
    }

    /// A fetch ended.
    pub fn image(&mut self, now: Now, sha256: Digest, fetched: Fetched) -> Result<(), GatewayError> {
        self.fetching.remove(&sha256);
        let those = |wait: &dyn Fn(&Installer) -> bool| -> Vec<DeviceId> {
            self.devices.iter().filter(|(_, d)| wait(&d.installer)).map(|(id, _)| id.clone()).collect()
        };
        if fetched != Fetched::Later {
            self.troubles.fetch.remove(&sha256);
        }
        match fetched {
            Fetched::Whole => {
                let waiting = those(&|installer| installer.needed_image() == Some(sha256));
                for device in waiting.into_iter().filter(|d| !self.devices[d].staging).collect::<Vec<_>>() {
                    self.input(now, &device, Input::ImageReady(sha256))?;
                }
            }
            Fetched::Later => {
                self.fetch_after.insert(sha256, now.mono.plus_ms(FETCH_RETRY_MS));
            }
            Fetched::Wrong(reason) => {
                // Those too into whose slots it was to stream.
                let waiting = those(&|installer| installer.prepared_image() == Some(sha256));
                self.refuse(now, None, &Refused { what: "image", reason: reason.clone() })?;
                for device in waiting {
                    self.input(now, &device, Input::ImageRefused(sha256, reason.clone()))?;
                }
            }
        }
        Ok(())
    }

    /// A patch was given up; the image comes another way, or not, as the configuration says.
    pub fn patch_failed(&mut self, now: Now, reason: String) -> Result<(), GatewayError> {
        self.refuse(now, None, &Refused { what: "delta", reason })
    }

    /// The cached image cannot be read: it is fetched again.
    pub fn staging_lost(&mut self, device: &DeviceId) {
        self.set_staging(device, false);
    }

    /// A device refused an order of its staging.
    pub fn staging_refused(&mut self, now: Now, device: &DeviceId, refusal: Refusal) -> Result<(), GatewayError> {
        self.input(now, device, Input::StagingRefused(refusal))
    }

    /// Looks at the clocks and at what expires: reports what begins to keep anything new from being started, and lets the installers
    /// know of every change.
    fn judge_time(&mut self, now: Now) -> Result<(), GatewayError> {
        if let Some(reason) = self.time.compare(now) {
            self.refuse(now, None, &Refused { what: "clock", reason })?;
        }
        let trusted = self.time.trusted(now).utc;
        let (warnings, write) = self.trust.due_warnings(trusted);
        let warnings: Vec<EventKind> =
            warnings.into_iter().map(|reason| EventKind::Refused { what: "trust".into(), reason }).collect();
        if !warnings.is_empty() {
            self.record(now, None, warnings, write.into_iter().collect())?;
        }
        let bars = self.trust.bars(now.utc, trusted);
        let before = self.bars.clone();
        for (bar, reason) in bars.iter().filter(|(bar, _)| !before.contains(bar)) {
            let reason = format!("{reason}; until then nothing new is started");
            self.refuse(now, None, &Refused { what: bar.what(), reason })?;
        }
        let bars: BTreeSet<Bar> = bars.into_iter().map(|(bar, _)| bar).collect();
        if bars != before {
            self.bars = bars;
            self.update_desired(now)?;
        }
        Ok(())
    }

    /// Gives every installer what the directive asks now.
    fn update_desired(&mut self, now: Now) -> Result<(), GatewayError> {
        for device in self.ids() {
            let DeviceState { slot_is_here, installer, .. } = &self.devices[&device];
            let fallback = installer.journal().fallback_manifest;
            let desired = self.trust.desired(&device, *slot_is_here, !self.bars.is_empty(), fallback);
            let desired = desired.map(|desired| self.confirmation.apply(desired));
            self.input(now, &device, Input::Desired(desired))?;
        }
        Ok(())
    }

    /// What time alone brings: ticks, fetches that are due again, resends, heartbeats.
    pub fn work(&mut self, now: Now) -> Result<(), GatewayError> {
        self.report_flood(now, None)?;
        self.judge_time(now)?;
        for device in self.ids() {
            self.report_flood(now, Some(&device))?;
            let is_ordered = self.devices[&device].installer.expects_boot();
            self.settle(now, &device, is_ordered)?;
            let due = self.devices[&device].installer.deadline().is_some_and(|(at, _)| at <= now.mono);
            if due {
                self.input(now, &device, Input::Tick)?;
            }
            let state = &self.devices[&device];
            if !state.staging {
                let effects = state.installer.resume();
                self.run_effects(now.mono, &device, effects);
            }
        }
        self.watch_waits(now)?;
        self.watch_unseen(now)?;
        if self.connected {
            let topic = Topic::Telemetry(self.who.gateway.clone());
            let due = self.outbox.due(now.mono, &self.store)?;
            self.outputs.extend(due.into_iter().map(|frame| Output::Publish(topic.clone(), frame)));
            if now.mono >= self.next_heartbeat {
                self.next_heartbeat = now.mono.plus_ms(self.beat_ms());
                self.beat(now)?;
            }
        }
        Ok(())
    }

    fn beat(&mut self, now: Now) -> Result<(), GatewayError> {
        if self.trust.is_stale(self.time.trusted(now).utc) {
            let refused = match self.clock_ahead(now) {
                Some(why) => {
                    let reason = format!("the clock is ahead, set it (timedatectl): {why}; nothing new is started");
                    Refused { what: "clock", reason }
                }
                None => {
                    let reason =
                        "the directive has run out and the coordinator has not renewed it; nothing new is started";
                    Refused { what: "directive", reason: reason.into() }
                }
            };
            self.refuse(now, None, &refused)?;
        }
        let devices = self.devices.iter().map(|(id, d)| DeviceHeartbeat {
            device: id.clone(),
            state: d.installer.journal().state(),
            attached: d.installer.is_attached(now.mono),
            in_use: d.installer.is_in_use(),
        });
        self.heartbeats += 1;
        let heartbeat = Heartbeat {
            gateway: self.who.gateway.clone(),
            epoch: self.outbox.epoch(),
            sequence: self.heartbeats,
            at: now.utc,
            root_version: self.trust.root_version(),
            roster_version: self.trust.roster_version(),
            directive_serial: self.serial_to_report(),
            checkpoint_size: self.trust.checkpoint_size(),
            missing_releases: self.trust.missing_releases().into_iter().collect(),
            outbox_depth: self.outbox.depth(),
            devices: devices.collect(),
            held_trust: (self.hears_authority || self.hears_questions).then(|| self.held_trust(now)),
            observed: self.hears_questions.then(|| self.devices.values().map(|d| d.observation.digest()).collect()),
        };
        let signed = Signed::sign(&heartbeat, &[&self.who.key])?;
        let topic = Topic::Heartbeat(self.who.gateway.clone());
        self.outputs.push_back(Output::Publish(topic, wire::encode(&signed)));
        Ok(())
    }

    fn held_trust(&self, now: Now) -> HeldTrust {
        HeldTrust {
            withdrawals_version: self.trust.withdrawals_version(),
            rollback_orders: self.trust.orders_frame(),
            clock: ClockReport {
                mark: self.time.mark(now),
                behind_ms: self.time.behind_ms(now),
                is_trusted: self.time.is_trusted(now),
            },
        }
    }

    /// When [`Self::work`] has something to do without any other cause; none while nothing waits for time.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        let installers = self.devices.values().filter_map(|d| d.installer.deadline().map(|(at, _)| at));
        let outbox = self.outbox.deadline().filter(|_| self.connected);
        let heartbeat = self.connected.then_some(self.next_heartbeat);
        let retries = self.fetch_after.values().copied().filter(|_| !self.needed_images().is_empty());
        let observed = self.devices.values().filter_map(|d| d.observation.deadline());
        let waits = self.devices.values().filter_map(|d| d.waits.deadline());
        let floods = self.devices.values().map(|d| &d.budget).chain([&self.budget]).filter_map(Budget::due_at);
        let unseen = self.unseen.values().copied();
        let others = retries.chain(observed).chain(waits).chain(floods).chain(unseen);
        installers.chain(outbox).chain(heartbeat).chain(others).min()
    }
}

#[cfg(test)]
mod authority_tests;
#[cfg(test)]
mod observation_tests;
#[cfg(test)]
mod tests;
