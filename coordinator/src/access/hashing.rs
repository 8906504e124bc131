//! Who waits for whom when passwords are checked: each check takes tens of milliseconds of a core and 19 MiB, so few run at once. People in a
//! session, people where they have signed in before, and everybody else wait in lanes of their own, so that no number of strangers makes the
//! others wait. In a lane those come first whose last turn is longest ago.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Who waits together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// People in a session.
    Session,
    /// Sign-ins where this person has signed in before.
    Familiar,
    /// All other sign-ins.
    Stranger,
}

/// Checks of each lane at the same time.
const PLACES: [usize; 3] = [2, 1, 1];
/// Checks of one lane that wait. Whoever comes then takes the place of one whose turn was last.
const WAITING_MAX: usize = 32;
/// Of them, of one person or site.
const WAITING_OF_ONE_MAX: usize = 8;
/// Longest time to wait.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Turns remembered.
const TURNS_MAX: usize = 10_000;

/// Too many wait for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

struct Waiting<T> {
    number: u64,
    who: String,
    tell: T,
}

/// One lane, pure. `T` is how somebody hears of their turn.
struct Queue<T> {
    free: usize,
    waiting: Vec<Waiting<T>>,
    /// When everybody had their last turn, counted in turns.
    turns: HashMap<String, u64>,
    by_turn: BTreeMap<u64, String>,
    last: u64,
}

impl<T> Queue<T> {
    fn new(places: usize) -> Self {
        Self { free: places, waiting: Vec::new(), turns: HashMap::new(), by_turn: BTreeMap::new(), last: 0 }
    }

    fn turn_of(&self, who: &str) -> u64 {
        self.turns.get(who).copied().unwrap_or(0)
    }

    /// Takes somebody in. Returns their number, and who waits no longer because of it.
    fn ask(&mut self, who: &str, tell: T) -> (u64, Option<T>) {
        self.last += 1;
        self.waiting.push(Waiting { number: self.last, who: who.to_owned(), tell });
        let of_one = self.waiting.iter().filter(|w| w.who == who).count();
        let is_over = of_one > WAITING_OF_ONE_MAX || self.waiting.len() > WAITING_MAX;
        let only = (of_one > WAITING_OF_ONE_MAX).then_some(who);
        let candidates =
            self.waiting.iter().enumerate().filter(|(_, w)| is_over && only.is_none_or(|who| w.who == who));
        // Whose turn was last; among those the one who has waited longest, and will have gone.
        let last = candidates.max_by_key(|(_, w)| (self.turn_of(&w.who), u64::MAX - w.number)).map(|(at, _)| at);
        (self.last, last.map(|at| self.waiting.remove(at).tell))
    }

    /// Whose turn it is, if there is a place.
    fn grant(&mut self) -> Option<T> {
        if self.free == 0 {
            return None;
        }
        let next = self.waiting.iter().enumerate().min_by_key(|(_, w)| (self.turn_of(&w.who), w.number));
        let at = next.map(|(at, _)| at)?;
        let Waiting { who, tell, .. } = self.waiting.remove(at);
        self.free -= 1;
        self.last += 1;
        let before = self.turns.insert(who.clone(), self.last);
        before.map(|before| self.by_turn.remove(&before));
        self.by_turn.insert(self.last, who);
        if self.turns.len() > TURNS_MAX
            && let Some((_, longest)) = self.by_turn.pop_first()
        {
            self.turns.remove(&longest);
        }
        Some(tell)
    }

    fn give_back(&mut self) {
        self.free += 1;
    }

    /// Somebody has gone.
    fn forget(&mut self, number: u64) {
        self.waiting.retain(|w| w.number != number);
    }
}

/// The lanes of one coordinator.
pub(crate) struct Hashing {
    lanes: Mutex<[Queue<oneshot::Sender<Place>>; 3]>,
}

/// A place to check one password; free again when it is dropped.
pub(crate) struct Place {
    hashing: Arc<Hashing>,
    lane: Lane,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hashing.lanes()[self.lane as usize].give_back();
        self.hashing.grant(self.lane);
    }
}

/// Somebody who waits; whoever goes takes no turn.
struct Ticket<'a> {
    hashing: &'a Hashing,
    lane: Lane,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.hashing.lanes()[self.lane as usize].forget(self.number);
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self { lanes: Mutex::new(PLACES.map(Queue::new)) }
    }
}

