//! What a gateway reports: hash-chained batches of events that end in the audit log, and heartbeats that do not.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{DeploymentId, DeviceId, GatewayId};
use crate::limits::{BATCH_EVENTS_MAX, GATEWAY_DEVICES_MAX};
use crate::observed::{ObservationDigest, ObservedDevice};
use crate::sign::Document;
use crate::time::UtcMillis;
use crate::waiting::Waiting;

/// Where an installation stands; each state says what is true of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InstallState {
    /// Runs its last confirmed firmware; nothing is under way.
    Idle,
    /// Untouched; the gateway is collecting evidence and image.
    Fetching,
    /// Untouched; evidence and image are verified on the gateway.
    Verified,
    /// Runs its last confirmed firmware; the inactive slot is being written and is not bootable.
    Staging,
    /// Runs its last confirmed firmware; the inactive slot holds the whole verified image.
    Staged,
    /// Was told to boot the new slot once; may be rebooting.
    Activating,
    /// Runs the new firmware on trial; the next unconfirmed boot returns to the old one.
    Probation,
    /// Runs the new firmware, proved healthy and made permanent.
    Confirmed,
    /// Never left its last confirmed firmware; the reason is in the event.
    Failed,
    /// Was told to return to the last good firmware; may be rebooting.
    RollingBack,
    /// Runs the last good firmware again, proved by its measured digest.
    RolledBack,
    /// Could not be shown to run good firmware: needs manual intervention.
    RollbackFailed,
}

impl InstallState {
    /// Whether nothing more will happen without a new order.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Idle | Self::Confirmed | Self::Failed | Self::RolledBack | Self::RollbackFailed => true,
            Self::Fetching
            | Self::Verified
            | Self::Staging
            | Self::Staged
            | Self::Activating
            | Self::Probation
            | Self::RollingBack => false,
        }
    }
    /// Whether the device has booted the release, or is on its way back from it.
    pub fn has_run(self) -> bool {
        matches!(self, Self::Probation | Self::Confirmed | Self::RollingBack | Self::RolledBack | Self::RollbackFailed)
    }
    /// Whether the state counts as an error against a phase's gate.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::RollingBack | Self::RolledBack | Self::RollbackFailed)
    }
}

impl fmt::Display for InstallState {
    /// In words, as people read the state everywhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Fetching => "fetching",
            Self::Verified => "verified",
            Self::Staging => "staging",
            Self::Staged => "staged",
            Self::Activating => "activating",
            Self::Probation => "on trial",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::RollingBack => "rolling back",
            Self::RolledBack => "rolled back",
            Self::RollbackFailed => "rollback failed",
        })
    }
}

/// How bad a device says that something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Warning,
    /// Counts against the error budget.
    Error,
    /// Patient safety: never tolerated.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        })
    }
}

/// A firmware as a device reports it, measured by its boot loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirmwareReport {
    /// Version label.
    pub version: String,
    /// Release number; 0 for factory firmware without a manifest.
    pub release_number: u64,
    /// Security version.
    pub security_version: u32,
    /// SHA-256 of the image as measured at boot.
    pub sha256: Digest,
}

/// [`EventKind::Refused::what`] of a device that was called back and stays: the firmware before is below its security floor, the
/// recall window has ended, or there is no other firmware.
pub const REFUSED_ROLLBACK: &str = "rollback";
/// Part of the reason of a [`REFUSED_ROLLBACK`] that a rollback order, signed by people, would end.
pub const NEEDS_ROLLBACK_ORDER: &str = "it needs a rollback order";
/// [`EventKind::Refused::what`] of a device that failed too often to be given another release.
pub const REFUSED_QUARANTINE: &str = "quarantine";
/// [`EventKind::Refused::what`] of a summary: so many events of a device, or of the gateway, are counted and not kept.
pub const REFUSED_FLOOD: &str = "flood";

/// [`EventKind::Refused::what`] of a gateway whose telemetry did not continue what the coordinator holds: the first record of the
/// epoch that it begins.
pub const REFUSED_CHAIN: &str = "chain";
/// [`EventKind::Refused::what`] of the two records around the events that a new epoch takes over from before it: they may be older than
/// what the coordinator holds. The reason is [`CARRIED_BEGIN`] or [`CARRIED_END`].
pub const REFUSED_CARRIED: &str = "carried";
/// Reason of the record before them.
pub const CARRIED_BEGIN: &str = "what was recorded before this epoch follows";
/// Reason of the record after them.
pub const CARRIED_END: &str = "what was recorded before this epoch ends here";
/// [`EventKind::Refused::what`] of a device that begins to wait, or waits for something else; the reason is a
/// [`crate::waiting::Waiting`] in JSON, or empty when the wait has ended. The next [`EventKind::StateChanged`] of the device ends it too.
pub const REFUSED_WAITING: &str = "waiting";
/// [`EventKind::DeviceError::code`] of reboots that nobody ordered, over the budget: the gateway counts them, not the device.
pub const ERROR_REBOOTS: &str = "unordered-reboots";

