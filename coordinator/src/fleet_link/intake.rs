//! The fleet's words on their way into the core: verified beside the deciding thread, handed over in groups so that one fsync and
//! one signed ack serve many batches.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mdfm_service::Lines;
use mdfm_shared::digest::Digest;
use mdfm_shared::directive::ChainRefusal;
use mdfm_shared::id::GatewayId;
use mdfm_shared::sign::{PublicKey, SecretKey, Signed, Verified, Verifier, verify_many};
use mdfm_shared::telemetry::{Heartbeat, TelemetryBatch};
use mdfm_shared::wire::{self, Topic};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::counts::Counts;
use super::send::Out;
use crate::clock;
use crate::runner::{Runner, gateway_actor};
use mdfm_coordinator_core::intake::{Intake, Offer, Work};
use mdfm_coordinator_core::telemetry::Received;
use mdfm_coordinator_core::{Command, Refusal, State, dispatch, heartbeat, telemetry};

/// Batches taken up together; the group that one commit and one round of acks serve.
const BATCHES_AT_ONCE: usize = 256;
/// Heartbeats verified together.
const HEARTBEATS_AT_ONCE: usize = 512;
/// Batches handed over and not yet durable, for each thread.
const UNDER_WAY_MAX: usize = 2_048;
/// Threads that verify, at most.
const SHARDS_MAX: usize = 8;
/// A gateway whose signature was wrong is verified by itself for so long: it slows nobody's batch.
const SUSPECT: Duration = Duration::from_secs(60);
/// Repeats of committed batches of one gateway are looked at by the core once in this time; so often is enough to notice a flood.
const REPEAT_INTERVAL: Duration = Duration::from_millis(50);
/// Keys and the like that are kept ready; beyond it they are made anew.
const REMEMBERED_MAX: usize = 200_000;

/// The threads; each gateway belongs to one, which keeps its order.
#[derive(Clone)]
pub(super) struct Shards {
    shards: Arc<[Shard]>,
    hash: RandomState,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Shard {
    intake: Mutex<Intake>,
    waiting: Condvar,
}

impl Shard {
    fn intake(&self) -> MutexGuard<'_, Intake> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work and takes it.
    fn take(&self) -> Work {
        let intake = self.waiting.wait_while(self.intake(), |i| i.is_empty());
        intake.unwrap_or_else(PoisonError::into_inner).take(BATCHES_AT_ONCE, HEARTBEATS_AT_ONCE)
    }
}

impl Shards {
    fn offer(&self, gateway: &GatewayId, offer: impl FnOnce(&mut Intake) -> Offer) -> Offer {
        let place = self.hash.hash_one(gateway) % self.shards.len() as u64;
        let shard = &self.shards[usize::try_from(place).unwrap_or_default()];
        let offered = offer(&mut shard.intake());
        if offered == Offer::Dropped {
            self.counts.dropped.add(1);
        }
        shard.waiting.notify_one();
        offered
    }

    /// A telemetry frame came.
    pub(super) fn telemetry(&self, gateway: GatewayId, frame: Vec<u8>) {
        self.counts.batches.add(1);
        self.offer(&gateway.clone(), |intake| intake.telemetry(gateway, frame));
    }

