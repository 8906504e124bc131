//! Who may still decide what: withdrawals, rollback orders, and how fresh roster and withdrawals are (DESIGN §10.2, §10.3).

use std::collections::BTreeSet;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::{CLOCK_TOLERANCE_MS, COSIGNATURE_AGE_MAX_MS, ROLLBACK_ORDERS_MAX};
use mdfm_shared::sign::Signed;
use mdfm_shared::text;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{RollbackOrderEvidence, VerifiedOrder, Withdrawals};
use mdfm_shared::wire;

use super::kept::Warned;
use super::{Question, Refused, Taken, Then, Trust, refused, same_size_same_root};
use crate::installer::Authority;
use crate::store::Write;

pub(super) const WITHDRAWALS_KEY: &str = "trust/withdrawals";
pub(super) const ORDER_PREFIX: &str = "trust/order/";
/// Rollback orders held; the one that expires first goes first.
const ORDERS_MAX: usize = 64;
const DAY_MS: u64 = 86_400_000;
/// Days before its end at which a document is warned about; the end itself is a [`Bar`].
const WARNING_DAYS: [u64; 4] = [30, 14, 7, 1];

/// Why nothing new is started, whatever the directive says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bar {
    /// The wall clock lies behind trusted time.
    ClockBehind,
    /// A document was signed later than the wall clock says it is.
    SignedAhead,
    /// No roster is held that the newest trust root vouches for.
    RosterMissing,
    /// The roster has expired.
    RosterExpired,
    /// The withdrawals have expired.
    WithdrawalsExpired,
    /// The roster demands withdrawals that are not held.
    WithdrawalsMissing,
}

impl Bar {
    /// What it is about, as in [`mdfm_shared::telemetry::EventKind::Refused`].
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::ClockBehind | Self::SignedAhead => "clock",
            Self::RosterMissing | Self::RosterExpired => "trust",
            Self::WithdrawalsExpired | Self::WithdrawalsMissing => "withdrawals",
        }
    }
}

/// The end of a roster or of withdrawals that draws near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Which document.
    pub(crate) name: &'static str,
    pub(crate) version: u64,
    pub(crate) expires_at: UtcMillis,
    /// How many of the warnings are due.
    stage: u32,
}

impl Expiry {
    fn of(name: &'static str, version: u64, (issued_at, expires_at): (UtcMillis, UtcMillis), now: UtcMillis) -> Self {
        let life_ms = expires_at.since_ms(issued_at);
        let due = |days: &&u64| life_ms > **days * DAY_MS && now.plus_ms(**days * DAY_MS) >= expires_at;
        let stage = WARNING_DAYS.iter().filter(due).count();
        Self { name, version, expires_at, stage: u32::try_from(stage).unwrap_or(u32::MAX) }
    }

    /// The warning, in words; `None` while the end is far.
    pub(crate) fn warning(&self, now: UtcMillis) -> Option<String> {
        let (name, version, at) = (self.name, self.version, self.expires_at);
        let left_ms = at.since_ms(now);
        let left = match left_ms / DAY_MS {
            0 => "less than a day".to_owned(),
            days => text::count(days, "day"),
        };
        (self.stage > 0 && left_ms > 0)
            .then(|| format!("the {name} version {version} expires at {at}, in {left}; a newer one has not arrived"))
    }
}

impl Trust {
    /// Takes newer withdrawals.
    pub(crate) fn take_withdrawals(&mut self, frame: &[u8], now: UtcMillis) -> Result<Taken, Refused> {
        let refuse = refused("withdrawals");
        let signed: Signed<Withdrawals> = wire::decode(frame).map_err(|e| refuse(&e))?;
        if self.withdrawals.as_ref().is_some_and(|held| held.digest() == signed.digest()) {
            return Ok(Taken::Nothing);
        }
        let lost = self.marks.lost_withdrawals(self.union.current());
        let held = self.withdrawals.as_deref().or(lost.as_ref());
        let roster = self.roster.as_deref();
        let withdrawals = Withdrawals::accept(&signed, &self.root, roster, held, now).map_err(|e| refuse(&e))?;
        self.besides.signed_times.push(withdrawals.issued_at);
        self.union.add(&withdrawals);
        self.marks.withdrawals_version = withdrawals.version;
        (self.withdrawals, self.withdrawals_frame) = (Some(withdrawals), Some(frame.to_vec()));
        let document = (WITHDRAWALS_KEY.to_owned(), Some(frame.to_vec()));
        Ok(Taken::Accepted(vec![document, self.union.write(), self.marks.write()]))
    }

