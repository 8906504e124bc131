//! Waits that last longer than people want, pure (FLD-19, decision 0037): which are noticed, and when they have ended. Waits of one deployment for one
//! reason are one notice with a count, however many devices wait. What was noticed stands in the log, so that a restart repeats nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use mdfm_shared::id::{DeploymentId, DeviceId, HospitalId};
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::waiting::{WaitCode, Waiting};
use serde::{Deserialize, Serialize};

use super::notice::{self, NoticeKind, NoticeRule};
use super::presence::Presence;
use super::rollout::Status;
use super::waiting::{Lasting, Sight};
use super::{Event, Proposal, Refusal, State, authority};

const MINUTE_MS: u64 = 60_000;
/// Minutes after which a wait that a person has to end is long, where no rule says otherwise,
pub const PERSON_MINUTES: u32 = 4 * 60;
/// and any other.
pub const OTHER_MINUTES: u32 = 24 * 60;
/// Bounds of what a rule may say.
const MINUTES_MIN: u32 = 5;
const MINUTES_MAX: u32 = 30 * 24 * 60;
/// Reasons that one rule names.
const CODES_MAX: usize = 100;
/// Devices that are asked in one round what they wait for: a few milliseconds.
const ASKED_MAX: usize = 1_024;
/// Time between two looks at one deployment.
const CYCLE_MS: u64 = 60_000;
/// A wait has ended when it was not seen for this long: a device that is in use comes and goes.
const ABSENT_MS: u64 = 15 * MINUTE_MS;
/// What heartbeats say is not known for this long after a start: agents beat once an hour at least, a gateway is called silent after three hours
/// without a beat, and only then a wait for it can be seen.
const UNHEARD_MS: u64 = 3 * 3_600_000 + ABSENT_MS;
/// Waits that are held; while there are more, no other is noticed.
const HELD_MAX: usize = 4_096;
/// Those that have ended are remembered for this long: what waited before is not noticed again at once.
const REMEMBERED_MS: u64 = 31 * 86_400_000;
/// Hospitals of one record; the others follow in the next.
const HOSPITALS_MAX: usize = 300;
/// Devices that one record names.
const NAMED_MAX: usize = 10;
/// The object of what the whole fleet waits for.
const TRUST: &str = "trust/root";

/// In a rule for `longWait`: which waits, and after how long.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitLimit {
    /// Codes of reasons, for example `gateway-silent`; empty for every reason but the monitoring time of a phase.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub codes: Vec<WaitCode>,
    /// After how many minutes; 0 for never. Without it after 4 hours where a person has to do something, otherwise after 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_minutes: Option<u32>,
}

/// Whether nothing but a person ends such a wait.
fn needs_person(code: &WaitCode) -> bool {
    use WaitCode as C;
    !matches!(
        code,
        C::Monitoring | C::Phase | C::Devices | C::Window | C::InUse | C::HeldByVendor | C::DownloadHours | C::Other(_)
    )
}

impl WaitLimit {
    /// After how many minutes a wait is long; `None` if the rule does not concern it.
    fn minutes(&self, code: &WaitCode) -> Option<u32> {
        let is_meant = if self.codes.is_empty() { *code != WaitCode::Monitoring } else { self.codes.contains(code) };
        let default = if needs_person(code) { PERSON_MINUTES } else { OTHER_MINUTES };
        Some(self.after_minutes.unwrap_or(default)).filter(|minutes| is_meant && *minutes > 0)
    }
}

/// After how many minutes a rule gives notice of a wait; `None` if it does not.
pub(super) fn minutes_of(rule: &NoticeRule, code: &WaitCode) -> Option<u32> {
    let default = WaitLimit::default();
    let is_meant = rule.kinds.contains(&NoticeKind::LongWait);
    rule.waits.as_ref().unwrap_or(&default).minutes(code).filter(|_| is_meant)
}