    /// A heartbeat frame came.
    pub(super) fn heartbeat(&self, gateway: GatewayId, frame: Vec<u8>) {
        self.counts.heartbeats.add(1);
        if self.offer(&gateway.clone(), |intake| intake.heartbeat(gateway, frame)) == Offer::Replaces {
            self.counts.heartbeats_replaced.add(1);
        }
    }
}

/// Starts the threads: one for every two processors.
pub(super) fn start(runner: Runner, online_key: SecretKey, out: Out, counts: Arc<Counts>) -> std::io::Result<Shards> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let number = (processors / 2).clamp(1, SHARDS_MAX);
    let shards: Arc<[Shard]> = (0..number).map(|_| Shard::default()).collect();
    let lines = Arc::<RefusedLines>::default();
    let acknowledger = Acknowledger {
        lines: Arc::clone(&lines),
        runner: runner.clone(),
        online_key: Arc::new(online_key),
        out: out.clone(),
        counts: Arc::clone(&counts),
    };
    for n in 0..number {
        let mut worker = Worker {
            runner: runner.clone(),
            out: out.clone(),
            acknowledger: acknowledger.clone(),
            counts: Arc::clone(&counts),
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
            runtime: Handle::current(),
            keys: HashMap::new(),
            suspects: HashMap::new(),
            repeats: HashMap::new(),
            lines: Arc::clone(&lines),
        };
        let shards = Arc::clone(&shards);
        std::thread::Builder::new().name(format!("intake-{n}")).spawn(move || {
            loop {
                let work = shards[n].take();
                worker.counts.bytes_waiting.set(shards.iter().map(|s| s.intake().bytes()).sum());
                worker.telemetry(work.telemetry);
                worker.heartbeats(work.heartbeats);
            }
        })?;
    }
    Ok(Shards { shards, hash: RandomState::new(), counts })
}

struct Worker {
    runner: Runner,
    out: Out,
    acknowledger: Acknowledger,
    counts: Arc<Counts>,
    under_way: Arc<Semaphore>,
    runtime: Handle,
    /// Keys made ready, with the text that they were made of.
    keys: HashMap<GatewayId, (String, Verifier)>,
    suspects: HashMap<GatewayId, Instant>,
    repeats: HashMap<GatewayId, Instant>,
    lines: Arc<RefusedLines>,
}

/// Lines of the journal about refused messages, by gateway: the audit log counts them, and so does the journal.
#[derive(Default)]
struct RefusedLines(Mutex<HashMap<GatewayId, Lines>>);

impl RefusedLines {
    fn refused(&self, gateway: &GatewayId, refusal: &Refusal, what: &'static str) {
        let next = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            bounded(&mut lines);
            lines.entry(gateway.clone()).or_default().next(Instant::now())
        };
        if let Some(left_out) = next {
            tracing::warn!(%gateway, code = refusal.code, %refusal, left_out, "{what}");
        }
    }
}

/// Forgets everything when it is too much: all of it can be made again.
fn bounded<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= REMEMBERED_MAX {
        map.clear();
    }
}

