//! Authority over what the fleet runs, beside approvals: withdrawals, rollback orders, and how fresh roster and withdrawals are
//! (DESIGN §10.2 and §10.3). Every document is verified exactly as agents verify it.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeviceId, FirmwareId, GatewayId};
use mdfm_shared::limits::{CLOCK_TOLERANCE_MS, RECALL_WINDOW_DEFAULT_MS, ROLLBACK_ORDERS_MAX, TEXT_CHARS_MAX};
use mdfm_shared::record::{Actor, decode_document, document_text};
use mdfm_shared::sign::{Document, Signed};
use mdfm_shared::telemetry::InstallState;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{RollbackOrder, Roster, RosterEntry, Withdrawals};
use serde::{Deserialize, Serialize};

use super::firmware::FirmwareStatus;
use super::fleet::Device;
use super::rollout::{Change, Status};
use super::{Event, Proposal, Refusal, State, expiry, people};

const DAY_MS: u64 = 86_400_000;
/// How old a signature may be when its document arrives: time for a ceremony with several people, and no more.
const SIGNATURE_AGE_MAX_MS: u64 = 30 * DAY_MS;
/// Orders in force at a time in one installation.
const ORDERS_MAX: usize = 1_000;

/// A rollback order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldOrder {
    pub order: RollbackOrder,
    /// Where it stands in the log.
    pub log_index: u64,
    pub added_by: String,
    pub added_at: UtcMillis,
    /// Whether its end has been recorded.
    pub expired: bool,
}

impl HeldOrder {
    /// Whether agents still act on it.
    pub fn is_in_force(&self, now: UtcMillis) -> bool {
        !self.expired && now < self.order.expires_at
    }
}

/// What people are warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Concern {
    /// The roster expires.
    Roster,
    /// The withdrawals expire.
    Withdrawals,
    /// The roster demands newer withdrawals than the ones held.
    WithdrawalsMissing,
    /// The root changed, and its registrar has not signed the roster: agents have dropped it.
    RosterVoid,
    /// Root or roster changed, and whoever signed the withdrawals may no longer sign them.
    WithdrawalsVoid,
}

/// The withdrawals and orders that the log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Authority {
    pub withdrawals: Option<Withdrawals>,
    /// Base64 of the frame of the signed withdrawals.
    pub withdrawals_document: Option<String>,
    /// Whether their signature no longer counts under root and roster: agents have dropped them.
    pub withdrawals_void: bool,
    /// Whether the newest trust root's registrar has not signed the roster: agents have dropped it.
    pub roster_void: bool,
    /// By the digest of the document.
    pub orders: BTreeMap<Digest, HeldOrder>,
    /// The version and the days left of the last warning.
    pub warned: BTreeMap<Concern, (u64, u32)>,
}

impl Authority {
    /// The orders in force.
    pub fn in_force(&self, now: UtcMillis) -> impl Iterator<Item = (&Digest, &HeldOrder)> {
        self.orders.iter().filter(move |(_, held)| held.is_in_force(now))
    }

    /// The version of the withdrawals that agents accept; 0 if there are none.
    pub fn published_version(&self) -> u64 {
        self.withdrawals.as_ref().filter(|_| !self.withdrawals_void).map_or(0, |held| held.version)
    }

    /// The order by which a device may leave a release, if there is one.
    pub fn covering(&self, device: &DeviceId, manifest: Digest, need: ReturnNeed, now: UtcMillis) -> Option<&Digest> {
        let fits = |order: &RollbackOrder| {
            order.covers(device, manifest) && (order.below_floor || need != ReturnNeed::OrderByTwoRoles)
        };
        self.in_force(now).find(|(_, held)| fits(&held.order)).map(|(digest, _)| digest)
    }
}

/// What a device needs to leave the release that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ReturnNeed {
    /// Nothing: it has not confirmed the release.
    OnTrial,
    /// Nothing until this time.
    WithinWindow { until: UtcMillis },
    /// A rollback order: it confirmed the release longer ago than the recall window, or the firmware before is withdrawn.
    Order,
    /// A rollback order by two roles that names it: the firmware before is below its security floor.
    OrderByTwoRoles,
}

