//! The deciding half of the coordinator: commands in, records and messages out. The runner makes the records durable before it
//! answers anybody or sends anything.

mod inventory;
mod liveness;
mod turns;

use std::collections::BTreeSet;

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, Directive};
use mdfm_shared::id::{GatewayId, HospitalId, UserId};
use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::record::{Actor, ActorKind, AuditRecord, CONTEXT, Outcome, RequestMark, document_text};
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::time::UtcMillis;

use super::budget::{self, Allowances, Refusals, Source};
use super::fleet::Gateway;
use super::long_wait::WaitWatch;
use super::presence::Presence;
use super::rollout::{self, Change, Scope};
use super::state::ReplayError;
use super::telemetry::ChainWatch;
use super::timekeeper::{Moment, Timekeeper};
use super::urgency::{Room, Urgency};
use super::{
    Command, Event, Proposal, Refusal, State, authority, directive, expiry, firmware, precondition, refusal, telemetry,
};

use liveness::{Liveness, Times};
use turns::{Haste, Turns};

/// Rounds of the engine after one batch; more would be a loop of its own making.
const ENGINE_ROUNDS_MAX: usize = 1_000;
/// Time between looks at liveness and at what has run out.
const LOOK_MS: u64 = 1_000;
/// Time between looks at what expires: every gateway, token and person.
const EXPIRIES_MS: u64 = 30_000;
/// Time between looks at every directive: renewals, and windows that come into its life.
const SWEEP_MS: u64 = 60_000;
/// Characters of a refusal's cause that its record keeps.
const REASON_CHARS_MAX: usize = 2_000;
/// Room for the rest of a record beside its event and document.
const RECORD_OVERHEAD_BYTES: usize = 8 * 1024;
/// Bytes of a record beside its event and document, as allowances count them,
const RECORD_COST_BYTES: usize = 1_024;
/// and of the directive that follows when a gateway names a serial above ours.
const SERIAL_COST_BYTES: usize = 64 * 1024;
/// Bytes that one gateway may add to the audit log in a day, where the configuration does not say.
pub const GATEWAY_BYTES_PER_DAY: u64 = 128 << 20;
/// A clock that is behind by less is not reported: time servers correct by as much.
const CLOCK_NEWS_MS: u64 = 1_000;
/// While the clock is behind, the longest time that a restart forgets: a record keeps the time at least as often.
const TIME_KEPT_EVERY_MS: u64 = 10 * 60_000;
/// Time between two compositions of the evidence that agents are handed, where witnesses are named: cosignatures age.
const REFRESH_MS: u64 = 12 * 3_600_000;

/// What must be told to the fleet because the state moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outbound {
    Directive(GatewayId),
    Release(Digest),
    TrustRoot(usize),
    Roster,
    Withdrawals,
    /// The rollback orders for the devices of one gateway.
    RollbackOrders(GatewayId),
    Checkpoint(String),
    /// Everything that the broker should hold: messages were passed over because too many waited.
    Everything,
}

impl Outbound {
    /// What it is, for the journal.
    pub fn words(&self) -> String {
        match self {
            Self::Directive(gateway) => format!("the directive of {gateway}"),
            Self::Release(manifest) => format!("release {}", manifest.short()),
            Self::TrustRoot(index) => format!("trust root {}", index + 1),
            Self::Roster => "the roster".into(),
            Self::Withdrawals => "the withdrawals".into(),
            Self::RollbackOrders(gateway) => format!("the rollback orders of {gateway}"),
            Self::Checkpoint(_) => "a checkpoint".into(),
            Self::Everything => "everything".into(),
        }
    }
}

/// Who submits what, and from where.
#[derive(Debug, Clone)]
pub struct Submission {
    pub actor: Actor,
    pub address: Option<String>,
    /// What is known of the request.
    pub request: Option<RequestMark>,
    /// The network that limits count by; the runner derives it from the address.
    pub network: Option<String>,
    /// Tags of which the object must have one still; none where it may have changed.
    pub expects: Option<Vec<String>>,
    pub command: Command,
}

