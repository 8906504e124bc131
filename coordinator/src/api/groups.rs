//! Groups of devices that deployments name.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::id::GroupId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::{self, DeviceView};
use super::gateways::Reason;
use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, id, parsed, tagged};
use super::{Api, Problem};
use mdfm_coordinator_core::access::{By, Permission};
use mdfm_coordinator_core::group::{self, Group, Members};
use mdfm_coordinator_core::{self, Command, Refusal};

/// A group: a list of devices, or a query.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewGroup {
    name: String,
    /// Device ids; instead of `query`.
    #[serde(default)]
    devices: Option<Vec<String>>,
    /// Conditions as in the filter of a list, for example `hospitalCohort=pilot,currentFirmwareVersion=2.*`; instead of `devices`.
    #[serde(default)]
    query: Option<String>,
    reason: String,
}

impl NewGroup {
    fn members(&self) -> Result<Members, Refusal> {
        match (&self.devices, &self.query) {
            (Some(devices), None) => {
                Ok(Members::Listed(devices.iter().map(|d| parsed("devices", d)).collect::<Result<_, _>>()?))
            }
            (None, Some(query)) => Ok(Members::Query(query.clone())),
            _ => Err(Refusal::invalid("devices", "give devices or query, one of them")),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupView {
    group_id: String,
    name: String,
    /// The conditions; `null` for a list of devices.
    query: Option<String>,
    /// How many devices are listed in it; `null` for a query.
    listed: Option<usize>,
}

fn view(id: &GroupId, group: &Group) -> GroupView {
    let (query, listed) = match &group.members {
        Members::Query(query) => (Some(query.clone()), None),
        Members::Listed(devices) => (None, Some(devices.len())),
    };
    GroupView { group_id: id.to_string(), name: group.name.clone(), query, listed }
}

fn answer(state: &mdfm_coordinator_core::State, group: &GroupId) -> Result<Response, Problem> {
    Ok(tagged(state, &format!("group/{group}"), view(group, state.need_group(group)?)))
}

/// By what somebody must be known who changes a group: a change of one whose new devices join a running deployment widens that deployment.
fn by(state: &mdfm_coordinator_core::State, group: &GroupId) -> By {
    if group::joined_by(state, group).is_some() { By::Factor } else { By::Token }
}

/// Makes a group, or replaces what it was. Deployments under way keep their devices. Where new devices of the group join one, this needs a person who
/// has just shown the second factor.
#[utoipa::path(put, path = "/api/v1/groups/{group}", request_body = NewGroup,
    responses((status = 200, body = GroupView), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set(
    State(api): State<Api>,
    origin: Origin,
    Path(group): Path<String>,
    Json(new): Json<NewGroup>,
) -> Result<Response, Problem> {
    let object = format!("group/{group}");
    let group: GroupId = id("group", &group)?;
    let by = by(&api.runner.state(), &group);
    let caller = origin.need_by(&api, Permission::ManageFleet, by, "group.set", &object).await?;
    let members = new.members()?;
    let set = Group { name: new.name, members };
    origin.submit(&api, &caller, Command::SetGroup { group: group.clone(), set, reason: new.reason }).await?;
    answer(&api.runner.state(), &group)
}

/// Lists groups.
#[utoipa::path(get, path = "/api/v1/groups", params(ListQuery),
    responses((status = 200, body = Vec<GroupView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "group.list", "group").await?;
    query.page("/api/v1/groups", &api.runner.state().groups, |_, _| true, view)
}

/// Shows one group.
#[utoipa::path(get, path = "/api/v1/groups/{group}",
    responses((status = 200, body = GroupView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    origin: Origin,
    Path(group): Path<String>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "group.show", &format!("group/{group}")).await?;
    answer(&api.runner.state(), &id("group", &group)?)
}

/// Lists the devices that are in a group now.
#[utoipa::path(get, path = "/api/v1/groups/{group}/devices", params(ListQuery),
    responses((status = 200, body = Vec<DeviceView>), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn devices(
    State(api): State<Api>,
    origin: Origin,
    Path(group): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let caller = origin.need(&api, Permission::ReadAll, "group.devices", &format!("group/{group}")).await?;
    let group: GroupId = id("group", &group)?;
    let state = api.runner.state();
    let chosen = state.need_group(&group)?.chosen();
    let path = format!("/api/v1/groups/{group}/devices");
    devices::page(&api, &state, &query, &path, &caller, |id, device| chosen.holds(&state, id, device))
}

/// Removes a group; not while its new devices join a deployment.
#[utoipa::path(delete, path = "/api/v1/groups/{group}", request_body = Reason,
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(
    State(api): State<Api>,
    origin: Origin,
    Path(group): Path<String>,
    Json(why): Json<Reason>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "group.remove", &format!("group/{group}")).await?;
    let group: GroupId = id("group", &group)?;
    origin.submit(&api, &caller, Command::RemoveGroup { group, reason: why.reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdfm_coordinator_core::fixture::{Office, all, id};

    #[test]
    fn sec_4_no_token_widens_a_running_deployment_by_its_group() {
        let mut office = Office::new();
        let members = Members::Query("hospitalId=H-1".into());
        let set = Group { name: "Wards".into(), members };
        for group in ["G-1", "G-2"] {
            let command = Command::SetGroup { group: id(group), set: set.clone(), reason: "as agreed".into() };
            office.give("operator", command);
        }
        assert_eq!(by(&office.state, &id("G-1")), By::Token);
        let json = all(22, r#""targetGroup": "G-1", "membership": "dynamic","#);
        office.deploy("D-1", &json).expect("approved");
        assert_eq!((by(&office.state, &id("G-1")), by(&office.state, &id("G-2"))), (By::Factor, By::Token));
    }
}
