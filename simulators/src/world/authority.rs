//! Who may decide what, asked after every event (DESIGN §10.2 to §10.4): the recall window and the orders that reach further, what is
//! withdrawn, documents that expire, and the time by which a gateway judges. Everything here is known from what people signed and
//! from the clocks of the world; of the agent it asks which versions it holds, never what it concludes.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_agent_core::gateway::Held;
use mdfm_agent_core::installer::Now;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, GatewayId};
use mdfm_shared::limits::{CLOCK_LEAD_MAX_MS, CLOCK_TOLERANCE_MS};
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::{MonotonicMs, UtcMillis};

use super::oracle::Broken;

/// Clocks of a world may run apart by so much while a message is under way.
const SLACK_MS: u64 = 2_000;

/// A document with an end: when it was signed, when it expires.
#[derive(Debug, Clone, Copy)]
struct Life {
    expires_at: UtcMillis,
    /// Withdrawals without which nothing new is started.
    withdrawals: u64,
}

/// What is known of one gateway.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// Manifests that a version it has held withdraws. It only grows.
    withdrawn: BTreeSet<Digest>,
    /// A time that was proved to it, with the boot and the monotonic time at which that was.
    proved: Option<(UtcMillis, u64, MonotonicMs)>,
    directive: u64,
}

/// A device that was confirmed.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    sha256: Digest,
    /// Trusted time of its gateway when that was first seen.
    at: UtcMillis,
}

/// What people signed, and what each gateway holds of it.
#[derive(Debug, Default)]
pub(super) struct Authority {
    rosters: BTreeMap<u64, Life>,
    withdrawals: BTreeMap<u64, (Life, BTreeSet<Digest>)>,
    /// Manifest of each image, and its recall window.
    releases: BTreeMap<Digest, (Digest, u64)>,
    /// Manifest that each order sends back.
    orders: BTreeMap<Digest, Digest>,
    gateways: BTreeMap<GatewayId, Known>,
    confirmed: BTreeMap<DeviceId, Confirmed>,
}

macro_rules! must {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(Broken::new(&format!($($words)*)));
        }
    };
}

impl Authority {
    pub(super) fn release(&mut self, sha256: Digest, manifest: Digest, recall_window_ms: u64) {
        self.releases.insert(sha256, (manifest, recall_window_ms));
    }

    pub(super) fn roster(&mut self, version: u64, expires_at: UtcMillis, withdrawals: u64) {
        self.rosters.insert(version, Life { expires_at, withdrawals });
    }

    pub(super) fn withdrawals(&mut self, version: u64, expires_at: UtcMillis, manifests: BTreeSet<Digest>) {
        self.withdrawals.insert(version, (Life { expires_at, withdrawals: 0 }, manifests));
    }

    pub(super) fn order(&mut self, order: Digest, manifest: Digest) {
        self.orders.insert(order, manifest);
    }

    /// Another machine takes a gateway's place: it knows what it is sent from now on.
    pub(super) fn replaced(&mut self, gateway: &GatewayId) {
        self.gateways.remove(gateway);
    }

    /// What a gateway knows now, for a copy of its disk.
    pub(super) fn known(&self, gateway: &GatewayId) -> Known {
        self.gateways.get(gateway).cloned().unwrap_or_default()
    }

    /// A gateway's disk is put back: it knows what it did then. What was withdrawn since it learns again before it starts anything, as
    /// the roster demands it; how much time passed since then it cannot know.
    pub(super) fn put_back(&mut self, gateway: &GatewayId, then: Known) {
        self.gateways.insert(gateway.clone(), then);
    }