impl Submission {
    pub fn new(actor: Actor, command: Command) -> Self {
        Self { actor, address: None, network: None, request: None, expects: None, command }
    }
}

/// Records of one round, not yet durable, and what follows once they are.
#[derive(Debug, Default)]
pub struct Round {
    pub entries: Vec<Vec<u8>>,
    pub outbound: Vec<Outbound>,
    /// Gateways whose certificates are no longer the same: revoked, or enrolled again.
    pub revoked: u64,
    /// One for each submission, in their order.
    pub answers: Vec<Result<(), Refusal>>,
}

/// Why a round cannot go on: memory and log would disagree, only a replay is safe.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("an event that was just decided cannot be applied")]
    Apply(#[from] ReplayError),
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    online_key: SecretKey,
    started_at: UtcMillis,
    refusals: Refusals,
    allowances: Allowances,
    gateway_bytes_per_day: u64,
    room: Room,
    chains: ChainWatch,
    comparisons: inventory::Comparisons,
    next_look: UtcMillis,
    next_sweep: UtcMillis,
    next_refresh: UtcMillis,
    /// When what expires is looked at next.
    next_expiries: UtcMillis,
    waits: WaitWatch,
    /// Whether roster or root may have changed since the approvals were last judged; true after a start.
    trust_changed: bool,
    /// Gateways whose directives may have to change.
    turns: Turns,
    time: Timekeeper,
    /// Devices that may become silent.
    liveness: Liveness,
}

/// The system as an actor.
pub fn system() -> Actor {
    Actor { kind: ActorKind::System, id: "coordinator".into(), roles: vec![] }
}

/// The bytes of a record within the bound of an entry.
fn entry(mut record: AuditRecord) -> Vec<u8> {
    let bytes = record.to_bytes();
    if bytes.len() <= LOG_ENTRY_BYTES_MAX {
        return bytes;
    }
    // Before and after follow from the log itself; the event and its reason must be in it.
    (record.before, record.after) = (None, None);
    record.to_bytes()
}

/// Takes out of a record that goes to gateways what they do not need: from where it came, the request, why (beyond what is signed),
/// and the object before. Returns the record that keeps it, which stands right behind in the log and changes nothing.
fn take_context(record: &mut AuditRecord) -> AuditRecord {
    let context = AuditRecord {
        action: format!("{}{CONTEXT}", record.action),
        address: record.address.take(),
        request: record.request.clone(),
        reason: record.reason.take(),
        before: record.before.take(),
        after: None,
        event: None,
        document: None,
        ..record.clone()
    };
    record.request = None;
    context
}

impl Desk {
    pub fn new(online_key: SecretKey, silence_limit_ms: u64, started_at: UtcMillis) -> Self {
        Self {
            online_key,
            started_at,
            refusals: Refusals::default(),
            allowances: Allowances::default(),
            gateway_bytes_per_day: GATEWAY_BYTES_PER_DAY,
            room: Room::Ample,
            chains: ChainWatch::default(),
            comparisons: inventory::Comparisons::default(),
            next_look: UtcMillis(0),
            next_sweep: UtcMillis(0),
            next_refresh: started_at.plus_ms(REFRESH_MS),
            next_expiries: UtcMillis(0),
            waits: WaitWatch::default(),
            trust_changed: true,
            turns: Turns::default(),
            time: Timekeeper::new(started_at),
            liveness: Liveness::new(silence_limit_ms),
        }
    }

    /// Sets how many bytes one gateway may add to the log in a day.
    #[must_use]
    pub fn with_gateway_bytes(mut self, per_day: u64) -> Self {
        self.gateway_bytes_per_day = per_day;
        self
    }