    /// Verifies the withdrawals again under root and roster of now. Where their signer may no longer sign they are dropped: what they
    /// named stays withdrawn, and nothing new is started until newer ones arrive. Returns whether they may stay on disk.
    pub(super) fn recheck_withdrawals(&mut self) -> bool {
        let Some(frame) = &self.withdrawals_frame else { return true };
        // Their time was checked when they were taken.
        let accept = |s: Signed<Withdrawals>| {
            Withdrawals::accept(&s, &self.root, self.roster.as_deref(), None, UtcMillis(u64::MAX)).ok()
        };
        match wire::decode::<Signed<Withdrawals>>(frame).ok().and_then(accept) {
            Some(withdrawals) => self.withdrawals = Some(withdrawals),
            // The next roster decides.
            None if self.roster.is_none() => {}
            None => {
                (self.withdrawals, self.withdrawals_frame) = (None, None);
                // How far a signer without authority counted binds nobody; the next ones of whoever has it do.
                self.marks.withdrawals_version = 1;
                self.union.end();
                self.besides.writes.push(self.union.write());
            }
        }
        self.withdrawals_frame.is_some()
    }

    /// Why a release was withdrawn; `None` if it was not.
    pub(crate) fn withdrawn(&self, manifest: Digest) -> Option<&String> {
        self.union.reason(manifest)
    }

    /// Releases that were ever withdrawn on this gateway.
    pub(crate) fn withdrawn_count(&self) -> usize {
        self.union.len()
    }

    pub(crate) fn withdrawals_version(&self) -> u64 {
        self.withdrawals.as_ref().map_or(0, |w| w.version)
    }

    /// Digest of the newest frame of rollback orders that was processed; zeroes before the first.
    pub(crate) fn orders_frame(&self) -> Digest {
        self.marks.orders_frame.unwrap_or(Digest([0; 32]))
    }

    /// Digests of the orders that are held.
    pub(crate) fn order_digests(&self) -> impl Iterator<Item = Digest> {
        self.orders.keys().copied()
    }

    pub(super) fn verify_order(&self, evidence: &RollbackOrderEvidence) -> Result<VerifiedOrder, Refused> {
        let refuse = refused("rollbackOrder");
        let roster = self.roster.as_ref().ok_or_else(|| refuse(&"no approver roster has arrived yet"))?;
        evidence.verify(&self.root, roster).map_err(|e| refuse(&e))
    }

    /// Takes the rollback orders of a frame, each once its checkpoint is shown to be of the log that this gateway knows. What does not
    /// verify is refused by itself; the others count.
    pub(crate) fn take_orders(&mut self, frame: &[u8], now: UtcMillis) -> Result<Taken, Refused> {
        let refuse = refused("rollbackOrder");
        let digest = Digest::of(frame);
        if self.marks.orders_frame == Some(digest) || self.roster.is_none() {
            return Ok(Taken::Nothing);
        }
        let orders: Vec<RollbackOrderEvidence> = wire::decode(frame).map_err(|e| refuse(&e))?;
        if orders.len() > ROLLBACK_ORDERS_MAX {
            return Err(refuse(&format!("{} orders, at most {ROLLBACK_ORDERS_MAX} are accepted", orders.len())));
        }
        for evidence in orders {
            let verified = match self.verify_order(&evidence) {
                Ok(verified) => verified,
                Err(problem) => {
                    self.besides.problems.push(problem);
                    continue;
                }
            };
            if self.orders.contains_key(&verified.order().digest()) {
                continue;
            }
            if now >= verified.order().expires_at {
                let (label, at) = (&verified.order().label, verified.order().expires_at);
                self.besides.problems.push(refuse(&format!("{label} expired at {at}")));
                continue;
            }
            match self.place(&verified, &evidence, frame) {
                Ok(None) => self.hold_order(verified, &evidence, now),
                Ok(Some(question)) => return Ok(Taken::Asks(Box::new(question))),
                Err(problem) => self.besides.problems.push(problem),
            }
        }
        self.marks.orders_frame = Some(digest);
        Ok(Taken::Accepted(vec![self.marks.write()]))
    }

