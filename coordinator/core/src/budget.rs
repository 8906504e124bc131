//! How much of the audit log somebody may fill, pure: refusals by network, person and gateway are counted once they are many, and what is accepted
//! of a gateway or a person has a daily allowance of bytes. The log is kept for years; a flood must not become its content.

use std::collections::BTreeMap;

use mdfm_shared::record::{Actor, ActorKind, person};
use mdfm_shared::time::UtcMillis;

use super::access::AccessRole;
use super::refusal::{Class, Refusal};
use super::telemetry::chain_refusal;

/// Code of the refusal when an allowance is used up.
pub const RECORD_BUDGET: &str = "record-budget";
/// Code of a refused sign-in by which an account was locked; people are notified of its record (21 CFR 11.300(d)).
const LOCKED: &str = "locked";
/// Refusals of one source are counted together for this long.
const WINDOW_MS: u64 = 60_000;
/// The same for batches that do not continue a gateway's chain: an agent of an earlier version sends them every five seconds for ever.
const CHAIN_WINDOW_MS: u64 = 3_600_000;
/// Sources counted apart; those beyond are counted together.
const SOURCES_MAX: usize = 4_096;
/// Of them, gateways whose chains do not continue: their windows are long, and a whole fleet may be so at once. They leave places to people.
const CHAINS_MAX: usize = SOURCES_MAX / 2;
/// Records of strangers' refusals at once, over all networks,
const STRANGERS_AT_ONCE: u64 = 60;
/// and the time after which there may be one more.
const STRANGERS_EVERY_MS: u64 = 6_000;
/// Causes counted apart in one window.
const CODES_MAX: usize = 16;
/// Examples of what was only counted, and their characters.
const SAMPLES_MAX: usize = 4;
const SAMPLE_CHARS_MAX: usize = 200;
const DAY_MS: u64 = 86_400_000;
/// Bytes that the commands of one member of a hospital's staff may add to the log in a day,
const STAFF_BYTES_PER_DAY: u64 = 16 << 20;
/// and those of one of the vendor's people: imports of whole fleets, bills of materials.
const VENDOR_BYTES_PER_DAY: u64 = 2 << 30;
/// After this number of new allowances those are forgotten that are full again; there are as many as gateways and people at most.
const ALLOWANCES_A_LOOK: usize = 8_192;
/// Anomalies of one gateway that get records of their own in an hour.
const ANOMALIES_MAX: u32 = 16;
const ANOMALIES_MS: u64 = 3_600_000;

/// Whose refusals are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Strangers of one network, whatever name they claim.
    Network(String),
    Person(String),
    /// The machine tokens of a person, all together: what they do is counted apart, so that it hides nothing that the person does.
    Machines(String),
    Gateway(String),
    /// Batches of a gateway that do not continue its chain: it sends them again and again until it is answered.
    Chain(String),
    /// Locks of one account that exists: each must be heard of, wherever it comes from.
    Account(String),
    /// Networks beyond what is counted apart.
    OtherNetworks,
}

impl Source {
    /// Whose refusal it is. `network` is where it came from, `account` the existing account that it is about.
    pub fn of(actor: &Actor, network: Option<&str>, account: Option<&str>, refusal: &Refusal) -> Option<Self> {
        Some(match (actor.kind, account) {
            (ActorKind::User | ActorKind::Anonymous, Some(account)) if refusal.code == LOCKED => {
                Self::Account(account.to_owned())
            }
            (ActorKind::Anonymous, _) => Self::Network(network.unwrap_or("unknown").to_owned()),
            (ActorKind::User, _) => match person(&actor.id) {
                owner if owner == actor.id => Self::Person(owner.to_owned()),
                owner => Self::Machines(owner.to_owned()),
            },
            (ActorKind::Gateway, _) if chain_refusal(refusal.code).is_some() => Self::Chain(actor.id.clone()),
            (ActorKind::Gateway, _) => Self::Gateway(actor.id.clone()),
            (ActorKind::System, _) => return None,
        })
    }

    /// Records of one cause, and of all causes, in a window.
    fn limits(&self, class: Class) -> (u32, u32) {
        match self {
            Self::Network(_) => (1, 8),
            Self::Gateway(_) => (2, 16),
            Self::Chain(_) => (1, 4),
            Self::Person(_) | Self::Machines(_)
                if matches!(class, Class::Forbidden | Class::Unauthenticated | Class::TooOften) =>
            {
                (5, 32)
            }
            // Somebody who fills in a form wrong again and again is still shown one by one.
            Self::Person(_) | Self::Machines(_) => (24, 32),
            Self::Account(_) => (1, 1),
            Self::OtherNetworks => (0, 0),
        }
    }