    /// Sets how much room the log's disk has: with little of it refusals are only counted.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Looks at the clock, and lets the state know what time it is.
    fn follow_clock(&mut self, state: &mut State, clock: UtcMillis) -> Moment {
        let moment = self.time.follow(clock, state.last_record_at);
        state.time = moment.now;
        moment
    }

    /// Counts refusals that found no room on their way here.
    pub fn count_dropped(&mut self, state: &State, clock: UtcMillis, n: u64) {
        self.refusals.count(state.not_before(clock), Source::OtherNetworks, "busy", n, String::new);
    }

    /// Records what was counted so far; for the end.
    ///
    /// # Errors
    /// As [`Self::round`].
    pub fn finish(&mut self, state: &mut State, clock: UtcMillis) -> Result<Round, DeskError> {
        let mut round = Round::default();
        let moment = self.follow_clock(state, clock);
        self.record_counted(state, &mut round, moment.now, true)?;
        self.watch_clock(state, &mut round, moment, 1)?;
        Ok(round)
    }

    /// When [`Self::round`] should be called without any submission. What did not fit one round is due at once: between two slices of it others have
    /// their turn.
    pub fn deadline(&self, state: &State) -> UtcMillis {
        let waits = self.room == Room::Ample && self.waits.has_more();
        if waits || self.turns.has_more() || self.liveness.has_more() || self.comparisons.has_more(state) {
            return UtcMillis(0);
        }
        rollout::step::deadline(state).map_or(self.next_look, |(at, _)| at.min(self.next_look))
    }

    /// Takes the submissions in order, then lets everything follow that follows by itself.
    ///
    /// # Errors
    /// Memory and log would disagree: stop, and replay the log.
    pub fn round(
        &mut self,
        state: &mut State,
        clock: UtcMillis,
        presence: &mut Presence,
        submissions: &[Submission],
    ) -> Result<Round, DeskError> {
        // Timers follow the clock; what is judged and recorded never goes back (DESIGN §10.4); what lasts goes on all the same.
        let moment = self.follow_clock(state, clock);
        let Moment { now, steady, .. } = moment;
        presence.follow(clock);
        let mut round = Round::default();
        self.watch_clock(state, &mut round, moment, TIME_KEPT_EVERY_MS)?;
        for submission in submissions {
            let answer = self.take(state, &mut round, now, submission)?;
            round.answers.push(answer);
        }
        let is_look = is_due(&mut self.next_look, clock, LOOK_MS);
        if is_look || self.liveness.has_more() {
            let times = Times { clock, steady, up_ms: steady.since_ms(self.started_at) };
            for command in self.liveness.due(state, presence, times, is_look) {
                // A refusal is recorded like any other.
                let _ = self.take(state, &mut round, now, &Submission::new(system(), command))?;
            }
        }
        if is_look {
            let mut due = firmware::expire(state, now);
            due.extend(authority::expire(state, now));
            due.extend(authority::warn(state, now));
            if is_due(&mut self.next_expiries, clock, EXPIRIES_MS) {
                due.extend(expiry::record_seen(state, presence, now));
                due.extend(expiry::warn(state, presence, now));
            }
            for proposal in due {
                self.record(state, &mut round, now, None, proposal)?;
            }
            self.record_counted(state, &mut round, now, false)?;
        }
        // Waits are news of no harm: the last room is for what stops it.
        if self.room == Room::Ample && (is_look || self.waits.has_more()) {
            for proposal in self.waits.look(state, presence, (clock, now, steady), self.started_at, is_look) {
                self.record(state, &mut round, now, None, proposal)?;
            }
        }
        if is_due(&mut self.next_refresh, clock, REFRESH_MS) {
            refresh(state, &mut round, now);
        }
        self.follow(state, &mut round, (clock, now))?;
        self.compare(state, &mut round, (now, steady), is_look)?;
        Ok(round)
    }