impl Hashing {
    fn lanes(&self) -> MutexGuard<'_, [Queue<oneshot::Sender<Place>>; 3]> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grant(self: &Arc<Self>, lane: Lane) {
        // One statement each: whoever hears of their turn too late gives the place back, and that needs the lock.
        loop {
            let next = self.lanes()[lane as usize].grant();
            let Some(tell) = next else { return };
            drop(tell.send(Place { hashing: Arc::clone(self), lane }));
        }
    }

    /// Waits for a place. Keep it until the work is done, whatever becomes of the request.
    ///
    /// # Errors
    /// Too many wait; try again a little later.
    pub(crate) async fn place(self: &Arc<Self>, lane: Lane, who: &str) -> Result<Place, Busy> {
        let (tell, heard) = oneshot::channel();
        let (number, gone) = self.lanes()[lane as usize].ask(who, tell);
        drop(gone);
        let _ticket = Ticket { hashing: self, lane, number };
        self.grant(lane);
        timeout(WAIT_MAX, heard).await.map_err(|_| Busy)?.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample: 400 networks that guess, ten checks a second. Whoever comes from somewhere else has the next turn.
    #[test]
    fn sec_7_guesses_of_many_networks_take_nobody_elses_turn() {
        let mut queue = Queue::new(1);
        let mut answered = BTreeMap::<String, u32>::new();
        let mut gone = 0;
        for round in 0..2_000_u32 {
            for n in 0..4 {
                let who = format!("10.0.{}", (round * 4 + n) % 400);
                gone += u32::from(queue.ask(&who, who.clone()).1.is_some());
            }
            let owner = round >= 1_000 && round % 100 == 0;
            if owner {
                let (_, evicted) = queue.ask(&format!("192.0.2.{round}"), "owner".to_owned());
                assert_ne!(evicted.as_deref(), Some("owner"));
            }
            let next = queue.grant().expect("a place");
            assert_eq!(next == "owner", owner, "{round}");
            *answered.entry(next).or_default() += 1;
            queue.give_back();
            assert!(queue.waiting.len() <= WAITING_MAX);
        }
        assert!(gone > 5_000, "{gone}");
        assert!(answered.values().all(|n| *n <= 30), "everybody has turns: {answered:?}");
    }

    #[test]
    fn sec_7_one_who_asks_and_asks_pushes_out_their_own() {
        let mut queue = Queue::new(1);
        assert_eq!(queue.ask("other", 0).1, None);
        let gone: Vec<_> = (1..=100).filter_map(|n| queue.ask("flood", n).1).collect();
        assert_eq!(gone, (1..=100 - WAITING_OF_ONE_MAX as i32).collect::<Vec<_>>(), "those that waited longest");
        assert_eq!((queue.grant(), queue.grant()), (Some(0), None), "one place");
        queue.give_back();
        assert_eq!(queue.grant(), Some(100 - WAITING_OF_ONE_MAX as i32 + 1));
    }

    #[tokio::test]
    async fn sec_7_whoever_has_gone_takes_no_turn() {
        let hashing = Arc::<Hashing>::default();
        let held = hashing.place(Lane::Stranger, "a").await.expect("free");
        let mut waits: Vec<_> =
            (0..5).map(|n| Box::pin(hashing.place(Lane::Stranger, if n == 4 { "b" } else { "a" }))).collect();
        for wait in &mut waits {
            let first = timeout(Duration::ZERO, wait.as_mut()).await;
            assert!(first.is_err(), "it waits");
        }
        let last = waits.pop().expect("five");
        drop(waits);
        assert_eq!(hashing.lanes()[Lane::Stranger as usize].waiting.len(), 1);
        let other = hashing.place(Lane::Familiar, "qa at home").await.expect("a lane of their own");
        let session = [hashing.place(Lane::Session, "qa").await, hashing.place(Lane::Session, "qa").await];
        assert!(session.iter().all(Result::is_ok));
        drop((held, other, session));
        drop(last.await.expect("its turn"));
        let free: Vec<usize> = hashing.lanes().iter().map(|lane| lane.free).collect();
        assert_eq!(free, PLACES);
    }
}