/// [`EventKind::StateChanged::detail`] of a device that leaves a release because the coordinator ordered it, and a part of the
/// detail once it is back. Every agent since the first writes it so.
pub const ROLLBACK_ORDERED: &str = "rollback ordered";

/// Part of the [`EventKind::StateChanged::detail`] of a device that has not reported since its gateway's state began, or was put back:
/// the gateway does not know whether it booted a release, and nobody can say what it runs.
pub const UNSEEN: &str =
    "the device has not reported since this gateway's state began or was put back; connect it, or switch it on";

/// Part of the [`EventKind::StateChanged::detail`] of a device that has gone on to other firmware while its gateway's state was older:
/// how the installation ended is not known there.
pub const OVERTAKEN: &str =
    "the device has gone on to other firmware: it was exchanged or flashed by hand, or this gateway's state is older";

/// Part of the [`EventKind::StateChanged::detail`] of a device that goes back, or is back, from a trial that only an older state of its gateway
/// knew: how the trial had ended is not known, and it says nothing about the release.
pub const SET_BACK: &str = "this gateway's state was put back and may be older than the device";

/// Part of the [`EventKind::StateChanged::detail`] of a confirmation where the device's own counters show every fault since the boot
/// into the new firmware (device protocol version 2). Details of devices of version 1, and of earlier agents, lack it.
pub const FAULTS_COUNTED: &str = "every fault is known by the device's counters";
/// [`EventKind::DeviceError::code`] of faults that a device counted and no longer describes.
pub const NOT_DESCRIBED: &str = "not-described";

/// Beginning of the [`EventKind::LocalAction::command`] by which staff hold a device as it is; their reason follows.
pub const HOLD_ON_SITE: &str = "hold: ";
/// Beginning of the one by which they release it.
pub const RELEASE_ON_SITE: &str = "release: ";

/// What staff on site did about a device, as far as its installation depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSiteChange<'a> {
    /// The device is left as it is until it is released, for this reason.
    Held(&'a str),
    /// It is released.
    Released,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EventKind {
    /// The agent started.
    AgentStarted {
        /// The agent's version.
        version: String,
    },
    /// A device was seen for the first time; its firmware is the baseline to which it can return.
    DeviceAdopted {
        /// Model as the device says.
        model: String,
        /// Hardware revision as the device says.
        hardware: String,
        /// What it runs.
        firmware: FirmwareReport,
    },
    /// An installation moved to another state.
    StateChanged {
        /// The new state.
        state: InstallState,
        /// The manifest that the installation is about.
        manifest: Digest,
        /// The deployment that asked for it.
        deployment: DeploymentId,
        /// What the device runs, where that is known and changed.
        running: Option<FirmwareReport>,
        /// Why, in words.
        detail: String,
    },
    /// A device reported a fault.
    DeviceError {
        /// How bad.
        severity: Severity,
        /// The vendor's code.
        code: String,
        /// Words.
        message: String,
    },
    /// Something that came from the coordinator or a device was refused.
    Refused {
        /// What was refused: `directive`, `release`, `checkpoint`, `trust`, `withdrawals`, `rollbackOrder`, `image`, `delta`, `device`,
        /// `rollback`, `quarantine`, `flood`, `chain`, `carried`, `waiting`; or what keeps anything new from being started: `clock`, `trust`, `withdrawals`.
        what: String,
        /// Why and what to do.
        reason: String,
    },
    /// On-site staff did something on the gateway.
    LocalAction {
        /// The command.
        command: String,
        /// The Unix user id of who did it.
        uid: u32,
    },
    /// The hospital's staff agreed to a deployment on the gateway, or took it back.
    Consent {
        /// Which deployment.
        deployment: DeploymentId,
        /// Whether they agree.
        given: bool,
        /// Who and why, in their words.
        reason: String,
        /// The Unix user id under which it was said.
        uid: u32,
    },
    /// The observed state of a device, which the coordinator asked for. Coordinators that do not ask do not know this event.
    DeviceObserved {
        /// The digest by which heartbeats name it.
        digest: ObservationDigest,
        /// The state.
        observed: Box<ObservedDevice>,
    },
}

impl EventKind {
    /// The event's stable name, as in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AgentStarted { .. } => "agentStarted",
            Self::DeviceAdopted { .. } => "deviceAdopted",
            Self::StateChanged { .. } => "stateChanged",
            Self::DeviceError { .. } => "deviceError",
            Self::Refused { .. } => "refused",
            Self::LocalAction { .. } => "localAction",
            Self::Consent { .. } => "consent",
            Self::DeviceObserved { .. } => "deviceObserved",
        }
    }
    /// What staff on site did about the device; `None` for everything else.
    pub fn on_site_change(&self) -> Option<OnSiteChange<'_>> {
        let Self::LocalAction { command, .. } = self else { return None };
        let held = command.strip_prefix(HOLD_ON_SITE).map(OnSiteChange::Held);
        held.or_else(|| command.starts_with(RELEASE_ON_SITE).then_some(OnSiteChange::Released))
    }
    /// The deployment that it belongs to, where it belongs to one.
    pub fn deployment(&self) -> Option<&DeploymentId> {
        match self {
            Self::StateChanged { deployment, .. } | Self::Consent { deployment, .. } => Some(deployment),
            Self::AgentStarted { .. }
            | Self::DeviceAdopted { .. }
            | Self::DeviceError { .. }
            | Self::Refused { .. }
            | Self::LocalAction { .. }
            | Self::DeviceObserved { .. } => None,
        }
    }
}

