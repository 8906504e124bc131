//! The REST API. Handlers read requests, name the permission, hand a command to the core and show the state; they decide
//! nothing.

mod admission;
mod agent;
mod approvals;
mod body;
mod bundles;
mod compliance;
mod deployment_devices;
mod deployment_figures;
mod deployments;
mod devices;
mod differences;
mod displays;
mod evidence;
mod fhir;
mod firmware;
mod fleet_counts;
mod fleet_link;
mod fleet_versions;
mod gateways;
mod groups;
mod history;
mod hospitals;
mod idempotency;
mod incidents;
mod list;
mod metrics;
mod notices;
mod page;
mod people;
mod problem;
mod recalls;
mod reports;
mod request;
mod retention;
mod rights;
mod rollback_orders;
mod router;
mod sessions;
mod settings;
mod single_sign_on;
mod staff;
mod table;
mod trust;
mod users;
mod waiting;
mod watch;
mod webhooks;
mod workbench;

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use mdfm_audit::SearchIndex;
use mdfm_shared::sign::SecretKey;

use crate::access::{
    Breached, Hashing, Idle, LoginGuard, MarkKey, Oidc, Pending, RequestRates, SessionPolicy, SignIns,
};
use crate::broker::DoorCounts;
use crate::displays::Displays;
use crate::fleet_link::Counts;
use crate::notify::Book;
use crate::outward::Outward;
use crate::pki::Pem;
use crate::runner::Runner;
use crate::scrub::ScrubStatus;
use crate::store::{CredentialStore, ImageStore};
use crate::traces::Traces;

pub(crate) use admission::{count_socket, is_near};
pub(crate) use fleet_counts::CountedFleet;
pub(crate) use history::state_of;
pub(crate) use idempotency::Answers;
pub(crate) use metrics::Requests;
pub(crate) use problem::Problem;
pub(crate) use request::FleetRoom;
pub(crate) use router::router;
pub(crate) use watch::Watchers;
pub(crate) use workbench::Workbench;

/// What handlers need.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) runner: Runner,
    pub(crate) images: ImageStore,
    pub(crate) credentials: CredentialStore,
    pub(crate) authority: Arc<Pem>,
    pub(crate) public_url: String,
    pub(crate) logins: Arc<LoginGuard>,
    /// What is counted about guesses of passwords and codes.
    pub(crate) sign_ins: Arc<SignIns>,
    /// The key of marks in the log.
    pub(crate) marks: MarkKey,
    pub(crate) rates: Arc<RequestRates>,
    /// Second factors that were handed out and not shown yet.
    pub(crate) pending: Arc<Pending>,
    pub(crate) idle: Arc<Idle>,
    /// What is counted as requests are answered.
    pub(crate) requests: Requests,
    /// Answers to requests that may come again.
    pub(crate) answers: Arc<Answers>,
    pub(crate) sessions: SessionPolicy,
    /// The OpenID provider, where there is one.
    pub(crate) oidc: Option<Arc<Oidc>>,
    /// Where requests are traced to, if anywhere.
    pub(crate) traces: Option<Traces>,
    /// Places for those who watch deployments.
    pub(crate) watchers: Arc<Watchers>,
    /// The figures of the fleet that were counted last.
    pub(crate) counted: Arc<CountedFleet>,
    /// Displays on walls that wait to be paired.
    pub(crate) displays: Arc<Displays>,
    /// Places for reports and evidence: each takes much memory.
    pub(crate) workbench: Arc<Workbench>,
    /// Passwords are checked by a few at a time: each costs memory and tens of milliseconds of a core.
    pub(crate) hashing: Arc<Hashing>,
    /// How many devices and the like may be registered.
    pub(crate) room: FleetRoom,
    /// Networks from which people may call; empty for all.
    pub(crate) networks: Arc<Vec<IpNet>>,
    /// Networks from which gateways may call and enrol; empty for all.
    pub(crate) gateway_networks: Arc<Vec<IpNet>>,
    /// Inboxes, and what could not be delivered.
    pub(crate) notices: Book,
    /// Where webhooks may lead.
    pub(crate) outward: Outward,
    /// Passwords that nobody may choose.
    pub(crate) breached: Breached,
    pub(crate) search: SearchIndex,
    pub(crate) scrub: ScrubStatus,
    /// Where the lists of what is to be disposed of are kept.
    pub(crate) disposals: PathBuf,
    pub(crate) online_key: SecretKey,
    pub(crate) link: Arc<Counts>,
    pub(crate) door: Arc<DoorCounts>,
}