    /// For how long its refusals are counted together.
    fn window_ms(&self) -> u64 {
        if matches!(self, Self::Chain(_)) { CHAIN_WINDOW_MS } else { WINDOW_MS }
    }

    /// The actor and the object of its summaries.
    pub fn describe(&self) -> (Actor, String) {
        let actor = |kind, id: &str| Actor { kind, id: id.to_owned(), roles: vec![] };
        match self {
            Self::Network(network) => (actor(ActorKind::Anonymous, network), format!("network/{network}")),
            Self::Person(id) => (actor(ActorKind::User, id), format!("user/{id}")),
            // As machines are written, but for the token: a summary is of all of them.
            Self::Machines(id) => (actor(ActorKind::User, &format!("{id}/token")), format!("user/{id}")),
            Self::Gateway(id) | Self::Chain(id) => (actor(ActorKind::Gateway, id), format!("gateway/{id}")),
            Self::Account(id) => (actor(ActorKind::Anonymous, id), format!("user/{id}")),
            Self::OtherNetworks => (actor(ActorKind::Anonymous, "other-networks"), "network/others".to_owned()),
        }
    }
}

/// Refusals that have no record of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    pub count: u64,
    pub from: UtcMillis,
    pub until: UtcMillis,
    pub by_code: BTreeMap<String, u64>,
    pub samples: Vec<String>,
}

impl Counted {
    fn add(&mut self, now: UtcMillis, code: &str, n: u64, sample: impl FnOnce() -> String) {
        if self.count == 0 {
            self.from = now;
        }
        self.until = now;
        self.count = self.count.saturating_add(n);
        let code = if self.by_code.len() < CODES_MAX || self.by_code.contains_key(code) { code } else { "others" };
        let counted = self.by_code.entry(code.to_owned()).or_default();
        *counted = counted.saturating_add(n);
        if self.samples.len() < SAMPLES_MAX {
            let sample: String = sample().chars().take(SAMPLE_CHARS_MAX).collect();
            if !sample.is_empty() && !self.samples.contains(&sample) {
                self.samples.push(sample);
            }
        }
    }

    /// One line for the record's reason.
    pub fn reason(&self) -> String {
        let codes: Vec<String> = self.by_code.iter().map(|(code, n)| format!("{n} {code}")).collect();
        let Self { count, from, until, samples, .. } = self;
        let mut text = format!("counted: {count} refusals from {from} to {until} have no record of their own: ");
        text.push_str(&codes.join(", "));
        if !samples.is_empty() {
            text.push_str("; for example ");
            text.push_str(&samples.join("; "));
        }
        text
    }
}

#[derive(Debug)]
struct Window {
    since: UtcMillis,
    recorded: BTreeMap<&'static str, u32>,
    in_all: u32,
    counted: Counted,
}

/// Decides which refusals get a record of their own, and counts the others.
#[derive(Debug)]
pub struct Refusals {
    windows: BTreeMap<Source, Window>,
    /// How many of them are of chains.
    chains: usize,
    /// Records that strangers may still cause, and when that was computed.
    strangers: (u64, UtcMillis),
}

impl Default for Refusals {
    fn default() -> Self {
        Self { windows: BTreeMap::new(), chains: 0, strangers: (STRANGERS_AT_ONCE, UtcMillis(0)) }
    }
}

impl Refusals {
    fn has_strangers_left(&mut self, now: UtcMillis) -> bool {
        let (left, at) = self.strangers;
        let more = now.since_ms(at) / STRANGERS_EVERY_MS;
        if more > 0 || now < at {
            self.strangers = (left.saturating_add(more).min(STRANGERS_AT_ONCE), now);
        }
        self.strangers.0 > 0
    }

    /// Whether a source has a window, or may have one of its own.
    fn has_place(&self, source: &Source) -> bool {
        if self.windows.contains_key(source) {
            return true;
        }
        self.windows.len() < SOURCES_MAX && (!matches!(source, Source::Chain(_)) || self.chains < CHAINS_MAX)
    }

    fn window(&mut self, now: UtcMillis, source: Source) -> &mut Window {
        let chains = &mut self.chains;
        let is_chain = matches!(source, Source::Chain(_));
        self.windows.entry(source).or_insert_with(|| {
            *chains += usize::from(is_chain);
            Window { since: now, recorded: BTreeMap::new(), in_all: 0, counted: Counted::default() }
        })
    }