    /// Whether an order's checkpoint is of the log that is known; the question that must be answered first, if there is one.
    fn place(
        &mut self,
        verified: &VerifiedOrder,
        evidence: &RollbackOrderEvidence,
        frame: &[u8],
    ) -> Result<Option<Question>, Refused> {
        let found = verified.checkpoint().clone();
        let Some((held, _)) = self.checkpoint.clone() else {
            let writes = self.advance(found, evidence.checkpoint.clone());
            self.besides.writes.extend(writes);
            return Ok(None);
        };
        same_size_same_root(&held, &found)?;
        if found.size == held.size || self.shown.as_ref() == Some(&found) {
            return Ok(None);
        }
        let newer = found.size > held.size;
        let advance = newer.then(|| evidence.checkpoint.clone());
        let (old, new) = if newer { (held, found) } else { (found, held) };
        Ok(Some(Question { old, new, then: Then::Orders { frame: frame.to_vec(), advance } }))
    }

    fn hold_order(&mut self, verified: VerifiedOrder, evidence: &RollbackOrderEvidence, now: UtcMillis) {
        let digest = verified.order().digest();
        if let Ok(Some(at)) = self.root.witnesses().cosigned_at(evidence.checkpoint.as_bytes(), UtcMillis(u64::MAX)) {
            self.besides.signed_times.push(at);
        }
        let mut writes = vec![(format!("{ORDER_PREFIX}{digest}"), Some(wire::encode(evidence)))];
        self.orders.insert(digest, (verified, evidence.clone()));
        let expired: Vec<Digest> =
            self.orders.iter().filter(|(_, (o, _))| now >= o.order().expires_at).map(|(d, _)| *d).collect();
        let surplus = self.orders.len().saturating_sub(expired.len()).saturating_sub(ORDERS_MAX);
        let mut by_end: Vec<(UtcMillis, Digest)> =
            self.orders.iter().map(|(d, (o, _))| (o.order().expires_at, *d)).collect();
        by_end.sort_unstable();
        let first = by_end.into_iter().map(|(_, d)| d).filter(|d| !expired.contains(d)).take(surplus);
        for gone in expired.iter().copied().chain(first).collect::<BTreeSet<_>>() {
            self.orders.remove(&gone);
            writes.push((format!("{ORDER_PREFIX}{gone}"), None));
        }
        self.besides.writes.extend(writes);
    }

    /// Drops the orders that root and roster no longer support.
    pub(super) fn recheck_orders(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        // The coordinator sends the newest frame again: an order that did not verify may do so now.
        self.marks.orders_frame = None;
        for (digest, (_, evidence)) in std::mem::take(&mut self.orders) {
            match self.verify_order(&evidence) {
                Ok(verified) => drop(self.orders.insert(digest, (verified, evidence))),
                Err(_) => writes.push((format!("{ORDER_PREFIX}{digest}"), None)),
            }
        }
        writes
    }

    /// The orders by which a device may leave a release.
    pub(super) fn authorities(&self, device: &DeviceId, manifest: Digest) -> Vec<Authority> {
        let covering = self.orders.values().filter(|(o, _)| o.order().covers(device, manifest));
        let authority = |(verified, _): &(VerifiedOrder, RollbackOrderEvidence)| {
            let order = verified.order();
            Authority {
                order: order.digest(),
                label: order.label.clone(),
                // Only an order that names its devices may do so.
                below_floor: order.below_floor && order.devices.contains(device),
                expires_at: order.expires_at,
            }
        };
        covering.map(authority).collect()
    }

    /// The orders held that have not expired, by name.
    pub(crate) fn order_labels(&self, now: UtcMillis) -> Vec<String> {
        let valid = self.orders.values().filter(|(o, _)| now < o.order().expires_at);
        valid.map(|(o, _)| format!("{} (until {})", o.order().label, o.order().expires_at)).collect()
    }