/// Checks the limit of a rule.
pub(super) fn check(rule: &NoticeRule) -> Result<(), Refusal> {
    let Some(limit) = &rule.waits else { return Ok(()) };
    let invalid = |detail: String| Err(Refusal::invalid("notices", detail));
    if !rule.kinds.contains(&NoticeKind::LongWait) {
        return invalid("`waits` belongs to a rule for longWait".into());
    }
    if limit.codes.len() > CODES_MAX {
        return invalid(format!("at most {CODES_MAX} codes in a rule"));
    }
    if let Some(WaitCode::Other(name)) = limit.codes.iter().find(|code| matches!(code, WaitCode::Other(_))) {
        return invalid(format!("there is no reason {name:?}; docs/troubleshooting.md lists their codes"));
    }
    match limit.after_minutes {
        None | Some(0 | MINUTES_MIN..=MINUTES_MAX) => Ok(()),
        Some(_) => invalid(format!("afterMinutes must be {MINUTES_MIN} to {MINUTES_MAX}, or 0 for never")),
    }
}

/// The limits by which people want to hear of waits with a code, in minutes.
fn limits(state: &State, code: &WaitCode) -> BTreeSet<u32> {
    notice::rules_for(state, NoticeKind::LongWait).iter().filter_map(|rule| minutes_of(rule, code)).collect()
}

/// What all waits of one notice have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitKey {
    /// The deployment; `None` for what the whole fleet waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    pub code: WaitCode,
    pub after_minutes: u32,
}

impl WaitKey {
    /// What it is about, as records name objects.
    fn object(&self) -> String {
        self.deployment.as_ref().map_or_else(|| TRUST.to_owned(), |id| format!("deployment/{id}"))
    }

    /// One line that everybody may read.
    pub(super) fn subject(&self, has_ended: bool) -> String {
        let what = self.deployment.as_ref().map_or_else(|| "the fleet".to_owned(), |id| format!("deployment {id}"));
        let limit = match self.after_minutes {
            minutes if minutes % 60 == 0 => count(minutes / 60, "hour"),
            minutes => count(minutes, "minute"),
        };
        let why = match self.code.summary() {
            "" => "the reason is named by a newer program".to_owned(),
            summary => format!("{summary} ({})", self.code),
        };
        if has_ended {
            format!("{what}: nothing waits longer than {limit} any more because {why}")
        } else {
            format!("{what} has waited longer than {limit}: {why}")
        }
    }
}

/// A long wait that people were notified of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldWait {
    key: WaitKey,
    /// How many waited when the vendor's people were last notified.
    waits: u64,
    hospitals: BTreeSet<HospitalId>,
    noted_at: UtcMillis,
    ended_at: Option<UtcMillis>,
}

impl HeldWait {
    /// Whether it is open, or has ended so recently that it is not noticed again at once.
    fn is_remembered(&self, now: UtcMillis) -> bool {
        self.ended_at.is_none_or(|ended| now.since_ms(ended) < REMEMBERED_MS)
    }
}

/// The long waits that people were notified of. A list, because their keys are not text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeldWaits(Vec<HeldWait>);

impl HeldWaits {
    fn find(&self, key: &WaitKey) -> Option<&HeldWait> {
        self.0.binary_search_by(|held| held.key.cmp(key)).ok().and_then(|at| self.0.get(at))
    }

    /// A notice was recorded.
    pub(super) fn note(&mut self, at: UtcMillis, key: WaitKey, waits: u64, hospitals: Vec<HospitalId>, is_new: bool) {
        self.0.retain(|held| held.is_remembered(at));
        let place = self.0.binary_search_by(|held| held.key.cmp(&key));
        let position = place.unwrap_or_else(|position| {
            let new = HeldWait { key, waits: 0, hospitals: BTreeSet::new(), noted_at: at, ended_at: None };
            self.0.insert(position, new);
            position
        });
        let Some(held) = self.0.get_mut(position) else { return };
        if is_new {
            (held.waits, held.noted_at) = (waits, at);
        }
        if held.ended_at.take().is_some() {
            held.hospitals.clear();
        }
        held.hospitals.extend(hospitals);
    }

