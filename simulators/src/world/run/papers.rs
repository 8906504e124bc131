//! What people sign beside approvals: rosters and withdrawals that expire, and orders to go back.

use std::collections::BTreeSet;

use mdfm_shared::digest::Digest;
use mdfm_shared::limits::CLOCK_TOLERANCE_MS;
use mdfm_shared::trust::{Freshness, Withdrawal, Withdrawals};

use super::super::act::Act;
use super::super::oracle::Broken;
use super::super::setup;
use super::{Event, World};

/// What is to be signed next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Paper {
    Renewal,
    Withdrawal(usize),
    Order(usize),
}

impl World<'_> {
    /// Who signs what, and when.
    pub(super) fn await_papers(&mut self) {
        let Some(authority) = self.scenario.authority.clone() else { return };
        for at_s in authority.renewals_s {
            self.after(at_s * 1_000, Event::Paper(Paper::Renewal));
        }
        for (at_s, release) in authority.withdraw {
            self.after(at_s * 1_000, Event::Paper(Paper::Withdrawal(release)));
        }
        for (at_s, release) in authority.order_back {
            self.after(at_s * 1_000, Event::Paper(Paper::Order(release)));
        }
    }

    fn manifest_of(&self, release: usize) -> Digest {
        setup::signed_manifest(&setup::manifest(release, &self.scenario.release[release - 1])).digest()
    }

    /// Signs the next roster and the next withdrawals, which name `more` too.
    pub(super) fn renew(&mut self, more: Option<Digest>) -> Result<bool, Broken> {
        let Some(authority) = &self.scenario.authority else { return Ok(true) };
        // A clock that was ahead within the tolerance is followed until the right one has caught up: what is signed last outlives that.
        let more_ms = if self.calm { CLOCK_TOLERANCE_MS } else { 0 };
        let (issued_at, expires_at) = (self.utc(), self.utc().plus_ms(authority.life_s * 1_000 + more_ms));
        // Whoever signs looks at what stands: the coordinator may have lost power before it took the last ones.
        let standing = self.coordinator.withdrawals_version();
        self.withdrawals.retain(|w| w.version <= standing);
        let version = standing + 1;
        let mut releases = self.withdrawals.last().map_or_else(Vec::new, |w| w.releases.clone());
        if let Some(manifest) = more.filter(|m| releases.iter().all(|w| w.manifest != *m)) {
            releases.push(Withdrawal { manifest, reason: "rehearsed".into(), at: issued_at });
        }
        let withdrawals = Withdrawals { version, issued_at, expires_at, releases };
        let named: BTreeSet<Digest> = withdrawals.releases.iter().map(|w| w.manifest).collect();
        self.oracle.authority.withdrawals(version, expires_at, named);
        // The first roster brings the accounts of those who sign.
        self.roster_version += 1;
        let demanded = version - 1;
        let freshness = Freshness { issued_at, expires_at, withdrawals_version: demanded };
        self.oracle.authority.roster(self.roster_version, expires_at, demanded);
        let roster = setup::roster(self.roster_version, Some(freshness));
        let done = self.act("admin", Act::Roster(roster))?
            && self.act("admin", Act::Withdrawals(setup::withdrawals(&withdrawals)))?;
        self.withdrawals.push(withdrawals);
        Ok(done)
    }

    pub(super) fn sign_paper(&mut self, paper: Paper) -> Result<(), Broken> {
        if !self.coordinator_up {
            self.after(5_000, Event::Paper(paper));
            return Ok(());
        }
        self.say("people", &format!("sign: {paper:?}"));
        match paper {
            Paper::Renewal => self.renew(None).map(drop),
            Paper::Withdrawal(release) => {
                let manifest = self.manifest_of(release);
                self.renew(Some(manifest)).map(drop)
            }
            Paper::Order(release) => {
                let manifest = self.manifest_of(release);
                let order = setup::rollback_order(release, manifest, self.utc());
                self.oracle.authority.order(order.digest(), manifest);
                self.act("clinical", Act::RollbackOrder(order)).map(drop)
            }
        }
    }
}