/// An account of a gateway's operating system, by its number.
pub fn account(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { format!("system account {uid}") }
}

impl EventKind {
    /// In words for people: what happened, and why or with what. The page that verifies evidence
    /// says the same (`verifier.html`).
    pub fn in_words(&self) -> (String, String) {
        match self {
            Self::AgentStarted { version } => ("agent started".into(), format!("version {version}")),
            Self::DeviceAdopted { model, hardware, firmware } => {
                ("device first seen".into(), format!("a {model}, hardware {hardware}, running {}", firmware.version))
            }
            Self::StateChanged { state, running, detail, .. } => {
                let runs = running.as_ref().map_or_else(String::new, |f| format!("runs {}; ", f.version));
                (format!("installation {state}"), format!("{runs}{detail}"))
            }
            Self::DeviceError { severity, code, message } => {
                let how = match severity {
                    Severity::Warning => "warning",
                    Severity::Error => "error",
                    Severity::Critical => "critical error",
                };
                (format!("device reports {how} {code}"), message.clone())
            }
            Self::Refused { what, reason } if what == REFUSED_WAITING => match Waiting::from_event_text(reason) {
                Some(waiting) => (format!("waits for {}", waiting.code), waiting.detail),
                None => ("waits no longer".into(), String::new()),
            },
            Self::Refused { what, reason } => (format!("refused: {what}"), reason.clone()),
            Self::LocalAction { command, uid } => {
                (format!("on site: {command}"), format!("by {} on the gateway", account(*uid)))
            }
            Self::Consent { deployment, given, reason, uid } => (
                format!("consent {} on site", if *given { "given" } else { "withdrawn" }),
                format!("{deployment}, by {} on the gateway: {reason}", account(*uid)),
            ),
            Self::DeviceObserved { observed, .. } => ("device observed".into(), observed.to_string()),
        }
    }
}

impl fmt::Display for EventKind {
    /// In words, for the journal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentStarted { version } => write!(f, "agent {version} started"),
            Self::DeviceAdopted { model, hardware, firmware } => {
                write!(f, "first seen: a {model}, hardware {hardware}, running {}", firmware.version)
            }
            Self::StateChanged { state, detail, .. } if detail.is_empty() => write!(f, "{state}"),
            Self::StateChanged { state, detail, .. } => write!(f, "{state}: {detail}"),
            Self::DeviceError { severity, code, message } => write!(f, "{severity} {code}: {message}"),
            Self::Refused { what, reason } if what == REFUSED_WAITING => match Waiting::from_event_text(reason) {
                Some(waiting) => write!(f, "waits: {waiting}"),
                None => f.write_str("waits no longer"),
            },
            Self::Refused { what, reason } if what == REFUSED_CARRIED => f.write_str(reason),
            Self::Refused { what, reason } => write!(f, "{what} refused: {reason}"),
            Self::LocalAction { command, uid } => write!(f, "{command} by {} on the gateway", account(*uid)),
            Self::Consent { deployment, given, reason, uid } => {
                let what = if *given { "consent to" } else { "no more consent to" };
                write!(f, "{what} {deployment} by {} on the gateway: {reason}", account(*uid))
            }
            Self::DeviceObserved { observed, .. } => write!(f, "observed, {observed}"),
        }
    }
}

