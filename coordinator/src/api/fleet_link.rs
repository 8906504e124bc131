//! How the link to the fleet does.

use std::collections::BTreeMap;

use axum::extract::State;
use mdfm_shared::time::UtcMillis;
use serde::Serialize;
use utoipa::ToSchema;

use super::request::Origin;
use super::{Api, Problem};
use crate::broker::DoorCountsView;
use crate::clock;
use crate::fleet_link::CountsView;
use mdfm_coordinator_core::State as Fleet;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::presence::Standing;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FleetLinkView {
    gateways: GatewaysView,
    directives: DirectivesView,
    connections: DoorCountsView,
    intake: CountsView,
}

/// Enrolled gateways by where they stand.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewaysView {
    /// Beat as they should.
    online: usize,
    /// Heartbeats are missing.
    silent: usize,
    /// Their connection ended.
    offline: usize,
    /// Not heard of since this coordinator started.
    unknown: usize,
}

#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DirectivesView {
    /// Gateways with a directive.
    issued: usize,
    /// Gateways whose last heartbeat says that they follow their newest one.
    followed: usize,
}

/// How the link to the fleet does: who is there, who follows what, what came in.
#[utoipa::path(get, path = "/api/v1/fleet-link", responses((status = 200, body = FleetLinkView)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<axum::Json<FleetLinkView>, Problem> {
    origin.need(&api, Permission::ReadAll, "fleet-link.read", "fleet-link").await?;
    Ok(axum::Json(fleet_link(&api, &api.runner.state(), clock::now())))
}

impl FleetLinkView {
    /// Enrolled gateways by where they stand.
    pub(super) fn presence(&self) -> BTreeMap<String, usize> {
        let GatewaysView { online, silent, offline, unknown } = self.gateways;
        [("online", online), ("silent", silent), ("offline", offline), ("unknown", unknown)]
            .map(|(name, n)| (name.to_owned(), n))
            .into()
    }

    /// Gateways with a directive, and those that follow theirs.
    pub(super) fn directives(&self) -> (usize, usize) {
        (self.directives.issued, self.directives.followed)
    }
}

/// The same for whoever else shows it.
pub(super) fn fleet_link(api: &Api, state: &Fleet, now: UtcMillis) -> FleetLinkView {
    let presence = api.runner.presence();
    let (mut gateways, mut directives) = (GatewaysView::default(), DirectivesView::default());
    for (id, gateway) in state.gateways.iter().filter(|(_, g)| g.credentials.is_some() && !g.revoked) {
        let view = presence.gateway(now, id);
        match view.standing {
            Standing::Online => gateways.online += 1,
            Standing::Silent => gateways.silent += 1,
            Standing::Offline => gateways.offline += 1,
            Standing::Unknown => gateways.unknown += 1,
        }
        if let Some(directive) = &gateway.directive {
            directives.issued += 1;
            directives.followed += usize::from(view.serial >= directive.serial);
        }
    }
    FleetLinkView { gateways, directives, connections: api.door.view(), intake: api.link.view() }
}
