//! Watching a deployment by server-sent events (WHATWG HTML §9.2): its view as it is, and again whenever it changes.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeploymentId;
use tokio::sync::OwnedSemaphorePermit;

use super::deployments::{DeploymentView, find};
use super::request::{Origin, Path, id};
use super::{Api, Problem};
use crate::access::Caller;
use crate::domain::Refusal;
use crate::domain::access::Permission;
use crate::domain::refusal::Class;

/// Watchers at once.
pub(crate) const WATCHERS_MAX: usize = 64;
/// Time between looks at least.
const INTERVAL: Duration = Duration::from_millis(500);
/// So many times as long as a look took, nobody looks again: large deployments are shown less often.
const REST: u32 = 20;
/// Time after which a watcher hears that the line still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest watch; browsers come again by themselves.
const WATCH_MAX: Duration = Duration::from_secs(3_600);

struct Watch {
    api: Api,
    origin: Origin,
    deployment: DeploymentId,
    began: Instant,
    rest: Duration,
    log_size: u64,
    shown: Option<Digest>,
    _place: OwnedSemaphorePermit,
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
    let place = api.watchers.clone().try_acquire_owned().map_err(|_| {
        Refusal::new(Class::Unavailable, "too-many-watchers", format!("{WATCHERS_MAX} watch already; try again later"))
    })?;
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