    /// Records the differences between what is registered and what is observed that began or ended.
    fn compare(
        &mut self,
        state: &mut State,
        round: &mut Round,
        (now, steady): (UtcMillis, UtcMillis),
        is_look: bool,
    ) -> Result<(), DeskError> {
        for device in self.comparisons.due(state, steady, is_look) {
            for proposal in self.comparisons.records(state, (now, steady), &device) {
                self.record(state, round, now, None, proposal)?;
            }
        }
        Ok(())
    }

    /// Says once that the clock is behind, and once that it has caught up. In between some record is `kept_every_ms` old at most: by it a restart knows
    /// how much time had passed.
    fn watch_clock(
        &mut self,
        state: &mut State,
        round: &mut Round,
        moment: Moment,
        kept_every_ms: u64,
    ) -> Result<(), DeskError> {
        let (Moment { clock, now, .. }, behind_ms) = (moment, moment.behind_ms());
        let proposal = match state.clock_behind {
            false if behind_ms > CLOCK_NEWS_MS => {
                let reason = format!(
                    "the clock says {clock}, and by the last record and what has passed since then it is {now}: records get that time, which goes \
                     on slower until the clock has caught up; check the time service of this computer"
                );
                tracing::warn!("{reason}");
                Proposal::new("clock.behind", "clock", Event::ClockBehind { behind_ms, is_known: false })
                    .because(reason)
            }
            true if behind_ms > 0 && now.since_ms(state.last_record_at) >= kept_every_ms => {
                let reason = format!(
                    "the clock says {clock} and is still behind; this record keeps the time that has passed, {now}, for a restart"
                );
                let event = Event::ClockBehind { behind_ms, is_known: true };
                Proposal::new("clock.still-behind", "clock", event).because(reason)
            }
            true if behind_ms == 0 => {
                let reason = format!("the clock has caught up ({now})");
                Proposal::new("clock.caught-up", "clock", Event::ClockCaughtUp).because(reason)
            }
            _ => return Ok(()),
        };
        self.record(state, round, now, None, proposal)
    }

    fn take(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        submission: &Submission,
    ) -> Result<Result<(), Refusal>, DeskError> {
        let Submission { actor, expects, command, .. } = submission;
        let proposals = expects
            .as_ref()
            .map_or(Ok(()), |expected| precondition::check(state, &command.describe().1, expected))
            .and_then(|()| super::decide(state, now, actor, command))
            .and_then(|p| if p.iter().all(fits_one_entry) { Ok(p) } else { Err(too_large()) })
            .and_then(|p| if self.may_write(now, actor, command, &p) { Ok(p) } else { Err(over_budget(actor)) });
        match proposals {
            Ok(proposals) => {
                for proposal in proposals {
                    self.record(state, round, now, Some(submission), proposal)?;
                }
                Ok(Ok(()))
            }
            Err(refusal) => {
                self.record_refusal(state, round, now, submission, &refusal)?;
                Ok(Err(refusal))
            }
        }
    }

    /// Whether the actor's allowance has room for these records; it is charged. What stops harm always has room, and so has a certificate: a
    /// gateway without one is lost.
    fn may_write(&mut self, now: UtcMillis, actor: &Actor, command: &Command, proposals: &[Proposal]) -> bool {
        if command.urgency() == Urgency::Safety || matches!(command, Command::RenewCertificate { .. }) {
            return true;
        }
        let follows = if matches!(command, Command::NoteSerial { .. }) { SERIAL_COST_BYTES } else { 0 };
        let bytes = proposals.iter().map(|p| bytes_of(p).saturating_add(RECORD_COST_BYTES)).sum::<usize>() + follows;
        self.allowances.take(now, actor, self.gateway_bytes_per_day, bytes as u64)
    }