    /// Whether a refusal gets a record of its own; otherwise it is counted.
    pub fn admits(
        &mut self,
        now: UtcMillis,
        source: Source,
        refusal: &Refusal,
        sample: impl FnOnce() -> String,
    ) -> bool {
        let is_stranger = matches!(source, Source::Network(_));
        let may = !is_stranger || self.has_strangers_left(now);
        let is_known = self.windows.contains_key(&source);
        let source = if is_known || (may && self.has_place(&source)) { source } else { Source::OtherNetworks };
        let (of_one, in_all) = source.limits(refusal.class);
        let window = self.window(now, source);
        let recorded = window.recorded.get(refusal.code).copied().unwrap_or_default();
        if may && recorded < of_one && window.in_all < in_all {
            window.recorded.insert(refusal.code, recorded + 1);
            window.in_all += 1;
            if is_stranger {
                self.strangers.0 -= 1;
            }
            return true;
        }
        window.counted.add(now, refusal.code, 1, sample);
        false
    }

    /// Counts refusals without a record, because there was no room for one.
    pub fn count(&mut self, now: UtcMillis, source: Source, code: &str, n: u64, sample: impl FnOnce() -> String) {
        let source = if self.has_place(&source) { source } else { Source::OtherNetworks };
        self.window(now, source).counted.add(now, code, n, sample);
    }

    /// Takes what was counted in windows that are over; all of them when the coordinator stops.
    pub fn take(&mut self, now: UtcMillis, is_last: bool) -> Vec<(Source, Counted)> {
        // A clock that was set back ends every window.
        let is_over = |source: &Source, window: &Window| {
            is_last || now < window.since || now.since_ms(window.since) >= source.window_ms()
        };
        let over: Vec<Source> = self.windows.iter().filter(|(s, w)| is_over(s, w)).map(|(s, _)| s.clone()).collect();
        let taken = over.into_iter().filter_map(|source| {
            let window = self.windows.remove(&source)?;
            self.chains -= usize::from(matches!(source, Source::Chain(_)));
            (window.counted.count > 0).then_some((source, window.counted))
        });
        taken.collect()
    }
}

fn is_time_to_look(held: usize) -> bool {
    held > 0 && held.is_multiple_of(ALLOWANCES_A_LOOK)
}

/// Daily allowances of bytes, and the anomalies of gateways.
#[derive(Debug, Default)]
pub struct Allowances {
    /// Bytes that are left, below zero for those that are owed, and the time up to which they are counted.
    held: BTreeMap<(&'static str, String), (i64, UtcMillis)>,
    anomalies: BTreeMap<String, (UtcMillis, u32)>,
}

impl Allowances {
    /// Takes `bytes` of what the actor may write; returns whether there was any left. What is taken beyond is owed.
    pub fn take(&mut self, now: UtcMillis, actor: &Actor, gateway_bytes_per_day: u64, bytes: u64) -> bool {
        let (key, most) = match actor.kind {
            ActorKind::Gateway => (("gateway", actor.id.clone()), gateway_bytes_per_day),
            ActorKind::User => {
                let is_staff = actor.roles.iter().all(|role| role == AccessRole::HospitalStaff.name());
                let most = if is_staff { STAFF_BYTES_PER_DAY } else { VENDOR_BYTES_PER_DAY };
                // What the machines of a person write leaves the person room.
                let owner = person(&actor.id);
                let kind = if owner == actor.id { "user" } else { "machines" };
                ((kind, owner.to_owned()), most)
            }
            ActorKind::System | ActorKind::Anonymous => return true,
        };
        let scaled = |n: u64, by: u64, over: u64| {
            u64::try_from(u128::from(n) * u128::from(by) / u128::from(over.max(1))).unwrap_or(u64::MAX)
        };
        let most_left = i64::try_from(most).unwrap_or(i64::MAX);
        if is_time_to_look(self.held.len()) && !self.held.contains_key(&key) {
            self.held.retain(|_, (_, at)| now.since_ms(*at) < DAY_MS);
        }
        let (left, at) = self.held.entry(key).or_insert((most_left, now));
        let more = scaled(now.since_ms(*at), most, DAY_MS);
        *left = left.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)).min(most_left);
        // Only the time that was turned into bytes has passed; a clock that was set back begins again.
        *at = if *left == most_left || now < *at { now } else { at.plus_ms(scaled(more, DAY_MS, most)) };
        let had_any = *left > 0;
        if had_any {
            *left = left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        had_any
    }

