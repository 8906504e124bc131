//! Recalls: open, follow to the last device, close.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mdfm_shared::id::RecallId;
use mdfm_shared::sbom::PartQuery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deployments::DryRunQuery;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, fresh_id, id};
use super::waiting::WaitView;
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::authority::{self, ReturnNeed};
use mdfm_coordinator_core::firmware::FirmwareStatus;
use mdfm_coordinator_core::recall::{self, Criteria, Recall, RecallAction};
use mdfm_coordinator_core::rollout::Change;
use mdfm_coordinator_core::waiting::Sight;
use mdfm_coordinator_core::{self, Command, Event, Proposal, Refusal};

/// A device that nothing was heard of for so long is shown as away.
const AWAY_MS: u64 = 5 * 60_000;

/// Which firmware on which devices; all that is given must fit.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRecall {
    device_model: String,
    /// Lowest release number concerned.
    #[serde(default)]
    release_from: Option<u64>,
    /// Highest release number concerned.
    #[serde(default)]
    release_to: Option<u64>,
    /// Version labels, also of firmware that was never released from here.
    #[serde(default)]
    versions: Vec<String>,
    /// Devices whose UDI begins so; then the firmware itself is not withdrawn.
    #[serde(default)]
    udi_prefix: Option<String>,
    /// A part that the software bill of materials names.
    #[serde(default)]
    component: Option<String>,
    #[serde(default)]
    component_version: Option<String>,
    /// Group of the part (scope, namespace, vendor).
    #[serde(default)]
    component_group: Option<String>,
    /// Package URL of the part.
    #[serde(default)]
    component_purl: Option<String>,
    /// CPE name of the part.
    #[serde(default)]
    component_cpe: Option<String>,
    /// Versions of the part between others: `>=3.0.0,<3.0.7`.
    #[serde(default)]
    component_versions: Option<String>,
    /// Version labels between others, also of firmware that was never released from here: `>=2.0.0,<2.2.1`.
    #[serde(default)]
    version_range: Option<String>,
    /// Every release of the model is concerned; needed if no criterion is given, and contradicted by one.
    #[serde(default)]
    all_releases: bool,
    action: RecallAction,
    reason: String,
    /// The same as `dryRun` in the query. Tools give it here: a coordinator that does not know it refuses it and does nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A recall without a criterion withdraws every release of a model at once: that is asked for in so many words, or not at all.
fn check_extent(criteria: &Criteria, all_releases: bool) -> Result<(), Refusal> {
    match (criteria.is_for_every_release(), all_releases) {
        (true, false) => {
            let problem = format!(
                "no criterion is given: releases, versions, a UDI or a part; to recall every release of {} give allReleases",
                criteria.model
            );
            Err(Refusal::invalid("allReleases", problem))
        }
        (false, true) => Err(Refusal::invalid("allReleases", "contradicts the criteria that are given with it")),
        (true, true) | (false, false) => Ok(()),
    }
}

/// A release that a recall would concern.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConcernedRelease {
    firmware_id: String,
    version: String,
    release_number: Option<u64>,
    /// What it is now; it is withdrawn by the recall, unless that is for devices by their UDI.
    status: FirmwareStatus,
    is_withdrawn_by_it: bool,
}

/// Devices of one hospital that a recall would concern.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConcernedHospital {
    hospital_id: String,
    devices: Vec<String>,
}

/// What a recall would do; nothing has been done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecallPreview {
    #[schema(value_type = Object)]
    criteria: Criteria,
    action: RecallAction,
    releases: Vec<ConcernedRelease>,
    devices: usize,
    hospitals: Vec<ConcernedHospital>,
    /// Deployments that end or go back, and which of it.
    deployments: Vec<ConcernedDeployment>,
}

/// A deployment that a recall would end or roll back.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConcernedDeployment {
    deployment_id: String,
    is_rolled_back: bool,
}

