//! Watching a deployment by server-sent events (WHATWG HTML §9.2): its view as it is, and again whenever it changes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, HospitalId};

use super::admission::counted_as;
use super::deployments::{DeploymentView, find};
use super::request::{Origin, Path, id};
use super::{Api, Problem};
use crate::access::Caller;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::refusal::Class;

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
    _place: Place,
}

/// Watches a deployment: an event `deployment` with its view, now and after each change. It ends with the session.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/events",
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn watch(
    State(api): State<Api>,
    origin: Origin,
    Path(deployment): Path<String>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Read, "deployment.watch", &format!("deployment/{deployment}")).await?;
    let deployment: DeploymentId = id("deployment", &deployment)?;
    drop(find(&api, &caller, &deployment)?);
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
        _place: place,
    };
    let events = stream::unfold(watch, |mut watch| async move {
        loop {
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
                let event = watch.look(&caller, size);
                watch.rest = INTERVAL.max(began.elapsed() * REST);
                if let Some(event) = event {
                    return Some((Ok::<_, Infallible>(event), watch));
                }
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
