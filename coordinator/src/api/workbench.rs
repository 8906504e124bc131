//! Places for work that takes seconds and a copy of the state, or a large part of the log: a few at a time, whoever asks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::refusal::Class;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::access::Caller;

/// Pieces of work at once.
const AT_ONCE: usize = 2;
/// Of them, those of machines: their tokens keep no person from a report.
const OF_MACHINES: usize = 1;
/// Longest wait for a place.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who works, and how many places are free.
#[derive(Debug)]
pub(crate) struct Workbench {
    /// Who works or waits, once each: the others' wait is bounded by how many they are.
    own: Mutex<BTreeSet<String>>,
    all: Arc<Semaphore>,
    machines: Arc<Semaphore>,
}

impl Default for Workbench {
    fn default() -> Self {
        let (all, machines) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(OF_MACHINES)));
        Self { own: Mutex::default(), all, machines }
    }
}

/// That somebody works or waits, until it is dropped.
#[derive(Debug)]
struct Own {
    bench: Arc<Workbench>,
    who: String,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.bench.own.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.who);
    }
}

/// A place, until it is dropped. Work that goes on when its caller has hung up keeps it.
#[derive(Debug)]
pub(super) struct Place {
    _own: Own,
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

fn busy(detail: &str) -> Refusal {
    Refusal::new(Class::Unavailable, "busy", detail)
}

impl Workbench {
    /// Waits for a place for a caller.
    ///
    /// # Errors
    /// The caller has one already, or others need theirs for longer than anybody waits.
    pub(super) async fn place(self: &Arc<Self>, caller: &Caller) -> Result<Place, Refusal> {
        self.place_for(&caller.actor.id, caller.is_person()).await
    }

    async fn place_for(self: &Arc<Self>, who: &str, is_person: bool) -> Result<Place, Refusal> {
        if !self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(who.to_owned()) {
            return Err(busy("something that takes as long is being made for you already; try again when it is there"));
        }
        let own = Own { bench: Arc::clone(self), who: who.to_owned() };
        let permits = async {
            // Never closed.
            let machine = if is_person { None } else { Arc::clone(&self.machines).acquire_owned().await.ok() };
            [machine, Arc::clone(&self.all).acquire_owned().await.ok()]
        };
        let permits = timeout(PATIENCE, permits).await;
        let permits = permits.map_err(|_| busy("reports of others are being made; try again in a moment"))?;
        Ok(Place { _own: own, _permits: permits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample: eighty reports at once, asked for by a machine's token, took 4 GiB, and nobody could pause a deployment for two minutes.
    #[tokio::test(start_paused = true)]
    async fn sec_4_reports_of_machines_keep_nobody_waiting() {
        let bench = Arc::<Workbench>::default();
        let machine = bench.place_for("op/token/1", false).await.expect("a place");
        assert_eq!(bench.place_for("op/token/1", false).await.expect_err("one each").code, "busy");
        assert_eq!(bench.place_for("op/token/2", false).await.expect_err("all machines together").code, "busy");
        let person = bench.place_for("op", true).await.expect("a place for the owner");
        assert_eq!(bench.place_for("auditor", true).await.expect_err("nobody leaves").code, "busy");
        let waits = tokio::spawn({
            let bench = Arc::clone(&bench);
            async move { bench.place_for("auditor", true).await }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(person);
        let next = waits.await.expect("ends").expect("who waits comes next");
        drop((machine, next));
        let mut held = Vec::new();
        for n in 0..AT_ONCE {
            held.push(bench.place_for(&format!("p-{n}"), true).await.expect("all places are free again"));
        }
        assert_eq!(bench.own.lock().expect("no panic").len(), AT_ONCE, "who gave up is not counted");
    }
}