impl ReturnNeed {
    /// The same in words.
    pub fn words(self) -> String {
        match self {
            Self::OnTrial => "on trial: goes back on the directive alone".into(),
            Self::WithinWindow { until } => format!("within its recall window until {until}"),
            Self::Order => "needs a rollback order".into(),
            Self::OrderByTwoRoles => "needs a rollback order by two roles (below its security floor)".into(),
        }
    }

    /// Whether a rollback order is needed.
    pub fn is_order(self) -> bool {
        matches!(self, Self::Order | Self::OrderByTwoRoles)
    }
}

/// Returns what a device needs to leave what it runs. Times are the gateway's; the agent's own answer decides.
pub fn need_of(state: &State, device: &Device, now: UtcMillis) -> ReturnNeed {
    let Some(install) = &device.install else { return ReturnNeed::Order };
    if !install.state.is_settled() {
        return ReturnNeed::OnTrial;
    }
    let manifests = || state.firmware.values().filter_map(|f| f.manifest.as_ref());
    let release = manifests().find(|m| m.digest == install.manifest);
    let window = release.map_or(RECALL_WINDOW_DEFAULT_MS, |m| m.manifest.recall_window());
    let until = install.confirmed_at.unwrap_or(install.since).plus_ms(window);
    let withdrawals = state.authority.withdrawals.as_ref();
    let is_withdrawn = |sha256: Digest| {
        withdrawals.is_some_and(|held| manifests().any(|m| m.manifest.sha256 == sha256 && held.of(m.digest).is_some()))
    };
    let before = device.previous.as_ref();
    // Agents raise the floor when the window has passed, so within it the firmware before is above.
    if install.state == InstallState::Confirmed && now < until && !before.is_some_and(|b| is_withdrawn(b.sha256)) {
        ReturnNeed::WithinWindow { until }
    } else if before.is_some_and(|before| before.security_version < device.security_floor) {
        ReturnNeed::OrderByTwoRoles
    } else {
        ReturnNeed::Order
    }
}

/// Whether an order concerns a device: it names it, or the device runs or installs one of its releases.
fn concerns(order: &RollbackOrder, id: &DeviceId, device: &Device, state: &State) -> bool {
    if !order.devices.is_empty() {
        return order.devices.contains(id);
    }
    let runs = device.install.as_ref().map(|i| i.manifest);
    let directed = state.latest_deployment(id).map(|(_, d)| d.plan.manifest);
    [runs, directed].into_iter().flatten().any(|manifest| order.releases.contains(&manifest))
}

/// The orders that a gateway is sent: those in force that concern its devices, the newest [`ROLLBACK_ORDERS_MAX`] of them.
pub fn orders_for(state: &State, gateway: &GatewayId, now: UtcMillis) -> BTreeSet<Digest> {
    let mut held: Vec<_> = state.authority.in_force(now).collect();
    if held.is_empty() {
        return BTreeSet::new();
    }
    held.sort_by_key(|(_, held)| std::cmp::Reverse(held.log_index));
    let devices: Vec<_> =
        state.devices_of(gateway).into_iter().filter_map(|id| state.devices.get_key_value(&id)).collect();
    let meant = |held: &HeldOrder| devices.iter().any(|(id, device)| concerns(&held.order, id, device, state));
    held.into_iter().filter(|(_, held)| meant(held)).map(|(digest, _)| *digest).take(ROLLBACK_ORDERS_MAX).collect()
}

/// The gateways of the devices that an order concerns.
pub fn gateways_of(state: &State, order: &RollbackOrder) -> BTreeSet<GatewayId> {
    devices_of(state, order).filter_map(|(id, _)| state.gateway_of(id).cloned()).collect()
}

/// The devices that an order concerns.
pub fn devices_of<'a>(state: &'a State, order: &'a RollbackOrder) -> impl Iterator<Item = (&'a DeviceId, &'a Device)> {
    state.devices.iter().filter(|(id, d)| d.retired_at.is_none() && concerns(order, id, d, state))
}