    /// Makes a record of a change and applies it: of what somebody asked for, or of what follows by itself.
    fn record(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        submission: Option<&Submission>,
        proposal: Proposal,
    ) -> Result<(), DeskError> {
        let actor = submission.map_or_else(system, |submission| submission.actor.clone());
        let shows_change = !matches!(
            proposal.event,
            Event::TelemetryCommitted { .. }
                | Event::DirectiveIssued { .. }
                | Event::SessionOpened { .. }
                | Event::SbomAttached { .. }
                | Event::Forgotten { .. }
                | Event::GroupMembersChanged { .. }
                | Event::DeploymentChanged { change: Change::MembersJoined { .. }, .. }
        );
        let view = |state: &State| if shows_change { state.view(&proposal.object) } else { None };
        // What gateways get to verify says who signed what; the rest of the story stands in a record of its own, right behind.
        let goes_to_gateways = matches!(
            proposal.event,
            Event::ManifestAttached { .. } | Event::ApprovalSigned { .. } | Event::RollbackOrderAdded { .. }
        );
        let mut record = AuditRecord {
            site: state.site_of(&proposal.object).or_else(|| site_of_new(&proposal.event)).map(|h| h.to_string()),
            address: submission.and_then(|submission| submission.address.clone()),
            request: submission.and_then(|submission| submission.request.clone()),
            reason: proposal.reason.clone(),
            before: view(state),
            event: serde_json::to_value(&proposal.event).ok(),
            document: proposal.document.clone(),
            ..AuditRecord::new(now, &actor, proposal.action, &proposal.object, Outcome::Accepted)
        };
        let context = goes_to_gateways.then(|| take_context(&mut record));
        state.apply(&record)?;
        match context {
            None => {
                record.after = view(state);
                report(&record, shows_change);
                round.entries.push(entry(record));
            }
            Some(mut context) => {
                state.apply(&context)?;
                context.after = view(state);
                report(&AuditRecord { action: record.action.clone(), ..context.clone() }, shows_change);
                round.entries.push(record.to_bytes());
                round.entries.push(entry(context));
            }
        }
        self.announce(state, round, &proposal.event);
        self.turns.add(Haste::First, &std::mem::take(&mut state.redirected));
        Ok(())
    }

    /// What the fleet must hear because of an event, and whose directives may have to change.
    fn announce(&mut self, state: &State, round: &mut Round, event: &Event) {
        match event {
            Event::TrustRootAdded { .. } => {
                self.trust_changed = true;
                round.outbound.push(Outbound::TrustRoot(state.roots.len() - 1));
            }
            Event::RosterAdded { .. } => {
                self.trust_changed = true;
                round.outbound.push(Outbound::Roster);
            }
            // Approvals that were lost and given again: gateways dropped the evidence and need the new one.
            Event::FirmwareApproved { firmware } => {
                let running = state.deployments.values().find(|d| d.plan.firmware == *firmware && d.is_active());
                round.outbound.extend(running.map(|d| Outbound::Release(d.plan.manifest)));
            }
            Event::WithdrawalsAdded { .. } => round.outbound.push(Outbound::Withdrawals),
            Event::RollbackOrderAdded { order, .. } | Event::RollbackOrderExpired { order } => {
                if let Some(held) = state.authority.orders.get(order) {
                    let gateways = authority::gateways_of(state, &held.order);
                    round.outbound.extend(gateways.into_iter().map(Outbound::RollbackOrders));
                }
            }
            Event::GatewayRevoked { gateway } => {
                round.revoked += 1;
                if let Some(held) = state.gateways.get(gateway) {
                    self.turns.add(Haste::Ordinary, state.gateways_of(&held.hospital));
                }
            }
            Event::GatewayRegistered { hospital, .. } | Event::HospitalPolicySet { hospital, .. } => {
                self.turns.add(Haste::Ordinary, state.gateways_of(hospital));
            }
            Event::DeviceChanged { particulars, .. } => {
                self.turns.add(Haste::Ordinary, state.gateways_of(&particulars.hospital));
            }
            Event::DeviceReconciled { registered: Some(registered), .. } => {
                self.turns.add(Haste::Ordinary, state.gateways_of(&registered.hospital));
            }
            Event::DeploymentCreated(new) => round.outbound.push(Outbound::Release(new.manifest)),
            Event::DeploymentChanged { deployment, change } => {
                if let Some(deployment) = state.deployments.get(deployment) {
                    self.announce_change(state, deployment, change);
                }
            }
            Event::GatewayEnrolled { gateway, .. } => {
                round.revoked += 1;
                self.turns.add(Haste::Ordinary, [gateway]);
            }
            Event::DirectiveSerialSeen { gateway, .. } => self.turns.add(Haste::Ordinary, [gateway]),
            Event::TelemetryCommitted { gateway, .. } => {
                // Where a submission depends on how far the device is.
                let depends = |a: &Action| matches!(a, Action::InstallWithin { .. } | Action::Rollback { .. });
                if state.directed(gateway).iter().any(|d| depends(&d.action)) {
                    self.turns.add(Haste::Ordinary, [gateway]);
                }
            }
            Event::DirectiveIssued { gateway, .. } => round.outbound.push(Outbound::Directive(gateway.clone())),
            _ => {}
        }
    }