    /// The end of a wait was recorded.
    pub(super) fn end(&mut self, at: UtcMillis, key: &WaitKey) {
        if let Ok(position) = self.0.binary_search_by(|held| held.key.cmp(key))
            && let Some(held) = self.0.get_mut(position)
        {
            held.ended_at = Some(at);
        }
    }

    /// Whether no other is noticed. What the next notice will forget does not count: else nothing would ever be forgotten.
    fn is_full(&self, now: UtcMillis) -> bool {
        self.0.len() >= HELD_MAX && self.0.iter().filter(|held| held.is_remembered(now)).count() >= HELD_MAX
    }

    fn open(&self) -> impl Iterator<Item = &HeldWait> {
        self.0.iter().filter(|held| held.ended_at.is_none())
    }
}

/// Forgets waits that no rule asks for any more: nobody is there who could hear of their end.
pub(super) fn forget_unasked(state: &mut State) {
    let mut held = std::mem::take(&mut state.long_waits);
    let mut by_code: BTreeMap<WaitCode, BTreeSet<u32>> = BTreeMap::new();
    held.0.retain(|HeldWait { key, .. }| {
        let limits = by_code.entry(key.code.clone()).or_insert_with(|| limits(state, &key.code));
        limits.contains(&key.after_minutes)
    });
    state.long_waits = held;
}

/// Looks for long waits, one deployment at a time, its devices a slice at a time.
#[derive(Debug, Default)]
pub(super) struct WaitWatch {
    next_cycle: UtcMillis,
    queue: VecDeque<Option<DeploymentId>>,
    gathering: Option<Gathering>,
    /// Since when held waits have not been seen.
    absent: BTreeMap<WaitKey, UtcMillis>,
    /// Since when the fleet's trust documents have been seen not to hold.
    not_fresh: Option<UtcMillis>,
}

/// The waits of one deployment, as far as its devices have been asked.
#[derive(Debug)]
struct Gathering {
    deployment: DeploymentId,
    waits: Vec<Lasting>,
    /// Devices from here on are still to be asked; `None` once all are.
    next: Option<Bound<DeviceId>>,
}

impl WaitWatch {
    /// Whether devices of a deployment are still to be asked.
    pub(super) fn has_more(&self) -> bool {
        self.gathering.is_some()
    }

    /// The records that are due for the next deployment: what began to last too long, what has ended. At each look (`is_look`) the next one is begun,
    /// and in the rounds until the next look its devices are asked.
    pub(super) fn look(
        &mut self,
        state: &State,
        presence: &Presence,
        (clock, now, steady): (UtcMillis, UtcMillis, UtcMillis),
        started_at: UtcMillis,
        is_look: bool,
    ) -> Vec<Proposal> {
        // Whom one hears is measured by the clock, as presence is.
        let sight = Sight { state, presence, now: clock };
        if self.gathering.is_some() {
            return self.gather(&sight, (now, steady), started_at);
        }
        if !is_look {
            return Vec::new();
        }
        if self.queue.is_empty() && steady >= self.next_cycle {
            self.next_cycle = steady.plus_ms(CYCLE_MS);
            self.absent.retain(|key, _| state.long_waits.find(key).is_some_and(|held| held.ended_at.is_none()));
            let active = state.deployments.iter().filter(|(_, d)| d.is_active()).map(|(id, _)| id.clone());
            let held = state.long_waits.open().filter_map(|held| held.key.deployment.clone());
            let all: BTreeSet<DeploymentId> = active.chain(held).collect();
            self.queue = std::iter::once(None).chain(all.into_iter().map(Some)).collect();
        }
        match self.queue.pop_front() {
            None => Vec::new(),
            Some(None) => {
                let waits = self.of_fleet(state, now);
                self.judge(state, (now, steady), started_at, None, waits)
            }
            Some(Some(deployment)) => {
                let waits = state.deployments.get(&deployment).map(|d| sight.lasting(&deployment, d));
                let waits = waits.unwrap_or_default();
                self.gathering = Some(Gathering { deployment, waits, next: Some(Bound::Unbounded) });
                self.gather(&sight, (now, steady), started_at)
            }
        }
    }