impl Worker {
    /// Makes the keys of these gateways ready. One that is not enrolled, or revoked, has none.
    fn prepare<'a>(&mut self, state: &State, gateways: impl Iterator<Item = &'a GatewayId>) {
        bounded(&mut self.keys);
        for gateway in gateways {
            let Some(text) = heartbeat::key_of(state, gateway) else {
                self.keys.remove(gateway);
                continue;
            };
            if self.keys.get(gateway).is_some_and(|(held, _)| held == text) {
                continue;
            }
            let verifier = text.parse::<PublicKey>().ok().and_then(|key| Verifier::try_from(&key).ok());
            match verifier {
                Some(verifier) => drop(self.keys.insert(gateway.clone(), (text.to_owned(), verifier))),
                None => drop(self.keys.remove(gateway)),
            }
        }
    }

    fn telemetry(&mut self, frames: Vec<(GatewayId, Vec<u8>)>) {
        if frames.is_empty() {
            return;
        }
        let mut repeated = BTreeMap::new();
        let mut batches: Vec<(GatewayId, Signed<TelemetryBatch>)> = Vec::with_capacity(frames.len());
        let mut malformed = Vec::new();
        {
            let runner = self.runner.clone();
            let state = runner.state();
            for (gateway, frame) in frames {
                match wire::decode::<Signed<TelemetryBatch>>(&frame) {
                    Ok(signed) if telemetry::is_repeat(&state, &gateway, &signed) => {
                        self.counts.batches_repeated.add(1);
                        repeated.insert(gateway.clone(), signed.digest());
                        if self.is_repeat_due(&gateway) {
                            batches.push((gateway, signed));
                        }
                    }
                    Ok(signed) => batches.push((gateway, signed)),
                    Err(error) => malformed.push((gateway, error)),
                }
            }
            self.prepare(&state, batches.iter().map(|(gateway, _)| gateway));
        }
        for (gateway, error) in malformed {
            self.refuse(&gateway, "message", Refusal::document("malformed-frame", format!("telemetry: {error}")));
        }
        let mut answers = Vec::with_capacity(batches.len());
        for (gateway, signed) in batches {
            // Strictly, one by one: it is kept for years, and whoever checks it then must find what was found now.
            let batch = match self.keys.get(&gateway) {
                Some((_, verifier)) => Received::check(signed, verifier),
                None => signed.into(),
            };
            let digest = batch.digest();
            let command = Command::Telemetry { gateway: gateway.clone(), batch };
            match self.runner.post(gateway_actor(&gateway), command) {
                Ok(answer) => answers.push((gateway, digest, answer)),
                Err(_) => return,
            }
        }
        let n = u32::try_from(answers.len()).unwrap_or(u32::MAX);
        // Waits while too much is under way: then the queues before this thread fill, and drop.
        let Ok(permit) = self.runtime.block_on(Arc::clone(&self.under_way).acquire_many_owned(n)) else { return };
        let acknowledger = self.acknowledger.clone();
        self.runtime.spawn(acknowledger.run(repeated, answers, permit));
    }

    /// Whether the core should look at this gateway's repeats again.
    fn is_repeat_due(&mut self, gateway: &GatewayId) -> bool {
        bounded(&mut self.repeats);
        let now = Instant::now();
        match self.repeats.get_mut(gateway) {
            Some(at) if now.duration_since(*at) < REPEAT_INTERVAL => false,
            Some(at) => {
                *at = now;
                true
            }
            None => {
                self.repeats.insert(gateway.clone(), now);
                true
            }
        }
    }

    fn heartbeats(&mut self, frames: Vec<(GatewayId, Vec<u8>)>) {
        if frames.is_empty() {
            return;
        }
        let mut decoded: Vec<(GatewayId, Signed<Heartbeat>)> = Vec::with_capacity(frames.len());
        for (gateway, frame) in frames {
            match wire::decode(&frame) {
                Ok(signed) => decoded.push((gateway, signed)),
                Err(error) => {
                    let refusal = Refusal::document("malformed-frame", format!("heartbeat: {error}"));
                    self.refuse(&gateway, "message", refusal);
                }
            }
        }
        let runner = self.runner.clone();
        self.prepare(&runner.state(), decoded.iter().map(|(gateway, _)| gateway));
        let verified = self.verify(&decoded);
        let mut refusals = Vec::new();
        let (mut commands, mut heads) = (Vec::new(), Vec::new());
        let mut questions = Vec::new();
        {
            let (state, now) = (runner.state(), clock::now());
            let mut presence = runner.presence();
            for (gateway, verified) in verified {
                let answer = verified
                    .map_err(|e| Refusal::document("heartbeat-signature", e))
                    .and_then(|heartbeat| heartbeat::hear(&state, &mut presence, now, gateway, &heartbeat));
                match answer {
                    Ok(answer) => {
                        self.counts.heartbeats_applied.add(usize::from(answer.is_new));
                        answer.outbound.into_iter().for_each(|o| self.out.asked(o));
                        commands.extend(answer.command.map(|command| (gateway.clone(), command)));
                        heads.extend(answer.head.then(|| dispatch::chain_documents(&state, gateway, None)));
                        questions.extend(answer.question);
                    }
                    Err(refusal) => refusals.push((gateway.clone(), refusal)),
                }
            }
        }
        heads.iter().for_each(|documents| self.acknowledger.send(documents));
        for question in questions {
            match Signed::sign(&question, &[&self.acknowledger.online_key]) {
                // What finds no room is asked after the next heartbeat.
                Ok(signed) => drop(self.out.frame(Topic::Question(question.gateway), wire::encode(&signed))),
                Err(error) => tracing::error!(%error, "question cannot be signed"),
            }
        }
        for (gateway, command) in commands {
            // The answer is its record; nothing waits for it.
            let _ = self.runner.post(gateway_actor(&gateway), command);
        }
        for (gateway, refusal) in refusals {
            if refusal.code == "heartbeat-signature" {
                bounded(&mut self.suspects);
                self.suspects.insert(gateway.clone(), Instant::now());
            }
            self.refuse(&gateway, "heartbeat", refusal);
        }
    }

    /// Verifies together those of gateways that have given no reason against it, and the others by themselves.
    fn verify<'a>(
        &self,
        heartbeats: &'a [(GatewayId, Signed<Heartbeat>)],
    ) -> Vec<(&'a GatewayId, Result<Verified<Heartbeat>, mdfm_shared::sign::SignError>)> {
        let mut together = (Vec::new(), Vec::new());
        let mut verified = Vec::with_capacity(heartbeats.len());
        for (gateway, signed) in heartbeats {
            // Without a key nobody is there to hear.
            let Some((_, verifier)) = self.keys.get(gateway) else { continue };
            if self.suspects.get(gateway).is_some_and(|at| at.elapsed() < SUSPECT) {
                verified.push((gateway, signed.verify_with(verifier)));
            } else {
                together.0.push(gateway);
                together.1.push((signed, verifier));
            }
        }
        verified.extend(together.0.into_iter().zip(verify_many(&together.1)));
        verified
    }

    fn refuse(&self, gateway: &GatewayId, action: &'static str, refusal: Refusal) {
        self.counts.refused.add(1);
        self.lines.refused(gateway, &refusal, "message refused");
        let command = Command::Denied { action, object: format!("gateway/{gateway}"), refusal };
        // The refusal comes back as the answer; recording it was the point.
        let _ = self.runner.post(gateway_actor(gateway), command);
    }
}