    fn announce_change(&mut self, state: &State, deployment: &rollout::Deployment, change: &Change) {
        let id = &deployment.plan.deployment;
        match change {
            Change::MembersJoined { members } => {
                for joined in members.iter().filter(|m| deployment.is_open(m.phase)) {
                    self.turns.add(Haste::Ordinary, state.gateways_of(&joined.hospital));
                    self.liveness.join(id, joined.devices.iter());
                }
            }
            Change::PhaseOpened { phase } => self.turns.add_reached(Haste::Ordinary, id, Some(*phase)),
            Change::OrderedBack { scope, .. } => match scope {
                Scope::Device { device } => self.turns.add(Haste::First, state.gateway_of(device)),
                Scope::Hospital { hospital } => self.turns.add(Haste::First, state.gateways_of(hospital)),
                Scope::Phase { phase } => self.turns.add_reached(Haste::Urgent, id, Some(*phase)),
                Scope::Deployment => self.turns.add_reached(Haste::Urgent, id, None),
            },
            Change::ConsentGiven { hospital, .. } => {
                self.turns.add(Haste::Ordinary, state.gateways_of(hospital));
            }
            // Its staff stop it.
            Change::ConsentWithdrawn { hospital } => self.turns.add(Haste::First, state.gateways_of(hospital)),
            Change::Contained { hospital, .. } => {
                // Its devices go back; everything else is held.
                self.turns.add(Haste::First, state.gateways_of(hospital));
                self.turns.add_reached(Haste::Urgent, id, None);
            }
            Change::Paused { .. } | Change::Aborted { .. } | Change::RollbackStarted { .. } => {
                self.turns.add_reached(Haste::Urgent, id, None);
            }
            Change::Completed | Change::Resumed | Change::Superseded { .. } => {
                self.turns.add_reached(Haste::Ordinary, id, None);
            }
            Change::MonitoringStarted { .. }
            | Change::GateEvaluated { .. }
            | Change::ValidationSigned { .. }
            | Change::PhasePassed { .. }
            | Change::AbortFinished
            | Change::RolledBack
            | Change::DeviceSilent { .. }
            | Change::DeviceReturned { .. }
            | Change::DutyOpened { .. }
            | Change::DutyFulfilled { .. } => {}
        }
    }