fn preview(
    state: &mdfm_coordinator_core::State,
    criteria: Criteria,
    action: RecallAction,
    proposals: &[Proposal],
) -> RecallPreview {
    let (mut withdrawn, mut opened, mut deployments) = (BTreeSet::new(), None, Vec::new());
    for proposal in proposals {
        match &proposal.event {
            Event::RecallOpened { opened: recall, .. } => opened = Some(recall),
            Event::FirmwareWithdrawn { firmware } => drop(withdrawn.insert(firmware)),
            Event::DeploymentChanged { deployment, change } => deployments.push(ConcernedDeployment {
                deployment_id: deployment.to_string(),
                is_rolled_back: matches!(change, Change::RollbackStarted { .. }),
            }),
            _ => {}
        }
    }
    let concerned = opened.iter().flat_map(|recall| &recall.firmware);
    let releases = concerned.filter_map(|id| {
        let held = state.firmware.get(id)?;
        Some(ConcernedRelease {
            firmware_id: id.to_string(),
            version: held.version.clone(),
            release_number: held.manifest.as_ref().map(|m| m.manifest.release_number),
            status: held.status,
            is_withdrawn_by_it: withdrawn.contains(id),
        })
    });
    let releases = releases.collect();
    let devices = opened.map(|recall| recall::outstanding(state, recall)).unwrap_or_default();
    let mut hospitals: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for device in &devices {
        let hospital = state.devices.get(device).map_or_else(String::new, |d| d.hospital.to_string());
        hospitals.entry(hospital).or_default().push(device.to_string());
    }
    let hospitals = hospitals.into_iter().map(|(hospital_id, devices)| ConcernedHospital { hospital_id, devices });
    RecallPreview { criteria, action, releases, devices: devices.len(), hospitals: hospitals.collect(), deployments }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutstandingView {
    device_id: String,
    hospital_id: String,
    firmware_version: String,
    /// When its gateway last reported it; none since the coordinator started.
    last_seen: Option<String>,
    away: bool,
    /// Why nothing reaches it: its gateway is revoked or silent, or does not have it; `null` if it can be reached.
    unreachable: Option<WaitView>,
    /// What it needs to go back: nothing while on trial or within the recall window, else a rollback order.
    #[schema(value_type = Object)]
    need: ReturnNeed,
    /// The same in words.
    need_words: String,
    /// The rollback order in force that lets it go back.
    order_id: Option<String>,
}

/// How many of the devices need what to go back.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NeedsView {
    /// Go back on the coordinator's directive alone.
    none: u32,
    /// Have the rollback order that they need.
    ordered: u32,
    /// Wait for a rollback order.
    order: u32,
    /// Wait for a rollback order by two roles that names them: the firmware before is below their security floor.
    order_by_two_roles: u32,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecallView {
    recall_id: String,
    #[schema(value_type = Object)]
    criteria: Criteria,
    action: RecallAction,
    reason: String,
    opened_by: String,
    opened_at: String,
    firmware: Vec<String>,
    /// Devices that ran the firmware when the recall was opened.
    found: u32,
    /// Devices that run it still, also those that came back or were registered later.
    outstanding: Vec<OutstandingView>,
    /// What they need to go back; `null` if the recall does not send them back.
    needs: Option<NeedsView>,
    closed_by: Option<String>,
    closed_at: Option<String>,
}

fn view(api: &Api, id: &RecallId, recall: &Recall) -> RecallView {
    let state = api.runner.state();
    let now = state.not_before(clock::now());
    let presence = api.runner.presence();
    let sight = Sight { state: &state, presence: &presence, now: clock::now() };
    let left = if recall.closed.is_some() { Vec::new() } else { recall::outstanding(&state, recall) };
    let mut needs = NeedsView::default();
    let mut outstanding = Vec::new();
    for device in left {
        let Some(held) = state.devices.get(&device) else { continue };
        let need = authority::need_of(&state, held, now);
        let runs = held.install.as_ref().map(|i| i.manifest);
        let order = runs.filter(|_| need.is_order());
        let order = order.and_then(|manifest| state.authority.covering(&device, manifest, need, now));
        *match (need, order) {
            (ReturnNeed::OnTrial | ReturnNeed::WithinWindow { .. }, _) => &mut needs.none,
            (_, Some(_)) => &mut needs.ordered,
            (ReturnNeed::Order, None) => &mut needs.order,
            (ReturnNeed::OrderByTwoRoles, None) => &mut needs.order_by_two_roles,
        } += 1;
        let last = presence.last_attached(&device);
        outstanding.push(OutstandingView {
            hospital_id: held.hospital.to_string(),
            firmware_version: held.firmware_version.clone(),
            last_seen: last.map(|at| at.to_string()),
            away: last.is_none_or(|at| now.since_ms(at) > AWAY_MS),
            unreachable: sight.unreachable(&device).map(WaitView::from),
            device_id: device.to_string(),
            need,
            need_words: need.words(),
            order_id: order.map(ToString::to_string),
        });
    }
    RecallView {
        recall_id: id.to_string(),
        criteria: recall.criteria.clone(),
        action: recall.action,
        reason: recall.reason.clone(),
        opened_by: recall.opened_by.clone(),
        opened_at: recall.opened_at.to_string(),
        firmware: recall.firmware.iter().map(ToString::to_string).collect(),
        found: recall.found,
        outstanding,
        needs: (recall.action == RecallAction::RollBack && recall.closed.is_none()).then_some(needs),
        closed_by: recall.closed.as_ref().map(|(by, _)| by.clone()),
        closed_at: recall.closed.as_ref().map(|(_, at)| at.to_string()),
    }
}

fn find(api: &Api, id: &RecallId) -> Result<axum::Json<RecallView>, Problem> {
    let recall = api.runner.state().need_recall(id)?.clone();
    Ok(axum::Json(view(api, id, &recall)))
}

/// Opens a recall: the firmware is withdrawn, its deployments end or go back. With `dryRun` nothing is done: the answer names the
/// releases, devices, hospitals and deployments that it would concern.
#[utoipa::path(post, path = "/api/v1/recalls", request_body = NewRecall,
    params(("dryRun" = Option<bool>, Query)),
    responses((status = 201, body = RecallView), (status = 200, body = RecallPreview), (status = 422, body = Problem)))]