    /// After everything that a gateway does: `trusted` is the time by which it judges, `boot` the boot it is in.
    pub(super) fn after(
        &mut self,
        gateway: &GatewayId,
        held: &Held,
        is_withdrawn: impl Fn(Digest) -> bool,
        (now, trusted): (Now, UtcMillis),
        boot: u64,
    ) -> Result<(), Broken> {
        let known = self.gateways.entry(gateway.clone()).or_default();
        if let Some((_, manifests)) = self.withdrawals.get(&held.withdrawals) {
            known.withdrawn.extend(manifests);
        }
        for manifest in &known.withdrawn {
            must!(is_withdrawn(*manifest), "DESIGN 10.3: {gateway} forgot that {manifest} is withdrawn");
        }
        if let Some((serial, issued_at)) = held.directive
            && serial > known.directive
        {
            known.directive = serial;
            // One signature moves no clock by more than a minute.
            let proved = issued_at.min(now.utc.plus_ms(CLOCK_LEAD_MAX_MS));
            if known.proved.is_none_or(|(before, ..)| proved > before) {
                known.proved = Some((proved, boot, now.mono));
            }
        }
        must!(trusted >= now.utc, "DESIGN 10.4: {gateway} judges by {trusted}, and its own clock says {}", now.utc);
        if let Some((proved, then, at)) = known.proved {
            let passed_ms = if then == boot { now.mono.since_ms(at).saturating_sub(SLACK_MS) } else { 0 };
            let bound = proved.plus_ms(passed_ms);
            must!(trusted >= bound, "DESIGN 10.4: {gateway} judges by {trusted}; it was shown that it is {bound}");
        }
        Ok(())
    }

    /// A gateway orders a device to boot a new image.
    pub(super) fn activation(
        &self,
        gateway: &GatewayId,
        device: &DeviceId,
        sha256: Digest,
        held: &Held,
        (now, trusted): (Now, UtcMillis),
    ) -> Result<(), Broken> {
        let roster = self.rosters.get(&held.roster);
        must!(
            roster.is_none_or(|r| trusted < r.expires_at.plus_ms(SLACK_MS)),
            "DESIGN 10.3: {device} is activated at {trusted} under an expired roster"
        );
        must!(
            roster.is_none_or(|r| held.withdrawals >= r.withdrawals),
            "DESIGN 10.3: {device} is activated under withdrawals {}, the roster demands more",
            held.withdrawals
        );
        let withdrawals = self.withdrawals.get(&held.withdrawals);
        must!(
            withdrawals.is_none_or(|(w, _)| trusted < w.expires_at.plus_ms(SLACK_MS)),
            "DESIGN 10.3: {device} is activated at {trusted} under expired withdrawals"
        );
        let withdrawn = self.gateways.get(gateway).map(|k| &k.withdrawn);
        let is_withdrawn = |manifest: &Digest| withdrawn.is_some_and(|w| w.contains(manifest));
        must!(
            !self.releases.get(&sha256).is_some_and(|(manifest, _)| is_withdrawn(manifest)),
            "DESIGN 10.3: {device} is activated on {sha256}, which is withdrawn"
        );
        must!(
            trusted.since_ms(now.utc) <= CLOCK_TOLERANCE_MS + SLACK_MS,
            "DESIGN 10.4: {device} is activated while the clock of {gateway} says {} and {trusted} is proved",
            now.utc
        );
        Ok(())
    }