    /// Asks the next devices what they wait for, and judges once all have been asked.
    fn gather(
        &mut self,
        sight: &Sight<'_>,
        (now, steady): (UtcMillis, UtcMillis),
        started_at: UtcMillis,
    ) -> Vec<Proposal> {
        let Some(mut gathering) = self.gathering.take() else { return Vec::new() };
        let Gathering { deployment, waits, next } = &mut gathering;
        // What is too short for every rule is left out at once: of a million devices most wait for nothing, or not for long.
        let mut shortest_ms: BTreeMap<WaitCode, Option<u64>> = BTreeMap::new();
        let mut is_long = |wait: &Lasting| {
            let code = &wait.waiting.code;
            if !shortest_ms.contains_key(code) {
                let first = limits(sight.state, code).first().map(|minutes| u64::from(*minutes) * MINUTE_MS);
                shortest_ms.insert(code.clone(), first);
            }
            shortest_ms.get(code).copied().flatten().is_some_and(|limit_ms| now.since_ms(wait.since) >= limit_ms)
        };
        match sight.state.deployments.get(deployment) {
            Some(held) => waits.extend(sight.lasting_of_devices(held, next, ASKED_MAX, &mut is_long)),
            None => *next = None,
        }
        if next.is_some() {
            self.gathering = Some(gathering);
            return Vec::new();
        }
        self.judge(sight.state, (now, steady), started_at, Some(&gathering.deployment), gathering.waits)
    }

    /// What the whole fleet waits for.
    fn of_fleet(&mut self, state: &State, now: UtcMillis) -> Vec<Lasting> {
        let is_wanted = state.deployments.values().any(|d| d.status == Status::Running);
        let refusal = authority::need_fresh(state, now).err().filter(|_| is_wanted);
        let Some(refusal) = refusal else {
            self.not_fresh = None;
            return Vec::new();
        };
        // After a start it is what people were notified of, else that would seem to have ended.
        let noticed = state.long_waits.open().filter(|held| held.key.deployment.is_none());
        let noticed = noticed
            .map(|held| UtcMillis(held.noted_at.0.saturating_sub(u64::from(held.key.after_minutes) * MINUTE_MS)))
            .min();
        let since = *self.not_fresh.get_or_insert(noticed.unwrap_or(now));
        let waiting = Waiting::new(WaitCode::TrustNotFresh, refusal.detail);
        vec![Lasting { waiting, since, hospital: None, device: None }]
    }