/// By batch: its gateway, its digest, and what is decided about it.
type Answers = Vec<(GatewayId, Digest, oneshot::Receiver<Result<(), Refusal>>)>;

/// Waits for a group to be durable and says so to each gateway once.
#[derive(Clone)]
struct Acknowledger {
    lines: Arc<RefusedLines>,
    runner: Runner,
    online_key: Arc<SecretKey>,
    out: Out,
    counts: Arc<Counts>,
}

impl Acknowledger {
    async fn run(self, repeated: BTreeMap<GatewayId, Digest>, answers: Answers, _under_way: OwnedSemaphorePermit) {
        // One message a gateway; the first refusal in a group is the cause of those behind it.
        let mut due: BTreeMap<GatewayId, Option<dispatch::NotTaken>> =
            repeated.into_iter().map(|(gateway, digest)| (gateway, Some((digest, None)))).collect();
        for (gateway, digest, answer) in answers {
            match answer.await {
                Ok(Ok(())) => {
                    self.counts.batches_committed.add(1);
                    due.entry(gateway).or_default();
                }
                Ok(Err(refusal)) if refusal.code == telemetry::ALREADY_COMMITTED => {
                    due.entry(gateway).or_default().get_or_insert((digest, None));
                }
                Ok(Err(refusal)) => {
                    let reason = telemetry::chain_refusal(refusal.code);
                    if let Some(reason) = reason {
                        let not_taken = due.entry(gateway.clone()).or_default();
                        if not_taken.is_none_or(|(_, cause)| cause.is_none()) {
                            *not_taken = Some((digest, Some(reason)));
                        }
                    }
                    if reason == Some(ChainRefusal::Gap) {
                        continue;
                    }
                    self.counts.refused.add(1);
                    self.lines.refused(&gateway, &refusal, "telemetry refused");
                }
                Err(_) => return,
            }
        }
        let heads: Vec<_> = {
            let state = self.runner.state();
            let compose = |(gateway, refused)| dispatch::chain_documents(&state, &gateway, refused);
            due.into_iter().map(compose).collect()
        };
        heads.iter().for_each(|documents| self.send(documents));
    }

    fn send(&self, documents: &dispatch::ChainDocuments) {
        {
            match documents.sign(&self.online_key) {
                Ok(messages) => {
                    let is_sent =
                        messages.into_iter().fold(true, |sent, (topic, frame)| self.out.frame(topic, frame) && sent);
                    let count = if is_sent { &self.counts.acknowledgements } else { &self.counts.dropped };
                    count.add(1);
                }
                Err(error) => tracing::error!(%error, "ack cannot be signed"),
            }
        }
    }
}