/// The devices of an order that still have something to leave: they run or install one of its releases, or nobody has reported what they run. An
/// order without releases is for whatever a device runs.
pub fn still_to_leave<'a>(
    state: &'a State,
    order: &'a RollbackOrder,
) -> impl Iterator<Item = (&'a DeviceId, &'a Device)> {
    let manifests = state.firmware.values().filter_map(|f| f.manifest.as_ref());
    let images: BTreeSet<Digest> =
        manifests.filter(|m| order.releases.contains(&m.digest)).map(|m| m.manifest.sha256).collect();
    devices_of(state, order).filter(move |(_, device)| runs_or_installs(&order.releases, &images, device))
}

fn runs_or_installs(releases: &[Digest], images: &BTreeSet<Digest>, device: &Device) -> bool {
    let installs = device.install.as_ref().is_some_and(|i| releases.contains(&i.manifest) && !i.state.is_settled());
    let has_left = device.running_sha256.is_some_and(|running| !images.contains(&running));
    releases.is_empty() || installs || !has_left
}

fn check_times(code: &'static str, issued_at: UtcMillis, expires_at: UtcMillis, now: UtcMillis) -> Result<(), Refusal> {
    if issued_at.since_ms(now) > CLOCK_TOLERANCE_MS {
        let detail =
            format!("the document is dated {issued_at}, in the future; check the clock of the signing computer");
        return Err(Refusal::document(code, detail));
    }
    if now.since_ms(issued_at) > SIGNATURE_AGE_MAX_MS {
        let detail = format!("the document is dated {issued_at}, more than 30 days ago; sign it again");
        return Err(Refusal::document(code, detail));
    }
    if expires_at <= now {
        return Err(Refusal::document(code, format!("the document expired at {expires_at}; sign it again")));
    }
    Ok(())
}

/// Whether the signature of the withdrawals no longer counts under root and roster, as agents judge it after a change of either.
pub(super) fn is_void(state: &State) -> bool {
    let (Some(root), Some(text)) = (state.trusted_root(), &state.authority.withdrawals_document) else { return false };
    // Their time was checked when they were added.
    let accept = |signed: Signed<Withdrawals>| {
        Withdrawals::accept(&signed, root, state.roster.as_ref(), None, UtcMillis(u64::MAX)).is_ok()
    };
    !decode_document("trust.withdrawals.add", text).is_ok_and(accept)
}

/// Whether the roster's signatures do not count under the newest trust root, as agents judge it after a change of the root.
pub(super) fn is_roster_void(state: &State) -> bool {
    let (Some(root), Some(text)) = (state.trusted_root(), &state.roster_document) else { return false };
    let holds = |signed: Signed<Roster>| signed.verify(root.registrar_keys()).is_ok();
    !decode_document("trust.roster.add", text).is_ok_and(holds)
}

/// Checks that whoever made a signature may sign today: an authority that has ended signs nothing more, whatever date stands on it.
/// `is_meant` names the entries of the roster that give the authority.
///
/// # Errors
/// No such entry with the key of one of the signatures counts now.
pub fn need_current<T: Document>(
    state: &State,
    now: UtcMillis,
    signed: &Signed<T>,
    is_meant: impl Fn(&RosterEntry) -> bool,
) -> Result<(), Refusal> {
    let made_one = |e: &RosterEntry| signed.signatures().iter().any(|s| s.key == e.key.id());
    let counts = |e: &RosterEntry| is_meant(e) && made_one(e) && e.is_valid(now, state.log_size);
    if state.need_roster()?.entries.iter().any(counts) {
        return Ok(());
    }
    let detail = "the authority that this key had has ended; nothing that is signed with it is taken any more, whatever its date";
    Err(Refusal::document("authority-ended", detail))
}

/// Checks that a roster with an expiry may begin to count now.
pub(super) fn check_roster(roster: &Roster, now: UtcMillis) -> Result<(), Refusal> {
    match roster.freshness {
        Some(fresh) => check_times("roster-refused", fresh.issued_at, fresh.expires_at, now),
        None => Ok(()),
    }
}

