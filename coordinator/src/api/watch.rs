//! Watching a deployment by server-sent events (WHATWG HTML §9.2): its view as it is, and again whenever it changes. With `changes` the events are
//! small whatever its size: its summary, and the devices that changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use mdfm_audit::Entry;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId};
use mdfm_shared::record::AuditRecord;
use mdfm_shared::telemetry::TelemetryBatch;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::admission::counted_as;
use super::deployment_devices::{DeploymentSummary, DeviceProgressView};
use super::deployments::{DeploymentView, find, find_held};
use super::request::{Origin, Path, Query, id};
use super::{Api, Problem};
use crate::access::Caller;
use crate::clock;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::refusal::Class;
use mdfm_coordinator_core::waiting::Sight;

/// Watchers at once, in all, of one person (their machines are counted apart, all together), and of the people of one hospital.
const WATCHERS_MAX: usize = 64;
const WATCHERS_OF_ONE_MAX: usize = 8;
const WATCHERS_OF_A_HOSPITAL_MAX: usize = 16;
/// Of them, places that only the vendor's people take: neither machines nor hospital staff keep out whoever runs a deployment.
const WATCHERS_RESERVED: usize = 16;
/// Time between looks at least.
const INTERVAL: Duration = Duration::from_millis(500);
/// So many times as long as a look took, nobody looks again: large deployments are shown less often.
const REST: u32 = 20;
/// Time after which a watcher hears that the line still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest watch; browsers come again by themselves.
const WATCH_MAX: Duration = Duration::from_secs(3_600);

/// Bytes of the devices that one event carries; of more it says that there are more.
const CHANGED_BYTES_MAX: usize = 16 * 1024;
/// Records that are looked through for changed devices; of more nobody says which.
const RECORDS_MAX: u64 = 2_000;

/// How a deployment is watched.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WatchQuery {
    /// Events of at most 20 kB whatever the size of the deployment: `summary` with its numbers, and `devices` with those that changed, or with `more` where they are too many.
    #[serde(default)]
    changes: bool,
}

/// Who is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Watcher {
    who: String,
    hospital: Option<HospitalId>,
    is_machine: bool,
}

impl Watcher {
    fn of(caller: &Caller, hospital: Option<&HospitalId>) -> Self {
        let who = counted_as(caller.actor.kind, &caller.actor.id);
        Self { who, hospital: hospital.cloned(), is_machine: !caller.is_person() }
    }

    fn is_vendors_person(&self) -> bool {
        self.hospital.is_none() && !self.is_machine
    }
}

/// Who watches, and how often.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<BTreeMap<Watcher, usize>>);

/// A watcher's place, free again when it is dropped.
struct Place {
    watchers: Arc<Watchers>,
    watcher: Watcher,
}

impl Watchers {
    fn enter(self: &Arc<Self>, watcher: Watcher) -> Result<Place, Refusal> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |counts: &dyn Fn(&Watcher) -> bool| -> usize {
            held.iter().filter(|(other, _)| counts(other)).map(|(_, n)| n).sum()
        };
        let own = held.get(&watcher).copied().unwrap_or(0);
        let is_full = own >= WATCHERS_OF_ONE_MAX
            || sum(&|_| true) >= WATCHERS_MAX
            || !watcher.is_vendors_person() && sum(&|w| !w.is_vendors_person()) >= WATCHERS_MAX - WATCHERS_RESERVED
            || watcher.hospital.is_some() && sum(&|w| w.hospital == watcher.hospital) >= WATCHERS_OF_A_HOSPITAL_MAX;
        if is_full {
            let detail = format!(
                "{WATCHERS_OF_ONE_MAX} watches of yours, {WATCHERS_OF_A_HOSPITAL_MAX} of your hospital, or all that may be, are open already; \
                 end one, or try again later"
            );
            return Err(Refusal::new(Class::Unavailable, "too-many-watchers", detail));
        }
        held.insert(watcher.clone(), own + 1);
        Ok(Place { watchers: Arc::clone(self), watcher })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.watcher) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(held.remove(&self.watcher)),
        }
    }
}

struct Watch {
    api: Api,
    origin: Origin,
    deployment: DeploymentId,
    began: Instant,
    rest: Duration,
    log_size: u64,
    shown: Option<Digest>,
    /// Events of the last look that were not sent yet.
    due: VecDeque<Event>,
    by_changes: bool,
    _place: Place,
}