    fn judge(
        &mut self,
        state: &State,
        (now, steady): (UtcMillis, UtcMillis),
        started_at: UtcMillis,
        deployment: Option<&DeploymentId>,
        waits: Vec<Lasting>,
    ) -> Vec<Proposal> {
        let mut by_code: BTreeMap<WaitCode, Vec<Lasting>> = BTreeMap::new();
        for wait in waits {
            by_code.entry(wait.waiting.code.clone()).or_default().push(wait);
        }
        let mut proposals = Vec::new();
        let mut lasting = BTreeSet::new();
        for (code, waits) in by_code {
            for after_minutes in limits(state, &code) {
                let key = WaitKey { deployment: deployment.cloned(), code: code.clone(), after_minutes };
                let held = state.long_waits.find(&key);
                let begins_at = |wait: &Lasting| match held.and_then(|held| Some((held.noted_at, held.ended_at?))) {
                    // Of what waited then people know; it begins again where it comes and goes.
                    Some((noted_at, ended_at)) if wait.since < noted_at => wait.since.max(ended_at),
                    _ => wait.since,
                };
                let limit_ms = u64::from(after_minutes) * MINUTE_MS;
                let long: Vec<&Lasting> =
                    waits.iter().filter(|wait| now.since_ms(begins_at(wait)) >= limit_ms).collect();
                if !long.is_empty() {
                    lasting.insert(key.clone());
                    let open = held.filter(|held| held.ended_at.is_none());
                    proposals.extend(notice_of(state, now, key, open, &long));
                }
            }
        }
        let gone = state.long_waits.open().filter(|held| held.key.deployment.as_ref() == deployment);
        for held in gone {
            if lasting.contains(&held.key) {
                self.absent.remove(&held.key);
                continue;
            }
            let since = *self.absent.entry(held.key.clone()).or_insert(steady);
            let is_by_heartbeats =
                matches!(held.key.code, WaitCode::GatewaySilent | WaitCode::DeviceNotConnected | WaitCode::InUse);
            let is_known = !is_by_heartbeats || steady.since_ms(started_at) >= UNHEARD_MS;
            if is_known && steady.since_ms(since) >= ABSENT_MS {
                self.absent.remove(&held.key);
                proposals.extend(ends_of(held));
            }
        }
        proposals
    }
}

/// The records of a wait's end: each hospital that was notified of the wait is notified of that.
fn ends_of(held: &HeldWait) -> Vec<Proposal> {
    let all: Vec<HospitalId> = held.hospitals.iter().cloned().collect();
    let (first, rest) = all.split_at(all.len().min(HOSPITALS_MAX));
    let parts = std::iter::once((first, false)).chain(rest.chunks(HOSPITALS_MAX).map(|part| (part, true)));
    let end = |(hospitals, is_for_hospitals): (&[HospitalId], bool)| {
        let event = Event::WaitEnded { wait: held.key.clone(), hospitals: hospitals.to_vec(), is_for_hospitals };
        Proposal::new("wait.ended", held.key.object(), event)
    };
    parts.map(end).collect()
}

/// The notice of waits that last too long, if it is news: at first, when they are twice as many, and for each hospital once.
fn notice_of(
    state: &State,
    now: UtcMillis,
    key: WaitKey,
    held: Option<&HeldWait>,
    long: &[&Lasting],
) -> Option<Proposal> {
    let waits = long.len() as u64;
    let is_new = held.is_none_or(|held| waits >= held.waits.saturating_mul(2));
    if held.is_none() && state.long_waits.find(&key).is_none() && state.long_waits.is_full(now) {
        return None;
    }
    let all: BTreeSet<&HospitalId> = long.iter().filter_map(|wait| wait.hospital.as_ref()).collect();
    let is_known = |hospital: &HospitalId| held.is_some_and(|held| held.hospitals.contains(hospital));
    let hospitals: Vec<HospitalId> =
        all.iter().filter(|h| !is_known(h)).take(HOSPITALS_MAX).map(|h| (*h).clone()).collect();
    if !is_new && hospitals.is_empty() {
        return None;
    }
    let reason = words(&key, long, all.len());
    let since = long.iter().map(|wait| wait.since).min().unwrap_or_default();
    let event = Event::WaitNoted { wait: key.clone(), since, waits, hospitals, is_for_hospitals: !is_new };
    Some(Proposal::new("wait.long", key.object(), event).because(reason))
}