/// The releases of these manifests that are not yet withdrawn here, and the end of their deployments.
fn withdraw_here(state: &State, named: &BTreeSet<Digest>, because: &str) -> Vec<Proposal> {
    let is_named = |manifest: Option<Digest>| manifest.is_some_and(|m| named.contains(&m));
    let fresh: Vec<&FirmwareId> = state
        .firmware
        .iter()
        .filter(|(_, f)| f.status != FirmwareStatus::Withdrawn && is_named(f.manifest.as_ref().map(|m| m.digest)))
        .map(|(id, _)| id)
        .collect();
    let withdrawn = fresh.iter().map(|id| {
        let event = Event::FirmwareWithdrawn { firmware: (*id).clone() };
        Proposal::new("firmware.withdraw", format!("firmware/{id}"), event).because(because)
    });
    let is_open = |status: &Status| matches!(status, Status::Planned | Status::Running | Status::Paused { .. });
    let ended = state.deployments.iter().filter(|(_, d)| is_open(&d.status) && named.contains(&d.plan.manifest));
    let ended = ended.map(|(id, _)| {
        let change = Change::Aborted { reason: because.to_owned() };
        let event = Event::DeploymentChanged { deployment: id.clone(), change };
        Proposal::new("deployment.abort", format!("deployment/{id}"), event).because(because)
    });
    withdrawn.chain(ended).collect()
}

/// Takes signed withdrawals: the releases that they name are withdrawn here too, and their deployments end.
pub(super) fn add_withdrawals(
    state: &State,
    now: UtcMillis,
    signed: &Signed<Withdrawals>,
) -> Result<Vec<Proposal>, Refusal> {
    const CODE: &str = "withdrawals-refused";
    let root = state.need_root()?;
    let held = state.authority.withdrawals.as_ref();
    let accepted =
        Withdrawals::accept(signed, root, state.roster.as_ref(), held, now).map_err(|e| Refusal::document(CODE, e))?;
    // Release role and registrar sign by the trust root; an approver by the roster, and must still be able to.
    let by_role = signed.verify(root.release_keys()).is_ok() || signed.verify(root.registrar_keys()).is_ok();
    if !by_role {
        need_current(state, now, signed, |e| !e.roles.is_empty())?;
    }
    let next = held.map_or(1, |h| h.version + 1);
    if accepted.version != next {
        let detail = format!("withdrawals version {} were posted, the next is {next}; sign that one", accepted.version);
        return Err(Refusal::conflict("withdrawals-version", detail));
    }
    check_times(CODE, accepted.issued_at, accepted.expires_at, now)?;
    if let Some(held) = held.filter(|h| accepted.issued_at < h.issued_at) {
        let detail = format!(
            "the document is dated {}, before version {} ({})",
            accepted.issued_at, held.version, held.issued_at
        );
        return Err(Refusal::document(CODE, detail));
    }
    let is_new = |manifest: &Digest| held.is_none_or(|h| h.of(*manifest).is_none());
    let added: Vec<_> = accepted.releases.iter().filter(|w| is_new(&w.manifest)).collect();
    let reason = match added.as_slice() {
        [] => format!("no release is added; valid until {}", accepted.expires_at),
        added => added.iter().map(|w| w.reason.as_str()).collect::<Vec<_>>().join("; "),
    };
    let reason: String = reason.chars().take(TEXT_CHARS_MAX).collect();
    let event = Event::WithdrawalsAdded { version: accepted.version };
    let object = format!("trust/withdrawals/{}", accepted.version);
    let mut proposals =
        vec![Proposal::new("trust.withdrawals.add", object, event).because(reason.clone()).with(document_text(signed))];
    let because = format!("signed withdrawals version {}: {reason}", accepted.version);
    let named = accepted.releases.iter().map(|w| w.manifest).collect();
    proposals.extend(withdraw_here(state, &named, &because.chars().take(TEXT_CHARS_MAX).collect::<String>()));
    Ok(proposals)
}