    fn record_refusal(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        submission: &Submission,
        refusal: &Refusal,
    ) -> Result<(), DeskError> {
        let Submission { actor, address, request, command, .. } = submission;
        if let Command::Telemetry { gateway, batch } = command
            && let Some(found) = self.chains.judge(state, now, gateway, batch, refusal.code)
            && self.allowances.admits_anomaly(now, gateway.as_str())
        {
            tracing::warn!(%gateway, why = found.kind.words(), "the gateway's telemetry chain is not as it must be");
            self.record(state, round, now, None, telemetry::anomaly(gateway, found))?;
        }
        if matches!(refusal.code, telemetry::ALREADY_COMMITTED | telemetry::GAP) {
            return Ok(());
        }
        let (action, object) = command.describe();
        let exists = |id: &str| id.parse::<UserId>().is_ok_and(|id| state.users.contains_key(&id));
        let account = object.strip_prefix("user/").filter(|id| exists(id));
        if let Some(source) = Source::of(actor, submission.network.as_deref(), account, refusal) {
            let from = address.as_deref().unwrap_or("this machine");
            let sample = || format!("{action} of {object} as {} from {from} ({})", actor.id, refusal.code);
            if self.room < Room::Near {
                self.refusals.count(now, source, refusal.code, 1, sample);
                return Ok(());
            }
            if !self.refusals.admits(now, source, refusal, sample) {
                return Ok(());
            }
        }
        let detail: String = refusal.detail.chars().take(REASON_CHARS_MAX).collect();
        let record = AuditRecord {
            site: state.site_of(&object).map(|h| h.to_string()),
            address: address.clone(),
            request: request.clone(),
            reason: Some(format!("{}: {detail}", refusal.code)),
            ..AuditRecord::new(now, actor, action, &object, Outcome::Refused)
        };
        state.apply(&record)?;
        round.entries.push(record.to_bytes());
        Ok(())
    }

    /// Records how many refusals have no record of their own, where their time is over and there is room.
    fn record_counted(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        is_last: bool,
    ) -> Result<(), DeskError> {
        if self.room < Room::Near && !is_last {
            return Ok(());
        }
        for (source, counted) in self.refusals.take(now, is_last) {
            let (actor, object) = source.describe();
            let reason = counted.reason();
            let budget::Counted { count, from, until, by_code, samples } = counted;
            let event = Event::RefusalsCounted { count, from, until, by_code, samples };
            let record = AuditRecord {
                site: state.site_of(&object).map(|h| h.to_string()),
                reason: Some(reason),
                event: serde_json::to_value(event).ok(),
                ..AuditRecord::new(now, &actor, "refusal.count", &object, Outcome::Refused)
            };
            state.apply(&record)?;
            round.entries.push(record.to_bytes());
        }
        Ok(())
    }

    /// Lets the engine do what follows, then signs directives for the gateways of which something else is asked now.
    fn follow(
        &mut self,
        state: &mut State,
        round: &mut Round,
        (clock, now): (UtcMillis, UtcMillis),
    ) -> Result<(), DeskError> {
        if std::mem::take(&mut self.trust_changed) {
            for proposal in firmware::recheck(state) {
                self.record(state, round, now, None, proposal)?;
            }
        }
        for _ in 0..ENGINE_ROUNDS_MAX {
            let proposals = rollout::step::step(state, now);
            if proposals.is_empty() {
                break;
            }
            for proposal in proposals {
                self.record(state, round, now, None, proposal)?;
            }
        }
        if is_due(&mut self.next_sweep, clock, SWEEP_MS) {
            self.turns.sweep();
        }
        for gateway in self.turns.next(state, now) {
            self.direct(state, round, now, &gateway)?;
        }
        Ok(())
    }

    fn direct(
        &mut self,
        state: &mut State,
        round: &mut Round,
        now: UtcMillis,
        gateway: &GatewayId,
    ) -> Result<(), DeskError> {
        let Some(held) = state.gateways.get(gateway).filter(|g| g.credentials.is_some()) else { return Ok(()) };
        let devices = directive::compose(state, gateway, now);
        if !directive::is_due(state, gateway, &devices, now) {
            return Ok(());
        }
        let serial = Gateway::last_serial(held) + 1;
        let expires_at = now.plus_ms(directive::LIFETIME_MS);
        let document = Directive { gateway: gateway.clone(), serial, issued_at: now, expires_at, devices };
        let signed = match Signed::sign(&document, &[&self.online_key]) {
            Ok(signed) => signed,
            Err(error) => {
                // One gateway with too many devices must not stop the others.
                tracing::error!(%gateway, %error, "directive cannot be signed");
                return Ok(());
            }
        };
        let event = Event::DirectiveIssued { gateway: gateway.clone(), serial, issued_at: now, expires_at };
        let proposal =
            Proposal::new("directive.issue", format!("gateway/{gateway}"), event).with(document_text(&signed));
        self.record(state, round, now, None, proposal)
    }
}

