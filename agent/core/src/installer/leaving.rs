//! Leaving a confirmed release: by whose word, and how long (DESIGN §10.2).

use mdfm_shared::limits::CLOCK_TOLERANCE_MS;
use mdfm_shared::telemetry::{EventKind, FirmwareReport, NEEDS_ROLLBACK_ORDER, REFUSED_ROLLBACK, ROLLBACK_ORDERED};
use mdfm_shared::time::UtcMillis;

use super::state::{Phase, Plan};
use super::step::{Cause, Installer, Step};
use super::{Authority, DesiredState, Now};

impl Installer {
    /// Whether the coordinator wants this release left.
    pub(super) fn is_called_back(&self, plan: &Plan) -> bool {
        matches!(&self.desired, Some(DesiredState::Rollback { manifest, .. }) if *manifest == plan.manifest)
    }

    /// Whether the directive alone may call the device back from what it has confirmed. A confirmation that lies in the future was
    /// dated by a wrong clock, and opens nothing.
    pub(super) fn recall_is_open(&self, now: Now) -> bool {
        let is_past = self.journal.confirmed_at.is_some_and(|at| at.since_ms(now.utc) <= CLOCK_TOLERANCE_MS);
        is_past && self.journal.recall_ends_at().is_some_and(|end| now.utc < end)
    }

    /// The floor that a directive may raise at most: the security version that the device has confirmed, once the recall window has
    /// ended; until then that of the firmware before, so that the online key alone takes no way back from a device.
    pub(super) fn floor_max(&self, now: Now, confirmed: &FirmwareReport) -> u32 {
        let before =
            self.journal.plan.as_ref().filter(|_| self.journal.phase == Phase::Confirmed && self.recall_is_open(now));
        let found = before.map_or(u32::MAX, |plan| plan.fallback.security_version);
        found.min(confirmed.security_version)
    }

    /// The rollback order by which the device may leave its confirmed release; `None` if it needs none.
    ///
    /// # Errors
    /// Why it stays, in words that do not change with time.
    fn authority_to_leave(&self, now: Now, plan: &Plan) -> Result<Option<Authority>, String> {
        if !plan.knows_fallback() {
            return Err("rollback refused: no other firmware was installed before".into());
        }
        let (found, floor) = (plan.fallback.security_version, self.journal.security_floor);
        let is_below = found < floor;
        let Some(DesiredState::Rollback { authorities, fallback_withdrawn, .. }) = &self.desired else {
            return Ok(None);
        };
        if !is_below && fallback_withdrawn.is_none() && self.recall_is_open(now) {
            return Ok(None);
        }
        let counts = |a: &&Authority| {
            now.utc < a.expires_at && (a.below_floor || !is_below) && !self.journal.orders_done.contains(&a.order)
        };
        if let Some(authority) = authorities.iter().find(counts) {
            return Ok(Some(authority.clone()));
        }
        let ended_at = self.journal.recall_ends_at().unwrap_or(UtcMillis(0));
        Err(if is_below {
            format!(
                "rollback refused: security version {found} of the firmware before is below the floor {floor}; {NEEDS_ROLLBACK_ORDER} \
                 that names this device and allows it to go below its floor"
            )
        } else if let Some(reason) = fallback_withdrawn.as_ref().filter(|_| self.recall_is_open(now)) {
            format!("rollback refused: the firmware before was withdrawn ({reason}); {NEEDS_ROLLBACK_ORDER}")
        } else {
            format!(
                "rollback refused: the time in which the coordinator alone may order this device back ended at {ended_at}; \
                 {NEEDS_ROLLBACK_ORDER}"
            )
        })
    }

    /// Why the device stays although the coordinator calls it back; `None` if it does not stay.
    pub(crate) fn why_it_stays(&self, now: Now) -> Option<String> {
        let plan =
            self.journal.plan.as_ref().filter(|p| self.journal.phase == Phase::Confirmed && self.is_called_back(p))?;
        self.authority_to_leave(now, plan).err()
    }

    /// Confirmed: does the coordinator want this release left? Only towards the firmware before it; on its word alone only within the
    /// recall window and not below the floor, otherwise by a rollback order (DESIGN §10.2).
    pub(super) fn consider_leaving(&mut self, now: Now, step: &mut Step) -> bool {
        let Some(plan) = self.journal.plan.clone() else { return false };
        if !self.is_called_back(&plan) || self.is_in_use() || !self.is_attached(now.mono) {
            return false;
        }
        match self.authority_to_leave(now, &plan) {
            Ok(None) => self.go_back(now, Cause::Order, ROLLBACK_ORDERED.into(), step),
            Ok(Some(authority)) => {
                self.journal.follow_order(authority.order);
                self.go_back(now, Cause::Order, format!("{ROLLBACK_ORDERED}: {}", authority.label), step);
            }
            Err(detail) if self.journal.detail == detail => return false,
            Err(detail) => {
                step.events.push(EventKind::Refused { what: REFUSED_ROLLBACK.into(), reason: detail.clone() });
                self.enter(Phase::Confirmed, detail, step);
            }
        }
        true
    }

    pub(super) fn came_back(&mut self, plan: Plan, step: &mut Step) {
        self.journal.confirmed = Some(plan.fallback.clone());
        self.journal.plan = Some(plan);
        let detail = format!("last good firmware running, measured; left because: {}", self.journal.detail);
        self.enter(Phase::RolledBack, detail, step);
    }
}