/// One event, in the gateway's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The device that it is about; none for the gateway itself.
    pub device: Option<DeviceId>,
    /// The gateway's wall clock, never before a time that is proved; for people: order comes from epoch, sequence and position.
    pub at: UtcMillis,
    /// What happened.
    pub kind: EventKind,
}

/// A run of events, chained to the batch before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryBatch {
    /// Who reports.
    pub gateway: GatewayId,
    /// Grows with every enrolment of the gateway, and when the gateway learns that it was set back; a new epoch starts a new chain.
    pub epoch: u64,
    /// 1 for the first batch of an epoch.
    pub sequence: u64,
    /// Digest of the batch before; zeroes for the first of an enrolment. The first of an epoch that the gateway began itself names the
    /// head that the coordinator held.
    pub previous: Digest,
    /// The events.
    pub events: Vec<Event>,
}

impl Document for TelemetryBatch {
    const TYPE: &'static str = "telemetry";
}

impl TelemetryBatch {
    /// Whether the batch keeps the bound on events.
    pub fn is_bounded(&self) -> bool {
        !self.events.is_empty() && self.events.len() <= BATCH_EVENTS_MAX
    }
}

/// A device in a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceHeartbeat {
    /// Which device.
    pub device: DeviceId,
    /// Where its installation stands.
    pub state: InstallState,
    /// Whether it is attached to the gateway now.
    pub attached: bool,
    /// Whether a patient is connected or therapy runs.
    pub in_use: bool,
}

/// The gateway's level: what it has and how it is. Lost ones do no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Who reports.
    pub gateway: GatewayId,
    /// Epoch of the gateway's telemetry.
    pub epoch: u64,
    /// Grows with each heartbeat of an epoch, over restarts too: an old one, sent again, shows nothing.
    pub sequence: u64,
    /// The gateway's wall clock.
    pub at: UtcMillis,
    /// Newest trust root held.
    pub root_version: u64,
    /// Newest roster held; 0 for none.
    pub roster_version: u64,
    /// Newest directive followed; 0 for none.
    pub directive_serial: u64,
    /// Size of the newest log checkpoint seen; 0 for none.
    pub checkpoint_size: u64,
    /// Release manifests that the directive names and the gateway lacks.
    pub missing_releases: Vec<Digest>,
    /// Batches not yet acknowledged.
    pub outbox_depth: u64,
    /// Its devices.
    pub devices: Vec<DeviceHeartbeat>,
    /// What else it holds; `None` from a gateway that has not yet received withdrawals or rollback orders, because a coordinator
    /// that publishes neither cannot decode this field.
    #[serde(default)]
    pub held_trust: Option<HeldTrust>,
    /// The digest of each device's observed state, in the order of `devices`; `None` towards a coordinator that has not granted the
    /// topic of questions, because it cannot decode this field.
    #[serde(default)]
    pub observed: Option<Vec<ObservationDigest>>,
}

impl Document for Heartbeat {
    const TYPE: &'static str = "heartbeat";
    const ADDED_FIELDS: usize = 2;
}

/// The authority documents that a gateway holds, and its trusted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldTrust {
    /// Newest withdrawals held; 0 if none are held.
    pub withdrawals_version: u64,
    /// SHA-256 of the newest frame of rollback orders that was processed; zeroes before the first.
    pub rollback_orders: Digest,
    /// The gateway's time.
    pub clock: ClockReport,
}

/// A gateway's wall clock against its high-water mark of trusted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockReport {
    /// The latest time that the gateway has verified or committed.
    pub mark: UtcMillis,
    /// Milliseconds by which the wall clock lies behind `mark`; 0 if it does not.
    pub behind_ms: u64,
    /// Whether clock and mark agree closely enough for new activations.
    pub is_trusted: bool,
}

impl Heartbeat {
    /// Whether the heartbeat keeps the bounds on its lists.
    pub fn is_bounded(&self) -> bool {
        let observed = self.observed.as_ref();
        self.devices.len() <= GATEWAY_DEVICES_MAX
            && self.missing_releases.len() <= GATEWAY_DEVICES_MAX
            && observed.is_none_or(|observed| observed.len() == self.devices.len())
    }
}