/// Takes a signed rollback order.
pub(super) fn add_order(
    state: &State,
    now: UtcMillis,
    actor: &Actor,
    signed: &Signed<RollbackOrder>,
) -> Result<Vec<Proposal>, Refusal> {
    const CODE: &str = "rollback-order-refused";
    let digest = signed.digest();
    if state.authority.orders.contains_key(&digest) {
        return Err(Refusal::exists("rollback order", digest));
    }
    let roster = state.need_roster()?;
    let order = RollbackOrder::verify(signed, roster, state.log_size).map_err(|e| Refusal::document(CODE, e))?;
    check_times(CODE, order.issued_at, order.expires_at, now)?;
    for signer in &order.signers {
        need_current(state, now, signed, |e| e.user == signer.user && e.roles.contains(&signer.role))?;
    }
    order.signers.iter().try_for_each(|signer| people::may_sign(state, now, signer.user.as_str()))?;
    for manifest in &order.releases {
        if !state.firmware.values().any(|f| f.manifest.as_ref().is_some_and(|m| m.digest == *manifest)) {
            return Err(Refusal::invalid("releases", format!("no release here has manifest {manifest}")));
        }
    }
    for id in &order.devices {
        if state.need_device(id)?.retired_at.is_some() {
            return Err(Refusal::invalid("devices", format!("{id} is retired")));
        }
    }
    if state.authority.in_force(now).count() >= ORDERS_MAX {
        let detail = format!("{ORDERS_MAX} rollback orders are in force; wait until one has expired");
        return Err(Refusal::conflict("too-many-orders", detail));
    }
    let full = gateways_of(state, &order).into_iter().find(|g| orders_for(state, g, now).len() >= ROLLBACK_ORDERS_MAX);
    if let Some(gateway) = full {
        let detail = format!(
            "gateway {gateway} has {ROLLBACK_ORDERS_MAX} rollback orders in force, and holds no more; name more devices in one \
             order, or wait until one has expired"
        );
        return Err(Refusal::conflict("too-many-orders", detail));
    }
    let event = Event::RollbackOrderAdded { order: digest, label: order.label.clone(), by: actor.id.clone() };
    let proposal = Proposal::new("rollback-order.add", format!("rollback-order/{digest}"), event);
    Ok(vec![proposal.because(order.reason.clone()).with(document_text(signed))])
}

/// The ends of orders that have expired.
pub(super) fn expire(state: &State, now: UtcMillis) -> Vec<Proposal> {
    let over = state.authority.orders.iter().filter(|(_, held)| !held.expired && now >= held.order.expires_at);
    over.map(|(digest, held)| {
        let reason = format!("{} expired at {}", held.order.label, held.order.expires_at);
        let event = Event::RollbackOrderExpired { order: *digest };
        Proposal::new("rollback-order.expire", format!("rollback-order/{digest}"), event).because(reason)
    })
    .collect()
}

/// One thing that keeps, or will keep, agents from starting anything new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub concern: Concern,
    /// Of the document, or the one demanded.
    pub version: u64,
    /// `None` for what is missing.
    pub expires_at: Option<UtcMillis>,
}

impl Standing {
    /// The days left at which people are warned, rounded to the steps of the warnings; `None` while there is time.
    pub fn days_left(&self, now: UtcMillis) -> Option<u32> {
        let Some(expires_at) = self.expires_at else { return Some(0) };
        expiry::WARNED_DAYS.into_iter().find(|days| expires_at.since_ms(now) <= u64::from(*days) * DAY_MS)
    }

    /// What is the matter, and what to do.
    pub fn words(&self, now: UtcMillis) -> String {
        let version = self.version;
        let when = |at: UtcMillis| if at <= now { format!("expired at {at}") } else { format!("expires at {at}") };
        match (self.concern, self.expires_at) {
            (Concern::Roster, Some(at)) => {
                format!("roster {version} {}; the registrar signs the next one (mdfmctl trust make-roster)", when(at))
            }
            (Concern::Withdrawals, Some(at)) => {
                format!("withdrawals {version} {}; sign the next ones (mdfmctl withdrawals renew)", when(at))
            }
            (Concern::RosterVoid, _) => format!(
                "roster {version} does not hold under the newest trust root; its registrar signs the next one (mdfmctl trust make-roster --previous … --renew)"
            ),
            (Concern::WithdrawalsVoid, _) => format!(
                "withdrawals {version} are signed by somebody who may no longer sign; sign the next ones (mdfmctl withdrawals renew)"
            ),
            (Concern::WithdrawalsMissing, _) | (_, None) => format!(
                "the roster demands withdrawals version {version}, which are not here; post them (mdfmctl withdrawals renew)"
            ),
        }
    }
}