/// Whether something that is done every `every_ms` is due; then it is scheduled again. A clock that was set back does not stop it.
pub(crate) fn is_due(next: &mut UtcMillis, clock: UtcMillis, every_ms: u64) -> bool {
    let due = clock >= *next || next.since_ms(clock) > every_ms;
    if due {
        *next = clock.plus_ms(every_ms);
    }
    due
}

/// Hands out all evidence again under the newest checkpoint where witnesses are named: agents take none whose cosignatures are old.
fn refresh(state: &State, round: &mut Round, now: UtcMillis) {
    if state.trusted_root().is_none_or(|root| root.witnesses().threshold() == 0) {
        return;
    }
    let releases: BTreeSet<Digest> = state.deployments.values().map(|d| d.plan.manifest).collect();
    round.outbound.extend(releases.into_iter().map(Outbound::Release));
    let gateways: BTreeSet<GatewayId> =
        state.authority.in_force(now).flat_map(|(_, held)| authority::gateways_of(state, &held.order)).collect();
    round.outbound.extend(gateways.into_iter().map(Outbound::RollbackOrders));
}

/// A record as a line of the journal, with fields to search by; what every gateway does all day only at level debug.
fn report(record: &AuditRecord, is_change: bool) {
    let (kind, id) = record.object.split_once('/').unwrap_or(("", record.object.as_str()));
    let of = |wanted: &str| (kind == wanted).then_some(id);
    let (gateway, device, deployment) = (of("gateway"), of("device"), of("deployment"));
    let (event, actor, object) = (record.action.as_str(), record.actor.id.as_str(), record.object.as_str());
    let reason = record.reason.as_deref().unwrap_or_default();
    if is_change {
        tracing::info!(event, gateway, device, deployment, actor, "{event} of {object}: {reason}");
    } else {
        tracing::debug!(event, gateway, device, deployment, actor, "{event} of {object}: {reason}");
    }
}

/// The hospital of what an event makes.
fn site_of_new(event: &Event) -> Option<HospitalId> {
    match event {
        Event::DeviceRegistered { hospital, .. } | Event::GatewayRegistered { hospital, .. } => Some(hospital.clone()),
        Event::UserCreated { hospital, .. } => hospital.clone(),
        _ => None,
    }
}

/// Bytes of a proposal's event, document and reason.
fn bytes_of(proposal: &Proposal) -> usize {
    let event = serde_json::to_vec(&proposal.event).map_or(usize::MAX, |e| e.len());
    let document = proposal.document.as_ref().map_or(0, String::len);
    let reason = serde_json::to_vec(&proposal.reason).map_or(usize::MAX, |r| r.len());
    event.saturating_add(document).saturating_add(reason)
}

fn fits_one_entry(proposal: &Proposal) -> bool {
    bytes_of(proposal) <= LOG_ENTRY_BYTES_MAX - RECORD_OVERHEAD_BYTES
}

fn over_budget(actor: &Actor) -> Refusal {
    let detail = format!(
        "{} has added as much to the audit log as it may in a day; what it sends is taken again as the allowance fills",
        actor.id
    );
    Refusal::new(refusal::Class::TooOften, budget::RECORD_BUDGET, detail)
}

fn too_large() -> Refusal {
    Refusal::new(
        refusal::Class::TooLarge,
        "record-too-large",
        "the change does not fit one record of the audit log; split it into smaller ones",
    )
}

#[cfg(test)]
mod tests;
