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
use mdfm_shared::id::DeploymentId;
use mdfm_shared::record::person;

use super::deployments::{DeploymentView, find};
use super::request::{Origin, Path, id};
use super::{Api, Problem};
use crate::access::Caller;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::refusal::Class;

/// Watchers at once, in all and of one person.
const WATCHERS_MAX: usize = 64;
const WATCHERS_OF_ONE_MAX: usize = 8;
/// Time between looks at least.
const INTERVAL: Duration = Duration::from_millis(500);
/// So many times as long as a look took, nobody looks again: large deployments are shown less often.
const REST: u32 = 20;
/// Time after which a watcher hears that the line still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest watch; browsers come again by themselves.
const WATCH_MAX: Duration = Duration::from_secs(3_600);

/// Who watches, by person.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<BTreeMap<String, usize>>);

/// A watcher's place, free again when it is dropped.
struct Place {
    watchers: Arc<Watchers>,
    person: String,
}

impl Watchers {
    fn enter(self: &Arc<Self>, person: &str) -> Result<Place, Refusal> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.get(person).copied().unwrap_or(0);
        if own >= WATCHERS_OF_ONE_MAX || held.values().sum::<usize>() >= WATCHERS_MAX {
            let detail = format!(
                "{WATCHERS_OF_ONE_MAX} watches of yours, or {WATCHERS_MAX} in all, are open already; end one, or try again later"
            );
            return Err(Refusal::new(Class::Unavailable, "too-many-watchers", detail));
        }
        held.insert(person.to_owned(), own + 1);
        Ok(Place { watchers: Arc::clone(self), person: person.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.person) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(held.remove(&self.person)),
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
    let place = api.watchers.enter(person(&caller.actor.id))?;
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
        let own: Vec<Place> = (0..WATCHERS_OF_ONE_MAX).map(|_| watchers.enter("user-a").expect("a place")).collect();
        assert_eq!(watchers.enter("user-a").err().map(|e| e.code), Some("too-many-watchers"));
        let others = WATCHERS_MAX - WATCHERS_OF_ONE_MAX;
        let all: Vec<Place> = (0..others).map(|n| watchers.enter(&format!("user-{n}")).expect("a place")).collect();
        assert!(watchers.enter("one-more").is_err());
        drop((own, all));
        assert!(watchers.0.lock().expect("whole").is_empty());
    }
}