    /// Refuses a release whose cosignatures are too old: what was revoked since then may be withheld. Those of a witness whose clock is ahead would be
    /// new for as long as it was ahead, so that they show nothing before their time has come.
    pub(super) fn check_cosignature_age(&self, note: &str, now: UtcMillis) -> Result<(), Refused> {
        let refuse = refused("release");
        let latest = now.plus_ms(CLOCK_TOLERANCE_MS);
        match self.root.witnesses().cosigned_at(note.as_bytes(), latest).map_err(|e| refuse(&e))? {
            Some(at) if at > latest => Err(refuse(&format!(
                "the witnesses cosigned its checkpoint at {at}, and here it is {now}: their clock or this gateway's is wrong; set it, and the \
                 coordinator sends the release again under a newer checkpoint"
            ))),
            Some(at) if now.since_ms(at) > COSIGNATURE_AGE_MAX_MS => {
                let days = COSIGNATURE_AGE_MAX_MS / DAY_MS;
                Err(refuse(&format!(
                    "the witnesses cosigned its checkpoint at {at}, more than {days} days before {now}; the coordinator must prove it \
                     under a newer checkpoint"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Why nothing new is started now, each cause once; `wall` is the wall clock and `now` trusted time.
    pub(crate) fn bars(&self, wall: UtcMillis, now: UtcMillis) -> Vec<(Bar, String)> {
        let mut bars = Vec::new();
        let behind_ms = now.since_ms(wall);
        if behind_ms > CLOCK_TOLERANCE_MS {
            let behind = match behind_ms / 60_000 {
                minutes if minutes < 2 * 1_440 => text::count(minutes, "minute"),
                minutes => text::count(minutes / 1_440, "day"),
            };
            let text = format!(
                "the clock says {wall}, {behind} before {now}, which this gateway has already seen; set the clock (timedatectl), or, if it is right, have root accept it (mdfm-agent accept-clock)"
            );
            bars.push((Bar::ClockBehind, text));
        }
        let signed = [
            ("the roster", self.roster.as_ref().and_then(|r| r.freshness).map(|f| f.issued_at)),
            ("the withdrawals document", self.withdrawals.as_ref().map(|w| w.issued_at)),
            ("the directive", self.directive.as_ref().map(|d| d.issued_at)),
        ];
        let ahead = |at: &UtcMillis| at.since_ms(wall) > CLOCK_TOLERANCE_MS;
        if let Some((name, at)) = signed.into_iter().find_map(|(name, at)| Some((name, at.filter(ahead)?))) {
            let text = format!("{name} was signed at {at}, but the clock says {wall}; one of them is wrong");
            bars.push((Bar::SignedAhead, text));
        }
        // A gateway that has just been enrolled has heard nothing yet.
        if self.roster.is_none() && self.root.version > 1 && self.checkpoint.is_some() {
            let text =
                format!("no approver roster holds under trust root {}; the vendor must publish one", self.root.version);
            bars.push((Bar::RosterMissing, text));
        }
        let freshness = self.roster.as_ref().and_then(|r| r.freshness);
        if let Some(freshness) = freshness.filter(|f| now >= f.expires_at) {
            let text =
                format!("the approver roster expired at {}; the vendor must publish a newer one", freshness.expires_at);
            bars.push((Bar::RosterExpired, text));
        }
        let (held, version) = (self.withdrawals.as_ref(), self.withdrawals_version());
        if let Some(withdrawals) = held.filter(|w| now >= w.expires_at) {
            let text =
                format!("the withdrawals expired at {}; the vendor must publish newer ones", withdrawals.expires_at);
            bars.push((Bar::WithdrawalsExpired, text));
        }
        let demanded = freshness.map_or(0, |f| f.withdrawals_version).max(self.marks.withdrawals_version);
        if version < demanded {
            let text = format!(
                "withdrawals version {demanded} or newer is needed and has not arrived; version {version} is held"
            );
            bars.push((Bar::WithdrawalsMissing, text));
        }
        bars
    }

    /// When roster and withdrawals end.
    pub(crate) fn expiries(&self, now: UtcMillis) -> Vec<Expiry> {
        let roster = self.roster.as_ref().and_then(|r| Some((r.version, r.freshness?)));
        let roster = roster.map(|(v, f)| Expiry::of("approver roster", v, (f.issued_at, f.expires_at), now));
        let withdrawals = self.withdrawals.as_ref();
        let withdrawals = withdrawals.map(|w| Expiry::of("withdrawals", w.version, (w.issued_at, w.expires_at), now));
        roster.into_iter().chain(withdrawals).collect()
    }

    /// The warnings that are due and were not given yet, with the write that remembers them.
    pub(crate) fn due_warnings(&mut self, now: UtcMillis) -> (Vec<String>, Option<Write>) {
        let mut warnings = Vec::new();
        for expiry in self.expiries(now) {
            let is_roster = expiry.name == "approver roster";
            let warned = if is_roster { &mut self.marks.warned_roster } else { &mut self.marks.warned_withdrawals };
            let due = Warned { version: expiry.version, stage: expiry.stage };
            let is_new = warned.version != due.version || warned.stage < due.stage;
            if let Some(warning) = expiry.warning(now).filter(|_| is_new) {
                *warned = due;
                warnings.push(warning);
            }
        }
        let write = (!warnings.is_empty()).then(|| self.marks.write());
        (warnings, write)
    }
}