/// Watches a deployment: an event `deployment` with its view, now and after each change. It ends with the session.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/events", params(WatchQuery),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn watch(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
    Query(query): Query<WatchQuery>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "deployment.watch", &format!("deployment/{deployment}")).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    find_held(&api.runner.state(), &caller, &deployment)?;
    let watcher = Watcher::of(&caller, api.runner.state().hospital_of_user(&caller.actor.id));
    let place = api.watchers.enter(watcher)?;
    let watch = Watch {
        api,
        origin,
        deployment,
        began: Instant::now(),
        rest: Duration::ZERO,
        log_size: 0,
        shown: None,
        due: VecDeque::new(),
        by_changes: query.changes,
        _place: place,
    };
    let events = stream::unfold(watch, |mut watch| async move {
        loop {
            if let Some(event) = watch.due.pop_front() {
                return Some((Ok::<_, Infallible>(event), watch));
            }
            if watch.began.elapsed() > WATCH_MAX {
                return None;
            }
            tokio::time::sleep(watch.rest).await;
            watch.rest = INTERVAL;
            let size = watch.api.runner.log.size();
            if size != watch.log_size {
                // A watcher is no use of a session, but ends with it.
                let caller = watch.origin.peek(&watch.api)?;
                let began = Instant::now();
                if watch.by_changes {
                    watch.look_for_changes(&caller, size);
                } else if let Some(event) = watch.look(&caller, size) {
                    watch.due.push_back(event);
                }
                watch.rest = INTERVAL.max(began.elapsed() * REST);
            } else {
                watch.origin.peek(&watch.api)?;
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

impl Watch {
    /// The view, if it is another one than was shown.
    fn look(&mut self, caller: &Caller, size: u64) -> Option<Event> {
        self.log_size = size;
        let axum::Json(view): axum::Json<DeploymentView> = find(&self.api, caller, &self.deployment).ok()?;
        let text = serde_json::to_string(&view).ok()?;
        let digest = Digest::of(text.as_bytes());
        if self.shown.replace(digest) == Some(digest) {
            return None;
        }
        Some(Event::default().event("deployment").id(size.to_string()).data(text))
    }

    /// The summary, if it is another one than was shown, and the devices that the records since the last look are about.
    fn look_for_changes(&mut self, caller: &Caller, size: u64) {
        let is_first = self.shown.is_none();
        let from = std::mem::replace(&mut self.log_size, size);
        let changed = if is_first { Changed::default() } else { self.changed(from, size) };
        let state = self.api.runner.state();
        let presence = self.api.runner.presence();
        let sight = Sight { state: &state, presence: &presence, now: clock::now() };
        let Ok((held, own)) = find_held(&state, caller, &self.deployment) else { return };
        let named = |event: &str| Event::default().event(event).id(size.to_string());
        let mut is_news = false;
        if let Ok(text) = serde_json::to_string(&DeploymentSummary::of(sight, (&self.deployment, held), own)) {
            let digest = Digest::of(text.as_bytes());
            is_news = self.shown.replace(digest) != Some(digest);
            if is_news {
                self.due.push_back(named("summary").data(text));
            }
        }
        let mut views = Vec::new();
        // A hospital's people hear of nothing that changes nothing of what they see: it happened elsewhere.
        let (mut bytes, mut more) = (0, changed.more && (own.is_none() || is_news));
        for device in &changed.devices {
            let Some((device, progress)) = held.devices.get_key_value(device) else { continue };
            let of = state.devices.get(device);
            if own.is_some_and(|own| of.is_none_or(|of| of.hospital != *own)) {
                continue;
            }
            let view = DeviceProgressView::of(sight, (&self.deployment, held), (device, progress), of);
            let Ok(view) = serde_json::value::to_raw_value(&view) else { continue };
            bytes += view.get().len();
            if bytes > CHANGED_BYTES_MAX {
                more = true;
                break;
            }
            views.push(view);
        }
        if more || !views.is_empty() {
            self.due.push_back(named("devices").data(json!({ "devices": views, "more": more }).to_string()));
        }
    }

    /// The devices that records of the log may have changed in this deployment.
    fn changed(&self, from: u64, to: u64) -> Changed {
        let mut changed = Changed { more: to - from > RECORDS_MAX, ..Changed::default() };
        if changed.more {
            return changed;
        }
        for index in from..to {
            let bytes = self.api.runner.log.entry(index).ok().flatten().and_then(Entry::bytes);
            let Some(record) = bytes.and_then(|bytes| AuditRecord::from_bytes(&bytes).ok()) else { continue };
            changed.add(&record, &self.deployment);
        }
        changed
    }
}

/// Which devices records are about.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changed {
    devices: BTreeSet<DeviceId>,
    /// Others too, and nobody says which.
    more: bool,
}

impl Changed {
    fn add(&mut self, record: &AuditRecord, deployment: &DeploymentId) {
        if record.action == "telemetry.commit" {
            let batch = record.document::<TelemetryBatch>().ok().and_then(|signed| signed.decode_unverified().ok());
            self.devices.extend(batch.into_iter().flat_map(|batch| batch.events).filter_map(|event| event.device));
            return;
        }
        if record.object.strip_prefix("deployment/") != Some(deployment.as_str()) {
            return;
        }
        let event = record.event.as_ref();
        let device = event.and_then(|event| event.get("device").or_else(|| event.get("change")?.get("device")));
        match device.and_then(|device| device.as_str()?.parse().ok()) {
            Some(device) => _ = self.devices.insert(device),
            // A phase that opens, an order: it is about many.
            None => self.more |= event.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::fixture::{NOW, signed};
    use mdfm_shared::record::{Actor, ActorKind, Outcome, document_text};
    use mdfm_shared::telemetry::{Event as Reported, EventKind};

    use super::*;

    fn record(action: &str, object: &str, event: serde_json::Value) -> AuditRecord {
        let actor = Actor { kind: ActorKind::System, id: "coordinator".into(), roles: vec![] };
        AuditRecord { event: Some(event), ..AuditRecord::new(NOW, &actor, action, object, Outcome::Accepted) }
    }

    fn changed(records: &[AuditRecord]) -> (Vec<String>, bool) {
        let mut changed = Changed::default();
        records.iter().for_each(|record| changed.add(record, &"D-1".parse().expect("an id")));
        (changed.devices.iter().map(ToString::to_string).collect(), changed.more)
    }

    #[test]
    fn changes_name_the_devices_that_records_are_about() {
        let fault = |device: &str| Reported {
            device: Some(device.parse().expect("an id")),
            at: NOW,
            kind: EventKind::LocalAction { command: "hold".into(), uid: 0 },
        };
        let batch = TelemetryBatch {
            gateway: "GW-1".parse().expect("an id"),
            epoch: 1,
            sequence: 1,
            previous: Digest([0; 32]),
            events: vec![fault("DEV-2"), fault("DEV-1"), fault("DEV-2")],
        };
        let mut telemetry = record("telemetry.commit", "gateway/GW-1", json!({}));
        telemetry.document = Some(document_text(&signed(&batch, &[40])));
        assert_eq!(changed(&[telemetry]), (vec!["DEV-1".to_owned(), "DEV-2".to_owned()], false));
        let silent = record("deployment.device.silent", "deployment/D-1", json!({ "change": { "device": "DEV-3" } }));
        assert_eq!(changed(&[silent]), (vec!["DEV-3".to_owned()], false));
        let opened = record("deployment.phase.open", "deployment/D-1", json!({ "change": { "phase": 1 } }));
        assert_eq!(changed(std::slice::from_ref(&opened)), (vec![], true), "it is about many");
        let other = AuditRecord { object: "deployment/D-2".into(), ..opened };
        let refused = AuditRecord { event: None, ..record("deployment.pause", "deployment/D-1", json!(null)) };
        assert_eq!(changed(&[other, refused]), (vec![], false), "of others, and what changed nothing");
    }

    #[test]
    fn att_15_nobody_takes_all_places_to_watch_and_each_is_free_again() {
        let watchers = Arc::<Watchers>::default();
        let mut own = taken(&watchers, &watcher("user-a", None, false));
        assert_eq!(own.len(), WATCHERS_OF_ONE_MAX);
        let refused = watchers.enter(watcher("user-a", None, false)).err();
        assert_eq!(refused.map(|e| e.code), Some("too-many-watchers"));
        let others = (0..100).flat_map(|n| watchers.enter(watcher(&format!("user-{n}"), None, false)));
        own.extend(others);
        assert_eq!(own.len(), WATCHERS_MAX);
        assert!(watchers.enter(watcher("one-more", None, false)).is_err());
        drop(own);
        assert!(watchers.0.lock().expect("whole").is_empty());
    }

    fn watcher(who: &str, hospital: Option<&str>, is_machine: bool) -> Watcher {
        let hospital = hospital.map(|hospital| hospital.parse().expect("an id"));
        Watcher { who: who.to_owned(), hospital, is_machine }
    }

    /// All places that one may have.
    fn taken(watchers: &Arc<Watchers>, watcher: &Watcher) -> Vec<Place> {
        (0..WATCHERS_MAX + 1).map_while(|_| watchers.enter(watcher.clone()).ok()).collect()
    }

    #[test]
    fn sec_4_tokens_and_staff_keep_no_vendor_from_watching() {
        let watchers = Arc::<Watchers>::default();
        let machines = taken(&watchers, &watcher("machines/User/operator", None, true));
        let owner = taken(&watchers, &watcher("User/operator", None, false));
        assert_eq!((machines.len(), owner.len()), (8, 8), "a token takes no place of its owner");
        drop(owner);
        let mut held = machines;
        for (hospital, places) in [("H-1", 16), ("H-2", 16), ("H-3", 8), ("H-4", 0)] {
            let of_one = (0..20).flat_map(|n| taken(&watchers, &watcher(&format!("nurse-{n}"), Some(hospital), false)));
            let of_one: Vec<Place> = of_one.collect();
            assert_eq!(of_one.len(), places, "{hospital}");
            held.extend(of_one);
        }
        let vendor = (0..3).flat_map(|n| taken(&watchers, &watcher(&format!("operator-{n}"), None, false)));
        assert_eq!(vendor.count(), 24, "each of these in turn");
        let both = [0, 1].map(|n| taken(&watchers, &watcher(&format!("operator-{n}"), None, false)));
        assert_eq!(both.map(|places| places.len()), [8, 8]);
    }
}