/// How many wait, since when, who can end it and how.
fn words(key: &WaitKey, long: &[&Lasting], hospitals: usize) -> String {
    let since = long.iter().map(|wait| wait.since).min().unwrap_or_default();
    let devices: Vec<&DeviceId> = long.iter().filter_map(|wait| wait.device.as_ref()).collect();
    let mut text = match (devices.is_empty(), hospitals) {
        (true, 0) => String::new(),
        (true, n) => format!("{} wait: ", count(n, "hospital")),
        (false, n) => format!("{} of {} wait: ", count(devices.len(), "device"), count(n, "hospital")),
    };
    text.push_str(&long.first().map(|wait| wait.waiting.text()).unwrap_or_default());
    text.push_str(&format!("; the first since {since}"));
    if !devices.is_empty() {
        let named: Vec<&str> = devices.iter().take(NAMED_MAX).map(|id| id.as_str()).collect();
        text.push_str(&format!("; for example {}", named.join(", ")));
    }
    if !key.code.who().is_empty() {
        text.push_str(&format!("; who can end it: {}; how: {}", key.code.who(), key.code.how()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld_14_every_hospital_hears_of_the_end_in_records_that_fit() {
        let key = WaitKey { deployment: None, code: WaitCode::Consent, after_minutes: 240 };
        let hospitals = |n: usize| (0..n).map(|n| format!("HOSPITAL-{n:04}").parse().expect("an id")).collect();
        let at = UtcMillis(1);
        let held = |n| HeldWait { key: key.clone(), waits: 1, hospitals: hospitals(n), noted_at: at, ended_at: None };
        for (n, records) in [(0, 1), (1, 1), (HOSPITALS_MAX, 1), (HOSPITALS_MAX + 1, 2), (10 * HOSPITALS_MAX, 10)] {
            let ends = ends_of(&held(n));
            assert_eq!(ends.len(), records, "{n}");
            let mut heard = 0;
            for (i, end) in ends.iter().enumerate() {
                let Event::WaitEnded { hospitals, is_for_hospitals, .. } = &end.event else { panic!("an end") };
                assert_eq!(*is_for_hospitals, i > 0, "the vendor's people hear of it once");
                heard += hospitals.len();
            }
            assert_eq!(heard, n);
        }
    }

    #[test]
    fn fld_14_what_is_held_is_bounded_and_forgotten() {
        let key = |n: u32| WaitKey { deployment: None, code: WaitCode::Consent, after_minutes: n };
        let mut held = HeldWaits::default();
        for n in (0..100).rev() {
            held.note(UtcMillis(1), key(n), 1, Vec::new(), true);
        }
        assert!((0..100).all(|n| held.find(&key(n)).is_some()) && held.open().count() == 100);
        held.end(UtcMillis(2), &key(7));
        assert_eq!(held.open().count(), 99);
        held.note(UtcMillis(2 + REMEMBERED_MS), key(8), 1, Vec::new(), true);
        assert_eq!((held.find(&key(7)), held.0.len()), (None, 99));
    }

    #[test]
    fn fld_14_what_ended_long_ago_takes_no_room() {
        let held = |n| {
            let key = WaitKey { deployment: None, code: WaitCode::Consent, after_minutes: n };
            let (noted_at, ended_at) = (UtcMillis(1), (n > 0).then_some(UtcMillis(2)));
            HeldWait { key, waits: 1, hospitals: BTreeSet::new(), noted_at, ended_at }
        };
        let full = HeldWaits((0..HELD_MAX as u32).map(held).collect());
        assert!(full.is_full(UtcMillis(1 + REMEMBERED_MS)));
        assert!(!full.is_full(UtcMillis(2 + REMEMBERED_MS)), "the next notice forgets all but one");
        assert!(!HeldWaits::default().is_full(UtcMillis(2)));
    }

    #[test]
    fn fld_14_what_a_person_must_end_is_long_sooner() {
        let minutes = |code: &WaitCode| WaitLimit::default().minutes(code);
        assert_eq!(minutes(&WaitCode::Consent), Some(PERSON_MINUTES));
        assert_eq!(minutes(&WaitCode::Window), Some(OTHER_MINUTES));
        assert_eq!(minutes(&WaitCode::from("moon-phase".to_owned())), Some(OTHER_MINUTES));
        assert_eq!(minutes(&WaitCode::Monitoring), None, "a plan says how long that lasts");
        for code in WaitCode::ALL {
            assert!(!code.who().starts_with("nobody") || !needs_person(code), "{code}");
        }
    }
}