pub(super) async fn open(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<DryRunQuery>,
    Json(new): Json<NewRecall>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::Recall, "recall.open", "recall").await?;
    let releases = match (new.release_from, new.release_to) {
        (None, None) => None,
        (from, to) => Some((from.unwrap_or(0), to.unwrap_or(u64::MAX))),
    };
    let range = |field: &str, text: &Option<String>| text.as_deref().map(|t| id(field, t)).transpose();
    let part = PartQuery {
        name: new.component,
        group: new.component_group,
        purl: new.component_purl,
        cpe: new.component_cpe,
        version: new.component_version,
        versions: range("componentVersions", &new.component_versions)?,
    };
    let criteria = Criteria {
        model: new.device_model,
        releases,
        versions: new.versions,
        udi_prefix: new.udi_prefix,
        component: None,
        part: (part != PartQuery::default()).then_some(part),
        version_range: range("versionRange", &new.version_range)?,
    };
    let recall: RecallId = fresh_id("rec-")?;
    if let Err(refusal) = check_extent(&criteria, new.all_releases) {
        return Err(origin.deny(&api, caller.actor, "recall.open", "recall", refusal).await);
    }
    let (preview_of, action) = (criteria.clone(), new.action);
    let command = Command::OpenRecall { recall: recall.clone(), criteria, action, reason: new.reason };
    if query.dry_run || new.dry_run {
        let state = api.runner.state();
        let now = state.not_before(clock::now());
        let proposals = mdfm_coordinator_core::decide(&state, now, &caller.actor, &command)?;
        return Ok(axum::Json(preview(&state, preview_of, action, &proposals)).into_response());
    }
    origin.submit(&api, &caller, command).await?;
    Ok((StatusCode::CREATED, find(&api, &recall)?).into_response())
}

/// Lists recalls.
#[utoipa::path(get, path = "/api/v1/recalls", params(ListQuery),
    responses((status = 200, body = Vec<RecallView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "recall.list", "recall").await?;
    let all = api.runner.state().recalls.clone();
    query.page("/api/v1/recalls", &all, |_, _| true, |id, r| view(&api, id, r))
}

/// Shows one recall with the devices that it still waits for.
#[utoipa::path(get, path = "/api/v1/recalls/{recall}",
    responses((status = 200, body = RecallView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(recall): Path<String>,
) -> Result<axum::Json<RecallView>, Problem> {
    origin.need(&api, Permission::ReadAll, "recall.show", &format!("recall/{recall}")).await?;
    find(&api, &id("recall", &recall)?)
}

/// Closes a recall that waits for no device any more.
#[utoipa::path(post, path = "/api/v1/recalls/{recall}/closure",
    responses((status = 200, body = RecallView), (status = 409, body = Problem)))]
pub(super) async fn close(
    State(api): State<Api>,
    origin: Origin,
    Path(recall): Path<String>,
) -> Result<axum::Json<RecallView>, Problem> {
    let caller = origin.need(&api, Permission::Recall, "recall.close", &format!("recall/{recall}")).await?;
    let recall: RecallId = id("recall", &recall)?;
    origin.submit(&api, &caller, Command::CloseRecall { recall: recall.clone() }).await?;
    find(&api, &recall)
}