    /// An installation moved as its gateway sees it.
    pub(super) fn moved(
        &mut self,
        device: &DeviceId,
        (before, after): (InstallState, InstallState),
        running: Digest,
        held: &Held,
        trusted: UtcMillis,
    ) -> Result<(), Broken> {
        match (before, after) {
            (_, InstallState::Confirmed) => {
                self.confirmed.insert(device.clone(), Confirmed { sha256: running, at: trusted });
            }
            (InstallState::Confirmed, InstallState::RollingBack) => {
                let Some(confirmed) = self.confirmed.get(device) else { return Ok(()) };
                let Some((manifest, window_ms)) = self.releases.get(&confirmed.sha256) else { return Ok(()) };
                let in_time = trusted <= confirmed.at.plus_ms(window_ms + SLACK_MS);
                let is_ordered = held.orders.iter().any(|o| self.orders.get(o) == Some(manifest));
                must!(
                    in_time || is_ordered,
                    "DESIGN 10.2: {device} leaves firmware that it confirmed at {} at {trusted}: after the recall window \
                     of {window_ms} ms, and nobody ordered it",
                    confirmed.at
                );
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: UtcMillis = UtcMillis(1_800_000_000_000);
    const HOUR_MS: u64 = 3_600_000;
    const RELEASE: (Digest, Digest) = (Digest([1; 32]), Digest([2; 32]));
    const ORDER: Digest = Digest([3; 32]);

    fn gateway() -> GatewayId {
        "GW-1".parse().expect("a good id")
    }

    fn device() -> DeviceId {
        "DEV-1".parse().expect("a good id")
    }

    fn held(version: u64) -> Held {
        Held { roster: version, withdrawals: version, directive: Some((1, T)), orders: Vec::new() }
    }

    fn at(mono: u64, utc: UtcMillis) -> Now {
        Now { mono: MonotonicMs(mono), utc }
    }

    /// Version 1 of everything lives an hour, version 2 two hours and withdraws the release.
    fn signed() -> Authority {
        let mut authority = Authority::default();
        authority.release(RELEASE.0, RELEASE.1, 1_000);
        authority.order(ORDER, RELEASE.1);
        for version in [1, 2] {
            let named = (version == 2).then_some(RELEASE.1).into_iter().collect();
            authority.roster(version, T.plus_ms(version * HOUR_MS), version - 1);
            authority.withdrawals(version, T.plus_ms(version * HOUR_MS), named);
        }
        authority
    }

    fn activates(authority: &Authority, held: &Held, now: Now, trusted: UtcMillis) -> Result<(), Broken> {
        authority.activation(&gateway(), &device(), RELEASE.0, held, (now, trusted))
    }

    #[test]
    fn sec_12_an_oracle_sees_what_is_withdrawn_or_expired() {
        let mut authority = signed();
        activates(&authority, &held(1), at(0, T), T).expect("nothing is in the way");
        let late = T.plus_ms(HOUR_MS + SLACK_MS);
        let expired = activates(&authority, &held(1), at(0, late), late).expect_err("an expired roster");
        assert!(expired.to_string().contains("expired roster"), "{expired}");
        let missing = Held { withdrawals: 0, ..held(2) };
        assert!(
            activates(&authority, &missing, at(0, T), T).expect_err("too old").to_string().contains("demands more")
        );
        authority.after(&gateway(), &held(2), |_| true, (at(0, T), T), 1).expect("it knows");
        // Whatever it says that it holds now, it held the withdrawal once.
        let withdrawn = activates(&authority, &held(1), at(0, T), T).expect_err("withdrawn");
        assert!(withdrawn.to_string().contains("is withdrawn"), "{withdrawn}");
        let forgot = authority.after(&gateway(), &held(1), |_| false, (at(0, T), T), 2).expect_err("forgotten");
        assert!(forgot.to_string().contains("forgot"), "{forgot}");
    }

    #[test]
    fn sec_12_an_oracle_sees_a_way_back_after_the_window() {
        let way_back = |after_ms: u64, orders: Vec<Digest>| {
            let mut authority = signed();
            let held = Held { orders, ..held(1) };
            let (staged, confirmed, back) =
                (InstallState::Probation, InstallState::Confirmed, InstallState::RollingBack);
            authority.moved(&device(), (staged, confirmed), RELEASE.0, &held, T).expect("confirmed");
            authority.moved(&device(), (confirmed, back), RELEASE.0, &held, T.plus_ms(after_ms))
        };
        way_back(1_000, Vec::new()).expect("within the window");
        let late = way_back(1_001 + SLACK_MS, Vec::new()).expect_err("nobody ordered it");
        assert!(late.to_string().contains("recall window"), "{late}");
        way_back(HOUR_MS, vec![ORDER]).expect("a person ordered it");
        way_back(HOUR_MS, vec![Digest([9; 32])]).expect_err("nobody signed that");
    }

    #[test]
    fn sec_13_an_oracle_sees_time_that_falls() {
        let mut authority = signed();
        let after = |authority: &mut Authority, now, trusted, boot| {
            authority.after(&gateway(), &held(1), |_| true, (now, trusted), boot)
        };
        after(&mut authority, at(0, T), T, 1).expect("the right time");
        let day_before = UtcMillis(T.0 - 24 * HOUR_MS);
        after(&mut authority, at(HOUR_MS, day_before), T, 1).expect_err("an hour has passed in this boot");
        after(&mut authority, at(HOUR_MS, day_before), T.plus_ms(HOUR_MS), 1).expect("it counts");
        after(&mut authority, at(5, day_before), T, 2).expect("nobody knows how long it was off");
        after(&mut authority, at(5, day_before), UtcMillis(T.0 - 1), 2).expect_err("before what was proved");
        let behind = activates(&authority, &held(1), at(0, day_before), T).expect_err("the clock is behind");
        assert!(behind.to_string().contains("the clock of"), "{behind}");
    }
}