    /// Whether one more anomaly of a gateway gets a record.
    pub fn admits_anomaly(&mut self, now: UtcMillis, gateway: &str) -> bool {
        if is_time_to_look(self.anomalies.len()) && !self.anomalies.contains_key(gateway) {
            self.anomalies.retain(|_, (since, _)| now.since_ms(*since) < ANOMALIES_MS);
        }
        let (since, n) = self.anomalies.entry(gateway.to_owned()).or_insert((now, 0));
        if now.since_ms(*since) >= ANOMALIES_MS {
            (*since, *n) = (now, 0);
        }
        *n = n.saturating_add(1);
        *n <= ANOMALIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::super::telemetry::{EPOCH, FORK, GAP, HELD, STALE};
    use super::*;

    const START: UtcMillis = UtcMillis(1_800_000_000_000);

    fn refusal(code: &'static str) -> Refusal {
        Refusal::forbidden(code, "no")
    }

    /// Records of their own among `n` refusals of one source.
    fn recorded(refusals: &mut Refusals, at: UtcMillis, source: &Source, code: &'static str, n: usize) -> usize {
        (0..n).filter(|_| refusals.admits(at, source.clone(), &refusal(code), || "a sample".into())).count()
    }

    #[test]
    fn sec_1_refusals_of_one_network_become_a_record_and_a_count() {
        let mut refusals = Refusals::default();
        let network = Source::Network("192.0.2.1".into());
        assert_eq!(recorded(&mut refusals, START, &network, "enrolment-refused", 6_301), 1);
        assert!(refusals.take(START.plus_ms(WINDOW_MS - 1), false).is_empty(), "the minute is not over");
        let taken = refusals.take(START.plus_ms(WINDOW_MS), false);
        let [(source, counted)] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!((source, counted.count), (&network, 6_300));
        assert_eq!(counted.by_code["enrolment-refused"], 6_300);
        assert!(counted.reason().contains("6300 enrolment-refused; for example a sample"), "{}", counted.reason());
        assert!(refusals.windows.is_empty(), "nothing stays in memory");
        assert_eq!(recorded(&mut refusals, START.plus_ms(WINDOW_MS), &network, "enrolment-refused", 10), 1);
        assert_eq!(refusals.take(START.plus_ms(WINDOW_MS), true).len(), 1, "a stop writes what was counted so far");
    }

    #[test]
    fn sec_1_many_networks_together_cannot_fill_the_log() {
        let mut refusals = Refusals::default();
        let (mut records, mut counted) = (0, 0);
        for second in 0..3_600 {
            let now = START.plus_ms(second * 1_000);
            for n in 0..50 {
                let source = Source::Network(format!("net-{}", (second * 50 + n) % 60_000));
                records += recorded(&mut refusals, now, &source, "enrolment-refused", 2) as u64;
            }
            let taken = refusals.take(now, second == 3_599);
            records += taken.len() as u64;
            counted += taken.iter().map(|(_, c)| c.count).sum::<u64>();
            assert!(refusals.windows.len() <= SOURCES_MAX);
        }
        let summaries = records - (360_000 - counted);
        assert!(records < 1_500, "{records} records in an hour");
        assert_eq!(records - summaries + counted, 360_000, "each refusal is recorded or counted");
    }

    #[test]
    fn sec_1_denials_of_a_signed_in_person_become_a_handful() {
        let mut refusals = Refusals::default();
        let nurse = Source::Person("nurse".into());
        assert_eq!(recorded(&mut refusals, START, &nurse, "permission", 500), 5);
        let codes = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let varied: usize = codes.iter().map(|code| recorded(&mut refusals, START, &nurse, code, 100)).sum();
        assert_eq!(varied, 27, "32 in all, whatever the causes");
        let other = Source::Person("other".into());
        assert_eq!(recorded(&mut refusals, START, &other, "permission", 1), 1, "nobody else is concerned");
    }

    /// What a stolen token does hides no denial of its owner, and uses up nothing that the owner may write.
    #[test]
    fn sec_4_the_log_has_room_for_owners_beside_tokens() {
        let source = |id: &str| {
            let actor = Actor { kind: ActorKind::User, id: id.to_owned(), roles: vec!["Operator".to_owned()] };
            (Source::of(&actor, None, None, &refusal("permission")).expect("a source"), actor)
        };
        let ((owner, person), (token, machine)) = (source("operator"), source("operator/token/a"));
        assert_eq!(token, source("operator/token/b").0, "many tokens are no way to more");
        let mut refusals = Refusals::default();
        assert_eq!(recorded(&mut refusals, START, &token, "permission", 500), 5);
        assert_eq!(recorded(&mut refusals, START, &owner, "permission", 500), 5);
        assert_eq!(token.describe().1, "user/operator");
        let mut allowances = Allowances::default();
        assert!(allowances.take(START, &machine, 0, VENDOR_BYTES_PER_DAY));
        assert!(!allowances.take(START, &source("operator/token/b").1, 0, 1));
        assert!(allowances.take(START, &person, 0, 1));
    }

    #[test]
    fn sec_1_locked_accounts_are_recorded_through_a_flood() {
        let mut refusals = Refusals::default();
        for n in 0..10_000 {
            let source = Source::Network(format!("net-{n}"));
            refusals.admits(START, source, &refusal("wrong-credentials"), String::new);
        }
        let actor = Actor { kind: ActorKind::Anonymous, id: "clinical".into(), roles: vec![] };
        let lock = |account| Source::of(&actor, Some("192.0.2.1"), account, &refusal("locked")).expect("a source");
        assert_eq!(lock(None), Source::Network("192.0.2.1".into()), "an account that does not exist");
        assert_eq!(recorded(&mut refusals, START, &lock(Some("clinical")), "locked", 100), 1);
    }

    /// After a restore of the coordinator every chain of the fleet is refused until it is answered.
    #[test]
    fn sec_1_refused_chains_of_a_fleet_leave_places_to_people() {
        let mut refusals = Refusals::default();
        for n in 0..20_000 {
            let chain = Source::Chain(format!("GW-{n}"));
            let records = recorded(&mut refusals, START, &chain, GAP, 3);
            assert_eq!(records, usize::from(n < CHAINS_MAX));
        }
        assert_eq!(refusals.chains, CHAINS_MAX);
        let later = START.plus_ms(CHAIN_WINDOW_MS);
        assert!(!refusals.take(later, false).is_empty());
        assert_eq!((refusals.chains, refusals.windows.len()), (0, 0), "places are free again");
        assert_eq!(recorded(&mut refusals, later, &Source::Chain("GW-1".into()), GAP, 3), 1);
        assert_eq!(recorded(&mut refusals, START, &Source::Account("clinical".into()), "locked", 2), 1);
        assert_eq!(recorded(&mut refusals, START, &Source::Person("nurse".into()), "permission", 9), 5);
    }

    /// A new epoch is no new gateway: windows and allowances are by its id alone.
    #[test]
    fn sec_1_a_new_epoch_brings_no_new_budget() {
        let gateway = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
        let mut refusals = Refusals::default();
        let codes = [FORK, GAP, STALE, EPOCH, HELD].into_iter().cycle().take(50);
        let admitted = codes.filter(|code| {
            let source = Source::of(&gateway, None, None, &refusal(code)).expect("a source");
            assert_eq!(source, Source::Chain("GW-1".into()));
            refusals.admits(START, source, &refusal(code), String::new)
        });
        assert_eq!(admitted.count(), 4, "records of an hour, over all epochs");
        let mut allowances = Allowances::default();
        assert_eq!((0..100).filter(|_| allowances.take(START, &gateway, 10 << 20, 1 << 20)).count(), 10);
    }

    #[test]
    fn sec_1_a_gateway_has_a_daily_allowance_of_bytes() {
        let mut allowances = Allowances::default();
        let gateway = Actor { kind: ActorKind::Gateway, id: "GW-1".into(), roles: vec![] };
        let taken = |allowances: &mut Allowances, at: UtcMillis| {
            (0..100_000).take_while(|_| allowances.take(at, &gateway, 10 << 20, 1 << 20)).count()
        };
        assert_eq!(taken(&mut allowances, START), 10);
        assert_eq!(taken(&mut allowances, START.plus_ms(DAY_MS / 10)), 1);
        let seconds = (1..=DAY_MS / 1_000).filter(|s| {
            let now = START.plus_ms(DAY_MS / 10 + s * 1_000);
            allowances.take(now, &gateway, 10 << 20, 1_000)
        });
        let bytes = seconds.count() * 1_000;
        assert!((9 << 20..11 << 20).contains(&bytes), "as much in a day as it may, however often it tries: {bytes}");
    }

    #[test]
    fn sec_1_anomalies_of_a_gateway_are_bounded() {
        let mut allowances = Allowances::default();
        assert_eq!((0..1_000).filter(|_| allowances.admits_anomaly(START, "GW-1")).count(), 16);
        assert!(allowances.admits_anomaly(START, "GW-2"));
        assert!(allowances.admits_anomaly(START.plus_ms(ANOMALIES_MS), "GW-1"));
    }
}