/// What expires, and what is missing.
pub fn standings(state: &State) -> Vec<Standing> {
    let held = state.authority.withdrawals.as_ref();
    let roster = state.roster.as_ref().and_then(|r| Some((r.version, r.freshness?)));
    let void = state.roster.as_ref().filter(|_| state.authority.roster_void);
    let void = void.map(|r| Standing { concern: Concern::RosterVoid, version: r.version, expires_at: None });
    let expiry = roster.map(|(version, fresh)| Standing {
        concern: Concern::Roster,
        version,
        expires_at: Some(fresh.expires_at),
    });
    let demanded = roster.map(|(_, fresh)| fresh.withdrawals_version);
    let missing = demanded.filter(|v| held.map_or(0, |h| h.version) < *v);
    let missing = missing.map(|version| Standing { concern: Concern::WithdrawalsMissing, version, expires_at: None });
    let withdrawals = held.map(|h| match state.authority.withdrawals_void {
        false => Standing { concern: Concern::Withdrawals, version: h.version, expires_at: Some(h.expires_at) },
        true => Standing { concern: Concern::WithdrawalsVoid, version: h.version, expires_at: None },
    });
    [void.or(expiry), withdrawals, missing].into_iter().flatten().collect()
}

/// Refuses what agents would not start.
///
/// # Errors
/// Roster or withdrawals have expired, or the withdrawals that the roster demands are missing.
pub fn need_fresh(state: &State, now: UtcMillis) -> Result<(), Refusal> {
    match standings(state).into_iter().find(|s| s.expires_at.is_none_or(|at| at <= now)) {
        Some(standing) => Err(Refusal::conflict("trust-not-fresh", standing.words(now))),
        None => Ok(()),
    }
}

/// The warnings that are due: each document once at 30, 14, 7 and 1 day and at its expiry.
pub(super) fn warn(state: &State, now: UtcMillis) -> Vec<Proposal> {
    let due = standings(state).into_iter().filter_map(|standing| {
        let days = standing.days_left(now)?;
        let last = state.authority.warned.get(&standing.concern);
        let is_news = last.is_none_or(|(version, last)| *version != standing.version || days < *last);
        is_news.then_some((standing, days))
    });
    due.map(|(standing, days)| {
        let object = match standing.concern {
            Concern::Roster | Concern::RosterVoid => "trust/roster",
            Concern::Withdrawals | Concern::WithdrawalsMissing | Concern::WithdrawalsVoid => "trust/withdrawals",
        };
        let reason = standing.words(now);
        let event = Event::TrustWarned { concern: standing.concern, version: standing.version, days };
        Proposal::new("trust.warn", object, event).because(reason)
    })
    .collect()
}

/// The releases that are withdrawn here and that no signed document withdraws: agents would still activate them.
pub fn unsigned(state: &State) -> impl Iterator<Item = (&FirmwareId, Digest)> {
    let is_signed =
        |manifest: Digest| state.authority.withdrawals.as_ref().is_some_and(|held| held.of(manifest).is_some());
    let withdrawn =
        state.firmware.iter().filter(|(_, f)| f.status == FirmwareStatus::Withdrawn && !f.approvals.is_empty());
    withdrawn.filter_map(|(id, f)| Some((id, f.manifest.as_ref()?.digest))).filter(move |(_, m)| !is_signed(*m))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::NewDevice;

    #[test]
    fn sec_12_what_has_gone_back_has_nothing_to_leave() {
        let new = NewDevice {
            device: "DEV-1".parse().expect("an id"),
            model: "M".into(),
            serial: "S".into(),
            udi: None,
            hospital: "H-1".parse().expect("an id"),
            gateway: None,
            firmware_version: "1".into(),
            hardware: None,
        };
        let (image, other, release) = (Digest([1; 32]), Digest([2; 32]), Digest([3; 32]));
        let (releases, images) = ([release], BTreeSet::from([image]));
        for (running, is_left, is_left_without_releases) in
            [(Some(image), true, true), (Some(other), false, true), (None, true, true)]
        {
            let device = Device { running_sha256: running, ..Device::new(new.clone()) };
            assert_eq!(runs_or_installs(&releases, &images, &device), is_left, "{running:?}");
            assert_eq!(runs_or_installs(&[], &images, &device), is_left_without_releases, "{running:?}");
        }
    }
}
